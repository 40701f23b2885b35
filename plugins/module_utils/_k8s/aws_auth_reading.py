# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The text of aws-auth's mapRoles and mapUsers, read as aws-iam-authenticator reads it.

Pure. The authenticator converts the first YAML document to JSON (sigs.k8s.io/yaml on go-yaml 2) and reads it with Go's
encoding/json: keys match regardless of case, of keys that only differ in case the last in byte order counts, a value of
another type is left out, and if neither library can read something, none of the text is in force. Only PyYAML's events
are used: its constructors know other scalars than go-yaml, and its composer recurses. PRIVATE to the collection.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from hashlib import sha256
from itertools import islice
from typing import Any

from .._engine import Refused

try:
    import yaml

    MISSING = ""

    class _Loader(yaml.SafeLoader):
        """PyYAML's scanner, but with tabs wherever go-yaml allows them, and fast with thousands of nested levels.

        PyYAML looks at the possible keys of all levels for each token. They are kept in the order in which they came,
        so the oldest is the first.
        """

        possible_simple_keys: dict[int, Any]

        def scan_to_next_token(self) -> None:
            super().scan_to_next_token()
            while self.peek() == "\t" and (self.flow_level or not self.allow_simple_key):
                self.forward()
                super().scan_to_next_token()

        def scan_plain_spaces(self, indent: Any, start_mark: Any) -> Any:
            length = 0
            while self.peek(length) in (" ", "\t"):
                length += 1
            blanks = self.prefix(length)
            self.forward(length)
            if BREAK.match(self.peek()):
                return super().scan_plain_spaces(indent, start_mark)
            return [blanks] if blanks else []

        def stale_possible_simple_keys(self) -> None:
            if any(self._is_stale(key) for key in self._oldest()):
                super().stale_possible_simple_keys()

        def next_possible_simple_key(self) -> Any:
            return next((key.token_number for key in self._oldest()), None)

        def _oldest(self) -> Iterator[Any]:
            return islice(self.possible_simple_keys.values(), 1)

        def _is_stale(self, key: Any) -> bool:
            return bool(key.line != self.line or self.index - key.index > 1024)

except ImportError as error:
    MISSING = str(error)

KINDS = {"mapRoles": "rolearn", "mapUsers": "userarn"}
"""The ConfigMap's keys, and which key of an entry names its principal."""

BOM = "\ufeff"
BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
"""A line break of YAML 1.1."""

_FIELDS = (*KINDS.values(), "username", "groups", "userid")
_SKIPPED = ("", "``", '""', "''")
"""Texts that the authenticator reads as no text."""
_DEEPEST = 10_000
_SHOWN = 80
"""The most characters of a line that a sentence shows."""

_TAG = "tag:yaml.org,2002:"
_RESOLVED_TAGS = ("bool", "float", "int", "null", "str", "timestamp")
_NULLS = ("", "~", "null", "Null", "NULL")
_BOOLS = re.compile(r"y|Y|n|N|(?:yes|no|on|off|true|false)|(?:Yes|No|On|Off|True|False)|(?:YES|NO|ON|OFF|TRUE|FALSE)")
_ENDLESS = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_INTEGER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0[bB][01]+|[1-9][0-9]*|0)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}")


class _Other(Enum):
    """Scalars that are not text."""

    NULL = "null"
    PLAIN = "a number or a boolean"
    HUGE = "a number above 2^63"
    ENDLESS = "an infinite number"


@dataclass
class _Node:
    """A YAML node. end is the index after it; flow: whether it is written as [...] or {...}.

    content: the value of a scalar. fields: the keys of a mapping that count, spelled as they are, with merged ones.
    twice: the first of the mapping's own keys that occurs twice. digest: equal for the same meaning and style. weight:
    how many nodes it stands for with its aliases expanded; aliased: how many of those come from aliases.
    """

    line: int
    start: int
    end: int
    kind: str
    flow: bool = False
    content: str | _Other = ""
    children: list[_Node] = field(default_factory=list)
    fields: dict[str, _Node] = field(default_factory=dict)
    twice: str = ""
    target: _Node | None = None
    merges: bool = False
    digest: str = ""
    weight: int = 1
    aliased: int = 0

    @property
    def real(self) -> _Node:
        return self.target or self


