# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWS refuses and moto accepts: documents, names, sizes, numbers, deletions, tags, missing objects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sandbox.aws.server import Aws

from .aws_client import HOME, OPERATOR, Clock, allow, cluster, code, operator, refused, session, trust

BOUNDARY = "arn:aws:iam::aws:policy/PowerUserAccess"


def document(size: int) -> str:
    """A policy document with this many characters, plus white space that does not count."""
    empty = json.dumps(allow("ec2:DescribeVpcs", Sid=""), separators=(",", ":"))
    text = json.dumps(allow("ec2:DescribeVpcs", Sid="x" * (size - len(empty))), separators=(",", ":"))
    assert len(text) == size
    return text.replace(",", ",   \n")


def managed(iam: Any, name: str) -> str:
    arn: str = iam.create_policy(PolicyName=name, PolicyDocument=document(200))["Policy"]["Arn"]
    return arn


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Syntax errors in policy."),
        (json.dumps(allow("sts:AssumeRole")), "Has prohibited field Resource."),
        (trust(Action="ec2:RunInstances"), "Trust Policy statement actions can only be sts:AssumeRole"),
        (
            trust().replace("Principal", "Sid").replace('{"Service": "ec2.amazonaws.com"}', '"x"'),
            "Missing required field",
        ),
        (trust(f"arn:aws:iam::{HOME}:role/none"), 'Invalid principal in policy: "AWS":"arn:aws:iam::'),
        (trust("arn:aws:iam::999988887777:user/none"), "Invalid principal in policy"),
        (trust(f"arn:aws-us-gov:iam::{HOME}:root"), "Invalid principal in policy"),
        (trust().replace("ec2.amazonaws.com", "ec2"), 'Invalid principal in policy: "SERVICE":"ec2"'),
    ],
)
def test_a_bad_trust_policy_is_refused_when_set_and_when_changed(aws: Aws, text: str, message: str) -> None:
    iam = operator(aws).client("iam")
    iam.create_role(RoleName="fine", AssumeRolePolicyDocument=trust(OPERATOR, f"arn:aws:iam::{HOME}:root"))
    for call, arguments in (
        (iam.create_role, {"RoleName": "bad", "AssumeRolePolicyDocument": text}),
        (iam.update_assume_role_policy, {"RoleName": "fine", "PolicyDocument": text}),
    ):
        got = refused(call, **arguments)
        assert got[0] == "MalformedPolicyDocument"
        assert message in got[1]
    assert code(iam.get_role, RoleName="bad") == "NoSuchEntity"


def test_names_lengths_ranges_and_enumerations(aws: Aws) -> None:
    iam = operator(aws).client("iam")
    role = {"AssumeRolePolicyDocument": trust()}
    assert refused(iam.create_role, RoleName="r" * 65, **role)[1] == (
        f"1 validation error detected: Value '{'r' * 65}' at 'roleName' failed to satisfy constraint: "
        "Member must have length less than or equal to 64"
    )
    assert "regular expression pattern: [\\w+=,.@-]+" in refused(iam.create_role, RoleName="bad name!", **role)[1]
    assert "less than or equal to 43200" in refused(iam.create_role, RoleName="r", MaxSessionDuration=50000, **role)[1]
    assert code(iam.create_role, RoleName="r", Path="no-slashes", **role) == "ValidationError"
    assert code(iam.create_instance_profile, InstanceProfileName="p" * 129) == "ValidationError"
    assert code(iam.create_user, UserName="u" * 65) == "ValidationError"
    tags = [{"Key": "bad#", "Value": "x"}, {"Key": "gut ä", "Value": "x"}]
    assert refused(iam.create_user, UserName="u", Tags=tags)[1].startswith(
        "1 validation error detected: Value 'bad#' at 'tags.1.member.key'"
    )
    key = iam.list_access_keys(UserName="operator")["AccessKeyMetadata"][0]["AccessKeyId"]
    assert "enum value set: [Active, Inactive" in refused(iam.update_access_key, AccessKeyId=key, Status="Foo")[1]
    eks = operator(aws).client("eks")
    assert (
        code(eks.create_access_entry, clusterName="prod", principalArn=OPERATOR, type="x") == "ResourceInUseException"
    )
    assert iam.create_role(RoleName="r" * 64, MaxSessionDuration=43200, Path="/a/b/", **role)


