# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Microsoft Graph v1.0: applications with their secrets and federated credentials, service principals, deleted items.

Paths, fields and permissions are those of Graph's reference. Of replicas and owners it is kept on the strict side: a
client that passes here does not count on luck.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from ..wire import Request, Response
from .errors import Defect, GraphError, as_json, graph_denied, graph_not_found
from .store import Application, Directory, Principal, ServicePrincipal, Store, as_exact_time, as_time, from_time, new_id

CONTEXT = "https://graph.microsoft.com/v1.0/$metadata#"
FEDERATED_LIMIT, PAGE, OWNERS_LIMIT = 20, 100, 20
_ALL, _OWNED = "Application.ReadWrite.All", "Application.ReadWrite.OwnedBy"
_READ = frozenset((_ALL, _OWNED, "Application.Read.All", "Directory.Read.All", "Directory.ReadWrite.All"))
_READ_USERS = frozenset(("Directory.Read.All", "Directory.ReadWrite.All", "User.Read.All", "User.ReadBasic.All"))
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{2,119}")
_QUERY = {"$filter", "$select", "$top", "$skiptoken", "$expand"}

_EMPTY: Mapping[str, Any] = {
    "deletedDateTime": None,
    "disabledByMicrosoftStatus": None,
    "description": None,
    "groupMembershipClaims": None,
    "identifierUris": [],
    "isFallbackPublicClient": None,
    "notes": None,
    "publisherDomain": "example.com",
    "serviceManagementReference": None,
    "signInAudience": "AzureADandPersonalMicrosoftAccount",
    "tags": [],
    "uniqueName": None,
    "api": {"oauth2PermissionScopes": [], "preAuthorizedApplications": []},
    "appRoles": [],
    "keyCredentials": [],
    "passwordCredentials": [],
    "publicClient": {"redirectUris": []},
    "requiredResourceAccess": [],
    "spa": {"redirectUris": []},
    "web": {"homePageUrl": None, "redirectUris": []},
}
_TEXT, _TEXTS = (str, type(None)), list
_WRITABLE: Mapping[str, Any] = {
    "api": dict,
    "appRoles": list,
    "description": _TEXT,
    "displayName": str,
    "groupMembershipClaims": _TEXT,
    "identifierUris": _TEXTS,
    "isFallbackPublicClient": (bool, type(None)),
    "keyCredentials": list,
    "notes": _TEXT,
    "publicClient": dict,
    "requiredResourceAccess": list,
    "serviceManagementReference": _TEXT,
    "signInAudience": str,
    "spa": dict,
    "tags": _TEXTS,
    "uniqueName": _TEXT,
    "web": dict,
}
_PRINCIPAL_FIELDS: Mapping[str, Any] = {
    "accountEnabled": bool,
    "appId": str,
    "appRoleAssignmentRequired": bool,
    "displayName": str,
    "notes": _TEXT,
    "tags": _TEXTS,
}
_BIND = "owners@odata.bind"
_FEDERATED_FIELDS: Mapping[str, Any] = {
    "audiences": list,
    "description": _TEXT,
    "issuer": str,
    "name": str,
    "subject": str,
}
_LENGTHS = {"displayName": 256, "notes": 1024, "description": 1024}


@dataclass(frozen=True)
class Asked:
    """One parsed call. directory: of the replica that serves it. name: the object in the path."""

    store: Store
    operation: str
    caller: Principal
    directory: Directory
    query: Mapping[str, str]
    body: dict[str, Any]
    name: str = ""
    second: str = ""
    key: str = ""
    prefer: str = ""

    @property
    def tenant(self) -> str:
        return self.caller.tenant

    def read(self) -> None:
        """Raises GraphError."""
        if not self.caller.graph & _READ:
            raise graph_denied()

    def write(self, owners: Iterable[str] | None = None) -> None:
        """owners: those of the existing object, None for a new one. Raises GraphError."""
        graph = self.caller.graph
        if _ALL in graph or (_OWNED in graph and (owners is None or self.caller.id in owners)):
            return
        raise graph_denied()

    def application(self) -> Application:
        """The current object in the path. Raises GraphError if this replica does not have it yet."""
        named = self.name
        if self.key == "appId":
            found = self.directory.by_app_id(named)
        elif self.key == "uniqueName":
            found = next((one for one in self.directory.applications if one.said["uniqueName"] == named), None)
        else:
            found = self.directory.application(self.tenant, named)
        if found is None or found.tenant != self.tenant or self.hides("applications", found.id):
            raise graph_not_found(named)
        current = self.store.directory.application(self.tenant, found.id)
        if current is None or self.operation.endswith((".get", ".list")):
            return found
        return current

    def principal(self) -> ServicePrincipal:
        found = self.directory.principal(self.tenant, self.name)
        wrong = found and not self.key and found.id != self.name.lower()
        if found is None or wrong or self.hides("servicePrincipals", found.id):
            raise graph_not_found(self.name)
        current = self.store.directory.principal(self.tenant, found.id)
        return found if current is None or self.operation.endswith(".get") else current

    def hides(self, kind: str, name: str) -> bool:
        return self.store.hides(kind, name, self.operation)


