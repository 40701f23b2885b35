# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CAST AI's identity for an AKS cluster without a secret: a federated app, and a managed identity."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._engine import UNKNOWN, Refused, Stopped
from tests.unit.sandbox.aks_subscription import GROUP_ID, NETWORK_ID, NODES_ID, World, world
from tests.unit.sandbox.aws_account import sentences

__all__ = ["world"]

SCOPES = {GROUP_ID.lower(), NODES_ID.lower(), NETWORK_ID.lower()}
APP = {"credential": "federated"}
MANAGED = {"identity": "managed_identity"}
ISSUER = "https://accounts.google.com"
AUDIENCE = "api://AzureADTokenExchange"
WAYS = pytest.mark.parametrize("way", [APP, MANAGED], ids=["app", "managed"])


def federations(world: World, way: Any) -> list[dict[str, Any]]:
    found = world.identities["shop-castai-identity"] if way is MANAGED else world.app()
    return list(found["federatedIdentityCredentials"])


@WAYS
def test_cast_ai_logs_in_without_a_secret(world: World, way: Any) -> None:
    planned = world.run(check=True, **way)
    assert world.cloud.writes() == []
    done = world.run(**way)
    assert sentences(done) == sentences(planned)
    (one,) = federations(world, way)
    assert (one["issuer"], one["subject"], one["audiences"]) == (ISSUER, world.subject(), [AUDIENCE])
    own = done.view["castai_principal_id"] if way is MANAGED else one["id"]
    assert world.given["federationId"] == own
    assert "clientSecret" not in world.given
    assert world.given["clientId"] == done.view["castai_client_id"]
    assert world.scopes(done.view["castai_principal_id"]) == SCOPES
    assert "secret_expires" not in done.view
    world.check_access()
    assert world.run(**way).actions == ()
    assert world.run(hand_over=False, **way).actions == world.run(prepare=False, **way).actions == ()


def test_a_managed_identity_is_made_where_the_cluster_is_and_says_whose_it_is(world: World) -> None:
    done = world.run(**MANAGED)
    assert world.apps == []
    assert done.view["identity_name"] == "shop-castai-identity"
    found = world.identities["shop-castai-identity"]
    assert found["location"] == "westeurope"
    assert found["tags"] == {
        "cast:cluster-id": world.cluster_id,
        "castai-onboarding:cluster": "shop",
        "castai-onboarding:credentials": world.credentials_id,
    }
    assert found["federatedIdentityCredentials"][0]["name"] == f"castai-{world.cluster_id}"


def test_a_managed_identity_takes_no_right_in_entra(world: World) -> None:
    world.act_as(world.cloud.operator_with("*"))
    world.run(**MANAGED)
    assert world.run(**MANAGED).actions == ()
    world.run(state="absent", **MANAGED)
    assert world.identities == {}


@WAYS
def test_removal_leaves_everything_as_it_was(world: World, way: Any) -> None:
    before = world.comparable()
    world.run(**way)
    planned = world.run(check=True, state="absent", **way)
    done = world.run(state="absent", **way)
    assert sentences(done) == sentences(planned)
    assert world.comparable() == before
    assert world.run(state="absent", **way).actions == ()


def test_removal_disables_cast_ais_account_whichever_credential_the_task_names(world: World) -> None:
    world.run(**APP)
    assert sentences(world.run(state="absent"))[0].startswith("ask CAST AI to disable the account")


EVERY_WAY = pytest.mark.parametrize("way", [{}, APP, MANAGED], ids=["secret", "app", "managed"])


