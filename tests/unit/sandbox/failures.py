# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failure modes of a cloud that onboarding must survive, and how a run that meets one is judged."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ansible_collections.castai.onboarding.plugins.module_utils._engine import Failure as Ending
from ansible_collections.castai.onboarding.plugins.module_utils._engine import Result
from tests.unit.plugins.conftest import Wire

from .aws_account import Ended, sentences
from .endable import Endable

Before = Callable[[Any], object]
"""A change to a cloud's world."""


def nothing(_world: Endable) -> None:
    pass


@dataclass(frozen=True)
class Failure:
    """before: creates the state for the run; faults: of the run's calls; options: of the module.

    said: parts of the message with which the run fails, empty if it succeeds; refused: whether it fails before any
    write, in check mode too. shown: parts of actions, warnings or reasons for keeping something. gone: removes the
    cause. holds: a check of the final state; ours: whether that equals an undisturbed run's. least, seconds: how long
    the run takes at least and at most, by the world's clock.
    """

    number: str
    before: Before = nothing
    faults: Sequence[Mapping[str, Any]] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    said: tuple[str | re.Pattern[str], ...] = ()
    refused: bool = False
    shown: tuple[str, ...] = ()
    gone: Before = nothing
    holds: Callable[[Any], bool] = lambda _world: True
    ours: bool = True
    least: float = 0.0
    seconds: float = 700.0


@dataclass(frozen=True)
class Way:
    """A way to log in to a cluster. asked: returns the sentence about the problem, empty for none. said: its
    contents."""

    number: str
    asked: Callable[[Any, Wire], str]
    said: tuple[str, ...] = ()


def do(verb: str, **args: Any) -> Before:
    return lambda world: world.cloud.do(verb, **args)


def each(*steps: Before) -> Before:
    return lambda world: [step(world) for step in steps]


def run(world: Endable) -> object:
    return world.run()


def fault(system: str, operation: str, effect: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"system": system, "operation": operation, effect: value, **more}


def fails(system: str, operation: str, status: int, code: str, message: str = "", **more: Any) -> dict[str, Any]:
    answer = {"status": status, "code": code, **({"message": message} if message else {})}
    return fault(system, operation, "fail", answer, **more)


def ending(action: Callable[[], object]) -> str:
    """The sentence with which it ends, empty if it succeeds."""
    try:
        action()
    except Ended:
        return "Ended"
    except Ending as failure:
        return str(failure)
    return ""


class Met(NamedTuple):
    """planned, said: the sentences with which the plan and the run ended; done: the run's result, if it succeeded."""

    planned: str
    said: str
    done: tuple[Result, ...]


def met(world: Endable, failure: Failure) -> Met:
    """Judge a plan and a run that meet the failure."""
    options, faults, begun = dict(failure.options), world.cloud.gate.faults, len(world.cloud.writes())
    faults.load([*failure.faults] if failure.refused else [])
    planned = ending(lambda: world.run(check=True, **options))
    assert bool(planned) == failure.refused, planned
    assert len(world.cloud.writes()) == begun, "a plan writes nothing"
    faults.load([*failure.faults])
    started = world.clock()
    done: list[Result] = []
    said = ending(lambda: done.append(world.run(**options)))
    assert failure.least <= world.clock() - started < failure.seconds
    assert all(faults.fired()), "the faults were met"
    assert bool(said) == bool(failure.said), said
    assert [one for one in failure.said if not _mentions(said, one)] == [], said
    if failure.refused:
        assert len(world.cloud.writes()) == begun, "it is refused before anything is written"
    shown = [
        text for one in done for text in (*sentences(one), *one.view.get("warnings", ()), *one.view.get("kept", ()))
    ]
    assert [one for one in failure.shown if not any(one in text for text in shown)] == [], shown
    return Met(planned, said, tuple(done))


def take_away(world: Endable, failure: Failure) -> None:
    """Remove the cause of the failure."""
    world.cloud.gate.faults.load([])
    failure.gone(world)


def rerun(world: Endable, failure: Failure) -> None:
    """Without the cause, the run produces the wanted state, and another one changes nothing."""
    world.run(**failure.options)
    assert failure.holds(world)
    assert world.run(**failure.options).actions == ()


def _mentions(text: str, part: str | re.Pattern[str]) -> bool:
    return part in text if isinstance(part, str) else bool(part.search(text))
