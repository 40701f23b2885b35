# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What CAST AI's nodes need on EKS: a role, an instance profile, a security group, and access to the cluster.

Access is an access entry if the cluster has those; otherwise castai_aws_auth manages it. PRIVATE to the collection.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._engine import Action, Made, Refused
from .._equal import missing_tags, replaced
from .._gateways.aws_ec2 import Instance, SecurityGroup
from .._gateways.aws_eks import AccessEntry, EksCluster
from .._gateways.aws_iam import Making, Principal, Profile
from .._names import TAG_CLUSTER_ID, short_id
from .._owner import Removal, Shown, Step
from .._variables import named
from . import names, policies
from .eks_wanted import NODE_POLICIES, Desired
from .identity import (
    NOTHING,
    ExistingPolicy,
    Gateways,
    WantedPolicy,
    check_room,
    plan_attachments,
    plan_policy,
    plan_role,
    remove_policy,
    remove_principal,
    short_arn,
)
from .policies import Location

ROLE_DESCRIPTION = "EKS node instance role used by CAST AI"
ROLE_USE = "which CAST AI's nodes run with"
GROUP_DESCRIPTION = "CAST AI created security group that allows communication between CAST AI nodes"
IPV6_DESCRIPTION = "Policy that gives IPv6 addresses to nodes used by CAST AI"
ENTRY_TYPE = "EC2_LINUX"

NODE_ROLE_ARN = named("node_role_arn", "eks_onboard")
INSTANCE_PROFILE_ARN = named("instance_profile_arn", "eks_onboard")
SECURITY_GROUP_ID = named("security_group_id", "eks_onboard")
"""The options for the user's own objects, as messages name them."""


@dataclass(frozen=True)
class Nodes:
    """The existing objects for the nodes, under the names that they have or will get; None if absent."""

    role_name: str = ""
    role: Principal | None = None
    attached: tuple[str, ...] = ()
    inline: tuple[str, ...] = ()
    """Names of the role's inline policies; only read for removal."""
    instances: tuple[Instance, ...] = ()
    """The instances in the cluster's VPC; only read for removal."""
    used_by: tuple[str, ...] = ()
    """Names of the instance profiles that contain the role; only read for removal."""
    ipv6: ExistingPolicy = field(default_factory=ExistingPolicy)
    unshared_ipv6: ExistingPolicy = field(default_factory=ExistingPolicy)
    """The cluster's own policy, if the cluster now shares the account's."""
    profile_name: str = ""
    profile: Profile | None = None
    group: SecurityGroup | None = None
    entry: AccessEntry | None = None
    makers: Mapping[str, str] = field(default_factory=dict)
    """Which other tool created the role and the profile, by name."""

    def role_arn(self, wanted: Desired, here: Location) -> str:
        """The role that nodes run with: given, in a given profile, existing, or to be created."""
        if wanted.node_role_arn:
            return wanted.node_role_arn
        if wanted.instance_profile_arn:
            return self.profile.role_arn if self.profile else ""
        return self.role.arn if self.role else here.iam("role", wanted.making.path, self.role_name)


@dataclass(frozen=True)
class CreateProfile(Action):
    name: str = ""
    making: Making = NOTHING

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.create_profile(self.name, self.making)


@dataclass(frozen=True)
class TagProfile(Action):
    """after: the tags to set; other tags stay."""

    name: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.tag_profile(self.name, self.after)


@dataclass(frozen=True)
class FillProfile(Action):
    """Put the role into the profile, replacing the one in it."""

    name: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        if self.before:
            gateway.aws.empty_profile(self.name, self.before)
        gateway.aws.fill_profile(self.name, self.after)


@dataclass(frozen=True)
class DeleteProfile(Action):
    name: str = ""
    role: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        if self.role:
            gateway.aws.empty_profile(self.name, self.role)
        gateway.aws.delete_profile(self.name)


@dataclass(frozen=True)
class CreateGroup(Action):
    vpc_id: str = ""
    name: str = ""

    def run(self, gateway: Gateways, made: Made) -> Mapping[str, Any]:
        return {"group_id": gateway.aws.create_group(self.vpc_id, self.name, GROUP_DESCRIPTION, self.after["tags"])}


@dataclass(frozen=True)
class OnGroup(Action):
    """An action on the security group. group_id: empty for the one that this run creates."""

    group_id: str = ""

    def id(self, made: Made) -> str:
        return self.group_id or str(made["group_id"])


@dataclass(frozen=True)
class TagGroup(OnGroup):
    """after: the tags to set; other tags stay."""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.tag_ec2(self.id(made), self.after)


