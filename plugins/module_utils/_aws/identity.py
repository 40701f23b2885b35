# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An identity for CAST AI in IAM: one role or user, its policies, its one access key. PRIVATE to the collection.

Shared by every kind of cluster on AWS. Only what carries our name or tag is changed; what is attached by others stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from .._castai.gateway import CastAi
from .._engine import UNKNOWN, Action, Made, Refused
from .._equal import same_policy, same_tags
from .._names import TAG_CLUSTER, TAG_CLUSTER_ID
from .gateway import AccessKey, Aws, Making, Policy, Principal

TAG_KEY = "castai-onboarding:access-key"
TAG_CREDENTIALS = "castai-onboarding:credentials-id"
"""Tags of a user whose key was handed over: the key's id, and CAST AI's id of the credentials made of it."""

Document = Mapping[str, Any]

NOTHING = Making("/", "", {})


class Gateways(Protocol):
    """What the actions here need: AWS, and CAST AI for the hand-over."""

    @property
    def aws(self) -> Aws: ...

    @property
    def castai(self) -> CastAi: ...


@dataclass(frozen=True)
class Owner:
    """The cluster that objects are made for, and how to tell its own from others'."""

    cluster: str
    cluster_id: str
    tags: Mapping[str, str]
    adopt: bool

    def check(self, what: str, tags: Mapping[str, str], evidence: bool, external_id: str = "") -> None:
        """Raise Refused where an object that is there belongs to another cluster, or where nothing tells whose it is.

        evidence: other signs that it is this cluster's (CAST AI's record, the cluster's id in its name).
        """
        marks = {mark for mark in (tags.get(TAG_CLUSTER_ID), external_id) if mark}
        others = marks - {self.cluster_id}
        if others:
            name = tags.get(TAG_CLUSTER)
            raise Refused(
                f"{what} belongs to another cluster, {', '.join(sorted(others))}{f' ({name})' if name else ''}:"
                f" give cluster {self.cluster} another one by the option for it."
            )
        if not (marks or evidence or self.adopt):
            raise Refused(
                f"{what} is there, but nothing tells that it is cluster {self.cluster}'s: set adopt to true to take it"
                " over, or delete it."
            )


@dataclass(frozen=True)
class WantedPolicy:
    """A customer-managed policy. shared: other clusters use it too, so that it is created when absent and then left."""

    name: str
    arn: str
    document: Document
    description: str
    shared: bool = False


@dataclass(frozen=True)
class HeldPolicy:
    """policy: None for absent. document: of the default version."""

    policy: Policy | None = None
    document: Document | None = None


@dataclass(frozen=True)
class CreatePolicy(Action):
    name: str = ""
    description: str = ""
    making: Making = NOTHING

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.create_policy(self.name, self.after, self.description, self.making)


@dataclass(frozen=True)
class UpdatePolicy(Action):
    arn: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.update_policy(self.arn, self.after)


@dataclass(frozen=True)
class DeletePolicy(Action):
    arn: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.delete_policy(self.arn)


@dataclass(frozen=True)
class TagPolicy(Action):
    arn: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.tag_policy(self.arn, self.after)


@dataclass(frozen=True)
class CreateRole(Action):
    """after: the trust policy, whose principal may be known only now."""

    name: str = ""
    description: str = ""
    making: Making = NOTHING

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.create_role(self.name, _filled(self.after, made), self.description, self.making)


@dataclass(frozen=True)
class CreateUser(Action):
    name: str = ""
    making: Making = NOTHING

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.create_user(self.name, self.making)


@dataclass(frozen=True)
class OnPrincipal(Action):
    """An action on one role or user."""

    kind: str = ""
    name: str = ""


@dataclass(frozen=True)
class SetTrust(OnPrincipal):
    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.set_trust(self.name, _filled(self.after, made))


@dataclass(frozen=True)
class TagPrincipal(OnPrincipal):
    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.tag_principal(self.kind, self.name, self.after)


@dataclass(frozen=True)
class DeletePrincipal(OnPrincipal):
    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.delete_principal(self.kind, self.name)


@dataclass(frozen=True)
class Attach(OnPrincipal):
    arn: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.attach(self.kind, self.name, self.arn)


