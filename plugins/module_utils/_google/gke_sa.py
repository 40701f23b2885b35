# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CAST AI's service account for one GKE cluster. PRIVATE to the collection.

Everything is prepared first, and CAST AI gets its credentials last. The desired state is in options.py, the current
state in observed.py, the writes in actions.py, the bindings in gke_bindings.py and bindings.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from .. import _names
from .._engine import UNKNOWN, Action, Made, Refused, Subject
from .._gateways.google_iam import CustomRole
from .._keys import Deletion, moment
from .._owner import Removal, Shown, Step, asked
from .._record import check_record, check_removable, mismatch
from .._variables import named
from . import names
from .actions import (
    PROVIDER,
    CreateAccount,
    CreateCastAccount,
    CreateRole,
    DeleteAccount,
    DeleteKey,
    DeleteRole,
    DescribeAccount,
    DisableCastAccount,
    EnableAccount,
    EnableServices,
    HandOverAccount,
    HandOverKey,
    RoleNotes,
    SetPolicy,
    UndeleteRole,
    UpdateRole,
)
from .bindings import (
    NO_CHANGE,
    NODE_ACCOUNTS,
    ON_ACCOUNTS,
    PROJECT,
    Change,
    Policy,
    Triple,
    held_by,
    size_problem,
    triples,
)
from .existing import (
    former_of_users,
    has_key,
    has_other_credentials,
    is_named,
    keys_of,
    note_of,
    note_to_keep,
    our_keys,
    unrecorded_keys,
    users_of_former,
)
from .gke_bindings import (
    binding_changes,
    bindings_to_remove,
    former_changes,
    nodes_that_stay,
    own_role_names,
    project_wide,
    projects_elsewhere,
    role_id_of,
    shared_of_existing,
    subnets_that_stay,
    unasked_accounts,
    used_by_others,
    users_change,
    users_of,
    users_to_remove,
)
from .marks import (
    NO_ROLE_NOTE,
    NOT_OURS,
    Mark,
    describe,
    marked_role,
    recorded_projects,
    role_description,
    role_note,
)
from .observed import (
    CastAccount,
    Current,
    MarkedRole,
    ProjectState,
    bound_roles,
    connect,
    had_own_account,
    home_of,
    members_of,
    observe,
    own_nodes,
    own_roles,
)
from .options import EXISTING_ACCOUNT, OPTIONS, ROLE, Desired, desired

BLOCKED_DAYS = 37
"""How long the ID of a deleted role may stay taken. Source: IAM's guide to deleting custom roles."""

POOLS = ("castpool", "castpool-arm")
"""Node pools that CAST AI creates."""

MAY_BE_OTHERS = "it may have existed before onboarding, or other clusters may need it"

SERVICE_ACCOUNT_USER = named("service_account_user", ROLE)


@asked
def plan(current: Current, wanted: Desired) -> Iterator[Step | Removal]:
    refusal = " ".join(_misplaced(current, wanted))
    if refusal:
        raise Refused(refusal)
    if not wanted.present:
        check_removable(current.record, wanted.force)
        yield from removals(current, wanted)
        return
    _check_services(current, wanted)
    _check_account(current, wanted)
    shown = _shown(current, wanted)
    yield Step(shown, ())  # whose it is comes before anything that may be wrong with it
    if not wanted.keyless:
        _check_keys(current, wanted)
    if wanted.prepare:
        yield Step(None, _plan_services(current, wanted))
        yield Step(shown, _plan_account(current, wanted))
        yield Step(shown, _plan_former(current, wanted))
        yield from _plan_roles(current, wanted)
        yield Step(shown, _plan_bindings(current, wanted))
        if wanted.keyless:
            yield Step(shown, _plan_users(current, wanted))
    if wanted.hand_over:
        yield Step(_noting_role(current, wanted), ())
        yield Step(shown, _plan_hand_over(current, wanted))
        for former in current.former_accounts:
            yield Step(_shown_former(former), _former_account(current, wanted, former))


def _misplaced(current: Current, wanted: Desired) -> Iterator[str]:
    """Why this is not the cluster that the user named, or cannot be onboarded."""
    project = current.project.project
    record = check_record(current.record, wanted.cluster_id, wanted.present)
    if record:
        known = [record.facts.get(key) for key in ("projectId", "location", "clusterName")]
        if (record.provider, *known) != (PROVIDER, project, wanted.location, wanted.name):
            ours = f"GKE cluster {wanted.name} of project {project} in {wanted.location}"
            yield mismatch(record, ours, PROVIDER, "GKE", names.recorded_place)
    if not (wanted.present and wanted.prepare):
        return
    if current.cluster is None:
        yield (
            f"Project {project} has no GKE cluster {wanted.name} in {wanted.location}. Check {named('cluster_name')},"
            f" {named('project')} and {named('location')}."
        )
    elif current.cluster.autopilot:
        yield (
            f"GKE cluster {wanted.name} is an Autopilot cluster, which this collection does not support. CAST AI's"
            " castctl and its umbrella chart offer workload autoscaling there."
        )


