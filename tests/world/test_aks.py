# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AKS clusters from nothing to phase 2: one whose log-ins are Entra's, with an app registration that has a secret, and
one without Entra, entered by certificate, with a managed identity.

Every failure, every write after which a run may end and every missing permission: in process, in tests/unit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.sandbox.azure.control import OPERATOR_ID
from tests.sandbox.client import World
from tests.support.forked import steps
from tests.support.playbook import Run

from .connecting import Forked, changed_nothing, succeeded, with_id, writes
from .onboarding import Onboarder

HOSTS: dict[str, dict[str, Any]] = {
    "shop": {},
    "till": {"aks_onboard_identity": "managed_identity"},
}
CLUSTERS = ("shop:aks:nodes=1", "till:aks:entra=none:nodes=1")


class Story(NamedTuple):
    onboarder: Onboarder
    plan: Run
    written_by_plan: list[Any]
    run: Run
    again: dict[str, Run]
    written_again: list[Any]

    @property
    def world(self) -> World:
        return self.onboarder.world

    def cluster_id(self, host: str) -> str:
        return str(self.run.of("castai_cluster", host)[0]["cluster_id"])


def inventory(onboarder: Onboarder) -> dict[str, Any]:
    found = onboarder.inventory(*HOSTS)
    for host, variables in HOSTS.items():
        found["castai_clusters"]["hosts"][host] |= variables
    return found


@pytest.fixture(scope="module")
def story(module_world: World, tmp_path_factory: pytest.TempPathFactory) -> Story:
    onboarder = Onboarder(module_world, tmp_path_factory.mktemp("aks"))
    given = inventory(onboarder)
    plan = succeeded(onboarder.onboard("--check", "--diff", hosts=tuple(HOSTS), given=given))
    written_by_plan = writes(module_world)
    run = succeeded(onboarder.onboard("--diff", hosts=tuple(HOSTS), given=given))
    mark, again = module_world.mark(), {}
    for host in HOSTS:
        forked = Forked(module_world, onboarder.folder / host, steps(run, host), host)
        again[host] = forked.connect()
    return Story(onboarder, plan, written_by_plan, run, again, writes(module_world, mark))


def test_the_plan_writes_nothing(story: Story) -> None:
    assert story.written_by_plan == []


@pytest.mark.parametrize("host", HOSTS)
def test_the_run_does_what_the_plan_said(story: Story, host: str) -> None:
    planned, done = (with_id(run.actions(host), story.cluster_id(host)) for run in (story.plan, story.run))
    assert planned == done
    assert any(action.startswith(f"register AKS cluster {host} of resource group") for action in done)


@pytest.mark.parametrize("host", HOSTS)
def test_a_second_run_changes_nothing(story: Story, host: str) -> None:
    changed_nothing(story.again[host])
    assert story.written_again == []


@pytest.mark.parametrize("host", HOSTS)
def test_cast_ai_works_with_the_cluster(story: Story, host: str) -> None:
    cluster = story.again[host].of("castai_cluster")[-1]["cluster"]
    assert (cluster["status"], cluster["agent_status"], bool(cluster["credentials_id"])) == ("ready", "online", True)


def test_who_came_in_is_the_operator_or_the_certificate(story: Story) -> None:
    """As the API servers' audit logs have it."""
    came = {host: {one.who for one in story.world.journal() if one.cluster == host and one.write} for host in HOSTS}
    assert OPERATOR_ID in came["shop"]
    assert OPERATOR_ID not in came["till"]


def test_the_operators_secrets_are_nowhere(story: Story, tmp_path: Path) -> None:
    secret = story.onboarder.environment["AZURE_SECRET"]
    for run in (story.plan, story.run, *story.again.values()):
        assert secret not in run.output
        assert "PRIVATE KEY" not in run.output
