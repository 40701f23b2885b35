# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CAST AI's records of clusters, as modules take and show them. Pure. PRIVATE to the collection."""

from __future__ import annotations

from typing import Any

from .._gateways.castai import Cluster


def public(record: Cluster) -> dict[str, Any]:
    """A cluster as results show it."""
    return {
        "id": record.id,
        "name": record.name,
        "provider": record.provider,
        "status": record.status,
        "agent_status": record.agent_status,
        "organization_id": record.organization_id,
        "credentials_id": record.credentials_id,
        "reconcile_error": record.reconcile_error,
        "account_id": record.facts.get("accountId", ""),
        "region": record.facts.get("region", ""),
        "project": record.facts.get("projectId", ""),
        "subscription_id": record.facts.get("subscriptionId", ""),
        "node_resource_group": record.facts.get("nodeResourceGroup", ""),
        "location": record.facts.get("location", ""),
    }
