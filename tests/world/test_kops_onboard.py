# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two kOps clusters and an EKS cluster of one account, onboarded together and removed one by one; a run that is killed.

In tests/unit, where this takes seconds, castai_iam_kops is killed after each of its writes. This file tests what
follows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.sandbox.client import World
from tests.sandbox.normal import difference
from tests.sandbox.spec import HOME_ACCOUNT
from tests.support.forked import steps
from tests.support.playbook import Run
from tests.support.recipes import recipe

from .careful import Careful, ended_by, nowhere_in
from .connecting import UNKNOWN, Forked, at_rest, changed_nothing, succeeded, writes
from .onboarding import AWS_AUTH, ONBOARD, Onboarder

SHOP, DATA, PROD = "shop.example.com", "data.k8s.local", "prod"
HOSTS = (SHOP, DATA, PROD)
USER = f"cast-kops-{SHOP}"
SPOT_ROLE = f"arn:aws:iam::{HOME_ACCOUNT}:role/CastLambdaRoleForSpot"
CUSTOMERS = f"arn:aws:iam::{HOME_ACCOUNT}:role/customer-lambda-role"

ENDS: tuple[dict[str, Any], ...] = (
    {"operation": "iam:AttachRolePolicy", "end": "after"},
    {"operation": "patch configmaps", "resource": f"{SHOP}/kube-system/aws-auth", "end": "after"},
)
"""In order: in the lambda role, at aws-auth."""
BROKEN = "castai-spot-handler"
REFUSED: dict[str, Any] = {
    "system": "kubernetes",
    "operation": "create secrets",
    "resource": rf"{SHOP}/castai-agent/sh\.helm\.release\.v1\.{BROKEN}\.v1",
    "fail": {"status": 403, "code": "Forbidden", "message": "no"},
}
LATER_ENDS: tuple[dict[str, Any], ...] = (
    {"operation": "iam:CreateAccessKey", "end": "after"},
    {"operation": "UpdateCluster", "end": "after"},
)
"""A key that was not handed over, and one that was not recorded."""

WAY_BACK = [
    play for guide in ("onboard_guide", "gke_guide", "aks_guide", "kops_guide") for play in recipe(guide, "Removal")
]
"""The playbooks of all guides, one after the other. Each skips the clusters of other providers."""
CLUSTERS = (f"{SHOP}:kops:aws_auth=yes:nodes=1", f"{DATA}:kops:nodes=1", f"{PROD}:eks:nodes=1")
"""The first reads aws-auth."""


def customers_role(world: World) -> Any:
    """A role that CAST AI's script would have allowed CAST AI to delete."""
    trust = {"Version": "2012-10-17", "Statement": []}
    made = {"name": "customer-lambda-role", "trust": trust, "policy": None, "tags": {"team": "orders"}}
    world.control("aws", "put_role", account=HOME_ACCOUNT, **made)
    return roles(world)[CUSTOMERS]


def iam(world: World) -> Any:
    """Objects by kind and ARN."""
    return world.state()["aws"][HOME_ACCOUNT]["iam"]


def roles(world: World) -> Any:
    return iam(world)["roles"]


def user(world: World) -> Any:
    """The user with its keys and policies; None if absent."""
    return iam(world)["users"].get(f"arn:aws:iam::{HOME_ACCOUNT}:user/{USER}")


def without_shop(held: dict[str, Any]) -> dict[str, Any]:
    return {arn: one for arn, one in held.items() if SHOP not in arn}


# At once


class Story(NamedTuple):
    """The runs, in order."""

    onboarder: Onboarder
    customers: Any
    plan: Run
    written_by_plan: list[Any]
    run: Run
    again: Run
    written_again: list[Any]

    @property
    def world(self) -> World:
        return self.onboarder.world


