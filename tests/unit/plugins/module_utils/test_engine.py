# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._engine import (
    ATTEMPTS,
    UNKNOWN,
    Action,
    Again,
    CallFailed,
    Conflict,
    Kept,
    Made,
    PartlyDone,
    Progress,
    Refused,
    Report,
    Result,
    Several,
    Stopped,
    Subject,
    Throttled,
    at_once,
    paced,
    reconcile,
    results,
    run_task,
    until,
)

SECRET = "CANARY-of-the-drawer"


@dataclass
class Drawer:
    """A minimal world: colored things, some ids, and what will go wrong with the next writes."""

    things: dict[str, str] = field(default_factory=dict)
    troubles: list[Exception | None] = field(default_factory=list)
    reads: int = 0
    writes: list[str] = field(default_factory=list)
    closed: int = 0
    rival: Mapping[str, str] | None = None
    """What a rival inserts when a write fails."""

    def write(self, name: str, color: str) -> None:
        if self.troubles and (trouble := self.troubles.pop(0)):
            self.things.update(self.rival or {})
            raise trouble
        self.writes.append(name)
        self.things[name] = color

    def close(self) -> None:
        self.closed += 1


@dataclass(frozen=True)
class Paint(Action):
    name: str = ""
    color: str = ""
    varnish: str = field(default="", repr=False)

    def run(self, gateway: Drawer, made: Made) -> Mapping[str, Any]:
        gateway.write(self.name, self.color)
        return {"ids": (*made.get("ids", ()), self.name)}


def desired(params: Mapping[str, Any]) -> dict[str, str]:
    if "pink" in params["things"].values():
        raise Refused("No pink.", ("No pink.", "Nor anything like it."))
    return dict(params["things"])


def observe(gateway: Drawer, wanted: Mapping[str, str]) -> dict[str, str]:
    gateway.reads += 1
    return dict(gateway.things)


def plan(current: Mapping[str, str], wanted: Mapping[str, str]) -> Iterable[Action]:
    if "lock" in current:
        raise Refused("The drawer is locked: open it.")
    for name, color in wanted.items():
        if current.get(name) != color:
            yield Paint(f"paint {name} {color}", f"drawer/{name}", current.get(name), color, name, color, SECRET)


def view(current: Mapping[str, str], wanted: Mapping[str, str], made: Made) -> Mapping[str, Any]:
    return {"ids": list(made.get("ids", [UNKNOWN])), "held": len(current)}


OPTIONS = {
    "argument_spec": {
        "things": {"type": "dict", "required": True},
        "varnish": {"type": "str", "no_log": True},
        "fold": {"type": "bool", "default": False},
        "label": {"type": "str", "aliases": ["name"], "choices": ["new", "old"]},
        "roll": {"type": "bool"},
    },
    "mutually_exclusive": [["fold", "roll"]],
}


def subject(drawer: Drawer, **changes: Any) -> Subject[Any, Drawer, Any]:
    parts: dict[str, Any] = {
        "options": OPTIONS,
        "desired": desired,
        "connect": lambda params, wanted: drawer,
        "observe": observe,
        "plan": plan,
        "view": view,
        **changes,
    }
    return Subject(**parts)


def run(drawer: Drawer, check: bool = False, report: Report = lambda line: None, **changes: Any) -> Result:
    params = {"things": {"box": "red", "lid": "blue", "key": "green"}}
    return reconcile(subject(drawer, **changes), params, check, report)


def entry(target: str, sentence: str, before: str, after: str) -> dict[str, str]:
    """One object's part of a diff."""
    return {"before_header": target, "after_header": sentence, "before": before, "after": after}


SENTENCES = ["paint box red", "paint lid blue", "paint key green"]


# at_once


def test_calls_of_a_block_run_all_at_once_at_its_end() -> None:
    together = threading.Barrier(3, timeout=5)

    def named(name: str) -> str:
        together.wait()
        return name

    with at_once() as ask:
        answers = {name: ask(named, name) for name in "abc"}
        assert together.n_waiting == 0
    assert results(answers) == {"a": "a", "b": "b", "c": "c"}


