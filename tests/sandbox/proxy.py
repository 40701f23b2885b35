# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTPS proxy: terminates TLS for the real host names of the world's back ends and refuses every other host."""

from __future__ import annotations

import fnmatch
import ssl
import threading
from collections.abc import Sequence

from .gate import Address, Gate
from .pki import Authority
from .server import Answer, Connection, Server, accept_tls
from .wire import Backend, Request, Response

_REFUSED = Response(403, (("Content-Type", "text/plain"),), b"refused: this host is not part of the local world\n")


class Proxy:
    """Serves CONNECT on `port`; clients must trust `ca_pem`."""

    def __init__(self, gate: Gate, backends: Sequence[Backend]) -> None:
        self._gate = gate
        self._backends = backends
        self._others: dict[str, Answer] = {}
        self._authority = Authority("castai.onboarding local world")
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()
        self._server = _ProxyServer(self)
        self.port = self._server.port
        self.ca_pem = self._authority.pem

    def serve(self, host: str, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        """Let another server answer under a host name or address; it uses the gate itself. tls: with its own
        certificate instead of one of this proxy's authority."""
        self._others[host] = answer
        if tls:
            self._contexts[host] = tls

    def knows(self, host: str) -> bool:
        return host in self._others or self.backend(host) is not None

    def backend(self, host: str) -> Backend | None:
        for backend in self._backends:
            if any(fnmatch.fnmatchcase(host, pattern) for pattern in backend.hosts):
                return backend
        return None

    def context(self, host: str) -> ssl.SSLContext:
        """TLS for a host name. Its certificate is created on first use."""
        with self._lock:
            if host not in self._contexts:
                self._contexts[host] = self._authority.server_context(host[:64], [host])
            return self._contexts[host]

    def answer(self, request: Request, client: Address, server: Address) -> Response | None:
        if request.host in self._others:
            return self._others[request.host](request, client, server)
        backend = self.backend(request.host)
        if backend is None:
            self._gate.refuse(request.method, request.path)
            return _REFUSED
        return self._gate.answer(backend, request, client, server)

    def refuse(self, target: str) -> Response:
        self._gate.refuse("CONNECT", target)
        return _REFUSED


class _ProxyServer(Server):
    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        super().__init__(proxy.answer, connection=_ProxyConnection)


class _ProxyConnection(Connection):
    """The connection to the proxy until CONNECT, afterwards the connection to the named host."""

    server: _ProxyServer
    tunnel = ""

    def host(self) -> str:
        return self.tunnel

    def do_CONNECT(self) -> None:  # noqa: N802  # the base's way of naming
        host, _colon, port = self.path.lower().rpartition(":")
        if self.tunnel or port != "443" or not self.server.proxy.knows(host):
            self._send(self.server.proxy.refuse(self.path))
            self.close_connection = True
            return
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.connection = accept_tls(self.server.proxy.context(host), self.connection)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)
        self.tunnel = host
        self.close_connection = False  # some clients (http.client before Python 3.12) ask for their tunnel by HTTP/1.0
