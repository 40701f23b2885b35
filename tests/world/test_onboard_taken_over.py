# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters that CAST AI's scripts, Terraform or Pulumi onboarded are taken over: no object exists twice afterwards.

A cluster is named after the tool that onboarded it. One more, of the newest script, shares their policy and stays
unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._aws import names, policies
from ansible_collections.castai.onboarding.plugins.module_utils._equal import same_policy
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws import Aws
from tests.sandbox.client import World
from tests.sandbox.spec import HOME_ACCOUNT
from tests.support.playbook import Json, Run

from .connecting import changed_nothing, succeeded, writes
from .onboarding import AWS_AUTH, ONBOARD, Onboarder

MODES = {
    "newest": "API_AND_CONFIG_MAP",
    "older": "CONFIG_MAP",
    "user": "CONFIG_MAP",
    "terraform": "API",
    "pulumi": "API_AND_CONFIG_MAP",
}
NEIGHBOR = "neighbor"
UNMARKED = ("user", "terraform", "pulumi")
"""Tools whose objects do not show which cluster they belong to."""
COMPONENTS = [
    "castai-evictor",
    "castai-kvisor",
    "castai-pod-pinner",
    "castai-spot-handler",
    "cluster-controller",
]
"""Installed into only one of the clusters, because each install takes time."""
WITH_COMPONENTS = "newest"
SHARED_POLICY = f"arn:aws:iam::{HOME_ACCOUNT}:policy/CastEKSPolicy"
FOREIGN = "arn:aws:iam::aws:policy/CloudWatchReadOnlyAccess"
MAPPED_BY_SCRIPT = """\
- groups:
  - system:bootstrappers
  - system:nodes
  rolearn: {arn}
  username: system:node:{{{{EC2PrivateDNSName}}}}
"""
CLUSTERS = (f"{NEIGHBOR}:eks:nodes=0", *(f"{name}:eks:mode={mode}:nodes=1" for name, mode in MODES.items()))


class Takeover(NamedTuple):
    """made: the objects of the other tools, by cluster. before, after: the account's state."""

    onboarder: Onboarder
    neighbor: Json
    made: dict[str, dict[str, str]]
    before: Json
    aws_auth_before: dict[str, str]
    run: Run
    again: Run
    after: Json

    @property
    def world(self) -> World:
        return self.onboarder.world

    def prepared(self, host: str) -> Json:
        return self.run.of("castai_iam_eks", host)[0]

    def document(self, arn: str) -> Any:
        policy = self.after["iam"]["policies"][arn]
        return policy["versions"][policy["default_version"]]


@pytest.fixture(scope="module")
def takeover(module_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Takeover]:
    world = module_world
    with pytest.MonkeyPatch.context() as patched:
        onboarder = Onboarder(world, tmp_path_factory.mktemp("taken-over"), user="user")
        for name, value in onboarder.environment.items():
            patched.setenv(name, value)
        neighbor = world.control("castai", "seed_script_world", cluster=NEIGHBOR, vintage="newest")
        made = {name: world.control("castai", "seed_script_world", cluster=name, vintage=name) for name in MODES}
        hang_on(made)
        aws_auth = {name: mapped(world, name) for name in MODES}
        aws_auth["older"] += MAPPED_BY_SCRIPT.format(arn=made["older"]["node_role_arn"])
        world.kubernetes("older").patch(AWS_AUTH, {"data": {"mapRoles": aws_auth["older"]}})
        before = world.state()["aws"][HOME_ACCOUNT]
        inventory = onboarder.inventory(*MODES, components_skip=COMPONENTS)
        hosts = inventory["castai_clusters"]["hosts"]
        hosts[WITH_COMPONENTS]["components_skip"] = []
        for name in UNMARKED:
            hosts[name]["castai_adopt"] = True
        # CAST AI finds a group by the script's name; a group with another name is only used if it is given.
        hosts["pulumi"]["eks_onboard_security_group_id"] = made["pulumi"]["group_id"]
        run = succeeded(onboarder.onboard(hosts=MODES, given=inventory))
        again = onboarder.onboard(hosts=MODES, given=inventory)
        after = world.state()["aws"][HOME_ACCOUNT]
        yield Takeover(onboarder, neighbor, made, before, aws_auth, run, again, after)


def hang_on(made: Mapping[str, Mapping[str, str]]) -> None:
    """Attach one of the customer's own policies to every role and user."""
    aws = Aws({"region": "eu-central-1"})
    for things in made.values():
        for key in things.keys() & {"role_arn", "user_arn", "node_role_arn"}:
            kind, _slash, name = things[key].rpartition(":")[2].partition("/")
            aws.attach(kind, name, FOREIGN)


def mapped(world: World, name: str) -> str:
    """mapRoles as written; empty if the cluster has no aws-auth."""
    held = world.kubernetes(name).get(AWS_AUTH)
    return str(held["data"]["mapRoles"]) if held else ""


def test_a_second_run_changes_nothing(takeover: Takeover) -> None:
    changed_nothing(takeover.again)


@pytest.mark.parametrize("host", MODES)
def test_the_cluster_keeps_what_it_has(takeover: Takeover, host: str) -> None:
    made, result = takeover.made[host], takeover.prepared(host)
    assert result["identity_arn"] == made.get("role_arn", made.get("user_arn"))
    assert result["node_role_arn"] == made.get("node_role_arn", result["node_role_arn"])
    assert result["instance_profile_arn"] == made.get("profile_arn", result["instance_profile_arn"])
    assert result["security_group_id"] == made.get("group_id", result["security_group_id"])
    cluster = takeover.again.of("castai_cluster", host)[-1]["cluster"]
    assert (cluster["id"], cluster["status"]) == (made["cluster_id"], "ready")


