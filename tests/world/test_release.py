# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""castai_release and castai_releases with the real Helm, from every state that Helm, or a killed Helm, can leave."""

from __future__ import annotations

import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_task
from ansible_collections.castai.onboarding.plugins.module_utils._helm import record
from ansible_collections.castai.onboarding.plugins.module_utils._helm.release import SUBJECT
from ansible_collections.castai.onboarding.plugins.module_utils._helm.releases import SUBJECT as SEVERAL
from tests.sandbox.charts.server import FOLDER as CHARTS
from tests.sandbox.client import World
from tests.sandbox.kubernetes.client import Kubernetes

from .connecting import Operator, writes
from .namespaces import limit, restrict

CLUSTERS = ("prod:eks",)
ALONE = True
NAMESPACE = "/api/v1/namespaces/castai-agent"
DEPLOYMENT = "/apis/apps/v1/namespaces/castai-agent/deployments/castai-agent"
ARCHIVE = "https://github.com/castai/helm-charts/releases/download/castai-agent-0.161.1/castai-agent-0.161.1.tgz"
VALUES: dict[str, Any] = {"provider": "eks", "apiKeySecretRef": "castai-credentials", "createNamespace": False}
MORE = {**VALUES, "replicaCount": 3}
CHANGING = ("upgrade", "rollback", "uninstall")
HOPELESS = 120
"""Maximum seconds until a run gives up if waiting is pointless, on the busiest machine.

The unit tests of `wait` check that it takes a minute by a clock that nothing delays.
"""
UNPULLABLE = "unpullable.example"
LONG = 600
"""A grace period far longer than any test's patience: a run that waits for it fails."""

Result = dict[str, Any]


@dataclass(frozen=True)
class Releaser:
    """Runs castai_release against one cluster as the action plugin does."""

    operator: Operator
    options: dict[str, Any]

    @property
    def world(self) -> World:
        return self.operator.world

    def run(self, check: bool = False, **options: Any) -> Result:
        task = SimpleNamespace(check_mode=check, diff=True)
        given = {name: value for name, value in {**self.options, **options}.items() if value is not None}
        return run_task(SUBJECT, task, given, lambda line: None)

    def bring(self, **options: Any) -> Result:
        """Plan, run, run again: the plan writes nothing, the run does what it shows, and nothing is left to do."""
        mark, starts = self.world.mark(), self._changes()
        plan = self.run(check=True, **options)
        assert (writes(self.world, mark), self._changes()) == ([], starts)
        result = self.run(**options)
        assert "msg" not in result, result["msg"]
        assert plan["actions"] == result["actions"]
        mark, starts = self.world.mark(), len(self.operator.helm_starts())
        again = self.run(**options)
        assert (again["changed"], again["actions"]) == (False, [])
        assert (writes(self.world, mark), len(self.operator.helm_starts())) == ([], starts)
        assert again["release"] == result["release"]
        return result

    def statuses(self) -> list[str]:
        """The status of each of the release's revisions, oldest first."""
        found = self.world.kubernetes("prod").items(f"{NAMESPACE}/secrets?labelSelector=owner%3Dhelm")
        return [revision.status for revision in record.history(found)]

    def replicas(self) -> int:
        found: int = self.world.kubernetes("prod").get(DEPLOYMENT)["spec"]["replicas"]
        return found

    def _changes(self) -> int:
        """How often Helm was started to change a release."""
        return len([start for start in self.operator.helm_starts() if start.startswith(CHANGING)])


