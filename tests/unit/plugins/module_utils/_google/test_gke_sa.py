# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CAST AI's service account for a GKE cluster: made, found, taken over, handed over, removed."""

from __future__ import annotations

import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils import _engine
from ansible_collections.castai.onboarding.plugins.module_utils._engine import (
    UNKNOWN,
    Action,
    Ask,
    CallFailed,
    Refused,
    Stopped,
)
from ansible_collections.castai.onboarding.plugins.module_utils._google.gke_sa import plan
from ansible_collections.castai.onboarding.plugins.module_utils._google.observed import Systems, observe
from ansible_collections.castai.onboarding.plugins.module_utils._google.options import desired
from ansible_collections.castai.onboarding.plugins.module_utils._google.role import DEFAULT
from tests.sandbox.google.other_ways import leave
from tests.unit.sandbox.aws_account import sentences
from tests.unit.sandbox.gke_project import ACCOUNT, MEMBER, NODE_ACCOUNT, PARAMETERS, SHOP, USER, World, world
from tests.unit.sandbox.google_client import LOCATION, OPERATOR, PROJECT
from tests.unit.sandbox.google_client import SHARED as ELSEWHERE

__all__ = ["world"]


def test_a_fresh_project_gets_account_role_bindings_and_key(world: World) -> None:
    before = world.bindings
    planned = world.run(check=True)
    assert world.cloud.writes() == []
    done = world.run()
    assert sentences(done) == sentences(planned)
    assert done.view["bindings"] == planned.view["bindings"]
    found = world.account()
    assert found
    assert found["displayName"] == "Service account to manage shop GKE cluster via CAST"
    (key,) = world.key_ids()
    assert world.given_key == key
    record = world.castai.get_cluster(world.cluster_id)
    assert record
    assert found["description"] == (
        f"cast:cluster-id={world.cluster_id} castai-onboarding:cluster=shop key={key}"
        f" credentials={record.credentials_id}"
    )
    role = world.project["roles"][world.role]
    assert (role["stage"], len(role["includedPermissions"])) == ("GA", 39)
    node = world.account(NODE_ACCOUNT)
    assert node
    scoped = f'resource.name.startsWith("projects/-/serviceAccounts/{node["uniqueId"]}")'
    assert world.bindings - before == {(world.role, MEMBER, ""), (USER, MEMBER, scoped)}
    assert before <= world.bindings
    assert done.view["service_account"] == ACCOUNT
    assert done.view["role"] == world.role
    assert world.run().actions == ()


def test_the_plan_is_made_of_what_was_read_alone(world: World) -> None:
    wanted = desired({**PARAMETERS, "cluster_name": "shop", "cluster_id": world.cluster_id, "location": LOCATION})
    current = observe(Systems(world.castai, world.google), wanted)
    asked = len(world.cloud.gate.journal.since(0))
    planned = [one for one in plan(current, wanted) if isinstance(one, Action)]
    assert [type(one).__name__ for one in planned] == ["CreateAccount", "CreateRole", "SetPolicy", "HandOverKey"]
    assert len(world.cloud.gate.journal.since(0)) == asked
    for changed in (
        {"hand_over": False},
        {"prepare": False},
    ):
        some = [*plan(current, replace(wanted, **changed))]
        assert [*plan(current, wanted)][slice(*((0, 3) if "hand_over" in changed else (3, 4)))] == some


def test_what_is_prepared_first_is_handed_over_later(world: World) -> None:
    prepared = world.run(hand_over=False)
    assert world.key_ids() == []
    handed = world.run(prepare=False)
    assert [one.partition(" of ")[0] for one in sentences(handed)] == ["create a key"]
    assert world.run().actions == ()
    assert prepared.view["service_account"] == handed.view["service_account"]


def test_removal_leaves_everything_as_it_was(world: World) -> None:
    before = (world.bindings, world.project["accounts"], {})
    world.run()
    planned = world.run(check=True, state="absent")
    done = world.run(state="absent")
    assert sentences(done) == sentences(planned)
    living = {name: role for name, role in world.project["roles"].items() if not role["deleted"]}
    assert (world.bindings, world.project["accounts"], living) == before
    assert world.run(state="absent").actions == ()


