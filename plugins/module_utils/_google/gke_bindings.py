# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which bindings CAST AI's service account for a GKE cluster gets and which it loses. Pure. PRIVATE to the collection.

Options change between runs. So a binding that an earlier choice created is removed if the user now chooses another
form. A binding that may be another tool's, or that the user has not decided about, stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .._engine import UNKNOWN
from . import names
from .bindings import (
    NO_CHANGE,
    NODE_ACCOUNTS,
    NONE,
    ON_ACCOUNTS,
    Change,
    Policy,
    Triple,
    account_user,
    difference,
    held_by,
    scoped_by_vendor,
)
from .marks import marked_role
from .observed import Current, ProjectState, bound_roles, own_nodes
from .options import Desired
from .permissions import SUBNETS

# Roles


def role_id_of(current: Current, wanted: Desired, project: str = "") -> str:
    """The ID of the role to work with. project: a project other than the cluster's."""
    state = current.extra[project] if project else current.home
    if not (wanted.role_id or wanted.shared or wanted.existing_account or project):
        # An account that Terraform created and that is kept also keeps Terraform's role.
        for role_id in bound_roles(current):
            found = current.home.roles.get(role_id)
            if role_id in names.terraforms_roles(wanted.name) and found and not found.deleted:
                return role_id
    there = [one for one in wanted.role_ids if one in state.roles]
    living = [one for one in there if not state.roles[one].deleted]
    return (*living, *there, *wanted.role_ids)[0]


def role_name_of(current: Current, wanted: Desired) -> str:
    return names.role_name(current.project.project, role_id_of(current, wanted))


def own_role_names(current: Current, wanted: Desired, project: str, state: ProjectState) -> frozenset[str]:
    """Roles in a project that our account has only because of this cluster's options, found by their names or marks.

    A role has the same ID in every project. The shared one, and those that other tools created for this cluster, are
    included, except for an existing account, which may still need them.
    """
    roles = (*current.home.roles.items(), *state.roles.items())
    marked = {role_id for role_id, role in roles if marked_role(role.description) == wanted.cluster_id}
    ids = {*wanted.former_role_ids, names.SHARED_ROLE, *marked}
    if wanted.existing_account:
        # Other clusters that have the account may need it. Nothing records that.
        ids -= {names.SHARED_ROLE}
    if project == current.project.project and not wanted.existing_account:
        ids |= {*names.roles_of_others(wanted.name)}
    return frozenset(names.role_name(project, one) for one in ids)


def used_by_others(current: Current, wanted: Desired) -> bool:
    """Whether an existing account also serves other clusters, judging by its roles: their marks, or that clusters share
    one. If so, its bindings that allow the use of node accounts may be theirs."""
    return bool(wanted.existing_account) and (_marked_by_others(current, wanted) or _has_shared_role(current))


def _marked_by_others(current: Current, wanted: Desired) -> bool:
    roles = current.home.roles
    marks = {marked_role(roles[one].description) for one in bound_roles(current) if one in roles}
    return bool(marks - {"", wanted.cluster_id})


def _has_shared_role(current: Current) -> bool:
    return names.SHARED_ROLE in bound_roles(current)


# What is wanted


def wanted_bindings(current: Current, wanted: Desired) -> tuple[Triple, ...]:
    """The bindings wanted in the cluster's project."""
    member = current.account.member
    ids = [account.unique_id for account in current.node_accounts.values() if account]
    return (Triple(role_name_of(current, wanted), member), *account_user(wanted.form, member, ids))


def binding_changes(current: Current, wanted: Desired) -> dict[str, Change]:
    """The change of each policy, by project ID, account address or subnet name. They are in an order that never leaves
    CAST AI without a permission it had."""
    project, member = current.project.project, current.account.member
    want = wanted_bindings(current, wanted)
    projects = {}
    for other, state in current.extra.items():
        role = names.role_name(other, role_id_of(current, wanted, other))
        held, left = held_by(state.policy, member), current.left_by_deleted(state.policy)
        own = own_role_names(current, wanted, other, state)
        projects[other] = difference(held, [Triple(role, member)], (*(one for one in held if one.role in own), *left))
    # The cluster's project comes last: a former role with an ID of the user's choice is known only from its binding
    # there.
    projects[project] = difference(
        current.held, want, (*_former(current, wanted), *current.left_by_deleted(current.home.policy))
    )
    accounts = {
        email: _on_account(current, wanted, email, policy) for email, policy in current.account_policies.items()
    }
    found = {
        **{email: change for email, change in accounts.items() if change.added},
        **projects,
        **{email: change for email, change in accounts.items() if not change.added},
        **_on_subnets(current, wanted),
    }
    return {where: change for where, change in found.items() if change}


