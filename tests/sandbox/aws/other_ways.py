# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What other ways of onboarding an EKS cluster leave behind in AWS: names, documents and attachments by vintage.

newest and older: CAST AI's role scripts with and without an external id; user: its user script; terraform: module
castai/terraform-castai-eks-role-iam with the provider's documents; pulumi: castai/pulumi-castai. Written here from the
names, statements and attachments that those produce, as published copies and repositories show them. Pulumi's
documents are not known; it gets Terraform's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from moto.ec2.models import ec2_backends
from moto.iam.models import IAMBackend, Role, User

from ..spec import partition_of
from ..wire import Cluster
from .accounts import Accounts
from .eks import add_access_entry, find_cluster

VINTAGES = ("newest", "older", "user", "terraform", "pulumi")
VERSIONS_KEPT = 5
READERS = ("AmazonEC2ReadOnlyAccess", "IAMReadOnlyAccess")
OF_USER = (*READERS, "AmazonEventBridgeReadOnlyAccess", "AWSLambda_ReadOnlyAccess")
OF_NODES = ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryReadOnly", "AmazonEKS_CNI_Policy")
OF_TERRAFORM_NODES = (*OF_NODES, "service-role/AmazonEBSCSIDriverPolicy", "AmazonSSMManagedInstanceCore")
IPV6 = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "ec2:AssignIpv6Addresses", "Resource": "*"}],
}
ROLE_DESCRIPTION = "Role to manage '{}' EKS cluster used by CAST AI"
NODE_DESCRIPTION = "EKS node instance role used by CAST AI"
GROUP_DESCRIPTION = "CAST AI created security group that allows communication between CAST AI nodes"
SHARED_POLICY = "CastEKSPolicy"
POLICY_DESCRIPTION = "Policy to manage EKS cluster used by CAST {}"


@dataclass(frozen=True)
class Names:
    """The names that one way gives to its objects; empty for objects that it does not create."""

    principal: str
    policy: str
    inline: str
    node_role: str
    profile: str
    group: str
    ipv6_policy: str


def names(vintage: str, cluster: str, cluster_id: str) -> Names:
    """cluster_id: CAST AI's. Raises ValueError for a vintage that is not in VINTAGES."""
    short = cluster_id[:8]
    nodes = f"cast-{cluster[:40]}-eks-{short}"
    group = f"cast-{cluster}-cluster/CastNodeSecurityGroup"
    if vintage == "newest":
        role = f"cast-eks-{cluster[:30]}-cluster-role-{short}"
        return Names(role, SHARED_POLICY, "CastEKSRestrictedAccess", nodes, nodes, group, "CastEC2AssignIPv6Policy")
    if vintage == "older":
        role = f"cast-eks-{cluster}-cluster-role-{short}"
        return Names(role, SHARED_POLICY, "CastEKSRestrictedAccess", nodes, nodes, group, "")
    if vintage == "user":
        return Names(f"cast-eks-{cluster}", SHARED_POLICY, "CastEKSRestrictedAccess", "", "", "", "")
    if vintage == "terraform":
        nodes = f"castai-eks-instance-{cluster[:44]}"
        inline, ipv6 = f"castai-user-policy-{cluster[:45]}", f"CastEC2AssignIPv6Policy-{cluster}"
        return Names(f"castai-eks-{cluster[:53]}", f"CastEKSPolicy-{cluster}", inline, nodes, nodes, "", ipv6)
    if vintage == "pulumi":
        role, profile = f"cast-eks-{cluster}-role-{short}", f"cast-eks-{cluster}-profile-{short}"
        node_role = f"cast-eks-{cluster}-node-role"
        return Names(role, f"castai-eks-{cluster}", "", node_role, profile, f"cast-eks-{cluster}-sg", "")
    raise ValueError(f"unknown vintage {vintage}: {', '.join(VINTAGES)}")


def leave(accounts: Accounts, cluster: Cluster, cluster_id: str, vintage: str, principal: str) -> dict[str, str]:
    """Do to AWS what one run of that vintage does, a run after others included.

    principal: the ARN that a role is to trust. Returns ARNs and ids, and of a new access key id and secret:
    {role_arn | user_arn, policy_arn, node_role_arn, profile_arn, group_id, access_key_id, secret_access_key}.
    """
    return _Run(accounts, cluster, cluster_id, vintage).run(principal)