def test_ended_after_any_write_a_rerun_ends_in_the_same_state(world: World) -> None:
    assert world.check_access_after_every_write(lambda: None) == 6


def test_two_clusters_of_one_name_share_nothing(world: World) -> None:
    first: Any = world.run().view
    second: Any = world.run("europe-west3").view
    other = world.ids["europe-west3"][:8]
    assert second["service_account"] == f"castai-gke-5042d146-{other}@{PROJECT}.iam.gserviceaccount.com"
    assert second["role"] != first["role"]
    assert world.run().actions == ()
    before = world.bindings
    world.run("europe-west3", state="absent")
    assert world.account()
    assert world.account(second["service_account"]) is None
    assert {one for one in before if one[1] == MEMBER} == {one for one in world.bindings if one[1] == MEMBER}
    world.check_access()


def test_an_account_without_a_mark_is_not_taken_over_unasked(world: World) -> None:
    world.cloud.do("add_account", project=PROJECT, account_id="castai-gke-5042d146")
    with pytest.raises(Refused, match="has no mark in its description that shows which cluster it belongs to"):
        world.run()
    done = world.run(adopt=True)
    assert done.view["adopted"] == {ACCOUNT: "the onboarding script"}
    assert world.run().actions == ()


# What others left


def script_made(world: World) -> str:
    """What the vendor's script leaves: account with a key that CAST AI has, the project's shared role, three bindings;
    the key's id."""
    world.cloud.do("add_role", project=PROJECT, role_id="castai.gkeAccess", permissions=sorted(DEFAULT), stage="ALPHA")
    world.cloud.do("add_account", project=PROJECT, account_id="castai-gke-5042d146")
    for role in (SHARED, "roles/container.developer", USER):
        world.cloud.do("grant", project=PROJECT, role=role, member=MEMBER)
    text = world.cloud.do("add_key", email=ACCOUNT)
    world.castai.hand_over(world.cluster_id, {"credentials": text})
    return world.given_key


SHARED = f"projects/{PROJECT}/roles/castai.gkeAccess"


def test_what_the_script_made_is_taken_over(world: World) -> None:
    old = script_made(world)
    planned = world.run(check=True, adopt=True)
    done = world.run(adopt=True)
    assert sentences(done) == sentences(planned)
    (key,) = world.key_ids()
    assert (key != old, world.given_key) == (True, key)
    ours = {(role, text) for role, member, text in world.bindings if member == MEMBER}
    # The project-wide binding stays until the user asks for a narrower one; the shared role is left to others.
    assert {role for role, _text in ours} == {world.role, USER, "roles/container.developer"}
    assert (USER, "") in ours
    assert not world.project["roles"][SHARED]["deleted"]
    assert any("may act as every service account" in one for one in done.view["warnings"])
    assert world.run(adopt=True).actions == ()
    narrowed = world.run(service_account_user="node_accounts")
    assert [one["role"] for one in narrowed.view["bindings"]["removed"]] == [USER]
    assert (USER, MEMBER, "") not in world.bindings
    assert world.run(service_account_user="node_accounts").actions == ()


def test_ended_after_any_write_of_a_takeover_cast_ai_has_a_key_and_a_rerun_ends_in_the_same_state(
    world: World,
) -> None:
    assert world.check_access_after_every_write(lambda: void(script_made(world)), adopt=True) == 7


def void(_value: object) -> None:
    pass


def test_terraforms_role_and_account_keep_their_names(world: World) -> None:
    account = f"castai-gke-tf-5042d146@{PROJECT}.iam.gserviceaccount.com"
    world.cloud.do("add_account", project=PROJECT, account_id="castai-gke-tf-5042d146")
    role_id = "castai.gkeAccess.5042d146.tf"
    role = world.cloud.do("add_role", project=PROJECT, role_id=role_id, permissions=["compute.zones.get"])
    world.cloud.do("grant", project=PROJECT, role=role, member=f"serviceAccount:{account}")
    done = world.run(adopt=True)
    assert (done.view["service_account"], done.view["role"]) == (account, role)
    assert done.view["adopted"] == {account: "Terraform", role_id: "Terraform"}
    assert len(world.project["roles"][role]["includedPermissions"]) == 39
    assert world.account() is None
    assert world.run(adopt=True).actions == ()


