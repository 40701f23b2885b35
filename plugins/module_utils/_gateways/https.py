# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTPS with requests, for the APIs of clouds that have no client here, and for the libraries that get their tokens.
PRIVATE to the collection."""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from .._answers import Odd, loaded, tidy
from .._credentials import masked
from .._engine import AT_ONCE, CallFailed
from .._patience import retry_after
from .._variables import named
from . import files, proxies, tls

try:
    import requests
    import requests.adapters
    import requests.certs
    import urllib3

    MISSING = ""
    _Session: Any = requests.Session
    _HTTPAdapter: Any = requests.adapters.HTTPAdapter
except ImportError as error:
    MISSING = str(error)
    _Session = _HTTPAdapter = object

T = TypeVar("T")
P = TypeVar("P")
R = TypeVar("R", bound="Rejection[Any]")

CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""The environment variables that apply if the option for CA certificates is not set."""
TIMEOUT = (10.0, 60.0)
"""Seconds to connect, and to wait for an answer."""
UNREACHABLE = 5.0
"""How many seconds to repeat a call that does not reach the server, including pauses."""
REACHABLE = " Check that it is reachable from this machine."


@dataclass(frozen=True)
class Call:
    """One method of a cloud's API.

    purpose: what it does, in words. service: whose host or api-version counts. path: without the host. purpose and path
    contain {names}. permissions: what the caller needs. reads: whether it changes nothing even though its method
    suggests a write. repeats: whether a write may be repeated if its answer was lost.
    """

    purpose: str
    method: str
    service: str
    path: str
    permissions: tuple[str, ...] = ()
    reads: bool = False
    repeats: bool = False

    @property
    def only_reads(self) -> bool:
        return self.reads or self.method == "GET"

    @property
    def repeatable(self) -> bool:
        """Whether the call may be made again if its answer was lost."""
        return self.only_reads or self.repeats


@dataclass(frozen=True)
class Response:
    """body: parsed JSON, empty for no content, None for something else. reason: from the HTTP status line, or why there
    was no answer. asked: how many seconds the server asks to wait. answered: if not, the status is 503. sent: whether
    the request may have reached the server."""

    status: int
    body: Any
    reason: str = ""
    asked: float = 0.0
    headers: Mapping[str, str] | None = None
    answered: bool = True
    sent: bool = True


class Rejection(CallFailed, Generic[P]):
    """An API answered with an error. status: the HTTP status. problem: what the answer says."""

    def __init__(self, text: str, status: int, problem: P, within: str = "", unsure: bool = False) -> None:
        super().__init__(text, within, unsure)
        self.status = status
        self.problem = problem

    def advised(self: R, advice: str) -> R:
        """The same with advice added."""
        within = self.within and f"{self.within} {advice}"
        return type(self)(f"{self} {advice}", self.status, self.problem, within, self.unsure)


class Http(_Session):
    """Uses the environment's proxies like the other gateways, and nothing else in it: a .netrc would replace the
    token. ca_file: what to trust, empty for the system's and requests' own certificates; ca_option: which option sets
    it; cloud: what for. Raises Refused for a file that cannot be used.
    """

    def __init__(self, ca_file: str | None, ca_option: str, cloud: str) -> None:
        super().__init__()
        self.trust_env = False
        self.verify = ca_file or True
        self._ca_option = ca_option
        origin = files.origin(ca_file, ca_option, *CA_VARIABLES)
        context = tls.by_file(ca_file, origin, cloud) if ca_file else tls.shared(by_system)
        self.mount("https://", _Adapter(context, pool_maxsize=AT_ONCE))

    def request(self, method: str, url: str, *arguments: Any, **keywords: Any) -> Any:
        # Machines ask their metadata server, which no proxy reaches, by http.
        proxy = proxies.of_environment(url, os.environ) if url.startswith("https://") else None
        if proxy:
            # The h of socks5h lets the proxy look names up.
            keywords["proxies"] = {"https": proxy.secret_url.replace("socks5://", "socks5h://", 1)}
        return super().request(method, url, *arguments, **keywords)

    def ask(
        self,
        method: str,
        url: str,
        purpose: str,
        headers: Mapping[str, str],
        query: Iterable[tuple[str, str]] = (),
        body: Any = None,
        repeats: bool = True,
    ) -> Response:
        """One try of a call. Without an answer, but with hope of one later, the status is 503. A redirection is not an
        answer of the API.

        repeats: whether the call may be made again when its answer was lost. Raises CallFailed where another try would
        not help.
        """
        try:
            answer = self.request(
                method, url, params=[*query], json=body, headers=headers, timeout=TIMEOUT, allow_redirects=False
            )
        except requests.exceptions.RequestException as error:
            host = host_of(url)
            way = proxies.way_to(url, os.environ) if url.startswith("https://") else ""
            no_answer = f"{host} did not answer{way} ({said_by(error)})"
            sentence = problem_of(error, host, self._ca_option)
            if not sentence and never_sent(error) and not repeats:
                sentence = f"{no_answer}.{REACHABLE}"
            if sentence:
                raise CallFailed(f"Could not {purpose}: {sentence}") from error
            return Response(503, None, no_answer, answered=False, sent=not never_sent(error))
        try:
            parsed = loaded(answer.content) if answer.content.strip() else {}
        except Odd:
            parsed = None
        asked = retry_after(answer.headers.get("Retry-After"))
        return Response(answer.status_code, parsed, answer.reason or "", asked, answer.headers)


