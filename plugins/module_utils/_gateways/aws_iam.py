# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""IAM, for class Aws. PRIVATE to the collection."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .._engine import CallFailed
from .aws_session import (
    DENIED,
    NOT_FOUND,
    WROTE_FIRST,
    Session,
    Tagged,
    botocore,
    call,
    create_once,
    error_code,
    tag_dict,
    tag_list,
    until_visible,
)

KEY_TYPES = {"aws:SecureTransport": "boolean"}
"""Types of condition keys that are not strings."""

EXTERNAL_ID = "sts:ExternalId"


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
class AccessKey:
    """last_used: date of the last use, empty if never used or not asked for. created: date."""

    id: str
    active: bool
    last_used: str = ""
    created: str = ""


@dataclass(frozen=True)
class Verdict:
    """The result of a simulation for one action.

    by: what refuses besides the policies, organization or boundary, or empty; unknown: condition keys that the caller's
    policies use and a simulation cannot evaluate.
    """

    action: str
    allowed: bool
    by: str
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class Making:
    """What every IAM object that we create has in common. path: with both slashes; boundary: an ARN or empty."""

    path: str
    boundary: str
    tags: Mapping[str, str]

    def arguments(self) -> dict[str, Any]:
        boundary = {"PermissionsBoundary": self.boundary} if self.boundary else {}
        return {"Path": self.path, "Tags": tag_list(self.tags), **boundary}


