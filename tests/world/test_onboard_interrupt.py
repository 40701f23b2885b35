# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Onboarding that is killed repeatedly ends as an undisturbed run does, with one access key and no secret anywhere.

In tests/unit, where this takes seconds, castai_iam_eks is killed after each of its writes. This file tests what
follows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.sandbox.client import World
from tests.sandbox.normal import difference
from tests.sandbox.spec import HOME_ACCOUNT
from tests.support.forked import steps

from .careful import Careful, ended_by, nowhere_in
from .connecting import Forked, at_rest, changed_nothing, succeeded
from .onboarding import ONBOARD, Onboarder

CLUSTER = "prod"
USER = f"cast-eks-{CLUSTER}"
FIRST = "cluster-controller"
SIDE_BY_SIDE = ("castai-spot-handler", "castai-evictor", "castai-pod-pinner", "castai-kvisor")
CLUSTERS = (f"{CLUSTER}:eks:mode=CONFIG_MAP:nodes=1",)


def in_releases(*names: str) -> dict[str, Any]:
    """Helm has written the install record of each, and none of the objects of the last one."""
    records = rf"{CLUSTER}/castai-agent/sh\.helm\.release\.v1\.({'|'.join(names)})\.v1"
    return {
        "system": "kubernetes",
        "operation": "create secrets",
        "resource": records,
        "after": len(names) - 1,
        "end": "after",
    }


ENDS: tuple[dict[str, Any], ...] = (
    {"operation": "iam:CreateUser", "end": "after"},
    {"operation": "patch configmaps", "resource": f"{CLUSTER}/kube-system/aws-auth", "end": "after"},
    {"operation": "patch configmaps", "resource": f"{CLUSTER}/kube-system/aws-auth", "end": "after"},
    in_releases(FIRST),
)
"""In order: the second time at aws-auth is the second entry."""
HELD: dict[str, Any] = {
    "system": "kubernetes",
    "operation": "create (?!secrets).*",
    "resource": ".*(spot-handler|evictor|pod-pinner|kvisor).*",
    "throttle": {"retry_after": 2},
    "times": 10_000,
}
"""Helm is delayed when it creates the objects of the releases that it installs in parallel."""
LATER_ENDS: tuple[dict[str, Any], ...] = (
    {"operation": "iam:CreateAccessKey", "end": "after"},
    {"operation": "UpdateCluster", "end": "after"},
)
"""A key that was not handed over, and one that was not recorded."""


def pending(world: World) -> list[str]:
    """The releases on which a Helm is working, or was killed while working."""
    records = [item["metadata"]["labels"] for item in world.state()["kubernetes"][CLUSTER].values() if is_record(item)]
    return [labels["name"] for labels in records if labels["status"].startswith("pending-")]


def is_record(item: Any) -> bool:
    return bool(item.get("type") == "helm.sh/release.v1")


def test_ended_anywhere_it_goes_on_and_leaves_one_key(world: World, tmp_path: Path) -> None:
    """All but the last run are killed in forks, which have the tasks of an undisturbed run."""
    undisturbed = Onboarder(world, tmp_path / "undisturbed", **{CLUSTER: "user"})
    recorded = steps(succeeded(undisturbed.onboard(hosts=(CLUSTER,))), CLUSTER)
    end = at_rest(world)

    world.reset()
    forked = Forked(world, tmp_path / "forks", recorded)
    for fault in ENDS:
        ended_by(fault, forked)
    ended_by(in_releases(*SIDE_BY_SIDE), forked, HELD)
    assert set(pending(world)) == set(SIDE_BY_SIDE)
    *in_forks, last = LATER_ENDS
    for fault in in_forks:
        ended_by(fault, forked)
    careful = Careful(Onboarder(world, tmp_path / "ended", **{CLUSTER: "user"}), (CLUSTER,), ONBOARD)
    careful.run_until_each([last])
    succeeded(careful.run())
    assert difference(end, at_rest(world)) == ""
    changed_nothing(careful.run())

    state = world.state()
    (user,) = (held for arn, held in state["aws"][HOME_ACCOUNT]["iam"]["users"].items() if arn.endswith(f"/{USER}"))
    (key,) = user["access_keys"]
    assert list(state["castai"]["access_keys"].values()) == [key["id"]]
    nowhere_in(world)
