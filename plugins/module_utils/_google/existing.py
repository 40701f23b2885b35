# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Our keys on a service account of the user's, which is not edited. Pure. PRIVATE to the collection.

The description of the cluster's role says which they are, so there is nothing to say it if clusters share one role.
"""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter

from .._gateways.google_iam import AccountKey
from .._keys import NO_NOTE, Keys, Note, moment
from .bindings import Change
from .gke_bindings import users_to_remove
from .marks import (
    CREDENTIALS_PART,
    KEY_PART,
    NO_ROLE_NOTE,
    NOT_OURS,
    OTHERS_PART,
    RoleNote,
    hashed_account,
    role_note,
)
from .observed import MOST_KEYS, CastAccount, Current, key_state, own_roles, role_notes
from .options import Desired


def note_of(current: Current, wanted: Desired, email: str) -> RoleNote:
    """What is noted about an account, in all roles that the cluster has or had."""
    notes = _notes(current, wanted)
    about = [note for note in notes if note.is_about(email)]
    if not about:
        return next((note for note in (one.of_former(email) for one in notes) if note.account), NO_ROLE_NOTE)
    newest, begun = about[0], max(about, key=attrgetter("until"))
    keys = frozenset(key for note in about for key in (note.key, *note.ours)) - {newest.key, ""}
    return newest._replace(ours=keys, until=begun.until, others=begun.others)


def _notes(current: Current, wanted: Desired) -> list[RoleNote]:
    """Those about the credentials that CAST AI has come first: the note of a role that was not used for a while is
    older."""
    return sorted(role_notes(current, wanted), key=lambda note: not _is_current(note.credentials, current))


def _is_current(credentials: str, current: Current) -> bool:
    """Whether CAST AI has the noted credentials, whose ID may be shortened."""
    return bool(credentials) and current.credentials_id.startswith(credentials)


def note_to_keep(current: Current, wanted: Desired, role_id: str) -> RoleNote:
    """The note for a role's description: its own, or that of another role which the cluster has or had.

    That CAST AI uses the account without a key is noted with the role, and anything else when a key is handed over.
    """
    found = own_roles(current, wanted).get(role_id)
    own = role_note(found.description) if found else NO_ROLE_NOTE
    notes = _notes(current, wanted)
    newer = notes[:1] if any(_is_current(one.credentials, current) for one in notes[:1]) else []
    note = next((note for note in (*newer, own, *notes) if note.account), NO_ROLE_NOTE)
    email = current.account.email
    if not (wanted.keyless and wanted.existing_account):
        lost = bool(wanted.existing_account and current.gone) and not note.account
        return _of_others(note._replace(account=hashed_account(email)), current) if lost else note
    if has_other_credentials(current, wanted):
        note = _of_others(note, current)
    if note.is_about(email):
        return note
    former = former_of_users(current, wanted)
    keys = frozenset(key.id[:KEY_PART] for keys in former.values() for key in keys)
    known = note._replace(account=hashed_account(email), former=frozenset(map(hashed_account, former)))
    return known._replace(ours=keys, until=0, others=frozenset())


def _of_others(note: RoleNote, current: Current) -> RoleNote:
    """The note that the credentials which CAST AI has are not for a key of ours that exists."""
    key = NOT_OURS if current.credentials_id else ""
    return note._replace(key=key, credentials=current.credentials_id[:CREDENTIALS_PART])


def former_of_users(current: Current, wanted: Desired) -> dict[str, tuple[AccountKey, ...]]:
    """The user's accounts that CAST AI had before and that are not cleared up yet, with our keys of each."""
    found = {}
    for account in current.former_accounts:
        keys = keys_of(current, wanted, account)
        if not account.found and (keys or users_of_former(current, wanted, account)):
            found[account.email] = keys
    return found


def has_key(current: Current, wanted: Desired) -> bool:
    """Whether CAST AI may still have a key: one of ours exists, or one was noted with the credentials that it has."""
    ours = (our_keys(current, wanted).keys, *(one.keys for one in current.former_accounts if one.found))
    return _recorded(current, wanted) or any((*ours, *former_of_users(current, wanted).values()))


def is_named(current: Current) -> bool:
    """Whether CAST AI's record names the account. One that no longer exists may have been replaced since."""
    return bool(current.account.found) and current.client_account == current.account.email


def has_other_credentials(current: Current, wanted: Desired) -> bool:
    """Whether CAST AI has credentials that are neither for the account without a key nor recorded where the account is.

    They are recorded before CAST AI's record names the account, as nothing else shows after that whether the
    account has been handed over. What shows it on other accounts may not be found any more.
    """
    found = None if wanted.existing_account else current.account.found
    noted = [found.mark.credentials if found else "", *(note.credentials for note in role_notes(current, wanted))]
    recorded = any(_is_current(one, current) for one in noted)
    return bool(current.credentials_id) and not is_named(current) and not recorded


def _recorded(current: Current, wanted: Desired) -> bool:
    """Whether it is noted which key the credentials are for that CAST AI has."""
    own = [current.account] if not wanted.existing_account else []
    noted = [one.found.mark.credentials for one in (*own, *current.former_accounts) if one.found]
    noted += [note.credentials for note in role_notes(current, wanted)]
    return any(_is_current(one, current) for one in noted)


def unrecorded_keys(current: Current, wanted: Desired) -> list[str]:
    """IDs of the keys of an existing account, of which CAST AI may have one because the note about it is lost."""
    lost = bool(wanted.existing_account and current.credentials_id) and not _recorded(current, wanted)
    noted = note_of(current, wanted, current.account.email).account or current.client_account
    return [key.id for key in current.account.keys] if lost and not noted else []


def users_of_former(current: Current, wanted: Desired, former: CastAccount) -> Change:
    """What still lets CAST AI's own account impersonate one of the user's that CAST AI had before."""
    return users_to_remove(replace(current, account=former), replace(wanted, existing_account=former.email))


def keys_of(current: Current, wanted: Desired, account: CastAccount) -> tuple[AccountKey, ...]:
    """Our keys of an account: those that are noted, and the one that a run created when it was ended."""
    note = note_of(current, wanted, account.email)
    known = [key for key in account.keys if note.names(key.id)]
    notes = [role_note(role.description) for role in current.home.roles.values()]
    unknown = [key for key in account.keys if not any(one.names(key.id) for one in notes)]
    created = [key for key in unknown if _may_be_created(key, note)]
    # Of several, nothing shows which one is ours.
    return (*known, *(created if len(created) == 1 else ()))


def _may_be_created(key: AccountKey, note: RoleNote) -> bool:
    created = moment(key.created)
    return created is not None and created.timestamp() <= note.until and key.id[:OTHERS_PART] not in note.others


def our_keys(current: Current, wanted: Desired) -> Keys:
    """The keys of our account, or ours of an existing account."""
    account = current.account
    if not wanted.existing_account:
        return current.keys
    note = note_of(current, wanted, account.email)
    own = keys_of(current, wanted, account)
    ids = [key.id for key in own if key.id[:KEY_PART] == note.key]
    credentials = current.credentials_id
    handed_over = NO_NOTE
    if ids:
        same = bool(credentials) and credentials.startswith(note.credentials)
        handed_over = Note(ids[0], credentials if same else note.credentials)
    most = MOST_KEYS - (len(account.keys) - len(own))
    return Keys(tuple(key_state(key, current.now) for key in own), most, handed_over, credentials_id=credentials)
