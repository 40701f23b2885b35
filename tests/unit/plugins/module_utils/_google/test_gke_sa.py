# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CAST AI's service account for a GKE cluster: created, found, taken over, handed over, removed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils import _engine
from ansible_collections.castai.onboarding.plugins.module_utils._engine import (
    UNKNOWN,
    Action,
    Ask,
    Refused,
)
from ansible_collections.castai.onboarding.plugins.module_utils._google.gke_sa import plan
from ansible_collections.castai.onboarding.plugins.module_utils._google.marks import role_description
from ansible_collections.castai.onboarding.plugins.module_utils._google.observed import Systems, observe
from ansible_collections.castai.onboarding.plugins.module_utils._google.options import desired
from ansible_collections.castai.onboarding.plugins.module_utils._google.role import DEFAULT
from tests.sandbox.google.other_ways import leave
from tests.unit.sandbox.aws_account import sentences
from tests.unit.sandbox.gke_project import ACCOUNT, MEMBER, NODE_ACCOUNT, PARAMETERS, SHOP, USER, World, world
from tests.unit.sandbox.google_client import LOCATION, PROJECT
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


def test_an_account_without_a_mark_is_not_taken_over_unasked(world: World) -> None:
    world.cloud.do("add_account", project=PROJECT, account_id="castai-gke-5042d146")
    with pytest.raises(Refused, match="has no mark in its description that shows which cluster it belongs to"):
        world.run()
    done = world.run(adopt=True)
    assert done.view["adopted"] == {ACCOUNT: "the onboarding script"}
    assert world.run().actions == ()


# What other tools left


def script_made(world: World) -> str:
    """Create what CAST AI's script leaves and return the key's id: an account with a key that CAST AI has, the
    project's shared role, three bindings."""
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


# The user's own account


def test_an_account_of_the_users_own_is_used_as_it_is(world: World) -> None:
    own = world.cloud.do("add_account", project=PROJECT, account_id="castai-central", description="team a")
    world.cloud.do("add_key", email=own)
    before = world.account(own)
    done = world.run(existing_service_account=own)
    account = world.account(own)
    assert account
    assert (account["description"], len(account["keys"])) == ("team a", 2)
    assert done.view["service_account"] == own
    assert (world.role, f"serviceAccount:{own}", "") in world.bindings
    assert world.run(existing_service_account=own).actions == ()
    world.run(existing_service_account=own, state="absent")
    assert world.account(own) == before
    assert not [one for one in world.bindings if one[1] == f"serviceAccount:{own}"]


def test_an_account_of_the_users_own_must_be_there(world: World) -> None:
    with pytest.raises(Refused, match=r"There is no service account other@.*existing_service_account"):
        world.run(existing_service_account=f"other@{PROJECT}.iam.gserviceaccount.com")


def test_nobody_elses_binding_is_touched(world: World) -> None:
    """With conditions, deleted members and audit logs in a large policy."""
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
    assert any("disable the account" in one for one in sentences(removed))


def cast_account(world: World) -> str:
    record = world.castai.get_cluster(world.cluster_id)
    assert record
    return record.facts["castServiceAccount"]


def test_from_a_key_to_none_the_key_goes_last(world: World) -> None:
    def before() -> None:
        world.run()

    world.check_access_after_every_write(before, identity="impersonation")
    assert world.key_ids() == []


# What other tools left, by vintage


@pytest.mark.parametrize("vintage", ["script", "terraform", "terraform_scoped", "pulumi"])
def test_what_any_tool_left_is_taken_over_without_an_outage(world: World, vintage: str) -> None:
    def before() -> None:
        left = leave(world.cloud.do, SHOP, vintage, world.account(NODE_ACCOUNT)["uniqueId"])  # type: ignore[index]
        world.castai.hand_over(world.cluster_id, {"credentials": left["key"]})

    world.check_access_after_every_write(before, adopt=True)
    assert world.key_ids(world.run(adopt=True).view["service_account"]) == [world.given_key]


