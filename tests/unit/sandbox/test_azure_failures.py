# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every failure of Azure that onboarding must survive, by its number: how to ask the world for it, and its answer.

Requests to the world are plain JSON: verbs of `World.control("azure", ...)` and a schedule of faults. The other numbers
are not answers of Azure, but of CAST AI or of the caller's machine.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest

from .azure_client import CLUSTER, GROUP_ID, NETWORK_ID, NODES_ID, OPERATOR_ID, SCOPE, TENANT, Azures, cluster

ARM, GRAPH = "https://management.azure.com", "https://graph.microsoft.com/v1.0"
LOGIN = f"https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token"
AUTHORIZATION = "providers/Microsoft.Authorization"
ROLE, OTHER_ROLE = "ff99fa77-cb89-53e4-8434-04784bc11a65", "ff99fa77-cb89-53e4-8434-000000000001"
FIRST, SECOND = "62edd8ee-8523-5478-8742-d46759a36503", "62edd8ee-8523-5478-8742-000000000002"
APP, CLIENT = "aaaaaaaa-1111-4111-8111-111111111111", "bbbbbbbb-1111-4111-8111-111111111111"
PRINCIPAL, KEY = "cccccccc-1111-4111-8111-111111111111", "dddddddd-1111-4111-8111-111111111111"
IDENTITY = f"{GROUP_ID}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/castai"
FEDERATED = f"{IDENTITY}/federatedIdentityCredentials"
ISSUER, AUDIENCE = "https://accounts.google.com", "api://AzureADTokenExchange"
ACTIONS = ("Microsoft.Compute/*/read",)
NEW_ACCESS = "If access was recently granted, please refresh your credentials."
IDENTITIES = "Microsoft.ManagedIdentity"

Step = tuple[str, dict[str, Any]]
Asked = tuple[str, str, Any]


def arm(method: str, path: str, body: Any = None, version: str = "2022-04-01") -> Asked:
    return method, f"{ARM}{path}{'&' if '?' in path else '?'}api-version={version}", body


def graph(method: str, path: str, body: Any = None) -> Asked:
    return method, f"{GRAPH}{path}", body


def way_in(who: str) -> Asked:
    return arm("POST", f"{CLUSTER}/listCluster{who}Credential", version="2026-02-01")


def read_cluster(version: str = "2026-02-01") -> Asked:
    return arm("GET", CLUSTER, version=version)


def role(guid: str, name: str, *scopes: str, actions: Any = ACTIONS) -> Asked:
    properties = {"roleName": name, "permissions": [{"actions": [*actions]}], "assignableScopes": scopes or [GROUP_ID]}
    return arm(
        "PUT", f"{(scopes or (GROUP_ID,))[0]}/{AUTHORIZATION}/roleDefinitions/{guid}", {"properties": properties}
    )


def assign(name: str, guid: str = ROLE, scope: str = GROUP_ID, principal: str = PRINCIPAL) -> Asked:
    properties = {"roleDefinitionId": f"{SCOPE}/{AUTHORIZATION}/roleDefinitions/{guid}", "principalId": principal}
    return arm(
        "PUT",
        f"{scope}/{AUTHORIZATION}/roleAssignments/{name}",
        {"properties": {**properties, "principalType": "ServicePrincipal"}},
    )


def trust(name: str, subject: str = "1") -> Asked:
    properties = {"issuer": ISSUER, "subject": subject, "audiences": [AUDIENCE]}
    return arm("PUT", f"{FEDERATED}/{name}", {"properties": properties}, "2024-11-30")


def identity(location: str = "westeurope", **more: Any) -> Asked:
    return arm("PUT", IDENTITY, {"location": location, **more}, "2024-11-30")


def log_in(**given: str) -> Asked:
    body = {"grant_type": "client_credentials", "client_id": CLIENT, "scope": f"{ARM}/.default", **given}
    return "POST", LOGIN, urlencode(body)


def fails(operation: str, status: int, code: str, **more: Any) -> list[dict[str, Any]]:
    return [{"system": "azure", "operation": operation, "fail": {"status": status, "code": code, **more}}]