def test_what_is_not_needed_or_has_an_unknown_id_is_not_called() -> None:
    with at_once() as ask:
        answers = {
            "needed": ask.when(True, str.upper, "a"),
            "not needed": ask.when(False, str.upper, "a"),
            "known": ask.known(str.upper, "a"),
            "unknown": ask.known(str.upper, f"role/{UNKNOWN}"),
        }
    assert results(answers) == {"needed": "A", "not needed": None, "known": "A", "unknown": None}


def test_nothing_is_called_where_the_block_fails() -> None:
    called: list[str] = []

    def broken() -> None:
        with at_once() as ask:
            ask(called.append, "a")
            raise CallFailed("broken")

    with pytest.raises(CallFailed, match="broken"):
        broken()
    assert called == []


def test_the_first_error_in_the_order_asked_is_raised_once_every_call_is_over() -> None:
    ended: list[str] = []
    second_failed = threading.Event()

    def slow_failure() -> None:
        second_failed.wait(5)
        ended.append("first")
        raise CallFailed("first")

    def quick_failure() -> None:
        ended.append("second")
        second_failed.set()
        raise CallFailed("second")

    def late() -> None:
        second_failed.wait(5)
        ended.append("third")

    def together() -> None:
        with at_once() as ask:
            ask(slow_failure)
            ask(quick_failure)
            ask(late)

    with pytest.raises(CallFailed, match="first"):
        together()
    assert sorted(ended) == ["first", "second", "third"]


def test_a_single_call_needs_no_thread() -> None:
    with at_once() as ask:
        only = ask(threading.get_ident)
    assert only.result() == threading.get_ident()
    with at_once():
        pass


# until


@dataclass
class Clock:
    """A clock that only advances while sleeping."""

    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def __call__(self) -> float:
        return self.now


def test_until_pauses_longer_and_longer_up_to_a_bound_and_stops_at_what_is_true() -> None:
    clock, answers = Clock(), itertools.chain([None] * 12, itertools.repeat("there"))
    assert until(lambda: next(answers), timeout=600, sleep=clock.sleep, clock=clock) == "there"
    assert len(clock.pauses) == 12
    assert 0.4 <= clock.pauses[0] <= 0.6
    assert all(8 <= pause <= 12 for pause in clock.pauses[-3:])
    assert len(set(clock.pauses)) == 12


def test_until_gives_the_last_answer_when_time_is_up_and_asks_once_more_right_then() -> None:
    clock, asked = Clock(), []
    assert until(lambda: asked.append(clock.now), timeout=7, sleep=clock.sleep, clock=clock) is None
    assert asked[-1] == clock.now == 7


def test_until_asks_once_without_time() -> None:
    clock = Clock()
    assert until(lambda: "", timeout=0, sleep=clock.sleep, clock=clock) == ""
    assert clock.pauses == []


# reconcile


def test_a_run_does_what_the_plan_says_in_order_and_a_second_one_nothing() -> None:
    drawer = Drawer({"box": "red", "lid": "white"})
    result = run(drawer)
    assert result.public(diff=True) == {
        "changed": True,
        "actions": ["paint lid blue", "paint key green"],
        "changes": {"created": ["drawer/key"], "changed": ["drawer/lid"], "removed": []},
        "diff": [
            entry("drawer/lid", "paint lid blue", "white\n", "blue\n"),
            entry("drawer/key", "paint key green", "", "green\n"),
        ],
        "ids": ["lid", "key"],
        "held": 2,
    }
    assert drawer.writes == ["lid", "key"]
    assert run(drawer).public(diff=False) == {
        "changed": False,
        "actions": [],
        "changes": {"created": [], "changed": [], "removed": []},
        "ids": [UNKNOWN],
        "held": 3,
    }


def test_check_mode_writes_nothing_and_its_plan_and_diff_are_those_of_the_run() -> None:
    drawer = Drawer({"lid": "white"})
    predicted = run(drawer, check=True)
    assert drawer == Drawer({"lid": "white"}, reads=1, closed=1)
    assert predicted.public(diff=True)["actions"] == SENTENCES
    done = run(drawer)
    assert done.actions == predicted.actions
    assert done.public(diff=True)["diff"] == predicted.public(diff=True)["diff"]