def _bad(said: str) -> GraphError:
    return GraphError(400, "Request_BadRequest", said)


def _checked(body: Mapping[str, Any], fields: Mapping[str, Any], *also: str) -> dict[str, Any]:
    """The body without its type annotation. Raises Defect for fields that this type does not have."""
    given = {name: value for name, value in body.items() if name not in ("@odata.type", "@odata.context")}
    for name, value in given.items():
        if name not in fields and name not in also:
            raise Defect(_bad(f"Invalid property '{name}'."))
        if name in fields and not isinstance(value, fields[name]):
            raise Defect(_bad(f"A value of property '{name}' has an incompatible type."))
        if len(str(value or "")) > _LENGTHS.get(name, 10**6):
            raise _bad(f"Property {name} exceeds the maximum length of {_LENGTHS[name]}.")
    tags = given.get("tags", [])
    if len(set(tags)) != len(tags) or not all(isinstance(one, str) and 0 < len(one) <= 256 for one in tags):
        raise _bad("Invalid value specified for property 'tags' of resource 'Application'.")
    return given


def _owners(asked: Asked, given: dict[str, Any]) -> list[str]:
    """The objects that owners@odata.bind names."""
    bound = given.pop(_BIND, [])
    if len(bound) > OWNERS_LIMIT:
        raise _bad(f"At most {OWNERS_LIMIT} owners can be bound.")
    found = []
    for url in bound:
        one = url.rpartition("/directoryObjects/")[2].lower()
        if one not in asked.store.users and asked.store.directory.principal(asked.tenant, one) is None:
            raise graph_not_found(one)
        found.append(one)
    return found


def _entity(kind: str, said: Mapping[str, Any], select: str = "") -> dict[str, Any]:
    wanted = {one.strip() for one in select.split(",")} if select else set(said)
    unknown = wanted - set(said)
    if unknown:
        raise Defect(_bad(f"Could not find a property named '{sorted(unknown)[0]}' on type 'microsoft.graph.{kind}'."))
    return {name: value for name, value in said.items() if name in wanted | {"id"}}


def _listed(asked: Asked, kind: str, items: Iterable[Mapping[str, Any]]) -> Any:
    found = [one for one in items if _matches(one, asked.query.get("$filter", ""))]
    size, start = int(asked.query.get("$top", PAGE)), int(asked.query.get("$skiptoken", 0))
    shown = [_entity(kind, one, asked.query.get("$select", "")) for one in found[start : start + size]]
    answer: dict[str, Any] = {"@odata.context": f"{CONTEXT}{kind}", "value": shown}
    if start + size < len(found):
        given = {**asked.query, "$skiptoken": str(start + size)}
        text = "&".join(f"{name}={quote(value)}" for name, value in given.items())
        answer["@odata.nextLink"] = f"https://graph.microsoft.com/v1.0/{kind}?{text}"
    return answer


def _matches(said: Mapping[str, Any], text: str) -> bool:
    """Clauses joined by `and`. Raises GraphError for a filter that is not understood."""
    return all(_clause(said, one.strip()) for one in re.split(r"\s+and\s+(?=[\w(/]+[ (])", text) if one.strip())


