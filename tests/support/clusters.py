# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clusters of a local world as an inventory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.sandbox.aws.server import EXTERNAL_ID
from tests.sandbox.client import ClusterAccess
from tests.sandbox.spec import HOME_ACCOUNT


def host_variables(cluster: ClusterAccess) -> dict[str, Any]:
    """A cluster's variables in the inventory: on kOps its kubeconfig; outside the operator's account the role to
    assume."""
    if cluster.provider == "gke":
        return {
            "castai_provider": cluster.provider,
            "castai_project": cluster.account,
            "castai_location": cluster.region,
        }
    if cluster.provider == "aks":
        return {
            "castai_provider": cluster.provider,
            "castai_subscription_id": cluster.account,
            "castai_resource_group": cluster.resource_group,
        }
    variables = {
        "castai_provider": cluster.provider,
        "castai_account_id": cluster.account,
        "castai_region": cluster.region,
    }
    if cluster.provider == "kops":
        variables["castai_kubeconfig"] = cluster.operator_kubeconfig
        variables["castai_context"] = cluster.name
    if cluster.account != HOME_ACCOUNT:
        variables["castai_aws_assume_role_arn"] = f"arn:aws:iam::{cluster.account}:role/onboarding"
        variables["castai_aws_assume_role_external_id"] = EXTERNAL_ID
    return variables


def inventory(clusters: Iterable[ClusterAccess], variables: Mapping[str, Any]) -> dict[str, Any]:
    """An inventory with one host for each cluster; `variables` apply to all of them."""
    hosts = {cluster.name: host_variables(cluster) for cluster in clusters}
    return {"castai_clusters": {"hosts": hosts, "vars": dict(variables)}}
