# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documents that say what CAST AI's identity and its nodes may do. Pure. PRIVATE to the collection.

Contents: CAST AI's Terraform provider, castai/policies/eks, with the launch template's partition corrected.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .._gateways.aws_iam import external_ids

Document = Mapping[str, Any]

OF_CASTAI = ("AmazonEC2ReadOnlyAccess", "IAMReadOnlyAccess")
OF_SCRIPTS_USER = ("AmazonEventBridgeReadOnlyAccess", "AWSLambda_ReadOnlyAccess")
"""What CAST AI's script attaches to a user on EKS, and this collection does not."""

OF_SPOT_ROLE = ("CloudWatchLogsFullAccess", "service-role/AWSLambdaRole", "AmazonEC2ReadOnlyAccess")
"""The last one is in CAST AI's documents for kOps, but not in its script."""

OF_NODES = ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryReadOnly", "AmazonEKS_CNI_Policy")
IPV6_NODES: Document = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["ec2:AssignIpv6Addresses"], "Resource": ["*"]}],
}


@dataclass(frozen=True)
class Location:
    """Where a cluster is. vpc_account: the account that owns the VPC; the cluster's own unless the VPC is shared."""

    partition: str
    account: str
    region: str
    cluster: str
    vpc: str
    vpc_account: str

    @property
    def tag(self) -> str:
        return f"kubernetes.io/cluster/{self.cluster}"

    @property
    def ec2_service(self) -> str:
        return ec2_service(self.partition)

    def iam(self, kind: str, path: str, name: str) -> str:
        """ARN of an IAM object of the account. kind: role, user, policy, instance-profile."""
        return f"arn:{self.partition}:iam::{self.account}:{kind}{path}{name}"


def ec2_service(partition: str) -> str:
    """EC2's service principal, which differs in China. Source: IAM User Guide, reference_policies_elements."""
    return "ec2.amazonaws.com.cn" if partition == "aws-cn" else "ec2.amazonaws.com"


def eks_managed(location: Location) -> Document:
    """What CAST AI may do in the account: pass roles to EC2 and EKS, tag, and use the parts of an instance."""
    ec2 = f"arn:{location.partition}:ec2:*:{location.account}"
    parts = ("network-interface", "security-group", "volume", "key-pair", "capacity-reservation")
    return document(
        allow(
            "PassRoleEC2",
            ["iam:PassRole"],
            [f"arn:{location.partition}:iam::*:role/*"],
            {"StringEquals": {"iam:PassedToService": location.ec2_service}},
        ),
        allow(
            "PassRoleEKS",
            ["iam:PassRole"],
            [f"arn:{location.partition}:iam::*:role/*"],
            {"StringEquals": {"iam:PassedToService": "eks.amazonaws.com"}},
        ),
        allow(
            "NonResourcePermissions",
            [
                "iam:CreateServiceLinkedRole",
                "ec2:CreateTags",
                "ec2:DeleteKeyPair",
                "ec2:DescribeCapacityReservations",
                "ec2:ImportKeyPair",
            ],
            ["*"],
        ),
        allow(
            "RunInstancesPermissions",
            ["ec2:RunInstances"],
            [*(f"{ec2}:{part}/*" for part in parts), f"arn:{location.partition}:ec2:*::image/*"],
        ),
    )


