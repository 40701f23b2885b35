# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight reports about releases whose pods could not start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._castai import preflight, readiness
from ansible_collections.castai.onboarding.plugins.module_utils._castai.readiness import (
    Cluster,
    Planned,
    Verdict,
    study,
)
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.facts import ClusterFacts
from ansible_collections.castai.onboarding.plugins.module_utils._engine import CallFailed
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.helm import Chart, Helm
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.kubernetes import (
    Kubernetes,
    Rejected,
    by_token,
)
from ansible_collections.castai.onboarding.plugins.module_utils._helm import record
from tests.support.https import reply
from tests.unit.plugins.conftest import Wire
from tests.unit.plugins.module_utils._castai.test_pods import HARDENED, TAINTED, item, node, pod, sized
from tests.unit.plugins.module_utils._castai.test_preflight import GOOD, ONBOARD, PARAMETERS

NAMESPACE = "castai-agent"
OBJECTS: Mapping[str, list[dict[str, Any]]] = {
    "castai-agent": [item("Deployment", {**pod(), **sized(1).pod}, replicas=2)],
    "castai-spot-handler": [item("DaemonSet", {**pod(HARDENED), "hostNetwork": True})],
    "hardened": [item("Deployment", pod(HARDENED))],
}
TWO = (node(), node())


@dataclass
class Renderer:
    """Helm, which records what it renders."""

    rendered: list[str] = field(default_factory=list)
    values: list[Mapping[str, Any]] = field(default_factory=list)

    def render(self, chart: Chart, release: str, namespace: str, values: Mapping[str, Any], hidden: Any) -> Any:
        self.rendered.append(release)
        self.values.append(values)
        if release not in OBJECTS:
            raise CallFailed("Could not render chart x.")
        return OBJECTS[release]


def planned(*releases: str, **values: Any) -> list[Planned]:
    return [Planned(release, Chart(release), values) for release in releases or OBJECTS]


def judged(cluster: Cluster, *releases: str, **values: Any) -> Verdict:
    return study(cast(Helm, Renderer()), cluster, planned(*releases, **values))


def test_where_nothing_can_stop_them_no_chart_is_rendered() -> None:
    helm = Renderer()
    for nodes in (TWO, None):
        assert study(cast(Helm, helm), Cluster(NAMESPACE, nodes=nodes), planned()) == Verdict()
    assert study(cast(Helm, helm), Cluster(NAMESPACE, nodes=TWO), planned(castai={"clusterID": ""})) == Verdict()
    assert helm.rendered == []


@pytest.mark.parametrize(
    ("level", "listed", "enough"),
    [
        ("baseline", "castai-spot-handler has the host's network", "privileged"),
        (
            "restricted",
            (
                "castai-agent has allowPrivilegeEscalation other than false, runAsNonRoot other than true, capabilities"
                " that are not dropped, no seccomp profile; castai-spot-handler has the host's network"
            ),
            "privileged",
        ),
    ],
)
def test_a_podsecurity_level_names_each_component_and_what_it_has(level: str, listed: str, enough: str) -> None:
    assert judged(Cluster(NAMESPACE, level, nodes=TWO)).findings == (
        (
            f"Namespace castai-agent enforces PodSecurity level {level}, under which these cannot start: {listed}. Set"
            f" the namespace's label pod-security.kubernetes.io/enforce to {enough}, or set castai_namespace (option"
            " namespace) to another namespace."
        ),
    )


def test_the_level_that_is_enough_is_named() -> None:
    assert "enforce to baseline," in judged(Cluster(NAMESPACE, "restricted", nodes=TWO), "castai-agent").findings[0]
    assert judged(Cluster(NAMESPACE, "restricted", nodes=TWO), "hardened") == Verdict()


def test_a_quota_below_what_all_together_need() -> None:
    quota = {"metadata": {"name": "few"}, "spec": {"hard": {"pods": "4"}}, "status": {"used": {}}}
    assert judged(Cluster(NAMESPACE, quotas=(quota,), nodes=TWO)).findings == (
        (
            "ResourceQuota few of namespace castai-agent leaves too little for castai-agent, castai-spot-handler,"
            " hardened: 4 of pods, 5 needed. Raise the quota."
        ),
    )
    assert judged(Cluster(NAMESPACE, quotas=(quota,), nodes=TWO), "castai-agent") == Verdict()


def quota(*scopes: str, **hard: str) -> dict[str, Any]:
    return {"metadata": {"name": "few"}, "spec": {"hard": hard, "scopes": list(scopes)}}


