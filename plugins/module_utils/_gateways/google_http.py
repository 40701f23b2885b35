# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP to Google Cloud, for its APIs and for google-auth alike. PRIVATE to the collection."""

from __future__ import annotations

import os
import ssl
from typing import Any
from urllib.parse import urlsplit

from .._answers import tidy
from .._credentials import masked
from .._variables import named
from . import proxies, tls

try:
    import requests
    import requests.adapters
    import urllib3

    MISSING = ""
    _Session: Any = requests.Session
    _HTTPAdapter: Any = requests.adapters.HTTPAdapter
except ImportError as error:
    MISSING = str(error)
    _Session = _HTTPAdapter = object

CONNECTIONS = 16
"""How many are kept open, as many as reads go at once."""


class Http(_Session):
    """Goes by the proxies of the environment as the other gateways do, and by nothing else there: a .netrc would
    replace the token. ca_file: what to trust, empty for the system's and requests' own certificates.
    """

    def __init__(self, ca_file: str) -> None:
        super().__init__()
        self.trust_env = False
        self.verify = ca_file or True
        self.mount("https://", _Adapter(_context(ca_file), pool_maxsize=CONNECTIONS))

    def request(self, method: str, url: str, *arguments: Any, **keywords: Any) -> Any:
        # Machines ask their metadata server, which no proxy reaches, by http.
        proxy = proxies.of_environment(url, os.environ) if url.startswith("https://") else None
        if proxy:
            # The h of socks5h lets the proxy look names up.
            keywords["proxies"] = {"https": proxy.secret_url.replace("socks5://", "socks5h://", 1)}
        return super().request(method, url, *arguments, **keywords)


class _Adapter(_HTTPAdapter):
    def __init__(self, context: ssl.SSLContext, **arguments: Any) -> None:
        self._context = context
        super().__init__(**arguments)

    def init_poolmanager(self, *arguments: Any, **keywords: Any) -> None:
        super().init_poolmanager(*arguments, **keywords, ssl_context=self._context)

    def proxy_manager_for(self, proxy: str, **keywords: Any) -> Any:
        return super().proxy_manager_for(proxy, **keywords, ssl_context=self._context)


def _context(ca_file: str) -> ssl.SSLContext:
    """requests adds the certificates of ca_file, or its own."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Companies' authorities may have no key identifiers, which Python 3.13 asks for unless told not to.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not ca_file:
        made.load_default_certs()
    return made


def problem_of(error: BaseException, host: str) -> str:
    """Why a request fails however often it is tried, as a sentence, or an empty text: another try may help."""
    if isinstance(error, requests.exceptions.InvalidSchema) and "SOCKS" in str(error):
        return "the proxy in HTTPS_PROXY needs the Python package PySocks where this runs. Install it."
    if isinstance(error, OSError) and "CA certificate bundle" in str(error):
        return f"{named('google_ca_cert')} cannot be read."
    for cause in tls.causes(error):
        said = str(cause)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"The TLS certificate of {host} is not trusted: {cause.verify_message}. Set {named('google_ca_cert')}"
                " to a file with the CA certificates of whoever signed it, such as a proxy that ends TLS."
            )
        if isinstance(cause, ssl.SSLError) and "NO_CERTIFICATE_OR_CRL_FOUND" in said:
            return f"{named('google_ca_cert')} contains no PEM certificate."
        if "Tunnel connection failed: 407" in said or "SOCKS5 authentication" in said:
            return "the proxy in HTTPS_PROXY requires a different log-in: put USER:PASSWORD@ before its name."
        if "Tunnel connection failed: 4" in said:
            return f"the proxy in HTTPS_PROXY does not allow connections to {host}. Allow them, or add it to NO_PROXY."
    return ""


def never_sent(error: Exception) -> bool:
    """Whether a request certainly did not reach the server."""
    kinds = (urllib3.exceptions.ConnectTimeoutError, urllib3.exceptions.NewConnectionError)
    return any(isinstance(cause, kinds) or "Tunnel connection failed" in str(cause) for cause in tls.causes(error))


def said_by(error: Exception) -> str:
    """Of an error that may pass, the system's own words."""
    reasons = (cause.strerror for cause in tls.causes(error) if isinstance(cause, OSError) and cause.strerror)
    return tidy(masked(next(reasons, ""))) or type(error).__name__


def host_of(url: str) -> str:
    return urlsplit(url).hostname or ""
