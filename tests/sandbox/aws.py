# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWS: moto in process, with every request's signature and permissions checked before it reaches moto.

Accounts hold what a new customer's would: an IAM user `operator` in the operator's account, and in every other account
a role `onboarding` that the operator's account may assume with an external id.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import os
import random
import re
import string
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

import moto.iam.models as moto_iam
import moto.sts.models as moto_sts
from flask import Flask
from moto.core.request import Request as MotoRequest
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model
from moto.ec2.models import ec2_backends
from moto.eks.models import eks_backends
from moto.iam.models import ManagedPolicy, Role, User, iam_backends
from moto.moto_server.werkzeug_app import create_backend_app
from moto.sts.models import sts_backends
from werkzeug.exceptions import NotFound
from werkzeug.test import run_wsgi_app

from . import aws_eks
from .aws_auth import Access, allowed, matches, read_signature, trusted
from .aws_state import account_state
from .spec import HOME_ACCOUNT
from .wire import Call, Cluster, Request, Response

PARTITION = "aws"  # the world has no account in another; its keys are unknown there, as AWS's are
EXTERNAL_ID = "onboarding-external-id"
ADMINISTRATOR: Mapping[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}
SERVICES = ("ec2", "eks", "iam", "sts")
READS = re.compile(r"(Get|List|Describe|Simulate|Generate|Decode|AssumeRole)")
NEEDS_NO_PERMISSION = ("sts:GetCallerIdentity", "sts:GetSessionToken")  # AWS STS API Reference
# aws-iam-authenticator, pkg/token: the age up to which a token is taken, and the bound on X-Amz-Expires.
TOKEN_PREFIX, TOKEN_AGE, TOKEN_EXPIRES = "k8s-aws-v1.", 15 * 60, 900
CLOCK_SKEW = 15 * 60  # "Troubleshooting Signature Version 4", seconds either way


def _marked(length: int) -> str:
    """A secret of the local world: tests search everything for the mark."""
    return "CANARY" + "".join(random.choices(string.ascii_letters + string.digits, k=length - 6))


os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"  # half a second of every region
# Secrets of access keys and of sessions, and the sessions' tokens.
moto_iam.random_alphanumeric = _marked  # type: ignore[attr-defined]
moto_sts.random_session_token = lambda: _marked(356)  # type: ignore[attr-defined]


class AwsError(Exception):
    """A refusal in AWS's words. `kind` picks the code that the service's protocol has for it."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


# kind -> protocol -> (HTTP status, code): "Common Errors" of each service's API reference.
CODES: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "unsigned": {
        "query": (403, "MissingAuthenticationToken"),
        "ec2": (401, "AuthFailure"),
        "rest-json": (403, "MissingAuthenticationTokenException"),
    },
    "unknown key": {
        "query": (403, "InvalidClientTokenId"),
        "ec2": (401, "AuthFailure"),
        "rest-json": (403, "UnrecognizedClientException"),
    },
    "wrong signature": {
        "query": (403, "SignatureDoesNotMatch"),
        "ec2": (401, "AuthFailure"),
        "rest-json": (403, "InvalidSignatureException"),
    },
    "expired": {
        "query": (403, "ExpiredToken"),
        "ec2": (400, "RequestExpired"),
        "rest-json": (403, "ExpiredTokenException"),
    },
    "denied": {
        "query": (403, "AccessDenied"),
        "ec2": (403, "UnauthorizedOperation"),
        "rest-json": (403, "AccessDeniedException"),
    },
    "unknown operation": {
        "query": (400, "InvalidAction"),
        "ec2": (400, "InvalidAction"),
        "rest-json": (404, "UnknownOperationException"),
    },
    "internal": {
        "query": (500, "InternalFailure"),
        "ec2": (500, "InternalError"),
        "rest-json": (500, "ServerException"),
    },
}
# EC2's own texts for these codes ("Error codes for the Amazon EC2 API").
EC2_TEXTS = {
    "AuthFailure": "AWS was not able to validate the provided access credentials",
    "RequestExpired": "Request has expired.",
}
NOT_FOUND: Mapping[str, tuple[int, str]] = {
    "iam": (404, "NoSuchEntity"),
    "eks": (404, "ResourceNotFoundException"),
    "ec2": (400, "InvalidGroup.NotFound"),
    "sts": (404, "NoSuchEntity"),
}


@dataclass(frozen=True)
class Operation:
    """What a request asks for. Parameters are those of its query, form, path or JSON body; `name` may be unknown."""

    service: str
    name: str
    protocol: str
    region: str
    parameters: Mapping[str, Any]

    @property
    def action(self) -> str:
        return f"{self.service}:{self.name}"


@dataclass(frozen=True)
class Caller:
    """Whoever owns an access key. `entity` is moto's user or role; `arn` is how STS names the caller."""

    account: str
    arn: str
    entity: User | Role
    secret: str
    session_token: str | None


