# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench`: how long a task, connecting, onboarding and a fleet take on the local world. Figures, not pass or fail.

AGAINST=COMMIT measures that commit's collection as well, alternating run by run; SIZES="1 8" sets other numbers of
clusters; of 40, only the cloud half is measured. Prints tables and writes build/bench.json. The local world runs on the
same processors as what is measured.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from tests.tree import NAME, ROOT

PLAYBOOK = "castai.onboarding.connect"
PHASES = {"connect": PLAYBOOK, "onboard": "castai.onboarding.onboard"}
SITE = {"site": "castai.onboarding.site"}
PATIENT = {"castai_wait_for_workloads": True}
HASTY = {"castai_wait_for_workloads": False}
REPORT = ROOT / "build/bench.json"
REPEATS = 5
TASKS = 6
LATENCY = 40  # ms
SIZES = (1, 4, 8, 40)
MOST_PLANES = 10  # control planes that the machine bears; of more clusters only the cloud half is measured
CLOUD_HALF = "cloud half of onboard"
THIS = "this"
SYSTEMS = ("aws", "castai", "kubernetes", "charts")
_SAMPLE_SECONDS = 0.1


@dataclass(frozen=True)
class PathFigures:
    """One task that finds nothing to do, without the cost of a playbook itself: medians, in ms."""

    module: str
    as_module_ms: float
    as_action_ms: float


@dataclass(frozen=True)
class CallFigures:
    """A task, or a whole run (task "all"): its calls to the outside systems, with LATENCY added to each."""

    run: str
    task: str
    seconds: float
    calls: int
    rounds: int


@dataclass(frozen=True)
class Scenario:
    """What is run. collection: THIS, or the commit to compare with. waits: whether for the pods of what it installs."""

    collection: str
    playbook: str
    state: str
    waits: bool


@dataclass(frozen=True)
class WholeRun(Scenario):
    """A run over clusters, LATENCY added to every call: medians, and calls by system. Each cluster has a control plane
    of its own, except in CLOUD_HALF.

    cpu_seconds, peak_mb: of all processes of ansible-playbook together.
    """

    clusters: int
    seconds: float
    cpu_seconds: float
    peak_mb: float
    aws: float
    castai: float
    kubernetes: float
    charts: float


