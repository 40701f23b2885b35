# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is planned for every state of a release, and that nothing is left to plan after its effect."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType, SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.castai.onboarding.plugins.module_utils._clusters.facts import Named
from ansible_collections.castai.onboarding.plugins.module_utils._engine import CallFailed, Refused, Throttled
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.helm import Chart, Facts, Work
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.kubernetes import Rejected
from ansible_collections.castai.onboarding.plugins.module_utils._helm import actions, record, release, workloads
from ansible_collections.castai.onboarding.plugins.module_utils._helm import observed as helm_observed
from ansible_collections.castai.onboarding.plugins.module_utils._helm import options as helm_options
from ansible_collections.castai.onboarding.plugins.module_utils._helm.actions import (
    DisownNamespace,
    KeepNamespace,
    MarkFailed,
    RollBack,
    Step,
    Uninstall,
    Upgrade,
)
from ansible_collections.castai.onboarding.plugins.module_utils._helm.observed import Current, Namespace
from ansible_collections.castai.onboarding.plugins.module_utils._helm.options import Desired
from ansible_collections.castai.onboarding.plugins.module_utils._helm.owner import Owner
from ansible_collections.castai.onboarding.plugins.module_utils._helm.record import Reference, Revision

NAME, NAMESPACE = "agent", "castai-agent"
NOW = 1_000_000.0
VERSION, OLDER, NEWEST = "0.2.0", "0.1.0", "0.9.0"
PLAIN: Mapping[str, Any] = MappingProxyType({"replicas": 2})
WITH_NAMESPACE: dict[str, Any] = {"replicas": 2, "createNamespace": True}
DEPLOYMENT = Reference("apps/v1", "Deployment", "", NAME)
NOBODY = Owner(f"Deployment {NAMESPACE}/{NAME}")
OTHERS = Owner(f"ClusterRole {NAME}", "other/umbrella")
STATUSES = (
    "deployed",
    "failed",
    "pending-install",
    "pending-rollback",
    "pending-upgrade",
    "superseded",
    "uninstalled",
    "uninstalling",
)


def wanted(**options: Any) -> Desired:
    given = {
        "name": NAME,
        "namespace": NAMESPACE,
        "present": True,
        "chart": Chart("agent", VERSION, "https://charts.example"),
        "values": PLAIN,
        "enforce": True,
        "adopt": False,
        "adopt_managed": False,
        "recover": True,
        "grace": 300,
        "wait": False,
        "timeout": 300,
        "create_namespace": True,
        "delete_superseded": False,
        "cluster": Named(),
    }
    return Desired(**{**given, **options})


def revision(
    number: int, status: str, values: Mapping[str, Any] = PLAIN, version: str = VERSION, age: float = 1000
) -> Revision:
    """A revision whose manifest contains the Deployment and, if the values say so, the Namespace."""
    documents = [f"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {NAME}\n"]
    if values.get("createNamespace"):
        documents.append(f"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {NAMESPACE}\n")
    content = {
        "chart": {"metadata": {"name": "agent", "version": version}},
        "config": dict(values),
        "manifest": "".join(f"---\n{document}" for document in documents),
    }
    labels = {"name": NAME, "version": str(number), "status": status, "modifiedAt": str(int(NOW - age))}
    metadata = {"name": record.secret_name(NAME, number), "labels": labels, "resourceVersion": f"rv-{number}"}
    return Revision.of(record.encode({"metadata": metadata, "data": {}}, content))


def current(*history: Revision, **facts: Any) -> Current:
    given = {"chart": Facts("agent", VERSION), "namespace": Namespace(), "now": NOW}
    return Current(history, **{**given, **facts})


def steps(state: Current, desired: Desired) -> list[tuple[Any, ...]]:
    """Each step's kind and newest revision, and for a roll-back its goal."""
    return [
        (type(step), step.revision, step.to) if isinstance(step, RollBack) else (type(step), step.revision)
        for step in planned(state, desired)
    ]


def planned(state: Current, desired: Desired) -> list[Step]:
    found = []
    for step in release.plan(state, desired):
        assert isinstance(step, Step)
        found.append(step)
    return found


INSTALL_ONLY = wanted(enforce=False)
OTHER_VALUES = wanted(values={"replicas": 3})
ABSENT = wanted(present=False)


