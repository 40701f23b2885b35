# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether workloads run, and the message about those that do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._engine import CallFailed
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.kubernetes import Kubernetes, Object
from ansible_collections.castai.onboarding.plugins.module_utils._helm.workloads import (
    SURE,
    SURE_OF_NODES,
    Patience,
    Unready,
    is_ready,
    unready,
    wait,
)

SECURITY = (
    'pods "agent-x" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false'
    ' (container "agent" must set securityContext.allowPrivilegeEscalation=false)'
)
QUOTA = 'pods "agent-x" is forbidden: exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1'
NO_NODE = "0/3 nodes are available: 3 node(s) had untolerated taint {dedicated: x}."
PULL = 'Back-off pulling image "registry.example/agent:1"'
NO_SECRET = 'secret "castai-credentials" not found'


def deployment(wanted: int = 2, **status: Any) -> Object:
    whole = {"observedGeneration": 3, "replicas": wanted, "updatedReplicas": wanted, "availableReplicas": wanted}
    return workload("Deployment", {"replicas": wanted}, {**whole, **status})


def daemon_set(wanted: int = 3, spec: Mapping[str, Any] | None = None, **status: Any) -> Object:
    whole = {"desiredNumberScheduled": wanted, "updatedNumberScheduled": wanted, "numberAvailable": wanted}
    return workload("DaemonSet", spec or {}, {"observedGeneration": 3, **whole, **status})


def workload(kind: str, spec: Mapping[str, Any], status: Mapping[str, Any]) -> Object:
    return {
        "kind": kind,
        "metadata": {"name": "agent", "namespace": "castai-agent", "uid": "u-1", "generation": 3},
        "spec": {"selector": {"matchLabels": {"app": "agent"}}, **spec},
        "status": status,
    }


def pod(name: str = "agent-1", node: str = "n-1", born: str = "2026-01-01T00:00:00Z", **status: Any) -> Object:
    return {
        "metadata": {"name": name, "namespace": "castai-agent", "uid": name, "creationTimestamp": born},
        "spec": {"nodeName": node},
        "status": {"phase": "Pending", **status},
    }


def waiting(reason: str, message: str = "", kind: str = "containerStatuses", **more: Any) -> Object:
    container = {"name": "agent", "ready": False, "state": {"waiting": {"reason": reason, "message": message}}, **more}
    return pod(**{kind: [container]})


