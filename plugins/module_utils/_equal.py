# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Equality by meaning, one function per kind of thing. Pure. PRIVATE to the collection."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

_SETS = frozenset({"Action", "NotAction", "Resource", "NotResource"})


def same_policy(one: Any, other: Any) -> bool:
    """Whether two IAM policy documents say the same.

    A single statement equals a list of one, a single value a list of one, and order counts nowhere. Actions are
    compared without regard to case, as IAM does; everything else as written.
    Source: IAM's policy grammar (reference_policies_grammar).
    """
    return bool(_policy(one) == _policy(other))


def same_tags(wanted: Mapping[str, str], held: Mapping[str, str]) -> bool:
    """Whether every wanted tag is held with its value; others are other people's."""
    return wanted.items() <= held.items()


def same_set(one: Iterable[str], other: Iterable[str]) -> bool:
    return set(one) == set(other)


def _policy(document: Any) -> Any:
    if not isinstance(document, Mapping):
        return document
    statements = document.get("Statement") or []
    statements = statements if isinstance(statements, list) else [statements]
    return (
        document.get("Version", "2008-10-17"),
        sorted(json.dumps(_statement(statement), sort_keys=True) for statement in statements),
    )


def _statement(statement: Mapping[str, Any]) -> Any:
    """The statement with every list as a sorted list; a Sid names a statement and says nothing."""
    found: dict[str, Any] = {}
    for key, value in statement.items():
        if key == "Sid":
            continue
        if key in _SETS:
            values = _values(value)
            found[key] = sorted({item.lower() for item in values} if key.endswith("Action") else set(values))
        elif key == "Principal" or key == "NotPrincipal":
            found[key] = {"AWS": ["*"]} if value == "*" else {kind: _values(names) for kind, names in value.items()}
        elif key == "Condition":
            found[key] = {
                operator: {name.lower(): _values(wanted) for name, wanted in keys.items()}
                for operator, keys in value.items()
            }
        else:
            found[key] = value
    return found


def _values(value: Any) -> list[str]:
    return sorted({str(item) for item in (value if isinstance(value, list) else [value])})
