# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CAST AI as a client of Google Cloud: its accounts in its own project, and whether handed-over credentials work.

Which calls are tried is ours, as at AWS: a token, and one read that CAST AI's role allows, of the cluster itself.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ..spec import CASTAI_PROJECT
from ..wire import Cluster, Request, Response

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
KEY = ("client_email", "private_key", "private_key_id", "token_uri")


class Cloud(Protocol):
    """What CAST AI needs of the world's Google Cloud (google.server.Google)."""

    def handle(self, request: Request) -> Response:
        """A call of the API."""

    def control(self, verb: str, **args: Any) -> Any:
        """What CAST AI may do in its own project."""


class CastAiAtGoogle:
    """Calls Google directly: these calls do not appear in the operator's journal."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def account(self, organization_id: str) -> tuple[str, str]:
        """E-mail and unique id of CAST AI's account for an organization, created if necessary."""
        account_id = f"cast-gke-{hashlib.sha256(organization_id.encode()).hexdigest()[:16]}"
        found: tuple[str, str] = tuple(
            self._cloud.control("own_account", project=CASTAI_PROJECT, account_id=account_id)
        )
        return found

    def leave(self, cluster: Cluster, vintage: str, organization_id: str) -> tuple[dict[str, str], str]:
        """Create what another way of onboarding leaves behind, and CAST AI's account if that impersonates."""
        own = self.account(organization_id)[0] if vintage == "impersonate" else ""
        place = {"cluster": cluster.name, "location": cluster.region}
        return self._cloud.control("leave_other_way", **place, vintage=vintage, own=own), own

    def key_works(self, key: Mapping[str, Any], block: Mapping[str, Any]) -> bool:
        """Whether Google issues a token for the key, and its account may read the cluster."""
        private = _private(key["private_key"])
        if private is None:
            return False
        now = int(time.time())
        claims = {"iss": key["client_email"], "scope": SCOPE, "aud": key["token_uri"], "iat": now, "exp": now + 3600}
        head = {"alg": "RS256", "typ": "JWT", "kid": key["private_key_id"]}
        signed = ".".join(map(_part, (head, claims)))
        signature = base64.urlsafe_b64encode(private.sign(signed.encode(), PKCS1v15(), SHA256())).rstrip(b"=").decode()
        grant = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": f"{signed}.{signature}"}
        answer = self._cloud.handle(
            Request("POST", "oauth2.googleapis.com", "/token", "", {}, urlencode(grant).encode())
        )
        return answer.status == 200 and self._reads(json.loads(answer.body)["access_token"], block)

    def chain_works(self, own: str, client: str, block: Mapping[str, Any]) -> bool:
        """Whether CAST AI's account may impersonate the client's, and that one may read the cluster."""
        token = self._cloud.control("token", member=f"serviceAccount:{own}", scopes=[SCOPE])
        path = f"/v1/projects/-/serviceAccounts/{client}:generateAccessToken"
        status, answer = self._call("POST", "iamcredentials", path, token, {"scope": [SCOPE]})
        return status == 200 and self._reads(answer["accessToken"], block)

    def _reads(self, token: str, block: Mapping[str, Any]) -> bool:
        names = (f"{kind}/{block[field]}" for kind, field in _PLACE.items())
        return self._call("GET", "container", f"/v1/{'/'.join(names)}", token)[0] == 200

    def _call(self, method: str, service: str, path: str, token: str, body: Any = None) -> tuple[int, Any]:
        data = b"" if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {token}"}
        answer = self._cloud.handle(Request(method, f"{service}.googleapis.com", path, "", headers, data))
        return answer.status, json.loads(answer.body)


_PLACE = {"projects": "projectId", "locations": "location", "clusters": "clusterName"}


@functools.lru_cache(maxsize=64)
def _private(pem: str) -> RSAPrivateKey | None:
    """Load a key, or return None for another kind. Checking its numbers takes 60 ms, and CAST AI tries a key after
    every write."""
    private = load_pem_private_key(pem.encode(), None)
    return private if isinstance(private, RSAPrivateKey) else None


def _part(value: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
