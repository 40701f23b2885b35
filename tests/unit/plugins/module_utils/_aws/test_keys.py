# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rule for keys: no key is deleted before the new one is proven to work, and one remains in the end."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils import _keys
from ansible_collections.castai.onboarding.plugins.module_utils._aws.keys import (
    TAG_CREDENTIALS,
    TAG_FOUND_CREDENTIALS,
    TAG_FOUND_KEY,
    TAG_KEY,
    DeleteKey,
    ExistingKeys,
    HandOverKey,
    check_keys,
    journal,
    plan_keys,
    plan_no_keys,
)
from ansible_collections.castai.onboarding.plugins.module_utils._aws.names import iam_tags
from ansible_collections.castai.onboarding.plugins.module_utils._engine import CallFailed, Conflict, Failure, Refused
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws_iam import AccessKey
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.castai import Rejected

ID = "5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e"
OURS = iam_tags("prod", ID)
DONE = {**OURS, TAG_KEY: "A", TAG_CREDENTIALS: "c1"}
"""Key A was handed over, and CAST AI created credentials c1 from it."""

FOUND = {**OURS, TAG_FOUND_KEY: "A", TAG_FOUND_CREDENTIALS: "c1"}
"""A was the user's only key when CAST AI had credentials c1."""


def key(name: str, active: bool = True, used: str = "2026-11-01") -> AccessKey:
    return AccessKey(name, active, used, f"2026-10-0{'ABC'.index(name) + 1}")


A, B, C = map(key, "ABC")
A_OFF, B_OFF, A_NEW, B_NEW = key("A", active=False), key("B", active=False), key("A", used=""), key("B", used="")

REFUSED = "refused"

# tags of the user, its keys, CAST AI's credentials: what is done with each key, + for a new one, = for a note, in order
CASES: dict[str, tuple[Mapping[str, str], tuple[AccessKey, ...], str, str]] = {
    "no user, no key": ({}, (), "", "+"),
    "ours, no key yet": (OURS, (), "", "+"),
    "ours, ended before the hand-over": (OURS, (A_NEW,), "", "=A + -A"),
    "ours, ended twice, so that CAST AI has no key": (OURS, (A_NEW, B_NEW), "", "-A =B + -B"),
    "ours, ended twice, one of them inactive": (OURS, (A_NEW, B_OFF), "", "-B =A + -A"),
    "ours, ended after the hand-over": (OURS, (A_NEW,), "c1", "=A + -A"),
    "handed over": (DONE, (A,), "c1", ""),
    "handed over, and a second one left": (DONE, (A, B_NEW), "c1", "-B"),
    "handed over, and a used second one": (DONE, (A, B), "c1", "-B"),
    "handed over, and an older one left": (DONE, (B, A), "c1", "-B"),
    "handed over, but somebody deactivated it": (DONE, (A_OFF,), "c1", "+ -A"),
    "handed over, but somebody deactivated it and made another": (DONE, (A_OFF, B), "c1", "-B + -A"),
    "handed over, but somebody deleted it": (DONE, (), "c1", "+"),
    "handed over, but somebody made another instead": (DONE, (B,), "c1", "+ -B"),
    "handed over, but somebody made two others instead": (DONE, (B, C), "c1", "-B + -C"),
    "CAST AI has other credentials": (DONE, (A,), "c2", "=A + -A"),
    "CAST AI has other credentials, and a second key": (DONE, (A, B), "c2", "-A =B + -B"),
    "CAST AI has other credentials, and an older second key": (DONE, (B, A), "c2", "-A =B + -B"),
    "CAST AI has other credentials, the second key is inactive": (DONE, (A, B_OFF), "c2", "-A =B + -B"),
    "CAST AI has other credentials, of a key that nobody noted": (DONE, (B,), "c2", "=B + -B"),
    "CAST AI has other credentials, two keys that nobody noted": (DONE, (B, C), "c2", REFUSED),
    "CAST AI lost them": (DONE, (A,), "", "=A + -A"),
    "the noted credentials are empty": ({**DONE, TAG_CREDENTIALS: ""}, (A,), "", "=A + -A"),
    "the noted credentials are empty, two keys": ({**DONE, TAG_CREDENTIALS: ""}, (A, B), "c1", REFUSED),
    "a note without credentials": ({**OURS, TAG_KEY: "A"}, (A,), "c1", "=A + -A"),
    "a note without credentials, two keys": ({**OURS, TAG_KEY: "A"}, (A, B_NEW), "c1", REFUSED),
    "a note without credentials, one of two inactive": ({**OURS, TAG_KEY: "A"}, (A, B_OFF), "c1", "-B =A + -A"),
    "taken over, not handed over yet": (FOUND, (A,), "c1", "+ -A"),
    "taken over, ended before the hand-over": (FOUND, (A, B_NEW), "c1", "-B + -A"),
    "taken over, ended after the hand-over": (FOUND, (A, B), "c2", "-A =B + -B"),
    "taken over, then another wrote": (FOUND, (A,), "c2", "=A + -A"),
    "handed over later than found": ({**FOUND, TAG_KEY: "B", TAG_CREDENTIALS: "c2"}, (A, B), "c2", "-A"),
    "found later than handed over": (
        {**DONE, TAG_FOUND_KEY: "B", TAG_FOUND_CREDENTIALS: "c2"},
        (B, C),
        "c2",
        "-C + -B",
    ),
    "a script's": ({}, (A,), "c1", "=A + -A"),
    "a script's, never used": ({}, (A_NEW,), "c1", "=A + -A"),
    "a script's, inactive": ({}, (A_OFF,), "c1", "=A + -A"),
    "a script's two": ({}, (A, B), "c1", REFUSED),
    "a script's two, the older never used": ({}, (A_NEW, B), "c1", REFUSED),
    "a script's two, the newer never used": ({}, (A, B_NEW), "c1", REFUSED),
    "a script's two, none used": ({}, (A_NEW, B_NEW), "c1", REFUSED),
    "a script's two, the older inactive": ({}, (A_OFF, B), "c1", "-A =B + -B"),
    "a script's two, the newer inactive": ({}, (A, B_OFF), "c1", "-B =A + -A"),
    "a script's two, one inactive and one never used": ({}, (A_NEW, B_OFF), "c1", "-B =A + -A"),
    "a script's two, both inactive": ({}, (A_OFF, B_OFF), "c1", "-A =B + -B"),
    "somebody's tags are not ours": ({"team": "a"}, (A, B_NEW), "c1", REFUSED),
}


