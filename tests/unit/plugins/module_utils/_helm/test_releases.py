# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read once for several releases of a cluster, and that each is still judged by itself."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from typing import Any, cast

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._clusters.facts import Named
from ansible_collections.castai.onboarding.plugins.module_utils._engine import Refused, reconcile
from ansible_collections.castai.onboarding.plugins.module_utils._helm import record, release, releases

NAMESPACE = "castai-agent"
NAMES = ("cluster-controller", "castai-evictor", "castai-kvisor")
GONE = ("castai-cluster-controller", "castai-evictor", "castai-kvisor-controller")
"""The Deployments whose owner is checked for the objects of an install."""


def kept(name: str, number: int, status: str = "deployed") -> dict[str, Any]:
    """Helm's record of a revision whose manifest has a Deployment of the release's name."""
    manifest = f"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\n"
    content = {"chart": {"metadata": {"name": name, "version": "1.0.0"}}, "config": {}, "manifest": manifest}
    labels = {"name": name, "owner": "helm", "version": str(number), "status": status, "modifiedAt": "1"}
    return record.encode(
        {"metadata": {"name": record.secret_name(name, number), "labels": labels}, "data": {}}, content
    )


class Cluster:
    """A cluster with these records and the workloads of all releases except those in gone. Also takes the place of
    Helm."""

    host = "https://cluster"

    def __init__(
        self, *records: dict[str, Any], gone: tuple[str, ...] = (), in_configmaps: tuple[str, ...] = ()
    ) -> None:
        self._records, self._gone = records, gone
        self._configmaps = [{"metadata": {"labels": {"name": name}}} for name in in_configmaps]
        self._lock = threading.Lock()
        self.asked: Counter[str] = Counter()

    def get(self, path: str, **query: str) -> dict[str, Any] | None:
        with self._lock:
            self.asked[path.removeprefix(f"/api/v1/namespaces/{NAMESPACE}")] += 1
        kind, name = path.split("/")[-2:]
        if path.endswith(("/secrets", "/configmaps")):
            assert query == {"labelSelector": f"owner=helm,name in ({','.join(NAMES)})"}
            return {"items": list(self._records) if name == "secrets" else self._configmaps}
        if kind == "deployments" and name not in self._gone:
            status = {"updatedReplicas": 1, "availableReplicas": 1, "replicas": 1}
            return {"metadata": {"name": name}, "spec": {"replicas": 1}, "status": status}
        return {"metadata": {"name": NAMESPACE}} if path.endswith(f"/namespaces/{NAMESPACE}") else None

    def enter(self, named: Named) -> Cluster:
        return self

    def cluster(self) -> Cluster:
        return self

    def was_killed(self, work: Any) -> bool:
        return False

    def check_version(self) -> tuple[int, ...]:
        return (3, 22, 0)

    def render(self, _chart: Any, release: str, *_given: Any) -> Any:
        names = [release, "metadata"] if release in self.sharing else [release]
        return [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}} for name in names]

    sharing: tuple[str, ...] = ()
    """The releases whose charts create the same ConfigMap."""

    def close(self) -> None:
        """Nothing is open."""


def parameters(items: tuple[str, ...] | None = None, unwanted: tuple[str, ...] = (), **options: Any) -> dict[str, Any]:
    """items: the names of the wanted releases, by default all except the unwanted ones."""
    names = items or tuple(name for name in NAMES if name not in unwanted)
    spec = releases.OPTIONS["argument_spec"]
    defaults = {name: one.get("default") for name, one in spec["releases"]["options"].items()}
    entries = [{**defaults, "name": name, "chart_ref": name, "policy": "install_only", **options} for name in names]
    shared = {name: one.get("default") for name, one in spec.items()}
    return {**shared, "releases": entries, "unwanted": list(unwanted)}


def wanted(
    items: tuple[str, ...] | None = None, unwanted: tuple[str, ...] = (), **options: Any
) -> list[release.Desired]:
    return list(releases.desired(parameters(items, unwanted, **options)))


def systems_of(cluster: Cluster) -> release.Systems:
    return release.Systems(cast(Any, cluster), cast(Any, cluster))


def plans(cluster: Cluster, **options: Any) -> list[list[str]]:
    desired = wanted(**options)
    found = releases.SUBJECT.observe(systems_of(cluster), desired)
    pairs = zip(found, desired, strict=True)
    return [[action.sentence for action in release.plan(*pair)] for pair in pairs]


def test_a_plan_that_installs_says_what_each_does_in_the_cluster() -> None:
    (first, *_others), *_releases = plans(Cluster(gone=GONE), purpose="adds nodes")
    assert first.startswith("install Helm release cluster-controller, which adds nodes, in namespace castai-agent (")


