# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What prevents connecting or onboarding a cluster: reads only, and reports every reason at once.

What only onboarding needs: phase2. What the credentials may do: rights. PRIVATE to the collection.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ParamSpec, TypeVar

from .._clusters.connection import (
    Connection,
    given,
    named_by,
    namespace_refusal,
    other_cluster_problem,
    terminating_problem,
    unchecked_warning,
)
from .._clusters.facts import CloudRights, ClusterFacts, Named, Provider
from .._clusters.table import PROVIDERS, connection_options, connection_rules, registration_options
from .._engine import UNKNOWN, Action, Failure, Made, Refused, Subject, Unwritable, at_once, numbered, results
from .._gateways.castai import CastAi, Cluster, by_options
from .._gateways.helm import SERVER_SIDE, Helm, driver_problem
from .._gateways.helm import Chart as HelmChart
from .._gateways.kubernetes import Kubernetes, Object, path_of
from .._helm import record as helm_record
from .._helm.owner import Owner, managed_refusal, operators, owner
from .._helm.record import History, Revision
from .._helm.values import secrets
from .._names import CREDENTIALS_SECRET, NAMESPACE, chart_version_problem, helm_release_problem
from .._options import castai_options
from .._variables import named, role_of
from . import phase2, readiness, rights
from .cluster import AGENT_METADATA, key_of, organization_problem, problems, registration
from .phase2 import Onboarding
from .readiness import Verdict
from .rights import missing_in_cluster

Parameters = Mapping[str, Any]

P = ParamSpec("P")
T = TypeVar("T")

OLDEST_KUBERNETES = (1, 21)
"""The charts use policy/v1 without a fallback; Kubernetes has it since 1.21."""

OPTIONS: dict[str, Any] = {
    "argument_spec": {
        **connection_options(required=True),
        **castai_options(),
        "cluster_id": {"type": "str"},
        "create_namespace": {"type": "bool", "default": True},
        "credentials_secret": {"type": "str", "default": CREDENTIALS_SECRET, "no_log": False},
        "helm_path": {"type": "path"},
        "namespace": {"type": "str", "default": NAMESPACE},
        "onboard": {"type": "dict", "options": phase2.OPTIONS},
        "organization_id": {"type": "str"},
        "releases": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "adopt": {"type": "bool", "default": False},
                "adopt_managed": {"type": "bool", "default": False},
                "chart_ref": {"type": "str", "required": True},
                "chart_repo_url": {"type": "str"},
                "chart_version": {"type": "str"},
                "name": {"type": "str", "required": True},
                "policy": {"type": "str", "choices": ["install_only", "enforce"], "default": "enforce"},
                "values": {"type": "dict", "default": {}},
            },
        },
        **registration_options(),
        "wait_for_workloads": {"type": "bool", "default": True},
    },
    **connection_rules(required=True),
}


@dataclass(frozen=True)
class Chart:
    """A release that the run will install or upgrade. Texts are empty if not given."""

    release: str
    ref: str
    repo_url: str
    version: str
    any_version: bool = False
    """Whether any existing version of the release will do."""
    adopt: bool = False
    """Whether the release takes over objects that no Helm release owns."""
    adopt_managed: bool = False
    """Whether the release takes over objects that another tool manages."""
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def role(self) -> str:
        """The role whose variables set it, empty if unknown."""
        return role_of(self.release)


@dataclass(frozen=True)
class Desired:
    """What the user says about the cluster. Texts are empty if not given or invalid."""

    cluster: Named
    findable: bool
    """Whether all options that are needed to ask the provider about the cluster are given."""
    cluster_id: str
    organization_id: str
    namespace: str
    secret: str
    charts: tuple[Chart, ...]
    problems: tuple[str, ...]
    """What is wrong with the options themselves, found before any call."""
    onboarding: Onboarding | None = None
    """The onboarding options; None if the cluster is only to be connected."""
    registering: bool = False
    """Whether the id is unknown because an earlier task of the same check would have registered the cluster."""
    must_run: bool = True
    """Whether something that would keep a release from running is a finding; otherwise it is a warning."""
    create_namespace: bool = True

    @property
    def provider(self) -> Provider:
        return PROVIDERS[self.cluster.provider]


