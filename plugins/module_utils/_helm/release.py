# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Helm release: installed, upgraded, repaired, taken over or uninstalled. PRIVATE to the collection.

The current state is read from the release's own record Secrets and from the objects that its manifest names. Helm
itself only runs if there is something to do.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from .._clusters.connection import Connection, named_by, namespace_refusal, terminating_problem
from .._clusters.facts import Named
from .._clusters.table import connection_options, connection_rules, given_problems
from .._engine import (
    AT_ONCE,
    Action,
    CallFailed,
    Conflict,
    Failure,
    Made,
    PartlyDone,
    Refused,
    Report,
    Subject,
    Throttled,
    at_once,
    each,
    side_by_side,
    until,
)
from .._gateways.helm import EVICTOR, HOOK_ADVICE, Chart, Facts, Helm, Work, driver_problem, facts, same_version
from .._gateways.kubernetes import Kubernetes, Object, Rejected, path_of
from .._given import as_path
from .._names import NAMESPACE, chart_version_problem, helm_release_problem, namespace_problem
from .._variables import named, role_of, switch_of
from . import record
from .owner import Owner, managed_refusal, manager_among, operators, owner, owner_of_added
from .record import Contents, History, Reference, Revision
from .values import differing, secrets, shown
from .workloads import KINDS, NO_IMAGE, Outcome, Patience, Unready, stuck_jobs, unready, wait

Parameters = Mapping[str, Any]
T = TypeVar("T")

