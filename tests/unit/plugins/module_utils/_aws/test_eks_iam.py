# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is planned for each existing state, without calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._aws import eks_iam, policies
from ansible_collections.castai.onboarding.plugins.module_utils._aws.eks_iam import plan, view
from ansible_collections.castai.onboarding.plugins.module_utils._aws.eks_nodes import Nodes
from ansible_collections.castai.onboarding.plugins.module_utils._aws.eks_observed import Current, Identity
from ansible_collections.castai.onboarding.plugins.module_utils._aws.eks_wanted import Desired, location
from ansible_collections.castai.onboarding.plugins.module_utils._aws.identity import (
    CreatePolicy,
    CreateRole,
    ExistingPolicy,
)
from ansible_collections.castai.onboarding.plugins.module_utils._aws.keys import TAG_CREDENTIALS, TAG_KEY, ExistingKeys
from ansible_collections.castai.onboarding.plugins.module_utils._aws.names import iam_tags
from ansible_collections.castai.onboarding.plugins.module_utils._engine import UNKNOWN, Action, Plan, Refused
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws_ec2 import Instance, SecurityGroup
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws_eks import AccessEntry, EksCluster
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws_iam import (
    AccessKey,
    Making,
    Policy,
    Principal,
    Profile,
)
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.castai import Cluster
from ansible_collections.castai.onboarding.plugins.module_utils._k8s import aws_auth_text
from ansible_collections.castai.onboarding.plugins.module_utils._owner import choose

ACCOUNT, REGION, NAME = "111122223333", "eu-central-1", "prod"
ID, OTHER = "5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e", "6c1b2004-0000-4d4a-8f5d-0a6f5c1f0d7e"
IAM = f"arn:aws:iam::{ACCOUNT}"
CASTAI = f"arn:aws:iam::809060229965:user/cast-crossrole-{ID}"
TAGS, OTHERS = (MappingProxyType(iam_tags(*whose)) for whose in ((NAME, ID), ("shop", OTHER)))
PARAMETERS: dict[str, Any] = {
    "adopt": False,
    "force": False,
    "cluster_id": ID,
    "hand_over": True,
    "identity": "role",
    "provider": "eks",
    "cluster_name": NAME,
    "node_policies": [],
    "spot_lambda_role": False,
    "path": "/",
    "policy_scope": "cluster",
    "prepare": True,
    "region": REGION,
    "state": "present",
    "tags": {},
    "user_access": "cluster_admin",
}
EKS = EksCluster(
    NAME,
    f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/{NAME}",
    "https://prod",
    "PEM",
    "ACTIVE",
    "1.36",
    "API",
    "ipv4",
    "vpc-1",
)
FACTS = {"accountId": ACCOUNT, "region": REGION, "clusterName": NAME}
RECORD = Cluster(ID, NAME, "eks", "ready", "online", "org", "", "", FACTS)
ROLE, USER, NODE = "cast-eks-prod-cluster-role-5b0a1ff3", "cast-eks-prod", "cast-prod-eks-5b0a1ff3"
BROAD = " (may pass any role to ec2 and eks)"
MANAGED, RESTRICTED, IPV6 = "CastEKSPolicy-prod", "CastEKSRestrictedAccess-prod", "CastEC2AssignIPv6Policy-prod"
GROUP = "cast-prod-cluster/CastNodeSecurityGroup"


def desired(**changes: Any) -> Desired:
    return eks_iam.desired({**PARAMETERS, **changes})


def sentences(current: Current, **changes: Any) -> list[str]:
    return [action.sentence for action in plan(current, desired(**changes))]


def arn_of(name: str) -> str:
    return f"{IAM}:policy/{name}"


def held(name: str, document: Any = None, tags: Mapping[str, str] = TAGS, attachments: int = 1) -> ExistingPolicy:
    """An existing policy or, without a document, one that does not exist."""
    if document is None:
        return ExistingPolicy(name, arn_of(name))
    return ExistingPolicy(name, arn_of(name), Policy(name, arn_of(name), "v1", attachments, tags), document)


def role(name: str, trust: Any, tags: Mapping[str, str] = TAGS) -> Principal:
    return Principal("role", name, f"{IAM}:role/{name}", tags, "", trust)


HERE = location(EKS, desired())
WITH_READERS = policies.aws_managed("aws", policies.OF_CASTAI)
NOTHING = Current(
    EKS,
    RECORD,
    "",
    Identity(ROLE),
    held(MANAGED),
    ExistingPolicy(),
    Nodes(role_name=NODE, profile_name=NODE, makers={NODE: ""}),
)
NODES = Nodes(
    role_name=NODE,
    role=role(NODE, policies.trust_nodes(HERE)),
    attached=policies.aws_managed("aws", policies.OF_NODES),
    profile_name=NODE,
    profile=Profile(NODE, f"{IAM}:instance-profile/{NODE}", NODE, f"{IAM}:role/{NODE}", TAGS),
    group=SecurityGroup("sg-1", GROUP, "vpc-1", {"Name": GROUP, **TAGS}, True, True),
    entry=AccessEntry(f"{IAM}:role/{NODE}", "EC2_LINUX", TAGS),
    makers={NODE: ""},
)
BY_ROLE = Current(
    EKS,
    replace(RECORD, credentials_id="c1", facts={**FACTS, "assumeRoleArn": f"{IAM}:role/{ROLE}"}),
    CASTAI,
    Identity(
        ROLE,
        role(ROLE, policies.trust_castai(CASTAI, ID), {**TAGS, TAG_CREDENTIALS: "c1"}),
        attached=(*WITH_READERS, arn_of(MANAGED)),
        inline=policies.eks_restricted(HERE),
        others=("CastEKSRestrictedAccess",),
    ),
    held(MANAGED, policies.eks_managed(HERE)),
    ExistingPolicy(),
    NODES,
)
USER_TAGS = {**TAGS, TAG_KEY: "A", TAG_CREDENTIALS: "c1"}
BY_USER = replace(
    BY_ROLE,
    record=replace(RECORD, credentials_id="c1"),
    principal_arn="",
    identity=Identity(
        USER,
        Principal("user", USER, f"{IAM}:user/{USER}", USER_TAGS, "", {}),
        attached=(*WITH_READERS, arn_of(MANAGED), arn_of(RESTRICTED)),
        keys=ExistingKeys((AccessKey("A", True, "2026-11-01"),), USER_TAGS, "c1"),
        entry=AccessEntry(f"{IAM}:user/{USER}", "STANDARD", TAGS),
        access_policies=("arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",),
    ),
    restricted=held(RESTRICTED, policies.eks_restricted(HERE)),
)
NO_USER = replace(NOTHING, identity=Identity(USER), restricted=held(RESTRICTED))
IN_CONFIG_MAP = replace(EKS, authentication_mode="CONFIG_MAP")


