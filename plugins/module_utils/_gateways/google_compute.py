# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The subnets of Compute Engine, as far as a Shared VPC needs them, for class Google. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .google_projects import policy_in
from .google_session import Session
from .https import Call

GET_SUBNET_POLICY = Call(
    "read the IAM policy of {subnet}",
    "GET",
    "compute",
    "/compute/v1/{subnet}/getIamPolicy",
    ("compute.subnetworks.getIamPolicy",),
)
SET_SUBNET_POLICY = Call(
    "write the IAM policy of {subnet}",
    "POST",
    "compute",
    "/compute/v1/{subnet}/setIamPolicy",
    ("compute.subnetworks.setIamPolicy",),
)
CALLS = (GET_SUBNET_POLICY, SET_SUBNET_POLICY)


class Compute(Session):
    """Subnets. subnet: projects/PROJECT/regions/REGION/subnetworks/NAME."""

    def get_subnet_policy(self, subnet: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.send(
            GET_SUBNET_POLICY,
            query=[("optionsRequestedPolicyVersion", "3")],
            absent=True,
            read=policy_in,
            subnet=subnet,
        )
        return found

    def set_subnet_policy(self, subnet: str, policy: Mapping[str, Any]) -> dict[str, Any]:
        """Raises Conflict if somebody else wrote the policy after it was read."""
        found: dict[str, Any] = self.send(SET_SUBNET_POLICY, {"policy": dict(policy)}, read=policy_in, subnet=subnet)
        return found
