# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tolerations of kube-router, without which a tainted node of CAST AI has no network. PRIVATE to the collection.

What to do is decided by the DaemonSet, never by a version: kOps 1.16.1 to 1.17.2 ship it for Kubernetes 1.12 and newer
with tolerations that are too narrow, 1.15 and 1.16.0 lack one for NoExecute, 1.18 and newer tolerate everything
(kubernetes/kops, upup/models/cloudup/resources/addons/networking.kuberouter), and users change it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .._answers import Odd, loaded
from .._clusters.connection import Connection, Tried, named_by, own_name_problem, refuse_unadmitted
from .._clusters.facts import Named
from .._clusters.table import given_problems, naming_options
from .._credentials import quoted
from .._engine import Action, CallFailed, Made, Refused, Report, Subject, at_once, paced, until
from .._gateways.kubernetes import FIELD_MANAGER, Kubernetes, Object, Rejected, path_of
from .._options import CLUSTER_RULES, KUBERNETES_RULES, kubernetes_options, together
from .._patience import within
from .._variables import named

Parameters = Mapping[str, Any]
Toleration = Mapping[str, Any]

NAME, NAMESPACE = "kube-router", "kube-system"
PATHS = tuple(path_of(version, "DaemonSet", NAME, NAMESPACE) for version in ("apps/v1", "extensions/v1beta1"))
"""Kubernetes has DaemonSets under the first since 1.9, and had them under the second until 1.15."""

ADDED = "castai-onboarding/added-tolerations"
"""Annotation with what was added, as JSON. It is on the DaemonSet, because a change on its pods would restart them."""

_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

WANTED: Mapping[str, Toleration] = {
    "taint CriticalAddonsOnly": {"key": "CriticalAddonsOnly", "operator": "Exists"},
    "any NoSchedule taint": {"effect": "NoSchedule", "operator": "Exists"},
    "any NoExecute taint": {"effect": "NoExecute", "operator": "Exists"},
}
"""Tolerations that kube-router needs, by what each tolerates."""

OPTIONS: dict[str, Any] = {
    "argument_spec": {
        **naming_options(required=False),
        **kubernetes_options(),
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "wait": {"type": "bool", "default": False},
        "wait_timeout": {"type": "int", "default": 600},
    },
    **together(CLUSTER_RULES, KUBERNETES_RULES),
}


@dataclass(frozen=True)
class Desired:
    """What the user wants. cluster: without a name if any will do."""

    cluster: Named
    present: bool
    wait: bool
    wait_timeout: int


@dataclass(frozen=True)
class DaemonSet:
    """The current kube-router.

    added: what we added according to the annotation, whether or not it still exists; theirs: tolerations that the
    manifest of another writer sets, as far as the DaemonSet shows it; pods: how many run; rolls: whether
    a change restarts them, as with update strategy RollingUpdate; behind: on how many nodes kube-router does not run
    the current template yet, at least one while the controller has not seen the template; unready: on how many it is
    not available, as on a node that is not ready itself.
    """

    path: str
    version: str
    tolerations: tuple[Toleration, ...]
    added: tuple[Toleration, ...] = ()
    theirs: tuple[Toleration, ...] = ()
    pods: int = 0
    rolls: bool = True
    behind: int = 0
    unready: int = 0

    @property
    def kept(self) -> tuple[Toleration, ...]:
        """What was added and still exists."""
        return tuple(one for one in self.added if one in self.tolerations)

    @property
    def ours(self) -> tuple[Toleration, ...]:
        """What only exists because we added it."""
        return tuple(one for one in self.kept if one not in self.theirs)

    @property
    def reverted(self) -> bool:
        """Whether somebody removed what was added, as kOps' addon manager does when it applies its manifest."""
        return self.kept != self.added

    @property
    def missing(self) -> Mapping[str, Toleration]:
        return {what: one for what, one in WANTED.items() if not any(covers(held, one) for held in self.tolerations)}


@dataclass(frozen=True)
class Current:
    """The current state. daemon_set: None if the cluster has no kube-router; elsewhere: why it is another cluster;
    unready: on how many nodes kube-router was not available when the wait ended."""

    daemon_set: DaemonSet | None
    elsewhere: str = ""
    unready: int = 0


@dataclass(frozen=True)
class Write(Tried):
    """Set the tolerations and the annotation about them, on the version that was read. Equal ones restart nothing."""

    path: str = ""
    version: str = ""
    tolerations: tuple[Toleration, ...] = ()
    added: tuple[Toleration, ...] = ()

    def send(self, cluster: Kubernetes, made: Made, dry_run: bool = False) -> None:
        note = json.dumps(self.added, sort_keys=True) if self.added else None
        body = {
            "metadata": {"resourceVersion": self.version, "annotations": {ADDED: note}},
            "spec": {"template": {"spec": {"tolerations": self.tolerations}}},
        }
        stored = daemon_set_of(cluster.patch(self.path, body, dry_run), self.path)
        if (stored.tolerations, stored.added) == (self.tolerations, self.added):
            return
        why = "an admission webhook changes them. Check the webhook before the next run."
        if dry_run:
            raise Refused(f"The API server would store other tolerations of DaemonSet {NAMESPACE}/{NAME}: {why}")
        raise CallFailed(
            f"DaemonSet {NAMESPACE}/{NAME} was written, but the API server stored other tolerations: {why}"
        )


