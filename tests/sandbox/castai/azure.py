# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CAST AI as a client of Azure: whether handed-over credentials log in, and what they reach.

Which calls are tried is ours, as at AWS: a token, by the secret or from a token of CAST AI's account at Google, and two
reads that CAST AI's role allows, of the cluster and of its nodes' resource group.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

from ..wire import Cluster, Request, Response

LOGIN, ARM = "login.microsoftonline.com", "management.azure.com"
AUDIENCE = "api://AzureADTokenExchange"
FIELDS = ("subscriptionId", "tenantId", "clientId")
_JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Cloud(Protocol):
    """What CAST AI needs of the world's Azure (azure.server.Azure)."""

    def handle(self, request: Request) -> Response:
        """A call of the API."""

    def control(self, verb: str, **args: Any) -> Any:
        """Create what another way of onboarding leaves behind."""


class Google(Protocol):
    """What CAST AI needs of the world's Google Cloud to log in at Azure."""

    def control(self, verb: str, **args: Any) -> Any:
        """A token of CAST AI's own account there."""


class CastAiAtAzure:
    """Calls Azure directly: these calls do not appear in the operator's journal."""

    def __init__(self, cloud: Cloud, google: Google | None) -> None:
        self._cloud = cloud
        self._google = google

    def leave(self, cluster: Cluster, vintage: str, cluster_id: str, subject: str) -> dict[str, str]:
        """Create what another way of onboarding leaves behind."""
        named = {"cluster": cluster.name, "vintage": vintage, "cluster_id": cluster_id, "subject": subject}
        made: dict[str, str] = self._cloud.control("leave_other_way", **named)
        return made

    def key_id(self, credentials: Mapping[str, str]) -> str:
        """The key id of their secret, empty if they have none."""
        text = credentials.get("clientSecret")
        return str(self._cloud.control("secret_id", text=text)) if text else ""

    def refusal(self, credentials: Mapping[str, str], cluster: Cluster | None, group: str, own: str) -> str:
        """Why the credentials do not work; empty if they do. own: CAST AI's account at Google; group: that of the
        nodes."""
        proof = {"client_secret": credentials.get("clientSecret", "")}
        if not proof["client_secret"]:
            if self._google is None:
                return "no account to federate from"
            assertion = self._google.control("id_token", email=own, audience=AUDIENCE)
            proof = {"client_assertion": assertion, "client_assertion_type": _JWT_BEARER}
        asked = {"grant_type": "client_credentials", "client_id": credentials["clientId"], **proof}
        path = f"/{credentials['tenantId']}/oauth2/v2.0/token"
        body = urlencode({**asked, "scope": f"https://{ARM}/.default"}).encode()
        answer = self._cloud.handle(Request("POST", LOGIN, path, "", {}, body))
        told = json.loads(answer.body)
        if answer.status != 200:
            return f"Failed to refresh the Token for request: {told['error_description']}"
        scope = f"/subscriptions/{credentials['subscriptionId']}/resourceGroups/"
        paths = {f"{scope}{group}": "2021-04-01"}
        if cluster is not None:
            start = f"{scope}{cluster.resource_group}/providers/Microsoft.ContainerService/managedClusters"
            paths[f"{start}/{cluster.name}"] = "2024-09-01"
        for path, version in paths.items():
            headers = {"authorization": f"Bearer {told['access_token']}"}
            found = self._cloud.handle(Request("GET", ARM, path, f"api-version={version}", headers, b""))
            if found.status != 200:
                return str(json.loads(found.body)["error"]["message"])
        return ""