class _Run:
    def __init__(self, accounts: Accounts, cluster: Cluster, cluster_id: str, vintage: str) -> None:
        self._accounts = accounts
        self._iam: IAMBackend = accounts.iam(cluster.account)
        self._cluster = cluster
        self._id = cluster_id
        self._vintage = vintage
        self._names = names(vintage, cluster.name, cluster_id)
        moto = find_cluster(cluster)
        self._vpc = moto.resources_vpc_config["vpcId"] if moto else ""
        self._entries = moto if moto and cluster.mode != "CONFIG_MAP" and vintage not in ("older", "user") else None

    def run(self, principal: str) -> dict[str, str]:
        made: dict[str, str] = {}
        owner: Role | User
        if self._vintage == "user":
            owner = self._user()
            key = self._iam.create_access_key(owner.name)
            made = {"access_key_id": key.access_key_id, "secret_access_key": key.secret_access_key}
        else:
            description = ROLE_DESCRIPTION.format(self._cluster.name) if self._by_script else ""
            owner = self._role(self._names.principal, self._trust(principal), description)
        made["user_arn" if self._vintage == "user" else "role_arn"] = owner.arn
        made["policy_arn"] = self._policy()
        if self._names.inline:
            owner.policies[self._names.inline] = json.dumps(
                restricted_document(self._vintage, self._cluster, self._vpc)
            )
        self._attach(owner, OF_USER if self._vintage == "user" else READERS, made["policy_arn"])
        if self._names.node_role:
            made.update(self._nodes())
        if self._names.group:
            made["group_id"] = self._group()
        return made

    @property
    def _by_script(self) -> bool:
        return self._vintage in ("newest", "older", "user")

    def _user(self) -> User:
        name = self._names.principal
        return self._iam.users.get(name) or self._iam.create_user(self._iam.region_name, name)

    def _role(self, name: str, trust: Mapping[str, Any], description: str) -> Role:
        found = next((role for role in self._iam.get_roles() if role.name == name), None)
        role = found or self._iam.create_role(name, "", "/", None, description, [], "3600")
        role.assume_role_policy_document = json.dumps(trust)
        return role

    def _trust(self, principal: str) -> dict[str, Any]:
        statement: dict[str, Any] = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}
        if self._vintage == "newest":
            statement["Condition"] = {"StringEquals": {"sts:ExternalId": self._id}}
        return {"Version": "2012-10-17", "Statement": statement if self._vintage == "older" else [statement]}

    def _policy(self) -> str:
        """The managed policy's ARN. The scripts share one among all clusters of the account, as it grew with them."""
        name = self._names.policy
        history = {"user": ("user",), "older": ("user", "older"), "newest": ("user", "older", "newest")}
        vintages = history.get(self._vintage, (self._vintage,)) if name == SHARED_POLICY else (self._vintage,)
        documents = [managed_document(vintage, self._cluster) for vintage in vintages]
        word = "console" if self._vintage == "user" else "AI"
        arn = f"arn:{partition_of(self._cluster.region)}:iam::{self._cluster.account}:policy/{name}"
        if arn in self._iam.managed_policies:
            # Only the newest compares; the older ones publish a version with every run.
            same = self._document(arn) == documents[-1]
            documents = [] if same and self._vintage == "newest" else documents[-1:]
        else:
            self._iam.create_policy(POLICY_DESCRIPTION.format(word), "/", json.dumps(documents.pop(0)), name, [])
        for document in documents:
            policy = self._iam.managed_policies[arn]
            if len(policy.versions) == VERSIONS_KEPT:
                oldest = next(one for one in policy.versions if one.version_id != policy.default_version_id)
                self._iam.delete_policy_version(arn, oldest.version_id)
            self._iam.create_policy_version(arn, json.dumps(document), True)
        return arn

    def _document(self, arn: str) -> Any:
        policy = self._iam.managed_policies[arn]
        return json.loads(self._iam.get_policy_version(arn, policy.default_version_id).document)

    def _attach(self, owner: Role | User, names: Iterable[str], *arns: str) -> None:
        partition = partition_of(self._cluster.region)
        for arn in (*(f"arn:{partition}:iam::aws:policy/{name}" for name in names), *arns):
            policy = self._accounts.policy(self._cluster.account, arn)
            if policy and arn not in owner.managed_policies:
                policy.attach_to(owner)

    def _nodes(self) -> dict[str, str]:
        actions = ["sts:AssumeRole", "sts:TagSession"] if self._vintage == "terraform" else "sts:AssumeRole"
        statement = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": actions}
        sid = {"Sid": ""} if self._by_script else {}
        trust = {"Version": "2012-10-17", "Statement": [{**sid, **statement}]}
        role = self._role(self._names.node_role, trust, NODE_DESCRIPTION if self._by_script else "")
        profile = self._iam.instance_profiles.get(self._names.profile)
        if profile is None:
            profile = self._iam.create_instance_profile(self._names.profile, "/", [role.name])
            self._attach(role, OF_TERRAFORM_NODES if self._vintage == "terraform" else OF_NODES, *self._ipv6())
        if self._entries and role.arn not in self._entries.access_entries:
            add_access_entry(self._entries, role.arn, {"type": "EC2_LINUX"})
        return {"node_role_arn": role.arn, "profile_arn": profile.arn}

    def _ipv6(self) -> list[str]:
        name = self._names.ipv6_policy
        if not name:
            return []
        arn = f"arn:{partition_of(self._cluster.region)}:iam::{self._cluster.account}:policy/{name}"
        if arn not in self._iam.managed_policies:
            self._iam.create_policy("", "/", json.dumps(IPV6), name, [])
        return [arn]

    def _group(self) -> str:
        ec2: Any = ec2_backends[self._cluster.account][self._cluster.region]
        name = self._names.group
        found = ec2.get_security_group_from_name(name, self._vpc)
        if found:
            return str(found.id)
        tags = {"Name": name, "cast:cluster-id": self._id} if self._by_script else {}
        group = ec2.create_security_group(
            name, GROUP_DESCRIPTION, self._vpc, tags
        )  # all egress is there from the start
        ec2.authorize_security_group_ingress(group.id, "-1", None, None, [], source_groups=[{"GroupId": group.id}])
        return str(group.id)