def ready(**changes: Any) -> Object:
    return pod(**{"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], **changes})


UNSCHEDULABLE = pod(
    node="", conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": NO_NODE}]
)
FAILURE = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}


def of_scheduler(**changes: Any) -> Object:
    return {
        "metadata": {"name": "e"},
        "reason": "FailedScheduling",
        "source": {"component": "default-scheduler"},
        **changes,
    }


@dataclass
class Cluster:
    """Lists by the last word of their path; an Exception instead of a list is raised."""

    lists: Mapping[str, list[Object] | Exception] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def get(self, path: str, **query: str) -> Object | None:
        kind = path.rpartition("/")[2]
        self.asked.append(f"{kind} {' '.join(query.values())}".strip())
        found = self.lists.get(kind, [])
        if isinstance(found, Exception):
            raise found
        return {"items": found}


def look(item: Object, **lists: list[Object] | Exception) -> tuple[Unready, ...]:
    return unready(cast(Kubernetes, Cluster(lists)), [item])


@pytest.mark.parametrize(
    ("item", "good"),
    [
        (deployment(), True),
        (deployment(0, replicas=0, updatedReplicas=0, availableReplicas=0, observedGeneration=0), True),
        (deployment(availableReplicas=1), False),
        (deployment(availableReplicas=None), False),
        (deployment(updatedReplicas=1), False),
        (deployment(replicas=3), False),
        (deployment(observedGeneration=2), False),
        (workload("Deployment", {}, {}), False),
        (workload("Deployment", {}, {"observedGeneration": 3, "updatedReplicas": 1, "availableReplicas": 1}), True),
        (daemon_set(), True),
        (daemon_set(0), True),
        (daemon_set(0, observedGeneration=2), False),
        (daemon_set(numberAvailable=2), False),
        (daemon_set(updatedNumberScheduled=2), False),
        (daemon_set(spec={"updateStrategy": {"type": "OnDelete"}}, updatedNumberScheduled=0), True),
        (workload("StatefulSet", {"replicas": 1}, {"observedGeneration": 3, "updatedReplicas": 1}), False),
        (
            workload(
                "StatefulSet",
                {"replicas": 1},
                {"observedGeneration": 3, "updatedReplicas": 1, "availableReplicas": 1},
            ),
            True,
        ),
    ],
)
def test_ready_is_what_the_live_object_wants(item: Object, good: bool) -> None:
    assert is_ready(item) is good
    assert (look(item) == ()) is good


def test_what_runs_costs_no_further_read() -> None:
    cluster = Cluster()
    assert unready(cast(Kubernetes, cluster), [deployment(), daemon_set()]) == ()
    assert cluster.asked == []


WHY: dict[str, tuple[Object, dict[str, list[Object] | Exception], str, str]] = {
    "PodSecurity": (
        deployment(availableReplicas=0, conditions=[{**FAILURE, "message": SECURITY}]),
        {},
        f"Deployment cannot create pods: {SECURITY}",
        "FailedCreate",
    ),
    "quota": (
        deployment(availableReplicas=1, conditions=[{**FAILURE, "message": QUOTA}]),
        {"pods": [ready()]},
        f"Deployment cannot create pods: {QUOTA}",
        "FailedCreate",
    ),
    "a webhook": (
        deployment(conditions=[{**FAILURE, "message": 'admission webhook "p" denied the request: no'}], replicas=3),
        {},
        'Deployment cannot create pods: admission webhook "p" denied the request: no',
        "FailedCreate",
    ),
    "a ServiceAccount that comes later": (
        deployment(
            availableReplicas=0,
            conditions=[
                {**FAILURE, "message": 'pods "a" is forbidden: error looking up service account a/b: not found'}
            ],
        ),
        {},
        'Deployment cannot create pods: pods "a" is forbidden: error looking up service account a/b: not found',
        "",
    ),
    "a DaemonSet's quota": (
        daemon_set(numberAvailable=0),
        {
            "events": [
                of_scheduler(reason="FailedCreate", message="older", lastTimestamp="2026-01-01T00:00:00Z"),
                of_scheduler(reason="FailedCreate", message=QUOTA, lastTimestamp="2026-01-02T00:00:00Z"),
                of_scheduler(reason="SuccessfulCreate", message="x", lastTimestamp="2026-01-03T00:00:00Z"),
            ]
        },
        f"DaemonSet cannot create pods: {QUOTA}",
        "FailedCreate",
    ),
    "a DaemonSet that has its pods": (
        daemon_set(1, numberAvailable=0),
        {"pods": [waiting("ImagePullBackOff", PULL)], "events": [of_scheduler(reason="FailedCreate", message="gone")]},
        f"pod agent-1 is ImagePullBackOff (container agent: {PULL})",
        "ImagePullBackOff",
    ),
    "an image": (
        deployment(availableReplicas=0),
        {"pods": [waiting("ErrImagePull", PULL)]},
        f"pod agent-1 is ErrImagePull (container agent: {PULL})",
        "ErrImagePull",
    ),
    "an image of an init container": (
        deployment(availableReplicas=0),
        {"pods": [waiting("ImagePullBackOff", PULL, "initContainerStatuses")]},
        f"pod agent-1 is ImagePullBackOff (container agent: {PULL})",
        "ImagePullBackOff",
    ),
    "a Secret": (
        deployment(availableReplicas=0),
        {"pods": [waiting("CreateContainerConfigError", NO_SECRET)]},
        f"pod agent-1 is CreateContainerConfigError (container agent: {NO_SECRET})",
        "CreateContainerConfigError",
    ),
    "memory": (
        deployment(availableReplicas=0),
        {
            "pods": [
                waiting(
                    "CrashLoopBackOff", "back-off", lastState={"terminated": {"reason": "OOMKilled", "exitCode": 137}}
                )
            ]
        },
        "pod agent-1 is CrashLoopBackOff (container agent: back-off; ended with OOMKilled, exit code 137)",
        "",
    ),
    "a container that starts": (
        deployment(availableReplicas=0),
        {"pods": [waiting("ContainerCreating")]},
        "pod agent-1 is not ready (Pending)",
        "",
    ),
    "a probe": (
        deployment(availableReplicas=0),
        {
            "pods": [
                pod(phase="Running", containerStatuses=[{"name": "agent", "ready": False, "state": {"running": {}}}])
            ]
        },
        "pod agent-1 is not ready (Running, but its readiness probe fails)",
        "",
    ),
    "no node and no autoscaler": (
        deployment(availableReplicas=0),
        {"pods": [UNSCHEDULABLE], "events": [of_scheduler()]},
        f"pod agent-1 is Unschedulable ({NO_NODE.rstrip('.')})",
        "Unschedulable",
    ),
    "no node, but Karpenter": (
        deployment(availableReplicas=0),
        {"pods": [UNSCHEDULABLE], "events": [of_scheduler(), of_scheduler(source={}, reportingComponent="karpenter")]},
        f"pod agent-1 is Unschedulable ({NO_NODE.rstrip('.')})",
        "",
    ),
    "no node, and events that may not be read": (
        deployment(availableReplicas=0),
        {"pods": [UNSCHEDULABLE], "events": CallFailed("403")},
        f"pod agent-1 is Unschedulable ({NO_NODE.rstrip('.')})",
        "",
    ),
    "pods that may not be read": (deployment(availableReplicas=0), {"pods": CallFailed("403")}, "", ""),
    "an old pod beside the new one": (
        deployment(updatedReplicas=1),
        {
            "pods": [
                ready(name="old"),
                {**waiting("CrashLoopBackOff"), "metadata": {"name": "older", "creationTimestamp": "2025"}},
                waiting("ImagePullBackOff", PULL),
                pod(name="ended", phase="Failed", born="2027"),
            ]
        },
        f"pod agent-1 is ImagePullBackOff (container agent: {PULL})",
        "ImagePullBackOff",
    ),
    "a sentence without end": (
        deployment(availableReplicas=0),
        {"pods": [waiting("ErrImagePull", "\x1b[31mx\n" + "y" * 5000)]},
        f"pod agent-1 is ErrImagePull (container agent: x {'y' * 395}...)",
        "ErrImagePull",
    ),
}


@pytest.mark.parametrize("what", WHY)
def test_the_reason_is_the_pods_or_the_controllers_own_sentence(what: str) -> None:
    item, lists, why, reason = WHY[what]
    (found,) = look(item, **lists)
    assert (found.why, found.reason) == (why, reason)


def test_the_sentence_says_how_many_run() -> None:
    (found,) = look(deployment(availableReplicas=1), pods=[waiting("ErrImagePull", PULL)])
    assert str(found).startswith("Deployment agent has 1 of 2 pods ready: pod agent-1 is ErrImagePull ")


def test_a_second_pod_that_must_be_apart_may_lack_a_node_where_the_first_runs() -> None:
    apart = "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": apart}
    second = pod(name="agent-2", node="", conditions=[condition])
    assert look(deployment(availableReplicas=1), pods=[ready(), second]) == ()
    assert look(deployment(availableReplicas=0), pods=[second]) != ()
    assert look(deployment(availableReplicas=1), pods=[ready(), waiting("ErrImagePull")]) != ()


