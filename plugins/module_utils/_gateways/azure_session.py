# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The session with Azure: its requests, and what errors mean. PRIVATE to the collection.

azure-identity provides the tokens. Requests and answers are plain JSON, so that no field of an answer is lost.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from .._answers import Odd, objects_in, some_objects, text_in, tidy
from .._engine import CallFailed, Conflict, Refused
from .._patience import THROTTLED, Repeats, throttled
from .._variables import named
from . import https, tls
from .azure_credentials import CA_OPTION, Chosen, Cloud, azure, claims_of, in_words, load
from .https import Http, Response, host_of, may_have_token, taken

T = TypeVar("T")

PATIENCE = 60.0
"""How many seconds to repeat a call that Azure fails to answer, including pauses."""
FRESH_SECONDS = 300.0
"""For how many seconds a token must remain valid."""
MOST_PAGES = 1000
"""How many pages a list may have. Azure limits the size of a page."""
KUBERNETES_SECONDS = 1800.0
"""The same for a Kubernetes token: Helm uses one token for a whole upgrade."""

GRAPH = "graph"
AUTHORIZATION = "Microsoft.Authorization"
CONTAINER_SERVICE = "Microsoft.ContainerService"
LOCKS = "Microsoft.Authorization/locks"
MANAGED_IDENTITY = "Microsoft.ManagedIdentity"
RESOURCES = "Microsoft.Resources"
SUBSCRIPTIONS = "Microsoft.Resources/subscriptions"

VERSIONS: Mapping[str, str] = {
    AUTHORIZATION: "2022-04-01",
    CONTAINER_SERVICE: "2026-02-01",
    LOCKS: "2020-05-01",
    MANAGED_IDENTITY: "2024-11-30",
    RESOURCES: "2025-04-01",
    SUBSCRIPTIONS: "2022-12-01",
}
"""The api-version to try first, by service."""

DENIED = "Authorization_RequestDenied"
"""The code with which Graph refuses a call."""
UNREGISTERED = "MissingSubscriptionRegistration"
NO_GROUP = "ResourceGroupNotFound"
LOCKED = "ScopeLocked"
POLICY_FORBIDS = "RequestDisallowedByPolicy"
_UNKNOWN_VERSION = frozenset({"InvalidResourceType", "NoRegisteredProviderFound", "InvalidApiVersionParameter"})
_NO_SUBSCRIPTION = "SubscriptionNotFound"
_ONE_AT_A_TIME = "ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity"
_VERSION = re.compile(r"\b(20\d\d-\d\d-\d\d)(?![-\w])")
_CLAIMS = re.compile(r'\bclaims="([^"]+)"')

Answer = Mapping[str, Any]


class Call(https.Call):
    """One method of ARM or Graph.

    service: GRAPH, or that of ARM whose api-version counts. path: of its {names}, {scope} may have slashes.
    permissions: an action at the scope or an application permission of Graph.
    """

    @property
    def repeatable(self) -> bool:
        return super().repeatable or self.method in ("PUT", "DELETE")


@dataclass(frozen=True)
class Problem:
    """What the body of an answer says is wrong. request_id: by which Microsoft finds the call; policies: the policies
    that refuse; inner: the codes of what caused it."""

    code: str = ""
    message: str = ""
    request_id: str = ""
    policies: tuple[str, ...] = ()
    inner: tuple[str, ...] = ()

    @classmethod
    def of(cls, response: Response) -> Problem:
        """body: parsed JSON of any shape, None for none. AKS itself leaves the outer object out."""
        body, headers = response.body, response.headers or {}
        request_id = tidy(headers.get("x-ms-request-id") or headers.get("request-id"), 100)
        error = body.get("error", body) if isinstance(body, Mapping) else None
        if not isinstance(error, Mapping):
            return cls("", tidy(response.reason), request_id)
        details = list(some_objects(error.get("details")))
        additional = [*some_objects(error.get("additionalInfo"))]
        additional += [one for detail in details for one in some_objects(detail.get("additionalInfo"))]
        return cls(
            tidy(error.get("code"), 100),
            tidy(error.get("message")) or tidy(response.reason),
            request_id,
            tuple(filter(None, (_policy(one.get("info")) for one in additional))),
            tuple(tidy(one.get("code"), 100) for one in details),
        )


def _policy(info: Any) -> str:
    """The policy that an answer names, in words."""
    if not isinstance(info, Mapping):
        return ""
    name = tidy(info.get("policyDefinitionDisplayName") or info.get("policyDefinitionName"), 200)
    assignment = tidy(info.get("policyAssignmentDisplayName") or info.get("policyAssignmentName"), 200)
    return f"{name} (assignment {assignment})" if name and assignment else name or assignment


