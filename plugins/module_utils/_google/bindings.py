# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Computes the next IAM policy of a project, an account or a subnet. Pure. PRIVATE to the collection.

A policy is one document with many writers. What is not ours is sent back as it was read, in the same order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .._engine import CallFailed, Refused
from .._variables import named
from .names import ACCOUNT_USER

Policy = Mapping[str, Any]

PRINCIPALS = 1500
"""How many principals a project's policy may have, counting repetitions. Source: IAM's quotas."""

TERMS = 13
"""How many terms one condition may join: 12 logical operators are allowed."""

CONDITIONS = 20
"""How many conditional bindings of one role one principal may have."""

CONDITION_TITLE = "iam_condition"
CONDITION_DESCRIPTION = "IAM condition with limited scope"
"""The description in Terraform's module, so that each tool recognizes the other's conditions."""

_WITHOUT_CONDITION = "_withcond_"
"""IAM puts this into the name of a role if it leaves out its condition, as it does below policy version 3."""


class Condition(NamedTuple):
    title: str
    expression: str
    description: str = ""


class Triple(NamedTuple):
    """One member of one binding. condition: None if the binding has none."""

    role: str
    member: str
    condition: Condition | None = None

    def shown(self) -> dict[str, Any]:
        """The format of results and diffs."""
        condition = {key: value for key, value in self.condition._asdict().items() if value} if self.condition else None
        return {"role": self.role, "member": self.member, **({"condition": condition} if condition else {})}


@dataclass(frozen=True)
class Change:
    """What to add to a policy and what to remove, in order."""

    added: tuple[Triple, ...] = ()
    removed: tuple[Triple, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)


NO_CHANGE = Change()


def condition_of(binding: Mapping[str, Any]) -> Condition | None:
    found = binding.get("condition")
    if not found:
        return None
    return Condition(found.get("title") or "", found.get("expression") or "", found.get("description") or "")


def triples(policy: Policy) -> Iterator[Triple]:
    """Every member of every binding, in order. Raises CallFailed if the policy was read without its conditions."""
    for binding in policy.get("bindings") or ():
        role = binding.get("role") or ""
        if _WITHOUT_CONDITION in role:
            raise CallFailed(
                f"Internal error: the IAM policy was read without its conditions ({role}), so it cannot be written"
                " back. Nothing was changed in it. Report this."
            )
        condition = condition_of(binding)
        for member in binding.get("members") or ():
            yield Triple(role, member, condition)


def same_member(one: str, other: str) -> bool:
    """IAM keeps the case of an e-mail address as it was entered, but ignores it when comparing."""
    return one.lower() == other.lower()


def held_by(policy: Policy, member: str) -> tuple[Triple, ...]:
    """The bindings of a member, in the spelling that was read."""
    return tuple(triple for triple in triples(policy) if same_member(triple.member, member))


def held_by_deleted(policy: Policy, member: str) -> tuple[Triple, ...]:
    """The bindings left over from a deleted account with the same address. A new account with this address does not get
    them."""
    left = f"deleted:{member}?uid="
    return tuple(triple for triple in triples(policy) if triple.member.lower().startswith(left.lower()))


def difference(held: Iterable[Triple], wanted: Iterable[Triple], former: Iterable[Triple]) -> Change:
    """held: bindings of our member. former: bindings to remove unless they are wanted, for example those of a deleted
    account."""
    have = {(triple.role, triple.condition) for triple in held}
    want = list(dict.fromkeys(wanted))
    needed = {(triple.role, triple.condition, triple.member.lower()) for triple in want}
    gone = (one for one in dict.fromkeys(former) if (one.role, one.condition, one.member.lower()) not in needed)
    return Change(tuple(triple for triple in want if (triple.role, triple.condition) not in have), tuple(gone))


