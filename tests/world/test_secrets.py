# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No key or token is in any output, file left behind, process's arguments or environment, release record or log.

All secrets of the world have a text in common; the runs get theirs from one file, so that it must be nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.sandbox.client import World

from .careful import Careful, holds_secret, nowhere_in
from .connecting import PLAYBOOK, ROLE_IN_MODULES, Operator, succeeded

HOSTS = ("prod", "other")


def fails(operation: str, resource: str, status: int, code: str) -> dict[str, Any]:
    return {"operation": operation, "resource": resource, "fail": {"status": status, "code": code}}


@pytest.mark.parametrize("playbook", [PLAYBOOK, ROLE_IN_MODULES], ids=["in the controller", "as modules"])
def test_no_secret_is_anywhere_but_in_its_secret(
    world: World, operator: Operator, playbook: str | Sequence[Mapping[str, Any]]
) -> None:
    careful = Careful(operator, HOSTS, playbook)
    world.fault(fails("eks:DescribeCluster", "prod", 403, "AccessDeniedException"))
    assert careful.run("--check").failures.keys() == {"prod"}
    world.fault(
        fails("create secrets", "prod/castai-agent/castai-credentials", 403, "Forbidden"),
        fails("create deployments", "other/.*", 403, "Forbidden"),
    )
    assert careful.run().failures.keys() == {"prod", "other"}
    world.fault()
    run = succeeded(careful.run())
    world.control("castai", "revoke_token", cluster_id=run.of("castai_cluster", "prod")[-1]["cluster_id"])
    succeeded(careful.run())
    nowhere_in(world)


def test_helm_gets_no_exported_secret(operator: Operator) -> None:
    succeeded(operator.connect())
    assert operator.helm_starts()
    assert not holds_secret(operator.helm_log.read_bytes())