@pytest.mark.parametrize(
    ("scope", "default", "counted"),
    [
        ("BestEffort", {}, True),
        ("NotBestEffort", {}, False),
        ("BestEffort", {"cpu": "1m"}, False),
        ("NotBestEffort", {"cpu": "1m"}, True),
        ("BestEffort", None, False),
        ("Terminating", {}, False),
    ],
)
def test_a_quota_counts_only_the_pods_in_its_scope(scope: str, default: Any, counted: bool) -> None:
    """default: what a LimitRange sets; None if LimitRanges may not be read."""
    limits = None if default is None else (limit_range(defaultRequest=default),)
    cluster = Cluster(NAMESPACE, quotas=(quota(scope, pods="0"),), limits=limits, nodes=TWO)
    assert any("leaves too little for hardened" in one for one in judged(cluster, "hardened").findings) is counted


def test_a_daemonset_asks_for_pods_only_on_nodes_that_take_them() -> None:
    away = Cluster(NAMESPACE, quotas=(quota(pods="0"),), nodes=(TAINTED, TAINTED, node(False)))
    assert not any("too little" in finding for finding in judged(away, "castai-spot-handler").findings)


def test_a_quota_on_cpu_wants_containers_that_say_it() -> None:
    wide = quota(cpu="99")
    assert judged(Cluster(NAMESPACE, quotas=(wide,), nodes=TWO), "castai-spot-handler").findings == (
        (
            "ResourceQuota few of namespace castai-agent only accepts pods whose containers all set requests and"
            " limits, but these do not: DaemonSet x of castai-spot-handler (requests.cpu). Add a LimitRange with"
            " defaults, or set resources in agent_values or components_values."
        ),
    )
    defaults = limit_range(defaultRequest={"cpu": "1"})
    for limits in ((defaults,), None):
        assert judged(Cluster(NAMESPACE, quotas=(wide,), limits=limits, nodes=TWO), "castai-spot-handler") == Verdict()
    short = Cluster(NAMESPACE, quotas=(quota(cpu="1"),), limits=(defaults,), nodes=TWO)
    assert "1 of cpu, 2 needed" in judged(short, "castai-spot-handler").findings[0]


