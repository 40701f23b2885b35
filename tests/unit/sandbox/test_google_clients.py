# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Google's own clients under Google's host names: every call of the gateway, and the refusals of each.

google-api-python-client creates a method for each call from the same documents as the stand-in. The google-cloud
clients are generated from Google's protocol buffers; their types parse the answers.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import google_auth_httplib2
import httplib2
import pytest
from google.api_core.exceptions import Conflict, NotFound
from google.auth.transport.requests import Request as Refresh
from google.cloud import container_v1, iam_credentials_v1, orgpolicy_v2, resourcemanager_v3, service_usage_v1
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

from ansible_collections.castai.onboarding.plugins.module_utils._gateways.google import CALLS as GATEWAYS_CALLS
from tests.sandbox.google.tokens import whose
from tests.sandbox.proxy import Proxy
from tests.sandbox.wire import Request

from .google_client import NUMBER, OPERATOR, PROJECT, SHARED, Cloud, cluster

PARENT = f"projects/{PROJECT}"
ACCOUNT = f"{PARENT}/serviceAccounts/castai@{PROJECT}.iam.gserviceaccount.com"
ROLE = f"{PARENT}/roles/castai.access"
CLUSTER = f"{PARENT}/locations/europe-west1/clusters/shop"
GONE = "1" * 21  # the unique id of a deleted account
KEY = "0" * 40
STALE = base64.b64encode(b"before").decode()
POLICY = {"version": 3, "bindings": []}


@dataclass(frozen=True)
class Made:
    """One call: the service and version, its method as google-api-python-client nests it, and its arguments.

    required: a field of the body without which Google refuses the call. etag: where a stale one must be refused.
    before: the state that the call needs.
    """

    service: str
    method: str
    given: dict[str, Any]
    required: str = ""
    etag: tuple[str, ...] = ()
    before: Callable[[Cloud], None] = lambda _cloud: None


def _deleted_role(cloud: Cloud) -> None:
    cloud.do("delete_role", name=ROLE)


def _disabled(cloud: Cloud) -> None:
    cloud.do("set_services", project=PROJECT, off=["compute.googleapis.com"])


