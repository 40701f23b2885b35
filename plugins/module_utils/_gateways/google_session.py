# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The session with Google Cloud: its requests, and what errors mean. PRIVATE to the collection.

google-auth provides the tokens. Requests and answers are plain JSON, so that no field of an answer is lost.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from time import time
from typing import Any, TypeVar
from urllib.parse import quote

from .._answers import some_objects, tidy
from .._engine import CallFailed, Conflict, Refused
from .._patience import THROTTLED, Repeats, throttled
from .._variables import named
from . import https, tls
from .google_credentials import CA_OPTION, SCOPES, Chosen, google, in_words, load
from .https import Call, Http, Response, host_of, taken

T = TypeVar("T")

PATIENCE = 60.0
"""How many seconds to repeat a call that Google fails to answer, including pauses."""
FRESH_SECONDS = 1800.0
"""For how many seconds a Kubernetes token must remain valid: Helm uses one token for a whole upgrade."""

DENIED = "PERMISSION_DENIED"
SERVICE_DISABLED = "SERVICE_DISABLED"
_CONSTRAINT = re.compile(r"\b(?:customC|c)onstraints/[\w.]+")
_REQUIRED = re.compile(r"[Rr]equired \"([\w.]+)\" permission|[Pp]ermission '([\w./]+)' denied")
_FULL = "maximum number of"
"""Part of refusals that look like throttling but never pass: there are too many keys, accounts or roles."""

Answer = Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """What the body of an answer says went wrong.

    state: PERMISSION_DENIED, ABORTED, ... reason, metadata: from ErrorInfo. violations: types of the failed
    preconditions; for an organization policy, its constraint.
    """

    state: str = ""
    message: str = ""
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: tuple[str, ...] = ()

    @classmethod
    def of(cls, body: Any, reason: str) -> Problem:
        """body: parsed JSON of any shape, or None. reason: that of the HTTP status line."""
        error = body.get("error") if isinstance(body, Mapping) else None
        if not isinstance(error, Mapping):
            return cls(message=tidy(reason))
        details = list(some_objects(error.get("details")))
        infos = [one for one in details if str(one.get("@type")).endswith("google.rpc.ErrorInfo")]
        info = infos[0] if infos else {}
        metadata = info.get("metadata")
        old = next(some_objects(error.get("errors")), {})
        return cls(
            tidy(error.get("status"), 100),
            tidy(error.get("message")) or tidy(reason),
            tidy(info.get("reason") or old.get("reason"), 100),
            {tidy(str(key), 100): tidy(value) for key, value in metadata.items()}
            if isinstance(metadata, Mapping)
            else {},
            tuple(tidy(one.get("type"), 200) for detail in details for one in some_objects(detail.get("violations"))),
        )

    @property
    def constraints(self) -> tuple[str, ...]:
        """The organization policies that caused the refusal, as constraints/..."""
        found = (*self.violations, self.metadata.get("customConstraints", ""), self.message)
        return tuple(dict.fromkeys(one for text in found for one in _CONSTRAINT.findall(text)))

    @property
    def permission(self) -> str:
        """The permission that is missing according to Google. Empty if Google does not name it."""
        if self.metadata.get("permission"):
            return self.metadata["permission"]
        found = _REQUIRED.search(self.message)
        return next(filter(None, found.groups()), "") if found else ""


class Rejected(https.Rejection[Problem]):
    """Google answered with an error."""

    @property
    def forbidden(self) -> bool:
        """Whether the caller lacks permissions. Throttling has the same status, but does not count."""
        return self.status == 403 and not _limited(self.status, self.problem)

    def unless_gone(self, advice: str) -> Rejected:
        """The same with advice added, such as "correct the option", for a project that does not exist: Google's answer
        for one is that the caller lacks permissions."""
        if not self.forbidden or self.problem.reason == SERVICE_DISABLED or self.problem.constraints:
            return self
        return self.advised(f"If the project does not exist, or was deleted more than 30 days ago, {advice}.")


