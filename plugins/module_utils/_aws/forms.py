# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What IAM and EC2 accept: tags, paths, ARNs and policy documents. Checked before any call. Pure. PRIVATE.

Lengths and characters: the service model of IAM (botocore, iam/2010-05-08, shapes tagKeyType, tagValueType, pathType)
and IAM User Guide, "IAM and AWS STS quotas". Documents: "Grammar of the IAM JSON policy language".
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from .._credentials import quoted
from .._forms import IAM_PATH

TAGS = 50
"""How many tags an object may have."""

TAG_KEY, TAG_VALUE, PATH = 128, 256, 512
"""Maximum number of characters of a tag's key, a tag's value and a path."""

POLICIES = 25
"""The most managed policies that a role may have, with the highest quota there is; a new account's is 10."""

MANAGED_SIZE, INLINE_OF_ROLE_SIZE = 6144, 10240
"""Maximum number of characters, without white space, of a managed policy and of all inline policies of a role
together."""


_SERVICE_ROLES = "/aws-service-role/"

_OPERATORS = re.compile(
    r"(For(All|Any)Values:)?("
    r"String(Not)?(Equals|EqualsIgnoreCase|Like)|Numeric(Not)?Equals|Numeric(Less|Greater)Than(Equals)?"
    r"|Date(Not)?Equals|Date(Less|Greater)Than(Equals)?|Bool|BinaryEquals|(Not)?IpAddress|Arn(Not)?(Equals|Like)"
    r")(IfExists)?|Null",
    re.IGNORECASE,
)
_ACTION = re.compile(r"\*|[0-9A-Za-z-]+:[0-9A-Za-z*?]+")
_RESOURCE = re.compile(r"\*|arn:[^:]+:[^:]+:.*")
_SID = re.compile(r"[0-9A-Za-z]*")
_ELEMENTS = {
    "Sid",
    "Effect",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
}


def partition_of(region: str) -> str:
    """The partition of a region. Source: botocore's endpoints.json, regionRegex."""
    prefixes = {"cn-": "aws-cn", "us-gov-": "aws-us-gov", "us-iso-": "aws-iso", "us-isob-": "aws-iso-b"}
    return next((found for prefix, found in prefixes.items() if region.startswith(prefix)), "aws")


_OURS = "which this collection sets itself"
_RESERVED: Mapping[str, str] = {"aws:": "AWS", "cast:": "CAST AI", "castai-onboarding:": "this collection"}
"""Reserved prefixes of tag keys, and who uses them. CAST AI's policies let it delete objects with its tags, and
removal relies on the tags of this collection."""


def tag_text(value: Any) -> str | None:
    """A tag's key or value as AWS gets it, with true and false as YAML writes them; None if it is not a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, float)) else None


def tag_problems(tags: Mapping[Any, Any], own: Collection[str], room: int) -> Iterator[str]:
    """What is wrong with the tags, in words that follow the option's name.

    own: keys that the collection sets; room: how many tags are allowed.
    """
    seen = {key.lower(): key for key in own}
    for given, value in tags.items():
        key, text = tag_text(given) or "", tag_text(value)
        shown = repr(key if len(key) <= 40 else f"{key[:40]}...")
        if not 1 <= len(key) <= TAG_KEY:
            yield f"has the key {shown} of {len(key)} characters. Use 1 to {TAG_KEY}."
        elif not _writable(key):
            yield f"has the key {shown}. Use only letters, digits, spaces and _.:/=+-@."
        elif key.lower() in seen:
            first = seen[key.lower()]
            why = f"which is the same as {quoted(first)} to IAM" if key not in own and first in tags else _OURS
            yield f"has the key {shown}, {why}. Remove it."
        elif key.lower().startswith(tuple(_RESERVED)):
            prefix = f"{key.lower().partition(':')[0]}:"
            whose = _RESERVED[prefix]
            yield f"has the key {shown}. Keys that start with {prefix} are reserved for {whose}. Use another one."
        seen.setdefault(key.lower(), key)
        if text is None:
            yield f"has {'no value' if value is None else 'a list or dictionary'} for {shown}. Set it to text."
        elif len(text) > TAG_VALUE:
            yield f"has a value of {len(text)} characters for {shown}. Use at most {TAG_VALUE}."
        elif not _writable(text):
            yield f"has the value {quoted(text)} for {shown}. Use only letters, digits, spaces and _.:/=+-@."
    if len(tags) > room:
        yield f"has {len(tags)} tags. Use at most {room}: AWS allows {TAGS}, and the collection sets its own."


def path_problem(path: str) -> str:
    """What is wrong with a path, in words that follow the option's name; empty if nothing is."""
    if not re.fullmatch(IAM_PATH, path):
        return f"is {quoted(path)}. Set it to an IAM path that starts and ends with '/'."
    if len(path) > PATH:
        return f"has {len(path)} characters. Use at most {PATH}."
    if path.startswith(_SERVICE_ROLES):
        return f"is {quoted(path)}, but IAM reserves {_SERVICE_ROLES} for service-linked roles. Use another path."
    return ""


