# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what: role assignments of a scope and the scopes above it, deny assignments, conditions, locks,
policies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .errors import denied, denied_by_assignment, disallowed, locked
from .store import Assignment, Principal, Store, within

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
ASSIGN = "Microsoft.Authorization/roleAssignments/write"


def of(store: Store, caller: Principal, scope: str) -> Iterator[Assignment]:
    """The role assignments in effect for a principal at a scope, inherited ones included."""
    who = {caller.id, *store.members(caller.id), *caller.groups}
    for one in store.assignments:
        seen = store.clock() - float(store.behavior.get("grants_after", 0.0))
        if one.said["principalId"] in who and within(scope, one.scope) and one.since <= seen:
            yield one


def permissions(store: Store, caller: Principal, scope: str) -> Iterator[tuple[Assignment, Mapping[str, Any]]]:
    """Each permission entry of each role that a principal has at a scope."""
    for one in of(store, caller, scope):
        found = store.definitions.get(one.said["roleDefinitionId"].rpartition("/")[2].lower())
        if found:
            yield from ((one, entry) for entry in found.said["permissions"])


def matches(action: str, patterns: Iterable[str]) -> bool:
    return any(re.fullmatch(re.escape(one).replace(r"\*", ".*"), action, re.IGNORECASE | re.DOTALL) for one in patterns)


def _allows(entry: Mapping[str, Any], action: str, data: bool) -> bool:
    kind = "dataActions" if data else "actions"
    other = "notDataActions" if data else "notActions"
    return matches(action, entry.get(kind) or ()) and not matches(action, entry.get(other) or ())


def held(store: Store, caller: Principal, action: str, scope: str, data: bool = False, role: str = "") -> bool:
    """role: the role to be assigned, which a condition may forbid."""
    for assignment, entry in permissions(store, caller, scope):
        if _allows(entry, action, data) and _meets(assignment.said.get("condition"), action, role):
            return denial(store, caller, action, scope, data) is None
    return False


def _meets(condition: str | None, action: str, role: str) -> bool:
    """Decide the only form of condition in use here: which roles may be assigned."""
    if not condition or action.lower() != ASSIGN.lower():
        return True
    return role.lower() in {one.lower() for one in _GUID.findall(condition)}


def denial(store: Store, caller: Principal, action: str, scope: str, data: bool = False) -> Mapping[str, Any] | None:
    """The deny assignment that forbids the action, or None."""
    for one in store.denials:
        said = one["properties"]
        excluded = {each["id"] for each in said["excludePrincipals"]}
        if not within(scope, said["scope"]) or caller.id in excluded:
            continue
        if any(_allows(entry, action, data) for entry in said["permissions"]):
            return one
    return None


def require(store: Store, caller: Principal, action: str, scope: str, role: str = "") -> None:
    """Raises AzureError."""
    if held(store, caller, action, scope, role=role):
        return
    forbidden = denial(store, caller, action, scope)
    if forbidden and any(_allows(entry, action, False) for _one, entry in permissions(store, caller, scope)):
        raise denied_by_assignment(
            caller.id, action, scope, forbidden["properties"]["denyAssignmentName"], forbidden["id"]
        )
    raise denied(caller.id, action, scope)


def check_locks(store: Store, method: str, scope: str) -> None:
    """Raises AzureError."""
    verb = "delete" if method == "DELETE" else "write"
    for one in store.locks:
        above = one["id"].partition("/providers/Microsoft.Authorization/locks/")[0]
        level = one["properties"]["level"]
        if within(scope, above) and (level == "ReadOnly" or verb == "delete"):
            raise locked(scope, verb, above)


def apply_policies(store: Store, kind: str, identity: str, body: dict[str, Any]) -> dict[str, Any]:
    """The body after policies of effect modify. Raises AzureError if a policy denies it."""
    for policy in store.policies:
        if not within(identity, policy["scope"]) or not re.fullmatch(policy["kind"], kind, re.IGNORECASE):
            continue
        missing = [name for name in policy.get("tags", {}) if name not in (body.get("tags") or {})]
        if policy["effect"] == "modify":
            body = {**body, "tags": {**(body.get("tags") or {}), **policy["tags"]}}
        elif missing or not policy.get("tags"):
            raise disallowed(identity.rpartition("/")[2], policy["name"], policy["scope"])
    return body


def seen_by(store: Store, caller: Principal, action: str, identities: Iterable[str], scope: str) -> list[str]:
    """The items of a list that the caller may read. Raises AzureError if there are none and the caller has no access to
    the scope."""
    found = [one for one in identities if held(store, caller, action, one)]
    if not found and not held(store, caller, action, scope) and not any_at_or_below(store, caller, scope):
        raise denied(caller.id, action, scope)
    return found


def any_at_or_below(store: Store, caller: Principal, scope: str) -> bool:
    """Whether the caller has any role in the scope."""
    who = {caller.id, *store.members(caller.id), *caller.groups}
    return any(one.said["principalId"] in who and within(one.scope, scope) for one in store.assignments)