@pytest.mark.parametrize(
    ("state", "desired", "expected"),
    [
        pytest.param(current(namespace=None), wanted(), [(Upgrade, 0)], id="nothing there"),
        pytest.param(current(), wanted(create_namespace=False), [(Upgrade, 0)], id="only the namespace"),
        pytest.param(current(revision(4, "uninstalled")), wanted(), [(Upgrade, 4)], id="only history"),
        pytest.param(current(revision(1, "deployed")), wanted(), [], id="as wanted"),
        pytest.param(current(revision(1, "deployed")), OTHER_VALUES, [(Upgrade, 1)], id="values differ"),
        pytest.param(current(revision(1, "deployed", version=OLDER)), wanted(), [(Upgrade, 1)], id="version differs"),
        pytest.param(
            current(revision(1, "deployed"), chart=Facts("other", VERSION)),
            wanted(),
            [(Upgrade, 1)],
            id="chart differs",
        ),
        pytest.param(
            current(revision(1, "deployed", version=OLDER), chart=Facts("", "")), wanted(), [], id="chart not known"
        ),
        pytest.param(
            current(revision(1, "deployed", {"replicas": 9}, OLDER)), INSTALL_ONLY, [], id="install_only leaves alone"
        ),
        pytest.param(
            current(revision(2, "deployed"), missing=(DEPLOYMENT,)), wanted(), [(RollBack, 2, 2)], id="object gone"
        ),
        pytest.param(
            current(revision(2, "deployed", {"replicas": 9}), missing=(DEPLOYMENT,)),
            INSTALL_ONLY,
            [(RollBack, 2, 2)],
            id="object gone, install_only",
        ),
        pytest.param(
            current(revision(2, "deployed"), missing=(DEPLOYMENT,)),
            OTHER_VALUES,
            [(Upgrade, 2)],
            id="object gone and values differ",
        ),
        pytest.param(current(revision(1, "failed")), wanted(), [(Upgrade, 1)], id="failed install"),
        pytest.param(current(revision(1, "failed")), INSTALL_ONLY, [(Upgrade, 1)], id="failed install, install_only"),
        pytest.param(
            current(revision(1, "deployed"), revision(2, "failed")), wanted(), [(Upgrade, 2)], id="failed upgrade"
        ),
        pytest.param(
            current(revision(1, "deployed"), revision(2, "failed")),
            INSTALL_ONLY,
            [(RollBack, 2, 1)],
            id="failed upgrade, install_only",
        ),
        pytest.param(
            current(revision(1, "deployed"), revision(2, "pending-upgrade")),
            wanted(),
            [(RollBack, 2, 1)],
            id="killed upgrade, the old is wanted",
        ),
        pytest.param(
            current(revision(1, "deployed"), revision(2, "pending-upgrade", {"replicas": 3})),
            OTHER_VALUES,
            [(RollBack, 2, 1), (Upgrade, 3)],
            id="killed upgrade, the new is wanted",
        ),
        pytest.param(
            current(revision(1, "superseded"), revision(2, "pending-upgrade")),
            INSTALL_ONLY,
            [(RollBack, 2, 1)],
            id="killed between the last two writes",
        ),
        pytest.param(
            current(revision(1, "failed"), revision(2, "pending-upgrade")),
            wanted(),
            [(MarkFailed, 2), (Upgrade, 2)],
            id="killed upgrade of a failed install",
        ),
        pytest.param(
            current(revision(1, "superseded"), revision(2, "deployed"), revision(3, "pending-rollback")),
            wanted(),
            [(RollBack, 3, 2)],
            id="killed roll-back",
        ),
        pytest.param(
            current(revision(1, "pending-install")), wanted(), [(MarkFailed, 1), (Upgrade, 1)], id="killed install"
        ),
        pytest.param(
            current(revision(3, "superseded"), revision(4, "pending-install")),
            INSTALL_ONLY,
            [(MarkFailed, 4), (Upgrade, 4)],
            id="killed install over the history of an uninstalled release",
        ),
        pytest.param(
            current(revision(1, "pending-install", WITH_NAMESPACE)),
            wanted(),
            [(MarkFailed, 1), (KeepNamespace, 1), (Upgrade, 1)],
            id="killed install that brought the namespace in",
        ),
        pytest.param(current(revision(2, "uninstalling")), wanted(), [(RollBack, 2, 2)], id="killed uninstall"),
        pytest.param(
            current(revision(2, "uninstalling")),
            OTHER_VALUES,
            [(RollBack, 2, 2), (Upgrade, 3)],
            id="killed uninstall, other values",
        ),
        pytest.param(
            current(revision(1, "deployed", WITH_NAMESPACE)),
            wanted(),
            [(KeepNamespace, 1), (Upgrade, 1)],
            id="the namespace leaves the release",
        ),
        pytest.param(
            current(revision(1, "deployed", WITH_NAMESPACE), namespace=Namespace(kept=True)),
            wanted(),
            [(Upgrade, 1)],
            id="the namespace leaves the release and is marked",
        ),
        pytest.param(
            current(revision(1, "deployed"), revision(2, "pending-upgrade", WITH_NAMESPACE)),
            wanted(),
            [(KeepNamespace, 2), (RollBack, 2, 1)],
            id="a killed upgrade brought the namespace in",
        ),
        pytest.param(
            current(revision(1, "failed", WITH_NAMESPACE)),
            wanted(),
            [(KeepNamespace, 1), (Upgrade, 1)],
            id="the namespace in a failed install",
        ),
        pytest.param(current(), ABSENT, [], id="absent already"),
        pytest.param(current(revision(1, "uninstalled")), ABSENT, [], id="absent but for history"),
        pytest.param(current(revision(1, "deployed")), ABSENT, [(Uninstall, 1)], id="uninstall"),
        pytest.param(
            current(revision(1, "pending-install")), ABSENT, [(Uninstall, 1)], id="uninstall a killed install"
        ),
        pytest.param(
            current(revision(1, "deployed", WITH_NAMESPACE)),
            ABSENT,
            [(DisownNamespace, 1), (Uninstall, 1)],
            id="uninstall without the namespace",
        ),
        pytest.param(current(owner=NOBODY), wanted(adopt=True), [(Upgrade, 0)], id="take over"),
    ],
)
def test_plan(state: Current, desired: Desired, expected: list[tuple[Any, ...]]) -> None:
    assert steps(state, desired) == expected


