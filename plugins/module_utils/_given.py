# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What counts as given, for every option and role variable. PRIVATE to the collection.

Null and blank text are "not given". Text where a list or dictionary is wanted is read as YAML, which JSON is part of:
surveys and the command line can only give text. An empty list or dictionary is given, and means none.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date
from pathlib import Path
from typing import Any

from ansible.module_utils.common.parameters import AnsibleFallbackNotFound, remove_values
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
    "raw": "text or a dictionary",
}
_ELEMENTS = {"str": "text", "dict": "dictionaries"}
_CONVERSIONS: Mapping[str, Callable[[Any], Any]] = {
    "bool": check_type_bool,
    "int": check_type_int,
    "list": check_type_list,
    "dict": check_type_dict,
    "raw": lambda value: value,
}
_SHOWN = 80
"""Characters of a wrong value that a sentence shows at most."""

_TEXT = ("str", "path")

_LEVELS = 100
_DIGITS = 308
"""What Helm keeps of a whole number, which it stores as a float."""


def beyond(value: Any) -> str:
    """Why a value, however nested, can be neither shown nor passed on to another program, as a clause; otherwise an
    empty text."""
    left: list[tuple[Any, tuple[str, ...]]] = [(value, ())]  # not by recursion, which ends at some depth
    while left:
        one, path = left.pop()
        at = f" at {'.'.join(path)}" * bool(path)
        if len(path) > _LEVELS:
            return f"is nested more than {_LEVELS} levels deep"
        if isinstance(one, Mapping):
            left += [(key, path) for key in one if not isinstance(key, str)]
            left += [(item, (*path, key if isinstance(key, str) else "?")) for key, item in one.items()]
        elif isinstance(one, (list, tuple, AbstractSet)):
            left += [(item, (*path, str(number))) for number, item in enumerate(one)]
        elif isinstance(one, float) and not math.isfinite(one):
            return f"has the number {one}{at}"
        elif isinstance(one, int) and abs(one) >= 10**_DIGITS:
            return f"has a number of more than {_DIGITS} digits{at}"
    return ""


def is_given(value: Any) -> bool:
    return value is not None and not (isinstance(value, str) and not value.strip())


