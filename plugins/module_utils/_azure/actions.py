# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The writes to CAST AI's identity for an AKS cluster. PRIVATE to the collection.

Entra and Azure Resource Manager need a while to show a new object, to each other and even to themselves. So a run waits
for what it created itself, and for nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar, Protocol, TypeVar

from .. import _keys
from .._engine import UNKNOWN, Action, CallFailed, Conflict, Made, until
from .._gateways import castai
from .._gateways.azure import Azure
from .._gateways.azure_graph import Application
from .._gateways.azure_identities import Federation
from .._gateways.azure_session import DENIED, Rejected
from .._gateways.castai import CastAi, Cluster
from .._keys import Note
from .._names import TAG_CLUSTER_ID
from .._variables import named
from . import marks, names, role
from .chosen import notepad
from .options import ROLE
from .permissions import FEDERATED, MANAGED, SECRET
from .proxy import Proxy

T = TypeVar("T")

VISIBLE_SECONDS = 120.0
"""How long to wait until every replica of Microsoft Graph shows what this run created."""

KNOWN_SECONDS = 300.0
"""How long to wait until Azure Resource Manager knows a new principal or role, or no longer counts deleted
assignments."""

MERGED_SECONDS = 60.0
"""How long to wait until a role is shown as it was just written, and how many reads in a row must show it."""
MERGED_READS = 3

LATE_SECONDS = 30.0
"""How long to look for an app that an earlier run may have created, if there is a sign of one."""

SHOWN_SECONDS = 30.0
SHOWN_READS = 3
"""How long to wait until Graph shows a note, and how many reads in a row must show it: Graph has replicas."""

HAND_OVER_SECONDS = 600.0
"""How long to repeat the hand-over while CAST AI cannot use the credentials: federation takes minutes to take
effect."""

PROVIDER = "aks"

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
"""Parts of the messages with which Graph refuses a service principal because not every replica knows its app yet."""

_MOST_IDS = 5


class Gateways(Protocol):
    @property
    def azure(self) -> Azure:
        """The gateway to Azure Resource Manager and Microsoft Graph."""

    @property
    def castai(self) -> CastAi:
        """The gateway to CAST AI's API."""


class MadeBefore(Conflict):
    """An object created by an earlier run appears only now."""

    pause = 3.0


def patiently(call: Callable[[], T], passes: Callable[[Rejected], bool], seconds: float) -> T:
    """Make a call, and repeat it for up to this many seconds while it is refused for a reason that goes away by
    itself."""
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


def on_app(call: Callable[[], T]) -> T:
    """Change an existing app, which only its owners may do."""
    try:
        return call()
    except Rejected as refusal:
        if refusal.problem.code != DENIED:
            raise
        advice = (
            "With it, only owners of an app registration can change the app: ask one of them to add the identity that"
            f" runs this as an owner, or set {named('existing_app_id', ROLE)} to use the app as it is."
        )
        raise refusal.advised(advice) from refusal


@dataclass(frozen=True)
class OnRole(Action):
    """An action on one custom role. guid: its ID. after: its name, actions and scopes."""

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
    """others: names to try in this order if a role elsewhere in the tenant, which cannot be seen from here, has this
    one."""

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
        # Azure takes seconds to merge an update into the role, and may show the old or the new state until then.
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
        # Assignments that this run deleted may still count for a while.
        patiently(
            lambda: gateway.azure.delete_role(self.scope, self.guid),
            lambda refusal: refusal.problem.code == ROLE_IN_USE,
            KNOWN_SECONDS,
        )


@dataclass(frozen=True)
class CreateApp(Action):
    """after: name and tags. late: whether an earlier run may have created an app that is not shown yet. owners: object
    IDs besides the caller's own."""

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
            if self.owners and isinstance(failure, Rejected) and failure.problem.code == NOT_FOUND:
                raise failure.advised(f"Check {named('owners', ROLE)}.") from failure
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
    """client_id: of the app, UNKNOWN if this run creates it. fresh: whether the app was created moments ago."""

    tenant: str = ""
    client_id: str = ""
    owners: tuple[str, ...] = ()
    fresh: bool = False

    def run(self, gateway: Gateways, made: Made) -> Mapping[str, Any]:
        fresh, client = self.fresh or "client id" in made, made.get("client id", self.client_id)
        own = owners(gateway, self.tenant, self)

        def passes(refusal: Rejected) -> bool:
            said = str(refusal)
            return fresh and (refusal.status == 404 or any(one in said for one in _OF_NEW_PRINCIPAL))

        try:
            found = patiently(lambda: gateway.azure.create_principal(self.tenant, client, own), passes, VISIBLE_SECONDS)
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
    """The owners with the caller added, who could not change the app later without being an owner."""
    return tuple(dict.fromkeys(filter(None, (gateway.azure.graph_caller(tenant).object_id, *action.owners))))


