# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The world's AWS as boto3 sees it: signatures, permissions, roles of other accounts, clusters, bearer tokens."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.signers import RequestSigner

from tests.sandbox.aws.auth import Access, allowed
from tests.sandbox.aws.server import ADMINISTRATOR, EXTERNAL_ID, Aws

from .aws_client import (
    HOME,
    OLD,
    ONBOARDING,
    OPERATOR,
    OTHER,
    PROD,
    Clock,
    allow,
    cluster,
    code,
    operator,
    session,
    trust,
)

ADMIN_POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"


def assume(caller: boto3.Session, role: str = ONBOARDING, **arguments: Any) -> Mapping[str, str]:
    answer = caller.client("sts").assume_role(RoleArn=role, RoleSessionName="test", **arguments)
    return answer["Credentials"]  # type: ignore[no-any-return]


def onboarding(aws: Aws) -> boto3.Session:
    got = assume(operator(aws), ExternalId=EXTERNAL_ID)
    return session(aws, got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"])


CALLS = (("iam", "list_roles"), ("sts", "get_caller_identity"), ("ec2", "describe_vpcs"), ("eks", "list_clusters"))


def test_the_operator_is_who_the_key_says(aws: Aws) -> None:
    identity = operator(aws).client("sts").get_caller_identity()
    assert (identity["Account"], identity["Arn"]) == (HOME, OPERATOR)


@pytest.mark.parametrize(
    ("call", "wrong_secret", "unknown_key"),
    [
        (CALLS[0], "SignatureDoesNotMatch", "InvalidClientTokenId"),
        (CALLS[1], "SignatureDoesNotMatch", "InvalidClientTokenId"),
        (CALLS[2], "AuthFailure", "AuthFailure"),
        (CALLS[3], "InvalidSignatureException", "UnrecognizedClientException"),
    ],
)
def test_wrong_credentials_are_refused_in_each_service_s_words(
    aws: Aws, call: tuple[str, str], wrong_secret: str, unknown_key: str
) -> None:
    key_id = aws.env()["AWS_ACCESS_KEY_ID"]
    service, method = call
    assert code(getattr(session(aws, key_id, "wrong").client(service), method)) == wrong_secret
    assert code(getattr(session(aws, "AKIAUNKNOWN", "wrong").client(service), method)) == unknown_key


@pytest.mark.parametrize(
    ("call", "denied"),
    [(CALLS[0], "AccessDenied"), (CALLS[2], "UnauthorizedOperation"), (CALLS[3], "AccessDeniedException")],
)
def test_a_user_without_permission_is_refused_with_aws_s_sentence(aws: Aws, call: tuple[str, str], denied: str) -> None:
    weak = session(aws, *aws.add_user(HOME, "weak", None))
    assert weak.client("sts").get_caller_identity()["Arn"].endswith(":user/weak")
    with pytest.raises(ClientError, match=r"user/weak is not authorized to perform: \w+:\w+ on resource: ") as refused:
        getattr(weak.client(call[0]), call[1])()
    assert refused.value.response["Error"]["Code"] == denied


def test_permissions_are_those_of_inline_and_attached_policies(aws: Aws) -> None:
    reader = session(
        aws, *aws.add_user(HOME, "reader", allow("EKS:describe*", Resource=f"arn:aws:eks:*:{HOME}:cluster/pr?d"))
    )
    eks = reader.client("eks")
    assert eks.describe_cluster(name="prod")["cluster"]["name"] == "prod"
    assert code(eks.describe_cluster, name="old") == "AccessDeniedException"
    iam = operator(aws).client("iam")
    policy = iam.create_policy(PolicyName="more", PolicyDocument=json.dumps(allow("eks:DescribeCluster")))
    iam.attach_user_policy(UserName="reader", PolicyArn=policy["Policy"]["Arn"])
    assert eks.describe_cluster(name="old")["cluster"]["name"] == "old"
    deny = {**allow("eks:*")["Statement"][0], "Effect": "Deny"}
    aws.put_user_policy(HOME, "reader", {"Version": "2012-10-17", "Statement": [deny]})
    assert code(eks.describe_cluster, name="old") == "AccessDeniedException"


@pytest.mark.parametrize(
    ("statement", "verdict"),
    [
        ({"Action": "iam:Get*", "Resource": "*"}, True),
        ({"NotAction": "iam:Get*", "Resource": "*"}, None),
        ({"Action": "*", "NotResource": "arn:aws:iam::1:role/[x]"}, True),
        ({"Action": "*", "Resource": "arn:aws:iam::1:role/[ab]"}, None),
        ({"Action": "*", "Resource": "*", "Condition": {"StringEquals": {"AWS:PrincipalAccount": ["2", "1"]}}}, True),
        (
            {"Action": "*", "Resource": "*", "Condition": {"StringNotEquals": {"aws:PrincipalAccount": ["2", "1"]}}},
            None,
        ),
        ({"Action": "*", "Resource": "*", "Condition": {"StringEquals": {"aws:absent": "x"}}}, None),
        ({"Action": "*", "Resource": "*", "Condition": {"StringEqualsIfExists": {"aws:absent": "x"}}}, True),
        ({"Action": "*", "Resource": "*", "Condition": {"StringNotLike": {"aws:absent": "x"}}}, True),
        ({"Action": "*", "Resource": "*", "Condition": {"Null": {"aws:absent": True}}}, True),
        ({"Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "true"}}}, True),
        ({"Action": "*", "Resource": "*", "Condition": {"ArnLike": {"aws:PrincipalArn": "arn:*:iam::1:user/*"}}}, True),
        ({"Action": "*", "Resource": "*", "Condition": {"ArnLike": {"aws:PrincipalArn": "arn:*:user/*"}}}, None),
        ({"Action": "*", "Resource": "*", "Condition": {"ForAllValues:StringEquals": {"aws:TagKeys": ["a"]}}}, None),
        ({"Action": "*", "Resource": "*", "Condition": {"ForAnyValue:StringEquals": {"aws:TagKeys": ["a"]}}}, True),
    ],
)
def test_policy_elements(statement: dict[str, Any], verdict: bool | None) -> None:
    context = {
        "aws:principalaccount": ("1",),
        "aws:principalarn": ("arn:aws:iam::1:user/x",),
        "aws:securetransport": ("true",),
        "aws:tagkeys": ("a", "b"),
    }
    access = Access("iam:GetRole", "arn:aws:iam::1:role/a", context)
    assert allowed([{"Statement": {"Effect": "Allow", **statement}}], access) is verdict
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    denied = allowed([{"Statement": [everything, {"Effect": "Deny", **statement}]}], access)
    assert denied is (not verdict)


def test_an_unknown_condition_operator_is_an_error() -> None:
    statement = allow("*", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})
    with pytest.raises(ValueError, match="IpAddress"):
        allowed([statement], Access("a:B", "*", {}))


def test_the_role_of_another_account_needs_the_external_id(aws: Aws) -> None:
    assert code(assume, caller=operator(aws)) == "AccessDenied"
    assert code(assume, caller=operator(aws), ExternalId="wrong") == "AccessDenied"
    assert (
        code(assume, caller=operator(aws), role=f"arn:aws:iam::{OTHER}:role/none", ExternalId=EXTERNAL_ID)
        == "AccessDenied"
    )
    identity = onboarding(aws).client("sts").get_caller_identity()
    assert (identity["Account"], identity["Arn"]) == (OTHER, f"arn:aws:sts::{OTHER}:assumed-role/onboarding/test")


def test_assuming_a_role_takes_both_sides_across_accounts_and_one_within(aws: Aws) -> None:
    weak = session(aws, *aws.add_user(HOME, "weak", None))
    assert code(assume, caller=weak, ExternalId=EXTERNAL_ID) == "AccessDenied"
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{HOME}:user/weak"}, "Action": "sts:AssumeRole"}
        ],
    }
    assert assume(weak, aws.put_role(HOME, "near", trust, None))
    assert code(assume, caller=weak, role=aws.put_role(OTHER, "far", trust, None)) == "AccessDenied"


