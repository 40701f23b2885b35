# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make demo`: the clusters of the example inventory on the local world, from mistakes in the inventory to a repair.

Shows what a user reads, in at most 150 lines; Ansible's whole output goes to build/demo.log. Exits with 1 unless every
run did what it should: plans wrote nothing and predicted the runs, and the last run changed nothing.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import json
import signal
import sys
import tempfile
import textwrap
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import boto3
import botocore.config
import yaml

from tests.sandbox.client import Seen, World
from tests.sandbox.kubernetes import kops
from tests.support.playbook import Run, run_playbook
from tests.support.worlds import operator, own_world
from tests.tree import ROOT

INVENTORY = Path("docs/examples/clusters.yml")
CLUSTERS = (
    "shop-prod:eks:mode=API_AND_CONFIG_MAP",
    "shop-staging:eks:mode=CONFIG_MAP",
    "data-prod:eks:account=444455556666:region=us-east-1:mode=API",
    "web-prod:gke:location=europe-west3",
    "desk-prod:aks",
    "shop.example.com:kops:aws_auth=yes",
)
NAMES = tuple(cluster.partition(":")[0] for cluster in CLUSTERS)
SHOP, STAGING, WEB, DESK, KOPS = NAMES[0], NAMES[1], *NAMES[3:]
AWS_AUTH = "kubernetes/configmap/kube-system/aws-auth/mapRoles"
LOG = ROOT / "build/demo.log"
WIDTH = 118
LINES = 150
"""The maximum number of printed lines, whatever is added."""

MISTAKES: Mapping[str, Mapping[str, Any]] = {
    SHOP: {
        "castai_acount_id": "111122223333",
        "castai_tags": "team=shop",
        "castai_wait_timeout": "soon",
    },
    STAGING: {
        "castai_account_id": "999988887777",
        "castai_api_key": "wrong",
        "castai_helm_path": "/opt/helm",
        "castai_namespace": "castai_agent",
    },
}
"""What is wrong with which cluster. The problem of the first cluster is found without a call."""


@dataclass(frozen=True)
class Step:
    """A run of a playbook, and the writes that the world received during it."""

    run: Run
    writes: Sequence[Seen] = ()

    def said(self, cluster: str, key: str) -> str:
        """CAST AI's status of the cluster at the end of the run."""
        results = self.run.of("castai_cluster", cluster)
        return str(((results[-1].get("cluster") if results else None) or {}).get(key, "unknown"))

    def seconds(self, cluster: str) -> float:
        """The actions of all its tasks; clusters are worked on in parallel."""
        return sum(task.end - task.at for task in self.run.tasks if task.host == cluster)

    def findings(self, cluster: str) -> list[str]:
        """Why it failed for the cluster."""
        failed = (task.result for task in self.run.tasks if task.host == cluster and task.outcome == "failed")
        result = next(failed, {})
        return list(result.get("findings") or filter(None, [result.get("msg")]))


@dataclass
class Story:
    """The runs so far, by name."""

    world: World
    folder: Path
    steps: dict[str, Step] = field(default_factory=dict)

    def run(self, name: str, title: str, playbook: str, *arguments: str, inventory: Any = ROOT / INVENTORY) -> Step:
        full_name = f"castai.onboarding.{playbook}"
        shown = INVENTORY if isinstance(inventory, Path) else "mistakes.yml"
        _say(title, " ".join(("ansible-playbook -i", str(shown), full_name, *arguments)))
        mark = self.world.mark()
        run = run_playbook(self.folder, full_name, *arguments, inventory=inventory, **operator(self.world))
        with LOG.open("a", encoding="utf-8") as log:
            log.write(f"\n== {title}\n{run.output}")
        self.steps[name] = Step(run, self.world.journal(mark, writes=True))
        return self.steps[name]


@dataclass
class Counted(io.TextIOBase):
    """Counts the lines that go to a stream."""

    stream: TextIO
    lines: int = 0

    def write(self, text: str) -> int:
        self.lines += text.count("\n")
        return self.stream.write(text)

    def flush(self) -> None:
        self.stream.flush()


def main() -> int:
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text("", encoding="utf-8")
    printed = Counted(sys.stdout)
    with contextlib.redirect_stdout(printed):
        wrong = _show()
    for problem in (*wrong, *too_many(printed.lines)):
        print(f"NOT AS EXPECTED: {problem}", file=sys.stderr)
    return bool(wrong or too_many(printed.lines))


