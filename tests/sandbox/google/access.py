# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what: the policies of a resource and of the resources above it, with their conditions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from . import conditions
from .catalog import PREDEFINED
from .errors import denied
from .store import Account, Policy, Principal, Project, Store


@dataclass(frozen=True)
class Resource:
    """The object of a permission check. policies: its own and those of its project and organization."""

    name: str
    kind: str
    service: str
    policies: tuple[Policy, ...]

    def attributes(self, now: float) -> dict[str, Any]:
        return {
            "resource.name": self.name,
            "resource.type": self.kind,
            "resource.service": self.service,
            "request.time": datetime.fromtimestamp(now, timezone.utc),
        }


def project_resource(store: Store, project: Project) -> Resource:
    host = "cloudresourcemanager.googleapis.com"
    above = (store.organization,) if project.organization else ()
    return Resource(f"projects/{project.number}", f"{host}/Project", host, (project.policy, *above))


def account_resource(store: Store, account: Account) -> Resource:
    """An account as a resource. Conditions name it by its unique id, without its project."""
    above = project_resource(store, store.projects[account.project]).policies
    host = "iam.googleapis.com"
    name = f"projects/-/serviceAccounts/{account.unique_id}"
    return Resource(name, f"{host}/ServiceAccount", host, (account.policy, *above))


def within(store: Store, project: Project, name: str, service: str, kind: str) -> Resource:
    """An object of a project that has no policy of its own."""
    host = f"{service}.googleapis.com"
    return Resource(name, f"{host}/{kind}", host, project_resource(store, project).policies)


def held(
    store: Store,
    caller: Principal,
    resource: Resource,
    permissions: Iterable[str],
    more: Mapping[str, Any] | None = None,
) -> set[str]:
    """Which of the permissions the caller has. more: further attributes of the request."""
    attributes = {
        **resource.attributes(store.clock()),
        "request.auth.claims.email": caller.email,
        **(more or {}),
    }
    roles = {role for policy in resource.policies for role in _granted(store, caller, policy, attributes)}
    has = frozenset().union(*(permissions_of(store, role) for role in roles))
    return set(permissions) & has


def require(
    store: Store, caller: Principal, resource: Resource, permission: str, shown: str, service: str, **more: Any
) -> None:
    """Raises GoogleError in the service's own words. shown: the resource as the refusal names it."""
    if not held(store, caller, resource, (permission,), {key.replace("_", "."): one for key, one in more.items()}):
        raise denied(service, permission, shown)


def permissions_of(store: Store, role: str) -> frozenset[str]:
    """The permissions of a role; none if it is deleted."""
    if role in PREDEFINED:
        return PREDEFINED[role]
    found = store.role(role)
    if found is None or found.deleted_at is not None:
        return frozenset()
    return frozenset(found.said.get("includedPermissions", ()))


def _granted(store: Store, caller: Principal, policy: Policy, attributes: Mapping[str, Any]) -> Iterator[str]:
    for binding in _in_force(store, policy):
        if any(_is(store, caller, member) for member in binding["members"]):
            condition = binding.get("condition")
            if condition is None or conditions.holds(condition["expression"], attributes):
                yield binding["role"]


def _in_force(store: Store, policy: Policy) -> list[dict[str, Any]]:
    """The bindings as they were one grant delay ago."""
    seen = store.clock() - store.grants_after
    return next((bindings for until, bindings in policy.earlier if until > seen), policy.bindings)


def _is(store: Store, caller: Principal, member: str) -> bool:
    if member in ("allUsers", "allAuthenticatedUsers"):
        return True
    kind, _colon, rest = member.partition(":")
    if kind == "serviceAccount" and "?uid=" in rest:
        return caller.unique_id == rest.partition("?uid=")[2] and caller.member.startswith("serviceAccount:")
    if kind == "group":
        return caller.email in store.groups.get(rest, ())
    if kind == "domain":
        return caller.member.startswith("user:") and caller.email.endswith(f"@{rest}")
    if kind == "principalSet":
        return caller.member.startswith("principal:") and member in caller.groups
    return member.lower() == caller.member.lower()
