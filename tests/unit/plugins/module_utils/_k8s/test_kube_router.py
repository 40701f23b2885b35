# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is planned for kube-router, for every generation of its DaemonSet."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.castai.onboarding.plugins.module_utils._engine import CallFailed, Refused
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.kubernetes import Rejected
from ansible_collections.castai.onboarding.plugins.module_utils._k8s import kube_router
from ansible_collections.castai.onboarding.plugins.module_utils._k8s.kube_router import (
    ADDED,
    PATHS,
    WANTED,
    Current,
    Desired,
    confirm,
    covers,
    daemon_set_of,
    observe,
    plan,
    settle,
    view,
)

Toleration = dict[str, Any]

CRITICAL, NO_SCHEDULE, NO_EXECUTE = (dict(one) for one in WANTED.values())
EVERYTHING: Toleration = {"operator": "Exists"}
MASTER: Toleration = {"effect": "NoSchedule", "key": "node-role.kubernetes.io/master", "operator": "Exists"}
NOT_READY: Toleration = {"effect": "NoSchedule", "key": "node.kubernetes.io/not-ready", "operator": "Exists"}

TEMPLATE = "kubernetes/kops, upup/models/cloudup/resources/addons/networking.kuberouter"
GENERATIONS: dict[str, tuple[list[Toleration], list[Toleration]]] = {
    f"{TEMPLATE}/k8s-1.6.yaml.template at 1.15.0 to 1.17.2": ([CRITICAL, NO_SCHEDULE], [NO_EXECUTE]),
    f"{TEMPLATE}/k8s-1.12.yaml.template at 1.15.0 to 1.16.0": ([CRITICAL, NO_SCHEDULE], [NO_EXECUTE]),
    f"{TEMPLATE}/k8s-1.12.yaml.template at 1.16.1 to 1.17.2": (
        [CRITICAL, MASTER, NOT_READY],
        [NO_SCHEDULE, NO_EXECUTE],
    ),
    f"{TEMPLATE}/k8s-1.6.yaml.template at 1.18.0 to 1.19.3": ([EVERYTHING], []),
    f"{TEMPLATE}/k8s-1.12.yaml.template at 1.18.0 to 1.24.5": ([EVERYTHING], []),
}
"""Each generation with what it lacks, read at every release tag of the repository."""

CUSTOMIZED: dict[str, tuple[list[Toleration], list[Toleration]]] = {
    "none": ([], [CRITICAL, NO_SCHEDULE, NO_EXECUTE]),
    "as the documents ask": ([NO_SCHEDULE, NO_EXECUTE, CRITICAL], []),
    "everything beside others": ([MASTER, EVERYTHING], []),
    "without CriticalAddonsOnly": ([NO_SCHEDULE, NO_EXECUTE], [CRITICAL]),
    "the spot taint alone": (
        [CRITICAL, {"key": "scheduling.cast.ai/spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"}],
        [NO_SCHEDULE, NO_EXECUTE],
    ),
    "NoExecute for a while": ([CRITICAL, NO_SCHEDULE, {**NO_EXECUTE, "tolerationSeconds": 300}], [NO_EXECUTE]),
    "CriticalAddonsOnly of one effect": ([NO_SCHEDULE, NO_EXECUTE, {**CRITICAL, "effect": "NoSchedule"}], [CRITICAL]),
    "CriticalAddonsOnly of one value": (
        [NO_SCHEDULE, NO_EXECUTE, {"key": "CriticalAddonsOnly", "value": "", "operator": "Equal"}],
        [CRITICAL],
    ),
    "empty texts as clients write them": (
        [{"key": "", "operator": "Exists", "effect": "", "value": ""}],
        [],
    ),
}


def daemon_set(tolerations: list[Toleration], added: list[Toleration] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "resourceVersion": "7",
            "generation": 2,
            "annotations": {"theirs": "x", **({ADDED: json.dumps(added)} if added is not None else {})},
        },
        "spec": {
            "updateStrategy": {"type": "RollingUpdate"},
            "template": {"spec": {"containers": [{"name": "kube-router"}], "tolerations": tolerations}},
            **spec,
        },
        "status": {
            "observedGeneration": 2,
            "desiredNumberScheduled": 3,
            "currentNumberScheduled": 3,
            "updatedNumberScheduled": 3,
            "numberAvailable": 3,
        },
    }


