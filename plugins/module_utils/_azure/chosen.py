# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decides which existing objects are CAST AI's identity and role for a cluster. Pure. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from .._engine import Refused
from .._gateways.azure_authorization import RoleAssignment, RoleDefinition
from .._gateways.azure_graph import Password
from .._gateways.azure_identities import Federation
from .._keys import NO_NOTE, Note
from .._owner import Shown, choose
from .._variables import named
from . import marks, names, role
from .observed import NAMESPACE, App, Current, Found, MarkedRole, identity_ids, scopes
from .options import ROLE, Desired
from .permissions import APP, SECRET

EXISTING_APP = named("existing_app_id", ROLE)
EXISTING_IDENTITY = named("existing_identity_id", ROLE)


def another(wanted: Desired) -> str:
    """The option that selects a different identity."""
    return EXISTING_IDENTITY if wanted.managed else EXISTING_APP


def kind(wanted: Desired) -> str:
    return "managed identity" if wanted.managed else "app registration"


def titled(found: Found, wanted: Desired) -> str:
    return f"{kind(wanted).capitalize()} {found.name} ({found.client_id})"


def identity_of(current: Current, wanted: Desired) -> Found | None:
    """The identity to work with, None if it is to be created."""
    if wanted.existing:
        every: tuple[Found, ...] = current.identities if wanted.managed else current.apps
        return next(iter(every), None)
    if wanted.managed:
        by_name = {one.name.lower(): one for one in current.identities}
        makers = {one.rpartition("/")[2].lower(): "" for one in identity_ids(current, wanted)}
        chosen = choose(by_name, makers, wanted.owner)
        return by_name.get(chosen)
    own = [one for one in current.apps if not wanted.owner.others(one) and _rank(one, current, wanted) > (0,)]
    return max(own, key=lambda one: _rank(one, current, wanted), default=None)


def _rank(one: App, current: Current, wanted: Desired) -> tuple[int, ...]:
    """How many signs show that an app belongs to this cluster. (0,) if there is none.

    Clusters in other subscriptions can have the same Terraform names, so such a name alone is no sign.
    """
    in_use = bool(current.credentials_id) and one.note.credentials_id == current.credentials_id
    marked, by_name = bool(one.cluster_ids), evidence(one, wanted)
    assigned = bool(current.held(one.principal_id))
    if not (marked or by_name or assigned or wanted.owner.adopt):
        return (0,)
    return (1, in_use, marked, by_name, assigned)


def evidence(found: Found, wanted: Desired) -> bool:
    """Whether the name alone shows that an untagged identity belongs to this cluster."""
    if wanted.managed:
        return found.name.lower() == names.identities(wanted.name, wanted.cluster_id)[1].lower()
    return found.name in names.apps(wanted.name, wanted.cluster_id)


def shown_identity(current: Current, wanted: Desired) -> Shown | None:
    """The identity. The user or its name may show that it belongs to this cluster."""
    found = identity_of(current, wanted)
    if found is None:
        return None
    return Shown(titled(found, wanted), found, bool(wanted.existing) or evidence(found, wanted), another(wanted))


def shown_role(current: Current, wanted: Desired) -> Shown | None:
    """The role. That it has one of its names, or that the identity has it, shows that it belongs to this cluster."""
    found = role_of(current, wanted)
    return Shown(f"Role {found.name}", MarkedRole(found), True) if found else None


def check_identity(current: Current, wanted: Desired) -> None:
    """Refuse an existing identity that cannot be found, and several apps that could be the right one."""
    found = identity_of(current, wanted)
    if found is None and wanted.existing_app:
        raise Refused(
            f"Tenant {current.tenant} has no app registration with client ID {wanted.existing_app}. Correct"
            f" {EXISTING_APP}."
        )
    if found is None and wanted.existing_identity:
        raise Refused(f"There is no managed identity {wanted.existing_identity}. Correct {EXISTING_IDENTITY}.")
    if isinstance(found, App) and not wanted.existing:
        _check_single(found, current, wanted)


def _check_single(found: App, current: Current, wanted: Desired) -> None:
    best = _rank(found, current, wanted)
    equal = [one for one in current.apps if not wanted.owner.others(one) and _rank(one, current, wanted) == best]
    if len(equal) > 1:
        ids = " and ".join(sorted(one.client_id for one in equal))
        raise Refused(
            f"Several app registrations may belong to cluster {wanted.cluster_id}, with the client IDs {ids}. Delete"
            f" those that nothing uses, or set {EXISTING_APP} to the right one."
        )