OPTIONS: dict[str, Any] = {
    "argument_spec": {
        **connection_options(required=False),
        "adopt": {"type": "bool", "default": False},
        "adopt_managed": {"type": "bool", "default": False},
        "chart_ref": {"type": "str"},
        "chart_repo_url": {"type": "str"},
        "chart_version": {"type": "str"},
        "create_namespace": {"type": "bool", "default": True},
        "delete_superseded_records": {"type": "bool", "default": False},
        "helm_path": {"type": "path"},
        "name": {"type": "str", "required": True},
        "namespace": {"type": "str", "default": NAMESPACE},
        "pending": {"type": "str", "choices": ["recover", "fail"], "default": "recover"},
        "pending_grace": {"type": "int", "default": 300},
        "policy": {"type": "str", "choices": ["enforce", "install_only"], "default": "enforce"},
        "purpose": {"type": "str"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "timeout": {"type": "int", "default": 300},
        "values": {"type": "dict", "default": {}},
        "wait": {"type": "bool", "default": False},
        "wait_for_workloads": {"type": "bool", "default": True},
    },
    **connection_rules(required=False),
    "required_if": [["state", "present", ["chart_ref"]]],
}

MOST = 4
"""How many releases Helm works on at once."""

_TAKING_OVER = ", taking over the existing objects"


@dataclass(frozen=True)
class Desired:
    """What the user wants. grace, timeout: seconds."""

    name: str
    namespace: str
    present: bool
    chart: Chart
    values: Mapping[str, Any] = field(repr=False)
    enforce: bool
    adopt: bool
    adopt_managed: bool
    recover: bool
    grace: int
    wait: bool
    timeout: int
    create_namespace: bool
    delete_superseded: bool
    cluster: Named
    wait_for_workloads: bool = True
    """Whether the release must run in the end; otherwise, workloads that do not run are a warning."""
    purpose: str = ""
    """What the release does in the cluster, for the readers of a plan."""
    unwanted: bool = False
    """Whether the release is only looked for, and reported if it is installed."""

    @property
    def title(self) -> str:
        return f"Helm release {self.name}"


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


@dataclass(frozen=True)
class Step(Action):
    """An action on the release. revision: the newest one when this step's turn comes, 0 for none."""

    wanted: Desired = field(default=cast(Any, None), repr=False)
    revision: int = 0
    unfinished: Revision | None = field(default=None, repr=False)
    """A revision that a running Helm may still be working on."""
    patience: float = 0.0
    """Seconds to wait until that Helm must be dead."""

    helm = True
    """Whether the helm program is needed."""

    def run(self, gateway: Systems, made: Made) -> Mapping[str, Any]:
        cluster = gateway.connection.cluster()
        if self.unfinished:
            _outwait(cluster, self.wanted, self.unfinished, self.patience)
        if cluster.get(_record_path(self.wanted, self.revision + 1)) is not None:
            raise Conflict(f"Somebody else wrote revision {self.revision + 1} of {self.wanted.title} in the meantime.")
        try:
            self.work(gateway, self.wanted)
        except (CallFailed, Throttled) as failure:
            left = _left_by(cluster, self.wanted, self.revision) if self.helm else None
            if left and left.unfinished:
                gateway.helm.has_ended(Work(cluster.host, self.wanted.namespace, self.wanted.name, left.number))
            if left is None or isinstance(failure, Throttled):
                raise
            clause = f"revision {left.number} of {self.wanted.title}, which is {left.status}"
            raise PartlyDone(str(failure), clause) from failure.__cause__
        return {"written": True}

    def work(self, gateway: Systems, wanted: Desired) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class Upgrade(Step):
    """Install or upgrade; Helm decides which.

    wanted.adopt: only if no complete revision exists yet, so that its objects may exist without an owner.
    """

    def work(self, gateway: Systems, wanted: Desired) -> None:
        gateway.helm.upgrade(
            gateway.work(wanted, self.revision + 1),
            wanted.chart,
            wanted.values,
            secrets(wanted.values),
            wanted.create_namespace,
            wanted.adopt,
            HookWatch(gateway.connection.cluster(), wanted),
        )


@dataclass
class HookWatch:
    """Detects that a hook's Job cannot run: otherwise Helm would wait for it until the timeout."""

    cluster: Kubernetes
    wanted: Desired
    patience: Patience = field(default_factory=Patience)
    clock: Callable[[], float] = time.monotonic

    def __call__(self) -> str:
        """Why waiting is pointless, once that has been so for a while: a registry may be unavailable for a moment."""
        stuck = stuck_jobs(self.cluster, self.wanted.namespace, self.wanted.name)
        if not self.patience.over(stuck, self.clock()):
            return ""
        one = next(one for one in stuck if one.reason)
        unpulled = one.reason in NO_IMAGE and self.wanted.name == EVICTOR
        return (
            f"{one.workload} in namespace {self.wanted.namespace}, a hook of the chart, cannot run: {one.why}. Helm"
            f" was stopped, because waiting would not help.{HOOK_ADVICE * unpulled}"
        )


@dataclass(frozen=True)
class RollBack(Step):
    """Apply a revision's stored manifest as a new revision: no chart is fetched, and its values stay."""

    to: int = 0
    replicas: tuple[tuple[str, int], ...] = ()
    """Paths of workloads whose number of replicas others set, such as CAST AI, and that keep it."""

    def work(self, gateway: Systems, wanted: Desired) -> None:
        gateway.helm.rollback(gateway.work(wanted, self.revision + 1), self.to)
        cluster = gateway.connection.cluster()
        for path, count in self.replicas:
            found = cluster.get(path)
            if found and found["spec"].get("replicas") != count:
                cluster.patch(path, {"spec": {"replicas": count}})


@dataclass(frozen=True)
class Uninstall(Step):
    """objects: those that Helm is to delete."""

    objects: tuple[Reference, ...] = ()

    def work(self, gateway: Systems, wanted: Desired) -> None:
        try:
            gateway.helm.uninstall(gateway.work(wanted, self.revision))
        except CallFailed as failure:
            # Helm only says that it failed.
            why = _undeletable(gateway.connection.cluster(), wanted, self.objects)
            if not why:
                raise
            raise CallFailed(f"{failure} {why}") from failure.__cause__


@dataclass(frozen=True)
class DeleteHooks(Step):
    """Delete what the release's hooks created and an uninstall leaves."""

    objects: tuple[Reference, ...] = ()
    helm = False

    def work(self, gateway: Systems, wanted: Desired) -> None:
        for item in self.objects:
            # Otherwise a Job's pods would stay.
            gateway.connection.cluster().delete(_path(item, wanted.namespace), {"propagationPolicy": "Background"})


@dataclass(frozen=True)
class MarkFailed(Step):
    """Note in the record of a killed revision that it failed, so that an upgrade compares with what it created."""

    helm = False

    def work(self, gateway: Systems, wanted: Desired) -> None:
        secret = self.unfinished.secret if self.unfinished else {}
        failed = record.with_status(secret, record.FAILED)
        gateway.connection.cluster().replace(_record_path(wanted, self.revision), failed)


@dataclass(frozen=True)
class DeleteRecord(Step):
    """Delete the record of a revision that a newer one has replaced."""

    number: int = 0
    helm = False

    def work(self, gateway: Systems, wanted: Desired) -> None:
        gateway.connection.cluster().delete(_record_path(wanted, self.number))


@dataclass(frozen=True)
class KeepNamespace(Step):
    """Annotate the Namespace so that Helm keeps it if a later revision does not contain it."""

    helm = False

    def work(self, gateway: Systems, wanted: Desired) -> None:
        gateway.connection.cluster().patch(
            path_of("v1", "Namespace", wanted.namespace, None),
            {"metadata": {"annotations": {record.KEEP_ANNOTATION: "keep"}}},
        )


@dataclass(frozen=True)
class DisownNamespace(Step):
    """Take the Namespace out of a revision's record: an uninstall only goes by the record."""

    helm = False

    def work(self, gateway: Systems, wanted: Desired) -> None:
        cluster, path = gateway.connection.cluster(), _record_path(wanted, self.revision)
        secret = cluster.get(path)
        if secret is None:
            raise Conflict(f"Revision {self.revision} of {wanted.title} is gone.")
        cluster.replace(path, record.encode(secret, record.without_namespace(record.decode(secret), wanted.namespace)))


def desired(params: Parameters) -> Desired:
    version, name, cluster = params.get("chart_version") or "", params["name"], named_by(params)
    found = (
        helm_release_problem(name),
        namespace_problem(params["namespace"], params["state"] == "present"),
        *given_problems(params),
        chart_version_problem(version, name),
    )
    problems = [problem for problem in found if problem]
    if problems:
        raise Refused(" ".join(problems))
    return Desired(
        name=name,
        namespace=params["namespace"],
        present=params["state"] == "present",
        chart=Chart(_absolute(params.get("chart_ref") or ""), version, params.get("chart_repo_url") or ""),
        values=params["values"],
        enforce=params["policy"] == "enforce",
        adopt=params["adopt"],
        adopt_managed=params["adopt_managed"],
        recover=params["pending"] == "recover",
        grace=params["pending_grace"],
        wait=params["wait"],
        timeout=params["timeout"],
        create_namespace=params["create_namespace"],
        delete_superseded=params["delete_superseded_records"],
        cluster=cluster,
        wait_for_workloads=params["wait_for_workloads"],
        purpose=params.get("purpose") or "",
    )


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
        records = ask(_records, cluster, namespace, names)
        existing = ask(_namespace, cluster, namespace)
        operator = ask(operators, cluster, namespace)
        in_configmaps = ask(_in_configmaps, cluster, namespace, names)

    def begin(one: Desired) -> Current:
        if one.unwanted:
            return Current(_if_readable(lambda: record.of(records.result(), one.name)) or (), Facts("", ""), None)
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
    live = _found(cluster, namespace, {item for contents in manifests for item in contents.objects})
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
            unready=unready(cluster, _workloads(live)) if whole else (),
            manager=current.manager or manager_among(filter(None, live.values())),
            replicas=tuple(_replicas(wanted, live)),
            hooks=() if wanted.present else _left_by_hooks(cluster, wanted, current.history),
        )
    if wanted.present and not record.goal(current.history):
        current = replace(current, owner=owner(cluster, wanted.name, wanted.namespace))
    return current