@dataclass(frozen=True)
class Detach(OnPrincipal):
    arn: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.detach(self.kind, self.name, self.arn)


@dataclass(frozen=True)
class PutInline(OnPrincipal):
    policy: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.put_inline(self.kind, self.name, self.policy, self.after)


@dataclass(frozen=True)
class DeleteInline(OnPrincipal):
    policy: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.delete_inline(self.kind, self.name, self.policy)


@dataclass(frozen=True)
class DeleteKey(Action):
    user: str = ""
    key_id: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.delete_key(self.user, self.key_id)


@dataclass(frozen=True)
class HandOverKey(Action):
    """Make a key, give it to CAST AI, note both ids on the user. The secret is nowhere but in this call."""

    user: str = ""
    cluster_id: str = ""

    def run(self, gateway: Gateways, made: Made) -> Mapping[str, Any]:
        key_id, secret = gateway.aws.create_key(self.user)
        record = gateway.castai.set_key(self.cluster_id, key_id, secret)
        gateway.aws.tag_principal("user", self.user, {TAG_KEY: key_id, TAG_CREDENTIALS: record.credentials_id})
        return {"record": record}


def plan_policy(
    held: HeldPolicy, wanted: WantedPolicy, owner: Owner, making: Making, attached: bool
) -> Iterator[Action]:
    """attached: whether the cluster's own identity has it, which tells that an unmarked policy is this cluster's."""
    if held.policy is None:
        yield CreatePolicy(
            f"create policy {wanted.name}",
            f"iam/policy/{wanted.name}",
            None,
            wanted.document,
            wanted.name,
            wanted.description,
            making,
        )
        return
    if wanted.shared:
        return
    owner.check(f"Policy {wanted.name}", held.policy.tags, attached)
    if not same_policy(held.document, wanted.document):
        yield UpdatePolicy(
            f"bring policy {wanted.name} up to date",
            f"iam/policy/{wanted.name}",
            held.document,
            wanted.document,
            wanted.arn,
        )
    if not same_tags(making.tags, held.policy.tags):
        yield TagPolicy(
            f"tag policy {wanted.name}",
            f"iam/policy/{wanted.name}/tags",
            dict(held.policy.tags),
            dict(making.tags),
            wanted.arn,
        )


def plan_role(held: Principal | None, name: str, trust: Document, description: str, making: Making) -> Iterator[Action]:
    """The role itself, its trust and tags; whose it is has been checked."""
    if held is None:
        yield CreateRole(f"create role {name}", f"iam/role/{name}", None, trust, name, description, making)
        return
    if not same_policy(held.trust, trust):
        yield SetTrust(
            f"set the trust policy of role {name}", f"iam/role/{name}", dict(held.trust), trust, "role", name
        )
    yield from plan_tags(held, making)


def plan_user(held: Principal | None, name: str, making: Making) -> Iterator[Action]:
    if held is None:
        yield CreateUser(f"create user {name}", f"iam/user/{name}", None, {"name": name}, name, making)
    else:
        yield from plan_tags(held, making)


def plan_tags(held: Principal, making: Making) -> Iterator[Action]:
    if not same_tags(making.tags, held.tags):
        yield TagPrincipal(
            f"tag {held.kind} {held.name}",
            f"iam/{held.kind}/{held.name}/tags",
            dict(held.tags),
            {**held.tags, **making.tags},
            held.kind,
            held.name,
        )


def plan_attachments(
    kind: str, name: str, held: Iterable[str], wanted: Iterable[str], replaced: Iterable[str] = ()
) -> Iterator[Action]:
    """Attach what is missing, then detach what it replaces; everything else that is attached is other people's."""
    have = set(held)
    for arn in wanted:
        if arn not in have:
            yield Attach(
                f"attach {_short(arn)} to {kind} {name}", f"iam/{kind}/{name}/{arn}", None, "attached", kind, name, arn
            )
    for arn in replaced:
        if arn in have:
            yield Detach(
                f"detach {_short(arn)} from {kind} {name}",
                f"iam/{kind}/{name}/{arn}",
                "attached",
                None,
                kind,
                name,
                arn,
            )


