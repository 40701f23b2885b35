# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Microsoft Graph: applications and their service principals, for class Azure. PRIVATE to the collection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._answers import Odd, object_in, objects_in, text_in
from .azure_authorization import quoted
from .azure_identities import Federation
from .azure_session import GRAPH, Answer, Call, Caller, Session

READ, WRITE = "Application.Read.All", "Application.ReadWrite.OwnedBy"
"""Application permissions of Graph: to find applications, and to change those that the caller owns."""
READ_POLICIES = "Policy.Read.All"
READ_DIRECTORY = "Directory.Read.All"
"""To read users, who may be owners. Service principals can be read with READ as well."""

_APP = "/applications/{app}"
_PRINCIPALS = "/servicePrincipals"


def _call(purpose: str, method: str, path: str, permission: str = WRITE, repeats: bool = False) -> Call:
    return Call(purpose, method, GRAPH, path, (permission,), repeats=repeats)


LIST_APPS = _call("find application {name}", "GET", "/applications", READ)
GET_APP = _call("read application {app}", "GET", _APP, READ)
CREATE_APP = _call("create application {name}", "POST", "/applications")
PATCH_APP = _call("change application {app}", "PATCH", _APP, repeats=True)
DELETE_APP = _call("delete application {app}", "DELETE", _APP)
ADD_PASSWORD = _call("add a secret to application {app}", "POST", f"{_APP}/addPassword")
REMOVE_PASSWORD = _call("remove secret {key} of application {app}", "POST", f"{_APP}/removePassword", repeats=True)
LIST_APP_FEDERATIONS = _call(
    "list the federated credentials of application {app}", "GET", f"{_APP}/federatedIdentityCredentials", READ
)
CREATE_APP_FEDERATION = _call(
    "create federated credential {federation} of application {app}", "POST", f"{_APP}/federatedIdentityCredentials"
)
PATCH_APP_FEDERATION = _call(
    "change federated credential {federation} of application {app}",
    "PATCH",
    f"{_APP}/federatedIdentityCredentials/{{federation}}",
    repeats=True,
)
DELETE_APP_FEDERATION = _call(
    "delete federated credential {federation} of application {app}",
    "DELETE",
    f"{_APP}/federatedIdentityCredentials/{{federation}}",
)
FIND_PRINCIPAL = _call("find the service principal of application {client}", "GET", _PRINCIPALS, READ)
CREATE_PRINCIPAL = _call("create the service principal of application {client}", "POST", _PRINCIPALS)
DELETE_PRINCIPAL = _call("delete service principal {principal}", "DELETE", f"{_PRINCIPALS}/{{principal}}")
LIST_DELETED_APPS = _call(
    "find deleted application {name}", "GET", "/directory/deletedItems/microsoft.graph.application", READ
)
GET_APP_POLICY = _call(
    "read the app management policy of the tenant", "GET", "/policies/defaultAppManagementPolicy", READ_POLICIES
)
GET_OBJECT = _call("read directory object {object}", "GET", "/directoryObjects/{object}", READ_DIRECTORY)
CALLS = (
    LIST_APPS,
    GET_APP,
    CREATE_APP,
    PATCH_APP,
    DELETE_APP,
    ADD_PASSWORD,
    REMOVE_PASSWORD,
    LIST_APP_FEDERATIONS,
    CREATE_APP_FEDERATION,
    PATCH_APP_FEDERATION,
    DELETE_APP_FEDERATION,
    FIND_PRINCIPAL,
    CREATE_PRINCIPAL,
    DELETE_PRINCIPAL,
    LIST_DELETED_APPS,
    GET_APP_POLICY,
    GET_OBJECT,
)

_SELECT = ("$select", "id,appId,displayName,tags,notes,passwordCredentials,createdDateTime")


@dataclass(frozen=True)
class Password:
    """A secret of an application, without its text. starts, ends: in Graph's format. hint: the first characters of the
    text, empty for some secrets."""

    key_id: str
    name: str
    starts: str
    ends: str
    hint: str = ""

    @classmethod
    def parse(cls, body: Answer) -> Password:
        key = text_in(body, "keyId")
        if not key:
            raise Odd("field keyId is not set")
        dates = text_in(body, "startDateTime"), text_in(body, "endDateTime")
        return cls(key, text_in(body, "displayName"), *dates, text_in(body, "hint"))


