# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose credentials Azure is called with. PRIVATE to the collection.

Options and environment variables are those of the collection azure.azcollection and of AWX's Azure credential, and
azure-identity's own variables count too. Each kind of credentials is made by the class of its kind: azure-identity's
default chain tries what nobody asked for.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .._answers import tidy
from .._credentials import masked
from .._engine import CallFailed, Refused
from .._options import sendable
from .._variables import named
from . import https, tls
from .sdk import Sdk

azure = Sdk("azure", "azure.core.exceptions", "azure.core.pipeline.transport", "azure.identity")

for _name_of in ("azure", "msal"):
    # Without a handler, Python writes their warnings to standard error; what they say is in the sentences below.
    logging.getLogger(_name_of).addHandler(logging.NullHandler())

CA_OPTION = "azure_ca_cert"

AUTO, ENVIRONMENT, CLI, MACHINE = "auto", "env", "cli", "msi"
SOURCES = (AUTO, ENVIRONMENT, CLI, MACHINE)

_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "auth_source": ("ANSIBLE_AZURE_AUTH_SOURCE",),
    "client_id": ("AZURE_CLIENT_ID",),
    "cloud_environment": ("AZURE_CLOUD_ENVIRONMENT",),
    "oidc_token": ("AZURE_FEDERATED_TOKEN",),
    "oidc_token_file_path": ("AZURE_FEDERATED_TOKEN_FILE",),
    "secret": ("AZURE_SECRET", "AZURE_CLIENT_SECRET"),
    "subscription_id": ("AZURE_SUBSCRIPTION_ID",),
    "tenant": ("AZURE_TENANT", "AZURE_TENANT_ID"),
    "x509_certificate_path": ("AZURE_X509_CERTIFICATE_PATH", "AZURE_CLIENT_CERTIFICATE_PATH"),
}
"""The environment variables that stand in for an option, in the order in which they count."""

_KINDS = ("secret", "x509_certificate_path", "oidc_token", "oidc_token_file_path")
"""The options that prove who a service principal is, in the order in which their variables count."""

_USER = ("AZURE_AD_USER", "AZURE_USERNAME", "AZURE_PASSWORD")
"""Variables of a log-in by user name and password."""

_AUTHORITY_HOST = "AZURE_AUTHORITY_HOST"
_WORKLOAD = (_AUTHORITY_HOST, "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE")
"""Variables with which azure-identity takes a pod's workload identity for the machine's managed identity."""
_OTHER_MACHINES = ("IDENTITY_ENDPOINT", "MSI_ENDPOINT")
"""Variables of machines that are asked before that."""

_LIMITS: Mapping[str, Any] = {"retry_total": 3, "connection_timeout": 10, "read_timeout": 30}


@dataclass(frozen=True)
class Cloud:
    """login, arm, graph: hosts; audience: that a federated credential names."""

    name: str
    login: str
    arm: str
    graph: str
    audience: str


CLOUDS: Mapping[str, Cloud] = {
    one.name: one
    for one in (
        Cloud(
            "AzureCloud",
            "login.microsoftonline.com",
            "management.azure.com",
            "graph.microsoft.com",
            "api://AzureADTokenExchange",
        ),
        Cloud(
            "AzureUSGovernment",
            "login.microsoftonline.us",
            "management.usgovcloudapi.net",
            "graph.microsoft.us",
            "api://AzureADTokenExchangeUSGov",
        ),
        Cloud(
            "AzureChinaCloud",
            "login.chinacloudapi.cn",
            "management.chinacloudapi.cn",
            "microsoftgraph.chinacloudapi.cn",
            "api://AzureADTokenExchangeChina",
        ),
    )
}


@dataclass(frozen=True)
class Chosen:
    """Credentials, and what is known of them without a call.

    make: makes credentials of azure-identity, which know no token yet, and may get one of that tenant, empty for their
    own. subscription_source: the variable that names the subscription, empty for an option. machine: whether they are a
    managed identity, which is of one tenant.
    """

    make: Callable[[str], Any] = field(repr=False)
    cloud: Cloud
    subscription_id: str
    subscription_source: str
    machine: bool = False


def subscription_of(options: Mapping[str, Any]) -> str:
    """The subscription of the cluster, empty where neither an option nor the environment says it."""
    return _found(options, "subscription_id")[0]


def load(options: Mapping[str, Any], http: Any) -> Chosen:
    """The credentials that the options name, else the environment. Makes no call. Raises Refused.

    http: what azure-identity makes its requests with.
    """
    cloud = _cloud(options)
    subscription, source = _found(options, "subscription_id")
    auth_source = _found(options, "auth_source")[0] or AUTO
    if auth_source not in SOURCES:
        raise Refused(
            f"ANSIBLE_AZURE_AUTH_SOURCE is {auth_source!r}, which this collection does not support. Set it to"
            f" {', '.join(SOURCES[:-1])} or {SOURCES[-1]}, or unset it."
        )
    make = _maker(options, auth_source, cloud, http)
    return Chosen(make, cloud, subscription, source, auth_source == MACHINE)