def test_check_mode_does_not_wait() -> None:
    waited: list[str] = []
    run(Drawer(), check=True, settle=lambda *arguments: waited.append("waited"))
    assert waited == []


@pytest.mark.parametrize("check", [False, True])
def test_a_refusal_comes_before_the_first_write_in_check_mode_too(check: bool) -> None:
    drawer = Drawer({"lock": "shut"})
    with pytest.raises(Refused, match="The drawer is locked: open it"):
        run(drawer, check)
    assert (drawer.writes, drawer.closed) == ([], 1)


def test_a_value_known_after_apply_is_taken_in_check_mode_only() -> None:
    params = {"things": {"box": UNKNOWN}}
    assert reconcile(subject(Drawer()), params, True, lambda line: None).changed
    drawer = Drawer()
    with pytest.raises(Refused, match=r"things\.box is \(known after apply\)"):
        reconcile(subject(drawer), params, False, lambda line: None)
    assert not drawer.things


def test_a_failed_read_before_any_write_says_that_nothing_was_changed() -> None:
    def broken(gateway: Drawer, wanted: Any) -> Any:
        raise CallFailed("No answer.")

    with pytest.raises(Stopped, match=r"^No answer\. Nothing was changed before that\. A rerun is safe and continues"):
        run(Drawer(), observe=broken)


def test_whoever_writes_first_makes_it_plan_again_with_what_is_there_then() -> None:
    drawer = Drawer(troubles=[None, Conflict("Lid was touched.")], rival={"lid": "blue"})
    result = run(drawer)
    assert drawer.reads == 2
    assert drawer.writes == ["box", "key"]
    assert result.public(diff=False)["actions"] == ["paint box red", "paint key green"]
    assert result.public(diff=False)["ids"] == ["box", "key"]


@pytest.mark.parametrize(
    "left", [{"lid": "smeared"}, {"lid": "smeared", "key": "green"}, {"lid": "blue", "key": "green"}]
)
@pytest.mark.parametrize("times", [1, 2])
def test_what_a_throttled_program_left_half_done_is_one_change_as_it_was_planned(
    monkeypatch: pytest.MonkeyPatch, left: dict[str, str], times: int
) -> None:
    monkeypatch.setattr(Throttled, "pause", 0.0)
    times = 1 if left["lid"] == "blue" else times
    drawer = Drawer(troubles=[None, *[Throttled("The painter was throttled.")] * times], rival=left)
    result = run(drawer)
    assert [action.sentence for action in result.actions] == SENTENCES
    assert [action.before for action in result.actions] == [None, None, None]
    assert drawer.things == {"box": "red", "lid": "blue", "key": "green"}


def test_what_an_action_opens_up_is_observed_and_planned_again_and_the_action_counts_as_done() -> None:
    @dataclass(frozen=True)
    class Unlock(Action):
        def run(self, gateway: Drawer, made: Made) -> None:
            gateway.write("room", "open")
            raise Again("The lock is open.")

    def unlock_first(current: Any, wanted: Any) -> Iterator[Action]:
        if "room" not in current:
            yield Unlock("unlock", "room", None, "open")
        yield from plan(current, wanted)

    drawer = Drawer()
    done = run(drawer, plan=unlock_first)
    assert done.actions[0].sentence == "unlock"
    assert drawer.reads == 2
    assert drawer.things == {"room": "open", "box": "red", "lid": "blue", "key": "green"}


