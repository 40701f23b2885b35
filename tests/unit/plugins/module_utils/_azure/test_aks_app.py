# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CAST AI's identity for an AKS cluster, an app with a secret: created, found, handed over, renewed, removed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._azure.aks_app import plan
from ansible_collections.castai.onboarding.plugins.module_utils._azure.observed import Systems, observe
from ansible_collections.castai.onboarding.plugins.module_utils._azure.options import desired
from ansible_collections.castai.onboarding.plugins.module_utils._engine import (
    UNKNOWN,
    Action,
    Refused,
    Stopped,
)
from tests.unit.sandbox.aks_subscription import (
    GROUP_ID,
    NETWORK_ID,
    NODES_ID,
    PARAMETERS,
    TENANT,
    World,
    world,
)
from tests.unit.sandbox.aws_account import sentences
from tests.unit.sandbox.azure_client import OPERATOR_ID, SCOPE

__all__ = ["world"]

SCOPES = {GROUP_ID.lower(), NODES_ID.lower(), NETWORK_ID.lower()}


def said(*some: Any) -> str:
    """What results and messages contain."""
    return json.dumps(some, default=repr)


def test_a_fresh_subscription_gets_role_app_assignments_and_secret(world: World) -> None:
    planned = world.run(check=True)
    assert world.cloud.writes() == []
    done = world.run()
    assert sentences(done) == sentences(planned)
    assert done.view["assignments"] == planned.view["assignments"]
    app = world.app()
    assert set(app["tags"]) == {f"cast:cluster-id={world.cluster_id}", "castai-onboarding:cluster=shop"}
    (key,) = app["passwordCredentials"]
    assert key["displayName"] == "shop-castai"
    assert world.live_secret() == key["keyId"]
    assert app["notes"] == f"key={key['keyId']} credentials={world.credentials_id}"
    assert world.given["clientId"] == app["appId"] == done.view["castai_client_id"]
    assert world.given["tenantId"] == TENANT == done.view["tenant_id"]
    role = world.role()
    assert len(role["permissions"][0]["actions"]) == 36
    assert role["description"] == f"Role used by CAST AI (cast:cluster-id={world.cluster_id})"
    assert {one.lower() for one in role["assignableScopes"]} == SCOPES
    assert world.scopes(done.view["castai_principal_id"]) == SCOPES
    world.check_access()
    assert world.run().actions == ()


def test_the_plan_is_made_of_what_was_read_alone(world: World) -> None:
    parameters = {**PARAMETERS, "cluster_name": "shop", "cluster_id": world.cluster_id, "resource_group": "shop"}
    wanted = desired(parameters)
    current = observe(Systems(world.castai, world.azure), wanted)
    asked = len(world.cloud.gate.journal.since(0))
    planned = [one for one in plan(current, wanted) if isinstance(one, Action)]
    kinds = [type(one).__name__ for one in planned]
    assert kinds == ["CreateRole", "CreateApp", "CreatePrincipal", *["Assign"] * 3, "HandOverSecret"]
    assert len(world.cloud.gate.journal.since(0)) == asked
    assert planned[:6] == [*plan(current, replace(wanted, hand_over=False))]
    assert planned[6:] == [*plan(current, replace(wanted, prepare=False))]


def test_what_is_prepared_first_is_handed_over_later(world: World) -> None:
    world.run(hand_over=False)
    assert world.app()["passwordCredentials"] == []
    handed = world.run(prepare=False)
    assert [one.partition(" of ")[0] for one in sentences(handed)] == ["create a secret"]
    world.check_access()
    assert world.run().actions == ()
    assert world.run(hand_over=False).actions == world.run(prepare=False).actions == ()


def test_the_cluster_is_found_by_its_name_and_node_group_too(world: World) -> None:
    world.run(resource_group=None)
    assert world.run(resource_group="SHOP").actions == ()
    assert world.run(resource_group=None, node_resource_group=NODES_ID.rpartition("/")[2].upper()).actions == ()
    with pytest.raises(Refused, match=r"AKS has no cluster shop in subscription .* with node resource group other"):
        world.run(resource_group=None, node_resource_group="other")


