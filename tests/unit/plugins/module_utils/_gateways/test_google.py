# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Google's gateway on the wire, under Google's host names: which credentials win, what is sent, and what errors
mean."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import google.auth.compute_engine._metadata as metadata
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ansible_collections.castai.onboarding.plugins.module_utils import _patience
from ansible_collections.castai.onboarding.plugins.module_utils._engine import CallFailed, Conflict, Refused
from ansible_collections.castai.onboarding.plugins.module_utils._gateways import (
    google_credentials,
    google_session,
    https,
)
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.google import CALLS, Google
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.google_iam import CREATE_KEY
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.google_session import Rejected
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.sdk import Sdk
from tests.sandbox.server import Server
from tests.sandbox.wire import Request, Response
from tests.support.cloud import Behind, Cloud, behind_a_proxy
from tests.support.https import reply

TOKEN = "ya29.CANARY-operator"
KEY = (
    rsa.generate_private_key(65537, 2048)
    .private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    .decode()
)
ACCOUNT = {
    "type": "service_account",
    "project_id": "of-the-key",
    "private_key": KEY,
    "client_email": "operator@ops.iam.gserviceaccount.com",
    "token_uri": "https://oauth2.googleapis.com/token",
}
"""As AWX writes it: without private_key_id and universe_domain."""


@pytest.fixture(scope="module")
def behind() -> Iterator[Behind]:
    with behind_a_proxy("Google", "*.googleapis.com", "*.example.cloud", "127.0.0.1") as made:
        yield made


