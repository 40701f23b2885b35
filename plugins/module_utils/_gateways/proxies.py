# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which proxy leads to an API server, by the rules of kubectl and Helm. PRIVATE to the collection.

The environment's rules are Go's, from golang.org/x/net/http/httpproxy, which does not know ALL_PROXY. A kubeconfig's
proxy-url takes precedence, and NO_PROXY does not apply to it (client-go, rest.Config.Proxy).
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from .._addresses import Address, ip_address, loopback
from .._engine import Refused

PORTS = {"http": 80, "https": 443, "socks5": 1080}
"""The schemes that a proxy may have, and the default port of each."""

_VARIABLES = ("HTTPS_PROXY", "https_proxy")


@dataclass(frozen=True)
class Proxy:
    """url: SCHEME://HOST:PORT. user, password: empty for none."""

    url: str
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def scheme(self) -> str:
        return self.url.partition(":")[0]

    @property
    def headers(self) -> dict[str, str]:
        """The header that logs in at an HTTP proxy."""
        if not (self.user or self.password):
            return {}
        log_in = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"Proxy-Authorization": f"Basic {log_in}"}

    @property
    def secret_url(self) -> str:
        """The address with user and password in it."""
        if not (self.user or self.password):
            return self.url
        log_in = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        return self.url.replace("://", f"://{log_in}@", 1)


def parse(text: str, origin: str) -> Proxy:
    """A proxy's address; without a scheme it means http.

    origin: where it was found, for the sentence of a refusal, which does not show the address with its password.
    """
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port
        if "@" in f"{parts.path}{parts.query}{parts.fragment}":
            host = None  # what was read is the beginning of a login with a special character in it
    except ValueError:
        host, port = None, None
    if not host or not parts.scheme or not host.isascii() or any(character.isspace() for character in host):
        raise Refused(
            f"{origin} is not the address of a proxy: set it to SCHEME://HOST:PORT. Write special characters in a"
            " user name or password as %XX."
        )
    scheme = "socks5" if parts.scheme == "socks5h" else parts.scheme
    if scheme not in PORTS:
        raise Refused(f"{origin} is a proxy with scheme {scheme}://, but only http, https and socks5 are supported.")
    where = f"[{host}]" if ":" in host else host
    return Proxy(
        f"{scheme}://{where}:{port or PORTS[scheme]}", unquote(parts.username or ""), unquote(parts.password or "")
    )


def of_variables(environment: Mapping[str, str]) -> dict[str, Proxy]:
    """The proxies for https:// in the environment, by the variables that are set: not every library prefers the same
    one. Raises Refused, because libraries show what they cannot parse."""
    found = {name: environment.get(name, "").strip() for name in _VARIABLES}
    return {name: parse(text, f"The environment variable {name}") for name, text in found.items() if text}


def of_environment(url: str, environment: Mapping[str, str]) -> Proxy | None:
    """The proxy for an https:// address, or None if there is none."""
    name, text = _first(environment, *_VARIABLES)
    parts = urlsplit(url)
    exceptions = _first(environment, "NO_PROXY", "no_proxy")[1]
    if not text or _without(parts.hostname or "", str(parts.port or 443), exceptions):
        return None
    return parse(text, f"The environment variable {name}")


def way_to(url: str, environment: Mapping[str, str]) -> str:
    """Through which proxy of the environment an https:// address is reached, in words after a blank; empty if none."""
    proxy = of_environment(url, environment)
    return f" through proxy {proxy.url}" if proxy else ""


def _first(environment: Mapping[str, str], *names: str) -> tuple[str, str]:
    """The first of these variables that is set and not blank, and its value; two empty texts if none is."""
    found = ((name, environment.get(name, "").strip()) for name in names)
    return next(((name, text) for name, text in found if text), ("", ""))


def _without(host: str, port: str, exceptions: str) -> bool:
    """Whether no proxy is used for a host. exceptions: the value of NO_PROXY."""
    if loopback(host):
        return True
    its_address = ip_address(host)
    entries = (entry.strip().lower() for entry in exceptions.split(","))
    return any(_matches(entry, host, its_address, port) for entry in entries if entry)


def _matches(entry: str, host: str, address: Address | None, port: str) -> bool:
    """Whether an entry of NO_PROXY matches a host: *, a network, an address or a domain; these may have a port."""
    if entry == "*":
        return True
    network = _network(entry) if "/" in entry else None
    if network:
        return address is not None and address in network
    name, its_port = _split(entry)
    if not name or its_port not in ("", port):
        return False
    its_address = ip_address(name)
    if its_address or address:
        return its_address == address
    domain = name[1:] if name.startswith("*.") else name
    return host.endswith(domain if domain.startswith(".") else f".{domain}") or host == domain


def _split(entry: str) -> tuple[str, str]:
    """Host and port; the port is empty if the entry has none."""
    host, colon, port = entry.rpartition(":")
    if colon and host.startswith("[") and host.endswith("]"):
        return host[1:-1], port
    return (host, port) if colon and ":" not in host else (entry, "")


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry, strict=False) if entry.rpartition("/")[2].isdigit() else None
    except ValueError:
        return None