@dataclass(frozen=True)
class Problem:
    """A read that failed. The sentence takes the place of the value."""

    sentence: str


@dataclass(frozen=True)
class Releases:
    """What Helm has recorded about the wanted releases, read once for all questions.

    known: whether it could be read; unreadable: why the record of a single release cannot be read, by release.
    """

    known: bool
    histories: Mapping[str, History] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, listed: Object | Problem | None, charts: Iterable[Chart]) -> Releases:
        if isinstance(listed, Problem):
            return cls(known=False)
        histories, unreadable = {}, {}
        for release in dict.fromkeys(chart.release for chart in charts):
            try:
                history = helm_record.of(_items(listed), release)
                goal = helm_record.goal(history)
                if goal:
                    len(goal.contents.objects)
            except Refused as refusal:
                unreadable[release] = str(refusal)
            else:
                histories[release] = history
        return cls(True, histories, unreadable)

    def of_chart(self, chart: Chart) -> History:
        return self.histories.get(chart.release, ())

    def goal(self, chart: Chart) -> Revision | None:
        """The revision that should be installed."""
        return helm_record.goal(self.of_chart(chart))


@dataclass(frozen=True)
class Current:
    """What the reads returned: a value, a Problem, or None for what could not be asked."""

    records: tuple[Cluster, ...] | Problem = ()
    facts: ClusterFacts | Problem | None = None
    elsewhere: str = ""
    leaving: str = ""
    """Why nothing can be created in the namespace."""
    namespace_exists: bool = True
    version: tuple[int, int] | Problem | None = None
    missing: tuple[str, ...] | Problem = ()
    """Kubernetes permissions that are missing, as "verb resource.group"."""
    reporting: str = ""
    """Id under which an agent of the cluster reports."""
    agent_cluster: str = ""
    """Id under which an agent reports, of a cluster that the API key cannot see."""
    helm: tuple[str, ...] = ()
    """Why Helm does not work, or a chart cannot be fetched."""
    taken: tuple[str, ...] | Problem = ()
    """Why a release cannot be installed over existing objects."""
    tokenless: str = ""
    """The Secret that should contain the cluster's token, but does not, for components that are to be installed."""
    nodes: tuple[str, ...] | Problem = ()
    """The kinds of nodes, if CAST AI cannot use any of them."""
    startable: Verdict | Problem = field(default_factory=Verdict)
    """Whether the pods of releases that are to be installed can start."""
    metrics: str = ""
    """What works less well because metrics-server is missing or silent."""
    pulling: tuple[str, ...] = ()
    """Which Secrets for pulling images are missing."""
    rights: CloudRights | Problem | None = None
    caller: str = ""
    """Who the cloud credentials belong to; empty if it could not be read."""


@dataclass(frozen=True)
class Systems:
    """castai: returns the API, or raises Refused if its options are unusable, which is then one finding of many."""

    params: Parameters
    castai: Callable[[], CastAi]
    connection: Connection
    helm: Helm

    def close(self) -> None:
        self.connection.close()


