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
from .._options import AWS_RULES, aws_options, castai_options
from . import policies
from .eks import wrong_cluster
from .gateway import AccessEntry, Aws, EksCluster, Making, Principal, Profile, SecurityGroup
from .identity import (
    NOTHING,
    DeleteInline,
    DeletePolicy,
    HeldKeys,
    HeldPolicy,
    Owner,
    WantedPolicy,
    plan_attachments,
    plan_inline,
    plan_keys,
    plan_no_keys,
    plan_no_principal,
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
        "prepare": {"type": "bool", "default": True},
        "policy_scope": {"type": "str", "choices": ["cluster", "account"], "default": "cluster"},
        "restricted_policy": {"type": "dict"},
        "role_arn": {"type": "str"},
        "security_group_id": {"type": "str"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "tags": {"type": "dict", "default": {}},
        "user_access": {"type": "str", "choices": ["cluster_admin", "none"], "default": "cluster_admin"},
        "vpc_account_id": {"type": "str"},
    },
    **AWS_RULES,
}


@dataclass(frozen=True)
class Desired:
    """What the user asks for. Empty strings where nothing is given; role_arn and its like are brought, not made."""

    name: str
    region: str
    account_id: str
    cluster_id: str
    user_mode: bool
    prepare: bool
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
    making: Making = NOTHING

    def run(self, gateway: Systems, made: Made) -> None:
        gateway.aws.create_profile(self.name, self.making)


@dataclass(frozen=True)
class FillProfile(Action):
    """Put the node role into the profile, in place of the one that is in it."""

    name: str = ""
    role: str = ""

    def run(self, gateway: Systems, made: Made) -> None:
        if self.before:
            gateway.aws.empty_profile(self.name, self.before)
        gateway.aws.fill_profile(self.name, self.role)


@dataclass(frozen=True)
class TagProfile(Action):
    name: str = ""

    def run(self, gateway: Systems, made: Made) -> None:
        gateway.aws.tag_profile(self.name, self.after)


@dataclass(frozen=True)
class CreateGroup(Action):
    vpc_id: str = ""
    name: str = ""

    def run(self, gateway: Systems, made: Made) -> Mapping[str, Any]:
        return {"group_id": gateway.aws.create_group(self.vpc_id, self.name, GROUP_DESCRIPTION, self.after["tags"])}


@dataclass(frozen=True)
class OnGroup(Action):
    """An action on the security group. group_id: empty for the one that this run creates."""

    group_id: str = ""

    def id(self, made: Made) -> str:
        return self.group_id or str(made["group_id"])


@dataclass(frozen=True)
class TagGroup(OnGroup):
    def run(self, gateway: Systems, made: Made) -> None:
        gateway.aws.tag_ec2(self.id(made), self.after)


@dataclass(frozen=True)
class AllowEgress(OnGroup):
    def run(self, gateway: Systems, made: Made) -> None:
        gateway.aws.allow_egress(self.id(made))


@dataclass(frozen=True)
class AllowItself(OnGroup):
    def run(self, gateway: Systems, made: Made) -> None:
        gateway.aws.allow_itself(self.id(made))


@dataclass(frozen=True)
class CreateAccessEntry(Action):
    cluster: str = ""
    arn: str = ""
    kind: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    def run(self, gateway: Systems, made: Made) -> None:
        gateway.aws.create_access_entry(self.cluster, self.arn, self.kind, self.tags)


@dataclass(frozen=True)
class DeleteAccessEntry(Action):
    cluster: str = ""
    arn: str = ""

    def run(self, gateway: Systems, made: Made) -> None:
        gateway.aws.delete_access_entry(self.cluster, self.arn)


@dataclass(frozen=True)
class DeleteProfile(Action):
    name: str = ""
    role: str = ""

    def run(self, gateway: Systems, made: Made) -> None:
        if self.role:
            gateway.aws.empty_profile(self.name, self.role)
        gateway.aws.delete_profile(self.name)


