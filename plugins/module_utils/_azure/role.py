# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What CAST AI's custom role for an AKS cluster may do, and where it is needed. Pure. PRIVATE to the collection.

Source of the actions: main.tf of CAST AI's Terraform module for AKS, and the onboarding script.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from .._gateways.azure_container import parts_of

_DEFAULT: Mapping[str, tuple[str, ...]] = {
    "Microsoft.Compute": (
        "*/read",
        "virtualMachines/*",
        "virtualMachineScaleSets/*",
        "disks/write",
        "disks/delete",
        "disks/beginGetAccess/action",
        "galleries/write",
        "galleries/delete",
        "galleries/images/write",
        "galleries/images/delete",
        "galleries/images/versions/write",
        "galleries/images/versions/delete",
        "snapshots/write",
        "snapshots/delete",
    ),
    "Microsoft.Network": (
        "*/read",
        "networkInterfaces/write",
        "networkInterfaces/delete",
        "networkInterfaces/join/action",
        "networkSecurityGroups/join/action",
        "virtualNetworks/subnets/join/action",
        "applicationGateways/backendhealth/action",
        "applicationGateways/backendAddressPools/join/action",
        "applicationSecurityGroups/joinIpConfiguration/action",
        "loadBalancers/backendAddressPools/write",
        "loadBalancers/backendAddressPools/join/action",
    ),
    "Microsoft.ContainerService": (
        "*/read",
        "managedClusters/start/action",
        "managedClusters/stop/action",
        "managedClusters/runCommand/action",
        "managedClusters/agentPools/*",
    ),
    "Microsoft.Resources": ("*/read", "tags/write"),
    "Microsoft.Authorization": ("locks/read", "roleAssignments/read", "roleDefinitions/read"),
    "Microsoft.ManagedIdentity": ("userAssignedIdentities/assign/action",),
}

DEFAULT = frozenset(f"{provider}/{action}" for provider, actions in _DEFAULT.items() for action in actions)

CHANGE_CLUSTER = "Microsoft.ContainerService/managedClusters/write"
"""Only the script's role has it. It allows changing anything about the cluster."""


def wanted(own: Collection[str], change_cluster: bool) -> frozenset[str]:
    """own: the list that the user sets instead of the default, empty for the default."""
    return frozenset(own or DEFAULT) | (frozenset([CHANGE_CLUSTER]) if change_cluster else frozenset())


def same(first: Iterable[str], second: Iterable[str]) -> bool:
    """Whether two lists of actions or scopes are the same. Azure ignores case."""
    return folded(first) == folded(second)


def folded(some: Iterable[str]) -> frozenset[str]:
    return frozenset(one.lower() for one in some)


def group_scope(subscription: str, group: str) -> str:
    return f"/subscriptions/{subscription}/resourceGroups/{group}"


def group_of(resource_id: str) -> str:
    """The scope of a resource's group. Empty if the ID contains no group."""
    subscription, group = parts_of(resource_id)
    return group_scope(subscription, group) if subscription and group else ""


def distinct(scopes: Iterable[str]) -> tuple[str, ...]:
    """Each scope once, ignoring case, in the spelling that comes first."""
    found: dict[str, str] = {}
    for scope in scopes:
        if scope:
            found.setdefault(scope.lower(), scope)
    return tuple(found.values())
