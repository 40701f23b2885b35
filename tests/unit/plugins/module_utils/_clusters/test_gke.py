# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which address reaches a GKE cluster, how it is recognized, what is refused, and the advice for each answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._clusters import gke
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.connection import other_cluster_problem, reach
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.facts import ClusterFacts, Named
from ansible_collections.castai.onboarding.plugins.module_utils._engine import CallFailed, Refused
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.google_container import GkeCluster, NodePool
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.kubernetes import by_token
from tests.sandbox.pki import Authority
from tests.support.https import reply
from tests.unit.plugins.conftest import Wire

SHOP = Named("gke", "shop", {"project": "", "location": "europe-west3-a"})
CLUSTER = GkeCluster(
    "shop",
    "shop-prod",
    "europe-west3-a",
    "RUNNING",
    "1.33.1-gke.1",
    "34.1.2.3",
    "PEM",
    dns_endpoint="gke-1.europe-west3.gke.goog",
    public_endpoint="34.1.2.3",
    private_endpoint="10.0.0.2",
    node_pools=(NodePool("pool", "default"),),
)
DNS, PUBLIC, PRIVATE = "https://gke-1.europe-west3.gke.goog", "https://34.1.2.3", "https://10.0.0.2"


@dataclass
class Google:
    """The calls to Google that are needed to reach a cluster."""

    endpoint: str = "auto"
    project: str = "shop-prod"
    project_source: str = ""
    can_renew: bool = True
    lacking: bool = False
    others: tuple[GkeCluster, ...] | None = ()
    found: GkeCluster | None = CLUSTER

    def token(self) -> str:
        return "CANARY-token"

    def forget(self, _token: str) -> None:
        raise AssertionError

    def lacks_email_scope(self) -> bool:
        return self.lacking

    def get_cluster(self, project: str, location: str, name: str) -> GkeCluster | None:
        assert (project, location, name) == (self.project, "europe-west3-a", "shop")
        return self.found

    def list_clusters(self, project: str) -> tuple[GkeCluster, ...]:
        if self.others is None:
            raise CallFailed("may not list")
        return self.others


def shown(google: Google, **changes: Any) -> ClusterFacts:
    """The cluster as GKE shows it."""

    class Systems:
        def cloud(self) -> Any:
            return replace(google, found=replace(CLUSTER, **changes)) if google.found else google

        def cluster(self) -> Any:
            raise AssertionError

    return gke.read(Systems(), SHOP)


OPEN, GUARDED = {"dns_from_outside": True}, {"authorized_networks": True}
INSIDE = {"private": True, "endpoint": "10.0.0.2"}


@pytest.mark.parametrize(
    ("endpoint", "changes", "address"),
    [
        ("auto", {}, PUBLIC),
        ("auto", OPEN, PUBLIC),
        ("auto", GUARDED, PUBLIC),
        ("auto", {**GUARDED, **OPEN}, DNS),
        ("auto", INSIDE, PRIVATE),
        ("auto", {**INSIDE, **OPEN}, DNS),
        ("auto", {**OPEN, "by_ip": False, "endpoint": ""}, DNS),
        ("auto", {"endpoint": "2001:db8::1"}, "https://[2001:db8::1]"),
        ("dns", OPEN, DNS),
        ("public", {**GUARDED, **OPEN}, PUBLIC),
        ("private", {}, PRIVATE),
        ("private", {**INSIDE, "private_endpoint": ""}, PRIVATE),
    ],
)
def test_the_address(endpoint: str, changes: dict[str, Any], address: str) -> None:
    server = shown(Google(endpoint), **changes).api_server
    assert server
    assert (server.endpoint, server.unreachable_problem) == (address, "")
    assert server.publicly_trusted == (address == DNS)
    assert {DNS, PUBLIC} - ({PUBLIC} if not changes.get("endpoint", PUBLIC) else set()) <= server.hosts


