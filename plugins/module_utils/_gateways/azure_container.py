# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AKS, for class Azure. PRIVATE to the collection."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._answers import Odd, object_in, objects_in, text_in
from .._engine import Refused
from . import kubeconfig
from .azure_session import CONTAINER_SERVICE, KUBERNETES_SECONDS, Answer, Call, Session

_ACTION = f"{CONTAINER_SERVICE}/managedClusters"
_CLUSTERS = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ContainerService/managedClusters"
_CLUSTER = f"{_CLUSTERS}/{{cluster}}"

GET_CLUSTER = Call(
    "read AKS cluster {cluster} in resource group {group}", "GET", CONTAINER_SERVICE, _CLUSTER, (f"{_ACTION}/read",)
)
LIST_CLUSTERS = Call(
    "list the AKS clusters of subscription {subscription}",
    "GET",
    CONTAINER_SERVICE,
    "/subscriptions/{subscription}/providers/Microsoft.ContainerService/managedClusters",
    (f"{_ACTION}/read",),
)
LIST_USER_CREDENTIAL = Call(
    "get the user credentials of AKS cluster {cluster}",
    "POST",
    CONTAINER_SERVICE,
    f"{_CLUSTER}/listClusterUserCredential",
    (f"{_ACTION}/listClusterUserCredential/action",),
    reads=True,
)
LIST_ADMIN_CREDENTIAL = Call(
    "get the admin credentials of AKS cluster {cluster}",
    "POST",
    CONTAINER_SERVICE,
    f"{_CLUSTER}/listClusterAdminCredential",
    (f"{_ACTION}/listClusterAdminCredential/action",),
    reads=True,
)
CALLS = (GET_CLUSTER, LIST_CLUSTERS, LIST_USER_CREDENTIAL, LIST_ADMIN_CREDENTIAL)

SERVER_APPLICATION = "6dae42f8-4368-4678-94ff-3960e28e3630"
"""The application ID of AKS itself in Entra, the same in every cloud."""

SHOWS: Mapping[str, str] = {
    "node_group_restriction": "2024-09-01",
    "vnet_integration": "2025-03-01",
    "node_provisioning": "2025-05-01",
    "sku": "2025-07-01",
    "hosted_system": "2026-02-01",
}
"""Properties that may prevent onboarding, with the first api-version that shows each."""


@dataclass(frozen=True)
class Pool:
    """An agent pool. priority: Spot or Regular. subnets: IDs of the subnets of its nodes and pods."""

    name: str
    mode: str
    os: str
    priority: str
    autoscaling: bool
    subnets: tuple[str, ...] = ()


@dataclass(frozen=True)
class HttpProxy:
    """The proxy that AKS configures in pods and nodes. The addresses may contain passwords."""

    http: str = field(default="", repr=False)
    https: str = field(default="", repr=False)
    no_proxy: tuple[str, ...] = ()
    trusted_ca: bool = False


@dataclass(frozen=True)
class AksCluster:
    """What Azure says of a cluster.

    group: its resource group; node_group: the one of its nodes; fqdn, private_fqdn: its API server's names;
    entra: whether logins are Entra's; legacy_entra: whether by applications of the user's own, which AKS does not
    manage; tenant: of these logins. version_called: the api-version that showed all this; cloud: its
    name.
    """

    id: str
    name: str
    subscription_id: str
    group: str
    location: str
    state: str
    power: str
    version: str
    node_group: str
    fqdn: str = ""
    private_fqdn: str = ""
    private: bool = False
    public_fqdn: bool = False
    authorized_ranges: bool = False
    vnet_integration: bool = False
    public_access: bool = True
    entra: bool = False
    legacy_entra: bool = False
    azure_rbac: bool = False
    tenant: str = ""
    local_accounts: bool = True
    sku: str = ""
    node_group_restriction: str = ""
    node_provisioning: str = ""
    hosted_system: bool = False
    outbound: str = ""
    policy_add_on: bool = False
    http_proxy: HttpProxy | None = None
    pools: tuple[Pool, ...] = ()
    kubelet_identity: str = ""
    uid: str = ""
    version_called: str = ""
    cloud: str = ""

    def shows(self, what: str) -> bool:
        """Whether the api-version that was used shows a property of SHOWS."""
        return self.version_called >= SHOWS[what]

    @classmethod
    def parse(cls, body: Mapping[str, Any], version_called: str, cloud: str) -> AksCluster:
        properties = object_in(body, "properties")
        access = object_in(properties, "apiServerAccessProfile")
        entra = object_in(properties, "aadProfile")
        identity = text_in(body, "id")
        subscription, group = parts_of(identity)
        if not group:
            raise Odd("field id is not the ID of a cluster")
        return cls(
            identity,
            text_in(body, "name"),
            subscription,
            group,
            text_in(body, "location"),
            text_in(properties, "provisioningState"),
            text_in(object_in(properties, "powerState"), "code"),
            text_in(properties, "currentKubernetesVersion") or text_in(properties, "kubernetesVersion"),
            text_in(properties, "nodeResourceGroup"),
            text_in(properties, "fqdn"),
            text_in(properties, "privateFQDN"),
            access.get("enablePrivateCluster") is True,
            access.get("enablePrivateClusterPublicFQDN") is True,
            bool(access.get("authorizedIPRanges")),
            access.get("enableVnetIntegration") is True,
            text_in(properties, "publicNetworkAccess").lower() != "disabled",
            bool(entra),
            bool(entra.get("serverAppID")) and entra.get("managed") is not True,
            entra.get("enableAzureRBAC") is True,
            text_in(entra, "tenantID"),
            properties.get("disableLocalAccounts") is not True,
            text_in(object_in(body, "sku"), "name"),
            text_in(object_in(properties, "nodeResourceGroupProfile"), "restrictionLevel"),
            text_in(object_in(properties, "nodeProvisioningProfile"), "mode"),
            object_in(properties, "hostedSystemProfile").get("enabled") is True,
            text_in(object_in(properties, "networkProfile"), "outboundType"),
            _add_on(properties, "azurepolicy"),
            _proxy(object_in(properties, "httpProxyConfig")),
            tuple(map(_pool, objects_in(properties, "agentPoolProfiles"))),
            text_in(object_in(object_in(properties, "identityProfile"), "kubeletidentity"), "resourceId"),
            text_in(properties, "resourceUID"),
            version_called,
            cloud,
        )


