# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Microsoft's own clients under Azure's host names: every call of the gateway is the same request as theirs.

The clients' types parse the answers, and requests that Azure does not support are refused.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from azure.identity import ClientSecretCredential
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.authorization.v2022_04_01.models import (
    Permission,
    RoleAssignmentCreateParameters,
    RoleDefinition,
)
from azure.mgmt.containerservice import ContainerServiceClient
from azure.mgmt.msi import ManagedServiceIdentityClient
from azure.mgmt.msi.v2024_11_30 import models as msi
from azure.mgmt.resource.locks import ManagementLockClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.resource.subscriptions import SubscriptionClient
from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph import GraphServiceClient
from msgraph.generated.applications.applications_request_builder import ApplicationsRequestBuilder
from msgraph.generated.applications.item.add_password.add_password_post_request_body import AddPasswordPostRequestBody
from msgraph.generated.applications.item.application_item_request_builder import ApplicationItemRequestBuilder
from msgraph.generated.applications.item.remove_password.remove_password_post_request_body import (
    RemovePasswordPostRequestBody,
)
from msgraph.generated.directory.deleted_items.graph_application.graph_application_request_builder import (
    GraphApplicationRequestBuilder,
)
from msgraph.generated.directory_objects.item.directory_object_item_request_builder import (
    DirectoryObjectItemRequestBuilder,
)
from msgraph.generated.models.application import Application
from msgraph.generated.models.federated_identity_credential import FederatedIdentityCredential
from msgraph.generated.models.password_credential import PasswordCredential
from msgraph.generated.models.service_principal import ServicePrincipal
from msgraph.generated.service_principals.service_principals_request_builder import ServicePrincipalsRequestBuilder

from ansible_collections.castai.onboarding.plugins.module_utils._gateways.azure import ARM_CALLS
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.azure import CALLS as GATEWAYS_CALLS
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.azure import Azure as Gateway
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.azure_identities import Federation
from tests.sandbox.proxy import Proxy
from tests.sandbox.wire import Request

from .azure_client import ARM, GROUP_ID, OPERATOR_ID, SCOPE, SUBSCRIPTION, TENANT, Azures, cluster

ROLE, ASSIGNMENT = "ff99fa77-cb89-53e4-8434-04784bc11a65", "62edd8ee-8523-5478-8742-d46759a36503"
OTHER_ROLE, OTHER_ASSIGNMENT = "ff99fa77-cb89-53e4-8434-000000000001", "62edd8ee-8523-5478-8742-000000000002"
APP, CLIENT = "aaaaaaaa-1111-4111-8111-111111111111", "bbbbbbbb-1111-4111-8111-111111111111"
BARE_APP, BARE_CLIENT = "aaaaaaaa-2222-4111-8111-111111111111", "bbbbbbbb-2222-4111-8111-111111111111"
PRINCIPAL, KEY = "cccccccc-1111-4111-8111-111111111111", "dddddddd-1111-4111-8111-111111111111"
FEDERATION_ID = "eeeeeeee-1111-4111-8111-111111111111"
ROLE_ID = f"{SCOPE}/providers/Microsoft.Authorization/roleDefinitions/{ROLE}"
ISSUER, AUDIENCE = "https://accounts.google.com", "api://AzureADTokenExchange"
ENDS = "2027-06-01T00:00:00Z"
ME = f"https://graph.microsoft.com/v1.0/directoryObjects/{OPERATOR_ID}"
SELECT = ["id", "appId", "displayName", "tags", "notes", "passwordCredentials", "createdDateTime"]
NAMESPACE = "Microsoft.ManagedIdentity"
ACTIONS = ["Microsoft.Compute/*/read"]
FEDERATION = Federation("castai-new", ISSUER, "2", (AUDIENCE,))
CHANGED = Federation("castai", ISSUER, "3", (AUDIENCE,), FEDERATION_ID)