@EVERY_WAY
@pytest.mark.parametrize("verb", ["remove_cluster", "remove_group"])
def test_what_a_deleted_cluster_or_group_leaves_is_removed(world: World, way: Any, verb: str) -> None:
    """The network's group is another one and still has the role."""
    world.cloud.do("add_group", name="images")
    world.run(additional_resource_groups=["images"], **way)
    world.cloud.do(verb, **({"cluster": "shop"} if verb == "remove_cluster" else {"name": "shop"}))
    planned = world.run(check=True, state="absent", **way)
    done = world.run(state="absent", **way)
    assert sentences(done) == sentences(planned)
    assert any(one.endswith("on resource group images") for one in sentences(done))
    assert (world.apps, world.identities) == ([], {})
    assert "CastAKS" not in str(world.state["role_definitions"])
    assert "CastAKS" not in str(world.assignments)
    assert done.view["kept"] == []
    assert world.run(state="absent", **way).actions == ()
    # If the group is not known, nothing is guessed.
    with pytest.raises(Refused, match=r"To remove the identity of a deleted cluster, set castai_resource_group"):
        world.run(state="absent", resource_group=None, **way)


def test_a_group_that_the_cluster_left_and_that_is_gone_is_in_nobodys_way(world: World) -> None:
    world.cloud.do("add_group", name="images")
    world.run(additional_resource_groups=["images"])
    world.cloud.do("remove_group", name="images")
    assert world.run().actions == ()
    world.run(managed_clusters_write=True)
    assert all("images" not in one for one in world.role()["assignableScopes"])


@WAYS
def test_from_a_secret_to_none_and_back_without_an_outage(world: World, way: Any) -> None:
    world.run()
    world.run(**way)
    assert not world.live_secret()
    assert [one["passwordCredentials"] for one in world.apps] == (
        [[]] if way is APP else [world.apps[0]["passwordCredentials"]]
    )
    if way is APP:
        done = world.run()
        assert any(one.startswith("delete federated credential") for one in sentences(done))
        assert world.live_secret()
        world.check_access()
        assert world.run().actions == ()


@WAYS
def test_what_is_not_prepared_is_not_handed_over(world: World, way: Any) -> None:
    with pytest.raises(Stopped, match="Set prepare to true"):
        world.run(prepare=False, **way)
    assert world.castai.given == {}


def test_after_a_change_of_identity_the_former_has_no_rights(world: World) -> None:
    old = world.run().view["castai_principal_id"]
    world.run(hand_over=False, **MANAGED)
    assert world.scopes(old) == SCOPES
    done = world.run(prepare=False, **MANAGED)
    assert world.scopes(old) == set()
    assert world.scopes(done.view["castai_principal_id"]) == SCOPES
    assert world.run(**MANAGED).actions == ()


def test_a_managed_identity_that_was_moved_goes_on_as_one_of_the_users_own(world: World) -> None:
    principal = world.run(**MANAGED).view["castai_principal_id"]
    store = world.cloud.azure.store
    (own,) = [key for key, one in store.identities.items() if one.principal == principal]
    moved = store.identities.pop(own)
    moved.id = f"{world.cloud.do('add_group', name='images')}/{moved.id.partition('/resourceGroups/shop/')[2]}"
    store.identities[moved.id.lower()] = moved
    options = {**MANAGED, "existing_identity_id": moved.id}
    assert [one for one in sentences(world.run(**options)) if "hand" not in one] == []
    world.check_access()
    assert world.run(**options).actions == ()
    assert len(world.identities) == 1
    kept = world.run(**options, state="absent").view["kept"]
    assert any(one.startswith("managed identity shop-castai-identity: it was set with") for one in kept)
    assert world.scopes(principal) == set()


@WAYS
def test_a_cluster_that_is_not_registered_yet_can_be_planned(world: World, way: Any) -> None:
    planned = world.run(check=True, cluster_id=UNKNOWN, **way)
    done = world.run(**way)
    named = [one.replace(UNKNOWN, "ID") for one in sentences(planned)]
    assert named == [one.replace(world.cluster_id, "ID").replace(world.short, "ID") for one in sentences(done)]


@WAYS
@pytest.mark.parametrize("kind", ["identities", "principals", "federated", "applications", "servicePrincipals"])
def test_what_azure_does_not_show_yet_is_waited_for(world: World, kind: str, way: Any) -> None:
    world.cloud.do("visibility", seconds=40, kinds=[kind])
    done = world.run(**way)
    world.check_access()
    assert world.scopes(done.view["castai_principal_id"]) == SCOPES
    world.clock.ahead += 300
    assert world.run(**way).actions == ()