def test_tag_keys_of_aws_are_reserved(aws: Aws) -> None:
    iam, ec2 = operator(aws).client("iam"), operator(aws).client("ec2")
    tags = [{"Key": "AWS:x", "Value": "y"}]
    assert code(iam.create_role, RoleName="r", AssumeRolePolicyDocument=trust(), Tags=tags) == "InvalidInput"
    assert code(iam.tag_user, UserName="operator", Tags=tags) == "InvalidInput"
    group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    assert code(ec2.create_tags, Resources=[group], Tags=tags) == "InvalidParameterValue"
    eks = operator(aws).client("eks")
    assert code(eks.create_access_entry, clusterName="prod", principalArn="x", tags={"aws:x": "y"}) == (
        "InvalidParameterException"
    )


def test_the_path_of_service_linked_roles_is_reserved(aws: Aws) -> None:
    role = {"RoleName": "r", "AssumeRolePolicyDocument": trust()}
    assert code(operator(aws).client("iam").create_role, **role, Path="/aws-service-role/x/") == "InvalidInput"
    operator(aws).client("iam").create_role(**role, Path="/aws-service-roles/")


def test_documents_have_a_greatest_size(aws: Aws) -> None:
    iam = operator(aws).client("iam")
    assert refused(iam.create_policy, PolicyName="p", PolicyDocument=document(6145)) == (
        "LimitExceeded",
        "Cannot exceed quota for PolicySize: 6144",
    )
    arn = iam.create_policy(PolicyName="p", PolicyDocument=document(6144))["Policy"]["Arn"]
    assert code(iam.create_policy_version, PolicyArn=arn, PolicyDocument=document(6145)) == "LimitExceeded"
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust())
    for put, owner, limit in (
        (iam.put_role_policy, {"RoleName": "r"}, 10240),
        (iam.put_user_policy, {"UserName": "u"}, 2048),
    ):
        if "UserName" in owner:
            iam.create_user(**owner)
        put(**owner, PolicyName="one", PolicyDocument=document(1000))
        assert refused(put, **owner, PolicyName="two", PolicyDocument=document(limit - 999))[1].startswith(
            f"Maximum policy size of {limit} bytes exceeded for "
        )
        put(**owner, PolicyName="two", PolicyDocument=document(limit - 1000))
        put(**owner, PolicyName="two", PolicyDocument=document(limit - 1000))
    assert "ACLSizePerRole" in refused(iam.create_role, RoleName="t", AssumeRolePolicyDocument=trust(Sid="x" * 2048))[1]


def test_a_policy_that_is_attached_again_is_counted_once(aws: Aws) -> None:
    """As when the answer to the first call was lost."""
    iam = operator(aws).client("iam")
    arn = managed(iam, "p")
    for _turn in range(2):
        iam.attach_user_policy(UserName="operator", PolicyArn=arn)
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    iam.detach_user_policy(UserName="operator", PolicyArn=arn)
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 0


def test_ten_policies_are_attached_at_most(aws: Aws) -> None:
    iam = operator(aws).client("iam")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust())
    arns = [managed(iam, f"p{number}") for number in range(11)]
    for arn in (*arns[:10], arns[0]):
        iam.attach_role_policy(RoleName="r", PolicyArn=arn)
        iam.attach_user_policy(UserName="operator", PolicyArn=arn)
    assert "PoliciesPerRole: 10" in refused(iam.attach_role_policy, RoleName="r", PolicyArn=arns[10])[1]
    assert "PoliciesPerUser: 10" in refused(iam.attach_user_policy, UserName="operator", PolicyArn=arns[10])[1]


