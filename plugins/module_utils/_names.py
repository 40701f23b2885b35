# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every name we give, and every limit. Pure. PRIVATE to the collection."""

from __future__ import annotations

import re

from ._engine import UNKNOWN

NAMESPACE = "castai-agent"
CREDENTIALS_SECRET = "castai-credentials"
CREDENTIALS_KEY = "API_KEY"
MANAGED_BY = {"app.kubernetes.io/managed-by": "castai.onboarding"}

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_EKS_NAME = re.compile(r"[0-9A-Za-z][-_0-9A-Za-z]*")


def helm_release_problem(name: str) -> str | None:
    """Why name is no Helm release name, or None. Helm: a DNS label of at most 53 characters."""
    return _label_problem("Helm release", name, 53)


def namespace_problem(name: str) -> str | None:
    """Why name is no Kubernetes namespace, or None. Kubernetes: a DNS label of at most 63 characters."""
    return _label_problem("namespace", name, 63)


def eks_cluster_problem(name: str) -> str | None:
    """Why name is no EKS cluster name, or None. Source: the API reference of EKS CreateCluster."""
    if len(name) > 100:
        return f"EKS cluster name {name!r} has {len(name)} characters, EKS allows 100"
    if not _EKS_NAME.fullmatch(name):
        return (
            f"EKS cluster name {name!r} may have only letters, digits, '-' and '_', and starts with a letter or digit"
        )
    return None


def _label_problem(kind: str, name: str, limit: int) -> str | None:
    if len(name) > limit:
        return f"{kind} name {name!r} has {len(name)} characters, at most {limit} are allowed"
    if not _DNS_LABEL.fullmatch(name):
        return (
            f"{kind} name {name!r} may have only lower-case letters, digits and '-',"
            " and starts and ends with a letter or digit"
        )
    return None


TAG_CLUSTER_ID = "cast:cluster-id"
TAG_CLUSTER = "castai-onboarding:cluster"


def iam_tags(cluster: str, cluster_id: str) -> dict[str, str]:
    """Whose an IAM or EC2 object is. Never cast:managed-by: CAST AI may delete what carries that."""
    return {TAG_CLUSTER_ID: cluster_id, TAG_CLUSTER: cluster}


def short_id(cluster_id: str) -> str:
    """What of the cluster's id stands in names; the marker of an unknown id stays whole, to be read as one."""
    return cluster_id if cluster_id == UNKNOWN else cluster_id[:8]


def eks_role(cluster: str, cluster_id: str) -> str:
    """The role that CAST AI assumes; as the vendor's script names it. IAM: at most 64 characters."""
    return f"cast-eks-{cluster[:30]}-cluster-role-{short_id(cluster_id)}"


def eks_roles_of_others(cluster: str, cluster_id: str) -> dict[str, str]:
    """Names under which other tools made that role, and which tool; longer than IAM allows means never made."""
    names = {
        f"cast-eks-{cluster}-cluster-role-{short_id(cluster_id)}": "an older onboarding script",
        f"castai-eks-{cluster[:53]}": "Terraform",
        f"cast-eks-{cluster}-role-{short_id(cluster_id)}": "Pulumi",
    }
    ours = eks_role(cluster, cluster_id)
    return {name: maker for name, maker in names.items() if name != ours and len(name) <= 64}


def eks_user(cluster: str, cluster_id: str) -> str:
    """The IAM user of user mode; shortened with the id where the script's name would not fit IAM's 64 characters."""
    name = f"cast-eks-{cluster}"
    return name if len(name) <= 64 else f"cast-eks-{cluster[:46]}-{short_id(cluster_id)}"


def eks_node_role(cluster: str, cluster_id: str) -> str:
    """Node role and instance profile, which share the name; CAST AI finds them by it."""
    return f"cast-{cluster[:40]}-eks-{short_id(cluster_id)}"


def eks_node_roles_of_others(cluster: str, cluster_id: str) -> dict[str, str]:
    names = {
        f"castai-eks-instance-{cluster[:44]}": "Terraform",
        f"cast-eks-{cluster}-node-role": "Pulumi",
    }
    return {name: maker for name, maker in names.items() if len(name) <= 64}


def node_security_group(cluster: str) -> str:
    """CAST AI finds the group by this name. EC2: at most 255 characters."""
    return f"cast-{cluster}-cluster/CastNodeSecurityGroup"


def eks_managed_policy(cluster: str, scope: str) -> str:
    return "CastEKSPolicy" if scope == "account" else f"CastEKSPolicy-{cluster}"


def eks_restricted_policy(cluster: str) -> str:
    """The managed form of the restricted policy, for a user, whose inline policies may hold only 2,048 characters."""
    return f"CastEKSRestrictedAccess-{cluster}"


INLINE_RESTRICTED = "CastEKSRestrictedAccess"
SHARED_POLICY = "CastEKSPolicy"
IPV6_POLICY = "CastEC2AssignIPv6Policy"
