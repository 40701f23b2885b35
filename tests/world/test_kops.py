# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kOps clusters: registered under the same record as their agent would use, with a kube-router for tainted nodes."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._castai import rights
from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_task
from ansible_collections.castai.onboarding.plugins.module_utils._k8s.kube_router import ADDED, SUBJECT
from tests.sandbox.castai import agent
from tests.sandbox.client import World
from tests.sandbox.kubernetes import kops
from tests.sandbox.normal import difference, normalize

from .connecting import UNKNOWN, Operator, changed_nothing, succeeded, writes
from .service_account import ServiceAccount

SHOP, OLD = "shop.example.com", "old.example.com"
FIX = "castai.onboarding.kube_router"
ANYTHING = {"operator": "Exists"}
NODES = 2  # of the first cluster
CLUSTERS = (f"{SHOP}:kops", f"{OLD}:kops:version=1.17:template=k8s-1.6:nodes=1")
"""The second one reports Kubernetes 1.17."""


# kube-router


def runs_everywhere(world: World, cluster: str) -> None:
    """Wait until its pods are on every node: a plan counts them."""

    def done() -> bool:
        status = daemon_set(world, cluster).get("status") or {}
        return status.get("currentNumberScheduled", 0) + status.get("numberMisscheduled", 0) == NODES

    _until(done)


def fix(world: World, check: bool = False, cluster: str = SHOP, **options: Any) -> dict[str, Any]:
    """Run castai_kube_router_fix as the action plugin does."""
    kubeconfig = world.clusters()[cluster].operator_kubeconfig
    task = SimpleNamespace(check_mode=check, diff=True, action="castai.onboarding.castai_kube_router_fix")
    given = {
        "wait_timeout": 30,
        "kubeconfig": kubeconfig,
        "context": cluster,
        "provider": "kops",
        "cluster_name": cluster,
        **options,
    }
    result = run_task(SUBJECT, task, given, lambda line: None)
    assert "msg" not in result, result["msg"]
    return result


def daemon_set(world: World, cluster: str = SHOP) -> Any:
    return world.kubernetes(cluster).get(kops.KUBE_ROUTER)


def tolerations(world: World, cluster: str = SHOP) -> list[dict[str, str]]:
    found: list[dict[str, str]] = daemon_set(world, cluster)["spec"]["template"]["spec"]["tolerations"]
    return found


@pytest.mark.parametrize("template", kops.TEMPLATES)
@pytest.mark.parametrize("generation", kops.GENERATIONS)
def test_every_generation_is_brought_to_tolerate_what_it_must(world: World, generation: str, template: str) -> None:
    manifest = kops.kube_router(generation, template)
    kubernetes = world.kubernetes(SHOP)
    kubernetes.delete(kops.KUBE_ROUTER)
    kops.apply(kubernetes, manifest)
    before = tolerations(world)
    runs_everywhere(world, SHOP)

    mark = world.mark()
    plan = fix(world, check=True)
    assert writes(world, mark) == []
    run = fix(world, wait=True)
    assert plan["actions"] == run["actions"]
    assert bool(run["actions"]) is (before != [ANYTHING])
    assert tolerations(world) == before + run["added"]
    for check in (True, False):
        assert fix(world, check=check)["actions"] == []

    fix(world, state="absent")
    found = daemon_set(world)
    assert found["spec"]["template"]["spec"]["tolerations"] == before
    assert ADDED not in found["metadata"].get("annotations", {})
    assert fix(world, state="absent")["actions"] == []


def test_a_tainted_node_gets_a_pod_after_it_and_none_before(world: World) -> None:
    kubernetes = world.kubernetes(SHOP)
    # Created anew: its controller may still wait for pods that a reset during a rollout removed.
    kubernetes.delete(kops.KUBE_ROUTER)
    kops.apply(kubernetes, kops.kube_router("1.17"))
    _until(lambda: daemon_set(world)["status"].get("numberAvailable") == NODES)
    kops.add_spot_node(kubernetes)
    assert kops.nodes_without_kube_router(kubernetes) == {kops.SPOT_NODE}
    assert daemon_set(world)["status"]["desiredNumberScheduled"] == NODES

    assert fix(world, wait=True)["restarts"] == NODES
    assert kops.nodes_without_kube_router(kubernetes) == set()


