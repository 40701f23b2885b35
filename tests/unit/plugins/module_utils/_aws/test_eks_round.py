# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""castai_iam_eks against the local AWS and CAST AI, onboarding and removal: reads and writes together."""

from __future__ import annotations

import difflib
import functools
import itertools
import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils import _keys
from ansible_collections.castai.onboarding.plugins.module_utils._aws.keys import TAG_CREDENTIALS
from ansible_collections.castai.onboarding.plugins.module_utils._aws.names import SPOT_LAMBDA_ROLE
from ansible_collections.castai.onboarding.plugins.module_utils._engine import CallFailed, Refused, Stopped, until
from ansible_collections.castai.onboarding.plugins.module_utils._gateways import aws_session as gateway
from ansible_collections.castai.onboarding.plugins.module_utils._gateways import castai
from tests.sandbox.aws.eks import find_cluster
from tests.sandbox.normal import difference
from tests.unit.sandbox.aws_account import Direct, sentences
from tests.unit.sandbox.aws_client import HOME, allow, trust
from tests.unit.sandbox.eks_account import CLUSTERS, World, world

__all__ = ["world"]

ALLOW = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}}


@pytest.mark.parametrize("identity", ["role", "user"])
@pytest.mark.parametrize("mode", CLUSTERS)
def test_there_and_back(world: World, mode: str, identity: str) -> None:
    before = world.cloud.state()
    options = {"identity": identity, "path": "/vendors/", "tags": {"team": "a"}}
    predicted = world.run(mode, check=True, **options)
    assert world.cloud.state() == before
    done = world.run(mode, **options)
    assert sentences(done) == sentences(predicted) != []
    assert sentences(world.run(mode, **options)) == []
    assert done.view == {**predicted.view, "security_group_id": done.view["security_group_id"]} | (
        {} if identity == "user" else {"principal_arn": done.view["principal_arn"]}
    )
    after = world.cloud.state()
    world.disconnect(mode)
    back = world.run(mode, check=True, state="absent", **options)
    assert world.cloud.state() == after
    assert back.view == {"kept": [], **{key: done.view[key] for key in ("access", "identity_arn")}}
    assert sentences(world.run(mode, state="absent", **options)) == sentences(back)
    assert world.cloud.state() == before
    again = world.run(mode, state="absent", **options)
    assert (sentences(again), again.view) == ([], back.view)


def test_users_that_ask_for_it_share_the_role_for_spot_interruptions(world: World) -> None:
    before = world.cloud.state()
    options = {"identity": "user", "spot_lambda_role": True}
    made = sentences(world.run("API", **options))
    assert f"create role {SPOT_LAMBDA_ROLE}, which CAST AI's functions run with" in made
    second = sentences(world.run("CONFIG_MAP", **options))
    assert [one for one in second if SPOT_LAMBDA_ROLE in one] == [f"tag role {SPOT_LAMBDA_ROLE}"]
    assert sentences(world.run("API", **options)) == []
    back = world.run("API", state="absent", **options)
    assert back.view["kept"] == [f"role {SPOT_LAMBDA_ROLE}: clusters {CLUSTERS['CONFIG_MAP'].name} use it"]
    world.run("CONFIG_MAP", state="absent", **options)
    assert world.cloud.state() == before


def test_castais_role_has_no_role_for_spot_interruptions(world: World) -> None:
    with pytest.raises(
        Refused,
        match=(
            r"castai_spot_lambda_role \(option spot_lambda_role\) only works with identity user. Leave it out, or set"
        ),
    ):
        world.run("API", spot_lambda_role=True)


@pytest.mark.parametrize("identity", ["role", "user"])
def test_in_two_steps_it_is_the_same(world: World, identity: str) -> None:
    whole = sentences(world.run("API", check=True, identity=identity))
    first = sentences(world.run("API", identity=identity, hand_over=False))
    last = sentences(world.run("API", check=True, identity=identity, prepare=False))
    assert [*first, *last] == whole
    assert sentences(world.run("API", identity=identity, prepare=False)) == last


@pytest.mark.parametrize("identity", ["role", "user"])
def test_a_run_that_was_ended_anywhere_is_taken_up_where_it_ended(world: World, identity: str) -> None:
    options = {"identity": identity}
    whole = sentences(world.run("API_AND_CONFIG_MAP", check=True, **options))
    done = [sentences(world.run("API_AND_CONFIG_MAP", ended_after=1, **options)) for _write in whole]
    assert done == [[sentence] for sentence in whole]
    assert sentences(world.run("API_AND_CONFIG_MAP", **options)) == []


@pytest.mark.parametrize("identity", ["role", "user"])
def test_ended_after_each_write_in_turn_a_rerun_ends_in_the_same_state(world: World, identity: str) -> None:
    world.run("API", identity=identity)
    undisturbed = world.state()
    for last in itertools.count(1):
        world.reset()
        if not world.run_until(last, "API", identity=identity):
            break
        world.run("API", identity=identity)
        assert difference(undisturbed, world.state()) == "", last
    assert last > 15


