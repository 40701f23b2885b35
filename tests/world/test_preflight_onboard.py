# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every obstacle to onboarding is reported in its own sentence before the first write.

Every input is a host of one inventory, so one run in check mode tests them all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._castai import rights
from tests.sandbox.client import World
from tests.sandbox.spec import HOME_ACCOUNT
from tests.support.clusters import host_variables
from tests.support.playbook import Run
from tests.support.policies import for_cluster, without

from .connecting import UNKNOWN, Operator, succeeded, writes
from .namespaces import limit, restrict
from .service_account import ServiceAccount

USER = "arn:aws:iam::111122223333:user"
NOT_CONNECTED = (
    "Cluster old of account 111122223333 in eu-central-1 is not connected to CAST AI. Run the playbook"
    " castai.onboarding.connect (connect.yml) first."
)
CLUSTERS = ("prod:eks", "other:eks:account=444455556666:region=us-east-1:mode=API", "old:eks:version=1.20:nodes=0")
SENTENCES: dict[str, tuple[str, ...]] = {
    "not-connected": ("The API server runs Kubernetes 1.20", NOT_CONNECTED),
    "token-elsewhere": (
        "Secret castai-agent/of-the-console is missing or has no API_KEY, and the components cannot start without it.",
    ),
    "pods-that-the-level-forbids": (
        (
            "Namespace restricted enforces PodSecurity level restricted, under which these cannot start:"
            " cluster-controller has "
        ),
        "Secret restricted/castai-credentials is missing",
    ),
    "pods-beyond-the-quota": (
        "ResourceQuota one-pod of namespace limited leaves too little for cluster-controller, castai-kvisor: 1 of pods",
        "Secret limited/castai-credentials is missing",
    ),
    "several": (
        ", not online. Run the playbook castai.onboarding.connect (connect.yml) first",
        "The cluster has only Fargate and Windows nodes. CAST AI needs Linux nodes on EC2",
    ),
}
BROKEN = {
    "no-rights": "is not authorized to perform: eks:DescribeCluster",
    "no-network": "Kubernetes API server https://127.0.0.1:1 did not answer",
    "not-ready": "EKS cluster old is CREATING. Wait until it is ACTIVE.",
}
TELLING = "Show why this cluster failed"
WARNINGS = {
    "policy": (
        f"{USER}/policy lacks these AWS permissions: iam:CreateRole on arn:aws:iam::111122223333:role/cast-eks-"
    ),
    "no-pull-secret": (
        "Secret castai-agent/of-the-registry does not exist, but cluster-controller, castai-spot-handler,"
    ),
    "boundary": (f"The permissions boundary of {USER}/boundary does not allow iam:CreateRole on arn:aws:iam::"),
}
"""Warnings about what only a run needs, and about what may keep pods from starting."""
NOT_CHECKED = {
    "may-not-simulate": f"Could not check AWS permissions: Could not simulate what {USER}/may-not-simulate may do",
    "from-a-vpc": (
        "Could not check AWS permissions iam:CreateRole: they depend on aws:SourceVpc, which the IAM simulator"
        " cannot evaluate."
    ),
}