@pytest.mark.parametrize(
    ("state", "desired", "sentence"),
    [
        (current(owner=NOBODY), wanted(), "Set adopt to true"),
        (current(owner=OTHERS), wanted(adopt=True), "ClusterRole agent belongs to Helm release other/umbrella"),
        (current(revision(1, "pending-install"), owner=NOBODY), wanted(), "Set adopt to true"),
        (current(revision(1, "failed"), owner=NOBODY), wanted(), "Set adopt to true"),
        (current(revision(1, "failed"), owner=OTHERS), wanted(adopt=True), "belongs to Helm release other/umbrella"),
        (
            current(revision(3, "superseded"), revision(4, "pending-install"), owner=OTHERS),
            wanted(adopt=True),
            "belongs to Helm release other/umbrella",
        ),
        (current(namespace=None), wanted(create_namespace=False), "set castai_create_namespace"),
        (current(namespace=Namespace(leaving="It is being deleted.")), wanted(), "It is being deleted."),
        (current(revision(1, "pending-upgrade")), wanted(recover=False), "set pending to recover"),
        (current(revision(1, "uninstalling")), wanted(recover=False, present=False), "set pending to recover"),
    ],
)
def test_refused(state: Current, desired: Desired, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        list(release.plan(state, desired))


FLUX = "Flux (HelmRelease flux-system/castai-agent)"


@pytest.mark.parametrize(
    ("state", "desired", "sentence"),
    [
        (current(revision(1, "deployed"), manager=FLUX), OTHER_VALUES, "Set policy to install_only"),
        (current(revision(1, "deployed"), manager=FLUX, missing=(DEPLOYMENT,)), INSTALL_ONLY, FLUX),
        (current(revision(1, "deployed"), manager=FLUX), ABSENT, FLUX),
        (current(manager="CAST AI's operator"), wanted(), "Add agent to components_skip, or stop managing it there"),
        (
            current(owner=replace(NOBODY, manager="Argo CD")),
            wanted(adopt=True),
            f"{NOBODY.thing} is managed by Argo",
        ),
        (current(owner=replace(OTHERS, umbrella=True)), wanted(adopt=True), "of CAST AI's umbrella chart"),
    ],
)
def test_what_others_manage_is_changed_only_where_that_is_asked_for(
    state: Current, desired: Desired, sentence: str
) -> None:
    with pytest.raises(Refused, match=re.escape(sentence)):
        list(release.plan(state, desired))
    assert planned(state, replace(desired, adopt_managed=True, adopt=True))


@pytest.mark.parametrize("desired", [wanted(), INSTALL_ONLY])
def test_what_others_manage_may_stay_as_it_is(desired: Desired) -> None:
    assert planned(current(revision(1, "deployed"), manager=FLUX), desired) == []


@pytest.mark.parametrize(
    ("state", "desired", "takes"),
    [
        pytest.param(current(owner=NOBODY), wanted(adopt=True), True, id="install"),
        pytest.param(current(revision(1, "failed")), wanted(adopt=True), True, id="failed install"),
        pytest.param(current(revision(1, "pending-install")), wanted(adopt=True), True, id="killed install"),
        pytest.param(
            current(revision(3, "superseded"), revision(4, "pending-install")),
            wanted(adopt=True),
            True,
            id="killed install over the history of an uninstalled release",
        ),
        pytest.param(current(revision(1, "deployed")), wanted(adopt=True, values={"replicas": 3}), False, id="upgrade"),
        pytest.param(
            current(revision(1, "deployed"), revision(2, "failed")), wanted(adopt=True), False, id="failed upgrade"
        ),
        pytest.param(
            current(revision(1, "deployed"), revision(2, "pending-upgrade", {"replicas": 3})),
            wanted(adopt=True, values={"replicas": 3}),
            False,
            id="killed upgrade",
        ),
    ],
)
def test_only_where_nothing_whole_was_there_are_objects_taken_over(
    state: Current, desired: Desired, takes: bool
) -> None:
    (upgrade,) = (step for step in planned(state, desired) if isinstance(step, Upgrade))
    assert (upgrade.wanted.adopt, "taking over" in upgrade.sentence) == (takes, state.owner is not None)


@pytest.mark.parametrize(
    ("age", "killed", "patience"),
    [(0, False, 300), (100, False, 200), (400, False, 0), (-50, False, 300), (0, True, 0)],
)
def test_patience_with_a_helm_that_may_live(age: float, killed: bool, patience: float) -> None:
    pending = revision(2, "pending-upgrade", age=age)
    state = current(revision(1, "deployed"), pending, killed=killed)
    first, *_others = planned(state, wanted())
    assert (first.unfinished, first.patience) == (pending, patience)
    (only,) = planned(current(pending, killed=killed), ABSENT)
    assert (only.unfinished, only.patience) == (pending, patience)


@pytest.mark.parametrize(
    ("before", "after", "verb"),
    [
        ("0.9.0", "0.10.0", "upgrade"),
        ("0.10.0", "0.9.0", "downgrade"),
        ("1.0.0", "v0.10.0", "downgrade"),
        ("1.0.0-rc.1", "1.0.0", "upgrade"),
        ("latest", "0.1.0", "upgrade"),
    ],
)
def test_an_older_chart_is_called_a_downgrade(before: str, after: str, verb: str) -> None:
    state = current(revision(1, "deployed", version=before), chart=Facts("agent", after))
    (step,) = planned(state, wanted())
    assert step.sentence == f"{verb} Helm release agent from chart agent {before} to agent {after}"


def test_no_secret_value_is_in_sentence_or_diff() -> None:
    old, new = {"apiKey": "CANARY-old", "replicas": 1}, {"apiKey": "CANARY-new", "replicas": 2}
    (step,) = planned(current(revision(1, "deployed", old)), wanted(values=new))
    assert step.sentence == "upgrade Helm release agent with changed values apiKey, replicas"
    assert step.before["values"] == {"apiKey": "********", "replicas": 1}
    assert step.after["values"] == {"apiKey": "********", "replicas": 2}
    assert "CANARY" not in repr(step)


OF_SCRIPT = {"replicas": 2, "castai": {"apiKey": "CANARY-full-access"}}


def warnings(state: Current, desired: Desired) -> list[str]:
    found: list[str] = release.view(state, desired, {}).get("warnings", [])
    assert "CANARY" not in str(found)
    return found


def test_an_api_key_in_a_release_that_is_left_alone_is_a_warning() -> None:
    (warning,) = warnings(current(revision(1, "deployed", OF_SCRIPT)), INSTALL_ONLY)
    assert warning.startswith("Helm release agent has an API key in its values (castai.apiKey), which anybody")
    assert "Run once with policy set to enforce" in warning
    assert (
        "agent_policy (option policy)"
        in warnings(current(revision(1, "deployed", {"apiKey": "CANARY"})), wanted(name="castai-agent", enforce=False))[
            0
        ]
    )
    assert (
        warnings(current(revision(1, "deployed", {"castai": {"apiKeySecretRef": "x", "apiKey": ""}})), wanted()) == []
    )


def test_superseded_records_with_an_api_key_are_named_or_deleted() -> None:
    state = current(revision(1, "superseded", OF_SCRIPT), revision(2, "failed", OF_SCRIPT), revision(3, "deployed"))
    (warning,) = warnings(state, INSTALL_ONLY)
    assert "sh.helm.release.v1.agent.v1, sh.helm.release.v1.agent.v2" in warning
    assert "castai_delete_superseded_records (option delete_superseded_records) to true" in warning
    deleting = replace(INSTALL_ONLY, delete_superseded=True)
    assert warnings(state, deleting) == []
    assert [
        (type(step), step.number) for step in planned(state, deleting) if isinstance(step, actions.DeleteRecord)
    ] == [
        (actions.DeleteRecord, 1),
        (actions.DeleteRecord, 2),
    ]


@pytest.mark.parametrize(
    ("history", "desired", "deleted"),
    [
        ([revision(1, "deployed", OF_SCRIPT)], wanted(), [1]),
        ([revision(1, "deployed", OF_SCRIPT)], INSTALL_ONLY, []),
        ([revision(1, "superseded", OF_SCRIPT), revision(2, "deployed", OF_SCRIPT)], wanted(), [1, 2]),
        ([revision(1, "superseded", OF_SCRIPT), revision(2, "pending-upgrade")], INSTALL_ONLY, []),
        ([revision(1, "superseded", OF_SCRIPT), revision(2, "pending-upgrade")], wanted(), [1]),
        ([revision(1, "deployed", OF_SCRIPT)], wanted(values=OF_SCRIPT), []),
        ([revision(1, "pending-install", OF_SCRIPT)], wanted(), [1]),
    ],
)
def test_no_record_goes_while_the_newest_holds_the_key(
    history: list[Revision], desired: Desired, deleted: list[int]
) -> None:
    found = planned(current(*history), replace(desired, delete_superseded=True))
    assert [step.number for step in found if isinstance(step, actions.DeleteRecord)] == deleted
    if deleted:
        assert isinstance(found[-1], actions.DeleteRecord)
        assert found[-1].revision == history[-1].number + sum(isinstance(step, (Upgrade, RollBack)) for step in found)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": "Agent"}, "Correct the name."),
        ({"name": "a" * 54}, "Correct the name."),
        ({"namespace": "a_b"}, "Correct castai_namespace (option namespace)."),
        ({"namespace": "kube-system"}, "is 'kube-system', one of Kubernetes' own namespaces."),
        ({"provider": "eks", "cluster_name": "a b"}, "EKS cluster name 'a b' may"),
        ({"provider": "kops", "cluster_name": "shop"}, "kOps cluster name 'shop' must be a full DNS name"),
        ({"account_id": "1111"}, "castai_account_id (option account_id) is '1111'. Set it to the 12 digits"),
        ({"chart_version": "~0.1"}, "chart_version is '~0.1'. Set it to an exact version in quotes"),
        ({"chart_version": "0.1", "name": "castai-agent"}, "agent_chart_version (option chart_version) is '0.1'."),
    ],
)
def test_bad_options(options: dict[str, Any], sentence: str) -> None:
    spec = helm_options.OPTIONS["argument_spec"]
    params = {name: option.get("default") for name, option in spec.items()} | {"name": "agent"} | options
    with pytest.raises(Refused, match=re.escape(sentence)):
        helm_options.desired(params)


