# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of the world's Google Cloud, and the parts of it that several services share."""

from __future__ import annotations

import base64
import functools
import itertools
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ..aws.visibility import Visibility
from .errors import GoogleError

ORGANIZATION, DOMAIN = "424242424242", "example.com"
DAY = 24 * 3600
ACCOUNT_KEPT, ROLE_KEPT, ROLE_BLOCKED = 30 * DAY, 7 * DAY, 37 * DAY  # after a deletion
NO_END = "9999-12-31T23:59:59Z"
SERVICES = ("cloudresourcemanager", "compute", "container", "iam", "iamcredentials", "orgpolicy", "serviceusage", "sts")


@dataclass
class Policy:
    """An allow policy as it is stored: an account is a member by e-mail and unique id, even after it was deleted.

    earlier: the policy before each change and the time of the change, for grants that take effect later.
    """

    bindings: list[dict[str, Any]] = field(default_factory=list)
    audit_configs: list[dict[str, Any]] = field(default_factory=list)
    etag: str = "ACAB"
    earlier: list[tuple[float, list[dict[str, Any]]]] = field(default_factory=list)


@dataclass
class Project:
    """organization: the number of the project's organization, empty for none. going: whether it is being deleted."""

    id: str
    number: str
    organization: str = ORGANIZATION
    policy: Policy = field(default_factory=Policy)
    services: set[str] = field(default_factory=lambda: {f"{one}.googleapis.com" for one in SERVICES})
    constraints: dict[str, Any] = field(default_factory=dict)
    going: bool = False

    def email(self, account_id: str) -> str:
        """A domain-scoped project, such as example.com:shop, has the parts the other way round."""
        domain, colon, name = self.id.rpartition(":")
        return f"{account_id}@{f'{name}.{domain}' if colon else self.id}.iam.gserviceaccount.com"


@dataclass
class Account:
    """A service account. told: the texts that reads show until a change becomes visible."""

    project: str
    email: str
    unique_id: str
    texts: dict[str, str] = field(default_factory=dict)
    disabled: bool = False
    deleted_at: float | None = None
    policy: Policy = field(default_factory=Policy)
    told: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"projects/{self.project}/serviceAccounts/{self.email}"


@dataclass
class Key:
    id: str
    owner: str  # the account's unique id
    private: rsa.RSAPrivateKey
    created: float
    ends: float | None = None
    fields: dict[str, Any] = field(default_factory=dict)  # of the answer, beside the usual ones

    @property
    def pem(self) -> str:
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def works(self, now: float) -> bool:
        return not self.fields.get("disabled") and (self.ends is None or now < self.ends)


@dataclass
class Role:
    """A custom role. said: title, description, includedPermissions, stage."""

    name: str
    said: dict[str, Any]
    etag: str
    deleted_at: float | None = None


@dataclass(frozen=True)
class Principal:
    """The caller. member: its name in policies; unique_id: its name in Kubernetes without the scope userinfo.email."""

    member: str
    unique_id: str = ""
    scopes: frozenset[str] = frozenset()
    groups: tuple[str, ...] = ()

    @property
    def email(self) -> str:
        kind, _colon, email = self.member.partition(":")
        return email if kind in ("user", "serviceAccount") else ""


@dataclass
class Token:
    principal: Principal
    ends: float


@dataclass
class Enabling:
    """A long-running operation that enables services. done: its end, by the world's clock."""

    name: str
    project: str
    services: tuple[str, ...]
    done: float
    error: Mapping[str, Any] | None = None


