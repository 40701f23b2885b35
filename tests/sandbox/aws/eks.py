# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What moto's EKS lacks: the cluster's access configuration, access entries with their policies, and who they let in.

Shapes and paths: botocore's EKS model. Texts: as clients have reported them; those marked so are from memory.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import yaml
from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.eks import urls as eks_urls
from moto.eks.exceptions import (
    InvalidParameterException,
    InvalidRequestException,
    ResourceInUseException,
    ResourceNotFoundException,
)
from moto.eks.models import Cluster as MotoCluster
from moto.eks.models import eks_backends
from moto.eks.responses import EKSResponse
from moto.iam.models import iam_backends
from moto.utilities.utils import get_partition

from ..wire import Cluster

# EKS User Guide, "Creating access entries": user name and groups that a type brings with it.
TYPES: Mapping[str, tuple[str, list[str]]] = {
    "EC2_LINUX": ("system:node:{{EC2PrivateDNSName}}", ["system:nodes"]),
    "EC2_WINDOWS": ("system:node:{{EC2PrivateDNSName}}", ["system:nodes", "eks:kube-proxy-windows"]),
    "FARGATE_LINUX": ("system:node:{{SessionName}}", ["system:nodes", "system:node-proxier"]),
}
NO_ENTRY = (
    "The specified principalArn could not be found. You can view your available access entries with "
    "'list-access-entries'."
)
INVALID_PRINCIPAL = "The specified principalArn is invalid: invalid principal."
POLICY_NAMES = ("AmazonEKSClusterAdminPolicy", "AmazonEKSAdminPolicy", "AmazonEKSEditPolicy", "AmazonEKSViewPolicy")


def policy_arn(name: str, partition: str = "aws") -> str:
    return f"arn:{partition}:eks::aws:cluster-access-policy/{name}"


class EksCluster(MotoCluster):
    """moto's cluster, which is a cluster of the world, and who may access it."""

    def __init__(self, cluster: Cluster, vpc: Mapping[str, Any]) -> None:
        """`vpc`: resourcesVpcConfig as DescribeCluster answers it."""
        partition = get_partition(cluster.region)
        ipv6 = cluster.ip_family == "ipv6"
        services = {"serviceIpv6Cidr": "fd12:3456:789a::/108"} if ipv6 else {"serviceIpv4Cidr": "10.100.0.0/16"}
        super().__init__(
            name=cluster.name,
            role_arn=f"arn:{partition}:iam::{cluster.account}:role/eks-cluster-role",
            resources_vpc_config=dict(vpc),
            account_id=cluster.account,
            region_name=cluster.region,
            aws_partition=partition,
            version=cluster.version,
            kubernetes_network_config={"ipFamily": cluster.ip_family, **services},
        )
        self.endpoint = cluster.endpoint
        self.certificate_authority = {"data": base64.b64encode(cluster.ca_pem.encode()).decode()}
        self.access_config = {
            "authenticationMode": cluster.mode,
            "bootstrapClusterCreatorAdminPermissions": True,
        }
        self.created_by = cluster.created_by
        self.access_entries: dict[str, dict[str, Any]] = {}
        self.access_policies: dict[str, dict[str, dict[str, Any]]] = {}
        self.dead_entries: set[str] = set()
        if cluster.mode != "CONFIG_MAP":
            # EKS gives the creator this entry when bootstrapClusterCreatorAdminPermissions is set.
            administrator = policy_arn("AmazonEKSClusterAdminPolicy", partition)
            add_access_entry(self, cluster.created_by, {})
            self.access_policies[cluster.created_by][administrator] = _association(administrator, {"type": "cluster"})


def add_cluster(cluster: Cluster, vpc: Mapping[str, Any]) -> None:
    """Make the cluster known to moto's EKS."""
    eks_backends[cluster.account][cluster.region].clusters[cluster.name] = EksCluster(cluster, vpc)


def find_cluster(cluster: Cluster) -> EksCluster | None:
    """The cluster as EKS has it now, or None if it was deleted there."""
    found = eks_backends[cluster.account][cluster.region].clusters.get(cluster.name)
    return found if isinstance(found, EksCluster) else None


