# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway against the local world's AWS, which checks every signature and permission."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import botocore
import botocore.endpoint
import botocore.tokens
import pytest
from botocore.credentials import AssumeRoleCredentialFetcher, RefreshableCredentials
from botocore.loaders import JSONFileLoader

from ansible_collections.castai.onboarding.plugins.module_utils._engine import CallFailed, Conflict, Refused, until
from ansible_collections.castai.onboarding.plugins.module_utils._gateways import aws_session as gateway
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws import Aws
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws_eks import EksCluster
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws_iam import Making
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws_session import region_of
from tests.sandbox.aws.server import ADMINISTRATOR, EXTERNAL_ID
from tests.sandbox.aws.server import Aws as Cloud
from tests.sandbox.gate import Gate
from tests.sandbox.proxy import Proxy
from tests.sandbox.wire import Cluster, Response
from tests.support.tunnel import Tunnel
from tests.support.tunnel import serve as serve_tunnel
from tests.unit.plugins.conftest import Wire
from tests.unit.sandbox.aws_client import allow, trust

HOME, OTHER, REGION = "111122223333", "444455556666", "eu-central-1"
ONBOARDING = f"arn:aws:iam::{OTHER}:role/onboarding"


@dataclass
class World:
    cloud: Cloud
    gate: Gate = field(default_factory=lambda: Gate(lambda client, server: None))

    def calls(self) -> list[tuple[str, str]]:
        return [(entry.call.operation, entry.call.who) for entry in self.gate.journal.since(0)]


def cluster(name: str, account: str, **other: Any) -> Cluster:
    fields = {
        "name": name,
        "provider": "eks",
        "account": account,
        "region": REGION,
        "mode": "API",
        "ip_family": "ipv4",
        "version": "1.36",
        "endpoint": f"https://{name}.example",
        "ca_pem": f"PEM of {name}\n",
        "admin_kubeconfig": Path("unused"),
        "created_by": f"arn:aws:iam::{account}:role/onboarding",
    }
    return Cluster(**{**fields, **other})


@pytest.fixture(scope="module")
def running() -> tuple[World, Proxy]:
    world = World(Cloud())
    world.cloud.add_cluster(cluster("prod", HOME))
    world.cloud.add_cluster(cluster("shop", OTHER, mode="CONFIG_MAP", ip_family="ipv6"))
    return world, Proxy(world.gate, [world.cloud])


