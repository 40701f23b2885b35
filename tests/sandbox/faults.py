# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Schedules of faults: what to do to which call, as data.

A schedule is a JSON list. Each fault says which calls it means (`system`, `operation` and `resource` as regular
expressions, `write`), how many matches it lets pass (`after`, default 0), how many it then takes (`times`, default 1),
or of how many a second it takes those beyond (`over`), and exactly one effect: fail, throttle, delay, lose, hide, rival
or end (see README.md).
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from .wire import Call


@dataclass(frozen=True)
class Fail:
    """Answer an error in the system's own form instead of handing the call on."""

    status: int
    code: str
    message: str = "made to fail by the local world"


@dataclass(frozen=True)
class Throttle:
    """Answer that there were too many calls."""

    status: int = 429
    code: str = "TooManyRequests"
    message: str = "made to wait by the local world"
    retry_after: int | None = None


@dataclass(frozen=True)
class Delay:
    seconds: float


@dataclass(frozen=True)
class Lose:
    """Close the connection without an answer, before or after the call took effect."""

    when: str


@dataclass(frozen=True)
class Hide:
    """After a call that creates, let this many reads of the same resource find nothing."""

    reads: int


@dataclass(frozen=True)
class Rival:
    """Let another writer act just before this call: an HTTP request, or a verb of the back end's `control`."""

    method: str = ""
    path: str = ""
    body: Any = None
    host: str = ""
    verb: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class End:
    """KILL the caller before the call is passed on, or after it took effect and before it is answered."""

    when: str


Effect = Fail | Throttle | Delay | Lose | Hide | Rival | End

_WHEN = ("before", "after")


def _moment(kind: type[Lose] | type[End], value: Any) -> Lose | End:
    if value not in _WHEN:
        raise ValueError(f"{kind.__name__.lower()}: expected before or after, not {value!r}")
    return kind(value)


def _record(kind: type[Any], value: Any) -> Any:
    known = {item.name for item in fields(kind)}
    if not isinstance(value, dict) or set(value) - known:
        raise ValueError(f"{kind.__name__.lower()}: expected an object with {', '.join(sorted(known))}, not {value!r}")
    return kind(**value)


_EFFECTS: Mapping[str, Callable[[Any], Effect]] = {
    "fail": lambda value: _record(Fail, value),
    "throttle": lambda value: _record(Throttle, value),
    "delay": lambda value: Delay(float(value)),
    "lose": lambda value: _moment(Lose, value),
    "hide": lambda value: Hide(int(value)),
    "rival": lambda value: _record(Rival, value),
    "end": lambda value: _moment(End, value),
}


@dataclass(frozen=True)
class Fault:
    effect: Effect
    system: str = ""
    operation: str = ""
    resource: str = ""
    write: bool | None = None
    after: int = 0
    times: int = 1
    over: float = 0

    @classmethod
    def parse(cls, data: Any) -> Fault:
        """A fault from its JSON object. Raises ValueError with a sentence if something is unknown or missing."""
        if not isinstance(data, dict):
            raise ValueError(f"a fault is an object, not {data!r}")
        effects = [name for name in data if name in _EFFECTS]
        if len(effects) != 1:
            raise ValueError(f"a fault needs exactly one of {', '.join(_EFFECTS)}: {data!r}")
        match = {name: value for name, value in data.items() if name != effects[0]}
        unknown = set(match) - {item.name for item in fields(cls)}
        if unknown or "effect" in match:
            raise ValueError(f"unknown in a fault: {', '.join(sorted(unknown | (match.keys() & {'effect'})))}")
        return cls(_EFFECTS[effects[0]](data[effects[0]]), **match)

    def means(self, call: Call) -> bool:
        """Regular expressions must match the whole text; a missing one matches everything."""
        return (
            (not self.system or self.system == call.system)
            and (not self.operation or re.fullmatch(self.operation, call.operation) is not None)
            and (not self.resource or re.fullmatch(self.resource, call.resource) is not None)
            and (self.write is None or self.write == call.write)
        )


class Meter:
    """Counts the calls that a fault has seen and taken. With `over`, it lets up to a second's worth pass at once after
    a quiet time."""

    def __init__(self, fault: Fault, clock: Callable[[], float]) -> None:
        self._fault = fault
        self._clock = clock
        self._seen = 0
        self._left, self._at = fault.over, clock()
        self.taken = 0

    def takes(self) -> bool:
        """Count a call and return whether the fault applies to it."""
        self._seen += 1
        taken = self._too_fast() if self._fault.over else 0 < self._seen - self._fault.after <= self._fault.times
        self.taken += taken
        return taken

    def _too_fast(self) -> bool:
        now = self._clock()
        self._left = min(self._fault.over, self._left + (now - self._at) * self._fault.over)
        self._at = now
        if self._left < 1:
            return True
        self._left -= 1
        return False


class Schedule:
    """The loaded faults, each with its meter. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._faults: tuple[tuple[Fault, Meter], ...] = ()

    def load(self, data: Sequence[Any]) -> None:
        """Replace the schedule."""
        faults = tuple((fault, Meter(fault, self._clock)) for fault in map(Fault.parse, data))
        with self._lock:
            self._faults = faults

    def fire(self, call: Call) -> list[Effect]:
        """The effects of this call, in the schedule's order."""
        with self._lock:
            return [fault.effect for fault, meter in self._faults if fault.means(call) and meter.takes()]

    def fired(self) -> list[int]:
        """How often each fault has taken effect."""
        with self._lock:
            return [meter.taken for _fault, meter in self._faults]