# An account of the user's own


def test_an_account_of_the_users_own_is_used_as_it_is(world: World) -> None:
    own = world.cloud.do("add_account", project=PROJECT, account_id="castai-central", description="team a")
    done = world.run(existing_service_account=own)
    account = world.account(own)
    assert account
    assert (account["description"], len(account["keys"])) == ("team a", 1)
    assert done.view["service_account"] == own
    assert (world.role, f"serviceAccount:{own}", "") in world.bindings
    assert world.run(existing_service_account=own).actions == ()
    world.run(existing_service_account=own, state="absent")
    assert world.account(own) == account
    assert not [one for one in world.bindings if one[1] == f"serviceAccount:{own}"]


def test_an_account_of_the_users_own_must_be_there(world: World) -> None:
    with pytest.raises(Refused, match=r"There is no service account other@.*existing_service_account"):
        world.run(existing_service_account=f"other@{PROJECT}.iam.gserviceaccount.com")


# Failures of gke-aks.md 17, by their numbers


def test_g3_services_that_are_off_are_enabled_and_waited_for(world: World) -> None:
    off = ["iam.googleapis.com", "cloudresourcemanager.googleapis.com"]
    world.cloud.do("set_services", project=PROJECT, off=off)
    planned = world.run(check=True)
    assert sentences(planned)[0] == (
        f"enable the services cloudresourcemanager.googleapis.com, iam.googleapis.com of project {PROJECT}"
    )
    with pytest.raises(Refused, match=r"not enabled in project acme-prod: .*enable_services"):
        world.run(enable_services=False)
    done = world.run()
    assert sentences(done)[0] == sentences(planned)[0]
    assert world.given_key in world.key_ids()
    assert world.run().actions == ()


@pytest.mark.parametrize("forbidden", [False, True])
def test_g7_g8_g10_what_google_does_not_show_yet_is_waited_for(world: World, forbidden: bool) -> None:
    world.clock.ahead += 300
    world.cloud.do("visibility", seconds=20, grants=60)
    world.cloud.do("behave", unseen_is_forbidden=forbidden or None)
    world.run()
    world.check_access()
    world.clock.ahead += 300
    assert world.run().actions == ()


def test_g11_a_rival_writer_loses_nothing(world: World) -> None:
    rival = itertools.count(1)
    write = world.google.set_policy

    def raced(project: str, policy: Any) -> Any:
        number = next(rival)
        if number <= 7:
            world.cloud.do("grant", project=PROJECT, role="roles/viewer", member=f"user:u{number}@example.com")
        return write(project, policy)

    world.google.set_policy = raced  # type: ignore[method-assign]
    world.run()
    assert {one[1] for one in world.bindings if one[0] == "roles/viewer"} == {
        f"user:u{number}@example.com" for number in range(1, 8)
    }
    assert (world.role, MEMBER, "") in world.bindings


def test_g11_a_rival_that_never_stops_ends_in_a_sentence(world: World) -> None:
    write = world.google.set_policy

    def raced(project: str, policy: Any) -> Any:
        world.cloud.do("grant", project=PROJECT, role="roles/viewer", member=f"user:{time.time_ns()}@example.com")
        return write(project, policy)

    world.google.set_policy = raced  # type: ignore[method-assign]
    with pytest.raises(Stopped, match=f"Could not write the IAM policy of {PROJECT} in 120 s"):
        world.run()


def test_g14_g43_a_policy_that_would_be_too_large_is_found_before_anything_is_written(world: World) -> None:
    many = [f"user:u{number}@example.com" for number in range(1490)]
    exempt = [{"service": "allServices", "auditLogConfigs": [{"logType": "DATA_READ", "exemptedMembers": many[:9]}]}]
    owner = {"role": "roles/owner", "members": [f"serviceAccount:{OPERATOR}"]}
    bindings = [owner, {"role": "roles/viewer", "members": many}]
    world.cloud.do("set_policy", project=PROJECT, bindings=bindings, audits=exempt)
    with pytest.raises(Refused, match=r"would have 1,502 principals, but IAM allows 1,500"):
        world.run()
    assert world.cloud.writes() == []


