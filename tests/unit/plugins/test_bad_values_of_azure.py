# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people paste, misspell and copy from the portal into the options of castai_aks_app and of its credentials.

Each is refused before any call, in a sentence that names the option, and never shows a secret.
"""

from __future__ import annotations

import base64
import datetime
import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_task
from ansible_collections.castai.onboarding.plugins.module_utils._variables import named

from .test_bad_values import BASES, CLUSTER, module, said

AKS = BASES["castai_aks_app"]
ID = "0b1f6471-1bf0-4dda-aec3-cb9272f09590"
ARABIC = "\u0660" * 8 + ID[8:]
"""The same with digits that are not ASCII."""
GROUP = f"/subscriptions/{ID}/resourceGroups/shop"
IDENTITIES = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
IDENTITY = f"{IDENTITIES}/castai"
PORTAL = f"https://portal.azure.com/#@acme.com/resource{GROUP}"
NONE = "00000000-0000-0000-0000-00000000000"
"""One digit short."""
KEY = rsa.generate_private_key(65537, 2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
SECRET = f"abc8Q~{'Zz9_-.~x' * 4}ab"
OLD_SECRET = "p]6:Tk@4/vWqEr+UyJ3?mNbVcXz0-LoK"
"""A secret in the form used before 2021, which only its place identifies."""


def jwt(**claims: Any) -> str:
    parts = (base64.urlsafe_b64encode(json.dumps(one).encode()).decode() for one in ({"alg": "RS256"}, claims))
    return f"{'.'.join(part.rstrip('=') for part in parts)}.c2lnbmF0dXJlCANARY"


TOKEN = jwt(aud="api://AzureADTokenExchange")
PASTED = (SECRET, TOKEN, PEM, base64.b64encode(PEM.encode()).decode())
PATHS = ("/nowhere.pem", "/", "a\0b", "~nobody-of-this-name/x.pem", ["x"], "/dev/null", "x" * 5000, "$HOME/x", *PASTED)

WRONG: Mapping[str, tuple[Any, ...]] = {
    "cluster_name": (
        *("shop ", " shop", "shop\n", "-shop", "shop-", "_shop", "s" * 64, "sch\u00f6p", "shop.prod", "shop/x", ".."),
        *(f"{GROUP}/providers/Microsoft.ContainerService/managedClusters/shop", PORTAL, ["shop"], {"a": 1}, "shop%2Fx"),
        *("\uff53\uff48\uff4f\uff50", "shop\u200b", "shop?x", *PASTED),
    ),
    "subscription_id": (
        *("My subscription", ID[:-1], f"{ID}0", f"/subscriptions/{ID}", f"{{{ID}}}", ID.replace("-", ""), f"{ID}/"),
        *(ARABIC, ["x"], True, 7, GROUP, f"urn:uuid:{ID}", f"{ID},{ID}", "acme.com", *PASTED),
    ),
    **dict.fromkeys(
        ("resource_group", "node_resource_group"),
        (
            *("a/b", GROUP, "shop.", "x" * 91, "shop prod", "sh*p", "..", ".", "shop%2e", "shop?x", "shop\u200b"),
            *(["x"], {"a": 1}, PORTAL, "a\u0308", *PASTED),
        ),
    ),
    "cluster_id": ("shop", f"{{{CLUSTER}}}", CLUSTER.replace("-", ""), 7, f"urn:{CLUSTER}", *PASTED),
    "client_id": (
        *("shop", f"{{{ID}}}", ID[:-1], "api://castai", "https://acme.onmicrosoft.com/app", ["x"], True, 7, IDENTITY),
        *("m\u00f6in", "a/../b", "x" * 5000, OLD_SECRET, *PASTED),
    ),
    "tenant": (
        *("acme", "acme.onmicrosoft.com/", "https://login.microsoftonline.com/acme.com", f"{{{ID}}}", "acme com"),
        *("../x", "common", "organizations", "consumers", ID[:-1], ["x"], True, 7, "ex\u00e4mple.com", "-", "x" * 5000),
        *(f"https://sts.windows.net/{ID}/", "Default Directory", "acme_x.com", "a..b", "acme.com?x", *PASTED),
    ),
    "secret": ("a\nb", "\x00", "a\tb", PEM),
    "x509_certificate_path": PATHS,
    "oidc_token_file_path": PATHS,
    "oidc_token": ("a b", "t\u00f6", "a\nb.c.d", {"a": 1}, ["x"], "x", f"Bearer {TOKEN}", "eyJ.x", "\x00", "a.b.c.d.e"),
    "azure_ca_cert": ("/nowhere.pem", "/", ["x"], "\u00e9", "~nobody-of-this-name/x", "a\0b", "x" * 5000, *PASTED),
    "auth_source": ("MSI", "credential_file", ["x"], SECRET),
    "cloud_environment": ("Azure", "AzurePublicCloud", "https://management.azure.com", "AzureStack", ["x"], *PASTED),
    "existing_app_id": (
        *("shop", ID[:-1], f"{{{ID}}}", f"{ID}\n", f" {ID}", f"api://{ID}", PORTAL, ["x"], True, 7, IDENTITY, NONE),
        *(OLD_SECRET, *PASTED),
    ),
    "existing_app_secret": ("a\nb", "\x00"),
    "existing_identity_id": (
        *(
            "castai",
            ID,
            GROUP,
            f"{IDENTITY}/x",
            IDENTITY[1:],
            f"{IDENTITY}\n",
            f"https://management.azure.com{IDENTITY}",
        ),
        *(IDENTITY.replace("userAssignedIdentities", "virtualMachines"), f"{IDENTITY}/federatedIdentityCredentials/x"),
        *(f"{IDENTITY}?api-version=1", IDENTITY.replace(ID, "x"), IDENTITY.replace("/shop/", "/a b/"), ["x"], True, 7),
        *(IDENTITY.replace("/shop/", "/./"), *(f"{IDENTITIES}/{one}" for one in ("a b", "..", "\u00e4bc", "x" * 129))),
        *(f"/{IDENTITY}", f"{IDENTITY}\u200b", IDENTITY.replace("/providers", "//providers"), *PASTED),
    ),
    "additional_resource_groups": (
        *(
            ["a/b"],
            [f"{GROUP}/x"],
            [""],
            [None],
            [["x"]],
            {"a": 1},
            ["shop\n"],
            ["x."],
            ["x" * 91],
            ["*"],
            ["/"],
            [".."],
        ),
        *([GROUP.replace(ID, "x")], [GROUP.replace("shop", "a b")], [f"/subscriptions/{ID}"], [f"{GROUP}?x"], "a/b,c"),
        *([IDENTITY], [GROUP.replace("shop", "..")], ["images", PORTAL], *([one] for one in PASTED)),
    ),
    "owners": (
        *(["me"], [""], [None], {"a": 1}, [ID[:-1]], [f"{ID}\n"], "me@acme.com", [7], [ARABIC]),
        *([[ID]], [ID] * 20, *([one] for one in PASTED)),
    ),
    "role_actions": (
        *([], ["read"], ["*"], [""], [None], {"a": 1}, ["Microsoft.Compute/*/read "], ["Contributor"], ["/read"], [7]),
        *(
            ["Microsoft.Compute"],
            ["Microsoft.Compute//read"],
            ["Microsoft.Compute/read\n"],
            ["Microsoft.Compute/r\u00e9"],
        ),
        *([["x"]], ["Microsoft.Compute/disks/read;Microsoft.Compute/disks/write"], *([one] for one in PASTED)),
    ),
    "secret_days": (0, -1, "x", 1.5, ["x"], 36_501, 10**12, "365 days"),
    "identity_location": ("we\u00dfteurope", ["x"], 7, "../x", "eu-central-1", "x" * 51, "westeurope/x", *PASTED),
    "http_proxy": (
        *(
            "yes",
            7,
            True,
            ["x"],
            {},
            {"https_proxy": "x"},
            {"http": "//"},
            {"http": 7},
            {"http": ["x"]},
            "http://x:3128",
        ),
        *({"no_proxy": "a"}, {"http": "ftp://x"}, {"http": "http://x:99999"}, {"http": "http://a b"}, "From_cluster"),
        *({"http": "http://x", "no_proxy": 7}, {"http": "http://x", "no_proxy": [{"a": 1}]}, {"https": "http://x\n"}),
        *({"http": "http://u:pa55word@"}, {"http": "http://prox\u00fc"}),
    ),
    "identity": ("App", "managed", "system", ["app"], SECRET),
    "credential": ("Secret", "certificate", ["secret"], "none", SECRET),
    **dict.fromkeys(("adopt", "admin", "force", "hand_over", "prepare"), ("maybe", 2, ["x"], {"a": 1}, SECRET)),
    **dict.fromkeys(("managed_clusters_write", "register_providers"), ("maybe", 2, ["x"])),
    "state": ("removed", "Absent"),
    "provider": ("eks", "AKS", "azure"),
    "castai_api_key": ("a b", "k\u00e9y", "a\nb"),
    "castai_api_url": ("ftp://api.cast.ai", "api.cast.ai", f"https://api.cast.ai/{TOKEN}"),
    "castai_ca_cert": ("/nowhere.pem", "/", PEM),
}
KINDS = ("secret", "x509_certificate_path", "oidc_token", "oidc_token_file_path")
FOR_SECRETS = ("secret", "existing_app_secret", "oidc_token", "castai_api_key")
NEEDED: Mapping[str, Mapping[str, Any]] = {
    "existing_app_id": {"existing_app_secret": "s" * 40},
    "existing_app_secret": {"existing_app_id": ID},
    "existing_identity_id": {"identity": "managed_identity"},
    "auth_source": {"secret": None},
}
"""Options that have no effect without, or together with, another one."""


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("AZURE_", "ANSIBLE_AZURE_", "IDENTITY_", "MSI_", "REQUESTS_CA", "CURL_CA")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("requests.Session.request", called)


def called(*_arguments: Any, **_keywords: Any) -> Any:
    raise AssertionError("something was called")


def base(option: str) -> dict[str, Any]:
    """Valid options, with only this one of those that prove the caller's identity."""
    own = {**AKS, **NEEDED.get(option, {})}
    return {key: one for key, one in own.items() if one is not None and not (key in KINDS and option in KINDS)}


