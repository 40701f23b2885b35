# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration fails when anything is not as it must be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.demo import Step, Story, problems
from tests.sandbox.client import Seen
from tests.support.playbook import Run, TaskResult

WRITE = Seen(1, 0, 1, "kubernetes", "create secrets", "prod/castai-agent/castai-credentials", True, "", "prod", 201, "")


def step(agent_status: str = "online", status: str = "ready", changed: int = 0, ended: int = 0, did: str = "") -> Step:
    result = {"cluster": {"id": "1", "agent_status": agent_status, "status": status}, "actions": [did] if did else []}
    task = TaskResult("prod", "Wait", "castai.onboarding.castai_cluster", "ok", result, 0, 1)
    return Step(Run(ended, "", (task,), {"prod": {"changed": changed}}, 1), ())


GOOD = Story(
    connect_plan=step(changed=2),
    connect=step(changed=2),
    mend_plan=step(changed=1),
    mend=step(changed=1),
    onboard_plan=step(changed=3, did="create role r"),
    onboard=step(changed=3, did="create role r"),
    again=step(),
    without_network=({"spot"}, set()),
)


def test_nothing_is_wrong_with_a_good_run() -> None:
    assert problems(["prod"], GOOD) == []


@pytest.mark.parametrize(
    ("differing", "problem"),
    [
        ({"connect_plan": step(ended=2)}, "the plan to connect ended with 2"),
        ({"again": step(ended=4)}, "the last run ended with 4"),
        (
            {"connect_plan": replace(step(), writes=[WRITE])},
            "the plan to connect wrote: create secrets prod/castai-agent/castai-credentials",
        ),
        ({"onboard_plan": replace(GOOD.onboard_plan, writes=[WRITE])}, "the plan to onboard wrote: create secrets "),
        ({"mend_plan": replace(step(), writes=[WRITE])}, "the plan to mend kube-router wrote: create secrets "),
        ({"without_network": (set(), set())}, "kube-router ran on every node before it was mended"),
        ({"without_network": ({"spot"}, {"spot"})}, "kube-router does not run on node spot"),
        ({"onboard_plan": step(did="create role s")}, "onboarding prod was not as planned"),
        ({"connect": step("non-responding")}, "the agent of prod is non-responding"),
        ({"connect": Step(Run(0, "", (), {}, 1), ())}, "the agent of prod is unknown"),
        ({"onboard": step(status="connecting", did="create role r")}, "prod is connecting"),
        ({"again": step(changed=1)}, "the last run changed prod"),
        ({"again": replace(step(), writes=[WRITE])}, "the last run wrote: create secrets prod/castai-agent/castai-"),
    ],
)
def test_whatever_is_wrong_is_said(differing: dict[str, Any], problem: str) -> None:
    (said,) = problems(["prod"], replace(GOOD, **differing))
    assert said.startswith(problem)
