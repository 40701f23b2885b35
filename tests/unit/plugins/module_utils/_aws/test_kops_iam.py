# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""castai_iam_kops against the local AWS and CAST AI: onboarding and removal, killed anywhere, next to other
clusters."""

from __future__ import annotations

import functools
import itertools
import json
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils import _keys
from ansible_collections.castai.onboarding.plugins.module_utils._aws import kops_iam
from ansible_collections.castai.onboarding.plugins.module_utils._aws.kops_iam import Current, plan
from ansible_collections.castai.onboarding.plugins.module_utils._aws.names import SPOT_LAMBDA_ROLE
from ansible_collections.castai.onboarding.plugins.module_utils._engine import (
    UNKNOWN,
    CallFailed,
    Refused,
    Stopped,
    until,
)
from ansible_collections.castai.onboarding.plugins.module_utils._gateways import aws_session as gateway
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws_ec2 import Instance
from tests.unit.sandbox.aws_account import PARAMETERS, sentences
from tests.unit.sandbox.aws_client import HOME, allow, trust
from tests.unit.sandbox.kops_account import CLUSTERS, IDS, PROD, SHOP, USER, World, world

__all__ = ["world"]


@pytest.mark.parametrize("scope", ["cluster", "account"])
@pytest.mark.parametrize("name", CLUSTERS)
def test_there_and_back(world: World, name: str, scope: str) -> None:
    before = world.cloud.state()
    options = {"path": "/vendors/", "tags": {"team": "a"}, "policy_scope": scope}
    predicted = world.run(name, check=True, **options)
    assert world.cloud.state() == before
    done = world.run(name, **options)
    assert (sentences(done), done.view) == (sentences(predicted), predicted.view)
    assert sentences(world.run(name, **options)) == []
    assert len(world.keys(done.view["access"]["aws_auth"][0]["username"])) == 1
    after = world.cloud.state()
    world.api.control("disconnect", cluster_id=IDS[name])
    back = world.run(name, check=True, state="absent", **options)
    assert world.cloud.state() == after
    assert {key: back.view[key] for key in ("access", "identity_arn")} == {
        key: done.view[key] for key in ("access", "identity_arn")
    }
    assert sentences(world.run(name, state="absent", **options)) == sentences(back)
    assert sentences(world.run(name, state="absent", **options)) == []
    left = world.cloud.state()
    shared = left[HOME]["iam"]["policies"].pop(f"arn:aws:iam::{HOME}:policy/vendors/CastKopsPolicyV2", None)
    assert (bool(shared), left) == (scope == "account", before)


def test_a_run_that_was_ended_anywhere_is_taken_up_where_it_ended(world: World) -> None:
    whole = sentences(world.run(check=True))
    done = [sentences(world.run(ended_after=1)) for _write in whole]
    assert done == [[sentence] for sentence in whole]
    assert sentences(world.run()) == []


def test_ended_after_any_of_its_writes_it_ends_as_an_undisturbed_run(world: World) -> None:
    world.run()
    undisturbed = world.state()
    for last in itertools.count(1):
        world.reset()
        if not world.run_until(last):
            break
        world.run()
        assert world.state() == undisturbed
    assert last > len(sentences(world.run(PROD)))


def test_in_two_steps_it_is_the_same(world: World) -> None:
    whole = sentences(world.run(check=True))
    first, last = sentences(world.run(hand_over=False)), sentences(world.run(prepare=False))
    assert [*first, *last] == whole


@pytest.mark.parametrize("before", ["script", "ours, key", "script, taken over, key"])
def test_cast_ais_key_lives_after_every_write(world: World, before: str) -> None:
    steps = {
        "script": lambda: world.script("CastKopsPolicyV2"),
        "key": world.script_again,
        "ours": world.run,
        "taken over": lambda: world.run(adopt=True, hand_over=False),
    }

    def lead_up() -> None:
        for step in before.split(", "):
            steps[step]()

    world.check_key_after_every_write(USER, lead_up, adopt=True)


def no_answer(*_arguments: str) -> None:
    raise CallFailed("no answer")


def test_four_onboardings_of_which_one_fails_at_the_hand_over_leave_one_key(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as failing:
        failing.setattr(_keys, "READ_BACK_SECONDS", 0.0)
        failing.setattr(world.castai, "set_key", no_answer)
        with pytest.raises(Stopped, match="no answer"):
            world.run()
    (orphan,) = world.keys(USER)
    for _time in range(3):
        world.run()
    (key,) = world.keys(USER)
    assert key != orphan
    assert list(world.api.state()["access_keys"].values()) == [key]


def test_other_peoples_roles_and_policies_are_not_touched(world: World) -> None:
    """CAST AI's script tags every role whose name ends in -lambda-role, so that CAST AI may delete it."""
    world.iam.create_role(
        RoleName="customer-lambda-role", AssumeRolePolicyDocument=trust(), Tags=[{"Key": "team", "Value": "a"}]
    )
    world.iam.create_role(RoleName=SPOT_LAMBDA_ROLE, AssumeRolePolicyDocument=trust())
    roles = world.cloud.state()[HOME]["iam"]["roles"]
    done = world.run()
    assert world.cloud.state()[HOME]["iam"]["roles"] == roles
    assert f"Role {SPOT_LAMBDA_ROLE} exists without the tag" in done.view["warnings"][0]
    world.run(state="absent")
    assert world.cloud.state()[HOME]["iam"]["roles"] == roles