def _check_services(current: Current, wanted: Desired) -> None:
    if current.off and not wanted.enable_services:
        raise Refused(
            f"These services are not enabled in project {current.project.project}: {', '.join(current.off)}. Enable"
            f" them, or set {named('enable_services', ROLE)} to true."
        )


def _check_account(current: Current, wanted: Desired) -> None:
    """Refuse an existing account that is missing or disabled."""
    found = current.account.found
    if not wanted.existing_account:
        return
    if found is None:
        raise Refused(f"There is no service account {wanted.existing_account}. Correct {EXISTING_ACCOUNT}.")
    if found.account.disabled:
        raise Refused(
            f"Service account {wanted.existing_account} of {EXISTING_ACCOUNT} is disabled. Enable it, or set"
            " another one."
        )


def _shown(current: Current, wanted: Desired) -> Shown | None:
    """CAST AI's account. CAST AI's record, its name, a role of this cluster or the user may show that it belongs to
    this cluster."""
    account, short = current.account, _names.short_id(wanted.cluster_id)
    if account.found is None:
        return None
    own = any(short in role_id for role_id in bound_roles(current))
    own = own or short in account.account_id or current.client_account == account.email
    evidence = own or bool(wanted.existing_account)
    return Shown(f"Service account {account.email}", account.found, evidence, EXISTING_ACCOUNT)


def _check_keys(current: Current, wanted: Desired) -> None:
    keys = current.account.keys
    if our_keys(current, wanted).stuck and not _served(current, wanted):
        listed = ", ".join(f"{key.id} (created {key.created[:10] or 'at an unknown time'})" for key in keys)
        raise Refused(
            f"Service account {current.account.email} has {len(keys)} keys, the most that Google allows, and nothing"
            f" records which of them CAST AI uses: {listed}. Delete those that nobody uses, then run again."
        )


# The account


def _mark(current: Current, wanted: Desired) -> Mark:
    """What the account's description should say. The note and the text of others are kept."""
    held = current.account.found.mark if current.account.found else Mark()
    if wanted.keyless and has_other_credentials(current, wanted):
        held = replace(held, key=NOT_OURS, credentials=current.credentials_id)
    return replace(held, cluster_id=wanted.cluster_id, cluster=wanted.name)


def _plan_services(current: Current, wanted: Desired) -> Iterator[Action]:
    if current.off:
        yield EnableServices(
            f"enable the services {', '.join(current.off)} of project {current.project.project}",
            f"gcp/project/{current.project.project}/services",
            None,
            list(current.off),
            current.project.project,
            current.account.email,
        )


def _plan_account(current: Current, wanted: Desired) -> Iterator[Action]:
    account, found = current.account, current.account.found
    target = f"gcp/service-account/{account.email}"
    description = describe(_mark(current, wanted))
    if wanted.existing_account:
        return
    if found is None:
        yield CreateAccount(
            f"create service account {account.email} for CAST AI",
            target,
            None,
            {"email": account.email, "description": description},
            account.email,
            home_of(account.email, current.project),
            names.display_name(wanted.name),
            description,
        )
        return
    if found.account.disabled:
        yield EnableAccount(
            f"enable service account {account.email}, which is disabled",
            f"{target}/disabled",
            True,
            False,
            account.email,
            home_of(account.email, current.project),
        )
    if description != found.account.description:
        yield DescribeAccount(
            f"write in the description of service account {account.email} which cluster it belongs to",
            f"{target}/description",
            found.account.description,
            description,
            account.email,
            home_of(account.email, current.project),
        )


# Roles


def _plan_roles(current: Current, wanted: Desired) -> Iterator[Step]:
    home = (current.project.project, current.home, role_id_of(current, wanted))
    extra = ((project, state, role_id_of(current, wanted, project)) for project, state in current.extra.items())
    for where in (home, *extra):
        shown = None if wanted.shared else _shown_role(current, wanted, *where)
        yield Step(shown, _plan_role(current, wanted, *where))


def _shown_role(current: Current, wanted: Desired, project: str, state: ProjectState, role_id: str) -> Shown | None:
    """A role, whose name or binding to our account may show that it belongs to this cluster."""
    found = state.roles.get(role_id)
    if found is None:
        return None
    held = (*held_by(state.policy, current.account.member), *current.left_by_deleted(state.policy))
    bound = any(one.role == names.role_name(project, role_id) for one in held)
    evidence = bound or _names.short_id(wanted.cluster_id) in role_id
    return Shown(f"Role {role_id} of project {project}", MarkedRole(found), evidence, named("role_id", ROLE))