class Aws:
    """The back end. Its accounts start with the operator's; more come with the clusters in them.

    moto has one set of accounts per process: a new one empties them.

    clock: the world's time in seconds since the epoch; sessions and bearer tokens age by it.
    """

    system = "aws"
    hosts = ("*.amazonaws.com", "*.amazonaws.com.cn", "*.api.aws")

    def __init__(self, *accounts: str, clock: Callable[[], float] = time.time) -> None:
        self._lock = threading.RLock()  # moto is not made for threads
        self._clock = clock
        self._accounts = accounts or (HOME_ACCOUNT,)
        self._clusters: list[Cluster] = []
        self._apps: dict[str, Flask] = {}
        self._sessions_end: dict[str, float] = {}
        self._tokens_signed: dict[str, float] = {}
        self._operator_key = ("", "")
        self._seed()

    # What the world is made of

    def _seed(self) -> None:
        for backends in (ec2_backends, eks_backends, iam_backends, sts_backends):
            backends.reset()
        self._operator_key = self.add_user(self._accounts[0], "operator", ADMINISTRATOR, self._operator_key)
        for account in self._accounts[1:]:
            self._add_onboarding_role(account)

    def _add_onboarding_role(self, account: str) -> None:
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:{PARTITION}:iam::{self._accounts[0]}:root"},
                    "Action": "sts:AssumeRole",
                    "Condition": {"StringEquals": {"sts:ExternalId": EXTERNAL_ID}},
                }
            ],
        }
        self.put_role(account, "onboarding", trust, ADMINISTRATOR)

    def env(self) -> dict[str, str]:
        """The operator's credentials, as a user would export them."""
        key_id, secret = self._operator_key
        return {
            "AWS_ACCESS_KEY_ID": key_id,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": self._clusters[0].region if self._clusters else "eu-central-1",
        }

    def add_cluster(self, cluster: Cluster) -> None:
        with self._lock:
            if cluster.account not in self._accounts:
                self._accounts += (cluster.account,)
                self._add_onboarding_role(cluster.account)
            self._clusters.append(cluster)
            self._make_cluster(cluster)

    def _make_cluster(self, cluster: Cluster) -> None:
        ec2 = ec2_backends[cluster.account][cluster.region]
        vpc: Any = ec2.get_default_vpc()
        group = ec2.create_security_group(
            f"eks-cluster-sg-{cluster.name}-{random.randrange(10**9)}",
            "EKS created security group applied to ENI that is attached to EKS Control Plane master nodes, "
            "as well as any managed workloads.",
            vpc_id=vpc.id,
            tags={f"kubernetes.io/cluster/{cluster.name}": "owned", "aws:eks:cluster-name": cluster.name},
        )
        aws_eks.add_cluster(
            cluster,
            {
                "vpcId": vpc.id,
                "subnetIds": sorted(subnet.id for subnet in ec2.describe_subnets(filters={"vpc-id": [vpc.id]})),
                "securityGroupIds": [],
                "clusterSecurityGroupId": group.id,
                "endpointPublicAccess": True,
                "endpointPrivateAccess": False,
                "publicAccessCidrs": ["0.0.0.0/0"],
            },
        )

    # What tests ask for behind the operator's back

    def add_user(
        self, account: str, name: str, policy: Mapping[str, Any] | None, key: tuple[str, str] = ("", "")
    ) -> tuple[str, str]:
        """A user with an inline policy and an access key, the given one if any: (access key id, secret)."""
        with self._lock:
            iam = iam_backends[account][PARTITION]
            iam.create_user("us-east-1", name)
            made = iam.create_access_key(name)
            if key[0]:
                del iam.access_keys[made.access_key_id]
                made.access_key_id, made.secret_access_key = key
                iam.access_keys[made.access_key_id] = made
            self.put_user_policy(account, name, policy)
            return made.access_key_id, made.secret_access_key

    def put_user_policy(self, account: str, name: str, policy: Mapping[str, Any] | None) -> None:
        """Replace the user's inline policy; None takes it away."""
        with self._lock:
            policies = iam_backends[account][PARTITION].get_user(name).policies
            policies.pop("permissions", None)
            if policy is not None:
                policies["permissions"] = json.dumps(policy)

    def put_role(self, account: str, name: str, trust: Mapping[str, Any], policy: Mapping[str, Any] | None) -> str:
        """Create or replace a role with an inline policy, and return its ARN."""
        with self._lock:
            iam = iam_backends[account][PARTITION]
            roles = [role for role in iam.get_roles() if role.name == name]
            role = roles[0] if roles else iam.create_role(name, "", "/", None, "", [], "3600")
            role.assume_role_policy_document = json.dumps(trust)
            role.policies = {} if policy is None else {"permissions": json.dumps(policy)}
            return role.arn

    def set_cluster(self, account: str, region: str, name: str, **fields: Any) -> None:
        """Give a cluster other answers, for example status="CREATING" or endpoint=..."""
        with self._lock:
            vars(eks_backends[account][region].clusters[name]).update(fields)

    def control(self, verb: str, **args: Any) -> Any:
        verbs: Mapping[str, Callable[..., Any]] = {
            "add_user": self.add_user,
            "put_user_policy": self.put_user_policy,
            "put_role": self.put_role,
            "set_cluster": self.set_cluster,
        }
        if verb not in verbs:
            raise ValueError(f"aws has no verb {verb}: {', '.join(verbs)}")
        return verbs[verb](**args)

    # Requests

    def classify(self, request: Request) -> Call:
        with self._lock:
            operation = _operation(request)
            signature = read_signature(request)
            caller = self._caller(signature.access_key_id) if signature else None
        resource = next((str(value) for _name, value in _named(operation)), "")
        writes = READS.match(operation.name) is None
        return Call(self.system, operation.action, resource, writes, caller.arn if caller else "")

    def handle(self, request: Request) -> Response:
        with self._lock:
            operation = _operation(request)
            try:
                caller = self._authenticate(request, operation)
                self._authorise(operation, caller)
                response = self._to_moto(request, operation, caller)
            except AwsError as error:
                status, code = CODES[error.kind][operation.protocol]
                return _error(operation, status, code, EC2_TEXTS.get(code, str(error)))
            if operation.action == "sts:AssumeRole" and response.status == 200:
                self._note_session(operation)
            return response

    def fail(self, request: Request, status: int, code: str, message: str) -> Response:
        operation = _operation(request)
        if code == "NotFound":
            status, code = NOT_FOUND.get(operation.service, (404, code))
        return _error(operation, status, code, message)

    def _authenticate(self, request: Request, operation: Operation) -> Caller:
        signature = read_signature(request)
        if signature is None:
            raise AwsError("unsigned", "Request is missing Authentication Token")
        if signature.service != operation.service:
            raise AwsError("wrong signature", f"Credential should be scoped to correct service: '{operation.service}'.")
        try:
            age = time.time() - signature.signed_at
        except ValueError:
            raise AwsError("wrong signature", f"Date in the request is invalid: {signature.timestamp}") from None
        if age > (CLOCK_SKEW if signature.lifetime is None else signature.lifetime) or age < -CLOCK_SKEW:
            raise AwsError("wrong signature", f"Signature expired or not yet current: {signature.timestamp}")
        caller = self._caller(signature.access_key_id)
        if caller is None or caller.session_token != signature.session_token:
            raise AwsError("unknown key", "The security token included in the request is invalid.")
        if not matches(request, signature, caller.secret):
            raise AwsError(
                "wrong signature",
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
                "Access Key and signing method. Consult the service documentation for details.",
            )
        if self._clock() > self._sessions_end.get(signature.access_key_id, float("inf")):
            raise AwsError("expired", "The security token included in the request is expired")
        return caller

    def _caller(self, access_key_id: str) -> Caller | None:
        """The owner of a usable access key: not deleted, not inactive, its user or role still there."""
        for account in self._accounts:
            iam = iam_backends[account][PARTITION]
            key = iam.access_keys.get(access_key_id)
            if key is None:
                continue
            if key.user_name is not None:
                user = iam.users.get(key.user_name) if key.status == "Active" else None
                return Caller(account, user.arn, user, key.secret_access_key, None) if user else None
            sessions = sts_backends[account][PARTITION].assumed_roles
            session = next(one for one in sessions if one.access_key_id == access_key_id)
            role = self._role(account, session.role_arn)
            return Caller(account, session.arn, role, key.secret_access_key, session.session_token) if role else None
        return None

    def _authorise(self, operation: Operation, caller: Caller) -> None:
        if operation.service not in SERVICES:
            raise AwsError("unknown operation", f"This world has no service {operation.service}")
        if operation.name not in get_service_model(operation.service).operation_names:
            raise AwsError("unknown operation", f"Could not find operation {operation.name}")
        if operation.action in NEEDS_NO_PERMISSION:
            return
        access = Access(operation.action, _resource(operation, caller), _context(operation, caller))
        verdict = allowed(_policies(caller), access)
        boundary = getattr(caller.entity, "permissions_boundary_arn", None)
        if verdict and boundary:
            policy = iam_backends[caller.account][PARTITION].get_policy(boundary)
            verdict = allowed([_default_document(policy)], access)
        if operation.action == "sts:AssumeRole":
            verdict = self._may_assume(caller, access, verdict)
        if not verdict:
            raise AwsError("denied", _denial(operation, caller, access, verdict))

    def _may_assume(self, caller: Caller, access: Access, verdict: bool | None) -> bool | None:
        """The role's trust must name the caller; so must the caller's own policies, unless both are in one account.

        IAM User Guide, "Policy evaluation logic" and its cross-account part. moto asks no trust policy.
        verdict: of the caller's own policies.
        """
        account = access.resource.split(":")[4] if access.resource.count(":") >= 5 else ""
        role = self._role(account, access.resource) if account in self._accounts else None
        if role is None or verdict is False:
            return verdict if verdict is False else None
        whole_account = {f"arn:{PARTITION}:iam::{caller.account}:root", caller.account}
        by = trusted(
            json.loads(role.assume_role_policy_document), {caller.entity.arn, caller.arn, *whole_account}, access
        )
        return bool(by and verdict) or bool(by - whole_account and account == caller.account) or None

    @staticmethod
    def _role(account: str, arn: str) -> Role | None:
        return next((role for role in iam_backends[account][PARTITION].get_roles() if role.arn == arn), None)

    def _to_moto(self, request: Request, operation: Operation, caller: Caller) -> Response:
        service: Any = operation.service
        if service not in self._apps:
            self._apps[service] = create_backend_app(service)
        try:
            chunks, status, headers = run_wsgi_app(self._apps[service], _environ(request, operation, caller))
            body = b"".join(chunks)
        except Exception as error:  # moto's debug mode lets its own errors through; AWS would answer 500
            raise AwsError("internal", f"{type(error).__name__}: {error}") from error
        kept = tuple((name, value) for name, value in headers if name.lower() not in ("content-length", "connection"))
        return Response(int(status.split()[0]), kept, body)

    def _note_session(self, operation: Operation) -> None:
        """moto's sessions never end; these do, by the world's clock."""
        account = operation.parameters["RoleArn"].split(":")[4]
        session = sts_backends[account][PARTITION].assumed_roles[-1]
        lifetime = int(operation.parameters.get("DurationSeconds", 3600))
        self._sessions_end[session.access_key_id] = self._clock() + lifetime

    # Tokens of the Kubernetes API

    def identify(self, token: str, cluster_name: str, now: float) -> str | None:
        """The ARN (of the role, not its session) that signed an EKS bearer token for this cluster; None: not valid.

        The rules are aws-iam-authenticator's (pkg/token, Verify). A token ages by the world's clock from when it was
        first seen, so that a clock put forward ages tokens in use and not those signed afterwards; one of this very
        second is new, since a client that signs again within a second makes the same token.
        """
        request = _token_request(token, cluster_name)
        signature = request and read_signature(request)
        if not request or not signature or "x-k8s-aws-id" not in signature.headers or signature.service != "sts":
            return None
        with self._lock:
            caller = self._caller(signature.access_key_id)
            if caller is None or caller.session_token != signature.session_token:
                return None
            try:
                real_age = time.time() - signature.signed_at
            except ValueError:
                return None
            signed = self._tokens_signed.setdefault(signature.signature, now - real_age)
            age = real_age if real_age < 1 else now - signed
            if not -CLOCK_SKEW <= age <= TOKEN_AGE or not 0 <= (signature.lifetime or 0) <= TOKEN_EXPIRES:
                return None
            if now > self._sessions_end.get(signature.access_key_id, float("inf")):
                return None
            return caller.entity.arn if matches(request, signature, caller.secret) else None

    def kubernetes_user(
        self, cluster: Cluster, arn: str, aws_auth: Mapping[str, Any] | None
    ) -> aws_eks.KubernetesUser | None:
        """Who an ARN is inside the cluster (user name, groups); None: nobody. aws_auth: the ConfigMap's data."""
        with self._lock:
            found = aws_eks.find_cluster(cluster)
            return aws_eks.kubernetes_user(found, arn, aws_auth) if found else None

    # The whole

    def state(self) -> Any:
        with self._lock:
            return {account: account_state(account, self._clusters) for account in sorted(self._accounts)}

    def reset(self) -> None:
        with self._lock:
            self._sessions_end.clear()
            self._tokens_signed.clear()
            self._seed()
            for cluster in self._clusters:
                self._make_cluster(cluster)


