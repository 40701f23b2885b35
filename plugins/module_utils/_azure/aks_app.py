# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CAST AI's identity for one AKS cluster. PRIVATE to the collection.

Everything is prepared first, CAST AI gets its credentials last. What is asked for: options; what is there: observed;
writes: actions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .. import _names
from .._engine import UNKNOWN, Action, Kept, Made, Refused, Subject
from .._gateways.azure_authorization import RoleAssignment, RoleDefinition
from .._keys import Deletion, moment
from .._owner import Removal
from .._record import check_record, check_removable
from .._variables import named
from . import marks, names, role
from .actions import (
    Assign,
    CreateApp,
    CreatePrincipal,
    CreateRole,
    DeleteApp,
    DeleteRole,
    DeleteSecret,
    Handing,
    HandOverGiven,
    HandOverSecret,
    MarkApp,
    Unassign,
    UpdateRole,
    same_assignment,
)
from .observed import App, Current, MarkedRole, connect, keys_of, observe, scopes
from .options import OPTIONS, ROLE, Desired, desired
from .proxy import Proxy, secrets

TOMBSTONE_DAYS = 30
"""How long a deleted app can be restored. Source: Entra's guide to deleted applications."""

POOLS = ("castpool", "castworkers")
"""Agent pools that CAST AI makes."""

EXISTING_APP = named("existing_app_id", ROLE)


def plan(current: Current, wanted: Desired) -> Iterator[Action | Kept]:
    refusal = " ".join(_misplaced(current, wanted))
    if refusal:
        raise Refused(refusal)
    if not wanted.present:
        check_removable(current.record, wanted.force)
        for removal in removals(current, wanted):
            yield from removal.planned
        return
    _check_app(current, wanted)
    if wanted.prepare:
        yield from _plan_role(current, wanted)
        yield from _plan_app(current, wanted)
        yield from _plan_assignments(current, wanted)
    if wanted.hand_over:
        yield from _plan_hand_over(current, wanted)
    if settled(current, wanted) or wanted.hand_over:
        yield from _plan_orphans(current, wanted)


def _misplaced(current: Current, wanted: Desired) -> Iterator[str]:
    """Why this is not the cluster that the user named."""
    record = check_record(current.record, wanted.cluster_id, wanted.present)
    if record:
        subscription = record.facts.get("subscriptionId", "")
        place = (record.provider, subscription.lower(), record.name.lower())
        if place != ("aks", current.subscription.lower(), wanted.name.lower()):
            yield (
                f"CAST AI's cluster {record.id} is {record.provider} cluster {record.name} of subscription"
                f" {subscription or 'unknown'}, not {wanted.name} of subscription {current.subscription}. Correct"
                f" {named('cluster_id')} or {named('cluster_name')}."
            )
    if wanted.present and wanted.prepare and current.cluster is None:
        yield (
            f"Resource group {wanted.group} of subscription {current.subscription} has no AKS cluster {wanted.name}."
            f" Check {named('cluster_name')}, {named('resource_group')} and {named('subscription_id')}."
        )
    elif current.cluster and current.cluster.http_proxy and wanted.proxy:
        yield (
            f"AKS cluster {wanted.name} has an HTTP proxy of its own, and {named('http_proxy', ROLE)} sets another."
            " Leave one of them out."
        )


# The app


def app_of(current: Current, wanted: Desired) -> App | None:
    """The app registration to work with: the one that CAST AI has, as far as its notes tell, else the first by tag or
    name that is not another cluster's."""
    if wanted.existing_app:
        return next(iter(current.apps), None)
    own = [one for one in current.apps if not wanted.owner.others(one) and _rank(one, current, wanted) > (0,)]
    return max(own, key=lambda one: _rank(one, current, wanted), default=None)


def _rank(one: App, current: Current, wanted: Desired) -> tuple[int, ...]:
    """How much tells that an app is this cluster's; (0,) for nothing.

    Terraform's names are those of clusters of other subscriptions too, so that alone they tell nothing.
    """
    in_use = bool(current.credentials_id) and one.note.credentials_id == current.credentials_id
    marked = bool(one.cluster_ids)
    assigned = bool(one.principal and current.held(one.principal.id))
    by_name = one.app.name in names.apps(wanted.name, wanted.cluster_id)
    if not (marked or by_name or assigned or wanted.owner.adopt):
        return (0,)
    return (1, in_use, marked, by_name, assigned)


