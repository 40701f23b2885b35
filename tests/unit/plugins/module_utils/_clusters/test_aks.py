# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AKS clusters on the world's Azure: which one is meant, how to log in, what is refused and with which message."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._azure.aks import not_shown, onboarding_problems
from ansible_collections.castai.onboarding.plugins.module_utils._castai import preflight
from ansible_collections.castai.onboarding.plugins.module_utils._castai.readiness import Verdict
from ansible_collections.castai.onboarding.plugins.module_utils._clusters import aks
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.connection import (
    Connection,
    other_cluster_problem,
    reach,
)
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.facts import ClusterFacts, Named
from ansible_collections.castai.onboarding.plugins.module_utils._engine import CallFailed, Refused
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.castai import Cluster as Record
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.helm import Helm
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.kubernetes import (
    NO_NAME,
    REFUSED,
    TIMED_OUT,
    by_token,
)
from tests.sandbox.azure.control import OTHER_TENANT
from tests.sandbox.pki import Authority
from tests.sandbox.wire import Request, Response
from tests.support.https import reply, serve
from tests.unit.plugins.conftest import Wire
from tests.unit.sandbox.azure_client import OPERATOR_ID, SUBSCRIPTION, TENANT, Azures, cluster

READ = "Microsoft.ContainerService/managedClusters/read"


@dataclass(frozen=True)
class World:
    azures: Azures
    authority: Authority

    def facts(self, name: str = "shop", options: Mapping[str, Any] | None = None, **location: str) -> ClusterFacts:
        """The cluster as AKS shows it. options: of the connection to Azure."""
        azure = self.azures.gateway(**(options or {}))

        class Systems:
            def cloud(self) -> Any:
                return azure

            def cluster(self) -> Any:
                raise AssertionError

        return aks.read(Systems(), Named("aks", name, location))

    def calls(self) -> list[str]:
        return [f"{one.method} {one.path.rpartition('/')[2]}" for one in self.azures.azure.heard]


@pytest.fixture(scope="module")
def once() -> Iterator[World]:
    azures, authority = Azures(), Authority("AKS")
    client = authority.issue("masterclient")
    for name, group, mode in (
        ("shop", "shop", "kubernetes"),
        ("plain", "plain", "none"),
        ("ruled", "ruled", "azure"),
        ("twin", "one", "none"),
        ("twin", "two", "none"),
    ):
        made = cluster(
            name, group, mode, ca_pem=authority.pem, client_certificate=client.certificate, client_key=client.key
        )
        azures.azure.add_cluster(made)
    yield World(azures, authority)
    assert azures.azure.take_defects() == []


@pytest.fixture
def world(once: World, monkeypatch: pytest.MonkeyPatch) -> World:
    for name in ("AZURE_SUBSCRIPTION_ID", "AZURE_TENANT", "AZURE_CLIENT_ID", "AZURE_SECRET"):
        monkeypatch.delenv(name, raising=False)
    once.azures.reset()
    once.azures.azure.heard.clear()
    return once


# Which one


@pytest.mark.parametrize(
    ("name", "location"),
    [
        ("shop", {}),
        ("SHOP", {"resource_group": "Shop"}),
        ("shop", {"node_resource_group": "mc_SHOP_shop_westeurope"}),
        ("shop", {"resource_group": "shop", "node_resource_group": "mc_SHOP_shop_westeurope"}),
        ("twin", {"resource_group": "two"}),
        ("twin", {"node_resource_group": "MC_two_twin_westeurope"}),
    ],
)
def test_a_cluster_is_found_whatever_the_case(world: World, name: str, location: dict[str, str]) -> None:
    facts = world.facts(name, **location)
    assert (facts.exists, facts.problems) == (True, ())
    assert facts.own.name == name.lower()
    assert facts.own.group == ("two" if name == "twin" else "shop")


def test_one_of_several_is_not_guessed(world: World) -> None:
    with pytest.raises(
        Refused, match=rf"several clusters twin in subscription {SUBSCRIPTION}, in resource groups one, two"
    ):
        world.facts("twin")


