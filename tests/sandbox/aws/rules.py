# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWS refuses although moto 5.2.5 accepts it. These rules run before a request reaches moto.

Quotas: "IAM and AWS STS quotas" of the IAM User Guide. Texts: as clients have reported them, with one report each;
those marked so are from memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from moto.ec2.models import ec2_backends
from moto.eks.models import eks_backends
from moto.iam.exceptions import MalformedPolicyDocument
from moto.iam.models import IAMBackend, InstanceProfile, Role, User
from moto.iam.policy_validation import IAMTrustPolicyDocumentValidator

from .accounts import Accounts, Caller
from .eks import INVALID_PRINCIPAL, NO_ENTRY, forget_principal
from .limits import check_limits
from .permissions import entry_arn
from .visibility import Visibility
from .wire import AwsError, Operation, Refused

TRUST_SIZE, MANAGED_SIZE, INLINE_SIZES = 2048, 6144, {"user": 2048, "role": 10240}
ATTACHED = 10  # managed policies on one user or role


@dataclass(frozen=True)
class Asked:
    """An authorized request and its world."""

    accounts: Accounts
    visibility: Visibility
    operation: Operation
    caller: Caller

    @property
    def iam(self) -> IAMBackend:
        return self.accounts.iam(self.caller.account)

    def text(self, name: str) -> str:
        return self.operation.text(name)

    def found(self, kind: str) -> User | Role | InstanceProfile | None:
        return self.accounts.named(self.caller.account, kind, self.text(PARAMETERS[kind]))


# What to do once moto has done its part.
Then = Callable[[], None]
PARAMETERS = {"role": "RoleName", "user": "UserName", "instance-profile": "InstanceProfileName"}


def check(asked: Asked) -> Then:
    """Raise AwsError if AWS would refuse; otherwise return what remains to be done after moto has handled the
    request."""
    operation = asked.operation
    check_limits(operation)
    _check_tags(operation)
    for policy in (asked.text("PolicyArn"), asked.text("PermissionsBoundary")):
        asked.accounts.load_managed(asked.caller.account, policy) if policy else None
    if operation.action == "iam:ListPolicies" and asked.text("Scope") != "Local":
        asked.accounts.load_managed(asked.caller.account)
    _check_visible(asked)
    rule = RULES.get(operation.action)
    return (rule and rule(asked)) or _nothing


def _nothing() -> None:
    pass


def _check_tags(operation: Operation) -> None:
    """No tag key may begin with aws: in any case ("Tagging AWS resources", and aws-samples/amazon-mwaa-examples 89)."""
    for key in operation.tags:
        if key.lower().startswith("aws:"):
            if operation.service == "ec2":  # kubernetes-sigs/cluster-api-provider-aws 5461
                raise AwsError(
                    "invalid",
                    f"Value ( {key} ) for parameter key is invalid. "
                    "Tag keys starting with 'aws:' are reserved for internal use",
                )
            code = "InvalidInput" if operation.service == "iam" else "InvalidParameterException"  # from memory
            raise Refused(400, code, "aws: prefixed tag key names are not allowed for external use.")


def _check_visible(asked: Asked) -> None:
    """New objects are not found yet, whichever operation names them."""
    operation = asked.operation
    if operation.service != "iam":
        return
    for kind, parameter in PARAMETERS.items():
        name = asked.text(parameter)
        if not name or operation.name == MAKES.get(kind):
            continue
        found = asked.found(kind)
        if found and asked.visibility.hides(found.arn, operation.name):
            subject = "Instance Profile" if kind == "instance-profile" else f"The {kind} with name"
            raise Refused(404, "NoSuchEntity", f"{subject} {name} cannot be found.")
    policy = asked.text("PolicyArn")
    if policy and asked.visibility.hides(policy, operation.name):
        raise Refused(404, "NoSuchEntity", f"Policy {policy} does not exist or is not attachable.")


MAKES = {"role": "CreateRole", "user": "CreateUser", "instance-profile": "CreateInstanceProfile"}


# Making


