# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CAST AI's identity for one EKS cluster, its nodes' role and group, and their way into the cluster.

Order: everything is prepared first, CAST AI gets its credentials last. PRIVATE to the collection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .. import _names as names
from .._castai.gateway import CastAi, Cluster
from .._engine import UNKNOWN, Action, Made, Refused, Subject, gather
from .._equal import same_tags
from .._options import CREDENTIAL_RULES, aws_options, castai_options
from . import policies
from .eks import wrong_cluster
from .gateway import AccessEntry, Aws, EksCluster, Making, Principal, Profile, SecurityGroup
from .identity import (
    HandOverKey,
    HeldKeys,
    HeldPolicy,
    Owner,
    WantedPolicy,
    plan_attachments,
    plan_inline,
    plan_keys,
    plan_policy,
    plan_role,
    plan_tags,
    plan_user,
)

Parameters = Mapping[str, Any]

ROLE_DESCRIPTION = "Role to manage '{}' EKS cluster used by CAST AI"
NODE_ROLE_DESCRIPTION = "EKS node instance role used by CAST AI"
POLICY_DESCRIPTION = "Policy to manage EKS cluster used by CAST AI"
GROUP_DESCRIPTION = "CAST AI created security group that allows communication between CAST AI nodes"

NODE_USERNAME = "system:node:{{EC2PrivateDNSName}}"
NODE_GROUPS = ("system:bootstrappers", "system:nodes")
ADMIN_GROUPS = ("system:masters",)
ADMIN_POLICY = "AmazonEKSClusterAdminPolicy"

OPTIONS: dict[str, Any] = {
    "argument_spec": {
        **castai_options(),
        **aws_options(),
        "account_id": {"type": "str"},
        "adopt": {"type": "bool", "default": False},
        "cluster_id": {"type": "str", "required": True},
        "hand_over": {"type": "bool", "default": True},
        "identity": {"type": "str", "choices": ["role", "user"], "default": "role"},
        "instance_profile_arn": {"type": "str"},
        "managed_policy": {"type": "dict"},
        "name": {"type": "str", "required": True},
        "node_policies": {"type": "list", "elements": "str", "default": []},
        "node_role_arn": {"type": "str"},
        "path": {"type": "str", "default": "/"},
        "permissions_boundary": {"type": "str"},
        "policy_scope": {"type": "str", "choices": ["cluster", "account"], "default": "cluster"},
        "restricted_policy": {"type": "dict"},
        "role_arn": {"type": "str"},
        "security_group_id": {"type": "str"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "tags": {"type": "dict", "default": {}},
        "user_access": {"type": "str", "choices": ["cluster_admin", "none"], "default": "cluster_admin"},
        "vpc_account_id": {"type": "str"},
    },
    **CREDENTIAL_RULES,
}


@dataclass(frozen=True)
class Desired:
    """What the user asks for. Empty strings where nothing is given; role_arn and its like are brought, not made."""

    name: str
    region: str
    account_id: str
    cluster_id: str
    user_mode: bool
    hand_over: bool
    adopt: bool
    role_arn: str
    node_role_arn: str
    instance_profile_arn: str
    security_group_id: str
    managed_policy: Mapping[str, Any] | None
    restricted_policy: Mapping[str, Any] | None
    node_policies: tuple[str, ...]
    policy_scope: str
    making: Making
    user_access: bool
    vpc_account_id: str
    present: bool

    @property
    def owner(self) -> Owner:
        return Owner(self.name, self.cluster_id, self.making.tags, self.adopt)


@dataclass(frozen=True)
class Identity:
    """CAST AI's role or user as it stands; principal: None for absent. inline: the restricted policy's document."""

    name: str
    principal: Principal | None = None
    maker: str = ""
    """Which other tool made it, empty for this collection or the vendor's script."""
    attached: tuple[str, ...] = ()
    inline: Mapping[str, Any] | None = None
    keys: HeldKeys = field(default_factory=HeldKeys)


@dataclass(frozen=True)
class Nodes:
    """What the nodes get: role, instance profile, security group, access entry. None for absent."""

    role_name: str
    role: Principal | None = None
    maker: str = ""
    attached: tuple[str, ...] = ()
    profile: Profile | None = None
    group: SecurityGroup | None = None


@dataclass(frozen=True)
class Current:
    eks: EksCluster | None
    record: Cluster | None
    principal_arn: str = ""
    """CAST AI's principal for this cluster, empty for none yet."""
    identity: Identity = field(default_factory=lambda: Identity(""))
    nodes: Nodes = field(default_factory=lambda: Nodes(""))
    managed: HeldPolicy = field(default_factory=HeldPolicy)
    restricted: HeldPolicy = field(default_factory=HeldPolicy)
    node_entry: AccessEntry | None = None
    user_entry: AccessEntry | None = None


@dataclass(frozen=True)
class Systems:
    castai: CastAi
    aws: Aws

    def close(self) -> None:
        """Nothing is kept open between calls."""


@dataclass(frozen=True)
class CreateCastPrincipal(Action):
    cluster_id: str = ""

    def run(self, gateway: Systems, made: Made) -> Mapping[str, Any]:
        return {"principal_arn": gateway.castai.create_principal(self.cluster_id)}


@dataclass(frozen=True)
class CreateProfile(Action):
    name: str = ""
    making: Making | None = None

    def run(self, gateway: Systems, made: Made) -> None:
        gateway.aws.create_profile(self.name, self.making)  # type: ignore[arg-type]


@dataclass(frozen=True)
class FillProfile(Action):
    name: str = ""
    role: str = ""

    def run(self, gateway: Systems, made: Made) -> None:
        gateway.aws.fill_profile(self.name, self.role)