def desired(params: Parameters) -> Desired:
    charts = tuple(
        Chart(
            item["name"],
            item["chart_ref"],
            item.get("chart_repo_url") or "",
            item.get("chart_version") or "",
            item.get("policy") == "install_only",
            bool(item.get("adopt")),
            bool(item.get("adopt_managed")),
            item.get("values") or {},
        )
        for item in params["releases"]
    )
    params = phase2.with_defaults(params)
    wrong = problems(params)
    names = filter(None, [helm_release_problem(chart.release) for chart in charts])
    versions = filter(None, [chart_version_problem(chart.version, chart.release) for chart in charts])
    usable = {option: "" if option in wrong else value for option, value in params.items()}
    cluster_id = usable.get("cluster_id") or ""
    named_so = named_by(usable)
    return Desired(
        named_so,
        bool(named_so.name) and not wrong.keys() & PROVIDERS[params["provider"]].missing_options(usable).keys(),
        "" if cluster_id == UNKNOWN else cluster_id.lower(),
        (params.get("organization_id") or "").lower(),
        params["namespace"],
        usable["credentials_secret"] or "",
        charts,
        (*wrong.values(), *names, *versions, *phase2.problems(params)),
        Onboarding.parse(params["onboard"]) if params.get("onboard") else None,
        params.get("cluster_id") == UNKNOWN,
        params.get("wait_for_workloads", True),
        params.get("create_namespace", True),
    )


def connect(params: Parameters, wanted: Desired) -> Systems:
    return Systems(params, partial(by_options, params), Connection(params), Helm(params.get("helm_path")))


def observe(gateway: Systems, wanted: Desired) -> Current:
    """Round 1: CAST AI and the provider. Round 2: the cluster, and what the cloud lets the caller do. Round 3: single
    permissions, other organizations, charts, and who owns the objects that the releases would create."""
    with at_once() as ask:
        asked_records = ask(_attempt, lambda: gateway.castai().list_clusters())
        account = ask.when(wanted.findable, _account, gateway, wanted)
    records, (facts, caller) = asked_records.result(), account.result() or (None, "")
    with at_once() as ask:
        inside = ask(_inside, gateway, wanted, Current(records, facts))
        cloud_rights = ask(_attempt, _rights, gateway, wanted, Current(records, facts), caller)
    return replace(inside.result(), rights=cloud_rights.result(), caller="" if isinstance(caller, Problem) else caller)


def _account(gateway: Systems, wanted: Desired) -> tuple[ClusterFacts | Problem | None, str | Problem]:
    """The cluster, and who the cloud credentials belong to."""
    cloud = _attempt(gateway.connection.cloud)
    if isinstance(cloud, Problem):
        return cloud, ""
    with at_once() as ask:
        facts = ask(_attempt, gateway.connection.read, wanted.cluster)
        caller = ask(_attempt, wanted.provider.caller, cloud)
    return facts.result(), caller.result()


def _rights(gateway: Systems, wanted: Desired, current: Current, caller: str | Problem) -> CloudRights | None:
    onboarding, there, known = wanted.onboarding, _there(current.facts), _known(current, wanted)
    if onboarding is None or there is None or not caller or isinstance(caller, Problem):
        return None
    record = known[1] if known else None
    cloud, castai = gateway.connection.cloud(), gateway.castai
    return wanted.provider.onboarding.rights(cloud, there, onboarding.options, record, caller, castai)