def test_clusters_of_one_account_share_the_lambda_role_and_nothing_else(world: World) -> None:
    before = world.cloud.state()
    world.run(SHOP)
    alone = world.cloud.state()
    second = sentences(world.run(PROD))
    assert f"create role {SPOT_LAMBDA_ROLE}, which CAST AI's functions run with" not in second
    assert f"tag role {SPOT_LAMBDA_ROLE}" in second
    assert sentences(world.run(SHOP)) == []
    back = world.run(PROD, state="absent")
    assert back.view["kept"] == [f"role {SPOT_LAMBDA_ROLE}: clusters {SHOP} use it"]
    assert f"remove the tag of cluster {PROD} from role {SPOT_LAMBDA_ROLE}" in sentences(back)
    assert world.cloud.state() == alone
    world.run(PROD)
    world.run(SHOP, state="absent")
    assert sentences(world.run(PROD)) == []
    world.run(PROD, state="absent")
    assert world.cloud.state() == before


def test_clusters_removed_at_the_same_time_leave_no_lambda_role(world: World) -> None:
    """Each sees the tag of the other and only removes its own."""
    before = world.cloud.state()
    for name in (SHOP, PROD):
        world.run(name)
    events, event = world.aws._client("iam").meta.events, "before-call.iam.UntagRole"

    def rival(**_call: Any) -> None:
        events.unregister(event, rival)
        assert world.run(PROD, state="absent").view["kept"] == [f"role {SPOT_LAMBDA_ROLE}: clusters {SHOP} use it"]

    events.register(event, rival)
    assert f"delete role {SPOT_LAMBDA_ROLE}" in sentences(world.run(SHOP, state="absent"))
    assert world.cloud.state() == before