def _create_role(asked: Asked) -> Then:
    if asked.text("Path").startswith("/aws-service-role/"):
        # tilfin/aws-iam-policy-tool 9
        message = "Path prefix '/aws-service-role/' can only be used for AWS Service linked Roles"
        raise Refused(400, "InvalidInput", message)
    _check_trust(asked, asked.text("AssumeRolePolicyDocument"))
    _check_boundary(asked)
    return lambda: _note(asked, "role")


def _update_trust(asked: Asked) -> None:
    if asked.found("role"):  # else moto says that there is no such role
        _check_trust(asked, asked.text("PolicyDocument"))


def _create_user(asked: Asked) -> Then:
    _check_boundary(asked)
    return lambda: _finish_user(asked)


def _finish_user(asked: Asked) -> None:
    _note(asked, "user")
    user: Any = asked.found("user")
    arn = asked.text("PermissionsBoundary")
    if user and arn:  # moto gives users none
        user.permissions_boundary_arn = arn
        user.permissions_boundary = {
            "PermissionsBoundaryType": "PermissionsBoundaryPolicy",
            "PermissionsBoundaryArn": arn,
        }


def _create_profile(asked: Asked) -> Then:
    return lambda: _note(asked, "instance-profile")


def _note(asked: Asked, kind: str) -> None:
    found = asked.found(kind)
    if found:
        asked.visibility.note(found.arn)


def _create_key(asked: Asked) -> Then:
    user = asked.iam.users.get(asked.text("UserName"))
    return lambda: asked.visibility.note(user.access_keys[-1].access_key_id) if user else None


def _check_boundary(asked: Asked) -> None:
    arn = asked.text("PermissionsBoundary")
    if arn and asked.accounts.policy(asked.caller.account, arn) is None:
        # From memory.
        raise Refused(404, "NoSuchEntity", f"Scope ARN: {arn} does not exist or is not attachable.")