def of_identity(current: Current, **changes: Any) -> Current:
    return replace(current, identity=replace(current.identity, **changes))


def of_nodes(current: Current, **changes: Any) -> Current:
    return replace(current, nodes=replace(current.nodes, **changes))


def tagged(current: Current, **changes: Any) -> Current:
    """With another principal."""
    principal = current.identity.principal
    assert principal
    return of_identity(current, principal=replace(principal, **changes))


# The whole


NODE_SENTENCES = [
    f"create role {NODE}, which CAST AI's nodes run with",
    f"attach AmazonEKSWorkerNodePolicy to role {NODE}",
    f"attach AmazonEC2ContainerRegistryReadOnly to role {NODE}",
    f"attach AmazonEKS_CNI_Policy to role {NODE}",
    f"create instance profile {NODE}",
    f"add role {NODE} to instance profile {NODE}",
    f"create security group {GROUP} in vpc-1",
    f"allow traffic within security group {GROUP}",
    f"create an access entry for the nodes' role, {IAM}:role/{NODE}, in cluster prod",
]
ROLE_SENTENCES = [
    f"create CAST AI's principal for cluster {ID}",
    f"create policy {MANAGED}{BROAD}",
    f"create role {ROLE}, which CAST AI assumes",
    f"write inline policy CastEKSRestrictedAccess of role {ROLE}",
    f"attach AmazonEC2ReadOnlyAccess to role {ROLE}",
    f"attach IAMReadOnlyAccess to role {ROLE}",
    f"attach {MANAGED} to role {ROLE}",
]
USER_SENTENCES = [
    f"create policy {MANAGED}{BROAD}",
    f"create policy {RESTRICTED}",
    f"create user {USER}",
    f"attach AmazonEC2ReadOnlyAccess to user {USER}",
    f"attach IAMReadOnlyAccess to user {USER}",
    f"attach {MANAGED} to user {USER}",
    f"attach {RESTRICTED} to user {USER}",
]
USER_ACCESS_SENTENCES = [
    f"create an access entry for CAST AI's user, {IAM}:user/{USER}, in cluster prod",
    f"give user {USER} full control of cluster prod (AmazonEKSClusterAdminPolicy)",
]
GIVE_ROLE = f"give CAST AI role {IAM}:role/{ROLE} for cluster {ID}"
GIVE_KEY = f"create an access key of user {USER} and hand it to CAST AI for cluster {ID}"


def test_a_role_from_nothing() -> None:
    assert sentences(NOTHING) == [*ROLE_SENTENCES, *NODE_SENTENCES, GIVE_ROLE]


def test_a_user_from_nothing() -> None:
    assert sentences(NO_USER, identity="user") == [
        *USER_SENTENCES,
        *NODE_SENTENCES,
        *USER_ACCESS_SENTENCES,
        GIVE_KEY,
    ]


@pytest.mark.parametrize(("current", "identity"), [(BY_ROLE, "role"), (BY_USER, "user")])
def test_what_is_as_wanted_is_left_alone(current: Current, identity: str) -> None:
    assert sentences(current, identity=identity) == []


@pytest.mark.parametrize(("current", "identity"), [(NOTHING, "role"), (NO_USER, "user")])
def test_two_tasks_do_what_one_does(current: Current, identity: str) -> None:
    prepared = sentences(current, identity=identity, hand_over=False)
    handed_over = sentences(current, identity=identity, prepare=False)
    assert [*prepared, *handed_over] == sentences(current, identity=identity)
    assert handed_over == [GIVE_ROLE if identity == "role" else GIVE_KEY]


@pytest.mark.parametrize("mode", ["API", "API_AND_CONFIG_MAP", "CONFIG_MAP"])
@pytest.mark.parametrize(("current", "identity"), [(NOTHING, "role"), (NO_USER, "user")])
def test_the_way_in_goes_by_the_authentication_mode(current: Current, identity: str, mode: str) -> None:
    current = replace(current, eks=replace(EKS, authentication_mode=mode))
    entries = [sentence for sentence in sentences(current, identity=identity) if "access entry" in sentence]
    way = view(current, desired(identity=identity), {})["access"]
    if mode == "CONFIG_MAP":
        assert (entries, way["way"]) == ([], "aws_auth")
        node = {
            "role_arn": f"{IAM}:role/{NODE}",
            "username": "system:node:{{EC2PrivateDNSName}}",
            "groups": ["system:bootstrappers", "system:nodes"],
        }
        user = {"user_arn": f"{IAM}:user/{USER}", "username": USER, "groups": ["system:masters"]}
        assert way["aws_auth"] == ([node] if identity == "role" else [node, user])
        assert view(current, desired(identity=identity, user_access="none"), {})["access"]["aws_auth"] == [node]
    else:
        assert (len(entries), way["way"], way["aws_auth"]) == (1 if identity == "role" else 2, "access_entry", [])
    assert mode in way["reason"]


# Drift

