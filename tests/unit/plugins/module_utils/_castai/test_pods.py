# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps pods from starting, found before they exist."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._castai import pods

HARDENED: dict[str, Any] = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "allowPrivilegeEscalation": False,
    "seccompProfile": {"type": "RuntimeDefault"},
    "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
}
RESTRICTED_LACKS = (
    "allowPrivilegeEscalation other than false",
    "runAsNonRoot other than true",
    "capabilities that are not dropped",
    "no seccomp profile",
)


def pod(security: Any = None, **spec: Any) -> dict[str, Any]:
    container = {"name": "a", **({} if security is None else {"securityContext": security})}
    return {"containers": [container], **spec}


@pytest.mark.parametrize(
    ("spec", "baseline"),
    [
        (pod(), ()),
        (pod(hostNetwork=True), ("the host's network",)),
        (pod(hostPID=True, hostIPC=True), ("the host's processes", "the host's IPC")),
        (pod(hostNetwork=False), ()),
        (pod({"privileged": True}), ("privileged containers",)),
        (
            pod({"privileged": True}, initContainers=[{"securityContext": {"privileged": True}}]),
            ("privileged containers",),
        ),
        (pod({"capabilities": {"add": ["SYS_ADMIN", "BPF", "CHOWN"]}}), ("capabilities BPF, SYS_ADMIN",)),
        (pod(volumes=[{"name": "v", "hostPath": {"path": "/"}}]), ("volumes of type hostPath",)),
        (pod(volumes=[{"name": "v", "emptyDir": {}}]), ()),
        (pod(securityContext={"seccompProfile": {"type": "Unconfined"}}), ("seccomp profile Unconfined",)),
        ({"containers": [{"ports": [{"containerPort": 1}, {"hostPort": 9}]}]}, ("ports of the host",)),
        (pod({"procMount": "Unmasked"}), ("an unmasked /proc",)),
    ],
)
def test_baseline(spec: dict[str, Any], baseline: tuple[str, ...]) -> None:
    assert pods.forbidden(spec, pods.BASELINE) == baseline
    assert pods.forbidden(spec, pods.PRIVILEGED) == ()
    assert set(pods.forbidden(spec, pods.RESTRICTED)) >= set(baseline)


