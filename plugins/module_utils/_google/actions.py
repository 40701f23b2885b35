# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The writes to service accounts, roles and policies in Google Cloud. PRIVATE to the collection.

Google needs a while to show a new object to its other services. So a run waits for what it created itself, and for
nothing else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Protocol, TypeVar

from .. import _keys
from .._engine import UNKNOWN, Action, Again, CallFailed, Conflict, Made, until
from .._gateways import castai
from .._gateways.castai import CastAi, Cluster
from .._gateways.google import Google
from .._gateways.google_iam import AccountKey
from .._gateways.google_session import SERVICE_DISABLED, Rejected
from .._patience import Repeats
from .._variables import named
from . import names
from .bindings import NO_CHANGE, Change, Policy, Triple, changed, triples
from .marks import (
    CREDENTIALS_PART,
    KEY_PART,
    OTHERS_PART,
    Mark,
    RoleNote,
    describe,
    hashed_account,
    recorded_projects,
    role_description,
    role_note,
)
from .options import EXISTING_ACCOUNT, ROLE

T = TypeVar("T")

VISIBLE_SECONDS = 120.0
"""How long to wait until Google shows an object that this run created, or serves calls after a service was enabled."""

POLICY_SECONDS = 120.0
"""How long to keep trying to write a policy that others write too."""

HAND_OVER_SECONDS = 420.0
"""How long to repeat the hand-over while CAST AI cannot use the account: bindings take up to 7 minutes to take
effect."""

CREATED_SECONDS = 60.0
"""How long after it was announced a key may be created, by Google's clock. A later one is not recognized, and stays."""

PROVIDER = "gke"

ID_BLOCKED = "marked for deletion"
"""Part of Google's refusal to create a role whose ID is still taken by a role deleted weeks ago."""


SUBNETWORKS = "/subnetworks/"
"""Every full name of a subnet contains this, and no project ID does."""


class Gateways(Protocol):
    @property
    def google(self) -> Google:
        """The gateway to Google Cloud."""

    @property
    def castai(self) -> CastAi:
        """The gateway to CAST AI's API."""


def when_visible(call: Callable[[], T | None], made_here: bool) -> T | None:
    """Make a call. If this run created the object, repeat the call until Google shows it. Returns None if it does not
    exist."""
    refusals: list[Rejected] = []

    def answered() -> tuple[T] | None:
        try:
            found = call()
        except Rejected as refusal:
            # Google answers "not found", or for an account "forbidden", as if it belonged to somebody else.
            if not made_here or refusal.status not in (403, 404) or refusal.problem.reason == SERVICE_DISABLED:
                raise
            refusals.append(refusal)
            return None
        return None if found is None else (found,)

    if not made_here:
        return call()
    found: tuple[T] | None = until(answered, timeout=VISIBLE_SECONDS)
    if found is None and refusals:
        raise refusals[-1]
    return found[0] if found else None


def unless_done(call: Callable[[], object], done: Callable[[], bool]) -> None:
    """Make a call that Google refuses if it is already done, which is no failure: the answer of a first try may have
    been lost."""
    try:
        call()
    except (Conflict, Rejected) as refusal:
        if (isinstance(refusal, Rejected) and refusal.status != 400) or not done():
            raise


def forbidden(refusal: Rejected, constraint: str, advice: str) -> Rejected:
    """The refusal with advice added if an organization policy caused it. constraint: a part of the policy's name."""
    return refusal.advised(advice) if any(constraint in one for one in refusal.problem.constraints) else refusal


@dataclass(frozen=True)
class EnableServices(Action):
    """after: the services. Their objects can only be read once they are on, so the engine observes and plans again."""

    project: str = ""
    account: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.google.enable_services(self.project, tuple(self.after))
        if not until(lambda: self._usable(gateway), timeout=VISIBLE_SECONDS, first=1.0):
            raise CallFailed(
                f"Google still refuses calls {VISIBLE_SECONDS:.0f} s after the services were enabled. Run again."
            )
        raise Again("The services are enabled.")

    def _usable(self, gateway: Gateways) -> bool:
        """Whether the services answer, which takes longer than being listed as enabled."""
        try:
            gateway.google.get_policy(self.project)
            gateway.google.get_account(self.project, self.account)
        except Rejected as refusal:
            if refusal.problem.reason != SERVICE_DISABLED:
                raise
            return False
        return True