@dataclass(frozen=True)
class DeleteGroup(Action):
    group_id: str = ""

    def run(self, gateway: Systems, made: Made) -> None:
        gateway.aws.delete_group(self.group_id)


@dataclass(frozen=True)
class DeleteCastPrincipal(Action):
    cluster_id: str = ""

    def run(self, gateway: Systems, made: Made) -> None:
        gateway.castai.delete_principal(self.cluster_id)


@dataclass(frozen=True)
class AssociatePolicy(Action):
    cluster: str = ""
    arn: str = ""
    policy: str = ""

    def run(self, gateway: Systems, made: Made) -> None:
        gateway.aws.associate_access_policy(self.cluster, self.arn, self.policy)


@dataclass(frozen=True)
class HandOverRole(Action):
    cluster_id: str = ""
    arn: str = ""

    def run(self, gateway: Systems, made: Made) -> Mapping[str, Any]:
        return {"record": gateway.castai.set_role(self.cluster_id, self.arn)}


def desired(params: Parameters) -> Desired:
    path, region = params["path"], params.get("region") or ""
    problems = [f"name: {problem}." for problem in [names.eks_cluster_problem(params["name"])] if problem]
    if not (path.startswith("/") and path.endswith("/")):
        problems.append(f"path is {path!r}: give an IAM path that starts and ends with '/'.")
    if not region:
        problems.append("region is not set: give the AWS region of the cluster, by the option region or by AWS_REGION.")
    if params.get("role_arn") and params["identity"] == "user":
        problems.append("role_arn goes with identity: role only: leave one of them out.")
    if problems:
        raise Refused(" ".join(problems))
    tags = {**params["tags"], **names.iam_tags(params["name"], params["cluster_id"])}
    return Desired(
        name=params["name"],
        region=region,
        account_id=params.get("account_id") or "",
        cluster_id=params["cluster_id"],
        user_mode=params["identity"] == "user",
        prepare=params["prepare"],
        hand_over=params["hand_over"],
        adopt=params["adopt"],
        role_arn=params.get("role_arn") or "",
        node_role_arn=params.get("node_role_arn") or "",
        instance_profile_arn=params.get("instance_profile_arn") or "",
        security_group_id=params.get("security_group_id") or "",
        managed_policy=params.get("managed_policy"),
        restricted_policy=params.get("restricted_policy"),
        node_policies=tuple(params["node_policies"]),
        policy_scope=params["policy_scope"],
        making=Making(path, params.get("permissions_boundary") or "", tags),
        user_access=params["user_access"] == "cluster_admin",
        vpc_account_id=params.get("vpc_account_id") or "",
        present=params["state"] == "present",
    )


def connect(params: Parameters, wanted: Desired) -> Systems:
    return Systems(CastAi(params["castai_api_url"], params["castai_api_key"], params["validate_certs"]), Aws(params))


