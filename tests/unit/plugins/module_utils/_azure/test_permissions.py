# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published custom roles come from one source, and Azure accepts them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._azure import permissions
from ansible_collections.castai.onboarding.plugins.module_utils._azure.permissions import (
    ADMIN,
    APP,
    CONNECT,
    GRANTS,
    GRAPH,
    KINDS,
    MANAGED,
    ONBOARD,
    OWNED,
    PLAN,
    READ_ALL,
    REMOVE,
    file_name,
    granted,
    needed,
)
from ansible_collections.castai.onboarding.plugins.module_utils._clusters import aks
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.connection import reach
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.facts import Named
from ansible_collections.castai.onboarding.plugins.module_utils._engine import Failure, Refused
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.azure import ARM_CALLS, CALLS, Azure
from tests.sandbox.pki import Authority
from tests.support.policies import FOLDER, azure_role
from tests.tree import ROOT
from tests.unit.sandbox.aks_subscription import World, world
from tests.unit.sandbox.azure_client import SCOPE, cluster

__all__ = ["world"]

OPTIONS: dict[str, dict[str, Any]] = {APP: {}, MANAGED: {"identity": "managed_identity"}}
WAYS = pytest.mark.parametrize("way", OPTIONS)


@pytest.mark.parametrize(("phase", "way"), KINDS)
def test_a_published_role_is_what_az_takes(phase: str, way: str) -> None:
    text = (ROOT / FOLDER / file_name(phase, way)).read_text(encoding="utf-8")
    assert text == azure_role(phase, way)
    role = json.loads(text)
    assert set(role) == {
        "Name",
        "Description",
        "Actions",
        "NotActions",
        "DataActions",
        "NotDataActions",
        "AssignableScopes",
    }
    assert all(re.fullmatch(r"Microsoft(\.\w+)+(/\w+)+/(read|write|delete|action)", one) for one in role["Actions"])


def test_each_permission_is_told_once_with_what_needs_it() -> None:
    names = [grant.permission for grant in GRANTS]
    assert len(names) == len(set(names))
    assert all(grant.scenarios for grant in GRANTS)
    assert [grant for grant in GRANTS if permissions.REPAIR in grant.scenarios and not grant.why] == []


@WAYS
def test_a_plan_only_reads_and_onboarding_has_all_of_it(way: str) -> None:
    plan = {grant.permission for grant in granted(PLAN, way)}
    assert all(one.endswith(("/read", "Credential/action")) for one in plan)
    assert plan < {grant.permission for grant in granted(ONBOARD, way)}
    assert {grant.permission for grant in granted(CONNECT, way)} <= plan


# The published roles, and what the gateway's calls need


def act_as(world: World, actions: Iterable[str], *graph: str) -> None:
    world.act_as(world.cloud.operator_with(*actions, scope=SCOPE, graph=graph))


def published(phase: str, way: str) -> set[str]:
    return {grant.permission for grant in granted(phase, way)}


def graph_of(phase: str, way: str) -> tuple[str, ...]:
    return () if way == MANAGED else (READ_ALL,) if phase == PLAN else (OWNED,)


@WAYS
def test_a_published_role_is_enough_for_its_phase(world: World, way: str) -> None:
    options = OPTIONS[way]
    act_as(world, published(PLAN, way), *graph_of(PLAN, way))
    assert world.run(check=True, **options).changed
    act_as(world, published(ONBOARD, way), *graph_of(ONBOARD, way))
    assert world.run(**options).changed
    onboarding = world.operator
    act_as(world, published(PLAN, way), *graph_of(PLAN, way))
    assert not world.run(check=True, **options).changed
    if way == APP:  # only an owner may delete it
        world.act_as(onboarding)
        owner = next(one for one in world.state["service_principals"] if one["appId"] == onboarding["client_id"])
        role = world.cloud.do("add_role", name="remove", actions=sorted(published(REMOVE, way)), scopes=[SCOPE])
        world.cloud.do("revoke", principal=owner["id"])
        world.cloud.do("grant", principal=owner["id"], role=role, scope=SCOPE)
    else:
        act_as(world, published(REMOVE, way))
    assert world.run(state="absent", **options).changed
    assert world.apps == []
    assert world.identities == {}


def fails(run: Callable[[], object]) -> str:
    """The sentence with which a run ends, or an empty text."""
    try:
        run()
    except Failure as failure:
        return str(failure)
    return ""


@WAYS
def test_without_a_permission_exactly_what_is_named_beside_it_fails(world: World, way: str) -> None:
    for grant in granted(ONBOARD, way):
        world.reset()
        act_as(world, published(ONBOARD, way) - {grant.permission}, *graph_of(ONBOARD, way))
        run = partial(world.run, **OPTIONS[way])
        # The second time, it reads what the first one created.
        said = fails(run) or fails(run)
        # listClusterUserCredential gives access to the cluster, where this module does nothing.
        needs = grant.permission in needed(ONBOARD, (way,)) and "listCluster" not in grant.permission
        assert bool(said) == needs, (grant.permission, said)
        assert not needs or grant.permission in said


