# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What several modules need to decide about AKS clusters. Pure. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .._engine import Refused
from .._gateways.azure_container import SERVER_APPLICATION, AksCluster, Credential
from .._variables import named
from . import role
from .names import same

USABLE_NODES = "Unrestricted"


def chosen(found: Iterable[AksCluster], name: str, node_group: str) -> AksCluster | None:
    """The cluster with this name, out of all in a subscription. Raises Refused if there are several.

    node_group: the resource group of its nodes, empty for any.
    """
    fits = [one for one in found if same(one.name, name) and (not node_group or same(one.node_group, node_group))]
    if len(fits) > 1:
        groups = ", ".join(sorted(one.group for one in fits))
        raise Refused(
            f"AKS has several clusters {name} in subscription {fits[0].subscription_id}, in resource groups {groups}."
            f" Set {named('resource_group')} to the right one."
        )
    return fits[0] if fits else None


READ = "Microsoft.ContainerService/managedClusters/read"


def absent_problem(name: str, subscription: str, group: str, node_group: str, others: Iterable[AksCluster]) -> str:
    """A sentence that says where the cluster was looked for, and where a cluster of that name exists."""
    where = f"resource group {group}" if group else f"subscription {subscription}"
    nodes = f" with node resource group {node_group}" if node_group and not group else ""
    groups = sorted(one.group for one in others if same(one.name, name))
    elsewhere = f" There is a cluster of this name in resource group {' and '.join(groups)}." if groups else ""
    place = f" of subscription {subscription}" if group else ""
    hidden = "" if group else f" Azure only lists clusters that this identity may read: grant it {READ}."
    return (
        f"AKS has no cluster {name} in {where}{place}{nodes}.{elsewhere} Check {named('cluster_name')},"
        f" {named('provider')}, {named('resource_group')} and {named('subscription_id')}.{hidden}"
    )


def unusable_problem(found: AksCluster) -> str:
    """Why nothing can be done in a cluster now, or will be soon. Empty if there is no reason."""
    if found.power.lower() == "stopped":
        return (
            f"AKS cluster {found.name} is stopped. Start it, for example with az aks start --name {found.name}"
            f" --resource-group {found.group}, and run again."
        )
    state = found.state.lower()
    if state == "deleting":
        return (
            f"AKS cluster {found.name} is being deleted and will soon be gone. Check {named('cluster_name')} and"
            f" {named('resource_group')}, or remove the host from the inventory."
        )
    if state == "creating":
        return f"AKS cluster {found.name} is being created. Wait until it is ready, then run again."
    if state == "failed":
        return (
            f"The last operation of AKS failed for cluster {found.name} (provisioning state Failed). Look at it in AKS,"
            f" repair the cluster, for example with az aks update --name {found.name} --resource-group {found.group},"
            " and run again."
        )
    return ""


def node_group_problem(found: AksCluster, node_group: str) -> str:
    """Why a cluster is not the one that the user means. Empty if it may be. node_group: empty for any."""
    if not node_group or same(node_group, found.node_group):
        return ""
    return (
        f"The node resource group of AKS cluster {found.name} is {found.node_group}, not {node_group}. Correct"
        f" {named('node_resource_group')}, or leave it out."
    )


def scopes(found: AksCluster, additional: Iterable[str] = ()) -> tuple[str, ...]:
    """The resource groups in which CAST AI needs its role: those of the cluster, of its nodes, and of what the nodes
    use."""
    subnets = (subnet for pool in found.pools for subnet in pool.subnets)
    return role.distinct(
        (
            role.group_scope(found.subscription_id, found.group),
            role.group_scope(found.subscription_id, found.node_group) if found.node_group else "",
            *map(role.group_of, subnets),
            role.group_of(found.kubelet_identity),
            *additional,
        )
    )


def onboarding_problems(found: AksCluster) -> Iterator[str]:
    """Why CAST AI cannot manage nodes of a cluster."""
    if same(found.sku, "Automatic"):
        yield (
            f"AKS cluster {found.name} is an AKS Automatic cluster: only AKS can manage its nodes, and its node"
            " resource group is locked. It can be connected, but not onboarded. Remove it from the hosts to onboard."
        )
    elif found.node_group_restriction and not same(found.node_group_restriction, USABLE_NODES):
        yield (
            f"The node resource group {found.node_group} of AKS cluster {found.name} is locked"
            f" ({found.node_group_restriction}), so CAST AI cannot create nodes in it. Unlock it with az aks update"
            f" --name {found.name} --resource-group {found.group} --nrg-lockdown-restriction-level Unrestricted."
        )


def authority_warnings(found: AksCluster) -> Iterator[str]:
    if found.http_proxy and found.http_proxy.trusted_ca:
        yield (
            f"The HTTP proxy of AKS cluster {found.name} has its own certificate authority, which this collection"
            " cannot pass on to CAST AI. Set it in CAST AI's node configuration."
        )


_SHOWN = {
    "node_group_restriction": "whether the node resource group is locked",
    "node_provisioning": "whether node auto-provisioning is on",
    "sku": "whether it is an AKS Automatic cluster",
}


def not_shown(found: AksCluster) -> Iterator[str]:
    """What could not be checked, because the newest api-version in this cloud does not show it."""
    unknown = [words for what, words in _SHOWN.items() if not found.shows(what)]
    if unknown:
        yield (
            f"Could not check {', '.join(unknown)}: the newest api-version of Microsoft.ContainerService in this cloud,"
            f" {found.version_called}, does not show it."
        )


def entry_problem(found: AksCluster, admin: bool) -> str:
    """Why nobody can log in to the cluster, if that is known without trying. Empty if it is not."""
    if found.local_accounts:
        return ""
    if admin:
        return (
            f"{named('admin')} is true, but the local accounts of AKS cluster {found.name} are disabled. Leave"
            f" {named('admin')} out."
        )
    if not found.entra:
        return (
            f"AKS cluster {found.name} has neither local accounts nor Entra integration, so nobody can log in. Enable"
            f" one of them, or set {named('kubeconfig')}, or {named('host')} and {named('api_key')}."
        )
    return ""


def credential_problem(found: AksCluster, credential: Credential) -> str:
    """Why nobody can log in with the credentials that AKS returned. Empty if there is no reason."""
    application = credential.server_application
    if not application or same(application, SERVER_APPLICATION):
        return ""
    return (
        f"AKS cluster {found.name} has the legacy Entra integration (server application {application}), where service"
        f" principals cannot log in. Move it to AKS-managed Entra integration, or set {named('admin')} to true."
    )