def test_g15_a_role_that_was_deleted_days_ago_is_restored_and_corrected(world: World) -> None:
    role = world.cloud.do(
        "add_role", project=PROJECT, role_id=world.role.rpartition("/")[2], permissions=["compute.zones.get"]
    )
    world.cloud.do("delete_role", name=role, days_ago=6)
    done = world.run(adopt=True)
    assert any(one.startswith("restore the deleted role castai.gkeAccess") for one in sentences(done))
    assert len(world.project["roles"][world.role]["includedPermissions"]) == 39
    assert world.run().actions == ()


def test_g16_an_id_that_google_does_not_give_out_again_yet_is_passed_over(world: World) -> None:
    role = world.cloud.do("add_role", project=PROJECT, role_id=world.role.rpartition("/")[2], permissions=[])
    world.cloud.do("delete_role", name=role, days_ago=8)
    done = world.run(adopt=True)
    assert done.view["role"] == f"{world.role}.2"
    assert (f"{world.role}.2", MEMBER, "") in world.bindings
    assert world.run().actions == ()


def test_g17_a_role_that_somebody_changes_meanwhile_is_observed_again(world: World) -> None:
    world.run()
    world.cloud.do("edit_role", name=world.role, includedPermissions=["compute.zones.get"])
    write, raced = world.google.patch_role, []

    def changed(*arguments: Any) -> Any:
        if not raced:
            raced.append(1)
            world.cloud.do("edit_role", name=world.role, title="mine")
        return write(*arguments)

    world.google.patch_role = changed  # type: ignore[method-assign]
    assert sentences(world.run()) == [f"update role {world.role.rpartition('/')[2]} of project {PROJECT}"]
    assert world.run().actions == ()


@pytest.mark.parametrize(
    "constraint",
    ["constraints/iam.disableServiceAccountKeyCreation", "constraints/iam.managed.disableServiceAccountKeyCreation"],
)
def test_g18_g19_an_organization_that_forbids_keys_is_named_and_a_rerun_goes_on(world: World, constraint: str) -> None:
    world.cloud.do("set_constraint", project=PROJECT, constraint=constraint, value=True)
    with pytest.raises(Stopped, match=constraint) as stopped:
        world.run()
    assert "identity" in str(stopped.value)
    assert "impersonation" in str(stopped.value)
    assert world.account()
    world.cloud.do("set_constraint", project=PROJECT, constraint=constraint)
    assert len(world.run().actions) == 1


@pytest.mark.parametrize("bare", [False, True])
def test_g22_ten_keys_of_which_none_is_known_are_refused_and_listed(world: World, bare: bool) -> None:
    old = script_made(world)
    world.cloud.do("behave", bare_key_limit=bare or None)
    for _number in range(9):
        world.cloud.do("add_key", email=ACCOUNT)
    before = len(world.cloud.writes())
    with pytest.raises(Refused, match=f"has 10 keys, the most that Google allows.*{old}"):
        world.run(adopt=True)
    assert len(world.cloud.writes()) == before
    world.check_access()


def test_g24_the_lost_answer_of_a_key_leaves_one_key_in_the_end(world: World) -> None:
    create = world.google.create_key

    def lost(*arguments: Any) -> Any:
        create(*arguments)
        raise CallFailed("no answer", unsure=True)

    world.google.create_key = lost  # type: ignore[method-assign]
    with pytest.raises(Stopped, match="no answer"):
        world.run()
    world.google = world.gateway()
    world.run()
    assert world.key_ids() == [world.given_key]


def test_g26_an_account_that_was_made_anew_by_hand_gets_its_bindings_again(world: World) -> None:
    world.run()
    world.cloud.do("delete_account", email=ACCOUNT)
    assert any(member.startswith("deleted:") for _role, member, _text in world.bindings)
    world.cloud.do("add_account", project=PROJECT, account_id="castai-gke-5042d146")
    world.run(adopt=True)
    assert not any(member.startswith("deleted:") for _role, member, _text in world.bindings)
    assert (world.role, MEMBER, "") in world.bindings
    assert world.key_ids() == [world.given_key]
    assert world.run().actions == ()