def _inside(gateway: Systems, wanted: Desired, current: Current) -> Current:
    """current, with what the cluster and Helm say."""
    records = current.records
    facts = None if isinstance(current.facts, Problem) else current.facts
    api_server = facts.api_server if facts else None
    if api_server is None and not given(gateway.params):
        return replace(current, helm=_helm_problems(gateway, wanted.charts))
    kubernetes = _attempt(gateway.connection.cluster, api_server)
    if isinstance(kubernetes, Problem):
        return replace(current, version=kubernetes, helm=_helm_problems(gateway, wanted.charts))
    elsewhere = other_cluster_problem(kubernetes, facts, wanted.cluster.checked) if facts else ""
    if elsewhere:
        return replace(current, elsewhere=elsewhere, helm=_helm_problems(gateway, wanted.charts))
    values = {chart.release: chart.values for chart in wanted.charts}
    with at_once() as ask:
        asked_version = ask(_attempt, kubernetes.version)
        asked_namespace = ask(_attempt, kubernetes.get, path_of("v1", "Namespace", wanted.namespace, None))
        everything = ask(_attempt, kubernetes.can, "*", "*", "*")
        secrets_of_helm = ask(
            _attempt, kubernetes.get, path_of("v1", "Secret", None, wanted.namespace), labelSelector="owner=helm"
        )
        metadata = ask(_attempt, kubernetes.get, path_of("v1", "ConfigMap", AGENT_METADATA, wanted.namespace))
        secret = ask.when(
            bool(wanted.onboarding and wanted.secret),
            _attempt,
            kubernetes.get,
            path_of("v1", "Secret", wanted.secret, wanted.namespace),
        )
        asked_nodes = ask(_attempt, readiness.nodes, kubernetes, facts)
        quotas = ask(_attempt, kubernetes.get, path_of("v1", readiness.QUOTA, None, wanted.namespace))
        limits = ask(_attempt, kubernetes.get, path_of("v1", readiness.LIMITS, None, wanted.namespace))
        pulling = ask(readiness.pull_warnings, kubernetes, wanted.namespace, values)
        metrics = ask.when(wanted.onboarding is not None, readiness.metrics_warning, kubernetes, list(values))
    version, namespace, nodes = asked_version.result(), asked_namespace.result(), asked_nodes.result()
    if isinstance(version, Problem):
        return replace(current, version=version, helm=_helm_problems(gateway, wanted.charts))
    reporting = _cluster_of(metadata.result())
    releases = Releases.of(secrets_of_helm.result(), wanted.charts)
    charts = _to_install(releases, wanted.charts, _is_unknown(current, wanted))
    foreign = _foreign(wanted, nodes) if wanted.onboarding else ()
    cluster = readiness.Cluster.of(
        wanted.namespace,
        _or_none(namespace),
        _or_none(quotas.result()),
        _or_none(limits.result()),
        None if foreign else _or_none(nodes),
    )
    with at_once() as ask:
        missing = ask.when(
            everything.result() is not True,
            _attempt,
            lambda: _missing(
                kubernetes, wanted, facts, namespace is not None, _waiting_for_hooks(gateway.helm, charts)
            ),
        )
        reported = ask.when(_unknown(reporting, records), _attempt, lambda: gateway.castai().get_cluster(reporting))
        helm = ask(_helm_problems, gateway, charts)
        taken = ask(_attempt, _taken, gateway, kubernetes, wanted, releases)
        exemption = wanted.provider.onboarding.exemption(facts) if facts and facts.exists else ""
        policed = readiness.Policed(kubernetes, exemption, namespace is not None) if exemption else None
        startable = ask(_attempt, _startable, gateway.helm, version, cluster, _absent(releases, charts), policed)
    return replace(
        current,
        leaving="" if isinstance(namespace, Problem) else terminating_problem(namespace),
        namespace_exists=namespace is not None,
        version=version,
        missing=missing.result() or (),
        reporting=reporting,
        agent_cluster=reporting if _unknown(reporting, records) and reported.result() is None else "",
        helm=helm.result(),
        taken=taken.result(),
        tokenless=_tokenless(secret.result(), wanted) if charts or _refer_to_secret(releases, wanted) else "",
        nodes=foreign,
        startable=startable.result(),
        metrics=metrics.result() or "",
        pulling=pulling.result(),
    )


def plan(current: Current, wanted: Desired) -> Iterable[Action]:
    """Never returns an action: this module only refuses."""
    findings = tuple(dict.fromkeys(findings_of(current, wanted)))
    lacks = tuple(dict.fromkeys(lacks_of(current, wanted)))
    if lacks:
        every = (*findings, *lacks)
        raise Unwritable(numbered(every), every, lacks, Refused(numbered(findings), findings) if findings else None)
    if findings:
        raise Refused(numbered(findings), findings)
    return ()