def check(option: str, found: str) -> None:
    assert named(option, "aks_onboard") in found or option in found, (option, found)
    assert len(found) < 700, found
    for line in (*PEM.splitlines()[1:-1], SECRET, OLD_SECRET, TOKEN.partition(".")[2]):
        assert line[:40] not in found


def told(option: str, value: Any) -> str:
    """Everything that a user sees of a task with the value."""
    task = SimpleNamespace(check_mode=True, diff=True, action="castai.onboarding.castai_aks_app")
    return json.dumps(run_task(module("castai_aks_app"), task, {**base(option), option: value}, print), default=repr)


def test_every_option_is_there() -> None:
    assert set(WRONG) | {"castai_validate_certs"} == set(module("castai_aks_app").options["argument_spec"])
    assert sum(map(len, WRONG.values())) > 350


@pytest.mark.parametrize("option", WRONG)
def test_what_people_set_by_mistake_is_refused_by_its_name(option: str) -> None:
    for value in WRONG[option]:
        found = said("castai_aks_app", {**base(option), option: value})
        assert found, (option, value)
        # Ansible's own message about a wrong type or choice contains the value, and the whole result is masked.
        check(option, found if not any(one in str(value) for one in PASTED) else json.loads(told(option, value))["msg"])


@pytest.mark.parametrize("option", [one for one in WRONG if one not in FOR_SECRETS])
def test_a_secret_in_the_wrong_option_is_in_no_result(option: str) -> None:
    for secret in (*PASTED, *([OLD_SECRET] if option in ("client_id", "existing_app_id") else [])):
        value = [secret] if isinstance(WRONG[option][0], list) else secret
        result = told(option, value)
        assert '"failed": true' in result, option
        for part in (secret, json.dumps(secret)[1:-1], PEM.splitlines()[2]):
            assert part not in result, option