def allow(action: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": "*", **more}


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


NO_ROLES = policy(allow("*"), {**allow("iam:CreateRole"), "Effect": "Deny"})


@pytest.fixture(scope="module")
def operator_of_all(module_world: World, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    module_world.reset()
    return Operator(module_world, tmp_path_factory.mktemp("preflight-onboard"))


@pytest.fixture(scope="module")
def connected(operator_of_all: Operator) -> Run:
    """Two connected clusters among hosts that cannot be onboarded."""
    operator, world = operator_of_all, operator_of_all.world
    prod, old = (world.clusters()[name] for name in ("prod", "old"))
    key_id, secret = world.control("aws", "add_user", account=HOME_ACCOUNT, name="without-rights", policy=None)
    of_old = {"account": old.account, "region": old.region, "name": "old"}
    given = operator.inventory("prod", "other")
    given["castai_clusters"]["hosts"] |= {
        "no-rights": {
            **host_variables(prod),
            "castai_cluster_name": "prod",
            "castai_aws_access_key": key_id,
            "castai_aws_secret_key": secret,
        },
        "no-network": {
            **host_variables(prod),
            "castai_cluster_name": "prod",
            "castai_host": "https://127.0.0.1:1",
            "castai_host_token": "CANARY-any",
        },
        "not-ready": {**host_variables(old), "castai_cluster_name": "old"},
    }
    world.control("aws", "set_cluster", **of_old, status="CREATING")
    run = operator.connect("--forks", "5", given=given)
    world.control("aws", "set_cluster", **of_old, status="ACTIVE")
    return run


@pytest.fixture(scope="module")
def asked(operator_of_all: Operator, connected: Run) -> Run:
    operator, world = operator_of_all, operator_of_all.world
    spoil(world, connected.of("castai_cluster", "other")[0]["cluster_id"])
    clusters = world.clusters()
    prod = {"castai_cluster_name": "prod", **host_variables(clusters["prod"])}
    restrict(world.kubernetes("prod"), "restricted")
    limit(world.kubernetes("prod"), "limited")
    hosts = {
        "not-connected": {"castai_cluster_name": "old", **host_variables(clusters["old"])},
        "token-elsewhere": {**prod, "castai_credentials_secret": "of-the-console"},
        "pods-that-the-level-forbids": {**prod, "castai_namespace": "restricted"},
        "pods-beyond-the-quota": {**prod, "castai_namespace": "limited"},
        "no-pull-secret": {**prod, "castai_image_pull_secrets": ["of-the-registry"]},
        "several": {"castai_cluster_name": "other", **host_variables(clusters["other"])},
        **users(world, operator.folder),
    }
    mark = world.mark()
    given = {"castai_clusters": {"hosts": hosts}}
    run = operator.connect("--check", "--forks", "3", playbook="castai.onboarding.onboard", given=given)
    assert writes(world, mark) == []
    return run


def spoil(world: World, cluster_id: str) -> None:
    """Cluster other: its agent is silent, its account limited, and none of its nodes can be replaced by CAST AI."""
    world.control("castai", "set_agent_status", cluster_id=cluster_id, status="non-responding")
    world.control("aws", "put_control_policy", account="444455556666", policy=NO_ROLES)
    kubernetes = world.kubernetes("other")
    fargate, windows = (node["metadata"]["name"] for node in kubernetes.items("/api/v1/nodes"))
    for name, labels in (
        (fargate, {"eks.amazonaws.com/compute-type": "fargate"}),
        (windows, {"kubernetes.io/os": "windows"}),
    ):
        kubernetes.patch(f"/api/v1/nodes/{name}", {"metadata": {"labels": labels}})


def users(world: World, folder: Path) -> dict[str, dict[str, Any]]:
    """Hosts for cluster prod, each with its own AWS user and the operator's token for Kubernetes."""
    published = for_cluster("onboard", "role", "prod")
    from_vpc = allow("iam:CreateRole", Condition={"StringEquals": {"aws:SourceVpc": "vpc-1"}})
    policies = {
        "policy": NO_ROLES,
        "boundary": policy(allow("*")),
        "may-not-simulate": without(published, "iam:SimulatePrincipalPolicy"),
        "from-a-vpc": policy(*without(published, "iam:CreateRole")["Statement"], from_vpc),
        "plan": for_cluster("plan", "role", "prod"),
    }
    prod = world.clusters()["prod"]
    authority = folder / "ca.pem"
    authority.write_text(prod.ca_pem, encoding="ascii")
    found = {}
    for name, document in policies.items():
        key_id, secret = world.control("aws", "add_user", account=HOME_ACCOUNT, name=name, policy=document)
        found[name] = {
            **host_variables(prod),
            "castai_cluster_name": "prod",
            "castai_aws_access_key": key_id,
            "castai_aws_secret_key": secret,
            "castai_host": prod.endpoint,
            "castai_host_token": prod.operator_token,
            "castai_kubernetes_ca_cert": str(authority),
        }
    planner = ServiceAccount(world, "prod")
    planner.bind("plan", "", rights.planning())
    found["plan"]["castai_host_token"] = planner.token()
    world.control("aws", "put_user_boundary", account=HOME_ACCOUNT, name="boundary", policy=NO_ROLES)
    return found


def test_clusters_that_cannot_be_connected_stop_no_other_one_and_are_told_together_at_the_end(connected: Run) -> None:
    assert connected.status != 0
    assert {host for host, counts in connected.stats.items() if counts["failures"]} == BROKEN.keys()
    for host in ("prod", "other"):
        assert connected.of("castai_cluster", host)[-1]["cluster"]["agent_status"] == "online"
    first = min(number for number, task in enumerate(connected.tasks) if task.task == TELLING)
    end = [task for task in connected.tasks[first:] if task.outcome == "failed"]
    assert {task.task for task in connected.tasks[first:]} == {TELLING}
    assert {task.host for task in end} == BROKEN.keys()
    for task in end:
        assert BROKEN[task.host] in task.result["msg"]


@pytest.mark.parametrize("host", SENTENCES)
def test_what_stands_in_the_way_gives_its_sentence(asked: Run, host: str) -> None:
    (result,) = asked.of("castai_preflight", host)
    assert len(result["findings"]) == len(SENTENCES[host])
    for finding, sentence in zip(result["findings"], SENTENCES[host], strict=True):
        assert sentence in finding
    assert asked.failures[host] == result["msg"]


@pytest.mark.parametrize("host", WARNINGS)
def test_what_a_plan_can_do_without_is_a_warning(asked: Run, host: str) -> None:
    (result,) = asked.of("castai_preflight", host)
    assert any(warning.startswith(f"{host}: ") and WARNINGS[host] in warning for warning in result["warnings"])
    assert host not in asked.failures


def test_with_credentials_that_only_read_a_plan_is_whole_and_says_what_a_run_lacks(asked: Run) -> None:
    (result,) = asked.of("castai_preflight", "plan")
    in_cluster, in_aws = (
        warning for warning in result["warnings"] if " missing " in warning or " lacks these " in warning
    )
    assert "create secrets" in in_cluster
    assert "iam:CreateRole" in in_aws
    assert "plan" not in asked.failures
    assert asked.actions("plan") == asked.actions("from-a-vpc") != []


@pytest.mark.parametrize("host", NOT_CHECKED)
def test_what_could_not_be_found_out_is_said_and_stands_in_no_way(asked: Run, host: str) -> None:
    (result,) = asked.of("castai_preflight", host)
    (sentence,) = result["not_checked"]
    assert sentence.startswith(NOT_CHECKED[host])
    assert host not in asked.failures


def test_both_phases_can_be_planned_for_a_cluster_that_is_not_connected(world: World, operator: Operator) -> None:
    run = succeeded(operator.connect("--check", playbook="castai.onboarding.site"))
    assert writes(world) == []
    planned = run.actions("prod")
    assert [action for action in planned if action.startswith("register ")] == [
        "register EKS cluster prod of account 111122223333 in eu-central-1 with CAST AI"
    ]
    assert f"create role cast-eks-prod-cluster-role-{UNKNOWN}, which CAST AI assumes" in planned
    assert planned[-1].startswith("give CAST AI role arn:aws:iam::111122223333:role/cast-eks-prod-cluster-role-")