def _until(done: Any) -> None:
    deadline = time.monotonic() + 120
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_the_addon_manager_takes_back_is_added_again_and_told(world: World) -> None:
    first = fix(world)
    wanted = tolerations(world)
    kops.apply(world.kubernetes(SHOP), kops.kube_router("1.17"))
    assert tolerations(world) != wanted

    for check in (True, False):
        again = fix(world, check=check)
        assert (again["reverted"], again["added"]) == (True, first["added"])
        assert "again, because another writer removed it" in again["actions"][0]
    assert tolerations(world) == wanted
    assert fix(world) == {**first, **NOTHING_DONE}

    kops.apply(world.kubernetes(SHOP), kops.kube_router("1.18"))
    upgraded = fix(world)
    assert (upgraded["restarts"], upgraded["added"]) == (0, [])
    assert fix(world)["reverted"] is False
    assert tolerations(world) == [ANYTHING]


NOTHING_DONE = {
    "actions": [],
    "added": [],
    "changed": False,
    "changes": {"created": [], "changed": [], "removed": []},
    "diff": [],
    "restarts": 0,
}


def test_a_rival_between_read_and_write_loses_nothing(world: World) -> None:
    theirs = {"key": "theirs", "operator": "Exists", "effect": "NoSchedule"}
    body = {"spec": {"template": {"spec": {"tolerations": [*tolerations(world), theirs]}}}}
    rival = {"method": "PATCH", "path": kops.KUBE_ROUTER, "body": body}
    world.fault({"operation": "patch daemonsets", "times": 1, "rival": rival})
    result = fix(world)
    assert world.fired() == [1]
    assert tolerations(world) == body["spec"]["template"]["spec"]["tolerations"] + result["added"]


def test_another_cluster_is_refused_and_one_without_kube_router_needs_nothing(world: World) -> None:
    with pytest.raises(AssertionError, match=f"says that it is kOps cluster {OLD} of {kops.STORE}, not {SHOP}"):
        fix(world, cluster=OLD, cluster_name=SHOP)
    world.kubernetes(SHOP).delete(kops.KUBE_ROUTER)
    assert fix(world, wait=True)["found"] is False


def limited(account: ServiceAccount, world: World, folder: Path) -> str:
    """The account's kubeconfig."""
    access = replace(world.clusters()[SHOP], operator_token=account.token())
    return str(access.kubeconfig(folder / "limited.kubeconfig"))


@pytest.mark.parametrize("there", [True, False])
def test_who_may_do_no_more_than_what_is_listed_can_do_it(world: World, tmp_path: Path, there: bool) -> None:
    account = ServiceAccount(world, SHOP)
    account.bind("kube-router", "", [("", "namespaces", ("get",))])
    account.bind("kube-router", "kube-system", [("apps", "daemonsets", ("get", "patch"))])
    kubeconfig = limited(account, world, tmp_path)
    if not there:
        world.kubernetes(SHOP).delete(kops.KUBE_ROUTER)
    assert fix(world, kubeconfig=kubeconfig, wait=True)["changed"] is there
    assert fix(world, kubeconfig=kubeconfig, state="absent")["changed"] is there


def test_the_playbook_shows_its_plan_and_does_it(world: World, operator: Operator) -> None:
    options: dict[str, Any] = {"hosts": (SHOP, OLD), "playbook": FIX}
    runs_everywhere(world, SHOP)
    plan = succeeded(operator.connect("--check", "--diff", **options))
    assert writes(world) == []
    run = succeeded(operator.connect(**options))
    assert all(plan.actions(host) == run.actions(host) != [] for host in (SHOP, OLD))
    assert [one["restarts"] for one in run.of("castai_kube_router_fix", SHOP)] == [NODES]
    changed_nothing(operator.connect(**options))
    assert {call.system for call in world.journal()} == {"kubernetes"}


def test_a_reset_undoes_taints_and_labels_and_leaves_no_node_and_no_event_behind(world: World) -> None:
    """The taint evicts the pods of kube-router, which come back."""
    kubernetes, before = world.kubernetes(SHOP), world.state()
    away = {"key": "example.com/away", "effect": "NoExecute"}
    for node in kubernetes.items(kops.NODES):
        taints = [*node["spec"].get("taints", ()), away]
        patch = {"metadata": {"labels": {"example.com/new": "yes"}}, "spec": {"taints": taints}}
        kubernetes.patch(f"{kops.NODES}/{node['metadata']['name']}", patch)
    kops.add_spot_node(kubernetes)
    _until(lambda: daemon_set(world)["status"]["desiredNumberScheduled"] == 0)

    told = events(world.state()) - events(before)
    assert told
    world.reset()
    after = world.state()
    assert difference(normalize(before), normalize(after)) == ""
    assert after["aws"] == before["aws"]
    assert nodes(after) == nodes(before)
    assert not told & events(after)
    assert kops.nodes_without_kube_router(kubernetes) == set()