def test_what_counts_for_all_is_read_once() -> None:
    cluster = Cluster(*(kept(name, 1) for name in NAMES))
    assert plans(cluster) == [[], [], []]
    assert set(cluster.asked.values()) == {1}
    assert cluster.asked.total() == 4 + len(NAMES)


def test_each_is_planned_by_its_own_record() -> None:
    kvisor = (kept("castai-kvisor", 1), kept("castai-kvisor", 2, "failed"))
    cluster = Cluster(kept("castai-evictor", 1), *kvisor, gone=("castai-evictor", "castai-cluster-controller"))
    assert plans(cluster) == [
        ["install Helm release cluster-controller in namespace castai-agent (chart cluster-controller (newest))"],
        ["restore Deployment castai-evictor of Helm release castai-evictor (apply revision 1 again)"],
        ["roll Helm release castai-kvisor back to revision 1 (revision 2 is failed)"],
    ]


def test_all_that_helm_keeps_in_configmaps_are_named() -> None:
    cluster = Cluster(kept(NAMES[0], 1), in_configmaps=NAMES)
    with pytest.raises(Refused) as caught:
        plans(cluster)
    assert [text.partition(" in ConfigMaps")[0] for text in caught.value.findings] == [
        f"Helm keeps Helm release {name}" for name in NAMES[1:]
    ]


def test_what_is_not_wanted_is_reported_and_left_alone() -> None:
    """Even if its record cannot be read, and its workloads are gone."""
    evictor, kvisor = kept("castai-evictor", 1), kept("castai-kvisor", 1)
    kvisor["data"]["release"] = "edited"
    cluster = Cluster(kept("cluster-controller", 1), evictor, kvisor, gone=NAMES, in_configmaps=NAMES[1:])
    desired = wanted(unwanted=("castai-evictor", "castai-kvisor"))
    found = releases.SUBJECT.observe(systems_of(cluster), desired)
    plans = [list(release.plan(current, one)) for current, one in zip(found, desired, strict=True)]
    assert [bool(plan) for plan in plans] == [True, False, False]
    assert not any("evictor" in path or "kvisor" in path for path in cluster.asked if "configmaps" not in path)

    views = [release.view(current, one, {}) for current, one in zip(found, desired, strict=True)]
    result = releases.view(desired, views)
    assert result["unwanted"] == ["castai-evictor", "castai-kvisor"]
    assert list(result["releases"]) == ["cluster-controller"]
    for name, warning in zip(result["unwanted"], result["warnings"], strict=True):
        assert f"{name} is still installed in namespace {NAMESPACE}, but components_skip" in warning
        assert f"helm uninstall {name} --namespace {NAMESPACE}." in warning


def test_a_release_cannot_be_wanted_and_unwanted() -> None:
    with pytest.raises(Refused, match="castai-evictor is in option releases and in option unwanted"):
        wanted(items=NAMES, unwanted=("castai-evictor",))


def test_what_is_wrong_with_all_is_said_once() -> None:
    with pytest.raises(Refused) as caught:
        wanted(chart_version="1.0")
    assert str(caught.value).count("Set it to an exact version in quotes") == 1


def test_secret_values_of_every_release_are_hidden() -> None:
    items = [{"name": name, "values": {"apiKey": f"CANARY-{name}"}} for name in NAMES]
    assert releases.hidden({"releases": items}) == tuple(f"CANARY-{name}" for name in NAMES)


@pytest.mark.parametrize("check", [True, False], ids=["check mode", "run"])
@pytest.mark.parametrize("upgraded", [0, 1], ids=["both new", "one upgraded"])
def test_charts_that_create_the_same_object_are_refused_before_the_first_write(check: bool, upgraded: int) -> None:
    """The stand-in for Helm has no work, so a run that got that far would fail."""
    cluster = Cluster(*(kept(name, 1, "failed") for name in NAMES[:upgraded]), gone=GONE)
    cluster.sharing = (NAMES[0], NAMES[2])
    subject = replace(releases.SUBJECT, connect=lambda params, desired: systems_of(cluster))
    with pytest.raises(Refused) as caught:
        reconcile(subject, parameters(adopt=True, policy="enforce"), check, print)
    assert str(caught.value) == (
        "The charts of Helm releases cluster-controller and castai-kvisor both create ConfigMap metadata, which can"
        " only belong to one of them. Change components_values (option values) so that only one of them creates it, or"
        " leave one of them out."
    )


def test_charts_that_share_nothing_are_planned() -> None:
    cluster = Cluster(gone=GONE)
    cluster.sharing = NAMES[:1]
    subject = replace(releases.SUBJECT, connect=lambda params, desired: systems_of(cluster))
    result = reconcile(subject, parameters(adopt=True), True, print)
    assert [sentence.split()[:4] for sentence in result.public(False)["actions"]] == [
        ["install", "Helm", "release", name] for name in NAMES
    ]
