# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every failure of Google that onboarding must survive, by its number: how to ask the world for it, and its answer.

Requests to the world are plain JSON: verbs of `World.control("google", ...)` and a schedule of faults. The other
numbers are not answers of Google, but of CAST AI, a cluster's fields, or the caller's machine.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from .google_client import OPERATOR, PROJECT, Cloud, cluster

PARENT = f"projects/{PROJECT}"
IAM = f"https://iam.googleapis.com/v1/{PARENT}"
USAGE = f"https://serviceusage.googleapis.com/v1/{PARENT}/services:batchEnable"
POLICY = f"https://cloudresourcemanager.googleapis.com/v3/{PARENT}"
CLUSTERS = f"https://container.googleapis.com/v1/{PARENT}/locations"
EMAIL = f"castai-gke@{PROJECT}.iam.gserviceaccount.com"
MEMBER = f"serviceAccount:{EMAIL}"
ACCOUNT, KEYS = f"{IAM}/serviceAccounts/{EMAIL}", f"{IAM}/serviceAccounts/{EMAIL}/keys"
ROLE = f"{PARENT}/roles/castai.access"
MADE = ("add_account", {"project": PROJECT, "account_id": "castai-gke"})
ROLE_MADE = ("add_role", {"project": PROJECT, "role_id": "castai.access", "permissions": ["compute.zones.get"]})
OFF = ("set_services", {"project": PROJECT, "off": ["compute.googleapis.com"]})
ON = {"serviceIds": ["compute.googleapis.com"]}
NEW_ACCOUNT = ("POST", f"{IAM}/serviceAccounts", {"accountId": "castai-gke"})
NEW_ROLE = ("POST", f"{IAM}/roles", {"roleId": "castai.access", "role": {"stage": "GA"}})
READ_POLICY = ("POST", f"{POLICY}:getIamPolicy", {})
CONDITION = {"title": "t", "expression": "true"}
MANY = [f"user:u{number}@example.com" for number in range(1500)]
OWNERS = {"role": "roles/owner", "members": [f"serviceAccount:{OPERATOR}"]}

Step = tuple[str, dict[str, Any]]
Asked = tuple[str, str, Any]


def grants(role: str, *members: str, **more: Any) -> Asked:
    """A policy with this binding beside the owner's."""
    bindings = [OWNERS, {"role": role, "members": members, **more}]
    return "POST", f"{POLICY}:setIamPolicy", {"policy": {"version": 3, "bindings": bindings}}


def constraint(name: str, value: Any = True) -> Step:
    return "set_constraint", {"project": PROJECT, "constraint": f"constraints/{name}", "value": value}


def fails(operation: str, status: int, code: str, **more: Any) -> list[dict[str, Any]]:
    return [{"system": "google", "operation": operation, "fail": {"status": status, "code": code, **more}}]


@dataclass(frozen=True)
class Failure:
    """asked: the calls, the last of which meets the failure. said: what its answer contains."""

    number: str
    asked: tuple[Asked, ...]
    status: int
    said: str
    steps: tuple[Step, ...] = ()
    faults: list[dict[str, Any]] = field(default_factory=list)


