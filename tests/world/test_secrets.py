# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No key or token is in any output, remaining file, process's arguments or environment, release record or log.

All secrets of the world contain the same mark. The runs get them from a single file, so they must be nowhere else. The
same runs show that a task has the same result inside the controller and as a module, also if it writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from tests.sandbox.client import World
from tests.support.playbook import Run

from .careful import Careful, holds_secret, nowhere_in
from .connecting import PLAYBOOK, ROLE_IN_MODULES, Operator, changed_nothing, succeeded

CLUSTERS = ("prod:eks", "other:eks:account=444455556666:region=us-east-1:mode=API")
HOSTS = ("prod", "other")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
AGENT = re.compile(r'"agent_status": "[a-z-]+"')
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def fails(operation: str, resource: str, status: int, code: str) -> dict[str, Any]:
    return {"operation": operation, "resource": resource, "fail": {"status": status, "code": code}}


def story(world: World, careful: Careful) -> list[Run]:
    """Plans, one of which is refused; runs that fail after writes; what they left to do; a rerun; a new token."""
    world.fault(fails("eks:DescribeCluster", "prod", 403, "AccessDeniedException"))
    plan = careful.run("--check")
    assert plan.failures.keys() == {"prod"}
    world.fault(
        fails("create secrets", "prod/castai-agent/castai-credentials", 403, "Forbidden"),
        fails("create deployments", "other/castai-agent/castai-agent", 403, "Forbidden"),
    )
    stopped = careful.run()
    assert stopped.failures.keys() == {"prod", "other"}
    assert len(stopped.of("castai_cluster", "prod")[-1]["applied"]) == 2
    world.fault()
    run = succeeded(careful.run())
    again = changed_nothing(careful.run())
    world.control("castai", "revoke_token", cluster_id=run.of("castai_cluster", "prod")[-1]["cluster_id"])
    mended = succeeded(careful.run())
    return [plan, stopped, run, again, mended]


def results(runs: Sequence[Run]) -> list[Any]:
    """The result of each of our tasks, without Ansible's own marks and without what differs between runs.

    That is times, ids, the states seen while waiting, and whether an agent has been silent long enough to be noticed.
    """
    told = [
        [
            (task.host, task.task, task.outcome, {key: task.result[key] for key in task.result if is_ours(key)})
            for task in sorted(run.tasks, key=attrgetter("host"))
            # The check of the variables always runs inside the controller.
            if task.action.startswith("castai.onboarding.") and not task.action.endswith(".castai_variables")
        ]
        for run in runs
    ]
    names: dict[str, str] = {}
    text = AGENT.sub('"agent_status": ""', TIME.sub("<time>", json.dumps(told, sort_keys=True)))
    found: list[Any] = json.loads(ID.sub(lambda match: names.setdefault(match[0], f"<id {len(names)}>"), text))
    return found


def is_ours(key: str) -> bool:
    return not key.startswith("_ansible") and key not in ("exception", "progress")


def test_no_secret_is_anywhere_but_in_its_secret_and_both_ways_tell_the_same(world: World, tmp_path: Path) -> None:
    told = []
    for way, playbook in {"inside": PLAYBOOK, "modules": ROLE_IN_MODULES}.items():
        world.reset()
        runs = story(world, Careful(Operator(world, tmp_path / way), HOSTS, playbook))
        nowhere_in(world)
        told.append(results(runs))
    for inside, module in zip(*told, strict=True):
        assert inside == module


def test_helm_gets_no_exported_secret(operator: Operator) -> None:
    succeeded(operator.connect())
    assert operator.helm_starts()
    assert not holds_secret(operator.helm_log.read_bytes())
