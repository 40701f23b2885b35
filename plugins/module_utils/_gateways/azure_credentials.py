# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The credentials to call Azure with. PRIVATE to the collection.

Options and environment variables are those of the collection azure.azcollection and of AWX's Azure credential, and
azure-identity's own variables count too. Each kind of credentials is created by its own class, because azure-identity's
default chain would try kinds that nobody asked for.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit

from .._answers import loaded, tidy
from .._credentials import is_uuid, masked, quoted
from .._engine import CallFailed, Refused
from .._given import as_path, readable
from .._variables import named
from . import https, proxies, tls
from .files import pem_text
from .sdk import Sdk

azure = Sdk("azure", "azure.core.exceptions", "azure.core.pipeline.transport", "azure.identity")
cryptography = Sdk(
    "cryptography",
    "cryptography.hazmat.backends",
    "cryptography.hazmat.primitives.serialization.pkcs12",
    "cryptography.x509",
)
"""azure-identity depends on it."""

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
"""The environment variables that can be set instead of an option, in order of precedence."""

_KINDS = ("secret", "x509_certificate_path", "oidc_token", "oidc_token_file_path")
"""The options that prove the identity of a service principal, in the order of precedence of their variables."""

_USER = ("AZURE_AD_USER", "AZURE_USERNAME", "AZURE_PASSWORD")
"""Variables for logging in with user name and password."""

_AUTHORITY_HOST = "AZURE_AUTHORITY_HOST"
_WORKLOAD = (_AUTHORITY_HOST, "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE")
"""Variables that make azure-identity use a pod's workload identity instead of the machine's managed identity."""
_OTHER_MACHINES = ("IDENTITY_ENDPOINT", "MSI_ENDPOINT")
"""Variables of machines whose identity azure-identity tries before that."""

_DOMAIN = re.compile(r"([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z]([-a-z0-9]{0,61}[a-z0-9])", re.IGNORECASE)
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_LARGEST = 1_000_000
"""Maximum size of a certificate or token, in bytes."""
_SKEW = 300.0
"""How many seconds Entra lets clocks differ."""

_LIMITS: Mapping[str, Any] = {"retry_total": 3, "connection_timeout": 10, "read_timeout": 30}


@dataclass(frozen=True)
class Cloud:
    """login, arm, graph: hosts. audience: the one that federated credentials must have."""

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

_OTHER_LOGINS: Mapping[str, str] = {
    "login.microsoft.com": "login.microsoftonline.com",
    "login.partner.microsoftonline.cn": "login.chinacloudapi.cn",
    "login.windows.net": "login.microsoftonline.com",
}
"""Hosts that are other names of the login hosts."""


@dataclass(frozen=True)
class Chosen:
    """Credentials, and what they reveal without a call.

    make: creates credentials of azure-identity, which have no token yet, for a tenant, empty for their own.
    subscription_source: the variable that sets the subscription, empty for an option. machine: whether they are a
    managed identity, which belongs to one tenant.
    """

    make: Callable[[str], Any] = field(repr=False)
    cloud: Cloud
    subscription_id: str
    subscription_source: str
    machine: bool = False


def subscription_of(options: Mapping[str, Any]) -> tuple[str, str]:
    """The subscription of the cluster, and the variable that sets it. Empty if neither an option nor a variable
    does."""
    return _found(options, "subscription_id")


def load(options: Mapping[str, Any], http: Any) -> Chosen:
    """Load the credentials of the options, or else of the environment. Makes no call. Raises Refused.

    http: what azure-identity uses for its requests.
    """
    cloud = _cloud(options)
    subscription, source = _found(options, "subscription_id")
    auth_source = _source(options)
    make = _maker(options, auth_source, cloud, http)
    return Chosen(make, cloud, subscription, source, auth_source == MACHINE)