def read_ahead() -> None:
    """Import the SDK and read the system's certificates now, for all processes that fork from this one."""
    if not (https.MISSING or google.import_problem()):
        tls.shared(https.by_system)


class Session:
    """One set of credentials. Threads may share it.

    endpoint: which of its endpoints to use for a cluster. project: from the options, or else from the environment;
    project_source: the variable, empty for an option.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        missing = https.MISSING or google.import_problem()
        if missing:
            raise Refused(
                "The Python packages google-auth and requests are needed on this machine:"
                f" {missing}. Install google-auth and requests."
            )
        self._http = Http(options.get(CA_OPTION), CA_OPTION, "Google Cloud")
        self._request = google.auth.transport.requests.Request(self._http)
        self._chosen: Chosen = load(options, self._request)
        self.endpoint = str(options.get("endpoint") or "auto")
        self._lock = threading.Lock()
        self._caller: str | None = None
        self._ahead = 0.0

    @property
    def project(self) -> str:
        return self._chosen.project

    @property
    def project_source(self) -> str:
        return self._chosen.project_source

    @property
    def can_renew(self) -> bool:
        """Whether an expired token can be replaced by a new one."""
        return self._chosen.can_renew

    @property
    def universe(self) -> str:
        """The domain of all services."""
        with in_words():
            return str(getattr(self._chosen.credentials, "universe_domain", "") or "googleapis.com")

    def close(self) -> None:
        """Drop the connections."""
        self._http.close()

    def now(self) -> float:
        """Seconds since 1970 by Google's clock, which this machine's may differ from, as the last answer showed it."""
        return time() + self._ahead

    def token(self) -> str:
        """An access token for Kubernetes that stays valid for a while. Secret."""
        credentials = self._chosen.credentials
        with self._lock, in_words():
            if not credentials.token or (self.can_renew and not _fresh(credentials)):
                credentials.refresh(self._request)
            return str(credentials.token or "")

    def forget(self, token: str) -> None:
        """Replace a token that was not accepted, if possible."""
        credentials = self._chosen.credentials
        with self._lock:
            if self.can_renew and credentials.token == token:
                credentials.token = None

    def lacks_email_scope(self) -> bool:
        """Whether the tokens are a machine's without the scope for the e-mail address, so that Kubernetes only sees a
        number."""
        scopes = self._chosen.machine_scopes(self._request)
        return bool(scopes) and not {SCOPES[1], "email"} & set(scopes)

    def caller(self) -> str:
        """E-mail address of the credentials' owner. Empty if Google does not say."""
        if self._caller is None:
            self._caller = self._chosen.email() or self._userinfo()
        return self._caller

    def _userinfo(self) -> str:
        try:
            found = self.send(_USERINFO)
        except CallFailed:
            return ""
        return tidy((found or {}).get("email"), 300)

    def send(
        self,
        call: Call,
        body: Any = None,
        query: Iterable[tuple[str, str]] = (),
        absent: bool = False,
        read: Callable[[Answer], T] | None = None,
        **names: str,
    ) -> Any:
        """Make a call. absent: return None for "not found". read: parses the answer, and raises Odd if it cannot.

        Raises Conflict if somebody else wrote first.
        """
        path = call.path.format(**{name: quote(value, safe="/:@") for name, value in names.items()})
        url = f"https://{call.service}.{self.universe}{path}"
        purpose = call.purpose.format(**names)
        repeats, unsure, renewed = Repeats(1.0, 20.0), False, False
        while True:
            response = self._once(call, url, purpose, body, query)
            status, answer, asked = response.status, response.body, response.asked
            problem = Problem.of(answer, response.reason)
            if status == 401 and not renewed and self.can_renew:
                renewed = True
                self._expire()
                continue
            unsure = unsure or (status >= 500 and response.sent and not call.only_reads)
            patience = _patience(call, response, problem)
            if not (patience and repeats.wait(patience, asked)):
                break
        if 200 <= status < 300:
            return taken(answer, read, purpose, host_of(url), not call.only_reads)
        if status == 404 and absent:
            return None
        said = problem.message.rstrip(".")
        if response.answered:
            advice = _advice(call, status, problem, asked, self.can_renew)
            code = " ".join(filter(None, [str(status), problem.state]))
        else:
            advice, code = https.REACHABLE, ""
        sentence, within = https.refusal(purpose, call.permissions, code, said, advice)
        if status in (409, 412):
            raise Conflict(sentence)
        raise Rejected(sentence, status, problem, within, unsure)

    def _expire(self) -> None:
        """Replace a token that Google does not accept."""
        with self._lock, in_words():
            self._chosen.credentials.refresh(self._request)

    def _once(self, call: Call, url: str, purpose: str, body: Any, query: Iterable[tuple[str, str]]) -> Response:
        headers = {"Accept": "application/json", "User-Agent": "castai.onboarding"}
        with self._lock, in_words():
            self._chosen.credentials.before_request(self._request, call.method, url, headers)
        response = self._http.ask(call.method, url, purpose, headers, query, body, call.repeatable)
        self._ahead = _ahead(response, self._ahead)
        return response


