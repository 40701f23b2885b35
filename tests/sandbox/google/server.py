# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Google Cloud as a back end of the world: finds the call of a request in Google's documents, and the services
answer."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl

from ..cloud import Documented
from ..wire import Call, Cluster, Request, Response
from . import access, accounts, clusters, documents, keys, projects, roles, services, subnets, tokens
from .catalog import TITLES, kubernetes_permission
from .control import Control
from .documents import Method
from .errors import (
    Defect,
    GoogleError,
    as_json,
    made,
    project_deleted,
    quota_project_denied,
    service_disabled,
    unauthenticated,
)
from .state import state
from .store import Asked, Principal, Store, project_in

_SERVICES: Mapping[str, Mapping[str, Callable[[Asked], Any]]] = {
    "iam": {**accounts.HANDLERS, **keys.HANDLERS, **roles.HANDLERS},
    "cloudresourcemanager": projects.HANDLERS,
    "orgpolicy": projects.HANDLERS,
    "serviceusage": services.HANDLERS,
    "compute": subnets.HANDLERS,
    "container": clusters.HANDLERS,
    "iamcredentials": tokens.HANDLERS,
}
# POSTs that only ask.
_ASKS = re.compile(
    r".*\.(testIamPermissions|getIamPolicy|getEffectiveOrgPolicy|generateAccessToken|queryTestablePermissions|token)"
)
METADATA = "metadata.google.internal"
_USERINFO = {("www", "/oauth2/v3/userinfo"), ("www", "/oauth2/v2/userinfo"), ("openidconnect", "/v1/userinfo")}


