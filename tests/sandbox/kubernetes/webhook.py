# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API servers' webhooks: who owns a cloud's token, who that is in the cluster, and what the cloud allows there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..gate import Address
from ..server import Server
from ..wire import Cluster, Request, Response

# Entra's tokens begin with the type: {"typ":"JWT", ...; those of Kubernetes' own accounts do not.
_CLOUDS_BEARERS = ("Bearer k8s-aws-v1.", "Bearer ya29.", "Bearer eyJ0eXAiOiJKV1Qi")
_STAMP = "#"  # in no token: base64url has none


def stamped(authorization: str, now: float) -> str:
    """An Authorization header whose token, if a cloud's, differs from one second of the world's clock to the next.

    An API server remembers for 10 s who a token was (apiserver/pkg/authentication/token/cache, no flag for it); with
    this, access that ends, or a clock that is advanced, is seen within a second.
    """
    return f"{authorization}{_STAMP}{int(now)}" if authorization.startswith(_CLOUDS_BEARERS) else authorization


class Identities(Protocol):
    """The webhook's interface to AWS."""

    def identify(self, token: str, cluster_name: str, now: float) -> str | None:
        """The canonical ARN that signed a token for a cluster, None if the token is not valid at that time."""

    def kubernetes_user(
        self, cluster: Cluster, arn: str, aws_auth: Mapping[str, Any] | None
    ) -> tuple[str, tuple[str, ...]] | None:
        """User name and groups of an ARN in a cluster, by its access entries and the data of its aws-auth."""


class Google(Protocol):
    """The webhook's interface to Google Cloud."""

    def kubernetes_user(self, token: str) -> tuple[str, str] | None:
        """User name and unique id of a token's owner, None if the token is not valid."""

    def may(self, cluster: Cluster, user: str, attributes: Mapping[str, Any]) -> bool:
        """Whether IAM allows a user what a SubjectAccessReview asks (its resourceAttributes)."""


class Azure(Protocol):
    """The webhook's interface to Azure."""

    def kubernetes_user(self, token: str, cluster: Cluster) -> tuple[str, tuple[str, ...]] | None:
        """User name and groups of a token's owner, None if the token is not valid there."""

    def may(self, cluster: Cluster, user: str, attributes: Mapping[str, Any]) -> bool:
        """Whether Azure RBAC allows a user what a SubjectAccessReview asks (its resourceAttributes)."""


class Webhook:
    """Answers TokenReviews and SubjectAccessReviews at http://127.0.0.1:PORT/CLUSTER for the clusters added to it."""

    def __init__(self, identities: Identities, google: Google, azure: Azure, now: Callable[[], float]) -> None:
        self._identities = identities
        self._google = google
        self._azure = azure
        self.now = now
        self._clusters: dict[str, tuple[Cluster, Callable[[], Mapping[str, str] | None]]] = {}
        self._server = Server(self._answer)

    def add(self, cluster: Cluster, aws_auth: Callable[[], Mapping[str, str] | None]) -> None:
        """`aws_auth` reads the data of the cluster's ConfigMap kube-system/aws-auth, None if it does not exist."""
        self._clusters[cluster.name] = cluster, aws_auth

    def url(self, cluster: str) -> str:
        return f"http://127.0.0.1:{self._server.port}/{cluster}"

    def _answer(self, request: Request, _client: Address, _server: Address) -> Response:
        review = json.loads(request.body)
        name, spec = request.path.removeprefix("/"), review["spec"]
        if review["kind"] == "TokenReview":
            status = self._review(name, spec["token"].partition(_STAMP)[0])
        else:
            status = {"allowed": self._may(name, spec)}
        body = {"apiVersion": review["apiVersion"], "kind": review["kind"], "status": status}
        return Response(200, (("Content-Type", "application/json"),), json.dumps(body).encode())

    def _review(self, name: str, token: str) -> Mapping[str, Any]:
        cluster, aws_auth = self._clusters[name]
        if cluster.provider == "gke":
            found = self._google.kubernetes_user(token)
            return {
                "authenticated": found is not None,
                "user": dict(zip(("username", "uid"), found or (), strict=False)),
            }
        if cluster.provider == "aks":
            entra = self._azure.kubernetes_user(token, cluster)
            if entra is None:
                return {"authenticated": False}
            return {"authenticated": True, "user": {"username": entra[0], "uid": entra[0], "groups": list(entra[1])}}
        arn = self._identities.identify(token, name, self.now())
        if arn is None:
            return {"authenticated": False}
        user = self._identities.kubernetes_user(cluster, arn, aws_auth())
        if user is None:
            return {"authenticated": False, "error": f"{arn} is not mapped in cluster {name}"}
        return {"authenticated": True, "user": {"username": user[0], "uid": arn, "groups": list(user[1])}}

    def _may(self, name: str, spec: Mapping[str, Any]) -> bool:
        """The clouds do not know Kubernetes' own users."""
        asked, cluster = spec.get("resourceAttributes"), self._clusters[name][0]
        if asked is None or spec.get("user", "").startswith("system:"):
            return False
        cloud = self._azure if cluster.provider == "aks" else self._google
        return cloud.may(cluster, spec["user"], asked)
