# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster's API server as a back end of the gate: interprets and passes on calls, reads the audit log and the
state."""

from __future__ import annotations

import hashlib
import http.client
import json
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from ..gate import Address, Entry, Gate, Stream
from ..pki import Authority, Identity, load_identity
from ..server import Server
from ..wire import PEER, Call, Request, Response
from .etcd import Etcd
from .webhook import stamped

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}
_WRITES = {"create", "update", "patch", "delete", "deletecollection"}
# Resources that are queried, not written, by the end of their path: reviews, and a service account's token.
_ASKED = ("accessreviews", "rulesreviews", "tokenreviews", "selfsubjectreviews", "serviceaccounts/token")
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "content-length", "te"}
_AUDIT_SECONDS = 15.0
_REST_SECONDS = 0.5
_RESET_SECONDS = 90


@dataclass(frozen=True)
class Target:
    """The object of a Kubernetes request; `resource` is the URL path if there is no object."""

    verb: str
    resource: str
    namespace: str = ""
    name: str = ""

    def call(self, cluster: str, write: bool, who: str = "") -> Call:
        path = "/".join(part for part in (cluster, self.namespace, self.name) if part)
        return Call("kubernetes", f"{self.verb} {self.resource}", path, write, who)


def target(request: Request) -> Target:
    """In the audit log's terms: verb, resource/subresource, namespace, name (a new object's comes from the body)."""
    parts = [unquote(part) for part in request.path.strip("/").split("/")]
    skip = {"api": 2, "apis": 3}.get(parts[0], len(parts))
    rest = parts[skip:]
    if not rest:
        return Target(request.method.lower(), request.path)
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    resource, name, subresource = rest[0], "".join(rest[1:2]), "/".join(rest[2:])
    verb = _verb(request, name)
    if verb == "create" and not name:
        name = object_name(request.body)
    if resource == "namespaces":
        namespace = name
    return Target(verb, f"{resource}/{subresource}" if subresource else resource, namespace, name)


def _verb(request: Request, name: str) -> str:
    if request.method in _VERBS:
        return _VERBS[request.method]
    if request.method == "DELETE":
        return "delete" if name else "deletecollection"
    if parse_qs(request.query).get("watch", ["false"])[0] in ("true", "1"):
        return "watch"
    return "get" if name else "list"


def is_dry_run(request: Request) -> bool:
    """Whether the request is a dry run: the query says so or, for a deletion, the body."""
    return "dryRun=All" in request.query or (request.method == "DELETE" and b'"dryRun":["All"]' in request.body)


def object_name(body: bytes) -> str:
    """metadata.name of a manifest in JSON or in Kubernetes' protobuf envelope; empty if it has none."""
    if body.startswith(b"k8s\0"):
        # runtime.Unknown.raw = 2, <object>.metadata = 1, ObjectMeta.name = 1 (apimachinery generated.proto)
        return _field(_field(_field(body[4:], 2), 1), 1).decode()
    try:
        name = json.loads(body)["metadata"]["name"]
    except (ValueError, KeyError, TypeError):
        return ""
    return str(name)


