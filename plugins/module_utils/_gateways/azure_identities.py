# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""User-assigned managed identities and their federated credentials, for class Azure. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .._answers import Odd, object_in, text_in
from .azure_session import MANAGED_IDENTITY, Answer, Call, Session

_ACTION = f"{MANAGED_IDENTITY}/userAssignedIdentities"
_IDENTITY = (
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ManagedIdentity"
    "/userAssignedIdentities/{identity}"
)
_FEDERATIONS = f"{_IDENTITY}/federatedIdentityCredentials"
_FEDERATION = f"{_FEDERATIONS}/{{federation}}"


def _call(purpose: str, method: str, path: str, action: str) -> Call:
    return Call(purpose, method, MANAGED_IDENTITY, path, (f"{_ACTION}/{action}",))


GET_IDENTITY = _call("read managed identity {identity} in resource group {group}", "GET", _IDENTITY, "read")
PUT_IDENTITY = _call("write managed identity {identity} in resource group {group}", "PUT", _IDENTITY, "write")
PATCH_IDENTITY = _call("tag managed identity {identity} in resource group {group}", "PATCH", _IDENTITY, "write")
DELETE_IDENTITY = _call("delete managed identity {identity} in resource group {group}", "DELETE", _IDENTITY, "delete")
LIST_IDENTITY_FEDERATIONS = _call(
    "list the federated credentials of managed identity {identity}",
    "GET",
    _FEDERATIONS,
    "federatedIdentityCredentials/read",
)
PUT_IDENTITY_FEDERATION = _call(
    "create or update federated credential {federation} of managed identity {identity}",
    "PUT",
    _FEDERATION,
    "federatedIdentityCredentials/write",
)
DELETE_IDENTITY_FEDERATION = _call(
    "delete federated credential {federation} of managed identity {identity}",
    "DELETE",
    _FEDERATION,
    "federatedIdentityCredentials/delete",
)
CALLS = (
    GET_IDENTITY,
    PUT_IDENTITY,
    PATCH_IDENTITY,
    DELETE_IDENTITY,
    LIST_IDENTITY_FEDERATIONS,
    PUT_IDENTITY_FEDERATION,
    DELETE_IDENTITY_FEDERATION,
)


@dataclass(frozen=True)
class Federation:
    """A federated credential of a managed identity or an application. id: only Graph has one."""

    name: str
    issuer: str
    subject: str
    audiences: tuple[str, ...]
    id: str = ""
    description: str = ""

    @classmethod
    def parse(cls, body: Answer) -> Federation:
        """Parse an answer of ARM, whose fields are one level deeper than Graph's."""
        inner = object_in(body, "properties") or body
        audiences = inner.get("audiences")
        if not isinstance(audiences, list) or not all(isinstance(one, str) for one in audiences):
            raise Odd("field audiences is not a list of strings")
        return cls(
            text_in(body, "name"),
            text_in(inner, "issuer"),
            text_in(inner, "subject"),
            tuple(audiences),
            text_in(body, "id", 2000),
            text_in(inner, "description"),
        )

    def body(self) -> dict[str, object]:
        return {"issuer": self.issuer, "subject": self.subject, "audiences": [*self.audiences]}


@dataclass(frozen=True)
class ManagedIdentity:
    id: str
    name: str
    location: str
    tenant: str
    principal_id: str
    client_id: str
    tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, body: Answer) -> ManagedIdentity:
        properties, tags = object_in(body, "properties"), object_in(body, "tags")
        principal, client = text_in(properties, "principalId"), text_in(properties, "clientId")
        if not (principal and client):
            raise Odd("field principalId or clientId is not set")
        return cls(
            text_in(body, "id", 2000),
            text_in(body, "name"),
            text_in(body, "location"),
            text_in(properties, "tenantId"),
            principal,
            client,
            {key: value for key, value in tags.items() if isinstance(value, str)},
        )


class Identities(Session):
    """Managed identities. Azure allows one write of a federated credential at a time, and limits reads."""

    def get_identity(self, subscription: str, group: str, identity: str) -> ManagedIdentity | None:
        found: ManagedIdentity | None = self.send(
            GET_IDENTITY,
            absent=True,
            read=ManagedIdentity.parse,
            subscription=subscription,
            group=group,
            identity=identity,
        )
        return found

    def put_identity(
        self, subscription: str, group: str, identity: str, location: str, tags: Mapping[str, str]
    ) -> ManagedIdentity:
        written: ManagedIdentity = self.send(
            PUT_IDENTITY,
            {"location": location, "tags": dict(tags)},
            read=ManagedIdentity.parse,
            subscription=subscription,
            group=group,
            identity=identity,
        )
        return written

    def tag_identity(self, subscription: str, group: str, identity: str, tags: Mapping[str, str]) -> ManagedIdentity:
        """tags: all tags that the identity should have."""
        written: ManagedIdentity = self.send(
            PATCH_IDENTITY,
            {"tags": dict(tags)},
            read=ManagedIdentity.parse,
            subscription=subscription,
            group=group,
            identity=identity,
        )
        return written

    def delete_identity(self, subscription: str, group: str, identity: str) -> None:
        """Delete the identity. If it is already gone, that is a success."""
        self.send(DELETE_IDENTITY, absent=True, subscription=subscription, group=group, identity=identity)

    def list_identity_federations(self, subscription: str, group: str, identity: str) -> Sequence[Federation] | None:
        """The federated credentials, None if the identity does not exist."""
        return self.send_all(
            LIST_IDENTITY_FEDERATIONS,
            Federation.parse,
            absent=True,
            subscription=subscription,
            group=group,
            identity=identity,
        )

    def put_identity_federation(
        self, subscription: str, group: str, identity: str, federation: Federation
    ) -> Federation:
        written: Federation = self.send(
            PUT_IDENTITY_FEDERATION,
            {"properties": federation.body()},
            read=Federation.parse,
            subscription=subscription,
            group=group,
            identity=identity,
            federation=federation.name,
        )
        return written

    def delete_identity_federation(self, subscription: str, group: str, identity: str, federation: str) -> None:
        """Delete the federated credential. If it is already gone, that is a success."""
        self.send(
            DELETE_IDENTITY_FEDERATION,
            absent=True,
            subscription=subscription,
            group=group,
            identity=identity,
            federation=federation,
        )
