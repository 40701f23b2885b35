# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever ends or disturbs a run, a rerun ends in the state of an undisturbed one."""

from __future__ import annotations

import base64
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest

from tests.sandbox.client import World
from tests.sandbox.normal import difference
from tests.support.playbook import local_play

from .connecting import REST, Operator, at_rest, left_pending, succeeded, without_usable_token, writes

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


@pytest.fixture(scope="module")
def undisturbed(module_world: World, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    module_world.reset()
    succeeded(Operator(module_world, tmp_path_factory.mktemp("undisturbed")).connect())
    return Undisturbed(at_rest(module_world), [(call.operation, call.resource) for call in writes(module_world)])


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


@pytest.mark.parametrize("write", OUR_WRITES + HELM_WRITES, ids=lambda write: f"{write[1]} {write[2]}")
def test_ended_after_a_write(
    world: World, operator: Operator, undisturbed: Undisturbed, write: tuple[str, str, str]
) -> None:
    system, operation, resource = write
    world.fault({"system": system, "operation": operation, "resource": resource, "end": "after"})
    ended = operator.connect()
    assert (ended.status, world.fired()) == (-signal.SIGKILL, [1]), ended.output
    world.fault()
    succeeded(operator.connect())
    assert_same_end(world, undisturbed.state)
    assert list(operator.folder.glob("tmp/castai-onboarding-*/*")) == []


def with_the_charts_namespace(world: World, operator: Operator) -> None:
    """A release that owns its Namespace, as the chart has it unless told otherwise."""
    succeeded(operator.connect(agent_values={"createNamespace": True}))


UNINSTALL = {
    "castai.onboarding.castai_release": {
        "name": "castai-agent",
        "provider": "eks",
        "cluster_name": "prod",
        "region": "{{ castai_region }}",
        "state": "absent",
    }
}


@pytest.mark.parametrize(
    ("start", "options", "operation", "resource"),
    [
        (without_usable_token, {}, "patch secrets", "prod/castai-agent/castai-credentials"),
        (left_pending, {}, "delete secrets", RECORD),
        (with_the_charts_namespace, {}, "patch namespaces", ".*"),
        (with_the_charts_namespace, {"playbook": [local_play(UNINSTALL)]}, "update secrets", RECORD),
    ],
    ids=["token replaced", "killed install forgotten", "namespace kept", "namespace disowned"],
)
def test_ended_after_a_write_to_what_is_there(
    world: World,
    operator: Operator,
    start: Callable[[World, Operator], None],
    options: Mapping[str, Any],
    operation: str,
    resource: str,
) -> None:
    start(world, operator)
    succeeded(operator.connect(**options))
    expected = at_rest(world)

    world.reset()
    start(world, operator)
    mark = world.mark()
    world.fault({"system": "kubernetes", "operation": operation, "resource": resource, "end": "after"})
    ended = operator.connect(**options)
    assert (ended.status, world.fired()) == (-signal.SIGKILL, [1]), ended.output
    assert writes(world, mark)[-1].operation == operation
    world.fault()
    succeeded(operator.connect(**options))
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
def test_every_write_fails_once(
    world: World, operator: Operator, undisturbed: Undisturbed, effect: dict[str, Any]
) -> None:
    world.fault(
        *(
            {"system": system, "operation": operation, "resource": resource, **effect}
            for system, operation, resource in OUR_WRITES
        )
    )
    for _time in range(len(OUR_WRITES) + 1):
        run = operator.connect()
        if run.status == 0:
            break
        assert "A rerun is safe and goes on from here." in run.failures["prod"]
    succeeded(run)
    assert world.fired() == [1] * len(OUR_WRITES)
    assert_same_end(world, undisturbed.state)


def test_reads_that_fail_for_a_while_are_repeated(world: World, operator: Operator, undisturbed: Undisturbed) -> None:
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
    succeeded(operator.connect())
    assert all(world.fired())
    assert_same_end(world, undisturbed.state)


def test_a_rival_writes_first(world: World, operator: Operator, undisturbed: Undisturbed) -> None:
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
            "rival": {"method": "POST", "path": f"{NAMESPACE}/secrets", "body": secret},
        },
    )
    succeeded(operator.connect())
    assert world.fired() == [1, 1]
    assert_same_end(world, undisturbed.state)
