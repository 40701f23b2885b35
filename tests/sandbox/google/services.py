# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Service Usage: which APIs a project has enabled, and enabling more, which takes a while."""

from __future__ import annotations

import secrets
from typing import Any

from .access import project_resource, require
from .catalog import TITLES
from .errors import GoogleError, constrained, invalid, precondition
from .store import Asked, Enabling, Project, Store

PER_BATCH = 20
TAKES = 0.5  # seconds until an operation is done; ours
_RESPONSE = "type.googleapis.com/google.api.serviceusage.v1."
_RESTRICTED = "constraints/gcp.restrictServiceUsage"


def _require(asked: Asked, permission: str) -> Project:
    project = asked.project()
    resource = project_resource(asked.store, project)
    require(asked.store, asked.caller, resource, permission, f"projects/{project.number}", "serviceusage")
    return project


def _service(asked: Asked, project: Project, host: str) -> dict[str, Any]:
    if host not in TITLES and host not in project.services:
        raise _unknown(host)
    return {
        "name": f"projects/{project.number}/services/{host}",
        "parent": f"projects/{project.number}",
        "config": {"name": host, "title": TITLES.get(host, host)},
        "state": "ENABLED" if host in project.services else "DISABLED",
    }


def _unknown(host: str) -> GoogleError:
    violation = {"type": "googleapis.com", "subject": host, "description": "not found or permission denied"}
    said = f"Not found or permission denied for service(s): {host}."
    return GoogleError("PERMISSION_DENIED", said, precondition(violation))


def get(asked: Asked) -> Any:
    return _service(asked, _require(asked, "serviceusage.services.get"), asked.path["name"].rpartition("/")[2])


def batch_get(asked: Asked) -> Any:
    project = _require(asked, "serviceusage.services.get")
    names = asked.query.get("names", [])
    if not names or len(names) > 30:
        raise invalid("Between 1 and 30 services can be got in a call.")
    for name in names:
        parent = name.partition("/services/")[0]
        if parent not in (f"projects/{project.id}", f"projects/{project.number}"):
            raise invalid(f"{name} is not a service of {asked.path['parent']}.")
    return {"services": [_service(asked, project, name.rpartition("/")[2]) for name in names]}


def list_services(asked: Asked) -> Any:
    project = _require(asked, "serviceusage.services.list")
    wanted = asked.one("filter").removeprefix("state:")
    found = [_service(asked, project, host) for host in sorted({*TITLES, *project.services})]
    return {"services": [one for one in found if not wanted or one["state"] == wanted]}


def batch_enable(asked: Asked) -> Any:
    project = _require(asked, "serviceusage.services.enable")
    hosts = asked.body.get("serviceIds", [])
    if not hosts or len(hosts) > PER_BATCH:
        raise invalid(f"Between 1 and {PER_BATCH} services can be enabled in a call.")
    return _enable(asked, project, hosts, "BatchEnableServicesResponse")


def enable(asked: Asked) -> Any:
    project = _require(asked, "serviceusage.services.enable")
    return _enable(asked, project, [asked.path["name"].rpartition("/")[2]], "EnableServiceResponse")


def _enable(asked: Asked, project: Project, hosts: list[str], kind: str) -> Any:
    store, subject = asked.store, f"projects/{project.number}"
    resource = project_resource(store, project)
    require(store, asked.caller, resource, "servicemanagement.services.bind", subject, "serviceusage")
    for host in hosts:
        if host not in TITLES:
            raise _unknown(host)
        limit = project.constraints.get(_RESTRICTED)
        if limit and (host in limit.get("denied", ()) or host not in limit.get("allowed", (host,))):
            said = (
                f"Request is disallowed by organization's {_RESTRICTED} constraint for '{subject}' attempting to use "
                f"service '{host}'."
            )
            raise constrained(_RESTRICTED, subject, said)
    if project.services.issuperset(hosts):
        done = {"@type": f"{_RESPONSE}{kind}"}
        return {"name": "operations/noop.DONE_OPERATION", "done": True, "response": done}
    if any(one.project == project.id and one.done > store.clock() for one in store.operations.values()):
        said = f"Another activation or deactivation is in progress for the following container(s): {subject}."
        raise GoogleError("FAILED_PRECONDITION", said)
    name = f"operations/acat.p2-{project.number}-{secrets.token_hex(16)}"
    error = store.behavior.pop("enabling_fails", None)
    store.operations[name] = Enabling(name, project.id, tuple(hosts), store.clock() + TAKES, error)
    return {"name": name}


def operation(asked: Asked) -> Any:
    store, name = asked.store, asked.path["name"]
    found = store.operations.get(name)
    if name == "operations/noop.DONE_OPERATION":
        return {"name": name, "done": True, "response": {"@type": f"{_RESPONSE}EnableServiceResponse"}}
    if found is None:
        raise GoogleError("NOT_FOUND", "Operation not found")
    project = store.projects[found.project]
    resource = project_resource(store, project)
    require(store, asked.caller, resource, "serviceusage.operations.get", name, "serviceusage")
    if store.clock() < found.done:
        return {"name": name}
    if found.error:
        return {"name": name, "done": True, "error": found.error}
    settle(asked.store)
    return {"name": name, "done": True, "response": {"@type": f"{_RESPONSE}BatchEnableServicesResponse"}}


def settle(store: Store) -> None:
    """Enable the services of operations that have finished."""
    for one in store.operations.values():
        services = store.projects[one.project].services
        if store.clock() >= one.done and one.error is None and not services.issuperset(one.services):
            for host in set(one.services) - services:
                store.note("services", f"{one.project} {host}")
            services.update(one.services)
            one.services = ()


HANDLERS = {
    "serviceusage.services.get": get,
    "serviceusage.services.batchGet": batch_get,
    "serviceusage.services.list": list_services,
    "serviceusage.services.enable": enable,
    "serviceusage.services.batchEnable": batch_enable,
    "serviceusage.operations.get": operation,
}