NOBODY = "99999999-2222-4222-8222-333333333333"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"node_resource_group": "other"}, r"The node resource group of AKS cluster shop is MC_.*, not other\."),
        (
            {"node_resource_group": "other", "state": "absent"},
            r"castai_node_resource_group \(option node_resource_group",
        ),
        ({"subscription_id": NOBODY}, r"SubscriptionNotFound.* Correct castai_subscription_id"),
        ({"additional_resource_groups": ["other"]}, r"ResourceGroupNotFound.* whichever option names this"),
        ({"existing_app_id": NOBODY, "existing_app_secret": "s"}, r"Correct aks_onboard_existing_app_id"),
    ],
)
def test_what_does_not_exist_is_told_with_what_to_correct(world: World, changes: dict[str, Any], said: str) -> None:
    for check in (True, False):
        with pytest.raises((Refused, Stopped), match=said):
            world.run(check=check, **changes)
    assert world.cloud.writes() == []


def a_user(world: World) -> str:
    world.cloud.do("user_token", user="ann@example.com")
    (found,) = world.cloud.azure.store.users
    return str(found)


def of_directory(world: World) -> None:
    """From here on, the operator may read users too."""
    graph = ("Application.ReadWrite.OwnedBy", "Directory.Read.All")
    world.act_as(world.cloud.operator_with("*", scope=SCOPE, graph=graph))


def test_an_owner_that_cannot_own_the_app_is_refused_before_anything_is_written(world: World) -> None:
    ann = a_user(world)
    of_directory(world)
    an_app = world.state["applications"][0]["id"]
    for check in (True, False):
        with pytest.raises(Refused, match=rf"aks_onboard_owners \(option owners\) contains {NOBODY}, but tenant"):
            world.run(check=check, owners=[ann, NOBODY])
        with pytest.raises(Refused, match=rf"contains {an_app}, which is .* type application, but only users and"):
            world.run(check=check, owners=[an_app])
    assert world.cloud.writes() == []
    done = world.run(owners=[ann])
    assert "warnings" not in done.view
    owners = next(one.owners for one in world.cloud.azure.store.directory.applications if one.id == world.app()["id"])
    assert len(owners) == 2
    assert ann in owners


def test_owners_of_an_app_that_is_there_are_not_read(world: World) -> None:
    ann = a_user(world)
    world.run(owners=[ann])
    before = len(world.cloud.gate.journal.since(0))
    assert world.run(owners=[NOBODY]).actions == ()
    asked = [one.call.operation for one in world.cloud.gate.journal.since(before)]
    assert asked
    assert not [one for one in asked if "directoryObjects" in one]


def test_owners_that_may_not_be_read_are_told_and_left_to_the_run(world: World) -> None:
    ann = a_user(world)
    planned = world.run(check=True, owners=[ann])
    (said,) = planned.view["warnings"]
    assert (
        f"the owners {ann} of aks_onboard_owners (option owners) exist. To check this, grant Directory.Read.All."
        in said
    )
    with pytest.raises(Stopped, match=r"Request_ResourceNotFound.*Check aks_onboard_owners \(option owners\)"):
        world.run(owners=[NOBODY])


def test_removal_leaves_everything_as_it_was(world: World) -> None:
    before = world.comparable()
    app = world.run().view["identity_name"]
    planned = world.run(check=True, state="absent")
    done = world.run(state="absent")
    assert sentences(done) == sentences(planned)
    assert any("can be restored for 30 days" in one for one in sentences(done))
    assert world.comparable() == before
    assert world.state["deleted_applications"] == [app]
    assert world.run(state="absent").actions == ()


def test_two_clusters_share_nothing(world: World) -> None:
    first, second = world.run(), world.run("sister")
    assert {one["displayName"] for one in world.apps} == {first.view["identity_name"], second.view["identity_name"]}
    assert world.run().actions == world.run("sister").actions == ()
    before = world.assignments
    world.run("sister", state="absent")
    gone = before - world.assignments
    assert {who for _role, who, _scope in gone} == {second.view["castai_principal_id"]}
    world.check_access()


def test_a_cluster_that_is_not_registered_yet_can_be_planned(world: World) -> None:
    planned = world.run(check=True, cluster_id=UNKNOWN)
    assert planned.view["role"] == f"CastAKSRole-{UNKNOWN}"
    assert planned.view["castai_client_id"] == UNKNOWN
    done = world.run()
    named = [one.replace(UNKNOWN, "ID") for one in sentences(planned)]
    assert named == [one.replace(world.cluster_id, "ID").replace(world.short, "ID") for one in sentences(done)]


