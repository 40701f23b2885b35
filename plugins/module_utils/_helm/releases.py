# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several Helm releases in one namespace, each handled as in release.py. PRIVATE to the collection.

The state that concerns all of them is read once. Helm works on the first of the list alone, because the others may need
what it creates, then on the others side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from .._clusters.table import connection_options, connection_rules
from .._engine import Action, Refused, Several, each
from .._variables import named, role_of
from . import observed, options, release
from .actions import Upgrade
from .observed import Systems
from .options import Desired, Parameters

_SHARED = ("create_namespace", "helm_path", "namespace")
"""The options that apply to all releases, besides those that name the cluster."""

_OF_CLUSTER = connection_options(required=False)
_ALL: Mapping[str, Any] = options.OPTIONS["argument_spec"]
_OF_ONE = {name: option for name, option in _ALL.items() if name not in (*_OF_CLUSTER, *_SHARED)}

OPTIONS: dict[str, Any] = {
    "argument_spec": {
        **_OF_CLUSTER,
        **{name: _ALL[name] for name in _SHARED},
        "releases": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": _OF_ONE,
            "required_if": options.OPTIONS["required_if"],
        },
        "unwanted": {"type": "list", "elements": "str", "default": []},
    },
    **connection_rules(required=False),
}


def desired(params: Parameters) -> Sequence[Desired]:
    shared = {name: value for name, value in params.items() if name not in ("releases", "unwanted")}
    defaults = {name: option.get("default") for name, option in _OF_ONE.items()}
    names = [one["name"] for one in params["releases"]]
    unwanted = tuple(dict.fromkeys(params["unwanted"]))
    looked_for = [{**defaults, "name": name, "state": "absent"} for name in unwanted]
    wanted = each([partial(options.desired, {**shared, **one}) for one in (*params["releases"], *looked_for)])
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise Refused(f"Option releases lists {', '.join(doubled)} more than once. List each release only once.")
    both = [name for name in unwanted if name in names]
    if both:
        raise Refused(f"{', '.join(both)} is in option releases and in option unwanted. Remove it from one of them.")
    return [replace(one, unwanted=one.name in unwanted) for one in wanted]


def connect(params: Parameters, wanted: Sequence[Desired]) -> Systems:
    return observed.systems(params)


def view(wanted: Sequence[Desired], views: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    warnings = [text for one in views for text in one.get("warnings", ())]
    found = [(one, shown["release"]) for one, shown in zip(wanted, views, strict=True)]
    return {
        **({"warnings": warnings} if warnings else {}),
        "releases": {one.name: release for one, release in found if not one.unwanted},
        "unwanted": [one.name for one, release in found if one.unwanted and release],
    }


def agree(wanted: Sequence[Desired], planned: Sequence[Sequence[Action]]) -> None:
    """Refuse charts that add the same object: Helm would refuse it to the second release, or take it from the first."""
    owners: dict[str, str] = {}
    for one, steps in zip(wanted, planned, strict=True):
        for item in (item for step in steps if isinstance(step, Upgrade) for item in step.added):
            other = owners.setdefault(observed.object_path(item, one.namespace), one.name)
            if other != one.name:
                values = named("values", role_of(one.name))
                raise Refused(
                    f"The charts of Helm releases {other} and {one.name} both create {item}, which can only belong to"
                    f" one of them. Change {values} so that only one of them creates it, or leave one of them out."
                )


def hidden(params: Parameters) -> tuple[str, ...]:
    items = params.get("releases")
    return tuple(
        text
        for item in (items if isinstance(items, list) else ())
        if isinstance(item, Mapping)
        for text in options.hidden(item)
    )


SUBJECT = Several(
    OPTIONS,
    release.SUBJECT,
    desired,
    connect,
    observed.observe_all,
    view,
    hidden=hidden,
    agree=agree,
    most=observed.MOST,
)
