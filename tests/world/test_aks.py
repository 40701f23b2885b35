# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AKS clusters from nothing to phase 2: one with Entra and Kubernetes RBAC, one with Azure RBAC, and one without Entra.

CAST AI gets a secret, a managed identity, and an application without a secret.

Every failure, every write after which a run may end and every missing permission: in process, in tests/unit.
"""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.sandbox.azure.control import HUB, OPERATOR, OPERATOR_ID
from tests.sandbox.azure.store import TENANT
from tests.sandbox.client import Seen, World
from tests.support import awx
from tests.support.calls import of_task, rounds
from tests.support.forked import steps
from tests.support.playbook import Run

from .careful import forms_of, nowhere_in
from .connecting import Forked, allowed_rounds, changed_nothing, succeeded, with_id, writes
from .onboarding import OTHER_AGENT, Exposed, Onboarder, as_awx, ended_in_helm, finished

HOSTS: dict[str, dict[str, str]] = {
    "shop": {},
    "till": {"aks_onboard_identity": "managed_identity"},
    "desk": {"aks_onboard_credential": "federated"},
}
CLUSTERS = ("shop:aks:nodes=1", "till:aks:entra=azure:nodes=1", "desk:aks:entra=none:nodes=1:resource_group=desk")
LOG_IN = ("token", "discovery")
CLUSTER = "Microsoft.ContainerService/managedClusters/"
CLUSTER_READS, CLUSTER_LOGINS = 7, 5
"""The tasks of site that read the cluster: preflight, castai_cluster and the agent's release of connecting; preflight,
castai_aks_app before and after the components, and castai_releases of onboarding. All but
castai_aks_app log in."""
APP_NAMES = 3
OF_ONE_HOST = re.compile(r"castai|/desk|/MC_|^federated\.")
WHO = {"shop": OPERATOR_ID, "till": OPERATOR_ID, "desk": "masterclient"}


class Story(NamedTuple):
    onboarder: Onboarder
    plan: Run
    written_by_plan: list[Any]
    run: Run
    exposed: Exposed
    again: dict[str, Run]
    written_again: list[Any]
    asked_again: list[Seen]

    @property
    def world(self) -> World:
        return self.onboarder.world

    def cluster_id(self, host: str) -> str:
        return str(self.run.of("castai_cluster", host)[0]["cluster_id"])


def by_awx(world: World, folder: Path, given: Any) -> tuple[Run, Exposed]:
    """As an AWX job with its credential for Azure, whose subscription is not that of the hosts."""
    somebody = Onboarder(world, folder)
    client, tenant, secret = (somebody.environment.pop(f"AZURE_{name}") for name in ("CLIENT_ID", "TENANT", "SECRET"))
    return as_awx(somebody, awx.azure(client, secret, tenant, HUB), given)


@pytest.fixture(scope="module")
def story(module_world: World, tmp_path_factory: pytest.TempPathFactory) -> Story:
    onboarder = Onboarder(module_world, tmp_path_factory.mktemp("aks"))
    given = onboarder.inventory(*HOSTS)
    for host, variables in HOSTS.items():
        given["castai_clusters"]["hosts"][host] |= variables
    plan = succeeded(onboarder.onboard("--check", "--diff", hosts=tuple(HOSTS), given=given))
    written_by_plan = writes(module_world)
    run, exposed = by_awx(module_world, tmp_path_factory.mktemp("awx"), given)
    succeeded(run)
    module_world.rounds()
    mark, again = module_world.mark(), {}
    for host in HOSTS:
        again[host] = Forked(module_world, onboarder.folder / host, steps(run, host), host).connect()
    asked_again = module_world.journal(since=mark)
    return Story(onboarder, plan, written_by_plan, run, exposed, again, writes(module_world, mark), asked_again)


def test_the_plan_writes_nothing(story: Story) -> None:
    assert story.written_by_plan == []


@pytest.mark.parametrize("host", HOSTS)
def test_the_run_does_what_the_plan_said(story: Story, host: str) -> None:
    """Names of federated credentials contain the whole id."""
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


def test_a_second_run_reads_no_object_of_azure_more_than_twice(story: Story) -> None:
    """The cluster and its kubeconfig may be read more often: every task that needs the address or the nodes reads them,
    because no result contains them. Data of the subscription and of shared groups is read for each host, and apps are
    looked for by their tag and each of their names."""
    read = Counter((one.operation, one.resource) for one in story.asked_again if one.system == "azure")
    for one in [one for one in read if one[0] in LOG_IN]:
        del read[one]
    clusters = {one: read.pop(one) for one in [*read] if one[0].startswith(CLUSTER)}
    assert sorted(clusters.values()) == [CLUSTER_LOGINS] * len(HOSTS) + [CLUSTER_READS] * len(HOSTS)
    with_app = [host for host in HOSTS if host != "till"]
    assert read.pop(("applications.list", "/v1.0/applications")) == 2 * (1 + APP_NAMES) * len(with_app)
    own = {one: number for one, number in read.items() if OF_ONE_HOST.search(" ".join(one))}
    shared = {one: number for one, number in read.items() if one not in own}
    assert own != shared != {}
    assert {one: number for one, number in own.items() if number > 2} == {}
    assert {one: number for one, number in shared.items() if number > 2 * len(HOSTS)} == {}


@pytest.mark.parametrize("host", HOSTS)
def test_cast_ai_works_with_the_cluster(story: Story, host: str) -> None:
    cluster = story.world.state()["castai"]["clusters"][story.cluster_id(host)]
    assert (cluster["status"], cluster["agentStatus"], bool(cluster["credentialsId"])) == ("ready", "online", True)


@pytest.mark.parametrize("host", HOSTS)
def test_who_came_into_the_cluster(story: Story, host: str) -> None:
    """The user is the object id in Entra, or the local account of the certificate."""
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


def test_no_byte_of_a_secret_a_token_or_a_clients_key_is_anywhere(story: Story) -> None:
    """In every mode, at -vvvvv. AWX itself puts the operator's secret into the job's environment."""
    world = story.world
    secrets, own = world.control("azure", "secrets"), world.control("azure", "operator")["secret"]
    assert len(secrets) > 10
    forms = sorted({form for secret in secrets for form in forms_of(secret)})
    assert not any(form in story.exposed.output for form in forms)
    assert story.exposed.held([form for form in forms if form not in {*forms_of(own)}]) == []
    for run in (story.plan, *story.again.values()):
        assert not any(form in run.output.encode() for form in forms)
    state = world.state()
    shown = json.dumps({name: state[name] for name in ("kubernetes", "castai")}).encode()
    assert not any(form in shown for form in forms)
    nowhere_in(world)


@pytest.mark.parametrize("host", HOSTS)
def test_ids_are_readable_in_every_output(story: Story, host: str) -> None:
    cluster = story.world.clusters()[host]
    for run in (story.plan, story.run, story.again[host]):
        for found in run.of("castai_aks_app", host):
            assert (found["subscription_id"], found["tenant_id"]) == (cluster.account, TENANT)
            assert all(found[one] in run.output for one in ("subscription_id", "tenant_id", "castai_client_id"))
            assert "********" not in found["castai_client_id"]
    assert OPERATOR in story.run.output, "the operator's client id"


def secrets_of(story: Story) -> list[dict[str, str]]:
    """The only secret of shop's app."""
    name = f"CAST.AI shop-{story.cluster_id('shop')[:8]}"
    (app,) = [one for one in story.world.state()["azure"]["applications"] if one["displayName"].startswith("CAST.AI s")]
    assert app["displayName"] == name
    return list(app["passwordCredentials"])