@pytest.mark.parametrize("identity", ["role", "user"])
def test_what_aws_does_not_show_yet_is_waited_for(world: World, identity: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "until", functools.partial(until, sleep=lambda _seconds: None))
    predicted = sentences(world.run("API", check=True, identity=identity))
    world.cloud.set_visibility(uses=2)
    assert sentences(world.run("API", identity=identity)) == predicted
    world.cloud.set_visibility()
    assert sentences(world.run("API", identity=identity)) == []


def test_who_is_made_again_gets_in(world: World) -> None:
    """The entry of a deleted role or user stays, and does not admit a new one with the same name."""
    view = world.run("API", identity="user").view
    arns = view["identity_arn"], view["node_role_arn"]

    def get_in() -> list[bool]:
        return [world.cloud.kubernetes_user(CLUSTERS["API"], arn, None) is not None for arn in arns]

    undisturbed = world.state()
    for arn in arns:
        world.lose(arn)
    assert get_in() == [False, False]
    dead = [f"delete the access entry of {arn} in cluster c-api, whose role or user is gone" for arn in arns]
    for sentence in dead:
        assert sentences(world.run("API", identity="user", ended_after=1)) == [sentence]
    world.run("API", identity="user")
    assert get_in() == [True, True]
    assert difference(undisturbed, world.state()) == ""


@pytest.mark.parametrize("brought", [False, True])
def test_who_was_made_again_by_others_gets_in(world: World, monkeypatch: pytest.MonkeyPatch, brought: bool) -> None:
    """Created by hand or by Terraform: the entry exists, has the right type, and admits nobody."""
    options = {"identity": "user", "adopt": True}
    view = world.run("API", **options).view
    arns = [view["identity_arn"], view["node_role_arn"]]
    if brought:
        options["node_role_arn"] = arns[1]
    for arn in arns:
        world.lose(arn)
    with monkeypatch.context() as later:
        later.setattr("moto.iam.models.utcnow", lambda: datetime.now(timezone.utc).replace(tzinfo=None) + HOUR)
        world.iam.create_user(UserName=arns[0].rpartition("/")[2])
        world.iam.create_role(RoleName=arns[1].rpartition("/")[2], AssumeRolePolicyDocument=trust())

    def get_in() -> list[bool]:
        return [world.cloud.kubernetes_user(CLUSTERS["API"], arn, None) is not None for arn in arns]

    assert get_in() == [False, False]
    done = sentences(world.run("API", check=True, **options))
    assert done[:2] == [
        f"delete the access entry of {arn} in cluster c-api, whose role or user is gone" for arn in arns
    ]
    assert sentences(world.run("API", **options)) == done
    assert get_in() == [True, True]


HOUR = timedelta(hours=1)


def test_dead_entries_go_on_the_way_back(world: World) -> None:
    before = world.cloud.state()
    view = world.run("API", identity="user").view
    for arn in (view["identity_arn"], view["node_role_arn"]):
        world.lose(arn)
    world.run("API", identity="user", state="absent")
    assert world.cloud.state() == before


def test_what_cast_ais_nodes_run_with_is_not_removed(world: World) -> None:
    done = world.run("API")
    profile, group = done.view["instance_profile_arn"], done.view["security_group_id"]
    subnet = world.ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc_of(world, group)]}])["Subnets"][0]
    node = world.ec2.run_instances(
        ImageId="ami-12345678",
        MinCount=1,
        MaxCount=1,
        IamInstanceProfile={"Arn": profile},
        SecurityGroupIds=[group],
        SubnetId=subnet["SubnetId"],
    )["Instances"][0]["InstanceId"]
    before = world.cloud.state()
    for disconnected, sentence in ((False, "still manages cluster"), (True, f"^Instances {node} use")):
        if disconnected:
            world.disconnect("API")
        for check in (True, False):
            with pytest.raises(Refused, match=sentence):
                world.run("API", check=check, state="absent", force=False)
        assert world.cloud.state() == before
    with pytest.raises(Refused, match=f"^Instances {node} use"):
        world.run("API", state="absent", force=True)
    world.ec2.terminate_instances(InstanceIds=[node])
    assert world.run("API", check=True, state="absent", force=False).view["kept"] == []


def vpc_of(world: World, group: str) -> str:
    return str(world.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["VpcId"])


