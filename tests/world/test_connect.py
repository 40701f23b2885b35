# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run does what its plan shows, a second run does nothing, and one run repairs whatever is broken."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml

from ansible_collections.castai.onboarding.plugins.module_utils._gateways.kubernetes import path_of
from tests.sandbox.build import binaries
from tests.sandbox.charts.server import FOLDER as CHARTS
from tests.sandbox.client import World
from tests.support.calls import of_task, rounds
from tests.support.forked import Step, steps

from .connecting import (
    Forked,
    Operator,
    changed_nothing,
    left_pending,
    succeeded,
    with_id,
    without_usable_token,
    writes,
)

CLUSTERS = ("prod:eks", "other:eks:account=444455556666:region=us-east-1:mode=API", "shop:gke:location=europe-west1-b")
NAMESPACE = "/api/v1/namespaces/castai-agent"
DEPLOYMENT = "/apis/apps/v1/namespaces/castai-agent/deployments/castai-agent"


@pytest.fixture(scope="module")
def recorded(module_world: World, tmp_path_factory: pytest.TempPathFactory) -> Sequence[Step]:
    """The tasks of an undisturbed run."""
    module_world.reset()
    return steps(succeeded(Operator(module_world, tmp_path_factory.mktemp("recorded")).connect()), "prod")


def test_the_plan_is_what_the_run_does_and_five_runs_mint_one_token(world: World, operator: Operator) -> None:
    assert shutil.which("kubectl", path=operator.search_path) is None
    assert shutil.which("aws", path=operator.search_path) is None
    assert not (operator.folder / "home/.kube").exists()
    assert shutil.which("gcloud", path=operator.search_path) is None
    hosts = ("prod", "other", "shop")

    plan = succeeded(operator.connect("--check", "--diff", hosts=hosts))
    assert writes(world) == []

    run = succeeded(operator.connect("--diff", hosts=hosts))
    for host in hosts:
        cluster = run.of("castai_cluster", host)[-1]
        assert cluster["cluster"]["agent_status"] == "online"
        planned, done = (with_id(one.actions(host), cluster["cluster_id"]) for one in (plan, run))
        assert planned == done
        assert len(done) == 4

    mark, helm = world.mark(), len(operator.helm_starts())
    again = changed_nothing(operator.connect(hosts=hosts))
    assert again.actions() == changed_nothing(operator.connect("--check", hosts=hosts)).actions() == []
    for host in hosts:
        forked = Forked(world, operator.folder / host, steps(again, host), host)
        for _time in range(3):
            changed_nothing(forked.connect())
    assert writes(world, mark) == []
    assert len(operator.helm_starts()) == helm
    minted = [call.who for call in world.journal() if call.operation == "CreateClusterToken"]
    assert len(minted) == len(hosts)
    assert [call for call in world.journal() if call.system == "refused"] == []


def test_a_module_needs_at_most_three_rounds_of_reads(world: World, recorded: Sequence[Step], tmp_path: Path) -> None:
    world.reset()  # of what the recorded run may just have left
    forked = Forked(world, tmp_path, recorded)
    succeeded(forked.connect())
    world.rounds()
    mark = world.mark()
    again = changed_nothing(forked.connect())
    calls = world.journal(mark)
    asked = 0
    for task in again.tasks:
        own = of_task(task, calls)
        asked += len(own)
        assert rounds(own) <= 3, (task.task, own)
    assert asked == len(calls) > 0


def left_failed(world: World, operator: Operator) -> None:
    """A release that Helm itself marked as failed."""
    world.fault({"operation": "create deployments", "fail": {"status": 403, "code": "Forbidden"}})
    stopped = operator.connect()
    assert "Could not install Helm release castai-agent" in stopped.failures["prod"]
    world.fault()


def without_deployment(world: World, operator: Operator) -> None:
    succeeded(operator.connect())
    world.kubernetes("prod").delete(DEPLOYMENT)


def by_kubectl(world: World, operator: Operator) -> None:
    """Install the agent as CAST AI's console does: the chart's objects with kubectl, with a token inside."""
    cluster = world.clusters()["prod"]
    block = {"accountId": cluster.account, "region": cluster.region, "clusterName": "prod"}
    token = world.control("castai", "seed_cluster", name="prod", eks=block)["token"]
    manifest = subprocess.run(
        [
            *(binaries() / "helm", "template", "castai-agent", CHARTS / "castai-agent"),
            *("--namespace", "castai-agent", "--set", f"apiKey={token},provider=eks"),
        ],
        check=True,
        capture_output=True,
    ).stdout
    kubectl = world.kubernetes("prod")
    for item in filter(None, yaml.safe_load_all(manifest)):
        namespace = item["metadata"].get("namespace", "castai-agent")
        kubectl.create(path_of(item["apiVersion"], item["kind"], None, namespace), item)


def repaired(operator: Operator) -> None:
    world = operator.world
    kubernetes = world.kubernetes("prod")
    namespace = kubernetes.get(NAMESPACE)["metadata"]["uid"]

    mark = world.mark()
    plan = succeeded(operator.connect("--check"))
    assert writes(world, mark) == []
    repair = succeeded(operator.connect())
    assert plan.actions() == repair.actions() != []
    assert repair.of("castai_cluster")[-1]["cluster"]["agent_status"] == "online"

    changed_nothing(operator.connect())
    assert kubernetes.get(DEPLOYMENT)["status"]["readyReplicas"] == 2
    assert kubernetes.get(NAMESPACE)["metadata"]["uid"] == namespace


@pytest.mark.parametrize(
    "broken",
    [left_failed, left_pending, without_deployment, without_usable_token, by_kubectl],
    ids=lambda f: f.__name__,
)
def test_one_run_mends_and_the_next_changes_nothing(
    world: World, recorded: Sequence[Step], tmp_path: Path, broken: Callable[[World, Operator], None]
) -> None:
    world.reset()  # of what the recorded run may just have left
    forked = Forked(world, tmp_path, recorded)
    broken(world, forked)
    repaired(forked)


def test_the_playbook_repairs_what_a_killed_run_left(
    world: World, operator: Operator, recorded: Sequence[Step], tmp_path: Path
) -> None:
    world.reset()  # of what the recorded run may just have left
    killed = Forked(world, tmp_path / "killed", recorded)
    # Of the same user on the same machine: what it leaves in its temporary files shows that its Helm is dead.
    killed.folder = operator.folder
    left_pending(world, killed)
    repaired(operator)
