# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of CAST AI's objects in AWS, and their limits. Pure. PRIVATE to the collection."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from .._credentials import quoted
from .._names import DNS_LABEL, TAG_CLUSTER, TAG_CLUSTER_ID, correct_cluster, short_id
from .._variables import named

MANAGED_POLICY = "CastEKSPolicy"
RESTRICTED_POLICY = "CastEKSRestrictedAccess"
IPV6_POLICY = "CastEC2AssignIPv6Policy"

KOPS_MANAGED_POLICY = "CastKopsPolicyV2"
KOPS_RESTRICTED_POLICY = "CastKopsRestrictedAccess"
KOPS_OLD_POLICY = "CastKopsPolicy"
KOPS_POLICY_OF_DOCUMENTS, KOPS_RESTRICTED_OF_DOCUMENTS = "CASTKopsPolicy", "CASTKopsRestricted"
"""How CAST AI's documents spell the beginning of these names; its script spells it differently. To IAM they are
different policies."""

SPOT_LAMBDA_ROLE = "CastLambdaRoleForSpot"

IAM_NAME = 64
"""Longest name of a role or user. Source: the API reference of IAM CreateRole and CreateUser."""

POLICY_NAME = 128
"""Longest name of a managed policy or instance profile. Source: the same of CreatePolicy, CreateInstanceProfile."""

_DNS_NAME = re.compile(rf"{DNS_LABEL.pattern}(\.{DNS_LABEL.pattern})+")
_ACCOUNT = re.compile(r"[0-9]{12}")
_EKS_NAME = re.compile(r"[0-9A-Za-z][-_0-9A-Za-z]*")


def eks_cluster_problem(name: str) -> str:
    """What is wrong with the name of an EKS cluster. Source: the API reference of EKS CreateCluster."""
    if len(name) > 100:
        return (
            f"EKS cluster name {quoted(name)} has {len(name)} characters, but EKS allows at most 100."
            f" {correct_cluster()}"
        )
    if not _EKS_NAME.fullmatch(name):
        return (
            f"EKS cluster name {quoted(name)} may only contain letters, digits, '-' and '_', and must start with"
            f" a letter or digit. {correct_cluster()}"
        )
    return ""


def kops_cluster_problem(name: str) -> str:
    """What is wrong with the name of a kOps cluster. kOps: a full DNS name, of at most 253 characters."""
    if len(name) > 253:
        return (
            f"kOps cluster name {quoted(name)} has {len(name)} characters, but at most 253 are allowed."
            f" {correct_cluster()}"
        )
    if not _DNS_NAME.fullmatch(name):
        return (
            f"kOps cluster name {quoted(name)} must be a full DNS name, for example shop.example.com or shop.k8s.local."
            f" {correct_cluster()}"
        )
    return ""


def account_id_problem(account_id: str) -> str:
    """What is wrong with the id of an AWS account."""
    if _ACCOUNT.fullmatch(account_id):
        return ""
    return f"{named('account_id')} is {quoted(account_id)}. Set it to the 12 digits of the AWS account, in quotes."


def account_problem(wanted: str, account_id: str) -> str:
    """Why the credentials' account is not the wanted one. wanted: empty for any account."""
    if wanted in ("", account_id):
        return ""
    return (
        f"{named('account_id')} is {wanted}, but the AWS credentials belong to account {account_id}. Correct it, or use"
        f" credentials of account {wanted}."
    )


def iam_tags(cluster: str, cluster_id: str) -> dict[str, str]:
    """The tags that show which cluster an IAM or EC2 object belongs to."""
    return {TAG_CLUSTER_ID: cluster_id, TAG_CLUSTER: cluster}


def with_id(name: str, cluster_id: str, limit: int) -> str:
    """The name with the cluster's id appended, so that no cluster of the same name shares it; cut to the limit."""
    return f"{name[: limit - 9]}-{short_id(cluster_id)}"


def eks_role(cluster: str, cluster_id: str) -> str:
    """The role that CAST AI assumes, as CAST AI's script names it."""
    return f"cast-eks-{cluster[:30]}-cluster-role-{short_id(cluster_id)}"


def eks_roles_of_others(cluster: str, cluster_id: str) -> dict[str, str]:
    """Names under which other tools created that role, and which tool."""
    names = {
        f"cast-eks-{cluster}-cluster-role-{short_id(cluster_id)}": "an older onboarding script",
        f"castai-eks-{cluster[:53]}": "Terraform",
        f"cast-eks-{cluster}-role-{short_id(cluster_id)}": "Pulumi",
    }
    names.pop(eks_role(cluster, cluster_id), None)
    return _possible(names, IAM_NAME)


def eks_users(cluster: str, cluster_id: str) -> tuple[str, ...]:
    """Names for the IAM user of user mode: the script's if it fits, then one that no other cluster can have."""
    plain = f"cast-eks-{cluster}"
    return (*_possible({plain: ""}, IAM_NAME), with_id(plain, cluster_id, IAM_NAME))


def kops_users(cluster: str, cluster_id: str) -> tuple[str, ...]:
    """The same for kOps, whose cluster names are full DNS names: a long one is cut, and gets a hash to keep it
    unique."""
    plain = fitted(f"cast-kops-{cluster}", IAM_NAME)
    return (plain, with_id(plain, cluster_id, IAM_NAME))


def fitted(name: str, limit: int) -> str:
    """The name, or if it is too long, its beginning and a hash of the whole."""
    if len(name) <= limit:
        return name
    return f"{name[: limit - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def eks_node_role(cluster: str, cluster_id: str) -> str:
    """The name that the node role and the instance profile share; CAST AI finds them by it."""
    return f"cast-{cluster[:40]}-eks-{short_id(cluster_id)}"


def eks_node_roles_of_others(cluster: str) -> dict[str, str]:
    return _possible(
        {f"castai-eks-instance-{cluster[:44]}": "Terraform", f"cast-eks-{cluster}-node-role": "Pulumi"}, IAM_NAME
    )


def eks_profiles_of_others(cluster: str, cluster_id: str) -> dict[str, str]:
    return {
        f"castai-eks-instance-{cluster[:44]}": "Terraform",
        f"cast-eks-{cluster}-profile-{short_id(cluster_id)}": "Pulumi",
    }


def node_security_group(cluster: str) -> str:
    """CAST AI finds the group by this name. EC2: at most 255 characters."""
    return f"cast-{cluster}-cluster/CastNodeSecurityGroup"


def cluster_policies(base: str, cluster: str, cluster_id: str) -> tuple[str, ...]:
    """Names for a cluster's own managed policy: Terraform's, then one that no other cluster can have."""
    plain = fitted(f"{base}-{cluster}", POLICY_NAME)
    return (plain, with_id(plain, cluster_id, POLICY_NAME))


def _possible(names: Mapping[str, str], limit: int) -> dict[str, str]:
    """The names that AWS allows; nothing was ever created under a longer one."""
    return {name: maker for name, maker in names.items() if len(name) <= limit}


def recorded_eks_place(record: Mapping[str, str]) -> str:
    """Where an EKS cluster is by CAST AI's record, in words."""
    return f"of account {record.get('accountId', 'unknown')} in {record.get('region', 'unknown')}"


def recorded_kops_place(record: Mapping[str, str]) -> str:
    """Where a kOps cluster is by CAST AI's record, in words."""
    return f"of state store {record.get('stateStore', 'unknown')} in {record.get('region', 'unknown')}"