@pytest.fixture
def releaser(operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Releaser:
    for name, value in operator.environment.items():
        monkeypatch.setenv(name, value)
    temporary = tmp_path / "releaser"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    options = {
        "name": "castai-agent",
        "chart_ref": "castai-agent",
        "chart_repo_url": "https://castai.github.io/helm-charts",
        "chart_version": "0.161.1",
        "values": VALUES,
        "provider": "eks",
        "cluster_name": "prod",
        "region": operator.world.clusters()["prod"].region,
        "helm_path": str(operator.path[-1] / "helm"),
        "pending_grace": LONG,
    }
    return Releaser(operator, options)


def test_install_upgrade_downgrade_uninstall(releaser: Releaser) -> None:
    assert releaser.bring()["release"] == {
        "name": "castai-agent",
        "namespace": "castai-agent",
        "revision": 1,
        "status": "deployed",
        "chart": "castai-agent",
        "chart_version": "0.161.1",
        "app_version": "v0.161.1",
    }
    assert releaser.bring(values=MORE)["actions"] == [
        "upgrade Helm release castai-agent with changed values replicaCount"
    ]
    assert releaser.replicas() == 3
    assert releaser.bring(values=MORE, chart_version="0.153.2")["actions"] == [
        "downgrade Helm release castai-agent from chart castai-agent 0.161.1 to castai-agent 0.153.2"
    ]
    assert releaser.bring(state="absent")["release"] is None
    kubernetes = releaser.world.kubernetes("prod")
    assert kubernetes.get(DEPLOYMENT) is None
    assert kubernetes.get(NAMESPACE)["status"]["phase"] == "Active"
    assert list(Path(tempfile.gettempdir()).iterdir()) == []


def test_what_hooks_made_goes_with_the_release(releaser: Releaser) -> None:
    evictor = {"name": "castai-evictor", "chart_ref": "castai-evictor", "chart_version": None}
    values = {"replicaCount": 0, "apiKeySecretRef": "castai-credentials"}
    kubernetes = releaser.world.kubernetes("prod")
    jobs = "/apis/batch/v1/namespaces/castai-agent/jobs"
    releaser.bring(**evictor, values=values)
    releaser.bring(**evictor, values={**values, "nodeSelector": {"a": "b"}})
    assert len(kubernetes.items(jobs)) == 2
    kubernetes.create(f"{NAMESPACE}/configmaps", {"metadata": {"name": "of-somebody-else"}})
    removed, uninstalled = releaser.bring(**evictor, values=values, state="absent")["actions"]
    assert "Job castai-agent/castai-evictor-crd-upgrade-1, " in removed
    assert uninstalled == "uninstall Helm release castai-evictor"
    assert kubernetes.items(jobs) == []
    for path in (f"{NAMESPACE}/serviceaccounts", f"{NAMESPACE}/configmaps", f"{NAMESPACE}/pods"):
        assert not [one for one in kubernetes.items(path) if "evictor" in one["metadata"]["name"]]
    for kind in ("clusterroles", "clusterrolebindings"):
        found = kubernetes.items(f"/apis/rbac.authorization.k8s.io/v1/{kind}")
        assert not [one for one in found if "evictor" in one["metadata"]["name"]]
    assert kubernetes.get(f"{NAMESPACE}/configmaps/of-somebody-else")


PASSING = re.compile(r"\S*(Event|Endpoints|EndpointSlice|Pod|ReplicaSet|ControllerRevision) ")
"""Objects that the control plane creates for others, and later removes or lets expire."""


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("castai-workload-autoscaler", {"configMapRef": "castai-cluster-controller"}),
        ("castai-workload-autoscaler-exporter", {"configMapRef": "castai-cluster-controller"}),
        ("castai-pod-mutator", {"clusterID": "c"}),
        ("castai-live", {"clusterID": "c"}),
    ],
)
def test_an_optional_component_goes_without_a_trace(releaser: Releaser, name: str, values: dict[str, Any]) -> None:
    """Including its custom resource definitions and the objects that its removal hooks create."""
    component = {
        "name": name,
        "chart_ref": name,
        "chart_version": None,
        "values": {"castai": {**KEY_BY_REFERENCE, **values}},
    }
    kubernetes = releaser.world.kubernetes("prod")
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    releaser.bring(**component)
    made = [one["metadata"]["name"] for one in kubernetes.items(crds)]
    assert len(made) == 1
    assert releaser.bring(**component, state="absent")["release"] is None
    left = [key for key in releaser.world.state()["kubernetes"]["prod"] if not PASSING.match(key)]
    assert [key for key in left if name in key or made[0] in key or "exporter-config" in key] == []


