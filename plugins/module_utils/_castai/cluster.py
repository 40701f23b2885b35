# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster at CAST AI: its registration, its token in its Secret, and its status. PRIVATE to the collection."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .._clusters.connection import (
    Connection,
    Tried,
    named_by,
    namespace_refusal,
    other_cluster_problem,
    refuse_unadmitted,
    terminating_problem,
    unchecked_warning,
)
from .._clusters.facts import ClusterFacts, Named
from .._clusters.table import PROVIDERS, connection_options, connection_rules, mismatch_of_any, registration_options
from .._engine import UNKNOWN, Action, CallFailed, Conflict, Made, Refused, Report, Subject, at_once, paced, until
from .._gateways.castai import CastAi, Cluster, by_options, console_of
from .._gateways.kubernetes import Kubernetes, Object, path_of
from .._names import (
    CREDENTIALS_KEY,
    CREDENTIALS_SECRET,
    MANAGED_BY,
    NAMESPACE,
    cluster_id_problem,
    namespace_problem,
    secret_problem,
)
from .._options import castai_options
from .._patience import within
from .._variables import named
from .records import public

Parameters = Mapping[str, Any]

OPTIONS: dict[str, Any] = {
    "argument_spec": {
        **connection_options(required=True),
        **castai_options(),
        "cluster_id": {"type": "str"},
        "create_namespace": {"type": "bool", "default": True},
        "credentials_secret": {"type": "str", "default": CREDENTIALS_SECRET, "no_log": False},
        "manage_token": {"type": "bool", "default": True},
        "namespace": {"type": "str", "default": NAMESPACE},
        "organization_id": {"type": "str"},
        "read_cluster": {"type": "bool", "default": True},
        **registration_options(),
        "wait_for": {"type": "str", "choices": ["none", "agent_online", "ready", "onboarded"], "default": "none"},
        "wait_timeout": {"type": "int"},
    },
    **connection_rules(required=True),
}

AGENT_METADATA = "castai-agent-metadata"
"""ConfigMap that an agent writes when it reports, with the cluster's id as CLUSTER_ID."""


@dataclass(frozen=True)
class Desired:
    """What the user wants.

    cluster_id: empty to search CAST AI's list, UNKNOWN if an earlier task of the same check would register the cluster;
    console: address of CAST AI's console, empty if unknown. read_cluster: whether to ask the provider; otherwise an
    earlier task has checked that the record is the cluster's, and nothing but the record is read.
    """

    cluster: Named
    cluster_id: str
    organization_id: str
    namespace: str
    secret: str
    manage_token: bool
    wait_for: str
    wait_timeout: int
    console: str = ""
    create_namespace: bool = True
    read_cluster: bool = True


@dataclass(frozen=True)
class Current:
    """The current state. record: None if absent; a Secret that does not exist has no version."""

    facts: ClusterFacts
    record: Cluster | None
    elsewhere: str = ""
    """Why the Kubernetes connection leads to another cluster; empty if it does not."""
    namespace_exists: bool = False
    secret_version: str = ""
    token_usable: bool = False
    leaving: str = ""
    """Why nothing can be created in the namespace; empty if something can."""
    immutable: bool = False
    """Whether the Secret can only be deleted."""
    former: Cluster | None = None
    """The record of an earlier connection that has ended, if there is no other."""


@dataclass(frozen=True)
class Systems:
    castai: CastAi
    connection: Connection

    def close(self) -> None:
        self.connection.close()


@dataclass(frozen=True)
class Register(Action):
    name: str = ""
    block: Mapping[str, Any] | None = None

    def run(self, gateway: Systems, made: Made) -> Mapping[str, Any]:
        record = gateway.castai.register_cluster(self.name, self.block or {})
        if record.gone:
            raise CallFailed(
                f"CAST AI returned record {record.id} of an earlier connection, which is {record.status}, instead of"
                " creating a new one. Delete this record in CAST AI's console, and in the cluster the agent's ConfigMap"
                f" {AGENT_METADATA}, which still names it. Then run again."
            )
        return {"cluster_id": record.id, "record": record}


@dataclass(frozen=True)
class CreateNamespace(Tried):
    name: str = ""

    def send(self, cluster: Kubernetes, made: Made, dry_run: bool = False) -> None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name}}
        # If somebody else created it meanwhile, that is just as good.
        with contextlib.suppress(Conflict):
            cluster.create(path_of("v1", "Namespace", None, None), body, dry_run)

    def run(self, gateway: Systems, made: Made) -> None:
        self.send(gateway.connection.cluster(), made)


