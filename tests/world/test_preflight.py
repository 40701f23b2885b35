# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each bad input is reported in its own sentence before the first write, and several inputs are all reported at once.

Every input is a host of one inventory, so one run tests them all.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._helm.record import OWNER_NAME, OWNER_NAMESPACE
from tests.sandbox.charts.server import FOLDER as CHARTS
from tests.sandbox.client import World
from tests.support.clusters import host_variables
from tests.support.playbook import Run

from .connecting import Operator, writes
from .namespaces import limit, restrict

UNKNOWN_ID = str(uuid.uuid4())
ADMINISTRATOR = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
CLUSTERS = ("prod:eks", "other:eks:account=444455556666:region=us-east-1:mode=API", "old:eks:version=1.20:nodes=0")
SENTENCES: dict[str, tuple[str, ...]] = {
    "unknown-key": ("CAST AI does not recognize the API key. Check castai_api_key",),
    "key-of-another-organization": ("The API key belongs to organization ",),
    "agent-of-another-organization": ("An agent in this cluster already reports to CAST AI as cluster ",),
    "unknown-cluster-id": (f"This API key cannot see cluster {UNKNOWN_ID} at CAST AI",),
    "no-uuid": ("castai_cluster_id (option cluster_id) is 'prod'. Set it to the UUID of the cluster at CAST AI",),
    "unknown-cluster": (
        "EKS has no cluster nowhere in eu-central-1 of account 111122223333, which the AWS credentials belong to",
    ),
    "wrong-region": ("EKS has no cluster prod in us-west-2 of account 111122223333",),
    "no-region": ("castai_region (option region) is not set. Set it to the AWS region of the cluster",),
    "wrong-account": (
        (
            "castai_account_id (option account_id) is 999988887777, but the AWS credentials belong to account"
            " 111122223333"
        ),
    ),
    "no-account": (
        "castai_account_id (option account_id) is '1111'. Set it to the 12 digits of the AWS account, in quotes.",
    ),
    "wrong-secret-key": ("castai_aws_secret_key (option secret_key) or this machine's clock is wrong. Check both.",),
    "unknown-access-key": (
        (
            "AWS does not recognize the access key. Check castai_aws_access_key (option access_key) or"
            " castai_aws_profile (option profile)."
        ),
    ),
    "wrong-external-id": ("Could not assume role arn:aws:iam::444455556666:role/onboarding: AccessDenied: ",),
    "no-aws-permission": ("is not authorized to perform: eks:DescribeCluster",),
    "no-access-entry": ("The API server does not recognize these credentials.",),
    "kubeconfig-of-another-cluster": ("The kubeconfig or host points to https://127.0.0.1:",),
    "no-kubeconfig": ("nowhere.yml",),
    "unreachable": ("Kubernetes API server https://127.0.0.1:1 did not answer",),
    "too-old": ("The API server runs Kubernetes 1.20, but CAST AI's agent needs 1.21 or newer",),
    "no-kubernetes-permission": (
        "These Kubernetes permissions are missing in namespace castai-agent or cluster-wide: get namespaces,",
        "These Kubernetes permissions are missing in namespace castai-agent or cluster-wide: create ",
    ),
    "no-helm": ("Helm was not found at /nowhere/helm. Correct castai_helm_path (option helm_path).",),
    "old-helm": ("is Helm 3.9.4, but 3.14 or newer is needed",),
    "agent-of-another-release": (
        (
            "Deployment of-umbrella/castai-agent belongs to Helm release of-umbrella/castai of CAST AI's umbrella"
            " chart. The cluster is already connected: only run castai.onboarding.onboard (onboard.yml)."
        ),
    ),
    "agent-of-kubectl": (
        (
            "Deployment of-kubectl/castai-agent exists and belongs to no Helm release, so kubectl or another"
            " tool created it."
        ),
    ),
    "agent-of-kubectl-and-older-helm": (
        "Taking over objects outside Helm needs Helm 3.17 or newer, but Helm here is 3.16.4. Upgrade it",
    ),
    "pods-that-the-level-forbids": (
        (
            "Namespace restricted enforces PodSecurity level restricted, under which these cannot start: castai-agent"
            " has "
        ),
    ),
    "pods-beyond-the-quota": (
        "ResourceQuota one-pod of namespace limited leaves too little for castai-agent: 1 of pods, 3 needed.",
    ),
    "no-such-chart-version": ("chart castai-agent 9.9.9",),
    "no-such-repository": ("chart castai-agent 0.161.1",),
    "long-name": ("has 101 characters, but EKS allows at most 100.",),
    "long-namespace": ("has 64 characters, but at most 63 are allowed.",),
    "no-secret-name": ("Secret name 'Castai_Creds' may only contain lower-case letters",),
    "namespace-that-goes": ("Namespace going is being deleted. Wait until it is gone, then run again.",),
    "several": (
        "CAST AI does not recognize the API key",
        "EKS has no cluster prod in us-west-2",
        "Helm was not found at /nowhere/helm",
    ),
}


