# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""TLS to an API server: what kubectl accepts is accepted, on every Python. PRIVATE to the collection."""

from __future__ import annotations

import functools
import os
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from .._engine import Refused
from .._temp_folder import temp_folder
from .._variables import named
from . import files

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

_UNTRUSTED = frozenset({2, 18, 19, 20, 21})
"""OpenSSL's codes for a certificate without a trusted signer."""
_TOO_EARLY, _EXPIRED = 9, 10
_OTHER_NAME = frozenset({62, 64})

_SKIP = f"or set {named('kubernetes_validate_certs')} to false to skip the check."


class Settled:
    """A context for urllib3, which threads may share.

    urllib3 loads the CA file into a context and sets its protocols for each connection. CPython before 3.13.4 does not
    lock, so that another thread that connects may crash, or send a ClientHello that servers cannot decode. Here both
    are done before: whoever makes the context loads its certificates, and it offers HTTP/1.1 alone.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._context, attribute)

    def load_verify_locations(self, *_arguments: Any, **_keywords: Any) -> None:
        """Loaded when the context was made."""

    def set_alpn_protocols(self, _protocols: Any) -> None:
        """Set when the context was made."""


class _Named(Settled):
    """Sends the name of the server, even if it is an IP address, which urllib3 before 2 leaves out. Errors say whose
    they are."""

    def __init__(self, context: ssl.SSLContext, url: str, name: str) -> None:
        super().__init__(context)
        self._url, self._name = url, name

    def wrap_socket(self, *arguments: Any, **keywords: Any) -> ssl.SSLSocket:
        try:
            return self._context.wrap_socket(*arguments, **{**keywords, "server_hostname": self._name})
        except ssl.SSLError as error:
            error.filename = self._url
            raise

    def wrap_bio(self, *arguments: Any, **keywords: Any) -> ssl.SSLObject:
        return self._context.wrap_bio(*arguments, **{**keywords, "server_hostname": self._name})


def shared(make: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """What make returns, made once in a process and its forks, as the system's certificates take long to read.

    make: must give the same each time, and nobody may change it afterward.
    """
    return _made(make, tuple(map(os.environ.get, files.TRUST)))


@functools.cache
def _made(make: Callable[[], ssl.SSLContext], _trust: tuple[str | None, ...]) -> ssl.SSLContext:
    return make()


def context(url: str, ca_pem: str, validate_certs: bool, name: str = "", certificate: str = "", key: str = "") -> Any:
    """The parameters of connections to one address, for urllib3. certificate, key: the client's, PEM, if it has any.

    ca_pem: empty for the system's certificates; name: the server's in its certificate, empty for the one in url. Raises
    Refused for PEM that cannot be used.
    """
    if validate_certs and not ca_pem and not certificate:
        made = shared(by_system)
    else:
        made = _own(ca_pem, validate_certs, certificate, key)
    return _Named(made, url, (name or urlsplit(url).hostname or "").rstrip("."))


def by_system() -> ssl.SSLContext:
    """Trusts the system's certificates."""
    return _own("", validate_certs=True)


