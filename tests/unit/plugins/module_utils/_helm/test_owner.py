# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who owns the objects that a release would create, and which of them block it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._engine import CallFailed
from ansible_collections.castai.onboarding.plugins.module_utils._helm import record
from ansible_collections.castai.onboarding.plugins.module_utils._helm.owner import (
    Owner,
    manager_of,
    operators,
    owner,
    owner_of_added,
)

DEPLOYMENT = "/apis/apps/v1/namespaces/castai-agent/deployments/agent"
ROLE = "/apis/rbac.authorization.k8s.io/v1/clusterroles/agent"
OURS = {"meta.helm.sh/release-name": "agent", "meta.helm.sh/release-namespace": "castai-agent"}
ELSEWHERE = {**OURS, "meta.helm.sh/release-namespace": "monitoring"}
OF_UMBRELLA = {**OURS, "meta.helm.sh/release-name": "castai"}


class Objects:
    """An API server with these objects, by their annotations."""

    def __init__(self, annotations: dict[str, Any], **whole: Any) -> None:
        self._annotations = annotations
        self.whole: dict[str, Any] = whole

    def get(self, path: str, **_query: str) -> dict[str, Any] | None:
        if path in self.whole:
            return self.whole[path]
        found = self._annotations.get(path)
        return None if found is None else {"metadata": {"annotations": found} if found else {}}


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ({}, None),
        ({DEPLOYMENT: OURS, ROLE: OURS}, None),
        ({DEPLOYMENT: {}, ROLE: {}}, Owner("Deployment castai-agent/agent")),
        ({DEPLOYMENT: OURS, ROLE: {}}, Owner("ClusterRole agent")),
        (
            {DEPLOYMENT: OF_UMBRELLA, ROLE: OF_UMBRELLA},
            Owner("Deployment castai-agent/agent", "castai-agent/castai", True),
        ),
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
        "ClusterRole agent belongs to Helm release monitoring/agent. Use the name of that release, or uninstall"
        " it first."
    )


def test_an_umbrella_that_may_be_replaced_does_not_hide_another_release() -> None:
    there = {DEPLOYMENT: OF_UMBRELLA, ROLE: ELSEWHERE}
    cluster: Any = Objects(there)
    assert owner(cluster, "agent", "castai-agent") == Owner("ClusterRole agent", "monitoring/agent")
    both = {"Deployment agent": cluster.get(DEPLOYMENT), "ClusterRole agent": cluster.get(ROLE)}
    assert owner_of_added(cluster, both, "agent", "castai-agent") == Owner("ClusterRole agent", "monitoring/agent")
    del both["ClusterRole agent"]
    umbrellas = owner_of_added(cluster, both, "agent", "castai-agent")
    assert umbrellas == Owner("Deployment agent", "castai-agent/castai", True)
    assert umbrellas.refusal(True, "agent", adopt_managed=True) == ""
    assert "belongs to Helm release castai-agent/castai. Set adopt to true" in umbrellas.refusal(False, "agent", True)


def test_what_is_nobodys_is_taken_where_that_is_asked_for() -> None:
    nobodys = Owner("ClusterRole agent")
    assert nobodys.refusal(True, "agent") == ""
    assert "Set adopt to true to take over this and similar objects" in nobodys.refusal(False, "agent")
    assert "Set agent_adopt (option adopt) to true" in nobodys.refusal(False, "castai-agent")
    assert "Set adopt in a task with castai_release to true" in nobodys.refusal(False, "castai-kvisor")


@pytest.mark.parametrize(
    ("version", "refused"), [((3, 14, 0), True), ((3, 16, 4), True), ((3, 17, 0), False), ((4, 1, 4), False)]
)
def test_helm_that_can_take_over(version: tuple[int, ...], refused: bool) -> None:
    assert bool(Owner("ClusterRole agent").helm_refusal(version)) is refused


@pytest.mark.parametrize(
    ("release", "path"),
    [
        ("cluster-controller", "/apis/apps/v1/namespaces/castai-agent/deployments/castai-cluster-controller"),
        ("cluster-controller", "/apis/rbac.authorization.k8s.io/v1/clusterroles/castai-cluster-controller"),
        ("cluster-controller", "/api/v1/namespaces/castai-agent/serviceaccounts/castai-cluster-controller"),
        ("castai-spot-handler", "/apis/apps/v1/namespaces/castai-agent/daemonsets/castai-spot-handler"),
        ("castai-kvisor", "/apis/apps/v1/namespaces/castai-agent/deployments/castai-kvisor-controller"),
        ("castai-kvisor", "/apis/apps/v1/namespaces/castai-agent/daemonsets/castai-kvisor-agent"),
        ("castai-evictor", "/apis/apps/v1/namespaces/castai-agent/deployments/castai-evictor"),
        ("castai-live", "/apis/apps/v1/namespaces/castai-agent/deployments/castai-live-controller"),
        ("castai-live", "/apis/apps/v1/namespaces/castai-agent/daemonsets/castai-live-daemon"),
    ],
)
def test_objects_go_by_the_names_that_the_chart_gives_them(release: str, path: str) -> None:
    nobodys: Any = Objects({path: {}})
    found = owner(nobodys, release, "castai-agent")
    assert found
    assert (found.release, found.thing.rpartition("/")[2].rpartition(" ")[2]) == ("", path.rpartition("/")[2])
    mine: Any = Objects({path: {**OURS, "meta.helm.sh/release-name": release}})
    assert owner(mine, release, "castai-agent") is None


