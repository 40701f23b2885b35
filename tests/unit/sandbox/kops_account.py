# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs castai_iam_kops in this process, with an account of the local AWS and CAST AI but no socket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._aws.keys import TAG_FOUND_KEY
from ansible_collections.castai.onboarding.plugins.module_utils._aws.kops_iam import SUBJECT
from ansible_collections.castai.onboarding.plugins.module_utils._aws.names import (
    KOPS_MANAGED_POLICY,
    KOPS_OLD_POLICY,
    KOPS_RESTRICTED_POLICY,
)
from ansible_collections.castai.onboarding.plugins.module_utils._engine import Result

from .aws_account import Account
from .aws_client import HOME, NoAgent, allow, cluster

SHOP, PROD = "shop.example.com", "prod.example.com"
LONG = f"a-cluster-with-a-name-that-no-user-could-have.{'x' * 60}.example.com"
CLUSTERS = {
    name: cluster(name, provider="kops", mode="CONFIG_MAP", instances=(f"i-0000000000000000{number}",))
    for number, name in enumerate((SHOP, PROD, LONG))
}
IDS = {name: f"{number}d9b5f86-8d7b-4f0e-9a5b-3c2d1e0f4a5b" for number, name in enumerate(CLUSTERS)}
USER = f"cast-kops-{SHOP}"


class World(Account):
    """One account with kOps clusters, all registered."""

    def add_clusters(self) -> None:
        for one in CLUSTERS.values():
            self.cloud.add_cluster(one)

    def register(self) -> None:
        super().register()
        for name, one in CLUSTERS.items():
            facts = {"cloud": "aws", "region": one.region, "clusterName": name, "stateStore": "s3://state"}
            self.castai.register_cluster(name, {"id": IDS[name], "kops": facts})

    def run(self, *which: str, check: bool = False, ended_after: int | None = None, **changes: Any) -> Result:
        """which: the cluster's name, or none for the first."""
        name = which[0] if which else SHOP
        own = {"provider": "kops", "cluster_name": name, "cluster_id": IDS[name], "spot_lambda_role": True}
        return self.reconcile(SUBJECT, check, ended_after, **{**own, **changes})

    def attached(self, user: str = USER) -> set[str]:
        found = self.iam.list_attached_user_policies(UserName=user)["AttachedPolicies"]
        return {policy["PolicyName"] for policy in found}

    def document(self, name: str) -> str:
        arn = f"arn:aws:iam::{HOME}:policy/{name}"
        version = self.iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        return json.dumps(self.iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"])

    def script(self, *shared: str, inline: str = "CastKopsRestrictedAccess") -> str:
        """A run of CAST AI's script: user, key handed over, shared policies, inline policy. The key's id."""
        self.iam.create_user(UserName=USER)
        for policy in shared:
            made = self.iam.create_policy(PolicyName=policy, PolicyDocument=json.dumps(allow("ec2:*")))
            self.iam.attach_user_policy(UserName=USER, PolicyArn=made["Policy"]["Arn"])
        self.iam.attach_user_policy(UserName=USER, PolicyArn="arn:aws:iam::aws:policy/AmazonEC2ReadOnlyAccess")
        self.iam.put_user_policy(UserName=USER, PolicyName=inline, PolicyDocument=json.dumps(allow("ec2:*")))
        return self.script_again()

    def script_again(self) -> str:
        """Do what a further run of it does to the key: create one more, hand it over, and return its id."""
        key = self.iam.create_access_key(UserName=USER)["AccessKey"]
        self.castai.set_key(IDS[SHOP], key["AccessKeyId"], key["SecretAccessKey"])
        return str(key["AccessKeyId"])


def disturb(world: World) -> None:
    """Change what a run created for the first cluster, so that the next one has to restore it."""
    mine = f"arn:aws:iam::{HOME}:policy/{KOPS_MANAGED_POLICY}-{SHOP}"
    old = world.iam.create_policy(PolicyName=KOPS_OLD_POLICY, PolicyDocument=json.dumps(allow("ec2:*")))
    world.iam.attach_user_policy(UserName=USER, PolicyArn=old["Policy"]["Arn"])
    for number in range(4):
        document = json.dumps(allow(f"ec2:{number}"))
        world.iam.create_policy_version(PolicyArn=mine, PolicyDocument=document, SetAsDefault=True)
    leave_behind(world)


def leave_behind(world: World) -> None:
    """Add to CAST AI's user what interrupted runs and a script leave: a second key, an old note, an inline policy."""
    world.iam.create_access_key(UserName=USER)
    world.iam.tag_user(UserName=USER, Tags=[{"Key": TAG_FOUND_KEY, "Value": "AKIANOTEDEARLIER"}])
    document = json.dumps(allow("ec2:*"))
    world.iam.put_user_policy(UserName=USER, PolicyName=KOPS_RESTRICTED_POLICY, PolicyDocument=document)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("tests.sandbox.castai.server.Agent", NoAgent)
    return World()
