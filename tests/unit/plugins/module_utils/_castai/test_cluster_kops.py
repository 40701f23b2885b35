# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kOps clusters are registered as their agent would register them, and only the one that the user named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._castai import cluster
from ansible_collections.castai.onboarding.plugins.module_utils._castai.cluster import (
    Current,
    Desired,
    Register,
    plan,
    registration,
    view,
)
from ansible_collections.castai.onboarding.plugins.module_utils._clusters import kops
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.facts import ClusterFacts, Named
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.kops import Channel, KopsCluster
from ansible_collections.castai.onboarding.plugins.module_utils._engine import UNKNOWN, Refused
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws_ec2 import Instance
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.castai import Cluster

ACCOUNT, REGION, NAME = "111122223333", "eu-central-1", "shop.example.com"
UID = "0d9b5f86-8d7b-4f0e-9a5b-3c2d1e0f4a5b"
FACTS = {"cloud": "aws", "region": REGION, "clusterName": NAME, "stateStore": "s3://state"}
RECORD = Cluster(UID, NAME, "kops", "ready", "online", "org", "", "", FACTS)
THERE = KopsCluster(
    NAME,
    REGION,
    "https://k",
    UID,
    (Channel("s3://state", (NAME, "addons", "bootstrap-channel.yaml")),),
    frozenset({"i-1", "i-2"}),
    (Instance("i-2", ACCOUNT, "vpc-1"), Instance("i-3", ACCOUNT, "vpc-1")),
)


def kops_facts(found: KopsCluster = THERE, **location: str) -> ClusterFacts:
    return kops.facts(found, Named("kops", NAME, location))


KOPS = kops_facts()


def desired(**changes: Any) -> Desired:
    params = {
        "cluster_name": NAME,
        "provider": "kops",
        "kubeconfig": "/nowhere/config",
        "region": REGION,
        "namespace": "castai-agent",
        "credentials_secret": "castai-credentials",
        "manage_token": False,
        "wait_for": "none",
        "wait_timeout": 600,
    }
    return cluster.desired({**params, **changes})


def test_it_is_registered_with_what_the_agent_would_send() -> None:
    """castai/k8s-agent, pkg/services/providers/kops/kops.go and pkg/castai/types.go."""
    (register,) = plan(Current(KOPS, None), desired())
    assert isinstance(register, Register)
    assert register.sentence == f"register kOps cluster {NAME} of account {ACCOUNT} in {REGION} with CAST AI"
    assert (register.name, register.block) == (NAME, {"id": UID, "kops": FACTS})
    assert register.after == {"name": NAME, "id": UNKNOWN, "kops": FACTS}


def test_a_registered_cluster_is_its_own_record_whoever_made_it() -> None:
    earlier = replace(RECORD, id="earlier")
    other_store = replace(RECORD, facts={**FACTS, "stateStore": "s3://another"})
    eks = replace(RECORD, id="eks", provider="eks")
    assert registration((earlier, RECORD), KOPS, "") == RECORD
    assert registration((earlier, other_store), KOPS, "") == other_store
    assert registration((eks, earlier), KOPS, "") == earlier
    assert registration((eks, replace(other_store, id="x")), KOPS, "") is None
    for record in (RECORD, earlier, other_store):
        assert list(plan(Current(KOPS, record), desired())) == []
        assert list(plan(Current(KOPS, record), desired(cluster_id=UID))) == []


def test_the_state_store_can_be_given() -> None:
    silent = replace(THERE, channels=())
    with pytest.raises(Refused, match=r"where the state store of kOps cluster .* is. Set castai_state_store \(option"):
        list(plan(Current(kops_facts(silent), None), desired()))
    for found in (silent, THERE):
        (register,) = plan(Current(kops_facts(found, state_store="s3://mine/"), None), desired())
        assert register.after["kops"]["stateStore"] == "s3://mine"
    assert view(Current(KOPS, RECORD), desired(), {})["state_store"] == "s3://state"
    shown = view(Current(KOPS, None), desired(), {})
    assert (shown["cluster_id"], shown["account_id"], shown["region"]) == (UNKNOWN, ACCOUNT, REGION)


REFUSALS: dict[str, tuple[KopsCluster, dict[str, Any], str]] = {
    "annotations of another name": (
        replace(THERE, channels=(Channel("s3://state", ("prod.example.com", "addons", "bootstrap-channel.yaml")),)),
        {},
        "says that it is kOps cluster prod.example.com of s3://state, not shop.example.com",
    ),
    "nothing running": (
        replace(THERE, instances=()),
        {"account_id": "444455556666"},
        "EC2 has no running instance with tag KubernetesCluster=shop.example.com in eu-central-1 of the account",
    ),
    "another account": (
        THERE,
        {"account_id": "444455556666"},
        "castai_account_id (option account_id) is 444455556666, but the AWS credentials belong to account 111122223333",
    ),
    "a cluster of that name elsewhere": (
        replace(THERE, nodes=frozenset({"i-9"})),
        {},
        "No node of the cluster at https://k is one of the 2 instances that EC2 has for kOps cluster shop.example.com",
    ),
}


@pytest.mark.parametrize(("found", "options", "sentence"), REFUSALS.values(), ids=REFUSALS)
def test_another_cluster_is_refused_before_any_action(
    found: KopsCluster, options: dict[str, Any], sentence: str
) -> None:
    for record in (None, RECORD):
        with pytest.raises(Refused) as refusal:
            list(plan(Current(kops_facts(found, **options), record), desired(**options)))
        assert sentence in str(refusal.value)


@pytest.mark.parametrize("case", REFUSALS)
def test_the_user_may_say_that_the_connection_proves_nothing(case: str) -> None:
    """EC2's answer about the name and the account still counts."""
    found, options, sentence = REFUSALS[case]
    said = " ".join(kops.facts(found, Named("kops", NAME, options, checked=False)).problems)
    assert (sentence in said) == (case in ("nothing running", "another account"))


def test_the_id_of_another_clusters_record_is_refused() -> None:
    other = replace(RECORD, id="other", facts={**FACTS, "clusterName": "prod.example.com"})
    with pytest.raises(Refused) as refusal:
        list(plan(Current(KOPS, other), desired(cluster_id=UID)))
    assert str(refusal.value) == (
        "CAST AI's cluster other is kOps cluster prod.example.com of state store s3://state in eu-central-1,"
        " not kOps cluster shop.example.com of state store s3://state in eu-central-1. Correct"
        " castai_cluster_id (option cluster_id) or castai_cluster_name (option cluster_name)."
    )


def test_a_bad_name_is_refused_before_any_call() -> None:
    with pytest.raises(Refused, match="kOps cluster name 'shop' must be a full DNS name"):
        desired(cluster_name="shop")


def test_the_agent_gets_an_id_only_where_the_user_chose_one() -> None:
    found = {
        "KOPS_CSP": "aws",
        "KOPS_REGION": REGION,
        "KOPS_CLUSTER_NAME": NAME,
        "KOPS_STATE_STORE": "s3://state",
    }
    assert view(Current(KOPS, RECORD), desired(), {})["agent_environment"] == found
    chosen = view(Current(KOPS, RECORD), desired(cluster_id=UID), {})["agent_environment"]
    assert chosen == {**found, "STATIC_CLUSTER_ID": UID}
