# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Acts as the agent in a cluster, because kwok runs no containers: reports to CAST AI and notes the cluster's id."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from urllib3.exceptions import HTTPError

from ..kubernetes import kops
from ..kubernetes.client import Kubernetes, KubernetesError
from ..wire import Cluster

INTERVAL = 1.0  # seconds between looks
CORE = "/api/v1/namespaces/castai-agent"
DEPLOYMENT = "/apis/apps/v1/namespaces/castai-agent/deployments/castai-agent"
CONTAINER = "agent"
METADATA = "castai-agent-metadata"
UID = "the UID of kube-system"  # beside the variables of its environment: as what a kOps cluster registers
CONTROLLER = "/apis/apps/v1/namespaces/castai-agent/deployments/castai-cluster-controller"

Snapshot = Callable[[Cluster, Mapping[str, str], bool], "str | None"]


class Run(NamedTuple):
    """Running pods: their Deployment, and the environment they started with."""

    uid: str
    generation: int
    environment: Mapping[str, str]


class Agent(threading.Thread):
    """Looks at the Deployment once a second and, while a pod would run, sends a snapshot with the pod's environment.

    As in a container, the environment is read when the pods start; a refused agent restarts and reads it again.
    """

    def __init__(self, cluster: Cluster, snapshot: Snapshot) -> None:
        super().__init__(name=f"agent of {cluster.name}", daemon=True)
        self._cluster = cluster
        self._snapshot = snapshot
        self._kubernetes = Kubernetes(cluster.admin_kubeconfig)
        self._stopping = threading.Event()
        self._run: Run | None = None
        self._controller = False

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        while not self._stopping.wait(INTERVAL):
            try:
                self._run = self.look()
            except (KubernetesError, HTTPError):
                if self._run:  # the API server is away; the pods go on
                    self._snapshot(self._cluster, self._run.environment, self._controller)

    def look(self) -> Run | None:
        """Look once. Returns the run that continues or starts, None if nothing runs or CAST AI refused it."""
        deployment = self._kubernetes.get(DEPLOYMENT)
        if not _ready(deployment):
            return None
        uid, generation = deployment["metadata"]["uid"], deployment["metadata"]["generation"]
        run = self._run
        if run is None or (run.uid, run.generation) != (uid, generation):
            run = Run(uid, generation, self._environment(deployment["spec"]["template"]["spec"]))
        self._controller = _ready(self._kubernetes.get(CONTROLLER))
        cluster_id = self._snapshot(self._cluster, run.environment, self._controller)
        if cluster_id is None:
            return None
        if run is not self._run:
            _note(self._kubernetes, cluster_id)
        return run

    def _environment(self, pod: Mapping[str, Any]) -> dict[str, str]:
        """The container's environment and, on kOps, what the agent discovers if it is not told."""
        told = environment(self._kubernetes, pod)
        if self._cluster.provider != "kops":
            return told
        namespace = self._kubernetes.get(kops.KUBE_SYSTEM)
        found = kops.agent_environment(namespace, self._cluster.region)
        return {**found, UID: namespace["metadata"]["uid"], **told}


def _ready(deployment: Any) -> bool:
    return bool(deployment and deployment.get("status", {}).get("readyReplicas"))


def environment(kubernetes: Kubernetes, pod: Mapping[str, Any]) -> dict[str, str]:
    """The environment of the agent's container: its envFrom, then its env, plain or from a Secret's key."""
    container = next(one for one in pod["containers"] if one["name"] == CONTAINER)
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        if "secretRef" in source:
            found.update(_secret(kubernetes, source["secretRef"]["name"]))
    for variable in container.get("env", ()):
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        secret = _secret(kubernetes, reference["name"]) if reference else {}
        value = secret.get(reference["key"]) if reference else variable.get("value")
        if value is not None:
            found[variable["name"]] = value
    return found


def _secret(kubernetes: Kubernetes, name: str) -> dict[str, str]:
    secret = kubernetes.get(f"{CORE}/secrets/{name}") or {}
    data: Mapping[str, str] = secret.get("data") or {}
    return {key: base64.b64decode(value).decode("utf-8", "replace") for key, value in data.items()}


def _note(kubernetes: Kubernetes, cluster_id: str) -> None:
    """Write the ConfigMap in which the agent stores its cluster's id."""
    wanted = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": METADATA, "namespace": "castai-agent"},
        "data": {"CLUSTER_ID": cluster_id},
    }
    if kubernetes.get(f"{CORE}/configmaps/{METADATA}") is None:
        kubernetes.create(f"{CORE}/configmaps", wanted)
    else:
        kubernetes.patch(f"{CORE}/configmaps/{METADATA}", {"data": wanted["data"]})
