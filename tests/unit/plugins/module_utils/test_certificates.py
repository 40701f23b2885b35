# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each switch turns off the certificate check for its own system, and for no other."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._clusters import eks
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.connection import Connection
from ansible_collections.castai.onboarding.plugins.module_utils._engine import CallFailed
from ansible_collections.castai.onboarding.plugins.module_utils._gateways import castai
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws import Aws
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws_eks import EksCluster
from tests.support.https import reply
from tests.unit.plugins.conftest import Wire

PATH = "/api/v1/namespaces"
SWITCHES = ("castai_validate_certs", "aws_validate_certs", "kubernetes_validate_certs")
NAMED = {
    "castai_api_key": "CANARY-castai",
    "access_key": "AKIA",
    "secret_key": "CANARY-secret",
    "region": "eu-central-1",
}
IDENTITY = b"""<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:iam::111122223333:user/me</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>"""

Options = Mapping[str, Any]


def options(wire: Wire, off: str) -> dict[str, Any]:
    """The options for an untrusted server that acts as all three systems. off: the switch that is turned off."""
    addresses = {"castai_api_url": wire.url, "endpoint_url": wire.url, "host": wire.url, "api_key": "CANARY-token"}
    return {**NAMED, **addresses, **{switch: switch != off for switch in SWITCHES}}


def of_eks(wire: Wire, params: Options) -> Connection:
    """A connection to an EKS cluster whose certificate authority EKS does not show."""
    without = {name: value for name, value in params.items() if name not in ("host", "api_key")}
    arn = "arn:aws:eks:eu-central-1:111122223333:cluster/shop"
    aws = Aws(without)
    found = EksCluster("shop", arn, wire.url, "", "ACTIVE", "1.36", "API", "ipv4", "vpc-1")
    way = Connection(without, aws)
    way.cluster(eks.api_server(found, aws))
    return way


CALLS: Mapping[str, tuple[str, Callable[[Wire, Options], Any]]] = {
    "CAST AI": (SWITCHES[0], lambda wire, params: castai.by_options(params).list_clusters()),
    "AWS": (SWITCHES[1], lambda wire, params: Aws(params).caller_arn()),
    "API server": (SWITCHES[2], lambda wire, params: Connection(params).cluster().get(PATH)),
    "API server of EKS": (SWITCHES[2], lambda wire, params: of_eks(wire, params).cluster().get(PATH)),
}
"""Each system with its switch and a call."""


@pytest.fixture(autouse=True)
def untrusted(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(castai, "PATIENCE_UNANSWERED", 0.0)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("off", SWITCHES)
@pytest.mark.parametrize("system", CALLS)
def test_a_switch_opens_its_own_door_only(wire: Wire, system: str, off: str) -> None:
    own, call = CALLS[system]
    wire.script.play(reply(200, IDENTITY) if system == "AWS" else reply(200, {}))
    refused = contextlib.nullcontext() if own == off else pytest.raises(CallFailed, match=r"(?i)certificate|SSL")
    with refused:
        call(wire, options(wire, off))
    assert bool(wire.script.received) == (own == off)


@pytest.mark.parametrize("off", SWITCHES)
def test_helm_checks_the_api_server_as_the_modules_do(wire: Wire, off: str) -> None:
    (cluster,) = json.loads(Connection(options(wire, off)).cluster().kubeconfig())["clusters"]
    assert cluster["cluster"].get("insecure-skip-tls-verify", False) == (off == "kubernetes_validate_certs")
