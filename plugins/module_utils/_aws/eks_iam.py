# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CAST AI's identity for one EKS cluster, and what its nodes need. PRIVATE to the collection.

Everything is prepared first; CAST AI gets its credentials last. Desired and current state: eks_wanted, eks_observed.
The nodes: eks_nodes. IAM in general: identity, keys, policies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .._engine import UNKNOWN, Action, CallFailed, Made, Refused, Subject, at_once, results
from .._equal import same_policy
from .._gateways.aws_eks import EksCluster
from .._gateways.aws_iam import Principal
from .._gateways.aws_session import Tagged
from .._gateways.castai import Cluster
from .._names import TAG_CLUSTER, TAG_CLUSTER_ID, short_id
from .._owner import Removal, Shown, Step, asked
from .._record import check_record, check_removable, mismatch
from .._variables import named
from . import names, policies, quotas
from .eks import named_cluster_problem, unusable_problem
from .eks_nodes import (
    access_entry,
    check_nodes,
    check_unused,
    delete_entry,
    kept_role,
    plan_entry,
    plan_entry_tags,
    plan_nodes,
    remove_entry,
    remove_group,
    remove_nodes,
)
from .eks_observed import Current, observe
from .eks_wanted import OPTIONS, Desired, desired, location
from .identity import (
    Gateways,
    WantedPolicy,
    boundary_kept,
    delete_inline,
    plan_attachments,
    plan_inline,
    plan_policy,
    plan_role,
    plan_user,
    remove_policy,
    remove_principal,
    short_arn,
)
from .keys import HANDED_OVER, TAG_CREDENTIALS, check_keys, journal, plan_keys, plan_no_keys
from .options import check_policies, user_entries
from .policies import Location
from .spot_role import plan_spot_role, remove_spot_role, spot_role_warnings
from .systems import connect

PROVIDER = "eks"

ROLE_USE = "which CAST AI assumes"
ROLE_DESCRIPTION = "Role to manage '{}' EKS cluster used by CAST AI"
POLICY_DESCRIPTION = "Policy to manage EKS cluster used by CAST AI"

NODE_USERNAME = "system:node:{{EC2PrivateDNSName}}"
NODE_GROUPS = ("system:bootstrappers", "system:nodes")
ADMIN_POLICY = "AmazonEKSClusterAdminPolicy"

ROLE_ARN = named("role_arn", "eks_onboard")


@dataclass(frozen=True)
class CreateCastPrincipal(Action):
    cluster_id: str = ""

    def run(self, gateway: Gateways, made: Made) -> Mapping[str, Any]:
        return {"principal_arn": gateway.castai.create_principal(self.cluster_id)}


@dataclass(frozen=True)
class DeleteCastPrincipal(Action):
    cluster_id: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.castai.delete_principal(self.cluster_id)


@dataclass(frozen=True)
class AssociatePolicy(Action):
    cluster: str = ""
    arn: str = ""
    policy: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.associate_access_policy(self.cluster, self.arn, self.policy)


@dataclass(frozen=True)
class HandOverRole(Action):
    """role: the name of the role whose tags record it, empty for one that is not changed. keys: users and keys that
    CAST AI had before, deleted before it is recorded, so that a run that ends in between is continued."""

    cluster_id: str = ""
    arn: str = ""
    role: str = ""
    keys: tuple[tuple[str, str], ...] = ()

    def run(self, gateway: Gateways, made: Made) -> None:
        credentials = gateway.castai.set_role(self.cluster_id, PROVIDER, self.arn).credentials_id
        try:
            for user, key_id in self.keys:
                gateway.aws.delete_key(user, key_id)
            if self.role:
                gateway.aws.tag_principal("role", self.role, {TAG_CREDENTIALS: credentials})
        except CallFailed as failure:
            raise CallFailed(f"{failure} CAST AI already has the role.", unsure=failure.unsure) from failure