def observe(gateway: Systems, wanted: Desired) -> Current:
    """Round 1: EKS and CAST AI. Round 2: every object by its name. Round 3: what is in and attached to them."""
    known = wanted.cluster_id != UNKNOWN
    first = gather(
        eks=partial(gateway.aws.describe_cluster, wanted.name),
        record=partial(gateway.castai.get_cluster, wanted.cluster_id) if known else _nothing,
        principal=partial(gateway.castai.get_principal, wanted.cluster_id)
        if known and not wanted.user_mode
        else _nothing,
    )
    eks, record = first["eks"], first["record"]
    if eks is None:
        return Current(None, record)
    here = place(eks, wanted)
    roles, node_roles = role_names(record, wanted), node_role_names(wanted)
    profile, group = profile_name(wanted), names.node_security_group(wanted.name)
    aws = gateway.aws
    second = gather(
        **{f"role {name}": partial(aws.get_role, name) for name in [*roles, *node_roles]},
        user=partial(aws.get_user, user_name(wanted)) if wanted.user_mode else _nothing,
        managed=partial(aws.get_policy, policy_arn(here, wanted, managed_name(wanted))),
        restricted=partial(aws.get_policy, policy_arn(here, wanted, names.eks_restricted_policy(wanted.name))),
        profile=partial(aws.get_profile, profile),
        group=partial(aws.get_group, wanted.security_group_id)
        if wanted.security_group_id
        else partial(aws.find_group, eks.vpc_id, group),
    )
    chosen = _first(second, roles)
    node = _first(second, node_roles)
    principal = second["user"] if wanted.user_mode else second.get(f"role {chosen}")
    third = gather(
        identity=partial(_identity_details, aws, principal, record),
        node_attached=partial(aws.list_attached, "role", node) if second[f"role {node}"] else _nothing,
        managed=partial(_held, aws, second["managed"]),
        restricted=partial(_held, aws, second["restricted"]),
        node_entry=_entry(aws, eks, node_role_arn(here, node, second[f"role {node}"], wanted)),
        user_entry=_entry(aws, eks, principal.arn) if wanted.user_mode and principal else _nothing,
    )
    attached, inline, keys = third["identity"]
    name = user_name(wanted) if wanted.user_mode else chosen
    return Current(
        eks,
        record,
        first["principal"] or "",
        Identity(name, principal, "" if wanted.user_mode else roles[chosen], attached, inline, keys),
        Nodes(
            node,
            second[f"role {node}"],
            node_roles[node],
            third["node_attached"] or (),
            second["profile"],
            second["group"],
        ),
        third["managed"],
        third["restricted"],
        third["node_entry"],
        third["user_entry"],
    )


def plan(current: Current, wanted: Desired) -> Iterator[Action]:
    eks = current.eks
    refusal = wrong_cluster(eks, wanted.name, wanted.region, wanted.account_id)
    if eks is None or refusal:
        raise Refused(refusal)
    if current.record is None and wanted.cluster_id != UNKNOWN:
        raise Refused(
            f"CAST AI has no cluster {wanted.cluster_id} in the organisation of this API key: check cluster_id."
        )
    here = place(eks, wanted)
    _check_owners(current, wanted)
    if not wanted.present:
        yield from _plan_absent(current, wanted, here)
        return
    if wanted.prepare:
        yield from _plan_identity(current, wanted, here)
        yield from _plan_nodes(current, wanted, here)
        yield from _plan_group(current, wanted, eks)
        yield from _plan_access(current, wanted, here, eks)
    if wanted.hand_over:
        yield from _plan_hand_over(current, wanted, here)


def _plan_identity(current: Current, wanted: Desired, here: policies.Place) -> Iterator[Action]:
    """Role or user with everything attached. What replaces the account's shared policy is attached before that goes."""
    if wanted.role_arn:
        return
    identity, kind = current.identity, "user" if wanted.user_mode else "role"
    managed = _managed(here, wanted)
    yield from plan_policy(current.managed, managed, wanted.owner, wanted.making, managed.arn in identity.attached)
    arns = [*policies.aws_managed(here.partition, policies.OF_CASTAI), managed.arn]
    document = dict(wanted.restricted_policy or policies.eks_restricted(here))
    if wanted.user_mode:
        restricted = WantedPolicy(
            names.eks_restricted_policy(wanted.name),
            policy_arn(here, wanted, names.eks_restricted_policy(wanted.name)),
            document,
            POLICY_DESCRIPTION,
        )
        yield from plan_policy(
            current.restricted, restricted, wanted.owner, wanted.making, restricted.arn in identity.attached
        )
        yield from plan_user(identity.principal, identity.name, wanted.making)
        arns.append(restricted.arn)
    else:
        if not current.principal_arn:
            yield CreateCastPrincipal(
                f"create CAST AI's principal for cluster {wanted.cluster_id}",
                f"castai/cluster/{wanted.cluster_id}/principal",
                None,
                UNKNOWN,
                wanted.cluster_id,
            )
        _check_partition(current.principal_arn, here)
        trust = policies.trust_castai(current.principal_arn or UNKNOWN, wanted.cluster_id)
        yield from plan_role(
            identity.principal, identity.name, trust, ROLE_DESCRIPTION.format(wanted.name), wanted.making
        )
        yield from plan_inline("role", identity.name, names.INLINE_RESTRICTED, identity.inline, document)
    shared = [policy_arn(here, wanted, names.SHARED_POLICY)] if wanted.policy_scope == "cluster" else []
    yield from plan_attachments(kind, identity.name, identity.attached, arns, shared)
    if wanted.user_mode and identity.inline is not None:
        yield DeleteInline(
            f"delete inline policy {names.INLINE_RESTRICTED} of user {identity.name}, now a managed one",
            f"iam/user/{identity.name}/{names.INLINE_RESTRICTED}",
            identity.inline,
            None,
            "user",
            identity.name,
            names.INLINE_RESTRICTED,
        )


