# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real Helm gets charts from every place where users keep them, whatever repositories they have added."""

from __future__ import annotations

import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._engine import Failure
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.helm import Facts, Helm
from tests.sandbox.build import binaries
from tests.support.https import serve
from tests.support.registry import LOG_IN, PASSWORD, PREFIX, USER, Registry

NAME = "castai-agent"
OLDER, NEWER = "0.153.2", "0.161.1"
NEVER_UPDATED = {"name": "bitnami", "url": "https://charts.example.com/bitnami"}


class Company:
    """What one user of a company has: the company's registry, and a home."""

    def __init__(self, url: str, registry: Registry, home: Path) -> None:
        self.url, self.registry, self.home = f"{url}/{PREFIX}", registry, home
        self.oci = f"{self.url.replace('https', 'oci')}/{NAME}"

    def add(self, *entries: dict[str, str]) -> None:
        """Run helm repo add, without the index that it puts into the cache."""
        listed = self.home / ".config/helm/repositories.yaml"
        listed.parent.mkdir(parents=True, exist_ok=True)
        listed.write_text(json.dumps({"apiVersion": "v1", "repositories": [NEVER_UPDATED, *entries]}))

    def log_in(self) -> None:
        """Run helm registry login."""
        config = self.home / ".config/helm/registry/config.json"
        config.parent.mkdir(parents=True)
        host = self.url.split("/")[2]
        config.write_text(json.dumps({"auths": {host: {"auth": LOG_IN}}}))


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    for name in [name for name in os.environ if name.startswith(("HELM_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    registry = Registry({(NAME, version): chart(tmp_path, version) for version in (OLDER, NEWER)})
    with serve(registry) as address:
        ca = tmp_path / "ca.pem"
        ca.write_text(address.ca_pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(ca))
        yield Company(address.url, registry, home)


def chart(folder: Path, version: str) -> bytes:
    source = folder / f"charts-{version}" / NAME
    source.mkdir(parents=True)
    (source / "Chart.yaml").write_text(f"apiVersion: v2\nname: {NAME}\nversion: {version}\n")
    archive = folder / f"{NAME}-{version}.tgz"
    with tarfile.open(archive, "w:gz") as stream:
        stream.add(source / "Chart.yaml", f"{NAME}/Chart.yaml")
    return archive.read_bytes()


@pytest.fixture
def helm() -> Helm:
    return Helm(str(binaries() / "helm"))


@pytest.mark.parametrize("version", [OLDER, ""])
@pytest.mark.parametrize("others", [True, False])
def test_open_charts(helm: Helm, company: Company, version: str, others: bool) -> None:
    company.registry.open = True
    if others:
        company.add({"name": "prometheus", "url": "https://prometheus.example.com"})
    wanted = Facts(NAME, version or NEWER)
    assert helm.show_chart(NAME, version, company.url) == wanted
    assert helm.show_chart(company.oci, version, "") == wanted
    archive = f"{company.url}/{NAME}-{wanted.version}.tgz"
    assert helm.show_chart(archive, version, "") == wanted


@pytest.mark.parametrize("version", [OLDER, ""])
def test_charts_behind_a_log_in(helm: Helm, company: Company, version: str) -> None:
    company.add({"name": "ours", "url": f"{company.url}/", "username": USER, "password": PASSWORD})
    company.log_in()
    wanted = Facts(NAME, version or NEWER)
    assert helm.show_chart(f"ours/{NAME}", version, "") == wanted
    assert helm.show_chart(NAME, version, company.url) == wanted
    assert helm.show_chart(company.oci, version, "") == wanted


def test_what_cannot_be_had(helm: Helm, company: Company) -> None:
    company.add({"name": "ours", "url": company.url, "username": USER, "password": f"{PASSWORD}-old"})
    for ref, repo_url in ((NAME, company.url), (f"ours/{NAME}", ""), (company.oci, "")):
        with pytest.raises(Failure) as caught:
            helm.show_chart(ref, NEWER, repo_url)
        assert str(caught.value).startswith(f"Could not get chart {ref} {NEWER}")
        assert PASSWORD not in str(caught.value)
    with pytest.raises(Failure, match="repository theirs, which is not in "):
        helm.show_chart(f"theirs/{NAME}", NEWER, "")