IAM, PROJECTS, SERVICES, CONTAINER = "iam.v1", "cloudresourcemanager.v3", "serviceusage.v1", "container.v1"
ACCOUNTS, ROLES = "projects.serviceAccounts", "projects.roles"
REGION = {"project": SHARED, "region": "europe-west1"}
SUBNET = {**REGION, "resource": "default"}
TESTED = {"permissions": ["iam.serviceAccounts.get"]}
ROLE_BODY = {"title": "t", "includedPermissions": ["compute.zones.get"], "stage": "GA"}
CALLS = (
    Made(PROJECTS, "projects.get", {"name": PARENT}),
    Made(PROJECTS, "projects.testIamPermissions", {"resource": PARENT, "body": TESTED}, "permissions"),
    Made(PROJECTS, "projects.getIamPolicy", {"resource": PARENT, "body": {"options": {"requestedPolicyVersion": 3}}}),
    Made(PROJECTS, "projects.setIamPolicy", {"resource": PARENT, "body": {"policy": POLICY}}, "policy", ("policy",)),
    Made("cloudresourcemanager.v1", "projects.get", {"projectId": PROJECT}),
    Made("cloudresourcemanager.v1", "projects.getIamPolicy", {"resource": PROJECT, "body": {}}),
    Made(
        "cloudresourcemanager.v1",
        "projects.getEffectiveOrgPolicy",
        {"resource": PARENT, "body": {"constraint": "constraints/iam.disableServiceAccountKeyCreation"}},
        "constraint",
    ),
    Made(
        "orgpolicy.v2",
        "projects.policies.getEffectivePolicy",
        {"name": f"{PARENT}/policies/iam.managed.disableServiceAccountKeyCreation"},
    ),
    Made(
        SERVICES,
        "services.batchGet",
        {"parent": PARENT, "names": [f"{PARENT}/services/{one}.googleapis.com" for one in ("iam", "compute")]},
    ),
    Made(
        SERVICES,
        "services.batchEnable",
        {"parent": PARENT, "body": {"serviceIds": ["compute.googleapis.com"]}},
        "serviceIds",
        before=_disabled,
    ),
    Made(SERVICES, "operations.get", {"name": "operations/noop.DONE_OPERATION"}),
    Made("compute.v1", "subnetworks.get", {**REGION, "subnetwork": "default"}),
    Made("compute.v1", "subnetworks.getIamPolicy", {**SUBNET, "optionsRequestedPolicyVersion": 3}),
    Made("compute.v1", "subnetworks.setIamPolicy", {**SUBNET, "body": {"policy": POLICY}}, etag=("policy",)),
    Made("compute.v1", "subnetworks.testIamPermissions", {**SUBNET, "body": TESTED}),
    Made(CONTAINER, "projects.locations.clusters.get", {"name": CLUSTER}),
    Made(CONTAINER, "projects.locations.clusters.list", {"parent": f"{PARENT}/locations/-"}),
    Made(IAM, f"{ACCOUNTS}.get", {"name": ACCOUNT}),
    Made(IAM, f"{ACCOUNTS}.list", {"name": PARENT, "pageSize": 100}),
    Made(
        IAM,
        f"{ACCOUNTS}.create",
        {"name": PARENT, "body": {"accountId": "castai-new", "serviceAccount": {"displayName": "n"}}},
        "accountId",
    ),
    Made(
        IAM,
        f"{ACCOUNTS}.patch",
        {"name": ACCOUNT, "body": {"serviceAccount": {"description": "d"}, "updateMask": "description"}},
        "updateMask",
    ),
    Made(IAM, f"{ACCOUNTS}.disable", {"name": ACCOUNT, "body": {}}),
    Made(IAM, f"{ACCOUNTS}.enable", {"name": ACCOUNT, "body": {}}),
    Made(IAM, f"{ACCOUNTS}.delete", {"name": ACCOUNT}),
    Made(IAM, f"{ACCOUNTS}.undelete", {"name": f"{PARENT}/serviceAccounts/{GONE}", "body": {}}),
    Made(IAM, f"{ACCOUNTS}.getIamPolicy", {"resource": ACCOUNT, "options_requestedPolicyVersion": 3}),
    Made(IAM, f"{ACCOUNTS}.setIamPolicy", {"resource": ACCOUNT, "body": {"policy": POLICY}}, "policy", ("policy",)),
    Made(IAM, f"{ACCOUNTS}.testIamPermissions", {"resource": ACCOUNT, "body": TESTED}, "permissions"),
    Made(IAM, f"{ACCOUNTS}.keys.list", {"name": ACCOUNT, "keyTypes": ["USER_MANAGED"]}),
    Made(
        IAM,
        f"{ACCOUNTS}.keys.create",
        {"name": ACCOUNT, "body": {"privateKeyType": "TYPE_GOOGLE_CREDENTIALS_FILE"}},
    ),
    Made(IAM, f"{ACCOUNTS}.keys.delete", {"name": f"{ACCOUNT}/keys/{KEY}"}),
    Made(IAM, f"{ROLES}.get", {"name": ROLE}),
    Made(
        IAM,
        f"{ROLES}.create",
        {"parent": PARENT, "body": {"roleId": "castai.other", "role": ROLE_BODY}},
        "roleId",
    ),
    Made(IAM, f"{ROLES}.patch", {"name": ROLE, "updateMask": "title", "body": {"title": "new"}}, etag=("",)),
    Made(IAM, f"{ROLES}.delete", {"name": ROLE}, etag=("query",)),
    Made(IAM, f"{ROLES}.undelete", {"name": ROLE, "body": {}}, etag=("",), before=_deleted_role),
    Made(
        "iamcredentials.v1",
        "projects.serviceAccounts.generateAccessToken",
        {
            "name": ACCOUNT.replace(PROJECT, "-", 1),
            "body": {"scope": ["https://www.googleapis.com/auth/cloud-platform"], "lifetime": "600s"},
        },
        "scope",
    ),
)


@dataclass(frozen=True)
class Proxied:
    """A Google Cloud behind the world's proxy. ca: the file with the authority for Google's names."""

    cloud: Cloud
    port: int
    ca: Path
    credentials: Credentials
    clients: dict[tuple[str, str], Any] = field(default_factory=dict)
    """The clients created so far: creating one reads the whole document of its service."""

    def client(self, service: str, version: str) -> Any:
        """google-api-python-client's, through the proxy."""
        if (service, version) not in self.clients:
            self.clients[service, version] = self._made(service, version)
        return self.clients[service, version]

    def _made(self, service: str, version: str) -> Any:
        proxy = httplib2.ProxyInfo(httplib2.socks.PROXY_TYPE_HTTP, "127.0.0.1", self.port)
        http = httplib2.Http(ca_certs=str(self.ca), proxy_info=proxy)
        authorized = google_auth_httplib2.AuthorizedHttp(self.credentials, http=http)
        return build(service, version, http=authorized, static_discovery=True)


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Proxied:
    cloud = Cloud()
    cloud.google.add_cluster(cluster("shop"))
    proxy = Proxy(cloud.gate, [cloud.google])
    ca = tmp_path_factory.mktemp("proxy") / "ca.pem"
    ca.write_text(proxy.ca_pem)
    return Proxied(cloud, proxy.port, ca, Credentials(token=cloud.token()))