@dataclass(frozen=True)
class Entry:
    """One mapping: which principal (an IAM ARN) becomes which Kubernetes user, in which groups."""

    arn: str
    username: str
    groups: tuple[str, ...]

    def as_dict(self, kind: str) -> dict[str, Any]:
        return {KINDS[kind]: self.arn, "username": self.username, "groups": list(self.groups)}


@dataclass(frozen=True)
class Item:
    """An entry as it is written in the text.

    entry: the part that is in force. fault: what is wrong with it, empty if nothing is. meaning: everything that it
    says. line: its first, counted from 0. start, end: the indexes of its dash and after its text.
    """

    entry: Entry
    fault: str
    meaning: str
    line: int
    start: int
    end: int


@dataclass(frozen=True)
class Document:
    """A text that was read. flow: whether the list is written as [...]; start, end: where the list's node is."""

    items: tuple[Item, ...]
    flow: bool
    start: int
    end: int


class _Unread(Exception):
    """Why the authenticator cannot read a text."""


@lru_cache(maxsize=8)
def read(text: str, kind: str) -> Document:
    """The text, without a byte order mark. Raises Refused with the line if none of it would be in force."""
    if MISSING:
        raise Refused(f"The Python package PyYAML is needed on this machine: {MISSING}. Install PyYAML.")
    if text.strip() in _SKIPPED:
        return Document((), False, *_blank(text))
    root, tokens = _parsed(text, kind)
    if root is None:
        return Document((), False, len(text), len(text))
    if root.content is _Other.NULL or (root.kind == "scalar" and root.content == ""):
        return Document((), False, root.start, root.end)
    if root.kind != "list":
        raise unreadable(text, kind, "this is not a list", root.line)
    places = [(node.start, node.end) for node in root.children] if root.flow else _block_places(root, tokens)
    if len(places) != len(root.children):
        raise unreadable(text, kind, "the entries of this list are ambiguous", root.line)
    items = tuple(_item(node, kind, *place) for node, place in zip(root.children, places, strict=True))
    return Document(items, root.flow, root.start, root.end)


def unreadable(text: str, kind: str, why: str, line: int) -> Refused:
    """line is counted from 0, the sentence's from 1."""
    lines = BREAK.split(text)
    shown = lines[min(line, len(lines) - 1)].strip()
    shown = repr(shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}...")
    return Refused(f"aws-auth's {kind} cannot be read, {why}, in line {line + 1}: {shown}. Correct it, then run again.")


def _blank(text: str) -> tuple[int, int]:
    """The part of an empty text that a list has to replace, because YAML would not allow it before one."""
    inner = text.strip(" \r\n")
    start = text.index(inner) if inner else len(text)
    return start, start + len(inner)


def _parsed(text: str, kind: str) -> tuple[_Node | None, list[Any]]:
    """The root, None if there is no document, and PyYAML's tokens."""
    if text.startswith(BOM):
        raise unreadable(text, kind, "a second byte order mark follows the first", 0)
    try:
        return _compose(text, kind), list(yaml.scan(text, Loader=_Loader))
    except yaml.reader.ReaderError as error:
        line = len(BREAK.findall(text[: error.position]))
        raise unreadable(text, kind, f"the character U+{error.character:04X} is not allowed", line) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise unreadable(text, kind, getattr(error, "problem", "") or str(error), mark.line if mark else 0) from error
    except (ValueError, OverflowError) as error:  # PyYAML's chr() of an escape such as "\\UFFFFFFFF"
        found = re.search(r"\\U(?!000|0010)", text)
        line = len(BREAK.findall(text[: found.start()])) if found else 0
        raise unreadable(text, kind, "an escape sequence stands for a character that does not exist", line) from error


def _compose(text: str, kind: str) -> _Node | None:
    """The root of the only document; None if there is no document."""
    anchors: dict[str, _Node] = {}
    open_nodes: list[_Node] = []
    root: _Node | None = None
    events: Iterator[Any] = iter(yaml.parse(text, Loader=_Loader))
    for event in events:
        line, end = event.start_mark.line, event.end_mark.index
        try:
            if root is not None and not open_nodes and isinstance(event, yaml.NodeEvent):
                raise _Unread("a second YAML document starts here")
            if isinstance(event, yaml.DocumentStartEvent) and event.version not in (None, (1, 1)):
                raise _Unread("this requires a version of YAML other than 1.1")
            if isinstance(event, yaml.CollectionEndEvent):
                line = open_nodes[-1].line
                _close(open_nodes.pop(), end)
            elif isinstance(event, yaml.NodeEvent):
                node = _opened(event, anchors, open_nodes)
                root = root or node
        except _Unread as error:
            raise unreadable(text, kind, str(error), line) from error
    if root and _excessive(root.weight + 1, root.aliased):
        raise unreadable(text, kind, "its aliases expand to too much", root.line)
    return root