def _clause(said: Mapping[str, Any], text: str) -> bool:
    quoted = r"'((?:[^']|'')*)'"
    found = re.fullmatch(rf"(\w+) eq {quoted}", text)
    if found and found[1] in said:
        return str(said[found[1]] or "").lower() == found[2].replace("''", "'").lower()
    found = re.fullmatch(rf"startswith\((\w+),\s*{quoted}\)", text, re.IGNORECASE)
    if found and found[1] in said:
        return str(said[found[1]] or "").lower().startswith(found[2].replace("''", "'").lower())
    found = re.fullmatch(rf"(\w+)/any\((\w):\s?\2 eq {quoted}\)", text, re.IGNORECASE)
    if found and found[1] in said:
        return found[3].replace("''", "'") in said[found[1]]
    raise GraphError(400, "Request_UnsupportedQuery", f"Unsupported or invalid query filter clause specified. {text}")


# Applications


def list_applications(asked: Asked) -> Any:
    asked.read()
    found = [one for one in asked.directory.applications if one.tenant == asked.tenant]
    return _listed(asked, "applications", (one.said for one in found if not asked.hides("applications", one.id)))


def get_application(asked: Asked) -> Any:
    asked.read()
    said = _entity("applications", asked.application().said, asked.query.get("$select", ""))
    return {"@odata.context": f"{CONTEXT}applications/$entity", **said}


def create_application(asked: Asked) -> Any:
    asked.write()
    given = _checked(asked.body, _WRITABLE, _BIND)
    if asked.store.behavior.get("registration_off") and _ALL not in asked.caller.graph:
        raise graph_denied()
    if not given.get("displayName"):
        raise _bad("Property displayName is required.")
    owners = _owners(asked, given)
    asked.store.before_write()
    said = application_said(given.pop("displayName"), asked.store.clock(), **given)
    application = Application(asked.tenant, said, owners=owners)
    asked.store.directory.applications.append(application)
    asked.store.note("applications", application.id)
    return 201, {"@odata.context": f"{CONTEXT}applications/$entity", **said}


def application_said(name: str, now: float, **more: Any) -> dict[str, Any]:
    return {
        "id": new_id(),
        "appId": new_id(),
        "applicationTemplateId": None,
        "createdDateTime": as_time(now),
        **json.loads(json.dumps(_EMPTY)),
        "displayName": name,
        **more,
    }


def update_application(asked: Asked) -> Any:
    """Create an object by its unique name if it does not exist and the Prefer header allows it."""
    given = _checked(asked.body, _WRITABLE)
    try:
        application = asked.application()
    except GraphError:
        if asked.key != "uniqueName" or asked.prefer != "create-if-missing":
            raise
        asked.body["uniqueName"] = asked.name
        return create_application(asked)
    asked.write(application.owners)
    asked.store.before_write()
    application.said.update(given)
    if "tags" in given:  # they go on to the service principal
        principal = asked.store.directory.principal(asked.tenant, application.app_id)
        if principal:
            principal.said["tags"] = list(given["tags"])
    return 204, None


def delete_application(asked: Asked) -> Any:
    application = asked.application()
    asked.write(application.owners)
    store, directory = asked.store, asked.store.directory
    store.before_write()
    application.deleted_at = store.clock()
    application.said["deletedDateTime"] = as_time(store.clock())
    directory.applications.remove(application)
    directory.deleted.append(application)
    directory.principals = [one for one in directory.principals if one.app_id != application.app_id]
    return 204, None


def add_password(asked: Asked) -> Any:
    application = asked.application()
    asked.write(application.owners)
    outer = _checked(asked.body, {"passwordCredential": dict})
    fields = {"displayName": _TEXT, "startDateTime": str, "endDateTime": str}
    given = _checked(outer.get("passwordCredential") or {}, fields)
    store = asked.store
    now = store.clock()
    try:
        starts = from_time(given["startDateTime"]) if "startDateTime" in given else now
        ends = from_time(given["endDateTime"]) if "endDateTime" in given else now + 730 * 24 * 3600
    except ValueError:
        raise _bad("Invalid value specified for property 'endDateTime' of resource 'PasswordCredential'.") from None
    if store.app_policy.get("secrets_forbidden"):
        said = "Credential type not allowed as per assigned policy"
        raise GraphError(400, "CredentialTypeNotAllowedAsPerAppPolicy", said)
    days = store.app_policy.get("max_days")
    if days and ends - starts > days * 24 * 3600 + 60:
        said = "Credential lifetime exceeds the max value allowed as per assigned policy"
        raise GraphError(400, "CredentialInvalidLifetimeAsPerAppPolicy", said)
    if ends <= starts:
        raise _bad("Invalid value specified for property 'endDateTime' of resource 'PasswordCredential'.")
    key, text = new_id(), f"{secrets.token_hex(2)}8Q~CANARY{secrets.token_hex(16)}"
    shown = {
        "customKeyIdentifier": None,
        "displayName": given.get("displayName"),
        "endDateTime": as_time(ends),
        "hint": text[:3],
        "keyId": key,
        "secretText": None,
        "startDateTime": as_exact_time(starts),
    }
    store.before_write()
    application.secrets[key] = text
    application.said["passwordCredentials"].append(shown)
    store.note("passwords", key)
    return {"@odata.context": f"{CONTEXT}microsoft.graph.passwordCredential", **shown, "secretText": text}