def _operation(request: Request) -> Operation:
    """Service and region from the host, as AWS has them; the operation as the service's protocol carries it."""
    labels = request.host.split(":")[0].split(".")
    service, region = labels[0].removesuffix("-fips"), labels[1]
    region = region if re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", region) else "us-east-1"
    if service not in SERVICES:
        return Operation(service, request.method, "rest-json", region, {})
    protocol = get_service_model(service).metadata["protocol"]
    if protocol != "rest-json":
        parameters = dict(parse_qsl(request.query) + parse_qsl(request.body.decode("utf-8", "replace")))
        return Operation(service, parameters.get("Action", ""), protocol, region, parameters)
    url = f"https://{request.host}{request.path}?{request.query}"
    try:
        model, found = get_service_router(service).match(MotoRequest.from_primitives(request.method, url, {}))
    except NotFound:
        return Operation(service, f"{request.method} {request.path}", protocol, region, {})
    try:
        body = json.loads(request.body or b"{}")
    except ValueError:
        body = {}
    return Operation(service, model.name, protocol, region, {**body, **found})


# The parameter that names what an operation is about, and its kind in an ARN. The first one given counts.
RESOURCES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "iam": (
        ("InstanceProfileName", "instance-profile"),
        ("RoleName", "role"),
        ("UserName", "user"),
        ("PolicyName", "policy"),
        ("PolicyArn", ""),
    ),
    "sts": (("RoleArn", ""),),
    "eks": (("name", "cluster"),),
    "ec2": (("GroupId", "security-group"), ("GroupName", "security-group")),
}


