# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Equality by meaning, one function for each kind of object. Pure. PRIVATE to the collection."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def same_policy(one: Any, other: Any) -> bool:
    """Whether two IAM policy documents mean the same.

    A single statement equals a list of one, a single value a list of one, and order and repetition do not matter.
    Actions and condition keys are compared without regard to case, as in IAM; everything else as written. Source: IAM's
    policy grammar (reference_policies_grammar) and elements (reference_policies_elements).
    """
    return bool(_policy(one) == _policy(other))


def plain_policy(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document in one form for people to compare: statements in order, one or several values as sorted lists.

    The values stay as written, so two documents differ here wherever they differ for IAM.
    """
    statements = document.get("Statement") or []
    plain = [_plain(statement) for statement in (statements if isinstance(statements, list) else [statements])]
    return {**document, "Statement": sorted(plain, key=_place)}


def _place(statement: Any) -> tuple[str, str]:
    """A statement's position: by its Sid, so that a statement that changes stays in place."""
    sid = str(statement.get("Sid") or "") if isinstance(statement, Mapping) else ""
    return sid, json.dumps(statement, sort_keys=True, default=str)


_LISTS = ("Action", "NotAction", "Resource", "NotResource")
_MAPS = ("Principal", "NotPrincipal", "Condition")


def _plain(value: Any, within: bool = False) -> Any:
    """A statement, or a part of one that has lists at its leaves."""
    if not isinstance(value, Mapping):
        return _values(value) if within else value
    return {
        key: _plain(item, True) if within or key in _MAPS else _values(item) if key in _LISTS else item
        for key, item in value.items()
    }


def missing_tags(wanted: Mapping[str, str], held: Mapping[str, str]) -> dict[str, str]:
    """The desired tags that are missing or have another value. Other tags are not managed here."""
    return {key: value for key, value in wanted.items() if held.get(key) != value}


def replaced(held: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """The existing values of the wanted tags: in a diff, other tags would look as if they were removed."""
    return {key: held[key] for key in wanted if key in held}


def _policy(document: Any) -> Any:
    if not isinstance(document, Mapping):
        return document
    statements = document.get("Statement") or []
    statements = statements if isinstance(statements, list) else [statements]
    return (
        document.get("Version", "2008-10-17"),
        sorted({json.dumps(_statement(statement), sort_keys=True) for statement in statements}),
    )


def _statement(statement: Any) -> Any:
    """The statement with every list sorted, and without its Sid, which only names it."""
    if not isinstance(statement, Mapping):
        return statement
    found: dict[str, Any] = {}
    for key, value in statement.items():
        if key in ("Action", "NotAction"):
            found[key] = sorted({item.lower() for item in _values(value)})
        elif key in ("Resource", "NotResource"):
            found[key] = _values(value)
        elif key in ("Principal", "NotPrincipal"):
            found[key] = _by_kind(value) if isinstance(value, Mapping) else {"AWS": _values(value)}
        elif key == "Condition" and isinstance(value, Mapping):
            found[key] = sorted(
                (operator, name.lower(), _values(wanted))
                for operator, keys in value.items()
                for name, wanted in (keys.items() if isinstance(keys, Mapping) else [("", keys)])
            )
        elif key != "Sid":
            found[key] = value
    return {key: value for key, value in found.items() if value != []}


def _by_kind(principals: Mapping[str, Any]) -> dict[str, list[str]]:
    return {kind: _values(names) for kind, names in principals.items()}


def _values(value: Any) -> list[str]:
    """One or several values as texts; IAM reads true as "true"."""
    values = value if isinstance(value, list) else [value]
    return sorted({item if isinstance(item, str) else json.dumps(item) for item in values})
