# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contents of the tenants and subscriptions: without secrets, in an order that only depends on content."""

from __future__ import annotations

from typing import Any

from .store import Application, Identity, Store


def state(store: Store) -> dict[str, Any]:
    directory = store.directory
    custom = [one for one in store.definitions.values() if one.custom]
    return {
        "applications": [
            _application(one)
            for one in sorted(directory.applications, key=lambda one: (one.said["displayName"], one.id))
        ],
        "deleted_applications": sorted(
            one.said["displayName"] for tenant in store.tenants for one in store.kept(tenant)
        ),
        "service_principals": [
            {**one.said, "owners": sorted(one.owners)}
            for one in sorted(directory.principals, key=lambda one: (one.said["displayName"], one.id))
        ],
        "role_definitions": {
            one.name: one.said for one in sorted(custom, key=lambda one: (one.said["roleName"], one.name))
        },
        "role_assignments": {
            one.id: {**one.said, "scope": one.scope}
            for one in sorted(store.assignments, key=lambda one: (one.scope, one.name))
        },
        "identities": {key: _identity(one) for key, one in sorted(store.identities.items())},
        "registered": {one.id: sorted(one.registered) for one in store.subscriptions.values()},
        "resource_groups": sorted(one["id"] for one in store.resource_groups.values()),
        "clusters": {one["id"]: one for _key, one in sorted(store.clusters.items())},
    }


def _application(one: Application) -> dict[str, Any]:
    passwords = [
        {name: value for name, value in password.items() if name != "hint"}
        for password in one.said["passwordCredentials"]
    ]
    return {
        **one.said,
        "passwordCredentials": passwords,
        "owners": sorted(one.owners),
        "federatedIdentityCredentials": list(one.federated),
    }


def _identity(one: Identity) -> dict[str, Any]:
    return {
        "location": one.location,
        "tags": dict(one.tags),
        "principalId": one.principal,
        "clientId": one.client,
        "tenantId": one.tenant,
        "federatedIdentityCredentials": list(one.federated),
    }
