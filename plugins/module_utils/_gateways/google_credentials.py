# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The credentials to call Google Cloud with. PRIVATE to the collection.

Options and environment variables are those of the collection google.cloud and of AWX's Google credential. Each type of
file is read by its own constructor, because google-auth's generic loader is deprecated.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._answers import tidy
from .._credentials import masked, quoted
from .._engine import CallFailed, Refused
from .._given import as_path, readable
from .._options import sendable
from .._variables import named
from . import files, https
from .sdk import Sdk

google = Sdk(
    "google",
    *("google.auth.aws", "google.auth.compute_engine", "google.auth.compute_engine._metadata"),
    *("google.auth.exceptions", "google.auth.external_account_authorized_user", "google.auth.identity_pool"),
    *("google.auth.impersonated_credentials", "google.auth.pluggable", "google.auth.transport.requests"),
    *("google.oauth2.credentials", "google.oauth2.service_account"),
)

CA_OPTION = "google_ca_cert"

SCOPES = (
    "https://www.googleapis.com/auth/cloud-platform",
    "https://www.googleapis.com/auth/userinfo.email",
)
"""Without the second one, Kubernetes only sees the number of a service account, not its e-mail address."""

APPLICATION, MACHINE, ACCOUNT, TOKEN = "application", "machineaccount", "serviceaccount", "accesstoken"

_GIVEN: Mapping[str, str] = {
    "access_token": TOKEN,
    "service_account_contents": ACCOUNT,
    "service_account_file": ACCOUNT,
    "service_account_email": MACHINE,
}
"""The options that contain credentials, in order of precedence, and the kind of each."""

_VARIABLES: Mapping[str, str] = {
    "auth_kind": "GCP_AUTH_KIND",
    **{option: f"GCP_{option.upper()}" for option in _GIVEN},
}

_PROJECT_VARIABLES = ("GCP_PROJECT", "GOOGLE_CLOUD_PROJECT")
_FILE_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
_METADATA_SECONDS = 3.0
_TARGET = re.compile(r"serviceAccounts/([^/:]+):generateAccessToken$")
_EMAIL = re.compile(r"[a-z0-9][-a-z0-9.]*@([a-z0-9]([-a-z0-9]*[a-z0-9])?\.)+[a-z]+", re.IGNORECASE)
_QUOTA_PROJECT = re.compile(r"([a-z0-9][-a-z0-9.]*:)?[a-z0-9][-a-z0-9]{3,29}", re.IGNORECASE)
_LONGEST_SHOWN = 100
"""How many characters of a wrong path a message shows, because the value may be a key by mistake."""

Info = Mapping[str, Any]


@dataclass(frozen=True)
class Chosen:
    """Credentials, and what they reveal without a call.

    project: the cluster's, empty if not set. project_source: the variable or file that sets it, empty for an option.
    """

    credentials: Any = field(repr=False)
    project: str
    project_source: str
    can_renew: bool
    account: str = ""
    """E-mail address, or "default" for the machine's own account. Empty if only Google knows."""
    machine: bool = False
    """Whether the tokens come from a machine's metadata server."""

    def email(self) -> str:
        """The caller's e-mail address. Empty if the credentials do not contain it."""
        account = self.credentials.service_account_email if self.machine else self.account
        return "" if account == "default" else str(account)

    def machine_scopes(self, request: Any) -> tuple[str, ...]:
        """The access scopes of a machine, which no request can change. Empty for other credentials, or if the machine
        does not say."""
        if not self.machine:
            return ()
        with contextlib.suppress(google.auth.exceptions.GoogleAuthError):
            info = google.auth.compute_engine._metadata.get_service_account_info(request, self.account)
            return tuple(info.get("scopes") or ())
        return ()


def load(options: Mapping[str, Any], request: Any) -> Chosen:
    """Load the credentials of the options, or else of the environment. Calls nothing but the metadata server.

    request: google-auth's, for the metadata server and to renew tokens. Raises Refused.
    """
    target, of_target = _given(options, "impersonate_service_account", "CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT")
    chain = [one.strip() for one in target.split(",")] if target else []
    if not all(map(_EMAIL.fullmatch, chain)):
        raise Refused(
            f"{of_target} is {quoted(target)}. Set it to the e-mail address of a service account, or to several,"
            " separated by commas."
        )
    quota_project, of_quota = _given(options, "quota_project", "GOOGLE_CLOUD_QUOTA_PROJECT")
    if quota_project and not _QUOTA_PROJECT.fullmatch(quota_project):
        raise Refused(f"{of_quota} is {quoted(quota_project)}. Set it to the ID or number of a Google Cloud project.")
    chosen = _chosen(options, request)
    if chain:
        *delegates, last = chain
        credentials = google.auth.impersonated_credentials.Credentials(
            chosen.credentials, last, list(SCOPES), delegates or None
        )
        chosen = Chosen(credentials, "", "", chosen.can_renew, last)
    credentials = chosen.credentials
    if quota_project:
        credentials = credentials.with_quota_project(quota_project)
    project, source = project_of(options)
    return Chosen(credentials, project, source, chosen.can_renew, chosen.account, chosen.machine)