@pytest.fixture
def cloud(behind: Behind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    for name in list(os.environ):
        if name.startswith(("GCP_", "GOOGLE_", "GCE_", "CLOUDSDK_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with behind.cloud(tmp_path, monkeypatch) as made:
        made.not_found = reply(404, {"error": {"code": 404, "status": "NOT_FOUND", "message": "Not found."}})
        made.play("oauth2.googleapis.com/token", reply(200, {"access_token": TOKEN, "expires_in": 3600}))
        yield made


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(_patience.time, "sleep", slept.append)
    return slept


def connected(cloud: Cloud, **options: Any) -> Google:
    return Google({"google_ca_cert": cloud.ca_file, "access_token": TOKEN, **options})


def google_error(status: int, state: str, message: str, *details: Any, **more: Any) -> Response:
    return reply(status, {"error": {"code": status, "message": message, "status": state, "details": details, **more}})


def info(reason: str, **metadata: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "metadata": metadata}


def scopes_asked(request: Request) -> list[str]:
    (assertion,) = parse_qs(request.body.decode())["assertion"]
    claims = json.loads(base64.urlsafe_b64decode(assertion.split(".")[1] + "=="))
    return str(claims["scope"]).split()


# Credentials


@pytest.mark.parametrize("given", ["contents", "file", "environment", "application default", "gcloud"])
def test_a_key_in_each_place_is_traded_for_a_token_with_both_scopes(
    cloud: Cloud, given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key.json"
    file.write_text(json.dumps(ACCOUNT), encoding="utf-8")
    options: dict[str, Any] = {"access_token": None}
    if given == "contents":
        options["service_account_contents"] = json.dumps(ACCOUNT)
    elif given == "file":
        options |= {"service_account_file": str(file), "auth_kind": "serviceaccount"}
    elif given == "environment":
        monkeypatch.setenv("GCP_AUTH_KIND", "serviceaccount")
        monkeypatch.setenv("GCP_SERVICE_ACCOUNT_FILE", str(file))
        monkeypatch.setenv("GCP_ACCESS_TOKEN", "")
    elif given == "application default":
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    else:
        monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
        file.rename(tmp_path / "application_default_credentials.json")
    google = connected(cloud, **options)
    assert (google.token(), google.can_renew, google.caller()) == (TOKEN, True, ACCOUNT["client_email"])
    assert scopes_asked(cloud.received[0]) == list(google_credentials.SCOPES)
    assert google.token() == TOKEN
    assert cloud.asked == ["POST oauth2.googleapis.com/token"]


def test_a_token_of_little_life_is_renewed_before_kubernetes_gets_it(cloud: Cloud) -> None:
    short = reply(200, {"access_token": "short", "expires_in": 900})
    cloud.play("oauth2.googleapis.com/token", short, reply(200, {"access_token": TOKEN, "expires_in": 3600}))
    google = connected(cloud, access_token=None, service_account_contents=json.dumps(ACCOUNT))
    assert [google.token(), google.token(), google.token()] == ["short", TOKEN, TOKEN]


def test_options_beat_the_environment_also_for_the_kind(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCP_AUTH_KIND", "serviceaccount")
    monkeypatch.setenv("GCP_SERVICE_ACCOUNT_FILE", "/nowhere")
    assert connected(cloud).token() == TOKEN
    monkeypatch.setenv("GCP_ACCESS_TOKEN", "other")
    assert connected(cloud, access_token=None, auth_kind="accesstoken").token() == "other"
    with pytest.raises(Refused, match=r"auth_kind\)? is application, which does not match .*access_token"):
        connected(cloud, auth_kind="application")


def test_of_several_options_the_token_counts_first(cloud: Cloud) -> None:
    assert connected(cloud, service_account_file="/nowhere").token() == TOKEN


def test_another_account_is_impersonated_by_way_of_others(cloud: Cloud) -> None:
    target, way = "target@p.iam.gserviceaccount.com", "way@p.iam.gserviceaccount.com"
    path = f"iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{target}:generateAccessToken"
    cloud.play(path, reply(200, {"accessToken": "of the target", "expireTime": "2999-01-01T00:00:00Z"}))
    google = connected(cloud, impersonate_service_account=f"{way},{target}")
    assert (google.token(), google.caller()) == ("of the target", target)
    body = json.loads(cloud.received[-1].body)
    assert body["scope"] == list(google_credentials.SCOPES)
    assert [one.rpartition("/")[2] for one in body["delegates"]] == [way]


def test_a_refused_impersonation_names_what_is_missing(cloud: Cloud) -> None:
    target = "target@p.iam.gserviceaccount.com"
    said = "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist)."
    cloud.play(
        f"iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{target}:generateAccessToken",
        google_error(403, "PERMISSION_DENIED", said),
    )
    with pytest.raises(CallFailed, match=r"impersonate_service_account") as caught:
        connected(cloud, impersonate_service_account=target).token()
    assert TOKEN not in str(caught.value)


def test_a_federated_file_is_exchanged_by_sts(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "subject").write_text("CANARY-subject", encoding="utf-8")
    file = tmp_path / "external.json"
    external = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {"file": str(tmp_path / "subject")},
    }
    file.write_text(json.dumps(external), encoding="utf-8")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    answer = {"access_token": TOKEN, "issued_token_type": "x", "token_type": "Bearer", "expires_in": 3600}
    cloud.play("sts.googleapis.com/v1/token", reply(200, answer))
    assert connected(cloud, access_token=None).token() == TOKEN
    asked = parse_qs(cloud.received[0].body.decode())
    assert asked["subject_token"] == ["CANARY-subject"]
    assert asked["scope"] == [" ".join(google_credentials.SCOPES)]


def test_users_files_carry_their_quota_project(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = {"type": "authorized_user", "client_id": "i", "client_secret": "CANARY-s", "refresh_token": "CANARY-r"}
    file = tmp_path / "user.json"
    file.write_text(json.dumps({**user, "quota_project_id": "pays"}), encoding="utf-8")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    assert connected(cloud, access_token=None).get_project("p") is None
    assert cloud.received[-1].headers["x-goog-user-project"] == "pays"
    monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "other")
    assert connected(cloud, access_token=None).get_project("p") is None
    assert cloud.received[-1].headers["x-goog-user-project"] == "other"


@pytest.mark.parametrize(
    ("scopes", "lacks"),
    [(["https://www.googleapis.com/auth/cloud-platform"], True), ([google_credentials.SCOPES[1]], False)],
)
def test_a_machine_and_its_access_scopes(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, scopes: list[str], lacks: bool
) -> None:
    """The metadata server is called over http, for which no proxy is set."""
    root = "/computeMetadata/v1/instance/service-accounts"
    answers: dict[str, Any] = {
        f"{root}/default/": {"email": "vm@p.iam.gserviceaccount.com", "scopes": scopes},
        f"{root}/default/token": {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"},
    }
    answers[f"{root}/vm@p.iam.gserviceaccount.com/token"] = answers[f"{root}/default/token"]
    answers[f"{root}/vm@p.iam.gserviceaccount.com/"] = answers[f"{root}/default/"]
    flavour = ("Metadata-Flavor", "Google")

    def answer(request: Request, _client: Any, _own: Any) -> Response:
        if request.path == "/computeMetadata/v1/universe/universe-domain":
            return reply(404, None, flavour)
        return reply(200, answers.get(request.path, {}), flavour)

    server = Server(answer, None)
    host = f"127.0.0.1:{server.port}"
    monkeypatch.delenv("NO_GCE_CHECK")
    monkeypatch.setenv("GCE_METADATA_HOST", host)
    # google-auth reads the variable when it is imported; older releases keep it in a default.
    monkeypatch.setattr(metadata, "_GCE_METADATA_HOST", host, raising=False)
    root_address = f"http://{host}/computeMetadata/v1/"
    defaults = [root_address if str(one).startswith("http") else one for one in metadata.get.__defaults__]
    monkeypatch.setattr(metadata.get, "__defaults__", tuple(defaults))
    try:
        google = connected(cloud, access_token=None)
        assert (google.token(), google.caller()) == (TOKEN, "vm@p.iam.gserviceaccount.com")
        assert google.lacks_email_scope() is lacks
        assert connected(cloud).lacks_email_scope() is False
    finally:
        server.shutdown()
        server.server_close()


def test_without_any_credentials_the_ways_are_named(cloud: Cloud) -> None:
    with pytest.raises(Refused, match=r"No credentials for Google Cloud were found\. Set .*service_account_file"):
        connected(cloud, access_token=None)


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ("CANARY not JSON", "does not contain Google credentials in JSON"),
        (json.dumps([KEY]), "does not contain Google credentials in JSON"),
        (json.dumps({"type": "authorized_user", "refresh_token": KEY}), "not the key of a service account"),
        (json.dumps({**ACCOUNT, "token_uri": None}), "field token_uri is missing"),
        (json.dumps({key: ACCOUNT[key] for key in ("type", "private_key", "client_email")}), "token_uri"),
        (json.dumps({**ACCOUNT, "private_key": f"CANARY {KEY[40:]}"}), "cannot be used"),
    ],
)
def test_a_wrong_key_is_refused_without_being_shown(cloud: Cloud, contents: str, said: str) -> None:
    with pytest.raises((Refused, CallFailed), match=said) as caught:
        connected(cloud, access_token=None, service_account_contents=contents).token()
    assert "CANARY" not in str(caught.value)
    assert KEY[60:100] not in str(caught.value)


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(google_session, "google", Sdk("google", "google.auth", "google.none"))
    with pytest.raises(
        Refused, match=r"google-auth and requests are needed on this machine: No module named 'google\.none'"
    ):
        Google({})


def test_credentials_show_in_no_repr(cloud: Cloud) -> None:
    google = connected(cloud, access_token=None, service_account_contents=json.dumps(ACCOUNT))
    google.token()
    assert TOKEN not in repr(vars(google))
    assert KEY[60:100] not in repr(vars(google))


def test_services_are_of_the_universe_of_the_key(cloud: Cloud) -> None:
    key = {**ACCOUNT, "universe_domain": "example.cloud"}
    cloud.play("container.example.cloud/v1/projects/p/locations/-/clusters", reply(200, {}))
    google = connected(cloud, access_token=None, service_account_contents=json.dumps(key))
    assert google.list_clusters("p") == ()
    # Signed by the key itself: that universe has no token server here.
    assert cloud.asked == ["GET container.example.cloud/v1/projects/p/locations/-/clusters"]


@pytest.mark.parametrize(
    ("option", "variables", "found"),
    [
        ("host", {"GCP_PROJECT": "awx"}, ("host", "")),
        ("", {"GCP_PROJECT": "awx", "GOOGLE_CLOUD_PROJECT": "g"}, ("awx", "GCP_PROJECT")),
        ("", {"GCP_PROJECT": "", "GOOGLE_CLOUD_PROJECT": "g"}, ("g", "GOOGLE_CLOUD_PROJECT")),
        ("", {}, ("", "")),
    ],
)
def test_the_project_of_the_host_wins(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, option: str, variables: dict[str, str], found: tuple[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    google = connected(cloud, project=option)
    assert (google.project, google.project_source) == found


# What is sent


def test_a_cluster_as_google_describes_it(cloud: Cloud) -> None:
    body = {
        "name": "shop",
        "location": "europe-west3",
        "selfLink": "https://container.googleapis.com/v1/projects/shop-prod/locations/europe-west3/clusters/shop",
        "status": "RUNNING",
        "currentMasterVersion": "1.33.1-gke.1",
        "endpoint": "10.0.0.2",
        "masterAuth": {"clusterCaCertificate": base64.b64encode(b"PEM").decode()},
        "controlPlaneEndpointsConfig": {
            "dnsEndpointConfig": {"endpoint": "gke-1.europe-west3.gke.goog", "allowExternalTraffic": True},
            "ipEndpointsConfig": {"enabled": True, "enablePublicEndpoint": False},
        },
        "nodePools": [{"name": "a", "config": {"serviceAccount": "n@p"}}, {"name": "b"}, {"name": "c"}],
        "networkConfig": {"network": "projects/host-project/global/networks/n"},
        "masterAuthorizedNetworksConfig": {"enabled": True},
        "somethingNew": {},
    }
    cloud.play("container.googleapis.com/v1/projects/12345/locations/europe-west3/clusters/shop", reply(200, body))
    found = connected(cloud).get_cluster("12345", "europe-west3", "shop")
    assert found
    assert (found.project, found.ca_pem, found.private, found.dns_from_outside) == ("shop-prod", "PEM", True, True)
    assert (found.node_accounts, found.network_project) == (("n@p", "default"), "host-project")
    assert found.authorized_networks
    (request,) = [one for one in cloud.received if one.host.startswith("container")]
    assert request.headers["authorization"] == f"Bearer {TOKEN}"


def test_what_is_absent_is_none(cloud: Cloud) -> None:
    google = connected(cloud)
    assert google.get_cluster("p", "l", "c") is None
    assert google.get_project("p") is None
    assert google.get_account("p", "a@p") is None
    assert google.get_role("p", "castai.gkeAccess") is None
    assert google.list_keys("p", "a@p") == ()
    google.delete_account("p", "a@p")


def test_a_policy_is_read_with_its_conditions_and_permissions_in_portions(cloud: Cloud) -> None:
    base = "cloudresourcemanager.googleapis.com/v3/projects/example.com:p"
    cloud.play(f"{base}:getIamPolicy", reply(200, {"etag": "e", "bindings": [{"role": "r", "members": ["m"]}]}))
    cloud.play(f"{base}:testIamPermissions", reply(200, {"permissions": ["a"]}), reply(200, {}))
    google = connected(cloud)
    assert google.get_policy("example.com:p")["etag"] == "e"
    assert json.loads(cloud.received[-1].body) == {"options": {"requestedPolicyVersion": 3}}
    assert google.test_permissions("example.com:p", [f"p{n}" for n in range(101)]) == {"a"}
    assert [len(json.loads(one.body)["permissions"]) for one in cloud.received[-2:]] == [100, 1]


def test_services_are_enabled_and_waited_for(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    base = "serviceusage.googleapis.com/v1"
    busy = google_error(400, "FAILED_PRECONDITION", "Another activation or deactivation is in progress for x.")
    started = reply(200, {"name": "operations/o"})
    failed = reply(200, {"name": "operations/o", "done": True, "error": {"code": 13, "message": "[160009] with x"}})
    cloud.play(f"{base}/projects/p/services:batchEnable", busy, started)
    cloud.play(f"{base}/operations/o", started, failed, reply(200, {"done": True, "response": {}}))
    monkeypatch.setattr("ansible_collections.castai.onboarding.plugins.module_utils._engine.time.sleep", lambda s: None)
    connected(cloud).enable_services("p", ["iam.googleapis.com"])
    assert [one.method for one in cloud.received] == ["POST", "POST", "GET", "GET", "POST", "GET"]
    enabled = {"services": [{"name": "projects/1/services/a.googleapis.com", "state": "ENABLED"}]}
    cloud.play(f"{base}/projects/p/services:batchGet", reply(200, enabled))
    assert connected(cloud).enabled_services("p", ["a.googleapis.com", "b.googleapis.com"]) == {"a.googleapis.com"}
    assert parse_qs(cloud.received[-1].query)["names"] == [
        "projects/p/services/a.googleapis.com",
        "projects/p/services/b.googleapis.com",
    ]


def test_a_new_key_is_its_text_and_shows_in_no_repr(cloud: Cloud) -> None:
    name = "projects/p/serviceAccounts/a@p/keys/k1"
    body = {"name": name, "privateKeyData": base64.b64encode(b"CANARY-key").decode(), "keyOrigin": "GOOGLE_PROVIDED"}
    cloud.play("iam.googleapis.com/v1/projects/p/serviceAccounts/a@p/keys", reply(200, body))
    made = connected(cloud).create_key("p", "a@p")
    assert (made.key.id, made.credentials) == ("k1", "CANARY-key")
    assert "CANARY" not in repr(made)


def test_posts_that_only_read_are_told_from_writes() -> None:
    reading = {call.path.rpartition(":")[2] for call in CALLS if call.only_reads and call.method != "GET"}
    assert reading == {"testIamPermissions", "getIamPolicy"}
    assert not CREATE_KEY.only_reads


# What errors mean


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            google_error(403, "PERMISSION_DENIED", "no", info("IAM_PERMISSION_DENIED", permission="iam.roles.get")),
            r"\(iam\.serviceAccountKeys\.create\): 403 PERMISSION_DENIED: no\. Grant iam\.roles\.get to",
        ),
        (
            google_error(403, "PERMISSION_DENIED", "The caller does not have permission"),
            r"does not have permission\. Grant iam\.serviceAccountKeys\.create to the identity that runs this",
        ),
        (
            google_error(403, "PERMISSION_DENIED", 'Required "container.clusters.get" permission(s) for "projects/p".'),
            r"Grant container\.clusters\.get to",
        ),
        (
            google_error(403, "PERMISSION_DENIED", "off", info("SERVICE_DISABLED", service="iam.googleapis.com")),
            r"Enable iam\.googleapis\.com in the project",
        ),
        (
            google_error(
                400,
                "FAILED_PRECONDITION",
                "Key creation is not allowed on this service account.",
                {"violations": [{"type": "constraints/iam.disableServiceAccountKeyCreation"}]},
            ),
            r"organization policy forbids it: constraints/iam\.disableServiceAccountKeyCreation\.",
        ),
        (
            google_error(
                400,
                "FAILED_PRECONDITION",
                "Operation denied",
                info("CUSTOM_ORG_POLICY_VIOLATION", customConstraints="customConstraints/custom.noKeys"),
            ),
            r"customConstraints/custom\.noKeys",
        ),
        (google_error(403, "PERMISSION_DENIED", "x", info("USER_PROJECT_DENIED")), r"serviceusage\.services\.use"),
        (
            google_error(403, "PERMISSION_DENIED", "x", info("SECURITY", vpcServiceControlsUniqueIdentifier="u")),
            r"VPC Service Controls forbid it",
        ),
        (
            google_error(401, "UNAUTHENTICATED", "x"),
            r"has expired or is not valid, and cannot be renewed: set .*access",
        ),
        (google_error(429, "RESOURCE_EXHAUSTED", "Maximum number of keys on account reached."), r"number of keys"),
        (reply(400, b"<html>CANARY</html>"), r"400: Bad Request"),
        (reply(400, {"error": "odd"}), r"400: Bad Request"),
        (reply(400, {"error": {"message": 7, "details": "odd", "errors": 3}}), r"400: Bad Request"),
    ],
)
def test_a_refusal_names_what_is_missing(cloud: Cloud, answer: Response, said: str, pauses: list[float]) -> None:
    cloud.play("iam.googleapis.com/v1/projects/p/serviceAccounts/a@p/keys", answer)
    with pytest.raises(Rejected, match=said) as caught:
        connected(cloud).create_key("p", "a@p")
    assert pauses == []
    assert not {TOKEN, "CANARY"} & set(str(caught.value).split())


@pytest.mark.parametrize("status", [409, 412])
def test_a_rival_is_a_conflict(cloud: Cloud, status: int) -> None:
    said = "There were concurrent policy changes."
    cloud.play("cloudresourcemanager.googleapis.com/v3/projects/p:setIamPolicy", google_error(status, "ABORTED", said))
    with pytest.raises(Conflict, match="concurrent policy changes"):
        connected(cloud).set_policy("p", {"etag": "e"})


def test_limits_are_waited_out_as_long_as_google_asks(cloud: Cloud, pauses: list[float]) -> None:
    limited = google_error(403, "PERMISSION_DENIED", "Quota exceeded for quota metric 'x' and limit 'y per minute'")
    path = "cloudresourcemanager.googleapis.com/v3/projects/p:setIamPolicy"
    cloud.play(path, reply(429, {}, ("Retry-After", "30")), limited, reply(200, {"etag": "n"}))
    assert connected(cloud).set_policy("p", {"etag": "e"}) == {"etag": "n"}
    assert pauses[0] == 30.0
    assert 0.5 <= pauses[1] <= 1.0


def test_reads_are_repeated_and_writes_whose_answer_is_lost_are_not(cloud: Cloud, pauses: list[float]) -> None:
    path = "iam.googleapis.com/v1/projects/p/serviceAccounts/a@p/keys"
    cloud.play(path, reply(503, {}), None, reply(200, {"keys": []}))
    google = connected(cloud)
    assert google.list_keys("p", "a@p") == ()
    assert len(pauses) == 2
    for lost in (None, reply(503, {})):
        cloud.play(path, lost)
        with pytest.raises(CallFailed) as caught:
            google.create_key("p", "a@p")
        assert caught.value.unsure
    assert len(pauses) == 2


def test_where_google_cannot_be_reached_the_run_ends_soon_without_a_made_up_status(
    cloud: Cloud, pauses: list[float]
) -> None:
    cloud.tunnel.said = "502 Bad Gateway"
    with pytest.raises(CallFailed) as caught:
        connected(cloud).list_keys("p", "a@p")
    assert "serviceAccountKeys.list): iam.googleapis.com did not answer through proxy http:" in str(caught.value)
    assert str(caught.value).endswith("Check that it is reachable from this machine.")
    assert 0 < sum(pauses) <= https.UNREACHABLE


def test_a_token_that_google_does_not_take_is_renewed_once(cloud: Cloud) -> None:
    cloud.play("iam.googleapis.com/v1/projects/p/roles/r", google_error(401, "UNAUTHENTICATED", "x"))
    google = connected(cloud, access_token=None, service_account_contents=json.dumps(ACCOUNT))
    with pytest.raises(Rejected, match=r"401 UNAUTHENTICATED: x\. Google does not accept the credentials"):
        google.get_role("p", "r")
    assert [one for one in cloud.asked if "token" in one] == ["POST oauth2.googleapis.com/token"] * 2


@pytest.mark.parametrize("body", [{"bindings": {}}, {"bindings": [{"role": 7}]}, {"etag": 1}, []])
def test_an_answer_of_another_shape_is_a_sentence(cloud: Cloud, body: Any) -> None:
    cloud.play("cloudresourcemanager.googleapis.com/v3/projects/p:getIamPolicy", reply(200, body))
    with pytest.raises(CallFailed, match=r"does not match the API: .*Check whether a proxy answered"):
        connected(cloud).get_policy("p")


# The connection


def test_an_untrusted_certificate_names_the_option(cloud: Cloud) -> None:
    with pytest.raises(CallFailed, match=r"certificate of iam\.googleapis\.com is not trusted: .*google_ca_cert"):
        connected(cloud, google_ca_cert=None).get_role("p", "r")
    with pytest.raises(Refused, match=r"google_ca_cert.* is '/nowhere', which is not a file"):
        connected(cloud, google_ca_cert="/nowhere")


def test_a_proxy_that_refuses_is_named(cloud: Cloud) -> None:
    cloud.tunnel.said = "403 Forbidden"
    with pytest.raises(CallFailed, match=r"HTTPS_PROXY does not allow connections to iam\.googleapis\.com"):
        connected(cloud).get_role("p", "r")
    cloud.tunnel.log_in, cloud.tunnel.said = "u:p", ""
    with pytest.raises(CallFailed, match=r"requires a different login"):
        connected(cloud).get_role("p", "r")


def test_a_netrc_file_does_not_replace_the_token(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "netrc"
    file.write_text("default login x password y\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(file))
    assert connected(cloud).get_role("p", "r") is None
    assert cloud.received[-1].headers["authorization"] == f"Bearer {TOKEN}"
