# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._castai.cluster_info import (
    Desired,
    desired,
    observe,
    plan,
    view,
)
from ansible_collections.castai.onboarding.plugins.module_utils._engine import UNKNOWN, Refused
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.castai import CastAi, Cluster
from tests.support.https import reply
from tests.unit.plugins.conftest import Wire

ID = "5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e"
SHOP = Cluster(ID, "shop", "eks", "", "", "", "", "", {})
OTHERS = (replace(SHOP, id="2", name="till"), replace(SHOP, id="3", provider="kops"))


def listed(wire: Wire, **options: Any) -> list[str]:
    items = [{"id": one.id, "name": one.name, "providerType": one.provider} for one in (SHOP, *OTHERS)]
    wire.script.play(reply(200, {"items": items}))
    return [one.id for one in observe(CastAi(wire.url, "CANARY"), desired(options))]


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ({}, [ID, "2", "3"]),
        ({"cluster_name": "shop"}, [ID, "3"]),
        ({"provider": "eks"}, [ID, "2"]),
        ({"cluster_name": "shop", "provider": "eks"}, [ID]),
        ({"cluster_name": "nobody"}, []),
    ],
)
def test_the_list_is_filtered(wire: Wire, options: dict[str, str], ids: list[str]) -> None:
    assert listed(wire, **options) == ids


@pytest.mark.parametrize(("status", "found"), [(200, (SHOP,)), (404, ())])
def test_one_cluster(wire: Wire, status: int, found: tuple[Cluster, ...]) -> None:
    wire.script.play(reply(status, {"id": ID, "name": "shop", "providerType": "eks"}))
    assert observe(CastAi(wire.url, "CANARY"), desired({"cluster_id": ID.upper()})) == found
    assert [request.path for request in wire.script.received] == [f"/v1/kubernetes/external-clusters/{ID}"]


def test_an_id_that_only_a_run_will_know_is_nobodys(wire: Wire) -> None:
    assert observe(CastAi(wire.url, "CANARY"), desired({"cluster_id": UNKNOWN})) == ()
    assert wire.script.received == []


@pytest.mark.parametrize("cluster_id", ["shop", "../../auth/tokens", f"{ID} "])
def test_an_id_is_a_uuid(cluster_id: str) -> None:
    with pytest.raises(Refused, match="Set it to the UUID of the cluster at CAST AI"):
        desired({"cluster_id": cluster_id})


def test_reading_plans_nothing_and_shows_every_cluster() -> None:
    wanted = Desired("", "", "")
    assert tuple(plan((SHOP, *OTHERS), wanted)) == ()
    assert [one["id"] for one in view((SHOP, *OTHERS), wanted, {})["clusters"]] == [ID, "2", "3"]
