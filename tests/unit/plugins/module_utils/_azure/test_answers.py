# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of any shape to the calls for an AKS cluster's identity: each is accepted or reported in one sentence."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping
from typing import Any

from ansible_collections.castai.onboarding.plugins.module_utils._engine import Failure
from tests.sandbox.wire import Request, Response
from tests.unit.sandbox.aks_subscription import World, world

__all__ = ["world"]

SEED = int(os.environ.get("CASTAI_SEED") or random.SystemRandom().randrange(10**6))
EVIL = "elsewhere.example"
TRIALS = 40
WAYS: tuple[Mapping[str, Any], ...] = ({}, {"credential": "federated"}, {"identity": "managed_identity"})
VALUES: tuple[Any, ...] = (None, 7, "x", [], {}, True, ["x"], [None], 1e300, -1, "\x1b[31m", f"https://{EVIL}/")
LOCATIONS = dict.fromkeys(("Location", "Azure-AsyncOperation"), f"https://{EVIL}/")
WHOLE: tuple[tuple[int, Any, Mapping[str, str]], ...] = (
    *((200, body, {}) for body in (b"", b"<html>Sign in</html>", b"null", b"[]", b"7", b'"x"', b"{}", b"[" * 100_000)),
    *((200, {"value": value}, {}) for value in (None, {}, [None], [{}], ["x"])),
    *((200, {"value": [], name: f"https://{EVIL}/"}, {}) for name in ("nextLink", "@odata.nextLink")),
    *((status, b"", LOCATIONS) for status in (202, 204, 301, 302, 307, 308)),
    *((status, b"oops", {}) for status in (299, 400, 404, 409, 412, 413, 500)),
    *((429, b"", {"Retry-After": after}) for after in ("x", "-5", "1e9")),
    (400, {"error": {"code": None, "message": {"a": 1}, "details": "x", "additionalInfo": {"a": 1}}}, {}),
    (400, {"error": {"code": "\x1b[31mx", "message": "\x1b]0;pwned\x07" + "x" * 100_000}}, {}),
    (401, {"error": {"code": 7}}, {"WWW-Authenticate": 'Bearer error="insufficient_claims", claims="!!!"'}),
    (403, {"error": "denied"}, {}),
)


def altered(body: bytes, rng: random.Random) -> bytes:
    """The answer with one field, at any depth, of another type."""
    content = json.loads(body)
    places: list[tuple[Any, Any]] = []
    waiting = [content]
    while waiting:
        one = waiting.pop()
        inner = one.items() if isinstance(one, dict) else enumerate(one) if isinstance(one, list) else ()
        for key, value in inner:
            places.append((one, key))
            waiting.append(value)
    if places:
        holder, key = rng.choice(places)
        holder[key] = rng.choice(VALUES)
    return json.dumps(content).encode()


def test_an_answer_of_any_shape_is_an_answer_or_one_sentence(world: World) -> None:
    """New ones each time: CASTAI_SEED repeats the printed seed. No call goes elsewhere."""
    print(f"CASTAI_SEED={SEED}")
    rng, send = random.Random(SEED), world.cloud.send
    for trial in range(TRIALS):
        world.reset()
        way, turn, whole = rng.choice(WAYS), rng.randrange(24), rng.choice((None, *WHOLE))
        heard = 0

        def received(request: Request, turn: int = turn, whole: Any = whole) -> Response | None:
            nonlocal heard
            assert EVIL not in request.host
            answer = send(request)
            heard += 1
            if heard <= turn or answer is None or not answer.body:
                return answer
            if whole is None:
                return Response(answer.status, answer.headers, altered(answer.body, rng))
            status, body, headers = whole
            text = body if isinstance(body, bytes) else json.dumps(body).encode()
            return Response(status, tuple(headers.items()), text)

        world.cloud.send = received  # type: ignore[method-assign]
        try:
            world.run(**way)
        except Failure as failure:
            said = str(failure)
            assert len(said) < 3000, (SEED, trial)
            assert said.isprintable(), (SEED, trial, said)
            assert "CANARY" not in said, (SEED, trial)
        finally:
            world.cloud.send = send  # type: ignore[method-assign]