def _source(options: Mapping[str, Any]) -> str:
    """Where the credentials come from. Options that contain credentials override the environment."""
    given = [kind for kind in _KINDS if options.get(kind)]
    found, variable = _found(options, "auth_source")
    if not found or (variable and given):
        return AUTO
    if found not in SOURCES:
        raise Refused(
            f"{variable} is {quoted(found)}, which this collection does not support. Set it to"
            f" {', '.join(SOURCES[:-1])} or {SOURCES[-1]}, or unset it."
        )
    if given and found != AUTO:
        raise Refused(
            f"{named('auth_source')} is {found}, which does not use {' and '.join(map(named, given))}. Leave one of"
            " them"
            " out."
        )
    return found


def _maker(options: Mapping[str, Any], source: str, cloud: Cloud, http: Any) -> Callable[[str], Any]:
    transport = azure.core.pipeline.transport.RequestsTransport(
        session=http, session_owner=False, use_env_settings=False, connection_verify=http.verify
    )
    common = {"transport": transport, **_LIMITS}
    if source == MACHINE:
        return _machine(_client(options), common)
    if source == CLI:
        return _cli(_tenant(options))
    principal = _principal({} if source == ENVIRONMENT else options, cloud, common)
    if principal:
        return principal
    if source == AUTO and shutil.which("az"):
        return _cli(_tenant(options))
    user = [name for name in _USER if _variable(name)]
    if user:
        raise Refused(
            f"{' and '.join(user)} {'are' if len(user) > 1 else 'is'} set, but a login with user name and password"
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
    """A service principal, with the first proof of its identity that is set. Options override the environment."""
    given = [kind for kind in _KINDS if options.get(kind)]
    if len(given) > 1:
        raise Refused(f"{' and '.join(map(named, given))} are set. Set only one of them.")
    kind = next(iter(given or [one for one in _KINDS if _found({}, one)[0]]), "")
    if not kind:
        return None
    client, tenant = _client(options), _tenant(options)
    missing = [option for option, value in (("client_id", client), ("tenant", tenant)) if not value]
    if missing:
        are_not = "is not. Set it" if len(missing) == 1 else "are not. Set both"
        raise Refused(f"{_name(kind)} is set, but {' and '.join(map(_name, missing))} {are_not}.")
    value, origin = _found(options, kind)[0], _origin(options, kind)
    principal = {"tenant_id": tenant, "client_id": client, "authority": cloud.login, **common}
    if kind == "secret":
        if not value.isprintable():
            raise Refused(f"{origin} contains a line break or special character. Copy it again.")
        return _checked(azure.identity.ClientSecretCredential, {**principal, "client_secret": value}, origin, True)
    if kind == "x509_certificate_path":
        content = _read(value, origin, "PEM or PKCS12 file with the certificate and its private key")
        certificate: dict[str, Any] = {"certificate_path": value}
        if b"-----BEGIN " in content:
            content = pem_text(content).encode()
            certificate = {"certificate_data": content}
        password = _variable("AZURE_CLIENT_CERTIFICATE_PASSWORD") or None
        arguments = {**principal, **certificate, "password": password}
        make = _checked(azure.identity.CertificateCredential, arguments, origin, True)
        _check_dates(content, password, origin)
        return make
    assertion = _assertion(kind, value, origin)
    return _checked(azure.identity.ClientAssertionCredential, {**principal, "func": assertion}, origin, False)


def _check_dates(content: bytes, password: str | None, origin: str) -> None:
    """Raises Refused if the certificate has expired or is not valid yet. azure-identity has read it before."""
    if b"-----BEGIN " in content:
        found = cryptography.x509.load_pem_x509_certificate(content, cryptography.hazmat.backends.default_backend())
    else:
        _key, found, _others = cryptography.hazmat.primitives.serialization.pkcs12.load_key_and_certificates(
            content, password.encode() if password else None, cryptography.hazmat.backends.default_backend()
        )
    now, skew = datetime.now(timezone.utc), timedelta(seconds=_SKEW)
    starts, ends = _date_of(found, "not_valid_before"), _date_of(found, "not_valid_after")
    if starts - skew <= now <= ends + skew:
        return
    wrong = f"expired at {_minute(ends)}" if ends < now else f"is not valid before {_minute(starts)}"
    raise Refused(
        f"The certificate of {origin} {wrong}, and the clock of this machine says {_minute(now)}. Get a new one and"
        " upload it to the application, or correct the clock."
    )


def _date_of(certificate: Any, name: str) -> datetime:
    """cryptography before version 42 only has dates without a time zone."""
    found: datetime | None = getattr(certificate, f"{name}_utc", None)
    return found or getattr(certificate, name).replace(tzinfo=timezone.utc)


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _assertion(kind: str, value: str, origin: str) -> Callable[[], str]:
    """The function that returns the federated token. It reads a file each time, because whoever writes the file renews
    the token."""

    def token() -> str:
        text = value
        if kind == "oidc_token_file_path":
            text = _read(value, origin, "file with the token").decode(errors="replace")
        _check_token(text.strip(), origin)
        return text.strip()

    token()
    return token


def _check_token(token: str, origin: str) -> None:
    """Raises Refused if Entra would not accept the text as a token of another issuer."""
    if not _JWT.fullmatch(token):
        raise Refused(
            f"{origin} does not contain a JWT, which has three parts and no spaces or line breaks. Copy it again."
        )
    ends: Any = claims_of(token).get("exp")
    if isinstance(ends, (int, float)) and 1 < ends < time.time() - _SKEW:
        ended, now = (_minute(datetime.fromtimestamp(one, timezone.utc)) for one in (ends, time.time()))
        raise Refused(
            f"The token of {origin} expired at {ended}, and the clock of this machine says {now}. Get a new one, or"
            " correct the clock."
        )


def claims_of(token: str) -> Mapping[str, Any]:
    """The claims of a token, not verified, because they only shape messages. Empty if it has none."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        found = loaded(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return found if isinstance(found, Mapping) else {}


def _client(options: Mapping[str, Any]) -> str:
    """The client ID, empty if it is not set. A wrong value may be the secret, so it is not shown."""
    client = _found(options, "client_id")[0]
    if client and not is_uuid(client):
        raise Refused(
            f"{_origin(options, 'client_id')} is not an application (client) ID, such as"
            " 0b1f6471-1bf0-4dda-aec3-cb9272f09590. Correct it."
        )
    return client


def _tenant(options: Mapping[str, Any]) -> str:
    """The tenant, empty if it is not set."""
    tenant = _found(options, "tenant")[0]
    if tenant and not (is_uuid(tenant) or _DOMAIN.fullmatch(tenant)):
        raise Refused(
            f"{_origin(options, 'tenant')} is {quoted(tenant)}. Set it to the ID of the Entra tenant, or to one of its"
            " domains, such as example.onmicrosoft.com."
        )
    return tenant


def _checked(kind: Any, arguments: Mapping[str, Any], origin: str, discovers: bool) -> Callable[[str], Any]:
    """Create credentials once, to find out whether that works.

    origin: the source that a message names. discovers: whether the class would ask Microsoft about the login host,
    which the table already knows.
    """
    known = {"disable_instance_discovery": True} if discovers else {}

    def make(tenant: str) -> Any:
        return kind(**arguments, **known, additionally_allowed_tenants=[tenant] if tenant else [])

    try:
        make("")
    except (ValueError, TypeError) as error:
        # Neither secret nor key is in what azure-identity says here.
        said = re.split(r"[.?](\s|$)", tidy(masked(str(error))))[0]
        raise Refused(
            f"{origin} cannot be used: {said}. Set it to a PEM or PKCS12 file with the certificate and its RSA private"
            " key, and AZURE_CLIENT_CERTIFICATE_PASSWORD to its password if it has one."
        ) from None
    return make


def _machine(client: str, common: Mapping[str, Any]) -> Callable[[str], Any]:
    """client: the client ID of a user-assigned identity, empty for the machine's only one."""
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
        return _cloud_of(_variable(_AUTHORITY_HOST))
    known = {one.lower(): cloud for one, cloud in CLOUDS.items()}
    if name.lower() not in known:
        raise Refused(
            f"{_name('cloud_environment')} is {quoted(name)}, which this collection does not know."
            f" Set it to one of {', '.join(CLOUDS)}. Clouds given by the address of their metadata are not supported."
        )
    return known[name.lower()]


def _cloud_of(authority: str) -> Cloud:
    """The cloud of a login address, the public one if the address is empty."""
    host = ""
    with contextlib.suppress(ValueError):
        host = urlsplit(authority if "://" in authority else f"https://{authority}").hostname or ""
    host = _OTHER_LOGINS.get(host, host)
    found = next((one for one in CLOUDS.values() if one.login == host), None)
    if authority and not found:
        raise Refused(
            f"{_AUTHORITY_HOST} is {quoted(authority)}, which is not the login address of a cloud that this collection"
            f" knows. Unset it, or set {named('cloud_environment')} to one of {', '.join(CLOUDS)}."
        )
    return found or CLOUDS["AzureCloud"]


def _found(options: Mapping[str, Any], option: str) -> tuple[str, str]:
    """A value and the variable that it comes from, empty for an option."""
    if options.get(option):
        return str(options[option]).strip(), ""
    return next(((_variable(name), name) for name in _VARIABLES[option] if _variable(name)), ("", ""))


def _variable(name: str) -> str:
    """The value of a variable. An empty one counts as not set, because AWX always sets all of them."""
    return os.environ.get(name, "").strip()


def _name(option: str) -> str:
    return f"{named(option)}, or {_VARIABLES[option][0]},"


def _origin(options: Mapping[str, Any], option: str) -> str:
    """Where an option's value comes from."""
    variable = _found(options, option)[1]
    return f"{variable}, which is used for {named(option)}," if variable else named(option)


def _read(path: str, origin: str, what: str) -> bytes:
    try:
        with readable(as_path(path)).open("rb") as file:
            return file.read(_LARGEST)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or "it is not a path"
        raise Refused(f"{origin} is {quoted(path)}, which cannot be read ({said}). Set it to a {what}.") from None


_WORDS: Mapping[str, str] = {
    "7000215": "The secret is wrong: set {secret} to its value, not to its ID.",
    "7000222": "The secret has expired: set {secret} to a new one.",
    "700016": "The tenant has no such application: check {client_id} and {tenant}.",
    "90002": "This tenant does not exist: check {tenant}.",
    "700213": "No federated credential of the application matches the token: compare its issuer, subject and audience.",
    "70021": "No federated credential of the application matches the token: compare its issuer, subject and audience.",
    "700027": "The application does not have this certificate, or it has expired: upload one, or set"
    " {x509_certificate_path} to another.",
    "700024": "The federated token has expired, or this machine's clock is wrong: renew the token, or"
    " correct the clock.",
    "53003": "A Conditional Access policy forbids this login: ask its administrators for an exception.",
    "50076": "Multi-factor authentication is required: use a service principal.",
    "50079": "Multi-factor authentication is required: use a service principal.",
}
"""What to do about Entra's error codes."""


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """Turn errors into messages that contain no credentials."""
    try:
        yield
    except (azure.core.exceptions.AzureError, ValueError) as error:
        said = tidy(masked(str(getattr(error, "message", None) or error)))
        request = _of_requests(error)
        failed = https.problem_of(request, "Azure's token server", CA_OPTION)
        if not failed and https.unanswered(request):
            way = proxies.way_to(getattr(getattr(request, "request", None), "url", None) or "", os.environ)
            failed = (
                f"its token server did not answer{way} ({https.said_by(request)}). Check that this machine can reach"
                " it."
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
