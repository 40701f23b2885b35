# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What CAST AI's script and Terraform left for an AKS cluster is taken over without an interruption."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._azure.marks import description
from ansible_collections.castai.onboarding.plugins.module_utils._engine import Refused, Stopped
from tests.unit.sandbox.aks_subscription import GROUP_ID, NETWORK_ID, NODES_ID, SUBSCRIPTION, World, world
from tests.unit.sandbox.aws_account import sentences

__all__ = ["world"]

SCOPES = {GROUP_ID.lower(), NODES_ID.lower(), NETWORK_ID.lower()}
OTHER = "5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e"
TERRAFORM_ROLE = "CastAKSRole-shop-tf"
WAYS: dict[str, dict[str, Any]] = {
    "script": {},
    "script_federated": {"credential": "federated"},
    "terraform": {"adopt": True},
    "terraform_identity": {"identity": "managed_identity", "adopt": True},
}


def leave(world: World, vintage: str) -> dict[str, str]:
    """Create what the tool leaves, with CAST AI having its credentials. From then on, the operator may change any
    app."""
    everything = world.cloud.operator_with("*", graph=("Application.ReadWrite.All",))
    subject = world.subject()
    made: dict[str, str] = world.cloud.do(
        "leave_other_way", cluster="shop", vintage=vintage, cluster_id=world.cluster_id, subject=subject
    )
    secret = {"clientSecret": made["secret"]} if made["secret"] else {"federationId": made["federation_id"]}
    body = {"subscriptionId": SUBSCRIPTION, "tenantId": made["tenant"], "clientId": made["client_id"], **secret}
    world.castai.hand_over(world.cluster_id, {"credentials": json.dumps(body)})
    world.act_as(everything)
    return made


@pytest.mark.parametrize("vintage", WAYS)
def test_what_a_tool_left_keeps_its_names_and_assignments(world: World, vintage: str) -> None:
    made = leave(world, vintage)
    before = set(world.state["role_assignments"])
    planned = world.run(check=True, **WAYS[vintage])
    done = world.run(**WAYS[vintage])
    assert sentences(done) == sentences(planned)
    assert done.view["castai_client_id"] == made["client_id"]
    assert world.scopes(made["principal_id"]) == SCOPES
    assert before <= set(world.state["role_assignments"])
    maker = "Terraform" if vintage.startswith("terraform") else "the onboarding script"
    assert set(done.view["adopted"].values()) == {maker}
    assert {done.view["identity_name"], done.view["role"]} == set(done.view["adopted"])
    world.check_access()
    assert world.run(**WAYS[vintage]).actions == ()


@pytest.mark.parametrize("vintage", WAYS)
def test_what_was_taken_over_is_removed_as_a_whole(world: World, vintage: str) -> None:
    before = world.comparable()
    leave(world, vintage)
    world.run(**WAYS[vintage])
    world.run(state="absent", **WAYS[vintage])
    assert world.comparable() == before


@pytest.mark.parametrize("gone", [("remove_cluster", {"cluster": "shop"}), ("remove_group", {"name": "shop"})])
@pytest.mark.parametrize("vintage", WAYS)
def test_what_was_taken_over_is_removed_when_the_cluster_or_its_group_is_gone(
    world: World, vintage: str, gone: tuple[str, dict[str, Any]]
) -> None:
    """Its app and role belong to another group, and one assignment is in the network's group."""
    leave(world, vintage)
    world.run(**WAYS[vintage])
    world.cloud.do(gone[0], **gone[1])
    options = {**WAYS[vintage], "adopt": False, "state": "absent"}
    planned = world.run(check=True, **options)
    done = world.run(**options)
    assert sentences(done) == sentences(planned)
    assert (world.apps, world.identities, done.view["kept"]) == ([], {}, [])
    assert "CastAKS" not in str([world.state["role_definitions"], *world.assignments])
    assert world.run(**options).actions == ()


def test_four_runs_of_the_script_leave_one_secret_in_the_end(world: World) -> None:
    made = leave(world, "script")
    for _run in range(3):
        world.cloud.do("add_secret", client_id=made["client_id"], name="shop-castai", days=60_000)
    foreign = world.cloud.do("add_secret", client_id=made["client_id"], name="ci")["key_id"]
    world.run()
    keys = {one["keyId"] for one in world.app()["passwordCredentials"]}
    assert keys == {world.live_secret(), foreign}
    assert world.run().actions == ()


def test_the_federated_credentials_of_others_stay(world: World) -> None:
    made = leave(world, "script_federated")
    named = {"issuer": "https://token.actions.githubusercontent.com", "subject": "repo:a/b", "audience": "api://x"}
    world.cloud.do("add_federated", of=made["client_id"], name="github", **named)
    world.run(credential="federated")
    world.run()
    assert [one["name"] for one in world.app()["federatedIdentityCredentials"]] == ["github"]
    world.check_access()


