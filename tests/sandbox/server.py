# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP/1.1 servers on loopback with a thread for each connection, for the proxy, fronts, webhook and control API."""

from __future__ import annotations

import contextlib
import hashlib
import http
import socketserver
import ssl
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from select import select

from .gate import Address, Stream
from .wire import PEER, Request, Response

Answer = Callable[[Request, Address, Address], "Response | None"]

_HANDSHAKE_SECONDS = 10
_BODILESS = {204, 304}
_HOP_BY_HOP = {"connection", "content-length", "keep-alive", "transfer-encoding"}


class Connection(BaseHTTPRequestHandler):
    """One client's connection: reads requests and answers them with `Server.answer`. None closes it without an
    answer."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        body = self._read_body()
        path, _mark, query = self.path.partition("?")
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            lower = name.lower()
            headers[lower] = f"{headers[lower]}, {value}" if lower in headers else value
        headers.pop(PEER, None)
        peer = self.connection.getpeercert(binary_form=True) if isinstance(self.connection, ssl.SSLSocket) else None
        if peer:
            headers[PEER] = hashlib.sha256(peer).hexdigest()
        request = Request(self.command, self.host(), path, query, headers, body)
        response = self.server.answer(request, self.client_address, self.connection.getsockname())
        if response is None:
            self.close_connection = True
        elif isinstance(response, Stream):
            self._send_stream(response)
        else:
            self._send(response)

    def host(self) -> str:
        """The host that the request is for."""
        return self.headers.get("Host", "")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815  # the base's names

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def _head(self, response: Response, *extra: tuple[str, str]) -> bytes:
        reason = http.HTTPStatus(response.status).phrase if response.status in set(http.HTTPStatus) else ""
        headers = [(name, value) for name, value in response.headers if name.lower() not in _HOP_BY_HOP]
        lines = [f"HTTP/1.1 {response.status} {reason}", *(f"{name}: {value}" for name, value in (*headers, *extra))]
        return "\r\n".join((*lines, "", "")).encode("latin-1")

    def _send(self, response: Response) -> None:
        bodiless = self.command == "HEAD" or response.status in _BODILESS
        length = () if response.status in _BODILESS else (("Content-Length", str(len(response.body))),)
        self.wfile.write(self._head(response, *length) + (b"" if bodiless else response.body))

    def _send_stream(self, stream: Stream) -> None:
        ended = threading.Event()
        threading.Thread(target=self._close_when_gone, args=(stream, ended), daemon=True).start()
        try:
            self.wfile.write(self._head(stream, ("Transfer-Encoding", "chunked")))
            for chunk in stream.chunks:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.wfile.write(b"0\r\n\r\n")
        finally:
            ended.set()
            stream.close()

    def _close_when_gone(self, stream: Stream, ended: threading.Event) -> None:
        """Notice when a client leaves a watch. A listening client sends nothing, so any data means that it is done."""
        with contextlib.suppress(OSError, ValueError):  # the answer has ended, and the connection is closed
            while not ended.is_set():
                if select([self.connection], [], [], 0.5)[0]:
                    self.close_connection = True
                    stream.close()
                    return

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def log_message(self, *_args: object) -> None:
        """The journal is the log."""


class Server(socketserver.ThreadingTCPServer):
    """Listens on a free port of 127.0.0.1 as soon as it is created, with TLS if given a context."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, answer: Answer, tls: ssl.SSLContext | None = None, connection: type[Connection] = Connection
    ) -> None:
        super().__init__(("127.0.0.1", 0), connection)
        self.answer = answer
        self._tls = tls
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def finish_request(self, request, client_address) -> None:  # type: ignore[no-untyped-def]  # as the base has it
        """Run in the connection's own thread, so that a slow handshake does not delay others."""
        if self._tls:
            request = accept_tls(self._tls, request)
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address) -> None:  # type: ignore[no-untyped-def]  # as the base has it
        """Clients may disconnect at any time; any other error is a defect and goes to the world's log."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, ssl.SSLError, TimeoutError)):
            super().handle_error(request, client_address)


def accept_tls(context: ssl.SSLContext, connection):  # type: ignore[no-untyped-def]  # socket.socket -> ssl.SSLSocket
    connection.settimeout(_HANDSHAKE_SECONDS)
    tls = context.wrap_socket(connection, server_side=True)
    tls.settimeout(None)
    return tls
