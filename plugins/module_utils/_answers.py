# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checked readers for what servers and programs answer, which may have any shape. Pure. PRIVATE to the collection."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

LONGEST = 600
"""Maximum number of characters that a sentence quotes from a server."""

_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|[@-_])")
"""Control sequences that terminals act on (ECMA-48), such as colors."""


class Odd(ValueError):
    """An answer whose shape differs from the API's. The text is a clause."""


def tidy(text: Any, longest: int = LONGEST) -> str:
    """A text on one line, of limited length and without control sequences. Empty if the value is not a text."""
    if not isinstance(text, str):
        return ""
    # Cut it before working on it: a text of several megabytes takes too long.
    start = _ESCAPES.sub("", text[: 8 * longest])
    if not start.isprintable():
        start = "".join(one if one.isprintable() else " " for one in start)
    line = " ".join(start.split())
    return line if len(line) <= longest and len(text) <= 8 * longest else f"{line[: longest - 3]}..."


def loaded(raw: bytes | str) -> Any:
    """The parsed JSON, however deeply it is nested. Raises Odd."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise Odd("the answer is not JSON") from None


def text_in(body: Mapping[str, Any], field: str, longest: int = LONGEST) -> str:
    """A field's text, tidied up; empty if it is not set. Raises Odd."""
    value = body.get(field)
    if value is not None and not isinstance(value, str):
        raise Odd(f"field {field} is not text")
    return tidy(value, longest)


def object_in(body: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """A field's object; empty if it is not set. Raises Odd."""
    value = body.get(field)
    if value is not None and not isinstance(value, Mapping):
        raise Odd(f"field {tidy(field, 80)} is not an object")
    return value or {}


def objects_in(body: Mapping[str, Any], field: str) -> tuple[Mapping[str, Any], ...]:
    """A field's list of objects; empty if it is not set. Raises Odd."""
    value = body.get(field)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise Odd(f"field {tidy(field, 80)} is not a list of objects")
    return tuple(value)


def some_objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """The objects in a value that may be a list, for details that a sentence only mentions."""
    return (item for item in value if isinstance(item, Mapping)) if isinstance(value, list) else iter(())