def test_pods_of_others_are_not_taken_for_its_own() -> None:
    chosen = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["agent"]}]}
    item = deployment(availableReplicas=0)
    item["spec"]["selector"] = chosen
    (found,) = look(item, pods=[waiting("ImagePullBackOff", PULL)])
    assert (found.why, found.reason) == ("", "")


@pytest.mark.parametrize(
    ("pods", "absent", "named"),
    [
        ([ready(), pod("agent-2", "n-2")], ["n-2"], False),
        ([ready(), pod("agent-2", "n-2")], [], True),
        ([pod("agent-2", "n-2"), pod("agent-3", "n-3")], ["n-2"], True),
        ([pod("agent-2", "n-2")], ["n-2"], True),
    ],
)
def test_a_daemon_set_need_not_run_on_nodes_that_do_not(pods: list[Object], absent: list[str], named: bool) -> None:
    nodes = [
        {"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": str(name not in absent)}]}}
        for name in ("n-1", "n-2", "n-3")
    ]
    found = look(daemon_set(2, numberAvailable=1), pods=pods, nodes=nodes)
    assert bool(found) is named
    assert bool(look(daemon_set(2, numberAvailable=1), pods=pods, nodes=CallFailed("403"))) is True


# Waiting


@dataclass
class Clock:
    now: float = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def __call__(self) -> float:
        return self.now


