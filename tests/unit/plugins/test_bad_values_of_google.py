# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people paste, misspell and copy from consoles into the options of castai_gke_sa and of its credentials.

Each is refused before any call, in a sentence that names the option, and never shows a key.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_task
from ansible_collections.castai.onboarding.plugins.module_utils._variables import named

from .test_bad_values import BASES, CLUSTER, module, said

GKE = BASES["castai_gke_sa"]
EMAIL = "castai@acme-prod.iam.gserviceaccount.com"
ZONE = "https://www.googleapis.com/compute/v1/projects/acme-prod/zones/europe-west3-a"
CONSOLE = "https://console.cloud.google.com/home?project=acme-prod"
PEM = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
KEY = {
    "type": "service_account",
    "project_id": "acme-prod",
    "private_key_id": "0f" * 20,
    "private_key": PEM,
    "client_email": EMAIL,
    "token_uri": "https://oauth2.googleapis.com/token",
}
TEXT = json.dumps(KEY)

WRONG: Mapping[str, tuple[Any, ...]] = {
    "cluster_name": (
        *("Shop", "shop ", " shop", "shop\n", "1shop", "-shop", "shop-", "s" * 41, "sch\u00f6p", "shop_1", "shop.prod"),
        *("gke_acme-prod_europe-west3_shop", "projects/acme-prod/locations/europe-west3/clusters/shop", CONSOLE),
        *("\uff53\uff48\uff4f\uff50", "shop\u200b", "shop%2Fx", "shop?x=1", "..", ["shop"], {"a": 1}, 12, True),
    ),
    "project": (
        *("Acme Prod", "ACME-PROD", "acme", "a" * 31, "projects/acme-prod", "acme-prod/", CONSOLE, "acme_prod", "123"),
        *("1" * 21, "\u0661" * 8, "example.com:", ":acme-prod", "example.com:Acme", "example:acme-prod", "acme-prod-"),
        *("EXAMPLE.com:acme-prod", "-acme-prod", "acme-prod\n", " acme-prod", ["acme-prod"], 0, True, "acme..prod"),
        *("example.com:acme-prod:x", "a.b/c:acme-prod", "acme-prod.example.com", "acme-prod:example.com", "*", "-"),
    ),
    "location": (
        *("Europe-West3", "europe-west3 ", "europe_west3", "frankfurt", "-", "eu", "global", "europe-west"),
        *("europe-west3-", "zones/europe-west3-a", ZONE, "europe-west3\n", ["europe-west3"], "eu-central-1", "eastus"),
        *("europe-west\u0663", "us-central1-a,us-central1-b", "us-central1-a-b", "europe-west3-A", "europe-west3/a"),
    ),
    "cluster_id": (
        "shop",
        f"{CLUSTER}\n",
        f" {CLUSTER}",
        f"{{{CLUSTER}}}",
        CLUSTER.replace("-", ""),
        7,
        f"urn:{CLUSTER}",
    ),
    "existing_service_account": (
        *("castai", "a@b", "me@example.com", f"user:{EMAIL}", f"serviceAccount:{EMAIL}", "1" * 21, f"{EMAIL} ", "-"),
        *(f"projects/acme-prod/serviceAccounts/{EMAIL}", f"{EMAIL}\n", f"c b{EMAIL}", f"\u00e4{EMAIL}", f"@{EMAIL}"),
        *(f"deleted:serviceAccount:{EMAIL}?uid=1", [EMAIL], True, "a@-.iam.gserviceaccount.com", f"{EMAIL}/../x"),
        *("a@acme-prod..iam.gserviceaccount.com", "a@gserviceaccount.com", "allUsers", f"{EMAIL}.example.com"),
    ),
    "extra_projects": (
        *(["Acme"], ["acme-prod"], [""], [None], [["acme-shared"]], {"a": 1}, "projects/acme-shared", ["123456789012"]),
        *(["acme-shared\n"], "a,b", [7], ["example:acme-shared"], [CONSOLE], ["acme-shared", "Acme"]),
    ),
    "role_id": (
        *("a", "castai-gke", "projects/acme-prod/roles/castai.x", "roles/owner", "x" * 65, "castai.x\n", "c\u00e4stai"),
        *(["a"], "role id", "castai.gkeAccess", "*"),
    ),
    "permissions": (
        *([], ["compute.*"], ["*"], ["compute.instances"], ["Compute.instances.get"], ["compute.instances.get "]),
        *(["compute.instances.get\n"], ["roles/owner"], [None], [["x"]], [{"a": 1}], {"a": 1}, "compute.instances.*"),
        *(["compute.googleapis.com/instances.get"], ["compute.instances.g\u00e9t"], ["compute.a.get;compute.b.get"]),
    ),
    "load_balancers": (["x"], ["Target_Backend_Pools"], {"a": 1}, [None], 7),
    "identity": ("Key", "role", ["key"], "impersonate", "workload_identity"),
    "role_scope": ("clusters", True, "Project"),
    "service_account_user": ("nodes", "NONE", False, ["none"], "node_accounts,on_accounts"),
    "shared_vpc_role": ("subnet", "SUBNETS", True, ["subnets"], "subnets,none"),
    **dict.fromkeys(("adopt", "enable_services", "force", "hand_over", "prepare"), ("maybe", 2, ["x"], {"a": 1})),
    "state": ("removed", "Absent"),
    "provider": ("eks", "GKE"),
    "endpoint": ("https://10.0.0.1", "DNS", "10.0.0.1"),
    "auth_kind": ("ServiceAccount", "serviceaccount", "key"),
    "google_ca_cert": ("/nowhere.pem", "/", ["x"], "\u00e9"),
    "impersonate_service_account": (
        *("x", ",", f"{EMAIL},", f"{EMAIL},,{EMAIL}", f"serviceAccount:{EMAIL}", "../../x", [EMAIL], f"\u00e4{EMAIL}"),
        *(f"{EMAIL}\n x", f"{EMAIL};{EMAIL}", "1" * 21),
    ),
    "quota_project": (
        "Acme Prod",
        "projects/acme-prod",
        "acme\nprod",
        "\u00e4cme-prod",
        ["x"],
        "acme\r\nX-Evil: 1",
        CONSOLE,
    ),
    "access_token": ("a b", "t\u00f6k", "Bearer ya29.x", "ya29\nx", {"a": 1}, "ya29.x\x00"),
    "service_account_email": ("castai", "../x", f"serviceAccount:{EMAIL}", [EMAIL], "a b", f"{EMAIL}/token", "Default"),
    "service_account_file": (
        *("/nowhere.json", "/", "a\0b", "~nobody-of-this-name/key.json", ["x"], "/dev/null", TEXT, PEM, f" {TEXT}"),
        *("$HOME/nowhere.json", "x" * 5000, "gs://bucket/key.json", base64.b64encode(TEXT.encode()).decode()),
    ),
    "service_account_contents": (
        *("{", f"\ufeff{TEXT}", {}, [], "[]", "null", 7, "/nowhere.json", json.dumps(TEXT), {"a": "b"}, PEM, "e30="),
        *({**KEY, "private_key": value} for value in (None, 7, "", PEM[:200], PEM[60:], ["x"])),
        *({**KEY, "type": value} for value in (None, 7, ["x"], "authorized_user", "Service_Account")),
        *({**KEY, "client_email": value} for value in (None, 7, ["x"])),
        *({**KEY, "token_uri": value} for value in (None, 7, ["x"])),
        base64.b64encode(TEXT.encode()).decode(),
    ),
    "castai_api_key": ("a b", "k\u00e9y", "a\nb"),
    "castai_api_url": ("ftp://api.cast.ai", "api.cast.ai", "http://api.cast.ai"),
    "castai_ca_cert": ("/nowhere.pem", "/"),
}
CASES = [(option, value) for option, values in WRONG.items() for value in values]
CREDENTIALS = ("service_account_file", "service_account_contents", "service_account_email", "auth_kind")


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GCP_PROJECT", "GOOGLE_CLOUD_PROJECT", "GCP_AUTH_KIND", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("requests.Session.request", called)