@pytest.mark.parametrize(
    ("name", "location", "said"),
    [
        ("shop", {"resource_group": "one"}, "in resource group one of subscription .*this name in resource group shop"),
        ("none", {"resource_group": "one"}, rf"in resource group one of subscription {SUBSCRIPTION}\. Check"),
        ("none", {}, rf"AKS has no cluster none in subscription {SUBSCRIPTION}\. Check"),
        ("twin", {"node_resource_group": "x"}, f"in subscription {SUBSCRIPTION} with node resource group x. Check"),
        ("shop", {"resource_group": "shop", "node_resource_group": "x"}, "is MC_shop_shop_westeurope, not x. Correct"),
    ],
)
def test_where_it_was_looked_for_is_told(world: World, name: str, location: dict[str, str], said: str) -> None:
    (problem,) = world.facts(name, **location).problems
    assert re.search(said, problem)


def test_what_castai_and_the_agent_are_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
    facts = world.facts(options={"subscription_id": ""})
    assert facts.registration == {
        "region": "westeurope",
        "subscriptionId": SUBSCRIPTION,
        "nodeResourceGroup": "MC_shop_shop_westeurope",
    }
    assert facts.location == f"in resource group shop of subscription {SUBSCRIPTION} (from AZURE_SUBSCRIPTION_ID)"
    assert aks.agent_environment(facts, "id", False) == {
        "STATIC_CLUSTER_ID": "id",
        "AKS_SUBSCRIPTION_ID": SUBSCRIPTION,
        "AKS_LOCATION": "westeurope",
        "AKS_NODE_RESOURCE_GROUP": "MC_shop_shop_westeurope",
    }
    assert "MC_shop_shop_westeurope" in aks.AKS.describe_location(facts.registration)


def test_a_record_of_another_case_is_the_clusters_own(world: World) -> None:
    facts = world.facts()
    blank = Record("id", "", "aks", "ready", "online", "", "", "", {})
    written = {key: value.upper() for key, value in facts.registration.items()}
    assert facts.is_recorded_in(replace(blank, facts=written))
    assert not facts.is_recorded_in(replace(blank, facts={**written, "nodeResourceGroup": "other"}))
    assert not facts.is_recorded_in(replace(blank, provider="gke", facts=written))


# Logging in


def test_an_entra_cluster_is_entered_with_a_token_for_aks_itself(world: World) -> None:
    server = world.facts().api_server
    assert server
    assert (server.entry_problem, server.unreachable_problem, server.certificate) == ("", "", "")
    assert server.ca_pem == world.authority.pem
    assert server.endpoint == "https://shop-dns-01234567.hcp.westeurope.azmk8s.io:443"
    user = world.azures.azure.kubernetes_user(server.sign(), cluster("shop"))
    assert user is not None
    assert user[0] == OPERATOR_ID
    assert world.calls() == ["GET managedClusters", "POST listClusterUserCredential"]


def test_cluster_and_credentials_are_asked_for_at_once_where_the_group_is_known(world: World) -> None:
    assert not world.facts("none", resource_group="shop").exists
    assert sorted(world.calls()[:2]) == ["GET none", "POST listClusterUserCredential"]


def test_a_cluster_without_entra_is_entered_with_the_certificate_that_aks_gives(world: World) -> None:
    server = world.facts("plain").api_server
    assert server
    assert "BEGIN CERTIFICATE" in server.certificate
    assert "PRIVATE KEY" in server.key
    assert "PRIVATE KEY" not in repr(server)
    kubernetes = reach({}, server)
    config = json.loads(kubernetes.kubeconfig())["users"][0]["user"]
    assert base64.b64decode(config["client-key-data"]).decode() == server.key
    assert "token" not in config
    assert kubernetes.token() == ""


def test_admin_is_asked_for_by_name(world: World) -> None:
    server = world.facts(options={"admin": True}).api_server
    assert server
    assert "BEGIN CERTIFICATE" in server.certificate
    assert world.calls()[-1] == "POST listClusterAdminCredential"


def test_a_private_cluster_with_a_public_name_is_asked_for_by_that(world: World) -> None:
    profile = {"enablePrivateCluster": True, "enablePrivateClusterPublicFQDN": True}
    world.azures.do("set_cluster", cluster="shop", apiServerAccessProfile=profile, privateFQDN="shop.private.azmk8s.io")
    server = world.facts().api_server
    assert server
    assert "server-fqdn=public" in world.azures.azure.heard[-1].query
    assert {"https://shop.private.azmk8s.io", server.endpoint} <= server.hosts


