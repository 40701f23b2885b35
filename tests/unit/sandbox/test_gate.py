# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate and the proxy before it, with a back end in memory."""

from __future__ import annotations

import http.client
import os
import ssl
import subprocess
import sys
import time
from typing import Any

import pytest

from tests.sandbox.gate import Gate
from tests.sandbox.processes import RUN_VARIABLE, end_caller
from tests.sandbox.proxy import Proxy
from tests.sandbox.wire import Call, Request, Response

HOST = "api.notes.example"
HERE, THERE = ("127.0.0.1", 1), ("127.0.0.1", 2)


class Notes:
    """Notes by name: PUT writes one, GET reads it, 404 if there is none."""

    system = "notes"
    hosts = ("*.notes.example",)

    def __init__(self) -> None:
        self.notes: dict[str, str] = {}

    def classify(self, request: Request) -> Call:
        return Call(
            self.system, request.method, request.path, request.method == "PUT", request.headers.get("x-who", "")
        )

    def handle(self, request: Request) -> Response:
        if request.path == "/defect":
            raise ZeroDivisionError
        if request.method == "PUT":
            self.notes[request.path] = request.body.decode()
        if request.path not in self.notes:
            return self.fail(request, 404, "NotFound", "")
        return Response(200, (("X-Notes", "1"),), self.notes[request.path].encode())

    def fail(self, _request: Request, status: int, code: str, message: str) -> Response:
        return Response(status, (), f"{code} {message}".encode())

    def control(self, verb: str, **args: Any) -> Any:
        assert verb == "put"
        self.notes[args["name"]] = args["text"]

    def state(self) -> Any:
        return dict(self.notes)

    def reset(self) -> None:
        self.notes.clear()


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def gate() -> Gate:
    return Gate(end_caller)


def call(gate: Gate, notes: Notes, method: str, path: str, body: str = "") -> Response | None:
    return gate.answer(notes, Request(method, HOST, path, "", {"x-who": "me"}, body.encode()), HERE, THERE)


def status(gate: Gate, notes: Notes, method: str, path: str, body: str = "") -> int | None:
    response = call(gate, notes, method, path, body)
    return response and response.status


def test_every_call_is_in_the_journal(gate: Gate, notes: Notes) -> None:
    call(gate, notes, "PUT", "/a", "text")
    mark = gate.journal.mark()
    call(gate, notes, "GET", "/b")
    first, second = (entry.as_json() for entry in gate.journal.since(0))
    assert first.pop("at") <= first.pop("end")
    assert first == {
        "mark": 1,
        "system": "notes",
        "operation": "PUT",
        "resource": "/a",
        "write": True,
        "who": "me",
        "cluster": "",
        "status": 200,
        "fault": "",
    }
    assert (second["status"], second["write"]) == (404, False)
    assert [entry.mark for entry in gate.journal.since(mark)] == [2]


def test_a_defect_of_a_back_end_is_an_answer(gate: Gate, notes: Notes) -> None:
    response = call(gate, notes, "GET", "/defect")
    assert response is not None
    assert (response.status, b"ZeroDivisionError" in response.body) == (500, True)


def test_a_rival_that_fails_is_an_answer(gate: Gate, notes: Notes) -> None:
    gate.faults.load([{"rival": {"method": "GET", "path": "/none"}}])
    response = call(gate, notes, "PUT", "/a")
    assert response is not None
    assert (response.status, b"the rival's GET /none failed" in response.body) == (500, True)
    assert notes.notes == {}


def test_fail_does_not_reach_the_back_end(gate: Gate, notes: Notes) -> None:
    gate.faults.load([{"write": True, "fail": {"status": 409, "code": "Conflict"}}])
    assert status(gate, notes, "PUT", "/a") == 409
    assert notes.notes == {}
    assert status(gate, notes, "PUT", "/a") == 200


def test_throttle_says_when_to_come_back(gate: Gate, notes: Notes) -> None:
    gate.faults.load([{"throttle": {"retry_after": 3}}])
    response = call(gate, notes, "GET", "/a")
    assert response is not None
    assert (response.status, response.headers) == (429, (("Retry-After", "3"),))


@pytest.mark.parametrize(("when", "kept", "journalled"), [("before", {}, 0), ("after", {"/a": "x"}, 200)])
def test_lose(gate: Gate, notes: Notes, when: str, kept: dict[str, str], journalled: int) -> None:
    gate.faults.load([{"lose": when}])
    assert call(gate, notes, "PUT", "/a", "x") is None
    assert notes.notes == kept
    assert [(entry.status, entry.fault) for entry in gate.journal.since(0)] == [(journalled, "lose")]


