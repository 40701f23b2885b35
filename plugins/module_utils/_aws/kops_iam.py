# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CAST AI's user for one kOps cluster. PRIVATE to the collection.

Everything is prepared first; CAST AI gets its key last. The documents: kops_policies. What all identities in AWS share:
options, systems, identity, keys, spot_role.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .._engine import Action, Made, Refused, Subject, at_once, results
from .._equal import same_policy
from .._gateways.aws_ec2 import Instance
from .._gateways.aws_iam import Making, Policy, Principal
from .._gateways.aws_session import region_of
from .._gateways.castai import Cluster
from .._names import TAG_CLUSTER, short_id
from .._owner import Owner, Removal, Shown, Step, asked, choose
from .._record import Wanted, check_record, check_removable, mismatch
from .._variables import named
from . import kops_policies, names, options, policies
from .identity import (
    ExistingPolicy,
    WantedPolicy,
    boundary_kept,
    delete_inline,
    plan_attachments,
    plan_policy,
    plan_user,
    remove_policy,
    remove_principal,
    short_arn,
)
from .keys import HANDED_OVER, ExistingKeys, check_keys, existing_keys, journal, plan_keys, plan_no_keys
from .options import AWS_RULES, Parameters, check_policies, user_entries
from .policies import Document, Location
from .quotas import confirm
from .spot_role import ExistingRole, plan_spot_role, remove_spot_role, spot_role_warnings
from .systems import Systems, connect

DESCRIPTION = "Policy to manage kops cluster used by CAST console"

OPTIONS: dict[str, Any] = {
    "argument_spec": {
        **options.OPTIONS,
        "provider": {"type": "str", "choices": ["kops"], "default": "kops"},
        "spot_lambda_role": {"type": "bool", "default": True},
    },
    **AWS_RULES,
}


@dataclass(frozen=True)
class Desired(Wanted):
    """What the user wants. Texts are empty if not given."""

    name: str
    region: str
    account_id: str
    owner: Owner
    managed_policy: Document | None
    restricted_policy: Document | None
    shared: bool
    """Whether the managed policy is the one that all clusters of the account share."""
    making: Making
    user_access: bool
    """Whether the user gets full control of a cluster that reads aws-auth."""
    vpc_account_id: str
    spot_role: bool

    @property
    def named_policies(self) -> dict[str, str]:
        """Policies that must exist, each with the option that names it, as messages write it."""
        boundary = self.making.boundary if self.present and self.prepare else ""
        return {boundary: named("permissions_boundary")} if boundary else {}


@dataclass(frozen=True)
class User:
    """CAST AI's user, under the name that it has or will get; principal: None if absent."""

    name: str = ""
    principal: Principal | None = None
    attached: tuple[str, ...] = ()
    inline: Mapping[str, Document | None] = field(default_factory=dict)
    """Inline policies by name; only the restricted one has its document."""
    keys: ExistingKeys = field(default_factory=ExistingKeys)

    @property
    def restricted(self) -> str:
        """The name of the restricted policy if it is an inline policy, regardless of case, or an empty text."""
        return next((name for name in self.inline if _same_name(name, names.KOPS_RESTRICTED_POLICY)), "")


@dataclass(frozen=True)
class Current:
    """The current state. caller: whose the credentials are; record: None if absent."""

    caller: str
    instances: tuple[Instance, ...]
    record: Cluster | None
    user: User = field(default_factory=User)
    managed: ExistingPolicy = field(default_factory=ExistingPolicy)
    restricted: ExistingPolicy = field(default_factory=ExistingPolicy)
    unshared: ExistingPolicy = field(default_factory=ExistingPolicy)
    """The cluster's own managed policy, if the cluster now shares the account's."""
    spot: ExistingRole = field(default_factory=ExistingRole)
    absent_policies: tuple[str, ...] = ()
    """Policies that options name and that do not exist."""