def eks_restricted(location: Location) -> Document:
    """What CAST AI may do to this cluster's instances, groups and templates."""
    here = f"{location.region}:{location.account}"
    ec2, vpc = (
        f"arn:{location.partition}:ec2:{here}",
        f"arn:{location.partition}:ec2:{location.region}:{location.vpc_account}",
    )
    groups = f"arn:{location.partition}:autoscaling:{here}:autoScalingGroup:*:autoScalingGroupName/*"
    eks = f"arn:{location.partition}:eks:{here}"
    asked = {"StringEquals": {f"aws:RequestTag/{location.tag}": "owned"}}
    owned = {"StringEquals": {f"aws:ResourceTag/{location.tag}": "owned"}}
    return document(
        allow("RunInstancesTagRestriction", ["ec2:RunInstances"], [f"{ec2}:instance/*"], asked),
        allow(
            "RunInstancesVpcRestriction",
            ["ec2:RunInstances"],
            [f"{vpc}:subnet/*"],
            {"StringEquals": {"ec2:Vpc": f"{vpc}:vpc/{location.vpc}"}},
        ),
        allow(
            "InstanceActionsTagRestriction",
            ["ec2:TerminateInstances", "ec2:StartInstances", "ec2:StopInstances", "ec2:CreateTags"],
            [f"{ec2}:instance/*"],
            {"StringEquals": {f"ec2:ResourceTag/{location.tag}": ["owned", "shared"]}},
        ),
        allow(
            "AutoscalingActionsTagRestriction",
            [
                "autoscaling:CreateAutoScalingGroup",
                "autoscaling:DeleteAutoScalingGroup",
                "autoscaling:ResumeProcesses",
                "autoscaling:SuspendProcesses",
                "autoscaling:TerminateInstanceInAutoScalingGroup",
                "autoscaling:UpdateAutoScalingGroup",
            ],
            [groups],
            {"StringEquals": {f"autoscaling:ResourceTag/{location.tag}": ["owned", "shared"]}},
        ),
        allow(
            "EKS",
            [
                "eks:Describe*",
                "eks:List*",
                "eks:TagResource",
                "eks:UntagResource",
                "eks:CreateNodegroup",
                "eks:DeleteNodegroup",
            ],
            [f"{eks}:cluster/{location.cluster}", f"{eks}:nodegroup/{location.cluster}/*/*"],
        ),
        allow("CreateLaunchTemplateWithTag", ["ec2:CreateLaunchTemplate"], ["*"], asked),
        allow(
            "ManageLaunchTemplatesAndCreateNodeGroupWithLaunchTemplate",
            [
                "ec2:CreateLaunchTemplateVersion",
                "ec2:DeleteLaunchTemplate",
                "ec2:DescribeLaunchTemplateVersions",
                "ec2:DescribeLaunchTemplates",
            ],
            ["*"],
            owned,
        ),
        allow(
            "RunInstancesForEKSNodegroups",
            ["ec2:RunInstances"],
            [f"arn:{location.partition}:ec2:*:*:launch-template/*"],
            owned,
        ),
    )


def trust_castai(principal_arn: str, cluster_id: str) -> Document:
    """The trust policy: CAST AI's principal for this cluster, with the cluster's id as the external id."""
    return document(
        {
            "Effect": "Allow",
            "Principal": {"AWS": principal_arn},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:ExternalId": cluster_id}},
        }
    )


def trust_nodes(location: Location) -> Document:
    return document({"Effect": "Allow", "Principal": {"Service": location.ec2_service}, "Action": "sts:AssumeRole"})


def trusts(trust: Document, kind: str, who: str, external_id: str = "") -> bool:
    """Whether a trust policy allows a principal to assume the role. kind: AWS or Service; external_id: what the caller
    sends.

    Only plain statements are evaluated: one with conditions other than the external id is taken to match.
    """
    account = f"{who.rpartition(':')[0]}:root" if kind == "AWS" else who
    return any(
        statement.get("Effect") == "Allow"
        and {"sts:assumerole", "sts:*", "*"} & {action.lower() for action in _listed(statement.get("Action"))}
        and {who, account} & set(_principals(statement, kind))
        and external_ids({"Statement": statement}) in ([], [external_id])
        for statement in _listed(trust.get("Statement"))
    )


def aws_managed(partition: str, names: Iterable[str]) -> tuple[str, ...]:
    """ARNs of AWS-managed policies."""
    return tuple(f"arn:{partition}:iam::aws:policy/{name}" for name in names)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


def _principals(statement: Document, kind: str) -> list[str]:
    principal = statement.get("Principal")
    return _listed(principal.get(kind)) if isinstance(principal, Mapping) else []


def document(*statements: Mapping[str, Any]) -> Document:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(sid: str, actions: list[str], resources: list[str], condition: Mapping[str, Any] | None = None) -> Document:
    statement = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return {**statement, "Condition": condition} if condition else statement
