# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which objects are read, and in how many rounds; test_eks_round tests the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils import _engine
from ansible_collections.castai.onboarding.plugins.module_utils._aws.eks_observed import Current, observe
from ansible_collections.castai.onboarding.plugins.module_utils._aws.names import iam_tags
from ansible_collections.castai.onboarding.plugins.module_utils._aws.systems import Systems
from ansible_collections.castai.onboarding.plugins.module_utils._engine import UNKNOWN, Ask
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws_iam import Policy, Principal, Profile

from .test_eks_iam import ACCOUNT, EKS, IAM, ID, OTHER, RECORD, desired

OTHERS = iam_tags("prod", OTHER)


class Answers:
    """AWS and CAST AI with a few objects, by the arguments that name them; everything else is absent."""

    def __init__(self, **things: Any) -> None:
        self.things = {"prod": EKS, ID: RECORD, **things}
        self.asked: list[tuple[str, ...]] = []

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        def answer(*arguments: str) -> Any:
            self.asked.append((verb, *arguments))
            if verb in ("describe_cluster", "get_cluster", "get_role", "get_user", "get_policy", "get_profile"):
                return self.things.get(arguments[0])
            return None

        return answer

    def observe(self, **options: Any) -> Current:
        return observe(Systems(self, self), desired(**options))  # type: ignore[arg-type]

    def names(self, verb: str) -> list[str]:
        return sorted(arguments[0] for name, *arguments in self.asked if name == verb)


ROLE, NODE_ROLE = "cast-eks-prod-cluster-role-5b0a1ff3", "cast-prod-eks-5b0a1ff3"
PLAIN = {name: f"{IAM}:policy/{name}-prod" for name in ("CastEKSPolicy", "CastEKSRestrictedAccess")}
OURS = {
    ROLE: Principal("role", ROLE, f"{IAM}:role/{ROLE}", {}, "", {}),
    "cast-eks-prod": Principal("user", "cast-eks-prod", f"{IAM}:user/cast-eks-prod", {}, "", {}),
    NODE_ROLE: Principal("role", NODE_ROLE, f"{IAM}:role/{NODE_ROLE}", {}, "", {}),
    **{arn: Policy(arn.rpartition("/")[2], arn, "v1", 1, {}) for arn in PLAIN.values()},
}


@pytest.mark.parametrize("identity", ["role", "user"])
@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize(("things", "rounds"), [(OURS, 3), ({}, 4)])
def test_other_names_cost_one_round_more_and_only_if_there_is_nothing_under_the_first(
    monkeypatch: pytest.MonkeyPatch, identity: str, state: str, things: Mapping[str, Any], rounds: int
) -> None:
    asked: list[Ask] = []

    class Kept(Ask):
        def __init__(self) -> None:
            super().__init__()
            asked.append(self)

    monkeypatch.setattr(_engine, "Ask", Kept)
    Answers(**things).observe(identity=identity, state=state)
    assert sum(bool(ask.answers) for ask in asked) == rounds


@pytest.mark.parametrize("hand_over_alone", [False, True])
def test_what_exists_under_its_first_name_is_not_sought_under_others(hand_over_alone: bool) -> None:
    answers = Answers(**OURS)
    answers.observe(**{"prepare": False} if hand_over_alone else {})
    assert answers.names("get_role") == [ROLE, *[NODE_ROLE] * (not hand_over_alone)]
    assert answers.names("get_policy") == [PLAIN["CastEKSPolicy"]] * (not hand_over_alone)


@pytest.mark.parametrize("identity", ["role", "user"])
def test_what_has_an_unknown_id_is_not_asked_for(identity: str) -> None:
    answers = Answers()
    current = answers.observe(identity=identity, cluster_id=UNKNOWN)
    assert current.record is None
    assert not any(UNKNOWN in argument for asked in answers.asked for argument in asked)
    assert answers.names("get_cluster") == answers.names("get_principal") == []
    assert "castai-eks-instance-prod" in answers.names("get_role")


