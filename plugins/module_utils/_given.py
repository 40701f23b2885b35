# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What counts as given, for every option and role variable. PRIVATE to the collection.

Null and blank text are "not given". Text where a list or dictionary is wanted is read as YAML, which JSON is part of:
surveys and the command line can only give text. An empty list or dictionary is given, and means none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from ansible.module_utils.common.parameters import AnsibleFallbackNotFound
from ansible.module_utils.common.validation import (
    check_type_bool,
    check_type_dict,
    check_type_int,
    check_type_list,
)
from ansible.module_utils.common.yaml import HAS_YAML, yaml_load

Spec = Mapping[str, Mapping[str, Any]]

_COLLECTIONS = ("list", "dict")
_WANTED = {
    "str": "text",
    "path": "a path",
    "bool": "true or false",
    "int": "a whole number",
    "list": "a list",
    "dict": "a dictionary",
}
_ELEMENTS = {"str": "text", "dict": "dictionaries"}
_CONVERSIONS: Mapping[str, Callable[[Any], Any]] = {
    "bool": check_type_bool,
    "int": check_type_int,
    "list": check_type_list,
    "dict": check_type_dict,
}
_SHOWN = 80
"""Characters of a wrong value that a sentence shows at most."""

_TEXT = ("str", "path")


def is_given(value: Any) -> bool:
    return value is not None and not (isinstance(value, str) and not value.strip())


def given(spec: Spec, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments without those that are not given, with lists and dictionaries read from text, suboptions included.

    spec: an argument_spec. Arguments that it does not know stay as they are, for Ansible to complain about.
    """
    options = {name: option for key, option in spec.items() for name in (key, *option.get("aliases", ()))}
    return {
        name: typed(options[name], value) if name in options else value
        for name, value in arguments.items()
        if name not in options or is_given(value)
    }


def typed(option: Mapping[str, Any], value: Any) -> Any:
    """A given value of an option, read from text where the option wants a list or dictionary."""
    if option.get("type") in _COLLECTIONS:
        value = _read(value)
    suboptions = option.get("options")
    if suboptions and isinstance(value, Mapping):
        return given(suboptions, value)
    if isinstance(value, list) and option.get("elements") == "dict":
        items = [_read(item) for item in value]
        return [given(suboptions, item) if suboptions and isinstance(item, Mapping) else item for item in items]
    return value


def _read(value: Any) -> Any:
    """The list or dictionary that a text is, or the value itself."""
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value)
    except ValueError:
        found = _read_yaml(value)
    return found if isinstance(found, (list, dict)) else value


def _read_yaml(text: str) -> Any:
    try:
        return _without_dates(yaml_load(text)) if HAS_YAML else None
    except Exception:  # not YAML, so it may be Ansible's own form, such as a=1 b=2
        return None


def _without_dates(value: Any) -> Any:
    """Dates as text again, which a module's JSON has no other form for."""
    if isinstance(value, Mapping):
        return {key: _without_dates(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_dates(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def converted(option: Mapping[str, Any], value: Any) -> Any:
    """A given value of an option in the option's type. Raises TypeError or ValueError where it is of another one."""
    value, kind = typed(option, value), option.get("type", "str")
    if kind in _TEXT:
        if not isinstance(value, (str, int, float)):
            raise TypeError
        return str(value)
    if isinstance(value, bool) and kind != "bool":
        raise TypeError
    value = _CONVERSIONS[kind](value)
    elements = option.get("elements")
    if elements in _CONVERSIONS or elements in _TEXT:
        items = [item.strip() if isinstance(item, str) else item for item in value]
        return [converted({"type": elements, "options": option.get("options")}, item) for item in items]
    return value


def problem(name: str, option: Mapping[str, Any], value: Any) -> str:
    """A sentence on what is wrong with a given value of a variable, and what is right; empty where nothing is."""
    kind = option.get("type", "str")
    wanted = f"a list of {_ELEMENTS[option['elements']]}" if "elements" in option else _WANTED[kind]
    try:
        found = converted(option, value)
    except (TypeError, ValueError):
        return f"{name} is {_shown(value)}. Set it to {wanted}."
    choices = option.get("choices")
    unknown = [item for item in (found if kind == "list" else [found]) if choices and item not in choices]
    if unknown:
        verb, right = ("has", "only of") if kind == "list" else ("is", "to one of")
        return f"{name} {verb} {_shown(unknown[0])}. Set it {right}: {', '.join(map(str, choices or ()))}."
    suboptions = option.get("options")
    if suboptions and kind == "dict":
        return _problem_inside(name, suboptions, found)
    return ""


def _problem_inside(name: str, suboptions: Spec, found: Mapping[str, Any]) -> str:
    for key, value in found.items():
        if key not in suboptions:
            return f"{name} has the key {_shown(key)}. Use only: {', '.join(suboptions)}."
        wrong = problem(f"{name}.{key}", suboptions[key], value)
        if wrong:
            return wrong
    return ""


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def from_environment(*names: str) -> str:
    """The first of these environment variables that is set and not blank; the fallback of an argument_spec."""
    for name in names:
        value = os.environ.get(name, "")
        if is_given(value):
            return value
    raise AnsibleFallbackNotFound