@dataclass
class Clients:
    """Microsoft's, of the operator."""

    credential: ClientSecretCredential
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    @cached_property
    def clusters(self) -> Any:
        return ContainerServiceClient(self.credential, SUBSCRIPTION, api_version="2026-02-01").managed_clusters

    @cached_property
    def authorization(self) -> Any:
        return AuthorizationManagementClient(self.credential, SUBSCRIPTION, api_version="2022-04-01")

    @cached_property
    def identities(self) -> Any:
        return ManagedServiceIdentityClient(self.credential, SUBSCRIPTION, api_version="2024-11-30")

    @cached_property
    def resources(self) -> Any:
        return ResourceManagementClient(self.credential, SUBSCRIPTION)

    @cached_property
    def subscriptions(self) -> Any:
        return SubscriptionClient(self.credential).subscriptions

    @cached_property
    def locks(self) -> Any:
        return ManagementLockClient(self.credential, SUBSCRIPTION).management_locks

    @cached_property
    def graph(self) -> Any:
        return GraphServiceClient(self.credential, ["https://graph.microsoft.com/.default"])

    def wait(self, call: Any) -> Any:
        return self.loop.run_until_complete(call)


@dataclass(frozen=True)
class Pair:
    """One call, made by our gateway and by Microsoft's client.

    required: the field of the body without which it is refused, as a path joined by dots.
    """

    name: str
    ours: Callable[[Gateway], Any]
    theirs: Callable[[Clients], Any]
    required: str = ""


def role(name: str) -> dict[str, Any]:
    return {
        "roleName": name,
        "description": "d",
        "permissions": [{"actions": ACTIONS, "notActions": [], "dataActions": [], "notDataActions": []}],
        "assignableScopes": [GROUP_ID],
    }


def their_role() -> RoleDefinition:
    permission = Permission(actions=ACTIONS, not_actions=[], data_actions=[], not_data_actions=[])
    return RoleDefinition(
        role_name="new",
        description="d",
        role_type="CustomRole",
        permissions=[permission],
        assignable_scopes=[GROUP_ID],
    )


def their_assignment() -> RoleAssignmentCreateParameters:
    return RoleAssignmentCreateParameters(
        role_definition_id=ROLE_ID, principal_id=OPERATOR_ID, principal_type="ServicePrincipal", description="d"
    )


def query(builder: Any, parameters: str, **given: Any) -> Any:
    return RequestConfiguration(query_parameters=getattr(builder, parameters)(**given))


def apps(text: str) -> Any:
    name = "ApplicationsRequestBuilderGetQueryParameters"
    return query(ApplicationsRequestBuilder, name, filter=text, select=SELECT)


def an_app(clients: Clients, app: str = APP) -> Any:
    return clients.graph.applications.by_application_id(app)


def federation(one: Federation, name: str | None = None) -> FederatedIdentityCredential:
    return FederatedIdentityCredential(name=name, issuer=one.issuer, subject=one.subject, audiences=list(one.audiences))


def their_app() -> Application:
    return Application(
        display_name="new",
        sign_in_audience="AzureADMyOrg",
        tags=["cast:cluster-id=1"],
        notes="n",
        additional_data={"owners@odata.bind": [ME]},
    )


