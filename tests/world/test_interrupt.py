# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""However a run is killed or disturbed, a rerun ends in the same state as an undisturbed run.

The undisturbed run and one killed run use the playbook; the others are forks with the same tasks.
"""

from __future__ import annotations

import base64
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.sandbox.client import World
from tests.sandbox.normal import difference
from tests.support.forked import Step, steps
from tests.support.playbook import Run

from .connecting import REST, Forked, Operator, at_rest, left_pending, succeeded, without_usable_token, writes

CLUSTERS = ("prod:eks",)
NAMESPACE = "/api/v1/namespaces/castai-agent"
RECORD = "prod/castai-agent/sh.helm.release.v1.castai-agent.v1"

OUR_WRITES = (
    ("castai", "RegisterCluster", ".*"),
    ("kubernetes", "create namespaces", ".*"),
    ("castai", "CreateClusterToken", ".*"),
    ("kubernetes", "create secrets", "prod/castai-agent/castai-credentials"),
)
HELM_WRITES = (
    ("kubernetes", "create secrets", RECORD),
    ("kubernetes", "create deployments", "prod/castai-agent/castai-agent"),
    ("kubernetes", "update secrets", RECORD),
)


class Undisturbed(NamedTuple):
    state: Any
    writes: list[tuple[str, str]]
    steps: Sequence[Step]


@pytest.fixture(scope="module")
def undisturbed(module_world: World, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    module_world.reset()
    run = succeeded(Operator(module_world, tmp_path_factory.mktemp("undisturbed")).connect())
    written = [(call.operation, call.resource) for call in writes(module_world)]
    return Undisturbed(at_rest(module_world), written, steps(run, "prod"))


@pytest.fixture
def forked(world: World, undisturbed: Undisturbed, tmp_path: Path) -> Forked:
    world.reset()  # of what the undisturbed run may just have left
    return Forked(world, tmp_path, undisturbed.steps)


def assert_same_end(world: World, expected: Any) -> None:
    deadline = time.monotonic() + REST
    while (different := difference(expected, world.state(normal=True))) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert not different, different


def test_every_write_of_ours_in_a_first_run_is_one_after_which_a_run_is_ended_below(undisturbed: Undisturbed) -> None:
    before_helm = [operation for operation, _resource in undisturbed.writes][: len(OUR_WRITES)]
    assert before_helm == [operation for _system, operation, _resource in OUR_WRITES]
    assert [write for write in undisturbed.writes if write[0] != "create namespaces"][3] == (
        "create secrets",
        RECORD,
    )


def ended_after_a_write(operator: Operator, expected: Any, write: tuple[str, str, str]) -> None:
    world, (system, operation, resource) = operator.world, write
    world.fault({"system": system, "operation": operation, "resource": resource, "write": True, "end": "after"})
    ended = operator.connect()
    assert (ended.status, world.fired()) == (-signal.SIGKILL, [1]), ended.output
    world.fault()
    succeeded(operator.connect())
    assert_same_end(world, expected)
    assert list(operator.folder.glob("tmp/castai-onboarding-*/*")) == []


@pytest.mark.parametrize("write", OUR_WRITES + HELM_WRITES, ids=lambda write: f"{write[1]} {write[2]}")
def test_ended_after_a_write(forked: Forked, undisturbed: Undisturbed, write: tuple[str, str, str]) -> None:
    ended_after_a_write(forked, undisturbed.state, write)


def test_the_playbook_ended_in_helm(operator: Operator, undisturbed: Undisturbed) -> None:
    operator.world.reset()
    ended_after_a_write(operator, undisturbed.state, HELM_WRITES[1])


def with_the_charts_namespace(_world: World, forked: Forked) -> None:
    """A release that contains its Namespace, as the chart does by default."""
    succeeded(forked.connect(castai_release={"values": {"createNamespace": True}}))


def connect(forked: Forked) -> Run:
    return forked.connect()


def uninstall(forked: Forked) -> Run:
    (release,) = (step for step in forked.recorded if step.module == "castai_release")
    kept = {name: value for name, value in release.arguments.items() if name not in OF_INSTALL}
    return forked.run([replace(release, arguments={**kept, "state": "absent"})])


OF_INSTALL = ("values", "chart_ref", "chart_repo_url", "chart_version")


@pytest.mark.parametrize(
    ("start", "run", "operation", "resource"),
    [
        (without_usable_token, connect, "patch secrets", "prod/castai-agent/castai-credentials"),
        (left_pending, connect, "update secrets", RECORD),
        (with_the_charts_namespace, connect, "patch namespaces", ".*"),
        (with_the_charts_namespace, uninstall, "update secrets", RECORD),
    ],
    ids=["token replaced", "killed install marked", "namespace kept", "namespace disowned"],
)
def test_ended_after_a_write_to_what_is_there(
    world: World,
    forked: Forked,
    start: Callable[[World, Forked], None],
    run: Callable[[Forked], Run],
    operation: str,
    resource: str,
) -> None:
    start(world, forked)
    succeeded(run(forked))
    expected = at_rest(world)

    world.reset()
    start(world, forked)
    mark = world.mark()
    world.fault({"system": "kubernetes", "operation": operation, "resource": resource, "write": True, "end": "after"})
    ended = run(forked)
    assert (ended.status, world.fired()) == (-signal.SIGKILL, [1]), ended.output
    assert writes(world, mark)[-1].operation == operation
    world.fault()
    succeeded(run(forked))
    assert_same_end(world, expected)


@pytest.mark.parametrize(
    "effect",
    [
        {"lose": "before"},
        {"lose": "after"},
        {"fail": {"status": 500, "code": "InternalError"}},
        {"throttle": {"retry_after": 1}},
    ],
    ids=str,
)
def test_every_write_fails_once(world: World, forked: Forked, undisturbed: Undisturbed, effect: dict[str, Any]) -> None:
    world.fault(
        *(
            {"system": system, "operation": operation, "resource": resource, "write": True, **effect}
            for system, operation, resource in OUR_WRITES
        )
    )
    for _time in range(len(OUR_WRITES) + 1):
        run = forked.connect()
        if run.status == 0:
            break
        assert "A rerun is safe and continues from here." in run.failures["prod"]
    succeeded(run)
    assert world.fired() == [1] * len(OUR_WRITES)
    assert_same_end(world, undisturbed.state)


def test_reads_that_fail_for_a_while_are_repeated(world: World, forked: Forked, undisturbed: Undisturbed) -> None:
    def reads(system: str, **effect: Any) -> dict[str, Any]:
        return {"system": system, "write": False, **effect}

    world.fault(
        reads("castai", throttle={"retry_after": 1}),
        reads("castai", after=1, fail={"status": 503, "code": ""}),
        reads("castai", after=3, lose="before"),
        reads("aws", throttle={"status": 400, "code": "ThrottlingException"}, times=2),
        reads("aws", after=2, fail={"status": 500, "code": "ServerException"}),
        reads("kubernetes", operation="get secrets", throttle={"retry_after": 1}),
        reads("kubernetes", operation="get namespaces", fail={"status": 503, "code": "ServiceUnavailable"}),
        reads("kubernetes", operation="list secrets", lose="before"),
    )
    succeeded(forked.connect())
    assert all(world.fired())
    assert_same_end(world, undisturbed.state)


def test_a_rival_writes_first(world: World, forked: Forked, undisturbed: Undisturbed) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "castai-agent"}}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "castai-credentials"},
        "data": {"API_KEY": base64.b64encode(b"of another").decode()},
    }
    world.fault(
        {
            "operation": "create namespaces",
            "rival": {"method": "POST", "path": "/api/v1/namespaces", "body": namespace},
        },
        {
            "operation": "create secrets",
            "resource": ".*/castai-credentials",
            "write": True,
            "rival": {"method": "POST", "path": f"{NAMESPACE}/secrets", "body": secret},
        },
    )
    succeeded(forked.connect())
    assert world.fired() == [1, 1]
    assert_same_end(world, undisturbed.state)
