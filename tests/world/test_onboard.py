# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters of every authentication mode and IP family onboarded together, with both identities of CAST AI, and removed.

All are in one account, and their names only differ after the 30 characters that fit into names in IAM.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.sandbox.client import World
from tests.sandbox.spec import HOME_ACCOUNT
from tests.support.calls import of_task, rounds
from tests.support.forked import steps
from tests.support.playbook import Json, Run
from tests.support.recipes import recipe

from .connecting import Forked, allowed_rounds, changed_nothing, succeeded, with_id, writes
from .onboarding import AWS_AUTH, Onboarder, node_token, who_is

MODES = {"api": "API", "both": "API_AND_CONFIG_MAP", "map": "CONFIG_MAP", "ipv6": "API"}
HOSTS = {
    f"acme-platform-eu-production-eks-{short}-{identity}": (mode, identity)
    for short, mode in MODES.items()
    for identity in ("role", "user")
}
COMPONENTS = {
    "castai-agent",
    "castai-evictor",
    "castai-kvisor",
    "castai-pod-pinner",
    "castai-spot-handler",
    "cluster-controller",
}
SLOW = [host for host, (mode, _identity) in HOSTS.items() if mode == "API_AND_CONFIG_MAP"]
WAY_BACK = recipe("onboard_guide", "Removal")
LIMITS = (
    {"system": "aws", "over": 10, "throttle": {"status": 400, "code": "Throttling"}},
    {"system": "castai", "over": 5, "throttle": {"retry_after": 1}},
    *(
        {"system": "kubernetes", "resource": f"{host}(/.*)?", "over": 5, "throttle": {"retry_after": 1}}
        for host in HOSTS
    ),
)
"""How many calls a second AWS, CAST AI and each API server accept."""
REGISTER = "RegisterCluster"
MADE_ONCE = {
    REGISTER,
    "CreateClusterToken",
    *(f"iam:Create{kind}" for kind in ("AccessKey", "InstanceProfile", "Policy", "Role", "User")),
}
ALL = ("-e", "remove=castai_clusters")
CLUSTERS = tuple(
    f"{name}:eks:mode={mode}:ip_family={'ipv6' if '-ipv6-' in name else 'ipv4'}:nodes=1"
    for name, (mode, _identity) in HOSTS.items()
)


class Story(NamedTuple):
    """The runs, in order, and the state before them."""

    onboarder: Onboarder
    aws_before: Any
    aws_auth_before: dict[str, dict[str, str] | None]
    plan: Run
    written_by_plan: list[Any]
    run: Run
    written: list[Any]
    throttled: list[int]
    fetched: list[str]
    again: Run
    written_again: list[Any]
    helm_again: int

    @property
    def world(self) -> World:
        return self.onboarder.world

    def prepared(self, host: str) -> Json:
        """The result of the identity's first task, which prepares everything and hands nothing over."""
        return self.run.of("castai_iam_eks", host)[0]


@pytest.fixture(scope="module")
def story(module_world: World, tmp_path_factory: pytest.TempPathFactory) -> Story:
    world, folder = module_world, tmp_path_factory.mktemp("onboard")
    onboarder = Onboarder(world, folder, **{name: identity for name, (_mode, identity) in HOSTS.items()})
    before = world.state()["aws"], {name: aws_auth(world, name) for name in HOSTS}
    plan = succeeded(onboarder.onboard("--check", "--diff", hosts=HOSTS))
    written_by_plan = writes(world)
    world.control("castai", "stale", reads=1)
    world.fault(*LIMITS)
    mark = world.mark()
    run = succeeded(onboarder.onboard("--diff", hosts=HOSTS))
    written, throttled = writes(world), world.fired()
    fetched = [call.resource for call in world.journal(mark) if call.system == "charts"]
    world.fault()
    mark, helm = world.mark(), len(onboarder.helm_starts())
    again = onboarder.onboard(hosts=HOSTS)
    helm_again = len(onboarder.helm_starts()) - helm
    return Story(
        onboarder,
        *before,
        plan,
        written_by_plan,
        run,
        written,
        throttled,
        fetched,
        again,
        writes(world, mark),
        helm_again,
    )


def aws_auth(world: World, cluster: str) -> dict[str, str] | None:
    """The texts of its ConfigMap; clusters that only use access entries have none."""
    found = world.kubernetes(cluster).get(AWS_AUTH)
    return found and dict(found["data"])


def test_the_plan_writes_nothing(story: Story) -> None:
    assert story.written_by_plan == []


@pytest.mark.parametrize("host", HOSTS)
def test_the_run_does_what_the_plan_said(story: Story, host: str) -> None:
    cluster_id = story.run.of("castai_cluster", host)[0]["cluster_id"]
    planned, done = (with_id(run.actions(host), cluster_id) for run in (story.plan, story.run))
    assert planned == done
    assert len(done) > 20
    assert any(
        "install Helm release cluster-controller, which adds, drains and removes nodes, in" in action for action in done
    )


def test_a_run_that_all_systems_throttle_makes_nothing_twice(story: Story) -> None:
    aws, _castai, *api_servers = story.throttled
    assert aws > 0
    assert all(api_servers)  # while the few calls to CAST AI may happen to keep within its limit
    made = [call for call in story.written if call.operation in MADE_ONCE and 200 <= call.status < 300]
    assert {call.operation for call in made} == MADE_ONCE
    assert len([call for call in made if call.operation == REGISTER]) == len(HOSTS)
    objects = Counter((call.operation, call.resource) for call in made if call.operation != REGISTER)
    assert set(objects.values()) == {1}