def test_a_run_without_changes_reads_each_object_once(world: World) -> None:
    world.run()
    begun = len(world.cloud.gate.journal.since(0))
    world.run()
    calls = [entry.call for entry in world.cloud.gate.journal.since(0)][begun:]
    # Apps are searched by their tag and by three names.
    read = [str(call) for call in calls if call.operation != "applications.list"]
    assert len(read) == len(set(read)) == len(calls) - 4
    assert not any(call.write for call in calls)


def test_no_byte_of_the_secret_is_in_a_result(world: World) -> None:
    done = world.run()
    secret = world.given["clientSecret"]
    assert secret
    assert secret not in said(done.public(diff=True), done)
    assert done.view["castai_client_id"] in said(done.public(diff=True))


# Secrets


@pytest.mark.parametrize(("starts", "ends", "why"), [(340, 25, "expires on"), (400, -35, "expired on"), (60, 40, "")])
def test_a_secret_near_its_end_is_replaced_before_it_goes(world: World, starts: int, ends: int, why: str) -> None:
    world.run()
    old = world.live_secret()
    (app,) = [one for one in world.cloud.azure.store.directory.applications if old in one.secrets]
    (key,) = app.said["passwordCredentials"]
    now = datetime.now(timezone.utc)
    key["startDateTime"], key["endDateTime"] = (
        f"{now + timedelta(days=days):%Y-%m-%dT%H:%M:%S.1234567Z}" for days in (-starts, ends)
    )
    done = world.run()
    if not why:
        assert done.actions == ()
        return
    assert [one.partition(" of ")[0] for one in sentences(done)] == ["create a secret", f"delete secret {old}"]
    assert why in sentences(done)[1]
    assert [one["keyId"] for one in world.app()["passwordCredentials"]] == [world.live_secret()]
    assert world.run().actions == ()


def test_secrets_of_others_stay(world: World) -> None:
    world.run()
    app = world.app()
    foreign = world.cloud.do("add_secret", client_id=app["appId"], name="ci")["key_id"]
    left = world.cloud.do("add_secret", client_id=app["appId"], name="shop-castai")["key_id"]
    done = world.run()
    assert sentences(done) == [
        f"delete secret {left} of app registration {app['displayName']}, which is not recorded as handed over"
    ]
    assert {one["keyId"] for one in world.app()["passwordCredentials"]} == {foreign, world.live_secret()}


def test_credentials_that_somebody_else_handed_over_are_replaced(world: World) -> None:
    world.run()
    app = world.app()
    other = world.cloud.do("add_secret", client_id=app["appId"], name="shop-castai")
    body = {**world.given, "clientSecret": other["secret"]}
    world.castai.hand_over(world.cluster_id, {"credentials": json.dumps(body)})
    world.run()
    assert [one["keyId"] for one in world.app()["passwordCredentials"]] == [world.live_secret()]
    assert world.run().actions == ()


def test_notes_that_others_wrote_stay(world: World) -> None:
    world.run(hand_over=False)
    world.cloud.graph("PATCH", f"/applications/{world.app()['id']}", {"notes": "ask Eve", "tags": ["team-a"]})
    done = world.run()
    assert world.app()["notes"].startswith("ask Eve key=")
    assert "team-a" in world.app()["tags"]
    assert any(one.startswith("tag app registration") for one in sentences(done))
    assert world.run().actions == ()


def test_a30_a31_policies_for_secrets_are_named_and_a_rerun_goes_on(world: World) -> None:
    world.cloud.do("set_app_policy", max_days=90)
    with pytest.raises(Stopped, match=r"CredentialInvalidLifetimeAsPerAppPolicy.*aks_onboard_secret_days"):
        world.run()
    world.cloud.do("set_app_policy", secrets_forbidden=True)
    with pytest.raises(Stopped, match=r"aks_onboard_credential \(option credential\) to federated, or .*identity"):
        world.run()
    assert world.castai.given == {}
    world.cloud.do("set_app_policy", max_days=90)
    assert len(world.run(secret_days=60).actions) == 1
    world.check_access()


def test_a_secret_that_cast_ai_refuses_is_taken_back(world: World) -> None:
    world.castai.refuses = True
    with pytest.raises(Stopped, match="was deleted again"):
        world.run()
    assert world.app()["passwordCredentials"] == []
    world.castai.refuses = False
    assert len(world.run().actions) == 1


# Roles and assignments