@dataclass(frozen=True)
class AllowEgress(OnGroup):
    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.allow_egress(self.id(made))


@dataclass(frozen=True)
class AllowItself(OnGroup):
    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.allow_itself(self.id(made))


@dataclass(frozen=True)
class DeleteGroup(OnGroup):
    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.delete_group(self.id(made))


@dataclass(frozen=True)
class CreateAccessEntry(Action):
    cluster: str = ""
    arn: str = ""
    kind: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.create_access_entry(self.cluster, self.arn, self.kind, self.tags)


@dataclass(frozen=True)
class DeleteAccessEntry(Action):
    cluster: str = ""
    arn: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.delete_access_entry(self.cluster, self.arn)


def check_nodes(nodes: Nodes, wanted: Desired, eks: EksCluster, here: Location) -> None:
    """Refuse a given object that cannot work."""
    if wanted.node_role_arn:
        _check_brought_role(nodes.role, wanted.node_role_arn, here)
    if wanted.instance_profile_arn:
        _check_brought_profile(nodes.profile, wanted, here)
    if wanted.security_group_id and (nodes.group is None or nodes.group.vpc_id != eks.vpc_id):
        raise Refused(
            f"{eks.vpc_id}, the VPC of cluster {eks.name}, has no security group {wanted.security_group_id}."
            f" Correct {SECURITY_GROUP_ID}."
        )


# What shows which cluster they belong to. Given objects are not changed.


def _shown_role(nodes: Nodes, wanted: Desired) -> Shown | None:
    if nodes.role is None or wanted.node_role_brought:
        return None
    evidence = short_id(wanted.cluster_id) in nodes.role_name
    return Shown(f"Role {nodes.role_name}", nodes.role, evidence, NODE_ROLE_ARN)


def _shown_profile(profile: Profile | None, wanted: Desired) -> Shown | None:
    if profile is None or wanted.instance_profile_arn:
        return None
    evidence = short_id(wanted.cluster_id) in profile.name
    return Shown(f"Instance profile {profile.name}", profile, evidence, INSTANCE_PROFILE_ARN)


def _shown_group(group: SecurityGroup | None, wanted: Desired) -> Shown | None:
    if group is None or wanted.security_group_id:
        return None
    return Shown(f"Security group {group.name}", group, False, SECURITY_GROUP_ID)


def _check_brought_role(role: Principal | None, arn: str, here: Location) -> None:
    if role is None or role.arn != arn:
        raise Refused(f"IAM has no role {arn} in account {here.account}. Correct {NODE_ROLE_ARN}.")
    if not policies.trusts(role.trust, "Service", here.ec2_service):
        raise Refused(
            f"Role {role.name} of {NODE_ROLE_ARN} does not trust {here.ec2_service}, which nodes need. Correct its"
            " trust policy, or use another role."
        )


def _check_brought_profile(profile: Profile | None, wanted: Desired, here: Location) -> None:
    arn = wanted.instance_profile_arn
    if profile is None or profile.arn != arn:
        raise Refused(f"IAM has no instance profile {arn} in account {here.account}. Correct {INSTANCE_PROFILE_ARN}.")
    if not profile.role:
        raise Refused(f"There is no role in {arn}. Add one to it, or correct {INSTANCE_PROFILE_ARN}.")
    if wanted.node_role_arn not in ("", profile.role_arn):
        raise Refused(
            f"{NODE_ROLE_ARN} is {wanted.node_role_arn}, but the role in {arn} is {profile.role_arn}. Leave one of the"
            " two out."
        )


def plan_nodes(nodes: Nodes, wanted: Desired, eks: EksCluster, here: Location) -> Iterator[Step]:
    ipv6 = eks.ip_family == "ipv6"
    if not wanted.node_role_brought:
        if ipv6:
            policy = WantedPolicy(policies.IPV6_NODES, IPV6_DESCRIPTION, wanted.shared)
            yield plan_policy(nodes.ipv6, policy, wanted.making, nodes.attached)
        yield Step(_shown_role(nodes, wanted), _plan_role(nodes, wanted, ipv6, here))
    if not wanted.instance_profile_arn:
        yield Step(_shown_profile(nodes.profile, wanted), _plan_profile(nodes, wanted))
    if not wanted.security_group_id:
        yield Step(_shown_group(nodes.group, wanted), _plan_group(nodes.group, wanted, eks))


