# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done to CAST AI's identity for an AKS cluster. PRIVATE to the collection.

Entra and Azure Resource Manager show a new object to each other, and even to themselves, only after a while: what this
run made is waited for, nothing else is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar, Protocol, TypeVar

from .. import _keys
from .._engine import UNKNOWN, Action, CallFailed, Conflict, Made, until
from .._gateways.azure import Azure
from .._gateways.azure_authorization import RoleAssignment
from .._gateways.azure_graph import Application
from .._gateways.azure_session import Rejected
from .._gateways.castai import CastAi, Cluster
from .._keys import Note
from .._names import TAG_CLUSTER_ID
from .._patience import Repeats
from .._variables import named
from . import marks, names, role
from .options import ROLE
from .permissions import FEDERATED, MANAGED
from .proxy import Proxy

T = TypeVar("T")

VISIBLE_SECONDS = 120.0
"""How long to wait until Microsoft Graph shows what this run made, everywhere."""

KNOWN_SECONDS = 300.0
"""The same of a new principal or role in Azure Resource Manager, and of assignments that are gone."""

MERGED_SECONDS = 60.0
"""How long to wait until a role is shown as it was just written, and how often in a row."""
MERGED_READS = 3

LATE_SECONDS = 30.0
"""How long to look for an app that an earlier run may have made, where something tells that there was one."""

HAND_OVER_SECONDS = 600.0
"""How long CAST AI is asked again while it cannot use what it was given: federation takes minutes to count."""

NOT_FOUND = "Request_ResourceNotFound"
PRINCIPAL_UNKNOWN = "PrincipalNotFound"
ROLE_UNKNOWN = "RoleDefinitionDoesNotExist"
NAME_TAKEN = "RoleDefinitionWithSameNameExists"
ASSIGNED = "RoleAssignmentExists"
ID_TAKEN = "RoleAssignmentUpdateNotPermitted"
ROLE_IN_USE = "RoleDefinitionHasAssignments"
TOO_LONG = "CredentialInvalidLifetimeAsPerAppPolicy"
NO_SECRETS = "CredentialTypeNotAllowedAsPerAppPolicy"
_OF_NEW_PRINCIPAL = ("does not reference a valid application", "backing application of the service principal")
"""In refusals of a service principal whose app is not known everywhere yet."""

_MOST_IDS = 5


class Gateways(Protocol):
    @property
    def azure(self) -> Azure:
        """Azure Resource Manager and Microsoft Graph."""

    @property
    def castai(self) -> CastAi:
        """The API."""


class MadeBefore(Conflict):
    """An object of an earlier run is shown only now."""

    pause = 3.0


def patiently(call: Callable[[], T], passes: Callable[[Rejected], bool], seconds: float) -> T:
    """Call, again for so many seconds while the refusal is one that passes."""
    refusals: list[Rejected] = []

    def answered() -> tuple[T] | None:
        try:
            return (call(),)
        except Rejected as refusal:
            if not passes(refusal):
                raise
            refusals.append(refusal)
            return None

    found: tuple[T] | None = until(answered, timeout=seconds)
    if found is None:
        raise refusals[-1]
    return found[0]


def with_advice(refusal: Rejected, advice: str) -> Rejected:
    within = refusal.within and f"{refusal.within} {advice}"
    return Rejected(f"{refusal} {advice}", refusal.status, refusal.problem, within, refusal.unsure)


def not_there_yet(refusal: Rejected) -> bool:
    """Whether an object that was just made is not known where the call came to. Graph sometimes says that the object
    changed meanwhile."""
    return refusal.status in (404, 409)


@dataclass(frozen=True)
class OnRole(Action):
    """An action on one custom role. guid: its id. after: its name, actions and scopes."""

    scope: str = ""
    guid: str = ""
    description: str = ""

    def properties(self, name: str) -> dict[str, Any]:
        permission = {"actions": self.after["actions"], "notActions": [], "dataActions": [], "notDataActions": []}
        return {
            "roleName": name,
            "description": self.description,
            "permissions": [permission],
            "assignableScopes": self.after["scopes"],
        }


