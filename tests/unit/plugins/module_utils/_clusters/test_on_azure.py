# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight finds out from the stand-in for Azure before an AKS cluster is onboarded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._azure.permissions import (
    APP,
    DIRECTORY,
    GRANTS,
    MANAGED,
    ONBOARD,
    OWNED,
    POLICIES,
    needed,
)
from ansible_collections.castai.onboarding.plugins.module_utils._castai import phase2
from ansible_collections.castai.onboarding.plugins.module_utils._clusters import aks, on_azure
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.facts import CloudRights, Named
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.castai import Cluster
from tests.sandbox.castai.server import CastAi as Api
from tests.unit.sandbox import aws_client
from tests.unit.sandbox.aws_account import Direct
from tests.unit.sandbox.azure_client import GROUP_ID, NETWORK_ID, NODES_ID, SCOPE, SUBSCRIPTION, Azures, cluster

CLUSTER_ID = "5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e"
BLOCK = {"subscriptionId": SUBSCRIPTION, "nodeResourceGroup": NODES_ID.rpartition("/")[2]}
RECORD = Cluster(CLUSTER_ID, "shop", "aks", "ready", "online", "org", "", "", BLOCK)
ALL = tuple(grant.permission for grant in GRANTS)
ME = "application me"
NOBODY = "99999999-2222-4222-8222-333333333333"
NOTHING = CloudRights(not_checked=(on_azure.UNASKED,))
CLUSTER_ITSELF = "Microsoft.ContainerService/"
SUBSCRIPTION_ONLY = ("Microsoft.Resources/", "Microsoft.ManagedIdentity/register/action")


class World(Azures):
    """The world's Azure together with CAST AI."""

    def __init__(self) -> None:
        super().__init__()
        self.api = Api(aws_client.world(self.clock), self.clock, self.google, self.azure)
        self.castai = Direct(self.api)
        self.azure.add_cluster(cluster("shop"))

    def reset(self) -> None:
        super().reset()
        self.api.reset()


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    made = World()
    yield made
    assert made.azure.take_defects() == []


@pytest.fixture
def azures(shared: World) -> World:
    shared.reset()
    return shared


def asked(
    azures: World,
    actions: tuple[str, ...] = ALL,
    record: Cluster | None = RECORD,
    graph: tuple[str, ...] = (OWNED, POLICIES),
    scope: str = SCOPE,
    made: Any = None,
    **options: Any,
) -> CloudRights | None:
    """scope: where the actions are allowed; if it is not the subscription, only reading is allowed elsewhere. made: the
    operator, created if necessary."""
    roles = {scope: actions} if scope == SCOPE else {scope: actions, SCOPE: ["*/read"]}
    made = made or azures.do("add_operator", graph=graph, actions=roles)
    operator = {name: made[name] for name in ("client_id", "tenant", "secret")}
    azure = azures.gateway(**operator)

    class Systems:
        def cloud(self) -> Any:
            return azure

        def cluster(self) -> Any:
            raise AssertionError

    facts = aks.read(Systems(), Named("aks", "shop", {"resource_group": "shop"}))
    params = phase2.with_defaults({"provider": "aks", "onboard": {"connecting": False, **options}})
    return aks.AKS.onboarding.rights(azure, facts, params["onboard"], record, ME, lambda: azures.castai)


def without(*actions: str) -> tuple[str, ...]:
    return tuple(one for one in ALL if one not in actions)


@pytest.mark.parametrize("identity", [APP, MANAGED])
def test_whoever_has_all_permissions_is_told_nothing(azures: World, identity: str) -> None:
    assert asked(azures, identity=identity) == NOTHING
    assert [one for one in azures.azure.heard if one.method in ("PUT", "PATCH", "DELETE")] == []


def test_of_a_cluster_that_castai_has_credentials_of_nothing_is_asked(azures: World) -> None:
    operator = ("Microsoft.ContainerService/managedClusters/read",)
    assert asked(azures, operator, replace(RECORD, credentials_id="c")) is None


