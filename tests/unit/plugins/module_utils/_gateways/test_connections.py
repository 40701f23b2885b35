# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of connections: every way to an API server, and the message for each that fails.

The unit tests run it with the installed client, the gates with every kubernetes client from the oldest to the newest.
"""

from __future__ import annotations

import base64
import functools
import importlib.util
import json
import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._engine import CallFailed, Refused
from ansible_collections.castai.onboarding.plugins.module_utils._gateways import kubernetes as gateway
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.kubernetes import by_kubeconfig, by_token
from tests.sandbox.pki import Authority, Identity, self_signed, server_context
from tests.sandbox.server import Server
from tests.support.https import Script, reply
from tests.support.tunnel import Tunnel
from tests.support.tunnel import serve as serve_tunnel

HOSTS = ("127.0.0.1", "prod.example")
PATH = "/api/v1/namespaces"
FINE = {"kind": "NamespaceList"}
AUTHORITY = Authority("prod")
OLD_AUTHORITY = Authority("an EKS cluster of 2018", identifiers=False)
OTHER_AUTHORITY = Authority("somebody else")
OWN = self_signed("127.0.0.1", HOSTS)
ADMIN = AUTHORITY.issue("admin", groups=["system:masters"])
TOKEN = "CANARY-token"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def chain(authority: Authority, hosts: tuple[str, ...] = HOSTS, **more: Any) -> Identity:
    """A server's certificate and that of its authority."""
    identity = authority.issue(hosts[0], hosts=hosts, **more)
    return Identity(identity.certificate + authority.pem, identity.key)


SERVERS: dict[str, Callable[[], ssl.SSLContext | None]] = {
    "usual": lambda: server_context(chain(AUTHORITY)),
    "old": lambda: server_context(chain(OLD_AUTHORITY)),
    "self-signed": lambda: server_context(OWN),
    "another name": lambda: server_context(chain(AUTHORITY, ("kubernetes",))),
    "another name, by address": lambda: server_context(chain(AUTHORITY, ("10.9.9.9",))),
    "name without SAN": lambda: server_context(AUTHORITY.issue("127.0.0.1")),
    "expired": lambda: server_context(chain(AUTHORITY, days=(-9, -2))),
    "early": lambda: server_context(chain(AUTHORITY, days=(2, 9))),
    "asks for a certificate": lambda: asking(AUTHORITY),
    "no TLS": lambda: None,
}


def asking(authority: Authority) -> ssl.SSLContext:
    context = server_context(chain(authority))
    context.verify_mode = ssl.CERT_REQUIRED
    # With TLS 1.3 the refusal comes after the handshake, and closing the connection may overtake it.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=authority.pem)
    return context


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy except the test's own, no pauses, and a system without trusted certificates."""
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    monkeypatch.setenv("SSL_CERT_DIR", "/dev/null")
    monkeypatch.setattr(gateway.time, "sleep", lambda seconds: None)


