# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._engine import (
    ATTEMPTS,
    UNKNOWN,
    Action,
    CallFailed,
    Conflict,
    Made,
    Progress,
    Refused,
    Report,
    Result,
    Stopped,
    Subject,
    gather,
    reconcile,
    run_task,
    until,
)

SECRET = "CANARY-of-the-drawer"


@dataclass
class Drawer:
    """The smallest world: things with a colour, some ids, and what is to go wrong with the next writes."""

    things: dict[str, str] = field(default_factory=dict)
    troubles: list[Exception | None] = field(default_factory=list)
    reads: int = 0
    writes: list[str] = field(default_factory=list)
    closed: int = 0
    rival: Mapping[str, str] | None = None
    """What somebody else puts in when a write runs into trouble."""

    def write(self, name: str, colour: str) -> None:
        if self.troubles and (trouble := self.troubles.pop(0)):
            self.things.update(self.rival or {})
            raise trouble
        self.writes.append(name)
        self.things[name] = colour

    def close(self) -> None:
        self.closed += 1


@dataclass(frozen=True)
class Paint(Action):
    name: str = ""
    colour: str = ""
    varnish: str = field(default="", repr=False)

    def run(self, gateway: Drawer, made: Made) -> Mapping[str, Any]:
        gateway.write(self.name, self.colour)
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
    for name, colour in wanted.items():
        if current.get(name) != colour:
            yield Paint(f"paint {name} {colour}", f"drawer/{name}", current.get(name), colour, name, colour, SECRET)


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


SENTENCES = ["paint box red", "paint lid blue", "paint key green"]


# gather


def test_gather_runs_all_reads_at_once() -> None:
    together = threading.Barrier(3, timeout=5)
    reads = {name: lambda name=name: (together.wait(), name)[1] for name in "abc"}
    assert gather(**reads) == {"a": "a", "b": "b", "c": "c"}


def test_gather_raises_the_first_error_in_order_once_every_read_is_over() -> None:
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

    with pytest.raises(CallFailed, match="first"):
        gather(first=slow_failure, second=quick_failure, third=late)
    assert sorted(ended) == ["first", "second", "third"]


def test_gather_of_one_and_of_none() -> None:
    assert gather(only=threading.get_ident) == {"only": threading.get_ident()}
    assert gather() == {}


# until


@dataclass
class Clock:
    """Time that passes by sleeping only."""

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
        "diff": {
            "before": {"drawer/lid": "white", "drawer/key": None},
            "after": {"drawer/lid": "blue", "drawer/key": "green"},
        },
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

    with pytest.raises(Stopped, match=r"^No answer\. Nothing was changed before that\. A rerun is safe and goes on"):
        run(Drawer(), observe=broken)


def test_whoever_writes_first_makes_it_plan_again_with_what_is_there_then() -> None:
    drawer = Drawer(troubles=[None, Conflict("Lid was touched.")], rival={"lid": "blue"})
    result = run(drawer)
    assert drawer.reads == 2
    assert drawer.writes == ["box", "key"]
    assert result.public(diff=False)["actions"] == ["paint box red", "paint key green"]
    assert result.public(diff=False)["ids"] == ["box", "key"]


def test_it_gives_up_when_somebody_writes_first_again_and_again() -> None:
    drawer = Drawer(troubles=[None, *[Conflict("Lid was touched.")] * ATTEMPTS])
    with pytest.raises(Stopped) as caught:
        run(drawer)
    assert str(caught.value) == (
        "Lid was touched. This happened 5 times in a row. Done before that: paint box red."
        " A rerun is safe and goes on from here."
    )
    assert caught.value.applied == ("paint box red",)
    assert (drawer.reads, drawer.closed) == (ATTEMPTS, 1)


def test_a_refusal_of_the_second_plan_tells_what_the_first_one_did() -> None:
    drawer = Drawer(troubles=[None, Conflict("Lid was touched.")], rival={"lock": "shut"})
    with pytest.raises(Stopped) as caught:
        run(drawer)
    assert str(caught.value) == (
        "The drawer is locked: open it. Done before that: paint box red. A rerun is safe and goes on from here."
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
        f"Could not {SENTENCES[len(done)]}: No paint left. {aftermath} A rerun is safe and goes on from here."
    )
    assert caught.value.applied == tuple(SENTENCES[: len(done)])
    assert drawer.closed == 1
    assert run(drawer).public(diff=False)["actions"] == SENTENCES[len(done) :]


@pytest.mark.parametrize(("done", "before"), [([], ""), ([None], "Done before that: paint box red. ")])
def test_what_may_have_been_done_is_not_said_to_have_changed_nothing(done: list[None], before: str) -> None:
    drawer = Drawer(troubles=[*done, CallFailed("No answer.", " (by hand): no answer.", unanswered=True)])
    with pytest.raises(Stopped) as caught:
        run(drawer)
    assert str(caught.value) == (
        f"Could not {SENTENCES[len(done)]} (by hand): no answer. {before}It is not known whether this was done after"
        " all. A rerun is safe and goes on from here."
    )


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


# run_task


@dataclass(frozen=True)
class Task:
    """What is read of Ansible's own."""

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
    """Shaped like what ansible-core before 2.19 makes of `!vault`: no str, and decrypted as it is made one."""

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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "missing required arguments: things"),
        ({"things": {}, "label": "worn"}, "value of label must be one of: new, old, got: worn"),
        ({"things": {}, "fold": "perhaps"}, "argument 'fold' is of type"),
        ({"things": {}, "fold": True, "roll": True}, "parameters are mutually exclusive: fold|roll"),
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
    assert result["diff"] == {"before": {"drawer/box": None}, "after": {"drawer/box": "red"}}
    assert drawer.things == {}


def test_progress_is_part_of_a_tasks_result() -> None:
    def settle(gateway: Drawer, wanted: Any, current: Any, made: Made, report: Report) -> Any:
        report("drying")
        return current

    assert task(Drawer(), {"things": {"box": "red"}}, settle=settle)["progress"] == ["drying"]


def test_a_task_is_warned_of_an_option_that_is_given_twice() -> None:
    result = task(Drawer(), {"things": {}, "label": "new", "name": "new"})
    assert result["warnings"] == ["Both option label and its alias name are set."]


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
        "is (known after apply), which stands for a value only in check mode. Set it to the value."
    )
    assert drawer.writes == []
