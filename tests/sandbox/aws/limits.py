# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lengths, patterns, ranges and enumerations of parameters, from botocore's service models; moto checks few of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from moto.core.utils import get_service_model

from .wire import AwsError, Operation

CHECKED = ("eks", "iam", "sts")  # EC2's model has no limits


def check_limits(operation: Operation) -> None:
    """Raises AwsError, worded as the services do ("1 validation error detected: ...")."""
    if operation.service not in CHECKED:
        return
    shape = get_service_model(operation.service).operation_model(operation.name).input_shape
    given = operation.parameters if operation.protocol == "rest-json" else _nested(operation.parameters)
    found = [
        f"Value '{value}' at '{path}' failed to satisfy constraint: {constraint}"
        for path, value, constraint in _violations(shape, given, "")
    ]
    if found:
        count = "1 validation error" if len(found) == 1 else f"{len(found)} validation errors"
        raise AwsError("invalid", f"{count} detected: {'; '.join(found)}")


def _nested(flat: Mapping[str, str]) -> dict[str, Any]:
    """{"Tags.member.1.Key": "a"} as {"Tags": {"member": {"1": {"Key": "a"}}}}."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        node = tree
        for step in path:
            node = node.setdefault(step, {})
        node[last] = value
    return tree


def _violations(shape: Any, value: Any, path: str) -> Iterator[tuple[str, Any, str]]:
    """(path, value, constraint) of every value that its shape does not allow."""
    if shape is None:
        return
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            key = member.serialization.get("name", name)
            if isinstance(value, Mapping) and key in value:
                yield from _violations(member, value[key], f"{path}.{_lower(name)}".lstrip("."))
    elif shape.type_name == "list":
        items = value if isinstance(value, list) else list(value.get("member", {}).values())
        for number, item in enumerate(items, 1):
            yield from _violations(shape.member, item, f"{path}.{number}.member")
    else:
        yield from ((path, value, constraint) for constraint in _broken(shape, value))


def _broken(shape: Any, value: Any) -> Iterator[str]:
    rules = shape.metadata
    if shape.type_name in ("integer", "long"):
        if float(value) < rules.get("min", float("-inf")):
            yield f"Member must have value greater than or equal to {rules['min']}"
        if float(value) > rules.get("max", float("inf")):
            yield f"Member must have value less than or equal to {rules['max']}"
    elif shape.type_name == "string" and isinstance(value, str):
        if len(value) < rules.get("min", 0):
            yield f"Member must have length greater than or equal to {rules['min']}"
        if len(value) > rules.get("max", float("inf")):
            yield f"Member must have length less than or equal to {rules['max']}"
        if rules.get("pattern") and not _pattern(rules["pattern"]).fullmatch(value):
            yield f"Member must satisfy regular expression pattern: {rules['pattern']}"
        if rules.get("enum") and value not in rules["enum"]:
            yield f"Member must satisfy enum value set: [{', '.join(rules['enum'])}]"


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    """A Java pattern: its \\w and \\d are ASCII's. Python knows no classes of Unicode: \\w for letters and numbers."""
    if r"\p{" not in text:
        return re.compile(text, re.ASCII)
    return re.compile(text.replace(r"\p{L}", r"\w").replace(r"\p{N}", "").replace(r"\p{Z}", " \u00a0"))


def _lower(name: str) -> str:
    return name[0].lower() + name[1:]