def _opened(event: Any, anchors: dict[str, _Node], open_nodes: list[_Node]) -> _Node:
    """The node that the event starts, put into the innermost open one; a list or mapping stays open from now on."""
    node = _node(event, anchors, open_nodes)
    if open_nodes:
        open_nodes[-1].children.append(node)
    if not isinstance(event, yaml.CollectionStartEvent):
        _close(node, node.end)
    elif len(open_nodes) + 1 >= _DEEPEST:
        raise _Unread("this is nested too deep")
    else:
        open_nodes.append(node)
    return node


def _node(event: Any, anchors: dict[str, _Node], open_nodes: Sequence[_Node]) -> _Node:
    start, end = event.start_mark, event.end_mark
    node = _Node(start.line, start.index, end.index, "scalar")
    if isinstance(event, yaml.AliasEvent):
        node.kind, node.target = "alias", anchors.get(str(event.anchor))
        if node.target is None:
            raise _Unread(f"anchor {event.anchor} is not defined")
        if any(node.target is one for one in open_nodes):
            raise _Unread(f"anchor {event.anchor} contains itself")
        return node
    if event.anchor is not None:
        anchors[event.anchor] = node
    if isinstance(event, yaml.ScalarEvent):
        tag = f"{_TAG}str" if event.tag == "!" else event.tag
        node.content = _resolved(tag, event.implicit[0], event.value)
        node.merges = event.value == "<<" and (event.implicit[0] or tag == f"{_TAG}merge")
        node.digest = _digest(tag, event.implicit[0], event.value)
        return node
    node.kind = "list" if isinstance(event, yaml.SequenceStartEvent) else "mapping"
    node.flow = bool(event.flow_style)
    return node


def _close(node: _Node, end: int) -> None:
    """Set what follows from a node's children, or from an alias's target. Raises _Unread."""
    node.end = end
    if node.target:
        node.digest, node.weight, node.aliased = node.target.digest, node.target.weight + 1, node.target.weight
    elif node.kind != "scalar":
        node.digest = _digest(node.kind, *(child.digest for child in node.children))
        node.weight += sum(child.weight for child in node.children)
        node.aliased = sum(child.aliased for child in node.children)
        if node.kind == "mapping":
            _close_mapping(node)
        if any(child.real.content is _Other.ENDLESS for child in node.children):
            raise _Unread(f"it holds {_Other.ENDLESS.value}")


def _close_mapping(node: _Node) -> None:
    """A later key overrides an earlier one, merged keys too: go-yaml 2 merges at the place of the <<."""
    own: list[str] = []
    for key, value in zip(node.children[::2], node.children[1::2], strict=True):
        if key.merges:
            for source in _merged(value):
                node.fields.update(source.fields)
            continue
        name = key.real.content
        if key.real.kind != "scalar" or name in (_Other.NULL, _Other.HUGE):
            raise _Unread(f"a key is {_a(key.real)}")
        if isinstance(name, str) and name.casefold() in _FIELDS:
            node.fields[name] = value.real
            own.append(name.casefold())
    node.twice = next((name for name, count in Counter(own).items() if count > 1), "")


def _merged(value: _Node) -> Iterator[_Node]:
    """The mappings that a << merges, the one that takes precedence last."""
    sources = reversed(value.children) if value.kind == "list" else [value]
    for source in sources:
        if source.real.kind != "mapping":
            raise _Unread("the value of a << is not a mapping")
        yield source.real


def _a(node: _Node) -> str:
    return node.content.value if isinstance(node.content, _Other) else f"a {node.kind}"


def _resolved(tag: str | None, plain: bool, value: str) -> str | _Other:
    """How go-yaml 2 reads a scalar: with an unknown tag it stays text, and a date is text."""
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise _Unread("it escapes only half of a character")
    short = tag[len(_TAG) :] if tag and tag.startswith(_TAG) else tag
    if short == "binary":
        try:
            return base64.b64decode(re.sub(r"[\r\n]", "", value), validate=True).decode(errors="replace")
        except (ValueError, binascii.Error) as error:
            raise _Unread("a !!binary value is not base64") from error
    if (short is None and not plain) or (short is not None and short not in _RESOLVED_TAGS) or short == "str":
        return value
    found, kind = _guessed(value)
    if short not in (None, kind) and (short, kind) != ("float", "int"):
        raise _Unread(f"a value with the tag !!{short} is not of that type")
    return found