@dataclass(frozen=True)
class MarkApp(Action):
    """after: all tags, not only the new ones."""

    tenant: str = ""
    app: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        on_app(lambda: gateway.azure.patch_app(self.tenant, self.app, {"tags": list(self.after)}))


@dataclass(frozen=True)
class DeleteApp(Action):
    tenant: str = ""
    app: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        on_app(lambda: gateway.azure.delete_app(self.tenant, self.app))


@dataclass(frozen=True)
class Assign(Action):
    """Assign the role to the principal at one scope. role, principal: UNKNOWN if this run creates them."""

    scope: str = ""
    cluster_id: str = ""
    role: str = ""
    principal: str = ""

    def run(self, gateway: Gateways, made: Made) -> Mapping[str, Any]:
        role_id, principal = made.get("role", self.role), made.get("principal", self.principal)
        try:
            patiently(lambda: self._put(gateway, role_id, principal), _unknown_yet, KNOWN_SECONDS)
        except Rejected as refusal:
            if refusal.status != 403:
                raise
            advice = (
                "If its role already allows this, a condition of the assignment may limit which roles it can assign."
            )
            raise refusal.advised(advice) from refusal
        return {"assigned": (*made.get("assigned", ()), self.scope)}

    def _put(self, gateway: Gateways, role_id: str, principal: str) -> None:
        for turn in range(_MOST_IDS):
            name = names.assignment_guid(self.cluster_id, self.scope, role_id.rpartition("/")[2], principal, turn)
            try:
                gateway.azure.put_assignment(self.scope, name, role_id, principal, marks.description(self.cluster_id))
            except Rejected as refusal:
                if refusal.problem.code == ASSIGNED:
                    return
                if not _taken(refusal) or turn == _MOST_IDS - 1:
                    raise
            else:
                return


def _unknown_yet(refusal: Rejected) -> bool:
    return refusal.problem.code in (PRINCIPAL_UNKNOWN, ROLE_UNKNOWN)


def _taken(refusal: Rejected) -> bool:
    """Whether the ID belongs to another assignment, or collides inside Azure."""
    return refusal.problem.code == ID_TAKEN or "hash conflict" in refusal.problem.message.lower()


@dataclass(frozen=True)
class Unassign(Action):
    scope: str = ""
    name: str = ""

    def run(self, gateway: Gateways, made: Made) -> Mapping[str, Any]:
        if names.same(self.before["to"], made.get("principal", "")):
            raise Conflict(
                f"Could not {self.sentence}: service principal {self.before['to']} exists, but Microsoft Graph did not"
                " show it at first."
            )
        gateway.azure.delete_assignment(self.scope, self.name)
        return {"unassigned": (*made.get("unassigned", ()), self.scope)}


# A managed identity, and federated credentials


@dataclass(frozen=True)
class RegisterProvider(Action):
    subscription: str = ""
    namespace: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.azure.register_provider(self.subscription, self.namespace)


@dataclass(frozen=True)
class WriteIdentity(Action):
    """after: location and tags, or only the tags if the identity exists. identity: its ID."""

    identity: str = ""

    def run(self, gateway: Gateways, made: Made) -> Mapping[str, Any]:
        place = names.place_of(self.identity)
        if self.before is None:
            written = gateway.azure.put_identity(*place, self.after["location"], self.after["tags"])
        else:
            written = gateway.azure.tag_identity(*place, self.after["tags"])
        return {"client id": written.client_id, "principal": written.principal_id}


@dataclass(frozen=True)
class DeleteIdentity(Action):
    identity: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.azure.delete_identity(*names.place_of(self.identity))


