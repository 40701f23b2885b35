# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWS: moto in this process. Every request's signature and permissions are checked before moto gets it.

Accounts contain what a new customer has: an IAM user `operator` in the operator's account, and in every other account a
role `onboarding` that the operator's account may assume with an external id.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import os
import random
import re
import string
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs, urlsplit

import moto.core.responses as moto_responses
import moto.iam.models as moto_iam
import moto.sts.models as moto_sts
from flask import Flask
from moto.core.utils import get_service_model
from moto.ec2.models import ec2_backends
from moto.eks.models import eks_backends
from moto.iam.models import AccessKeyLastUsed, IAMBackend, PolicyVersion, Role
from moto.moto_api._internal import mock_random
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.test import run_wsgi_app

from ..kubernetes import kops
from ..spec import HOME_ACCOUNT, partition_of
from ..wire import Call, Cluster, Request, Response
from . import eks as aws_eks
from . import other_ways as script_world
from .accounts import Accounts, Caller
from .auth import matches, read_signature
from .permissions import authorize, named
from .rules import Asked, check
from .simulation import OPERATIONS as SIMULATIONS
from .simulation import simulate
from .state import account_state
from .visibility import Visibility
from .wire import (
    NOT_FOUND,
    SERVICES,
    AwsError,
    Operation,
    error_response,
    moto_environ,
    read_operation,
    refusal,
)

EXTERNAL_ID = "onboarding-external-id"
ADMINISTRATOR: Mapping[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}
READS = re.compile(r"(Get|List|Describe|Simulate|Generate|Decode|AssumeRole)")
# aws-iam-authenticator, pkg/token: the age up to which a token is taken, and the bound on X-Amz-Expires.
TOKEN_PREFIX, TOKEN_AGE, TOKEN_EXPIRES = "k8s-aws-v1.", 15 * 60, 900
CLOCK_SKEW = 15 * 60  # "Troubleshooting Signature Version 4", seconds either way
USE_SHOWN = timedelta(hours=1)  # how long after a use IAM shows it; ours, as AWS names no time
USE_STEP = timedelta(minutes=1)  # how exact the time of a use is


def _marked(length: int) -> str:
    """A secret of the local world. It contains the mark that tests search for."""
    return "CANARY" + "".join(random.choices(string.ascii_letters + string.digits, k=length - 6))


def _newest_first(list_versions: Callable[[IAMBackend, str], list[PolicyVersion]]) -> Any:
    """Sort ListPolicyVersions as AWS does: moto returns the oldest first."""
    return lambda backend, arn: list_versions(backend, arn)[::-1]


os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"  # half a second of every region
# Secrets of access keys and of sessions, and the sessions' tokens.
moto_iam.random_alphanumeric = _marked  # type: ignore[attr-defined]
moto_iam.IAMBackend.list_policy_versions = _newest_first(IAMBackend.list_policy_versions)  # type: ignore[method-assign]
moto_sts.random_session_token = lambda: _marked(356)  # type: ignore[attr-defined]
# moto looks at every method of a service's class at every request.
moto_responses.method_names_from_class = functools.cache(moto_responses.method_names_from_class)


