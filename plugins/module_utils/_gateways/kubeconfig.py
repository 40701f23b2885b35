# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kubeconfigs, read as kubectl reads them and written for Helm. PRIVATE to the collection.

Source: kubernetes/client-go, tools/clientcmd (api/v1/types.go, loader.go, client_config.go).
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._answers import tidy
from .._credentials import in_address, quoted, without
from .._engine import Refused
from .._given import as_path, readable
from . import files, proxies, tls

try:
    import yaml

    MISSING = ""
except ImportError as error:
    MISSING = str(error)

Entry = dict[str, Any]

_LISTS = {"clusters": "cluster", "users": "user", "contexts": "context"}
_IMPERSONATION = ("as", "as-uid", "as-groups", "as-user-extra")
_PATHS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_SHOWN = 10
"""How many names a message lists."""


class Wrong(Exception):
    """A kubeconfig that cannot be used. The text is a clause, without a full stop, and shows no secret."""


@dataclass(frozen=True)
class Server:
    """An API server and how to connect to it.

    ca_pem: empty for the system's certificates; name: the one that its certificate is for, if that is not the one in
    url; proxy: the kubeconfig's, None if the environment decides; certificate, key: the client's, PEM.
    """

    url: str
    ca_pem: str = ""
    validate_certs: bool = True
    name: str = ""
    proxy: proxies.Proxy | None = None
    certificate: str = ""
    key: str = field(default="", repr=False)


@dataclass(frozen=True)
class Command:
    """A program that prints credentials, named under `exec` of a user."""

    program: str
    arguments: tuple[str, ...]
    variables: Mapping[str, str] = field(repr=False)
    api_version: str
    cluster: Mapping[str, Any] | None
    """Information about the cluster for the program, if it asks for it."""
    hint: str = ""


@dataclass(frozen=True)
class User:
    """How a user logs in: by at most one of these, in addition to or instead of a client certificate.

    token_file: read again from time to time; log_in: user name and password; auth_provider: as in the kubeconfig.
    """

    token: str = field(default="", repr=False)
    token_file: str = ""
    log_in: tuple[str, str] | None = field(default=None, repr=False)
    command: Command | None = None
    auth_provider: Mapping[str, Any] | None = field(default=None, repr=False)


def read(path: str, context: str | None) -> tuple[Server, User]:
    """Server and user of a context, the current one if it is None. path: several are separated by colons, as in
    kubectl.

    Raises Wrong.
    """
    return _chosen(_merged([as_path(part) for part in path.split(os.pathsep) if part]), context)


def read_text(text: str) -> tuple[Server, User]:
    """The same for the current context of a kubeconfig that is not in a file and refers to none. Raises Wrong."""
    content = _content(text)
    config: Entry = {"current-context": _text(content, "current-context")}
    for kind, key in _LISTS.items():
        config[kind] = {_text(item, "name"): item.get(key) or {} for item in content.get(kind) or []}
    return _chosen(config, None)


def _chosen(config: Entry, context: str | None) -> tuple[Server, User]:
    name = context or config["current-context"]
    if not name:
        raise Wrong("it has no current-context")
    chosen = _named(config, "contexts", name)
    cluster = _named(config, "clusters", _text(chosen, "cluster"))
    user = _named(config, "users", _text(chosen, "user")) if _text(chosen, "user") else {}
    impersonated = [key for key in _IMPERSONATION if user.get(key)]
    if impersonated:
        raise Wrong(
            f"its user impersonates another one ({', '.join(impersonated)}), which is not supported: choose a context"
            " whose own user has the permissions"
        )
    server = _server(cluster, user)
    return server, _user(user, cluster, server)


def write(server: Server, authorization: str) -> str:
    """A kubeconfig (JSON is YAML) for a program that needs a file. Secret.

    authorization: the header's value, empty for none.
    """
    cluster: Entry = {"server": server.url}
    if not server.validate_certs:
        cluster["insecure-skip-tls-verify"] = True
    elif server.ca_pem:
        cluster["certificate-authority-data"] = _encoded(tls.plain(server.ca_pem))
    if server.name:
        cluster["tls-server-name"] = server.name
    if server.proxy:
        cluster["proxy-url"] = server.proxy.secret_url
    user: Entry = {}
    if server.certificate:
        user = {"client-certificate-data": _encoded(server.certificate), "client-key-data": _encoded(server.key)}
    scheme, _blank, credential = authorization.partition(" ")
    if scheme == "Basic":
        name, _colon, password = base64.b64decode(credential).decode().partition(":")
        user |= {"username": name, "password": password}
    elif credential:
        user["token"] = credential
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "castai",
            "clusters": [{"name": "castai", "cluster": cluster}],
            "users": [{"name": "castai", "user": user}],
            "contexts": [{"name": "castai", "context": {"cluster": "castai", "user": "castai"}}],
        }
    )


def _merged(paths: list[Path]) -> Entry:
    """The entries of all files by kind and name. If two have the same name, the first counts, as in kubectl."""
    merged: Entry = {"current-context": "", **{kind: {} for kind in _LISTS}}
    found = [path for path in paths if _exists(path)]
    if not found:
        raise Wrong("there is no such file")
    for path in found:
        content = _parsed(path)
        merged["current-context"] = merged["current-context"] or _text(content, "current-context")
        for kind, key in _LISTS.items():
            for item in content.get(kind) or []:
                merged[kind].setdefault(_text(item, "name"), _resolved(item.get(key) or {}, path.parent))
    return merged


def _exists(path: Path) -> bool:
    """A text that is too long for a path names no file."""
    with contextlib.suppress(OSError):
        return path.exists()
    return False


