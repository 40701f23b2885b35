# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A change as a person reads it in Ansible's own default output: text before and after. PRIVATE to the collection."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ._equal import plain_policy

try:
    import yaml

    _HAS_YAML = True
except ImportError:
    _HAS_YAML = False

_UNFOLDED = 1_000_000
"""Characters of a line. If a line were wrapped, a change of one word would differ in two places."""


def rendered(target: str, sentence: str, before: Any, after: Any) -> dict[str, str]:
    """One entry of a result's diff. Its headers name the object and say what happens to it.

    before, after: public values, None for absent. A text stays a text; anything else is shown as YAML.
    """
    old, new = _text(before), _text(after)
    if old == new:
        # Ansible shows nothing at all for an entry without a difference, not even its headers.
        new += f"# {sentence}\n"
    return {"before_header": target, "after_header": sentence, "before": old, "after": new}


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        text = value
    elif isinstance(value, (Mapping, list, tuple)):
        text = _structure(_plain(value))
    else:
        text = json.dumps(value)
    text = _printable(text)
    return text if not text or text.endswith("\n") else f"{text}\n"


def _printable(text: str) -> str:
    """The text with control sequences escaped as Python writes them, so that a terminal shows them."""
    return "".join(char if char.isprintable() or char in "\n\t" else repr(char)[1:-1] for char in text)


def _plain(value: Any) -> Any:
    """The value as plain types, with policies in one form, so that only differences in meaning show."""
    if isinstance(value, Mapping):
        found = plain_policy(value) if "Statement" in value else value
        return {str(key): _plain(item) for key, item in found.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        # Ansible gives what comes from a playbook types of its own.
        return int(value) if isinstance(value, int) else float(value)
    text = str(value)
    # YAML writes a text with tabs or control characters on one line; a text of several lines is shown as lines.
    return _printable(text).expandtabs() if "\n" in text else text


def _structure(value: Any) -> str:
    if not _HAS_YAML:
        return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    return str(yaml.dump(value, Dumper=_dumper(), default_flow_style=False, allow_unicode=True, width=_UNFOLDED))


def _dumper() -> Any:
    """YAML's safe dumper, without anchors, and with texts of several lines as such."""

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: Any, value: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    return Dumper
