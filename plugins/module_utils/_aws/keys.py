# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one access key of CAST AI's user. PRIVATE to the collection.

The user's tags are the journal: which key was handed over, and which credentials CAST AI made of it. The rule: _keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from .. import _keys
from .._engine import Action, Refused
from .._equal import missing_tags, replaced
from .._gateways.aws_iam import AccessKey, Principal
from .._gateways.castai import Cluster
from .._keys import Deletion, Key, Keys, Note
from .identity import Gateways, TagPrincipal, UntagPrincipal

TAG_KEY = "castai-onboarding:access-key"
TAG_CREDENTIALS = "castai-onboarding:credentials-id"
"""The key that was handed over, and the id of the credentials that CAST AI created from it."""

HANDED_OVER = (TAG_KEY, TAG_CREDENTIALS)

TAG_FOUND_KEY = "castai-onboarding:found-access-key"
TAG_FOUND_CREDENTIALS = "castai-onboarding:found-credentials-id"
"""The only key that existed when CAST AI had these credentials, so they cannot belong to a key created later."""

NO_CREDENTIALS = "none"
"""Recorded in place of their id if CAST AI had no credentials: any that it has later belong to another key."""

TAGS = (*HANDED_OVER, TAG_FOUND_KEY, TAG_FOUND_CREDENTIALS)

MOST = 2
"""How many access keys IAM allows a user."""


@dataclass(frozen=True)
class ExistingKeys:
    """A user's keys, oldest first, what its tags say about them, and the id of CAST AI's current credentials."""

    keys: tuple[AccessKey, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    credentials_id: str = ""

    def noting(self, tags: Mapping[str, str]) -> ExistingKeys:
        """The same with further tags."""
        return replace(self, tags={**self.tags, **tags})

    @property
    def state(self) -> Keys:
        tag = self.tags.get
        return Keys(
            tuple(Key(key.id, "" if key.active else "which is inactive") for key in self.keys),
            MOST,
            Note(tag(TAG_KEY, ""), tag(TAG_CREDENTIALS, "")),
            Note(tag(TAG_FOUND_KEY, ""), tag(TAG_FOUND_CREDENTIALS, "")),
            self.credentials_id,
        )


def existing_keys(
    keys: Iterable[AccessKey], used: Mapping[str, str | None], principal: Principal | None, record: Cluster | None
) -> ExistingKeys:
    """used: the last use of each key by its id, as far as it was read."""
    return ExistingKeys(
        tuple(replace(key, last_used=used.get(key.id) or "") for key in keys),
        principal.tags if principal else {},
        record.credentials_id if record else "",
    )


@dataclass(frozen=True)
class DeleteKey(_keys.DeleteKey):
    user: str = ""

    def delete(self, gateway: Gateways) -> None:
        gateway.aws.delete_key(self.user, self.key_id)


@dataclass(frozen=True)
class HandOverKey(_keys.HandOverKey):
    """The record is in the user's tags."""

    KIND: ClassVar[str] = "access key"
    user: str = ""
    found: Mapping[str, str] = field(default_factory=dict)
    """Tags to set first. Usually the task that prepared the identity has set them."""

    def create(self, gateway: Gateways) -> tuple[str, str]:
        if self.found:
            gateway.aws.tag_principal("user", self.user, self.found)
        return gateway.aws.create_key(self.user)

    def give(self, gateway: Gateways, key_id: str, secret: str) -> Cluster:
        return gateway.castai.set_key(self.cluster_id, key_id, secret)

    def note(self, gateway: Gateways, key_id: str, credentials: str) -> None:
        gateway.aws.tag_principal("user", self.user, {TAG_KEY: key_id, TAG_CREDENTIALS: credentials})

    def take_back(self, gateway: Gateways, key_id: str) -> None:
        gateway.aws.delete_key(self.user, key_id)


def plan_keys(existing: ExistingKeys, user: str, cluster_id: str, prepared: bool) -> Iterator[Action]:
    """Keep at most one live key, CAST AI's: no key that it may be using is deleted before a new one is handed over.

    prepared: whether the plan tags the user with journal() before. Otherwise another task has done so, except in check
    mode.
    """
    found = journal(existing)
    existing = existing.noting(found)
    state = existing.state
    if state.settled:
        yield from (_delete(user, one, existing, cluster_id) for one in state.leftovers())
        yield from _forget(existing, user)
        return
    check_keys(existing, user)
    for one in state.making_room():
        state = state.without(one.key_id)
        yield _delete(user, one, existing, cluster_id)
    left = {key.id for key in state.keys}
    noted = journal(replace(existing, keys=tuple(key for key in existing.keys if key.id in left)))
    if noted:
        yield TagPrincipal(
            f"record in the tags of user {user} that {state.keys[0].id} was its only access key",
            f"iam/user/{user}/tags",
            replaced(existing.tags, noted),
            noted,
            "user",
            user,
        )
    yield HandOverKey(
        f"create an access key of user {user} and hand it to CAST AI for cluster {cluster_id}",
        f"castai/credentials/{cluster_id}",
        existing.credentials_id or None,
        f"an access key of user {user}",
        cluster_id,
        user,
        {} if prepared else found,
    )
    yield from _forget(existing.noting(noted), user)
    yield from (_delete(user, one, existing, cluster_id) for one in state.replaced())


def plan_no_keys(existing: ExistingKeys, user: str) -> Iterator[Action]:
    yield from (_delete(user, Deletion(key.id, "with the user"), existing, "") for key in existing.keys)


def check_keys(existing: ExistingKeys, user: str) -> None:
    """Raise Refused if there is no room for a new key, and nothing shows which of the two existing ones CAST AI
    uses."""
    if not existing.state.stuck:
        return
    listed = " and ".join(
        f"{key.id} (created {key.created or 'at an unknown time'},"
        f" {f'last used {key.last_used}' if key.last_used else 'never used, as far as IAM knows'})"
        for key in existing.keys
    )
    raise Refused(
        f"User {user} has two active access keys, {listed}. IAM does not allow a third, and reports the first use of a"
        " key only hours later. Nothing records which of the two CAST AI uses. Deactivate the one that CAST AI does"
        " not use, then run again."
    )


def journal(existing: ExistingKeys) -> dict[str, str]:
    """Tags to set before a second key is created, so that a later run knows that the first one is in use."""
    if len(existing.keys) != 1 or existing.state.in_use:
        return {}
    found = {TAG_FOUND_KEY: existing.keys[0].id, TAG_FOUND_CREDENTIALS: existing.credentials_id or NO_CREDENTIALS}
    return found if missing_tags(found, existing.tags) else {}


def _delete(user: str, one: Deletion, existing: ExistingKeys, cluster_id: str) -> DeleteKey:
    return DeleteKey(
        f"delete access key {one.key_id} of user {user}, {one.why}",
        f"iam/user/{user}/{one.key_id}",
        "live",
        None,
        one.key_id,
        cluster_id if one.guarded else "",
        existing.credentials_id if one.guarded else "",
        user,
    )


def _forget(existing: ExistingKeys, user: str) -> Iterator[Action]:
    """Remove the record of an earlier key: from here on, the record of the handed-over key counts."""
    found = {key: existing.tags[key] for key in (TAG_FOUND_KEY, TAG_FOUND_CREDENTIALS) if key in existing.tags}
    if found:
        yield UntagPrincipal(
            f"remove the record of an earlier access key from the tags of user {user}",
            f"iam/user/{user}/tags",
            found,
            None,
            "user",
            user,
        )
