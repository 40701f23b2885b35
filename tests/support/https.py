# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Throw-away HTTPS servers for tests of what a gateway sends and receives."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.sandbox.pki import Authority
from tests.sandbox.server import Server
from tests.sandbox.wire import Request, Response

Answer = Callable[[Request], "Response | None"]


@dataclass(frozen=True)
class Address:
    """The address of a server, and the certificates to verify it with."""

    url: str
    ca_pem: str


class Script:
    """Answers in order, repeating the last one, and records the requests. None closes the connection."""

    def __init__(self) -> None:
        self.received: list[Request] = []
        self._answers: tuple[Response | None, ...] = (None,)
        self._lock = threading.Lock()

    def play(self, *answers: Response | None) -> None:
        with self._lock:
            self.received, self._answers = [], answers

    def __call__(self, request: Request) -> Response | None:
        with self._lock:
            self.received.append(request)
            return self._answers[min(len(self.received), len(self._answers)) - 1]


@contextlib.contextmanager
def serve(answer: Answer) -> Iterator[Address]:
    """Serve on a free port of 127.0.0.1 until the end of the block."""
    authority = Authority("unit test")
    tls = authority.server_context("127.0.0.1", ["127.0.0.1"])
    server = Server(lambda request, _client, _own: answer(request), tls)
    try:
        yield Address(f"https://127.0.0.1:{server.port}", authority.pem)
    finally:
        server.shutdown()
        server.server_close()


def reply(status: int, body: Any = None, *headers: tuple[str, str]) -> Response:
    """An answer with a JSON body; bytes are sent unchanged, None is an empty body."""
    if body is None or isinstance(body, bytes):
        return Response(status, headers, body or b"")
    return Response(status, (("Content-Type", "application/json"), *headers), json.dumps(body).encode())
