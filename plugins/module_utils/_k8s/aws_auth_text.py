# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The text of aws-auth's mapRoles and mapUsers: one entry added, replaced or removed, every other byte kept.

Pure. The text is read as aws-iam-authenticator reads it (one YAML document, a list of mappings), the change is made in
the text itself, and the result is read again as proof: it must be the old list with just that change. A text that
cannot be read is refused with the line. PRIVATE to the collection.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._engine import Refused

try:
    import yaml

    MISSING = ""
except ImportError as error:
    MISSING = str(error)

KINDS = {"mapRoles": "rolearn", "mapUsers": "userarn"}
"""The ConfigMap's keys, and which key of an entry names its principal."""

_ROLE_PATH = re.compile(r"^(arn:[^:]+:iam::[^:]*:role)/(?:.*/)?([^/]+)$")


@dataclass(frozen=True)
class Entry:
    """One mapping: who (an IAM ARN) becomes which Kubernetes user, in which groups."""

    arn: str
    username: str
    groups: tuple[str, ...]

    def as_dict(self, kind: str) -> dict[str, Any]:
        return {KINDS[kind]: self.arn, "username": self.username, "groups": list(self.groups)}


@dataclass(frozen=True)
class Item:
    """An entry as it stands in the text: what it says, and the indexes where it starts (its dash) and its text ends."""

    value: dict[str, Any]
    start: int
    end: int


@dataclass(frozen=True)
class Document:
    """A text that was read. flow: whether the list is written as [...]; start, end: where the list's node is."""

    items: tuple[Item, ...]
    flow: bool
    start: int
    end: int

    @property
    def values(self) -> list[dict[str, Any]]:
        return [item.value for item in self.items]


def without_path(arn: str) -> str:
    """The ARN as aws-auth needs it: a role that is assumed has lost its path there, a user keeps it.

    Source: aws-iam-authenticator, pkg/arn (Canonicalize) and its issue 268.
    """
    return _ROLE_PATH.sub(r"\1/\2", arn)


def same_principal(one: str, other: str) -> bool:
    """Whether two ARNs name one principal to the authenticator, which lower-cases them."""
    return without_path(one).lower() == without_path(other).lower()


def find(text: str | None, kind: str, arn: str) -> tuple[Entry, ...]:
    """The entries of this principal, as they stand. Raises Refused for a text that cannot be read."""
    return tuple(
        Entry(_principal(value, kind), str(value.get("username") or ""), tuple(map(str, value.get("groups") or ())))
        for value in read(text or "", kind).values
        if same_principal(_principal(value, kind), arn)
    )


def put(text: str | None, kind: str, entry: Entry) -> str:
    """The text in which this principal has this entry and no other. Unchanged where it has, or one with more groups."""
    held = find(text, kind, entry.arn)
    if len(held) == 1 and held[0].username == entry.username and set(entry.groups) <= set(held[0].groups):
        return text or ""
    cleared = remove(text, kind, entry.arn)
    document = read(cleared, kind)
    value = entry.as_dict(kind)
    return _proved(_added(cleared, document, value), kind, [*document.values, value])


def remove(text: str | None, kind: str, arn: str) -> str:
    """The text without this principal's entries."""
    left = text or ""
    for _entry in find(left, kind, arn):
        document = read(left, kind)
        place = [same_principal(_principal(value, kind), arn) for value in document.values].index(True)
        others = document.values[:place] + document.values[place + 1 :]
        left = _proved(_cut(left, document, place), kind, others)
    return left