@dataclass(frozen=True)
class CreateCastAccount(Action):
    """Have CAST AI create the account that it uses to log in to the app."""

    cluster_id: str = ""

    def run(self, gateway: Gateways, made: Made) -> Mapping[str, Any]:
        try:
            return {"subject": gateway.castai.create_google_account(self.cluster_id, PROVIDER)}
        except castai.Rejected as refusal:
            if not refusal.final:
                raise
            raise CallFailed(
                f"{refusal} CAST AI may not have enabled this for your organization. Ask its support, or set"
                f" {named('credential', ROLE)} to {SECRET}."
            ) from refusal


@dataclass(frozen=True)
class DisableCastAccount(Action):
    cluster_id: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.castai.disable_google_account(self.cluster_id)


@dataclass(frozen=True)
class Federate(Action):
    """Write a federated credential.

    owner: ID of a managed identity, or object ID of an app, UNKNOWN if this run creates it. wanted: its subject is
    UNKNOWN if this run has the account created. known: whether a credential of this name exists.
    """

    tenant: str = ""
    owner: str = ""
    wanted: Federation = field(default_factory=lambda: Federation("", "", "", ()))
    known: bool = False
    fresh: bool = False
    """Whether the app was created moments ago."""

    def run(self, gateway: Gateways, made: Made) -> Mapping[str, Any]:
        subject = made.get("subject", self.wanted.subject) if self.wanted.subject == UNKNOWN else self.wanted.subject
        wanted = replace(self.wanted, subject=subject)
        if self.owner.startswith("/"):
            place = names.place_of(self.owner)
            try:
                # Not every replica may know an identity that this run created.
                patiently(
                    lambda: gateway.azure.put_identity_federation(*place, wanted),
                    lambda refusal: refusal.status == 404 and "principal" in made,
                    VISIBLE_SECONDS,
                )
            except Rejected as refusal:
                raise _no_federation(refusal) from refusal
            return {}
        app = made.get("app", self.owner)
        if self.known:
            gateway.azure.patch_app_federation(self.tenant, app, wanted)
            return {"federation": wanted.id}
        return {"federation": self._create(gateway, app, wanted, self.fresh or "app" in made)}

    def _create(self, gateway: Gateways, app: str, wanted: Federation, fresh: bool) -> str:
        """Create the credential and return its ID, or that of an equal one that the app has under another name."""
        try:
            made = patiently(
                lambda: gateway.azure.create_app_federation(self.tenant, app, wanted),
                lambda refusal: fresh and refusal.problem.code == NOT_FOUND,
                VISIBLE_SECONDS,
            )
        except Rejected as refusal:
            if refusal.status not in (400, 409):
                raise
            every = gateway.azure.list_app_federations(self.tenant, app)
            same = [one for one in every if (one.issuer, one.subject) == (wanted.issuer, wanted.subject)]
            if not same:
                raise
            return same[0].id
        return made.id


def _no_federation(refusal: Rejected) -> Rejected:
    if refusal.status != 405:
        return refusal
    where = named("identity_location", ROLE)
    return refusal.advised(f"Set {where} to another region. It does not have to be the cluster's.")


@dataclass(frozen=True)
class DeleteFederation(Action):
    """Delete a federated credential of an app."""

    tenant: str = ""
    app: str = ""
    federation: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.azure.delete_app_federation(self.tenant, self.app, self.federation)


# The hand-over


