# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What preflight asks of a cluster that is to be onboarded, beside what it asks anyway. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .._aws import eks_wanted, permissions
from .._aws.asked import form_problems
from .._aws.permissions import Question, Scope
from .._clusters.kops import KopsCluster
from .._engine import UNKNOWN, gather
from .._gateways.aws import EksCluster
from .._gateways.castai import Cluster
from .._gateways.kubernetes import Kubernetes, Object, path_of
from .._names import CREDENTIALS_KEY
from .._variables import named
from .cluster import Found

OPTIONS: dict[str, Any] = {
    "connecting": {"type": "bool", "default": False},
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

COMPUTE = "eks.amazonaws.com/compute-type"
"""Label of nodes that EKS manages alone. Source: EKS User Guide, on Fargate and on Auto Mode."""

OWN_NODES = f"kubernetes.io/os=linux,{COMPUTE} notin (auto,fargate,hybrid)"
"""Label selector of the nodes that CAST AI's components can run on, and that it can replace."""


@dataclass(frozen=True)
class Onboarding:
    """What the user asks for. connecting: the same run connects the cluster first."""

    connecting: bool
    identity: str
    path: str
    unneeded: frozenset[str]
    """Parts of the work that fall away: what is brought is not made."""
    spot_role: bool | None
    """Whether the role for spot interruptions is wanted; None for what the provider has."""

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> Onboarding:
        brought = {
            permissions.IDENTITY: options.get("role_arn"),
            permissions.NODE_ROLE: options.get("node_role_arn") or options.get("instance_profile_arn"),
            permissions.PROFILE: options.get("instance_profile_arn"),
            permissions.GROUP: options.get("security_group_id"),
            permissions.USER_ACCESS: options["user_access"] == "none",
        }
        unneeded = frozenset(part for part, given in brought.items() if given)
        return cls(
            options["connecting"], options["identity"], options["path"], unneeded, options.get("spot_lambda_role")
        )

    def identity_on(self, found: Found) -> str:
        return permissions.KOPS if isinstance(found, KopsCluster) else self.identity


def problems(params: Mapping[str, Any]) -> Iterator[str]:
    """What the module that makes the identity would refuse by form. params: all of preflight's."""
    options = params.get("onboard")
    if options:
        asked = {**options, **{option: params.get(option) for option in ("account_id", "profile", "region")}}
        eks = params["provider"] == "eks"
        yield from eks_wanted.form_problems(asked) if eks else form_problems(asked, {}, False)


def questions(wanted: Onboarding, found: Found, record: Cluster | None, partition: str) -> tuple[Question, ...]:
    """What AWS is asked. Nothing for a cluster of which CAST AI has credentials: a run may need little there."""
    if record and record.credentials_id:
        return ()
    unneeded, further, vpc = set(wanted.unneeded), set(), ""
    if isinstance(found, EksCluster):
        vpc = found.vpc_id
        unneeded |= set() if found.access_entries else {permissions.ACCESS, permissions.USER_ACCESS}
        further = {permissions.SPOT_ROLE} if wanted.spot_role and wanted.identity == permissions.USER else set()
    elif wanted.spot_role is False:
        unneeded.add(permissions.SPOT_ROLE)
    return permissions.questions(
        (permissions.READ, permissions.CREATE),
        wanted.identity_on(found),
        unneeded,
        Scope(partition, found.account_id, found.region, found.name, wanted.path),
        record.id if record else "0" * 8,
        vpc,
        further,
    )


def foreign_nodes(kubernetes: Kubernetes) -> tuple[str, ...]:
    """Of what kinds the nodes are, where CAST AI can use none of them: Fargate, Auto Mode, hybrid, Windows.

    A node that is no instance of EC2 says so by its providerID; a new one has none yet.
    """
    path = path_of("v1", "Node", None, None)
    found = gather(
        own=lambda: kubernetes.get(path, labelSelector=OWN_NODES, limit="500"),
        some=lambda: kubernetes.get(path, limit="500"),
    )
    if any(_on_ec2(node) for node in (found["own"] or {}).get("items") or ()):
        return ()
    return tuple(sorted({_kind(node) for node in (found["some"] or {}).get("items") or ()}))


def _on_ec2(node: Object) -> bool:
    return str((node.get("spec") or {}).get("providerID") or "aws://").startswith("aws://")


def _kind(node: Object) -> str:
    labels = (node.get("metadata") or {}).get("labels") or {}
    kinds = {"fargate": "Fargate", "auto": "Auto Mode", "hybrid": "hybrid"}
    return kinds.get(labels.get(COMPUTE, ""), "Windows" if _on_ec2(node) else "hybrid")


def connection_findings(record: Cluster | None, found: Found, tokenless: str, wanted: Onboarding) -> Iterator[str]:
    """Why the cluster is not connected, as onboarding needs it. tokenless: as preflight's Current has it."""
    if wanted.connecting:
        return
    if record is None:
        yield (
            f"Cluster {found.name} of account {found.account_id} in {found.region} is not connected to CAST AI. Run"
            " playbook castai.onboarding.connect (connect.yml) first."
        )
    elif record.agent_status != "online":
        yield (
            f"The agent of cluster {record.id} is {record.agent_status or UNKNOWN}, not online. Run playbook"
            " castai.onboarding.connect (connect.yml) first, or look at the pods of the agent."
        )
    elif tokenless:
        yield (
            f"Secret {tokenless} is missing or has no {CREDENTIALS_KEY}, and the components cannot start without it."
            " This happens when another tool connected the cluster. Run playbook castai.onboarding.connect"
            f" (connect.yml) first, or set {named('credentials_secret')} to another Secret."
        )


def node_findings(nodes: tuple[str, ...]) -> Iterator[str]:
    if nodes:
        yield (
            f"The cluster has only {' and '.join(nodes)} nodes. CAST AI needs Linux nodes on EC2 that it can add and"
            " remove: add a node group first."
        )


def node_warnings(eks: EksCluster, nodes: tuple[str, ...]) -> Iterator[str]:
    if eks.auto_mode and not nodes:
        yield (
            f"EKS Auto Mode is on for cluster {eks.name}, which adds and removes nodes as CAST AI's autoscaler does."
            " Turn off its node pools, or set components_autoscaling to false."
        )
