# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""castai_iam_eks in this process, against an account of the local AWS and the local CAST AI without a socket."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import boto3
import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._aws.eks_iam import SUBJECT
from ansible_collections.castai.onboarding.plugins.module_utils._aws.gateway import Aws
from ansible_collections.castai.onboarding.plugins.module_utils._aws.reads import Systems
from ansible_collections.castai.onboarding.plugins.module_utils._castai.gateway import CastAi, Rejected
from ansible_collections.castai.onboarding.plugins.module_utils._engine import Result, reconcile
from ansible_collections.castai.onboarding.plugins.module_utils._names import RESTRICTED_POLICY, TAG_CLUSTER
from tests.sandbox.aws import READS
from tests.sandbox.aws import Aws as Cloud
from tests.sandbox.castai import CastAi as Api
from tests.sandbox.normal import normalise
from tests.sandbox.wire import Request

from .aws_client import HOME, OPERATOR, Clock, NoAgent, allow, cluster, operator, session, trust

CLUSTERS = {mode: cluster(f"c-{mode}".lower().replace("_", "-"), mode=mode) for mode in ("API", "CONFIG_MAP")}
CLUSTERS["API_AND_CONFIG_MAP"] = cluster("c-both", mode="API_AND_CONFIG_MAP", ip_family="ipv6")
PARAMETERS = {
    "adopt": False,
    "hand_over": True,
    "identity": "role",
    "node_policies": [],
    "path": "/",
    "policy_scope": "cluster",
    "prepare": True,
    "region": "eu-central-1",
    "state": "present",
    "tags": {},
    "user_access": "cluster_admin",
}


class Ended(BaseException):
    """Stands for a signal: nothing in the modules catches it."""


class Direct(CastAi):
    """The API without a socket between."""

    def __init__(self, api: Api) -> None:
        super().__init__("https://api.cast.ai", "key", sleep=lambda _seconds: None)
        self._api = api
        self.wrote: Callable[[], None] = lambda: None

    def _call(self, method: str, path: str, purpose: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        data = b"" if method == "GET" else json.dumps(body or {}).encode()
        headers = {"x-api-key": self._api.full_access_key}
        answer = self._api.handle(Request(method, "api.cast.ai", path, "", headers, data))
        found: dict[str, Any] = json.loads(answer.body) if answer.body else {}
        if answer.status >= 400:
            objections = found.get("fieldViolations") or [{}]
            raise Rejected(purpose, answer.status, found["message"], objections[0].get("field", ""))
        if method != "GET":
            self.wrote()
        return found


class World:
    """One account with the three kinds of clusters, all registered."""

    def __init__(self) -> None:
        self.cloud = Cloud(clock=Clock())
        self.api = Api(self.cloud, Clock())
        self.castai = Direct(self.api)
        for one in CLUSTERS.values():
            self.cloud.add_cluster(one)
            self.api.add_cluster(one)
        self.administrator = operator(self.cloud)
        self._clients: dict[str, Any] = {}
        self._register()

    def _register(self) -> None:
        self.ids = {}
        for one in CLUSTERS.values():
            block = {"accountId": HOME, "region": one.region, "clusterName": one.name}
            self.ids[one.name] = self.castai.register_cluster(one.name, {"eks": block}).id
        self.aws = self.gateway(self.administrator)

    def reset(self) -> None:
        """As it was when it was made."""
        self.cloud.reset()
        self.api.reset()
        self._register()

    def gateway(self, credentials: boto3.Session) -> Aws:
        """The modules' AWS with these credentials."""
        aws = Aws({"region": "eu-central-1", "access_key": "x", "secret_key": "x"})
        aws._session = credentials
        aws._clients = {name: credentials.client(name) for name in ("iam", "ec2", "eks", "sts")}
        return aws

    def act_as(self, name: str, policy: Mapping[str, Any]) -> None:
        """Run as this user of the account, made here, from now on."""
        self.aws = self.gateway(session(self.cloud, *self.cloud.add_user(HOME, name, policy)))

    def run(self, mode: str, check: bool = False, ended_after: int | None = None, **changes: Any) -> Result:
        name = CLUSTERS[mode].name
        subject = replace(
            SUBJECT,
            connect=lambda params, wanted: Systems(self.castai, self.aws),
            plan=lambda current, wanted: itertools.islice(SUBJECT.plan(current, wanted), ended_after),
        )
        parameters = {**PARAMETERS, "name": name, "cluster_id": self.ids[name], **changes}
        return reconcile(subject, parameters, check, lambda line: None)

    def run_until(self, last: int, mode: str, **changes: Any) -> bool:
        """Run, and end the run when so many of its writes have taken effect; whether there were so many."""
        writes = itertools.count(1)

        def wrote(model: Any = None, **_others: Any) -> None:
            if (model is None or READS.match(model.name) is None) and next(writes) == last:
                raise Ended

        self.aws, self.castai.wrote = self.gateway(self.administrator), wrote
        for client in self.aws._clients.values():
            client.meta.events.register("after-call", wrote)
        try:
            self.run(mode, **changes)
        except Ended:
            return True
        finally:
            self.aws, self.castai.wrote = self.gateway(self.administrator), lambda: None
        return False

    def state(self) -> Any:
        """All that there is, after the published normalisation."""
        return normalise({"aws": self.cloud.state(), "castai": self.api.state()})

    @property
    def iam(self) -> Any:
        """The administrator's."""
        return self._client("iam")

    @property
    def ec2(self) -> Any:
        """The administrator's."""
        return self._client("ec2")

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self.administrator.client(service)
        return self._clients[service]

    def keys(self, user: str) -> list[str]:
        return [key["AccessKeyId"] for key in self.iam.list_access_keys(UserName=user)["AccessKeyMetadata"]]

    def names(self) -> tuple[set[str], set[str], set[str]]:
        """Of all roles and users, all instance profiles, and all security groups."""
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
    """Change everything that a run made of a cluster so that the next one has to change it back."""
    view = world.run(mode, check=True, identity=identity).view
    names = {kind: arn.rpartition("/")[2] for kind, arn in view.items() if kind.endswith("_arn")}
    who, node_role, profile = names["identity_arn"], names["node_role_arn"], names["instance_profile_arn"]
    iam, ec2, group, marks = world.iam, world.ec2, view["security_group_id"], [TAG_CLUSTER]
    mine = f"arn:aws:iam::{HOME}:policy/CastEKSPolicy-{CLUSTERS[mode].name}"
    shared = iam.create_policy(PolicyName="CastEKSPolicy", PolicyDocument=json.dumps(allow("ec2:*")))["Policy"]["Arn"]
    for number in range(4):
        document = json.dumps(allow(f"ec2:{number}"))
        iam.create_policy_version(PolicyArn=mine, PolicyDocument=document, SetAsDefault=True)
    if identity == "role":
        iam.update_assume_role_policy(RoleName=who, PolicyDocument=trust())
        iam.untag_role(RoleName=who, TagKeys=marks)
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
    """Give CAST AI's user what an interrupted run leaves: a second key, and the inline policy of a script."""
    if identity == "user":
        user = f"cast-eks-{CLUSTERS[mode].name}"
        world.iam.create_access_key(UserName=user)
        document = json.dumps(allow("ec2:*"))
        world.iam.put_user_policy(UserName=user, PolicyName=RESTRICTED_POLICY, PolicyDocument=document)


def sentences(result: Result) -> list[str]:
    return [action.sentence for action in result.actions]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("tests.sandbox.castai.Agent", NoAgent)
    return World()
