# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one access key of CAST AI's user: made, handed over, replaced, never left over. PRIVATE to the collection.

The user's tags are the journal: which key was handed over, and which credentials CAST AI made of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from .._engine import Action, CallFailed, Conflict, Made, Refused, until
from .._equal import missing_tags, replaced
from .._gateways.aws_iam import AccessKey, Principal
from .._gateways.castai import Cluster, Rejected
from .identity import Gateways, TagPrincipal, UntagPrincipal

TAG_KEY = "castai-onboarding:access-key"
TAG_CREDENTIALS = "castai-onboarding:credentials-id"
"""The key that was handed over, and the id of the credentials that CAST AI made of it."""

TAG_FOUND_KEY = "castai-onboarding:found-access-key"
TAG_FOUND_CREDENTIALS = "castai-onboarding:found-credentials-id"
"""The only key that there was when CAST AI had these credentials, so that they are of no key that was made later."""

NO_CREDENTIALS = "none"
"""Of a key that there was when CAST AI had no credentials: whatever it has later is of another key."""

TAGS = (TAG_KEY, TAG_CREDENTIALS, TAG_FOUND_KEY, TAG_FOUND_CREDENTIALS)

READ_BACK_SECONDS = 15.0
"""How long to look whether CAST AI took a key when its answer was lost."""


