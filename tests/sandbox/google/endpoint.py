# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster's DNS endpoint: Google's front end, which has a publicly trusted certificate and asks IAM who may
connect."""

from __future__ import annotations

import json

from ..gate import Address
from ..kubernetes.front import Front
from ..wire import Cluster, Request, Response
from . import clusters, tokens
from .server import Google

PERMISSION = "container.clusters.connect"


class DnsEndpoint:
    """Answers under the cluster's name below gke.goog, as the container API describes the endpoint."""

    def __init__(self, google: Google, cluster: Cluster, front: Front) -> None:
        self._google = google
        self._cluster = cluster
        self._front = front

    def answer(self, request: Request, client: Address, server: Address) -> Response | None:
        refusal = self._refusal(request)
        if refusal:
            return self._front.refuse(request, refusal, client, server)
        return self._front.answer(request, client, server)

    def _refusal(self, request: Request) -> Response | None:
        """Google does not publish these texts."""
        store = self._google.store
        with store.lock:
            name = clusters.name_of(self._cluster.account, self._cluster.region, self._cluster.name)
            said = store.clusters[name]["controlPlaneEndpointsConfig"]["dnsEndpointConfig"]
            if not said.get("allowExternalTraffic"):
                return _status(403, "Forbidden", "External traffic is not allowed on the DNS endpoint of this cluster.")
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            caller = tokens.whose(store, token)
            if caller is None:
                # Kubernetes' own tokens only pass if the cluster allows it.
                passes = said.get("enableK8sTokensViaDns") and token.count(".") == 2
                return None if passes else _status(401, "Unauthorized", "Unauthorized")
            if clusters.may(store, self._cluster, caller, PERMISSION):
                return None
            return _status(403, "Forbidden", f'Required "{PERMISSION}" permission(s) for "{name}".')


def _status(code: int, reason: str, message: str) -> Response:
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
    return Response(code, (("Content-Type", "application/json"),), json.dumps(body).encode())
