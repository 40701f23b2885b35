# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Marks in Azure: tags and notes of apps, tags of identities, descriptions of roles and assignments. Pure.

Anybody who can edit these can write a mark, so a mark alone never justifies a deletion. PRIVATE to the collection.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from .._keys import NO_NOTE, Note
from .._names import TAG_CLUSTER, TAG_CLUSTER_ID

TAG_CREDENTIALS = "castai-onboarding:credentials"
"""The tag with the ID of the credentials that CAST AI created for a managed identity."""

NOTES = 1024
"""How many characters the notes of an app may have. Source: Microsoft Graph reference, resource type application."""

UNSEEN = "unknown"
"""Stands in a note for a secret of which Graph shows nothing."""

_NOTE = re.compile(r"(?<!\S)key=(\S+) credentials=(\S+)(?!\S)")
_MARK = re.compile(rf"\({TAG_CLUSTER_ID}=([^)]+)\)")


def app_tags(cluster_id: str, cluster: str) -> tuple[str, ...]:
    """The tags of an app have no values, so name and value share one text."""
    return (f"{TAG_CLUSTER_ID}={cluster_id}", f"{TAG_CLUSTER}={cluster}")


def tag_of(tags: Collection[str], name: str) -> str:
    """The value of a tag of an app, or an empty text."""
    return next((one.partition("=")[2] for one in tags if one.partition("=")[0] == name), "")


def marked_tags(tags: Collection[str], cluster_id: str, cluster: str) -> tuple[str, ...]:
    """The tags of an app with ours added or corrected. All others stay."""
    others = (one for one in tags if one.partition("=")[0] not in (TAG_CLUSTER_ID, TAG_CLUSTER))
    return (*others, *app_tags(cluster_id, cluster))


def noted(notes: str) -> Note:
    """Which secret or federated credential was handed over, according to the notes of an app."""
    found = _NOTE.search(notes)
    return Note(*found.groups()) if found else NO_NOTE


def with_note(notes: str, note: Note) -> str:
    """The notes of an app with ours at the end. The text of others before it is cut to fit."""
    own = f"key={note.key_id} credentials={note.credentials_id}"
    text = " ".join(filter(None, (part.strip() for part in _NOTE.split(notes)[::3])))
    return " ".join(filter(None, [text[: NOTES - len(own) - 1].strip(), own]))


def identity_tags(cluster_id: str, cluster: str) -> Mapping[str, str]:
    return {TAG_CLUSTER_ID: cluster_id, TAG_CLUSTER: cluster}


def description(cluster_id: str) -> str:
    """The description of a role, and of its assignments."""
    return f"Role used by CAST AI ({TAG_CLUSTER_ID}={cluster_id})"


def marked(text: str) -> str:
    """ID of the cluster that a description names, or an empty text."""
    found = _MARK.search(text)
    return found.group(1) if found else ""