def remove_password(asked: Asked) -> Any:
    application = asked.application()
    asked.write(application.owners)
    key = str(_checked(asked.body, {"keyId": str}).get("keyId", "")).lower()
    if key not in application.secrets:
        raise _bad("No password credential found with keyId.")
    asked.store.before_write()
    del application.secrets[key]
    left = [one for one in application.said["passwordCredentials"] if one["keyId"] != key]
    application.said["passwordCredentials"] = left
    return 204, None


def list_owners(asked: Asked) -> Any:
    asked.read()
    kinds = {one: "user" if one in asked.store.users else "servicePrincipal" for one in asked.application().owners}
    value = [{"@odata.type": f"#microsoft.graph.{kind}", "id": one} for one, kind in kinds.items()]
    return {"@odata.context": f"{CONTEXT}directoryObjects", "value": value}


# Federated identity credentials of applications


def list_federated(asked: Asked) -> Any:
    asked.read()
    value = [one for one in asked.application().federated if not asked.hides("federated", one["id"])]
    return {"@odata.context": f"{CONTEXT}federatedIdentityCredentials", "value": value}


def get_federated(asked: Asked) -> Any:
    asked.read()
    return {"@odata.context": f"{CONTEXT}federatedIdentityCredentials/$entity", **_federated(asked)}


def _federated(asked: Asked) -> dict[str, Any]:
    """Find a federated credential by id or name."""
    for one in asked.application().federated:
        if asked.second in (one["id"], one["name"]) and not asked.hides("federated", one["id"]):
            return one
    raise graph_not_found(asked.second)


def create_federated(asked: Asked) -> Any:
    application = asked.application()
    asked.write(application.owners)
    given = _checked(asked.body, _FEDERATED_FIELDS)
    _check_federated(application.federated, given)
    asked.store.before_write()
    made = {"id": new_id(), "description": None, **given}
    application.federated.append(made)
    asked.store.note("federated", made["id"])
    asked.store.note("federation", made["id"])
    return 201, {"@odata.context": f"{CONTEXT}federatedIdentityCredentials/$entity", **made}


def _check_federated(there: Iterable[Mapping[str, Any]], given: Mapping[str, Any]) -> None:
    there = list(there)
    for name in ("name", "issuer", "subject", "audiences"):
        if not given.get(name):
            raise _bad(f"Property {name} is required.")
    if not _NAME.fullmatch(given["name"]):
        raise _bad(f"The name {given['name']} is invalid.")
    if len(given["audiences"]) != 1 or max(len(given[one]) for one in ("issuer", "subject")) > 600:
        raise _bad("Exactly one audience is needed, and issuer and subject have at most 600 characters.")
    if any(one["name"] == given["name"] for one in there):
        said = f"FederatedIdentityCredential with name {given['name']} already exists."
        raise GraphError(409, "Request_MultipleObjectsWithSameKeyValue", said)
    if any((one["issuer"], one["subject"]) == (given["issuer"], given["subject"]) for one in there):
        raise _bad("Issuer and subject combination already exists.")
    if len(there) >= FEDERATED_LIMIT:
        raise _bad(f"The maximum of {FEDERATED_LIMIT} federated identity credentials of an application is reached.")


