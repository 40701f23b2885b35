# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the check of a host's variables reports, with Ansible's own templating but without a playbook."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.support.checked import ABSENT, checked


def findings(**variables: Any) -> list[str]:
    result = checked(**variables)
    assert result.get("failed", False) == bool(result.get("findings"))
    return result.get("findings", [])


def test_values_are_of_the_types_that_the_roles_describe() -> None:
    given = checked(True, components_autoscaling="false", components_skip="[castai-kvisor]", castai_tags='{"a": "1"}')
    assert given["variables"]["components_autoscaling"] is False
    assert given["variables"]["components_skip"] == ["castai-kvisor"]
    assert given["variables"]["castai_tags"] == {"a": "1"}


def test_values_are_returned_only_where_nobody_sees_them() -> None:
    assert "variables" not in checked(castai_tags={"a": "1"})
    assert "castai_api_key" not in checked(True, castai_api_key="k" * 20)["variables"]


def test_what_roles_need_of_the_provider_is_of_the_roles_where_that_is_for_one() -> None:
    of_eks, of_kops = checked()["of_provider"], checked(castai_provider=None, __castai_provider="kops")["of_provider"]
    assert (of_eks["roles_between"], of_kops["roles_between"]) == ([], ["kube_router"])
    assert of_eks["component_values"]["castai-kvisor"] == {"controller": {"extraArgs": {"cloud-provider": "eks"}}}
    assert "castai-kvisor" not in of_kops["component_values"]
    assert of_eks["component_values"]["castai-spot-handler"] == of_kops["component_values"]["castai-spot-handler"]


@pytest.mark.parametrize(
    ("registered", "connected"),
    [
        ({"cluster_name": "shop", "cluster_id": "id of shop"}, {"cluster_id": "id of shop"}),
        ({"cluster_name": "shop", "cluster_id": ""}, {"cluster_id": ""}),
        ({"cluster_name": "another", "cluster_id": "id of another"}, {}),
        ("a text of the inventory's own", {}),
    ],
)
@pytest.mark.parametrize("named", [{"castai_cluster_name": " shop "}, {"inventory_hostname": "shop"}])
def test_what_an_earlier_play_reported_counts_for_its_cluster_only(
    named: dict[str, str], registered: Any, connected: dict[str, str]
) -> None:
    assert checked(castai_registered=registered, **named)["connected"] == connected


def test_a_template_that_fails_is_one_sentence_without_the_template() -> None:
    (said,) = findings(castai_region="{{ nowhere_to_be_found }}")
    assert said.startswith("castai_region cannot be read: ")
    assert "{{" not in said


def test_so_is_that_of_the_provider_which_a_role_repeats() -> None:
    (said,) = findings(castai_provider="{{ nowhere_to_be_found }}", __castai_provider="{{ castai_provider }}")
    assert said.startswith("castai_provider cannot be read: ")


def test_a_secret_that_another_variable_repeats_is_not_shown() -> None:
    secret = "kV9-pa55phrase-of-nobody"
    (said,) = findings(castai_api_key=secret, components_autoscaling=secret)
    assert secret not in said
    assert said.endswith("Set it to true or false.")


KEY_FILE = json.dumps({"type": "service_account", "private_key": f"-----BEGIN PRIVATE KEY-----\nMII{'x' * 60}\n"})
PASTED = (
    "abc8Q~Zz9_-.~xZz9_-.~xZz9_-.~xZz9_-.~xab",
    "ya29.a0AfH6SMBCANARYxyz0123456789",
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2lnbmF0dXJl",
    KEY_FILE,
    *(base64.b64encode(text.encode()).decode() for text in (KEY_FILE, json.dumps(json.loads(KEY_FILE), indent=2))),
)
"""An Entra application's secret, tokens, and a key file of Google's, as it is and in base64."""


@pytest.mark.parametrize("secret", PASTED)
def test_a_secret_in_the_wrong_variable_is_not_shown(secret: str) -> None:
    texts = ("castai_azure_auth_source", "castai_adopt", "castai_wait_timeout", "castai_provider")
    lists = ("gke_onboard_identity", "components_skip")
    said = findings(**dict.fromkeys(texts, secret), **{name: [secret] for name in lists})
    assert {one.partition(" ")[0] for one in said} == {*texts, *lists}
    for one in said:
        assert "Set it to" in one or "Use only" in one
        assert not any(secret[at : at + 20] in one for at in range(len(secret) - 19)), one