def current(tolerations: list[Toleration], added: list[Toleration] | None = None, **spec: Any) -> Current:
    return Current(daemon_set_of(daemon_set(tolerations, added, **spec), PATHS[0]))


def desired(**changes: Any) -> Desired:
    params = {"state": "present", "wait": False, "wait_timeout": 1, **changes}
    return kube_router.desired(params)


PRESENT, ABSENT = desired(), desired(state="absent")


def sentences(found: Current, wanted: Desired = PRESENT) -> list[str]:
    return [action.sentence for action in plan(found, wanted)]


@pytest.mark.parametrize(
    ("held", "missing"), [*GENERATIONS.values(), *CUSTOMIZED.values()], ids=[*GENERATIONS, *CUSTOMIZED]
)
def test_what_is_not_covered_is_added_and_the_rest_stays(held: list[Toleration], missing: list[Toleration]) -> None:
    actions = list(plan(current(held), PRESENT))
    assert view(current(held), PRESENT, {})["added"] == missing
    if not missing:
        assert actions == []
        return
    (write,) = actions
    assert write.after == {"tolerations": held + missing, "added": missing, "restarts": 3}
    assert sentences(current(held + missing, missing)) == []
    (back,) = plan(current(held + missing, missing), ABSENT)
    assert (back.after["tolerations"], back.after["added"]) == (held, [])


KEYS = ["CriticalAddonsOnly", "scheduling.cast.ai/spot"]
EFFECTS = ["NoSchedule", "PreferNoSchedule", "NoExecute"]
TOLERATION = st.fixed_dictionaries(
    {},
    optional={
        "key": st.sampled_from([*KEYS, ""]),
        "operator": st.sampled_from(["Exists", "Equal"]),
        "value": st.sampled_from(["", "true"]),
        "effect": st.sampled_from([*EFFECTS, ""]),
    },
)


def tolerates(one: Toleration, key: str, value: str, effect: str) -> bool:
    """As the scheduler decides: ToleratesTaint of Kubernetes' k8s.io/api/core/v1."""
    if one.get("effect") not in (None, "", effect) or one.get("key") not in (None, "", key):
        return False
    return one.get("operator") == "Exists" or one.get("value", "") == value


@given(TOLERATION, st.sampled_from(list(WANTED.values())))
def test_what_covers_tolerates_every_such_taint(held: Toleration, wanted: Toleration) -> None:
    taints = [(key, value, effect) for key in [*KEYS, "x"] for value in ("", "true", "y") for effect in EFFECTS]
    all_of_it = all(tolerates(held, *taint) for taint in taints if tolerates(dict(wanted), *taint))
    assert covers(held, wanted) is all_of_it


def test_the_plan_says_how_many_nodes_restart() -> None:
    narrow = [CRITICAL, MASTER, NOT_READY]
    assert sentences(current(narrow)) == [
        "let kube-router tolerate any NoSchedule taint and any NoExecute taint, which restarts it on 3 nodes"
    ]
    assert view(current(narrow), PRESENT, {})["restarts"] == 3
    one = daemon_set(narrow)
    one["status"].update(currentNumberScheduled=0, numberMisscheduled=1)
    assert sentences(Current(daemon_set_of(one, PATHS[0])))[0].endswith("which restarts it on 1 node")


def test_a_daemon_set_of_the_old_api_restarts_nothing_by_itself() -> None:
    """extensions/v1beta1 defaulted to OnDelete, which stays when the cluster is upgraded."""
    found = current([CRITICAL, NO_SCHEDULE], updateStrategy={"type": "OnDelete"})
    (write,) = plan(found, PRESENT)
    assert write.sentence.endswith(
        "because the update strategy is OnDelete: new nodes get it at once, old pods when they are deleted"
    )
    assert (write.after["restarts"], view(found, PRESENT, {})["restarts"]) == (0, 0)


def test_what_was_taken_back_is_added_again_and_told() -> None:
    reverted = current([CRITICAL, NO_SCHEDULE], [NO_EXECUTE])
    (sentence,) = sentences(reverted)
    assert sentence.startswith("let kube-router tolerate any NoExecute taint again, because another writer removed it,")
    assert view(reverted, PRESENT, {})["reverted"] is True
    partly = current([CRITICAL, MASTER, NO_EXECUTE], [NO_SCHEDULE, NO_EXECUTE])
    (write,) = plan(partly, PRESENT)
    assert write.after["added"] == [NO_EXECUTE, NO_SCHEDULE]


