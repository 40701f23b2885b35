# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of a service account of the user's own: which are ours, and that all others stay."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._engine import CallFailed, Stopped
from ansible_collections.castai.onboarding.plugins.module_utils._gateways import google_session
from ansible_collections.castai.onboarding.plugins.module_utils._google.marks import role_note
from ansible_collections.castai.onboarding.plugins.module_utils._google.permissions import granted
from tests.sandbox.google.other_ways import leave
from tests.unit.sandbox.aws_account import Ended, sentences
from tests.unit.sandbox.gke_project import ACCOUNT, NODE_ACCOUNT, SHOP, USER, World, world
from tests.unit.sandbox.google_client import PROJECT, SHARED

__all__ = ["world"]

OWN = f"own@{PROJECT}.iam.gserviceaccount.com"


@pytest.fixture(autouse=True)
def own(world: World) -> None:
    world.cloud.do("add_account", project=PROJECT, account_id="own")
    world.add_users_key(OWN)


def ended(world: World, call: str, after: bool = True, **options: str) -> None:
    """A run that ends with a call of the gateway, before or after it took effect."""
    real: Callable[..., object] = getattr(world.google, call)

    def ending(*arguments: object) -> None:
        if after:
            real(*arguments)
        raise Ended

    setattr(world.google, call, ending)
    with pytest.raises(Ended):
        world.run(**{"existing_service_account": OWN, **options})
    world.google = world.gateway()


def rerun(world: World) -> set[str]:
    """A run, after which another one has nothing to do; the keys that it deleted."""
    before = world.key_ids(OWN)
    world.run(existing_service_account=OWN)
    world.check_access()
    assert world.given_key in world.key_ids(OWN)
    assert world.run(existing_service_account=OWN).actions == ()
    return set(before) - set(world.key_ids(OWN))


def description(world: World) -> str:
    text: str = world.project["roles"][world.role]["description"]
    return text


def test_a_key_that_an_ended_run_created_is_deleted(world: World) -> None:
    (users,) = world.key_ids(OWN)
    ended(world, "create_key")
    (left,) = set(world.key_ids(OWN)) - {users}
    assert rerun(world) == {left}
    assert set(world.key_ids(OWN)) == {users, world.given_key}


def test_a_key_that_the_user_creates_after_an_ended_run_stays(world: World) -> None:
    ended(world, "create_key", after=False)
    world.clock.ahead += 61
    world.add_users_key(OWN)
    assert rerun(world) == set()


def test_of_several_keys_created_within_the_minute_none_is_deleted(world: World) -> None:
    ended(world, "create_key")
    world.add_users_key(OWN)
    assert rerun(world) == set()


def test_a_key_that_is_created_beside_ours_stays(world: World) -> None:
    world.run(existing_service_account=OWN)
    world.add_users_key(OWN)
    assert world.run(existing_service_account=OWN).actions == ()
    world.cloud.do("set_key", key_id=world.given_key, ends=3600.0, validAfterTime="2026-01-01T00:00:00Z")
    assert len(rerun(world)) == 1


def test_the_key_of_another_cluster_with_the_same_account_stays(world: World) -> None:
    """It is created while our run is at the same point, and noted in that cluster's role."""
    world.another_cluster("till")
    ended(world, "create_key", after=False)
    before = world.key_ids(OWN)
    world.run(cluster_name="till", existing_service_account=OWN)
    (tills,) = set(world.key_ids(OWN)) - set(before)
    assert rerun(world) == set()
    assert tills in world.key_ids(OWN)


def test_a_key_that_may_not_be_created_is_not_waited_for(world: World) -> None:
    forbidden = "constraints/iam.disableServiceAccountKeyCreation"
    world.cloud.do("set_constraint", project=PROJECT, constraint=forbidden, value=True)
    with pytest.raises((CallFailed, Stopped), match=forbidden):
        world.run(existing_service_account=OWN)
    assert role_note(description(world)).until == 0


def test_a_key_that_could_not_be_noted_is_not_created(world: World) -> None:
    world.run(existing_service_account=OWN, hand_over=False)
    world.cloud.do("delete_role", name=world.role)
    with pytest.raises((CallFailed, Stopped), match=r"Role .* does not exist.*prepare"):
        world.run(existing_service_account=OWN, prepare=False)
    assert len(world.key_ids(OWN)) == 1