@pytest.mark.parametrize(
    "chart",
    [
        {"chart_ref": ARCHIVE, "chart_repo_url": None},
        {"chart_ref": ARCHIVE, "chart_repo_url": None, "chart_version": None},
        {"chart_ref": str(CHARTS / "castai-agent"), "chart_repo_url": None, "chart_version": None},
        {"chart_version": None},
    ],
    ids=["archive", "archive of any version", "folder", "newest"],
)
def test_wherever_the_chart_is(releaser: Releaser, chart: dict[str, Any]) -> None:
    assert releaser.bring(**chart)["release"]["chart_version"] == "0.161.1"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"chart_version": "9.9.9"}, "no chart version found for castai-agent-9.9.9"),
        ({"chart_ref": "nothing"}, "Could not get chart nothing 0.161.1"),
        ({"chart_repo_url": "https://nowhere.example"}, "https://nowhere.example"),
        (
            {"chart_ref": ARCHIVE, "chart_repo_url": None, "chart_version": "0.153.2"},
            "but agent_chart_version (option chart_version) is 0.153.2",
        ),
        ({"chart_ref": "./nothing", "chart_repo_url": None}, "is not a Helm chart"),
        ({"helm_path": "/nothing/helm"}, "Helm was not found at /nothing/helm"),
        ({"create_namespace": False}, "Namespace castai-agent does not exist"),
        ({"cluster_name": "nothing"}, "EKS has no cluster nothing"),
        ({"values": {"createNamespace": False}}, "apiKey"),
    ],
)
def test_what_cannot_be_had_is_said_before_anything_is_written(
    releaser: Releaser, options: dict[str, Any], sentence: str
) -> None:
    result = releaser.run(**options)
    assert result["failed"]
    assert sentence in result["msg"]
    assert writes(releaser.world) == []


@pytest.mark.parametrize("policy", ["enforce", "install_only"])
def test_a_failed_upgrade(releaser: Releaser, policy: str) -> None:
    releaser.bring()
    forbidden = {"status": 403, "code": "Forbidden", "message": "no"}
    releaser.world.fault({"operation": "patch deployments", "fail": forbidden})
    assert "Helm said: cannot patch" in releaser.run(values=MORE)["msg"]
    assert releaser.statuses() == ["deployed", "failed"]
    releaser.bring(values=MORE, policy=policy)
    assert releaser.statuses()[-1] == "deployed"
    assert releaser.replicas() == (3 if policy == "enforce" else 2)


@pytest.mark.parametrize(
    ("operation", "asked", "statuses"),
    [("get clusterroles", 11, ["deployed"]), ("create deployments", 22, ["superseded", "deployed"])],
)
def test_where_the_api_server_throttles_helm_until_it_gives_up_it_is_tried_again(
    releaser: Releaser, operation: str, asked: int, statuses: list[str]
) -> None:
    """Helm asks eleven times for each object. It fails before it writes, and while it does: the chart has two
    Deployments, which Helm creates at once."""
    releaser.world.fault({"operation": operation, "throttle": {"retry_after": 0}, "times": asked})
    releaser.bring()
    assert releaser.world.fired() == [asked]
    assert releaser.statuses() == statuses
    releaser.world.fault()


def test_what_is_never_ready_is_mended_by_better_values(releaser: Releaser) -> None:
    nowhere = {**VALUES, "nodeSelector": {"no": "where"}}
    assert "raise agent_timeout (option timeout)." in releaser.run(values=nowhere, wait=True, timeout=2)["msg"]
    assert releaser.statuses() == ["failed"]
    releaser.bring(wait=True)


@pytest.mark.parametrize(
    ("before", "values", "said"),
    [
        (restrict, VALUES, 'violates PodSecurity "restricted:latest"'),
        (limit, VALUES, "exceeded quota: one-pod"),
        (None, {**VALUES, "nodeSelector": {"no": "where"}}, "node(s) didn't match Pod's node affinity/selector"),
        (None, {**VALUES, "image": {"repository": f"{UNPULLABLE}/agent"}}, f'pulling image "{UNPULLABLE}/agent:'),
    ],
)
def test_where_pods_cannot_start_no_run_ends_ok(
    releaser: Releaser, before: Callable[[Kubernetes, str], None] | None, values: dict[str, Any], said: str
) -> None:
    if before:
        before(releaser.world.kubernetes("prod"), "castai-agent")
    began = time.monotonic()
    failed = releaser.run(values=values)
    assert time.monotonic() - began < HOPELESS
    assert failed["failed"] is True
    assert "but cannot start: Deployment castai-agent" in failed["msg"]
    assert said in failed["msg"]
    assert len(failed["applied"]) == 1
    again = releaser.run(values=values, timeout=1)
    assert said in again["msg"]
    assert again["applied"] == []
    for result in (releaser.run(check=True, values=values), releaser.run(values=values, wait_for_workloads=False)):
        assert result["changed"] is False
        assert said in result["warnings"][0]