def _plan_role(nodes: Nodes, wanted: Desired, ipv6: bool, here: Location) -> Iterator[Action]:
    arns = [*policies.aws_managed(here.partition, policies.OF_NODES), *wanted.node_policies]
    arns += [nodes.ipv6.arn] * ipv6
    trust = policies.trust_nodes(here)
    yield from plan_role(nodes.role, nodes.role_name, ROLE_USE, trust, ROLE_DESCRIPTION, wanted.making)
    option = NODE_POLICIES if wanted.node_policies else ""
    former = [nodes.unshared_ipv6.arn] * bool(nodes.unshared_ipv6.policy)
    yield from plan_attachments("role", nodes.role_name, nodes.attached, arns, former, option)


def _plan_profile(nodes: Nodes, wanted: Desired) -> Iterator[Action]:
    name, profile = nodes.profile_name, nodes.profile
    target = f"iam/instance-profile/{name}"
    if profile is None:
        yield CreateProfile(f"create instance profile {name}", target, None, {"name": name}, name, wanted.making)
    else:
        tags = missing_tags(wanted.making.tags, profile.tags)
        check_room(f"instance profile {name}", profile.tags, tags)
        if tags:
            yield TagProfile(f"tag instance profile {name}", f"{target}/tags", replaced(profile.tags, tags), tags, name)
    existing = profile.role if profile else ""
    if existing != nodes.role_name:
        instead = f" instead of {existing}" if existing else ""
        yield FillProfile(
            f"add role {nodes.role_name} to instance profile {name}{instead}",
            f"{target}/role",
            existing or None,
            nodes.role_name,
            name,
        )


def _plan_group(group: SecurityGroup | None, wanted: Desired, eks: EksCluster) -> Iterator[Action]:
    name = names.node_security_group(wanted.name)
    tags, target = {"Name": name, **wanted.making.tags}, f"ec2/security-group/{name}"
    if group is None:
        after = {"name": name, "tags": tags}
        yield CreateGroup(f"create security group {name} in {eks.vpc_id}", target, None, after, eks.vpc_id, name)
    else:
        missing = missing_tags(tags, group.tags)
        check_room(f"security group {name}", group.tags, missing)
        if missing:
            before = replaced(group.tags, missing)
            yield TagGroup(f"tag security group {name}", f"{target}/tags", before, missing, group.id)
        # EC2 gives a new security group in a VPC the rule that allows all outgoing traffic.
        if not group.egress_all:
            yield AllowEgress(
                f"allow all outgoing traffic of security group {name}", f"{target}/egress", None, "all", group.id
            )
    if group is None or not group.ingress_self:
        yield AllowItself(
            f"allow traffic within security group {name}",
            f"{target}/ingress",
            None,
            "all from itself",
            group.id if group else "",
        )


def plan_entry(nodes: Nodes, wanted: Desired, eks: EksCluster, here: Location) -> Iterator[Action]:
    if not eks.access_entries:
        return
    arn = nodes.role_arn(wanted, here)
    if nodes.entry is None:
        yield access_entry(wanted, arn, ENTRY_TYPE, "the nodes' role")
    elif nodes.entry.type != ENTRY_TYPE:
        raise Refused(
            f"The access entry of {arn} in cluster {eks.name} is of type {nodes.entry.type}, so Linux nodes cannot"
            f" join. Delete it, or set {NODE_ROLE_ARN} to another role."
        )
    elif not wanted.node_role_brought:
        yield from plan_entry_tags(nodes.entry, wanted)


def access_entry(wanted: Desired, arn: str, kind: str, whose: str) -> CreateAccessEntry:
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


@dataclass(frozen=True)
class TagAccessEntry(Action):
    """after: the tags to set; other tags stay. arn: the entry's own."""

    arn: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.tag_access_entry(self.arn, self.after)


def plan_entry_tags(entry: AccessEntry, wanted: Desired) -> Iterator[Action]:
    """Take over an entry that another tool created for this cluster's objects, so that removal deletes it."""
    tags = missing_tags(wanted.making.tags, entry.tags)
    check_room(f"the access entry of {entry.arn}", entry.tags, tags)
    if tags:
        yield TagAccessEntry(
            f"tag the access entry of {entry.arn} in cluster {wanted.name}",
            f"eks/access-entry/{entry.arn}/tags",
            replaced(entry.tags, tags),
            tags,
            entry.own_arn,
        )


def delete_entry(entry: AccessEntry, wanted: Desired, why: str = "") -> DeleteAccessEntry:
    return DeleteAccessEntry(
        f"delete the access entry of {entry.arn} in cluster {wanted.name}{why}",
        f"eks/access-entry/{entry.arn}",
        {"type": entry.type},
        None,
        wanted.name,
        entry.arn,
    )


