# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Google's own discovery documents: which calls there are, and whether a request or an answer is one of theirs.

They come with google-api-python-client. They have no error codes and no lengths, and say in prose only which fields are
required ("Required. ..."); these are required here, and those that google.iam.v1's protocol buffers mark so.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, unquote

from googleapiclient import discovery_cache

from ..wire import Request
from .errors import Defect

VERSIONS: Mapping[str, tuple[str, ...]] = {
    "cloudresourcemanager": ("v1", "v3"),
    "compute": ("v1",),
    "container": ("v1",),
    "iam": ("v1",),
    "iamcredentials": ("v1",),
    "orgpolicy": ("v2",),
    "serviceusage": ("v1",),
    "sts": ("v1",),
}
UNIVERSES = ("googleapis.com", "universe.example")
_REQUIRED = {"SetIamPolicyRequest": "policy", "TestIamPermissionsRequest": "permissions"}
# How clients say in which form they want enumerations answered; names are right for both.
_ALT = {"$alt", "alt", "prettyPrint"}


@dataclass(frozen=True)
class Method:
    """One call of an API: its part of the document, and the pattern of its path."""

    document: Document
    id: str
    verb: str
    path: re.Pattern[str]
    body: Mapping[str, Any]

    @property
    def service(self) -> str:
        return self.document.service