def test_g27_a_disabled_account_is_enabled(world: World) -> None:
    world.run()
    world.cloud.session().post(
        f"https://iam.googleapis.com/v1/projects/{PROJECT}/serviceAccounts/{ACCOUNT}:disable", json={}
    )
    assert sentences(world.run()) == [f"enable service account {ACCOUNT}, which is disabled"]
    assert world.run().actions == ()


def test_g29_the_shared_role_is_left_as_it_is(world: World) -> None:
    role = world.cloud.do(
        "add_role", project=PROJECT, role_id="castai.gkeAccess", permissions=["container.clusters.get"]
    )
    done = world.run(role_scope="project")
    assert done.view["role"] == role
    assert any("differs from the expected one and was left unchanged" in one for one in done.view["warnings"])
    removed = world.run(role_scope="project", state="absent")
    assert any("the clusters of the project share it" in one for one in removed.view["kept"])
    assert not world.project["roles"][role]["deleted"]


def test_g30_another_node_account_is_drift(world: World) -> None:
    world.run()
    own = world.cloud.do("add_account", project=PROJECT, account_id="nodes")
    pools = [{"name": "a", "config": {"serviceAccount": "default"}}, {"name": "b", "config": {"serviceAccount": own}}]
    world.cloud.do("set_cluster", project=PROJECT, location=LOCATION, name="shop", nodePools=pools)
    done = world.run()
    assert [one["role"] for one in done.view["bindings"]["added"]] == [USER]
    assert [one["role"] for one in done.view["bindings"]["removed"]] == [USER]
    assert len([one for one in world.bindings if one[:2] == (USER, MEMBER)]) == 1
    assert world.run().actions == ()


def test_g38_a_role_that_another_account_has_is_kept(world: World) -> None:
    world.run()
    world.cloud.do("grant", project=PROJECT, role=world.role, member="user:eve@example.com")
    done = world.run(state="absent")
    assert any("it is also bound to others" in one for one in done.view["kept"])
    assert not world.project["roles"][world.role]["deleted"]


def test_g39_fourteen_node_accounts_take_two_conditions_in_one_write(world: World) -> None:
    own = [world.cloud.do("add_account", project=PROJECT, account_id=f"nodes-{number}") for number in range(14)]
    pools = [{"name": one[:8], "config": {"serviceAccount": one}} for one in own]
    world.cloud.do("set_cluster", project=PROJECT, location=LOCATION, name="shop", nodePools=pools)
    world.run()
    texts = [text for role, member, text in world.bindings if (role, member) == (USER, MEMBER)]
    assert sorted(text.count("startsWith") for text in texts) == [1, 13]
    assert sum(one == "cloudresourcemanager.projects.setIamPolicy" for one in world.cloud.writes()) == 1


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({"disabled": True, "disableReason": "SERVICE_ACCOUNT_KEY_DISABLE_REASON_EXPOSED"}, "disabled (exposed)"),
        ({"disabled": True}, "disabled"),
        ({"ends": -60.0}, "expired on"),
        ({"ends": 3600.0, "validAfterTime": "2026-01-01T00:00:00Z"}, "expires on"),
    ],
)
def test_g40_a_noted_key_that_is_dead_or_nearly_so_is_replaced_and_why_is_said(
    world: World, state: Any, why: str
) -> None:
    world.run()
    (old,) = world.key_ids()
    world.cloud.do("set_key", key_id=old, **state)
    done = world.run()
    assert [one.partition(" of ")[0] for one in sentences(done)] == ["create a key", f"delete key {old}"]
    assert why in sentences(done)[1]
    assert world.key_ids() == [world.given_key]
    assert world.given_key != old
    assert world.run().actions == ()


