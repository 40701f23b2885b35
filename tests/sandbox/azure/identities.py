# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""User-assigned managed identities and their federated credentials. Azure writes one credential at a time."""

from __future__ import annotations

import re
from typing import Any

from . import access
from .arm import GROUP, SUBSCRIPTION, Asked, Route, missing, route
from .errors import AzureError, not_found, quoted
from .resources import group_exists
from .store import Identity, ServicePrincipal, Store, new_id, within

KIND = "Microsoft.ManagedIdentity/userAssignedIdentities"
FEDERATED = f"{KIND}/federatedIdentityCredentials"
FEDERATED_LIMIT = 20
GET_SECONDS, LIST_SECONDS, WRITE_SECONDS = 2.0, 4.0, 4.0  # between two calls for an identity, where they are limited
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{2,127}")
_FEDERATED_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{2,119}")


def make(store: Store, identity: str, location: str, tenant: str, tags: dict[str, str]) -> Identity:
    """Create the identity with its service principal."""
    made = Identity(identity, location, new_id(), new_id(), tenant, tags)
    said = {
        "id": made.principal,
        "accountEnabled": True,
        "alternativeNames": ["isExplicit=True", identity],
        "appDisplayName": None,
        "appId": made.client,
        "appOwnerOrganizationId": None,
        "deletedDateTime": None,
        "displayName": identity.rpartition("/")[2],
        "keyCredentials": [],
        "notes": None,
        "passwordCredentials": [],
        "servicePrincipalNames": [made.client],
        "servicePrincipalType": "ManagedIdentity",
        "tags": [],
    }
    store.identities[identity.lower()] = made
    store.directory.principals.append(ServicePrincipal(tenant, said))
    store.note("identities", made.principal)
    store.note("principals", made.principal)
    return made


def remove(store: Store, identity: Identity) -> None:
    """Delete the identity. Its role assignments stay, without a principal."""
    del store.identities[identity.id.lower()]
    store.directory.principals = [one for one in store.directory.principals if one.id != identity.principal]


def shown(one: Identity) -> dict[str, Any]:
    return {
        "location": one.location,
        "tags": dict(one.tags),
        "id": one.id,
        "name": one.id.rpartition("/")[2],
        "type": KIND,
        "properties": {"tenantId": one.tenant, "principalId": one.principal, "clientId": one.client},
    }


def _find(asked: Asked) -> Identity:
    """Raises AzureError."""
    found = asked.store.identities.get(_id(asked).lower())
    group_exists(asked)
    if found is None or asked.store.hides("identities", found.principal, asked.action):
        raise not_found(_id(asked))
    return found


def _id(asked: Asked) -> str:
    path = asked.path
    return f"/subscriptions/{path['subscription']}/resourceGroups/{path['group']}/providers/{KIND}/{path['name']}"


def get(asked: Asked) -> Any:
    asked.require()
    return shown(_find(asked))


def list_identities(asked: Asked) -> Any:
    scope = asked.identity.partition("/providers/")[0]
    if "group" in asked.path:
        group_exists(asked)
    inside = [one.id for one in asked.store.identities.values() if within(one.id, scope)]
    found = access.seen_by(asked.store, asked.caller, asked.action, inside, scope)
    return {"value": [shown(asked.store.identities[one.lower()]) for one in found]}


def put(asked: Asked) -> Any:
    given = asked.fields(location=str, tags=dict, properties=dict)
    asked.require()
    group_exists(asked)
    asked.check_write("PUT")
    if not given.get("location"):
        raise AzureError(400, "LocationRequired", "The location property is required for this definition.")
    if not _NAME.fullmatch(asked.path["name"]):
        raise AzureError(400, "BadRequest", f"The identity name '{asked.path['name']}' is invalid.")
    _check_tags(given.get("tags", {}))
    given = access.apply_policies(asked.store, KIND, asked.identity, given)
    there = asked.store.identities.get(asked.identity.lower())
    if there is None:
        tenant = asked.subscription().tenant
        made = make(asked.store, asked.identity, given["location"], tenant, given.get("tags", {}))
        return 201, shown(made)
    if there.location != given["location"]:
        said = (
            f"The resource '{asked.path['name']}' already exists in location '{there.location}' in resource group "
            f"'{asked.path['group']}'. A resource with the same name cannot be created in location "
            f"'{given['location']}'."
        )
        raise AzureError(409, "InvalidResourceLocation", said)
    there.tags = given.get("tags", {})
    return 200, shown(there)


def patch(asked: Asked) -> Any:
    given = asked.fields(location=str, tags=dict, properties=dict)
    asked.require()
    found = _find(asked)
    asked.check_write("PATCH")
    _check_tags(given.get("tags", {}))
    given = access.apply_policies(asked.store, KIND, asked.identity, given)
    found.tags = given.get("tags", found.tags)
    return shown(found)


def _check_tags(tags: dict[str, Any]) -> None:
    for name, value in tags.items():
        if set(name) & set("<>%&\\?/") or len(name) > 512 or not isinstance(value, str) or len(value) > 256:
            raise AzureError(400, "InvalidTagNameCharacters", f"The tag '{name}' is not valid.")


def delete(asked: Asked) -> Any:
    asked.require()
    found = asked.store.identities.get(asked.identity.lower())
    group_exists(asked)
    asked.check_write("DELETE")
    if found is None:
        return 204, None
    remove(asked.store, found)
    return 200, {}


