# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS: the only importer of boto3. PRIVATE to the collection."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import os
import re
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from .. import _addresses
from .._answers import tidy
from .._credentials import masked
from .._engine import CallFailed, Conflict, Refused, until
from .._names import TAG_CLUSTER, TAG_CLUSTER_ID
from .._patience import FEWER
from .._variables import named

try:
    import boto3
    import botocore.config
    import botocore.credentials
    import botocore.exceptions
    import botocore.loaders
    import botocore.session
    import botocore.signers
    import urllib3

    MISSING = ""
except ImportError as error:
    MISSING = str(error)

LONGEST = 4000
"""Characters of AWS's words that a sentence shows: EC2's encoded ones are only of use as a whole."""

F = TypeVar("F", bound=Callable[..., Any])

OLDEST = (1, 34, 3)
"""The first boto3, and botocore, that knows EKS's accessConfig; older ones drop it from what EKS answers."""

NO_REGION = (
    f"{named('region')} is not set. Set it to the AWS region of the cluster, set AWS_REGION, or give the AWS profile a"
    " region."
)

SERVICES = ("ec2", "eks", "iam", "sts")

NOT_FOUND = frozenset({"NoSuchEntity", "ResourceNotFoundException", "InvalidGroup.NotFound"})
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
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
"""Codes of a call that botocore has repeated in vain, with growing pauses: AWS does not say how long to wait."""
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
"""Codes, and a word of their message, of a write that names an object made moments ago, which AWS does not show yet.

Sources: IAM User Guide, "Changes that I make are not always immediately visible"; EC2 API Reference, "Eventual
consistency".
"""

VISIBLE_SECONDS = 60.0
"""How long to wait for that."""

KEY_TYPES = {"aws:SecureTransport": "boolean"}
"""Types of condition keys that are no strings."""

EXTERNAL_ID = "sts:ExternalId"

TOKEN_PREFIX = "k8s-aws-v1."
TOKEN_URL_SECONDS = 60
"""aws-iam-authenticator accepts a token for 15 minutes after its date, whatever the URL's own expiry of 60 s."""


class Tagged:
    """What says by its tags of which cluster it is."""

    tags: Mapping[str, str]

    @property
    def cluster_ids(self) -> frozenset[str]:
        return frozenset(filter(None, [self.tags.get(TAG_CLUSTER_ID)]))

    @property
    def cluster_name(self) -> str:
        return self.tags.get(TAG_CLUSTER) or ""


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
    auto_mode: bool = False
    """Whether EKS adds and removes nodes itself (EKS Auto Mode)."""
    connector: str = ""
    """Who runs the cluster, where EKS only shows it (EKS Connector)."""

    @property
    def access_entries(self) -> bool:
        """Whether the cluster lets principals in by access entries."""
        return self.authentication_mode != "CONFIG_MAP"

    @property
    def account_id(self) -> str:
        return self.arn.split(":")[4]

    @property
    def region(self) -> str:
        return self.arn.split(":")[3]


@dataclass(frozen=True)
class Instance:
    """An EC2 instance. account_id: its owner's; profile_arn: its instance profile's; groups: ids of security groups."""

    id: str
    account_id: str
    vpc_id: str
    profile_arn: str = ""
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Principal(Tagged):
    """An IAM role or user. trust: a role's trust policy document, empty for a user."""

    kind: str
    name: str
    arn: str
    tags: Mapping[str, str]
    boundary: str
    trust: Mapping[str, Any]
    created: datetime | None = None

    @property
    def cluster_ids(self) -> frozenset[str]:
        return super().cluster_ids | frozenset(filter(None, external_ids(self.trust)))


@dataclass(frozen=True)
class Policy(Tagged):
    """A customer-managed policy. version: its default version; attachments: to how many principals it is attached."""

    name: str
    arn: str
    version: str
    attachments: int
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Profile(Tagged):
    """An instance profile, and its role's name, ARN and time of creation, empty for none."""

    name: str
    arn: str
    role: str
    role_arn: str
    tags: Mapping[str, str]
    role_created: datetime | None = None


@dataclass(frozen=True)
class SecurityGroup(Tagged):
    """egress_all, ingress_self: whether all traffic may go out, and come from the group itself."""

    id: str
    name: str
    vpc_id: str
    tags: Mapping[str, str]
    egress_all: bool
    ingress_self: bool


@dataclass(frozen=True)
class AccessKey:
    """last_used: date of the last use, empty for never, or where it was not asked for. created: date."""

    id: str
    active: bool
    last_used: str = ""
    created: str = ""


@dataclass(frozen=True)
class AccessEntry:
    """How an EKS cluster lets an IAM principal in. arn: the principal's; type: STANDARD, EC2_LINUX, ..."""

    arn: str
    type: str
    tags: Mapping[str, str]
    created: datetime | None = None
    own_arn: str = ""

    def outlived(self, created: datetime | None) -> bool:
        """Whether the principal that has its name now was created later: EKS does not let that one in by it.

        IAM tells whole seconds.
        """
        if self.created is None or created is None:
            return False
        return self.created.replace(microsecond=0) < created.replace(microsecond=0)