def test_a_lambda_role_that_another_host_makes_at_the_same_time_is_shared(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sleep(seconds: float) -> None:
        world.clock.ahead += seconds

    monkeypatch.setattr(gateway, "until", functools.partial(until, sleep=sleep))
    world.cloud.set_visibility(seconds=10)
    events, event = world.aws._client("iam").meta.events, "before-call.iam.CreateRole"

    marks = {"cast:managed-by": "cast.ai", f"castai-onboarding:used-by:{IDS[PROD]}": PROD}

    def rival(**_call: Any) -> None:
        events.unregister(event, rival)
        tags = [{"Key": key, "Value": value} for key, value in marks.items()]
        world.iam.create_role(RoleName=SPOT_LAMBDA_ROLE, AssumeRolePolicyDocument=trust(), Tags=tags)

    events.register(event, rival)
    world.run(SHOP, hand_over=False)
    tags = {tag["Key"] for tag in world.iam.get_role(RoleName=SPOT_LAMBDA_ROLE)["Role"]["Tags"]}
    assert tags == {*marks, f"castai-onboarding:used-by:{IDS[SHOP]}"}
    assert sentences(world.run(SHOP, hand_over=False)) == []


def test_a_lambda_role_that_the_script_made_is_used_and_left(world: World) -> None:
    tags = [{"Key": "cast:managed-by", "Value": "cast.ai"}]
    world.iam.create_role(RoleName=SPOT_LAMBDA_ROLE, AssumeRolePolicyDocument=trust(), Tags=tags)
    world.run()
    back = world.run(check=True, state="absent")
    assert f"delete role {SPOT_LAMBDA_ROLE}" not in sentences(back)
    assert back.view["kept"] == [f"role {SPOT_LAMBDA_ROLE}: it existed before"]


def fill_tags(world: World) -> None:
    """As many clusters as the lambda role can have tags."""
    held = world.iam.get_role(RoleName=SPOT_LAMBDA_ROLE)["Role"]["Tags"]
    further = [{"Key": f"team-{number}", "Value": "a"} for number in range(len(held), 50)]
    world.iam.tag_role(RoleName=SPOT_LAMBDA_ROLE, Tags=further)


def test_a_lambda_role_without_room_for_a_mark_is_used_without(world: World) -> None:
    world.run(SHOP)
    fill_tags(world)
    second = world.run(PROD)
    assert not [one for one in sentences(second) if SPOT_LAMBDA_ROLE in one]
    (warning,) = second.view["warnings"]
    assert warning.startswith(f"Role {SPOT_LAMBDA_ROLE} has 50 tags, which is IAM's limit, so cluster {PROD} uses")
    assert "warnings" not in world.run(SHOP).view
    back = world.run(SHOP, state="absent")
    assert back.view["kept"] == [f"role {SPOT_LAMBDA_ROLE}: it has 50 tags, so clusters without one may use it"]
    assert f"delete role {SPOT_LAMBDA_ROLE}" not in sentences(back)


SCRIPTS = pytest.mark.parametrize(
    ("policies", "inline"),
    [
        (["CastKopsPolicyV2"], "CastKopsRestrictedAccess"),
        (["CASTKopsPolicyV2"], "CASTKopsRestrictedaccess"),
        (["CastKopsPolicy"], "CastKopsRestrictedAccess"),
        (["CASTKopsPolicyV2", "CASTKopsRestrictedaccess"], "CASTKopsRestrictedaccess"),
    ],
)


@SCRIPTS
def test_what_the_script_made_is_taken_over_in_any_spelling(world: World, policies: list[str], inline: str) -> None:
    key = world.script(*policies, inline=inline)
    with pytest.raises(Refused, match=f"User {USER} has no tag that shows which cluster it belongs to"):
        world.run()
    done = world.run(adopt=True)
    assert done.view["adopted"] == {USER: "the onboarding script"}
    assert {f"CastKopsPolicyV2-{SHOP}", f"CastKopsRestrictedAccess-{SHOP}"} <= world.attached()
    assert not world.attached() & set(policies)
    assert world.iam.list_user_policies(UserName=USER)["PolicyNames"] == []
    assert [world.document(policy) for policy in policies] == [json.dumps(allow("ec2:*"))] * len(policies)
    (now,) = world.keys(USER)
    assert now != key
    assert sentences(done)[-1] == f"delete access key {key} of user {USER}, which the new one replaces"
    assert sentences(world.run()) == []


@SCRIPTS
def test_the_scripts_user_goes_and_its_shared_policies_stay(world: World, policies: list[str], inline: str) -> None:
    world.script(*policies, inline=inline)
    back = world.run(state="absent", adopt=True)
    assert (sentences(back)[-1], back.view["kept"]) == (f"delete user {USER}", [])
    assert [world.document(policy) for policy in policies] == [json.dumps(allow("ec2:*"))] * len(policies)


def test_the_shared_policy_is_used_in_the_spelling_that_is_there(world: World) -> None:
    world.script("CASTKopsPolicyV2")
    done = world.run(adopt=True, policy_scope="account")
    assert "CASTKopsPolicyV2" in world.attached()
    (warning,) = done.view["warnings"]
    assert warning.startswith(
        "Policy CASTKopsPolicyV2, which the clusters of the account share, differs from the expected"
    )


def test_a_cluster_that_shares_the_accounts_policy_from_now_on_has_none_of_its_own(world: World) -> None:
    before = world.cloud.state()
    world.run()
    own = f"CastKopsPolicyV2-{SHOP}"
    assert f"detach {own} from user {USER}" in sentences(world.run(policy_scope="account"))
    assert sentences(world.run(policy_scope="account")) == []
    back = world.run(policy_scope="account", state="absent")
    assert back.view["kept"] == ["policy CastKopsPolicyV2: the clusters of the account share it"]
    left = world.cloud.state()
    del left[HOME]["iam"]["policies"][f"arn:aws:iam::{HOME}:policy/CastKopsPolicyV2"]
    assert left == before


def test_what_a_cluster_had_of_its_own_goes_after_a_change_of_scope(world: World) -> None:
    world.run()
    back = world.run(policy_scope="account", state="absent")
    assert back.view["kept"] == []
    assert {f"delete user {USER}", f"delete policy CastKopsPolicyV2-{SHOP}"} <= {*sentences(back)}


def test_subnets_are_granted_in_the_clusters_vpc_only(world: World) -> None:
    vpc = world.run().view["vpc_id"]
    assert ":subnet/" not in world.document(f"CastKopsPolicyV2-{SHOP}")
    restricted = json.loads(world.document(f"CastKopsRestrictedAccess-{SHOP}"))["Statement"]
    (statement,) = [one for one in restricted if "subnet/*" in one["Resource"][0]]
    assert statement["Condition"] == {"StringEquals": {"ec2:Vpc": f"arn:aws:ec2:eu-central-1:{HOME}:vpc/{vpc}"}}
    world.run(PROD, policy_scope="account")
    assert f"arn:aws:ec2:*:{HOME}:subnet/*" in world.document("CastKopsPolicyV2")


def test_a_user_of_another_cluster_is_left_alone(world: World) -> None:
    world.run(PROD)
    world.iam.create_user(UserName=USER, Tags=[{"Key": "cast:cluster-id", "Value": IDS[PROD]}])
    done = world.run()
    mine = f"arn:aws:iam::{HOME}:user/{USER}-{IDS[SHOP][:8]}"
    assert done.view["identity_arn"] == mine
    assert world.keys(USER) == []
    assert world.run(state="absent").view["access"]["aws_auth"][0]["user_arn"] == mine


def test_the_entry_of_a_user_that_stays_is_left_in_aws_auth(world: World) -> None:
    world.script()
    back = world.run(state="absent")
    assert back.view["access"]["aws_auth"] == []
    assert back.view["kept"][0].startswith(f"user {USER}: it has no tag that shows")


def test_a_user_without_access_loses_its_entry_in_aws_auth(world: World) -> None:
    def entries(**more: Any) -> list[Any]:
        return list(world.run(check=True, user_access="none", **more).view["access"]["aws_auth"])

    assert entries() == []
    (entry,) = world.run().view["access"]["aws_auth"]
    assert entries() == [{**entry, "state": "absent"}]
    assert entries(state="absent") == [entry]


def test_a_user_that_cast_ai_works_with_is_not_removed(world: World) -> None:
    world.run()
    before = world.cloud.state()
    for check in (True, False):
        with pytest.raises(Refused, match=f"^CAST AI still manages cluster {IDS[SHOP]} .* or set force to true"):
            world.run(check=check, state="absent", force=False)
    assert world.cloud.state() == before
    world.api.control("disconnect", cluster_id=IDS[SHOP])
    assert sentences(world.run(state="absent", force=False))[-1] == f"delete role {SPOT_LAMBDA_ROLE}"


def desired(**changes: Any) -> kops_iam.Desired:
    own = {"force": False, "provider": "kops", "cluster_name": SHOP, "cluster_id": IDS[SHOP], "spot_lambda_role": True}
    return kops_iam.desired({**PARAMETERS, **own, **changes})


REFUSALS: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "nothing running": ([], {}, f"EC2 has no running instance with tag KubernetesCluster={SHOP} in eu-central-1"),
    "several VPCs": (["vpc-1", "vpc-2"], {}, "are in several VPCs, vpc-1, vpc-2, so some belong to another cluster"),
    "another account": (
        ["vpc-1"],
        {"account_id": "444455556666"},
        "castai_account_id (option account_id) is 444455556666, but",
    ),
    "not registered": (["vpc-1"], {"cluster_id": IDS[PROD]}, f"CAST AI has no cluster {IDS[PROD]}"),
}


