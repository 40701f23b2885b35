# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The current state of CAST AI's identity on EKS, in AWS and at CAST AI: reads only. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from .._engine import at_once, results
from .._gateways.aws import Aws
from .._gateways.aws_eks import AccessEntry, EksCluster
from .._gateways.aws_iam import Policy, Principal
from .._gateways.castai import Cluster
from .._owner import Owned, choose
from . import names
from .eks_nodes import Nodes
from .eks_wanted import (
    Desired,
    location,
    node_role_names,
    policy_arns,
    policy_names,
    profile_names,
    role_names,
    user_names,
)
from .identity import ExistingPolicy
from .keys import ExistingKeys, existing_keys
from .policies import Document, Location
from .spot_role import ExistingRole
from .systems import Systems

T = TypeVar("T", bound=Owned)


@dataclass(frozen=True)
class Identity:
    """CAST AI's role or user, under the name that it has or will get; principal: None if absent."""

    name: str = ""
    principal: Principal | None = None
    maker: str = ""
    """Which other tool uses this name; empty for the vendor's script, whose names we use too."""
    attached: tuple[str, ...] = ()
    inline: Document | None = None
    """The restricted policy's document."""
    others: tuple[str, ...] = ()
    """Names of all inline policies; only read for removal."""
    keys: ExistingKeys = field(default_factory=ExistingKeys)
    entry: AccessEntry | None = None
    """A user's access entry, and the access policies associated with it."""
    access_policies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Current:
    """The current state. eks, record: None if absent; principal_arn: CAST AI's own in AWS, empty if it has none yet."""

    eks: EksCluster | None
    record: Cluster | None
    principal_arn: str = ""
    identity: Identity = field(default_factory=Identity)
    managed: ExistingPolicy = field(default_factory=ExistingPolicy)
    restricted: ExistingPolicy = field(default_factory=ExistingPolicy)
    nodes: Nodes = field(default_factory=Nodes)
    spot: ExistingRole = field(default_factory=ExistingRole)
    dead_entries: tuple[AccessEntry, ...] = ()
    """Access entries whose role or user was deleted. It may exist again, but EKS does not let a recreated one in."""
    absent_policies: tuple[str, ...] = ()
    """Policies that options name and that do not exist."""
    caller: str = ""
    """The account of the AWS credentials, if EKS has no such cluster."""