def test_a10_an_assignment_that_was_not_shown_is_success(world: World) -> None:
    world.run(ended_after=3)
    app, role = world.app(), world.role()
    guid = next(key for key, one in world.state["role_definitions"].items() if one == role)
    (principal,) = [one["id"] for one in world.state["service_principals"] if one["appId"] == app["appId"]]
    world.cloud.do("visibility", seconds=1000, kinds=["assignments_list"])
    world.cloud.azure.store.note("assignments_list", "made-elsewhere")
    name = world.cloud.do("grant", principal=principal, role=guid, scope=GROUP_ID).rpartition("/")[2]
    world.cloud.azure.store.note("assignments_list", name)
    world.run()
    assert world.scopes(principal) == SCOPES
    assert len([one for one in world.state["role_assignments"].values() if one["principalId"] == principal]) == 3


def test_a12_what_a_deleted_principal_had_is_removed(world: World) -> None:
    old = world.run().view["castai_principal_id"]
    world.cloud.do("remove_app", client_id=world.app()["appId"])
    world.run(hand_over=False)
    done = world.run(prepare=False)
    new = done.view["castai_principal_id"]
    assert new != old
    assert (world.scopes(old), world.scopes(new)) == (set(), SCOPES)
    assert world.run().actions == ()
    world.check_access()


def test_a18_the_group_of_a_kubelet_identity_of_ones_own_is_a_scope(world: World) -> None:
    own = world.cloud.do("add_identity", name="kubelets", group="identities")["id"]
    world.cloud.do("set_cluster", cluster="shop", identityProfile={"kubeletidentity": {"resourceId": own}})
    done = world.run(additional_resource_groups=["images"] if world.cloud.do("add_group", name="images") else [])
    more = {f"{SCOPE}/resourceGroups/{one}".lower() for one in ("identities", "images")}
    assert world.scopes(done.view["castai_principal_id"]) == SCOPES | more


def test_a_group_that_is_not_wanted_any_more_loses_the_role(world: World) -> None:
    images = world.cloud.do("add_group", name="images")
    principal = world.run(additional_resource_groups=[images.upper().replace("SUBSCRIPTIONS", "subscriptions")]).view[
        "castai_principal_id"
    ]
    assert world.scopes(principal) == SCOPES | {images.lower()}
    planned = world.run(check=True)
    done = world.run()
    assert sentences(done) == sentences(planned)
    assert [one.rpartition(", ")[2] for one in sentences(done)] == ["where CAST AI does not need it"]
    assert done.view["assignments"]["removed"] == planned.view["assignments"]["removed"]
    assert world.scopes(principal) == SCOPES
    assert world.run().actions == ()
    world.run(state="absent")
    assert world.state["role_definitions"] == {}


def test_actions_that_somebody_changed_are_corrected(world: World) -> None:
    world.run()
    (definition,) = [one for one in world.cloud.azure.store.definitions.values() if one.custom]
    definition.said["permissions"][0]["notActions"] = ["Microsoft.Compute/disks/delete"]
    assert sentences(world.run()) == [f"update role CastAKSRole-{world.short}"]
    assert world.role()["permissions"][0]["notActions"] == []
    assert world.run().actions == ()


def test_a_role_that_others_have_too_is_kept(world: World) -> None:
    world.run()
    guid = next(iter(world.state["role_definitions"]))
    other = world.cloud.do("add_app", name="another")["principal_id"]
    world.cloud.do("grant", principal=other, role=guid, scope=GROUP_ID)
    done = world.run(state="absent")
    assert any("it is also assigned to others" in one for one in done.view["kept"])
    assert world.scopes(other) == {GROUP_ID.lower()}


def test_what_else_the_principal_has_stays(world: World) -> None:
    principal = world.run().view["castai_principal_id"]
    world.cloud.do("grant", principal=principal, role="Reader", scope=f"{SCOPE}/resourceGroups/sister")
    assert world.run().actions == ()
    world.run(state="absent")
    assert len(world.scopes(principal)) == 1


# The app


@pytest.mark.parametrize("parts", [({},), ({"hand_over": False}, {"prepare": False})], ids=["at once", "in parts"])
@pytest.mark.parametrize("seconds", [15, 60])
def test_replicas_of_graph_that_lag_leave_one_app_and_one_secret(world: World, parts: Any, seconds: float) -> None:
    world.cloud.do("lag", seconds=seconds)
    for part in parts:
        world.run(**part)
    assert world.run().actions == ()
    assert len(world.apps) == 1
    assert [one["keyId"] for one in world.app()["passwordCredentials"]] == [world.live_secret()]