# Documents. A statement is (Sid, actions, resources, condition); a vintage has those that name it.


def managed_document(vintage: str, cluster: Cluster) -> dict[str, Any]:
    partition, account = partition_of(cluster.region), cluster.account
    terraform, user, older = vintage in ("terraform", "pulumi"), vintage == "user", vintage == "older"
    ec2, roles = f"arn:{partition}:ec2:*:{account}", f"arn:{partition}:iam::*:role/*"

    def passing(service: str) -> dict[str, Any]:
        return _allow(
            f"PassRole{service.upper()}", "iam:PassRole", roles, "iam:PassedToService", f"{service}.amazonaws.com"
        )

    parts = [
        "network-interface",
        "security-group",
        "volume",
        "key-pair",
        *(["capacity-reservation"] if terraform else []),
    ]
    run = [*(f"{ec2}:{part}/*" for part in parts), f"arn:{partition}:ec2:*::image/*"]
    statements = [
        passing("ec2"),
        *([passing("eks")] if terraform else []),
        *([passing("lambda")] if user else []),
        _allow("NonResourcePermissions", _non_resource_actions(user, older, terraform), "*"),
        _allow("RunInstancesPermissions", "ec2:RunInstances", run),
    ]
    if user:
        made = "ec2:CreateAction"
        functions = "CreateFunction UpdateFunctionCode AddPermission DeleteFunction"
        events = "PutRule PutTargets DeleteRule RemoveTargets"
        statements += [
            _allow("TagOnLaunching", "ec2:CreateTags", f"{ec2}:instance/*", made, "RunInstances"),
            _allow("TagSecurityGroups", "ec2:CreateTags", f"{ec2}:security-group/*", made, "CreateSecurityGroup"),
            _allow("CreateLambdaFunctionRestriction", _actions(**{"lambda": functions, "events": events}), "*"),
        ]
    return {"Version": "2012-10-17", "Statement": statements}


def _non_resource_actions(user: bool, older: bool, terraform: bool) -> list[str]:
    if terraform:
        return _actions(
            iam="CreateServiceLinkedRole",
            ec2="CreateTags DeleteKeyPair DescribeCapacityReservations ImportKeyPair",
        )
    if user:
        return _actions(
            iam="CreateInstanceProfile DeleteInstanceProfile CreateRole DeleteRole AttachRolePolicy DetachRolePolicy "
            "AddRoleToInstanceProfile RemoveRoleFromInstanceProfile CreateServiceLinkedRole DeleteServiceLinkedRole",
            ec2="CreateSecurityGroup CreateKeyPair DeleteKeyPair CreateTags",
        )
    more = " DeleteInstanceProfile RemoveRoleFromInstanceProfile DeleteRole DetachRolePolicy DeleteServiceLinkedRole"
    return _actions(
        iam="CreateServiceLinkedRole" + (more if older else ""),
        ec2="CreateKeyPair DeleteKeyPair CreateTags ImportKeyPair",
    )


