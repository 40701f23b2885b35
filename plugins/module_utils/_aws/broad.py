# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which broad rights a policy gives, for the sentences of a plan. Pure. PRIVATE to the collection.

This is not an audit. It only covers what a reader must not miss: full control of the account or of a service, and the
right to pass any role.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .._equal import plain_policy
from .policies import Document

EVERYTHING = "full control of the AWS account"
_ANY = re.compile(r"[*?]+")
_ANY_ROLE = re.compile(r"[*?]+|arn:[^:]+:iam::[^:]*:(role/)?[*?]+")


def marked(sentence: str, rights: str) -> str:
    """The sentence, with the broad rights that the policy gives, if any."""
    return f"{sentence} ({rights})" if rights else sentence


def of_document(document: Document) -> str:
    """Full control of the account or of services, or the right to pass any role; empty for neither."""
    statements = [one for one in plain_policy(document)["Statement"] if isinstance(one, Mapping)]
    allowing = [one for one in statements if one.get("Effect") == "Allow"]
    controlled = {service for statement in allowing for service in _controlled(statement)}
    if "" in controlled:
        return EVERYTHING
    receivers = [_receivers(statement) for statement in allowing if _passes_any_role(statement)]
    found = [f"full control of {service}" for service in sorted(controlled)]
    if receivers:
        services = sorted({service for one in receivers for service in one}) if all(receivers) else []
        found.append("may pass any role" + (f" to {' and '.join(services)}" if services else ""))
    return ", ".join(found)


def of_managed(arn: str) -> str:
    """The same for a policy that AWS manages, by its name. Other names say nothing about the rights."""
    owner, _policy, name = arn.partition(":policy/")
    short = name.rpartition("/")[2]
    if not owner.endswith(":iam::aws"):
        return ""
    if short in ("AdministratorAccess", "PowerUserAccess"):
        return EVERYTHING
    found = re.fullmatch(r"(?:Amazon|AWS)?(\w+)FullAccess(_v\d+)?", short)
    return f"full control of {found[1]}" if found else ""


def _controlled(statement: Mapping[str, Any]) -> Iterator[str]:
    """The services for which a statement allows every action on everything; empty for all services."""
    if not _anywhere(statement):
        return
    # NotAction and NotResource usually exclude very little.
    for action in ["*"] if "NotAction" in statement else statement.get("Action", ()):
        service, _colon, name = action.lower().partition(":")
        if _ANY.fullmatch(service):
            yield ""
        elif _ANY.fullmatch(name):
            yield service


def _anywhere(statement: Mapping[str, Any]) -> bool:
    return "NotResource" in statement or any(_ANY.fullmatch(one) for one in statement.get("Resource", ()))


def _passes_any_role(statement: Mapping[str, Any]) -> bool:
    named = any(action.lower() == "iam:passrole" for action in statement.get("Action", ()))
    return named and (_anywhere(statement) or any(_ANY_ROLE.fullmatch(one) for one in statement.get("Resource", ())))


def _receivers(statement: Mapping[str, Any]) -> list[str]:
    """The services that a role may be passed to, empty for any."""
    condition = statement.get("Condition")
    keys = condition.get("StringEquals") if isinstance(condition, Mapping) else None
    given = {key.lower(): services for key, services in keys.items()} if isinstance(keys, Mapping) else {}
    return [one.partition(".")[0] for one in given.get("iam:passedtoservice", ())]
