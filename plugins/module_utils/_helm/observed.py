# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the state of Helm releases: their record Secrets, and the objects that their manifests name. PRIVATE to the
collection.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from .._clusters.connection import Connection, terminating_problem
from .._engine import AT_ONCE, Failure, Refused, at_once, each, side_by_side
from .._gateways.helm import Facts, Helm, Work, driver_problem, facts, version_problem
from .._gateways.kubernetes import Kubernetes, Object, path_of
from . import record
from .options import Desired, Parameters
from .owner import Owner, manager_among, operators, owner
from .record import History, Reference, Revision
from .workloads import KINDS, Unready, unready

T = TypeVar("T")

MOST = 4
"""How many releases Helm works on at once."""


@dataclass(frozen=True)
class Namespace:
    """The release's namespace.

    leaving: why nothing can be created in it. kept: it has Helm's annotation that it must never be deleted.
    """

    leaving: str = ""
    kept: bool = False


@dataclass(frozen=True)
class Current:
    """The current state.

    history: the release's revisions, oldest first. chart: what is known about the wanted chart without fetching it.
    missing: deleted objects of the deployed revision. owner: if no complete revision exists, who owns the objects of
    its chart; before an upgrade, who owns the objects that it would add, set by confirm. manager: who else manages the
    release, empty for nobody. now: Unix seconds. killed: whether the Helm of the newest revision is known to be dead.
    """

    history: History
    chart: Facts
    namespace: Namespace | None
    missing: tuple[Reference, ...] = ()
    owner: Owner | None = None
    manager: str = ""
    replicas: tuple[tuple[str, int], ...] = ()
    """Of the release's live workloads, by path."""
    now: float = 0.0
    killed: bool = False
    hooks: tuple[Reference, ...] = ()
    """What the release's hooks left, if the release is to be uninstalled: Helm does not count it as part of the
    release."""
    unready: tuple[Unready, ...] = ()
    """Workloads of the deployed revision that do not run as their live objects ask for."""

    @property
    def last(self) -> Revision | None:
        return record.newest(self.history)


@dataclass(frozen=True)
class Systems:
    helm: Helm
    connection: Connection

    def work(self, wanted: Desired, revision: int) -> Work:
        """Helm's work on a revision of the release."""
        cluster = self.connection.cluster()
        return Work(
            cluster.host,
            wanted.namespace,
            wanted.name,
            revision,
            wanted.wait,
            wanted.timeout,
            cluster.kubeconfig(),
            cluster.token,
        )

    def close(self) -> None:
        self.connection.close()


def connect(params: Parameters, wanted: Desired) -> Systems:
    return systems(params)


def systems(params: Parameters) -> Systems:
    return Systems(Helm(params.get("helm_path")), Connection(params))


def observe(gateway: Systems, wanted: Desired) -> Current:
    (current,) = observe_all(gateway, (wanted,))
    return current


def observe_all(gateway: Systems, wanted: Sequence[Desired]) -> list[Current]:
    """The current state of releases in one namespace. Round 1, if the cluster is named: whether it is that one.
    Round 2: the releases' records. Round 3: objects. If workloads are not ready, two more rounds find out why."""
    problem = driver_problem(os.environ)
    if problem:
        raise Refused(problem)
    cluster = gateway.connection.enter(wanted[0].cluster)
    namespace, names = wanted[0].namespace, [one.name for one in wanted]
    with at_once() as ask:
        records = ask(read_records, cluster, namespace, names)
        existing = ask(_namespace, cluster, namespace)
        operator = ask(operators, cluster, namespace)
        in_configmaps = ask(_in_configmaps, cluster, namespace, names)

    def begin(one: Desired) -> Current:
        if one.unwanted:
            return Current(if_readable(lambda: record.of(records.result(), one.name)) or (), Facts("", ""), None)
        history = record.of(records.result(), one.name)
        if one.name in in_configmaps.result() and not history:
            raise Refused(
                f"Helm keeps {one.title} in ConfigMaps of namespace {namespace} (HELM_DRIVER=configmap), but only"
                " releases in Secrets can be managed here. Uninstall it first: HELM_DRIVER=configmap helm uninstall"
                f" {one.name} --namespace {namespace}"
            )
        current = Current(history, _chart(one), existing.result(), manager=operator.result()(one.name), now=time.time())
        work = Work(cluster.host, namespace, one.name, current.last.number if current.last else 0)
        return replace(current, killed=gateway.helm.was_killed(work))

    begun = each([partial(begin, one) for one in wanted])
    pairs = list(zip(wanted, begun, strict=True))
    manifests = [current.last.contents for one, current in pairs if current.last and not one.unwanted]
    live = read_objects(cluster, namespace, {item for contents in manifests for item in contents.objects})
    return each([partial(_complete, gateway, *one, live) for one in pairs], MOST)


