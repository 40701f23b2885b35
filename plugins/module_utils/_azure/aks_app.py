# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CAST AI's identity for one AKS cluster. PRIVATE to the collection.

Everything is prepared first, and CAST AI gets its credentials last. The desired state is in options.py, the current
state in observed.py, the choice of the objects that belong to this cluster in chosen.py, the writes in actions.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .. import _names
from .._engine import UNKNOWN, Action, Made, Refused, Subject
from .._gateways.azure_authorization import RoleAssignment, RoleDefinition
from .._gateways.azure_identities import Federation
from .._gateways.castai import Cluster
from .._keys import Deletion, moment
from .._owner import Removal, Shown, Step, asked
from .._record import check_record, check_removable, mismatch
from .._variables import named
from . import aks, marks, names, role
from .actions import (
    Assign,
    CreateApp,
    CreateCastAccount,
    CreatePrincipal,
    CreateRole,
    DeleteApp,
    DeleteFederation,
    DeleteIdentity,
    DeleteRole,
    DeleteSecret,
    DisableCastAccount,
    Federate,
    Handing,
    HandOverFederation,
    HandOverGiven,
    HandOverSecret,
    MarkApp,
    Notebook,
    RegisterProvider,
    SetProxy,
    Unassign,
    UpdateRole,
    WriteIdentity,
)
from .chosen import (
    another,
    check_federation,
    check_identity,
    evidence,
    federation_of,
    given_secrets,
    identity_of,
    is_given_secret,
    kind,
    missing_assignments,
    name_of,
    note_of,
    notepad_of,
    of_role,
    orphans,
    ours,
    principal_of,
    role_name_of,
    role_names,
    role_of,
    roles_of_cluster,
    shown_identity,
    shown_role,
)
from .observed import (
    NAMESPACE,
    PROVIDER,
    App,
    Current,
    Found,
    Identity,
    MarkedRole,
    connect,
    identity_ids,
    keys_of,
    observe,
    scopes,
)
from .options import OPTIONS, OWNER_KINDS, ROLE, Desired, desired
from .permissions import DIRECTORY
from .proxy import Proxy, secrets

TOMBSTONE_DAYS = 30
"""How long a deleted app can be restored. Source: Entra's guide to deleted applications."""

POOLS = ("castpool", "castworkers")
"""Agent pools that CAST AI creates."""

MOST_FEDERATIONS = 20
"""How many federated credentials an identity may have. Source: Entra's considerations for federated credentials."""


@asked
def plan(current: Current, wanted: Desired) -> Iterator[Step | Removal]:
    refusal = " ".join(filter(None, _misplaced(current, wanted)))
    if refusal:
        raise Refused(refusal)
    if not wanted.present:
        check_removable(current.record, wanted.force)
        yield from removals(current, wanted)
        return
    identity, own_role = shown_identity(current, wanted), shown_role(current, wanted)
    yield Step(identity, ())  # whose it is comes before anything that may be wrong with it
    check_identity(current, wanted)
    check_federation(current, wanted)
    if wanted.prepare:
        yield Step(own_role, _plan_role(current, wanted))
        yield Step(None, _plan_provider(current, wanted))
        yield Step(identity, _plan_managed(current, wanted) if wanted.managed else _plan_app(current, wanted))
        if wanted.secretless and not wanted.existing:
            yield Step(identity, _plan_federation(current, wanted))
        yield Step(own_role, _plan_assignments(current, wanted))
    if wanted.hand_over:
        yield Step(identity, _plan_hand_over(current, wanted))
    if settled(current, wanted) or wanted.hand_over:
        yield Step(own_role, _plan_no_orphans(current, wanted))


