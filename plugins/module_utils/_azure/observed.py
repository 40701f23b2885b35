# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is there of CAST AI's identity for an AKS cluster, in four rounds of reads. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from .. import _names
from .._engine import Refused, at_once, results
from .._gateways.azure import Azure
from .._gateways.azure_authorization import RoleAssignment, RoleDefinition
from .._gateways.azure_container import AksCluster
from .._gateways.azure_graph import Application, Principal
from .._gateways.azure_identities import Federation, ManagedIdentity
from .._gateways.castai import CastAi, Cluster, by_options
from .._keys import NO_NOTE, Keys, Note, by_lifetime
from .._names import TAG_CLUSTER, TAG_CLUSTER_ID
from .._variables import named
from . import names, role
from .marks import TAG_CREDENTIALS, marked, noted, tag_of
from .options import Desired

MOST_SECRETS = 1000
"""More than a run ever comes near: Graph limits the size of an app alone."""


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
    """An app registration with what belongs to it. principal: None for absent; federations: its federated
    credentials."""

    app: Application
    principal: Principal | None = None
    federations: tuple[Federation, ...] = ()

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
    def note(self) -> Note:
        """Of the principal, as there is nothing else that CAST AI has of it."""
        credentials = self.identity.tags.get(TAG_CREDENTIALS, "")
        return Note(self.identity.principal_id, credentials) if credentials else NO_NOTE

    @property
    def cluster_ids(self) -> frozenset[str]:
        return frozenset(filter(None, [self.identity.tags.get(TAG_CLUSTER_ID, "")]))

    @property
    def cluster_name(self) -> str:
        return self.identity.tags.get(TAG_CLUSTER, "")


@dataclass(frozen=True)
class MarkedRole:
    """A custom role, and what its description says."""

    role: RoleDefinition

    @property
    def cluster_ids(self) -> frozenset[str]:
        return frozenset(filter(None, [marked(self.role.description)]))

    @property
    def cluster_name(self) -> str:
        return ""


@dataclass(frozen=True)
class Current:
    """What is there. record, cluster: None for absent.

    apps, identities: those that may be CAST AI's, by display name or name, in order; roles: those of the names that we
    or others give; assignments: by scope in lower case; deleted: names of apps of ours that were deleted lately.
    subject: CAST AI's own account that a managed identity trusts.
    """

    cluster: AksCluster | None
    record: Cluster | None
    subscription: str
    tenant: str
    caller: str
    now: datetime
    group: str
    apps: tuple[App, ...] = ()
    identities: Mapping[str, Identity] = field(default_factory=dict)
    roles: tuple[RoleDefinition, ...] = ()
    assignments: Mapping[str, tuple[RoleAssignment, ...]] = field(default_factory=dict)
    deleted: tuple[str, ...] = ()
    registered: bool = True
    subject: str = ""

    @property
    def credentials_id(self) -> str:
        return self.record.credentials_id if self.record else ""

    @property
    def home(self) -> str:
        """The scope of the cluster's resource group."""
        return role.group_scope(self.subscription, self.group)

    def held(self, principal: str) -> tuple[RoleAssignment, ...]:
        """The assignments of a principal, at the scopes themselves."""
        return tuple(one for one in self.every_assignment if principal and one.principal.lower() == principal.lower())

    @property
    def every_assignment(self) -> tuple[RoleAssignment, ...]:
        return tuple(one for some in self.assignments.values() for one in some)


def scopes(current: Current, wanted: Desired) -> tuple[str, ...]:
    """The groups that CAST AI needs its role in."""
    cluster = current.cluster
    if cluster is None:
        return role.distinct((current.home, *wanted.scopes(current.subscription)))
    subnets = (subnet for pool in cluster.pools for subnet in pool.subnets)
    return role.distinct(
        (
            current.home,
            role.group_scope(current.subscription, cluster.node_group) if cluster.node_group else "",
            *map(role.group_of, subnets),
            role.group_of(cluster.kubelet_identity),
            *wanted.scopes(current.subscription),
        )
    )


