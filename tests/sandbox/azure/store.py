# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of the world's Azure, and the parts of it that login, Graph and the Resource Manager share."""

from __future__ import annotations

import copy
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from ..aws.visibility import Visibility
from ..spec import HOME_SUBSCRIPTION, HOME_TENANT
from ..wire import Cluster

SUBSCRIPTION, TENANT = HOME_SUBSCRIPTION, HOME_TENANT
DAY = 24 * 3600
APPLICATION_KEPT = 30 * DAY  # after a deletion
NAMESPACES = (
    *("Microsoft.Authorization", "Microsoft.Compute", "Microsoft.ContainerService", "Microsoft.ManagedIdentity"),
    *("Microsoft.Network", "Microsoft.Resources"),
)


@dataclass
class Application:
    """An app registration. said: its fields in Graph, without secrets; secrets, certificates: by key id."""

    tenant: str
    said: dict[str, Any]
    secrets: dict[str, str] = field(default_factory=dict)
    certificates: dict[str, bytes] = field(default_factory=dict)
    federated: list[dict[str, Any]] = field(default_factory=list)
    owners: list[str] = field(default_factory=list)
    deleted_at: float | None = None

    @property
    def id(self) -> str:
        return str(self.said["id"])

    @property
    def app_id(self) -> str:
        return str(self.said["appId"])


@dataclass
class ServicePrincipal:
    """The service principal of an application or managed identity. graph: the permissions of Microsoft Graph granted to
    it."""

    tenant: str
    said: dict[str, Any]
    graph: set[str] = field(default_factory=set)
    owners: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        return str(self.said["id"])

    @property
    def app_id(self) -> str:
        return str(self.said["appId"])


@dataclass
class Directory:
    """Graph's data of all tenants. Each replica is one such object."""

    applications: list[Application] = field(default_factory=list)
    principals: list[ServicePrincipal] = field(default_factory=list)
    deleted: list[Application] = field(default_factory=list)

    def application(self, tenant: str, name: str) -> Application | None:
        """Find an application by object id."""
        found = (one for one in self.applications if one.tenant == tenant and one.id == name.lower())
        return next(found, None)

    def by_app_id(self, app_id: str) -> Application | None:
        return next((one for one in self.applications if one.app_id == app_id.lower()), None)

    def principal(self, tenant: str, name: str) -> ServicePrincipal | None:
        """Find a service principal by object id or application id."""
        found = (one for one in self.principals if one.tenant == tenant and name.lower() in (one.id, one.app_id))
        return next(found, None)


@dataclass
class Assignment:
    """A role assignment. since: when it was created. Conditions are stored as written."""

    scope: str
    name: str
    said: dict[str, Any]
    since: float

    @property
    def id(self) -> str:
        scope = self.scope.rstrip("/")
        return f"{scope}/providers/Microsoft.Authorization/roleAssignments/{self.name}"


@dataclass
class Definition:
    """A role definition. before, changed: what reads show for a while after a change, and the time of the change."""

    name: str
    said: dict[str, Any]
    tenant: str = ""
    before: dict[str, Any] | None = None

    @property
    def custom(self) -> bool:
        return bool(self.said["type"] == "CustomRole")


@dataclass
class Identity:
    """A user-assigned managed identity. id: as written when it was created."""

    id: str
    location: str
    principal: str
    client: str
    tenant: str
    tags: dict[str, str] = field(default_factory=dict)
    federated: list[dict[str, Any]] = field(default_factory=list)
    written_at: float = 0.0
    read_at: dict[str, float] = field(default_factory=dict)


@dataclass
class Subscription:
    """managed_by: tenants to which it is delegated (Azure Lighthouse)."""

    id: str
    tenant: str
    managed_by: tuple[str, ...] = ()
    registered: set[str] = field(default_factory=lambda: set(NAMESPACES))
    registering: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Principal:
    """The caller: its object id and the claims of its token. user: a person's user principal name, otherwise empty."""

    id: str
    app_id: str = ""
    tenant: str = TENANT
    user: str = ""
    groups: tuple[str, ...] = ()
    graph: frozenset[str] = frozenset()