def parts_of(identity: str) -> tuple[str, str]:
    """Subscription and resource group of an ID, empty if it has none. Azure does not preserve case in IDs."""
    parts = [part for part in identity.split("/") if part]  # Azure takes doubled slashes
    found = {key.lower(): value for key, value in zip(parts[::2], parts[1::2], strict=False)}
    return found.get("subscriptions", ""), found.get("resourcegroups", "")


def _pool(body: Mapping[str, Any]) -> Pool:
    subnets = (text_in(body, "vnetSubnetID"), text_in(body, "podSubnetID"))
    return Pool(
        text_in(body, "name"),
        text_in(body, "mode"),
        text_in(body, "osType"),
        text_in(body, "scaleSetPriority"),
        body.get("enableAutoScaling") is True,
        tuple(dict.fromkeys(filter(None, subnets))),
    )


def _add_on(properties: Mapping[str, Any], name: str) -> bool:
    """Azure does not preserve case in the names of add-ons."""
    profiles = object_in(properties, "addonProfiles")
    return any(
        key.lower() == name and isinstance(one, Mapping) and one.get("enabled") is True for key, one in profiles.items()
    )


def _proxy(config: Mapping[str, Any]) -> HttpProxy | None:
    if not config or config.get("enabled") is False:
        return None
    exceptions = config.get("noProxy")
    found = HttpProxy(
        text_in(config, "httpProxy", 2000),
        text_in(config, "httpsProxy", 2000),
        tuple(one for one in exceptions if isinstance(one, str)) if isinstance(exceptions, list) else (),
        bool(config.get("trustedCa")),
    )
    return found if found.http or found.https else None


@dataclass(frozen=True)
class Credential:
    """What leads into a cluster: its address, its authority and a client certificate, or whose token it wants.

    server_application, tenant: of the Entra login that the kubeconfig's program would make, empty for none; token: of
    a local account.
    """

    server: kubeconfig.Server
    server_application: str = ""
    tenant: str = ""
    token: str = field(default="", repr=False)

    @classmethod
    def parse(cls, body: Answer) -> Credential:
        found = objects_in(body, "kubeconfigs")
        if not found:
            raise Odd("field kubeconfigs is empty")
        try:
            server, user = kubeconfig.read_text(base64.b64decode(text_in(found[0], "value", 200_000)).decode())
        except ValueError:
            raise Odd("field kubeconfigs is not a base64-encoded kubeconfig") from None
        except kubeconfig.Wrong as wrong:
            raise Odd(f"of the kubeconfig, {wrong}") from None
        arguments = user.command.arguments if user.command else ()
        given = dict(itertools.pairwise(arguments))
        return cls(server, given.get("--server-id", ""), given.get("--tenant-id", ""), user.token)


class Container(Session):
    """Clusters."""

    def get_cluster(self, subscription: str, group: str, cluster: str) -> AksCluster | None:
        found: AksCluster | None = self.send(
            GET_CLUSTER, absent=True, read=self._parsed, subscription=subscription, group=group, cluster=cluster
        )
        return found

    def list_clusters(self, subscription: str) -> tuple[AksCluster, ...]:
        """The clusters in all resource groups."""
        return self.send_all(LIST_CLUSTERS, self._parsed, subscription=subscription) or ()

    def _parsed(self, body: Answer) -> AksCluster:
        return AksCluster.parse(body, self.version(CONTAINER_SERVICE), self.cloud.name)

    def user_credential(self, subscription: str, group: str, cluster: str, public: bool = False) -> Credential:
        """Credentials for the caller. public: with the public name of a private cluster. Secret if the cluster has no
        Entra."""
        query = [("format", "exec"), *([("server-fqdn", "public")] if public else [])]
        return self._credential(LIST_USER_CREDENTIAL, query, subscription, group, cluster)

    def admin_credential(self, subscription: str, group: str, cluster: str, public: bool = False) -> Credential:
        """Credentials of the local account with full permissions. Secret."""
        query = [("server-fqdn", "public")] if public else []
        return self._credential(LIST_ADMIN_CREDENTIAL, query, subscription, group, cluster)

    def _credential(
        self, call: Call, query: list[tuple[str, str]], subscription: str, group: str, cluster: str
    ) -> Credential:
        if kubeconfig.MISSING:
            raise Refused(f"The Python package PyYAML is needed on this machine: {kubeconfig.MISSING}. Install PyYAML.")
        credential: Credential = self.send(
            call, query=query, read=Credential.parse, subscription=subscription, group=group, cluster=cluster
        )
        return credential

    def cluster_token(self, tenant: str, server_application: str = SERVER_APPLICATION) -> str:
        """A token for the API server of a cluster whose logins are Entra's. Secret."""
        return self.token(server_application, tenant, KUBERNETES_SECONDS)