def test_a_note_on_what_is_gone_is_forgotten_without_a_restart() -> None:
    for wanted in (PRESENT, ABSENT):
        upgraded = current([EVERYTHING], [NO_EXECUTE])
        (write,) = plan(upgraded, wanted)
        assert write.sentence == (
            "remove the record of tolerations added to DaemonSet kube-system/kube-router, because another writer"
            " removed them"
        )
        assert write.after == {"tolerations": [EVERYTHING], "added": [], "restarts": 0}
        assert view(upgraded, wanted, {}) == {"added": [], "found": True, "restarts": 0, "reverted": True}


def test_only_what_was_added_is_taken_away() -> None:
    found = current([CRITICAL, NO_SCHEDULE, NO_EXECUTE, MASTER], [NO_EXECUTE])
    assert sentences(found, ABSENT) == [
        "stop kube-router from tolerating any NoExecute taint, which restarts it on 3 nodes"
    ]
    for untouched in (current([CRITICAL, NO_SCHEDULE, NO_EXECUTE]), current([])):
        assert sentences(untouched, ABSENT) == []


def applied(manifest: Any) -> dict[str, Any]:
    return {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(manifest)}}


def managed(operation: str, manager: str, field: str = "f:tolerations") -> dict[str, Any]:
    fields = {"f:spec": {"f:template": {"f:spec": {field: {}}}}}
    return {"managedFields": [{"operation": operation, "manager": manager, "fieldsV1": fields}, {"manager": "x"}]}


def manifest(*tolerations: Toleration) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"tolerations": tolerations}}}}


ADDED_BOTH = [NO_SCHEDULE, NO_EXECUTE]