def _plan_role(current: Current, wanted: Desired, project: str, state: ProjectState, role_id: str) -> Iterator[Action]:
    found = state.roles.get(role_id)
    target = f"gcp/role/{names.role_name(project, role_id)}"
    permissions = sorted(wanted.permissions)
    recorded = wanted.extra_projects if project == current.project.project else ()
    note = note_to_keep(current, wanted, role_id) if project == current.project.project else NO_ROLE_NOTE
    description = names.ROLE_TITLE if wanted.shared else role_description(wanted.cluster_id, recorded, note)
    if found is None:
        ids = wanted.role_ids
        others = tuple(one for one in ids[ids.index(role_id) + 1 :] if one not in state.roles)
        yield CreateRole(
            f"create role {role_id} in project {project} with {len(permissions)} permissions",
            target,
            None,
            permissions,
            project,
            role_id,
            description,
            others,
        )
        return
    if found.deleted:
        yield UndeleteRole(
            f"restore the deleted role {role_id} of project {project} with {len(permissions)} permissions",
            target,
            None,
            permissions,
            project,
            role_id,
            description,
        )
    elif not wanted.shared and _differs(found, wanted, description):
        yield UpdateRole(
            f"update role {role_id} of project {project}",
            target,
            sorted(found.permissions),
            permissions,
            project,
            role_id,
            description,
            found.etag,
        )


def _differs(found: CustomRole, wanted: Desired, description: str) -> bool:
    """Whether a role grants something else, or its description names another cluster, other projects or other keys."""
    texts = (found.description, description)
    marks = [(marked_role(one), recorded_projects(one), role_note(one)) for one in texts]
    return marks[0] != marks[1] or found.permissions != wanted.permissions or found.stage != "GA"


# Bindings


def _plan_former(current: Current, wanted: Desired) -> Iterator[Action]:
    """Remove former bindings while the role's description still names their projects."""
    for before, where, change in _former_changes(current, wanted):
        yield _set_policy(before, where, change)


def _former_changes(current: Current, wanted: Desired) -> Iterator[tuple[Current, str, Change]]:
    """For our account, and for those of ours that CAST AI had before, each with the state as if it were the current
    one."""
    former = [replace(current, account=one, gone=frozenset()) for one in current.former_accounts if one.found]
    for before in (current, *former):
        ours = wanted if before is current else replace(wanted, existing_account="")
        for where, change in former_changes(before, ours).items():
            yield before, where, change


def _plan_bindings(current: Current, wanted: Desired) -> Iterator[Action]:
    for where, change in binding_changes(current, wanted).items():
        state = current.home if where == current.project.project else current.extra.get(where)
        problem = size_problem(state.policy, change, where) if state else ""
        if problem:
            raise Refused(problem)
        yield _set_policy(current, where, change)


def _set_policy(current: Current, where: str, change: Change) -> SetPolicy:
    parts, email = [], current.account.email
    if change.added:
        parts.append(f"bind {_roles(change.added)} to {email}")
    if change.removed:
        parts.append(f"unbind {_roles(change.removed)} from {email}")
    return SetPolicy(
        f"{' and '.join(parts)} on {_resource(where)}",
        f"gcp/policy/{where}",
        [one.shown() for one in change.removed] or None,
        [one.shown() for one in change.added] or None,
        where,
        home_of(where, current.project) if "@" in where else "",
        change,
    )


def _resource(where: str) -> str:
    """What a policy belongs to, as messages name it."""
    if "@" in where:
        return f"service account {where}"
    host, _regions, subnet = where.removeprefix("projects/").partition("/regions/")
    return f"subnet {subnet.rpartition('/')[2]} of project {host}" if subnet else f"project {where}"


def _roles(some: Iterable[Triple]) -> str:
    """Roles as messages name them. The absence of a condition is mentioned if it lets CAST AI use every service
    account."""
    told: dict[str, None] = {}
    for one in some:
        role = one.role.rpartition("/")[2] if one.role.startswith("projects/") else one.role
        everybody = one.role == names.ACCOUNT_USER and one.condition is None
        told[f"{role}{' with a condition' if one.condition else ''}{' without a condition' * everybody}"] = None
    return " and ".join(told)


