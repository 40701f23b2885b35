# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A made-up provider: with one entry in the table, its cluster is registered, checked and onboarded."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._castai import cluster, preflight
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.facts import (
    ApiServer,
    CloudRights,
    ClusterFacts,
    Named,
    Onboarding,
    Provider,
    Systems,
)
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.table import PROVIDERS
from ansible_collections.castai.onboarding.plugins.module_utils._engine import (
    Action,
    Made,
    Refused,
    Result,
    Subject,
    reconcile,
)
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.castai import CastAi, by_options
from ansible_collections.castai.onboarding.plugins.module_utils._owner import Owner, Shown, Step, asked
from tests.sandbox.wire import Request, Response
from tests.support.checked import checked
from tests.support.https import reply, serve
from tests.unit.roles.test_charts import templated

NAME, HARBOUR, ID = "shop", "north", "5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e"
FULL_KEY, TOKEN, SIGNED = "CANARY-full-access", "CANARY-of-the-cluster", "CANARY-signed"
CLUSTERS = "/v1/kubernetes/external-clusters"
SECRET = "/api/v1/namespaces/castai-agent/secrets/castai-credentials"


@dataclass
class World:
    """CAST AI, one cluster and the cloud that runs it, in memory and behind one HTTPS server."""

    url: str = ""
    ca_pem: str = ""
    record: dict[str, Any] | None = None
    objects: dict[str, Any] = field(default_factory=dict)
    account: Account | None = None
    may_create: bool = True

    def __call__(self, request: Request) -> Response:
        body = json.loads(request.body) if request.body else {}
        if request.path.startswith(CLUSTERS):
            return self._castai(request, body)
        assert request.headers["authorization"] == f"Bearer {SIGNED}"
        return self._kubernetes(request.method, request.path, body, tried="dryRun" in request.query)

    def _castai(self, request: Request, body: Mapping[str, Any]) -> Response:
        rest, key = request.path.removeprefix(CLUSTERS), request.headers["x-api-key"]
        if key not in (FULL_KEY, TOKEN):
            return reply(401, {"message": "Unauthorized"})
        if rest == "" and request.method == "GET":
            return reply(200, {"items": [self.record] if self.record else []})
        if rest == "":
            self.record = {
                **body,
                "id": ID,
                "providerType": "harbour",
                "status": "connecting",
                "agentStatus": "waiting-connection",
            }
        assert self.record is not None
        if rest.endswith("/token"):
            return reply(200, {"token": TOKEN})
        if rest and request.method == "POST":
            self.record |= {"credentialsId": body["credentials"], "status": "ready", "agentStatus": "online"}
        return reply(200, self.record)

    def _kubernetes(self, method: str, path: str, body: Mapping[str, Any], tried: bool) -> Response:
        if path == "/version":
            return reply(200, {"major": "1", "minor": "36"})
        if path.endswith("selfsubjectaccessreviews"):
            return reply(201, {"status": {"allowed": True}})
        if method == "POST" and tried:
            return reply(201, body)
        if method == "POST":
            self.objects[f"{path}/{body['metadata']['name']}"] = body
            return reply(201, body)
        found = self.objects.get(path)
        listed = path.rpartition("/")[2] in ("nodes", "secrets", "resourcequotas", "limitranges")
        return reply(200, {"items": []}) if listed else reply(200, found) if found else reply(404, {"message": "none"})


# The provider


@dataclass(frozen=True)
class Account:
    """CAST AI's identity there. marks: ids of the clusters that it belongs to."""

    name: str
    marks: frozenset[str]
    cluster_name: str = ""

    @property
    def cluster_ids(self) -> frozenset[str]:
        return self.marks


def read(systems: Systems, wanted: Named) -> ClusterFacts:
    world, harbour = systems.cloud(), wanted.location["harbour"]
    where = {"clusterName": wanted.name, "harbour": harbour}
    if harbour != HARBOUR:
        problem = f"Harbour {harbour} has no cluster {wanted.name}."
        return ClusterFacts("harbour", wanted.name, "", "", where, exists=False, problems=(problem,))
    return ClusterFacts(
        "harbour",
        wanted.name,
        f"Harbour cluster {wanted.name}",
        f"in harbour {harbour}",
        where,
        result_fields={"harbour": harbour},
        api_server=ApiServer(world.url, world.ca_pem, frozenset({world.url}), lambda: SIGNED),
        seen_at=f"The harbour says that cluster {wanted.name}",
    )