@dataclass(frozen=True)
class OnAccount(Action):
    """An action on one service account. project: the one that the account belongs to."""

    email: str = ""
    project: str = ""


@dataclass(frozen=True)
class CreateAccount(OnAccount):
    display_name: str = ""
    description: str = ""

    def run(self, gateway: Gateways, made: Made) -> Mapping[str, Any]:
        google, account_id = gateway.google, self.email.partition("@")[0]

        def created() -> bool:
            found = google.get_account(self.project, self.email)
            return found is not None and found.description == self.description

        try:
            unless_done(
                lambda: google.create_account(self.project, account_id, self.display_name, self.description), created
            )
        except Conflict:
            # A run that ended may just have created it.
            when_visible(lambda: google.get_account(self.project, self.email), True)
            raise
        except Rejected as refusal:
            advice = f"Or ask them to create an account, and set {EXISTING_ACCOUNT} to it."
            raise forbidden(refusal, "disableServiceAccountCreation", advice) from refusal
        return {"account_made": self.email}


@dataclass(frozen=True)
class DescribeAccount(OnAccount):
    """after: the whole description, not only our part."""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.google.patch_account(self.project, self.email, {"description": self.after})


@dataclass(frozen=True)
class EnableAccount(OnAccount):
    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.google.enable_account(self.project, self.email)


@dataclass(frozen=True)
class DeleteAccount(OnAccount):
    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.google.delete_account(self.project, self.email)


@dataclass(frozen=True)
class OnRole(Action):
    """An action on one custom role. after: its permissions."""

    project: str = ""
    role_id: str = ""
    description: str = ""

    @property
    def wanted(self) -> dict[str, Any]:
        return {
            "title": names.ROLE_TITLE,
            "description": self.description,
            "includedPermissions": list(self.after),
            "stage": "GA",
        }


@dataclass(frozen=True)
class CreateRole(OnRole):
    """others: IDs to try in this order if Google does not allow this one to be used again yet."""

    others: tuple[str, ...] = ()

    def run(self, gateway: Gateways, made: Made) -> Mapping[str, Any]:
        google, ids = gateway.google, [self.role_id, *self.others]
        for number, role_id in enumerate(ids):
            try:
                unless_done(
                    partial(google.create_role, self.project, role_id, self.wanted),
                    partial(self._created, google, role_id),
                )
            except Rejected as refusal:
                if refusal.status != 400 or ID_BLOCKED not in str(refusal):
                    raise
                if number == len(ids) - 1:
                    another = f"Set {named('role_id', ROLE)} to another ID."
                    if role_id == names.SHARED_ROLE:
                        another = f"Leave out {named('role_scope', ROLE)}."
                    raise refusal.advised(
                        f"The ID of a deleted role cannot be used again for weeks. {another}"
                    ) from refusal
                continue
            return {role_key(self.project, self.role_id): role_id}
        raise AssertionError("unreachable")

    def _created(self, google: Google, role_id: str) -> bool:
        found = google.get_role(self.project, role_id)
        return found is not None and not found.deleted and found.description == self.description


@dataclass(frozen=True)
class UpdateRole(OnRole):
    etag: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.google.patch_role(self.project, self.role_id, self.wanted, self.etag)


@dataclass(frozen=True)
class UndeleteRole(OnRole):
    def run(self, gateway: Gateways, made: Made) -> Mapping[str, Any]:
        google = gateway.google

        def restored() -> bool:
            found = google.get_role(self.project, self.role_id)
            return found is not None and not found.deleted

        unless_done(lambda: google.undelete_role(self.project, self.role_id), restored)
        # Restoring brings the role back as it was deleted. It has a new etag, so the one that was read is not sent.
        google.patch_role(self.project, self.role_id, self.wanted)
        return {role_key(self.project, self.role_id): self.role_id}