def test_g45_a_policy_that_was_read_without_conditions_is_not_written_back(world: World) -> None:
    world.google.get_policy = lambda project: {  # type: ignore[method-assign]
        "bindings": [{"role": "roles/viewer_withcond_0f1e2d3c4b5a69788796", "members": ["user:a@example.com"]}]
    }
    with pytest.raises(Stopped, match="Internal error"):
        world.run()
    assert world.cloud.writes() == []


def test_nobody_elses_binding_is_touched(world: World) -> None:
    """With conditions, deleted members and audit logs in a policy of many."""
    expires = {"title": "until summer", "expression": 'request.time < timestamp("2097-07-01T00:00:00Z")'}
    world.cloud.do(
        "grant", project=PROJECT, role="roles/container.viewer", member="user:a@example.com", condition=expires
    )
    gone = world.cloud.do("add_account", project=PROJECT, account_id="gone-account", roles=["roles/viewer"])
    world.cloud.do("delete_account", email=gone)
    before = world.project["policy"]
    world.run()
    after = world.project["policy"]
    foreign = [{**one, "members": [m for m in one["members"] if m != MEMBER]} for one in after["bindings"]]
    assert [one for one in foreign if one["members"]] == before["bindings"]
    assert after["auditConfigs"] == before["auditConfigs"]
    world.run(state="absent")
    assert world.project["policy"] == before


# Without a key


def test_without_a_key_cast_ais_account_acts_as_ours(world: World) -> None:
    planned = world.run(check=True, identity="impersonation")
    assert world.cloud.writes() == []
    done = world.run(identity="impersonation")
    assert sentences(done) == sentences(planned)
    assert world.key_ids() == []
    world.check_access()
    account = world.account()
    assert account
    own = {(one["role"], *one["members"]) for one in account["policy"]["bindings"]}
    cast = f"serviceAccount:{cast_account(world)}"
    assert own == {("roles/iam.serviceAccountTokenCreator", cast), (USER, cast)}
    assert "iamcredentials.googleapis.com" in world.project["services"]
    assert world.run(identity="impersonation").actions == ()
    removed = world.run(identity="impersonation", state="absent")
    assert world.account() is None
    assert any("give up the account" in one for one in sentences(removed))


def cast_account(world: World) -> str:
    record = world.castai.get_cluster(world.cluster_id)
    assert record
    return record.facts["castServiceAccount"]


def test_ended_after_any_write_without_a_key_a_rerun_ends_in_the_same_state(world: World) -> None:
    assert world.check_access_after_every_write(lambda: None, identity="impersonation") == 6


def test_from_a_key_to_none_the_key_goes_last(world: World) -> None:
    def before() -> None:
        world.run()

    world.check_access_after_every_write(before, identity="impersonation")
    assert world.key_ids() == []


def test_g20_an_organization_that_forbids_foreign_members_is_told_whom_to_allow(world: World) -> None:
    constraint = "constraints/iam.allowedPolicyMemberDomains"
    world.cloud.do("set_constraint", project=PROJECT, constraint=constraint, value={"allowed": ["C0123abcd"]})
    with pytest.raises(Stopped) as stopped:
        world.run(identity="impersonation")
    assert "iam.allowedPolicyMemberDomains" in str(stopped.value)
    assert cast_account(world) in str(stopped.value)


def test_g21_where_cast_ai_has_not_enabled_it_the_key_is_named(world: World) -> None:
    world.api.control("keyless", on=False)
    with pytest.raises(Stopped, match=r"gke_onboard_identity \(option identity\) to key"):
        world.run(identity="impersonation")
    assert world.castai.given == {}


# What other tools left, by vintage


@pytest.mark.parametrize("vintage", ["script", "terraform", "terraform_scoped", "pulumi"])
def test_what_any_tool_left_is_taken_over_without_an_outage(world: World, vintage: str) -> None:
    def before() -> None:
        left = leave(world.cloud.do, SHOP, vintage, world.account(NODE_ACCOUNT)["uniqueId"])  # type: ignore[index]
        world.castai.hand_over(world.cluster_id, {"credentials": left["key"]})

    world.check_access_after_every_write(before, adopt=True)
    assert world.key_ids(world.run(adopt=True).view["service_account"]) == [world.given_key]