@pytest.mark.parametrize("name", ["castai_api_key", "castai_host_token", "castai_aws_secret_key"])
def test_of_a_secret_nothing_but_its_type_is_shown(name: str) -> None:
    assert findings(**{name: ["a", "b"]}) == [f"{name} is a list. Set it to text."]


@pytest.mark.parametrize("blank", ["", "  ", None])
def test_blank_is_not_given(blank: str | None) -> None:
    assert findings(castai_tags=blank, components_skip=blank, castai_wait_timeout=blank) == []


@pytest.mark.parametrize("provider", ["", None])
def test_the_provider_is_asked_for_where_no_role_sets_it(provider: str | None) -> None:
    assert findings(castai_provider=provider) == ["castai_provider is not set. Set it to one of: eks, kops, gke, aks."]
    assert findings(castai_provider=provider, __castai_provider="kops") == []


def test_the_provider_is_asked_for_where_nothing_mentions_it() -> None:
    assert findings(castai_provider=ABSENT) == ["castai_provider is not set. Set it to one of: eks, kops, gke, aks."]


@pytest.mark.parametrize(("of_host", "of_role"), [("kops", "eks"), ("eks", "kops")])
def test_a_role_for_another_provider_than_the_host_s_is_refused(of_host: str, of_role: str) -> None:
    (said,) = findings(castai_provider=of_host, __castai_provider=of_role)
    assert said.startswith(f"castai_provider is '{of_host}', but this role is for {of_role}.")


def test_all_that_is_wrong_is_told_at_once() -> None:
    result = checked(castai_wait_timeout="soon", castai_reigon="eu-central-1", castai_policy_scope="planet")
    assert len(result["findings"]) == 3
    assert result["msg"].startswith("(1) castai_reigon ")


def test_users_own_variables_may_be_of_any_kind() -> None:
    assert findings(castai_owner={"team": "core"}, components_dir="/srv", **{"1": 2}) == []


@pytest.mark.parametrize(
    ("name", "right", "provider"),
    [
        ("castai_zone", "castai_location", "gke"),
        ("castai_org_id", "castai_organization_id", "aks"),
        ("castai_token", "castai_api_key", "eks"),
    ],
)
def test_a_name_that_users_expect_is_theirs_only_beside_the_right_one(name: str, right: str, provider: str) -> None:
    wrong = [f"{name} is not a variable of castai.onboarding. Use {right}."]
    assert findings(castai_provider=provider, **{name: "x"}) == wrong
    assert findings(castai_provider=provider, **{name: "x", right: ""}) == wrong
    assert findings(castai_provider=provider, **{name: "x", right: "{{ " + name + " }}"}) == []


def test_such_a_name_is_the_users_where_the_right_one_is_of_no_use_or_in_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert findings(castai_provider="eks", castai_zone="europe-west3-a") == []
    monkeypatch.setenv("CASTAI_API_KEY", "k" * 20)
    assert findings(castai_token="x") == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("castai_cluster_api_url", url) for url in ("api.cast.ai", "http://api.cast.ai", "https://a..b")),
        *(("castai_cluster_api_url", url) for url in ("https://api.cast.ai/v1", "https://api.cast.ai:99999")),
        *(("castai_grpc_url", url) for url in ("https://grpc.cast.ai:443", "grpc.cast.ai", "grpc:0", "g c:1", ":443")),
        *(("components_grpc_url", url) for url in ("grpc.cast.ai:443/x", "grpc.c\u0430st.ai:443", "grpc.cast.ai:")),
        *(("components_kvisor_url", url) for url in ("kvisor", "kvisor:99999", "https://kvisor:443")),
        *(
            ("castai_proxy", {"https": url})
            for url in ("http://", "ftp://proxy:1", "http://proxy:x", "pr oxy", "a..b:1")
        ),
    ],
)
def test_an_address_for_charts_is_checked_as_nothing_else_would_notice_it(name: str, value: Any) -> None:
    (said,) = findings(**{name: value})
    assert said.startswith(name)
    assert said.endswith(".")
    assert "Set it to" in said or "Correct it" in said or "Remove /v1" in said


def test_right_addresses_for_charts_are_taken() -> None:
    proxy = {"http": "proxy.example.com:3128", "https": "http://10.0.0.1:3128", "no_proxy": ["10.0.0.0/8"]}
    addresses = {"castai_grpc_url": "grpc.psc.example.com:443", "components_kvisor_url": "[2001:db8::1]:443"}
    assert findings(castai_proxy=proxy, castai_cluster_api_url="https://api.psc.example.com", **addresses) == []
    assert (
        findings(castai_proxy={"https": "socks5://proxy:1080"}, castai_grpc_url="", castai_cluster_api_url=None) == []
    )