def check_federation(current: Current, wanted: Desired) -> None:
    """Refuse before the first write if CAST AI would be unable to log in without a secret."""
    if wanted.managed and not current.subject:
        why = f" {current.silence}" if current.silence else ""
        raise Refused(
            f"CAST AI does not say which account it would use with a managed identity.{why} It may not have enabled"
            f" this for your organization. Set {named('identity', ROLE)} to {APP} and {named('credential', ROLE)} to"
            f" {SECRET}."
        )
    if wanted.managed and not (current.registered or wanted.register_providers or wanted.existing):
        raise Refused(
            f"Resource provider {NAMESPACE} is not registered in subscription {current.subscription}. Register it, or"
            f" set {named('register_providers', ROLE)} to true."
        )
    found = identity_of(current, wanted)
    if found and wanted.existing and wanted.secretless and federation_of(current, wanted) is None:
        subject = f", subject {current.subject}" if current.subject else ""
        raise Refused(
            f"{titled(found, wanted)} of {another(wanted)} has no federated credential for CAST AI, and is not edited."
            f" Add one with issuer {names.ISSUER}{subject} and audience {current.audience}."
        )


def name_of(current: Current, wanted: Desired) -> str:
    """The name of the identity, even if it is to be created."""
    found = identity_of(current, wanted)
    if found:
        return found.name
    if wanted.existing:
        return wanted.existing.rpartition("/")[2]
    make = names.identities if wanted.managed else names.apps
    every = make(wanted.name, wanted.cluster_id)
    taken = {*(one.name.lower() for one in current.apps), *(one.name.lower() for one in current.identities)}
    return next((one for one in every if one.lower() not in taken), every[-1])


def principal_of(current: Current, wanted: Desired) -> str:
    """The object ID of the identity. Empty if it does not exist yet."""
    found = identity_of(current, wanted)
    return found.principal_id if found else ""


def notepad(assignments: Iterable[RoleAssignment], principal: str, cluster_id: str) -> RoleAssignment | None:
    """The assignment in whose description the hand-over of an existing identity is noted, because the identity is not
    edited. None if this collection created none."""
    own = (
        one
        for one in assignments
        if principal and names.same(one.principal, principal) and marks.marked(one.description) == cluster_id
    )
    return min(own, key=attrgetter("name"), default=None)


def notepad_of(current: Current, wanted: Desired) -> RoleAssignment | None:
    at_home = current.assignments.get(current.home.lower(), ())
    return notepad(at_home, principal_of(current, wanted), wanted.cluster_id)


def note_of(current: Current, wanted: Desired) -> Note:
    """What was noted when the identity was handed over."""
    found = identity_of(current, wanted)
    if wanted.existing:
        pad = notepad_of(current, wanted)
        return marks.noted(pad.description) if pad else NO_NOTE
    return found.note if found else NO_NOTE


def given_secrets(found: Found | None, wanted: Desired) -> list[Password]:
    """The secrets of an existing app that the given one can be, by its first characters, oldest first."""
    every = found.app.passwords if isinstance(found, App) else ()
    may_be = (one for one in every if one.hint and wanted.existing_secret.startswith(one.hint))
    return sorted(may_be, key=attrgetter("starts"))


def is_given_secret(key_id: str, found: Found, wanted: Desired) -> bool:
    """Whether a secret of an existing app may be the given one. True if Graph does not show that it is not."""
    may_be = {one.key_id for one in given_secrets(found, wanted)}
    every = found.app.passwords if isinstance(found, App) else ()
    known = bool(may_be) or any(one.hint for one in every if one.key_id == key_id)
    return key_id in may_be or not known


def federation_of(current: Current, wanted: Desired) -> Federation | None:
    """The federated credential that CAST AI logs in with.

    For a managed identity, the one for CAST AI's account. For an app, the one that was handed over, or else the one
    with our name.
    """
    found = identity_of(current, wanted)
    own = [one for one in found.federations if one.issuer == names.ISSUER] if found else []
    if wanted.managed:
        return next((one for one in own if one.subject == current.subject), None)
    noted = found.note.key_id if found else ""
    by_name = names.app_federation(wanted.cluster_id)
    right = [one for one in own if one.id == noted] or [one for one in own if one.name == by_name]
    # An existing app that the user provides may use any name for it.
    return next(iter(right or (own if wanted.existing else ())), None)


