# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published policies and the tables of them, written from their one source: python -m tests.support.policies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.castai.onboarding.plugins.module_utils._aws.permissions import (
    ASK,
    CHANGE,
    CREATE,
    GRANTS,
    READ,
    REMOVE,
    ROLE,
    USER,
    Grant,
    Scope,
    document,
)
from tests.tree import ROOT

FOLDER = Path("docs/examples/policies")
PAGE = Path("docs/docsite/rst/permissions.rst")
BEGIN, END = (f".. {word} of what tests/support/policies.py writes" for word in ("Begin", "End"))
PLACE = Scope("aws", "111122223333", "eu-central-1", "shop-prod")
KINDS = (("connect", ROLE), ("onboard", ROLE), ("onboard", USER), ("remove", ROLE), ("remove", USER))

PURPOSES = {
    READ: "all: looking",
    CREATE: "onboarding: what is absent",
    CHANGE: "onboarding: what an earlier run or another tool made",
    REMOVE: "the way back",
    ASK: "onboarding: telling beforehand what is missing",
}


def name(phase: str, identity: str) -> str:
    return f"eks-{phase}.json" if phase == "connect" else f"eks-{phase}-{identity}.json"


def published() -> dict[Path, str]:
    """Every generated file and its text."""
    files = {FOLDER / name(*kind): json.dumps(document(*kind, PLACE), indent=2) + "\n" for kind in KINDS}
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    return {**files, PAGE: before + "\n".join([BEGIN, *table(), END]) + rest.split(END)[1]}


def table() -> Iterator[str]:
    """Every grant, by what it is for."""
    yield from ("", ".. list-table::", "   :header-rows: 1", "", *_row("actions", "on", "identity", "for"))
    for grant in GRANTS:
        for purpose, actions in grant.actions.items():
            yield from _row(
                ", ".join(f"``{action}``" for action in sorted(actions)),
                grant.on + _only(grant),
                " and ".join(grant.identities),
                PURPOSES[purpose],
            )
    yield ""


def _only(grant: Grant) -> str:
    keys = [f"``{key}``" for keys in grant.condition.values() for key in keys]
    return f", by {' and '.join(keys)}" if keys else ""


def _row(first: str, *others: str) -> list[str]:
    return [f"   * - {first}", *(f"     - {cell}" for cell in others)]


if __name__ == "__main__":
    for path, text in published().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text, encoding="utf-8")
