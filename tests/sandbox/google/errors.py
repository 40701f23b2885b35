# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Google's refusals: google.rpc statuses, the details that clients evaluate, and texts that users have reported."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..cloud import Refusal
from ..faults import Fail
from ..wire import Response

STATUSES: Mapping[str, int] = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
TYPE = "type.googleapis.com/google.rpc."
RPC_READ_MODIFY_WRITE = (
    "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff."
)
NOT_PERMITTED_CUSTOMER = (
    "One or more users named in the policy do not belong to a permitted customer,  perhaps due to an organization "
    "policy."
)


# What a fault says that says nothing itself, by its code.
_KEYS, _ACCOUNTS = (
    "Key creation is not allowed on this service account.",
    "Service account creation is not allowed on this project.",
)
_QUOTED: Mapping[str, str] = {
    "ABORTED": RPC_READ_MODIFY_WRITE,
    "RATE_LIMIT_EXCEEDED": (
        "Quota exceeded for quota metric 'Read requests' and limit 'Read requests per minute' of service of a consumer."
    ),
    "RESOURCE_EXHAUSTED": "Maximum number of keys on account reached.",
    "constraints/iam.allowedPolicyMemberDomains": NOT_PERMITTED_CUSTOMER,
    "constraints/iam.disableServiceAccountCreation": _ACCOUNTS,
    "constraints/iam.disableServiceAccountKeyCreation": _KEYS,
    "constraints/iam.managed.allowedPolicyMembers": NOT_PERMITTED_CUSTOMER,
    "constraints/iam.managed.disableServiceAccountCreation": _ACCOUNTS,
    "constraints/iam.managed.disableServiceAccountKeyCreation": _KEYS,
}


