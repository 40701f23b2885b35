# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose the objects of a release's name are, and what of them stands in its way."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._helm.owner import Owner, owner

DEPLOYMENT = "/apis/apps/v1/namespaces/castai-agent/deployments/agent"
ROLE = "/apis/rbac.authorization.k8s.io/v1/clusterroles/agent"
OURS = {"meta.helm.sh/release-name": "agent", "meta.helm.sh/release-namespace": "castai-agent"}
ELSEWHERE = {**OURS, "meta.helm.sh/release-namespace": "monitoring"}
OF_UMBRELLA = {**OURS, "meta.helm.sh/release-name": "castai"}


class Objects:
    """An API server that has these objects, by their annotations."""

    def __init__(self, annotations: dict[str, Any]) -> None:
        self._annotations = annotations

    def get(self, path: str) -> dict[str, Any] | None:
        found = self._annotations.get(path)
        return None if found is None else {"metadata": {"annotations": found} if found else {}}


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ({}, None),
        ({DEPLOYMENT: OURS, ROLE: OURS}, None),
        ({DEPLOYMENT: {}, ROLE: {}}, Owner("Deployment castai-agent/agent")),
        ({DEPLOYMENT: OURS, ROLE: {}}, Owner("ClusterRole agent")),
        ({DEPLOYMENT: OF_UMBRELLA, ROLE: OF_UMBRELLA}, Owner("Deployment castai-agent/agent", "castai-agent/castai")),
        ({ROLE: ELSEWHERE}, Owner("ClusterRole agent", "monitoring/agent")),
        ({DEPLOYMENT: {}, ROLE: ELSEWHERE}, Owner("ClusterRole agent", "monitoring/agent")),
    ],
)
def test_whose_the_objects_are(there: dict[str, Any], expected: Owner | None) -> None:
    cluster: Any = Objects(there)
    assert owner(cluster, "agent", "castai-agent") == expected


@pytest.mark.parametrize("adopt", [True, False])
def test_what_is_another_releases_is_never_taken(adopt: bool) -> None:
    assert Owner("ClusterRole agent", "monitoring/agent").refusal(adopt, "agent") == (
        "ClusterRole agent belongs to Helm release monitoring/agent. Name that release, or uninstall it first."
    )


def test_what_is_nobodys_is_taken_where_that_is_asked_for() -> None:
    nobodys = Owner("ClusterRole agent")
    assert nobodys.refusal(True, "agent") == ""
    assert "Set adopt to true to take over it and others like it" in nobodys.refusal(False, "agent")
    assert "Set agent_adopt (option adopt) to true" in nobodys.refusal(False, "castai-agent")


@pytest.mark.parametrize(
    ("version", "refused"), [((3, 14, 0), True), ((3, 16, 4), True), ((3, 17, 0), False), ((4, 1, 4), False)]
)
def test_helm_that_can_take_over(version: tuple[int, ...], refused: bool) -> None:
    assert bool(Owner("ClusterRole agent").helm_refusal(version)) is refused