def desired(params: Parameters) -> Desired:
    found = list(options.problems(params, names.kops_cluster_problem(params["cluster_name"]), {}))
    if found:
        raise Refused(" ".join(found))
    name, cluster_id = params["cluster_name"], params["cluster_id"].lower()
    return Desired(
        name=name,
        region=region_of(params),
        account_id=params.get("account_id") or "",
        cluster_id=cluster_id,
        prepare=params["prepare"],
        hand_over=params["hand_over"],
        present=params["state"] == "present",
        force=params["force"],
        owner=Owner(name, cluster_id, params["adopt"]),
        managed_policy=params.get("managed_policy") or None,
        restricted_policy=params.get("restricted_policy") or None,
        shared=params["policy_scope"] == "account",
        making=options.making(params),
        user_access=params["user_access"] == "cluster_admin",
        vpc_account_id=params.get("vpc_account_id") or "",
        spot_role=params["spot_lambda_role"],
    )


def location(current: Current, wanted: Desired) -> Location:
    partition, account = current.caller.split(":")[1], current.caller.split(":")[4]
    vpcs = sorted({instance.vpc_id for instance in current.instances})
    vpc = vpcs[0] if vpcs else ""
    return Location(partition, account, wanted.region, wanted.name, vpc, wanted.vpc_account_id or account)


def observe(gateway: Systems, wanted: Desired) -> Current:
    """Round 1: AWS's lists, CAST AI, users and role by name. Round 2: what they contain and what is attached to them.
    Round 3: documents."""
    aws, castai = gateway.aws, gateway.castai
    users = names.kops_users(wanted.name, wanted.cluster_id)
    with at_once() as ask:
        caller = ask(aws.caller_arn)
        instances = ask.when(wanted.whole, aws.list_instances, wanted.name)
        recorded = ask.known(castai.get_cluster, wanted.cluster_id)
        all_policies = ask.when(wanted.whole, aws.list_policies)
        spot = ask.when(wanted.whole and (wanted.spot_role or not wanted.present), aws.get_role, names.SPOT_LAMBDA_ROLE)
        by_user = {name: ask.known(aws.get_user, name) for name in users}
        keys_by_user = {name: ask.known(aws.list_keys, name) for name in users}
    found_users = results(by_user)
    name = choose(found_users, dict.fromkeys(users, ""), wanted.owner)
    principal, keys = found_users[name], keys_by_user[name].result() or ()
    record, spot_role = recorded.result(), spot.result()
    if not wanted.whole:
        with at_once() as ask:
            last_used = {key.id: ask.known(aws.key_last_used, key.id) for key in keys if len(keys) > 1}
        of_user = existing_keys(keys, results(last_used), principal, record)
        return Current(caller.result(), (), record, User(name, principal, keys=of_user))
    sought = {
        "managed": _policy_names(names.KOPS_MANAGED_POLICY, wanted.shared, wanted),
        "restricted": _policy_names(names.KOPS_RESTRICTED_POLICY, False, wanted),
        **({"unshared": _policy_names(names.KOPS_MANAGED_POLICY, False, wanted)} if wanted.shared else {}),
    }
    arns = {
        one: next((arn for arn in all_policies.result() or () if _same_name(short_arn(arn), one)), "")
        for known in sought.values()
        for one in known
    }
    with at_once() as ask:
        attached = ask.when(bool(principal), aws.list_attached, "user", name)
        inline_names = ask.when(bool(principal), aws.list_inline, "user", name)
        spot_attached = ask.when(bool(spot_role), aws.list_attached, "role", names.SPOT_LAMBDA_ROLE)
        spot_inline = ask.when(bool(spot_role) and not wanted.present, aws.list_inline, "role", names.SPOT_LAMBDA_ROLE)
        # Nothing else shows which of two keys is in use, if this collection did not create them.
        last_used = {key.id: ask.known(aws.key_last_used, key.id) for key in keys if len(keys) > 1}
        by_arn = {arn: ask.known(aws.get_policy, arn) for arn in sorted(set(arns.values())) if arn}
        lacking = {arn: ask(aws.lacks_policy, arn) for arn in wanted.named_policies}
    current = Current(caller.result(), instances.result() or (), record)
    here, found_policies = location(current, wanted), results(by_arn)
    existing = {
        kind: _existing_policy({one: found_policies.get(arns[one]) for one in known}, known, here, wanted)
        for kind, known in sought.items()
    }
    inline = inline_names.result() or ()
    with at_once() as ask:
        read_inline = {
            one: ask.known(aws.get_inline, "user", name, one)
            for one in inline
            if _same_name(one, names.KOPS_RESTRICTED_POLICY)
        }
        read = {
            kind: ask.known(aws.get_policy_document, found.policy.arn, found.policy.version)
            for kind, found in existing.items()
            if found.policy
        }
    used, inline_documents, documents = results(last_used), results(read_inline), results(read)
    return replace(
        current,
        user=User(
            name,
            principal,
            attached.result() or (),
            {one: inline_documents.get(one) for one in inline},
            existing_keys(keys, used, principal, record),
        ),
        managed=replace(existing["managed"], document=documents.get("managed")),
        restricted=replace(existing["restricted"], document=documents.get("restricted")),
        unshared=replace(existing.get("unshared", ExistingPolicy()), document=documents.get("unshared")),
        absent_policies=tuple(arn for arn, absent in results(lacking).items() if absent),
        spot=ExistingRole(spot_role, spot_attached.result() or (), spot_inline.result() or ()),
    )