@pytest.fixture
def world(running: tuple[World, Proxy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """AWS behind the proxy, with only the operator's credentials in the environment and nothing from this machine."""
    world, proxy = running
    world.gate.reset()
    bundle = tmp_path / "ca.pem"
    bundle.write_text(proxy.ca_pem, encoding="utf-8")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    environment = {
        **world.cloud.env(),
        "HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}",
        "AWS_CA_BUNDLE": str(bundle),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return world


def connect(**options: Any) -> Aws:
    return Aws({"region": REGION, **options})


def in_other_account(external_id: str = EXTERNAL_ID) -> dict[str, str]:
    return {"assume_role_arn": ONBOARDING, "assume_role_external_id": external_id}


# Clusters


def test_describe_cluster_tells_what_decisions_need(world: World) -> None:
    found = connect().describe_cluster("prod")
    assert found is not None
    assert found == EksCluster(
        name="prod",
        arn=f"arn:aws:eks:{REGION}:{HOME}:cluster/prod",
        endpoint="https://prod.example",
        ca_pem="PEM of prod\n",
        status="ACTIVE",
        version="1.36",
        authentication_mode="API",
        ip_family="ipv4",
        vpc_id=found.vpc_id,
    )
    assert (found.account_id, found.region) == (HOME, REGION)
    assert found.vpc_id.startswith("vpc-")


@pytest.mark.parametrize("enabled", [True, False])
def test_a_cluster_tells_whether_auto_mode_is_on(world: World, enabled: bool) -> None:
    world.cloud.set_cluster(HOME, REGION, "prod", compute_config={"enabled": enabled, "nodePools": ["general-purpose"]})
    found = connect().describe_cluster("prod")
    assert found is not None
    assert found.auto_mode is enabled


def test_a_cluster_that_is_not_there_is_none(world: World) -> None:
    assert connect().describe_cluster("nowhere") is None
    assert connect(region="us-east-1").describe_cluster("prod") is None
    assert connect().describe_cluster("shop") is None


# Credentials


def test_the_credentials_of_options_beat_those_of_the_environment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "CANARY-wrong")
    key, secret = world.cloud.add_user(HOME, "someone", ADMINISTRATOR)
    assert connect(access_key=key, secret_key=secret).caller_arn() == f"arn:aws:iam::{HOME}:user/someone"


def test_a_profile_beats_the_environment(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, secret = world.cloud.add_user(HOME, "profiled", ADMINISTRATOR)
    (tmp_path / "credentials").write_text(
        f"[work]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n", encoding="utf-8"
    )
    assert connect(profile="work").caller_arn() == f"arn:aws:iam::{HOME}:user/profiled"


def test_another_account_by_an_assumed_role(world: World) -> None:
    aws = connect(**in_other_account())
    shop = aws.describe_cluster("shop")
    assert shop is not None
    assert (shop.account_id, shop.ip_family, shop.authentication_mode) == (OTHER, "ipv6", "CONFIG_MAP")
    session = f"arn:aws:sts::{OTHER}:assumed-role/onboarding/castai-onboarding"
    assert aws.caller_arn() == session
    assert world.calls() == [
        ("sts:AssumeRole", f"arn:aws:iam::{HOME}:user/operator"),
        ("eks:DescribeCluster", session),
        ("sts:GetCallerIdentity", session),
    ]


def test_an_assumed_role_is_assumed_again_before_it_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    two_hours = 2 * 3600  # a session lasts one hour, so it counts as about to expire
    monkeypatch.setattr(RefreshableCredentials, "_advisory_refresh_timeout", two_hours)
    monkeypatch.setattr(AssumeRoleCredentialFetcher, "DEFAULT_EXPIRY_WINDOW_SECONDS", two_hours)
    connect(**in_other_account()).eks_token("shop")
    assert [operation for operation, _who in world.calls()] == ["sts:AssumeRole"] * 2


@pytest.mark.parametrize("option", ["access_key", "secret_key", "session_token"])
@pytest.mark.parametrize("where", ["option", "environment"])
def test_credentials_that_cannot_be_sent_are_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, option: str, where: str
) -> None:
    """Python's own error about a header with a line break contains the header."""
    given = {"access_key": "AKIA1", "secret_key": "s", option: "CANARY\nx"}
    if where == "environment":
        names = {"access_key": "ACCESS_KEY_ID", "secret_key": "SECRET_ACCESS_KEY", "session_token": "SESSION_TOKEN"}
        for name, value in given.items():
            monkeypatch.setenv(f"AWS_{names[name]}", value)
        given = {}
    with pytest.raises(Refused, match="contain a space, line break or special character") as refused:
        Aws({"region": "eu-central-1", **given})
    assert f"castai_aws_{option} (option {option})" in str(refused.value)
    assert "CANARY" not in str(refused.value)


def options_of(world: World, case: str) -> dict[str, str]:
    key, secret = world.cloud.env()["AWS_ACCESS_KEY_ID"], "CANARY-not-the-secret"
    return {
        "wrong secret": {"access_key": key, "secret_key": secret},
        "unknown key": {"access_key": "AKIAUNKNOWN", "secret_key": secret},
        "stale token": {"access_key": key, "secret_key": secret, "session_token": "CANARY-token"},
        "no profile": {"profile": "nobody"},
        "no such region": {"region": "eu-central-99"},
        "wrong external id": in_other_account("another"),
        "no external id": {"assume_role_arn": ONBOARDING},
        "no such role": {"assume_role_arn": f"arn:aws:iam::{OTHER}:role/nobody"},
        "no arn": {"assume_role_arn": "onboarding"},
        "bad region": {"region": "middle earth"},
    }[case]


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ("wrong secret", "castai_aws_secret_key (option secret_key) or this machine's clock is wrong. Check both."),
        (
            "unknown key",
            (
                "AWS does not recognize the access key. Check castai_aws_access_key (option access_key) or"
                " castai_aws_profile (option profile)."
            ),
        ),
        (
            "stale token",
            (
                "AWS does not recognize the access key. Check castai_aws_access_key (option access_key) or"
                " castai_aws_profile (option profile)."
            ),
        ),
        (
            "no profile",
            (
                "Could not use the AWS credentials: The config profile (nobody) could not be found. Check"
                " castai_aws_profile (option profile) or, if it is not set, the environment variable AWS_PROFILE."
            ),
        ),
        ("no such region", "Credential should be scoped to a valid region"),
        ("no such region", ". Check castai_region (option region)."),
        ("wrong external id", f"Could not assume role {ONBOARDING}: AccessDenied"),
        ("no external id", f"Could not assume role {ONBOARDING}: AccessDenied"),
        ("no such role", "Could not assume role"),
        ("no arn", "Could not assume role onboarding: "),
        ("bad region", "middle earth"),
    ],
)
def test_whatever_is_wrong_with_the_credentials_is_one_sentence(world: World, case: str, sentence: str) -> None:
    with pytest.raises(CallFailed) as caught:
        connect(**options_of(world, case)).describe_cluster("prod")
    assert sentence in str(caught.value)
    assert str(caught.value).endswith(".")
    assert "CANARY" not in str(caught.value)


