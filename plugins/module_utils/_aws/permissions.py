# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the AWS credentials of a run need. Pure. PRIVATE to the collection.

The one source of the published policies, of the tables in the documentation, and of what castai_preflight simulates.
Resources, condition keys and dependent actions: the Service Authorization Reference of IAM, EC2 and EKS.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._names import TAG_CLUSTER_ID
from . import kops_policies, names, policies
from .policies import Document

ROLE, USER, KOPS = "role", "user", "kops"
"""Identities of CAST AI: for EKS clusters a role or a user, for kOps clusters a user."""

ON_EKS = (ROLE, USER)

READ, CREATE, CHANGE, REMOVE, ASK = "read", "create", "change", "remove", "ask"
"""What an action is for: to read; to create what is absent; to change what another run or tool created; to remove; and
to check in advance what is missing. No run depends on the last one."""

PLAN = "plan"
"""A phase that only reads: check mode of connecting and onboarding."""

PHASES: Mapping[str, tuple[str, ...]] = {
    PLAN: (READ, ASK),
    "connect": (READ,),
    "onboard": (READ, CREATE, CHANGE, ASK),
    "remove": (READ, REMOVE),
}

SIMULATED = (READ, CREATE, CHANGE)
"""What preflight asks about: what onboarding may need."""

CONNECT, ACCESS, USER_ACCESS, IDENTITY, NODE_ROLE, PROFILE, GROUP, SPOT_ROLE = (
    "connect",
    "access",
    "user_access",
    "identity",
    "node_role",
    "profile",
    "group",
    "spot_role",
)
"""Parts of the work. A cluster may not need all of them."""

# The kinds of resources, as ARNs. There are several names if other tools' objects are looked for too.
_IAM = "arn:{partition}:iam::{account}:"
_EC2 = "arn:{partition}:ec2:{region}:{account}:"
_EKS = "arn:{partition}:eks:{region}:{account}:"
_RESOURCES: Mapping[str, tuple[str, ...]] = {
    "role": (f"{_IAM}role{{path}}cast-eks-*", f"{_IAM}role{{path}}castai-eks-*"),
    "node role": (
        f"{_IAM}role{{path}}cast-*-eks-*",
        f"{_IAM}role{{path}}cast-eks-*-node-role",
        f"{_IAM}role{{path}}castai-eks-instance-*",
    ),
    "user": (f"{_IAM}user{{path}}cast-eks-*",),
    "policy": tuple(
        f"{_IAM}policy{{path}}{name}*" for name in (names.MANAGED_POLICY, names.RESTRICTED_POLICY, names.IPV6_POLICY)
    ),
    "user for kOps": (f"{_IAM}user{{path}}cast-kops-*",),
    "policy for kOps": tuple(
        f"{_IAM}policy{{path}}{name}*"
        for name in (
            names.KOPS_OLD_POLICY,
            names.KOPS_POLICY_OF_DOCUMENTS,
            names.KOPS_RESTRICTED_POLICY,
            names.KOPS_RESTRICTED_OF_DOCUMENTS,
        )
    ),
    "spot role": (f"{_IAM}role{{path}}{names.SPOT_LAMBDA_ROLE}",),
    "instance profile": (
        f"{_IAM}instance-profile{{path}}cast-*-eks-*",
        f"{_IAM}instance-profile{{path}}cast-eks-*-profile-*",
        f"{_IAM}instance-profile{{path}}castai-eks-instance-*",
    ),
    "security group": (f"{_EC2}security-group/*",),
    "VPC": (f"{_EC2}vpc/*",),
    "EKS cluster": (f"{_EKS}cluster/{{cluster}}",),
    "access entry": (f"{_EKS}access-entry/{{cluster}}/*",),
    "caller": (f"{_IAM}role/*", f"{_IAM}user/*"),
    "everything": ("*",),
}

_REGION_OF_IAM = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
"""The region that serves IAM calls for clusters of any region. Source: botocore's endpoints.json, credentialScope."""


@dataclass(frozen=True)
class Scope:
    """Where a run works. All fields but the path may be placeholders."""

    partition: str
    account: str
    region: str
    cluster: str
    path: str = "/"

    def fill(self, texts: Collection[str]) -> list[str]:
        """ARNs with the placeholders in braces filled in. For IAM, those at the root too, where other tools put
        everything."""
        known = {"partition": self.partition, "account": self.account, "region": self.region, "cluster": self.cluster}
        paths = dict.fromkeys(("/", self.path))
        return list(dict.fromkeys(text.format(path=path, **known) for text in texts for path in paths))


