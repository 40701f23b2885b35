# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operation requires of its caller, the limits of boundary and organization, and the simulation of both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.sandbox.aws.server import ADMINISTRATOR, Aws

from .aws_client import HOME, OPERATOR, allow, code, operator, refused, session, trust

TAGS = [{"Key": "a", "Value": "b"}]


def deny(*actions: str) -> dict[str, Any]:
    return allow(*actions, Effect="Deny")


def caller(aws: Aws, policy: Mapping[str, Any] | None) -> Any:
    return session(aws, *aws.add_user(HOME, "caller", policy))


def both(*documents: Mapping[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [one for document in documents for one in document["Statement"]]}


@pytest.mark.parametrize(
    ("service", "call", "arguments", "also"),
    [
        ("iam", "create_role", {"RoleName": "r", "AssumeRolePolicyDocument": trust(), "Tags": TAGS}, "iam:TagRole"),
        ("iam", "create_user", {"UserName": "u", "Tags": TAGS}, "iam:TagUser"),
        ("iam", "create_instance_profile", {"InstanceProfileName": "p", "Tags": TAGS}, "iam:TagInstanceProfile"),
        ("iam", "add_role_to_instance_profile", {"InstanceProfileName": "there", "RoleName": "there"}, "iam:PassRole"),
        (
            "ec2",
            "create_security_group",
            {
                "GroupName": "g",
                "Description": "d",
                "TagSpecifications": [{"ResourceType": "security-group", "Tags": TAGS}],
            },
            "ec2:CreateTags",
        ),
        (
            "eks",
            "create_access_entry",
            {"clusterName": "prod", "principalArn": OPERATOR, "tags": {"a": "b"}},
            "eks:TagResource",
        ),
    ],
)
def test_one_call_may_take_a_second_permission(
    aws: Aws, service: str, call: str, arguments: dict[str, Any], also: str
) -> None:
    iam = operator(aws).client("iam")
    iam.create_role(RoleName="there", AssumeRolePolicyDocument=trust())
    iam.create_instance_profile(InstanceProfileName="there")
    operator(aws).client("eks").delete_access_entry(clusterName="prod", principalArn=OPERATOR)
    client = caller(aws, both(ADMINISTRATOR, deny(also))).client(service)
    assert (
        f"is not authorized to perform: {also} on resource: arn:aws:" in refused(getattr(client, call), **arguments)[1]
    )
    aws.put_user_policy(HOME, "caller", ADMINISTRATOR)
    assert getattr(client, call)(**arguments)


def test_passing_a_role_names_ec2(aws: Aws) -> None:
    iam = operator(aws).client("iam")
    iam.create_role(RoleName="r", Path="/x/", AssumeRolePolicyDocument=trust())
    iam.create_instance_profile(InstanceProfileName="p")
    passing = {
        "Effect": "Allow",
        "Action": "iam:PassRole",
        "Resource": f"arn:aws:iam::{HOME}:role/x/r",
        "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
    }
    policy = both(allow("iam:AddRoleToInstanceProfile"), {"Statement": [passing]})
    caller(aws, policy).client("iam").add_role_to_instance_profile(InstanceProfileName="p", RoleName="r")


def test_resources_are_named_as_the_reference_has_them(aws: Aws) -> None:
    iam, client = operator(aws).client("iam"), caller(aws, None)
    iam.create_instance_profile(InstanceProfileName="p", Path="/x/")
    key = iam.list_access_keys(UserName="operator")["AccessKeyMetadata"][0]["AccessKeyId"]
    group = operator(aws).client("ec2").describe_security_groups()["SecurityGroups"][0]
    entry = f"arn:aws:eks:eu-central-1:{HOME}:access-entry/prod/user/{HOME}/operator/"
    ec2 = f"arn:aws:ec2:eu-central-1:{HOME}"
    made = {"GroupName": "g", "Description": "d", "VpcId": group["VpcId"]}
    for service, call, arguments, resource in (
        ("iam", "get_instance_profile", {"InstanceProfileName": "p"}, f"arn:aws:iam::{HOME}:instance-profile/x/p"),
        ("iam", "get_access_key_last_used", {"AccessKeyId": key}, OPERATOR),
        ("iam", "create_policy", {"PolicyName": "p", "PolicyDocument": "{}"}, f"arn:aws:iam::{HOME}:policy/p"),
        ("iam", "list_policies", {}, "*"),
        ("ec2", "create_tags", {"Resources": [group["GroupId"]], "Tags": TAGS}, f"{ec2}:security-group/"),
        ("ec2", "create_security_group", made, f"{ec2}:security-group/"),
        ("ec2", "describe_security_groups", {}, "*"),
        ("eks", "create_access_entry", {"clusterName": "prod", "principalArn": "x"}, "arn:aws:eks:eu-central-1"),
        ("eks", "describe_access_entry", {"clusterName": "prod", "principalArn": OPERATOR}, entry),
        ("eks", "delete_access_entry", {"clusterName": "prod", "principalArn": OPERATOR}, entry),
    ):
        message = refused(getattr(client.client(service), call), **arguments)[1]
        assert f"on resource: {resource}" in message, message
    groups_only = both(allow("ec2:CreateSecurityGroup", Resource=f"{ec2}:security-group/*"))
    aws.put_user_policy(HOME, "caller", groups_only)
    assert f"on resource: {ec2}:vpc/" in refused(client.client("ec2").create_security_group, **made)[1]


def test_conditions_on_tags_of_the_resource(aws: Aws) -> None:
    iam = operator(aws).client("iam")
    iam.create_role(RoleName="ours", AssumeRolePolicyDocument=trust(), Tags=TAGS)
    iam.create_role(RoleName="theirs", AssumeRolePolicyDocument=trust())
    client = caller(aws, allow("iam:*", Condition={"StringEquals": {"iam:ResourceTag/a": "b"}})).client("iam")
    client.delete_role(RoleName="ours")
    assert code(client.delete_role, RoleName="theirs") == "AccessDenied"


def test_a_denial_says_which_kind_of_policy_it_comes_from(aws: Aws) -> None:
    list_roles = caller(aws, None).client("iam").list_roles
    no, explicit = "because no {} allows the iam:ListRoles action", "with an explicit deny in a{}"
    assert no.format("identity-based policy") in refused(list_roles)[1]
    aws.put_user_policy(HOME, "caller", both(ADMINISTRATOR, deny("iam:ListRoles")))
    assert explicit.format("n identity-based policy") in refused(list_roles)[1]
    aws.put_user_policy(HOME, "caller", ADMINISTRATOR)
    for verb, kind, place in (
        ("put_user_boundary", "permissions boundary", {"account": HOME, "name": "caller"}),
        ("put_control_policy", "service control policy", {"account": HOME}),
    ):
        aws.control(verb, **place, policy=allow("ec2:*"))
        assert no.format(kind) in refused(list_roles)[1]
        aws.control(verb, **place, policy=both(ADMINISTRATOR, deny("iam:ListRoles")))
        assert explicit.format(f" {kind}") in refused(list_roles)[1]
        aws.control(verb, **place, policy=None)
        assert list_roles()


def decisions(answer: Any) -> dict[str, str]:
    return {one["EvalActionName"]: one["EvalDecision"] for one in answer["EvaluationResults"]}


def test_simulating_a_user(aws: Aws) -> None:
    caller(aws, both(allow("iam:*"), deny("iam:DeleteRole")))
    iam, user = operator(aws).client("iam"), f"arn:aws:iam::{HOME}:user/caller"
    actions = ["iam:CreateRole", "iam:DeleteRole", "ec2:CreateTags"]
    answer = iam.simulate_principal_policy(PolicySourceArn=user, ActionNames=actions)
    assert decisions(answer) == dict(zip(actions, ("allowed", "explicitDeny", "implicitDeny"), strict=True))
    first, second, third = answer["EvaluationResults"]
    assert (first["EvalResourceName"], first["MissingContextValues"]) == ("*", [])
    assert "EvalDecisionDetails" not in first
    assert "PermissionsBoundaryDecisionDetail" not in first
    matched = [
        [(one["SourcePolicyId"], one["SourcePolicyType"]) for one in found["MatchedStatements"]]
        for found in (first, second, third)
    ]
    assert matched == [[("permissions", "IAM Policy")], [("permissions", "IAM Policy")], []]
    assert not answer["IsTruncated"]
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=user, ActionNames=actions, PaginationConfig={"PageSize": 2}
    )
    assert [len(page["EvaluationResults"]) for page in pages] == [2, 1]


