# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What EKS clusters and kOps clusters on AWS have in common. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from .._aws import permissions
from .._aws.names import account_id_problem
from .._aws.permissions import Question
from .._aws.rights import Rights, refusals, simulate, warnings
from .._gateways.aws import Aws
from .._gateways.aws_session import NO_REGION, region_of
from .._gateways.castai import CastAi, Cluster
from .._gateways.kubernetes import Object
from .facts import CloudRights, ClusterFacts, Parameters, Rows

LOCATION_OPTIONS = ("region", "account_id")

IDENTITY_OPTIONS: dict[str, dict[str, Any]] = {
    "adopt": {"type": "bool", "default": False},
    "identity": {"type": "str", "choices": ["role", "user"], "default": "role"},
    "instance_profile_arn": {"type": "str"},
    "managed_policy": {"type": "dict"},
    "node_policies": {"type": "list", "elements": "str", "default": []},
    "node_role_arn": {"type": "str"},
    "path": {"type": "str", "default": "/"},
    "permissions_boundary": {"type": "str"},
    "policy_scope": {"type": "str", "choices": ["cluster", "account"], "default": "cluster"},
    "restricted_policy": {"type": "dict"},
    "role_arn": {"type": "str"},
    "security_group_id": {"type": "str"},
    "spot_lambda_role": {"type": "bool"},
    "tags": {"type": "dict", "default": {}},
    "user_access": {"type": "str", "choices": ["cluster_admin", "none"], "default": "cluster_admin"},
    "vpc_account_id": {"type": "str"},
}

AWS_AUTH_ROWS: Rows = (("", "configmaps", ("get", "create", "patch")),)
"""In namespace kube-system: for aws-auth, if the cluster has no access entries."""

COMPUTE = "eks.amazonaws.com/compute-type"
"""The label of nodes that only EKS manages. Source: EKS User Guide, on Fargate and on Auto Mode."""


def option_problems(params: Parameters) -> Mapping[str, str]:
    account_id = params.get("account_id")
    problem = account_id_problem(account_id) if account_id else ""
    return {"account_id": problem} if problem else {}


def missing_options(params: Parameters) -> Mapping[str, str]:
    return {} if region_of(params) else {"region": NO_REGION}


def caller(aws: Aws) -> str:
    return aws.caller_arn()


def acting_as(arn: str, facts: ClusterFacts | None) -> str:
    return f"{arn or 'unknown AWS identity'} in AWS account {facts.own.account_id if facts else ''}"


def unneeded(options: Parameters) -> frozenset[str]:
    """Parts of the work that are not needed because the user provides the object."""
    given = {
        permissions.IDENTITY: options.get("role_arn"),
        permissions.NODE_ROLE: options.get("node_role_arn") or options.get("instance_profile_arn"),
        permissions.PROFILE: options.get("instance_profile_arn"),
        permissions.GROUP: options.get("security_group_id"),
        permissions.USER_ACCESS: options["user_access"] == "none",
    }
    return frozenset(part for part, value in given.items() if value)


Questions = Callable[[Parameters, Any, "Cluster | None", str], Collection[Question]]
"""Takes the identity's options, the cluster as AWS shows it, CAST AI's record, and the partition."""


def rights(
    identity: Callable[[Parameters], str], questions: Questions
) -> Callable[[Aws, ClusterFacts, Parameters, Cluster | None, str, Callable[[], CastAi]], CloudRights | None]:
    """The check of what the caller may do. Skipped if CAST AI already has credentials: such a run may need few
    permissions."""

    def ask(
        aws: Aws,
        facts: ClusterFacts,
        options: Parameters,
        record: Cluster | None,
        arn: str,
        _castai: Callable[[], CastAi],
    ) -> CloudRights | None:
        if record and record.credentials_id:
            return None
        asked = questions(options, facts.own, record, arn.split(":")[1])
        return judged(simulate(aws, arn, asked), permissions.file_name("onboard", identity(options))) if asked else None

    return ask


def judged(found: Rights, policy: str) -> CloudRights:
    """policy: the published one that grants everything that was checked."""
    return CloudRights(
        tuple(refusals(found, policy, reading=True)),
        tuple(refusals(found, policy, reading=False)),
        tuple(warnings(found)),
        found.not_checked,
    )


def identity_options(params: Parameters) -> dict[str, Any]:
    """The options of the identity, and the AWS options that the checks of their form need. params: preflight's."""
    return {**params["onboard"], **{option: params.get(option) for option in (*LOCATION_OPTIONS, "profile")}}


def foreign_nodes(nodes: Iterable[Object]) -> tuple[str, ...]:
    """The kinds of nodes, if CAST AI cannot use any of them: Fargate, Auto Mode, hybrid, Windows.

    The providerID shows that a node is not an EC2 instance; a new node has none yet.
    """
    kinds = {_kind(node) for node in nodes}
    return () if "" in kinds else tuple(sorted(kinds))


def _on_ec2(node: Object) -> bool:
    return str((node.get("spec") or {}).get("providerID") or "aws://").startswith("aws://")


def _kind(node: Object) -> str:
    """The kind of a node, empty if CAST AI's components can run on it and CAST AI can replace it."""
    labels = (node.get("metadata") or {}).get("labels") or {}
    kinds = {"fargate": "Fargate", "auto": "Auto Mode", "hybrid": "hybrid"}
    if labels.get(COMPUTE) in kinds:
        return kinds[labels[COMPUTE]]
    if not _on_ec2(node):
        return "hybrid"
    return "" if labels.get("kubernetes.io/os") == "linux" else "Windows"


def nodes_problem(kinds: tuple[str, ...]) -> str:
    if not kinds:
        return ""
    return (
        f"The cluster has only {' and '.join(kinds)} nodes. CAST AI needs Linux nodes on EC2 that it can add and"
        " remove: add a node group first."
    )