def plan(current: Current, wanted: Desired) -> Iterator[Action]:
    if wanted.unwanted:
        return iter(())
    steps = tuple(_plan(current, wanted))
    if wanted.present and wanted.delete_superseded:
        steps = (*steps, *_plan_delete(current, wanted, steps))
    if steps and current.manager and not wanted.adopt_managed:
        raise Refused(managed_refusal(wanted.title, current.manager, wanted.name, current.last is not None))
    return iter(steps)


def _plan_delete(current: Current, wanted: Desired, steps: tuple[Action, ...]) -> Iterator[Action]:
    """Delete records that contain an API key once the newest revision contains none."""
    writing = [step for step in steps if isinstance(step, (Upgrade, RollBack))]
    last = current.last
    newest = (last.number if last else 0) + len(writing)
    if writing and isinstance(writing[-1], RollBack):
        holds = any(item.api_key_paths for item in current.history if item.number == writing[-1].to)
    else:
        holds = bool(record.api_keys(wanted.values) if writing else last and last.api_key_paths)
    if holds:
        return
    for revision in current.history:
        if revision.api_key_paths and revision.number != newest:
            yield DeleteRecord(
                sentence=(
                    f"delete the record of revision {revision.number} of {wanted.title}, which contains an API key"
                ),
                target=_target(wanted, f"/record/{revision.number}"),
                before={"revision": revision.number},
                after=None,
                wanted=wanted,
                revision=newest,
                number=revision.number,
            )


