# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls of one round are those that their caller made before it waited for an answer, however slowly."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.sandbox.client import Seen
from tests.sandbox.gate import Address, Gate
from tests.sandbox.processes import end_caller
from tests.sandbox.rounds import Rounds
from tests.sandbox.server import Server
from tests.sandbox.wire import Call, Request, Response
from tests.support.calls import rounds

# This many calls at once, each of which takes a while to make; when all are answered, the same number again.
CALLER = """
import http.client, sys, threading, time

def call(number):
    end = time.process_time() + 0.1 * number
    while time.process_time() < end:
        pass
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
    connection.request("GET", "/")
    connection.getresponse().read()

for count in map(int, sys.argv[2:]):
    threads = [threading.Thread(target=call, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


class Nothing:
    """An empty back end."""

    system = "nothing"
    hosts = ()

    def classify(self, request: Request) -> Call:
        return Call(self.system, request.method, request.path, False, "")

    def handle(self, _request: Request) -> Response:
        return Response(200, (), b"")


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate(end_caller)
    made.hold = Rounds().hold
    return made


@pytest.mark.parametrize(("counts", "expected"), [("3 3 1", 3), ("1 1 1 1", 4), ("4", 1)])
def test_what_is_made_before_an_answer_is_one_round(gate: Gate, counts: str, expected: int) -> None:
    def answer(request: Request, client: Address, server: Address) -> Response | None:
        return gate.answer(Nothing(), request, client, server)

    server = Server(answer)
    subprocess.run([sys.executable, "-c", CALLER, str(server.port), *counts.split()], check=True, timeout=60)
    server.shutdown()
    server.server_close()
    seen = [Seen(0, one.at, one.end, "", "", "", False, "", "", 200, "") for one in gate.journal.since(0)]
    assert (len(seen), rounds(seen)) == (sum(map(int, counts.split())), expected)