def test_a_missing_permission_is_told_in_the_words_of_aws(world: World) -> None:
    key, secret = world.cloud.add_user(HOME, "powerless", None)
    with pytest.raises(CallFailed) as caught:
        connect(access_key=key, secret_key=secret).describe_cluster("prod")
    assert str(caught.value).startswith(
        "Could not read EKS cluster prod (eks:DescribeCluster): AccessDeniedException: User:"
        f" arn:aws:iam::{HOME}:user/powerless is not authorized to perform: eks:DescribeCluster on resource:"
    )


@pytest.mark.parametrize(
    ("status", "code"), [(400, "Throttling"), (400, "ThrottlingException"), (503, "RequestLimitExceeded")]
)
def test_throttled_calls_are_repeated_and_then_told(
    world: World, monkeypatch: pytest.MonkeyPatch, status: int, code: str
) -> None:
    monkeypatch.setattr(botocore.endpoint.time, "sleep", lambda _seconds: None)
    fault = {"operation": "iam:GetRole", "fail": {"status": status, "code": code, "message": "Rate exceeded"}}
    world.gate.faults.load([{**fault, "times": 4}])
    aws = Aws({"region": REGION})
    assert aws.get_role("gone") is None
    world.gate.faults.load([{**fault, "times": 100}])
    with pytest.raises(CallFailed) as caught:
        aws.get_role("gone")
    assert str(caught.value) == (
        f"Could not read role gone (iam:GetRole): {code}: Rate exceeded. AWS limits how often this account may call."
        " Run fewer hosts at a time (ansible-playbook --forks), or run again later."
    )
    assert world.gate.faults.fired() == [8]