def _check_trust(asked: Asked, text: str) -> None:
    """Check a role's trust policy when the role is created: moto only checks updates, and never the principals."""
    try:
        IAMTrustPolicyDocumentValidator(text).validate()
    except MalformedPolicyDocument as error:
        raise _malformed(str(error.message)) from None
    statements = json.loads(text)["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        if "Principal" not in statement and "NotPrincipal" not in statement:
            raise _malformed("Missing required field Principal")  # from memory
        for kind, name in _principals(statement.get("Principal", "*")):
            if not _known_principal(asked, kind, name):
                # hashicorp/terraform-provider-aws 8905, databrickslabs/ucx 2269
                raise _malformed(f'Invalid principal in policy: "{kind.upper()}":"{name}"')
    if _size(text) > TRUST_SIZE:
        raise _limit(f"Cannot exceed quota for ACLSizePerRole: {TRUST_SIZE}")


def _malformed(message: str) -> Refused:
    return Refused(400, "MalformedPolicyDocument", message)


def _principals(principal: Any) -> Iterator[tuple[str, str]]:
    """(kind, name) of each; kind is AWS, Service, Federated or CanonicalUser."""
    named = principal if isinstance(principal, dict) else {"AWS": principal}
    for kind, names in named.items():
        yield from ((kind, name) for name in (names if isinstance(names, list) else [names]))


def _known_principal(asked: Asked, kind: str, name: str) -> bool:
    """IAM User Guide, "AWS JSON policy elements: Principal": a user or role must exist; IAM keeps its unique id."""
    if kind == "Service":
        return re.fullmatch(r"[a-z0-9.-]+\.amazonaws\.com(\.cn)?", name) is not None
    if kind != "AWS" or name == "*" or re.fullmatch(r"\d{12}", name):
        return kind in ("AWS", "Federated", "CanonicalUser")
    if re.fullmatch(rf"arn:{asked.caller.partition}:(iam::\d{{12}}:root|sts::\d{{12}}:assumed-role/[^/]+/.+)", name):
        return True
    if not name.startswith(f"arn:{asked.caller.partition}:iam::") or asked.accounts.entity(name) is None:
        return False
    return not asked.visibility.hides(name, asked.operation.name)


# Sizes and numbers


def _size(text: str) -> int:
    """Count characters without white space, as IAM does."""
    return len(re.sub(r"\s", "", text))


def _limit(message: str) -> Refused:
    return Refused(409, "LimitExceeded", message)


def _managed_document(asked: Asked) -> None:
    if _size(asked.text("PolicyDocument")) > MANAGED_SIZE:
        # docker/docs 5815
        raise _limit(f"Cannot exceed quota for PolicySize: {MANAGED_SIZE}")


def _create_policy(asked: Asked) -> Then:
    _managed_document(asked)
    name, before = asked.text("PolicyName"), set(asked.iam.managed_policies)
    own = f":{asked.caller.account}:policy/"
    if any(own in arn and arn.rpartition("/")[2].lower() == name.lower() for arn in before):
        # API Reference, CreatePolicy: a name is the account's, whatever its path and case.
        message = f"A policy called {name} already exists. Duplicate names are not allowed."
        raise Refused(409, "EntityAlreadyExists", message)

    def note() -> None:
        for arn in set(asked.iam.managed_policies) - before:
            asked.visibility.note(arn)

    return note


def _inline_document(asked: Asked) -> None:
    kind = "user" if asked.text("UserName") else "role"
    owner = asked.found(kind)
    if not isinstance(owner, (User, Role)):
        return
    documents = {**owner.policies, asked.text("PolicyName"): asked.text("PolicyDocument")}
    if sum(_size(text) for text in documents.values()) > INLINE_SIZES[kind]:
        # serverless/serverless 7643
        raise _limit(f"Maximum policy size of {INLINE_SIZES[kind]} bytes exceeded for {kind} {owner.name}")


def _attach(asked: Asked) -> Then:
    kind = "user" if asked.text("UserName") else "role"
    owner, arn = asked.found(kind), asked.text("PolicyArn")
    if not isinstance(owner, (User, Role)):
        return _nothing
    if len({*owner.managed_policies, arn}) > ATTACHED:
        # aws/eks-hybrid 741
        raise _limit(f"Cannot exceed quota for PoliciesPer{kind.capitalize()}: {ATTACHED}")
    policy = owner.managed_policies.get(arn)

    def count_once() -> None:
        """moto counts a policy that is already attached again."""
        if policy:
            policy.attachment_count -= 1

    return count_once


# Deleting


def _conflict(message: str) -> Refused:
    return Refused(409, "DeleteConflict", message)


def _delete_policy(asked: Asked) -> None:
    iam, arn = asked.iam, asked.text("PolicyArn")
    policy = iam.managed_policies.get(arn)
    owners: list[Any] = [*iam.get_roles(), *iam.users.values(), *iam.groups.values()]
    # redradrat/aws-iam-operator 13; as a boundary: gruntwork-io/cloud-nuke 972
    if any(arn in one.managed_policies or getattr(one, "permissions_boundary_arn", "") == arn for one in owners):
        raise _conflict("Cannot delete a policy attached to entities.")
    if policy and len(policy.versions) > 1:
        # rebuy-de/aws-nuke 1
        raise _conflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. "
            "The default version is deleted with the policy."
        )


def _delete_user(asked: Asked) -> Then:
    user = asked.iam.users.get(asked.text("UserName"))
    if user and user.access_keys and not user.managed_policies and not user.policies:
        # aws-controllers-k8s/community 2229
        raise _conflict("Cannot delete entity, must delete access keys first.")
    return lambda: _forget(asked, user.arn, f"AIDA{user.id[4:]}") if user else None


def _delete_role(asked: Asked) -> Then:
    role = asked.found("role")
    return lambda: _forget(asked, role.arn, role.id) if role else None


def _forget(asked: Asked, arn: str, unique_id: str) -> None:
    asked.accounts.forget(arn, unique_id)
    forget_principal(arn)


# EC2


def _ec2(asked: Asked) -> Any:
    return ec2_backends[asked.caller.account][asked.operation.region]


def _create_group(asked: Asked) -> Then:
    vpc = asked.text("VpcId")
    if vpc and vpc not in _ec2(asked).vpcs:
        raise Refused(400, "InvalidVpcID.NotFound", f"The vpc ID '{vpc}' does not exist")
    before = _groups(asked)

    def note() -> None:
        for group in _groups(asked) - before:
            asked.visibility.note(group)

    return note


