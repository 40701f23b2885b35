# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients of the world's Azure without a socket: requests, azure-identity, and the modules' gateway."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import ClientSecretCredential

from ansible_collections.castai.onboarding.plugins.module_utils._gateways.azure import Azure as Gateway
from tests.sandbox.azure.control import OPERATOR, OPERATOR_ID
from tests.sandbox.azure.server import Azure
from tests.sandbox.azure.store import SUBSCRIPTION, TENANT
from tests.sandbox.gate import Gate
from tests.sandbox.google.server import Google
from tests.sandbox.wire import Cluster, Request, Response

from .aws_client import Clock
from .google_client import ADDRESS, Ended, InProcess

GROUP, LOCATION = "shop", "westeurope"
ARM, GRAPH = "https://management.azure.com", "https://graph.microsoft.com"
SCOPE = f"/subscriptions/{SUBSCRIPTION}"
GROUP_ID = f"{SCOPE}/resourceGroups/{GROUP}"
NODES_ID = f"{SCOPE}/resourceGroups/MC_{GROUP}_shop_{LOCATION}"
NETWORK_ID = f"{SCOPE}/resourceGroups/{GROUP}-network"
CLUSTER = f"{GROUP_ID}/providers/Microsoft.ContainerService/managedClusters/shop"

__all__ = ["OPERATOR", "OPERATOR_ID", "SUBSCRIPTION", "TENANT", "Azures", "cluster"]


def cluster(name: str, group: str = GROUP, mode: str = "kubernetes", **other: Any) -> Cluster:
    """mode: what decides in it: kubernetes, azure, or none without Entra."""
    return Cluster(
        **{
            "name": name,
            "provider": "aks",
            "account": SUBSCRIPTION,
            "region": LOCATION,
            "mode": mode,
            "ip_family": "ipv4",
            "version": "1.36",
            "endpoint": "https://127.0.0.1:6443",
            "ca_pem": "-----BEGIN CERTIFICATE-----\n",
            "admin_kubeconfig": Path("unused"),
            "created_by": "",
            "address": f"{name}-dns-01234567.hcp.{LOCATION}.azmk8s.io",
            "resource_group": group,
            "client_certificate": "-----BEGIN CERTIFICATE-----\n",
            "client_key": "-----BEGIN PRIVATE KEY-----\n",
            "client_token": "TOKEN",
            **other,
        }
    )


class Hearing(Azure):
    """Records its requests, except logins."""

    def __init__(self, clock: Clock, google: Google) -> None:
        super().__init__(clock, google)
        self.heard: list[Request] = []

    def handle(self, request: Request) -> Response:
        if not request.host.startswith("login."):
            self.heard.append(request)
        return super().handle(request)


class Azures:
    """One Azure behind a gate, which applies faults and keeps the journal. An `end` fault raises Ended."""

    def __init__(self, clock: Clock | None = None, google: Google | None = None) -> None:
        self.clock = clock or Clock()
        self.google = google or Google(self.clock)
        self.azure = Hearing(self.clock, self.google)
        self.gate = Gate(_end)

    def send(self, request: Request) -> Response | None:
        """None: the connection was closed without an answer."""
        return self.gate.answer(self.azure, request, ADDRESS, ADDRESS)

    def do(self, verb: str, **args: Any) -> Any:
        """Behind the caller's back (control.py)."""
        return self.azure.control(verb, **args)

    def operator(self) -> dict[str, str]:
        """client_id, tenant, secret and subscription_id, named like the modules' options."""
        found: dict[str, str] = self.do("operator")
        return found

    def operator_with(self, *actions: str, scope: str = SCOPE, graph: tuple[str, ...] = ()) -> dict[str, str]:
        """The options of another operator with these actions, through a new custom role."""
        made = self.do("add_operator", graph=graph, actions={scope: actions} if actions else {})
        return {**{name: made[name] for name in ("client_id", "tenant", "secret")}, "subscription_id": SUBSCRIPTION}

    def session(self, bearer: str = "") -> requests.Session:
        """Without credentials by default."""
        made = requests.Session()
        made.trust_env = False
        for start in ("https://", "http://"):
            made.mount(start, InProcess(self))
        if bearer:
            made.headers["Authorization"] = f"Bearer {bearer}"
        return made

    def transport(self) -> dict[str, Any]:
        """What azure-identity's credentials need to reach this Azure."""
        made = RequestsTransport(session=self.session(), session_owner=False, use_env_settings=False)
        return {"transport": made, "retry_total": 0}

    def credential(self, **options: Any) -> ClientSecretCredential:
        """A credential of azure-identity, by default the operator's."""
        operator = {**self.operator(), **options}
        return ClientSecretCredential(operator["tenant"], operator["client_id"], operator["secret"], **self.transport())

    def gateway(self, **options: Any) -> Gateway:
        """The modules' Azure gateway, by default as the operator."""
        given = {**self.operator(), **options}
        made = Gateway({name: value for name, value in given.items() if value})
        for start in ("https://", "http://"):
            made._http.mount(start, InProcess(self))
        return made

    def arm(self, method: str, path: str, body: Any = None, version: str = "2022-04-01", **more: Any) -> Any:
        """Status and answer of a call by the operator, or by the owner of `bearer`."""
        return self.ask(method, f"{ARM}{path}{'&' if '?' in path else '?'}api-version={version}", body, **more)

    def graph(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        return self.ask(method, f"{GRAPH}/v1.0{path}", body, **more)

    def ask(self, method: str, url: str, body: Any = None, bearer: str = "") -> tuple[int, Mapping[str, Any]]:
        audience = GRAPH if url.startswith(GRAPH) else ARM
        token = bearer or self.do("token", audience=audience)
        answer = self.session(token).request(method, url, json=body)
        return answer.status_code, json.loads(answer.content or b"{}")

    def reset(self) -> None:
        """Reset to the initial state, except for its clusters."""
        self.clock.ahead = 0.0
        self.azure.reset()
        self.gate.reset()

    def writes(self) -> list[str]:
        """The writes since it was created, by the name of the call."""
        return [entry.call.operation for entry in self.gate.journal.since(0) if entry.call.write]


def _end(_client: Any, _server: Any) -> None:
    raise Ended