@pytest.mark.parametrize(
    ("before", "image", "said"),
    [
        (restrict, "docker.io/rancher", 'violates PodSecurity "restricted:latest"'),
        (None, UNPULLABLE, "Back-off pulling"),
    ],
)
def test_a_hook_that_cannot_run_ends_the_run(
    releaser: Releaser, before: Callable[[Kubernetes, str], None] | None, image: str, said: str
) -> None:
    """Helm waits for the evictor's Job long before any workload exists."""
    if before:
        before(releaser.world.kubernetes("prod"), "castai-agent")
    values = {"apiKeySecretRef": "castai-credentials", "crdUpgrade": {"image": {"repository": f"{image}/kubectl"}}}
    began = time.monotonic()
    failed = releaser.run(name="castai-evictor", chart_ref="castai-evictor", chart_version=None, values=values)
    assert time.monotonic() - began < HOPELESS
    assert (
        "Job castai-evictor-crd-upgrade-1 in namespace castai-agent, a hook of the chart, cannot run" in failed["msg"]
    )
    assert said in failed["msg"]


def test_a_daemonset_that_cannot_start_is_told_by_its_own_events(releaser: Releaser) -> None:
    restrict(releaser.world.kubernetes("prod"), "castai-agent")
    values = {"castai": {"clusterID": "c", "apiKeySecretRef": "castai-credentials"}, "controller": {"enabled": False}}
    failed = releaser.run(name="castai-kvisor", chart_ref="castai-kvisor", chart_version=None, values=values)
    assert "but cannot start: DaemonSet castai-kvisor-agent has 0 of" in failed["msg"]
    assert 'violates PodSecurity "restricted:latest"' in failed["msg"]


@pytest.mark.parametrize(
    ("operation", "resource", "policy"),
    [
        ("create secrets", r".*\.v2", "enforce"),
        ("patch deployments", ".*/castai-agent", "enforce"),
        ("update secrets", r".*\.v1", "enforce"),
        ("update secrets", r".*\.v2", "enforce"),
        ("patch deployments", ".*/castai-agent", "install_only"),
        ("update secrets", r".*\.v1", "install_only"),
    ],
)
def test_helm_killed_in_an_upgrade(releaser: Releaser, operation: str, resource: str, policy: str) -> None:
    releaser.bring()
    releaser.world.fault({"system": "kubernetes", "operation": operation, "resource": resource, "end": "after"})
    assert "Helm was stopped by SIGKILL" in releaser.run(values=MORE)["msg"]
    whole = releaser.statuses()[-1] == "deployed"
    releaser.bring(values=MORE, policy=policy)
    assert releaser.statuses()[-1] == "deployed"
    assert releaser.replicas() == (3 if policy == "enforce" or whole else 2)


@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize(
    ("operation", "options"),
    [
        ("create deployments", {}),
        ("delete deployments", {"state": "absent"}),
    ],
    ids=["install", "uninstall"],
)
def test_helm_killed_in(releaser: Releaser, operation: str, options: dict[str, Any], state: str) -> None:
    if options:
        releaser.bring()
    releaser.world.fault({"system": "kubernetes", "operation": operation, "end": "after"})
    assert "Helm was stopped by SIGKILL" in releaser.run(**options)["msg"]
    releaser.bring(state=state)
    assert releaser.statuses()[-1:] == (["deployed"] if state == "present" else [])