def test_a_security_group_in_use_stops_the_way_back_before_anything_went(world: World) -> None:
    group = world.run("API").view["security_group_id"]
    subnet = world.ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc_of(world, group)]}])["Subnets"][0]
    world.ec2.create_network_interface(SubnetId=subnet["SubnetId"], Groups=[group])
    before = world.cloud.state()
    name = "cast-c-api-cluster/CastNodeSecurityGroup"
    sentence = rf"^Could not delete security group {name} \(ec2:DeleteSecurityGroup\): DependencyViolation: "
    with pytest.raises(Stopped, match=sentence):
        world.run("API", state="absent")
    assert world.cloud.state() == before


def test_a_node_role_that_is_in_another_profile_stays_whole(world: World) -> None:
    role = world.run("API").view["node_role_arn"].rpartition("/")[2]
    world.iam.create_instance_profile(InstanceProfileName="theirs")
    world.iam.add_role_to_instance_profile(InstanceProfileName="theirs", RoleName=role)
    attached = world.attached(role)
    back = world.run("API", state="absent")
    assert all(kept.endswith("it is in instance profile theirs too") for kept in back.view["kept"])
    assert len(back.view["kept"]) == 2
    assert world.attached(role) == attached
    assert sentences(world.run("API", state="absent")) == []


@pytest.mark.parametrize("before", ["script", "ours, script", "script, taken over, script"])
def test_cast_ais_key_lives_after_every_write(world: World, before: str) -> None:
    options = {"identity": "user", "adopt": True}
    steps = {
        "script": lambda: world.api.seed_script_world("c-api", "user"),
        "ours": lambda: world.run("API", **options),
        "taken over": lambda: world.run("API", hand_over=False, **options),
    }

    def lead_up() -> None:
        for step in before.split(", "):
            steps[step]()

    world.check_key_after_every_write("cast-eks-c-api", lead_up, "API", **options)


WRITES = {
    "iam": ("CreatePolicy", "CreateRole", "CreateUser", "CreateInstanceProfile", "AddRoleToInstanceProfile"),
    "ec2": ("CreateSecurityGroup", "AuthorizeSecurityGroupIngress"),
    "eks": ("CreateAccessEntry",),
}


@pytest.mark.parametrize("identity", ["role", "user"])
def test_a_second_operator_at_the_same_time_is_no_failure(world: World, identity: str) -> None:
    """A rival that does all of it just before one of our writes: the new state is read, and planned again."""
    world.run("API", identity=identity)
    undisturbed = world.state()
    for service, operations in WRITES.items():
        for operation in operations:
            if operation == ("CreateUser" if identity == "role" else "CreateRole"):
                continue
            world.reset()
            events, event = world.aws._client(service).meta.events, f"before-call.{service}.{operation}"

            def rival(events: Any = events, event: str = event, **_call: Any) -> None:
                events.unregister(event, rival)
                world.run("API", identity=identity, hand_over=False)

            events.register(event, rival)
            world.run("API", identity=identity, hand_over=False)
            world.run("API", identity=identity, prepare=False)
            assert difference(undisturbed, world.state()) == "", operation


def test_a_principal_that_a_second_operator_makes_is_used(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    create = world.castai.create_principal

    def both(cluster_id: str) -> str:
        monkeypatch.setattr(world.castai, "create_principal", create)
        world.run("API")
        return create(cluster_id)

    monkeypatch.setattr(world.castai, "create_principal", both)
    done = world.run("API")
    assert done.view["principal_arn"] in world.api.state()["assume_role_principals"].values()
    assert sentences(world.run("API")) == []


def no_answer(*_arguments: str) -> None:
    raise CallFailed("no answer")


def test_a_hand_over_that_fails_leaves_one_key_in_the_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_keys, "READ_BACK_SECONDS", 0.0)
    world.run("API", identity="user")
    first = world.keys("cast-eks-c-api")
    world.iam.update_access_key(UserName="cast-eks-c-api", AccessKeyId=first[0], Status="Inactive")
    with monkeypatch.context() as failing:
        failing.setattr(world.castai, "set_key", no_answer)
        with pytest.raises(Stopped, match="no answer"):
            world.run("API", identity="user")
    assert len(world.keys("cast-eks-c-api")) == 2
    world.run("API", identity="user")
    (left,) = world.keys("cast-eks-c-api")
    assert left not in first
    assert list(world.api.state()["access_keys"].values()) == [left]
    assert sentences(world.run("API", identity="user")) == []