DRIFT: dict[str, tuple[Current, list[str]]] = {
    "trust": (tagged(BY_ROLE, trust={"Statement": []}), [f"set the trust policy of role {ROLE}"]),
    "trust of another principal of CAST AI": (
        tagged(BY_ROLE, trust=policies.trust_castai("AIDAGONE", ID)),
        [f"set the trust policy of role {ROLE}"],
    ),
    "inline policy": (
        of_identity(BY_ROLE, inline={"Statement": []}),
        [f"write inline policy CastEKSRestrictedAccess of role {ROLE}"],
    ),
    "managed policy": (
        replace(BY_ROLE, managed=held(MANAGED, {"Statement": []})),
        [f"update policy {MANAGED}{BROAD}"],
    ),
    "policy's tags": (
        replace(BY_ROLE, managed=held(MANAGED, policies.eks_managed(HERE), {})),
        [f"tag policy {MANAGED}"],
    ),
    "attachment": (
        of_identity(BY_ROLE, attached=BY_ROLE.identity.attached[1:]),
        [f"attach AmazonEC2ReadOnlyAccess to role {ROLE}"],
    ),
    "foreign attachment": (of_identity(BY_ROLE, attached=(*BY_ROLE.identity.attached, arn_of("theirs"))), []),
    "role's tags": (tagged(BY_ROLE, tags={"cast:cluster-id": ID}), [f"tag role {ROLE}", GIVE_ROLE]),
    "node role's trust": (
        of_nodes(BY_ROLE, role=role(NODE, {"Statement": []})),
        [f"set the trust policy of role {NODE}"],
    ),
    "node role's attachment": (
        of_nodes(BY_ROLE, attached=NODES.attached[:2]),
        [f"attach AmazonEKS_CNI_Policy to role {NODE}"],
    ),
    "empty profile": (
        of_nodes(BY_ROLE, profile=replace(NODES.profile, role="")),  # type: ignore[type-var]
        [f"add role {NODE} to instance profile {NODE}"],
    ),
    "profile with another role": (
        of_nodes(BY_ROLE, profile=replace(NODES.profile, role="x", tags={})),  # type: ignore[type-var]
        [f"tag instance profile {NODE}", f"add role {NODE} to instance profile {NODE} instead of x"],
    ),
    "group": (
        of_nodes(BY_ROLE, group=SecurityGroup("sg-1", GROUP, "vpc-1", TAGS, False, False)),
        [
            f"tag security group {GROUP}",
            f"allow all outgoing traffic of security group {GROUP}",
            f"allow traffic within security group {GROUP}",
        ],
    ),
    "access entry": (of_nodes(BY_ROLE, entry=None), NODE_SENTENCES[-1:]),
    "CAST AI has another role": (
        replace(BY_ROLE, record=replace(RECORD, credentials_id="c1", facts={**FACTS, "assumeRoleArn": "x"})),
        [GIVE_ROLE],
    ),
    "CAST AI has no credentials": (
        replace(BY_ROLE, record=replace(BY_ROLE.record, credentials_id="")),  # type: ignore[type-var]
        [GIVE_ROLE],
    ),
}


@pytest.mark.parametrize(("current", "done"), DRIFT.values(), ids=DRIFT)
def test_drift_is_repaired_and_nothing_else(current: Current, done: list[str]) -> None:
    assert sentences(current) == done


def test_the_users_access_is_repaired() -> None:
    lost = of_identity(BY_USER, entry=None, access_policies=())
    assert sentences(lost, identity="user") == USER_ACCESS_SENTENCES
    assert sentences(of_identity(BY_USER, access_policies=()), identity="user") == USER_ACCESS_SENTENCES[1:]
    assert sentences(lost, identity="user", user_access="none") == []


def test_a_users_restricted_policy_is_never_inline() -> None:
    old = of_identity(
        BY_USER, inline={"Statement": []}, attached=(*WITH_READERS, arn_of(MANAGED), arn_of("CastEKSPolicy"))
    )
    assert sentences(old, identity="user") == [
        f"attach {RESTRICTED} to user {USER}",
        f"detach CastEKSPolicy from user {USER}",
        f"delete inline policy CastEKSRestrictedAccess of user {USER}",
    ]


# Policies


def test_the_shared_policy_goes_once_ours_is_there() -> None:
    by_script = replace(
        of_identity(BY_ROLE, attached=(*WITH_READERS, f"{IAM}:policy/CastEKSPolicy")), managed=held(MANAGED)
    )
    assert sentences(by_script) == [
        f"create policy {MANAGED}{BROAD}",
        f"attach {MANAGED} to role {ROLE}",
        f"detach CastEKSPolicy from role {ROLE}",
    ]


def test_a_shared_policy_is_made_once_and_then_left_with_a_warning() -> None:
    name, options = "CastEKSPolicy", {"policy_scope": "account"}
    attached = of_identity(BY_ROLE, attached=(*WITH_READERS, arn_of(name)))
    absent = replace(NOTHING, managed=held(name))
    assert f"create policy {name}{BROAD}" in sentences(absent, **options)
    there = replace(attached, managed=held(name, policies.eks_managed(HERE), {}))
    other = replace(attached, managed=held(name, {"Statement": []}, OTHERS))
    assert sentences(there, **options) == sentences(other, **options) == []
    assert "warnings" not in view(there, desired(**options), {})
    (warning,) = view(other, desired(**options), {})["warnings"]
    assert warning == (
        "Policy CastEKSPolicy, which the clusters of the account share, differs from the expected document and was"
        " left unchanged."
    )


def test_documents_of_the_users_own() -> None:
    mine = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}]}
    actions = {
        action.sentence: action for action in plan(BY_ROLE, desired(managed_policy=mine, restricted_policy=mine))
    }
    assert list(actions) == [
        f"update policy {MANAGED} (full control of ec2)",
        f"write inline policy CastEKSRestrictedAccess of role {ROLE} (full control of ec2)",
    ]
    assert all(action.after == mine for action in actions.values())


def test_a_policy_that_is_given_twice_or_is_ours_anyway_is_attached_once() -> None:
    current = of_nodes(BY_ROLE, attached=())
    cni, extra = "arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy", arn_of("extra")
    found = [sentence for sentence in sentences(current, node_policies=[cni, extra, extra]) if "attach " in sentence]
    assert len(found) == len(set(found)) == 4


@pytest.mark.parametrize("scope", ["cluster", "account"])
def test_nodes_of_an_ipv6_cluster_get_one_policy_more(scope: str) -> None:
    name = IPV6 if scope == "cluster" else "CastEC2AssignIPv6Policy"
    eks = replace(EKS, ip_family="ipv6")
    attached = (*WITH_READERS, arn_of("CastEKSPolicy" if scope == "account" else MANAGED))
    current = of_nodes(replace(of_identity(BY_ROLE, attached=attached), eks=eks), ipv6=held(name))
    if scope == "account":
        current = replace(current, managed=held("CastEKSPolicy", {"Statement": []}))
    assert sentences(current, policy_scope=scope) == [f"create policy {name}", f"attach {name} to role {NODE}"]
    there = of_nodes(current, ipv6=held(name, policies.IPV6_NODES, TAGS), attached=(*NODES.attached, arn_of(name)))
    assert sentences(there, policy_scope=scope) == []


def test_a_policy_of_the_same_name_under_another_path_is_named() -> None:
    moved = replace(
        of_identity(BY_ROLE, attached=(*WITH_READERS, f"{IAM}:policy/old/{MANAGED}")), managed=held(MANAGED)
    )
    with pytest.raises(
        Refused,
        match=(
            f"Policy {IAM}:policy/old/{MANAGED} has a different path than /. Set"
            r" castai_iam_path \(option path\) to the path of the policy"
        ),
    ):
        sentences(moved)


