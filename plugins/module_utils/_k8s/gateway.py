# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kubernetes: the only importer of the kubernetes client. PRIVATE to the collection.

The client reads kubeconfigs (exec plugins included) and makes the TLS connection; requests and answers stay plain JSON,
so that an old client meets a new API server, and the reverse, without losing fields.
"""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable
from urllib.parse import urlencode
from urllib.request import getproxies

from .._engine import CallFailed, Conflict, Refused
from .._options import sendable
from .._workplace import workplace

try:
    import kubernetes.client
    import kubernetes.config
    import urllib3

    MISSING = ""
except ImportError as error:
    MISSING = str(error)

CONNECT_TIMEOUT = 5.0
TIMEOUT = 30.0
TOKEN_SECONDS = 600.0
"""Age at which a signed token is renewed; EKS takes it for 900 s."""
TRIES = 5
FIELD_MANAGER = "castai-onboarding"
Object = dict[str, Any]

_CLUSTER_WIDE = frozenset(
    {
        "APIService",
        "CSIDriver",
        "CSINode",
        "CertificateSigningRequest",
        "ClusterRole",
        "ClusterRoleBinding",
        "ComponentStatus",
        "CustomResourceDefinition",
        "DeviceClass",
        "FlowSchema",
        "IPAddress",
        "IngressClass",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "ResourceSlice",
        "RuntimeClass",
        "SelfSubjectAccessReview",
        "SelfSubjectReview",
        "SelfSubjectRulesReview",
        "ServiceCIDR",
        "StorageClass",
        "SubjectAccessReview",
        "TokenReview",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeAttachment",
        "VolumeAttributesClass",
    }
)


class Rejected(CallFailed):
    """The API server answered, and the answer is no.

    status: HTTP status; message: the API server's own sentence.
    """

    def __init__(self, text: str, status: int, message: str) -> None:
        super().__init__(text)
        self.status = status
        self.message = message


def path_of(api_version: str, kind: str, name: str | None, namespace: str | None) -> str:
    """The REST path of a built-in object, or of its collection where name is None.

    api_version: "v1", "apps/v1"; kind: "Deployment".
    """
    root = "/api/v1" if api_version == "v1" else f"/apis/{api_version}"
    scope = f"/namespaces/{namespace}" if namespace and kind not in _CLUSTER_WIDE else ""
    return f"{root}{scope}/{_plural(kind.lower())}" + (f"/{name}" if name else "")


def _plural(kind: str) -> str:
    """Kubernetes' plurals are English ones; Endpoints is the only kind that is a plural itself."""
    if kind == "endpoints":
        return kind
    if kind.endswith("s"):
        return f"{kind}es"
    if kind.endswith("y"):
        return f"{kind[:-1]}ies"
    return f"{kind}s"


