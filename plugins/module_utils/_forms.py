# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The form that values of options shared by several modules must have. Pure. PRIVATE to the collection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ._credentials import holds_credential, quoted
from ._variables import VARIABLES, named, role_of

IAM_NAME = r"[0-9A-Za-z_+=,.@-]{1,128}"
IAM_PATH = r"/([!-~]+/)?"


def iam_arn(kind: str, *accounts: str) -> str:
    """The pattern of an IAM object's ARN. accounts: what may be there instead of an account's id."""
    account = "|".join((r"[0-9]{12}", *accounts))
    return rf"arn:aws[a-z-]*:iam::({account}):{kind}{IAM_PATH}{IAM_NAME}"


_FORMS: Mapping[str, tuple[str, str]] = {
    "region": (r"[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}", "an AWS region, such as eu-central-1"),
    "assume_role_arn": (
        iam_arn("role"),
        "the ARN of a role, such as arn:aws:iam::123456789012:role/NAME",
    ),
    "state_store": (r"(?!https?:)[a-z0-9]+://[^/\s]+(/\S*)?", "an address such as s3://BUCKET"),
    "endpoint_url": (r"https?://[^/\s]+(/\S*)?", "an address that starts with https://, or leave it out"),
    "chart_repo_url": (r"(https?|file)://[^/\s]+(/\S*)?", "the address of a chart repository, starting with https://"),
}
"""For each option, its pattern, and in words what it accepts."""

_SECONDS = ("pending_grace", "timeout", "wait_timeout")


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
    """With its variable, whichever role has that, if there is only one."""
    variables = [variable for variable, one in VARIABLES.items() if one == option]
    roles = [variable.removesuffix(f"_{option}") for variable in variables]
    return named(option) if len(variables) != 1 or named(option) != option else named(option, roles[0])


def _right(option: str, value: Any) -> str:
    """What a wrong value should be, in words; an empty text if the value is right or not given."""
    if value is None or value == "":
        return ""
    if option in _SECONDS:
        return "" if value >= 0 else "a number of seconds, 0 or more"
    pattern, words = _FORMS[option]
    return "" if re.fullmatch(pattern, value, re.ASCII) else words


def _role(option: str, params: Mapping[str, Any]) -> str:
    """The role whose variables set the option."""
    return role_of(str(params.get("name") or "")) if option in ("chart_repo_url", "timeout") else "castai"