class Store:
    """All data of one Google Cloud. clock: the world's time in seconds since the epoch."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.visibility = Visibility(clock)
        self.clear()

    def clear(self) -> None:
        self.projects: dict[str, Project] = {}
        self.organization = Policy()
        self.accounts: list[Account] = []
        self.keys: list[Key] = []
        self.roles: list[Role] = []
        self.tokens: dict[str, Token] = {}
        self.id_tokens: dict[str, Mapping[str, Any]] = {}
        self.operations: dict[str, Enabling] = {}
        self.groups: dict[str, tuple[str, ...]] = {}
        self.subnets: dict[str, Policy] = {}
        self.clusters: dict[str, dict[str, Any]] = {}
        self.behavior: dict[str, Any] = {}
        self.hidden_kinds: frozenset[str] = frozenset()
        self.grants_after = 0.0
        self.visibility.set()
        self._key_pairs = itertools.count()

    def project(self, name: str) -> Project | None:
        """Find a project by id or number."""
        return self.projects.get(name) or next((one for one in self.projects.values() if one.number == name), None)

    def account(self, email_or_id: str, project: str = "-") -> Account | None:
        """An account that is not deleted."""
        return next(
            (one for one in self.accounts_of(project) if email_or_id.lower() in (one.email, one.unique_id)), None
        )

    def accounts_of(self, project: str) -> Iterator[Account]:
        """The accounts of a project that are not deleted, by id or number; of all projects for -."""
        found = self.project(project)
        for one in self.accounts:
            if one.deleted_at is None and (project == "-" or (found and one.project == found.id)):
                yield one

    def deleted_account(self, unique_id: str) -> Account | None:
        """An account that can still be restored."""
        for one in self.accounts:
            kept = one.deleted_at is not None and self.clock() < one.deleted_at + ACCOUNT_KEPT
            if kept and one.unique_id == unique_id:
                return one
        return None

    def role(self, name: str) -> Role | None:
        """A custom role that reads show, soft-deleted ones included."""
        role = next((one for one in self.roles if one.name == name), None)
        gone = role and role.deleted_at is not None and self.clock() >= role.deleted_at + ROLE_KEPT
        return None if gone else role

    def purge(self) -> None:
        """Forget the deleted roles whose ids are free again."""
        self.roles = [
            one for one in self.roles if one.deleted_at is None or self.clock() < one.deleted_at + ROLE_BLOCKED
        ]

    def note(self, kind: str, name: str) -> None:
        """Register a new object."""
        if kind in self.hidden_kinds:
            self.visibility.note(f"{kind} {name}")

    def hides(self, kind: str, name: str, operation: str) -> bool:
        return self.visibility.hides(f"{kind} {name}", operation)

    def key_pair(self) -> rsa.RSAPrivateKey:
        return _key_pair(next(self._key_pairs))


@functools.cache
def _key_pair(number: int) -> rsa.RSAPrivateKey:
    """Creating a key takes a tenth of a second, so all stores of a process use the same ones, in the same order."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def new_etag() -> str:
    return base64.b64encode(secrets.token_bytes(8)).decode()


def same_etag(one: str, other: str) -> bool:
    """Compare etags, which Google accepts in either alphabet of base64."""
    return one.replace("-", "+").replace("_", "/") == other.replace("-", "+").replace("_", "/")


def new_id() -> str:
    """The unique id of an account: 21 digits."""
    return f"1{secrets.randbelow(10**20):020d}"


def as_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Asked:
    """One parsed call. path: the names in its path; name: the resource as Google writes it."""

    store: Store
    method: str
    path: Mapping[str, str]
    query: Mapping[str, list[str]]
    body: dict[str, Any]
    caller: Principal
    version: str = "v1"

    def one(self, parameter: str, default: str = "") -> str:
        return self.query.get(parameter, [default])[0]

    def project(self) -> Project:
        """The project in the path. Raises GoogleError if there is none."""
        found = self.store.project(project_in(self.path))
        if found is None:
            raise GoogleError("NOT_FOUND", f"Project {project_in(self.path)} was not found.")
        return found


def project_in(path: Mapping[str, str]) -> str:
    """The project, by id or number, that a call's path names; empty for none."""
    for name in ("name", "parent", "resource"):
        parts = path.get(name, "").split("/")
        if parts[0] == "projects" and len(parts) > 1:
            return parts[1]
    return next((path[one] for one in ("projectId", "project", "resource") if path.get(one)), "")
