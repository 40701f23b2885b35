# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CAST AI's chart repository, with small charts of our own that have the names, values and objects of the published
ones.

The index is at the published address, and the archives are where its entries point: at GitHub's release assets.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from gzip import GzipFile
from pathlib import Path
from typing import Any

import yaml

from ..wire import Call, Request, Response

FOLDER = Path(__file__).parent / "sources"
INDEX = ("castai.github.io", "/helm-charts/index.yaml")
ARCHIVES = ("github.com", "/castai/helm-charts/releases/download")
# Versions besides the chart's own: chart -> (version, appVersion), so that an upgrade has something to start from.
OLDER = {"castai-agent": (("0.153.2", "v0.123.1"),)}


@dataclass(frozen=True)
class Archive:
    """One packaged chart."""

    chart: dict[str, Any]  # its Chart.yaml
    data: bytes

    @property
    def path(self) -> str:
        name = f"{self.chart['name']}-{self.chart['version']}"
        return f"{ARCHIVES[1]}/{name}/{name}.tgz"

    def entry(self) -> dict[str, Any]:
        """The chart's entry in the index (Helm, "The chart repository structure")."""
        digest = hashlib.sha256(self.data).hexdigest()
        return {**self.chart, "urls": [f"https://{ARCHIVES[0]}{self.path}"], "digest": digest}


class Charts:
    """The back end. No request can change it."""

    system = "charts"
    hosts = (INDEX[0], ARCHIVES[0])

    def __init__(self) -> None:
        packed = tuple(archives())
        self._files = {(ARCHIVES[0], archive.path): archive.data for archive in packed}
        self._files[INDEX] = _index(packed)

    def classify(self, request: Request) -> Call:
        what = "index" if (request.host, request.path) == INDEX else "chart"
        return Call(self.system, f"get {what}", request.path, write=False, who="")

    def handle(self, request: Request) -> Response:
        data = self._files.get((request.host, request.path))
        if data is None:
            return self.fail(request, 404, "NotFound", "no such file")
        kind = "text/yaml" if (request.host, request.path) == INDEX else "application/octet-stream"
        return Response(200, (("Content-Type", kind),), data if request.method == "GET" else b"")

    def fail(self, request: Request, status: int, code: str, message: str) -> Response:
        status = 404 if code == "NotFound" else status
        return Response(status, (("Content-Type", "text/plain"),), f"{code}: {message}\n".encode())

    def control(self, verb: str, **_args: Any) -> Any:
        raise ValueError(f"charts has no verb {verb}")

    def state(self) -> Any:
        """The archives by path, with their digests."""
        return {path: hashlib.sha256(data).hexdigest() for (_host, path), data in sorted(self._files.items())}

    def reset(self) -> None:
        """Nothing to reset."""


def archives() -> Iterator[Archive]:
    """Every chart in every version."""
    for folder in sorted(path.parent for path in FOLDER.glob("*/Chart.yaml")):
        chart = yaml.safe_load((folder / "Chart.yaml").read_text(encoding="utf-8"))
        yield Archive(chart, _package(folder, chart))
        for version, app_version in OLDER.get(folder.name, ()):
            older = {**chart, "version": version, "appVersion": app_version}
            yield Archive(older, _package(folder, older))


def _package(folder: Path, chart: dict[str, Any]) -> bytes:
    """The chart as `helm package` would pack it, but without times, so that equal charts have equal digests."""
    packed = io.BytesIO()
    with GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            data = yaml.safe_dump(chart).encode() if path.name == "Chart.yaml" else path.read_bytes()
            member = tarfile.TarInfo(path.relative_to(folder.parent).as_posix())
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def _index(archives: tuple[Archive, ...]) -> bytes:
    entries: dict[str, list[dict[str, Any]]] = {}
    for archive in sorted(archives, key=_newest_first):
        entries.setdefault(archive.chart["name"], []).append(archive.entry())
    return yaml.safe_dump({"apiVersion": "v1", "entries": entries}).encode()


def _newest_first(archive: Archive) -> tuple[str, list[int]]:
    return archive.chart["name"], [-int(part) for part in re.findall(r"\d+", archive.chart["version"])]