def test_what_is_in_use_is_not_deleted(aws: Aws) -> None:
    iam = operator(aws).client("iam")
    arn, bound = managed(iam, "p"), managed(iam, "bound")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust(), PermissionsBoundary=bound)
    iam.attach_role_policy(RoleName="r", PolicyArn=arn)
    assert refused(iam.delete_policy, PolicyArn=arn) == (
        "DeleteConflict",
        "Cannot delete a policy attached to entities.",
    )
    assert code(iam.delete_policy, PolicyArn=bound) == "DeleteConflict"
    iam.detach_role_policy(RoleName="r", PolicyArn=arn)
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=document(300), SetAsDefault=True)
    assert "more than one version" in refused(iam.delete_policy, PolicyArn=arn)[1]
    iam.delete_policy_version(PolicyArn=arn, VersionId="v1")
    iam.delete_policy(PolicyArn=arn)
    iam.create_user(UserName="u")
    key = iam.create_access_key(UserName="u")["AccessKey"]["AccessKeyId"]
    assert refused(iam.delete_user, UserName="u")[1] == "Cannot delete entity, must delete access keys first."
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=document(200))
    assert refused(iam.delete_user, UserName="u")[1] == "Cannot delete entity, must delete policies first."
    iam.delete_user_policy(UserName="u", PolicyName="p")
    iam.delete_access_key(UserName="u", AccessKeyId=key)
    iam.delete_user(UserName="u")


def test_a_trust_policy_keeps_who_was_meant_and_not_who_is_called_so(aws: Aws) -> None:
    iam = operator(aws).client("iam")
    user = iam.create_user(UserName="u")["User"]["Arn"]
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust(user))
    iam.delete_user(UserName="u")
    iam.create_user(UserName="u")
    named = iam.get_role(RoleName="r")["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["AWS"]
    assert named[0].startswith("AIDA")
    text = trust(named[0])
    assert code(iam.update_assume_role_policy, RoleName="r", PolicyDocument=text) == "MalformedPolicyDocument"


def test_users_and_roles_have_boundaries_that_exist(aws: Aws) -> None:
    iam = operator(aws).client("iam")
    missing = f"arn:aws:iam::{HOME}:policy/none"
    iam.create_user(UserName="u", PermissionsBoundary=BOUNDARY)
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust(), PermissionsBoundary=BOUNDARY)
    for shown in (iam.get_user(UserName="u")["User"], iam.get_role(RoleName="r")["Role"]):
        assert shown["PermissionsBoundary"]["PermissionsBoundaryArn"] == BOUNDARY
    assert code(iam.create_user, UserName="v", PermissionsBoundary=missing) == "NoSuchEntity"
    state = aws.state()[HOME]["iam"]
    assert state["users"][f"arn:aws:iam::{HOME}:user/u"]["permissions_boundary"] == BOUNDARY


