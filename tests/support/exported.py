# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables that `make` exports, for tests that are started without it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.tree import ROOT


def export() -> None:
    """Set the folders of the collection and of Ansible's files, unless set, and put our programs on the PATH."""
    for name, folder in {"ANSIBLE_COLLECTIONS_PATH": "collections", "ANSIBLE_HOME": "ansible"}.items():
        if not os.environ.get(name):
            os.environ[name] = str(ROOT / "build" / folder)
    programs, path = str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)
    if programs not in path.split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join((programs, path))
