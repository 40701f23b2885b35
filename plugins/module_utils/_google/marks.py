# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Marks in descriptions, because service accounts and custom roles have no labels. Pure. PRIVATE to the collection.

Anybody who can edit a description can write a mark, so a mark alone never justifies a deletion.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .._names import TAG_CLUSTER, TAG_CLUSTER_ID
from .names import DESCRIPTION, ROLE_TITLE

EXTRA_PROJECTS = "castai-onboarding:extra-projects"

_ACCOUNT = re.compile(
    rf"(?<!\S){TAG_CLUSTER_ID}=(\S+)(?: {TAG_CLUSTER}=(\S+))?"
    r"(?: key=(\S+) credentials=(\S+))?(?!\S)"
)
_ROLE = re.compile(rf"\({TAG_CLUSTER_ID}=([^)\s]+)(?: {EXTRA_PROJECTS}=([^)\s]+))?\)")


@dataclass(frozen=True)
class Mark:
    """What the description of CAST AI's account says. text: what others wrote there.

    key, credentials: the note, which names the key that was handed over and the credentials that CAST AI created for
    it.
    """

    cluster_id: str = ""
    cluster: str = ""
    key: str = ""
    credentials: str = ""
    text: str = ""


def parse_mark(description: str) -> Mark:
    found = _ACCOUNT.search(description)
    if not found:
        return Mark(text=description.strip())
    around = (description[: found.start()].strip(), description[found.end() :].strip())
    return replace(Mark(*found.groups("")), text=" ".join(filter(None, around)))


def describe(mark: Mark) -> str:
    """The description with the mark at the end. The text of others before it is cut to fit."""
    parts = [f"{TAG_CLUSTER_ID}={mark.cluster_id}", f"{TAG_CLUSTER}={mark.cluster}"]
    if mark.key:
        parts += [f"key={mark.key}", f"credentials={mark.credentials}"]
    own = " ".join(parts)
    room = DESCRIPTION - len(own.encode()) - 1
    text = mark.text.encode()[: max(0, room)].decode(errors="ignore").strip()
    return " ".join(filter(None, [text, own]))


def role_description(cluster_id: str, projects: Iterable[str] = ()) -> str:
    """projects: the other projects in which the cluster has its role. They are recorded, as many as fit, to be found
    after extra_projects no longer lists them."""
    recorded: list[str] = []
    for project in sorted(projects):
        if len(_of_role(cluster_id, [*recorded, project]).encode()) <= DESCRIPTION:
            recorded.append(project)
    return _of_role(cluster_id, recorded)


def _of_role(cluster_id: str, projects: Sequence[str]) -> str:
    recorded = f" {EXTRA_PROJECTS}={','.join(projects)}" if projects else ""
    return f"{ROLE_TITLE} ({TAG_CLUSTER_ID}={cluster_id}{recorded})"


def marked_role(description: str) -> str:
    """Id of the cluster that a role's description names, or an empty text."""
    found = _ROLE.search(description)
    return found.group(1) if found else ""


def recorded_projects(description: str) -> frozenset[str]:
    """The other projects in which, according to a role's description, the cluster has its role."""
    found = _ROLE.search(description)
    return frozenset(found.group(2).split(",")) if found and found.group(2) else frozenset()