def _app_name(current: Current, wanted: Desired) -> str:
    """The display name of the app, also of one that is to be created."""
    found = app_of(current, wanted)
    if found:
        return found.app.name
    taken = {one.app.name for one in current.apps}
    every = names.apps(wanted.name, wanted.cluster_id)
    return next((one for one in every if one not in taken), every[-1])


def _evidence(found: App, wanted: Desired) -> bool:
    """Whether the name alone tells that an app without a tag is this cluster's."""
    return found.app.name in names.apps(wanted.name, wanted.cluster_id)


def _check_app(current: Current, wanted: Desired) -> None:
    """Refuse an app of another cluster, a given one that does not exist, and several that may be it."""
    found = app_of(current, wanted)
    if wanted.existing_app:
        if found is None:
            raise Refused(
                f"Tenant {current.tenant} has no app registration with client ID {wanted.existing_app}. Correct"
                f" {EXISTING_APP}."
            )
        if wanted.owner.others(found):
            wanted.owner.check(_titled(found), found, True, EXISTING_APP)
        return
    if found is None:
        return
    wanted.owner.check(_titled(found), found, _evidence(found, wanted), EXISTING_APP)
    best = _rank(found, current, wanted)
    equal = [one for one in current.apps if not wanted.owner.others(one) and _rank(one, current, wanted) == best]
    if len(equal) > 1:
        ids = " and ".join(sorted(one.app.client_id for one in equal))
        raise Refused(
            f"Several app registrations may be that of cluster {wanted.cluster_id}, with the client IDs {ids}. Delete"
            f" those that nothing needs, or set {EXISTING_APP} to the right one."
        )


def _titled(found: App) -> str:
    return f"App registration {found.app.name} ({found.app.client_id})"


def _plan_app(current: Current, wanted: Desired) -> Iterator[Action]:
    found, name = app_of(current, wanted), _app_name(current, wanted)
    target = f"azure/app/{name}"
    if found is None:
        tags = marks.app_tags(wanted.cluster_id, wanted.name)
        yield CreateApp(
            f"create app registration {name} in tenant {current.tenant}, which CAST AI uses",
            target,
            None,
            {"name": name, "tags": list(tags)},
            current.tenant,
            wanted.cluster_id,
            wanted.owners,
            bool(role_of(current, wanted)),
        )
    elif not wanted.existing_app:
        tags = marks.marked_tags(found.app.tags, wanted.cluster_id, wanted.name)
        if set(tags) != set(found.app.tags):
            yield MarkApp(
                f"tag app registration {name} with the cluster that it belongs to",
                f"{target}/tags",
                list(found.app.tags),
                list(tags),
                current.tenant,
                found.app.id,
            )
    if found is None or found.principal is None:
        yield CreatePrincipal(
            f"create the service principal of app registration {name}",
            f"{target}/service-principal",
            None,
            {"app": name},
            current.tenant,
            found.app.client_id if found else UNKNOWN,
            wanted.owners,
        )


# The role


def role_of(current: Current, wanted: Desired) -> RoleDefinition | None:
    """The role to work with: Terraform's where the identity has it, else the cluster's own."""
    principal = principal_of(current, wanted)
    held = {one.role_guid for one in current.held(principal)}
    by_name = {one.name.lower(): one for one in current.roles}
    terraform = by_name.get(names.terraform_role(wanted.name).lower())
    if terraform and terraform.guid.lower() in held:
        return terraform
    found = (by_name.get(name.lower()) for name in names.roles(wanted.cluster_id))
    return next((one for one in found if one and not wanted.owner.others(MarkedRole(one))), None)


def principal_of(current: Current, wanted: Desired) -> str:
    """The object id of the identity, empty where there is none yet."""
    found = app_of(current, wanted)
    return found.principal.id if found and found.principal else ""


