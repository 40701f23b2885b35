# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The current state of CAST AI's identity on EKS, in AWS and at CAST AI: reads only. PRIVATE to the collection."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from .._engine import at_once, results
from .._gateways.aws import Aws
from .._gateways.aws_eks import AccessEntry, EksCluster
from .._gateways.aws_iam import Policy, Principal
from .._gateways.castai import Cluster
from .._owner import Candidates
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


@dataclass(frozen=True)
class Identity:
    """CAST AI's role or user, under the name that it has or will get; principal: None if absent."""

    name: str = ""
    principal: Principal | None = None
    maker: str = ""
    """Which other tool uses this name; empty for CAST AI's script, because we use its names too."""
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
    """Access entries whose role or user was deleted. It may exist again, but EKS does not admit a recreated one."""
    absent_policies: tuple[str, ...] = ()
    """Policies that options name and that do not exist."""
    caller: str = ""
    """The account of the AWS credentials, if EKS has no such cluster."""
    unshared: ExistingPolicy = field(default_factory=ExistingPolicy)
    """The cluster's own managed policy, if the cluster now shares the account's."""


def observe(gateway: Systems, wanted: Desired) -> Current:
    """Round 1: EKS and CAST AI. Round 2: every object by its name, and once more by its other names if it does not
    have the first. Last: what they contain and what is attached to them."""
    aws, castai, user = gateway.aws, gateway.castai, wanted.user_mode
    with at_once() as ask:
        described = ask(aws.describe_cluster, wanted.name)
        recorded = ask.known(castai.get_cluster, wanted.cluster_id)
        # A cluster with a user may have had a role before.
        castai_principal = ask.when(not (user and wanted.present), castai.get_principal, wanted.cluster_id)
    eks, record = described.result(), recorded.result()
    if eks is None:
        return Current(None, record, caller=aws.caller_account())
    here = location(eks, wanted)
    principals = Candidates(
        user_names(wanted) if user else role_names(record, wanted), aws.get_user if user else aws.get_role, wanted.owner
    )
    if not wanted.whole:
        identity = _credentials(aws, principals, record, wanted)
        return Current(eks, record, castai_principal.result() or "", identity)
    ipv6 = eks.ip_family == "ipv6"
    node_roles = Candidates(node_role_names(wanted), aws.get_role, wanted.owner)
    profiles = Candidates(profile_names(wanted), aws.get_profile, wanted.owner)
    sought = {
        kind: Candidates(known, partial(_policy, aws, here, wanted), wanted.owner)
        for kind, known in {
            "managed": policy_names(names.MANAGED_POLICY, wanted.shared, wanted),
            "restricted": policy_names(names.RESTRICTED_POLICY, False, wanted) if user else {},
            "unshared": policy_names(names.MANAGED_POLICY, False, wanted) if wanted.shared else {},
            "ipv6": policy_names(names.IPV6_POLICY, wanted.shared, wanted) if ipv6 else {},
            "unshared_ipv6": policy_names(names.IPV6_POLICY, False, wanted) if ipv6 and wanted.shared else {},
        }.items()
    }
    every: tuple[Candidates[Any], ...] = (principals, node_roles, profiles, *sought.values())
    with at_once() as ask:
        for candidates in every:
            candidates.ask(ask)
        by_user = {name: ask.when(user, aws.list_keys, name) for name in principals.makers}
        lacking = {arn: ask(aws.lacks_policy, arn) for arn in wanted.named_policies}
        spot = ask.when(wanted.spot_role, aws.get_role, names.SPOT_LAMBDA_ROLE)
        group = (
            ask.known(aws.get_group, wanted.security_group_id)
            if wanted.security_group_id
            else ask.known(aws.find_group, eks.vpc_id, names.node_security_group(wanted.name))
        )
    with at_once() as ask:
        for candidates in every:
            candidates.ask(ask)

    name, principal = principals.name, principals.chosen
    node_name, node, profile_name, profile = node_roles.name, node_roles.chosen, profiles.name, profiles.chosen
    existing = {kind: _existing_policy(candidates, here, wanted) for kind, candidates in sought.items()}
    makers = {**node_roles.makers, **profiles.makers}
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
            maker=principals.makers.get(name, ""),
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
            unshared_ipv6=with_documents["unshared_ipv6"],
            entry=None if node_entry in dead else node_entry,
        ),
        ExistingRole(spot_role, spot_attached.result() or (), spot_inline.result() or ()),
        dead,
        tuple(arn for arn, absent in results(lacking).items() if absent),
        unshared=with_documents["unshared"],
    )


def _credentials(aws: Aws, principals: Candidates[Principal], record: Cluster | None, wanted: Desired) -> Identity:
    """CAST AI's role or user with its keys only, which is all that a hand-over needs."""
    with at_once() as ask:
        principals.ask(ask)
        by_user = {name: ask.when(wanted.user_mode, aws.list_keys, name) for name in principals.makers}
    with at_once() as ask:
        principals.ask(ask)
    name, principal = principals.name, principals.chosen
    keys = by_user[name].result() or ()
    with at_once() as ask:
        last_used = {key.id: ask.known(aws.key_last_used, key.id) for key in keys if len(keys) > 1}
    existing = existing_keys(keys, results(last_used), principal, record)
    return Identity(name=name, principal=principal, maker=principals.makers.get(name, ""), keys=existing)


def _policy(aws: Aws, here: Location, wanted: Desired, name: str) -> Policy | None:
    """A policy of this name, under any path that it may have."""
    return next(filter(None, map(aws.get_policy, policy_arns(here, wanted, name))), None)


def _existing_policy(candidates: Candidates[Policy], here: Location, wanted: Desired) -> ExistingPolicy:
    """The policy without its document."""
    if not candidates.makers:
        return ExistingPolicy()
    name, policy = candidates.name, candidates.chosen
    return ExistingPolicy(name, policy.arn if policy else policy_arns(here, wanted, name)[0], policy)