def _former(current: Current, wanted: Desired) -> Iterator[Triple]:
    """Bindings of our account in the project that have been replaced: to roles of other options or other tools, with
    conditions that name other accounts, and those wider than the user chose."""
    own = own_role_names(current, wanted, current.project.project, current.home)
    theirs = used_by_others(current, wanted)
    for triple in current.held:
        wider = triple.role == names.ACCOUNT_USER and triple.condition is None and wanted.chosen
        if triple.role in own or ((scoped_by_vendor(triple) or wider) and not theirs):
            yield triple


def uses(policy: Policy, member: str) -> tuple[Triple, ...]:
    """The bindings in an account's policy that let a member use that account, as on_accounts creates them."""
    return tuple(one for one in held_by(policy, member) if (one.role, one.condition) == (names.ACCOUNT_USER, None))


def _on_account(current: Current, wanted: Desired, email: str, policy: Policy) -> Change:
    member = current.account.member
    want = wanted.form == ON_ACCOUNTS and email in current.node_accounts
    held = uses(policy, member)
    gone = held if _unasked(current, wanted, email) else ()
    return difference(
        held, [Triple(names.ACCOUNT_USER, member)] if want else [], (*gone, *current.left_by_deleted(policy))
    )


def _unasked(current: Current, wanted: Desired, email: str) -> bool:
    """Whether the user chose a form without a binding on this account. For accounts of other projects, only on_accounts
    and none decide: with the other forms, users bind those themselves."""
    if wanted.form == ON_ACCOUNTS:
        return True
    return (
        not used_by_others(current, wanted)
        and wanted.chosen
        and (wanted.form == NONE or bool(own_nodes([email], current.project)))
    )


def _on_subnets(current: Current, wanted: Desired) -> dict[str, Change]:
    member, want = current.account.member, wanted.network == SUBNETS
    found = {}
    for subnet, policy in current.subnets.items() if wanted.network else ():
        held, left = held_by(policy, member), current.left_by_deleted(policy)
        own = [one for one in held if (one.role, one.condition) == (names.NETWORK_USER, None)]
        found[subnet] = difference(held, [Triple(names.NETWORK_USER, member)] if want else [], (*own, *left))
    return found


def former_changes(current: Current, wanted: Desired) -> dict[str, Change]:
    """What to remove from projects that extra_projects no longer lists: our account's bindings to roles with our
    names."""
    found = {other: _of_former(current, wanted, other, state) for other, state in current.former.items()}
    return {other: change for other, change in found.items() if change}


def _of_former(current: Current, wanted: Desired, project: str, state: ProjectState | None) -> Change:
    if state is None:
        return NO_CHANGE
    own = own_role_names(current, wanted, project, state)
    held = [*held_by(state.policy, current.account.member), *current.left_by_deleted(state.policy)]
    return Change((), tuple(one for one in held if one.role in own))


# Who may use our account

_USERS = (names.TOKEN_CREATOR, names.ACCOUNT_USER)


def users_change(current: Current) -> Change:
    """What is missing for CAST AI's own account to use ours. Terraform's bindings with a condition count as present."""
    member = names.member(current.cast_account or UNKNOWN)
    have = {triple.role for triple in held_by(current.account.policy, member)}
    return Change(tuple(Triple(role, member) for role in _USERS if role not in have))


def users_to_remove(current: Current, wanted: Desired) -> Change:
    """The same bindings, to be removed if CAST AI has a key instead. On an existing account, those without a condition
    may be needed for other clusters."""
    # With a role that clusters share, they are all that shows that CAST AI has no key yet.
    settles = wanted.present and wanted.shared and not _marked_by_others(current, wanted)
    return NO_CHANGE if used_by_others(current, wanted) and not settles else Change((), users_of(current, wanted))


