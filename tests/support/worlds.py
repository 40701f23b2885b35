# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Worlds that belong to one process and end with it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.sandbox.client import World
from tests.sandbox.spec import world_folder
from tests.support.playbook import PYTHON, SYSTEM_PATH


def clear_left(purpose: str) -> None:
    """Take down the worlds PURPOSE-PID and PURPOSE-PID-MORE whose processes have ended."""
    for folder in world_folder(purpose).parent.glob(f"{purpose}-*/"):
        pid = folder.name.removeprefix(f"{purpose}-").split("-")[0]
        if pid.isdigit() and not Path("/proc", pid).exists():
            World(folder.name).down()


@contextmanager
def own_world(purpose: str) -> Iterator[World]:
    """A world that is not up yet and is taken down at the end, also after Ctrl-C or TERM.

    First, what a killed process left of a world for the same purpose is taken down.
    """
    clear_left(purpose)
    world = World(f"{purpose}-{os.getpid()}")
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield world
    finally:
        world.down()
        signal.signal(signal.SIGTERM, before)


def operator(world: World) -> dict[str, Any]:
    """Options of `run_playbook` for the operator of the world's clusters: the environment, and Helm on the search
    path."""
    environment = world.env()
    helm = environment.pop("PATH").partition(os.pathsep)[0]
    return {"environment": environment, "path": (Path(helm), PYTHON, *SYSTEM_PATH)}