def test_boundary_path_and_tags_are_on_everything_that_is_made() -> None:
    boundary = f"{IAM}:policy/boundary"
    options = {"permissions_boundary": boundary, "path": "/vendors/", "tags": {"cost": 4711}}
    making = Making("/vendors/", boundary, {"cost": "4711", **TAGS})
    made = [action for action in plan(NOTHING, desired(**options)) if hasattr(action, "making")]
    assert len(made) == 4
    assert all(action.making == making for action in made)
    assert f"create an access entry for the nodes' role, {IAM}:role/vendors/{NODE}, in cluster prod" in sentences(
        NOTHING, **options
    )
    warnings = view(BY_ROLE, desired(**options), {})["warnings"]
    assert warnings == [
        f"Role {ROLE} already existed. Its permissions boundary, none, was left unchanged.",
        f"Role {NODE} already existed. Its permissions boundary, none, was left unchanged.",
    ]


# Partitions


@pytest.mark.parametrize("partition", ["aws-us-gov", "aws-cn"])
def test_role_mode_needs_a_principal_of_the_partition(partition: str) -> None:
    eks = replace(EKS, arn=EKS.arn.replace("arn:aws:", f"arn:{partition}:"))
    for castai in ("", CASTAI):
        with pytest.raises(
            Refused,
            match=(
                rf"cannot be trusted by a role in partition {partition}. Set eks_onboard_identity \(option"
                r" identity\) to user"
            ),
        ):
            sentences(replace(NOTHING, eks=eks, principal_arn=castai))
    theirs = CASTAI.replace("arn:aws:", f"arn:{partition}:")
    actions = list(plan(replace(NOTHING, eks=eks, principal_arn=theirs), desired()))
    assert f"attach AmazonEKS_CNI_Policy to role {NODE}" in [action.sentence for action in actions]
    arns = [getattr(action, "arn", "") for action in actions]
    assert {arn.split(":")[1] for arn in arns if arn and MANAGED not in arn} == {partition}
    assert GIVE_KEY in sentences(replace(NO_USER, eks=eks), identity="user")


# An id that only a run will know


@pytest.mark.parametrize("identity", ["role", "user"])
def test_an_unknown_id_plans_what_the_run_does(identity: str) -> None:
    known = NO_USER if identity == "user" else NOTHING

    def unknown(text: str) -> str:
        return text.replace(ID, UNKNOWN).replace(ID[:8], UNKNOWN)

    nodes = Nodes(role_name=unknown(NODE), profile_name=unknown(NODE), makers={unknown(NODE): ""})
    current = replace(of_identity(known, name=unknown(known.identity.name)), record=None, nodes=nodes)
    planned = sentences(current, identity=identity, cluster_id=UNKNOWN)
    assert planned == [unknown(sentence) for sentence in sentences(known, identity=identity)]
    shown = view(current, desired(identity=identity, cluster_id=UNKNOWN), {})
    assert shown["node_role_arn"] == f"{IAM}:role/cast-prod-eks-{UNKNOWN}"
    assert shown["security_group_id"] == UNKNOWN


# Which cluster an object belongs to

EKS_ROLE = policies.trust_castai(CASTAI, OTHER)
FOREIGN: dict[str, tuple[Current, str]] = {
    "role, by its external id": (tagged(BY_ROLE, trust=EKS_ROLE, tags={}), f"Role {ROLE} belongs to another cluster"),
    "role, by its tag": (tagged(BY_ROLE, tags=OTHERS), f"Role {ROLE} belongs to another cluster, {OTHER} (shop)"),
    "node role": (of_nodes(BY_ROLE, role=role(NODE, {}, OTHERS)), f"Role {NODE} belongs to another cluster"),
    "profile": (
        of_nodes(BY_ROLE, profile=replace(NODES.profile, tags=OTHERS)),  # type: ignore[type-var]
        f"Instance profile {NODE} belongs to another cluster",
    ),
    "group": (
        of_nodes(BY_ROLE, group=replace(NODES.group, tags=OTHERS)),  # type: ignore[type-var]
        f"Security group {GROUP} belongs to another cluster",
    ),
    "policy": (
        replace(BY_ROLE, managed=held(MANAGED, {"Statement": []}, OTHERS)),
        f"Policy {MANAGED} belongs to another cluster",
    ),
}


@pytest.mark.parametrize(("current", "sentence"), FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("adopt", [False, True])
def test_another_clusters_object_is_refused_naming_it(current: Current, sentence: str, adopt: bool) -> None:
    with pytest.raises(Refused) as refusal:
        sentences(current, adopt=adopt)
    assert sentence in str(refusal.value)
    assert OTHER in str(refusal.value)


TERRAFORM = "castai-eks-prod"
NO_EXTERNAL_ID = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": CASTAI}, "Action": "sts:AssumeRole"}],
}
UNMARKED: dict[str, Current] = {
    f"Role {TERRAFORM}": replace(
        of_identity(BY_ROLE, name=TERRAFORM, principal=role(TERRAFORM, NO_EXTERNAL_ID, {})), record=RECORD
    ),
    "Role castai-eks-instance-prod": of_nodes(
        BY_ROLE,
        role_name="castai-eks-instance-prod",
        role=role("castai-eks-instance-prod", {}, {}),
        makers={"castai-eks-instance-prod": "Terraform", NODE: ""},
    ),
    "Instance profile castai-eks-instance-prod": of_nodes(
        BY_ROLE,
        profile_name="castai-eks-instance-prod",
        profile=replace(NODES.profile, name="castai-eks-instance-prod", tags={}),  # type: ignore[type-var]
        makers={"castai-eks-instance-prod": "Terraform", NODE: ""},
    ),
    f"Security group {GROUP}": of_nodes(BY_ROLE, group=replace(NODES.group, tags={})),  # type: ignore[type-var]
    f"Policy {MANAGED}": replace(
        of_identity(BY_ROLE, attached=WITH_READERS), managed=held(MANAGED, policies.eks_managed(HERE), {})
    ),
}


@pytest.mark.parametrize("what", UNMARKED)
def test_without_a_sign_adopt_decides(what: str) -> None:
    with pytest.raises(Refused) as refusal:
        sentences(UNMARKED[what])
    assert str(refusal.value) == (
        f"{what} has no tag that shows which cluster it belongs to. Set castai_adopt (option adopt) to true"
        " to take it over, or delete"
        " it if nothing needs it."
    )
    assert any(sentence.startswith("tag ") for sentence in sentences(UNMARKED[what], adopt=True))


