# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published policies come from one source, which lists exactly what the gateway's calls need."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._aws.permissions import (
    ASK,
    CHANGE,
    CREATE,
    PHASES,
    READ,
    Scope,
    document,
    file_name,
    granted,
    questions,
)
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws import Aws
from tests.sandbox.aws import permissions as aws_permissions
from tests.sandbox.aws import server as aws
from tests.sandbox.aws.accounts import Accounts, Caller
from tests.sandbox.aws.wire import Operation
from tests.support.policies import KINDS, for_cluster, published
from tests.tree import ROOT
from tests.unit.sandbox import kops_account
from tests.unit.sandbox.aws_client import HOME, OPERATOR
from tests.unit.sandbox.eks_account import CLUSTERS, World, disturb, leave_behind, world

__all__ = ["world"]

MODE = "API_AND_CONFIG_MAP"
PLACE = Scope("aws", HOME, "eu-central-1", CLUSTERS[MODE].name)
ID = "5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e"
MANAGED_POLICY_LIMIT = 6144
"""Characters without white space. Source: IAM User Guide, "IAM and AWS STS quotas"."""


def statements(phase: str, identity: str, scope: Scope = PLACE) -> list[Mapping[str, Any]]:
    return list(document(phase, identity, scope)["Statement"])


def actions(phase: str, identity: str) -> set[str]:
    return {action for grant in granted(phase, identity) for action in grant.of(PHASES[phase])}


@pytest.mark.parametrize("path", published(), ids=str)
def test_what_is_published_comes_of_the_source(path: Any) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == published()[path], "run python -m tests.support.policies"


@pytest.mark.parametrize(("phase", "identity"), KINDS)
def test_a_policy_is_one_that_iam_takes(phase: str, identity: str) -> None:
    longest = Scope("aws-us-gov", HOME, "us-gov-west-1", "c" * 100)
    assert len(json.dumps(document(phase, identity, longest), separators=(",", ":"))) <= MANAGED_POLICY_LIMIT
    sids = [statement["Sid"] for statement in statements(phase, identity)]
    assert len(set(sids)) == len(sids)
    assert all(sid.isalnum() for sid in sids)


@pytest.mark.parametrize(("phase", "identity"), KINDS)
def test_only_what_has_no_resource_is_granted_on_everything(phase: str, identity: str) -> None:
    wide = [one["Action"] for one in statements(phase, identity) if one["Resource"] == "*"]
    on_kops = ["ec2:DescribeInstances"] if phase == "connect" else ["ec2:DescribeInstances", "iam:ListPolicies"]
    on_eks = ["ec2:DescribeInstances"] if phase == "remove" else []
    asked = ["iam:GetAccountSummary", "iam:ListPolicies"] if phase in ("plan", "onboard") else []
    of_kops = [*on_kops, *asked[:1]]
    assert wide in ([], of_kops if identity == "kops" else [*on_eks, "ec2:DescribeSecurityGroups", *asked])
    assert not any("*" in action for action in actions(phase, identity))


class Seen:
    """The permissions that one user's calls need, and the gateway's methods that made the calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.actions: set[str] = set()
        self.methods: set[str] = set()
        for name in own_methods():
            monkeypatch.setattr(Aws, name, self._noting(name, getattr(Aws, name)))
        monkeypatch.setattr(aws, "authorize", self._authorize)

    def _authorize(self, accounts: Accounts, operation: Operation, caller: Caller) -> None:
        if caller.arn == OPERATOR:
            self.actions |= {access.action for access in aws_permissions.needed(accounts, operation, caller)} - {
                ANYBODY
            }
        aws_permissions.authorize(accounts, operation, caller)

    def _noting(self, name: str, method: Any) -> Any:
        @functools.wraps(method)
        def run(*args: Any) -> Any:
            self.methods.add(name)
            return method(*args)

        return run


def own_methods() -> Iterator[str]:
    """The gateway's methods that make calls."""
    members = [item for service in Aws.__mro__ if service is not object for item in vars(service).items()]
    return (name for name, member in members if callable(member) and not name.startswith("_"))


ELSEWHERE = {"caller_account", "eks_token", "simulate"}
"""Methods that the modules of identities do not call: two need no permission, one is preflight's own."""

BOUNDARY = "arn:aws:iam::aws:policy/PowerUserAccess"

ANYBODY = "sts:GetCallerIdentity"
"""Needs no permission. Source: the API reference of STS."""


def test_every_call_is_granted_and_every_grant_is_needed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    called = on_kops(monkeypatch)
    for identity in ("role", "user"):
        world.reset()
        with monkeypatch.context() as patch:
            onboarding = Seen(patch)
            done = world.run(MODE, identity=identity)
            patch.undo()
            disturb(world, MODE, identity)
            again = Seen(patch)
            world.run(MODE, identity=identity)
            own = {"security_group_id": done.view["security_group_id"], "permissions_boundary": BOUNDARY}
            world.run(MODE, check=True, identity=identity, **own)
            patch.undo()
            world.lose(done.view["node_role_arn"])
            anew = Seen(patch)
            world.run(MODE, identity=identity)
        seen = onboarding.actions | again.actions | anew.actions
        assert seen == actions("onboard", identity) - {"iam:SimulatePrincipalPolicy"}
        leave_behind(world, MODE, identity)
        with monkeypatch.context() as patch:
            back = Seen(patch)
            world.run(MODE, identity=identity, state="absent")
        assert back.actions == actions("remove", identity)
        called |= onboarding.methods | again.methods | back.methods
    assert called | ELSEWHERE == set(own_methods())


