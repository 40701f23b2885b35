# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""castai_gke_sa killed after each effect in turn, or without the answer of each: a rerun ends in the same state.

CAST AI tries its credentials after every effect at Google and at CAST AI, and never loses access once it had it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._engine import Failure
from tests.sandbox.google.other_ways import leave
from tests.unit.sandbox.endable import ENDED, LOST, Effects, after_each_effect, attempt
from tests.unit.sandbox.gke_project import ACCOUNT, NODE_ACCOUNT, SHOP, World, world
from tests.unit.sandbox.google_client import PROJECT
from tests.unit.sandbox.google_client import SHARED as ELSEWHERE

__all__ = ["world"]

Options = Mapping[str, Any]
KEYLESS = {"identity": "impersonation"}
ABSENT = {"state": "absent"}


def nothing(_world: World) -> None:
    pass


def left(vintage: str) -> Callable[[World], None]:
    """What another tool left, with a key that CAST AI has."""

    def before(world: World) -> None:
        node = world.account(NODE_ACCOUNT)
        assert node
        made = leave(world.cloud.do, SHOP, vintage, node["uniqueId"])
        world.castai.hand_over(world.cluster_id, {"credentials": made["key"]})

    return before


def onboarded(**options: Any) -> Callable[[World], None]:
    return lambda world: void(world.run(**options))


def void(_value: object) -> None:
    pass


def known_to_nobody(world: World) -> None:
    """A key that CAST AI has, of an account that nothing connects with the cluster."""
    email = world.cloud.do("add_account", project=PROJECT, account_id="someone", roles=["roles/editor"])
    world.castai.hand_over(world.cluster_id, {"credentials": world.cloud.do("add_key", email=email)})


def deleted(world: World) -> None:
    """Our account, with the key that CAST AI had."""
    world.run()
    world.cloud.do("delete_account", email=ACCOUNT)
    world.castai.given = {}


def services_off(world: World) -> None:
    world.cloud.do("set_services", project=PROJECT, off=["iam.googleapis.com", "compute.googleapis.com"])


def due(world: World) -> None:
    """A key that must be renewed, and one that an interrupted run left."""
    world.run()
    (key,) = world.key_ids()
    world.cloud.do("set_key", key_id=key, ends=3600.0, validAfterTime="2026-01-01T00:00:00Z")
    world.cloud.do("add_key", email=ACCOUNT)


OWN = f"own@{PROJECT}.iam.gserviceaccount.com"
ON_OWN = {"existing_service_account": OWN}
OTHER = f"other@{PROJECT}.iam.gserviceaccount.com"


def own_account(world: World, **options: Any) -> None:
    """An account of the user's own with a key of their own, also beside ours; options: of an earlier run, if any."""
    world.cloud.do("add_account", project=PROJECT, account_id="own")
    world.add_users_key(OWN)
    if options:
        world.run(**options)


def own_accounts(world: World, **options: Any) -> None:
    """Two accounts of the user's own, of which CAST AI has the first."""
    own_account(world, **ON_OWN, **options)
    world.cloud.do("add_account", project=PROJECT, account_id="other")
    world.add_users_key(OTHER)


def own_account_due(world: World) -> None:
    """CAST AI's key of it is to be renewed."""
    own_account(world, **ON_OWN)
    world.cloud.do("set_key", key_id=world.given_key, ends=3600.0, validAfterTime="2026-01-01T00:00:00Z")


def taken_over(vintage: str) -> Callable[[World], None]:
    def before(world: World) -> None:
        left(vintage)(world)
        world.run(adopt=True)

    return before


def impersonated(world: World) -> None:
    """What Terraform's module left for a cluster without a key: only CAST AI's record shows whose it is."""
    node = world.account(NODE_ACCOUNT)
    assert node
    own = world.castai.create_service_account(
        world.cluster_id, "gke", {"gkeSaImpersonate": TERRAFORMS, "projectId": PROJECT}
    )
    leave(world.cloud.do, SHOP, "impersonate", node["uniqueId"], own)
    world.castai.hand_over(world.cluster_id, {"credentials": "{}"})


