# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What there is of CAST AI's identity on EKS, in AWS and at CAST AI: reads only. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from .. import _names as names
from .._engine import gather
from .._gateways.aws_eks import AccessEntry, EksCluster
from .._gateways.aws_iam import Policy, Principal
from .._gateways.castai import Cluster
from .._owner import choose
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
from .keys import ExistingKeys
from .options import absent_policies
from .policies import Document, Location
from .spot_role import ExistingRole
from .systems import Systems, read


@dataclass(frozen=True)
class Identity:
    """CAST AI's role or user under the name that it has or will have; principal: None for absent."""

    name: str = ""
    principal: Principal | None = None
    maker: str = ""
    """Which other tool's name it has, empty for the vendor's script's, which is ours too."""
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
    """What is there. eks, record: None for absent; principal_arn: CAST AI's own in AWS, empty for none yet."""

    eks: EksCluster | None
    record: Cluster | None
    principal_arn: str = ""
    identity: Identity = field(default_factory=Identity)
    managed: ExistingPolicy = field(default_factory=ExistingPolicy)
    restricted: ExistingPolicy = field(default_factory=ExistingPolicy)
    nodes: Nodes = field(default_factory=Nodes)
    spot: ExistingRole = field(default_factory=ExistingRole)
    dead_entries: tuple[AccessEntry, ...] = ()
    """Access entries whose role or user is gone, though it may have been made again since: EKS does not let that in."""
    absent_policies: tuple[str, ...] = ()
    """Policies that options name and that are not there."""