class Busy:
    """Reading fails this many times, because a rival is writing."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __call__(self, gateway: Any, wanted: Any) -> dict[str, str]:
        self.left -= 1
        if self.left >= 0:
            raise Conflict("Lid was touched.")
        return {}


@pytest.mark.parametrize("check", [False, True])
def test_what_somebody_else_changes_while_it_is_read_is_read_again(check: bool) -> None:
    assert len(run(Drawer(), check, observe=Busy(ATTEMPTS - 1)).actions) == 3
    assert len(in_all(cabinet(), FIVE, check, observe=Busy(ATTEMPTS - 1)).actions) == 5
    for attempt in (partial(run, Drawer()), partial(in_all, cabinet(), FIVE)):
        with pytest.raises(Stopped, match=r"^Lid was touched\. This happened 5 times in a row\. Nothing was changed"):
            attempt(check=check, observe=Busy(ATTEMPTS))


def test_it_gives_up_when_somebody_writes_first_again_and_again() -> None:
    drawer = Drawer(troubles=[None, *[Conflict("Lid was touched.")] * ATTEMPTS])
    with pytest.raises(Stopped) as caught:
        run(drawer)
    assert str(caught.value) == (
        "Lid was touched. This happened 5 times in a row. Done before that: paint box red. A rerun is safe and"
        " continues from here."
    )
    assert caught.value.applied == ("paint box red",)
    assert (drawer.reads, drawer.closed) == (ATTEMPTS, 1)


def test_a_refusal_of_the_second_plan_tells_what_the_first_one_did() -> None:
    drawer = Drawer(troubles=[None, Conflict("Lid was touched.")], rival={"lock": "shut"})
    with pytest.raises(Stopped) as caught:
        run(drawer)
    assert str(caught.value) == (
        "The drawer is locked: open it. Done before that: paint box red. A rerun is safe and continues from here."
    )


@pytest.mark.parametrize(
    ("done", "aftermath"),
    [
        ([], "Nothing was changed before that."),
        ([None], "Done before that: paint box red."),
        ([None, None], "Done before that: paint box red; paint lid blue."),
    ],
)
def test_a_run_that_stops_names_the_step_what_was_done_and_that_a_rerun_is_safe(
    done: list[None], aftermath: str
) -> None:
    drawer = Drawer(troubles=[*done, CallFailed("No paint left.")])
    with pytest.raises(Stopped) as caught:
        run(drawer)
    assert str(caught.value) == (
        f"Could not {SENTENCES[len(done)]}: No paint left. {aftermath} A rerun is safe and continues from here."
    )
    assert caught.value.applied == tuple(SENTENCES[: len(done)])
    assert drawer.closed == 1
    assert run(drawer).public(diff=False)["actions"] == SENTENCES[len(done) :]


@pytest.mark.parametrize(("done", "before"), [([], ""), ([None], "Done before that: paint box red. ")])
def test_what_a_failed_step_left_is_told(done: list[None], before: str) -> None:
    drawer = Drawer(troubles=[*done, PartlyDone("No paint left.", "half a coat of red")])
    with pytest.raises(Stopped) as caught:
        run(drawer)
    assert str(caught.value).endswith(
        f": No paint left. {before}It left half a coat of red. A rerun is safe and continues from here."
    )
    assert caught.value.left == "half a coat of red"


def test_a_wait_that_fails_tells_what_was_done() -> None:
    def impatient(*arguments: Any) -> Any:
        raise CallFailed("It did not dry.")

    with pytest.raises(Stopped) as caught:
        run(Drawer(), settle=impatient)
    assert str(caught.value).startswith("It did not dry. Done before that: paint box red; ")
    assert caught.value.applied == tuple(SENTENCES)


def test_the_view_is_of_what_the_wait_saw_last() -> None:
    shown: list[str] = []

    def settle(gateway: Drawer, wanted: Any, current: Any, made: Made, report: Report) -> Any:
        report(f"{len(made['ids'])} are drying")
        return observe(gateway, wanted)

    assert run(Drawer(), report=shown.append, settle=settle).view["held"] == 3
    assert shown == ["3 are drying"]


def test_secrets_are_in_no_text_of_an_action_or_a_result() -> None:
    result = run(Drawer())
    assert [action.varnish for action in result.actions if isinstance(action, Paint)] == [SECRET] * 3
    assert SECRET not in f"{result!r} {result.actions} {result.public(diff=True)}"


def test_progress_shows_a_line_once_while_nothing_changes() -> None:
    shown: list[str] = []
    progress = Progress(shown.append)
    for line in ("wet", "wet", "dry", "wet"):
        progress(line)
    assert shown == progress.lines == ["wet", "dry", "wet"]


@pytest.mark.parametrize("done", [False, True])
def test_a_write_that_may_have_been_done_claims_nothing(done: bool) -> None:
    troubles: list[Exception | None] = [None] * done
    drawer = Drawer(troubles=[*troubles, CallFailed("No answer.", unsure=True)])
    with pytest.raises(Stopped) as stopped:
        reconcile(subject(drawer), {"things": {"box": "red", "lid": "blue"}}, False, lambda line: None)
    before = "Done before that: paint box red. " if done else ""
    assert str(stopped.value).endswith(
        f"No answer. It is not known whether it was done anyway. {before}A rerun is safe and continues from here."
    )


# Several


@dataclass
class Cabinet:
    """A world of drawers, some of which jam. It records which are painted at the same time."""

    drawers: dict[str, Drawer]
    at_once: int = 1
    """How many must have started before the first of those in parallel continues."""
    alone: str = ""
    seen: list[str] = field(default_factory=list)
    busy: int = 0
    most: int = 0

    def __post_init__(self) -> None:
        self._barrier = threading.Barrier(self.at_once)
        self._lock = threading.Lock()

    def meet(self, drawer: str) -> None:
        with self._lock:
            self.busy += 1
            self.most = max(self.most, self.busy)
            self.seen.append(drawer)
        if drawer != self.alone:
            self._barrier.wait(10)
        with self._lock:
            self.busy -= 1

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class PaintIn(Action):
    drawer: str = ""
    color: str = ""

    def run(self, gateway: Cabinet, made: Made) -> Mapping[str, Any]:
        gateway.meet(self.drawer)
        gateway.drawers[self.drawer].write("box", self.color)
        return {"color": self.color}


Wanted = tuple[str, str]


def plan_in(current: Mapping[str, str], wanted: Wanted) -> Iterable[Action]:
    drawer, color = wanted
    if "lock" in current:
        raise Refused(f"{drawer} is locked.")
    if current.get("box") != color:
        yield PaintIn(f"paint {drawer} {color}", drawer, current.get("box"), color, drawer, color)


def in_all(cabinet: Cabinet, names: Iterable[str], check: bool = False, **changes: Any) -> Result:
    parts: dict[str, Any] = {
        "options": {},
        "desired": lambda params: (),
        "connect": lambda params, wanted: cabinet,
        "observe": lambda gateway, wanted: dict(gateway.drawers[wanted[0]].things),
        "plan": plan_in,
        "view": lambda current, wanted, made: {"color": current.get("box"), "made": made.get("color")},
    }
    single: Subject[Any, Any, Any] = Subject(**{**parts, **changes})
    several = Several(
        {},
        single,
        lambda params: [(name, "red") for name in params["names"]],
        lambda params, wanted: cabinet,
        lambda gateway, wanted: [single.observe(gateway, one) for one in wanted],
        lambda wanted, views: {one[0]: shown["made"] for one, shown in zip(wanted, views, strict=True)},
    )
    return reconcile(several, {"names": list(names)}, check, lambda line: None)


FIVE = ("a", "b", "c", "d", "e")


def cabinet(at_once: int = 4, **troubles: list[Exception | None]) -> Cabinet:
    return Cabinet({name: Drawer(troubles=troubles.get(name, [])) for name in FIVE}, at_once, "a")


def test_the_first_is_done_alone_and_the_others_side_by_side() -> None:
    drawers = cabinet()
    result = in_all(drawers, FIVE)
    assert (drawers.seen[0], drawers.most) == ("a", 4)
    assert [action.sentence for action in result.actions] == [f"paint {name} red" for name in FIVE]
    assert result.view == dict.fromkeys(FIVE, "red")
    assert not in_all(drawers, FIVE).changed


@pytest.mark.parametrize("check", [True, False])
def test_what_only_the_plan_calls_for_is_read_after_it(check: bool) -> None:
    """Only if there is something to confirm, and before the first write; the plan is the confirmed one."""

    def dearer(gateway: Drawer, wanted: Any, current: Any, planned: tuple[Action, ...]) -> tuple[Action, ...]:
        assert gateway.things == current
        return tuple(replace(one, sentence=f"{one.sentence} twice") for one in planned)

    result = run(Drawer({"lid": "blue"}), check, confirm=dearer)
    assert [action.sentence for action in result.actions] == ["paint box red twice", "paint key green twice"]


@pytest.mark.parametrize("check", [True, False])
def test_of_several_all_plans_are_confirmed_before_the_first_write(check: bool) -> None:
    def no_brush(gateway: Any, wanted: Wanted, current: Any, planned: tuple[Action, ...]) -> tuple[Action, ...]:
        if planned and wanted[0] in "be":
            raise Refused(f"There is no brush for {wanted[0]}.")
        return planned

    drawers = cabinet()
    with pytest.raises(Refused, match=r"brush for b\. There is no brush for e\."):
        in_all(drawers, FIVE, check, confirm=no_brush)
    assert drawers.seen == []
    with pytest.raises(Stopped, match=r"No answer\. Nothing was changed before that\. A rerun"):
        in_all(drawers, FIVE, check, confirm=partial(failing, "No answer."))


def failing(sentence: str, *_given: Any) -> Any:
    raise CallFailed(sentence)


def test_no_more_than_four_are_done_side_by_side() -> None:
    names = [f"drawer-{number}" for number in range(9)]
    drawers = Cabinet({name: Drawer() for name in names}, 4, names[0])
    assert len(in_all(drawers, names).actions) == 9
    assert drawers.most == 4


def test_one_that_fails_does_not_stop_the_others_and_a_rerun_does_the_rest() -> None:
    drawers = cabinet(b=[CallFailed("No paint.")], d=[PartlyDone("It dripped.", "half a coat of red")])
    with pytest.raises(Stopped) as caught:
        in_all(drawers, FIVE)
    assert str(caught.value) == (
        "Could not paint b red: No paint. Could not paint d red: It dripped. It left half a coat of red. Done: paint"
        " a red; paint c red; paint e red. A rerun is safe and continues from here."
    )
    assert caught.value.applied == ("paint a red", "paint c red", "paint e red")
    assert caught.value.left == "half a coat of red"
    drawers = Cabinet(drawers.drawers)
    assert [action.sentence for action in in_all(drawers, FIVE).actions] == ["paint b red", "paint d red"]


def test_the_first_that_fails_does_not_stop_the_others() -> None:
    drawers = cabinet(a=[CallFailed("No answer.", unsure=True)])
    with pytest.raises(Stopped) as caught:
        in_all(drawers, FIVE)
    assert str(caught.value).startswith(
        "Could not paint a red: No answer. It is not known whether it was done anyway. Done: paint b red; "
    )


def test_where_all_fail_nothing_was_changed() -> None:
    drawers = cabinet(1, **{name: [CallFailed("No paint.")] for name in FIVE})
    with pytest.raises(Stopped, match=r"paint e red: No paint\. Nothing was changed\. A rerun is safe"):
        in_all(drawers, FIVE)


@pytest.mark.parametrize("check", [False, True])
def test_what_may_not_be_done_is_said_of_all_before_anything_is_done(check: bool) -> None:
    drawers = cabinet()
    for name in ("b", "e"):
        drawers.drawers[name].things["lock"] = "shut"
    with pytest.raises(Refused) as caught:
        in_all(drawers, FIVE, check)
    assert (str(caught.value), caught.value.findings) == (
        "b is locked. e is locked.",
        ("b is locked.", "e is locked."),
    )
    assert drawers.seen == []


def test_check_mode_shows_the_actions_of_all_in_order_and_writes_nothing() -> None:
    drawers = cabinet()
    foreseen = in_all(drawers, FIVE, check=True)
    assert drawers.seen == []
    assert [action.sentence for action in foreseen.actions] == [f"paint {name} red" for name in FIVE]


def test_of_one_that_somebody_else_wrote_first_alone_a_new_plan_is_made() -> None:
    drawers = cabinet(1, c=[Conflict("c was touched."), None])
    assert len(in_all(drawers, FIVE).actions) == 5
    assert sorted(drawers.seen) == ["a", "b", "c", "c", "d", "e"]


def test_all_that_did_not_fail_are_waited_for_together() -> None:
    together = threading.Barrier(4)

    def settle(gateway: Any, wanted: Wanted, current: Any, made: Made, report: Report) -> Any:
        together.wait(10)
        if wanted[0] == "e":
            raise CallFailed("e does not dry.")
        return current

    with pytest.raises(Stopped) as caught:
        in_all(cabinet(b=[CallFailed("No paint.")]), FIVE, settle=settle)
    assert str(caught.value).startswith(
        "Could not paint b red: No paint. e does not dry. Done: paint a red; paint c red; paint d red; paint e red."
    )


def test_of_none_there_is_nothing_to_do() -> None:
    assert not in_all(cabinet(), ()).changed


# run_task


@dataclass(frozen=True)
class Task:
    """The attributes of Ansible's own task that are read."""

    action: str = "castai.onboarding.drawer"
    check_mode: bool = False
    diff: bool = False


