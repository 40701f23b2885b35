# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""IAM conditions: parses and evaluates the part of Google's expression language that policies use.

As at Google, a condition is false if the call does not have one of its attributes. Google's page "Attribute reference
for IAM Conditions" lists the attributes and functions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

LOGICAL = 12  # operators in one condition; `in [...]` does not count
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<number>\d+)|(?P<word>[A-Za-z_]\w*)"""
    r"""|(?P<sign>&&|\|\||==|!=|<=|>=|[<>!()\[\],.]))"""
)
_COMPARES = {
    "==": lambda one, two: one == two,
    "!=": lambda one, two: one != two,
    "<": lambda one, two: one < two,
    "<=": lambda one, two: one <= two,
    ">": lambda one, two: one > two,
    ">=": lambda one, two: one >= two,
}


class BadCondition(Exception):
    """The expression cannot be read."""


def holds(expression: str, attributes: Mapping[str, Any]) -> bool:
    """Whether the condition is met. attributes: by dotted name, such as resource.name; request.time is a datetime."""
    try:
        return _Reader(expression, attributes).whole() is True
    except (TypeError, ValueError):
        return False


def check(expression: str) -> int:
    """How many logical operators an expression has. Raises BadCondition for one that cannot be read."""
    reader = _Reader(expression, None)
    reader.whole()
    return reader.logical


class _Reader:
    """Recursive descent, which decides while it reads. attributes: None to read only."""

    def __init__(self, expression: str, attributes: Mapping[str, Any] | None) -> None:
        self._expression = expression
        self._attributes = attributes
        self._tokens = list(_tokens(expression))
        self.logical = 0

    def whole(self) -> Any:
        value = self._either()
        if self._tokens:
            raise BadCondition(f"unexpected {self._tokens[0][1]!r} in {self._expression!r}")
        return value

    def _next(self) -> str:
        return self._tokens[0][1] if self._tokens else ""

    def _take(self, wanted: str = "") -> tuple[str, str]:
        if not self._tokens or (wanted and self._next() != wanted):
            raise BadCondition(f"expected {wanted or 'more'} in {self._expression!r}")
        return self._tokens.pop(0)

    def _either(self) -> Any:
        value = self._both()
        while self._next() == "||":
            self._take()
            self.logical += 1
            other = self._both()
            value = value is True or other is True
        return value

    def _both(self) -> Any:
        value = self._not()
        while self._next() == "&&":
            self._take()
            self.logical += 1
            other = self._not()
            value = value is True and other is True
        return value

    def _not(self) -> Any:
        if self._next() == "!":
            self._take()
            self.logical += 1
            return self._not() is False
        return self._compared()

    def _compared(self) -> Any:
        one = self._called()
        sign = self._next()
        if sign in _COMPARES:
            self._take()
            other = self._called()
            return None if _MISSING in (one, other) or self._attributes is None else _COMPARES[sign](one, other)
        if sign == "in":
            self._take()
            other = self._called()
            return None if _MISSING in (one, other) or self._attributes is None else one in other
        return one

    def _called(self) -> Any:
        value = self._simple()
        while self._next() == ".":
            self._take()
            name = self._take()[1]
            given = self._arguments()
            if name not in _FUNCTIONS:
                raise BadCondition(f"no function {name} in {self._expression!r}")
            unknown = value is _MISSING or self._attributes is None
            value = _MISSING if unknown else _FUNCTIONS[name](value, *given)
        return value

    def _arguments(self) -> list[Any]:
        self._take("(")
        found: list[Any] = []
        while self._next() != ")":
            found.append(self._either())
            if self._next() == ",":
                self._take()
        self._take(")")
        return found

    def _simple(self) -> Any:
        kind, text = self._take()
        if kind == "text":
            return json.loads(f'"{text[1:-1]}"') if text[0] == "'" else json.loads(text)
        if kind == "number":
            return int(text)
        if text == "(":
            value = self._either()
            self._take(")")
            return value
        if text == "[":
            found: list[Any] = []
            while self._next() != "]":
                found.append(self._either())
                if self._next() == ",":
                    self._take()
            self._take("]")
            return found
        if kind != "word":
            raise BadCondition(f"unexpected {text!r} in {self._expression!r}")
        return self._named(text)

    def _named(self, name: str) -> Any:
        """A constant, a function or an attribute."""
        if name in ("true", "false"):
            return name == "true"
        if name == "timestamp":
            (text,) = self._arguments()
            return datetime.fromisoformat(str(text).replace("Z", "+00:00"))
        while self._next() == "." and [token for _kind, token in self._tokens[2:3]] != ["("]:
            self._take()
            name = f"{name}.{self._take()[1]}"
        if name == "api" and self._next() == ".":
            self._take()
            self._take("getAttribute")
            wanted, default = self._arguments()
            return default if self._attributes is None else self._attributes.get(wanted, default)
        if name not in _KNOWN:
            raise BadCondition(f"undeclared reference to '{name}' in {self._expression!r}")
        return _MISSING if self._attributes is None else self._attributes.get(name, _MISSING)


_MISSING: Any = object()
_KNOWN = (
    *("resource.name", "resource.type", "resource.service", "request.time"),
    *("request.auth.claims.email", "request.host", "request.path"),
)
_FUNCTIONS: Mapping[str, Any] = {
    "startsWith": lambda value, other: value.startswith(other),
    "endsWith": lambda value, other: value.endswith(other),
    "contains": lambda value, other: other in value,
    "matches": lambda value, other: re.search(other, value) is not None,
    "hasOnly": lambda value, allowed: set(value) <= set(allowed),
}


def _tokens(expression: str) -> Iterator[tuple[str, str]]:
    at, text = 0, expression.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if not found:
            raise BadCondition(f"cannot read {text[at:]!r}")
        at = found.end()
        kind = found.lastgroup or ""
        yield kind, found[kind]