@dataclass(frozen=True)
class Place:
    """A running API server. folder: for files."""

    port: int
    script: Script
    folder: Path

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def kubeconfig(self, user: dict[str, Any], **cluster: Any) -> str:
        """A kubeconfig with this user and cluster; if CA or server are not given, they are the usual ones."""
        trust = {} if any(key.startswith(("cert", "insecure")) for key in cluster) else {"": ""}
        default = {"certificate-authority-data": encoded(AUTHORITY.pem)} if trust else {}
        path = self.folder / "kubeconfig"
        content = {
            "current-context": "here",
            "clusters": [{"name": "c", "cluster": {"server": self.url, **default, **cluster}}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        }
        path.write_text(json.dumps(content), encoding="utf-8")
        return str(path)

    def file(self, name: str, text: str) -> str:
        """The name of a new file beside the kubeconfig."""
        (self.folder / name).write_text(text, encoding="utf-8")
        return name

    def received(self) -> list[str]:
        """The Authorization header of each request."""
        return [request.headers.get("authorization", "") for request in self.script.received]


@functools.cache
def started(kind: str) -> tuple[Script, int]:
    """One server of each kind for all tests, because stopping one takes longer than a test."""
    script = Script()
    return script, Server(lambda request, _client, _own: script(request), SERVERS[kind]()).port


def served(kind: str, folder: Path) -> Place:
    script, port = started(kind)
    script.play(reply(200, FINE))
    return Place(port, script, folder)


# What reaches the API server

Connect = Callable[[Place], gateway.Kubernetes]
BEARER = f"Bearer {TOKEN}"


def by_host(ca_pem: str, checked: bool = True) -> Connect:
    return lambda place: by_token(place.url, TOKEN, ca_pem, checked)


def by_user(user: Callable[[Place], dict[str, Any]], **cluster: Any) -> Connect:
    return lambda place: by_kubeconfig(place.kubeconfig(user(place), **cluster), None)


def with_token(_place: Place) -> dict[str, Any]:
    return {"token": TOKEN}


def by_command(status: dict[str, Any], **more: Any) -> Connect:
    def user(place: Place) -> dict[str, Any]:
        version = "client.authentication.k8s.io/v1"
        printed = {"apiVersion": version, "kind": "ExecCredential", "status": status}
        place.file("printed.json", json.dumps(printed))
        code = f"print(open({str(place.folder / 'printed.json')!r}).read())"
        return {"exec": {"apiVersion": version, "command": sys.executable, "args": ["-S", "-c", code], **more}}

    return by_user(user)


def id_token() -> str:
    """An OpenID Connect token that is valid for an hour; nobody checks its signature."""
    parts = ({"alg": "none"}, {"exp": int(time.time()) + 3600}, {})
    return ".".join(encoded(json.dumps(part)).rstrip("=") for part in parts)


ID_TOKEN = id_token()


def pinned(place: Place) -> gateway.Kubernetes:
    return by_token(place.url, TOKEN, ssl.get_server_certificate(("127.0.0.1", place.port)), True)


WAYS: dict[str, tuple[str, Connect, str]] = {
    "own CA": ("usual", by_host(AUTHORITY.pem), BEARER),
    "own CA among others": ("usual", by_host(OTHER_AUTHORITY.pem + AUTHORITY.pem), BEARER),
    "CA without key identifiers": ("old", by_host(OLD_AUTHORITY.pem), BEARER),
    "self-signed, and named as CA": ("self-signed", by_host(OWN.certificate), BEARER),
    "the server's certificate as CA": ("usual", pinned, BEARER),
    "certificates not checked": ("expired", by_host("", False), BEARER),
    "CA inline": ("usual", by_user(with_token), BEARER),
    "CA in a file beside": (
        "usual",
        lambda place: by_user(with_token, **{"certificate-authority": place.file("ca.pem", AUTHORITY.pem)})(place),
        BEARER,
    ),
    "CA of the option in place of the kubeconfig's": (
        "old",
        lambda place: by_kubeconfig(place.kubeconfig({"token": TOKEN}), None, OLD_AUTHORITY.pem),
        BEARER,
    ),
    "not checked by the option": (
        "expired",
        lambda place: by_kubeconfig(place.kubeconfig({"token": TOKEN}), None, "", False),
        BEARER,
    ),
    "not checked by the kubeconfig": ("expired", by_user(with_token, **{"insecure-skip-tls-verify": True}), BEARER),
    "tls-server-name": ("another name", by_user(with_token, **{"tls-server-name": "kubernetes"}), BEARER),
    "tls-server-name, an address": (
        "another name, by address",
        by_user(with_token, **{"tls-server-name": "10.9.9.9"}),
        BEARER,
    ),
    "token of digits": ("usual", by_user(lambda place: {"token": 1234567890}), "Bearer 1234567890"),
    "token file with a line break": (
        "usual",
        by_user(lambda place: {"tokenFile": place.file("token", f"{TOKEN}\n")}),
        BEARER,
    ),
    "password": (
        "usual",
        by_user(lambda place: {"username": "admin", "password": "CANARY:ä"}),
        f"Basic {encoded('admin:CANARY:ä')}",
    ),
    "client certificate inline": (
        "asks for a certificate",
        by_user(
            lambda place: {
                "client-certificate-data": encoded(ADMIN.certificate),
                "client-key-data": encoded(ADMIN.key),
            }
        ),
        "",
    ),
    "client certificate in files beside": (
        "asks for a certificate",
        by_user(
            lambda place: {
                "client-certificate": place.file("admin.pem", ADMIN.certificate),
                "client-key": place.file("admin.key", ADMIN.key),
            }
        ),
        "",
    ),
    "program that prints a token": ("usual", by_command({"token": TOKEN}, env=None), BEARER),
    "program that prints a certificate": (
        "asks for a certificate",
        by_command({"clientCertificateData": ADMIN.certificate, "clientKeyData": ADMIN.key}),
        "",
    ),
    "auth-provider": (
        "usual",
        by_user(lambda place: {"auth-provider": {"name": "oidc", "config": {"id-token": ID_TOKEN}}}),
        f"Bearer {ID_TOKEN}",
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_kubectl_accepts_leads_to_the_server_and_so_does_the_kubeconfig_for_helm(
    way: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    kind, connect, authorization = WAYS[way]
    place = served(kind, tmp_path)
    cluster = connect(place)
    assert cluster.get(PATH) == FINE
    again = tmp_path / "again"
    again.write_text(cluster.kubeconfig(), encoding="utf-8")
    assert by_kubeconfig(str(again), None).get(PATH) == FINE
    assert place.received() == [authorization] * 2
    assert [str(warning.message) for warning in recwarn if warning.category is not ResourceWarning] == []


# What is refused

TRUST = r"The TLS certificate of {url} is not trusted: .*\. Set castai_kubernetes_ca_cert \(option ca_cert\)"
SKIP = r".* set castai_kubernetes_validate_certs \(option kubernetes_validate_certs\) to false to skip the check\.$"

REFUSALS: dict[str, tuple[str, Connect, str]] = {
    "another CA": ("usual", by_host(OTHER_AUTHORITY.pem), TRUST + SKIP),
    "another CA in the kubeconfig": (
        "usual",
        by_user(with_token, **{"certificate-authority-data": encoded(OTHER_AUTHORITY.pem)}),
        TRUST.replace("Set ", "Set certificate-authority-data in the kubeconfig, or set ") + SKIP,
    ),
    "another CA than EKS names": (
        "usual",
        lambda place: by_token(place.url, None, OTHER_AUTHORITY.pem, True, lambda: TOKEN),
        r"The TLS certificate of {url} is not trusted: .* The cluster has another authority at its provider, .*" + SKIP,
    ),
    "a CA that the system does not know": ("usual", by_host(""), TRUST + SKIP),
    "self-signed": ("self-signed", by_host(AUTHORITY.pem), TRUST + SKIP),
    "expired": ("expired", by_host(AUTHORITY.pem), "The TLS certificate of {url}, .* has expired: renew it" + SKIP),
    "not valid yet": ("early", by_host(AUTHORITY.pem), "The TLS certificate of {url}, .* is not valid yet: " + SKIP),
    "for another name": (
        "another name",
        by_host(AUTHORITY.pem),
        r"The TLS certificate of {url} is for another name: .*\. Use an address that it covers, .*tls-server-name"
        + SKIP,
    ),
    "for another name than tls-server-name": (
        "usual",
        by_user(with_token, **{"tls-server-name": "kubernetes"}),
        "The TLS certificate of {url} is for another name: " + SKIP,
    ),
    "a common name alone": (
        "name without SAN",
        by_host(AUTHORITY.pem),
        r"The TLS certificate of {url} (was refused|is for another name): " + SKIP,
    ),
    "no client certificate": ("asks for a certificate", by_host(AUTHORITY.pem), "{url} closed the TLS connection "),
    "not TLS": (
        "no TLS",
        by_host(AUTHORITY.pem),
        r"TLS with {url} failed \(.*\): check that this is the address of an API server",
    ),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_connection_that_is_refused_is_told_in_one_sentence_and_not_tried_again(refusal: str, tmp_path: Path) -> None:
    kind, connect, sentence = REFUSALS[refusal]
    place = served(kind, tmp_path)
    with pytest.raises(CallFailed, match=f"^{sentence.format(url=place.url)}") as caught:
        connect(place).get(PATH)
    assert place.received() == []
    assert "CANARY" not in str(caught.value)


def saying(words: str, code: int = 1) -> dict[str, Any]:
    """A program that prints this and ends."""
    return {
        "command": sys.executable,
        "args": ["-S", "-c", f"import sys; sys.stderr.write({words!r}); sys.exit({code})"],
    }


PROGRAMS: dict[str, tuple[dict[str, Any], str]] = {
    "fails": (
        {"command": sys.executable, "args": ["-S", "-c", "import sys; sys.exit('log in first')"]},
        "ended with 1: log in first",
    ),
    "fails with a reason and a hint": (
        saying("time=now\nToken has expired\nand refresh failed\n\n"),
        "now Token has expired and",
    ),
    "says much": (saying("x" * 100_000), r"ended with 1: x{300,397}\."),
    "colors": (saying("\x1b[31mno\x1b[0m \x1b]0;title\x07access\r\x00"), "ended with 1: no access"),
    "says a secret": (saying("got --token=CANARY-1 and password: 'CANARY-2'"), r"--token=\*+ and password: '\*+'"),
    "says another secret": (saying("Authorization: Bearer CANARY-345"), r"Bearer \*+"),
    "says an address": (saying("proxy http://me:CANARY-pw@proxy:1 refused"), r"http://\*+@proxy:1 refused"),
    "says a token": (saying(f"have {ID_TOKEN} only"), r"have \*+ only"),
    "says what it was given": (
        {**saying("with CANARY-given"), "env": [{"name": "ANY", "value": "CANARY-given"}]},
        r"with \*+",
    ),
    "says why it prints nothing": (saying("no such profile", 0), "printed no ExecCred.* It said: no such profile"),
    "prints what is too deep": (
        {"command": sys.executable, "args": ["-S", "-c", "print('[' * 200000)"]},
        "printed no ExecCred",
    ),
    "prints something else": ({"command": sys.executable, "args": ["-S", "-c", "print(1)"]}, "printed no ExecCred"),
    "is not there": ({"command": "/no/such", "installHint": "Get it\nthere."}, r"did not start \(.*\)\. Get it there"),
    "asks": ({"command": "x", "interactiveMode": "Always"}, "asks for input, which a run cannot give"),
    "has no name": ({}, "has no command"),
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_why_a_program_gives_no_credentials_is_told(program: str, tmp_path: Path) -> None:
    entry, sentence = PROGRAMS[program]
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", **entry}}
    path = Place(1, Script(), tmp_path).kubeconfig(user)
    with pytest.raises(Refused, match=rf"^kubeconfig '{path}', context \(current\): the .*{sentence}") as caught:
        by_kubeconfig(path, None)
    said = str(caught.value)
    assert "CANARY" not in said
    assert ID_TOKEN not in said
    assert said.isprintable()


def test_a_program_is_told_of_the_cluster_when_it_asks(tmp_path: Path) -> None:
    code = "import os; print(open({!r}, 'w').write(os.environ['KUBERNETES_EXEC_INFO'] + os.environ['OWN']))"
    entry = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": sys.executable,
        "args": ["-S", "-c", code.format(str(tmp_path / "told"))],
        "env": [{"name": "OWN", "value": "}"}],
        "provideClusterInfo": True,
    }
    place = Place(1, Script(), tmp_path)
    with pytest.raises(Refused):
        by_kubeconfig(place.kubeconfig({"exec": entry}), None)
    told = json.loads((tmp_path / "told").read_text(encoding="utf-8")[:-1])
    assert (told["kind"], told["apiVersion"]) == ("ExecCredential", entry["apiVersion"])
    assert told["spec"]["interactive"] is False
    assert told["spec"]["cluster"]["certificate-authority-data"] == encoded(AUTHORITY.pem)


# Proxies

FAR = "https://prod.example"
"""Only the proxy can resolve this name."""
LOG_IN = "me:CAN@RY: ü"
WRITTEN = "me:CAN%40RY%3A%20%C3%BC@"


def far(place: Place, proxy: str = "") -> gateway.Kubernetes:
    """The server behind the proxy, reached with a kubeconfig that has proxy-url if one is given."""
    return by_kubeconfig(
        place.kubeconfig({"token": TOKEN}, server=FAR, **({"proxy-url": proxy} if proxy else {})), None
    )


@pytest.mark.parametrize("origin", ["proxy-url", "HTTPS_PROXY", "https_proxy"])
@pytest.mark.parametrize("log_in", ["", LOG_IN])
@pytest.mark.parametrize("scheme", ["http://", "", "https://", "socks5://", "socks5h://"])
def test_a_proxy_is_gone_through(
    scheme: str, log_in: str, origin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = None
    if scheme == "https://":
        authority = Authority("proxy")
        tls = server_context(chain(authority, ("localhost",)))
        (tmp_path / "proxy-ca.pem").write_text(authority.pem, encoding="utf-8")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "proxy-ca.pem"))
    place = served("usual", tmp_path)
    with serve_tunnel(Tunnel(place.port, log_in), tls) as tunnel:
        proxy = f"{scheme}{WRITTEN if log_in else ''}localhost:{tunnel.port}"
        if origin != "proxy-url":
            monkeypatch.setenv(origin, proxy)
        cluster = far(place, proxy if origin == "proxy-url" else "")
        assert cluster.get(PATH) == FINE
        assert (tunnel.asked, place.received()) == (["prod.example:443"], [BEARER])
        again = tmp_path / "again"
        again.write_text(cluster.kubeconfig(), encoding="utf-8")
        assert by_kubeconfig(str(again), None).get(PATH) == FINE
        assert tunnel.asked == ["prod.example:443"] * 2


@pytest.mark.parametrize("exceptions", ["prod.example", ".example", "*", "prod.example:443"])
def test_no_proxy_counts_for_the_environments_proxy_and_not_for_the_kubeconfigs(
    exceptions: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", exceptions)
    place = served("usual", tmp_path)
    with serve_tunnel(Tunnel(place.port)) as tunnel:
        proxy = f"http://localhost:{tunnel.port}"
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with pytest.raises(CallFailed, match=r"^Kubernetes API server https://prod\.example did not answer: "):
            far(place).get(PATH)
        assert tunnel.asked == []
        assert far(place, proxy).get(PATH) == FINE


@pytest.mark.parametrize("given", ["", "me:CANARY@"])
@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_wants_another_log_in(scheme: str, given: str, tmp_path: Path) -> None:
    place = served("usual", tmp_path)
    with serve_tunnel(Tunnel(place.port, LOG_IN)) as tunnel:
        sentence = rf"^Proxy {scheme}://localhost:{tunnel.port} requires a different login: put USER:PASSWORD@"
        with pytest.raises(CallFailed, match=sentence) as caught:
            far(place, f"{scheme}://{given}localhost:{tunnel.port}").get(PATH)
    assert "CANARY" not in str(caught.value)


def test_a_proxy_that_does_not_let_through(tmp_path: Path) -> None:
    place = served("usual", tmp_path)
    with serve_tunnel(Tunnel(place.port, said="403 Forbidden")) as tunnel:
        proxy = f"http://localhost:{tunnel.port}"
        sentence = rf"^Proxy {proxy} does not allow connections to {FAR}: 403 Forbidden\. Allow them there"
        with pytest.raises(CallFailed, match=sentence):
            far(place, proxy).get(PATH)


def test_a_proxy_that_is_not_there(tmp_path: Path) -> None:
    place = served("usual", tmp_path)
    with serve_tunnel(Tunnel(place.port)) as tunnel:
        proxy = f"http://localhost:{tunnel.port}"
    sentence = rf"^Kubernetes API server {FAR} did not answer through proxy {proxy}: .*refused"
    with pytest.raises(CallFailed, match=sentence):
        far(place, f"http://me:CANARY@localhost:{tunnel.port}").get(PATH)


def test_the_certificate_of_a_server_behind_a_proxy_is_checked(tmp_path: Path) -> None:
    place = served("expired", tmp_path)
    with serve_tunnel(Tunnel(place.port)) as tunnel:
        with pytest.raises(CallFailed, match=f"^The TLS certificate of {FAR}, .* has expired"):
            far(place, f"localhost:{tunnel.port}").get(PATH)
        assert place.received() == []


def test_the_certificate_of_a_proxy_is_checked(tmp_path: Path) -> None:
    tls = server_context(chain(OTHER_AUTHORITY, ("localhost",)))
    place = served("usual", tmp_path)
    with serve_tunnel(Tunnel(place.port), tls) as tunnel:
        proxy = f"https://localhost:{tunnel.port}"
        with pytest.raises(CallFailed, match=f"^The TLS certificate of {proxy} is not trusted"):
            far(place, proxy).get(PATH)
        assert tunnel.asked == []


def test_a_socks_proxy_without_pysocks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "socks" else find(name, *more))
    place = served("usual", tmp_path)
    with pytest.raises(Refused, match=r"Proxy socks5://proxy:1080 needs the Python package PySocks") as caught:
        far(place, "socks5://me:CANARY@proxy")
    assert "CANARY" not in str(caught.value)
