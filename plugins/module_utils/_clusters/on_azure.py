# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What castai_preflight checks in Azure before a cluster is onboarded. PRIVATE to the collection.

The app or identity, its role and assignments are checked with the code of castai_aks_app, so the messages are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, cast

from .._azure import aks, aks_app, role
from .._azure.names import same
from .._azure.observed import Systems, observe
from .._azure.options import ROLE, desired, form_problems
from .._azure.permissions import APP, FEDERATED, MANAGED, ONBOARD, OWNED, POLICIES, REPAIR, Grant, file_name, needed
from .._engine import CallFailed, Conflict, Refused, at_once, results
from .._gateways.azure import Azure
from .._gateways.azure_authorization import DenyAssignment, Lock, Permission
from .._gateways.azure_container import AksCluster
from .._gateways.azure_graph import AppPolicy
from .._gateways.azure_session import MANAGED_IDENTITY, Caller
from .._gateways.castai import CastAi, Cluster
from .._record import Recorded, refusals, when_onboarding
from .._variables import named
from .facts import CloudRights, ClusterFacts, Parameters

_EVERYWHERE = "Microsoft.Authorization/role"
"""Actions with this prefix are needed in each resource group where CAST AI's role is assigned."""
_OF_IDENTITY = f"{MANAGED_IDENTITY}/userAssignedIdentities/"
"""Actions on a managed identity, which is in the cluster's resource group."""
_REGISTER = f"{MANAGED_IDENTITY}/register/action"
_ALL_APPS = "Application.ReadWrite.All"
_NODES = "Microsoft.Compute/virtualMachines/write"
"""Represents everything CAST AI does in a resource group."""
READ_ONLY = "ReadOnly"

UNASKED = (
    "Could not check whether Azure policies, or conditions on role assignments, forbid what onboarding creates: Azure"
    " only reports this when the objects are created."
)

Asked = Mapping[str, Any]


def rights(
    azure: Azure,
    facts: ClusterFacts,
    options: Parameters,
    record: Cluster | None,
    caller: str,
    castai: Callable[[], CastAi],
) -> CloudRights | None:
    """Everything Azure knows that would stop the onboarding.

    If CAST AI already has credentials, only the cluster itself is checked: such a run may need few permissions.
    """
    cluster: AksCluster = facts.own
    problems, unshown = tuple(aks.onboarding_problems(cluster)), tuple(aks.not_shown(cluster))
    if record and record.credentials_id:
        return CloudRights(problems, not_checked=unshown) if problems or unshown else None
    managed = options["identity"] == MANAGED
    scopes, subscription = _scopes(cluster, options), f"/subscriptions/{cluster.subscription_id}"
    with at_once() as ask:
        held = {one: ask(_or_failure, partial(azure.permissions, one)) for one in (*scopes, subscription)}
        denied = {one: ask(_or_failure, partial(azure.deny_assignments, one)) for one in scopes}
        locked = {one: ask(_or_failure, partial(azure.locks, one)) for one in scopes}
        registered = ask.when(
            managed,
            _or_failure,
            partial(azure.provider_registered, cluster.subscription_id, MANAGED_IDENTITY),
        )
        of_graph = ask.when(not managed, _or_failure, partial(_graph_caller, azure, cluster))
        identity = ask.when(not (problems or facts.problems), _identity, azure, facts, options, record, castai)
    of_identity = identity.result() or CloudRights()
    may, there = results(held), registered.result()
    unread = [
        *_unread("the permissions that this run has on", may),
        *_unread("the deny assignments of", results(denied)),
        *_unread("the locks of", results(locked)),
    ]
    lacking = partial(_lacking, may, scopes, _asked(options))
    policy = file_name("onboard", MANAGED if managed else APP)
    writing = [
        *_lacks(caller, "onboarding needs", lacking(ONBOARD, False), policy),
        *_denied(results(denied), azure.caller()),
        *(_locked(results(locked), READ_ONLY)),
        *of_identity.writing,
    ]
    if there is False:
        writing += _unregistered(cluster, options, may[subscription], caller)
    elif isinstance(there, CallFailed):
        unread.append(f"Could not read whether {MANAGED_IDENTITY} is registered in the subscription.")
    return CloudRights(
        (*problems, *_lacks(caller, "a plan needs too", lacking(ONBOARD, True), policy), *of_identity.reading),
        tuple(writing),
        (
            *_lacks(caller, "repairs need", lacking(REPAIR, None), policy),
            *_kept(results(locked)),
            *_graph_hint(of_graph.result()),
            *of_identity.warnings,
        ),
        (*unshown, *unread, *of_identity.not_checked, UNASKED),
    )