def test_all_clusters_share_one_download_of_the_index_and_of_each_chart(story: Story) -> None:
    assert set(Counter(story.fetched).values()) == {1}
    assert len(story.fetched) == 1 + len(COMPONENTS)


def test_a_second_run_changes_nothing(story: Story) -> None:
    changed_nothing(story.again)
    assert (story.again.actions(), story.written_again, story.helm_again) == ([], [], 0)


@pytest.mark.parametrize("host", HOSTS)
def test_the_run_waits_for_more_than_what_was_there_before(story: Story, host: str) -> None:
    cluster = story.run.of("castai_cluster", host)[-1]["cluster"]
    assert (cluster["status"], cluster["agent_status"], bool(cluster["credentials_id"])) == ("ready", "online", True)


@pytest.mark.parametrize("host", HOSTS)
def test_the_cluster_is_ready_with_all_components(story: Story, host: str) -> None:
    cluster = story.again.of("castai_cluster", host)[-1]["cluster"]
    assert (cluster["status"], cluster["agent_status"], bool(cluster["credentials_id"])) == ("ready", "online", True)
    namespace = "/apis/apps/v1/namespaces/castai-agent"
    kubernetes = story.world.kubernetes(host)
    workloads = [
        *kubernetes.items(f"{namespace}/deployments"),
        *kubernetes.items(f"{namespace}/daemonsets"),
    ]
    found = {item["metadata"]["annotations"]["meta.helm.sh/release-name"] for item in workloads}
    assert found == COMPONENTS


@pytest.mark.parametrize("host", HOSTS)
def test_its_nodes_get_in_and_no_others(story: Story, host: str) -> None:
    world, (mode, _identity) = story.world, HOSTS[host]
    cluster, access = world.clusters()[host], story.prepared(host)["access"]
    node_role = story.prepared(host)["node_role_arn"].rpartition("/")[2]
    assert access["way"] == ("aws_auth" if mode == "CONFIG_MAP" else "access_entry")
    assert mode in access["reason"]
    status, user = who_is(cluster, node_token(world, cluster, node_role))
    assert (status, user) == (201, f"system:node:ip-10-0-0-1.{cluster.region}.compute.internal")
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = {"Version": "2012-10-17", "Statement": [trust]}
    world.control("aws", "put_role", account=cluster.account, name="stranger", trust=policy, policy=None)
    assert who_is(cluster, node_token(world, cluster, "stranger"))[0] == 401


def test_clusters_with_names_alike_share_nothing(story: Story) -> None:
    assert len({host[:30] for host in HOSTS}) == 1
    for kind in ("identity_arn", "node_role_arn", "instance_profile_arn", "security_group_id"):
        assert len({story.prepared(host)[kind] for host in HOSTS}) == len(HOSTS), kind
    ids = {story.run.of("castai_cluster", host)[0]["cluster_id"] for host in HOSTS}
    iam = story.world.state()["aws"][HOME_ACCOUNT]["iam"]
    for kind in ("policies", "instance_profiles"):
        assert {held["tags"].get("cast:cluster-id") for held in iam[kind].values()} == ids, kind


@pytest.mark.parametrize("host", SLOW)
def test_a_module_needs_at_most_three_rounds_of_reads(story: Story, host: str, tmp_path: Path) -> None:
    world = story.world
    forked = Forked(world, tmp_path, steps(story.again, host), host)
    world.rounds()
    mark = world.mark()
    again = changed_nothing(forked.connect())
    world.rounds(False)
    calls = world.journal(mark)
    asked = [(task, of_task(task, calls)) for task in again.tasks]
    assert sum(len(own) for _task, own in asked) == len(calls) > 0
    for task, own in asked:
        assert rounds(own) <= allowed_rounds(own, 3), (task.task, own)


def test_the_way_back_leaves_everything_as_it_was(story: Story) -> None:
    """This test runs last, because nothing is left for the others afterwards."""
    world = story.world
    before = world.mark()
    plan = succeeded(story.onboarder.onboard("--check", *ALL, hosts=HOSTS, playbook=WAY_BACK))
    assert writes(world, before) == []
    for host in HOSTS:
        said = [task.result.get("msg") for task in plan.tasks if task.host == host]
        assert "A run first disconnects the cluster. CAST AI then deletes the nodes that it added." in said
        cluster_id = story.run.of("castai_cluster", host)[0]["cluster_id"]
        world.control("castai", "disconnect", cluster_id=cluster_id)
    run = succeeded(story.onboarder.onboard(*ALL, hosts=HOSTS, playbook=WAY_BACK))
    for host in HOSTS:
        assert plan.actions(host) == run.actions(host) != []
        assert run.of("castai_iam_eks", host)[-1]["kept"] == []
    changed_nothing(story.onboarder.onboard(*ALL, hosts=HOSTS, playbook=WAY_BACK))
    after = world.state()["aws"]
    del after[HOME_ACCOUNT]["iam"]["roles"][f"arn:aws:iam::{HOME_ACCOUNT}:role/stranger"]
    assert after == story.aws_before
    assert {name: aws_auth(world, name) for name in HOSTS} == story.aws_auth_before
