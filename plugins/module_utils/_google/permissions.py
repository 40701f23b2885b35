# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The permissions that a run needs in Google Cloud. Pure. PRIVATE to the collection.

The published custom roles, the table in the documentation and the questions of castai_preflight are derived from this.
Calls have the IDs of Google's discovery documents. Most permissions are named like their method.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .bindings import ON_ACCOUNTS

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
"""The scenarios that each phase's published role covers."""

KEY, KEYLESS, SUBNETS = "key", "impersonation", "subnets"
"""Choices for onboarding that need permissions of their own."""

DNS = "dns"
"""Clusters that are reached by their DNS endpoint."""


@dataclass(frozen=True)
class Grant:
    """One permission. calls: the calls that need it. reads: whether it only reads. only: the choices that need it,
    empty for all. why: for a repair, what it repairs."""

    permission: str
    calls: tuple[str, ...]
    scenarios: tuple[str, ...]
    reads: bool = False
    only: tuple[str, ...] = ()
    why: str = ""

    def applies(self, ways: Collection[str]) -> bool:
        return not self.only or bool(set(self.only) & set(ways))


_ALL = (CONNECT, ONBOARD, REMOVE)
_IDENTITY = (ONBOARD, REMOVE)

GRANTS: tuple[Grant, ...] = (
    Grant("container.clusters.get", ("container.projects.locations.clusters.get",), _ALL, True),
    Grant("container.clusters.connect", (), (CONNECT, ONBOARD), True, (DNS,)),
    Grant(
        "container.clusters.list",
        ("container.projects.locations.clusters.list",),
        (PREFLIGHT,),
        True,
        why="finds a cluster whose location is wrong",
    ),
    Grant("resourcemanager.projects.get", ("cloudresourcemanager.projects.get",), _IDENTITY, True),
    Grant("resourcemanager.projects.getIamPolicy", ("cloudresourcemanager.projects.getIamPolicy",), _IDENTITY, True),
    Grant("resourcemanager.projects.setIamPolicy", ("cloudresourcemanager.projects.setIamPolicy",), _IDENTITY),
    Grant("serviceusage.services.get", ("serviceusage.services.batchGet",), (ONBOARD,), True),
    Grant(
        "serviceusage.services.enable",
        ("serviceusage.services.batchEnable",),
        (REPAIR,),
        why="enables services",
    ),
    Grant(
        "servicemanagement.services.bind",
        ("serviceusage.services.batchEnable",),
        (REPAIR,),
        why="enables services",
    ),
    Grant(
        "serviceusage.operations.get",
        ("serviceusage.operations.get",),
        (REPAIR,),
        why="waits until services are enabled",
    ),
    Grant("iam.roles.get", ("iam.projects.roles.get",), _IDENTITY, True),
    Grant("iam.roles.create", ("iam.projects.roles.create",), (ONBOARD,)),
    Grant(
        "iam.roles.update",
        ("iam.projects.roles.patch",),
        (REPAIR,),
        why="corrects a role that somebody changed, and records the key of an existing account in it",
    ),
    Grant("iam.roles.undelete", ("iam.projects.roles.undelete",), (REPAIR,), why="restores a deleted role"),
    Grant("iam.roles.delete", ("iam.projects.roles.delete",), (REMOVE,)),
    Grant("iam.serviceAccounts.get", ("iam.projects.serviceAccounts.get",), _IDENTITY, True),
    Grant(
        "iam.serviceAccounts.list",
        ("iam.projects.serviceAccounts.list",),
        (PREFLIGHT, REMOVE),
        True,
        why="finds bindings on accounts that node pools no longer use",
    ),
    Grant("iam.serviceAccounts.create", ("iam.projects.serviceAccounts.create",), (ONBOARD,)),
    Grant(
        "iam.serviceAccounts.update",
        ("iam.projects.serviceAccounts.patch",),
        (ONBOARD,),
        False,
        (KEY,),
        "records which key CAST AI has",
    ),
    Grant(
        "iam.serviceAccounts.enable",
        ("iam.projects.serviceAccounts.enable",),
        (REPAIR,),
        why="enables an account that somebody disabled",
    ),
    Grant("iam.serviceAccounts.delete", ("iam.projects.serviceAccounts.delete",), (REMOVE,)),
    Grant(
        "iam.serviceAccounts.getIamPolicy",
        ("iam.projects.serviceAccounts.getIamPolicy",),
        _IDENTITY,
        True,
        (KEYLESS, ON_ACCOUNTS),
    ),
    Grant(
        "iam.serviceAccounts.setIamPolicy",
        ("iam.projects.serviceAccounts.setIamPolicy",),
        _IDENTITY,
        False,
        (KEYLESS, ON_ACCOUNTS),
    ),
    Grant("iam.serviceAccountKeys.list", ("iam.projects.serviceAccounts.keys.list",), _IDENTITY, True),
    Grant("iam.serviceAccountKeys.create", ("iam.projects.serviceAccounts.keys.create",), (ONBOARD,), False, (KEY,)),
    Grant(
        "iam.serviceAccountKeys.delete",
        ("iam.projects.serviceAccounts.keys.delete",),
        (REPAIR, REMOVE),
        why="deletes a key that was replaced, refused or left over",
    ),
    Grant(
        "orgpolicy.policy.get",
        ("orgpolicy.projects.policies.getEffectivePolicy",),
        (PREFLIGHT,),
        True,
        why="finds what the organization forbids",
    ),
)
"""Asking which of these somebody has (testIamPermissions) needs no permission."""

OF_SUBNETS: tuple[Grant, ...] = (
    Grant("compute.subnetworks.getIamPolicy", ("compute.subnetworks.getIamPolicy",), _IDENTITY, True, (SUBNETS,)),
    Grant("compute.subnetworks.setIamPolicy", ("compute.subnetworks.setIamPolicy",), _IDENTITY, False, (SUBNETS,)),
)
"""Needed only on the subnets in the host project of a Shared VPC, so no published role contains them."""


def granted(phase: str) -> Iterator[Grant]:
    """The permissions of a phase's published role."""
    for grant in GRANTS:
        if set(grant.scenarios) & set(PHASES[phase]) and (grant.reads or phase != PLAN):
            yield grant


def needed(scenario: str, ways: Collection[str]) -> dict[str, Grant]:
    """What a scenario needs in the cluster's project for these choices, by permission."""
    return {grant.permission: grant for grant in GRANTS if scenario in grant.scenarios and grant.applies(ways)}


def file_name(phase: str) -> str:
    """File name of a published role, in docs/examples/policies."""
    return f"gke-{phase}.yml"


TITLES: Mapping[str, str] = {
    PLAN: "Plan connecting and onboarding a GKE cluster to CAST AI",
    CONNECT: "Connect a GKE cluster to CAST AI",
    ONBOARD: "Connect and onboard a GKE cluster to CAST AI",
    REMOVE: "Remove CAST AI's identity for a GKE cluster",
}


def document(phase: str) -> dict[str, Any]:
    """The custom role that allows a phase, in the format of gcloud iam roles create --file."""
    return {
        "title": TITLES[phase],
        "description": "For castai.onboarding",
        "stage": "GA",
        "includedPermissions": sorted(grant.permission for grant in granted(phase)),
    }