def _plan_users(current: Current, wanted: Desired) -> Iterator[Action]:
    """Let CAST AI's own account use ours, if possible before CAST AI does."""
    account, cast = current.account, current.cast_account
    change = users_change(current)
    lets = SetPolicy(
        f"let {cast or 'that account'} impersonate service account {account.email}",
        f"gcp/policy/{account.email}",
        None,
        [one.shown() for one in change.added],
        account.email,
        home_of(account.email, current.project),
        change,
    )
    if change and cast:
        yield lets
    if not cast or current.client_account != account.email:
        yield CreateCastAccount(
            f"ask CAST AI to create the account that impersonates {account.email}",
            f"castai/cluster/{wanted.cluster_id}/service-account",
            cast or None,
            cast or UNKNOWN,
            wanted.cluster_id,
            account.email,
            current.project.project,
        )
    if change and not cast:
        yield lets


# The hand-over


def _plan_hand_over(current: Current, wanted: Desired) -> Iterator[Action]:
    target, email = f"castai/credentials/{wanted.cluster_id}", current.account.email
    keys = our_keys(current, wanted)
    if wanted.keyless:
        # CAST AI's record names the account even before the hand-over.
        if not is_named(current) or not current.credentials_id or has_key(current, wanted):
            yield HandOverAccount(
                f"hand service account {email} without a key to CAST AI for cluster {wanted.cluster_id}",
                target,
                current.credentials_id or None,
                f"service account {email}",
                wanted.cluster_id,
            )
        for key in keys.keys:
            yield _delete_key(current, wanted, Deletion(key.id, "which CAST AI does not need"))
        return
    if keys.settled:
        yield from (_delete_key(current, wanted, one) for one in keys.leftovers())
    elif not _served(current, wanted):
        for one in keys.making_room():
            keys = keys.without(one.key_id)
            yield _delete_key(current, wanted, one)
        yield _hand_over_key(current, wanted)
        yield from (_delete_key(current, wanted, one) for one in keys.replaced())
    # CAST AI has a key by now.
    yield from _take_users(current, users_to_remove(current, wanted))


def _take_users(current: Current, change: Change) -> Iterator[Action]:
    """Stop letting CAST AI's own account impersonate ours."""
    email = current.account.email
    if change:
        yield SetPolicy(
            f"stop letting {current.cast_account} impersonate service account {email}",
            f"gcp/policy/{email}",
            [one.shown() for one in change.removed],
            None,
            email,
            home_of(email, current.project),
            change,
        )


def _served(current: Current, wanted: Desired) -> bool:
    """Whether CAST AI probably has a key of the existing account that we did not create, or did not note because
    clusters share the role.

    All that is known is that CAST AI has credentials, that a live key exists, and that CAST AI did not use the account
    without a key, or another account, so far.
    """
    noted = bool(note_of(current, wanted, current.account.email).account) and not wanted.shared
    # What CAST AI has may be a key of another account. With a shared role, a new key could not be noted.
    others = current.unshown or _others_with_role(current, wanted, names.SHARED_ROLE)
    unsure = not wanted.shared and bool(others or had_own_account(current, wanted))
    if noted or unsure or not wanted.existing_account:
        return False
    live = any(not (key.dead or key.due) for key in current.keys.keys)
    own = any(one.found for one in current.former_accounts)
    other = own or users_to_remove(current, wanted) or former_of_users(current, wanted)
    return bool(current.credentials_id) and live and not other


def _others_with_role(current: Current, wanted: Desired, *role_ids: str) -> list[str]:
    """The addresses of other service accounts that have a role of this cluster, or one of these."""
    project, start = current.project.project, names.member("")
    own = {*own_roles(current, wanted), *wanted.former_role_ids} - {names.SHARED_ROLE}
    roles = {names.role_name(project, one) for one in (*own, *role_ids)}
    held = (one.member for one in triples(current.home.policy) if one.role in roles)
    emails = (one.removeprefix(start).lower() for one in held if one.startswith(start))
    return [one for one in dict.fromkeys(emails) if one != current.account.email]


def _hand_over_key(current: Current, wanted: Desired) -> HandOverKey:
    email, project, notes = current.account.email, current.project.project, None
    if wanted.existing_account and not wanted.shared:
        former = former_of_users(current, wanted)
        of_former = (key.id for keys in former.values() for key in keys)
        own = (*(key.id for key in our_keys(current, wanted).keys), *of_former)
        role_id = role_id_of(current, wanted)
        notes = RoleNotes(project, role_id, wanted.cluster_id, email, own, tuple(former))
    return HandOverKey(
        f"create a key of service account {email} and hand it to CAST AI for cluster {wanted.cluster_id}",
        f"castai/credentials/{wanted.cluster_id}",
        current.credentials_id or None,
        f"a key of service account {email}",
        wanted.cluster_id,
        email,
        home_of(email, current.project),
        None if wanted.existing_account else _mark(current, wanted),
        current.account.found is None,
        notes,
    )