def remove_entry(entry: AccessEntry | None, wanted: Desired, needed: str = "") -> Iterator[Removal]:
    """needed: why its role or user is kept, if others may have access through the entry."""
    if entry is None:
        return
    ours = entry.tags.get(TAG_CLUSTER_ID) == wanted.cluster_id
    kept = (needed and f"the role stays: {needed}") if ours else "it has no tag of this cluster"
    yield Removal(f"access entry of {entry.arn}", None, kept, delete_entry(entry, wanted))


def kept_role(nodes: Nodes, wanted: Desired) -> str:
    """Why removal keeps the nodes' role, or an empty text."""
    if wanted.node_role_brought:
        return f"it was set with {NODE_ROLE_ARN if wanted.node_role_arn else INSTANCE_PROFILE_ARN}"
    kept = wanted.owner.kept(_shown_role(nodes, wanted))
    if kept:
        return kept
    profile = nodes.profile
    gone = profile and not _remove_profile(profile, nodes.role_name, wanted).why_kept(wanted.owner)
    others = [name for name in nodes.used_by if not (gone and name == nodes.profile_name)]
    return f"it is in instance profile {', '.join(others)} too" if others else ""


def remove_nodes(nodes: Nodes, wanted: Desired, here: Location) -> Iterator[Removal]:
    """Remove each object before those that it uses. remove_group removes the security group."""
    if nodes.profile:
        yield _remove_profile(nodes.profile, nodes.role_name, wanted)
    detached: Collection[str] = ()
    kept, arn = kept_role(nodes, wanted), nodes.role_arn(wanted, here)
    if kept and arn:
        yield Removal(f"role {arn}", None, kept)
    elif nodes.role:
        # CAST AI's script attaches its IPv6 policy on IPv4 clusters too.
        ipv6 = {names.IPV6_POLICY, *names.cluster_policies(names.IPV6_POLICY, wanted.name, wanted.cluster_id)}
        ours = {*policies.aws_managed(here.partition, policies.OF_NODES), *wanted.node_policies, nodes.ipv6.arn}
        ours |= {arn for arn in nodes.attached if short_arn(arn) in ipv6}
        detached = nodes.attached
        shown, inline = _shown_role(nodes, wanted), dict.fromkeys(nodes.inline)
        yield remove_principal(nodes.role, shown, nodes.attached, ours, inline, "", option=NODE_POLICIES)
    yield from remove_policy(nodes.ipv6, wanted.shared, nodes.attached, detached)
    yield from remove_policy(nodes.unshared_ipv6, False, nodes.attached, detached)


def check_unused(nodes: Nodes, wanted: Desired) -> None:
    """Raise Refused if instances still need an object that is to be removed, whatever the options: they are nodes."""
    profile, group = nodes.profile, nodes.group
    if profile and _remove_profile(profile, nodes.role_name, wanted).why_kept(wanted.owner):
        profile = None
    if group and (wanted.security_group_id or _remove_group(group, wanted).why_kept(wanted.owner)):
        group = None
    users = [
        one.id
        for one in nodes.instances
        if (profile and one.profile_arn == profile.arn) or (group and group.id in one.groups)
    ]
    if users:
        what = [f"instance profile {profile.name}"] if profile else []
        what += [f"security group {group.name}"] if group else []
        raise Refused(
            f"Instances {', '.join(users)} use {' or '.join(what)}. Disconnect the cluster so that CAST AI removes"
            " its nodes, or terminate them, then run again."
        )


def remove_group(nodes: Nodes, wanted: Desired) -> Iterator[Removal]:
    if wanted.security_group_id:
        yield Removal(f"security group {wanted.security_group_id}", None, f"it was set with {SECURITY_GROUP_ID}")
    elif nodes.group:
        yield _remove_group(nodes.group, wanted)


def _remove_profile(profile: Profile, role: str, wanted: Desired) -> Removal:
    kept = ""
    if wanted.instance_profile_arn:
        kept = f"it was set with {INSTANCE_PROFILE_ARN}"
    elif profile.role not in ("", role):
        kept = f"others added role {profile.role} to it"
    delete = DeleteProfile(
        f"delete instance profile {profile.name}",
        f"iam/instance-profile/{profile.name}",
        {"role": profile.role},
        None,
        profile.name,
        profile.role,
    )
    return Removal(f"instance profile {profile.name}", _shown_profile(profile, wanted), kept, delete)


def _remove_group(group: SecurityGroup, wanted: Desired) -> Removal:
    delete = DeleteGroup(
        f"delete security group {group.name}", f"ec2/security-group/{group.name}", {"id": group.id}, None, group.id
    )
    return Removal(f"security group {group.name}", _shown_group(group, wanted), "", delete)
