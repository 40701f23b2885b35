# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kubernetes: the only place that talks to an API server. PRIVATE to the collection.

Requests and answers are plain JSON over urllib3, so that no field is lost between an old collection and a new API
server, or the reverse. The releases of the kubernetes client differ in TLS, proxies and kubeconfigs, so these are
handled here (tls.py, proxies.py, kubeconfig.py). The client is only asked for a token, and only for a kubeconfig with
an auth-provider.
"""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from .. import _addresses
from .._answers import Odd, loaded, tidy
from .._credentials import MASK, SECRET_VARIABLE, SHORTEST, masked, quoted, without
from .._engine import AT_ONCE, CallFailed, Conflict, Refused
from .._given import readable
from .._options import sendable
from .._patience import THROTTLED, Repeats, retry_after, throttled
from .._variables import named
from . import kubeconfig, proxies, tls
from .kubeconfig import Server, Wrong

try:
    import urllib3

    MISSING = ""
except ImportError as error:
    MISSING = str(error)

CONNECT_TIMEOUT = 5.0
TIMEOUT = 30.0
TOKEN_SECONDS = 600.0
"""Age at which a signed token is renewed; EKS accepts it for 900 s."""
TRIES = 5
NO_NAME, REFUSED, TIMED_OUT = -1, -2, -3
"""Reasons for no answer, used in place of an HTTP status by whoever says what to do about them."""
COMMAND_SECONDS = 60.0
"""How long a kubeconfig's program may take to print credentials."""
_TRUST_HOST = f"Set {named('ca_cert')} to a file with the CA certificates of this API server"
_TRUST_KUBECONFIG = f"Set certificate-authority-data in the kubeconfig, or {_TRUST_HOST[0].lower()}{_TRUST_HOST[1:]}"
_TRUST_PROVIDER = (
    "The cluster has another authority at its provider, so a proxy may terminate TLS in between: exempt this address"
    f" from the proxy, or set {named('ca_cert')} to a file with the proxy's CA certificates"
)
_TRUST_PROXY = "Add the CA certificates of the proxy to the system's, or set SSL_CERT_FILE to a file that contains them"
DENIED = ("denied the request", "denied request")
"""Parts of refusals by admission webhooks and ValidatingAdmissionPolicies."""
_OF_USER = re.compile(r"\buser \"", re.IGNORECASE)
"""What a refusal for a missing permission names."""
FIELD_MANAGER = "castai-onboarding"
DRY_RUNS = (1, 18)
"""The version of Kubernetes with which dry runs became generally available."""
Object = dict[str, Any]

_OBJECTS = ("metadata", "spec", "status", "data", "binaryData")
_MAPS = ("labels", "annotations")
_TEXTS = ("name", "namespace", "uid", "resourceVersion", "deletionTimestamp")
"""The fields that have the same shape in every object."""

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
    """The API server answered with a refusal.

    status: HTTP status; message: the API server's own sentence.
    """

    def __init__(self, text: str, status: int, message: str) -> None:
        super().__init__(text)
        self.status = status
        self.message = message

    @property
    def by_admission(self) -> bool:
        """Whether a webhook, a policy or a quota refused, or a namespace that is being deleted: not because of these
        credentials."""
        return any(said in self.message for said in DENIED) or bool(
            self.status == 403 and " is forbidden: " in self.message and not _OF_USER.search(self.message)
        )


def admission_problem(attempt: Callable[[], Any]) -> str:
    """Why the cluster would refuse a write whatever the credentials, as a sentence; otherwise an empty text.

    attempt: does it as a dry run, for which credentials that only read lack the permission.
    """
    try:
        attempt()
    except Rejected as answer:
        return str(answer) if answer.by_admission else ""
    except CallFailed:
        pass
    return ""


def path_of(api_version: str, kind: str, name: str | None, namespace: str | None) -> str:
    """The REST path of a built-in object, or of its collection if name is None.

    api_version: "v1", "apps/v1"; kind: "Deployment".
    """
    root = "/api/v1" if api_version == "v1" else f"/apis/{api_version}"
    scope = f"/namespaces/{namespace}" if namespace and kind not in _CLUSTER_WIDE else ""
    return f"{root}{scope}/{_plural(kind.lower())}" + (f"/{name}" if name else "")