@pytest.mark.parametrize(
    ("resource", "needed"),
    {
        "count/deployments.apps": 2,
        "count/replicasets.apps": 2,
        "count/daemonsets.apps": 1,
        "secrets": 3,
        "count/secrets": 3,
        "configmaps": 1,
        "count/configmaps": 1,
        "services": 1,
        "count/evictorconfigs.autoscaling.cast.ai": 1,
    }.items(),
)
def test_a_quota_on_numbers_of_objects(resource: str, needed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Helm writes a Secret for each of the three releases; hooks and objects of other namespaces are not counted."""
    others = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b", "namespace": "kube-system"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "annotations": {"helm.sh/hook": "x"}}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": NAMESPACE}},
        {"apiVersion": "autoscaling.cast.ai/v1", "kind": "EvictorConfig", "metadata": {"name": "a"}},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "a"}},
    ]
    objects = {release: [{"apiVersion": "apps/v1", **one} for one in held] for release, held in OBJECTS.items()}
    objects["castai-agent"] += others
    monkeypatch.setattr(Renderer, "render", lambda _self, _chart, release, *_given: objects[release])
    assert judged(Cluster(NAMESPACE, quotas=(quota(**{resource: str(needed)}),), nodes=TWO)) == Verdict()
    (said,) = judged(Cluster(NAMESPACE, quotas=(quota(**{resource: str(needed - 1)}),), nodes=TWO)).findings
    assert f": {needed - 1} of {resource}, {needed} needed. Raise the quota." in said
    assert (" castai-spot-handler" in said) is (resource in ("secrets", "count/secrets", "count/daemonsets.apps"))


def limit_range(**item: Any) -> dict[str, Any]:
    return {"metadata": {"name": "bounds"}, "spec": {"limits": [{"type": "Container", **item}]}}


def test_a_limit_range_that_refuses_pods() -> None:
    cluster = Cluster(NAMESPACE, limits=(limit_range(max={"memory": "1Gi"}),), nodes=TWO)
    assert judged(cluster, "hardened").findings == (
        (
            "LimitRange bounds of namespace castai-agent does not allow the pods of Deployment x of hardened"
            " (container a has no limit of memory, but the maximum is 1024Mi). Change it, or set resources in"
            " agent_values or components_values."
        ),
    )
    given = limit_range(max={"memory": "1Gi"}, default={"memory": "1Gi"}, defaultRequest={"memory": "1Gi"})
    assert judged(replace(cluster, limits=(given,)), "hardened") == Verdict()


@pytest.mark.parametrize("nodes", [(), (TAINTED, TAINTED), (node(False),)])
def test_no_node_for_a_component(nodes: tuple[Any, ...]) -> None:
    (finding,) = judged(Cluster(NAMESPACE, nodes=nodes), "castai-agent", "castai-spot-handler").findings
    assert finding.startswith(
        f"None of the cluster's {len(nodes)} nodes accepts the pods of Deployment x of castai-agent: they are tainted,"
    )
    assert finding.endswith("set castai_wait_for_workloads (option wait_for_workloads) to false.")


def test_values_that_choose_nodes_are_looked_at() -> None:
    helm = Renderer()
    study(cast(Helm, helm), Cluster(NAMESPACE, nodes=TWO), planned("hardened", x={"nodeSelector": {"a": "b"}}))
    assert helm.rendered == ["hardened"]


def test_one_node_is_a_warning() -> None:
    (warning,) = judged(Cluster(NAMESPACE, nodes=(node(), TAINTED)), "hardened").warnings
    assert warning.startswith("Only one node of the cluster accepts pods, so castai-agent and cluster-controller")
    assert study(cast(Helm, Renderer()), Cluster(NAMESPACE, nodes=(node(),)), []) == Verdict()


def test_a_chart_that_does_not_render_is_not_checked_and_gets_an_id() -> None:
    helm = Renderer()
    found = study(cast(Helm, helm), Cluster(NAMESPACE, "baseline"), planned("none", castai={"clusterID": "", "a": 1}))
    assert found.not_checked == ("Could not check whether the pods of none can start: Could not render chart x.",)
    assert helm.values == [{"castai": {"clusterID": readiness.SOME_ID, "a": 1}}]


HOST = "spec.hostNetwork is not allowed"
DENIED = f'admission webhook "validation.gatekeeper.sh" denied the request: [azurepolicy-k8sazurev3host-1] {HOST}'


def tried(wire: Wire, status: int, said: str, there: bool = True) -> Verdict:
    """With the agent that uses the host's network, in a cluster with policies."""
    kubernetes = by_token(wire.url, "CANARY", wire.ca_pem, True)
    wire.script.play(reply(status, {"message": said}))
    policed = readiness.Policed(kubernetes, "Exempt it.", there)
    return study(cast(Helm, Renderer()), Cluster(NAMESPACE), planned("castai-spot-handler"), policed)


def test_what_a_policy_refuses_is_found_by_a_dry_run(wire: Wire) -> None:
    assert tried(wire, 403, DENIED) == Verdict(
        (f"A policy of the cluster refuses the pods of DaemonSet x of castai-spot-handler: {DENIED}. Exempt it.",)
    )
    (asked,) = wire.script.received
    assert (asked.method, asked.path) == ("POST", f"/api/v1/namespaces/{NAMESPACE}/pods")
    assert "dryRun=All" in asked.query
    body = json.loads(asked.body)
    assert (body["kind"], body["metadata"]["namespace"], body["spec"]["hostNetwork"]) == ("Pod", NAMESPACE, True)
    assert tried(wire, 201, "") == Verdict()


@pytest.mark.parametrize(
    ("status", "said", "there", "told"),
    [
        (403, 'pods is forbidden: User "x" cannot create', True, "of castai-spot-handler: pods is forbidden"),
        (400, 'admission webhook "w" does not support dry run', True, "does not support dry run."),
        (201, "", False, "namespace castai-agent does not exist yet. Exempt it."),
    ],
)
def test_policies_that_cannot_be_asked_are_not_checked(
    wire: Wire, status: int, said: str, there: bool, told: str
) -> None:
    found = tried(wire, status, said, there)
    (sentence,) = found.not_checked
    assert sentence.startswith("Could not check whether policies of the cluster refuse")
    assert told in sentence
    assert found.findings == ()
    assert len(wire.script.received) == there


@dataclass
class Api:
    answers: Mapping[str, Any]

    def get(self, path: str, **query: str) -> Any:
        answer = self.answers.get(path.rpartition("/")[2])
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_the_cluster_is_known_as_far_as_it_may_be_read() -> None:
    namespace = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}}
    quotas = {"items": [{"metadata": {"name": "q"}}]}
    ranges = {"items": [{"metadata": {"name": "r"}}]}
    assert Cluster.of(NAMESPACE, namespace, quotas, ranges, TWO) == Cluster(
        NAMESPACE, "baseline", tuple(quotas["items"]), tuple(ranges["items"]), TWO
    )
    assert Cluster.of(NAMESPACE, None, None, None, None) == Cluster(NAMESPACE, limits=None)