def _named(operation: Operation) -> Iterator[tuple[str, Any]]:
    for parameter, kind in RESOURCES.get(operation.service, ()):
        if operation.parameters.get(parameter):
            yield kind, operation.parameters[parameter]


def _resource(operation: Operation, caller: Caller) -> str:
    """The ARN that policies are matched against, `*` when the operation has none (Service Authorization Reference)."""
    kind, name = next(_named(operation), ("", "*"))
    if not kind:
        return name
    region = "" if operation.service == "iam" else operation.region
    path = operation.parameters.get("Path", "/") if operation.service == "iam" else "/"
    if kind in ("role", "user"):
        iam = iam_backends[caller.account][PARTITION]
        owner = iam.users.get(name) if kind == "user" else next((r for r in iam.get_roles() if r.name == name), None)
        path = owner.path if owner else path
    return f"arn:{PARTITION}:{operation.service}:{region}:{caller.account}:{kind}{path}{name}"


def _context(operation: Operation, caller: Caller) -> dict[str, tuple[str, ...]]:
    """The condition keys that this world knows, in lower case."""
    context: dict[str, tuple[str, ...]] = {
        "aws:principalarn": (caller.entity.arn,),
        "aws:principalaccount": (caller.account,),
        "aws:principaltype": ("AssumedRole" if caller.session_token else "User",),
        "aws:requestedregion": (operation.region,),
        "aws:securetransport": ("true",),
    }
    if not caller.session_token:
        context["aws:username"] = (caller.entity.name,)
    for key, parameter in (
        ("sts:externalid", "ExternalId"),
        ("sts:rolesessionname", "RoleSessionName"),
        ("iam:policyarn", "PolicyArn"),
        ("iam:permissionsboundary", "PermissionsBoundary"),
        ("eks:principalarn", "principalArn"),
        ("eks:policyarn", "policyArn"),
    ):
        if operation.parameters.get(parameter):
            context[key] = (operation.parameters[parameter],)
    tags = _tags(operation)
    if tags:
        context["aws:tagkeys"] = tuple(tags)
        context.update({f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()})
    return context


