# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GKE's clusters, as the container API shows them, and who can log in to them."""

from __future__ import annotations

import base64
from typing import Any

from ..wire import Cluster
from .access import Resource, held, require, within
from .errors import GoogleError
from .store import Asked, Principal, Project, Store, project_in

_VERSION = "{}.1-gke.1000000"


def name_of(project: str, location: str, cluster: str) -> str:
    return f"projects/{project}/locations/{location}/clusters/{cluster}"


def add(store: Store, project: Project, cluster: Cluster) -> dict[str, Any]:
    """A standard cluster with one node pool that runs as the project's default account."""
    name = name_of(project.id, cluster.region, cluster.name)
    version = _VERSION.format(cluster.version)
    zone = cluster.region if cluster.region.count("-") > 1 else f"{cluster.region}-a"
    endpoint = cluster.address
    network = f"projects/{project.id}/global/networks/default"
    subnetwork = f"projects/{project.id}/regions/{zone.rpartition('-')[0]}/subnetworks/default"
    store.clusters[name] = {
        "name": cluster.name,
        "id": cluster.name.ljust(64, "0").replace("-", "0"),
        "location": cluster.region,
        "zone": cluster.region,
        "locations": [zone],
        "selfLink": f"https://container.googleapis.com/v1/{name}",
        "status": "RUNNING",
        "endpoint": endpoint,
        "masterAuth": {"clusterCaCertificate": base64.b64encode(cluster.ca_pem.encode()).decode()},
        "controlPlaneEndpointsConfig": {
            "dnsEndpointConfig": {"endpoint": cluster.dns_endpoint, "allowExternalTraffic": False},
            "ipEndpointsConfig": {
                "enabled": True,
                "enablePublicEndpoint": True,
                "publicEndpoint": endpoint,
                "privateEndpoint": "10.128.0.2",
                "authorizedNetworksConfig": {},
            },
        },
        "privateClusterConfig": {"publicEndpoint": endpoint, "privateEndpoint": "10.128.0.2"},
        "currentMasterVersion": version,
        "currentNodeVersion": version,
        "currentNodeCount": len(cluster.instances) or 2,
        "initialClusterVersion": version,
        "createTime": "2026-01-01T00:00:00+00:00",
        "releaseChannel": {"channel": "REGULAR"},
        "network": "default",
        "subnetwork": "default",
        "networkConfig": {"network": network, "subnetwork": subnetwork},
        "workloadIdentityConfig": {"workloadPool": f"{project.id}.svc.id.goog"},
        "databaseEncryption": {"state": "DECRYPTED"},
        "autopilot": {},
        "autoscaling": {},
        "legacyAbac": {},
        "nodePools": [pool("default-pool", version)],
    }
    return store.clusters[name]


def pool(name: str, version: str, account: str = "default", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "status": "RUNNING",
        "version": version,
        "config": {"serviceAccount": account, "machineType": "e2-standard-4", "imageType": "COS_CONTAINERD"},
        "management": {"autoUpgrade": True, "autoRepair": True},
        "autoscaling": {},
        **more,
    }


def resource(store: Store, project: Project, name: str) -> Resource:
    return within(store, project, name, "container", "Cluster")


def get(asked: Asked) -> Any:
    path = asked.path
    name = path.get("name") or name_of(path["projectId"], path["zone"], path["clusterId"])
    project = _project(asked, "container.clusters.get", name)
    _projects, _project_id, _locations, location, _clusters, cluster = name.split("/")
    own = name_of(project.id, location, cluster)
    require(asked.store, asked.caller, resource(asked.store, project, own), "container.clusters.get", name, "container")
    found = asked.store.clusters.get(own)
    if found is None:
        raise GoogleError("NOT_FOUND", f"Not found: {name}.")
    return found


def _project(asked: Asked, permission: str, name: str) -> Project:
    """Raises GoogleError, with the same text whether the project does not exist or is not the caller's."""
    found = asked.store.project(project_in(asked.path))
    if found is None:
        said = f'Required "{permission}" permission(s) for "{name}".'
        raise GoogleError("PERMISSION_DENIED", said)
    return found


def list_clusters(asked: Asked) -> Any:
    """The clusters in a location, or in all locations for -."""
    path = asked.path
    parent = path.get("parent") or f"projects/{path['projectId']}/locations/{path['zone']}"
    permission = "container.clusters.list"
    project = _project(asked, permission, parent)
    shown = f"projects/{project.id}"
    require(asked.store, asked.caller, resource(asked.store, project, parent), permission, shown, "container")
    location = parent.rpartition("/")[2]
    start = f"projects/{project.id}/locations/{'' if location == '-' else f'{location}/'}"
    found = [cluster for name, cluster in sorted(asked.store.clusters.items()) if name.startswith(start)]
    return {"clusters": found} if found else {}


def may(store: Store, cluster: Cluster, caller: Principal, permission: str) -> bool:
    """Whether IAM allows a principal to do this in the cluster."""
    project = store.projects[cluster.account]
    about = resource(store, project, name_of(project.id, cluster.region, cluster.name))
    return bool(held(store, caller, about, (permission,)))


HANDLERS = {
    "container.projects.locations.clusters.get": get,
    "container.projects.zones.clusters.get": get,
    "container.projects.locations.clusters.list": list_clusters,
    "container.projects.zones.clusters.list": list_clusters,
}
