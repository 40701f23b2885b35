# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Schedules of faults: what to do to which call, as data.

A schedule is a JSON list. Each fault says which calls it means (`system`, `operation` and `resource` as regular
expressions, `write`), how many matches it lets pass (`after`, default 0), how many it then takes (`times`, default 1),
and exactly one effect: fail, throttle, delay, lose, hide, rival or end (see README.md).
"""

from __future__ import annotations

import re
import threading
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
    """Answer that there are too many calls."""

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
    """After the (creating) call, so many reads of the same resource find nothing."""

    reads: int


@dataclass(frozen=True)
class Rival:
    """Another writer's call just before this one: an HTTP request, or a verb of the back end's `control`."""

    method: str = ""
    path: str = ""
    body: Any = None
    host: str = ""
    verb: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class End:
    """KILL the caller before the call is handed on, or after it took effect and before it is answered."""

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

    @classmethod
    def parse(cls, data: Any) -> Fault:
        """A fault from its JSON object. Raises ValueError with a sentence for whatever is unknown or missing."""
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


class Schedule:
    """The faults loaded, each with how many matching calls it has seen. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: tuple[Fault, ...] = ()
        self._seen: list[int] = []

    def load(self, data: Sequence[Any]) -> None:
        """Replace the schedule."""
        faults = tuple(Fault.parse(item) for item in data)
        with self._lock:
            self._faults, self._seen = faults, [0] * len(faults)

    def fire(self, call: Call) -> list[Effect]:
        """The effects of this call, in the schedule's order."""
        effects = []
        with self._lock:
            for number, fault in enumerate(self._faults):
                if fault.means(call):
                    self._seen[number] += 1
                    if fault.after < self._seen[number] <= fault.after + fault.times:
                        effects.append(fault.effect)
        return effects

    def fired(self) -> list[int]:
        """How often each fault has taken effect."""
        with self._lock:
            return [
                max(0, min(seen - fault.after, fault.times))
                for fault, seen in zip(self._faults, self._seen, strict=True)
            ]