def empty() -> ssl.SSLContext:
    """Trusts nobody yet."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.set_alpn_protocols(["http/1.1"])
    # Authorities of old EKS clusters and of companies have no key identifiers, which Python 3.13 requires by default.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return made


def unchecked() -> ssl.SSLContext:
    """Accepts any certificate."""
    made = empty()
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


def by_file(file: str, origin: str, service: str) -> ssl.SSLContext:
    """Trusts the certificates of a PEM file. origin: where it is set, in words. Raises Refused."""
    made = empty()
    files.load_certificates(file, origin, service, made)
    return made


def _own(ca_pem: str, validate_certs: bool, certificate: str = "", key: str = "") -> ssl.SSLContext:
    made = empty() if validate_certs else unchecked()
    # As in Go, any trusted certificate can end a chain, and the common name does not count.
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    made.hostname_checks_common_name = False
    if validate_certs and ca_pem:
        made.load_verify_locations(cadata=_certificates(ca_pem))
    elif validate_certs:
        files.check_variables(*files.TRUST)
        made.load_default_certs()
    if certificate:
        _identify(made, certificate, key)
    return made


def certificates(pem: Any) -> frozenset[bytes]:
    """Each certificate in a PEM text, whatever its line breaks; none if it is something else."""
    found = set()
    for text in _CERTIFICATE.findall(pem) if isinstance(pem, str) else ():
        try:
            found.add(ssl.PEM_cert_to_DER_cert(text))
        except ValueError:  # such a text proves nothing
            return frozenset()
    return frozenset(found - {b""})


def plain(pem: str) -> str:
    """The certificates in a text, without what is around them and before their lines. Go, and so Helm, overlooks a
    certificate that does not start at the beginning of a line."""
    found = _CERTIFICATE.findall(pem)
    return "".join(f"{line.strip()}\n" for text in found for line in text.splitlines())


def _certificates(pem: str) -> str:
    found = plain(pem)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=found)
    except (ssl.SSLError, ValueError):
        raise Refused(
            f"The CA certificates for the API server contain no valid PEM certificate. Check {named('ca_cert')}, or"
            " certificate-authority-data of the kubeconfig."
        ) from None
    return found


def _identify(made: ssl.SSLContext, certificate: str, key: str) -> None:
    """Python's context only takes files, so they exist for this moment, for this user alone."""
    with temp_folder("kubeconfig") as temp:
        files = (temp.write("certificate.pem", certificate), temp.write("key.pem", key))
        try:
            # Without a password, OpenSSL would ask for one at the terminal.
            made.load_cert_chain(*files, password="")
        except (ssl.SSLError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise Refused(
                f"The client certificate and its key cannot be used ({reason}). Use a PEM certificate and"
                " its own key, without a password."
            ) from None


def problem(error: BaseException, trust: Mapping[str, str]) -> str:
    """Why TLS will fail however often it is tried, or an empty text if TLS was not the cause or another try may help.

    trust: for each address, the one mostly used first, what to do if nobody who is trusted signed the certificate,
    without a full stop.
    """
    for cause in causes(error):
        if not isinstance(cause, ssl.SSLError) or isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
            continue
        url = cause.filename if cause.filename in trust else next(iter(trust))
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _refused(cause, url, trust[url])
        return _failed(cause, url)
    return ""


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all errors that caused it. urllib3 wraps errors in each other's arguments."""
    waiting, seen = [error], set[int]()
    while waiting:
        cause = waiting.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        inner = (*cause.args, cause.__cause__, cause.__context__)
        waiting += [one for one in inner if isinstance(one, BaseException)]


def _refused(error: ssl.SSLCertVerificationError, url: str, trust: str) -> str:
    said, code = error.verify_message, error.verify_code
    if code in _OTHER_NAME:
        return (
            f"The TLS certificate of {url} is for another name: {said.rstrip('.')}. Use an address that it covers,"
            f" set tls-server-name in the kubeconfig to a name that it covers, {_SKIP}"
        )
    if code in (_EXPIRED, _TOO_EARLY):
        state = "has expired" if code == _EXPIRED else "is not valid yet"
        return (
            f"The TLS certificate of {url}, or of the authority that signed it, {state}: renew it there, correct the"
            f" clock of the machine that runs Ansible, {_SKIP}"
        )
    what = "is not trusted" if code in _UNTRUSTED else "was refused"
    return f"The TLS certificate of {url} {what}: {said}. {trust}, {_SKIP}"


def _failed(error: ssl.SSLError, url: str) -> str:
    reason = str(error.reason or error)
    if "ALERT" in reason:
        return (
            f"{url} closed the TLS connection ({reason}): it may require a different client certificate or a"
            " different version of TLS."
        )
    return f"TLS with {url} failed ({reason}): check that this is the address of an API server, and of its HTTPS port."
