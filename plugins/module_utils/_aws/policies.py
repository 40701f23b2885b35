# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documents that say what CAST AI's identity, and its nodes, may do. Pure. PRIVATE to the collection.

Contents: the vendor's Terraform provider, castai/policies/eks, with the launch template's partition put right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]

IPV6_NODES: Document = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["ec2:AssignIpv6Addresses"], "Resource": ["*"]}],
}


@dataclass(frozen=True)
class Place:
    """Where a cluster is. vpc_account: the account that owns the VPC, the cluster's own unless it is shared."""

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
    def suffix(self) -> str:
        return "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"


def eks_managed(place: Place) -> Document:
    """What CAST AI may do in the account: pass roles to EC2 and EKS, tag, and name the parts of an instance."""
    ec2 = f"arn:{place.partition}:ec2:*:{place.account}"
    parts = ("network-interface", "security-group", "volume", "key-pair", "capacity-reservation")
    return _document(
        _allow(
            "PassRoleEC2",
            ["iam:PassRole"],
            [f"arn:{place.partition}:iam::*:role/*"],
            {"StringEquals": {"iam:PassedToService": f"ec2.{place.suffix}"}},
        ),
        _allow(
            "PassRoleEKS",
            ["iam:PassRole"],
            [f"arn:{place.partition}:iam::*:role/*"],
            {"StringEquals": {"iam:PassedToService": "eks.amazonaws.com"}},
        ),
        _allow(
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
        _allow(
            "RunInstancesPermissions",
            ["ec2:RunInstances"],
            [*(f"{ec2}:{part}/*" for part in parts), f"arn:{place.partition}:ec2:*::image/*"],
        ),
    )


def eks_restricted(place: Place) -> Document:
    """What CAST AI may do to this cluster's instances, groups and templates."""
    here = f"{place.region}:{place.account}"
    ec2, vpc = f"arn:{place.partition}:ec2:{here}", f"arn:{place.partition}:ec2:{place.region}:{place.vpc_account}"
    groups = f"arn:{place.partition}:autoscaling:{here}:autoScalingGroup:*:autoScalingGroupName/*"
    eks = f"arn:{place.partition}:eks:{here}"
    asked = {"StringEquals": {f"aws:RequestTag/{place.tag}": "owned"}}
    owned = {"StringEquals": {f"aws:ResourceTag/{place.tag}": "owned"}}
    return _document(
        _allow("RunInstancesTagRestriction", ["ec2:RunInstances"], [f"{ec2}:instance/*"], asked),
        _allow(
            "RunInstancesVpcRestriction",
            ["ec2:RunInstances"],
            [f"{vpc}:subnet/*"],
            {"StringEquals": {"ec2:Vpc": f"{vpc}:vpc/{place.vpc}"}},
        ),
        _allow(
            "InstanceActionsTagRestriction",
            ["ec2:TerminateInstances", "ec2:StartInstances", "ec2:StopInstances", "ec2:CreateTags"],
            [f"{ec2}:instance/*"],
            {"StringEquals": {f"ec2:ResourceTag/{place.tag}": ["owned", "shared"]}},
        ),
        _allow(
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
            {"StringEquals": {f"autoscaling:ResourceTag/{place.tag}": ["owned", "shared"]}},
        ),
        _allow(
            "EKS",
            [
                "eks:Describe*",
                "eks:List*",
                "eks:TagResource",
                "eks:UntagResource",
                "eks:CreateNodegroup",
                "eks:DeleteNodegroup",
            ],
            [f"{eks}:cluster/{place.cluster}", f"{eks}:nodegroup/{place.cluster}/*/*"],
        ),
        _allow("CreateLaunchTemplateWithTag", ["ec2:CreateLaunchTemplate"], ["*"], asked),
        _allow(
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
        _allow(
            "RunInstancesForEKSNodegroups",
            ["ec2:RunInstances"],
            [f"arn:{place.partition}:ec2:*:*:launch-template/*"],
            owned,
        ),
    )


def trust_castai(principal_arn: str, cluster_id: str) -> Document:
    """Who may assume the role: CAST AI's principal for this cluster, with the cluster's id as external id."""
    return _document(
        {
            "Effect": "Allow",
            "Principal": {"AWS": principal_arn},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:ExternalId": cluster_id}},
        }
    )


def trust_nodes(place: Place) -> Document:
    return _document({"Effect": "Allow", "Principal": {"Service": f"ec2.{place.suffix}"}, "Action": "sts:AssumeRole"})


def aws_managed(partition: str, names: Iterable[str]) -> tuple[str, ...]:
    """ARNs of AWS-managed policies."""
    return tuple(f"arn:{partition}:iam::aws:policy/{name}" for name in names)


OF_CASTAI = ("AmazonEC2ReadOnlyAccess", "IAMReadOnlyAccess")
OF_NODES = ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryReadOnly", "AmazonEKS_CNI_Policy")


def _document(*statements: Mapping[str, Any]) -> Document:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allow(sid: str, actions: list[str], resources: list[str], condition: Mapping[str, Any] | None = None) -> Document:
    statement: Document = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return {**statement, "Condition": condition} if condition else statement
