# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cloud's hosts under their real names behind a proxy, with answers set by the test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.sandbox.pki import Authority
from tests.sandbox.server import Server
from tests.sandbox.wire import Request, Response
from tests.support.https import reply
from tests.support.tunnel import Tunnel, serve


@dataclass
class Cloud:
    """Answers by host and path, in order; the last one is repeated."""

    tunnel: Tunnel
    ca_file: str
    not_found: Response = field(default_factory=lambda: reply(404, {}))
    answers: dict[str, list[Response | None]] = field(default_factory=dict)
    received: list[Request] = field(default_factory=list)

    def play(self, address: str, *answers: Response | None) -> None:
        self.answers[address] = list(answers)

    def __call__(self, request: Request) -> Response | None:
        self.received.append(request)
        answers = self.answers.get(f"{request.host}{request.path}")
        if answers is None:
            return self.not_found
        return answers.pop(0) if len(answers) > 1 else answers[0]

    @property
    def asked(self) -> list[str]:
        return [f"{one.method} {one.host}{one.path}" for one in self.received]


@dataclass
class Behind:
    """One server for all tests of a module; it answers for one cloud after the other."""

    server: Server
    ca_pem: str
    current: list[Cloud]

    @contextmanager
    def cloud(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
        file = folder / "cloud-ca.pem"
        file.write_text(self.ca_pem, encoding="utf-8")
        monkeypatch.setenv("NO_PROXY", "")
        with serve(Tunnel(self.server.port)) as tunnel:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{tunnel.port}")
            made = Cloud(tunnel, str(file))
            self.current.append(made)
            yield made
            self.current.pop()


@contextmanager
def behind_a_proxy(name: str, *hosts: str) -> Iterator[Behind]:
    authority, current = Authority(name), list[Cloud]()
    context = authority.server_context(name.lower(), [*hosts])
    server = Server(lambda request, _client, _own: current[-1](request), context)
    yield Behind(server, authority.pem, current)
    server.shutdown()
    server.server_close()