@dataclass(frozen=True)
class StoreToken(Tried):
    """Mint the cluster's token and write it into the Secret. The token is kept nowhere else.

    Whether the Secret can be written is tried again right before, because a token that cannot be stored is lost:
    permissions, quotas and policies may forbid it, and the Namespace may be new.
    """

    cluster_id: str = ""
    namespace: str = ""
    secret: str = ""
    version: str = ""

    def send(self, cluster: Kubernetes, made: Made, dry_run: bool = False) -> None:
        self._write(cluster, "not a token", dry_run)

    def run(self, gateway: Systems, made: Made) -> Mapping[str, Any]:
        kubernetes = gateway.connection.cluster()
        self.send(kubernetes, made, dry_run=True)
        self._write(kubernetes, gateway.castai.create_token(made.get("cluster_id") or self.cluster_id))
        return {}

    def _write(self, kubernetes: Kubernetes, token: str, dry_run: bool = False) -> None:
        data = {CREDENTIALS_KEY: base64.b64encode(token.encode()).decode()}
        if self.version:
            kubernetes.patch(
                path_of("v1", "Secret", self.secret, self.namespace),
                {"metadata": {"resourceVersion": self.version, "labels": MANAGED_BY}, "data": data},
                dry_run,
            )
        else:
            metadata = {"name": self.secret, "namespace": self.namespace, "labels": MANAGED_BY}
            kubernetes.create(
                path_of("v1", "Secret", None, self.namespace),
                {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data},
                dry_run,
            )


def problems(params: Parameters) -> dict[str, str]:
    """What is wrong with the options that name the cluster, by option; shared with castai_preflight."""
    provider, cluster_id = PROVIDERS[params["provider"]], params.get("cluster_id")
    found = {
        "cluster_name": provider.name_problem(params["cluster_name"]),
        "namespace": namespace_problem(params["namespace"]),
        "credentials_secret": secret_problem(params["credentials_secret"]),
        **provider.missing_options(params),
        **provider.option_problems(params),
        "cluster_id": cluster_id_problem(cluster_id) if cluster_id else "",
    }
    return {option: problem for option, problem in found.items() if problem}


def desired(params: Parameters) -> Desired:
    found = problems(params)
    if found:
        raise Refused(" ".join(found.values()))
    read_cluster = params.get("read_cluster", True)
    if not read_cluster and (params["manage_token"] or not params.get("cluster_id")):
        raise Refused(f"read_cluster is false. Set {named('cluster_id')}, and manage_token to false.")
    return Desired(
        cluster=named_by(params),
        cluster_id=(params.get("cluster_id") or "").lower(),
        organization_id=(params.get("organization_id") or "").lower(),
        namespace=params["namespace"],
        secret=params["credentials_secret"],
        create_namespace=params.get("create_namespace", True),
        manage_token=params["manage_token"],
        read_cluster=read_cluster,
        wait_for=params["wait_for"],
        wait_timeout=_wait_timeout(params),
        console=console_of(params.get("castai_api_url") or ""),
    )


def _wait_timeout(params: Parameters) -> int:
    """Seconds. After a hand-over, CAST AI's own reconciliation has to run, which takes longer than a report."""
    given = params.get("wait_timeout")
    return given if given is not None else 900 if params["wait_for"] == "onboarded" else 600


def connect(params: Parameters, wanted: Desired) -> Systems:
    return Systems(by_options(params), Connection(params))


def observe(gateway: Systems, wanted: Desired) -> Current:
    """Round 1: the provider and CAST AI. Round 2: the cluster. Round 3: whether the Secret's key works."""
    connection = gateway.connection
    if not wanted.read_cluster:
        return _recorded(gateway.castai, wanted)
    with at_once() as ask:
        found = ask(connection.read, wanted.cluster)
        records = ask(_records, gateway.castai, wanted)
    facts = found.result()
    if not facts.exists:
        return Current(facts, None)
    current = Current(
        facts,
        registration(records.result(), facts, wanted.cluster_id),
        former=next((one for one in records.result() if one.gone and _is_of(one, facts)), None),
    )
    if not wanted.manage_token:
        return current
    kubernetes = connection.cluster(facts.api_server)
    elsewhere = other_cluster_problem(kubernetes, facts, wanted.cluster.checked)
    if elsewhere:
        return replace(current, elsewhere=elsewhere)
    with at_once() as ask:
        asked_namespace = ask(kubernetes.get, path_of("v1", "Namespace", wanted.namespace, None))
        asked_secret = ask(kubernetes.get, path_of("v1", "Secret", wanted.secret, wanted.namespace))
    namespace, secret = asked_namespace.result(), asked_secret.result()
    key = key_of(secret)
    return replace(
        current,
        leaving=terminating_problem(namespace),
        namespace_exists=namespace is not None,
        secret_version=_version_of(secret),
        immutable=bool((secret or {}).get("immutable")),
        token_usable=bool(key and current.record and gateway.castai.accepts(key, current.record.id)),
    )


