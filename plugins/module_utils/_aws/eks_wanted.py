# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The user's wishes for CAST AI's identity on EKS, and the names that its objects have or get. Pure.

PRIVATE to the collection.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .._engine import Refused
from .._forms import iam_arn
from .._gateways.aws_eks import EksCluster
from .._gateways.aws_iam import Making
from .._gateways.aws_session import region_of
from .._gateways.castai import Cluster
from .._owner import Owner
from .._record import Wanted
from .._variables import named
from . import forms, names, options, policies
from .identity import short_arn
from .options import AWS_RULES, Parameters, Shape
from .policies import Document, Location

OPTIONS: dict[str, Any] = {
    "argument_spec": {
        **options.OPTIONS,
        "provider": {"type": "str", "choices": ["eks"], "default": "eks"},
        "identity": {"type": "str", "choices": ["role", "user"], "default": "role"},
        "instance_profile_arn": {"type": "str"},
        "node_policies": {"type": "list", "elements": "str", "default": []},
        "node_role_arn": {"type": "str"},
        "role_arn": {"type": "str"},
        "security_group_id": {"type": "str"},
        "spot_lambda_role": {"type": "bool", "default": False},
    },
    **AWS_RULES,
}

_ROLE = "eks_onboard"
NODE_POLICIES = named("node_policies", _ROLE)
GIVEN = {
    "role_arn": Shape(iam_arn("role"), "IAM role ARN", _ROLE),
    "node_role_arn": Shape(iam_arn("role"), "IAM role ARN", _ROLE),
    "instance_profile_arn": Shape(iam_arn("instance-profile"), "instance profile ARN", _ROLE),
    "security_group_id": Shape(r"sg-[0-9a-f]{1,17}", "security group ID", _ROLE),
}


@dataclass(frozen=True)
class Desired(Wanted):
    """What the user wants. Texts are empty if not given; what role_arn and similar options name exists and is never
    created."""

    name: str
    region: str
    account_id: str
    user_mode: bool
    owner: Owner
    role_arn: str
    node_role_arn: str
    instance_profile_arn: str
    security_group_id: str
    managed_policy: Document | None
    restricted_policy: Document | None
    node_policies: tuple[str, ...]
    shared: bool
    """Whether the policies are shared by all clusters of the account."""
    making: Making
    user_access: bool
    """Whether the user gets full control of the cluster in user mode."""
    vpc_account_id: str
    spot_role: bool

    @property
    def named_policies(self) -> dict[str, str]:
        """Policies that must exist, each with the option that names it, as messages write it."""
        if not (self.present and self.prepare):
            return {}
        boundary = {self.making.boundary: named("permissions_boundary")} if self.making.boundary else {}
        return {**boundary, **dict.fromkeys(() if self.node_role_brought else self.node_policies, NODE_POLICIES)}

    @property
    def node_role_brought(self) -> bool:
        """Whether the user gives the role, alone or in an instance profile."""
        return bool(self.node_role_arn or self.instance_profile_arn)


def desired(params: Parameters) -> Desired:
    name_problem = names.eks_cluster_problem(params["cluster_name"])
    found = [*options.problems(params, name_problem, GIVEN, params["identity"] == "role"), *identity_problems(params)]
    if found:
        raise Refused(" ".join(found))
    name, cluster_id = params["cluster_name"], params["cluster_id"].lower()
    return Desired(
        name=name,
        region=region_of(params),
        account_id=params.get("account_id") or "",
        cluster_id=cluster_id,
        user_mode=params["identity"] == "user",
        prepare=params["prepare"],
        hand_over=params["hand_over"],
        present=params["state"] == "present",
        force=params["force"],
        owner=Owner(name, cluster_id, params["adopt"]),
        role_arn=params.get("role_arn") or "",
        node_role_arn=params.get("node_role_arn") or "",
        instance_profile_arn=params.get("instance_profile_arn") or "",
        security_group_id=params.get("security_group_id") or "",
        managed_policy=params.get("managed_policy") or None,
        restricted_policy=params.get("restricted_policy") or None,
        node_policies=tuple(params["node_policies"]),
        shared=params["policy_scope"] == "account",
        making=options.making(params),
        user_access=params["user_access"] == "cluster_admin",
        vpc_account_id=params.get("vpc_account_id") or "",
        spot_role=params["spot_lambda_role"],
    )