TERRAFORMS = f"castai-gke-tf-5042d146@{PROJECT}.iam.gserviceaccount.com"
ROLE_ID = {"role_id": "acme.castai", "extra_projects": [ELSEWHERE]}
"""A role whose ID says nothing of the cluster, in two projects."""
STORIES: Mapping[str, tuple[Callable[[World], None], Options]] = {
    "with a key": (nothing, {}),
    "without a key": (nothing, KEYLESS),
    "on node accounts and in another project": (
        nothing,
        {"service_account_user": "on_accounts", "extra_projects": [ELSEWHERE]},
    ),
    "services off": (services_off, {}),
    "an account of the user's own": (own_account, ON_OWN),
    "a key of the user's own account that expires": (own_account_due, ON_OWN),
    "from our account to the user's own": (lambda world: own_account(world, identity="key"), ON_OWN),
    "from one account of the user's own to another": (own_accounts, {"existing_service_account": OTHER}),
    "from one account of the user's own to another with another role ID": (
        lambda world: own_accounts(world, **ROLE_ID),
        {"existing_service_account": OTHER, "role_id": "acme.other"},
    ),
    "from one account of the user's own to another without a key": (
        lambda world: own_accounts(world, **KEYLESS),
        {"existing_service_account": OTHER, **KEYLESS},
    ),
    "from a key of ours to the user's own account without one": (
        lambda world: own_account(world, identity="key"),
        {**ON_OWN, **KEYLESS},
    ),
    "from the user's own account without a key to ours": (lambda world: own_account(world, **ON_OWN, **KEYLESS), {}),
    "from the user's own account to ours": (lambda world: own_account(world, **ON_OWN), {}),
    "from a key of the user's own account to none": (lambda world: own_account(world, **ON_OWN), {**ON_OWN, **KEYLESS}),
    "removal from the user's own account": (lambda world: own_account(world, **ON_OWN), {**ON_OWN, "state": "absent"}),
    "the script's": (left("script"), {"adopt": True, "service_account_user": "node_accounts"}),
    "a key that expires": (due, {}),
    "from a key to none": (onboarded(), KEYLESS),
    "from none to a key": (onboarded(**KEYLESS), {}),
    "from a key that nothing records to none": (known_to_nobody, KEYLESS),
    "from a key that nothing records to an account of ours that was prepared": (
        lambda world: (onboarded(hand_over=False)(world), known_to_nobody(world)),
        KEYLESS,
    ),
    "from a key that nothing records to none, with the user's own account": (
        lambda world: (own_account(world), known_to_nobody(world)),
        {**ON_OWN, **KEYLESS},
    ),
    "from a key whose account somebody deleted to none": (deleted, KEYLESS),
    "from a key whose account somebody deleted to the user's own account": (
        lambda world: (deleted(world), own_account(world)),
        ON_OWN,
    ),
    "removal": (onboarded(), ABSENT),
    "removal without a key": (onboarded(**KEYLESS), {**KEYLESS, **ABSENT}),
    "removal of roles with an ID of the user's own": (onboarded(**ROLE_ID), {**ROLE_ID, **ABSENT}),
    "removal from the user's own account, with a role ID of their own": (
        lambda world: own_account(world, **ON_OWN, **ROLE_ID),
        {**ON_OWN, **ROLE_ID, **ABSENT},
    ),
    "removal from the user's own account without a key": (
        lambda world: own_account(world, **ON_OWN, **KEYLESS, **ROLE_ID),
        {**ON_OWN, **KEYLESS, **ROLE_ID, **ABSENT},
    ),
    "removal of what Terraform left": (taken_over("terraform"), ABSENT),
    "removal of what Terraform left without a key": (impersonated, {**KEYLESS, **ABSENT}),
    "removal of what Pulumi left, never taken over": (left("pulumi"), {"adopt": True, **ABSENT}),
}


