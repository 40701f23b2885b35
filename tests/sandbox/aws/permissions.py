# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what: what an operation needs, and whether the caller's policies, boundary and organization allow it.

Resources, condition keys and dependent actions: "Service Authorization Reference" of IAM, EC2 and EKS.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from moto.ec2.models import ec2_backends
from moto.eks.models import eks_backends
from moto.iam.models import Role

from .accounts import Accounts, Caller, boundary_document, named_documents
from .auth import Access, allowed, trusted
from .eks import EksCluster
from .wire import AwsError, Operation

NEEDS_NO_PERMISSION = ("sts:GetCallerIdentity", "sts:GetSessionToken")  # AWS STS API Reference
# The parameter that names what an operation is about, and its kind in an ARN. The first one given counts.
RESOURCES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "iam": (
        ("InstanceProfileName", "instance-profile"),
        ("RoleName", "role"),
        ("UserName", "user"),
        ("PolicyName", "policy"),
        ("PolicyArn", ""),
        ("PolicySourceArn", ""),
        ("AccessKeyId", "access key"),
    ),
    "sts": (("RoleArn", ""),),
    "eks": (("name", "cluster"),),
    "ec2": (
        ("GroupId", "security-group"),
        ("GroupName", "security-group"),
        ("ResourceId.1", "tagged"),
    ),
}
# An EC2 id's prefix and its kind in an ARN.
EC2_KINDS = {"sg": "security-group", "vpc": "vpc", "subnet": "subnet", "i": "instance", "sgr": "security-group-rule"}
# Operations about an access entry; CreateAccessEntry and ListAccessEntries are about the cluster.
OF_ENTRIES = (
    "DescribeAccessEntry",
    "UpdateAccessEntry",
    "DeleteAccessEntry",
    "AssociateAccessPolicy",
    "DisassociateAccessPolicy",
    "ListAssociatedAccessPolicies",
)
# Setting tags while creating takes the permission to tag as well: IAM User Guide, "Tags for IAM resources"; EC2 User
# Guide, "Grant permission to tag resources during creation"; for EKS as gravitational/teleport pull 44736 met it.
TAGGING = {
    "iam:CreateRole": "iam:TagRole",
    "iam:CreateUser": "iam:TagUser",
    "iam:CreatePolicy": "iam:TagPolicy",
    "iam:CreateInstanceProfile": "iam:TagInstanceProfile",
    "ec2:CreateSecurityGroup": "ec2:CreateTags",
    "eks:CreateAccessEntry": "eks:TagResource",
}


@dataclass(frozen=True)
class Decision:
    """`by`: the kind of policy that refuses, in AWS's words. explicit: whether by a Deny."""

    allowed: bool
    by: str = ""
    explicit: bool = False


IDENTITY, BOUNDARY, ORGANIZATION = "identity-based policy", "permissions boundary", "service control policy"


def decide(layers: Mapping[str, list[Any] | None], access: Access) -> Decision:
    """The documents of each kind of policy; None: there is no such limit.

    IAM User Guide, "Policy evaluation logic": any Deny refuses; then every existing kind must allow.
    """
    verdicts = {by: allowed(documents, access) for by, documents in layers.items() if documents is not None}
    for explicit in (True, False):
        for by, verdict in verdicts.items():
            if verdict is (False if explicit else None):
                return Decision(False, by, explicit)
    return Decision(True)


def layers(accounts: Accounts, caller: Caller) -> dict[str, list[Any] | None]:
    """The caller's documents, as `decide` takes them."""
    boundary = boundary_document(accounts, caller.account, caller.entity)
    control = accounts.control_policies.get(caller.account)
    return {
        ORGANIZATION: None if control is None else [control],
        BOUNDARY: None if boundary is None else [boundary],
        IDENTITY: [document for _name, document in named_documents(accounts, caller.account, caller.entity)],
    }