@dataclass(frozen=True)
class Notebook:
    """Where the hand-over is recorded.

    app: object ID of an app, whose notes are used; identity: ID of a managed identity, whose tags are used; scope: of
    the assignment whose description is used for the principal of an existing identity, which is not edited.
    """

    tenant: str = ""
    app: str = ""
    notes: str = ""
    identity: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    scope: str = ""
    principal: str = ""
    cluster_id: str = ""
    fresh: bool = False
    """Whether the app was created so recently that not every replica may know it."""

    def of(self, made: Made) -> Notebook:
        """This notebook, with the app or principal that this run created."""
        if self.scope and not self.principal:
            return replace(self, principal=made.get("principal", ""))
        return replace(self, app=made["app"], fresh=True) if self.app == UNKNOWN and "app" in made else self

    def write(self, gateway: Gateways, key_id: str, credentials: str) -> None:
        if self.app:
            notes = marks.with_note(self.notes, Note(key_id, credentials))
            when_known(self.fresh, lambda: gateway.azure.patch_app(self.tenant, self.app, {"notes": notes}))
            self._wait_until_shown(gateway, notes)
        elif self.identity:
            tags = {**self.tags, marks.TAG_CREDENTIALS: credentials}
            gateway.azure.tag_identity(*names.place_of(self.identity), tags)
        elif self.scope:
            at_scope = (one for one in gateway.azure.list_assignments(self.scope) if names.same(one.scope, self.scope))
            pad = notepad(at_scope, self.principal, self.cluster_id)
            if pad:
                text = marks.with_note(pad.description, Note(key_id, credentials))
                gateway.azure.put_assignment(pad.scope, pad.name, pad.role, pad.principal, text)

    def _wait_until_shown(self, gateway: Gateways, notes: str) -> None:
        """Wait for every replica of Graph, so that the next run does not conclude that nothing was handed over."""
        equal = 0

        def shown() -> bool:
            nonlocal equal
            found = gateway.azure.get_app(self.tenant, self.app)
            equal = equal + 1 if found and found.notes == notes else 0
            return equal >= SHOWN_READS

        until(shown, timeout=SHOWN_SECONDS, longest=3.0)


def when_known(fresh: bool, call: Callable[[], T]) -> T:
    """Make a call for an app. Not every replica may know a new app yet, or it may seem to change in the meantime."""
    return patiently(call, lambda refusal: fresh and refusal.status in (404, 409), VISIBLE_SECONDS)


def check_prepared(gateway: Gateways, notebook: Notebook, cluster_id: str) -> None:
    """Raise Conflict if an app of an earlier run appears only now, and CallFailed if there is none."""
    if notebook.app != UNKNOWN:
        return
    if until(
        lambda: gateway.azure.find_apps_by_tag(notebook.tenant, f"{TAG_CLUSTER_ID}={cluster_id}"), timeout=LATE_SECONDS
    ):
        raise MadeBefore(f"The app registration of cluster {cluster_id} was created by an earlier run.")
    raise CallFailed("There is no app registration yet. Set prepare to true.")


@dataclass(frozen=True)
class Handing:
    """The parts that every hand-over contains. proxy: None if none is sent to CAST AI."""

    subscription: str = ""
    tenant: str = ""
    client_id: str = ""
    proxy: Proxy | None = None

    def body(self, made: Made, **secret: str) -> dict[str, Any]:
        """The body of the request. Secret."""
        credentials = {
            "subscriptionId": self.subscription,
            "tenantId": self.tenant,
            "clientId": made.get("client id", self.client_id),
            **secret,
        }
        return {"credentials": json.dumps(credentials), **(proxy_body(self.proxy) if self.proxy else {})}

    def shown(self, what: str) -> Any:
        return {"credentials": what, "http_proxy": self.proxy.shown()} if self.proxy else what


def proxy_body(proxy: Proxy) -> dict[str, Any]:
    """The part of the body for the proxy. Secret."""
    return {PROVIDER: {"httpProxyConfig": proxy.body()}}


def forbidden(refusal: Rejected) -> Rejected:
    """The refusal of a secret, with advice on what to do instead."""
    said = f"{refusal.problem.code} {refusal.problem.message}"
    if TOO_LONG in said:
        return refusal.advised(f"Set {named('secret_days', ROLE)} to a number that the policy allows.")
    if NO_SECRETS in said:
        ways = f"{named('credential', ROLE)} to {FEDERATED}, or {named('identity', ROLE)} to {MANAGED}"
        return refusal.advised(f"A policy forbids secrets of apps. Set {ways}, which need none.")
    return refusal


@dataclass(frozen=True)
class DeleteSecret(_keys.DeleteKey):
    tenant: str = ""
    app: str = ""

    def delete(self, gateway: Gateways) -> None:
        remove_secret(gateway, self.tenant, self.app, self.key_id)


def remove_secret(gateway: Gateways, tenant: str, app: str, key_id: str) -> None:
    """Delete a secret. If it is already gone, that is a success."""
    try:
        gateway.azure.remove_password(tenant, app, key_id)
    except Rejected as refusal:
        if "No password credential found" not in refusal.problem.message:
            raise