@pytest.fixture
def world(proxied: Proxied) -> Iterator[Cloud]:
    cloud = proxied.cloud
    cloud.reset()
    proxied.credentials.token = cloud.token()
    email = cloud.do("add_account", project=PROJECT, account_id="castai")
    cloud.do("add_role", project=PROJECT, role_id="castai.access", permissions=["compute.zones.list"])
    cloud.do("grant", project=email, role="roles/iam.serviceAccountTokenCreator", member=f"serviceAccount:{OPERATOR}")
    cloud.do("add_key", email=email)
    cloud.google.store.keys[-1].id = KEY
    gone = cloud.do("add_account", project=PROJECT, account_id="castai-gone")
    cloud.do("delete_account", email=gone)
    cloud.google.store.accounts[-1].unique_id = GONE
    yield cloud
    assert cloud.google.take_defects() == []


def named(calls: tuple[Made, ...]) -> dict[str, Any]:
    return {"argvalues": calls, "ids": [f"{one.service}:{one.method}" for one in calls]}


@pytest.fixture
def request_of(proxied: Proxied) -> Callable[..., Any]:
    return lambda made, **changes: prepare(proxied, made, **changes)


def prepare(proxied: Proxied, made: Made, **changes: Any) -> Any:
    """The call, ready to be executed."""
    service, _dot, version = made.service.partition(".")
    *path, last = made.method.split(".")
    holder: Any = proxied.client(service, version)
    for name in path:
        holder = getattr(holder, name)()
    return getattr(holder, last)(**{**made.given, **changes})


def refused(call: Any) -> tuple[int, str]:
    with pytest.raises(HttpError) as caught:
        call.execute()
    return caught.value.resp.status, json.loads(caught.value.content)["error"]["status"]


@pytest.mark.parametrize("made", **named(CALLS))
def test_googles_client_makes_every_call(world: Cloud, request_of: Callable[..., Any], made: Made) -> None:
    made.before(world)
    request_of(made).execute()
    done = world.gate.journal.since(0)[-1]
    assert (done.call.operation.rpartition(".")[2], done.status) == (made.method.rpartition(".")[2], 200)
    assert done.call.who == f"serviceAccount:{OPERATOR}"


def test_the_gateway_makes_no_other_calls(proxied: Proxied) -> None:
    names = {"project": PROJECT, "account": "a@b", "key": "0", "role": "r", "location": "-", "cluster": "shop"}
    names |= {"constraint": "iam.x", "operation": "operations/acat.1"}
    names |= {"subnet": f"projects/{SHARED}/regions/europe-west1/subnetworks/default"}
    driven = {f"{one.service.partition('.')[0]}.{one.method}" for one in CALLS}
    for one in GATEWAYS_CALLS:
        request = Request(one.method, f"{one.service}.googleapis.com", one.path.format(**names), "", {}, b"")
        meant = proxied.cloud.google.classify(request)
        assert meant.operation in driven, one
        assert meant.write is not one.only_reads, one


@contextmanager
def defect(world: Cloud) -> Iterator[None]:
    """Requests that Google does not support are recorded, so that the test that made one fails."""
    yield
    assert len(world.google.take_defects()) == 1


@pytest.mark.parametrize("made", **named(tuple(one for one in CALLS if "body" in one.given)))
def test_an_unknown_field_of_the_body_is_refused(world: Cloud, request_of: Callable[..., Any], made: Made) -> None:
    made.before(world)
    with defect(world):
        assert refused(request_of(made, body={**made.given["body"], "nonsense": 1})) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("made", **named(CALLS))
def test_an_unknown_parameter_is_refused(world: Cloud, request_of: Callable[..., Any], made: Made) -> None:
    made.before(world)
    call = request_of(made)
    call.uri += f"{'&' if '?' in call.uri else '?'}nonsense=1"
    with defect(world):
        assert refused(call) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("made", **named(tuple(one for one in CALLS if one.required)))
