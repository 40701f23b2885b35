# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AKS: clusters as the Resource Manager shows them, each field from its first api-version on, and the ways to log
in."""

from __future__ import annotations

import base64
import copy
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import yaml

from ..spec import ENTRA_ADMINS
from ..wire import Cluster
from . import access
from .arm import GROUP, SUBSCRIPTION, Asked, Route, route
from .catalog import data_action
from .errors import AzureError, not_found, quoted
from .login import AKS
from .resources import group_exists
from .store import Principal, Store, within

KIND = "Microsoft.ContainerService/managedClusters"
CLIENT = "80faf920-1908-4b52-b5ef-a8e7bedfc67a"

# From which version on Azure shows a field.
SINCE: Mapping[tuple[str, ...], str] = {
    ("properties", "nodeResourceGroupProfile"): "2024-09-01",
    ("properties", "apiServerAccessProfile", "enableVnetIntegration"): "2025-03-01",
    ("properties", "nodeProvisioningProfile"): "2025-05-01",
    ("kind",): "2025-07-01",
    ("properties", "hostedSystemProfile"): "2026-02-01",
}


def name_of(subscription: str, group: str, cluster: str) -> str:
    return f"/subscriptions/{subscription}/resourcegroups/{group}/providers/{KIND}/{cluster}"


def add(store: Store, cluster: Cluster, tenant: str, identity: str) -> dict[str, Any]:
    """A cluster with one node pool. Its account is its subscription. identity: the kubelet identity."""
    group = cluster.resource_group
    name = name_of(cluster.account, group, cluster.name)
    nodes = f"MC_{group}_{cluster.name}_{cluster.region}"
    subnet = network_of(cluster.account, group) + "/subnets/nodes"
    kubelets = store.identities[identity.lower()]
    entra = {
        "managed": True,
        "enableAzureRBAC": cluster.mode == "azure",
        "adminGroupObjectIDs": [ENTRA_ADMINS],
        "tenantID": tenant,
    }
    store.clusters[name.lower()] = {
        "id": name,
        "name": cluster.name,
        "type": "Microsoft.ContainerService/ManagedClusters",
        "location": cluster.region,
        "kind": "Base",
        "sku": {"name": "Base", "tier": "Standard"},
        "identity": {
            "type": "SystemAssigned",
            "principalId": "0" * 8 + "-0000-4000-8000-000000000002",
            "tenantId": tenant,
        },
        "tags": {},
        "properties": {
            "provisioningState": "Succeeded",
            "powerState": {"code": "Running"},
            "kubernetesVersion": cluster.version,
            "currentKubernetesVersion": f"{cluster.version}.1",
            "dnsPrefix": f"{cluster.name}-dns",
            "fqdn": cluster.address,
            "azurePortalFQDN": cluster.address.replace(".", ".portal.", 1),
            "agentPoolProfiles": [pool("nodepool1", cluster.version, vnetSubnetID=subnet, count=2)],
            "apiServerAccessProfile": {"enablePrivateCluster": False, "enableVnetIntegration": False},
            "aadProfile": None if cluster.mode == "none" else entra,
            "disableLocalAccounts": False,
            "enableRBAC": True,
            "nodeResourceGroup": nodes,
            "nodeResourceGroupProfile": {"restrictionLevel": "Unrestricted"},
            "nodeProvisioningProfile": {"mode": "Manual", "defaultNodePools": "Auto"},
            "hostedSystemProfile": {"enabled": False},
            "identityProfile": {
                "kubeletidentity": {
                    "resourceId": kubelets.id,
                    "clientId": kubelets.client,
                    "objectId": kubelets.principal,
                }
            },
            "networkProfile": {
                "networkPlugin": "azure",
                "networkPluginMode": "overlay",
                "outboundType": "loadBalancer",
                "loadBalancerSku": "standard",
                "podCidr": "10.244.0.0/16",
                "serviceCidr": "10.0.0.0/16",
                "dnsServiceIP": "10.0.0.10",
            },
            "publicNetworkAccess": "Enabled",
            "supportPlan": "KubernetesOfficial",
            "resourceUID": hashlib.sha256(name.encode()).hexdigest()[:24],
        },
    }
    store.ways_in[name.lower()] = cluster
    return store.clusters[name.lower()]


def network_of(subscription: str, group: str) -> str:
    return (
        f"/subscriptions/{subscription}/resourceGroups/{group}-network/providers/Microsoft.Network/virtualNetworks/main"
    )


def pool(name: str, version: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "count": 2,
        "vmSize": "Standard_D4s_v5",
        "osDiskSizeGB": 128,
        "osType": "Linux",
        "osSKU": "Ubuntu",
        "maxPods": 250,
        "type": "VirtualMachineScaleSets",
        "mode": "System",
        "enableAutoScaling": False,
        "orchestratorVersion": version,
        "currentOrchestratorVersion": f"{version}.1",
        "provisioningState": "Succeeded",
        "powerState": {"code": "Running"},
        **more,
    }


def shown(cluster: Mapping[str, Any], version: str) -> dict[str, Any]:
    """The fields that this api-version shows."""
    found = copy.deepcopy(dict(cluster))
    for path, since in SINCE.items():
        if version[:10] < since:
            *above, last = path
            holder: Any = found
            for one in above:
                holder = (holder or {}).get(one) or {}
            holder.pop(last, None)
    if version[:10] < "2025-07-01" and found["sku"]["name"] == "Automatic":
        found["sku"]["name"] = "Base"
    return found


def _find(asked: Asked) -> dict[str, Any]:
    group_exists(asked)
    path = asked.path
    found = asked.store.clusters.get(name_of(path["subscription"], path["group"], path["name"]).lower())
    if found is None:
        raise not_found(asked.identity)
    return found


def get(asked: Asked) -> Any:
    asked.require()
    return shown(_find(asked), asked.version)


def list_clusters(asked: Asked) -> Any:
    scope = asked.identity.partition("/providers/")[0]
    if "group" in asked.path:
        group_exists(asked)
    inside = [one["id"] for one in asked.store.clusters.values() if within(one["id"], scope)]
    found = access.seen_by(asked.store, asked.caller, asked.action, inside, scope)
    size, start = int(asked.store.behavior.get("page", 100)), int(asked.query.get("$skiptoken", 0))
    value = [shown(asked.store.clusters[one.lower()], asked.version) for one in found[start : start + size]]
    answer: dict[str, Any] = {"value": value}
    if start + size < len(found):
        following = f"api-version={asked.version}&$skiptoken={start + size}"
        answer["nextLink"] = f"https://management.azure.com{scope}/providers/{KIND}?{following}"
    return answer


def list_pools(asked: Asked) -> Any:
    asked.require(scope=asked.identity.rpartition("/")[0])
    cluster = _find(asked)
    value = [
        {
            "id": f"{cluster['id']}/agentPools/{one['name']}",
            "name": one["name"],
            "type": f"{KIND}/agentPools",
            "properties": {name: field for name, field in one.items() if name != "name"},
        }
        for one in cluster["properties"]["agentPoolProfiles"]
    ]
    return {"value": value}


def user_credential(asked: Asked) -> Any:
    """Return a kubeconfig: with Entra, it runs kubelogin; otherwise it has a client certificate."""
    asked.require(scope=asked.identity.rpartition("/")[0])
    cluster = _find(asked)
    properties = cluster["properties"]
    entra = properties["aadProfile"]
    user: Mapping[str, Any]
    if entra:
        user = _kubelogin(entra) if asked.query.get("format") == "exec" else _legacy(entra)
    else:
        user = _certificate(asked, cluster)
    return _kubeconfigs(asked, cluster, "clusterUser", user)


def admin_credential(asked: Asked) -> Any:
    asked.require(scope=asked.identity.rpartition("/")[0])
    cluster = _find(asked)
    return _kubeconfigs(asked, cluster, "clusterAdmin", _certificate(asked, cluster))


def _certificate(asked: Asked, cluster: Mapping[str, Any]) -> Mapping[str, Any]:
    if cluster["properties"]["disableLocalAccounts"]:
        raise AzureError(400, "BadRequest", quoted("BadRequest"))
    way = asked.store.ways_in[cluster["id"].lower()]
    return {
        "client-certificate-data": _encoded(way.client_certificate),
        "client-key-data": _encoded(way.client_key),
        "token": way.client_token,
    }


def _kubelogin(entra: Mapping[str, Any]) -> Mapping[str, Any]:
    arguments = ["get-token", "--environment", "AzurePublicCloud", "--server-id", entra.get("serverAppID") or AKS]
    arguments += ["--client-id", CLIENT, "--tenant-id", entra["tenantID"], "--login", "devicecode"]
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "args": arguments,
            "command": "kubelogin",
            "env": None,
            "installHint": "\nkubelogin is not installed which is required to connect to AAD enabled cluster.\n",
            "provideClusterInfo": False,
        }
    }


def _legacy(entra: Mapping[str, Any]) -> Mapping[str, Any]:
    config = {
        "apiserver-id": entra.get("serverAppID") or AKS,
        "client-id": CLIENT,
        "config-mode": "1",
        "environment": "AzurePublicCloud",
        "tenant-id": entra["tenantID"],
    }
    return {"auth-provider": {"name": "azure", "config": config}}


def _kubeconfigs(asked: Asked, cluster: Mapping[str, Any], kind: str, user: Mapping[str, Any]) -> Any:
    properties = cluster["properties"]
    private, public = properties.get("privateFQDN"), properties.get("fqdn")
    host = private if private and asked.query.get("server-fqdn") != "public" else public or private
    way = asked.store.ways_in[cluster["id"].lower()]
    group = asked.path["group"]
    name, context = f"{kind}_{group}_{cluster['name']}", cluster["name"] + ("-admin" if kind == "clusterAdmin" else "")
    server = {"certificate-authority-data": _encoded(way.ca_pem), "server": f"https://{host}:443"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster["name"], "cluster": server}],
        "contexts": [{"name": context, "context": {"cluster": cluster["name"], "user": name}}],
        "current-context": context,
        "preferences": {},
        "users": [{"name": name, "user": dict(user)}],
    }
    return {"kubeconfigs": [{"name": kind, "value": _encoded(yaml.safe_dump(config))}]}


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def may(store: Store, cluster: Cluster, caller: Principal, attributes: Mapping[str, Any]) -> bool:
    """Whether Azure RBAC allows an action in the cluster, by data actions for the cluster and for the namespace."""
    resource = attributes.get("resource", "")
    if attributes.get("subresource"):
        resource = f"{resource}/{attributes['subresource']}"
    action = data_action(attributes.get("group", ""), resource, attributes.get("verb", ""))
    scope = name_of(cluster.account, cluster.resource_group, cluster.name)
    if attributes.get("namespace"):
        scope = f"{scope}/namespaces/{attributes['namespace']}"
    return access.held(store, caller, action, scope, data=True)


_START = rf"/providers/{re.escape(KIND)}"
_ONE = rf"{GROUP}{_START}/(?P<name>[^/]+)"
ROUTES: tuple[Route, ...] = (
    route("GET", f"{SUBSCRIPTION}{_START}", KIND, "read", list_clusters, "$skiptoken"),
    route("GET", f"{GROUP}{_START}", KIND, "read", list_clusters, "$skiptoken"),
    route("GET", _ONE, KIND, "read", get),
    route("GET", f"{_ONE}/agentPools", f"{KIND}/agentPools", "read", list_pools),
    *(
        route("POST", f"{_ONE}/{name}", KIND, f"{name}/action", handle, *parameters)
        for name, handle, parameters in (
            ("listClusterUserCredential", user_credential, ("server-fqdn", "format")),
            ("listClusterAdminCredential", admin_credential, ("server-fqdn",)),
        )
    ),
)