def form_problems(params: Parameters) -> Iterator[str]:
    """What is wrong with the form of the options that only an identity has."""
    yield from options.form_problems(params, GIVEN, params["identity"] == "role")
    yield from identity_problems(params)


def identity_problems(params: Parameters) -> Iterator[str]:
    """What is wrong with the options that only an identity on EKS has."""
    identity = named("identity", _ROLE)
    if params.get("role_arn") and params["identity"] == "user":
        yield f"{named('role_arn', _ROLE)} only works with identity role. Leave it out, or set {identity} to role."
    if params.get("spot_lambda_role") and params["identity"] == "role":
        yield f"{named('spot_lambda_role')} only works with identity user. Leave it out, or set {identity} to user."
    shape = Shape(options.POLICY_ARN, "IAM policy ARN", _ROLE)
    given, room = dict.fromkeys(params.get("node_policies") or ()), forms.POLICIES - len(policies.OF_NODES)
    if len(given) > room:
        yield (
            f"{NODE_POLICIES} has {len(given)} policies. Use at most {room}: IAM allows {forms.POLICIES} on a role, and"
            f" nodes need {len(policies.OF_NODES)} of AWS's own."
        )
    for arn in given:
        yield from options.arn_problems(params, NODE_POLICIES, arn, shape)


def location(eks: EksCluster, wanted: Desired) -> Location:
    partition, account = eks.arn.split(":")[1], eks.account_id
    return Location(partition, account, eks.region, eks.name, eks.vpc_id, wanted.vpc_account_id or account)


# Names to look under, in order, and which tool uses each; empty for ours, which CAST AI's script uses too.


def role_names(record: Cluster | None, wanted: Desired) -> dict[str, str]:
    """The names of CAST AI's role, the recorded one first."""
    if wanted.user_mode:
        return {}
    if wanted.role_arn:
        return {short_arn(wanted.role_arn): ""}
    known = {
        names.eks_role(wanted.name, wanted.cluster_id): "",
        **names.eks_roles_of_others(wanted.name, wanted.cluster_id),
    }
    recorded = short_arn(record.facts.get("assumeRoleArn", "")) if record else ""
    return {recorded: known.get(recorded, "another tool"), **known} if recorded else known


def user_names(wanted: Desired) -> dict[str, str]:
    return dict.fromkeys(names.eks_users(wanted.name, wanted.cluster_id), "") if wanted.user_mode else {}


def policy_names(base: str, shared: bool, wanted: Desired) -> dict[str, str]:
    return dict.fromkeys((base,) if shared else names.cluster_policies(base, wanted.name, wanted.cluster_id), "")


def policy_arns(here: Location, wanted: Desired, name: str) -> tuple[str, ...]:
    """The possible paths of a policy. IAM only finds a policy by its path, and other tools do not set one."""
    return tuple(dict.fromkeys(here.iam("policy", path, name) for path in (wanted.making.path, "/")))


def node_role_names(wanted: Desired) -> dict[str, str]:
    if wanted.node_role_arn:
        return {short_arn(wanted.node_role_arn): ""}
    if wanted.instance_profile_arn:
        return {}
    return {
        names.eks_node_role(wanted.name, wanted.cluster_id): "",
        **names.eks_node_roles_of_others(wanted.name),
    }


def profile_names(wanted: Desired) -> dict[str, str]:
    if wanted.instance_profile_arn:
        return {short_arn(wanted.instance_profile_arn): ""}
    return {
        names.eks_node_role(wanted.name, wanted.cluster_id): "",
        **names.eks_profiles_of_others(wanted.name, wanted.cluster_id),
    }