def _plan_role(current: Current, wanted: Desired) -> Iterator[Action]:
    found, need = role_of(current, wanted), scopes(current, wanted)
    description = marks.description(wanted.cluster_id)
    actions = sorted(wanted.actions)
    if found is None:
        taken = {one.name.lower() for one in current.roles}
        every = names.roles(wanted.cluster_id)
        free = [one for one in every if one.lower() not in taken] or every[-1:]
        yield CreateRole(
            f"create role {free[0]} with {len(actions)} actions",
            f"azure/role/{free[0]}",
            None,
            {"name": free[0], "actions": actions, "scopes": list(need)},
            current.home,
            names.role_guid(wanted.cluster_id),
            description,
            tuple(free[1:]),
        )
        return
    used = (scope for scope in found.scopes if any(one.role_guid == found.guid.lower() for one in _at(current, scope)))
    every_scope = role.distinct((*need, *used))
    has = [action for some in found.permissions for action in some.actions]
    takes_away = any(some.not_actions for some in found.permissions)
    missing = role.folded(need) - role.folded(found.scopes)
    if missing or takes_away or not role.same(has, actions) or marks.marked(found.description) != wanted.cluster_id:
        yield UpdateRole(
            f"update role {found.name}",
            f"azure/role/{found.name}",
            {"name": found.name, "actions": sorted(has), "scopes": list(found.scopes)},
            {"name": found.name, "actions": actions, "scopes": list(every_scope)},
            current.home,
            found.guid,
            description,
        )


def _at(current: Current, scope: str) -> tuple[RoleAssignment, ...]:
    return current.assignments.get(scope.lower(), ())


# Assignments


def missing_assignments(current: Current, wanted: Desired) -> tuple[str, ...]:
    """The scopes at which the identity has not its role yet."""
    found, principal = role_of(current, wanted), principal_of(current, wanted)
    if found is None or not principal:
        return scopes(current, wanted)
    return tuple(
        scope
        for scope in scopes(current, wanted)
        if not any(same_assignment(one, scope, found.id, principal) for one in _at(current, scope))
    )


def _plan_assignments(current: Current, wanted: Desired) -> Iterator[Action]:
    found, name = role_of(current, wanted), _app_name(current, wanted)
    for scope in missing_assignments(current, wanted):
        yield Assign(
            f"assign role {_role_name(current, wanted)} to {name} on {_group(scope)}",
            f"azure/assignment{scope}",
            None,
            {"role": _role_name(current, wanted), "to": name},
            scope,
            wanted.cluster_id,
            found.id if found else UNKNOWN,
            principal_of(current, wanted) or UNKNOWN,
        )


def _role_name(current: Current, wanted: Desired) -> str:
    found = role_of(current, wanted)
    return found.name if found else names.roles(wanted.cluster_id)[0]


def _group(scope: str) -> str:
    """A resource group in words."""
    parts = scope.split("/")
    return f"resource group {parts[-1]} of subscription {parts[2]}"


def orphans(current: Current, wanted: Desired) -> tuple[RoleAssignment, ...]:
    """Assignments that were of an identity which this cluster had before."""
    found, principal = role_of(current, wanted), principal_of(current, wanted)
    if found is None:
        return ()
    return tuple(
        one
        for one in current.every_assignment
        if one.role_guid == found.guid.lower()
        and one.principal.lower() != principal.lower()
        and _ours(one, wanted, found)
    )


def _ours(one: RoleAssignment, wanted: Desired, found: RoleDefinition) -> bool:
    """Whether this collection or the script made an assignment for this cluster."""
    own = names.assignment_guid(wanted.cluster_id, one.scope, found.guid, one.principal)
    return (
        marks.marked(one.description) == wanted.cluster_id
        or one.name.lower() == own
        or names.script_assignment(wanted.cluster_id, one.name)
    )


def _plan_orphans(current: Current, wanted: Desired) -> Iterator[Action]:
    for one in orphans(current, wanted):
        yield _unassign(one, "which belongs to an identity that CAST AI no longer uses")


def _unassign(one: RoleAssignment, why: str = "") -> Unassign:
    return Unassign(
        f"delete role assignment {one.name} on {_group(one.scope)}{', ' if why else ''}{why}",
        f"azure/assignment{one.scope}/{one.name}",
        {"role": one.role, "to": one.principal},
        None,
        one.scope,
        one.name,
    )


# The hand-over


def settled(current: Current, wanted: Desired) -> bool:
    """Whether CAST AI has what it is to have."""
    found = app_of(current, wanted)
    if found is None:
        return False
    if wanted.existing_app:
        return bool(current.credentials_id)
    return keys_of(found, current, wanted).settled


def proxy_of(current: Current, wanted: Desired) -> Proxy | None:
    """What CAST AI is to be told, None for nothing."""
    cluster = current.cluster.http_proxy if current.cluster and wanted.proxy_of_cluster else None
    if cluster:
        return Proxy(cluster.http, cluster.https, cluster.no_proxy)
    return wanted.proxy