class Asked(NamedTuple):
    run: Run
    writes: list[Any]


@pytest.fixture(scope="module")
def asked(module_world: World, tmp_path_factory: pytest.TempPathFactory) -> Asked:
    world = module_world
    world.reset()
    operator = Operator(world, tmp_path_factory.mktemp("preflight"))
    del operator.environment["AWS_DEFAULT_REGION"]
    inputs = bad_inputs(world, operator.folder)
    assert inputs.keys() == SENTENCES.keys()
    clusters = world.clusters()
    hosts = {}
    for host, (cluster, variables) in inputs.items():
        found = {"castai_cluster_name": cluster, **host_variables(clusters[cluster]), **variables}
        hosts[host] = {name: value for name, value in found.items() if value is not None}
    run = operator.connect("--forks", "4", given={"castai_clusters": {"hosts": hosts}})
    return Asked(run, writes(world))


def bad_inputs(world: World, folder: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """The cluster and what is wrong in its inventory (None: variable left out), by host; the world is changed to
    match."""
    keys = world.control("castai", "keys")
    clusters = world.clusters()
    foreign = world.control(
        "castai",
        "seed_cluster",
        name="far",
        other_organization=True,
        eks={"accountId": "999988887777", "region": "eu-central-1", "clusterName": "far"},
    )
    other = world.kubernetes("other")
    other.create("/api/v1/namespaces", {"metadata": {"name": "castai-agent"}})
    other.create(
        "/api/v1/namespaces/castai-agent/configmaps",
        {"metadata": {"name": "castai-agent-metadata"}, "data": {"CLUSTER_ID": foreign["id"]}},
    )
    stranger = world.control("aws", "add_user", account=clusters["prod"].account, name="stranger", policy=ADMINISTRATOR)
    nobody = world.control("aws", "add_user", account=clusters["prod"].account, name="nobody", policy=None)
    authority = folder / "ca.pem"
    authority.write_text(clusters["prod"].ca_pem, encoding="ascii")
    old_helm = folder / "old-helm"
    old_helm.write_text("#!/bin/sh\necho v3.9.4\n", encoding="ascii")
    old_helm.chmod(0o755)
    older_helm = folder / "older-helm"
    older_helm.write_text("#!/bin/sh\necho v3.16.4\n", encoding="ascii")
    older_helm.chmod(0o755)
    leave_agent(world, "of-kubectl", {})
    leave_agent(world, "of-umbrella", {OWNER_NAME: "castai", OWNER_NAMESPACE: "of-umbrella"})
    leave_going(world, "going")
    restrict(world.kubernetes("prod"), "restricted")
    limit(world.kubernetes("prod"), "limited")
    chart = str(CHARTS / "castai-agent")
    elsewhere = str(clusters["other"].kubeconfig(folder / "other.kubeconfig"))
    address = {"castai_host": clusters["prod"].endpoint, "castai_kubernetes_ca_cert": str(authority)}
    prod: dict[str, dict[str, Any]] = {
        "unknown-key": {"castai_api_key": "CANARY-of-nobody"},
        "key-of-another-organization": {
            "castai_api_key": keys["other_organization"],
            "castai_organization_id": keys["organization_id"],
        },
        "unknown-cluster-id": {"castai_cluster_id": UNKNOWN_ID},
        "no-uuid": {"castai_cluster_id": "prod"},
        "unknown-cluster": {"castai_cluster_name": "nowhere"},
        "wrong-region": {"castai_region": "us-west-2"},
        "no-region": {"castai_region": None},
        "wrong-account": {"castai_account_id": "999988887777"},
        "no-account": {"castai_account_id": "1111"},
        "wrong-secret-key": {"castai_aws_access_key": stranger[0], "castai_aws_secret_key": "CANARY-wrong"},
        "unknown-access-key": {"castai_aws_access_key": "AKIANOBODY", "castai_aws_secret_key": "CANARY-wrong"},
        "no-aws-permission": {"castai_aws_access_key": nobody[0], "castai_aws_secret_key": nobody[1]},
        "no-access-entry": {"castai_aws_access_key": stranger[0], "castai_aws_secret_key": stranger[1]},
        "kubeconfig-of-another-cluster": {"castai_kubeconfig": elsewhere},
        "no-kubeconfig": {"castai_kubeconfig": str(folder / "nowhere.yml")},
        "unreachable": {**address, "castai_host": "https://127.0.0.1:1", "castai_host_token": "CANARY-any"},
        "no-kubernetes-permission": {**address, "castai_host_token": reader_token(world)},
        "no-helm": {"castai_helm_path": "/nowhere/helm"},
        "old-helm": {"castai_helm_path": str(old_helm)},
        "agent-of-another-release": {"castai_namespace": "of-umbrella"},
        "agent-of-kubectl": {"castai_namespace": "of-kubectl", "agent_adopt": False},
        "agent-of-kubectl-and-older-helm": {
            "castai_namespace": "of-kubectl",
            "castai_helm_path": str(older_helm),
            "agent_chart_ref": chart,
            "agent_chart_repo_url": "",
        },
        "pods-that-the-level-forbids": {"castai_namespace": "restricted"},
        "pods-beyond-the-quota": {"castai_namespace": "limited"},
        "no-such-chart-version": {"agent_chart_version": "9.9.9"},
        "no-such-repository": {"agent_chart_repo_url": "https://castai.github.io/nowhere"},
        "long-name": {"castai_cluster_name": "a" * 101},
        "long-namespace": {"castai_namespace": "a" * 64},
        "no-secret-name": {"castai_credentials_secret": "Castai_Creds"},
        "namespace-that-goes": {"castai_namespace": "going"},
        "several": {
            "castai_api_key": "CANARY-of-nobody",
            "castai_region": "us-west-2",
            "castai_helm_path": "/nowhere/helm",
        },
    }
    return {
        **{host: ("prod", variables) for host, variables in prod.items()},
        "agent-of-another-organization": ("other", {}),
        "wrong-external-id": ("other", {"castai_aws_assume_role_external_id": "wrong"}),
        "too-old": ("old", {}),
    }


def leave_agent(world: World, namespace: str, annotations: dict[str, str]) -> None:
    """The objects of an agent's installation in the namespace, as far as they matter here."""
    kubernetes = world.kubernetes("prod")
    kubernetes.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    labels = {"app": "castai-agent"}
    containers = [{"name": "agent", "image": "castai/agent"}]
    kubernetes.create(
        f"/apis/apps/v1/namespaces/{namespace}/deployments",
        {
            "metadata": {"name": "castai-agent", "annotations": annotations},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
            },
        },
    )