def _tags(operation: Operation) -> dict[str, str]:
    given = operation.parameters
    if isinstance(given.get("tags"), dict):
        return dict(given["tags"])
    keys = [name for name in given if re.search(r"Tags?\.(member\.)?\d+\.Key$", name)]
    return {given[key]: given.get(key.removesuffix("Key") + "Value", "") for key in keys}


def _policies(caller: Caller) -> list[Any]:
    owners: list[Any] = [caller.entity]
    if isinstance(caller.entity, User):
        owners += iam_backends[caller.account][PARTITION].get_groups_for_user(caller.entity.name)
    inline = [json.loads(text) for owner in owners for text in owner.policies.values()]
    return inline + [_default_document(policy) for owner in owners for policy in owner.managed_policies.values()]


def _default_document(policy: ManagedPolicy) -> Any:
    return next(
        json.loads(version.document) for version in policy.versions if version.version_id == policy.default_version_id
    )


def _denial(operation: Operation, caller: Caller, access: Access, verdict: bool | None) -> str:
    """IAM User Guide, "Troubleshoot access denied error messages"; EC2 puts a sentence of its own before it."""
    sentence = f"User: {caller.arn} is not authorized to perform: {access.action} on resource: {access.resource}"
    if verdict is False:
        sentence += " with an explicit deny in an identity-based policy"
    elif operation.action != "sts:AssumeRole":
        sentence += f" because no identity-based policy allows the {access.action} action"
    return f"You are not authorized to perform this operation. {sentence}" if operation.protocol == "ec2" else sentence