def _noting_role(current: Current, wanted: Desired) -> Shown | None:
    """The role in whose description the keys of an existing account are noted."""
    if wanted.shared or not wanted.existing_account:
        return None
    return _shown_role(current, wanted, current.project.project, current.home, role_id_of(current, wanted))


# The accounts that CAST AI had before


def _shown_former(former: CastAccount) -> Shown | None:
    """A name of ours and the mark of this cluster led to it."""
    return Shown(f"Service account {former.email}", former.found, True) if former.found else None


def _former_account(current: Current, wanted: Desired, former: CastAccount) -> Iterator[Action]:
    """Remove an account that we created. Of one of the user's, only our keys are deleted, and CAST AI's own account
    loses its use: nothing shows which of its bindings are needed."""
    before = replace(current, account=former, gone=frozenset())
    guarded = wanted.present and not wanted.keyless and our_keys(current, wanted).settled
    ours = former.keys if former.found else keys_of(current, wanted, former)
    bindings = _former_account_bindings(current, wanted, former)
    for where, change in bindings.items() if former.found else ():
        yield _set_policy(before, where, change)
    for key in ours:
        yield _delete_key(before, wanted, Deletion(key.id, "which CAST AI no longer needs", guarded))
    if former.found:
        yield _delete_account(before)
    else:
        yield from _take_users(before, bindings[former.email])


def _former_removals(current: Current, wanted: Desired) -> Iterator[Removal]:
    for former in current.former_accounts:
        contents = tuple(_former_account(current, wanted, former))
        yield Removal("former service account", _shown_former(former), "", contents=contents)


def _former_account_bindings(current: Current, wanted: Desired, former: CastAccount) -> dict[str, Change]:
    if not former.found:
        return {former.email: users_of_former(current, wanted, former)}
    # What is in former projects is removed before their record is.
    projects = {} if wanted.present and wanted.prepare else current.former
    before = replace(current, account=former, gone=frozenset(), former=projects)
    return bindings_to_remove(before, replace(wanted, existing_account=""))


def _delete_key(current: Current, wanted: Desired, one: Deletion) -> DeleteKey:
    email = current.account.email
    return DeleteKey(
        f"delete key {one.key_id} of service account {email}, {one.why}",
        f"gcp/service-account/{email}/keys/{one.key_id}",
        "live",
        None,
        one.key_id,
        wanted.cluster_id if one.guarded else "",
        current.credentials_id if one.guarded else "",
        email,
        home_of(email, current.project),
    )


# Removal


def removals(current: Current, wanted: Desired) -> Iterator[Removal]:
    """Everything to remove, in an order that works: bindings before the account, so that no binding outlives it, and
    the account before its role. What shows the next run that something is ours goes after it: keys that only the role's
    description names go before the role, a role that only its binding shows goes before that binding, and CAST AI's
    account, which only its record names, goes last."""
    account, found, shown = current.account, current.account.found, _shown(current, wanted)
    shown_by_binding, others = _role_removals(current, wanted)
    yield from _former_removals(current, wanted)
    foreign = wanted.owner.kept(shown)
    if found and wanted.existing_account and not foreign:
        ours = keys_of(current, wanted, account)
        deletions = (_delete_key(current, wanted, Deletion(key.id, "which was CAST AI's")) for key in ours)
        yield Removal("keys", shown, "", contents=tuple(deletions))
    yield from shown_by_binding
    if not foreign:
        for where, change in bindings_to_remove(current, wanted).items():
            yield Removal("bindings", shown, "", _set_policy(current, where, change))
        yield from _binding_kept(current, wanted)
        if found and wanted.existing_account:
            yield Removal("bindings", shown, "", contents=tuple(_take_users(current, users_to_remove(current, wanted))))
    if found and wanted.existing_account:
        yield from _existing_kept(current, wanted)
    elif found:
        keys = (_delete_key(current, wanted, Deletion(key.id, "with the account")) for key in account.keys)
        yield Removal(f"service account {account.email}", shown, "", _delete_account(current), tuple(keys))
    yield from others
    yield from _of_cast_ai(current, wanted)


def _of_cast_ai(current: Current, wanted: Desired) -> Iterator[Removal]:
    """What CAST AI itself created."""
    for pool in current.cluster.node_pools if current.cluster else ():
        if pool.name in POOLS:
            yield Removal(
                f"node pool {pool.name}", None, "CAST AI created it, and deletes it when it disconnects the cluster"
            )
    if current.client_account:
        disable = DisableCastAccount(
            f"ask CAST AI to disable the account that impersonates {current.client_account}",
            f"castai/cluster/{wanted.cluster_id}/service-account",
            current.cast_account or UNKNOWN,
            None,
            wanted.cluster_id,
        )
        yield Removal(f"CAST AI's account {current.cast_account}", None, "", disable)


