# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and limits of the objects that CAST AI gets in Azure, and of existing ones. Pure. PRIVATE to the collection.

Limits: Microsoft's "Naming rules and restrictions for Azure resources".
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence

from .._credentials import is_uuid, quoted
from .._engine import UNKNOWN
from .._names import correct_cluster, short_id
from .._variables import named

CLUSTER = 63
"""Longest name of a cluster."""

TERRAFORM, SCRIPT = "Terraform", "the onboarding script"

ISSUER = "https://accounts.google.com"
"""Issuer of the tokens that CAST AI uses to log in without a secret."""

_TERRAFORM_APP = 64
"""Terraform's module cuts the name of its app to this many characters."""

MISSING_SUBSCRIPTION = (
    f"{named('subscription_id')} is not set. Set it to the ID of the cluster's subscription, or set"
    " AZURE_SUBSCRIPTION_ID."
)

_AKS_NAME = re.compile(r"[a-zA-Z0-9]([-_a-zA-Z0-9]*[a-zA-Z0-9])?")
_GROUP = re.compile(r"[-\w.()]{0,89}[-\w()]")
_IDENTITY = re.compile(r"[0-9A-Za-z][-\w]{2,127}", re.ASCII)
_IDENTITIES = ("providers", "microsoft.managedidentity", "userassignedidentities")


def same(one: str, other: str) -> bool:
    """Whether two names or IDs are the same. Azure does not preserve case."""
    return one.casefold() == other.casefold()


def aks_cluster_problem(name: str) -> str:
    """What is wrong with the name of an AKS cluster. Empty if nothing is."""
    if len(name) > CLUSTER:
        return (
            f"AKS cluster name {quoted(name)} has {len(name)} characters, but AKS allows at most {CLUSTER}."
            f" {correct_cluster()}"
        )
    if not _AKS_NAME.fullmatch(name):
        return (
            f"AKS cluster name {quoted(name)} may only contain letters, digits, '-' and '_', and must start and end"
            f" with a letter or digit. {correct_cluster()}"
        )
    return ""


def is_group(text: str) -> bool:
    """Whether a text can be the name of a resource group."""
    return bool(_GROUP.fullmatch(text))


def is_group_id(text: str) -> bool:
    """Whether a text can be the ID of a resource group, with or without a slash at its end."""
    start, *parts = text.rstrip("/").split("/")
    return not start and len(parts) == 4 and _in_group(parts)


def is_identity(text: str) -> bool:
    """Whether a text can be the ID of a managed identity, with or without a slash at its end."""
    start, *parts = text.rstrip("/").split("/")
    if start or len(parts) != 8 or not _in_group(parts):
        return False
    return tuple(part.lower() for part in parts[4:7]) == _IDENTITIES and bool(_IDENTITY.fullmatch(parts[7]))


def _in_group(parts: Sequence[str]) -> bool:
    """Whether the parts of an ID begin with those of a resource group."""
    words, subscription, group = (parts[0].lower(), parts[2].lower()), parts[1], parts[3]
    return words == ("subscriptions", "resourcegroups") and is_uuid(subscription) and is_group(group)


def subscription_problem(subscription: str, source: str = "") -> str:
    """What is wrong with a subscription ID. Empty if nothing is. source: the variable it came from, if any."""
    if is_uuid(subscription):
        return ""
    where = f"{source}, which is used for {named('subscription_id')}," if source else named("subscription_id")
    return (
        f"{where} is {quoted(subscription)}. Set it to the ID of the cluster's subscription, such as"
        " 0b1f6471-1bf0-4dda-aec3-cb9272f09590, not to its name."
    )


def group_problem(group: str, option: str) -> str:
    """What is wrong with the name of a resource group. Empty if nothing is."""
    if is_group(group):
        return ""
    return (
        f"{named(option)} is {quoted(group)}. Set it to the name of the resource group, which has at most 90 letters,"
        " digits and characters of '-_.()', and does not end with a dot."
    )


def apps(cluster: str, cluster_id: str) -> tuple[str, ...]:
    """Display names for the app: the script's, then one to use if an app of another cluster has that name."""
    plain = f"CAST.AI {cluster}-"
    return (f"{plain}{short_id(cluster_id)}", f"{plain}{cluster_id}")


def terraform_app(cluster: str, group: str) -> str:
    return f"CAST AI {cluster}-{group}"[:_TERRAFORM_APP]


def secret(cluster: str) -> str:
    """Display name of the app's secrets, the same as the script's."""
    return f"{cluster}-castai"


def app_federation(cluster_id: str) -> str:
    """Name of the app's federated credential, the same as the script's."""
    return f"AzureAccessForCASTAI-{cluster_id}"


def identities(cluster: str, cluster_id: str) -> tuple[str, ...]:
    """Names for the managed identity: Terraform's, then one to use if an identity of another cluster has that name."""
    return (f"{cluster}-castai-identity", f"{cluster}-castai-{short_id(cluster_id)}")


def place_of(identity: str) -> tuple[str, str, str]:
    """Subscription, resource group and name of a managed identity, taken from its ID."""
    parts = identity.strip("/").split("/")
    return parts[1], parts[3], parts[-1]


def identity_federation(cluster_id: str) -> str:
    return f"castai-{cluster_id}"


def roles(cluster_id: str) -> tuple[str, ...]:
    """Names for the cluster's role: the script's, then one to use if another role in the tenant has that name."""
    return (f"CastAKSRole-{short_id(cluster_id)}", f"CastAKSRole-{cluster_id}")


def terraform_role(cluster: str) -> str:
    return f"CastAKSRole-{cluster}-tf"


def role_guid(cluster_id: str) -> str:
    """The ID of a role that is to be created."""
    return _guid(cluster_id, "role-definition")


def assignment_guid(cluster_id: str, scope: str, role: str, principal: str, turn: int = 0) -> str:
    """The ID of an assignment that is to be created. turn: how many IDs others have already taken."""
    parts = [scope.lower(), role.lower(), principal.lower(), *([str(turn)] if turn else [])]
    return _guid(cluster_id, "|".join(parts))


def _guid(cluster_id: str, what: str) -> str:
    return UNKNOWN if UNKNOWN in (cluster_id, *what.split("|")) else str(uuid.uuid5(uuid.UUID(cluster_id), what))


def script_assignment(cluster_id: str, name: str) -> bool:
    """Whether an assignment has an ID that the script derives from the cluster ID."""
    return cluster_id != UNKNOWN and name.replace("-", "").lower().startswith(cluster_id.replace("-", "")[:28])


def recorded_place(record: Mapping[str, str]) -> str:
    """Where an AKS cluster is by CAST AI's record, in words."""
    subscription, nodes = (record.get(key, "unknown") for key in ("subscriptionId", "nodeResourceGroup"))
    return f"of subscription {subscription} with node resource group {nodes}"
