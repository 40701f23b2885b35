# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The single path of every call: classify, faults, latency, back end, journal."""

from __future__ import annotations

import json
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

from .faults import Delay, Effect, End, Fail, Hide, Lose, Rival, Schedule, Throttle
from .wire import Backend, Call, Request, Response

Address = tuple[str, int]


@dataclass(frozen=True)
class Stream(Response):
    """An answer that continues (a watch): `chunks` follow while the client listens, `close` ends them early."""

    chunks: Iterator[bytes] = field(default=iter(()), repr=False)
    close: Callable[[], None] = field(default=lambda: None, repr=False)


@runtime_checkable
class Owned(Protocol):
    """A back end that can sign a rival's request with its own credentials."""

    def as_owner(self, request: Request) -> Request:
        """Sign the request as the owner of the cluster would."""


@dataclass(frozen=True)
class Entry:
    """One call received. `mark` counts from 1 in order of completion; times are seconds since the epoch.

    status: as answered, 0 when the call was not handed on and nothing was answered
    fault: names of the effects that the schedule had on it, joined by commas
    audit: id under which the API server's audit log has the call; empty for other systems and calls not handed on
    """

    mark: int
    at: float
    end: float
    call: Call
    status: int
    cluster: str = ""
    fault: str = ""
    audit: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "mark": self.mark,
            "at": round(self.at, 6),
            "end": round(self.end, 6),
            "system": self.call.system,
            "operation": self.call.operation,
            "resource": self.call.resource,
            "write": self.call.write,
            "who": self.call.who,
            "cluster": self.cluster,
            "status": self.status,
            "fault": self.fault,
        }


class Journal:
    """Calls in the order in which they ended. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self._marks = 0

    def add(self, entry: Entry) -> None:
        with self._lock:
            self._marks += 1
            self._entries.append(replace(entry, mark=self._marks))

    def mark(self) -> int:
        """A number greater than or equal to the marks so far, and less than all later ones."""
        with self._lock:
            return self._marks

    def since(self, mark: int) -> list[Entry]:
        with self._lock:
            return [entry for entry in self._entries if entry.mark > mark]

    def reset(self) -> None:
        """Forget the entries; marks keep counting."""
        with self._lock:
            self._entries.clear()


class Gate:
    """Passes calls to back ends. `end_caller` gets both ends of the connection of a caller that must be killed."""

    def __init__(self, end_caller: Callable[[Address, Address], None]) -> None:
        self.journal = Journal()
        self.faults = Schedule()
        self.latency = 0.0  # seconds
        self.hold: Callable[[Address, Address], None] | None = None  # what each call waits for, such as its round
        self._end_caller = end_caller
        self._lock = threading.Lock()
        self._hidden: dict[tuple[str, str, str], int] = {}

    def reset(self) -> None:
        self.journal.reset()
        self.faults.load([])
        self.latency = 0.0
        self.hold = None
        with self._lock:
            self._hidden.clear()

    def answer(self, backend: Backend, request: Request, client: Address, server: Address) -> Response | None:
        """The back end's answer, or a fault's. None: close the connection without one."""
        at = time.time()
        call = backend.classify(request)
        effects = self.faults.fire(call)
        try:
            if self.hold:
                self.hold(client, server)
            outcome = self._pass(backend, request, call, effects)
        except Exception as error:  # a defect of the world must show in the client and in its log
            traceback.print_exc()
            outcome = _Outcome(backend.fail(request, 500, "InternalError", f"the local world: {error!r}"), 500)
        self.journal.add(
            Entry(
                mark=0,
                at=at,
                end=time.time(),
                call=call,
                status=outcome.status,
                cluster=request.host if call.system == "kubernetes" else "",
                fault=",".join(type(effect).__name__.lower() for effect in effects),
                audit=request.headers.get("audit-id", "") if outcome.handed else "",
            )
        )
        # Who waits for the caller's end finds its last call in the journal.
        if any(isinstance(effect, End) for effect in effects):
            self._end_caller(client, server)
        return outcome.answer

    def refuse(self, method: str, target: str) -> None:
        """Journal a call to a host that is not part of the world."""
        now = time.time()
        self.journal.add(Entry(0, now, now, Call("refused", method, target, False, ""), 403))

    def _pass(self, backend: Backend, request: Request, call: Call, effects: Sequence[Effect]) -> _Outcome:
        time.sleep(self.latency)
        for effect in effects:
            if stopped := _before(backend, request, effect):
                return stopped
        if self._is_hidden(call):
            return _Outcome(backend.fail(request, 404, "NotFound", "not visible yet, the local world says"), 404)
        response = backend.handle(request)
        for effect in effects:
            if isinstance(effect, Hide) and response.status < 400:
                self._hide(call, effect.reads)
        lost = End("after") in effects or Lose("after") in effects
        return _Outcome(None if lost else response, response.status, handed=True)

    def _hide(self, call: Call, reads: int) -> None:
        with self._lock:
            self._hidden[_thing(call)] = reads

    def _is_hidden(self, call: Call) -> bool:
        with self._lock:
            left = 0 if call.write else self._hidden.get(_thing(call), 0)
            if left:
                self._hidden[_thing(call)] = left - 1
        return left > 0


@dataclass(frozen=True)
class _Outcome:
    """answer: None to close the connection; status: of the call; handed: whether the back end got it."""

    answer: Response | None
    status: int
    handed: bool = False


def _before(backend: Backend, request: Request, effect: Effect) -> _Outcome | None:
    """Apply an effect before the call is passed on. Returns an outcome if the call is never passed on."""
    if isinstance(effect, Delay):
        time.sleep(effect.seconds)
    elif isinstance(effect, Rival):
        _rival(backend, request, effect)
    elif isinstance(effect, Fail):
        return _Outcome(backend.fail(request, effect.status, effect.code, effect.message), effect.status)
    elif isinstance(effect, Throttle):
        return _Outcome(_throttled(backend, request, effect), effect.status)
    elif effect in (Lose("before"), End("before")):
        return _Outcome(None, 0)
    return None


def _rival(backend: Backend, request: Request, rival: Rival) -> None:
    """Send the rival's call directly to the back end. If it fails, the test is wrong: RuntimeError."""
    if rival.verb:
        backend.control(rival.verb, **rival.args)
        return
    path, _mark, query = rival.path.partition("?")
    body = b"" if rival.body is None else json.dumps(rival.body).encode()
    headers = {name: value for name, value in request.headers.items() if name not in ("content-length", "audit-id")}
    headers["content-type"] = "application/merge-patch+json" if rival.method == "PATCH" else "application/json"
    own = replace(
        request,
        method=rival.method,
        host=rival.host or request.host,
        path=path,
        query=query,
        headers=headers,
        body=body,
    )
    response = backend.handle(backend.as_owner(own) if isinstance(backend, Owned) else own)
    if response.status >= 400:
        raise RuntimeError(f"the rival's {rival.method} {rival.path} failed: {response.status} {response.body!r}")


def _throttled(backend: Backend, request: Request, throttle: Throttle) -> Response:
    response = backend.fail(request, throttle.status, throttle.code, throttle.message)
    if throttle.retry_after is None:
        return response
    return replace(response, headers=(*response.headers, ("Retry-After", str(throttle.retry_after))))


def _thing(call: Call) -> tuple[str, str, str]:
    """The object of a call, without the verb: Kubernetes' operations are "verb kind", the others' a name."""
    return call.system, call.operation.partition(" ")[2], call.resource
