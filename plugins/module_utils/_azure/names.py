# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and limits of what CAST AI gets in Azure, and of what is there. Pure. PRIVATE to the collection.

Limits: Microsoft's "Naming rules and restrictions for Azure resources".
"""

from __future__ import annotations

import re

from .._names import correct_cluster
from .._variables import named

CLUSTER = 63
"""Longest name of a cluster."""

_AKS_NAME = re.compile(r"[a-zA-Z0-9]([-_a-zA-Z0-9]*[a-zA-Z0-9])?")
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_GROUP = re.compile(r"[-\w.()]{0,89}[-\w()]")


def same(one: str, other: str) -> bool:
    """Whether two names or ids of Azure are the same: it writes them in any case."""
    return one.casefold() == other.casefold()


def aks_cluster_problem(name: str) -> str:
    """What is wrong with the name of an AKS cluster."""
    if len(name) > CLUSTER:
        return (
            f"AKS cluster name {name!r} has {len(name)} characters, but AKS allows at most {CLUSTER}."
            f" {correct_cluster()}"
        )
    if not _AKS_NAME.fullmatch(name):
        return (
            f"AKS cluster name {name!r} may only contain letters, digits, '-' and '_', and must start and end with a"
            f" letter or digit. {correct_cluster()}"
        )
    return ""


def subscription_problem(subscription: str) -> str:
    """What is wrong with the id of a subscription."""
    if _GUID.fullmatch(subscription):
        return ""
    return (
        f"{named('subscription_id')} is {subscription!r}. Set it to the ID of the cluster's subscription, such as"
        " 0b1f6471-1bf0-4dda-aec3-cb9272f09590, not to its name."
    )


def group_problem(group: str, option: str) -> str:
    """What is wrong with the name of a resource group."""
    if _GROUP.fullmatch(group):
        return ""
    return (
        f"{named(option)} is {group!r}. Set it to the name of the resource group, which has at most 90 letters, digits"
        " and characters of '-_.()', and does not end with a dot."
    )