TASK = Task()


def task(drawer: Drawer, arguments: Mapping[str, Any], how: Task = TASK, **changes: Any) -> dict[str, Any]:
    return run_task(subject(drawer, **changes), how, arguments, lambda line: None)


def test_a_task_is_masked_by_its_own_secrets() -> None:
    def talkative(current: Any, wanted: Any, made: Made) -> Mapping[str, Any]:
        return {"note": f"varnished with {SECRET}"}

    result = task(Drawer(), {"things": {"box": "red"}, "varnish": SECRET}, view=talkative)
    assert SECRET not in str(result)
    assert result["note"].startswith("varnished with ***")
    assert result["invocation"]["module_args"]["varnish"] == "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"


def test_the_failure_of_a_task_is_masked_too() -> None:
    drawer = Drawer(troubles=[None, CallFailed(f"The varnish {SECRET} is dry.")])
    result = task(drawer, {"things": {"box": "red", "lid": "blue"}, "varnish": SECRET})
    assert (result["failed"], result["changed"], result["applied"]) == (True, True, ["paint box red"])
    assert SECRET not in str(result)


def test_a_refused_task_lists_its_reasons() -> None:
    result = task(Drawer(), {"things": {"box": "pink"}})
    assert (result["failed"], result["changed"], result["applied"]) == (True, False, [])
    assert (result["msg"], result["findings"]) == ("No pink.", ["No pink.", "Nor anything like it."])


