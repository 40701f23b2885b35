# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CAST AI's REST API: verbs in, frozen values out. PRIVATE to the collection.

Paths, fields and errors: the published API description (https://api.cast.ai/v1/spec/openapi.json).
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable
from urllib.error import HTTPError, URLError

from ansible.module_utils.urls import Request

from .._engine import CallFailed, Refused

CLUSTERS = "/v1/kubernetes/external-clusters"
TIMEOUT = 60.0
PATIENCE = 120.0
"""Seconds for which a call is repeated on the answers below."""

REPEAT_ALWAYS = frozenset({429})
REPEAT_READS = frozenset({500, 502, 503, 504})


@dataclass(frozen=True)
class Cluster:
    """A cluster as CAST AI records it; empty strings for what is not set."""

    id: str
    name: str
    provider: str
    status: str
    agent_status: str
    organization_id: str
    credentials_id: str
    reconcile_error: str
    facts: Mapping[str, str]
    """The provider block's strings: accountId, region, clusterName, ..."""

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Cluster:
        provider = body.get("providerType") or ""
        return cls(
            id=body.get("id") or "",
            name=body.get("name") or "",
            provider=provider,
            status=body.get("status") or "",
            agent_status=body.get("agentStatus") or "",
            organization_id=body.get("organizationId") or "",
            credentials_id=body.get("credentialsId") or "",
            reconcile_error=body.get("reconcileError") or "",
            facts={key: value for key, value in (body.get(provider) or {}).items() if isinstance(value, str)},
        )

    @property
    def gone(self) -> bool:
        """Disconnected and cleaned up, or removed: the record is only history."""
        return self.status in ("archived", "deleted")


class Rejected(CallFailed):
    """CAST AI answered, and the answer is no.

    status: HTTP status; message: CAST AI's own sentence.
    """

    def __init__(self, text: str, status: int, message: str) -> None:
        super().__init__(text)
        self.status = status
        self.message = message


class CastAi:
    """The API with one key. Threads may share it."""

    def __init__(
        self, url: str, api_key: str, validate_certs: bool = True, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        if not url.startswith("https://"):
            raise Refused(f"castai_api_url is {url!r}: give an address that starts with https://.")
        self.url = url.rstrip("/")
        self._api_key = api_key
        self._validate_certs = validate_certs
        self._sleep = sleep

    def with_key(self, api_key: str) -> CastAi:
        """The same API with another key."""
        return CastAi(self.url, api_key, self._validate_certs, self._sleep)

    def close(self) -> None:
        """Nothing is kept open between calls."""

    def list_clusters(self) -> tuple[Cluster, ...]:
        """All clusters of the key's organisation; the endpoint has no paging and no filter."""
        body = self._call("GET", CLUSTERS, "list the clusters")
        return tuple(Cluster.parse(item) for item in body.get("items") or ())

    def get_cluster(self, cluster_id: str) -> Cluster | None:
        try:
            return Cluster.parse(self._call("GET", f"{CLUSTERS}/{cluster_id}", f"read cluster {cluster_id}"))
        except Rejected as answer:
            if answer.status == 404:
                return None
            raise

    def register_cluster(self, name: str, block: Mapping[str, Mapping[str, str]]) -> Cluster:
        """Idempotent by the provider block: an existing cluster answers with its id."""
        return Cluster.parse(self._call("POST", CLUSTERS, f"register cluster {name}", {"name": name, **block}))

    def create_token(self, cluster_id: str) -> str:
        """Mint the cluster's own token; earlier ones may stop working. A lost answer costs only a token nobody has."""
        body = self._call("POST", f"{CLUSTERS}/{cluster_id}/token", f"create the token of cluster {cluster_id}")
        token = body.get("token")
        if not isinstance(token, str) or not token:
            raise CallFailed(f"CAST AI answered the token request of cluster {cluster_id} without a token.")
        return token

    def accepts(self, api_key: str, cluster_id: str) -> bool:
        """Whether the API lets this key read this cluster."""
        try:
            return self.with_key(api_key).get_cluster(cluster_id) is not None
        except Rejected as answer:
            if answer.status in (401, 403):
                return False
            raise

    def _call(self, method: str, path: str, purpose: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One call, repeated while the answer is one that passes. Every POST used here may be (see the verbs)."""
        deadline, pause = time.monotonic() + PATIENCE, 1.0
        while True:
            failure, wanted = self._try(method, path, purpose, body)
            if isinstance(failure, dict):
                return failure
            wait = max(wanted, pause * random.uniform(0.5, 1.0))
            if wanted < 0 or time.monotonic() + wait > deadline:
                raise failure
            self._sleep(wait)
            pause = min(20.0, pause * 2)

    def _try(
        self, method: str, path: str, purpose: str, body: Mapping[str, Any] | None
    ) -> tuple[dict[str, Any] | CallFailed, float]:
        """The answer, or the failure and the least seconds before the next try (negative: no next try)."""
        headers = {"X-API-Key": self._api_key, "Accept": "application/json"}
        data = None
        if method != "GET":
            headers["Content-Type"] = "application/json"
            data = json.dumps(body or {}).encode()
        try:
            answer = Request().open(
                method,
                self.url + path,
                data=data,
                headers=headers,
                timeout=TIMEOUT,
                use_proxy=True,
                validate_certs=self._validate_certs,
                follow_redirects="none",
                http_agent="castai.onboarding",
            )
            return _parse(answer.read(), purpose), 0
        except HTTPError as error:
            return _rejected(error, method, path, purpose, self.url)
        except (URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            return CallFailed(f"Could not {purpose}: {self.url} did not answer ({reason})."), 0
        except ValueError as error:
            return CallFailed(f"Could not {purpose}: {error}"), -1


def _parse(raw: bytes, purpose: str) -> dict[str, Any]:
    if not raw.strip():
        return {}
    try:
        body = json.loads(raw)
    except ValueError:
        raise ValueError(
            "the answer is not JSON; is castai_api_url the address of the API, and is a proxy in between?"
        ) from None
    if not isinstance(body, dict):
        raise ValueError("the answer is not a JSON object.")
    return body


def _rejected(error: HTTPError, method: str, path: str, purpose: str, url: str) -> tuple[CallFailed, float]:
    try:
        body = json.loads(error.read() or b"{}")
    except (ValueError, OSError):
        body = {}
    body = body if isinstance(body, dict) else {}
    message = str(body.get("message") or error.reason or "")
    violations = "; ".join(
        f"{item.get('field')}: {item.get('description')}"
        for item in body.get("fieldViolations") or ()
        if isinstance(item, dict)
    )
    request_id = error.headers.get("X-Castai-Request-Id") if error.headers else None
    detail = "".join(
        [
            f"HTTP {error.code} {message}".rstrip(),
            f" ({violations})" if violations else "",
            f", request id {request_id}" if request_id else "",
        ]
    )
    advice = {
        401: " CAST AI does not know the API key: check castai_api_key and, for another region, castai_api_url.",
        403: " The API key may not do this: use a key with full access of the cluster's organisation.",
    }.get(error.code, "")
    failure = Rejected(f"Could not {purpose}: {method} {url}{path} answered {detail}.{advice}", error.code, message)
    if error.code in REPEAT_ALWAYS:
        return failure, _retry_after(error)
    return failure, 0 if error.code in REPEAT_READS else -1


def _retry_after(error: HTTPError) -> float:
    """Seconds of the Retry-After header, 0 to 60; an HTTP date counts as 1 (RFC 9110, 10.2.3)."""
    value = (error.headers.get("Retry-After") or "0") if error.headers else "0"
    return min(60.0, float(value)) if value.isdigit() else 1.0
