# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Marks in Azure: tags and notes of apps, tags of identities, descriptions of roles and assignments. Pure.

Whoever can edit those can write a mark, so a mark alone never lets anything be deleted. PRIVATE to the collection.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from .._keys import NO_NOTE, Note
from .._names import TAG_CLUSTER, TAG_CLUSTER_ID

TAG_CREDENTIALS = "castai-onboarding:credentials"
"""The id of the credentials that CAST AI made of a managed identity."""

NOTES = 1024
"""Characters that the notes of an app may have. Source: the reference of Microsoft Graph, resource type application."""

_NOTE = re.compile(r"(?<!\S)key=(\S+) credentials=(\S+)(?!\S)")
_MARK = re.compile(rf"\({TAG_CLUSTER_ID}=([^)]+)\)")


def app_tags(cluster_id: str, cluster: str) -> tuple[str, ...]:
    """Tags of an app are single texts."""
    return (f"{TAG_CLUSTER_ID}={cluster_id}", f"{TAG_CLUSTER}={cluster}")


def tag_of(tags: Collection[str], name: str) -> str:
    """What an app's tags say of a name, or an empty text."""
    return next((one.partition("=")[2] for one in tags if one.partition("=")[0] == name), "")


def marked_tags(tags: Collection[str], cluster_id: str, cluster: str) -> tuple[str, ...]:
    """The tags with ours; others stay."""
    others = (one for one in tags if one.partition("=")[0] not in (TAG_CLUSTER_ID, TAG_CLUSTER))
    return (*others, *app_tags(cluster_id, cluster))


def noted(notes: str) -> Note:
    """What the notes of an app say of the secret or federated credential that was handed over."""
    found = _NOTE.search(notes)
    return Note(*found.groups()) if found else NO_NOTE


def with_note(notes: str, note: Note) -> str:
    """The notes of an app with a note at their end. What others wrote is cut to what fits before it."""
    own = f"key={note.key_id} credentials={note.credentials_id}"
    text = " ".join(filter(None, (part.strip() for part in _NOTE.split(notes)[::3])))
    return " ".join(filter(None, [text[: NOTES - len(own) - 1].strip(), own]))


def identity_tags(cluster_id: str, cluster: str) -> Mapping[str, str]:
    return {TAG_CLUSTER_ID: cluster_id, TAG_CLUSTER: cluster}


def description(cluster_id: str) -> str:
    """Of a role, and of its assignments."""
    return f"Role used by CAST AI ({TAG_CLUSTER_ID}={cluster_id})"


def marked(text: str) -> str:
    """Id of the cluster that a description names, or an empty text."""
    found = _MARK.search(text)
    return found.group(1) if found else ""