class _Adapter(_HTTPAdapter):
    """Gives all connections the same context, which trusts what it should already."""

    def __init__(self, context: ssl.SSLContext, **arguments: Any) -> None:
        self._context = tls.Settled(context)
        super().__init__(**arguments)

    def init_poolmanager(self, *arguments: Any, **keywords: Any) -> None:
        super().init_poolmanager(*arguments, **keywords, ssl_context=self._context)

    def proxy_manager_for(self, proxy: str, **keywords: Any) -> Any:
        return super().proxy_manager_for(proxy, **keywords, ssl_context=self._context)

    def cert_verify(self, conn: Any, _url: str, _verify: Any, _cert: Any) -> None:
        conn.cert_reqs = "CERT_REQUIRED"


def by_system() -> ssl.SSLContext:
    """Trusts the system's certificates and requests' own."""
    files.check_variables(*files.TRUST)
    made = tls.empty()
    made.load_default_certs()
    with contextlib.suppress(OSError):
        made.load_verify_locations(requests.certs.where())
    return made


def taken(
    answer: Any, read: Callable[[Mapping[str, Any]], T] | None, purpose: str, host: str, unsure: bool
) -> Mapping[str, Any] | T:
    """The wanted part of a successful answer, by default all of it. unsure: whether the call may have
    written. Raises CallFailed for an answer that the API does not give."""
    try:
        if not isinstance(answer, Mapping):
            raise Odd("the answer is not a JSON object")
        return read(answer) if read else answer
    except Odd as odd:
        raise CallFailed(
            f"Could not {purpose}: {host} returned an answer that does not match the API: {odd}. Check whether a proxy"
            " answered instead.",
            unsure=unsure,
        ) from odd


def refusal(purpose: str, permissions: Iterable[str], code: str, said: str, advice: str) -> tuple[str, str]:
    """An API's refusal of a call in words, by itself and after an action's own sentence.

    code: HTTP's and the API's own, empty without an answer; said: the API's words, without a full stop; advice:
    sentences after a blank.
    """
    listed = ", ".join(permissions)
    needed, reason = f"({listed})" if listed else "", f"{': '.join(filter(None, [code, said]))}.{advice}"
    return f"Could not {' '.join(filter(None, [purpose, needed]))}: {reason}", f" {needed or purpose}: {reason}"


def problem_of(error: BaseException, host: str, ca_option: str) -> str:
    """Why a request fails however often it is tried, as a sentence, or an empty text: another try may help."""
    if isinstance(error, requests.exceptions.InvalidSchema) and "SOCKS" in str(error):
        return "the proxy in HTTPS_PROXY needs the Python package PySocks on this machine. Install it."
    for cause in tls.causes(error):
        said = str(cause)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"The TLS certificate of {host} is not trusted: {cause.verify_message}. Set {named(ca_option)}"
                " to a file with the CA certificates of whoever signed it, such as a proxy that terminates TLS."
            )
        if "Tunnel connection failed: 407" in said or "SOCKS5 authentication" in said:
            return "the proxy in HTTPS_PROXY requires a different login: put USER:PASSWORD@ before its name."
        if "Tunnel connection failed: 4" in said:
            return f"the proxy in HTTPS_PROXY does not allow connections to {host}. Allow them, or add it to NO_PROXY."
    return ""


def unanswered(error: BaseException) -> bool:
    """Whether a request got no answer."""
    return any(isinstance(cause, requests.exceptions.RequestException) for cause in tls.causes(error))


def never_sent(error: Exception) -> bool:
    """Whether a request certainly did not reach the server."""
    kinds = (urllib3.exceptions.ConnectTimeoutError, urllib3.exceptions.NewConnectionError)
    return any(isinstance(cause, kinds) or "Tunnel connection failed" in str(cause) for cause in tls.causes(error))


def said_by(error: BaseException) -> str:
    """The system's own words about a temporary error."""
    reasons = (cause.strerror for cause in tls.causes(error) if isinstance(cause, OSError) and cause.strerror)
    return tidy(masked(next(reasons, ""))) or type(error).__name__


def host_of(url: str) -> str:
    return urlsplit(url).hostname or ""


def may_have_token(url: str, host: str) -> bool:
    """Whether an address that a server gave leads to a host by HTTPS, so that a token for it may be sent there."""
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError:
        return False
    return (parts.scheme, parts.hostname, port) == ("https", host, 443) and "@" not in parts.netloc