def test_no_credentials_at_all(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(Refused, match="No AWS credentials were found"):
        connect()


@pytest.mark.parametrize("region", [None, ""])
def test_no_region(world: World, region: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(Refused, match=r"castai_region \(option region\) is not set"):
        connect(region=region)


@pytest.mark.parametrize(
    ("options", "environment", "region"),
    [
        ({"region": "us-east-1", "profile": "work"}, {"AWS_DEFAULT_REGION": "eu-west-3"}, "us-east-1"),
        ({"profile": "work"}, {}, "eu-north-1"),
        ({}, {"AWS_PROFILE": "work"}, "eu-north-1"),
        ({}, {"AWS_PROFILE": ""}, "eu-south-1"),
        ({}, {"AWS_PROFILE": "work", "AWS_DEFAULT_REGION": "eu-west-3"}, "eu-west-3"),
        ({"profile": "work"}, {"AWS_DEFAULT_REGION": " "}, "eu-north-1"),
    ],
)
def test_the_region_of_the_option_the_environment_or_the_profile(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, str],
    environment: dict[str, str],
    region: str,
) -> None:
    (tmp_path / "config").write_text(
        "[default]\nregion = eu-south-1\n[profile work]\nregion = eu-north-1\n", encoding="utf-8"
    )
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert region_of(options) == region


BLANK = (
    "AWS_ACCESS_KEY_ID",
    "AWS_CA_BUNDLE",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_MAX_ATTEMPTS",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_RETRY_MODE",
    "AWS_ROLE_ARN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_STS_REGIONAL_ENDPOINTS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)


@pytest.mark.parametrize("blank", ["", " "])
def test_blank_variables_are_not_there(world: World, monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    key, secret = world.cloud.env()["AWS_ACCESS_KEY_ID"], world.cloud.env()["AWS_SECRET_ACCESS_KEY"]
    bundle = os.environ["AWS_CA_BUNDLE"]
    for name in BLANK:
        monkeypatch.setenv(name, blank)
    aws = connect(access_key=key, secret_key=secret, aws_ca_bundle=bundle)
    assert aws.caller_arn() == f"arn:aws:iam::{HOME}:user/operator"


def test_a_blank_bundle_does_not_turn_the_check_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", " ")
    with pytest.raises(CallFailed, match=r"certificate verify failed.*\. Set castai_aws_ca_bundle \(option aws_ca"):
        connect().caller_arn()


def test_the_bundle_counts_for_the_role_of_a_profile_too(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = os.environ["AWS_CA_BUNDLE"]
    monkeypatch.delenv("AWS_CA_BUNDLE")
    entry = f"role_arn = {ONBOARDING}\nexternal_id = {EXTERNAL_ID}\ncredential_source = Environment\n"
    (tmp_path / "config").write_text(f"[profile work]\n{entry}", encoding="utf-8")
    for given in ({"aws_ca_bundle": bundle}, {"aws_validate_certs": False}):
        assert ":assumed-role/" in connect(profile="work", **given).caller_arn()


def test_the_caller_s_account_explains_another_problem_and_never_fails(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connect().caller_account() == HOME
    monkeypatch.setenv("AWS_CA_BUNDLE", "")
    assert connect().caller_account() == ""


def test_certificates_are_not_checked_when_the_user_says_so_and_nothing_warns_of_it(
    world: World, recwarn: pytest.WarningsRecorder
) -> None:
    assert connect(aws_validate_certs=False).caller_arn().endswith(":user/operator")
    assert [str(warning.message) for warning in recwarn if "HTTPS" in str(warning.message)] == []


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_does_not_let_through_is_told(world: World, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setattr(botocore.endpoint.time, "sleep", lambda _seconds: None)
    with serve_tunnel(Tunnel(0, "me:CANARY")) as tunnel:
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"{scheme}://me:CANARY-wrong@localhost:{tunnel.port}")
        with pytest.raises(
            CallFailed, match=r"Set HTTPS_PROXY to an HTTP proxy that allows connections to AWS"
        ) as caught:
            Aws({"region": REGION}).caller_arn()
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
@pytest.mark.parametrize(
    ("proxy", "says"),
    [
        ("http://me:CAN/ARY@proxy:1", "is not the address of a proxy: set it to SCHEME://HOST:PORT. Write special"),
        ("http://me:CAN#ARY@proxy:1", "is not the address of a proxy"),
        ("http://me:CAN[ARY@proxy:1", "is not the address of a proxy"),
        ("http://me:C\u00c4NARY@proxy:1", "has a user name or password with characters outside ASCII, which boto3"),
        ("http://me:C%C3%84NARY@proxy:1", "has a user name or password with characters outside ASCII, which boto3"),
    ],
)
def test_a_proxy_that_boto3_cannot_use_is_refused_unseen(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, proxy: str, says: str
) -> None:
    monkeypatch.delenv("HTTPS_PROXY")
    monkeypatch.setenv(name, proxy)
    with pytest.raises(Refused, match=f"^The environment variable {name} {says}") as caught:
        Aws({"region": REGION})
    assert "CAN" not in str(caught.value)
    assert "NARY" not in str(caught.value)


def test_a_bundle_that_is_not_there(world: World) -> None:
    with pytest.raises(
        Refused, match=r"^castai_aws_ca_bundle \(option aws_ca_bundle\) is '/no/such/bundle\.pem', which"
    ):
        connect(aws_ca_bundle="/no/such/bundle.pem")


@pytest.mark.parametrize("assumed", [{}, in_other_account()])
@pytest.mark.parametrize("by_option", [True, False])
def test_an_endpoint_that_is_no_address(
    world: World, monkeypatch: pytest.MonkeyPatch, by_option: bool, assumed: dict[str, str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "" if by_option else "localhost:4566")
    given = {"endpoint_url": "localhost:4566"} if by_option else {}
    with pytest.raises(
        Refused,
        match=(
            r"^Invalid endpoint: localhost:4566. Set castai_aws_endpoint_url \(option endpoint_url\) to an address"
            " that starts"
        ),
    ):
        connect(**given, **assumed).describe_cluster("prod")


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_EKS"])
@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://vpce.example.com", "would send session tokens and new access keys in clear text"),
        ("https://user:CANARY-1@vpce.example.com", "contains a user name, token or password"),
        ("user:CANARY-2@vpce.example.com", "An endpoint address of AWS is wrong"),
    ],
)
def test_an_endpoint_that_would_give_credentials_away(
    world: World, monkeypatch: pytest.MonkeyPatch, variable: str, url: str, sentence: str
) -> None:
    monkeypatch.setenv(variable, url)
    calls = world.calls()
    with pytest.raises(Refused, match="AWS_ENDPOINT_URL and endpoint_url in AWS's configuration file") as refused:
        connect().describe_cluster("prod")
    assert sentence in str(refused.value)
    assert "CANARY" not in str(refused.value)
    assert world.calls() == calls


def printing(folder: Path, code: str) -> str:
    """A program for credential_process, with a secret argument."""
    (folder / "program.py").write_text(code, encoding="utf-8")
    return f"credential_process = {sys.executable} -S {folder / 'program.py'} --password CANARY-argument"


def logged_in(folder: Path, login: Any) -> str:
    """A profile whose login is in botocore's cache."""
    name = hashlib.sha1(b"corp").hexdigest()
    (folder / f"{name}.json").write_text(login if isinstance(login, str) else json.dumps(login), encoding="utf-8")
    return "sso_session = corp\nsso_account_id = 111122223333\nsso_role_name = Admin"


SOURCES: dict[str, tuple[Callable[[Path], str], str]] = {
    "not there": (
        lambda _folder: "credential_process = /no/such/program --key CANARY-argument",
        "from its credential_process /no/such/program: No such file or directory: /no/such/program",
    ),
    "prints text": (
        lambda folder: printing(folder, "print('CANARY-out')"),
        "its output is not the JSON that AWS's",
    ),
    "prints a list": (lambda folder: printing(folder, "print('[1]')"), "its output is not the JSON"),
    "prints nothing": (
        lambda folder: printing(folder, ""),
        f"from its credential_process {sys.executable}: its output",
    ),
    "prints an old version": (lambda folder: printing(folder, "print('{}')"), "Version"),
    "fails": (
        lambda folder: printing(folder, "import sys; sys.exit('\\x1b[31mlog in first, token=CANARY-token')"),
        "log in first, token=********.",
    ),
    "a wrong quote": (
        lambda _folder: "credential_process = 'prog",
        "from its credential_process 'prog: No closing quotation",
    ),
    "another profile's": (
        lambda folder: (
            f"source_profile = base\nrole_arn = arn:aws:iam::1:role/r\n[profile base]\n{printing(folder, '')}"
        ),
        "of profile work, from its credential_process",
    ),
    "MFA": (
        lambda _folder: (
            "role_arn = arn:aws:iam::1:role/r\nmfa_serial = arn:aws:iam::1:mfa/me\nsource_profile = default"
        ),
        "AWS profile work needs a code from an MFA device (mfa_serial), but this run cannot ask for one.",
    ),
    "a login that there never was": (
        lambda _folder: "sso_session = corp\nsso_account_id = 111122223333\nsso_role_name = Admin",
        "does not exist. Log in with aws sso login --profile work as the user that runs Ansible.",
    ),
    "a login that has ended": (
        lambda folder: logged_in(folder, {"accessToken": "CANARY", "expiresAt": "2020-01-01T00:00:00Z"}),
        "Token has expired and refresh failed. Log in with aws sso login --profile work",
    ),
    "a login that is not whole": (
        lambda folder: logged_in(folder, "{"),
        "of profile work: its login cannot be read. Log in with aws sso login --profile work",
    ),
    "MFA further down": (
        lambda _folder: (
            "role_arn = arn:aws:iam::1:role/r\nsource_profile = mid\n[profile mid]\n"
            "role_arn = arn:aws:iam::1:role/m\nmfa_serial = arn:aws:iam::1:mfa/me\nsource_profile = default"
        ),
        "AWS profile work needs a code from an MFA device",
    ),
    "no token file": (
        lambda folder: f"role_arn = arn:aws:iam::1:role/r\nweb_identity_token_file = {folder / 'none'}",
        "from the web identity token file ",
    ),
}


@pytest.mark.parametrize("by_option", [True, False])
@pytest.mark.parametrize("source", SOURCES)
def test_credentials_that_cannot_be_had_are_told_with_profile_and_program(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, by_option: bool
) -> None:
    entry, sentence = SOURCES[source]
    for provider in (botocore.credentials.SSOProvider, botocore.tokens.SSOTokenProvider):
        monkeypatch.setattr(provider, "_SSO_TOKEN_CACHE_DIR", str(tmp_path))
    session = "[sso-session corp]\nsso_region = eu-central-1\nsso_start_url = https://corp.awsapps.com/start\n"
    config = tmp_path / "config"
    config.write_text(
        f"{session}[default]\nregion = eu-central-1\n[profile work]\n{entry(tmp_path)}\n", encoding="utf-8"
    )
    (tmp_path / "keys").write_text("[default]\naws_access_key_id = A\naws_secret_access_key = CANARY-s\n", "utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "keys"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    if not by_option:
        monkeypatch.setenv("AWS_PROFILE", "work")
    with pytest.raises((CallFailed, Refused)) as caught:
        connect(**({"profile": "work"} if by_option else {}))
    said = str(caught.value)
    assert sentence in said
    assert "CANARY" not in said
    assert said.isprintable()


def test_a_metadata_service_that_does_not_answer_at_once_is_asked_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many tasks ask it at the same time."""
    role = {
        "Code": "Success",
        "AccessKeyId": "AKIAIOSFODNN7EXAMPLE",
        "SecretAccessKey": "secret",
        "Token": "token",
        "Expiration": "2100-01-01T00:00:00Z",
    }
    answers = [(500, b""), (200, b"onboarding"), (503, b""), (200, json.dumps(role).encode())]

    class Metadata(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self._answer(200, b"token")

        def do_GET(self) -> None:
            self._answer(*answers.pop(0))

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            pass

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_EC2_METADATA_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    with HTTPServer(("127.0.0.1", 0), Metadata) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{server.server_port}/")
        found = connect()._session.get_credentials()
        server.shutdown()
    assert found.access_key == "AKIAIOSFODNN7EXAMPLE"
    assert answers == []


def test_a_web_identity_token_file_that_is_not_there_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/no/such/token")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/r")
    with pytest.raises(
        CallFailed,
        match=r"from the web identity token file /no/such/token: No such file or directory: /no/such/token\.$",
    ):
        connect()


def test_a_profile_of_an_mfa_device_with_keys_of_its_own_asks_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[profile work]\nmfa_serial = arn:aws:iam::1:mfa/me\n", encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert connect().caller_arn().endswith(":user/operator")


@pytest.mark.parametrize("version", ["1.31.0", "1.34.2", "0.9"])
def test_a_botocore_that_does_not_know_access_entries(
    world: World, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr(botocore, "__version__", version)
    with pytest.raises(Refused, match=rf"botocore is {version} on this machine, .* Install boto3 1\.34\.3 or newer\.$"):
        connect()


# Simulations


def test_actions_that_iam_does_not_take_together_are_asked_one_by_one(world: World) -> None:
    refused = {"status": 400, "code": "InvalidInput"}
    once = {"operation": "iam:SimulatePrincipalPolicy", "times": 1, "fail": refused}
    operator, role = f"arn:aws:iam::{HOME}:user/operator", f"arn:aws:iam::{HOME}:role/r"
    aws, actions = connect(), ("iam:GetRole", "iam:TagRole")
    world.gate.faults.load([once])
    with pytest.raises(CallFailed, match="InvalidInput"):
        aws.simulate(operator, actions[:1], role, {})
    world.gate.faults.load([once])
    verdicts = aws.simulate(operator, actions, role, {})
    assert [(one.action, one.allowed) for one in verdicts] == [(action, True) for action in actions]


# Rivals that write at the same time

MAKING = Making("/", "", {})
OF_EC2: dict[str, Any] = json.loads(trust())
CREATES: dict[str, Callable[[Aws, Making], None]] = {
    "role": lambda aws, made: aws.create_role("shared", OF_EC2, "", made),
    "user": lambda aws, made: aws.create_user("shared", made),
    "policy": lambda aws, made: aws.create_policy("shared", allow("ec2:*"), "", made),
    "instance profile": lambda aws, made: aws.create_profile("shared", made),
}
READS: dict[str, Callable[[Aws], Any]] = {
    "role": lambda aws: aws.get_role("shared"),
    "user": lambda aws: aws.get_user("shared"),
    "policy": lambda aws: aws.get_policy(f"arn:aws:iam::{HOME}:policy/shared"),
    "instance profile": lambda aws: aws.get_profile("shared"),
}


@pytest.mark.parametrize("kind", CREATES)
def test_what_somebody_else_has_just_made_is_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(gateway, "until", functools.partial(until, sleep=lambda _seconds: None))
    world.cloud.set_visibility(uses=9)
    aws = connect()
    CREATES[kind](aws, MAKING)
    with pytest.raises(Conflict, match="EntityAlreadyExists"):
        CREATES[kind](aws, MAKING)
    assert READS[kind](aws)
    world.cloud.set_visibility()


def test_a_key_that_somebody_else_makes_at_the_same_moment_is_told(world: World) -> None:
    aws = Aws({"region": REGION})
    aws.create_user("castai", Making("/", "", {}))
    for _operator in range(2):
        aws.create_key("castai")
    with pytest.raises(CallFailed) as caught:
        aws.create_key("castai")
    assert str(caught.value) == (
        "User castai got another access key after its keys were read, and IAM does not allow a third. Another run may"
        " be handing it over to CAST AI right now: wait until that run has finished, then run again."
    )


def test_a_policy_of_the_same_name_elsewhere_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "VISIBLE_SECONDS", 0.0)
    aws = connect()
    aws.create_policy("elsewhere", allow("ec2:*"), "", replace(MAKING, path="/theirs/"))
    with pytest.raises(
        CallFailed, match=r"EntityAlreadyExists: .* An object with this name exists under a different path or with"
    ):
        aws.create_policy("elsewhere", allow("ec2:*"), "", MAKING)


# Tokens


def test_a_token_is_a_presigned_url_and_no_call(world: World) -> None:
    token = connect().eks_token("prod")
    prefix, _dot, encoded = token.partition(".")
    assert (prefix, "=" in token) == ("k8s-aws-v1", False)
    url = urlsplit(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode())
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert (url.scheme, url.hostname, url.path) == ("https", f"sts.{REGION}.amazonaws.com", "/")
    assert (query["Action"], query["Version"]) == ("GetCallerIdentity", "2011-06-15")
    assert (query["X-Amz-Expires"], query["X-Amz-SignedHeaders"]) == ("60", "host;x-k8s-aws-id")
    assert "X-Amz-Security-Token" not in query
    assert world.calls() == []


def test_a_token_is_taken_for_its_own_cluster_and_for_fifteen_minutes(world: World) -> None:
    token, now = connect().eks_token("prod"), time.time()
    assert world.cloud.identify(token, "prod", now) == f"arn:aws:iam::{HOME}:user/operator"
    assert world.cloud.identify(token, "shop", now) is None


def test_a_token_of_an_assumed_role_is_that_roles(world: World) -> None:
    token = connect(**in_other_account()).eks_token("shop")
    assert world.cloud.identify(token, "shop", time.time()) == ONBOARDING


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-3", "cn-north-1", "us-gov-west-1"])
def test_a_token_is_of_the_regions_own_sts(world: World, region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_STS_REGIONAL_ENDPOINTS", "legacy")
    encoded = connect(region=region).eks_token("prod").partition(".")[2]
    url = urlsplit(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode())
    assert url.hostname == f"sts.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"


def test_models_are_read_ahead_without_a_call_and_whatever_is_configured(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = world.calls()
    gateway.read_ahead()
    assert world.calls() == calls
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost:4566")
    gateway.read_ahead()
    monkeypatch.setenv("AWS_PROFILE", "nobody's")
    gateway.read_ahead()


def test_models_are_read_once_for_all_sessions(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway.read_ahead()
    monkeypatch.setattr(JSONFileLoader, "load_file", lambda *_arguments: pytest.fail("read again"))
    assert connect().describe_cluster("prod") is not None


# Answers that AWS does not give

BODIES = [
    b"",
    b"<html><p>Please log in",
    b"<html></html>",
    b"{}",
    b"[]",
    b"null",
    b"\xff\xfe",
    b'{"cluster": 5}',
    b'{"cluster": {}}',
    b"<GetRoleResponse><GetRoleResult></GetRoleResult></GetRoleResponse>",
]
ASKED: dict[str, Callable[[Aws], object]] = {
    "sts:GetCallerIdentity": Aws.caller_arn,
    "eks:DescribeCluster": lambda aws: aws.describe_cluster("prod"),
    "iam:GetRole": lambda aws: aws.get_role("castai"),
    "ec2:DescribeSecurityGroups": lambda aws: aws.find_group("vpc-1", "castai"),
}


@pytest.mark.parametrize("status", [200, 302, 403])
@pytest.mark.parametrize("body", BODIES)
def test_an_answer_that_aws_does_not_give_is_a_sentence(wire: Wire, status: int, body: bytes) -> None:
    keys = {"access_key": "AKIAIOSFODNN7EXAMPLE", "secret_key": "secret"}
    aws = connect(endpoint_url=wire.url, aws_ca_bundle=str(wire.ca_file), **keys)
    for operation, read in ASKED.items():
        wire.script.play(Response(status, (("Content-Type", "text/html"),), body))
        with pytest.raises(CallFailed) as caught:
            read(aws)
        said = str(caught.value)
        assert said.startswith("Could not ")
        assert operation in said
    wire.script.play(Response(status, (("Content-Type", "text/html"),), body))
    with pytest.raises(CallFailed, match=r"^Could not assume role arn:aws:iam::444455556666:role/onboarding: "):
        connect(endpoint_url=wire.url, aws_ca_bundle=str(wire.ca_file), **keys, **in_other_account())