@pytest.mark.parametrize("vintage", ["newest", "older", "terraform", "pulumi"])
def test_what_another_tool_made_is_taken_over(world: World, vintage: str) -> None:
    name = CLUSTERS["API"].name
    other = world.api.seed_script_world("c-both", "newest")
    made = world.api.seed_script_world(name, vintage)
    roles, profiles, groups = world.names()
    role, node = (made[kind].rpartition("/")[2] for kind in ("role_arn", "node_role_arn"))
    adopt = vintage in ("terraform", "pulumi")
    if adopt:
        with pytest.raises(
            Refused,
            match=(
                "has no tag that shows which cluster it belongs to. Set"
                r" castai_adopt \(option adopt\) to true"
            ),
        ):
            world.run("API")
    predicted = world.run("API", check=True, adopt=adopt).view["adopted"]
    done = world.run("API", adopt=adopt)
    assert done.view["adopted"] == predicted
    assert world.names()[:2] == (roles, profiles)
    assert len(world.names()[2] - groups) == adopt
    assert not any(sentence.startswith(("create role", "create instance profile")) for sentence in sentences(done))
    assert (done.view["identity_arn"], done.view["node_role_arn"]) == (made["role_arn"], made["node_role_arn"])
    assert done.view["instance_profile_arn"] == made["profile_arn"]
    makers = {"terraform": {"Terraform"}, "pulumi": {"Pulumi"}}.get(vintage, {"the onboarding script"})
    assert set(done.view["adopted"].values()) == makers
    assert ("cast-c-api-cluster/CastNodeSecurityGroup" in done.view["adopted"]) is not adopt
    assert sentences(world.run("API", adopt=adopt)) == []
    assert {"CastEKSPolicy-c-api", "AmazonEC2ReadOnlyAccess"} <= world.attached(role)
    assert "CastEKSPolicy" not in world.attached(role)
    assert "CastEKSPolicy" in world.attached(other["role_arn"].rpartition("/")[2])
    assert "AmazonEKS_CNI_Policy" in world.attached(node)
    assert len(world.versions("CastEKSPolicy")) == (4 if vintage == "older" else 3)


@pytest.mark.parametrize("vintage", ["newest", "older", "user"])
def test_what_the_script_made_and_we_took_over_goes_whole(world: World, vintage: str) -> None:
    """Also its policy for IPv6 on an IPv4 cluster, the policies that only it attaches to a user, and the access entry
    that it created for the nodes' role."""
    before = world.cloud.state()
    made = world.api.seed_script_world("c-api", vintage)
    options = {"identity": "user", "adopt": True} if vintage == "user" else {}
    done = world.run("API", **options)
    tagged = f"tag the access entry of {made.get('node_role_arn')} in cluster c-api"
    assert (tagged in sentences(done)) is (vintage == "newest")
    world.disconnect("API")
    back = world.run("API", state="absent", force=False, **options)
    assert back.view["kept"] == []
    left = world.cloud.state()
    for policy in ("CastEKSPolicy", "CastEC2AssignIPv6Policy"):
        left[HOME]["iam"]["policies"].pop(f"arn:aws:iam::{HOME}:policy/{policy}", None)
    assert left == before


def test_a_diff_shows_what_changes_alone(world: World) -> None:
    """A script's document in another form and order, and tags of others."""
    world.run("API")
    arn = f"arn:aws:iam::{HOME}:policy/CastEKSPolicy-c-api"
    wanted = world.iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"]
    first, *others = wanted["Statement"]
    other = {
        **first,
        "Action": "iam:passrole",
        "Sid": first["Sid"],
        "Resource": [*first["Resource"], "arn:aws:iam::1:role/x"],
    }
    document = {"Statement": [*reversed(others), other], "Version": "2012-10-17"}
    world.iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(document), SetAsDefault=True)
    world.iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "team", "Value": "a"}])
    world.iam.untag_policy(PolicyArn=arn, TagKeys=["cast:cluster-id"])
    shown = {entry["before_header"]: entry for entry in world.run("API", check=True).public(diff=True)["diff"]}
    entry = shown["iam/policy/CastEKSPolicy-c-api"]
    changed = [
        line for line in difflib.ndiff(entry["before"].splitlines(), entry["after"].splitlines()) if line[0] in "+-"
    ]
    assert "-   - arn:aws:iam::1:role/x" in changed
    assert len(changed) <= 4
    assert "team" not in shown["iam/policy/CastEKSPolicy-c-api/tags"]["before"]


STEPS = ({"hand_over": False}, {"prepare": False})
"""How the role runs the module: the components come in between."""


def test_the_key_of_a_scripts_user_is_replaced_while_it_still_works(world: World) -> None:
    made = world.api.seed_script_world("c-api", "user")
    options = {"identity": "user", "adopt": True}
    with pytest.raises(Refused, match="User cast-eks-c-api has no tag that shows"):
        world.run("API", identity="user")
    predicted = sentences(world.run("API", check=True, **options))
    in_steps = [step for part in STEPS for step in sentences(world.run("API", check=True, **part, **options))]
    done = sentences(world.run("API", hand_over=False, **options))
    assert world.keys("cast-eks-c-api") == [made["access_key_id"]]
    done += sentences(world.run("API", prepare=False, **options))
    assert done == predicted == in_steps
    assert "delete inline policy CastEKSRestrictedAccess of user cast-eks-c-api" in done
    assert [sentence.split(" of ")[0] for sentence in done[-3:]] == [
        "create an access key",
        "remove the record",
        f"delete access key {made['access_key_id']}",
    ]
    assert len(world.keys("cast-eks-c-api")) == 1
    assert sentences(world.run("API", **options)) == []