@pytest.mark.parametrize(("vpcs", "options", "sentence"), REFUSALS.values(), ids=REFUSALS)
def test_what_is_not_this_cluster_is_refused(vpcs: list[str], options: dict[str, Any], sentence: str) -> None:
    instances = tuple(Instance(f"i-{vpc}", HOME, vpc) for vpc in vpcs)
    wanted = desired(**{"cluster_id": UNKNOWN, **options})
    with pytest.raises(Refused) as refusal:
        list(plan(Current(f"arn:aws:iam::{HOME}:user/operator", instances, None), wanted))
    assert sentence in str(refusal.value)


def test_the_record_of_another_cluster_is_refused(world: World) -> None:
    with pytest.raises(
        Refused,
        match=(
            rf"is kOps cluster {PROD} of state store \S+ in \S+, not kOps cluster {SHOP}. Correct"
            r" castai_cluster_id \(option cluster_id\) or"
        ),
    ):
        world.run(cluster_id=IDS[PROD])


def test_bad_options_are_refused_all_at_once() -> None:
    with pytest.raises(Refused) as refusal:
        desired(cluster_name="shop", path="vendors", region=None, permissions_boundary="x")
    for sentence in (
        "must be a full DNS name",
        "castai_iam_path (option path) is 'vendors'",
        "castai_region (option region) is not set",
        "castai_permissions_boundary (option permissions_boundary) is 'x'",
    ):
        assert sentence in str(refusal.value)