def _plan_nodes(current: Current, wanted: Desired, here: policies.Place) -> Iterator[Action]:
    nodes = current.nodes
    if not wanted.node_role_arn:
        trust = policies.trust_nodes(here)
        if nodes.role is None:
            yield from plan_role(None, nodes.role_name, trust, NODE_ROLE_DESCRIPTION, wanted.making)
        else:
            yield from plan_tags(nodes.role, wanted.making)
        arns = [*policies.aws_managed(here.partition, policies.OF_NODES), *wanted.node_policies]
        yield from plan_attachments("role", nodes.role_name, nodes.attached, arns)
    if wanted.instance_profile_arn:
        return
    name, profile = profile_name(wanted), nodes.profile
    if profile is None:
        yield CreateProfile(
            f"create instance profile {name}", f"iam/instance-profile/{name}", None, {"name": name}, name, wanted.making
        )
    elif not same_tags(wanted.making.tags, profile.tags):
        yield TagProfile(
            f"tag instance profile {name}",
            f"iam/instance-profile/{name}/tags",
            dict(profile.tags),
            {**profile.tags, **wanted.making.tags},
            name,
        )
    if profile is None or profile.role != nodes.role_name:
        yield FillProfile(
            f"put role {nodes.role_name} into instance profile {name}",
            f"iam/instance-profile/{name}/role",
            profile.role if profile and profile.role else None,
            nodes.role_name,
            name,
            nodes.role_name,
        )


def _plan_group(current: Current, wanted: Desired, eks: EksCluster) -> Iterator[Action]:
    if wanted.security_group_id:
        if current.nodes.group is None:
            raise Refused(
                f"security_group_id: EC2 has no group {wanted.security_group_id} in {wanted.region}: correct it."
            )
        return
    name, group = names.node_security_group(wanted.name), current.nodes.group
    tags = {"Name": name, **wanted.making.tags}
    target = f"ec2/security-group/{name}"
    if group is None:
        yield CreateGroup(
            f"create security group {name} in {eks.vpc_id}",
            target,
            None,
            {"name": name, "tags": tags},
            eks.vpc_id,
            name,
        )
    elif not same_tags(tags, group.tags):
        yield TagGroup(
            f"tag security group {name}", f"{target}/tags", dict(group.tags), {**group.tags, **tags}, group.id
        )
    # EC2 gives a new group of a VPC the rule that lets all traffic out.
    if group and not group.egress_all:
        yield AllowEgress(f"let all traffic out of security group {name}", f"{target}/egress", None, "all", group.id)
    if group is None or not group.ingress_self:
        yield AllowItself(
            f"let security group {name} reach itself",
            f"{target}/ingress",
            None,
            "all from itself",
            group.id if group else "",
        )