class Kubernetes:
    """One API server with one set of credentials. Threads may share it.

    configuration: the client's own; ca_pem: certificates to check the server against, where they are not in the
    configuration; sign: gives a fresh Authorization header, for credentials that age; files: what to close with it.
    """

    def __init__(
        self,
        configuration: Any,
        ca_pem: str = "",
        sign: Callable[[], str] | None = None,
        files: contextlib.ExitStack | None = None,
    ) -> None:
        self._configuration = configuration
        self._files = files or contextlib.ExitStack()
        self._ca_pem = ca_pem
        self._pool = kubernetes.client.ApiClient(configuration).rest_client.pool_manager
        if ca_pem:
            # The client takes certificates as text only since release 37; urllib3 always did.
            self._pool.connection_pool_kw["ca_cert_data"] = ca_pem
        self._sign = sign
        self._signed, self._signed_at = "", -TOKEN_SECONDS

    @property
    def host(self) -> str:
        return str(self._configuration.host)

    def ca_pem(self) -> str:
        """The certificates the connection is checked against; empty where the system's are, or where nothing is."""
        if not self._configuration.verify_ssl:
            return ""
        path = self._configuration.ssl_ca_cert
        return self._ca_pem or (Path(path).read_text(encoding="utf-8") if path else "")

    def close(self) -> None:
        """Drop the connections, and the files the client made of a kubeconfig's inline certificates and keys."""
        self._pool.clear()
        self._files.close()

    def get(self, path: str, **query: str) -> Object | None:
        """One object or list as the API server has it, or None."""
        try:
            return self._send("GET", path, query)
        except Rejected as answer:
            if answer.status == 404:
                return None
            raise

    def create(self, path: str, body: Object) -> Object:
        """POST to a collection. Raises Conflict when the object exists."""
        return self._send("POST", path, {"fieldManager": FIELD_MANAGER}, body)

    def replace(self, path: str, body: Object) -> Object:
        """PUT with the body's resourceVersion. Raises Conflict when somebody wrote since it was read."""
        return self._send("PUT", path, {"fieldManager": FIELD_MANAGER}, body)

    def patch(self, path: str, body: Object) -> Object:
        """JSON merge patch (RFC 7386); a resourceVersion in it is a precondition. Raises Conflict."""
        return self._send("PATCH", path, {"fieldManager": FIELD_MANAGER}, body, "application/merge-patch+json")

    def delete(self, path: str, body: Object | None = None) -> None:
        """Delete; gone already is success."""
        try:
            self._send("DELETE", path, {}, body)
        except Rejected as answer:
            if answer.status != 404:
                raise

    def can(self, verb: str, group: str, resource: str, namespace: str = "") -> bool:
        """Whether these credentials may do verb on resource, by SelfSubjectAccessReview (writes nothing)."""
        review = self._send(
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            {},
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {
                    "resourceAttributes": {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
                },
            },
        )
        return bool((review.get("status") or {}).get("allowed"))

    def version(self) -> tuple[int, int]:
        """Major and minor of the API server."""
        body = self._send("GET", "/version", {})
        minor = "".join(c for c in str(body.get("minor", "0")) if c.isdigit())
        return int(body.get("major") or 0), int(minor or 0)

    def kubeconfig(self) -> str:
        """A kubeconfig (JSON is YAML) with this connection, for a program that needs a file. Secret."""
        configuration = self._configuration
        cluster: Object = {"server": self.host}
        if not configuration.verify_ssl:
            cluster["insecure-skip-tls-verify"] = True
        elif self.ca_pem():
            cluster["certificate-authority-data"] = base64.b64encode(self.ca_pem().encode()).decode()
        server_name = getattr(configuration, "tls_server_name", None)  # newer releases of the client know it
        if server_name:
            cluster["tls-server-name"] = server_name
        # Helm goes by the environment itself, where what goes past the proxy is said too.
        if configuration.proxy and configuration.proxy not in getproxies().values():
            cluster["proxy-url"] = configuration.proxy
        user: Object = {}
        if configuration.cert_file:
            user = {"client-certificate": configuration.cert_file, "client-key": configuration.key_file}
        scheme, _blank, credential = self._authorization(fresh=True).partition(" ")
        if scheme == "Basic":
            name, _colon, password = base64.b64decode(credential).decode("latin-1").partition(":")
            user |= {"username": name, "password": password}
        elif credential:
            user["token"] = credential
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "castai",
                "clusters": [{"name": "castai", "cluster": cluster}],
                "users": [{"name": "castai", "user": user}],
                "contexts": [{"name": "castai", "context": {"cluster": "castai", "user": "castai"}}],
            }
        )

    def _authorization(self, fresh: bool = False) -> str:
        if self._sign is None:
            return _header(self._configuration)
        if fresh or time.monotonic() - self._signed_at > TOKEN_SECONDS:
            self._signed, self._signed_at = self._sign(), time.monotonic()
        return self._signed

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Object | None = None,
        content: str = "application/json",
    ) -> Object:
        url = self.host.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
        for attempt in range(1, TRIES + 1):
            status, answer = self._once(method, url, body, content)
            if status == 401 and attempt == 1 and self._sign:
                self._signed_at = -TOKEN_SECONDS
            elif attempt == TRIES or not (status == 429 or (method == "GET" and status in (0, 500, 502, 503, 504))):
                break
            else:
                time.sleep(0.2 * 2**attempt)
        if 200 <= status < 300:
            return answer
        message = str(answer.get("message") or f"HTTP {status}").rstrip(".")
        text = f"{method} {path} at {self.host}: {message}"
        if status == 409:
            raise Conflict(f"{text}.")
        if status == 0:
            raise CallFailed(
                f"Kubernetes API server {self.host} did not answer: {message}. Is it reachable from where this runs?"
            )
        advice = {
            401: " The API server does not know these credentials.",
            403: " These credentials may not do this.",
        }.get(status, "")
        raise Rejected(f"{text}.{advice}", status, message)

    def _once(self, method: str, url: str, body: Object | None, content: str) -> tuple[int, Object]:
        """HTTP status and parsed body; status 0 and a message where there was no answer."""
        headers = {"Accept": "application/json", "User-Agent": "castai.onboarding"}
        authorization = self._authorization()
        if authorization:
            if not sendable(authorization.partition(" ")[2]):
                raise Refused(f"The token for {self.host} has a blank, line break or special character in it.")
            headers["Authorization"] = authorization
        if body is not None:
            headers["Content-Type"] = content
        try:
            answer = self._pool.request(
                method,
                url,
                headers=headers,
                body=None if body is None else json.dumps(body),
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=TIMEOUT),
                retries=False,
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            return 0, {"message": str(error)}
        try:
            parsed = json.loads(answer.data)
        except ValueError:
            parsed = None
        if isinstance(parsed, dict):
            return answer.status, parsed
        text = answer.data[:200].decode(errors="replace").strip()
        if 200 <= answer.status < 300:
            raise CallFailed(f"What answers at {self.host} is no Kubernetes API server: it says {text!r}.")
        return answer.status, {"message": f"HTTP {answer.status} {text}".strip()}


