# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the account's quotas in IAM do not allow is refused before the first write. PRIVATE to the collection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from .._engine import Action, Refused
from .eks_nodes import CreateProfile
from .identity import Attach, CreatePolicy, CreateRole, CreateUser, Gateways

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
    """The plan. Raises Refused if a quota does not allow it. Quotas are only read if the plan creates something, or
    attaches more policies than every account allows."""
    created = Counter(COUNTED[type(action)] for action in actions if type(action) in COUNTED)
    fullest = {action.name: action for action in actions if isinstance(action, Attach)}
    if created or any(action.number > USUAL for action in fullest.values()):
        summary = gateway.aws.account_summary()
        problems = [*_of_account(created, summary), *_of_principals(fullest, summary)]
        if problems:
            raise Refused(" ".join(problems), tuple(problems))
    return actions


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