def test_a_session_is_of_its_account_and_ends(aws: Aws, clock: Clock) -> None:
    far = onboarding(aws)
    assert far.client("eks").list_clusters()["clusters"] == ["shop"]
    assert operator(aws).client("eks").list_clusters()["clusters"] == ["old", "prod"]
    clock.ahead = 3601
    assert code(far.client("sts").get_caller_identity) == "ExpiredToken"
    assert code(far.client("eks").list_clusters) == "ExpiredTokenException"
    assert onboarding(aws).client("sts").get_caller_identity()


def test_an_inactive_or_deleted_key_is_unknown(aws: Aws) -> None:
    key_id, secret = aws.add_user(HOME, "leaver", ADMINISTRATOR)
    iam = operator(aws).client("iam")
    leaver = session(aws, key_id, secret).client("sts")
    assert leaver.get_caller_identity()
    iam.update_access_key(UserName="leaver", AccessKeyId=key_id, Status="Inactive")
    assert code(leaver.get_caller_identity) == "InvalidClientTokenId"
    iam.delete_access_key(UserName="leaver", AccessKeyId=key_id)
    assert code(leaver.get_caller_identity) == "InvalidClientTokenId"


def test_a_permissions_boundary_bounds(aws: Aws) -> None:
    iam = operator(aws).client("iam")
    boundary = iam.create_policy(PolicyName="bound", PolicyDocument=json.dumps(allow("iam:*")))["Policy"]["Arn"]
    trust = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"AWS": OPERATOR}, "Action": "sts:AssumeRole"}],
        }
    )
    iam.create_role(RoleName="bounded", AssumeRolePolicyDocument=trust, PermissionsBoundary=boundary)
    iam.put_role_policy(RoleName="bounded", PolicyName="all", PolicyDocument=json.dumps(ADMINISTRATOR))
    got = assume(operator(aws), f"arn:aws:iam::{HOME}:role/bounded")
    bounded = session(aws, got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"])
    assert bounded.client("iam").list_roles()
    assert code(bounded.client("eks").list_clusters) == "AccessDeniedException"


def test_describe_cluster_is_the_world_s_cluster(aws: Aws) -> None:
    shown = operator(aws).client("eks").describe_cluster(name="prod")["cluster"]
    assert (shown["endpoint"], shown["status"], shown["version"]) == (PROD.endpoint, "ACTIVE", "1.36")
    assert base64.b64decode(shown["certificateAuthority"]["data"]) == b"PEM"
    assert shown["arn"] == f"arn:aws:eks:eu-central-1:{HOME}:cluster/prod"
    assert shown["accessConfig"]["authenticationMode"] == "API_AND_CONFIG_MAP"
    network = operator(aws).client("ec2")
    vpc = shown["resourcesVpcConfig"]
    groups = network.describe_security_groups(GroupIds=[vpc["clusterSecurityGroupId"]])["SecurityGroups"]
    assert [group["VpcId"] for group in groups] == [vpc["vpcId"]]
    assert len(network.describe_subnets(SubnetIds=vpc["subnetIds"])["Subnets"]) == 3
    far = onboarding(aws).client("eks").describe_cluster(name="shop")["cluster"]
    assert far["kubernetesNetworkConfig"]["ipFamily"] == "ipv6"
    assert code(operator(aws).client("eks").describe_cluster, name="shop") == "ResourceNotFoundException"


def test_access_entries(aws: Aws) -> None:
    eks, iam = operator(aws).client("eks"), operator(aws).client("iam")
    node = iam.create_role(RoleName="node", Path="/x/", AssumeRolePolicyDocument=trust())["Role"]["Arn"]
    made = eks.create_access_entry(clusterName="prod", principalArn=node, type="EC2_LINUX")["accessEntry"]
    assert (made["username"], made["kubernetesGroups"]) == ("system:node:{{EC2PrivateDNSName}}", ["system:nodes"])
    assert eks.describe_access_entry(clusterName="prod", principalArn=node)["accessEntry"] == made
    assert eks.list_access_entries(clusterName="prod")["accessEntries"] == sorted([OPERATOR, node])
    assert code(eks.create_access_entry, clusterName="prod", principalArn=node) == "ResourceInUseException"
    assert code(eks.create_access_entry, clusterName="prod", principalArn=f"{node}x") == "InvalidParameterException"
    view = ADMIN_POLICY.replace("ClusterAdmin", "View")
    scope = {"type": "namespace", "namespaces": ["default"]}
    eks.associate_access_policy(clusterName="prod", principalArn=OPERATOR, policyArn=view, accessScope=scope)
    listed = eks.list_associated_access_policies(clusterName="prod", principalArn=OPERATOR)["associatedAccessPolicies"]
    assert [(one["policyArn"], one["accessScope"]) for one in listed] == [
        (ADMIN_POLICY, {"type": "cluster", "namespaces": []}),
        (view, scope),
    ]
    eks.disassociate_access_policy(clusterName="prod", principalArn=OPERATOR, policyArn=view)
    changed = eks.update_access_entry(clusterName="prod", principalArn=OPERATOR, kubernetesGroups=["viewers"])
    assert changed["accessEntry"]["kubernetesGroups"] == ["viewers"]
    eks.delete_access_entry(clusterName="prod", principalArn=node)
    assert code(eks.describe_access_entry, clusterName="prod", principalArn=node) == "ResourceNotFoundException"
    assert code(eks.list_access_entries, clusterName="old") == "InvalidRequestException"


def bearer(caller: boto3.Session, name: str) -> str:
    """A token as every EKS client makes it."""
    service = caller.client("sts").meta
    signer = RequestSigner(
        service.service_model.service_id, "eu-central-1", "sts", "v4", caller.get_credentials(), caller.events
    )
    request = {
        "method": "GET",
        "url": "https://sts.eu-central-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
        "body": {},
        "headers": {"x-k8s-aws-id": name},
        "context": {},
    }
    url = signer.generate_presigned_url(request, region_name="eu-central-1", expires_in=60, operation_name="")
    return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def test_a_bearer_token_names_its_signer(aws: Aws) -> None:
    assert aws.identify(bearer(operator(aws), "prod"), "prod", time.time()) == OPERATOR
    assert aws.identify(bearer(onboarding(aws), "shop"), "shop", time.time()) == ONBOARDING


def test_a_bearer_token_for_another_cluster_or_by_a_wrong_secret_is_none(aws: Aws) -> None:
    token = bearer(operator(aws), "prod")
    assert aws.identify(token, "shop", time.time()) is None
    liar = session(aws, aws.env()["AWS_ACCESS_KEY_ID"], "wrong")
    assert aws.identify(bearer(liar, "prod"), "prod", time.time()) is None
    elsewhere = base64.urlsafe_b64encode(b"https://evil.example.com/?Action=GetCallerIdentity").decode()
    for broken in ("", "k8s-aws-v1.", "k8s-aws-v1.%%", f"k8s-aws-v1.{elsewhere}", token[:-9], "abc"):
        assert aws.identify(broken, "prod", time.time()) is None


def test_a_bearer_token_ages_from_its_first_use(aws: Aws, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = time.time()
    monkeypatch.setattr(time, "time", lambda: begun)
    token = bearer(operator(aws), "prod")
    assert aws.identify(token, "prod", clock()) == OPERATOR
    clock.ahead = 15 * 60 + 1
    assert aws.identify(token, "prod", clock()) == OPERATOR  # may have been signed anew within the second
    monkeypatch.setattr(time, "time", lambda: begun + 60)
    assert aws.identify(token, "prod", clock()) is None
    clock.ahead = 14 * 60 - 60
    assert aws.identify(token, "prod", clock()) == OPERATOR


def test_who_enters_a_cluster_is_decided_by_entries_and_aws_auth(aws: Aws) -> None:
    role, with_path = f"arn:aws:iam::{HOME}:role/dev", f"arn:aws:iam::{HOME}:role/team/dev"
    mapped = {"mapRoles": json.dumps([{"rolearn": role, "username": "dev:{{SessionName}}", "groups": ["devs"]}])}
    assert aws.kubernetes_user(PROD, OPERATOR, None) == (OPERATOR, ("system:masters",))
    assert aws.kubernetes_user(OLD, OPERATOR, None) == ("kubernetes-admin", ("system:masters",))
    assert aws.kubernetes_user(PROD, role, None) is None
    for one in (PROD, OLD):
        assert aws.kubernetes_user(one, role, mapped) == ("dev:session", ("devs",))
        assert aws.kubernetes_user(one, with_path, mapped) == ("dev:session", ("devs",))
        assert aws.kubernetes_user(one, with_path, {"mapRoles": json.dumps([{"rolearn": with_path}])}) is None
        assert aws.kubernetes_user(one, role, {"mapRoles": "{not: [yaml"}) is None
    operator(aws).client("eks").delete_access_entry(clusterName="prod", principalArn=OPERATOR)
    assert aws.kubernetes_user(PROD, OPERATOR, None) is None


def test_aws_auth_is_read_as_the_authenticator_reads_it(aws: Aws) -> None:
    """Keys in any case, the last entry of an ARN, and mapRoles first, whether the ARN is a role's or a user's."""
    role, user = f"arn:aws:iam::{HOME}:role/dev", f"arn:aws:iam::{HOME}:user/dev"
    first, last = {"RoleARN": role, "UserName": "first"}, {"ROLEARN": role, "USERNAME": "last", "Groups": ["devs"]}
    assert aws.kubernetes_user(OLD, role, {"mapRoles": json.dumps([first, last])}) == ("last", ("devs",))
    of_user = {"mapUsers": json.dumps([{"userarn": user, "username": "user"}, {"userarn": role, "username": "role"}])}
    assert aws.kubernetes_user(OLD, user, of_user) == ("user", ())
    assert aws.kubernetes_user(OLD, role, of_user) == ("role", ())
    both = {"mapRoles": json.dumps([{"rolearn": user, "username": "in mapRoles"}]), **of_user}
    assert aws.kubernetes_user(OLD, user, both) == ("in mapRoles", ())


def test_a_journal_entry_names_operation_resource_and_caller(aws: Aws) -> None:
    seen = []
    caller = operator(aws)
    handle = aws.handle
    aws.handle = lambda request: seen.append(aws.classify(request)) or handle(request)  # type: ignore
    caller.client("iam").create_role(RoleName="made", AssumeRolePolicyDocument=trust())
    caller.client("eks").describe_cluster(name="prod")
    assert [(call.operation, call.resource, call.write, call.who) for call in seen] == [
        ("iam:CreateRole", "made", True, OPERATOR),
        ("eks:DescribeCluster", "prod", False, OPERATOR),
    ]


@pytest.mark.parametrize("call", CALLS)
def test_an_injected_error_has_the_service_s_form(aws: Aws, call: tuple[str, str]) -> None:
    caller = operator(aws)
    aws.handle = lambda request: aws.fail(request, 400, "Throttling", "Rate exceeded")  # type: ignore[method-assign]
    client = caller.client(call[0], config=boto3.session.Config(retries={"total_max_attempts": 1}))
    assert code(getattr(client, call[1])) == "Throttling"


def test_reset_is_as_new_and_keeps_the_operator_s_key(aws: Aws) -> None:
    iam = operator(aws).client("iam")
    iam.create_role(RoleName="made", AssumeRolePolicyDocument=trust())
    assert f"arn:aws:iam::{HOME}:role/made" in aws.state()[HOME]["iam"]["roles"]
    aws.reset()
    assert aws.state()[HOME]["iam"]["roles"] == {}
    assert operator(aws).client("eks").describe_cluster(name="prod")["cluster"]["endpoint"] == PROD.endpoint
    assert "CANARY" not in json.dumps(aws.state())


@pytest.mark.parametrize(
    ("call", "refusal"),
    [(CALLS[1], "SignatureDoesNotMatch"), (CALLS[2], "AuthFailure"), (CALLS[3], "InvalidSignatureException")],
)
def test_a_region_in_other_case_is_none_that_a_signature_can_be_scoped_to(
    aws: Aws, call: tuple[str, str], refusal: str
) -> None:
    service, method = call
    assert code(getattr(operator(aws, "EU-CENTRAL-1").client(service), method)) == refusal


def test_versions_of_a_policy_are_listed_newest_first(aws: Aws) -> None:
    iam = operator(aws).client("iam")
    arn = iam.create_policy(PolicyName="many", PolicyDocument=json.dumps(allow("s3:Get*")))["Policy"]["Arn"]
    for _time in range(2):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(allow("s3:List*")), SetAsDefault=False)
    listed = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    assert [(one["VersionId"], one["IsDefaultVersion"]) for one in listed] == [
        ("v3", False),
        ("v2", False),
        ("v1", True),
    ]


def everything(aws: Aws) -> Any:
    """The state with the ids that it leaves out: those of VPCs, of subnets, and of principals."""
    ec2, iam = operator(aws).client("ec2"), operator(aws).client("iam")
    ids = [
        sorted(one["VpcId"] for one in ec2.describe_vpcs()["Vpcs"]),
        sorted(one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]),
        [one["UserId"] for one in iam.list_users()["Users"]],
    ]
    return aws.state(), ids


def test_reset_gives_the_ids_that_were_there_and_none_that_a_run_has_seen(aws: Aws) -> None:
    aws.add_cluster(cluster("shop.example.com", provider="kops"))
    before = everything(aws)
    made = []
    for _time in range(2):
        made.append(operator(aws).client("ec2").create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"])
        aws.reset()
        assert everything(aws) == before
    assert made[0] != made[1]