@dataclass(frozen=True)
class Grant:
    """Actions on one kind of resource. actions: by purpose; condition: as in a policy, with ARNs as templates.

    The first of a condition's values is one that a simulation can try.
    """

    sid: str
    part: str
    on: str
    actions: Mapping[str, tuple[str, ...]]
    condition: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    identities: tuple[str, ...] = ON_EKS

    def of(self, purposes: Collection[str]) -> list[str]:
        return [action for purpose, actions in self.actions.items() if purpose in purposes for action in actions]


@dataclass(frozen=True)
class Question:
    """A question for the simulation: may these actions be done on this resource? context: condition keys.

    needed: the actions that every run needs.
    """

    actions: tuple[str, ...]
    needed: frozenset[str]
    resource: str
    context: Mapping[str, str]


def _aws(*managed: str) -> tuple[str, ...]:
    return policies.aws_managed("{partition}", managed)


def _ours(*managed: str) -> tuple[str, ...]:
    return tuple(f"{_IAM}policy{{path}}{name}*" for name in managed)


def _attachable(*arns: str) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    return {"ArnLike": {"iam:PolicyARN": arns}}


_MARKED = {"Null": {f"aws:ResourceTag/{TAG_CLUSTER_ID}": ("false",)}}
"""Condition: a tag on the object names the cluster at CAST AI that it is for."""

_OF_POLICIES: Mapping[str, tuple[str, ...]] = {
    READ: ("iam:GetPolicy", "iam:GetPolicyVersion"),
    CREATE: ("iam:CreatePolicy", "iam:TagPolicy"),
    CHANGE: ("iam:CreatePolicyVersion", "iam:DeletePolicyVersion", "iam:ListPolicyVersions"),
    REMOVE: ("iam:DeletePolicy", "iam:DeletePolicyVersion", "iam:ListPolicyVersions"),
}

