# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import time
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: recorder
type: notification
short_description: Writes what each task gave as JSON lines
description: Beside the usual output, to the file that the environment variable RECORDER_FILE names.
options: {}
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "recorder"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._started: dict[tuple[str, str], float] = {}

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self._started[host.name, task._uuid] = time.time()

    def v2_runner_on_ok(self, result: Any) -> None:
        self._write_task("ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._write_task("ignored" if ignore_errors else "failed", result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._write_task("skipped", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._write_task("unreachable", result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._write({"stats": {host: stats.summarize(host) for host in stats.processed}})

    def _write_task(self, outcome: str, result: Any) -> None:
        host, task, found = (_of(result, name) for name in ("host", "task", "result"))
        self._write(
            {
                "host": host.name,
                "task": result.task_name,
                "action": task.resolved_action or task.action,
                "outcome": outcome,
                "result": found,
                "at": self._started.get((host.name, task._uuid), 0.0),
                "end": time.time(),
            }
        )

    def _write(self, line: dict[str, Any]) -> None:
        with open(os.environ["RECORDER_FILE"], "a", encoding="utf-8") as file:  # noqa: PTH123 - one line, one write
            file.write(json.dumps(line, default=str) + "\n")


def _of(result: Any, name: str) -> Any:
    """Before ansible-core 2.19 a result has no public attributes."""
    return getattr(result, name, None) or getattr(result, f"_{name}")