def document_problem(document: Mapping[str, Any], size: int) -> str:
    """The first thing that is wrong with an identity's policy, in words that follow the option's name; empty if nothing
    is."""
    unknown = [key for key in document if key not in ("Version", "Id", "Statement")]
    if unknown:
        return f"has the element {quoted(unknown[0])}. A policy can only contain Version, Id and Statement."
    if document.get("Version", "2012-10-17") not in ("2012-10-17", "2008-10-17"):
        return f'has the Version {quoted(document["Version"])}. Set it to "2012-10-17".'
    statements = _listed(document.get("Statement"))
    if not statements:
        return "has no Statement. Add one."
    sids: set[str] = set()
    for number, statement in enumerate(statements, 1):
        problem = _statement_problem(statement, sids)
        if problem:
            return f"is not a policy: statement {number} {problem}"
    length = size_of(document)
    if length > size:
        return f"has {length} characters without white space. IAM allows at most {size}: shorten it."
    return ""


def size_of(document: Mapping[str, Any]) -> int:
    """As IAM counts, without white space."""
    return len(re.sub(r"\s", "", json.dumps(document)))


def _statement_problem(statement: Any, sids: set[str]) -> str:
    if not isinstance(statement, Mapping):
        return "is not a dictionary."
    unknown = [key for key in statement if key not in _ELEMENTS]
    if unknown:
        return f"has the element {quoted(unknown[0])}. Use only: {', '.join(sorted(_ELEMENTS))}."
    if statement.get("Effect") not in ("Allow", "Deny"):
        return f"has the Effect {quoted(statement.get('Effect'))}. Set it to Allow or Deny."
    sid = statement.get("Sid", "")
    if not isinstance(sid, str) or not _SID.fullmatch(sid):
        return f"has the Sid {quoted(sid)}. Use only letters and digits."
    if sid and sid in sids:
        return f"has the Sid {quoted(sid)}, which another statement also has. Use a different one."
    sids.add(sid)
    for one, form, like in (("Action", _ACTION, "ec2:RunInstances"), ("Resource", _RESOURCE, "an ARN or *")):
        given = [name for name in (one, f"Not{one}") if name in statement]
        if len(given) != 1:
            return f"has {'both' if given else 'neither'} {one} {'and' if given else 'nor'} Not{one}. Use one of them."
        values = _listed(statement[given[0]])
        wrong = [value for value in values if not (isinstance(value, str) and form.fullmatch(value))]
        if wrong or not values:
            return f"has the {given[0]} {quoted(wrong[0] if wrong else values)}. Write it like {like}."
    return _condition_problem(statement.get("Condition", {}))


def _condition_problem(condition: Any) -> str:
    if not isinstance(condition, Mapping):
        return "has a Condition that is not a dictionary."
    for operator, keys in condition.items():
        if not (isinstance(operator, str) and _OPERATORS.fullmatch(operator)):
            return f"has the condition operator {quoted(operator)}, which IAM does not know. Correct it."
        if not isinstance(keys, Mapping) or not all(_is_value(value) for value in keys.values()):
            return f"has a Condition {operator} that is not a dictionary of condition keys with their values."
    return ""


def _is_value(value: Any) -> bool:
    return all(isinstance(item, (str, bool, int, float)) for item in (value if isinstance(value, list) else [value]))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None or value == {} else [value]


def _writable(text: str) -> bool:
    return all(unicodedata.category(one)[0] in "LZN" or one in "_.:/=+-@" for one in text)