def _plan(current: Current, wanted: Desired) -> Iterator[Action]:
    last = current.last
    if last and last.unfinished and not wanted.recover:
        raise Refused(
            f"{wanted.title} is {last.status}: Helm is still working on revision {last.number}, or was killed."
            f" Wait until it is done, or set {named('pending', role_of(wanted.name))} to recover."
        )
    if not wanted.present:
        yield from _plan_absent(current, wanted, last)
        return
    if current.namespace and current.namespace.leaving:
        raise Refused(current.namespace.leaving)
    yield from _plan_present(current, wanted)


def _plan_absent(current: Current, wanted: Desired, last: Revision | None) -> Iterator[Action]:
    if last is None:
        return
    contents = last.contents
    waiting = _waiting(last, current, wanted)
    if contents.owns_namespace(wanted.namespace):
        yield DisownNamespace(
            f"remove Namespace {wanted.namespace} from the record of {wanted.title}, so that Helm keeps it",
            _target(wanted, "/record"),
            {"namespace": wanted.namespace},
            None,
            wanted,
            last.number,
            **waiting,
        )
        waiting = {}
    if current.hooks:
        # Before the uninstall: afterwards nothing shows that they belonged to the release.
        yield DeleteHooks(
            f"delete the objects left by hooks of {wanted.title}: {', '.join(map(str, current.hooks))}",
            _target(wanted, "/hooks"),
            {"objects": list(map(str, current.hooks))},
            None,
            wanted,
            last.number,
            **waiting,
            objects=current.hooks,
        )
        waiting = {}
    yield Uninstall(
        f"uninstall {wanted.title}",
        _target(wanted),
        _summary(last),
        None,
        wanted,
        last.number,
        **waiting,
        objects=contents.objects,
    )


def _plan_present(current: Current, wanted: Desired) -> Iterator[Action]:
    last = current.last
    if last is None:
        yield from _plan_install(current, wanted)
    elif last.unfinished and record.goal(current.history) is None:
        yield from _plan_killed(current, wanted, last)
    else:
        yield from _plan_existing(current, wanted, last)


def _plan_install(current: Current, wanted: Desired) -> Iterator[Action]:
    _refuse_owner(current, wanted)
    if current.namespace is None and not wanted.create_namespace:
        raise Refused(namespace_refusal(wanted.namespace))
    purpose = f", which {wanted.purpose}," * bool(wanted.purpose)
    yield Upgrade(
        f"install {wanted.title}{purpose} in namespace {wanted.namespace} (chart {_chart_title(current.chart)})"
        + _TAKING_OVER * bool(current.owner),
        _target(wanted),
        None,
        {
            "chart": _chart_title(current.chart),
            "status": record.DEPLOYED,
            "values": shown(wanted.values, differing({}, wanted.values)),
        },
        replace(wanted, create_namespace=current.namespace is None),
        current.history[-1].number if current.history else 0,
    )


def _plan_killed(current: Current, wanted: Desired, killed: Revision) -> Iterator[Action]:
    """There is no complete revision that an unfinished one could return to: continue from what it created."""
    what = killed.status.partition("-")[2]
    yield MarkFailed(
        f"mark the killed {what} of {wanted.title} (revision {killed.number}) as failed",
        _target(wanted, f"/record/{killed.number}"),
        {"revision": killed.number, "status": killed.status},
        {"revision": killed.number, "status": record.FAILED},
        wanted,
        killed.number,
        **_waiting(killed, current, wanted),
    )
    failed = Revision.of(record.with_status(killed.secret, record.FAILED))
    rest = replace(current, history=(*current.history[:-1], failed), killed=True)
    yield from _upgrade(rest, wanted, _basis(rest, failed), killed.number, first=True)


def _plan_existing(current: Current, wanted: Desired, last: Revision) -> Iterator[Action]:
    """Return to a complete revision if the newest is not complete, and upgrade if the release is not what is wanted.

    Helm itself upgrades from every state but an unfinished one, and creates missing objects while it does.
    """
    goal = record.goal(current.history)
    differs = goal is not None and wanted.enforce and _differs(current, wanted, goal.contents)
    if last.status == record.DEPLOYED:
        back, upgrade = bool(current.missing) and not differs, differs
    elif last.unfinished:
        back, upgrade = goal is not None, goal is None or differs
    else:
        back, upgrade = goal is not None and not wanted.enforce, goal is None or wanted.enforce
    if goal and back:
        yield from _roll_back(current, wanted, last, goal)
    if upgrade:
        basis = goal if goal and back else _basis(current, last)
        yield from _upgrade(current, wanted, basis, last.number + back, first=goal is None)


