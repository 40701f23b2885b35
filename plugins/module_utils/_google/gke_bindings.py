# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bindings of CAST AI's service account for a GKE cluster: which it gets, and which of ours it gets no more. Pure.
PRIVATE to the collection.

Options change between runs, so what any form of them bound is taken out where another form is asked for. What may be
another tool's, and what the user did not decide, stays.
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
    held_by_deleted,
    scoped_by_vendor,
)
from .marks import marked_role
from .observed import Current, ProjectState, bound_roles, own_nodes
from .options import Desired
from .permissions import SUBNETS

# Roles


def role_id_of(current: Current, wanted: Desired, project: str = "") -> str:
    """The id of the role to work with. project: another one than the cluster's."""
    state = current.extra[project] if project else current.home
    if not (wanted.role_id or wanted.shared or wanted.existing_account or project):
        # Who keeps Terraform's account as it is keeps its role, too.
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
    """Roles that only the options of this cluster bind our account to in a project, by their names or marks.

    A role has the same id in every project. Other tools made theirs for this cluster too; an account of the user's own
    may go on with those.
    """
    roles = (*current.home.roles.items(), *state.roles.items())
    marked = {role_id for role_id, role in roles if marked_role(role.description) == wanted.cluster_id}
    ids = {*wanted.former_role_ids, names.SHARED_ROLE, *marked}
    if project == current.project.project and not wanted.existing_account:
        ids |= {*names.roles_of_others(wanted.name)}
    return frozenset(names.role_name(project, one) for one in ids)


def used_by_others(current: Current, wanted: Desired) -> bool:
    """Whether other clusters have an account of the user's own, too, as their roles that it has say; then what lets it
    use the nodes' accounts may be theirs."""
    if not wanted.existing_account:
        return False
    marks = {
        marked_role(current.home.roles[one].description) for one in bound_roles(current) if one in current.home.roles
    }
    return bool(marks - {"", wanted.cluster_id})


# What is wanted


def wanted_bindings(current: Current, wanted: Desired) -> tuple[Triple, ...]:
    """Those of the cluster's project."""
    member = current.account.member
    ids = [account.unique_id for account in current.node_accounts.values() if account]
    return (Triple(role_name_of(current, wanted), member), *account_user(wanted.form, member, ids))


def binding_changes(current: Current, wanted: Desired) -> dict[str, Change]:
    """What changes in which policy, in an order in which CAST AI is never without what it had: of projects by id, of
    service accounts by address, of subnets by name."""
    project, member = current.project.project, current.account.member
    want = wanted_bindings(current, wanted)
    projects = {}
    for other, state in current.extra.items():
        role = names.role_name(other, role_id_of(current, wanted, other))
        held, left = held_by(state.policy, member), held_by_deleted(state.policy, member)
        own = own_role_names(current, wanted, other, state)
        projects[other] = difference(held, [Triple(role, member)], (*(one for one in held if one.role in own), *left))
    # Last, as a former role of an id of the user's own is only known as long as the cluster's project binds it.
    projects[project] = difference(current.held, want, (*_former(current, wanted), *current.left_by_deleted))
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
    """Bindings of our account in the project that others replace: of roles of other options and of other tools,
    conditions that name other accounts, and what is wider than the user chose."""
    own = own_role_names(current, wanted, current.project.project, current.home)
    theirs = used_by_others(current, wanted)
    for triple in current.held:
        wider = triple.role == names.ACCOUNT_USER and triple.condition is None and wanted.chosen
        if triple.role in own or ((scoped_by_vendor(triple) or wider) and not theirs):
            yield triple


def uses(policy: Policy, member: str) -> tuple[Triple, ...]:
    """The bindings of a member in the policy of an account that let it use that, as those of on_accounts do."""
    return tuple(one for one in held_by(policy, member) if (one.role, one.condition) == (names.ACCOUNT_USER, None))


def _on_account(current: Current, wanted: Desired, email: str, policy: Policy) -> Change:
    member = current.account.member
    want = wanted.form == ON_ACCOUNTS and email in current.node_accounts
    held = uses(policy, member)
    gone = held if _unasked(current, wanted, email) else ()
    return difference(
        held, [Triple(names.ACCOUNT_USER, member)] if want else [], (*gone, *held_by_deleted(policy, member))
    )