OUR_APP = {
    "displayName": "new",
    "signInAudience": "AzureADMyOrg",
    "tags": ["cast:cluster-id=1"],
    "notes": "n",
    "owners@odata.bind": [ME],
}
TAGS = {"cast:cluster-id": "1"}
PLACE = (SUBSCRIPTION, "shop", "castai")
PAIRS = (
    Pair(
        "a cluster",
        lambda ours: ours.get_cluster(SUBSCRIPTION, "shop", "shop"),
        lambda theirs: theirs.clusters.get("shop", "shop"),
    ),
    Pair("clusters", lambda ours: ours.list_clusters(SUBSCRIPTION), lambda theirs: list(theirs.clusters.list())),
    Pair(
        "the way in",
        lambda ours: ours.user_credential(SUBSCRIPTION, "shop", "shop"),
        lambda theirs: theirs.clusters.list_cluster_user_credentials("shop", "shop", format="exec"),
    ),
    Pair(
        "the public way in",
        lambda ours: ours.user_credential(SUBSCRIPTION, "shop", "shop", public=True),
        lambda theirs: theirs.clusters.list_cluster_user_credentials(
            "shop", "shop", format="exec", server_fqdn="public"
        ),
    ),
    Pair(
        "the administrator's way in",
        lambda ours: ours.admin_credential(SUBSCRIPTION, "shop", "shop"),
        lambda theirs: theirs.clusters.list_cluster_admin_credentials("shop", "shop"),
    ),
    Pair(
        "roles of a name",
        lambda ours: ours.find_roles(GROUP_ID, "castai"),
        lambda theirs: list(theirs.authorization.role_definitions.list(GROUP_ID, filter="roleName eq 'castai'")),
    ),
    Pair(
        "custom roles",
        lambda ours: ours.list_custom_roles(GROUP_ID),
        lambda theirs: list(theirs.authorization.role_definitions.list(GROUP_ID, filter="type eq 'CustomRole'")),
    ),
    Pair(
        "roles at a scope and below",
        lambda ours: ours.list_roles_below(SCOPE),
        lambda theirs: list(theirs.authorization.role_definitions.list(SCOPE, filter="atScopeAndBelow()")),
    ),
    Pair(
        "a role",
        lambda ours: ours.get_role(GROUP_ID, ROLE),
        lambda theirs: theirs.authorization.role_definitions.get(GROUP_ID, ROLE),
    ),
    Pair(
        "a role is written",
        lambda ours: ours.put_role(GROUP_ID, OTHER_ROLE, role("new")),
        lambda theirs: theirs.authorization.role_definitions.create_or_update(GROUP_ID, OTHER_ROLE, their_role()),
        "properties.roleName",
    ),
    Pair(
        "a role is deleted",
        lambda ours: ours.delete_role(GROUP_ID, ROLE),
        lambda theirs: theirs.authorization.role_definitions.delete(GROUP_ID, ROLE),
    ),
    Pair(
        "role assignments",
        lambda ours: ours.list_assignments(GROUP_ID),
        lambda theirs: list(theirs.authorization.role_assignments.list_for_scope(GROUP_ID, filter="atScope()")),
    ),
    Pair(
        "role assignments of somebody",
        lambda ours: ours.list_assignments(SCOPE, OPERATOR_ID),
        lambda theirs: list(
            theirs.authorization.role_assignments.list_for_scope(SCOPE, filter=f"principalId eq '{OPERATOR_ID}'")
        ),
    ),
    Pair(
        "a role assignment",
        lambda ours: ours.get_assignment(GROUP_ID, ASSIGNMENT),
        lambda theirs: theirs.authorization.role_assignments.get(GROUP_ID, ASSIGNMENT),
    ),
    Pair(
        "a role is assigned",
        lambda ours: ours.put_assignment(GROUP_ID, OTHER_ASSIGNMENT, ROLE_ID, OPERATOR_ID, "d"),
        lambda theirs: theirs.authorization.role_assignments.create(GROUP_ID, OTHER_ASSIGNMENT, their_assignment()),
        "properties.principalId",
    ),
    Pair(
        "a role assignment is deleted",
        lambda ours: ours.delete_assignment(GROUP_ID, ASSIGNMENT),
        lambda theirs: theirs.authorization.role_assignments.delete(GROUP_ID, ASSIGNMENT),
    ),
    Pair(
        "permissions of a group",
        lambda ours: ours.permissions(GROUP_ID),
        lambda theirs: list(theirs.authorization.permissions.list_for_resource_group("shop")),
    ),
    Pair(
        "deny assignments",
        lambda ours: ours.deny_assignments(GROUP_ID),
        lambda theirs: list(theirs.authorization.deny_assignments.list_for_scope(GROUP_ID)),
    ),
    Pair(
        "locks",
        lambda ours: ours.locks(GROUP_ID),
        lambda theirs: list(theirs.locks.list_at_resource_group_level("shop")),
    ),
    Pair(
        "an identity",
        lambda ours: ours.get_identity(*PLACE),
        lambda theirs: theirs.identities.user_assigned_identities.get("shop", "castai"),
    ),
    Pair(
        "an identity is written",
        lambda ours: ours.put_identity(SUBSCRIPTION, "shop", "castai-new", "westeurope", TAGS),
        lambda theirs: theirs.identities.user_assigned_identities.create_or_update(
            "shop", "castai-new", msi.Identity(location="westeurope", tags=TAGS)
        ),
        "location",
    ),
    Pair(
        "an identity is tagged",
        lambda ours: ours.tag_identity(*PLACE, TAGS),
        lambda theirs: theirs.identities.user_assigned_identities.update(
            "shop", "castai", msi.IdentityUpdate(tags=TAGS)
        ),
    ),
    Pair(
        "an identity is deleted",
        lambda ours: ours.delete_identity(*PLACE),
        lambda theirs: theirs.identities.user_assigned_identities.delete("shop", "castai"),
    ),
    Pair(
        "federated credentials of an identity",
        lambda ours: ours.list_identity_federations(*PLACE),
        lambda theirs: list(theirs.identities.federated_identity_credentials.list("shop", "castai")),
    ),
    Pair(
        "a federated credential of an identity is written",
        lambda ours: ours.put_identity_federation(*PLACE, FEDERATION),
        lambda theirs: theirs.identities.federated_identity_credentials.create_or_update(
            "shop",
            "castai",
            "castai-new",
            msi.FederatedIdentityCredential(issuer=ISSUER, subject="2", audiences=[AUDIENCE]),
        ),
        "properties.subject",
    ),
    Pair(
        "a federated credential of an identity is deleted",
        lambda ours: ours.delete_identity_federation(*PLACE, "castai"),
        lambda theirs: theirs.identities.federated_identity_credentials.delete("shop", "castai", "castai"),
    ),
    Pair(
        "a subscription",
        lambda ours: ours.get_subscription(SUBSCRIPTION),
        lambda theirs: theirs.subscriptions.get(SUBSCRIPTION),
    ),
    Pair(
        "a group",
        lambda ours: ours.get_group(SUBSCRIPTION, "shop"),
        lambda theirs: theirs.resources.resource_groups.get("shop"),
    ),
    Pair(
        "a provider",
        lambda ours: ours.provider_registered(SUBSCRIPTION, NAMESPACE),
        lambda theirs: theirs.resources.providers.get(NAMESPACE),
    ),
    Pair(
        "a provider is registered",
        lambda ours: ours.register_provider(SUBSCRIPTION, NAMESPACE),
        lambda theirs: theirs.resources.providers.register(NAMESPACE),
    ),
    Pair(
        "applications of a name",
        lambda ours: ours.find_apps("", "it's"),
        lambda theirs: theirs.wait(theirs.graph.applications.get(apps("displayName eq 'it''s'"))),
    ),
    Pair(
        "applications of a tag",
        lambda ours: ours.find_apps_by_tag("", "a"),
        lambda theirs: theirs.wait(theirs.graph.applications.get(apps("tags/any(t:t eq 'a')"))),
    ),
    Pair(
        "an application by its client id",
        lambda ours: ours.find_app_by_client_id("", CLIENT),
        lambda theirs: theirs.wait(theirs.graph.applications.get(apps(f"appId eq '{CLIENT}'"))),
    ),
    Pair(
        "an application",
        lambda ours: ours.get_app("", APP),
        lambda theirs: theirs.wait(
            an_app(theirs).get(
                query(
                    ApplicationItemRequestBuilder,
                    "ApplicationItemRequestBuilderGetQueryParameters",
                    select=SELECT,
                )
            )
        ),
    ),
    Pair(
        "an application is made",
        lambda ours: ours.create_app("", OUR_APP),
        lambda theirs: theirs.wait(theirs.graph.applications.post(their_app())),
        "displayName",
    ),
    Pair(
        "an application is changed",
        lambda ours: ours.patch_app("", APP, {"tags": ["a"], "notes": "n"}),
        lambda theirs: theirs.wait(an_app(theirs).patch(Application(tags=["a"], notes="n"))),
    ),
    Pair(
        "an application is deleted",
        lambda ours: ours.delete_app("", APP),
        lambda theirs: theirs.wait(an_app(theirs).delete()),
    ),
    Pair(
        "a secret is added",
        lambda ours: ours.add_password("", APP, "shop-castai", ENDS),
        lambda theirs: theirs.wait(
            an_app(theirs).add_password.post(
                AddPasswordPostRequestBody(
                    password_credential=PasswordCredential(display_name="shop-castai", end_date_time=ENDS)  # type: ignore[arg-type]
                )
            )
        ),
    ),
    Pair(
        "a secret is removed",
        lambda ours: ours.remove_password("", APP, KEY),
        lambda theirs: theirs.wait(an_app(theirs).remove_password.post(RemovePasswordPostRequestBody(key_id=KEY))),  # type: ignore[arg-type]
        "keyId",
    ),
    Pair(
        "federated credentials of an application",
        lambda ours: ours.list_app_federations("", APP),
        lambda theirs: theirs.wait(an_app(theirs).federated_identity_credentials.get()),
    ),
    Pair(
        "a federated credential of an application is made",
        lambda ours: ours.create_app_federation("", APP, FEDERATION),
        lambda theirs: theirs.wait(
            an_app(theirs).federated_identity_credentials.post(federation(FEDERATION, FEDERATION.name))
        ),
        "subject",
    ),
    Pair(
        "a federated credential of an application is changed",
        lambda ours: ours.patch_app_federation("", APP, CHANGED),
        lambda theirs: theirs.wait(
            an_app(theirs)
            .federated_identity_credentials.by_federated_identity_credential_id(FEDERATION_ID)
            .patch(federation(CHANGED))
        ),
    ),
    Pair(
        "a federated credential of an application is deleted",
        lambda ours: ours.delete_app_federation("", APP, FEDERATION_ID),
        lambda theirs: theirs.wait(
            an_app(theirs).federated_identity_credentials.by_federated_identity_credential_id(FEDERATION_ID).delete()
        ),
    ),
    Pair(
        "a service principal by its client id",
        lambda ours: ours.find_principal("", CLIENT),
        lambda theirs: theirs.wait(
            theirs.graph.service_principals.get(
                query(
                    ServicePrincipalsRequestBuilder,
                    "ServicePrincipalsRequestBuilderGetQueryParameters",
                    filter=f"appId eq '{CLIENT}'",
                    select=["id", "appId"],
                )
            )
        ),
    ),
    Pair(
        "a service principal is made",
        lambda ours: ours.create_principal("", BARE_CLIENT, (OPERATOR_ID,)),
        lambda theirs: theirs.wait(
            theirs.graph.service_principals.post(
                ServicePrincipal(app_id=BARE_CLIENT, additional_data={"owners@odata.bind": [ME]})
            )
        ),
        "appId",
    ),
    Pair(
        "a service principal is deleted",
        lambda ours: ours.delete_principal("", PRINCIPAL),
        lambda theirs: theirs.wait(theirs.graph.service_principals.by_service_principal_id(PRINCIPAL).delete()),
    ),
    Pair(
        "deleted applications",
        lambda ours: ours.find_deleted_apps("", "gone"),
        lambda theirs: theirs.wait(
            theirs.graph.directory.deleted_items.graph_application.get(
                query(
                    GraphApplicationRequestBuilder,
                    "GraphApplicationRequestBuilderGetQueryParameters",
                    filter="displayName eq 'gone'",
                    select=SELECT,
                )
            )
        ),
    ),
    Pair(
        "what the tenant allows its applications",
        lambda ours: ours.app_policy(""),
        lambda theirs: theirs.wait(theirs.graph.policies.default_app_management_policy.get()),
    ),
    Pair(
        "a directory object",
        lambda ours: ours.kind_of_object("", OPERATOR_ID),
        lambda theirs: theirs.wait(
            theirs.graph.directory_objects.by_directory_object_id(OPERATOR_ID).get(
                query(
                    DirectoryObjectItemRequestBuilder,
                    "DirectoryObjectItemRequestBuilderGetQueryParameters",
                    select=["id"],
                )
            )
        ),
    ),
)
NO_SDK = {
    # Permissions - List For Subscription is not in the reference; the path is that of the group without it.
    "permissions of a subscription": lambda ours: ours.permissions(SCOPE),
}


