# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Azure's gateway on the wire, under Azure's host names: which credentials win, what is sent, and what errors mean."""

from __future__ import annotations

import base64
import datetime
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from ansible_collections.castai.onboarding.plugins.module_utils import _patience
from ansible_collections.castai.onboarding.plugins.module_utils._engine import CallFailed, Conflict, Refused
from ansible_collections.castai.onboarding.plugins.module_utils._gateways import azure_credentials, azure_session, https
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.azure import ARM_CALLS, CALLS, Azure
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.azure_authorization import Permission
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.azure_session import (
    GRAPH,
    VERSIONS,
    Caller,
    Rejected,
)
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.sdk import Sdk
from tests.sandbox.wire import Response
from tests.support import awx
from tests.support.cloud import Behind, Cloud, behind_a_proxy
from tests.support.https import reply

SUBSCRIPTION = "0b1f6471-1bf0-4dda-aec3-cb9272f09590"
TENANT, CLIENT, SECRET = (
    "11111111-aaaa-4000-8000-000000000001",
    "22222222-aaaa-4000-8000-000000000002",
    "CANARY8Q~secret",
)
OBJECT = "33333333-aaaa-4000-8000-000000000003"
LOGIN, ARM, ON_GRAPH = "login.microsoftonline.com", "management.azure.com", "graph.microsoft.com"
TOKEN_PATH = f"{LOGIN}/{TENANT}/oauth2/v2.0/token"
CLUSTERS = f"{ARM}/subscriptions/{SUBSCRIPTION}/providers/Microsoft.ContainerService/managedClusters"
GROUP_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/shop"
CLUSTER = f"{ARM}{GROUP_ID}/providers/Microsoft.ContainerService/managedClusters/shop"


def token_of(**claims: Any) -> str:
    """A token as Entra creates them; only its audience may verify it."""
    parts = ({"typ": "JWT", "alg": "RS256"}, {"oid": OBJECT, "appid": CLIENT, "tid": TENANT, **claims})
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return f"{'.'.join(encoded)}.CANARYsignature"


def granted(seconds: int = 3600, **claims: Any) -> Response:
    return reply(200, {"token_type": "Bearer", "expires_in": seconds, "access_token": token_of(**claims)})


@pytest.fixture(scope="module")
def behind() -> Iterator[Behind]:
    hosts = ("*.microsoftonline.com", "*.azure.com", "*.microsoft.com", "*.microsoftonline.us", "*.usgovcloudapi.net")
    with behind_a_proxy("Azure", *hosts, "*.microsoft.us", "*.chinacloudapi.cn") as made:
        yield made


