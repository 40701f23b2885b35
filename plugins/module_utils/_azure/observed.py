# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The current state of CAST AI's identity for an AKS cluster, read in four rounds. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, TypeAlias

from .. import _names
from .._engine import Answer, Ask, Conflict, Refused, at_once, results, until
from .._gateways.azure import Azure
from .._gateways.azure_authorization import RoleAssignment, RoleDefinition
from .._gateways.azure_container import AksCluster
from .._gateways.azure_graph import Application, Principal
from .._gateways.azure_identities import Federation, ManagedIdentity
from .._gateways.azure_session import NO_GROUP, UNREGISTERED
from .._gateways.azure_session import Rejected as AzureRejected
from .._gateways.castai import CastAi, Cluster, Rejected, by_options
from .._keys import NO_NOTE, Keys, Note, by_lifetime, moment
from .._names import TAG_CLUSTER, TAG_CLUSTER_ID
from .._variables import named
from . import aks, names, role
from .marks import TAG_CREDENTIALS, marked, noted, tag_of
from .options import Desired

PROVIDER = "aks"

NAMESPACE = "Microsoft.ManagedIdentity"

NEW = timedelta(minutes=10)

LAG_SECONDS = 120.0
"""How long to wait for a replica of Graph that does not know a new app yet."""

GROUP_OPTION = named("resource_group")

MOST_SECRETS = 1000
"""More secrets than a run can ever meet: Graph's size limit for apps is reached earlier."""


@dataclass(frozen=True)
class Systems:
    castai: CastAi
    azure: Azure

    def close(self) -> None:
        self.azure.close()


def connect(params: Mapping[str, Any], _wanted: Any) -> Systems:
    return Systems(by_options(params), Azure(params))


@dataclass(frozen=True)
class App:
    """An app registration with what belongs to it. principal: None if absent. federations: its federated
    credentials."""

    app: Application
    principal: Principal | None = None
    federations: tuple[Federation, ...] = ()

    @property
    def name(self) -> str:
        return self.app.name

    @property
    def client_id(self) -> str:
        return self.app.client_id

    @property
    def principal_id(self) -> str:
        return self.principal.id if self.principal else ""

    @property
    def note(self) -> Note:
        return noted(self.app.notes)

    @property
    def cluster_ids(self) -> frozenset[str]:
        return frozenset(filter(None, [tag_of(self.app.tags, TAG_CLUSTER_ID)]))

    @property
    def cluster_name(self) -> str:
        return tag_of(self.app.tags, TAG_CLUSTER)


@dataclass(frozen=True)
class Identity:
    """A managed identity with its federated credentials."""

    identity: ManagedIdentity
    federations: tuple[Federation, ...] = ()

    @property
    def name(self) -> str:
        return self.identity.name

    @property
    def client_id(self) -> str:
        return self.identity.client_id

    @property
    def principal_id(self) -> str:
        return self.identity.principal_id

    @property
    def note(self) -> Note:
        """A managed identity has no secret, so its principal ID serves as the key ID."""
        credentials = self.identity.tags.get(TAG_CREDENTIALS, "")
        return Note(self.identity.principal_id, credentials) if credentials else NO_NOTE

    @property
    def cluster_ids(self) -> frozenset[str]:
        return frozenset(filter(None, [self.identity.tags.get(TAG_CLUSTER_ID, "")]))

    @property
    def cluster_name(self) -> str:
        return self.identity.tags.get(TAG_CLUSTER, "")


Found: TypeAlias = "App | Identity"


@dataclass(frozen=True)
class MarkedRole:
    """A custom role, and the cluster that its description names."""

    role: RoleDefinition

    @property
    def cluster_ids(self) -> frozenset[str]:
        return frozenset(filter(None, [marked(self.role.description)]))

    @property
    def cluster_name(self) -> str:
        return ""


