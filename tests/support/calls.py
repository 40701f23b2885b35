# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a world's journal shows about the tasks of a run."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tests.sandbox.client import Seen
from tests.support.playbook import TaskResult


def of_task(task: TaskResult, calls: Sequence[Seen]) -> list[Seen]:
    """The calls of a task, if no other host's task ran at the same time."""
    return [call for call in calls if task.at <= call.at and call.end <= task.end]


def rounds(calls: Sequence[Seen], log_in: Collection[str] = ()) -> int:
    """How often calls had to wait for the answers of earlier calls.

    log_in: operations that do not count as a round, and neither do calls made while others wait for them.
    """
    count, end, costs = 0, 0.0, False
    for call in sorted(calls, key=lambda call: call.at):
        if call.at >= end:
            count, end, costs = count + costs, call.end, True
        else:
            end = min(end, call.end)
        costs = costs and call.operation not in log_in
    return count + costs
