# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Marks in descriptions, because service accounts and custom roles have no labels. Pure. PRIVATE to the collection.

Anybody who can edit a description can write a mark, so a mark alone never justifies a deletion.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from .._names import TAG_CLUSTER, TAG_CLUSTER_ID
from .names import DESCRIPTION, ROLE_DESCRIPTION, ROLE_TITLE

EXTRA_PROJECTS = "castai-onboarding:extra-projects"

_ACCOUNT = re.compile(
    rf"(?<!\S){TAG_CLUSTER_ID}=(\S+)(?: {TAG_CLUSTER}=(\S+))?"
    r"(?: key=(\S+) credentials=(\S+))?(?!\S)"
)
_ROLE = re.compile(
    rf"\({TAG_CLUSTER_ID}=([^)\s]+)(?: {EXTRA_PROJECTS}=([^)\s]+))?"
    r"(?: account=([0-9a-f]+)((?:,[0-9a-f]+)*)(?: key=([^)\s]+) credentials=([^)\s]+))?(?: ours=([^)\s]+))?"
    r"(?: until=(\d+)(?: not=([^)\s]+))?)?)?\)"
)

NOT_OURS = "unknown"
"""Stands in a note for the key of credentials that CAST AI has, if nothing shows which key that is."""

KEY_PART, CREDENTIALS_PART, OTHERS_PART = 12, 8, 4
"""How many characters a role's note has of the IDs of our keys, of the credentials, and of others' keys."""


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


class RoleNote(NamedTuple):
    """What the description of a cluster's role says about our keys on an account that is not edited. IDs are shortened.

    account: a hash of its address. former: those of accounts that CAST AI had before and that may still have keys of
    ours. key, credentials: as in Mark. ours: our keys that CAST AI does not use, or not yet, on any of these accounts.
    until: if a key may have been created without being recorded, the end of the time for that, in seconds since 1970.
    others: the keys that the account had before.
    """

    account: str = ""
    key: str = ""
    credentials: str = ""
    ours: frozenset[str] = frozenset()
    until: int = 0
    others: frozenset[str] = frozenset()
    former: frozenset[str] = frozenset()

    def is_about(self, email: str) -> bool:
        return self.account == hashed_account(email)

    @property
    def accounts(self) -> frozenset[str]:
        """Hashes of all accounts that may have keys of ours."""
        return self.former | frozenset(filter(None, [self.account]))

    def of_former(self, email: str) -> RoleNote:
        """What it says about an account that CAST AI had before."""
        known = hashed_account(email) in self.former
        return RoleNote(hashed_account(email), ours=self.ours) if known else NO_ROLE_NOTE

    def names(self, key_id: str) -> bool:
        return key_id[:KEY_PART] in {self.key, *self.ours}

    def __str__(self) -> str:
        """The note as the description contains it, with a space before it. Empty if there is none."""
        if not self.account:
            return ""
        texts = [
            f"account={','.join((self.account, *sorted(self.former)))}",
            f"key={self.key} credentials={self.credentials}" if self.key else "",
            f"ours={','.join(sorted(self.ours))}" if self.ours else "",
            f"until={self.until}" if self.until else "",
            f"not={','.join(sorted(self.others))}" if self.until and self.others else "",
        ]
        return "".join(f" {text}" for text in texts if text)


NO_ROLE_NOTE = RoleNote()


def hashed_account(email: str) -> str:
    return hashlib.sha256(email.lower().encode()).hexdigest()[:8]


def role_description(cluster_id: str, projects: Iterable[str] = (), note: RoleNote = NO_ROLE_NOTE) -> str:
    """projects: the other projects in which the cluster has its role. They are recorded, as many as fit, to be found
    after extra_projects no longer lists them."""
    recorded: list[str] = []
    for project in sorted(projects):
        if len(_of_role(cluster_id, [*recorded, project], note).encode()) <= ROLE_DESCRIPTION:
            recorded.append(project)
    return _of_role(cluster_id, recorded, note)


def _of_role(cluster_id: str, projects: Sequence[str], note: RoleNote) -> str:
    recorded = f" {EXTRA_PROJECTS}={','.join(projects)}" if projects else ""
    return f"{ROLE_TITLE} ({TAG_CLUSTER_ID}={cluster_id}{recorded}{note})"


def marked_role(description: str) -> str:
    """Id of the cluster that a role's description names, or an empty text."""
    found = _ROLE.search(description)
    return found.group(1) if found else ""


def recorded_projects(description: str) -> frozenset[str]:
    """The other projects in which, according to a role's description, the cluster has its role."""
    found = _ROLE.search(description)
    return frozenset(found.group(2).split(",")) if found and found.group(2) else frozenset()


def role_note(description: str) -> RoleNote:
    found = _ROLE.search(description)
    account, former, key, credentials, ours, until, others = found.groups("")[2:] if found else [""] * 7
    return RoleNote(account, key, credentials, _listed(ours), int(until or 0), _listed(others), _listed(former))


def _listed(text: str) -> frozenset[str]:
    return frozenset(filter(None, text.split(",")))