def _delete_account(current: Current) -> DeleteAccount:
    email, found = current.account.email, current.account.found
    return DeleteAccount(
        f"delete service account {email}",
        f"gcp/service-account/{email}",
        {"email": email, "description": found.account.description if found else ""},
        None,
        email,
        home_of(email, current.project),
    )


def _existing_kept(current: Current, wanted: Desired) -> Iterator[Removal]:
    """An existing account, and what may be CAST AI's although nothing shows it."""
    account = current.account
    yield Removal(f"service account {account.email}", None, f"it was set with {EXISTING_ACCOUNT}")
    for email in current.unshown:
        yield Removal(f"service account {email}", None, "nothing shows which cluster it belongs to")
    for key in () if note_of(current, wanted, account.email).account else account.keys:
        thing = f"key {key.id} of service account {account.email}"
        yield Removal(thing, None, "no record shows whether CAST AI has it")


def _binding_kept(current: Current, wanted: Desired) -> Iterator[Removal]:
    """Bindings that stay, or could not be looked for."""
    project = current.project.project
    thing = f"binding of {names.ACCOUNT_USER} to {current.account.email} on project {project}"
    for where in shared_of_existing(current, wanted):
        shared = f"binding of role {names.SHARED_ROLE} to {current.account.email} on project {where}"
        yield Removal(shared, None, "other clusters may need it")
    if used_by_others(current, wanted):
        yield Removal(thing, None, "other clusters may use the account, too")
        for one in users_of(current, wanted):
            users = f"binding of {one.role} to {current.cast_account} on service account {current.account.email}"
            yield Removal(users, None, "other clusters may use the account, too")
    elif wanted.existing_account and project_wide(current.held):
        yield Removal(thing, None, "it may have existed before onboarding")
    for email in nodes_that_stay(current, wanted):
        thing = f"binding of {names.ACCOUNT_USER} to {current.account.email} on service account {email}"
        yield Removal(thing, None, MAY_BE_OTHERS)
    for where in subnets_that_stay(current, wanted):
        thing = f"binding of {names.NETWORK_USER} to {current.account.email} on {_resource(where)}"
        yield Removal(thing, None, MAY_BE_OTHERS)
    if current.unlisted:
        thing = f"bindings on service accounts of project {project} that no node pool uses"
        yield Removal(thing, None, "finding them needs iam.serviceAccounts.list")
    for other in [one for one, state in current.former.items() if state is None]:
        yield Removal(f"bindings and role in project {other}", None, "these credentials may not read them")


def _role_removals(current: Current, wanted: Desired) -> tuple[list[Removal], list[Removal]]:
    """The roles that nothing but their binding shows to be ours, and the others. The role of the cluster's project
    comes last, because its description names the other projects."""
    own, ids = own_roles(current, wanted), (*wanted.former_role_ids, *bound_roles(current))
    others = names.roles_of_others(wanted.name) if wanted.existing_account else ()
    home = [one for one in current.home.roles if one in own or (one in ids and one not in others)]
    elsewhere = projects_elsewhere(current)
    every = [(project, state, one) for project, state in elsewhere.items() for one in state.roles]
    every += [(current.project.project, current.home, one) for one in home]
    there = [where for where in every if not where[1].roles[where[2]].deleted]
    parted: tuple[list[Removal], list[Removal]] = ([], [])
    for project, state, role_id in there:
        by_name = _names.short_id(wanted.cluster_id) in role_id
        parted[by_name].append(_remove_role(current, wanted, project, state, role_id))
    return parted


def _remove_role(current: Current, wanted: Desired, project: str, state: ProjectState, role_id: str) -> Removal:
    """It takes both the mark and a name or binding to delete a role, or adopt."""
    thing, role = f"role {role_id} of project {project}", state.roles[role_id]
    if role_id == names.SHARED_ROLE:
        return Removal(thing, None, "the clusters of the project share it")
    shown = _shown_role(current, wanted, project, state, role_id)
    kept = ""
    gone = (one for one in current.former_accounts if one.found)
    members = [one.member.lower() for one in (current.account, *gone)]
    deleted = tuple(f"deleted:{one}?uid=" for one in members)
    every = members_of(state.policy, names.role_name(project, role_id))
    bound = [one.lower() for one in every if one not in current.gone]
    marked = marked_role(role.description) == wanted.cluster_id
    by_name = role_id in names.terraforms_roles(wanted.name)
    if not (marked and (by_name or (shown and shown.evidence))) and not wanted.owner.adopt:
        what = "only" if marked else "nothing in"
        kept = f"{what} its description shows that it belongs to this cluster"
    elif any(one not in members and not one.startswith(deleted) for one in bound):
        kept = "it is also bound to others"
    delete = DeleteRole(
        f"delete role {role_id} of project {project}, whose ID cannot be used again for up to {BLOCKED_DAYS} days",
        f"gcp/role/{names.role_name(project, role_id)}",
        sorted(role.permissions),
        None,
        project,
        role_id,
    )
    return Removal(thing, shown, kept, delete)