def record_of(chart: str) -> dict[str, Any]:
    metadata = {"labels": {"name": "x", "version": "1", "status": "deployed", "modifiedAt": "1"}}
    return record.encode({"metadata": metadata, "data": {}}, {"chart": {"metadata": {"name": chart}}})


SECRETS = "/api/v1/namespaces/castai-agent/secrets"


@pytest.mark.parametrize(("chart", "umbrella"), [("castai", True), ("castai-agent", False)])
@pytest.mark.parametrize("name", ["castai", "my-castai"])
def test_the_umbrella_chart_is_known_by_its_record(chart: str, umbrella: bool, name: str) -> None:
    cluster: Any = Objects({DEPLOYMENT: {**OURS, "meta.helm.sh/release-name": name}})
    cluster.whole[SECRETS] = {"items": [record_of(chart)]}
    assert owner(cluster, "agent", "castai-agent") == Owner(
        "Deployment castai-agent/agent", f"castai-agent/{name}", umbrella
    )


def test_what_to_do_beside_the_umbrella_chart() -> None:
    of_agent = Owner("Deployment castai-agent/castai-agent", "castai-agent/castai", True)
    assert "only run castai.onboarding.onboard (onboard.yml)" in of_agent.refusal(True, "castai-agent")
    of_kvisor = Owner("ClusterRole castai-kvisor-controller", "castai-agent/castai", True)
    assert "Add castai-kvisor to components_skip" in of_kvisor.refusal(True, "castai-kvisor")
    assert of_kvisor.refusal(True, "castai-kvisor", adopt_managed=True) == ""


@pytest.mark.parametrize(
    ("metadata", "manager"),
    [
        ({}, ""),
        ({"labels": {"app.kubernetes.io/instance": "castai-agent"}}, ""),
        ({"labels": {"app.kubernetes.io/managed-by": "Helm"}, "managedFields": [{"manager": "helm"}]}, ""),
        (
            {"annotations": {"argocd.argoproj.io/tracking-id": "castai:apps/Deployment:castai-agent/castai-agent"}},
            "Argo CD (Application castai)",
        ),
        ({"labels": {"argocd.argoproj.io/instance": "prod_castai"}}, "Argo CD (Application prod_castai)"),
        ({"annotations": {"argocd.argoproj.io/sync-wave": "1"}}, "Argo CD"),
        (
            {
                "labels": {"app.kubernetes.io/instance": "castai"},
                "managedFields": [{"manager": "kubectl"}, {"manager": "argocd-controller"}],
            },
            "Argo CD (Application castai)",
        ),
        (
            {"labels": {"helm.toolkit.fluxcd.io/name": "agent", "helm.toolkit.fluxcd.io/namespace": "flux-system"}},
            "Flux (HelmRelease flux-system/agent)",
        ),
        (
            {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "f"}},
            "Flux (Kustomization f/apps)",
        ),
        ({"managedFields": [{"manager": "helm-controller"}]}, "Flux"),
    ],
)
def test_managers_are_known_by_their_marks(metadata: dict[str, Any], manager: str) -> None:
    assert manager_of({"metadata": metadata}) == manager
    cluster: Any = Objects({})
    cluster.whole[DEPLOYMENT] = {"metadata": metadata}
    found = owner(cluster, "agent", "castai-agent")
    assert found
    assert (manager in found.refusal(True, "agent")) if manager else found.refusal(True, "agent") == ""
    own = {**metadata, "annotations": {**metadata.get("annotations", {}), **OURS}}
    cluster.whole[DEPLOYMENT] = {"metadata": own}
    mine = owner(cluster, "agent", "castai-agent")
    assert (mine.manager if mine else "") == manager


COMPONENTS = "/apis/castware.cast.ai/v1alpha1/namespaces/castai-agent/components"
OPERATOR = "/apis/apps/v1/namespaces/castai-agent/deployments/castware-operator"


@pytest.mark.parametrize(
    ("component", "release", "managed"),
    [
        ({"component": "castai-agent"}, "castai-agent", True),
        ({"component": "castai-agent", "enabled": False}, "castai-agent", False),
        ({"component": "spot-handler", "enabled": True}, "castai-spot-handler", True),
        ({"component": "castai-agent"}, "cluster-controller", False),
        ({"component": "castai", "releaseName": "foo"}, "foo", True),
        ({}, "castai-agent", False),
    ],
)
def test_what_cast_ais_operator_manages(component: dict[str, Any], release: str, managed: bool) -> None:
    cluster: Any = Objects({})
    cluster.whole[COMPONENTS] = {"items": [{"metadata": {"name": "one"}, "spec": component}]}
    words = "CAST AI's operator (Component one of castware.cast.ai)"
    assert operators(cluster, "castai-agent")(release) == (words if managed else "")


@pytest.mark.parametrize("running", [True, False])
def test_an_operator_whose_components_may_not_be_listed(running: bool) -> None:
    class Closed(Objects):
        def get(self, path: str, **query: str) -> dict[str, Any] | None:
            if path == COMPONENTS:
                raise CallFailed("forbidden")
            return super().get(path, **query)

    cluster: Any = Closed({OPERATOR: {}} if running else {})
    assert bool(operators(cluster, "castai-agent")("castai-agent")) is running
