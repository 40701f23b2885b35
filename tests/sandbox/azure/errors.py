# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The refusals of the Resource Manager, Microsoft Graph and Entra's login, with texts that users have reported."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from ..cloud import Refusal
from ..faults import Fail
from ..wire import Response

_CHALLENGE = {"access_token": {"nbf": {"essential": True, "value": "1604106651"}}}

# What a fault says that says nothing itself, by its code. {name}: the last part of the path, {client}: the caller.
_QUOTED: Mapping[str, str] = {
    "AuthorizationFailed": (
        "The client '{client}' with object id '{client}' does not have authorization to perform action '{action}' over "
        "scope '{scope}' or the scope is invalid. If access was recently granted, please refresh your credentials."
    ),
    "Authorization_RequestDenied": "Insufficient privileges to complete the operation.",
    "BadRequest": ("Getting static credential is not allowed because this cluster is set to disable local accounts."),
    "ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity": (
        "Too many Federated Identity Credentials are written concurrently for the managed identity '{scope}'. "
        "Concurrent Federated Identity Credentials writes under the same managed identity are not supported."
    ),
    "CredentialInvalidLifetimeAsPerAppPolicy": (
        "Credential lifetime exceeds the max value allowed as per assigned policy"
    ),
    "CredentialTypeNotAllowedAsPerAppPolicy": "Credential type not allowed as per assigned policy",
    "MissingSubscriptionRegistration": (
        "The subscription is not registered to use namespace '{namespace}'. See https://aka.ms/rps-not-found for how "
        "to register subscriptions."
    ),
    "PrincipalNotFound": (
        "Principal {principal} does not exist in the directory {tenant}. Check that you have the correct principal ID. "
        "If you are creating this principal and then immediately assigning a role, this error might be related to a "
        "replication delay. In this case, set the role assignment principalType property to a value, such as "
        "ServicePrincipal, User, or Group.  See https://aka.ms/docs-principaltype"
    ),
    "Request_ResourceNotFound": (
        "Resource '{name}' does not exist or one of its queried reference-property objects are not present."
    ),
    "RoleAssignmentUpdateNotPermitted": (
        "Tenant ID, application ID, principal ID, and scope are not allowed to be updated."
    ),
    "RoleDefinitionDoesNotExist": "The specified role definition with ID '{name}' does not exist.",
    "RoleDefinitionHasAssignments": (
        "There are existing role assignments referencing role (code: RoleDefinitionHasAssignments)"
    ),
    "RoleDefinitionWithSameNameExists": (
        "A custom role with the same name already exists in this directory. Use a different name"
    ),
    "ScopeLocked": (
        "The scope '{scope}' cannot perform {verb} operation because following scope(s) are locked: '{scope}'. Please "
        "remove the lock and try again."
    ),
    "TooManyRequests": "The request is being throttled.",
    "UnsupportedRegion": "Support for federated identity credentials not enabled for the region '{location}'.",
}
# Of Entra's login: the error of RFC 6749, the HTTP status, and the text, by number.
_LOGIN: Mapping[int, tuple[str, int, str]] = {
    50034: ("invalid_grant", 400, "The user account does not exist in the directory."),
    50076: (
        "interaction_required",
        400,
        (
            "Due to a configuration change made by your administrator, or because you moved to a new location, you "
            "must "
            "use multi-factor authentication to access '{resource}'."
        ),
    ),
    53003: (
        "access_denied",
        400,
        "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.",
    ),
    70011: ("invalid_scope", 400, "The provided request must include a 'scope' input parameter."),
    70021: (
        "invalid_request",
        401,
        (
            "No matching federated identity record found for presented assertion. Assertion Issuer: '{issuer}'. "
            "Assertion "
            "Subject: '{subject}'. Assertion Audience: '{audience}'."
        ),
    ),
    700016: (
        "unauthorized_client",
        400,
        (
            "Application with identifier '{client}' was not found in the directory '{tenant}'. This can happen if the "
            "application has not been installed by the administrator of the tenant or consented to by any user in the "
            "tenant. You may have sent your authentication request to the wrong tenant."
        ),
    ),
    700024: ("invalid_client", 401, "Client assertion is not within its valid time range."),
    700027: (
        "invalid_client",
        401,
        "The certificate with identifier used to sign the client assertion is not registered.",
    ),
    7000112: ("unauthorized_client", 400, "Application '{client}' is disabled."),
    7000215: (
        "invalid_client",
        401,
        (
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "
            "not "
            "the client secret ID, for a secret added to app '{client}'."
        ),
    ),
    7000216: (
        "invalid_client",
        401,
        "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
    ),
    7000222: (
        "invalid_client",
        401,
        (
            "The provided client secret keys for app '{client}' are expired. Visit the Azure portal to create new "
            "keys for "
            "your app, or consider using certificate credentials for added security."
        ),
    ),
    7000229: (
        "unauthorized_client",
        401,
        "The client application {client} is missing service principal in the tenant {tenant}.",
    ),
    90002: (
        "invalid_request",
        400,
        (
            "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the "
            "correct cloud. Check with your subscription administrator, this may happen if there are no active "
            "subscriptions for the tenant."
        ),
    ),
    500011: (
        "invalid_resource",
        400,
        (
            "The resource principal named {resource} was not found in the tenant named {tenant}. This can happen if "
            "the "
            "application has not been installed by the administrator of the tenant or consented to by any user in the "
            "tenant."
        ),
    ),
    900144: ("invalid_request", 400, "The request body must contain the following parameter: '{parameter}'."),
}


