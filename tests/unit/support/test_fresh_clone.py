# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A single test, by its name, in a fresh clone with nothing exported and nothing built."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests import tree

ONE_TEST = "tests/unit/plugins/module_utils/test_names.py"
STEERING = ("ANSIBLE_", "PYTEST_", "PYTHON")


def test_the_first_pytest_works_with_nothing_exported(tmp_path: Path) -> None:
    clone = tree.copy(tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=clone, check=True)
    variables = {name: value for name, value in os.environ.items() if not name.startswith(STEERING)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", ONE_TEST]
    done = subprocess.run(command, cwd=clone, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