def plan_inline(kind: str, name: str, policy: str, held: Document | None, wanted: Document) -> Iterator[Action]:
    if not same_policy(held, wanted):
        yield PutInline(
            f"write inline policy {policy} of {kind} {name}",
            f"iam/{kind}/{name}/{policy}",
            held,
            wanted,
            kind,
            name,
            policy,
        )


@dataclass(frozen=True)
class HeldKeys:
    """A user's keys, oldest first, and what its tags say of the one that was handed over."""

    keys: tuple[AccessKey, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    credentials_id: str = ""
    """What CAST AI holds now."""

    @property
    def handed_over(self) -> bool:
        """Whether CAST AI holds a key of this user that lives."""
        live = {key.id for key in self.keys if key.active}
        return bool(self.credentials_id) and (
            self.tags.get(TAG_KEY) in live and self.tags.get(TAG_CREDENTIALS) == self.credentials_id
        )


def plan_keys(held: HeldKeys, user: str, cluster_id: str) -> Iterator[Action]:
    """At most one live key, CAST AI's. Raises Refused where a stranger's key would have to go."""
    ours = TAG_CLUSTER in held.tags
    used = held.tags.get(TAG_KEY) if ours else None
    others = [key for key in held.keys if key.id != used]
    if held.handed_over:
        yield from (_delete(user, key.id, "left over from an interrupted run") for key in others)
        return
    if ours:
        yield from (_delete(user, key.id, "left over from an interrupted run") for key in others)
        outdated = [key.id for key in held.keys if key.id == used]
    else:
        outdated = [key.id for key in held.keys]
        if len(held.keys) > 1:
            spare = _spare(user, held.keys)
            yield _delete(user, spare.id, "not in use")
            outdated.remove(spare.id)
    yield HandOverKey(
        f"create an access key of user {user} and hand it to CAST AI for cluster {cluster_id}",
        f"castai/cluster/{cluster_id}/credentials",
        held.credentials_id or None,
        f"an access key of user {user}",
        user,
        cluster_id,
    )
    yield from (_delete(user, key_id, "replaced by the new one") for key_id in outdated)


def plan_no_keys(held: HeldKeys, user: str) -> Iterator[Action]:
    yield from (_delete(user, key.id, "with the user") for key in held.keys)


def plan_no_principal(held: Principal, attached: Iterable[str], inline: Mapping[str, Document]) -> Iterator[Action]:
    """The role or user with all that hangs on it, for IAM deletes only a bare one."""
    kind, name = held.kind, held.name
    yield from plan_attachments(kind, name, attached, (), attached)
    for policy, document in inline.items():
        yield DeleteInline(
            f"delete inline policy {policy} of {kind} {name}",
            f"iam/{kind}/{name}/{policy}",
            document,
            None,
            kind,
            name,
            policy,
        )
    yield DeletePrincipal(f"delete {kind} {name}", f"iam/{kind}/{name}", {"arn": held.arn}, None, kind, name)


def _spare(user: str, keys: tuple[AccessKey, ...]) -> AccessKey:
    """Of a stranger's two keys the one that may go: inactive, or never used."""
    spare = next((key for key in keys if not key.active), None) or next(
        (key for key in keys if not key.last_used), None
    )
    if spare is None:
        listed = " and ".join(f"{key.id} (last used {key.last_used})" for key in keys)
        raise Refused(
            f"User {user} has two active access keys, {listed}, and IAM allows no third: delete or deactivate the one"
            " that nothing uses, then run again."
        )
    return spare


def _delete(user: str, key_id: str, why: str) -> DeleteKey:
    return DeleteKey(
        f"delete access key {key_id} of user {user}, {why}", f"iam/user/{user}/{key_id}", "live", None, user, key_id
    )


def _filled(document: Document, made: Made) -> Document:
    """A trust policy with CAST AI's principal put in, where this run created it."""
    principal = made.get("principal_arn")
    if not principal:
        return document
    statements = [
        {**statement, "Principal": {"AWS": principal}} if statement["Principal"] == {"AWS": UNKNOWN} else statement
        for statement in document["Statement"]
    ]
    return {**document, "Statement": statements}


def _short(arn: str) -> str:
    return arn.rpartition("/")[2]