def _plan_access(current: Current, wanted: Desired, here: policies.Place, eks: EksCluster) -> Iterator[Action]:
    """Access entries, where the cluster has them; aws-auth is castai_aws_auth's."""
    if eks.authentication_mode == "CONFIG_MAP":
        return
    arn = node_role_arn(here, current.nodes.role_name, current.nodes.role, wanted)
    if current.node_entry is None:
        yield _access_entry(wanted, arn, "EC2_LINUX", "the nodes' role")
    elif current.node_entry.type != "EC2_LINUX":
        raise Refused(
            f"The access entry of {arn} in cluster {eks.name} is of type {current.node_entry.type}, which no node can"
            " join by: delete it, or bring another role by node_role_arn."
        )
    if not (wanted.user_mode and wanted.user_access):
        return
    user = user_arn(here, current.identity, wanted)
    policy = f"arn:{here.partition}:eks::aws:cluster-access-policy/{ADMIN_POLICY}"
    if current.user_entry is None:
        yield _access_entry(wanted, user, "STANDARD", "CAST AI's user")
    if current.user_entry is None or policy not in current.user_entry.policies:
        yield AssociatePolicy(
            f"give user {current.identity.name} full control of cluster {eks.name} ({ADMIN_POLICY})",
            f"eks/access-entry/{user}/{ADMIN_POLICY}",
            None,
            "associated",
            eks.name,
            user,
            policy,
        )


def _access_entry(wanted: Desired, arn: str, kind: str, whose: str) -> CreateAccessEntry:
    return CreateAccessEntry(
        f"create an access entry for {whose}, {arn}, in cluster {wanted.name}",
        f"eks/access-entry/{arn}",
        None,
        {"type": kind},
        wanted.name,
        arn,
        kind,
        wanted.making.tags,
    )


def _plan_hand_over(current: Current, wanted: Desired, here: policies.Place) -> Iterator[Action]:
    if wanted.user_mode:
        yield from plan_keys(current.identity.keys, current.identity.name, wanted.cluster_id)
        return
    arn = role_arn(here, current.identity, wanted)
    held = current.record.facts.get("assumeRoleArn", "") if current.record else ""
    if held != arn:
        yield HandOverRole(
            f"give CAST AI role {arn} for cluster {wanted.cluster_id}",
            f"castai/cluster/{wanted.cluster_id}/role",
            held or None,
            arn,
            wanted.cluster_id,
            arn,
        )


def _plan_absent(current: Current, wanted: Desired, here: policies.Place) -> Iterator[Action]:
    """Everything back, in an order that works: what uses an object goes before it. What is kept is in kept_of()."""
    kept = {thing for thing, _why in kept_of(current, wanted, here)}
    identity, nodes = current.identity, current.nodes
    for entry, owner in ((current.user_entry, identity.name), (current.node_entry, nodes.role_name)):
        if entry and f"access entry of {entry.arn}" not in kept:
            yield DeleteAccessEntry(
                f"delete the access entry of {owner} in cluster {wanted.name}",
                f"eks/access-entry/{entry.arn}",
                {"type": entry.type},
                None,
                wanted.name,
                entry.arn,
            )
    if identity.principal and f"{identity.principal.kind} {identity.name}" not in kept:
        yield from plan_no_keys(identity.keys, identity.name)
        yield from plan_no_principal(
            identity.principal,
            identity.attached,
            {names.INLINE_RESTRICTED: identity.inline} if identity.inline is not None else {},
        )
    for held, name in (
        (current.managed, managed_name(wanted)),
        (current.restricted, names.eks_restricted_policy(wanted.name)),
    ):
        if held.policy and f"policy {name}" not in kept:
            yield DeletePolicy(f"delete policy {name}", f"iam/policy/{name}", held.document, None, held.policy.arn)
    if nodes.profile and f"instance profile {nodes.profile.name}" not in kept:
        yield DeleteProfile(
            f"delete instance profile {nodes.profile.name}",
            f"iam/instance-profile/{nodes.profile.name}",
            {"role": nodes.profile.role},
            None,
            nodes.profile.name,
            nodes.profile.role,
        )
    if nodes.role and f"role {nodes.role_name}" not in kept:
        yield from plan_no_principal(nodes.role, nodes.attached, {})
    if nodes.group and f"security group {nodes.group.name}" not in kept:
        yield DeleteGroup(
            f"delete security group {nodes.group.name}",
            f"ec2/security-group/{nodes.group.name}",
            {"id": nodes.group.id},
            None,
            nodes.group.id,
        )
    if current.principal_arn:
        yield DeleteCastPrincipal(
            f"delete CAST AI's principal for cluster {wanted.cluster_id}",
            f"castai/cluster/{wanted.cluster_id}/principal",
            current.principal_arn,
            None,
            wanted.cluster_id,
        )


