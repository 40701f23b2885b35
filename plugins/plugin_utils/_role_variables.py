# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables of the collection's roles, as their argument specs describe them. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.common.yaml import yaml_load

_ROLES = Path(__file__).resolve().parents[2] / "roles"


def role_variables() -> dict[str, Mapping[str, Any]]:
    """Each variable of any role, with its option in the form of an argument_spec."""
    return {name: option for entry in _entries() for name, option in (entry.get("options") or {}).items()}


def _entries() -> Iterator[Mapping[str, Any]]:
    for path in sorted(_ROLES.glob("*/meta/argument_specs.yml")):
        yield from yaml_load(path.read_bytes())["argument_specs"].values()