def update_federated(asked: Asked) -> Any:
    application = asked.application()
    asked.write(application.owners)
    found = _federated(asked)
    given = _checked(asked.body, _FEDERATED_FIELDS)
    if given.get("name", found["name"]) != found["name"]:
        raise _bad("Property name cannot be changed.")
    others = [one for one in application.federated if one is not found]
    _check_federated(others, {**found, **given})
    asked.store.before_write()
    found.update(given)
    return 204, None


def delete_federated(asked: Asked) -> Any:
    application = asked.application()
    asked.write(application.owners)
    found = _federated(asked)
    asked.store.before_write()
    application.federated.remove(found)
    return 204, None


# Service principals


def list_principals(asked: Asked) -> Any:
    asked.read()
    found = [one for one in asked.directory.principals if one.tenant == asked.tenant]
    shown = (one.said for one in found if not asked.hides("servicePrincipals", one.id))
    return _listed(asked, "servicePrincipals", shown)


def get_principal(asked: Asked) -> Any:
    asked.read()
    said = _entity("servicePrincipals", asked.principal().said, asked.query.get("$select", ""))
    return {"@odata.context": f"{CONTEXT}servicePrincipals/$entity", **said}


def create_principal(asked: Asked) -> Any:
    """With OwnedBy alone, the caller must own the application, and the application must already be visible."""
    given = _checked(asked.body, _PRINCIPAL_FIELDS, _BIND)
    if not given.get("appId"):
        raise _bad("Property appId is required.")
    application = asked.directory.by_app_id(given["appId"])
    if application is None or asked.hides("applications", application.id):
        if _ALL not in asked.caller.graph and _OWNED in asked.caller.graph:
            said = (
                "When using this permission, the backing application of the service principal being created must in "
                "the local tenant"
            )
            raise GraphError(403, "Authorization_RequestDenied", said)
        said = f"The appId '{given['appId']}' of the service principal does not reference a valid application object."
        raise _bad(said)
    asked.write(application.owners)
    if asked.store.directory.principal(asked.tenant, application.app_id):
        said = (
            "The service principal cannot be created, updated, or restored because the service principal name "
            f"{application.app_id} is already in use."
        )
        raise GraphError(409, "Request_MultipleObjectsWithSameKeyValue", said)
    owners = _owners(asked, given)
    asked.store.before_write()
    shown = principal_said(application, **given)
    principal = ServicePrincipal(asked.tenant, shown, owners=owners)
    asked.store.directory.principals.append(principal)
    asked.store.note("servicePrincipals", principal.id)
    asked.store.note("principals", principal.id)
    return 201, {"@odata.context": f"{CONTEXT}servicePrincipals/$entity", **shown}


def principal_said(application: Application, **more: Any) -> dict[str, Any]:
    return {
        "id": new_id(),
        "deletedDateTime": None,
        "accountEnabled": True,
        "appDisplayName": application.said["displayName"],
        "appId": application.app_id,
        "appOwnerOrganizationId": application.tenant,
        "appRoleAssignmentRequired": False,
        "displayName": application.said["displayName"],
        "notes": None,
        "servicePrincipalNames": [application.app_id],
        "servicePrincipalType": "Application",
        "signInAudience": application.said["signInAudience"],
        "keyCredentials": [],
        "passwordCredentials": [],
        **more,
        "tags": sorted({*application.said["tags"], *more.get("tags", [])}),
    }


def update_principal(asked: Asked) -> Any:
    principal = asked.principal()
    _of_application(principal)
    asked.write(principal.owners)
    given = _checked(asked.body, _PRINCIPAL_FIELDS)
    asked.store.before_write()
    principal.said.update(given)
    return 204, None


def delete_principal(asked: Asked) -> Any:
    principal = asked.principal()
    _of_application(principal)
    asked.write(principal.owners)
    asked.store.before_write()
    asked.store.directory.principals.remove(principal)
    return 204, None


def _of_application(principal: ServicePrincipal) -> None:
    if principal.said["servicePrincipalType"] == "ManagedIdentity":
        raise _bad("Updates are not allowed for a managed identity's service principal.")


def get_by_ids(asked: Asked) -> Any:
    asked.read()
    ids = _checked(asked.body, {"ids": list, "types": list}).get("ids", [])
    found = [one.said for one in asked.directory.principals if one.tenant == asked.tenant and one.id in ids]
    value = [{"@odata.type": "#microsoft.graph.servicePrincipal", **one} for one in found]
    return {"@odata.context": f"{CONTEXT}directoryObjects", "value": value}