def test_a_release_in_a_namespace_of_kubernetes_can_be_uninstalled() -> None:
    spec = helm_options.OPTIONS["argument_spec"]
    params = {name: option.get("default") for name, option in spec.items()}
    assert not helm_options.desired({**params, "name": "agent", "namespace": "default", "state": "absent"}).present


# The effect of a step in a world without rivals, as Helm causes it.


def effect(state: Current, step: Step) -> Current:
    history, last = state.history, state.history[-1] if state.history else None
    assert step.revision == (last.number if last else 0)
    if isinstance(step, KeepNamespace):
        return replace(state, namespace=Namespace(kept=True))
    assert last is None or isinstance(step, (Upgrade, RollBack, Uninstall, MarkFailed, DisownNamespace))
    if isinstance(step, Upgrade):
        assert step.wanted.adopt or state.owner is None
        assert last is None or not last.unfinished
        basis = next((item for item in reversed(history) if item.status == "deployed"), last)
        version = state.chart.version or NEWEST
        made = revision(step.revision + 1, "deployed", step.wanted.values, version)
        # After an uninstall, Helm installs and compares with nothing.
        if last and basis and last.status != "uninstalled":
            _namespace_survives(state, basis, made)
        return _newest(replace(state, namespace=state.namespace or Namespace(), owner=None), made)
    assert last
    if isinstance(step, RollBack):
        goal = next(item for item in history if item.number == step.to)
        made = revision(step.revision + 1, "deployed", goal.contents.values, goal.contents.version)
        _namespace_survives(state, last, made)
        return _newest(state, made)
    if isinstance(step, DisownNamespace):
        values = {name: value for name, value in last.contents.values.items() if name != "createNamespace"}
        return replace(state, history=(*history[:-1], revision(last.number, last.status, values)))
    if isinstance(step, MarkFailed):
        return replace(state, history=(*history[:-1], revision(last.number, "failed", last.contents.values)))
    assert not last.contents.owns_namespace(NAMESPACE)
    return replace(state, history=())


def _newest(state: Current, made: Revision) -> Current:
    older = tuple(
        revision(item.number, "superseded", item.contents.values, item.contents.version)
        if item.status == "deployed"
        else item
        for item in state.history
    )
    return replace(state, history=(*older, made), missing=())


def _namespace_survives(state: Current, before: Revision, after: Revision) -> None:
    assert state.namespace
    leaves = before.contents.owns_namespace(NAMESPACE) and not after.contents.owns_namespace(NAMESPACE)
    assert not leaves or state.namespace.kept


VALUES = st.sampled_from([PLAIN, WITH_NAMESPACE, {}, {"replicas": 3}])
REVISIONS = st.lists(st.tuples(st.sampled_from(STATUSES), VALUES, st.sampled_from([VERSION, OLDER])), max_size=4)