@dataclass(frozen=True)
class NewPassword:
    """text: returned only once."""

    key_id: str
    text: str = field(repr=False)

    @classmethod
    def parse(cls, body: Answer) -> NewPassword:
        text = body.get("secretText")
        if not isinstance(text, str) or not text:
            raise Odd("field secretText is not set")
        return cls(Password.parse(body).key_id, text)


@dataclass(frozen=True)
class Application:
    """id: of the object; client_id: by which others know it; created: as Graph writes times."""

    id: str
    client_id: str
    name: str
    tags: tuple[str, ...] = ()
    notes: str = ""
    passwords: tuple[Password, ...] = ()
    created: str = ""

    @classmethod
    def parse(cls, body: Answer) -> Application:
        found, client = text_in(body, "id"), text_in(body, "appId")
        if not (found and client):
            raise Odd("field id or appId is not set")
        tags = body.get("tags") or []
        if not isinstance(tags, list) or not all(isinstance(one, str) for one in tags):
            raise Odd("field tags is not a list of strings")
        return cls(
            found,
            client,
            text_in(body, "displayName"),
            tuple(tags),
            text_in(body, "notes", 2000),
            tuple(map(Password.parse, objects_in(body, "passwordCredentials"))),
            text_in(body, "createdDateTime"),
        )


def _kind(body: Answer) -> str:
    """The type of a directory object, without its namespace."""
    return text_in(body, "@odata.type").rpartition(".")[2]


@dataclass(frozen=True)
class Principal:
    """The service principal of an application. id: its object ID, which ARM uses for it."""

    id: str
    client_id: str

    @classmethod
    def parse(cls, body: Answer) -> Principal:
        return cls(text_in(body, "id"), text_in(body, "appId"))


_LIFETIME = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T.*)?")
_DAYS = (365, 30, 7, 1)


@dataclass(frozen=True)
class AppPolicy:
    """What a tenant allows its new applications. most_days: how long a secret may last, None for any time."""

    secrets: bool = True
    most_days: int | None = None

    @classmethod
    def parse(cls, body: Answer) -> AppPolicy:
        if body.get("isEnabled") is not True:
            return cls()
        every = objects_in(object_in(body, "applicationRestrictions"), "passwordCredentials")
        rules = [one for one in every if text_in(one, "state") != "disabled"]
        found = (
            _LIFETIME.fullmatch(text_in(one, "maxLifetime"))
            for one in rules
            if text_in(one, "restrictionType") == "passwordLifetime"
        )
        days = [
            sum(int(count or 0) * each for count, each in zip(one.groups(), _DAYS, strict=True)) for one in found if one
        ]
        return cls(
            not any(text_in(one, "restrictionType") == "passwordAddition" for one in rules), min(days, default=None)
        )