@asked
def plan(current: Current, wanted: Desired) -> Iterator[Step | Removal]:
    eks = current.eks
    refusal = named_cluster_problem(eks, wanted.name, wanted.region, wanted.account_id, current.caller)
    if eks and wanted.present:
        refusal = refusal or unusable_problem(eks)
    if eks is None or refusal:
        raise Refused(refusal)
    _check_record(current.record, eks, wanted)
    here = location(eks, wanted)
    if not wanted.present:
        check_removable(current.record, wanted.force)
        check_unused(current.nodes, wanted)
        yield from removals(current, wanted, here)
        return
    check_policies(current.absent_policies, wanted.named_policies)
    _check_identity(current, wanted, here)
    shown = _shown(current, wanted)
    yield Step(shown, ())  # check the owner before anything else that may be wrong with it
    check_keys(current.identity.keys, current.identity.name)
    if wanted.prepare:
        check_nodes(current.nodes, wanted, eks, here)
        # This comes first: once their role or user exists again, only the times show that they are dead.
        dead = (delete_entry(entry, wanted, ", whose role or user is gone") for entry in current.dead_entries)
        yield Step(None, dead)
        yield from _plan_identity(current, wanted, here)
        yield from plan_nodes(current.nodes, wanted, eks, here)
        yield Step(None, plan_entry(current.nodes, wanted, eks, here))
        yield Step(None, _plan_user_access(current, wanted, eks, here))
        if wanted.spot_role:
            yield Step(None, plan_spot_role(current.spot, wanted.owner, wanted.making, here.partition))
    if wanted.hand_over:
        yield Step(shown, _plan_hand_over(current, wanted, here))


def _check_record(record: Cluster | None, eks: EksCluster, wanted: Desired) -> None:
    record = check_record(record, wanted.cluster_id, wanted.present)
    if record is None:
        return
    known = [record.facts.get(key) for key in ("accountId", "region", "clusterName")]
    if (record.provider, *known) != (PROVIDER, eks.account_id, eks.region, eks.name):
        ours = f"EKS cluster {eks.name} of account {eks.account_id} in {eks.region}"
        raise Refused(mismatch(record, ours, PROVIDER, "EKS", names.recorded_eks_place))


def _check_identity(current: Current, wanted: Desired, here: Location) -> None:
    """Refuse a given role that cannot work, and role mode if CAST AI's principal cannot be trusted."""
    principal, castai = current.identity.principal, current.principal_arn
    if not wanted.user_mode and (castai.split(":")[1] if castai else "aws") != here.partition:
        whose = f"CAST AI's principal {castai}" if castai else "CAST AI's principal, which is in partition aws,"
        raise Refused(
            f"{whose} cannot be trusted by a role in partition {here.partition}. Set"
            f" {named('identity', 'eks_onboard')} to user."
        )
    if not wanted.role_arn:
        return
    if principal is None or principal.arn != wanted.role_arn:
        raise Refused(f"IAM has no role {wanted.role_arn} in account {here.account}. Correct {ROLE_ARN}.")
    if not castai and wanted.hand_over:
        raise Refused(
            f"CAST AI has no principal for cluster {wanted.cluster_id} yet, so role {principal.name} cannot trust it."
            " Run castai_iam_eks once with hand_over: false to create it, then allow the result's principal_arn to"
            " assume the role."
        )
    if castai and not policies.trusts(principal.trust, "AWS", castai, wanted.cluster_id):
        raise Refused(
            f"Role {principal.name} of {ROLE_ARN} does not trust CAST AI. Its trust policy must allow {castai} to"
            f" call sts:AssumeRole with sts:ExternalId {wanted.cluster_id}."
        )


def _shown(current: Current, wanted: Desired) -> Shown | None:
    """CAST AI's role or user, which CAST AI's record or its name may show to belong to this cluster. A given role is
    not changed."""
    principal = current.identity.principal
    if principal is None or wanted.role_arn:
        return None
    recorded = current.record is not None and current.record.facts.get("assumeRoleArn") == principal.arn
    evidence = recorded or short_id(wanted.cluster_id) in principal.name
    what = f"{principal.kind.capitalize()} {principal.name}"
    return Shown(what, principal, evidence, "" if wanted.user_mode else ROLE_ARN)


def _plan_identity(current: Current, wanted: Desired, here: Location) -> Iterator[Step]:
    """The role or user with everything attached. A policy that replaces the account's shared one is attached before
    that one is detached."""
    making, attached = wanted.making, current.identity.attached
    if not wanted.user_mode and not current.principal_arn:
        create = CreateCastPrincipal(
            f"create CAST AI's principal for cluster {wanted.cluster_id}",
            f"castai/cluster/{wanted.cluster_id}/principal",
            None,
            UNKNOWN,
            wanted.cluster_id,
        )
        yield Step(None, (create,))
    if wanted.role_arn:
        return
    document = wanted.restricted_policy or policies.eks_restricted(here)
    yield plan_policy(current.managed, _managed(here, wanted), making, attached)
    if wanted.user_mode:
        yield plan_policy(current.restricted, WantedPolicy(document, POLICY_DESCRIPTION), making, attached)
    yield Step(_shown(current, wanted), _plan_principal(current, wanted, here, document))