def rights(world: World, facts: ClusterFacts, options: Any, record: Any, caller: str, _castai: Any) -> CloudRights:
    lack = f"{caller} may not create {options['kind']} accounts."
    return CloudRights(writing=() if world.may_create else (lack,), warnings=("Tides are not checked.",))


def provider(world: World) -> Provider:
    return Provider(
        key="harbour",
        title="Harbour",
        cloud_title="harbour",
        options={"harbour": {"type": "str"}},
        rules={"mutually_exclusive": [], "required_together": []},
        location_options=("harbour",),
        name_problem=lambda name: "" if name.islower() else f"Cluster name {name!r} must be lower-case.",
        option_problems=lambda params: {},
        missing_options=lambda params: {} if params.get("harbour") else {"harbour": "harbour is not set. Set it."},
        cloud=lambda params: world,
        caller=lambda cloud: "captain",
        acting_as=lambda caller, facts: f"{caller} of the harbour",
        read=read,
        describe_location=lambda record: f"{record.get('clusterName')} in harbour {record.get('harbour')}",
        agent_environment=lambda facts, cluster_id, chosen: {"HARBOUR_NAME": facts.name, "CLUSTER": cluster_id},
        component_values={
            "castai-spot-handler": {"castai": {"provider": "harbour"}},
            "castai-kvisor": {"controller": {"extraArgs": {"cloud-provider": "harbour"}}},
        },
        onboarding=Onboarding(
            options={"kind": {"type": "str", "default": "deep"}},
            option_problems=lambda params: iter(() if params["onboard"]["kind"] == "deep" else ("kind is wrong.",)),
            rights=rights,
        ),
    )


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve(made) as address:
        made.url, made.ca_pem = address.url, address.ca_pem
        monkeypatch.setitem(PROVIDERS, "harbour", provider(made))
        yield made


@pytest.fixture
def params(world: World, tmp_path: Any) -> dict[str, Any]:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(world.ca_pem, encoding="utf-8")
    return {
        "provider": "harbour",
        "cluster_name": NAME,
        "harbour": HARBOUR,
        "castai_api_key": FULL_KEY,
        "castai_api_url": world.url,
        "castai_ca_cert": str(ca_file),
        "castai_validate_certs": True,
        "namespace": "castai-agent",
        "credentials_secret": "castai-credentials",
        "releases": [],
    }


def run(subject: Subject[Any, Any, Any], params: Mapping[str, Any], check: bool = False, **more: Any) -> Result:
    return reconcile(subject, {"manage_token": True, "wait_for": "none", **params, **more}, check, lambda line: None)


def sentences(result: Result) -> list[str]:
    return [action.sentence for action in result.actions]


# Its identity


@dataclass(frozen=True)
class Desired:
    owner: Owner
    hand_over: bool


@dataclass(frozen=True)
class AtHarbour:
    castai: CastAi
    world: World

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class CreateAccount(Action):
    made: Account = Account("", frozenset())

    def run(self, gateway: AtHarbour, made: Made) -> None:
        gateway.world.account = self.made


@dataclass(frozen=True)
class HandOver(Action):
    cluster_id: str = ""

    def run(self, gateway: AtHarbour, made: Made) -> None:
        assert gateway.world.account is not None
        gateway.castai.hand_over(self.cluster_id, {"credentials": gateway.world.account.name})


@asked
def plan(current: tuple[Account | None, Any], wanted: Desired) -> Iterable[Step]:
    account, record = current
    shown = Shown(f"Account {account.name}", account, evidence=False) if account else None
    if not wanted.hand_over and account is None:
        made = Account(f"castai-{wanted.owner.cluster}", frozenset({wanted.owner.cluster_id}))
        create = CreateAccount(f"create account {made.name}", f"harbour/account/{made.name}", None, {}, made)
        yield Step(None, (create,))
    give = HandOver("hand the account over to CAST AI", "castai/credentials", None, {}, wanted.owner.cluster_id)
    yield Step(shown, (give,) if wanted.hand_over and not record.credentials_id else ())


def identity(world: World) -> Subject[Any, Any, Any]:
    return Subject(
        {},
        lambda params: Desired(Owner(params["cluster_name"], params["cluster_id"], False), params["hand_over"]),
        lambda params, wanted: AtHarbour(by_options(params), world),
        lambda gateway, wanted: (world.account, gateway.castai.get_cluster(wanted.owner.cluster_id)),
        plan,
        lambda current, wanted, made: {},
    )