def lacks_of(current: Current, wanted: Desired) -> Iterable[str]:
    """Permissions to write that the credentials lack; a plan does not need them."""
    yield from _missing_sentence(current, wanted, reading=False)
    if wanted.onboarding and isinstance(current.rights, CloudRights):
        yield from current.rights.writing


def _missing_sentence(current: Current, wanted: Desired, reading: bool) -> Iterable[str]:
    missing, there = current.missing, _there(current.facts)
    some = [] if isinstance(missing, Problem) else [label for label in missing if rights.for_a_plan(label) is reading]
    if some:
        hints = (wanted.provider.kubernetes_grant, there.caller_hint if there else "")
        yield (
            f"These Kubernetes permissions are missing in namespace {wanted.namespace} or cluster-wide:"
            f" {', '.join(some)}. Grant them to the user or role of this run, or run this as a cluster administrator."
            f"{''.join(f' {one}' for one in hints if one)}"
        )


def findings_of(current: Current, wanted: Desired) -> Iterable[str]:
    """Every reason to stop, in check mode too, each a sentence with the fix. What only a run needs: lacks_of."""
    yield from wanted.problems
    yield from _castai_findings(current, wanted)
    yield from _provider_findings(current, wanted)
    if current.elsewhere:
        yield current.elsewhere
    if isinstance(current.version, Problem):
        yield current.version.sentence
    elif current.version and current.version < OLDEST_KUBERNETES:
        yield (
            f"The API server runs Kubernetes {'.'.join(map(str, current.version))}, but CAST AI's agent needs"
            f" {'.'.join(map(str, OLDEST_KUBERNETES))} or newer. Upgrade the cluster first."
        )
    if current.leaving:
        yield current.leaving
    if not (current.namespace_exists or wanted.create_namespace):
        yield namespace_refusal(wanted.namespace)
    if isinstance(current.missing, Problem):
        yield current.missing.sentence
    else:
        yield from _missing_sentence(current, wanted, reading=True)
    yield from current.helm
    if not isinstance(current.taken, Problem):
        yield from current.taken
    if wanted.must_run:
        yield from _stopping(current)
    if wanted.onboarding:
        yield from _onboarding_findings(current, wanted, wanted.onboarding)


def _castai_findings(current: Current, wanted: Desired) -> Iterable[str]:
    if isinstance(current.records, Problem):
        yield current.records.sentence
        return
    if wanted.cluster_id and wanted.cluster_id not in {record.id for record in current.records if not record.gone}:
        yield (
            f"This API key cannot see cluster {wanted.cluster_id} at CAST AI: it was deleted, or the key belongs to"
            f" another organization. Check {named('cluster_id')} and castai_api_key."
        )
    yield from filter(None, [organization_problem(current.records, wanted.organization_id)])
    if current.agent_cluster:
        yield (
            f"An agent in this cluster already reports to CAST AI as cluster {current.agent_cluster}, which this API"
            " key cannot see. Use a key of that organization, or disconnect the cluster there first. If it was deleted"
            f" at CAST AI, delete the agent's ConfigMap {AGENT_METADATA}, which still names it."
        )
    yield from filter(None, [_two_records(current, wanted)])


def _two_records(current: Current, wanted: Desired) -> str:
    """Why an agent that reports under another record of the same cluster is not moved, or an empty text."""
    facts, record = _known(current, wanted) or (None, None)
    if facts is None or record is None or isinstance(current.records, Problem):
        return ""
    same = {one.id for one in current.records if not one.gone and facts.is_recorded_in(one)}
    if current.reporting == record.id or current.reporting not in same:
        return ""
    return (
        f"The agent in this cluster reports to CAST AI as cluster {current.reporting}, but CAST AI also has this"
        f" cluster as {record.id}. Delete one of the two in CAST AI's console, or set {named('cluster_id')} to"
        f" {current.reporting}."
    )