class AzureError(Refusal):
    """A refusal. http: its status; code: as clients decide by it."""

    def __init__(
        self, http: int, code: str, message: str, *information: Mapping[str, Any], target: str = "", **headers: str
    ) -> None:
        super().__init__(message)
        self.http = http
        self.code = code
        self.information = information
        self.target = target
        self.headers = tuple((name.replace("_", "-"), value) for name, value in headers.items())

    def answer(self) -> Response:
        """The error in the Resource Manager's form."""
        error: dict[str, Any] = {"code": self.code, "message": str(self)}
        if self.target:
            error["target"] = self.target
        if self.information:
            error["additionalInfo"] = list(self.information)
        return as_json(self.http, {"error": error}, *self.headers)


class GraphError(AzureError):
    """A refusal of Microsoft Graph."""

    def answer(self) -> Response:
        inner = {"date": "2026-11-27T00:00:00", "request-id": str(uuid.uuid4()), "client-request-id": str(uuid.uuid4())}
        body = {"error": {"code": self.code, "message": str(self), "innerError": inner}}
        return as_json(self.http, body, ("request-id", inner["request-id"]), *self.headers)


class LoginError(AzureError):
    """A refusal of Entra's login: AADSTS and a number."""

    def __init__(self, number: int, message: str = "", **facts: str) -> None:
        error, http, text = _LOGIN[number]
        super().__init__(http, error, message or text.format_map(_Facts(facts)))
        self.number = number

    def answer(self) -> Response:
        trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
        now = "2026-11-27 00:00:00Z"
        said = f"AADSTS{self.number}: {self} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {now}"
        body = {
            "error": self.code,
            "error_description": said,
            "error_codes": [self.number],
            "timestamp": now,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"https://login.microsoftonline.com/error?code={self.number}",
        }
        return as_json(self.http, body)