class Document:
    def __init__(self, service: str, version: str) -> None:
        file = Path(discovery_cache.__file__).parent / "documents" / f"{service}.{version}.json"
        self._said: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        self.service, self.version = service, version
        found = sorted(self._methods(self._said), key=lambda pair: -len(re.sub(r"\{.*?\}", "", pair[0])))
        self.methods = [method for _path, method in found]

    def _methods(self, holder: Mapping[str, Any]) -> Iterator[tuple[str, Method]]:
        """The methods, each with its path, by which the most specific is sorted first."""
        for body in holder.get("methods", {}).values():
            path = body["path"]
            yield path, Method(self, body["id"], body["httpMethod"], self._pattern(path, body), body)
        for inner in holder.get("resources", {}).values():
            yield from self._methods(inner)

    def _pattern(self, path: str, method: Mapping[str, Any]) -> re.Pattern[str]:
        def group(found: re.Match[str]) -> str:
            whole, name = found[1], found[2]
            pattern = method["parameters"][name].get("pattern", ".+" if whole else "[^/]+")
            return f"(?P<{name}>{pattern.removeprefix('^').removesuffix('$')})"

        parts = re.split(r"(\{\+?\w+\})", f"/{self._said['servicePath']}{path}")
        return re.compile("".join(re.sub(r"\{(\+?)(\w+)\}", group, p) if "{" in p else re.escape(p) for p in parts))

    def parameters(self, method: Method) -> Mapping[str, Mapping[str, Any]]:
        """The parameters of the query, by name."""
        own = {name: one for name, one in method.body.get("parameters", {}).items() if one["location"] == "query"}
        return {**self._said["parameters"], **own}

    def check(self, schema: Any, value: Any, where: str, fail: Callable[[str], None], required: bool) -> None:
        """Call `fail` with each problem of a value. required: whether to check for missing required fields."""
        if "$ref" in schema:
            schema = self._said["schemas"][schema["$ref"]]
            missing = _REQUIRED.get(schema["id"], "") if required and isinstance(value, dict) else ""
            if missing and missing not in value:
                fail(f"Missing required field '{missing}'.")
        kind = schema.get("type")
        if kind == "object":
            self._check_object(schema, value, where, fail, required)
        elif kind == "array":
            if not isinstance(value, list):
                return fail(f"Invalid value at '{where}': expected a list")
            for number, inner in enumerate(value):
                self.check(schema["items"], inner, f"{where}[{number}]", fail, required)
        elif kind in _SCALARS and not _SCALARS[kind](schema, value):
            fail(f"Invalid value at '{where}' ({_TYPES[kind]}), {json.dumps(value)}")
        return None

    def _check_object(self, schema: Any, value: Any, where: str, fail: Callable[[str], None], required: bool) -> None:
        if not isinstance(value, dict):
            return fail(f"Invalid value at '{where}': expected an object")
        known = schema.get("properties", {})
        for name, inner in value.items():
            path = f"{where}.{name}".strip(".")
            if name in known:
                self.check(known[name], inner, path, fail, required)
            elif "additionalProperties" in schema:
                self.check(schema["additionalProperties"], inner, path, fail, required)
            elif name != "@type":
                fail(f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': Cannot find field.")
        for name, inner in known.items():
            if required and inner.get("description", "").startswith("Required.") and name not in value:
                fail(f"Missing required field '{f'{where}.{name}'.strip('.')}'.")
        return None


def _is_text(schema: Mapping[str, Any], value: Any) -> bool:
    if not isinstance(value, str) or value not in schema.get("enum", (value,)):
        return False
    if schema.get("format") == "byte":
        return decoded(value) is not None
    return schema.get("format") not in ("int64", "uint64") or re.fullmatch(r"-?\d+", value) is not None


_SCALARS: Mapping[str, Callable[[Any, Any], bool]] = {
    "string": _is_text,
    "boolean": lambda _schema, value: isinstance(value, bool),
    "integer": lambda _schema, value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda _schema, value: isinstance(value, (int, float)) and not isinstance(value, bool),
}
_TYPES = {"string": "TYPE_STRING", "boolean": "TYPE_BOOL", "integer": "TYPE_INT32", "number": "TYPE_DOUBLE"}


def decoded(text: str) -> bytes | None:
    """Decode base64 in either alphabet, as Google does; None for anything else."""
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error:
        return None


@functools.cache
def documents(service: str) -> tuple[Document, ...]:
    """The documents of a service, none if it is unknown. They are read on first use: some have several megabytes."""
    return tuple(Document(service, version) for version in VERSIONS.get(service, ()))


def service_of(host: str) -> str:
    """The service behind a host name in any universe, such as iam; empty for other hosts."""
    service, _dot, universe = host.partition(".")
    return service if universe in UNIVERSES else ""


def find(request: Request) -> tuple[Method, Mapping[str, str]] | None:
    """The call of a request, with the names in its path; None if no document describes it."""
    return _find(service_of(request.host), request.method, unquote(request.path))


@functools.cache
def _find(service: str, verb: str, path: str) -> tuple[Method, Mapping[str, str]] | None:
    for document in documents(service):
        for method in document.methods:
            found = method.path.fullmatch(path) if method.verb == verb else None
            if found:
                return method, MappingProxyType(found.groupdict())
    return None


def read_query(method: Method, request: Request) -> dict[str, list[str]]:
    """Raises Defect if a parameter is unknown, repeated without being a list, or of another type."""
    known = method.document.parameters(method)
    query: dict[str, list[str]] = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True):
        if name in _ALT:
            continue
        if name not in known:
            said = f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter.'
            raise Defect("INVALID_ARGUMENT", f"{said} Field '{name}' could not be found in request message.")
        query.setdefault(name, []).append(value)
        one = known[name]
        if one["type"] == "integer" and not re.fullmatch(r"-?\d+", value):
            raise Defect("INVALID_ARGUMENT", f"Invalid value at '{name}' (TYPE_INT32), \"{value}\"")
        if value not in one.get("enum", (value,)):
            raise Defect("INVALID_ARGUMENT", f"Invalid value at '{name}' (TYPE_ENUM), \"{value}\"")
        if len(query[name]) > 1 and not one.get("repeated"):
            raise Defect("INVALID_ARGUMENT", f"Invalid value at '{name}': it is given twice")
    return query


def read_body(method: Method, request: Request) -> dict[str, Any]:
    """Raises Defect if the call takes no body, or if a field is unknown, missing or wrong."""
    try:
        body = json.loads(request.body) if request.body.strip() else {}
    except ValueError:
        raise Defect("INVALID_ARGUMENT", "Invalid JSON payload received. Parser error") from None
    schema = method.body.get("request")
    if schema is None:
        if body:
            raise Defect("INVALID_ARGUMENT", "Invalid JSON payload received. The call has no body.")
        return {}

    def fail(said: str) -> None:
        raise Defect("INVALID_ARGUMENT", said)

    method.document.check(schema, body, "", fail, required=True)
    return dict(body)


def check_answer(method: Method, answer: Any) -> None:
    """Raises ValueError for an answer that Google could not give: the stand-in has a defect."""

    def fail(said: str) -> None:
        raise ValueError(f"the answer of {method.id}: {said}")

    method.document.check(method.body["response"], answer, "", fail, required=False)