@pytest.mark.parametrize(
    ("identity", "action"),
    [
        (identity, action)
        for identity in (APP, MANAGED)
        for action in needed(ONBOARD, {identity})
        if not action.startswith((CLUSTER_ITSELF, *SUBSCRIPTION_ONLY))
    ],
)
def test_each_action_that_onboarding_needs_is_named(azures: World, identity: str, action: str) -> None:
    """Except for those that reading the cluster has proven, and those that any role in the subscription has."""
    found = asked(azures, without(action), identity=identity)
    assert found
    said = found.reading if needed(ONBOARD, {identity})[action].reads else found.writing
    assert len(said) == 1
    assert said[0].startswith(f"The roles of {ME} lack actions on {GROUP_ID}")
    assert f": {action}. Assign a role that has them" in said[0]
    assert (NODES_ID in said[0]) is ("Authorization/role" in action)
    assert f"aks-onboard-{'managed-identity' if identity == MANAGED else 'app'}.json" in said[0]


def test_a_group_in_which_nothing_is_allowed_is_named(azures: World) -> None:
    found = asked(azures, scope=GROUP_ID)
    assert found
    (said,) = found.writing
    assert f"{NODES_ID}, {NETWORK_ID} that onboarding needs" in said
    assert GROUP_ID not in said.replace(NETWORK_ID, "")


def test_what_only_repairs_need_is_a_warning(azures: World) -> None:
    found = asked(azures, without("Microsoft.Authorization/roleAssignments/delete"))
    assert found
    assert (found.reading, found.writing) == ((), ())
    assert "repairs need: Microsoft.Authorization/roleAssignments/delete" in found.warnings[0]


def test_what_cannot_be_read_is_not_checked(azures: World) -> None:
    unread = tuple(f"Microsoft.Authorization/{one}/read" for one in ("permissions", "denyAssignments", "locks"))
    found = asked(azures, without(*unread))
    assert found
    assert (found.reading, found.writing, found.warnings) == ((), (), ())
    assert f"Could not read the permissions that this run has on {GROUP_ID}." in found.not_checked
    assert f"Could not read the locks of {NODES_ID}." in found.not_checked


@pytest.mark.parametrize(("on", "concerns"), [(NODES_ID, True), (GROUP_ID + "x", False)])
def test_a_deny_assignment_is_a_finding(azures: World, on: str, concerns: bool) -> None:
    azures.do("add_denial", scope=on)
    found = asked(azures)
    assert found
    assert bool(found.writing) is concerns
    assert not concerns or f"Deny assignment node resource group lockdown on {NODES_ID} forbids" in found.writing[0]


def test_whoever_is_excluded_from_a_deny_assignment_is_not_told_of_it(azures: World) -> None:
    made = azures.do("add_operator", graph=[OWNED, POLICIES], actions={SCOPE: ALL})
    azures.do("add_denial", scope=NODES_ID, excluded=[made["principal_id"]])
    assert asked(azures, made=made) == NOTHING


@pytest.mark.parametrize(
    ("level", "on", "field", "said"),
    [
        ("ReadOnly", GROUP_ID, "writing", f"(ReadOnly) of {GROUP_ID} forbids all changes in {GROUP_ID}"),
        ("ReadOnly", SCOPE, "writing", f"(ReadOnly) of {SCOPE} forbids all changes in {GROUP_ID}"),
        ("CanNotDelete", NODES_ID, "warnings", f"(CanNotDelete) of {NODES_ID} keeps CAST AI from deleting nodes"),
    ],
)
def test_locks(azures: World, level: str, on: str, field: str, said: str) -> None:
    azures.do("add_lock", scope=on, level=level)
    found = asked(azures)
    assert found
    assert said in getattr(found, field)[0]


@pytest.mark.parametrize(
    ("registers", "actions", "said"),
    [
        (True, ALL, ""),
        (
            False,
            ALL,
            "Register it, for example with az provider register --namespace Microsoft.ManagedIdentity, or set",
        ),
        (True, without("Microsoft.ManagedIdentity/register/action"), "lack Microsoft.ManagedIdentity/register/action"),
    ],
)
def test_a_provider_that_is_not_registered(azures: World, registers: bool, actions: tuple[str, ...], said: str) -> None:
    azures.do("set_registered", namespace="Microsoft.ManagedIdentity", on=False)
    found = asked(azures, actions, identity=MANAGED, register_providers=registers)
    assert found
    assert said in "".join(found.writing)
    assert bool(said) is bool(found.writing)


