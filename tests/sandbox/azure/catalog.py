# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The built-in roles that onboarding uses, and the Azure data action for each call of the Kubernetes API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class BuiltIn:
    name: str
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()


_AKS = "Microsoft.ContainerService/managedClusters"
_IDENTITIES = "Microsoft.ManagedIdentity/userAssignedIdentities"
_FEDERATED = f"{_IDENTITIES}/federatedIdentityCredentials"
# Kinds that the built-in roles for namespaces may write.
_WORKLOADS = (
    *("apps/daemonsets", "apps/deployments", "apps/replicasets", "apps/statefulsets", "autoscaling/*", "batch/*"),
    *("configmaps", "endpoints", "events", "persistentvolumeclaims", "pods", "policy/poddisruptionbudgets"),
    *("replicationcontrollers", "secrets", "serviceaccounts", "services"),
)
_WRITER = tuple(f"{_AKS}/{kind}/{verb}" for kind in _WORKLOADS for verb in ("read", "write", "delete"))
_READER = tuple(f"{_AKS}/{kind}/read" for kind in _WORKLOADS if kind != "secrets")

CLUSTER_ADMIN = "b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b"
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
BUILT_IN: Mapping[str, BuiltIn] = {
    OWNER: BuiltIn("Owner", ("*",)),
    "b24988ac-6180-42a0-ab88-20f7382dd24c": BuiltIn(
        "Contributor",
        ("*",),
        (
            "Microsoft.Authorization/*/Delete",
            "Microsoft.Authorization/*/Write",
            "Microsoft.Authorization/elevateAccess/Action",
        ),
    ),
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": BuiltIn("Reader", ("*/read",)),
    "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9": BuiltIn(
        "User Access Administrator", ("*/read", "Microsoft.Authorization/*", "Microsoft.Support/*")
    ),
    "f58310d9-a9f6-439a-9e8d-f62e7b41a168": BuiltIn(
        "Role Based Access Control Administrator",
        (
            "Microsoft.Authorization/roleAssignments/write",
            "Microsoft.Authorization/roleAssignments/delete",
            "*/read",
            "Microsoft.Support/*",
        ),
    ),
    "e40ec5ca-96e0-45a2-b4ff-59039f2c2b59": BuiltIn(
        "Managed Identity Contributor",
        (
            *(f"{_IDENTITIES}/{verb}" for verb in ("read", "write", "delete")),
            *(f"{_FEDERATED}/{verb}" for verb in ("read", "write", "delete")),
            "Microsoft.Authorization/*/read",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
        ),
    ),
    "f1a07417-d97a-45cb-824c-7a7467783830": BuiltIn(
        "Managed Identity Operator",
        (f"{_IDENTITIES}/*/read", f"{_IDENTITIES}/*/assign/action", "Microsoft.Authorization/*/read"),
    ),
    "4abbcc35-e782-43d8-92c5-2d3f1bd2253f": BuiltIn(
        "Azure Kubernetes Service Cluster User Role",
        (f"{_AKS}/listClusterUserCredential/action", f"{_AKS}/read"),
    ),
    "0ab0b1a8-8aac-4efd-b8c2-3ee1fb270be8": BuiltIn(
        "Azure Kubernetes Service Cluster Admin Role",
        (
            f"{_AKS}/listClusterAdminCredential/action",
            f"{_AKS}/accessProfiles/listCredential/action",
            f"{_AKS}/read",
            f"{_AKS}/runcommand/action",
        ),
    ),
    "ed7f3fbd-7b88-4dd4-9017-9adb7ce333f8": BuiltIn(
        "Azure Kubernetes Service Contributor Role", ("Microsoft.ContainerService/*", "Microsoft.Resources/*/read")
    ),
    CLUSTER_ADMIN: BuiltIn(
        "Azure Kubernetes Service RBAC Cluster Admin",
        ("Microsoft.Authorization/*/read", f"{_AKS}/listClusterUserCredential/action"),
        data_actions=(f"{_AKS}/*",),
    ),
    "3498e952-d568-435e-9b2c-8d77e338d7f7": BuiltIn(
        "Azure Kubernetes Service RBAC Admin",
        ("Microsoft.Authorization/*/read", f"{_AKS}/listClusterUserCredential/action"),
        data_actions=(f"{_AKS}/*",),
        not_data_actions=(
            f"{_AKS}/resourcequotas/write",
            f"{_AKS}/resourcequotas/delete",
            f"{_AKS}/namespaces/write",
            f"{_AKS}/namespaces/delete",
        ),
    ),
    "a7ffa36f-339b-4b5c-8bdf-e2c188b2c0eb": BuiltIn(
        "Azure Kubernetes Service RBAC Writer",
        ("Microsoft.Authorization/*/read",),
        data_actions=(*_WRITER, f"{_AKS}/namespaces/read"),
    ),
    "7f6c6a51-bcf8-42ba-9220-52d62157d7db": BuiltIn(
        "Azure Kubernetes Service RBAC Reader",
        ("Microsoft.Authorization/*/read",),
        data_actions=(*_READER, f"{_AKS}/namespaces/read"),
    ),
}

_VERBS: Mapping[str, str] = {
    **dict.fromkeys(("get", "list", "watch"), "read"),
    **dict.fromkeys(("create", "update", "patch"), "write"),
    **dict.fromkeys(("delete", "deletecollection"), "delete"),
}


def data_action(group: str, resource: str, verb: str) -> str:
    """The data action that a call of the Kubernetes API needs."""
    kind = f"{group}/{resource}" if group else resource
    return f"{_AKS}/{kind}/{_VERBS.get(verb, f'{verb}/action')}"


def named(name: str) -> str:
    """The id of a built-in role by its name or id. Raises KeyError."""
    return next((one for one, role in BUILT_IN.items() if name.lower() in (one, role.name.lower())), "") or _missing(
        name
    )


def _missing(name: str) -> str:
    raise KeyError(f"there is no built-in role {name}")


def permissions(role: BuiltIn) -> Sequence[Mapping[str, Sequence[str]]]:
    """The permissions in the form of a role definition."""
    return [
        {
            "actions": list(role.actions),
            "notActions": list(role.not_actions),
            "dataActions": list(role.data_actions),
            "notDataActions": list(role.not_data_actions),
        }
    ]
