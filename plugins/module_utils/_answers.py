# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers of servers and programs, which may be of any shape: checked readers. Pure. PRIVATE to the collection."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

LONGEST = 600
"""Characters of a server's own words that a sentence shows at most."""

_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|[@-_])")
"""What terminals obey (ECMA-48), colours for one."""


class Odd(ValueError):
    """An answer of another shape than the API has. The text is a clause."""


def tidy(text: Any, longest: int = LONGEST) -> str:
    """A text on one line, of bounded length, without what a terminal would obey. Empty for what is no text."""
    if not isinstance(text, str):
        return ""
    # Cut before it is worked on: a text of megabytes takes its time.
    start = _ESCAPES.sub("", text[: 8 * longest])
    line = " ".join("".join(one if one.isprintable() else " " for one in start).split())
    return line if len(line) <= longest and len(text) <= 8 * longest else f"{line[: longest - 3]}..."


def loaded(raw: bytes | str) -> Any:
    """What JSON says, however deep it is. Raises Odd."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise Odd("the answer is not JSON") from None


def text_in(body: Mapping[str, Any], field: str, longest: int = LONGEST) -> str:
    """A field's text, tidy, or an empty one where it is not set. Raises Odd."""
    value = body.get(field)
    if value is not None and not isinstance(value, str):
        raise Odd(f"field {field} is not text")
    return tidy(value, longest)


def object_in(body: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """A field's object, an empty one where it is not set. Raises Odd."""
    value = body.get(field)
    if value is not None and not isinstance(value, Mapping):
        raise Odd(f"field {tidy(field, 80)} is not an object")
    return value or {}


def objects_in(body: Mapping[str, Any], field: str) -> tuple[Mapping[str, Any], ...]:
    """A field's list of objects, an empty one where it is not set. Raises Odd."""
    value = body.get(field)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise Odd(f"field {tidy(field, 80)} is not a list of objects")
    return tuple(value)


def some_objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """The objects of what may be a list, for what a sentence only mentions."""
    return (item for item in value if isinstance(item, Mapping)) if isinstance(value, list) else iter(())
