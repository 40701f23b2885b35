# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AKS clusters from nothing to phase 2: one with Entra and Kubernetes RBAC, one with Azure RBAC, and one without Entra.

CAST AI gets a secret, a managed identity, and an application without a secret.

Every failure, every write after which a run may end and every missing permission: in process, in tests/unit.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.sandbox.azure.control import HUB, OPERATOR_ID
from tests.sandbox.client import Seen, World
from tests.support import awx
from tests.support.calls import of_task, rounds
from tests.support.forked import steps
from tests.support.playbook import Run

from .connecting import Forked, allowed_rounds, changed_nothing, succeeded, with_id, writes
from .onboarding import SITE, Onboarder

HOSTS: dict[str, dict[str, str]] = {
    "shop": {},
    "till": {"aks_onboard_identity": "managed_identity"},
    "desk": {"aks_onboard_credential": "federated"},
}
CLUSTERS = ("shop:aks:nodes=1", "till:aks:entra=azure:nodes=1", "desk:aks:entra=none:nodes=1:resource_group=desk")
LOG_IN = ("token", "discovery")
WHO = {"shop": OPERATOR_ID, "till": OPERATOR_ID, "desk": "masterclient"}


class Story(NamedTuple):
    world: World
    plan: Run
    written_by_plan: list[Any]
    run: Run
    again: dict[str, Run]
    written_again: list[Any]
    asked_again: list[Seen]

    def cluster_id(self, host: str) -> str:
        return str(self.run.of("castai_cluster", host)[0]["cluster_id"])


def by_awx(world: World, folder: Path, given: Any) -> Run:
    """As a job of AWX with its credential for Azure, whose subscription is not that of the hosts."""
    somebody = Onboarder(world, folder)
    client, tenant, secret = (somebody.environment.pop(f"AZURE_{name}") for name in ("CLIENT_ID", "TENANT", "SECRET"))
    somebody.environment["ANSIBLE_FORKS"] = "6"
    credentials = awx.azure(client, secret, tenant, HUB)
    return somebody.start(playbook=SITE, given=given, contained=True, credentials=credentials).wait()


@pytest.fixture(scope="module")
def story(module_world: World, tmp_path_factory: pytest.TempPathFactory) -> Story:
    onboarder = Onboarder(module_world, tmp_path_factory.mktemp("aks"))
    given = onboarder.inventory(*HOSTS)
    for host, variables in HOSTS.items():
        given["castai_clusters"]["hosts"][host] |= variables
    plan = succeeded(onboarder.onboard("--check", "--diff", hosts=tuple(HOSTS), given=given))
    written_by_plan = writes(module_world)
    run = succeeded(by_awx(module_world, tmp_path_factory.mktemp("awx"), given))
    module_world.rounds()
    mark, again = module_world.mark(), {}
    for host in HOSTS:
        again[host] = Forked(module_world, onboarder.folder / host, steps(run, host), host).connect()
    asked_again = module_world.journal(since=mark)
    return Story(module_world, plan, written_by_plan, run, again, writes(module_world, mark), asked_again)


def test_the_plan_writes_nothing(story: Story) -> None:
    assert story.written_by_plan == []


@pytest.mark.parametrize("host", HOSTS)
def test_the_run_does_what_the_plan_said(story: Story, host: str) -> None:
    """But that names of federated credentials have the whole id."""
    whole, short = story.cluster_id(host), story.cluster_id(host)[:8]
    planned, done = (
        [action.replace(whole, short) for action in with_id(run.actions(host), whole)]
        for run in (story.plan, story.run)
    )
    assert planned == done
    assert any(action.startswith("create role CastAKSRole-") for action in done), done


@pytest.mark.parametrize("host", HOSTS)
def test_a_second_run_changes_nothing(story: Story, host: str) -> None:
    changed_nothing(story.again[host])
    assert story.written_again == []


@pytest.mark.parametrize("host", HOSTS)
def test_a_module_needs_at_most_three_rounds_of_reads_and_four_with_an_app(story: Story, host: str) -> None:
    for task in story.again[host].tasks:
        most = 4 if task.action.endswith("castai_aks_app") and host != "till" else 3
        own = of_task(task, story.asked_again)
        assert 0 < rounds(own, LOG_IN) <= allowed_rounds(own, most), (task.task, own)


@pytest.mark.parametrize("host", HOSTS)
def test_cast_ai_works_with_the_cluster(story: Story, host: str) -> None:
    cluster = story.world.state()["castai"]["clusters"][story.cluster_id(host)]
    assert (cluster["status"], cluster["agentStatus"], bool(cluster["credentialsId"])) == ("ready", "online", True)


@pytest.mark.parametrize("host", HOSTS)
def test_who_came_into_the_cluster(story: Story, host: str) -> None:
    """By the object id of Entra, or by the certificate of the local account."""
    assert {one.who for one in story.world.journal() if one.cluster == host and one.write} == {WHO[host]}


def test_each_cluster_has_its_own_identity(story: Story) -> None:
    azure = story.world.state()["azure"]
    apps = {one["displayName"]: one for one in azure["applications"] if one["displayName"] != "operator"}
    identities = [name for name in azure["identities"] if "castai" in name]
    shop, desk = (f"CAST.AI {host}-{story.cluster_id(host)[:8]}" for host in ("shop", "desk"))
    assert sorted(apps) == sorted((shop, desk))
    assert [len(apps[name]["passwordCredentials"]) for name in (shop, desk)] == [1, 0]
    assert [len(apps[name]["federatedIdentityCredentials"]) for name in (shop, desk)] == [0, 1]
    assert [name.rpartition("/")[2] for name in identities] == ["till-castai-identity"]
    roles = sorted(one["roleName"] for one in azure["role_definitions"].values())
    assert roles == sorted(f"CastAKSRole-{story.cluster_id(host)[:8]}" for host in HOSTS)


def test_no_secret_of_cast_ais_is_told(story: Story) -> None:
    """Its tokens have the mark of all secrets of the world; ids are readable."""
    for run in (story.plan, story.run, *story.again.values()):
        assert not re.search("CANARY|PRIVATE KEY", run.output)
    assert OPERATOR_ID in story.run.output or "33333333-3333-4333-8333-333333333333" in story.run.output
