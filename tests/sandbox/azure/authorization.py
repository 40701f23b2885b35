# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Microsoft.Authorization: role definitions and assignments, the caller's permissions, deny assignments, locks."""

from __future__ import annotations

import copy
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from . import access
from .arm import SCOPE, Asked, Route, missing, route
from .catalog import BUILT_IN, permissions
from .errors import AzureError, Defect, linked_denied, no_group, principal_not_found, quoted
from .store import NAMESPACES, Assignment, Definition, Store, as_exact_time, within

PER_SUBSCRIPTION, NAME_LENGTH = 4000, 512
_KIND = "Microsoft.Authorization"
_ACTION = re.compile(r"(\*|[A-Za-z]+\.[A-Za-z.]+)/?[A-Za-z0-9*/._-]*")
_PERMISSION = ("actions", "notActions", "dataActions", "notDataActions")


def seed(store: Store) -> None:
    """The built-in roles."""
    for name, role in BUILT_IN.items():
        said = {
            "roleName": role.name,
            "type": "BuiltInRole",
            "description": role.name,
            "assignableScopes": ["/"],
            "permissions": list(permissions(role)),
            "createdOn": "2015-02-02T21:55:09.8806423Z",
            "updatedOn": "2023-07-10T15:10:53.1771147Z",
            "createdBy": None,
            "updatedBy": None,
        }
        store.definitions[name] = Definition(name, said)


# Role definitions


def _definition_id(scope: str, name: str) -> str:
    parts = scope.split("/")
    start = "/".join(parts[:3]) if len(parts) > 2 else ""
    return f"{start}/providers/Microsoft.Authorization/roleDefinitions/{name}"


def _shown(asked: Asked, one: Definition) -> dict[str, Any]:
    stale = one.before is not None and asked.store.hides("role_texts", one.name, asked.action)
    return {
        "properties": one.before if stale else one.said,
        "id": _definition_id(asked.scope, one.name),
        "type": "Microsoft.Authorization/roleDefinitions",
        "name": one.name,
    }


def _of_tenant(asked: Asked) -> Iterable[Definition]:
    tenant = _tenant(asked)
    return [one for one in asked.store.definitions.values() if not one.custom or one.tenant == tenant]


def _tenant(asked: Asked) -> str:
    parts = asked.scope.split("/")
    return asked.store.subscriptions[parts[2].lower()].tenant if len(parts) > 2 else asked.caller.tenant


def list_definitions(asked: Asked) -> Any:
    """List custom roles only where they can be assigned, or also below with `atScopeAndBelow()`."""
    asked.require(scope=asked.scope)
    text = asked.query.get("$filter", "")
    below = "atScopeAndBelow()" in text
    found = [
        one
        for one in _of_tenant(asked)
        if any(
            scope == "/" or within(asked.scope, scope) or (below and within(scope, asked.scope))
            for scope in one.said["assignableScopes"]
        )
        and not asked.store.hides("roles", one.name, f"list {asked.action}")
    ]
    for clause in filter(None, re.split(r"\s+and\s+", text)):
        match = re.fullmatch(r"(roleName|type) eq '([^']*)'", clause.strip(), re.IGNORECASE)
        if match is None and clause.strip() not in ("atScopeAndBelow()", "atScope()"):
            raise Defect(AzureError(400, "InvalidFilter", f"The filter '{text}' is not supported."))
        if match:
            name = "roleName" if match[1].lower() == "rolename" else "type"
            found = [one for one in found if one.said[name].lower() == match[2].lower()]
    return {"value": [_shown(asked, one) for one in found]}


def get_definition(asked: Asked) -> Any:
    asked.require(scope=asked.scope)
    return _shown(asked, _definition(asked, asked.path["name"]))


def _definition(asked: Asked, name: str) -> Definition:
    found = asked.store.definitions.get(name.lower())
    if found is None or (found.custom and found.tenant != _tenant(asked)) or _too_new(asked, found):
        raise AzureError(404, "RoleDefinitionDoesNotExist", quoted("RoleDefinitionDoesNotExist", name=name))
    return found


