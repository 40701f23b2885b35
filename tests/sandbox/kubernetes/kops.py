# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a cluster a kOps cluster: its kube-router, addon annotations, addon manager and instances.

Read at the release tags of kubernetes/kops: upup/models/cloudup/resources/addons/networking.kuberouter for the
DaemonSets, upup/pkg/fi/cloudup/bootstrapchannelbuilder.go for their channel, channels/pkg for the annotations.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from moto.ec2.models import ec2_backends

from ..wire import Cluster
from .client import Kubernetes, KubernetesError

STORE = "s3://kops-state"
KUBE_SYSTEM = "/api/v1/namespaces/kube-system"
DAEMON_SETS = "/apis/apps/v1/namespaces/kube-system/daemonsets"
KUBE_ROUTER = f"{DAEMON_SETS}/kube-router"
NODES = "/api/v1/nodes"
SPOT_NODE = "spot"
EVERYWHERE = "node-exporter"
SPOT_TAINT = {"key": "scheduling.cast.ai/spot", "value": "true", "effect": "NoSchedule"}

_CRITICAL = {"key": "CriticalAddonsOnly", "operator": "Exists"}
_NO_SCHEDULE = {"effect": "NoSchedule", "operator": "Exists"}
_OLD: Sequence[Mapping[str, str]] = (_CRITICAL, _NO_SCHEDULE)
_NARROW: Sequence[Mapping[str, str]] = (
    _CRITICAL,
    {**_NO_SCHEDULE, "key": "node-role.kubernetes.io/master"},
    {**_NO_SCHEDULE, "key": "node.kubernetes.io/not-ready"},
)
_ANY: Sequence[Mapping[str, str]] = ({"operator": "Exists"},)

GENERATIONS = ("1.15", "1.16", "1.17", "1.18")
"""By their last patch releases: 1.15.3, 1.16.4, 1.17.2, 1.18.3."""

TEMPLATES = ("k8s-1.6", "k8s-1.12")
"""For Kubernetes below 1.12, and for 1.12 and newer."""

_TOLERATIONS = {
    ("1.15", "k8s-1.6"): _OLD,
    ("1.15", "k8s-1.12"): _OLD,
    ("1.16", "k8s-1.6"): _OLD,
    ("1.16", "k8s-1.12"): _NARROW,
    ("1.17", "k8s-1.6"): _OLD,
    ("1.17", "k8s-1.12"): _NARROW,
    ("1.18", "k8s-1.6"): _ANY,
    ("1.18", "k8s-1.12"): _ANY,
}
_VERSIONS = {
    ("1.15", "k8s-1.6"): ("0.3.1-kops.1", "v0.3.1"),
    ("1.15", "k8s-1.12"): ("0.3.1-kops.1", "v0.3.1"),
    ("1.16", "k8s-1.6"): ("0.3.1-kops.3", "v0.3.1"),
    ("1.16", "k8s-1.12"): ("0.4.0-kops.3", "v0.4.0"),
    ("1.17", "k8s-1.6"): ("0.3.1-kops.3", "v0.3.1"),
    ("1.17", "k8s-1.12"): ("0.4.0-kops.3", "v0.4.0"),
    ("1.18", "k8s-1.6"): ("0.3.1-kops.4", "v0.3.1"),
    ("1.18", "k8s-1.12"): ("1.0.1-kops.1", "v1.0.1"),
}


def kube_router(generation: str, template: str = "k8s-1.12") -> dict[str, Any]:
    """The DaemonSet as an API server stores it that only knows apps/v1.

    The template for old clusters was applied with extensions/v1beta1, whose default OnDelete stayed.
    """
    labels = {"k8s-app": "kube-router", "tier": "node"}
    image = f"docker.io/cloudnativelabs/kube-router:{_VERSIONS[generation, template][1]}"
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "kube-router", "namespace": "kube-system", "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "updateStrategy": {"type": "OnDelete" if template == "k8s-1.6" else "RollingUpdate"},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "priorityClassName": "system-node-critical",
                    "hostNetwork": True,
                    "containers": [{"name": "kube-router", "image": image}],
                    "tolerations": [dict(one) for one in _TOLERATIONS[generation, template]],
                },
            },
        },
    }


def apply(kubernetes: Kubernetes, manifest: dict[str, Any]) -> None:
    """Update a DaemonSet as the addon manager does with kubectl apply: fields in the manifest are set, others stay."""
    try:
        kubernetes.create(DAEMON_SETS, manifest)
    except KubernetesError as error:
        if error.status != 409:
            raise
        kubernetes.patch(f"{DAEMON_SETS}/{manifest['metadata']['name']}", manifest, "strategic")