@dataclass(frozen=True)
class DeleteRole(OnRole):
    def run(self, gateway: Gateways, made: Made) -> None:
        google = gateway.google

        def gone() -> bool:
            found = google.get_role(self.project, self.role_id)
            return found is None or found.deleted

        unless_done(lambda: google.delete_role(self.project, self.role_id), gone)


def role_key(project: str, role_id: str) -> str:
    """The key in made for the ID that a planned role finally got."""
    return f"role {role_id} of {project}"


@dataclass(frozen=True)
class CreateCastAccount(Action):
    """Have CAST AI create its own account, which is to impersonate ours."""

    cluster_id: str = ""
    email: str = ""
    project: str = ""

    def run(self, gateway: Gateways, made: Made) -> Mapping[str, Any]:
        block = {"gkeSaImpersonate": self.email, "projectId": self.project}
        try:
            return {"cast_account": gateway.castai.create_service_account(self.cluster_id, PROVIDER, block)}
        except castai.Rejected as refusal:
            if not refusal.final:
                raise
            raise CallFailed(
                f"{refusal} CAST AI may not have enabled this for your organization. Ask its support, or set"
                f" {named('identity', ROLE)} to key."
            ) from refusal


@dataclass(frozen=True)
class DisableCastAccount(Action):
    cluster_id: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.castai.disable_service_account(self.cluster_id, PROVIDER)


@dataclass(frozen=True)
class SetPolicy(Action):
    """Change the bindings of one policy: read, modify and write it, again if somebody else wrote in between.

    where: a project, the address of a service account whose own policy is meant, or the full name of a subnet. home:
    the project of the account.
    """

    where: str = ""
    home: str = ""
    change: Change = NO_CHANGE

    def run(self, gateway: Gateways, made: Made) -> Mapping[str, Any]:
        change = Change(
            tuple(self._filled(one, made) for one in self.change.added),
            tuple(self._filled(one, made) for one in self.change.removed),
        )
        self._write(gateway, change, made)
        return {
            "bindings added": (*made.get("bindings added", ()), *self.shown(change.added)),
            "bindings removed": (*made.get("bindings removed", ()), *self.shown(change.removed)),
        }

    def shown(self, some: tuple[Triple, ...]) -> list[dict[str, Any]]:
        return [{"resource": self.where, **one.shown()} for one in some]

    def _write(self, gateway: Gateways, change: Change, made: Made) -> None:
        repeats = Repeats(0.5, 10.0)
        while True:
            policy = self._read(gateway, made)
            left = still_to_do(policy, change)
            if not left:
                return
            try:
                self._replace(gateway, changed(policy, left), made)
            except Conflict as conflict:
                failure: CallFailed | Conflict = conflict
            except Rejected as refusal:
                if not self._passes(refusal, made):
                    members = " and ".join(dict.fromkeys(triple.member for triple in left.added))
                    raise forbidden(refusal, "llowedPolicyMember", f"The exception must cover {members}.") from refusal
                failure = refusal
            else:
                return
            if not repeats.wait(POLICY_SECONDS):
                raise CallFailed(
                    f"Could not write the IAM policy of {self.where} in {POLICY_SECONDS:.0f} s. {failure}"
                ) from failure

    def _passes(self, refusal: Rejected, made: Made) -> bool:
        """Whether another try may succeed: the answer was lost, or the policy names a member or role that Google does
        not know. One that this run created will be known soon; one that others deleted disappears from the policy."""
        said = str(refusal)
        unknown = "does not exist" in said and refusal.status == 400
        ours = [one for triple in self.change.added for one in (triple.role, triple.member.partition(":")[2])]
        named = [one for one in ours if one in said]
        fresh = {str(value) for value in made.values()}
        just_made = all(one in fresh or one.rpartition("/")[2] in fresh for one in named)
        return refusal.status >= 500 or (unknown and just_made)

    def _read(self, gateway: Gateways, made: Made) -> Policy:
        if "@" in self.where:
            made_here = made.get("account_made") == self.where
            found = when_visible(lambda: gateway.google.get_account_policy(self.home, self.where), made_here)
            if found is None:
                raise CallFailed(f"Service account {self.where} no longer exists. Run again.")
            return found
        if SUBNETWORKS in self.where:
            found = gateway.google.get_subnet_policy(self.where)
            if found is None:
                raise CallFailed(f"{self.where}, which the GKE cluster uses, no longer exists. Run again.")
            return found
        return gateway.google.get_policy(self.where)

    def _replace(self, gateway: Gateways, policy: Policy, made: Made) -> None:
        if "@" in self.where:
            gateway.google.set_account_policy(self.home, self.where, policy)
        elif SUBNETWORKS in self.where:
            gateway.google.set_subnet_policy(self.where, policy)
        else:
            gateway.google.set_policy(self.where, policy)

    def _filled(self, triple: Triple, made: Made) -> Triple:
        """The triple with the final ID of a role, and the address of CAST AI's account, if this run created them."""
        project, _roles, role_id = triple.role.removeprefix("projects/").partition("/roles/")
        got = made.get(role_key(project, role_id))
        role = names.role_name(project, got) if got else triple.role
        cast = made.get("cast_account")
        member = names.member(cast) if cast and triple.member == names.member(UNKNOWN) else triple.member
        return triple._replace(role=role, member=member)