def authorize(accounts: Accounts, operation: Operation, caller: Caller) -> None:
    """Raise AwsError in AWS's words if the caller lacks a permission that the operation needs."""
    if operation.action in NEEDS_NO_PERMISSION:
        return
    documents = layers(accounts, caller)
    for access in needed(accounts, operation, caller):
        decision = decide(documents, access)
        if operation.action == "sts:AssumeRole":
            decision = _may_assume(accounts, caller, access, decision)
        if not decision.allowed:
            raise AwsError("denied", _denial(operation, caller, access, decision))


def _may_assume(accounts: Accounts, caller: Caller, access: Access, own: Decision) -> Decision:
    """The role's trust must name the caller; so must the caller's own policies, unless both are in one account.

    IAM User Guide, "Policy evaluation logic" and its cross-account part. moto asks no trust policy.
    own: what the caller's own policies say.
    """
    role = accounts.entity(access.resource)
    refused = own if not own.allowed else Decision(False, IDENTITY)
    if not isinstance(role, Role) or own.explicit:
        return refused
    whole_account = {f"arn:{caller.partition}:iam::{caller.account}:root", caller.account}
    trust = json.loads(role.assume_role_policy_document)
    by = trusted(trust, {caller.entity.arn, caller.arn, *whole_account}, access)
    near = by - whole_account and caller.account == role.account_id
    return Decision(True) if (by and own.allowed) or near else refused


def named(operation: Operation) -> Iterator[tuple[str, str]]:
    """The objects of the operation as (kind, name), the most specific first."""
    for parameter, kind in RESOURCES.get(operation.service, ()):
        if operation.parameters.get(parameter):
            yield kind, operation.text(parameter)


def needed(accounts: Accounts, operation: Operation, caller: Caller) -> Iterator[Access]:
    """Every permission that the caller needs for the operation."""
    resource = _resource(accounts, operation, caller)
    context = _context(accounts, operation, caller)
    yield Access(operation.action, resource, {**context, **_of_resource(accounts, operation, caller, resource)})
    if operation.action == "ec2:CreateSecurityGroup" and operation.text("VpcId"):
        # It acts on the VPC too, by the same action.
        yield Access(operation.action, _ec2_arn(operation, caller, "vpc", operation.text("VpcId")), context)
    tagging = TAGGING.get(operation.action)
    if tagging and operation.tags:
        created = {"ec2:createaction": (operation.name,)} if operation.service == "ec2" else {}
        about = entry_arn(operation, caller) if operation.service == "eks" else resource
        yield Access(tagging, about, {**context, **created})
    if operation.action == "iam:AddRoleToInstanceProfile":
        # IAM User Guide, "Grant a user permissions to pass a role to an AWS service"; an instance profile is EC2's.
        role = accounts.named(caller.account, "role", operation.text("RoleName"))
        passed = role.arn if role else f"arn:{caller.partition}:iam::{caller.account}:role/{operation.text('RoleName')}"
        service = "ec2.amazonaws.com.cn" if caller.partition == "aws-cn" else "ec2.amazonaws.com"
        yield Access("iam:PassRole", passed, {**context, "iam:passedtoservice": (service,)})


def _resource(accounts: Accounts, operation: Operation, caller: Caller) -> str:
    """The ARN that policies are matched against, `*` if the operation has none."""
    kind, name = next(named(operation), ("", "*"))
    if operation.action == "eks:TagResource":
        return operation.text("resourceArn")
    if operation.service == "eks":
        if operation.name in OF_ENTRIES:
            return entry_arn(operation, caller)
        return f"arn:{caller.partition}:eks:{operation.region}:{caller.account}:cluster/{name}" if kind else name
    if operation.service == "ec2":
        if kind == "tagged":
            kind = EC2_KINDS.get(name.partition("-")[0], "")
        return _ec2_arn(operation, caller, kind, name) if kind else "*"
    if not kind:
        return name
    iam = accounts.iam(caller.account)
    if kind == "access key":
        key = iam.access_keys.get(name)
        kind, name = "user", (key.user_name if key else None) or name
    path = operation.text("Path", "/")
    if kind != "policy":
        owner = accounts.named(caller.account, kind, name)
        path = owner.path if owner else path
    return f"arn:{caller.partition}:iam::{caller.account}:{kind}{path}{name}"