def test_what_terraforms_keyless_module_left_is_recognized(world: World) -> None:
    own = world.castai.create_service_account(
        world.cluster_id,
        "gke",
        {"gkeSaImpersonate": f"castai-gke-tf-5042d146@{PROJECT}.iam.gserviceaccount.com", "projectId": PROJECT},
    )
    left = leave(world.cloud.do, SHOP, "impersonate", world.account(NODE_ACCOUNT)["uniqueId"], own)  # type: ignore[index]
    world.castai.hand_over(world.cluster_id, {"credentials": "{}"})
    done = world.run(identity="impersonation")
    assert done.view["service_account"] == left["service_account"]
    assert not any("impersonate service account" in one or "without a key" in one for one in sentences(done))
    world.check_access()
    assert world.run(identity="impersonation").actions == ()


# What is read


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
    """Including what other options left."""
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


# Plans, other projects, other forms


def test_a_cluster_that_is_not_registered_yet_can_be_planned(world: World) -> None:
    planned = world.run(check=True, cluster_id=UNKNOWN)
    assert planned.view["role"].endswith(f"castai.gkeAccess.{UNKNOWN}")
    done = world.run()
    named = [one.replace(UNKNOWN, world.cluster_id).replace(world.cluster_id, "ID") for one in sentences(planned)]
    assert named == [one.replace(world.cluster_id, "ID").replace(world.cluster_id[:8], "ID") for one in sentences(done)]


def test_the_cluster_must_be_that_of_the_record(world: World) -> None:
    sister = next(one for place, one in world.ids.items() if place != LOCATION)
    with pytest.raises(Refused, match=rf"cluster {sister} is GKE cluster shop of project {PROJECT} in \S+, not GKE"):
        world.run(cluster_id=sister)
    eks = world.castai.register_cluster("web", {"eks": {"accountId": "1" * 12, "region": "x", "clusterName": "web"}})
    with pytest.raises(Refused, match=f"cluster {eks.id} is web of provider eks, not GKE cluster shop of project"):
        world.run(cluster_id=eks.id)


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
    assert any(f"The node accounts {own} belong to other projects" in one for one in world.run().view["warnings"])
    done = world.run(service_account_user="on_accounts")
    assert {one["resource"] for one in done.view["bindings"]["added"]} == {own, NODE_ACCOUNT}
    assert not [one for one in world.bindings if one[:2] == (USER, MEMBER)]
    assert world.run(service_account_user="on_accounts").actions == ()
    world.run(service_account_user="on_accounts", state="absent")
    accounts = [one for state in world.cloud.google.state().values() for one in state["accounts"]]
    assert [one["email"] for one in accounts if one["policy"]["bindings"]] == []


OTHER = "5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e"


def test_a_role_of_another_cluster_stays_whatever_adopt_says(world: World) -> None:
    world.run()
    role_id = world.role.rpartition("/")[2]
    world.google.patch_role(PROJECT, role_id, {"description": role_description(OTHER)})
    gone = world.run(state="absent", adopt=True)
    assert gone.view["kept"] == [f"role {role_id} of project {PROJECT}: it belongs to another cluster, {OTHER}"]
    assert not world.project["roles"][world.role]["deleted"]


def test_a_role_that_only_its_description_shows_to_be_ours_stays(world: World) -> None:
    world.run(role_id="acme.castai")
    policy = world.google.get_policy(PROJECT)
    others = [one for one in policy["bindings"] if not one["role"].endswith("acme.castai")]
    world.google.set_policy(PROJECT, {**policy, "bindings": others})
    kept = world.run(state="absent", role_id="acme.castai").view["kept"]
    (text,) = kept
    assert text.endswith("acme.castai of project acme-prod: only its description shows that it belongs to this cluster")


def test_removal_leaves_a_given_account_of_another_cluster_its_bindings(world: World) -> None:
    world.run()
    own = world.google.get_account(PROJECT, ACCOUNT)
    assert own
    others = own.description.replace(world.cluster_id, OTHER)
    world.google.patch_account(PROJECT, ACCOUNT, {"description": others})
    before = world.bindings
    gone = world.run(state="absent", existing_service_account=ACCOUNT)
    assert gone.view["bindings"] == {"added": [], "removed": []}
    assert world.bindings == before


def test_the_key_is_in_no_result(world: World) -> None:
    done = world.run()
    private = json.dumps(world.given["private_key"])[1:-1]
    assert private
    assert private not in json.dumps(done.public(diff=True), default=repr)
    assert "PRIVATE KEY" not in repr(done)