# The result


def view(current: Current, wanted: Desired, made: Made) -> Mapping[str, Any]:
    account = current.account
    shown: dict[str, Any] = {"service_account": account.email}
    if not wanted.present:
        return {**shown, "bindings": _shown_bindings(current, wanted, made), "kept": list(made.get("kept", ()))}
    role_id = role_id_of(current, wanted)
    project = current.project.project
    warnings = list(_warnings(current, wanted))
    return {
        **shown,
        "adopted": _adopted(current, wanted),
        "bindings": _shown_bindings(current, wanted, made),
        "role": names.role_name(project, made.get(f"role {role_id} of {project}", role_id)),
        **({"warnings": warnings} if warnings else {}),
    }


def _shown_bindings(current: Current, wanted: Desired, made: Made) -> dict[str, Any]:
    """The bindings that were written, or would be in check mode."""
    if "bindings added" in made:
        return {"added": list(made["bindings added"]), "removed": list(made["bindings removed"])}
    changes: list[tuple[str, Change]] = []
    users = NO_CHANGE
    former = [
        one
        for account in current.former_accounts
        if wanted.hand_over or not wanted.present
        for one in _former_account_bindings(current, wanted, account).items()
    ]
    if not wanted.present:
        foreign = bool(wanted.owner.kept(_shown(current, wanted)))
        changes = [] if foreign else [*bindings_to_remove(current, wanted).items()]
        users = users_to_remove(current, wanted) if wanted.existing_account and not foreign else NO_CHANGE
    if wanted.present and wanted.prepare:
        former_projects = ((where, change) for _before, where, change in _former_changes(current, wanted))
        changes = [*former_projects, *binding_changes(current, wanted).items()]
        users = users_change(current) if wanted.keyless else NO_CHANGE
    if wanted.present and wanted.hand_over and not wanted.keyless:
        users = users_to_remove(current, wanted)
    changes.append((current.account.email, users))
    # A removal begins with the former accounts; everything else ends with them.
    changes = [*changes, *former] if wanted.present else [*former, *changes]
    return {
        "added": [{"resource": where, **one.shown()} for where, change in changes for one in change.added],
        "removed": [{"resource": where, **one.shown()} for where, change in changes for one in change.removed],
    }


def _adopted(current: Current, wanted: Desired) -> dict[str, str]:
    """The names of existing objects that were taken over, with the tool that created each."""
    found: dict[str, str] = {}
    account = current.account
    if account.found and not wanted.existing_account and (account.maker or not account.found.mark.cluster_id):
        found[account.email] = account.maker or "the onboarding script"
    role_id = role_id_of(current, wanted)
    maker = names.roles_of_others(wanted.name).get(role_id)
    if maker and role_id in current.home.roles:
        found[role_id] = maker
    return found


def _warnings(current: Current, wanted: Desired) -> Iterator[str]:
    project, email = current.project.project, current.account.email
    if wanted.prepare:
        yield from _binding_warnings(current, wanted)
        for where in () if wanted.shared else shared_of_existing(current, wanted):
            yield (
                f"{email} also has role {names.SHARED_ROLE} in project {where}, which other clusters may need. Remove"
                " the binding if none does."
            )
        shared = current.home.roles.get(names.SHARED_ROLE)
        if wanted.shared and shared and not shared.deleted and shared.permissions != wanted.permissions:
            yield (
                f"Role {names.SHARED_ROLE}, which the clusters of project {project} share, differs from the expected"
                " one and was left unchanged."
            )
    yield from _warnings_about_others(current, wanted)
    unknown = [] if wanted.keyless or _served(current, wanted) else unrecorded_keys(current, wanted)
    if unknown:
        yield (
            f"CAST AI has credentials that no run recorded. If they are for a key of service account {email}"
            f" ({' or '.join(unknown)}), delete that key."
        )
    ours = our_keys(current, wanted)
    for key in () if wanted.keyless else current.account.keys:
        end = moment(key.expires)
        if end and ours.settled and key.id == ours.handed_over.key_id:
            yield (
                f"Key {key.id} of service account {email} expires on {end:%Y-%m-%d}. A run before that date replaces"
                " it."
            )


