# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and limits of the objects that CAST AI gets in Google Cloud. Pure. PRIVATE to the collection.

Limits: the API references of IAM's serviceAccounts.create and projects.roles.create.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from .._credentials import quoted
from .._names import correct_cluster, short_id
from .._variables import named

ACCOUNT_ID = 30
"""Longest ID of a service account."""

DESCRIPTION = 256
"""Maximum length of a service account's description, in bytes."""

ROLE_DESCRIPTION = 300
"""Maximum length of a custom role's description, in bytes."""

SHARED_ROLE = "castai.gkeAccess"
"""The role that CAST AI's script creates once for all clusters of a project."""

ROLE_TITLE = "Role to manage GKE cluster via CAST AI"

ACCOUNT_USER = "roles/iam.serviceAccountUser"
NETWORK_USER = "roles/compute.networkUser"
TOKEN_CREATOR = "roles/iam.serviceAccountTokenCreator"
DEVELOPER = "roles/container.developer"
"""Only CAST AI's script binds it. Terraform dropped it in 2024 because it was not used."""

SERVICES = tuple(
    f"{name}.googleapis.com" for name in ("serviceusage", "cloudresourcemanager", "iam", "container", "compute")
)
CREDENTIALS_SERVICE = "iamcredentials.googleapis.com"
"""Also needed if CAST AI works without a key."""

DEFAULT_NODE_ACCOUNT = "default"
"""What GKE shows for nodes that run as the project's default Compute Engine account."""

MISSING_PROJECT = (
    f"{named('project')} is not set. Set it to the Google Cloud project of the cluster, or set GCP_PROJECT."
)

_GKE_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_PROJECT_ID = re.compile(r"([a-z0-9][-a-z0-9.]*\.[a-z]+:)?[a-z][-a-z0-9]{4,28}[a-z0-9]")
_PROJECT_NUMBER = re.compile(r"[0-9]{4,20}")
_ACCOUNT = re.compile(r"[a-z0-9][-a-z0-9.]*@([a-z0-9]([-a-z0-9]*[a-z0-9])?\.)+gserviceaccount\.com")
_LOCATION = re.compile(r"[a-z]+-[a-z]+[0-9]+(-[a-z0-9]+)?")


def gke_cluster_problem(name: str) -> str:
    """What is wrong with the name of a GKE cluster. Source: the API reference of GKE, projects.locations.clusters."""
    if len(name) > 40:
        return (
            f"GKE cluster name {quoted(name)} has {len(name)} characters, but GKE allows at most 40."
            f" {correct_cluster()}"
        )
    if not _GKE_NAME.fullmatch(name):
        return (
            f"GKE cluster name {quoted(name)} may only contain lower-case letters, digits and '-', and must start"
            f" with a letter and end with a letter or digit. {correct_cluster()}"
        )
    return ""


def is_project_id(text: str) -> bool:
    """Whether a text can be a project ID, which may start with a domain."""
    return bool(_PROJECT_ID.fullmatch(text))


def is_account(text: str) -> bool:
    """Whether a text can be the address of a service account."""
    return bool(_ACCOUNT.fullmatch(text.lower()))


def project_problem(project: str, source: str = "") -> str:
    """What is wrong with the ID or number of a project. source: the environment variable it came from, empty for the
    option."""
    if is_project_id(project) or _PROJECT_NUMBER.fullmatch(project):
        return ""
    where = f"{source}, which is used for {named('project')}," if source else named("project")
    return (
        f"{where} is {quoted(project)}. Set it to the ID or number of the cluster's Google Cloud project, not its name."
    )


def location_problem(location: str) -> str:
    """What is wrong with a region or zone. Empty if nothing is."""
    if _LOCATION.fullmatch(location):
        return ""
    return (
        f"{named('location')} is {quoted(location)}. Set it to the region of the cluster, such as europe-west3, or to"
        " its zone, such as europe-west3-a."
    )


def hashed(cluster: str) -> str:
    """The hash that stands for a cluster in CAST AI's names. It covers neither project nor location."""
    return hashlib.sha1(cluster.encode(), usedforsecurity=False).hexdigest()[:8]


def accounts(cluster: str, cluster_id: str) -> tuple[str, ...]:
    """IDs for CAST AI's service account: the script's, then one that no other cluster of that name can have."""
    plain = f"castai-gke-{hashed(cluster)}"
    return (plain, f"{plain}-{short_id(cluster_id)}")


def accounts_of_others(cluster: str) -> dict[str, str]:
    """IDs of accounts that other tools create for this purpose, with the tool."""
    return {
        f"castai-gke-tf-{hashed(cluster)}": "Terraform",
        f"castai-gke-{cluster}"[:ACCOUNT_ID].rstrip("-"): "Pulumi",
    }


def display_name(cluster: str) -> str:
    return f"Service account to manage {cluster} GKE cluster via CAST"


def roles(cluster_id: str) -> tuple[str, ...]:
    """IDs for the cluster's own role. A deleted role's ID stays taken for weeks, so there are several."""
    plain = f"{SHARED_ROLE}.{short_id(cluster_id)}"
    return (plain, f"{plain}.2", f"{plain}.3")


def terraforms_roles(cluster: str) -> tuple[str, ...]:
    return tuple(role_id for role_id, maker in roles_of_others(cluster).items() if maker == "Terraform")


def roles_of_others(cluster: str) -> dict[str, str]:
    """IDs of roles that other tools create for this cluster alone, with the tool."""
    plain = cluster.replace("-", "_")
    return {
        f"{SHARED_ROLE}.{hashed(cluster)}.tf": "Terraform",
        f"castai_gke_{plain}_cluster": "Pulumi",
        f"castai_gke_{plain}_compute": "Pulumi",
    }


def role_name(project: str, role_id: str) -> str:
    return f"projects/{project}/roles/{role_id}"


def account_email(account_id: str, project: str) -> str:
    """The address under which to look for an account. Once read, an account says its address itself.

    The project example.com:shop of a domain appears in it as shop.example.com.
    """
    domain, _colon, name = project.rpartition(":")
    return f"{account_id}@{'.'.join(filter(None, [name, domain]))}.iam.gserviceaccount.com"


def compute_account(project_number: str) -> str:
    """The account of nodes that have no other one."""
    return f"{project_number}-compute@developer.gserviceaccount.com"


def project_of(email: str) -> str:
    """The project that an account's address names. Empty if it contains a project number or no project."""
    found = re.fullmatch(r"[^@]+@([^.]+)((?:\.[^.]+)*)\.iam\.gserviceaccount\.com", email)
    if not found:
        return ""
    name, domain = found.groups()
    return f"{domain[1:]}:{name}" if domain else name


def member(email: str) -> str:
    return f"serviceAccount:{email}"


def recorded_place(record: Mapping[str, str]) -> str:
    """Where a GKE cluster is by CAST AI's record, in words."""
    return f"of project {record.get('projectId', 'unknown')} in {record.get('location', 'unknown')}"