@dataclass(frozen=True)
class CreateRole(OnRole):
    """others: names to take instead, in order, where the tenant has a role of this name that is not seen here."""

    others: tuple[str, ...] = ()

    def run(self, gateway: Gateways, made: Made) -> Mapping[str, Any]:
        every = [self.after["name"], *self.others]
        for number, name in enumerate(every):
            try:
                written = gateway.azure.put_role(self.scope, self.guid, self.properties(name))
            except Rejected as refusal:
                if refusal.problem.code != NAME_TAKEN or number == len(every) - 1:
                    raise
                continue
            return {"role": written.id, "role name": name}
        raise AssertionError("unreachable")


@dataclass(frozen=True)
class UpdateRole(OnRole):
    def run(self, gateway: Gateways, made: Made) -> None:
        wanted = self.properties(self.after["name"])
        gateway.azure.put_role(self.scope, self.guid, wanted)
        # Azure merges an update with the role after seconds, and may show either until then.
        equal = 0

        def merged() -> bool:
            nonlocal equal
            found = gateway.azure.get_role(self.scope, self.guid)
            written = (
                found is not None
                and role.same(found.scopes, wanted["assignableScopes"])
                and role.same((one for some in found.permissions for one in some.actions), self.after["actions"])
            )
            equal = equal + 1 if written else 0
            return equal >= MERGED_READS

        until(merged, timeout=MERGED_SECONDS, longest=3.0)


@dataclass(frozen=True)
class DeleteRole(Action):
    scope: str = ""
    guid: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        # Assignments that this run deleted may count for a while.
        patiently(
            lambda: gateway.azure.delete_role(self.scope, self.guid),
            lambda refusal: refusal.problem.code == ROLE_IN_USE,
            KNOWN_SECONDS,
        )


@dataclass(frozen=True)
class CreateApp(Action):
    """after: name and tags. late: whether an earlier run may have made one that is not shown yet; owners: object ids
    beside the caller's own."""

    tenant: str = ""
    cluster_id: str = ""
    owners: tuple[str, ...] = ()
    late: bool = False

    def run(self, gateway: Gateways, made: Made) -> Mapping[str, Any]:
        if self.late and until(lambda: self._found(gateway), timeout=LATE_SECONDS, first=2.0):
            raise MadeBefore(f"App registration {self.after['name']} was created by an earlier run.")
        try:
            app = gateway.azure.create_app(self.tenant, self._body(gateway))
        except CallFailed as failure:
            if not failure.unsure:
                raise
            found = until(lambda: self._found(gateway), timeout=LATE_SECONDS)
            if not found:
                raise
            app = found[0]
        return {"app": app.id, "client id": app.client_id}

    def _found(self, gateway: Gateways) -> tuple[Application, ...]:
        return gateway.azure.find_apps_by_tag(self.tenant, f"{TAG_CLUSTER_ID}={self.cluster_id}")

    def _body(self, gateway: Gateways) -> dict[str, Any]:
        return {
            "displayName": self.after["name"],
            "signInAudience": "AzureADMyOrg",
            "tags": list(self.after["tags"]),
            "owners@odata.bind": [gateway.azure.directory_object(one) for one in owners(gateway, self.tenant, self)],
        }


@dataclass(frozen=True)
class CreatePrincipal(Action):
    """client_id: the app's, UNKNOWN where this run makes it."""

    tenant: str = ""
    client_id: str = ""
    owners: tuple[str, ...] = ()

    def run(self, gateway: Gateways, made: Made) -> Mapping[str, Any]:
        fresh, client = "client id" in made, made.get("client id", self.client_id)
        own = owners(gateway, self.tenant, self)

        def passes(refusal: Rejected) -> bool:
            said = str(refusal)
            return fresh and (refusal.status == 404 or any(one in said for one in _OF_NEW_PRINCIPAL))

        try:
            found = patiently(
                lambda: gateway.azure.create_principal(self.tenant, client, own), passes, VISIBLE_SECONDS
            )
        except Rejected as refusal:
            there = until(
                lambda: gateway.azure.find_principal(self.tenant, client),
                timeout=VISIBLE_SECONDS if refusal.status == 409 else 0.0,
            )
            if not there:
                raise
            found = there
        return {"principal": found.id}


