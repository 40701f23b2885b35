# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._engine import Refused
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.proxies import Proxy, of_environment, parse

NAMES = ("https://prod.example", "https://prod.example:6443", "https://a.PROD.example", "https://xprod.example")
ADDRESSES = ("https://10.1.2.3", "https://10.1.2.3:6443", "https://[fd00::1]", "https://[::ffff:10.1.2.3]")

NO_PROXY = {
    "": "",
    ",, ,": "",
    "*": "11111111",
    "prod.example": "111",
    " PROD.example , x": "111",
    ".prod.example": "..1",
    "*.prod.example": "..1",
    "*prod.example": "",
    "prod.example:443": "1.1",
    "prod.example:6443": ".1",
    "example": "1111",
    "xample": "",
    ":443": "",
    "10.1.2.3": "....11.1",
    "10.1.2.3:6443": ".....1",
    "10.0.0.0/8": "....11.1",
    "10.1.2.3/8": "....11.1",
    "10.0.0.0/99": "",
    "10.0.0.0/255.0.0.0": "",
    "0.0.0.0/0": "....11.1",
    "fd00::/8": "......1",
    "fd00::1": "......1",
    "[fd00::1]:443": "......1",
    "[fd00::1]:6443": "",
    "::ffff:10.1.2.3": "....11.1",
    "10.": "",
    "localhost,10.0.0.0/8,.example": "111111.1",
}
"""For which of these addresses a value bypasses the proxy: those with a 1.

Checked against Go: golang.org/x/net/http/httpproxy 0.50.0 answers the same for each of these.
"""


@pytest.mark.parametrize(
    ("exceptions", "url", "direct"),
    [
        (exceptions, url, marks[number : number + 1] == "1")
        for exceptions, marks in NO_PROXY.items()
        for number, url in enumerate((*NAMES, *ADDRESSES))
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_what_goes_past_the_proxy(name: str, exceptions: str, url: str, direct: bool) -> None:
    found = of_environment(url, {"HTTPS_PROXY": "http://proxy:3128", name: exceptions})
    assert found == (None if direct else Proxy("http://proxy:3128"))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9:6443", "[::1]:6443", "[::ffff:127.0.0.1]"])
def test_this_machine_is_never_reached_through_the_environments_proxy(host: str) -> None:
    assert of_environment(f"https://{host}", {"HTTPS_PROXY": "http://proxy:3128"}) is None


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, None),
        ({"HTTPS_PROXY": ""}, None),
        ({"HTTPS_PROXY": " "}, None),
        ({"HTTPS_PROXY": "upper:1", "https_proxy": "lower:1"}, "http://upper:1"),
        ({"HTTPS_PROXY": "", "https_proxy": "lower:1"}, "http://lower:1"),
        ({"HTTP_PROXY": "http://other:1", "ALL_PROXY": "http://all:1", "all_proxy": "http://all:1"}, None),
        ({"HTTPS_PROXY": "proxy:1", "NO_PROXY": "", "no_proxy": "prod.example"}, None),
        ({"HTTPS_PROXY": "proxy:1", "NO_PROXY": "x", "no_proxy": "prod.example"}, "http://proxy:1"),
    ],
)
def test_the_variables_that_count(environment: dict[str, str], url: str | None) -> None:
    found = of_environment("https://prod.example", environment)
    assert (found.url if found else None) == url


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("http://proxy", Proxy("http://proxy:80")),
        ("HTTP://Proxy:3128/", Proxy("http://proxy:3128")),
        ("https://proxy", Proxy("https://proxy:443")),
        ("proxy", Proxy("http://proxy:80")),
        ("proxy.example:3128", Proxy("http://proxy.example:3128")),
        ("10.0.0.1:3128", Proxy("http://10.0.0.1:3128")),
        ("[fd00::1]:3128", Proxy("http://[fd00::1]:3128")),
        ("me:CANARY@proxy:3128", Proxy("http://proxy:3128", "me", "CANARY")),
        ("http://me:CAN%40%3ARY%20@proxy", Proxy("http://proxy:80", "me", "CAN@:RY ")),
        ("http://me:CAN@RY@proxy", Proxy("http://proxy:80", "me", "CAN@RY")),
        ("http://me:CAN%R^Y@proxy", Proxy("http://proxy:80", "me", "CAN%R^Y")),
        ("http://:CANARY@proxy", Proxy("http://proxy:80", "", "CANARY")),
        ("http://me@proxy", Proxy("http://proxy:80", "me", "")),
        ("socks5://proxy", Proxy("socks5://proxy:1080")),
        ("socks5h://me:x@proxy", Proxy("socks5://proxy:1080", "me", "x")),
    ],
)
def test_an_address_of_a_proxy(text: str, proxy: Proxy) -> None:
    found = parse(text, "proxy-url")
    assert found == proxy
    assert parse(found.secret_url, "proxy-url") == proxy
    assert "CAN" not in repr(found)


@pytest.mark.parametrize(
    "text",
    [
        "http://",
        "http://me:CANARY#@proxy:3128",
        "proxy:CANARY",
        "http://CAN ARY:1",
        "://x",
        "http://CAN:12/x@h",
        "CAN:12?x@h:1",
        "CAN:12#x@h",
        "me:CAN@\u2603",
    ],
)
def test_what_is_not_the_address_of_a_proxy_is_refused_unseen(text: str) -> None:
    with pytest.raises(
        Refused, match=r"^HTTPS_PROXY is not the address of a proxy: set it to SCHEME://HOST:PORT"
    ) as caught:
        parse(text, "HTTPS_PROXY")
    assert "CAN" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["ftp", "socks4", "socks"])
def test_a_scheme_that_no_proxy_has(scheme: str) -> None:
    with pytest.raises(Refused, match=rf"^X is a proxy with scheme {scheme}://, but only http, https and socks5 are"):
        parse(f"{scheme}://me:CANARY@proxy:1", "X")
