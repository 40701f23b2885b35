# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts about EKS clusters that more than one module decides by. Pure. PRIVATE to the collection."""

from __future__ import annotations

from .._names import wrong_account
from .._variables import named
from .gateway import EksCluster


def wrong_cluster(eks: EksCluster | None, name: str, region: str, account_id: str) -> str:
    """Why what EKS has is not the cluster that the user named, or an empty text. account_id may be empty."""
    if eks is None:
        return (
            f"EKS has no cluster {name} in {region} of the account that these AWS credentials are for."
            f" Check {named('cluster_name')}, {named('region')} and the credentials."
        )
    return wrong_account(account_id, eks.account_id)