class Aws:
    """The back end. Its accounts start with the operator's; more come with the clusters in them.

    moto has one set of accounts per process: a new one empties them. All of them are of the partition of the clusters'
    regions; CAST AI's own account is of the world too, and is AWS's.

    clock: the world's time in seconds since the epoch; sessions and bearer tokens age by it.
    """

    system = "aws"
    hosts = ("*.amazonaws.com", "*.amazonaws.com.cn", "*.api.aws")

    def __init__(self, home: str = HOME_ACCOUNT, clock: Callable[[], float] = time.time) -> None:
        self._lock = threading.RLock()  # moto is not made for threads
        self._clock = clock
        self._accounts = Accounts(home)
        self._visibility = Visibility(clock)
        self._clusters: list[Cluster] = []
        self._apps: dict[str, Flask] = {}
        self._sessions_end: dict[str, float] = {}
        self._uses: dict[str, list[tuple[Any, AccessKeyLastUsed]]] = {}  # by key's id: moto's key and the use
        self._tokens_signed: dict[str, float] = {}
        self._operator_key = ("", "")
        self._chance = random.getrandbits(64)
        self._regions: set[tuple[str, str]] = set()
        self._seed()

    # What the world is made of

    def _seed(self) -> None:
        self._accounts.empty()
        self._visibility.set()
        self._regions.clear()
        with self._same_ids(self._accounts.home):
            self._operator_key = self.add_user(self._accounts.home, "operator", ADMINISTRATOR, self._operator_key)
        for account in self._accounts.customers[1:]:
            self._add_onboarding_role(account)
        for cluster in self._clusters:
            self._make_cluster(cluster)

    @contextmanager
    def _same_ids(self, what: str) -> Iterator[None]:
        """In this block, ids are generated as they were last time, so a reset does not create new ones."""
        after = mock_random.getrandbits(64)
        mock_random.seed(f"{self._chance}/{what}")
        try:
            yield
        finally:
            mock_random.seed(after)

    def _add_onboarding_role(self, account: str) -> None:
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:{self._accounts.partition}:iam::{self._accounts.home}:root"},
                    "Action": "sts:AssumeRole",
                    "Condition": {"StringEquals": {"sts:ExternalId": EXTERNAL_ID}},
                }
            ],
        }
        with self._same_ids(account):
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
        """Raises ValueError for a cluster in another partition than the earlier ones."""
        partition = partition_of(cluster.region)
        with self._lock:
            if partition != self._accounts.partition:
                if self._clusters:
                    raise ValueError(f"cluster {cluster.name}: this world is in partition {self._accounts.partition}")
                self._accounts.partition = partition
                self._seed()
            if cluster.account not in self._accounts.customers:
                self._accounts.add(cluster.account)
                self._add_onboarding_role(cluster.account)
            self._clusters.append(cluster)
            self._make_cluster(cluster)

    def _make_cluster(self, cluster: Cluster) -> None:
        region = (cluster.account, cluster.region)
        if region not in self._regions:
            self._regions.add(region)
            with self._same_ids("/".join(region)):
                ec2_backends[cluster.account][cluster.region].reset()  # makes the default VPC
        with self._same_ids(cluster.name):
            self._fill_cluster(cluster)

    def _fill_cluster(self, cluster: Cluster) -> None:
        if cluster.provider == "kops":
            kops.add_instances(cluster)
            return
        ec2 = ec2_backends[cluster.account][cluster.region]
        vpc: Any = ec2.get_default_vpc()
        group = ec2.create_security_group(
            f"eks-cluster-sg-{cluster.name}-{mock_random.randrange(10**9)}",
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
        """Create a user with an inline policy and an access key, the given one if any: (access key id, secret)."""
        with self._lock:
            iam = self._accounts.iam(account)
            iam.create_user(iam.region_name, name)
            made = iam.create_access_key(name)
            if key[0]:
                del iam.access_keys[made.access_key_id]
                made.access_key_id, made.secret_access_key = key
                iam.access_keys[made.access_key_id] = made
            self.put_user_policy(account, name, policy)
            return made.access_key_id, made.secret_access_key

    def remove_user(self, account: str, name: str) -> None:
        """Delete a user and everything attached to it; no error if it does not exist."""
        with self._lock:
            iam = self._accounts.iam(account)
            user = iam.users.pop(name, None)
            if user:
                for key in user.access_keys:
                    del iam.access_keys[key.access_key_id]
                self._accounts.forget(user.arn, f"AIDA{user.id[4:]}")

    def copy_cluster(self, name: str, copies: Sequence[str]) -> None:
        """Add EKS clusters that differ from an existing one only in their names and share its control plane."""
        (cluster,) = (one for one in self._clusters if one.name == name)
        for copy in copies:
            self.add_cluster(replace(cluster, name=copy))

    def put_user_policy(self, account: str, name: str, policy: Mapping[str, Any] | None) -> None:
        """Replace the user's inline policy; None removes it."""
        with self._lock:
            policies = self._accounts.iam(account).get_user(name).policies
            policies.pop("permissions", None)
            if policy is not None:
                policies["permissions"] = json.dumps(policy)

    def put_role(
        self,
        account: str,
        name: str,
        trust: Mapping[str, Any],
        policy: Mapping[str, Any] | None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Create or replace a role with an inline policy, and return its ARN. tags: for a new role."""
        with self._lock:
            iam = self._accounts.iam(account)
            roles = [role for role in iam.get_roles() if role.name == name]
            marks = [{"Key": key, "Value": value} for key, value in (tags or {}).items()]
            role = roles[0] if roles else iam.create_role(name, "", "/", None, "", marks, "3600")
            role.assume_role_policy_document = json.dumps(trust)
            role.policies = {} if policy is None else {"permissions": json.dumps(policy)}
            return role.arn

    def put_user_boundary(self, account: str, name: str, policy: Mapping[str, Any] | None) -> None:
        """Set the user's permissions boundary, a managed policy `boundary-of-NAME`; None removes it."""
        with self._lock:
            iam = self._accounts.iam(account)
            user: Any = iam.get_user(name)
            user.permissions_boundary_arn = None
            iam.managed_policies.pop(f"arn:{self._accounts.partition}:iam::{account}:policy/boundary-of-{name}", None)
            if policy is not None:
                made = iam.create_policy("", "/", json.dumps(policy), f"boundary-of-{name}", [])
                user.permissions_boundary_arn = made.arn

    def put_control_policy(self, account: str, policy: Mapping[str, Any] | None) -> None:
        """Set the account's service control policy, the most that it may do; None removes it."""
        with self._lock:
            self._accounts.control_policies.pop(account, None)
            if policy is not None:
                self._accounts.control_policies[account] = policy

    def instance_session(self, account: str, role: str) -> tuple[str, str, str]:
        """What an instance that runs with the role gets: access key id, secret, session token.

        Raises ValueError where the role's trust policy does not let EC2 in, as EC2 then has none to give.
        """
        with self._lock:
            held = self._accounts.named(account, "role", role)
            if not isinstance(held, Role) or '"ec2.amazonaws.com' not in held.assume_role_policy_document:
                raise ValueError(f"account {account} has no role {role} that trusts EC2")
            sts = self._accounts.sts(account)
            made = sts.assume_role(sts.region_name, "i-0123456789abcdef0", held.arn, "", 3600, "")
            return made.access_key_id, made.secret_access_key, made.session_token

    def set_visibility(self, uses: int = 0, seconds: float = 0.0) -> None:
        """Hide new roles, users, policies, security groups and access entries from the first `uses` calls of each
        operation that name them, or for some virtual seconds. Neither: hide nothing."""
        with self._lock:
            self._visibility.set(uses, seconds)

    def leave_script_world(self, cluster: str, cluster_id: str, vintage: str, principal: str = "") -> dict[str, str]:
        """Create what another way of onboarding leaves behind (other_ways.leave). cluster: its name."""
        with self._lock:
            found = next((one for one in self._clusters if one.name == cluster), None)
            if found is None:
                raise ValueError(f"this world has no cluster {cluster}")
            return script_world.leave(self._accounts, found, cluster_id, vintage, principal)

    def set_cluster(self, account: str, region: str, name: str, **fields: Any) -> None:
        """Change how a cluster is described, for example status="CREATING" or endpoint=..."""
        with self._lock:
            vars(eks_backends[account][region].clusters[name]).update(fields)

    def control(self, verb: str, **args: Any) -> Any:
        verbs: Mapping[str, Callable[..., Any]] = {
            "add_user": self.add_user,
            "copy_cluster": self.copy_cluster,
            "put_user_policy": self.put_user_policy,
            "put_user_boundary": self.put_user_boundary,
            "put_control_policy": self.put_control_policy,
            "put_role": self.put_role,
            "instance_session": self.instance_session,
            "set_cluster": self.set_cluster,
            "visibility": self.set_visibility,
        }
        if verb not in verbs:
            raise ValueError(f"aws has no verb {verb}: {', '.join(verbs)}")
        return verbs[verb](**args)

    # Requests

    def classify(self, request: Request) -> Call:
        with self._lock:
            operation = read_operation(request)
            signature = read_signature(request)
            caller = self._accounts.caller(signature.access_key_id) if signature else None
        resource = next((name for _parameter, name in named(operation)), "")
        writes = READS.match(operation.name) is None
        return Call(self.system, operation.action, resource, writes, caller.arn if caller else "")

    def handle(self, request: Request) -> Response:
        with self._lock:
            operation = read_operation(request)
            try:
                caller = self._authenticate(request, operation)
                self._authorize(operation, caller)
                if operation.action in SIMULATIONS:
                    return simulate(self._accounts, operation, caller)
                then = check(Asked(self._accounts, self._visibility, operation, caller))
                response = self._to_moto(request, operation, caller)
            except AwsError as error:
                return refusal(operation, error)
            if response.status == 200:
                then()
                if operation.action == "sts:AssumeRole":
                    self._note_session(operation)
            return response

    def fail(self, request: Request, status: int, code: str, message: str) -> Response:
        operation = read_operation(request)
        if code == "NotFound":
            status, code = NOT_FOUND.get(operation.service, (404, code))
        return error_response(operation, status, code, message)

    def _authenticate(self, request: Request, operation: Operation) -> Caller:
        signature = read_signature(request)
        if signature is None:
            raise AwsError("unsigned", "Request is missing Authentication Token")
        if signature.service != operation.service:
            raise AwsError("wrong signature", f"Credential should be scoped to correct service: '{operation.service}'.")
        if signature.region != operation.region:
            raise AwsError(
                "wrong signature", f"Credential should be scoped to a valid region, not '{signature.region}'."
            )
        try:
            age = time.time() - signature.signed_at
        except ValueError:
            raise AwsError("wrong signature", f"Date in the request is invalid: {signature.timestamp}") from None
        if age > (CLOCK_SKEW if signature.lifetime is None else signature.lifetime) or age < -CLOCK_SKEW:
            raise AwsError("wrong signature", f"Signature expired or not yet current: {signature.timestamp}")
        caller = self._accounts.caller(signature.access_key_id)
        if (
            caller is None
            or caller.session_token != signature.session_token
            or caller.partition != operation.partition
            or self._visibility.hides(signature.access_key_id, operation.action)
        ):
            raise AwsError("unknown key", "The security token included in the request is invalid.")
        if not matches(request, signature, caller.key.secret_access_key):
            raise AwsError(
                "wrong signature",
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
                "Access Key and signing method. Consult the service documentation for details.",
            )
        if self._clock() > self._sessions_end.get(signature.access_key_id, float("inf")):
            raise AwsError("expired", "The security token included in the request is expired")
        self._note_use(operation, caller, signature.access_key_id)
        return caller

    def _note_use(self, operation: Operation, caller: Caller, key_id: str) -> None:
        used = datetime.fromtimestamp(self._clock(), timezone.utc).replace(tzinfo=None)
        uses = self._uses.setdefault(key_id, [])
        if not uses or uses[-1][1].timestamp + USE_STEP <= used:
            uses.append((caller.key, AccessKeyLastUsed(used, operation.service, operation.region)))
        if operation.name == "GetAccessKeyLastUsed":
            self._show_uses(operation.text("AccessKeyId"), used - USE_SHOWN)

    def _show_uses(self, key_id: str, until: datetime) -> None:
        """Show the last use of a key only after IAM's usual delay; moto shows it at once."""
        uses = self._uses.get(key_id, ())
        shown = [use for _key, use in uses if use.timestamp <= until]
        for key, _use in uses:
            key.last_used = shown[-1] if shown else None

    def _authorize(self, operation: Operation, caller: Caller) -> None:
        if operation.service not in SERVICES:
            raise AwsError("unknown operation", f"This world has no service {operation.service}")
        if operation.name not in get_service_model(operation.service).operation_names:
            raise AwsError("unknown operation", f"Could not find operation {operation.name}")
        authorize(self._accounts, operation, caller)
        role = operation.text("RoleArn")
        if operation.action == "sts:AssumeRole" and self._visibility.hides(role, operation.name):
            sentence = f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: {role}"
            raise AwsError("denied", sentence)

    def _to_moto(self, request: Request, operation: Operation, caller: Caller) -> Response:
        service: Any = operation.service
        if service not in self._apps:
            self._apps[service] = create_backend_app(service)
        try:
            environ = moto_environ(request, operation, caller.account)
            chunks, status, headers = run_wsgi_app(self._apps[service], environ)
            body = b"".join(chunks)
        except Exception as error:  # moto's debug mode lets its own errors through; AWS would answer 500
            raise AwsError("internal", f"{type(error).__name__}: {error}") from error
        kept = tuple((name, value) for name, value in headers if name.lower() not in ("content-length", "connection"))
        return Response(int(status.split()[0]), kept, body)

    def _note_session(self, operation: Operation) -> None:
        """End sessions by the world's clock; moto's never end."""
        account = operation.parameters["RoleArn"].split(":")[4]
        session = self._accounts.sts(account).assumed_roles[-1]
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
            caller = self._accounts.caller(signature.access_key_id)
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
            return caller.entity.arn if matches(request, signature, caller.key.secret_access_key) else None

    def kubernetes_user(
        self, cluster: Cluster, arn: str, aws_auth: Mapping[str, Any] | None
    ) -> aws_eks.KubernetesUser | None:
        """The user name and groups of an ARN inside the cluster, None for nobody. aws_auth: the ConfigMap's data."""
        with self._lock:
            found = aws_eks.find_cluster(cluster)
            return aws_eks.kubernetes_user(found, arn, aws_auth) if found else None

    # The whole

    def state(self) -> Any:
        with self._lock:
            return {
                account: account_state(self._accounts.iam(account), account, self._clusters)
                for account in sorted(self._accounts.customers)
            }

    def reset(self) -> None:
        with self._lock:
            self._sessions_end.clear()
            self._uses.clear()
            self._tokens_signed.clear()
            self._seed()


def _token_request(token: str, cluster_name: str) -> Request | None:
    """The presigned GetCallerIdentity request in a bearer token for this cluster, or None if the token is something
    else."""
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
