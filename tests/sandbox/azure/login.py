# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entra's login: discovery, and tokens for a secret, a certificate, a federated assertion, and a machine."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import secrets
import time
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_der_x509_certificate

from ..wire import Request, Response
from .errors import AzureError, GraphError, LoginError, as_json, insufficient_claims
from .store import Application, Principal, ServicePrincipal, Store, Token, from_time

LIFE = 3600
SKEW = 300
AKS = "6dae42f8-4368-4678-94ff-3960e28e3630"
ARM_AUDIENCES = frozenset(
    f"https://{one}"
    for one in (
        *("management.azure.com", "management.core.windows.net", "management.usgovcloudapi.net"),
        *("management.core.usgovcloudapi.net", "management.chinacloudapi.cn", "management.core.chinacloudapi.cn"),
    )
)
GRAPH_AUDIENCES = frozenset(
    f"https://{one}" for one in ("graph.microsoft.com", "graph.microsoft.us", "microsoftgraph.chinacloudapi.cn")
)
EXCHANGE = {
    "login.microsoftonline.com": "api://AzureADTokenExchange",
    "login.microsoftonline.us": "api://AzureADTokenExchangeUSGov",
    "login.chinacloudapi.cn": "api://AzureADTokenExchangeChina",
}
HOSTS = tuple(EXCHANGE)
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
METADATA = "169.254.169.254"
_HEADER = {"typ": "JWT", "alg": "RS256", "x5t": "bG9jYWwtd29ybGQ", "kid": "bG9jYWwtd29ybGQ"}


class Issuers(Protocol):
    """The issuers of the tokens that federated credentials trust."""

    def id_token_claims(self, value: str) -> Mapping[str, Any] | None:
        """The claims of a valid token, otherwise None."""


def issue(
    store: Store, principal: Principal, audience: str, life: float = LIFE, challenged: bool = False, **more: Any
) -> str:
    """A new token. All tokens of the world contain the mark that tests search for."""
    now = int(store.clock())
    claims = {
        "aud": audience,
        "iss": f"https://sts.windows.net/{principal.tenant}/",
        "iat": now,
        "nbf": now,
        "exp": int(now + life),
        "oid": principal.id,
        "sub": principal.id,
        "tid": principal.tenant,
        "appid": principal.app_id,
        "ver": "1.0",
        **more,
    }
    if principal.user:
        claims |= {"upn": principal.user, "idtyp": "user"}
    else:
        claims |= {"idtyp": "app"}
    if audience in GRAPH_AUDIENCES and not principal.user:
        claims["roles"] = sorted(principal.graph)
    if principal.groups and audience == AKS:
        claims["groups"] = list(principal.groups)
    value = f"{_part(_HEADER)}.{_part(claims)}.CANARY{secrets.token_urlsafe(48)}"
    store.tokens[value] = Token(principal, audience, store.clock() + life, challenged)
    return value