def _field(message: bytes, wanted: int) -> bytes:
    """The first length-delimited field with that number in a protobuf message; empty if there is none."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        if key & 7 == 2:
            size, at = _varint(message, at)
            if key >> 3 == wanted:
                return message[at : at + size]
            at += size
        else:
            _value, at = _varint(message, at)
    return b""


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (message[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if message[at - 1] < 0x80:
            return value, at


class AuditLog:
    """Follows the API server's audit log: events by id."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._offset = 0
        self._events: dict[str, Mapping[str, Any]] = {}

    def find(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """The events with these ids. The API server writes an event just after its answer, so this waits."""
        deadline = time.monotonic() + _AUDIT_SECONDS
        while True:
            with self._lock:
                self._read()
                found = {audit: self._events[audit] for audit in ids if audit in self._events}
            if len(found) == len(set(ids)) or time.monotonic() > deadline:
                return found
            time.sleep(0.01)

    def _read(self) -> None:
        with self._path.open("rb") as log:
            log.seek(self._offset)
            data = log.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            event = json.loads(line)
            self._events[event["auditID"]] = event


class Front:
    """TLS front of one API server: `https://127.0.0.1:port`, every call through the gate.

    address: another one, under which a proxy serves it by `tls` and `answer`.
    version: answered for /version when it is not the minor version that was built, such as 1.20
    """

    system = "kubernetes"
    hosts = ()

    def __init__(
        self,
        name: str,
        gate: Gate,
        authority: Authority,
        port: int,
        owner_token: str,
        etcd: Etcd,
        audit: AuditLog,
        now: Callable[[], float],
        address: str = "",
    ) -> None:
        self.name = name
        self._gate = gate
        self._port = port
        self._owner_token = owner_token
        self._etcd = etcd
        self._audit = audit
        self._now = now
        self._prefix = f"/{name}/"
        self._baseline: Mapping[str, bytes] = {}
        self._upstream_tls = ssl.create_default_context(cadata=authority.pem)
        self._upstream = threading.local()
        hosts = ["127.0.0.1", "localhost", *filter(None, [address])]
        self.tls = authority.server_context("kube-apiserver", hosts)
        self._authority = authority
        self._admitted: dict[str, ssl.SSLContext] = {}
        self._server = Server(self.answer, self.tls)
        self.port = self._server.port
        self.version = ""

    def admit(self, identity: Identity) -> None:
        """Accept a client's certificate: the API server gets the same one and authenticates the client."""
        self.tls.verify_mode = ssl.CERT_OPTIONAL
        self.tls.load_verify_locations(cadata=self._authority.pem)
        context = ssl.create_default_context(cadata=self._authority.pem)
        load_identity(context, identity)
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(identity.certificate)).hexdigest()
        self._admitted[digest] = context

    def answer(self, request: Request, client: Address, server: Address) -> Response | None:
        headers = {**request.headers, "audit-id": str(uuid.uuid4())}
        return self._gate.answer(self, replace(request, host=self.name, headers=headers), client, server)

    def refuse(self, request: Request, refusal: Response, client: Address, server: Address) -> Response | None:
        """Answer instead of the API server, which does not get the call."""
        return self._gate.answer(_Refusing(self, refusal), replace(request, host=self.name), client, server)

    def classify(self, request: Request) -> Call:
        about = target(request)
        asks = about.resource.endswith(_ASKED) or is_dry_run(request)
        return about.call(self.name, write=about.verb in _WRITES and not asks)

    def audited(self, entries: Sequence[Entry]) -> list[Entry]:
        """This cluster's journal entries with the audit log's details: the user and the object."""
        events = self._audit.find([entry.audit for entry in entries if entry.audit])
        return [replace(entry, call=_audited(entry.call, self.name, events.get(entry.audit))) for entry in entries]

    def as_owner(self, request: Request) -> Request:
        return replace(request, headers={**request.headers, "authorization": f"Bearer {self._owner_token}"})

    def fail(self, request: Request, status: int, code: str, message: str) -> Response:
        if status == 429:  # in the API server's words: clients say it in theirs
            return Response(429, (("Content-Type", "text/plain"),), b"Too many requests, please try again later.\n")
        body = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": code,
            "code": status,
        }
        return _json(status, body)

    def handle(self, request: Request) -> Response:
        if "upgrade" in request.headers:
            return self.fail(request, 501, "NotImplemented", "the local world has no containers to talk to")
        if request.path == "/version" and self.version:
            major, minor = self.version.split(".")
            return _json(200, {"major": major, "minor": minor, "gitVersion": f"v{self.version}.0"})
        headers = {name: value for name, value in request.headers.items() if name not in _HOP_BY_HOP}
        context = self._admitted.get(headers.pop(PEER, ""), self._upstream_tls)
        if "authorization" in headers:
            headers["authorization"] = stamped(headers["authorization"], self._now())
        url = f"{request.path}?{request.query}" if request.query else request.path
        response = self._send(request.method, url, request.body, headers, context)
        answered = tuple(response.getheaders())
        if target(request).verb == "watch" and response.status == 200:
            upstream = self._upstream.__dict__.pop("connection")
            return Stream(200, answered, b"", _chunks(upstream, response), lambda: _shut(upstream))
        return Response(response.status, answered, response.read())

    def _send(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], context: ssl.SSLContext
    ) -> http.client.HTTPResponse:
        """One connection for each thread, that is, for each client's connection, while the API server keeps it open."""
        kept: http.client.HTTPSConnection | None = getattr(self._upstream, "connection", None)
        if kept:
            try:
                kept.request(method, url, body, headers)
                return kept.getresponse()
            except (ConnectionError, http.client.RemoteDisconnected):
                kept.close()  # the API server had closed it while idle: the request was not processed
        fresh = http.client.HTTPSConnection("127.0.0.1", self._port, context=context)
        self._upstream.connection = fresh
        fresh.request(method, url, body, headers)
        return fresh.getresponse()

    def control(self, verb: str, **args: Any) -> Any:
        raise ValueError(f"kubernetes has no verb {verb}: its administrator can do everything by the API")

    def state(self) -> dict[str, Any]:
        """Every stored object by "group/Kind namespace/name", as stored."""
        objects = (json.loads(value) for key, value in self._stored().items() if not _is_internal(key))
        return {_label(item): item for item in objects}

    def remember(self) -> None:
        """Remember the current objects as the baseline for `reset`, once nothing has changed for a moment."""
        while self._difference():
            self._baseline = self._stored()
            time.sleep(_REST_SECONDS)

    def reset(self) -> None:
        """Restore the baseline until nothing differs, because controllers still react to the earlier state."""
        deadline = time.monotonic() + _RESET_SECONDS
        while changed := self._difference():
            if time.monotonic() > deadline:
                raise TimeoutError(f"cluster {self.name} does not come to rest: {', '.join(sorted(changed))}")
            for key, value in changed.items():
                if value is None:
                    self._etcd.delete(self._prefix + key)
                else:
                    self._etcd.write(self._prefix + key, value)
            time.sleep(0.1)

    def _difference(self) -> dict[str, bytes | None]:
        """What to write (None: delete) to restore the baseline, without what the cluster itself keeps writing."""
        now = self._stored()
        changed: dict[str, bytes | None] = dict.fromkeys(now.keys() - self._baseline.keys())
        changed |= {key: value for key, value in self._baseline.items() if not _is_same(key, now.get(key), value)}
        return {key: value for key, value in changed.items() if not key.startswith(_RESTLESS)}

    def _stored(self) -> dict[str, bytes]:
        return {key.removeprefix(self._prefix): value for key, value in self._etcd.read(self._prefix).items()}


