# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the parts of the Resource Manager share: a parsed call, its route, and the supported api-versions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from ..wire import Request
from . import access
from .errors import AzureError, Defect
from .store import Principal, Store, Subscription

SUBSCRIPTION = r"/subscriptions/(?P<subscription>[^/]+)"
GROUP = rf"{SUBSCRIPTION}/resourceGroups/(?P<group>[^/]+)"
SCOPE = r"(?P<scope>(?:/subscriptions/[^/]+(?:/resourceGroups/[^/]+(?:/providers/.+?)?)?)?)"

# By resource type, the oldest first.
VERSIONS: Mapping[str, tuple[str, ...]] = {
    "Microsoft.Authorization/denyAssignments": ("2018-07-01-preview", "2022-04-01"),
    "Microsoft.Authorization/locks": ("2016-09-01", "2017-04-01", "2020-05-01"),
    "Microsoft.Authorization/permissions": ("2015-07-01", "2018-07-01", "2022-04-01"),
    "Microsoft.Authorization/roleAssignments": ("2015-07-01", "2018-07-01", "2020-04-01-preview", "2022-04-01"),
    "Microsoft.Authorization/roleDefinitions": ("2015-07-01", "2018-07-01", "2022-04-01", "2022-05-01-preview"),
    "Microsoft.ContainerService/managedClusters": (
        *("2023-10-01", "2024-01-01", "2024-02-01", "2024-05-01", "2024-08-01", "2024-09-01", "2024-10-01"),
        *("2025-01-01", "2025-02-01", "2025-03-01", "2025-04-01", "2025-05-01", "2025-07-01", "2025-08-01"),
        *("2025-09-01", "2025-10-01", "2026-01-01", "2026-01-02-preview", "2026-02-01", "2026-04-01"),
        *("2026-05-01", "2026-06-01", "2026-07-01", "2026-07-02-preview", "2026-08-01"),
    ),
    "Microsoft.ManagedIdentity/userAssignedIdentities": (
        "2018-11-30",
        "2022-01-31-preview",
        "2023-01-31",
        "2024-11-30",
        "2025-01-31-preview",
        "2025-05-31-preview",
    ),
    "Microsoft.Network/virtualNetworks": ("2023-11-01", "2024-05-01", "2024-10-01"),
    "Microsoft.Resources/subscriptions/providers": ("2021-04-01", "2022-09-01", "2024-11-01", "2025-04-01"),
    "Microsoft.Resources/subscriptions/resourceGroups": ("2021-04-01", "2022-09-01", "2024-11-01", "2025-04-01"),
    "Microsoft.Resources/subscriptions": ("2020-01-01", "2021-01-01", "2022-12-01"),
}


@dataclass(frozen=True)
class Asked:
    """One call of the Resource Manager. path: the names in its path; identity: the id of its resource, as written."""

    store: Store
    caller: Principal
    action: str
    path: Mapping[str, str]
    identity: str
    query: Mapping[str, str]
    body: dict[str, Any]

    @property
    def version(self) -> str:
        return self.query["api-version"]

    @property
    def scope(self) -> str:
        """The resource to which an extension resource belongs."""
        return self.path.get("scope", "") or "/"

    def subscription(self) -> Subscription:
        return self.store.subscriptions[self.path["subscription"].lower()]

    def require(self, action: str = "", scope: str = "", role: str = "") -> None:
        """Raises AzureError."""
        access.require(self.store, self.caller, action or self.action, scope or self.identity, role)

    def check_write(self, method: str, scope: str = "") -> None:
        """Check the locks. Raises AzureError."""
        access.check_locks(self.store, method, scope or self.identity)

    def fields(self, **fields: Any) -> dict[str, Any]:
        """The body. Raises Defect unless every field is known and has the right type."""
        return checked(self.body, fields)

    def properties(self, **fields: Any) -> dict[str, Any]:
        """The `properties` of the body, its only field. Raises Defect."""
        return checked(checked(self.body, {"properties": dict}).get("properties") or {}, fields)


@dataclass(frozen=True)
class Route:
    """kind: the resource type, whose api-versions apply; verb: what follows the type in the name of the action."""

    method: str
    path: re.Pattern[str]
    kind: str
    verb: str
    handle: Callable[[Asked], Any] = field(compare=False)
    parameters: Sequence[str] = ()

    @property
    def action(self) -> str:
        return f"{self.kind}/{self.verb}"

    @property
    def namespace(self) -> str:
        return self.kind.partition("/")[0]


def route(method: str, path: str, kind: str, verb: str, handle: Callable[[Asked], Any], *parameters: str) -> Route:
    return Route(method, re.compile(path, re.IGNORECASE), kind, verb, handle, parameters)


def base_kind(kind: str) -> str:
    """The parent type, whose api-versions apply to a nested type."""
    return kind if kind in VERSIONS else "/".join(kind.split("/")[:2])


def checked(body: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in body.items():
        if name not in fields:
            said = f"The request content was invalid and could not be deserialized: 'Could not find member '{name}''."
            raise Defect(AzureError(400, "InvalidRequestContent", said))
        if value is not None and not isinstance(value, fields[name]):
            said = f"The request content was invalid and could not be deserialized: '{name}' has the wrong type."
            raise Defect(AzureError(400, "InvalidRequestContent", said))
    return {name: value for name, value in body.items() if value is not None}


def missing(name: str) -> AzureError:
    return AzureError(400, "InvalidRequestContent", f"The required property '{name}' is missing.")


def read_query(route: Route, request: Request) -> dict[str, str]:
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    if not query.get("api-version"):
        said = "The api-version query parameter (?api-version=) is required for all requests."
        raise Defect(AzureError(400, "MissingApiVersionParameter", said))
    unknown = set(query) - {"api-version", *route.parameters}
    if unknown:
        raise Defect(AzureError(400, "InvalidParameter", f"There is no parameter {sorted(unknown)[0]}."))
    return query


def read_body(request: Request) -> dict[str, Any]:
    if not request.body or request.method in ("GET", "DELETE"):
        return {}
    try:
        body = json.loads(request.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Defect(AzureError(400, "InvalidRequestContent", "The request content was invalid: no JSON object."))
    return body