def test_an_uninstall_that_failed_is_repeated_at_once(releaser: Releaser) -> None:
    """Helm leaves it as uninstalling, as if it were still at work."""
    releaser.bring()
    denied = {"status": 403, "code": "Forbidden", "message": "policy deny denied request"}
    releaser.world.fault({"system": "kubernetes", "operation": "delete deployments", "fail": denied, "times": 100})
    failed = releaser.run(state="absent")
    assert "Deployment castai-agent/castai-agent cannot be deleted: policy deny denied request." in failed["msg"]
    assert "It left revision 1 of Helm release castai-agent, which is uninstalling." in failed["msg"]
    releaser.world.fault()
    releaser.bring(state="absent")
    assert list(Path(tempfile.gettempdir()).iterdir()) == []


def test_what_a_killed_install_made_of_other_values_goes(releaser: Releaser) -> None:
    """Fields that only the killed install set on its objects, and objects that only it created."""
    other = {
        **VALUES,
        "nodeSelector": {"pool": "old"},
        "additionalEnv": {"OLD": "1"},
        "resourceQuota": {"enabled": True},
    }
    releaser.world.fault({"system": "kubernetes", "operation": "create deployments", "end": "after"})
    assert "Helm was stopped by SIGKILL" in releaser.run(values=other)["msg"]
    assert releaser.bring()["actions"][0] == (
        "mark the killed install of Helm release castai-agent (revision 1) as failed"
    )
    pod = releaser.world.kubernetes("prod").get(DEPLOYMENT)["spec"]["template"]["spec"]
    assert not pod.get("nodeSelector")
    assert "OLD" not in str(pod["containers"])
    assert releaser.statuses() == ["superseded", "deployed"]


def test_helm_killed_in_an_install_beside_what_a_killed_uninstall_left(releaser: Releaser) -> None:
    """With --keep-history, Helm marks the newest revision as uninstalled before older ones as superseded."""
    releaser.bring()
    releaser.world.fault({"system": "kubernetes", "operation": "create secrets", "resource": r".*\.v2", "end": "after"})
    releaser.run(values=MORE)
    assert releaser.statuses() == ["deployed", "pending-upgrade"]
    kubeconfig = releaser.world.clusters()["prod"].kubeconfig(releaser.operator.folder / "kubeconfig")
    at = ["--kubeconfig", str(kubeconfig), "--namespace", "castai-agent"]
    uninstall = [releaser.options["helm_path"], "uninstall", "castai-agent", "--keep-history", *at]
    subprocess.run(uninstall, check=True, capture_output=True)
    kubernetes, first = releaser.world.kubernetes("prod"), f"{NAMESPACE}/secrets/sh.helm.release.v1.castai-agent.v1"
    assert releaser.statuses() == ["superseded", "uninstalled"]
    kubernetes.replace(first, record.with_status(kubernetes.get(first), record.DEPLOYED))
    releaser.world.fault({"system": "kubernetes", "operation": "create deployments", "end": "after"})
    releaser.run(values=MORE)
    assert releaser.statuses() == ["deployed", "superseded", "pending-install"]
    releaser.bring(values=MORE)
    assert (releaser.statuses()[-1], releaser.replicas()) == ("deployed", 3)


def test_helm_killed_while_it_recovers(releaser: Releaser) -> None:
    releaser.bring()
    for operation in ("patch deployments", "create secrets"):
        releaser.world.fault({"system": "kubernetes", "operation": operation, "end": "after"})
        releaser.run(values=MORE)
    assert releaser.statuses() == ["deployed", "pending-upgrade", "pending-rollback"]
    releaser.bring(values=MORE)
    assert releaser.replicas() == 3


def test_pending_may_be_left_to_the_user(releaser: Releaser) -> None:
    releaser.world.fault({"system": "kubernetes", "operation": "create secrets", "end": "after"})
    releaser.run()
    refused = releaser.run(pending="fail")
    assert "set agent_pending (option pending) to recover" in refused["msg"]
    assert releaser.run(check=True, pending="fail")["msg"] == refused["msg"]
    assert releaser.statuses() == ["pending-install"]


