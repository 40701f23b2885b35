# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CAST AI's service account for a GKE cluster: made, found, taken over, handed over, removed."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._engine import Refused
from ansible_collections.castai.onboarding.plugins.module_utils._google.gke_sa import plan
from tests.unit.sandbox.aws_account import sentences
from tests.unit.sandbox.gke_project import ACCOUNT, MEMBER, NODE_ACCOUNT, USER, World, world
from tests.unit.sandbox.google_client import PROJECT

__all__ = ["plan", "world"]


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
    (key,) = world.keys()
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


def test_what_is_prepared_first_is_handed_over_later(world: World) -> None:
    prepared = world.run(hand_over=False)
    assert world.keys() == []
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
    assert world.check_key_after_every_write(lambda: None) == 6


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
    world.check_key()


def test_an_account_without_a_mark_is_not_taken_over_unasked(world: World) -> None:
    world.cloud.do("add_account", project=PROJECT, account_id="castai-gke-5042d146")
    with pytest.raises(Refused, match="has no mark in its description that shows which cluster it belongs to"):
        world.run()
    done = world.run(adopt=True)
    assert done.view["adopted"] == {ACCOUNT: "the onboarding script"}
    assert world.run().actions == ()
