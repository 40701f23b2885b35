# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Azure as a back end of the world: finds the route of a request in the tables of its parts, which answer it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from ..cloud import Documented
from ..wire import Call, Cluster, Request, Response
from . import authorization, clusters, graph, identities, login, resources
from .arm import VERSIONS, Asked, Route, base_kind, read_body, read_query
from .control import Control
from .errors import AzureError, Defect, GraphError, as_json, made, unregistered, version_unknown, wrong_tenant
from .state import state
from .store import Principal, Store

_ROUTES = (*resources.ROUTES, *clusters.ROUTES, *identities.ROUTES, *authorization.ROUTES)
_ARM = ("management.azure.com", "management.usgovcloudapi.net", "management.chinacloudapi.cn")
_GRAPH = ("graph.microsoft.com", "graph.microsoft.us", "microsoftgraph.chinacloudapi.cn")
_ASKS = re.compile(r".*/listCluster(User|Admin)Credential/action")
METADATA = login.METADATA


class Azure(Documented):
    """The back end. issuers: who gives the tokens that federated credentials trust (google.server.Google).

    clock: the world's time in seconds since the epoch; tokens, secrets and what is deleted age by it.
    """

    system, title = "azure", "Azure"
    hosts = (*login.HOSTS, *_GRAPH, *_ARM, METADATA)

    def __init__(self, clock: Callable[[], float] = time.time, issuers: login.Issuers | None = None) -> None:
        self.store = Store(clock)
        self._issuers = issuers
        self._control = Control(self.store)
        super().__init__(self.store.lock, self._control)

    def env(self) -> dict[str, str]:
        """The operator's credentials, with the names of azure.azcollection and AWX."""
        found = self._control.operator()
        return {f"AZURE_{name.upper()}": found[name] for name in ("client_id", "tenant", "secret")}

    # Requests

    def classify(self, request: Request) -> Call:
        """Operations of the Resource Manager have the names of its actions; we name those of Graph."""
        if request.host == METADATA or request.host in login.HOSTS:
            name = "token" if request.path.endswith("/token") else "discovery"
            return Call(self.system, name, request.path, False, "")
        with self.store.lock:
            try:
                who = login.caller(self.store, request, request.host in _GRAPH).id
            except AzureError:
                who = ""
        if request.host in _GRAPH:
            found = graph.find(request)
            if found is None:
                return Call(self.system, f"{request.method} {request.path}", request.path, request.method != "GET", who)
            one, named = found
            return Call(self.system, one.operation, named.get("name", request.path), graph.writes(one), who)
        route = _find(request)
        if route is None:
            return Call(self.system, f"{request.method} {request.path}", request.path, request.method != "GET", who)
        writes = route[0].method != "GET" and _ASKS.fullmatch(route[0].action) is None
        return Call(self.system, _operation(route[0], route[1]), _identity(request), writes, who)

    def _handle(self, request: Request) -> Response:
        resources.settle(self.store)
        if request.host == METADATA:
            return login.machine(self.store, request)
        if request.host in login.HOSTS:
            return login.answer(self.store, self._issuers, request)
        if request.host in _GRAPH:
            return graph.answer(self.store, request, login.caller(self.store, request, True))
        if request.path == "/metadata/endpoints":
            return as_json(200, [_ENDPOINTS])
        return self._arm(request, login.caller(self.store, request, False))

    def _arm(self, request: Request, caller: Principal) -> Response:
        found = _find(request)
        if found is None:
            said = f"No HTTP resource was found that matches the request URI '{request.path}'."
            raise Defect(AzureError(404, "InvalidResourceType", said))
        route, path = found
        query = read_query(route, request)
        identity = _identity(request)
        self._check_version(route, query["api-version"])
        self._check_subscription(route, identity, caller)
        asked = Asked(self.store, caller, route.action, path, identity, query, read_body(request))
        answered = route.handle(asked)
        status, body = answered if isinstance(answered, tuple) else (200, answered)
        return as_json(status, body) if body is not None else Response(status, (), b"")

    def _check_version(self, route: Route, version: str) -> None:
        kind = base_kind(route.kind)
        known = self.store.versions.get(kind, VERSIONS[kind])
        if version not in known:
            namespace, _slash, name = kind.partition("/")
            location = "westeurope" if self.store.behavior.get("provider_names_versions") else ""
            refusal = version_unknown(namespace, name, version, known, location)
            known_to_clouds = kind in self.store.versions
            raise refusal if known_to_clouds else Defect(refusal)

    def _check_subscription(self, route: Route, identity: str, caller: Principal) -> None:
        parts = identity.split("/")
        if len(parts) < 3 or parts[1].lower() != "subscriptions":
            return
        subscription = self.store.subscriptions.get(parts[2].lower())
        if subscription is None:
            raise resources.no_subscription(parts[2])
        if caller.tenant not in (subscription.tenant, *subscription.managed_by):
            raise wrong_tenant(caller.tenant, subscription.tenant)
        if route.namespace not in (*subscription.registered, "Microsoft.Resources", "Microsoft.Authorization"):
            raise unregistered(route.namespace)

    def fail(self, request: Request, status: int, code: str, message: str) -> Response:
        kind: type[AzureError] = GraphError if request.host in _GRAPH else AzureError
        identity = _identity(request)
        named = request.path.rstrip("/").split("/")
        facts = {"name": named[-1], "scope": identity, "verb": "delete" if request.method == "DELETE" else "write"}
        if request.host in _GRAPH:
            found = graph.find(request)
            facts["name"] = found[1].get("name", "") if found else ""
        elif request.host in login.HOSTS:
            facts["tenant"] = named[1] if len(named) > 1 else ""
        else:
            route = _find(request)
            call = self.classify(request)
            facts |= {"client": call.who, "action": call.operation}
            if route:
                facts["namespace"] = route[0].namespace
                if code in ("InvalidResourceType", "NoRegisteredProviderFound"):
                    names = base_kind(route[0].kind)
                    namespace, _slash, one = names.partition("/")
                    location = "westeurope" if code == "NoRegisteredProviderFound" else ""
                    known = self.store.versions.get(names, VERSIONS[names])
                    return version_unknown(namespace, one, "unknown", known, location).answer()
        if code == "HTML":  # a front end's, before the service
            text = f"<html><title>Error {status}</title></html>".encode()
            return Response(status, (("Content-Type", "text/html"),), text)
        return made(kind, status, code, message, **facts).answer()

    # Kubernetes

    def kubernetes_user(self, token: str, cluster: Cluster) -> tuple[str, tuple[str, ...]] | None:
        """The user name and groups of a token's owner in a cluster: a person's name, the object id of others.

        None if the token is not valid or of another tenant than the cluster's, or if nobody can log in there with
        Entra.
        """
        with self.store.lock:
            found = login.whose(self.store, token, frozenset((login.AKS,)))
            name = clusters.name_of(cluster.account, cluster.resource_group, cluster.name)
            entra = self.store.clusters[name.lower()]["properties"]["aadProfile"]
            if found is None or not entra or found.principal.tenant != entra["tenantID"]:
                return None
            who = found.principal
            return who.user or who.id, tuple(self.store.members(who.id))

    def may(self, cluster: Cluster, user: str, attributes: Mapping[str, Any]) -> bool:
        """Whether Azure RBAC allows a user's request to a cluster."""
        with self.store.lock:
            people = (one for one in self.store.users.values() if one.user == user)
            principal = next(people, None) or Principal(user)
            return clusters.may(self.store, cluster, principal, attributes)

    # The whole

    def state(self) -> Any:
        with self.store.lock:
            resources.settle(self.store)
            return state(self.store)

    def reset(self) -> None:
        with self.store.lock:
            self._control.seed()


def _find(request: Request) -> tuple[Route, dict[str, str]] | None:
    """The route of a Resource Manager request and the names in its path."""
    path = _identity(request)
    for route in _ROUTES:
        found = route.path.fullmatch(path)
        if found and route.method == request.method:
            return route, {name: value for name, value in found.groupdict().items() if value}
    return None


def _identity(request: Request) -> str:
    return re.sub(r"/+", "/", unquote(request.path)).rstrip("/") or "/"


def _operation(route: Route, path: Mapping[str, str]) -> str:
    """The operation of a call. That of a registration begins with the namespace."""
    return f"{path['namespace']}/{route.verb}" if route.verb == "register/action" else route.action


_ENDPOINTS = {
    "name": "AzureCloud",
    "portal": "https://portal.azure.com",
    "authentication": {
        "loginEndpoint": "https://login.microsoftonline.com",
        "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"],
        "tenant": "common",
        "identityProvider": "AAD",
    },
    "resourceManager": "https://management.azure.com/",
    "graph": "https://graph.windows.net/",
    "microsoftGraphResourceId": "https://graph.microsoft.com/",
    "suffixes": {},
}
