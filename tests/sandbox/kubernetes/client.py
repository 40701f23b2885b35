# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A minimal client of a Kubernetes API server, as the world's administrator: JSON in, JSON out."""

from __future__ import annotations

import base64
import json
import ssl
from pathlib import Path
from typing import Any

import urllib3

from ..pki import Identity, load_identity

_PATCH_TYPES = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
}


class KubernetesError(Exception):
    """The API server refused a call; `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Kubernetes:
    """Calls one API server with the client certificate of a kubeconfig (JSON, as the world writes it)."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        config = json.loads(kubeconfig.read_text(encoding="utf-8"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._server = cluster["server"]
        context = ssl.create_default_context(cadata=_decode(cluster["certificate-authority-data"]))
        load_identity(context, Identity(_decode(user["client-certificate-data"]), _decode(user["client-key-data"])))
        # A TLS handshake costs the API server more than most answers, so the connection is used for all calls.
        self._connections = urllib3.PoolManager(ssl_context=context, maxsize=4, timeout=30, retries=False)

    def get(self, path: str) -> Any:
        """The object or list at a path such as /api/v1/namespaces/x/secrets/y; None if it does not exist."""
        try:
            return self.request("GET", path)
        except KubernetesError as error:
            if error.status == 404:
                return None
            raise

    def items(self, path: str) -> list[Any]:
        """The objects of a list."""
        found: list[Any] = self.request("GET", path)["items"]
        return found

    def create(self, path: str, manifest: Any) -> Any:
        """Create an object in the collection at `path`."""
        return self.request("POST", path, manifest)

    def replace(self, path: str, manifest: Any) -> Any:
        return self.request("PUT", path, manifest)

    def patch(self, path: str, patch: Any, kind: str = "merge") -> Any:
        """kind: merge, strategic or json."""
        return self.request("PATCH", path, patch, _PATCH_TYPES[kind])

    def delete(self, path: str) -> Any:
        """Delete; None if it is already gone."""
        try:
            return self.request("DELETE", path)
        except KubernetesError as error:
            if error.status == 404:
                return None
            raise

    def ready(self) -> bool:
        """Whether the API server answers and is ready."""
        try:
            self.request("GET", "/readyz")
        except (urllib3.exceptions.HTTPError, KubernetesError):
            return False
        return True

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """Make any call and return the answer as JSON, or as text if it is not JSON. Raises KubernetesError."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content_type} if data else {}
        response = self._connections.request(method, f"{self._server}{path}", body=data, headers=headers)
        answer = _parse(response.data)
        if response.status >= 400:
            raise KubernetesError(response.status, answer["message"] if isinstance(answer, dict) else answer)
        return answer


def _decode(data: str) -> str:
    return base64.b64decode(data).decode()


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()