def _too_new(asked: Asked, one: Definition) -> bool:
    return asked.store.hides("roles", one.name, asked.action)


def _no_role(name: str) -> str:
    return quoted("RoleDefinitionDoesNotExist", name=name.replace("-", ""))


def put_definition(asked: Asked) -> Any:
    """The caller needs the permission at every scope, including the scopes that are removed."""
    given = asked.properties(roleName=str, description=str, type=str, permissions=list, assignableScopes=list)
    store, name = asked.store, _guid(asked.path["name"], "roleDefinitions")
    there = store.definitions.get(name)
    if there and not there.custom:
        raise AzureError(400, "RoleDefinitionIsBuiltIn", "A built-in role cannot be changed.")
    for required in ("roleName", "permissions", "assignableScopes"):
        if not given.get(required):
            raise missing(required)
    if given.get("type", "CustomRole") != "CustomRole":
        raise AzureError(400, "InvalidRoleDefinitionType", "The type of a role definition must be CustomRole.")
    scopes = [*given["assignableScopes"], *(there.said["assignableScopes"] if there else ())]
    asked.require(scope=asked.scope)
    for scope in scopes:
        if not access.held(store, asked.caller, asked.action, scope):
            raise linked_denied(asked.caller.id, asked.action, asked.scope, scope)
        asked.check_write("PUT", scope)
    if not any(within(asked.scope, scope) for scope in given["assignableScopes"]):
        said = f"The scope '{asked.scope}' is not one of the assignable scopes of the role definition."
        raise AzureError(400, "InvalidRoleDefinitionScope", said)
    _check_content(given)
    tenant = _tenant(asked)
    for one in store.definitions.values():
        same = one.said["roleName"].lower() == given["roleName"].lower() and one.name != name
        if same and (not one.custom or one.tenant == tenant):
            raise AzureError(409, "RoleDefinitionWithSameNameExists", quoted("RoleDefinitionWithSameNameExists"))
    _check_narrowing(store, there, given["assignableScopes"])
    now = as_exact_time(store.clock())
    shown = {
        "roleName": given["roleName"],
        "type": "CustomRole",
        "description": given.get("description", ""),
        "assignableScopes": list(given["assignableScopes"]),
        "permissions": [{kind: one.get(kind) or [] for kind in _PERMISSION} for one in given["permissions"]],
        "createdOn": there.said["createdOn"] if there else now,
        "updatedOn": now,
        "createdBy": there.said["createdBy"] if there else asked.caller.id,
        "updatedBy": asked.caller.id,
    }
    store.definitions[name] = Definition(name, shown, tenant, copy.deepcopy(there.said) if there else None)
    store.note("role_texts" if there else "roles", name)
    return 201, {
        "properties": shown,
        "id": _definition_id(asked.scope, name),
        "type": "Microsoft.Authorization/roleDefinitions",
        "name": name,
    }


