# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The world's chart repository: Helm understands its index, and the archives match the index."""

from __future__ import annotations

import hashlib
import io
import tarfile
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.sandbox.charts.server import Charts
from tests.sandbox.wire import Request, Response

VERSIONS = {
    "castai-agent": ["0.161.1", "0.153.2"],
    "castai-cluster-controller": ["0.92.14"],
    "castai-evictor": ["0.35.143"],
    "castai-kvisor": ["1.164.8"],
    "castai-live": ["0.118.0"],
    "castai-pod-mutator": ["0.17.6"],
    "castai-pod-pinner": ["1.13.0"],
    "castai-spot-handler": ["0.35.5"],
    "castai-workload-autoscaler": ["1.9.3"],
    "castai-workload-autoscaler-exporter": ["1.9.3"],
}


@pytest.fixture(scope="module")
def charts() -> Charts:
    return Charts()


def get(charts: Charts, url: str) -> Response:
    parts = urlsplit(url)
    return charts.handle(Request("GET", parts.netloc, parts.path, "", {}, b""))


def index(charts: Charts) -> Any:
    return yaml.safe_load(get(charts, "https://castai.github.io/helm-charts/index.yaml").body)


def test_the_index_lists_every_chart_newest_first(charts: Charts) -> None:
    entries = index(charts)["entries"]
    assert {name: [entry["version"] for entry in listed] for name, listed in entries.items()} == VERSIONS


def test_each_archive_is_what_the_index_says(charts: Charts) -> None:
    for name, listed in index(charts)["entries"].items():
        for entry in listed:
            answer = get(charts, entry["urls"][0])
            assert hashlib.sha256(answer.body).hexdigest() == entry["digest"]
            with tarfile.open(fileobj=io.BytesIO(answer.body)) as archive:
                packed = yaml.safe_load(archive.extractfile(f"{name}/Chart.yaml").read())  # type: ignore[union-attr]
                assert f"{name}/values.yaml" in archive.getnames()
            assert (packed["name"], packed["version"]) == (name, entry["version"])


def test_archives_are_the_same_every_time(charts: Charts) -> None:
    assert Charts().state() == charts.state()


def test_what_is_not_there_is_not_found(charts: Charts) -> None:
    assert get(charts, "https://github.com/castai/helm-charts/releases/download/x-1/x-1.tgz").status == 404
    request = Request("GET", "castai.github.io", "/helm-charts/index.yaml", "", {}, b"")
    assert charts.classify(request).operation == "get index"
    assert charts.fail(request, 503, "Unavailable", "try later").status == 503
