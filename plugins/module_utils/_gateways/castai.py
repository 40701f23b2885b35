# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CAST AI's REST API: verbs in, frozen values out. PRIVATE to the collection.

Paths, fields and errors: the published API description (https://api.cast.ai/v1/spec/openapi.json).
"""

from __future__ import annotations

import inspect
import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any, TypeVar
from urllib.error import HTTPError

from ansible.module_utils.urls import Request, SSLValidationError, make_context

from .. import _addresses
from .._answers import Odd, loaded, object_in, objects_in, some_objects, text_in, tidy
from .._engine import CallFailed, Conflict, Refused
from .._options import sendable
from .._patience import THROTTLED, Repeats, retry_after, throttled
from .._variables import named
from . import files, proxies, tls

T = TypeVar("T")

CLUSTERS = "/v1/kubernetes/external-clusters"
TIMEOUT = 60.0
PATIENCE = 60.0
"""For how many seconds, including tries and pauses, to repeat a call that CAST AI asks to repeat later."""

PATIENCE_PROPAGATION = 180.0
"""The same while AWS does not yet show new credentials to CAST AI."""

PATIENCE_UNANSWERED = 5.0
"""The same if nothing answers: a wrong address should not take a minute to be reported."""

LOOKS = 3
"""How often to check whether a write whose answer was lost was done."""

_SHARES = "context" in inspect.signature(Request.open).parameters
"""Whether connections can have one context. ansible-core 2.16 makes one for each."""

_NEVER_SENT = (ConnectionRefusedError, socket.gaierror)
"""Errors that mean that a call was certainly not made."""

LARGEST_ERROR = 2**24
"""How many bytes of a refusal are read at most."""


@dataclass(frozen=True)
class Cluster:
    """A cluster as CAST AI records it; texts are empty if not set."""

    id: str
    name: str
    provider: str
    status: str
    agent_status: str
    organization_id: str
    credentials_id: str
    reconcile_error: str
    facts: Mapping[str, str]
    """The texts in the provider block: accountId, region, clusterName, ..."""
    http_proxy: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The proxy of an AKS cluster's nodes, as it was handed over. It may have passwords."""

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Cluster:
        """Raises Odd if the answer has another shape."""
        provider = text_in(body, "providerType")
        block = object_in(body, provider)
        return cls(
            id=text_in(body, "id"),
            name=text_in(body, "name"),
            provider=provider,
            status=text_in(body, "status"),
            agent_status=text_in(body, "agentStatus"),
            organization_id=text_in(body, "organizationId"),
            credentials_id=text_in(body, "credentialsId"),
            reconcile_error=text_in(body, "reconcileError"),
            facts={key: tidy(value) for key, value in block.items() if isinstance(value, str)},
            http_proxy=object_in(block, "httpProxyConfig"),
        )

    @property
    def gone(self) -> bool:
        """Disconnected and cleaned up, or removed: the record is only history."""
        return self.status in ("archived", "deleted")

    @property
    def disconnected(self) -> bool:
        """Whether CAST AI no longer works with the cluster, so that its identity may be removed."""
        return self.gone or self.status == "failed" or not self.credentials_id


class Rejected(CallFailed):
    """CAST AI answered with a refusal.

    status: HTTP status; message: CAST AI's own sentence; field: the first field that it objects to. It is unsure if an
    earlier try of the same call got no answer, and may have been accepted.
    """

    def __init__(self, text: str, status: int, message: str, field: str = "") -> None:
        super().__init__(text, unsure=status >= 500)
        self.status = status
        self.message = message
        self.field = field

    @property
    def final(self) -> bool:
        """Whether CAST AI certainly did not do what it was asked."""
        return 400 <= self.status < 500 and not self.unsure

    @property
    def not_propagated(self) -> bool:
        """Whether CAST AI could not use the credentials, which happens for a while after AWS created them."""
        return (self.status, self.message, self.field) == (400, "Forbidden", "credentials")


def console_of(api_url: str) -> str:
    """Address of the console that belongs to an API, as https://console.cast.ai; empty for an API elsewhere."""
    return api_url.rstrip("/").replace("https://api.", "https://console.", 1) if "//api." in api_url else ""


class CastAi:
    """The API with one key. Threads may share it.

    ca_cert: path of the certificates that the address is checked against, empty for the system's.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        validate_certs: bool = True,
        ca_cert: str = "",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        wrong = _addresses.problem("castai_api_url", url)
        if wrong:
            raise Refused(wrong)
        if not api_key:
            raise Refused("castai_api_key is not set. Set it, or the environment variable CASTAI_API_KEY.")
        if not sendable(api_key):
            raise Refused("castai_api_key contains a space, line break or special character. Copy it again.")
        if validate_certs and not ca_cert:
            files.check_variables(*files.TRUST)
        self.url = url.rstrip("/")
        self._api_key = api_key
        self._validate_certs = validate_certs
        if ca_cert:
            files.load_certificates(ca_cert, "castai_ca_cert", "CAST AI", tls.empty())
        self._ca_cert = ca_cert
        self._sleep = sleep

    def with_key(self, api_key: str) -> CastAi:
        """The same API with another key."""
        return CastAi(self.url, api_key, self._validate_certs, self._ca_cert, self._sleep)

    def close(self) -> None:
        """Nothing is kept open between calls."""

    def list_clusters(self) -> tuple[Cluster, ...]:
        """All clusters of the key's organization; the endpoint has no paging and no filter."""
        return self._call("GET", CLUSTERS, "list the clusters", _clusters)

    def get_cluster(self, cluster_id: str) -> Cluster | None:
        try:
            return self._cluster("GET", f"{CLUSTERS}/{cluster_id}", f"read cluster {cluster_id}")
        except Rejected as answer:
            if answer.status == 404:
                return None
            raise

    def register_cluster(self, name: str, block: Mapping[str, Any]) -> Cluster:
        """Idempotent by the provider block: for an existing cluster, its id is returned.

        block: the provider's, under the provider's name; with the id if the cluster brings one, as kOps clusters do,
        and with organizationId if CAST AI is to refuse a key of another organization.
        """

        def registered() -> Cluster | None:
            return next((one for one in self.list_clusters() if _is_of(one, block)), None)

        purpose = f"register cluster {name}"
        return self._read_back(
            lambda: self._cluster("POST", CLUSTERS, purpose, {"name": name, **block}, registered), registered
        )

    def create_token(self, cluster_id: str) -> str:
        """Mint the cluster's own token; earlier ones may stop working. If the answer is lost, the token is lost and
        nobody has it."""
        purpose = f"create the token of cluster {cluster_id}"
        token = self._call("POST", f"{CLUSTERS}/{cluster_id}/token", purpose, lambda body: body.get("token"))
        if not isinstance(token, str) or not sendable(token):
            raise CallFailed(
                f"CAST AI's answer to the request for a token of cluster {cluster_id} contains no token.", unsure=True
            )
        return token

    def accepts(self, api_key: str, cluster_id: str) -> bool:
        """Whether the API lets this key read this cluster."""
        if not sendable(api_key):
            return False
        try:
            return self.with_key(api_key).get_cluster(cluster_id) is not None
        except Rejected as answer:
            if answer.status in (401, 403):
                return False
            raise

    def get_principal(self, cluster_id: str) -> str | None:
        """ARN of the AWS principal that CAST AI uses for this cluster, None if it has none yet."""
        path, purpose = f"{CLUSTERS}/{cluster_id}/assume-role-principal", "read CAST AI's AWS principal"
        try:
            return self._call("GET", path, purpose, lambda body: text_in(body, "arn")) or None
        except Rejected as answer:
            if answer.status == 404:
                return None
            raise

    def create_principal(self, cluster_id: str) -> str:
        """The ARN of the new principal. CAST AI answers HTTP 500 if there is one already, from a lost answer or
        another run."""
        path, purpose = f"{CLUSTERS}/{cluster_id}/assume-role-principal", "create CAST AI's AWS principal"

        def created() -> str | None:
            return self.get_principal(cluster_id)

        arn = self._read_back(
            lambda: self._call("POST", path, purpose, lambda body: text_in(body, "arn"), look=created), created
        )
        if not arn:
            text = f"CAST AI answered without the ARN of the AWS principal of cluster {cluster_id}."
            raise CallFailed(text, unsure=True)
        return arn

    def delete_principal(self, cluster_id: str) -> None:
        """Delete; success if it is already gone."""
        try:
            path = f"{CLUSTERS}/{cluster_id}/assume-role-principal"
            self._call("DELETE", path, "delete CAST AI's AWS principal", lambda body: None)
        except Rejected as answer:
            if answer.status != 404:
                raise

    def set_role(self, cluster_id: str, provider: str, arn: str) -> Cluster:
        """Hand a role over, in the provider's block.

        CAST AI tries the role, and the call is repeated while AWS does not show it everywhere yet.
        """
        return self.hand_over(cluster_id, {provider: {"assumeRoleArn": arn}})

    def set_key(self, cluster_id: str, key_id: str, secret: str) -> Cluster:
        """Hand an access key over, like set_role."""
        credentials = json.dumps({"accessKeyId": key_id, "secretAccessKey": secret})
        return self.hand_over(cluster_id, {"credentials": credentials})

    def create_service_account(self, cluster_id: str, provider: str, block: Mapping[str, str]) -> str:
        """E-mail address of CAST AI's account that will use a user's account; the same each time.

        block: the user's account, in the form for the provider's clusters.
        """
        body = {provider: dict(block)}
        path, purpose = f"{CLUSTERS}/{cluster_id}/{provider}-create-sa", "create CAST AI's service account"
        email = self._call("POST", path, purpose, lambda answer: text_in(answer, "serviceAccount"), body)
        if not email:
            text = f"CAST AI answered without its service account for cluster {cluster_id}."
            raise CallFailed(text, unsure=True)
        return email

    def disable_service_account(self, cluster_id: str, provider: str) -> None:
        """If the account is already gone, that is a success."""
        try:
            path = f"{CLUSTERS}/{cluster_id}/{provider}-disable-sa"
            self._call("POST", path, "disable CAST AI's service account", lambda body: None)
        except Rejected as answer:
            if answer.status != 404:
                raise

    def create_google_account(self, cluster_id: str, provider: str) -> str:
        """The number of the Google account as which CAST AI logs in to another cloud; the same whenever it is asked
        for."""
        path, purpose = f"{CLUSTERS}/{cluster_id}/gcp-create-sa", "create CAST AI's Google account"
        number = self._call("POST", path, purpose, lambda body: text_in(body, "serviceAccountId"), {provider: {}})
        if not number:
            text = f"CAST AI answered without the ID of its Google account for cluster {cluster_id}."
            raise CallFailed(text, unsure=True)
        return number

    def disable_google_account(self, cluster_id: str) -> None:
        """If the account is already gone, that is a success."""
        try:
            path = f"{CLUSTERS}/{cluster_id}/gcp-disable-sa"
            self._call("POST", path, "disable CAST AI's Google account", lambda body: None)
        except Rejected as answer:
            if answer.status != 404:
                raise

    def get_google_account(self, provider: str) -> str:
        """The number of the Google account as which CAST AI logs in for clusters of this organization. A read, although
        it is a POST."""
        path, purpose = f"{CLUSTERS}/impersonation-service-account", "read CAST AI's Google account"
        return self._call("POST", path, purpose, lambda body: text_in(body, "id"), {"provider": provider})

    def hand_over(self, cluster_id: str, body: Mapping[str, Any], patience: float = PATIENCE_PROPAGATION) -> Cluster:
        """Hand credentials over. body: in the form for the provider's clusters; patience: seconds in which their cloud
        may not show the credentials yet.
        """
        waited, pause, unsure = 0.0, 1.0, False
        while True:
            try:
                return self._cluster("POST", f"{CLUSTERS}/{cluster_id}", "hand the credentials over to CAST AI", body)
            except Rejected as answer:
                answer.unsure = unsure = unsure or answer.unsure
                if not answer.not_propagated or waited > patience:
                    raise
                self._sleep(pause)
                waited, pause = waited + pause, min(15.0, pause * 1.5)

    def _cluster(
        self,
        method: str,
        path: str,
        purpose: str,
        body: Mapping[str, Any] | None = None,
        look: Callable[[], Cluster | None] | None = None,
    ) -> Cluster:
        cluster = self._call(method, path, purpose, Cluster.parse, body, look)
        if not cluster.id:
            raise CallFailed(
                f"Could not {purpose}: {self.url} sent an answer without a cluster ID. Run again.",
                unsure=method != "GET",
            )
        return cluster

    def _read_back(self, write: Callable[[], T], look: Callable[[], T | None]) -> T:
        """Write something that can only exist once. If CAST AI says that it exists, or fails as it does in that
        case, another run was first, or an answer was lost. Raises Conflict if it is not visible yet."""
        try:
            return write()
        except Rejected as answer:
            if answer.status not in (409, 500):
                raise
            refusal = answer
        for turn in range(LOOKS):
            found = _if_readable(look)
            if found is not None:
                return found
            if turn < LOOKS - 1:
                self._sleep(1.0)
        if refusal.status == 409:
            raise Conflict(str(refusal))
        refusal.unsure = True
        raise refusal

    def _call(
        self,
        method: str,
        path: str,
        purpose: str,
        read: Callable[[Mapping[str, Any]], T],
        body: Mapping[str, Any] | None = None,
        look: Callable[[], T | None] | None = None,
    ) -> T:
        """One call, repeated while the answer says that the failure is temporary.

        read: takes the result from the answer, and raises Odd if it cannot. look: for a POST that must not be repeated:
        what it would have returned if it was done, else None; used if an answer was lost. Every other POST may be
        repeated (see the verbs).
        """
        repeats, unsure = Repeats(1.0, 20.0, self._sleep), False
        while True:
            try:
                return read(self._once(method, path, purpose, body))
            except Odd as odd:
                raise CallFailed(
                    f"Could not {purpose}: {self.url} returned an answer that does not match the API: {odd}. Check"
                    " castai_api_url, and whether a proxy answered instead.",
                    unsure=method != "GET",
                ) from odd
            except Rejected as answer:
                answer.unsure = answer.unsure or unsure
                raise
            except _Passing as passing:
                unsure = unsure or (method != "GET" and (passing.lost or passing.failure.unsure))
                passing.failure.unsure = unsure
                if passing.lost and look:
                    found = _if_readable(look)
                    if found is not None:
                        return found
                if not repeats.wait(passing.patience, passing.after):
                    raise passing.failure from passing

    def _once(self, method: str, path: str, purpose: str, body: Mapping[str, Any] | None) -> Mapping[str, Any]:
        headers = {"X-API-Key": self._api_key, "Accept": "application/json"}
        shared = _SHARES and self._validate_certs and not self._ca_cert
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
                validate_certs=self._validate_certs,
                ca_path=self._ca_cert or None,
                follow_redirects="none",
                http_agent="castai.onboarding",
                **({"context": tls.shared(make_context)} if shared else {}),
            )
            return _parse(answer.read())
        except SSLValidationError as error:
            raise CallFailed(f"Could not {purpose}: {tidy(str(error))}") from error
        except HTTPError as error:
            raise _rejection(error, method, path, purpose, self.url) from error
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            said = tidy(getattr(reason, "strerror", None) or str(reason))
            way = proxies.way_to(self.url, os.environ)
            failure = CallFailed(f"Could not {purpose}: {self.url} did not answer{way} ({said}).{_of_proxy(said)}")
            raise _Passing(failure, 0, PATIENCE_UNANSWERED, lost=not isinstance(reason, _NEVER_SENT)) from error
        except ValueError as error:
            raise CallFailed(f"Could not {purpose}: {tidy(str(error))}", unsure=method != "GET") from error