def test_what_terraforms_keyless_module_left_is_recognised(world: World) -> None:
    own = world.castai.create_service_account(
        world.cluster_id,
        "gke",
        {"gkeSaImpersonate": f"castai-gke-tf-5042d146@{PROJECT}.iam.gserviceaccount.com", "projectId": PROJECT},
    )
    left = leave(world.cloud.do, SHOP, "impersonate", world.account(NODE_ACCOUNT)["uniqueId"], own)  # type: ignore[index]
    world.castai.hand_over(world.cluster_id, {"credentials": "{}"})
    done = world.run(identity="impersonation")
    assert done.view["service_account"] == left["service_account"]
    assert not any("act as service account" in one or "without a key" in one for one in sentences(done))
    world.check_access()
    assert world.run(identity="impersonation").actions == ()


# Many at once, and what is read


def test_ten_clusters_at_once_and_a_rival_lose_no_binding(world: World) -> None:
    """A policy of 1,400 principals with conditions, audit logs and deleted members."""
    expires = {"title": "until summer", "expression": 'request.time < timestamp("2097-07-01T00:00:00Z")'}
    gone = world.cloud.do("add_account", project=PROJECT, account_id="gone-account", roles=["roles/container.viewer"])
    world.cloud.do("delete_account", email=gone)
    many = [f"user:u{number}@example.com" for number in range(1390)]
    bindings = [
        *world.project["policy"]["bindings"],
        {"role": "roles/viewer", "members": many},
        {"role": "roles/container.viewer", "members": many[:5], "condition": expires},
    ]
    audits = [{"service": "allServices", "auditLogConfigs": [{"logType": "DATA_READ", "exemptedMembers": many[:2]}]}]
    world.cloud.do("set_policy", project=PROJECT, bindings=bindings, audits=audits)
    before = world.project["policy"]
    names = [world.another_cluster(f"shop-{number}") for number in range(10)]
    started = world.clock()
    with ThreadPoolExecutor(10) as pool:
        runs = [pool.submit(world.run, cluster_name=name, google=world.gateway()) for name in names]
        for number in range(20):
            member = f"user:rival{number}@example.com"
            world.cloud.do("grant", project=PROJECT, role="roles/container.viewer", member=member)
        done = [run.result() for run in runs]
    assert world.clock() - started < 120 * len(names)
    after = world.project["policy"]
    ours = {f"serviceAccount:{one.view['service_account']}" for one in done}
    assert len(ours) == 10
    for one in done:
        member = f"serviceAccount:{one.view['service_account']}"
        assert (one.view["role"], member, "") in world.bindings
        assert len([role for role, who, _text in world.bindings if (role, who) == (USER, member)]) == 1
    left = [{**one, "members": [who for who in one["members"] if who not in ours]} for one in after["bindings"]]
    rivals = {f"user:rival{number}@example.com" for number in range(20)}
    assert rivals <= {who for one in left for who in one["members"]}
    left = [{**one, "members": [who for who in one["members"] if who not in rivals]} for one in left]
    assert [one for one in left if one["members"]] == before["bindings"]
    assert after["auditConfigs"] == before["auditConfigs"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"identity": "impersonation", "role_scope": "project"},
        {"service_account_user": "on_accounts", "extra_projects": [ELSEWHERE]},
    ],
)
def test_a_run_without_changes_reads_each_object_once(world: World, options: dict[str, Any]) -> None:
    world.run(**options)
    begun = len(world.cloud.gate.journal.since(0))
    world.run(**options)
    calls = [entry.call for entry in world.cloud.gate.journal.since(0)][begun:]
    read = [(call.operation, str(call)) for call in calls]
    assert len(read) == len(set(read))
    assert not any(call.write for call in calls)


