# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make demo`: three EKS clusters of two AWS accounts, on the local world, planned, connected, and connected again.

Fails unless the plan wrote nothing, every agent reports, and the second run changed nothing.
"""

from __future__ import annotations

import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.sandbox.client import Seen, World
from tests.support.playbook import Run, run_playbook
from tests.support.worlds import operator, own_world
from tests.tree import ROOT

# What the example inventory speaks of.
INVENTORY = Path("docs/examples/clusters.yml")
CLUSTERS = ("shop-prod:eks", "shop-staging:eks", "data-prod:eks:account=444455556666:region=us-east-1")
PLAYBOOK = "castai.onboarding.connect"


@dataclass(frozen=True)
class Step:
    """A run of the playbook, and the writes that the world received meanwhile."""

    run: Run
    writes: Sequence[Seen]

    def seconds(self, cluster: str) -> float:
        """Of all its tasks; clusters go side by side."""
        return sum(task.end - task.at for task in self.run.tasks if task.host == cluster)


def main() -> int:
    names = [cluster.partition(":")[0] for cluster in CLUSTERS]
    with own_world("demo") as world, tempfile.TemporaryDirectory(prefix="castai-demo-") as folder:
        _say("The local world: three EKS clusters in two AWS accounts")
        started = time.monotonic()
        world.up(*CLUSTERS, progress=print)
        print(f"{', '.join(names)}: up after {time.monotonic() - started:.0f} s")
        plan = _step(world, Path(folder), "The plan", "--check", "--diff")
        _say("The plan in words")
        for name in names:
            print("\n  - ".join((name, *plan.run.actions(name))))
        connect = _step(world, Path(folder), "Connect")
        again = _step(world, Path(folder), "Again, and nothing may change")
    wrong = problems(names, plan, connect, again)
    _say("What was done")
    for line in _table(names, plan, connect, again):
        print(line)
    for problem in wrong:
        print(f"NOT AS IT MUST BE: {problem}", file=sys.stderr)
    return bool(wrong)


def _step(world: World, folder: Path, title: str, *arguments: str) -> Step:
    _say(f"{title}: ansible-playbook {shlex.join(('-i', str(INVENTORY), PLAYBOOK, *arguments))}")
    mark, options = world.mark(), operator(world)
    options["environment"] |= {
        "ANSIBLE_NOCOLOR": str(not sys.stdout.isatty()),
        "ANSIBLE_DISPLAY_OK_HOSTS": "false",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
    }
    run = run_playbook(folder, PLAYBOOK, *arguments, inventory=ROOT / INVENTORY, show=True, **options)
    return Step(run, world.journal(mark, writes=True))


def problems(names: Sequence[str], plan: Step, connect: Step, again: Step) -> list[str]:
    runs = {"the plan": plan, "the first run": connect, "the second run": again}
    return [
        *(f"{title} ended with {step.run.status}" for title, step in runs.items() if step.run.status),
        *(f"the plan wrote: {write.operation} {write.resource}" for write in plan.writes),
        *(f"the agent of {name} is {_agent(connect, name)}" for name in names if _agent(connect, name) != "online"),
        *(f"the second run changed {name}" for name, count in again.run.changed.items() if count),
        *(f"the second run wrote: {write.operation} {write.resource}" for write in again.writes),
    ]


def _cluster(step: Step, name: str) -> Mapping[str, Any]:
    """The cluster as CAST AI has it at the end of the run; empty where the run did not come so far."""
    results = step.run.of("castai_cluster", name)
    return (results[-1].get("cluster") if results else None) or {}


def _agent(step: Step, name: str) -> str:
    return str(_cluster(step, name).get("agent_status", "unknown"))


def _table(names: Sequence[str], plan: Step, connect: Step, again: Step) -> Iterator[str]:
    form = "{:13} {:37} {:9} {:23} {:>8} {:>8} {:>8}"
    yield form.format("cluster", "id", "agent", "done", "plan", "connect", "again")
    for name in names:
        done = f"{len(connect.run.actions(name))} actions, then {len(again.run.actions(name)) or 'none'}"
        seconds = [f"{step.seconds(name):.1f} s" for step in (plan, connect, again)]
        yield form.format(name, _cluster(connect, name).get("id", ""), _agent(connect, name), done, *seconds)


def _say(title: str) -> None:
    print(f"\n== {title}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
