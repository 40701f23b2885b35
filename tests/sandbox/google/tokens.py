# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Access tokens: from keys and refresh tokens, by federation, by impersonation, and from a machine; and their
owners."""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from ..cloud import Refusal
from ..wire import Request, Response
from .access import account_resource, require
from .documents import UNIVERSES, service_of
from .errors import GoogleError, as_json, denied, invalid, unauthenticated
from .store import Account, Asked, Principal, Store, Token, as_time

CLOUD = "https://www.googleapis.com/auth/cloud-platform"
EMAIL = "https://www.googleapis.com/auth/userinfo.email"
LIFE = 3600
SKEW = 300
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class OAuthError(Refusal):
    """A refusal in the form of RFC 6749."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self._answer = as_json(status, {"error": error, "error_description": description})

    def answer(self) -> Response:
        return self._answer


def issue(store: Store, principal: Principal, life: float = LIFE) -> str:
    """A new token. All tokens of the world contain the mark that tests search for."""
    value = f"ya29.CANARY{secrets.token_urlsafe(48)}"
    store.tokens[value] = Token(principal, store.clock() + life)
    return value


def issue_id(store: Store, account: Account, audience: str) -> str:
    """An OpenID Connect token, which proves an identity to a system other than Google."""
    now = int(time.time())
    claims = {
        "iss": "https://accounts.google.com",
        "sub": account.unique_id,
        "aud": audience,
        "azp": account.unique_id,
        "email": account.email,
        "email_verified": True,
        "iat": now,
        "exp": now + LIFE,
    }
    parts = ({"alg": "RS256", "kid": "local-world", "typ": "JWT"}, claims)
    head, body = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    value = f"{head}.{body}.CANARY{secrets.token_urlsafe(48)}"
    store.id_tokens[value] = claims
    return value


def principal_of(account: Account, scopes: Iterable[str] = ()) -> Principal:
    return Principal(f"serviceAccount:{account.email}", account.unique_id, frozenset(scopes))


def caller(store: Store, request: Request) -> Principal:
    """The caller. Raises GoogleError if the token is not valid."""
    kind, _space, value = request.headers.get("authorization", "").partition(" ")
    found = whose(store, value, request.host) if kind.lower() == "bearer" else None
    if found is None:
        raise unauthenticated()
    return found


def whose(store: Store, value: str, host: str = "") -> Principal | None:
    """The owner of a token, or of a JWT that a key signed for this host; None if it is not valid (any more)."""
    token = store.tokens.get(value)
    if token is None:
        return _self_signed(store, value, host) if value.count(".") == 2 and host else None
    if store.clock() >= token.ends:
        return None
    account = store.account(token.principal.unique_id) if token.principal.unique_id else None
    gone = token.principal.member.startswith("serviceAccount:") and (account is None or account.disabled)
    return None if gone else token.principal


def _self_signed(store: Store, value: str, host: str) -> Principal | None:
    try:
        account, claims = read_jwt(store, value)
    except OAuthError:
        return None
    service = service_of(host)
    audiences = {f"https://{service}.{universe}/" for universe in UNIVERSES}
    scopes = str(claims.get("scope", "")).split()
    return principal_of(account, scopes or [CLOUD]) if scopes or claims.get("aud") in audiences else None


def read_jwt(store: Store, value: str) -> tuple[Account, dict[str, Any]]:
    """The signer and the claims. A JWT is checked by the real clock, which its issuer uses. Raises OAuthError."""
    try:
        head, body, signature = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in value.split("."))
        header, claims = json.loads(head), json.loads(body)
        account = store.account(claims["iss"])
    except (ValueError, KeyError, binascii.Error):
        raise OAuthError("invalid_grant", "Invalid JWT: it cannot be read.") from None
    if account is None:
        raise OAuthError("invalid_grant", "Invalid grant: account not found")
    if account.disabled:
        raise OAuthError("invalid_grant", "Account has been disabled or deleted", 401)
    signed = value.rpartition(".")[0].encode()
    keys = [key for key in store.keys if key.owner == account.unique_id and key.works(store.clock())]
    for key in keys:
        named = header.get("kid") in (None, "", key.id)
        if (
            named
            and not store.hides("keys", key.id, "token")
            and _verifies(key.private.public_key(), signature, signed)
        ):
            break
    else:
        raise OAuthError("invalid_grant", "Invalid JWT Signature.")
    now = time.time()
    if not claims.get("iat", 0) - SKEW <= now <= claims.get("exp", 0) + SKEW or claims["exp"] - claims["iat"] > LIFE:
        said = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
        raise OAuthError("invalid_grant", said)
    return account, claims