def test_what_is_not_prepared_is_not_handed_over(world: World) -> None:
    with pytest.raises(Stopped, match=r"There is no app registration yet\. Set prepare to true"):
        world.run(prepare=False)
    assert world.castai.given == {}


def test_a33_an_app_of_another_cluster_is_left_alone(world: World) -> None:
    other = world.cloud.do(
        "add_app", name=f"CAST.AI shop-{world.short}", tags=["cast:cluster-id=5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e"]
    )
    done = world.run()
    assert done.view["identity_name"] == f"CAST.AI shop-{world.cluster_id}"
    assert done.view["castai_client_id"] != other["client_id"]
    assert world.run().actions == ()
    world.run(state="absent")
    assert [one["appId"] for one in world.apps] == [other["client_id"]]


def test_several_apps_that_may_be_it_are_refused_by_their_ids(world: World) -> None:
    made = [world.cloud.do("add_app", name=f"CAST.AI shop-{world.short}")["client_id"] for _number in range(2)]
    with pytest.raises(Refused, match=f"{sorted(made)[0]} and {sorted(made)[1]}.*existing_app_id"):
        world.run()
    assert world.cloud.writes() == []


def test_an_app_of_ones_own_is_used_as_it_is(world: World) -> None:
    own = world.cloud.do("add_app", name="castai-central", notes="team a")
    secret = world.cloud.do("add_secret", client_id=own["client_id"], name="terraform")["secret"]
    given = {"existing_app_id": own["client_id"], "existing_app_secret": secret}
    before = world.app("castai-central")
    done = world.run(**given)
    assert world.app("castai-central") == before
    assert secret not in said(done.public(diff=True), done)
    assert world.scopes(own["principal_id"]) == SCOPES
    world.check_access()
    assert world.run(**given).actions == ()
    world.run(state="absent", existing_app_id=own["client_id"])
    assert world.app("castai-central") == before
    assert world.scopes(own["principal_id"]) == set()


def own_app(world: World) -> tuple[dict[str, str], dict[str, str]]:
    """An app, and the options that pass it to the run."""
    own = world.cloud.do("add_app", name="castai-central", owners=[OPERATOR_ID])
    return own, {"existing_app_id": own["client_id"], "existing_app_secret": new_secret(world, own, "one")}


def new_secret(world: World, app: dict[str, str], start: str) -> str:
    made = world.cloud.do("add_secret", client_id=app["client_id"], name="central", text=f"{start}8Q~CANARY{start}")
    return str(made["secret"])


def test_another_secret_of_ones_own_app_is_handed_over(world: World) -> None:
    own, given = own_app(world)
    world.run(**given)
    first = world.given["clientSecret"]
    given["existing_app_secret"] = new_secret(world, own, "two")
    planned = world.run(check=True, **given)
    (said_of_it,) = sentences(planned)
    assert said_of_it.startswith("hand the existing secret of app registration castai-central to CAST AI")
    assert world.given["clientSecret"] == first
    done = world.run(**given)
    assert world.given["clientSecret"] == given["existing_app_secret"] != first
    for secret in (first, given["existing_app_secret"]):
        assert secret not in said(done.public(diff=True), done, world.state["role_assignments"])
    assert world.run(**given).actions == ()
    # The first one is deleted in Entra, which changes nothing.
    world.azure.remove_password(TENANT, own["id"], world.cloud.do("secret_id", text=first))
    assert world.run(**given).actions == ()
    world.run(state="absent", existing_app_id=own["client_id"])
    assert world.scopes(own["principal_id"]) == set()


def test_a_secret_of_which_graph_shows_nothing_is_handed_over_once(world: World) -> None:
    own, given = own_app(world)
    for one in world.cloud.azure.store.directory.application(TENANT, own["id"]).said["passwordCredentials"]:
        one["hint"] = None
    world.run(**given)
    assert world.run(**given).actions == ()


def test_credentials_that_another_run_handed_over_are_replaced_by_ones_own_app(world: World) -> None:
    world.run()
    former = world.given["clientId"]
    own, given = own_app(world)
    world.run(**given)
    assert world.given["clientId"] == own["client_id"] != former
    world.check_access()
    assert world.run(**given).actions == ()


def test_in_parts_ones_own_app_is_handed_over_once(world: World) -> None:
    _own, given = own_app(world)
    for part in ({"hand_over": False}, {"prepare": False}):
        world.run(**part, **given)
    for part in ({"hand_over": False}, {"prepare": False}, {}):
        assert world.run(**part, **given).actions == ()