@pytest.mark.parametrize(
    ("spec", "restricted"),
    [
        (pod(), RESTRICTED_LACKS),
        (pod(HARDENED), ()),
        (
            pod(
                {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                securityContext={"runAsNonRoot": True, "seccompProfile": {"type": "Localhost"}},
            ),
            (),
        ),
        (pod({**HARDENED, "runAsUser": 0}), ("user 0",)),
        (pod({**HARDENED, "runAsNonRoot": False}, securityContext={"runAsNonRoot": True}), (RESTRICTED_LACKS[1],)),
        (pod({**HARDENED, "capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}}), ("added capabilities",)),
        (pod(HARDENED, volumes=[{"name": "v", "nfs": {}}]), ("volumes of type nfs",)),
        (pod(HARDENED, initContainers=[{"name": "i"}]), RESTRICTED_LACKS),
    ],
)
def test_restricted(spec: dict[str, Any], restricted: tuple[str, ...]) -> None:
    assert pods.forbidden(spec, pods.RESTRICTED) == restricted


def item(kind: str, spec: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "x"}, "spec": {"template": {"spec": spec}, **more}}


def test_templates_are_those_that_want_pods() -> None:
    found = pods.templates(
        [
            item("Deployment", pod(), replicas=2),
            item("Deployment", pod()),
            item("Deployment", pod(), replicas=0),
            item("DaemonSet", pod()),
            item("Job", pod()),
            {"kind": "Service", "metadata": {"name": "x"}, "spec": {}},
            {"kind": "ConfigMap", "metadata": {"name": "x"}},
        ]
    )
    assert [(one.kind, one.count) for one in found] == [
        ("Deployment", 2),
        ("Deployment", 1),
        ("DaemonSet", 0),
        ("Job", 1),
    ]


def sized(count: int, kind: str = "Deployment", **resources: Any) -> pods.Template:
    return pods.Template(kind, "x", count, {"containers": [{"resources": resources}]})


SIZED = [
    sized(2, requests={"cpu": "100m", "memory": "512Mi"}, limits={"memory": "1Gi"}),
    sized(0, "DaemonSet", limits={"cpu": 1}),
    sized(1, "Job", requests={"cpu": "64"}),
]


@pytest.mark.parametrize(
    ("hard", "used", "short"),
    [
        ({"pods": "5"}, {}, ()),
        ({"pods": "4"}, {}, ("4 of pods, 5 needed",)),
        ({"pods": "9"}, {"pods": "5"}, ("4 of pods, 5 needed",)),
        ({"count/pods": 1}, {"count/pods": "3"}, ("0 of count/pods, 5 needed",)),
        ({"requests.cpu": "3200m"}, {}, ()),
        ({"cpu": "3"}, {}, ("3 of cpu, 3.2 needed",)),
        ({"memory": "1000Mi"}, {}, ("1000Mi of memory, 1024Mi needed",)),
        ({"limits.memory": "2Gi", "secrets": "0"}, {}, ()),
        ({"pods": "what?"}, {}, ()),
        ({"pods": "1e3", "requests.memory": "1E3"}, {}, ("0Mi of requests.memory, 1024Mi needed",)),
    ],
)
def test_quotas(hard: dict[str, Any], used: dict[str, Any], short: tuple[str, ...]) -> None:
    quota = {"metadata": {"name": "q"}, "spec": {"hard": hard}, "status": {"used": used}}
    stored = [replace(one, pod=pods.with_defaults(one.pod, ())) for one in SIZED]
    assert pods.short_of(quota, pods.needed(zip(stored, (2, 3, 0), strict=True))) == short


CRITICAL = pod(priorityClassName="system-cluster-critical")
ASKING: dict[str, Any] = {"containers": [{"resources": {"requests": {"cpu": "1m"}}}]}
ACROSS = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"namespaceSelector": {}}]}}
PREFERRED = [{"weight": 1, "podAffinityTerm": {"namespaces": ["x"]}}]


@pytest.mark.parametrize(
    ("spec", "scope", "covered"),
    [
        (pod(), {}, True),
        (CRITICAL, ("PriorityClass", "Exists"), True),
        (CRITICAL, ("PriorityClass", "In", "system-cluster-critical"), True),
        (CRITICAL, ("PriorityClass", "In", "low"), False),
        (CRITICAL, ("PriorityClass", "NotIn", "low"), True),
        (CRITICAL, ("PriorityClass", "DoesNotExist"), False),
        # It may get a default class.
        (pod(), ("PriorityClass", "DoesNotExist"), False),
        (pod(), ("PriorityClass", "NotIn", "low"), False),
        (pod(), {"scopes": ["NotTerminating"]}, True),
        (pod(), {"scopes": ["Terminating"]}, False),
        (pod(activeDeadlineSeconds=0), {"scopes": ["Terminating"]}, True),
        (pod(), {"scopes": ["BestEffort", "NotTerminating"]}, True),
        (pod(), {"scopes": ["BestEffort", "Terminating"]}, False),
        (pod(), {"scopes": ["NotBestEffort"]}, False),
        (ASKING, {"scopes": ["NotBestEffort"]}, True),
        ({"initContainers": ASKING["containers"], "containers": [{}]}, {"scopes": ["BestEffort"]}, False),
        (pod(affinity=ACROSS), {"scopes": ["CrossNamespacePodAffinity"]}, True),
        (
            pod(affinity={"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": PREFERRED}}),
            ("CrossNamespacePodAffinity", "Exists"),
            True,
        ),
        (pod(affinity={"podAffinity": {}}), {"scopes": ["CrossNamespacePodAffinity"]}, False),
        (pod(), {"scopes": ["OfTheFuture"]}, False),
    ],
)
def test_which_pods_a_quota_counts(spec: dict[str, Any], scope: Any, covered: bool) -> None:
    if isinstance(scope, tuple):
        name, operator, *values = scope
        expression = {"scopeName": name, "operator": operator, **({"values": values} if values else {})}
        scope = {"scopeSelector": {"matchExpressions": [expression]}}
    assert pods.covers({"spec": scope}, spec) is covered