@pytest.mark.parametrize(
    ("name", "options", "changes", "said", "asked"),
    [
        (
            "plain",
            {},
            {"disableLocalAccounts": True},
            "has neither local accounts nor Entra integration",
            False,
        ),
        (
            "shop",
            {"admin": True},
            {"disableLocalAccounts": True},
            r"castai_admin \(option admin\) is true, but the local accounts of AKS cluster shop are disabled",
            False,
        ),
        (
            "shop",
            {},
            {"aadProfile": {"serverAppID": "11111111-2222-4333-8444-555555555555", "tenantID": TENANT}},
            "legacy Entra integration .server application 11111111-2222-4333-8444-555555555555",
            True,
        ),
    ],
    ids=["nobody", "no admin", "legacy"],
)
def test_a_cluster_that_lets_nobody_in(
    world: World, name: str, options: dict[str, Any], changes: dict[str, Any], said: str, asked: bool
) -> None:
    world.azures.do("set_cluster", cluster=name, **changes)
    server = world.facts(name, options).api_server
    assert server
    with pytest.raises(Refused, match=said):
        reach({}, server)
    # A kubeconfig or an address may give access anyway.
    assert reach({"host": server.endpoint, "api_key": "k"}, server).host == server.endpoint
    assert ("POST listClusterUserCredential" in world.calls()) is asked


def test_without_the_right_to_credentials_a_kubeconfig_is_the_way_out(world: World) -> None:
    operator = world.azures.operator_with(READ)
    facts = world.facts(options=operator)
    assert facts.api_server
    with pytest.raises(
        Refused, match=r"AuthorizationFailed.*listClusterUserCredential/action.*Or set castai_kubeconfig"
    ):
        reach({}, facts.api_server)
    ours = by_token(facts.api_server.endpoint, "k", "", True)
    assert other_cluster_problem(ours, facts) == ""
    other = by_token("https://other.example:443", "k", "", True)
    assert "its certificate authority is not known" in other_cluster_problem(other, facts)


def test_a_kubeconfig_of_a_sister_is_refused(world: World) -> None:
    facts = world.facts()
    assert facts.api_server
    sister = by_token("https://sister.example", "k", Authority("sister").pem, True)
    assert "but AKS says that cluster shop is at" in other_cluster_problem(sister, facts)
    through_a_tunnel = by_token("https://127.0.0.1:6443", "k", world.authority.pem, True)
    assert other_cluster_problem(through_a_tunnel, facts) == ""


def test_the_cluster_may_be_of_another_tenant(world: World) -> None:
    profile = {"managed": True, "enableAzureRBAC": False, "tenantID": OTHER_TENANT}
    world.azures.do("set_cluster", cluster="shop", aadProfile=profile)
    world.azures.do("add_guest", client_id=world.azures.operator()["client_id"], tenant=OTHER_TENANT)
    server = world.facts().api_server
    assert server
    assert world.azures.azure.kubernetes_user(server.sign(), cluster("shop")) is not None


# Refusals and warnings


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"powerState": {"code": "Stopped"}}, "is stopped. Start it"),
        ({"provisioningState": "Deleting"}, "will soon be gone"),
        ({"provisioningState": "Creating"}, "Wait until it is ready"),
        ({"provisioningState": "Failed"}, "provisioning state Failed"),
    ],
)
def test_a_cluster_that_cannot_be_used(world: World, changes: dict[str, Any], said: str) -> None:
    world.azures.do("set_cluster", cluster="shop", **changes)
    facts = world.facts()
    assert said in facts.problems[0]
    assert facts.api_server
    with pytest.raises(Refused, match=facts.problems[0][:30]):
        reach({"host": "https://x", "api_key": "k"}, facts.api_server)
    assert world.calls() == ["GET managedClusters"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"sku": {"name": "Automatic", "tier": "Standard"}}, "is an AKS Automatic cluster"),
        ({"nodeResourceGroupProfile": {"restrictionLevel": "ReadOnly"}}, r"is locked .ReadOnly."),
        ({"nodeResourceGroupProfile": None}, ""),
    ],
)
def test_a_cluster_whose_nodes_castai_cannot_manage(world: World, changes: dict[str, Any], said: str) -> None:
    world.azures.do("set_cluster", cluster="shop", **changes)
    facts = world.facts()
    assert facts.problems == ()
    found = " ".join(onboarding_problems(facts.own))
    assert bool(said) is bool(found)
    assert said.strip(".").split(" .")[0] in found