def _misplaced(current: Current, wanted: Desired) -> Iterator[str]:
    """Why this is not the cluster that the user named, or cannot be onboarded."""
    record = check_record(current.record, wanted.cluster_id, wanted.present)
    if record and not _is_of(record, current):
        ours = f"AKS cluster {wanted.name} of subscription {current.subscription}"
        yield mismatch(record, ours, PROVIDER, "AKS", names.recorded_place)
    if current.cluster:
        yield aks.node_group_problem(current.cluster, wanted.node_group)
    if not wanted.present:
        return
    if current.cluster is None and wanted.prepare:
        yield aks.absent_problem(wanted.name, current.subscription, current.group, "", ())
    if current.cluster and wanted.prepare:
        yield aks.unusable_problem(current.cluster)
        yield from aks.onboarding_problems(current.cluster)
    if current.cluster and current.cluster.http_proxy and wanted.proxy:
        yield (
            f"AKS cluster {wanted.name} has its own HTTP proxy, but {named('http_proxy', ROLE)} sets another one."
            f" Leave {named('http_proxy', ROLE)} out."
        )


def _is_of(record: Cluster, current: Current) -> bool:
    """Whether the record may be for this cluster. A node group belongs to one cluster; without the cluster, only the
    subscription can be compared."""
    same_subscription = names.same(record.facts.get("subscriptionId", ""), current.subscription)
    node_group = current.cluster.node_group if current.cluster else ""
    same_nodes = not node_group or names.same(record.facts.get("nodeResourceGroup", ""), node_group)
    return record.provider == PROVIDER and same_subscription and same_nodes


# The identity


def _plan_app(current: Current, wanted: Desired) -> Iterator[Action]:
    found, name = identity_of(current, wanted), name_of(current, wanted)
    target = f"azure/app/{name}"
    if found is None or not found.principal_id:
        _check_owners(current)
    if found is None:
        tags = marks.app_tags(wanted.cluster_id, wanted.name)
        yield CreateApp(
            f"create app registration {name} for CAST AI in tenant {current.tenant}",
            target,
            None,
            {"name": name, "tags": list(tags)},
            current.tenant,
            wanted.cluster_id,
            wanted.owners,
            bool(role_of(current, wanted)),
        )
    elif isinstance(found, App) and not wanted.existing:
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
    if found is None or not found.principal_id:
        yield CreatePrincipal(
            f"create the service principal of app registration {name}",
            f"{target}/service-principal",
            None,
            {"app": name},
            current.tenant,
            found.client_id if found else UNKNOWN,
            wanted.owners,
            current.just_made(found),
        )


def _check_owners(current: Current) -> None:
    """Raises Refused if the owners of what is to be created cannot own it."""
    option = named("owners", ROLE)
    for owner, kind_of_owner in current.owners.items():
        if kind_of_owner is None:
            raise Refused(
                f"{option} contains {owner}, but tenant {current.tenant} has no user or service principal with this"
                " object ID. Correct it or leave it out."
            )
        if kind_of_owner not in OWNER_KINDS:
            raise Refused(
                f"{option} contains {owner}, which is the object ID of a directory object of type {kind_of_owner}, but"
                " only users and service principals can own an app registration. Correct it or leave it out."
            )


def _plan_provider(current: Current, wanted: Desired) -> Iterator[Action]:
    """The resource provider that managed identities need."""
    if wanted.managed and not wanted.existing and not current.registered:
        yield RegisterProvider(
            f"register resource provider {NAMESPACE} in subscription {current.subscription}",
            f"azure/subscription/{current.subscription}/{NAMESPACE}",
            None,
            "registered",
            current.subscription,
            NAMESPACE,
        )


def _plan_managed(current: Current, wanted: Desired) -> Iterator[Action]:
    found, name = identity_of(current, wanted), name_of(current, wanted)
    if wanted.existing:
        return
    own = marks.identity_tags(wanted.cluster_id, wanted.name)
    tags = dict(found.identity.tags) if isinstance(found, Identity) else {}
    if found is None or own.items() - tags.items():
        location = wanted.identity_location or (current.cluster.location if current.cluster else "")
        what = "tag" if found else "create"
        why = "with the cluster that it belongs to" if found else f"for CAST AI in {location}"
        yield WriteIdentity(
            f"{what} managed identity {name} {why}",
            f"azure/identity/{name}",
            {"tags": tags} if found else None,
            {"location": location, "tags": {**tags, **own}} if not found else {"tags": {**tags, **own}},
            found.identity.id if isinstance(found, Identity) else _identity_id(current, wanted),
        )