@dataclass(frozen=True)
class ExistingKeys:
    """A user's keys, oldest first, what its tags say of them, and the id of the credentials that CAST AI has now."""

    keys: tuple[AccessKey, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    credentials_id: str = ""

    def noting(self, tags: Mapping[str, str]) -> ExistingKeys:
        """The same with further tags."""
        return replace(self, tags={**self.tags, **tags})


def existing_keys(
    keys: Iterable[AccessKey], used: Mapping[str, str | None], principal: Principal | None, record: Cluster | None
) -> ExistingKeys:
    """used: when a key was last used, by its id, as far as that was asked."""
    return ExistingKeys(
        tuple(replace(key, last_used=used.get(key.id) or "") for key in keys),
        principal.tags if principal else {},
        record.credentials_id if record else "",
    )


@dataclass(frozen=True)
class DeleteKey(Action):
    """cluster_id: where the key is deleted because CAST AI has the credentials credentials_id; empty for whatever it
    has."""

    user: str = ""
    key_id: str = ""
    cluster_id: str = ""
    credentials_id: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        if self.cluster_id and _credentials_id(gateway, self.cluster_id) != self.credentials_id:
            raise Conflict(f"CAST AI was given different credentials for cluster {self.cluster_id} in the meantime.")
        gateway.aws.delete_key(self.user, self.key_id)


@dataclass(frozen=True)
class HandOverKey(Action):
    """Make a key, give it to CAST AI, note both ids on the user. The secret is nowhere but in this call.

    A key that CAST AI refuses is deleted. One that it may have taken is left for the next run, which can tell.
    before: the id of the credentials that CAST AI has, None for none.
    """

    user: str = ""
    cluster_id: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        key_id, secret = gateway.aws.create_key(self.user)
        try:
            credentials_id = gateway.castai.set_key(self.cluster_id, key_id, secret).credentials_id
        except CallFailed as failure:
            if isinstance(failure, Rejected) and failure.final:
                self._take_back(gateway, key_id, failure)
            credentials_id = self._read_back(gateway, key_id, failure)
        gateway.aws.tag_principal("user", self.user, {TAG_KEY: key_id, TAG_CREDENTIALS: credentials_id})

    def _take_back(self, gateway: Gateways, key_id: str, refusal: Rejected) -> None:
        """Delete the new key and raise CallFailed."""
        try:
            gateway.aws.delete_key(self.user, key_id)
        except CallFailed as failure:
            raise CallFailed(
                f"{refusal} The new access key {key_id} could not be deleted again; the next run deletes it. {failure}"
            ) from refusal
        raise CallFailed(f"{refusal} The new access key {key_id} was deleted again.") from refusal

    def _read_back(self, gateway: Gateways, key_id: str, failure: CallFailed) -> str:
        """Id of the credentials that CAST AI made of the key. Raises CallFailed where it shows none yet."""
        before = self.before or ""
        found: list[str] = []

        def changed() -> bool:
            found.append(_credentials_id(gateway, self.cluster_id))
            return found[-1] != before

        left = (
            f"The new access key {key_id} was kept, because CAST AI may have accepted it. Run again: the next run can"
            " tell."
        )
        try:
            if until(changed, timeout=READ_BACK_SECONDS) and found[-1]:
                return found[-1]
        except CallFailed as silence:
            raise CallFailed(f"{failure} {left}", unsure=True) from silence
        raise CallFailed(f"{failure} {left}", unsure=True) from failure


def plan_keys(existing: ExistingKeys, user: str, cluster_id: str) -> Iterator[Action]:
    """At most one live key, CAST AI's: no key that it may work with goes before a new one is handed over."""
    left = list(existing.keys)
    if _handed_over(existing):
        yield from (
            _delete(user, key, existing, cluster_id) for key in existing.keys if key.id != existing.tags[TAG_KEY]
        )
        yield from _forget(existing, user)
        return
    check_keys(existing, user)
    if len(left) > 1:  # which IAM allows no third beside
        spare = _spare(existing)[0]
        left.remove(spare)
        yield _delete(user, spare, existing, cluster_id)
    noted = journal(replace(existing, keys=tuple(left)))
    if noted:
        yield TagPrincipal(
            f"record in the tags of user {user} that {left[0].id} was its only access key",
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
        user,
        cluster_id,
    )
    yield from _forget(existing.noting(noted), user)
    yield from (_deletion(user, key.id, "which the new one replaces") for key in left)


def plan_no_keys(existing: ExistingKeys, user: str) -> Iterator[Action]:
    yield from (_deletion(user, key.id, "with the user") for key in existing.keys)


def check_keys(existing: ExistingKeys, user: str) -> None:
    """Raise Refused where a new key has no room, and nothing tells which of the two there are CAST AI works with."""
    if len(existing.keys) < 2 or _handed_over(existing) or _spare(existing):
        return
    listed = " and ".join(
        f"{key.id} (created {key.created or 'at an unknown time'},"
        f" {f'last used {key.last_used}' if key.last_used else 'not used as far as IAM knows'})"
        for key in existing.keys
    )
    raise Refused(
        f"User {user} has two active access keys, {listed}. IAM does not allow a third, shows a first use only hours"
        " later, and nothing records which of the two CAST AI uses. Deactivate the one that CAST AI does not use,"
        " then run again."
    )


def journal(existing: ExistingKeys) -> dict[str, str]:
    """Tags to set before a second key is made, by which a later run knows that the first is the one in use."""
    if len(existing.keys) != 1 or _noted(existing):
        return {}
    found = {TAG_FOUND_KEY: existing.keys[0].id, TAG_FOUND_CREDENTIALS: existing.credentials_id or NO_CREDENTIALS}
    return found if missing_tags(found, existing.tags) else {}


def _handed_over(existing: ExistingKeys) -> bool:
    """Whether what CAST AI holds was made of a key of this user that lives."""
    live = {key.id for key in existing.keys if key.active}
    noted = existing.tags.get(TAG_KEY) in live and existing.tags.get(TAG_CREDENTIALS) == existing.credentials_id
    return noted and bool(existing.credentials_id)


def _notes(existing: ExistingKeys) -> list[tuple[str, str]]:
    """Key and credentials of each whole note."""
    pairs = ((TAG_KEY, TAG_CREDENTIALS), (TAG_FOUND_KEY, TAG_FOUND_CREDENTIALS))
    notes = [(existing.tags.get(key, ""), existing.tags.get(credentials, "")) for key, credentials in pairs]
    return [(key, credentials) for key, credentials in notes if key and credentials]


def _noted(existing: ExistingKeys) -> str:
    """The key that CAST AI has its credentials of, if of any of this user, as far as notes tell; empty for no note."""
    return next((key for key, credentials in _notes(existing) if credentials == existing.credentials_id), "")


def _spare(existing: ExistingKeys) -> list[AccessKey]:
    """The keys that CAST AI is known not to use, the one with the better reason first."""
    noted = _noted(existing)
    if noted:
        return [key for key in existing.keys if key.id != noted]
    replaced = {key for key, _credentials in _notes(existing)} if existing.credentials_id else set()
    known = [key for key in existing.keys if key.id in replaced]
    known += [key for key in existing.keys if not key.active and key not in known]
    return known if existing.credentials_id else known + [key for key in existing.keys if key not in known]


def _delete(user: str, key: AccessKey, existing: ExistingKeys, cluster_id: str) -> DeleteKey:
    """Before a new one is handed over, so only while CAST AI still has the credentials that tell that it may go."""
    why = "which is not recorded as handed over"
    if existing.credentials_id and not _noted(existing):
        noted = key.id in {one for one, _credentials in _notes(existing)}
        why = "because CAST AI has been given different credentials since" if noted else "which is inactive"
    return replace(_deletion(user, key.id, why), cluster_id=cluster_id, credentials_id=existing.credentials_id)


def _deletion(user: str, key_id: str, why: str) -> DeleteKey:
    return DeleteKey(
        f"delete access key {key_id} of user {user}, {why}", f"iam/user/{user}/{key_id}", "live", None, user, key_id
    )


def _forget(existing: ExistingKeys, user: str) -> Iterator[Action]:
    """Take off the note of what was found: from here on the handed-over key's counts."""
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


def _credentials_id(gateway: Gateways, cluster_id: str) -> str:
    record = gateway.castai.get_cluster(cluster_id)
    return record.credentials_id if record else ""