def _given(options: Mapping[str, Any], option: str, variable: str) -> tuple[str, str]:
    """The value of an option or else of its environment variable, and the name of the one that is set. Empty if neither
    is."""
    value = str(options.get(option) or "")
    return (value, named(option)) if value else (_variable(variable), variable)


def project_of(options: Mapping[str, Any]) -> tuple[str, str]:
    """The project of the cluster, and the variable that sets it. Empty if neither an option nor a variable does."""
    if options.get("project"):
        return str(options["project"]), ""
    return next(((_variable(name), name) for name in _PROJECT_VARIABLES if _variable(name)), ("", ""))


def _variable(name: str) -> str:
    """The value of a variable. An empty one counts as not set, because AWX always sets all of them."""
    return os.environ.get(name, "").strip()


def _chosen(options: Mapping[str, Any], request: Any) -> Chosen:
    kind, option, value = _wanted(options)
    if kind == TOKEN:
        token = value.strip()
        if not sendable(token):
            raise Refused(f"{_name(option)} contains a space, line break or special character. Copy it again.")
        return Chosen(google.oauth2.credentials.Credentials(token=token), "", "", False)
    if kind == ACCOUNT and option == "service_account_contents":
        return _account(_parsed(value, _name(option)), _name(option))
    if kind == ACCOUNT:
        return _account(_read(value, _name(option)), _name(option))
    if kind == MACHINE:
        account = value.strip() or "default"
        if account != "default" and not _EMAIL.fullmatch(account):
            raise Refused(
                f"{_name(option)} is {quoted(value)}. Set it to the e-mail address of one of the machine's"
                " service accounts, or to default."
            )
        return _machine(account)
    return _application_default(request)


def _wanted(options: Mapping[str, Any]) -> tuple[str, str, str]:
    """Kind, option and value of the credentials. An option overrides the environment even if it selects another
    kind."""
    given = {option: _text(options[option]) for option in _GIVEN if options.get(option)}
    kind = options.get("auth_kind") or ""
    if not given:
        given = {option: _variable(_VARIABLES[option]) for option in _GIVEN if _variable(_VARIABLES[option])}
        kind = kind or _variable(_VARIABLES["auth_kind"])
    elif kind and kind not in {_GIVEN[option] for option in given}:
        others = " and ".join(map(named, given))
        raise Refused(f"{named('auth_kind')} is {kind}, which does not match {others}. Set only one of them.")
    kinds = (APPLICATION, MACHINE, ACCOUNT, TOKEN)
    if kind and kind not in kinds:
        raise Refused(
            f"GCP_AUTH_KIND is {quoted(kind)}. Set it to {', '.join(kinds[:-1])} or {kinds[-1]}, or unset it."
        )
    for option, value in given.items():
        if kind in ("", _GIVEN[option]):
            return _GIVEN[option], option, value
    if kind in (ACCOUNT, TOKEN):
        right = [option for option, one in _GIVEN.items() if one == kind]
        ways = [*map(named, right), *(_VARIABLES[option] for option in right)]
        raise Refused(
            f"{named('auth_kind')} is {kind}, but no such credential is set. Set {', '.join(ways[:-1])} or {ways[-1]}."
        )
    return kind or APPLICATION, "service_account_email", ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _name(option: str) -> str:
    return f"{named(option)}, or {_VARIABLES[option]},"


def _account(info: Info, origin: str) -> Chosen:
    if info.get("type") != "service_account":
        raise Refused(
            f"{origin} holds credentials of type {tidy(str(info.get('type')), 60)!r}, not the key of a service account."
            f" For other types, set {_FILE_VARIABLE} to the file."
        )
    return _of_info(info, origin)


def _application_default(request: Any) -> Chosen:
    """Google's application default credentials, found in the same order as Google's own tools do."""
    path = _variable(_FILE_VARIABLE)
    if path:
        return _of_info(_read(path, _FILE_VARIABLE), _FILE_VARIABLE)
    folder = _variable("CLOUDSDK_CONFIG") or str(as_path("~/.config/gcloud"))
    file = Path(folder, "application_default_credentials.json")
    if file.is_file():
        return _of_info(_read(str(file), "gcloud's file of application default credentials"), str(file))
    if not _variable("NO_GCE_CHECK") and _on_google(request):
        return _machine("default")
    raise Refused(
        f"No credentials for Google Cloud were found. Set {named('service_account_file')},"
        f" {named('service_account_contents')} or {named('access_token')}, or the environment variable"
        f" {_FILE_VARIABLE}."
    )


def _on_google(request: Any) -> bool:
    """Whether a metadata server answers."""
    host = _variable("GCE_METADATA_HOST") or _variable("GCE_METADATA_ROOT") or "169.254.169.254"
    try:
        answer = request(
            url=f"http://{host}", method="GET", headers={"Metadata-Flavor": "Google"}, timeout=_METADATA_SECONDS
        )
    except google.auth.exceptions.GoogleAuthError:
        return False
    return {key.lower(): value for key, value in answer.headers.items()}.get("metadata-flavor") == "Google"