def _identity_id(current: Current, wanted: Desired) -> str:
    """The ID of a managed identity that is to be created."""
    name = name_of(current, wanted)
    return next(one for one in identity_ids(current, wanted) if one.endswith(f"/{name}"))


# The federated credential


def _plan_federation(current: Current, wanted: Desired) -> Iterator[Action]:
    identity, found = identity_of(current, wanted), federation_of(current, wanted)
    if found and current.audience in found.audiences:
        return
    theirs = identity.federations if identity else ()
    if found:
        want = Federation(found.name, names.ISSUER, found.subject, (current.audience,), found.id)
    elif wanted.managed:
        name = names.identity_federation(wanted.cluster_id)
        want = Federation(name, names.ISSUER, current.subject, (current.audience,))
    else:
        yield CreateCastAccount(
            f"ask CAST AI to create the account that it logs in with for cluster {wanted.cluster_id}",
            f"castai/cluster/{wanted.cluster_id}/google-account",
            None,
            UNKNOWN,
            wanted.cluster_id,
        )
        name = names.app_federation(wanted.cluster_id)
        want = Federation(name, names.ISSUER, UNKNOWN, (current.audience,))
    there = found or next((one for one in theirs if one.name.lower() == want.name.lower()), None)
    if there is None and len(theirs) >= MOST_FEDERATIONS:
        raise Refused(
            f"{kind(wanted).capitalize()} {name_of(current, wanted)} has {len(theirs)} federated credentials, the most"
            " that Entra allows. Delete one that nothing uses, then run again."
        )
    yield Federate(
        f"{'update' if there else 'add'} federated credential {want.name} of {kind(wanted)} {name_of(current, wanted)}",
        f"azure/{'identity' if wanted.managed else 'app'}/{name_of(current, wanted)}/federation/{want.name}",
        _shown_federation(there) if there else None,
        _shown_federation(want),
        current.tenant,
        _object_id(identity) or (_identity_id(current, wanted) if wanted.managed else UNKNOWN),
        Federation(want.name, want.issuer, want.subject, want.audiences, there.id if there else ""),
        there is not None,
        current.just_made(identity),
    )


def _object_id(found: Found | None) -> str:
    """The ID that calls for this identity use, empty for no identity."""
    if found is None:
        return ""
    return found.app.id if isinstance(found, App) else found.identity.id


def _shown_federation(one: Federation) -> dict[str, Any]:
    return {"issuer": one.issuer, "subject": one.subject, "audiences": list(one.audiences)}


# The role, and its assignments


def _plan_role(current: Current, wanted: Desired) -> Iterator[Action]:
    found, need = role_of(current, wanted), scopes(current, wanted)
    description, actions = marks.description(wanted.cluster_id), sorted(wanted.actions)
    if found is None:
        every = role_names(current, wanted)
        yield CreateRole(
            f"create role {every[0]} with {len(actions)} actions",
            f"azure/role/{every[0]}",
            None,
            {"name": every[0], "actions": actions, "scopes": list(need)},
            current.home,
            names.role_guid(wanted.cluster_id),
            description,
            every[1:],
        )
        return
    used = {one.scope.lower() for one in of_role(current, found)}
    kept = role.distinct((*need, *(scope for scope in found.scopes if scope.lower() in used)))
    has = [action for some in found.permissions for action in some.actions]
    takes_away = any(some.not_actions for some in found.permissions)
    missing = role.folded(need) - role.folded(found.scopes)
    if missing or takes_away or not role.same(has, actions) or marks.marked(found.description) != wanted.cluster_id:
        yield UpdateRole(
            f"update role {found.name}",
            f"azure/role/{found.name}",
            {"name": found.name, "actions": sorted(has), "scopes": list(found.scopes)},
            {"name": found.name, "actions": actions, "scopes": list(kept)},
            current.home,
            found.guid,
            description,
        )


def _plan_assignments(current: Current, wanted: Desired) -> Iterator[Action]:
    found, name = role_of(current, wanted), name_of(current, wanted)
    own = role_name_of(current, wanted)
    for scope in missing_assignments(current, wanted):
        yield Assign(
            f"assign role {own} to {name} on {_group(scope, current)}",
            f"azure/assignment{scope}",
            None,
            {"role": own, "to": name},
            scope,
            wanted.cluster_id,
            found.id if found else UNKNOWN,
            principal_of(current, wanted) or UNKNOWN,
        )


