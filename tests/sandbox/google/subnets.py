# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compute Engine's subnetworks, as far as a Shared VPC needs them: their policies."""

from __future__ import annotations

from typing import Any

from . import policies
from .access import Resource, held, project_resource, require
from .accounts import checked
from .errors import GoogleError
from .store import Asked, Policy, Project, Store


def name_of(project: str, region: str, subnet: str) -> str:
    return f"projects/{project}/regions/{region}/subnetworks/{subnet}"


def resource(store: Store, project: Project, name: str) -> Resource:
    host = "compute.googleapis.com"
    above = project_resource(store, project).policies
    return Resource(name, f"{host}/Subnetwork", host, (store.subnets[name], *above))


def _find(asked: Asked, permission: str, parameter: str = "resource") -> tuple[Project, str, Policy]:
    project, store = asked.project(), asked.store
    name = name_of(project.id, asked.path["region"], asked.path[parameter])
    if name not in store.subnets:
        raise GoogleError("NOT_FOUND", f"The resource '{name}' was not found")
    if permission:
        require(store, asked.caller, resource(store, project, name), permission, name, "compute")
    return project, name, store.subnets[name]


def get(asked: Asked) -> Any:
    _project, name, _policy = _find(asked, "compute.subnetworks.get", "subnetwork")
    root = "https://www.googleapis.com/compute/v1/"
    return {
        "kind": "compute#subnetwork",
        "name": asked.path["subnetwork"],
        "selfLink": f"{root}{name}",
        "region": f"{root}{name.partition('/subnetworks/')[0]}",
        "ipCidrRange": "10.132.0.0/20",
    }


def get_policy(asked: Asked) -> Any:
    policy = _find(asked, "compute.subnetworks.getIamPolicy")[2]
    return policies.read(asked.store, policy, int(asked.one("optionsRequestedPolicyVersion", "0")))


def set_policy(asked: Asked) -> Any:
    project, _name, policy = _find(asked, "compute.subnetworks.setIamPolicy")
    policies.write(asked.store, policy, project, asked.body.get("policy", {}), "", asked.method)
    return policies.read(asked.store, policy, 3)


def test_permissions(asked: Asked) -> Any:
    project, name, _policy = _find(asked, "")
    wanted = checked(asked.body.get("permissions", []))
    has = held(asked.store, asked.caller, resource(asked.store, project, name), wanted)
    return {"permissions": [one for one in wanted if one in has]} if has else {}


HANDLERS = {
    "compute.subnetworks.get": get,
    "compute.subnetworks.getIamPolicy": get_policy,
    "compute.subnetworks.setIamPolicy": set_policy,
    "compute.subnetworks.testIamPermissions": test_permissions,
}
