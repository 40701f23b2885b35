# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs castai_iam_eks in this process, with an account of the local AWS and CAST AI but no socket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._aws.eks_iam import SUBJECT
from ansible_collections.castai.onboarding.plugins.module_utils._aws.keys import TAG_CREDENTIALS, TAG_FOUND_KEY
from ansible_collections.castai.onboarding.plugins.module_utils._aws.names import RESTRICTED_POLICY
from ansible_collections.castai.onboarding.plugins.module_utils._engine import Result
from ansible_collections.castai.onboarding.plugins.module_utils._names import TAG_CLUSTER, TAG_CLUSTER_ID
from tests.sandbox.aws.eks import find_cluster

from .aws_account import Account
from .aws_client import HOME, OPERATOR, NoAgent, allow, cluster, trust

CLUSTERS = {mode: cluster(f"c-{mode}".lower().replace("_", "-"), mode=mode) for mode in ("API", "CONFIG_MAP")}
CLUSTERS["API_AND_CONFIG_MAP"] = cluster("c-both", mode="API_AND_CONFIG_MAP", ip_family="ipv6")


class World(Account):
    """One account with the three kinds of clusters, all registered."""

    def add_clusters(self) -> None:
        for one in CLUSTERS.values():
            self.cloud.add_cluster(one)
            self.api.add_cluster(one)

    def register(self) -> None:
        super().register()
        self.ids = {}
        for one in CLUSTERS.values():
            block = {"accountId": HOME, "region": one.region, "clusterName": one.name}
            self.ids[one.name] = self.castai.register_cluster(one.name, {"eks": block}).id

    def run(self, *which: str, check: bool = False, ended_after: int | None = None, **changes: Any) -> Result:
        """which: the cluster's authentication mode."""
        (mode,) = which
        name = CLUSTERS[mode].name
        own = {"provider": "eks", "identity": "role", "node_policies": [], "spot_lambda_role": False}
        parameters = {**own, "cluster_name": name, "cluster_id": self.ids[name], **changes}
        return self.reconcile(SUBJECT, check, ended_after, **parameters)

    def disconnect(self, mode: str) -> None:
        """At CAST AI, as its users do."""
        self.api.control("disconnect", cluster_id=self.ids[CLUSTERS[mode].name])

    def lose(self, arn: str) -> None:
        """Delete a role or user with everything attached to it, as a person would by hand."""
        kind, name = arn.rpartition(":")[2].split("/")[0], arn.rpartition("/")[2]
        owner = {f"{kind.capitalize()}Name": name}

        def done(operation: str, **more: str) -> Any:
            return getattr(self.iam, operation.format(kind))(**owner, **more)

        if kind == "role":
            for profile in done("list_instance_profiles_for_{}")["InstanceProfiles"]:
                done("remove_{}_from_instance_profile", InstanceProfileName=profile["InstanceProfileName"])
        else:
            for key in self.keys(name):
                done("delete_access_key", AccessKeyId=key)
        for policy in done("list_attached_{}_policies")["AttachedPolicies"]:
            done("detach_{}_policy", PolicyArn=policy["PolicyArn"])
        for inline in done("list_{}_policies")["PolicyNames"]:
            done("delete_{}_policy", PolicyName=inline)
        done("delete_{}")

    def names(self) -> tuple[set[str], set[str], set[str]]:
        """The names of all roles and users, instance profiles, and security groups."""
        roles = {role["RoleName"] for role in self.iam.list_roles()["Roles"]}
        users = {user["UserName"] for user in self.iam.list_users()["Users"]}
        profiles = {profile["InstanceProfileName"] for profile in self.iam.list_instance_profiles()["InstanceProfiles"]}
        groups = self.ec2.describe_security_groups()["SecurityGroups"]
        return roles | users, profiles, {group["GroupId"] for group in groups}

    def attached(self, role: str) -> set[str]:
        found = self.iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
        return {policy["PolicyName"] for policy in found}

    def versions(self, policy: str) -> list[str]:
        arn = f"arn:aws:iam::{HOME}:policy/{policy}"
        return [version["VersionId"] for version in self.iam.list_policy_versions(PolicyArn=arn)["Versions"]]


