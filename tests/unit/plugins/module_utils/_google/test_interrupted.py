# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""castai_gke_sa ended after each effect in turn, or without the answer of each: a rerun ends in the same state.

CAST AI tries what it has after every effect at Google and at its own, and is never without access once it had some.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._engine import CallFailed, Failure
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.castai import _Passing
from tests.sandbox.google.other_ways import leave
from tests.sandbox.wire import Request, Response
from tests.unit.sandbox.aws_account import Ended
from tests.unit.sandbox.gke_project import ACCOUNT, NODE_ACCOUNT, SHOP, World, world
from tests.unit.sandbox.google_client import PROJECT
from tests.unit.sandbox.google_client import SHARED as ELSEWHERE

__all__ = ["world"]

Options = Mapping[str, Any]
KEYLESS = {"identity": "impersonation"}
ENDED, LOST = "ended", "lost"


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


def services_off(world: World) -> None:
    world.cloud.do("set_services", project=PROJECT, off=["iam.googleapis.com", "compute.googleapis.com"])


def due(world: World) -> None:
    """A key that is to be renewed, and one that an interrupted run left."""
    world.run()
    (key,) = world.key_ids()
    world.cloud.do("set_key", key_id=key, ends=3600.0, validAfterTime="2026-01-01T00:00:00Z")
    world.cloud.do("add_key", email=ACCOUNT)


def own_account(world: World) -> None:
    world.cloud.do("add_account", project=PROJECT, account_id="own")


OWN = f"own@{PROJECT}.iam.gserviceaccount.com"
STORIES: Mapping[str, tuple[Callable[[World], None], Options]] = {
    "with a key": (nothing, {}),
    "without a key": (nothing, KEYLESS),
    "on node accounts and in another project": (
        nothing,
        {"service_account_user": "on_accounts", "extra_projects": [ELSEWHERE]},
    ),
    "services off": (services_off, {}),
    "an account of the user's own": (own_account, {"existing_service_account": OWN}),
    "the script's": (left("script"), {"adopt": True, "service_account_user": "node_accounts"}),
    "a key that expires": (due, {}),
    "from a key to none": (onboarded(), KEYLESS),
    "from none to a key": (onboarded(**KEYLESS), {}),
    "removal": (onboarded(), {"state": "absent"}),
    "removal without a key": (onboarded(**KEYLESS), {**KEYLESS, "state": "absent"}),
}


class Effects:
    """Counts what takes effect, and lets CAST AI try its access after each. The last is that after which the run ends,
    or whose answer is lost, 0 for none."""

    def __init__(self, world: World, last: int, how: str, tried: bool) -> None:
        self._world, self._last, self._how, self._tried = world, last, how, tried
        self.count = 0
        self._send = world.cloud.send

    def __enter__(self) -> Effects:
        self._world.cloud.send = self._received  # type: ignore[method-assign]
        self._world.castai.wrote = self._wrote
        return self

    def __exit__(self, *_error: object) -> None:
        self._world.cloud.send = self._send  # type: ignore[method-assign]
        self._world.castai.wrote = nothing_wrote

    def _received(self, request: Request) -> Response | None:
        answer = self._send(request)
        done = answer is not None and answer.status < 400
        return None if done and self._world.cloud.google.classify(request).write and self._is_last() else answer

    def _wrote(self) -> None:
        if self._is_last():
            raise _Passing(CallFailed("CAST AI did not answer."), 0, 60, lost=True)

    def _is_last(self) -> bool:
        """Whether the answer of this effect is lost."""
        if self._tried:
            self._world.check_access()
        self.count += 1
        if self.count != self._last:
            return False
        if self._how == ENDED:
            raise Ended
        return True


def nothing_wrote() -> None:
    pass


def attempt(world: World, options: Options, last: int, how: str, tried: bool) -> int:
    """One run; how many effects it had."""
    with Effects(world, last, how, tried) as effects:
        try:
            world.run(**options)
        except (Ended, Failure):
            assert 0 < last <= effects.count, "it ended by itself"
    return effects.count


def end(world: World) -> Any:
    """All that there is at Google and CAST AI, without generated ids."""
    names = {world.cluster_id: "ID", world.cluster_id[:8]: "ID"}
    text = repr([comparable(one) for one in world.cloud.google.state().values()])
    for found, name in names.items():
        text = text.replace(found, name)
    return text, world.given_key in world.key_ids(OWN) + world.key_ids()


def comparable(project: Mapping[str, Any]) -> Any:
    """An account of the user's own may keep the key of an ended run, which nothing tells from keys of the user's."""
    members = sorted(
        (one["role"], sorted(one["members"]), (one.get("condition") or {}).get("expression", "").count("startsWith"))
        for one in project["policy"].get("bindings", [])
    )
    accounts = sorted(
        (
            one["email"],
            "" if one["email"] == OWN else len(one["keys"]),
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
    tried = options.get("state") != "absent"
    before(world)
    effects = attempt(world, options, 0, how, tried)
    expected = end(world)
    assert effects >= 2
    for last in itertools.count(1):
        world.reset()
        before(world)
        if attempt(world, options, last, how, tried) < last:
            break
        attempt(world, options, 0, how, tried)
        assert end(world) == expected, (last, how)
        assert world.run(**options).actions == (), (last, how)
    assert last > effects