def test_what_others_assigned_is_not_edited_to_note_something(world: World) -> None:
    own, given = own_app(world)
    world.run(**given)
    for one in world.cloud.azure.store.assignments:
        if one.said["principalId"] == own["principal_id"]:
            one.said["description"] = "castai role assignment for resource group"
    before = world.state["role_assignments"]
    given["existing_app_secret"] = new_secret(world, own, "two")
    assert world.run(**given).actions == ()
    assert world.state["role_assignments"] == before


def test_an_app_of_ones_own_must_be_there(world: World) -> None:
    missing = "5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e"
    with pytest.raises(Refused, match=f"no app registration with client ID {missing}.*aks_onboard_existing_app_id"):
        world.run(existing_app_id=missing, existing_app_secret="secret8Q~")
    with pytest.raises(Refused, match="existing_app_secret"):
        world.run(existing_app_id=missing)


# Of Azure's resources


def test_the_cluster_must_be_that_of_the_record(world: World) -> None:
    with pytest.raises(Refused, match="is AKS cluster sister"):
        world.run(cluster_id=world.ids["sister"])
    eks = world.castai.register_cluster("web", {"eks": {"accountId": "1" * 12, "region": "x", "clusterName": "web"}})
    with pytest.raises(Refused, match=f"cluster {eks.id} is web of provider eks, not AKS cluster shop of subscription"):
        world.run(cluster_id=eks.id)
    with pytest.raises(Refused, match="CAST AI has no cluster"):
        world.run(cluster_id="5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e")
    with pytest.raises(Refused, match="AKS has no cluster shop in resource group other"):
        world.run(resource_group="other")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"powerState": {"code": "Stopped"}}, "is stopped. Start it"),
        ({"sku": {"name": "Automatic", "tier": "Standard"}}, "is an AKS Automatic cluster"),
        ({"nodeResourceGroupProfile": {"restrictionLevel": "ReadOnly"}}, "is locked .ReadOnly."),
    ],
)
def test_a3_a37_a_cluster_that_cast_ai_cannot_change_is_refused_and_its_identity_can_be_removed(
    world: World, fields: dict[str, Any], said: str
) -> None:
    world.run()
    begun = len(world.cloud.writes())
    world.cloud.do("set_cluster", cluster="shop", **fields)
    with pytest.raises(Refused, match=said):
        world.run()
    assert len(world.cloud.writes()) == begun
    world.run(state="absent")
    assert world.apps == []


# The proxy

PROXY = {"httpProxy": "http://user:pa55word@proxy.example.com:3128", "noProxy": ["10.0.0.0/8"], "enabled": True}


def test_a43_a51_the_clusters_proxy_is_handed_over_and_its_password_is_shown_nowhere(world: World) -> None:
    world.run()
    world.cloud.do("set_cluster", cluster="shop", httpProxyConfig=PROXY)
    done = world.run()
    assert sentences(done) == [f"send CAST AI the HTTP proxy of cluster {world.cluster_id}"]
    assert "pa55word" not in said(done.public(diff=True), done)
    assert "proxy.example.com:3128" in said(done.public(diff=True))
    record = world.castai.get_cluster(world.cluster_id)
    assert record
    assert record.http_proxy == {"httpProxy": PROXY["httpProxy"], "noProxy": ["10.0.0.0/8"]}
    world.check_access()
    assert world.run().actions == ()
    assert world.run(http_proxy="none").actions == ()
    with pytest.raises(Refused, match="has its own HTTP proxy") as refused:
        world.run(http_proxy={"http": "http://other:8080"})
    assert "pa55word" not in str(refused.value)


def test_a_proxy_of_the_users_is_handed_over_with_the_secret(world: World) -> None:
    given = {"http": "http://u:pa55word@proxy:3128", "https": "http://proxy:3128", "no_proxy": ["a", "b"]}
    done = world.run(http_proxy=given)
    assert "pa55word" not in said(done.public(diff=True), done)
    record = world.castai.get_cluster(world.cluster_id)
    assert record
    assert record.http_proxy["httpsProxy"] == "http://proxy:3128"
    assert world.run(http_proxy=given).actions == ()
    world.run(http_proxy={**given, "no_proxy": "b,a,c"})
    assert world.run(http_proxy={**given, "no_proxy": ["a", "b", "c"]}).actions == ()
    world.check_access()