def on_kops(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The same on kOps, where two clusters share a role. Returns the methods that were called."""
    world = kops_account.World()
    with monkeypatch.context() as patch:
        onboarding = Seen(patch)
        world.run()
        world.run(kops_account.PROD)
    kops_account.disturb(world)
    with monkeypatch.context() as patch:
        again = Seen(patch)
        world.run()
    assert onboarding.actions | again.actions == actions("onboard", "kops") - {"iam:SimulatePrincipalPolicy"}
    kops_account.leave_behind(world)
    with monkeypatch.context() as patch:
        back = Seen(patch)
        world.run(state="absent")
        world.run(kops_account.PROD, state="absent")
    assert back.actions == actions("remove", "kops")
    return onboarding.methods | again.methods | back.methods


def test_with_the_published_policies_everything_works_on_kops(world: World) -> None:
    account = kops_account.World()
    for phase, options in (("onboard", {}), ("remove", {"state": "absent"})):
        account.act_as(phase, for_cluster(phase, "kops", kops_account.SHOP))
        assert account.run(**options).actions != ()
        assert account.run(**options).actions == ()


def test_connecting_takes_one_look() -> None:
    assert actions("connect", "role") == {"eks:DescribeCluster"}


def test_a_path_is_beside_the_root_where_other_tools_put_everything() -> None:
    (role,) = [
        one for one in statements("onboard", "role", Scope("aws", HOME, "r", "c", "/a/")) if one["Sid"] == "Role"
    ]
    root = [f"arn:aws:iam::{HOME}:role{path}cast-eks-*" for path in ("/", "/a/")]
    assert role["Resource"][:2] == root


@pytest.mark.parametrize(
    ("partition", "service"), [("aws-cn", "ec2.amazonaws.com.cn"), ("aws-us-gov", "ec2.amazonaws.com")]
)
def test_other_partitions(partition: str, service: str) -> None:
    scope = Scope(partition, HOME, "r", "c")
    text = json.dumps(document("onboard", "user", scope))
    assert "arn:aws:" not in text
    assert f'"iam:PassedToService": "{service}"' in text


def test_what_is_simulated_is_what_is_published() -> None:
    for identity in ("role", "user", "kops"):
        asked = questions((READ, CREATE), identity, (), PLACE, ID, "vpc-1")
        asks = {action for grant in granted("onboard", identity) for action in grant.of((ASK,))}
        assert {action for one in asked for action in one.actions} == actions("onboard", identity) - asks
        merely = {action for one in asked for action in set(one.actions) - one.needed}
        assert merely == {action for grant in granted("onboard", identity) for action in grant.of((CHANGE,))}
        assert all("*" not in one.resource or one.resource == "*" for one in asked)
        assert len({tuple(sorted(one.context)) for one in asked}) == 1


@pytest.mark.parametrize(
    ("partition", "region", "of_iam"),
    [
        ("aws", "eu-central-1", "us-east-1"),
        ("aws-cn", "cn-northwest-1", "cn-north-1"),
        ("aws-us-gov", "us-gov-east-1", "us-gov-west-1"),
    ],
)
@pytest.mark.parametrize("identity", ["user", "kops"])
def test_a_question_is_of_the_region_that_the_call_goes_to(
    identity: str, partition: str, region: str, of_iam: str
) -> None:
    asked = questions((READ,), identity, (), Scope(partition, HOME, region, "c"), ID, "vpc-1")
    regions = {(action.split(":")[0], one.context["aws:RequestedRegion"]) for one in asked for action in one.actions}
    assert regions == {("iam", of_iam), ("ec2", region), *([("eks", region)] if identity == "user" else [])}


def test_what_is_brought_is_not_asked_for() -> None:
    asked = questions((READ,), "role", {"identity", "node_role", "profile", "group", "access"}, PLACE, ID, "vpc-1")
    assert [one.actions for one in asked] == [("eks:DescribeCluster",)]


@pytest.mark.parametrize("identity", ["role", "user", "kops"])
def test_a_plan_reads_all_that_onboarding_reads_and_writes_nothing(identity: str) -> None:
    reading = {action for grant in granted("onboard", identity) for action in grant.of((READ,))}
    planned = actions("plan", identity)
    assert reading <= planned
    assert all(action.partition(":")[2].startswith(("Describe", "Get", "List", "Simulate")) for action in planned)
    assert actions("connect", identity) <= planned


def test_one_policy_is_enough_for_the_plans_of_eks_whatever_the_identity() -> None:
    assert statements("plan", "role") == statements("plan", "user")
    assert file_name("plan", "role") == file_name("plan", "user") == "eks-plan.json"
    assert file_name("plan", "kops") == "kops-plan.json"


@pytest.mark.parametrize("identity", ["role", "user"])
def test_with_the_policy_of_a_plan_check_mode_foresees_everything(world: World, identity: str) -> None:
    foreseen = world.run(MODE, check=True, identity=identity).actions
    world.act_as("planner", for_cluster("plan", identity, CLUSTERS[MODE].name))
    assert [one.sentence for one in world.run(MODE, check=True, identity=identity).actions] == [
        one.sentence for one in foreseen
    ]
