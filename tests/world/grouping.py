# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tests one process of pytest-xdist runs after another: those whose worlds are made of the same clusters."""

from __future__ import annotations

import functools
import importlib
from pathlib import PurePath

from xdist.scheduler import LoadScopeScheduling


class ByWorld(LoadScopeScheduling):  # type: ignore[misc]
    """pytest-xdist's own groups go by a name that it adds to a test's, which pytest 9.2 does not let it do."""

    def _split_scope(self, nodeid: str) -> str:
        return world_of(nodeid)


def world_of(nodeid: str) -> str:
    """The clusters of a test's world; the file of one that brings up worlds of its own, or needs none."""
    file = nodeid.partition("::")[0]
    return " ".join(_clusters(file)) or file


@functools.cache
def _clusters(file: str) -> tuple[str, ...]:
    """CLUSTERS of the file, if it has some. file: relative to the root."""
    module = importlib.import_module(".".join(PurePath(file).with_suffix("").parts))
    found: tuple[str, ...] = getattr(module, "CLUSTERS", ())
    return found