def test_a_task_gets_defaults_types_and_aliases_as_a_module_does() -> None:
    arguments = task(Drawer(), {"things": "box=red", "fold": "no", "name": "new"})["invocation"]["module_args"]
    assert (arguments["things"], arguments["fold"], arguments["label"]) == ({"box": "red"}, False, "new")


@dataclass(frozen=True)
class Vaulted:
    """Behaves as `!vault` before ansible-core 2.19: not a str, and decrypted when it is converted to one."""

    text: str
    __ENCRYPTED__ = True

    def __str__(self) -> str:
        return self.text


def test_a_task_gets_texts_for_what_is_vaulted_and_for_dates_as_a_module_does() -> None:
    drawer = Drawer()
    things = {"box": Vaulted("red"), "lid": [{"inside": Vaulted("blue")}], "made": date(2026, 1, 2)}
    result = task(drawer, {"things": things, "varnish": Vaulted(SECRET)})
    assert drawer.things == {"box": "red", "lid": [{"inside": "blue"}], "made": "2026-01-02"}
    assert SECRET not in str(result)


def test_what_the_caller_knows_to_be_secret_is_masked_before_it_is_rendered() -> None:
    drawer, color = Drawer(), "it's\na secret: color"
    result = run_task(subject(drawer), Task(diff=True), {"things": {"box": color}}, print, {color})
    assert drawer.things == {"box": color}
    assert result["diff"][0]["after"] == "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER\n"
    assert "secret" not in str(result)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "missing required arguments: things"),
        ({"things": {}, "label": "worn"}, "value of label must be one of: new, old, got: worn"),
        ({"things": {}, "fold": "perhaps"}, "argument 'fold' is of type"),
        ({"things": {}, "fold": True, "roll": True}, "fold and roll are both set. Use only one of them."),
        ({"things": {}, "lock": 1}, "Unsupported parameters for (castai.onboarding.drawer) module: lock. Supported"),
    ],
)
def test_a_task_with_bad_options_ends_before_anything_is_touched(arguments: dict[str, Any], message: str) -> None:
    drawer = Drawer()
    result = task(drawer, {**arguments, "varnish": SECRET})
    assert result["failed"] is True
    assert result["msg"].startswith(message)
    assert SECRET not in str(result)
    assert drawer == Drawer()