def _part(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def whose(store: Store, value: str, audiences: frozenset[str]) -> Token | None:
    """A token for one of the audiences; None if it is not valid (any more) or its owner is gone."""
    token = store.tokens.get(value)
    if token is None or token.audience not in audiences or store.clock() >= token.ends:
        return None
    here = token.principal.user or store.directory.principal(token.principal.tenant, token.principal.id)
    return token if here else None


def caller(store: Store, request: Request, graph: bool) -> Principal:
    """The caller. Raises AzureError if the token is not valid or lacks required claims."""
    kind, _space, value = request.headers.get("authorization", "").partition(" ")
    token = whose(store, value, GRAPH_AUDIENCES if graph else ARM_AUDIENCES) if kind.lower() == "bearer" else None
    if token is None:
        if graph:
            raise GraphError(401, "InvalidAuthenticationToken", "Access token is empty or has expired.")
        said = "The access token is missing, has expired, or is from the wrong issuer or for another audience."
        raise AzureError(401, "InvalidAuthenticationToken", said, WWW_Authenticate='Bearer error="invalid_token"')
    asked = store.behavior.get("challenge", "")
    if asked == ("graph" if graph else "arm") and not token.challenged:
        raise insufficient_claims(graph)
    return token.principal


# What Entra answers


def answer(store: Store, issuers: Issuers | None, request: Request) -> Response:
    """Raises LoginError."""
    path = request.path.strip("/")
    if path == "common/discovery/instance":
        return as_json(200, _instances(request))
    tenant, _slash, rest = path.partition("/")
    if rest == "v2.0/.well-known/openid-configuration":
        return as_json(200, _configuration(store, request.host, tenant))
    if rest == "discovery/v2.0/keys":
        return as_json(200, {"keys": []})
    if rest == "oauth2/v2.0/token" and request.method == "POST":
        return as_json(200, _token(store, issuers, request, tenant))
    raise AzureError(404, "NotFound", f"there is no {request.path}")


def _instances(request: Request) -> Any:
    names = ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"]
    clouds = [
        (names[0], "login.windows.net", names),
        ("login.microsoftonline.us", "login.microsoftonline.us", ["login.microsoftonline.us"]),
        (
            "login.chinacloudapi.cn",
            "login.chinacloudapi.cn",
            ["login.chinacloudapi.cn", "login.partner.microsoftonline.cn"],
        ),
    ]
    return {
        "tenant_discovery_endpoint": f"https://{request.host}/common/v2.0/.well-known/openid-configuration",
        "api-version": "1.1",
        "metadata": [
            {"preferred_network": network, "preferred_cache": cache, "aliases": aliases}
            for network, cache, aliases in clouds
        ],
    }


def _configuration(store: Store, host: str, tenant: str) -> Any:
    if tenant.lower() not in store.tenants | {"common", "organizations"}:
        raise LoginError(90002, tenant=tenant)
    base = f"https://{host}/{tenant}"
    return {
        "token_endpoint": f"{base}/oauth2/v2.0/token",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": f"{base}/discovery/v2.0/keys",
        "issuer": f"{base}/v2.0",
        "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
        "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
        "tenant_region_scope": "EU",
        "cloud_instance_name": "microsoftonline.com",
    }


def _token(store: Store, issuers: Issuers | None, request: Request, tenant: str) -> Any:
    given = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
    for name in ("grant_type", "client_id", "scope"):
        if not given.get(name):
            raise LoginError(900144, parameter=name)
    if tenant.lower() not in store.tenants:
        raise LoginError(90002, tenant=tenant)
    if given["grant_type"] == "password":
        raise LoginError(50076, resource=given["scope"])
    resource, dot, _default = given["scope"].split()[0].rpartition("/.default")
    if not dot:
        raise LoginError(70011)
    client = given["client_id"].lower()
    principal = _prove(store, issuers, request, tenant.lower(), client, given)
    if store.behavior.get("conditional_access"):
        raise LoginError(53003)
    audience = resource.rstrip("/")
    if audience not in ARM_AUDIENCES | GRAPH_AUDIENCES | {AKS, f"api://{AKS}"}:
        raise LoginError(500011, resource=audience, tenant=tenant)
    who = principal_of(store, principal)
    token = issue(store, who, audience.removeprefix("api://"), challenged="claims" in given and _asks(given["claims"]))
    return {"token_type": "Bearer", "expires_in": LIFE - 1, "ext_expires_in": LIFE - 1, "access_token": token}


def _asks(claims: str) -> bool:
    """Whether the claims answer a challenge, rather than only stating what the client supports."""
    try:
        return "nbf" in json.loads(claims).get("access_token", {})
    except ValueError:
        return False


def principal_of(store: Store, principal: ServicePrincipal) -> Principal:
    groups = tuple(store.members(principal.id))
    graph = frozenset(principal.graph)
    return Principal(principal.id, principal.app_id, principal.tenant, groups=groups, graph=graph)


def _prove(
    store: Store, issuers: Issuers | None, request: Request, tenant: str, client: str, given: Mapping[str, str]
) -> ServicePrincipal:
    """The service principal of a client that has authenticated."""
    application = store.directory.by_app_id(client)
    identity = store.identity_of(client) if application is None else None
    if application is None and (identity is None or identity.client != client):
        raise LoginError(700016, client=client, tenant=tenant)
    if given.get("client_assertion"):
        _check_assertion(store, issuers, request, application, client, given)
    elif given.get("client_secret") and application:
        _check_secret(store, application, given["client_secret"])
    else:
        raise LoginError(7000216)
    principal = store.directory.principal(tenant, client)
    if principal is None:
        home = application is not None and application.tenant == tenant
        raise LoginError(7000229 if home else 700016, client=client, tenant=tenant)
    if not principal.said["accountEnabled"]:
        raise LoginError(7000112, client=client)
    return principal


def _check_secret(store: Store, application: Application, secret: str) -> None:
    key = next((key for key, text in application.secrets.items() if secrets.compare_digest(text, secret)), "")
    shown = next((one for one in application.said["passwordCredentials"] if one["keyId"] == key), None)
    if shown is None or store.hides("passwords", key, "token"):
        raise LoginError(7000215, client=application.app_id)
    if store.clock() >= from_time(shown["endDateTime"]):
        raise LoginError(7000222, client=application.app_id)


def _check_assertion(
    store: Store,
    issuers: Issuers | None,
    request: Request,
    application: Application | None,
    client: str,
    given: Mapping[str, str],
) -> None:
    value = given["client_assertion"]
    if given.get("client_assertion_type") != JWT_BEARER:
        raise LoginError(900144, parameter="client_assertion_type")
    header, claims = _read(value)
    if claims.get("iss") == client and application is not None:
        _check_certificate(application, value, header, claims)
        return
    known = store.assertions.get(value) or (issuers.id_token_claims(value) if issuers else None)
    identity = store.identity_of(client)
    federated = application.federated if application else identity.federated if identity else []
    facts = {
        name: str(claims.get(short, "")) for name, short in (("issuer", "iss"), ("subject", "sub"), ("audience", "aud"))
    }
    if known is None:
        raise LoginError(700027)
    if time.time() > known.get("exp", 0) + SKEW:
        raise LoginError(700024)
    for one in federated:
        matches = (one["issuer"], one["subject"]) == (facts["issuer"], facts["subject"])
        matches = matches and one["audiences"] == [facts["audience"]] == [EXCHANGE[request.host]]
        if matches and not store.hides("federation", one["id"], "token"):
            return
    raise LoginError(70021, **facts)


def _read(value: str) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        header, claims = (
            json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in value.split(".")[:2]
        )
    except (ValueError, binascii.Error):
        raise LoginError(700027) from None
    return header, claims


def _check_certificate(
    application: Application, value: str, header: Mapping[str, Any], claims: Mapping[str, Any]
) -> None:
    """Check an assertion's times by the real clock, which its issuer uses."""
    signed, _dot, signature = value.rpartition(".")
    for certificate in application.certificates.values():
        marks = {_mark(hashlib.sha1(certificate)), _mark(hashlib.sha256(certificate))}
        key = load_der_x509_certificate(certificate).public_key()
        assert isinstance(key, RSAPublicKey)
        named = {str(header.get(name, "")).rstrip("=") for name in ("x5t", "x5t#S256")}
        if marks & named and _verifies(key, header, signature, signed.encode()):
            break
    else:
        raise LoginError(700027)
    if not claims.get("nbf", 0) - SKEW <= time.time() <= claims.get("exp", 0) + SKEW:
        raise LoginError(700024)


def _mark(digest: Any) -> str:
    return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()


def _verifies(key: RSAPublicKey, header: Mapping[str, Any], signature: str, signed: bytes) -> bool:
    padding = PSS(MGF1(SHA256()), PSS.DIGEST_LENGTH) if header.get("alg") == "PS256" else PKCS1v15()
    try:
        key.verify(base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)), signed, padding, SHA256())
    except InvalidSignature:
        return False
    return True