def covers(held: Toleration, wanted: Toleration) -> bool:
    """Whether held permanently tolerates every taint that wanted tolerates.

    Only operator Exists tolerates every value; without a key it tolerates every key, without an effect every effect.
    Source: Kubernetes, "Taints and Tolerations".
    """
    return (
        held.get("operator") == "Exists"
        and held.get("key") in (None, "", wanted.get("key"))
        and held.get("effect") in (None, "", wanted.get("effect"))
        and held.get("tolerationSeconds") is None
    )


def daemon_set_of(found: Object, path: str) -> DaemonSet:
    """A DaemonSet as the API server returns it, under either API version. Raises Refused for a damaged annotation."""
    metadata, spec, status = found["metadata"], found["spec"], found.get("status") or {}
    count = {key: value for key, value in status.items() if isinstance(value, int)}
    wanted = count.get("desiredNumberScheduled", 0)
    seen = count.get("observedGeneration", 0) >= int(metadata.get("generation") or 0)
    annotations = metadata.get("annotations") or {}
    tolerations = tuple(spec["template"]["spec"].get("tolerations") or ())
    return DaemonSet(
        path,
        metadata["resourceVersion"],
        tolerations,
        _noted(annotations.get(ADDED)),
        tolerations if _applied_by_others(metadata) else _in_manifest(annotations.get(_APPLIED)),
        # Pods on nodes that were tainted after the pods had started count as misscheduled.
        count.get("currentNumberScheduled", 0) + count.get("numberMisscheduled", 0),
        (spec.get("updateStrategy") or {}).get("type") != "OnDelete",
        wanted - count.get("updatedNumberScheduled", 0) if seen else max(1, wanted),
        wanted - count.get("numberAvailable", 0),
    )


def desired(params: Parameters) -> Desired:
    problems = given_problems(params)
    if problems:
        raise Refused(" ".join(problems))
    return Desired(named_by(params), params["state"] == "present", params["wait"], params["wait_timeout"])


def connect(params: Parameters, wanted: Desired) -> Connection:
    return Connection(params)


def observe(gateway: Connection, wanted: Desired) -> Current:
    """Round 1: the DaemonSet, and what the cluster says about its name. Round 2, if there is none: under the old API
    version."""
    cluster, path = gateway.cluster(), PATHS[0]
    with at_once() as ask:
        found = ask(cluster.get, PATHS[0])
        elsewhere = ask(own_name_problem, cluster, wanted.cluster)
    daemon_set = found.result()
    if daemon_set is None:
        daemon_set, path = _of_old_api(cluster), PATHS[1]
    return Current(daemon_set_of(daemon_set, path) if daemon_set else None, elsewhere.result())


def _of_old_api(cluster: Kubernetes) -> Object | None:
    """A user who may only read DaemonSets of apps is forbidden to look here, even if the API no longer exists."""
    try:
        return cluster.get(PATHS[1])
    except Rejected as answer:
        if answer.status == 403:
            return None
        raise


def plan(current: Current, wanted: Desired) -> Iterator[Action]:
    if current.elsewhere:
        raise Refused(current.elsewhere)
    found = current.daemon_set
    if found is None:
        return
    missing = found.missing
    if wanted.present and missing:
        again = " again, because another writer removed it" if found.reverted else ""
        yield _write(
            found,
            f"let kube-router tolerate {_listed(missing)}{again}{_restarts(found)}",
            (*found.tolerations, *missing.values()),
            (*found.kept, *missing.values()),
        )
    elif not wanted.present and found.ours:
        names = [what for what, one in WANTED.items() if one in found.ours]
        yield _write(
            found,
            f"stop kube-router from tolerating {_listed(names)}{_restarts(found)}",
            tuple(one for one in found.tolerations if one not in found.ours),
            (),
        )
    elif found.reverted or (found.added and not wanted.present):
        why = "another writer removed them" if found.reverted else "its manifest now has them itself"
        yield _write(
            found,
            f"remove the record of tolerations added to DaemonSet {NAMESPACE}/{NAME}, because {why}",
            found.tolerations,
            found.kept if wanted.present else (),
        )


def settle(gateway: Connection, wanted: Desired, current: Current, made: Made, report: Report) -> Current:
    """Wait until kube-router runs with the template's tolerations on all nodes, if a change restarts it."""
    if wanted.wait and current.daemon_set and current.daemon_set.rolls:
        return replace(current, unready=_wait(gateway, wanted, current.daemon_set, report))
    return current