def given(spec: Spec, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments without those that are not given, with lists and dictionaries parsed from text, suboptions
    included.

    spec: an argument_spec. Unknown arguments stay as they are, for Ansible to report.
    """
    options = {name: option for key, option in spec.items() for name in (key, *option.get("aliases", ()))}
    return {
        name: typed(options[name], value) if name in options else value
        for name, value in arguments.items()
        if name not in options or is_given(value)
    }


def typed(option: Mapping[str, Any], value: Any) -> Any:
    """A given value of an option, parsed from text if the option takes a list or dictionary."""
    if option.get("type") in _COLLECTIONS:
        value = _read(value)
    if option.get("type") == "jsonarg" and isinstance(value, Mapping):
        # As one text: of a dictionary, each value would be masked wherever it appears, names of projects too.
        return json.dumps(as_data(value))
    suboptions = option.get("options")
    if suboptions and isinstance(value, Mapping):
        return given(suboptions, value)
    if isinstance(value, list) and option.get("elements") == "dict":
        items = [_read(item) for item in value]
        return [given(suboptions, item) if suboptions and isinstance(item, Mapping) else item for item in items]
    return value


def _read(value: Any) -> Any:
    """The list or dictionary that a text contains, or the value itself."""
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        found = _read_yaml(value)
    return found if isinstance(found, (list, dict)) else value


def _read_yaml(text: str) -> Any:
    try:
        # As plain bytes: libyaml refuses subclasses of str and bytes, which texts from an inventory are.
        return as_data(yaml_load(str.encode(text))) if HAS_YAML else None
    except Exception:  # not YAML, so it may be Ansible's own form, such as a=1 b=2
        return None


def as_data(value: Any) -> Any:
    """A value as in a module's JSON: dates, bytes, `!vault` values and keys are texts, sets are lists.

    ansible-core before 2.19 keeps `!vault` encrypted in variables and in a task's arguments until it creates that JSON.
    """
    if isinstance(value, Mapping):
        return {_as_key(key): as_data(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, AbstractSet)):
        return [as_data(item) for item in value]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(value) if getattr(value, "__ENCRYPTED__", False) else value


def _as_key(key: Any) -> Any:
    """YAML reads a key such as on or 1 as something else than text."""
    return json.dumps(key) if key is None or isinstance(key, (bool, int, float)) else key


def converted(option: Mapping[str, Any], value: Any) -> Any:
    """A given value of an option, converted to the option's type.

    Raises TypeError, ValueError or OverflowError if it cannot be converted. YAML reads a name such as no as false, so
    true and false are not accepted as text.
    """
    value, kind = typed(option, as_data(value)), option.get("type", "str")
    if isinstance(value, bool) and kind != "bool":
        raise TypeError
    if kind in _TEXT:
        if not isinstance(value, (str, int, float)):
            raise TypeError
        return str(value)
    value = _CONVERSIONS[kind](value)
    elements = option.get("elements")
    if elements in _CONVERSIONS or elements in _TEXT:
        items = [item.strip() if isinstance(item, str) else item for item in value]
        return [converted({"type": elements, "options": option.get("options")}, item) for item in items]
    return value


def problem(name: str, option: Mapping[str, Any], value: Any, secrets: AbstractSet[str] = frozenset()) -> str:
    """A sentence on what is wrong with a given value of a variable, and what is right; empty if nothing is wrong.

    secrets: texts that it does not show. If the option has no_log, it only shows the type of the value.
    """
    kind, choices = option.get("type", "str"), option.get("choices")
    one_of = f"one of: {', '.join(map(str, choices))}" if choices and kind != "list" else ""
    wanted = one_of or (f"a list of {_ELEMENTS[option['elements']]}" if "elements" in option else _WANTED[kind])
    try:
        too_much = "" if isinstance(value, float) else beyond(value)
        found: Any = None if too_much else converted(option, value)
        too_much = too_much or beyond(found)
        if too_much:
            return f"{name} {too_much}. Correct it."
    except (TypeError, ValueError, OverflowError):
        shown = _type_of(value) if option.get("no_log") else _shown(value, secrets)
        return f"{name} is {shown}. Set it to {wanted}."
    if one_of and found not in (choices or ()):
        return f"{name} is {_shown(found, secrets)}. Set it to {wanted}."
    if kind == "int" and found < 0:
        return f"{name} is {found}. Set it to a whole number, 0 or more."
    if kind == "list":
        unknown = [item for item in found if choices and item not in choices]
        allowed = ", ".join(choices or ())
        return f"{name} has {_shown(unknown[0], secrets)}. Use only: {allowed}." if unknown else ""
    return _problem_inside(name, option, found, secrets) if option.get("options") else ""


def _problem_inside(name: str, option: Mapping[str, Any], found: Mapping[str, Any], secrets: AbstractSet[str]) -> str:
    suboptions, private = option["options"], {"no_log": True} if option.get("no_log") else {}
    for key, value in found.items():
        if key not in suboptions:
            return f"{name} contains the unknown key {_shown(key, secrets)}. Use only: {', '.join(suboptions)}."
        wrong = problem(f"{name}.{key}", {**suboptions[key], **private}, value, secrets)
        if wrong:
            return wrong
    return ""


def _type_of(value: Any) -> str:
    for kind, words in ((Mapping, "a dictionary"), ((list, tuple), "a list"), (bool, "true or false"), (str, "text")):
        if isinstance(value, kind):
            return words
    return "of another type"


def _shown(value: Any, secrets: AbstractSet[str]) -> str:
    text = ascii(remove_values(as_data(value), secrets))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def as_path(text: str) -> Path:
    """With ~ as a home, where there is such a user."""
    with contextlib.suppress(RuntimeError):
        return Path(text).expanduser()
    return Path(text)


def readable(path: Path) -> Path:
    """The path itself. Raises OSError if it is a pipe or device: each task reads it again, which would wait forever."""
    if is_pipe(path):
        raise OSError(errno.EINVAL, "it is a pipe or device, not a file")
    return path


def is_pipe(path: Path) -> bool:
    """Whether a path is that of a pipe or device. /dev/null counts as an empty file, as the SDKs read it."""
    with contextlib.suppress(OSError, ValueError):
        return path.exists() and not (path.is_file() or path.is_dir() or path.samefile(os.devnull))
    return False


def is_file(text: str) -> bool:
    """Whether that is the path of a file; a text that is too long for a path is none."""
    with contextlib.suppress(OSError, ValueError):
        return Path(text).is_file()
    return False


def from_environment(*names: str) -> str:
    """The first of these environment variables that is set and not blank; the fallback of an argument_spec."""
    for name in names:
        value = os.environ.get(name, "")
        if is_given(value):
            return value
    raise AnsibleFallbackNotFound