@st.composite
def drifted(draw: st.DrawFn) -> Current:
    history = tuple(revision(number, *drawn) for number, drawn in enumerate(draw(REVISIONS), draw(st.integers(1, 3))))
    last = history[-1].status if history else ""
    owners = [None] if record.goal(history) else [None, NOBODY]
    return current(
        *history,
        chart=Facts(draw(st.sampled_from(["agent", ""])), draw(st.sampled_from([VERSION, ""]))),
        namespace=Namespace(kept=draw(st.booleans())) if history or draw(st.booleans()) else None,
        missing=(DEPLOYMENT,) if last == "deployed" and draw(st.booleans()) else (),
        owner=draw(st.sampled_from(owners)),
        killed=draw(st.booleans()),
    )


@given(drifted(), VALUES, st.booleans(), st.booleans())
def test_from_any_state_the_plan_is_possible_and_leaves_nothing_to_plan(
    state: Current, values: Mapping[str, Any], enforce: bool, present: bool
) -> None:
    desired = wanted(values=values, enforce=enforce, present=present, adopt=True)
    for step in planned(state, desired):
        state = effect(state, step)
    assert planned(state, desired) == []
    if present:
        assert state.last
        assert state.last.status == "deployed"


# Whether it runs


@dataclass
class Running:
    """A cluster with one deployed release, whose Deployment has this many ready pods."""

    available: int
    message: str = ""
    host: str = "https://cluster"

    def get(self, path: str, **query: str) -> dict[str, Any] | None:
        if path.endswith("/secrets"):
            return {"items": [revision(1, "deployed").secret]}
        if path.endswith(f"/deployments/{NAME}"):
            failure = {"type": "ReplicaFailure", "status": "True", "message": self.message}
            status = {"updatedReplicas": 2, "availableReplicas": self.available}
            return {
                "metadata": {"name": NAME, "namespace": NAMESPACE},
                "spec": {"replicas": 2},
                "status": {**status, **({"conditions": [failure]} if self.message else {})},
            }
        return {"metadata": {"name": NAMESPACE}} if path.endswith(f"/namespaces/{NAMESPACE}") else {"items": []}

    def enter(self, named: Named) -> Running:
        return self

    def cluster(self) -> Running:
        return self

    def was_killed(self, work: Any) -> bool:
        return False


def run(cluster: Running, check: bool = False, made: bool = False, **options: Any) -> Mapping[str, Any]:
    systems = helm_observed.Systems(cast(Any, cluster), cast(Any, cluster))
    desired = wanted(**options)
    observed = helm_observed.observe(systems, desired)
    assert list(release.plan(observed, desired)) == []
    if not check:
        observed = release.settle(systems, desired, observed, {"written": True} if made else {}, lambda line: None)
    return release.view(observed, desired, {})