def test_a_living_helm_is_waited_for(releaser: Releaser) -> None:
    releaser.world.fault({"system": "kubernetes", "operation": "create deployments", "delay": 3})
    results: list[Result] = []
    first = threading.Thread(target=lambda: results.append(releaser.run()))
    first.start()
    while not releaser.world.fired()[0]:
        assert first.is_alive(), results
        time.sleep(0.05)
    second = releaser.run()
    first.join()
    assert len(results[0]["actions"]) == 1
    assert second["actions"] == []
    assert releaser.statuses() == ["deployed"]


def test_a_helm_that_works_for_longer_than_its_token_lives(releaser: Releaser) -> None:
    """Helm reads the file with its token again after 50 s, so this test waits that long."""
    held = {"system": "kubernetes", "operation": "create serviceaccounts", "throttle": {"retry_after": 55}}
    releaser.world.fault(held)
    results: list[Result] = []
    run = threading.Thread(target=lambda: results.append(releaser.run()))
    run.start()
    while not releaser.world.fired()[0]:
        assert run.is_alive(), results
        time.sleep(0.05)
    mark = releaser.world.mark()
    releaser.world.clock(16 * 60)
    run.join()
    assert "msg" not in results[0], results[0]["msg"]
    assert releaser.statuses() == ["deployed"]
    written = writes(releaser.world, mark)
    assert "create deployments" in [call.operation for call in written]
    assert 401 not in [call.status for call in written]


def test_a_dead_helm_of_another_machine_is_waited_out(releaser: Releaser, monkeypatch: pytest.MonkeyPatch) -> None:
    releaser.world.fault({"system": "kubernetes", "operation": "create deployments", "end": "after"})
    releaser.run()
    elsewhere = Path(tempfile.gettempdir()) / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    releaser.bring(pending_grace=2)


@pytest.mark.parametrize("policy", ["enforce", "install_only"])
def test_objects_that_are_gone(releaser: Releaser, policy: str) -> None:
    releaser.bring(values=MORE)
    kubernetes = releaser.world.kubernetes("prod")
    kubernetes.delete(DEPLOYMENT)
    kubernetes.delete("/apis/rbac.authorization.k8s.io/v1/clusterroles/castai-agent")
    result = releaser.bring(values=MORE if policy == "enforce" else VALUES, policy=policy)
    gone = "Deployment castai-agent/castai-agent, ClusterRole castai-agent"
    assert result["actions"] == [f"restore {gone} of Helm release castai-agent (apply revision 1 again)"]
    assert releaser.replicas() == 3


def test_install_only_leaves_what_cast_ai_has_made_of_it(releaser: Releaser) -> None:
    releaser.bring(policy="install_only")
    releaser.run(values=MORE, chart_version="0.153.2")
    left = releaser.run(policy="install_only")
    assert (left["actions"], left["release"]["chart_version"]) == ([], "0.153.2")
    assert releaser.bring()["release"]["chart_version"] == "0.161.1"


def made_by_the_chart(releaser: Releaser) -> None:
    """Helm 3 fails, because it creates the namespace for its record first; the next run installs the chart."""
    failed = releaser.run(values={**VALUES, "createNamespace": True})
    assert "Set createNamespace: false in agent_values (option values)." in failed["msg"]
    releaser.bring(values={**VALUES, "createNamespace": True})


def failed_by_the_chart(releaser: Releaser) -> None:
    assert "msg" in releaser.run(values={**VALUES, "createNamespace": True})


@pytest.mark.parametrize("before", [made_by_the_chart, failed_by_the_chart], ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    "options", [{}, {"state": "absent"}, {"policy": "install_only"}], ids=["upgrade", "uninstall", "install_only"]
)
def test_the_namespace_outlives_the_release_that_made_it(
    releaser: Releaser, before: Callable[[Releaser], None], options: dict[str, Any]
) -> None:
    before(releaser)
    kubernetes = releaser.world.kubernetes("prod")
    found = kubernetes.get(NAMESPACE)["metadata"]["uid"]
    kubernetes.create(f"{NAMESPACE}/configmaps", {"metadata": {"name": "of-somebody-else"}})
    releaser.bring(**options)
    assert kubernetes.get(NAMESPACE)["metadata"]["uid"] == found
    assert "deletionTimestamp" not in kubernetes.get(NAMESPACE)["metadata"]
    assert kubernetes.get(f"{NAMESPACE}/configmaps/of-somebody-else")