@dataclass(frozen=True)
class Verdict:
    """What a simulation says of one action.

    by: what refuses beside the policies, organisation or boundary, or empty; unknown: condition keys that the caller's
    policies ask for and a simulation does not know.
    """

    action: str
    allowed: bool
    by: str
    unknown: tuple[str, ...]


def _call(purpose: str, absent: bool = False, first: frozenset[str] = WROTE_FIRST) -> Callable[[F], F]:
    """Word botocore's errors as a sentence.

    purpose may use the method's arguments by position, {0}, and {Kind} for a first one that is role or user, as IAM's
    actions have it. absent: not found is the answer None; first: codes that mean somebody wrote first.
    """

    def wrap(method: F) -> F:
        @functools.wraps(method)
        def run(self: Aws, *args: Any) -> Any:
            try:
                return method(self, *args)
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
                code = _code(error)
                if absent and code in NOT_FOUND:
                    return None
                done = purpose.format(*args, Kind=str(args[0]).capitalize() if args else "")
                sentence = f"Could not {done} as AWS: {_reason(error)}"
                if code in first:
                    raise Conflict(sentence) from error
                # After an action's own sentence, which call it was is enough.
                _what, call, operation = done.partition(" (")
                within = f"{call}{operation} as AWS: {_reason(error)}"
                raise CallFailed(sentence, within, _unsure(error)) from error

        return run  # type: ignore[return-value]

    return wrap