def _plan_hand_over(current: Current, wanted: Desired) -> Iterator[Action]:
    found, name = app_of(current, wanted), _app_name(current, wanted)
    target = f"castai/credentials/{wanted.cluster_id}"
    client = found.app.client_id if found else UNKNOWN
    handing = Handing(current.subscription, current.tenant, client, proxy_of(current, wanted))
    if wanted.existing_app:
        if not settled(current, wanted):
            yield HandOverGiven(
                f"hand the given secret of app registration {name} to CAST AI for cluster {wanted.cluster_id}",
                target,
                None,
                _shown_hand_over(f"a secret of app registration {name}", handing),
                wanted.cluster_id,
                handing,
                wanted.existing_secret,
            )
        return
    keys = keys_of(found, current, wanted) if found else None
    if keys and keys.settled:
        yield from (_delete_secret(current, wanted, one) for one in keys.leftovers())
        return
    for one in keys.making_room() if keys else ():
        keys = keys and keys.without(one.key_id)
        yield _delete_secret(current, wanted, one)
    yield HandOverSecret(
        f"create a secret of app registration {name} and hand it to CAST AI for cluster {wanted.cluster_id}",
        target,
        current.credentials_id or None,
        _shown_hand_over(f"a secret of app registration {name}", handing),
        wanted.cluster_id,
        handing,
        found.app.id if found else UNKNOWN,
        names.secret(wanted.name),
        wanted.secret_days,
        found.app.notes if found else "",
        found is None,
    )
    yield from (_delete_secret(current, wanted, one) for one in (keys.replaced() if keys else ()))


def _shown_hand_over(what: str, handing: Handing) -> Any:
    return {"credentials": what, "http_proxy": handing.proxy.shown()} if handing.proxy else what


def _delete_secret(current: Current, wanted: Desired, one: Deletion) -> DeleteSecret:
    found = app_of(current, wanted)
    assert found
    return DeleteSecret(
        f"delete secret {one.key_id} of app registration {found.app.name}, {one.why}",
        f"azure/app/{found.app.name}/secrets/{one.key_id}",
        "live",
        None,
        one.key_id,
        wanted.cluster_id if one.guarded else "",
        current.credentials_id if one.guarded else "",
        current.tenant,
        found.app.id,
    )


# Removal


def removals(current: Current, wanted: Desired) -> Iterator[Removal]:
    """Everything to remove, in an order that works: assignments before the app, so that none is left of a deleted one,
    and the app before its role."""
    found = app_of(current, wanted)
    kept = _kept(current, wanted)
    for one in _assignments_to_remove(current, wanted):
        yield Removal(f"role assignment {one.name}", "", (_unassign(one),))
    if found and kept:
        yield Removal(f"app registration {found.app.name}", kept)
    elif found:
        delete = DeleteApp(
            f"delete app registration {found.app.name}, which can be restored for {TOMBSTONE_DAYS} days",
            f"azure/app/{found.app.name}",
            {"name": found.app.name, "client_id": found.app.client_id},
            None,
            current.tenant,
            found.app.id,
        )
        yield Removal(f"app registration {found.app.name}", "", (delete,))
    yield from _role_removals(current, wanted)
    for pool in current.cluster.pools if current.cluster else ():
        if pool.name in POOLS:
            yield Removal(f"agent pool {pool.name}", "CAST AI made it, and only its own disconnecting deletes it")


def _kept(current: Current, wanted: Desired) -> str:
    """Why removal keeps the app, or an empty text, also if it does not exist."""
    found = app_of(current, wanted)
    if wanted.existing_app:
        return f"it was set with {EXISTING_APP}"
    if found is None:
        return ""
    known = _evidence(found, wanted) or bool(found.principal and current.held(found.principal.id))
    if not (known or wanted.owner.adopt):
        return "only its tag shows that it belongs to this cluster"
    return wanted.owner.kept(found, _evidence(found, wanted))


def _assignments_to_remove(current: Current, wanted: Desired) -> tuple[RoleAssignment, ...]:
    """Of our role, those of our identity and those that are ours. Others of the identity are others' business."""
    found, principal = role_of(current, wanted), principal_of(current, wanted)
    if found is None:
        return ()
    return tuple(
        one
        for one in current.every_assignment
        if one.role_guid == found.guid.lower()
        and (one.principal.lower() == principal.lower() or _ours(one, wanted, found))
    )