def _plan_principal(current: Current, wanted: Desired, here: Location, document: policies.Document) -> Iterator[Action]:
    """document: the restricted policy, which is a policy of a user, or in a role."""
    identity, making = current.identity, wanted.making
    arns = [*policies.aws_managed(here.partition, policies.OF_CASTAI), current.managed.arn]
    if wanted.user_mode:
        arns.append(current.restricted.arn)
        yield from plan_user(identity.principal, identity.name, making, journal(identity.keys), HANDED_OVER)
    else:
        trust = policies.trust_castai(current.principal_arn or UNKNOWN, wanted.cluster_id)
        description = ROLE_DESCRIPTION.format(wanted.name)
        yield from plan_role(
            identity.principal, identity.name, ROLE_USE, trust, description, making, (TAG_CREDENTIALS,)
        )
        yield from plan_inline("role", identity.name, names.RESTRICTED_POLICY, identity.inline, document)
    other = current.unshared.name if wanted.shared else names.MANAGED_POLICY
    replaced = [arn for arn in identity.attached if short_arn(arn) == other]
    kind = "user" if wanted.user_mode else "role"
    yield from plan_attachments(kind, identity.name, identity.attached, arns, replaced)
    if wanted.user_mode and identity.inline is not None:
        yield delete_inline("user", identity.name, names.RESTRICTED_POLICY, identity.inline)


def _plan_user_access(current: Current, wanted: Desired, eks: EksCluster, here: Location) -> Iterator[Action]:
    if not (wanted.user_mode and eks.access_entries):
        return
    if not wanted.user_access:
        own = current.identity.entry
        if own and own.tags.get(TAG_CLUSTER_ID) == wanted.cluster_id:
            yield delete_entry(own, wanted)
        return
    identity, arn = current.identity, identity_arn(current, wanted, here)
    if identity.entry is None:
        yield access_entry(wanted, arn, "STANDARD", "CAST AI's user")
    else:
        yield from plan_entry_tags(identity.entry, wanted)
    policy = f"arn:{here.partition}:eks::aws:cluster-access-policy/{ADMIN_POLICY}"
    if policy not in identity.access_policies:
        yield AssociatePolicy(
            f"give user {identity.name} full control of cluster {eks.name} ({ADMIN_POLICY})",
            f"eks/access-entry/{arn}/{ADMIN_POLICY}",
            None,
            "associated",
            eks.name,
            arn,
            policy,
        )


def _plan_hand_over(current: Current, wanted: Desired, here: Location) -> Iterator[Action]:
    if wanted.user_mode:
        yield from plan_keys(current.identity.keys, current.identity.name, wanted.cluster_id, wanted.prepare)
        return
    arn, record, principal = identity_arn(current, wanted, here), current.record, current.identity.principal
    credentials = record.credentials_id if record else ""
    existing = record.facts.get("assumeRoleArn", "") if record and credentials else ""
    # CAST AI still shows the role if it got a key since. Only the tag proves that it works with the role.
    noted = wanted.role_arn or (principal and principal.tags.get(TAG_CREDENTIALS) == credentials)
    if existing != arn or not noted:
        yield _give_role(arn, existing, wanted, "" if wanted.role_arn else current.identity.name)


def _give_role(arn: str, existing: str, wanted: Desired, role: str) -> HandOverRole:
    return HandOverRole(
        f"give CAST AI role {arn} for cluster {wanted.cluster_id}",
        f"castai/cluster/{wanted.cluster_id}/role",
        existing or None,
        arn,
        wanted.cluster_id,
        arn,
        role,
    )


