# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CAST AI accepts credentials for AKS only if it can log in with them at Azure and reach the cluster."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sandbox.azure.other_ways import VINTAGES
from tests.sandbox.castai.server import CastAi
from tests.sandbox.wire import Request

from .aws_client import NoAgent
from .azure_client import NODES_ID, SUBSCRIPTION, TENANT, Azures, cluster

PREFIX = "/v1/kubernetes/external-clusters"


@pytest.fixture
def api(azures: Azures, monkeypatch: pytest.MonkeyPatch) -> CastAi:
    monkeypatch.setattr("tests.sandbox.castai.server.Agent", NoAgent)
    made = CastAi(None, azures.clock, azures.google, azures.azure)  # type: ignore[arg-type]
    azures.azure.add_cluster(cluster("shop"))
    made.add_cluster(cluster("shop"))
    return made


def ask(api: CastAi, path: str, body: Any) -> tuple[int, Any]:
    headers = {"x-api-key": api.full_access_key}
    answer = api.handle(Request("POST", "api.cast.ai", f"{PREFIX}{path}", "", headers, json.dumps(body).encode()))
    return answer.status, json.loads(answer.body or b"{}")


def register(api: CastAi) -> str:
    block = {"subscriptionId": SUBSCRIPTION, "region": "westeurope", "nodeResourceGroup": NODES_ID.rpartition("/")[2]}
    found: str = ask(api, "", {"name": "shop", "aks": block})[1]["id"]
    return found


def hand_over(api: CastAi, cluster_id: str, client: str, **proof: str) -> tuple[int, str]:
    credentials = {"subscriptionId": SUBSCRIPTION, "tenantId": TENANT, "clientId": client, **proof}
    status, told = ask(api, f"/{cluster_id}", {"credentials": json.dumps(credentials)})
    return status, "".join(one["description"] for one in told.get("fieldViolations", ()))


@pytest.mark.parametrize("vintage", VINTAGES)
def test_what_other_ways_leave_works(api: CastAi, azures: Azures, vintage: str) -> None:
    made = api.control("seed_script_world", cluster="shop", vintage=vintage)
    every = azures.azure.store.directory.applications
    held = [secret for one in every if one.app_id == made["client_id"] for secret in one.secrets]
    assert api.state()["access_keys"] == ({made["cluster_id"]: held[0]} if held else {})
    assert bool(held) == (vintage in ("script", "terraform"))
    assert not {"secret", "tenant"} & set(made)


def test_a_secret_needs_to_be_right_to_have_the_role_and_to_be_seen(api: CastAi, azures: Azures) -> None:
    cluster_id = register(api)
    app = azures.do("add_app", name="castai")
    assert hand_over(api, cluster_id, app["client_id"], clientSecret="wrong")[1].startswith(
        "Failed to refresh the Token for request: AADSTS7000215"
    )
    secret = azures.do("add_secret", client_id=app["client_id"])["secret"]
    assert "does not have authorization" in hand_over(api, cluster_id, app["client_id"], clientSecret=secret)[1]
    for scope in (NODES_ID, NODES_ID.replace("MC_shop_shop_westeurope", "shop")):
        azures.do("grant", principal=app["principal_id"], role="Reader", scope=scope)
    assert hand_over(api, cluster_id, app["client_id"], clientSecret=secret) == (200, "")


def test_a_federated_identity_logs_in_from_google(api: CastAi, azures: Azures) -> None:
    cluster_id = register(api)
    account = ask(api, f"/{cluster_id}/gcp-create-sa", {"aks": {}})[1]
    assert ask(api, "/impersonation-service-account", {"provider": "aks"})[1]["id"] == account["serviceAccountId"]
    identity = azures.do("add_identity", name="castai", group="shop")
    for scope in (NODES_ID, NODES_ID.replace("MC_shop_shop_westeurope", "shop")):
        azures.do("grant", principal=identity["principal_id"], role="Reader", scope=scope)
    named = {"federationId": identity["principal_id"]}
    assert "AADSTS70021" in hand_over(api, cluster_id, identity["client_id"], **named)[1]
    azures.do("visibility", seconds=240)
    issuer, audience = "https://accounts.google.com", "api://AzureADTokenExchange"
    body = {"issuer": issuer, "subject": account["serviceAccountId"], "audiences": [audience]}
    path = f"{identity['id']}/federatedIdentityCredentials/castai"
    assert azures.arm("PUT", path, {"properties": body}, "2024-11-30")[0] == 201
    assert "AADSTS70021" in hand_over(api, cluster_id, identity["client_id"], **named)[1]
    azures.clock.ahead += 240
    assert hand_over(api, cluster_id, identity["client_id"], **named) == (200, "")


def test_what_is_handed_over_has_one_proof(api: CastAi, azures: Azures) -> None:
    cluster_id = register(api)
    for proof in ({}, {"clientSecret": "a", "federationId": "b"}):
        status, told = hand_over(api, cluster_id, "c", **proof)
        assert (status, "exactly one of clientSecret and federationId" in told) == (400, True)
