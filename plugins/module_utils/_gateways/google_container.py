# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""GKE, for class Google. PRIVATE to the collection."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._answers import Odd, object_in, objects_in, text_in
from .google_session import Session
from .https import Call

GET_CLUSTER = Call(
    "read GKE cluster {cluster} of project {project} in {location}",
    "GET",
    "container",
    "/v1/projects/{project}/locations/{location}/clusters/{cluster}",
    ("container.clusters.get",),
)
LIST_CLUSTERS = Call(
    "list the GKE clusters of project {project}",
    "GET",
    "container",
    "/v1/projects/{project}/locations/-/clusters",
    ("container.clusters.list",),
)
CALLS = (GET_CLUSTER, LIST_CLUSTERS)

DEFAULT_ACCOUNT = "default"
"""GKE's name for the project's default Compute Engine account."""


@dataclass(frozen=True)
class NodePool:
    """service_account: an e-mail address, or "default". autoscaling: whether GKE adds and removes its nodes. disk_key:
    the customer's key for its disks, empty for Google's. sandbox: whether its pods run in GKE Sandbox."""

    name: str
    service_account: str
    autoscaling: bool = False
    disk_key: str = ""
    sandbox: bool = False
    subnetwork: str = ""


@dataclass(frozen=True)
class GkeCluster:
    """A cluster as the container API describes it.

    project: as in the cluster's own address, or else as the caller named it. endpoint: of the control plane, by IP.
    dns_endpoint: its name, empty if there is none. dns_from_outside: whether the name can be used from outside Google's
    network. tokens_by_dns, certificates_by_dns: whether it accepts Kubernetes' own tokens and certificates. by_ip:
    whether the IP endpoint is enabled. private: whether that can only be reached from the cluster's network.
    authorized_networks: whether only some addresses may use it.
    """

    name: str
    project: str
    location: str
    status: str
    version: str
    endpoint: str
    ca_pem: str
    dns_endpoint: str = ""
    dns_from_outside: bool = False
    tokens_by_dns: bool = False
    certificates_by_dns: bool = False
    by_ip: bool = True
    private: bool = False
    private_endpoint: str = ""
    public_endpoint: str = ""
    authorized_networks: bool = False
    autopilot: bool = False
    auto_provisioning: bool = False
    alpha: bool = False
    expires: str = ""
    node_pools: tuple[NodePool, ...] = ()
    network: str = ""
    subnetwork: str = ""
    workload_pool: str = ""
    database_key: str = ""
    membership: str = ""

    @property
    def node_accounts(self) -> tuple[str, ...]:
        """The accounts of the node pools, each once, in the order of the pools. "default" is kept as it is."""
        return tuple(dict.fromkeys(pool.service_account for pool in self.node_pools))

    @property
    def network_project(self) -> str:
        """The project of the cluster's network, a different one for a Shared VPC. Empty if GKE does not say."""
        parts = self.network.split("/")
        return parts[1] if parts[0] == "projects" and len(parts) > 1 else ""

    @property
    def subnets(self) -> tuple[str, ...]:
        """The subnets of the cluster and its node pools, each once. Only full names, because short ones are of the own
        project."""
        found = dict.fromkeys([self.subnetwork, *(pool.subnetwork for pool in self.node_pools)])
        return tuple(one for one in found if re.fullmatch("projects/[^/]+/regions/[^/]+/subnetworks/[^/]+", one))

    @classmethod
    def parse(cls, body: Mapping[str, Any], project: str) -> GkeCluster:
        endpoints = object_in(body, "controlPlaneEndpointsConfig")
        dns, by_ip = object_in(endpoints, "dnsEndpointConfig"), object_in(endpoints, "ipEndpointsConfig")
        old = object_in(body, "privateClusterConfig")
        networks = object_in(by_ip, "authorizedNetworksConfig") or object_in(body, "masterAuthorizedNetworksConfig")
        network = object_in(body, "networkConfig")
        public = by_ip.get("enablePublicEndpoint")
        return cls(
            text_in(body, "name"),
            _project_of(text_in(body, "selfLink")) or project,
            text_in(body, "location") or text_in(body, "zone"),
            text_in(body, "status"),
            text_in(body, "currentMasterVersion"),
            text_in(body, "endpoint"),
            _pem(text_in(object_in(body, "masterAuth"), "clusterCaCertificate", 100_000)),
            text_in(dns, "endpoint"),
            dns.get("allowExternalTraffic") is True,
            dns.get("enableK8sTokensViaDns") is True,
            dns.get("enableK8sCertsViaDns") is True,
            by_ip.get("enabled") is not False,
            public is False or old.get("enablePrivateEndpoint") is True,
            text_in(by_ip, "privateEndpoint") or text_in(old, "privateEndpoint"),
            text_in(by_ip, "publicEndpoint") or text_in(old, "publicEndpoint"),
            networks.get("enabled") is True,
            object_in(body, "autopilot").get("enabled") is True,
            object_in(body, "autoscaling").get("enableNodeAutoprovisioning") is True,
            body.get("enableKubernetesAlpha") is True,
            text_in(body, "expireTime"),
            tuple(map(_pool, objects_in(body, "nodePools"))),
            text_in(network, "network"),
            text_in(network, "subnetwork"),
            text_in(object_in(body, "workloadIdentityConfig"), "workloadPool"),
            text_in(object_in(body, "databaseEncryption"), "keyName"),
            text_in(object_in(body, "fleet"), "membership"),
        )


def _pool(body: Mapping[str, Any]) -> NodePool:
    config = object_in(body, "config")
    return NodePool(
        text_in(body, "name"),
        text_in(config, "serviceAccount") or DEFAULT_ACCOUNT,
        object_in(body, "autoscaling").get("enabled") is True,
        text_in(config, "bootDiskKmsKey"),
        bool(object_in(config, "sandboxConfig")),
        text_in(object_in(body, "networkConfig"), "subnetwork"),
    )


def _project_of(link: str) -> str:
    _before, found, rest = link.partition("/projects/")
    return rest.partition("/")[0] if found else ""


def _pem(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode()
    except ValueError:
        raise Odd("field clusterCaCertificate is not base64-encoded PEM") from None


class Container(Session):
    """Clusters."""

    def get_cluster(self, project: str, location: str, cluster: str) -> GkeCluster | None:
        found: GkeCluster | None = self.send(
            GET_CLUSTER,
            absent=True,
            read=lambda body: GkeCluster.parse(body, project),
            project=project,
            location=location,
            cluster=cluster,
        )
        return found

    def list_clusters(self, project: str) -> tuple[GkeCluster, ...]:
        """The clusters in all locations."""
        found: tuple[GkeCluster, ...] = self.send(
            LIST_CLUSTERS,
            read=lambda body: tuple(GkeCluster.parse(one, project) for one in objects_in(body, "clusters")),
            project=project,
        )
        return found
