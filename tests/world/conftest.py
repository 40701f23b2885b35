# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A world for the scenarios of a module, reset before each of them.

A module lists the clusters of its world in CLUSTERS. Modules with the same clusters form a group that one process of
pytest-xdist runs, so that each world is only started once. A module that sets ALONE is a group by itself.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.client import World
from tests.support.worlds import clear_left

from .budget import Budget
from .connecting import Operator


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Budget(config))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A scheduler by worlds for `--dist loadgroup`. None for other values, which pytest-xdist handles itself."""
    if config.getvalue("dist") != "loadgroup":
        return None
    from .grouping import ByWorld  # imports pytest-xdist, which is certainly installed if this runs

    return ByWorld(config, log)


@pytest.fixture(scope="session", autouse=True)
def _nothing_left() -> None:
    """Remove the worlds of earlier tests that were killed: those of `Slot` and of test_sandbox."""
    for purpose in ("test", "sandbox"):
        clear_left(purpose)


class Slot:
    """Keeps at most one world up, because an idle control plane uses a tenth of a processor."""

    def __init__(self) -> None:
        self._clusters: tuple[str, ...] = ()
        self._world = World(f"test-{os.getpid()}")

    def world(self, clusters: tuple[str, ...]) -> World:
        """A fresh world with these clusters. If the world that is up has the same clusters, it is reset and reused."""
        if clusters == self._clusters:
            self._world.reset()
        else:
            self.close()
            self._world.up(*clusters, progress=print)
            self._clusters = clusters
        return self._world

    def close(self) -> None:
        self._world.down()
        self._clusters = ()


@pytest.fixture(scope="session")
def slot() -> Iterator[Slot]:
    with contextlib.closing(Slot()) as slot:
        yield slot


@pytest.fixture(scope="module")
def module_world(slot: Slot, request: pytest.FixtureRequest) -> World:
    """The module's world, or the one named by CASTAI_SANDBOX_WORLD, which is up with these clusters and stays up."""
    given = os.environ.get("CASTAI_SANDBOX_WORLD")
    return World(given) if given else slot.world(request.module.CLUSTERS)


@pytest.fixture
def world(module_world: World) -> Iterator[World]:
    """A test fails if it made a request that Google's own documents do not describe."""
    module_world.reset()
    yield module_world
    assert module_world.control("google", "defects") == []


@pytest.fixture
def operator(world: World, tmp_path: Path) -> Operator:
    return Operator(world, tmp_path)