def test_simulation_of_resources_tells_each(aws: Aws) -> None:
    roles = [f"arn:aws:iam::{HOME}:role/{name}" for name in ("a", "b")]
    condition = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    caller(aws, allow("iam:PassRole", Resource=roles[0], Condition=condition))
    simulate = operator(aws).client("iam").simulate_principal_policy
    wanted = {
        "PolicySourceArn": f"arn:aws:iam::{HOME}:user/caller",
        "ActionNames": ["iam:PassRole"],
        "ResourceArns": roles,
    }
    [whole] = simulate(**wanted)["EvaluationResults"]
    assert (whole["EvalDecision"], whole["MissingContextValues"]) == ("implicitDeny", ["iam:PassedToService"])
    key = {
        "ContextKeyName": "iam:PassedToService",
        "ContextKeyValues": ["ec2.amazonaws.com"],
        "ContextKeyType": "string",
    }
    [whole] = simulate(**wanted, ContextEntries=[key])["EvaluationResults"]
    assert whole["EvalResourceName"] == "arn:${Partition}:iam::${Account}:role/${RoleName}"
    each = [(one["EvalResourceName"], one["EvalResourceDecision"]) for one in whole["ResourceSpecificResults"]]
    assert each == [(roles[0], "allowed"), (roles[1], "implicitDeny")]
    assert (whole["EvalDecision"], whole["EvalDecisionDetails"]) == ("implicitDeny", {})