@dataclass
class Token:
    principal: Principal
    audience: str
    ends: float
    challenged: bool = False  # it was asked for with the claims of a challenge


class Store:
    """All data of one Azure. clock: the world's time in seconds since the epoch."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.visibility = Visibility(clock)
        self.clear()

    def clear(self) -> None:
        self.tenants: set[str] = set()
        self.subscriptions: dict[str, Subscription] = {}
        self.resource_groups: dict[str, dict[str, Any]] = {}
        self.directory = Directory()
        self.earlier: list[tuple[float, Directory]] = []
        self.lag = 0.0
        self.turns = 0
        self.definitions: dict[str, Definition] = {}
        self.assignments: list[Assignment] = []
        self.denials: list[dict[str, Any]] = []
        self.locks: list[dict[str, Any]] = []
        self.policies: list[dict[str, Any]] = []
        self.identities: dict[str, Identity] = {}
        self.networks: dict[str, dict[str, Any]] = {}
        self.clusters: dict[str, dict[str, Any]] = {}
        self.ways_in: dict[str, Cluster] = {}
        self.groups: dict[str, set[str]] = {}
        self.users: dict[str, Principal] = {}
        self.tokens: dict[str, Token] = {}
        self.assertions: dict[str, Mapping[str, Any]] = {}
        self.versions: dict[str, tuple[str, ...]] = {}
        self.app_policy: dict[str, Any] = {}
        self.behavior: dict[str, Any] = {}
        self.hidden_kinds: frozenset[str] = frozenset()
        self.visibility.set()

    def replica(self) -> Directory:
        """The replica for the next Graph call. Calls use the lagging and the current one in turn."""
        if not self.lag:
            return self.directory
        self.turns += 1
        return self.lagging() if self.turns % 2 else self.directory

    def lagging(self) -> Directory:
        seen = self.clock() - self.lag
        return next((directory for until, directory in self.earlier if until > seen), self.directory)

    def before_write(self) -> None:
        """Copy the directory for the lagging replica, which the next call uses."""
        self.turns = 0
        if self.lag:
            self.earlier.append((self.clock(), copy.deepcopy(self.directory)))

    def identity_of(self, client: str) -> Identity | None:
        """Find an identity by client or principal id."""
        return next((one for one in self.identities.values() if client.lower() in (one.client, one.principal)), None)

    def members(self, member: str) -> Iterator[str]:
        """The ids of a principal's groups."""
        yield from (group for group, members in self.groups.items() if member in members)

    def deleted_application(self, tenant: str, name: str) -> Application | None:
        """A deleted application that can still be restored, by object id."""
        found = (one for one in self.kept(tenant) if one.id == name.lower())
        return next(found, None)

    def kept(self, tenant: str) -> list[Application]:
        """The deleted applications that can still be restored."""
        now = self.clock()
        return [
            one
            for one in self.directory.deleted
            if one.tenant == tenant and one.deleted_at is not None and now < one.deleted_at + APPLICATION_KEPT
        ]

    def note(self, kind: str, name: str) -> None:
        """Register a new object."""
        if kind in self.hidden_kinds:
            self.visibility.note(f"{kind} {name}")

    def hides(self, kind: str, name: str, operation: str) -> bool:
        return self.visibility.hides(f"{kind} {name}", operation)


def new_id() -> str:
    return str(uuid.uuid4())


def as_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def as_exact_time(seconds: float) -> str:
    """Format a time with seven fractional digits, as the Resource Manager and Graph do."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def from_time(text: str) -> float:
    """Raises ValueError for text that is not a time."""
    return datetime.fromisoformat(text).astimezone(timezone.utc).timestamp()


def group_of(identity: str) -> str:
    """The id of the resource group of a resource; an id without a group is returned unchanged."""
    parts = identity.split("/")
    return "/".join(parts[:5]) if len(parts) > 4 and parts[3].lower() == "resourcegroups" else identity


def within(scope: str, above: str) -> bool:
    """Whether a scope equals another or lies in it."""
    inner, outer = scope.lower().rstrip("/"), above.lower().rstrip("/")
    return inner == outer or inner.startswith(f"{outer}/")