class Rejected(https.Rejection[Problem]):
    """Azure answered with an error."""


@dataclass(frozen=True)
class Caller:
    """Whose token it is, as the token says. object_id: by which Azure and Kubernetes know it; name: of a user, empty
    for others; roles: granted application permissions, of an application; scopes: of a user."""

    object_id: str
    client_id: str
    tenant: str
    name: str = ""
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    directory_roles: frozenset[str] = frozenset()
    """Template IDs of a user's roles in the directory."""

    @property
    def application(self) -> bool:
        """Whether the caller is an application or a managed identity, not a user."""
        return not self.name

    @classmethod
    def of(cls, token: str) -> Caller:
        claims = claims_of(token)

        def texts(claim: str) -> frozenset[str]:
            value = claims.get(claim)
            found = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
            return frozenset(one for one in found if isinstance(one, str))

        return cls(
            tidy(claims.get("oid"), 100),
            tidy(claims.get("appid") or claims.get("azp"), 100),
            tidy(claims.get("tid"), 100),
            tidy(claims.get("upn") or claims.get("unique_name"), 300),
            texts("roles"),
            texts("scp"),
            texts("wids"),
        )


@dataclass
class _Token:
    value: str = field(repr=False)
    expires: float

    def fresh(self, seconds: float) -> bool:
        return self.expires - time.time() > seconds


def read_ahead() -> None:
    """Import the SDK and read the system's certificates now, for all processes that fork from this one."""
    if not (https.MISSING or azure.import_problem()):
        tls.shared(https.by_system)