@pytest.mark.parametrize("identity", ["role", "user"])
@pytest.mark.parametrize("mode", ["API", "API_AND_CONFIG_MAP"])
def test_a_cluster_that_shares_the_accounts_policies_from_now_on_has_none_of_its_own(
    world: World, mode: str, identity: str
) -> None:
    before, name = world.cloud.state(), CLUSTERS[mode].name
    who = world.run(mode, identity=identity).view["identity_arn"].rpartition("/")[2]
    options = {"identity": identity, "policy_scope": "account"}
    assert f"detach CastEKSPolicy-{name} from {identity} {who}" in sentences(world.run(mode, **options))
    assert sentences(world.run(mode, **options)) == []
    back = world.run(mode, state="absent", **options)
    shared = ["CastEKSPolicy", *(["CastEC2AssignIPv6Policy"] if CLUSTERS[mode].ip_family == "ipv6" else [])]
    assert back.view["kept"] == [f"policy {policy}: the clusters of the account share it" for policy in shared]
    left = world.cloud.state()
    for policy in shared:
        del left[HOME]["iam"]["policies"][f"arn:aws:iam::{HOME}:policy/{policy}"]
    assert left == before


def test_a_policy_with_five_versions_makes_room(world: World) -> None:
    world.run("API")
    arn = f"arn:aws:iam::{HOME}:policy/CastEKSPolicy-c-api"
    for number in range(4):
        document = {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": f"x:{number}", "Resource": "*"}}
        world.iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(document), SetAsDefault=True)
    repaired = "update policy CastEKSPolicy-c-api (may pass any role to ec2 and eks)"
    assert sentences(world.run("API")) == [repaired]
    assert len(world.versions("CastEKSPolicy-c-api")) == 5
    assert sentences(world.run("API")) == []


def test_what_others_hung_on_the_role_stays_on_the_way_back(world: World) -> None:
    done = world.run("API")
    role = done.view["identity_arn"].rpartition("/")[2]
    theirs = world.iam.create_policy(PolicyName="theirs", PolicyDocument=json.dumps(ALLOW))["Policy"]["Arn"]
    world.iam.attach_role_policy(RoleName=role, PolicyArn=theirs)
    world.iam.put_role_policy(RoleName=role, PolicyName="more", PolicyDocument=json.dumps(ALLOW))
    back = world.run("API", state="absent")
    assert back.view["kept"] == [f"role {role}: others attached theirs, more to it"]
    assert world.attached(role) == {"theirs"}
    assert sentences(world.run("API", state="absent")) == []


def test_a_second_operator_who_makes_the_principal_first_disturbs_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run("API")
    undisturbed = world.state()
    world.reset()
    really, others = world.castai.get_principal, Direct(world.api)
    made: list[str] = []

    def get_principal(cluster_id: str) -> str | None:
        found = really(cluster_id)
        if not made:
            made.append(others.create_principal(cluster_id))
        return found

    monkeypatch.setattr(world.castai, "get_principal", get_principal)
    assert world.run("API").view["principal_arn"] == made[0]
    assert sentences(world.run("API")) == []
    assert difference(undisturbed, world.state()) == ""


@pytest.mark.parametrize("identity", ["role", "user"])
def test_each_answer_of_castai_to_a_write_may_be_lost(
    world: World, monkeypatch: pytest.MonkeyPatch, identity: str
) -> None:
    world.run("API", identity=identity)
    undisturbed = world.state()
    really = world.castai._once
    for last in itertools.count(1):
        world.reset()
        writes = itertools.count(1)
        lost: list[str] = []

        def once(
            method: str,
            path: str,
            *others: Any,
            writes: Iterator[int] = writes,
            wanted: int = last,
            note: Callable[[str], None] = lost.append,
        ) -> Any:
            answer = really(method, path, *others)
            if method != "GET" and next(writes) == wanted:
                note(path)
                raise castai._Passing(CallFailed("No answer."), 0, castai.PATIENCE, lost=True)
            return answer

        monkeypatch.setattr(world.castai, "_once", once)
        world.run("API", identity=identity)
        if not lost:
            break
        assert difference(undisturbed, world.state()) == "", lost
        assert sentences(world.run("API", identity=identity)) == []
    assert last > 1