# Federated credentials


def _federated_shown(one: Identity, credential: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"{one.id}/federatedIdentityCredentials/{credential['name']}",
        "name": credential["name"],
        "type": FEDERATED,
        "properties": {name: credential[name] for name in ("issuer", "subject", "audiences")},
    }


def list_federated(asked: Asked) -> Any:
    asked.require()
    found = _find(asked)
    _pace(asked, found, "list", LIST_SECONDS)
    seen = [one for one in found.federated if not asked.store.hides("federated", one["id"], asked.action)]
    return {"value": [_federated_shown(found, one) for one in seen]}


def get_federated(asked: Asked) -> Any:
    asked.require()
    found = _find(asked)
    _pace(asked, found, "get", GET_SECONDS)
    for one in found.federated:
        unseen = asked.store.hides("federated", one["id"], asked.action)
        if one["name"].lower() == asked.path["second"].lower() and not unseen:
            return _federated_shown(found, one)
    raise not_found(asked.identity)


def _pace(asked: Asked, identity: Identity, what: str, seconds: float) -> None:
    """Apply Azure's limits for one identity, if `behave` has turned them on."""
    now = asked.store.clock()
    if asked.store.behavior.get("limits"):
        wait = identity.read_at.get(what, 0.0) + seconds - now
        if wait > 0:
            said = quoted("TooManyRequests")
            raise AzureError(429, "TooManyRequests", said, Retry_After=str(int(wait) + 1))
    identity.read_at[what] = now


def _start_write(asked: Asked, identity: Identity, method: str) -> None:
    """Raises AzureError while an earlier credential is taking effect."""
    asked.check_write(method)
    takes = float(asked.store.behavior.get("federation_takes", 0.0))
    if asked.store.clock() < identity.written_at + takes:
        code = "ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity"
        raise AzureError(409, code, quoted(code, scope=identity.id))
    _pace(asked, identity, "write", WRITE_SECONDS)
    identity.written_at = asked.store.clock()


def put_federated(asked: Asked) -> Any:
    given = asked.properties(issuer=str, subject=str, audiences=list)
    asked.require()
    found, name = _find(asked), asked.path["second"]
    if found.location in asked.store.behavior.get("regions_without_federation", ()):
        said = quoted("UnsupportedRegion", location=found.location)
        raise AzureError(405, "MethodNotAllowed", said)
    for required in ("issuer", "subject", "audiences"):
        if not given.get(required):
            raise missing(required)
    if not _FEDERATED_NAME.fullmatch(name):
        raise AzureError(400, "BadRequest", f"The federated identity credential name '{name}' is invalid.")
    if len(given["audiences"]) != 1 or max(len(given[one]) for one in ("issuer", "subject")) > 600:
        said = "Exactly one audience is needed, and issuer and subject have at most 600 characters."
        raise AzureError(400, "BadRequest", said)
    access.apply_policies(asked.store, FEDERATED, asked.identity, {})
    _start_write(asked, found, "PUT")
    there = next((one for one in found.federated if one["name"].lower() == name.lower()), None)
    others = [one for one in found.federated if one is not there]
    if any((one["issuer"], one["subject"]) == (given["issuer"], given["subject"]) for one in others):
        said = "Issuer and subject combination already exists for this Managed Identity."
        bad = bool(asked.store.behavior.get("duplicate_is_bad_request"))
        raise AzureError(400 if bad else 409, "BadRequest" if bad else "Conflict", said)
    if there:
        there.update(given)
        return 200, _federated_shown(found, there)
    if len(found.federated) >= FEDERATED_LIMIT:
        said = f"Too many federated identity credentials: an identity has at most {FEDERATED_LIMIT}."
        raise AzureError(400, "BadRequest", said)
    made = {"id": new_id(), "name": name, **given}
    found.federated.append(made)
    asked.store.note("federated", made["id"])
    asked.store.note("federation", made["id"])
    return 201, _federated_shown(found, made)


def delete_federated(asked: Asked) -> Any:
    asked.require()
    found = _find(asked)
    _start_write(asked, found, "DELETE")
    there = [one for one in found.federated if one["name"].lower() == asked.path["second"].lower()]
    if not there:
        return 204, None
    found.federated.remove(there[0])
    return 200, {}


_START = rf"/providers/{re.escape(KIND)}"
_ONE = rf"{GROUP}{_START}/(?P<name>[^/]+)"
_FEDERATED_ONE = rf"{_ONE}/federatedIdentityCredentials/(?P<second>[^/]+)"
ROUTES: tuple[Route, ...] = (
    route("GET", f"{SUBSCRIPTION}{_START}", KIND, "read", list_identities),
    route("GET", f"{GROUP}{_START}", KIND, "read", list_identities),
    route("GET", _ONE, KIND, "read", get),
    route("PUT", _ONE, KIND, "write", put),
    route("PATCH", _ONE, KIND, "write", patch),
    route("DELETE", _ONE, KIND, "delete", delete),
    route("GET", f"{_ONE}/federatedIdentityCredentials", FEDERATED, "read", list_federated, "$top", "$skiptoken"),
    route("GET", _FEDERATED_ONE, FEDERATED, "read", get_federated),
    route("PUT", _FEDERATED_ONE, FEDERATED, "write", put_federated),
    route("DELETE", _FEDERATED_ONE, FEDERATED, "delete", delete_federated),
)