@pytest.mark.parametrize("code", ["InvalidResourceType", "NoRegisteredProviderFound"])
def test_what_an_older_version_does_not_show_is_told(world: World, code: str) -> None:
    world.azures.do("behave", provider_names_versions=code == "NoRegisteredProviderFound")
    kind = "Microsoft.ContainerService/managedClusters"
    world.azures.do("set_versions", kind=kind, versions=["2024-01-01", "2025-03-01", "2025-06-02-preview"])
    facts = world.facts()
    assert facts.own.version_called == "2025-03-01"
    (said,) = not_shown(facts.own)
    assert "whether node auto-provisioning is on, whether it is an AKS Automatic cluster" in said
    assert "in this cloud, 2025-03-01, does not show it" in said
    assert list(not_shown(replace(facts.own, version_called="2026-02-01"))) == []


def test_what_else_adds_nodes_and_what_is_in_the_way_is_warned_of(world: World) -> None:
    assert list(aks.warnings(world.facts(), ())) == []
    world.azures.do(
        "add_pool", cluster="shop", name="spot", mode="User", scaleSetPriority="Spot", enableAutoScaling=True
    )
    world.azures.do(
        "set_cluster",
        cluster="shop",
        nodeProvisioningProfile={"mode": "Auto"},
        httpProxyConfig={"httpProxy": "http://u:CANARY@proxy:3128", "trustedCa": "Q0E="},
        networkProfile={"outboundType": "userDefinedRouting"},
        addonProfiles={"azurePolicy": {"enabled": True}},
    )
    facts = world.facts()
    facts = replace(facts, own=replace(facts.own, cloud="AzureChinaCloud"))
    found = list(aks.warnings(facts, ()))
    words = (
        "auto-provisioning",
        "node pools spot",
        "are spot",
        "certificate authority",
        "firewall",
        "China",
    )
    assert [word in one for word, one in zip(words, found, strict=True)] == [True] * 6
    assert "CANARY" not in " ".join(found)
    assert "CANARY" not in repr(facts)
    assert aks.exemption(facts).startswith("The Azure Policy add-on is on for AKS cluster shop: add the namespace to")
    assert aks.exemption(replace(facts, own=replace(facts.own, policy_add_on=False))) == ""


# Answers


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"apiServerAccessProfile": {"enablePrivateCluster": True}}, "is private"),
        ({"publicNetworkAccess": "Disabled"}, "is private"),
        ({"apiServerAccessProfile": {"enableVnetIntegration": True}}, "API Server VNet Integration"),
        ({"apiServerAccessProfile": {"authorizedIPRanges": ["10.0.0.0/8"]}}, "only accepts authorized IP ranges"),
    ],
)
def test_a_cluster_that_does_not_answer(world: World, changes: dict[str, Any], words: str) -> None:
    assert 0 not in aks._unanswered(world.facts().own)
    world.azures.do("set_cluster", cluster="shop", **changes)
    advice = aks._unanswered(world.facts().own)
    assert len({advice[cause] for cause in (0, NO_NAME, REFUSED, TIMED_OUT)}) == 4
    assert all(words in text for text in advice.values())
    assert "private DNS zone" in advice[NO_NAME]
    assert ("authorized IP ranges, or" in advice[TIMED_OUT] or "to the authorized" in advice[TIMED_OUT]) is (
        "authorized" in words
    )


PRIVATE = {"enablePrivateCluster": True, "authorizedIPRanges": ["10.0.0.0/8"]}


@pytest.mark.parametrize(
    ("address", "ways"),
    [
        ("https://127.0.0.1:1", ("the cluster is stopped",)),
        ("https://shop-1.privatelink.westeurope.azmk8s.invalid", ("link the zone to this machine's network",)),
    ],
    ids=["refused", "no name"],
)
def test_a_private_cluster_that_does_not_answer_is_told_with_each_way_out(
    world: World, address: str, ways: tuple[str, ...]
) -> None:
    world.azures.do("set_cluster", cluster="shop", apiServerAccessProfile=PRIVATE)
    server = world.facts().api_server
    assert server
    with pytest.raises(CallFailed, match="AKS cluster shop is private:") as failed:
        reach({}, replace(server, endpoint=address)).get("/api")
    every = (*ways, "AWX instance group", "VPN", "castai_kubeconfig", "castai_host", "open a tunnel")
    assert all(way in str(failed.value) for way in every)


