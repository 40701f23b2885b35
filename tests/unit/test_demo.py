# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration fails when anything is not as it must be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.demo import Step, problems
from tests.sandbox.client import Seen
from tests.support.playbook import Run, TaskResult

WRITE = Seen(1, 0, 1, "kubernetes", "create secrets", "prod/castai-agent/castai-credentials", True, "", "prod", 201, "")


def step(agent_status: str = "online", changed: int = 0, status: int = 0) -> Step:
    result = {"cluster": {"id": "1", "agent_status": agent_status}}
    task = TaskResult("prod", "Wait", "castai.onboarding.castai_cluster", "ok", result, 0, 1)
    return Step(Run(status, "", (task,), {"prod": {"changed": changed}}, 1), ())


GOOD: dict[str, Step] = {"plan": step(changed=2), "connect": step(changed=2), "again": step()}


def test_nothing_is_wrong_with_a_good_run() -> None:
    assert problems(["prod"], **GOOD) == []


@pytest.mark.parametrize(
    ("differing", "problem"),
    [
        ({"plan": step(status=2)}, "the plan ended with 2"),
        ({"again": step(status=4)}, "the second run ended with 4"),
        (
            {"plan": replace(step(), writes=[WRITE])},
            "the plan wrote: create secrets prod/castai-agent/castai-credentials",
        ),
        ({"connect": step("non-responding")}, "the agent of prod is non-responding"),
        ({"connect": Step(Run(0, "", (), {}, 1), ())}, "the agent of prod is unknown"),
        ({"again": step(changed=1)}, "the second run changed prod"),
        ({"again": replace(step(), writes=[WRITE])}, "the second run wrote: create secrets prod/castai-agent/castai-"),
    ],
)
def test_whatever_is_wrong_is_said(differing: dict[str, Any], problem: str) -> None:
    (said,) = problems(["prod"], **{**GOOD, **differing})
    assert said.startswith(problem)