def add_spot_node(kubernetes: Kubernetes) -> None:
    """Add a node named spot, tainted as CAST AI taints spot nodes.

    Returns when a DaemonSet that tolerates everything has its pod there. The controller has then seen the node, so a
    DaemonSet without a pod there will not get one.
    """
    labels = {"k8s-app": EVERYWHERE}
    pod = {"containers": [{"name": EVERYWHERE, "image": EVERYWHERE}], "tolerations": [*_ANY]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    kubernetes.create(DAEMON_SETS, {"metadata": {"name": EVERYWHERE}, "spec": spec})
    _until(lambda: not _nodes_without(kubernetes, EVERYWHERE))
    metadata = {
        "name": SPOT_NODE,
        "labels": {**kubernetes.items(NODES)[0]["metadata"]["labels"], "kubernetes.io/hostname": SPOT_NODE},
    }
    kubernetes.create(NODES, {"metadata": metadata, "spec": {"taints": [SPOT_TAINT]}})
    _until(lambda: not _nodes_without(kubernetes, EVERYWHERE))


def nodes_without_kube_router(kubernetes: Kubernetes) -> set[str]:
    """The nodes for which the scheduler has no kube-router pod: pods there have no network."""
    return _nodes_without(kubernetes, "kube-router")


def _nodes_without(kubernetes: Kubernetes, app: str) -> set[str]:
    pods = kubernetes.items(f"{KUBE_SYSTEM}/pods?labelSelector=k8s-app={app}")
    nodes = {node["metadata"]["name"] for node in kubernetes.items(NODES)}
    return nodes - {pod["spec"].get("nodeName") for pod in pods if _is_scheduled(pod)}


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        if time.monotonic() > deadline:
            raise RuntimeError(f"DaemonSet {EVERYWHERE} does not get its pods")
        time.sleep(0.05)


def _is_scheduled(pod: Mapping[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any((one["type"], one["status"]) == ("PodScheduled", "True") for one in conditions)


def addon_notes(cluster: str, generation: str, template: str) -> dict[str, str]:
    """The addon manager's annotations about its addons on namespace kube-system."""
    versions = {
        "core.addons.k8s.io": ("1.4.0", ""),
        "dns-controller.addons.k8s.io": (f"{generation}.0", template),
        "networking.kuberouter": (_VERSIONS[generation, template][0], template),
    }
    channel = f"{STORE}/{cluster}/addons/bootstrap-channel.yaml"
    return {
        f"addons.k8s.io/{addon}": json.dumps(
            {"version": version, "channel": channel, "id": id_, "manifestHash": "0" * 40}, separators=(",", ":")
        )
        for addon, (version, id_) in versions.items()
    }


def agent_environment(namespace: Mapping[str, Any], region: str) -> dict[str, str]:
    """What CAST AI's agent discovers by itself (castai/k8s-agent, internal/services/discovery), by environment
    variable."""
    noted = namespace["metadata"].get("annotations", {})
    channel = next(json.loads(text)["channel"] for key, text in noted.items() if key.startswith("addons.k8s.io/"))
    scheme, _separator, rest = channel.partition("://")
    host, name, *_rest = rest.split("/")
    return {
        "KOPS_CSP": "aws",
        "KOPS_REGION": region,
        "KOPS_CLUSTER_NAME": name,
        "KOPS_STATE_STORE": f"{scheme}://{host}",
    }


def add_instances(cluster: Cluster) -> None:
    """The cluster's VPC, and an instance for each of its nodes, as kOps tags them."""
    ec2 = ec2_backends[cluster.account][cluster.region]
    tags = {"KubernetesCluster": cluster.name, f"kubernetes.io/cluster/{cluster.name}": "owned"}
    vpc: Any = ec2.create_vpc("172.20.0.0/16", tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    subnet = ec2.create_subnet(vpc.id, "172.20.32.0/19", availability_zone=f"{cluster.region}a")
    group = ec2.create_security_group(
        f"nodes.{cluster.name}",
        "Security group for nodes",
        vpc_id=vpc.id,
        tags={"Name": f"nodes.{cluster.name}", **tags},
    )
    made = ec2.run_instances(
        "ami-00000000000000001",
        len(cluster.instances),
        None,
        [],
        subnet_id=subnet.id,
        security_group_ids=[group.id],
        instance_type="m5.large",
        is_instance_type_default=False,
        region_name=cluster.region,
    )
    for instance, wanted in zip(made.instances, cluster.instances, strict=True):
        instance.id = wanted  # the providerID of its node, which was there first
        instance.add_tags({"Name": f"nodes.{cluster.name}", "k8s.io/role/node": "1", **tags})
