# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repeats a run's tasks in a fork of this process, so that a test of an interruption does not have to start Python.

A task's arguments are those of a recorded playbook run, so nothing of a role is written here again. A fork has already
read all libraries, and its tasks are what the action plugins run inside the controller.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ansible_collections.castai.onboarding.plugins.module_utils._engine import AnySubject, run_task
from tests.sandbox import processes
from tests.support.playbook import COLLECTION, Json, Run, TaskResult

MASKED = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
CLUSTER_ID = "cluster_id"


@dataclass(frozen=True)
class Step:
    """One task, or one item of its loop. module: without the collection's name. cluster_id: from its result."""

    name: str
    module: str
    arguments: Json
    cluster_id: str = ""

    @property
    def subject(self) -> AnySubject:
        plugin = importlib.import_module(f"ansible_collections.{COLLECTION}.plugins.action.{self.module}")
        found: AnySubject = plugin.ActionModule.SUBJECT
        return found


def steps(run: Run, host: str) -> tuple[Step, ...]:
    """The options of the host's tasks in a run, in order; options that are unset or secret are left out."""
    return tuple(
        Step(task.task, task.action.rpartition(".")[2], _given(result), str(result.get(CLUSTER_ID) or ""))
        for task in run.tasks
        if task.host == host and task.action.startswith(f"{COLLECTION}.castai_")
        for result in task.result.get("results", [task.result])
        if "module_args" in result.get("invocation", {}) and not result.get("skipped")
    )


def _given(result: Json) -> Json:
    arguments = result["invocation"]["module_args"]
    return {name: value for name, value in arguments.items() if value not in (None, "", MASKED)}


def changed(recorded: Sequence[Step], module: str, **options: Any) -> tuple[Step, ...]:
    """The steps with these options added to those of the module; dictionaries are merged into the recorded ones."""
    return tuple(
        replace(step, arguments=_with(step.arguments, options)) if step.module == module else step for step in recorded
    )


def _with(arguments: Json, options: Json) -> Json:
    merged = {
        name: {**arguments.get(name, {}), **value} if isinstance(value, dict) else value
        for name, value in options.items()
    }
    return {**arguments, **merged}


def run_steps(
    folder: Path,
    recorded: Sequence[Step],
    host: str,
    environment: Mapping[str, str],
    path: str,
    check: bool = False,
    patience: float = 300,
) -> Run:
    """Run them in a fork with exactly this environment until one fails; the status is that of ansible-playbook.

    The recorded cluster's id, also in names made from it, is replaced by the current one.
    """
    record, output = (folder / f"fork-{uuid.uuid4().hex[:8]}{suffix}" for suffix in ("", ".out"))
    for part in (folder / "home", folder / "tmp"):
        part.mkdir(parents=True, exist_ok=True)
    own = {"PATH": path, "HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "LANG": "C.UTF-8"}
    started = time.monotonic()
    # The action plugins are imported here, once, and not again by each fork.
    with_subjects = [(step, step.subject) for step in recorded]
    # Garbage collection in the fork would copy the pages of everything that the tests have read.
    gc.freeze()
    pid = os.fork()
    if pid == 0:
        _be_the_run(with_subjects, host, {**own, **environment}, check, record, output)
    gc.unfreeze()
    status = _wait(pid, started + patience)
    lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
    tasks = tuple(TaskResult(**json.loads(line)) for line in lines)
    counts = {"changed": sum(bool(task.result.get("changed")) for task in tasks)}
    text = output.read_text(encoding="utf-8", errors="replace") + "\n".join(lines)
    return Run(status, text, tasks, {host: counts}, time.monotonic() - started)


def _wait(pid: int, deadline: float) -> int:
    """The fork's exit status, negative for a signal."""
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            processes.end_run(processes.fork_run(pid))
            os.waitpid(pid, 0)
            raise TimeoutError(f"the tasks in process {pid} do not end")
        time.sleep(0.01)


def _be_the_run(
    tasks: Sequence[tuple[Step, AnySubject]],
    host: str,
    environment: Mapping[str, str],
    check: bool,
    record: Path,
    output: Path,
) -> None:
    """Run in the fork, and never return: exit status 0 for success, 2 for a failed task, 1 for an error in the test."""
    status = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        stream = os.open(output, os.O_CREAT | os.O_WRONLY, 0o600)
        for descriptor in (1, 2):
            os.dup2(stream, descriptor)
        os.environ.clear()
        os.environ.update(environment)
        os.environ[processes.RUN_VARIABLE] = processes.fork_run(os.getpid())
        tempfile.tempdir = None
        with record.open("w", encoding="utf-8") as lines:
            status = 0
            for task in _results(tasks, host, check):
                lines.write(json.dumps(asdict(task), default=str) + "\n")
                lines.flush()
                if task.outcome == "failed":
                    status = 2
                    break
    except BaseException:  # no error may reach the tests of which this process is a copy
        status = 1
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(status)


def _results(tasks: Sequence[tuple[Step, AnySubject]], host: str, check: bool) -> Iterator[TaskResult]:
    before = after = ""
    for step, subject in tasks:
        arguments = _renamed(step.arguments, before, after) if before else step.arguments
        task = SimpleNamespace(check_mode=check, diff=True, action=f"{COLLECTION}.{step.module}")
        at = time.time()
        result = run_task(subject, task, arguments, lambda line: print(line, flush=True))
        outcome = "failed" if result.get("failed") else "ok"
        yield TaskResult(host, step.name, task.action, outcome, result, at, time.time())
        if step.cluster_id and result.get(CLUSTER_ID):
            before, after = step.cluster_id, result[CLUSTER_ID]


def _renamed(value: Any, before: str, after: str) -> Any:
    """Names in IAM contain the first eight characters."""
    return json.loads(json.dumps(value).replace(before, after).replace(before[:8], after[:8]))