def test_cast_ais_record_the_id_in_a_name_and_an_attachment_are_signs() -> None:
    recorded = replace(
        UNMARKED[f"Role {TERRAFORM}"],
        record=replace(RECORD, credentials_id="c1", facts={**FACTS, "assumeRoleArn": f"{IAM}:role/{TERRAFORM}"}),
    )
    assert sentences(recorded)[:2] == [f"set the trust policy of role {TERRAFORM}", f"tag role {TERRAFORM}"]
    older = tagged(BY_ROLE, trust=NO_EXTERNAL_ID, tags={})
    assert sentences(older) == [f"set the trust policy of role {ROLE}", f"tag role {ROLE}", GIVE_ROLE]
    assert sentences(replace(BY_ROLE, managed=held(MANAGED, {}, {})))[-1] == f"tag policy {MANAGED}"


def test_what_was_there_before_is_told_with_its_maker() -> None:
    by_script = tagged(BY_ROLE, tags={})
    assert view(by_script, desired(), {})["adopted"] == {ROLE: "the onboarding script"}
    by_terraform = of_identity(BY_ROLE, maker="Terraform")
    assert view(by_terraform, desired(), {})["adopted"] == {ROLE: "Terraform"}
    assert view(BY_ROLE, desired(), {})["adopted"] == view(NOTHING, desired(), {})["adopted"] == {}


OWNER = desired().owner
MINE, THEIRS, NOBODYS = (Policy("p", "arn", "v1", 1, tags) for tags in (TAGS, OTHERS, {}))
CHOICES: dict[str, tuple[dict[str, Policy | None], str]] = {
    "none there": ({"plain": None, "id": None}, "plain"),
    "mine": ({"plain": MINE, "id": None}, "plain"),
    "nobody's": ({"plain": NOBODYS, "id": None}, "plain"),
    "another's": ({"plain": THEIRS, "id": None}, "id"),
    "another's, and mine": ({"plain": THEIRS, "id": MINE}, "id"),
    "both another's": ({"plain": THEIRS, "id": THEIRS}, "id"),
    "another tool's": ({"plain": None, "id": None, "tool": NOBODYS}, "tool"),
    "another tool's for another cluster": ({"plain": None, "id": None, "tool": THEIRS}, "plain"),
    "only the tool's, for another cluster": ({"tool": THEIRS}, ""),
}


@pytest.mark.parametrize(("found", "chosen"), CHOICES.values(), ids=CHOICES)
def test_which_object_it_is(found: dict[str, Policy | None], chosen: str) -> None:
    assert choose(found, {name: "Terraform" if name == "tool" else "" for name in found}, OWNER) == chosen


# Given by the user

MY_ROLE, MY_NODE, MY_PROFILE = f"{IAM}:role/x/mine", f"{IAM}:role/mine", f"{IAM}:instance-profile/mine"
MINE_TRUSTED = replace(role("mine", policies.trust_castai(CASTAI, ID), OTHERS), arn=MY_ROLE)
WITH_MINE = replace(of_identity(BY_ROLE, name="mine", principal=MINE_TRUSTED, attached=(), inline=None), record=RECORD)


def test_a_brought_role_is_only_handed_over() -> None:
    assert sentences(WITH_MINE, role_arn=MY_ROLE) == [f"give CAST AI role {MY_ROLE} for cluster {ID}"]
    assert view(WITH_MINE, desired(role_arn=MY_ROLE), {})["identity_arn"] == MY_ROLE


def test_a_brought_role_needs_cast_ais_principal_first() -> None:
    fresh = replace(WITH_MINE, principal_arn="")
    assert sentences(fresh, role_arn=MY_ROLE, hand_over=False) == ROLE_SENTENCES[:1]
    shown = view(fresh, desired(role_arn=MY_ROLE), {"principal_arn": CASTAI})
    assert shown["principal_arn"] == CASTAI
    with pytest.raises(Refused, match=r"CAST AI has no principal for cluster .* yet, so role mine cannot trust it"):
        sentences(fresh, role_arn=MY_ROLE)


def test_a_brought_role_that_does_not_trust_cast_ai_is_refused_with_what_it_takes() -> None:
    with pytest.raises(Refused) as refusal:
        sentences(tagged(WITH_MINE, trust=EKS_ROLE), role_arn=MY_ROLE)
    assert str(refusal.value) == (
        "Role mine of eks_onboard_role_arn (option role_arn) does not trust CAST AI. Its trust policy must allow"
        f" {CASTAI} to call sts:AssumeRole with sts:ExternalId {ID}."
    )


BROUGHT_NODE = of_nodes(
    BY_ROLE,
    role_name="mine",
    role=role("mine", policies.trust_nodes(HERE), {}),
    profile=replace(NODES.profile, role="mine"),  # type: ignore[type-var]
    attached=(),
    entry=None,
    makers={"mine": "", NODE: ""},
)
BROUGHT_PROFILE = of_nodes(
    BY_ROLE,
    role_name="",
    role=None,
    profile_name="mine",
    profile=Profile("mine", MY_PROFILE, "r", f"{IAM}:role/r", {}),
    attached=(),
    entry=None,
    makers={"": "", "mine": ""},
)


def test_a_brought_node_role_is_put_into_our_profile_and_let_in() -> None:
    entry = f"create an access entry for the nodes' role, {MY_NODE}, in cluster prod"
    assert sentences(BROUGHT_NODE, node_role_arn=MY_NODE) == [entry]
    empty = of_nodes(BROUGHT_NODE, profile=None)
    assert sentences(empty, node_role_arn=MY_NODE) == [
        f"create instance profile {NODE}",
        f"add role mine to instance profile {NODE}",
        entry,
    ]


def test_the_role_in_a_brought_profile_is_the_one_that_is_let_in() -> None:
    options = {"instance_profile_arn": MY_PROFILE}
    entry = f"create an access entry for the nodes' role, {IAM}:role/r, in cluster prod"
    assert sentences(BROUGHT_PROFILE, **options) == [entry]
    shown = view(BROUGHT_PROFILE, desired(**options), {})
    assert (shown["node_role_arn"], shown["instance_profile_arn"]) == (f"{IAM}:role/r", MY_PROFILE)


def test_a_brought_group_is_left_alone() -> None:
    mine = of_nodes(BY_ROLE, group=SecurityGroup("sg-9", "mine", "vpc-1", {}, False, False))
    assert sentences(mine, security_group_id="sg-9") == []
    assert view(mine, desired(security_group_id="sg-9"), {})["security_group_id"] == "sg-9"