def confirm(gateway: Gateways, wanted: Desired, current: Current, actions: tuple[Action, ...]) -> tuple[Action, ...]:
    """Delete the keys of this cluster's user when CAST AI gets a role instead. They are only looked for then, and if a
    role of the user's own has no tag that proves that CAST AI works with it."""
    quotas.confirm(gateway, wanted, current, actions)
    if not (current.record and current.record.credentials_id):
        return actions
    if (
        wanted.role_arn
        and wanted.present
        and wanted.hand_over
        and not any(isinstance(one, HandOverRole) for one in actions)
    ):
        again = _ending(gateway, wanted, _give_role(wanted.role_arn, wanted.role_arn, wanted, ""))
        return (*actions, again) if again.keys else actions
    return tuple(_ending(gateway, wanted, one) if isinstance(one, HandOverRole) else one for one in actions)


def _ending(gateway: Gateways, wanted: Desired, hand_over: HandOverRole) -> HandOverRole:
    """The hand-over with the keys that end with it."""
    users = names.eks_users(wanted.name, wanted.cluster_id)
    with at_once() as ask:
        found = {name: ask(gateway.aws.get_user, name) for name in users}
    own = [name for name, user in results(found).items() if user and wanted.cluster_id in user.cluster_ids]
    with at_once() as ask:
        listed = {name: ask(gateway.aws.list_keys, name) for name in own}
    keys = tuple((name, key.id) for name, of_user in results(listed).items() for key in of_user or ())
    ended = " and ".join(f"{key_id} of user {name}" for name, key_id in keys)
    sentence = f"{hand_over.sentence}, then delete access key {ended}" if keys else hand_over.sentence
    return replace(hand_over, sentence=sentence, keys=keys)


def removals(current: Current, wanted: Desired, here: Location) -> Iterator[Removal]:
    """Everything to remove, in an order that works: whatever uses an object is removed before it.

    The security group goes first: EC2 does not delete it while something uses it, and then everything else stays too.
    """
    identity = current.identity
    yield from remove_group(current.nodes, wanted)
    for entry in (identity.entry, *current.dead_entries):
        yield from remove_entry(entry, wanted)
    needed = "" if wanted.node_role_brought else kept_role(current.nodes, wanted)
    yield from remove_entry(current.nodes.entry, wanted, needed)
    if identity.principal:
        yield _remove_identity(current, identity.principal, wanted, here)
    detached = () if _kept(current, wanted) else identity.attached
    yield from remove_policy(current.managed, wanted.shared, identity.attached, detached)
    yield from remove_policy(current.restricted, False, identity.attached, detached)
    yield from remove_policy(current.unshared, False, identity.attached, detached)
    yield from remove_nodes(current.nodes, wanted, here)
    yield from remove_spot_role(current.spot, wanted.owner, here.partition)
    if current.principal_arn:
        delete = DeleteCastPrincipal(
            f"delete CAST AI's principal for cluster {wanted.cluster_id}",
            f"castai/cluster/{wanted.cluster_id}/principal",
            current.principal_arn,
            None,
            wanted.cluster_id,
        )
        kept = f"role {wanted.role_arn} trusts it" if wanted.role_arn else ""
        yield Removal(f"CAST AI's principal {current.principal_arn}", None, kept, delete)


def _remove_identity(current: Current, principal: Principal, wanted: Desired, here: Location) -> Removal:
    identity = current.identity
    if wanted.role_arn:
        return Removal(f"{principal.kind} {principal.name}", None, _kept(current, wanted))
    shared = (arn for arn in identity.attached if short_arn(arn) == names.MANAGED_POLICY)
    by_script = policies.OF_SCRIPTS_USER if wanted.user_mode else ()
    ours = {
        *policies.aws_managed(here.partition, (*policies.OF_CASTAI, *by_script)),
        current.managed.arn,
        current.restricted.arn,
        current.unshared.arn,
        *shared,
    }
    inline = {**dict.fromkeys(identity.others), names.RESTRICTED_POLICY: identity.inline}
    inline = {name: document for name, document in inline.items() if name in identity.others}
    keys = plan_no_keys(identity.keys, identity.name)
    shown = _shown(current, wanted)
    return remove_principal(principal, shown, identity.attached, ours, inline, names.RESTRICTED_POLICY, keys)


def _kept(current: Current, wanted: Desired) -> str:
    """Why removal keeps CAST AI's role or user, or an empty text."""
    return f"it was set with {ROLE_ARN}" if wanted.role_arn else wanted.owner.kept(_shown(current, wanted))


