# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever happens to two calls for an AKS cluster's identity, the result is that of an undisturbed run."""

from __future__ import annotations

import contextlib
import json
import os
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._engine import Failure
from tests.unit.plugins.module_utils._azure.test_moving_over import leave
from tests.unit.sandbox.aks_subscription import World, world
from tests.unit.sandbox.google_client import Ended

__all__ = ["world"]

SEED = int(os.environ.get("CASTAI_SEED") or random.SystemRandom().randrange(10**6))
EFFECTS: Sequence[Mapping[str, Any]] = (
    {"fail": {"status": 503, "code": "ServiceUnavailable"}},
    {"fail": {"status": 500, "code": "InternalServerError"}},
    {"fail": {"status": 409, "code": "Conflict"}},
    {"fail": {"status": 403, "code": "AuthorizationFailed"}},
    {"fail": {"status": 401, "code": "InvalidAuthenticationToken"}},
    {"throttle": {"retry_after": 7}},
    {"lose": "before"},
    {"lose": "after"},
    {"end": "before"},
    {"end": "after"},
)


def nothing(_world: World) -> None:
    pass


def handed_over(world: World) -> None:
    world.run()


def lagging(world: World) -> None:
    world.cloud.do("lag", seconds=15)


BEFORE: Mapping[str, tuple[Callable[[World], object], Mapping[str, Any]]] = {
    "nothing": (nothing, {}),
    "replicas that lag": (lagging, {}),
    "a federated app": (nothing, {"credential": "federated"}),
    "a managed identity": (nothing, {"identity": "managed_identity"}),
    "of the script": (lambda world: leave(world, "script"), {}),
    "of Terraform": (lambda world: leave(world, "terraform_identity"), {"identity": "managed_identity", "adopt": True}),
    "another identity": (handed_over, {"identity": "managed_identity"}),
    "another role": (handed_over, {"managed_clusters_write": True}),
}


@pytest.mark.parametrize("name", BEFORE)
def test_any_two_faults_end_well(world: World, name: str) -> None:
    """New ones each time: CASTAI_SEED repeats the printed seed."""
    print(f"CASTAI_SEED={SEED}")
    rng = random.Random(f"{SEED} {name}")
    before, options = BEFORE[name]
    before(world)
    world.run(**options)
    undisturbed = world.comparable()
    world.reset()
    before(world)
    chosen = [
        {"system": "azure", **rng.choice(EFFECTS), "write": write, "after": rng.randrange(6 if write else 14)}
        for write in (True, rng.random() < 0.5)
    ]
    told = f"CASTAI_SEED={SEED}: {name}, {json.dumps(chosen)}"
    world.cloud.gate.faults.load(chosen)
    for _run in range(3):
        with contextlib.suppress(Failure, Ended):
            world.run(**options)
        world.check_access()
    world.cloud.gate.faults.load([])
    world.azure = world.gateway()
    world.run(**options)
    assert world.run(**options).actions == (), told
    world.check_access()
    assert world.comparable() == undisturbed, told
    live = [key["keyId"] for app in world.apps for key in app["passwordCredentials"]]
    assert not world.live_secret() or live.count(world.live_secret()) == 1, told
