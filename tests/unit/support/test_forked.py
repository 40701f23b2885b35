# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tasks of a run, repeated in forks, and how many runs the tests of the world may start."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._engine import Refused, Subject
from tests.sandbox import processes
from tests.support import forked
from tests.support.forked import MASKED, Step, changed, run_steps, steps
from tests.support.playbook import Run, TaskResult
from tests.world.budget import STARTS, verdict

HOST = "prod"
ID, NEW_ID = "11111111-aaaa-4aaa-8aaa-aaaaaaaaaaaa", "22222222-bbbb-4bbb-8bbb-bbbbbbbbbbbb"


def task(action: str, outcome: str = "ok", **result: Any) -> TaskResult:
    return TaskResult(HOST, f"do {action}", f"castai.onboarding.{action}", outcome, result, 0.0, 0.0)


def given(**arguments: Any) -> dict[str, Any]:
    return {"module_args": arguments}


RUN = Run(
    0,
    "",
    (
        TaskResult("other", "not ours", "castai.onboarding.castai_cluster", "ok", {"invocation": given()}, 0.0, 0.0),
        TaskResult(HOST, "debug", "ansible.builtin.debug", "ok", {"msg": "x"}, 0.0, 0.0),
        task("castai_variables", variables={}),
        task("castai_cluster", invocation=given(name="a", key=MASKED, region="", tags=None), cluster_id=ID),
        task("castai_aws_auth", results=[{"invocation": given(arn=f"role/x-{ID[:8]}")}, {"invocation": given(arn=ID)}]),
        task("castai_aws_auth", results=[{"skipped": True, "invocation": given()}]),
    ),
    {},
    0.0,
)


def test_steps_are_a_hosts_tasks_and_items_with_what_was_given() -> None:
    assert steps(RUN, HOST) == (
        Step("do castai_cluster", "castai_cluster", {"name": "a"}, ID),
        Step("do castai_aws_auth", "castai_aws_auth", {"arn": f"role/x-{ID[:8]}"}),
        Step("do castai_aws_auth", "castai_aws_auth", {"arn": ID}),
    )


def test_options_go_into_what_was_recorded() -> None:
    recorded = (Step("", "a", {"values": {"x": 1, "y": 2}, "z": 3}), Step("", "b", {"z": 3}))
    wanted = changed(recorded, "a", values={"y": 4}, z=None)
    assert wanted == (Step("", "a", {"values": {"x": 1, "y": 4}, "z": None}), recorded[1])


def subject(module: str) -> Subject[Any, Any, Any]:
    """A module that prints its options, and kills itself or fails if asked to."""

    def desired(params: Any) -> Any:
        if params["arn"] == "end":
            os.kill(os.getpid(), signal.SIGKILL)
        if params["arn"] == "fail":
            raise Refused("It is not to be.")
        return params["arn"]

    class Nothing:
        def close(self) -> None:
            pass

    return Subject(
        options={"argument_spec": {"arn": {"type": "str"}}},
        desired=desired,
        connect=lambda _params, _desired: Nothing(),
        observe=lambda _gateway, _desired: None,
        plan=lambda _current, _desired: (),
        view=lambda _current, wanted, _made: {
            "arn": wanted,
            "run": os.environ[processes.RUN_VARIABLE],
            **({"cluster_id": NEW_ID} if module == "castai_cluster" else {}),
        },
    )


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    monkeypatch.setattr(forked.Step, "subject", property(lambda step: subject(step.module)))
    return [Step("register", "castai_cluster", {"arn": "a"}, ID), Step("let in", "castai_aws_auth", {"arn": ID[:8]})]


def test_a_fork_goes_on_with_the_id_that_the_cluster_has_now(recorded: list[Step], tmp_path: Path) -> None:
    run = run_steps(tmp_path, recorded, HOST, {}, os.defpath)
    assert (run.status, run.failures) == (0, {})
    assert [result["arn"] for result in (*run.of("castai_cluster"), *run.of("castai_aws_auth"))] == ["a", NEW_ID[:8]]
    (named,) = {task.result["run"] for task in run.tasks}
    assert named.startswith("fork-")
    assert processes.of_run(named) == []


def test_a_fork_ends_at_the_first_failure(recorded: list[Step], tmp_path: Path) -> None:
    refused = Step("refuse", "castai_aws_auth", {"arn": "fail"})
    run = run_steps(tmp_path, [refused, *recorded], HOST, {}, os.defpath)
    assert (run.status, run.failures) == (2, {HOST: "It is not to be."})
    assert len(run.tasks) == 1


def test_a_fork_that_is_killed_leaves_what_it_had_done(recorded: list[Step], tmp_path: Path) -> None:
    run = run_steps(tmp_path, [*recorded, Step("end", "castai_aws_auth", {"arn": "end"})], HOST, {}, os.defpath)
    assert run.status == -signal.SIGKILL
    assert [task.task for task in run.tasks] == ["register", "let in"]


@pytest.mark.parametrize(
    ("starts", "whole", "outcome"),
    [(STARTS, True, "passed"), (STARTS + 1, True, "failed"), (STARTS + 1, False, "failed"), (3, False, "skipped")],
)
def test_a_part_of_the_tests_proves_nothing_of_the_number_of_starts(starts: int, whole: bool, outcome: str) -> None:
    assert verdict(starts, whole).outcome == outcome
