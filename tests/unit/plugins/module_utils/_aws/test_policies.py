# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our documents compared with CAST AI's, as the local world writes them, and with IAM's limits."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._aws import policies
from ansible_collections.castai.onboarding.plugins.module_utils._aws.policies import Document, Location
from ansible_collections.castai.onboarding.plugins.module_utils._equal import same_policy
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws_iam import external_ids
from tests.sandbox.aws.other_ways import managed_document, restricted_document
from tests.unit.sandbox.aws_client import PROD

ID = "5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e"
HERE = Location("aws", PROD.account, PROD.region, PROD.name, "vpc-1", PROD.account)
MANAGED_LIMIT, INLINE_ROLE_LIMIT, INLINE_USER_LIMIT = 6144, 10240, 2048
"""Characters without white space. Source: IAM User Guide, reference_iam-quotas."""


def size(document: Document) -> int:
    return len(json.dumps(document, separators=(",", ":")))


def sids(document: Document) -> list[str]:
    return [statement["Sid"] for statement in document["Statement"]]


def by_sid(document: Document, sid: str) -> dict[str, Any]:
    return next(statement for statement in document["Statement"] if statement["Sid"] == sid)


def test_the_documents_are_those_of_the_vendors_terraform_provider() -> None:
    assert same_policy(policies.eks_managed(HERE), managed_document("terraform", PROD))
    assert same_policy(policies.eks_restricted(HERE), restricted_document("terraform", PROD, "vpc-1"))


def test_every_statement_has_the_vendors_name() -> None:
    assert sids(policies.eks_managed(HERE)) == [
        "PassRoleEC2",
        "PassRoleEKS",
        "NonResourcePermissions",
        "RunInstancesPermissions",
    ]
    assert sids(policies.eks_restricted(HERE)) == [
        "RunInstancesTagRestriction",
        "RunInstancesVpcRestriction",
        "InstanceActionsTagRestriction",
        "AutoscalingActionsTagRestriction",
        "EKS",
        "CreateLaunchTemplateWithTag",
        "ManageLaunchTemplatesAndCreateNodeGroupWithLaunchTemplate",
        "RunInstancesForEKSNodegroups",
    ]


@pytest.mark.parametrize("length", [1, 20, 63, 100])
def test_documents_fit_but_the_restricted_one_never_into_a_user(length: int) -> None:
    location = replace(
        HERE, partition="aws-us-gov", region="us-gov-east-1", cluster="c" * length, vpc="vpc-" + "0" * 17
    )
    assert size(policies.eks_managed(location)) <= MANAGED_LIMIT
    assert INLINE_USER_LIMIT < size(policies.eks_restricted(location)) <= min(MANAGED_LIMIT, INLINE_ROLE_LIMIT)


@pytest.mark.parametrize(
    ("partition", "ec2"),
    [("aws", "ec2.amazonaws.com"), ("aws-us-gov", "ec2.amazonaws.com"), ("aws-cn", "ec2.amazonaws.com.cn")],
)
def test_a_partition_holds_throughout(partition: str, ec2: str) -> None:
    location = replace(HERE, partition=partition)
    arns = [
        resource
        for document in (policies.eks_managed(location), policies.eks_restricted(location))
        for statement in document["Statement"]
        for resource in statement["Resource"]
        if resource != "*"
    ]
    assert {arn.split(":")[1] for arn in arns} == {partition}
    passed = by_sid(policies.eks_managed(location), "PassRoleEC2")["Condition"]["StringEquals"]
    assert passed == {"iam:PassedToService": ec2}
    assert policies.trusts(policies.trust_nodes(location), "Service", ec2)
    assert policies.aws_managed(partition, ["X"]) == (f"arn:{partition}:iam::aws:policy/X",)
    assert location.iam("role", "/a/", "r") == f"arn:{partition}:iam::{location.account}:role/a/r"


def test_subnets_are_those_of_the_account_that_owns_the_vpc() -> None:
    shared = policies.eks_restricted(replace(HERE, vpc_account="999988887777"))
    statement = by_sid(shared, "RunInstancesVpcRestriction")
    assert statement["Resource"] == ["arn:aws:ec2:eu-central-1:999988887777:subnet/*"]
    assert statement["Condition"] == {"StringEquals": {"ec2:Vpc": "arn:aws:ec2:eu-central-1:999988887777:vpc/vpc-1"}}
    others = [one for one in shared["Statement"] if one["Sid"] != "RunInstancesVpcRestriction"]
    assert "999988887777" not in json.dumps(others)


CASTAI = "arn:aws:iam::809060229965:user/cast-crossrole-x"
STATEMENT = {"Effect": "Allow", "Principal": {"AWS": CASTAI}, "Action": "sts:AssumeRole"}
WITH_ID = {"Condition": {"StringEquals": {"sts:ExternalId": ID}}}
TRUSTS = {
    "as we write it": (policies.trust_castai(CASTAI, ID), True),
    "no external id, as the older script": ({"Statement": STATEMENT}, True),
    "its account": ({"Statement": [{**STATEMENT, "Principal": {"AWS": "arn:aws:iam::809060229965:root"}}]}, True),
    "among others": ({"Statement": [{**STATEMENT, "Principal": {"AWS": ["x", CASTAI]}, "Action": ["sts:*"]}]}, True),
    "another's external id": (policies.trust_castai(CASTAI, "another"), False),
    "somebody else": (policies.trust_castai("arn:aws:iam::1:user/x", ID), False),
    "denied": ({"Statement": [{**STATEMENT, "Effect": "Deny"}]}, False),
    "another action": ({"Statement": [{**STATEMENT, "Action": "sts:TagSession"}]}, False),
    "a service": ({"Statement": [{**STATEMENT, "Principal": {"Service": "ec2.amazonaws.com"}}]}, False),
    "empty": ({}, False),
}


@pytest.mark.parametrize(("document", "lets_in"), TRUSTS.values(), ids=TRUSTS)
def test_who_may_assume_a_role(document: Document, lets_in: bool) -> None:
    assert policies.trusts(document, "AWS", CASTAI, ID) is lets_in


def test_a_trust_policy_tells_whose_the_role_is() -> None:
    assert external_ids(policies.trust_castai(CASTAI, ID)) == [ID]
    assert external_ids({"Statement": [STATEMENT, {**STATEMENT, **WITH_ID}]}) == [ID]
    assert external_ids({"Statement": STATEMENT}) == external_ids({}) == []