class GoogleError(Refusal):
    """A refusal. status: the name of a google.rpc code, which determines the HTTP status."""

    def __init__(self, status: str, message: str, *details: Mapping[str, Any], http: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.details = details
        self.http = http or STATUSES[status]

    def answer(self) -> Response:
        error: dict[str, Any] = {"code": self.http, "message": str(self), "status": self.status}
        if self.details:
            error["details"] = list(self.details)
        return as_json(self.http, {"error": error})


class Defect(GoogleError):
    """A request that none of Google's documents describes."""

    defect = True


def as_json(status: int, body: Any) -> Response:
    headers = (("Content-Type", "application/json; charset=UTF-8"), ("Vary", "Origin"))
    return Response(status, headers, json.dumps(body).encode())


def error_info(reason: str, domain: str, **metadata: str) -> dict[str, Any]:
    return {"@type": f"{TYPE}ErrorInfo", "reason": reason, "domain": domain, "metadata": metadata}


def precondition(*violations: Mapping[str, str]) -> dict[str, Any]:
    return {"@type": f"{TYPE}PreconditionFailure", "violations": list(violations)}


def denied(service: str, permission: str, resource: str) -> GoogleError:
    """The refusal for a missing permission, in the words of each service."""
    host = f"{service}.googleapis.com"
    if service == "container":
        said = f'Required "{permission}" permission(s) for "{resource}".'
        return GoogleError("PERMISSION_DENIED", said)
    if service in ("cloudresourcemanager", "serviceusage", "orgpolicy"):
        return GoogleError("PERMISSION_DENIED", "The caller does not have permission")
    said = f"Permission '{permission}' denied on resource (or it may not exist)."
    info = error_info("IAM_PERMISSION_DENIED", host, permission=permission, resource=resource)
    return GoogleError("PERMISSION_DENIED", said, info)


def project_deleted(host: str, number: str) -> GoogleError:
    """The refusal of every call for a project that is being deleted, except for reading its state."""
    info = error_info("CONSUMER_INVALID", "googleapis.com", service=host, consumer=f"projects/{number}")
    return GoogleError("PERMISSION_DENIED", f"Project '{number}' has been deleted.", info)


def service_disabled(host: str, title: str, number: str) -> GoogleError:
    url = f"https://console.developers.google.com/apis/api/{host}/overview?project={number}"
    said = (
        f"{title} has not been used in project {number} before or it is disabled. Enable it by visiting {url} then "
        "retry. If you enabled this API recently, wait a few minutes for the action to propagate to our systems and "
        "retry."
    )
    info = error_info(
        "SERVICE_DISABLED",
        "googleapis.com",
        service=host,
        serviceTitle=title,
        consumer=f"projects/{number}",
        containerInfo=number,
        activationUrl=url,
    )
    links = [{"description": "Google developers console API activation", "url": url}]
    return GoogleError("PERMISSION_DENIED", said, info, {"@type": f"{TYPE}Help", "links": links})


def constrained(constraint: str, resource: str, said: str) -> GoogleError:
    """The refusal by an organization policy; those of iam.managed have a different body than the older ones."""
    if ".managed." in constraint:
        text = f'Operation denied by org policy on resource \'{resource}\': ["{constraint}": "{said}"]'
        info = error_info("CUSTOM_ORG_POLICY_VIOLATION", "googleapis.com", customConstraints=constraint)
        return GoogleError("FAILED_PRECONDITION", text, info)
    violation = {"type": constraint, "subject": f"{resource}?configvalue=", "description": said}
    return GoogleError("FAILED_PRECONDITION", said, precondition(violation))


def conflict(sent: str = "", current: str = "") -> GoogleError:
    """The refusal if a rival wrote in between."""
    more = f" The request's ETag '{sent}' did not match the current policy's ETag '{current}'." if sent else ""
    return GoogleError("ABORTED", RPC_READ_MODIFY_WRITE + more)


def invalid(said: str, *fields: tuple[str, str]) -> GoogleError:
    violations: Sequence[Mapping[str, str]] = [{"field": name, "description": text} for name, text in fields]
    details = ({"@type": f"{TYPE}BadRequest", "fieldViolations": violations},) if fields else ()
    return GoogleError("INVALID_ARGUMENT", said, *details)


def unauthenticated() -> GoogleError:
    said = (
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
        "authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
    )
    return GoogleError("UNAUTHENTICATED", said)


def quota_project_denied(host: str, project: str) -> GoogleError:
    said = (
        f"Caller does not have required permission to use project {project}. Grant the caller the "
        "roles/serviceusage.serviceUsageConsumer role, or a custom role with the serviceusage.services.use permission."
    )
    info = error_info("USER_PROJECT_DENIED", "googleapis.com", service=host, consumer=f"projects/{project}")
    return GoogleError("PERMISSION_DENIED", said, info)


def perimeter() -> GoogleError:
    """The refusal by VPC Service Controls."""
    unique = "dUJ2NkRIUlNQYVdqQ0JGbHFZc0tIZ2xDTFJ3"
    said = f"Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: {unique}"
    violation = {"type": "VPC_SERVICE_CONTROLS", "description": unique}
    info = error_info("SECURITY_POLICY_VIOLATED", "googleapis.com", uid=unique)
    return GoogleError("PERMISSION_DENIED", said, precondition(violation), info)


def made(status: int, code: str, message: str, service: str, resource: str) -> GoogleError:
    """The error for a fault. code: a google.rpc status, a reason of ErrorInfo, a constraint, a permission, or
    VPC_SERVICE_CONTROLS."""
    if message == Fail.message:
        message = _QUOTED.get(code, message)
    if code == "VPC_SERVICE_CONTROLS":
        return perimeter()
    rpc = next((name for name, http in STATUSES.items() if http == status), "UNKNOWN")
    if code == "NotFound":
        return GoogleError("NOT_FOUND", message)
    if code in STATUSES:
        return GoogleError(code, message, http=status)
    if code.startswith("constraints/"):
        return constrained(code, resource, message)
    if code.count(".") >= 2 and code[0].islower():
        return denied(service, code, resource)
    reason = {"TooManyRequests": "RATE_LIMIT_EXCEEDED", "InternalError": ""}.get(code, code)
    details = (error_info(reason, f"{service}.googleapis.com", service=f"{service}.googleapis.com"),) if reason else ()
    return GoogleError(rpc, message, *details, http=status)