def still_to_do(policy: Policy, change: Change) -> Change:
    """The part of a change that the policy does not contain yet."""
    have = {(one.role, one.condition, one.member.lower()) for one in triples(policy)}
    return Change(
        tuple(one for one in change.added if (one.role, one.condition, one.member.lower()) not in have),
        tuple(one for one in change.removed if (one.role, one.condition, one.member.lower()) in have),
    )


@dataclass(frozen=True)
class DeleteKey(_keys.DeleteKey):
    email: str = ""
    project: str = ""

    def delete(self, gateway: Gateways) -> None:
        gateway.google.delete_key(self.project, self.email, self.key_id)


@dataclass(frozen=True)
class RoleNotes:
    """Where our keys on an existing account are noted, because the account is not edited: in the description of the
    cluster's role. own: the IDs of our keys that exist. former: the accounts that CAST AI had before and that some of
    these belong to."""

    project: str
    role_id: str
    cluster_id: str
    email: str
    own: tuple[str, ...] = ()
    former: tuple[str, ...] = ()
    fresh: bool = False
    """Whether this run creates the role, which Google may not show right away."""

    def of(self, made: Made) -> RoleNotes:
        """These notes, with the ID that a planned role finally got."""
        role_id = made.get(role_key(self.project, self.role_id))
        return replace(self, role_id=role_id, fresh=True) if role_id else self

    def announce(self, gateway: Gateways, keys: Iterable[AccountKey]) -> None:
        """Note that a key is about to be created. keys: those that the account has."""
        others = frozenset(key.id[:OTHERS_PART] for key in keys)
        until = int(gateway.google.now() + CREATED_SECONDS)
        self._write(gateway, {"ours": self._shortened(), "until": until, "others": others})

    def created(self, gateway: Gateways, *key_ids: str) -> None:
        """Note the key that was created, or that none was."""
        self._write(gateway, {"ours": self._shortened(*key_ids)})

    def handed_over(self, gateway: Gateways, key_id: str, credentials: str) -> None:
        noted = {"key": key_id[:KEY_PART], "credentials": credentials[:CREDENTIALS_PART]}
        self._write(gateway, {**noted, "ours": self._shortened()})

    def _shortened(self, *key_ids: str) -> frozenset[str]:
        return frozenset(one[:KEY_PART] for one in (*self.own, *key_ids))

    def _write(self, gateway: Gateways, fields: Mapping[str, Any]) -> None:
        """Again if somebody else wrote in between, or the answer of a first try was lost."""
        repeats = Repeats(0.5, 10.0)
        while True:
            try:
                return self._write_once(gateway, fields)
            except Conflict as conflict:
                if not repeats.wait(POLICY_SECONDS):
                    raise CallFailed(str(conflict)) from conflict

    def _write_once(self, gateway: Gateways, fields: Mapping[str, Any]) -> None:
        google, project, role_id = gateway.google, self.project, self.role_id
        found = when_visible(lambda: google.get_role(project, role_id), self.fresh)
        if found is None or found.deleted:
            raise CallFailed(f"Role {role_id} of project {project} does not exist. Set prepare to true.")
        held = role_note(found.description)
        about = held if held.is_about(self.email) else RoleNote(hashed_account(self.email))
        former = frozenset(map(hashed_account, self.former))
        note = about._replace(**{"former": former, "until": 0, "others": frozenset(), **fields})
        text = role_description(self.cluster_id, recorded_projects(found.description), note)
        if text == found.description:
            return
        when_visible(lambda: google.patch_role(project, role_id, {"description": text}, found.etag), self.fresh)