def _complete(gateway: Systems, wanted: Desired, current: Current, found: Mapping[Reference, Object | None]) -> Current:
    """current with what is known about the release's objects, and about those that it does not own yet."""
    if wanted.unwanted:
        return current
    cluster, last = gateway.connection.cluster(), current.last
    if last:
        live = {item: found[item] for item in last.contents.objects if item in found}
        whole = wanted.present and last.status == record.DEPLOYED
        current = replace(
            current,
            missing=tuple(item for item, one in live.items() if one is None) if whole else (),
            unready=unready(cluster, workloads_among(live)) if whole else (),
            manager=current.manager or manager_among(filter(None, live.values())),
            replicas=tuple(_replicas(wanted, live)),
            hooks=() if wanted.present else _left_by_hooks(cluster, wanted, current.history),
        )
    if wanted.present and not record.goal(current.history):
        current = replace(current, owner=owner(cluster, wanted.name, wanted.namespace))
    return current


def _chart(wanted: Desired) -> Facts:
    """What is known about the wanted chart without fetching it."""
    chart = wanted.chart
    if not (wanted.present and chart.local):
        return Facts(chart.name, chart.version)
    found = facts(Path(chart.ref), chart.role)
    problem = version_problem(chart, found)
    if problem:
        raise Refused(problem)
    return found


def read_records(cluster: Kubernetes, namespace: str, names: Iterable[str], kind: str = "Secret") -> list[Object]:
    """Helm's records of these releases, with all their revisions."""
    selector = f"owner=helm,name in ({','.join(names)})"
    return (cluster.get(path_of("v1", kind, None, namespace), labelSelector=selector) or {}).get("items") or []


def _in_configmaps(cluster: Kubernetes, namespace: str, names: Iterable[str]) -> frozenset[str]:
    """Which releases Helm stores in ConfigMaps: an install would start anew, and lose their values."""
    try:
        listed = read_records(cluster, namespace, names, "ConfigMap")
    except Failure:
        return frozenset()  # connecting needs no right to list them
    return frozenset((item["metadata"].get("labels") or {}).get("name") or "" for item in listed)


def _namespace(cluster: Kubernetes, name: str) -> Namespace | None:
    found = cluster.get(path_of("v1", "Namespace", name, None))
    if found is None:
        return None
    annotations = found["metadata"].get("annotations") or {}
    return Namespace(
        leaving=terminating_problem(found),
        kept=annotations.get(record.KEEP_ANNOTATION) == "keep",
    )


def read_objects(cluster: Kubernetes, namespace: str, objects: Iterable[Reference]) -> dict[Reference, Object | None]:
    """The live objects of manifests, None if deleted. Only Kubernetes' own kinds are read."""
    known = [item for item in objects if item.built_in]
    found = side_by_side(AT_ONCE, [partial(cluster.get, object_path(item, namespace)) for item in known])
    return dict(zip(known, found, strict=True))


def readable(cluster: Kubernetes, wanted: Desired, objects: Iterable[Reference]) -> Iterator[tuple[Reference, Object]]:
    """The existing ones, each with its live object. Unreadable ones are left out: the work itself needs no right to
    read them."""

    def read(item: Reference) -> Object | None:
        with contextlib.suppress(Failure):
            return read_objects(cluster, wanted.namespace, [item]).get(item)
        return None

    known = list(objects)
    found = side_by_side(AT_ONCE, [partial(read, item) for item in known])
    yield from ((item, one) for item, one in zip(known, found, strict=True) if one)


def _left_by_hooks(cluster: Kubernetes, wanted: Desired, history: History) -> tuple[Reference, ...]:
    made = sorted({item for revision in history for item in _hooks(revision)})
    return tuple(
        item
        for item, found in readable(cluster, wanted, made)
        if record.HOOK_ANNOTATION in (found["metadata"].get("annotations") or {})
    )


def _hooks(revision: Revision) -> tuple[Reference, ...]:
    """An old record that nobody can read does not prevent an uninstall."""
    return if_readable(lambda: revision.contents.hooks) or ()


def if_readable(read: Callable[[], T]) -> T | None:
    """What a record says, or None if somebody edited it so that it cannot be read."""
    try:
        return read()
    except Refused:
        return None


def workloads_among(found: Mapping[Reference, Object | None]) -> list[Object]:
    """The existing ones, with their kind, which an object that is read alone may not state."""
    return [{"kind": item.kind, **live} for item, live in found.items() if live and item.kind in KINDS]


def _replicas(wanted: Desired, live: Mapping[Reference, Object | None]) -> Iterator[tuple[str, int]]:
    for item, found in live.items():
        count = ((found or {}).get("spec") or {}).get("replicas")
        if isinstance(count, int):
            yield object_path(item, wanted.namespace), count


def object_path(item: Reference, namespace: str) -> str:
    """namespace: the release's."""
    return path_of(item.api_version, item.kind, item.name, item.namespace or namespace)


def record_path(wanted: Desired, revision: int | None = None) -> str:
    name = None if revision is None else record.secret_name(wanted.name, revision)
    return path_of("v1", "Secret", name, wanted.namespace)
