# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of variables in the guide and in the roles' READMEs: python -m tests.support.variables writes them.

What a variable is and its default come from the roles' argument specs, its option from the table in _variables.py, and
the environment variables of that option from the option groups.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.castai.onboarding.plugins.module_utils._clusters.table import all_options
from ansible_collections.castai.onboarding.plugins.module_utils._variables import VARIABLES
from tests.tree import ROOT

Options = Mapping[str, Mapping[str, Any]]

PAGE = Path("docs/docsite/rst/connection_options.rst")
TABLES = {
    "cluster": "castai_provider",
    "castai": "castai_api_key",
    "aws": "castai_aws_access_key",
    "google": "castai_google_auth_kind",
    "azure": "castai_azure_auth_source",
    "kubernetes": "castai_admin",
    "inside": "castai_namespace",
    "identity": "castai_adopt",
}
"""The tables of the page, in the order of VARIABLES: each begins with this variable and ends where the next begins."""

ROLES = tuple(sorted(path.parts[-3] for path in ROOT.glob("roles/*/meta/argument_specs.yml")))


def variables_of(role: str) -> Options:
    specs = yaml.safe_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text(encoding="utf-8"))
    entries = specs["argument_specs"].values()
    return {name: option for entry in entries for name, option in entry["options"].items()}


def published() -> dict[Path, str]:
    """Every file with generated tables, and its text."""
    readmes = {Path("roles", role, "README.md"): variables_of(role) for role in ROLES if variables_of(role)}
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    for name in TABLES:
        page = _put(page, f".. {{}} of table {name}, which tests/support/variables.py writes", page_table(name))
    return {PAGE: page, **{path: _readme(path, options) for path, options in readmes.items()}}


def _readme(path: Path, options: Options) -> str:
    marker = "<!-- {} of the table that tests/support/variables.py writes -->"
    return _put((ROOT / path).read_text(encoding="utf-8"), marker, readme_table(options))


def _put(text: str, marker: str, lines: Iterator[str]) -> str:
    """The text with these lines between its Begin and End markers."""
    begin, end = marker.format("Begin"), marker.format("End")
    before, rest = text.split(begin)
    return before + "\n".join([begin, "", *lines, "", end]) + rest.split(end)[1]


def in_table(name: str) -> list[str]:
    """The variables of a table on the page, which all roles share."""
    shared, starts = variables_of("castai"), set(TABLES.values()) - {TABLES[name]}
    ordered = [variable for variable in VARIABLES if variable in shared]
    return list(takewhile(lambda variable: variable not in starts, ordered[ordered.index(TABLES[name]) :]))


def page_table(name: str) -> Iterator[str]:
    """reStructuredText: variable, option, environment variables, meaning."""
    options, shared = all_options(), variables_of("castai")
    yield from (".. list-table::", "   :header-rows: 1", "")
    yield from _row("inventory variable", "module option", "environment variable", "meaning")
    for variable in in_table(name):
        option = VARIABLES[variable]
        _function, names = options.get(option, {}).get("fallback", (None, ()))
        environment = ", ".join(f"``{one}``" for one in names)
        meaning = " ".join(filter(None, [_text(shared[variable], "``"), _default(shared[variable], "``")]))
        yield from _row(f"``{variable}``", option and f"``{option}``", environment, meaning)


def _row(first: str, *others: str) -> list[str]:
    return [f"   * - {first}", *(f"     - {cell}".rstrip() for cell in others)]


def readme_table(options: Options) -> Iterator[str]:
    """Markdown: variable, meaning, default."""
    yield from ("| variable | what it is | default |", "|---|---|---|")
    for name, option in options.items():
        default = _default(option, "`").removeprefix("Default ").rstrip(".")
        yield f"| `{name}` | {_text(option, '`')} | {default} |"


def _text(option: Mapping[str, Any], quote: str) -> str:
    """The meaning of an option, with its choices, in a markup with this quote for code."""
    description = option["description"]
    whole = description if isinstance(description, str) else " ".join(description)
    choices = ", ".join(f"{quote}{choice}{quote}" for choice in option.get("choices", ()))
    text = re.sub(r"\b[CEV]\(([^)]*)\)", rf"{quote}\1{quote}", whole)
    text = re.sub(r"\bP\([\w.]+\.(\w+)#role\)", rf"{quote}\1{quote}", text)
    return f"{text} {'Any' if 'elements' in option else 'One'} of {choices}." if choices else text


def _default(option: Mapping[str, Any], quote: str) -> str:
    """Empty if there is no default or the default is an empty text, which counts as not given."""
    default = option.get("default")
    if default is None or default == "":
        return ""
    shown = default if isinstance(default, str) else json.dumps(default)
    return f"Default {quote}{shown}{quote}."


if __name__ == "__main__":
    for path, text in published().items():
        (ROOT / path).write_text(text, encoding="utf-8")
