# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules for keys in every cloud: created, handed over, replaced, and never left over. PRIVATE to the collection.

There is at most one live key of ours, and no key is deleted before the new one is proven to work. A note beside the
keys records which one was handed over, and which credentials CAST AI created for it. Each cloud has its own place for
it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar, NamedTuple, Protocol

from ._engine import Action, CallFailed, Conflict, Made, until
from ._gateways.castai import CastAi, Cluster, Rejected

READ_BACK_SECONDS = 15.0
"""How long to check whether CAST AI accepted a key if its answer was lost."""

LONGEST_LEFT = timedelta(days=30)
"""A key is renewed when it has less than this left to live, or less than a tenth of its life."""

UNRECORDED = "which is not recorded as handed over"
OVERTAKEN = "because CAST AI has been given different credentials since"
REPLACED = "which the new one replaces"


_FRACTION = re.compile(r"\.\d+")
"""Fractions of seconds. Python 3.10 only reads three or six digits, and Azure writes up to seven."""


class Note(NamedTuple):
    """A key, and the ID of the credentials that CAST AI has or had for it. A note with only one of them means
    nothing."""

    key_id: str = ""
    credentials_id: str = ""

    @property
    def whole(self) -> bool:
        return bool(self.key_id and self.credentials_id)


NO_NOTE = Note()


class Key(NamedTuple):
    """dead: why it cannot be used, such as "which is inactive". due: why it must be replaced although it still
    works."""

    id: str
    dead: str = ""
    due: str = ""


def by_lifetime(key_id: str, begins: str, ends: str, now: datetime) -> Key:
    """A key whose lifetime alone decides whether it can be used. begins, ends: in a cloud's format, empty for none."""
    begin, end = moment(begins), moment(ends)
    if end is None:
        return Key(key_id)
    if end <= now:
        return Key(key_id, f"which expired on {end:%Y-%m-%d}")
    life = end - begin if begin else LONGEST_LEFT
    return Key(key_id, due=f"which expires on {end:%Y-%m-%d}" if end - now < min(LONGEST_LEFT, life / 10) else "")


def moment(text: str) -> datetime | None:
    """A time in a cloud's format, None for none. Google's keys that never expire have a date in the year 9999."""
    try:
        found = datetime.fromisoformat(_FRACTION.sub("", text).replace("Z", "+00:00"))
    except ValueError:
        return None
    return None if found.year >= 9999 else found.astimezone(timezone.utc)


class Deletion(NamedTuple):
    """guarded: whether the deletion is only right if CAST AI still has the credentials that it has now."""

    key_id: str
    why: str
    guarded: bool = False


@dataclass(frozen=True)
class Keys:
    """The keys of one identity, oldest first. most: how many it may have.

    handed_over: the note of the key that was handed over. found: the note of a key that was the only one when CAST AI
    had these credentials, so they cannot be for a later key. credentials_id: those that CAST AI has now.
    """

    keys: tuple[Key, ...]
    most: int
    handed_over: Note = NO_NOTE
    found: Note = NO_NOTE
    credentials_id: str = ""

    @property
    def notes(self) -> list[Note]:
        return [note for note in (self.handed_over, self.found) if note.whole]

    @property
    def settled(self) -> bool:
        """Whether CAST AI has the credentials of a key that exists, works and need not be replaced."""
        live = {key.id for key in self.keys if not (key.dead or key.due)}
        noted = self.handed_over.key_id in live and self.handed_over.credentials_id == self.credentials_id
        return noted and bool(self.credentials_id)

    @property
    def in_use(self) -> str:
        """The key that CAST AI uses according to the notes. Empty if they do not say."""
        return next((note.key_id for note in self.notes if note.credentials_id == self.credentials_id), "")

    @property
    def spare(self) -> list[Key]:
        """The keys that CAST AI is known not to use, those with the better reason first."""
        in_use = self.in_use
        if in_use:
            return [key for key in self.keys if key.id != in_use]
        overtaken = {note.key_id for note in self.notes} if self.credentials_id else set()
        known = [key for key in self.keys if key.id in overtaken]
        known += [key for key in self.keys if key.dead and key not in known]
        return known if self.credentials_id else known + [key for key in self.keys if key not in known]

    @property
    def stuck(self) -> bool:
        """Whether a new key is needed but there is no room for it, and nothing shows which key CAST AI does not use."""
        return not self.settled and len(self.keys) >= self.most and not self.spare

    def without(self, key_id: str) -> Keys:
        return replace(self, keys=tuple(key for key in self.keys if key.id != key_id))

    def leftovers(self) -> Iterator[Deletion]:
        """What to delete if everything is settled."""
        for key in self.keys:
            if key.id != self.handed_over.key_id:
                yield Deletion(key.id, UNRECORDED, True)

    def making_room(self) -> Iterator[Deletion]:
        """What to delete before a new key is created, if there is no room: a key that CAST AI certainly does not
        use."""
        if len(self.keys) >= self.most and self.spare:
            key, why = self.spare[0], UNRECORDED
            if self.credentials_id and not self.in_use:
                why = OVERTAKEN if key.id in {note.key_id for note in self.notes} else key.dead
            yield Deletion(key.id, why, True)

    def replaced(self) -> Iterator[Deletion]:
        """What to delete after the new key was handed over."""
        for key in self.keys:
            yield Deletion(key.id, key.dead or key.due or REPLACED)