class Defect(Refusal):
    """A request that Microsoft's documentation does not describe. refusal: the answer to it."""

    defect = True

    def __init__(self, refusal: AzureError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal

    def answer(self) -> Response:
        return self.refusal.answer()


class _Facts(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return name


def as_json(status: int, body: Any, *headers: tuple[str, str]) -> Response:
    kind = ("Content-Type", "application/json; charset=utf-8")
    ids = ("x-ms-request-id", str(uuid.uuid4())), ("x-ms-correlation-request-id", str(uuid.uuid4()))
    return Response(status, (kind, *ids, *headers), json.dumps(body).encode())


def challenge() -> str:
    """The header of a 401 that asks for a token with more claims (continuous access evaluation)."""
    claims = base64.b64encode(json.dumps(_CHALLENGE).encode()).decode()
    return (
        'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", '
        f'error="insufficient_claims", claims="{claims}"'
    )


def insufficient_claims(graph: bool) -> AzureError:
    said = (
        "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: "
        "TokenIssuedBeforeRevocationTimestamp"
    )
    kind = GraphError if graph else AzureError
    code = "InvalidAuthenticationToken" if graph else "AuthenticationFailed"
    return kind(401, code, said, WWW_Authenticate=challenge())


def denied(client: str, action: str, scope: str) -> AzureError:
    said = _QUOTED["AuthorizationFailed"].format(client=client, action=action, scope=scope)
    return AzureError(403, "AuthorizationFailed", said)


def linked_denied(client: str, action: str, scope: str, linked: str) -> AzureError:
    said = (
        f"The client '{client}' with object id '{client}' has permission to perform action '{action}' on scope "
        f"'{scope}'; however, it does not have permission to perform action(s) '{action}' on the linked scope(s) "
        f"'{linked}' (respectively) or the linked scope(s) are invalid."
    )
    return AzureError(403, "LinkedAuthorizationFailed", said)


def denied_by_assignment(client: str, action: str, scope: str, name: str, identity: str) -> AzureError:
    said = (
        f"The client '{client}' with object id '{client}' has permission to perform action '{action}' on scope "
        f"'{scope}'; however, the access is denied because of the deny assignment with name '{name}' and Id "
        f"'{identity}' at scope '{identity.partition('/providers/Microsoft.Authorization/')[0]}'."
    )
    return AzureError(403, "DenyAssignmentAuthorizationFailed", said)


def locked(scope: str, verb: str, lock: str) -> AzureError:
    said = (
        f"The scope '{scope}' cannot perform {verb} operation because following scope(s) are locked: '{lock}'. Please "
        "remove the lock and try again."
    )
    return AzureError(409, "ScopeLocked", said)


def disallowed(resource: str, policy: str, scope: str) -> AzureError:
    definition = f"/providers/Microsoft.Authorization/policyDefinitions/{policy}"
    assignment = f"{scope}/providers/Microsoft.Authorization/policyAssignments/{policy}"
    told = [
        {"policyAssignment": {"name": policy, "id": assignment}, "policyDefinition": {"name": policy, "id": definition}}
    ]
    said = f"Resource '{resource}' was disallowed by policy. Policy identifiers: '{json.dumps(told)}'."
    information = {
        "policyDefinitionDisplayName": policy,
        "policyDefinitionName": policy,
        "policyDefinitionId": definition,
        "policyDefinitionEffect": "deny",
        "policyAssignmentName": policy,
        "policyAssignmentDisplayName": policy,
        "policyAssignmentId": assignment,
        "policyAssignmentScope": scope,
    }
    return AzureError(
        403, "RequestDisallowedByPolicy", said, {"type": "PolicyViolation", "info": information}, target=resource
    )


def version_unknown(namespace: str, kind: str, version: str, known: Sequence[str], location: str = "") -> AzureError:
    """Refuse a resource type that the cloud has, but not in this api-version. location: set if the provider itself is
    asked."""
    listed = ", ".join(known) if location else ",".join(known)
    if location:
        said = (
            f"No registered resource provider found for location '{location}' and API version '{version}' for type "
            f"'{kind}'. The supported api-versions are '{listed}'. The supported locations are '{location}'."
        )
        return AzureError(400, "NoRegisteredProviderFound", said)
    said = (
        f"The resource type '{kind}' could not be found in the namespace '{namespace}' for api version '{version}'. "
        f"The supported api-versions are '{listed}'."
    )
    return AzureError(400, "InvalidResourceType", said)


def unregistered(namespace: str) -> AzureError:
    said = _QUOTED["MissingSubscriptionRegistration"].format(namespace=namespace)
    return AzureError(409, "MissingSubscriptionRegistration", said)


def wrong_tenant(own: str, wanted: str) -> AzureError:
    issuer, login = "https://sts.windows.net", "https://login.microsoftonline.com"
    said = (
        f"The access token is from the wrong issuer '{issuer}/{own}/'. It must match the tenant '{issuer}/{wanted}/' "
        f"associated with this subscription. Please use the authority (URL) '{login}/{wanted}' to get the token."
    )
    return AzureError(401, "InvalidAuthenticationTokenTenant", said)


def principal_not_found(principal: str, tenant: str) -> AzureError:
    said = _QUOTED["PrincipalNotFound"].format(principal=principal.replace("-", ""), tenant=tenant)
    return AzureError(400, "PrincipalNotFound", said)


def no_group(name: str) -> AzureError:
    return AzureError(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")


def quoted(code: str, **facts: str) -> str:
    """Azure's text of a code."""
    return _QUOTED[code].format_map(_Facts(facts))


def graph_not_found(name: str) -> GraphError:
    return GraphError(404, "Request_ResourceNotFound", quoted("Request_ResourceNotFound", name=name))


def graph_denied() -> GraphError:
    return GraphError(403, "Authorization_RequestDenied", quoted("Authorization_RequestDenied"))


def made(kind: type[AzureError], status: int, code: str, message: str, **facts: str) -> AzureError:
    """The error for a fault. code: that of the answer, AADSTS and a number, or insufficient_claims."""
    if message == Fail.message:
        message = quoted(code, **facts) if code in _QUOTED else message
    if code == "insufficient_claims":
        return insufficient_claims(kind is GraphError)
    if code.startswith("AADSTS"):
        return LoginError(int(code[6:]), "" if message == Fail.message else message, **facts)
    if code == "NotFound":
        return graph_not_found(facts["name"]) if kind is GraphError else not_found(facts["scope"])
    if code == "RequestDisallowedByPolicy":
        return disallowed(facts["name"], "deny-federation", facts["scope"])
    return kind(status, code, message)


def not_found(identity: str) -> AzureError:
    """The refusal if a resource does not exist, by its id."""
    group, _providers, rest = identity.partition("/providers/")
    said = (
        f"The Resource '{rest}' under resource group '{group.rpartition('/')[2]}' was not found. For more details "
        "please go to https://aka.ms/ARMResourceNotFoundFix"
    )
    return AzureError(404, "ResourceNotFound", said)