@pytest.mark.parametrize("name", ["castai_cluster", "castai_preflight", "castai_release", "castai_releases"])
@pytest.mark.parametrize("option", ["subscription_id", "resource_group", "node_resource_group"])
def test_other_modules_refuse_the_same_for_an_aks_cluster(name: str, option: str) -> None:
    own = {key: one for key, one in BASES[name].items() if key not in BASES["castai_aws_auth"]}
    azure = {key: one for key, one in AKS.items() if key not in ("cluster_id", "castai_api_key")}
    right = {**own, **azure}
    assert said(name, right) == ""
    for value in WRONG[option]:
        found = said(name, {**right, option: value})
        assert found, value
        check(option, found)


# Files and tokens


def signed(key: Any, start: int = 0) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "operator")])
    now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=start)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    dated = made.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    return dated.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


CURVE = ec.generate_private_key(ec.SECP256R1())
CERTIFICATE = signed(KEY)
FILES: Mapping[str, bytes] = {
    "no key": CERTIFICATE,
    "no certificate": PEM.encode(),
    "another kind of key": CURVE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + signed(CURVE),
    "empty": b"",
    "binary": b"\x00\xff" * 50,
    "half": (PEM.encode() + CERTIFICATE)[:900],
    "with a password": KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    + CERTIFICATE,
    "PKCS12 without a certificate": pkcs12.serialize_key_and_certificates(b"x", KEY, None, None, NoEncryption()),
    "what az prints": json.dumps({"appId": ID, "password": SECRET}).encode(),
    "UTF-16": (PEM.encode() + CERTIFICATE).decode().encode("utf-16"),
    "a request": b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
}


