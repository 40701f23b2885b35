# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contents of the projects: without secrets and etags, in an order that only depends on content."""

from __future__ import annotations

from typing import Any

from . import keys, policies
from .store import ORGANIZATION, Account, Policy, Project, Store


def state(store: Store) -> dict[str, Any]:
    """By project, only those of the user's organization: CAST AI's own project is not the user's."""
    ours = sorted((one for one in store.projects.values() if one.organization == ORGANIZATION), key=lambda one: one.id)
    return {one.id: _project_state(store, one) for one in ours}


def _project_state(store: Store, project: Project) -> dict[str, Any]:
    mine = sorted(
        (one for one in store.accounts if one.project == project.id), key=lambda one: (one.email, one.unique_id)
    )
    return {
        "policy": _policy_state(store, project.policy),
        "services": sorted(project.services),
        "accounts": [_account_state(store, one) for one in mine if one.deleted_at is None],
        "deleted_accounts": [one.email for one in mine if store.deleted_account(one.unique_id)],
        "roles": {
            role.name: {**role.said, "deleted": role.deleted_at is not None}
            for role in sorted(store.roles, key=lambda one: one.name)
            if role.name.startswith(f"projects/{project.id}/")
        },
        "subnets": {
            name: _policy_state(store, policy)
            for name, policy in sorted(store.subnets.items())
            if name.startswith(f"projects/{project.id}/")
        },
        "clusters": {
            name: {field: value for field, value in cluster.items() if field != "masterAuth"}
            for name, cluster in sorted(store.clusters.items())
            if name.startswith(f"projects/{project.id}/")
        },
    }


def _policy_state(store: Store, policy: Policy) -> dict[str, Any]:
    shown = policies.read(store, policy, 3)
    return {"bindings": shown.get("bindings", []), "auditConfigs": shown.get("auditConfigs", [])}


def _account_state(store: Store, account: Account) -> dict[str, Any]:
    own = keys.of(store, account)
    return {
        "email": account.email,
        "uniqueId": account.unique_id,
        **account.texts,
        "disabled": account.disabled,
        "policy": _policy_state(store, account.policy),
        "keys": [keys.shown(account, key) for key in own],
    }