def kept_of(current: Current, wanted: Desired, here: policies.Place) -> list[tuple[str, str]]:
    """What state absent leaves although it is there, and why."""
    identity, nodes, owner = current.identity, current.nodes, wanted.owner
    arns = {policy_arn(here, wanted, name) for name in (managed_name(wanted), names.eks_restricted_policy(wanted.name))}
    ours = {
        *arns,
        *policies.aws_managed(here.partition, policies.OF_CASTAI),
        policy_arn(here, wanted, names.SHARED_POLICY),
    }
    node_arns = {*policies.aws_managed(here.partition, policies.OF_NODES), *wanted.node_policies}
    found: list[tuple[str, str]] = []

    def keep(thing: str, *reasons: tuple[bool, str]) -> None:
        found.extend((thing, why) for holds, why in reasons if holds)

    if identity.principal:
        foreign = [arn for arn in identity.attached if arn not in ours]
        keep(
            f"{identity.principal.kind} {identity.name}",
            (bool(wanted.role_arn), "it was given by role_arn"),
            (bool(foreign), f"others attached {', '.join(foreign)} to it"),
        )
    for held, name in (
        (current.managed, managed_name(wanted)),
        (current.restricted, names.eks_restricted_policy(wanted.name)),
    ):
        if held.policy:
            keep(
                f"policy {name}",
                (name == names.SHARED_POLICY, "it is shared by the clusters of the account"),
                (held.policy.attachments > (held.policy.arn in identity.attached), "others are attached to it"),
            )
    if nodes.profile:
        keep(
            f"instance profile {nodes.profile.name}",
            (bool(wanted.instance_profile_arn), "it was given by instance_profile_arn"),
            (nodes.profile.role not in ("", nodes.role_name), f"others put role {nodes.profile.role} into it"),
        )
    if nodes.role:
        foreign = [arn for arn in nodes.attached if arn not in node_arns]
        keep(
            f"role {nodes.role_name}",
            (bool(wanted.node_role_arn), "it was given by node_role_arn"),
            (bool(foreign), f"others attached {', '.join(foreign)} to it"),
        )
    if nodes.group:
        keep(
            f"security group {nodes.group.name}",
            (bool(wanted.security_group_id), "it was given by security_group_id"),
        )
    for entry in (current.node_entry, current.user_entry):
        if entry:
            mine = entry.tags.get(names.TAG_CLUSTER_ID) == owner.cluster_id
            keep(f"access entry of {entry.arn}", (not mine, "it carries no tag of ours"))
    return found


def _check_owners(current: Current, wanted: Desired) -> None:
    """Refuse what is there under our names but is another cluster's."""
    owner, identity, nodes = wanted.owner, current.identity, current.nodes
    mark = names.short_id(wanted.cluster_id)
    if identity.principal and not wanted.role_arn:
        principal = identity.principal
        recorded = current.record is not None and current.record.facts.get("assumeRoleArn") == principal.arn
        owner.check(
            f"{principal.kind.capitalize()} {principal.name}",
            principal.tags,
            recorded or mark in principal.name,
            _external_id(principal.trust),
        )
    if nodes.role and not wanted.node_role_arn:
        owner.check(f"Role {nodes.role_name}", nodes.role.tags, mark in nodes.role_name)
    if nodes.profile and not wanted.instance_profile_arn:
        owner.check(f"Instance profile {nodes.profile.name}", nodes.profile.tags, mark in nodes.profile.name)
    if nodes.group and not wanted.security_group_id:
        owner.check(f"Security group {nodes.group.name}", nodes.group.tags, False)


