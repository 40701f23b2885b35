# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether workloads run, and if not, why: in the words of their pods and controllers. PRIVATE to the collection."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._answers import tidy
from .._engine import Failure, Report, at_once, paced, results, until
from .._gateways.kubernetes import Kubernetes, Object, path_of
from .._patience import within

KINDS = ("DaemonSet", "Deployment", "StatefulSet")
"""Of group apps."""

SURE = 30.0
"""Seconds that a reason must last before it counts as hopeless: an image is pulled again after 10 and after 20 s,
and a Secret or a quota may appear a moment after the pods."""

SURE_OF_NODES = 45.0
"""The same if no node accepts a pod: within this time an autoscaler reports an event about the pod."""

_SHOWN = 400
"""Maximum number of characters that a message quotes from Kubernetes or a container."""

NO_IMAGE = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable")
"""Reasons of waiting containers whose image cannot be pulled; these alternate."""
_UNSTARTABLE = (*NO_IMAGE, "CreateContainerConfigError")
"""Reasons of waiting containers that do not go away by themselves."""

_INSTANCE = "app.kubernetes.io/instance"
"""Label of the objects of a chart, with the release."""

_UNSCHEDULABLE, _FAILED_CREATE = "Unschedulable", "FailedCreate"
_REFUSED = ("is forbidden", "denied the request")
_PASSING = "error looking up service account"


@dataclass(frozen=True)
class Unready:
    """A workload that does not run as its object asks for.

    state: how many of its pods are ready; why: what its pods or its controller say, empty if they say nothing; reason:
    a keyword, if the problem does not go away by itself.
    """

    workload: str
    state: str
    why: str = ""
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.workload} has {self.state}{f': {self.why}' if self.why else ''}"


@dataclass(frozen=True)
class Outcome:
    """How a wait ended. seconds: how long it took; hopeless: whether it was given up early."""

    unready: tuple[Unready, ...]
    seconds: int
    hopeless: bool = False


@dataclass
class Patience:
    """For how long each workload has had the same hopeless reason."""

    since: dict[tuple[str, str], float] = field(default_factory=dict)
    """By workload and reason; the reason is empty if an image cannot be pulled."""

    def over(self, unready: Iterable[Unready], now: float) -> bool:
        found = {(one.workload, "" if one.reason in NO_IMAGE else one.reason) for one in unready if one.reason}
        self.since = {key: self.since.get(key, now) for key in found}
        return any(
            now - start >= (SURE_OF_NODES if reason == _UNSCHEDULABLE else SURE)
            for (_workload, reason), start in self.since.items()
        )