USELESS: dict[str, tuple[Current, dict[str, str], str]] = {
    "no such role": (of_identity(WITH_MINE, principal=None), {"role_arn": MY_ROLE}, "IAM has no role"),
    "role of another path": (WITH_MINE, {"role_arn": f"{IAM}:role/y/mine"}, "IAM has no role"),
    "no such node role": (of_nodes(BROUGHT_NODE, role=None), {"node_role_arn": MY_NODE}, "IAM has no role"),
    "node role that EC2 may not assume": (
        of_nodes(BROUGHT_NODE, role=role("mine", {}, {})),
        {"node_role_arn": MY_NODE},
        (
            "Role mine of eks_onboard_node_role_arn (option node_role_arn) does not trust ec2.amazonaws.com, which"
            " nodes need."
        ),
    ),
    "no such profile": (
        of_nodes(BROUGHT_PROFILE, profile=None),
        {"instance_profile_arn": MY_PROFILE},
        "IAM has no instance profile",
    ),
    "empty profile": (
        of_nodes(BROUGHT_PROFILE, profile=Profile("mine", MY_PROFILE, "", "", {})),
        {"instance_profile_arn": MY_PROFILE},
        f"There is no role in {MY_PROFILE}. Add one to it, or correct eks_onboard_instance_profile_arn (option",
    ),
    "profile with another role than the brought one": (
        of_nodes(BROUGHT_PROFILE, role=BROUGHT_NODE.nodes.role),
        {"instance_profile_arn": MY_PROFILE, "node_role_arn": MY_NODE},
        f"but the role in {MY_PROFILE} is {IAM}:role/r",
    ),
    "no such group": (of_nodes(BY_ROLE, group=None), {"security_group_id": "sg-9"}, "vpc-1, the VPC of cluster prod"),
    "group of another VPC": (
        of_nodes(BY_ROLE, group=SecurityGroup("sg-9", "mine", "vpc-2", {}, True, True)),
        {"security_group_id": "sg-9"},
        "has no security group sg-9. Correct eks_onboard_security_group_id (option security_group_id).",
    ),
    "node entry of another type": (
        of_nodes(BY_ROLE, entry=AccessEntry(f"{IAM}:role/{NODE}", "STANDARD", {})),
        {},
        "is of type STANDARD, so Linux nodes cannot join",
    ),
    "no cluster in EKS": (
        replace(BY_ROLE, eks=None, caller=ACCOUNT),
        {},
        f"EKS has no cluster prod in eu-central-1 of account {ACCOUNT}, which the AWS credentials belong to.",
    ),
    "no cluster in EKS, and STS does not answer": (
        replace(BY_ROLE, eks=None),
        {"account_id": "999988887777"},
        "EKS has no cluster prod in eu-central-1 of the account of the AWS credentials.",
    ),
    "no cluster in EKS, and credentials of another account": (
        replace(BY_ROLE, eks=None, caller=ACCOUNT),
        {"account_id": "999988887777"},
        f"castai_account_id (option account_id) is 999988887777, but the AWS credentials belong to account {ACCOUNT}.",
    ),
    "another account": (
        BY_ROLE,
        {"account_id": "444455556666"},
        "castai_account_id (option account_id) is 444455556666, but the AWS",
    ),
    "a cluster that goes": (
        replace(BY_ROLE, eks=replace(EKS, status="DELETING")),
        {},
        "EKS cluster prod is DELETING and will soon be gone.",
    ),
    "no cluster at CAST AI": (replace(BY_ROLE, record=None), {}, f"CAST AI has no cluster {ID}"),
    "an archived one": (
        replace(BY_ROLE, record=replace(RECORD, status="archived")),
        {},
        f"CAST AI has no cluster {ID}",
    ),
    "being disconnected": (replace(BY_ROLE, record=replace(RECORD, status="deleting")), {}, "is disconnecting cluster"),
    "the id of another cluster": (
        replace(BY_ROLE, record=replace(RECORD, facts={**FACTS, "clusterName": "shop"})),
        {},
        f"CAST AI's cluster {ID} is EKS cluster shop of account {ACCOUNT} in {REGION}, not EKS cluster prod of account",
    ),
    "the id of another provider's cluster": (
        replace(BY_ROLE, record=replace(RECORD, provider="gke", facts={"clusterName": "web"})),
        {},
        f"CAST AI's cluster {ID} is web of provider gke, not EKS cluster prod of account",
    ),
}


@pytest.mark.parametrize(("current", "options", "sentence"), USELESS.values(), ids=USELESS)
def test_what_is_no_use_is_refused(current: Current, options: dict[str, str], sentence: str) -> None:
    with pytest.raises(Refused) as refusal:
        sentences(current, **options)
    assert sentence in str(refusal.value)


# Removal

GONE = [
    f"delete security group {GROUP}",
    f"delete the access entry of {IAM}:role/{NODE} in cluster prod",
    f"detach AmazonEC2ReadOnlyAccess from role {ROLE}",
    f"detach IAMReadOnlyAccess from role {ROLE}",
    f"detach {MANAGED} from role {ROLE}",
    f"delete inline policy CastEKSRestrictedAccess of role {ROLE}",
    f"delete role {ROLE}",
    f"delete policy {MANAGED}",
    f"delete instance profile {NODE}",
    f"detach AmazonEKSWorkerNodePolicy from role {NODE}",
    f"detach AmazonEC2ContainerRegistryReadOnly from role {NODE}",
    f"detach AmazonEKS_CNI_Policy from role {NODE}",
    f"delete role {NODE}",
    f"delete CAST AI's principal for cluster {ID}",
]


def back(current: Current, **changes: Any) -> tuple[list[str], list[str]]:
    """The actions, and what is kept."""
    wanted = desired(state="absent", **{"force": True, **changes})
    planned = Plan.of(plan(current, wanted))
    return [action.sentence for action in planned.actions], view(current, wanted, planned.shown({}))["kept"]


def test_everything_goes_in_an_order_that_works() -> None:
    assert back(BY_ROLE) == (GONE, [])
    assert back(replace(NOTHING, principal_arn="")) == ([], [])


CONNECTED = replace(RECORD, credentials_id="c1")
RECORDS: dict[str, tuple[Cluster | None, bool]] = {
    "no record": (None, True),
    "no credentials": (replace(RECORD, status="ready"), True),
    "never connected": (replace(RECORD, status="connecting"), True),
    "archived": (replace(CONNECTED, status="archived"), True),
    "deleted": (replace(CONNECTED, status="deleted"), True),
    "failed": (replace(CONNECTED, status="failed"), True),
    "ready": (CONNECTED, False),
    "connecting": (replace(CONNECTED, status="connecting"), False),
    "warning": (replace(CONNECTED, status="warning"), False),
    "paused": (replace(CONNECTED, status="hibernated"), False),
    "no status": (replace(CONNECTED, status=""), False),
    "disconnecting": (replace(CONNECTED, status="deleting"), False),
    "its agent is silent": (replace(CONNECTED, agent_status="disconnected"), False),
}