# The role, and its assignments


def role_of(current: Current, wanted: Desired) -> RoleDefinition | None:
    """The role to work with: Terraform's if the identity has it or it was taken over, otherwise the cluster's own.

    An ended removal with adopt may have left Terraform's, without any assignment, but still for the cluster's group.
    """
    held = {one.role_guid for one in current.held(principal_of(current, wanted))}
    by_name = {one.name.lower(): one for one in current.roles}
    terraform = by_name.get(names.terraform_role(wanted.name).lower())
    known = terraform and (terraform.guid.lower() in held or MarkedRole(terraform).cluster_ids)
    left = (
        terraform
        and not wanted.present
        and wanted.owner.adopt
        and current.home.lower() in role.folded(terraform.scopes)
    )
    own = (by_name.get(name.lower()) for name in names.roles(wanted.cluster_id))
    found = (terraform if known else None, *own, terraform if left else None)
    return next((one for one in found if one and not wanted.owner.others(MarkedRole(one))), None)


def former_roles(current: Current, wanted: Desired) -> tuple[RoleDefinition, ...]:
    """Roles of this cluster besides the one to work with, which another identity of it had.

    If somebody changed the description of Terraform's, what we assigned still shows it.
    """
    found = role_of(current, wanted)
    own = role.folded(names.roles(wanted.cluster_id))
    return tuple(
        one
        for one in current.roles
        if one != found
        and not wanted.owner.others(MarkedRole(one))
        and (
            one.name.lower() in own
            or MarkedRole(one).cluster_ids
            or any(ours(assigned, wanted) for assigned in of_role(current, one))
        )
    )


def roles_of_cluster(current: Current, wanted: Desired) -> tuple[RoleDefinition, ...]:
    """The role to work with, if it exists, and the former ones."""
    found = role_of(current, wanted)
    return (*([found] if found else []), *former_roles(current, wanted))


def role_names(current: Current, wanted: Desired) -> tuple[str, ...]:
    """Names that a new role may get, the best one first."""
    taken = {one.name.lower() for one in current.roles}
    every = names.roles(wanted.cluster_id)
    return tuple(one for one in every if one.lower() not in taken) or every[-1:]


def role_name_of(current: Current, wanted: Desired) -> str:
    found = role_of(current, wanted)
    return found.name if found else role_names(current, wanted)[0]


def of_role(current: Current, found: RoleDefinition) -> tuple[RoleAssignment, ...]:
    return tuple(one for one in current.every_assignment if one.role_guid == found.guid.lower())


def missing_assignments(current: Current, wanted: Desired) -> tuple[str, ...]:
    """The scopes at which the identity does not have its role yet."""
    found, principal = role_of(current, wanted), principal_of(current, wanted).lower()
    have = {
        one.scope.lower() for one in (of_role(current, found) if found else ()) if one.principal.lower() == principal
    }
    return tuple(scope for scope in scopes(current, wanted) if scope.lower() not in have)


def orphans(current: Current, wanted: Desired) -> tuple[RoleAssignment, ...]:
    """Assignments left over from an earlier identity of this cluster, and those that this collection made where they
    are no longer needed."""
    identity = identity_of(current, wanted)
    if identity and not identity.principal_id and not (wanted.prepare and isinstance(identity, App)):
        # If Graph does not show the principal yet, these may be its assignments. A run that creates it finds out.
        return ()
    found, principal = role_of(current, wanted), principal_of(current, wanted).lower()
    need = role.folded(scopes(current, wanted))
    every = of_role(current, found) if found else ()

    def unneeded(one: RoleAssignment) -> bool:
        by_us = marks.marked(one.description) == wanted.cluster_id
        return current.cluster is not None and one.scope.lower() not in need and by_us

    former = (one for other in former_roles(current, wanted) for one in of_role(current, other) if ours(one, wanted))
    return (
        *(one for one in every if unneeded(one) or (one.principal.lower() != principal and ours(one, wanted))),
        *former,
    )


def ours(one: RoleAssignment, wanted: Desired) -> bool:
    """Whether this collection, or CAST AI's script, made an assignment for this cluster."""
    own = names.assignment_guid(wanted.cluster_id, one.scope, one.role_guid, one.principal)
    by_script = names.script_assignment(wanted.cluster_id, one.name)
    return by_script or marks.marked(one.description) == wanted.cluster_id or one.name.lower() == own