class _Refusing:
    """A front with another server before it that refuses the call."""

    def __init__(self, front: Front, refusal: Response) -> None:
        self._refusal = refusal
        self.system, self.hosts = front.system, front.hosts
        self.classify, self.fail, self.control = front.classify, front.fail, front.control
        self.state, self.reset = front.state, front.reset

    def handle(self, _request: Request) -> Response:
        return self._refusal


_RESTLESS = ("masterleases/", "peerserverleases/")
# The cluster keeps these up to date as long as they exist.
_RENEWED = ("events/", "leases/")


def _is_same(key: str, now: bytes | None, before: bytes) -> bool:
    """Whether an object of the baseline is unchanged. Of a node, only what others set counts, because heartbeats
    continue."""
    if key.startswith(_RENEWED) or now == before:
        return True
    return key.startswith("minions/") and now is not None and _set_of_node(now) == _set_of_node(before)


def _set_of_node(stored: bytes) -> tuple[Any, ...]:
    node = json.loads(stored)
    metadata, spec = node["metadata"], node["spec"]
    noted = (metadata.get(field) for field in ("uid", "labels", "annotations", "finalizers", "deletionTimestamp"))
    return *noted, spec


def _is_internal(key: str) -> bool:
    """Whether a key is the API servers' bookkeeping and not an object of the API."""
    return key.startswith(("ranges/", "masterleases/", "peerserverleases/"))


def _label(item: Mapping[str, Any]) -> str:
    group = item["apiVersion"].rpartition("/")[0]
    kind = f"{group}/{item['kind']}" if group else item["kind"]
    metadata = item["metadata"]
    return f"{kind} " + "/".join(part for part in (metadata.get("namespace"), metadata["name"]) if part)


def _audited(call: Call, cluster: str, event: Mapping[str, Any] | None) -> Call:
    if event is None:
        return call
    who = event["user"].get("username", "")
    about = event.get("objectRef")
    if about is None:
        return replace(call, who=who)
    subresource = about.get("subresource")
    resource = f"{about['resource']}/{subresource}" if subresource else about["resource"]
    found = Target(event["verb"], resource, about.get("namespace", ""), about.get("name", ""))
    return found.call(cluster, call.write and found.verb in _WRITES, who)


def _chunks(upstream: http.client.HTTPSConnection, response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := response.read1(65536):
            yield chunk
    except (http.client.HTTPException, ValueError) as error:  # ValueError: closed while it was read
        raise ConnectionError("the API server ended the watch") from error
    finally:
        upstream.close()


def _shut(upstream: http.client.HTTPSConnection) -> None:
    """Wake a thread that is reading from the socket: `close` would not."""
    try:
        if upstream.sock:
            upstream.sock.shutdown(2)
    except OSError:
        pass


def _json(status: int, body: Any) -> Response:
    return Response(status, (("Content-Type", "application/json"),), json.dumps(body).encode())