def _recorded(castai: CastAi, wanted: Desired) -> Current:
    """The current state as far as CAST AI's record shows it."""
    provider, name = PROVIDERS[wanted.cluster.provider], wanted.cluster.name
    facts = ClusterFacts(provider.key, name, f"{provider.title} cluster {name}", "", {})
    records = () if wanted.cluster_id == UNKNOWN else _records(castai, wanted)
    return Current(facts, registration(records, facts, wanted.cluster_id))


def _is_of(record: Cluster, facts: ClusterFacts) -> bool:
    return record.id == facts.own_id or facts.is_recorded_in(record)


def _records(castai: CastAi, wanted: Desired) -> tuple[Cluster, ...]:
    """The record with the wanted id, or all records."""
    if wanted.cluster_id in ("", UNKNOWN):
        return castai.list_clusters()
    return tuple(filter(None, [castai.get_cluster(wanted.cluster_id)]))


def registration(records: tuple[Cluster, ...], facts: ClusterFacts, cluster_id: str) -> Cluster | None:
    """The record of this cluster: the one with the wanted id, or its own, or the one with its provider block.

    cluster_id: empty or UNKNOWN for any.
    """
    living = tuple(record for record in records if not record.gone)
    if cluster_id not in ("", UNKNOWN):
        return next((one for one in living if one.id == cluster_id), None)
    by_id = (one for one in living if one.id == facts.own_id)
    by_block = (one for one in living if facts.is_recorded_in(one))
    return next(by_id, None) or next(by_block, None)


def plan(current: Current, wanted: Desired) -> Iterable[Action]:
    facts, record = current.facts, current.record
    refusal = " ".join(facts.problems) or current.elsewhere or current.leaving or _record_problem(record, facts, wanted)
    if refusal:
        raise Refused(refusal)
    cluster_id = record.id if record else UNKNOWN
    if wanted.manage_token:
        _refuse_unwritable(current, wanted)
    if record is None and wanted.cluster_id != UNKNOWN:
        block: dict[str, Any] = {facts.provider: dict(facts.registration)}
        given = {"id": facts.own_id, "organizationId": wanted.organization_id}
        name = wanted.cluster.name
        yield Register(
            f"register {facts.title} {facts.location} with CAST AI",
            f"castai/cluster/{name}",
            None,
            {"name": name, "id": cluster_id, **block},
            name,
            {**block, **{name: value for name, value in given.items() if value}},
        )
    if wanted.manage_token:
        yield from _plan_token(current, wanted, cluster_id)


def _refuse_unwritable(current: Current, wanted: Desired) -> None:
    """Raise Refused before a token is minted that could not be stored."""
    if not (current.namespace_exists or wanted.create_namespace):
        raise Refused(namespace_refusal(wanted.namespace))
    if current.immutable and not current.token_usable:
        raise Refused(
            f"Secret {wanted.namespace}/{wanted.secret} is immutable, and CAST AI does not accept its {CREDENTIALS_KEY}"
            " for this cluster, so it has to be replaced. Delete it, or set"
            f" {named('credentials_secret')} to another name."
        )


def _plan_token(current: Current, wanted: Desired, cluster_id: str) -> Iterator[Action]:
    if not current.namespace_exists:
        yield CreateNamespace(
            f"create namespace {wanted.namespace}",
            f"kubernetes/namespace/{wanted.namespace}",
            None,
            {"name": wanted.namespace},
            wanted.namespace,
        )
    if not current.token_usable:
        place = f"{wanted.namespace}/{wanted.secret}"
        replaced = bool(current.secret_version)
        yield StoreToken(
            f"create the token of cluster {cluster_id} and {'replace' if replaced else 'store'} it in Secret {place}",
            f"kubernetes/secret/{place}",
            {CREDENTIALS_KEY: "a key that CAST AI does not accept for this cluster"} if replaced else None,
            {CREDENTIALS_KEY: f"the token of cluster {cluster_id}"},
            cluster_id,
            wanted.namespace,
            wanted.secret,
            current.secret_version,
        )


def _record_problem(record: Cluster | None, facts: ClusterFacts, wanted: Desired) -> str:
    if record is None:
        return (
            f"CAST AI has no cluster {wanted.cluster_id} in the organization of this API key. Check"
            f" {named('cluster_id')} and castai_api_key."
            if wanted.cluster_id not in ("", UNKNOWN)
            else ""
        )
    refusal = organization_problem((record,), wanted.organization_id)
    if refusal:
        return refusal
    if not _is_of(record, facts):
        block = facts.registration
        ours = f"{facts.title} {PROVIDERS[facts.provider].describe_location(block)}" if block else facts.title
        return mismatch_of_any(record, ours)
    if record.status == "deleting":
        return f"CAST AI is disconnecting cluster {record.id}. Wait until it has finished, then run again."
    return ""