def nodes(state: Any) -> dict[str, Any]:
    """What is set on each."""
    objects = state["kubernetes"][SHOP]
    return {label: item["spec"] for label, item in objects.items() if label.startswith("Node ")}


def events(state: Any) -> set[str]:
    return {label for label in state["kubernetes"][SHOP] if label.startswith("Event ")}


# Connecting

STATIC = "STATIC_CLUSTER_ID"
"""With the id, the agent does not register, and does not ask EC2 about spot instances."""


def told(world: World) -> dict[str, str]:
    """The agent's environment."""
    kubernetes = world.kubernetes(SHOP)
    return agent.environment(kubernetes, kubernetes.get(agent.DEPLOYMENT)["spec"]["template"]["spec"])


def test_a_cluster_has_one_record_by_whoever_registers_it(world: World, operator: Operator) -> None:
    plan = succeeded(operator.connect("--check", "--diff", hosts=(SHOP,)))
    assert writes(world) == []
    run = succeeded(operator.connect(hosts=(SHOP,)))
    cluster = run.of("castai_cluster")[-1]
    uid = world.kubernetes(SHOP).get(kops.KUBE_SYSTEM)["metadata"]["uid"]
    assert (cluster["cluster_id"], cluster["cluster"]["agent_status"]) == (uid, "online")
    assert [action.replace(UNKNOWN, uid) for action in plan.actions()] == [
        action.replace(UNKNOWN, uid) for action in run.actions()
    ]
    assert len(run.actions()) == 4
    assert STATIC not in told(world)

    mark = world.mark()
    changed_nothing(operator.connect(hosts=(SHOP,)))
    assert writes(world, mark) == []
    (record,) = world.state()["castai"]["clusters"].values()
    assert record["kops"] == {
        "cloud": "aws",
        "region": "eu-central-1",
        "clusterName": SHOP,
        "stateStore": kops.STORE,
    }


def test_who_cannot_connect_is_told_why_before_any_write(world: World, operator: Operator) -> None:
    """An operator who may not list nodes, one with another cluster's kubeconfig, and a cluster that is too old for the
    agent."""
    account = ServiceAccount(world, SHOP)
    account.bind("connect", "", [row for row in rights.CONNECT if row[1] in rights.OF_CLUSTER])
    account.bind("connect", rights.SYSTEM, rights.CONNECT_SYSTEM)
    known = operator.inventory(SHOP, OLD)["castai_clusters"]
    shop = {"castai_cluster_name": SHOP, **known["hosts"][SHOP]}
    hosts = {
        "limited": {**shop, "castai_kubeconfig": limited(account, world, operator.folder)},
        "elsewhere": {**shop, "castai_context": OLD},
        OLD: known["hosts"][OLD],
    }
    refused = operator.connect("--forks", "3", given={"castai_clusters": {**known, "hosts": hosts}}).failures
    assert writes(world) == []
    assert "nodes is forbidden" in refused["limited"]
    assert f"says that it is kOps cluster {OLD} of {kops.STORE}, not {SHOP}" in refused["elsewhere"]
    assert refused[OLD] == (
        "The API server runs Kubernetes 1.17, but CAST AI's agent needs 1.21 or newer. Upgrade the cluster first."
    )


def test_an_agent_that_registered_its_cluster_itself_is_found(world: World, operator: Operator) -> None:
    """What users apply from CAST AI's console: an agent without any information about its cluster."""
    facts = {"cloud": "aws", "region": "eu-central-1", "clusterName": SHOP, "stateStore": kops.STORE}
    uid = world.kubernetes(SHOP).get(kops.KUBE_SYSTEM)["metadata"]["uid"]
    world.control("castai", "seed_cluster", name=SHOP, id=uid, kops=facts)
    run = succeeded(operator.connect(hosts=(SHOP,)))
    assert run.of("castai_cluster")[-1]["cluster"]["agent_status"] == "online"
    assert "RegisterCluster" not in {call.operation for call in world.journal()}
    assert list(world.state()["castai"]["clusters"]) == [uid]
    assert STATIC not in told(world)
    succeeded(operator.connect(hosts=(SHOP,), castai_cluster_id=uid))
    assert told(world)[STATIC] == uid