def _unasked(current: Current, wanted: Desired, email: str) -> bool:
    """Whether the user chose a form in which our account has no binding on this one. For accounts of other projects,
    forms but on_accounts leave it to the user to bind it there."""
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
    for subnet, policy in current.subnets.items():
        held, left = held_by(policy, member), held_by_deleted(policy, member)
        own = [one for one in held if (one.role, one.condition) == (names.NETWORK_USER, None)]
        found[subnet] = difference(held, [Triple(names.NETWORK_USER, member)] if want else [], (*own, *left))
    return found


def former_changes(current: Current, wanted: Desired) -> dict[str, Change]:
    """What goes from projects that extra_projects had: bindings of our account to roles that have our names."""
    found = {other: _of_former(current, wanted, other, state) for other, state in current.former.items()}
    return {other: change for other, change in found.items() if change}


def _of_former(current: Current, wanted: Desired, project: str, state: ProjectState | None) -> Change:
    if state is None:
        return NO_CHANGE
    own = own_role_names(current, wanted, project, state)
    member = current.account.member
    held = [*held_by(state.policy, member), *held_by_deleted(state.policy, member)]
    return Change((), tuple(one for one in held if one.role in own))


# Who may use our account

_USERS = (names.TOKEN_CREATOR, names.ACCOUNT_USER)


def users_change(current: Current) -> Change:
    """What lets CAST AI's own account use ours; a condition of Terraform's module counts as none."""
    member = names.member(current.cast_account or UNKNOWN)
    have = {triple.role for triple in held_by(current.account.policy, member)}
    return Change(tuple(Triple(role, member) for role in _USERS if role not in have))


def users_to_remove(current: Current, wanted: Desired) -> Change:
    """The same, to be taken out where CAST AI has a key instead; conditions on an account of the user's own are not of
    this collection."""
    if not current.cast_account:
        return NO_CHANGE
    held = held_by(current.account.policy, names.member(current.cast_account))
    gone = (one for one in held if one.role in _USERS and not (wanted.existing_account and one.condition))
    return Change((), tuple(gone))


# Removal


def bindings_to_remove(current: Current, wanted: Desired) -> dict[str, Change]:
    """Of an account that goes, all; of one of the user's own, those that are ours."""
    project, member = current.project.project, current.account.member
    own = own_role_names(current, wanted, project, current.home)
    if not wanted.shared:
        own -= {names.role_name(project, names.SHARED_ROLE)}
    stays, theirs = bool(wanted.existing_account), used_by_others(current, wanted)
    home = [one for one in current.held if not stays or one.role in own or (scoped_by_vendor(one) and not theirs)]
    found = {project: Change((), (*home, *current.left_by_deleted))}
    for other, state in projects_elsewhere(current).items():
        role_names = own_role_names(current, wanted, other, state)
        held = [one for one in held_by(state.policy, member) if one.role in role_names]
        found[other] = Change((), (*held, *held_by_deleted(state.policy, member)))
    for email, policy in current.account_policies.items():
        ours = not stays or (wanted.form == ON_ACCOUNTS and not theirs)
        found[email] = Change((), (*(uses(policy, member) if ours else ()), *held_by_deleted(policy, member)))
    for subnet, policy in current.subnets.items():
        ours = not stays or (wanted.network == SUBNETS and not theirs)
        held = [one for one in held_by(policy, member) if one.role == names.NETWORK_USER and ours]
        found[subnet] = Change((), (*held, *held_by_deleted(policy, member)))
    return {where: change for where, change in found.items() if change}


def projects_elsewhere(current: Current) -> dict[str, ProjectState]:
    """The other projects in which the cluster has or had its role, those that could not be read excepted."""
    return {**current.extra, **{one: state for one, state in current.former.items() if state}}


def project_wide(held: Iterable[Triple]) -> list[Triple]:
    """What lets the account act as every service account of a project."""
    return [one for one in held if one.role == names.ACCOUNT_USER and one.condition is None]


def unasked_accounts(current: Current, wanted: Desired) -> list[str]:
    """Node accounts with a binding of ours that the form of now has no use for, and that stays until it is chosen."""
    if wanted.chosen or wanted.form != NODE_ACCOUNTS:
        return []
    own = own_nodes(current.account_policies, current.project)
    return [one for one in own if uses(current.account_policies[one], current.account.member)]