@pytest.mark.parametrize(("record", "disconnected"), RECORDS.values(), ids=RECORDS)
def test_it_goes_when_cast_ai_has_disconnected_the_cluster_or_by_force(
    record: Cluster | None, disconnected: bool
) -> None:
    current = replace(BY_ROLE, record=record)
    assert back(current)[0] == GONE
    if disconnected:
        assert back(current, force=False)[0] == GONE
        return
    with pytest.raises(Refused, match=f"CAST AI (still manages|is still disconnecting) cluster {ID}"):
        back(current, force=False)


OF_PROFILE = Instance("i-1", ACCOUNT, "vpc-1", profile_arn=f"{IAM}:instance-profile/{NODE}")
OF_GROUP = Instance("i-2", ACCOUNT, "vpc-1", groups=frozenset({"sg-0", "sg-1"}))
OF_OTHERS = Instance("i-3", ACCOUNT, "vpc-1", f"{IAM}:instance-profile/{NODE}-2", frozenset({"sg-2"}))


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("users", [(OF_PROFILE,), (OF_GROUP,), (OF_PROFILE, OF_GROUP), (OF_OTHERS, OF_PROFILE)])
def test_instances_that_use_what_is_to_go_are_named(users: tuple[Instance, ...], force: bool) -> None:
    current = replace(of_nodes(BY_ROLE, instances=users), record=RECORD)
    named = ", ".join(one.id for one in users if one != OF_OTHERS)
    with pytest.raises(Refused, match=f"^Instances {named} use instance profile {NODE} or security group {GROUP}"):
        back(current, force=force)


def test_instances_that_use_what_stays_are_no_hindrance() -> None:
    assert back(of_nodes(BY_ROLE, instances=(OF_OTHERS,))) == (GONE, [])
    current = of_nodes(BROUGHT_PROFILE, instances=(OF_PROFILE, OF_GROUP), group=None)
    back(current, instance_profile_arn=MY_PROFILE, security_group_id="sg-1")


def test_it_goes_as_well_when_the_cluster_goes() -> None:
    assert back(replace(BY_ROLE, eks=replace(EKS, status="DELETING"))) == back(BY_ROLE)


def test_it_goes_as_well_when_cast_ai_has_forgotten_the_cluster() -> None:
    assert back(replace(BY_ROLE, record=None, principal_arn="")) == (GONE[:-1], [])


def test_a_user_goes_with_key_and_entry() -> None:
    done, kept = back(BY_USER, identity="user")
    assert kept == []
    assert done[:8] == [
        GONE[0],
        f"delete the access entry of {IAM}:user/{USER} in cluster prod",
        GONE[1],
        f"delete access key A of user {USER}, with the user",
        f"detach AmazonEC2ReadOnlyAccess from user {USER}",
        f"detach IAMReadOnlyAccess from user {USER}",
        f"detach {MANAGED} from user {USER}",
        f"detach {RESTRICTED} from user {USER}",
    ]
    assert done[8:11] == [f"delete user {USER}", f"delete policy {MANAGED}", f"delete policy {RESTRICTED}"]


KEPT: dict[str, tuple[Current, dict[str, Any], list[str], list[str]]] = {
    "role that others gave a policy": (
        of_identity(BY_ROLE, attached=(*BY_ROLE.identity.attached, arn_of("theirs"))),
        {},
        [f"delete role {ROLE}"],
        [f"role {ROLE}: others attached theirs to it"],
    ),
    "role that others gave an inline policy": (
        of_identity(BY_ROLE, others=("CastEKSRestrictedAccess", "theirs")),
        {},
        [f"delete role {ROLE}"],
        [f"role {ROLE}: others attached theirs to it"],
    ),
    "another cluster's role": (
        tagged(BY_ROLE, tags=OTHERS),
        {},
        [*GONE[2:7], f"delete policy {MANAGED}"],
        [
            f"role {ROLE}: it belongs to another cluster, {OTHER} (shop)",
            f"policy {MANAGED}: it is also attached to others",
        ],
    ),
    "another cluster's policy": (
        replace(BY_ROLE, managed=held(MANAGED, {}, OTHERS)),
        {},
        [f"delete policy {MANAGED}"],
        [f"policy {MANAGED}: it belongs to another cluster, {OTHER} (shop)"],
    ),
    "policy that others use": (
        replace(BY_ROLE, managed=held(MANAGED, {}, attachments=2)),
        {},
        [f"delete policy {MANAGED}"],
        [f"policy {MANAGED}: it is also attached to others"],
    ),
    "profile with another role": (
        of_nodes(BY_ROLE, profile=replace(NODES.profile, role="x")),  # type: ignore[type-var]
        {},
        [f"delete instance profile {NODE}"],
        [f"instance profile {NODE}: others added role x to it"],
    ),
    "node role that others gave a policy": (
        of_nodes(BY_ROLE, attached=(*NODES.attached, arn_of("theirs"))),
        {},
        [f"delete role {NODE}"],
        [
            (
                f"role {NODE}: others attached theirs to it, or an earlier run did, because eks_onboard_node_policies"
                " (option node_policies) listed it. List it again, or detach it, then run again"
            )
        ],
    ),
    "node role that is in another profile": (
        of_nodes(BY_ROLE, used_by=(NODE, "theirs")),
        {},
        [GONE[1], *GONE[9:13]],
        [
            f"access entry of {IAM}:role/{NODE}: the role stays: it is in instance profile theirs too",
            f"role {IAM}:role/{NODE}: it is in instance profile theirs too",
        ],
    ),
    "another cluster's group": (
        of_nodes(BY_ROLE, group=replace(NODES.group, tags=OTHERS)),  # type: ignore[type-var]
        {},
        [f"delete security group {GROUP}"],
        [f"security group {GROUP}: it belongs to another cluster, {OTHER} (shop)"],
    ),
    "an access entry of somebody": (
        of_nodes(BY_ROLE, entry=replace(NODES.entry, tags={})),  # type: ignore[type-var]
        {},
        GONE[1:2],
        [f"access entry of {IAM}:role/{NODE}: it has no tag of this cluster"],
    ),
    "shared policy": (
        replace(
            of_identity(BY_ROLE, attached=(*WITH_READERS, arn_of("CastEKSPolicy"))),
            managed=held("CastEKSPolicy", {}, attachments=3),
        ),
        {"policy_scope": "account"},
        [f"detach {MANAGED} from role {ROLE}", f"delete policy {MANAGED}"],
        ["policy CastEKSPolicy: the clusters of the account share it"],
    ),
    "brought role": (
        WITH_MINE,
        {"role_arn": MY_ROLE},
        [*GONE[2:8], GONE[-1]],
        [
            "role mine: it was set with eks_onboard_role_arn (option role_arn)",
            f"policy {MANAGED}: it is also attached to others",
            f"CAST AI's principal {CASTAI}: role {MY_ROLE} trusts it",
        ],
    ),
    "brought node role": (
        BROUGHT_NODE,
        {"node_role_arn": MY_NODE},
        [GONE[1], *GONE[9:13]],
        [f"role {MY_NODE}: it was set with eks_onboard_node_role_arn (option node_role_arn)"],
    ),
    "brought profile": (
        BROUGHT_PROFILE,
        {"instance_profile_arn": MY_PROFILE},
        [GONE[1], *GONE[8:13]],
        [
            "instance profile mine: it was set with eks_onboard_instance_profile_arn (option instance_profile_arn)",
            f"role {IAM}:role/r: it was set with eks_onboard_instance_profile_arn (option instance_profile_arn)",
        ],
    ),
    "brought group": (
        of_nodes(BY_ROLE, group=SecurityGroup("sg-9", "mine", "vpc-1", {}, False, False)),
        {"security_group_id": "sg-9"},
        [GONE[0]],
        ["security group sg-9: it was set with eks_onboard_security_group_id (option security_group_id)"],
    ),
}