@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"identity": "impersonation"},
        {"service_account_user": "on_accounts"},
        {"extra_projects": [ELSEWHERE], "shared_vpc_role": "subnets"},
        {"role_scope": "project"},
    ],
)
def test_everything_is_read_in_three_rounds(
    world: World, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], state: str
) -> None:
    """Also what other options left."""
    subnet = world.cloud.do("add_subnet", project=ELSEWHERE, region=LOCATION, name="a")
    network = {"network": f"projects/{ELSEWHERE}/global/networks/shared", "subnetwork": subnet}
    world.cloud.do("set_cluster", project=PROJECT, location=LOCATION, name="shop", networkConfig=network)
    world.run(extra_projects=[ELSEWHERE], service_account_user="on_accounts", shared_vpc_role="subnets")
    world.run(**options)
    rounds: list[Ask] = []

    class Kept(Ask):
        def __init__(self) -> None:
            super().__init__()
            rounds.append(self)

    monkeypatch.setattr(_engine, "Ask", Kept)
    world.run(check=True, state=state, **options)
    assert sum(bool(one.answers) for one in rounds) == 3


def test_a_cluster_that_is_not_registered_yet_can_be_planned(world: World) -> None:
    planned = world.run(check=True, cluster_id=UNKNOWN)
    assert planned.view["role"].endswith(f"castai.gkeAccess.{UNKNOWN}")
    done = world.run()
    named = [one.replace(UNKNOWN, world.cluster_id).replace(world.cluster_id, "ID") for one in sentences(planned)]
    assert named == [one.replace(world.cluster_id, "ID").replace(world.cluster_id[:8], "ID") for one in sentences(done)]


def test_each_extra_project_gets_a_role_of_its_own_and_is_left_as_it_was(world: World) -> None:
    before = world.cloud.google.state()[ELSEWHERE]
    done = world.run(extra_projects=[ELSEWHERE])
    role = world.role.replace(PROJECT, ELSEWHERE)
    assert {"resource": ELSEWHERE, "role": role, "member": MEMBER} in done.view["bindings"]["added"]
    assert len(world.cloud.google.state()[ELSEWHERE]["roles"][role]["includedPermissions"]) == 39
    assert world.run(extra_projects=[ELSEWHERE]).actions == ()
    world.run(extra_projects=[ELSEWHERE], state="absent")
    after = world.cloud.google.state()[ELSEWHERE]
    assert (after["policy"], after["accounts"]) == (before["policy"], before["accounts"])
    assert after["roles"][role]["deleted"]


def test_a_binding_on_each_node_account_covers_other_projects_too(world: World) -> None:
    own = world.cloud.do("add_account", project=ELSEWHERE, account_id="nodes")
    pools = [{"name": "a", "config": {"serviceAccount": "default"}}, {"name": "b", "config": {"serviceAccount": own}}]
    world.cloud.do("set_cluster", project=PROJECT, location=LOCATION, name="shop", nodePools=pools)
    assert any(f"The node accounts {own} are of other projects" in one for one in world.run().view["warnings"])
    done = world.run(service_account_user="on_accounts")
    assert {one["resource"] for one in done.view["bindings"]["added"]} == {own, NODE_ACCOUNT}
    assert not [one for one in world.bindings if one[:2] == (USER, MEMBER)]
    assert world.run(service_account_user="on_accounts").actions == ()
    world.run(service_account_user="on_accounts", state="absent")
    accounts = [one for state in world.cloud.google.state().values() for one in state["accounts"]]
    assert [one["email"] for one in accounts if one["policy"]["bindings"]] == []


def test_g44_a_key_that_could_not_be_recorded_is_replaced_by_the_next_run(world: World) -> None:
    def refused(*_arguments: Any) -> None:
        raise CallFailed("iam.serviceAccounts.update is missing.")

    world.google.patch_account = refused  # type: ignore[method-assign]
    with pytest.raises(Stopped, match="could not be recorded") as stopped:
        world.run()
    (key,) = world.key_ids()
    assert key in str(stopped.value)
    assert "iam.serviceAccounts.update" in str(stopped.value)
    world.google = world.gateway()
    world.run()
    assert world.key_ids() == [world.given_key]
    assert world.given_key != key


def test_the_key_is_in_no_result(world: World) -> None:
    done = world.run()
    private = json.dumps(world.given["private_key"])[1:-1]
    assert private
    assert private not in json.dumps(done.public(diff=True), default=repr)
    assert "PRIVATE KEY" not in repr(done)