def _plural(kind: str) -> str:
    """Kubernetes' plurals are the English ones; only the kind Endpoints is a plural itself."""
    if kind == "endpoints":
        return kind
    if kind.endswith("s"):
        return f"{kind}es"
    if kind.endswith("y"):
        return f"{kind[:-1]}ies"
    return f"{kind}s"


class Kubernetes:
    """One API server with one set of credentials. Threads may share it.

    authorization: the header's value, empty if there is only a client certificate; sign: returns a fresh one, for
    credentials that expire; trust: what to do if nobody who is trusted signed the server's certificate; advice: what
    to do about its answers, sentences after a blank, by HTTP status or cause of no answer, 0 for any other; forget:
    told a token that was refused, so that sign returns another.
    """

    def __init__(
        self,
        server: Server,
        authorization: str = "",
        sign: Callable[[], str] | None = None,
        trust: str = "",
        advice: Mapping[int, str] | None = None,
        forget: Callable[[str], None] | None = None,
    ) -> None:
        self._server = server
        self._proxy = server.proxy or proxies.of_environment(server.url, os.environ)
        self._pool = _pool(server, self._proxy)
        self._trust = trust
        self._advice = advice or {}
        self._sign, self._forget = sign, forget
        self._signed, self._signed_at = authorization, time.monotonic() if authorization else -TOKEN_SECONDS

    @property
    def host(self) -> str:
        return self._server.url

    def ca_pem(self) -> str:
        """The certificates that the connection is checked against; empty for the system's, or if nothing is checked."""
        return self._server.ca_pem if self._server.validate_certs else ""

    @property
    def verified(self) -> bool:
        """Whether the server's certificate is verified, against whatever authorities."""
        return self._server.validate_certs

    def advise(self, advice: Mapping[int, str]) -> None:
        """Say what to do about its answers, as for the constructor."""
        self._advice = advice

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def get(self, path: str, **query: str) -> Object | None:
        """One object or list as the API server has it, or None."""
        try:
            return self._send("GET", path, query)
        except Rejected as answer:
            if answer.status == 404:
                return None
            raise

    def create(self, path: str, body: Object, dry_run: bool = False) -> Object:
        """POST to a collection. Raises Conflict when the object exists."""
        return self._send("POST", path, _writing(dry_run), body)

    def replace(self, path: str, body: Object) -> Object:
        """PUT with the body's resourceVersion. Raises Conflict if somebody wrote after it was read."""
        return self._send("PUT", path, _writing(), body)

    def patch(self, path: str, body: Object, dry_run: bool = False) -> Object:
        """JSON merge patch (RFC 7386); a resourceVersion in it is a precondition. Raises Conflict."""
        return self._send("PATCH", path, _writing(dry_run), body, "application/merge-patch+json")

    def delete(self, path: str, body: Object | None = None) -> None:
        """Delete; success if it is already gone."""
        try:
            self._send("DELETE", path, {}, body)
        except Rejected as answer:
            if answer.status != 404:
                raise

    def try_to_delete(self, path: str) -> None:
        """What a DELETE would be answered, by a dry run: nothing is deleted."""
        self._send("DELETE", path, {"dryRun": "All"})

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
        status = review.get("status")
        return isinstance(status, dict) and status.get("allowed") is True

    def version(self) -> tuple[int, int]:
        """Major and minor of the API server."""
        body = self._send("GET", "/version", {})
        return _number(body.get("major")), _number(body.get("minor"))

    def has_dry_runs(self) -> bool:
        """Whether the API server has dry runs. Old ones ignore that they are asked for one, and write."""
        try:
            return self.version() >= DRY_RUNS
        except CallFailed:
            return False

    def kubeconfig(self) -> str:
        """A kubeconfig (JSON is YAML) with this connection, for a program that needs a file. Secret."""
        return kubeconfig.write(self._server, self._authorization(fresh=True))

    def token(self) -> str:
        """The current bearer token of credentials that expire; empty for others. Secret."""
        scheme, _blank, token = self._authorization().partition(" ") if self._sign else ("", "", "")
        return token if scheme == "Bearer" else ""

    def _authorization(self, fresh: bool = False) -> str:
        if self._sign and (fresh or time.monotonic() - self._signed_at > TOKEN_SECONDS):
            self._signed, self._signed_at = self._sign(), time.monotonic()
        return self._signed

    def _renew(self, refused: str) -> None:
        """Sign again before the next call, unless another thread has. refused: the header's value."""
        if self._forget:
            self._forget(refused.partition(" ")[2])
        if refused == self._signed:
            self._signed_at = -TOKEN_SECONDS

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Object | None = None,
        content: str = "application/json",
    ) -> Object:
        url = self.host.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
        repeats, attempt, reads = Repeats(0.5, 5.0), 0, method == "GET" or "dryRun" in query
        while True:
            attempt += 1
            authorization = self._authorization()
            status, answer, asked = self._once(method, url, authorization, body, content)
            if status == 401 and attempt == 1 and self._sign:
                self._renew(authorization)
            elif not self._passes(reads, status, asked, attempt) or not repeats.wait(THROTTLED, asked):
                break
        if 200 <= status < 300:
            odd = _odd_in(answer)
            if odd:
                raise CallFailed(
                    f"{self.host} does not look like a Kubernetes API server: in its answer to {method} {path}, {odd}.",
                    unsure=not reads,
                )
            return answer
        message = (tidy(answer.get("message")) or f"HTTP {status}").rstrip(".")
        text = f"{method} {path} at {self.host}: {message}"
        if status == 409:
            raise Conflict(f"{text}.")
        if status == 0:
            way = f" through proxy {self._proxy.url}" if self._proxy else ""
            raise CallFailed(
                f"Kubernetes API server {self.host} did not answer{way}: {message}. Check that it is reachable from"
                f" this machine.{self._advice.get(answer['cause'], self._advice.get(0, ''))}",
                unsure=not reads and not answer.get("neverSent"),
            )
        raise Rejected(f"{text}.{self._what_to_do(Rejected(text, status, message), asked)}", status, message)

    def _what_to_do(self, answer: Rejected, asked: float) -> str:
        """About a refusal, as sentences after a blank."""
        status = answer.status
        if any(said in answer.message for said in DENIED):
            return (
                " This is a policy of the cluster, not a missing permission: change it, or exempt this object from it."
            )
        if answer.by_admission:
            return ""
        return {
            401: " The API server does not recognize these credentials.",
            403: " These credentials are not allowed to do this.",
            429: throttled("The API server limits how often it may be called", asked),
        }.get(status, "") + self._advice.get(status, "")

    @staticmethod
    def _passes(reads: bool, status: int, asked: float, attempt: int) -> bool:
        """Whether another try may help. A write is only repeated if the server says that it did not accept it: 429
        comes from API Priority and Fairness, and 503 with a time to wait from a server that starts or stops."""
        if status == 429 or (status == 503 and asked):
            return True
        return attempt < TRIES and reads and status in (0, 500, 502, 503, 504)

    def _once(
        self, method: str, url: str, authorization: str, body: Object | None, content: str
    ) -> tuple[int, Object, float]:
        """HTTP status, parsed body, and the seconds that the server asks to wait; status 0 and a message if there
        was no answer."""
        headers = {"Accept": "application/json", "User-Agent": "castai.onboarding"}
        if authorization:
            if not sendable(authorization.partition(" ")[2]):
                raise Refused(
                    f"The token for {self.host} contains a space, line break or special character. Copy it again."
                )
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
            return 0, {"message": self._problem(error), "neverSent": _never_sent(error), "cause": _cause(error)}, 0.0
        asked = retry_after(answer.headers.get("Retry-After"))
        try:
            parsed = loaded(answer.data)
        except Odd:
            parsed = None
        if isinstance(parsed, dict):
            return answer.status, parsed, asked
        text = tidy(answer.data[:4000].decode(errors="replace"), 200)
        if 200 <= answer.status < 300:
            raise CallFailed(
                f"{self.host} does not look like a Kubernetes API server. It answered: {text!r}", unsure=method != "GET"
            )
        return answer.status, {"message": f"HTTP {answer.status} {text}".strip()}, asked

    def _problem(self, error: Exception) -> str:
        """Why there was no answer, as a clause. Raises CallFailed if another try would not help."""
        trust = {self.host: self._trust}
        if self._proxy:
            trust[self._proxy.url] = _TRUST_PROXY
        sentence = tls.problem(error, trust)
        if not sentence and self._proxy:
            sentence = _refused_by(self._proxy, self.host, error)
        if sentence:
            raise CallFailed(sentence) from error
        reasons = [cause.strerror for cause in tls.causes(error) if isinstance(cause, OSError) and cause.strerror]
        return reasons[0] if reasons else str(error)