@pytest.mark.parametrize(
    ("metadata", "left"),
    [
        (applied(manifest(CRITICAL)), [CRITICAL]),
        (applied(manifest(CRITICAL, NO_EXECUTE)), [CRITICAL, NO_EXECUTE]),
        (applied(manifest(CRITICAL, NO_SCHEDULE, NO_EXECUTE)), None),
        (managed("Apply", "kops"), None),
        (managed("Apply", "kops", "f:containers"), [CRITICAL]),
        (managed("Apply", "castai-onboarding"), [CRITICAL]),
        (managed("Update", "castai-onboarding"), [CRITICAL]),
        (managed("Update", "kubectl-edit"), [CRITICAL]),
        *((applied(odd), [CRITICAL]) for odd in ([], {"spec": None}, {"spec": {"template": {"spec": []}}}, 3)),
        ({"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "[" * 100_000}}, [CRITICAL]),
        ({"managedFields": [{"operation": "Apply", "fieldsV1": {"f:spec": 3}}]}, [CRITICAL]),
    ],
)
def test_what_the_manifest_now_has_itself_is_not_taken_away(
    metadata: dict[str, Any], left: list[Toleration] | None
) -> None:
    """Since it was added, the user has added the same to kOps' addon."""
    found = daemon_set([CRITICAL, *ADDED_BOTH], ADDED_BOTH)
    found["metadata"]["annotations"].update(metadata.pop("annotations", {}))
    found["metadata"].update(metadata)
    state = Current(daemon_set_of(found, PATHS[0]))
    assert sentences(state) == []
    (write,) = plan(state, ABSENT)
    assert (write.after["tolerations"], write.after["added"]) == (left or [CRITICAL, *ADDED_BOTH], [])
    assert view(state, ABSENT, {})["restarts"] == write.after["restarts"] == (3 if left else 0)
    if left is None:
        assert write.sentence.endswith("because its manifest now has them itself")


def test_a_cluster_without_kube_router_needs_nothing() -> None:
    for wanted in (PRESENT, ABSENT):
        assert sentences(Current(None), wanted) == []
        assert view(Current(None), wanted, {}) == {"added": [], "found": False, "restarts": 0, "reverted": False}


@pytest.mark.parametrize("note", ["x", "{}x", '"x"', "[1]", "3", "[" * 100_000])
def test_a_spoilt_note_is_refused(note: str) -> None:
    spoilt = daemon_set([])
    spoilt["metadata"]["annotations"][ADDED] = note
    with pytest.raises(Refused, match=r"not a record of added tolerations\. Remove it"):
        daemon_set_of(spoilt, PATHS[0])


def test_another_cluster_is_refused() -> None:
    with pytest.raises(Refused, match="points elsewhere"):
        sentences(Current(None, "points elsewhere"))


class Cluster:
    """An API server that answers with these DaemonSets in turn, and stores a patch as a webhook changed it."""

    host = "https://k"

    def __init__(self, *answers: dict[str, Any] | None, path: str = PATHS[0], webhook: list[Toleration] | None = None):
        self.answers, self.path, self.webhook = list(answers), path, webhook
        self.bodies: list[tuple[str, dict[str, Any]]] = []
        self.namespace: dict[str, Any] = {"metadata": {}}
        self.denied = False
        self.refused: dict[str, int] = {}

    def cluster(self) -> Cluster:
        return self

    def get(self, path: str) -> dict[str, Any] | None:
        if path == "/api/v1/namespaces/kube-system":
            return self.namespace
        if path in self.refused:
            raise Rejected("no", self.refused[path], "no")
        if path != self.path:
            return None
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def has_dry_runs(self) -> bool:
        return True

    def patch(self, path: str, body: dict[str, Any], dry_run: bool = False) -> dict[str, Any]:
        written = json.loads(json.dumps(body))
        if not dry_run:
            self.bodies.append((path, written))
        elif self.denied:
            raise Rejected("PATCH: it denied the request.", 403, "it denied the request")
        tolerations = written["spec"]["template"]["spec"]["tolerations"] + (self.webhook or [])
        return daemon_set(tolerations, json.loads(written["metadata"]["annotations"][ADDED] or "[]"))


@pytest.mark.parametrize("path", PATHS)
def test_the_daemon_set_is_found_and_written_under_the_version_that_the_cluster_has(path: str) -> None:
    cluster = Cluster(daemon_set([CRITICAL, NO_SCHEDULE]), path=path)
    (write,) = plan(observe(cluster, PRESENT), PRESENT)
    write.run(cluster, {})
    assert cluster.bodies == [
        (
            path,
            {
                "metadata": {"resourceVersion": "7", "annotations": {ADDED: json.dumps([NO_EXECUTE])}},
                "spec": {"template": {"spec": {"tolerations": [CRITICAL, NO_SCHEDULE, NO_EXECUTE]}}},
            },
        )
    ]
    (back,) = plan(current([CRITICAL, NO_EXECUTE], [NO_EXECUTE]), ABSENT)
    back.run(cluster, {})
    assert cluster.bodies[1][1]["metadata"]["annotations"] == {ADDED: None}


def test_what_the_cluster_would_refuse_is_refused_in_the_plan() -> None:
    state = current([CRITICAL])
    planned = tuple(plan(state, PRESENT))
    cluster: Any = Cluster(daemon_set([CRITICAL]))
    assert confirm(cluster, PRESENT, state, planned) == planned
    cluster.webhook = [CRITICAL]
    with pytest.raises(
        Refused, match="would store other tolerations of DaemonSet kube-system/kube-router: an admission"
    ):
        confirm(cluster, PRESENT, state, planned)
    cluster.denied = True
    with pytest.raises(Refused, match=r"^Could not let kube-router tolerate .*, as a dry run shows: PATCH: it denied"):
        confirm(cluster, PRESENT, state, planned)
    assert cluster.bodies == []


@pytest.mark.parametrize("answer", [daemon_set([CRITICAL]), None])
def test_who_may_read_daemon_sets_of_apps_alone_needs_no_more(answer: dict[str, Any] | None) -> None:
    cluster = Cluster(answer)
    cluster.refused = {PATHS[1]: 403}
    assert observe(cluster, PRESENT) == (current([CRITICAL]) if answer else Current(None))


@pytest.mark.parametrize(("path", "status"), [(PATHS[0], 403), (PATHS[1], 401)])
def test_what_else_is_refused_is_told(path: str, status: int) -> None:
    cluster = Cluster(None)
    cluster.refused = {path: status}
    with pytest.raises(Rejected):
        observe(cluster, PRESENT)


def test_what_was_stored_is_proved() -> None:
    (write,) = plan(current([CRITICAL]), PRESENT)
    with pytest.raises(CallFailed, match="stored other tolerations: an admission webhook changes them"):
        write.run(Cluster(webhook=[MASTER]), {})


def test_the_cluster_is_asked_which_it_is_only_when_it_is_named() -> None:
    cluster = Cluster(None)
    channel = {"channel": "s3://a/shop.example.com/x"}
    cluster.namespace["metadata"]["annotations"] = {"addons.k8s.io/dns": json.dumps(channel)}
    named = desired(provider="kops", cluster_name="shop.example.com")
    assert observe(cluster, named) == observe(cluster, PRESENT) == Current(None)
    for others in (
        {"provider": "kops", "cluster_name": "till.example.com"},
        {"provider": "eks", "cluster_name": "shop"},
    ):
        assert "says that it is kOps cluster shop.example.com" in observe(cluster, desired(**others)).elsewhere


def test_a_name_that_no_cluster_can_have_is_refused() -> None:
    with pytest.raises(Refused, match="kOps cluster name 'shop' must be a full DNS name"):
        desired(provider="kops", cluster_name="shop")


def rolling(tolerations: list[Toleration], **status: int) -> dict[str, Any]:
    found = daemon_set(tolerations)
    return {**found, "status": {**found["status"], **status}}


WAITING = desired(wait=True, wait_timeout=60)


def waited(*answers: dict[str, Any] | None, wanted: Desired = WAITING, start: Current | None = None) -> list[str]:
    lines: list[str] = []
    settle(Cluster(*answers), wanted, start or current([EVERYTHING]), {}, lines.append)
    return lines


def test_the_rollout_is_waited_for_with_progress() -> None:
    assert waited(
        rolling([EVERYTHING], observedGeneration=1),
        rolling([EVERYTHING], updatedNumberScheduled=1),
        rolling([EVERYTHING], numberAvailable=2),
        rolling([EVERYTHING]),
    ) == [f"kube-router still has to restart or become ready on {left}" for left in ("3 nodes", "2 nodes", "1 node")]


def test_a_node_that_was_not_ready_before_is_not_waited_for_but_told() -> None:
    one_away = rolling([EVERYTHING], numberAvailable=2)
    start = Current(daemon_set_of(one_away, PATHS[0]))
    assert waited(rolling([EVERYTHING], updatedNumberScheduled=1), one_away, start=start) == [
        "kube-router still has to restart or become ready on 2 nodes",
        "kube-router still has to restart or become ready on 1 node",
    ]
    end = settle(Cluster(one_away), WAITING, start, {}, print)
    assert view(end, WAITING, {})["warnings"] == [
        "kube-router is not ready on 1 node. Look at its pods in namespace kube-system, and at their nodes."
    ]


def test_where_it_does_not_get_ready_in_time_that_is_told() -> None:
    slow = Cluster(rolling([EVERYTHING], numberAvailable=1))
    end = settle(slow, desired(wait=True, wait_timeout=0), current([EVERYTHING]), {}, print)
    assert view(end, WAITING, {})["warnings"][0].startswith("kube-router is not ready on 2 nodes. ")
    assert "warnings" not in view(settle(Cluster(rolling([EVERYTHING])), WAITING, end, {}, print), WAITING, {})


def test_nothing_is_waited_for_where_nothing_restarts_or_nobody_asked() -> None:
    for wanted, start in (
        (WAITING, Current(None)),
        (WAITING, current([], updateStrategy={"type": "OnDelete"})),
        (PRESENT, current([])),
    ):
        assert waited(rolling([], numberAvailable=0), wanted=wanted, start=start) == []


def test_a_rollout_that_is_undone_or_stuck_is_told() -> None:
    stuck = rolling([EVERYTHING], updatedNumberScheduled=1)
    with pytest.raises(CallFailed, match="removed kube-router's toleration of any NoExecute taint while"):
        waited(stuck, rolling([CRITICAL, NO_SCHEDULE]))
    with pytest.raises(CallFailed, match="was deleted while its pods were restarting"):
        waited(None)
    with pytest.raises(CallFailed, match="After 0 s kube-router still had to restart on 2 nodes"):
        waited(stuck, wanted=desired(wait=True, wait_timeout=0))