def _roll_back(current: Current, wanted: Desired, last: Revision, goal: Revision) -> Iterator[Action]:
    if last.contents.owns_namespace(wanted.namespace) and not goal.contents.owns_namespace(wanted.namespace):
        yield from _keep_namespace(current, wanted, last.number)
    if current.missing:
        gone = ", ".join(str(item) for item in current.missing)
        sentence = f"restore {gone} of {wanted.title} (apply revision {goal.number} again)"
    elif goal is last:
        sentence = f"apply revision {goal.number} of {wanted.title} again (it is {last.status})"
    else:
        sentence = f"roll {wanted.title} back to revision {goal.number} (revision {last.number} is {last.status})"
    yield RollBack(
        sentence,
        _target(wanted, "/repair"),
        {"revision": last.number, "status": last.status, "missing": [str(item) for item in current.missing]},
        {"revision": last.number + 1, "status": record.DEPLOYED, "missing": []},
        wanted,
        last.number,
        **_waiting(last, current, wanted),
        to=goal.number,
        replicas=current.replicas if current.missing else (),
    )


def _upgrade(current: Current, wanted: Desired, basis: Revision, number: int, first: bool) -> Iterator[Action]:
    """basis: the revision that Helm compares the new one with; number: the newest one by then; first: whether no
    complete revision exists."""
    _refuse_owner(current, wanted)
    contents = basis.contents
    paths = differing(contents.values, wanted.values)
    if contents.owns_namespace(wanted.namespace):
        yield from _keep_namespace(current, wanted, number)
    changes = [f"from chart {contents.chart} {contents.version} to {_chart_title(current.chart)}"]
    if _same_chart(current.chart, contents):
        changes = []
    if paths:
        changes.append(f"with changed values {', '.join(paths)}")
    if not changes:
        changes = ["again, because its last change failed"]
    yield Upgrade(
        " ".join([f"upgrade {wanted.title}", *changes]) + _TAKING_OVER * bool(current.owner),
        _target(wanted),
        _summary(basis, paths),
        {
            "chart": _chart_title(current.chart),
            "status": record.DEPLOYED,
            "values": shown(wanted.values, paths),
        },
        replace(
            wanted,
            adopt=wanted.adopt and (first or bool(current.owner)),
            create_namespace=wanted.create_namespace and current.namespace is None,
        ),
        number,
    )


def _keep_namespace(current: Current, wanted: Desired, number: int) -> Iterator[Action]:
    if current.namespace and not current.namespace.kept:
        yield KeepNamespace(
            (
                f"mark Namespace {wanted.namespace} to be kept, so that Helm does not delete it when the chart no"
                " longer creates it"
            ),
            f"kubernetes/namespace/{wanted.namespace}",
            {"annotations": {record.KEEP_ANNOTATION: None}},
            {"annotations": {record.KEEP_ANNOTATION: "keep"}},
            wanted,
            number,
        )


def _basis(current: Current, last: Revision) -> Revision:
    """The revision that Helm compares with in an upgrade: the newest deployed one, or the newest."""
    return next((item for item in reversed(current.history) if item.status == record.DEPLOYED), last)


def _differs(current: Current, wanted: Desired, contents: Contents) -> bool:
    return not _same_chart(current.chart, contents) or bool(differing(contents.values, wanted.values))


def _same_chart(chart: Facts, contents: Contents) -> bool:
    """What is not known about the wanted chart counts as equal."""
    return (not chart.name or chart.name == contents.chart) and (
        not chart.version or same_version(chart.version, contents.version)
    )


def _refuse_owner(current: Current, wanted: Desired) -> None:
    found = current.owner
    refusal = found.refusal(wanted.adopt, wanted.name, wanted.adopt_managed) if found else ""
    if refusal:
        raise Refused(refusal)


def _added_owner(gateway: Systems, wanted: Desired, current: Current) -> Owner | None:
    """Who owns an existing object that the release would contain, and that Helm refuses to change or would take over.

    Before an upgrade these are the objects that it would add. An install that takes over objects would take those of
    other releases too.
    """
    cluster, goal = gateway.connection.cluster(), record.goal(current.history)
    known = {item for revision in current.history[-1:] for item in revision.contents.objects}
    rendered = gateway.helm.render(wanted.chart, wanted.name, wanted.namespace, wanted.values, secrets(wanted.values))
    asked = [item for item in record.references(rendered) if goal is None or item not in known]
    live = {str(item): found for item, found in _readable(cluster, wanted, asked)}
    namespace = f"Namespace {wanted.namespace}"
    its_own = {namespace: live.pop(namespace, None)}
    if goal and owner_of_added(cluster, its_own, wanted.name, wanted.namespace):
        raise Refused(
            f"With these values the chart of {wanted.title} creates {namespace}, which already exists. Set"
            f" createNamespace: false in {named('values', role_of(wanted.name))}."
        )
    found = owner_of_added(cluster, live, wanted.name, wanted.namespace, set(map(str, known)))
    return replace(found, kept=current.owner.kept) if found and current.owner else found or current.owner