def shown(held: ExistingKeys) -> str:
    marks: list[str] = []
    try:
        check_keys(held, "user")
        for action in plan_keys(held, "user", ID, False):
            if isinstance(action, DeleteKey):
                marks.append(f"-{action.key_id}")
            elif isinstance(action, HandOverKey):
                marks += [f"={key}" for key in [action.found.get(TAG_FOUND_KEY)] if key]
                marks.append("+")
            elif action.after:
                marks.append(f"={action.after[TAG_FOUND_KEY]}")
    except Refused:
        return REFUSED
    return " ".join(marks)


@pytest.mark.parametrize(("tags", "held", "credentials", "done"), CASES.values(), ids=CASES)
def test_which_keys_go_and_when(
    tags: Mapping[str, str], held: tuple[AccessKey, ...], credentials: str, done: str
) -> None:
    before = ExistingKeys(held, tags, credentials)
    assert shown(before) == done
    # Taking over first, in a separate run as the role does it, has the same result for the keys.
    later = before.noting({**OURS, **journal(before)})
    noted = f"={held[0].id} " if len(held) == 1 else "no note"
    assert shown(later) == done.removeprefix(noted)
    assert journal(later) == {}


def test_two_keys_of_which_either_may_be_in_use_are_refused_with_age_and_last_use() -> None:
    held = ExistingKeys((A, B_NEW), {}, "c1")
    with pytest.raises(Refused) as refusal:
        check_keys(held, "user")
    assert str(refusal.value) == (
        "User user has two active access keys, A (created 2026-10-01, last used 2026-11-01) and B (created 2026-10-02,"
        " never used, as far as IAM knows). IAM does not allow a third, and reports the first use of a key only hours"
        " later. Nothing records which of the two CAST AI uses. Deactivate the one that CAST AI does not use, then run"
        " again."
    )
    with pytest.raises(Refused):
        list(plan_keys(held, "user", ID, False))


def test_the_plan_says_why_a_key_goes_first() -> None:
    def sentence(tags: Mapping[str, str], held: tuple[AccessKey, ...], credentials: str) -> str:
        return next(iter(plan_keys(ExistingKeys(held, tags, credentials), "user", ID, False))).sentence

    first = "delete access key {} of user user, {}".format
    assert sentence(DONE, (A, B), "c1") == first("B", "which is not recorded as handed over")
    assert sentence(FOUND, (A, B), "c1") == first("B", "which is not recorded as handed over")
    assert sentence(OURS, (A, B), "") == first("A", "which is not recorded as handed over")
    assert sentence(DONE, (A, B), "c2") == first("A", "because CAST AI has been given different credentials since")
    assert sentence({}, (A, B_OFF), "c2") == first("B", "which is inactive")


def test_a_user_goes_with_its_keys() -> None:
    assert [action.sentence for action in plan_no_keys(ExistingKeys((A, B)), "user")] == [
        "delete access key A of user user, with the user",
        "delete access key B of user user, with the user",
    ]


