# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A company's charts: an OCI registry and a chart repository on one server, both with a login.

The registry only supports pulling (https://github.com/opencontainers/distribution-spec/blob/main/spec.md).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping

from tests.sandbox.wire import Request, Response

USER, PASSWORD = "puller", "CANARY-password"
LOG_IN = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
PREFIX = "castai"

_CONFIG = "application/vnd.cncf.helm.config.v1+json"
_LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Registry:
    """The answers to requests. charts: archives by name and version."""

    def __init__(self, charts: Mapping[tuple[str, str], bytes]) -> None:
        self.open = False
        self.asked: list[str] = []
        self._archives = {f"/{PREFIX}/{name}-{version}.tgz": data for (name, version), data in charts.items()}
        self._blobs: dict[str, bytes] = {}
        self._manifests: dict[tuple[str, str], bytes] = {}
        self._tags: dict[str, list[str]] = {}
        for (name, version), data in charts.items():
            config = json.dumps({"apiVersion": "v2", "name": name, "version": version}).encode()
            content = {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": self._blob(_CONFIG, config),
                "layers": [self._blob(_LAYER, data)],
            }
            manifest = json.dumps(content).encode()
            for reference in (version, _digest(manifest)):
                self._manifests[f"{PREFIX}/{name}", reference] = manifest
            self._tags.setdefault(f"{PREFIX}/{name}", []).append(version)
        self._index = _index(charts)

    def __call__(self, request: Request) -> Response:
        self.asked.append(request.path)
        if not self.open and request.headers.get("authorization") != f"Basic {LOG_IN}":
            return _answer(b"log in", "text/plain", 401, ("WWW-Authenticate", 'Basic realm="charts"'))
        if request.path.startswith("/v2/"):
            return self._of_registry(request.path.removeprefix("/v2/"))
        if request.path == f"/{PREFIX}/index.yaml":
            return _answer(self._index, "text/yaml")
        archive = self._archives.get(request.path)
        return _answer(archive, "application/gzip") if archive else _answer(b"no", "text/plain", 404)

    def _of_registry(self, path: str) -> Response:
        name, _slash, reference = path.rpartition("/")
        name, _slash, kind = name.rpartition("/")
        if not path:
            return _answer(b"{}", "application/json")
        if kind == "tags" and name in self._tags:
            return _answer(json.dumps({"name": name, "tags": self._tags[name]}).encode(), "application/json")
        manifest = self._manifests.get((name, reference)) if kind == "manifests" else None
        if manifest:
            return _answer(manifest, _MANIFEST, 200, ("Docker-Content-Digest", _digest(manifest)))
        if kind == "blobs" and reference in self._blobs:
            return _answer(self._blobs[reference], "application/octet-stream")
        return _answer(b'{"errors": [{"code": "NOT_FOUND"}]}', "application/json", 404)

    def _blob(self, kind: str, data: bytes) -> dict[str, object]:
        digest = _digest(data)
        self._blobs[digest] = data
        return {"mediaType": kind, "digest": digest, "size": len(data)}


def _index(charts: Mapping[tuple[str, str], bytes]) -> bytes:
    entries: dict[str, list[dict[str, object]]] = {}
    for name, version in charts:
        entry = {"apiVersion": "v2", "name": name, "version": version, "urls": [f"{name}-{version}.tgz"]}
        entries.setdefault(name, []).append(entry)
    return json.dumps({"apiVersion": "v1", "entries": entries}).encode()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _answer(data: bytes, kind: str, status: int = 200, *headers: tuple[str, str]) -> Response:
    return Response(status, (("Content-Type", kind), *headers), data)