def _waiting(last: Revision, current: Current, wanted: Desired) -> dict[str, Any]:
    """How long a running Helm is given to finish an unfinished revision, as arguments of a step."""
    if not last.unfinished:
        return {}
    age = max(0.0, current.now - last.changed)
    return {"unfinished": last, "patience": 0.0 if current.killed else max(0.0, wanted.grace - age)}


def confirm(gateway: Systems, wanted: Desired, current: Current, planned: tuple[Action, ...]) -> tuple[Action, ...]:
    """Refuse, in check mode too, what the helm program here cannot do. It is only started if there is work for it.

    Only an upgrade, or an install that takes over objects, renders the chart, which shows what would be added: without
    that, Helm itself refuses objects that are not the release's.
    """
    if not any(isinstance(step, Step) and step.helm for step in planned):
        return planned
    version = gateway.helm.check_version()
    if any(isinstance(step, Upgrade) and (record.goal(current.history) or step.wanted.adopt) for step in planned):
        current = replace(current, owner=_added_owner(gateway, wanted, current))
        planned = tuple(plan(current, wanted))
    refusal = current.owner.helm_refusal(version) if current.owner else ""
    if refusal:
        raise Refused(refusal)
    return planned


def _chart(wanted: Desired) -> Facts:
    """What is known about the wanted chart without fetching it."""
    chart = wanted.chart
    if not (wanted.present and chart.local):
        return Facts(chart.name, chart.version)
    found = facts(Path(chart.ref))
    if chart.version and not same_version(found.version, chart.version):
        raise Refused(
            f"Chart {chart.ref} is {found.name} {found.version}, but {named('chart_version', role_of(wanted.name))} is"
            f" {chart.version}. Correct one of the two."
        )
    return found


def _records(cluster: Kubernetes, namespace: str, names: Iterable[str], kind: str = "Secret") -> list[Object]:
    """Helm's records of these releases, with all their revisions."""
    selector = f"owner=helm,name in ({','.join(names)})"
    return (cluster.get(path_of("v1", kind, None, namespace), labelSelector=selector) or {}).get("items") or []


def _in_configmaps(cluster: Kubernetes, namespace: str, names: Iterable[str]) -> frozenset[str]:
    """Which releases Helm stores in ConfigMaps: an install would start anew, and lose their values."""
    try:
        listed = _records(cluster, namespace, names, "ConfigMap")
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


def _found(cluster: Kubernetes, namespace: str, objects: Iterable[Reference]) -> dict[Reference, Object | None]:
    """The live objects of manifests, None if deleted. Only Kubernetes' own kinds are read."""
    known = [item for item in objects if item.built_in]
    found = side_by_side(AT_ONCE, [partial(cluster.get, _path(item, namespace)) for item in known])
    return dict(zip(known, found, strict=True))


def _readable(cluster: Kubernetes, wanted: Desired, objects: Iterable[Reference]) -> Iterator[tuple[Reference, Object]]:
    """The existing ones, each with its live object. Unreadable ones are left out: the work itself needs no right to
    read them."""

    def read(item: Reference) -> Object | None:
        with contextlib.suppress(Failure):
            return _found(cluster, wanted.namespace, [item]).get(item)
        return None

    known = list(objects)
    found = side_by_side(AT_ONCE, [partial(read, item) for item in known])
    yield from ((item, one) for item, one in zip(known, found, strict=True) if one)


def _undeletable(cluster: Kubernetes, wanted: Desired, objects: Iterable[Reference]) -> str:
    """Why the first object that cannot be deleted cannot, as a sentence: a webhook or policy, or a missing right. Empty
    if there is none."""
    for item, _found in _readable(cluster, wanted, objects):
        try:
            cluster.try_to_delete(_path(item, wanted.namespace))
        except Rejected as answer:
            if answer.status != 404:
                return f"{item} cannot be deleted: {answer.message.rstrip('.')}."
        except CallFailed:
            return ""
    return ""