@dataclass(frozen=True)
class Current:
    """The current state. record, cluster: None if absent.

    apps, identities: those that may be CAST AI's. roles: those with names that we, the script or Terraform use.
    assignments: by scope in lower case. deleted: names of our apps that were deleted recently. audience: the one that
    federated credentials must have. registered: whether the resource provider of managed identities is registered.
    subject: the account with which CAST AI logs in to a managed identity, empty if CAST AI does not say; silence: why
    not.
    """

    cluster: AksCluster | None
    record: Cluster | None
    subscription: str
    tenant: str
    audience: str
    now: datetime
    group: str
    apps: tuple[App, ...] = ()
    identities: tuple[Identity, ...] = ()
    roles: tuple[RoleDefinition, ...] = ()
    assignments: Mapping[str, tuple[RoleAssignment, ...]] = field(default_factory=dict)
    deleted: tuple[str, ...] = ()
    registered: bool = True
    subject: str = ""
    silence: str = ""
    owners: Mapping[str, str | None] = field(default_factory=dict)
    """What the owners of a new app are, as Graph names it: empty if they may not be read, None if they do not exist."""
    group_gone: bool = False
    """Whether the cluster's resource group no longer exists."""

    @property
    def credentials_id(self) -> str:
        return self.record.credentials_id if self.record else ""

    @property
    def home(self) -> str:
        """The scope of the cluster's resource group."""
        return role.group_scope(self.subscription, self.group)

    @property
    def role_scope(self) -> str:
        """The scope at which the cluster's role can be reached."""
        return f"/subscriptions/{self.subscription}" if self.group_gone else self.home

    def just_made(self, found: Found | None) -> bool:
        """Whether an app is so new that not every replica of Graph may know it."""
        return isinstance(found, App) and self.is_new(found.app)

    def is_new(self, app: Application) -> bool:
        created = moment(app.created)
        return bool(created and self.now - created < NEW)

    def held(self, principal: str) -> tuple[RoleAssignment, ...]:
        """The assignments of a principal that are made at the scopes we read, not inherited."""
        return tuple(one for one in self.every_assignment if principal and one.principal.lower() == principal.lower())

    @property
    def every_assignment(self) -> tuple[RoleAssignment, ...]:
        return tuple(one for some in self.assignments.values() for one in some)


def scopes(current: Current, wanted: Desired) -> tuple[str, ...]:
    """The resource groups in which CAST AI needs its role."""
    cluster = current.cluster
    if cluster is None:
        return role.distinct((current.home, *wanted.scopes(current.subscription)))
    return aks.scopes(cluster, wanted.scopes(current.subscription))


def keys_of(app: App, current: Current, wanted: Desired) -> Keys:
    """Our secrets: those with our name, and the one that is noted. Others are left alone."""
    note, name = app.note, names.secret(wanted.name)
    own = (one for one in app.app.passwords if one.name == name or one.key_id == note.key_id)
    in_order = sorted(own, key=lambda one: one.starts)
    keys = tuple(by_lifetime(one.key_id, one.starts, one.ends, current.now) for one in in_order)
    return Keys(keys, MOST_SECRETS, note, credentials_id=current.credentials_id)


def observe(gateway: Systems, wanted: Desired) -> Current:
    """Read the current state.

    Round 1: cluster, CAST AI's record, subscription. Round 2: apps or managed identities, and roles, by name. Round 3:
    what belongs to an app. Last round: assignments, and what belongs to a managed identity.
    """
    azure, castai = gateway.azure, gateway.castai
    subscription = wanted.subscription or azure.subscription_id
    with at_once() as ask:
        cluster = ask(_cluster, azure, subscription, wanted)
        record = ask.known(castai.get_cluster, wanted.cluster_id)
        asked = ask(azure.get_subscription, subscription)
        subject = ask.when(wanted.managed and wanted.present, _subject, castai)
    found = asked.result()
    if found is None:
        raise Refused(
            f"There is no subscription {subscription} that the Azure credentials can see. Check"
            f" {named('subscription_id')}."
        )
    seen, (number, silence) = cluster.result(), subject.result() or ("", "")
    group = seen.group if seen else wanted.group
    if not group:
        problem = aks.absent_problem(wanted.name, subscription, "", wanted.node_group, ())
        removing = "" if wanted.present else f" To remove the identity of a deleted cluster, set {GROUP_OPTION}."
        raise Refused(f"{problem}{removing}")
    current = Current(
        seen,
        record.result(),
        subscription,
        found.tenant,
        azure.cloud.audience,
        datetime.now(timezone.utc),
        group,
        subject=number,
        silence=silence,
    )
    return (_with_identities if wanted.managed else _with_apps)(azure, wanted, current)