@pytest.mark.parametrize("variable", ["", "AZURE_CLIENT_CERTIFICATE_PATH"])
def test_a_file_that_is_no_certificate_with_its_key_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    file = tmp_path / "operator.pem"
    given = base("x509_certificate_path")
    if variable:
        monkeypatch.setenv(variable, str(file))
    else:
        given["x509_certificate_path"] = str(file)
    for content in FILES.values():
        file.write_bytes(content)
        found = said("castai_aks_app", given)
        assert found.startswith(variable or "castai_azure_x509_certificate_path"), found
        assert "cannot be used: " in found
        assert found.endswith("key, and AZURE_CLIENT_CERTIFICATE_PASSWORD to its password if it has one."), found
        check("x509_certificate_path", found)
    file.write_bytes(CERTIFICATE.replace(b"\n", b"\r\n") + PEM.encode())
    assert said("castai_aks_app", given) == ""


TOKENS: Mapping[str, str] = {
    "expired": jwt(exp=time.time() - 3600),
    "two": f"{TOKEN}\n{TOKEN}",
    "empty": "",
    "an answer": json.dumps({"access_token": TOKEN}),
    "binary": "\x00\xff",
    "encrypted": f"{TOKEN}.x.y",
}


def test_a_federated_token_that_is_none_or_has_expired_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    for kind, content in TOKENS.items():
        file.write_text(content, encoding="utf-8")
        found = said("castai_aks_app", {**base("oidc_token"), "oidc_token_file_path": str(file)})
        assert ("expired at 20" if kind == "expired" else "does not contain a JWT") in found
        check("oidc_token_file_path", found)
    for claims in ({}, {"exp": "x"}, {"exp": float("nan")}, {"exp": 1e300}, {"exp": [1]}, {"exp": True}, {"exp": -5}):
        file.write_text(f"{jwt(**claims)}\n", encoding="utf-8")
        assert said("castai_aks_app", {**base("oidc_token"), "oidc_token_file_path": str(file)}) == ""


# Together, and from the environment

TOGETHER: tuple[tuple[Mapping[str, Any], str], ...] = (
    *(({"auth_source": one}, "castai_azure_auth_source .* does not use castai_azure_secret") for one in ("msi", "cli")),
    ({"auth_source": "env"}, "castai_azure_auth_source .* does not use castai_azure_secret"),
    ({"x509_certificate_path": "/x"}, "castai_azure_secret .* and castai_azure_x509_certificate_path .* Set only one"),
    ({"tenant": None}, "castai_azure_tenant .* is not. Set it"),
    ({"client_id": None}, "castai_azure_client_id .* is not. Set it"),
    ({"client_id": None, "tenant": None}, r"castai_azure_client_id .* and castai_azure_tenant .* are not\. Set both\."),
    ({"secret": None}, "No credentials for Azure were found"),
    ({"subscription_id": None}, "castai_subscription_id .* is not set. Set it"),
    ({"existing_app_id": ID}, "aks_onboard_existing_app_id .* without aks_onboard_existing_app_secret"),
    ({"existing_app_secret": "s"}, "aks_onboard_existing_app_secret .* without aks_onboard_existing_app_id"),
    (
        {"existing_app_id": ID, "existing_app_secret": "s", "credential": "federated"},
        "aks_onboard_existing_app_secret .* cannot be set when aks_onboard_credential .* is federated",
    ),
    ({"existing_app_id": ID, "identity": "managed_identity"}, "aks_onboard_existing_app_id .* cannot be set when"),
    ({"existing_identity_id": IDENTITY}, "aks_onboard_identity .* is not managed_identity"),
)