def disturb(world: World, mode: str, identity: str) -> None:
    """Change everything that a run created for a cluster, so that the next one has to restore it."""
    view = world.run(mode, check=True, identity=identity).view
    names = {kind: arn.rpartition("/")[2] for kind, arn in view.items() if kind.endswith("_arn")}
    who, node_role, profile = names["identity_arn"], names["node_role_arn"], names["instance_profile_arn"]
    iam, ec2, group, marks = world.iam, world.ec2, view["security_group_id"], [TAG_CLUSTER]
    found = find_cluster(CLUSTERS[mode])
    if found and view["node_role_arn"] in found.access_entries:
        found.access_entries[view["node_role_arn"]]["tags"] = {}
    mine = f"arn:aws:iam::{HOME}:policy/CastEKSPolicy-{CLUSTERS[mode].name}"
    shared = iam.create_policy(PolicyName="CastEKSPolicy", PolicyDocument=json.dumps(allow("ec2:*")))["Policy"]["Arn"]
    for number in range(4):
        document = json.dumps(allow(f"ec2:{number}"))
        iam.create_policy_version(PolicyArn=mine, PolicyDocument=document, SetAsDefault=True)
    if identity == "role":
        iam.update_assume_role_policy(RoleName=who, PolicyDocument=trust())
        iam.untag_role(RoleName=who, TagKeys=[*marks, TAG_CREDENTIALS])
        tag = {"Key": TAG_CLUSTER_ID, "Value": world.ids[CLUSTERS[mode].name]}
        iam.create_user(UserName=f"cast-eks-{CLUSTERS[mode].name}", Tags=[tag])
        iam.create_access_key(UserName=f"cast-eks-{CLUSTERS[mode].name}")
        iam.put_role_policy(RoleName=who, PolicyName=RESTRICTED_POLICY, PolicyDocument=json.dumps(allow("ec2:*")))
        iam.attach_role_policy(RoleName=who, PolicyArn=shared)
    else:
        leave_behind(world, mode, identity)
        iam.attach_user_policy(UserName=who, PolicyArn=shared)
    iam.update_assume_role_policy(RoleName=node_role, PolicyDocument=trust(OPERATOR))
    iam.untag_role(RoleName=node_role, TagKeys=marks)
    iam.untag_policy(PolicyArn=mine, TagKeys=marks)
    iam.untag_instance_profile(InstanceProfileName=profile, TagKeys=marks)
    iam.remove_role_from_instance_profile(InstanceProfileName=profile, RoleName=node_role)
    iam.create_role(RoleName="cast-eks-another-node-role", AssumeRolePolicyDocument=trust())
    iam.add_role_to_instance_profile(InstanceProfileName=profile, RoleName="cast-eks-another-node-role")
    ec2.delete_tags(Resources=[group], Tags=[{"Key": TAG_CLUSTER}])
    ec2.revoke_security_group_egress(
        GroupId=group, IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    )


def leave_behind(world: World, mode: str, identity: str) -> None:
    """Add to CAST AI's user what interrupted runs and a script leave: a second key, an old note, an inline policy."""
    if identity == "user":
        user = f"cast-eks-{CLUSTERS[mode].name}"
        world.iam.create_access_key(UserName=user)
        world.iam.tag_user(UserName=user, Tags=[{"Key": TAG_FOUND_KEY, "Value": "AKIANOTEDEARLIER"}])
        document = json.dumps(allow("ec2:*"))
        world.iam.put_user_policy(UserName=user, PolicyName=RESTRICTED_POLICY, PolicyDocument=document)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("tests.sandbox.castai.server.Agent", NoAgent)
    return World()