def test_an_end_that_helm_could_not_note_is_told(releaser: Releaser) -> None:
    forbidden = {"status": 403, "code": "Forbidden", "message": "cannot update secrets"}
    releaser.world.fault({"operation": "update secrets", "fail": forbidden})
    failed = releaser.run()
    assert "is pending-install. Either Helm may not update its Secrets in namespace castai-agent" in failed["msg"]
    assert "install Helm release castai-agent" in failed["applied"][0]
    releaser.bring(pending_grace=0)


def test_what_another_release_owns_is_not_taken(releaser: Releaser) -> None:
    releaser.bring()
    kubernetes = releaser.world.kubernetes("prod")
    for found in kubernetes.items(f"{NAMESPACE}/secrets?labelSelector=owner%3Dhelm"):
        kubernetes.delete(f"{NAMESPACE}/secrets/{found['metadata']['name']}")
    kubernetes.patch(DEPLOYMENT, {"metadata": {"annotations": {"meta.helm.sh/release-name": "castai"}}})
    mark = releaser.world.mark()
    assert "belongs to Helm release castai-agent/castai" in releaser.run(adopt=True)["msg"]
    assert writes(releaser.world, mark) == []


def test_what_another_namespaces_release_owns_is_not_taken(releaser: Releaser) -> None:
    """The ClusterRoles there have the same names, and Helm would silently give them to the new release."""
    releaser.bring(namespace="monitoring")
    mark = releaser.world.mark()
    refused = releaser.run(adopt=True)["msg"]
    assert refused.startswith("ClusterRole castai-agent belongs to Helm release monitoring/castai-agent. ")
    assert writes(releaser.world, mark) == []


def test_what_another_release_owns_is_not_taken_whatever_it_is_called(releaser: Releaser) -> None:
    """No name of the release shows the ConfigMap, and Helm would take it over with the rest."""
    kubernetes = releaser.world.kubernetes("prod")
    kubernetes.create("/api/v1/namespaces", {"metadata": {"name": "castai-agent"}})
    owner = {"meta.helm.sh/release-name": "theirs", "meta.helm.sh/release-namespace": "castai-agent"}
    made = {"metadata": {"name": "castai-agent-metadata", "annotations": owner}, "data": {"CLUSTER_ID": "theirs"}}
    kubernetes.create(f"{NAMESPACE}/configmaps", made)
    values = {**VALUES, "metadataStore": {"createConfigMap": True}}
    mark = releaser.world.mark()
    for check in (True, False):
        refused = releaser.run(check=check, values=values, adopt=True)["msg"]
        assert refused.startswith(
            "ConfigMap castai-agent/castai-agent-metadata belongs to Helm release castai-agent/theirs. "
        )
    assert writes(releaser.world, mark) == []


def test_a_release_that_lost_its_records_is_taken_back(releaser: Releaser) -> None:
    releaser.bring()
    kubernetes = releaser.world.kubernetes("prod")
    for found in kubernetes.items(f"{NAMESPACE}/secrets?labelSelector=owner%3Dhelm"):
        kubernetes.delete(f"{NAMESPACE}/secrets/{found['metadata']['name']}")
    assert len(releaser.bring()["actions"]) == 1


def test_what_an_upgrade_would_add_and_is_there_already(releaser: Releaser) -> None:
    """The agent created its ConfigMap itself. To Helm, objects added by values or versions are the same case."""
    releaser.bring()
    kubernetes = releaser.world.kubernetes("prod")
    made = {"metadata": {"name": "castai-agent-metadata"}, "data": {"CLUSTER_ID": "kept"}}
    kubernetes.create(f"{NAMESPACE}/configmaps", made)
    values = {**VALUES, "metadataStore": {"createConfigMap": True}}
    mark = releaser.world.mark()
    for check in (True, False):
        refused = releaser.run(check=check, values=values)["msg"]
        assert refused.startswith("ConfigMap castai-agent/castai-agent-metadata exists and belongs to no Helm release")
        assert "Set agent_adopt (option adopt) to true" in refused
    assert "Set createNamespace: false" in releaser.run(check=True, values={**values, "createNamespace": True})["msg"]
    assert writes(releaser.world, mark) == []
    (done,) = releaser.bring(values=values, adopt=True)["actions"]
    assert done.endswith("with changed values metadataStore.createConfigMap, taking over the existing objects")
    assert kubernetes.get(f"{NAMESPACE}/configmaps/castai-agent-metadata")["data"]["CLUSTER_ID"] == "kept"


