# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CAST AI tries the credentials that it gets at the local AWS; the objects that other ways of onboarding leave
behind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sandbox.aws.other_ways import VINTAGES
from tests.sandbox.aws.server import ADMINISTRATOR, Aws
from tests.sandbox.castai.server import PREFIX, CastAi
from tests.sandbox.wire import Request

from .aws_client import HOME, OTHER, PROD, Clock, NoAgent, cluster, operator, trust

READ_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ReadOnlyAccess"
EKS = {"accountId": HOME, "region": "eu-central-1", "clusterName": "prod"}
SECOND = cluster("prod-two")


@pytest.fixture
def castai(aws: Aws, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> CastAi:
    monkeypatch.setattr("tests.sandbox.castai.server.Agent", NoAgent)
    made = CastAi(aws, clock)
    aws.add_cluster(SECOND)
    for one in (PROD, SECOND):
        made.add_cluster(one)
    return made


def call(castai: CastAi, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    data = b"" if body is None else json.dumps(body).encode()
    answer = castai.handle(Request(method, "api.cast.ai", path, "", {"x-api-key": castai.full_access_key}, data))
    return answer.status, json.loads(answer.body) if answer.body else None


def registered(castai: CastAi) -> str:
    return str(call(castai, "POST", PREFIX, {"name": "prod", "eks": EKS})[1]["id"])


def forbidden(answer: tuple[int, Any]) -> bool:
    status, body = answer
    return (status, body["message"], [one["field"] for one in body["fieldViolations"]]) == (
        400,
        "Forbidden",
        ["credentials"],
    )


def test_a_role_is_tried_with_principal_and_external_id(castai: CastAi, aws: Aws) -> None:
    cluster_id, iam = registered(castai), operator(aws).client("iam")
    one = f"{PREFIX}/{cluster_id}"
    principal = call(castai, "POST", f"{one}/assume-role-principal")[1]["arn"]
    assert principal == f"arn:aws:iam::809060229965:user/cast-crossrole-{cluster_id}"
    body = {"eks": {"assumeRoleArn": f"arn:aws:iam::{HOME}:role/r"}}
    assert forbidden(call(castai, "POST", one, body))
    wrong = trust(principal, Condition={"StringEquals": {"sts:ExternalId": "another"}})
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=wrong)
    iam.attach_role_policy(RoleName="r", PolicyArn=READ_ONLY)
    assert forbidden(call(castai, "POST", one, body))
    right = trust(principal, Condition={"StringEquals": {"sts:ExternalId": cluster_id}})
    iam.update_assume_role_policy(RoleName="r", PolicyDocument=right)
    iam.detach_role_policy(RoleName="r", PolicyArn=READ_ONLY)
    assert forbidden(call(castai, "POST", one, body))
    assert call(castai, "GET", one)[1]["credentialsId"] == ""
    iam.attach_role_policy(RoleName="r", PolicyArn=READ_ONLY)
    status, shown = call(castai, "POST", one, body)
    assert (status, shown["status"], shown["isPhase2"]) == (200, "connecting", False)
    assert shown["credentialsId"]
    assert shown["eks"]["assumeRoleArn"] == body["eks"]["assumeRoleArn"]
    call(castai, "DELETE", f"{one}/assume-role-principal")
    assert forbidden(call(castai, "POST", one, body))
    call(castai, "POST", f"{one}/assume-role-principal")  # of the same name, yet another principal
    assert forbidden(call(castai, "POST", one, body))
    assert list(aws.state()) == sorted((HOME, OTHER))


def test_a_key_is_tried(castai: CastAi, aws: Aws) -> None:
    one = f"{PREFIX}/{registered(castai)}"
    key_id, secret = aws.add_user(HOME, "castai", None)

    def hand_over(**fields: Any) -> tuple[int, Any]:
        document = {"accessKeyId": key_id, "secretAccessKey": secret, **fields}
        return call(castai, "POST", one, {"credentials": json.dumps(document)})

    assert forbidden(hand_over())
    operator(aws).client("iam").attach_user_policy(UserName="castai", PolicyArn=READ_ONLY)
    assert forbidden(hand_over(secretAccessKey="wrong"))
    assert forbidden(hand_over(accessKeyId="AKIAUNKNOWN"))
    assert hand_over(secretAccessKey="")[1]["message"] == "Bad Request"
    assert call(castai, "POST", one, {"credentials": "[]"})[1]["message"] == "Bad Request"
    assert hand_over()[0] == 200
    state = castai.state()
    assert list(state["access_keys"].values()) == [key_id]
    assert "CANARY" not in json.dumps(state)


def test_a_new_key_is_refused_until_it_has_spread(castai: CastAi, aws: Aws, clock: Clock) -> None:
    one, iam = f"{PREFIX}/{registered(castai)}", operator(aws).client("iam")
    iam.create_user(UserName="castai")
    iam.attach_user_policy(UserName="castai", PolicyArn=READ_ONLY)
    aws.control("visibility", seconds=10)
    key = iam.create_access_key(UserName="castai")["AccessKey"]
    document = json.dumps({"accessKeyId": key["AccessKeyId"], "secretAccessKey": key["SecretAccessKey"]})
    assert forbidden(call(castai, "POST", one, {"credentials": document}))
    clock.ahead += 10
    assert call(castai, "POST", one, {"credentials": document})[0] == 200


def test_phase_2_takes_credentials_and_the_cluster_controller(castai: CastAi, aws: Aws) -> None:
    cluster_id = registered(castai)
    one, environment = f"{PREFIX}/{cluster_id}", {"API_KEY": castai.full_access_key, "STATIC_CLUSTER_ID": cluster_id}
    key_id, secret = aws.add_user(HOME, "castai", ADMINISTRATOR)

    def seen(controller: bool) -> tuple[str, bool, bool]:
        castai.snapshot(PROD, environment, controller)
        shown = call(castai, "GET", one)[1]
        return shown["status"], shown["isPhase2"], bool(shown["reconciledAt"])

    assert seen(controller=True) == ("ready", False, False)
    document = json.dumps({"accessKeyId": key_id, "secretAccessKey": secret})
    assert call(castai, "POST", one, {"credentials": document})[1]["status"] == "connecting"
    assert seen(controller=False) == ("ready", False, True)
    assert seen(controller=True) == ("ready", True, True)


def test_reads_may_lag_behind_the_hand_over(castai: CastAi, aws: Aws) -> None:
    one = f"{PREFIX}/{registered(castai)}"
    key_id, secret = aws.add_user(HOME, "castai", ADMINISTRATOR)
    before = call(castai, "GET", one)[1]
    castai.control("stale", reads=2)
    document = json.dumps({"accessKeyId": key_id, "secretAccessKey": secret})
    after = call(castai, "POST", one, {"credentials": document})[1]
    assert [call(castai, "GET", one)[1] for _time in range(3)] == [before, before, after]


ROLE = f"arn:aws:iam::{HOME}:role/"


@pytest.mark.parametrize("vintage", VINTAGES)
def test_each_way_leaves_a_cluster_with_working_credentials(castai: CastAi, aws: Aws, vintage: str) -> None:
    before = aws.state()[HOME]
    made = castai.control("seed_script_world", cluster="prod", vintage=vintage)
    short = made["cluster_id"][:8]
    shown = call(castai, "GET", f"{PREFIX}/{made['cluster_id']}")[1]
    assert shown["credentialsId"]
    assert "secret_access_key" not in made
    expected = {
        "newest": f"cast-eks-prod-cluster-role-{short}",
        "older": f"cast-eks-prod-cluster-role-{short}",
        "terraform": "castai-eks-prod",
        "pulumi": f"cast-eks-prod-role-{short}",
    }
    state = aws.state()[HOME]
    if vintage == "user":
        assert made["user_arn"] == f"arn:aws:iam::{HOME}:user/cast-eks-prod"
        assert castai.state()["access_keys"] == {made["cluster_id"]: made["access_key_id"]}
        assert (state["ec2"], state["eks"]) == (before["ec2"], before["eks"])
        return
    assert shown["eks"]["assumeRoleArn"] == made["role_arn"] == ROLE + expected[vintage]
    assert state["iam"]["instance_profiles"][made["profile_arn"]]["roles"] == [made["node_role_arn"].rpartition("/")[2]]
    entries = aws.state()[HOME]["eks"][0]["access_entries"]
    assert (made["node_role_arn"] in entries) == (vintage != "older")
    assert ("group_id" in made) == (vintage != "terraform")
    if "group_id" in made:
        group = state["ec2"]["eu-central-1"]["security_groups"][made["group_id"]]
        assert [rule["group"]["GroupId"] for rule in group["ingress"]] == [made["group_id"]]
        assert len(group["egress"]) == 1
    assert "CANARY" not in json.dumps(made)


def test_the_newest_script_s_objects(castai: CastAi, aws: Aws) -> None:
    made = castai.control("seed_script_world", cluster="prod", vintage="newest")
    state = aws.state()[HOME]
    role = state["iam"]["roles"][made["role_arn"]]
    assert role["description"] == "Role to manage 'prod' EKS cluster used by CAST AI"
    [statement] = role["trust"]["Statement"]
    assert statement["Condition"] == {"StringEquals": {"sts:ExternalId": made["cluster_id"]}}
    assert role["attached"] == sorted([READ_ONLY, "arn:aws:iam::aws:policy/IAMReadOnlyAccess", made["policy_arn"]])
    assert list(role["inline"]) == ["CastEKSRestrictedAccess"]
    policy = state["iam"]["policies"][f"arn:aws:iam::{HOME}:policy/CastEKSPolicy"]
    assert (policy["default_version"], list(policy["versions"])) == ("v3", ["v1", "v2", "v3"])
    nodes = state["iam"]["roles"][made["node_role_arn"]]
    assert f"arn:aws:iam::{HOME}:policy/CastEC2AssignIPv6Policy" in nodes["attached"]
    group = state["ec2"]["eu-central-1"]["security_groups"][made["group_id"]]
    assert group["name"] == "cast-prod-cluster/CastNodeSecurityGroup"
    assert group["tags"] == {"Name": group["name"], "cast:cluster-id": made["cluster_id"]}


def test_running_again_and_for_another_cluster(castai: CastAi, aws: Aws) -> None:
    first = castai.control("seed_script_world", cluster="prod", vintage="newest")
    state = aws.state()
    assert castai.control("seed_script_world", cluster="prod", vintage="newest") == first
    assert aws.state() == state
    second = castai.control("seed_script_world", cluster="prod-two", vintage="newest")
    assert second["policy_arn"] == first["policy_arn"]
    assert second["role_arn"] != first["role_arn"]
    for _time in range(3):
        castai.control("seed_script_world", cluster="prod-two", vintage="older", hand_over=False)
    versions = aws.state()[HOME]["iam"]["policies"][first["policy_arn"]]
    assert (versions["default_version"], list(versions["versions"])) == ("v6", ["v2", "v3", "v4", "v5", "v6"])


def test_the_user_script_makes_a_key_each_time_until_there_are_two(castai: CastAi, aws: Aws) -> None:
    first, second = (castai.control("seed_script_world", cluster="prod", vintage="user") for _time in range(2))
    keys = aws.state()[HOME]["iam"]["users"][first["user_arn"]]["access_keys"]
    assert [key["id"] for key in keys] == [first["access_key_id"], second["access_key_id"]]
    assert castai.state()["access_keys"] == {second["cluster_id"]: second["access_key_id"]}
    assert castai.state()["assume_role_principals"] == {}


def test_a_mistake_is_told(castai: CastAi) -> None:
    with pytest.raises(ValueError, match="unknown vintage older-still: newest, older, user"):
        castai.control("seed_script_world", cluster="prod", vintage="older-still")
    with pytest.raises(KeyError):
        castai.control("seed_script_world", cluster="nowhere", vintage="newest")