def _maker(options: Mapping[str, Any], source: str, cloud: Cloud, http: Any) -> Callable[[str], Any]:
    transport = azure.core.pipeline.transport.RequestsTransport(
        session=http, session_owner=False, use_env_settings=False, connection_verify=http.verify
    )
    common = {"transport": transport, **_LIMITS}
    if source == MACHINE:
        return _machine(_found(options, "client_id")[0], common)
    if source == CLI:
        return _cli(_found(options, "tenant")[0])
    principal = _principal({} if source == ENVIRONMENT else options, cloud, common)
    if principal:
        return principal
    if source == AUTO and shutil.which("az"):
        return _cli(_found(options, "tenant")[0])
    user = [name for name in _USER if _variable(name)]
    if user:
        raise Refused(
            f"{' and '.join(user)} {'are' if len(user) > 1 else 'is'} set, but a log-in with user name and password"
            " cannot pass multi-factor authentication and is not supported."
            f" Set {named('client_id')}, {named('tenant')} and {named('secret')} of a service principal. In AWX, fill"
            " in Client ID, Client Secret and Tenant ID of the Azure credential."
        )
    raise Refused(
        f"No credentials for Azure were found. Set {named('client_id')}, {named('tenant')} and one of"
        f" {', '.join(map(named, _KINDS))}, or their environment variables AZURE_CLIENT_ID, AZURE_TENANT and"
        f" AZURE_SECRET, or set {named('auth_source')} to msi or cli."
    )


def _principal(options: Mapping[str, Any], cloud: Cloud, common: Mapping[str, Any]) -> Callable[[str], Any] | None:
    """A service principal, by the first of the ways to prove it that is given. An option beats the environment."""
    given = [kind for kind in _KINDS if options.get(kind)]
    if len(given) > 1:
        raise Refused(f"{' and '.join(map(named, given))} are set. Set only one of them.")
    kind = next(iter(given or [one for one in _KINDS if _found({}, one)[0]]), "")
    client, tenant = _found(options, "client_id")[0], _found(options, "tenant")[0]
    if not kind:
        return None
    missing = [option for option, value in (("client_id", client), ("tenant", tenant)) if not value]
    if missing:
        raise Refused(f"{_name(kind)} is set, but {' and '.join(map(_name, missing))} is not. Set it.")
    value = _found(options, kind)[0]
    principal = {"tenant_id": tenant, "client_id": client, "authority": cloud.login, **common}
    if kind == "secret":
        return _checked(azure.identity.ClientSecretCredential, {**principal, "client_secret": value}, True)
    if kind == "x509_certificate_path":
        certificate = {"certificate_path": value, "password": _variable("AZURE_CLIENT_CERTIFICATE_PASSWORD") or None}
        _read(value, _name(kind), "PEM or PKCS12 file with the certificate and its private key")
        return _checked(azure.identity.CertificateCredential, {**principal, **certificate}, True)
    return _checked(azure.identity.ClientAssertionCredential, {**principal, "func": _assertion(kind, value)}, False)


def _assertion(kind: str, value: str) -> Callable[[], str]:
    """What returns the federated token; a file is read each time, as whoever writes it renews it."""

    def token() -> str:
        text = value
        if kind == "oidc_token_file_path":
            text = _read(value, _name(kind), "file with the token").decode(errors="replace")
        if not sendable(text.strip()):
            raise Refused(f"{_name(kind)} contains a blank, line break or special character. Copy it again.")
        return text.strip()

    token()
    return token


def _checked(kind: Any, arguments: Mapping[str, Any], discovers: bool) -> Callable[[str], Any]:
    """Make credentials once, to see whether they can be made.

    discovers: whether the class would ask Microsoft if it knows the host of the log-in, which the table knows.
    """
    known = {"disable_instance_discovery": True} if discovers else {}

    def make(tenant: str) -> Any:
        return kind(**arguments, **known, additionally_allowed_tenants=[tenant] if tenant else [])

    try:
        make("")
    except (ValueError, TypeError) as error:
        # Neither secret nor key is in what azure-identity says here.
        raise Refused(
            f"The Azure credentials cannot be used: {tidy(masked(str(error))).rstrip('.')}. Check {named('client_id')},"
            f" {named('tenant')} and {named('x509_certificate_path')}."
        ) from None
    return make


