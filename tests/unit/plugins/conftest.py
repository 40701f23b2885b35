# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One HTTPS server for all wire tests of a process; each test gives it its own script."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.https import Address, Script, serve


@dataclass(frozen=True)
class Wire:
    """A server with a script. ca_file: the certificate to verify it with."""

    url: str
    ca_pem: str
    ca_file: Path
    script: Script


@pytest.fixture(scope="session")
def served() -> Iterator[tuple[Address, Script]]:
    script = Script()
    with serve(script) as address:
        yield address, script


@pytest.fixture
def wire(served: tuple[Address, Script], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wire:
    """The server, trusted by clients that use the environment's certificates, and reached without any proxy."""
    address, script = served
    script.play(None)
    file = tmp_path / "server-ca.pem"
    file.write_text(address.ca_pem, encoding="utf-8")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return Wire(address.url, address.ca_pem, file, script)
