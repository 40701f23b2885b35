# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documents that say what CAST AI's user may do for a kOps cluster. Pure. PRIVATE to the collection.

Contents: CAST AI's onboarding script for kOps, with the partition corrected and only subnets of the cluster's VPC.
"""

from __future__ import annotations

from .policies import Document, Location, allow, document

OF_CASTAI = (
    "AmazonEC2ReadOnlyAccess",
    "AmazonEventBridgeReadOnlyAccess",
    "IAMReadOnlyAccess",
    "AWSLambda_ReadOnlyAccess",
    "AmazonS3ReadOnlyAccess",
)

TAG = "KubernetesCluster"
"""Tag that kOps puts on everything that belongs to a cluster, with the cluster's name."""


def kops_managed(location: Location, subnets: bool) -> Document:
    """What CAST AI may do in the account. subnets: whether it may start instances in any subnet of the account."""
    ec2, roles = f"arn:{location.partition}:ec2:*:{location.account}", [f"arn:{location.partition}:iam::*:role/*"]
    parts = ("network-interface", "security-group", "volume", "key-pair", *(("subnet",) if subnets else ()))
    return document(
        allow("PassRoleEC2", ["iam:PassRole"], roles, {"StringEquals": {"iam:PassedToService": location.ec2_service}}),
        allow(
            "PassRoleLambda",
            ["iam:PassRole"],
            roles,
            {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
        ),
        allow(
            "NonResourcePermissions",
            [
                "iam:DetachRolePolicy",
                "iam:CreateServiceLinkedRole",
                "iam:DeleteServiceLinkedRole",
                "ec2:CreateTags",
                "ec2:CreateKeyPair",
                "ec2:DeleteKeyPair",
            ],
            ["*"],
        ),
        allow(
            "TagRestrictedIAMPermissions",
            ["iam:DeleteRole"],
            ["*"],
            {"StringEquals": {"aws:ResourceTag/cast:managed-by": "cast.ai"}},
        ),
        allow(
            "TagOnLaunching",
            ["ec2:CreateTags"],
            [f"{ec2}:instance/*"],
            {"StringEquals": {"ec2:CreateAction": "RunInstances"}},
        ),
        allow(
            "RunInstancesPermissions",
            ["ec2:RunInstances"],
            [*(f"{ec2}:{part}/*" for part in parts), f"arn:{location.partition}:ec2:*::image/*"],
        ),
        allow(
            "LambdaPermissions",
            [
                "lambda:CreateFunction",
                "lambda:UpdateFunctionCode",
                "lambda:AddPermission",
                "lambda:DeleteFunction",
                "events:PutRule",
                "events:PutTargets",
                "events:DeleteRule",
                "events:RemoveTargets",
            ],
            ["*"],
        ),
    )


def kops_restricted(location: Location) -> Document:
    """What CAST AI may do to this cluster's instances and groups, and in which VPC it may start instances."""
    instances = [f"arn:{location.partition}:ec2:*:{location.account}:instance/*"]
    groups = [f"arn:{location.partition}:autoscaling:*:{location.account}:autoScalingGroup:*:autoScalingGroupName/*"]
    vpc = f"arn:{location.partition}:ec2:{location.region}:{location.vpc_account}"
    return document(
        allow(
            "RunInstancesTagRestriction",
            ["ec2:RunInstances"],
            instances,
            {"StringEquals": {f"aws:RequestTag/{TAG}": location.cluster}},
        ),
        allow(
            "RunInstancesVpcRestriction",
            ["ec2:RunInstances"],
            [f"{vpc}:subnet/*"],
            {"StringEquals": {"ec2:Vpc": f"{vpc}:vpc/{location.vpc}"}},
        ),
        allow(
            "InstanceActionsTagRestriction",
            ["ec2:TerminateInstances", "ec2:StartInstances", "ec2:StopInstances", "ec2:ModifyInstanceAttribute"],
            instances,
            {"StringEquals": {f"ec2:ResourceTag/{TAG}": location.cluster}},
        ),
        allow(
            "AutoscalingActionsTagRestriction",
            [
                "autoscaling:UpdateAutoScalingGroup",
                "autoscaling:DeleteAutoScalingGroup",
                "autoscaling:SuspendProcesses",
                "autoscaling:ResumeProcesses",
                "autoscaling:TerminateInstanceInAutoScalingGroup",
            ],
            groups,
            {"StringEquals": {f"autoscaling:ResourceTag/{TAG}": location.cluster}},
        ),
    )