def _machine(client: str, common: Mapping[str, Any]) -> Callable[[str], Any]:
    """client: of a user-assigned identity, empty for the machine's only one."""
    pod = all(map(_variable, _WORKLOAD)) and not any(map(_variable, _OTHER_MACHINES))
    if pod:
        raise Refused(
            f"{named('auth_source')} is msi, but {', '.join(_WORKLOAD)} are set, so this runs as the workload identity"
            f" of a pod and not as a machine's managed identity. Leave {named('auth_source')} out to use the workload"
            f" identity ({named('oidc_token_file_path')} names its token), or unset these variables."
        )
    arguments = {**common, **({"client_id": client} if client else {})}
    return lambda tenant: azure.identity.ManagedIdentityCredential(**arguments)


def _cli(tenant: str) -> Callable[[str], Any]:
    own = {"tenant_id": tenant} if tenant else {}
    return lambda other: azure.identity.AzureCliCredential(
        **own, additionally_allowed_tenants=[other] if other else [], process_timeout=30
    )


def _cloud(options: Mapping[str, Any]) -> Cloud:
    name = _found(options, "cloud_environment")[0]
    if not name:
        authority = _variable(_AUTHORITY_HOST)
        host = urlsplit(authority if "://" in authority else f"https://{authority}").hostname or ""
        return next((one for one in CLOUDS.values() if one.login == host), CLOUDS["AzureCloud"])
    known = {one.lower(): cloud for one, cloud in CLOUDS.items()}
    if name.lower() not in known:
        raise Refused(
            f"{_name('cloud_environment')} is {tidy(masked(name), 100)!r}, which this collection does not know."
            f" Set it to one of {', '.join(CLOUDS)}. Clouds given by the address of their metadata are not supported."
        )
    return known[name.lower()]


def _found(options: Mapping[str, Any], option: str) -> tuple[str, str]:
    """A value and the variable that it comes from, empty for an option."""
    if options.get(option):
        return str(options[option]).strip(), ""
    return next(((_variable(name), name) for name in _VARIABLES[option] if _variable(name)), ("", ""))


def _variable(name: str) -> str:
    """A variable that is empty is not set: AWX writes all of them."""
    return os.environ.get(name, "").strip()


def _name(option: str) -> str:
    return f"{named(option)}, or {_VARIABLES[option][0]},"


def _read(path: str, origin: str, what: str) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise Refused(f"{origin} is {path!r}, which cannot be read ({error.strerror}). Set it to a {what}.") from None


_WORDS: Mapping[str, str] = {
    "7000215": "The secret is wrong: set {secret} to its value, not to its ID.",
    "7000222": "The secret has expired: set {secret} to a new one.",
    "700016": "The tenant has no such application: check {client_id} and {tenant}.",
    "90002": "This tenant does not exist: check {tenant}.",
    "700213": "No federated credential of the application matches the token: compare its issuer, subject and audience.",
    "70021": "No federated credential of the application matches the token: compare its issuer, subject and audience.",
    "700027": "The application does not have this certificate: upload it, or set {x509_certificate_path} to another.",
    "53003": "A Conditional Access policy forbids this log-in: ask its administrators for an exception.",
    "50076": "Multi-factor authentication is required: use a service principal.",
    "50079": "Multi-factor authentication is required: use a service principal.",
}
"""What to do about Entra's codes."""


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """Say what is wrong with credentials, without showing them."""
    try:
        yield
    except (azure.core.exceptions.AzureError, ValueError) as error:
        said = tidy(masked(str(getattr(error, "message", None) or error)))
        request = _of_requests(error)
        failed = https.problem_of(request, "Azure's token server", CA_OPTION)
        if not failed and https.unanswered(request):
            failed = (
                f"its token server did not answer ({https.said_by(request)}). Check that it is reachable from here."
            )
        if failed:
            raise CallFailed(f"Could not get a token from Azure: {failed}") from None
        code = re.search(r"AADSTS(\d+)", said)
        options = {one: named(one) for one in _VARIABLES}
        advice = _WORDS.get(code[1], "").format(**options) if code else ""
        said = re.sub(r"\s*(Trace ID|Correlation ID|To troubleshoot|To mitigate|Visit https).*", "", said).rstrip(". ")
        if not advice and "ManagedIdentityCredential" in said:
            advice = (
                "Run this on an Azure machine that has the identity, or set"
                f" {options['auth_source']} to another source."
            )
        check = f"Check {', '.join(options[one] for one in ('client_id', 'tenant', 'auth_source'))}."
        raise CallFailed(f"Could not get a token from Azure: {said}. {advice or check}") from None


def _of_requests(error: BaseException) -> BaseException:
    """The error of requests, which azure-core keeps beside its own, or the error itself."""
    inner = (getattr(cause, "inner_exception", None) for cause in tls.causes(error))
    return next((one for one in inner if isinstance(one, Exception)), error)
