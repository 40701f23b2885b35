# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS: the only importer of boto3. PRIVATE to the collection."""

from __future__ import annotations

import base64
import functools
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, TypeVar

from .._engine import CallFailed, Refused

try:
    import boto3
    import botocore.config
    import botocore.credentials
    import botocore.exceptions
    import botocore.session
    import botocore.signers

    MISSING = ""
except ImportError as error:
    MISSING = str(error)

F = TypeVar("F", bound=Callable[..., Any])

TOKEN_PREFIX = "k8s-aws-v1."
TOKEN_URL_SECONDS = 60
"""aws-iam-authenticator accepts a token for 15 minutes after its date, whatever the URL's own expiry of 60 s."""


@dataclass(frozen=True)
class EksCluster:
    """What DescribeCluster says. authentication_mode is CONFIG_MAP where the answer has none, as for old clusters."""

    name: str
    arn: str
    endpoint: str
    ca_pem: str
    status: str
    version: str
    authentication_mode: str
    ip_family: str
    vpc_id: str

    @property
    def account_id(self) -> str:
        return self.arn.split(":")[4]

    @property
    def region(self) -> str:
        return self.arn.split(":")[3]


def _call(purpose: str) -> Callable[[F], F]:
    """Word botocore's errors as a sentence. purpose may use the method's arguments by position: {0}."""

    def wrap(method: F) -> F:
        @functools.wraps(method)
        def run(self: Aws, *args: Any) -> Any:
            try:
                return method(self, *args)
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
                raise CallFailed(f"Could not {purpose.format(*args)} as AWS: {_reason(error)}") from error

        return run  # type: ignore[return-value]

    return wrap


class Aws:
    """One account and region with one set of credentials. Threads may share it."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        if MISSING:
            raise Refused(
                f"The Python packages boto3 and botocore are needed where this runs: {MISSING}. Install boto3."
            )
        if not options.get("region"):
            raise Refused(
                "region is not set: give the AWS region of the cluster, by the option region or by AWS_REGION."
            )
        bundle = options.get("aws_ca_bundle")
        if bundle and not Path(bundle).is_file():
            raise Refused(f"aws_ca_bundle {bundle!r} is no file: give one with the CA certificates of AWS's addresses.")
        self.region: str = options["region"]
        self._options = options
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._session = _session(options)

    def _client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._session.client(service, **_client_arguments(self._options))
            return self._clients[service]

    @_call("find out whose credentials these are (sts:GetCallerIdentity)")
    def caller_arn(self) -> str:
        return str(self._client("sts").get_caller_identity()["Arn"])

    @_call("read EKS cluster {0} (eks:DescribeCluster)")
    def describe_cluster(self, name: str) -> EksCluster | None:
        try:
            cluster = self._client("eks").describe_cluster(name=name)["cluster"]
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return None
            raise
        return EksCluster(
            name=name,
            arn=cluster["arn"],
            endpoint=cluster.get("endpoint") or "",
            ca_pem=base64.b64decode((cluster.get("certificateAuthority") or {}).get("data") or "").decode(),
            status=cluster.get("status") or "",
            version=cluster.get("version") or "",
            authentication_mode=(cluster.get("accessConfig") or {}).get("authenticationMode") or "CONFIG_MAP",
            ip_family=(cluster.get("kubernetesNetworkConfig") or {}).get("ipFamily") or "ipv4",
            vpc_id=(cluster.get("resourcesVpcConfig") or {}).get("vpcId") or "",
        )

    @_call("sign a Kubernetes token for EKS cluster {0}")
    def eks_token(self, name: str) -> str:
        """A bearer token for the cluster's API server: a presigned sts:GetCallerIdentity, signed here, no call made."""
        client = self._client("sts")
        signer = botocore.signers.RequestSigner(
            client.meta.service_model.service_id,
            self.region,
            "sts",
            "v4",
            self._session.get_credentials(),
            self._session.events,
        )
        url = signer.generate_presigned_url(
            {
                "method": "GET",
                "url": f"{client.meta.endpoint_url}/?Action=GetCallerIdentity&Version=2011-06-15",
                "body": {},
                "headers": {"x-k8s-aws-id": name},
                "context": {},
            },
            region_name=self.region,
            expires_in=TOKEN_URL_SECONDS,
            operation_name="",
        )
        return TOKEN_PREFIX + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def _session(options: Mapping[str, Any]) -> Any:
    """A boto3 session; with assume_role_arn, of that role, renewed by botocore when it ages."""
    try:
        session = boto3.session.Session(
            aws_access_key_id=options.get("access_key"),
            aws_secret_access_key=options.get("secret_key"),
            aws_session_token=options.get("session_token"),
            profile_name=options.get("profile"),
            region_name=options["region"],
        )
        if session.get_credentials() is None:
            raise Refused(
                "No AWS credentials were found: give access_key and secret_key, a profile, or the usual AWS_ variables."
            )
        if not options.get("assume_role_arn"):
            return session
        external_id = options.get("assume_role_external_id")
        fetcher = botocore.credentials.AssumeRoleCredentialFetcher(
            lambda service, **keywords: session.client(service, **{**keywords, **_client_arguments(options)}),
            session.get_credentials(),
            options["assume_role_arn"],
            extra_args={"RoleSessionName": "castai-onboarding", **({"ExternalId": external_id} if external_id else {})},
        )
        inner = botocore.session.get_session()
        # botocore has no public way to give a session credentials that renew themselves.
        inner._credentials = botocore.credentials.RefreshableCredentials.create_from_metadata(
            fetcher.fetch_credentials(), fetcher.fetch_credentials, "assume-role"
        )
        return boto3.session.Session(botocore_session=inner, region_name=options["region"])
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        what = (
            f"assume role {options['assume_role_arn']}" if options.get("assume_role_arn") else "use the AWS credentials"
        )
        raise CallFailed(f"Could not {what}: {_reason(error)}") from error


def _client_arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    verify: Any = options.get("aws_ca_bundle") or None
    return {
        "region_name": options["region"],
        "endpoint_url": options.get("endpoint_url") or None,
        "verify": verify if options.get("validate_certs", True) else False,
        "config": botocore.config.Config(
            retries={"mode": "standard", "total_max_attempts": 8},
            connect_timeout=10,
            read_timeout=60,
            user_agent_extra="castai.onboarding",
        ),
    }


def _reason(error: Exception) -> str:
    if isinstance(error, botocore.exceptions.ClientError):
        answer = error.response["Error"]
        advice = {
            "ExpiredToken": " The credentials have expired: renew them.",
            "ExpiredTokenException": " The credentials have expired: renew them.",
            "InvalidClientTokenId": " AWS does not know the access key: check access_key or the profile.",
            "UnrecognizedClientException": " AWS does not know the access key: check access_key or the profile.",
            "SignatureDoesNotMatch": " The secret key is wrong, or this machine's clock is.",
            "InvalidSignatureException": " The secret key is wrong, or this machine's clock is.",
        }.get(answer.get("Code", ""), "")
        return f"{answer.get('Code')}: {answer.get('Message')}.{advice}".replace("..", ".")
    return f"{error}."