def test_hide_blinds_the_reads_after_the_write(gate: Gate, notes: Notes) -> None:
    gate.faults.load([{"write": True, "hide": 2}])
    call(gate, notes, "PUT", "/other")
    call(gate, notes, "PUT", "/a")
    assert [status(gate, notes, "GET", "/a") for _time in range(2)] == [200, 200]
    assert [status(gate, notes, "GET", "/other") for _time in range(3)] == [404, 404, 200]


@pytest.mark.parametrize(
    "rival",
    [{"method": "PUT", "path": "/rival", "body": "y"}, {"verb": "put", "args": {"name": "/rival", "text": "y"}}],
)
def test_rival_writes_first(gate: Gate, notes: Notes, rival: dict[str, Any]) -> None:
    gate.faults.load([{"write": True, "rival": rival}])
    call(gate, notes, "PUT", "/a", "x")
    assert list(notes.notes) == ["/rival", "/a"]
    assert [entry.call.resource for entry in gate.journal.since(0)] == ["/a"]


def test_latency_delays_every_call(gate: Gate, notes: Notes) -> None:
    gate.latency = 0.05
    started = time.monotonic()
    call(gate, notes, "GET", "/a")
    assert time.monotonic() - started >= 0.05


def connect(proxy: Proxy, host: str, trusted: str | None = None) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cadata=trusted or proxy.ca_pem)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    connection = http.client.HTTPSConnection("127.0.0.1", proxy.port, context=context, timeout=10)
    connection.set_tunnel(host, 443)
    return connection


def test_proxy_serves_real_host_names_and_keeps_connections(gate: Gate, notes: Notes) -> None:
    connection = connect(Proxy(gate, [notes]), HOST)
    for method, body in (("PUT", "x" * 100_000), ("GET", None), ("HEAD", None)):
        connection.request(method, "/a?b=c", body)
        response = connection.getresponse()
        expected = "" if method == "HEAD" else "x" * 100_000
        assert (response.status, response.read().decode()) == (200, expected)
    connection.request("PUT", "/chunks", iter([b"one ", b"two"]), encode_chunked=True)
    assert connection.getresponse().read() == b"one two"
    connection.close()


@pytest.mark.parametrize("host", ["other.example", "127.0.0.1", "localhost"])
def test_proxy_refuses_and_journals_other_hosts(gate: Gate, notes: Notes, host: str) -> None:
    with pytest.raises(OSError, match="403"):
        connect(Proxy(gate, [notes]), host).request("GET", "/")
    assert [(one.call.system, one.call.resource) for one in gate.journal.since(0)] == [("refused", f"{host}:443")]


def test_proxy_refuses_plain_http(gate: Gate, notes: Notes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", Proxy(gate, [notes]).port, timeout=10)
    connection.request("GET", f"http://{HOST}/a", headers={"Host": HOST})
    assert connection.getresponse().status == 403
    connection.close()
    assert [one.call.system for one in gate.journal.since(0)] == ["refused"]


CALLER = f"""
import http.client, ssl, sys
connection = http.client.HTTPSConnection("127.0.0.1", int(sys.argv[1]), context=ssl._create_unverified_context())
connection.set_tunnel("{HOST}", 443)
connection.request("PUT", "/a", "x")
print(connection.getresponse().status)
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_end_kills_the_whole_run(gate: Gate, notes: Notes, when: str) -> None:
    proxy = Proxy(gate, [notes])
    gate.faults.load([{"write": True, "end": when}])
    run = {**os.environ, RUN_VARIABLE: f"test-{os.getpid()}-{when}"}
    command = [sys.executable, "-c", CALLER, str(proxy.port)]
    with (
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=run) as sibling,
        subprocess.Popen(command, env=run, stdout=subprocess.PIPE) as caller,
    ):
        assert (caller.wait(20), sibling.wait(20)) == (-9, -9)
        assert caller.stdout is not None
        assert caller.stdout.read() == b""
    assert notes.notes == ({"/a": "x"} if when == "after" else {})


def test_end_kills_only_the_caller_when_it_has_no_run(gate: Gate, notes: Notes) -> None:
    proxy = Proxy(gate, [notes])
    gate.faults.load([{"end": "after"}])
    plain = {name: value for name, value in os.environ.items() if name != RUN_VARIABLE}
    with subprocess.Popen([sys.executable, "-c", CALLER, str(proxy.port)], env=plain) as caller:
        assert caller.wait(20) == -9