def test_security_groups(aws: Aws) -> None:
    ec2 = operator(aws).client("ec2")
    groups = ec2.describe_security_groups()["SecurityGroups"]
    default = next(group for group in groups if group["GroupName"] == "default")
    eks = next(group for group in groups if group["GroupName"].startswith("eks-cluster-sg-prod-"))
    wanted = {"GroupName": "g", "Description": "d"}
    assert code(ec2.create_security_group, **wanted, VpcId="vpc-0") == "InvalidVpcID.NotFound"
    assert code(ec2.delete_security_group, GroupId=default["GroupId"]) == "CannotDelete"
    assert code(ec2.delete_security_group, GroupId=eks["GroupId"]) == "DependencyViolation"
    group = ec2.create_security_group(**wanted, VpcId=default["VpcId"])["GroupId"]
    rule = [{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rule)
    ec2.authorize_security_group_ingress(GroupId=default["GroupId"], IpPermissions=rule)
    assert code(ec2.delete_security_group, GroupId=group) == "DependencyViolation"
    ec2.revoke_security_group_ingress(GroupId=default["GroupId"], IpPermissions=rule)
    ec2.delete_security_group(GroupId=group)
    assert refused(ec2.describe_security_groups, GroupIds=[group]) == (
        "InvalidGroup.NotFound",
        f"The security group '{group}' does not exist",
    )
    assert code(ec2.delete_security_group, GroupId="nonsense") == "InvalidGroupId.Malformed"


def test_aws_s_own_policies_are_there(aws: Aws) -> None:
    iam = operator(aws).client("iam")
    arn = "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy"
    assert iam.get_policy(PolicyArn=arn)["Policy"]["PolicyName"] == "AmazonEBSCSIDriverPolicy"
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust())
    iam.attach_role_policy(RoleName="r", PolicyArn="arn:aws:iam::aws:policy/AmazonEC2ReadOnlyAccess")
    assert code(iam.attach_role_policy, RoleName="r", PolicyArn="arn:aws:iam::aws:policy/None") == "NoSuchEntity"
    assert list(aws.state()[HOME]["iam"]["policies"]) == []
    assert iam.list_policies(Scope="Local")["Policies"] == []
    assert len(aws._accounts.iam(HOME).managed_policies) < 10  # making all of them takes a fifth of a second
    pages = iam.get_paginator("list_policies").paginate(Scope="AWS", PaginationConfig={"PageSize": 1000})
    assert sum(len(page["Policies"]) for page in pages) > 1500
    reader = session(aws, *aws.add_user(HOME, "reader", None))
    assert code(reader.client("ec2").describe_instances) == "UnauthorizedOperation"
    iam.attach_user_policy(UserName="reader", PolicyArn="arn:aws:iam::aws:policy/AmazonEC2ReadOnlyAccess")
    assert reader.client("ec2").describe_instances()["Reservations"] == []


def test_a_key_says_an_hour_later_when_it_was_last_used(aws: Aws, clock: Clock) -> None:
    iam = operator(aws).client("iam")
    key, secret = aws.add_user(HOME, "u", None)
    assert "LastUsedDate" not in iam.get_access_key_last_used(AccessKeyId=key)["AccessKeyLastUsed"]
    session(aws, key, secret).client("sts").get_caller_identity()
    clock.ahead += 3590
    assert "LastUsedDate" not in iam.get_access_key_last_used(AccessKeyId=key)["AccessKeyLastUsed"]
    clock.ahead += 10
    assert iam.get_access_key_last_used(AccessKeyId=key)["AccessKeyLastUsed"]["ServiceName"] == "sts"


@pytest.mark.parametrize(("region", "partition"), [("us-gov-west-1", "aws-us-gov"), ("cn-north-1", "aws-cn")])
def test_a_world_of_another_partition(region: str, partition: str) -> None:
    aws = Aws()
    aws.add_cluster(cluster("prod", region=region, created_by=f"arn:{partition}:iam::{HOME}:user/operator"))
    caller = operator(aws, region)
    assert caller.client("sts").get_caller_identity()["Arn"] == f"arn:{partition}:iam::{HOME}:user/operator"
    assert caller.client("eks").describe_cluster(name="prod")["cluster"]["arn"].startswith(f"arn:{partition}:eks:")
    iam = caller.client("iam")
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust())["Role"]["Arn"]
    assert role == f"arn:{partition}:iam::{HOME}:role/r"
    policy = f"arn:{partition}:iam::aws:policy/AmazonEC2ReadOnlyAccess"
    iam.attach_role_policy(RoleName="r", PolicyArn=policy)
    assert caller.client("ec2").describe_vpcs()["Vpcs"]
    assert list(aws.state()[HOME]["iam"]["roles"]) == [role]
    wrong = code(iam.attach_role_policy, RoleName="r", PolicyArn=policy.replace(partition, "aws"))
    assert wrong == "NoSuchEntity"
    assert code(operator(aws).client("sts").get_caller_identity) == "InvalidClientTokenId"
    with pytest.raises(ValueError, match=f"in partition {partition}"):
        aws.add_cluster(cluster("other"))
