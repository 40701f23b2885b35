# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one access key of CAST AI's user: made, handed over, replaced, never left over. PRIVATE to the collection.

The user's tags are the journal: which key was handed over, and which credentials CAST AI made of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .._engine import Action, Made, Refused
from .._names import TAG_CLUSTER
from .gateway import AccessKey
from .identity import Gateways

TAG_KEY = "castai-onboarding:access-key"
TAG_CREDENTIALS = "castai-onboarding:credentials-id"


@dataclass(frozen=True)
class HeldKeys:
    """A user's keys, oldest first, what its tags say of the one that is in use, and what CAST AI holds now."""

    keys: tuple[AccessKey, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    credentials_id: str = ""


@dataclass(frozen=True)
class DeleteKey(Action):
    user: str = ""
    key_id: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.aws.delete_key(self.user, self.key_id)


@dataclass(frozen=True)
class HandOverKey(Action):
    """Make a key, give it to CAST AI, note both ids on the user. The secret is nowhere but in this call."""

    user: str = ""
    cluster_id: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        key_id, secret = gateway.aws.create_key(self.user)
        record = gateway.castai.set_key(self.cluster_id, key_id, secret)
        gateway.aws.tag_principal("user", self.user, {TAG_KEY: key_id, TAG_CREDENTIALS: record.credentials_id})


def plan_keys(held: HeldKeys, user: str, cluster_id: str) -> Iterator[Action]:
    """At most one live key, CAST AI's: it is replaced only when the new one is in use."""
    used = key_in_use(held, user)
    yield from (_delete(user, key.id, "which nothing uses") for key in held.keys if key.id != used)
    if _handed_over(held):
        return
    yield HandOverKey(
        f"create an access key of user {user} and hand it to CAST AI for cluster {cluster_id}",
        f"castai/credentials/{cluster_id}",
        held.credentials_id or None,
        f"an access key of user {user}",
        user,
        cluster_id,
    )
    if used:
        yield _delete(user, used, "which the new one replaces")


def plan_no_keys(held: HeldKeys, user: str) -> Iterator[Action]:
    yield from (_delete(user, key.id, "with the user") for key in held.keys)


def key_in_use(held: HeldKeys, user: str) -> str:
    """Id of the key that CAST AI may be working with, empty for none.

    On a user that carries our tag it is the noted one; any other is left over from an interrupted run. On another
    tool's user it is the only key, or of two the one that is active and was used. Raises Refused where both are.
    """
    if TAG_CLUSTER in held.tags:
        return next((key.id for key in held.keys if key.id == held.tags.get(TAG_KEY)), "")
    if len(held.keys) < 2:
        return held.keys[0].id if held.keys else ""
    used = [key for key in held.keys if key.active and key.last_used]
    if len(used) == 2:
        listed = " and ".join(f"{key.id} (last used {key.last_used})" for key in used)
        raise Refused(
            f"User {user} has two active access keys, {listed}, and IAM allows no third. Deactivate the one that CAST"
            " AI does not use, then run again."
        )
    # Two that were never used, or are inactive: the newer active one is the likelier to be handed over.
    return (used or sorted(held.keys, key=lambda key: key.active))[-1].id


def journal(held: HeldKeys, user: str) -> dict[str, str]:
    """Tags for a user that is being taken over, by which a later run still knows the key that is in use."""
    used = "" if TAG_CLUSTER in held.tags else key_in_use(held, user)
    return {TAG_KEY: used} if used else {}


def _handed_over(held: HeldKeys) -> bool:
    """Whether what CAST AI holds was made of a key of this user that lives."""
    live = {key.id for key in held.keys if key.active}
    noted = held.tags.get(TAG_KEY) in live and held.tags.get(TAG_CREDENTIALS) == held.credentials_id
    return noted and bool(held.credentials_id)


def _delete(user: str, key_id: str, why: str) -> DeleteKey:
    return DeleteKey(
        f"delete access key {key_id} of user {user}, {why}", f"iam/user/{user}/{key_id}", "live", None, user, key_id
    )