def get_object(asked: Asked) -> Any:
    """An application, service principal or user.

    A caller without permission to read users gets the same answer whether or not the object exists.
    """
    directory, name = asked.directory, asked.name.lower()
    of_apps = {
        **{one.id: "application" for one in directory.applications if one.tenant == asked.tenant},
        **{one.id: "servicePrincipal" for one in directory.principals if one.tenant == asked.tenant},
    }
    kind = of_apps.get(name) or ("user" if name in asked.store.users else "")
    if not asked.caller.graph & (_READ if name in of_apps else _READ_USERS):
        raise graph_denied()
    if not kind:
        raise graph_not_found(name)
    said = _entity("directoryObjects", {"id": name}, asked.query.get("$select", ""))
    return {"@odata.context": f"{CONTEXT}directoryObjects/$entity", "@odata.type": f"#microsoft.graph.{kind}", **said}


# Deleted items, policies


def list_deleted(asked: Asked) -> Any:
    asked.read()
    found = _listed(asked, "applications", (one.said for one in asked.store.kept(asked.tenant)))
    found.pop("@odata.nextLink", None)
    return found


def get_deleted(asked: Asked) -> Any:
    asked.read()
    return {"@odata.context": f"{CONTEXT}directoryObjects/$entity", **_deleted(asked).said}


def _deleted(asked: Asked) -> Application:
    found = asked.store.deleted_application(asked.tenant, asked.name)
    if found is None:
        raise graph_not_found(asked.name)
    return found


def restore(asked: Asked) -> Any:
    """Restore the application together with its service principal."""
    application = _deleted(asked)
    asked.write(application.owners)
    directory = asked.store.directory
    asked.store.before_write()
    application.deleted_at, application.said["deletedDateTime"] = None, None
    directory.deleted.remove(application)
    directory.applications.append(application)
    directory.principals.append(ServicePrincipal(asked.tenant, principal_said(application)))
    return {"@odata.context": f"{CONTEXT}directoryObjects/$entity", **application.said}


def delete_deleted(asked: Asked) -> Any:
    application = _deleted(asked)
    asked.write(application.owners)
    asked.store.before_write()
    asked.store.directory.deleted.remove(application)
    return 204, None


def get_app_policy(asked: Asked) -> Any:
    if not asked.caller.graph & {"Policy.Read.All", "Policy.Read.ApplicationConfiguration"}:
        raise graph_denied()
    policy, restrictions = asked.store.app_policy, []
    common = {"restrictForAppsCreatedAfterDateTime": "2019-01-01T00:00:00Z", "state": "enabled"}
    if policy.get("secrets_forbidden"):
        restrictions.append({"restrictionType": "passwordAddition", "maxLifetime": None, **common})
    if policy.get("max_days"):
        lifetime = f"P{policy['max_days']}D"
        restrictions.append({"restrictionType": "passwordLifetime", "maxLifetime": lifetime, **common})
    said = {"passwordCredentials": restrictions, "keyCredentials": []}
    return {
        "@odata.context": f"{CONTEXT}policies/defaultAppManagementPolicy/$entity",
        "id": "00000000-0000-0000-0000-000000000000",
        "displayName": "Default app management tenant policy",
        "description": "Default tenant policy that enforces app management restrictions on applications.",
        "isEnabled": bool(restrictions),
        "applicationRestrictions": said,
        "servicePrincipalRestrictions": said,
    }


# Routes


@dataclass(frozen=True)
class Route:
    method: str
    path: re.Pattern[str]
    operation: str
    handle: Callable[[Asked], Any] = field(compare=False)