def _onboarding_findings(current: Current, wanted: Desired, onboarding: Onboarding) -> Iterable[str]:
    known = _known(current, wanted)
    if known and not wanted.registering:
        facts, record = known
        if record or not wanted.cluster_id:
            yield from phase2.connection_findings(record, facts, current.tokenless, onboarding)
    if not isinstance(current.nodes, Problem):
        yield from filter(None, [wanted.provider.onboarding.nodes_problem(current.nodes)])
    if isinstance(current.rights, CloudRights):
        yield from current.rights.reading


def _provider_findings(current: Current, wanted: Desired) -> Iterable[str]:
    if isinstance(current.facts, Problem):
        yield current.facts.sentence
    elif current.facts:
        yield from current.facts.problems


def view(current: Current, wanted: Desired, made: Made) -> Mapping[str, Any]:
    facts = _there(current.facts)
    onboarding = _warnings(current, wanted) if wanted.onboarding else ()
    warned = [*dict.fromkeys((*onboarding, *_startup_warnings(current, wanted)))]
    return {
        "findings": [],
        **(facts.result_fields if facts else {}),
        "acting_as": wanted.provider.acting_as(current.caller, facts),
        "cluster_id": _checked_id(current, wanted),
        "kubernetes_version": ".".join(map(str, current.version)) if isinstance(current.version, tuple) else "",
        "not_checked": list(_not_checked(current, wanted)),
        **({"warnings": warned} if warned else {}),
    }


def _checked_id(current: Current, wanted: Desired) -> str:
    """The ID of CAST AI's record that describes the cluster. Empty if there is none, or it could not be checked."""
    facts, record = _known(current, wanted) or (None, None)
    return record.id if facts and record and (record.id == facts.own_id or facts.is_recorded_in(record)) else ""


def _startup_warnings(current: Current, wanted: Desired) -> Iterable[str]:
    """What keeps releases from running, if that is not a reason to stop, and what will work less well."""
    yield from () if wanted.must_run else _stopping(current)
    if isinstance(current.startable, Verdict):
        yield from current.startable.warnings
    if current.metrics:
        yield current.metrics
    yield from current.pulling


def _stopping(current: Current) -> Iterable[str]:
    """What keeps releases that are to be installed from running."""
    if isinstance(current.startable, Verdict):
        yield from current.startable.findings


def _warnings(current: Current, wanted: Desired) -> Iterable[str]:
    if isinstance(current.rights, CloudRights):
        yield from current.rights.warnings
    facts = _there(current.facts)
    if facts and not isinstance(current.nodes, Problem):
        yield from wanted.provider.onboarding.warnings(facts, current.nodes)


def _not_checked(current: Current, wanted: Desired) -> Iterable[str]:
    yield from filter(None, [unchecked_warning(wanted.cluster, _there(current.facts))])
    if wanted.organization_id and current.records == ():
        yield (
            "Could not check which organization the API key belongs to: only its clusters show this, and it has none"
            f" yet. CAST AI checks {named('organization_id')} when the first one is registered."
        )
    if isinstance(current.taken, Problem):
        yield f"Could not check who owns the objects of releases: {current.taken.sentence}"
    if isinstance(current.nodes, Problem):
        yield f"Could not check the kinds of nodes: {current.nodes.sentence}"
    if isinstance(current.startable, Verdict):
        yield from current.startable.not_checked
    else:
        yield f"Could not check whether pods can start: {current.startable.sentence}"
    if isinstance(current.rights, Problem):
        yield f"Could not check {wanted.provider.cloud_title} permissions: {current.rights.sentence}"
    elif current.rights:
        yield from current.rights.not_checked


