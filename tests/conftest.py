# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests import the collection from where Ansible finds it: the copied tree, brought up to date first."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import tree

COLLECTIONS = Path(os.environ.get("ANSIBLE_COLLECTIONS_PATH") or tree.ROOT / "build/collections")
sys.path.insert(0, str(COLLECTIONS))

# A busy machine is no defect: no test is timed.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    # The processes of pytest-xdist start after this one has copied.
    if not hasattr(config, "workerinput"):
        tree.copy(COLLECTIONS)