def keys_of(app: App, current: Current, wanted: Desired) -> Keys:
    """The secrets that are ours: of our name, or noted. Others are left alone."""
    note, name = app.note, names.secret(wanted.name)
    own = (one for one in app.app.passwords if one.name == name or one.key_id == note.key_id)
    in_order = sorted(own, key=lambda one: one.starts)
    keys = tuple(by_lifetime(one.key_id, one.starts, one.ends, current.now) for one in in_order)
    return Keys(keys, MOST_SECRETS, note, credentials_id=current.credentials_id)


def observe(gateway: Systems, wanted: Desired) -> Current:
    """Round 1: cluster, CAST AI's record, subscription. Round 2: apps or identities, and roles, by name. Round 3: what
    belongs to those. Round 4: assignments.
    """
    azure, castai = gateway.azure, gateway.castai
    subscription = wanted.subscription or azure.subscription_id
    with at_once() as ask:
        cluster = ask(azure.get_cluster, subscription, wanted.group, wanted.name)
        record = ask.known(castai.get_cluster, wanted.cluster_id)
        asked = ask(azure.get_subscription, subscription)
    found = asked.result()
    if found is None:
        raise Refused(
            f"There is no subscription {subscription} that the Azure credentials can see. Check"
            f" {named('subscription_id')}."
        )
    seen = cluster.result()
    current = Current(
        seen,
        record.result(),
        subscription,
        found.tenant,
        "",
        datetime.now(timezone.utc),
        seen.group if seen else wanted.group,
    )
    return _assignments(azure, wanted, _apps(azure, wanted, current))


def _apps(azure: Azure, wanted: Desired, current: Current) -> Current:
    tenant = current.tenant
    display = () if wanted.existing_app else _app_names(current, wanted)
    with at_once() as ask:
        existing = ask.when(bool(wanted.existing_app), azure.find_app_by_client_id, tenant, wanted.existing_app)
        tag = f"{TAG_CLUSTER_ID}={wanted.cluster_id}"
        tagged = ask.when(not wanted.existing_app, azure.find_apps_by_tag, tenant, tag)
        by_name = [ask.known(azure.find_apps, tenant, one) for one in display]
        by_role = [ask.known(azure.find_roles, current.home, one) for one in _role_names(wanted)]
    given = existing.result()
    every = [*([given] if given else []), *(tagged.result() or ())]
    every += [one for answer in by_name for one in answer.result() or ()]
    apps = {one.id: one for one in every}
    roles = {one.guid.lower(): one for answer in by_role for one in answer.result() or () if one.custom}
    with at_once() as ask:
        principals = {one.id: ask(azure.find_principal, tenant, one.client_id) for one in apps.values()}
        federations = {one: ask(azure.list_app_federations, tenant, one) for one in apps}
        deleted = [
            ask.known(azure.find_deleted_apps, tenant, one)
            for one in display[:1]
            if not apps and wanted.prepare and wanted.present
        ]
    found, theirs = results(principals), results(federations)
    return replace(
        current,
        apps=tuple(App(one, found[one.id], theirs[one.id]) for one in apps.values()),
        roles=tuple(roles.values()),
        deleted=tuple(one.name for answer in deleted for one in answer.result() or ()),
    )


def _assignments(azure: Azure, wanted: Desired, current: Current) -> Current:
    """Also where the roles that are there can be assigned: scopes that are not needed any more."""
    more = (scope for one in current.roles for scope in one.scopes if _names.short_id(wanted.cluster_id) in one.name)
    every = role.distinct((*scopes(current, wanted), *more))
    with at_once() as ask:
        answers = {one.lower(): ask.known(azure.list_assignments, one) for one in every}
    found = {scope: _at(scope, some or ()) for scope, some in results(answers).items()}
    return replace(current, assignments=found)


def _at(scope: str, some: Iterable[RoleAssignment]) -> tuple[RoleAssignment, ...]:
    """Those of the scope itself, not those of above that count there too."""
    return tuple(one for one in some if one.scope.lower() == scope)


def _app_names(current: Current, wanted: Desired) -> tuple[str, ...]:
    return (*names.apps(wanted.name, wanted.cluster_id), names.terraform_app(wanted.name, current.group))


def _role_names(wanted: Desired) -> tuple[str, ...]:
    return (*names.roles(wanted.cluster_id), names.terraform_role(wanted.name))