def test_without_the_permission_to_note_a_key_none_is_created(world: World) -> None:
    held = {grant.permission for grant in granted("onboard")}
    world.run(existing_service_account=OWN, hand_over=False)
    world.google = world.gateway(world.cloud.operator_with(*(held - {"iam.roles.update"})))
    with pytest.raises((CallFailed, Stopped), match=r"iam\.roles\.update"):
        world.run(existing_service_account=OWN)
    assert len(world.key_ids(OWN)) == 1
    world.google = world.gateway(world.cloud.operator_with(*held))
    world.run(existing_service_account=OWN)
    assert world.given_key in world.key_ids(OWN)


def test_moving_to_the_users_own_account_removes_ours(world: World) -> None:
    """Although the user's own has a live key, which nobody gave to CAST AI."""
    world.run()
    done = world.run(existing_service_account=OWN)
    world.check_access()
    assert world.given_key in world.key_ids(OWN)
    assert world.account(ACCOUNT) is None
    assert not [one for one in world.bindings if ACCOUNT in one[1]]
    assert {one["member"] for one in done.view["bindings"]["removed"]} == {f"serviceAccount:{ACCOUNT}"}
    assert world.run(existing_service_account=OWN).actions == ()


def test_moving_back_deletes_our_key_and_names_what_stays_bound(world: World) -> None:
    world.run(existing_service_account=OWN)
    world.run()
    world.check_access()
    assert world.key_ids(OWN) == [key_id for _email, key_id in world.kept]
    done = world.run()
    assert done.actions == ()
    assert any(f"Service account {OWN}, which CAST AI had before" in one for one in done.view["warnings"])


def test_of_several_moves_that_ended_no_key_of_ours_is_left(world: World) -> None:
    """Although the former accounts have lost the role by then, and so are found by another binding."""
    every = [OWN]
    for account_id in ("second", "third"):
        every.append(world.cloud.do("add_account", project=PROJECT, account_id=account_id, roles=["roles/viewer"]))
        world.add_users_key(every[-1])
    world.cloud.do("grant", project=PROJECT, role="roles/viewer", member=f"serviceAccount:{OWN}")
    world.run()
    ended(world, "create_key")
    ended(world, "create_key", existing_service_account=every[1])
    for email in every:
        world.cloud.do("revoke", project=PROJECT, role=world.role, member=f"serviceAccount:{email}")
    world.run(existing_service_account=every[2])
    world.check_access()
    left = {(email, key_id) for email in every for key_id in world.key_ids(email)}
    assert left == {*world.kept, (every[2], world.given_key)}
    assert world.account(ACCOUNT) is None
    assert world.run(existing_service_account=every[2]).actions == ()


def test_a_move_that_ended_can_be_taken_back(world: World) -> None:
    other = world.cloud.do("add_account", project=PROJECT, account_id="other")
    world.add_users_key(other)
    world.run(existing_service_account=OWN)
    ended(world, "create_key", existing_service_account=other)
    rerun(world)
    assert {(email, one) for email in (OWN, other) for one in world.key_ids(email)} == {
        *world.kept,
        (OWN, world.given_key),
    }


def test_removal_after_a_move_that_ended_deletes_the_keys_of_both_accounts(world: World) -> None:
    other = world.cloud.do("add_account", project=PROJECT, account_id="other")
    world.run(existing_service_account=OWN)
    ended(world, "create_key", existing_service_account=other)
    world.run(existing_service_account=other, state="absent")
    assert (world.key_ids(OWN), world.key_ids(other)) == ([key_id for _email, key_id in world.kept], [])


@pytest.mark.parametrize("ahead", [-3600, 3600])
def test_a_clock_that_is_wrong_mistakes_no_key(world: World, monkeypatch: pytest.MonkeyPatch, ahead: int) -> None:
    """The time in which a key may have been created is by Google's clock."""
    monkeypatch.setattr(google_session, "time", lambda: time.time() + ahead)
    (users,) = world.key_ids(OWN)
    ended(world, "create_key")
    (left,) = set(world.key_ids(OWN)) - {users}
    assert rerun(world) == {left}
    world.cloud.do("set_key", key_id=world.given_key, disabled=True)
    ended(world, "create_key", after=False)
    world.clock.ahead += 61
    world.add_users_key(OWN)
    assert len(rerun(world)) == 1