@dataclass(frozen=True)
class Proxied:
    azures: Azures
    clients: Clients


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """Behind the world's proxy, under Azure's own host names."""
    azures = Azures()
    azures.azure.add_cluster(cluster("shop"))
    proxy = Proxy(azures.gate, [azures.azure])
    ca = tmp_path_factory.mktemp("proxy") / "ca.pem"
    ca.write_text(proxy.ca_pem)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("https_proxy", "HTTPS_PROXY"):
            patch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
            patch.setenv(name, str(ca))
        for name in ("no_proxy", "NO_PROXY"):
            patch.delenv(name, raising=False)
        operator = azures.operator()
        credential = ClientSecretCredential(operator["tenant"], operator["client_id"], operator["secret"])
        clients = Clients(credential)
        yield Proxied(azures, clients)
        clients.loop.close()


@pytest.fixture
def world(proxied: Proxied) -> Iterator[Azures]:
    yield prepared(proxied.azures)
    assert proxied.azures.azure.take_defects() == []


def prepared(azures: Azures) -> Azures:
    """A token as every call needs it. Tokens stay valid."""
    tokens = azures.azure.store.tokens
    azures.reset()
    azures.azure.store.tokens.update(tokens)
    azures.do("add_app", name="it's", id=APP, app_id=CLIENT, principal_id=PRINCIPAL, owners=[OPERATOR_ID], tags=["a"])
    azures.do("add_secret", client_id=CLIENT)
    application = azures.azure.store.directory.by_app_id(CLIENT)
    assert application
    application.secrets = {KEY: next(iter(application.secrets.values()))}
    application.said["passwordCredentials"][0]["keyId"] = KEY
    trust = {"name": "castai", "issuer": ISSUER, "subject": "1", "audience": AUDIENCE}
    azures.do("add_federated", of=CLIENT, **trust)
    application.federated[0]["id"] = FEDERATION_ID
    azures.do("add_app", name="bare", id=BARE_APP, app_id=BARE_CLIENT, owners=[OPERATOR_ID])
    azures.azure.store.directory.principals.pop()
    gone = azures.do("add_app", name="gone", owners=[OPERATOR_ID])
    azures.do("remove_app", client_id=gone["client_id"])
    identity = azures.do("add_identity", name="castai", group="shop")
    azures.do("add_federated", of=identity["id"], **trust)
    azures.do("add_role", name="castai", actions=ACTIONS, scopes=[GROUP_ID], guid=ROLE)
    azures.do("grant", principal=OPERATOR_ID, role="Reader", scope=GROUP_ID, name=ASSIGNMENT)
    azures.do("add_denial", scope=f"{GROUP_ID}/providers/Microsoft.Network/virtualNetworks/other")
    azures.do("add_lock", scope=f"{GROUP_ID}/providers/Microsoft.Network/virtualNetworks/other")
    azures.azure.heard.clear()
    return azures


