# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The text of aws-auth's mapRoles and mapUsers: one entry added, replaced or removed, every other byte kept.

Pure. The text is read as aws-iam-authenticator reads it (aws_auth_reading), the change is made in the text itself, and
the result is read again as proof: it must be the old list with just that change. A text that cannot be read is refused
with the line, and so is a change to an entry of which only a part can be read. PRIVATE to the collection.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from .._engine import Refused
from .aws_auth_reading import BOM, BREAK, Document, Entry, Item, read, unreadable

_ROLE_PATH = re.compile(r"^(arn:[^:]+:iam::[^:]*:role)/(?:.*/)?([^/]+)$")
_BREAKS = "\n\r\x85\u2028\u2029"


def without_path(arn: str) -> str:
    """The ARN as aws-auth needs it: an assumed role has lost its path there, a user keeps it.

    Source: aws-iam-authenticator, pkg/arn (Canonicalize) and its issue 268.
    """
    return _ROLE_PATH.sub(r"\1/\2", arn)


def matches(held: str, arn: str) -> bool:
    """Whether an entry's ARN lets in the principal with this ARN, which has no path if it is a role.

    The authenticator converts both to lower case and changes nothing else: an entry with a role's path matches nobody.
    """
    return _lower(held) == _lower(arn)


def find(text: str | None, kind: str, arn: str) -> tuple[Entry, ...]:
    """The principal's entries that are in force. Raises Refused for a text that cannot be read."""
    return tuple(item.entry for item in _items(_parted(text)[1], kind, arn))


def with_path(text: str | None, kind: str, arn: str) -> tuple[str, ...]:
    """The ARNs of entries that were meant for this role, or for one of its name: with a path, they match nobody."""
    _bom, held = _parted(text)
    found = [item.entry.arn for item in read(held, kind).items]
    return tuple(one for one in found if not matches(one, arn) and matches(without_path(_lower(one)), arn))


def put(text: str | None, kind: str, entry: Entry) -> str:
    """The text in which this principal has this entry and no other. Unchanged if it already has it, or one with more
    groups."""
    found = find(text, kind, entry.arn)
    if len(found) == 1 and found[0].username == entry.username and set(entry.groups) <= set(found[0].groups):
        return text or ""
    bom, cleared = _parted(remove(text, kind, entry.arn))
    document = read(cleared, kind)
    new = _added(cleared, document, entry.as_dict(kind))
    return bom + _proved(new, kind, document.items, entry)


def remove(text: str | None, kind: str, arn: str) -> str:
    """The text without this principal's entries."""
    bom, left = _parted(text)
    while found := _items(left, kind, arn):
        if found[0].fault:
            raise unreadable(left, kind, found[0].fault, found[0].line)
        document = read(left, kind)
        place = document.items.index(found[0])
        others = document.items[:place] + document.items[place + 1 :]
        left = _proved(_cut(left, document, place), kind, others)
    return bom + left


def _items(text: str, kind: str, arn: str) -> list[Item]:
    return [item for item in read(text, kind).items if matches(item.entry.arn, arn)]


def _lower(arn: str) -> str:
    """As Go does it: the one capital letter that Python converts to two characters becomes an i."""
    return arn.replace("\u0130", "i").lower()


def _parted(text: str | None) -> tuple[str, str]:
    """The byte order mark that a text begins with, and the text after it."""
    held = text or ""
    return (BOM, held[1:]) if held.startswith(BOM) else ("", held)


def _added(text: str, document: Document, value: dict[str, Any]) -> str:
    if document.flow:
        return _added_to_flow(text, document, _flow(value))
    newline = _newline(text)
    if not document.items:
        before, after = text[: document.start], text[document.end :]
        gap = newline if before and before[-1] not in _BREAKS else ""
        return before + gap + newline.join(_block(value, "")) + newline + after.lstrip(" ")
    last = document.items[-1]
    indent = text[_line_start(text, last.start) : last.start]
    lines = newline.join(_block(value, indent))
    at = _line_end(text, last.end)
    if text[at - 1] in _BREAKS:
        return text[:at] + lines + newline + text[at:]
    return text[:at] + newline + lines + text[at:]


