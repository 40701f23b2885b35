# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connecting and onboarding with the oldest Helm, the newest 3 and the newest 4, under difficult conditions.

Charts come from a registry with a login, HELM_DRIVER is set, and the operator may not create the Namespace.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._castai import rights
from tests.gates.versions import NEWEST, OLDEST, built_helm
from tests.sandbox.build import binaries
from tests.sandbox.charts.server import archives
from tests.sandbox.client import World
from tests.support.forked import Step, steps
from tests.support.https import serve
from tests.support.playbook import PYTHON, Json
from tests.support.registry import LOG_IN, PASSWORD, PREFIX, USER, Registry

from .connecting import Forked, Operator, changed_nothing, succeeded, writes
from .namespaces import NAMESPACES
from .service_account import ServiceAccount

CLUSTERS = ("prod:eks",)
NAMESPACE = "castai-agent"
READ_NAMESPACES = ("", "namespaces", ("get",))
OPTIONAL = ("components_live", "components_pod_mutator", "components_workload_autoscaler")
OF_OPTIONAL = {row for rows in rights.OF_RELEASE.values() for row in rows}
RIGHTS = [row for row in (*rights.ONBOARD, *OF_OPTIONAL, *rights.OF_NODES) if row != READ_NAMESPACES]
EVERYWHERE = rights.OF_CLUSTER | {"nodes"}


@pytest.fixture(scope="module")
def recorded(module_world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Step, ...]:
    """The options of the tasks of site."""
    operator = Operator(module_world, tmp_path_factory.mktemp("recorded"))
    everything = dict.fromkeys(OPTIONAL, True)
    return steps(succeeded(operator.connect(playbook="castai.onboarding.site", **everything)), "prod")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[tuple[str, Registry, Path]]:
    """The address of a chart repository, the server that answers there, and its certificate."""
    found = Registry({(one.chart["name"], one.chart["version"]): one.data for one in archives()})
    with serve(found) as address:
        authority = tmp_path / "registry.pem"
        authority.write_text(address.ca_pem, encoding="ascii")
        yield f"{address.url}/{PREFIX}", found, authority


def log_in(operator: Operator, mirror: str) -> None:
    """Run helm repo add and helm registry login."""
    config = operator.folder / "home/.config/helm"
    (config / "registry").mkdir(parents=True)
    entry = {"name": "ours", "url": mirror, "username": USER, "password": PASSWORD}
    (config / "repositories.yaml").write_text(json.dumps({"apiVersion": "v1", "repositories": [entry]}))
    auths = {mirror.split("/")[2]: {"auth": LOG_IN}}
    (config / "registry/config.json").write_text(json.dumps({"auths": auths}))


def mirrored(step: Step, mirror: str) -> Step:
    """The same steps with every chart from there, as castai_chart_mirror sets it."""
    arguments = dict(step.arguments)
    if "chart_ref" in arguments:
        arguments |= of_mirror(arguments, mirror)
    if "releases" in arguments:
        arguments["releases"] = [{**one, **of_mirror(one, mirror)} for one in arguments["releases"]]
    return replace(step, arguments=arguments)


def of_mirror(release: Json, mirror: str) -> Json:
    if mirror.startswith("https:"):
        return {"chart_repo_url": mirror}
    return {"chart_ref": f"{mirror}/{release['chart_ref']}", "chart_repo_url": ""}


class Limited(Forked):
    """An operator with the published permissions, but without those to create or read the Namespace, which exists."""

    def __init__(self, world: World, folder: Path, recorded: tuple[Step, ...]) -> None:
        super().__init__(world, folder, recorded)
        cluster = world.clusters()["prod"]
        world.kubernetes("prod").create(NAMESPACES, {"metadata": {"name": NAMESPACE}})
        authority = folder / "ca.pem"
        authority.write_text(cluster.ca_pem, encoding="ascii")
        self.account = ServiceAccount(world, "prod")
        self.environment |= {
            "K8S_AUTH_HOST": cluster.endpoint,
            "K8S_AUTH_API_KEY": self.account.token(),
            "K8S_AUTH_SSL_CA_CERT": str(authority),
        }
        everywhere = [row for row in RIGHTS if row[1] in EVERYWHERE]
        self.account.bind("some", "", everywhere)
        self.account.bind("some", NAMESPACE, [row for row in RIGHTS if row[1] not in EVERYWHERE])
        self.account.bind("some", rights.SYSTEM, rights.CONNECT_SYSTEM)


@pytest.mark.parametrize("version", [OLDEST.helm, None, NEWEST.helm], ids=["oldest", "newest 3", "newest 4"])
def test_connect_and_onboard(
    world: World,
    recorded: tuple[Step, ...],
    registry: tuple[str, Registry, Path],
    version: tuple[str, str] | None,
    tmp_path: Path,
) -> None:
    mirror, served, authority = registry
    if version != OLDEST.helm:  # Helm takes a registry on this machine to be one without TLS
        mirror = mirror.replace("https:", "oci:")
    someone = Limited(world, tmp_path, tuple(mirrored(one, mirror) for one in recorded))
    someone.path = (PYTHON, (built_helm(*version) if version else binaries() / "helm").parent)
    trusted = tmp_path / "trusted.pem"
    trusted.write_text(authority.read_text() + Path(someone.environment["SSL_CERT_FILE"]).read_text())
    someone.environment["SSL_CERT_FILE"] = str(trusted)
    mark = world.mark()

    someone.environment["HELM_DRIVER"] = "configmap"
    assert "HELM_DRIVER is 'configmap' in the environment" in someone.connect().failures["prod"]
    someone.environment["HELM_DRIVER"] = "secrets"

    assert "Could not get chart " in someone.connect().failures["prod"]
    log_in(someone, mirror)

    assert "cluster-wide: get namespaces. Grant them" in someone.connect().failures["prod"]
    someone.account.bind("reading", "", [READ_NAMESPACES])
    if version == NEWEST.helm:
        rows = {row for rows in rights.HOOKS.values() for row in rows}
        everywhere = [row for row in rows if row[1] in EVERYWHERE]
        someone.account.bind("hooks", "", everywhere)
        someone.account.bind("hooks", NAMESPACE, rows - {*everywhere})

    assert writes(world, mark) == []
    succeeded(someone.connect())
    asked = len(served.asked)
    mark = world.mark()
    changed_nothing(someone.connect())
    assert (writes(world, mark), len(served.asked)) == ([], asked)