def test_what_an_upgrade_would_add_is_asked_after_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading does not plan, and a plan without an upgrade renders no chart."""
    cluster = cast(Any, Running(2))
    systems, desired = helm_observed.Systems(cluster, cluster), wanted(values={"replicas": 3})
    with monkeypatch.context() as patched:
        patched.setattr(release, "plan", None)
        observed = helm_observed.observe(systems, desired)
    planned = tuple(release.plan(observed, desired))
    assert release.confirm(systems, desired, observed, ()) == ()
    seen: Any = Adding({METADATA: {}})
    with pytest.raises(Refused, match="ConfigMap metadata exists and belongs to no Helm release"):
        release.confirm(helm_observed.Systems(seen, seen), desired, observed, planned)
    desired = replace(desired, adopt=True)
    planned = tuple(release.plan(observed, desired))
    (step,) = release.confirm(helm_observed.Systems(seen, seen), desired, observed, planned)
    assert isinstance(step, Upgrade)
    assert step.wanted.adopt
    assert step.sentence.endswith(", taking over the existing objects")


QUOTA = 'pods "agent-1" is forbidden: exceeded quota: few'


@pytest.mark.parametrize("made", [False, True])
@pytest.mark.parametrize("message", ["", QUOTA])
def test_a_run_with_nothing_to_change_fails_where_the_release_does_not_run(message: str, made: bool) -> None:
    with pytest.raises(CallFailed) as caught:
        run(Running(1, message), made=made, timeout=0)
    text = str(caught.value)
    assert text.startswith(f"Helm release {NAME} is installed in namespace {NAMESPACE}, but is not ready after 0 s: ")
    assert f"Deployment {NAME} has 1 of 2 pods ready" in text
    assert message in text
    assert text.endswith("set castai_wait_for_workloads (option wait_for_workloads) to false.")


def test_what_is_hopeless_is_told_before_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workloads, "SURE", 0.5)
    with pytest.raises(CallFailed, match=f"but cannot start: Deployment {NAME} has .* exceeded quota: few"):
        run(Running(0, QUOTA), timeout=300)


@pytest.mark.parametrize("how", [{"check": True}, {"wait_for_workloads": False}, {"check": True, "timeout": 0}])
def test_check_mode_and_who_does_not_wait_get_a_warning(how: dict[str, Any]) -> None:
    (warning,) = run(Running(0, QUOTA), **how)["warnings"]
    assert warning == (
        f"Helm release {NAME} is not running properly: Deployment {NAME} has 0 of 2 pods ready: Deployment cannot"
        f" create pods: {QUOTA}."
    )


@pytest.mark.parametrize("how", [{}, {"check": True}, {"wait_for_workloads": False}, {"made": True}])
def test_of_what_runs_nothing_is_said(how: dict[str, Any]) -> None:
    assert "warnings" not in run(Running(2), **how)


HOOK = "castai-evictor-crd-upgrade-1"
REFUSED = 'pods "x" is forbidden: violates PodSecurity "restricted:latest"'


def hook_pod(reason: str, job: str = HOOK) -> dict[str, Any]:
    waiting = {"reason": reason, "message": "no route to docker.io."}
    status = {"name": "kubectl", "state": {"waiting": waiting}}
    return {"metadata": {"name": f"{job}-x7"}, "status": {"phase": "Pending", "containerStatuses": [status]}}


class Hooks:
    """A Job that does not end, with the state of its pods and events at each look; None if listing is not allowed."""

    def __init__(
        self, looks: list[list[dict[str, Any]] | None], job: str, ended: bool = False, of_release: str = ""
    ) -> None:
        self._looks = iter(looks)
        self._look: list[dict[str, Any]] | None = None
        conditions = [{"type": "Complete", "status": "True"}] if ended else []
        spec = {"selector": {"matchLabels": {"controller-uid": "u"}}}
        labels = {"labels": {"app.kubernetes.io/instance": of_release}} if of_release else {}
        metadata = {"name": job, "namespace": NAMESPACE, "uid": "u", **labels}
        self._job = {"metadata": metadata, "spec": spec, "status": {"conditions": conditions}}

    def get(self, path: str, **query: str) -> dict[str, Any]:
        kind = path.rpartition("/")[2]
        if kind == "jobs":
            self._look = next(self._looks)
            if self._look is None:
                raise CallFailed("forbidden")
            return {"items": [self._job]}
        assert kind in ("pods", "events")
        return {"items": [one for one in self._look or () if ("reason" in one) is (kind == "events")]}


def refused(message: str) -> dict[str, Any]:
    return {"metadata": {}, "reason": "FailedCreate", "message": message}


@pytest.mark.parametrize(
    ("looks", "job", "ended", "told"),
    [
        ([[hook_pod("ErrImagePull")], [hook_pod("ImagePullBackOff")]], HOOK, False, "no route to docker.io"),
        ([[refused(REFUSED)]] * 2, HOOK, False, REFUSED),
        ([[hook_pod("ErrImagePull")], [], [hook_pod("ErrImagePull")]], HOOK, False, ""),
        ([[hook_pod("ContainerCreating")]] * 3, HOOK, False, ""),
        ([[hook_pod("ImagePullBackOff")]] * 3, HOOK, True, ""),
        ([[hook_pod("ImagePullBackOff")]] * 3, "nightly-report", False, ""),
        ([None] * 3, HOOK, False, ""),
    ],
)
def test_a_hook_that_cannot_run_is_told(
    looks: list[list[dict[str, Any]] | None], job: str, ended: bool, told: str
) -> None:
    times = iter(range(0, 1000, 40))
    cluster: Any = Hooks(looks, job, ended)
    watch = actions.HookWatch(cluster, wanted(name="castai-evictor"), clock=lambda: next(times))
    found = " ".join(filter(None, [watch() for _look in looks]))
    assert bool(found) is bool(told)
    if told:
        assert found.startswith(f"Job {HOOK} in namespace castai-agent, a hook of the chart, cannot run: ")
        assert told in found
        assert ("set components_evictor_hook_image to a copy" in found) is (told != REFUSED)


@pytest.mark.parametrize("name", ["castai-workload-autoscaler", "castai-workload-autoscaler-exporter"])
def test_a_hook_of_another_release_stops_nobody(name: str) -> None:
    job = "castai-workload-autoscaler-exporter-crd-wait-1"
    cluster: Any = Hooks([[hook_pod("ErrImagePull", job)]] * 2, job, of_release="castai-workload-autoscaler-exporter")
    times = iter((0.0, 40.0))
    watch = actions.HookWatch(cluster, wanted(name=name), clock=lambda: next(times))
    assert bool(watch() or watch()) is (name == "castai-workload-autoscaler-exporter")


@pytest.mark.parametrize("namespace", [None, Namespace()])
@pytest.mark.parametrize("history", [(), (revision(1, "failed"),), (revision(1, "pending-install"),)])
def test_helm_creates_the_namespace_only_where_it_is_absent(
    namespace: Namespace | None, history: tuple[Revision, ...]
) -> None:
    (step,) = (one for one in planned(current(*history, namespace=namespace), wanted()) if isinstance(one, Upgrade))
    assert step.wanted.create_namespace is (namespace is None)


KEPT = {"metadata": {"labels": {"name": NAME, "owner": "helm"}}}


class InConfigMaps:
    def __init__(self, items: list[Any], allowed: bool = True) -> None:
        self._items, self._allowed = items, allowed

    def get(self, path: str, **query: str) -> dict[str, Any]:
        assert (path, query) == (
            "/api/v1/namespaces/castai-agent/configmaps",
            {"labelSelector": "owner=helm,name in (agent,other)"},
        )
        if not self._allowed:
            raise CallFailed("forbidden")
        return {"items": self._items}


@pytest.mark.parametrize(
    ("cluster", "found"),
    [(InConfigMaps([KEPT]), {NAME}), (InConfigMaps([]), set()), (InConfigMaps([KEPT], allowed=False), set())],
)
def test_a_release_that_helm_keeps_in_configmaps_is_seen(cluster: Any, found: set[str]) -> None:
    assert helm_observed._in_configmaps(cluster, NAMESPACE, [NAME, "other"]) == found


class Policed:
    """A cluster in which a policy denies deleting one kind of object, and a Helm that does not report it."""

    def __init__(self, denied: str, absent: str = "") -> None:
        self._denied, self._absent = denied, absent

    def get(self, path: str) -> Any:
        return None if self._absent and self._absent in path else {"metadata": {}}

    def try_to_delete(self, path: str) -> None:
        if self._denied in path:
            raise Rejected("Could not ...", 403, f"{path.rpartition('/')[2]} is forbidden: ask the platform team.")

    def uninstall(self, work: Any) -> None:
        raise CallFailed("Helm said: failed to delete release: agent.")


@pytest.mark.parametrize(
    ("there", "why"),
    [
        (Policed("deployments"), " Deployment agent cannot be deleted: agent is forbidden: ask the platform team."),
        (Policed("deployments", absent="deployments"), ""),
        (Policed("nothing"), ""),
    ],
)
def test_why_helm_cannot_uninstall_is_the_api_servers_own_sentence(there: Any, why: str) -> None:
    gateway: Any = SimpleNamespace(connection=SimpleNamespace(cluster=lambda: there), helm=there, work=lambda *_: None)
    objects = (Reference("v1", "ConfigMap", "", "agent"), Reference("apps/v1", "Deployment", "", "agent"))
    step = Uninstall("uninstall", "", None, None, wanted(), 1, objects=objects)
    with pytest.raises(CallFailed) as caught:
        step.work(gateway, wanted())
    assert str(caught.value) == f"Helm said: failed to delete release: agent.{why}"


class Records:
    """The record Secrets of a release, by revision."""

    def __init__(self, *there: Revision) -> None:
        self._there = {record.secret_name(NAME, one.number): one.secret for one in there}

    def get(self, path: str) -> Any:
        return self._there.get(path.rpartition("/")[2])


class Ending:
    """A cluster and the Helm that fails in it, which leaves a revision."""

    host = "https://api"

    def __init__(self, failure: Exception, before: tuple[Revision, ...], left: tuple[Revision, ...]) -> None:
        self._failure, self._records, self._left = failure, Records(*before), Records(*left)
        self.ended: list[int] = []

    def get(self, path: str) -> Any:
        return self._records.get(path)

    def uninstall(self, work: Any) -> None:
        self._records = self._left
        raise self._failure

    def has_ended(self, work: Work) -> None:
        assert work.identity == f"{self.host} {NAMESPACE} {NAME}"
        self.ended.append(work.revision)


@pytest.mark.parametrize(
    ("before", "left", "said", "ended"),
    [
        ((), (), "", []),
        ((), (revision(1, "failed"),), "revision 1 of Helm release agent, which is failed", []),
        ((revision(1, "deployed"),), (revision(1, "deployed"),), "", []),
        (
            (revision(1, "deployed"),),
            (revision(1, "deployed"), revision(2, "pending-upgrade")),
            "revision 2 of Helm release agent, which is pending-upgrade",
            [2],
        ),
        (
            (revision(3, "deployed"),),
            (revision(3, "uninstalling"),),
            "revision 3 of Helm release agent, which is uninstalling",
            [3],
        ),
    ],
)
@pytest.mark.parametrize("kind", [CallFailed, Throttled])
def test_what_a_failed_helm_left_is_told_and_nobody_waits_for_it(
    kind: type[Exception], before: tuple[Revision, ...], left: tuple[Revision, ...], said: str, ended: list[int]
) -> None:
    there = Ending(kind("no"), before, left)
    connection = SimpleNamespace(cluster=lambda: there)
    gateway: Any = SimpleNamespace(connection=connection, helm=there, work=lambda *_: None)
    step = Uninstall("uninstall", "", None, None, wanted(), before[-1].number if before else 0)
    with pytest.raises(kind) as caught:
        step.run(gateway, {})
    assert there.ended == ended
    assert getattr(caught.value, "left", "") == (said if kind is CallFailed else "")


def test_a_repair_keeps_the_replicas_that_others_gave() -> None:
    replicas = (("/apis/apps/v1/namespaces/castai-agent/deployments/castai-evictor", 1),)
    (step,) = planned(current(revision(1, "deployed"), missing=(DEPLOYMENT,), replicas=replicas), INSTALL_ONLY)
    assert isinstance(step, RollBack)
    assert step.replicas == replicas
    failed = current(revision(1, "deployed"), revision(2, "failed"), replicas=replicas)
    (step,) = planned(failed, INSTALL_ONLY)
    assert isinstance(step, RollBack)
    assert step.replicas == ()


def test_replicas_are_put_back_after_the_roll_back() -> None:
    class Cluster:
        host = "https://server"
        patched: list[Any] = []  # noqa: RUF012

        def get(self, path: str) -> Any:
            return {"spec": {"replicas": 0}} if path == "/evictor" else {"spec": {"replicas": 2}}

        def patch(self, *patch: Any) -> None:
            self.patched.append(patch)

        def kubeconfig(self) -> str:
            return "{}"

        def token(self) -> str:
            return ""

    cluster = Cluster()
    systems: Any = helm_observed.Systems(
        type("Helm", (), {"rollback": lambda *_: None})(),
        type("Way", (), {"cluster": lambda _self: cluster})(),
    )
    step = RollBack("", "", None, None, wanted(), 1, to=1, replicas=(("/evictor", 1), ("/same", 2)))
    step.work(systems, wanted())
    assert cluster.patched == [("/evictor", {"spec": {"replicas": 1}})]


def test_what_an_adopted_workload_keeps_is_named() -> None:
    kept = ("nodeSelector pool", "env HTTPS_PROXY")
    (warning,) = warnings(current(owner=replace(NOBODY, kept=kept)), wanted(adopt=True)) or [""]
    assert "nodeSelector pool, env HTTPS_PROXY" in warning


METADATA = "/api/v1/namespaces/castai-agent/configmaps/metadata"
DEPLOYMENT_PATH = "/apis/apps/v1/namespaces/castai-agent/deployments/agent"
MINE = {"meta.helm.sh/release-name": NAME, "meta.helm.sh/release-namespace": NAMESPACE}


class Adding:
    """A Helm whose chart creates more than the release has, and a cluster in which some of that already exists."""

    rendered = (
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "metadata"}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "h", "annotations": {"helm.sh/hook": "pre-upgrade"}},
        },
        {"apiVersion": "autoscaling.cast.ai/v1", "kind": "EvictorConfig", "metadata": {"name": "unknown-path"}},
    )

    def __init__(self, there: Mapping[str, Any]) -> None:
        self.there = {"/api/v1/namespaces/castai-agent/secrets/h": {}, **there}

    def check_version(self) -> tuple[int, ...]:
        return (4, 3, 1)

    def render(self, *_given: Any) -> Any:
        return self.rendered

    def cluster(self) -> Adding:
        return self

    def get(self, path: str, **_query: str) -> Any:
        found = self.there.get(path)
        if isinstance(found, Exception):
            raise found
        return None if found is None else {"metadata": {"annotations": found}}


@pytest.mark.parametrize(
    ("there", "owner"),
    [
        ({}, None),
        ({METADATA: MINE}, None),
        ({METADATA: {}}, Owner("ConfigMap metadata")),
        ({METADATA: {**MINE, "meta.helm.sh/release-name": "x"}}, Owner("ConfigMap metadata", "castai-agent/x")),
        ({METADATA: CallFailed("forbidden")}, None),
    ],
)
def test_whose_what_an_upgrade_adds_is(there: Mapping[str, Any], owner: Owner | None) -> None:
    systems: Any = helm_observed.Systems(cast(Any, Adding(there)), cast(Any, Adding(there)))
    state = current(revision(1, "deployed"))
    added = release._added(systems, OTHER_VALUES, state)
    assert release._added_owner(systems, OTHER_VALUES, state, added) == owner


OF_OTHERS = {**MINE, "meta.helm.sh/release-name": "x"}


@pytest.mark.parametrize(
    ("history", "there", "says"),
    [
        ((), {METADATA: OF_OTHERS}, "ConfigMap metadata belongs to Helm release castai-agent/x"),
        ((), {METADATA: {}, DEPLOYMENT_PATH: OF_OTHERS}, "Deployment agent belongs to Helm release castai-agent/x"),
        ((revision(1, "failed"),), {DEPLOYMENT_PATH: OF_OTHERS}, "Deployment agent belongs to Helm release"),
        ((revision(1, "pending-install"),), {METADATA: OF_OTHERS}, "ConfigMap metadata belongs to Helm release"),
        ((), {METADATA: {"argocd.argoproj.io/tracking-id": "x:y"}}, "ConfigMap metadata is managed by Argo CD"),
        ((), {METADATA: {}}, ""),
        ((), {METADATA: MINE}, ""),
        ((revision(1, "failed"),), {DEPLOYMENT_PATH: {}}, ""),
    ],
)
def test_an_install_that_takes_over_objects_takes_none_of_another_release(
    history: tuple[Revision, ...], there: Mapping[str, Any], says: str
) -> None:
    """Helm's --take-ownership takes them all, also those that no name shows before the chart is rendered."""
    desired, state = wanted(adopt=True), current(*history)
    systems: Any = helm_observed.Systems(cast(Any, Adding(there)), cast(Any, Adding(there)))
    before = tuple(release.plan(state, desired))
    if says:
        with pytest.raises(Refused, match=says):
            release.confirm(systems, desired, state, before)
        return
    *_others, step = release.confirm(systems, desired, state, before)
    assert isinstance(step, Upgrade)
    assert step.wanted.adopt
    assert step.sentence.endswith("taking over the existing objects") is (there == {METADATA: {}})


