# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench`: how long a task, connecting, onboarding and a fleet take on the local world. Figures, not pass or fail.

Prints tables and writes build/bench.json. The local world runs on the same processors as what is measured.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import resource
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.sandbox import processes
from tests.sandbox.client import World
from tests.support.calls import of_task, rounds
from tests.support.clusters import inventory
from tests.support.playbook import Run, local_play, run_playbook, start_playbook
from tests.support.worlds import operator, own_world
from tests.tree import ROOT

PLAYBOOK = "castai.onboarding.connect"
PHASES = {"connect": PLAYBOOK, "onboard": "castai.onboarding.onboard"}
REPORT = ROOT / "build/bench.json"
REPEATS = 5
TASKS = 6
LATENCY = 40  # ms
SIZES = (2, 4, 8)
_SAMPLE_SECONDS = 0.1


@dataclass(frozen=True)
class PathFigures:
    """One task that finds nothing to do, without what a playbook costs by itself: medians, in ms."""

    module: str
    as_module_ms: float
    as_action_ms: float


@dataclass(frozen=True)
class CallFigures:
    """A task, or all of a run (task "all"): what it asked of the outside systems, with LATENCY added to every call."""

    run: str
    task: str
    seconds: float
    calls: int
    rounds: int


@dataclass(frozen=True)
class SizeFigures:
    """A run over clusters that need nothing: of all processes of ansible-playbook together, per run."""

    clusters: int
    seconds: float
    cpu_seconds: float
    peak_mb: float


def main() -> int:
    with own_world("bench") as world, tempfile.TemporaryDirectory(prefix="castai-bench-") as name:
        folder = Path(name)
        _up(world, 1)
        calls = list(_calls(world, folder))
        _print(f"{LATENCY} ms added to every call", calls)
        paths = list(_paths(world, folder))
        _print(f"one task, median of {REPEATS}", paths)
        _up(world, max(SIZES))
        sizes = list(_sizes(world, folder))
        _print(f"nothing to do, median of {REPEATS}", sizes)
    growth = _growth(sizes)
    _print("each further cluster", [growth])
    report = {
        "machine": {
            "processors": os.cpu_count(),
            "python": platform.python_version(),
            "ansible_core": version("ansible-core"),
        },
        "task": [asdict(row) for row in paths],
        "phases": [asdict(row) for row in calls],
        "clusters": [asdict(row) for row in sizes],
        "each_further_cluster": growth,
    }
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"\nwritten to {REPORT.relative_to(ROOT)}")
    return 0


def _up(world: World, clusters: int) -> None:
    world.up(*(f"bench-{number}:eks" for number in range(clusters)), progress=print)


def _run(world: World, folder: Path, *arguments: str, playbook: Any = PLAYBOOK) -> Run:
    given = inventory(world.clusters().values(), {})
    return _good(run_playbook(folder, playbook, *arguments, inventory=given, **operator(world)))


def _good(run: Run) -> Run:
    if run.status:
        raise RuntimeError(run.output)
    return run


def _calls(world: World, folder: Path) -> Iterator[CallFigures]:
    """Connect and onboard the only cluster, each once more; tasks of the same name and host are one after the other."""
    world.latency(LATENCY)
    for (phase, playbook), state in itertools.product(PHASES.items(), ("fresh", "nothing to do")):
        title = f"{phase}, {state}"
        mark = world.mark()
        run = _run(world, folder, playbook=playbook)
        journal = world.journal(mark)
        for task in run.tasks:
            own = of_task(task, journal)
            if own:
                yield CallFigures(title, task.task, task.end - task.at, len(own), rounds(own))
        yield CallFigures(title, "all", run.seconds, len(journal), rounds(journal))
    world.latency(0)


def _paths(world: World, folder: Path) -> Iterator[PathFigures]:
    """The only cluster is connected: every task only reads."""
    (cluster,) = world.clusters().values()
    modules: Mapping[str, Mapping[str, Any]] = {
        "castai_cluster_info": {"cluster_name": cluster.name},
        "castai_cluster": {"provider": "eks", "cluster_name": cluster.name, "region": cluster.region},
    }
    for module, options in modules.items():
        task = {f"castai.onboarding.{module}": options}
        yield PathFigures(module, *(_milliseconds(world, folder, task, in_module) for in_module in (True, False)))


def _milliseconds(world: World, folder: Path, task: Mapping[str, Any], in_module: bool) -> float:
    def seconds(count: int) -> float:
        return _run(world, folder, playbook=[local_play(*[task] * count, in_module=in_module)]).seconds

    return 1000 * statistics.median(seconds(TASKS) - seconds(1) for _time in range(REPEATS)) / (TASKS - 1)


def _sizes(world: World, folder: Path) -> Iterator[SizeFigures]:
    _run(world, folder, "--forks", str(max(SIZES)))
    names = list(world.clusters())
    for size in SIZES:
        arguments = ("--forks", str(size), "--limit", ",".join(names[:size]))
        runs = [_measured(world, folder, *arguments) for _time in range(REPEATS)]
        yield SizeFigures(size, *(statistics.median(values) for values in zip(*runs, strict=True)))


def _measured(world: World, folder: Path, *arguments: str) -> tuple[float, float, float]:
    """Seconds, CPU seconds and peak megabytes of a run and all processes that it starts."""
    before = _cpu_seconds()
    given = inventory(world.clusters().values(), {})
    running = start_playbook(folder, PLAYBOOK, *arguments, inventory=given, **operator(world))
    ended, peaks = threading.Event(), [0.0]

    def watch() -> None:
        while not ended.wait(_SAMPLE_SECONDS):
            peaks.append(_megabytes(running.name))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        run = _good(running.wait())
    finally:
        ended.set()
        watcher.join()
    return run.seconds, _cpu_seconds() - before, max(peaks)


def _cpu_seconds() -> float:
    """Of the children waited for so far, with all that they have waited for (getrusage(2), RUSAGE_CHILDREN)."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _megabytes(run: str) -> float:
    """Memory of a run's processes, what they share counted once (proc(5), Pss): workers are forks."""
    return sum(_proportional_kb(pid) for pid in processes.of_run(run)) / 1024


def _proportional_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _growth(sizes: list[SizeFigures]) -> dict[str, float]:
    first, last = sizes[0], sizes[-1]
    more = last.clusters - first.clusters
    return {name: (getattr(last, name) - getattr(first, name)) / more for name in ("seconds", "cpu_seconds", "peak_mb")}


def _print(title: str, rows: Iterable[Any]) -> None:
    cells = [row if isinstance(row, dict) else asdict(row) for row in rows]
    lines = [list(cells[0])] + [[_shown(value) for value in row.values()] for row in cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print(f"\n== {title}")
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip(), flush=True)


def _shown(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