def _plan_no_orphans(current: Current, wanted: Desired) -> Iterator[Action]:
    for one in orphans(current, wanted):
        own = one.principal.lower() == principal_of(current, wanted).lower()
        why = "where CAST AI does not need it" if own else "of an identity that CAST AI no longer uses"
        yield _unassign(one, current, why)


def _group(scope: str, current: Current) -> str:
    """A resource group as messages name it."""
    _empty, _subscriptions, subscription, _groups, group = scope.split("/")
    elsewhere = "" if names.same(subscription, current.subscription) else f" of subscription {subscription}"
    return f"resource group {group}{elsewhere}"


def _unassign(one: RoleAssignment, current: Current, why: str = "") -> Unassign:
    return Unassign(
        f"delete role assignment {one.name} on {_group(one.scope, current)}{', ' if why else ''}{why}",
        f"azure/assignment{one.scope}/{one.name}",
        {"role": one.role, "to": one.principal},
        None,
        one.scope,
        one.name,
    )


# The hand-over


def settled(current: Current, wanted: Desired) -> bool:
    """Whether CAST AI already has the right credentials. The proxy is not considered."""
    found = identity_of(current, wanted)
    if found is None:
        return False
    missing = missing_assignments(current, wanted) if wanted.prepare else ()
    if wanted.existing and not (notepad_of(current, wanted) or current.home in missing):
        # Others created the assignment, so there is nothing to note in what was handed over.
        return bool(current.credentials_id)
    if isinstance(found, App) and not (wanted.existing or wanted.federated):
        return keys_of(found, current, wanted).settled
    note, federation = note_of(current, wanted), federation_of(current, wanted)
    if wanted.secretless:
        own = found.principal_id if wanted.managed else federation.id if federation else ""
        right = bool(federation) and note.key_id == own
    else:
        right = is_given_secret(note.key_id, found, wanted)
    return right and note.credentials_id == current.credentials_id and bool(current.credentials_id)


def proxy_of(current: Current, wanted: Desired) -> Proxy | None:
    """The proxy to send to CAST AI, None to send none."""
    cluster = current.cluster.http_proxy if current.cluster and wanted.proxy_of_cluster else None
    return Proxy(cluster.http, cluster.https, cluster.no_proxy) if cluster else wanted.proxy


def _plan_hand_over(current: Current, wanted: Desired) -> Iterator[Action]:
    found, name = identity_of(current, wanted), name_of(current, wanted)
    client = found.client_id if found else UNKNOWN
    handing = Handing(current.subscription, current.tenant, client, proxy_of(current, wanted))
    if settled(current, wanted):
        yield from _plan_proxy(current, wanted, handing)
    elif wanted.secretless:
        yield _hand_over_federation(current, wanted, handing)
    elif wanted.existing:
        yield HandOverGiven(
            f"hand the existing secret of app registration {name} to CAST AI for cluster {wanted.cluster_id}",
            _target(wanted),
            current.credentials_id or None,
            handing.shown(f"a secret of app registration {name}"),
            wanted.cluster_id,
            handing,
            _notebook(current, wanted),
            next((one.key_id for one in reversed(given_secrets(found, wanted))), marks.UNSEEN),
            wanted.existing_secret,
        )
    if isinstance(found, App) and not wanted.existing:
        if wanted.federated:
            for key in keys_of(found, current, wanted).keys:
                yield _delete_secret(current, found, wanted, Deletion(key.id, "which CAST AI does not need"))
        else:
            yield from _plan_secret(current, found, wanted, handing)
    elif not (found or wanted.secretless or wanted.existing):
        yield _hand_over_secret(current, None, wanted, handing)