@dataclass(frozen=True)
class HandOverSecret(_keys.HandOverKey):
    """notebook: of the app, UNKNOWN if this run creates it. name: of the secret."""

    KIND: ClassVar[str] = "secret"
    handing: Handing = field(default_factory=Handing)
    notebook: Notebook = field(default_factory=Notebook)
    name: str = ""
    days: int = 0
    made: Made = field(default_factory=dict, repr=False)

    def run(self, gateway: Gateways, made: Made) -> Mapping[str, Any]:
        notebook = self.notebook.of(made)
        check_prepared(gateway, notebook, self.cluster_id)
        _keys.HandOverKey.run(replace(self, notebook=notebook, made=made), gateway, made)
        return {"secret ends": f"{self.ends:%Y-%m-%d}"}

    @property
    def ends(self) -> datetime:
        return datetime.now(timezone.utc) + timedelta(days=self.days)

    def create(self, gateway: Gateways) -> tuple[str, str]:
        tenant, app, ends = self.notebook.tenant, self.notebook.app, f"{self.ends:%Y-%m-%dT%H:%M:%SZ}"
        try:
            new = on_app(
                lambda: when_known(
                    self.notebook.fresh, lambda: gateway.azure.add_password(tenant, app, self.name, ends)
                )
            )
        except Rejected as refusal:
            raise forbidden(refusal) from refusal
        return new.key_id, new.text

    def give(self, gateway: Gateways, key_id: str, secret: str) -> Cluster:
        body = self.handing.body(self.made, clientSecret=secret)
        return gateway.castai.hand_over(self.cluster_id, body, HAND_OVER_SECONDS)

    def note(self, gateway: Gateways, key_id: str, credentials: str) -> None:
        self.notebook.write(gateway, key_id, credentials)

    def take_back(self, gateway: Gateways, key_id: str) -> None:
        remove_secret(gateway, self.notebook.tenant, self.notebook.app, key_id)


@dataclass(frozen=True)
class HandOverGiven(Action):
    """Hand over a secret that the user gave. key_id: which of the app's secrets it is, if Graph shows that."""

    cluster_id: str = ""
    handing: Handing = field(default_factory=Handing)
    notebook: Notebook = field(default_factory=Notebook)
    key_id: str = marks.UNSEEN
    secret: str = field(default="", repr=False)

    def run(self, gateway: Gateways, made: Made) -> None:
        body = self.handing.body(made, clientSecret=self.secret)
        credentials = gateway.castai.hand_over(self.cluster_id, body, HAND_OVER_SECONDS).credentials_id
        self.notebook.of(made).write(gateway, self.key_id, credentials)


@dataclass(frozen=True)
class HandOverFederation(Action):
    """Tell CAST AI to use an identity without a secret.

    federation: what CAST AI gets instead of a secret: the principal ID of a managed identity, or the ID of an app's
    federated credential. UNKNOWN if this run creates it.
    """

    cluster_id: str = ""
    handing: Handing = field(default_factory=Handing)
    notebook: Notebook = field(default_factory=Notebook)
    federation: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        notebook = self.notebook.of(made)
        check_prepared(gateway, notebook, self.cluster_id)
        own = made.get("federation") or made.get("principal") if self.federation == UNKNOWN else self.federation
        if not own:
            raise CallFailed("The identity is not prepared yet. Set prepare to true.")
        body = self.handing.body(made, federationId=str(own))
        credentials = gateway.castai.hand_over(self.cluster_id, body, HAND_OVER_SECONDS).credentials_id
        notebook.write(gateway, str(own), credentials)


@dataclass(frozen=True)
class SetProxy(Action):
    """key_id: the key or federation that CAST AI's credentials are for. Their ID may change with this call."""

    cluster_id: str = ""
    proxy: Proxy = field(default_factory=Proxy)
    notebook: Notebook = field(default_factory=Notebook)
    key_id: str = ""
    credentials_id: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        found = gateway.castai.hand_over(self.cluster_id, proxy_body(self.proxy), 0.0).credentials_id
        if found != self.credentials_id:
            self.notebook.write(gateway, self.key_id, found)
