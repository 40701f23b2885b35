# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The form that values of options shared by several modules must have. Pure. PRIVATE to the collection."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from ._credentials import UUID, holds_credential, quoted
from ._given import beyond, is_given
from ._variables import VARIABLES, named, role_of

IAM_NAME = r"[0-9A-Za-z_+=,.@-]{1,128}"
IAM_PATH = r"/([!-~]+/)?"


def iam_arn(kind: str, *accounts: str) -> str:
    """The pattern of an IAM object's ARN. accounts: what may be there instead of an account's id."""
    account = "|".join((r"[0-9]{12}", *accounts))
    return rf"arn:aws[a-z-]*:iam::({account}):{kind}{IAM_PATH}{IAM_NAME}"


_FORMS: Mapping[str, tuple[str, str]] = {
    "region": (
        r"[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}",
        "an AWS region, such as eu-central-1, or leave it out if the cluster is not on AWS",
    ),
    "assume_role_arn": (
        iam_arn("role"),
        "the ARN of a role, such as arn:aws:iam::123456789012:role/NAME",
    ),
    "assume_role_external_id": (
        r"[\w+=,.@:/-]{2,1224}",
        "the external ID that the role's trust policy requires, of 2 to 1224 letters, digits and '_+=,.@:/-'",
    ),
    "organization_id": (UUID, "the UUID of the organization at CAST AI, not its name"),
    "state_store": (r"(?!https?:)[a-z0-9]+://[^/\s]+(/\S*)?", "an address such as s3://BUCKET"),
    "endpoint_url": (r"https?://[^/\s]+(/\S*)?", "an address that starts with https://, or leave it out"),
    "chart_repo_url": (r"(https?|file)://[^/\s]+(/\S*)?", "the address of a chart repository, starting with https://"),
}
"""For each option, its pattern, and in words what it accepts."""

RULES = ("mutually_exclusive", "required_together")
"""The rules on how options depend on each other that are checked here."""

_SECONDS = ("pending_grace", "timeout", "wait_timeout")
MOST_SECONDS = 10**8
"""Three years. Helm takes no more than about 9 * 10**9 seconds."""


def unusable(params: Mapping[str, Any]) -> dict[str, str]:
    """Sentences on the options whose values can be neither shown nor passed on, by option."""
    found: dict[str, str] = {}
    for option, value in params.items():
        releases = value if option == "releases" and isinstance(value, list) else ()
        inside = [unusable(release) for release in releases if isinstance(release, Mapping)]
        said = [text for one in inside for text in one.values()]
        too_much = "" if said else beyond(value)
        if said or too_much:
            found[option] = " ".join(said) or f"{named(option, _role(option, params))} {too_much}. Correct it."
    return found


def problems(params: Mapping[str, Any]) -> tuple[str, ...]:
    """What is wrong with the options of a module, and of each of its releases, in sentences."""
    found = {option: _right(option, params.get(option)) for option in (*_FORMS, *_SECONDS)}
    wrong = [
        f"{named(option, _role(option, params))} is {quoted(params[option])}. Set it to {right}."
        for option, right in found.items()
        if right
    ]
    inside = (problem for release in params.get("releases") or () for problem in problems(release))
    return tuple(dict.fromkeys((*wrong, *inside)))


def conflicts(rules: Mapping[str, Any], params: Mapping[str, Any]) -> tuple[str, ...]:
    """Which options exclude each other or need one another, in sentences. rules: a module's, with its argument_spec.

    What is set in the environment is named by that, as users may not know of it.
    """
    spec = rules.get("argument_spec", {})

    def is_set(option: str) -> bool:
        return is_given(params.get(option)) and params[option] != spec.get(option, {}).get("default")

    def known_as(option: str) -> str:
        _fallback, variables = spec.get(option, {}).get("fallback") or (None, ())
        found = (name for name in variables if os.environ.get(name) == params[option])
        return next((f"{name} in the environment, for {named(option)}," for name in found), named(option))

    found = []
    for options in rules.get("mutually_exclusive", ()):
        given = [option for option in options if is_set(option)]
        if len(given) > 1:
            every = " and ".join(known_as(option) for option in given)
            found.append(f"{every} {'are both' if len(given) == 2 else 'are all'} set. Use only one of them.")
    for options in rules.get("required_together", ()):
        given = [option for option in options if is_set(option)]
        missing = [named(option) for option in options if option not in given]
        if given and missing:
            found.append(f"{known_as(given[0])} is set without {' and '.join(missing)}. Set both, or neither.")
    return tuple(found)


def misplaced(spec: Mapping[str, Mapping[str, Any]], params: Mapping[str, Any]) -> tuple[str, ...]:
    """Which options of an argument_spec contain a credential, but are not for one, in sentences."""
    found = (
        option
        for option, value in params.items()
        if not spec.get(option, {}).get("no_log")
        for one in (value if isinstance(value, list) else [value])
        if isinstance(one, str) and holds_credential(one)
    )
    return tuple(
        f"{_named(option)} contains a private key, token or secret, which does not belong there. Correct it, and put"
        " the credential into the option for it."
        for option in dict.fromkeys(found)
    )


def _named(option: str) -> str:
    """The option with its variable. If only one role has a variable for it, with that one."""
    variables = [variable for variable, one in VARIABLES.items() if one == option]
    roles = [variable.removesuffix(f"_{option}") for variable in variables]
    return named(option) if len(variables) != 1 or named(option) != option else named(option, roles[0])


def _right(option: str, value: Any) -> str:
    """What a wrong value should be, in words; an empty text if the value is right or not given."""
    if value is None or value == "":
        return ""
    if option in _SECONDS:
        return "" if 0 <= value <= MOST_SECONDS else f"a number of seconds from 0 to {MOST_SECONDS}"
    pattern, words = _FORMS[option]
    return "" if re.fullmatch(pattern, value, re.ASCII) else words


def _role(option: str, params: Mapping[str, Any]) -> str:
    """The role whose variables set the option."""
    if option not in ("chart_repo_url", "timeout", "values"):
        return "castai"
    name = params.get("name")
    return role_of(name) if isinstance(name, str) else ""