@pytest.mark.parametrize("since", ["user", "user, deleted", "script"])
def test_a_role_that_castai_no_longer_works_with_is_handed_over_again(world: World, since: str) -> None:
    """CAST AI's record still shows the role when a key has been handed over since."""
    arn = world.run("API").view["identity_arn"]
    if since == "script":
        world.api.seed_script_world("c-api", "user")
    else:
        user = world.run("API", identity="user").view["identity_arn"]
        if since.endswith("deleted"):
            world.lose(user)
    predicted = sentences(world.run("API", check=True))
    assert predicted[-1].startswith(f"give CAST AI role {arn} for cluster {world.ids['c-api']}")
    assert sentences(world.run("API")) == predicted
    assert world.api.state()["access_keys"] == {}
    assert sentences(world.run("API")) == []


def test_from_user_to_role_the_key_lives_until_castai_has_the_role_wherever_a_run_ends(world: World) -> None:
    for last in itertools.count(1):
        world.reset()
        world.run("API", identity="user")
        (key,) = world.keys("cast-eks-c-api")
        if last == 1:
            predicted = sentences(world.run("API", check=True))[-1]
            assert predicted.endswith(f", then delete access key {key} of user cast-eks-c-api")
        ended = world.run_until(last, "API")
        if world.api.state()["access_keys"]:
            world.check_key("cast-eks-c-api")
        world.run("API")
        assert (world.api.state()["access_keys"], world.keys("cast-eks-c-api")) == ({}, [])
        assert sentences(world.run("API")) == []
        if not ended:
            break
    assert last > 5


def test_a_role_of_ones_own_that_castai_no_longer_works_with_is_handed_over_again(world: World) -> None:
    own = {"role_arn": world.run("API").view["identity_arn"]}
    assert sentences(world.run("API", **own)) == []
    world.run("API", identity="user")
    (key,) = world.keys("cast-eks-c-api")
    given = f"give CAST AI role {own['role_arn']} for cluster {world.ids['c-api']}"
    ended = f"{given}, then delete access key {key} of user cast-eks-c-api"
    assert sentences(world.run("API", check=True, **own)) == [ended]
    assert sentences(world.run("API", **own)) == [ended]
    assert (world.api.state()["access_keys"], world.keys("cast-eks-c-api")) == ({}, [])
    assert sentences(world.run("API", **own)) == []


def test_castais_principal_of_a_former_role_goes_with_the_user(world: World) -> None:
    for identity in ("role", "user"):
        world.run("API", identity=identity)
    world.disconnect("API")
    assert sentences(world.run("API", identity="user", state="absent"))[-1].startswith("delete CAST AI's principal")
    assert world.api.state()["assume_role_principals"] == {}


def test_a_user_without_access_loses_what_it_had(world: World) -> None:
    options = {"identity": "user", "user_access": "none"}
    user = world.run("API", identity="user").view["identity_arn"]
    assert sentences(world.run("API", **options)) == [f"delete the access entry of {user} in cluster c-api"]
    assert world.cloud.kubernetes_user(CLUSTERS["API"], user, None) is None
    assert sentences(world.run("API", **options)) == []

    def of_user(**more: Any) -> list[Any]:
        entries = world.run("CONFIG_MAP", check=True, **options, **more).view["access"]["aws_auth"]
        return [entry.get("state", "present") for entry in entries if "user_arn" in entry]

    assert of_user() == []
    world.run("CONFIG_MAP", identity="user")
    assert of_user() == ["absent"]
    assert of_user(state="absent") == ["present"]


BOUNDARY = {"StringNotEquals": {"iam:PermissionsBoundary": f"arn:aws:iam::{HOME}:policy/b"}}


@pytest.mark.parametrize(
    ("action", "condition", "asks"),
    [
        ("iam:CreateRole", BOUNDARY, True),
        ("iam:CreatePolicy", {"Null": {"aws:RequestTag/CostCenter": "true"}}, True),
        ("ec2:CreateSecurityGroup", {"Null": {"aws:RequestTag/CostCenter": "true"}}, True),
        ("iam:TagRole", {}, False),
        ("iam:AttachRolePolicy", {}, False),
    ],
)
def test_what_an_organization_denies_comes_with_what_it_may_demand(
    world: World, action: str, condition: dict[str, Any], asks: bool
) -> None:
    deny = {"Effect": "Deny", "Action": action, "Resource": "*", "Condition": condition}
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    world.cloud.put_control_policy(HOME, {"Version": "2012-10-17", "Statement": [everything, deny]})
    with pytest.raises((CallFailed, Stopped)) as caught:
        world.run("API")
    demanded = (
        "with an explicit deny in a service control policy. If that policy demands a permissions boundary, a path or"
        " tags, set castai_permissions_boundary (option permissions_boundary), castai_iam_path (option path) or"
        " castai_tags (option tags)."
    )
    assert f"perform: {action} on" in str(caught.value)
    assert (demanded in str(caught.value)) is asks


MORE_FOR_NODES = [
    f"arn:aws:iam::aws:policy/{name}ReadOnlyAccess"
    for name in ("AmazonS3", "AmazonSNS", "AmazonSQS", "AmazonEC2", "AmazonRDS", "AmazonDynamoDB", "AmazonVPC", "IAM")
]
"""One more than nodes may have in an account with the usual quota of 10: they need 3 of AWS's own."""


