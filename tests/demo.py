# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make demo`: three EKS clusters of two AWS accounts and a kOps cluster on the local world, each planned, connected,
onboarded. In between kube-router of the kOps cluster, which does not run on nodes of CAST AI, is mended.

Fails unless the plans wrote nothing and came true, every cluster is ready, every node has its network, and one more run
changed nothing.
"""

from __future__ import annotations

import functools
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.sandbox.client import Seen, World
from tests.sandbox.kubernetes import kops
from tests.sandbox.kubernetes.client import Kubernetes
from tests.support.playbook import Run, run_playbook
from tests.support.worlds import operator, own_world
from tests.tree import ROOT

# What the example inventory speaks of: EKS clusters, one of each authentication mode, and one of kOps.
INVENTORY = Path("docs/examples/clusters.yml")
CLUSTERS = (
    "shop-prod:eks:mode=API_AND_CONFIG_MAP",
    "shop-staging:eks:mode=CONFIG_MAP",
    "data-prod:eks:account=444455556666:region=us-east-1:mode=API",
    "shop.example.com:kops:aws_auth=yes",
)
KOPS = "shop.example.com"


@dataclass(frozen=True)
class Step:
    """A run of the playbook, and the writes that the world received meanwhile."""

    run: Run
    writes: Sequence[Seen]

    def seconds(self, cluster: str) -> float:
        """Of all its tasks; clusters go side by side."""
        return sum(task.end - task.at for task in self.run.tasks if task.host == cluster)


@dataclass(frozen=True)
class Story:
    """All runs of the demonstration, in order."""

    connect_plan: Step
    connect: Step
    mend_plan: Step
    mend: Step
    onboard_plan: Step
    onboard: Step
    again: Step
    without_network: tuple[set[str], set[str]]
    """Nodes of the kOps cluster that kube-router does not run on, before and after it is mended."""

    @property
    def steps(self) -> dict[str, Step]:
        """By what a sentence calls them."""
        return {
            "the plan to connect": self.connect_plan,
            "connecting": self.connect,
            "the plan to mend kube-router": self.mend_plan,
            "mending kube-router": self.mend,
            "the plan to onboard": self.onboard_plan,
            "onboarding": self.onboard,
            "the last run": self.again,
        }


def main() -> int:
    names = [cluster.partition(":")[0] for cluster in CLUSTERS]
    with own_world("demo") as world, tempfile.TemporaryDirectory(prefix="castai-demo-") as folder:
        _say("The local world: three EKS clusters in two AWS accounts, and a kOps cluster")
        started = time.monotonic()
        world.up(*CLUSTERS, progress=print)
        print(f"{', '.join(names)}: up after {time.monotonic() - started:.0f} s")
        run = functools.partial(_step, world, Path(folder))
        connect_plan = run("The plan to connect", "connect", "--check", "--diff")
        _in_words(names, connect_plan)
        connect = run("Connect", "connect")
        kubernetes = world.kubernetes(KOPS)
        _say(f"A node as CAST AI would add it to {KOPS}, tainted for spot")
        kops.add_spot_node(kubernetes)
        before = _without_network(kubernetes)
        mend_plan = run("The plan to mend kube-router", "kube_router", "--check", "--diff")
        _in_words([KOPS], mend_plan)
        mend = run("Mend kube-router", "kube_router")
        after = _without_network(kubernetes)
        onboard_plan = run("The plan to onboard", "onboard", "--check", "--diff")
        _in_words(names, onboard_plan)
        onboard = run("Onboard", "onboard")
        again = run("All again, and nothing may change", "site")
        story = Story(connect_plan, connect, mend_plan, mend, onboard_plan, onboard, again, (before, after))
    wrong = problems(names, story)
    _say("What was done")
    for line in _tables(names, story):
        print(line)
    for problem in wrong:
        print(f"NOT AS IT MUST BE: {problem}", file=sys.stderr)
    return bool(wrong)


def _step(world: World, folder: Path, title: str, playbook: str, *arguments: str) -> Step:
    name = f"castai.onboarding.{playbook}"
    _say(f"{title}: ansible-playbook {shlex.join(('-i', str(INVENTORY), name, *arguments))}")
    mark, options = world.mark(), operator(world)
    options["environment"] |= {
        "ANSIBLE_NOCOLOR": str(not sys.stdout.isatty()),
        "ANSIBLE_DISPLAY_OK_HOSTS": "false",
        "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
    }
    run = run_playbook(folder, name, *arguments, inventory=ROOT / INVENTORY, show=True, **options)
    return Step(run, world.journal(mark, writes=True))


def _without_network(kubernetes: Kubernetes) -> set[str]:
    found = kops.nodes_without_kube_router(kubernetes)
    print(f"kube-router of {KOPS} runs on every node" + "".join(f", but not on {node}" for node in found))
    return found


def _in_words(names: Sequence[str], plan: Step) -> None:
    _say("The plan in words")
    for name in names:
        print("\n  - ".join((name, *plan.run.actions(name))))


def problems(names: Sequence[str], story: Story) -> list[str]:
    silent = {"the plan to connect", "the plan to mend kube-router", "the plan to onboard", "the last run"}
    before, after = story.without_network
    return [
        *(f"{title} ended with {step.run.status}" for title, step in story.steps.items() if step.run.status),
        *(
            f"{title} wrote: {write.operation} {write.resource}"
            for title, step in story.steps.items()
            if title in silent
            for write in step.writes
        ),
        *([] if before else ["kube-router ran on every node before it was mended"]),
        *(f"kube-router does not run on node {node}" for node in after),
        *(
            f"onboarding {name} was not as planned"
            for name in names
            if story.onboard_plan.run.actions(name) != story.onboard.run.actions(name)
        ),
        *(
            f"the agent of {name} is {_said(story.connect, name, 'agent_status')}"
            for name in names
            if _said(story.connect, name, "agent_status") != "online"
        ),
        *(
            f"{name} is {_said(story.onboard, name, 'status')}"
            for name in names
            if _said(story.onboard, name, "status") != "ready"
        ),
        *(f"the last run changed {name}" for name, count in story.again.run.changed.items() if count),
    ]


def _said(step: Step, name: str, key: str) -> str:
    """What CAST AI said of the cluster at the end of the run."""
    results = step.run.of("castai_cluster", name)
    cluster = (results[-1].get("cluster") if results else None) or {}
    return str(cluster.get(key, "unknown"))


def _tables(names: Sequence[str], story: Story) -> Iterator[str]:
    form = "{:17} {:37} {:7} {:7} {:>9} {:>9} {:>9} {:>9} {:>9}"
    titles = ("plan", "connect", "plan", "onboard", "again")
    yield form.format("cluster", "id", "agent", "status", *titles)
    for name in names:
        timed = (story.connect_plan, story.connect, story.onboard_plan, story.onboard, story.again)
        seconds = [f"{step.seconds(name):.1f} s" for step in timed]
        said = [_said(story.again, name, key) for key in ("id", "agent_status", "status")]
        yield form.format(name, *said, *seconds)
    yield ""
    form = "{:17} {:11} {:24} {:14} {}"
    yield form.format("cluster", "components", "done", "access", "CAST AI's identity")
    for name in names:
        yield form.format(name, *_onboarded(name, story))


def _onboarded(name: str, story: Story) -> Iterator[str]:
    releases = [
        release or {}
        for result in story.onboard.run.of("castai_releases", name)
        for release in result["releases"].values()
    ]
    yield f"{sum(release.get('status') == 'deployed' for release in releases)} of {len(releases)}"
    done = len(story.connect.run.actions(name)) + len(story.onboard.run.actions(name))
    yield f"{done} actions, then {len(story.again.run.actions(name)) or 'none'}"
    run = story.onboard.run
    prepared = next(iter((*run.of("castai_iam_eks", name), *run.of("castai_iam_kops", name))), {})
    access = prepared.get("access") or {}
    yield access.get("way") or ("aws_auth" if access.get("aws_auth") else "none")
    yield (prepared.get("identity_arn") or "").rpartition(":")[2].replace("/", " ", 1)


def _say(title: str) -> None:
    print(f"\n== {title}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
