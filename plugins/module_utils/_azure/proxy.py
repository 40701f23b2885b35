# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTTP proxy that CAST AI's nodes use. A password in its address is a secret. Pure. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .._credentials import SHORTEST, in_address, quoted

FROM_CLUSTER, NONE = "from_cluster", "none"

_KEYS = ("http", "https", "no_proxy")


@dataclass(frozen=True)
class Proxy:
    """Empty for no proxy. http, https: addresses. no_proxy: hosts and networks that are reached directly."""

    http: str = field(default="", repr=False)
    https: str = field(default="", repr=False)
    no_proxy: tuple[str, ...] = ()

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Proxy:
        return cls(given.get("http") or "", given.get("https") or "", tuple(_listed(given.get("no_proxy"))))

    @classmethod
    def recorded(cls, block: Mapping[str, Any]) -> Proxy:
        """The proxy that CAST AI has on record."""
        exceptions = block.get("noProxy")
        found = [str(one) for one in exceptions] if isinstance(exceptions, list) else []
        return cls(str(block.get("httpProxy") or ""), str(block.get("httpsProxy") or ""), tuple(found))

    def body(self) -> dict[str, Any]:
        """The proxy in the format of CAST AI's API. Secret."""
        texts = {"httpProxy": self.http, "httpsProxy": self.https}
        return {**{key: text for key, text in texts.items() if text}, "noProxy": list(self.no_proxy)}

    def shown(self) -> dict[str, Any]:
        """Only hosts and ports, no passwords."""
        return {"http": host(self.http), "https": host(self.https), "no_proxy": list(self.no_proxy)}

    def same(self, other: Proxy) -> bool:
        return (self.http, self.https, set(self.no_proxy)) == (other.http, other.https, set(other.no_proxy))


def host(address: str) -> str:
    """Host and port of an address. Empty if it has none."""
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    return f"{parts.hostname or ''}{port}"


def _is_proxy(address: str) -> bool:
    """Whether a text is an address of a proxy by HTTP, with or without its scheme."""
    scheme = address.partition("://")[0].lower() if "://" in address else "http"
    plain = address.isascii() and address.isprintable() and " " not in address
    return plain and scheme in ("http", "https") and bool(host(address))


def secrets(given: Any) -> Iterator[str]:
    """The texts to mask wherever they appear: addresses that contain credentials, and those credentials."""
    for address in given.values() if isinstance(given, Mapping) else ():
        found = in_address(address) if isinstance(address, str) else ()
        if found:
            yield address
            yield from (text for text in found if len(text) >= SHORTEST)


def proxy_problems(given: Any, option: str) -> Iterator[str]:
    """What is wrong with the option. The sentences never contain the value."""
    if not isinstance(given, Mapping):
        if given not in (FROM_CLUSTER, NONE):
            yield f"{option} must be {FROM_CLUSTER}, {NONE} or a dictionary with {', '.join(_KEYS)}. Correct it."
        return
    for key in given:
        if key not in _KEYS:
            yield f"{option} contains the unknown key {quoted(key)}. Use only: {', '.join(_KEYS)}."
    if not (given.get("http") or given.get("https")):
        yield (
            f"{option} has neither http nor https. Set one of them to the address of the proxy, or set {option} to"
            f" {NONE}."
        )
    for key in ("http", "https"):
        address = given.get(key) or ""
        if not isinstance(address, str) or (address and not _is_proxy(address)):
            yield f"{option}.{key} is not an address. Set it to one such as http://proxy.example.com:3128."
    exceptions = given.get("no_proxy") or ""
    items = exceptions if isinstance(exceptions, (list, tuple)) else [exceptions]
    if not all(isinstance(one, str) for one in items):
        yield f"{option}.no_proxy must be a list of strings. Correct it."


def _listed(value: Any) -> Iterator[str]:
    """A list, or a text with commas between the items."""
    parts = value.split(",") if isinstance(value, str) else value or ()
    yield from (str(one).strip() for one in parts if str(one).strip())