def test_with_a_role_that_clusters_share_nothing_is_noted(world: World) -> None:
    options = {"existing_service_account": OWN, "role_scope": "project"}
    world.run(**options)
    shared = world.project["roles"][f"projects/{PROJECT}/roles/castai.gkeAccess"]
    assert "account=" not in shared["description"]
    world.check_access()
    assert world.run(**options).actions == ()


# As the role does it: prepared first, and handed over once the components run

PARTS: tuple[dict[str, bool], ...] = ({"hand_over": False}, {"prepare": False})


def in_parts(world: World, **options: str) -> None:
    for part in PARTS:
        world.run(**options, **part)
        world.check_access()
    assert [world.run(**options, **part).actions for part in PARTS] == [(), ()]


@pytest.mark.parametrize("before", ["key", "impersonation"])
def test_in_parts_the_users_own_account_replaces_ours(world: World, before: str) -> None:
    in_parts(world, identity=before)
    in_parts(world, existing_service_account=OWN)
    assert world.given_key in world.key_ids(OWN)
    assert world.account(ACCOUNT) is None
    assert not [one for one in world.bindings if ACCOUNT in one[1]]
    in_parts(world)
    assert world.key_ids(OWN) == [key_id for _email, key_id in world.kept]


def test_in_parts_a_key_of_ours_is_replaced_by_none_of_the_users_account(world: World) -> None:
    in_parts(world)
    in_parts(world, identity="impersonation", existing_service_account=OWN)
    assert not world.given_key
    assert world.account(ACCOUNT) is None


def test_in_parts_a_key_that_somebody_deleted_is_replaced_by_none(world: World) -> None:
    in_parts(world)
    world.google.delete_key(PROJECT, ACCOUNT, world.given_key)
    for part in PARTS:
        world.run(identity="impersonation", **part)
    world.check_access()
    assert not world.given_key


def test_in_parts_a_key_of_the_users_account_is_renewed(world: World) -> None:
    in_parts(world, existing_service_account=OWN)
    old = world.given_key
    world.cloud.do("set_key", key_id=old, ends=3600.0, validAfterTime="2026-01-01T00:00:00Z")
    in_parts(world, existing_service_account=OWN)
    assert set(world.key_ids(OWN)) == {world.given_key, *(key_id for _email, key_id in world.kept)}
    assert world.given_key != old


# Without a key


def of_cast_ai(world: World, email: str) -> list[str]:
    found = world.account(email)
    assert found
    return [role for one in found["policy"].get("bindings", ()) for role in [one["role"]] if one["members"]]


def test_the_users_own_account_that_cast_ai_impersonated_is_not_taken_for_ours(world: World) -> None:
    world.run(identity="impersonation", existing_service_account=OWN)
    before = world.account(OWN)
    assert before
    assert world.run(check=True, state="absent").view["service_account"] == ACCOUNT
    done = world.run()
    after = world.account(OWN)
    assert done.view["service_account"] == ACCOUNT
    assert after == {**before, "policy": after["policy"]} if after else False
    assert of_cast_ai(world, OWN) == []
    assert any(f"Service account {OWN}, which CAST AI had before" in one for one in done.view["warnings"])
    world.run(state="absent")
    assert world.account(OWN)


def test_a_former_account_of_the_users_is_not_impersonated_any_more(world: World) -> None:
    other = world.cloud.do("add_account", project=PROJECT, account_id="other")
    in_parts(world, identity="impersonation", existing_service_account=OWN)
    in_parts(world, existing_service_account=other)
    assert of_cast_ai(world, OWN) == []


@pytest.mark.parametrize("after", [{"identity": "key"}, {"state": "absent"}])
def test_cast_ai_goes_on_impersonating_the_users_own_account_for_another_cluster(
    world: World, after: dict[str, str]
) -> None:
    keyless = {"identity": "impersonation", "existing_service_account": OWN}
    world.another_cluster("till")
    for name in ("shop", "till"):
        world.run(cluster_name=name, **keyless)
    before = of_cast_ai(world, OWN)
    world.run(cluster_name="till", **{**keyless, **after})
    assert of_cast_ai(world, OWN) == before
    world.check_access()
    assert world.run(**keyless).actions == ()


def test_what_cast_ai_may_impersonate_for_another_cluster_is_told(world: World) -> None:
    keyless = {"identity": "impersonation", "existing_service_account": OWN}
    world.another_cluster("till")
    for name in ("shop", "till"):
        world.run(cluster_name=name, **keyless)
    before = of_cast_ai(world, OWN)
    for check in (True, False):
        done = world.run(check=check)
        assert any(f"may still impersonate service account {OWN}" in one for one in done.view["warnings"])
    assert of_cast_ai(world, OWN) == before


