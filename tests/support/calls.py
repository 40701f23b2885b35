# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the journal of a world tells of a run's tasks."""

from __future__ import annotations

from collections.abc import Sequence

from tests.sandbox.client import Seen
from tests.support.playbook import TaskResult


def of_task(task: TaskResult, calls: Sequence[Seen]) -> list[Seen]:
    """The calls of a task, where no other host's task ran meanwhile."""
    return [call for call in calls if task.at <= call.at and call.end <= task.end]


def rounds(calls: Sequence[Seen]) -> int:
    """How many times calls had to wait for the answers of calls before them."""
    count, end = 0, 0.0
    for call in sorted(calls, key=lambda call: call.at):
        if call.at >= end:
            count, end = count + 1, call.end
        else:
            end = min(end, call.end)
    return count
