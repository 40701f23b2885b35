# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and limits of what CAST AI gets in Azure. Pure. PRIVATE to the collection."""

from __future__ import annotations

import uuid

from .._engine import UNKNOWN
from .._names import short_id

TERRAFORM, SCRIPT = "Terraform", "the onboarding script"

ISSUER = "https://accounts.google.com"
"""Who issues the tokens with which CAST AI logs in without a secret."""

_TERRAFORM_APP = 64
"""Characters to which Terraform's module cuts the name of its app."""


def apps(cluster: str, cluster_id: str) -> tuple[str, ...]:
    """Display names for the app: the script's, then one for where another cluster has an app of that name."""
    plain = f"CAST.AI {cluster}-"
    return (f"{plain}{short_id(cluster_id)}", f"{plain}{cluster_id}")


def terraform_app(cluster: str, group: str) -> str:
    return f"CAST AI {cluster}-{group}"[:_TERRAFORM_APP]


def secret(cluster: str) -> str:
    """Display name of the app's secrets, as the script gives it."""
    return f"{cluster}-castai"


def app_federation(cluster_id: str) -> str:
    """Name of the app's federated credential, as the script gives it."""
    return f"AzureAccessForCASTAI-{cluster_id}"


def identities(cluster: str, cluster_id: str) -> tuple[str, ...]:
    """Names for the managed identity: Terraform's, then one for where another cluster has an identity of that name."""
    return (f"{cluster}-castai-identity", f"{cluster}-castai-{short_id(cluster_id)}")


def place_of(identity: str) -> tuple[str, str, str]:
    """Subscription, group and name of a managed identity, by its id."""
    parts = identity.strip("/").split("/")
    return parts[1], parts[3], parts[-1]


def identity_federation(cluster_id: str) -> str:
    return f"castai-{cluster_id}"


def roles(cluster_id: str) -> tuple[str, ...]:
    """Names for the cluster's role: the script's, then one for where the tenant has a role of that name elsewhere."""
    return (f"CastAKSRole-{short_id(cluster_id)}", f"CastAKSRole-{cluster_id}")


def terraform_role(cluster: str) -> str:
    return f"CastAKSRole-{cluster}-tf"


def role_guid(cluster_id: str) -> str:
    """The id of a role that is to be created."""
    return _guid(cluster_id, "role-definition")


def assignment_guid(cluster_id: str, scope: str, role: str, principal: str, turn: int = 0) -> str:
    """The id of an assignment that is to be created. turn: counts those that others have already."""
    parts = [scope.lower(), role.lower(), principal.lower(), *([str(turn)] if turn else [])]
    return _guid(cluster_id, "|".join(parts))


def _guid(cluster_id: str, what: str) -> str:
    return UNKNOWN if UNKNOWN in (cluster_id, *what.split("|")) else str(uuid.uuid5(uuid.UUID(cluster_id), what))


def script_assignment(cluster_id: str, name: str) -> bool:
    """Whether an assignment's id is one that the script makes of the cluster's id."""
    return cluster_id != UNKNOWN and name.replace("-", "").lower().startswith(cluster_id.replace("-", "")[:28])