GRANTS: tuple[Grant, ...] = (
    Grant("Cluster", CONNECT, "EKS cluster", {READ: ("eks:DescribeCluster",)}),
    Grant("Instances", CONNECT, "everything", {READ: ("ec2:DescribeInstances",)}, identities=(KOPS,)),
    Grant(
        "AccessEntries",
        ACCESS,
        "access entry",
        {
            READ: ("eks:DescribeAccessEntry",),
            CREATE: ("eks:TagResource",),
            CHANGE: ("eks:DeleteAccessEntry",),
            REMOVE: ("eks:DeleteAccessEntry",),
        },
    ),
    Grant(
        "AccessOfNodes",
        ACCESS,
        "EKS cluster",
        {CREATE: ("eks:CreateAccessEntry",)},
        {"StringEquals": {"eks:accessEntryType": ("EC2_LINUX",)}},
    ),
    Grant(
        "AccessOfUser",
        USER_ACCESS,
        "EKS cluster",
        {CREATE: ("eks:CreateAccessEntry",)},
        {"StringEquals": {"eks:accessEntryType": ("STANDARD",)}},
        (USER,),
    ),
    Grant(
        "AccessPolicies",
        USER_ACCESS,
        "access entry",
        {READ: ("eks:ListAssociatedAccessPolicies",)},
        identities=(USER,),
    ),
    Grant(
        "AccessPolicyOfUser",
        USER_ACCESS,
        "access entry",
        {CREATE: ("eks:AssociateAccessPolicy",)},
        {
            "ArnEquals": {
                "eks:policyArn": ("arn:{partition}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",)
            }
        },
        (USER,),
    ),
    Grant(
        "Role",
        IDENTITY,
        "role",
        {
            READ: ("iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies"),
            CREATE: ("iam:CreateRole", "iam:PutRolePolicy", "iam:TagRole"),
            CHANGE: ("iam:UpdateAssumeRolePolicy",),
            REMOVE: ("iam:DeleteRole", "iam:DeleteRolePolicy", "iam:ListRolePolicies"),
            ASK: ("iam:ListRolePolicies",),
        },
        identities=(ROLE,),
    ),
    Grant(
        "RoleAttachments",
        IDENTITY,
        "role",
        {CREATE: ("iam:AttachRolePolicy",), CHANGE: ("iam:DetachRolePolicy",), REMOVE: ("iam:DetachRolePolicy",)},
        _attachable(*_aws(*policies.OF_CASTAI), *_ours(names.MANAGED_POLICY)),
        (ROLE,),
    ),
    Grant(
        "User",
        IDENTITY,
        "user",
        {
            READ: (
                "iam:GetAccessKeyLastUsed",
                "iam:GetUser",
                "iam:GetUserPolicy",
                "iam:ListAccessKeys",
                "iam:ListAttachedUserPolicies",
            ),
            # A key that CAST AI refuses is deleted by the run that created it.
            CREATE: ("iam:CreateAccessKey", "iam:CreateUser", "iam:DeleteAccessKey", "iam:TagUser"),
            CHANGE: ("iam:DeleteUserPolicy", "iam:UntagUser"),
            REMOVE: ("iam:DeleteAccessKey", "iam:DeleteUser", "iam:DeleteUserPolicy", "iam:ListUserPolicies"),
        },
        identities=(USER,),
    ),
    Grant(
        "UserAttachments",
        IDENTITY,
        "user",
        {CREATE: ("iam:AttachUserPolicy",), CHANGE: ("iam:DetachUserPolicy",), REMOVE: ("iam:DetachUserPolicy",)},
        _attachable(*_aws(*policies.OF_CASTAI), *_ours(names.MANAGED_POLICY, names.RESTRICTED_POLICY)),
        (USER,),
    ),
    Grant(
        "FormerUser",
        IDENTITY,
        "user",
        {CHANGE: ("iam:DeleteAccessKey", "iam:GetUser", "iam:ListAccessKeys")},
        identities=(ROLE,),
    ),
    Grant(
        "AttachmentsByScript",
        IDENTITY,
        "user",
        {REMOVE: ("iam:DetachUserPolicy",)},
        _attachable(*_aws(*policies.OF_SCRIPTS_USER)),
        (USER,),
    ),
    Grant("Policies", IDENTITY, "policy", _OF_POLICIES),
    Grant(
        "NodeRole",
        NODE_ROLE,
        "node role",
        {
            READ: ("iam:GetRole", "iam:ListAttachedRolePolicies"),
            CREATE: ("iam:CreateRole", "iam:TagRole"),
            CHANGE: ("iam:UpdateAssumeRolePolicy",),
            REMOVE: ("iam:DeleteRole", "iam:ListInstanceProfilesForRole", "iam:ListRolePolicies"),
        },
    ),
    Grant(
        "NodeRoleAttachments",
        NODE_ROLE,
        "node role",
        {CREATE: ("iam:AttachRolePolicy",), REMOVE: ("iam:DetachRolePolicy",)},
        _attachable(*_aws(*policies.OF_NODES), *_ours(names.IPV6_POLICY)),
    ),
    Grant(
        "NodeRoleToInstances",
        PROFILE,
        "node role",
        {CREATE: ("iam:PassRole",)},
        {"StringEquals": {"iam:PassedToService": ("{ec2}",)}},
    ),
    Grant(
        "InstanceProfiles",
        PROFILE,
        "instance profile",
        {
            READ: ("iam:GetInstanceProfile",),
            CREATE: ("iam:AddRoleToInstanceProfile", "iam:CreateInstanceProfile", "iam:TagInstanceProfile"),
            CHANGE: ("iam:RemoveRoleFromInstanceProfile",),
            REMOVE: ("iam:DeleteInstanceProfile", "iam:RemoveRoleFromInstanceProfile"),
        },
    ),
    Grant(
        "User",
        IDENTITY,
        "user for kOps",
        {
            READ: (
                "iam:GetAccessKeyLastUsed",
                "iam:GetUser",
                "iam:GetUserPolicy",
                "iam:ListAccessKeys",
                "iam:ListAttachedUserPolicies",
                "iam:ListUserPolicies",
            ),
            # A key that CAST AI refuses is deleted by the run that created it.
            CREATE: ("iam:CreateAccessKey", "iam:CreateUser", "iam:DeleteAccessKey", "iam:TagUser"),
            CHANGE: ("iam:DeleteUserPolicy", "iam:UntagUser"),
            REMOVE: ("iam:DeleteAccessKey", "iam:DeleteUser", "iam:DeleteUserPolicy"),
        },
        identities=(KOPS,),
    ),
    Grant(
        "UserAttachments",
        IDENTITY,
        "user for kOps",
        {CREATE: ("iam:AttachUserPolicy",), CHANGE: ("iam:DetachUserPolicy",), REMOVE: ("iam:DetachUserPolicy",)},
        _attachable(*_aws(*kops_policies.OF_CASTAI), *_RESOURCES["policy for kOps"]),
        (KOPS,),
    ),
    Grant("FindPolicies", IDENTITY, "everything", {READ: ("iam:ListPolicies",)}, identities=(KOPS,)),
    Grant("Policies", IDENTITY, "policy for kOps", _OF_POLICIES, identities=(KOPS,)),
    Grant(
        "SpotRole",
        SPOT_ROLE,
        "spot role",
        {
            READ: ("iam:GetRole", "iam:ListAttachedRolePolicies"),
            CREATE: ("iam:CreateRole", "iam:TagRole"),
            REMOVE: ("iam:DeleteRole", "iam:ListRolePolicies", "iam:UntagRole"),
        },
        identities=(KOPS,),
    ),
    Grant(
        "SpotRoleAttachments",
        SPOT_ROLE,
        "spot role",
        {CREATE: ("iam:AttachRolePolicy",), REMOVE: ("iam:DetachRolePolicy",)},
        _attachable(*_aws(*policies.OF_SPOT_ROLE)),
        (KOPS,),
    ),
    Grant("FindNodes", GROUP, "everything", {REMOVE: ("ec2:DescribeInstances",)}),
    Grant("FindGroups", GROUP, "everything", {READ: ("ec2:DescribeSecurityGroups",)}),
    Grant("NewGroup", GROUP, "security group", {CREATE: ("ec2:CreateSecurityGroup",)}),
    Grant("NewGroupInVpc", GROUP, "VPC", {CREATE: ("ec2:CreateSecurityGroup",)}),
    Grant(
        "NewGroupTags",
        GROUP,
        "security group",
        {CREATE: ("ec2:CreateTags",)},
        {"StringEquals": {"ec2:CreateAction": ("CreateSecurityGroup",)}},
    ),
    Grant(
        "Groups",
        GROUP,
        "security group",
        {
            CREATE: ("ec2:AuthorizeSecurityGroupIngress",),
            CHANGE: ("ec2:AuthorizeSecurityGroupEgress", "ec2:CreateTags"),
            REMOVE: ("ec2:DeleteSecurityGroup",),
        },
        _MARKED,
    ),
    Grant("Quotas", IDENTITY, "everything", {ASK: ("iam:GetAccountSummary",)}, identities=(*ON_EKS, KOPS)),
    Grant("TakenNames", IDENTITY, "everything", {ASK: ("iam:ListPolicies",)}),
    Grant("Simulation", CONNECT, "caller", {ASK: ("iam:SimulatePrincipalPolicy",)}, identities=(*ON_EKS, KOPS)),
)


