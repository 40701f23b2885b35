# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of pytest, the gates and molecule in one form: JUnit XML, which pytest writes and every CI reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

Verdict = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Result:
    """One test, gate or scenario; `text` says why it failed or was skipped."""

    name: str
    seconds: float
    verdict: Verdict
    text: str = ""


def write(path: Path, suite: str, results: Sequence[Result]) -> None:
    top = ElementTree.Element("testsuite", name=suite, tests=str(len(results)))
    for result in results:
        case = ElementTree.SubElement(top, "testcase", name=result.name, time=f"{result.seconds:.3f}")
        if result.verdict != "passed":
            tag = {"failed": "failure", "skipped": "skipped"}[result.verdict]
            ElementTree.SubElement(case, tag).text = result.text
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(top).write(path, encoding="unicode", xml_declaration=True)


def read(path: Path) -> tuple[Result, ...]:
    return tuple(_result(case) for case in ElementTree.parse(path).iter("testcase"))


def _result(case: ElementTree.Element) -> Result:
    name = ".".join(filter(None, (case.get("classname"), case.get("name"))))
    seconds = float(case.get("time", 0))
    for tag, verdict in _VERDICTS.items():
        found = case.find(tag)
        if found is not None:
            return Result(name, seconds, verdict, found.text or found.get("message") or "")
    return Result(name, seconds, "passed")


_VERDICTS: dict[str, Verdict] = {"failure": "failed", "error": "failed", "skipped": "skipped"}


def closing_line(results: Sequence[Result], seconds: float) -> str:
    counts = [f"{sum(result.verdict == verdict for result in results)} {verdict}" for verdict in ("passed", "failed")]
    skipped = sum(result.verdict == "skipped" for result in results)
    return ", ".join(counts + [f"{skipped} skipped"] * bool(skipped)) + f" in {seconds:.0f} s"
