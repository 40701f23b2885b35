# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results survive being written to a file, and pytest's files are read in the same form."""

from __future__ import annotations

from pathlib import Path

from tests import report
from tests.report import Result

RESULTS = (
    Result("ruff", 1.5, "passed"),
    Result("mypy", 12.25, "failed", "a < b & c\nsecond line"),
    Result("sanity-2.21", 0.0, "skipped", "it needs Python 3.12"),
)


def test_reads_what_it_wrote(tmp_path: Path) -> None:
    report.write(tmp_path / "new/gates.xml", "gates", RESULTS)
    assert report.read(tmp_path / "new/gates.xml") == RESULTS


def test_reads_what_pytest_writes(tmp_path: Path) -> None:
    file = tmp_path / "unit.xml"
    file.write_text(
        '<testsuites><testsuite name="pytest"><testcase classname="a.b" name="ok" time="0.5"/>'
        '<testcase classname="a.b" name="broken" time="1"><error message="failed on setup">trace</error></testcase>'
        "</testsuite></testsuites>"
    )
    assert report.read(file) == (Result("a.b.ok", 0.5, "passed"), Result("a.b.broken", 1.0, "failed", "trace"))


def test_closing_line_counts_all_and_names_skipped_only_where_there_are_some() -> None:
    assert report.closing_line(RESULTS, 61.4) == "1 passed, 1 failed, 1 skipped in 61 s"
    assert report.closing_line(RESULTS[:1], 2) == "1 passed, 0 failed in 2 s"