def owners(gateway: Gateways, tenant: str, action: CreateApp | CreatePrincipal) -> tuple[str, ...]:
    """With the caller, who may change only what is its own."""
    return tuple(dict.fromkeys(filter(None, (gateway.azure.graph_caller(tenant).object_id, *action.owners))))


@dataclass(frozen=True)
class MarkApp(Action):
    """after: all tags."""

    tenant: str = ""
    app: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.azure.patch_app(self.tenant, self.app, {"tags": list(self.after)})


@dataclass(frozen=True)
class DeleteApp(Action):
    tenant: str = ""
    app: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.azure.delete_app(self.tenant, self.app)


@dataclass(frozen=True)
class Assign(Action):
    """Assign the role to the principal at one scope. role, principal: UNKNOWN where this run makes them."""

    scope: str = ""
    cluster_id: str = ""
    role: str = ""
    principal: str = ""

    def run(self, gateway: Gateways, made: Made) -> Mapping[str, Any]:
        role_id, principal = made.get("role", self.role), made.get("principal", self.principal)
        name = patiently(lambda: self._put(gateway, role_id, principal), _unknown_yet, KNOWN_SECONDS)
        return {"assigned": (*made.get("assigned", ()), {"scope": self.scope, "name": name})}

    def _put(self, gateway: Gateways, role_id: str, principal: str) -> str:
        """The id of the assignment."""
        for turn in range(_MOST_IDS):
            guid = role_id.rpartition("/")[2]
            name = names.assignment_guid(self.cluster_id, self.scope, guid, principal, turn)
            try:
                gateway.azure.put_assignment(
                    self.scope, name, role_id, principal, marks.description(self.cluster_id)
                )
            except Rejected as refusal:
                if refusal.problem.code == ASSIGNED:
                    return self._assigned(gateway, role_id, principal) or name
                if not _taken(refusal) or turn == _MOST_IDS - 1:
                    raise
                continue
            return name
        raise AssertionError("unreachable")

    def _assigned(self, gateway: Gateways, role_id: str, principal: str) -> str:
        """The id of the assignment that is there, empty where it is not shown."""
        found = gateway.azure.list_assignments(self.scope)
        return next((one.name for one in found if same_assignment(one, self.scope, role_id, principal)), "")


def same_assignment(one: RoleAssignment, scope: str, role_id: str, principal: str) -> bool:
    return (one.scope.lower(), one.role_guid, one.principal.lower()) == (
        scope.lower(),
        role_id.rpartition("/")[2].lower(),
        principal.lower(),
    )


def _unknown_yet(refusal: Rejected) -> bool:
    return refusal.problem.code in (PRINCIPAL_UNKNOWN, ROLE_UNKNOWN)


def _taken(refusal: Rejected) -> bool:
    """Whether an id is one of an assignment of somebody else, or collides inside Azure."""
    return refusal.problem.code == ID_TAKEN or "hash conflict" in refusal.problem.message.lower()


@dataclass(frozen=True)
class Unassign(Action):
    scope: str = ""
    name: str = ""

    def run(self, gateway: Gateways, made: Made) -> Mapping[str, Any]:
        gateway.azure.delete_assignment(self.scope, self.name)
        return {"unassigned": (*made.get("unassigned", ()), {"scope": self.scope, "name": self.name})}


# The hand-over


