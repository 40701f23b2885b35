# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The work on a Helm release: what the helm program does, and the writes to records and objects. PRIVATE to the
collection.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from .._engine import Action, CallFailed, Conflict, Failure, Made, PartlyDone, Throttled, until
from .._gateways.helm import EVICTOR, HOOK_ADVICE, Work
from .._gateways.kubernetes import Kubernetes, Rejected, path_of
from . import record
from .observed import Systems, object_path, readable, record_path
from .options import Desired
from .record import Reference, Revision
from .values import secrets
from .workloads import NO_IMAGE, Patience, stuck_jobs


@dataclass(frozen=True)
class Step(Action):
    """An action on the release. revision: the newest one when this step's turn comes, 0 for none."""

    wanted: Desired = field(default=cast(Any, None), repr=False)
    revision: int = 0
    unfinished: Revision | None = field(default=None, repr=False)
    """A revision that a running Helm may still be working on."""
    patience: float = 0.0
    """Seconds after which that Helm process must have ended."""

    helm = True
    """Whether the helm program is needed."""

    def run(self, gateway: Systems, made: Made) -> Mapping[str, Any]:
        cluster = gateway.connection.cluster()
        if self.unfinished:
            _outwait(cluster, self.wanted, self.unfinished, self.patience)
        if cluster.get(record_path(self.wanted, self.revision + 1)) is not None:
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

    wanted.adopt: only if no complete revision exists yet, so that its objects may exist without an owner. added: the
    objects that the chart adds to the release, if it had to be rendered for the plan.
    """

    added: tuple[Reference, ...] = ()

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
            gateway.connection.cluster().delete(
                object_path(item, wanted.namespace), {"propagationPolicy": "Background"}
            )


@dataclass(frozen=True)
class MarkFailed(Step):
    """Note in the record of a killed revision that it failed, so that an upgrade compares with what it created."""

    helm = False

    def work(self, gateway: Systems, wanted: Desired) -> None:
        secret = self.unfinished.secret if self.unfinished else {}
        failed = record.with_status(secret, record.FAILED)
        gateway.connection.cluster().replace(record_path(wanted, self.revision), failed)


@dataclass(frozen=True)
class DeleteRecord(Step):
    """Delete the record of a revision that a newer one has replaced."""

    number: int = 0
    helm = False

    def work(self, gateway: Systems, wanted: Desired) -> None:
        gateway.connection.cluster().delete(record_path(wanted, self.number))


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
        cluster, path = gateway.connection.cluster(), record_path(wanted, self.revision)
        secret = cluster.get(path)
        if secret is None:
            raise Conflict(f"Revision {self.revision} of {wanted.title} is gone.")
        cluster.replace(path, record.encode(secret, record.without_namespace(record.decode(secret), wanted.namespace)))


def _undeletable(cluster: Kubernetes, wanted: Desired, objects: Iterable[Reference]) -> str:
    """Why the first object that cannot be deleted cannot, as a sentence: a webhook or policy, or a missing right. Empty
    if there is none."""
    for item, _found in readable(cluster, wanted, objects):
        try:
            cluster.try_to_delete(object_path(item, wanted.namespace))
        except Rejected as answer:
            if answer.status != 404:
                return f"{item} cannot be deleted: {answer.message.rstrip('.')}."
        except CallFailed:
            return ""
    return ""


def _left_by(cluster: Kubernetes, wanted: Desired, revision: int) -> Revision | None:
    """What a failed Helm has left of its work, or None. revision: the newest one before."""
    try:
        written = cluster.get(record_path(wanted, revision + 1)) or cluster.get(record_path(wanted, revision))
        found = Revision.of(written) if written else None
    except Failure:
        return None
    if found is None or (found.number == revision and found.status != record.UNINSTALLING):
        return None
    return found


def _outwait(cluster: Kubernetes, wanted: Desired, unfinished: Revision, patience: float) -> None:
    """Wait until a Helm that may be working on this revision must be dead; raise Conflict if it was not."""
    path, seen = record_path(wanted, unfinished.number), _version_of(unfinished.secret)
    if until(lambda: _version_of(cluster.get(path)) != seen, timeout=patience):
        raise Conflict(f"Another Helm process has finished its work on {wanted.title}.")


def _version_of(found: Mapping[str, Any] | None) -> str:
    return str(((found or {}).get("metadata") or {}).get("resourceVersion") or "")