class Graph(Session):
    """Applications. Each call takes the tenant that they are in, empty for the credentials' own.

    app: the id of the object.
    """

    def graph_caller(self, tenant: str = "") -> Caller:
        """The identity that calls Graph, with the application permissions it was granted."""
        return Caller.of(self.token(self._audience(GRAPH), tenant))

    def find_apps(self, tenant: str, name: str) -> tuple[Application, ...]:
        """Applications with this display name, which is not unique."""
        return self._apps(LIST_APPS, tenant, name, f"displayName eq '{quoted(name)}'")

    def find_apps_by_tag(self, tenant: str, tag: str) -> tuple[Application, ...]:
        return self._apps(LIST_APPS, tenant, f"with tag {tag}", f"tags/any(t:t eq '{quoted(tag)}')")

    def find_app_by_client_id(self, tenant: str, client: str) -> Application | None:
        return next(iter(self._apps(LIST_APPS, tenant, client, f"appId eq '{quoted(client)}'")), None)

    def find_deleted_apps(self, tenant: str, name: str) -> tuple[Application, ...]:
        """Applications with this display name that were deleted in the last 30 days."""
        return self._apps(LIST_DELETED_APPS, tenant, name, f"displayName eq '{quoted(name)}'")

    def app_policy(self, tenant: str) -> AppPolicy:
        """The tenant's policy for applications that have none of their own."""
        found: AppPolicy = self.send(GET_APP_POLICY, read=AppPolicy.parse, tenant=tenant)
        return found

    def _apps(self, call: Call, tenant: str, name: str, chosen: str) -> tuple[Application, ...]:
        return self.send_all(call, Application.parse, [("$filter", chosen), _SELECT], tenant=tenant, name=name) or ()

    def get_app(self, tenant: str, app: str) -> Application | None:
        found: Application | None = self.send(
            GET_APP, query=[_SELECT], absent=True, read=Application.parse, tenant=tenant, app=app
        )
        return found

    def create_app(self, tenant: str, body: Mapping[str, Any]) -> Application:
        """body: displayName, signInAudience, tags, notes, owners@odata.bind."""
        made: Application = self.send(
            CREATE_APP, dict(body), read=Application.parse, tenant=tenant, name=str(body.get("displayName"))
        )
        return made

    def patch_app(self, tenant: str, app: str, body: Mapping[str, Any]) -> None:
        self.send(PATCH_APP, dict(body), tenant=tenant, app=app)

    def delete_app(self, tenant: str, app: str) -> None:
        """Delete the application. If it is already gone, that is a success."""
        self.send(DELETE_APP, absent=True, tenant=tenant, app=app)

    def add_password(self, tenant: str, app: str, name: str, ends: str) -> NewPassword:
        """Create a secret. ends: in Graph's format. The result is secret."""
        body = {"passwordCredential": {"displayName": name, "endDateTime": ends}}
        made: NewPassword = self.send(ADD_PASSWORD, body, read=NewPassword.parse, tenant=tenant, app=app)
        return made

    def remove_password(self, tenant: str, app: str, key: str) -> None:
        self.send(REMOVE_PASSWORD, {"keyId": key}, tenant=tenant, app=app, key=key)

    def list_app_federations(self, tenant: str, app: str) -> tuple[Federation, ...]:
        return self.send_all(LIST_APP_FEDERATIONS, Federation.parse, tenant=tenant, app=app) or ()

    def create_app_federation(self, tenant: str, app: str, federation: Federation) -> Federation:
        body = {"name": federation.name, **federation.body(), "description": federation.description or None}
        made: Federation = self.send(
            CREATE_APP_FEDERATION,
            {key: value for key, value in body.items() if value is not None},
            read=Federation.parse,
            tenant=tenant,
            app=app,
            federation=federation.name,
        )
        return made

    def patch_app_federation(self, tenant: str, app: str, federation: Federation) -> None:
        """Change a federated credential, found by its ID. Its name cannot change."""
        self.send(
            PATCH_APP_FEDERATION, federation.body(), tenant=tenant, app=app, federation=federation.id or federation.name
        )

    def delete_app_federation(self, tenant: str, app: str, federation: str) -> None:
        """federation: ID or name. If it is already gone, that is a success."""
        self.send(DELETE_APP_FEDERATION, absent=True, tenant=tenant, app=app, federation=federation)

    def find_principal(self, tenant: str, client: str) -> Principal | None:
        query = [("$filter", f"appId eq '{quoted(client)}'"), ("$select", "id,appId")]
        found = self.send_all(FIND_PRINCIPAL, Principal.parse, query, tenant=tenant, client=client)
        return next(iter(found or ()), None)

    def create_principal(self, tenant: str, client: str, owners: tuple[str, ...] = ()) -> Principal:
        """owners: object IDs."""
        body: dict[str, Any] = {"appId": client}
        if owners:
            body["owners@odata.bind"] = [self.directory_object(one) for one in owners]
        made: Principal = self.send(CREATE_PRINCIPAL, body, read=Principal.parse, tenant=tenant, client=client)
        return made

    def delete_principal(self, tenant: str, principal: str) -> None:
        """Delete the service principal. If it is already gone, that is a success."""
        self.send(DELETE_PRINCIPAL, absent=True, tenant=tenant, principal=principal)

    def kind_of_object(self, tenant: str, object_id: str) -> str | None:
        """What kind of object it is, as Graph names it, such as user or servicePrincipal. None if it does not exist."""
        found: str | None = self.send(
            GET_OBJECT, query=[("$select", "id")], absent=True, read=_kind, tenant=tenant, object=object_id
        )
        return found

    def directory_object(self, object_id: str) -> str:
        """The reference to a directory object in a request body."""
        return f"{self._audience(GRAPH)}/v1.0/directoryObjects/{object_id}"