def _added_to_flow(text: str, document: Document, written: str) -> str:
    if not document.items:
        inside = document.end - 1  # a tag or an anchor may precede the list
        return text[:inside] + written + text[inside:]
    last = document.items[-1]
    lead = text[_line_start(text, last.start) : last.start]
    own_line = bool(BREAK.search(text, 0, last.start)) and not lead.strip()
    return text[: last.end] + (f",{_newline(text)}{lead}" if own_line else ", ") + written + text[last.end :]


def _block(value: dict[str, Any], indent: str) -> list[str]:
    """The entry as lines, with double quotes, so that no text is read as another type."""
    lines = [f"{key}: {_quoted(text)}" for key, text in value.items() if key != "groups"]
    lines += ["groups:", *(f"- {_quoted(group)}" for group in value["groups"])] if value["groups"] else ["groups: []"]
    return [f"{indent}{'  ' if number else '- '}{line}" for number, line in enumerate(lines)]


def _cut(text: str, document: Document, place: int) -> str:
    items, item = document.items, document.items[place]
    if document.flow:
        if place + 1 < len(items):
            return _cut_before(text, item, items[place + 1])
        return text[: items[place - 1].end if place else item.start] + text[item.end :]
    start, end = _line_start(text, item.start), _line_end(text, item.end)
    if text[end - 1] not in _BREAKS:  # last line of the text: the line break before it goes too
        start -= 2 if text[:start].endswith("\r\n") else 1 if start else 0
    return text[:start] + text[end:]


def _cut_before(text: str, item: Item, following: Item) -> str:
    """Without an entry of a flow list and its comma; comments on the lines between it and the next entry stay."""
    line_end = _line_end(text, item.end)
    line_start = _line_start(text, item.start)
    comma = "," in text[item.end : line_end].partition("#")[0]
    if comma and not text[line_start : item.start].strip() and text[line_end : following.start].strip():
        return text[:line_start] + text[line_end:]
    return text[: item.start] + text[following.start :]


def _flow(value: dict[str, Any]) -> str:
    pairs = [f"{_quoted(key)}: {_quoted(text)}" for key, text in value.items() if key != "groups"]
    groups = ", ".join(_quoted(group) for group in value["groups"])
    return f"{{{', '.join(pairs)}, {_quoted('groups')}: [{groups}]}}"


def _quoted(text: str) -> str:
    """JSON's double quotes are also YAML's, but YAML has no escape pairs for one character, and escapes more."""
    return re.sub(
        r"[\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]",
        lambda found: f"\\u{ord(found[0]):04x}",
        json.dumps(text, ensure_ascii=False),
    )


def _newline(text: str) -> str:
    """The line break that the text uses."""
    found = BREAK.search(text)
    return found[0] if found and found[0] in ("\r\n", "\r") else "\n"


def _line_start(text: str, index: int) -> int:
    return max(text.rfind(character, 0, index) for character in _BREAKS) + 1


def _line_end(text: str, index: int) -> int:
    """The index after the line break of index's line, or index itself if a line break precedes it."""
    if index and text[index - 1] in _BREAKS:
        return index
    found = BREAK.search(text, index)
    return found.end() if found else len(text)


def _proved(text: str, kind: str, others: Sequence[Item], added: Entry | None = None) -> str:
    """The text, which must contain just these others, unchanged, and after them the added one."""
    if not _holds(text, kind, others, added):
        raise Refused(
            f"aws-auth's {kind} is written in a way that cannot be changed in place without touching other entries."
            " Write it as a plain list of mappings, then run again."
        )
    return text


def _holds(text: str, kind: str, others: Sequence[Item], added: Entry | None) -> bool:
    try:
        found = read(text, kind).items
    except Refused:
        return False
    kept, new = found[: len(others)], found[len(others) :]
    return (
        [item.meaning for item in kept] == [item.meaning for item in others]
        and [item.entry for item in new] == ([added] if added else [])
        and not any(item.fault for item in new)
    )