def test_an_install_without_taking_over_leaves_the_question_to_helm() -> None:
    systems: Any = Adding({METADATA: OF_OTHERS})
    systems.rendered = None
    before = tuple(release.plan(current(), wanted()))
    assert release.confirm(helm_observed.Systems(systems, systems), wanted(), current(), before) == before


def test_a_namespace_that_is_there_is_not_made_by_an_upgrade() -> None:
    systems: Any = Adding({f"/api/v1/namespaces/{NAMESPACE}": {}})
    systems.rendered = ({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},)
    state = current(revision(1, "deployed"))
    with pytest.raises(Refused, match="Set createNamespace: false in values"):
        release.confirm(
            helm_observed.Systems(systems, systems), OTHER_VALUES, state, tuple(release.plan(state, OTHER_VALUES))
        )


def test_an_upgrade_takes_over_what_it_adds_only_where_that_is_asked_for() -> None:
    added = current(revision(1, "deployed"), owner=NOBODY)
    with pytest.raises(Refused, match="exists and belongs to no Helm release"):
        planned(added, OTHER_VALUES)
    (step,) = planned(added, replace(OTHER_VALUES, adopt=True))
    assert step.wanted.adopt


def test_what_hooks_left_goes_before_the_release_is_forgotten() -> None:
    left = (Reference("batch/v1", "Job", "", "crds"), Reference("v1", "ServiceAccount", "", "crds"))
    killed = current(revision(1, "pending-install", age=0), hooks=left)
    hooks, uninstall = planned(killed, ABSENT)
    assert hooks.sentence == f"delete the objects left by hooks of Helm release {NAME}: Job crds, ServiceAccount crds"
    assert (hooks.patience, uninstall.patience) == (300, 0)
    deleted: list[Any] = []
    systems: Any = Adding({})
    systems.delete = lambda path, body: deleted.append((path.rpartition("namespaces/")[2], body["propagationPolicy"]))
    hooks.work(helm_observed.Systems(systems, systems), ABSENT)
    assert deleted == [("castai-agent/jobs/crds", "Background"), ("castai-agent/serviceaccounts/crds", "Background")]
    assert planned(current(revision(1, "deployed"), hooks=left), wanted()) == []


def test_only_what_still_is_a_hook_goes() -> None:
    jobs = "/apis/batch/v1/namespaces/castai-agent/jobs/"
    hook = {"helm.sh/hook": "pre-install"}
    manifests = [f"kind: Job\napiVersion: batch/v1\nmetadata: {{name: {name}}}\n" for name in ("a", "b", "c", "d")]
    content = {"hooks": [{"manifest": text} for text in manifests]}
    labels = {"version": "1", "status": "deployed", "modifiedAt": "1"}
    one = Revision.of(record.encode({"metadata": {"name": "x", "labels": labels}, "data": {}}, content))
    cluster: Any = Adding({f"{jobs}a": hook, f"{jobs}b": {}, f"{jobs}c": CallFailed("forbidden")})
    unreadable = Revision.of({"metadata": {"name": "y", "labels": labels}, "data": {"release": "?"}})
    found = helm_observed._left_by_hooks(cluster, ABSENT, (unreadable, one))
    assert found == (Reference("batch/v1", "Job", "", "a"),)