@pytest.fixture
def cloud(behind: Behind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    for name in list(os.environ):
        if name.startswith(("AZURE_", "ANSIBLE_AZURE_", "IDENTITY_", "MSI_", "REQUESTS_CA")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", str(tmp_path))
    with behind.cloud(tmp_path, monkeypatch) as made:
        made.not_found = reply(404, {"error": {"code": "ResourceNotFound", "message": "Not found."}})
        made.play(TOKEN_PATH, granted())
        for tenant in (TENANT, "other"):
            authority = f"https://{LOGIN}/{tenant}"
            made.play(f"{LOGIN}/{tenant}/v2.0/.well-known/openid-configuration", _discovered(authority))
        made.play(CLUSTERS, reply(200, {"value": []}))
        yield made


def _discovered(authority: str) -> Response:
    return reply(
        200,
        {
            "issuer": f"{authority}/v2.0",
            "authorization_endpoint": f"{authority}/oauth2/v2.0/authorize",
            "token_endpoint": f"{authority}/oauth2/v2.0/token",
        },
    )


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(_patience.time, "sleep", slept.append)
    return slept


def connected(cloud: Cloud, **options: Any) -> Azure:
    given = {"client_id": CLIENT, "tenant": TENANT, "secret": SECRET, "subscription_id": SUBSCRIPTION}
    return Azure({"azure_ca_cert": cloud.ca_file, **given, **options})


def bare(cloud: Cloud, **options: Any) -> Azure:
    """With these options alone."""
    return Azure({"azure_ca_cert": cloud.ca_file, **options})


def log_ins(cloud: Cloud) -> list[dict[str, str]]:
    bodies = [one.body.decode() for one in cloud.received if one.path.endswith("/token")]
    return [dict(parse_qsl(body)) for body in bodies]


def azure_error(status: int, code: str, message: str, **more: Any) -> Response:
    return reply(status, {"error": {"code": code, "message": message, **more}})


def certificate(folder: Path, password: str = "", days: float = 0, binary: bool = False) -> str:
    """days: from now until it becomes valid, for one day. binary: as PKCS12."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "operator")])
    now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    encryption: Any = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password.encode())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    ) + signed.public_bytes(serialization.Encoding.PEM)
    file = folder / "operator.pem"
    file.write_bytes(pkcs12.serialize_key_and_certificates(b"x", key, signed, None, encryption) if binary else pem)
    return str(file)


# Credentials


@pytest.mark.parametrize(
    "variables",
    [
        {"AZURE_CLIENT_ID": CLIENT, "AZURE_TENANT": TENANT, "AZURE_SECRET": SECRET},
        {"AZURE_CLIENT_ID": CLIENT, "AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_SECRET": SECRET},
        # Azure's collection takes precedence over azure-identity; AWX sets variables that it has no value for to an
        # empty text.
        {
            "AZURE_CLIENT_ID": CLIENT,
            "AZURE_TENANT": TENANT,
            "AZURE_TENANT_ID": "other",
            "AZURE_SECRET": SECRET,
            "AZURE_CLIENT_SECRET": "other",
            "AZURE_AD_USER": "",
            "AZURE_PASSWORD": "",
            "AZURE_CLOUD_ENVIRONMENT": "",
        },
    ],
    ids=["azcollection", "azure-identity", "both, as AWX"],
)
def test_a_secret_of_the_environment(cloud: Cloud, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert bare(cloud).list_clusters(SUBSCRIPTION) == ()
    (sent,) = log_ins(cloud)
    assert sent["client_id"] == CLIENT
    assert sent["client_secret"] == SECRET
    assert sent["scope"] == f"https://{ARM}/.default"
    assert cloud.received[-1].headers["authorization"] == f"Bearer {token_of()}"


@pytest.mark.parametrize("form", ["client", "user"])
def test_what_awxs_own_code_sets(cloud: Cloud, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A login from AWX's form for users cannot pass multi-factor authentication."""
    filled = {
        "client": awx.azure(CLIENT, SECRET, TENANT, "of-the-job"),
        "user": awx.azure_user("me@example.com", "CANARY", "of-the-job"),
    }
    awx.inject(tmp_path, filled[form])
    for name, value in json.loads((tmp_path / "env/envvars").read_text(encoding="utf-8")).items():
        monkeypatch.setenv(name, value)
    if form == "user":
        with pytest.raises(
            Refused, match=r"AZURE_AD_USER and AZURE_PASSWORD are set, but .* In AWX, fill in Client ID"
        ):
            bare(cloud)
        return
    azure = bare(cloud, subscription_id=SUBSCRIPTION)
    assert azure.list_clusters(SUBSCRIPTION) == ()
    assert log_ins(cloud)[0]["client_secret"] == SECRET
    assert (bare(cloud).subscription_id, bare(cloud).subscription_source) == ("of-the-job", "AZURE_SUBSCRIPTION_ID")


def test_an_option_beats_the_environment_also_for_the_kind(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_SECRET", "CANARY of the environment")
    monkeypatch.setenv("AZURE_CLIENT_ID", "of the environment")
    assert (
        bare(cloud, client_id=CLIENT, tenant=TENANT, oidc_token="CANARY.assertion.x").list_clusters(SUBSCRIPTION) == ()
    )
    (sent,) = log_ins(cloud)
    assert sent["client_assertion"] == "CANARY.assertion.x"
    assert sent["client_id"] == CLIENT
    assert "client_secret" not in sent


def test_a_certificate_signs_the_log_in(cloud: Cloud, tmp_path: Path) -> None:
    azure = bare(cloud, client_id=CLIENT, tenant=TENANT, x509_certificate_path=certificate(tmp_path))
    assert azure.list_clusters(SUBSCRIPTION) == ()
    (sent,) = log_ins(cloud)
    claims = json.loads(base64.urlsafe_b64decode(sent["client_assertion"].split(".")[1] + "=="))
    assert (claims["iss"], claims["aud"]) == (CLIENT, f"https://{LOGIN}/{TENANT}/oauth2/v2.0/token")


@pytest.mark.parametrize(
    "around",
    [
        lambda pem: b"\xef\xbb\xbf" + pem,
        lambda pem: b"Bag Attributes: f\xfcr\n" + pem,
        lambda pem: pem.replace(b"\n", b"\r\n"),
        lambda pem: pem.replace(b"-----BEGIN", b"\xef\xbb\xbf-----BEGIN"),
    ],
)
def test_a_certificate_is_read_as_openssl_reads_it(
    cloud: Cloud, tmp_path: Path, around: Callable[[bytes], bytes]
) -> None:
    path = Path(certificate(tmp_path))
    path.write_bytes(around(path.read_bytes()))
    azure = bare(cloud, client_id=CLIENT, tenant=TENANT, x509_certificate_path=str(path))
    assert azure.list_clusters(SUBSCRIPTION) == ()


def test_a_certificate_with_a_password(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"client_id": CLIENT, "tenant": TENANT, "x509_certificate_path": certificate(tmp_path, "CANARY")}
    with pytest.raises(Refused, match=r"certificate_path\) cannot be used: Password was not given"):
        bare(cloud, **given)
    monkeypatch.setenv("AZURE_CLIENT_CERTIFICATE_PASSWORD", "CANARY")
    assert bare(cloud, **given).list_clusters(SUBSCRIPTION) == ()


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(
    ("days", "said"),
    [
        (-2, "expired at 20"),
        (1, "is not valid before 20"),
        (-1, ""),  # clocks differ
    ],
)
def test_a_certificate_out_of_date_is_refused_before_any_call(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, said: str, binary: bool
) -> None:
    monkeypatch.setenv("AZURE_CLIENT_CERTIFICATE_PASSWORD", "CANARY")
    given = {"client_id": CLIENT, "tenant": TENANT}
    given["x509_certificate_path"] = certificate(tmp_path, "CANARY", days, binary)
    if not said:
        assert bare(cloud, **given).list_clusters(SUBSCRIPTION) == ()
        return
    origin = r"castai_azure_x509_certificate_path \(option x509_certificate_path\)"
    with pytest.raises(Refused, match=f"The certificate of {origin} {said}") as refused:
        bare(cloud, **given)
    assert "CANARY" not in str(refused.value)
    assert cloud.received == []


def test_a_pods_token_is_read_anew_for_each_log_in(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text("first.of.issuer\n", encoding="utf-8")
    for name, value in {
        "AZURE_CLIENT_ID": CLIENT,
        "AZURE_TENANT_ID": TENANT,
        "AZURE_FEDERATED_TOKEN_FILE": str(file),
        "AZURE_AUTHORITY_HOST": f"https://{LOGIN}/",
    }.items():
        monkeypatch.setenv(name, value)
    cloud.play(TOKEN_PATH, granted(200))
    azure = bare(cloud)
    azure.list_clusters(SUBSCRIPTION)
    file.write_text("second.of.issuer", encoding="utf-8")
    # The first token expires too soon.
    azure.list_clusters(SUBSCRIPTION)
    assert [sent["client_assertion"] for sent in log_ins(cloud)] == ["first.of.issuer", "second.of.issuer"]


def test_a_managed_identity_is_never_a_pods(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", f"https://{LOGIN}/")
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", "/var/run/token")
    with pytest.raises(Refused, match=r"AZURE_FEDERATED_TOKEN_FILE are set.*workload identity.*oidc_token_file_path"):
        bare(cloud, auth_source="msi")


def test_a_managed_identity_asks_its_machine(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"https://{ARM}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "CANARY header")
    expires = str(int(time.time()) + 3600)
    answer = {"access_token": token_of(), "expires_on": expires, "resource": f"https://{ARM}", "token_type": "Bearer"}
    cloud.play(f"{ARM}/msi/token", reply(200, answer))
    azure = bare(cloud, auth_source="msi", client_id=CLIENT)
    assert azure.list_clusters(SUBSCRIPTION) == ()
    asked = next(one for one in cloud.received if one.path == "/msi/token")
    assert parse_qs(asked.query)["client_id"] == [CLIENT]
    with pytest.raises(Refused, match=f"belongs to tenant {TENANT} and cannot get a token of tenant other"):
        azure.token("x", "other")


def test_a_machine_without_the_identity_is_told_as_such(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"https://{ARM}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "CANARY header")
    refusal = {"statusCode": 400, "message": "No User Assigned or Delegated Managed Identity found"}
    cloud.play(f"{ARM}/msi/token", reply(400, refusal))
    with pytest.raises(CallFailed, match=r"Could not get a token from Azure: .*castai_azure_(auth_source|client_id)"):
        bare(cloud, auth_source="msi").list_clusters(SUBSCRIPTION)


@pytest.mark.parametrize(
    ("options", "variables", "said"),
    [
        ({}, {}, "No credentials for Azure were found"),
        (
            {},
            {"AZURE_AD_USER": "me", "AZURE_PASSWORD": "CANARY"},
            "AZURE_AD_USER and AZURE_PASSWORD are set, but a login",
        ),
        ({"secret": "CANARY"}, {}, "AZURE_CLIENT_ID, and castai_azure_tenant"),
        ({"secret": "CANARY", "oidc_token": "CANARY"}, {}, "Set only one of them"),
        ({"auth_source": "env", "client_id": CLIENT, "tenant": TENANT}, {}, "No credentials for Azure"),
        ({}, {"ANSIBLE_AZURE_AUTH_SOURCE": "credential_file"}, "ANSIBLE_AZURE_AUTH_SOURCE is 'credential_file'"),
        ({"cloud_environment": "https://management.local/"}, {}, "does not know.*AzureCloud, AzureUSGovernment"),
    ],
)
def test_unusable_credentials_are_refused_without_being_shown(
    cloud: Cloud, options: dict[str, Any], variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Refused, match=said) as caught:
        bare(cloud, **options).list_clusters(SUBSCRIPTION)
    assert "CANARY" not in str(caught.value)


def test_a_file_that_is_no_certificate_is_not_shown(cloud: Cloud, tmp_path: Path) -> None:
    file = tmp_path / "file.pem"
    file.write_text("CANARY", encoding="utf-8")
    with pytest.raises(Refused, match=r"certificate_path\) cannot be used") as caught:
        bare(cloud, client_id=CLIENT, tenant=TENANT, x509_certificate_path=str(file))
    assert "CANARY" not in str(caught.value)


def test_az_is_asked_last(cloud: Cloud, tmp_path: Path) -> None:
    az, asked = tmp_path / "az", tmp_path / "asked"
    ends = datetime.datetime.now() + datetime.timedelta(hours=1)  # az writes local time
    answer = json.dumps({"accessToken": "CANARY-of-az", "expiresOn": ends.strftime("%Y-%m-%d %H:%M:%S.%f")})
    az.write_text(f"#!/bin/sh\necho \"$@\" >> {asked}\necho '{answer}'\n", encoding="utf-8")
    az.chmod(0o700)
    os.environ["PATH"] = f"{tmp_path}:/bin:/usr/bin"
    bare(cloud).list_clusters(SUBSCRIPTION)
    assert cloud.received[-1].headers["authorization"] == "Bearer CANARY-of-az"
    assert f"--resource https://{ARM}" in asked.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (7000215, "The secret is wrong: set castai_azure_secret .option secret."),
        (7000222, "The secret has expired"),
        (700016, "The tenant has no such application"),
        (53003, "A Conditional Access policy forbids this login"),
        (1, "Check castai_azure_client_id"),
    ],
)
def test_entras_refusals_are_told_with_what_to_do(cloud: Cloud, code: int, said: str) -> None:
    description = f"AADSTS{code}: No. Trace ID: 1 Correlation ID: 2 Timestamp: 3"
    body = {"error": "invalid_client", "error_description": description, "error_codes": [code]}
    cloud.play(TOKEN_PATH, reply(401, body))
    with pytest.raises(CallFailed, match=f"Could not get a token from Azure: .*AADSTS{code}: No. {said}") as caught:
        connected(cloud).list_clusters(SUBSCRIPTION)
    assert "Trace ID" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_log_in_that_nobody_answers_is_told_as_such(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azure_credentials, "_LIMITS", {"retry_total": 0})
    cloud.tunnel.said = "502 Bad Gateway"
    with pytest.raises(CallFailed, match="its token server did not answer through proxy http:"):
        connected(cloud).list_clusters(SUBSCRIPTION)


def test_an_untrusted_certificate_is_one_sentence(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azure_credentials, "_LIMITS", {"retry_total": 0})
    with pytest.raises(CallFailed, match=r"The TLS certificate of .* is not trusted.*castai_azure_ca_cert"):
        connected(cloud, azure_ca_cert="").list_clusters(SUBSCRIPTION)


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azure_session, "azure", Sdk("azure", "azure.none"))
    with pytest.raises(
        Refused, match=r"azure-identity and requests are needed on this machine: No module named 'azure\.none'"
    ):
        Azure({})


def test_credentials_show_in_no_repr(cloud: Cloud) -> None:
    azure = connected(cloud)
    azure.list_clusters(SUBSCRIPTION)
    assert SECRET not in repr(vars(azure))
    assert "CANARYsignature" not in repr(vars(azure))


@pytest.mark.parametrize(
    ("option", "variables", "arm"),
    [
        ("AzureUSGovernment", {}, "management.usgovcloudapi.net"),
        ("azurechinacloud", {}, "management.chinacloudapi.cn"),
        (None, {"AZURE_CLOUD_ENVIRONMENT": "AzureUSGovernment"}, "management.usgovcloudapi.net"),
        (None, {"AZURE_AUTHORITY_HOST": "https://login.chinacloudapi.cn/"}, "management.chinacloudapi.cn"),
        (None, {}, ARM),
    ],
)
def test_hosts_are_those_of_the_cloud(
    cloud: Cloud, option: str | None, variables: dict[str, str], arm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    azure = connected(cloud, cloud_environment=option)
    authority = f"https://{azure.cloud.login}/{TENANT}"
    cloud.play(f"{azure.cloud.login}/{TENANT}/v2.0/.well-known/openid-configuration", _discovered(authority))
    cloud.play(f"{azure.cloud.login}/{TENANT}/oauth2/v2.0/token", granted())
    cloud.play(f"{arm}{CLUSTERS.partition('/')[1]}{CLUSTERS.partition('/')[2]}", reply(200, {"value": []}))
    assert azure.list_clusters(SUBSCRIPTION) == ()
    assert cloud.received[-1].host == arm
    assert {one.host for one in cloud.received} == {arm, azure.cloud.login}


@pytest.mark.parametrize(
    ("option", "variables", "found"),
    [
        ("host", {"AZURE_SUBSCRIPTION_ID": "awx"}, ("host", "")),
        ("", {"AZURE_SUBSCRIPTION_ID": "awx"}, ("awx", "AZURE_SUBSCRIPTION_ID")),
        ("", {}, ("", "")),
    ],
)
def test_the_subscription_of_the_host_wins(
    cloud: Cloud,
    option: str,
    variables: dict[str, str],
    found: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    azure = connected(cloud, subscription_id=option)
    assert (azure.subscription_id, azure.subscription_source) == found


# Tokens


def test_a_token_is_kept_and_one_that_ends_soon_is_renewed(cloud: Cloud) -> None:
    cloud.play(TOKEN_PATH, granted(3600), granted(250), granted(3600, jti="new"))
    azure = connected(cloud)
    azure.list_clusters(SUBSCRIPTION)
    azure.list_clusters(SUBSCRIPTION)
    assert len(log_ins(cloud)) == 1
    assert azure.cluster_token("") == token_of()  # too short, but Entra did not issue a longer one
    assert azure.cluster_token("") == token_of(jti="new")
    assert [sent["scope"].split("/")[0] for sent in log_ins(cloud)[1:]] == ["6dae42f8-4368-4678-94ff-3960e28e3630"] * 2


def test_a_token_of_another_tenant(cloud: Cloud) -> None:
    cloud.play(f"{LOGIN}/other/oauth2/v2.0/token", granted(tid="other"))
    assert connected(cloud).cluster_token("other") == token_of(tid="other")


def test_a_401_renews_the_token_once(cloud: Cloud) -> None:
    cloud.play(TOKEN_PATH, granted(), granted(jti="new"))
    cloud.play(CLUSTERS, azure_error(401, "ExpiredAuthenticationToken", "Expired."), reply(200, {"value": []}))
    assert connected(cloud).list_clusters(SUBSCRIPTION) == ()
    assert cloud.received[-1].headers["authorization"] == f"Bearer {token_of(jti='new')}"


@pytest.mark.parametrize("kind", ["secret", "assertion"])
def test_a_claims_challenge_is_answered_once(cloud: Cloud, kind: str) -> None:
    wanted = json.dumps({"access_token": {"nbf": {"essential": True, "value": "1604106651"}}})
    encoded = base64.urlsafe_b64encode(wanted.encode()).decode()
    challenge = f'Bearer realm="", error="insufficient_claims", claims="{encoded}"'
    refusal = reply(
        401, {"error": {"code": "InvalidAuthenticationToken", "message": "No."}}, ("WWW-Authenticate", challenge)
    )
    cloud.play(TOKEN_PATH, granted(), granted(jti="new"))
    cloud.play(CLUSTERS, refusal, reply(200, {"value": []}))
    proof = {"secret": None, "oidc_token": "a.b.c"} if kind == "assertion" else {}
    assert connected(cloud, **proof).list_clusters(SUBSCRIPTION) == ()
    assert json.loads(log_ins(cloud)[1]["claims"]) == json.loads(wanted)
    cloud.play(CLUSTERS, refusal)
    with pytest.raises(Rejected, match=r"401 InvalidAuthenticationToken: No. Azure does not accept the credentials"):
        connected(cloud, **proof).list_clusters(SUBSCRIPTION)


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "a.!!.c", f"a.{base64.urlsafe_b64encode(b'[]').decode()}.c"])
def test_a_token_that_tells_nothing_is_of_nobody(token: str) -> None:
    assert Caller.of(token) == Caller("", "", "")


def test_who_calls_is_read_from_the_token(cloud: Cloud) -> None:
    cloud.play(TOKEN_PATH, granted(), granted(roles=["Application.ReadWrite.OwnedBy"], upn="me@example.com"))
    azure = connected(cloud)
    assert azure.caller() == Caller(OBJECT, CLIENT, TENANT)
    assert azure.caller().application
    of_graph = azure.graph_caller()
    assert (of_graph.roles, of_graph.name) == (frozenset({"Application.ReadWrite.OwnedBy"}), "me@example.com")
    assert log_ins(cloud)[1]["scope"] == f"https://{ON_GRAPH}/.default"


# Calls


def test_every_call_says_what_it_needs_and_which_version_it_speaks() -> None:
    assert all(call.permissions for call in CALLS)
    assert {call.service for call in ARM_CALLS} == set(VERSIONS)
    assert {call.service for call in CALLS} - set(VERSIONS) == {GRAPH}


def test_reads_writes_and_their_queries(cloud: Cloud) -> None:
    assignments = f"{ARM}{GROUP_ID}/providers/Microsoft.Authorization/roleAssignments"
    cloud.play(assignments, reply(200, {"value": []}))
    cloud.play(f"{assignments}/guid", reply(201, {"name": "guid", "properties": {"principalId": "p"}}))
    azure = connected(cloud)
    azure.list_assignments(GROUP_ID, "it's")
    read = cloud.received[-1]
    assert read.query == "api-version=2022-04-01&%24filter=principalId%20eq%20%27it%27%27s%27"
    azure.put_assignment(GROUP_ID, "guid", "/role", "principal", "why")
    written = cloud.received[-1]
    assert written.method == "PUT"
    assert json.loads(written.body)["properties"]["principalType"] == "ServicePrincipal"
    cloud.play(
        f"{ON_GRAPH}/v1.0/applications", reply(200, {"value": [{"id": "i", "appId": "a", "displayName": "shop"}]})
    )
    assert azure.find_apps("", "shop")[0].client_id == "a"
    assert "api-version" not in cloud.received[-1].query


def test_what_is_absent_is_none_but_a_subscription_that_is_not_there_is_an_error(cloud: Cloud) -> None:
    azure = connected(cloud)
    assert azure.get_cluster(SUBSCRIPTION, "shop", "shop") is None
    azure.delete_role("/subscriptions/s", "guid")
    cloud.play(CLUSTER, azure_error(404, "SubscriptionNotFound", "The subscription could not be found."))
    with pytest.raises(Rejected, match="404 SubscriptionNotFound"):
        azure.get_cluster(SUBSCRIPTION, "shop", "shop")


def test_all_pages_are_read_and_none_elsewhere(cloud: Cloud) -> None:
    def role(name: str) -> dict[str, Any]:
        return {"id": f"/{name}", "name": name, "properties": {"roleName": name}}

    roles = f"{ARM}/s/providers/Microsoft.Authorization/roleDefinitions"
    page = f"https://{roles}?api-version=2022-04-01&$skiptoken=2"
    cloud.play(roles, reply(200, {"value": [role("a")], "nextLink": page}), reply(200, {"value": [role("b")]}))
    assert [one.name for one in connected(cloud).find_roles("/s", "x")] == ["a", "b"]
    assert cloud.received[-1].query == "api-version=2022-04-01&$skiptoken=2"
    azure = connected(cloud)
    for page in (
        *(
            "https://elsewhere.example/",
            f"http://{roles}",
            f"https://{ARM}:8443/x",
            f"https://{ARM}@elsewhere.example/",
        ),
        *(f"https://{ARM}.elsewhere.example/", "https://[x", "/x", f"//{ARM}/x", "x", f"https://{ARM}:x/"),
    ):
        cloud.play(roles, reply(200, {"value": [], "nextLink": page}))
        asked = [one.host for one in cloud.received].count(ARM)
        with pytest.raises(CallFailed, match="the address of the next page is not Azure's"):
            azure.find_roles("/s", "x")
        assert [one.host for one in cloud.received].count(ARM) == asked + 1, page


@pytest.mark.parametrize("answer", [{}, "", {"value": {}}, {"value": ["x"]}, {"value": [None]}, [], 7])
def test_a_list_of_another_shape_is_no_empty_list(cloud: Cloud, answer: Any) -> None:
    cloud.play(CLUSTERS, reply(200, answer))
    with pytest.raises(CallFailed, match=r"that does not match the API: (field value|the answer)"):
        connected(cloud).list_clusters(SUBSCRIPTION)


def test_a_list_without_an_end_is_given_up(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azure_session, "MOST_PAGES", 3)
    cloud.play(CLUSTERS, *(reply(200, {"value": [], "nextLink": f"https://{CLUSTERS}?page={n}"}) for n in range(9)))
    with pytest.raises(CallFailed, match="the list of pages does not end"):
        connected(cloud).list_clusters(SUBSCRIPTION)


@pytest.mark.parametrize(
    "said",
    [
        (
            "No registered resource provider found for location 'usgovvirginia' and API version '2026-02-01' for type"
            " 'managedClusters'. The supported api-versions are '2024-01-01, 2025-05-01, 2026-05-02-preview'."
        ),
    ],
)
def test_a_version_that_the_cloud_does_not_know_falls_back_to_the_newest_stable_one(cloud: Cloud, said: str) -> None:
    cloud.play(CLUSTERS, azure_error(400, "NoRegisteredProviderFound", said), reply(200, {"value": []}))
    azure = connected(cloud)
    assert azure.list_clusters(SUBSCRIPTION) == ()
    assert cloud.received[-1].query == "api-version=2025-05-01"
    azure.list_clusters(SUBSCRIPTION)
    assert len([one for one in cloud.received if one.host == ARM]) == 3
    cloud.play(CLUSTERS, azure_error(400, "NoRegisteredProviderFound", "None is supported."))
    with pytest.raises(Rejected, match="This cloud does not have an api-version"):
        connected(cloud).list_clusters(SUBSCRIPTION)


def test_what_passes_is_repeated_and_what_was_asked_for_is_waited(cloud: Cloud, pauses: list[float]) -> None:
    limited = reply(429, {"error": {"code": "TooManyRequests", "message": "Slow down."}}, ("Retry-After", "30"))
    cloud.play(CLUSTERS, limited, reply(503, {}), None, reply(200, {"value": []}))
    assert connected(cloud).list_clusters(SUBSCRIPTION) == ()
    assert pauses[0] == 30
    assert len(pauses) == 3


def test_where_azure_cannot_be_reached_the_run_ends_soon_without_a_made_up_status(
    cloud: Cloud, pauses: list[float]
) -> None:
    azure = connected(cloud)
    azure.token(f"https://{ARM}")
    cloud.tunnel.said = "502 Bad Gateway"
    with pytest.raises(CallFailed) as caught:
        azure.list_clusters(SUBSCRIPTION)
    assert f"{ARM} did not answer through proxy http:" in str(caught.value)
    assert str(caught.value).endswith("Check that it is reachable from this machine.")
    assert 0 < sum(pauses) <= https.UNREACHABLE


def test_a_call_that_stays_throttled_ends_in_a_sentence(cloud: Cloud, pauses: list[float]) -> None:
    limited = reply(429, {"error": {"code": "TooManyRequests", "message": "Slow down."}}, ("Retry-After", "200"))
    cloud.play(CLUSTERS, limited)
    with pytest.raises(Rejected, match=r"Azure limits how often these credentials may call. It asks to wait 200 s"):
        connected(cloud).list_clusters(SUBSCRIPTION)
    assert pauses == []


def test_a_write_whose_answer_is_lost_is_repeated_where_that_is_the_same(cloud: Cloud, pauses: list[float]) -> None:
    azure = connected(cloud)
    identity = f"{ARM}{GROUP_ID}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/one"
    made = {"id": "/i", "name": "one", "properties": {"principalId": "p", "clientId": "c"}}
    cloud.play(identity, reply(500, {}), reply(201, made))
    assert azure.put_identity(SUBSCRIPTION, "shop", "one", "westeurope", {}).principal_id == "p"
    cloud.play(f"{ON_GRAPH}/v1.0/applications/a/addPassword", reply(500, {}))
    with pytest.raises(Rejected) as caught:
        azure.add_password("", "a", "name", "2027-01-01T00:00:00Z")
    assert caught.value.unsure
    assert len([one for one in cloud.received if one.path.endswith("addPassword")]) == 1


def test_two_writes_of_federations_wait_for_each_other(cloud: Cloud, pauses: list[float]) -> None:
    path = (
        f"{ARM}{GROUP_ID}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/one/federatedIdentityCredentials/f"
    )
    code = "ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity"
    cloud.play(path, azure_error(409, code, "One at a time."), reply(200, {}))
    connected(cloud).delete_identity_federation(SUBSCRIPTION, "shop", "one", "f")
    assert len(pauses) == 1


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (
            403,
            {"error": {"code": "AuthorizationFailed", "message": "The client does not have authorization."}},
            (
                r"\(Microsoft.ContainerService/managedClusters/read\): 403 AuthorizationFailed: The client does not"
                r" have authorization \(request r-1\). Grant Microsoft.ContainerService/managedClusters/read"
            ),
        ),
        (
            403,
            {
                "error": {
                    "code": "RequestDisallowedByPolicy",
                    "message": "Disallowed.",
                    "additionalInfo": [
                        {
                            "type": "PolicyViolation",
                            "info": {
                                "policyDefinitionDisplayName": "No federation",
                                "policyAssignmentDisplayName": "Company",
                            },
                        }
                    ],
                }
            },
            r"An Azure policy forbids it: No federation \(assignment Company\)",
        ),
        (409, {"error": {"code": "ScopeLocked", "message": "Locked."}}, "Remove the lock"),
        (
            403,
            {"error": {"code": "DenyAssignmentAuthorizationFailed", "message": "No."}},
            "A deny assignment forbids it",
        ),
        (
            409,
            {
                "error": {
                    "code": "MissingSubscriptionRegistration",
                    "message": "Microsoft.ManagedIdentity is not registered.",
                }
            },
            "Register Microsoft.ManagedIdentity in the subscription",
        ),
        # AKS itself has no outer object.
        (
            400,
            {"code": "BadRequest", "message": "Getting static credential is not allowed"},
            "400 BadRequest: Getting static",
        ),
        (400, "no JSON object", "400: Bad Request"),
        (400, {"error": "text", "message": 1}, "400: Bad Request"),
    ],
)
def test_errors_are_sentences(cloud: Cloud, status: int, body: Any, said: str) -> None:
    cloud.play(CLUSTERS, reply(status, body, ("x-ms-request-id", "r-1")))
    with pytest.raises(Rejected, match=said) as caught:
        connected(cloud).list_clusters(SUBSCRIPTION)
    assert caught.value.status == status


def test_graphs_refusal_names_the_application_permission(cloud: Cloud) -> None:
    refusal = azure_error(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
    cloud.play(f"{ON_GRAPH}/v1.0/applications", refusal)
    with pytest.raises(
        Rejected, match=r"Grant the application permission Application.ReadWrite.OwnedBy of Microsoft Graph"
    ):
        connected(cloud).create_app("", {"displayName": "shop"})


def test_somebody_wrote_first(cloud: Cloud) -> None:
    cloud.play(f"{ON_GRAPH}/v1.0/applications/a", azure_error(412, "PreconditionFailed", "Changed."))
    with pytest.raises(Conflict, match="412 PreconditionFailed"):
        connected(cloud).patch_app("", "a", {"notes": "n"})


@pytest.mark.parametrize("answer", [reply(200, []), reply(200, {"value": "text"}), reply(200, {"value": [{"id": 1}]})])
def test_an_answer_of_another_shape_is_an_error(cloud: Cloud, answer: Response) -> None:
    cloud.play(CLUSTERS, answer)
    with pytest.raises(CallFailed, match="an answer that does not match the API"):
        connected(cloud).list_clusters(SUBSCRIPTION)


# Roles


@pytest.mark.parametrize(
    ("actions", "excluded", "action", "allowed"),
    [
        (("*",), (), "Microsoft.Authorization/roleAssignments/write", True),
        (("*",), ("Microsoft.Authorization/*/write",), "microsoft.authorization/roleassignments/WRITE", False),
        (("*/read",), (), "Microsoft.ContainerService/managedClusters/read", True),
        (("*/read",), (), "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action", False),
        (
            ("Microsoft.ContainerService/managedClusters/*",),
            (),
            "Microsoft.ContainerService/managedClusters/read",
            True,
        ),
        (("Microsoft.ContainerService/[m]anaged*",), (), "Microsoft.ContainerService/managedClusters/read", False),
        ((), (), "Microsoft.ContainerService/managedClusters/read", False),
    ],
)
def test_what_a_role_allows(actions: tuple[str, ...], excluded: tuple[str, ...], action: str, allowed: bool) -> None:
    assert Permission(actions, excluded).allows(action) is allowed
    assert Permission((), (), actions, excluded).allows_data(action) is allowed


def test_a_request_goes_by_the_proxy(cloud: Cloud) -> None:
    connected(cloud).list_clusters(SUBSCRIPTION)
    assert set(cloud.tunnel.asked) == {f"{LOGIN}:443", f"{ARM}:443"}
