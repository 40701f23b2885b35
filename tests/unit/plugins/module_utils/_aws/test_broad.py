# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan's sentence says about a policy that grants far-reaching permissions."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._aws import broad, kops_policies, policies

HERE = policies.Location("aws", "111122223333", "eu-central-1", "prod", "vpc-1", "111122223333")
EVERYTHING = "full control of the AWS account"


def statement(**fields: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "*", "Resource": "*", **fields}


@pytest.mark.parametrize(
    ("statements", "rights"),
    [
        (statement(), EVERYTHING),
        ([statement(Action=["s3:*", "*:*"])], EVERYTHING),
        ([statement(Action="**", Resource=["arn:aws:s3:::x", "*"])], EVERYTHING),
        ([{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}], EVERYTHING),
        ([{"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::x"}], EVERYTHING),
        ([statement(Action=["IAM:*", "s3:*", "ec2:Describe*"])], "full control of iam, full control of s3"),
        ([statement(Action="iam:PassRole")], "may pass any role"),
        (
            [
                statement(Action="iam:passrole", Resource="arn:aws:iam::1:role/*"),
                statement(Action="s3:*", Resource="*"),
            ],
            "full control of s3, may pass any role",
        ),
        (
            statement(
                Action="iam:PassRole",
                Resource=["arn:aws:iam::*:role/*"],
                Condition={"StringEquals": {"iam:passedToService": ["ec2.amazonaws.com", "ecs.amazonaws.com"]}},
            ),
            "may pass any role to ec2 and ecs",
        ),
        ([statement(Action="iam:PassRole", Resource="arn:aws:iam::1:role/cast-*")], ""),
        ([statement(Resource="arn:aws:s3:::x/*")], ""),
        ([statement(Effect="Deny")], ""),
        ([statement(Action="ec2:Describe*")], ""),
        ([], ""),
        (["no statement", {"Effect": "Allow", "Condition": 7}], ""),
    ],
)
def test_what_a_document_gives(statements: Any, rights: str) -> None:
    assert broad.of_document({"Version": "2012-10-17", "Statement": statements}) == rights


def test_what_cast_ai_gets_by_default() -> None:
    assert broad.of_document(policies.eks_managed(HERE)) == "may pass any role to ec2 and eks"
    assert broad.of_document(policies.eks_restricted(HERE)) == ""
    assert broad.of_document(kops_policies.kops_managed(HERE, True)) == "may pass any role to ec2 and lambda"


@pytest.mark.parametrize(
    ("arn", "rights"),
    [
        ("arn:aws:iam::aws:policy/AdministratorAccess", EVERYTHING),
        ("arn:aws-cn:iam::aws:policy/job-function/PowerUserAccess", EVERYTHING),
        ("arn:aws:iam::aws:policy/AmazonS3FullAccess", "full control of S3"),
        ("arn:aws:iam::aws:policy/IAMFullAccess", "full control of IAM"),
        ("arn:aws:iam::aws:policy/AmazonEC2ReadOnlyAccess", ""),
        ("arn:aws:iam::111122223333:policy/AdministratorAccess", ""),
        ("CastEKSPolicy-prod", ""),
    ],
)
def test_what_a_policy_of_aws_gives_by_its_name(arn: str, rights: str) -> None:
    assert broad.of_managed(arn) == rights
