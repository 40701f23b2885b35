# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests import the collection from where Ansible finds it: the copied tree, brought up to date first.

What `make` exports is set here too, so that pytest needs nothing but the environment's Python.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

from tests import tree
from tests.support.exported import export

export()
COLLECTIONS = Path(os.environ["ANSIBLE_COLLECTIONS_PATH"])

# A busy machine is no defect: no test is timed.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# With Python's own thresholds, it spends a tenth of its time in looking at what all the libraries made.
gc.set_threshold(50_000, 20, 100)

# The processes of pytest-xdist start after the first one has copied. Python remembers that a folder was absent when it
# came onto the path, so the folder comes first.
if "PYTEST_XDIST_WORKER" not in os.environ:
    tree.copy(COLLECTIONS)
sys.path.insert(0, str(COLLECTIONS))