@pytest.mark.parametrize(("changes", "sentence"), TOGETHER)
def test_options_that_contradict_each_other_are_both_named(changes: Mapping[str, Any], sentence: str) -> None:
    given = {key: one for key, one in {**AKS, **changes}.items() if one is not None}
    assert re.search(sentence, said("castai_aks_app", given))


VARIABLES: tuple[tuple[str, str, str, str], ...] = (
    ("AZURE_TENANT_ID", "My Org", "tenant", "castai_azure_tenant"),
    ("AZURE_CLIENT_ID", SECRET, "client_id", "castai_azure_client_id"),
    ("AZURE_SUBSCRIPTION_ID", "My subscription", "subscription_id", "castai_subscription_id"),
    ("AZURE_CLIENT_SECRET", "a\nb", "secret", "castai_azure_secret"),
    ("AZURE_FEDERATED_TOKEN_FILE", "/", "secret", "castai_azure_oidc_token_file_path"),
    ("ANSIBLE_AZURE_AUTH_SOURCE", "credential_file", "secret", ""),
    ("AZURE_AUTHORITY_HOST", "http://[x", "", "castai_azure_cloud_environment"),
    ("AZURE_AUTHORITY_HOST", "https://login.example.com", "", "castai_azure_cloud_environment"),
    ("REQUESTS_CA_BUNDLE", "/nowhere", "", "castai_azure_ca_cert"),
)


@pytest.mark.parametrize(("variable", "value", "option", "inventory"), VARIABLES)
def test_a_wrong_variable_of_the_environment_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, option: str, inventory: str
) -> None:
    given = {key: one for key, one in AKS.items() if key != option}
    monkeypatch.setenv(variable, value)
    found = said("castai_aks_app", given)
    assert found.startswith(variable), found
    assert inventory in found
    check(variable, found)


def test_options_beat_the_environment_also_for_where_credentials_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_AZURE_AUTH_SOURCE", "msi")
    monkeypatch.setenv("AZURE_TENANT_ID", "My Org")
    assert said("castai_aks_app", AKS) == ""


RIGHT: Mapping[str, tuple[Any, ...]] = {
    "cluster_name": ("Shop_1", "s", "s" * 63),
    "subscription_id": (ID.upper(), f"{ID}\n"),
    "resource_group": ("gr\u00f6\u00dfe", "My.Group_(1)-", "x" * 90, "SHOP"),
    "cluster_id": (CLUSTER.upper(),),
    "client_id": (ID.upper(), f" {ID}\n"),
    "tenant": (ID.upper(), "acme.onmicrosoft.com", "ACME.co.uk", f"{ID}\n"),
    "secret": (SECRET, f"{SECRET}\n", OLD_SECRET, "a b"),
    "oidc_token": (TOKEN, f"{TOKEN}\n"),
    "cloud_environment": ("azureusgovernment", "AzureCloud\n"),
    "existing_app_id": (ID.upper(),),
    "existing_identity_id": (IDENTITY, f"{IDENTITY}/", IDENTITY.upper(), IDENTITY.lower()),
    "additional_resource_groups": ("images", ["images", GROUP, f"{GROUP}/", GROUP.upper()], [], "a,b"),
    "owners": ([ID.upper()], ID, []),
    "role_actions": ("Microsoft.Compute/*/read", ["*/read"], ["Microsoft.Authorization/*"]),
    "secret_days": (1, "7", 36_500),
    "identity_location": ("westeurope", "West Europe", "uksouth"),
    "http_proxy": (
        *("none", "from_cluster", {"http": "proxy:3128"}, {"https": "http://u:p@proxy:3128", "no_proxy": ["a", "b"]}),
        {"http": "http://[fd00::1]:3128", "https": None, "no_proxy": "a,b"},
    ),
}


@pytest.mark.parametrize("option", RIGHT)
def test_what_is_right_is_taken(option: str) -> None:
    found = ((value, said("castai_aks_app", {**base(option), option: value})) for value in RIGHT[option])
    assert [one for one in found if one[1]] == []