def _guid(text: str, kind: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        said = f"The name '{text}' of {kind} is no GUID."
        raise AzureError(400, "InvalidCreateRoleAssignmentRequest", said) from None


def _check_content(given: Mapping[str, Any]) -> None:
    if len(given["roleName"]) > NAME_LENGTH or len(given.get("description", "")) > 2048:
        raise AzureError(400, "RoleDefinitionNameTooLong", "The name or description of the role is too long.")
    for entry in given["permissions"]:
        unknown = set(entry) - {*_PERMISSION, "condition", "conditionVersion"}
        if unknown:
            raise Defect(AzureError(400, "InvalidRequestContent", f"Could not find member '{sorted(unknown)[0]}'."))
        for kind in ("actions", "notActions"):
            for action in entry.get(kind) or ():
                namespace = action.partition("/")[0]
                if not _ACTION.fullmatch(action) or namespace.lower() not in _KNOWN:
                    said = f"'{action}' does not match any of the actions supported by the providers."
                    raise AzureError(400, "InvalidActionOrNotAction", said)


_KNOWN = {"*", "microsoft.support", "microsoft.insights", *(one.lower() for one in NAMESPACES)}


def _check_narrowing(store: Store, there: Definition | None, scopes: Iterable[str]) -> None:
    """A scope cannot be removed while the role is assigned in it."""
    for one in store.assignments if there else ():
        held_here = there and one.said["roleDefinitionId"].lower().endswith(f"/{there.name}")
        if held_here and not any(within(one.scope, scope) for scope in scopes):
            said = "There are existing role assignments in the scope that is being removed from the role definition."
            raise AzureError(400, "RoleScopeBeingRemovedContainsAssignments", said)


def delete_definition(asked: Asked) -> Any:
    """An assignment deleted a moment ago may still block the deletion."""
    store, name = asked.store, asked.path["name"].lower()
    asked.require(scope=asked.scope)
    found = store.definitions.get(name)
    if found is None or found.tenant != _tenant(asked):
        return 204, None
    for scope in found.said["assignableScopes"]:
        if not access.held(store, asked.caller, asked.action, scope):
            raise linked_denied(asked.caller.id, asked.action, asked.scope, scope)
        asked.check_write("DELETE", scope)
    used = any(one.said["roleDefinitionId"].lower().endswith(f"/{name}") for one in store.assignments)
    if used or store.hides("assignments", name, asked.action):
        raise AzureError(400, "RoleDefinitionHasAssignments", quoted("RoleDefinitionHasAssignments"))
    del store.definitions[name]
    return {
        "properties": found.said,
        "id": _definition_id(asked.scope, name),
        "type": "Microsoft.Authorization/roleDefinitions",
        "name": name,
    }


# Role assignments


def _assignment_shown(one: Assignment) -> dict[str, Any]:
    return {
        "properties": {**one.said, "scope": one.scope},
        "id": one.id,
        "type": "Microsoft.Authorization/roleAssignments",
        "name": one.name,
    }


def list_assignments(asked: Asked) -> Any:
    """List assignments at and above the scope, and below it unless `atScope()` is given."""
    asked.require(scope=asked.scope)
    text = asked.query.get("$filter", "")
    scope = asked.scope
    found = [one for one in asked.store.assignments if within(scope, one.scope) or within(one.scope, scope)]
    found = [one for one in found if not asked.store.hides("assignments_list", one.name, asked.action)]
    for clause in filter(None, re.split(r"\s+and\s+", text)):
        match = re.fullmatch(r"(?:principalId eq |assignedTo\()\s*'([^']*)'\)?", clause.strip())
        if match:
            who = {match[1].lower(), *(asked.store.members(match[1].lower()) if "assignedTo" in clause else ())}
            found = [one for one in found if one.said["principalId"] in who]
        elif clause.strip() == "atScope()":
            found = [one for one in found if within(scope, one.scope)]
        else:
            raise Defect(AzureError(400, "InvalidFilter", f"The filter '{text}' is not supported."))
    size, start = int(asked.store.behavior.get("page", 1000)), int(asked.query.get("$skipToken", 0))
    answer: dict[str, Any] = {"value": [_assignment_shown(one) for one in found[start : start + size]]}
    if start + size < len(found):
        base = f"https://management.azure.com{'' if scope == '/' else scope}/providers/Microsoft.Authorization"
        following = f"api-version={asked.version}&$filter={text}&$skipToken={start + size}"
        answer["nextLink"] = f"{base}/roleAssignments?{following}"
    return answer


def get_assignment(asked: Asked) -> Any:
    asked.require(scope=asked.scope)
    found = _assignment(asked)
    if found is None or asked.store.hides("assignments_list", found.name, f"get {asked.action}"):
        said = f"The role assignment '{asked.path['name']}' is not found."
        raise AzureError(404, "RoleAssignmentNotFound", said)
    return _assignment_shown(found)


def _assignment(asked: Asked) -> Assignment | None:
    name, scope = asked.path["name"].lower(), asked.scope.lower()
    return next((one for one in asked.store.assignments if (one.name, one.scope.lower()) == (name, scope)), None)


def put_assignment(asked: Asked) -> Any:
    given = asked.properties(
        roleDefinitionId=str,
        principalId=str,
        principalType=str,
        description=str,
        condition=str,
        conditionVersion=str,
        delegatedManagedIdentityResourceId=str,
    )
    store, scope, name = asked.store, asked.scope, _guid(asked.path["name"], "roleAssignments")
    for required in ("roleDefinitionId", "principalId"):
        if not given.get(required):
            raise missing(required)
    role = given["roleDefinitionId"].rpartition("/")[2].lower()
    asked.require(scope=scope, role=role)
    asked.check_write("PUT", scope)
    there = next((one for one in store.assignments if one.name == name), None)
    principal = given["principalId"].lower()
    if there:
        same = there.scope.lower() == scope.lower() and there.said["principalId"] == principal
        if not same or there.said["roleDefinitionId"].rpartition("/")[2].lower() != role:
            raise AzureError(400, "RoleAssignmentUpdateNotPermitted", quoted("RoleAssignmentUpdateNotPermitted"))
    _check_role(asked, role)
    _check_principal(asked, principal, given.get("principalType", ""))
    for one in store.assignments:
        held_already = (one.scope.lower(), one.said["principalId"]) == (scope.lower(), principal)
        if one is not there and held_already and one.said["roleDefinitionId"].rpartition("/")[2].lower() == role:
            other = one.name.replace("-", "")
            said = f"The role assignment already exists. The ID of the existing role assignment is {other}."
            raise AzureError(409, "RoleAssignmentExists", said)
    subscription = "/".join(scope.split("/")[:3])
    if there is None and sum(within(one.scope, subscription) for one in store.assignments) >= PER_SUBSCRIPTION:
        said = "No more role assignments can be created. The limit has been reached."
        raise AzureError(400, "RoleAssignmentLimitExceeded", said)
    now = as_exact_time(store.clock())
    shown = {
        "roleDefinitionId": given["roleDefinitionId"],
        "principalId": principal,
        "principalType": given.get("principalType", "ServicePrincipal"),
        "condition": given.get("condition"),
        "conditionVersion": given.get("conditionVersion"),
        "createdOn": there.said["createdOn"] if there else now,
        "updatedOn": now,
        "createdBy": asked.caller.id,
        "updatedBy": asked.caller.id,
        "delegatedManagedIdentityResourceId": given.get("delegatedManagedIdentityResourceId"),
        "description": given.get("description"),
    }
    if there:
        there.said = shown
        return 200, _assignment_shown(there)
    made = Assignment(scope, name, shown, store.clock())
    store.assignments.append(made)
    store.note("assignments_list", name)
    answer = _assignment_shown(made)
    answer["properties"]["createdBy"] = None  # as recorded; reads have it
    return 201, answer


def _check_role(asked: Asked, role: str) -> None:
    found = asked.store.definitions.get(role)
    unseen = found is not None and ((found.custom and found.tenant != _tenant(asked)) or _too_new(asked, found))
    if found is None or unseen:
        raise AzureError(400, "RoleDefinitionDoesNotExist", _no_role(role))
    if not any(scope == "/" or within(asked.scope, scope) for scope in found.said["assignableScopes"]):
        said = f"The role definition '{role}' cannot be assigned at the scope '{asked.scope}'."
        raise AzureError(400, "RoleAssignmentScopeNotAssignableToRoleDefinition", said)


def _check_principal(asked: Asked, principal: str, kind: str) -> None:
    """Whether the principal is visible here yet. It is sooner if the request states its type."""
    store, tenant = asked.store, _tenant(asked)
    user = store.users.get(principal)
    known = user is not None or principal in store.groups or store.directory.principal(tenant, principal) is not None
    if not known or store.hides("principals", principal, asked.action):
        raise principal_not_found(principal, tenant)
    if not kind and store.hides("untyped_principals", principal, asked.action):
        raise principal_not_found(principal, tenant)
    is_kind = "User" if user else "Group" if principal in store.groups else "ServicePrincipal"
    if kind and kind != is_kind:
        said = (
            f"The PrincipalId '{principal.replace('-', '')}' has type '{is_kind}' , which is different from specified "
            f"PrinciaplType '{kind}'."
        )
        raise AzureError(400, "UnmatchedPrincipalType", said)


def delete_assignment(asked: Asked) -> Any:
    found = _assignment(asked)
    role = found.said["roleDefinitionId"].rpartition("/")[2].lower() if found else ""
    asked.require(scope=asked.scope)
    asked.check_write("DELETE", asked.scope)
    if found is None:
        return 204, None
    asked.store.assignments.remove(found)
    asked.store.note("assignments", role)
    return _assignment_shown(found)


# What the caller may, deny assignments, locks


def list_permissions(asked: Asked) -> Any:
    """Return one entry for each role of the caller, inherited ones included. Conditions and deny assignments do not
    show."""
    if asked.store.behavior.get("no_subscription_permissions") and asked.scope.count("/") == 2:
        raise AzureError(404, "NotFound", "The resource cannot be found.")
    asked.require(scope=asked.scope)
    found = access.permissions(asked.store, asked.caller, asked.scope)
    return {"value": [{kind: list(entry.get(kind) or ()) for kind in _PERMISSION} for _one, entry in found]}


def list_denials(asked: Asked) -> Any:
    asked.require(scope=asked.scope)
    text, scope = asked.query.get("$filter", ""), asked.scope
    if text not in ("", "atScope()"):
        raise Defect(AzureError(400, "InvalidFilter", f"The filter '{text}' is not supported."))
    found = [one for one in asked.store.denials if within(scope, one["properties"]["scope"])]
    if not text:
        found += [one for one in asked.store.denials if one not in found and within(one["properties"]["scope"], scope)]
    return {"value": found}


def list_locks(asked: Asked) -> Any:
    """List locks at, above and below the scope."""
    asked.require(scope=asked.scope)
    if asked.query.get("$filter", "") not in ("", "atScope()"):
        raise Defect(AzureError(400, "InvalidFilter", "The filter is not supported."))
    found = []
    for one in asked.store.locks:
        scope = one["id"].partition("/providers/Microsoft.Authorization/locks/")[0]
        below = within(scope, asked.scope) and not asked.query.get("$filter")
        if within(asked.scope, scope) or below:
            found.append(one)
    return {"value": found}


def _somewhere(handle: Any) -> Any:
    """Check that the resource group of the scope exists, if it has one."""

    def handled(asked: Asked) -> Any:
        parts = asked.scope.split("/")
        if len(parts) > 4 and "/".join(parts[:5]).lower() not in asked.store.resource_groups:
            asked.require(scope=asked.scope)
            raise no_group(parts[4])
        return handle(asked)

    return handled


def _each(kind: str, *more: tuple[str, str, str, Any]) -> list[Route]:
    start = rf"{SCOPE}/providers/{re.escape(_KIND)}/{kind}"
    return [
        route(
            method,
            f"{start}{path}",
            f"{_KIND}/{kind}",
            verb,
            _somewhere(handle),
            *(("$filter", "$skipToken") if not path else ()),
        )
        for method, path, verb, handle in more
    ]


_ONE = "/(?P<name>[^/]+)"
ROUTES: tuple[Route, ...] = (
    *_each(
        "roleDefinitions",
        ("GET", "", "read", list_definitions),
        ("GET", _ONE, "read", get_definition),
        ("PUT", _ONE, "write", put_definition),
        ("DELETE", _ONE, "delete", delete_definition),
    ),
    *_each(
        "roleAssignments",
        ("GET", "", "read", list_assignments),
        ("GET", _ONE, "read", get_assignment),
        ("PUT", _ONE, "write", put_assignment),
        ("DELETE", _ONE, "delete", delete_assignment),
    ),
    *_each("permissions", ("GET", "", "read", list_permissions)),
    *_each("denyAssignments", ("GET", "", "read", list_denials)),
    *_each("locks", ("GET", "", "read", list_locks)),
)