class Aws:
    """One account and region with one set of credentials. Threads may share it."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        _need_boto3()
        self.region = region_of(options)
        if not self.region:
            raise Refused(NO_REGION)
        bundle = options.get("aws_ca_bundle")
        if bundle and not Path(bundle).is_file():
            raise Refused(
                f"{named('aws_ca_bundle')} is {bundle!r}, which is not a file. Set it to one with the CA certificates"
                " for AWS."
            )
        options = {**options, "region": self.region}
        self._options = options
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        if not options.get("aws_validate_certs", True):
            # The user said so; urllib3 would say it again with each call.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self._session = _session(options)

    def _client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                self._clients[service] = _client(self._session, service, self._options)
            return self._clients[service]

    @_call("find out whose credentials these are (sts:GetCallerIdentity)")
    def caller_arn(self) -> str:
        return str(self._client("sts").get_caller_identity()["Arn"])

    @_call("simulate what {0} may do (iam:SimulatePrincipalPolicy)")
    def simulate(
        self, source: str, actions: tuple[str, ...], resource: str, context: Mapping[str, str]
    ) -> tuple[Verdict, ...]:
        """source: ARN of a role or user; context: values of condition keys.

        IAM does not take all actions together: those that it refuses so are asked for one by one.
        """
        pages = self._client("iam").get_paginator("simulate_principal_policy")
        entries = [
            {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": KEY_TYPES.get(key, "string")}
            for key, value in context.items()
        ]

        def ask(*together: str) -> tuple[Verdict, ...]:
            answers = pages.paginate(
                PolicySourceArn=source, ActionNames=list(together), ResourceArns=[resource], ContextEntries=entries
            )
            return tuple(_verdict(result) for page in answers for result in page["EvaluationResults"])

        try:
            return ask(*actions)
        except botocore.exceptions.ClientError as error:
            if _code(error) != "InvalidInput" or len(actions) == 1:
                raise
        return tuple(verdict for action in actions for verdict in ask(action))

    @_call("read EKS cluster {0} (eks:DescribeCluster)", absent=True)
    def describe_cluster(self, name: str) -> EksCluster | None:
        cluster = self._client("eks").describe_cluster(name=name)["cluster"]
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
            auto_mode=bool((cluster.get("computeConfig") or {}).get("enabled")),
            connector=(cluster["connectorConfig"].get("provider") or "unknown") if "connectorConfig" in cluster else "",
        )

    @_call("find the instances of kOps cluster {0} (ec2:DescribeInstances)")
    def list_instances(self, cluster: str) -> tuple[Instance, ...]:
        """Those that run or start, by the tag that kOps gives all instances of a cluster; by id."""
        return self._instances({"tag:KubernetesCluster": [cluster], "instance-state-name": ["pending", "running"]})

    @_call("find the instances in {0} (ec2:DescribeInstances)")
    def list_vpc_instances(self, vpc_id: str) -> tuple[Instance, ...]:
        """Those that are not terminated, by id."""
        states = ["pending", "running", "shutting-down", "stopping", "stopped"]
        return self._instances({"vpc-id": [vpc_id], "instance-state-name": states})

    def _instances(self, wanted: Mapping[str, list[str]]) -> tuple[Instance, ...]:
        pages = (
            self._client("ec2")
            .get_paginator("describe_instances")
            .paginate(Filters=[{"Name": name, "Values": values} for name, values in wanted.items()])
        )
        return tuple(
            sorted(
                (
                    _instance(instance, reservation["OwnerId"])
                    for page in pages
                    for reservation in page["Reservations"]
                    for instance in reservation["Instances"]
                ),
                key=lambda one: one.id,
            )
        )

    @property
    def sts_host(self) -> str:
        """Where STS is called, and what tokens are signed for."""
        return urlsplit(self._client("sts").meta.endpoint_url).hostname or ""

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

    @_call("read role {0} (iam:GetRole)", absent=True)
    def get_role(self, name: str) -> Principal | None:
        return _principal("role", self._client("iam").get_role(RoleName=name)["Role"])

    @_call("read user {0} (iam:GetUser)", absent=True)
    def get_user(self, name: str) -> Principal | None:
        return _principal("user", self._client("iam").get_user(UserName=name)["User"])

    @_call("create role {0} (iam:CreateRole)")
    def create_role(self, name: str, trust: Mapping[str, Any], description: str, made: Making) -> None:
        _create(
            functools.partial(_until_visible, self._client("iam").create_role),
            lambda: self.get_role(name),
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps(trust),
            Description=description,
            **made.arguments(),
        )

    @_call("create user {0} (iam:CreateUser)")
    def create_user(self, name: str, made: Making) -> None:
        _create(self._client("iam").create_user, lambda: self.get_user(name), UserName=name, **made.arguments())

    @_call("set the trust policy of role {0} (iam:UpdateAssumeRolePolicy)")
    def set_trust(self, name: str, trust: Mapping[str, Any]) -> None:
        _until_visible(self._client("iam").update_assume_role_policy, RoleName=name, PolicyDocument=json.dumps(trust))

    @_call("tag {0} {1} (iam:Tag{Kind})")
    def tag_principal(self, kind: str, name: str, tags: Mapping[str, str]) -> None:
        _until_visible(self._of(kind, "tag_{}"), **_name(kind, name), Tags=_tag_list(tags))

    @_call("take tags off {0} {1} (iam:Untag{Kind})", absent=True)
    def untag_principal(self, kind: str, name: str, keys: Collection[str]) -> None:
        self._of(kind, "untag_{}")(**_name(kind, name), TagKeys=sorted(keys))

    @_call("delete {0} {1} (iam:Delete{Kind})", absent=True)
    def delete_principal(self, kind: str, name: str) -> None:
        self._of(kind, "delete_{}")(**_name(kind, name))

    @_call("list the policies attached to {0} {1} (iam:ListAttached{Kind}Policies)", absent=True)
    def list_attached(self, kind: str, name: str) -> tuple[str, ...]:
        """ARNs."""
        pages = self._client("iam").get_paginator(f"list_attached_{kind}_policies").paginate(**_name(kind, name))
        return tuple(policy["PolicyArn"] for page in pages for policy in page["AttachedPolicies"])

    @_call("attach {2} to {0} {1} (iam:Attach{Kind}Policy)")
    def attach(self, kind: str, name: str, arn: str) -> None:
        _until_visible(self._of(kind, "attach_{}_policy"), **_name(kind, name), PolicyArn=arn)

    @_call("detach {2} from {0} {1} (iam:Detach{Kind}Policy)", absent=True)
    def detach(self, kind: str, name: str, arn: str) -> None:
        self._of(kind, "detach_{}_policy")(**_name(kind, name), PolicyArn=arn)

    @_call("read inline policy {2} of {0} {1} (iam:Get{Kind}Policy)", absent=True)
    def get_inline(self, kind: str, name: str, policy: str) -> Mapping[str, Any] | None:
        answer = self._of(kind, "get_{}_policy")(**_name(kind, name), PolicyName=policy)
        return dict(answer["PolicyDocument"])

    @_call("list the inline policies of {0} {1} (iam:List{Kind}Policies)", absent=True)
    def list_inline(self, kind: str, name: str) -> tuple[str, ...]:
        """Names."""
        pages = self._client("iam").get_paginator(f"list_{kind}_policies").paginate(**_name(kind, name))
        return tuple(policy for page in pages for policy in page["PolicyNames"])

    @_call("write inline policy {2} of {0} {1} (iam:Put{Kind}Policy)")
    def put_inline(self, kind: str, name: str, policy: str, document: Mapping[str, Any]) -> None:
        put = self._of(kind, "put_{}_policy")
        _until_visible(put, **_name(kind, name), PolicyName=policy, PolicyDocument=_compact(document))

    @_call("delete inline policy {2} of {0} {1} (iam:Delete{Kind}Policy)", absent=True)
    def delete_inline(self, kind: str, name: str, policy: str) -> None:
        self._of(kind, "delete_{}_policy")(**_name(kind, name), PolicyName=policy)

    @_call("list the account's own policies (iam:ListPolicies)")
    def list_policies(self) -> tuple[str, ...]:
        """ARNs of the customer-managed policies, in whatever case their names were given."""
        pages = self._client("iam").get_paginator("list_policies").paginate(Scope="Local")
        return tuple(policy["Arn"] for page in pages for policy in page["Policies"])

    @_call("read policy {0} (iam:GetPolicy)", absent=True)
    def get_policy(self, arn: str) -> Policy | None:
        policy = self._client("iam").get_policy(PolicyArn=arn)["Policy"]
        return Policy(
            policy["PolicyName"],
            policy["Arn"],
            policy["DefaultVersionId"],
            policy["AttachmentCount"],
            _tag_dict(policy.get("Tags")),
        )

    @_call("read policy {0} (iam:GetPolicy)")
    def lacks_policy(self, arn: str) -> bool:
        """Whether it is not there; False also where these credentials may not look at it, as others' may need not."""
        try:
            self._client("iam").get_policy(PolicyArn=arn)
        except botocore.exceptions.ClientError as error:
            if _code(error) not in NOT_FOUND | DENIED:
                raise
            return _code(error) in NOT_FOUND
        return False

    @_call("read version {1} of policy {0} (iam:GetPolicyVersion)", absent=True)
    def get_policy_document(self, arn: str, version: str) -> Mapping[str, Any] | None:
        answer = self._client("iam").get_policy_version(PolicyArn=arn, VersionId=version)
        return dict(answer["PolicyVersion"]["Document"])

    @_call("create policy {0} (iam:CreatePolicy)")
    def create_policy(self, name: str, document: Mapping[str, Any], description: str, made: Making) -> None:
        arguments = made.arguments()
        arguments.pop("PermissionsBoundary", None)
        _create(
            self._client("iam").create_policy,
            lambda: self.get_policy(self._policy_arn(made.path + name)),
            PolicyName=name,
            PolicyDocument=_compact(document),
            Description=description,
            **arguments,
        )

    @_call("write a new version of policy {0} (iam:CreatePolicyVersion)", first=WROTE_FIRST | {"LimitExceeded"})
    def update_policy(self, arn: str, document: Mapping[str, Any]) -> None:
        """Set a new default version; of the five that IAM keeps, the oldest that is not the default makes room.

        A sixth at that moment is somebody else's work.
        """
        iam = self._client("iam")
        versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
        spare = sorted((v["CreateDate"], v["VersionId"]) for v in versions if not v["IsDefaultVersion"])
        if len(versions) >= 5:
            iam.delete_policy_version(PolicyArn=arn, VersionId=spare[0][1])
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=_compact(document), SetAsDefault=True)

    @_call("delete policy {0} (iam:DeletePolicy)", absent=True)
    def delete_policy(self, arn: str) -> None:
        iam = self._client("iam")
        for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
            if not version["IsDefaultVersion"]:
                iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
        iam.delete_policy(PolicyArn=arn)

    @_call("tag policy {0} (iam:TagPolicy)")
    def tag_policy(self, arn: str, tags: Mapping[str, str]) -> None:
        self._client("iam").tag_policy(PolicyArn=arn, Tags=_tag_list(tags))

    @_call("read instance profile {0} (iam:GetInstanceProfile)", absent=True)
    def get_profile(self, name: str) -> Profile | None:
        profile = self._client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
        role: Mapping[str, Any] = next(iter(profile["Roles"]), {})
        return Profile(
            name,
            profile["Arn"],
            role.get("RoleName", ""),
            role.get("Arn", ""),
            _tag_dict(profile.get("Tags")),
            role.get("CreateDate"),
        )

    @_call("list the instance profiles of role {0} (iam:ListInstanceProfilesForRole)", absent=True)
    def list_profiles(self, role: str) -> tuple[str, ...]:
        """Names of those that it is in."""
        pages = self._client("iam").get_paginator("list_instance_profiles_for_role").paginate(RoleName=role)
        return tuple(profile["InstanceProfileName"] for page in pages for profile in page["InstanceProfiles"])

    @_call("create instance profile {0} (iam:CreateInstanceProfile)")
    def create_profile(self, name: str, made: Making) -> None:
        arguments = made.arguments()
        arguments.pop("PermissionsBoundary", None)
        _create(
            self._client("iam").create_instance_profile,
            lambda: self.get_profile(name),
            InstanceProfileName=name,
            **arguments,
        )

    @_call("tag instance profile {0} (iam:TagInstanceProfile)")
    def tag_profile(self, name: str, tags: Mapping[str, str]) -> None:
        self._client("iam").tag_instance_profile(InstanceProfileName=name, Tags=_tag_list(tags))

    @_call(
        "put role {1} into instance profile {0} (iam:AddRoleToInstanceProfile)", first=WROTE_FIRST | {"LimitExceeded"}
    )
    def fill_profile(self, name: str, role: str) -> None:
        """One at most: where there is one by now, it is somebody else's work."""
        _until_visible(self._client("iam").add_role_to_instance_profile, InstanceProfileName=name, RoleName=role)

    @_call("take role {1} out of instance profile {0} (iam:RemoveRoleFromInstanceProfile)", absent=True)
    def empty_profile(self, name: str, role: str) -> None:
        self._client("iam").remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role)

    @_call("delete instance profile {0} (iam:DeleteInstanceProfile)", absent=True)
    def delete_profile(self, name: str) -> None:
        self._client("iam").delete_instance_profile(InstanceProfileName=name)

    @_call("list the access keys of user {0} (iam:ListAccessKeys)", absent=True)
    def list_keys(self, user: str) -> tuple[AccessKey, ...]:
        """Oldest first, without their last use."""
        found = self._client("iam").list_access_keys(UserName=user)["AccessKeyMetadata"]
        found = sorted(found, key=lambda key: key["CreateDate"])
        return tuple(
            AccessKey(key["AccessKeyId"], key["Status"] == "Active", created=str(key["CreateDate"])) for key in found
        )

    @_call("read the last use of access key {0} (iam:GetAccessKeyLastUsed)")
    def key_last_used(self, key_id: str) -> str:
        """Its date, empty for never."""
        answer = self._client("iam").get_access_key_last_used(AccessKeyId=key_id)
        return str(answer["AccessKeyLastUsed"].get("LastUsedDate", ""))

    @_call("create an access key of user {0} (iam:CreateAccessKey)")
    def create_key(self, user: str) -> tuple[str, str]:
        """Its id and its secret. Raises CallFailed where there are two by now, of which one may be on its way."""
        try:
            key = _until_visible(self._client("iam").create_access_key, UserName=user)["AccessKey"]
        except botocore.exceptions.ClientError as error:
            if _code(error) != "LimitExceeded":
                raise
            raise CallFailed(
                f"User {user} has got another access key since its keys were read, and IAM allows no third. Another run"
                " may be handing it to CAST AI right now: wait until that has ended, then run again."
            ) from error
        return key["AccessKeyId"], key["SecretAccessKey"]

    @_call("delete access key {1} of user {0} (iam:DeleteAccessKey)", absent=True)
    def delete_key(self, user: str, key_id: str) -> None:
        self._client("iam").delete_access_key(UserName=user, AccessKeyId=key_id)

    @_call("find security group {1} in {0} (ec2:DescribeSecurityGroups)")
    def find_group(self, vpc_id: str, name: str) -> SecurityGroup | None:
        return self._group([{"Name": "vpc-id", "Values": [vpc_id]}, {"Name": "group-name", "Values": [name]}])

    @_call("read security group {0} (ec2:DescribeSecurityGroups)", absent=True)
    def get_group(self, group_id: str) -> SecurityGroup | None:
        return self._group([{"Name": "group-id", "Values": [group_id]}])

    def _group(self, filters: list[dict[str, Any]]) -> SecurityGroup | None:
        found = self._client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]
        if not found:
            return None
        group = found[0]
        out = [rule for rule in group["IpPermissionsEgress"] if rule["IpProtocol"] == "-1"]
        into = [rule for rule in group["IpPermissions"] if rule["IpProtocol"] == "-1"]
        return SecurityGroup(
            group["GroupId"],
            group["GroupName"],
            group.get("VpcId") or "",
            _tag_dict(group.get("Tags")),
            any(block["CidrIp"] == "0.0.0.0/0" for rule in out for block in rule.get("IpRanges") or ()),
            any(
                pair.get("GroupId") == group["GroupId"] for rule in into for pair in rule.get("UserIdGroupPairs") or ()
            ),
        )

    @_call("create security group {1} in {0} (ec2:CreateSecurityGroup)")
    def create_group(self, vpc_id: str, name: str, description: str, tags: Mapping[str, str]) -> str:
        answer = self._client("ec2").create_security_group(
            VpcId=vpc_id,
            GroupName=name,
            Description=description,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": _tag_list(tags)}],
        )
        return str(answer["GroupId"])

    @_call("tag {0} (ec2:CreateTags)")
    def tag_ec2(self, resource: str, tags: Mapping[str, str]) -> None:
        _until_visible(self._client("ec2").create_tags, Resources=[resource], Tags=_tag_list(tags))

    @_call("let all traffic out of security group {0} (ec2:AuthorizeSecurityGroupEgress)")
    def allow_egress(self, group_id: str) -> None:
        _until_visible(
            self._client("ec2").authorize_security_group_egress,
            GroupId=group_id,
            IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
        )

    @_call("let security group {0} reach itself (ec2:AuthorizeSecurityGroupIngress)")
    def allow_itself(self, group_id: str) -> None:
        _until_visible(
            self._client("ec2").authorize_security_group_ingress,
            GroupId=group_id,
            IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group_id}]}],
        )

    @_call("delete security group {0} (ec2:DeleteSecurityGroup)", absent=True)
    def delete_group(self, group_id: str) -> None:
        self._client("ec2").delete_security_group(GroupId=group_id)

    @_call("read the access entry of {1} in cluster {0} (eks:DescribeAccessEntry)", absent=True)
    def get_access_entry(self, cluster: str, arn: str) -> AccessEntry | None:
        entry = self._client("eks").describe_access_entry(clusterName=cluster, principalArn=arn)["accessEntry"]
        return AccessEntry(
            arn, entry["type"], dict(entry.get("tags") or {}), entry.get("createdAt"), entry["accessEntryArn"]
        )

    @_call("list the access policies of {1} in cluster {0} (eks:ListAssociatedAccessPolicies)", absent=True)
    def list_access_policies(self, cluster: str, arn: str) -> tuple[str, ...]:
        """ARNs of those that hold for the whole cluster."""
        pages = self._client("eks").get_paginator("list_associated_access_policies")
        return tuple(
            policy["policyArn"]
            for page in pages.paginate(clusterName=cluster, principalArn=arn)
            for policy in page["associatedAccessPolicies"]
            if policy["accessScope"]["type"] == "cluster"
        )

    @_call("create an access entry for {1} in cluster {0} (eks:CreateAccessEntry)")
    def create_access_entry(self, cluster: str, arn: str, kind: str, tags: Mapping[str, str]) -> None:
        _until_visible(
            self._client("eks").create_access_entry, clusterName=cluster, principalArn=arn, type=kind, tags=dict(tags)
        )

    @_call("tag access entry {0} (eks:TagResource)")
    def tag_access_entry(self, entry: str, tags: Mapping[str, str]) -> None:
        """entry: its own ARN."""
        self._client("eks").tag_resource(resourceArn=entry, tags=dict(tags))

    @_call("associate {2} with the access entry of {1} (eks:AssociateAccessPolicy)")
    def associate_access_policy(self, cluster: str, arn: str, policy: str) -> None:
        _until_visible(
            self._client("eks").associate_access_policy,
            clusterName=cluster,
            principalArn=arn,
            policyArn=policy,
            accessScope={"type": "cluster"},
        )

    @_call("delete the access entry of {1} in cluster {0} (eks:DeleteAccessEntry)", absent=True)
    def delete_access_entry(self, cluster: str, arn: str) -> None:
        self._client("eks").delete_access_entry(clusterName=cluster, principalArn=arn)

    def _policy_arn(self, name: str) -> str:
        """name: with its path."""
        _arn, partition, _service, _region, account, _caller = self.caller_arn().split(":", 5)
        return f"arn:{partition}:iam::{account}:policy{name}"

    def _of(self, kind: str, operation: str) -> Callable[..., Any]:
        """The IAM operation for a role or a user."""
        found: Callable[..., Any] = getattr(self._client("iam"), operation.format(kind))
        return found