def check_refused(world: World, sentence: str, **options: Any) -> None:
    """Check that check mode and the run refuse in the same words and change nothing."""
    before = world.cloud.state()
    for check in (True, False):
        with pytest.raises(Refused) as caught:
            world.run("API", check=check, **options)
        assert str(caught.value) == sentence
    assert world.cloud.state() == before


@pytest.mark.parametrize("existing", [False, True])
def test_a_quota_of_attached_policies_is_refused_before_the_first_write(world: World, existing: bool) -> None:
    if existing:
        world.run("API")
    role = world.run("API", check=True).view["node_role_arn"].rpartition("/")[2]
    check_refused(
        world,
        f"Role {role} would have 11 managed policies, but IAM allows 10 in this account. Shorten"
        " eks_onboard_node_policies (option node_policies), or have its quota raised (AWS Service Quotas).",
        node_policies=MORE_FOR_NODES,
    )
    assert sentences(world.run("API", node_policies=MORE_FOR_NODES[:-1])) != []
    assert sentences(world.run("API", node_policies=MORE_FOR_NODES[:-1])) == []


def test_what_others_attached_counts_too(world: World) -> None:
    world.iam.create_user(UserName="cast-eks-c-api")
    for arn in (*MORE_FOR_NODES, "arn:aws:iam::aws:policy/AmazonSSMReadOnlyAccess"):
        world.iam.attach_user_policy(UserName="cast-eks-c-api", PolicyArn=arn)
    check_refused(
        world,
        "User cast-eks-c-api would have 11 managed policies, but IAM allows 10 in this account. Detach"
        " policies that others attached to it, or have its quota raised (AWS Service Quotas).",
        identity="user",
        adopt=True,
    )


def test_who_may_not_read_quotas_is_told_by_the_run(world: World) -> None:
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    deny = {"Effect": "Deny", "Action": "iam:GetAccountSummary", "Resource": "*"}
    world.act_as("careful", {"Version": "2012-10-17", "Statement": [everything, deny]})
    with pytest.raises(Stopped) as caught:
        world.run("API", node_policies=MORE_FOR_NODES)
    assert (
        "LimitExceeded: Cannot exceed quota for PoliciesPerRole: 10. Have the account's quota raised (AWS Service"
        " Quotas), or remove what is not needed."
    ) in str(caught.value)
    assert sentences(world.run("API", node_policies=MORE_FOR_NODES[:-1])) != []


@pytest.mark.parametrize(
    ("kind", "words"),
    [("policies", "managed policies"), ("roles", "roles"), ("instance_profiles", "instance profiles")],
)
def test_a_quota_of_objects_is_refused_before_the_first_write(world: World, kind: str, words: str) -> None:
    world.run("CONFIG_MAP")
    summary = world.cloud._accounts.iam(HOME).account_summary
    existing = getattr(summary, f"_{kind}")
    number = 2 if kind == "roles" else 1
    quota = existing + number - 1
    setattr(summary, f"_{kind}_quota", quota)
    check_refused(
        world,
        f"The account already has {existing} of the {quota} {words} that IAM allows it, and the run needs {number}"
        " more. Have its quota raised (AWS Service Quotas), or remove what is not needed.",
    )
    setattr(summary, f"_{kind}_quota", quota + 1)
    assert sentences(world.run("API")) != []


def test_a_policy_that_is_no_longer_listed_keeps_the_nodes_role_and_removal_says_why(world: World) -> None:
    before = world.cloud.state()
    world.run("API", node_policies=MORE_FOR_NODES[:1])
    world.run("API")
    (kept,) = world.run("API", state="absent").view["kept"]
    assert "because eks_onboard_node_policies (option node_policies) listed it. List it again, or detach it" in kept
    world.run("API", state="absent", node_policies=MORE_FOR_NODES[:1])
    assert world.cloud.state() == before


@pytest.mark.parametrize("name", ["CastEKSPolicy-c-api", "castekspolicy-C-API"])
def test_a_policy_s_name_that_is_taken_under_another_path_is_refused_before_the_first_write(
    world: World, name: str
) -> None:
    arn = world.iam.create_policy(PolicyName=name, Path="/theirs/", PolicyDocument=json.dumps(allow("s3:*")))
    check_refused(
        world,
        f"Policy CastEKSPolicy-c-api would be created, but the account already has {arn['Policy']['Arn']}, and IAM"
        " allows a name only once, whatever its path and case. Set castai_iam_path (option path) to the path of that"
        " policy, or delete it.",
    )