def machine(store: Store, request: Request) -> Response:
    """The metadata service of the machine. `machine` sets its identities."""
    identities = store.behavior.get("machine")
    if not identities or request.path != "/metadata/identity/oauth2/token":
        return as_json(404, {"error": "not_found"})
    if request.headers.get("metadata", "").lower() != "true":
        return as_json(400, {"error": "invalid_request", "error_description": "Required metadata header not specified"})
    query = {name: values[0] for name, values in parse_qs(request.query).items()}
    wanted = query.get("client_id", "")
    found = [one for one in map(store.identity_of, identities) if one and wanted.lower() in ("", one.client)]
    if not found or (not wanted and len(identities) > 1):
        said = (
            "Multiple user assigned identities exist, please specify the clientId"
            if not wanted
            else "Identity not found"
        )
        return as_json(400, {"error": "invalid_request", "error_description": said})
    resource = re.sub(r"/?(\.default)?$", "", query.get("resource", ""))
    principal = store.directory.principal(found[0].tenant, found[0].principal)
    assert principal is not None
    token = issue(store, principal_of(store, principal), resource)
    ends = str(int(store.clock() + LIFE))
    return as_json(
        200,
        {
            "access_token": token,
            "client_id": found[0].client,
            "expires_in": str(LIFE),
            "expires_on": ends,
            "ext_expires_in": str(LIFE),
            "not_before": str(int(store.clock())),
            "resource": resource,
            "token_type": "Bearer",
        },
    )


def assertion(store: Store, issuer: str, subject: str, audience: str, life: float = 600) -> str:
    """A token from an issuer outside this world, such as a CI system."""
    now = int(time.time())
    claims = {"iss": issuer, "sub": subject, "aud": audience, "iat": now, "exp": now + int(life)}
    value = (
        f"{_part({'typ': 'JWT', 'alg': 'RS256', 'kid': 'issuer'})}.{_part(claims)}.CANARY{secrets.token_urlsafe(32)}"
    )
    store.assertions[value] = claims
    return value