_OBJECT = r"(?:/(?P<name>[0-9A-Fa-f-]{36})|\((?P<key>appId|uniqueName)='(?P<keyed>[^']+)'\))"
_DELETED = r"/directory/deletedItems"
ROUTES = tuple(
    Route(method, re.compile(path, re.IGNORECASE), operation, handle)
    for method, path, operation, handle in (
        ("GET", "/applications", "applications.list", list_applications),
        ("POST", "/applications", "applications.create", create_application),
        ("GET", f"/applications{_OBJECT}", "applications.get", get_application),
        ("PATCH", f"/applications{_OBJECT}", "applications.update", update_application),
        ("DELETE", f"/applications{_OBJECT}", "applications.delete", delete_application),
        ("POST", f"/applications{_OBJECT}/addPassword", "applications.addPassword", add_password),
        ("POST", f"/applications{_OBJECT}/removePassword", "applications.removePassword", remove_password),
        ("GET", f"/applications{_OBJECT}/owners", "owners.list", list_owners),
        *(
            (method, f"/applications{_OBJECT}/federatedIdentityCredentials{path}", f"federated.{operation}", handle)
            for method, path, operation, handle in (
                ("GET", "", "list", list_federated),
                ("POST", "", "create", create_federated),
                ("GET", "/(?P<second>[^/]+)", "get", get_federated),
                ("PATCH", "/(?P<second>[^/]+)", "update", update_federated),
                ("DELETE", "/(?P<second>[^/]+)", "delete", delete_federated),
            )
        ),
        ("GET", "/servicePrincipals", "servicePrincipals.list", list_principals),
        ("POST", "/servicePrincipals", "servicePrincipals.create", create_principal),
        ("GET", f"/servicePrincipals{_OBJECT}", "servicePrincipals.get", get_principal),
        ("PATCH", f"/servicePrincipals{_OBJECT}", "servicePrincipals.update", update_principal),
        ("DELETE", f"/servicePrincipals{_OBJECT}", "servicePrincipals.delete", delete_principal),
        ("POST", "/directoryObjects/getByIds", "directoryObjects.getByIds", get_by_ids),
        ("GET", "/directoryObjects/(?P<name>[0-9A-Fa-f-]{36})", "directoryObjects.get", get_object),
        ("GET", f"{_DELETED}/(?:microsoft\\.)?graph\\.application", "deletedItems.list", list_deleted),
        ("GET", f"{_DELETED}/(?P<name>[0-9A-Fa-f-]{{36}})", "deletedItems.get", get_deleted),
        ("DELETE", f"{_DELETED}/(?P<name>[0-9A-Fa-f-]{{36}})", "deletedItems.delete", delete_deleted),
        ("POST", f"{_DELETED}/(?P<name>[0-9A-Fa-f-]{{36}})/restore", "deletedItems.restore", restore),
        ("GET", "/policies/defaultAppManagementPolicy", "defaultAppManagementPolicy.get", get_app_policy),
    )
)
_ASKS = ("directoryObjects.getByIds",)


def find(request: Request) -> tuple[Route, dict[str, str]] | None:
    """The route and the names in its path."""
    path = re.sub(r"/+", "/", unquote(request.path)).removeprefix("/v1.0").rstrip("/")
    for route in ROUTES:
        found = route.path.fullmatch(path)
        if found and route.method == request.method:
            named = {name: value for name, value in found.groupdict().items() if value}
            if "keyed" in named:
                named["name"] = named.pop("keyed")
            return route, named
    return None


def writes(route: Route) -> bool:
    return route.method != "GET" and route.operation not in _ASKS


def answer(store: Store, request: Request, caller: Principal) -> Response:
    """Raises GraphError and Defect."""
    if not request.path.startswith("/v1.0/"):
        raise Defect(GraphError(400, "BadRequest", f"Invalid version: {request.path.split('/')[1]}"))
    found = find(request)
    if found is None:
        segment = request.path.rstrip("/").rpartition("/")[2]
        raise Defect(GraphError(400, "BadRequest", f"Resource not found for the segment '{segment}'."))
    route, named = found
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    unknown = set(query) - _QUERY
    if unknown:
        raise Defect(_bad(f"Unrecognized query argument specified: '{sorted(unknown)[0]}'."))
    prefer = request.headers.get("prefer", "")
    asked = Asked(store, route.operation, caller, store.replica(), query, _body(request), prefer=prefer, **named)
    answered = route.handle(asked)
    status, body = answered if isinstance(answered, tuple) else (200, answered)
    if body is None:
        return Response(status, (("request-id", new_id()),), b"")
    return as_json(status, body, ("request-id", new_id()), ("OData-Version", "4.0"))


def _body(request: Request) -> dict[str, Any]:
    if not request.body or request.method in ("GET", "DELETE"):
        return {}
    try:
        body = json.loads(request.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Defect(_bad("Unable to read JSON request payload."))
    return body