def _identity(
    azure: Azure, facts: ClusterFacts, options: Parameters, record: Cluster | None, castai: Callable[[], CastAi]
) -> CloudRights:
    """What castai_aks_app would refuse or warn about. Not checked if the options are refused anyway."""
    if any(form_problems(options)):
        return CloudRights()
    known = record if record and not record.gone else None
    place = {
        "cluster_name": facts.name,
        "resource_group": facts.own.group,
        "subscription_id": facts.own.subscription_id,
    }
    wanted = desired(when_onboarding(options, known, **place))
    secret = not (wanted.managed or wanted.federated or wanted.existing)
    try:
        current = observe(Systems(cast(CastAi, Recorded(known, castai)), azure), wanted)
    except Refused as refusal:
        return CloudRights((str(refusal),))
    except (CallFailed, Conflict) as failure:
        return CloudRights(not_checked=(f"Could not check CAST AI's identity, its role and assignments: {failure}",))
    # If the provider is not registered and must stay so, another sentence says so.
    refused = refusals(partial(aks_app.plan, current, replace(wanted, register_providers=True)))
    unasked = "Could not check whether CAST AI lets your organization use an app registration without a secret: CAST AI"
    unasked += " only reports this when it creates the account that it logs in with."
    policy = _or_failure(partial(azure.app_policy, current.tenant)) if secret else None
    unread = f"Could not check whether a policy of the tenant forbids or limits secrets of apps: grant {POLICIES}."
    return CloudRights(
        refused,
        tuple(_forbidden_secret(policy, wanted.secret_days)) if isinstance(policy, AppPolicy) else (),
        tuple(aks_app.warnings_of(current)),
        (
            *((unasked,) if wanted.federated and not wanted.existing else ()),
            *((unread,) if secret and not isinstance(policy, AppPolicy) else ()),
            *aks_app.unchecked(current),
        ),
    )


def _forbidden_secret(policy: AppPolicy, days: int) -> Iterator[str]:
    if not policy.secrets:
        yield (
            f"A policy of the tenant forbids secrets of apps. Set {named('credential', ROLE)} to {FEDERATED}, or"
            f" {named('identity', ROLE)} to {MANAGED}, which need none."
        )
    elif policy.most_days is not None and days > policy.most_days:
        yield (
            f"A policy of the tenant allows secrets of apps for {policy.most_days} days at most, but"
            f" {named('secret_days', ROLE)} is {days}. Set it to {policy.most_days} or less."
        )


def _scopes(cluster: AksCluster, options: Parameters) -> tuple[str, ...]:
    own = options.get("additional_resource_groups") or ()
    return aks.scopes(
        cluster, (one.rstrip("/") if "/" in one else role.group_scope(cluster.subscription_id, one) for one in own)
    )


def _asked(options: Parameters) -> Mapping[str, Grant]:
    """The actions to check in resource groups. Reading the cluster is not among them: it has been read by now."""
    ways = {MANAGED if options["identity"] == MANAGED else APP}
    every = {**needed(REPAIR, ways), **needed(ONBOARD, ways)}
    own = options.get("existing_identity_id")
    return {
        action: grant
        for action, grant in every.items()
        if action.startswith(_EVERYWHERE) or (action.startswith(_OF_IDENTITY) and not own)
    }


def _lacking(
    held: Asked, scopes: Collection[str], asked: Mapping[str, Grant], scenario: str, reads: bool | None
) -> dict[str, tuple[str, ...]]:
    """The missing actions, by resource group. reads: whether to check actions that read or that write, None for
    both."""
    found = {}
    for scope in scopes:
        if isinstance(held[scope], CallFailed):
            continue
        wanted = (
            action
            for action, grant in asked.items()
            if scenario in grant.scenarios
            and reads in (None, grant.reads)
            and (action.startswith(_EVERYWHERE) or scope == next(iter(scopes)))
        )
        found[scope] = tuple(action for action in wanted if not _allowed(held[scope], action))
    return {scope: actions for scope, actions in found.items() if actions}


def _allowed(permissions: Iterable[Permission], action: str) -> bool:
    return any(one.allows(action) for one in permissions)