def test_role_mode_asks_for_every_name_that_a_tool_gives() -> None:
    answers = Answers()
    current = answers.observe()
    assert answers.names("get_role") == [
        "cast-eks-prod-cluster-role-5b0a1ff3",
        "cast-eks-prod-node-role",
        "cast-eks-prod-role-5b0a1ff3",
        "cast-prod-eks-5b0a1ff3",
        "castai-eks-instance-prod",
        "castai-eks-prod",
    ]
    assert answers.names("get_profile") == [
        "cast-eks-prod-profile-5b0a1ff3",
        "cast-prod-eks-5b0a1ff3",
        "castai-eks-instance-prod",
    ]
    assert answers.names("get_user") == answers.names("list_keys") == []
    assert current.identity.name == "cast-eks-prod-cluster-role-5b0a1ff3"
    assert current.nodes.role_name == current.nodes.profile_name == "cast-prod-eks-5b0a1ff3"
    assert current.managed.arn == f"{IAM}:policy/CastEKSPolicy-prod"


def test_the_recorded_role_comes_first_but_is_not_made_again() -> None:
    record = replace(RECORD, facts={**RECORD.facts, "assumeRoleArn": f"{IAM}:role/theirs"})
    there = Principal("role", "theirs", f"{IAM}:role/theirs", {}, "", {})
    found = Answers(**{ID: record, "theirs": there}).observe().identity
    assert (found.name, found.maker) == ("theirs", "another tool")
    gone = Answers(**{ID: record}).observe().identity
    assert (gone.name, gone.principal) == ("cast-eks-prod-cluster-role-5b0a1ff3", None)


def test_a_plain_name_that_another_cluster_has_is_left_to_it() -> None:
    arn = f"{IAM}:policy/CastEKSPolicy-prod"
    user = Principal("user", "cast-eks-prod", f"{IAM}:user/cast-eks-prod", OTHERS, "", {})
    policy = Policy("CastEKSPolicy-prod", arn, "v1", 1, OTHERS)
    current = Answers(**{"cast-eks-prod": user, arn: policy}).observe(identity="user")
    assert current.identity.name == "cast-eks-prod-5b0a1ff3"
    assert current.managed.name == "CastEKSPolicy-prod-5b0a1ff3"
    assert current.restricted.name == "CastEKSRestrictedAccess-prod"


def test_a_policy_is_found_under_our_path_and_under_none() -> None:
    answers = Answers()
    assert answers.observe(path="/x/").managed.arn == f"{IAM}:policy/x/CastEKSPolicy-prod"
    bare = f"{IAM}:policy/CastEKSPolicy-prod"
    found = Answers(**{bare: Policy("CastEKSPolicy-prod", bare, "v1", 1, {})}).observe(path="/x/")
    assert found.managed.arn == bare
    assert len(answers.names("get_policy")) == 4


def test_what_is_brought_is_all_that_is_asked_for() -> None:
    arn = f"{IAM}:instance-profile/mine"
    profile = Profile("mine", arn, "r", f"arn:aws:iam::{ACCOUNT}:role/r", {})
    answers = Answers(mine=profile)
    current = answers.observe(
        role_arn=f"{IAM}:role/x/cast", instance_profile_arn=arn, security_group_id="sg-1", policy_scope="account"
    )
    assert answers.names("get_role") == ["cast"]
    assert answers.names("get_profile") == ["mine"]
    assert answers.names("find_group") == []
    assert ("get_access_entry", "prod", profile.role_arn) in answers.asked
    assert current.identity.name == "cast"
    left_by_another_scope = (f"{IAM}:policy/{name}" for name in ("CastEKSPolicy-prod", "CastEKSPolicy-prod-5b0a1ff3"))
    assert sorted(answers.names("get_policy")) == [f"{IAM}:policy/CastEKSPolicy", *left_by_another_scope]
