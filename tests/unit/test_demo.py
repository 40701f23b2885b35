# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration fails if anything is not as expected."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.demo import LINES, MISTAKES, NAMES, Counted, Step, _each, problems, too_many
from tests.sandbox.client import Seen
from tests.support.playbook import Run, TaskResult

WRITE = Seen(1, 0, 1, "kubernetes", "create secrets", "prod/castai-agent/castai-credentials", True, "", "prod", 201, "")
SHOP = NAMES[0]


def step(ended: int = 0, changed: int = 0, writes: int = 0, **first: Any) -> Step:
    """A run over all clusters. first: what differs in the result of the first cluster's task."""
    results = {name: result(**(first if name == SHOP else {})) for name in NAMES}
    outcome = "failed" if ended else "ok"
    tasks = [TaskResult(name, "Do", "castai.onboarding.castai_cluster", outcome, results[name], 0, 1) for name in NAMES]
    return Step(Run(ended, "", tuple(tasks), {SHOP: {"changed": changed}}, 1), [WRITE] * writes)


def result(agent: str = "online", status: str = "ready", did: str = "create role r") -> dict[str, Any]:
    return {"cluster": {"id": "1", "agent_status": agent, "status": status}, "actions": [did], "msg": "Something."}


GOOD: Mapping[str, Step] = {
    "mistakes": step(ended=2),
    "plan": step(changed=1),
    "connect": step(changed=1, writes=1),
    "onboard plan": step(changed=1),
    "killed": step(ended=-9, writes=1),
    "onboard": step(changed=1, writes=1),
    "again": step(),
    "drift": step(changed=1),
    "repair": step(changed=1, writes=1),
    "refused": step(ended=2),
}
NOT_FOUND = replace(GOOD["mistakes"], run=replace(GOOD["mistakes"].run, tasks=()))
NO_DRIFT = replace(GOOD["drift"], run=replace(GOOD["drift"].run, tasks=()))


def test_nothing_is_wrong_with_a_good_run() -> None:
    assert list(problems(GOOD)) == []


@pytest.mark.parametrize(
    ("differing", "problem"),
    [
        ({"plan": step(ended=2)}, "plan ended with 2"),
        ({"again": step(ended=4)}, "again ended with 4"),
        ({"mistakes": step()}, "mistakes ended with 0"),
        ({"mistakes": NOT_FOUND}, f"{next(iter(MISTAKES))} has no findings"),
        ({"killed": step()}, "killed ended with 0"),
        ({"refused": step()}, "refused ended with 0"),
        *(
            ({name: replace(GOOD[name], writes=[WRITE])}, f"{name} wrote: create secrets prod/castai-agent/castai-")
            for name in ("mistakes", "plan", "onboard plan", "again", "drift", "refused")
        ),
        ({"plan": step(did="create role s")}, f"connect of {SHOP} was not as planned"),
        ({"repair": step(did="create role s")}, f"repair of {SHOP} was not as planned"),
        ({"connect": step(agent="non-responding")}, f"the agent of {SHOP} is non-responding"),
        ({"onboard": step(status="connecting")}, f"{SHOP} is connecting"),
        ({"again": step(changed=1)}, f"the run again changed {SHOP}"),
        ({"drift": NO_DRIFT, "repair": NO_DRIFT}, "no drift was seen"),
    ],
)
def test_whatever_is_wrong_is_said(differing: Mapping[str, Step], problem: str) -> None:
    said = list(problems({**GOOD, **differing}))
    assert said
    assert said[0].startswith(problem)


def test_clusters_of_which_the_same_is_said_share_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    _each({"one": "4 actions", "two": "nothing", "three": "4 actions"})
    assert capsys.readouterr().out == "one, three: 4 actions\ntwo: nothing\n"


def test_more_lines_than_anybody_reads_are_counted_and_fail() -> None:
    printed = Counted(io.StringIO())
    with contextlib.redirect_stdout(printed):
        print("two\nlines" + "\n" * LINES, end="")
    assert printed.lines == LINES + 1
    assert too_many(printed.lines) == [f"{LINES + 1} lines were printed, of at most {LINES}"]
    assert too_many(LINES) == []
