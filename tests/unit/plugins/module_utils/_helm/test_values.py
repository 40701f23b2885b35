# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.castai.onboarding.plugins.module_utils._helm.values import (
    MASK,
    differing,
    secret,
    secrets,
    shown,
)

LEAVES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8)
NAMES = st.sampled_from(["a", "b", "a.b", "apiKey", "0"])
VALUES = st.dictionaries(NAMES, LEAVES | st.lists(LEAVES, max_size=2) | st.dictionaries(NAMES, LEAVES, max_size=2))


@pytest.mark.parametrize(
    ("before", "after", "paths"),
    [
        ({}, {}, ()),
        ({"a": 1}, {"a": 1.0}, ()),
        ({"a": 1}, {"a": True}, ("a",)),
        ({"a": "1"}, {"a": 1}, ("a",)),
        ({"a": 2**53 + 1}, {"a": 2**53}, ()),
        ({"a": 2**53 + 2}, {"a": 2**53}, ("a",)),
        ({"a": 10**400}, {"a": 1}, ("a",)),
        ({"a": None}, {}, ("a",)),
        ({"a": {}}, {}, ("a",)),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, ("a.c",)),
        ({"a": {"b": 1}}, {"a": 1}, ("a", "a.b")),
        ({"a": [1, 2]}, {"a": [1, 3]}, ("a.1",)),
        ({"a": [1]}, {"a": []}, ("a", "a.0")),
        ({"a.b": 1}, {"a": {"b": 1}}, ("a.b", "a\\.b")),
    ],
)
def test_differing(before: dict[str, Any], after: dict[str, Any], paths: tuple[str, ...]) -> None:
    assert differing(before=before, after=after) == differing(before=after, after=before) == paths


@given(VALUES)
def test_equal_values_do_not_differ(values: dict[str, Any]) -> None:
    assert differing(values, values) == ()


@given(VALUES, VALUES)
def test_what_differs_is_shown_on_one_of_the_sides(before: dict[str, Any], after: dict[str, Any]) -> None:
    paths = differing(before, after)
    assert set(paths) == set(shown(before, paths)) | set(shown(after, paths))


@pytest.mark.parametrize(
    "path",
    [
        "apiKey",
        "castai.apiKey",
        "API_KEY",
        "castai.token",
        "db.passwd",
        "client-secret",
        "additionalSecretEnv.ANY",
        "tokens.0",
        "tokens.a",
        "apiKeys.3",
        "api-keys.prod",
        "passwords.0.1",
        "pass",
        "DB_PASS",
        "dbPwd",
        "\\.dockerconfigjson",
        "registry.\\.dockercfg",
        "dockerConfig.auths.registry\\.example\\.com.auth",
        "headers.Authorization",
        "db.connectionString",
    ],
)
def test_paths_that_look_secret(path: str) -> None:
    assert secret(path)


@pytest.mark.parametrize(
    "path",
    [
        "apiKeySecretRef",
        "castai.apiKeySecretRef",
        "clusterIdSecretKeyRef.key",
        "provider",
        "secretName",
        "keys",
        "imagePullSecrets.0.name",
        "imagePullSecrets.0",
        "tolerations.0.key",
        "affinity.nodeAffinity.matchExpressions.1.key",
        "topologySpreadConstraints.0.topologyKey",
        "compass",
        "env.0.value",
        "0",
    ],
)
def test_paths_that_do_not(path: str) -> None:
    assert not secret(path)


def test_secret_leaves_are_masked_and_known() -> None:
    values = {
        "apiKey": "CANARY-1",
        "automountServiceAccountToken": False,
        "additionalSecretEnv": {"X": "CANARY-2", "SHORT": "abc"},
        "provider": "eks",
    }
    paths = differing({}, values)
    assert shown(values, paths) == {
        "additionalSecretEnv.SHORT": MASK,
        "additionalSecretEnv.X": MASK,
        "apiKey": MASK,
        "automountServiceAccountToken": False,
        "provider": "eks",
    }
    assert sorted(secrets(values)) == ["CANARY-1", "CANARY-2"]


