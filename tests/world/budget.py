# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often tests/world may start ansible-playbook: each start costs two to three seconds of a processor.

A new test checks what one run can show for all hosts at once, or runs its tasks in forks (tests/support/forked.py). The
number is only raised in a commit that says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support import playbook

STARTS = 83
NAME = f"tests/world/budget.py::test_at_most_{STARTS}_starts_of_ansible_playbook"
HERE = Path(__file__).parent


class Budget:
    """Counts in every process of pytest, and adds a test, after all others, that fails above the number.

    If only part of the tests run, it reports the count and that this proves nothing.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._starts = 0
        self._whole = not any("::" in argument for argument in config.args)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self._whole = self._whole and not items

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        found = {item.path for item in session.items if item.path.parent == HERE}
        self._whole = self._whole and found == set(HERE.glob("test_*.py"))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._whole = self._whole and not report.failed

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """The process of pytest-xdist has ended, on its own or not."""
        found = getattr(node, "workeroutput", {})
        self._starts += found.get("starts", 0)
        self._whole = self._whole and found.get("whole", False)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self._starts += playbook.starts()
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput.update(starts=self._starts, whole=self._whole)
        elif self._starts and not self._config.option.collectonly:
            report = verdict(self._starts, self._whole)
            self._config.hook.pytest_runtest_logreport(report=report)
            if report.failed:
                session.testsfailed += 1
                session.exitstatus = pytest.ExitCode.TESTS_FAILED


def verdict(starts: int, whole: bool) -> pytest.TestReport:
    """The message of the test of the number."""
    said = f"{starts} starts of ansible-playbook, of at most {STARTS}"
    outcome: Any = "failed" if starts > STARTS else "passed"
    told: Any = f"{said}: let forks do it, or say in a commit why there must be more" if starts > STARTS else None
    if outcome == "passed" and not whole:
        outcome, told = "skipped", (str(HERE), 0, f"Skipped: {said}, but not all tests of tests/world ran and passed")
    return pytest.TestReport(NAME, (NAME, None, ""), {}, outcome, told, "call")