def read_ahead() -> None:
    """Read the system's certificates now, for all processes that fork from this one."""
    if _SHARES:
        tls.shared(make_context)


def by_options(params: Mapping[str, Any]) -> CastAi:
    """The API, according to the module's options. Makes no call."""
    proxy = proxies.of_environment(params["castai_api_url"], os.environ)
    if proxy and proxy.scheme != "http":
        raise Refused(
            f"HTTPS_PROXY is a proxy with scheme {proxy.scheme}://, but CAST AI is only reached through one with"
            f" http://. Set it to such a proxy, or add the host of {named('castai_api_url')} to NO_PROXY."
        )
    return CastAi(
        params["castai_api_url"],
        params.get("castai_api_key") or "",
        params["castai_validate_certs"],
        params.get("castai_ca_cert") or "",
    )


class _Passing(Exception):
    """A failure that may be temporary.

    failure: what to raise if it is not; after: seconds that CAST AI asks to wait, or 0; patience: seconds to wait in
    all; lost: whether the call may have been done all the same.
    """

    def __init__(self, failure: CallFailed, after: float, patience: float, lost: bool = False) -> None:
        super().__init__(str(failure))
        self.lost = lost
        self.failure = failure
        self.after = after
        self.patience = patience


def _of_proxy(said: str) -> str:
    """What to do about a proxy that blocks the connection, after a blank, or an empty text."""
    if "Tunnel connection failed: 407" in said:
        return " Put USER:PASSWORD@ before the proxy's name in HTTPS_PROXY, with special characters as %XX."
    if "Tunnel connection failed: 4" in said:
        return " Allow this address in the proxy of HTTPS_PROXY, or add its host to NO_PROXY."
    return ""


