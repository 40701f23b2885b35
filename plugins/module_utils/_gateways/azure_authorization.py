# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Azure's roles: definitions, assignments, and what the caller may do; for class Azure. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from .._answers import Odd, object_in, objects_in, text_in
from .azure_session import AUTHORIZATION, LOCKS, Answer, Call, Session

_PROVIDER = "{scope}/providers/Microsoft.Authorization"
_ROLES = f"{_PROVIDER}/roleDefinitions"
_ROLE = f"{_ROLES}/{{role}}"
_ASSIGNMENTS = f"{_PROVIDER}/roleAssignments"
_ASSIGNMENT = f"{_ASSIGNMENTS}/{{assignment}}"


def _call(purpose: str, method: str, path: str, action: str, service: str = AUTHORIZATION) -> Call:
    return Call(purpose, method, service, path, (f"{AUTHORIZATION}/{action}",))


LIST_ROLES = _call("list the role definitions at {scope}", "GET", _ROLES, "roleDefinitions/read")
GET_ROLE = _call("read role definition {role} at {scope}", "GET", _ROLE, "roleDefinitions/read")
PUT_ROLE = _call("write role definition {role} at {scope}", "PUT", _ROLE, "roleDefinitions/write")
DELETE_ROLE = _call("delete role definition {role} at {scope}", "DELETE", _ROLE, "roleDefinitions/delete")
LIST_ASSIGNMENTS = _call("list the role assignments at {scope}", "GET", _ASSIGNMENTS, "roleAssignments/read")
GET_ASSIGNMENT = _call("read role assignment {assignment} at {scope}", "GET", _ASSIGNMENT, "roleAssignments/read")
PUT_ASSIGNMENT = _call("write role assignment {assignment} at {scope}", "PUT", _ASSIGNMENT, "roleAssignments/write")
DELETE_ASSIGNMENT = _call(
    "delete role assignment {assignment} at {scope}", "DELETE", _ASSIGNMENT, "roleAssignments/delete"
)
LIST_PERMISSIONS = _call(
    "read the caller's permissions at {scope}", "GET", f"{_PROVIDER}/permissions", "permissions/read"
)
LIST_DENY_ASSIGNMENTS = _call(
    "list the deny assignments at {scope}", "GET", f"{_PROVIDER}/denyAssignments", "denyAssignments/read"
)
LIST_LOCKS = _call("list the locks at {scope}", "GET", f"{_PROVIDER}/locks", "locks/read", LOCKS)
CALLS = (
    LIST_ROLES,
    GET_ROLE,
    PUT_ROLE,
    DELETE_ROLE,
    LIST_ASSIGNMENTS,
    GET_ASSIGNMENT,
    PUT_ASSIGNMENT,
    DELETE_ASSIGNMENT,
    LIST_PERMISSIONS,
    LIST_DENY_ASSIGNMENTS,
    LIST_LOCKS,
)


@dataclass(frozen=True)
class Permission:
    """What one role allows. Azure adds up the roles, but within a role, the second list takes away from the first."""

    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Permission:
        return cls(*(_texts(body, one) for one in ("actions", "notActions", "dataActions", "notDataActions")))

    def allows(self, action: str) -> bool:
        return _matches(self.actions, action) and not _matches(self.not_actions, action)

    def allows_data(self, action: str) -> bool:
        return _matches(self.data_actions, action) and not _matches(self.not_data_actions, action)


def _texts(body: Mapping[str, Any], field: str) -> tuple[str, ...]:
    value = body.get(field) or []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise Odd(f"field {field} is not a list of strings")
    return tuple(value)


def _matches(patterns: Collection[str], action: str) -> bool:
    """A star stands for any number of segments, and Azure does not preserve case."""
    return any(fnmatchcase(action.lower(), pattern.lower().replace("[", "[[]")) for pattern in patterns)


@dataclass(frozen=True)
class RoleDefinition:
    """id: with the scope in front. guid: its last part. custom: whether it is a custom role, not a built-in one."""

    id: str
    guid: str
    name: str
    description: str
    custom: bool
    permissions: tuple[Permission, ...]
    scopes: tuple[str, ...]

    @classmethod
    def parse(cls, body: Answer) -> RoleDefinition:
        properties = object_in(body, "properties")
        return cls(
            text_in(body, "id", 2000),
            text_in(body, "name"),
            text_in(properties, "roleName"),
            text_in(properties, "description", 4000),
            text_in(properties, "type").lower() != "builtinrole",
            tuple(map(Permission.parse, objects_in(properties, "permissions"))),
            _texts(properties, "assignableScopes"),
        )


@dataclass(frozen=True)
class RoleAssignment:
    """name: its GUID. role: the full ID of the definition. principal: the object ID of whoever has the role."""

    name: str
    scope: str
    role: str
    principal: str
    principal_type: str = ""
    description: str = ""
    condition: str = ""

    @property
    def role_guid(self) -> str:
        return self.role.rpartition("/")[2].lower()

    @classmethod
    def parse(cls, body: Answer) -> RoleAssignment:
        properties = object_in(body, "properties")
        return cls(
            text_in(body, "name"),
            text_in(properties, "scope", 2000),
            text_in(properties, "roleDefinitionId", 2000),
            text_in(properties, "principalId"),
            text_in(properties, "principalType"),
            text_in(properties, "description", 4000),
            text_in(properties, "condition", 10_000),
        )