def test_a_pod_that_limit_ranges_may_give_requests_is_not_surely_of_best_effort() -> None:
    assert not pods.covers({"spec": {"scopes": ["BestEffort"]}}, pod(), whole=False)


def test_init_containers_sidecars_and_the_pod_itself_count_as_the_quota_counts_them() -> None:
    def one(cpu: str, **more: Any) -> dict[str, Any]:
        return {"resources": {"requests": {"cpu": cpu}}, **more}

    inits = [one("1", restartPolicy="Always"), one("5")]
    spec = {"containers": [one("2"), one("2")], "initContainers": inits}
    for found, cpu in ((spec, 6), ({**spec, "initContainers": inits[:1]}, 5), ({**spec, **one("3")}, 3)):
        assert pods.needed([(pods.Template("Deployment", "x", 1, found), 2)])["requests.cpu"] == 2 * cpu


@pytest.mark.parametrize(
    ("hard", "resources", "lacks"),
    [
        ({"pods": "9"}, {}, ()),
        ({"cpu": "9", "limits.memory": "9Gi"}, {}, ("requests.cpu", "limits.memory")),
        ({"cpu": "9", "limits.memory": "9Gi"}, {"limits": {"cpu": 1, "memory": "1Gi"}}, ()),
        ({"requests.ephemeral-storage": "9"}, {}, ()),
    ],
)
def test_what_a_quota_wants_containers_to_say(
    hard: dict[str, str], resources: dict[str, Any], lacks: tuple[str, ...]
) -> None:
    stored = pods.with_defaults({"containers": [{"resources": resources}]}, ())
    assert pods.unnamed({"spec": {"hard": hard}}, stored) == lacks
    assert pods.unnamed({"spec": {"hard": hard}}, {**stored, "resources": {"limits": {"cpu": "1"}}}) == ()


