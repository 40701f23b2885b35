# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tests one process of pytest-xdist runs in sequence: those with worlds of the same clusters.

A file with ALONE is a group by itself, because its tests take minutes and mostly wait.
"""

from __future__ import annotations

import functools
import importlib
from pathlib import PurePath

from xdist.scheduler import LoadScopeScheduling


class ByWorld(LoadScopeScheduling):  # type: ignore[misc]
    """pytest-xdist's own groups need a name appended to a test's, which pytest 9.2 does not allow."""

    def _split_scope(self, nodeid: str) -> str:
        return world_of(nodeid)


def world_of(nodeid: str) -> str:
    """The clusters of a test's world; the file itself if it says ALONE, starts its own worlds, or needs none."""
    return _group(nodeid.partition("::")[0])


@functools.cache
def _group(file: str) -> str:
    """file: relative to the root."""
    module = importlib.import_module(".".join(PurePath(file).with_suffix("").parts))
    clusters: tuple[str, ...] = () if getattr(module, "ALONE", False) else getattr(module, "CLUSTERS", ())
    return " ".join(clusters) or file
