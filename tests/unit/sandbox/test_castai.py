# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The world's CAST AI: registration, tokens, statuses and refusals, and the agent that reports."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.aws.server import ADMINISTRATOR, Aws
from tests.sandbox.castai import server as api
from tests.sandbox.castai.agent import CONTROLLER, CORE, DEPLOYMENT, METADATA, Agent
from tests.sandbox.castai.server import PREFIX, CastAi
from tests.sandbox.kubernetes.client import Kubernetes
from tests.sandbox.wire import Cluster, Request

EKS = {"accountId": "111122223333", "region": "eu-central-1", "clusterName": "prod"}
BODY = {"name": "prod", "eks": EKS}
CLUSTER = Cluster(
    "prod", "eks", "111122223333", "eu-central-1", "API", "ipv4", "1.36", "https://127.0.0.1:1", "", Path("unused"), ""
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def aws() -> Aws:
    return Aws()


@pytest.fixture
def castai(aws: Aws, clock: Clock) -> CastAi:
    return CastAi(aws, clock)


def request(method: str, path: str, key: str = "", body: Any = None) -> Request:
    data = b"" if body is None else json.dumps(body).encode()
    return Request(method, "api.cast.ai", path, "", {"x-api-key": key}, data)


def call(castai: CastAi, method: str, path: str, body: Any = None, key: str | None = None) -> tuple[int, Any]:
    answer = castai.handle(request(method, path, castai.full_access_key if key is None else key, body))
    assert dict(answer.headers)["X-Castai-Request-Id"]
    return answer.status, json.loads(answer.body) if answer.body else None


def registered(castai: CastAi) -> str:
    return str(call(castai, "POST", PREFIX, BODY)[1]["id"])


def minted(castai: CastAi, cluster_id: str) -> str:
    return str(call(castai, "POST", f"{PREFIX}/{cluster_id}/token")[1]["token"])


def test_registering_is_idempotent_by_the_provider_block(castai: CastAi) -> None:
    status, first = call(castai, "POST", PREFIX, BODY)
    assert status == 200
    assert (first["status"], first["agentStatus"], first["providerType"]) == ("connecting", "waiting-connection", "eks")
    assert first["eks"] == EKS
    assert first["organizationId"] == castai.organization_id
    assert call(castai, "POST", PREFIX, {**BODY, "name": "other name"})[1]["id"] == first["id"]
    elsewhere = {**BODY, "eks": {**EKS, "region": "us-east-1"}}
    assert call(castai, "POST", PREFIX, elsewhere)[1]["id"] != first["id"]
    assert call(castai, "POST", PREFIX, BODY, castai.other_organization_key)[1]["id"] != first["id"]
    assert len(call(castai, "GET", PREFIX)[1]["items"]) == 2
    assert call(castai, "GET", f"{PREFIX}/{first['id']}")[1]["id"] == first["id"]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["provider"]),
        ({"eks": EKS}, ["name"]),
        ({**BODY, "nonsense": 1, "eks": {**EKS, "account": "x"}}, ["eks.account", "nonsense"]),
        ({"name": 1, "eks": {**EKS, "region": None}}, ["name", "eks.region"]),
        ({"name": "x", "eks": {"clusterName": "x"}}, ["eks.accountId", "eks.region"]),
        ({**BODY, "gke": {}}, ["provider"]),
        ([], ["body"]),
    ],
)
def test_a_bad_body_is_refused_naming_every_field(castai: CastAi, body: Any, fields: list[str]) -> None:
    status, answer = call(castai, "POST", PREFIX, body)
    assert (status, answer["message"]) == (400, "Bad Request")
    assert [violation["field"] for violation in answer["fieldViolations"]] == fields


def test_keys(castai: CastAi) -> None:
    cluster_id = registered(castai)
    one = f"{PREFIX}/{cluster_id}"
    assert call(castai, "GET", one, key="wrong") == (401, {"message": "Unauthorized", "fieldViolations": []})
    assert call(castai, "GET", one, key="")[0] == 401
    assert call(castai, "GET", one, key=castai.read_only_key)[0] == 200
    assert call(castai, "POST", PREFIX, BODY, castai.read_only_key)[0] == 403
    assert call(castai, "GET", one, key=castai.other_organization_key)[0] == 404
    assert call(castai, "POST", PREFIX, {**BODY, "organizationId": "x"})[0] == 403
    shown = call(castai, "GET", "/v1/auth/tokens")[1]["items"]
    assert [(key["name"], key["readonly"]) for key in shown] == [("acme/full-access", False), ("acme/read-only", True)]
    assert call(castai, "GET", "/v1/me")[1]["username"]
    assert call(castai, "GET", "/v1/nothing")[0] == 404