def test_a_run_that_is_ended_while_it_renews_a_secret_is_finished_by_the_next(story: Story, tmp_path: Path) -> None:
    """The run is killed after CAST AI accepted the new secret and before it is recorded, and then in Helm."""
    world, cluster_id = story.world, story.cluster_id("shop")
    (old,) = secrets_of(story)
    world.control("azure", "set_secret", key_id=old["keyId"], startDateTime="2026-01-01T00:00:00Z", **soon(old))
    world.fault({"system": "castai", "operation": "UpdateCluster", "end": "after"})
    given = story.onboarder.inventory("shop")
    ended = story.onboarder.onboard(hosts=("shop",), given=given)
    assert (ended.status, world.fired()) == (-signal.SIGKILL, [1]), ended.output
    world.fault()
    new = world.state()["castai"]["access_keys"][cluster_id]
    assert {one["keyId"] for one in secrets_of(story)} == {old["keyId"], new}, "CAST AI has a secret that lives"
    forked = Forked(world, tmp_path, steps(story.run, "shop"), "shop")
    ended_in_helm(forked, lambda: world.control("azure", "secrets"))
    rerun = finished(forked)
    assert any(one.startswith("create a secret of app registration") for one in rerun.actions("shop"))
    live = world.state()["castai"]["access_keys"][cluster_id]
    assert [one["keyId"] for one in secrets_of(story)] == [live]
    changed_nothing(forked.connect(**OTHER_AGENT))


def soon(secret: dict[str, str]) -> dict[str, str]:
    """Let a secret expire in a few days."""
    starts = datetime.fromisoformat(secret["startDateTime"][:19]).replace(tzinfo=timezone.utc)
    return {"endDateTime": f"{starts + timedelta(days=3):%Y-%m-%dT%H:%M:%SZ}"}
