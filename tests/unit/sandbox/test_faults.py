# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Schedules of faults: parsing them, and the calls that they apply to."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.faults import Delay, End, Fail, Fault, Hide, Lose, Rival, Schedule, Throttle
from tests.sandbox.wire import Call

CREATE_ROLE = Call("aws", "iam:CreateRole", "node", True, "")
GET_ROLE = Call("aws", "iam:GetRole", "node", False, "")


@pytest.mark.parametrize(
    ("data", "effect"),
    [
        ({"fail": {"status": 400, "code": "Throttling"}}, Fail(400, "Throttling")),
        ({"throttle": {"retry_after": 2}}, Throttle(retry_after=2)),
        ({"delay": 1.5}, Delay(1.5)),
        ({"lose": "before"}, Lose("before")),
        ({"hide": 3}, Hide(3)),
        ({"rival": {"method": "PUT", "path": "/x", "body": {}}}, Rival("PUT", "/x", {})),
        ({"rival": {"verb": "put_role", "args": {"name": "x"}}}, Rival(verb="put_role", args={"name": "x"})),
        ({"end": "after"}, End("after")),
    ],
)
def test_each_effect_is_read(data: dict[str, Any], effect: object) -> None:
    assert Fault.parse(data).effect == effect


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("nonsense", "a fault is an object"),
        ({"system": "aws"}, "exactly one of"),
        ({"delay": 1, "hide": 1}, "exactly one of"),
        ({"delay": 1, "verb": "get"}, "unknown in a fault: verb"),
        ({"delay": 1, "effect": "x"}, "unknown in a fault: effect"),
        ({"lose": "during"}, "before or after"),
        ({"fail": {"state": 1}}, "expected an object with code, message, status"),
    ],
)
def test_a_mistake_in_a_schedule_is_told(data: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Fault.parse(data)


@pytest.mark.parametrize(
    ("match", "means"),
    [
        ({}, True),
        ({"system": "aws"}, True),
        ({"system": "castai"}, False),
        ({"operation": "iam:Create.*"}, True),
        ({"operation": "iam:Create"}, False),
        ({"resource": "node|other"}, True),
        ({"resource": "nod"}, False),
        ({"write": True}, True),
        ({"write": False}, False),
    ],
)
def test_which_calls_a_fault_means(match: dict[str, Any], means: bool) -> None:
    assert Fault.parse({**match, "delay": 0}).means(CREATE_ROLE) is means


def test_counts_matches_only_and_takes_as_many_as_it_says() -> None:
    schedule = Schedule()
    schedule.load([{"operation": "iam:CreateRole", "after": 1, "times": 2, "delay": 7}])
    calls = [CREATE_ROLE, GET_ROLE, CREATE_ROLE, CREATE_ROLE, CREATE_ROLE]
    assert [schedule.fire(call) for call in calls] == [[], [], [Delay(7)], [Delay(7)], []]
    assert schedule.fired() == [2]


def test_a_limit_takes_what_is_beyond_so_many_a_second() -> None:
    times = [100.0, 100.0, 100.0, 100.4, 100.5, 160.0, 160.0, 160.0]
    clock = iter([100.0, *times])
    schedule = Schedule(lambda: next(clock))
    schedule.load([{"system": "aws", "over": 2, "throttle": {}}])
    taken = [bool(schedule.fire(CREATE_ROLE)) for _time in times]
    assert taken == [False, False, True, True, False, False, False, True]
    assert schedule.fired() == [3]


def test_effects_of_several_faults_come_in_their_order() -> None:
    schedule = Schedule()
    schedule.load([{"delay": 1}, {"write": True, "lose": "after"}])
    assert schedule.fire(CREATE_ROLE) == [Delay(1), Lose("after")]


def test_a_bad_schedule_leaves_the_one_before() -> None:
    schedule = Schedule()
    schedule.load([{"delay": 1}])
    with pytest.raises(ValueError, match="exactly one"):
        schedule.load([{}])
    assert schedule.fire(GET_ROLE) == [Delay(1)]