@pytest.mark.parametrize("vintage", ["terraform", "terraform_identity"])
def test_what_terraform_left_is_not_taken_over_unasked(world: World, vintage: str) -> None:
    leave(world, vintage)
    begun = len(world.cloud.writes())
    with pytest.raises(Refused, match=r"has no tag that shows which cluster it belongs to.*castai_adopt"):
        world.run(**{**WAYS[vintage], "adopt": False})
    kept = world.run(**{**WAYS[vintage], "adopt": False, "state": "absent"}).view["kept"]
    assert [one.partition(": ")[2] for one in kept] == [
        "it has no tag that shows which cluster it belongs to",
        "nothing in its description shows that it belongs to this cluster",
    ]
    assert len(world.cloud.writes()) == begun


def test_terraforms_role_of_another_cluster_is_neither_taken_over_nor_removed(world: World) -> None:
    """Two clusters with the same name can share a role, although only one of them is named in it."""
    made = leave(world, "terraform")
    fields = ("roleName", "permissions", "assignableScopes")
    role = {**{field: world.role(TERRAFORM_ROLE)[field] for field in fields}, "description": description(OTHER)}
    world.azure.put_role(GROUP_ID, made["role"].rpartition("/")[2], role)
    before = world.role(TERRAFORM_ROLE)
    assert world.run(adopt=True).view["role"] == f"CastAKSRole-{world.short}"
    assert world.role(TERRAFORM_ROLE) == before
    world.check_access()
    world.run(adopt=True, state="absent")
    assert world.role(TERRAFORM_ROLE) == before


def test_what_an_app_had_before_terraforms_identity_was_taken_over_is_removed(world: World) -> None:
    """The two have different roles."""
    before = world.comparable()
    app = world.run().view["castai_principal_id"]
    world.cloud.do(
        "leave_other_way",
        cluster="shop",
        vintage="terraform_identity",
        cluster_id=world.cluster_id,
        subject=world.subject(),
    )
    done = world.run(**WAYS["terraform_identity"])
    assert done.view["role"] == TERRAFORM_ROLE
    assert world.scopes(app) == set()
    assert world.run(**WAYS["terraform_identity"]).actions == ()
    world.run(**WAYS["terraform_identity"], state="absent")
    assert world.comparable()[1:4] == before[1:4]


@pytest.mark.parametrize("state", ["present", "absent"])
def test_what_was_assigned_of_terraforms_role_is_found_without_its_description(world: World, state: str) -> None:
    """With another identity, which has another role, only the assignments show that the role was this cluster's."""
    leave(world, "terraform")
    app = world.run(adopt=True).view["castai_principal_id"]
    world.cloud.do("remove_app", client_id=world.apps[0]["appId"])
    app = world.run(adopt=True).view["castai_principal_id"]
    role = world.cloud.azure.store.definitions[next(iter(world.state["role_definitions"]))]
    role.said["description"] = "by hand"
    assert (role.said["roleName"], world.scopes(app)) == (TERRAFORM_ROLE, SCOPES)
    done = world.run(identity="managed_identity", state=state)
    assert world.scopes(app) == set()
    assert world.run(identity="managed_identity", state=state).actions == ()
    if state == "absent":
        kept = f"role {TERRAFORM_ROLE}: nothing in its description shows that it belongs to this cluster"
        assert kept in done.view["kept"]


def test_an_app_of_terraforms_name_of_another_subscription_is_not_ours(world: World) -> None:
    other = world.cloud.do("add_app", name="CAST AI shop-shop")
    done = world.run()
    assert done.view["castai_client_id"] != other["client_id"]
    assert done.view["identity_name"] == f"CAST.AI shop-{world.short}"


def test_an_app_that_the_operator_does_not_own_is_named(world: World) -> None:
    leave(world, "script")
    world.act_as(world.cloud.operator_with("*", graph=("Application.ReadWrite.OwnedBy",)))
    with pytest.raises(Stopped, match=r"Authorization_RequestDenied.*owners of an app.*existing_app_id"):
        world.run()


def test_who_stays_with_terraform_gives_its_identity_which_is_not_edited(world: World) -> None:
    made = leave(world, "terraform_identity")
    before = (world.identities, world.role("CastAKSRole-shop-tf"))
    given = {"identity": "managed_identity", "existing_identity_id": made["id"], "hand_over": True}
    done = world.run(role_actions=before[1]["permissions"][0]["actions"], **given)
    assert world.identities == before[0]
    assert done.view["castai_client_id"] == made["client_id"]
    world.check_access()


@pytest.mark.parametrize("vintage", ["terraform", "terraform_identity"])
def test_removal_leaves_who_stays_with_terraform_what_terraform_made(world: World, vintage: str) -> None:
    made = leave(world, vintage)
    before = world.comparable()[:4]
    app = vintage == "terraform"
    own = {"existing_app_id": made["client_id"]} if app else {"existing_identity_id": made["id"]}
    given = {**WAYS[vintage], **own, "adopt": False}
    world.run(**given, existing_app_secret=made["secret"])
    kept = world.run(**given, state="absent").view["kept"]
    assert f"role {TERRAFORM_ROLE}: it is also assigned where this collection did not assign it" in kept
    assert (*world.comparable()[:2], world.comparable()[3]) == (*before[:2], before[3])
    assert [one[0] for one in world.comparable()[2]] == [TERRAFORM_ROLE]
