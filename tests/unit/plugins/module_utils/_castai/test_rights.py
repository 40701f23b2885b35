# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulating the caller's policies against the local AWS, for every kind of caller."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._aws.permissions import (
    CREATE,
    READ,
    Question,
    Scope,
    questions,
)
from ansible_collections.castai.onboarding.plugins.module_utils._aws.rights import Lack, Rights, simulate
from ansible_collections.castai.onboarding.plugins.module_utils._castai.rights import (
    CONNECT,
    CONNECT_SYSTEM,
    OF_RELEASE,
    ONBOARD,
    missing_in_cluster,
)
from ansible_collections.castai.onboarding.plugins.module_utils._engine import CallFailed
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws import Aws
from tests.sandbox.aws.server import ADMINISTRATOR
from tests.sandbox.aws.server import Aws as Cloud
from tests.unit.sandbox.aws_client import HOME, OPERATOR, PROD, Clock, allow, operator, session, trust

PLACE, ID = Scope("aws", HOME, "eu-central-1", PROD.name), "5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e"
ROLE = f"arn:aws:iam::{HOME}:role/cast-a"
ASKED = Question(("iam:CreateRole", "iam:GetRole"), frozenset({"iam:CreateRole"}), ROLE, {"iam:PolicyARN": "arn:p"})
NO_CREATE = Lack("iam:CreateRole", ROLE, "", True)
MAY_LOOK = ("iam:GetRole", "iam:SimulatePrincipalPolicy")


class Reviews:
    """An API server that allows only the entries of a list: verb, group, resource, namespace."""

    def __init__(self, *allowed: tuple[str, str, str, str]) -> None:
        self.allowed = allowed
        self.asked: list[tuple[str, str, str, str]] = []

    def can(self, *access: str) -> bool:
        self.asked.append(access)  # type: ignore[arg-type]
        return access in self.allowed


def test_every_verb_is_asked_for_where_it_is_needed() -> None:
    reviews: Any = Reviews(
        ("get", "", "namespaces", ""), ("create", "rbac.authorization.k8s.io", "roles", "kube-system")
    )
    missing = missing_in_cluster(reviews, "castai", CONNECT, CONNECT_SYSTEM)
    assert len(missing) == len(reviews.asked) - 2
    assert {"create secrets", "create roles.rbac.authorization.k8s.io"} <= set(missing)
    assert "create roles.rbac.authorization.k8s.io in kube-system" not in missing
    assert ("create", "", "secrets", "castai") in reviews.asked
    assert ("escalate", "rbac.authorization.k8s.io", "clusterroles", "") in reviews.asked


def test_optional_releases_bring_kinds_of_their_own() -> None:
    reviews: Any = Reviews()
    missing_in_cluster(reviews, "castai", (*ONBOARD, *(row for rows in OF_RELEASE.values() for row in rows)), ())
    assert ("watch", "batch", "jobs", "castai") in reviews.asked
    assert {
        ("create", "apiextensions.k8s.io", "customresourcedefinitions", ""),
        ("create", "autoscaling.cast.ai", "custommetricsexporterconfigs", ""),
        ("create", "admissionregistration.k8s.io", "validatingwebhookconfigurations", ""),
    } <= set(reviews.asked)


@pytest.fixture
def cloud() -> Cloud:
    made = Cloud(clock=Clock())
    made.add_cluster(PROD)
    return made


def gateway(cloud: Cloud, key_id: str, secret: str, token: str | None = None) -> Aws:
    aws = Aws({"region": "eu-central-1", "access_key": "x", "secret_key": "x"})
    aws._session = session(cloud, key_id, secret, token)
    return aws


def asked_as_user(cloud: Cloud, policy: Mapping[str, Any], *questions: Question) -> Rights:
    aws = gateway(cloud, *cloud.add_user(HOME, "caller", policy))
    return simulate(aws, aws.caller_arn(), questions or (ASKED,))