_USERINFO = Call("find out whose credentials these are", "GET", "www", "/oauth2/v3/userinfo")


def _ahead(response: Response, before: float) -> float:
    """By how many seconds Google's clock is ahead of this machine's. before: what it was, if an answer has no date."""
    try:
        return parsedate_to_datetime((response.headers or {})["Date"]).timestamp() - time()
    except (KeyError, TypeError, ValueError):
        return before


def _patience(call: Call, response: Response, problem: Problem) -> float:
    """For how many seconds to repeat a call with this answer, 0 if that is useless."""
    if _limited(response.status, problem):
        return THROTTLED
    if response.status in (500, 502, 503, 504) and call.repeatable:
        return PATIENCE if response.sent else https.UNREACHABLE
    return 0.0


def _limited(status: int, problem: Problem) -> bool:
    """Whether Google refused only because of too many calls, so that nothing was done."""
    if status == 429:
        return _FULL not in problem.message.lower()
    per_minute = "Quota exceeded for quota metric" in problem.message and "per minute" in problem.message
    return status == 403 and (problem.reason == "RATE_LIMIT_EXCEEDED" or per_minute)


def _advice(call: Call, status: int, problem: Problem, asked: float, can_renew: bool) -> str:
    """What to do, as sentences with a space before them. Empty if nothing is known."""
    if problem.reason == SERVICE_DISABLED:
        service = problem.metadata.get("service") or f"{call.service}.googleapis.com"
        return f" Enable {service} in the project, for example with gcloud services enable {service}, and run again."
    if problem.constraints:
        names = " and ".join(problem.constraints)
        return f" An organization policy forbids it: {names}. Ask its administrators for an exception."
    if problem.reason == "USER_PROJECT_DENIED":
        project = problem.metadata.get("consumer") or "the quota project"
        return f" Grant serviceusage.services.use on {project}, or set {named('quota_project')} to another project."
    if "vpcServiceControlsUniqueIdentifier" in problem.metadata:
        return " VPC Service Controls forbid it: allow this machine and its identity in the perimeter."
    if status == 429 and not _limited(status, problem):
        return " Delete some that are no longer needed, or ask Google for a higher quota."
    if _limited(status, problem):
        return throttled("Google limits how often these credentials may call", asked)
    if status == 403:
        needed = problem.permission or " and ".join(call.permissions)
        return (
            f" Grant {needed} to the identity that runs this."
            if needed
            else " The identity that runs this is not allowed to do it."
        )
    if status == 401 and not can_renew:
        return (
            f" The token has expired or is not valid, and cannot be renewed: set {named('access_token')} to a new one."
        )
    if status == 401:
        return " Google does not accept the credentials. Renew them."
    return ""


def _fresh(credentials: Any) -> bool:
    expiry = credentials.expiry
    # google-auth stores it in UTC, but without a time zone.
    left = (expiry.replace(tzinfo=timezone.utc) - datetime.now(timezone.utc)).total_seconds() if expiry else None
    return left is None or left > FRESH_SECONDS