# Several

KEY_BY_REFERENCE = {"apiKeySecretRef": "castai-credentials"}
COMPONENTS: dict[str, dict[str, Any]] = {
    "cluster-controller": {"castai": {**KEY_BY_REFERENCE, "clusterID": "c"}},
    "castai-spot-handler": {
        **KEY_BY_REFERENCE,
        "createNamespace": False,
        "castai": {"clusterID": "c", "provider": "aws"},
    },
    "castai-evictor": {**KEY_BY_REFERENCE, "replicaCount": 0},
    "castai-pod-pinner": {"replicaCount": 0, "castai": {**KEY_BY_REFERENCE, "clusterID": "c"}},
    "castai-kvisor": {"castai": {**KEY_BY_REFERENCE, "clusterID": "c"}},
}
SHARED = ("provider", "cluster_name", "region", "helm_path")


def several(releaser: Releaser) -> Result:
    items = [
        {
            "name": name,
            "chart_ref": name if name.startswith("castai-") else f"castai-{name}",
            "chart_repo_url": releaser.options["chart_repo_url"],
            "values": values,
            "pending_grace": LONG,
            "wait_for_workloads": False,
        }
        for name, values in COMPONENTS.items()
    ]
    task = SimpleNamespace(check_mode=False, diff=True)
    shared = {name: releaser.options[name] for name in SHARED}
    return run_task(SEVERAL, task, {**shared, "releases": items}, lambda line: None)


@pytest.mark.parametrize(
    ("broken", "effect", "said"),
    [
        (("castai-spot-handler",), {"fail": {"status": 403, "code": "Forbidden", "message": "no"}}, "Helm said: "),
        (
            ("castai-spot-handler", "castai-pod-pinner", "castai-kvisor"),
            {"end": "after"},
            "Helm was stopped by SIGKILL",
        ),
    ],
    ids=["one refused", "three killed"],
)
def test_releases_that_fail_do_not_stop_the_others(
    releaser: Releaser, broken: tuple[str, ...], effect: dict[str, Any], said: str
) -> None:
    releaser.world.fault(
        *(
            {"operation": "create secrets", "resource": rf".*\.{name}\.v1", "system": "kubernetes", **effect}
            for name in broken
        )
    )
    failed = several(releaser)
    assert failed["msg"].count(said) == failed["msg"].count("Could not install Helm release") == len(broken)
    assert len(failed["applied"]) == len(COMPONENTS) - len(broken)
    assert failed["msg"].endswith("A rerun is safe and continues from here.")
    releaser.world.fault()
    again = several(releaser)
    assert "msg" not in again, again["msg"]
    assert {name: found["status"] for name, found in again["releases"].items()} == dict.fromkeys(
        COMPONENTS, record.DEPLOYED
    )
    assert {name for name in COMPONENTS if name in str(again["actions"])} == set(broken)
    starts = len(releaser.operator.helm_starts())
    mark = releaser.world.mark()
    assert several(releaser)["actions"] == []
    assert (writes(releaser.world, mark), len(releaser.operator.helm_starts())) == ([], starts)
    lists = [call for call in releaser.world.journal(mark) if call.operation == "list secrets"]
    assert len(lists) == 1


def test_secret_values_are_in_no_result(releaser: Releaser) -> None:
    values = {"provider": "eks", "apiKey": "CANARY-inline", "createNamespace": False}
    result = releaser.bring(values=values)
    assert "apiKey: '********'" in result["diff"][0]["after"]
    assert "CANARY" not in str(result)
    releaser.world.fault(
        {"operation": "patch deployments", "fail": {"status": 400, "code": "Invalid", "message": "CANARY-other"}}
    )
    failed = releaser.run(values={**values, "apiKey": "CANARY-other", "replicaCount": 3})
    assert failed["failed"]
    assert "CANARY" not in str(failed)
