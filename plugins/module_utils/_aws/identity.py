# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles, users and policies in IAM. PRIVATE to the collection.

Shared by every kind of cluster on AWS. Only this cluster's own objects are changed, and policies that others attached
stay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from .._engine import UNKNOWN, Action, Made, Refused
from .._equal import missing_tags, replaced, same_policy
from .._gateways.aws import Aws
from .._gateways.aws_iam import Making, Policy, Principal
from .._gateways.castai import CastAi
from .._owner import Removal, Shown, Step
from .._variables import named
from . import broad
from .forms import TAGS
from .policies import Document

NOTHING = Making("/", "", {})


class Gateways(Protocol):
    """What the actions here need: AWS, and CAST AI for the hand-over."""

    @property
    def aws(self) -> Aws:
        """AWS, in the cluster's account."""

    @property
    def castai(self) -> CastAi:
        """The API."""


@dataclass(frozen=True)
class WantedPolicy:
    """A customer-managed policy. shared: other clusters use it too, so it is created if absent and never changed."""

    document: Document
    description: str
    shared: bool = False


@dataclass(frozen=True)
class ExistingPolicy:
    """A policy under the name that it has or will get. policy: None if absent; document: of its default version."""

    name: str = ""
    arn: str = ""
    policy: Policy | None = None
    document: Document | None = None

    def shown(self, attached: Collection[str]) -> Shown | None:
        """attached: what the cluster's own identity has attached, which shows that an untagged policy belongs to this
        cluster."""
        return Shown(f"Policy {self.name}", self.policy, self.arn in attached) if self.policy else None


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
    """after: the tags to set; other tags stay."""

    arn: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.tag_policy(self.arn, self.after)


@dataclass(frozen=True)
class CreateRole(Action):
    """after: the trust policy, whose principal may only be known now."""

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
    """after: the tags to set; other tags stay."""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.tag_principal(self.kind, self.name, self.after)


@dataclass(frozen=True)
class UntagPrincipal(OnPrincipal):
    """before: the tags to remove; other tags stay."""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.untag_principal(self.kind, self.name, self.before)


@dataclass(frozen=True)
class DeletePrincipal(OnPrincipal):
    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.delete_principal(self.kind, self.name)


@dataclass(frozen=True)
class Attach(OnPrincipal):
    """number: how many policies it then has. option: the one that attaches more to it, as messages name it."""

    arn: str = ""
    number: int = 0
    option: str = ""

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


def plan_policy(existing: ExistingPolicy, wanted: WantedPolicy, making: Making, attached: Collection[str]) -> Step:
    """attached: what the cluster's own identity has attached."""
    shown = None if wanted.shared else existing.shown(attached)
    return Step(shown, _plan_policy(existing, wanted, making, attached))


def _plan_policy(
    existing: ExistingPolicy, wanted: WantedPolicy, making: Making, attached: Collection[str]
) -> Iterator[Action]:
    target, rights = f"iam/policy/{existing.name}", broad.of_document(wanted.document)
    if existing.policy is None:
        elsewhere = next((arn for arn in attached if short_arn(arn) == existing.name), "")
        if elsewhere:  # a name is unique in an account, regardless of its path
            raise Refused(
                f"Policy {elsewhere} has a different path than {making.path}. Set {named('path')} to the path of the"
                " policy."
            )
        yield CreatePolicy(
            broad.marked(f"create policy {existing.name}", rights),
            target,
            None,
            wanted.document,
            existing.name,
            wanted.description,
            making,
        )
        return
    if wanted.shared:
        return
    if not same_policy(existing.document, wanted.document):
        sentence = broad.marked(f"update policy {existing.name}", rights)
        yield UpdatePolicy(sentence, target, existing.document, wanted.document, existing.arn)
    tags = missing_tags(making.tags, existing.policy.tags)
    check_room(f"policy {existing.name}", existing.policy.tags, tags)
    if tags:
        yield TagPolicy(
            f"tag policy {existing.name}", f"{target}/tags", replaced(existing.policy.tags, tags), tags, existing.arn
        )


def plan_role(
    existing: Principal | None,
    name: str,
    use: str,
    trust: Document,
    description: str,
    making: Making,
    later: Collection[str] = (),
) -> Iterator[Action]:
    """The role itself, its trust policy and its tags. use: what uses it, as a clause for the plan. later: keys of tags
    that the hand-over sets."""
    if existing is None:
        yield CreateRole(f"create role {name}, {use}", f"iam/role/{name}", None, trust, name, description, making)
        return
    if not same_policy(existing.trust, trust):
        yield SetTrust(
            f"set the trust policy of role {name}",
            f"iam/role/{name}",
            existing.trust,
            trust,
            "role",
            name,
        )
    yield from plan_tags(existing, making.tags, later)


def plan_user(
    existing: Principal | None, name: str, making: Making, journal: Mapping[str, str], later: Collection[str]
) -> Iterator[Action]:
    """journal: tags beside the usual ones, for a user that another tool created. later: keys of tags that the hand-over
    sets."""
    if existing is None:
        yield CreateUser(f"create user {name}", f"iam/user/{name}", None, {"name": name}, name, making)
    else:
        yield from plan_tags(existing, {**making.tags, **journal}, later)


