# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that must pass before a change is merged: `python -m tests [--fresh] [unit] [gates] [world] [molecule]`.

The local world's Go build runs beside the gates, which do not need it. The unit tests, and then molecule's scenarios,
run beside the world's tests, which often wait. What passed with exactly the same files is not run again, unless --fresh
is given. At the end, it prints what failed, what took longest, and one line of counts.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from tests import report, tree
from tests.gates.environments import CACHE, installed
from tests.molecule import scenarios
from tests.report import Result
from tests.support.exported import export
from tests.tree import ROOT

_REPORTS = ROOT / "build/reports"
_SLOWEST = 10
_BUILD = "from tests.sandbox import build; build.build(lambda line: print(f'local world: {line}', flush=True))"
# Patterns for tree.digest: the files that users get, and those that every part of the tests uses.
_PRODUCT = ("plugins/*", "roles/*", "playbooks/*", "meta/*", "galaxy.yml", "docs/examples/*")
_TOOLS = ("tests/*.py", "tests/sandbox/*", "tests/support/*", "tests/requirements.txt", "pyproject.toml")


@dataclass(frozen=True)
class Part:
    """A program of this environment that writes its results to a file, or whose exit status is its only result.

    reads: patterns for tree.digest of the files that its results depend on; empty if it checks that itself.
    """

    name: str
    command: tuple[str, ...]
    on_world: bool
    reads: tuple[str, ...]
    results: Path | None = None

    @property
    def kept(self) -> Path:
        """Where the results are kept once all of them have passed with these files."""
        conditions = (*self.command, tree.digest(*self.reads), installed().identity)
        return CACHE / "green" / f"{hashlib.sha256(chr(0).join(conditions).encode()).hexdigest()}.xml"


def phases(fresh: bool) -> tuple[tuple[Part, ...], ...]:
    """The phases run one after the other. In a phase, two parts run side by side: one alone leaves the machine idle."""
    unit, gates, world = (_REPORTS / f"{name}.xml" for name in ("unit", "gates", "world"))
    afresh = ("--fresh",) if fresh else ()
    return (
        (Part("gates", ("tests.gates", *afresh, f"--report={gates}"), False, (), gates),),
        (
            Part(
                "world",
                # One process more than the machine has cores, because these tests wait for pods and programs.
                ("pytest", "-n", "3", "--dist", "loadgroup", "-v", "tests/world", f"--junitxml={world}"),
                True,
                (*_PRODUCT, *_TOOLS),
                world,
            ),
            Part(
                "unit",
                ("pytest", "-n", "2", "--dist", "loadfile", "-q", "tests/unit", f"--junitxml={unit}"),
                False,
                ("*",),
                unit,
            ),
            *(
                Part("molecule", ("tests.molecule", name), True, (*_PRODUCT, *_TOOLS, "extensions/*"))
                for name in scenarios()
            ),
        ),
    )


def main(arguments: Sequence[str]) -> int:
    names = list(dict.fromkeys(part.name for phase in phases(False) for part in phase))
    parser = argparse.ArgumentParser(prog="python -m tests", description="Everything that must pass.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"only run these: {', '.join(names)}")
    parser.add_argument("--fresh", action="store_true", help="also run what passed with the same files before")
    options = parser.parse_args(arguments)
    chosen = options.parts or names
    if set(chosen) - set(names):
        parser.error(f"the parts are {', '.join(names)}")
    export()
    started = time.monotonic()
    wanted = [tuple(part for part in phase if part.name in chosen) for phase in phases(options.fresh)]
    results = _run_all([phase for phase in wanted if phase], options.fresh)
    _print_summary(results, time.monotonic() - started)
    return any(result.verdict == "failed" for result in results)


def _run_all(wanted: Sequence[tuple[Part, ...]], fresh: bool) -> list[Result]:
    if not any(part.on_world for phase in wanted for part in phase):
        return [result for phase in wanted for result in _run_together(phase, fresh)]
    results: list[Result] = []
    with subprocess.Popen([sys.executable, "-c", _BUILD], cwd=ROOT) as build:
        for phase in wanted:
            ready = phase
            if any(part.on_world for part in phase) and build.wait():
                lacking = "the build of the local world failed"
                results += [Result(part.name, 0, "failed", lacking) for part in phase if part.on_world]
                ready = tuple(part for part in phase if not part.on_world)
            results += _run_together(ready, fresh)
    return results


def _run_together(phase: Sequence[Part], fresh: bool) -> list[Result]:
    """The output of the first part is shown while it runs, that of the others when all have ended."""
    if not phase:
        return []
    with ThreadPoolExecutor(2) as pool, ExitStack() as files:
        others = [files.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8")) for _part in phase[1:]]
        results = list(pool.map(_run_unless_kept, phase, [None, *others], [fresh] * len(phase)))
        for output in others:
            output.seek(0)
            print(output.read())
    return [result for found in results for result in found]


def _run_unless_kept(part: Part, output: IO[str] | None, fresh: bool) -> Sequence[Result]:
    if not part.reads:
        return _run(part, output)
    kept = part.kept
    if kept.exists() and not fresh:
        print(f"\n== {part.name}: passed with the same files before", file=output, flush=True)
        return [replace(result, seconds=0.0) for result in report.read(kept)]
    results = _run(part, output)
    if not any(result.verdict == "failed" for result in results) and kept == part.kept:
        report.write(kept, part.name, results)
    return results


def _run(part: Part, output: IO[str] | None) -> Sequence[Result]:
    """The results of the part, and one for its command if the command failed and no other result says why."""
    print(f"\n== {part.name}: {' '.join(part.command)}", file=output, flush=True)
    if part.results:
        part.results.unlink(missing_ok=True)
    started = time.monotonic()
    command = [sys.executable, "-m", *part.command]
    status = subprocess.run(
        command, cwd=ROOT, check=False, stdout=output, stderr=output and subprocess.STDOUT
    ).returncode
    seconds = time.monotonic() - started
    print(f"== {part.name}: {seconds:.0f} s", file=output, flush=True)
    results = report.read(part.results) if part.results and part.results.exists() else ()
    failed = any(result.verdict == "failed" for result in results)
    if results and (failed or status == 0):
        return results
    name = " ".join(part.command)
    return (*results, Result(name, seconds, "failed" if status else "passed", f"it exited with {status}"))


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
