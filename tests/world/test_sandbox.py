# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the local world itself: real processes, real host names, its journal, faults, clock, reset and end."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import google.auth
import pytest
import requests
import yaml
from azure.identity import ClientSecretCredential
from botocore.credentials import Credentials
from botocore.model import ServiceId
from botocore.session import Session
from botocore.signers import RequestSigner
from google.auth.transport.requests import AuthorizedSession

from tests.sandbox.azure.control import OPERATOR_ID
from tests.sandbox.client import ClusterAccess, World, WorldError
from tests.sandbox.google.tokens import CLOUD, EMAIL
from tests.sandbox.normal import difference

from .conftest import Slot

CLUSTER, GKE, AKS = "sandbox", "shop", "till"
ARM, CONTAINER = "https://management.azure.com", "https://container.googleapis.com"
GOOGLES = ("GOOGLE_APPLICATION_CREDENTIALS", "GCE_METADATA_HOST", "GCE_METADATA_IP", "GCE_METADATA_ROOT")
NAMESPACES = "/api/v1/namespaces"
OPERATOR_ACCOUNT = "operator@acme-prod.iam.gserviceaccount.com"
OPERATOR = "arn:aws:iam::111122223333:user/operator"
CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "note"}, "data": {"text": "x"}}


@pytest.fixture(scope="module")
def started(slot: Slot) -> Iterator[World]:
    """The world of the earlier tests is not needed at the same time."""
    slot.close()
    with World(f"sandbox-{os.getpid()}").up(f"{CLUSTER}:eks", f"{GKE}:gke", f"{AKS}:aks:entra=azure:nodes=1") as world:
        yield world


@pytest.fixture
def world(started: World) -> Iterator[World]:
    yield started
    assert started.control("google", "defects") == started.control("azure", "defects") == []
    started.reset()


@pytest.fixture
def access(world: World) -> ClusterAccess:
    return world.clusters()[CLUSTER]


class Client:
    """An operator's calls of the API server, as a module would make them: through the front, with a bearer token."""

    def __init__(self, access: ClusterAccess, token: str = "") -> None:
        address = urlsplit(access.endpoint)
        context = ssl.create_default_context(cadata=access.ca_pem)
        self.connection = http.client.HTTPSConnection(address.hostname or "", address.port, context=context, timeout=20)
        self._token = token or access.operator_token

    def send(self, method: str, path: str, body: Any = None) -> http.client.HTTPResponse:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        self.connection.request(method, path, None if body is None else json.dumps(body), headers)
        return self.connection.getresponse()

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        response = self.send(method, path, body)
        return response.status, json.loads(response.read())