def secret(days: str = "2027-01-01T00:00:00Z") -> Asked:
    return graph("POST", f"/applications/{APP}/addPassword", {"passwordCredential": {"endDateTime": days}})


NEW_APP = graph("POST", "/applications", {"displayName": "castai"})
ME = f"https://graph.microsoft.com/v1.0/directoryObjects/{OPERATOR_ID}"
MADE_APP: Step = (
    "add_app",
    {"name": "castai", "id": APP, "app_id": CLIENT, "principal_id": PRINCIPAL, "owners": [OPERATOR_ID]},
)
MADE_ROLE: Step = ("add_role", {"name": "castai", "actions": ACTIONS, "scopes": [GROUP_ID], "guid": ROLE})
MADE_IDENTITY: Step = ("add_identity", {"name": "castai", "group": "shop"})
GRANTED: Step = ("grant", {"principal": PRINCIPAL, "role": ROLE, "scope": GROUP_ID, "name": FIRST})


def trusted(name: str = "castai", subject: str = "1") -> Step:
    return "add_federated", {"of": IDENTITY, "name": name, "issuer": ISSUER, "subject": subject, "audience": AUDIENCE}


def fields(**given: Any) -> Step:
    return "set_cluster", {"cluster": "shop", **given}


def hides(*kinds: str) -> Step:
    return "visibility", {"uses": 1, "kinds": kinds}


PROXY = {"enabled": True, "httpProxy": "http://me:CANARY@proxy.example.com:3128/"}
NOT_FOUND = "does not exist or one of its queried reference-property objects are not present."
STATIC = "Getting static credential is not allowed because this cluster is set to disable local accounts."
CONDITION = (
    "((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR "
    "(@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals "
    "{acdd72a7-3385-48ef-bd42-f606fba81ae7}))"
)
NO_OWNER: Step = ("revoke", {"principal": OPERATOR_ID})


@dataclass(frozen=True)
class Failure:
    """asked: the calls, the last of which meets the failure. said: what its answer contains."""

    number: str
    asked: tuple[Asked, ...]
    status: int
    said: str
    steps: tuple[Step, ...] = ()
    faults: list[dict[str, Any]] = field(default_factory=list)


