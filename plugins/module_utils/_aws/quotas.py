# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What IAM would not allow because of what the account already has is refused before the first write: its quotas, and
names that are taken. PRIVATE to the collection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .._engine import Action, Refused, at_once
from .._variables import named
from . import forms
from .eks_nodes import CreateProfile
from .identity import Attach, CreatePolicy, CreateRole, CreateUser, Gateways, PutInline, short_arn
from .policies import Document

USUAL = 10
"""How many managed policies a role or user of every account may have. A higher quota has to be asked for."""

COUNTED: Mapping[type[Action], str] = {
    CreateRole: "Roles",
    CreateUser: "Users",
    CreatePolicy: "Policies",
    CreateProfile: "InstanceProfiles",
}
"""The number that an action raises, as GetAccountSummary names it."""

WORDS = {"Roles": "roles", "Users": "users", "Policies": "managed policies", "InstanceProfiles": "instance profiles"}


def confirm(gateway: Gateways, _wanted: Any, _current: Any, actions: tuple[Action, ...]) -> tuple[Action, ...]:
    """The plan. Raises Refused if IAM would not allow it. Only what the plan asks for is read: quotas if it creates
    something, or attaches more policies than every account allows, names if it creates policies, and the other inline
    policies of a role that gets one."""
    created = Counter(COUNTED[type(action)] for action in actions if type(action) in COUNTED)
    fullest = {action.name: action for action in actions if isinstance(action, Attach)}
    policies = [action for action in actions if isinstance(action, CreatePolicy)]
    new = {action.name for action in actions if isinstance(action, CreateRole)}
    inline = [action for action in actions if isinstance(action, PutInline) and action.name not in new]
    counted = bool(created) or any(action.number > USUAL for action in fullest.values())
    with at_once() as ask:
        summary = ask.when(counted, gateway.aws.account_summary)
        names = ask.when(bool(policies), gateway.aws.listable_policies)
        others = [(action, ask(gateway.aws.inline_documents, action.kind, action.name)) for action in inline]
    problems = [
        *_of_account(created, summary.result() or {}),
        *_of_principals(fullest, summary.result() or {}),
        *_taken(policies, names.result() or ()),
        *(text for action, found in others for text in _too_large(action, found.result() or {})),
    ]
    if problems:
        raise Refused(" ".join(problems), tuple(problems))
    return actions


def _taken(policies: Iterable[CreatePolicy], existing: Iterable[str]) -> Iterator[str]:
    """existing: ARNs. The plan has looked for the policy under its path only."""
    arns = {short_arn(arn).lower(): arn for arn in existing}
    for action in policies:
        arn = arns.get(action.name.lower())
        if arn:
            yield (
                f"Policy {action.name} would be created, but the account already has {arn}, and IAM allows a name only"
                f" once, whatever its path and case. Set {named('path')} to the path of that policy, or delete it."
            )


def _too_large(action: PutInline, existing: Mapping[str, Document]) -> Iterator[str]:
    """existing: the inline policies by name."""
    size = sum(map(forms.size_of, {**existing, action.policy: action.after}.values()))
    others = [name for name in existing if name != action.policy]
    if size > forms.INLINE_OF_ROLE_SIZE and others:
        yield (
            f"Role {action.name} would have inline policies of {size} characters without white space, but IAM allows"
            f" {forms.INLINE_OF_ROLE_SIZE}. Delete some that others wrote ({', '.join(others)}), or turn them into"
            " managed policies."
        )


def _of_account(created: Mapping[str, int], summary: Mapping[str, int]) -> Iterator[str]:
    for key, number in created.items():
        existing, quota = summary.get(key, 0), summary.get(f"{key}Quota", 0)
        if quota and existing + number > quota:
            yield (
                f"The account already has {existing} of the {quota} {WORDS[key]} that IAM allows it, and the run needs"
                f" {number} more. Have its quota raised (AWS Service Quotas), or remove what is not needed."
            )


def _of_principals(fullest: Mapping[str, Attach], summary: Mapping[str, int]) -> Iterator[str]:
    """fullest: of each role and user, the last policy that is attached."""
    for name, action in fullest.items():
        quota = summary.get(f"AttachedPoliciesPer{action.kind.capitalize()}Quota", 0)
        if quota and action.number > quota:
            fewer = f"Shorten {action.option}" if action.option else "Detach policies that others attached to it"
            yield (
                f"{action.kind.capitalize()} {name} would have {action.number} managed policies, but IAM allows"
                f" {quota} in this account. {fewer}, or have its quota raised (AWS Service Quotas)."
            )
