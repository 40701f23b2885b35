# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The delay of IAM, EC2 and EKS: new objects are hidden from other calls for some uses or virtual seconds."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.aws.server import Aws

from .aws_client import OPERATOR, Clock, code, operator, refused, session, trust

READ_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ReadOnlyAccess"


def attempts(call: Any, **arguments: Any) -> list[str]:
    """Codes of the errors until the call succeeds."""
    codes: list[str] = []
    while len(codes) < 9:
        try:
            call(**arguments)
        except Exception as error:
            codes.append(error.response["Error"]["Code"])  # type: ignore[attr-defined]
        else:
            break
    return codes


def test_nothing_is_hidden_unless_asked(aws: Aws) -> None:
    iam = operator(aws).client("iam")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust())
    assert iam.get_role(RoleName="r")


def test_each_operation_sees_new_things_after_some_uses(aws: Aws) -> None:
    caller = operator(aws)
    iam, eks, sts = caller.client("iam"), caller.client("eks"), caller.client("sts")
    aws.control("visibility", uses=2)
    user = iam.create_user(UserName="u")["User"]["Arn"]
    assert (
        attempts(iam.create_role, RoleName="r", AssumeRolePolicyDocument=trust(user)) == ["MalformedPolicyDocument"] * 2
    )
    node = iam.create_role(RoleName="node", AssumeRolePolicyDocument=trust(OPERATOR))["Role"]["Arn"]
    iam.create_instance_profile(InstanceProfileName="p")
    policy = iam.create_policy(
        PolicyName="p",
        PolicyDocument='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:*","Resource":"*"}]}',
    )
    for call, arguments in (
        (iam.get_user, {"UserName": "u"}),
        (iam.create_access_key, {"UserName": "u"}),
        (iam.get_role, {"RoleName": "node"}),
        (iam.attach_role_policy, {"RoleName": "node", "PolicyArn": READ_ONLY}),
        (iam.get_instance_profile, {"InstanceProfileName": "p"}),
        (iam.get_policy, {"PolicyArn": policy["Policy"]["Arn"]}),
    ):
        assert attempts(call, **arguments) == ["NoSuchEntity"] * 2
    both = {"InstanceProfileName": "p", "RoleName": "node"}
    assert attempts(iam.add_role_to_instance_profile, **both) == ["NoSuchEntity"] * 4
    entry = {"clusterName": "prod", "principalArn": node, "type": "EC2_LINUX"}
    assert refused(eks.create_access_entry, **entry) == (
        "InvalidParameterException",
        "The specified principalArn is invalid: invalid principal.",
    )
    assert attempts(eks.create_access_entry, **entry) == ["InvalidParameterException"]
    assert attempts(eks.create_access_entry, clusterName="prod", principalArn=user) == ["InvalidParameterException"] * 2
    access = {
        "clusterName": "prod",
        "principalArn": user,
        "policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy",
        "accessScope": {"type": "cluster"},
    }
    assert attempts(eks.associate_access_policy, **access) == ["ResourceNotFoundException"] * 2
    assert attempts(sts.assume_role, RoleArn=node, RoleSessionName="se") == ["AccessDenied"] * 2
    key = iam.create_access_key(UserName="u")["AccessKey"]
    new = session(aws, key["AccessKeyId"], key["SecretAccessKey"]).client("sts")
    assert attempts(new.get_caller_identity) == ["InvalidClientTokenId"] * 2
    assert code(iam.create_user, UserName="u") == "EntityAlreadyExists"


def test_a_new_security_group_is_not_seen_by_those_who_name_it(aws: Aws) -> None:
    ec2 = operator(aws).client("ec2")
    aws.control("visibility", uses=2)
    group = ec2.create_security_group(GroupName="g", Description="d")["GroupId"]
    everywhere = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]
    for call, arguments in (
        (ec2.describe_security_groups, {"GroupIds": [group]}),
        (ec2.create_tags, {"Resources": [group], "Tags": [{"Key": "k", "Value": "v"}]}),
        (ec2.authorize_security_group_ingress, {"GroupId": group, "IpPermissions": everywhere}),
        (ec2.authorize_security_group_egress, {"GroupId": group, "IpPermissions": everywhere}),
        (ec2.delete_security_group, {"GroupId": group}),
    ):
        assert attempts(call, **arguments) == ["InvalidGroup.NotFound"] * 2


def test_hidden_for_virtual_seconds(aws: Aws, clock: Clock) -> None:
    iam = operator(aws).client("iam")
    aws.control("visibility", seconds=10)
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust())
    assert code(iam.get_role, RoleName="r") == "NoSuchEntity"
    assert code(iam.get_role, RoleName="r") == "NoSuchEntity"
    assert [role["RoleName"] for role in iam.list_roles()["Roles"]] == ["r"]
    clock.ahead += 10
    assert iam.get_role(RoleName="r")


@pytest.mark.parametrize("ends", ["visibility", "reset"])
def test_it_ends_when_told(aws: Aws, ends: str) -> None:
    aws.control("visibility", uses=1)
    operator(aws).client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=trust())
    aws.control("visibility") if ends == "visibility" else aws.reset()
    iam = operator(aws).client("iam")
    if ends == "reset":
        iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust())
    assert iam.get_role(RoleName="r")
