# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CAST AI tries the credentials for a GKE cluster at the local Google Cloud."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sandbox.castai.server import PREFIX, CastAi
from tests.sandbox.google.other_ways import VINTAGES
from tests.sandbox.wire import Request

from .aws_client import NoAgent
from .google_client import PROJECT, Cloud, cluster

GKE = {"projectId": PROJECT, "region": "europe-west1", "location": "europe-west1", "clusterName": "shop"}
CLIENT = f"castai-gke@{PROJECT}.iam.gserviceaccount.com"


@pytest.fixture
def castai(cloud: Cloud) -> CastAi:
    """With a client's account that has no permissions."""
    cloud.google.add_cluster(cluster("shop"))
    cloud.do("add_account", project=PROJECT, account_id="castai-gke")
    return CastAi(None, cloud.clock, cloud.google)  # type: ignore[arg-type]


def call(castai: CastAi, path: str, body: Any = None) -> tuple[int, Any]:
    data = b"" if body is None else json.dumps(body).encode()
    answer = castai.handle(Request("POST", "api.cast.ai", path, "", {"x-api-key": castai.full_access_key}, data))
    return answer.status, json.loads(answer.body)


def registered(castai: CastAi) -> str:
    return f"{PREFIX}/{call(castai, PREFIX, {'name': 'shop', 'gke': GKE})[1]['id']}"


def hand_over(castai: CastAi, one: str, credentials: str) -> str:
    """The new credentialsId; empty if the credentials do not work (yet)."""
    status, body = call(castai, one, {"credentials": credentials})
    if status == 200:
        return str(body["credentialsId"])
    assert (status, body["message"], [said["field"] for said in body["fieldViolations"]]) == (
        400,
        "Forbidden",
        ["credentials"],
    )
    return ""


def test_a_key_is_tried_until_it_reads_the_cluster(castai: CastAi, cloud: Cloud) -> None:
    one, key = registered(castai), cloud.do("add_key", email=CLIENT)
    assert not hand_over(castai, one, key)
    role = cloud.do("add_role", project=PROJECT, role_id="castai.access", permissions=["container.clusters.get"])
    cloud.do("visibility", grants=120)
    cloud.do("grant", project=PROJECT, role=role, member=f"serviceAccount:{CLIENT}")
    assert not hand_over(castai, one, key)
    cloud.clock.ahead += 121
    assert hand_over(castai, one, key)
    (held,) = castai.state()["access_keys"].values()
    assert held == json.loads(key)["private_key_id"]
    cloud.google.store.keys.pop()
    assert not hand_over(castai, one, key)
    assert cloud.writes() == []  # CAST AI's own calls appear in no operator's journal


def test_a_key_file_without_its_fields_is_refused(castai: CastAi) -> None:
    status, body = call(castai, registered(castai), {"credentials": json.dumps({"type": "service_account"})})
    assert (status, body["message"]) == (400, "Bad Request")


def test_the_chain_of_accounts_is_tried_until_it_reads_the_cluster(castai: CastAi, cloud: Cloud) -> None:
    one = registered(castai)
    assert not hand_over(castai, one, "{}")
    asked = {"gke": {"gkeSaImpersonate": CLIENT, "projectId": PROJECT}}
    own = call(castai, f"{one}/gke-create-sa", asked)[1]["serviceAccount"]
    assert own.startswith("cast-gke-")
    anew = call(castai, f"{one}/gcp-create-sa", asked)[1]
    assert anew["serviceAccountEmail"] == own
    assert call(castai, f"{PREFIX}/impersonation-service-account", {"provider": "gke"})[1] == {
        "id": anew["serviceAccountId"],
        "email": own,
    }
    assert not hand_over(castai, one, "{}")
    cloud.do("grant", project=CLIENT, role="roles/iam.serviceAccountTokenCreator", member=f"serviceAccount:{own}")
    assert not hand_over(castai, one, "{}")
    cloud.do("grant", project=PROJECT, role="roles/container.clusterViewer", member=f"serviceAccount:{CLIENT}")
    assert hand_over(castai, one, "{}")
    (record,) = castai.state()["clusters"].values()
    assert (record["gke"]["clientServiceAccount"], record["gke"]["castServiceAccount"]) == (CLIENT, own)
    assert call(castai, f"{one}/gke-disable-sa") == (200, {})
    (record,) = castai.state()["clusters"].values()
    assert record["gke"] == GKE
    assert not hand_over(castai, one, "{}")


@pytest.mark.parametrize("vintage", VINTAGES)
def test_what_other_ways_leave_works(
    castai: CastAi, cloud: Cloud, vintage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.sandbox.castai.server.Agent", NoAgent)
    castai.add_cluster(cluster("shop"))
    made = [castai.control("seed_script_world", cluster="shop", vintage=vintage) for _time in range(2)]
    assert made[0] == made[1]
    prefix = "castai-gke-shop" if vintage == "pulumi" else f"castai-gke-{'' if vintage == 'script' else 'tf-'}5042d146"
    assert made[0]["service_account"] == f"{prefix}@{PROJECT}.iam.gserviceaccount.com"
    (record,) = castai.state()["clusters"].values()
    assert record["credentialsId"]
    (account,) = [one for one in cloud.google.state()[PROJECT]["accounts"] if one["email"].startswith(prefix)]
    assert len(account["keys"]) == (0 if vintage == "impersonate" else 2)
    assert len(account["policy"]["bindings"]) == (2 if vintage == "impersonate" else 0)
    roles = cloud.google.state()[PROJECT]["roles"]
    assert len(roles) == (2 if vintage == "pulumi" else 1)


def test_an_organization_may_not_have_it(castai: CastAi) -> None:
    one = registered(castai)
    castai.control("keyless", on=False)
    asked = {"gke": {"gkeSaImpersonate": CLIENT, "projectId": PROJECT}}
    assert call(castai, f"{one}/gke-create-sa", asked)[0] == 403
    castai.reset()
    assert call(castai, f"{registered(castai)}/gke-create-sa", asked)[0] == 200