@pytest.mark.parametrize("admin", [False, True])
def test_without_a_permission_exactly_connecting_fails_that_needs_it(world: World, admin: bool) -> None:
    every = {grant.permission for grant in GRANTS}
    needs = needed(CONNECT, (ADMIN,) if admin else ())
    if admin:  # the admin's certificate replaces the user's
        needs = {one: grant for one, grant in needs.items() if "UserCredential" not in one}
    assert len(needs) == 2
    authority = Authority("AKS")
    client = authority.issue("masterclient")
    own = {"client_certificate": client.certificate, "client_key": client.key}
    shop = cluster("shop", ca_pem=authority.pem, **own)
    for permission in every:
        world.cloud.reset()
        world.cloud.azure.add_cluster(shop)
        azure = world.cloud.gateway(**world.cloud.operator_with(*every - {permission}), admin=admin)
        said = fails(partial(connect, azure))
        assert (permission in said) == bool(said) == (permission in needs), (permission, said)


def connect(azure: Azure) -> None:
    class Systems:
        def cloud(self) -> Azure:
            return azure

        def cluster(self) -> Any:
            raise AssertionError

    found = aks.read(Systems(), Named("aks", "shop", {}))
    if found.problems:
        raise Refused(" ".join(found.problems))
    reach({}, found.api_server)


@WAYS
def test_without_a_permission_of_removal_it_fails_by_its_name(world: World, way: str) -> None:
    for grant in granted(REMOVE, way):
        world.reset()
        act_as(world, published(ONBOARD, way) | published(REMOVE, way), *graph_of(ONBOARD, way))
        world.run(**OPTIONS[way])
        owner = next(one for one in world.state["service_principals"] if one["appId"] == world.operator["client_id"])
        left = sorted(published(REMOVE, way) - {grant.permission})
        role = world.cloud.do("add_role", name="remove", actions=left, scopes=[SCOPE])
        world.cloud.do("revoke", principal=owner["id"])
        world.cloud.do("grant", principal=owner["id"], role=role, scope=SCOPE)
        said = fails(lambda: world.run(state="absent", **OPTIONS[way]))
        needs = grant.permission in needed(REMOVE, (way,))
        assert bool(said) == needs, (grant.permission, said)
        assert not needs or grant.permission in said


def test_without_a_permission_of_graph_it_is_named(world: World) -> None:
    act_as(world, published(PLAN, APP))
    assert READ_ALL in fails(lambda: world.run(check=True))
    act_as(world, published(ONBOARD, APP), READ_ALL)
    assert OWNED in fails(world.run)


def leave_orphan(world: World) -> dict[str, Any]:
    world.run()
    world.cloud.do("remove_app", client_id=world.app()["appId"])
    return {}


def unregister(world: World) -> dict[str, Any]:
    world.cloud.do("set_registered", namespace="Microsoft.ManagedIdentity", on=False)
    return OPTIONS[MANAGED]


REPAIRS = {
    "Microsoft.Authorization/roleAssignments/delete": (APP, leave_orphan),
    "Microsoft.ManagedIdentity/register/action": (MANAGED, unregister),
}


def test_each_repair_has_a_test() -> None:
    assert set(REPAIRS) == {grant.permission for grant in GRANTS if permissions.REPAIR in grant.scenarios}


@pytest.mark.parametrize("permission", REPAIRS)
def test_without_a_permission_of_a_repair_that_fails_alone(world: World, permission: str) -> None:
    way, damage = REPAIRS[permission]
    for left_out in (True, False):
        world.reset()
        options = damage(world)
        act_as(world, published(ONBOARD, way) - ({permission} if left_out else set()), *graph_of(ONBOARD, way))
        said = fails(lambda options=options: world.run(**options))  # type: ignore[misc]
        assert (permission in said) == left_out
        assert left_out or not said


def test_the_gateway_says_the_same_of_its_calls() -> None:
    """Except for what any role allows, and what none of our code does yet."""
    ours = {grant.permission for grant in (*GRANTS, *GRAPH)}
    told = {permission for call in CALLS for permission in call.permissions}
    arm = {permission for call in ARM_CALLS for permission in call.permissions}
    assert told - ours <= {
        "Microsoft.Resources/subscriptions/read",
        "Microsoft.Resources/subscriptions/resourceGroups/read",
        "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/delete",
    }
    assert {grant.permission for grant in GRANTS} <= arm
    assert {grant.permission for grant in GRAPH} <= told - arm
