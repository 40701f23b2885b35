# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS: the session, its clients, and what its errors mean. PRIVATE to the collection."""

from __future__ import annotations

import contextlib
import copy
import functools
import json
import os
import re
import ssl
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from .. import _addresses
from .._answers import tidy
from .._credentials import masked
from .._engine import AT_ONCE, CallFailed, Conflict, Refused, until
from .._names import TAG_CLUSTER, TAG_CLUSTER_ID
from .._options import sendable
from .._patience import FEWER
from .._variables import named
from . import files, proxies, tls
from .sdk import Sdk

boto3 = Sdk("boto3")
botocore = Sdk(
    "botocore",
    *("botocore.config", "botocore.credentials", "botocore.exceptions", "botocore.hooks", "botocore.httpsession"),
    *("botocore.loaders", "botocore.parsers", "botocore.session", "botocore.signers", "botocore.utils"),
)
urllib3 = Sdk("urllib3")

CONNECT_TIMEOUT, TIMEOUT = 10, 60
"""Seconds to connect, and to wait for an answer."""

LONGEST = 4000
"""Maximum number of characters quoted from AWS: EC2's encoded messages are only useful as a whole."""

F = TypeVar("F", bound=Callable[..., Any])

OLDEST = (1, 34, 3)
"""The first version of boto3 and botocore that supports EKS's accessConfig; older ones drop it from the answer."""

NO_REGION = (
    f"{named('region')} is not set. Set it to the AWS region of the cluster, set AWS_REGION, or give the AWS profile a"
    " region."
)

SERVICES = ("ec2", "eks", "iam", "sts")

NOT_FOUND = frozenset({"NoSuchEntity", "ResourceNotFoundException", "InvalidGroup.NotFound"})

DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})

_QUOTA = re.compile(r"(?<!Request)LimitExceeded(Exception)?$")
"""Codes of a quota; that of a document's size cannot be raised."""

_DENIED_BY_RULES = re.compile(
    r"(iam:Create(InstanceProfile|Policy|Role|User)|ec2:CreateSecurityGroup|eks:CreateAccessEntry) on .* explicit deny"
)
"""A policy denies creating what it would allow with other properties, or not at all."""