FAILURES = (
    Failure(
        "A1",
        (arm("GET", f"{SCOPE}/providers/Microsoft.ContainerService/managedClusters", version="2026-02-01"),),
        200,
        '"nodeResourceGroup": "MC_other_shop_westeurope"',
        (("copy_cluster", {"cluster": "shop", "group": "other"}),),
    ),
    Failure("A2", (arm("GET", CLUSTER.upper(), version="2026-02-01"),), 200, '"name": "shop"'),
    Failure(
        "A3", (read_cluster(),), 200, '"powerState": {"code": "Stopped"}', (fields(powerState={"code": "Stopped"}),)
    ),
    Failure("A5", (way_in("Admin"),), 400, STATIC, (fields(disableLocalAccounts=True),)),
    Failure("A6", (way_in("User"),), 403, NEW_ACCESS, (), fails(".*UserCredential/action", 403, "AuthorizationFailed")),
    Failure(
        "A6 decided by roles",
        (way_in("User"),),
        403,
        "managedClusters/listClusterUserCredential/action' over scope",
        (NO_OWNER, ("grant", {"principal": OPERATOR_ID, "role": "Reader", "scope": SCOPE})),
    ),
    Failure(
        "A8",
        (log_in(client_secret="x"),),
        400,
        f"AADSTS700016: Application with identifier '{CLIENT}' was not found in the directory '{TENANT}'.",
    ),
    Failure("A8 no such tenant", (log_in(),), 400, "AADSTS90002", (), fails("token", 400, "AADSTS90002")),
    Failure(
        "A9",
        (assign(FIRST),),
        400,
        f"Principal {PRINCIPAL.replace('-', '')} does not exist in the directory {TENANT}.",
        (MADE_ROLE,),
    ),
    Failure(
        "A9 as a fault",
        (assign(FIRST),),
        400,
        "PrincipalNotFound",
        (MADE_ROLE, MADE_APP),
        fails(".*roleAssignments/write", 400, "PrincipalNotFound"),
    ),
    Failure(
        "A10",
        (assign(SECOND),),
        409,
        f"The role assignment already exists. The ID of the existing role assignment is {FIRST.replace('-', '')}.",
        (MADE_APP, MADE_ROLE, GRANTED),
    ),
    Failure(
        "A11",
        (assign(FIRST, principal=OPERATOR_ID),),
        400,
        "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
        (MADE_APP, MADE_ROLE, GRANTED),
    ),
    Failure(
        "A12",
        (arm("GET", f"{GROUP_ID}/{AUTHORIZATION}/roleAssignments?$filter=principalId eq '{PRINCIPAL}'"),),
        200,
        FIRST,
        (MADE_APP, MADE_ROLE, GRANTED, ("remove_app", {"client_id": CLIENT})),
    ),
    Failure(
        "A13",
        (role(OTHER_ROLE, "CASTAI"),),
        409,
        "RoleDefinitionWithSameNameExists",
        (("add_role", {"name": "castai", "actions": ACTIONS, "scopes": ["/subscriptions/elsewhere"]}),),
    ),
    Failure(
        "A14",
        (role(ROLE, "castai"), assign(FIRST)),
        400,
        f"The specified role definition with ID '{ROLE.replace('-', '')}' does not exist.",
        (MADE_APP, hides("roles")),
    ),
    Failure(
        "A15",
        (
            role(ROLE, "castai", actions=["Microsoft.Network/*/read"]),
            arm("GET", f"{GROUP_ID}/{AUTHORIZATION}/roleDefinitions/{ROLE}"),
        ),
        200,
        "Microsoft.Compute/*/read",
        (MADE_ROLE, hides("role_texts")),
    ),
    Failure(
        "A16",
        (assign(FIRST, scope=NETWORK_ID),),
        400,
        "cannot be assigned at the scope",
        (MADE_APP, MADE_ROLE),
    ),
    Failure(
        "A17",
        (role(ROLE, "castai", GROUP_ID, "/subscriptions/22222222-2222-4222-8222-333333333333/resourceGroups/hub"),),
        403,
        "on the linked scope(s) '/subscriptions/22222222-2222-4222-8222-333333333333/resourceGroups/hub'",
    ),
    Failure(
        "A18",
        (read_cluster(),),
        200,
        "resourceGroups/hub/providers/Microsoft.ManagedIdentity/userAssignedIdentities/kubelets",
        (
            ("add_identity", {"name": "kubelets", "group": "hub"}),
            fields(
                identityProfile={
                    "kubeletidentity": {
                        "resourceId": IDENTITY.replace("/shop/", "/hub/").replace("/castai", "/kubelets")
                    }
                }
            ),
        ),
    ),
    Failure(
        "A19",
        (trust("first"), trust("second", "2")),
        409,
        "ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity",
        (MADE_IDENTITY, ("behave", {"federation_takes": 5})),
    ),
    Failure("A20", (trust("other"),), 409, "combination already exists for this", (MADE_IDENTITY, trusted())),
    Failure(
        "A20 bad request",
        (trust("other"),),
        400,
        "combination already exists for this Managed Identity",
        (MADE_IDENTITY, trusted(), ("behave", {"duplicate_is_bad_request": True})),
    ),
    Failure(
        "A20 of an application",
        (
            graph(
                "POST",
                f"/applications/{APP}/federatedIdentityCredentials",
                {"name": "other", "issuer": ISSUER, "subject": "1", "audiences": [AUDIENCE]},
            ),
        ),
        400,
        "Issuer and subject combination already exists.",
        (MADE_APP, ("add_federated", {**trusted()[1], "of": CLIENT})),
    ),
    Failure(
        "A21",
        (trust("castai"),),
        405,
        "Support for federated identity credentials not enabled",
        (MADE_IDENTITY, ("behave", {"regions_without_federation": ["westeurope"]})),
    ),
    Failure(
        "A22",
        (trust("one-more", "x"),),
        400,
        "at most 20",
        (MADE_IDENTITY, *(trusted(f"castai-{number}", f"s{number}") for number in range(20))),
    ),
    Failure(
        "A23",
        (log_in(client_assertion="x", client_assertion_type="y"),),
        401,
        "AADSTS70021: No matching federated identity record found for presented assertion.",
        (MADE_APP,),
        fails("token", 401, "AADSTS70021"),
    ),
    Failure("A25", (NEW_APP,), 403, "Insufficient privileges to complete the operation.", (("strip_operator", {}),)),
    Failure(
        "A25 as a fault",
        (NEW_APP,),
        403,
        "Authorization_RequestDenied",
        (),
        fails("applications.create", 403, "Authorization_RequestDenied"),
    ),
    Failure("A25 switched off", (NEW_APP,), 403, "Insufficient", (("behave", {"registration_off": True}),)),
    Failure(
        "A26",
        (NEW_APP, graph("GET", "/applications?$filter=displayName eq 'castai'")),
        200,
        '"value": []',
        (("lag", {"seconds": 10}),),
    ),
    Failure("A28", (secret(),), 404, NOT_FOUND, (MADE_APP,), fails(".*addPassword", 404, "Request_ResourceNotFound")),
    Failure(
        "A29",
        (graph("POST", "/servicePrincipals", {"appId": CLIENT}),),
        403,
        "the backing application of the service principal being created must in the local tenant",
    ),
    Failure(
        "A29 bad request",
        (graph("POST", "/servicePrincipals", {"appId": CLIENT}),),
        400,
        f"The appId '{CLIENT}' of the service principal does not reference a valid application object.",
        (("strip_operator", {"graph": ["Application.ReadWrite.All"]}),),
    ),
    Failure(
        "A30",
        (secret("2199-01-01T11:11:11.111Z"),),
        400,
        "CredentialInvalidLifetimeAsPerAppPolicy",
        (MADE_APP, ("set_app_policy", {"max_days": 90})),
    ),
    Failure(
        "A31",
        (secret(),),
        400,
        "CredentialTypeNotAllowedAsPerAppPolicy",
        (MADE_APP, ("set_app_policy", {"secrets_forbidden": True})),
    ),
    Failure(
        "A33",
        (graph("GET", "/applications?$filter=displayName eq 'castai'"),),
        200,
        f'"appId": "{CLIENT}"',
        (MADE_APP, ("add_app", {"name": "castai"})),
    ),
    Failure(
        "A34",
        (graph("GET", "/directory/deletedItems/microsoft.graph.application?$filter=displayName eq 'castai'"),),
        200,
        APP,
        (MADE_APP, ("remove_app", {"client_id": CLIENT})),
    ),
    Failure(
        "A35",
        (arm("DELETE", IDENTITY, version="2024-11-30"),),
        409,
        f"cannot perform delete operation because following scope(s) are locked: '{GROUP_ID}'",
        (MADE_IDENTITY, ("add_lock", {"scope": GROUP_ID})),
    ),
    Failure(
        "A35 read only",
        (assign(FIRST),),
        409,
        "cannot perform write operation because following scope(s) are locked",
        (MADE_APP, MADE_ROLE, ("add_lock", {"scope": GROUP_ID, "level": "ReadOnly"})),
    ),
    Failure(
        "A36",
        (trust("castai"),),
        403,
        '"policyDefinitionName": "no-federation"',
        (
            MADE_IDENTITY,
            ("add_policy", {"scope": SCOPE, "kind": ".*federatedIdentityCredentials", "name": "no-federation"}),
        ),
    ),
    Failure(
        "A36 a tag is demanded",
        (identity(),),
        403,
        "RequestDisallowedByPolicy",
        (
            (
                "add_policy",
                {"scope": SCOPE, "kind": ".*Identities", "name": "cost", "tags": {"cost-centre": ""}},
            ),
        ),
    ),
    Failure(
        "A36 a tag is added",
        (identity(tags={"a": "b"}),),
        201,
        '"tags": {"a": "b", "cost-centre": "7"}',
        (
            (
                "add_policy",
                {
                    "scope": SCOPE,
                    "kind": ".*Identities",
                    "name": "cost",
                    "effect": "modify",
                    "tags": {"cost-centre": "7"},
                },
            ),
        ),
    ),
    Failure("A37", (read_cluster(),), 200, '"name": "Automatic"', (fields(sku={"name": "Automatic"}),)),
    Failure(
        "A37 lockdown",
        (arm("GET", f"{NODES_ID}/{AUTHORIZATION}/denyAssignments"),),
        200,
        "node resource group lockdown",
        (
            fields(nodeResourceGroupProfile={"restrictionLevel": "ReadOnly"}),
            ("add_denial", {"scope": NODES_ID}),
        ),
    ),
    Failure(
        "A37 lockdown decides",
        (role(ROLE, "castai", NODES_ID),),
        403,
        "the access is denied because of the deny assignment with name 'node resource group lockdown'",
        (("add_denial", {"scope": NODES_ID}),),
    ),
    Failure(
        "A38",
        (assign(FIRST),),
        403,
        "roleAssignments/write",
        (
            MADE_APP,
            MADE_ROLE,
            NO_OWNER,
            (
                "grant",
                {
                    "principal": OPERATOR_ID,
                    "role": "Role Based Access Control Administrator",
                    "scope": SCOPE,
                    "condition": CONDITION,
                },
            ),
        ),
    ),
    Failure(
        "A39",
        (read_cluster(),),
        429,
        "TooManyRequests",
        (),
        [{"operation": ".*managedClusters/read", "throttle": {"retry_after": 30}}],
    ),
    Failure(
        "A42",
        (
            arm("DELETE", f"{GROUP_ID}/{AUTHORIZATION}/roleAssignments/{FIRST}"),
            arm("DELETE", f"{GROUP_ID}/{AUTHORIZATION}/roleDefinitions/{ROLE}"),
        ),
        400,
        "There are existing role assignments referencing role (code: RoleDefinitionHasAssignments)",
        (MADE_APP, MADE_ROLE, GRANTED, hides("assignments")),
    ),
    Failure("A43", (read_cluster(),), 200, "proxy.example.com:3128", (fields(httpProxyConfig=PROXY),)),
    Failure("A44", (way_in("User"),), 400, STATIC, (fields(aadProfile=None, disableLocalAccounts=True),)),
    Failure("A45", (read_cluster(),), 401, "Continuous access evaluation", (("behave", {"challenge": "arm"}),)),
    Failure("A45 Graph", (NEW_APP,), 401, "Continuous access evaluation", (("behave", {"challenge": "graph"}),)),
    Failure(
        "A45 as a fault", (read_cluster(),), 401, "Continuous access", (), fails(".*read", 401, "insufficient_claims")
    ),
    Failure(
        "A46",
        (read_cluster(),),
        400,
        "The supported api-versions are '2025-01-01,2025-05-01,2025-09-02-preview'.",
        (
            (
                "set_versions",
                {
                    "kind": "Microsoft.ContainerService/managedClusters",
                    "versions": ["2025-01-01", "2025-05-01", "2025-09-02-preview"],
                },
            ),
        ),
    ),
    Failure(
        "A46 by the provider",
        (read_cluster(),),
        400,
        "No registered resource provider found for location 'westeurope' and API version '2026-02-01' for type",
        (
            ("set_versions", {"kind": "Microsoft.ContainerService/managedClusters", "versions": ["2025-01-01"]}),
            ("behave", {"provider_names_versions": True}),
        ),
    ),
    Failure(
        "A47",
        (arm("GET", FEDERATED, version="2024-11-30"),) * 2,
        429,
        "TooManyRequests",
        (MADE_IDENTITY, ("behave", {"limits": True})),
    ),
    Failure(
        "A49",
        (arm("GET", CLUSTER, version="2026-02-01"),),
        200,
        '"serverAppID": "99999999-0000-4000-8000-000000000000"',
        (fields(aadProfile={"serverAppID": "99999999-0000-4000-8000-000000000000", "tenantID": TENANT}),),
    ),
    Failure(
        "A51",
        (read_cluster(),),
        200,
        "http://me:CANARY@proxy",
        (fields(httpProxyConfig=PROXY),),
    ),
    Failure(
        "13 not registered",
        (identity(),),
        409,
        "The subscription is not registered to use namespace 'Microsoft.ManagedIdentity'.",
        (("set_registered", {"namespace": IDENTITIES, "on": False}),),
    ),
    Failure(
        "13 too many assignments",
        (assign(SECOND),),
        400,
        "RoleAssignmentLimitExceeded",
        (MADE_APP, MADE_ROLE, *[("grant", {"principal": "x", "role": "Reader", "scope": SCOPE})] * 4000),
    ),
    Failure(
        "13 a secret that has expired",
        (log_in(client_secret="CANARY"),),
        401,
        "AADSTS7000222",
        (MADE_APP, ("add_secret", {"client_id": CLIENT, "text": "CANARY", "days": -1})),
    ),
    Failure(
        "13 a secret that is not seen yet",
        (log_in(client_secret="wrong"),),
        401,
        f"AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client "
        f"secret value, not the client secret ID, for a secret added to app '{CLIENT}'.",
        (MADE_APP,),
    ),
    Failure(
        "13 Conditional Access",
        (log_in(client_secret="CANARY"),),
        400,
        "AADSTS53003",
        (MADE_APP, ("add_secret", {"client_id": CLIENT, "text": "CANARY"}), ("behave", {"conditional_access": True})),
    ),
    Failure(
        "13 scopes of a role in use",
        (role(ROLE, "castai", NODES_ID),),
        400,
        "RoleScopeBeingRemovedContainsAssignments",
        (MADE_APP, MADE_ROLE, GRANTED),
    ),
    Failure("13 front end", (read_cluster(),), 502, "<html>", (), fails(".*", 502, "HTML")),
)