# With what other clusters have


def test_the_role_that_clusters_share_stays_bound_to_the_users_account(world: World) -> None:
    shared = {"existing_service_account": OWN, "role_scope": "project"}
    role = f"projects/{PROJECT}/roles/castai.gkeAccess"
    world.another_cluster("till")
    for name in ("shop", "till"):
        world.run(cluster_name=name, **shared)
    done = world.run(cluster_name="till", existing_service_account=OWN)
    assert any("has role castai.gkeAccess in project" in one for one in done.view["warnings"])
    assert (role, f"serviceAccount:{OWN}", "") in world.bindings
    assert world.run(**shared).actions == ()
    kept = world.run(state="absent", **shared).view["kept"]
    assert f"binding of role castai.gkeAccess to {OWN} on project {PROJECT}: other clusters may need it" in kept
    assert (role, f"serviceAccount:{OWN}", "") in world.bindings


def test_with_a_shared_role_an_account_that_is_impersonated_again_is_handed_over_again(world: World) -> None:
    """CAST AI's record names it as long as no other account is impersonated, whatever key CAST AI was given."""
    world.run(role_scope="project", identity="impersonation")
    world.run(role_scope="project", existing_service_account=OWN)
    key = world.given_key
    assert key in world.key_ids(OWN)
    world.run(role_scope="project", identity="impersonation")
    assert world.given == {}
    world.check_access()
    assert world.run(role_scope="project", identity="impersonation").actions == ()


def test_with_a_shared_role_the_key_of_another_account_is_created_once(world: World) -> None:
    other = world.cloud.do("add_account", project=PROJECT, account_id="other")
    world.add_users_key(other)
    world.run(existing_service_account=OWN)
    world.run(existing_service_account=other, role_scope="project")
    assert world.given_key in world.key_ids(other)
    assert world.run(existing_service_account=other, role_scope="project").actions == ()


def test_with_a_shared_role_a_note_of_the_former_role_creates_no_key_again_and_again(world: World) -> None:
    world.run(existing_service_account=OWN)
    world.castai.hand_over(world.cluster_id, {"credentials": world.cloud.do("add_key", email=OWN)})
    world.run(existing_service_account=OWN, role_scope="project")
    assert world.run(existing_service_account=OWN, role_scope="project").actions == ()
    world.check_access()


def test_our_account_whose_mark_somebody_removed_is_still_found_by_its_role(world: World) -> None:
    world.run()
    world.google.patch_account(PROJECT, ACCOUNT, {"description": "edited by hand"})
    world.run(existing_service_account=OWN)
    assert world.account(ACCOUNT) is None


def test_our_account_of_which_nothing_shows_whose_it_is_any_more_is_named(world: World) -> None:
    world.run(role_scope="project")
    world.google.patch_account(PROJECT, ACCOUNT, {"description": "edited by hand"})
    options = {"existing_service_account": OWN, "role_scope": "project"}
    done = world.run(**options)
    assert any(one.startswith(f"There is also {ACCOUNT},") for one in done.view["warnings"])
    kept = world.run(**options, state="absent").view["kept"]
    assert f"service account {ACCOUNT}: nothing shows which cluster it belongs to" in kept
    assert world.account(ACCOUNT)


def test_who_changes_account_and_projects_at_once_is_told_which_role_stays(world: World) -> None:
    world.run(extra_projects=[SHARED])
    done = world.run(existing_service_account=OWN)
    said = f"The role of this cluster in project {SHARED} is no longer bound"
    assert any(said in one for one in done.view["warnings"])


# What nothing records any more


def erased(world: World) -> None:
    """Somebody edits the description of the cluster's role, and so removes the note."""
    world.cloud.do("edit_role", name=world.role, description="edited by hand")


def test_removal_names_the_keys_of_which_nothing_records_whose_they_are(world: World) -> None:
    world.run(existing_service_account=OWN)
    erased(world)
    assert world.run(existing_service_account=OWN, state="absent", check=True).view["kept"]
    world.run(existing_service_account=OWN)
    kept = world.run(existing_service_account=OWN, state="absent").view["kept"]
    for key_id in world.key_ids(OWN):
        assert f"key {key_id} of service account {OWN}: no record shows whether CAST AI has it" in kept