def _writing(dry_run: bool = False) -> dict[str, str]:
    """The query of a write. A dry run is answered as the write would be, and changes nothing."""
    return {**({"dryRun": "All"} if dry_run else {}), "fieldManager": FIELD_MANAGER}


def _odd_in(answer: Object) -> str:
    """Which part of an answer has a shape that no object or list of Kubernetes has, as a clause; empty if none does.

    Code that reads single fields relies on this; what is below them differs from kind to kind.
    """
    if answer.get("kind") == "Status":
        return ""
    items = answer.get("items")
    if items is not None and not (isinstance(items, list) and all(isinstance(item, dict) for item in items)):
        return "items is not a list of objects"
    for one in (answer, *(items or ())):
        metadata = one.get("metadata")
        for field in _OBJECTS:
            if one.get(field) is not None and not isinstance(one[field], dict):
                return f"{field} is not an object"
        for field in _MAPS:
            held = (metadata or {}).get(field)
            if held is not None and not _is_map(held):
                return f"metadata.{field} is not a map of strings"
        if any((metadata or {}).get(field) is not None and not isinstance(metadata[field], str) for field in _TEXTS):
            return "metadata has another field that is not text"
    return ""


def _is_map(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _never_sent(error: Exception) -> bool:
    """Whether a request certainly did not reach the server."""
    kinds = (urllib3.exceptions.ConnectTimeoutError, urllib3.exceptions.NewConnectionError)
    return any(isinstance(cause, kinds) for cause in tls.causes(error))


def _cause(error: Exception) -> int:
    """Why there is no answer, 0 if none of the three is the cause."""
    # A connection that failed at once is a timeout to urllib3 as well, so that comes last.
    kinds: dict[int, Any] = {
        NO_NAME: socket.gaierror,
        REFUSED: ConnectionRefusedError,
        TIMED_OUT: (TimeoutError, urllib3.exceptions.TimeoutError),
    }
    return next((kind for kind, of in kinds.items() if any(isinstance(one, of) for one in tls.causes(error))), 0)


def _number(text: Any) -> int:
    """The number in a version such as 1 or 36+; 0 if there is none."""
    found = re.match(r"[0-9]{1,6}", str(text or ""))
    return int(found[0]) if found else 0


def by_kubeconfig(path: str, context: str | None, ca_pem: str = "", validate_certs: bool = True) -> Kubernetes:
    """Connect by a kubeconfig file and a context in it (the current one if context is None).

    ca_pem, validate_certs: replace what the kubeconfig says, if they are not the defaults.
    """
    _need_urllib3()
    if kubeconfig.MISSING:
        raise Refused(f"The Python package PyYAML is needed on this machine: {kubeconfig.MISSING}. Install PyYAML.")
    with _naming(path, context):
        server, user = kubeconfig.read(path, context)
        if ca_pem or not validate_certs:
            server = replace(server, ca_pem=ca_pem or server.ca_pem, validate_certs=validate_certs)
        server, authorization, sign = _credentials(server, user)
        if sign is None:
            return Kubernetes(server, authorization, trust=_TRUST_KUBECONFIG)
        renew = sign

        def renewed() -> str:
            with _naming(path, context):
                return renew()

        return Kubernetes(server, authorization, renewed, _TRUST_KUBECONFIG)


@contextlib.contextmanager
def _naming(path: str, context: str | None) -> Iterator[None]:
    """Say which kubeconfig is wrong."""
    try:
        yield
    except (Wrong, Refused) as problem:
        reason = str(problem).rstrip(".")
        shown = tidy(without(context), 100) if context else "(current)"
        raise Refused(
            f"kubeconfig {quoted(path)}, context {shown}: {reason}. Check {named('kubeconfig')} and {named('context')}."
        ) from None


def by_token(
    host: str,
    token: str | None,
    ca_pem: str,
    validate_certs: bool,
    sign: Callable[[], str] | None = None,
    advice: Mapping[int, str] | None = None,
    certificate: str = "",
    key: str = "",
    forget: Callable[[str], None] | None = None,
) -> Kubernetes:
    """Connect by address and bearer token, by a function that signs one, or by a client certificate and its key.

    ca_pem: empty for the system's certificates; forget: told a token that was refused, so that sign returns another.
    """
    _need_urllib3()
    wrong = _addresses.problem("host", host)
    if wrong:
        raise Refused(wrong)
    server = Server(host, ca_pem, validate_certs, certificate=certificate, key=key)
    trust = _TRUST_PROVIDER if ca_pem and (sign or certificate) else _TRUST_HOST
    if sign is None:
        return Kubernetes(server, f"Bearer {token}" if token else "", trust=trust, advice=advice)
    return Kubernetes(server, sign=lambda: f"Bearer {sign()}", trust=trust, advice=advice, forget=forget)


def _pool(server: Server, proxy: proxies.Proxy | None) -> Any:
    """The connections to a server, through a proxy if there is one."""
    checked = server.validate_certs
    context = tls.context(server.url, server.ca_pem, checked, server.name, server.certificate, server.key)
    arguments: dict[str, Any] = {"maxsize": AT_ONCE, "ssl_context": context}
    if not checked:
        # The user turned the check off; urllib3 would warn with each call.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    if proxy is None:
        return urllib3.PoolManager(**arguments)
    if proxy.scheme == "socks5":
        return _socks_pool(proxy, arguments)
    return urllib3.ProxyManager(
        proxy.url,
        proxy_headers=proxy.headers,
        proxy_ssl_context=tls.context(proxy.url, "", checked) if proxy.scheme == "https" else None,
        **arguments,
    )


def _socks_pool(proxy: proxies.Proxy, arguments: Mapping[str, Any]) -> Any:
    if importlib.util.find_spec("socks") is None:
        raise Refused(
            f"Proxy {proxy.url} needs the Python package PySocks on this machine. Install it, or use an HTTP proxy."
        )
    from urllib3.contrib.socks import SOCKSProxyManager

    # With the h: names the proxy resolves host names, as with kubectl.
    url = proxy.url.replace("socks5", "socks5h", 1)
    return SOCKSProxyManager(url, proxy.user or None, proxy.password or None, **arguments)


def _refused_by(proxy: proxies.Proxy, host: str, error: Exception) -> str:
    """Why a proxy never lets a connection through, as a sentence, or an empty text if it did or another try may
    help."""
    for cause in tls.causes(error):
        said = re.search(r"Tunnel connection failed: (4\d\d[\w ]*)|SOCKS5 authentication (failed|methods)", str(cause))
        if not said:
            continue
        if said[0].startswith("SOCKS5") or said[1].startswith("407"):
            return (
                f"Proxy {proxy.url} requires a different login: put USER:PASSWORD@ before the proxy's name, in"
                " proxy-url of the kubeconfig or in HTTPS_PROXY."
            )
        return (
            f"Proxy {proxy.url} does not allow connections to {host}: {said[1].strip()}. Allow them there, or add the"
            " host to NO_PROXY."
        )
    return ""


def _credentials(server: Server, user: kubeconfig.User) -> tuple[Server, str, Callable[[], str] | None]:
    """The server with the client's certificate, the Authorization header, and a function that returns a fresh one if
    it expires."""
    if user.log_in:
        log_in = base64.b64encode(":".join(user.log_in).encode()).decode()
        return server, f"Basic {log_in}", None
    if user.command:
        printed = _run(user.command)
        command = user.command
        if printed.get("clientCertificateData"):
            certificate, key = str(printed["clientCertificateData"]), str(printed.get("clientKeyData") or "")
            server = replace(server, certificate=certificate, key=key)
        return server, _bearer(printed.get("token")), lambda: _bearer(_run(command).get("token"))
    if user.auth_provider is not None:
        provider = user.auth_provider
        return server, _ask(provider), lambda: _ask(provider)
    if user.token_file:
        path = user.token_file
        return server, _from_file(path), lambda: _from_file(path)
    return server, _bearer(user.token), None


def _bearer(token: Any) -> str:
    return f"Bearer {token}" if token else ""


def _from_file(path: str) -> str:
    try:
        token = readable(Path(path)).read_text(encoding="utf-8-sig").strip()
    except (OSError, ValueError) as error:
        raise Wrong(f"its tokenFile {quoted(path)} cannot be read ({getattr(error, 'strerror', error)})") from None
    if not token:
        raise Wrong(f"its tokenFile {quoted(path)} is empty")
    if not sendable(token):
        raise Wrong(
            f"its tokenFile {quoted(path)} has a space, line break or special character within the token, and must"
            " contain nothing but the token"
        )
    return f"Bearer {token}"


def _run(command: kubeconfig.Command) -> Object:
    """What a kubeconfig's program prints: token, clientCertificateData, clientKeyData.

    https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
    """
    spec: Object = {"interactive": False, **({"cluster": command.cluster} if command.cluster else {})}
    info = {"apiVersion": command.api_version, "kind": "ExecCredential", "spec": spec}
    program = f"the program {quoted(command.program)} that prints its credentials"
    try:
        # The user's own kubeconfig names it.
        done = subprocess.run(  # noqa: S603 # pylint: disable=ansible-bad-function
            [command.program, *command.arguments],
            env={**os.environ, **command.variables, "KUBERNETES_EXEC_INFO": json.dumps(info)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except (OSError, ValueError) as error:
        hint = f" {tidy(masked(command.hint), 400)}" if command.hint else ""
        raise Wrong(f"{program} did not start ({getattr(error, 'strerror', error)}).{hint}") from None
    except subprocess.TimeoutExpired:
        raise Wrong(f"{program} did not finish within {COMMAND_SECONDS:.0f} seconds") from None
    if done.returncode:
        raise Wrong(f"{program} ended with {done.returncode}: {_words(command, done) or 'no output'}")
    try:
        status = loaded(done.stdout)["status"]
    except (Odd, KeyError, TypeError):
        status = None
    if not isinstance(status, dict) or not (status.get("token") or status.get("clientCertificateData")):
        said = _words(command, done)
        raise Wrong(
            f"{program} printed no ExecCredential with a token or a certificate{f'. It said: {said}' if said else ''}"
        )
    return status


def _words(command: kubeconfig.Command, done: subprocess.CompletedProcess[bytes]) -> str:
    """The last lines of a program's error output, without the secrets that it was given or prints."""
    text = done.stderr[-8000:].decode(errors="replace")
    given = (
        *command.variables.values(),
        *(value for name, value in os.environ.items() if SECRET_VARIABLE.search(name)),
    )
    for secret in sorted((value for value in given if len(value) >= SHORTEST), key=len, reverse=True):
        text = text.replace(secret, MASK)
    lines = [tidy(line) for line in re.split(r"[\r\n]+", masked(text)) if tidy(line)]
    return tidy(" ".join(lines[-3:]), 400)


def _ask(provider: Mapping[str, Any]) -> str:
    """The header for a user's auth-provider, which only the kubernetes client supports."""
    try:
        import kubernetes.client
        import kubernetes.config
    except ImportError as error:
        raise Wrong(f"its auth-provider needs the Python package kubernetes on this machine: {error}") from None
    configuration = kubernetes.client.Configuration()
    config = {
        "current-context": "castai",
        "clusters": [{"name": "castai", "cluster": {"server": "https://kubernetes.invalid"}}],
        "users": [{"name": "castai", "user": {"auth-provider": provider}}],
        "contexts": [{"name": "castai", "context": {"cluster": "castai", "user": "castai"}}],
    }
    try:
        kubernetes.config.load_kube_config_from_dict(config, client_configuration=configuration, persist_config=False)
    except Exception as error:  # the client does not catch the errors of a login
        said = tidy(masked(str(error)), 400)
        raise Wrong(f"its auth-provider {quoted(provider.get('name'))} returns no token: {said}") from None
    header = (configuration.auth_settings().get("BearerToken") or {}).get("value")
    if not header:
        raise Wrong(
            f"its auth-provider {quoted(provider.get('name'))} returns no token: log in again with its own program"
        )
    return str(header)


def _need_urllib3() -> None:
    if MISSING:
        raise Refused(f"The Python package urllib3 is needed on this machine: {MISSING}. Install urllib3.")
