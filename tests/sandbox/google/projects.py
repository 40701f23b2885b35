# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Resource Manager's projects: number, policy, the caller's permissions, effective organization policies; v1 and
v3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import policies
from .access import held, project_resource
from .accounts import checked
from .errors import GoogleError, denied, invalid
from .policies import triples
from .store import Asked, Project, as_time

_GRANTS = "iam.googleapis.com/modifiedGrantsByRole"


def _require(asked: Asked, permission: str, more: Mapping[str, Any] | None = None, service: str = "") -> Project:
    """The project in the path. One that does not exist is forbidden, too."""
    try:
        project = asked.project()
    except GoogleError:
        raise denied("cloudresourcemanager", permission, "") from None
    resource = project_resource(asked.store, project)
    if not held(asked.store, asked.caller, resource, (permission,), more):
        raise denied(service or "cloudresourcemanager", permission, f"projects/{project.id}")
    return project


def get(asked: Asked) -> Any:
    project = _require(asked, "resourcemanager.projects.get")
    parent = project.organization
    if asked.version == "v1":
        found = {"type": "organization", "id": parent}
        return {
            "projectNumber": project.number,
            "projectId": project.id,
            "lifecycleState": "DELETE_REQUESTED" if project.going else "ACTIVE",
            "name": project.id,
            "createTime": as_time(1704067200),
            **({"parent": found} if parent else {}),
        }
    return {
        "name": f"projects/{project.number}",
        "projectId": project.id,
        "state": "DELETE_REQUESTED" if project.going else "ACTIVE",
        "displayName": project.id,
        "createTime": as_time(1704067200),
        "etag": 'W/"6c5f3b0e"',
        **({"parent": f"organizations/{parent}"} if parent else {}),
    }


def get_policy(asked: Asked) -> Any:
    project = _require(asked, "resourcemanager.projects.getIamPolicy")
    version = asked.body.get("options", {}).get("requestedPolicyVersion", 0)
    return policies.read(asked.store, project.policy, version)


def set_policy(asked: Asked) -> Any:
    """Check a condition on which roles the caller may grant, by the roles whose members change."""
    sent = asked.body.get("policy", {})
    try:
        before = set(triples(policies.read(asked.store, asked.project().policy, 3).get("bindings", ())))
    except GoogleError:
        before = set()
    after = set(triples(binding for binding in sent.get("bindings", ()) if "role" in binding))
    changed = sorted({role for role, _condition, _member in before ^ after})
    project = _require(asked, "resourcemanager.projects.setIamPolicy", {_GRANTS: changed})
    policies.write(asked.store, project.policy, project, sent, asked.body.get("updateMask", ""), asked.method)
    return policies.read(asked.store, project.policy, 3)


def test_permissions(asked: Asked) -> Any:
    """Asking needs no permission. In a project that does not exist, nobody has any."""
    wanted = checked(asked.body.get("permissions", []))
    try:
        resource = project_resource(asked.store, asked.project())
    except GoogleError:
        raise denied("cloudresourcemanager", "", "") from None
    has = held(asked.store, asked.caller, resource, wanted)
    return {"permissions": [one for one in wanted if one in has]} if has else {}


def effective_v1(asked: Asked) -> Any:
    """Only v2 has the managed constraints."""
    project = _require(asked, "orgpolicy.policy.get")
    constraint = asked.body.get("constraint", "")
    if not constraint.startswith("constraints/") or ".managed." in constraint:
        raise invalid(f"Constraint {constraint} is not known.")
    value = project.constraints.get(constraint)
    if isinstance(value, dict):
        return {"constraint": constraint, "listPolicy": _listed(value)}
    return {"constraint": constraint, "booleanPolicy": {"enforced": True} if value else {}}


def _listed(value: Mapping[str, Any]) -> dict[str, Any]:
    if not value.get("allowed") and not value.get("denied"):
        return {"allValues": "DENY" if "denied" in value else "ALLOW"}
    return {f"{kind}Values": list(value[kind]) for kind in ("allowed", "denied") if value.get(kind)}


def effective_v2(asked: Asked) -> Any:
    project = _require(asked, "orgpolicy.policy.get", service="orgpolicy")
    name = asked.path["name"].rpartition("/")[2]
    value = project.constraints.get(f"constraints/{name}")
    rule: dict[str, Any] = {"enforce": bool(value)}
    if isinstance(value, dict):
        listed = _listed(value)
        rule = {"values": listed} if "allValues" not in listed else {f"{listed['allValues'].lower()}All": True}
    return {"name": f"projects/{project.number}/policies/{name}", "spec": {"rules": [rule]}}


HANDLERS = {
    "cloudresourcemanager.projects.get": get,
    "cloudresourcemanager.projects.getIamPolicy": get_policy,
    "cloudresourcemanager.projects.setIamPolicy": set_policy,
    "cloudresourcemanager.projects.testIamPermissions": test_permissions,
    "cloudresourcemanager.projects.getEffectiveOrgPolicy": effective_v1,
    "orgpolicy.projects.policies.getEffectivePolicy": effective_v2,
}