def test_a_federation_of_ours_that_somebody_changed_is_corrected(world: World) -> None:
    world.run(**MANAGED)
    (one,) = federations(world, MANAGED)
    one["audiences"] = ["api://other"]
    for identity in world.cloud.azure.store.identities.values():
        for credential in identity.federated:
            credential["audiences"] = ["api://other"]
    done = world.run(**MANAGED)
    assert sentences(done) == [
        f"update federated credential castai-{world.cluster_id} of managed identity shop-castai-identity"
    ]
    world.check_access()
    assert world.run(**MANAGED).actions == ()


def test_the_identity_may_be_elsewhere(world: World) -> None:
    world.cloud.do("behave", regions_without_federation=["westeurope"])
    world.run(identity_location="northeurope", **MANAGED)
    assert world.identities["shop-castai-identity"]["location"] == "northeurope"
    assert world.run(**MANAGED).actions == ()


def test_a_resource_provider_is_registered_unless_that_is_not_wanted(world: World) -> None:
    world.cloud.do("set_registered", namespace="Microsoft.ManagedIdentity", on=False)
    with pytest.raises(Refused, match=r"Microsoft\.ManagedIdentity is not registered.*register_providers"):
        world.run(register_providers=False, **MANAGED)
    planned = world.run(check=True, **MANAGED)
    done = world.run(**MANAGED)
    assert sentences(done) == sentences(planned)
    assert any(one.startswith("register resource provider Microsoft.ManagedIdentity") for one in sentences(done))
    assert world.run(**MANAGED).actions == ()


def test_a_managed_identity_of_another_cluster_is_left_alone(world: World) -> None:
    tags = {"cast:cluster-id": "5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e"}
    world.cloud.do("add_identity", name="shop-castai-identity", group="shop", tags=tags)
    done = world.run(**MANAGED)
    assert done.view["identity_name"] == f"shop-castai-{world.short}"
    assert world.run(**MANAGED).actions == ()
    world.run(state="absent", **MANAGED)
    assert world.identities["shop-castai-identity"]["tags"] == tags


def test_a_managed_identity_without_a_tag_is_not_taken_over_unasked(world: World) -> None:
    world.cloud.do("add_identity", name="shop-castai-identity", group="shop")
    with pytest.raises(Refused, match="has no tag that shows which cluster it belongs to"):
        world.run(**MANAGED)
    done = world.run(adopt=True, **MANAGED)
    assert done.view["adopted"] == {"shop-castai-identity": "Terraform"}


def test_a47_federated_credentials_are_read_once(world: World) -> None:
    world.cloud.do("behave", limits=True)
    world.run(**MANAGED)
    world.clock.ahead += 60
    begun = len(world.cloud.gate.journal.since(0))
    world.run(**MANAGED)
    calls = [entry.call for entry in world.cloud.gate.journal.since(0)][begun:]
    read = [str(call) for call in calls]
    assert len(read) == len(set(read))
    assert not any(call.write for call in calls)


@WAYS
def test_an_identity_of_ones_own_must_trust_cast_ai(world: World, way: Any) -> None:
    if way is MANAGED:
        made = world.cloud.do("add_identity", name="central", group="identities")
        given = {**way, "existing_identity_id": made["id"]}
    else:
        made = world.cloud.do("add_app", name="central")
        given = {**way, "existing_app_id": made["client_id"]}
    with pytest.raises(Refused, match=f"has no federated credential for CAST AI.*{ISSUER}"):
        world.run(**given)
    named = {"issuer": ISSUER, "subject": world.subject(), "audience": AUDIENCE}
    of = made["id"] if way is MANAGED else made["client_id"]
    world.cloud.do("add_federated", of=of, name="by-hand", **named)
    before = (world.identities, world.apps)
    done = world.run(**given)
    assert (world.identities, world.apps) == before
    assert done.view["castai_client_id"] == made["client_id"]
    world.check_access()
    assert world.run(**given).actions == ()
    world.run(state="absent", **given)
    assert (world.identities, world.apps) == before
    assert world.scopes(made["principal_id"]) == set()
