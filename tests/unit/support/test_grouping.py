# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests whose worlds have the same clusters run one after another, so that each world is started once."""

from __future__ import annotations

from tests.world import test_interrupt, test_kops
from tests.world.grouping import world_of


def test_a_group_is_what_is_of_the_same_clusters_or_says_that_it_is_alone() -> None:
    interrupt = world_of("tests/world/test_interrupt.py::test_a_rival_writes_first")
    assert interrupt == " ".join(test_interrupt.CLUSTERS)
    assert world_of("tests/world/test_permissions.py::test_any") == interrupt
    assert world_of("tests/world/test_release.py::test_any") == "tests/world/test_release.py"
    assert world_of("tests/world/test_kops.py::test_any[a::b]") == " ".join(test_kops.CLUSTERS) != interrupt
    assert world_of("tests/world/test_sandbox.py::test_a_mistake_is_told") == "tests/world/test_sandbox.py"