@pytest.mark.parametrize(
    ("endpoint", "changes", "said"),
    [
        ("dns", {}, "The DNS endpoint of GKE cluster shop does not accept traffic from outside"),
        ("dns", {"dns_endpoint": ""}, "has no DNS endpoint"),
        ("auto", {"by_ip": False}, "The DNS endpoint of GKE cluster shop does not accept traffic from outside"),
        ("public", {"by_ip": False}, "The IP endpoints of GKE cluster shop are disabled"),
        ("public", INSIDE, "has no public endpoint"),
        ("private", {"private_endpoint": ""}, "has no private endpoint"),
        ("auto", {"endpoint": ""}, "has no endpoint"),
        ("auto", {"ca_pem": ""}, r"Grant container\.clusters\.getCredentials"),
        ("auto", {"autopilot": True}, "does not support Autopilot"),
        ("auto", {"status": "PROVISIONING"}, "Wait until it is RUNNING"),
        ("auto", {"status": "STOPPING"}, "will soon be gone"),
        ("auto", {"status": "ERROR"}, "is ERROR"),
        ("auto", {"status": ""}, "is in an unknown state"),
    ],
)
def test_a_cluster_that_cannot_be_reached(endpoint: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        reach({}, shown(Google(endpoint), **changes).api_server)


@pytest.mark.parametrize("changes", [{"autopilot": True}, {"status": "STOPPING"}])
def test_such_a_cluster_is_not_registered_either(changes: dict[str, Any]) -> None:
    assert len(shown(Google(), **changes).problems) == 1
    with pytest.raises(Refused):
        reach({"host": PUBLIC, "api_key": "k"}, shown(Google(), **changes).api_server)


def test_what_castai_and_the_agent_are_told() -> None:
    facts = shown(Google(project_source="GCP_PROJECT"))
    assert facts.registration == {
        "projectId": "shop-prod",
        "region": "europe-west3",
        "location": "europe-west3-a",
        "clusterName": "shop",
    }
    assert facts.location == "of project shop-prod (from GCP_PROJECT) in europe-west3-a"
    assert gke.agent_environment(facts, "id", False) == {
        "STATIC_CLUSTER_ID": "id",
        "GKE_PROJECT_ID": "shop-prod",
        "GKE_REGION": "europe-west3",
        "GKE_LOCATION": "europe-west3-a",
        "GKE_CLUSTER_NAME": "shop",
    }
    assert gke.GKE.describe_location(facts.registration) == "of project shop-prod in europe-west3-a"
    assert gke.region_of("europe-west3") == "europe-west3"


@pytest.mark.parametrize(
    ("others", "hint"),
    [
        ((replace(CLUSTER, location="us-east1"),), " The project has a cluster of this name in us-east1."),
        ((replace(CLUSTER, name="other"),), ""),
        (None, ""),
    ],
)
def test_an_absent_cluster_is_looked_for_elsewhere(others: Any, hint: str) -> None:
    facts = shown(Google(found=None, others=others, project_source="GCP_PROJECT"))
    (problem,) = facts.problems
    assert problem.startswith(
        f"GKE has no cluster shop in europe-west3-a of project shop-prod (from GCP_PROJECT).{hint} Check"
    )
    assert not facts.exists


@pytest.mark.parametrize(
    ("google", "changes", "said"),
    [
        (Google(), {**OPEN, "by_ip": False}, {403: "container.clusters.connect"}),
        (Google(), {}, {0: "may only accept authorized networks"}),
        (Google(), INSIDE, {0: "turn on the DNS endpoint"}),
        (Google("private"), OPEN, {0: "set castai_endpoint (option endpoint) to public, set castai_endpoint"}),
        (Google(can_renew=False), {}, {0: "", 401: "cannot be renewed: set castai_google_access_token"}),
        (Google(lacking=True), {}, {0: "", 403: "lack userinfo.email"}),
    ],
)
def test_advice(google: Google, changes: dict[str, Any], said: dict[int, str]) -> None:
    server = shown(google, **changes).api_server
    assert server
    advice = server.advice()
    assert ("userinfo.email" in shown(google, **changes).caller_hint) is google.lacking
    assert advice.keys() == said.keys()
    for status, text in said.items():
        assert text in advice[status]
        assert advice[status].startswith(" ")


UNANSWERED = "127.0.0.1:1"


@pytest.mark.parametrize("open_to_dns", [False, True])
def test_a_private_endpoint_that_does_not_answer_is_told_with_each_way_out(open_to_dns: bool) -> None:
    inside = {"private": True, "endpoint": UNANSWERED, "private_endpoint": UNANSWERED, "ca_pem": Authority("GKE").pem}
    facts = shown(Google("private"), **inside, dns_from_outside=open_to_dns)
    with pytest.raises(CallFailed, match="The cluster's endpoint is private") as failed:
        reach({}, facts.api_server)._send("POST", "/api", {}, {})
    text = str(failed.value)
    ways = ("run Ansible in a network", "set castai_endpoint (option endpoint) to dns", "castai_host", "open a tunnel")
    assert all(way in text for way in ways)
    assert ("turn on the DNS endpoint" in text) is not open_to_dns


@pytest.mark.parametrize("options", [{}, {"host": "", "api_key": "CANARY-token"}], ids=["endpoint", "host"])
def test_a_private_cluster_is_entered_where_it_answers_and_a_sister_is_not(wire: Wire, options: dict[str, str]) -> None:
    """The cluster's own address if the run is inside its network, or that of a tunnel."""
    address = wire.url.removeprefix("https://")
    inside = {"private": True, "endpoint": address if not options else UNANSWERED, "private_endpoint": ""}
    if options:
        options = {**options, "host": wire.url, "ca_cert": str(wire.ca_file)}
    own, sister = (shown(Google("private"), **inside, ca_pem=pem) for pem in (wire.ca_pem, Authority("GKE").pem))
    wire.script.play(reply(200, {"fine": True}))
    kubernetes = reach(options, own.api_server)
    assert kubernetes.get("/api") == {"fine": True}
    assert wire.script.received[0].headers["authorization"] == "Bearer CANARY-token"
    assert other_cluster_problem(kubernetes, own) == ""
    if options:
        assert "but GKE says that cluster shop is at" in other_cluster_problem(kubernetes, sister)
    else:
        with pytest.raises(CallFailed, match="is not trusted"):
            reach({}, sister.api_server).get("/api")


def test_a_refusal_names_what_the_dns_endpoint_needs(wire: Wire) -> None:
    wire.script.play(reply(403, {"message": "forbidden"}))
    advice = {403: " At the DNS endpoint, these credentials also need x."}
    kubernetes = by_token(wire.url, None, wire.ca_pem, True, lambda: "CANARY", advice)
    with pytest.raises(
        CallFailed, match=r"forbidden\. These credentials are not allowed to do this\. At the DNS endpoint"
    ):
        kubernetes.get("/api/v1/namespaces")


def test_a_dns_endpoint_is_trusted_by_the_system_and_recognized_by_its_name(wire: Wire) -> None:
    """The certificate is not signed by the cluster's authority: SSL_CERT_FILE takes the place of the public ones
    here."""
    facts = shown(Google("dns"), **OPEN, ca_pem=Authority("cluster").pem)
    assert facts.api_server
    here = replace(facts, api_server=replace(facts.api_server, endpoint=wire.url, hosts=frozenset({wire.url})))
    wire.script.play(reply(200, {"fine": True}))
    kubernetes = reach({}, here.api_server)
    assert kubernetes.get("/api") == {"fine": True}
    assert wire.script.received[0].headers["authorization"] == "Bearer CANARY-token"
    assert other_cluster_problem(kubernetes, here) == ""
    assert "but GKE says that cluster shop is at" in other_cluster_problem(kubernetes, facts)


def test_a_member_of_a_fleet_is_recognized_at_the_connect_gateway(wire: Wire) -> None:
    membership = "//gkehub.googleapis.com/projects/123/locations/us-east1/memberships/shop"
    facts = shown(Google(), membership=membership, ca_pem=wire.ca_pem)
    path = "v1/projects/123/locations/us-east1/gkeMemberships/shop"
    for host in ("connectgateway", "us-east1-connectgateway"):
        kubernetes = by_token(f"https://{host}.googleapis.com/{path}", "CANARY", "", True)
        assert other_cluster_problem(kubernetes, facts) == ""
    other = by_token(f"{wire.url}/{path.replace('shop', 'other')}", "CANARY", "", True)
    wire.script.play(reply(404, {}))
    assert "but GKE says that cluster shop is at" in other_cluster_problem(other, facts)


def test_what_else_adds_nodes_is_warned_of() -> None:
    pools = (NodePool("a", "default", autoscaling=True), NodePool("b", "default"))
    facts = shown(Google(), auto_provisioning=True, alpha=True, expires="2027-01-01", node_pools=pools)
    found = list(gke.warnings(facts, ()))
    assert [any(word in one for one in found) for word in ("auto-provisioning", "pools a", "alpha")] == [True] * 3
    assert list(gke.warnings(shown(Google()), ())) == []


@pytest.mark.parametrize(
    ("params", "wrong"),
    [
        ({"project": "example.com:shop-prod", "location": "europe-west3"}, []),
        ({"project": "123456789012", "location": "us-central1-ai1a"}, []),
        ({"project": "Shop Prod", "location": "europe-west3"}, ["project"]),
        ({"project": "shop-prod", "location": "Frankfurt"}, ["location"]),
        ({"project": "shop-prod", "location": "-"}, ["location"]),
    ],
)
def test_names_of_places(params: dict[str, str], wrong: list[str]) -> None:
    assert [*gke.option_problems(params)] == wrong
    assert gke.missing_options(params) == {}


def test_a_project_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GCP_PROJECT", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    assert [*gke.missing_options({})] == ["project", "location"]
    monkeypatch.setenv("GCP_PROJECT", "awx-project")
    assert [*gke.missing_options({"location": "europe-west3"})] == []


def test_the_environments_project_counts_for_gke_clusters_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCP_PROJECT", "My Project")
    assert [*gke.option_problems({"provider": "gke"})] == ["project"]
    assert [*gke.option_problems({"provider": "eks"})] == []


def test_without_project_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GCP_PROJECT", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(Refused, match=r"castai_project \(option project\) is not set"):
        shown(Google(project=""))


@pytest.mark.parametrize(
    ("name", "fits"), [("shop", True), ("a" * 40, True), ("a" * 41, False), ("1shop", False), ("shop-", False)]
)
def test_names_of_clusters(name: str, fits: bool) -> None:
    assert (gke.GKE.name_problem(name) == "") is fits


def test_only_windows_nodes_are_none_for_castai() -> None:
    def node(system: str) -> dict[str, Any]:
        return {"metadata": {"labels": {"kubernetes.io/os": system}}}

    assert gke.foreign_nodes([node("windows")]) == ("Windows",)
    assert gke.foreign_nodes([node("windows"), node("linux")]) == ()
    assert "only Windows nodes" in gke.nodes_problem(("Windows",))
    assert gke.nodes_problem(()) == ""