def _role_removals(current: Current, wanted: Desired) -> Iterator[Removal]:
    found = role_of(current, wanted)
    if found is None:
        return
    thing = f"role {found.name}"
    going = {(one.scope.lower(), one.name) for one in _assignments_to_remove(current, wanted)}
    others = [
        one
        for one in current.every_assignment
        if one.role_guid == found.guid.lower() and (one.scope.lower(), one.name) not in going
    ]
    named_ours = _names.short_id(wanted.cluster_id) in found.name
    marked = marks.marked(found.description) == wanted.cluster_id
    if not (marked and (named_ours or going)) and not wanted.owner.adopt:
        yield Removal(thing, "nothing in its description shows that it belongs to this cluster")
    elif others:
        yield Removal(thing, "it is also assigned to others")
    else:
        delete = DeleteRole(
            f"delete role {found.name}",
            f"azure/role/{found.name}",
            {"name": found.name, "scopes": list(found.scopes)},
            None,
            current.home,
            found.guid,
        )
        yield Removal(thing, "", (delete,))


# The result


def view(current: Current, wanted: Desired, made: Made) -> Mapping[str, Any]:
    found = app_of(current, wanted)
    shown: dict[str, Any] = {
        "assignments": _shown_assignments(current, wanted, made),
        "castai_client_id": made.get("client id") or (found.app.client_id if found else _unmade(wanted)),
        "castai_principal_id": made.get("principal") or principal_of(current, wanted) or _unmade(wanted),
        "subscription_id": current.subscription,
        "tenant_id": current.tenant,
    }
    if not wanted.present:
        return {**shown, "kept": list(made.get("kept", ()))}
    warnings = list(_warnings(current, wanted))
    return {
        **shown,
        "adopted": _adopted(current, wanted),
        "role": made.get("role name") or _role_name(current, wanted),
        **({"warnings": warnings} if warnings else {}),
    }


def _unmade(wanted: Desired) -> str:
    return UNKNOWN if wanted.present and wanted.prepare else ""


def _shown_assignments(current: Current, wanted: Desired, made: Made) -> dict[str, list[str]]:
    """The scopes that the role was assigned at or taken from, or in check mode would be."""
    if "assigned" in made or "unassigned" in made:
        return {
            "added": [one["scope"] for one in made.get("assigned", ())],
            "removed": [one["scope"] for one in made.get("unassigned", ())],
        }
    if not wanted.present:
        return {"added": [], "removed": [one.scope for one in _assignments_to_remove(current, wanted)]}
    gone = orphans(current, wanted) if settled(current, wanted) or wanted.hand_over else ()
    return {
        "added": list(missing_assignments(current, wanted)) if wanted.prepare else [],
        "removed": [one.scope for one in gone],
    }


def _adopted(current: Current, wanted: Desired) -> dict[str, str]:
    """Which tool made what was there before us, by its name."""
    found, shown = app_of(current, wanted), {}
    if found and not wanted.existing_app and not found.cluster_ids:
        terraform = found.app.name == names.terraform_app(wanted.name, current.group)
        shown[found.app.name] = names.TERRAFORM if terraform else names.SCRIPT
    own = role_of(current, wanted)
    if own and not marks.marked(own.description):
        terraform = own.name.lower() == names.terraform_role(wanted.name).lower()
        shown[own.name] = names.TERRAFORM if terraform else names.SCRIPT
    return shown


def _warnings(current: Current, wanted: Desired) -> Iterator[str]:
    found = app_of(current, wanted)
    for name in current.deleted:
        yield (
            f"An app registration {name} was deleted in the last {TOMBSTONE_DAYS} days. CAST AI gets a new one, and the"
            " deleted one was left as it is."
        )
    keys = keys_of(found, current, wanted) if found and not wanted.existing_app else None
    for one in found.app.passwords if found and keys and keys.settled else ():
        end = moment(one.ends)
        if end and one.key_id == found.note.key_id:
            yield (
                f"Secret {one.key_id} of app registration {found.app.name} expires on {end:%Y-%m-%d}. A run before that"
                " date replaces it."
            )
    if current.cluster and current.cluster.http_proxy and current.cluster.http_proxy.trusted_ca:
        yield (
            f"The HTTP proxy of AKS cluster {wanted.name} has a certificate authority of its own, which CAST AI cannot"
            " be given here. Set it in CAST AI's node configuration."
        )


SUBJECT = Subject(
    OPTIONS, desired, connect, observe, plan, view, hidden=lambda params: secrets(params.get("http_proxy"))
)