def _parse(raw: bytes) -> Mapping[str, Any]:
    if not raw.strip():
        return {}
    try:
        body = loaded(raw)
    except Odd:
        raise ValueError(
            "the answer is not JSON. Check castai_api_url, and whether a proxy answered instead."
        ) from None
    if not isinstance(body, dict):
        raise ValueError("the answer is not a JSON object.")
    return body


def _clusters(body: Mapping[str, Any]) -> tuple[Cluster, ...]:
    return tuple(Cluster.parse(item) for item in objects_in(body, "items"))


def _is_of(cluster: Cluster, block: Mapping[str, Any]) -> bool:
    """Whether registering with this block created the record."""
    facts = block.get(cluster.provider)
    if cluster.gone or not isinstance(facts, Mapping) or not facts:
        return False
    return cluster.id == block.get("id") or facts.items() <= cluster.facts.items()


def _if_readable(look: Callable[[], T | None]) -> T | None:
    """The current state, or None if it cannot be read: then the earlier failure is reported."""
    try:
        return look()
    except CallFailed:
        return None


def _rejection(error: HTTPError, method: str, path: str, purpose: str, url: str) -> Exception:
    """What to raise for an answer other than success: Rejected, or _Passing with it."""
    body = _error_body(error)
    message = tidy(body.get("message")) or tidy(str(error.reason or ""))
    objections = [
        (tidy(str(item.get("field"))), item.get("description")) for item in some_objects(body.get("fieldViolations"))
    ]
    violations = tidy("; ".join(f"{field}: {tidy(str(description))}" for field, description in objections[:20]))
    asked = retry_after(error.headers.get("Retry-After"))
    request_id = tidy(error.headers.get("X-Castai-Request-Id") or "", 100)
    details = (f" ({violations})" if violations else "") + (f", request ID {request_id}" if request_id else "")
    advice = {
        401: (
            " CAST AI does not recognize the API key. Check castai_api_key or, if it is not set, the environment"
            " variable CASTAI_API_KEY, and castai_api_url if you use another region."
        ),
        403: " The API key is not allowed to do this. Use a key with full access to the cluster's organization.",
        429: throttled("CAST AI limits how often this API key may call", asked),
    }.get(error.code, "")
    failure = Rejected(
        f"Could not {purpose}: {method} {url}{path} answered HTTP {error.code} {message}{details}.{advice}",
        error.code,
        message,
        objections[0][0] if objections else "",
    )
    if error.code == 429:
        return _Passing(failure, asked, THROTTLED)
    if error.code in (502, 503, 504) or (error.code == 500 and method == "GET"):
        return _Passing(failure, asked, PATIENCE, lost=error.code != 503)
    return failure


def _error_body(error: HTTPError) -> Mapping[str, Any]:
    try:
        body = loaded(error.read(LARGEST_ERROR) or b"{}")
    except (ValueError, OSError, HTTPException):
        return {}
    return body if isinstance(body, dict) else {}
