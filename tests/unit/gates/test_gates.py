# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gate is run again if a file that it reads changes, and only then."""

from __future__ import annotations

import pytest

from tests import tree
from tests.gates.checks import GATES, Gate

BY_FILE = {
    "docs/docsite/rst/connect_guide.rst": {"importer", "docs-site", "docs-lint", "text-2.16", "text-2.21", "tree"},
    "README.md": {"importer", "text-2.16", "text-2.21", "tree"},
    "tests/world/test_kops.py": {"sanity-2.16", "sanity-2.21", "importer", "ruff", "text-2.16", "text-2.21", "tree"},
}


def reading(name: str) -> set[str]:
    return {gate.name for gate in GATES if tree.matches(name, gate.reads)}


@pytest.mark.parametrize("name", BY_FILE)
def test_a_change_runs_the_gates_that_read_the_file(name: str) -> None:
    assert (tree.ROOT / name).exists()
    assert reading(name) == BY_FILE[name]


def test_a_change_of_a_plugin_runs_every_gate_that_could_see_it() -> None:
    assert reading("plugins/module_utils/_engine.py") == {gate.name for gate in GATES}


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)
def test_every_pattern_of_a_gate_is_for_some_file(gate: Gate) -> None:
    assert [pattern for pattern in gate.reads if not tree.files(pattern)] == []