def the_call(azures: Azures, pair: Pair) -> Request:
    """The last request; our gateway waits for a registration and asks for it again."""
    return azures.azure.heard[0 if pair.name == "a provider is registered" else -1]


def asked(azures: Azures, pair: Pair) -> tuple[Any, ...]:
    """The form that is compared: without case, doubled slashes, nulls and OData types."""
    request = the_call(azures, pair)
    path = re.sub("/+", "/", unquote(request.path)).lower()
    path = path.replace("/microsoft.graph.application", "/graph.application")  # the cast, with or without its namespace
    return (
        request.method,
        request.host,
        path,
        dict(parse_qsl(request.query)),
        plain(json.loads(request.body or b"null")),
    )


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: plain(one) for name, one in value.items() if one is not None and name != "@odata.type"}
        return {name: moment(one) if name.endswith("DateTime") else one for name, one in kept.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


def moment(text: str) -> str:
    return re.sub(r"(\.0+)?(\+00:00|Z)$", "Z", text)


def by_name(pairs: tuple[Pair, ...]) -> dict[str, Any]:
    return {"argvalues": pairs, "ids": [one.name for one in pairs]}


@pytest.mark.parametrize("pair", **by_name(PAIRS))
def test_microsofts_client_and_ours_ask_the_same(world: Azures, proxied: Proxied, pair: Pair) -> None:
    pair.ours(world.gateway())
    ours = asked(world, pair)
    prepared(world)
    unread(pair.theirs(proxied.clients))
    assert asked(world, pair) == ours
    assert world.gate.journal.since(0)[-1].status < 300


def unread(answer: Any) -> None:
    """Fails if an answer has a field that Microsoft's types do not have."""
    for one in answer if isinstance(answer, list) else [answer]:
        additional = getattr(one, "additional_data", None) or getattr(one, "additional_properties", None) or {}
        assert not [name for name in additional if not name.startswith("@odata.")], additional
        for inner in getattr(one, "value", None) or ():
            if hasattr(inner, "additional_data"):
                assert not inner.additional_data
        if hasattr(one, "_attr_to_rest_field"):
            assert set(one) <= {known._rest_name for known in one._attr_to_rest_field.values()}
            for value in (getattr(one, name, None) for name in one._attr_to_rest_field):
                if hasattr(value, "_attr_to_rest_field"):
                    unread(value)
                elif isinstance(value, list):
                    unread([inner for inner in value if hasattr(inner, "_attr_to_rest_field")])


def test_every_call_of_the_gateway_is_compared(world: Azures) -> None:
    """Except for those that no client has."""
    made = set()
    for ours in (*(pair.ours for pair in PAIRS), *NO_SDK.values()):
        prepared(world)
        ours(world.gateway())
        made |= {(request.method, re.sub("/+", "/", request.path)) for request in world.azure.heard}
    missing = [call.purpose for call in GATEWAYS_CALLS if not any(is_one(call, *one) for one in made)]
    assert missing == []
    for call in GATEWAYS_CALLS:
        host = "management.azure.com" if call in ARM_CALLS else "graph.microsoft.com"
        path = next(path for method, path in made if is_one(call, method, path))
        meant = world.azure.classify(Request(call.method, host, path, "", {}, b""))
        assert meant.write is not call.only_reads, call


def is_one(call: Any, method: str, path: str) -> bool:
    pattern = re.sub(r"\\{(\w+)\\}", lambda name: ".*" if name[1] == "scope" else "[^/]+", re.escape(call.path))
    start = "" if call in ARM_CALLS else "/v1.0"
    return bool(call.method == method and re.fullmatch(start + pattern, path, re.IGNORECASE))


# What Azure does not support


def again(world: Azures, pair: Pair, change: Callable[[Any, dict[str, str]], Any]) -> tuple[int, Mapping[str, Any]]:
    """The call of a pair again, changed. change: modifies its body and its query."""
    prepared(world)
    pair.ours(world.gateway())
    request = the_call(world, pair)
    prepared(world)
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    body = change(json.loads(request.body) if request.body else None, query)
    url = f"https://{request.host}{request.path}"
    token = world.do("token", audience=f"https://{request.host}")
    answer = world.session(token).request(request.method, url, params=query, json=body)
    return answer.status_code, answer.json()["error"]


WITH_BODY = tuple(
    one for one in PAIRS if one.name.endswith(("made", "written", "changed", "tagged", "added", "removed"))
)
OF_ARM = PAIRS[: next(number for number, one in enumerate(PAIRS) if one.name.startswith("applications"))]


@pytest.mark.parametrize("pair", **by_name(WITH_BODY))
def test_an_unknown_field_is_refused(world: Azures, pair: Pair) -> None:
    def change(body: Any, _query: Any) -> Any:
        inner = body.get("properties", body)
        inner["nonsense"] = 1
        return body

    assert again(world, pair, change)[0] == 400
    assert len(world.azure.take_defects()) == 1


@pytest.mark.parametrize("pair", **by_name(PAIRS))
def test_an_unknown_parameter_is_refused(world: Azures, pair: Pair) -> None:
    def change(body: Any, query: dict[str, str]) -> Any:
        query["nonsense"] = "1"
        return body

    assert again(world, pair, change)[0] == 400
    assert len(world.azure.take_defects()) == 1


@pytest.mark.parametrize("pair", **by_name(tuple(one for one in PAIRS if one.required)))
def test_a_missing_field_is_refused(world: Azures, pair: Pair) -> None:
    def change(body: Any, _query: Any) -> Any:
        *above, last = pair.required.split(".")
        holder = body
        for name in above:
            holder = holder[name]
        del holder[last]
        return body

    assert again(world, pair, change)[0] == 400
    world.azure.take_defects()


@pytest.mark.parametrize("pair", **by_name(OF_ARM))
def test_an_unknown_version_is_refused(world: Azures, pair: Pair) -> None:
    def change(body: Any, query: dict[str, str]) -> Any:
        query["api-version"] = "2099-01-01"
        return body

    status, error = again(world, pair, change)
    assert (status, error["code"]) == (400, "InvalidResourceType")
    assert len(world.azure.take_defects()) == 1


def test_a_path_that_azure_does_not_have_is_refused(world: Azures) -> None:
    session = world.session(world.do("token"))
    for url in (f"{ARM}{SCOPE}/nonsense?api-version=2022-04-01", f"{ARM}{SCOPE}"):
        assert session.get(url).status_code >= 400
    graph = world.session(world.do("token", audience="https://graph.microsoft.com"))
    for path in ("/v1.0/nonsense", "/beta/applications"):
        assert graph.get(f"https://graph.microsoft.com{path}").status_code == 400
    assert len(world.azure.take_defects()) == 4


def test_clients_of_microsoft_see_what_each_other_writes(world: Azures, proxied: Proxied) -> None:
    """A whole onboarding with Microsoft's clients only."""
    clients = proxied.clients
    made = clients.wait(clients.graph.applications.post(their_app()))
    bound = {"owners@odata.bind": [ME]}
    principal = clients.wait(
        clients.graph.service_principals.post(ServicePrincipal(app_id=made.app_id, additional_data=bound))
    )
    given = clients.wait(
        an_app(clients, made.id).add_password.post(
            AddPasswordPostRequestBody(password_credential=PasswordCredential(display_name="shop-castai"))
        )
    )
    clients.authorization.role_definitions.create_or_update(GROUP_ID, OTHER_ROLE, their_role())
    role_id = ROLE_ID.replace(ROLE, OTHER_ROLE)
    clients.authorization.role_assignments.create(
        GROUP_ID,
        OTHER_ASSIGNMENT,
        RoleAssignmentCreateParameters(
            role_definition_id=role_id, principal_id=principal.id, principal_type="ServicePrincipal"
        ),
    )
    new = Clients(ClientSecretCredential(TENANT, made.app_id, given.secret_text))
    assigned = clients.authorization.role_assignments.list_for_scope(
        GROUP_ID, filter=f"principalId eq '{principal.id}'"
    )
    assert [one.name for one in assigned] == [OTHER_ASSIGNMENT]
    assert new.credential.get_token("https://management.azure.com/.default").token
    clients.wait(an_app(clients, made.id).remove_password.post(RemovePasswordPostRequestBody(key_id=given.key_id)))
    late = ClientSecretCredential(TENANT, made.app_id, given.secret_text)
    with pytest.raises(Exception, match="AADSTS7000215"):
        late.get_token("https://management.azure.com/.default")