def only_reads(action: str) -> bool:
    """Whether a plan needs this action."""
    return any(action in grant.of((READ,)) for grant in GRANTS)


def granted(phase: str, identity: str, further: Collection[str] = ()) -> Iterator[Grant]:
    """What a phase needs. further: parts that an identity can have but usually does not."""
    for grant in GRANTS:
        # A plan is made before it is known which identity an EKS cluster gets, or by somebody who does not know.
        identities = ON_EKS if phase == PLAN and identity in ON_EKS else (identity,)
        wanted = bool(set(identities) & set(grant.identities)) or grant.part in further
        if wanted and grant.of(PHASES[phase]) and (phase != "connect" or grant.part == CONNECT):
            yield grant


def file_name(phase: str, identity: str) -> str:
    """The published policy, in docs/examples/policies. On EKS, the identity does not matter for connecting and for a
    plan."""
    if identity == KOPS:
        return f"kops-{phase}.json"
    return f"eks-{phase}.json" if phase in ("connect", PLAN) else f"eks-{phase}-{identity}.json"


def document(phase: str, identity: str, scope: Scope) -> Document:
    """The policy that allows one phase, and nothing more."""
    statements = []
    for grant in granted(phase, identity):
        condition = {
            operator: {key: _single(_filled(values, scope)) for key, values in keys.items()}
            for operator, keys in grant.condition.items()
        }
        statements.append(
            {
                "Sid": grant.sid,
                "Effect": "Allow",
                "Action": _single(sorted(grant.of(PHASES[phase]))),
                "Resource": _single(scope.fill(_RESOURCES[grant.on])),
                **({"Condition": condition} if condition else {}),
            }
        )
    return {"Version": "2012-10-17", "Statement": statements}