def _policy_names(base: str, shared: bool, wanted: Desired) -> tuple[str, ...]:
    return (base,) if shared else names.cluster_policies(base, wanted.name, wanted.cluster_id)


def _existing_policy(
    found: Mapping[str, Policy | None], known: Iterable[str], here: Location, wanted: Desired
) -> ExistingPolicy:
    """The policy to work with, spelled as it is in IAM; without its document."""
    name = choose(found, dict.fromkeys(known, ""), wanted.owner)
    policy = found[name]
    if policy:
        return ExistingPolicy(policy.name, policy.arn, policy)
    return ExistingPolicy(name, here.iam("policy", wanted.making.path, name))


@asked
def plan(current: Current, wanted: Desired) -> Iterator[Step | Removal]:
    refusal = " ".join(_misplaced(current, wanted))
    if refusal:
        raise Refused(refusal)
    here, user = location(current, wanted), current.user
    if not wanted.present:
        check_removable(current.record, wanted.force)
        yield from removals(current, wanted, here)
        return
    check_policies(current.absent_policies, wanted.named_policies)
    shown = _shown(user, wanted)
    yield Step(shown, ())  # check the owner before anything else that may be wrong with it
    check_keys(user.keys, user.name)
    if wanted.prepare:
        yield from _plan_user(current, wanted, here)
        if wanted.spot_role:
            yield Step(None, plan_spot_role(current.spot, wanted.owner, wanted.making, here.partition))
    if wanted.hand_over:
        yield Step(shown, plan_keys(user.keys, user.name, wanted.cluster_id, wanted.prepare))


def _misplaced(current: Current, wanted: Desired) -> Iterator[str]:
    """Why this is not the cluster that the user named, or why its VPC is not known."""
    account = current.caller.split(":")[4]
    record = check_record(current.record, wanted.cluster_id, wanted.present)
    if record and (record.provider, record.facts.get("clusterName")) != ("kops", wanted.name):
        yield mismatch(record, f"kOps cluster {wanted.name}", "kops", "kOps", names.recorded_kops_place)
    yield from filter(None, [names.account_problem(wanted.account_id, account)])
    if not (wanted.present and wanted.prepare):
        return
    vpcs = sorted({instance.vpc_id for instance in current.instances})
    if not vpcs:
        yield (
            f"EC2 has no running instance with tag KubernetesCluster={wanted.name} in {wanted.region} of account"
            f" {account}. Check {named('cluster_name')}, {named('region')} and the credentials."
        )
    elif len(vpcs) > 1:
        yield (
            f"The instances with tag KubernetesCluster={wanted.name} are in several VPCs, {', '.join(vpcs)}, so some"
            " belong to another cluster. Correct their tags."
        )


def _shown(user: User, wanted: Desired) -> Shown | None:
    """CAST AI's user, whose name may show that it belongs to this cluster."""
    principal = user.principal
    return Shown(f"User {user.name}", principal, short_id(wanted.cluster_id) in user.name) if principal else None


def _plan_user(current: Current, wanted: Desired, here: Location) -> Iterator[Step]:
    """The user with everything attached. Policies that replace older ones are attached before the older ones are
    detached."""
    user, making = current.user, wanted.making
    yield plan_policy(current.managed, _managed(here, wanted), making, user.attached)
    document = wanted.restricted_policy or kops_policies.kops_restricted(here)
    yield plan_policy(current.restricted, WantedPolicy(document, DESCRIPTION), making, user.attached)
    yield Step(_shown(user, wanted), _plan_principal(current, wanted, here))