def _plan_secret(current: Current, found: App, wanted: Desired, handing: Handing) -> Iterator[Action]:
    keys = keys_of(found, current, wanted)
    if keys.settled:
        yield from (_delete_secret(current, found, wanted, one) for one in keys.leftovers())
    else:
        for one in keys.making_room():
            keys = keys.without(one.key_id)
            yield _delete_secret(current, found, wanted, one)
        yield _hand_over_secret(current, found, wanted, handing)
        yield from (_delete_secret(current, found, wanted, one) for one in keys.replaced())
    for federation in found.federations:
        if federation.name == names.app_federation(wanted.cluster_id) and federation.issuer == names.ISSUER:
            yield DeleteFederation(
                f"delete federated credential {federation.name} of app registration {found.name}, which CAST AI does"
                " not need",
                f"azure/app/{found.name}/federation/{federation.name}",
                _shown_federation(federation),
                None,
                current.tenant,
                found.app.id,
                federation.id,
            )


def _target(wanted: Desired) -> str:
    return f"castai/credentials/{wanted.cluster_id}"


def _hand_over_secret(current: Current, found: App | None, wanted: Desired, handing: Handing) -> HandOverSecret:
    name = name_of(current, wanted)
    return HandOverSecret(
        f"create a secret of app registration {name} for {wanted.secret_days} days and hand it to CAST AI for cluster"
        f" {wanted.cluster_id}",
        _target(wanted),
        current.credentials_id or None,
        handing.shown(f"a secret of app registration {name}"),
        wanted.cluster_id,
        handing,
        _notebook(current, wanted),
        names.secret(wanted.name),
        wanted.secret_days,
    )


def _hand_over_federation(current: Current, wanted: Desired, handing: Handing) -> HandOverFederation:
    name, federation = name_of(current, wanted), federation_of(current, wanted)
    own = principal_of(current, wanted) if wanted.managed else federation.id if federation else ""
    return HandOverFederation(
        f"hand {kind(wanted)} {name} without a secret to CAST AI for cluster {wanted.cluster_id}",
        _target(wanted),
        current.credentials_id or None,
        handing.shown(f"{kind(wanted)} {name}"),
        wanted.cluster_id,
        handing,
        _notebook(current, wanted),
        own or UNKNOWN,
    )


def _notebook(current: Current, wanted: Desired) -> Notebook:
    found = identity_of(current, wanted)
    if wanted.existing:
        return Notebook(scope=current.home, principal=principal_of(current, wanted), cluster_id=wanted.cluster_id)
    if wanted.managed:
        tags = dict(found.identity.tags) if isinstance(found, Identity) else {}
        own = marks.identity_tags(wanted.cluster_id, wanted.name)
        return Notebook(identity=_object_id(found) or _identity_id(current, wanted), tags={**tags, **own})
    notes = found.app.notes if isinstance(found, App) else ""
    return Notebook(current.tenant, _object_id(found) or UNKNOWN, notes, fresh=current.just_made(found))


def _plan_proxy(current: Current, wanted: Desired, handing: Handing) -> Iterator[Action]:
    """Send only the proxy, if it is the only difference."""
    record, found = current.record, identity_of(current, wanted)
    want = handing.proxy
    has = Proxy.recorded(record.http_proxy) if record else Proxy()
    if want is None or found is None or want.same(has):
        return
    yield SetProxy(
        f"send CAST AI the HTTP proxy of cluster {wanted.cluster_id}",
        f"castai/cluster/{wanted.cluster_id}/http-proxy",
        has.shown() if has != Proxy() else None,
        want.shown(),
        wanted.cluster_id,
        want,
        _notebook(current, wanted),
        note_of(current, wanted).key_id,
        current.credentials_id,
    )


