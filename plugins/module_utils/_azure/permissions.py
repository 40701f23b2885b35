# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The permissions that a run needs in Azure. Pure. PRIVATE to the collection.

The published custom roles, the table in the documentation and the questions of castai_preflight are derived from this.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

CONNECT, ONBOARD, REPAIR, REMOVE, PREFLIGHT = "connect", "onboard", "repair", "remove", "preflight"
"""What fails, or is not checked, without a permission. repair: onboarding after others changed or left something."""

PLAN = "plan"
"""A phase that only reads: connecting and onboarding in check mode."""

PHASES: Mapping[str, tuple[str, ...]] = {
    PLAN: (CONNECT, ONBOARD, REPAIR, PREFLIGHT),
    CONNECT: (CONNECT,),
    ONBOARD: (CONNECT, ONBOARD, REPAIR, PREFLIGHT),
    REMOVE: (REMOVE,),
}
"""The scenarios that each phase's published roles cover."""

APP, MANAGED = "app", "managed_identity"
SECRET, FEDERATED = "secret", "federated"
"""Identities, and credentials of an app. Some need permissions that others do not."""

ADMIN, NO_ENTRA = "admin", "no Entra ID"
"""Clusters that are entered with the admin certificate, by choice or because there is no other way."""

WITH_APP, WITH_MANAGED = "app", "managed-identity"
"""How file names tell the published roles of a phase apart."""


@dataclass(frozen=True)
class Grant:
    """One permission. reads: whether it only reads. only: the identities or clusters that need it, empty for all. why:
    for a repair, what it repairs."""

    permission: str
    scenarios: tuple[str, ...]
    reads: bool = False
    only: tuple[str, ...] = ()
    why: str = ""

    def applies(self, ways: Collection[str]) -> bool:
        return not self.only or bool(set(self.only) & set(ways))


_ALL = (CONNECT, ONBOARD, REMOVE)
_IDENTITY = (ONBOARD, REMOVE)
_CLUSTER = "Microsoft.ContainerService/managedClusters"
_MANAGED = "Microsoft.ManagedIdentity/userAssignedIdentities"
_FEDERATION = f"{_MANAGED}/federatedIdentityCredentials"
_AUTHORIZATION = "Microsoft.Authorization"

GRANTS: tuple[Grant, ...] = (
    Grant(f"{_CLUSTER}/read", _ALL, True),
    Grant(f"{_CLUSTER}/listClusterUserCredential/action", (CONNECT, ONBOARD), True),
    Grant(f"{_CLUSTER}/listClusterAdminCredential/action", (CONNECT, ONBOARD), True, (ADMIN,)),
    Grant(f"{_AUTHORIZATION}/roleDefinitions/read", _IDENTITY, True),
    Grant(f"{_AUTHORIZATION}/roleDefinitions/write", (ONBOARD,)),
    Grant(f"{_AUTHORIZATION}/roleDefinitions/delete", (REMOVE,)),
    Grant(f"{_AUTHORIZATION}/roleAssignments/read", _IDENTITY, True),
    Grant(f"{_AUTHORIZATION}/roleAssignments/write", (ONBOARD,)),
    Grant(
        f"{_AUTHORIZATION}/roleAssignments/delete",
        (REPAIR, REMOVE),
        why="deletes assignments of an identity that no longer exists",
    ),
    Grant(f"{_MANAGED}/read", _IDENTITY, True, (MANAGED,)),
    Grant(f"{_MANAGED}/write", (ONBOARD,), False, (MANAGED,)),
    Grant(f"{_MANAGED}/delete", (REMOVE,), False, (MANAGED,)),
    Grant(f"{_FEDERATION}/read", _IDENTITY, True, (MANAGED,)),
    Grant(f"{_FEDERATION}/write", (ONBOARD,), False, (MANAGED,)),
    Grant("Microsoft.Resources/subscriptions/providers/read", (ONBOARD,), True, (MANAGED,)),
    Grant(
        "Microsoft.ManagedIdentity/register/action",
        (REPAIR,),
        False,
        (MANAGED,),
        "registers the resource provider of managed identities",
    ),
    Grant(
        f"{_AUTHORIZATION}/permissions/read",
        (PREFLIGHT,),
        True,
        why="finds missing permissions before anything is changed",
    ),
    Grant(f"{_AUTHORIZATION}/denyAssignments/read", (PREFLIGHT,), True, why="finds deny assignments"),
    Grant(f"{_AUTHORIZATION}/locks/read", (PREFLIGHT,), True, why="finds locks"),
)
"""Actions. They are needed in the resource groups where CAST AI's role is assigned, and those of a resource provider in
the subscription. Anybody with a role there can read the subscription itself."""

READ_ALL, OWNED, POLICIES = "Application.Read.All", "Application.ReadWrite.OwnedBy", "Policy.Read.All"
DIRECTORY = "Directory.Read.All"

GRAPH: tuple[Grant, ...] = (
    Grant(READ_ALL, (PREFLIGHT,), True, (APP,), "enough for a plan"),
    Grant(OWNED, _IDENTITY, False, (APP,), "and the identity that runs this must own the app"),
    Grant(POLICIES, (PREFLIGHT,), True, (APP,), "finds a policy that forbids or limits secrets of apps"),
    Grant(DIRECTORY, (PREFLIGHT,), True, (APP,), "finds owners that do not exist"),
)
"""Application permissions of Microsoft Graph. Custom roles cannot contain them: an administrator consents to them."""


def granted(phase: str, way: str) -> Iterator[Grant]:
    """The permissions of a phase's published role. way: APP or MANAGED."""
    for grant in GRANTS:
        if set(grant.scenarios) & set(PHASES[phase]) and (grant.reads or phase != PLAN) and grant.applies((way,)):
            yield grant


def needed(scenario: str, ways: Collection[str]) -> dict[str, Grant]:
    """What a scenario needs in Azure Resource Manager in these cases, by permission."""
    return {grant.permission: grant for grant in GRANTS if scenario in grant.scenarios and grant.applies(ways)}


KINDS = tuple((phase, way) for phase in PHASES for way in (APP, MANAGED) if not (phase == CONNECT and way == MANAGED))
"""The published roles. Connecting needs the same for both identities."""


def file_name(phase: str, way: str = APP) -> str:
    """File name of a published role, in docs/examples/policies."""
    suffix = "" if phase == CONNECT else f"-{WITH_MANAGED if way == MANAGED else WITH_APP}"
    return f"aks-{phase}{suffix}.json"


_TITLES: Mapping[str, str] = {
    PLAN: "Plan AKS onboarding to CAST AI",
    CONNECT: "Connect AKS clusters to CAST AI",
    ONBOARD: "Connect and onboard AKS clusters to CAST AI",
    REMOVE: "Remove CAST AI's identity for AKS clusters",
}
_WITH: Mapping[str, str] = {APP: "with an app registration", MANAGED: "with a managed identity"}


def title(phase: str, way: str) -> str:
    return _TITLES[phase] if phase == CONNECT else f"{_TITLES[phase]} {_WITH[way]}"


def document(phase: str, way: str, scopes: Collection[str]) -> dict[str, Any]:
    """The custom role that allows a phase, in the format of az role definition create --role-definition."""
    return {
        "Name": title(phase, way),
        "Description": "For castai.onboarding",
        "Actions": sorted(grant.permission for grant in granted(phase, way)),
        "NotActions": [],
        "DataActions": [],
        "NotDataActions": [],
        "AssignableScopes": [*scopes],
    }