def read(text: str, kind: str) -> Document:
    """Parse as strictly as it takes to be sure of the meaning. Raises Refused with the line."""
    if MISSING:
        raise Refused(f"The Python package PyYAML is needed where this runs: {MISSING}. Install PyYAML.")
    try:
        roots = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        tokens = list(yaml.scan(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise _unreadable(text, kind, getattr(error, "problem", "") or str(error), mark.line if mark else 0) from error
    if len(roots) > 1:
        raise _unreadable(text, kind, "a second YAML document starts here", roots[1].start_mark.line)
    if not roots:
        return Document((), False, len(text), len(text))
    root = roots[0]
    if root.tag == "tag:yaml.org,2002:null" or root.value == "":
        return Document((), False, root.start_mark.index, root.end_mark.index)
    if not isinstance(root, yaml.SequenceNode):
        raise _unreadable(text, kind, "this is not a list", root.start_mark.line)
    places = _flow_places(root) if root.flow_style else _block_places(root, tokens)
    if len(places) != len(root.value):
        raise _unreadable(text, kind, "the entries of this list are not clear", root.start_mark.line)
    items = tuple(Item(_checked(text, kind, node), *place) for node, place in zip(root.value, places, strict=True))
    return Document(items, bool(root.flow_style), root.start_mark.index, root.end_mark.index)


def _flow_places(root: Any) -> list[tuple[int, int]]:
    return [(node.start_mark.index, node.end_mark.index) for node in root.value]


def _block_places(root: Any, tokens: Sequence[Any]) -> list[tuple[int, int]]:
    """Each entry from its dash to where its last text ends; by tokens, as an alias's node lies where its anchor is."""
    dashes = [
        token.start_mark.index
        for token in tokens
        if isinstance(token, yaml.BlockEntryToken) and token.start_mark.column == root.start_mark.column
    ]
    texts = [
        (token.start_mark.index, token.end_mark.index)
        for token in tokens
        if not isinstance(token, (yaml.BlockEndToken, yaml.DocumentEndToken, yaml.StreamEndToken))
    ]
    return [
        (dash, max(end for start, end in texts if dash <= start < following))
        for dash, following in zip(dashes, [*dashes[1:], root.end_mark.index + 1], strict=True)
    ]


def _checked(text: str, kind: str, node: Any) -> dict[str, Any]:
    line = node.start_mark.line
    if not isinstance(node, yaml.MappingNode):
        raise _unreadable(text, kind, "this entry is not a mapping", line)
    keys = [key.value for key, _value in node.value]
    twice = sorted({str(key) for key in keys if keys.count(key) > 1})
    if twice:
        raise _unreadable(text, kind, f"this entry has {twice[0]} twice", line)
    value: dict[str, Any] = _value(node)
    if not isinstance(value.get("groups") or [], list):
        raise _unreadable(text, kind, "the groups of this entry are not a list", line)
    return value


def _value(node: Any) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _added(text: str, document: Document, value: dict[str, Any]) -> str:
    if document.flow:
        return _added_to_flow(text, document, json.dumps(value))
    newline = "\r\n" if "\r\n" in text else "\n"
    if not document.items:
        before, after = text[: document.start], text[document.end :]
        gap = newline if before and not before.endswith("\n") else ""
        return before + gap + newline.join(_block(value, "")) + newline + after.lstrip(" ")
    last = document.items[-1]
    indent = text[text.rfind("\n", 0, last.start) + 1 : last.start]
    lines = newline.join(_block(value, indent))
    at = _line_end(text, last.end)
    if text[:at].endswith("\n"):
        return text[:at] + lines + newline + text[at:]
    return text[:at] + newline + lines + text[at:]


def _added_to_flow(text: str, document: Document, written: str) -> str:
    if not document.items:
        return text[: document.start + 1] + written + text[document.start + 1 :]
    last = document.items[-1]
    lead = text[text.rfind("\n", 0, last.start) + 1 : last.start]
    own_line = "\n" in text[: last.start] and not lead.strip()
    return text[: last.end] + (",\n" + lead if own_line else ", ") + written + text[last.end :]


def _block(value: dict[str, Any], indent: str) -> list[str]:
    """The entry as lines; JSON's double quotes are YAML's, so that no text is taken for something else."""
    lines = [f"{key}: {json.dumps(text)}" for key, text in value.items() if key != "groups"]
    lines += (
        ["groups:", *(f"- {json.dumps(group)}" for group in value["groups"])] if value["groups"] else ["groups: []"]
    )
    return [f"{indent}{'  ' if number else '- '}{line}" for number, line in enumerate(lines)]


def _cut(text: str, document: Document, place: int) -> str:
    items, item = document.items, document.items[place]
    if document.flow:
        if place + 1 < len(items):
            return text[: item.start] + text[items[place + 1].start :]
        return text[: items[place - 1].end if place else item.start] + text[item.end :]
    start, end = text.rfind("\n", 0, item.start) + 1, _line_end(text, item.end)
    if not text[:end].endswith("\n"):  # the text's last line: what parted it from the one before goes too
        start = len(text[:start].rstrip("\r\n"))
    return text[:start] + text[end:]


def _line_end(text: str, index: int) -> int:
    """Index behind the line break of the line that index lies in, or at once where a line break precedes index."""
    if text[:index].endswith("\n"):
        return index
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1


def _principal(value: dict[str, Any], kind: str) -> str:
    return str(value.get(KINDS[kind]) or "")


def _proved(text: str, kind: str, wanted: Sequence[dict[str, Any]]) -> str:
    try:
        found = read(text, kind).values
    except Refused:
        found = None
    if found != list(wanted):
        raise Refused(
            f"aws-auth's {kind} is written in a way that cannot be changed in place without touching other entries."
            " Write it as a plain list of mappings, then run again."
        )
    return text


def _unreadable(text: str, kind: str, why: str, line: int) -> Refused:
    lines = text.splitlines() or [""]
    shown = lines[min(line, len(lines) - 1)].strip()
    return Refused(
        f"aws-auth's {kind} cannot be read, {why}, in line {line + 1}: {shown!r}. Correct it, then run again."
    )
