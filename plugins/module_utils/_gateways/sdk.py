# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SDKs of clouds, imported where a cluster of that cloud is worked on: each takes up to a second. PRIVATE to the
collection.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any


class Sdk:
    """A package, imported when one of its attributes is first used. modules: its modules that are used."""

    def __init__(self, package: str, *modules: str) -> None:
        self._name, self._modules = package, modules

    @functools.cached_property
    def _imported(self) -> Any:
        for module in self._modules:
            importlib.import_module(module)
        return importlib.import_module(self._name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._imported, name)

    def import_problem(self) -> str:
        """Import it. Why that is not possible, or an empty text."""
        try:
            _imported = self._imported
        except ImportError as error:
            return str(error)
        return ""
