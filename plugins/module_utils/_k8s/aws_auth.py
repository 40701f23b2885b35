# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One mapping of ConfigMap kube-system/aws-auth, added or removed. PRIVATE to the collection.

The ConfigMap is not ours: one wrong byte locks nodes and administrators out. So only the text of our entry is touched
(aws_auth_text), the write carries the resourceVersion that was read, and the stored text is compared.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .._clusters.connection import Connection, Tried, named_by, refuse_unadmitted
from .._clusters.facts import Named
from .._clusters.table import connection_options, connection_rules, given_problems
from .._credentials import quoted
from .._engine import UNKNOWN, Action, CallFailed, Made, Refused, Subject
from .._gateways.kubernetes import Kubernetes, Object, path_of
from .._names import MANAGED_BY
from .._variables import named
from . import aws_auth_text as text
from .aws_auth_reading import Entry

Parameters = Mapping[str, Any]

NAME, NAMESPACE = "aws-auth", "kube-system"
ROLES, USERS = "mapRoles", "mapUsers"
PATH = path_of("v1", "ConfigMap", NAME, NAMESPACE)
READ_BY_CLUSTER = ("CONFIG_MAP", "API_AND_CONFIG_MAP")
"""EKS authentication modes in which the cluster reads aws-auth."""

_LARGEST = 1_048_576
"""Bytes of data and binaryData: MaxSecretSize of Kubernetes' pkg/apis/core, which ValidateConfigMap uses too."""

_RULES = connection_rules(required=False)