def leave_going(world: World, namespace: str) -> None:
    """A namespace that cannot be deleted, because an object in it has a finalizer."""
    kubernetes = world.kubernetes("prod")
    kubernetes.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    path = f"/api/v1/namespaces/{namespace}"
    kubernetes.create(f"{path}/configmaps", {"metadata": {"name": "held", "finalizers": ["example.com/held"]}})
    kubernetes.delete(path)


def reader_token(world: World) -> str:
    """The token of a service account with no more permissions than any user."""
    kubernetes = world.kubernetes("prod")
    path = "/api/v1/namespaces/default/serviceaccounts"
    kubernetes.create(path, {"metadata": {"name": "reader"}})
    granted = kubernetes.create(f"{path}/reader/token", {"spec": {"expirationSeconds": 3600}})
    return str(granted["status"]["token"])


@pytest.mark.parametrize("host", SENTENCES)
def test_a_bad_input_gives_its_sentence(asked: Asked, host: str) -> None:
    (result,) = asked.run.of("castai_preflight", host)
    findings = result["findings"]
    assert len(findings) == len(SENTENCES[host])
    for finding, sentence in zip(findings, SENTENCES[host], strict=True):
        assert sentence in finding
        assert sentence in result["msg"]
    assert asked.run.failures[host] == result["msg"]


def test_nothing_is_written_before_the_sentences(asked: Asked) -> None:
    assert asked.run.status != 0
    assert asked.writes == []