def _machine(account: str) -> Chosen:
    credentials = google.auth.compute_engine.Credentials(service_account_email=account, scopes=list(SCOPES))
    return Chosen(credentials, "", "", True, account, machine=True)


def _read(path: str, origin: str) -> Info:
    if path.lstrip().startswith("{") or "PRIVATE KEY" in path:
        raise Refused(
            f"{origin} contains a key instead of the path of its file. Set it to the path, or set"
            f" {named('service_account_contents')} to the key."
        )
    try:
        text = readable(as_path(path)).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or "it is not text"
        shown = tidy(path, _LONGEST_SHOWN)
        raise Refused(
            f"{origin} is {shown!r}, which cannot be read ({said}). Set it to a file with credentials."
        ) from None
    return _parsed(text, f"{origin} {quoted(path)}")


def _parsed(text: str, origin: str) -> Info:
    # The parser's errors quote the file, which may contain a key.
    try:
        info = json.loads(text)
    except (ValueError, RecursionError):
        info = None
    if not isinstance(info, Mapping):
        raise Refused(f"{origin} does not contain Google credentials in JSON. Copy it again.")
    return info


def _of_info(info: Info, origin: str) -> Chosen:
    """Credentials of the type that a file names."""
    kind = str(info.get("type") or "")
    make = _MAKERS.get(kind)
    if make is None:
        raise Refused(
            f"{origin} holds credentials of type {tidy(kind, 60)!r}, which this collection cannot use. Use one of:"
            f" {', '.join(_MAKERS)}."
        )
    try:
        return make(info, origin)
    except (google.auth.exceptions.GoogleAuthError, ValueError, KeyError, TypeError, AttributeError) as error:
        said = _field_of(error)
        raise Refused(
            f"{origin} holds credentials of type {kind} that cannot be used{said}. Copy them again."
        ) from None


def _field_of(error: Exception) -> str:
    """A clause that names the missing fields. The rest of the error is left out, because it may contain a key."""
    found = re.search(r"missing fields ([\w, ]+)|fields? needed[^:]*: ([\w, ]+)", str(error))
    if isinstance(error, KeyError):
        return f": field {tidy(str(error.args[0]), 60)} is missing"
    return f": missing fields {next(filter(None, found.groups()))}" if found else ""


def _of_account(info: Info, origin: str) -> Chosen:
    for needed in ("client_email", "private_key", "token_uri"):
        if not isinstance(info.get(needed), str):
            raise KeyError(needed)
    credentials = google.oauth2.service_account.Credentials.from_service_account_info(info, scopes=list(SCOPES))
    return Chosen(credentials, "", "", True, str(info["client_email"]))


def _of_user(info: Info, origin: str) -> Chosen:
    credentials = google.oauth2.credentials.Credentials.from_authorized_user_info(info, scopes=list(SCOPES))
    if info.get("quota_project_id"):
        credentials = credentials.with_quota_project(info["quota_project_id"])
    return Chosen(credentials, "", "", True, str(info.get("account") or ""))


def _of_external(info: Info, origin: str) -> Chosen:
    source = info.get("credential_source") or {}
    files.check({f"credential_source.file in {origin}": _text(source.get("file") or "")})
    if info.get("subject_token_type") == "urn:ietf:params:aws:token-type:aws4_request":
        made = google.auth.aws.Credentials
    elif source.get("executable"):
        made = google.auth.pluggable.Credentials
    else:
        made = google.auth.identity_pool.Credentials
    credentials = made.from_info(info, scopes=list(SCOPES))
    return Chosen(credentials, "", "", True, str(credentials.service_account_email or ""))


def _of_external_user(info: Info, origin: str) -> Chosen:
    credentials = google.auth.external_account_authorized_user.Credentials.from_info(info)
    return Chosen(credentials, "", "", True)


def _of_impersonated(info: Info, origin: str) -> Chosen:
    target = _TARGET.search(str(info["service_account_impersonation_url"]))
    if not target:
        raise KeyError("service_account_impersonation_url")
    source = _of_info(info["source_credentials"], origin)
    credentials = google.auth.impersonated_credentials.Credentials(
        source.credentials, target[1], list(SCOPES), info.get("delegates") or None
    )
    return Chosen(credentials, "", "", source.can_renew, target[1])


_MAKERS: Mapping[str, Callable[[Info, str], Chosen]] = {
    "service_account": _of_account,
    "authorized_user": _of_user,
    "external_account": _of_external,
    "external_account_authorized_user": _of_external_user,
    "impersonated_service_account": _of_impersonated,
}
"""How to read each type of file."""


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """Turn errors of google-auth into messages that contain no credentials."""
    try:
        yield
    except google.auth.exceptions.GoogleAuthError as error:
        said = https.problem_of(error, "Google's token server", CA_OPTION)
        said = said or tidy(masked(str(error.args[0] if error.args else error))).rstrip(".") + "."
        raise CallFailed(
            f"Could not get a token from Google: {said} Check the credentials: {named('service_account_file')},"
            f" {named('service_account_contents')}, {named('access_token')}, {named('impersonate_service_account')}, or"
            f" the file of {_FILE_VARIABLE}."
        ) from None
