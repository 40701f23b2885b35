# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a module reaches a cluster: kubeconfig, address and token, or on EKS nothing. PRIVATE to the collection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._aws.eks import unusable, wrong_cluster
from .._engine import CallFailed, Refused, gather
from .._gateways.aws import Aws, EksCluster
from .._gateways.kubernetes import Kubernetes, Object, Rejected, by_kubeconfig, by_token, path_of
from .._gateways.tls import certificates
from .._names import account_id_problem, cluster_name_problem
from .._variables import named
from . import kops

Parameters = Mapping[str, Any]

ROOT_CA, ROOT_CA_KEY = "kube-root-ca.crt", "ca.crt"
"""The ConfigMap in which Kubernetes publishes the cluster's certificate authority, in each namespace since 1.20."""
ROOT_CA_NAMESPACES = (kops.NAMESPACE, "default")
ROOT_CA_PATHS = tuple(path_of("v1", "ConfigMap", ROOT_CA, namespace) for namespace in ROOT_CA_NAMESPACES)


_STS = re.compile(r"sts(-fips)?(\.[a-z0-9-]+)?\.(amazonaws\.com(\.cn)?|api\.aws)")
"""STS's own host names, with and without a region."""


@dataclass(frozen=True)
class Named:
    """The cluster as the user names it. Empty strings for what is not given; without provider and name, the Kubernetes
    options alone say what cluster it is.
    """

    provider: str = ""
    name: str = ""
    region: str = ""
    account_id: str = ""

    @classmethod
    def parse(cls, params: Parameters) -> Named:
        options = ("provider", "cluster_name", "region", "account_id")
        return cls(*(params.get(option) or "" for option in options))

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the options themselves, one by one."""
        found = (
            cluster_name_problem(self.provider, self.name) if self.name else None,
            account_id_problem(self.account_id) if self.account_id else None,
        )
        return tuple(problem for problem in found if problem)


def given(params: Parameters) -> bool:
    """Whether the Kubernetes options name a cluster; otherwise EKS is asked for it."""
    return bool(params.get("kubeconfig") or params.get("host"))


def reach(params: Parameters, aws: Aws | None, eks: EksCluster | None) -> Kubernetes:
    """Connect by the options, or as an EKS cluster with tokens signed by the AWS credentials. Makes no call.

    Refuses a cluster that EKS does not have for use, whatever leads to it.
    """
    problem = unusable(eks) if eks else ""
    if problem:
        raise Refused(problem)
    validate = bool(params.get("kubernetes_validate_certs", True))
    ca_pem = _read(params.get("ca_cert"))
    if params.get("kubeconfig"):
        return by_kubeconfig(params["kubeconfig"], params.get("context"), ca_pem, validate)
    if params.get("host"):
        return by_token(params["host"], params.get("api_key"), ca_pem, validate)
    if aws is None or eks is None:
        raise Refused(
            f"No connection to the cluster is given. Set {named('kubeconfig')}, or {named('host')} and"
            f" {named('api_key')}, or on EKS {named('provider')}, {named('cluster_name')} and {named('region')}."
        )
    name = eks.name
    # A proxy that ends TLS may stand before the address: the user's file has its authority, beside the cluster's own.
    trusted = "\n".join(filter(None, (ca_pem, eks.ca_pem)))
    return by_token(eks.endpoint, None, trusted, validate, lambda: aws.eks_token(name), _unknown(aws))


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

    def enter(self, named: Named) -> Kubernetes:
        """The cluster, by EKS where it is one of EKS. Refuses one that is not there, or a connection to another."""
        if self.kubernetes is None:
            problem = self._misplaced(named)
            if problem:
                raise Refused(problem)
        return self.cluster()

    def _misplaced(self, named: Named) -> str:
        """Why this does not lead to the named cluster, or an empty text. What it says of itself tells one of kOps."""
        if not named.name:
            return ""
        if named.provider == "kops":
            cluster = self.cluster()
            return kops.other_kops_cluster(kops.channels_of(cluster.get(kops.PATH)), named.name, cluster.host)
        eks = self.eks(named.name)
        problem = wrong_cluster(eks, named.name, named.region, named.account_id)
        return problem or (other_cluster(self.cluster(eks), eks) if eks else "")

    def close(self) -> None:
        if self.kubernetes:
            self.kubernetes.close()


def _unknown(aws: Aws) -> str:
    """Why EKS may not know a token that is signed for this STS, a blank and a sentence, or an empty text."""
    host = aws.sts_host
    if not host or _STS.fullmatch(host):
        return ""
    return (
        f" The token is signed for STS at {host}, and EKS takes only tokens for STS's public addresses: leave"
        f" AWS_ENDPOINT_URL_STS, {named('endpoint_url')} and the same in AWS's configuration file out, or set"
        f" {named('kubeconfig')}."
    )


def other_cluster(kubernetes: Kubernetes, eks: EksCluster) -> str:
    """Why the connection is not to this EKS cluster, or an empty text. Reads at most two ConfigMaps.

    Each EKS cluster has a certificate authority of its own, so that an equal one proves the cluster even behind a
    tunnel. Behind a proxy that ends TLS the connection has the proxy's; then the cluster's own, which Kubernetes
    publishes in each namespace, is read through it. Without certificates that are checked, nothing that is read proves
    anything, and the address must be EKS's.
    """
    authority, ours = certificates(kubernetes.ca_pem()), certificates(eks.ca_pem)
    same_address = kubernetes.host.rstrip("/").lower() == eks.endpoint.rstrip("/").lower()
    if authority == ours if authority and ours else same_address:
        return ""
    if not kubernetes.verified:
        differing = " (certificates are not verified, so they could not be compared)"
    elif not ours:
        differing = " (without a certificate authority to compare with)"
    else:
        untold = _unproven(kubernetes, ours)
        if not untold:
            return ""
        differing = f" with another certificate authority, {untold}"
    return (
        f"The kubeconfig or host points to {kubernetes.host}, but EKS says that cluster {eks.name} is at {eks.endpoint}"
        f"{differing}. Set {named('kubeconfig')} and {named('context')} to this cluster, or leave them out."
    )


def _unproven(kubernetes: Kubernetes, ours: frozenset[bytes]) -> str:
    """Why what the cluster publishes does not show that this authority is its own, as a clause, or an empty text."""
    reason = "it does not exist"
    for path in ROOT_CA_PATHS:
        try:
            data = (kubernetes.get(path) or {}).get("data")
        except Rejected as answer:
            reason = str(answer).rstrip(".")
            continue
        except CallFailed as failure:
            reason = str(failure).rstrip(".")
            break
        published = certificates(data.get(ROOT_CA_KEY) if isinstance(data, dict) else None)
        if published:
            return "" if published == ours else f"as its ConfigMap {ROOT_CA} has"
    return (
        f"and ConfigMap {ROOT_CA} of namespace {' or '.join(ROOT_CA_NAMESPACES)}, which would tell whether a proxy ends"
        f" TLS in between, could not be read ({reason})"
    )


def leaving(namespace: Object | None) -> str:
    """Why nothing can be made in a Namespace, or an empty text."""
    metadata = (namespace or {}).get("metadata") or {}
    if not metadata.get("deletionTimestamp"):
        return ""
    return f"Namespace {metadata['name']} is being deleted. Wait until it is gone, then run again."


def namespace_refusal(namespace: str) -> str:
    """What to say where a Namespace is absent and is not to be created."""
    return f"Namespace {namespace} does not exist. Create it, or set {named('create_namespace')} to true."


def _read(path: str | None) -> str:
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise Refused(
            f"{named('ca_cert')} is {path!r}, which cannot be read ({error.strerror}). Set it to a file with the API"
            " server's CA certificates."
        ) from error