@pytest.fixture(scope="module")
def story(module_world: World, tmp_path_factory: pytest.TempPathFactory) -> Story:
    world, onboarder = module_world, Onboarder(module_world, tmp_path_factory.mktemp("kops"))
    customers = customers_role(world)
    mark = world.mark()
    plan = succeeded(onboarder.onboard("--check", "--diff", hosts=HOSTS))
    written_by_plan = writes(world, mark)
    run = succeeded(onboarder.onboard("--diff", hosts=HOSTS))
    mark = world.mark()
    again = onboarder.onboard(hosts=HOSTS)
    return Story(onboarder, customers, plan, written_by_plan, run, again, writes(world, mark))


def test_the_plan_writes_nothing(story: Story) -> None:
    assert story.written_by_plan == []


def test_providers_go_side_by_side(story: Story) -> None:
    """No cluster waits for another provider's: each starts on its components before any has finished them."""
    installs = [task for task in story.run.tasks if task.action.endswith(".castai_releases")]
    assert {task.host for task in installs} == set(HOSTS)
    assert max(task.at for task in installs) < min(task.end for task in installs)


@pytest.mark.parametrize("host", [SHOP, DATA])
def test_the_run_does_what_the_plan_said_but_that_one_makes_what_both_share(story: Story, host: str) -> None:
    cluster_id = story.run.of("castai_cluster", host)[0]["cluster_id"]
    planned, done = (
        [action.replace(UNKNOWN, cluster_id) for action in run.actions(host)] for run in (story.plan, story.run)
    )
    assert not_shared(planned) == not_shared(done)
    assert len(not_shared(done)) > 15
    assert "create role CastLambdaRoleForSpot, which CAST AI's functions run with" in planned


def not_shared(actions: list[str]) -> list[str]:
    return [action for action in actions if "CastLambdaRoleForSpot" not in action]


def test_what_clusters_share_is_made_once(story: Story) -> None:
    made = [
        host
        for host in HOSTS
        if "create role CastLambdaRoleForSpot, which CAST AI's functions run with" in story.run.actions(host)
    ]
    assert len(made) == 1
    tags = roles(story.world)[SPOT_ROLE]["tags"]
    assert sorted(name for key, name in tags.items() if key.startswith("castai-onboarding:used-by:")) == [DATA, SHOP]


def test_kube_router_is_mended_before_nodes_can_come(story: Story) -> None:
    for host in (SHOP, DATA):
        actions = story.run.actions(host)
        mended = [number for number, action in enumerate(actions) if action.startswith("let kube-router tolerate")]
        assert mended
        assert mended[-1] < actions.index(f"create user cast-kops-{host}")
    assert story.run.of("castai_kube_router_fix", PROD) == []


@pytest.mark.parametrize(("host", "parts"), [(SHOP, 3), (PROD, 2)])
def test_each_part_of_a_run_ends_with_a_line(story: Story, host: str, parts: int) -> None:
    plan, run, again = (summaries(one, host) for one in (story.plan, story.run, story.again))
    assert [len(plan), len(run), len(again)] == [parts] * 3
    assert all(line.startswith(f"{host}: ") for line in (*plan, *run, *again))
    if host == SHOP:
        assert plan[1] == f"{SHOP}: would change kubernetes/daemonset for kube-router."
        assert run[1] == f"{SHOP}: changed kubernetes/daemonset for kube-router."
        assert again[1] == f"{SHOP}: nothing to change for kube-router."


def summaries(run: Run, host: str) -> list[str]:
    return [task.result["msg"] for task in run.tasks if task.host == host and task.task == "Summary"]


def test_a_second_run_changes_nothing(story: Story) -> None:
    changed_nothing(story.again)
    assert story.written_again == []


@pytest.mark.parametrize("host", HOSTS)
def test_every_cluster_is_ready(story: Story, host: str) -> None:
    assert story.run.of("castai_cluster", host)[-1]["cluster"]["status"] == "ready"


def test_only_a_cluster_that_reads_aws_auth_has_the_user_there(story: Story) -> None:
    found = story.world.kubernetes(SHOP).get(AWS_AUTH)["data"]
    assert f"user/{USER}" in found["mapUsers"]
    assert "system:node" in found["mapRoles"]
    assert story.world.kubernetes(DATA).get(AWS_AUTH) is None


