# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Custom roles of projects: their permissions, their etags, and the weeks that a deleted one keeps its id."""

from __future__ import annotations

import re
from typing import Any

from .accounts import require_in
from .catalog import PERMISSIONS, PREDEFINED, UNSUPPORTED
from .errors import GoogleError, conflict, invalid
from .store import ROLE_KEPT, Asked, Role, new_etag, same_etag

PER_PROJECT = 300
_ID = re.compile(r"[a-zA-Z0-9_.]{3,64}")
_FIELDS = {
    "title": "title",
    "description": "description",
    "stage": "stage",
    "includedPermissions": "includedPermissions",
    "included_permissions": "includedPermissions",
}


def shown(role: Role) -> dict[str, Any]:
    """The role as shown; the stage is left out if it is ALPHA, the zero value."""
    said = {name: value for name, value in role.said.items() if value and (name, value) != ("stage", "ALPHA")}
    deleted = {"deleted": True} if role.deleted_at is not None else {}
    return {"name": role.name, **said, "etag": role.etag, **deleted}


def find(asked: Asked, permission: str) -> Role:
    require_in(asked, asked.project(), permission)
    name = f"projects/{asked.project().id}/roles/{asked.path['name'].rpartition('/')[2]}"
    role = asked.store.role(name)
    if role is None or (asked.method.endswith(".get") and asked.store.hides("roles", name, asked.method)):
        raise GoogleError("NOT_FOUND", f"The role named {name} was not found.")
    return role


def get(asked: Asked) -> Any:
    return shown(find(asked, "iam.roles.get"))


def get_predefined(asked: Asked) -> Any:
    name = asked.path["name"]
    if name not in PREDEFINED:
        raise GoogleError("NOT_FOUND", f"The role named {name} was not found.")
    return {"name": name, "title": name, "stage": "GA", "etag": "AA==", "includedPermissions": sorted(PREDEFINED[name])}


def list_roles(asked: Asked) -> Any:
    project = asked.project()
    require_in(asked, project, "iam.roles.list")
    full = asked.one("view") == "FULL"
    found = [
        {name: value for name, value in shown(role).items() if full or name != "includedPermissions"}
        for role in asked.store.roles
        if role.name.startswith(f"projects/{project.id}/roles/")
        and (role.deleted_at is None or asked.one("showDeleted") == "true")
        and asked.store.role(role.name)
    ]
    return {"roles": found} if found else {}


def create(asked: Asked) -> Any:
    project, store = asked.project(), asked.store
    require_in(asked, project, "iam.roles.create")
    role_id, said = asked.body.get("roleId", ""), asked.body.get("role", {})
    if not _ID.fullmatch(role_id):
        raise invalid(f"The role_id {role_id} must be 3 to 64 letters, digits, underscores and full stops.")
    if said.get("name"):
        raise invalid("The role name must be empty in a request to create it.")
    name = f"projects/{project.id}/roles/{role_id}"
    store.purge()
    there = next((role for role in store.roles if role.name == name), None)
    if there:
        raise _taken(asked, role_id, there)
    if sum(role.name.startswith(f"projects/{project.id}/") for role in store.roles) >= PER_PROJECT:
        raise GoogleError("RESOURCE_EXHAUSTED", "Maximum number of custom roles reached.")
    role = Role(name, _checked(said), new_etag())
    store.roles.append(role)
    store.note("roles", name)
    return shown(role)


def _taken(asked: Asked, role_id: str, there: Role) -> GoogleError:
    if there.deleted_at is None:
        said = f"A role named {role_id} in {there.name.rpartition('/roles/')[0]} already exists."
        return GoogleError("ALREADY_EXISTS", said)
    if asked.store.clock() < there.deleted_at + ROLE_KEPT:
        said = (
            f"You can't create a role with role_id ({role_id}) where there is an existing role with that role_id in a "
            "deleted state."
        )
        return GoogleError("FAILED_PRECONDITION", said)
    said = f"You can't create a role_id ({role_id}) which has been marked for deletion."
    return GoogleError("FAILED_PRECONDITION", said)


def _checked(said: dict[str, Any]) -> dict[str, Any]:
    for one in said.get("includedPermissions", ()):
        if one not in PERMISSIONS or one in UNSUPPORTED:
            raise invalid(f"Permission {one} is not valid.", ("role.included_permissions", one))
    if len(said.get("title", "").encode()) > 100 or len(said.get("description", "").encode()) > 300:
        raise invalid("A role's title has at most 100 bytes, its description at most 300.")
    return {name: said[name] for name in said if name in _FIELDS}


def patch(asked: Asked) -> Any:
    role = find(asked, "iam.roles.update")
    _check_etag(role, asked.body.get("etag", ""))
    if role.deleted_at is not None:
        raise GoogleError("FAILED_PRECONDITION", f"You can't update role {role.name}: it has been deleted.")
    mask = [one for one in asked.one("updateMask").split(",") if one] or [one for one in asked.body if one in _FIELDS]
    if unknown := set(mask) - set(_FIELDS):
        raise invalid(f"Invalid update mask: {', '.join(sorted(unknown))}")
    checked = _checked(asked.body)
    fields = {_FIELDS[one] for one in mask}
    role.said = {
        **{name: value for name, value in role.said.items() if name not in fields},
        **{name: value for name, value in checked.items() if name in fields},
    }
    role.etag = new_etag()
    return shown(role)


def _check_etag(role: Role, etag: str) -> None:
    if etag and not same_etag(etag, role.etag):
        raise conflict(etag, role.etag)


def delete(asked: Asked) -> Any:
    role = find(asked, "iam.roles.delete")
    _check_etag(role, asked.one("etag"))
    if role.deleted_at is not None:
        raise GoogleError("FAILED_PRECONDITION", f"You can't delete role {role.name}: it has been deleted already.")
    role.deleted_at, role.etag = asked.store.clock(), new_etag()
    return shown(role)


def undelete(asked: Asked) -> Any:
    role = find(asked, "iam.roles.undelete")
    _check_etag(role, asked.body.get("etag", ""))
    if role.deleted_at is None:
        raise GoogleError("FAILED_PRECONDITION", f"You can't undelete role {role.name}: it is not deleted.")
    role.deleted_at, role.etag = None, new_etag()
    return shown(role)


def testable(asked: Asked) -> Any:
    """The permissions that a custom role may contain for the resource in the body."""
    size, start = asked.body.get("pageSize") or 1000, int(asked.body.get("pageToken") or 0)
    names = sorted(PERMISSIONS)
    found = [
        {
            "name": name,
            "stage": "GA",
            **({"customRolesSupportLevel": "NOT_SUPPORTED"} if name in UNSUPPORTED else {}),
        }
        for name in names[start : start + size]
    ]
    more = {"nextPageToken": str(start + size)} if start + size < len(names) else {}
    return {"permissions": found, **more}


HANDLERS = {
    "iam.roles.get": get_predefined,
    "iam.projects.roles.get": get,
    "iam.projects.roles.list": list_roles,
    "iam.projects.roles.create": create,
    "iam.projects.roles.patch": patch,
    "iam.projects.roles.delete": delete,
    "iam.projects.roles.undelete": undelete,
    "iam.permissions.queryTestablePermissions": testable,
}