class Killed(BaseException):
    """Takes the place of a signal."""


@dataclass
class Model:
    """IAM and CAST AI, reduced to keys. Reports if the key that CAST AI works with is gone or inactive.

    in_use: the key that CAST AI was given last, empty for none; made: how many keys and credentials were created.
    """

    keys: tuple[str, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    inactive: frozenset[str] = frozenset()
    in_use: str = ""
    made: int = 0
    answer: str = "taken"
    """CAST AI's reaction to a hand-over: taken, refused, lost (and taken), late (and not taken yet), retried."""
    calls: int = -1
    """After how many writes the run is killed, -1 for never."""

    @property
    def credentials_id(self) -> str:
        return self.in_use and f"c-{self.in_use}"

    @property
    def aws(self) -> Any:
        return self

    @property
    def castai(self) -> Any:
        return self

    def held(self) -> ExistingKeys:
        found = tuple(AccessKey(one, one not in self.inactive) for one in self.keys)
        return ExistingKeys(found, dict(self.tags), self.credentials_id)

    def wrote(self) -> None:
        assert not self.in_use or (self.in_use in self.keys and self.in_use not in self.inactive), "an outage"
        self.calls -= 1
        if self.calls == 0:
            raise Killed

    def create_key(self, _user: str) -> tuple[str, str]:
        assert len(self.keys) < 2, "IAM allows no third"
        self.made += 1
        self.keys += (f"K{self.made}",)
        self.wrote()
        return self.keys[-1], "CANARY"

    def delete_key(self, _user: str, key_id: str) -> None:
        self.keys = tuple(one for one in self.keys if one != key_id)
        self.wrote()

    def set_key(self, _cluster_id: str, key_id: str, _secret: str) -> Any:
        if self.answer in ("taken", "lost", "retried"):
            self.in_use = key_id
        self.wrote()
        if self.answer in ("refused", "retried"):
            refusal = Rejected("no", 403, "no")
            refusal.unsure = self.answer == "retried"
            raise refusal
        if self.answer in ("lost", "late"):
            raise CallFailed("no answer")
        return self.get_cluster()

    def get_cluster(self, _cluster_id: str = "") -> Any:
        return SimpleNamespace(credentials_id=self.credentials_id)

    def tag_principal(self, _kind: str, _user: str, tags: Mapping[str, str]) -> None:
        self.tags.update(tags)
        self.wrote()

    def untag_principal(self, _kind: str, _user: str, names: Mapping[str, str]) -> None:
        for name in names:
            self.tags.pop(name, None)
        self.wrote()

    # What happens to a user, each as a whole. A run that ends early raises nothing here.

    def run(self, answer: str = "taken", killed: int = -1) -> None:
        """Our run, for a user to be onboarded."""
        self.answer, self.calls = answer, killed
        try:
            if TAG_KEY not in self.tags or OURS.items() - self.tags.items():
                self.take_over()
            for action in list(plan_keys(self.held(), "user", ID, False)):
                action.run(self, {})
        except (Failure, Killed):
            return
        assert (self.keys, self.tags[TAG_KEY]) == ((self.in_use,), self.in_use)
        assert self.tags == {**OURS, TAG_KEY: self.in_use, TAG_CREDENTIALS: self.credentials_id}

    def take_over(self) -> None:
        check_keys(self.held(), "user")
        wanted = {**OURS, **journal(self.held())}
        if wanted.items() - self.tags.items():
            self.tag_principal("user", "user", wanted)

    def prepare(self) -> None:
        """The first half of our run."""
        self.calls = -1
        try:
            self.take_over()
        except Refused:
            return

    def script(self, answer: str = "taken") -> None:
        """CAST AI's script: each run creates a new key and hands it over; it cannot if there are two."""
        self.answer, self.calls = answer, -1
        if len(self.keys) < 2:
            try:
                self.set_key(ID, *self.create_key("user"))
            except Failure:
                return

    def deactivate(self) -> None:
        """A person does what our refusal says."""
        if len(self.keys) == 2 and self.in_use in self.keys:
            self.inactive |= {*self.keys} - {self.in_use}

    def state(self) -> Any:
        """Leave out the numbers, which grow without end."""
        order = {one: str(number) for number, one in enumerate(sorted(self.keys, key=lambda one: int(one[1:])))}

        def told(text: str) -> str:
            return order.get(text.removeprefix("c-"), "gone" if text else "")

        return (
            tuple(order[one] for one in self.keys),
            tuple(sorted((name, "" if name in OURS else told(value)) for name, value in self.tags.items())),
            tuple(sorted(order[one] for one in self.inactive if one in order)),
            told(self.in_use),
        )


ANSWERS = ("taken", "refused", "lost", "late", "retried")
EVENTS: Mapping[str, Callable[[Model], None]] = {
    "prepare": Model.prepare,
    "script": Model.script,
    "script refused": lambda model: model.script("refused"),
    "deactivate": Model.deactivate,
    **{answer: lambda model, answer=answer: model.run(answer) for answer in ANSWERS},  # type: ignore[misc]
    **{
        f"{answer}, killed after {last}": lambda model, answer=answer, last=last: model.run(answer, last)  # type: ignore[misc]
        for answer in ("taken", "refused")
        for last in range(1, 8)
    },
}


def after(history: tuple[str, ...]) -> Model:
    model = Model()
    for event in history:
        EVENTS[event](model)
    return model


def test_in_every_order_of_writers_and_interruptions_cast_ai_has_a_live_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """All states that can be reached from a user without keys, through every event in each of them."""
    monkeypatch.setattr(_keys, "READ_BACK_SECONDS", 0.0)
    seen, todo = {Model().state()}, deque[tuple[str, ...]]([()])
    while todo:
        history = todo.popleft()
        for event in EVENTS:
            here = (*history, event)
            try:
                model = after(here)
            except AssertionError as error:
                pytest.fail(f"{error} after {', then '.join(here)}")
            if model.state() not in seen:
                seen.add(model.state())
                todo.append(here)
        # Every state can be left: by a run, or by what its refusal asks for and then a run.
        model = after((*history, "deactivate", "taken"))
        assert model.keys == (model.in_use,), history
    assert len(seen) > 25


def test_without_two_scripts_at_work_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is killed once, for whatever reason, is continued by the next one without help."""
    monkeypatch.setattr(_keys, "READ_BACK_SECONDS", 0.0)
    for start, event in itertools.product([(), ("script",), ("script", "prepare"), ("taken",)], EVENTS):
        model = after((*start, event, "taken"))
        two_scripts = (*start, event) in {("script", "script"), ("script", "script refused")}
        assert two_scripts or model.keys == (model.in_use,), (start, event)


def test_runs_of_ours_alone_ask_nobody_however_often_they_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_keys, "READ_BACK_SECONDS", 0.0)
    ours = [event for event in EVENTS if "script" not in event and event != "deactivate"]
    for start, events in itertools.product([(), ("script",)], itertools.product(ours, repeat=3)):
        model = after((*start, *events, "taken"))
        assert model.keys == (model.in_use,), (start, events)


def run(actions: Iterator[Any], model: Model) -> None:
    for action in actions:
        action.run(model, {})


def test_a_refused_key_is_deleted_in_the_same_run_and_the_old_one_stays() -> None:
    model = Model()
    model.script()
    model.answer = "refused"
    with pytest.raises(CallFailed, match=r"^no The new access key K2 was deleted again\.$"):
        run(plan_keys(model.held(), "user", ID, False), model)
    assert (model.keys, model.in_use) == (("K1",), "K1")


@pytest.mark.parametrize(("answer", "taken"), [("lost", True), ("retried", True), ("late", False)])
def test_a_lost_answer_is_read_back_before_anything_is_deleted(
    monkeypatch: pytest.MonkeyPatch, answer: str, taken: bool
) -> None:
    monkeypatch.setattr(_keys, "READ_BACK_SECONDS", 0.0)
    model = Model()
    model.script()
    model.answer = answer
    if taken:
        run(plan_keys(model.held(), "user", ID, False), model)
        assert model.keys == ("K2",)
        return
    with pytest.raises(CallFailed, match="access key K2 was kept, because CAST AI may have accepted it"):
        run(plan_keys(model.held(), "user", ID, False), model)
    assert model.keys == ("K1", "K2")
    late = replace(model, in_use="K2", tags=dict(model.tags))
    for one in (model, late):
        one.run()
        assert len(one.keys) == 1


def test_a_key_is_not_deleted_when_another_wrote_since_the_plan_was_made() -> None:
    model = Model()
    model.run()
    (spare, _secret) = model.create_key("user")
    planned = list(plan_keys(model.held(), "user", ID, False))
    model.set_key(ID, spare, "")
    with pytest.raises(Conflict, match="given different credentials"):
        run(iter(planned), model)
    assert spare in model.keys


def test_the_secret_goes_to_cast_ai_and_is_nowhere_else() -> None:
    (action,) = plan_keys(ExistingKeys(), "user", ID, False)
    model = Model()
    assert action.run(model, {}) is None  # type: ignore[func-returns-value]
    assert model.tags == {TAG_KEY: "K1", TAG_CREDENTIALS: "c-K1"}
    assert "CANARY" not in repr(action) + repr(model)