def _check_partition(principal: str, here: policies.Place) -> None:
    if principal and principal.split(":")[1] != here.partition:
        raise Refused(
            f"CAST AI's principal {principal} is of another partition than {here.partition}, which IAM does not trust"
            " across: use identity: user."
        )


def place(eks: EksCluster, wanted: Desired) -> policies.Place:
    account = eks.account_id
    return policies.Place(
        eks.arn.split(":")[1], account, eks.region, eks.name, eks.vpc_id, wanted.vpc_account_id or account
    )


def role_names(record: Cluster | None, wanted: Desired) -> dict[str, str]:
    """Names to look for CAST AI's role under, in order, and which tool uses each. The last is for a new one."""
    if wanted.user_mode:
        return {}
    if wanted.role_arn:
        return {wanted.role_arn.rpartition("/")[2]: "the user"}
    recorded = (record.facts.get("assumeRoleArn") or "").rpartition("/")[2] if record else ""
    known = {
        names.eks_role(wanted.name, wanted.cluster_id): "",
        **names.eks_roles_of_others(wanted.name, wanted.cluster_id),
    }
    return {**({recorded: known.get(recorded, "somebody")} if recorded else {}), **known}


def node_role_names(wanted: Desired) -> dict[str, str]:
    if wanted.node_role_arn:
        return {wanted.node_role_arn.rpartition("/")[2]: "the user"}
    return {
        names.eks_node_role(wanted.name, wanted.cluster_id): "",
        **names.eks_node_roles_of_others(wanted.name, wanted.cluster_id),
    }


def profile_name(wanted: Desired) -> str:
    if wanted.instance_profile_arn:
        return wanted.instance_profile_arn.rpartition("/")[2]
    return names.eks_node_role(wanted.name, wanted.cluster_id)


def user_name(wanted: Desired) -> str:
    return names.eks_user(wanted.name, wanted.cluster_id)


def managed_name(wanted: Desired) -> str:
    return names.eks_managed_policy(wanted.name, wanted.policy_scope)


def policy_arn(here: policies.Place, wanted: Desired, name: str) -> str:
    return f"arn:{here.partition}:iam::{here.account}:policy{wanted.making.path}{name}"


def role_arn(here: policies.Place, identity: Identity, wanted: Desired) -> str:
    if wanted.role_arn or identity.principal:
        return wanted.role_arn or identity.principal.arn  # type: ignore[union-attr]
    return f"arn:{here.partition}:iam::{here.account}:role{wanted.making.path}{identity.name}"


def user_arn(here: policies.Place, identity: Identity, wanted: Desired) -> str:
    if identity.principal:
        return identity.principal.arn
    return f"arn:{here.partition}:iam::{here.account}:user{wanted.making.path}{identity.name}"


def node_role_arn(here: policies.Place, name: str, role: Principal | None, wanted: Desired) -> str:
    if wanted.node_role_arn or role:
        return wanted.node_role_arn or role.arn  # type: ignore[union-attr]
    return f"arn:{here.partition}:iam::{here.account}:role{wanted.making.path}{name}"