def observe(gateway: Systems, wanted: Desired) -> Current:
    """Round 1: EKS and CAST AI. Round 2: every object by its name. Round 3: what they contain and what is attached to
    them."""
    aws, castai, user = gateway.aws, gateway.castai, wanted.user_mode
    with at_once() as ask:
        described = ask(aws.describe_cluster, wanted.name)
        recorded = ask.known(castai.get_cluster, wanted.cluster_id)
        castai_principal = ask.when(not user, castai.get_principal, wanted.cluster_id)
    eks, record = described.result(), recorded.result()
    if eks is None:
        return Current(None, record, caller=aws.caller_account())
    here = location(eks, wanted)
    principals = user_names(wanted) if user else role_names(record, wanted)
    if not wanted.whole:
        identity = _credentials(aws, principals, record, wanted)
        return Current(eks, record, castai_principal.result() or "", identity)
    node_roles, profiles = node_role_names(wanted), profile_names(wanted)
    sought = {
        "managed": policy_names(names.MANAGED_POLICY, wanted.shared, wanted),
        "restricted": policy_names(names.RESTRICTED_POLICY, False, wanted) if user else {},
        "ipv6": policy_names(names.IPV6_POLICY, wanted.shared, wanted) if eks.ip_family == "ipv6" else {},
    }
    arns = {arn for known in sought.values() for name in known for arn in policy_arns(here, wanted, name)}
    with at_once() as ask:
        by_principal = {name: ask.known(aws.get_user if user else aws.get_role, name) for name in principals}
        by_user = {name: ask.when(user, aws.list_keys, name) for name in principals}
        by_node_role = {name: ask.known(aws.get_role, name) for name in node_roles}
        by_profile = {name: ask.known(aws.get_profile, name) for name in profiles}
        by_arn = {arn: ask.known(aws.get_policy, arn) for arn in sorted(arns)}
        lacking = {arn: ask(aws.lacks_policy, arn) for arn in wanted.named_policies}
        spot = ask.when(wanted.spot_role, aws.get_role, names.SPOT_LAMBDA_ROLE)
        group = (
            ask.known(aws.get_group, wanted.security_group_id)
            if wanted.security_group_id
            else ask.known(aws.find_group, eks.vpc_id, names.node_security_group(wanted.name))
        )

    name, principal = _chosen(results(by_principal), principals, wanted)
    node_name, node = _chosen(results(by_node_role), node_roles, wanted)
    profile_name, profile = _chosen(results(by_profile), profiles, wanted)
    policies = results(by_arn)
    existing = {kind: _existing_policy(policies, known, here, wanted) for kind, known in sought.items()}
    makers = {**node_roles, **profiles}
    nodes = Nodes(
        role_name=node_name,
        role=node,
        ipv6=existing["ipv6"],
        profile_name=profile_name,
        profile=profile,
        group=group.result(),
        makers={name: makers.get(name, "") for name in (node_name, profile_name)},
    )
    kind, back = "user" if user else "role", not wanted.present
    node_arn, entries = nodes.role_arn(wanted, here), eks.access_entries
    arn = principal.arn if principal else here.iam(kind, wanted.making.path, name)
    keys = (by_user[name].result() if name in by_user else None) or ()
    spot_role = spot.result()
    with at_once() as ask:
        attached = ask.when(bool(principal), aws.list_attached, kind, name)
        inline = ask.when(bool(principal), aws.get_inline, kind, name, names.RESTRICTED_POLICY)
        others = ask.when(bool(principal) and back, aws.list_inline, kind, name)
        own_entry = ask.when(user and entries, aws.get_access_entry, eks.name, arn)
        access_policies = ask.when(bool(principal) and user and entries, aws.list_access_policies, eks.name, arn)
        spot_attached = ask.when(bool(spot_role), aws.list_attached, "role", names.SPOT_LAMBDA_ROLE)
        spot_inline = ask.when(bool(spot_role) and back, aws.list_inline, "role", names.SPOT_LAMBDA_ROLE)
        node_attached = ask.when(bool(node), aws.list_attached, "role", node_name)
        node_inline = ask.when(bool(node) and back, aws.list_inline, "role", node_name)
        instances = ask.when(back, aws.list_vpc_instances, eks.vpc_id)
        node_profiles = ask.when(bool(node) and back, aws.list_profiles, node_name)
        nodes_entry = ask.when(bool(node_arn) and entries, aws.get_access_entry, eks.name, node_arn)
        # Nothing else shows which of two keys is in use, if this collection did not create them.
        last_used = {key.id: ask.known(aws.key_last_used, key.id) for key in keys if len(keys) > 1}
        read = {
            kind: ask.known(aws.get_policy_document, found.policy.arn, found.policy.version)
            for kind, found in existing.items()
            if found.policy
        }
    entry, node_entry = own_entry.result(), nodes_entry.result()
    node_created = node.created if node else profile.role_created if wanted.instance_profile_arn and profile else None
    existing_entries = (
        (entry, principal, principal.created if principal else None),
        (node_entry, node or wanted.node_role_brought, node_created),
    )
    dead = tuple(one for one, holder, created in existing_entries if one and (not holder or one.outlived(created)))
    used, documents = results(last_used), results(read)
    with_documents = {kind: replace(found, document=documents.get(kind)) for kind, found in existing.items()}
    return Current(
        eks,
        record,
        castai_principal.result() or "",
        Identity(
            name=name,
            principal=principal,
            maker=principals.get(name, ""),
            attached=attached.result() or (),
            inline=inline.result(),
            others=others.result() or (),
            keys=existing_keys(keys, used, principal, record),
            entry=None if entry in dead else entry,
            access_policies=() if entry in dead else access_policies.result() or (),
        ),
        with_documents["managed"],
        with_documents["restricted"],
        replace(
            nodes,
            attached=node_attached.result() or (),
            inline=node_inline.result() or (),
            used_by=node_profiles.result() or (),
            instances=instances.result() or (),
            ipv6=with_documents["ipv6"],
            entry=None if node_entry in dead else node_entry,
        ),
        ExistingRole(spot_role, spot_attached.result() or (), spot_inline.result() or ()),
        dead,
        tuple(arn for arn, absent in results(lacking).items() if absent),
    )


def _credentials(aws: Aws, principals: Mapping[str, str], record: Cluster | None, wanted: Desired) -> Identity:
    """CAST AI's role or user with its keys, and nothing else of it: what a hand-over alone needs."""
    with at_once() as ask:
        by_principal = {
            name: ask.known(aws.get_user if wanted.user_mode else aws.get_role, name) for name in principals
        }
        by_user = {name: ask.when(wanted.user_mode, aws.list_keys, name) for name in principals}
    name, principal = _chosen(results(by_principal), principals, wanted)
    keys = by_user[name].result() or ()
    with at_once() as ask:
        last_used = {key.id: ask.known(aws.key_last_used, key.id) for key in keys if len(keys) > 1}
    existing = existing_keys(keys, results(last_used), principal, record)
    return Identity(name=name, principal=principal, maker=principals.get(name, ""), keys=existing)


def _chosen(found: Mapping[str, T | None], makers: Mapping[str, str], wanted: Desired) -> tuple[str, T | None]:
    """The name to work with, and what exists under it."""
    name = choose(found, makers, wanted.owner)
    return name, found.get(name)


def _existing_policy(
    found: Mapping[str, Policy | None], known: Mapping[str, str], here: Location, wanted: Desired
) -> ExistingPolicy:
    """The policy without its document. found: policies by ARN; known: the names to look under, none if it is not
    needed."""
    if not known:
        return ExistingPolicy()
    by_name = {
        name: next(filter(None, (found[arn] for arn in policy_arns(here, wanted, name))), None) for name in known
    }
    name = choose(by_name, known, wanted.owner)
    policy = by_name[name]
    return ExistingPolicy(name, policy.arn if policy else policy_arns(here, wanted, name)[0], policy)