def _cluster(azure: Azure, subscription: str, wanted: Desired) -> AksCluster | None:
    if wanted.group:
        return azure.get_cluster(subscription, wanted.group, wanted.name)
    return aks.chosen(azure.list_clusters(subscription), wanted.name, wanted.node_group)


def _subject(castai: CastAi) -> tuple[str, str]:
    """The number of CAST AI's account, or why CAST AI does not say it."""
    try:
        return castai.get_google_account(PROVIDER), ""
    except Rejected as refusal:
        if not refusal.final:
            raise
        return "", str(refusal)


def _with_apps(azure: Azure, wanted: Desired, current: Current) -> Current:
    tenant = current.tenant
    display = () if wanted.existing_app else _app_names(current, wanted)
    tag = f"{TAG_CLUSTER_ID}={wanted.cluster_id}"
    with at_once() as ask:
        existing = ask.when(bool(wanted.existing_app), azure.find_app_by_client_id, tenant, wanted.existing_app)
        tagged = ask.when(not wanted.existing_app, azure.find_apps_by_tag, tenant, tag)
        by_name = [ask.known(azure.find_apps, tenant, one) for one in display]
        roles = ask(_custom_roles, azure, wanted, current)
    given = existing.result()
    every = [*([given] if given else []), *(tagged.result() or ())]
    every += [one for answer in by_name for one in answer.result() or ()]
    apps = {one.id: one for one in every}
    lately = bool(not apps and wanted.prepare and wanted.present)
    custom, gone = roles.result()
    with at_once() as ask:
        principals = {one.id: ask(_principal, azure, current, one) for one in apps.values()}
        federations = {one.id: ask(_federations, azure, current, one) for one in apps.values()}
        deleted = [ask.when(lately, _deleted, azure, tenant, one) for one in display[:1]]
    found, theirs = results(principals), results(federations)
    current = replace(
        current,
        apps=tuple(App(one, found[one.id], theirs[one.id]) for one in apps.values()),
        roles=_roles(custom, wanted),
        group_gone=gone,
        deleted=tuple(one for answer in deleted for one in answer.result() or ()),
    )
    own = any(one.principal and not wanted.owner.others(one) for one in current.apps)
    asked = wanted.owners if wanted.prepare and wanted.present and not own else ()
    with at_once() as ask:
        assignments = _ask_assignments(ask, azure, wanted, current)
        owners = {one: ask(_owner, azure, tenant, one) for one in asked}
    return replace(current, assignments=_assigned(assignments), owners=results(owners))


def _owner(azure: Azure, tenant: str, owner: str) -> str | None:
    """What an owner is, None if it does not exist, and empty if it may not be read."""
    try:
        return azure.kind_of_object(tenant, owner)
    except AzureRejected as refusal:
        if refusal.status != 403:
            raise
        return ""


class NotEverywhere(Conflict):
    """One replica of Graph lists an app that another does not know."""

    pause = 3.0


def _principal(azure: Azure, current: Current, app: Application) -> Principal | None:
    """The principal of an app. Of one whose credentials were handed over, it existed."""
    wait = LAG_SECONDS if current.is_new(app) and noted(app.notes).whole else 0.0
    found: Principal | None = until(lambda: azure.find_principal(current.tenant, app.client_id), timeout=wait)
    return found


def _federations(azure: Azure, current: Current, app: Application) -> tuple[Federation, ...]:
    unknown: list[AzureRejected] = []

    def read() -> list[tuple[Federation, ...]]:
        try:
            return [azure.list_app_federations(current.tenant, app.id)]
        except AzureRejected as refusal:
            if refusal.status != 404:
                raise
            unknown.append(refusal)
            return []

    found: list[tuple[Federation, ...]] = until(read, timeout=LAG_SECONDS if current.is_new(app) else 0.0)
    if not found:
        raise NotEverywhere(str(unknown[-1])) from unknown[-1]
    return found[0]


def _deleted(azure: Azure, tenant: str, name: str) -> tuple[str, ...]:
    """Names of deleted apps, only for a warning. So none if they may not be read."""
    try:
        return tuple(one.name for one in azure.find_deleted_apps(tenant, name))
    except AzureRejected as refusal:
        if refusal.status != 403:
            raise
        return ()