def questions(
    needed: Collection[str],
    identity: str,
    unneeded: Collection[str],
    scope: Scope,
    cluster_id: str,
    vpc: str = "",
    further: Collection[str] = (),
) -> tuple[Question, ...]:
    """What to simulate for onboarding one cluster. needed: purposes that every run has; unneeded: parts to leave out.

    Every question has all condition keys that the published policies use, so that none is missing, and those that
    service control policies often ask for, such as the region.
    """
    all_of_it = granted("onboard", identity, further)
    wanted = [grant for grant in all_of_it if grant.part not in unneeded and grant.of(SIMULATED)]
    tried = {grant.sid: dict(_tried(grant, scope)) for grant in wanted}
    known = {key: value for context in tried.values() for key, value in context.items()}
    grouped: dict[tuple[str, tuple[tuple[str, str], ...]], list[Grant]] = {}
    for grant in wanted:
        grouped.setdefault((grant.on, tuple(tried[grant.sid].items())), []).append(grant)
    return tuple(
        Question(
            tuple(action for grant in grants for action in grant.of(SIMULATED)),
            frozenset(action for grant in grants for action in grant.of(needed)),
            _example(on, scope, cluster_id, vpc),
            {**known, **dict(context)},
        )
        for (on, context), grants in grouped.items()
    )


def _example(on: str, scope: Scope, cluster_id: str, vpc: str) -> str:
    """The resource that a run would work on."""
    node_role = names.eks_node_role(scope.cluster, cluster_id)
    named = {
        "role": f"{_IAM}role{{path}}{names.eks_role(scope.cluster, cluster_id)}",
        "node role": f"{_IAM}role{{path}}{node_role}",
        "user": f"{_IAM}user{{path}}{names.eks_users(scope.cluster, cluster_id)[0]}",
        "policy": f"{_IAM}policy{{path}}{names.cluster_policies(names.MANAGED_POLICY, scope.cluster, cluster_id)[0]}",
        "user for kOps": f"{_IAM}user{{path}}{names.kops_users(scope.cluster, cluster_id)[0]}",
        "policy for kOps": (
            f"{_IAM}policy{{path}}{names.cluster_policies(names.KOPS_MANAGED_POLICY, scope.cluster, cluster_id)[0]}"
        ),
        "spot role": _RESOURCES["spot role"][0],
        "instance profile": f"{_IAM}instance-profile{{path}}{node_role}",
        "security group": f"{_EC2}security-group/sg-{'0' * 17}",
        "VPC": f"{_EC2}vpc/{vpc}",
        "EKS cluster": f"{_EKS}cluster/{{cluster}}",
        "access entry": f"{_EKS}access-entry/{{cluster}}/role/{{account}}/{node_role}/{'0' * 8}",
        "everything": "*",
    }[on]
    return scope.fill([named])[-1]


def _tried(grant: Grant, scope: Scope) -> Iterator[tuple[str, str]]:
    of_iam = any(action.startswith("iam:") for action in grant.of(PHASES["onboard"]))
    yield "aws:RequestedRegion", _REGION_OF_IAM.get(scope.partition, scope.region) if of_iam else scope.region
    yield "aws:SecureTransport", "true"
    for operator, keys in grant.condition.items():
        for key, values in keys.items():
            yield key, scope.cluster if operator == "Null" else _filled(values, scope)[0]


def _filled(values: Collection[str], scope: Scope) -> list[str]:
    service = policies.ec2_service(scope.partition)
    return scope.fill([service if value == "{ec2}" else value for value in values])


def _single(values: list[str]) -> Any:
    """As policies are written: a single value without a list around it."""
    return values[0] if len(values) == 1 else values