def restricted_document(vintage: str, cluster: Cluster, vpc: str) -> dict[str, Any]:
    partition, here = partition_of(cluster.region), f"{cluster.region}:{cluster.account}"
    terraform, user, older = vintage == "terraform", vintage == "user", vintage == "older"
    ec2, tag = f"arn:{partition}:ec2:{here}", f"kubernetes.io/cluster/{cluster.name}"
    eks, owned = f"arn:{partition}:eks:{here}", ["owned", "shared"]
    groups = f"arn:{partition}:autoscaling:{here}:autoScalingGroup:*:autoScalingGroupName/*"
    in_vpc = ("ec2:Vpc", f"{ec2}:vpc/{vpc}")
    scaling = "UpdateAutoScalingGroup SuspendProcesses ResumeProcesses TerminateInstanceInAutoScalingGroup"
    scaling += (" DeleteAutoScalingGroup" if user or terraform else "") + (
        " CreateAutoScalingGroup" if terraform else ""
    )
    cluster_actions = "Describe* List*" + ("" if user or older else " TagResource UntagResource")
    cluster_actions += " DeleteNodegroup UpdateNodegroupConfig" if user else ""
    cluster_actions += " CreateNodegroup DeleteNodegroup" if terraform else ""
    statements = [
        _allow("RunInstancesTagRestriction", "ec2:RunInstances", f"{ec2}:instance/*", f"aws:RequestTag/{tag}", "owned"),
        _allow("RunInstancesVpcRestriction", "ec2:RunInstances", f"{ec2}:subnet/*", *in_vpc),
        _allow(
            "InstanceActionsTagRestriction",
            _actions(ec2="TerminateInstances StartInstances StopInstances CreateTags"),
            f"{ec2}:instance/*",
            f"ec2:ResourceTag/{tag}",
            owned,
        ),
        _allow(
            "AutoscalingActionsTagRestriction",
            _actions(autoscaling=scaling),
            groups,
            f"autoscaling:ResourceTag/{tag}",
            owned,
        ),
        _allow(
            "EKS",
            _actions(eks=cluster_actions),
            [f"{eks}:cluster/{cluster.name}", f"{eks}:nodegroup/{cluster.name}/*/*"],
        ),
    ]
    if user or older:
        rules = "RevokeSecurityGroupIngress RevokeSecurityGroupEgress AuthorizeSecurityGroupIngress "
        rules += "AuthorizeSecurityGroupEgress DeleteSecurityGroup"
        in_group = _actions(ec2=rules if user else "DeleteSecurityGroup DeleteNetworkInterface")
        statements.append(_allow("VpcRestrictedActions", in_group, "*", *in_vpc))
    if terraform:
        templates = "DescribeLaunchTemplates DeleteLaunchTemplate CreateLaunchTemplateVersion "
        templates += "DescribeLaunchTemplateVersions"
        manage, of_resource = "ManageLaunchTemplatesAndCreateNodeGroupWithLaunchTemplate", f"aws:ResourceTag/{tag}"
        of_templates = "arn:aws:ec2:*:*:launch-template/*"  # the partition is theirs, in every partition
        statements += [
            _allow("CreateLaunchTemplateWithTag", "ec2:CreateLaunchTemplate", "*", f"aws:RequestTag/{tag}", "owned"),
            _allow(manage, _actions(ec2=templates), "*", of_resource, "owned"),
            _allow("RunInstancesForEKSNodegroups", "ec2:RunInstances", of_templates, of_resource, "owned"),
        ]
    return {"Version": "2012-10-17", "Statement": statements}


def _actions(**services: str) -> list[str]:
    return [f"{service}:{action}" for service, actions in services.items() for action in actions.split()]


def _allow(sid: str, actions: Any, resources: Any, key: str = "", value: Any = "") -> dict[str, Any]:
    condition = {"Condition": {"StringEquals": {key: value}}} if key else {}
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources, **condition}