@dataclass(frozen=True)
class DenyAssignment:
    """What is denied to all but the excluded. everybody: whether it applies to all principals."""

    name: str
    permissions: tuple[Permission, ...]
    principals: tuple[str, ...]
    excluded: tuple[str, ...]
    everybody: bool

    @classmethod
    def parse(cls, body: Answer) -> DenyAssignment:
        properties = object_in(body, "properties")
        principals = objects_in(properties, "principals")
        ids = tuple(text_in(one, "id") for one in principals)
        return cls(
            text_in(properties, "denyAssignmentName") or text_in(body, "name"),
            tuple(map(Permission.parse, objects_in(properties, "permissions"))),
            ids,
            tuple(text_in(one, "id") for one in objects_in(properties, "excludePrincipals")),
            any(text_in(one, "type") == "SystemDefined" or set(text_in(one, "id")) <= set("0-") for one in principals),
        )


@dataclass(frozen=True)
class Lock:
    """level: CanNotDelete or ReadOnly; id: with the scope in front."""

    id: str
    name: str
    level: str
    notes: str

    @property
    def scope(self) -> str:
        return self.id.rpartition("/providers/Microsoft.Authorization/")[0]

    @classmethod
    def parse(cls, body: Answer) -> Lock:
        properties = object_in(body, "properties")
        return cls(
            text_in(body, "id", 2000), text_in(body, "name"), text_in(properties, "level"), text_in(properties, "notes")
        )


class Authorization(Session):
    """Role definitions and assignments. scope: /subscriptions/..., without a slash at the end."""

    def find_roles(self, scope: str, name: str) -> tuple[RoleDefinition, ...]:
        """Role definitions with this name that can be assigned at the scope. Others in the tenant cannot be seen."""
        return (
            self.send_all(LIST_ROLES, RoleDefinition.parse, [("$filter", f"roleName eq '{quoted(name)}'")], scope=scope)
            or ()
        )

    def list_custom_roles(self, scope: str) -> tuple[RoleDefinition, ...]:
        return self.send_all(LIST_ROLES, RoleDefinition.parse, [("$filter", "type eq 'CustomRole'")], scope=scope) or ()

    def list_roles_below(self, scope: str) -> tuple[RoleDefinition, ...]:
        """All roles that can be assigned at a scope, or at any scope below it."""
        return self.send_all(LIST_ROLES, RoleDefinition.parse, [("$filter", "atScopeAndBelow()")], scope=scope) or ()

    def get_role(self, scope: str, guid: str) -> RoleDefinition | None:
        found: RoleDefinition | None = self.send(
            GET_ROLE, absent=True, read=RoleDefinition.parse, scope=scope, role=guid
        )
        return found

    def put_role(self, scope: str, guid: str, properties: Mapping[str, Any]) -> RoleDefinition:
        """properties: roleName, description, permissions, assignableScopes. The role is a custom role."""
        body = {"properties": {"type": "CustomRole", **properties}}
        written: RoleDefinition = self.send(PUT_ROLE, body, read=RoleDefinition.parse, scope=scope, role=guid)
        return written

    def delete_role(self, scope: str, guid: str) -> None:
        """Delete the role. If it is already gone, that is a success."""
        self.send(DELETE_ROLE, absent=True, scope=scope, role=guid)

    def list_assignments(self, scope: str, principal: str = "") -> tuple[RoleAssignment, ...]:
        """Assignments at the scope and above it, and for a single principal also below it."""
        chosen = f"principalId eq '{quoted(principal)}'" if principal else "atScope()"
        return self.send_all(LIST_ASSIGNMENTS, RoleAssignment.parse, [("$filter", chosen)], scope=scope) or ()

    def get_assignment(self, scope: str, name: str) -> RoleAssignment | None:
        found: RoleAssignment | None = self.send(
            GET_ASSIGNMENT, absent=True, read=RoleAssignment.parse, scope=scope, assignment=name
        )
        return found

    def put_assignment(self, scope: str, name: str, role: str, principal: str, description: str) -> RoleAssignment:
        """Assign a role to a service principal. role: the full ID of the definition."""
        body = {
            "properties": {
                "roleDefinitionId": role,
                "principalId": principal,
                "principalType": "ServicePrincipal",
                "description": description,
            }
        }
        written: RoleAssignment = self.send(
            PUT_ASSIGNMENT, body, read=RoleAssignment.parse, scope=scope, assignment=name
        )
        return written

    def delete_assignment(self, scope: str, name: str) -> None:
        """Delete the assignment. If it is already gone, that is a success."""
        self.send(DELETE_ASSIGNMENT, absent=True, scope=scope, assignment=name)

    def permissions(self, scope: str) -> tuple[Permission, ...]:
        """What the caller's roles allow at a scope, including inherited ones. Deny assignments and conditions are not
        considered."""
        return self.send_all(LIST_PERMISSIONS, Permission.parse, scope=scope) or ()

    def deny_assignments(self, scope: str) -> tuple[DenyAssignment, ...]:
        return self.send_all(LIST_DENY_ASSIGNMENTS, DenyAssignment.parse, scope=scope) or ()

    def locks(self, scope: str) -> tuple[Lock, ...]:
        """Locks at the scope, above and below it."""
        return self.send_all(LIST_LOCKS, Lock.parse, scope=scope) or ()


def quoted(text: str) -> str:
    """A text in the form that filters need."""
    return text.replace("'", "''")