def _lacks(caller: str, purpose: str, lacking: Mapping[str, tuple[str, ...]], policy: str) -> Iterator[str]:
    """One sentence for all groups that lack the same actions."""
    by_actions: dict[tuple[str, ...], list[str]] = {}
    for scope, actions in lacking.items():
        by_actions.setdefault(actions, []).append(scope)
    for actions, scopes in by_actions.items():
        yield (
            f"The roles of {caller} lack actions on {', '.join(scopes)} that {purpose}: {', '.join(sorted(actions))}."
            f" Assign a role that has them, for example the custom role in docs/examples/policies/{policy}."
        )


def _denied(denied: Asked, caller: Caller) -> Iterator[str]:
    for scope, found in denied.items():
        for one in () if isinstance(found, CallFailed) else found:
            if _forbids(one, caller):
                yield (
                    f"Deny assignment {one.name} on {scope} forbids changes there, as on a locked node resource group."
                    " CAST AI cannot work in that group while it exists. Remove what created it first."
                )


def _forbids(one: DenyAssignment, caller: Caller) -> bool:
    if any(same(excluded, caller.object_id) for excluded in one.excluded):
        return False
    concerns = one.everybody or any(same(principal, caller.object_id) for principal in one.principals)
    return concerns and (
        _allowed(one.permissions, _NODES) or _allowed(one.permissions, "Microsoft.Authorization/roleAssignments/write")
    )


def _locked(locked: Asked, level: str) -> Iterator[str]:
    for scope, lock in _locks(locked, level):
        yield f"Lock {lock.name} ({READ_ONLY}) of {lock.scope} forbids all changes in {scope}. Remove the lock first."


def _kept(locked: Asked) -> Iterator[str]:
    for scope, lock in _locks(locked, "CanNotDelete"):
        yield (
            f"Lock {lock.name} (CanNotDelete) of {lock.scope} keeps CAST AI from deleting nodes in {scope}. Remove the"
            " lock, or exempt the node resource group from it."
        )


def _locks(locked: Asked, level: str) -> Iterator[tuple[str, Lock]]:
    """The locks on a resource group or on something that contains it."""
    for scope, found in locked.items():
        for one in () if isinstance(found, CallFailed) else found:
            if same(one.level, level) and f"{scope}/".casefold().startswith(f"{one.scope}/".casefold()):
                yield scope, one


def _unregistered(cluster: AksCluster, options: Parameters, held: Any, caller: str) -> Iterator[str]:
    by_hand = f"Register it, for example with az provider register --namespace {MANAGED_IDENTITY}"
    if not options["register_providers"]:
        yield (
            f"{MANAGED_IDENTITY} is not registered in subscription {cluster.subscription_id}. {by_hand}, or set"
            f" {named('register_providers', ROLE)} to true."
        )
    elif not isinstance(held, CallFailed) and not _allowed(held, _REGISTER):
        yield (
            f"{MANAGED_IDENTITY} is not registered in subscription {cluster.subscription_id}, and the roles of {caller}"
            f" lack {_REGISTER} there. {by_hand}, or assign a role that has it."
        )


def _graph_caller(azure: Azure, cluster: AksCluster) -> Caller:
    """The caller in the tenant of the subscription, where the app registration will be."""
    subscription = azure.get_subscription(cluster.subscription_id)
    own = azure.caller().tenant
    tenant = subscription.tenant if subscription and not same(subscription.tenant, own) else ""
    return azure.graph_caller(tenant)


def _graph_hint(found: Any) -> Iterator[str]:
    """A guess from the token, which lists the granted permissions only if the caller is an application."""
    other = f"or set {named('identity', ROLE)} to {MANAGED}, which needs nothing in Microsoft Entra ID."
    if isinstance(found, (CallFailed, Refused)):
        yield f"{found} An app registration cannot be created without Microsoft Graph. Correct this, {other}"
    elif found and found.application and not {OWNED, _ALL_APPS} & found.roles:
        yield (
            f"Application {found.client_id} does not have {OWNED} of Microsoft Graph, so it probably cannot create an"
            f" app registration. Grant it, with an administrator's consent, {other}"
        )


def _unread(what: str, found: Asked) -> Iterator[str]:
    for scope, one in found.items():
        if isinstance(one, CallFailed):
            yield f"Could not read {what} {scope}."


def _or_failure(read: Any) -> Any:
    """The result of a read, or why it failed."""
    try:
        return read()
    except (CallFailed, Refused) as failure:
        return failure
