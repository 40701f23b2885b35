# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a module reaches a cluster: kubeconfig, address and token, or on EKS nothing. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._aws.eks import wrong_cluster
from .._aws.gateway import Aws, EksCluster
from .._engine import Refused, gather
from . import kops
from .gateway import Kubernetes, Object, by_kubeconfig, by_token

Parameters = Mapping[str, Any]


def given(params: Parameters) -> bool:
    """Whether the Kubernetes options name a cluster; otherwise EKS is asked for it."""
    return bool(params.get("kubeconfig") or params.get("host"))


def reach(params: Parameters, aws: Aws | None, eks: EksCluster | None) -> Kubernetes:
    """Connect by the options, or as an EKS cluster with tokens signed by the AWS credentials. Makes no call."""
    validate = bool(params.get("validate_certs", True))
    ca_pem = _read(params.get("ca_cert"))
    if params.get("kubeconfig"):
        return by_kubeconfig(params["kubeconfig"], params.get("context"), ca_pem, validate)
    if params.get("host"):
        return by_token(params["host"], params.get("api_key"), ca_pem, validate)
    if aws is None or eks is None:
        raise Refused(
            "No way to the cluster is given: set kubeconfig, or host and api_key, or on EKS the cluster's name and"
            " region."
        )
    if eks.status not in ("ACTIVE", "UPDATING"):
        raise Refused(f"EKS cluster {eks.name} is {eks.status}: wait until it is ACTIVE.")
    name = eks.name
    return by_token(eks.endpoint, None, eks.ca_pem, validate, lambda: aws.eks_token(name))


@dataclass
class Way:
    """The way of one task to its cluster, by the options. Each system is connected to on first use, and once."""

    params: Parameters
    aws: Aws | None = None
    kubernetes: Kubernetes | None = None
    found: EksCluster | None = None

    def cloud(self) -> Aws:
        """AWS, by the options."""
        self.aws = self.aws or Aws(self.params)
        return self.aws

    def eks(self, name: str) -> EksCluster | None:
        """What EKS says of the cluster."""
        self.found = self.cloud().describe_cluster(name)
        return self.found

    def kops(self, name: str) -> kops.KopsCluster:
        """What the cluster says of itself, and EC2 of its instances: one round."""
        aws, cluster = self.cloud(), self.cluster()
        found = gather(
            instances=lambda: aws.list_instances(name),
            namespace=lambda: cluster.get(kops.PATH),
            nodes=lambda: cluster.get(kops.NODES, limit=kops.SOME_NODES),
        )
        return kops.KopsCluster(
            name,
            aws.region,
            cluster.host,
            str(((found["namespace"] or {}).get("metadata") or {}).get("uid") or ""),
            kops.channels_of(found["namespace"]),
            kops.nodes_of(found["nodes"]),
            found["instances"],
        )

    def cluster(self, eks: EksCluster | None = None) -> Kubernetes:
        """The cluster itself. eks is needed on the first call where the options name no other way."""
        if self.kubernetes is None:
            self.kubernetes = reach(self.params, self.aws, eks)
        return self.kubernetes

    def enter(self, eks_cluster: str, region: str) -> Kubernetes:
        """The cluster, by EKS where a name is given. Refuses one that EKS does not have, or a connection elsewhere."""
        if eks_cluster and self.kubernetes is None:
            eks = self.eks(eks_cluster)
            problem = wrong_cluster(eks, eks_cluster, region, "")
            problem = problem or (other_cluster(self.cluster(eks), eks) if eks else "")
            if problem:
                raise Refused(problem)
        return self.cluster()

    def close(self) -> None:
        if self.kubernetes:
            self.kubernetes.close()


def other_cluster(kubernetes: Kubernetes, eks: EksCluster) -> str:
    """Why the connection is not to this EKS cluster, or an empty text.

    Each EKS cluster has a certificate authority of its own, so that an equal one proves the cluster even behind a
    tunnel; without one that is checked, the address must be EKS's.
    """
    authority = kubernetes.ca_pem()
    if authority and eks.ca_pem:
        same = authority.strip() == eks.ca_pem.strip()
        differing = " with another certificate authority"
    else:
        same = kubernetes.host.rstrip("/").lower() == eks.endpoint.rstrip("/").lower()
        differing = ", and no certificate authority is checked by which to tell"
    if same:
        return ""
    return (
        f"The kubeconfig or host points to {kubernetes.host}, but EKS says that cluster {eks.name} is at {eks.endpoint}"
        f"{differing}: give the kubeconfig and context of this cluster, or leave them out."
    )


def leaving(namespace: Object | None) -> str:
    """Why nothing can be made in a Namespace, or an empty text."""
    metadata = (namespace or {}).get("metadata") or {}
    if not metadata.get("deletionTimestamp"):
        return ""
    return f"Namespace {metadata['name']} is being deleted: wait until it is gone, then run again."


def _read(path: str | None) -> str:
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise Refused(
            f"ca_cert {path!r} cannot be read ({error.strerror}): give a file with the API server's CA certificates."
        ) from error
