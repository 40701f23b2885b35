# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._aws.gateway import AccessKey
from ansible_collections.castai.onboarding.plugins.module_utils._aws.keys import (
    TAG_CREDENTIALS,
    TAG_KEY,
    HandOverKey,
    HeldKeys,
    journal,
    plan_keys,
    plan_no_keys,
)
from ansible_collections.castai.onboarding.plugins.module_utils._engine import Refused
from ansible_collections.castai.onboarding.plugins.module_utils._names import iam_tags

ID = "5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e"
OURS = iam_tags("prod", ID)
DONE = {**OURS, TAG_KEY: "A", TAG_CREDENTIALS: "c1"}
"""A was handed over, and CAST AI made credentials c1 of it."""


def key(name: str, active: bool = True, used: str = "2026-11-01") -> AccessKey:
    return AccessKey(name, active, used)


A, B = key("A"), key("B")
A_OFF, B_OFF, A_NEW, B_NEW = key("A", active=False), key("B", active=False), key("A", used=""), key("B", used="")

# tags of the user, its keys, CAST AI's credentials: what is done with each key, + for a new one, in order
CASES: dict[str, tuple[Mapping[str, str], tuple[AccessKey, ...], str, str]] = {
    "no user, no key": ({}, (), "", "+"),
    "ours, no key yet": (OURS, (), "", "+"),
    "ours, ended before the hand-over": (OURS, (A_NEW,), "", "-A +"),
    "ours, ended twice": (OURS, (A_NEW, B_NEW), "", "-A -B +"),
    "handed over": (DONE, (A,), "c1", ""),
    "handed over, and a second one left": (DONE, (A, B_NEW), "c1", "-B"),
    "handed over, and a used second one": (DONE, (A, B), "c1", "-B"),
    "handed over, but somebody deactivated it": (DONE, (A_OFF,), "c1", "+ -A"),
    "handed over, but somebody deleted it": (DONE, (), "c1", "+"),
    "handed over, but somebody made another": (DONE, (B,), "c1", "-B +"),
    "CAST AI has other credentials": (DONE, (A,), "c2", "+ -A"),
    "CAST AI has other credentials, and a second key": (DONE, (A, B), "c2", "-B + -A"),
    "CAST AI lost them": (DONE, (A,), "", "+ -A"),
    "the noted credentials are empty": ({**DONE, TAG_CREDENTIALS: ""}, (A,), "", "+ -A"),
    "taken over, not handed over yet": ({**OURS, TAG_KEY: "A"}, (A,), "c1", "+ -A"),
    "taken over, ended before the hand-over": ({**OURS, TAG_KEY: "A"}, (A, B_NEW), "c1", "-B + -A"),
    "a script's": ({}, (A,), "c1", "+ -A"),
    "a script's, never used": ({}, (A_NEW,), "c1", "+ -A"),
    "a script's, inactive": ({}, (A_OFF,), "c1", "+ -A"),
    "a script's two, the older never used": ({}, (A_NEW, B), "c1", "-A + -B"),
    "a script's two, the newer never used": ({}, (A, B_NEW), "c1", "-B + -A"),
    "a script's two, the older inactive": ({}, (A_OFF, B), "c1", "-A + -B"),
    "a script's two, the newer inactive": ({}, (A, B_OFF), "c1", "-B + -A"),
    "a script's two, one inactive and one never used": ({}, (A_NEW, B_OFF), "c1", "-B + -A"),
    "a script's two, none used": ({}, (A_NEW, B_NEW), "c1", "-A + -B"),
    "a script's two, both inactive": ({}, (A_OFF, B_OFF), "c1", "-A + -B"),
    "somebody's tags are not ours": ({"team": "a"}, (A, B_NEW), "c1", "-B + -A"),
}


def shown(held: HeldKeys) -> str:
    actions = plan_keys(held, "user", ID)
    return " ".join("+" if isinstance(action, HandOverKey) else f"-{action.key_id}" for action in actions)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("tags", "keys", "credentials", "done"), CASES.values(), ids=CASES)
def test_at_most_one_key_and_never_none_that_works(
    tags: Mapping[str, str], keys: tuple[AccessKey, ...], credentials: str, done: str
) -> None:
    held = HeldKeys(keys, tags, credentials)
    assert shown(held) == done
    # Taken over first, in a run of its own, as the role does it, nothing else is done with any key.
    later = HeldKeys(keys, {**tags, **OURS, **journal(held, "user")}, credentials)
    assert shown(later) == done
    assert journal(later, "user") == {}


def test_two_keys_in_use_are_refused_with_their_last_use() -> None:
    held = HeldKeys((A, key("B", used="2026-11-02")), {}, "c1")
    with pytest.raises(Refused) as refusal:
        list(plan_keys(held, "user", ID))
    assert str(refusal.value) == (
        "User user has two active access keys, A (last used 2026-11-01) and B (last used 2026-11-02), and IAM allows no"
        " third. Deactivate the one that CAST AI does not use, then run again."
    )
    with pytest.raises(Refused):
        journal(held, "user")


def test_a_user_goes_with_its_keys() -> None:
    assert [action.sentence for action in plan_no_keys(HeldKeys((A, B)), "user")] == [
        "delete access key A of user user, with the user",
        "delete access key B of user user, with the user",
    ]


@dataclass
class Sinks:
    """AWS and CAST AI as far as a hand-over needs them."""

    calls: list[tuple[Any, ...]]

    @property
    def aws(self) -> Any:
        return self

    @property
    def castai(self) -> Any:
        return self

    credentials_id = "c9"

    def create_key(self, user: str) -> tuple[str, str]:
        return "K", "CANARY"

    def set_key(self, *arguments: str) -> Sinks:
        self.calls.append(arguments)
        return self

    def tag_principal(self, *arguments: Any) -> None:
        self.calls.append(arguments)


def test_the_secret_goes_to_cast_ai_and_is_nowhere_else() -> None:
    (action,) = plan_keys(HeldKeys(), "user", ID)
    sinks = Sinks([])
    assert action.run(sinks, {}) is None
    assert sinks.calls == [(ID, "K", "CANARY"), ("user", "user", {TAG_KEY: "K", TAG_CREDENTIALS: "c9"})]
    assert "CANARY" not in repr(action)
