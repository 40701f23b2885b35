# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One world for all scenarios of a worker, as new for each of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.client import World

from .connecting import Operator

CLUSTERS = (
    "prod:eks",
    "other:eks:account=444455556666:region=us-east-1:mode=API",
    "old:eks:version=1.20:nodes=0",
)


@pytest.fixture(scope="session")
def session_world() -> Iterator[World]:
    """A world for this session, or the one that CASTAI_SANDBOX_WORLD names, which is up with CLUSTERS and left so."""
    given = os.environ.get("CASTAI_SANDBOX_WORLD")
    if given:
        yield World(given)
        return
    with World(f"test-{os.getpid()}") as world:
        yield world.up(*CLUSTERS, progress=print)


@pytest.fixture
def world(session_world: World) -> World:
    session_world.reset()
    return session_world


@pytest.fixture
def operator(world: World, tmp_path: Path) -> Operator:
    return Operator(world, tmp_path)