@pytest.mark.parametrize("failure", FAILURES, ids=[one.number for one in FAILURES])
def test_a_failure_can_be_had(azures: Azures, failure: Failure) -> None:
    azures.azure.add_cluster(cluster("shop"))
    steps, faults = json.loads(json.dumps([failure.steps, failure.faults]))
    for verb, args in steps:
        azures.do(verb, **args)
    azures.gate.faults.load(faults)
    tokens = {host: azures.do("token", audience=host) for host in (ARM, GRAPH.removesuffix("/v1.0"))}
    for method, url, body in failure.asked:
        form = isinstance(body, str)
        session = azures.session("" if form else next(token for host, token in tokens.items() if url.startswith(host)))
        found = session.request(method, url, **{"data" if form else "json": body})
    assert (found.status_code, failure.said in found.text) == (failure.status, True), found.text


def test_a_lost_answer_leaves_its_effect(azures: Azures) -> None:
    """A27."""
    azures.gate.faults.load([{"system": "azure", "operation": "applications.create", "lose": "after"}])
    with pytest.raises(OSError, match="aborted"):
        azures.graph("POST", "/applications", {"displayName": "castai"})
    assert "castai" in [one["displayName"] for one in azures.azure.state()["applications"]]


def test_a_challenge_is_met_by_a_token_with_its_claims(azures: Azures) -> None:
    """A45."""
    azures.do("behave", challenge="arm")
    credential = azures.credential()
    plain = credential.get_token(f"{ARM}/.default").token
    assert azures.arm("GET", SCOPE, version="2022-12-01", bearer=plain)[0] == 401
    claims = '{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}'
    better = credential.get_token(f"{ARM}/.default", claims=claims).token
    assert azures.arm("GET", SCOPE, version="2022-12-01", bearer=better)[0] == 200


def test_a_machine_has_the_identities_that_it_is_given(azures: Azures) -> None:
    """A48: if there are several, the answer says which one."""
    one, two = (azures.do("add_identity", name=name, group="shop")["client_id"] for name in ("one", "two"))
    url = "http://169.254.169.254/metadata/identity/oauth2/token"
    asked = {"resource": ARM, "api-version": "2018-02-01"}
    session = azures.session()
    session.headers["Metadata"] = "true"
    assert session.get(url, params=asked).status_code == 404
    azures.do("behave", machine=[one, two])
    assert session.get(url, params=asked).status_code == 400
    assert session.get(url, params={**asked, "client_id": two}).json()["client_id"] == two


def test_too_many_groups_are_not_in_a_token(azures: Azures) -> None:
    """A50."""
    token = azures.do("user_token", user="me@example.com", overage=True)
    part = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    assert claims["_claim_names"] == {"groups": "src1"}
    assert "groups" not in claims
