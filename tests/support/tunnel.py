# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small proxy, CONNECT or SOCKS 5, that leads every host to one server on this machine and records the requests."""

from __future__ import annotations

import base64
import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.sandbox.server import accept_tls


@dataclass
class Tunnel:
    """port: where it listens; to: the port of the server; log_in: USER:PASSWORD, empty where none is asked for.

    said: its answer to every CONNECT that it does not let through. asked: HOST:PORT of each that it did.
    """

    to: int
    log_in: str = ""
    said: str = ""
    port: int = 0
    asked: list[str] = field(default_factory=list)


@contextlib.contextmanager
def serve(tunnel: Tunnel, tls: ssl.SSLContext | None = None) -> Iterator[Tunnel]:
    """Serve on a free port of 127.0.0.1 until the end of the block."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                connection = accept_tls(tls, self.request) if tls else self.request
                first = connection.recv(1)
                if (_socks if first == b"\x05" else _connect)(tunnel, connection, first):
                    _relay(tunnel, connection)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        tunnel.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield tunnel
        finally:
            server.shutdown()


def _connect(tunnel: Tunnel, connection: socket.socket, received: bytes) -> bool:
    while b"\r\n\r\n" not in received:
        received += connection.recv(4096) or b"\r\n\r\n"
    line, *headers = received.decode("latin-1").split("\r\n")
    expected = f"Proxy-Authorization: Basic {base64.b64encode(tunnel.log_in.encode()).decode()}"
    answer = tunnel.said or "200 Connection established"
    if tunnel.log_in and expected not in headers:
        answer = "407 Proxy Authentication Required"
    connection.sendall(f"HTTP/1.1 {answer}\r\n\r\n".encode())
    if answer.startswith("200"):
        tunnel.asked.append(line.split(" ")[1])
    return answer.startswith("200")


def _socks(tunnel: Tunnel, connection: socket.socket, _version: bytes) -> bool:
    """RFC 1928 and 1929, only for host names: a client that resolves names itself fails."""
    method = 2 if tunnel.log_in else 0
    if method not in connection.recv(connection.recv(1)[0]):
        connection.sendall(b"\x05\xff")
        return False
    connection.sendall(bytes([5, method]))
    if tunnel.log_in:
        connection.recv(1)
        user, password = (connection.recv(connection.recv(1)[0]).decode() for _part in range(2))
        known = f"{user}:{password}" == tunnel.log_in
        connection.sendall(b"\x01\x00" if known else b"\x01\x01")
        if not known:
            return False
    if connection.recv(4)[3] != 3:
        return False
    host = connection.recv(connection.recv(1)[0]).decode()
    tunnel.asked.append(f"{host}:{int.from_bytes(connection.recv(2), 'big')}")
    connection.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
    return True


def _relay(tunnel: Tunnel, client: socket.socket) -> None:
    with socket.create_connection(("127.0.0.1", tunnel.to)) as server:
        back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
        back.start()
        _pass_on(client, server)
        back.join(5)


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while received := source.recv(65536):
            sink.sendall(received)
        sink.shutdown(socket.SHUT_WR)