def changed(policy: Policy, change: Change) -> dict[str, Any]:
    """The policy to write, which differs from the one read only in the members that the change names.

    A condition anywhere, before or after, needs version 3. Raises CallFailed if the policy must not be written back.
    """
    conditional = any(triple.condition for triple in triples(policy))
    gone = {(triple.role, triple.condition, triple.member.lower()) for triple in change.removed}
    left = list(change.added)
    bindings: list[dict[str, Any]] = []
    for binding in policy.get("bindings") or ():
        role, condition = binding.get("role") or "", condition_of(binding)
        read = list(binding.get("members") or ())
        members = [member for member in read if (role, condition, member.lower()) not in gone]
        for triple in [one for one in left if (one.role, one.condition) == (role, condition)]:
            left.remove(triple)
            if not any(same_member(triple.member, member) for member in members):
                members.append(triple.member)
        if members or not read:
            bindings.append({**binding, "members": members} if members != read else dict(binding))
    bindings += _new_bindings(left)
    conditional = conditional or any(triple.condition for triple in change.added)
    version = 3 if conditional else policy.get("version") or 1
    return {**policy, "version": version, "bindings": bindings}


def _new_bindings(left: Sequence[Triple]) -> Iterator[dict[str, Any]]:
    groups: dict[tuple[str, Condition | None], list[str]] = {}
    for triple in left:
        members = groups.setdefault((triple.role, triple.condition), [])
        if triple.member not in members:
            members.append(triple.member)
    for (role, condition), members in groups.items():
        shown = {key: value for key, value in condition._asdict().items() if value} if condition else None
        yield {"role": role, "members": members, **({"condition": shown} if shown else {})}


def principals(policy: Policy) -> int:
    """How many principals IAM counts, including members that audit logs exempt."""
    exempted = sum(
        len(log.get("exemptedMembers") or ())
        for config in policy.get("auditConfigs") or ()
        for log in config.get("auditLogConfigs") or ()
    )
    return sum(1 for _triple in triples(policy)) + exempted


def size_problem(policy: Policy, change: Change, project: str) -> str:
    """Why the policy would be too large for IAM. Empty if it would not."""
    after = principals(changed(policy, change))
    if after <= PRINCIPALS or not change.added:
        return ""
    return (
        f"The IAM policy of project {project} would have {after:,} principals, but IAM allows {PRINCIPALS:,}, counting"
        " repetitions and members that audit logs exempt. Remove unused bindings, or grant roles to groups."
    )


# roles/iam.serviceAccountUser: the accounts that CAST AI may run nodes as.

NODE_ACCOUNTS, ON_ACCOUNTS, PROJECT, NONE = "node_accounts", "on_accounts", "project", "none"
FORMS = (NODE_ACCOUNTS, ON_ACCOUNTS, PROJECT, NONE)


def account_user(form: str, member: str, unique_ids: Collection[str]) -> tuple[Triple, ...]:
    """The project's bindings that let a member use the nodes' accounts, given by their unique IDs.

    Raises Refused if there are more accounts than conditions can name.
    """
    if form == PROJECT:
        return (Triple(ACCOUNT_USER, member),)
    if form != NODE_ACCOUNTS:
        return ()
    ids = sorted(set(unique_ids))
    if len(ids) > TERMS * CONDITIONS:
        raise Refused(
            f"The node pools use {len(ids)} service accounts, but conditions can only name {TERMS * CONDITIONS}. Set"
            f" {named('service_account_user', 'gke_onboard')} to {ON_ACCOUNTS}, for a binding on each account, or to"
            f" {PROJECT}, for all accounts of the project."
        )
    return tuple(
        Triple(ACCOUNT_USER, member, _scoped(ids[start : start + TERMS])) for start in range(0, len(ids), TERMS)
    )


def scoped_by_vendor(triple: Triple) -> bool:
    """Whether a binding has the form that account_user() gives, for any accounts."""
    return triple.role == ACCOUNT_USER and triple.condition is not None and triple.condition.title == CONDITION_TITLE


def _scoped(unique_ids: Iterable[str]) -> Condition:
    terms = [f'resource.name.startsWith("projects/-/serviceAccounts/{one}")' for one in unique_ids]
    return Condition(CONDITION_TITLE, " || ".join(terms), CONDITION_DESCRIPTION)