def _plan_principal(current: Current, wanted: Desired, here: Location) -> Iterator[Action]:
    user = current.user
    yield from plan_user(user.principal, user.name, wanted.making, journal(user.keys), HANDED_OVER)
    arns = _attached_by_us(current, here)
    replaced = [arn for arn in user.attached if arn not in arns and _is_replaced(short_arn(arn), current)]
    yield from plan_attachments("user", user.name, user.attached, arns, replaced)
    if user.restricted:
        yield delete_inline("user", user.name, user.restricted, user.inline[user.restricted])


def _attached_by_us(current: Current, here: Location) -> list[str]:
    managed = policies.aws_managed(here.partition, kops_policies.OF_CASTAI)
    return [*managed, current.managed.arn, current.restricted.arn]


def _is_replaced(policy: str, current: Current) -> bool:
    """Whether a policy is an earlier one: the vendor's, in any spelling, or the cluster's own of another scope."""
    vendors = (names.KOPS_OLD_POLICY, names.KOPS_MANAGED_POLICY, names.KOPS_RESTRICTED_POLICY)
    known = (*vendors, current.unshared.name)
    return any(_same_name(policy, one) for one in known)


def _same_name(one: str, other: str) -> bool:
    """IAM names are unique regardless of case, but keep the case in which they were created."""
    return one.lower() == other.lower()


def removals(current: Current, wanted: Desired, here: Location) -> Iterator[Removal]:
    """Everything to remove, in an order that works: whatever uses an object is removed before it."""
    user, principal = current.user, current.user.principal
    shown = _shown(user, wanted)
    if principal:
        before = (arn for arn in user.attached if _is_replaced(short_arn(arn), current))
        ours = {*_attached_by_us(current, here), *before}
        keys = plan_no_keys(user.keys, user.name)
        yield remove_principal(principal, shown, user.attached, ours, user.inline, user.restricted, keys)
    detached = () if wanted.owner.kept(shown) else user.attached
    for existing, shared in ((current.managed, wanted.shared), (current.restricted, False), (current.unshared, False)):
        yield from remove_policy(existing, shared, user.attached, detached)
    yield from remove_spot_role(current.spot, wanted.owner, here.partition)


def identity_arn(current: Current, wanted: Desired, here: Location) -> str:
    user = current.user
    return user.principal.arn if user.principal else here.iam("user", wanted.making.path, user.name)


def view(current: Current, wanted: Desired, made: Made) -> Mapping[str, Any]:
    here, user = location(current, wanted), current.user
    arn = identity_arn(current, wanted, here)
    listed = wanted.present or not wanted.owner.kept(_shown(user, wanted))
    entries = user_entries(arn, user.name, wanted, bool(user.principal)) if listed else []
    if not wanted.whole:
        return {"identity_arn": arn}
    shown = {"access": {"aws_auth": entries}, "identity_arn": arn}
    if not wanted.present:
        return {**shown, "kept": list(made.get("kept", ()))}
    adopted = user.principal and TAG_CLUSTER not in user.principal.tags
    warnings = list(_warnings(current, wanted, here))
    return {
        **shown,
        "adopted": {user.name: "the onboarding script"} if adopted else {},
        "vpc_id": here.vpc,
        **({"warnings": warnings} if warnings else {}),
    }


def _warnings(current: Current, wanted: Desired, here: Location) -> Iterator[str]:
    managed, boundary, principal = current.managed, wanted.making.boundary, current.user.principal
    if wanted.shared and managed.policy and not same_policy(managed.document, _managed(here, wanted).document):
        yield (
            f"Policy {managed.name}, which the clusters of the account share, differs from the expected document and"
            " was left unchanged."
        )
    if boundary and principal and principal.boundary != boundary:
        yield boundary_kept(principal)
    if wanted.spot_role:
        yield from spot_role_warnings(current.spot, wanted.owner)


def _managed(here: Location, wanted: Desired) -> WantedPolicy:
    """The shared policy as in CAST AI's documents; a cluster's own leaves subnets to the restricted policy."""
    document = wanted.managed_policy or kops_policies.kops_managed(here, wanted.shared)
    return WantedPolicy(document, DESCRIPTION, wanted.shared)


SUBJECT = Subject(OPTIONS, desired, connect, observe, plan, view, confirm=confirm)