def _with_identities(azure: Azure, wanted: Desired, current: Current) -> Current:
    every = identity_ids(current, wanted)
    with at_once() as ask:
        read = {one: ask.known(_identity, azure, *names.place_of(one)) for one in every}
        roles = ask(_custom_roles, azure, wanted, current)
        registered = ask.when(
            wanted.prepare and wanted.present, azure.provider_registered, current.subscription, NAMESPACE
        )
    found = {one: identity for one, identity in results(read).items() if identity}
    custom, gone = roles.result()
    current = replace(
        current, roles=_roles(custom, wanted), registered=registered.result() is not False, group_gone=gone
    )
    with at_once() as ask:
        federations = {one: ask(azure.list_identity_federations, *names.place_of(one)) for one in found}
        assignments = _ask_assignments(ask, azure, wanted, current)
    theirs = results(federations)
    return replace(
        current,
        identities=tuple(Identity(identity, tuple(theirs[one] or ())) for one, identity in found.items()),
        assignments=_assigned(assignments),
    )


def _identity(azure: Azure, subscription: str, group: str, name: str) -> ManagedIdentity | None:
    """A managed identity. Also None if its resource provider is not registered."""
    try:
        return azure.get_identity(subscription, group, name)
    except AzureRejected as refusal:
        if refusal.problem.code != UNREGISTERED:
            raise
        return None


def identity_ids(current: Current, wanted: Desired) -> tuple[str, ...]:
    """IDs that the managed identity has or may get, the best one first."""
    if wanted.existing_identity:
        return (wanted.existing_identity,)
    every = names.identities(wanted.name, wanted.cluster_id)
    return tuple(f"{current.home}/providers/{NAMESPACE}/userAssignedIdentities/{one}" for one in every)


def _custom_roles(azure: Azure, wanted: Desired, current: Current) -> tuple[tuple[RoleDefinition, ...], bool]:
    """The custom roles that can be assigned in the cluster's resource group, and whether that group is gone. If so,
    those of the whole subscription are returned, so that the cluster's role can still be removed."""
    try:
        return azure.list_custom_roles(current.home), False
    except AzureRejected as refusal:
        if current.cluster or refusal.problem.code != NO_GROUP:
            raise
    return azure.list_roles_below(f"/subscriptions/{current.subscription}"), True


def _roles(every: Iterable[RoleDefinition], wanted: Desired) -> tuple[RoleDefinition, ...]:
    """The custom roles that have names used by us, the script or Terraform."""
    ours = {*names.roles(wanted.cluster_id), names.terraform_role(wanted.name)}
    return tuple(one for one in every if one.custom and one.name.lower() in role.folded(ours))


def _ask_assignments(ask: Ask, azure: Azure, wanted: Desired, current: Current) -> dict[str, Answer[Any]]:
    """Ask for the assignments at all scopes of the cluster's roles, needed or not."""
    short = _names.short_id(wanted.cluster_id)
    own = (one for one in current.roles if short in one.name or marked(one.description) == wanted.cluster_id)
    more = (scope for one in own for scope in one.scopes)
    needed = role.folded(scopes(current, wanted)) if wanted.present and current.cluster else frozenset()
    every = role.distinct((*scopes(current, wanted), *more))
    return {one.lower(): ask.known(_assignments, azure, one, one.lower() in needed) for one in every}


def _assignments(azure: Azure, scope: str, needed: bool) -> tuple[RoleAssignment, ...]:
    """The assignments at a scope. Empty if the resource group is gone, because they go with it."""
    try:
        return azure.list_assignments(scope)
    except AzureRejected as refusal:
        if needed or refusal.problem.code != NO_GROUP:
            raise
        return ()


def _assigned(answers: Mapping[str, Answer[Any]]) -> dict[str, tuple[RoleAssignment, ...]]:
    """By scope, the assignments made at that scope. Inherited ones are left out."""
    found = results(answers)
    return {scope: tuple(one for one in some or () if one.scope.lower() == scope) for scope, some in found.items()}


def _app_names(current: Current, wanted: Desired) -> tuple[str, ...]:
    return (*names.apps(wanted.name, wanted.cluster_id), names.terraform_app(wanted.name, current.group))
