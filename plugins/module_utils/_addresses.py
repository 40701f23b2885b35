# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses that options give: no credentials in them, and none sent in clear text. Pure. PRIVATE to the collection."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from ._credentials import SHORTEST, in_address, quoted
from ._variables import named, role_of

_HOST = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
_HOSTS_AND_PORTS: Mapping[str, str] = {
    "castai_grpc_url": "grpc.cast.ai:443",
    "components_grpc_url": "grpc.cast.ai:443",
    "components_kvisor_url": "kvisor.prod-master.cast.ai:443",
}
"""Variables that take such an address, with an example."""
FOR_CHARTS = (*_HOSTS_AND_PORTS, "castai_cluster_api_url", "castai_proxy")
"""Variables whose addresses a role only passes on to a chart."""
_EXAMPLES: Mapping[str, str] = {
    "castai_api_url": "https://api.cast.ai",
    "host": "https://10.0.0.1:6443",
    "endpoint_url": "https://aws.example.com",
    "chart_repo_url": "https://charts.example.com",
    "chart_ref": "oci://charts.example.com/castai-agent",
}

Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"

_CHART = (
    (
        "Log in with Helm. For a registry: helm registry login HOST. For a repository: helm repo add NAME ADDRESS"
        " --username USER --password-stdin; then set {} to NAME/CHART, and leave out {}."
    ),
    "chart_ref",
    "chart_repo_url",
)
_CREDENTIALS: Mapping[str, tuple[str, ...]] = {
    "castai_api_url": ("The API key goes into {}.", "castai_api_key"),
    "host": ("A token goes into {}, a user name and password into the file of {}.", "api_key", "kubeconfig"),
    "endpoint_url": ("Credentials go into {} and {}, or {}.", "access_key", "secret_key", "profile"),
    "chart_repo_url": _CHART,
    "chart_ref": _CHART,
}
"""The options that are addresses, with a sentence on where credentials for each belong, and the options in it."""


def problems(params: Mapping[str, Any]) -> tuple[str, ...]:
    """What is wrong with the addresses among a module's options and suboptions. The sentences show no secret."""
    found = (problem(option, url, role) for option, url, role in _addresses(params))
    return tuple(dict.fromkeys(filter(None, found)))


def of_variable(name: str, value: Any) -> str:
    """What is wrong with the value of a variable of FOR_CHARTS, or an empty text. Nothing else would notice it before
    the pods fail. value: of the variable's type."""
    if name == "castai_cluster_api_url":
        return problem("castai_api_url", value, name=name)
    if name in _HOSTS_AND_PORTS and not _is_host_and_port(value):
        return f"{name} is {quoted(value)}. Set it to HOST:PORT, for example {_HOSTS_AND_PORTS[name]}."
    if name == "castai_proxy":
        wrong = (key for key in ("http", "https") if value.get(key) and not _is_proxy(str(value[key])))
        return next(
            (f"{name}.{key} is not an address such as http://proxy.example.com:3128. Correct it." for key in wrong), ""
        )
    return ""


def _is_host_and_port(text: str) -> bool:
    parts = _parts(f"https://{text}")
    return parts is not None and bool(re.fullmatch(r"[^/]*:[0-9]+", text)) and _is_host(parts[1])


def _is_proxy(text: str) -> bool:
    scheme, marker, rest = text.rpartition("://")
    parts = _parts(f"http://{rest}")
    return parts is not None and _is_host(parts[1]) and (not marker or scheme in ("http", "https", "socks5"))


def _is_host(host: str) -> bool:
    return bool(_HOST.fullmatch(host) or ip_address(host))


def problem(option: str, url: str, role: str = "castai", name: str = "") -> str:
    """What is wrong with the address that an option gives, or an empty text. role: see named. name: of the variable, if
    it is not the option's."""
    name = name or named(option, role)
    if in_address(url):
        way, *options = _CREDENTIALS[option]
        return (
            f"{name} contains a user name, token or password. Set it to the address without them."
            f" {way.format(*(named(one, role) for one in options))}"
        )
    if option == "castai_api_url" and not url.startswith("https://"):
        return f"{name} is {quoted(url)}. Set it to an address that starts with https://."
    if option == "host" and not url.startswith("https://"):
        return f"{name} is {quoted(url)}. Set it to the API server's address, starting with https://."
    if "://" in url and not url.startswith("file://") and not _usable(url, option):
        return (
            f"{name} is {quoted(url)}, which is not a valid address. Set it to one such as {_EXAMPLES[option]}, with a"
            " host name in ASCII and, if any, a port from 1 to 65535, and without '?' and '#'."
        )
    if option == "castai_api_url" and url.rstrip("/").endswith("/v1"):
        return f"{name} is {quoted(url)}. Remove /v1 from its end: each call adds it."
    if option == "endpoint_url" and in_clear(url):
        return (
            f"{name} is {quoted(url)}, which would send session tokens and new access keys in clear text. Set it to an"
            " address that starts with https://. http:// is only allowed for this machine itself."
        )
    return ""


def _usable(url: str, option: str) -> bool:
    """Whether something can be asked there. Our own calls add a path to the address of an API."""
    parts = _parts(url)
    if parts is None or not _is_host(parts[1]):
        return False
    return option in ("chart_ref", "chart_repo_url") or not {*"?#"} & {*url}


def hidden(params: Mapping[str, Any]) -> Iterator[str]:
    """The texts to mask wherever they appear: addresses with credentials in them, and these credentials."""
    for _option, url, _role in _addresses(params):
        secrets = in_address(url)
        if secrets:
            yield url
            yield from (text for text in secrets if len(text) >= SHORTEST)


def in_clear(url: str) -> bool:
    """Whether an address leads to another machine by HTTP without TLS."""
    parts = _parts(url)
    return parts is not None and parts[0] == "http" and not loopback(parts[1])


def loopback(host: str) -> bool:
    """Whether a name or address is that of this machine."""
    found = ip_address(host)
    return host.lower() == "localhost" or bool(found and found.is_loopback)


def ip_address(host: str) -> Address | None:
    """The IP address of a host, in IPv4 form if it is written as IPv6, or None if the host is a name."""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _parts(url: str) -> tuple[str, str] | None:
    """Scheme and host, or None if it is not an address. urlsplit ignores line breaks and tabs."""
    try:
        parts = urlsplit(url)
        port_is_a_number = parts.port is None or bool(parts.port)
    except ValueError:
        return None
    usable = port_is_a_number and url.isprintable() and not {*" \\"} & {*url}
    return (parts.scheme, parts.hostname or "") if usable else None


def _addresses(params: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Option, address, and the role whose variables set the option."""
    role = role_of(str(params.get("name") or "")) if "chart_ref" in params else "castai"
    for option, value in params.items():
        if option in _CREDENTIALS and isinstance(value, str) and value:
            yield option, value, role
        for item in value if isinstance(value, list) else ():
            if isinstance(item, Mapping):
                yield from _addresses(item)