def assumed(cloud: Cloud, policy: Mapping[str, Any], path: str) -> Aws:
    """A caller who has assumed role caller, which has a path."""
    iam = operator(cloud).client("iam")
    iam.create_role(RoleName="caller", Path=path, AssumeRolePolicyDocument=trust(OPERATOR))
    iam.put_role_policy(RoleName="caller", PolicyName="p", PolicyDocument=json.dumps(policy))
    arn = f"arn:aws:iam::{HOME}:role{path}caller"
    got = operator(cloud).client("sts").assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"]
    return gateway(cloud, got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"])


def test_who_may_everything_lacks_nothing(cloud: Cloud) -> None:
    assert asked_as_user(cloud, ADMINISTRATOR) == Rights(f"arn:aws:iam::{HOME}:user/caller")


def test_what_is_lacking_is_told_with_whether_every_run_needs_it(cloud: Cloud) -> None:
    lacks = asked_as_user(cloud, allow("iam:SimulatePrincipalPolicy")).lacks
    assert lacks == (NO_CREATE, Lack("iam:GetRole", ROLE, "", False))


@pytest.mark.parametrize("path", ["/", "/vendors/"])
def test_the_role_of_a_session_is_found_with_its_path(cloud: Cloud, path: str) -> None:
    aws = assumed(cloud, allow(*MAY_LOOK), path)
    found = simulate(aws, aws.caller_arn(), [ASKED])
    assert found == Rights(f"arn:aws:iam::{HOME}:role{path}caller", (NO_CREATE,))


def test_a_role_that_may_not_be_read_is_looked_for_at_the_root(cloud: Cloud) -> None:
    aws = assumed(cloud, allow("iam:SimulatePrincipalPolicy"), "/")
    assert NO_CREATE in simulate(aws, aws.caller_arn(), [ASKED]).lacks


def test_a_role_that_is_not_found_is_not_checked(cloud: Cloud) -> None:
    aws = assumed(cloud, allow("iam:SimulatePrincipalPolicy"), "/vendors/")
    found = simulate(aws, aws.caller_arn(), [ASKED])
    assert found.lacks == ()
    (sentence,) = found.not_checked
    assert "role/caller cannot be found" in sentence


def test_who_may_not_simulate_is_not_checked(cloud: Cloud) -> None:
    found = asked_as_user(cloud, allow("iam:GetRole"), ASKED, replace(ASKED, resource=f"{ROLE}-another"))
    assert found.lacks == ()
    (sentence,) = found.not_checked
    assert "is not authorized to perform: iam:SimulatePrincipalPolicy" in sentence


def test_a_question_that_iam_does_not_take_hides_no_answer(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    aws = gateway(cloud, *cloud.add_user(HOME, "caller", allow(*MAY_LOOK)))
    really = aws.simulate

    def moody(source: str, actions: tuple[str, ...], *others: Any) -> Any:
        if actions == ("iam:TagRole",):
            raise CallFailed("IAM does not take this.")
        return really(source, actions, *others)

    monkeypatch.setattr(aws, "simulate", moody)
    found = simulate(aws, aws.caller_arn(), [ASKED, replace(ASKED, actions=("iam:TagRole",))])
    assert (found.lacks, found.not_checked) == (
        (NO_CREATE,),
        ("Could not check AWS permissions: IAM does not take this.",),
    )


@pytest.mark.parametrize("caller", [f"arn:aws:iam::{HOME}:root", f"arn:aws:sts::{HOME}:federated-user/somebody"])
def test_others_than_roles_and_users_are_not_checked(cloud: Cloud, caller: str) -> None:
    aws = gateway(cloud, *cloud.add_user(HOME, "caller", ADMINISTRATOR))
    expected = f"{caller} is neither a role nor a user, so its permissions cannot be simulated."
    assert simulate(aws, caller, [ASKED]) == Rights(caller, not_checked=(expected,))


def test_what_hangs_on_a_condition_that_no_simulation_knows_is_not_checked(cloud: Cloud) -> None:
    at_home = {"Condition": {"StringEquals": {"aws:SourceVpc": "vpc-1"}}}
    policy = allow(*MAY_LOOK)
    policy["Statement"] += allow("iam:CreateRole", **at_home)["Statement"]
    found = asked_as_user(cloud, policy)
    assert found.lacks == ()
    assert found.not_checked == (
        (
            "Could not check AWS permissions iam:CreateRole: they depend on aws:SourceVpc, which the IAM"
            " simulator cannot evaluate."
        ),
    )


LOCKS: dict[str, dict[str, Any]] = {
    "region": {"StringNotEquals": {"aws:RequestedRegion": ["eu-central-1", "us-east-1"]}},
    "caller": {"ArnNotLike": {"aws:PrincipalArn": f"arn:aws:iam::{HOME}:user/call*"}},
    "TLS": {"BoolIfExists": {"aws:SecureTransport": "false"}, "StringNotLike": {"aws:SecureTransport": "true"}},
}


@pytest.mark.parametrize("lock", LOCKS)
def test_an_organization_may_lock_what_every_call_says_of_itself(cloud: Cloud, lock: str) -> None:
    locked = allow("*")
    locked["Statement"] += allow("*", Effect="Deny", Condition=LOCKS[lock])["Statement"]
    cloud.put_control_policy(HOME, locked)
    asked = [*questions((READ, CREATE), "user", (), PLACE, ID, "vpc-1"), *questions((READ,), "kops", (), PLACE, ID)]
    assert asked_as_user(cloud, ADMINISTRATOR, *asked).lacks == ()


def test_a_region_that_the_organization_locks_is_told(cloud: Cloud) -> None:
    locked = allow("*")
    elsewhere = {"StringNotEquals": {"aws:RequestedRegion": "eu-central-1"}}
    locked["Statement"] += allow("iam:CreateRole", "eks:*", Effect="Deny", Condition=elsewhere)["Statement"]
    cloud.put_control_policy(HOME, locked)
    lacks = asked_as_user(cloud, ADMINISTRATOR, *questions((CREATE,), "role", (), PLACE, ID, "vpc-1")).lacks
    assert {(lack.action, lack.by) for lack in lacks} == {("iam:CreateRole", "organization")}


def test_boundary_and_organization_are_told_apart(cloud: Cloud) -> None:
    key = cloud.add_user(HOME, "caller", ADMINISTRATOR)
    aws = gateway(cloud, *key)
    cloud.put_user_boundary(HOME, "caller", allow(*MAY_LOOK))
    assert simulate(aws, aws.caller_arn(), [ASKED]).lacks == (Lack("iam:CreateRole", ROLE, "boundary", True),)
    cloud.put_control_policy(HOME, allow(*MAY_LOOK))
    assert simulate(aws, aws.caller_arn(), [ASKED]).lacks == (Lack("iam:CreateRole", ROLE, "organization", True),)