def test_a_task_obeys_check_mode_and_diff() -> None:
    drawer = Drawer()
    result = task(drawer, {"things": {"box": "red"}}, Task(check_mode=True, diff=True))
    assert (result["changed"], result["actions"]) == (True, ["paint box red"])
    assert result["diff"] == [entry("drawer/box", "paint box red", "", "red\n")]
    assert drawer.things == {}


def test_progress_is_part_of_a_tasks_result() -> None:
    def settle(gateway: Drawer, wanted: Any, current: Any, made: Made, report: Report) -> Any:
        report("drying")
        return current

    assert task(Drawer(), {"things": {"box": "red"}}, settle=settle)["progress"] == ["drying"]


def test_a_task_is_warned_of_an_option_that_is_given_twice() -> None:
    result = task(Drawer(), {"things": {}, "label": "new", "name": "new"})
    assert result["warnings"] == ["Both option label and its alias name are set."]


@pytest.mark.parametrize("secret", [f"{SECRET}'s", f'{SECRET}: "x"\n  of two lines', f"{SECRET}\té\x07{'x ' * 90}"])
@pytest.mark.parametrize("by_option", [True, False])
def test_a_secret_that_a_diff_would_write_in_another_way_is_masked_in_it(secret: str, by_option: bool) -> None:
    def plan(current: Any, wanted: Any) -> Iterable[Action]:
        yield Paint("paint box", "drawer/box", {"coat": [secret]}, {"coat": [f"{secret} twice"], "lid": secret})

    hides = {} if by_option else {"hidden": lambda params: (secret,)}
    arguments = {"things": {}, **({"varnish": secret} if by_option else {})}
    result = task(Drawer(), arguments, Task(check_mode=True, diff=True), plan=plan, **hides)
    assert "coat" in result["diff"][0]["before"]
    assert "CANARY" not in str(result["diff"])