def observe(gateway: Systems, wanted: Desired) -> Current:
    """Round 1: EKS and CAST AI. Round 2: every object by its name. Round 3: what is in and attached to them."""
    aws, castai, user = gateway.aws, gateway.castai, wanted.user_mode
    first = gather(
        eks=partial(aws.describe_cluster, wanted.name),
        record=read(castai.get_cluster, wanted.cluster_id),
        principal=read(castai.get_principal, wanted.cluster_id, when=not user),
    )
    eks, record = first["eks"], first["record"]
    if eks is None:
        return Current(None, record)
    here = location(eks, wanted)
    principals = user_names(wanted) if user else role_names(record, wanted)
    node_roles, profiles = node_role_names(wanted), profile_names(wanted)
    sought = {
        "managed": policy_names(names.MANAGED_POLICY, wanted.shared, wanted),
        "restricted": policy_names(names.RESTRICTED_POLICY, False, wanted) if user else {},
        "ipv6": policy_names(names.IPV6_POLICY, wanted.shared, wanted) if eks.ip_family == "ipv6" else {},
    }
    arns = {arn for known in sought.values() for name in known for arn in policy_arns(here, wanted, name)}
    second = gather(
        **{f"principal {name}": read(aws.get_user if user else aws.get_role, name) for name in principals},
        **{f"keys {name}": read(aws.list_keys, name, when=user) for name in principals},
        **{f"node {name}": read(aws.get_role, name) for name in node_roles},
        **{f"profile {name}": read(aws.get_profile, name) for name in profiles},
        **{arn: read(aws.get_policy, arn) for arn in sorted(arns)},
        **absent_policies(aws, wanted.named_policies),
        spot=read(aws.get_role, names.SPOT_LAMBDA_ROLE, when=wanted.spot_role),
        group=read(aws.get_group, wanted.security_group_id)
        if wanted.security_group_id
        else read(aws.find_group, eks.vpc_id, names.node_security_group(wanted.name)),
    )

    def chosen(kind: str, makers: Mapping[str, str]) -> tuple[str, Any]:
        name = choose({name: second[f"{kind} {name}"] for name in makers}, makers, wanted.owner)
        return name, second.get(f"{kind} {name}")

    name, principal = chosen("principal", principals)
    node_name, node = chosen("node", node_roles)
    profile_name, profile = chosen("profile", profiles)
    existing = {kind: _existing_policy(second, known, here, wanted) for kind, known in sought.items()}
    makers = {**node_roles, **profiles}
    nodes = Nodes(
        role_name=node_name,
        role=node,
        ipv6=existing["ipv6"],
        profile_name=profile_name,
        profile=profile,
        group=second["group"],
        makers={name: makers.get(name, "") for name in (node_name, profile_name)},
    )
    kind, back = "user" if user else "role", not wanted.present
    node_arn, entries = nodes.role_arn(wanted, here), eks.access_entries
    arn = principal.arn if principal else here.iam(kind, wanted.making.path, name)
    keys = second.get(f"keys {name}") or ()
    third = gather(
        attached=read(aws.list_attached, kind, name, when=bool(principal)),
        inline=read(aws.get_inline, kind, name, names.RESTRICTED_POLICY, when=bool(principal)),
        others=read(aws.list_inline, kind, name, when=bool(principal) and back),
        entry=read(aws.get_access_entry, eks.name, arn, when=user and entries),
        access_policies=read(aws.list_access_policies, eks.name, arn, when=bool(principal) and user and entries),
        spot_attached=read(aws.list_attached, "role", names.SPOT_LAMBDA_ROLE, when=bool(second["spot"])),
        spot_inline=read(aws.list_inline, "role", names.SPOT_LAMBDA_ROLE, when=bool(second["spot"]) and back),
        node_attached=read(aws.list_attached, "role", node_name, when=bool(node)),
        node_inline=read(aws.list_inline, "role", node_name, when=bool(node) and back),
        instances=read(aws.list_vpc_instances, eks.vpc_id, when=back),
        node_profiles=read(aws.list_profiles, node_name, when=bool(node) and back),
        node_entry=read(aws.get_access_entry, eks.name, node_arn, when=bool(node_arn) and entries),
        # Nothing else shows which of two keys is in use, if this collection did not create them.
        **{key.id: read(aws.key_last_used, key.id) for key in keys if len(keys) > 1},
        **{
            f"document {kind}": read(aws.get_policy_document, found.policy.arn, found.policy.version)
            for kind, found in existing.items()
            if found.policy
        },
    )
    entry, node_entry = third["entry"], third["node_entry"]
    node_created = node.created if node else profile.role_created if wanted.instance_profile_arn and profile else None
    existing_entries = (
        (entry, principal, principal.created if principal else None),
        (node_entry, node or wanted.node_role_brought, node_created),
    )
    dead = tuple(one for one, holder, created in existing_entries if one and (not holder or one.outlived(created)))
    documents = {kind: replace(found, document=third.get(f"document {kind}")) for kind, found in existing.items()}
    return Current(
        eks,
        record,
        first["principal"] or "",
        Identity(
            name=name,
            principal=principal,
            maker=principals.get(name, ""),
            attached=third["attached"] or (),
            inline=third["inline"],
            others=third["others"] or (),
            keys=ExistingKeys(
                tuple(replace(key, last_used=third.get(key.id) or "") for key in keys),
                principal.tags if principal else {},
                record.credentials_id if record else "",
            ),
            entry=None if entry in dead else entry,
            access_policies=() if entry in dead else third["access_policies"] or (),
        ),
        documents["managed"],
        documents["restricted"],
        replace(
            nodes,
            attached=third["node_attached"] or (),
            inline=third["node_inline"] or (),
            used_by=third["node_profiles"] or (),
            instances=third["instances"] or (),
            ipv6=documents["ipv6"],
            entry=None if node_entry in dead else node_entry,
        ),
        ExistingRole(second["spot"], third["spot_attached"] or (), third["spot_inline"] or ()),
        dead,
        tuple(arn for arn in wanted.named_policies if second[f"absent {arn}"]),
    )


def _existing_policy(
    found: Mapping[str, Policy | None], known: Mapping[str, str], here: Location, wanted: Desired
) -> ExistingPolicy:
    """Without its document. found: policies by ARN; known: the names to look under, none where it is not needed."""
    if not known:
        return ExistingPolicy()
    by_name = {
        name: next(filter(None, (found[arn] for arn in policy_arns(here, wanted, name))), None) for name in known
    }
    name = choose(by_name, known, wanted.owner)
    policy = by_name[name]
    return ExistingPolicy(name, policy.arn if policy else policy_arns(here, wanted, name)[0], policy)
