# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether CAST AI can manage a cluster's nodes, which record is the cluster's, and what AWS is asked."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._castai.cluster import registration
from ansible_collections.castai.onboarding.plugins.module_utils._clusters import eks, kops
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.facts import Named
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.kops import KopsCluster
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.on_aws import foreign_nodes
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws_ec2 import Instance
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws_eks import EksCluster
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.castai import Cluster

ID, ANOTHER_ID = "5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e", "99999999-5a57-4d4a-8f5d-0a6f5c1f0d7e"
EKS = EksCluster(
    "shop", "arn:aws:eks:eu-central-1:111122223333:cluster/shop", "", "", "ACTIVE", "1.36", "API", "ipv4", "vpc-1"
)
FACTS = {"accountId": EKS.account_id, "region": EKS.region, "clusterName": EKS.name}
AWS: Any = SimpleNamespace(region="eu-central-1")
OURS = Cluster(ID, "shop", "eks", "ready", "online", "org", "", "", FACTS)
KOPS = KopsCluster("shop.example.com", EKS.region, "", "", (), frozenset(), (Instance("i-1", EKS.account_id, "vpc-2"),))
SPOT_ROLE = {"iam:CreateRole", "iam:TagRole", "iam:AttachRolePolicy"}
ONBOARD = {"connecting": False, "identity": "role", "path": "/", "user_access": "cluster_admin"}


def node(labels: dict[str, str], provider: str | None = "aws:///eu-central-1a/i-0123") -> dict[str, Any]:
    return {"metadata": {"labels": labels} if labels else {}, "spec": {"providerID": provider} if provider else {}}


@pytest.mark.parametrize(
    ("providers", "kinds"),
    [
        (["eks-hybrid:///eu-central-1/shop/mi-0123"], ("hybrid",)),
        (["eks-hybrid:///eu-central-1/shop/mi-0123", "gce://p/z/n"], ("hybrid",)),
        (["eks-hybrid:///eu-central-1/shop/mi-0123", "aws:///eu-central-1a/i-0123"], ()),
        ([None], ()),  # a new node
        ([""], ()),
    ],
)
@pytest.mark.parametrize("labeled", [True, False])
def test_nodes_that_are_no_instances_of_ec2(providers: list[str | None], kinds: tuple[str, ...], labeled: bool) -> None:
    hybrid = {"eks.amazonaws.com/compute-type": "hybrid"}
    nodes = [node({**LINUX, **(hybrid if labeled and "hybrid" in str(one) else {})}, one) for one in providers]
    assert foreign_nodes(nodes) == kinds


LINUX = {"kubernetes.io/os": "linux"}
WINDOWS = {"kubernetes.io/os": "windows"}
FARGATE, AUTO = ({**LINUX, "eks.amazonaws.com/compute-type": kind} for kind in ("fargate", "auto"))


@pytest.mark.parametrize(
    ("nodes", "kinds"),
    [
        ([], ()),
        ([LINUX], ()),
        ([FARGATE, AUTO, WINDOWS, LINUX], ()),
        ([FARGATE], ("Fargate",)),
        ([{}], ("Windows",)),
        ([AUTO, AUTO], ("Auto Mode",)),
        ([WINDOWS], ("Windows",)),
        ([FARGATE, WINDOWS, AUTO], ("Auto Mode", "Fargate", "Windows")),
    ],
)
def test_nodes_that_castai_cannot_use(nodes: list[dict[str, str]], kinds: tuple[str, ...]) -> None:
    assert foreign_nodes(map(node, nodes)) == kinds


@pytest.mark.parametrize(
    ("records", "cluster_id", "found"),
    [
        ((), "", None),
        ((OURS,), "", OURS),
        ((OURS,), ID, OURS),
        ((OURS,), ANOTHER_ID, None),
        ((replace(OURS, status="archived"),), "", None),
        ((replace(OURS, facts={**FACTS, "region": "us-east-1"}),), "", None),
        ((replace(OURS, facts={}),), ID, replace(OURS, facts={})),
    ],
)
def test_the_record_of_a_cluster(records: Any, cluster_id: str, found: Any) -> None:
    assert registration(records, eks.facts(EKS, Named("eks", "shop"), AWS), cluster_id) == found


def needed(record: Cluster | None = OURS, found: EksCluster | KopsCluster = EKS, **options: Any) -> set[str]:
    onboard = {**ONBOARD, **options}
    if isinstance(found, KopsCluster):
        asked = kops.questions(onboard, found, record, "aws")
    else:
        asked = eks.questions(onboard, found, record, "aws")
    return {action for one in asked for action in one.needed}


def test_nothing_is_asked_for_a_cluster_that_castai_has_credentials_of() -> None:
    found, nobody = eks.facts(EKS, Named("eks", "shop"), AWS), "arn:aws:iam::111122223333:root"
    rights = eks.EKS.onboarding.rights
    assert rights(AWS, found, ONBOARD, replace(OURS, credentials_id="c"), nobody, pytest.fail) is None
    assert rights(AWS, found, ONBOARD, OURS, nobody, pytest.fail) is not None
    assert needed(None) == needed() != set()


def test_a_cluster_without_access_entries_needs_none() -> None:
    assert needed() - needed(found=replace(EKS, authentication_mode="CONFIG_MAP")) == {
        "eks:CreateAccessEntry",
        "eks:DescribeAccessEntry",
        "eks:TagResource",
    }


@pytest.mark.parametrize(
    ("brought", "spared"),
    [
        ({"role_arn": "arn"}, {"iam:CreatePolicy", "iam:PutRolePolicy"}),
        ({"security_group_id": "sg-1"}, {"ec2:CreateSecurityGroup"}),
        ({"instance_profile_arn": "arn"}, {"iam:CreateInstanceProfile", "iam:PassRole"}),
        ({"instance_profile_arn": "arn", "role_arn": "arn"}, {"iam:CreateRole"}),
    ],
)
def test_what_is_brought_need_not_be_made(brought: dict[str, str], spared: set[str]) -> None:
    assert spared <= needed()
    assert not spared & needed(**brought)


def test_a_user_without_access_to_the_cluster_needs_no_access_policy() -> None:
    access = {"eks:AssociateAccessPolicy", "eks:ListAssociatedAccessPolicies"}
    assert access <= needed(identity="user")
    assert not access & needed(identity="user", user_access="none")


def test_a_kops_cluster_needs_its_user_and_the_spot_role_unless_it_is_left_out() -> None:
    every, without = needed(found=KOPS), needed(found=KOPS, spot_lambda_role=False)
    assert every - without == {*SPOT_ROLE, "iam:GetRole", "iam:ListAttachedRolePolicies"}
    assert {"iam:CreateUser", "iam:ListPolicies", "ec2:DescribeInstances"} <= without
    assert not any(action.startswith("eks:") for action in every)


def test_on_eks_only_a_user_that_asks_for_the_spot_role_needs_what_makes_it() -> None:
    brought = {"instance_profile_arn": "arn"}
    assert not SPOT_ROLE & needed(identity="user", **brought)
    assert needed(identity="user", spot_lambda_role=True, **brought) >= SPOT_ROLE
    assert needed(spot_lambda_role=True) == needed()