UNSEEN = ("visibility", {"uses": 1})
VIEWER = "roles/container.viewer"
FAILURES = (
    Failure("G1", (("GET", f"{CLUSTERS}/europe-west4/clusters/shop", None),), 404, "Not found: projects/"),
    Failure(
        "G2",
        (("GET", f"{CLUSTERS}/europe-west1/clusters/shop", None),),
        403,
        'Required \\"container.clusters.get\\" permission(s)',
        faults=fails(".*clusters.get", 403, "container.clusters.get"),
    ),
    Failure(
        "G3",
        (("GET", f"{IAM}/serviceAccounts", None),),
        403,
        "SERVICE_DISABLED",
        (("set_services", {"project": PROJECT, "off": ["iam.googleapis.com"]}),),
    ),
    Failure(
        "G4",
        (("POST", USAGE, ON),),
        403,
        '"service": "serviceusage.googleapis.com"',
        (("set_services", {"project": PROJECT, "off": ["serviceusage.googleapis.com"]}),),
    ),
    Failure("G5", (("POST", USAGE, ON),) * 2, 400, "Another activation or deactivation is in progress", (OFF,)),
    Failure("G7", (NEW_ACCOUNT, ("GET", ACCOUNT, None)), 404, "Unknown service account", (UNSEEN,)),
    Failure(
        "G7 forbidden",
        (NEW_ACCOUNT, ("GET", ACCOUNT, None)),
        403,
        "iam.serviceAccounts.get",
        (UNSEEN, ("behave", {"unseen_is_forbidden": True})),
    ),
    Failure("G8", (NEW_ACCOUNT, grants(VIEWER, MEMBER)), 400, f"Service account {EMAIL} does not exist.", (UNSEEN,)),
    Failure(
        "G9",
        (grants(VIEWER, MEMBER),),
        400,
        f"Service account {EMAIL} does not exist.",
        (MADE,),
        [
            {
                "operation": ".*projects.setIamPolicy",
                "rival": {"verb": "delete_account", "args": {"email": EMAIL}},
            }
        ],
    ),
    Failure(
        "G10",
        (NEW_ROLE, grants(ROLE, "user:a@example.com")),
        400,
        "does not exist in the resource's hierarchy",
        (UNSEEN,),
    ),
    Failure(
        "G11",
        (grants(VIEWER, "user:a@example.com"),),
        409,
        "There were concurrent policy changes.",
        (),
        fails(".*setIamPolicy", 409, "ABORTED"),
    ),
    Failure(
        "G12",
        (READ_POLICY,),
        200,
        f"{VIEWER}_withcond_",
        (("grant", {"project": PROJECT, "role": VIEWER, "member": "user:a@example.com", "condition": CONDITION}),),
    ),
    Failure(
        "G14", (grants(VIEWER, *MANY),), 400, "The number of members in the policy (1,501) is larger than the maximum"
    ),
    Failure("G15", (NEW_ROLE,), 400, "in a deleted state", (ROLE_MADE, ("delete_role", {"name": ROLE, "days_ago": 6}))),
    Failure(
        "G16",
        (NEW_ROLE,),
        400,
        "which has been marked for deletion",
        (ROLE_MADE, ("delete_role", {"name": ROLE, "days_ago": 36})),
    ),
    Failure(
        "G17", (("PATCH", f"{IAM}/roles/castai.access", {"title": "x", "etag": "AAAA"}),), 409, "ABORTED", (ROLE_MADE,)
    ),
    Failure(
        "G18",
        (("POST", KEYS, {}),),
        400,
        '"type": "constraints/iam.disableServiceAccountKeyCreation"',
        (MADE, constraint("iam.disableServiceAccountKeyCreation")),
    ),
    Failure(
        "G19",
        (("POST", KEYS, {}),),
        400,
        "CUSTOM_ORG_POLICY_VIOLATION",
        (MADE, constraint("iam.managed.disableServiceAccountKeyCreation")),
    ),
    Failure(
        "G20",
        (grants(VIEWER, "serviceAccount:cast-gke-1@prod-cast-identity.iam.gserviceaccount.com"),),
        400,
        "do not belong to a permitted customer",
        (
            ("add_account", {"project": "prod-cast-identity", "account_id": "cast-gke-1"}),
            constraint("iam.allowedPolicyMemberDomains", {"allowed": []}),
        ),
    ),
    Failure(
        "G22",
        (("POST", KEYS, {}),),
        429,
        "Maximum number of keys on account reached.",
        (MADE, *[("add_key", {"email": EMAIL})] * 10),
    ),
    Failure(
        "G22 bare",
        (("POST", KEYS, {}),),
        400,
        "Precondition check failed.",
        (MADE, *[("add_key", {"email": EMAIL})] * 10, ("behave", {"bare_key_limit": True})),
    ),
    Failure(
        "G26",
        (READ_POLICY,),
        200,
        f"deleted:{MEMBER}?uid=1",
        (MADE, ("grant", {"project": PROJECT, "role": VIEWER, "member": MEMBER}), ("delete_account", {"email": EMAIL})),
    ),
    Failure("G34", (("GET", ACCOUNT, None),), 401, "UNAUTHENTICATED", (), fails(r"iam\..*", 401, "UNAUTHENTICATED")),
    Failure(
        "G39",
        (grants(VIEWER, "user:a@example.com", condition={"title": "t", "expression": " || ".join(["true"] * 14)}),),
        400,
        "13 logical operators",
    ),
    Failure(
        "G40",
        (("GET", KEYS, None),),
        200,
        '"disableReason": "SERVICE_ACCOUNT_KEY_DISABLE_REASON_EXPOSED"',
        (
            MADE,
            (
                "add_key",
                {"email": EMAIL, "disabled": True, "disableReason": "SERVICE_ACCOUNT_KEY_DISABLE_REASON_EXPOSED"},
            ),
        ),
    ),
    Failure(
        "G43",
        (
            (
                "POST",
                f"{POLICY}:setIamPolicy",
                {"policy": {"bindings": [OWNERS, {"role": VIEWER, "members": MANY[:2]}]}},
            ),
        ),
        400,
        "(1,502)",
        (
            (
                "set_policy",
                {
                    "project": PROJECT,
                    "bindings": [OWNERS],
                    "audits": [
                        {
                            "service": "allServices",
                            "auditLogConfigs": [{"logType": "DATA_READ", "exemptedMembers": MANY[:1499]}],
                        }
                    ],
                },
            ),
        ),
    ),
    Failure(
        "G44",
        (("PATCH", ACCOUNT, {"serviceAccount": {"description": "d"}, "updateMask": "description"}),),
        403,
        '"permission": "iam.serviceAccounts.update"',
        (MADE,),
        fails(".*patch", 403, "iam.serviceAccounts.update"),
    ),
    Failure("5.1 quota", (("GET", ACCOUNT, None),), 403, "per minute", (), fails(".*", 403, "RATE_LIMIT_EXCEEDED")),
    Failure(
        "5.1 perimeter",
        (("GET", ACCOUNT, None),),
        403,
        "vpcServiceControlsUniqueIdentifier",
        (),
        fails(".*", 403, "VPC_SERVICE_CONTROLS"),
    ),
    Failure("5.1 front end", (("GET", ACCOUNT, None),), 502, "<html>", (), fails(".*", 502, "HTML")),
    Failure(
        "5.1 service forbidden",
        (("POST", USAGE, ON),),
        400,
        "constraints/gcp.restrictServiceUsage",
        (OFF, constraint("gcp.restrictServiceUsage", {"denied": ["compute.googleapis.com"]})),
    ),
)


@pytest.mark.parametrize("failure", FAILURES, ids=[one.number for one in FAILURES])
def test_a_failure_can_be_had(cloud: Cloud, failure: Failure) -> None:
    cloud.google.add_cluster(cluster("shop"))
    steps, faults = json.loads(json.dumps([failure.steps, failure.faults]))
    for verb, args in steps:
        cloud.do(verb, **args)
    cloud.gate.faults.load(faults)
    session, bearer = cloud.plain_session(), {"Authorization": f"Bearer {cloud.token()}"}
    for method, url, body in failure.asked:
        found = session.request(method, url, json=body, headers=bearer)
    assert (found.status_code, failure.said in found.text) == (failure.status, True), found.text