@dataclass(frozen=True)
class Handing:
    """What every hand-over has. proxy: None where CAST AI is told of none."""

    subscription: str
    tenant: str
    client_id: str
    proxy: Proxy | None = None

    def body(self, made: Made, **secret: str) -> dict[str, Any]:
        """Secret."""
        credentials = {
            "subscriptionId": self.subscription,
            "tenantId": self.tenant,
            "clientId": made.get("client id", self.client_id),
            **secret,
        }
        return {
            "credentials": json.dumps(credentials),
            **({"aks": {"httpProxyConfig": self.proxy.body()}} if self.proxy else {}),
        }


def forbidden(refusal: Rejected) -> Rejected:
    """A refusal of a secret, with what else can be done."""
    said = f"{refusal.problem.code} {refusal.problem.message}"
    if TOO_LONG in said:
        return with_advice(refusal, f"Set {named('secret_days', ROLE)} to what the policy allows.")
    if NO_SECRETS in said:
        ways = f"{named('credential', ROLE)} to {FEDERATED}, or {named('identity', ROLE)} to {MANAGED}"
        return with_advice(refusal, f"Secrets are forbidden for apps. Set {ways}, which need none.")
    return refusal


@dataclass(frozen=True)
class DeleteSecret(_keys.DeleteKey):
    tenant: str = ""
    app: str = ""

    def delete(self, gateway: Gateways) -> None:
        remove_secret(gateway, self.tenant, self.app, self.key_id)


def remove_secret(gateway: Gateways, tenant: str, app: str, key_id: str) -> None:
    """Gone already is success."""
    try:
        gateway.azure.remove_password(tenant, app, key_id)
    except Rejected as refusal:
        if refusal.status not in (400, 404) or "No password credential found" not in refusal.problem.message:
            raise


@dataclass(frozen=True)
class HandOverSecret(_keys.HandOverKey):
    """The note is in the app's notes. app: UNKNOWN where this run makes it; notes: what they say now."""

    KIND: ClassVar[str] = "secret"
    handing: Handing = field(default_factory=lambda: Handing("", "", ""))
    app: str = ""
    name: str = ""
    days: int = 0
    notes: str = ""
    fresh: bool = False
    """Whether this run makes the app, so that it may not be known everywhere yet."""
    made: Made = field(default_factory=dict, repr=False)

    def run(self, gateway: Gateways, made: Made) -> None:
        filled = replace(self, app=made.get("app", self.app), made=made)
        _keys.HandOverKey.run(filled, gateway, made)

    def create(self, gateway: Gateways) -> tuple[str, str]:
        ends = datetime.now(timezone.utc) + timedelta(days=self.days)
        try:
            new = self._when_known(
                lambda: gateway.azure.add_password(
                    self.handing.tenant, self.app, self.name, f"{ends:%Y-%m-%dT%H:%M:%SZ}"
                )
            )
        except Rejected as refusal:
            raise forbidden(refusal) from refusal
        return new.key_id, new.text

    def _when_known(self, call: Callable[[], T]) -> T:
        return patiently(call, lambda refusal: self.fresh and not_there_yet(refusal), VISIBLE_SECONDS)

    def give(self, gateway: Gateways, key_id: str, secret: str) -> Cluster:
        body = self.handing.body(self.made, clientSecret=secret)
        return gateway.castai.hand_over(self.cluster_id, body, HAND_OVER_SECONDS)

    def note(self, gateway: Gateways, key_id: str, credentials: str) -> None:
        notes = marks.with_note(self.notes, Note(key_id, credentials))
        self._when_known(lambda: gateway.azure.patch_app(self.handing.tenant, self.app, {"notes": notes}))

    def take_back(self, gateway: Gateways, key_id: str) -> None:
        remove_secret(gateway, self.handing.tenant, self.app, key_id)


@dataclass(frozen=True)
class HandOverGiven(Action):
    """Hand over a secret that the user gave."""

    cluster_id: str = ""
    handing: Handing = field(default_factory=lambda: Handing("", "", ""))
    secret: str = field(default="", repr=False)

    def run(self, gateway: Gateways, made: Made) -> None:
        body = self.handing.body(made, clientSecret=self.secret)
        gateway.castai.hand_over(self.cluster_id, body, HAND_OVER_SECONDS)