def _error(operation: Operation, status: int, code: str, message: str) -> Response:
    """An error as the service's protocol writes it."""
    identity = str(uuid.uuid4())
    if operation.protocol == "rest-json":
        headers = (("Content-Type", "application/json"), ("x-amzn-ErrorType", code), ("x-amzn-RequestId", identity))
        return Response(status, headers, json.dumps({"message": message}).encode())
    inner = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if operation.protocol == "ec2":
        body = f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>{identity}</RequestID></Response>"
    else:
        inner = f"<Type>{'Sender' if status < 500 else 'Receiver'}</Type>{inner}"
        body = f"<ErrorResponse><Error>{inner}</Error><RequestId>{identity}</RequestId></ErrorResponse>"
    return Response(status, (("Content-Type", "text/xml"), ("x-amzn-RequestId", identity)), body.encode())


def _environ(request: Request, operation: Operation, caller: Caller) -> dict[str, Any]:
    """The request as WSGI, told to moto as the caller's account. A presigned one gets the header that moto looks at."""
    signature = read_signature(request)
    assert signature is not None
    headers = {
        **request.headers,
        "host": request.host,
        "x-moto-account-id": caller.account,
        "authorization": f"AWS4-HMAC-SHA256 Credential={signature.access_key_id}/{signature.timestamp[:8]}"
        f"/{signature.region}/{operation.service}/aws4_request, SignedHeaders=host, Signature=checked",
    }
    target = request.path + (f"?{request.query}" if request.query else "")
    return {
        "REQUEST_METHOD": request.method,
        "PATH_INFO": unquote(request.path, "latin-1"),
        "QUERY_STRING": request.query,
        "REQUEST_URI": target,
        "RAW_URI": target,
        "SERVER_NAME": request.host,
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(request.body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
    }


def _token_request(token: str, cluster_name: str) -> Request | None:
    """The presigned GetCallerIdentity request inside a bearer token, sent for this cluster; None: it is not one."""
    if not token.startswith(TOKEN_PREFIX):
        return None
    text = token[len(TOKEN_PREFIX) :]
    try:
        url = urlsplit(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii"))
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    query = parse_qs(url.query, keep_blank_values=True)
    ours = re.fullmatch(r"sts(-fips)?(\.[a-z0-9-]+)?\.(amazonaws\.com(\.cn)?|api\.aws)", url.netloc)
    if url.scheme != "https" or not ours or url.path not in ("", "/") or any(len(many) > 1 for many in query.values()):
        return None
    if query.get("Action") != ["GetCallerIdentity"]:
        return None
    headers = {"host": url.netloc, "x-k8s-aws-id": cluster_name}
    return Request("GET", url.netloc, url.path, url.query, headers, b"")
