# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks as the documentation prints them."""

from __future__ import annotations

import textwrap
from typing import cast

import yaml

from tests.support.playbook import Json
from tests.tree import ROOT

BLOCK = ".. code-block:: yaml\n\n"


def recipe(page: str, heading: str) -> list[Json]:
    """The first playbook below a heading of a page of docs/docsite/rst."""
    text = (ROOT / "docs/docsite/rst" / f"{page}.rst").read_text(encoding="utf-8")
    block = text.split(f"\n{heading}\n{'-' * len(heading)}\n")[1].split(BLOCK)[1]
    lines = []
    for line in block.splitlines():
        if line and not line.startswith(" "):
            break
        lines.append(line)
    return cast("list[Json]", yaml.safe_load(textwrap.dedent("\n".join(lines))))