class Iam(Session):
    """Roles, users, policies, instance profiles, and simulations."""

    @call("read the account's quotas (iam:GetAccountSummary)")
    def account_summary(self) -> Mapping[str, int]:
        """How many objects of each kind the account has and may have. Empty if these credentials may not read it: they
        may not need that permission."""
        with _unless_denied():
            return dict(self._client("iam").get_account_summary()["SummaryMap"])
        return {}

    @call("simulate what {0} may do (iam:SimulatePrincipalPolicy)")
    def simulate(
        self, source: str, actions: tuple[str, ...], resource: str, context: Mapping[str, str]
    ) -> tuple[Verdict, ...]:
        """source: ARN of a role or user; context: values of condition keys.

        IAM does not accept all actions together: if it refuses some together, they are simulated one by one.
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
            if error_code(error) != "InvalidInput" or len(actions) == 1:
                raise
        return tuple(verdict for action in actions for verdict in ask(action))

    @call("read role {0} (iam:GetRole)", absent=True)
    def get_role(self, name: str) -> Principal | None:
        return _principal("role", self._client("iam").get_role(RoleName=name)["Role"])

    @call("read user {0} (iam:GetUser)", absent=True)
    def get_user(self, name: str) -> Principal | None:
        return _principal("user", self._client("iam").get_user(UserName=name)["User"])

    @call("create role {0} (iam:CreateRole)")
    def create_role(self, name: str, trust: Mapping[str, Any], description: str, made: Making) -> None:
        create_once(
            functools.partial(until_visible, self._client("iam").create_role),
            lambda: self.get_role(name),
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps(trust),
            Description=description,
            **made.arguments(),
        )

    @call("create user {0} (iam:CreateUser)")
    def create_user(self, name: str, made: Making) -> None:
        create_once(self._client("iam").create_user, lambda: self.get_user(name), UserName=name, **made.arguments())

    @call("set the trust policy of role {0} (iam:UpdateAssumeRolePolicy)")
    def set_trust(self, name: str, trust: Mapping[str, Any]) -> None:
        until_visible(self._client("iam").update_assume_role_policy, RoleName=name, PolicyDocument=json.dumps(trust))

    @call("tag {0} {1} (iam:Tag{Kind})")
    def tag_principal(self, kind: str, name: str, tags: Mapping[str, str]) -> None:
        until_visible(self._of(kind, "tag_{}"), **_name(kind, name), Tags=tag_list(tags))

    @call("remove tags from {0} {1} (iam:Untag{Kind})", absent=True)
    def untag_principal(self, kind: str, name: str, keys: Collection[str]) -> None:
        self._of(kind, "untag_{}")(**_name(kind, name), TagKeys=sorted(keys))

    @call("delete {0} {1} (iam:Delete{Kind})", absent=True)
    def delete_principal(self, kind: str, name: str) -> None:
        self._of(kind, "delete_{}")(**_name(kind, name))

    @call("list the policies attached to {0} {1} (iam:ListAttached{Kind}Policies)", absent=True)
    def list_attached(self, kind: str, name: str) -> tuple[str, ...]:
        """ARNs."""
        pages = self._client("iam").get_paginator(f"list_attached_{kind}_policies").paginate(**_name(kind, name))
        return tuple(policy["PolicyArn"] for page in pages for policy in page["AttachedPolicies"])

    @call("attach {2} to {0} {1} (iam:Attach{Kind}Policy)")
    def attach(self, kind: str, name: str, arn: str) -> None:
        until_visible(self._of(kind, "attach_{}_policy"), **_name(kind, name), PolicyArn=arn)

    @call("detach {2} from {0} {1} (iam:Detach{Kind}Policy)", absent=True)
    def detach(self, kind: str, name: str, arn: str) -> None:
        self._of(kind, "detach_{}_policy")(**_name(kind, name), PolicyArn=arn)

    @call("read inline policy {2} of {0} {1} (iam:Get{Kind}Policy)", absent=True)
    def get_inline(self, kind: str, name: str, policy: str) -> Mapping[str, Any] | None:
        answer = self._of(kind, "get_{}_policy")(**_name(kind, name), PolicyName=policy)
        return dict(answer["PolicyDocument"])

    @call("list the inline policies of {0} {1} (iam:List{Kind}Policies)", absent=True)
    def list_inline(self, kind: str, name: str) -> tuple[str, ...]:
        """Names."""
        pages = self._client("iam").get_paginator(f"list_{kind}_policies").paginate(**_name(kind, name))
        return tuple(policy for page in pages for policy in page["PolicyNames"])

    @call("read the inline policies of {0} {1} (iam:List{Kind}Policies, iam:Get{Kind}Policy)", absent=True)
    def inline_documents(self, kind: str, name: str) -> Mapping[str, Mapping[str, Any]] | None:
        """By name. Empty if these credentials may not read them: they may not need that permission."""
        with _unless_denied():
            pages = self._client("iam").get_paginator(f"list_{kind}_policies").paginate(**_name(kind, name))
            found = [policy for page in pages for policy in page["PolicyNames"]]
            read = self._of(kind, "get_{}_policy")
            return {one: dict(read(**_name(kind, name), PolicyName=one)["PolicyDocument"]) for one in found}
        return {}

    @call("write inline policy {2} of {0} {1} (iam:Put{Kind}Policy)")
    def put_inline(self, kind: str, name: str, policy: str, document: Mapping[str, Any]) -> None:
        put = self._of(kind, "put_{}_policy")
        until_visible(put, **_name(kind, name), PolicyName=policy, PolicyDocument=_compact(document))

    @call("delete inline policy {2} of {0} {1} (iam:Delete{Kind}Policy)", absent=True)
    def delete_inline(self, kind: str, name: str, policy: str) -> None:
        self._of(kind, "delete_{}_policy")(**_name(kind, name), PolicyName=policy)

    @call("list the account's own policies (iam:ListPolicies)")
    def list_policies(self) -> tuple[str, ...]:
        """ARNs of the customer-managed policies, in the case in which they were created."""
        return self._own_policies()

    @call("list the account's own policies (iam:ListPolicies)")
    def listable_policies(self) -> tuple[str, ...]:
        """The same. Empty if these credentials may not list them: they may not need that permission."""
        with _unless_denied():
            return self._own_policies()
        return ()

    def _own_policies(self) -> tuple[str, ...]:
        pages = self._client("iam").get_paginator("list_policies").paginate(Scope="Local")
        return tuple(policy["Arn"] for page in pages for policy in page["Policies"])

    @call("read policy {0} (iam:GetPolicy)", absent=True)
    def get_policy(self, arn: str) -> Policy | None:
        policy = self._client("iam").get_policy(PolicyArn=arn)["Policy"]
        return Policy(
            policy["PolicyName"],
            policy["Arn"],
            policy["DefaultVersionId"],
            policy["AttachmentCount"],
            tag_dict(policy.get("Tags")),
        )

    @call("read policy {0} (iam:GetPolicy)")
    def lacks_policy(self, arn: str) -> bool:
        """Whether it does not exist. Also False if these credentials may not read it: they may not need that
        permission."""
        try:
            self._client("iam").get_policy(PolicyArn=arn)
        except botocore.exceptions.ClientError as error:
            if error_code(error) not in NOT_FOUND | DENIED:
                raise
            return error_code(error) in NOT_FOUND
        return False

    @call("read version {1} of policy {0} (iam:GetPolicyVersion)", absent=True)
    def get_policy_document(self, arn: str, version: str) -> Mapping[str, Any] | None:
        answer = self._client("iam").get_policy_version(PolicyArn=arn, VersionId=version)
        return dict(answer["PolicyVersion"]["Document"])

    @call("create policy {0} (iam:CreatePolicy)")
    def create_policy(self, name: str, document: Mapping[str, Any], description: str, made: Making) -> None:
        arguments = made.arguments()
        arguments.pop("PermissionsBoundary", None)
        create_once(
            self._client("iam").create_policy,
            lambda: self.get_policy(self._policy_arn(made.path + name)),
            PolicyName=name,
            PolicyDocument=_compact(document),
            Description=description,
            **arguments,
        )

    @call("write a new version of policy {0} (iam:CreatePolicyVersion)", first=WROTE_FIRST | {"LimitExceeded"})
    def update_policy(self, arn: str, document: Mapping[str, Any]) -> None:
        """Set a new default version. IAM keeps five, so the oldest that is not the default is deleted to make room.

        If there is a sixth at that moment, somebody else created it.
        """
        iam = self._client("iam")
        versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
        spare = sorted((v["CreateDate"], v["VersionId"]) for v in versions if not v["IsDefaultVersion"])
        if len(versions) >= 5:
            iam.delete_policy_version(PolicyArn=arn, VersionId=spare[0][1])
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=_compact(document), SetAsDefault=True)

    @call("delete policy {0} (iam:DeletePolicy)", absent=True)
    def delete_policy(self, arn: str) -> None:
        iam = self._client("iam")
        for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
            if not version["IsDefaultVersion"]:
                iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
        iam.delete_policy(PolicyArn=arn)

    @call("tag policy {0} (iam:TagPolicy)")
    def tag_policy(self, arn: str, tags: Mapping[str, str]) -> None:
        self._client("iam").tag_policy(PolicyArn=arn, Tags=tag_list(tags))

    @call("read instance profile {0} (iam:GetInstanceProfile)", absent=True)
    def get_profile(self, name: str) -> Profile | None:
        profile = self._client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
        role: Mapping[str, Any] = next(iter(profile["Roles"]), {})
        return Profile(
            name,
            profile["Arn"],
            role.get("RoleName", ""),
            role.get("Arn", ""),
            tag_dict(profile.get("Tags")),
            role.get("CreateDate"),
        )

    @call("list the instance profiles of role {0} (iam:ListInstanceProfilesForRole)", absent=True)
    def list_profiles(self, role: str) -> tuple[str, ...]:
        """Names of the instance profiles that contain the role."""
        pages = self._client("iam").get_paginator("list_instance_profiles_for_role").paginate(RoleName=role)
        return tuple(profile["InstanceProfileName"] for page in pages for profile in page["InstanceProfiles"])

    @call("create instance profile {0} (iam:CreateInstanceProfile)")
    def create_profile(self, name: str, made: Making) -> None:
        arguments = made.arguments()
        arguments.pop("PermissionsBoundary", None)
        create_once(
            self._client("iam").create_instance_profile,
            lambda: self.get_profile(name),
            InstanceProfileName=name,
            **arguments,
        )

    @call("tag instance profile {0} (iam:TagInstanceProfile)")
    def tag_profile(self, name: str, tags: Mapping[str, str]) -> None:
        self._client("iam").tag_instance_profile(InstanceProfileName=name, Tags=tag_list(tags))

    @call("add role {1} to instance profile {0} (iam:AddRoleToInstanceProfile)", first=WROTE_FIRST | {"LimitExceeded"})
    def fill_profile(self, name: str, role: str) -> None:
        """A profile has at most one role: if there is one by now, somebody else added it."""
        until_visible(self._client("iam").add_role_to_instance_profile, InstanceProfileName=name, RoleName=role)

    @call("remove role {1} from instance profile {0} (iam:RemoveRoleFromInstanceProfile)", absent=True)
    def empty_profile(self, name: str, role: str) -> None:
        self._client("iam").remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role)

    @call("delete instance profile {0} (iam:DeleteInstanceProfile)", absent=True)
    def delete_profile(self, name: str) -> None:
        self._client("iam").delete_instance_profile(InstanceProfileName=name)

    @call("list the access keys of user {0} (iam:ListAccessKeys)", absent=True)
    def list_keys(self, user: str) -> tuple[AccessKey, ...]:
        """Oldest first, without their last use."""
        found = self._client("iam").list_access_keys(UserName=user)["AccessKeyMetadata"]
        found = sorted(found, key=lambda key: key["CreateDate"])
        return tuple(
            AccessKey(key["AccessKeyId"], key["Status"] == "Active", created=str(key["CreateDate"])) for key in found
        )

    @call("read the last use of access key {0} (iam:GetAccessKeyLastUsed)")
    def key_last_used(self, key_id: str) -> str:
        """The date, empty if it was never used."""
        answer = self._client("iam").get_access_key_last_used(AccessKeyId=key_id)
        return str(answer["AccessKeyLastUsed"].get("LastUsedDate", ""))

    @call("create an access key of user {0} (iam:CreateAccessKey)")
    def create_key(self, user: str) -> tuple[str, str]:
        """The key's id and secret. Raises CallFailed if there are two by now: one of them may be about to be handed
        over."""
        try:
            key = until_visible(self._client("iam").create_access_key, UserName=user)["AccessKey"]
        except botocore.exceptions.ClientError as error:
            if error_code(error) != "LimitExceeded":
                raise
            raise CallFailed(
                f"User {user} got another access key after its keys were read, and IAM does not allow a third."
                " Another run may be handing it over to CAST AI right now: wait until that run has finished, then"
                " run again."
            ) from error
        return key["AccessKeyId"], key["SecretAccessKey"]

    @call("delete access key {1} of user {0} (iam:DeleteAccessKey)", absent=True)
    def delete_key(self, user: str, key_id: str) -> None:
        self._client("iam").delete_access_key(UserName=user, AccessKeyId=key_id)

    def _policy_arn(self, name: str) -> str:
        """name: with its path."""
        _arn, partition, _service, _region, account, _caller = self.caller_arn().split(":", 5)
        return f"arn:{partition}:iam::{account}:policy{name}"

    def _of(self, kind: str, operation: str) -> Callable[..., Any]:
        """The name of the IAM operation for a role or a user."""
        found: Callable[..., Any] = getattr(self._client("iam"), operation.format(kind))
        return found


@contextlib.contextmanager
def _unless_denied() -> Iterator[None]:
    """Go on after the block if these credentials may not do what is in it."""
    try:
        yield
    except botocore.exceptions.ClientError as error:
        if error_code(error) not in DENIED:
            raise


def external_ids(trust: Mapping[str, Any]) -> list[str]:
    """The external ids that a trust policy requires: the clusters at CAST AI that the role was created for."""
    conditions = [statement.get("Condition") or {} for statement in _listed(trust.get("Statement"))]
    return [one for condition in conditions for one in _listed((condition.get("StringEquals") or {}).get(EXTERNAL_ID))]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


def _verdict(result: Mapping[str, Any]) -> Verdict:
    details = {
        "organization": (result.get("OrganizationsDecisionDetail") or {}).get("AllowedByOrganizations"),
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
        tag_dict(found.get("Tags")),
        (found.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn") or "",
        found.get("AssumeRolePolicyDocument") or {},
        found.get("CreateDate"),
    )


def _name(kind: str, name: str) -> dict[str, str]:
    return {"RoleName" if kind == "role" else "UserName": name}


def _compact(document: Mapping[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))