def _ec2_arn(operation: Operation, caller: Caller, kind: str, name: str) -> str:
    return f"arn:{caller.partition}:ec2:{operation.region}:{caller.account}:{kind}/{name}"


def entry_arn(operation: Operation, caller: Caller) -> str:
    """The access entry's ARN; one that does not exist has no id yet."""
    cluster, principal = operation.text("name"), operation.text("principalArn")
    found = eks_backends[caller.account][operation.region].clusters.get(cluster)
    if isinstance(found, EksCluster) and principal in found.access_entries:
        return str(found.access_entries[principal]["accessEntryArn"])
    account, _sign, path = principal.partition("::")[2].partition(":")
    kind, name = path.partition("/")[0], path.rpartition("/")[2]
    prefix = f"arn:{caller.partition}:eks:{operation.region}:{caller.account}"
    return f"{prefix}:access-entry/{cluster}/{kind}/{account}/{name}/*"


def _context(accounts: Accounts, operation: Operation, caller: Caller) -> dict[str, tuple[str, ...]]:
    """The condition keys of a request that this world supports, in lower case."""
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
        ("eks:accessentrytype", "type"),
    ):
        if operation.parameters.get(parameter):
            context[key] = (operation.text(parameter),)
    tags = operation.tags
    if tags:
        context["aws:tagkeys"] = tuple(tags)
        context.update({f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()})
    return context


def _of_resource(accounts: Accounts, operation: Operation, caller: Caller, resource: str) -> dict[str, tuple[str, ...]]:
    """The condition keys of the operation's object: its tags, its permissions boundary, its VPC."""
    kind, name = next(named(operation), ("", ""))
    context: dict[str, tuple[str, ...]] = {}
    tags: Mapping[str, str] = {}
    if operation.service == "iam" and kind in ("role", "user", "instance-profile"):
        found = accounts.named(caller.account, kind, name)
        tags = {tag["Key"]: tag["Value"] for tag in (found.tags if found else None) or ()}
        boundary = getattr(found, "permissions_boundary_arn", None)
        if boundary:
            context["iam:permissionsboundary"] = (boundary,)
    elif operation.service == "iam" and ":policy/" in resource:
        policy = accounts.iam(caller.account).managed_policies.get(resource)
        tags = {key: tag["Value"] for key, tag in policy.tags.items()} if policy else {}
    elif operation.service == "ec2" and ":security-group/" in resource:
        group = ec2_backends[caller.account][operation.region].get_security_group_from_id(name)
        tags = {tag["key"]: tag["value"] for tag in group.get_tags()} if group else {}
        if group:
            context["ec2:vpc"] = (_ec2_arn(operation, caller, "vpc", str(group.vpc_id)),)
    for key, value in tags.items():
        for prefix in ("aws", operation.service):
            context[f"{prefix}:resourcetag/{key.lower()}"] = (value,)
    return context


def _denial(operation: Operation, caller: Caller, access: Access, decision: Decision) -> str:
    """The wording of IAM User Guide, "Troubleshoot access denied error messages"; EC2 puts its own sentence before
    it."""
    sentence = f"User: {caller.arn} is not authorized to perform: {access.action} on resource: {access.resource}"
    if decision.explicit:
        sentence += f" with an explicit deny in {'an' if decision.by == IDENTITY else 'a'} {decision.by}"
    elif operation.action != "sts:AssumeRole":
        sentence += f" because no {decision.by} allows the {access.action} action"
    return f"You are not authorized to perform this operation. {sentence}" if operation.protocol == "ec2" else sentence