def organization_problem(records: Iterable[Cluster], organization_id: str) -> str:
    """Why the organization that these clusters belong to is not the wanted one, or an empty text. organization_id:
    empty for any."""
    others = {record.organization_id for record in records if record.organization_id} - {organization_id}
    if not organization_id or not others:
        return ""
    return (
        f"The API key belongs to organization {', '.join(sorted(others))}, not {organization_id}. Use a key of the"
        f" organization that the cluster should belong to, or correct {named('organization_id')}."
    )


def settle(gateway: Systems, wanted: Desired, current: Current, made: Made, report: Report) -> Current:
    """Wait until CAST AI reports the wanted status. The record in the result is the last one that was read."""
    record: Any = made.get("record") or current.record
    if wanted.wait_for != "none" and not reached(record, wanted.wait_for):
        record = _wait(gateway, wanted, record, report)
    return replace(current, record=record)


def _wait(gateway: Systems, wanted: Desired, record: Cluster, report: Report) -> Cluster:
    seen, tell = record, paced(report, wanted.wait_timeout)

    def probe() -> bool:
        nonlocal seen
        seen = gateway.castai.get_cluster(record.id) or seen
        tell(f"cluster {seen.id} is {seen.status}, its agent {seen.agent_status}")
        if seen.status == "failed" and wanted.wait_for in ("ready", "onboarded"):
            raise CallFailed(
                f"CAST AI reports that cluster {seen.id} failed: {seen.reconcile_error or 'no reason given'}."
            )
        return reached(seen, wanted.wait_for)

    with within(wanted.wait_timeout):
        there = until(probe, timeout=wanted.wait_timeout)
    if not there:
        what, state = (
            ("The agent is", "online") if wanted.wait_for == "agent_online" else ("The cluster is", wanted.wait_for)
        )
        raise CallFailed(
            f"{what} not {state} after {wanted.wait_timeout} s: cluster {seen.id} is {seen.status}, its agent"
            f" {seen.agent_status}. Look at the pods of namespace {wanted.namespace}, or raise {named('wait_timeout')}."
        )
    return seen


def reached(record: Cluster, wait_for: str) -> bool:
    """Whether the cluster has reached what wait_for asks for.

    Status "ready" alone proves nothing: CAST AI also reports it for clusters whose agent is silent or that have no
    credentials yet. isPhase2 is not read: CAST AI does not document when it changes, and another tool may have
    installed the components.
    """
    online = record.agent_status == "online"
    ready = wait_for == "agent_online" or record.status == "ready"
    return online and ready and (wait_for != "onboarded" or bool(record.credentials_id))


def view(current: Current, wanted: Desired, made: Made) -> Mapping[str, Any]:
    facts, cluster_id = current.facts, current.record.id if current.record else UNKNOWN
    agent_environment = PROVIDERS[facts.provider].agent_environment
    read = facts if wanted.read_cluster else None
    warnings = [*filter(None, (unchecked_warning(wanted.cluster, read), _former_warning(current, wanted)))]
    environment = dict(agent_environment(read, cluster_id, bool(wanted.cluster_id))) if read else {}
    return {
        **facts.result_fields,
        "agent_environment": environment,
        "cluster_id": cluster_id,
        "cluster": public(current.record) if current.record else None,
        "console_url": f"{wanted.console}/external-clusters/{cluster_id}/overview" if wanted.console else "",
        **({"warnings": warnings} if warnings else {}),
    }


def _former_warning(current: Current, wanted: Desired) -> str:
    """CAST AI does not document what registering such a cluster again does."""
    if current.record or not current.former or wanted.cluster_id:
        return ""
    return (
        f"CAST AI still lists this cluster as {current.former.id}, which is {current.former.status}. If it cannot be"
        " registered again, delete that record in CAST AI's console first."
    )


def key_of(secret: Object | None) -> str:
    """The key in the cluster's Secret; empty if there is none that can be read."""
    raw = ((secret or {}).get("data") or {}).get(CREDENTIALS_KEY) or ""
    try:
        return base64.b64decode(raw, validate=True).decode()
    except ValueError:
        return ""


def _version_of(secret: Object | None) -> str:
    return str(((secret or {}).get("metadata") or {}).get("resourceVersion") or "")


def confirm(gateway: Systems, wanted: Desired, current: Current, planned: tuple[Action, ...]) -> tuple[Action, ...]:
    """Refuse what the cluster would. In a Namespace that does not exist yet, nothing can be tried."""
    kind = CreateNamespace if any(isinstance(action, CreateNamespace) for action in planned) else StoreToken
    tried = [action for action in planned if isinstance(action, kind)]
    if tried:
        refuse_unadmitted(gateway.connection.cluster(), tried)
    return planned


SUBJECT = Subject(OPTIONS, desired, connect, observe, plan, view, settle, confirm=confirm)