def _groups(asked: Asked) -> set[str]:
    return {group.id for group in _ec2(asked).describe_security_groups()}


def _group(asked: Asked) -> None:
    """Check that a security group's id is well-formed, known and visible, with EC2's texts instead of moto's."""
    tagged = [name for name in asked.operation.listed("ResourceId") if name.startswith("sg-")]
    for name in filter(None, [asked.text("GroupId"), *asked.operation.listed("GroupId"), *tagged]):
        if not re.fullmatch(r"sg-[0-9a-f]{8,17}", name):
            raise Refused(400, "InvalidGroupId.Malformed", f'Invalid id: "{name}" (expecting "sg-...")')
        found = _ec2(asked).get_security_group_from_id(name)
        if found is None or asked.visibility.hides(name, asked.operation.name):
            raise Refused(400, "InvalidGroup.NotFound", f"The security group '{name}' does not exist")


def _delete_group(asked: Asked) -> None:
    _group(asked)
    ec2 = _ec2(asked)
    group = ec2.get_security_group_by_name_or_id(asked.text("GroupId") or asked.text("GroupName"))
    if group is None:
        return
    if group.is_default:
        # alantech/iasql 654
        message = f'the specified group: "{group.id}" name: "{group.name}" cannot be deleted by a user'
        raise Refused(400, "CannotDelete", message)
    others = [one for one in ec2.describe_security_groups() if one.id != group.id]
    rules = [rule for one in others for rule in (*one.ingress_rules, *one.egress_rules)]
    clusters = eks_backends[asked.caller.account][asked.operation.region].clusters.values()
    if (
        any(rule.source_group and rule.source_group.get("GroupId") == group.id for rule in rules)
        or any(group.id in [one.id for one in interface.group_set] for interface in ec2.enis.values())
        # EKS's own network interfaces, which moto does not make, carry the cluster's group.
        or any(one.resources_vpc_config.get("clusterSecurityGroupId") == group.id for one in clusters)
    ):
        # lianghong/delete_vpc 10
        raise Refused(400, "DependencyViolation", f"resource {group.id} has a dependent object")


# EKS


def _create_entry(asked: Asked) -> Then:
    if asked.visibility.hides(asked.text("principalArn"), asked.operation.name):
        raise Refused(400, "InvalidParameterException", INVALID_PRINCIPAL)
    return lambda: asked.visibility.note(entry_arn(asked.operation, asked.caller))


def _associate(asked: Asked) -> None:
    """terraform-aws-modules/terraform-aws-eks 3024"""
    if asked.visibility.hides(entry_arn(asked.operation, asked.caller), asked.operation.name):
        raise Refused(404, "ResourceNotFoundException", NO_ENTRY)


RULES: Mapping[str, Callable[[Asked], Then | None]] = {
    "iam:CreateRole": _create_role,
    "iam:UpdateAssumeRolePolicy": _update_trust,
    "iam:CreateUser": _create_user,
    "iam:CreateInstanceProfile": _create_profile,
    "iam:CreateAccessKey": _create_key,
    "iam:CreatePolicy": _create_policy,
    "iam:CreatePolicyVersion": _managed_document,
    "iam:PutRolePolicy": _inline_document,
    "iam:PutUserPolicy": _inline_document,
    "iam:AttachRolePolicy": _attach,
    "iam:AttachUserPolicy": _attach,
    "iam:DeletePolicy": _delete_policy,
    "iam:DeleteUser": _delete_user,
    "iam:DeleteRole": _delete_role,
    "ec2:CreateSecurityGroup": _create_group,
    "ec2:DescribeSecurityGroups": _group,
    "ec2:AuthorizeSecurityGroupIngress": _group,
    "ec2:AuthorizeSecurityGroupEgress": _group,
    "ec2:RevokeSecurityGroupIngress": _group,
    "ec2:RevokeSecurityGroupEgress": _group,
    "ec2:DeleteSecurityGroup": _delete_group,
    "ec2:CreateTags": _group,
    "eks:AssociateAccessPolicy": _associate,
    "eks:CreateAccessEntry": _create_entry,
}