@dataclass(frozen=True)
class Growth(Scenario):
    """What each further cluster adds to a run."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Figures on speed and size.")
    parser.add_argument("--against", metavar="COMMIT", help="measure the collection of this commit too, in turns")
    parser.add_argument("--sizes", metavar="N", type=int, nargs="*", help="numbers of clusters (default: 1 4 8 40)")
    options = parser.parse_args()
    sizes = sorted(options.sizes or SIZES)
    with own_world("bench") as world, tempfile.TemporaryDirectory(prefix="castai-bench-") as name:
        folder = Path(name)
        _up(world, 1)
        calls = list(_calls(world, folder))
        _print(f"{LATENCY} ms added to every call", calls)
        paths = list(_paths(world, folder))
        _print(f"one task, median of {REPEATS}", paths)
        whole = [size for size in sizes if size <= MOST_PLANES]
        if max(whole, default=1) > 1:
            _up(world, whole[-1])
        collections = _collections(folder, options.against)
        runs = list(_whole_runs(world, folder, whole, collections))
        runs += _cloud_halves(world, folder, sizes[len(whole) :], collections)
        _print(f"whole runs, {LATENCY} ms added to every call, median of {REPEATS}", runs)
    growth = list(_growth(runs))
    if growth:
        _print("each further cluster", growth)
    report = {
        "machine": {
            "processors": os.cpu_count(),
            "python": platform.python_version(),
            "ansible_core": version("ansible-core"),
        },
        "task": [asdict(row) for row in paths],
        "phases": [asdict(row) for row in calls],
        "runs": [asdict(row) for row in runs],
        "each_further_cluster": [asdict(row) for row in growth],
    }
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"\nwritten to {REPORT.relative_to(ROOT)}")
    return 0


def _up(world: World, clusters: int) -> None:
    world.up(*(f"bench-{number}:eks" for number in range(clusters)), progress=print)


def _collections(folder: Path, commit: str | None) -> Mapping[str, Mapping[str, str]]:
    """The variables that make Ansible find each collection, by its name."""
    if not commit:
        return {THIS: {}}
    other = folder / "other"
    (other / NAME).mkdir(parents=True)
    packed = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", other / NAME], input=packed, check=True)
    return {commit: {"ANSIBLE_COLLECTIONS_PATH": str(other)}, THIS: {}}


def _run(world: World, folder: Path, *arguments: str, playbook: Any = PLAYBOOK) -> Run:
    given = inventory(world.clusters().values(), {})
    return _good(run_playbook(folder, playbook, *arguments, inventory=given, **_user(world, folder)))


def _user(world: World, folder: Path, **variables: str) -> dict[str, Any]:
    """The operator of the world's clusters, with Ansible's own settings instead of those of the tests."""
    given, config = operator(world), folder / "ansible.cfg"
    config.touch()
    return {**given, "environment": {**given["environment"], "ANSIBLE_CONFIG": str(config), **variables}}


def _good(run: Run) -> Run:
    if run.status:
        raise RuntimeError(run.output)
    return run


def _calls(world: World, folder: Path) -> Iterator[CallFigures]:
    """Connect and onboard the only cluster, and do both again; tasks with the same name and host are listed in
    order."""
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


def _whole_runs(
    world: World, folder: Path, sizes: Sequence[int], collections: Mapping[str, Mapping[str, str]]
) -> Iterator[WholeRun]:
    """Each playbook on new clusters, and again with nothing to do, alternating between the collections."""
    for size in sizes:
        found = defaultdict[tuple[str, str, str, bool], list[tuple[float, ...]]](list)
        for _time, (name, where) in itertools.product(range(REPEATS), collections.items()):
            for playbooks, variables in ((PHASES, PATIENT), (PHASES, HASTY), (SITE, PATIENT)):
                world.reset()
                world.latency(LATENCY)
                hosts = inventory(list(world.clusters().values())[:size], variables)
                for (playbook, full_name), state in itertools.product(playbooks.items(), ("fresh", "nothing to do")):
                    figures = _measured(world, folder, full_name, size, hosts, where)
                    found[name, playbook, state, variables is PATIENT].append(figures)
        yield from _medians(found, size)


def _cloud_halves(
    world: World, folder: Path, sizes: Sequence[int], collections: Mapping[str, Mapping[str, str]]
) -> Iterator[WholeRun]:
    """What needs no control plane of its own: registering, preflight and the identity, a role or a user in turns.

    The clusters share the control plane of the first one, whose kubeconfig preflight gets.
    """
    shared, *_others = world.clusters().values()
    cluster = {"cluster_name": "{{ inventory_hostname }}", "region": shared.region}
    kubernetes = {"kubeconfig": shared.operator_kubeconfig, "context": shared.name}
    identity = {"cluster_id": "{{ found.cluster_id }}", "identity": "{{ identity }}", "hand_over": False}
    play = local_play(
        {
            "castai.onboarding.castai_cluster": {"provider": "eks", **cluster, "manage_token": False},
            "register": "found",
        },
        {"castai.onboarding.castai_preflight": {"provider": "eks", **cluster, **kubernetes}},
        {"castai.onboarding.castai_iam_eks": {**cluster, **identity}},
    )
    for size in sizes:
        names = [f"cloud-{number}-of-{size}" for number in range(size)]
        world.control("aws", "copy_cluster", name=shared.name, copies=names)
        hosts = {name: {"identity": ("role", "user")[number % 2]} for number, name in enumerate(names)}
        found = defaultdict[tuple[str, str, str, bool], list[tuple[float, ...]]](list)
        for _time, (name, where) in itertools.product(range(REPEATS), collections.items()):
            world.reset()
            world.latency(LATENCY)
            for state in ("fresh", "nothing to do"):
                figures = _measured(world, folder, [play], size, {"all": {"hosts": hosts}}, where)
                found[name, CLOUD_HALF, state, False].append(figures)
        yield from _medians(found, size)


def _medians(
    found: Mapping[tuple[str, str, str, bool], Sequence[tuple[float, ...]]], clusters: int
) -> Iterator[WholeRun]:
    for run, measured in found.items():
        yield WholeRun(*run, clusters, *(statistics.median(values) for values in zip(*measured, strict=True)))


def _measured(
    world: World, folder: Path, playbook: Any, forks: int, hosts: Mapping[str, Any], where: Mapping[str, str]
) -> tuple[float, ...]:
    """Seconds, CPU seconds and peak megabytes of a run and all processes that it starts, and its calls by SYSTEMS."""
    before, mark = _cpu_seconds(), world.mark()
    running = start_playbook(folder, playbook, "--forks", str(forks), inventory=hosts, **_user(world, folder, **where))
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
    calls = Counter(call.system for call in world.journal(mark))
    return run.seconds, _cpu_seconds() - before, max(peaks), *(calls[system] for system in SYSTEMS)


def _cpu_seconds() -> float:
    """CPU seconds of the children waited for so far, including their own children (getrusage(2), RUSAGE_CHILDREN)."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _megabytes(run: str) -> float:
    """Memory of a run's processes, with shared pages counted once (proc(5), Pss): workers are forks."""
    return sum(_proportional_kb(pid) for pid in processes.of_run(run)) / 1024


def _proportional_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _growth(runs: Sequence[WholeRun]) -> Iterator[Growth]:
    alike = defaultdict[tuple[str, str, str, bool], list[WholeRun]](list)
    for run in runs:
        alike[run.collection, run.playbook, run.state, run.waits].append(run)
    for what, (first, *_between, last) in ((what, found) for what, found in alike.items() if len(found) > 1):
        more = last.clusters - first.clusters
        measured = ("seconds", "cpu_seconds", "peak_mb")
        yield Growth(*what, *((getattr(last, name) - getattr(first, name)) / more for name in measured))


def _print(title: str, rows: Iterable[Any]) -> None:
    cells = [asdict(row) for row in rows]
    lines = [list(cells[0])] + [[_shown(value) for value in row.values()] for row in cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print(f"\n== {title}")
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip(), flush=True)


def _shown(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