def identity_arn(current: Current, wanted: Desired, here: Location) -> str:
    identity = current.identity
    if wanted.role_arn or identity.principal:
        return wanted.role_arn or identity.principal.arn  # type: ignore[union-attr]
    return here.iam("user" if wanted.user_mode else "role", wanted.making.path, identity.name)


def access(current: Current, wanted: Desired, here: Location, eks: EksCluster) -> dict[str, Any]:
    """How the cluster lets principals in, and why. aws_auth: what castai_aws_auth has to add or remove.

    On removal, the entry of a role or user that stays is left out, because it may have existed before.
    """
    mode = f"The cluster's authentication mode is {eks.authentication_mode}"
    if eks.access_entries:
        return {"way": "access_entry", "reason": f"{mode}, which supports access entries.", "aws_auth": []}
    entries: list[dict[str, Any]] = []
    if wanted.present or not kept_role(current.nodes, wanted):
        node = current.nodes.role_arn(wanted, here)
        entries.append({"role_arn": node, "username": NODE_USERNAME, "groups": list(NODE_GROUPS)})
    if wanted.user_mode and (wanted.present or not _kept(current, wanted)):
        user = identity_arn(current, wanted, here)
        entries += user_entries(user, current.identity.name, wanted, bool(current.identity.principal))
    return {"way": "aws_auth", "reason": f"{mode}, which does not support access entries.", "aws_auth": entries}


def view(current: Current, wanted: Desired, made: Made) -> Mapping[str, Any]:
    eks, nodes = current.eks, current.nodes
    if eks is None:
        return {}
    here = location(eks, wanted)
    principal_arn = "" if wanted.user_mode else made.get("principal_arn") or current.principal_arn or UNKNOWN
    shown: dict[str, Any] = {"identity_arn": identity_arn(current, wanted, here)}
    if not wanted.whole:
        return {**shown, "principal_arn": principal_arn}
    shown["access"] = access(current, wanted, here, eks)
    if not wanted.present:
        return {**shown, "kept": list(made.get("kept", ()))}
    profile_arn = here.iam("instance-profile", wanted.making.path, nodes.profile_name)
    warnings = list(_warnings(current, wanted, here))
    return {
        **shown,
        "adopted": _adopted(current, wanted),
        "instance_profile_arn": nodes.profile.arn if nodes.profile else profile_arn,
        "node_role_arn": nodes.role_arn(wanted, here),
        "principal_arn": principal_arn,
        "security_group_id": made.get("group_id") or (nodes.group.id if nodes.group else UNKNOWN),
        **({"warnings": warnings} if warnings else {}),
    }


def _adopted(current: Current, wanted: Desired) -> dict[str, str]:
    """Which other tools created the existing objects, by their names."""
    identity, nodes = current.identity, current.nodes
    found: dict[str, Tagged | None] = {
        identity.name: None if wanted.role_arn else identity.principal,
        nodes.role_name: None if wanted.node_role_brought else nodes.role,
        nodes.profile_name: None if wanted.instance_profile_arn else nodes.profile,
    }
    if nodes.group and not wanted.security_group_id:
        found[nodes.group.name] = nodes.group
    makers = {identity.name: identity.maker, **nodes.makers}
    return {
        name: makers.get(name) or "the onboarding script"
        for name, existing in found.items()
        if existing and (makers.get(name) or TAG_CLUSTER not in existing.tags)
    }


def _warnings(current: Current, wanted: Desired, here: Location) -> Iterator[str]:
    managed, boundary = current.managed, wanted.making.boundary
    if wanted.shared and managed.policy and not same_policy(managed.document, _managed(here, wanted).document):
        yield (
            f"Policy {managed.name}, which the clusters of the account share, differs from the expected document and"
            " was left unchanged."
        )
    made = [
        None if wanted.role_arn else current.identity.principal,
        None if wanted.node_role_brought else current.nodes.role,
    ]
    for existing in filter(None, made):
        if boundary and existing.boundary != boundary:
            yield boundary_kept(existing)
    yield from spot_role_warnings(current.spot, wanted.owner)


def _managed(here: Location, wanted: Desired) -> WantedPolicy:
    return WantedPolicy(wanted.managed_policy or policies.eks_managed(here), POLICY_DESCRIPTION, wanted.shared)


SUBJECT = Subject(OPTIONS, desired, connect, observe, plan, view, confirm=confirm)