class Session:
    """One set of credentials, for ARM and Graph alike. Threads may share it.

    admin: whether clusters are entered by their local account that may do everything. subscription_id: what the options
    say, or else the environment; subscription_source: the variable, empty for an option.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        missing = https.MISSING or azure.import_problem()
        if missing:
            raise Refused(
                "The Python packages azure-identity and requests are needed on this machine:"
                f" {missing}. Install azure-identity and requests."
            )
        self._http = Http(options.get(CA_OPTION), CA_OPTION, "Azure")
        self._chosen: Chosen = load(options, self._http)
        self.admin = bool(options.get("admin"))
        self._lock = threading.Lock()
        self._credentials: dict[str, Any] = {}
        self._tokens: dict[tuple[str, str], _Token] = {}
        self._versions = dict(VERSIONS)

    @property
    def cloud(self) -> Cloud:
        return self._chosen.cloud

    @property
    def subscription_id(self) -> str:
        return self._chosen.subscription_id

    @property
    def subscription_source(self) -> str:
        return self._chosen.subscription_source

    def version(self, service: str) -> str:
        """The api-version to call a service with: an older one if this cloud does not know the newer."""
        return self._versions[service]

    def close(self) -> None:
        """Drop the connections."""
        self._http.close()

    def caller(self) -> Caller:
        """The identity that calls ARM."""
        return Caller.of(self.token(self._audience("")))

    def token(self, audience: str, tenant: str = "", seconds: float = FRESH_SECONDS) -> str:
        """An access token that remains valid for this many seconds, if Azure returns one. Secret.

        audience: an address or the id of an application; tenant: empty for the credentials' own.
        """
        with self._lock:
            known = self._tokens.get((audience, tenant))
            if known is None or not known.fresh(seconds):
                if known:
                    # Credentials keep their tokens until these have almost expired.
                    self._credentials.pop(tenant, None)
                known = self._get(audience, tenant)
            return known.value

    def forget(self, token: str) -> None:
        """Replace a token that was not accepted."""
        with self._lock:
            for audience, tenant in [key for key, known in self._tokens.items() if known.value == token]:
                del self._tokens[audience, tenant]
                self._credentials.pop(tenant, None)

    def _get(self, audience: str, tenant: str, claims: str = "") -> _Token:
        if tenant and self._chosen.machine:
            self._check_tenant(tenant)
        if tenant not in self._credentials:
            self._credentials[tenant] = self._chosen.make(tenant)
        asked = {**({"claims": claims} if claims else {}), **({"tenant_id": tenant} if tenant else {})}
        with in_words():
            got = self._credentials[tenant].get_token(f"{audience}/.default", **asked)
        self._tokens[audience, tenant] = _Token(got.token, float(got.expires_on))
        return self._tokens[audience, tenant]

    def _check_tenant(self, tenant: str) -> None:
        known = self._tokens.get((self._audience(""), "")) or self._get(self._audience(""), "")
        own = Caller.of(known.value).tenant
        if own and own.lower() != tenant.lower():
            raise Refused(
                f"The managed identity belongs to tenant {own} and cannot get a token of tenant {tenant}, which is"
                f" needed. Use a service principal of that tenant: set {named('client_id')}, {named('tenant')} and"
                f" {named('secret')}."
            )

    def _renew(self, audience: str, tenant: str, claims: str = "") -> None:
        """Get a new token in place of one that Azure rejected. claims: what Azure requires of the new one."""
        with self._lock:
            self._credentials.pop(tenant, None)
            self._get(audience, tenant, claims)

    def _audience(self, service: str) -> str:
        return f"https://{self.cloud.graph if service == GRAPH else self.cloud.arm}"

    def send(
        self,
        call: Call,
        body: Any = None,
        query: Iterable[tuple[str, str]] = (),
        absent: bool = False,
        read: Callable[[Answer], T] | None = None,
        tenant: str = "",
        **names: str,
    ) -> Any:
        """Make a call. absent: return None if nothing is found. read: takes the result from the answer, or raises Odd.

        tenant: the one that the token must be for, empty for the credentials' own. Raises Conflict if somebody else
        wrote first.
        """
        path = call.path.format(**{name: quote(value, safe="/:@'()") for name, value in names.items()})
        url = f"{self._audience(call.service)}{'/v1.0' if call.service == GRAPH else ''}{path}"
        return self._send(call, url, call.purpose.format(**names), body, [*query], absent, read, tenant)

    def send_all(
        self,
        call: Call,
        read: Callable[[Answer], T],
        query: Iterable[tuple[str, str]] = (),
        absent: bool = False,
        tenant: str = "",
        **names: str,
    ) -> tuple[T, ...] | None:
        """All objects of a list, from all its pages. None if absent is set and the list is not found. read: parses one
        object."""

        def page(body: Answer) -> tuple[list[T], str]:
            if "value" not in body:
                raise Odd("field value is missing")
            return [*map(read, objects_in(body, "value"))], _next(body)

        answered = self.send(call, query=query, absent=absent, read=page, tenant=tenant, **names)
        if answered is None:
            return None
        found, following = answered
        seen = set[str]()
        while following:
            host = host_of(self._audience(call.service))
            if not may_have_token(following, host) or following in seen or len(seen) == MOST_PAGES:
                wrong = (
                    "the list of pages does not end"
                    if len(seen) == MOST_PAGES
                    else "the address of the next page is not Azure's"
                )
                raise CallFailed(
                    f"Could not {call.purpose.format(**names)}: {wrong}. Check whether a proxy answered instead."
                )
            seen.add(following)
            more, following = self._send(call, following, call.purpose.format(**names), None, None, False, page, tenant)
            found += more
        return tuple(found)

    def _send(
        self,
        call: Call,
        url: str,
        purpose: str,
        body: Any,
        query: list[tuple[str, str]] | None,
        absent: bool,
        read: Callable[[Answer], T] | None,
        tenant: str,
    ) -> Any:
        """query: None for the address of a next page, which already has one."""
        audience = self._audience(call.service)
        repeats, unsure, renewed, other_version = Repeats(1.0, 20.0), False, False, False
        while True:
            response = self._once(call, url, purpose, body, query, audience, tenant)
            status, answer = response.status, response.body
            problem = Problem.of(response)
            if status == 401 and not renewed:
                renewed = True
                self._renew(audience, tenant, claims_in(response))
                continue
            if query is not None and not other_version and self._falls_back(call, status, problem):
                other_version = True
                continue
            unsure = unsure or (status >= 500 and response.sent and not call.only_reads)
            patience = _patience(call, response, problem)
            if not (patience and repeats.wait(patience, response.asked)):
                break
        if 200 <= status < 300:
            return taken(answer, read, purpose, host_of(url), not call.only_reads)
        if status == 404 and absent and problem.code != _NO_SUBSCRIPTION:
            return None
        raise _failure(call, purpose, response, problem, unsure)

    def _falls_back(self, call: Call, status: int, problem: Problem) -> bool:
        """Whether this cloud does not know the api-version, but lists those that it knows."""
        if status not in (400, 404) or problem.code not in _UNKNOWN_VERSION:
            return False
        called = self._versions.get(call.service, "")
        known = sorted(one for one in _VERSION.findall(problem.message) if one != called)
        if known:
            self._versions[call.service] = known[-1]
        return bool(known)

    def _once(
        self,
        call: Call,
        url: str,
        purpose: str,
        body: Any,
        query: list[tuple[str, str]] | None,
        audience: str,
        tenant: str,
    ) -> Response:
        sent = {"Accept": "application/json", "User-Agent": "castai.onboarding"}
        sent["Authorization"] = f"Bearer {self.token(audience, tenant)}"
        asked = [*(query or ())]
        if call.service != GRAPH and query is not None:
            asked.insert(0, ("api-version", self._versions[call.service]))
        # Not every service reads a plus sign as a space, as requests would encode it.
        address = f"{url}?{urlencode(asked, quote_via=quote)}" if asked else url
        return self._http.ask(call.method, address, purpose, sent, (), body, call.repeatable)


def _next(body: Answer) -> str:
    """The address of the next page, empty for none."""
    return text_in(body, "nextLink", 10_000) or text_in(body, "@odata.nextLink", 10_000)


def claims_in(response: Response) -> str:
    """The claims that a new token must have, as azure-identity takes them, or an empty text."""
    challenge = (response.headers or {}).get("WWW-Authenticate") or ""
    found = _CLAIMS.search(challenge)
    if not found or "insufficient_claims" not in challenge:
        return ""
    try:
        text = base64.urlsafe_b64decode(found[1] + "=" * (-len(found[1]) % 4)).decode()
        json.loads(text)
    except ValueError:
        return ""
    return text


def _patience(call: Call, response: Response, problem: Problem) -> float:
    """For how many seconds to repeat a call with this answer, 0 if that is useless."""
    if response.status == 429 or problem.code == _ONE_AT_A_TIME:
        return THROTTLED
    if response.status in (500, 502, 503, 504) and call.repeatable:
        return PATIENCE if response.sent else https.UNREACHABLE
    return 0.0


def _failure(call: Call, purpose: str, response: Response, problem: Problem, unsure: bool) -> Exception:
    status = response.status
    if response.answered:
        advice = _advice(call, status, problem, response.asked)
        code = " ".join(filter(None, [str(status), problem.code]))
    else:
        advice, code = https.REACHABLE, ""
    request = f" (request {problem.request_id})" if problem.request_id else ""
    said = f"{problem.message.rstrip('.')}{request}"
    sentence, within = https.refusal(purpose, call.permissions, code, said, advice)
    if status == 412:
        return Conflict(sentence)
    return Rejected(sentence, status, problem, within, unsure)


def _advice(call: Call, status: int, problem: Problem, asked: float) -> str:
    """What to do, as sentences with a space before them. Empty if nothing is known."""
    if status == 429:
        return throttled("Azure limits how often these credentials may call", asked)
    if problem.code == POLICY_FORBIDS:
        names = " and ".join(problem.policies)
        which = f": {names}" if names else ""
        return f" An Azure policy forbids it{which}. Ask its administrators for an exemption."
    if problem.code == LOCKED:
        return " Remove the lock that Azure names here until this has run, or ask whoever created it to remove it."
    if problem.code == _NO_SUBSCRIPTION:
        return f" Correct {named('subscription_id')}, or whichever option has this ID."
    if problem.code == NO_GROUP:
        return f" Correct {named('resource_group')}, or whichever option names this resource group."
    if problem.code == UNREGISTERED:
        namespace = re.search(r"Microsoft\.\w+", problem.message)
        name = namespace[0] if namespace else "the resource provider"
        return f" Register {name} in the subscription, for example with az provider register --namespace {name}."
    if problem.code in _UNKNOWN_VERSION:
        return f" This cloud does not have an api-version of {call.service} that this collection can use."
    if status == 403:
        return _forbidden(call, problem)
    if status == 401:
        return " Azure does not accept the credentials. Renew them."
    return ""


def _forbidden(call: Call, problem: Problem) -> str:
    if "DenyAssignment" in problem.code:
        return (
            " A deny assignment forbids it, as on a locked node resource group. Remove what created it, then run again."
        )
    if call.service == GRAPH:
        needed = " or ".join(call.permissions)
        return f" Grant the application permission {needed} of Microsoft Graph, with admin consent." if needed else ""
    needed = " and ".join(call.permissions)
    grant = (
        f" Grant {needed} to the identity that runs this."
        if needed
        else " The identity that runs this is not allowed to do it."
    )
    condition = ""
    if call.service == AUTHORIZATION and not call.only_reads:
        condition = " If one of its roles already contains this, a condition on that role's assignment may forbid it."
    return f"{grant} A new role assignment takes up to 10 minutes to take effect.{condition}"
