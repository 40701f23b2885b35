# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every name we give, and every limit. Pure. PRIVATE to the collection."""

from __future__ import annotations

import re

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