def _guessed(value: str) -> tuple[str | _Other, str]:
    """What a plain scalar is, and its tag."""
    if value in _NULLS:
        return _Other.NULL, "null"
    if _BOOLS.fullmatch(value):
        return _Other.PLAIN, "bool"
    if _ENDLESS.fullmatch(value):
        return _Other.ENDLESS, "float"
    if _DATE.fullmatch(value):
        return value, "timestamp"
    bare = value.replace("_", "") if value[:1] not in (".", "_") else value
    if _INTEGER.fullmatch(bare):
        number = _integer(bare)
        if -(2**63) <= number < 2**63:
            return _Other.PLAIN, "int"
        if 0 < number < 2**64 and bare[0] != "+":
            return _Other.HUGE, "int"
    if _FLOAT.fullmatch(bare) and abs(float(bare)) != float("inf"):
        return _Other.PLAIN, "float"
    return value, "str"


def _integer(text: str) -> int:
    sign, digits = (-1, text[1:]) if text[0] == "-" else (1, text.lstrip("+"))
    prefix = digits[:2].lower()
    if prefix in ("0x", "0o", "0b"):
        return sign * int(digits, {"0x": 16, "0o": 8, "0b": 2}[prefix])
    if len(digits) > _SHOWN:  # Python refuses to parse thousands of digits
        return sign * 2**64
    return sign * int(digits, 8 if digits[0] == "0" else 10)


def _digest(*parts: object) -> str:
    return sha256(repr(parts).encode()).hexdigest()


def _excessive(weight: int, aliased: int) -> bool:
    """Whether go-yaml refuses so many nodes from aliases: above 99 in 100, in large documents above 10 in 100."""
    if aliased <= 100 or weight <= 1000:
        return False
    part = min(max(weight - 400_000, 0), 3_600_000)
    return aliased * 100 * 3_600_000 > weight * (99 * 3_600_000 - 89 * part)


def _block_places(root: _Node, tokens: Sequence[Any]) -> list[tuple[int, int]]:
    """Each entry from its dash to the end of its last text; by tokens, because an entry may be nothing but its dash."""
    places: list[tuple[int, int]] = []
    column = next(token.start_mark.column for token in tokens if isinstance(token, yaml.BlockEntryToken))
    for token in tokens:
        start, end = token.start_mark.index, token.end_mark.index
        if isinstance(token, yaml.BlockEntryToken) and token.start_mark.column == column:
            places.append((start, end))
        elif start >= root.end or isinstance(token, (yaml.BlockEndToken, yaml.DocumentEndToken, yaml.StreamEndToken)):
            continue
        elif places:
            places[-1] = (places[-1][0], max(places[-1][1], end))
    return places


def _item(node: _Node, kind: str, start: int, end: int) -> Item:
    entry, fault = _entry(node.real, kind)
    return Item(entry, fault, node.digest, node.line, start, end)


def _entry(node: _Node, kind: str) -> tuple[Entry, str]:
    """How encoding/json reads an entry, and what is wrong with it."""
    if node.kind != "mapping":
        empty = node.content is _Other.NULL
        return Entry("", "", ()), "" if empty else "this entry is not a mapping"
    texts = {KINDS[kind]: "", "username": "", "userid": ""}
    groups: tuple[str, ...] = ()
    fault = f"this entry has {node.twice} twice" if node.twice else ""
    for name in sorted(node.fields, key=str.encode):
        value, key = node.fields[name], name.casefold()
        if key == "groups":
            if value.kind == "list":
                contents = [child.real.content if child.real.kind == "scalar" else None for child in value.children]
                groups = tuple(content if isinstance(content, str) else "" for content in contents)
                if not all(isinstance(content, str) or content is _Other.NULL for content in contents):
                    fault = fault or "a group of this entry is not text"
            elif value.content is _Other.NULL:
                groups = ()
            else:
                fault = fault or "the groups of this entry are not a list"
        elif key in texts:
            if value.kind == "scalar" and isinstance(value.content, str):
                texts[key] = value.content
            elif value.content is not _Other.NULL:
                fault = fault or f"the {key} of this entry is not text"
    return Entry(texts[KINDS[kind]], texts["username"], groups), fault