OPTIONS: dict[str, Any] = {
    "argument_spec": {
        **connection_options(required=False),
        "create": {"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
        "created_before": {"type": "bool", "default": False},
        "groups": {"type": "list", "elements": "str", "default": []},
        "role_arn": {"type": "str"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "user_arn": {"type": "str"},
        "username": {"type": "str"},
    },
    **_RULES,
    "mutually_exclusive": [*_RULES["mutually_exclusive"], ["role_arn", "user_arn"]],
    "required_if": [["state", "present", ["username"]]],
}

_PARTITION = r"aws(?:-cn|-us-gov|-eusc|-iso(?:-[a-z])?)?"
_NAME = rf"[\w+=,.@-]{{1,64}}|[\w+=,.@-]*{re.escape(UNKNOWN)}"
_ARN = re.compile(rf"arn:{_PARTITION}:iam::[0-9]{{12}}:(role|user)/(?:[!-.0-~]+/)*(?:{_NAME})", re.ASCII)


@dataclass(frozen=True)
class Desired:
    """What the user wants. kind: the ConfigMap's key, mapRoles or mapUsers."""

    kind: str
    entry: Entry
    present: bool
    create: str
    cluster: Named
    created_before: bool = False
    """Whether an earlier task of the same plan would create the ConfigMap."""


@dataclass(frozen=True)
class Current:
    """The current state. data: None if the ConfigMap does not exist; mode: EKS's, empty if EKS was not asked."""

    data: Mapping[str, str] | None
    version: str = ""
    ours: bool = False
    """Whether this collection created the ConfigMap."""
    mode: str = ""
    immutable: bool = False
    binary: frozenset[str] = frozenset()
    """The keys of binaryData, which the authenticator does not read."""
    binary_size: int = 0
    """Bytes of binaryData, which count for what a ConfigMap may contain."""


@dataclass(frozen=True)
class Write(Tried):
    """Set the ConfigMap's key to a text (None removes it), on the version that was read."""

    kind: str = ""
    version: str = ""

    def send(self, cluster: Kubernetes, made: Made, dry_run: bool = False) -> Object:
        version = made.get(f"{NAME} {self.version}", self.version)
        body = {"metadata": {"resourceVersion": version}, "data": {self.kind: self.after}}
        stored = cluster.patch(PATH, body, dry_run)
        _prove(stored, self.kind, self.after, dry_run)
        return stored

    def run(self, gateway: Connection, made: Made) -> Mapping[str, Any]:
        """Passes the new version on to another write of the same plan, under the version that was read."""
        stored = self.send(gateway.cluster(), made)
        return {f"{NAME} {self.version}": stored["metadata"]["resourceVersion"]}


@dataclass(frozen=True)
class Create(Tried):
    kind: str = ""

    def send(self, cluster: Kubernetes, made: Made, dry_run: bool = False) -> None:
        metadata = {"name": NAME, "namespace": NAMESPACE, "labels": MANAGED_BY}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {self.kind: self.after}}
        stored = cluster.create(path_of("v1", "ConfigMap", None, NAMESPACE), body, dry_run)
        _prove(stored, self.kind, self.after, dry_run)


@dataclass(frozen=True)
class Delete(Tried):
    version: str = ""

    def send(self, cluster: Kubernetes, made: Made, dry_run: bool = False) -> None:
        if dry_run:
            cluster.try_to_delete(PATH)
        else:
            cluster.delete(PATH, {"preconditions": {"resourceVersion": self.version}})


def desired(params: Parameters) -> Desired:
    kind, option = (ROLES, "role_arn") if params.get("role_arn") else (USERS, "user_arn")
    arn = params.get(option) or ""
    if not arn:
        options = f"{named('role_arn')} nor {named('user_arn')}"
        raise Refused(f"Neither {options} is set. Set one of them to the ARN of the principal.")
    found = _ARN.fullmatch(arn)
    if not found or found[1] != option[:4]:
        shape = f"arn:aws:iam::ACCOUNT:{option[:4]}/NAME"
        raise Refused(f"{named(option)} is {quoted(arn)}. Set it to the ARN of an IAM {option[:4]}, {shape}.")
    problems = given_problems(params)
    if problems:
        raise Refused(" ".join(problems))
    entry = Entry(text.without_path(arn), params.get("username") or "", tuple(params["groups"]))
    return Desired(
        kind,
        entry,
        params["state"] == "present",
        params["create"],
        named_by(params),
        bool(params.get("created_before")),
    )


def connect(params: Parameters, wanted: Desired) -> Connection:
    return Connection(params)


def observe(gateway: Connection, wanted: Desired) -> Current:
    """Round 1, if the cluster is named: whether it is that one. Round 2: the ConfigMap."""
    cluster = gateway.enter(wanted.cluster)
    mode = gateway.facts.access_mode if gateway.facts else ""
    found = cluster.get(PATH)
    if found is None:
        return Current(None, mode=mode)
    metadata = found["metadata"]
    ours = MANAGED_BY.items() <= (metadata.get("labels") or {}).items()
    binary = found.get("binaryData") or {}
    return Current(
        found.get("data") or {},
        metadata["resourceVersion"],
        ours,
        mode,
        bool(found.get("immutable")),
        frozenset(binary),
        sum(len(base64.b64decode(content)) for content in binary.values()),
    )


def plan(current: Current, wanted: Desired) -> Iterator[Action]:
    held = (current.data or {}).get(wanted.kind)
    if not wanted.present:
        yield from _plan_absent(current, wanted, held)
        return
    if current.mode and current.mode not in READ_BY_CLUSTER:
        raise Refused(
            f"EKS cluster {wanted.cluster.name} has authentication mode {current.mode}, so it does not read aws-auth."
            " Give the principal an access entry instead."
        )
    if current.data is None and not (wanted.created_before and _creates(current, wanted)):
        if wanted.create == "auto" and not current.mode:
            raise Refused(
                f"The cluster has no ConfigMap {NAMESPACE}/{NAME}, and it is not known whether it reads one. On EKS,"
                f" set {named('provider')} and {named('cluster_name')}, or set create to always or never."
            )
        if _creates(current, wanted):
            yield Create(
                f"create ConfigMap {NAMESPACE}/{NAME} with {_title(wanted)}",
                _target(wanted.kind),
                None,
                text.put("", wanted.kind, wanted.entry),
                wanted.kind,
            )
        return
    new = text.put(held, wanted.kind, wanted.entry)
    if new != (held or ""):
        _check_writable(current, wanted.kind, new)
        verb = "correct" if _held(current, wanted) else "add"
        dead = _dead(current, wanted)
        beside = f", beside {dead}" if dead else ""
        yield Write(
            f"{verb} {_title(wanted)} in {wanted.kind} of ConfigMap {NAMESPACE}/{NAME}{beside}",
            _target(wanted.kind),
            held,
            new,
            wanted.kind,
            current.version,
        )
    if wanted.kind == USERS:
        # The authenticator searches mapRoles first, for a user's ARN too.
        yield from _take_out(current, wanted, ROLES, f", which takes precedence over the one in {USERS}")


def _plan_absent(current: Current, wanted: Desired, held: str | None) -> Iterator[Action]:
    """An entry of mapRoles, which takes precedence over mapUsers, is removed last, so that no other comes into force
    meanwhile."""
    if wanted.kind == ROLES:
        yield from _take_out(current, wanted, USERS)
    yield from _plan_own_absent(current, wanted, held)
    if wanted.kind == USERS:
        yield from _take_out(current, wanted, ROLES)


def _take_out(current: Current, wanted: Desired, kind: str, why: str = "") -> Iterator[Action]:
    """Remove the principal's entries from the list for the other kind of principals, where they also apply."""
    held = (current.data or {}).get(kind)
    try:
        text.find(held, kind, wanted.entry.arn)
    except Refused:
        return  # none of it is in force
    left = text.remove(held, kind, wanted.entry.arn)
    if left == (held or ""):
        return
    _check_writable(current, kind, left)
    yield Write(
        f"remove the entry of {wanted.entry.arn} from {kind} of ConfigMap {NAMESPACE}/{NAME}{why}",
        _target(kind),
        held,
        left or None,
        kind,
        current.version,
    )


def _plan_own_absent(current: Current, wanted: Desired, held: str | None) -> Iterator[Action]:
    if not _held(current, wanted):
        return
    left = text.remove(held, wanted.kind, wanted.entry.arn)
    others = {key for key in current.data or {} if key != wanted.kind} | current.binary
    if current.ours and not left.strip() and not others:
        yield Delete(
            f"delete ConfigMap {NAMESPACE}/{NAME}, whose only entry was ours",
            _target(wanted.kind),
            held,
            None,
            current.version,
        )
        return
    _check_writable(current, wanted.kind, left)
    yield Write(
        f"remove the entry of {wanted.entry.arn} from {wanted.kind} of ConfigMap {NAMESPACE}/{NAME}",
        _target(wanted.kind),
        held,
        left or None,
        wanted.kind,
        current.version,
    )


def view(current: Current, wanted: Desired, made: Made) -> Mapping[str, Any]:
    left_out = wanted.present and current.data is None and not _creates(current, wanted)
    reason = f"The cluster has no ConfigMap {NAMESPACE}/{NAME}, and create is {wanted.create}."
    if wanted.create == "auto":
        reason = f"{reason[:-1]}: in authentication mode {current.mode} an access entry gives the principal access."
    dead = "" if wanted.present or _held(current, wanted) else _dead(current, wanted)
    kept = f"{wanted.entry.arn} has no entry. Left unchanged: {dead}." if dead else ""
    return {"authentication_mode": current.mode, "reason": reason if left_out else kept}


def _held(current: Current, wanted: Desired) -> tuple[Entry, ...]:
    return text.find((current.data or {}).get(wanted.kind), wanted.kind, wanted.entry.arn)


def _dead(current: Current, wanted: Desired) -> str:
    """The entries that name the role with its path, for a sentence; empty if there are none."""
    found = text.with_path((current.data or {}).get(wanted.kind), wanted.kind, wanted.entry.arn)
    if not found:
        return ""
    entries = "the entry of" if len(found) == 1 else "the entries of"
    return f"{entries} {', '.join(found)}, which no caller matches, because the ARN includes the path"


def _check_writable(current: Current, kind: str, new: str) -> None:
    if current.immutable:
        raise Refused(
            f"ConfigMap {NAMESPACE}/{NAME} is immutable, so {kind} cannot be changed. Delete it and create it"
            " again without immutable, then run again."
        )
    if kind in current.binary:
        raise Refused(
            f"ConfigMap {NAMESPACE}/{NAME} has {kind} in binaryData, which the authenticator does not read, and data"
            f" cannot contain it too. Move the text to {kind} of data, then run again."
        )
    texts = {**(current.data or {}), kind: new}
    size = current.binary_size + sum(len(one.encode()) for one in texts.values())
    if size > _LARGEST:
        raise Refused(
            f"ConfigMap {NAMESPACE}/{NAME} would have {size} bytes of data, but Kubernetes allows {_LARGEST}. Remove"
            " unused entries or comments, then run again."
        )


def _creates(current: Current, wanted: Desired) -> bool:
    """A missing ConfigMap is created if the cluster reads nothing else."""
    return wanted.create == "always" or (wanted.create == "auto" and current.mode == "CONFIG_MAP")


def _title(wanted: Desired) -> str:
    groups = ", ".join(wanted.entry.groups) or "no group"
    full = " (full control of the cluster)" if "system:masters" in wanted.entry.groups else ""
    return f"an entry for {wanted.entry.arn} as {wanted.entry.username} in {groups}{full}"


def _target(kind: str) -> str:
    return f"kubernetes/configmap/{NAMESPACE}/{NAME}/{kind}"


def _prove(stored: Object, kind: str, written: str | None, dry_run: bool) -> None:
    """The answer to a write is what the API server stored: it must be the text that was planned."""
    if (stored.get("data") or {}).get(kind) == written:
        return
    why = "an admission webhook changes it. Check the webhook before the next run."
    if dry_run:
        raise Refused(f"The API server would store another {kind} of ConfigMap {NAMESPACE}/{NAME} than planned: {why}")
    raise CallFailed(f"ConfigMap {NAMESPACE}/{NAME} was written, but the API server stored another {kind}: {why}")


def confirm(gateway: Connection, wanted: Desired, current: Current, planned: tuple[Action, ...]) -> tuple[Action, ...]:
    """Refuse what the cluster would, while nothing else of the same run depends on it."""
    if current.data is not None or not wanted.created_before:
        refuse_unadmitted(gateway.cluster(), planned)
    return planned


SUBJECT = Subject(OPTIONS, desired, connect, observe, plan, view, confirm=confirm)