def access(current: Current, wanted: Desired, here: policies.Place, eks: EksCluster) -> dict[str, Any]:
    """Which way the cluster lets principals in, and why. aws_auth: what castai_aws_auth has to add, if anything."""
    if eks.authentication_mode != "CONFIG_MAP":
        reason = f"The cluster's authentication mode is {eks.authentication_mode}, which has access entries."
        return {"way": "access_entry", "reason": reason, "aws_auth": []}
    node = node_role_arn(here, current.nodes.role_name, current.nodes.role, wanted)
    entries: list[dict[str, Any]] = [{"role_arn": node, "username": NODE_USERNAME, "groups": list(NODE_GROUPS)}]
    if wanted.user_mode and wanted.user_access:
        user = user_arn(here, current.identity, wanted)
        entries.append({"user_arn": user, "username": current.identity.name, "groups": list(ADMIN_GROUPS)})
    reason = "The cluster's authentication mode is CONFIG_MAP, which knows no access entries."
    return {"way": "aws_auth", "reason": reason, "aws_auth": entries}


def view(current: Current, wanted: Desired, made: Made) -> Mapping[str, Any]:
    if current.eks is None:
        return {}
    here = place(current.eks, wanted)
    identity, nodes = current.identity, current.nodes
    makers = {identity.name: identity.maker, nodes.role_name: nodes.maker}
    if not wanted.present:
        return {"kept": [f"{thing}: {why}" for thing, why in kept_of(current, wanted, here)]}
    return {
        "access": access(current, wanted, here, current.eks),
        "adopted": {name: maker for name, maker in makers.items() if maker and maker != "the user"},
        "identity_arn": user_arn(here, identity, wanted) if wanted.user_mode else role_arn(here, identity, wanted),
        "instance_profile_arn": wanted.instance_profile_arn
        or f"arn:{here.partition}:iam::{here.account}:instance-profile{wanted.making.path}{profile_name(wanted)}",
        "node_role_arn": node_role_arn(here, nodes.role_name, nodes.role, wanted),
        "security_group_id": made.get("group_id") or (nodes.group.id if nodes.group else UNKNOWN),
    }


def _managed(here: policies.Place, wanted: Desired) -> WantedPolicy:
    name = managed_name(wanted)
    document = dict(wanted.managed_policy or policies.eks_managed(here))
    return WantedPolicy(
        name, policy_arn(here, wanted, name), document, POLICY_DESCRIPTION, wanted.policy_scope == "account"
    )


def _identity_details(
    aws: Aws, principal: Principal | None, record: Cluster | None
) -> tuple[tuple[str, ...], Mapping[str, Any] | None, HeldKeys]:
    if principal is None:
        return (), None, HeldKeys()
    kind, name = principal.kind, principal.name
    found = gather(
        attached=partial(aws.list_attached, kind, name),
        inline=partial(aws.get_inline, kind, name, names.INLINE_RESTRICTED),
        keys=partial(aws.list_keys, name) if kind == "user" else _nothing,
    )
    keys = HeldKeys(found["keys"] or (), principal.tags, record.credentials_id if record else "")
    return found["attached"] or (), found["inline"], keys


def _held(aws: Aws, policy: Any) -> HeldPolicy:
    return HeldPolicy(policy, aws.get_policy_document(policy.arn, policy.version)) if policy else HeldPolicy()


def _entry(aws: Aws, eks: EksCluster, arn: str) -> Any:
    return _nothing if eks.authentication_mode == "CONFIG_MAP" else partial(aws.get_access_entry, eks.name, arn)


def _first(found: Mapping[str, Any], candidates: Iterable[str]) -> str:
    """The first name under which there is a role, else the first to make one under; empty for no candidate."""
    listed = list(candidates)
    return next((name for name in listed if found[f"role {name}"]), listed[0] if listed else "")


def _external_id(trust: Mapping[str, Any]) -> str:
    statements = trust.get("Statement") or []
    for statement in statements if isinstance(statements, list) else [statements]:
        found = ((statement.get("Condition") or {}).get("StringEquals") or {}).get("sts:ExternalId")
        if isinstance(found, str):
            return found
    return ""


def _nothing() -> None:
    return None


SUBJECT = Subject(OPTIONS, desired, connect, observe, plan, view)
