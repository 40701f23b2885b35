# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Equality by meaning, one function per kind of thing. Pure. PRIVATE to the collection."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any


def same_policy(one: Any, other: Any) -> bool:
    """Whether two IAM policy documents say the same.

    A single statement equals a list of one, a single value a list of one, and order and repetition count nowhere.
    Actions and condition keys are compared without regard to case, as IAM does; everything else as written.
    Source: IAM's policy grammar (reference_policies_grammar) and elements (reference_policies_elements).
    """
    return bool(_policy(one) == _policy(other))


def written_like(held: Any, wanted: Any) -> Any:
    """The held policy document in the wanted one's form and order, so that the two differ only where they say it."""
    if not (isinstance(held, Mapping) and isinstance(wanted, Mapping)):
        return held
    left, shown = _listed(held.get("Statement")), []
    models = _listed(wanted.get("Statement"))
    for model in models:
        found = [one for one in left if _statement(one) == _statement(model)] or [
            one for one in left if _sid(one) and _sid(one) == _sid(model)
        ]
        if found:
            left.remove(found[0])
            shown.append(_written_like(found[0], model, ("Sid",) if _statement(found[0]) == _statement(model) else ()))
    # What is alone on both sides is one statement that was changed.
    if len(left) == 1 and len(shown) == len(models) - 1 == 0:
        left, shown = [], [_written_like(left[0], models[0])]
    statements = [*shown, *left]
    single = not isinstance(wanted.get("Statement"), list) and len(statements) == 1
    return {
        **{key: held[key] for key in (*wanted, *held) if key in held},
        "Statement": statements[0] if single else statements,
    }


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value] if value else []


def _sid(statement: Any) -> Any:
    return statement.get("Sid") if isinstance(statement, Mapping) else None


def _written_like(held: Any, model: Any, taken: Collection[str] = (), key: str = "") -> Any:
    """A value, list or dictionary of a policy in the form of the wanted one. taken: keys that say nothing."""
    if isinstance(held, Mapping) and isinstance(model, Mapping):
        names = {name.lower(): name for name in model}
        if len({one.lower() for one in held}) < len(held):
            return held
        renamed = {names.get(one.lower(), one): value for one, value in held.items() if one not in taken}
        renamed.update({one: model[one] for one in taken if one in model})
        keys = dict.fromkeys(one for one in (*model, *renamed) if one in renamed)
        return {one: _written_like(renamed[one], model.get(one), key=one) for one in keys}
    if isinstance(held, Mapping) or isinstance(model, Mapping):
        return held
    known = {_text(value): value for value in _values_of(model)}
    folded = {text.lower(): value for text, value in known.items()} if key in ("Action", "NotAction") else {}
    found = [known.get(_text(one), folded.get(_text(one).lower(), one)) for one in _values_of(held)]
    order = list(known)
    values = list({_text(one): one for one in found}.values())
    values.sort(key=lambda one: order.index(_text(one)) if _text(one) in order else len(order))
    return values if isinstance(model, list) or len(values) != 1 else values[0]


def _values_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def changed_tags(wanted: Mapping[str, str], held: Mapping[str, str]) -> dict[str, str]:
    """What is held of the tags that are to be set: the rest stays, and would look like a removal."""
    return {key: held[key] for key in wanted if key in held}


def missing_tags(wanted: Mapping[str, str], held: Mapping[str, str]) -> dict[str, str]:
    """The wanted tags that are not held with their value; what else is held is other people's."""
    return {key: value for key, value in wanted.items() if held.get(key) != value}


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
    """The statement with every list as a sorted list; a Sid names a statement and says nothing."""
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
    """One value or several, as texts; IAM takes true for "true"."""
    values = value if isinstance(value, list) else [value]
    return sorted({item if isinstance(item, str) else json.dumps(item) for item in values})
