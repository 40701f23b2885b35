# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What users put into an inventory, a survey or the command line: wrong values and names, and text for every type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.sandbox.client import World
from tests.support.clusters import host_variables
from tests.support.playbook import Run
from tests.support.survey import DATA, SURVEY

from .connecting import Operator, changed_nothing, succeeded, with_id, writes
from .onboarding import Onboarder

CLUSTERS = ("prod:eks",)
NOT_OURS = "{} is not a variable of castai.onboarding. {}."


def renamed(name: str, right: str) -> tuple[str, Any, str]:
    return name, "x", NOT_OURS.format(name, f"Use {right}")


def wrong(name: str, value: Any, right: str) -> tuple[str, Any, str]:
    return name, value, f"{name} is {value!r}. Set it to {right}."


BOOL, INT, LIST, DICT, TEXT = "true or false", "a whole number", "a list of text", "a dictionary", "text"

WRONG = (
    # Typing errors
    renamed("castai_reigon", "castai_region"),
    renamed("castai_acount_id", "castai_account_id"),
    renamed("castai_provder", "castai_provider"),
    renamed("castai_clustername", "castai_cluster_name"),
    renamed("castai_kubconfig", "castai_kubeconfig"),
    renamed("castai_contxt", "castai_context"),
    renamed("castai_aws_profil", "castai_aws_profile"),
    renamed("castai_organisation_id", "castai_organization_id"),
    renamed("castai_tag", "castai_tags"),
    renamed("castai_wait_time_out", "castai_wait_timeout"),
    renamed("castai_validate_cert", "castai_validate_certs"),
    renamed("components_auto_scaling", "components_autoscaling"),
    renamed("components_version", "components_versions"),
    renamed("agent_value", "agent_values"),
    renamed("eks_onboard_node_policy", "eks_onboard_node_policies"),
    # Earlier names
    renamed("castai_identity", "eks_onboard_identity"),
    renamed("castai_api_token", "castai_api_key"),
    renamed("eks_connect_region", "castai_region"),
    renamed("eks_connect_api_key", "castai_api_key"),
    renamed("eks_onboard_cluster_name", "castai_cluster_name"),
    renamed("eks_onboard_tags", "castai_tags"),
    renamed("kops_connect_state_store", "castai_state_store"),
    renamed("kops_onboard_account_id", "castai_account_id"),
    renamed("components_namespace", "castai_namespace"),
    renamed("agent_environment", "agent_values"),
    ("eks_onboard_color", "x", NOT_OURS.format("eks_onboard_color", "Remove it")),
    # Other types
    wrong("castai_region", ["eu-central-1"], TEXT),
    wrong("castai_account_id", {"id": 1}, TEXT),
    wrong("castai_cluster_name", ["prod"], TEXT),
    wrong("castai_kubeconfig", {"path": "x"}, "a path"),
    wrong("castai_validate_certs", "maybe", BOOL),
    wrong("castai_aws_validate_certs", "certainly", BOOL),
    wrong("castai_kubernetes_validate_certs", [True], BOOL),
    wrong("castai_wrong_cluster_check", "sometimes", BOOL),
    wrong("castai_adopt", "perhaps", BOOL),
    wrong("castai_spot_lambda_role", "spot", BOOL),
    wrong("castai_wait_timeout", "soon", INT),
    wrong("castai_wait_timeout", True, INT),
    wrong("agent_timeout", "5 minutes", INT),
    wrong("components_timeout", [600], INT),
    wrong("castai_tags", "team", DICT),
    wrong("castai_tags", ["team"], DICT),
    wrong("castai_managed_policy", ["Statement"], DICT),
    # Chart values may hold secrets.
    ("agent_values", "replicaCount", "agent_values is text. Set it to a dictionary."),
    ("components_values", ["x"], "components_values is a list. Set it to a dictionary."),
    wrong("components_autoscaling", "sometimes", BOOL),
    wrong("components_workload_autoscaler", {"enabled": True}, BOOL),
    wrong("components_skip", {"castai-kvisor": True}, LIST),
    wrong("eks_onboard_node_policies", {"arn": "x"}, LIST),
    # Other words
    wrong("castai_provider", "EKS", "one of: eks, kops, gke, aks"),
    wrong("castai_policy_scope", "organization", "one of: cluster, account"),
    wrong("castai_wait_for", "online", "one of: none, agent_online, ready"),
    wrong("eks_onboard_identity", "key", "one of: role, user"),
    wrong("eks_onboard_user_access", "admin", "one of: cluster_admin, none"),
    wrong("agent_policy", "always", "one of: enforce, install_only"),
    wrong("agent_pending", "wait", "one of: recover, fail"),
    ("castai_provider", "", "castai_provider is not set. Set it to one of: eks, kops, gke, aks."),
    ("castai_provider", None, "castai_provider is not set. Set it to one of: eks, kops, gke, aks."),
)


TELLING = "Show why this cluster failed"


class Asked(NamedTuple):
    run: Run
    writes: list[Any]


