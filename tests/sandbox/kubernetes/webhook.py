# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API servers' token webhook: who signed an EKS token, and who that is in the cluster."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..gate import Address
from ..server import Server
from ..wire import Cluster, Request, Response

_EKS_BEARER = "Bearer k8s-aws-v1."
_STAMP = "#"  # in no token: base64url has none


def stamped(authorization: str, now: float) -> str:
    """An Authorization header whose EKS token differs from one second of the world's clock to the next.

    An API server remembers for 10 s who a token was (apiserver/pkg/authentication/token/cache, no flag for it); with
    this, access that ends, or a clock that is advanced, is seen within a second.
    """
    return f"{authorization}{_STAMP}{int(now)}" if authorization.startswith(_EKS_BEARER) else authorization


class Identities(Protocol):
    """What the webhook asks of AWS."""

    def identify(self, token: str, cluster_name: str, now: float) -> str | None:
        """The canonical ARN of who signed a token for a cluster, None if it is not good at that time."""

    def kubernetes_user(
        self, cluster: Cluster, arn: str, aws_auth: Mapping[str, Any] | None
    ) -> tuple[str, tuple[str, ...]] | None:
        """User name and groups of an ARN in a cluster, by its access entries and the data of its aws-auth."""


class Webhook:
    """Answers TokenReviews at http://127.0.0.1:PORT/CLUSTER for the clusters added to it."""

    def __init__(self, identities: Identities, now: Callable[[], float]) -> None:
        self._identities = identities
        self.now = now
        self._clusters: dict[str, tuple[Cluster, Callable[[], Mapping[str, str] | None]]] = {}
        self._server = Server(self._answer)

    def add(self, cluster: Cluster, aws_auth: Callable[[], Mapping[str, str] | None]) -> None:
        """`aws_auth` reads the data of the cluster's ConfigMap kube-system/aws-auth, None when there is none."""
        self._clusters[cluster.name] = cluster, aws_auth

    def url(self, cluster: str) -> str:
        return f"http://127.0.0.1:{self._server.port}/{cluster}"

    def _answer(self, request: Request, _client: Address, _server: Address) -> Response:
        review = json.loads(request.body)
        status = self._review(request.path.removeprefix("/"), review["spec"]["token"].partition(_STAMP)[0])
        body = {"apiVersion": review["apiVersion"], "kind": "TokenReview", "status": status}
        return Response(200, (("Content-Type", "application/json"),), json.dumps(body).encode())

    def _review(self, name: str, token: str) -> Mapping[str, Any]:
        cluster, aws_auth = self._clusters[name]
        arn = self._identities.identify(token, name, self.now())
        if arn is None:
            return {"authenticated": False}
        user = self._identities.kubernetes_user(cluster, arn, aws_auth())
        if user is None:
            return {"authenticated": False, "error": f"{arn} is not mapped in cluster {name}"}
        return {"authenticated": True, "user": {"username": user[0], "uid": arn, "groups": list(user[1])}}