@pytest.mark.parametrize("label", ["new", "no choice"])
def test_what_a_subject_hides_is_masked_in_success_and_failure(label: str) -> None:
    def hidden(params: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(text for text in params["things"].values() if text.startswith("CANARY"))

    result = task(Drawer(), {"things": {"box": SECRET}, "label": label}, hidden=hidden)
    assert result.get("failed", False) is (label != "new")
    assert SECRET not in str(result)


@pytest.mark.parametrize("things", [{"box": UNKNOWN}, {"box": {"lid": UNKNOWN}}])
def test_a_value_that_only_a_check_knows_is_taken_in_check_mode_only(things: dict[str, Any]) -> None:
    drawer = Drawer()
    assert task(drawer, {"things": things}, Task(check_mode=True))["changed"] is True
    result = task(drawer, {"things": things})
    assert result["msg"].startswith("things.box")
    assert result["msg"].endswith(
        "is (known after apply), which only stands for a value in check mode. Set it to the value."
    )
    assert drawer.writes == []


def test_who_waits_hears_of_changes_at_once_and_of_the_time_every_half_minute() -> None:
    clock, lines = Clock(), list[str]()
    tell = paced(lines.append, 600, clock)
    for seconds, line in ((0, "wet"), (10, "wet"), (10, "damp"), (9, "damp"), (1, "damp"), (10, "damp"), (25, "dry")):
        clock.sleep(seconds)
        tell(line)
    assert lines == ["wet", "damp", "damp (30 s of 600 s)", "dry (65 s of 600 s)"]


@pytest.mark.parametrize(
    ("check", "troubles", "attempts"), [(True, [], 1), (False, [], 1), (False, [Conflict("b")], 2)]
)
def test_a_plan_is_made_once_per_attempt_and_its_view_is_told_what_it_keeps(
    check: bool, troubles: list[Exception | None], attempts: int
) -> None:
    drawer, plans = Drawer(troubles=troubles), []

    def some(current: Mapping[str, str], wanted: Mapping[str, str]) -> Iterable[Action | Kept]:
        plans.append(current)
        yield Kept("the lining", "others use it")
        yield from plan(current, wanted)

    done = run(drawer, check, plan=some, view=lambda current, wanted, made: {"kept": made["kept"]})
    assert (len(plans), drawer.reads) == (attempts, attempts)
    assert done.view == {"kept": ("the lining: others use it",)}
    assert [type(action) for action in done.actions] == [Paint, Paint, Paint]