@dataclass(frozen=True)
class HandOverKey(_keys.HandOverKey):
    """The key is noted in the account's description, or that of an existing account in the cluster's role. mark: what
    else the account's description says; None for an existing account. notes: None if clusters share the role, which
    is not edited either."""

    KIND: ClassVar[str] = "key"
    email: str = ""
    project: str = ""
    mark: Mark | None = None
    fresh: bool = False
    """Whether this run creates the account, which may not accept keys right away."""
    notes: RoleNotes | None = None

    def run(self, gateway: Gateways, made: Made) -> Mapping[str, Any] | None:
        notes = self.notes.of(made) if self.notes else None
        return _keys.HandOverKey.run(replace(self, notes=notes), gateway, made)

    def create(self, gateway: Gateways) -> tuple[str, str]:
        if self.notes:
            # If the run ends before the key is noted, the next one knows by this that the key is ours.
            self.notes.announce(gateway, gateway.google.list_keys(self.project, self.email))
        key_id, secret = self._created(gateway)
        if self.notes:
            self.notes.created(gateway, key_id)
        return key_id, secret

    def _created(self, gateway: Gateways) -> tuple[str, str]:
        try:
            new = when_visible(lambda: gateway.google.create_key(self.project, self.email), self.fresh)
        except Rejected as refusal:
            if self.notes and not refusal.unsure:
                with contextlib.suppress(CallFailed, Conflict):
                    self.notes.created(gateway)
            advice = f"Or set {named('identity', ROLE)} to impersonation, which needs no key."
            raise forbidden(refusal, "disableServiceAccountKeyCreation", advice) from refusal
        if new is None:
            raise CallFailed(f"Service account {self.email} no longer exists. Run again.")
        return new.key.id, new.credentials

    def give(self, gateway: Gateways, key_id: str, secret: str) -> Cluster:
        return gateway.castai.hand_over(self.cluster_id, {"credentials": secret}, HAND_OVER_SECONDS)

    def note(self, gateway: Gateways, key_id: str, credentials: str) -> None:
        if self.mark:
            noted = Mark(self.mark.cluster_id, self.mark.cluster, key_id, credentials, self.mark.text)
            gateway.google.patch_account(self.project, self.email, {"description": describe(noted)})
        if self.notes:
            self.notes.handed_over(gateway, key_id, credentials)

    def take_back(self, gateway: Gateways, key_id: str) -> None:
        gateway.google.delete_key(self.project, self.email, key_id)


@dataclass(frozen=True)
class HandOverAccount(Action):
    """Tell CAST AI to use our account without a key."""

    cluster_id: str = ""

    def run(self, gateway: Gateways, made: Made) -> None:
        gateway.castai.hand_over(self.cluster_id, {"credentials": "{}"}, HAND_OVER_SECONDS)