def test_a_token_is_for_its_own_cluster_and_ends_with_the_next(castai: CastAi) -> None:
    cluster_id = registered(castai)
    other = call(castai, "POST", PREFIX, {"name": "x", "eks": {**EKS, "clusterName": "x"}})[1]["id"]
    token = minted(castai, cluster_id)
    assert "CANARY" in token
    assert call(castai, "GET", f"{PREFIX}/{cluster_id}", key=token)[0] == 200
    assert call(castai, "POST", PREFIX, BODY, token)[1]["id"] == cluster_id
    for method, path in (
        ("GET", f"{PREFIX}/{other}"),
        ("GET", PREFIX),
        ("GET", "/v1/auth/tokens"),
        ("POST", f"{PREFIX}/{cluster_id}/token"),
    ):
        assert call(castai, method, path, key=token)[0] == 403
    second = minted(castai, cluster_id)
    assert call(castai, "GET", f"{PREFIX}/{cluster_id}", key=token)[0] == 401
    assert call(castai, "GET", f"{PREFIX}/{cluster_id}", key=second)[0] == 200
    castai.control("revoke_token", cluster_id=cluster_id)
    assert call(castai, "GET", f"{PREFIX}/{cluster_id}", key=second)[0] == 401


def test_a_token_nothing_connects_with_expires(castai: CastAi, clock: Clock) -> None:
    cluster_id = registered(castai)
    used = minted(castai, cluster_id)
    assert castai.snapshot(CLUSTER, {"API_KEY": used, "STATIC_CLUSTER_ID": cluster_id}) == cluster_id
    clock.now += api.TOKEN_LIFETIME + 1
    assert call(castai, "GET", f"{PREFIX}/{cluster_id}", key=used)[0] == 200
    unused = minted(castai, cluster_id)
    clock.now += api.TOKEN_LIFETIME + 1
    assert call(castai, "GET", f"{PREFIX}/{cluster_id}", key=unused)[0] == 401


def test_the_assume_role_principal_is_made_once(castai: CastAi) -> None:
    path = f"{PREFIX}/{registered(castai)}/assume-role-principal"
    assert call(castai, "GET", path) == (200, {})
    arn = call(castai, "POST", path)[1]["arn"]
    assert call(castai, "GET", path) == (200, {"arn": arn})
    assert call(castai, "POST", path)[0] == 500
    assert call(castai, "DELETE", path) == (200, {})
    assert call(castai, "GET", path) == (200, {})


def test_update_disconnect_delete(castai: CastAi, aws: Aws) -> None:
    one = f"{PREFIX}/{registered(castai)}"
    assert call(castai, "POST", f"{one}/disconnect", {})[1]["status"] == "connecting"
    key_id, secret = aws.add_user("111122223333", "castai", ADMINISTRATOR)
    body = {"credentials": json.dumps({"accessKeyId": key_id, "secretAccessKey": secret})}
    first, second = (call(castai, "POST", one, body)[1]["credentialsId"] for _time in range(2))
    assert first != second
    role = "arn:aws:iam::111122223333:role/x"
    assert call(castai, "POST", one, {"credentials": "no"})[1]["fieldViolations"][0]["field"] == "credentials"
    assert call(castai, "POST", one, {"eks": {"roleArn": role}})[0] == 400
    assert call(castai, "DELETE", one)[0] == 400
    leaving = call(castai, "POST", f"{one}/disconnect", {"deleteProvisionedNodes": False})[1]
    assert (leaving["status"], leaving["agentStatus"]) == ("deleting", "disconnecting")
    gone = call(castai, "GET", one)[1]
    assert (gone["status"], gone["agentStatus"]) == ("deleted", "disconnected")
    assert call(castai, "DELETE", one) == (204, None)
    assert call(castai, "GET", one)[0] == 404