def _warnings_about_others(current: Current, wanted: Desired) -> Iterator[str]:
    """About other accounts that CAST AI had before, or may have had."""
    for former in current.former_accounts:
        held = [] if former.found else list(_held_by_former(current, wanted, former))
        if held:
            yield (
                f"Service account {former.email}, which CAST AI had before, still has bindings of"
                f" {' and of '.join(held)}. Remove them if nothing else needs them."
            )
        before = replace(current, account=former)
        lent = [] if former.found else users_of(before, replace(wanted, existing_account=former.email))
        if lent and not users_of_former(current, wanted, former):
            yield (
                f"{current.cast_account} may still impersonate service account {former.email}, because other clusters"
                " may use that account, too."
            )
    known = [one.email for one in current.former_accounts]
    others = [one for one in _others_with_role(current, wanted) if one not in known]
    if others:
        yield (
            f"A role of this cluster is also bound to {' and '.join(others)}. Remove the binding if nothing else needs"
            " it, and delete CAST AI's key if CAST AI had this account before."
        )
    if current.unshown:
        yield (
            f"There is also {' and '.join(current.unshown)}, with a name that CAST AI's script or another tool gives to"
            " this cluster's service account. Nothing shows which cluster it belongs to: delete it if nothing needs it."
        )


def _held_by_former(current: Current, wanted: Desired, former: CastAccount) -> Iterator[str]:
    """The bindings that one of the user's accounts may have because CAST AI had it, in words."""
    others = {project: state.policy for project, state in {**current.extra, **current.former}.items() if state}
    role_ids = own_roles(current, wanted)
    for project, policy in {current.project.project: current.home.policy, **others}.items():
        yield from _held_on(project, policy, former, *(names.role_name(project, one) for one in role_ids))
    for where, policy in current.account_policies.items():
        yield from _held_on(where, policy, former)
    for where, policy in current.subnets.items():
        yield from _held_on(where, policy, former, names.NETWORK_USER)


def _held_on(where: str, policy: Policy, former: CastAccount, *roles: str) -> Iterator[str]:
    held = [one for one in held_by(policy, former.member) if one.role in (names.ACCOUNT_USER, *roles)]
    if held:
        yield f"{_roles(held)} on {_resource(where)}"


def _binding_warnings(current: Current, wanted: Desired) -> Iterator[str]:
    email, project = current.account.email, current.project.project
    if project_wide(current.held) and not wanted.chosen:
        yield (
            f"{email} may act as every service account of project {project}, because of an existing binding of"
            f" {names.ACCOUNT_USER}. Set {SERVICE_ACCOUNT_USER} to {NODE_ACCOUNTS} or {ON_ACCOUNTS} to remove it."
        )
    unasked = unasked_accounts(current, wanted)
    if unasked:
        yield (
            f"{email} may act as {', '.join(unasked)} because of existing bindings of {names.ACCOUNT_USER} on these"
            f" accounts. Set {SERVICE_ACCOUNT_USER} to {NODE_ACCOUNTS} to remove them, or to {ON_ACCOUNTS} to keep"
            " them."
        )
    for other, state in current.former.items():
        roles = own_role_names(current, wanted, other, state or ProjectState())
        accounts = (current.account, *current.former_accounts)
        held = [one.role for account in accounts if state for one in held_by(state.policy, account.member)]
        if state is None:
            yield (
                f"{email} may still have its role in project {other}, which {named('extra_projects', ROLE)} no longer"
                " names: the IAM policy there could not be read. Remove the binding there."
            )
        elif roles.intersection(held):
            yield (
                f"The role of this cluster in project {other} is no longer bound to anybody. It stays until you"
                " delete it."
            )
    if current.unlisted:
        yield (
            "Could not check whether accounts that no node pool uses have a binding for CAST AI. Grant"
            f" iam.serviceAccounts.list in project {project}."
        )
    if any(one.role == names.DEVELOPER for one in current.held):
        yield f"{email} has {names.DEVELOPER}, which CAST AI does not need. It was left unchanged."
    own = own_nodes(current.node_accounts, current.project)
    elsewhere = [one for one in current.node_accounts if one not in own]
    if elsewhere and wanted.form in (NODE_ACCOUNTS, PROJECT):
        yield (
            f"The node accounts {', '.join(elsewhere)} belong to other projects, where no binding of project {project}"
            f" lets CAST AI use them. Set {SERVICE_ACCOUNT_USER} to {ON_ACCOUNTS}, or run for each: gcloud iam"
            f" service-accounts add-iam-policy-binding ACCOUNT --member {current.account.member} --role"
            f" {names.ACCOUNT_USER}"
        )
    missing = [one for one in own if current.node_accounts[one] is None and wanted.form == NODE_ACCOUNTS]
    if missing:
        yield f"The node accounts {', '.join(missing)} do not exist, so no binding names them."


SUBJECT = Subject(OPTIONS, desired, connect, observe, plan, view)