def _left_by_hooks(cluster: Kubernetes, wanted: Desired, history: History) -> tuple[Reference, ...]:
    made = sorted({item for revision in history for item in _hooks(revision)})
    return tuple(
        item
        for item, found in _readable(cluster, wanted, made)
        if record.HOOK_ANNOTATION in (found["metadata"].get("annotations") or {})
    )


def _hooks(revision: Revision) -> tuple[Reference, ...]:
    """An old record that nobody can read does not prevent an uninstall."""
    return _if_readable(lambda: revision.contents.hooks) or ()


def _if_readable(read: Callable[[], T]) -> T | None:
    """What a record says, or None if somebody edited it so that it cannot be read."""
    try:
        return read()
    except Refused:
        return None


def _workloads(found: Mapping[Reference, Object | None]) -> list[Object]:
    """The existing ones, with their kind, which an object that is read alone may not state."""
    return [{"kind": item.kind, **live} for item, live in found.items() if live and item.kind in KINDS]


def _left_by(cluster: Kubernetes, wanted: Desired, revision: int) -> Revision | None:
    """What a failed Helm has left of its work, or None. revision: the newest one before."""
    try:
        written = cluster.get(_record_path(wanted, revision + 1)) or cluster.get(_record_path(wanted, revision))
        found = Revision.of(written) if written else None
    except Failure:
        return None
    if found is None or (found.number == revision and found.status != record.UNINSTALLING):
        return None
    return found


def _replicas(wanted: Desired, live: Mapping[Reference, Object | None]) -> Iterator[tuple[str, int]]:
    for item, found in live.items():
        count = ((found or {}).get("spec") or {}).get("replicas")
        if isinstance(count, int):
            yield _path(item, wanted.namespace), count


def _outwait(cluster: Kubernetes, wanted: Desired, unfinished: Revision, patience: float) -> None:
    """Wait until a Helm that may be working on this revision must be dead; raise Conflict if it was not."""
    path, seen = _record_path(wanted, unfinished.number), _version_of(unfinished.secret)
    if until(lambda: _version_of(cluster.get(path)) != seen, timeout=patience):
        raise Conflict(f"Another Helm has finished its work on {wanted.title}.")


def settle(gateway: Systems, wanted: Desired, current: Current, made: Made, report: Report) -> Current:
    """What the release has become and whether it runs, with or without a change."""
    if made:
        current = _changed(gateway, wanted, current)
    if not wanted.present or not (made or current.unready):
        return current
    cluster, objects = gateway.connection.cluster(), current.last.contents.objects if current.last else ()

    def look() -> tuple[Unready, ...]:
        workloads = [item for item in objects if item.kind in KINDS]
        return unready(cluster, _workloads(_found(cluster, wanted.namespace, workloads)))

    if wanted.wait_for_workloads:
        outcome = wait(look, wanted.title, wanted.timeout, report)
        if outcome.unready:
            raise CallFailed(_not_running(wanted, outcome))
        return replace(current, unready=())
    return replace(current, unready=look())


def _changed(gateway: Systems, wanted: Desired, current: Current) -> Current:
    """Read again what Helm did: it ends without an error even if it could not record its own end."""
    records = _records(gateway.connection.cluster(), wanted.namespace, [wanted.name])
    current = replace(current, history=record.of(records, wanted.name))
    if wanted.present and (current.last is None or current.last.status != record.DEPLOYED):
        status = current.last.status if current.last else "gone"
        raise CallFailed(
            f"Helm reported no error, but {wanted.title} is {status}. Either Helm may not update its Secrets in"
            f" namespace {wanted.namespace}, or somebody else is changing the release."
        )
    return current


def _not_running(wanted: Desired, outcome: Outcome) -> str:
    """Why the release does not run, and what to do."""
    role = role_of(wanted.name)
    how = "cannot start" if outcome.hopeless else f"is not ready after {outcome.seconds} s"
    longer = "" if outcome.hopeless else f" Raise {named('timeout', role)} if it only needs more time."
    return (
        f"{wanted.title} is installed in namespace {wanted.namespace}, but {how}: {_listed(outcome.unready)}. Correct"
        f" that, then run again.{longer} To continue without it, set {named('wait_for_workloads')} to false."
    )


def _listed(unready: Iterable[Unready]) -> str:
    return "; ".join(map(str, unready))


