# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight's judgment of a pod equals the API server's: limit ranges, and quotas with scopes."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._castai import pods
from tests.sandbox.client import World
from tests.sandbox.kubernetes.client import Kubernetes, KubernetesError

CLUSTERS = ("prod:eks",)
PATIENCE = 30
CRITICAL = {"priorityClassName": "system-cluster-critical"}
CPU = {"requests": {"cpu": "100m"}}
BOTH = {"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}}
ACROSS = {"labelSelector": {}, "topologyKey": "kubernetes.io/hostname", "namespaceSelector": {}}
AFFINITY = {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [ACROSS]}}}


def case(resources: Any = None, pod: Any = None, quota: Any = None, **limits: Any) -> dict[str, Any]:
    """A pod with one container in a namespace with a quota, or with a limit range for containers, or for pods."""
    spec = {"containers": [{"name": "a", "image": "x", "resources": resources or {}}], **(pod or {})}
    items = [{"type": kind, **item} for kind, item in limits.items()]
    return {"pod": spec, "quota": quota, "limits": items}


def scoped(hard: dict[str, str], *scopes: str, **expression: Any) -> dict[str, Any]:
    if expression:
        return {"hard": hard, "scopeSelector": {"matchExpressions": [expression]}}
    return {"hard": hard, "scopes": list(scopes)}


NONE = {"pods": "0"}
INIT = {"initContainers": [{"name": "i", "image": "x", "resources": {"requests": {"cpu": "5"}}}]}
SIDECAR = {"initContainers": [{**INIT["initContainers"][0], "restartPolicy": "Always"}]}
CASES: dict[str, dict[str, Any]] = {
    "pods": case(quota={"hard": NONE}),
    "count of pods": case(quota={"hard": {"count/pods": "1e0"}}),
    "best effort": case(quota=scoped(NONE, "BestEffort")),
    "best effort, asks": case(CPU, quota=scoped(NONE, "BestEffort")),
    "not best effort": case(quota=scoped(NONE, "NotBestEffort")),
    "not best effort, asks": case(CPU, quota=scoped(NONE, "NotBestEffort")),
    "not best effort by a default": case(
        quota=scoped(NONE, "NotBestEffort"), Container={"defaultRequest": {"cpu": "1"}}
    ),
    "terminating": case(quota=scoped(NONE, "Terminating")),
    "terminating, is": case(pod={"activeDeadlineSeconds": 9}, quota=scoped(NONE, "Terminating")),
    "not terminating": case(quota=scoped(NONE, "NotTerminating")),
    "critical": case(pod=CRITICAL, quota=scoped(NONE, scopeName="PriorityClass", operator="Exists")),
    "of another class": case(
        pod=CRITICAL, quota=scoped(NONE, scopeName="PriorityClass", operator="In", values=["system-node-critical"])
    ),
    "but not of a class": case(
        pod=CRITICAL, quota=scoped(NONE, scopeName="PriorityClass", operator="NotIn", values=["system-node-critical"])
    ),
    "across namespaces": case(pod=AFFINITY, quota=scoped(NONE, "CrossNamespacePodAffinity")),
    "across no namespaces": case(quota=scoped(NONE, "CrossNamespacePodAffinity")),
    "says nothing": case(quota={"hard": {"cpu": "9"}}),
    "says requests only": case(CPU, quota={"hard": {"limits.cpu": "9"}}),
    "says limits": case({"limits": {"cpu": "1"}}, quota={"hard": {"cpu": "9"}}),
    "too little": case({"limits": {"cpu": "1"}}, quota={"hard": {"requests.cpu": "999m"}}),
    "enough": case({"limits": {"cpu": "1"}}, quota={"hard": {"requests.cpu": "1000000u"}}),
    "an init container asks for more": case(CPU, INIT, quota={"hard": {"cpu": "4"}}),
    "an init container fits": case(CPU, INIT, quota={"hard": {"cpu": "5"}}),
    "a sidecar comes on top": case(CPU, SIDECAR, quota={"hard": {"cpu": "5"}}),
    "a default for who says nothing": case(quota={"hard": {"cpu": "9"}}, Container={"default": {"cpu": "1"}}),
    "a default that is too much": case(quota={"hard": {"cpu": "1"}}, Container={"default": {"cpu": "2"}}),
    "a default below the request": case(CPU, Container={"default": {"cpu": "1m"}}),
    "above the most": case(BOTH, Container={"max": {"cpu": "500m"}}),
    "no limit, but a most, which is the default": case(CPU, Container={"max": {"cpu": "500m"}}),
    "a pod without limit": case(CPU, Pod={"max": {"cpu": "500m"}}),
    "a pod above the most": case(BOTH, Pod={"max": {"cpu": "500m"}}),
    "below the least": case(CPU, Container={"min": {"cpu": "200m"}}),
    "nothing, but a least": case(Container={"min": {"memory": "16Mi"}}),
    "ratio": case(BOTH, Container={"maxLimitRequestRatio": {"cpu": "2"}}),
    "ratio that fits": case(BOTH, Container={"maxLimitRequestRatio": {"cpu": "10"}}),
}


@pytest.fixture(scope="module")
def kubernetes(module_world: World) -> Kubernetes:
    module_world.reset()
    return module_world.kubernetes("prod")


@pytest.mark.parametrize("name", CASES)
def test_the_judgment_is_the_api_servers(kubernetes: Kubernetes, name: str) -> None:
    wanted, namespace = CASES[name], f"case-{list(CASES).index(name)}"
    path = f"/api/v1/namespaces/{namespace}"
    kubernetes.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    if wanted["limits"]:
        kubernetes.create(f"{path}/limitranges", {"metadata": {"name": "l"}, "spec": {"limits": wanted["limits"]}})
    if wanted["quota"]:
        kubernetes.create(f"{path}/resourcequotas", {"metadata": {"name": "q"}, "spec": wanted["quota"]})
        wait_for_quotas(kubernetes, path)
    refused = refusal(kubernetes, path, wanted["pod"])
    ranges, quotas = kubernetes.items(f"{path}/limitranges"), kubernetes.items(f"{path}/resourcequotas")
    pod = pods.with_defaults(wanted["pod"], ranges)
    judged = [*pods.beyond(pod, ranges)]
    for quota in quotas:
        if pods.covers(quota, pod):
            asked = pods.needed([(pods.Template("Deployment", "x", 1, pod), 1)])
            judged += [*pods.short_of(quota, asked), *pods.unnamed(quota, pod)]
    assert bool(judged) is bool(refused), (judged, refused)


def wait_for_quotas(kubernetes: Kubernetes, path: str) -> None:
    """Return once the API server applies the quotas created so far: it learns of them in order, a moment later."""
    kubernetes.create(
        f"{path}/resourcequotas", {"metadata": {"name": "last"}, "spec": {"hard": {"count/configmaps": "0"}}}
    )
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            kubernetes.create(f"{path}/configmaps?dryRun=All", {"metadata": {"name": "x"}})
        except KubernetesError as error:
            if "quota: last" in str(error):
                return
        time.sleep(0.1)
    raise TimeoutError("the API server does not know of the quotas")


def refusal(kubernetes: Kubernetes, path: str, spec: dict[str, Any]) -> str:
    """Why the API server refuses the pod, once the controllers know the namespace; empty if it does not."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            kubernetes.create(f"{path}/pods?dryRun=All", {"metadata": {"name": "x"}, "spec": spec})
        except KubernetesError as error:
            passing = "error looking up service account" in str(error) or "status unknown for quota" in str(error)
            if not passing or time.monotonic() > deadline:
                return str(error)
            time.sleep(0.1)
        else:
            return ""