def ranges(kind: str = "Container", **item: Any) -> list[dict[str, Any]]:
    return [
        {"spec": {"limits": [{"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}}, {"type": kind, **item}]}}
    ]


@pytest.mark.parametrize(
    ("resources", "found", "refused"),
    [
        ({}, [], ()),
        ({"requests": {"cpu": "1"}}, ranges(default={"cpu": "2"}, defaultRequest={"cpu": "1m"}), ()),
        ({}, ranges(default={"cpu": "2"}, defaultRequest={"cpu": "1"}, max={"cpu": "2"}, min={"cpu": "1"}), ()),
        (
            {"requests": {"cpu": "3"}},
            ranges(default={"cpu": "2"}),
            ("container a requests 3 of cpu, more than its limit of 2",),
        ),
        ({"limits": {"cpu": "3"}}, ranges(max={"cpu": "2"}), ("container a has 3 of cpu, but the maximum is 2",)),
        (
            {"requests": {"cpu": "1"}},
            ranges(max={"cpu": "2"}),
            ("container a has no limit of cpu, but the maximum is 2",),
        ),
        (
            {"requests": {"cpu": "1m"}},
            ranges(min={"cpu": "10m"}),
            ("container a has 0.001 of cpu, but the minimum is 0.01",),
        ),
        ({}, ranges(min={"memory": "16Mi"}), ("container a requests no memory, but the minimum is 16Mi",)),
        (
            {"requests": {"cpu": "1"}, "limits": {"cpu": "3"}},
            ranges(maxLimitRequestRatio={"cpu": 2}),
            ("container a has a limit of cpu above 2 times its request",),
        ),
        (
            {"requests": {"cpu": "1"}},
            ranges(maxLimitRequestRatio={"cpu": 2}),
            ("container a has no limit of cpu, and a limit may be at most 2 times the request",),
        ),
        ({"limits": {"cpu": "1"}}, ranges("Pod", max={"cpu": "2"}), ()),
        ({"limits": {"cpu": "3"}}, ranges("Pod", max={"cpu": "2"}), ("the pod has 3 of cpu, but the maximum is 2",)),
    ],
)
def test_limit_ranges(resources: dict[str, Any], found: list[Any], refused: tuple[str, ...]) -> None:
    stored = pods.with_defaults({"containers": [{"name": "a", "resources": resources}]}, found)
    assert pods.beyond(stored, found) == refused


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", "1"),
        ("100m", "0.1"),
        ("1.5Gi", "1610612736"),
        ("2k", "2000"),
        (3, "3"),
        (None, "0"),
        ("Gi", "0"),
        ("1e3", "1000"),
        ("2E-1", "0.2"),
        ("1E", "1e18"),
        ("1.", "1"),
        (".5", "0.5"),
        ("250u", "0.00025"),
        ("5n", "5e-9"),
        ("-1", "-1"),
    ],
)
def test_quantities(text: Any, number: str) -> None:
    assert pods.quantity(text) == Decimal(number)


def node(ready: bool = True, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "n", "labels": labels or {}},
        "spec": spec,
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


TAINTED = node(taints=[{"key": "team", "value": "x", "effect": "NoSchedule"}])


def tolerating(**toleration: Any) -> dict[str, Any]:
    return {"tolerations": [toleration]}


def required(*expressions: dict[str, Any]) -> dict[str, Any]:
    terms = {"nodeSelectorTerms": [{"matchExpressions": [one]} for one in expressions]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}}


ZONE = {"zone": "a", "size": "8"}


@pytest.mark.parametrize(
    ("one", "spec", "taken"),
    [
        (node(), {}, True),
        (node(False), {}, False),
        (node(unschedulable=True), {}, False),
        (TAINTED, {}, False),
        (TAINTED, tolerating(operator="Exists"), True),
        (TAINTED, tolerating(key="team", operator="Exists", effect="NoSchedule"), True),
        (TAINTED, tolerating(key="team", operator="Exists", effect="NoExecute"), False),
        (TAINTED, tolerating(key="team", value="x"), True),
        (TAINTED, tolerating(key="team", value="y"), False),
        (TAINTED, tolerating(value="x"), False),
        (node(taints=[{"key": "team", "effect": "PreferNoSchedule"}]), {}, True),
        (node(labels=ZONE), {"nodeSelector": {"zone": "a"}}, True),
        (node(labels=ZONE), {"nodeSelector": {"zone": "b"}}, False),
        (node(labels=ZONE), required({"key": "zone", "operator": "In", "values": ["b", "a"]}), True),
        (node(labels=ZONE), required({"key": "zone", "operator": "NotIn", "values": ["a"]}), False),
        (
            node(labels=ZONE),
            required({"key": "gpu", "operator": "Exists"}, {"key": "zone", "operator": "Exists"}),
            True,
        ),
        (node(labels=ZONE), required({"key": "gpu", "operator": "DoesNotExist"}), True),
        (node(labels=ZONE), required({"key": "size", "operator": "Gt", "values": ["4"]}), True),
        (node(labels=ZONE), required({"key": "zone", "operator": "Lt", "values": ["4"]}), False),
        (node(), required(), False),
    ],
)
def test_nodes(one: dict[str, Any], spec: dict[str, Any], taken: bool) -> None:
    assert pods.takes(one, spec) is taken


def test_a_plain_node_takes_any_linux_pod() -> None:
    assert [pods.plain(one) for one in (node(), TAINTED, node(labels={"kubernetes.io/os": "windows"}))] == [
        True,
        False,
        False,
    ]