# What holds


def test_its_cluster_is_registered_and_gets_its_token(world: World, params: dict[str, Any]) -> None:
    planned = sentences(run(cluster.SUBJECT, params, check=True))
    assert (world.record, world.objects) == (None, {})
    done = run(cluster.SUBJECT, params)
    assert sentences(done)[:2] == planned[:2]
    assert planned[0] == f"register Harbour cluster {NAME} in harbour {HARBOUR} with CAST AI"
    assert world.record is not None
    assert world.record["harbour"] == {"clusterName": NAME, "harbour": HARBOUR}
    assert base64.b64decode(world.objects[SECRET]["data"]["API_KEY"]).decode() == TOKEN
    assert (done.view["cluster_id"], done.view["harbour"]) == (ID, HARBOUR)
    assert done.view["agent_environment"] == {"HARBOUR_NAME": NAME, "CLUSTER": ID}
    assert sentences(run(cluster.SUBJECT, params)) == []


def test_a_wrong_name_and_a_missing_location_are_told_together(params: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        run(cluster.SUBJECT, params, cluster_name="SHOP", harbour="")
    assert str(caught.value) == "Cluster name 'SHOP' must be lower-case. harbour is not set. Set it."


def test_a_cluster_that_its_provider_does_not_have_is_refused(world: World, params: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="Harbour south has no cluster shop"):
        run(cluster.SUBJECT, params, harbour="south")
    assert world.record is None


def test_preflight_asks_for_both_phases(world: World, params: dict[str, Any]) -> None:
    connecting = run(preflight.SUBJECT, params).view
    assert (connecting["acting_as"], connecting["kubernetes_version"]) == ("captain of the harbour", "1.36")
    assert (connecting["not_checked"], "warnings" in connecting) == ([], False)
    onboard = {"onboard": {"connecting": False, "kind": "deep"}}
    with pytest.raises(Refused, match=f"Cluster {NAME} in harbour {HARBOUR} is not connected to CAST AI"):
        run(preflight.SUBJECT, params, **onboard)
    run(cluster.SUBJECT, params)
    assert world.record is not None
    world.record["agentStatus"] = "online"
    assert "Tides are not checked." in run(preflight.SUBJECT, params, **onboard).view["warnings"]
    world.may_create = False
    with pytest.raises(Refused, match="captain may not create deep accounts"):
        run(preflight.SUBJECT, params, **onboard)
    assert "captain may not create deep accounts." in run(preflight.SUBJECT, params, True, **onboard).view["warnings"]
    with pytest.raises(Refused, match="kind is wrong"):
        run(preflight.SUBJECT, params, onboard={"connecting": False, "kind": "shallow"})


@pytest.mark.usefixtures("world")
def test_its_releases_get_its_values() -> None:
    of_provider = checked(castai_provider="harbour")["of_provider"]
    assert of_provider["roles_between"] == []
    values = {"values_of_provider": of_provider["component_values"], "castai_provider": "harbour"}
    charts = {one["name"]: one["values"] for one in templated("components", "{{ __components_charts }}", **values)}
    assert charts["castai-spot-handler"]["castai"]["provider"] == "harbour"
    assert charts["castai-kvisor"]["controller"]["extraArgs"]["cloud-provider"] == "harbour"
    assert templated("agent", "{{ __agent_values }}", castai_provider="harbour")["provider"] == "harbour"


def test_an_identity_takes_it_to_onboarded(world: World, params: dict[str, Any]) -> None:
    run(cluster.SUBJECT, params)
    subject, known = identity(world), {**params, "cluster_id": ID}
    assert sentences(run(subject, known, hand_over=False)) == [f"create account castai-{NAME}"]
    assert sentences(run(subject, known, hand_over=True)) == ["hand the account over to CAST AI"]
    onboarded = run(cluster.SUBJECT, known, manage_token=False, wait_for="onboarded", wait_timeout=5)
    assert (onboarded.view["cluster"]["status"], sentences(onboarded)) == ("ready", [])
    for hand_over in (False, True):
        assert sentences(run(subject, known, hand_over=hand_over)) == []
    assert world.account is not None
    world.account = replace(world.account, marks=frozenset({"another"}))
    with pytest.raises(Refused, match="belongs to another cluster, another"):
        run(subject, known, hand_over=False)