@pytest.mark.parametrize(("current", "options", "not_done", "kept"), KEPT.values(), ids=KEPT)
def test_what_is_shared_foreign_or_given_stays_with_the_reason(
    current: Current, options: dict[str, Any], not_done: list[str], kept: list[str]
) -> None:
    done, said = back(current, **options)
    assert said == kept
    extra = {"detach CastEKSPolicy from role " + ROLE}
    assert [sentence for sentence in done if sentence not in extra] == [one for one in GONE if one not in not_done]


MAPPED: dict[str, tuple[Current, dict[str, Any], str]] = {
    "a role of ours": (BY_ROLE, {}, NODE),
    "a brought role": (BROUGHT_NODE, {"node_role_arn": MY_NODE}, "mine"),
    "the role in a brought profile": (BROUGHT_PROFILE, {"instance_profile_arn": MY_PROFILE}, "r"),
    "another cluster's role": (of_nodes(BY_ROLE, role=role(NODE, {}, OTHERS)), {}, NODE),
    "a role in another profile": (of_nodes(BY_ROLE, used_by=(NODE, "theirs")), {}, NODE),
}


@pytest.mark.parametrize(("current", "options", "name"), MAPPED.values(), ids=MAPPED)
def test_aws_auth_loses_no_entry_of_a_role_that_stays(current: Current, options: dict[str, Any], name: str) -> None:
    """Such a role is often that of a node group, whose nodes got access through this entry."""
    groups = "[system:bootstrappers, system:nodes]"
    before = f"- {{rolearn: '{IAM}:role/{name}', username: '{eks_iam.NODE_USERNAME}', groups: {groups}}}\n"
    wanted = desired(state="absent", **options)
    access = view(replace(current, eks=IN_CONFIG_MAP), wanted, {})["access"]
    text = before
    for entry in access["aws_auth"]:
        text = aws_auth_text.remove(text, "mapRoles", entry["role_arn"])
    assert text == ("" if current is BY_ROLE else before)


# Options

BAD_OPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "cluster_name": ({"cluster_name": "a b"}, "EKS cluster name 'a b'"),
    "cluster_id": ({"cluster_id": "prod"}, "castai_cluster_id (option cluster_id) is 'prod'"),
    "region": ({"region": None}, "castai_region (option region) is not set"),
    "path": (
        {"path": "vendors"},
        "castai_iam_path (option path) is 'vendors'. Set it to an IAM path that starts and ends with '/'.",
    ),
    "role_arn": (
        {"role_arn": "mine"},
        (
            "eks_onboard_role_arn (option role_arn) is 'mine', which is not a valid IAM role ARN. Correct it or"
            " leave it out."
        ),
    ),
    "node_role_arn": ({"node_role_arn": MY_PROFILE}, "eks_onboard_node_role_arn (option node_role_arn) is"),
    "instance_profile_arn": (
        {"instance_profile_arn": MY_NODE},
        "eks_onboard_instance_profile_arn (option instance_profile_arn) is",
    ),
    "security_group_id": ({"security_group_id": "mine"}, "eks_onboard_security_group_id (option security_group_id) is"),
    "permissions_boundary": (
        {"permissions_boundary": "boundary"},
        "castai_permissions_boundary (option permissions_boundary) is",
    ),
    "account_id": ({"account_id": "1"}, "castai_account_id (option account_id) is"),
    "vpc_account_id": (
        {"vpc_account_id": "1"},
        "castai_vpc_account_id (option vpc_account_id) is '1', which is not a valid AWS account ID.",
    ),
    "user with a role": (
        {"identity": "user", "role_arn": MY_ROLE},
        "eks_onboard_role_arn (option role_arn) only works with identity role.",
    ),
}


@pytest.mark.parametrize(("changes", "sentence"), BAD_OPTIONS.values(), ids=BAD_OPTIONS)
def test_a_bad_option_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused) as refusal:
        desired(**changes)
    assert sentence in str(refusal.value)


def test_all_bad_options_are_told_at_once() -> None:
    with pytest.raises(
        Refused,
        match=(
            r"name 'a b'.*castai_region \(option region\) is not"
            r" set.*castai_iam_path \(option path\) is 'x'"
        ),
    ):
        desired(cluster_name="a b", region="", path="x")


def test_a_trust_policy_gets_the_principal_that_the_run_made() -> None:
    class Recorder:
        aws = property(lambda self: self)
        roles: list[Any] = []  # noqa: RUF012

        def create_role(self, *arguments: Any) -> None:
            self.roles.append(arguments)

    action: Action = next(action for action in plan(NOTHING, desired()) if isinstance(action, CreateRole))
    assert action.after == policies.trust_castai(UNKNOWN, ID)
    action.run(Recorder(), {"principal_arn": CASTAI})
    assert Recorder.roles[0][1] == policies.trust_castai(CASTAI, ID)


def test_no_policy_is_described_as_something_else() -> None:
    made = [action for action in plan(NO_USER, desired(identity="user")) if isinstance(action, CreatePolicy)]
    assert {action.description for action in made} == {"Policy to manage EKS cluster used by CAST AI"}
