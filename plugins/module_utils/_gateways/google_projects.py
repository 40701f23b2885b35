# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Google's Resource Manager and organization policies, for class Google. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .._answers import Odd, object_in, text_in
from .google_session import Answer, Session
from .https import Call

GET_PROJECT = Call(
    "read project {project}",
    "GET",
    "cloudresourcemanager",
    "/v3/projects/{project}",
    ("resourcemanager.projects.get",),
)
TEST_PERMISSIONS = Call(
    "check the permissions on project {project}",
    "POST",
    "cloudresourcemanager",
    "/v3/projects/{project}:testIamPermissions",
    reads=True,
)
GET_POLICY = Call(
    "read the IAM policy of project {project}",
    "POST",
    "cloudresourcemanager",
    "/v3/projects/{project}:getIamPolicy",
    ("resourcemanager.projects.getIamPolicy",),
    reads=True,
)
SET_POLICY = Call(
    "write the IAM policy of project {project}",
    "POST",
    "cloudresourcemanager",
    "/v3/projects/{project}:setIamPolicy",
    ("resourcemanager.projects.setIamPolicy",),
)
GET_ORG_POLICY = Call(
    "read organization policy {constraint} for project {project}",
    "GET",
    "orgpolicy",
    "/v2/projects/{project}/policies/{constraint}:getEffectivePolicy",
    ("orgpolicy.policy.get",),
)
CALLS = (GET_PROJECT, TEST_PERMISSIONS, GET_POLICY, SET_POLICY, GET_ORG_POLICY)

PERMISSIONS_A_CALL = 100
"""How many permissions one call may ask for."""


@dataclass(frozen=True)
class Project:
    """project: its ID. number: never changes. state: ACTIVE, DELETE_REQUESTED."""

    project: str
    number: str
    state: str

    @property
    def going(self) -> bool:
        """Whether it is being deleted, with all that it contains. Google keeps it for 30 days, but only shows its
        state."""
        return self.state == "DELETE_REQUESTED"

    @classmethod
    def parse(cls, body: Answer) -> Project:
        number = text_in(body, "name").removeprefix("projects/")
        if not number:
            raise Odd("field name is not set")
        return cls(text_in(body, "projectId"), number, text_in(body, "state"))


class Projects(Session):
    """Projects: their numbers and policies, and what the caller may do in them."""

    def get_project(self, project: str) -> Project | None:
        """project: ID or number."""
        found: Project | None = self.send(GET_PROJECT, absent=True, read=Project.parse, project=project)
        return found

    def test_permissions(self, project: str, permissions: Collection[str]) -> frozenset[str]:
        """Those of the given permissions that the caller has on the project."""
        wanted = sorted(permissions)
        chunks = (wanted[start : start + PERMISSIONS_A_CALL] for start in range(0, len(wanted), PERMISSIONS_A_CALL))
        return frozenset(
            one
            for chunk in chunks
            for one in self.send(TEST_PERMISSIONS, {"permissions": chunk}, read=granted_in, project=project)
        )

    def get_policy(self, project: str) -> dict[str, Any]:
        """The project's policy, including conditions."""
        found: dict[str, Any] = self.send(
            GET_POLICY, {"options": {"requestedPolicyVersion": 3}}, read=policy_in, project=project
        )
        return found

    def set_policy(self, project: str, policy: Mapping[str, Any]) -> dict[str, Any]:
        """Write bindings and etag; auditConfigs are not changed. Raises Conflict if somebody else wrote after it was
        read."""
        found: dict[str, Any] = self.send(SET_POLICY, {"policy": dict(policy)}, read=policy_in, project=project)
        return found

    def effective_org_policy(self, project: str, constraint: str) -> dict[str, Any] | None:
        """The spec of an organization policy that applies to the project. constraint: such as
        iam.disableServiceAccountKeyCreation, without a prefix."""
        found: dict[str, Any] | None = self.send(
            GET_ORG_POLICY,
            absent=True,
            read=lambda body: dict(object_in(body, "spec")),
            project=project,
            constraint=constraint,
        )
        return found


def granted_in(body: Answer) -> tuple[str, ...]:
    found = body.get("permissions") or []
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise Odd("field permissions is not a list of strings")
    return tuple(found)


def policy_in(body: Answer) -> dict[str, Any]:
    """An IAM policy, after checking the shape of the parts that other code uses."""
    text_in(body, "etag")
    bindings = body.get("bindings", [])
    fits = isinstance(bindings, list) and all(
        isinstance(one, Mapping)
        and isinstance(one.get("role"), str)
        and isinstance(one.get("members", []), list)
        and all(isinstance(member, str) for member in one.get("members", []))
        and isinstance(one.get("condition", {}), Mapping)
        for one in bindings
    )
    if not fits:
        raise Odd("field bindings is not a list of bindings")
    return dict(body)