def wait(
    look: Callable[[], tuple[Unready, ...]],
    title: str,
    timeout: float,
    report: Report,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Poll until everything is ready, nothing can become ready anymore, or timeout seconds have passed."""
    start, patience, tell = clock(), Patience(), paced(report, timeout, clock)
    seen: tuple[Unready, ...] = ()
    hopeless = False

    def probe() -> bool:
        nonlocal seen, hopeless
        seen = look()
        hopeless = patience.over(seen, clock())
        if seen and not hopeless:
            tell(f"{title}: {', '.join(f'{one.workload} has {one.state}' for one in seen)}")
        return not seen or hopeless

    with within(timeout):
        until(probe, timeout=timeout, first=0.5, longest=5.0, sleep=sleep, clock=clock)
    return Outcome(seen, round(clock() - start), hopeless)


def unready(cluster: Kubernetes, items: Iterable[Object]) -> tuple[Unready, ...]:
    """Which of these live workloads are not ready. Round 1: their pods, events and nodes. Round 2: an autoscaler."""
    waiting = {title(item): item for item in items if not is_ready(item)}
    with at_once() as ask:
        asked = {name: ask(_explained, cluster, item) for name, item in waiting.items()}
    return tuple(filter(None, results(asked).values()))


def stuck_jobs(cluster: Kubernetes, namespace: str, release: str) -> tuple[Unready, ...]:
    """A release's unfinished Jobs, and what their pods say; none if Jobs may not be listed."""
    jobs = [{"kind": "Job", **item} for item in _items(cluster, path_of("batch/v1", "Job", None, namespace))]
    running = [
        job for job in jobs if _is_of(job, release) and not (_is_true(job, "Complete") or _is_true(job, "Failed"))
    ]
    return tuple(_stuck(cluster, job) for job in running)


def _is_of(job: Object, release: str) -> bool:
    """By its name, and by its label where it has one: the name of one release may begin with that of another."""
    labels = job["metadata"].get("labels") or {}
    return str(job["metadata"]["name"]).startswith(f"{release}-") and bool(labels.get(_INSTANCE, release) == release)


def _stuck(cluster: Kubernetes, job: Object) -> Unready:
    labels = _selector(job)
    pods_path = path_of("v1", "Pod", None, job["metadata"].get("namespace") or "")
    pods = [pod for pod in _items(cluster, pods_path, labelSelector=labels) if _counts_as_pod(pod)] if labels else []
    why, reason = _why(cluster, job, pods, [] if pods else _events(cluster, job), not pods)
    return Unready(title(job), "no pod that succeeded", why, reason)


def title(item: Object) -> str:
    return f"{item['kind']} {item['metadata']['name']}"


def is_ready(item: Object) -> bool:
    """Whether as many pods as the live object wants come from its newest template and are available."""
    wanted, updated, available, left = _counts(item)
    return wanted == 0 or (_seen(item) and min(updated, available) >= wanted and left <= updated)


def _counts(item: Object) -> tuple[int, int, int, int]:
    """How many pods are wanted, come from the newest template, are available, and exist, not counting those that
    end."""
    spec, status = item.get("spec") or {}, item.get("status") or {}
    on_delete = (spec.get("updateStrategy") or {}).get("type") == "OnDelete"
    if item["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled") or 0
        # Before its controller has seen it, a new one wants none.
        wanted = wanted if _seen(item) else max(1, wanted)
        updated = wanted if on_delete else status.get("updatedNumberScheduled") or 0
        return wanted, updated, status.get("numberAvailable") or 0, 0
    wanted = spec.get("replicas", 1)
    partition = ((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition")
    updated = wanted if on_delete or partition else status.get("updatedReplicas") or 0
    available = status.get("availableReplicas") or 0
    return wanted, updated, available, (status.get("replicas") or 0) if item["kind"] == "Deployment" else 0


def _seen(item: Object) -> bool:
    """Whether its controller has seen its newest version."""
    generation = item["metadata"].get("generation") or 0
    return bool(((item.get("status") or {}).get("observedGeneration") or 0) >= generation)


def _explained(cluster: Kubernetes, item: Object) -> Unready | None:
    """Why it is not ready; None for a DaemonSet that only lacks pods on nodes that are not ready themselves."""
    namespace, daemon = item["metadata"].get("namespace") or "", item["kind"] == "DaemonSet"
    pods_path, labels = path_of("v1", "Pod", None, namespace), _selector(item)
    with at_once() as ask:
        asked_pods = ask.when(bool(labels), _items, cluster, pods_path, labelSelector=labels)
        asked_events = ask.when(item["kind"] != "Deployment", _events, cluster, item)
        asked_nodes = ask.when(daemon, _items, cluster, path_of("v1", "Node", None, None))
    pods = [pod for pod in asked_pods.result() or () if _counts_as_pod(pod)]
    broken = sorted((pod for pod in pods if not _is_true(pod, "Ready")), key=_born, reverse=True)
    wanted, updated, available, _left = _counts(item)
    if daemon and _seen(item) and broken and len(pods) >= wanted:
        absent = {node["metadata"]["name"] for node in asked_nodes.result() or () if not _is_true(node, "Ready")}
        broken = [pod for pod in broken if (pod.get("spec") or {}).get("nodeName") not in absent]
        if not broken:
            return None
    if available and updated >= wanted and broken and all(map(_only_apart, broken)):
        return None  # it runs, and preflight warns about the one node
    state = f"{min(updated, available)} of {wanted} pods ready"
    why, reason = _why(cluster, item, broken, asked_events.result() or [], len(pods) < wanted)
    return Unready(title(item), state, why, reason)


def _only_apart(pod: Object) -> bool:
    """Whether a pod only waits for a separate node, away from the others of its workload."""
    reason, message = _of_pod(pod)
    return reason == _UNSCHEDULABLE and "anti-affinity" in message


def _why(
    cluster: Kubernetes, item: Object, broken: list[Object], events: list[Object], lacking: bool
) -> tuple[str, str]:
    """The reason, and a keyword for it if it does not go away by itself. broken: pods, the newest first."""
    failure = _failed_create(item, events if lacking else [])
    if failure:
        refused = any(text in failure for text in _REFUSED) and _PASSING not in failure
        return f"{item['kind']} cannot create pods: {failure}", _FAILED_CREATE if refused else ""
    said = [(pod, *_of_pod(pod)) for pod in broken]
    # A pod with a reason says more than one that has only just started.
    pod, reason, message = next((one for one in said if one[1]), said[0] if said else (None, "", ""))
    if pod is None:
        return "", ""
    text = f"pod {pod['metadata']['name']} is {' '.join(filter(None, [reason or 'not ready', message]))}"
    if reason == _UNSCHEDULABLE:
        return text, "" if _may_get_node(cluster, pod) else reason
    return text, reason if reason in _UNSTARTABLE else ""


def _failed_create(item: Object, events: list[Object]) -> str:
    """Why its controller cannot create pods: a Deployment shows its ReplicaSet's reason, others only have events."""
    for condition in (item.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return _short(condition.get("message"))
    failed = [event for event in events if event.get("reason") == _FAILED_CREATE]
    return _short(max(failed, key=_last_seen).get("message")) if failed else ""


def _of_pod(pod: Object) -> tuple[str, str]:
    """Why a pod is not ready: a word such as ImagePullBackOff, empty if there is none, and a clause."""
    status = pod.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == _UNSCHEDULABLE:
            return _UNSCHEDULABLE, f"({_short(condition.get('message'))})"
    for container in _containers(status):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason = str(waiting.get("reason") or "")
        if reason and reason not in ("ContainerCreating", "PodInitializing"):
            name, ended = container.get("name"), _ended(container)
            return reason, f"(container {name}: {'; '.join(filter(None, [_short(waiting.get('message')), ended]))})"
    for container in _containers(status):
        ended = _ended(container)
        if ended:
            return "", f"(container {container.get('name')}: {ended})"
    phase = status.get("phase") or "Pending"
    return "", "(Running, but its readiness probe fails)" if phase == "Running" else f"({phase})"


def _containers(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from status.get("initContainerStatuses") or ()
    yield from (one for one in status.get("containerStatuses") or () if not one.get("ready"))


def _ended(container: Mapping[str, Any]) -> str:
    """How a container ended last, empty if it did not."""
    found = (container.get("lastState") or {}).get("terminated") or (container.get("state") or {}).get("terminated")
    if not found or (found.get("exitCode") == 0 and found.get("reason") == "Completed"):
        return ""
    said = _short(found.get("message"))
    return (
        f"ended with {found.get('reason') or 'Error'}, exit code {found.get('exitCode')}{f', {said}' if said else ''}"
    )


def _may_get_node(cluster: Kubernetes, pod: Object) -> bool:
    """Whether an autoscaler handles a pod that no node accepts: then an event about it comes from somewhere else than
    the scheduler.

    If the events cannot be read nothing is known, so it may.
    """
    try:
        events = _events(cluster, pod, raising=True)
    except Failure:
        return True
    scheduler = (pod.get("spec") or {}).get("schedulerName") or "default-scheduler"
    sources = {(one.get("source") or {}).get("component") or one.get("reportingComponent") or "" for one in events}
    return not sources or bool(sources - {scheduler, ""})


def _events(cluster: Kubernetes, item: Object, raising: bool = False) -> list[Object]:
    metadata = item["metadata"]
    path = path_of("v1", "Event", None, metadata.get("namespace") or "")
    selector = f"involvedObject.uid={metadata.get('uid') or ''}"
    if raising:
        return (cluster.get(path, fieldSelector=selector) or {}).get("items") or []
    return _items(cluster, path, fieldSelector=selector)


def _items(cluster: Kubernetes, path: str, **query: str) -> list[Object]:
    """A list that is only used for explanations: empty if it may not be read."""
    try:
        return (cluster.get(path, **query) or {}).get("items") or []
    except Failure:
        return []


def _selector(item: Object) -> str:
    """The labels of its pods; empty if it selects them in another way, because then all pods would match."""
    labels = ((item.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in labels.items())


def _counts_as_pod(pod: Object) -> bool:
    """Whether its controller counts the pod."""
    phase = (pod.get("status") or {}).get("phase")
    return not pod["metadata"].get("deletionTimestamp") and phase not in ("Succeeded", "Failed")


def _is_true(item: Object, condition: str) -> bool:
    found = (item.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == condition and one.get("status") == "True" for one in found)


def _born(item: Object) -> str:
    return str(item["metadata"].get("creationTimestamp") or "")


def _last_seen(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or _born(event))


def _short(message: Any) -> str:
    text = tidy(message, _SHOWN)
    return text if text.endswith("...") else text.rstrip(".")