def end(world: World) -> Any:
    """Everything at Google and CAST AI, without generated ids."""
    names = {world.cluster_id: "ID", world.cluster_id[:8]: "ID"}
    text = repr([comparable(one) for one in world.cloud.google.state().values()])
    for found, name in names.items():
        text = text.replace(found, name)
    users = [key_id in world.key_ids(email) for email, key_id in world.kept]
    every = [key_id for email in (OWN, OTHER, ACCOUNT) for key_id in world.key_ids(email)]
    return text, world.castai.given.get(world.cluster_id, "")[:2], world.given_key in every, users


def comparable(project: Mapping[str, Any]) -> Any:
    members = sorted(
        (one["role"], sorted(one["members"]), (one.get("condition") or {}).get("expression", "").count("startsWith"))
        for one in project["policy"].get("bindings", [])
    )
    accounts = sorted(
        (
            one["email"],
            len(one["keys"]),
            one.get("disabled", False),
            repr(one["policy"].get("bindings")),
        )
        for one in project["accounts"]
    )
    roles = sorted(
        (name, sorted(role["includedPermissions"]), role["stage"])
        for name, role in project["roles"].items()
        if not role["deleted"]
    )
    return members, accounts, roles, sorted(project["services"])


@pytest.mark.parametrize("how", [ENDED, LOST])
@pytest.mark.parametrize("story", STORIES)
def test_after_each_effect_a_rerun_ends_in_the_same_state(world: World, story: str, how: str) -> None:
    before, options = STORIES[story]
    after_each_effect(world, lambda: before(world), options, how, lambda: end(world))


def test_without_its_mark_an_account_whose_removal_ended_is_named_and_adopt_deletes_it(world: World) -> None:
    world.run()
    world.google.patch_account(PROJECT, ACCOUNT, {"description": "edited by hand"})
    world.run_until(1, **ABSENT)
    kept = world.run(**ABSENT).view["kept"]
    reason = "it has no mark in its description that shows which cluster it belongs to"
    assert f"service account {ACCOUNT}: {reason}" in kept
    world.run(adopt=True, **ABSENT)
    assert world.account() is None


DELETED = "a role that somebody deleted"
GOES_ON: Mapping[str, tuple[Callable[[World], None], Options]] = {
    "without a key": (nothing, {**KEYLESS, **ROLE_ID}),
    DELETED: (lambda world: role_deleted(world, **KEYLESS), KEYLESS),
    "a role that has changed": (
        lambda world: role_changed(world, **KEYLESS),
        {**KEYLESS, "extra_projects": [ELSEWHERE]},
    ),
    "removal": (onboarded(**ROLE_ID), {**ROLE_ID, **ABSENT}),
    "a key": (lambda world: own_account(world, **ON_OWN, hand_over=False), ON_OWN),
}


def role_deleted(world: World, **options: Any) -> None:
    world.run(**options)
    world.cloud.do("delete_role", name=world.role)


def role_changed(world: World, **options: Any) -> None:
    world.run(**options)
    world.cloud.do("edit_role", name=world.role, includedPermissions=["container.clusters.get"])


@pytest.mark.parametrize("story", GOES_ON)
def test_a_run_goes_on_after_a_lost_answer(world: World, story: str) -> None:
    """Except that of a new key, whose secret is lost as well."""
    before, options = GOES_ON[story]
    before(world)
    effects = attempt(world, options, 0, LOST)
    expected = end(world)
    stopped = []
    for last in range(1, effects + 1):
        world.reset()
        before(world)
        with Effects(world, last, LOST, tried=False):
            try:
                world.run(**options)
            except Failure as failure:
                stopped.append(str(failure))
                continue
        assert end(world) == expected, last
        assert world.run(**options).actions == (), last
    assert len([one for one in stopped if "serviceAccountKeys.create" in one]) == len(stopped) <= 1