def test_a_missing_field_is_refused(world: Cloud, request_of: Callable[..., Any], made: Made) -> None:
    made.before(world)
    body = {name: value for name, value in made.given["body"].items() if name != made.required}
    assert refused(request_of(made, body=body)) == (400, "INVALID_ARGUMENT")
    world.google.take_defects()


@pytest.mark.parametrize("made", **named(tuple(one for one in CALLS if one.etag)))
def test_a_stale_etag_is_refused(world: Cloud, request_of: Callable[..., Any], made: Made) -> None:
    made.before(world)
    (where,) = made.etag
    changes: dict[str, Any] = {"etag": STALE}
    if where != "query":
        body = made.given["body"]
        changes = {"body": {**body, where: {**body[where], "etag": STALE}} if where else {**body, "etag": STALE}}
    assert refused(request_of(made, **changes)) == (409, "ABORTED")


def test_a_deleted_key_and_a_deleted_account_are_gone_and_the_account_can_be_had_back(world: Cloud) -> None:
    accounts = world.client("iam", "v1").projects().serviceAccounts()
    made = accounts.keys().create(name=ACCOUNT, body={}).execute()
    text = base64.b64decode(made["privateKeyData"]).decode()
    world.key_credentials(text).refresh(Refresh(world.plain_session()))
    unique_id = accounts.get(name=ACCOUNT).execute()["uniqueId"]
    accounts.keys().delete(name=made["name"]).execute()
    with pytest.raises(Exception, match="Invalid JWT Signature"):
        world.key_credentials(text).refresh(Refresh(world.plain_session()))
    accounts.delete(name=ACCOUNT).execute()
    assert refused(accounts.get(name=ACCOUNT)) == (404, "NOT_FOUND")
    back = accounts.undelete(name=f"{PARENT}/serviceAccounts/{unique_id}", body={}).execute()
    assert back["restoredAccount"]["uniqueId"] == unique_id
    world.clock.ahead += 3600 * 24 * 31
    accounts = world.client("iam", "v1").projects().serviceAccounts()
    accounts.delete(name=ACCOUNT).execute()
    world.clock.ahead += 3600 * 24 * 31
    accounts = world.client("iam", "v1").projects().serviceAccounts()
    assert refused(accounts.undelete(name=f"{PARENT}/serviceAccounts/{unique_id}", body={})) == (404, "NOT_FOUND")


def test_a_path_that_google_does_not_have_is_refused(world: Cloud) -> None:
    with defect(world):
        assert world.session().get(f"https://iam.googleapis.com/v1/{PARENT}/accounts").status_code == 400


def test_services_are_on_when_their_operation_is_done(world: Cloud) -> None:
    _disabled(world)
    services = world.client("serviceusage", "v1")
    started = services.services().batchEnable(parent=PARENT, body={"serviceIds": ["compute.googleapis.com"]}).execute()
    assert "done" not in services.operations().get(name=started["name"]).execute()
    assert (
        refused(services.services().batchEnable(parent=PARENT, body={"serviceIds": ["compute.googleapis.com"]}))[0]
        == 400
    )
    world.clock.ahead += 1
    assert services.operations().get(name=started["name"]).execute()["done"]
    name = f"projects/{NUMBER}/services/compute.googleapis.com"
    assert services.services().get(name=name).execute()["state"] == "ENABLED"


@pytest.fixture
def rest(proxied: Proxied, monkeypatch: pytest.MonkeyPatch) -> Callable[[type[Any]], Any]:
    """Creates google-cloud clients for the operator, over REST and the proxy, which their long-running operations use
    too."""
    for name, value in {
        "https_proxy": f"http://127.0.0.1:{proxied.port}",
        "REQUESTS_CA_BUNDLE": str(proxied.ca),
    }.items():
        monkeypatch.setenv(name, value)
        monkeypatch.delenv(name.upper() if name.islower() else name.lower(), raising=False)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return lambda client: client(credentials=Credentials(token=proxied.cloud.token()), transport="rest")