def by_kubeconfig(path: str, context: str | None) -> Kubernetes:
    """By a kubeconfig file and a context of it (its current one where context is None)."""
    _need_client()
    configuration = kubernetes.client.Configuration()
    files = contextlib.ExitStack()
    # Keys are written there, and a run that is killed leaves them.
    folder = files.enter_context(workplace("kubeconfig")).path
    files.callback(kubernetes.config.kube_config._cleanup_temp_files)
    problem = ""
    try:
        kubernetes.config.load_kube_config(
            config_file=path,
            context=context,
            client_configuration=configuration,
            persist_config=False,
            temp_file_path=str(folder),
        )
    except Exception as error:  # the client lets through whatever YAML of another shape makes it run into
        problem = str(error).rstrip(".")
    else:
        if not configuration.host:
            problem = "its cluster has no server"
        elif not (configuration.api_key or configuration.cert_file):
            # A command that fails is only logged by the client.
            problem = "it gives no credentials: its user has none, or the command that prints them failed"
    if problem:
        files.close()
        raise Refused(
            f"kubeconfig {path!r}, context {context or '(current)'}: {problem}. Check kubeconfig and context."
        )
    sign = None
    if configuration.refresh_api_key_hook is not None:

        def sign() -> str:
            # This runs the kubeconfig's command again once its token has expired.
            return _header(configuration)

    return Kubernetes(configuration, sign=sign, files=files)


def by_token(
    host: str, token: str | None, ca_pem: str, validate_certs: bool, sign: Callable[[], str] | None = None
) -> Kubernetes:
    """By address and bearer token, or by a function that signs one. ca_pem: empty for the system's certificates."""
    _need_client()
    if not host.startswith("https://"):
        raise Refused(f"host is {host!r}: give the API server's address, starting with https://.")
    configuration = kubernetes.client.Configuration()
    configuration.host = host
    configuration.verify_ssl = validate_certs
    if token:
        configuration.api_key = {"authorization": f"Bearer {token}"}
    return Kubernetes(configuration, ca_pem, sign and (lambda: f"Bearer {sign()}"))


def _header(configuration: Any) -> str:
    """The Authorization header of a configuration, or an empty text: Bearer and a token, or Basic and a password.

    Releases of the client keep it under different names, but all show it here.
    """
    return str((configuration.auth_settings().get("BearerToken") or {}).get("value") or "")


def _need_client() -> None:
    if MISSING:
        raise Refused(f"The Python package kubernetes is needed where this runs: {MISSING}. Install kubernetes.")
