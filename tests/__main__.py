# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that must pass before a change is merged: `python -m tests [unit] [gates] [world] [molecule]`.

The local world's Go build goes on beside the parts that do not need it. Ends with what failed, what took longest, and
one line of counts.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests import report
from tests.report import Result
from tests.tree import ROOT

_REPORTS = ROOT / "build/reports"
_SCENARIOS = ROOT / "extensions/molecule"
_SLOWEST = 10
_BUILD = "from tests.sandbox import build; build.build(lambda line: print(f'local world: {line}', flush=True))"


@dataclass(frozen=True)
class Part:
    """A program of this environment that leaves its results in a file, or is one result itself."""

    name: str
    command: tuple[str, ...]
    on_world: bool
    results: Path | None = None
    folder: Path = ROOT


def parts() -> tuple[Part, ...]:
    pytest = ("pytest", "-n", "2", "--dist", "loadfile")
    unit, gates, world = (_REPORTS / f"{name}.xml" for name in ("unit", "gates", "world"))
    scenarios = sorted(path.parent.name for path in _SCENARIOS.glob("*/molecule.yml"))
    return (
        Part("unit", (*pytest, "-q", "tests/unit", f"--junitxml={unit}"), False, unit),
        Part("gates", ("tests.gates", f"--report={gates}"), False, gates),
        Part("world", (*pytest, "-v", "tests/world", f"--junitxml={world}"), True, world),
        *(
            Part("molecule", ("molecule", "test", "--scenario-name", name), True, folder=_SCENARIOS.parent)
            for name in scenarios
        ),
    )


def main(arguments: Sequence[str]) -> int:
    names = list(dict.fromkeys(part.name for part in parts()))
    parser = argparse.ArgumentParser(prog="python -m tests", description="Everything that must pass.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"run these only: {', '.join(names)}")
    chosen = parser.parse_args(arguments).parts or names
    if set(chosen) - set(names):
        parser.error(f"the parts are {', '.join(names)}")
    started = time.monotonic()
    results = _run_all([part for part in parts() if part.name in chosen])
    _print_summary(results, time.monotonic() - started)
    return any(result.verdict == "failed" for result in results)


def _run_all(wanted: Sequence[Part]) -> list[Result]:
    groups = [tuple(group) for _name, group in itertools.groupby(wanted, lambda part: part.name)]
    if not any(part.on_world for part in wanted):
        return [result for group in groups for result in _run_together(group)]
    results: list[Result] = []
    with subprocess.Popen([sys.executable, "-c", _BUILD], cwd=ROOT) as build:
        for group in groups:
            if group[0].on_world and build.wait():
                results.append(Result(group[0].name, 0, "failed", "the local world does not build"))
            else:
                results.extend(_run_together(group))
    return results


def _run_together(group: Sequence[Part]) -> list[Result]:
    """Parts of one name side by side, as none of them keeps the machine busy alone; each is shown when it has ended."""
    if len(group) == 1:
        return list(_run(group[0]))
    print(f"\n== {group[0].name}: {len(group)} side by side", flush=True)
    with ThreadPoolExecutor(len(group)) as pool, ExitStack() as files:
        outputs = [files.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8")) for _part in group]
        results = list(pool.map(_run, group, outputs))
        for output in outputs:
            output.seek(0)
            print(output.read())
    return [result for found in results for result in found]


def _run(part: Part, output: IO[str] | None = None) -> Sequence[Result]:
    """The results of the part; one more, of its command, where the command failed and no result says why."""
    print(f"\n== {part.name}: {' '.join(part.command)}", file=output, flush=True)
    if part.results:
        part.results.unlink(missing_ok=True)
    started = time.monotonic()
    command = [sys.executable, "-m", *part.command]
    status = subprocess.run(
        command, cwd=part.folder, check=False, stdout=output, stderr=output and subprocess.STDOUT
    ).returncode
    seconds = time.monotonic() - started
    print(f"== {part.name}: {seconds:.0f} s", file=output, flush=True)
    results = report.read(part.results) if part.results and part.results.exists() else ()
    failed = any(result.verdict == "failed" for result in results)
    if results and (failed or status == 0):
        return results
    name = " ".join(part.command)
    return (*results, Result(name, seconds, "failed" if status else "passed", f"it ended with {status}"))


def _print_summary(results: Sequence[Result], seconds: float) -> None:
    print("\n== slowest")
    for result in sorted(results, key=lambda result: -result.seconds)[:_SLOWEST]:
        print(f"{result.seconds:8.1f} s  {result.name}")
    for verdict in ("skipped", "failed"):
        for result in results:
            if result.verdict == verdict:
                print(f"{verdict}: {result.name}: {(result.text.strip().splitlines() or [''])[0]}")
    print(report.closing_line(results, seconds))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