def test_googles_newer_clients_read_the_answers(world: Cloud, rest: Callable[[type[Any]], Any]) -> None:
    projects = rest(resourcemanager_v3.ProjectsClient)
    assert projects.get_project(name=PARENT).name == f"projects/{NUMBER}"
    asked = {"resource": PARENT, "options": {"requested_policy_version": 3}}
    policy = projects.get_iam_policy(request=asked)
    policy.bindings.add(role="roles/viewer", members=["user:someone@example.com"])
    written = projects.set_iam_policy(request={"resource": PARENT, "policy": policy})
    assert [list(one.members) for one in written.bindings if one.role == "roles/viewer"] == [
        ["user:someone@example.com"]
    ]
    with pytest.raises(Conflict):
        projects.set_iam_policy(request={"resource": PARENT, "policy": policy})
    held = projects.test_iam_permissions(resource=PARENT, permissions=["container.clusters.get"])
    assert list(held.permissions) == ["container.clusters.get"]

    services = rest(service_usage_v1.ServiceUsageClient)
    names = [f"{PARENT}/services/iam.googleapis.com"]
    (found,) = services.batch_get_services(request={"parent": PARENT, "names": names}).services
    assert found.state.name == "ENABLED"
    _disabled(world)
    enabled = services.batch_enable_services(request={"parent": PARENT, "service_ids": ["compute.googleapis.com"]})
    assert not enabled.done()
    world.clock.ahead += 1
    assert enabled.done()
    assert enabled.exception() is None

    clusters = rest(container_v1.ClusterManagerClient)
    shop = clusters.get_cluster(name=CLUSTER)
    assert (shop.endpoint, shop.status.name, shop.location) == ("198.18.0.1", "RUNNING", "europe-west1")
    assert [one.name for one in clusters.list_clusters(parent=f"{PARENT}/locations/-").clusters] == ["shop"]
    with pytest.raises(NotFound):
        clusters.get_cluster(name=CLUSTER.replace("shop", "shop2"))

    world.do(
        "set_constraint", project=PROJECT, constraint="constraints/iam.disableServiceAccountKeyCreation", value=True
    )
    policies = rest(orgpolicy_v2.OrgPolicyClient)
    effective = policies.get_effective_policy(name=f"{PARENT}/policies/iam.disableServiceAccountKeyCreation")
    assert effective.spec.rules[0].enforce

    credentials = rest(iam_credentials_v1.IAMCredentialsClient)
    token = credentials.generate_access_token(
        name=ACCOUNT.replace(PROJECT, "-", 1), scope=["https://www.googleapis.com/auth/cloud-platform"]
    )
    who = whose(world.google.store, token.access_token)
    assert who is not None
    assert who.email == ACCOUNT.rpartition("/")[2]


GCLOUD = shutil.which("gcloud")
CLI = f"castai-cli@{PROJECT}.iam.gserviceaccount.com"
BINDING = f"{PROJECT} --role={PARENT}/roles/castai.cli --member=serviceAccount:{CLI} --condition=None"
COMMANDS = (
    "auth activate-service-account --key-file={key}",
    "iam service-accounts create castai-cli --display-name=cli",
    f"iam service-accounts keys create {{folder}}/made.json --iam-account={CLI}",
    "iam roles create castai.cli --project=acme-prod --file={role}",
    "iam roles update castai.cli --project=acme-prod --add-permissions=compute.zones.get",
    f"projects add-iam-policy-binding {BINDING}",
    f"projects remove-iam-policy-binding {BINDING}",
    "iam roles delete castai.cli --project=acme-prod",
    "iam roles undelete castai.cli --project=acme-prod",
    "services enable compute.googleapis.com",
    "container clusters describe shop --location=europe-west1",
    f"iam service-accounts delete {CLI}",
)


@pytest.mark.skipif(GCLOUD is None, reason="gcloud is not installed here")
def test_gcloud_does_what_users_do_by_hand(world: Cloud, proxied: Proxied, tmp_path: Path) -> None:
    key, role = tmp_path / "key.json", tmp_path / "role.yaml"
    key.write_text(world.google.operator_key())
    role.write_text("title: cli\nstage: GA\nincludedPermissions: [compute.zones.list]\n")
    _disabled(world)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "CLOUDSDK_CONFIG": str(tmp_path / "config"),
        "CLOUDSDK_CORE_PROJECT": PROJECT,
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
        "CLOUDSDK_PROXY_TYPE": "http",
        "CLOUDSDK_PROXY_ADDRESS": "127.0.0.1",
        "CLOUDSDK_PROXY_PORT": str(proxied.port),
        "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE": str(proxied.ca),
    }
    for command in COMMANDS:
        told = command.format(key=key, role=role, folder=tmp_path)
        done = subprocess.run(["gcloud", *told.split()], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    assert json.loads((tmp_path / "made.json").read_text())["client_email"] == CLI
    state = world.google.state()[PROJECT]
    assert CLI in state["deleted_accounts"]
    assert state["roles"][f"{PARENT}/roles/castai.cli"]["includedPermissions"] == [
        "compute.zones.get",
        "compute.zones.list",
    ]
    assert "compute.googleapis.com" in state["services"]