def test_a_new_key_beside_one_whose_note_is_lost_is_announced(world: World) -> None:
    other = world.cloud.do("add_account", project=PROJECT, account_id="other")
    world.run(existing_service_account=other)
    world.run(existing_service_account=OWN)
    lost = world.given_key
    erased(world)
    done = world.run(existing_service_account=OWN)
    assert world.given_key != lost
    assert any("CAST AI has credentials that no run recorded" in one and lost in one for one in done.view["warnings"])
    again = world.run(existing_service_account=OWN)
    assert again.actions == ()
    assert not any("that no run recorded" in one for one in again.view["warnings"])


def test_another_account_that_has_a_role_of_the_cluster_is_named(world: World) -> None:
    world.run(existing_service_account=OWN)
    assert "warnings" not in world.run(existing_service_account=OWN).view
    other = world.cloud.do("add_account", project=PROJECT, account_id="other")
    world.cloud.do("grant", project=PROJECT, role=world.role, member=f"serviceAccount:{other}")
    done = world.run(existing_service_account=OWN)
    assert any(f"A role of this cluster is also bound to {other}" in one for one in done.view["warnings"])


@pytest.mark.parametrize("before", ["terraform", "another account of the user's"])
def test_a_live_key_of_the_users_is_not_taken_for_cast_ais_if_it_may_have_one_of_another_account(
    world: World, before: str
) -> None:
    if before == "terraform":
        node = world.account(NODE_ACCOUNT)
        assert node
        left = leave(world.cloud.do, SHOP, "terraform", node["uniqueId"])
        world.castai.hand_over(world.cluster_id, {"credentials": left["key"]})
    else:
        other = world.cloud.do("add_account", project=PROJECT, account_id="other")
        world.run(existing_service_account=other, role_scope="project")
    world.run(existing_service_account=OWN)
    assert world.given_key in world.key_ids(OWN)
    assert world.run(existing_service_account=OWN).actions == ()


@pytest.mark.parametrize("scope", ["cluster", "project"])
@pytest.mark.parametrize("parts", [True, False])
def test_a_live_key_of_the_users_is_not_taken_for_cast_ais_after_our_account_was_deleted(
    world: World, parts: bool, scope: str
) -> None:
    world.run(role_scope=scope)
    world.cloud.do("delete_account", email=ACCOUNT)
    if parts:
        world.run(existing_service_account=OWN, hand_over=False)
        world.run(existing_service_account=OWN, prepare=False)
    else:
        world.run(existing_service_account=OWN)
    assert world.given_key in world.key_ids(OWN)
    assert world.run(existing_service_account=OWN).actions == ()


def test_in_parts_the_users_account_is_impersonated_although_ours_is_not_found_any_more(world: World) -> None:
    """Only a role that is not wanted any more leads to ours."""
    world.run(role_id="acme.castai")
    world.google.patch_account(PROJECT, ACCOUNT, {"description": "edited by hand"})
    in_parts(world, existing_service_account=OWN, identity="impersonation")
    assert world.given == {}
    world.check_access()


# Several options at once


@pytest.mark.parametrize("parts", [True, False])
def test_an_account_and_the_id_of_the_role_can_be_changed_at_once(world: World, parts: bool) -> None:
    other = world.cloud.do("add_account", project=PROJECT, account_id="other")
    world.run(existing_service_account=OWN, role_id="acme.castai", extra_projects=[SHARED])
    after = {"existing_service_account": other, "role_id": "acme.other"}
    done = world.run(**after, hand_over=not parts)
    assert any(f"Service account {OWN}, which CAST AI had before" in one for one in done.view["warnings"])
    in_parts(world, **after)
    assert world.key_ids(OWN) == [key_id for _email, key_id in world.kept]
    assert world.given_key in world.key_ids(other)


def test_removal_with_another_account_and_role_finds_our_key(world: World) -> None:
    other = world.cloud.do("add_account", project=PROJECT, account_id="other")
    world.run(existing_service_account=OWN, role_id="acme.castai")
    world.run(existing_service_account=other, role_id="acme.other", state="absent")
    assert world.key_ids(OWN) == [key_id for _email, key_id in world.kept]