def users_of(current: Current, wanted: Desired) -> tuple[Triple, ...]:
    """The same bindings as they are. On an existing account, those with a condition are not ours."""
    if not current.cast_account:
        return ()
    held = held_by(current.account.policy, names.member(current.cast_account))
    return tuple(one for one in held if one.role in _USERS and not (wanted.existing_account and one.condition))


# Removal


def bindings_to_remove(current: Current, wanted: Desired) -> dict[str, Change]:
    """For an account that will be deleted, all its bindings. For an existing account, only ours."""
    project, member = current.project.project, current.account.member
    own = own_role_names(current, wanted, project, current.home)
    if not wanted.shared:
        own -= {names.role_name(project, names.SHARED_ROLE)}
    stays, theirs = bool(wanted.existing_account), used_by_others(current, wanted)
    home = [one for one in current.held if not stays or one.role in own or (scoped_by_vendor(one) and not theirs)]
    found = {}
    for other, state in projects_elsewhere(current).items():
        role_names = own_role_names(current, wanted, other, state)
        held = [one for one in held_by(state.policy, member) if one.role in role_names]
        found[other] = Change((), (*held, *current.left_by_deleted(state.policy)))
    # As in binding_changes(): the binding in the cluster's project may be all that names a role.
    found[project] = Change((), (*home, *current.left_by_deleted(current.home.policy)))
    kept = nodes_that_stay(current, wanted)
    for email, policy in current.account_policies.items():
        using = uses(policy, member) if email not in kept else ()
        found[email] = Change((), (*using, *current.left_by_deleted(policy)))
    staying = subnets_that_stay(current, wanted)
    for subnet, policy in current.subnets.items():
        held = [one for one in held_by(policy, member) if one.role == names.NETWORK_USER and subnet not in staying]
        found[subnet] = Change((), (*held, *current.left_by_deleted(policy)))
    return {where: change for where, change in found.items() if change}


def nodes_that_stay(current: Current, wanted: Desired) -> list[str]:
    """The accounts that an existing account may go on to use: nothing shows that only this cluster needs that."""
    if not wanted.existing_account or (wanted.form == ON_ACCOUNTS and not used_by_others(current, wanted)):
        return []
    return [email for email, policy in current.account_policies.items() if uses(policy, current.account.member)]


def subnets_that_stay(current: Current, wanted: Desired) -> list[str]:
    """The subnets that an existing account may go on to use, for the same reason."""
    if not wanted.existing_account or (wanted.network == SUBNETS and not used_by_others(current, wanted)):
        return []
    held = {subnet: held_by(policy, current.account.member) for subnet, policy in current.subnets.items()}
    return [subnet for subnet, some in held.items() if any(one.role == names.NETWORK_USER for one in some)]


def projects_elsewhere(current: Current) -> dict[str, ProjectState]:
    """The other projects in which the cluster has its role, or had it and could be read."""
    return {**current.extra, **{one: state for one, state in current.former.items() if state}}


def shared_of_existing(current: Current, wanted: Desired) -> list[str]:
    """The projects in which an existing account has the role that clusters share."""
    every = {current.project.project: current.home, **projects_elsewhere(current)}
    return [
        project
        for project, state in every.items()
        if wanted.existing_account
        and any(
            one.role == names.role_name(project, names.SHARED_ROLE)
            for one in held_by(state.policy, current.account.member)
        )
    ]


def project_wide(held: Iterable[Triple]) -> list[Triple]:
    """The bindings that let the account act as every service account of a project."""
    return [one for one in held if one.role == names.ACCOUNT_USER and one.condition is None]


def unasked_accounts(current: Current, wanted: Desired) -> list[str]:
    """Node accounts with a binding of ours that the default form does not need. It stays until the user chooses a
    form."""
    if wanted.chosen or wanted.form != NODE_ACCOUNTS:
        return []
    own = own_nodes(current.account_policies, current.project)
    return [one for one in own if uses(current.account_policies[one], current.account.member)]