def _parsed(path: Path) -> Entry:
    try:
        return _content(readable(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise Wrong(f"it cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise Wrong("it is not YAML") from None


def _content(text: str) -> Entry:
    try:
        content = _loader()(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        # Its own text quotes the line, which may contain a password.
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise Wrong(f"line {line} is not YAML") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise Wrong("it is not YAML") from None
    if not isinstance(content, dict):
        raise Wrong("it is empty, or not a kubeconfig")
    for kind, key in _LISTS.items():
        items = content.get(kind) or []
        if not isinstance(items, list) or not all(
            isinstance(item, dict) and isinstance(item.get(key) or {}, dict) for item in items
        ):
            raise Wrong(f"its {kind} are not a list of entries with a name and a {key}")
    return content


def _loader() -> Any:
    """The class that reads scalars as texts, exactly as written: a token of digits is not a number."""
    resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag.endswith((":null", ":merge"))]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return type("Loader", (yaml.SafeLoader,), {"yaml_implicit_resolvers": resolvers})


def _resolved(entry: Entry, folder: Path) -> Entry:
    """The user with paths that do not depend on the working directory: they are relative to the kubeconfig's folder."""
    resolved: Entry = {key: _beside(folder, _text(entry, key)) for key in _PATHS if _text(entry, key)}
    command = entry.get("exec")
    if isinstance(command, dict) and "/" in _text(command, "command"):
        resolved["exec"] = {**command, "command": _beside(folder, _text(command, "command"))}
    return {**entry, **resolved}


def _beside(folder: Path, name: str) -> str:
    """The path as it is written, which Path would change: then an address could no longer be recognized in it."""
    return name if name.startswith("/") else f"{folder}/{name}"


def _named(config: Entry, kind: str, name: str) -> Entry:
    if name not in config[kind]:
        raise Wrong(f"it has no {_LISTS[kind]} {quoted(name)}, only: {_listed(list(config[kind]))}")
    return dict(config[kind][name])


def _listed(names: list[str]) -> str:
    """The first names; a shared kubeconfig may have hundreds."""
    others = f" and {len(names) - _SHOWN} others" if len(names) > _SHOWN else ""
    return ", ".join(tidy(without(name), 100) for name in names[:_SHOWN]) + others or "none"


def _server(cluster: Entry, user: Entry) -> Server:
    url = _text(cluster, "server")
    if not url:
        raise Wrong("its cluster has no server")
    if in_address(url):
        raise Wrong("the address of its server contains a user name or password: move them to its user")
    if not url.startswith("https://"):
        raise Wrong(f"its server is {quoted(url)}, but credentials may only be sent to an https:// address")
    certificate = _material(user, "client-certificate")
    key = _material(user, "client-key")
    if bool(certificate) != bool(key):
        raise Wrong("its user needs both client-certificate and client-key, but has only one of them")
    proxy = _text(cluster, "proxy-url")
    try:
        return Server(
            url,
            _material(cluster, "certificate-authority"),
            _text(cluster, "insecure-skip-tls-verify").lower() != "true",
            _text(cluster, "tls-server-name"),
            proxies.parse(proxy, "its proxy-url") if proxy else None,
            certificate,
            key,
        )
    except Refused as problem:
        raise Wrong(str(problem).rstrip(".")) from None


def _user(user: Entry, cluster: Entry, server: Server) -> User:
    """The first login that the user has, in kubectl's order: if it has a token, no program is run for one."""
    if _text(user, "token") or _text(user, "tokenFile"):
        return User(token=_text(user, "token"), token_file=_text(user, "tokenFile"))
    if isinstance(user.get("auth-provider"), dict):
        return User(auth_provider=user["auth-provider"])
    if isinstance(user.get("exec"), dict):
        return User(command=_command(user["exec"], cluster, server))
    if _text(user, "username"):
        return User(log_in=(_text(user, "username"), _text(user, "password")))
    if not server.certificate:
        raise Wrong("its user has no credentials")
    return User()


def _command(entry: Entry, cluster: Entry, server: Server) -> Command:
    program, version = _text(entry, "command"), _text(entry, "apiVersion")
    if not program or not version:
        raise Wrong("the exec of its user has no command or no apiVersion")
    if _text(entry, "interactiveMode") == "Always":
        raise Wrong(
            f"the program {quoted(program)} that prints its credentials asks for input, which a run cannot give"
        )
    exec_info = None
    if _text(entry, "provideClusterInfo").lower() == "true":
        exec_info = json.loads(write(server, ""))["clusters"][0]["cluster"]
        exec_info["config"] = next(
            (
                extension.get("extension")
                for extension in cluster.get("extensions") or []
                if _text(extension, "name") == "client.authentication.k8s.io/exec"
            ),
            None,
        )
    return Command(
        program,
        tuple(str(argument) for argument in entry.get("args") or []),
        {_text(item, "name"): _text(item, "value") for item in entry.get("env") or []},
        version,
        exec_info,
        _text(entry, "installHint"),
    )


def _material(entry: Entry, key: str) -> str:
    """PEM that an entry contains in base64, or names as a file."""
    inline, path = _text(entry, f"{key}-data"), _text(entry, key)
    if not inline and not path:
        return ""
    try:
        if inline:
            return files.pem_text(base64.b64decode(inline))
        return files.pem_text(readable(Path(path)).read_bytes())
    except OSError as error:
        raise Wrong(f"the {key} {quoted(path)} cannot be read ({error.strerror})") from None
    except ValueError:
        wrong = f"its {key}-data is not PEM in base64" if inline else f"the {key} {quoted(path)} is not PEM"
        raise Wrong(wrong) from None


def _text(entry: Any, key: str) -> str:
    """A field's text, empty if it has none."""
    value = entry.get(key) if isinstance(entry, dict) else None
    return value if isinstance(value, str) else ""


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