def _verifies(key: Any, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def exchange(store: Store, request: Request) -> Response:
    """POST oauth2.googleapis.com/token: for a JWT signed with a key, or a user's refresh token."""
    given = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
    try:
        if given.get("grant_type") == JWT_BEARER:
            account, claims = read_jwt(store, given.get("assertion", ""))
            if claims.get("aud") not in (
                "https://oauth2.googleapis.com/token",
                "https://www.googleapis.com/oauth2/v4/token",
            ):
                raise OAuthError("invalid_grant", "Invalid JWT: Failed audience check.")
            scopes = str(claims.get("scope", "")).split()
            if not scopes:
                raise OAuthError("invalid_scope", "Empty or missing scope not allowed.")
            token = issue(store, principal_of(account, scopes))
        elif given.get("grant_type") == "refresh_token":
            user = store.behavior.get("refresh_tokens", {}).get(given.get("refresh_token", ""))
            if user is None:
                raise OAuthError("invalid_grant", "Token has been expired or revoked.")
            scopes = [CLOUD, EMAIL]
            token = issue(store, Principal(f"user:{user}", scopes=frozenset(scopes)))
        else:
            raise OAuthError("unsupported_grant_type", f"Invalid grant_type: {given.get('grant_type')}")
    except OAuthError as error:
        return error.answer()
    return as_json(
        200, {"access_token": token, "expires_in": LIFE - 1, "token_type": "Bearer", "scope": " ".join(scopes)}
    )


def federate(store: Store, body: Mapping[str, Any]) -> Any:
    """sts.token: exchanges a token of the world's other identity provider for one of a federated principal."""
    if body.get("grantType") != "urn:ietf:params:oauth:grant-type:token-exchange":
        raise OAuthError("unsupported_grant_type", "Invalid grant type.")
    pool = re.fullmatch(
        r"//iam\.[a-z.]+/(projects/\d+/locations/global/workloadIdentityPools/[^/]+)/providers/[^/]+",
        body.get("audience", ""),
    )
    subject = store.behavior.get("subject_tokens", {}).get(body.get("subjectToken", ""))
    if pool is None or subject is None:
        raise OAuthError("invalid_grant", "The given credential is rejected by the attribute condition.")
    scopes = frozenset(body.get("scope", "").split())
    host = "//iam.googleapis.com"
    member = f"principal:{host}/{pool[1]}/subject/{subject}"
    token = issue(store, Principal(member, scopes=scopes, groups=(f"principalSet:{host}/{pool[1]}/*",)))
    return {
        "access_token": token,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer",
        "expires_in": LIFE,
    }


def generate(asked: Asked) -> Any:
    """generateAccessToken: each account in the chain must allow the one before it to impersonate it."""
    store = asked.store
    scopes, life = asked.body.get("scope", []), asked.body.get("lifetime", f"{LIFE}s")
    if not scopes:
        raise invalid("Request is missing required field: scope.")
    if not re.fullmatch(r"\d+(\.\d+)?s", life) or not 0 < float(life[:-1]) <= LIFE:
        raise invalid(f"The lifetime {life} is longer than {LIFE}s, or no duration.")
    who, account = asked.caller, None
    for name in [*asked.body.get("delegates", []), asked.path["name"]]:
        email = name.rpartition("/")[2]
        last = name == asked.path["name"]
        permission = "iam.serviceAccounts.getAccessToken" if last else "iam.serviceAccounts.implicitDelegation"
        account = store.account(email)
        if account is None:
            raise denied("iam", permission, name)
        require(store, who, account_resource(store, account), permission, name, "iam")
        who = principal_of(account)
    if account is None or account.disabled:
        raise GoogleError("FAILED_PRECONDITION", "The service account is disabled.")
    token = issue(store, principal_of(account, scopes), float(life[:-1]))
    return {"accessToken": token, "expireTime": as_time(store.tokens[token].ends)}


def userinfo(store: Store, request: Request) -> Response:
    """userinfo: the owner of the token, with the e-mail if its scopes include it."""
    try:
        found = caller(store, request)
    except GoogleError as error:
        return error.answer()
    said = {"sub": found.unique_id or "100000000000000000001"}
    if EMAIL in found.scopes:
        said |= {"email": found.email, "email_verified": True}  # type: ignore[dict-item]
    return as_json(200, said)


def metadata(store: Store, request: Request) -> Response:
    """The metadata server of the machine. `machine` sets it; its scopes apply regardless of those requested."""
    machine = store.behavior.get("machine")
    account = store.account(machine["email"]) if machine else None
    if machine is None or account is None:
        return Response(404, (), b"Not Found")
    if request.headers.get("metadata-flavor") != "Google" and request.path != "/":
        return Response(403, (("Metadata-Flavor", "Google"),), b"Missing Metadata-Flavor:Google header.")
    path = request.path.removeprefix("/computeMetadata/v1/").rstrip("/")
    text = _machine_text(store, account, list(machine["scopes"]), path)
    if request.path == "/":
        text = "computeMetadata/\n"
    if text is None:
        return Response(404, (("Metadata-Flavor", "Google"),), b"Not Found")
    kind = "application/json" if text.startswith("{") else "application/text"
    return Response(200, (("Metadata-Flavor", "Google"), ("Content-Type", kind)), text.encode())


def _machine_text(store: Store, account: Account, scopes: list[str], path: str) -> str | None:
    texts = {
        "project/project-id": account.project,
        "project/numeric-project-id": store.projects[account.project].number,
        "universe/universe-domain": "googleapis.com",
        "universe/universe_domain": "googleapis.com",
        "instance/zone": f"projects/{store.projects[account.project].number}/zones/europe-west1-b",
    }
    for name in ("default", account.email):
        base = f"instance/service-accounts/{name}"
        texts[base] = json.dumps({"aliases": ["default"], "email": account.email, "scopes": scopes})
        texts[f"{base}/email"] = account.email
        texts[f"{base}/scopes"] = "\n".join(scopes)
        if path == f"{base}/token":
            token = issue(store, principal_of(account, scopes))
            return json.dumps({"access_token": token, "expires_in": LIFE, "token_type": "Bearer"})
    return texts.get(path)


HANDLERS = {"iamcredentials.projects.serviceAccounts.generateAccessToken": generate}