def eks_token(env: Mapping[str, str], cluster: str) -> str:
    """A token as `aws eks get-token` prints it (reference: aws-iam-authenticator, "API Authorization from Outside")."""
    credentials = Credentials(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"])
    region = env["AWS_DEFAULT_REGION"]
    signer = RequestSigner(ServiceId("STS"), region, "sts", "v4", credentials, Session().get_component("event_emitter"))
    request = {
        "method": "GET",
        "url": f"https://sts.{region}.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
        "body": {},
        "headers": {"x-k8s-aws-id": cluster},
        "context": {},
    }
    url = signer.generate_presigned_url(request, region_name=region, expires_in=60, operation_name="")
    return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def test_an_operator_gets_in_by_an_eks_token_until_it_is_old(world: World, access: ClusterAccess) -> None:
    client = Client(access, eks_token(world.env(), CLUSTER))
    assert client.call("GET", NAMESPACES)[0] == 200
    assert Client(access, eks_token(world.env(), "another")).call("GET", NAMESPACES)[0] == 401
    assert {(seen.who, seen.status) for seen in world.journal()} == {(OPERATOR, 200), ("", 401)}
    world.clock(16 * 60)
    deadline = time.monotonic() + 30  # the API server keeps a token's answer for a second
    while client.call("GET", NAMESPACES)[0] != 401:
        assert time.monotonic() < deadline


def test_the_journal_has_who_did_what(world: World, access: ClusterAccess) -> None:
    client = Client(access)
    client.call("GET", f"{NAMESPACES}/default/configmaps/note")
    mark = world.mark()
    client.call("POST", f"{NAMESPACES}/default/configmaps?dryRun=All", CONFIG_MAP)
    client.call("POST", f"{NAMESPACES}/default/configmaps", CONFIG_MAP)
    review = {"spec": {"resourceAttributes": {"verb": "get", "resource": "secrets"}}}
    client.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    world.kubernetes(CLUSTER).create(NAMESPACES, {"metadata": {"name": "unseen"}})
    seen = world.journal(mark)
    assert [(one.operation, one.resource, one.write, one.status) for one in seen] == [
        ("create configmaps", f"{CLUSTER}/default/note", False, 201),
        ("create configmaps", f"{CLUSTER}/default/note", True, 201),
        ("create selfsubjectaccessreviews", CLUSTER, False, 201),
    ]
    assert {(one.system, one.who, one.cluster) for one in seen} == {("kubernetes", "sandbox-operator", CLUSTER)}
    assert [one.mark for one in world.journal(mark, writes=True)] == [mark + 2]


def test_faults_of_the_api_server(world: World, access: ClusterAccess) -> None:
    client, path = Client(access), f"{NAMESPACES}/default/configmaps"
    rival = {"method": "POST", "path": path, "body": {**CONFIG_MAP, "metadata": {"name": "rival"}}}
    world.fault(
        {"operation": "create configmaps", "fail": {"status": 403, "code": "Forbidden", "message": "not today"}},
        {"operation": "create configmaps", "throttle": {"retry_after": 1}, "after": 1},
        {"operation": "create configmaps", "rival": rival, "after": 2},
        {"operation": "create configmaps", "hide": 1, "after": 2},
    )
    status, answer = client.call("POST", path, CONFIG_MAP)
    assert (status, answer["kind"], answer["reason"], answer["message"]) == (403, "Status", "Forbidden", "not today")
    throttled = client.send("POST", path, CONFIG_MAP)
    assert (throttled.status, throttled.headers["Retry-After"]) == (429, "1")
    throttled.read()
    assert client.call("POST", path, CONFIG_MAP)[0] == 201
    assert [client.call("GET", f"{path}/note")[0] for _time in range(2)] == [404, 200]
    assert client.call("GET", f"{path}/rival")[0] == 200
    assert world.fired() == [1, 1, 1, 1]
    assert [seen.resource for seen in world.journal(writes=True) if seen.status == 201] == [f"{CLUSTER}/default/note"]


@pytest.mark.parametrize(("when", "there"), [("before", 404), ("after", 200)])
def test_a_lost_answer(world: World, access: ClusterAccess, when: str, there: int) -> None:
    path = f"{NAMESPACES}/default/configmaps"
    world.fault({"operation": "create configmaps", "lose": when})
    with pytest.raises(http.client.RemoteDisconnected):
        Client(access).call("POST", path, CONFIG_MAP)
    assert Client(access).call("GET", f"{path}/note")[0] == there


def test_latency_is_for_every_system(world: World, access: ClusterAccess) -> None:
    client = Client(access)
    client.call("GET", NAMESPACES)
    world.latency(80)
    client.call("GET", NAMESPACES)
    slow = world.journal()[-1]
    assert slow.end - slow.at >= 0.08


def test_a_watch_tells_at_once_and_ends_with_its_client(world: World, access: ClusterAccess) -> None:
    client, path = Client(access), f"{NAMESPACES}/default/configmaps"
    watch = client.send("GET", f"{path}?watch=1")
    world.kubernetes(CLUSTER).create(path, CONFIG_MAP)
    names = []
    while "note" not in names:
        names.append(json.loads(watch.readline())["object"]["metadata"]["name"])
    client.connection.close()
    assert world.journal()[-1].operation == "watch configmaps"
    assert Client(access).call("GET", f"{path}/note")[0] == 200


def test_helm_is_real_and_reset_undoes_all_it_did(world: World, access: ClusterAccess, tmp_path: Path) -> None:
    untouched = world.state(normal=True)
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: note\nversion: 1.0.0\n")
    (chart / "templates" / "deployment.yaml").write_text(json.dumps(deployment("note")))
    kubeconfig = access.kubeconfig(tmp_path / "kubeconfig")
    env = {**os.environ, **world.env(), "KUBECONFIG": str(kubeconfig), "HOME": str(tmp_path)}
    helm = ["helm", "install", "note", str(chart), "--namespace", "notes", "--create-namespace", "--wait"]
    states = []
    for _run in range(2):
        result = subprocess.run(helm, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert result.returncode == 0, result.stderr
        states.append(world.state(normal=True))
        writes = [(one.operation, one.resource) for one in world.journal(writes=True)]
        assert ("create secrets", f"{CLUSTER}/notes/sh.helm.release.v1.note.v1") in writes
        world.reset()
    assert not difference(*states), difference(*states)
    assert states[0]["kubernetes"][CLUSTER]["Helm release notes/note"]["status"] == "deployed"
    assert not (told := difference(untouched, world.state(normal=True))), told


def deployment(name: str) -> dict[str, Any]:
    labels = {"app": name}
    container = {"name": name, "image": "example.com/none:1"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def test_unknown_hosts_are_refused_and_shown(world: World) -> None:
    proxy = urlsplit(world.env()["HTTPS_PROXY"])
    connection = http.client.HTTPSConnection(proxy.hostname or "", proxy.port, timeout=10)
    connection.set_tunnel("example.com", 443)
    with pytest.raises(OSError, match="403"):
        connection.request("GET", "/")
    assert [(one.system, one.resource, one.status) for one in world.journal()] == [("refused", "example.com:443", 403)]


def test_googles_tokens_open_a_gke_cluster_by_rbac_and_by_iam(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Log in with the operator's key file, under Google's names; the DNS endpoint has the world's public
    certificate."""
    env = world.env()
    for name in (*GOOGLES, "https_proxy", "no_proxy", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, env[name])
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    credentials, project = google.auth.default(scopes=[CLOUD, EMAIL])
    listed = AuthorizedSession(credentials).get(f"{CONTAINER}/v1/projects/{project}/locations/-/clusters").json()
    (cluster,) = listed["clusters"]
    access = world.clusters()[GKE]
    assert base64.b64decode(cluster["masterAuth"]["clusterCaCertificate"]).decode() == access.ca_pem
    ca = tmp_path / "ca.pem"
    ca.write_text(access.ca_pem)
    bearer = {"Authorization": f"Bearer {credentials.token}"}
    url = f"https://{cluster['endpoint']}{NAMESPACES}"
    proxies = {"https": env["https_proxy"]}
    with requests.Session() as session:
        session.trust_env = False
        assert session.get(url, headers=bearer, proxies=proxies, verify=str(ca), timeout=20).status_code == 200
    assert Client(access, credentials.token).call("POST", NAMESPACES, {"metadata": {"name": "mine"}})[0] == 201

    email = world.control("google", "add_account", project=project, account_id="reader")
    numbered = world.control("google", "token", member=f"serviceAccount:{email}", scopes=[CLOUD])
    named = world.control("google", "token", member=f"serviceAccount:{email}")
    _bind(world, email)
    assert Client(access, named).call("GET", f"{NAMESPACES}/mine")[0] == 200
    status, refused = Client(access, numbered).call("GET", f"{NAMESPACES}/mine")
    assert status == 403
    assert refused["message"].startswith('namespaces "mine" is forbidden: User "1')

    endpoints = cluster["controlPlaneEndpointsConfig"]
    url = f"https://{endpoints['dnsEndpointConfig']['endpoint']}{NAMESPACES}/mine"
    bearer = {"Authorization": f"Bearer {named}"}
    assert "External traffic is not allowed" in requests.get(url, headers=bearer, timeout=20).text
    endpoints["dnsEndpointConfig"]["allowExternalTraffic"] = True
    place = {"project": project, "location": "europe-west1", "name": GKE}
    world.control("google", "set_cluster", **place, controlPlaneEndpointsConfig=endpoints)
    assert "container.clusters.connect" in requests.get(url, headers=bearer, timeout=20).text
    world.control("google", "grant", project=project, role="roles/container.viewer", member=f"serviceAccount:{email}")
    assert requests.get(url, headers=bearer, timeout=20).json()["metadata"]["name"] == "mine"
    seen = [one.who for one in world.journal() if one.system == "kubernetes" and one.status == 200]
    assert seen == [OPERATOR_ACCOUNT, email, email]


def test_entras_tokens_open_an_aks_cluster_by_rbac_and_by_azure_rbac(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Log in with the operator's secret, under Azure's names; without Entra, with the certificate of the local
    account."""
    env = world.env()
    for name in ("https_proxy", "no_proxy", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, env[name])
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    credential = ClientSecretCredential(env["AZURE_TENANT"], env["AZURE_CLIENT_ID"], env["AZURE_SECRET"])
    arm = {"Authorization": f"Bearer {credential.get_token(f'{ARM}/.default').token}"}
    access, version = world.clusters()[AKS], {"api-version": "2026-02-01"}
    clusters = f"{ARM}/subscriptions/{access.account}/providers/Microsoft.ContainerService/managedClusters"
    (cluster,) = requests.get(clusters, headers=arm, params=version, timeout=20).json()["value"]

    def way_in() -> dict[str, Any]:
        url = f"{ARM}{cluster['id']}/listClusterUserCredential"
        answer = requests.post(url, headers=arm, params={**version, "format": "exec"}, timeout=20).json()
        found: dict[str, Any] = yaml.safe_load(base64.b64decode(answer["kubeconfigs"][0]["value"]))
        return found

    kubeconfig = way_in()
    server, user = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]
    assert base64.b64decode(server["certificate-authority-data"]).decode() == access.ca_pem
    application = user["exec"]["args"][user["exec"]["args"].index("--server-id") + 1]
    ca, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    ca.write_text(access.ca_pem)
    url = f"{server['server']}{NAMESPACES}"
    own = {"Authorization": f"Bearer {credential.get_token(f'{application}/.default').token}"}
    with requests.Session() as session:
        session.trust_env = False
        session.proxies, session.verify = {"https": env["https_proxy"]}, str(ca)
        assert session.post(url, headers=own, json={"metadata": {"name": "mine"}}, timeout=20).status_code == 201

        other = world.control("azure", "add_operator")
        token = world.control("azure", "token", principal_id=other["principal_id"], audience=application)
        bearer = {"Authorization": f"Bearer {token}"}
        assert session.get(f"{url}/mine", headers=bearer, timeout=20).status_code == 403
        _bind(world, other["client_id"], AKS, "wrong-form")
        assert session.get(f"{url}/mine", headers=bearer, timeout=20).status_code == 403
        _bind(world, other["principal_id"], AKS)
        assert session.get(f"{url}/mine", headers=bearer, timeout=20).status_code == 200
        config_maps = f"{url}/mine/configmaps"
        assert session.post(config_maps, headers=bearer, json=CONFIG_MAP, timeout=20).status_code == 403
        scope = f"{cluster['id']}/namespaces/mine"
        role = "Azure Kubernetes Service RBAC Writer"
        world.control("azure", "grant", principal=other["principal_id"], role=role, scope=scope)
        deadline = time.monotonic() + 30  # the API server keeps a refusal for a second
        while session.post(config_maps, headers=bearer, json=CONFIG_MAP, timeout=20).status_code != 201:
            assert time.monotonic() < deadline
        assert session.get(f"{url}/default/configmaps", headers=bearer, timeout=20).status_code == 200

        world.control("azure", "set_cluster", cluster=AKS, aadProfile=None)
        local = way_in()["users"][0]["user"]
        key.touch(mode=0o600)
        key.write_bytes(b"".join(base64.b64decode(local[f"client-{name}-data"]) for name in ("key", "certificate")))
        time.sleep(1.1)  # the API server caches the owner of a token for this long
        assert session.get(f"{url}/mine", headers=own, timeout=20).status_code == 401
    with requests.Session() as session:
        session.trust_env = False
        session.proxies, session.verify, session.cert = {"https": env["https_proxy"]}, str(ca), str(key)
        assert session.get(f"{url}/mine", timeout=20).status_code == 200
        assert session.get(f"{url}/mine", headers={"x-peer-certificate": "0" * 64}, timeout=20).status_code == 200
    seen = [one.who for one in world.journal() if one.system == "kubernetes" and one.status in (200, 201)]
    assert (seen[0], seen[1], seen[-1]) == (OPERATOR_ID, other["principal_id"], "masterclient")


def _bind(world: World, user: str, cluster: str = GKE, name: str = "reader") -> None:
    """The user may see everything by RBAC."""
    about = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
    body = {"metadata": {"name": name}, "roleRef": about, "subjects": [subject]}
    world.kubernetes(cluster).create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", body)


def test_a_mistake_is_told(world: World) -> None:
    with pytest.raises(WorldError, match="exactly one of"):
        world.fault({"system": "aws"})
    with pytest.raises(WorldError, match="aws has no verb dance"):
        world.control("aws", "dance")


def recorded(world: World) -> list[int]:
    """The world's processes, its supervisor first."""
    lines = (world.folder / "pids").read_text().splitlines()
    return list(dict.fromkeys(int(line.split()[0]) for line in lines))


def test_a_second_world_has_its_own_version_and_leaves_nothing() -> None:
    """It runs next to the first world, which the other tests use, and its supervisor is killed."""
    name = f"sandbox-{os.getpid()}-old"
    with World(name).up("old:eks:version=1.20:mode=API:nodes=1") as world:
        assert Client(world.clusters()["old"]).call("GET", "/version")[1]["minor"] == "20"
        kubernetes = world.kubernetes("old")
        assert kubernetes.get(f"{NAMESPACES}/kube-system/configmaps/aws-auth") is None
        [node] = kubernetes.items("/api/v1/nodes")
        assert node["spec"]["providerID"].startswith("aws:///eu-central-1a/i-0")
        port = urlsplit(world.clusters()["old"].endpoint).port
        supervisor, *children = recorded(world)
        assert len(children) == 5
        os.kill(supervisor, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while any(Path(f"/proc/{pid}/exe").exists() for pid in children):
            assert time.monotonic() < deadline, "children outlive their supervisor"
        with pytest.raises(WorldError, match=r"not up|ended"):
            world.mark()
    assert not world.folder.exists()
    with socket.socket() as probe:
        assert port is not None
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_killed_up_is_cleared_by_the_next_down() -> None:
    world = World(f"sandbox-{os.getpid()}-killed")
    command = [sys.executable, "-m", "tests.sandbox", "up", "--world", world.name]
    with subprocess.Popen(command, start_new_session=True) as up:
        deadline = time.monotonic() + 30
        while not (world.folder / "pids").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(up.pid, signal.SIGKILL)
    pids = recorded(world)
    world.down()
    assert not world.folder.exists()
    assert not [pid for pid in pids if Path(f"/proc/{pid}/exe").exists()]