def _delete_secret(current: Current, found: App, wanted: Desired, one: Deletion) -> DeleteSecret:
    return DeleteSecret(
        f"delete secret {one.key_id} of app registration {found.name}, {one.why}",
        f"azure/app/{found.name}/secrets/{one.key_id}",
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
    """Everything to remove, in an order that works: assignments before the identity, so that no assignment outlives it,
    and the identity before its role. One assignment stays for last where nothing else shows the next run that the
    identity is ours."""
    found, first = identity_of(current, wanted), _assignments_to_remove(current, wanted)
    logs_in = isinstance(found, App) and federation_of(current, wanted) is not None
    # Nothing shows whether CAST AI's account is disabled, and an existing app stays. Its assignments show it.
    undone = bool(first) and wanted.federated if wanted.existing else True
    if logs_in and undone and current.record and not current.record.gone:
        disable = DisableCastAccount(
            f"ask CAST AI to disable the account that it logs in with for cluster {wanted.cluster_id}",
            f"castai/cluster/{wanted.cluster_id}/google-account",
            UNKNOWN,
            None,
            wanted.cluster_id,
        )
        yield Removal("CAST AI's account", None, "", disable)
    last: tuple[RoleAssignment, ...] = ()
    removal = _remove_identity(current, wanted, found) if found else None
    if found and removal and not (evidence(found, wanted) or wanted.owner.adopt or removal.why_kept(wanted.owner)):
        first = tuple(sorted(first, key=lambda one: one.principal.lower() == found.principal_id.lower()))
        first, last = first[:-1], first[-1:]
    own_role = shown_role(current, wanted)
    yield from (_remove_assignment(one, own_role, current) for one in first)
    if removal:
        yield removal
    yield from (_remove_assignment(one, own_role, current) for one in last)
    yield from _role_removals(current, wanted)
    for pool in current.cluster.pools if current.cluster else ():
        if pool.name in POOLS:
            yield Removal(
                f"agent pool {pool.name}", None, "CAST AI created it, and deletes it when it disconnects the cluster"
            )


def _remove_assignment(one: RoleAssignment, own_role: Shown | None, current: Current) -> Removal:
    return Removal(f"role assignment {one.name}", own_role, "", _unassign(one, current))


def _remove_identity(current: Current, wanted: Desired, found: Found) -> Removal:
    thing, kept = f"{kind(wanted)} {found.name}", ""
    if wanted.existing:
        return Removal(thing, None, f"it was set with {another(wanted)}")
    if not (evidence(found, wanted) or current.held(found.principal_id) or wanted.owner.adopt):
        kept = "only its tag shows that it belongs to this cluster"
    return Removal(thing, shown_identity(current, wanted), kept, _delete_identity(current, found, wanted))


def _delete_identity(current: Current, found: Found, wanted: Desired) -> Action:
    shown = {"name": found.name, "client_id": found.client_id}
    if isinstance(found, App):
        return DeleteApp(
            f"delete app registration {found.name}, which can be restored for {TOMBSTONE_DAYS} days",
            f"azure/app/{found.name}",
            shown,
            None,
            current.tenant,
            found.app.id,
        )
    sentence = f"delete managed identity {found.name}"
    return DeleteIdentity(sentence, f"azure/identity/{found.name}", shown, None, found.identity.id)


def _assignments_to_remove(current: Current, wanted: Desired) -> tuple[RoleAssignment, ...]:
    """Assignments of our role that are for our identity, or that we made. Other roles of the identity are not
    touched. Of an identity that stays because it may be another tool's, only those that we made are removed."""
    principal = principal_of(current, wanted).lower()
    every = (one for some in roles_of_cluster(current, wanted) for one in of_role(current, some))
    stays = wanted.existing or wanted.owner.kept(shown_identity(current, wanted))
    return tuple(one for one in every if (one.principal.lower() == principal and not stays) or ours(one, wanted))


def _role_removals(current: Current, wanted: Desired) -> Iterator[Removal]:
    for one in roles_of_cluster(current, wanted):
        yield _remove_role(current, wanted, one)


def _remove_role(current: Current, wanted: Desired, found: RoleDefinition) -> Removal:
    going = _assignments_to_remove(current, wanted)
    others = [one for one in of_role(current, found) if one not in going]
    # A run that ended before this may have removed all assignments: then what it is for still shows.
    here = current.home.lower() in role.folded(found.scopes)
    known = _names.short_id(wanted.cluster_id) in found.name or going or here
    kept = ""
    marked = marks.marked(found.description) == wanted.cluster_id
    if not (marked and known) and not wanted.owner.adopt:
        kept = f"{'only' if marked else 'nothing in'} its description shows that it belongs to this cluster"
    elif any(one.principal.lower() != principal_of(current, wanted).lower() for one in others):
        kept = "it is also assigned to others"
    elif others:
        kept = "it is also assigned where this collection did not assign it"
    delete = DeleteRole(
        f"delete role {found.name}",
        f"azure/role/{found.name}",
        {"name": found.name, "scopes": list(found.scopes)},
        None,
        current.role_scope,
        found.guid,
    )
    return Removal(f"role {found.name}", Shown(f"Role {found.name}", MarkedRole(found), True), kept, delete)


# The result


def view(current: Current, wanted: Desired, made: Made) -> Mapping[str, Any]:
    found = identity_of(current, wanted)
    unmade = UNKNOWN if wanted.present else ""
    shown: dict[str, Any] = {
        "assignments": _shown_assignments(current, wanted, made),
        "castai_client_id": made.get("client id") or (found.client_id if found else unmade),
        "castai_principal_id": made.get("principal") or principal_of(current, wanted) or unmade,
        "identity_name": name_of(current, wanted),
        "subscription_id": current.subscription,
        "tenant_id": current.tenant,
    }
    if not wanted.present:
        return {**shown, "kept": list(made.get("kept", ()))}
    warnings = [*warnings_of(current), *unchecked(current)]
    return {
        **shown,
        "adopted": _adopted(current, wanted),
        "role": made.get("role name") or role_name_of(current, wanted),
        **_secret_shown(found, wanted, made),
        **({"warnings": warnings} if warnings else {}),
    }


def _secret_shown(found: Found | None, wanted: Desired, made: Made) -> dict[str, str]:
    """When the secret that CAST AI has expires."""
    if wanted.secretless or wanted.existing:
        return {}
    if made.get("secret ends"):
        return {"secret_expires": made["secret ends"]}
    noted = [one for one in found.app.passwords if one.key_id == found.note.key_id] if isinstance(found, App) else []
    end = moment(noted[0].ends) if noted else None
    return {"secret_expires": f"{end:%Y-%m-%d}"} if end else {}


def _shown_assignments(current: Current, wanted: Desired, made: Made) -> dict[str, list[str]]:
    """The scopes at which the role was assigned or unassigned, or would be in check mode."""
    if "assigned" in made or "unassigned" in made:
        return {"added": list(made.get("assigned", ())), "removed": list(made.get("unassigned", ()))}
    if not wanted.present:
        return {"added": [], "removed": [one.scope for one in _assignments_to_remove(current, wanted)]}
    gone = orphans(current, wanted) if settled(current, wanted) or wanted.hand_over else ()
    return {
        "added": list(missing_assignments(current, wanted)) if wanted.prepare else [],
        "removed": [one.scope for one in gone],
    }


def _adopted(current: Current, wanted: Desired) -> dict[str, str]:
    """The names of existing objects that were taken over, with the tool that created each."""
    found, shown = identity_of(current, wanted), {}
    if found and not wanted.existing and not found.cluster_ids:
        script = not wanted.managed and evidence(found, wanted)
        shown[found.name] = names.SCRIPT if script else names.TERRAFORM
    own = role_of(current, wanted)
    if own and not marks.marked(own.description):
        terraform = own.name.lower() == names.terraform_role(wanted.name).lower()
        shown[own.name] = names.TERRAFORM if terraform else names.SCRIPT
    return shown


def warnings_of(current: Current) -> Iterator[str]:
    for name in current.deleted:
        yield (
            f"An app registration {name} was deleted in the last {TOMBSTONE_DAYS} days. CAST AI gets a new one, and the"
            " deleted one was left unchanged."
        )
    if current.cluster:
        yield from aks.authority_warnings(current.cluster)


def unchecked(current: Current) -> Iterator[str]:
    """What could not be read, so that only creating it shows whether it works."""
    unread = [owner for owner, kind_of_owner in current.owners.items() if kind_of_owner == ""]
    if unread:
        yield (
            f"Could not check whether the owners {', '.join(unread)} of {named('owners', ROLE)} exist. To check"
            f" this, grant {DIRECTORY}."
        )


SUBJECT = Subject(
    OPTIONS, desired, connect, observe, plan, view, hidden=lambda params: secrets(params.get("http_proxy"))
)
