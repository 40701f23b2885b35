# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts about EKS clusters that more than one module needs for its decisions. Pure. PRIVATE to the collection."""

from __future__ import annotations

from .._gateways.aws_eks import EksCluster
from .._variables import named
from .names import account_problem


def named_cluster_problem(eks: EksCluster | None, name: str, region: str, account_id: str, caller: str = "") -> str:
    """Why EKS's cluster is not the one that the user named, or an empty text.

    account_id: the one that the user named, or empty. caller: the credentials' account, if EKS has no such cluster;
    empty if it is not known.
    """
    if eks is None:
        # Nobody can find the cluster with credentials of another account, so that is the problem to report.
        return (account_problem(account_id, caller) if caller else "") or (
            f"EKS has no cluster {name} in {region} of {_account(caller)}."
            f" Check {named('cluster_name')}, {named('provider')}, {named('region')} and the credentials."
        )
    if eks.connector:
        return unusable_problem(eks)
    return account_problem(account_id, eks.account_id)


def _account(caller: str) -> str:
    return f"account {caller}, which the AWS credentials belong to" if caller else "the account of the AWS credentials"


def unusable_problem(eks: EksCluster) -> str:
    """Why the cluster cannot be used, or not for long, or an empty text."""
    if eks.connector:
        return (
            f"Cluster {eks.name} is only registered with EKS, through EKS Connector, and runs elsewhere (provider"
            f" {eks.connector})."
            f" Only clusters run by EKS or kOps can be connected: check {named('cluster_name')} and"
            f" {named('provider')}."
        )
    if eks.status == "DELETING":
        return (
            f"EKS cluster {eks.name} is DELETING and will soon be gone. Check {named('cluster_name')} and"
            f" {named('region')}, or remove the host from the inventory."
        )
    if eks.status == "FAILED":
        return (
            f"EKS cluster {eks.name} is FAILED: EKS could not create it, and it will not become ACTIVE. Look at its"
            " health issues in EKS, delete it and create it again."
        )
    if eks.status not in ("ACTIVE", "UPDATING"):
        return f"EKS cluster {eks.name} is {eks.status}. Wait until it is ACTIVE."
    return ""