def test_simulation_knows_boundary_and_organization(aws: Aws) -> None:
    caller(aws, ADMINISTRATOR)
    wanted = {"PolicySourceArn": f"arn:aws:iam::{HOME}:user/caller", "ActionNames": ["iam:GetRole", "ec2:CreateTags"]}
    simulate = operator(aws).client("iam").simulate_principal_policy
    aws.put_user_boundary(HOME, "caller", allow("iam:*"))
    first, second = simulate(**wanted)["EvaluationResults"]
    assert [one["PermissionsBoundaryDecisionDetail"]["AllowedByPermissionsBoundary"] for one in (first, second)] == [
        True,
        False,
    ]
    assert decisions(simulate(**wanted)) == {"iam:GetRole": "allowed", "ec2:CreateTags": "implicitDeny"}
    wider = simulate(**wanted, PermissionsBoundaryPolicyInputList=[json.dumps(ADMINISTRATOR)])
    assert decisions(wider)["ec2:CreateTags"] == "allowed"
    aws.put_control_policy(HOME, both(ADMINISTRATOR, deny("iam:GetRole")))
    aws.put_user_policy(HOME, "operator", ADMINISTRATOR)
    [first, _second] = simulate(**wanted)["EvaluationResults"]
    assert (first["EvalDecision"], first["OrganizationsDecisionDetail"]) == (
        "explicitDeny",
        {"AllowedByOrganizations": False},
    )


def test_simulation_takes_permission_and_a_principal(aws: Aws) -> None:
    weak = caller(aws, None).client("iam")
    wanted: dict[str, Any] = {"PolicySourceArn": f"arn:aws:iam::{HOME}:user/caller", "ActionNames": ["iam:GetRole"]}
    assert "iam:SimulatePrincipalPolicy on resource: " in refused(weak.simulate_principal_policy, **wanted)[1]
    iam = operator(aws).client("iam")
    assert code(iam.simulate_principal_policy, **{**wanted, "PolicySourceArn": f"{OPERATOR}x"}) == "NoSuchEntity"
    session_arn = f"arn:aws:sts::{HOME}:assumed-role/r/s-and-something"
    assert code(iam.simulate_principal_policy, **{**wanted, "PolicySourceArn": session_arn}) == "InvalidInput"
    custom = iam.simulate_custom_policy(PolicyInputList=[json.dumps(allow("iam:Get*"))], ActionNames=["iam:GetRole"])
    assert decisions(custom) == {"iam:GetRole": "allowed"}