def test_components_are_told_what_kops_is(story: Story) -> None:
    objects = story.world.state()["kubernetes"][SHOP]
    kvisor = objects["apps/Deployment castai-agent/castai-kvisor-controller"]
    arguments = kvisor["spec"]["template"]["spec"]["containers"][0]["args"]
    assert not any("cloud-provider" in argument for argument in arguments)


@pytest.mark.parametrize("host", [SHOP, PROD])
def test_preflight_reads_each_object_once(story: Story, tmp_path: Path, host: str) -> None:
    asked = [step for step in steps(story.run, host) if step.module == "castai_preflight"][-1]
    mark = story.world.mark()
    succeeded(Forked(story.world, tmp_path, [asked], host).connect())
    reads = [
        (seen.operation, seen.resource)
        for seen in story.world.journal(mark)
        if seen.system == "kubernetes" and seen.operation.startswith(("get ", "list "))
    ]
    assert ("list nodes", host) in reads
    assert sorted(reads) == sorted(set(reads))


def test_one_cluster_is_taken_back_and_the_others_stay_whole(story: Story) -> None:
    """This test runs last, because it removes what the others look at."""
    world, onboarder = story.world, story.onboarder
    before, cluster_id = iam(world), story.run.of("castai_cluster", SHOP)[0]["cluster_id"]
    back = succeeded(onboarder.onboard("-e", f"remove={SHOP}", hosts=(SHOP,), playbook=WAY_BACK))
    _asked, taken = back.of("castai_iam_kops", SHOP)
    assert taken["kept"] == [f"role CastLambdaRoleForSpot: clusters {DATA} use it"]
    assert user(world) is None
    assert "mapUsers" not in world.kubernetes(SHOP).get(AWS_AUTH)["data"]

    left = iam(world)
    del before["roles"][SPOT_ROLE]["tags"][f"castai-onboarding:used-by:{cluster_id}"]
    assert {kind: without_shop(held) for kind, held in before.items()} == left
    assert roles(world)[CUSTOMERS] == story.customers
    changed_nothing(onboarder.onboard(hosts=(DATA, PROD)))
    assert iam(world) == left


# Ended


def stops_before_the_hand_over(world: World, run: Run) -> None:
    """One release of five is refused: the others are installed anyway, and CAST AI has received nothing."""
    assert run.status == 2, run.output
    assert run.failures[SHOP].startswith(f"Could not install Helm release {BROKEN}, which notifies CAST AI of ")
    assert run.failures[SHOP].count("Could not") == 1
    assert len(run.of("castai_releases", SHOP)[0]["applied"]) == 4
    assert user(world)["access_keys"] == []
    assert world.state()["castai"]["access_keys"] == {}


def test_ended_anywhere_it_goes_on_and_leaves_one_key_and_other_peoples_roles(world: World, tmp_path: Path) -> None:
    """Runs are killed in forks, which have the tasks of an undisturbed run; in between, a release breaks."""
    customers_role(world)
    undisturbed = Onboarder(world, tmp_path / "undisturbed")
    recorded = steps(succeeded(undisturbed.onboard(hosts=(SHOP,))), SHOP)
    end = at_rest(world, SHOP)

    world.reset()
    customers = customers_role(world)
    forked = Forked(world, tmp_path / "forks", recorded, SHOP)
    for fault in ENDS:
        ended_by(fault, forked)
    careful = Careful(Onboarder(world, tmp_path / "ended"), (SHOP,), ONBOARD)
    world.fault(REFUSED)
    stops_before_the_hand_over(world, careful.run())
    for fault in LATER_ENDS:
        ended_by(fault, forked)
    succeeded(careful.run())
    assert difference(end, at_rest(world, SHOP)) == ""
    changed_nothing(careful.run())

    (key,) = user(world)["access_keys"]
    assert list(world.state()["castai"]["access_keys"].values()) == [key["id"]]
    assert roles(world)[CUSTOMERS] == customers
    nowhere_in(world)