def add_access_entry(cluster: EksCluster, principal: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """An entry as EKS creates it. wanted: its type, username, groups and tags, each optional."""
    kind = wanted.get("type") or "STANDARD"
    username, groups = TYPES.get(kind, (wanted.get("username") or _username(principal), wanted.get("groups") or []))
    account, name = principal.split(":")[4], principal.rpartition("/")[2]
    now = utcnow()
    entry = {
        "clusterName": cluster.name,
        "principalArn": principal,
        "kubernetesGroups": groups,
        "accessEntryArn": cluster.arn.replace(":cluster/", ":access-entry/")
        + f"/{'role' if ':role/' in principal else 'user'}/{account}/{name}/{uuid.uuid4()}",
        "createdAt": now,
        "modifiedAt": now,
        "tags": wanted.get("tags") or {},
        "username": username,
        "type": kind,
    }
    cluster.access_entries[principal] = entry
    cluster.dead_entries.discard(principal)
    cluster.access_policies[principal] = {}
    return entry


def forget_principal(arn: str) -> None:
    """Handle a deleted user or role: its entries stay, but do not admit a new one with the same name.

    EKS User Guide, "Creating access entries": an entry refers to the id of its principal.
    """
    for account in eks_backends.values():
        for backend in account.values():
            for cluster in backend.clusters.values():
                if isinstance(cluster, EksCluster) and arn in cluster.access_entries:
                    cluster.dead_entries.add(arn)


def _username(principal: str) -> str:
    """The user name of a STANDARD entry without one (EKS User Guide, "Creating access entries")."""
    account, role, _rest = principal.partition(":role/")
    if not role:
        return principal
    return account.replace(":iam:", ":sts:") + ":assumed-role/" + principal.rpartition("/")[2] + "/{{SessionName}}"


def _association(arn: str, scope: Mapping[str, Any]) -> dict[str, Any]:
    now = utcnow()
    return {
        "policyArn": arn,
        "accessScope": {"type": scope.get("type"), "namespaces": scope.get("namespaces") or []},
        "associatedAt": now,
        "modifiedAt": now,
    }


class AccessResponse(EKSResponse):
    """moto's EKS and the access-entry operations. Each method has the name of its operation, because moto looks it up
    by it."""

    def create_access_entry(self) -> ActionResult:
        cluster, principal = self._api_cluster(), self._get_param("principalArn")
        if principal in cluster.access_entries:
            raise ResourceInUseException(
                clusterName=cluster.name,
                message="The specified access entry resource is already in use on this cluster.",
            )
        self._require_principal(principal)
        kind, groups = self._get_param("type") or "STANDARD", self._get_param("kubernetesGroups")
        if kind != "STANDARD" and (groups or self._get_param("username")):
            # Text from memory.
            raise InvalidParameterException(
                clusterName=cluster.name, message=f"Kubernetes groups and username cannot be set for type {kind}."
            )
        self._require_groups(groups)
        entry = add_access_entry(
            cluster,
            principal,
            {"type": kind, "groups": groups, "username": self._get_param("username"), "tags": self._get_param("tags")},
        )
        return ActionResult({"accessEntry": entry})

    def describe_access_entry(self) -> ActionResult:
        cluster, principal = self._entry()
        return ActionResult({"accessEntry": cluster.access_entries[principal]})

    def update_access_entry(self) -> ActionResult:
        cluster, principal = self._entry()
        entry = cluster.access_entries[principal]
        groups, username = self._get_param("kubernetesGroups"), self._get_param("username")
        self._require_groups(groups)
        if groups is not None:
            entry["kubernetesGroups"] = groups
        if username is not None:
            entry["username"] = username
        entry["modifiedAt"] = utcnow()
        return ActionResult({"accessEntry": entry})

    def delete_access_entry(self) -> ActionResult:
        cluster, principal = self._entry()
        del cluster.access_entries[principal], cluster.access_policies[principal]
        return ActionResult({})

    def tag_resource(self) -> ActionResult:
        arn = self._get_param("resourceArn")
        for cluster in self.eks_backend.clusters.values():
            for entry in cluster.access_entries.values() if isinstance(cluster, EksCluster) else ():
                if entry["accessEntryArn"] == arn:
                    entry["tags"] = {**entry["tags"], **self._get_param("tags")}
                    return ActionResult({})
        return super().tag_resource()

    def list_access_entries(self) -> ActionResult:
        return ActionResult({"accessEntries": sorted(self._api_cluster().access_entries)})

    def associate_access_policy(self) -> ActionResult:
        cluster, principal = self._entry()
        arn = self._get_param("policyArn")
        if arn not in [policy_arn(name, get_partition(self.region)) for name in POLICY_NAMES]:
            # Text from memory.
            raise InvalidParameterException(clusterName=cluster.name, message="The specified policyArn is invalid.")
        if cluster.access_entries[principal]["type"] != "STANDARD":
            # Text from memory.
            raise InvalidRequestException(
                clusterName=cluster.name, message="Access policies can only be associated with STANDARD access entries."
            )
        associated = _association(arn, self._get_param("accessScope") or {})
        cluster.access_policies[principal][arn] = associated
        return ActionResult(
            {"clusterName": cluster.name, "principalArn": principal, "associatedAccessPolicy": associated}
        )

    def disassociate_access_policy(self) -> ActionResult:
        cluster, principal = self._entry()
        if cluster.access_policies[principal].pop(self._get_param("policyArn"), None) is None:
            # Text from memory.
            raise ResourceNotFoundException(
                clusterName=cluster.name, message="The specified policyArn could not be found."
            )
        return ActionResult({})

    def list_associated_access_policies(self) -> ActionResult:
        cluster, principal = self._entry()
        associated = [association for _name, association in sorted(cluster.access_policies[principal].items())]
        return ActionResult(
            {"clusterName": cluster.name, "principalArn": principal, "associatedAccessPolicies": associated}
        )

    def _api_cluster(self) -> EksCluster:
        cluster = cast(EksCluster, self.eks_backend.describe_cluster(name=self._get_param("name")))
        if cluster.access_config["authenticationMode"] == "CONFIG_MAP":
            raise InvalidRequestException(
                clusterName=cluster.name,
                message="The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] "
                "to perform this operation.",
            )
        return cluster

    def _entry(self) -> tuple[EksCluster, str]:
        cluster, principal = self._api_cluster(), self._get_param("principalArn")
        if principal not in cluster.access_entries:
            raise ResourceNotFoundException(clusterName=cluster.name, message=NO_ENTRY)
        return cluster, principal

    def _require_principal(self, arn: str) -> None:
        """EKS refuses a principal that does not exist in IAM."""
        account = arn.split(":")[4] if arn.count(":") >= 5 else ""
        iam = iam_backends[account][get_partition(self.region)] if account.isdecimal() else None
        known = {role.arn for role in iam.roles.values()} | {user.arn for user in iam.users.values()} if iam else set()
        if arn not in known:
            raise InvalidParameterException(message=INVALID_PRINCIPAL)

    @staticmethod
    def _require_groups(groups: list[str] | None) -> None:
        for group in groups or []:
            if group.startswith("system:"):
                # EKS User Guide: a group's name cannot start with system:. Text from memory.
                raise InvalidParameterException(
                    message=f"The kubernetes group name {group} is invalid, it cannot start with system:"
                )


for _path in eks_urls.url_paths:
    eks_urls.url_paths[_path] = AccessResponse.dispatch
eks_urls.url_paths["{0}/clusters/(?P<name>[^/]+)/access-entries$"] = AccessResponse.dispatch
eks_urls.url_paths["{0}/clusters/(?P<name>[^/]+)/access-entries/(?P<principalArn>.+)$"] = AccessResponse.dispatch


class KubernetesUser(NamedTuple):
    """Who a caller is inside the cluster."""

    username: str
    groups: tuple[str, ...]


def kubernetes_user(cluster: EksCluster, arn: str, aws_auth: Mapping[str, Any] | None) -> KubernetesUser | None:
    """The user name and groups of `arn` in the cluster: by access entry first, then by aws-auth, if the mode has it;
    None for nobody.

    aws_auth: the `data` of ConfigMap kube-system/aws-auth, None if it does not exist. A session's name is always
    "session" here, because `arn` does not contain it, and its instance is always the first one of the cluster's region.
    """
    mode = cluster.access_config["authenticationMode"]
    if mode == "CONFIG_MAP" and arn == cluster.created_by:
        return KubernetesUser("kubernetes-admin", ("system:masters",))
    found = None
    if mode != "CONFIG_MAP" and arn in cluster.access_entries and arn not in cluster.dead_entries:
        entry, policies = cluster.access_entries[arn], cluster.access_policies[arn]
        groups = list(entry["kubernetesGroups"])
        # EKS has its own authorizer for access policies; here the administrator's policy is a group with the same
        # power.
        if any(name.endswith("/AmazonEKSClusterAdminPolicy") for name in policies):
            groups.append("system:masters")
        found = KubernetesUser(entry["username"], tuple(groups))
    elif mode != "API" and aws_auth is not None:
        found = _by_aws_auth(arn, aws_auth)
    if found is None:
        return None
    host = f"ip-10-0-0-1.{cluster.arn.split(':')[3]}.compute.internal"
    username = found.username.replace("{{SessionName}}", "session").replace("{{EC2PrivateDNSName}}", host)
    return found._replace(username=username)


def _by_aws_auth(arn: str, aws_auth: Mapping[str, Any]) -> KubernetesUser | None:
    """Map a caller as aws-iam-authenticator does: mapRoles first, whether the ARN is a role's or a user's; the last
    entry of an ARN; keys in any case.

    An assumed role has lost its path, so a mapped role ARN with a path never matches.
    """
    account = arn.split(":")[4]
    prefix, role, _rest = arn.partition(":role/")
    flat = f"{prefix}:role/{arn.rpartition('/')[2]}" if role else arn
    for kind, key in (("mapRoles", "rolearn"), ("mapUsers", "userarn")):
        for row in reversed(_parsed(aws_auth.get(kind))):
            entry = {str(name).lower(): row[name] for name in sorted(row, key=str)} if isinstance(row, dict) else {}
            if str(entry.get(key, "")).lower() == flat.lower():
                username = str(entry.get("username") or flat).replace("{{AccountID}}", account)
                return KubernetesUser(username, tuple(entry.get("groups") or ()))
    if account in [str(one) for one in _parsed(aws_auth.get("mapAccounts"))]:
        return KubernetesUser(flat, ())
    return None


def _parsed(text: str | None) -> list[Any]:
    """A YAML list. Anything else counts as empty, because the authenticator then maps nobody."""
    try:
        rows = yaml.safe_load(text or "[]")
    except yaml.YAMLError:
        return []
    return rows if isinstance(rows, list) else []