def called(*_arguments: Any, **_keywords: Any) -> Any:
    raise AssertionError("something was called")


def refusal(option: str, value: Any) -> str:
    """The message if the option is set instead of the credentials that it competes with."""
    base = {key: one for key, one in GKE.items() if key != "access_token" or option not in CREDENTIALS}
    return said("castai_gke_sa", {**base, option: value})


def check(option: str, found: str) -> None:
    assert named(option, "gke_onboard") in found or option in found, (option, found)
    assert len(found) < 700, found
    assert found.endswith((".", "]")) or "must be one" in found or "unable to convert" in found, found
    for line in PEM.splitlines()[1:-1]:
        assert line[:40] not in found


def test_every_option_is_there() -> None:
    assert set(WRONG) | {"castai_validate_certs"} == set(module("castai_gke_sa").options["argument_spec"])
    assert len(CASES) > 200


@pytest.mark.parametrize("option", WRONG)
def test_what_people_set_by_mistake_is_refused_by_its_name(option: str) -> None:
    for value in WRONG[option]:
        found = refusal(option, value)
        assert found, (option, value)
        check(option, found)


FILES: Mapping[str, bytes] = {
    "empty": b"",
    "utf-16": TEXT.encode("utf-16"),
    "p12": b"0\x82\x0a\x01\xff",
    "a list": b"[]",
    "a number": b"7",
    "of a user": json.dumps({"type": "authorized_user", "refresh_token": PEM}).encode(),
    "half": TEXT[:900].encode(),
    "deep": b"[" * 100_000,
    "a PEM file": PEM.encode(),
}