def plan_tags(existing: Principal, wanted: Mapping[str, str], later: Collection[str] = ()) -> Iterator[Action]:
    """later: keys of tags that other actions set."""
    tags = missing_tags(wanted, existing.tags)
    check_room(f"{existing.kind} {existing.name}", existing.tags, [*tags, *later])
    if tags:
        yield TagPrincipal(
            f"tag {existing.kind} {existing.name}",
            f"iam/{existing.kind}/{existing.name}/tags",
            replaced(existing.tags, tags),
            tags,
            existing.kind,
            existing.name,
        )


def check_room(what: str, existing: Collection[str], further: Iterable[str]) -> None:
    """Raise Refused if an object has no room for further tags. existing, further: keys."""
    new = set(further) - set(existing)
    if new and len(existing) + len(new) > TAGS:
        raise Refused(
            f"{what[0].upper()}{what[1:]} has {len(existing)} tags and needs {len(new)} more, but AWS allows {TAGS}."
            f" Remove tags from it, or shorten {named('tags')}."
        )


def plan_attachments(
    kind: str,
    name: str,
    existing: Iterable[str],
    wanted: Iterable[str],
    former: Iterable[str] = (),
    option: str = "",
) -> Iterator[Action]:
    """Attach missing policies, then detach those that they replace. Other attached policies are not managed here.

    option: the one that attaches more policies, as messages name it.
    """
    have = set(existing)
    missing = [arn for arn in dict.fromkeys(wanted) if arn not in have]
    for number, arn in enumerate(missing, len(have) + 1):
        yield Attach(
            broad.marked(f"attach {short_arn(arn)} to {kind} {name}", broad.of_managed(arn)),
            f"iam/{kind}/{name}/{arn}",
            None,
            "attached",
            kind,
            name,
            arn,
            number,
            option,
        )
    for arn in former:
        if arn in have:
            yield Detach(
                f"detach {short_arn(arn)} from {kind} {name}",
                f"iam/{kind}/{name}/{arn}",
                "attached",
                None,
                kind,
                name,
                arn,
            )


def plan_inline(kind: str, name: str, policy: str, existing: Document | None, wanted: Document) -> Iterator[Action]:
    if not same_policy(existing, wanted):
        yield PutInline(
            broad.marked(f"write inline policy {policy} of {kind} {name}", broad.of_document(wanted)),
            f"iam/{kind}/{name}/{policy}",
            existing,
            wanted,
            kind,
            name,
            policy,
        )


def remove_principal(
    existing: Principal,
    shown: Shown | None,
    attached: Iterable[str],
    ours: Collection[str],
    inline: Mapping[str, Document | None],
    own: str,
    keys: Iterable[Action] = (),
    option: str = "",
) -> Removal:
    """The role or user and what we attached to it. If others attached something, the role or user stays with that.

    ours: ARNs of the policies that we attach; inline: its inline policies; own: the name of ours; keys: what
    deletes its keys; option: the one that attaches more to it, as messages name it. Nothing shows what was in it in
    earlier runs.
    """
    kind, name = existing.kind, existing.name
    mine = [arn for arn in attached if arn in ours]
    foreign = [*(arn for arn in attached if arn not in ours), *(policy for policy in inline if policy != own)]
    contents = [*keys, *plan_attachments(kind, name, mine, (), mine)]
    if own in inline:
        contents.append(delete_inline(kind, name, own, inline[own]))
    delete = DeletePrincipal(f"delete {kind} {name}", f"iam/{kind}/{name}", {"arn": existing.arn}, None, kind, name)
    kept = f"others attached {', '.join(map(short_arn, foreign))} to it" if foreign else ""
    if option and any(arn not in ours for arn in attached):
        kept += f", or an earlier run did, because {option} listed it. List it again, or detach it, then run again"
    return Removal(f"{kind} {name}", shown, kept, delete, tuple(contents))


def remove_policy(
    existing: ExistingPolicy, shared: bool, attached: Collection[str], detached: Collection[str]
) -> Iterator[Removal]:
    """shared: whether the clusters of the account share it. attached: what our only principal that may have it has
    attached; detached: what is detached from that."""
    if existing.policy is None:
        return
    others = existing.policy.attachments > (existing.arn in detached)
    delete = DeletePolicy(
        f"delete policy {existing.name}", f"iam/policy/{existing.name}", existing.document, None, existing.arn
    )
    thing = f"policy {existing.name}"
    if shared:
        yield Removal(thing, None, "the clusters of the account share it")
    else:
        kept = "it is also attached to others" if others else ""
        yield Removal(thing, existing.shown(attached), kept, delete)


def delete_inline(kind: str, name: str, policy: str, existing: Document | None) -> DeleteInline:
    return DeleteInline(
        f"delete inline policy {policy} of {kind} {name}",
        f"iam/{kind}/{name}/{policy}",
        existing,
        None,
        kind,
        name,
        policy,
    )


def boundary_kept(existing: Principal) -> str:
    """The warning about a role or user whose permissions boundary differs from the wanted one."""
    return (
        f"{existing.kind.capitalize()} {existing.name} already existed. Its permissions boundary,"
        f" {existing.boundary or 'none'}, was left unchanged."
    )


def short_arn(arn: str) -> str:
    """The name in an ARN; a name is returned as it is."""
    return arn.rpartition("/")[2]


def _filled(document: Document, made: Made) -> Document:
    """A trust policy with CAST AI's principal filled in, if this run created it."""
    principal = made.get("principal_arn")
    if not principal:
        return document
    statements = [
        {**statement, "Principal": {"AWS": principal}} if statement["Principal"] == {"AWS": UNKNOWN} else statement
        for statement in document["Statement"]
    ]
    return {**document, "Statement": statements}