def waited(*shown: tuple[float, Unready | None], timeout: float = 300) -> tuple[Any, list[str]]:
    """shown: from which second on each state is seen."""
    clock, lines = Clock(), list[str]()

    def seen() -> tuple[Unready, ...]:
        current = [one for start, one in shown if start <= clock.now][-1]
        return (current,) if current else ()

    return wait(seen, "Release", timeout, lines.append, sleep=clock.sleep, clock=clock), lines


SLOW = Unready("Deployment agent", "0 of 2 pods ready", "pod a is not ready (Pending)")
HOPELESS = Unready("Deployment agent", "0 of 2 pods ready", "pod a is ImagePullBackOff", "ImagePullBackOff")
NODELESS = Unready("Deployment agent", "0 of 2 pods ready", "pod a is Unschedulable", "Unschedulable")


def test_what_becomes_ready_is_waited_for() -> None:
    outcome, lines = waited((0, SLOW), (20, None))
    assert (outcome.unready, outcome.hopeless) == ((), False)
    assert lines == ["Release: Deployment agent has 0 of 2 pods ready"]


@pytest.mark.parametrize(("one", "sure"), [(HOPELESS, SURE), (NODELESS, SURE_OF_NODES)])
def test_what_is_hopeless_is_given_up_within_a_minute(one: Unready, sure: float) -> None:
    outcome, _lines = waited((0, one))
    assert (outcome.unready, outcome.hopeless) == ((one,), True)
    assert sure <= outcome.seconds < 60


def test_what_only_looks_hopeless_for_a_moment_is_waited_for() -> None:
    """Each state lasts longer than the longest pause between two looks, which is 6 s."""
    assert waited((0, HOPELESS), (20, SLOW), (30, HOPELESS), (55, None))[0].unready == ()


def test_time_ends_with_what_was_seen_last_and_a_line_every_half_minute() -> None:
    outcome, lines = waited((0, SLOW), timeout=100)
    assert (outcome.unready, outcome.hopeless, outcome.seconds) == ((SLOW,), False, 100)
    assert len(lines) == 4
    assert all(line.endswith(" s of 100 s)") for line in lines[1:])


def test_words_for_one_image_take_turns_without_a_new_patience() -> None:
    patience = Patience()
    words = ("ErrImagePull", "ImagePullBackOff", "ErrImagePull", "ImagePullBackOff")
    found = [patience.over([Unready("w", "", "", word)], 12.0 * at) for at, word in enumerate(words)]
    assert found == [False, False, False, True]