@pytest.mark.parametrize("option", ["service_account_file", "GOOGLE_APPLICATION_CREDENTIALS"])
@pytest.mark.parametrize("content", FILES)
def test_a_file_that_is_no_key_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, option: str
) -> None:
    file = tmp_path / "key.json"
    file.write_bytes(FILES[content])
    if option == "service_account_file":
        found = refusal(option, str(file))
    else:
        monkeypatch.setenv(option, str(file))
        found = refusal("auth_kind", "application")
    check(option, found)


IN_BASE64 = tuple(base64.b64encode(json.dumps(KEY, indent=indent).encode()).decode() for indent in (None, 2))
FOR_SECRETS = ("access_token", "castai_api_key", "service_account_contents")


@pytest.mark.parametrize("option", [one for one in WRONG if one not in FOR_SECRETS])
def test_a_key_in_the_wrong_option_is_in_no_result(option: str) -> None:
    arguments = {key: value for key, value in GKE.items() if key != "access_token" or option not in CREDENTIALS}
    task = SimpleNamespace(check_mode=True, diff=True, action="castai.onboarding.castai_gke_sa")
    for secret in (TEXT, PEM, *IN_BASE64, f"ya29.{'x1' * 20}"):
        value = [secret] if isinstance(WRONG[option][0], list) else secret
        result = json.dumps(run_task(module("castai_gke_sa"), task, {**arguments, option: value}, print), default=repr)
        assert '"failed": true' in result
        for part in (secret, json.dumps(secret)[1:-1], secret[:60], PEM.splitlines()[2]):
            assert part not in result, secret[:20]


def test_an_unreadable_project_in_the_environment_is_named_as_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    base = {key: value for key, value in GKE.items() if key != "project"}
    assert "castai_project (option project) is not set." in said("castai_gke_sa", base)
    monkeypatch.setenv("GCP_PROJECT", "My Project")
    assert said("castai_gke_sa", base).startswith(
        "GCP_PROJECT, which is used for castai_project (option project), is 'My Project'. Set it to the ID or number"
    )


def test_a_region_of_google_in_the_variable_for_aws_is_told_that_it_does_not_belong_there() -> None:
    own = {key: value for key, value in GKE.items() if key != "cluster_id"}
    found = said("castai_cluster", {**own, "region": "europe-west3"})
    assert found.startswith("castai_region (option region) is 'europe-west3'.")
    assert found.endswith("or leave it out if the cluster is not on AWS.")


RIGHT: Mapping[str, tuple[Any, ...]] = {
    "project": ("example.com:acme-prod", "google.com:acme-prod", "123456789012", "my-project-1"),
    "location": ("europe-west3", "europe-west3-a", "northamerica-northeast2-c", "us-central1-ai1a"),
    "cluster_id": (CLUSTER.upper(),),
    "existing_service_account": (
        EMAIL.upper(),
        "123456789012-compute@developer.gserviceaccount.com",
        "castai@acme-prod.example.com.iam.gserviceaccount.com",
        "acme-prod@appspot.gserviceaccount.com",
    ),
    "extra_projects": ("acme-shared", ["acme-shared", "acme-shared"], ["example.com:acme-shared"], []),
    "permissions": ("compute.instances.get", ["compute.instances.get"] * 2),
    "access_token": ("ya29.x\n",),
    "service_account_email": ("default", "default\n", EMAIL),
    "impersonate_service_account": (EMAIL, f"{EMAIL}, {EMAIL}"),
    "quota_project": ("acme-shared", "example.com:acme-shared", "123456789012"),
    "service_account_contents": (TEXT, KEY),
}


@pytest.mark.parametrize("option", RIGHT)
def test_what_is_right_is_taken(option: str) -> None:
    assert [(value, refusal(option, value)) for value in RIGHT[option] if refusal(option, value)] == []