def _wait(gateway: Connection, wanted: Desired, start: DaemonSet, report: Report) -> int:
    """On how many nodes kube-router is not available in the end. As many as at the start are not waited for: a node
    that is not ready, or that disappeared, may stay so."""
    seen, tell = start, paced(report, wanted.wait_timeout)

    def probe() -> bool:
        nonlocal seen
        answer = gateway.cluster().get(start.path)
        if answer is None:
            raise CallFailed(f"DaemonSet {NAMESPACE}/{NAME} was deleted while its pods were restarting.")
        seen = daemon_set_of(answer, start.path)
        if wanted.present and seen.missing:
            raise CallFailed(
                f"Another writer removed kube-router's toleration of {_listed(seen.missing)} while its pods were"
                " restarting, as kOps' addon manager does when it applies its manifest."
            )
        left = max(seen.behind, seen.unready)
        if left:
            tell(f"kube-router still has to restart or become ready on {_nodes(left)}")
        return seen.behind == 0 and seen.unready <= start.unready

    with within(wanted.wait_timeout):
        restarted = until(probe, timeout=wanted.wait_timeout)
    if not restarted and seen.behind:
        raise CallFailed(
            f"After {wanted.wait_timeout} s kube-router still had to restart on {_nodes(seen.behind)}. Look at its"
            f" pods in namespace {NAMESPACE}, or raise {named('wait_timeout')}."
        )
    return seen.unready


def view(current: Current, wanted: Desired, made: Made) -> Mapping[str, Any]:
    found = current.daemon_set
    changes = bool(found and (found.missing if wanted.present else found.ours))
    return {
        "added": [dict(one) for one in found.missing.values()] if found and wanted.present else [],
        "found": found is not None,
        "restarts": found.pods if found and changes and found.rolls else 0,
        "reverted": bool(found and found.reverted),
        **({"warnings": [_unready(current.unready)]} if current.unready else {}),
    }


def _write(
    found: DaemonSet, sentence: str, tolerations: tuple[Toleration, ...], added: tuple[Toleration, ...]
) -> Write:
    restarts = found.pods if found.rolls and tolerations != found.tolerations else 0
    return Write(
        sentence,
        f"kubernetes/daemonset/{NAMESPACE}/{NAME}",
        _shown(found.tolerations, found.added),
        {**_shown(tolerations, added), "restarts": restarts},
        found.path,
        found.version,
        tolerations,
        added,
    )


def _shown(tolerations: tuple[Toleration, ...], added: tuple[Toleration, ...]) -> dict[str, Any]:
    return {"tolerations": [dict(one) for one in tolerations], "added": [dict(one) for one in added]}


def _restarts(found: DaemonSet) -> str:
    if found.rolls:
        return f", which restarts it on {_nodes(found.pods)}"
    return (
        ", which restarts no pods, because the update strategy is OnDelete: new nodes get it at once, old pods when"
        " they are deleted"
    )


def _unready(number: int) -> str:
    return (
        f"kube-router is not ready on {_nodes(number)}. Look at its pods in namespace {NAMESPACE}, and at their nodes."
    )


def _nodes(number: int) -> str:
    return f"{number} node{'' if number == 1 else 's'}"


def _listed(parts: Mapping[str, Any] | list[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def _noted(text: str | None) -> tuple[Toleration, ...]:
    try:
        return tuple({str(key): value for key, value in one.items()} for one in loaded(text or "[]"))
    except (AttributeError, TypeError, Odd) as error:
        raise Refused(
            f"Annotation {ADDED} of DaemonSet {NAMESPACE}/{NAME} is {quoted(text)}, which is not a record of added"
            " tolerations. Remove it, together with the tolerations that were added."
        ) from error


def _in_manifest(text: str | None) -> tuple[Toleration, ...]:
    """The tolerations in the manifest that kubectl apply, or kOps with it, recorded."""
    try:
        found = loaded(text or "{}")["spec"]["template"]["spec"]["tolerations"]
    except (LookupError, TypeError, Odd):
        return ()
    return tuple(found) if isinstance(found, list) else ()


def _applied_by_others(metadata: Object) -> bool:
    """Whether somebody's server-side apply sets the current tolerations, whose list has one value: a writer who changes
    it takes it away from all others."""
    for entry in metadata.get("managedFields") or ():
        fields = entry.get("fieldsV1") or {}
        for part in ("spec", "template", "spec", "tolerations"):
            fields = fields.get(f"f:{part}") if isinstance(fields, dict) else None
        if fields is not None and entry.get("operation") == "Apply" and entry.get("manager") != FIELD_MANAGER:
            return True
    return False


def confirm(gateway: Connection, wanted: Desired, current: Current, planned: tuple[Action, ...]) -> tuple[Action, ...]:
    refuse_unadmitted(gateway.cluster(), planned)
    return planned


SUBJECT = Subject(OPTIONS, desired, connect, observe, plan, view, settle, confirm=confirm)