@pytest.fixture(scope="module", params=[("--check",), ()], ids=["check", "run"])
def asked(request: pytest.FixtureRequest, module_world: World, tmp_path_factory: pytest.TempPathFactory) -> Asked:
    module_world.reset()
    operator = Operator(module_world, tmp_path_factory.mktemp("wrong"))
    cluster = host_variables(module_world.clusters()["prod"])
    hosts = {f"h{number}": {**cluster, name: value} for number, (name, value, _sentence) in enumerate(WRONG)}
    hosts["own"] = {**cluster, "castai_cluster_name": "nowhere", "castai_owner": "me", "agent_version": "7"}
    if request.param:
        hosts["good"] = cluster
    run = operator.connect("--forks", "8", *request.param, given={"castai_clusters": {"hosts": hosts}})
    return Asked(run, writes(module_world))


def test_a_wrong_variable_is_one_sentence(asked: Asked) -> None:
    said = [asked.run.failures.get(f"h{number}") for number in range(len(WRONG))]
    assert said == [sentence for _name, _value, sentence in WRONG]


def test_what_stopped_clusters_stands_together_at_the_end(asked: Asked) -> None:
    tasks = [task.task for task in asked.run.tasks]
    end = asked.run.tasks[tasks.index(TELLING) :]
    assert {task.task for task in end} == {TELLING}
    assert {task.host: task.result["msg"] for task in end if task.outcome == "failed"} == asked.run.failures
    assert {task.host for task in end if task.outcome != "failed"} <= {"good"}


def test_nothing_is_written_for_wrong_variables(asked: Asked) -> None:
    assert asked.run.status != 0
    assert asked.writes == []


def test_users_own_variables_stop_nobody(asked: Asked) -> None:
    assert "EKS has no cluster nowhere" in asked.run.failures["own"]


OPTIONAL = (
    "castai-live-controller",
    "castai-live-daemon",
    "castai-pod-mutator",
    "castai-workload-autoscaler",
    "castai-workload-autoscaler-exporter",
    "castai-workload-autoscaler-exporter-prometheus",
)
"""Deployments and DaemonSets of the components that are not installed by default."""

FOR_MACHINES = {"ansible_connection": "ssh", "ansible_become": True, "ansible_python_interpreter": "/nowhere/python"}
"""Variables of an inventory for machines; a cluster is not a machine."""


def as_arguments(variables: Mapping[str, str]) -> list[str]:
    return [argument for name, value in variables.items() for argument in ("-e", f"{name}={json.dumps(value)}")]


def test_text_means_what_it_says(world: World, tmp_path: Path) -> None:
    operator = Onboarder(world, tmp_path / "operator")
    as_data = succeeded(operator.onboard("--check", hosts=["prod"], **FOR_MACHINES, **DATA))
    by_e = succeeded(operator.onboard("--check", *as_arguments(SURVEY), hosts=["prod"]))
    by_survey = succeeded(operator.onboard("-e", json.dumps(SURVEY), hosts=["prod"]))
    cluster_id = by_survey.of("castai_cluster", "prod")[0]["cluster_id"]
    planned, planned_by_e, done = (with_id(run.actions(), cluster_id) for run in (as_data, by_e, by_survey))
    assert planned == planned_by_e == done
    assert any("castai-evictor" in action for action in done)
    assert not any("castai-kvisor" in action for action in done)
    objects = world.state()["kubernetes"]["prod"]
    found = {name.split("/")[-1] for name in objects if name.startswith(("apps/Deployment", "apps/DaemonSet"))}
    assert {*OPTIONAL} <= found
    assert "castai-aws-vpc-cni" not in found
    assert "autoscaling.cast.ai/CustomMetricsExporterConfig exporter-config" in objects

    controller = objects["apps/Deployment castai-agent/castai-cluster-controller"]
    settings = {one["name"]: one.get("value") for one in controller["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert settings["AUTOSCALING_DISABLED"] == "true"
    skipped = [*DATA["components_skip"], "castai-evictor"]
    off = {**DATA, "components_skip": skipped, "components_pod_mutator": False}
    again = changed_nothing(operator.onboard(hosts=["prod"], **off))
    (left,) = again.of("castai_releases")
    assert left["unwanted"] == ["castai-evictor", "castai-pod-mutator"]
    uninstall, deletes = "helm uninstall castai-{} --namespace castai-agent.", "deletes its custom resource definitions"
    of_evictor, of_mutator = left["warnings"]
    assert (uninstall.format("evictor") in of_evictor, deletes in of_evictor) == (True, False)
    assert (uninstall.format("pod-mutator") in of_mutator, deletes in of_mutator) == (True, True)
    assert (
        "prod: nothing to change. Turned off, but still installed: castai-evictor, castai-pod-mutator." in again.output
    )


def test_castai_registered_tells_a_play_of_ones_own_what_was_done(world: World, tmp_path: Path) -> None:
    operator = Onboarder(world, tmp_path / "operator")
    planned = succeeded(operator.onboard("--check", hosts=["prod"], components_skip=["castai-kvisor"]))
    facts = [task.result["ansible_facts"] for task in planned.tasks if task.task.endswith("Set castai_registered")]
    (_connected, onboarded) = [fact["castai_registered"] for fact in facts]
    assert onboarded["cluster_id"] == "(known after apply)"
    assert "prod: would create" in onboarded["summary"]
    assert onboarded["summary"].endswith("in AWS account 111122223333, CAST AI organization not known.")
    assert set(onboarded) == {
        *("cluster_id", "cluster_name", "console_url", "organization_id", "status", "agent_status"),
        *("actions", "releases", "identity", "summary"),
    }
    assert onboarded["actions"] == planned.actions()[-len(onboarded["actions"]) :]