@pytest.mark.parametrize("further", ["", "token"])
def test_of_more_nodes_than_are_read_at_once_nothing_is_said(further: str) -> None:
    listed = {"metadata": {"continue": further}, "items": list(TWO)}
    found = None if further else TWO
    assert readiness.nodes(cast(Kubernetes, Api({"nodes": listed})), None) == found
    facts = ClusterFacts("any", "shop", "", "", {}, nodes=listed)
    assert readiness.nodes(cast(Kubernetes, Api({"nodes": CallFailed("read twice")})), facts) == found


@pytest.mark.parametrize(
    ("answer", "releases", "part"),
    [
        (None, ["castai-workload-autoscaler"], "no metrics-server, so castai-workload-autoscaler cannot"),
        (None, [], "castai-agent cannot see how much CPU and memory pods use. Install metrics-server."),
        ({"kind": "APIResourceList"}, [], ""),
        (Rejected("no", 503, "no"), [], "a metrics-server that does not answer, so castai-agent cannot see how"),
        (Rejected("no", 403, "no"), [], ""),
        (CallFailed("no"), [], ""),
    ],
)
def test_without_metrics_server(answer: Any, releases: list[str], part: str) -> None:
    warning = readiness.metrics_warning(cast(Kubernetes, Api({"v1beta1": answer})), releases)
    assert bool(warning) is bool(part)
    assert part in warning


@pytest.mark.parametrize(
    ("there", "values", "missing"),
    [
        (None, {"imagePullSecrets": [{"name": "pull"}]}, True),
        ({"metadata": {}}, {"imagePullSecrets": [{"name": "pull"}]}, False),
        (Rejected("no", 403, "no"), {"imagePullSecrets": [{"name": "pull"}]}, False),
        (None, {"imagePullSecrets": ["pull", {"name": 1}, {}]}, False),
        (None, {"imagePullSecrets": "pull"}, False),
        (None, {}, False),
    ],
)
def test_without_the_secret_to_pull_images_with(there: Any, values: dict[str, Any], missing: bool) -> None:
    charts = {"castai-agent": values, "castai-kvisor": values, "castai-evictor": {}}
    said = readiness.pull_warnings(cast(Kubernetes, Api({"pull": there})), NAMESPACE, charts)
    sentence = (
        f"Secret {NAMESPACE}/pull does not exist, but castai-agent, castai-kvisor would pull images with it. Create it,"
        " or correct castai_image_pull_secrets."
    )
    assert said == ((sentence,) if missing else ())


STOPPED = replace(GOOD, startable=Verdict(("No pod starts.",), ("One node.",), ("Not known.",)), metrics="No metrics.")


def test_what_stops_pods_is_a_finding_or_for_who_does_not_wait_a_warning() -> None:
    wanted = preflight.desired(PARAMETERS)
    assert list(preflight.findings_of(STOPPED, wanted)) == ["No pod starts."]
    assert preflight.view(STOPPED, wanted, {})["warnings"] == ["One node.", "No metrics."]
    assert preflight.view(STOPPED, wanted, {})["not_checked"] == ["Not known."]
    lax = preflight.desired({**PARAMETERS, "wait_for_workloads": False})
    assert list(preflight.findings_of(STOPPED, lax)) == []
    assert preflight.view(STOPPED, lax, {})["warnings"] == ["No pod starts.", "One node.", "No metrics."]


def test_secret_values_of_charts_are_hidden() -> None:
    releases = [{"name": "a", "values": {"apiKey": "CANARY-key"}}, {"name": "b"}]
    assert preflight.hidden({"releases": releases}) == ("CANARY-key",)
    assert preflight.hidden({"releases": "no list"}) == preflight.hidden({}) == ()


@pytest.mark.parametrize(
    ("manifest", "status", "refers"),
    [
        ("env: {secretRef: castai-credentials}", "deployed", True),
        ("env: {secretRef: castai-credentials}", "failed", False),
        ("env: {secretRef: of-the-script}", "deployed", False),
    ],
)
def test_a_secret_that_installed_components_use_is_missed_on_every_run(
    manifest: str, status: str, refers: bool
) -> None:
    """Releases that another tool installed with their own key are not checked."""
    labels = {"name": "castai-agent", "version": "1", "status": status}
    secret = record.encode({"metadata": {"name": "r", "labels": labels}, "data": {}}, {"manifest": manifest})
    wanted = preflight.desired({**PARAMETERS, "onboard": ONBOARD})
    releases = preflight.Releases.of({"items": [secret]}, wanted.charts)
    assert preflight._refer_to_secret(releases, wanted) is refers
    assert preflight._tokenless(None, wanted) == "castai-agent/castai-credentials"