@pytest.mark.parametrize("renewed", [False, True])
def test_a_role_that_is_used_again_says_no_more_about_keys_than_the_one_in_between(world: World, renewed: bool) -> None:
    """CAST AI's key is the one that the role in between notes, although the other's note is about the same account."""
    first, between = ({"existing_service_account": OWN, "role_id": f"acme.{one}"} for one in ("castai", "between"))
    world.run(**first)
    world.run(**between)
    assert len(world.key_ids(OWN)) == 2
    if renewed:
        world.cloud.do("set_key", key_id=world.given_key, ends=3600.0, validAfterTime="2026-01-01T00:00:00Z")
        world.run(**between)
    key = world.given_key
    world.run(**first)
    assert world.given_key == key
    assert world.run(**first).actions == ()
    world.run(**first, state="absent")
    assert world.key_ids(OWN) == [key_id for _email, key_id in world.kept]


@pytest.mark.parametrize("call", ["create_key", "hand_over"])
def test_a_key_of_a_run_that_ended_is_found_by_the_note_of_another_role(world: World, call: str) -> None:
    first, between = ({"existing_service_account": OWN, "role_id": f"acme.{one}"} for one in ("castai", "between"))
    world.run(**first)
    world.run(**between)
    world.cloud.do("set_key", key_id=world.given_key, ends=3600.0, validAfterTime="2026-01-01T00:00:00Z")
    if call == "create_key":
        ended(world, call, **between)
    else:
        assert world.run_until(2, **between)
    assert len(world.key_ids(OWN)) == 3
    world.run(**first)
    assert world.run(**first).actions == ()
    world.check_access()
    assert sorted(world.key_ids(OWN)) == sorted([world.given_key, *(key_id for _email, key_id in world.kept)])


def test_our_account_loses_its_binding_in_a_project_that_is_taken_off_the_list_at_once(world: World) -> None:
    world.run(extra_projects=[SHARED])
    world.run(existing_service_account=OWN, hand_over=False)
    assert ACCOUNT not in repr(world.cloud.google.state()[SHARED]["policy"])
    in_parts(world, existing_service_account=OWN)
    assert ACCOUNT not in repr(world.cloud.google.state()[SHARED]["policy"])


def test_who_removed_the_role_from_a_former_account_is_told_what_else_it_has(world: World) -> None:
    options = {"existing_service_account": OWN, "identity": "impersonation"}
    world.run(**options, service_account_user="on_accounts")
    world.cloud.do("revoke", project=PROJECT, role=world.role, member=f"serviceAccount:{OWN}")
    done = world.run(service_account_user="on_accounts")
    said = f"Service account {OWN}, which CAST AI had before, still has bindings of {USER} without a condition on"
    assert any(f"{said} service account {NODE_ACCOUNT}." in one for one in done.view["warnings"])


def test_removal_disables_cast_ais_account_although_another_one_than_ours_was_impersonated(world: World) -> None:
    world.run(existing_service_account=OWN, identity="impersonation")
    world.run()
    done = world.run(state="absent")
    assert any(f"disable the account that impersonates {OWN}" in one for one in sentences(done))
    assert world.run(state="absent").actions == ()


@pytest.mark.parametrize("state", ["present", "absent"])
def test_the_bindings_of_a_cluster_with_the_shared_role_stay_when_another_changes_its_own(
    world: World, state: str
) -> None:
    world.another_cluster("till")
    world.run(existing_service_account=OWN, role_scope="project", identity="impersonation")
    world.run(cluster_name="till", existing_service_account=OWN, hand_over=False)
    before = {one for one in world.bindings if OWN in one[1] and one[0] == USER}
    allowed = of_cast_ai(world, OWN)
    done = world.run(cluster_name="till", existing_service_account=OWN, service_account_user="on_accounts", state=state)
    assert {one for one in world.bindings if OWN in one[1] and one[0] == USER} == before
    assert of_cast_ai(world, OWN) == allowed
    world.check_access()
    if state == "absent":
        kept = " ".join(done.view["kept"])
        assert f"{USER} to {OWN} on project {PROJECT}: other clusters may use the account, too" in kept


def test_removal_says_which_node_accounts_the_users_account_may_go_on_to_use(world: World) -> None:
    world.run(existing_service_account=OWN, service_account_user="on_accounts")
    kept = world.run(existing_service_account=OWN, state="absent").view["kept"]
    thing = f"binding of {USER} to {OWN} on service account {NODE_ACCOUNT}"
    assert f"{thing}: it may have existed before onboarding, or other clusters may need it" in kept
