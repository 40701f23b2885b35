# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Helm release: installed, upgraded, repaired, taken over or uninstalled. PRIVATE to the collection.

Helm itself only runs if there is something to do. The desired state is in options.py, the current state in observed.py,
the work in actions.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any

from .._clusters.connection import namespace_refusal
from .._engine import Action, CallFailed, Made, Refused, Report, Subject
from .._gateways.helm import Facts, older_version, same_version
from .._variables import named, role_of, switch_of
from . import record
from .actions import (
    DeleteHooks,
    DeleteRecord,
    DisownNamespace,
    KeepNamespace,
    MarkFailed,
    RollBack,
    Step,
    Uninstall,
    Upgrade,
)
from .observed import (
    Current,
    Systems,
    connect,
    if_readable,
    observe,
    read_objects,
    read_records,
    readable,
    workloads_among,
)
from .options import OPTIONS, Desired, desired, hidden
from .owner import Owner, managed_refusal, owner_of_added
from .record import Contents, Reference, Revision
from .values import differing, secrets, shown
from .workloads import KINDS, Outcome, Unready, unready, wait

_TAKING_OVER = ", taking over the existing objects"


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
        # Before the uninstall: afterward nothing shows that they belonged to the release.
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
    verb = "downgrade" if older_version(current.chart.version, contents.version) else "upgrade"
    if _same_chart(current.chart, contents):
        changes = []
    if paths:
        changes.append(f"with changed values {', '.join(paths)}")
    if not changes:
        changes = ["again, because its last change failed"]
    yield Upgrade(
        " ".join([f"{verb} {wanted.title}", *changes]) + _TAKING_OVER * bool(current.owner),
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


def _known(current: Current) -> AbstractSet[Reference]:
    """The objects of the newest revision."""
    return {item for revision in current.history[-1:] for item in revision.contents.objects}


def _added(gateway: Systems, wanted: Desired, current: Current) -> tuple[Reference, ...]:
    """The objects that the chart would add to the release: all of them if no complete revision exists."""
    chart = gateway.helm.render(wanted.chart, wanted.name, wanted.namespace, wanted.values, secrets(wanted.values))
    known = _known(current) if record.goal(current.history) else ()
    return tuple(item for item in record.references(chart) if item not in known)


def _added_owner(gateway: Systems, wanted: Desired, current: Current, added: Iterable[Reference]) -> Owner | None:
    """Who owns an existing object that the release would contain, and that Helm refuses to change or would take over.

    An install that takes over objects would take those of other releases too.
    """
    cluster, goal = gateway.connection.cluster(), record.goal(current.history)
    live = {str(item): found for item, found in readable(cluster, wanted, added)}
    namespace = f"Namespace {wanted.namespace}"
    its_own = {namespace: live.pop(namespace, None)}
    if goal and owner_of_added(cluster, its_own, wanted.name, wanted.namespace):
        raise Refused(
            f"With these values the chart of {wanted.title} creates {namespace}, which already exists. Set"
            f" createNamespace: false in {named('values', role_of(wanted.name))}."
        )
    found = owner_of_added(cluster, live, wanted.name, wanted.namespace, set(map(str, _known(current))))
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
        added = _added(gateway, wanted, current)
        current = replace(current, owner=_added_owner(gateway, wanted, current, added))
        planned = tuple(
            replace(step, added=added) if isinstance(step, Upgrade) else step for step in plan(current, wanted)
        )
    refusal = current.owner.helm_refusal(version) if current.owner else ""
    if refusal:
        raise Refused(refusal)
    return planned


def settle(gateway: Systems, wanted: Desired, current: Current, made: Made, report: Report) -> Current:
    """What the release has become and whether it runs, with or without a change."""
    if made:
        current = _changed(gateway, wanted, current)
    if not wanted.present or not (made or current.unready):
        return current
    cluster, objects = gateway.connection.cluster(), current.last.contents.objects if current.last else ()

    def look() -> tuple[Unready, ...]:
        workloads = [item for item in objects if item.kind in KINDS]
        return unready(cluster, workloads_among(read_objects(cluster, wanted.namespace, workloads)))

    if wanted.wait_for_workloads:
        outcome = wait(look, wanted.title, wanted.timeout, report)
        if outcome.unready:
            raise CallFailed(_not_running(wanted, outcome))
        return replace(current, unready=())
    return replace(current, unready=look())


def _changed(gateway: Systems, wanted: Desired, current: Current) -> Current:
    """Read again what Helm did: it ends without an error even if it could not record its own end."""
    records = read_records(gateway.connection.cluster(), wanted.namespace, [wanted.name])
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
    objects = if_readable(lambda: last.contents.objects) or ()
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


SUBJECT = Subject(OPTIONS, desired, connect, observe, plan, view, settle, hidden, confirm)
