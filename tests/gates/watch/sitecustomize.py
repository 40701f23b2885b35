# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python imports this file when it starts. It records which libraries a process and its children really import.

One line each, NAME VERSION, in the file that CASTAI_IMPORTED names; the first one is python itself.
"""

from __future__ import annotations

import importlib.machinery
import os
import platform
import sys
from collections.abc import Sequence
from types import ModuleType

LIBRARIES = (
    "ansible",
    "azure.identity",
    "boto3",
    "botocore",
    "google.auth",
    "kubernetes",
    "requests",
    "urllib3",
    "yaml",
)


class Watch:
    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(name, path) if name in LIBRARIES else None
        loader = spec.loader if spec else None
        if loader is None:
            return None
        run = loader.exec_module

        def watched(module: ModuleType) -> None:
            run(module)
            note(name, module.__version__)

        loader.exec_module = watched  # type: ignore[method-assign]
        return spec


def note(name: str, version: str) -> None:
    with open(os.environ["CASTAI_IMPORTED"], "a", encoding="utf-8") as file:  # noqa: PTH123  # as little as possible
        file.write(f"{name} {version}\n")


if "CASTAI_IMPORTED" in os.environ:
    note("python", platform.python_version())
    sys.meta_path.insert(0, Watch)  # type: ignore[arg-type]
