# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""castai_aks_app killed after each effect in turn, or without the answer of each: a rerun ends in the same state.

CAST AI tries its credentials after every effect at Azure and at CAST AI, and never loses access once it had it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.sandbox.azure.other_ways import AUDIENCE, ISSUER
from tests.unit.plugins.module_utils._azure.test_moving_over import WAYS, leave
from tests.unit.sandbox.aks_subscription import World, world
from tests.unit.sandbox.azure_client import OPERATOR_ID
from tests.unit.sandbox.endable import ENDED, LOST, after_each_effect

__all__ = ["world"]

Options = Mapping[str, Any]
SECRET: Options = {}
FEDERATED: Options = {"credential": "federated"}
MANAGED: Options = {"identity": "managed_identity"}
ABSENT: Options = {"state": "absent"}


def nothing(_world: World) -> Options:
    return {}


def onboarded(options: Options) -> Callable[[World], Options]:
    def before(world: World) -> Options:
        world.run(**options)
        return {}

    return before


def left(vintage: str) -> Callable[[World], Options]:
    """What another tool left, with credentials that CAST AI has."""

    def before(world: World) -> Options:
        leave(world, vintage)
        return {}

    return before


def taken_over(vintage: str) -> Callable[[World], Options]:
    def before(world: World) -> Options:
        leave(world, vintage)
        world.run(**WAYS[vintage])
        return {}

    return before


def due(world: World) -> Options:
    """A secret that must be renewed, and one that an interrupted run left."""
    world.run()
    app = world.app()
    (key,) = app["passwordCredentials"]
    soon = datetime.now(timezone.utc) + timedelta(days=3)
    dates = {"startDateTime": "2020-01-01T00:00:00Z", "endDateTime": f"{soon:%Y-%m-%dT%H:%M:%SZ}"}
    world.cloud.do("set_secret", key_id=key["keyId"], **dates)
    world.cloud.do("add_secret", client_id=app["appId"], name="shop-castai")
    return {}


def own_app(world: World) -> Options:
    made = world.cloud.do("add_app", name="central", owners=[OPERATOR_ID])
    secret = world.cloud.do("add_secret", client_id=made["client_id"], name="central")["secret"]
    return {"existing_app_id": made["client_id"], "existing_app_secret": secret}


def own_app_with(options: Options) -> Callable[[World], Options]:
    """Onboarded with an app of the user's own. What a removal needs of it."""

    def before(world: World) -> Options:
        given = own_app(world)
        trust = {"name": "castai", "issuer": ISSUER, "subject": world.subject(), "audience": AUDIENCE}
        world.cloud.do("add_federated", of=given["existing_app_id"], **trust)
        which = {"existing_app_id": given["existing_app_id"]}
        world.run(**(which if "credential" in options else given), **options)
        return which

    return before


def own_identity(world: World) -> Options:
    made = world.cloud.do("add_identity", name="central", group="shop")
    trust = {"name": "castai", "issuer": ISSUER, "subject": world.subject(), "audience": AUDIENCE}
    world.cloud.do("add_federated", of=made["id"], **trust)
    given = {"existing_identity_id": made["id"]}
    world.run(**given, **MANAGED)
    return given


def rotated(world: World) -> Options:
    given = own_app(world)
    world.run(**given)
    # Its first characters are not those of the stand-in's secrets.
    app = {"client_id": given["existing_app_id"], "name": "central", "text": "new8Q~CANARY"}
    return {**given, "existing_app_secret": world.cloud.do("add_secret", **app)["secret"]}


def to_own_app(world: World) -> Options:
    world.run()
    return own_app(world)


def unregistered(world: World) -> Options:
    world.cloud.do("set_registered", namespace="Microsoft.ManagedIdentity", on=False)
    return {}


STORIES: Mapping[str, tuple[Callable[[World], Options], Options]] = {
    "an app with a secret": (nothing, SECRET),
    "an app without a secret": (nothing, FEDERATED),
    "a managed identity": (unregistered, MANAGED),
    "an app of the user's own": (own_app, SECRET),
    "another secret of the user's own app": (rotated, SECRET),
    "from an app to one of the user's own": (to_own_app, SECRET),
    "a secret that expires": (due, SECRET),
    **{f"what {vintage} left": (left(vintage), options) for vintage, options in WAYS.items()},
    "from a secret to none": (onboarded(SECRET), FEDERATED),
    "from none to a secret": (onboarded(FEDERATED), SECRET),
    "from an app to a managed identity": (onboarded(SECRET), MANAGED),
    "from an app without a secret to a managed identity": (onboarded(FEDERATED), MANAGED),
    "from a managed identity to an app": (onboarded(MANAGED), SECRET),
    "from a managed identity to an app without a secret": (onboarded(MANAGED), FEDERATED),
    "removal of an app with a secret": (onboarded(SECRET), {**SECRET, **ABSENT}),
    "removal of an app without a secret": (onboarded(FEDERATED), {**FEDERATED, **ABSENT}),
    "removal of a managed identity": (onboarded(MANAGED), {**MANAGED, **ABSENT}),
    "removal from an app of the user's own": (own_app_with(SECRET), ABSENT),
    "removal from an app of the user's own without a secret": (own_app_with(FEDERATED), {**FEDERATED, **ABSENT}),
    "removal from an identity of the user's own": (own_identity, {**MANAGED, **ABSENT}),
    **{
        f"removal of what {vintage} left": (taken_over(vintage), {**WAYS[vintage], "adopt": False, **ABSENT})
        for vintage in ("terraform", "terraform_identity")
    },
    **{
        f"removal of what {vintage} left, never taken over": (left(vintage), {**WAYS[vintage], **ABSENT})
        for vintage in ("terraform", "terraform_identity")
    },
}


def end(world: World) -> Any:
    """The state, and how many of our secrets, apps and identities there are."""
    ours = [key for one in world.apps for key in one["passwordCredentials"] if key["displayName"] != "central"]
    return world.comparable(), len(ours), len(world.apps), len(world.identities)


@pytest.mark.parametrize("how", [ENDED, LOST])
@pytest.mark.parametrize("story", STORIES)
def test_after_each_effect_a_rerun_ends_in_the_same_state(world: World, story: str, how: str) -> None:
    before, options = STORIES[story]
    every = dict(options)

    def started() -> None:
        every.update(before(world))

    after_each_effect(world, started, every, how, lambda: end(world))