class Google(Documented):
    """The back end. Its projects start with the operator's own two; more come with the clusters in them.

    clock: the world's time in seconds since the epoch; tokens, keys and what is deleted age by it.
    """

    system, title = "google", "Google"
    hosts = ("*.googleapis.com", "*.universe.example", METADATA)

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.store = Store(clock)
        self._control = Control(self.store)
        super().__init__(self.store.lock, self._control)

    def operator_key(self) -> str:
        """The text of the key file of the operator's service account."""
        return self._control.operator_key()

    # Requests

    def handle(self, request: Request) -> Response:
        answer = super().handle(request)
        return replace(answer, headers=(*answer.headers, ("Date", formatdate(self.store.clock(), usegmt=True))))

    def classify(self, request: Request) -> Call:
        with self.store.lock:
            try:
                who = tokens.caller(self.store, request).member
            except GoogleError:
                who = ""
        found = documents.find(request)
        if found is None:
            service, _dot, _rest = request.host.partition(".")
            operation = {"/token": "oauth2.token"}.get(request.path, f"{service}{request.path.replace('/', '.')}")
            return Call(self.system, operation, request.path, operation == "" or _other_write(request), who)
        method, path = found
        writes = method.verb != "GET" and _ASKS.fullmatch(method.id) is None
        return Call(self.system, method.id, self._resource(method, path, request), writes, who)

    def _resource(self, method: Method, path: Mapping[str, str], request: Request) -> str:
        """Google's name for the resource of the call; for a create, the name that the new resource gets."""
        name = next((path[one] for one in ("name", "resource", "parent") if one in path), "/".join(path.values()))
        if method.service == "compute":
            return subnets.name_of(path["project"], path["region"], path.get("resource") or path["subnetwork"])
        if not method.id.endswith((".serviceAccounts.create", ".roles.create")):
            return name
        try:
            body = json.loads(request.body)
        except ValueError:
            return name
        if method.id.endswith(".roles.create"):
            return f"{name}/roles/{body.get('roleId', '')}"
        project = self.store.project(name.partition("/")[2])
        return f"{name}/serviceAccounts/{project.email(str(body.get('accountId')))}" if project else name

    def _handle(self, request: Request) -> Response:
        host, store = request.host, self.store
        services.settle(store)
        if host == METADATA:
            return tokens.metadata(store, request)
        service = documents.service_of(host)
        if (service, request.method, request.path) == ("oauth2", "POST", "/token"):
            return tokens.exchange(store, request)
        if (service, request.path) in _USERINFO:
            return tokens.userinfo(store, request)
        if (service, request.method, request.path) == ("sts", "POST", "/v1/token"):
            return self._federate(request)
        found = documents.find(request)
        if found is None:
            raise Defect("INVALID_ARGUMENT", f"The requested URL {request.path} was not found on this server.")
        method, path = found
        if method.id.endswith(".getAllowedLocations"):
            raise GoogleError("NOT_FOUND", "No trust boundary.")
        caller = tokens.caller(store, request)
        if tokens.CLOUD not in caller.scopes:
            raise GoogleError("PERMISSION_DENIED", "Request had insufficient authentication scopes.")
        return as_json(200, self._answer(method, path, request, caller))

    def _answer(self, method: Method, path: Mapping[str, str], request: Request, caller: Principal) -> Any:
        query, body = documents.read_query(method, request), documents.read_body(method, request)
        handler = _SERVICES[method.service].get(method.id)
        if handler is None:
            raise Defect("UNIMPLEMENTED", f"This world's Google Cloud has no {method.id}.")
        self._check_service(method, path, request, caller)
        answer = handler(Asked(self.store, method.id, path, query, body, caller, method.document.version))
        documents.check_answer(method, answer)
        return answer

    def _check_service(self, method: Method, path: Mapping[str, str], request: Request, caller: Principal) -> None:
        """The API must be enabled in the project that the call is charged to: the quota project or else the one in the
        path."""
        quota = request.headers.get("x-goog-user-project", "")
        charged = self.store.project(quota or project_in(path))
        host = f"{method.service}.googleapis.com"
        if quota:
            resource = access.project_resource(self.store, charged) if charged else None
            if not resource or not access.held(self.store, caller, resource, ("serviceusage.services.use",)):
                raise quota_project_denied(host, quota)
        if charged is None:
            return
        if charged.going and method.id != "cloudresourcemanager.projects.get":
            raise project_deleted(host, charged.number)
        hidden = self.store.hides("services", f"{charged.id} {host}", "use")
        if host not in charged.services or hidden:
            raise service_disabled(host, TITLES[host], charged.number)

    def _federate(self, request: Request) -> Response:
        """Clients send a form with the names of RFC 8693; Google's document has other names for them."""
        given = dict(parse_qsl(request.body.decode()))
        body = {re.sub(r"_(\w)", lambda found: found[1].upper(), name): value for name, value in given.items()}
        found = documents.find(request)
        if found is None:
            raise unauthenticated()
        method, _path = found
        documents.read_body(method, Request("POST", request.host, request.path, "", {}, json.dumps(body).encode()))
        answer = tokens.federate(self.store, body)
        documents.check_answer(method, answer)
        return as_json(200, answer)

    def fail(self, request: Request, status: int, code: str, message: str) -> Response:
        found = documents.find(request)
        service = documents.service_of(request.host)
        if found is None or service == "oauth2":
            return as_json(status, {"error": code, "error_description": message})
        method, path = found
        name = path.get("name") or path.get("resource") or path.get("parent") or ""
        project = self.store.project(project_in(path))
        if code == "HTML":  # a front end's, before the service
            return Response(
                status, (("Content-Type", "text/html"),), f"<html><title>Error {status}</title></html>".encode()
            )
        if code == "SERVICE_DISABLED":
            host = f"{method.service}.googleapis.com"
            return service_disabled(host, TITLES[host], project.number if project else "").answer()
        return made(status, code, message, method.service, name).answer()

    # Kubernetes

    def kubernetes_user(self, token: str) -> tuple[str, str] | None:
        """The user name of a token's owner in a cluster: its e-mail, or its number if the token lacks that scope.

        None: the token is not valid.
        """
        with self.store.lock:
            found = tokens.whose(self.store, token)
            if found is None:
                return None
            unique_id = found.unique_id or found.email
            return (found.email if tokens.EMAIL in found.scopes else unique_id), unique_id

    def may(self, cluster: Cluster, user: str, attributes: Mapping[str, Any]) -> bool:
        """Whether IAM allows a user's request to a cluster."""
        group, resource = attributes.get("group", ""), attributes.get("resource", "")
        permission = kubernetes_permission(
            group, resource, attributes.get("subresource", ""), attributes.get("verb", "")
        )
        with self.store.lock:
            account = self.store.account(user)
            principal = tokens.principal_of(account) if account else Principal(f"user:{user}")
            return bool(permission) and clusters.may(self.store, cluster, principal, permission)

    def id_token_claims(self, value: str) -> Mapping[str, Any] | None:
        """The claims of Google's OpenID Connect token, None for any other token."""
        with self.store.lock:
            return self.store.id_tokens.get(value)

    # The whole

    def state(self) -> Any:
        with self.store.lock:
            services.settle(self.store)
            return state(self.store)

    def reset(self) -> None:
        with self.store.lock:
            self._control.seed()


def _other_write(request: Request) -> bool:
    """Whether a request that no document describes would write. Token endpoints only issue tokens."""
    return request.method != "GET" and not request.path.endswith("token")