class Gateways(Protocol):
    @property
    def castai(self) -> CastAi:
        """The gateway to CAST AI's API."""


def credentials_id(gateway: Gateways, cluster_id: str) -> str:
    """ID of the credentials that CAST AI has now. Empty for none."""
    record = gateway.castai.get_cluster(cluster_id)
    return record.credentials_id if record else ""


@dataclass(frozen=True)
class DeleteKey(Action):
    """cluster_id: set if the key may only be deleted while CAST AI has the credentials credentials_id, empty
    otherwise."""

    key_id: str = ""
    cluster_id: str = ""
    credentials_id: str = ""

    def run(self, gateway: Any, made: Made) -> None:
        if self.cluster_id and credentials_id(gateway, self.cluster_id) != self.credentials_id:
            raise Conflict(f"CAST AI was given different credentials for cluster {self.cluster_id} in the meantime.")
        self.delete(gateway)

    def delete(self, gateway: Any) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class HandOverKey(Action):
    """Create a key, give it to CAST AI, and note both IDs. The secret exists only in this call.

    A key that CAST AI refuses is deleted. One that CAST AI may have accepted is left to the next run, which can find
    out. before: the ID of the credentials that CAST AI has, None for none.
    """

    KIND: ClassVar[str] = "key"
    cluster_id: str = ""

    def create(self, gateway: Any) -> tuple[str, str]:
        """ID and secret of a new key."""
        raise NotImplementedError

    def give(self, gateway: Any, key_id: str, secret: str) -> Cluster:
        raise NotImplementedError

    def note(self, gateway: Any, key_id: str, credentials: str) -> None:
        raise NotImplementedError

    def take_back(self, gateway: Any, key_id: str) -> None:
        """Delete the new key."""
        raise NotImplementedError

    def run(self, gateway: Any, made: Made) -> Mapping[str, Any] | None:
        key_id, secret = self.create(gateway)
        try:
            credentials = self.give(gateway, key_id, secret).credentials_id
        except CallFailed as failure:
            if isinstance(failure, Rejected) and failure.final:
                self._take_back(gateway, key_id, failure)
            credentials = self._read_back(gateway, key_id, failure)
        try:
            self.note(gateway, key_id, credentials)
        except CallFailed as failure:
            raise CallFailed(
                f"{failure} CAST AI has the new {self.KIND} {key_id}, which could not be recorded, so the next run"
                " replaces it.",
                unsure=failure.unsure,
            ) from failure
        return None

    def _take_back(self, gateway: Any, key_id: str, refusal: Rejected) -> None:
        """Delete the new key and raise CallFailed."""
        try:
            self.take_back(gateway, key_id)
        except CallFailed as failure:
            raise CallFailed(
                f"{refusal} The new {self.KIND} {key_id} could not be deleted again; the next run deletes it. {failure}"
            ) from refusal
        raise CallFailed(f"{refusal} The new {self.KIND} {key_id} was deleted again.") from refusal

    def _read_back(self, gateway: Any, key_id: str, failure: CallFailed) -> str:
        """ID of the credentials that CAST AI created for the key. Raises CallFailed if CAST AI does not show any
        yet."""
        before = self.before or ""
        found: list[str] = []

        def changed() -> bool:
            found.append(credentials_id(gateway, self.cluster_id))
            return found[-1] != before

        left = (
            f"The new {self.KIND} {key_id} was kept, because CAST AI may have accepted it. Run again: the next run can"
            " tell."
        )
        try:
            if until(changed, timeout=READ_BACK_SECONDS) and found[-1]:
                return found[-1]
        except CallFailed as silence:
            raise CallFailed(f"{failure} {left}", unsure=True) from silence
        raise CallFailed(f"{failure} {left}", unsure=True) from failure