def _attempt(read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Problem:
    """What a read returns, or why it failed."""
    try:
        return read(*args, **kwargs)
    except Failure as failure:
        return Problem(str(failure))


def _or_none(answer: T | Problem) -> T | None:
    return None if isinstance(answer, Problem) else answer


def _missing(
    kubernetes: Kubernetes,
    wanted: Desired,
    facts: ClusterFacts | None,
    namespace_exists: bool,
    hooks: Iterable[str] = (),
) -> tuple[str, ...]:
    """hooks: as _waiting_for_hooks gives it."""
    create = () if namespace_exists or not wanted.create_namespace else rights.CREATE_NAMESPACE
    if wanted.onboarding is None:
        return missing_in_cluster(kubernetes, wanted.namespace, (*create, *rights.CONNECT), rights.CONNECT_SYSTEM)
    there = facts if facts and facts.exists else None
    of_system = wanted.provider.onboarding.system_rows(there, wanted.onboarding.options)
    rows = (
        *create,
        *rights.ONBOARD,
        *(row for chart in wanted.charts for row in rights.OF_RELEASE.get(chart.release, ())),
        *(row for release in hooks for row in rights.HOOKS[release]),
    )
    return missing_in_cluster(kubernetes, wanted.namespace, rows, of_system)


def _waiting_for_hooks(helm: Helm, charts: tuple[Chart, ...]) -> tuple[str, ...]:
    """The releases to be installed whose hooks Helm will wait for, with everything that they create."""
    found = tuple(chart.release for chart in charts if chart.release in rights.HOOKS)
    version = _attempt(helm.check_version) if found else ()
    return found if not isinstance(version, Problem) and version >= SERVER_SIDE else ()


def _known(current: Current, wanted: Desired) -> tuple[ClusterFacts, Cluster | None] | None:
    """The cluster and CAST AI's record of it; None if one of the two could not be read."""
    facts, records = _there(current.facts), current.records
    if facts is None or isinstance(records, Problem):
        return None
    return facts, registration(records, facts, wanted.cluster_id)


def _there(facts: ClusterFacts | Problem | None) -> ClusterFacts | None:
    """The cluster, if the provider has it."""
    return None if isinstance(facts, Problem) or facts is None or not facts.exists else facts


def _cluster_of(metadata: Object | Problem | None) -> str:
    return (
        ""
        if not metadata or isinstance(metadata, Problem)
        else str((metadata.get("data") or {}).get("CLUSTER_ID") or "")
    )


def _tokenless(secret: Object | Problem | None, wanted: Desired) -> str:
    """See Current.tokenless."""
    if isinstance(secret, Problem) or not wanted.secret or key_of(secret):
        return ""
    return f"{wanted.namespace}/{wanted.secret}"


def _unknown(cluster_id: str, records: tuple[Cluster, ...] | Problem) -> bool:
    return bool(cluster_id) and not isinstance(records, Problem) and cluster_id not in {record.id for record in records}


def _foreign(wanted: Desired, nodes: tuple[Object, ...] | Problem | None) -> tuple[str, ...] | Problem:
    """See Current.nodes. nodes: None if there are more than are read at once; nothing is reported then."""
    return nodes if isinstance(nodes, Problem) else wanted.provider.onboarding.foreign_nodes(nodes or ())


def _to_install(releases: Releases, charts: tuple[Chart, ...], anew: bool = False) -> tuple[Chart, ...]:
    """The charts that the run has to fetch: those whose release is not deployed, or deployed at an unwanted version.

    anew: the cluster gets a new id, which is in the values of every release.
    """
    return tuple(
        chart
        for chart in charts
        if chart.release not in releases.unreadable and (anew or not _chart_is_there(releases, chart))
    )


def _is_unknown(current: Current, wanted: Desired) -> bool:
    """Whether CAST AI certainly does not have the cluster: it was never connected, or was removed there."""
    known = _known(current, wanted)
    return known is not None and known[1] is None


def _chart_is_there(releases: Releases, chart: Chart) -> bool:
    """Whether the cluster has everything that a run needs from the chart; a repair uses the recorded chart."""
    if chart.any_version:
        return releases.goal(chart) is not None
    return helm_record.deployed(releases.of_chart(chart), chart.version)


def _absent(releases: Releases, charts: tuple[Chart, ...]) -> tuple[Chart, ...]:
    """Releases that are not fully installed, so all their pods are new."""
    return tuple(
        chart
        for chart in charts
        if releases.known and chart.release not in releases.unreadable and not releases.goal(chart)
    )


def _startable(
    helm: Helm,
    version: tuple[int, int],
    cluster: readiness.Cluster,
    charts: tuple[Chart, ...],
    policed: readiness.Policed | None,
) -> Verdict:
    if version < OLDEST_KUBERNETES or not charts:
        return Verdict()
    planned = [
        readiness.Planned(chart.release, HelmChart(chart.ref, chart.version, chart.repo_url, chart.role), chart.values)
        for chart in charts
    ]
    return readiness.study(helm, cluster, planned, policed)


def _refer_to_secret(releases: Releases, wanted: Desired) -> bool:
    """Whether an existing release takes the cluster's token from the Secret."""
    goals = [releases.goal(chart) for chart in wanted.charts if chart.release not in releases.unreadable]
    return any(goal is not None and wanted.secret in goal.contents.manifest for goal in goals)


def _taken(gateway: Systems, kubernetes: Kubernetes, wanted: Desired, releases: Releases) -> tuple[str, ...]:
    """Why releases cannot be installed over existing objects or changed, in castai_release's words."""
    if not releases.known:
        return ()
    if releases.unreadable:
        return tuple(releases.unreadable.values())
    there = {chart.release for chart in wanted.charts if releases.goal(chart)}
    # An existing release for which any version will do is left alone.
    charts = [chart for chart in wanted.charts if not (chart.release in there and chart.any_version)]
    if not charts:
        return ()
    with at_once() as ask:
        owners = {chart.release: ask(owner, kubernetes, chart.release, wanted.namespace) for chart in charts}
        operator = ask(operators, kubernetes, wanted.namespace)
    refusals = [
        _refusal(
            gateway.helm,
            chart,
            owners[chart.release].result(),
            operator.result()(chart.release),
            chart.release in there,
        )
        for chart in charts
    ]
    return tuple(filter(None, refusals))


def _refusal(helm: Helm, chart: Chart, found: Owner | None, operator: str, exists: bool) -> str:
    """found: who owns its objects; operator: who manages it besides Helm; exists: whether the release exists."""
    manager = operator or (found.manager if found and exists else "")
    if manager and not chart.adopt_managed:
        return managed_refusal(f"Helm release {chart.release}", manager, chart.release, exists)
    if found is None or exists:
        return ""
    version = _attempt(helm.check_version)
    old = "" if isinstance(version, Problem) else found.helm_refusal(version)
    return found.refusal(chart.adopt, chart.release, chart.adopt_managed) or old


def _items(listed: Object | None) -> list[Object]:
    return (listed or {}).get("items") or []


def _helm_problems(gateway: Systems, charts: tuple[Chart, ...]) -> tuple[str, ...]:
    driver = driver_problem(os.environ)
    if driver:
        return (driver,)
    if not charts:
        return ()
    helm = gateway.helm
    try:
        helm.check_version()
    except Failure as failure:
        return (str(failure),)
    with at_once() as ask:
        shown = {
            chart.release: ask(_attempt, helm.show_chart, chart.ref, chart.version, chart.repo_url, chart.role)
            for chart in charts
        }
    return tuple(answer.sentence for answer in results(shown).values() if isinstance(answer, Problem))


def hidden(params: Parameters) -> tuple[str, ...]:
    """Texts among the charts' values that look secret."""
    items = params.get("releases") or ()
    values = [item.get("values") for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []
    return tuple(text for one in values if isinstance(one, dict) for text in secrets(one))


SUBJECT = Subject(OPTIONS, desired, connect, observe, plan, view, hidden=hidden)