def test_inline_policies_that_are_too_large_with_those_of_others_are_refused_before_the_first_write(
    world: World,
) -> None:
    view = world.run("API").view
    role = view["identity_arn"].rpartition("/")[2]
    world.iam.delete_role_policy(RoleName=role, PolicyName="CastEKSRestrictedAccess")
    document = allow(f"s3:{'x' * 8000}")
    world.iam.put_role_policy(RoleName=role, PolicyName="theirs", PolicyDocument=json.dumps(document))
    found: list[str] = []
    before = world.cloud.state()
    for check in (True, False):
        with pytest.raises(Refused) as caught:
            world.run("API", check=check)
        found.append(str(caught.value))
    assert world.cloud.state() == before
    assert len(set(found)) == 1
    assert re.fullmatch(
        rf"Role {role} would have inline policies of 1\d{{4}} characters without white space, but IAM allows 10240\."
        r" Delete some that others wrote \(theirs\), or turn them into managed policies\.",
        found[0],
    )
    world.iam.delete_role_policy(RoleName=role, PolicyName="theirs")
    assert len(sentences(world.run("API"))) == 1


@pytest.mark.parametrize("action", ["iam:ListPolicies", "iam:ListRolePolicies"])
def test_who_may_not_look_for_what_is_in_the_way_can_still_run(world: World, action: str) -> None:
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    deny = {"Effect": "Deny", "Action": action, "Resource": "*"}
    world.act_as("careful", {"Version": "2012-10-17", "Statement": [everything, deny]})
    role = world.run("API").view["identity_arn"].rpartition("/")[2]
    world.iam.delete_role_policy(RoleName=role, PolicyName="CastEKSRestrictedAccess")
    assert len(sentences(world.run("API"))) == 1


def test_quotas_are_not_read_if_there_is_nothing_to_create(world: World) -> None:
    world.run("API")

    def read(**_call: Any) -> None:
        raise AssertionError

    world.aws._client("iam").meta.events.register("before-call.iam.GetAccountSummary", read)
    assert len(sentences(world.run("API", node_policies=MORE_FOR_NODES[:2]))) == 2


@pytest.mark.parametrize(
    ("kind", "needed"), [("role", 3), ("node role", 2), ("profile", 2), ("policy", 2), ("group", 3), ("entry", 2)]
)
def test_an_object_without_room_for_tags_is_refused_before_the_first_write(
    world: World, kind: str, needed: int
) -> None:
    view = world.run("API").view
    role, node_role = (view[key].rpartition("/")[2] for key in ("identity_arn", "node_role_arn"))
    iam, group = world.iam, view["security_group_id"]
    policy = f"arn:aws:iam::{HOME}:policy/CastEKSPolicy-c-api"
    full = [{"Key": f"k{number}", "Value": "v"} for number in range(49)]
    ours = ["cast:cluster-id", "castai-onboarding:cluster", TAG_CREDENTIALS]
    cluster = find_cluster(CLUSTERS["API"])
    assert cluster
    entry = cluster.access_entries[view["node_role_arn"]]
    what = {
        "role": f"Role {role}",
        "node role": f"Role {node_role}",
        "profile": f"Instance profile {node_role}",
        "policy": "Policy CastEKSPolicy-c-api",
        "group": "Security group cast-c-api-cluster/CastNodeSecurityGroup",
        "entry": f"The access entry of {view['node_role_arn']}",
    }[kind]
    if kind.endswith("role"):
        name = role if kind == "role" else node_role
        iam.untag_role(RoleName=name, TagKeys=ours)
        iam.tag_role(RoleName=name, Tags=full)
    elif kind == "profile":
        iam.untag_instance_profile(InstanceProfileName=node_role, TagKeys=ours)
        iam.tag_instance_profile(InstanceProfileName=node_role, Tags=full)
    elif kind == "policy":
        iam.untag_policy(PolicyArn=policy, TagKeys=ours)
        iam.tag_policy(PolicyArn=policy, Tags=full)
    elif kind == "group":
        world.ec2.delete_tags(Resources=[group], Tags=[{"Key": key} for key in (*ours, "Name")])
        world.ec2.create_tags(Resources=[group], Tags=full)
    else:
        entry["tags"] = {tag["Key"]: tag["Value"] for tag in full}
    check_refused(
        world,
        f"{what} has 49 tags and needs {needed} more, but AWS allows 50. Remove tags from it, or shorten castai_tags"
        " (option tags).",
        adopt=True,
    )


def test_a_user_needs_room_for_the_tags_of_its_key_too(world: World) -> None:
    tags = [{"Key": f"k{number}", "Value": "v"} for number in range(47)]
    world.iam.create_user(UserName="cast-eks-c-api", Tags=tags)
    check_refused(
        world,
        "User cast-eks-c-api has 47 tags and needs 4 more, but AWS allows 50. Remove tags from it, or shorten"
        " castai_tags (option tags).",
        identity="user",
        adopt=True,
    )
