# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often the system's certificates are read, which is slow."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._gateways import tls
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.castai import CastAi
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.https import Http
from tests.support.https import reply
from tests.unit.plugins.conftest import Wire

LIST = {"items": []}


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The reads from here on, by method and file."""
    found: list[str] = []

    def watch(method: str) -> None:
        real = getattr(ssl.SSLContext, method)

        def watched(context: ssl.SSLContext, *arguments: Any, **keywords: Any) -> None:
            found.append(" ".join([method, *map(str, arguments)]))
            real(context, *arguments, **keywords)

        monkeypatch.setattr(ssl.SSLContext, method, watched)

    watch("load_default_certs")
    watch("load_verify_locations")
    return found


def test_calls_of_castai_share_the_systems_certificates(wire: Wire, loads: list[str]) -> None:
    wire.script.play(reply(200, LIST), reply(200, LIST))
    for _call in range(2):
        CastAi(wire.url, "key").list_clusters()
    assert len(wire.script.received) == 2
    assert len([one for one in loads if one.startswith("load_default_certs")]) == 1


def test_clouds_share_the_systems_certificates_and_read_a_users_each_time(
    wire: Wire, loads: list[str], tmp_path: Path
) -> None:
    for _call in range(2):
        wire.script.play(reply(200, LIST))
        assert Http("", "google_ca_cert").ask("GET", wire.url, "ask", {}).body == LIST
    assert len(loads) == 2, "the system's and requests' own"
    loads.clear()
    own = tmp_path / "ca.pem"
    own.write_bytes(wire.ca_file.read_bytes())
    for _call in range(2):
        wire.script.play(reply(200, LIST))
        assert Http(str(own), "google_ca_cert").ask("GET", wire.url, "ask", {}).body == LIST
    assert [str(own) in one for one in loads] == [True] * 4, "before the first connection, and by requests for each"


def test_clusters_share_the_systems_certificates(
    loads: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for folder, times in ((tmp_path / "one", 1), (tmp_path / "other", 2)):
        monkeypatch.setenv("SSL_CERT_DIR", str(folder))
        tls.context("https://a.example", "", validate_certs=True)
        tls.context("https://b.example", "", validate_certs=True)
        assert len(loads) == times