def test_components_are_installed_beside_what_the_script_made(takeover: Takeover) -> None:
    normal = takeover.world.state(normal=True)["kubernetes"]
    for host in MODES:
        found = {item["name"] for label, item in normal[host].items() if label.startswith("Helm release ")}
        assert found == {"castai-agent", *(COMPONENTS if host == WITH_COMPONENTS else ())}, host
    statuses = {item["status"] for label, item in normal[WITH_COMPONENTS].items() if label.startswith("Helm release ")}
    assert statuses == {"deployed"}


def test_only_what_a_tool_had_not_made_is_new(takeover: Takeover) -> None:
    """The user script creates nothing for nodes, and Terraform's module no security group."""
    before, after = takeover.before["iam"], takeover.after["iam"]
    of_user, of_terraform = takeover.prepared("user"), takeover.prepared("terraform")
    assert after["users"].keys() == before["users"].keys()
    assert after["roles"].keys() - before["roles"].keys() == {of_user["node_role_arn"]}
    assert after["instance_profiles"].keys() - before["instance_profiles"].keys() == {of_user["instance_profile_arn"]}
    groups, groups_before = (
        state["ec2"]["eu-central-1"]["security_groups"].keys() for state in (takeover.after, takeover.before)
    )
    assert groups - groups_before == {of_user["security_group_id"], of_terraform["security_group_id"]}
    for kind in ("users", "roles", "instance_profiles", "policies"):
        assert before[kind].keys() <= after[kind].keys(), kind


@pytest.mark.parametrize("host", MODES)
def test_documents_are_brought_up_to_date(takeover: Takeover, host: str) -> None:
    (eks,) = (cluster for cluster in takeover.after["eks"] if cluster["name"] == host)
    vpc = eks["vpc"]["vpcId"]
    location = policies.Location("aws", HOME_ACCOUNT, "eu-central-1", host, vpc, HOME_ACCOUNT)
    own = SHARED_POLICY.replace("CastEKSPolicy", f"CastEKSPolicy-{host}")
    identity = takeover.made[host].get("role_arn") or takeover.made[host]["user_arn"]
    held = takeover.after["iam"]["users" if host == "user" else "roles"][identity]
    assert same_policy(takeover.document(own), policies.eks_managed(location))
    assert own in held["attached"]
    if host == "user":
        restricted = SHARED_POLICY.replace("CastEKSPolicy", f"CastEKSRestrictedAccess-{host}")
        assert takeover.document(restricted) == policies.eks_restricted(location)
        assert restricted in held["attached"]
        assert held["inline"] == {}
    else:
        assert held["inline"]["CastEKSRestrictedAccess"] == policies.eks_restricted(location)
        (statement,) = held["trust"]["Statement"]
        assert statement["Condition"] == {"StringEquals": {"sts:ExternalId": takeover.made[host]["cluster_id"]}}


@pytest.mark.parametrize("host", MODES)
def test_what_others_attached_stays(takeover: Takeover, host: str) -> None:
    for kind in ("users", "roles"):
        for arn in set(takeover.made[host].values()) & takeover.before["iam"][kind].keys():
            before, after = (set(state["iam"][kind][arn]["attached"]) for state in (takeover.before, takeover.after))
            assert FOREIGN in before
            assert before - after <= {SHARED_POLICY}, arn
            assert SHARED_POLICY not in after


def test_who_was_mapped_stays_mapped_as_written(takeover: Takeover) -> None:
    assert takeover.prepared("older")["access"]["way"] == "aws_auth"
    for host in MODES.keys() - {"user"}:
        assert mapped(takeover.world, host) == takeover.aws_auth_before[host], host
    assert mapped(takeover.world, "user").startswith(takeover.aws_auth_before["user"])


def test_the_shared_policy_and_the_cluster_that_still_needs_it_stay(takeover: Takeover) -> None:
    before, after = takeover.before["iam"], takeover.after["iam"]
    assert after["policies"][SHARED_POLICY] == before["policies"][SHARED_POLICY]
    assert len(before["policies"][SHARED_POLICY]["versions"]) > 1
    theirs = [arn for arn in before["roles"] if NEIGHBOR in arn]
    assert len(theirs) == 2
    for arn in theirs:
        assert after["roles"][arn] == before["roles"][arn]
    assert any(SHARED_POLICY in after["roles"][arn]["attached"] for arn in theirs)


def test_the_scripts_key_is_replaced_by_the_only_one(takeover: Takeover) -> None:
    made = takeover.made["user"]
    (key,) = takeover.after["iam"]["users"][made["user_arn"]]["access_keys"]
    assert key["id"] != made["access_key_id"]
    assert takeover.world.state()["castai"]["access_keys"] == {made["cluster_id"]: key["id"]}


def test_a_role_of_our_name_that_is_another_clusters_is_refused_and_left_alone(takeover: Takeover) -> None:
    """This test runs last, because the role belongs to the neighbor afterwards."""
    world, role = takeover.world, takeover.made["newest"]["role_arn"].rpartition("/")[2]
    others = takeover.neighbor["cluster_id"]
    Aws({"region": "eu-central-1"}).tag_principal("role", role, names.iam_tags(NEIGHBOR, others))
    mark = world.mark()
    run = takeover.onboarder.onboard(hosts=("newest",), playbook=ONBOARD)
    assert f"Role {role} belongs to another cluster, {others} ({NEIGHBOR})" in run.failures["newest"]
    assert writes(world, mark) == []