@pytest.mark.parametrize(
    ("name", "hides"),
    [
        ("API_TOKEN", True),
        ("DB_PASS", True),
        ("registry.password", True),
        ("STATIC_CLUSTER_ID", False),
        ("TOKEN_SECRET_NAME", False),
        ("", False),
        (None, False),
        (["apiKey"], False),
    ],
)
@pytest.mark.parametrize("value", ["CANARY-1", ["CANARY-1"], {"a": "CANARY-1"}])
def test_a_value_beside_a_name_is_secret_by_that_name(name: Any, hides: bool, value: Any) -> None:
    values = {"agents": [{"env": [{"name": "PLAIN", "value": "seen"}, {"name": name, "value": value}]}]}
    told = shown(values, differing({}, values))
    assert told["agents.0.env.0.value"] == "seen"
    assert ("CANARY" not in str(told)) == hides
    assert secrets(values) == (("CANARY-1",) if hides else ())


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("http://me:CANARY-1@proxy:3128", f"http://{MASK}@proxy:3128"),
        ("see http://me:CANARY@1@proxy:3128, too", f"see http://{MASK}@proxy:3128, too"),
        ("http://me:CANARY/1@proxy:3128", f"http://{MASK}@proxy:3128"),
        ("socks5://:CANARY-1@[::1]:1080", f"socks5://{MASK}@[::1]:1080"),
        ("https://CANARY-1@git.example.com/x", f"https://{MASK}@git.example.com/x"),
        ("me:CANARY-1@proxy:3128", f"{MASK}@proxy:3128"),
        ("http://a:CANARY-1@p http://b:CANARY-2@q", f"http://{MASK}@p http://{MASK}@q"),
        ("http://proxy:3128/a@b", "http://proxy:3128/a@b"),
        ("ssh://git@github.com/x", "ssh://git@github.com/x"),
        ("mail@example.com", "mail@example.com"),
        ("image@sha256:0123", "image@sha256:0123"),
        ("registry:5000/image@sha256:0123", "registry:5000/image@sha256:0123"),
    ],
)
def test_an_address_is_shown_without_its_password(text: str, masked: str) -> None:
    values = {"proxy": {"https": text}}
    assert shown(values, ("proxy.https",)) == {"proxy.https": masked}
    assert any("CANARY" in one for one in secrets(values)) == ("CANARY" in text)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("--api-token=CANARY-1", f"--api-token={MASK}"),
        ("--password CANARY-1 --verbose", f"--password {MASK} --verbose"),
        ('{"clientSecret": "CANARY-1", "a": 1}', f'{{"clientSecret": "{MASK}", "a": 1}}'),
        ("a: b\napiKey: CANARY-1\nc: d\n", f"a: b\napiKey: {MASK}\nc: d\n"),
        ("Authorization: Bearer CANARY-1", f"Authorization: Bearer {MASK}"),
        ("-----BEGIN RSA PRIVATE KEY-----\nCANARY-1\n", MASK),
        ("https://me:CANARY-1@h --token=CANARY-2", f"https://{MASK}@h --token={MASK}"),
        ("--token-file=/var/run/token --password $(PASSWORD)", "--token-file=/var/run/token --password $(PASSWORD)"),
        ('["--token", "CANARY-1", "-v"]', f'["--token", "{MASK}", "-v"]'),
        ("- --password\n- CANARY-1\n", f"- --password\n- {MASK}\n"),
        (
            "post to https://hooks.slack.com/services/T0/B0/CANARYcanary1234",
            f"post to https://hooks.slack.com/services/T0/B0/{MASK}",
        ),
        ("https://discord.com/api/webhooks/123456789012345678/CANARY-1", f"https://discord.com/api/webhooks/{MASK}"),
        (
            "https://a.webhook.office.com/webhookb2/CANARY00-1111-2222@b/X/c",
            f"https://a.webhook.office.com/webhookb2/{MASK}",
        ),
        ("https://chat.example.com/hooks/canary1234567890abcdefghij?CANARY", f"https://chat.example.com/hooks/{MASK}"),
        ('["--token-file", "/var/run/token"]', '["--token-file", "/var/run/token"]'),
        (
            "https://castai-webhook.castai-agent.svc:443/mutate-all-pods",
            "https://castai-webhook.castai-agent.svc:443/mutate-all-pods",
        ),
        ("tokenSecretName: castai-credentials", "tokenSecretName: castai-credentials"),
        ("--token-ttl=1h --secret-ref other-creds", "--token-ttl=1h --secret-ref other-creds"),
        ("-----BEGIN CERTIFICATE-----\nMIIB\n", "-----BEGIN CERTIFICATE-----\nMIIB\n"),
    ],
)
def test_a_secret_inside_a_text_is_neither_shown_nor_unknown(text: str, masked: str) -> None:
    values = {"agents": [{"plain": ["seen", text]}]}
    assert shown(values, ("agents.0.plain.0", "agents.0.plain.1")) == {
        "agents.0.plain.0": "seen",
        "agents.0.plain.1": masked,
    }
    hidden = secrets(values)
    assert bool(hidden) is ("CANARY" in text)
    for part in hidden:
        text = text.replace(part, MASK)
    assert "CANARY" not in text


def test_a_value_beside_a_key_is_secret_by_that_key() -> None:
    values = {
        "env": [{"key": "API_TOKEN", "value": "CANARY-1"}, {"key": "MODE", "value": "seen-1"}],
        "tolerations": [{"key": "secret", "value": "seen-2"}],
    }
    told = shown(values, differing({}, values))
    assert "CANARY" not in str(told)
    assert (told["env.1.value"], told["tolerations.0.value"]) == ("seen-1", "seen-2")
    assert "CANARY-1" in secrets(values)


@pytest.mark.parametrize(
    ("arguments", "at"),
    [
        (["--token", "CANARY 1"], 1),
        (["-token", "CANARY, 1"], 1),
        (["serve", "--db.password", "CANARY/1", "--verbose"], 2),
        (["sh", "--clientSecret", "/CANARY", "--token"], 2),
    ],
)
def test_an_argument_after_a_secret_flag_is_secret(arguments: list[str], at: int) -> None:
    values = {"sidecars": [{"command": arguments}]}
    told = list(shown(values, differing({}, values)).values())
    assert told == [*arguments[:at], MASK, *arguments[at + 1 :]]
    assert secrets(values) == (arguments[at],)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--token-file", "/var/run/token"],
        ["--password-secret-name", "seen-1"],
        ["--token", "--verbose"],
        ["token", "seen-1"],
        ["--log-level", "seen-1"],
        ["-v", 1, None],
    ],
)
def test_other_arguments_are_shown(arguments: list[Any]) -> None:
    values = {"args": arguments}
    assert list(shown(values, differing({}, values)).values()) == arguments
    assert secrets(values) == ()


def test_no_depth_is_too_much() -> None:
    inside: Any = {"apiKey": "CANARY"}
    for _level in range(300):
        inside = {"a": [{"name": "x", "value": "y"}, inside]}
    assert secrets(inside) == ("CANARY",)