def _show() -> list[str]:
    """Everything that is printed. Returns what is not as expected."""
    with own_world("demo") as world, tempfile.TemporaryDirectory(prefix="castai-demo-") as folder:
        _say("The local world: three EKS clusters in two AWS accounts, one GKE, one AKS and one kOps cluster")
        started = time.monotonic()
        world.up(*CLUSTERS, progress=lambda line: print(line, file=sys.stderr))
        kops.add_spot_node(world.kubernetes(KOPS))
        print(f"{', '.join(NAMES)}: up after {time.monotonic() - started:.0f} s")
        story = Story(world, Path(folder))
        _tell(story)
    wrong = list(problems(story.steps))
    _say("What was done")
    for line in _table(story.steps):
        print(line)
    print(f"\nAll that Ansible printed: {LOG.relative_to(ROOT)}")
    return wrong


def _tell(story: Story) -> None:
    world = story.world
    mistakes = story.run(
        "mistakes",
        "An inventory with mistakes: all problems are reported at once",
        "site",
        "--check",
        inventory=_mistaken(),
    )
    for name in MISTAKES:
        _list(name, mistakes.findings(name))
    plan = story.run("plan", "The plan, in words", "connect", "--check", "--diff")
    _list(SHOP, plan.run.actions(SHOP))
    _each({name: _totals(plan.run.actions(name)) for name in NAMES[1:]})
    connect = story.run("connect", "Connect", "connect")
    agents = {name: connect.said(name, "agent_status") for name in NAMES}
    _each({name: f"{len(connect.run.actions(name))} actions, the agent is {agents[name]}" for name in NAMES})
    planned = story.run("onboard plan", "The plan to onboard, in words", "site", "--check", "--diff")
    _list(SHOP, planned.run.actions(SHOP))
    for name in (WEB, DESK):
        actions = planned.run.actions(name)
        own = [action for action in actions if not action.startswith("install Helm release")]
        _list(f"{name}, beside the same {len(actions) - len(own)} Helm releases as in {SHOP}", own)
    _each({name: _totals(planned.run.actions(name)) for name in NAMES if name not in (SHOP, WEB, DESK)})
    _say(f"One of its diffs in full: aws-auth of {STAGING}")
    for line in _diff(planned.run, STAGING, AWS_AUTH):
        print(line)
    world.fault({"system": "aws", "write": True, "after": 25, "end": "after"})
    killed = story.run("killed", "Onboarding, killed after the 26th write to AWS", "site")
    world.fault()
    print(f"ansible-playbook ended by signal {-killed.run.status} after {len(killed.writes)} writes")
    onboard = story.run("onboard", "The same again", "site")
    statuses = {name: onboard.said(name, "status") for name in NAMES}
    _each({name: f"{_totals(onboard.run.actions(name))}; CAST AI says {statuses[name]}" for name in NAMES})
    again = story.run("again", "The same again: nothing to do", "site")
    print(f"{_count(sum(again.run.changed.values()), 'change')}, {_count(len(again.writes), 'write')}")
    _harm(world)
    drift = story.run(
        "drift",
        "The drift after a Deployment, an attached policy and an entry of aws-auth were deleted by hand",
        "site",
        "--check",
    )
    drifted = [name for name in NAMES if drift.run.actions(name)]
    for name in drifted:
        _list(name, drift.run.actions(name))
    _each({name: "nothing" for name in NAMES if name not in drifted})
    repair = story.run("repair", "The repair", "site")
    print(f"{_count(sum(repair.run.changed.values()), 'change')}, as planned")
    _mark_as_others(world)
    refused = story.run(
        "refused", "CAST AI's role belongs to another cluster: the run refuses it", "onboard", "--limit", SHOP
    )
    _list(SHOP, refused.findings(SHOP))


def problems(steps: Mapping[str, Step]) -> Iterator[str]:
    """What is not as expected."""
    for name, step in steps.items():
        failed = step.run.status != 0
        if failed is not (name in ("mistakes", "killed", "refused")):
            yield f"{name} ended with {step.run.status}"
        if name in ("mistakes", "plan", "onboard plan", "again", "drift", "refused"):
            yield from (f"{name} wrote: {write.operation} {write.resource}" for write in step.writes)
    yield from (f"{name} has no findings" for name in MISTAKES if not steps["mistakes"].findings(name))
    for name in NAMES:
        yield from _untrue(name, steps)
        if steps["connect"].said(name, "agent_status") != "online":
            yield f"the agent of {name} is {steps['connect'].said(name, 'agent_status')}"
        if steps["onboard"].said(name, "status") != "ready":
            yield f"{name} is {steps['onboard'].said(name, 'status')}"
    yield from (f"the run again changed {name}" for name, count in steps["again"].run.changed.items() if count)
    if not steps["drift"].run.actions():
        yield "no drift was seen"


