# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to log in to clouds and clusters: with credentials that expire, are assumed, or come from a kubeconfig."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.client import World
from tests.sandbox.kubernetes.cluster import OPERATOR
from tests.support import awx
from tests.support.forked import Step, steps

from .connecting import Forked, Operator, changed_nothing, succeeded, writes

CLUSTERS = ("prod:eks",)
WAYS = ("kubeconfig", "context", "host", "ca_cert")
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
PATIENCE = 90  # seconds in which a run must have reached a call


def by_kubeconfig(world: World, folder: Path) -> dict[str, Any]:
    return {
        "castai_kubeconfig": str(world.clusters()["prod"].kubeconfig(folder / "kubeconfig")),
        "castai_context": "prod",
    }


def by_address(world: World, folder: Path) -> dict[str, Any]:
    cluster = world.clusters()["prod"]
    authority = folder / "ca.pem"
    authority.write_text(cluster.ca_pem, encoding="ascii")
    return {
        "castai_host": cluster.endpoint,
        "castai_host_token": cluster.operator_token,
        "castai_kubernetes_ca_cert": str(authority),
    }


def by_aws(recorded: Sequence[Step]) -> list[Step]:
    """The same tasks with EKS's description of the cluster, which is used if nothing else is given."""
    return [
        replace(step, arguments={name: value for name, value in step.arguments.items() if name not in WAYS})
        for step in recorded
    ]


@pytest.mark.parametrize(
    ("way", "contained"), [(by_kubeconfig, True), (by_address, False)], ids=["kubeconfig, contained", "address"]
)
def test_every_way_into_the_cluster_leads_to_the_same(
    world: World, operator: Operator, way: Any, contained: bool
) -> None:
    """The first one in an execution environment, where only the temporary folder is writable, with AWX's credential."""
    credentials = {}
    environment = dict(operator.environment)
    if contained:
        credentials = awx.aws(*(operator.environment.pop(name) for name in KEYS))
    run = succeeded(operator.connect(contained=contained, credentials=credentials, **way(world, operator.folder)))
    operator.environment = environment
    assert {call.who for call in writes(world) if call.system == "kubernetes"} == {OPERATOR}
    changed_nothing(Forked(world, operator.folder / "again", by_aws(steps(run, "prod"))).connect())


def test_a_token_that_ages_during_the_run_is_renewed(world: World, operator: Operator) -> None:
    """Between the dry run and the write of one task, the first token becomes older than EKS accepts."""
    world.fault({"operation": "CreateClusterToken", "delay": 5})
    run = operator.start()
    deadline = time.monotonic() + PATIENCE
    while "create secrets" not in [call.operation for call in world.journal()]:
        assert time.monotonic() < deadline, run.wait().output
        time.sleep(0.1)
    world.clock(16 * 60)
    succeeded(run.wait())
    stored = [call for call in world.journal() if call.write and call.operation == "create secrets"]
    assert [call.status for call in stored][:2] == [401, 201]