def view(current: Current, wanted: Desired, made: Made) -> Mapping[str, Any]:
    last = current.last
    if wanted.unwanted:
        found = {"warnings": [_unwanted_warning(wanted, last)]} if last else {}
        return {**found, "release": {"name": wanted.name} if last else None}
    warned = list(_warnings(current, wanted, last)) if wanted.present else []
    return {**({"warnings": warned} if warned else {}), "release": _described(wanted, last) if last else None}


def _described(wanted: Desired, last: Revision) -> Mapping[str, Any]:
    contents = last.contents
    return {
        "name": wanted.name,
        "namespace": wanted.namespace,
        "revision": last.number,
        "status": last.status,
        "chart": contents.chart,
        "chart_version": contents.version,
        "app_version": contents.app_version,
    }


def _warnings(current: Current, wanted: Desired, last: Revision | None) -> Iterator[str]:
    """What does not run, and where the cluster contains an API key, as CAST AI's script and Terraform leave it."""
    if current.unready:
        yield f"{wanted.title} is not running properly: {_listed(current.unready)}."
    if last and last.api_key_paths and not record.api_keys(wanted.values) and not wanted.enforce:
        policy = named("policy", role_of(wanted.name))
        yield (
            f"{wanted.title} has an API key in its values ({', '.join(last.api_key_paths)}), which anybody who can"
            f" read Secrets in namespace {wanted.namespace} can see. Run once with {policy} set to enforce, which"
            " gives the release the cluster's own token, then revoke that key at CAST AI."
        )
    if current.owner and current.owner.kept:
        yield (
            f"The objects that {wanted.title} takes over keep settings that the chart does not set:"
            f" {', '.join(current.owner.kept)}. Remove those that you do not want with kubectl edit."
        )
    older = [revision for revision in current.history if revision is not last and revision.api_key_paths]
    if older and not wanted.delete_superseded:
        names = ", ".join(record.secret_name(wanted.name, revision.number) for revision in older)
        yield (
            f"Superseded records of {wanted.title} contain an API key: Secrets {names}. Set"
            f" {named('delete_superseded_records')} to true to delete them, and revoke that key at CAST AI."
        )


def _unwanted_warning(wanted: Desired, last: Revision) -> str:
    """How to uninstall a release that is not wanted, or to keep it without this warning."""
    switch = switch_of(wanted.name)
    leaves_out = f"{switch} (option unwanted)" if switch else "option unwanted"
    objects = _if_readable(lambda: last.contents.objects) or ()
    definitions = any(item.kind == "CustomResourceDefinition" for item in objects)
    return (
        f"{wanted.title} is still installed in namespace {wanted.namespace}, but {leaves_out} leaves it out. It keeps"
        " running, and was not changed. To uninstall it, run castai_release with state: absent, or: helm uninstall"
        f" {wanted.name} --namespace {wanted.namespace}."
        f"{' This also deletes its custom resource definitions with all their objects.' * definitions} To keep it"
        f" without this warning, change {switch or 'that option'}."
    )


def _summary(revision: Revision, paths: tuple[str, ...] = ()) -> dict[str, Any]:
    contents = revision.contents
    return {
        "chart": f"{contents.chart} {contents.version}",
        "status": revision.status,
        "values": shown(contents.values, paths),
    }


def _chart_title(chart: Facts) -> str:
    return f"{chart.name} {chart.version or '(newest)'}".strip()


def _target(wanted: Desired, part: str = "") -> str:
    return f"helm/release/{wanted.namespace}/{wanted.name}{part}"


def _path(item: Reference, namespace: str) -> str:
    """namespace: the release's."""
    return path_of(item.api_version, item.kind, item.name, item.namespace or namespace)


def _record_path(wanted: Desired, revision: int | None = None) -> str:
    name = None if revision is None else record.secret_name(wanted.name, revision)
    return path_of("v1", "Secret", name, wanted.namespace)


def _version_of(found: Mapping[str, Any] | None) -> str:
    return str(((found or {}).get("metadata") or {}).get("resourceVersion") or "")


def _absolute(ref: str) -> str:
    """A user's path made absolute; names and addresses of charts stay. Helm runs in a folder of its own."""
    is_path = ref.startswith(("/", "./", "../", "~")) or (ref.endswith((".tgz", ".tar.gz")) and "://" not in ref)
    return str(as_path(ref).absolute()) if is_path else ref


def hidden(params: Parameters) -> tuple[str, ...]:
    values = params.get("values")
    return secrets(values) if isinstance(values, dict) else ()


SUBJECT = Subject(OPTIONS, desired, connect, observe, plan, view, settle, hidden, confirm)