@dataclass(frozen=True)
class Making:
    """What every IAM object that we create gets. path: with both slashes; boundary: an ARN or empty."""

    path: str
    boundary: str
    tags: Mapping[str, str]

    def arguments(self) -> dict[str, Any]:
        boundary = {"PermissionsBoundary": self.boundary} if self.boundary else {}
        return {"Path": self.path, "Tags": _tag_list(self.tags), **boundary}


def external_ids(trust: Mapping[str, Any]) -> list[str]:
    """The external ids that a trust policy asks for: the clusters at CAST AI that the role was made for."""
    conditions = [statement.get("Condition") or {} for statement in _listed(trust.get("Statement"))]
    return [one for condition in conditions for one in _listed((condition.get("StringEquals") or {}).get(EXTERNAL_ID))]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


def _verdict(result: Mapping[str, Any]) -> Verdict:
    details = {
        "organisation": (result.get("OrganizationsDecisionDetail") or {}).get("AllowedByOrganizations"),
        "boundary": (result.get("PermissionsBoundaryDecisionDetail") or {}).get("AllowedByPermissionsBoundary"),
    }
    return Verdict(
        result["EvalActionName"],
        result["EvalDecision"] == "allowed",
        next((layer for layer, allowed in details.items() if allowed is False), ""),
        tuple(result.get("MissingContextValues") or ()),
    )