@pytest.mark.parametrize("options", [{}, {"host": "", "api_key": "k"}], ids=["inside", "host"])
def test_a_private_cluster_is_entered_where_it_answers_and_a_sister_is_not(
    world: World, wire: Wire, options: dict[str, str]
) -> None:
    """The cluster's own address if the run is inside its network, or that of a tunnel."""
    world.azures.do("set_cluster", cluster="shop", apiServerAccessProfile=PRIVATE)
    facts = world.facts()
    assert facts.api_server
    own = replace(facts, api_server=replace(facts.api_server, endpoint=wire.url, ca_pem=wire.ca_pem))
    if options:
        options = {**options, "host": wire.url, "ca_cert": str(wire.ca_file)}
    wire.script.play(reply(200, {"fine": True}))
    kubernetes = reach(options, own.api_server)
    assert kubernetes.get("/api") == {"fine": True}
    assert other_cluster_problem(kubernetes, own) == ""
    assert "but AKS says that cluster shop is at" in other_cluster_problem(kubernetes, facts)


@pytest.mark.parametrize(
    ("host", "said"),
    [("https://no-such-name.invalid", "by name"), ("https://127.0.0.1:1", "by refusal")],
)
def test_the_cause_of_no_answer_decides_what_is_said(host: str, said: str) -> None:
    advice = {0: " by default", NO_NAME: " by name", REFUSED: " by refusal"}
    with pytest.raises(CallFailed, match=said):
        by_token(host, None, "", False, lambda: "t", advice)._send("POST", "/api", {}, {})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("shop", {401: f"Entra tenant {TENANT}", 403: f"Bind {OPERATOR_ID} as a user to a ClusterRole"}),
        ("ruled", {401: f"Entra tenant {TENANT}", 403: "Azure Kubernetes Service RBAC Cluster Admin (b1ff04bb-"}),
        ("plain", {}),
    ],
)
def test_what_to_do_about_a_refusal(world: World, name: str, said: dict[int, str]) -> None:
    server = world.facts(name).api_server
    assert server
    advice = server.advice()
    assert advice.keys() == said.keys()
    for status, text in said.items():
        assert text in advice[status]
    if name == "ruled":
        assert world.facts(name).own.id in advice[403]
    assert world.facts(name).caller_hint == advice.get(403, "").strip()
    assert world.facts(name, {"admin": True}).caller_hint == ""


def test_a_certificate_is_checked_by_the_server_that_asks_for_it(world: World, wire: Wire) -> None:
    server = world.facts("plain").api_server
    assert server
    wire.script.play(reply(200, {"fine": True}))
    kubernetes = reach({}, replace(server, endpoint=wire.url, ca_pem=wire.ca_pem))
    assert kubernetes.get("/api") == {"fine": True}
    assert "authorization" not in wire.script.received[0].headers


@pytest.mark.parametrize(("takes_second", "said"), [(True, ""), (False, f"Entra tenant {TENANT}: check that")])
def test_a_token_that_the_cluster_refuses_is_renewed_once(
    world: World, wire: Wire, takes_second: bool, said: str
) -> None:
    server = world.facts().api_server
    assert server
    refusal = reply(401, {"message": "Unauthorized"})
    wire.script.play(refusal, reply(200, {"fine": True}) if takes_second else refusal)
    kubernetes = reach({}, replace(server, endpoint=wire.url, ca_pem=wire.ca_pem))
    with contextlib.nullcontext() if takes_second else pytest.raises(CallFailed, match=said):
        assert kubernetes.get("/api") == {"fine": True}
    first, second = (one.headers["authorization"] for one in wire.script.received)
    assert first != second
    assert kubernetes.token() == second.removeprefix("Bearer ")


class HelmWithAnAgent:
    """A Helm whose chart has one Deployment."""

    def check_version(self) -> tuple[int, int]:
        return (3, 18)

    def show_chart(self, *_chart: Any) -> None:
        pass

    def render(self, *_chart: Any) -> list[dict[str, Any]]:
        template = {"metadata": {"labels": {"app": "x"}}, "spec": {"serviceAccountName": "x", "containers": []}}
        return [{"kind": "Deployment", "metadata": {"name": "x"}, "spec": {"template": template}}]