THROTTLED = frozenset(
    {
        "EC2ThrottledException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
"""Codes of calls that botocore has repeated without success, with growing pauses. AWS does not say how long to wait."""

WROTE_FIRST = frozenset(
    {
        "ConcurrentModification",
        "DeleteConflict",
        "EntityAlreadyExists",
        "InvalidGroup.Duplicate",
        "InvalidPermission.Duplicate",
        "ResourceInUseException",
    }
)
"""Codes that mean somebody else wrote since the plan was made."""

NOT_YET = {
    "InvalidGroup.NotFound": "",
    "InvalidParameterException": "principal",
    "InvalidRequestException": "principal",
    "MalformedPolicyDocument": "principal",
    "NoSuchEntity": "",
    "ResourceNotFoundException": "principalarn",
}
"""Codes, and a word in their message, of a write that refers to an object created moments ago and not yet visible.

Sources: IAM User Guide, "Changes that I make are not always immediately visible"; EC2 API Reference, "Eventual
consistency".
"""

VISIBLE_SECONDS = 60.0
"""How long to wait until it is visible."""


class Tagged:
    """An object whose tags show which cluster it belongs to."""

    tags: Mapping[str, str]

    @property
    def cluster_ids(self) -> frozenset[str]:
        return frozenset(filter(None, [self.tags.get(TAG_CLUSTER_ID)]))

    @property
    def cluster_name(self) -> str:
        return self.tags.get(TAG_CLUSTER) or ""


def call(purpose: str, absent: bool = False, first: frozenset[str] = WROTE_FIRST) -> Callable[[F], F]:
    """Turn botocore's errors into sentences.

    purpose may use the method's arguments by position, {0}, and {Kind} for a first one that is role or user, as in the
    names of IAM's actions. absent: None is returned if the object does not exist; first: codes that mean that somebody
    wrote first.
    """

    def wrap(method: F) -> F:
        @functools.wraps(method)
        def run(self: Session, *args: Any) -> Any:
            try:
                return method(self, *args)
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, *_odd()) as error:
                code = error_code(error)
                if absent and code in NOT_FOUND:
                    return None
                done = purpose.format(*args, Kind=str(args[0]).capitalize() if args else "")
                sentence = f"Could not {done}: {reason_of(error)}"
                if code in first:
                    raise Conflict(sentence) from error
                # After an action's own sentence, naming the call is enough.
                _what, call, operation = done.partition(" (")
                within = f"{call}{operation}: {reason_of(error)}"
                raise CallFailed(sentence, within, _unsure(error)) from error

        return run  # type: ignore[return-value]

    return wrap


def _odd() -> tuple[type[Exception], ...]:
    """What botocore and the methods raise for an answer that AWS does not give: it is parsed without being checked."""
    return (botocore.parsers.ResponseParserError, LookupError, TypeError, AttributeError, ValueError)


def _is_odd(error: Exception) -> bool:
    """Whether it is such an error, and not one of botocore's about what it was given."""
    return isinstance(error, _odd()) and not isinstance(error, botocore.exceptions.BotoCoreError)


_ODD = "the answer does not match AWS's API. Check whether a proxy answered instead."


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def tag_dict(tags: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags or ()}


def error_code(error: Exception) -> str:
    response = getattr(error, "response", None) or {}
    return str((response.get("Error") or {}).get("Code") or "")


def _unsure(error: Exception) -> bool:
    """Whether AWS may have done the call anyway: its answer was lost, or reports an internal error."""
    if isinstance(error, botocore.exceptions.ClientError):
        return bool(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500)
    if isinstance(error, botocore.exceptions.EndpointConnectionError):
        return False
    return isinstance(error, botocore.exceptions.HTTPClientError) or _is_odd(error)


def until_visible(call: Callable[..., Any], **arguments: Any) -> Any:
    """Run a write that refers to an object created moments ago, and repeat it while AWS does not show the object
    yet."""

    def attempt() -> Any:
        try:
            return (call(**arguments),)
        except botocore.exceptions.ClientError as error:
            word = NOT_YET.get(error_code(error))
            if word is None or word not in str(error).lower():
                raise
            return None

    answer = until(attempt, timeout=VISIBLE_SECONDS, longest=5.0)
    return answer[0] if answer else call(**arguments)


def create_once(call: Callable[..., Any], find: Callable[[], Any], **arguments: Any) -> None:
    """Create an IAM object. If somebody else created it first, wait until it is visible, so that a new plan finds
    it."""
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        if error_code(error) == "EntityAlreadyExists" and not until(find, timeout=VISIBLE_SECONDS, longest=5.0):
            raise CallFailed(
                f"AWS: {reason_of(error)} An object with this name exists under a different path or with different"
                f" capitalization. Rename or delete it, or set {named('path')} to its path."
            ) from error
        raise


class Session:
    """One account and region with one set of credentials. Threads may share it."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        _need_boto3()
        _check_proxies()
        self.region = region_of(options)
        if not self.region:
            raise Refused(NO_REGION)
        options = {**options, "region": self.region}
        self._options = options
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._session = _session(options)

    def _client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                self._clients[service] = _client(self._session, service, self._options)
            return self._clients[service]

    @call("identify the credentials (sts:GetCallerIdentity)")
    def caller_arn(self) -> str:
        return str(self._client("sts").get_caller_identity()["Arn"])

    def caller_account(self) -> str:
        """Empty if STS does not tell: it explains a problem, and must not hide it behind another one."""
        try:
            return self.caller_arn().split(":")[4]
        except CallFailed:
            return ""


def _check_proxies() -> None:
    for name, proxy in proxies.of_variables(os.environ).items():
        if not f"{proxy.user}{proxy.password}".isascii():
            raise Refused(
                f"The environment variable {name} has a user name or password with characters outside ASCII, which"
                " boto3 cannot send. Use a login without them."
            )


def region_of(options: Mapping[str, Any]) -> str:
    """The region of the options, or else of AWS_DEFAULT_REGION or the profile; empty if there is none."""
    if options.get("region"):
        return str(options["region"])
    _need_boto3()
    try:
        return str(_botocore_session(options.get("profile")).get_config_variable("region") or "")
    except botocore.exceptions.BotoCoreError as error:
        raise CallFailed(f"Could not use the AWS credentials: {reason_of(error)}") from error


def _need_boto3() -> None:
    missing = boto3.import_problem() or botocore.import_problem()
    if missing:
        raise Refused(f"The Python packages boto3 and botocore are needed on this machine: {missing}. Install boto3.")
    if _version() < OLDEST:
        raise Refused(
            f"botocore is {botocore.__version__} on this machine, which does not support EKS access entries. Install"
            f" boto3 {'.'.join(map(str, OLDEST))} or newer."
        )


def _session(options: Mapping[str, Any]) -> Any:
    """A boto3 session; with assume_role_arn, of that role, renewed by botocore when it ages."""
    role = options.get("assume_role_arn")
    what = f"assume role {role}" if role else "use the AWS credentials"
    try:
        core = _botocore_session(options.get("profile"))
        # For the session, not its clients: botocore makes some itself, for example for the role of a profile.
        send = _Sender(_context(core, options))
        core.register("before-send", send)
        session = boto3.session.Session(
            aws_access_key_id=options.get("access_key"),
            aws_secret_access_key=options.get("secret_key"),
            aws_session_token=options.get("session_token"),
            region_name=options["region"],
            botocore_session=core,
        )
        credentials = _credentials(session, options)
        if credentials is None:
            raise Refused(
                f"No AWS credentials were found. Set {named('access_key')} and {named('secret_key')}, or"
                f" {named('profile')}, or the usual AWS_ environment variables."
            )
        if not role:
            return session
        external_id = options.get("assume_role_external_id")
        fetcher = botocore.credentials.AssumeRoleCredentialFetcher(
            lambda service, **keywords: _client(session, service, options, **keywords),
            session.get_credentials(),
            role,
            extra_args={"RoleSessionName": "castai-onboarding", **({"ExternalId": external_id} if external_id else {})},
        )
        inner = _botocore_session()
        inner.register("before-send", send)
        provider = _Assumed(fetcher.fetch_credentials)
        inner.register_component("credential_provider", botocore.credentials.CredentialResolver([provider]))
        inner.get_credentials()
        return boto3.session.Session(botocore_session=inner, region_name=options["region"])
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, *_odd()) as error:
        raise CallFailed(f"Could not {what}: {reason_of(error)}") from error


def _check_form(frozen: Any) -> None:
    """botocore's error about a header that cannot be sent would show the credential in it."""
    given = {"access_key": frozen.access_key, "secret_key": frozen.secret_key, "session_token": frozen.token}
    for option, value in given.items():
        if value and not sendable(value):
            raise Refused(
                f"The AWS credentials contain a space, line break or special character. Copy {named(option)} again, or"
                " its value in the environment or the AWS profile."
            )


def _credentials(session: Any, options: Mapping[str, Any]) -> Any:
    """The session's credentials, fetched now, so that a problem with their source is reported once, with its name.

    botocore does not catch the errors that a profile's program or file causes.
    """
    profile, entry = _profile(session)
    by_key = options.get("access_key") or (not options.get("profile") and os.environ.get("AWS_ACCESS_KEY_ID"))
    if not by_key:
        files.check({f"web_identity_token_file of profile {profile}": str(entry.get("web_identity_token_file") or "")})
        files.check_variables(*([] if options.get("profile") else _TOKEN_FILES))
    if entry.get(_ASKS) and not by_key:
        raise Refused(
            f"AWS profile {profile} needs a code from an MFA device (mfa_serial), but this run cannot ask for one."
            " Get temporary credentials first, for example with aws sts get-session-token, and set them in"
            f" {named('access_key')}, {named('secret_key')} and {named('session_token')}, or in the environment."
        )
    try:
        credentials = session.get_credentials()
        if credentials is not None:
            _check_form(credentials.get_frozen_credentials())
        return credentials
    except (botocore.exceptions.ClientError, botocore.exceptions.HTTPClientError):
        raise
    except botocore.parsers.ResponseParserError as error:
        raise CallFailed(f"Could not use the AWS credentials: {reason_of(error)}") from error
    except (botocore.exceptions.BotoCoreError, *_SOURCE_ERRORS) as error:
        said, advice = _said(error), ""
        if entry.get("sso_session") or entry.get("sso_start_url"):
            # botocore does not catch the errors of a cached login that is incomplete.
            said = "its login cannot be read" if isinstance(error, LookupError) else said
            advice = f" Log in with aws sso login --profile {profile} as the user that runs Ansible."
        raise CallFailed(f"Could not use the AWS credentials{_source(profile, entry)}: {said}.{advice}") from None


_ASKS = "asks for a code"

_TOKEN_FILES = ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")

_SOURCE_ERRORS = (OSError, EOFError, ValueError, LookupError, AttributeError, TypeError)


def _profile(session: Any) -> tuple[str, Mapping[str, Any]]:
    """The name of the profile that is used, and what AWS's configuration file says about it and the profiles it
    refers to."""
    inner = session._session
    name = inner.get_config_variable("profile") or "default"
    profiles = inner.full_config.get("profiles") or {}
    entry: dict[str, Any] = {}
    waiting, seen = [name], set[str]()
    while waiting:
        one = waiting.pop()
        found = profiles.get(one)
        if one in seen or not isinstance(found, Mapping):
            continue
        seen.add(one)
        asks = {_ASKS: True} if found.get("role_arn") and found.get("mfa_serial") else {}
        entry = {**asks, **found, **entry}
        waiting += [str(found["source_profile"])] if found.get("source_profile") else []
    return str(name), entry


def _source(profile: str, entry: Mapping[str, Any]) -> str:
    """Where credentials come from: the profile, and its program or file, without arguments, which may be secret."""
    if entry.get("credential_process"):
        program = str(entry["credential_process"]).split()[:1]
        return f" of profile {profile}, from its credential_process {' '.join(program)}"
    file = os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE") or entry.get("web_identity_token_file")
    if file:
        return f", from the web identity token file {file}"
    return f" of profile {profile}" if entry else ""


def _said(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror + (f": {error.filename}" if error.filename else "")
    if isinstance(error, (json.JSONDecodeError, AttributeError, TypeError)):
        return "its output is not the JSON that AWS's documentation describes"
    return tidy(masked(str(error))).rstrip(".")


def _version() -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", botocore.__version__)[:3]))


class _Assumed:
    """Returns an assumed role's credentials to botocore. They renew themselves."""

    METHOD = CANONICAL_NAME = "assume-role"

    def __init__(self, fetch: Callable[[], Mapping[str, Any]]) -> None:
        self._fetch = fetch

    def load(self) -> Any:
        return botocore.credentials.RefreshableCredentials.create_from_metadata(self._fetch(), self._fetch, self.METHOD)


def _botocore_session(profile: str | None = None) -> Any:
    _forget_blank_variables()
    files.check(_CONFIGURATION)
    files.check_variables("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "BOTO_CONFIG")
    session = botocore.session.Session(
        event_hooks=copy.copy(_builtin_handlers()), include_builtin_handlers=False, profile=profile
    )
    # The default before boto3 1.40 is one address for all regions, which does not accept a token signed for a region.
    session.set_config_variable("sts_regional_endpoints", "regional")
    # By default, botocore asks the metadata service once, which does not always answer many tasks at a time.
    with contextlib.suppress(ValueError):  # of the user's own number, which is reported where it is used
        attempts = max(_METADATA_ATTEMPTS, session.get_config_variable("metadata_service_num_attempts"))
        session.set_config_variable("metadata_service_num_attempts", attempts)
    session.register_component("data_loader", _models(session.get_config_variable("data_path")))
    return session


_METADATA_ATTEMPTS = 3

_CONFIGURATION = {f"The AWS configuration file {name}": name for name in ("~/.aws/config", "~/.aws/credentials")}


class _Sender:
    """Sends the requests of a session's clients in place of botocore, whose own TLS contexts are not safe in threads
    (tls.Settled)."""

    def __init__(self, context: ssl.SSLContext) -> None:
        session = botocore.httpsession.URLLib3Session
        http = type("Http", (session,), {"_get_ssl_context": lambda _self: tls.Settled(context)})
        self._make = functools.partial(
            http,
            verify=context.verify_mode is not ssl.CERT_NONE,
            timeout=(CONNECT_TIMEOUT, TIMEOUT),
            max_pool_connections=AT_ONCE,
        )
        self._by_proxies: dict[tuple[Any, ...], Any] = {}
        self._lock = threading.Lock()

    def __call__(self, request: Any, **_event: Any) -> Any:
        """Handles botocore's event before-send."""
        by_scheme = botocore.utils.get_environ_proxies(request.url)
        key = tuple(by_scheme.items())
        with self._lock:
            if key not in self._by_proxies:
                self._by_proxies[key] = self._make(proxies=by_scheme)
        return self._by_proxies[key].send(request)


def _context(session: Any, options: Mapping[str, Any]) -> ssl.SSLContext:
    if not options.get("aws_validate_certs", True):
        # The user turned the check off; urllib3 would warn with each call.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        return tls.unchecked()
    given = options.get("aws_ca_bundle")
    bundles = {
        files.origin(given, "aws_ca_bundle", "AWS_CA_BUNDLE"): given,
        "ca_bundle of the AWS profile": session.get_config_variable("ca_bundle"),
        "The environment variable REQUESTS_CA_BUNDLE": os.environ.get("REQUESTS_CA_BUNDLE"),
    }
    for origin, bundle in bundles.items():
        if bundle:
            return tls.by_file(bundle, origin, "AWS")
    return tls.shared(_by_default)


def _by_default() -> ssl.SSLContext:
    """Trusts what botocore trusts."""
    bundle = botocore.httpsession.get_cert_path(True)
    return tls.by_file(bundle, "The certificate file of botocore", "AWS")


def _forget_blank_variables() -> None:
    """botocore takes blank variables literally: an empty AWS_CA_BUNDLE turns off the check of TLS certificates."""
    for name, value in list(os.environ.items()):
        if (name.startswith("AWS_") or name == "REQUESTS_CA_BUNDLE") and not value.strip():
            del os.environ[name]


@functools.cache
def _builtin_handlers() -> Any:
    """botocore's own event handlers, registered once for all sessions: a copy takes a fraction of the time."""
    handlers = botocore.hooks.HierarchicalEmitter()
    botocore.session.Session(event_hooks=handlers)
    return handlers


@functools.cache
def _models(search_path: str | None) -> Any:
    """The definitions of AWS's services and endpoints, read once for all sessions: this takes longer than the calls."""
    return botocore.loaders.create_loader(search_path)


def read_ahead() -> None:
    """Import the SDK, and read its definitions and the certificates that it trusts now, for all processes that fork
    from this one. An error shows at the first call."""
    if boto3.import_problem() or botocore.import_problem():
        return
    with contextlib.suppress(botocore.exceptions.BotoCoreError, Refused, ValueError):
        tls.shared(_by_default)
        session = _botocore_session()
        session.set_credentials("none", "none")
        for service in SERVICES:
            session.create_client(service, region_name="us-east-1")


_ELSEWHERE = "The same goes for AWS_URL, AWS_ENDPOINT_URL and endpoint_url in AWS's configuration file."


def _client(session: Any, service: str, options: Mapping[str, Any], **more: Any) -> Any:
    try:
        client = session.client(service, **{**more, **_client_arguments(options)})
    except botocore.exceptions.BotoCoreError:
        raise
    except ValueError as error:
        said = "An endpoint address of AWS is wrong" if "@" in str(error) else str(error)
        raise Refused(
            f"{said}. Set {named('endpoint_url')} to an address that starts with https://, or leave it out."
            f" {_ELSEWHERE}"
        ) from (None if "@" in str(error) else error)
    # The option itself was checked before; botocore has others, and some for single services.
    wrong = _addresses.problem("endpoint_url", client.meta.endpoint_url)
    if wrong:
        raise Refused(f"{wrong} {_ELSEWHERE}")
    return client


def _client_arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "region_name": options["region"],
        "endpoint_url": options.get("endpoint_url") or None,
        "config": botocore.config.Config(
            retries={"mode": "standard", "total_max_attempts": 8}, user_agent_extra="castai.onboarding"
        ),
    }


def reason_of(error: Exception) -> str:
    if _is_odd(error):
        return _ODD
    if isinstance(error, botocore.exceptions.ClientError):
        answer = error.response.get("Error")
        if not answer:
            return _ODD
        expired = " The credentials have expired. Renew them."
        unknown = f" AWS does not recognize the access key. Check {named('access_key')} or {named('profile')}."
        mismatch = f" {named('secret_key')} or this machine's clock is wrong. Check both."
        advice = {
            "ExpiredToken": expired,
            "ExpiredTokenException": expired,
            "InvalidClientTokenId": unknown,
            "UnrecognizedClientException": unknown,
            "SignatureDoesNotMatch": mismatch,
            "InvalidSignatureException": mismatch,
            **dict.fromkeys(THROTTLED, f" AWS limits how often this account may call. {FEWER}"),
        }.get(answer.get("Code", ""), "")
        if _DENIED_BY_RULES.search(str(answer.get("Message"))):
            advice = (
                f" If that policy demands a permissions boundary, a path or tags, set {named('permissions_boundary')},"
                f" {named('path')} or {named('tags')}."
            )
        if _QUOTA.search(str(answer.get("Code"))) and "Size" not in str(answer.get("Message")):
            advice = " Have the account's quota raised (AWS Service Quotas), or remove what is not needed."
        if "scoped to a valid region" in str(answer.get("Message")):
            advice = f" Check {named('region')}."
        said = tidy(f"{answer.get('Code')}: {answer.get('Message')}", LONGEST).rstrip(".")
        return f"{said}.{advice}"
    if isinstance(error, botocore.exceptions.ProxyConnectionError):
        # botocore shows the address, including the password if it does not know the scheme.
        return (
            "the proxy in HTTPS_PROXY does not answer or does not allow the connection. Set HTTPS_PROXY to an HTTP"
            " proxy that allows connections to AWS, with USER:PASSWORD@ before its name if it requires a login, or"
            " add the host to NO_PROXY."
        )
    advice = ""
    if isinstance(error, botocore.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        advice = (
            f" Set {named('aws_ca_bundle')} to a file with the CA certificates of whoever signed it, such as a proxy"
            " that terminates TLS."
        )
    if isinstance(error, botocore.exceptions.ProfileNotFound):
        advice = f" Check {named('profile')} or, if it is not set, the environment variable AWS_PROFILE."
    return f"{tidy(str(error)).rstrip('.')}.{advice}"