def _principal(kind: str, found: Mapping[str, Any]) -> Principal:
    return Principal(
        kind,
        found["RoleName" if kind == "role" else "UserName"],
        found["Arn"],
        _tag_dict(found.get("Tags")),
        (found.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn") or "",
        found.get("AssumeRolePolicyDocument") or {},
        found.get("CreateDate"),
    )


def _instance(found: Mapping[str, Any], owner: str) -> Instance:
    interfaces = found.get("NetworkInterfaces") or ()
    groups = [*(found.get("SecurityGroups") or ()), *(group for one in interfaces for group in one.get("Groups") or ())]
    return Instance(
        found["InstanceId"],
        owner,
        found.get("VpcId") or "",
        (found.get("IamInstanceProfile") or {}).get("Arn") or "",
        frozenset(group["GroupId"] for group in groups),
    )


def _name(kind: str, name: str) -> dict[str, str]:
    return {"RoleName" if kind == "role" else "UserName": name}


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _tag_dict(tags: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags or ()}


def _compact(document: Mapping[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))


def _code(error: Exception) -> str:
    response = getattr(error, "response", None) or {}
    return str((response.get("Error") or {}).get("Code") or "")


def _unsure(error: Exception) -> bool:
    """Whether AWS may have done what it was asked: its answer was lost, or says that something broke inside it."""
    if isinstance(error, botocore.exceptions.ClientError):
        return bool(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500)
    if isinstance(error, botocore.exceptions.EndpointConnectionError):
        return False
    return isinstance(error, botocore.exceptions.HTTPClientError)


def _until_visible(call: Callable[..., Any], **arguments: Any) -> Any:
    """Make a write that names an object made moments ago, again while AWS does not show that yet."""

    def attempt() -> Any:
        try:
            return (call(**arguments),)
        except botocore.exceptions.ClientError as error:
            word = NOT_YET.get(_code(error))
            if word is None or word not in str(error).lower():
                raise
            return None

    answer = until(attempt, timeout=VISIBLE_SECONDS, longest=5.0)
    return answer[0] if answer else call(**arguments)


def _create(call: Callable[..., Any], find: Callable[[], Any], **arguments: Any) -> None:
    """Create an IAM object. Where somebody did so first, wait until it is shown, for a new plan to find it."""
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        if _code(error) == "EntityAlreadyExists" and not until(find, timeout=VISIBLE_SECONDS, longest=5.0):
            raise CallFailed(
                f"AWS: {_reason(error)} An object with this name exists under a different path or with different"
                f" capitalisation. Rename or delete it, or set {named('path')} to the path that it has."
            ) from error
        raise


def region_of(options: Mapping[str, Any]) -> str:
    """The region that the options name, else AWS_DEFAULT_REGION or the one of the profile; empty for none."""
    if options.get("region"):
        return str(options["region"])
    _need_boto3()
    try:
        return str(_botocore_session(options.get("profile")).get_config_variable("region") or "")
    except botocore.exceptions.BotoCoreError as error:
        raise CallFailed(f"Could not use the AWS credentials: {_reason(error)}") from error


def _need_boto3() -> None:
    if MISSING:
        raise Refused(f"The Python packages boto3 and botocore are needed where this runs: {MISSING}. Install boto3.")
    if _version() < OLDEST:
        raise Refused(
            f"botocore is {botocore.__version__} where this runs, which does not know EKS access entries."
            f" Install boto3 {'.'.join(map(str, OLDEST))} or newer."
        )


def _session(options: Mapping[str, Any]) -> Any:
    """A boto3 session; with assume_role_arn, of that role, renewed by botocore when it ages."""
    try:
        session = boto3.session.Session(
            aws_access_key_id=options.get("access_key"),
            aws_secret_access_key=options.get("secret_key"),
            aws_session_token=options.get("session_token"),
            region_name=options["region"],
            botocore_session=_botocore_session(options.get("profile")),
        )
        credentials = _credentials(session, options)
        if credentials is None:
            raise Refused(
                f"No AWS credentials were found. Set {named('access_key')} and {named('secret_key')}, or"
                f" {named('profile')}, or the usual AWS_ environment variables."
            )
        if not options.get("assume_role_arn"):
            return session
        external_id = options.get("assume_role_external_id")
        fetcher = botocore.credentials.AssumeRoleCredentialFetcher(
            lambda service, **keywords: _client(session, service, options, **keywords),
            session.get_credentials(),
            options["assume_role_arn"],
            extra_args={"RoleSessionName": "castai-onboarding", **({"ExternalId": external_id} if external_id else {})},
        )
        inner = _botocore_session()
        provider = _Assumed(fetcher.fetch_credentials)
        inner.register_component("credential_provider", botocore.credentials.CredentialResolver([provider]))
        inner.get_credentials()
        return boto3.session.Session(botocore_session=inner, region_name=options["region"])
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        what = (
            f"assume role {options['assume_role_arn']}" if options.get("assume_role_arn") else "use the AWS credentials"
        )
        raise CallFailed(f"Could not {what}: {_reason(error)}") from error


def _credentials(session: Any, options: Mapping[str, Any]) -> Any:
    """The session's credentials, fetched now, so that what is wrong with their source is told once, with its name.

    Whatever a profile's program prints or a file holds, botocore lets through what it runs into.
    """
    profile, entry = _profile(session)
    by_key = options.get("access_key") or (not options.get("profile") and os.environ.get("AWS_ACCESS_KEY_ID"))
    if entry.get(_ASKS) and not by_key:
        raise Refused(
            f"AWS profile {profile} needs a code of an MFA device (mfa_serial), for which nobody can be asked here. Get"
            " temporary credentials first, as by aws sts get-session-token, and give them by"
            f" {named('access_key')}, {named('secret_key')} and {named('session_token')}, or by the environment."
        )
    try:
        credentials = session.get_credentials()
        if credentials is not None:
            credentials.get_frozen_credentials()
        return credentials
    except (botocore.exceptions.ClientError, botocore.exceptions.HTTPClientError):
        raise
    except (botocore.exceptions.BotoCoreError, *_SOURCE_ERRORS) as error:
        raise CallFailed(f"Could not use the AWS credentials{_source(profile, entry)}: {_said(error)}.") from None


_ASKS = "asks for a code"
_SOURCE_ERRORS = (OSError, EOFError, ValueError, LookupError, AttributeError, TypeError)


def _profile(session: Any) -> tuple[str, Mapping[str, Any]]:
    """The name of the profile that is used, and what AWS's configuration file says of it and of those it is made of."""
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
        return f" of profile {profile}, by its credential_process {' '.join(program)}"
    file = os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE") or entry.get("web_identity_token_file")
    if file:
        return f", by the web identity token file {file}"
    return f" of profile {profile}" if entry else ""


def _said(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror + (f": {error.filename}" if error.filename else "")
    if isinstance(error, (json.JSONDecodeError, AttributeError, TypeError)):
        return "what it prints is not the JSON that AWS's documents describe"
    return tidy(masked(str(error))).rstrip(".")


def _version() -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", botocore.__version__)[:3]))


class _Assumed:
    """What botocore asks for an assumed role's credentials. They renew themselves."""

    METHOD = CANONICAL_NAME = "assume-role"

    def __init__(self, fetch: Callable[[], Mapping[str, Any]]) -> None:
        self._fetch = fetch

    def load(self) -> Any:
        return botocore.credentials.RefreshableCredentials.create_from_metadata(self._fetch(), self._fetch, self.METHOD)


def _botocore_session(profile: str | None = None) -> Any:
    _forget_blank_variables()
    session = botocore.session.Session(profile=profile)
    # The default before boto3 1.40 is one address for all regions, for which a token of a region is not signed.
    session.set_config_variable("sts_regional_endpoints", "regional")
    session.register_component("data_loader", _models(session.get_config_variable("data_path")))
    return session


def _forget_blank_variables() -> None:
    """botocore takes blank variables at their word: an empty AWS_CA_BUNDLE turns the check of TLS certificates off."""
    for name in [name for name, value in os.environ.items() if name.startswith("AWS_") and not value.strip()]:
        del os.environ[name]


@functools.cache
def _models(search_path: str | None) -> Any:
    """What AWS's services and endpoints are like, read once for all sessions: it takes longer than the calls."""
    return botocore.loaders.create_loader(search_path)


def read_models() -> None:
    """Read them now, for all processes that fork from this one. Makes no call; what is wrong shows at the first."""
    if MISSING:
        return
    with contextlib.suppress(botocore.exceptions.BotoCoreError, ValueError):
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
    # The option itself was looked at before; botocore has others, and those of single services.
    wrong = _addresses.problem("endpoint_url", client.meta.endpoint_url)
    if wrong:
        raise Refused(f"{wrong} {_ELSEWHERE}")
    return client


def _client_arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    verify: Any = options.get("aws_ca_bundle") or None
    return {
        "region_name": options["region"],
        "endpoint_url": options.get("endpoint_url") or None,
        "verify": verify if options.get("aws_validate_certs", True) else False,
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
        expired = " The credentials have expired. Renew them."
        unknown = f" AWS does not know the access key. Check {named('access_key')} or {named('profile')}."
        mismatch = f" {named('secret_key')} is wrong, or this machine's clock is."
        advice = {
            "ExpiredToken": expired,
            "ExpiredTokenException": expired,
            "InvalidClientTokenId": unknown,
            "UnrecognizedClientException": unknown,
            "SignatureDoesNotMatch": mismatch,
            "InvalidSignatureException": mismatch,
            **dict.fromkeys(THROTTLED, f" AWS limits how often this account may call. {FEWER}"),
        }.get(answer.get("Code", ""), "")
        said = tidy(f"{answer.get('Code')}: {answer.get('Message')}", LONGEST).rstrip(".")
        return f"{said}.{advice}"
    if isinstance(error, botocore.exceptions.ProxyConnectionError):
        # botocore shows the address, with the password where it does not know the scheme.
        return (
            "the proxy of HTTPS_PROXY does not answer or does not let through. Set HTTPS_PROXY to an HTTP proxy that"
            " lets through to AWS, with USER:PASSWORD@ before its name if it asks for a log-in, or name the host in"
            " NO_PROXY."
        )
    return f"{tidy(str(error)).rstrip('.')}."