@pytest.mark.parametrize("add_on", [True, False])
def test_preflight_asks_the_policies_of_a_cluster_that_has_the_add_on(world: World, add_on: bool) -> None:
    world.azures.do("set_cluster", cluster="shop", addonProfiles={"azurepolicy": {"enabled": add_on}})
    facts = world.facts()
    assert facts.api_server
    tried: list[dict[str, Any]] = []

    def api(request: Request) -> Response:
        if request.method == "POST" and request.path.endswith("/pods"):
            assert "dryRun=All" in request.query
            tried.append(json.loads(request.body))
            return reply(403, {"message": 'admission webhook "gatekeeper" denied the request: [no-x] Not so.'})
        if request.method == "POST":
            return reply(201, {"status": {"allowed": True}})
        known = {"/version": {"major": "1", "minor": "36"}, "/api/v1/namespaces/castai-agent": {"metadata": {}}}
        if request.path in known or request.path.endswith("s"):
            return reply(200, known.get(request.path, {"items": []}))
        return reply(404, {})

    release = {"name": "castai-agent", "chart_ref": "castai-agent"}
    params = {"provider": "aks", "cluster_name": "shop", "subscription_id": SUBSCRIPTION, "releases": [release]}
    wanted = preflight.desired({"namespace": "castai-agent", "credentials_secret": "s", **params})
    with serve(api) as address:
        there = replace(facts, api_server=replace(facts.api_server, endpoint=address.url, ca_pem=address.ca_pem))
        connection = Connection(params, kubernetes=reach({}, there.api_server))
        systems = preflight.Systems(params, lambda: pytest.fail("asked"), connection, cast(Helm, HelmWithAnAgent()))
        found = preflight._inside(systems, wanted, preflight.Current((), there))
    assert isinstance(found.startable, Verdict)
    refused = [one for one in found.startable.findings if "policy" in one]
    assert len(tried) == len(refused) == add_on
    if add_on:
        assert "[no-x] Not so. The Azure Policy add-on is on for AKS cluster shop" in refused[0]
        assert tried[0]["metadata"]["labels"] == {"app": "x"}
        assert "serviceAccountName" not in tried[0]["spec"]


# Options


@pytest.mark.parametrize(
    ("params", "wrong"),
    [
        ({"subscription_id": SUBSCRIPTION.upper(), "resource_group": "shop (prod)_1.x"}, ["resource_group"]),
        ({"subscription_id": SUBSCRIPTION, "resource_group": "shop(prod)_1.x"}, []),
        ({"subscription_id": "My subscription"}, ["subscription_id"]),
        ({"subscription_id": SUBSCRIPTION, "resource_group": "shop."}, ["resource_group"]),
        ({"subscription_id": SUBSCRIPTION, "node_resource_group": "a" * 91}, ["node_resource_group"]),
    ],
)
def test_names_of_places(params: dict[str, str], wrong: list[str]) -> None:
    assert [*aks.option_problems({"provider": "aks", **params})] == wrong
    assert aks.missing_options(params) == {}


def test_the_environments_subscription_counts_for_aks_clusters_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", "My subscription")
    assert [*aks.option_problems({"provider": "aks"})] == ["subscription_id"]
    assert [*aks.option_problems({"provider": "eks"})] == []
    assert [*aks.missing_options({})] == []
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID")
    assert [*aks.missing_options({})] == ["subscription_id"]


def test_without_subscription_nothing_is_asked(world: World) -> None:
    with pytest.raises(Refused, match=r"castai_subscription_id \(option subscription_id\) is not set"):
        world.facts(options={"subscription_id": ""})
    assert world.calls() == []


@pytest.mark.parametrize(
    ("name", "fits"), [("shop", True), ("Shop_1", True), ("a" * 63, True), ("a" * 64, False), ("-shop", False)]
)
def test_names_of_clusters(name: str, fits: bool) -> None:
    assert (aks.AKS.name_problem(name) == "") is fits


def test_nodes_that_castai_cannot_use() -> None:
    def node(system: str, **labels: str) -> dict[str, Any]:
        return {"metadata": {"labels": {"kubernetes.io/os": system, **labels}}}

    of_system = node("linux", **{"kubernetes.azure.com/mode": "system"})
    provisioned = node("linux", **{"karpenter.sh/nodepool": "default"})
    assert aks.foreign_nodes([node("windows")]) == ("Windows",)
    assert aks.foreign_nodes([of_system, node("windows"), provisioned]) == ("Windows", "auto-provisioned")
    assert aks.foreign_nodes([of_system]) == ()
    assert aks.foreign_nodes([provisioned, node("linux")]) == ()
    assert "only Windows nodes" in aks.nodes_problem(("Windows",))
    assert aks.nodes_problem(()) == ""


def test_who_acts_is_told_in_words(world: World) -> None:
    caller = aks.AKS.caller(world.azures.gateway())
    assert caller == f"application {world.azures.operator()['client_id']} (object ID {OPERATOR_ID})"
    assert aks.acting_as(caller, world.facts()) == f"{caller} in subscription {SUBSCRIPTION}"
    assert aks.acting_as("", None) == "unknown Azure identity"
