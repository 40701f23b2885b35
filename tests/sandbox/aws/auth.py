# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWS authentication and authorization as pure functions: Signature Version 4, identity policies, trust policies.

Why not moto's own: its authorization mode refuses every signed EKS and Lambda call and ignores conditions.
Sources: "Signature Version 4 for API requests" and "IAM JSON policy elements reference" of the IAM User Guide.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from ..wire import Request

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<credential>[^,\s]+),\s*SignedHeaders=(?P<headers>[^,\s]+),\s*Signature=(?P<signature>\w+)"
)
TIMESTAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Signature:
    """What a signed request claims. Nothing of it is proven before `matches`."""

    access_key_id: str
    region: str
    service: str
    timestamp: str
    headers: tuple[str, ...]
    signature: str
    session_token: str | None
    lifetime: int | None  # seconds; presigned requests only

    @property
    def signed_at(self) -> float:
        """Seconds since the epoch. Raises ValueError for a malformed date."""
        return datetime.strptime(self.timestamp, TIMESTAMP).replace(tzinfo=timezone.utc).timestamp()


def read_signature(request: Request) -> Signature | None:
    """The signature in the Authorization header or in a presigned query; None if there is none or it is malformed."""
    found = AUTHORIZATION.match(request.headers.get("authorization", ""))
    query = dict(parse_qsl(request.query))
    if found:
        credential, headers, signature = found["credential"], found["headers"], found["signature"]
        timestamp, lifetime = request.headers.get("x-amz-date", ""), None
        session_token = request.headers.get("x-amz-security-token")
    elif "X-Amz-Signature" in query:
        credential, headers = query.get("X-Amz-Credential", ""), query.get("X-Amz-SignedHeaders", "")
        signature, timestamp = query["X-Amz-Signature"], query.get("X-Amz-Date", "")
        session_token = query.get("X-Amz-Security-Token")
        lifetime = int(query["X-Amz-Expires"]) if query.get("X-Amz-Expires", "").isdecimal() else 0
    else:
        return None
    scope = credential.split("/")
    if len(scope) != 5 or scope[1] != timestamp[:8] or scope[4] != "aws4_request":
        return None
    return Signature(
        scope[0], scope[2], scope[3], timestamp, tuple(headers.split(";")), signature, session_token, lifetime
    )


def matches(request: Request, signature: Signature, secret: str) -> bool:
    """Whether the request was signed with this secret: botocore computes the signature of the received request
    again."""
    query = "&".join(pair for pair in request.query.split("&") if not pair.startswith("X-Amz-Signature="))
    received = AWSRequest(
        method=request.method,
        url=f"https://{request.host}{request.path}" + (f"?{query}" if query else ""),
        headers={name: request.headers[name] for name in signature.headers if name in request.headers},
        data=request.body,
    )
    received.context["timestamp"] = signature.timestamp
    signer = SigV4Auth(Credentials(signature.access_key_id, secret), signature.service, signature.region)
    text = signer.string_to_sign(received, signer.canonical_request(received))
    return hmac.compare_digest(signer.signature(text, received), signature.signature)


@dataclass(frozen=True)
class Access:
    """One request to decide about. `context`: condition key in lower case -> its values."""

    action: str
    resource: str
    context: Mapping[str, tuple[str, ...]]


def allowed(documents: Iterable[Mapping[str, Any]], access: Access) -> bool | None:
    """True: allowed. False: refused by an explicit Deny. None: no statement allows it."""
    verdict = None
    for statement in (one for document in documents for one in _statements(document)):
        if _covers(statement, access):
            if statement["Effect"] == "Deny":
                return False
            verdict = True
    return verdict


def trusted(document: Mapping[str, Any], principals: Iterable[str], access: Access) -> frozenset[str]:
    """The principals through which a role's trust policy lets the caller assume it; empty if it does not.

    Principals are the caller's own: ARN, account root ARN, account id.
    """
    by: set[str] = set()
    for statement in _statements(document):
        named = {"*"} if statement.get("Principal") == "*" else set(_listed(statement.get("Principal", {}).get("AWS")))
        hit = {principal for principal in principals if principal in named or "*" in named}
        asked = _matches_any(access.action, statement.get("Action"), fold=True)
        if hit and asked and _conditions_hold(statement.get("Condition", {}), access.context):
            if statement["Effect"] == "Deny":
                return frozenset()
            by |= hit
    return frozenset(by)


def _statements(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return _listed(document.get("Statement"))


def _covers(statement: Mapping[str, Any], access: Access) -> bool:
    if "NotAction" in statement:
        action = not _matches_any(access.action, statement["NotAction"], fold=True)
    else:
        action = _matches_any(access.action, statement.get("Action"), fold=True)
    if "NotResource" in statement:
        resource = not _matches_any(access.resource, statement["NotResource"])
    else:
        resource = _matches_any(access.resource, statement.get("Resource"))
    return action and resource and _conditions_hold(statement.get("Condition", {}), access.context)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


@lru_cache(maxsize=4096)
def _glob(pattern: str) -> re.Pattern[str]:
    """`*` and `?` only: a policy's square brackets mean themselves."""
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def _like(value: str, pattern: str) -> bool:
    return _glob(pattern).fullmatch(value) is not None


def _matches_any(value: str, patterns: Any, fold: bool = False) -> bool:
    value = value.lower() if fold else value
    return any(_like(value, pattern.lower() if fold else pattern) for pattern in _listed(patterns))


def _arn_like(value: str, pattern: str) -> bool:
    ours, theirs = value.split(":", 5), pattern.split(":", 5)
    return len(ours) == len(theirs) and all(_like(one, other) for one, other in zip(ours, theirs, strict=True))


def _number(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    return lambda value, wanted: compare(float(value), float(wanted))


OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringEqualsIgnoreCase": lambda value, wanted: value.lower() == wanted.lower(),
    "StringLike": _like,
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
    "Bool": lambda value, wanted: value.lower() == wanted.lower(),
    "NumericEquals": _number(lambda value, wanted: value == wanted),
    "NumericLessThanEquals": _number(lambda value, wanted: value <= wanted),
}


def _conditions_hold(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, tuple[str, ...]]) -> bool:
    return all(
        _condition_holds(operator, context.get(key.lower()), [_text(value) for value in _listed(wanted)])
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _condition_holds(operator: str, values: tuple[str, ...] | None, wanted: list[str]) -> bool:
    """Decide one operator on one key, as "condition operators" and "set operators" in the user guide describe it.

    Raises ValueError for an operator that this world does not know, so that no policy is only half understood.
    """
    quantifier, _colon, operator = operator.rpartition(":")
    if operator == "Null":
        return (values is None) == (wanted == ["true"])
    operator, if_exists = (operator[: -len("IfExists")], True) if operator.endswith("IfExists") else (operator, False)
    negated = "Not" in operator
    test = OPERATORS.get(operator.replace("Not", "", 1))
    if test is None:
        raise ValueError(f"this world does not know the condition operator {operator}")
    if values is None:
        return if_exists or negated or quantifier == "ForAllValues"
    each = [any(test(value, one) for one in wanted) != negated for value in values]
    return any(each) if quantifier == "ForAnyValue" else all(each)
