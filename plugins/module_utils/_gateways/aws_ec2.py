# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""EC2, for class Aws. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .aws_session import (
    Session,
    Tagged,
    call,
    tag_dict,
    tag_list,
    until_visible,
)


@dataclass(frozen=True)
class Instance:
    """An EC2 instance. account_id: its owner; profile_arn: its instance profile; groups: ids of its security groups."""

    id: str
    account_id: str
    vpc_id: str
    profile_arn: str = ""
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True)
class SecurityGroup(Tagged):
    """egress_all, ingress_self: whether all outgoing traffic and all traffic within the group are allowed."""

    id: str
    name: str
    vpc_id: str
    tags: Mapping[str, str]
    egress_all: bool
    ingress_self: bool


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


class Ec2(Session):
    """Instances and security groups."""

    @call("find the instances of kOps cluster {0} (ec2:DescribeInstances)")
    def list_instances(self, cluster: str) -> tuple[Instance, ...]:
        """Running and starting instances, found by the tag that kOps puts on all instances of a cluster; sorted by
        id."""
        return self._instances({"tag:KubernetesCluster": [cluster], "instance-state-name": ["pending", "running"]})

    @call("find the instances in {0} (ec2:DescribeInstances)")
    def list_vpc_instances(self, vpc_id: str) -> tuple[Instance, ...]:
        """Instances that are not terminated, sorted by id."""
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

    @call("find security group {1} in {0} (ec2:DescribeSecurityGroups)")
    def find_group(self, vpc_id: str, name: str) -> SecurityGroup | None:
        return self._group([{"Name": "vpc-id", "Values": [vpc_id]}, {"Name": "group-name", "Values": [name]}])

    @call("read security group {0} (ec2:DescribeSecurityGroups)", absent=True)
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
            tag_dict(group.get("Tags")),
            any(block["CidrIp"] == "0.0.0.0/0" for rule in out for block in rule.get("IpRanges") or ()),
            any(
                pair.get("GroupId") == group["GroupId"] for rule in into for pair in rule.get("UserIdGroupPairs") or ()
            ),
        )

    @call("create security group {1} in {0} (ec2:CreateSecurityGroup)")
    def create_group(self, vpc_id: str, name: str, description: str, tags: Mapping[str, str]) -> str:
        answer = self._client("ec2").create_security_group(
            VpcId=vpc_id,
            GroupName=name,
            Description=description,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": tag_list(tags)}],
        )
        return str(answer["GroupId"])

    @call("tag {0} (ec2:CreateTags)")
    def tag_ec2(self, resource: str, tags: Mapping[str, str]) -> None:
        until_visible(self._client("ec2").create_tags, Resources=[resource], Tags=tag_list(tags))

    @call("allow all outgoing traffic of security group {0} (ec2:AuthorizeSecurityGroupEgress)")
    def allow_egress(self, group_id: str) -> None:
        until_visible(
            self._client("ec2").authorize_security_group_egress,
            GroupId=group_id,
            IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
        )

    @call("allow traffic within security group {0} (ec2:AuthorizeSecurityGroupIngress)")
    def allow_itself(self, group_id: str) -> None:
        until_visible(
            self._client("ec2").authorize_security_group_ingress,
            GroupId=group_id,
            IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group_id}]}],
        )

    @call("delete security group {0} (ec2:DeleteSecurityGroup)", absent=True)
    def delete_group(self, group_id: str) -> None:
        self._client("ec2").delete_security_group(GroupId=group_id)
