# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often certificates are read, which is slow, and that no connection changes a TLS context that threads share."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._engine import CallFailed, Refused
from ansible_collections.castai.onboarding.plugins.module_utils._gateways import tls
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws import Aws
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.castai import CastAi
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.https import Http
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.kubernetes import by_token
from tests.support.https import reply
from tests.unit.plugins.conftest import Wire

LIST = {"items": []}


def watched(monkeypatch: pytest.MonkeyPatch, *methods: str) -> list[str]:
    """The calls of these methods of TLS contexts from here on, with their arguments."""
    found: list[str] = []

    def watch(method: str) -> None:
        real = getattr(ssl.SSLContext, method)

        def call(context: ssl.SSLContext, *arguments: Any, **keywords: Any) -> None:
            found.append(" ".join([method, *map(str, arguments)]))
            real(context, *arguments, **keywords)

        monkeypatch.setattr(ssl.SSLContext, method, call)

    for method in methods:
        watch(method)
    return found


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return watched(monkeypatch, "load_default_certs", "load_verify_locations")


def test_calls_of_castai_share_the_systems_certificates(wire: Wire, loads: list[str]) -> None:
    wire.script.play(reply(200, LIST), reply(200, LIST))
    for _call in range(2):
        CastAi(wire.url, "key").list_clusters()
    assert len(wire.script.received) == 2
    assert len([one for one in loads if one.startswith("load_default_certs")]) == 1


def test_clouds_share_the_systems_certificates_and_read_a_users_once_a_session(
    wire: Wire, loads: list[str], tmp_path: Path
) -> None:
    for _call in range(2):
        wire.script.play(reply(200, LIST))
        assert Http("", "google_ca_cert", "Google Cloud").ask("GET", wire.url, "ask", {}).body == LIST
    assert len(loads) == 2, "the system's and requests' own"
    loads.clear()
    own = tmp_path / "ca.pem"
    own.write_bytes(wire.ca_file.read_bytes())
    for _call in range(2):
        wire.script.play(reply(200, LIST))
        assert Http(str(own), "google_ca_cert", "Google Cloud").ask("GET", wire.url, "ask", {}).body == LIST
    assert [str(own) in one for one in loads] == [True] * 2


def test_clusters_share_the_systems_certificates(
    loads: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for folder, times in ((tmp_path / "one", 1), (tmp_path / "other", 2)):
        monkeypatch.setenv("SSL_CERT_DIR", str(folder))
        tls.context("https://a.example", "", validate_certs=True)
        tls.context("https://b.example", "", validate_certs=True)
        assert len(loads) == times


def aws(wire: Wire, **options: Any) -> Callable[[], Any]:
    keys = {"access_key": "AKIAIOSFODNN7EXAMPLE", "secret_key": "secret"}
    return Aws({"region": "eu-central-1", "endpoint_url": wire.url, **keys, **options}).caller_arn


def cloud(wire: Wire, ca_file: str) -> Callable[[], Any]:
    http = Http(ca_file, "google_ca_cert", "Google Cloud")
    return lambda: http.ask("GET", wire.url, "ask", {})


def cluster(wire: Wire, ca_pem: str) -> Callable[[], Any]:
    kubernetes = by_token(wire.url, "token", ca_pem, validate_certs=True)
    return lambda: kubernetes.get("/api/v1/namespaces/castai-agent")


GATEWAYS: dict[str, Callable[[Wire], Callable[[], Any]]] = {
    "AWS by its bundle": lambda wire: aws(wire, aws_ca_bundle=str(wire.ca_file)),
    "AWS unchecked": lambda wire: aws(wire, aws_validate_certs=False),
    "Google and Azure by the system": lambda wire: cloud(wire, ""),
    "Google and Azure by their file": lambda wire: cloud(wire, str(wire.ca_file)),
    "a cluster by the system": lambda wire: cluster(wire, ""),
    "a cluster by its authority": lambda wire: cluster(wire, wire.ca_pem),
}


@pytest.mark.parametrize("name", GATEWAYS)
def test_no_connection_changes_a_context_that_threads_share(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """CPython before 3.13.4 has no lock there: processes crashed, and servers got spoilt messages."""
    call = GATEWAYS[name](wire)
    changes = watched(
        monkeypatch, "load_default_certs", "load_verify_locations", "load_cert_chain", "set_alpn_protocols"
    )
    together = threading.Barrier(3)

    def connect() -> None:
        together.wait()
        with contextlib.suppress(CallFailed):
            call()

    wire.script.play(*[reply(404, LIST)] * 3)
    with ThreadPoolExecutor() as pool:
        for ended in [pool.submit(connect) for _ in range(3)]:
            ended.result()
    assert len(wire.script.received) == 3
    assert changes == []


@pytest.mark.parametrize(
    ("variable", "origin"),
    [
        ("AWS_CA_BUNDLE", "ca_bundle of the AWS profile"),
        ("REQUESTS_CA_BUNDLE", "The environment variable REQUESTS_CA_BUNDLE"),
    ],
)
@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, " is '.*', which is not a file"), ("no PEM", " is '.*', which contains no valid PEM certificate")],
)
def test_what_aws_is_told_to_trust_is_checked_before_any_call(
    wire: Wire,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variable: str,
    origin: str,
    content: str | None,
    problem: str,
) -> None:
    bundle = tmp_path / "bundle.pem"
    if content:
        bundle.write_text(content)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    monkeypatch.setenv(variable, str(bundle))
    with pytest.raises(Refused, match=f"^{origin}{problem}"):
        aws(wire)
    assert wire.script.received == []