def test_the_agent_s_status(castai: CastAi, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster_id = registered(castai)
    environment = {"API_KEY": minted(castai, cluster_id), "STATIC_CLUSTER_ID": cluster_id}
    one = f"{PREFIX}/{cluster_id}"
    for refused in (
        {"API_KEY": "wrong"},
        {"API_URL": "https://api.example.com"},
        {"STATIC_CLUSTER_ID": "other"},
        {"API_KEY": castai.read_only_key},
    ):
        assert castai.snapshot(CLUSTER, {**environment, **refused}) is None
    assert call(castai, "GET", one)[1]["agentStatus"] == "waiting-connection"
    assert castai.snapshot(CLUSTER, environment) == cluster_id
    shown = call(castai, "GET", one)[1]
    assert (shown["status"], shown["agentStatus"], shown["kubernetesVersion"]) == ("ready", "online", "1.36")
    assert shown["agentSnapshotReceivedAt"]
    castai.control("set_agent_status", cluster_id=cluster_id, status="disconnected")
    assert call(castai, "GET", one)[1]["agentStatus"] == "disconnected"
    castai.control("set_agent_status", cluster_id=cluster_id, status=None)
    assert call(castai, "GET", one)[1]["agentStatus"] == "online"
    monkeypatch.setattr(api, "AGENT_SILENCE", 0.0)
    assert call(castai, "GET", one)[1]["agentStatus"] == "non-responding"


def test_an_agent_without_an_id_registers_its_cluster(castai: CastAi) -> None:
    cluster_id = castai.snapshot(CLUSTER, {"API_KEY": castai.full_access_key})
    assert cluster_id == registered(castai)


def test_classification_and_injected_errors(castai: CastAi) -> None:
    cluster_id = registered(castai)
    named = castai.classify(request("POST", f"{PREFIX}/{cluster_id}/token", castai.full_access_key))
    assert (named.operation, named.resource, named.write) == ("CreateClusterToken", cluster_id, True)
    assert named.who == "acme/full-access"
    assert castai.classify(request("GET", PREFIX)).write is False
    forbidden = castai.fail(request("POST", f"{PREFIX}/{cluster_id}"), 400, "credentials", "Forbidden")
    assert json.loads(forbidden.body) == {
        "message": "Forbidden",
        "fieldViolations": [{"field": "credentials", "description": "Forbidden"}],
    }
    assert castai.fail(request("GET", PREFIX), 500, "NotFound", "").status == 404


def test_state_shows_no_token_and_reset_keeps_the_keys(castai: CastAi) -> None:
    seeded = castai.control("seed_cluster", name="prod", eks=EKS)
    assert call(castai, "GET", f"{PREFIX}/{seeded['id']}", key=seeded["token"])[0] == 200
    state = castai.state()
    assert state["tokens"][seeded["id"]][0]["live"] is True
    assert "CANARY" not in json.dumps(state)
    castai.reset()
    assert castai.state()["clusters"] == {}
    assert call(castai, "GET", PREFIX) == (200, {"items": []})
    with pytest.raises(ValueError, match="no verb"):
        castai.control("nonsense")


class Api(Kubernetes):
    """Objects by path, instead of an API server."""

    def __init__(self, objects: dict[str, Any]) -> None:
        self.objects = objects

    def request(self, method: str, path: str, body: Any = None, content_type: str = "") -> Any:
        if method == "POST":
            self.objects[f"{path}/{body['metadata']['name']}"] = body
        elif method == "PATCH":
            self.objects[path].update(body)
        return self.get(path)

    def get(self, path: str) -> Any:
        return self.objects.get(path)


def deployment(ready: int, generation: int = 1) -> Mapping[str, Any]:
    agent = {
        "name": "agent",
        "env": [
            {"name": "STATIC_CLUSTER_ID", "value": "an-id"},
            {"name": "EXTRA", "valueFrom": {"secretKeyRef": {"name": "credentials", "key": "API_KEY"}}},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
        "envFrom": [{"secretRef": {"name": "credentials"}}],
    }
    return {
        "metadata": {"uid": "u", "generation": generation},
        "spec": {"template": {"spec": {"containers": [{"name": "monitor"}, agent]}}},
        "status": {"readyReplicas": ready},
    }


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Agent]:
    def make(objects: dict[str, Any], snapshot: Callable[..., str | None]) -> Agent:
        monkeypatch.setattr("tests.sandbox.castai.agent.Kubernetes", lambda _config: Api(objects))
        return Agent(CLUSTER, snapshot)

    return make


def secret(key: str) -> Mapping[str, Any]:
    return {"data": {"API_KEY": base64.b64encode(key.encode()).decode()}}


def test_an_agent_reports_with_its_pod_s_environment_and_notes_the_id(agent: Callable[..., Agent]) -> None:
    objects: dict[str, Any] = {DEPLOYMENT: deployment(ready=0), f"{CORE}/secrets/credentials": secret("first")}
    told: list[Mapping[str, str]] = []

    def snapshot(_cluster: Cluster, environment: Mapping[str, str], controller: bool) -> str | None:
        told.append(environment)
        assert controller == (CONTROLLER in objects)
        return "an-id" if environment["API_KEY"] != "revoked" else None

    one = agent(objects, snapshot)
    assert one.look() is None
    assert told == []
    objects[DEPLOYMENT] = deployment(ready=1)
    one._run = one.look()
    assert told == [{"API_KEY": "first", "STATIC_CLUSTER_ID": "an-id", "EXTRA": "first"}]
    assert objects[f"{CORE}/configmaps/{METADATA}"]["data"] == {"CLUSTER_ID": "an-id"}
    objects[f"{CORE}/secrets/credentials"] = secret("revoked")
    objects[CONTROLLER] = deployment(ready=1)
    one._run = one.look()
    assert told[-1]["API_KEY"] == "first"
    objects[DEPLOYMENT] = deployment(ready=1, generation=2)
    one._run = one.look()
    assert one._run is None
    objects[f"{CORE}/secrets/credentials"] = secret("second")
    one._run = one.look()
    assert told[-1]["API_KEY"] == "second"
    del objects[DEPLOYMENT]
    assert one.look() is None
