# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests ask of Azure behind the operator's back, and the initial content of the world's Azure."""

from __future__ import annotations

import base64
import copy
import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..spec import ENTRA_ADMINS
from ..wire import Cluster
from . import authorization, clusters, identities, login, other_ways
from . import graph as applications
from .catalog import CLUSTER_ADMIN, OWNER, named
from .store import (
    SUBSCRIPTION,
    TENANT,
    Application,
    Assignment,
    Definition,
    Principal,
    ServicePrincipal,
    Store,
    Subscription,
    as_time,
    new_id,
    within,
)

OTHER_TENANT = "11111111-1111-4111-8111-222222222222"
HUB = "22222222-2222-4222-8222-333333333333"
"""The network team's subscription, in which the operator has no role."""
OPERATOR = "33333333-3333-4333-8333-333333333333"
OPERATOR_ID = "44444444-4444-4444-8444-444444444444"
_KINDS = (
    *("applications", "servicePrincipals", "passwords", "federated", "federation", "identities", "principals"),
    *("roles", "role_texts", "assignments", "assignments_list"),
)


class Control:
    """The verbs of `World.control("azure", ...)`, also called by tests in this process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._secret = f"ops8Q~CANARY{secrets.token_hex(16)}"  # the operator's: the same after each reset
        self._clusters: list[Cluster] = []
        self.seed()

    def seed(self) -> None:
        """Two tenants and subscriptions, and an operator who owns the first one and may register applications."""
        store = self._store
        store.clear()
        store.tenants |= {TENANT, OTHER_TENANT}
        for subscription in (SUBSCRIPTION, HUB):
            store.subscriptions[subscription] = Subscription(subscription, TENANT)
        authorization.seed(store)
        graph = ["Application.ReadWrite.OwnedBy", "Policy.Read.All"]
        self.add_app("operator", app_id=OPERATOR, principal_id=OPERATOR_ID, graph=graph)
        self.add_secret(OPERATOR, "operator", text=self._secret)
        store.groups[ENTRA_ADMINS] = {OPERATOR_ID}
        self.grant(OPERATOR_ID, OWNER, f"/subscriptions/{SUBSCRIPTION}")
        for cluster in self._clusters:
            self._make_cluster(cluster)

    def operator(self) -> dict[str, str]:
        return {"client_id": OPERATOR, "tenant": TENANT, "secret": self._secret, "subscription_id": SUBSCRIPTION}

    def do(self, verb: str, args: Mapping[str, Any]) -> Any:
        if verb not in _VERBS:
            raise ValueError(f"azure has no verb {verb}: {', '.join(_VERBS)}")
        return _VERBS[verb](self, **args)

    def add_cluster(self, cluster: Cluster) -> None:
        self._clusters.append(cluster)
        self._make_cluster(cluster)

    def _make_cluster(self, cluster: Cluster) -> None:
        """Add a cluster with its resource groups, network and kubelet identity."""
        store = self._store
        if cluster.account not in store.subscriptions:
            self.add_subscription(cluster.account)
            self.grant(OPERATOR_ID, OWNER, f"/subscriptions/{cluster.account}")
        nodes = f"MC_{cluster.resource_group}_{cluster.name}_{cluster.region}"
        for group in (cluster.resource_group, nodes, f"{cluster.resource_group}-network"):
            self.add_group(group, cluster.account, cluster.region)
        network = clusters.network_of(cluster.account, cluster.resource_group)
        self.add_network(network, ["nodes", "pods"])
        kubelets = self.add_identity(f"{cluster.name}-agentpool", nodes, cluster.account, cluster.region)["id"]
        tenant = store.subscriptions[cluster.account].tenant
        made = clusters.add(store, cluster, tenant, kubelets)
        if cluster.mode == "azure":
            self.grant(OPERATOR_ID, CLUSTER_ADMIN, made["id"])

    # Verbs: the Resource Manager

    def add_subscription(self, subscription: str, tenant: str = TENANT, managed_by: Sequence[str] = ()) -> None:
        """managed_by: tenants to which the subscription is delegated."""
        self._store.tenants.add(tenant)
        self._store.subscriptions[subscription] = Subscription(subscription, tenant, tuple(managed_by))

    def add_group(self, name: str, subscription: str = SUBSCRIPTION, location: str = "westeurope") -> str:
        """Create a resource group if necessary and return its id."""
        identity = f"/subscriptions/{subscription}/resourceGroups/{name}"
        self._store.resource_groups.setdefault(
            identity.lower(),
            {
                "id": identity,
                "name": name,
                "type": "Microsoft.Resources/resourceGroups",
                "location": location,
                "tags": {},
                "properties": {"provisioningState": "Succeeded"},
            },
        )
        return identity

    def remove_group(self, name: str, subscription: str = SUBSCRIPTION) -> None:
        """Delete a group with everything in it, role assignments included. Custom roles keep it in their scopes."""
        store, scope = self._store, f"/subscriptions/{subscription}/resourceGroups/{name}"
        for cluster in [one for one in store.clusters.values() if within(one["id"], scope)]:
            self.remove_cluster(cluster["name"])
        for identity in [one for one in store.identities.values() if within(one.id, scope)]:
            identities.remove(store, identity)
        store.networks = {key: one for key, one in store.networks.items() if not within(one["id"], scope)}
        store.assignments = [one for one in store.assignments if not within(one.scope, scope)]
        store.resource_groups.pop(scope.lower(), None)

    def remove_cluster(self, cluster: str) -> None:
        """Delete a cluster and the resource group of its nodes."""
        found = self._store.clusters.pop(self._cluster(cluster)["id"].lower())
        self.remove_group(found["properties"]["nodeResourceGroup"], found["id"].split("/")[2])

    def add_network(self, identity: str, subnets: Sequence[str]) -> None:
        """Add a network by its whole id, and its group if necessary."""
        parts = identity.split("/")
        self.add_group(parts[4], parts[2])
        self._store.networks[identity.lower()] = {
            "id": identity,
            "name": parts[-1],
            "type": "Microsoft.Network/virtualNetworks",
            "location": "westeurope",
            "properties": {
                "provisioningState": "Succeeded",
                "subnets": [
                    {
                        "id": f"{identity}/subnets/{name}",
                        "name": name,
                        "type": "Microsoft.Network/virtualNetworks/subnets",
                        "properties": {"addressPrefix": f"10.{240 + number}.0.0/16", "provisioningState": "Succeeded"},
                    }
                    for number, name in enumerate(subnets)
                ],
            },
        }

    def add_identity(
        self,
        name: str,
        group: str,
        subscription: str = SUBSCRIPTION,
        location: str = "westeurope",
        tags: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """Create a managed identity: its id, client_id and principal_id."""
        identity = f"{self.add_group(group, subscription)}/providers/{identities.KIND}/{name}"
        there = self._store.identities.get(identity.lower())
        tenant = self._store.subscriptions[subscription].tenant
        made = there or identities.make(self._store, identity, location, tenant, dict(tags or {}))
        return {"id": made.id, "client_id": made.client, "principal_id": made.principal}

    def remove_identity(self, identity: str) -> None:
        identities.remove(self._store, self._store.identities[identity.lower()])

    def add_federated(self, of: str, name: str, issuer: str, subject: str, audience: str) -> str:
        """Add a federated credential to a managed identity (by id) or an application (by client id) and return its
        id."""
        application = self._store.directory.by_app_id(of)
        there = application.federated if application else self._store.identities[of.lower()].federated
        identity = new_id()
        made = {"id": identity, "name": name, "issuer": issuer, "subject": subject, "audiences": [audience]}
        there.append({**made, "description": None} if application else made)
        return identity

    def set_cluster(self, cluster: str, **properties: Any) -> None:
        """Give the only cluster of a name, or one by its id, other properties, for example nodeProvisioningProfile.

        sku, kind, location and tags are not of its properties. None shows as null.
        """
        found = self._cluster(cluster)
        for name, value in properties.items():
            (found if name in ("sku", "kind", "location", "tags") else found["properties"])[name] = value

    def _cluster(self, cluster: str) -> dict[str, Any]:
        for identity, one in self._store.clusters.items():
            if cluster.lower() in (identity, one["name"].lower()):
                return one
        raise ValueError(f"there is no cluster {cluster}")

    def copy_cluster(self, cluster: str, group: str) -> str:
        """Add a cluster with the same name in another group of the subscription and return its id. It leads to the same
        cluster."""
        found = self._cluster(cluster)
        subscription = found["id"].split("/")[2]
        nodes = f"MC_{group}_{found['name']}_{found['location']}"
        for one in (group, nodes):
            self.add_group(one, subscription)
        identity = clusters.name_of(subscription, group, found["name"])
        made = {**copy.deepcopy(found), "id": identity}
        made["properties"]["nodeResourceGroup"] = nodes
        self._store.clusters[identity.lower()] = made
        self._store.ways_in[identity.lower()] = self._store.ways_in[found["id"].lower()]
        return identity

    def add_pool(self, cluster: str, name: str, **more: Any) -> None:
        properties = self._cluster(cluster)["properties"]
        properties["agentPoolProfiles"].append(clusters.pool(name, properties["kubernetesVersion"], **more))

    def add_lock(self, scope: str, level: str = "CanNotDelete", name: str = "lock") -> str:
        """level: CanNotDelete or ReadOnly."""
        identity = f"{scope}/providers/Microsoft.Authorization/locks/{name}"
        kind = "Microsoft.Authorization/locks"
        self._store.locks.append({"id": identity, "name": name, "type": kind, "properties": {"level": level}})
        return identity

    def remove_lock(self, identity: str) -> None:
        self._store.locks = [one for one in self._store.locks if one["id"] != identity]

    def add_denial(
        self, scope: str, actions: Sequence[str] = ("*/write", "*/delete"), excluded: Sequence[str] = ()
    ) -> str:
        """Deny everybody except the excluded principals."""
        name = str(uuid.uuid5(uuid.NAMESPACE_URL, scope))
        identity = f"{scope}/providers/Microsoft.Authorization/denyAssignments/{name}"
        everybody = {"id": "00000000-0000-0000-0000-000000000000", "type": "SystemDefined"}
        self._store.denials.append(
            {
                "id": identity,
                "name": name,
                "type": "Microsoft.Authorization/denyAssignments",
                "properties": {
                    "denyAssignmentName": "node resource group lockdown",
                    "description": "",
                    "permissions": [
                        {"actions": list(actions), "notActions": [], "dataActions": [], "notDataActions": []}
                    ],
                    "scope": scope,
                    "doNotApplyToChildScopes": False,
                    "principals": [everybody],
                    "excludePrincipals": [{"id": one, "type": "ServicePrincipal"} for one in excluded],
                    "isSystemProtected": True,
                },
            }
        )
        return identity

    def add_policy(
        self, scope: str, kind: str, name: str, effect: str = "deny", tags: Mapping[str, str] | None = None
    ) -> None:
        """A policy assignment for resource types. kind: a regular expression.

        deny: what lacks one of the tags, everything without tags; modify: adds the tags.
        """
        policy = {"scope": scope, "kind": kind, "name": name, "effect": effect}
        self._store.policies.append({**policy, **({"tags": dict(tags)} if tags else {})})

    def set_registered(self, namespace: str, on: bool, subscription: str = SUBSCRIPTION) -> None:
        registered = self._store.subscriptions[subscription].registered
        (registered.add if on else registered.discard)(namespace)

    def set_versions(self, kind: str, versions: Sequence[str]) -> None:
        """Set which api-versions of a resource type the cloud supports."""
        self._store.versions[kind] = tuple(versions)

    def add_role(
        self,
        name: str,
        actions: Sequence[str],
        scopes: Sequence[str],
        guid: str = "",
        tenant: str = TENANT,
        **said: Any,
    ) -> str:
        """Create a custom role and return its id without a scope. said: description, dataActions, notActions."""
        guid = guid or new_id()
        entry = {"actions": list(actions), "notActions": [], "dataActions": [], "notDataActions": []}
        entry |= {kind: list(said.pop(kind)) for kind in tuple(entry) if kind in said}
        now = as_time(self._store.clock())
        made = {
            "roleName": name,
            "type": "CustomRole",
            "description": said.get("description", ""),
            "assignableScopes": list(scopes),
            "permissions": [entry],
            "createdOn": now,
            "updatedOn": now,
            "createdBy": OPERATOR_ID,
            "updatedBy": OPERATOR_ID,
        }
        self._store.definitions[guid] = Definition(guid, made, tenant)
        return guid

    def grant(self, principal: str, role: str, scope: str, name: str = "", **said: Any) -> str:
        """Assign a role, by GUID or built-in name, and return the assignment's id. said: condition, description."""
        role = role.lower() if role.lower() in self._store.definitions else named(role)
        now = as_time(self._store.clock())
        subscription = "/".join(scope.split("/")[:3])
        made = {
            "roleDefinitionId": f"{subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}",
            "principalId": principal,
            "principalType": "ServicePrincipal",
            "condition": None,
            "conditionVersion": None,
            "createdOn": now,
            "updatedOn": now,
            "createdBy": OPERATOR_ID,
            "updatedBy": OPERATOR_ID,
            "delegatedManagedIdentityResourceId": None,
            "description": None,
            **said,
        }
        one = Assignment(scope, name or new_id(), made, 0.0)
        self._store.assignments.append(one)
        return one.id

    def revoke(self, principal: str, scope: str = "") -> None:
        """Revoke all role assignments of a principal, or those at a scope."""
        self._store.assignments = [
            one
            for one in self._store.assignments
            if one.said["principalId"] != principal or (scope and one.scope.lower() != scope.lower())
        ]

    # Verbs: Entra

    def add_app(
        self,
        name: str,
        app_id: str = "",
        principal_id: str = "",
        tenant: str = TENANT,
        graph: Sequence[str] = (),
        owners: Sequence[str] = (),
        **said: Any,
    ) -> dict[str, str]:
        """Create an application with its service principal: id, client_id, principal_id. said: tags, notes and the
        like."""
        now = self._store.clock()
        shown = applications.application_said(name, now, **said)
        shown["appId"] = app_id or shown["appId"]
        application = Application(tenant, shown, owners=list(owners))
        principal = applications.principal_said(application)
        principal["id"] = principal_id or principal["id"]
        self._store.directory.applications.append(application)
        self._store.directory.principals.append(ServicePrincipal(tenant, principal, set(graph), owners=list(owners)))
        return {"id": application.id, "client_id": application.app_id, "principal_id": principal["id"]}

    def add_guest(self, client_id: str, tenant: str) -> str:
        """Create the service principal of an application in another tenant and return its object id."""
        application = self._application(client_id)
        said = applications.principal_said(application)
        self._store.directory.principals.append(ServicePrincipal(tenant, said))
        return str(said["id"])

    def _application(self, client_id: str) -> Application:
        found = self._store.directory.by_app_id(client_id)
        if found is None:
            raise ValueError(f"there is no application {client_id}")
        return found

    def add_secret(self, client_id: str, name: str | None = None, days: float = 365, text: str = "") -> dict[str, str]:
        """Add a secret regardless of policies: key_id and secret."""
        application, now = self._application(client_id), self._store.clock()
        text = text or f"{secrets.token_hex(2)}8Q~CANARY{secrets.token_hex(16)}"
        key = new_id()
        application.secrets[key] = text
        application.said["passwordCredentials"].append(
            {
                "customKeyIdentifier": None,
                "displayName": name,
                "endDateTime": as_time(now + days * 24 * 3600),
                "hint": text[:3],
                "keyId": key,
                "secretText": None,
                "startDateTime": as_time(now),
            }
        )
        return {"key_id": key, "secret": text}

    def set_secret(self, key_id: str, **said: Any) -> None:
        """Change what is shown of a secret, such as endDateTime."""
        every = (key for one in self._store.directory.applications for key in one.said["passwordCredentials"])
        next(key for key in every if key["keyId"] == key_id).update(said)

    def secret_id(self, text: str) -> str:
        """The id of a secret."""
        application = next(one for one in self._store.directory.applications if text in one.secrets.values())
        return next(key for key, one in application.secrets.items() if one == text)

    def secrets(self) -> list[str]:
        """All secrets of applications, issued tokens and cluster credentials; keys by line."""
        every = (text for one in self._store.directory.applications for text in one.secrets.values())
        keys = (line for one in self._clusters for line in one.client_key.splitlines()[1:-1])
        return [*every, *self._store.tokens, *keys, *(one.client_token for one in self._clusters if one.client_token)]

    def strip_operator(self, graph: Sequence[str] = ()) -> None:
        """Remove all of the operator's Graph permissions except these."""
        found = self._store.directory.principal(TENANT, OPERATOR_ID)
        assert found is not None
        found.graph = set(graph)

    def add_certificate(self, client_id: str, der: str) -> None:
        """der: the certificate in base64."""
        self._application(client_id).certificates[new_id()] = base64.b64decode(der)

    def remove_app(self, client_id: str, days_ago: float = 0) -> None:
        """Delete as the portal does: the application can be restored for a while."""
        application, directory = self._application(client_id), self._store.directory
        application.deleted_at = self._store.clock() - days_ago * 24 * 3600
        application.said["deletedDateTime"] = as_time(application.deleted_at)
        directory.applications.remove(application)
        directory.deleted.append(application)
        directory.principals = [one for one in directory.principals if one.app_id != client_id]

    def add_operator(
        self,
        graph: Sequence[str] = (),
        roles: Mapping[str, Sequence[str]] | None = None,
        actions: Mapping[str, Sequence[str]] | None = None,
        tenant: str = TENANT,
    ) -> dict[str, str]:
        """Create another operator. roles: by scope, built-in ones; actions: by scope, those of a new custom role."""
        made = self.add_app(f"operator-{len(self._store.directory.applications)}", tenant=tenant, graph=graph)
        for scope, names in (roles or {}).items():
            for name in names:
                self.grant(made["principal_id"], name, scope)
        for scope, listed in (actions or {}).items():
            role = self.add_role(f"role of {made['client_id']} {len(self._store.definitions)}", listed, [scope])
            self.grant(made["principal_id"], role, scope)
        return {**made, **self.add_secret(made["client_id"]), "tenant": tenant}

    def token(
        self,
        principal_id: str = OPERATOR_ID,
        audience: str = "https://management.azure.com",
        tenant: str = TENANT,
        life: float = 3600,
    ) -> str:
        """Create an access token for a service principal."""
        found = self._store.directory.principal(tenant, principal_id)
        if found is None:
            raise ValueError(f"there is no service principal {principal_id} in {tenant}")
        return login.issue(self._store, login.principal_of(self._store, found), audience, life)

    def user_token(
        self,
        user: str,
        audience: str = "https://management.azure.com",
        graph: Sequence[str] = (),
        overage: bool = False,
        **claims: Any,
    ) -> str:
        """Create an access token for a person, who is created if necessary. overage: too many groups for the token."""
        identity = str(uuid.uuid5(uuid.NAMESPACE_URL, user))
        groups = tuple(self._store.members(identity))
        principal = Principal(identity, OPERATOR, user=user, groups=groups, graph=frozenset(graph))
        self._store.users[identity] = principal
        if overage:
            claims |= {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph"}}}
        return login.issue(self._store, principal, audience, **claims)

    def add_member(self, group: str, member: str, on: bool = True) -> None:
        """Add a member to a group of the directory, which is created if necessary, or remove it."""
        members = self._store.groups.setdefault(group, set())
        (members.add if on else members.discard)(member)

    def federated_token(self, issuer: str, subject: str, audience: str = "api://AzureADTokenExchange") -> str:
        """Create a token of an outside issuer, for `oidc_token`."""
        return login.assertion(self._store, issuer, subject, audience)

    def set_app_policy(self, max_days: int | None = None, secrets_forbidden: bool = False) -> None:
        """Set the tenant's app management policy."""
        self._store.app_policy = {"max_days": max_days, "secrets_forbidden": secrets_forbidden}

    # Verbs: behavior

    def behave(self, **changes: Any) -> None:
        """How it answers from now on; None ends it.

        challenge: arm or graph, which then take only tokens with the claims of a challenge. conditional_access: logins
        are refused. registration_off: applications cannot be registered without .All. federation_takes: for so many
        virtual seconds after a write of a federated credential another one for the identity is refused. limits: the
        pace for federated credentials holds. duplicate_is_bad_request: the same issuer and subject is a 400, no 409.
        regions_without_federation: a list. grants_after: after how many virtual seconds assignments count. machine:
        client ids of the identities of the metadata service's machine. no_subscription_permissions: permissions
        cannot be asked for at a subscription. page: how long a page of a list is.
        """
        for name, value in changes.items():
            self._store.behavior.pop(name, None)
            if value is not None:
                self._store.behavior[name] = value

    def visibility(self, uses: int = 0, seconds: float = 0.0, kinds: Sequence[str] = _KINDS) -> None:
        """Hide what is made from now on: from the first `uses` calls of each operation, or for so many virtual seconds.

        applications, servicePrincipals and federated: from Graph; passwords and federation: from the login; principals
        and identities: from the Resource Manager; roles and assignments_list: from its lists and from what needs them;
        role_texts: reads show what was before an update; assignments: a role still has those that have gone.
        """
        self._store.visibility.set(uses, seconds)
        self._store.hidden_kinds = frozenset(kinds)

    def lag(self, seconds: float) -> None:
        """Set how far one of Graph's two replicas lags behind. Calls use them in turn."""
        self._store.lag = seconds
        self._store.earlier.clear()
        self._store.turns = 0

    def leave_other_way(self, cluster: str, vintage: str, cluster_id: str, subject: str = "") -> dict[str, str]:
        """Create what another way of onboarding leaves behind (other_ways.py). subject: CAST AI's account."""
        return other_ways.leave(self.do_by_name, self._cluster(cluster), vintage, cluster_id, subject)

    def do_by_name(self, verb: str, **args: Any) -> Any:
        return self.do(verb, args)


_VERBS: Mapping[str, Callable[..., Any]] = {
    name: getattr(Control, name)
    for name in (
        *("add_subscription", "add_group", "add_network", "add_identity", "remove_identity", "add_federated"),
        *(
            "set_cluster",
            "copy_cluster",
            "add_pool",
            "add_lock",
            "remove_lock",
            "add_denial",
            "add_policy",
            "set_registered",
            "remove_cluster",
            "remove_group",
        ),
        *("set_versions", "add_role", "grant", "revoke", "add_app", "add_guest", "add_secret", "add_certificate"),
        *("set_secret", "secret_id", "secrets"),
        "strip_operator",
        *("remove_app", "add_operator", "token", "user_token", "add_member", "federated_token", "set_app_policy"),
        *("behave", "visibility", "lag", "leave_other_way", "operator"),
    )
}