def too_many(lines: int) -> list[str]:
    """Whether this many printed lines are more than anyone reads."""
    return [f"{lines} lines were printed, of at most {LINES}"] if lines > LINES else []


def _untrue(name: str, steps: Mapping[str, Step]) -> Iterator[str]:
    """Which plan did not predict its run. Onboarding's is left out, because its run was killed in between."""
    for plan, run in (("plan", "connect"), ("drift", "repair")):
        if steps[plan].run.actions(name) != steps[run].run.actions(name):
            yield f"{run} of {name} was not as planned"


def _mistaken() -> dict[str, Any]:
    """The example inventory with the mistakes, as data."""
    found: dict[str, Any] = yaml.safe_load((ROOT / INVENTORY).read_text(encoding="utf-8"))
    for group in found["castai_clusters"]["children"].values():
        for name in set(group["hosts"]) & set(MISTAKES):
            group["hosts"][name] = {**(group["hosts"][name] or {}), **MISTAKES[name]}
    return found


def _harm(world: World) -> None:
    world.kubernetes(KOPS).delete("/apis/apps/v1/namespaces/castai-agent/deployments/castai-cluster-controller")
    world.kubernetes(STAGING).patch("/api/v1/namespaces/kube-system/configmaps/aws-auth", {"data": {"mapRoles": "[]"}})
    iam, role = _iam_and_role(world)
    iam.detach_role_policy(RoleName=role, PolicyArn=f"arn:aws:iam::111122223333:policy/CastEKSPolicy-{SHOP}")


def _mark_as_others(world: World) -> None:
    iam, role = _iam_and_role(world)
    tag = {"Key": "cast:cluster-id", "Value": "11111111-2222-4333-8444-555555555555"}
    iam.tag_role(RoleName=role, Tags=[tag])


def _iam_and_role(world: World) -> tuple[Any, str]:
    """IAM as the operator reaches it, and CAST AI's role for the first cluster."""
    variables = world.env()
    iam = boto3.Session(variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"]).client(
        "iam",
        verify=variables["AWS_CA_BUNDLE"],
        config=botocore.config.Config(proxies={"https": variables["HTTPS_PROXY"]}),
    )
    names = (role["RoleName"] for role in iam.list_roles()["Roles"])
    return iam, next(name for name in names if name.startswith(f"cast-eks-{SHOP}-"))


def _totals(actions: Sequence[str]) -> str:
    verbs = Counter(action.partition(" ")[0] for action in actions)
    return f"{_count(len(actions), 'action')} ({', '.join(f'{verb} {count}' for verb, count in verbs.most_common())})"


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _diff(run: Run, cluster: str, target: str) -> list[str]:
    """What the run would change of an object, as unified diff."""
    for task in run.tasks:
        for result in (task.result, *task.result.get("results", ())):
            for part in result.get("diff", ()) if task.host == cluster else ():
                if target in (part.get("before_header"), part.get("after_header")):
                    before, after = (_text(part[side]).splitlines() for side in ("before", "after"))
                    return list(difflib.unified_diff(before, after, "before", "after", n=1, lineterm=""))
    return []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2)


def _table(steps: Mapping[str, Step]) -> Iterator[str]:
    form = "{:17} {:37} {:7} {:7} {:>9} {:>9} {:>9}  {}"
    yield form.format("cluster", "id", "agent", "status", "connect", "onboard", "again", "CAST AI's identity")
    for name in NAMES:
        seconds = [f"{steps[step].seconds(name):.1f} s" for step in ("connect", "onboard", "again")]
        said = [steps["again"].said(name, key) for key in ("id", "agent_status", "status")]
        yield form.format(name, *said, *seconds, _identity(steps["again"].run, name))


def _identity(run: Run, name: str) -> str:
    results = (task.result for task in run.tasks if task.host == name)
    found = (
        str(one.get("identity_arn") or one.get("service_account") or one.get("identity_name") or "") for one in results
    )
    return next(filter(None, found), "").rpartition(":")[2]


def _each(lines: Mapping[str, str]) -> None:
    """One line for each cluster; clusters with the same line share it."""
    for line in dict.fromkeys(lines.values()):
        print(f"{', '.join(name for name in lines if lines[name] == line)}: {line}")


def _list(name: str, lines: Sequence[str]) -> None:
    print(f"{name}:")
    for line in lines:
        print(textwrap.fill(line, WIDTH, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False))


def _say(title: str, command: str = "") -> None:
    print(f"\n== {title}", flush=True)
    if command:
        print(f"$ {command}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