def test_an_application_without_graph_permissions_is_warned_and_told_the_other_way(azures: World) -> None:
    found = asked(azures, graph=())
    assert found
    (said,) = found.warnings
    assert "does not have Application.ReadWrite.OwnedBy of Microsoft Graph" in said
    assert "aks_onboard_identity (option identity) to managed_identity" in said
    assert asked(azures, graph=(), identity=MANAGED) == NOTHING


def test_a_cluster_whose_nodes_castai_cannot_manage_is_refused_in_a_plan_too(azures: World) -> None:
    azures.do("set_cluster", cluster="shop", sku={"name": "Automatic", "tier": "Standard"})
    for record in (RECORD, replace(RECORD, credentials_id="c")):
        found = asked(azures, record=record)
        assert found
        assert "is an AKS Automatic cluster" in found.reading[0]


def test_additional_groups_are_asked_too(azures: World) -> None:
    for name in ("disks", "images"):
        azures.do("add_group", name=name)
    found = asked(azures, scope=GROUP_ID, additional_resource_groups=["disks", f"{SCOPE}/resourceGroups/images/"])
    assert found
    assert f"{SCOPE}/resourceGroups/disks, {SCOPE}/resourceGroups/images that onboarding needs" in found.writing[0]


def test_a24_where_cast_ai_has_no_account_for_managed_identities_a_plan_is_refused_too(azures: World) -> None:
    azures.api.control("keyless", on=False)
    found = asked(azures, identity=MANAGED)
    assert found
    (said,) = found.reading
    assert "CAST AI does not say which account it would use with a managed identity" in said
    assert "aks_onboard_identity (option identity) to app and aks_onboard_credential" in said
    assert asked(azures) == NOTHING
    assert asked(azures, identity=MANAGED, record=replace(RECORD, credentials_id="c")) is None


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"secrets_forbidden": True}, "forbids secrets of apps. Set aks_onboard_credential (option credential) to fed"),
        (
            {"max_days": 90},
            "for 90 days at most, but aks_onboard_secret_days (option secret_days) is 365. Set it to 90",
        ),
        ({"max_days": 365}, ""),
    ],
)
def test_a30_a31_a_policy_on_secrets_is_found_where_it_can_be_read(
    azures: World, policy: dict[str, Any], said: str
) -> None:
    azures.do("set_app_policy", **policy)
    found = asked(azures)
    assert found
    assert [said in one for one in found.writing] == [True] * bool(said)
    assert asked(azures, credential="federated", graph=(OWNED,)).writing == ()  # type: ignore[union-attr]
    assert asked(azures, identity=MANAGED) == NOTHING
    unread = asked(azures, graph=(OWNED,))
    assert unread
    assert (unread.writing, len(unread.not_checked)) == ((), 2)
    assert "grant Policy.Read.All" in unread.not_checked[0]


def test_owners_are_looked_up_where_they_may_be_read(azures: World) -> None:
    azures.do("user_token", user="ann@example.com")
    (ann,) = azures.azure.store.users
    graph = (OWNED, POLICIES, DIRECTORY)
    assert asked(azures, owners=[ann], graph=graph) == NOTHING
    found = asked(azures, owners=[ann, NOBODY], graph=graph)
    assert found
    (said,) = found.reading
    assert f"aks_onboard_owners (option owners) contains {NOBODY}, but tenant" in said
    unread = asked(azures, owners=[ann])
    assert unread
    assert unread.reading == unread.writing == unread.warnings == ()
    assert (
        f"the owners {ann} of aks_onboard_owners (option owners) exist. To check this, grant {DIRECTORY}."
        in unread.not_checked[0]
    )


def test_what_cast_ai_only_tells_when_it_is_done_is_not_checked(azures: World) -> None:
    found = asked(azures, credential="federated")
    assert found
    assert found.reading == ()
    (said, unasked) = found.not_checked
    assert unasked == on_azure.UNASKED
    assert "lets your organization use an app registration without a secret" in said


def test_what_the_module_would_refuse_is_a_finding(azures: World) -> None:
    for _number in range(2):
        azures.do("add_app", name=f"CAST.AI shop-{CLUSTER_ID[:8]}")
    found = asked(azures)
    assert found
    (said,) = found.reading
    assert "Several app registrations may belong to cluster" in said
    assert asked(azures, record=None) == NOTHING
