# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a world consists of: cluster descriptions for the command line and the tests, and the paths of its files."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, fields
from pathlib import Path

HOME_ACCOUNT = "111122223333"
CASTAI_PROJECT = "prod-cast-identity"  # CAST AI's own at Google, as its accounts' e-mails show it
HOME_PROJECT = "acme-prod"
HOME_SUBSCRIPTION = "22222222-2222-4222-8222-222222222222"
ENTRA_ADMINS = "aaaaaaaa-0000-4000-8000-000000000001"
"""The group whose members administrate the AKS clusters."""
HOME_GROUP = "shop"
HOME_TENANT = "11111111-1111-4111-8111-111111111111"
CASTAI_ACCOUNT = "809060229965"  # CAST AI's own at AWS, as public repositories show it in its principals' ARNs
READY = "world.json"  # in a world's folder once everything answers: how to reach the control API
FAILURE = "failure"  # in a world's folder when it cannot go on: the reason

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
_DNS_NAME = re.compile(r"[a-z0-9][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)+")
_LOCATION = re.compile(r"[a-z]+-[a-z]+\d(-[a-z])?")
_AZURE_LOCATION, _GROUP = re.compile(r"[a-z]+\d?"), re.compile(r"[\w.()-]{1,90}")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PROJECT = re.compile(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_CHOICES = {
    "provider": ("eks", "gke", "aks", "kops"),
    "mode": ("API", "API_AND_CONFIG_MAP", "CONFIG_MAP"),
    "ip_family": ("ipv4", "ipv6"),
    "kops": ("1.15", "1.16", "1.17", "1.18"),
    "template": ("k8s-1.6", "k8s-1.12"),
    "network": ("kube-router", "other"),
    "aws_auth": ("no", "yes"),
    "entra": ("kubernetes", "azure", "none"),
}


@dataclass(frozen=True)
class ClusterSpec:
    """One cluster to start, `NAME:PROVIDER[:OPTION=VALUE...]` on the command line.

    `version` is what DescribeCluster and /version say; the API server is always the built one. Only on EKS: mode and
    ip_family; only on kOps: which kOps made the cluster, from which template its kube-router is or whether it has
    another network, and whether it has a ConfigMap aws-auth; only on GKE: project and location, a region or a zone;
    only on AKS: subscription, resource_group, location, and entra, who decides over those that Entra lets in.
    """

    name: str
    provider: str = "eks"
    account: str = HOME_ACCOUNT
    region: str = "eu-central-1"
    mode: str = "API_AND_CONFIG_MAP"
    ip_family: str = "ipv4"
    version: str = "1.36"
    nodes: int = 2
    kops: str = "1.17"
    template: str = "k8s-1.12"
    network: str = "kube-router"
    aws_auth: str = "no"
    project: str = HOME_PROJECT
    location: str = ""
    subscription: str = HOME_SUBSCRIPTION
    resource_group: str = HOME_GROUP
    entra: str = "kubernetes"

    def __post_init__(self) -> None:
        if not self.location:
            object.__setattr__(self, "location", "westeurope" if self.provider == "aks" else "europe-west1")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"cluster {self.name}: {name} must be one of {', '.join(choices)}")
        if self.provider == "kops" and not _DNS_NAME.fullmatch(self.name):
            raise ValueError(f"cluster name {self.name!r}: that of a kOps cluster is a DNS name with a dot")
        if self.provider != "kops" and not _NAME.fullmatch(self.name):
            raise ValueError(f"cluster name {self.name!r}: only lower-case letters, digits and inner hyphens")
        self._check_place()
        if not re.fullmatch(r"1\.\d+", self.version):
            raise ValueError(f"cluster {self.name}: version must look like 1.36")

    def _check_place(self) -> None:
        if not re.fullmatch(r"\d{12}", self.account):
            raise ValueError(f"cluster {self.name}: account must have 12 digits")
        if not _REGION.fullmatch(self.region):
            raise ValueError(f"cluster {self.name}: region must look like eu-central-1")
        if self.provider == "aks" and not _AZURE_LOCATION.fullmatch(self.location):
            raise ValueError(f"cluster {self.name}: location must look like westeurope")
        if not _GROUP.fullmatch(self.resource_group) or not _GUID.fullmatch(self.subscription):
            raise ValueError(f"cluster {self.name}: resource_group must be a name, subscription a GUID")
        if self.provider != "aks" and not _LOCATION.fullmatch(self.location):
            raise ValueError(f"cluster {self.name}: location must look like europe-west1 or europe-west1-b")
        if not _PROJECT.fullmatch(self.project):
            raise ValueError(f"cluster {self.name}: project must look like acme-prod or example.com:acme-prod")

    @classmethod
    def parse(cls, text: str) -> ClusterSpec:
        name, *rest = text.split(":")
        if not rest:
            raise ValueError(f"cluster {text!r}: expected NAME:PROVIDER[:OPTION=VALUE...]")
        provider, *others = rest
        pairs = re.split(r":(?=\w+=)", ":".join(others)) if others else ()  # a project may be example.com:shop-prod
        known = {field.name for field in fields(cls)} - {"name", "provider"}
        options: dict[str, str] = {}
        for pair in pairs:
            option, equals, value = pair.partition("=")
            if not equals or option not in known:
                raise ValueError(f"cluster {name}: unknown option {pair!r}, known: {', '.join(sorted(known))}")
            options[option] = value
        nodes = int(options.pop("nodes", cls.nodes))
        return cls(name, provider, nodes=nodes, **options)

    @property
    def instances(self) -> tuple[str, ...]:
        """EC2's ids of the nodes, the same in every world."""
        names = (f"{self.account}/{self.region}/{self.name}/{number}" for number in range(self.nodes))
        return tuple(f"i-0{hashlib.sha256(name.encode()).hexdigest()[:16]}" for name in names)

    @property
    def has_aws_auth(self) -> bool:
        return self.aws_auth == "yes" if self.provider == "kops" else self.provider == "eks" and self.mode != "API"

    @property
    def place(self) -> tuple[str, str]:
        """AWS account and region, Google's project or Azure's subscription and location."""
        if self.provider == "aks":
            return self.subscription, self.location
        return (self.project, self.location) if self.provider == "gke" else (self.account, self.region)

    @property
    def address(self) -> str:
        """The public address of a cluster: an IP address of an unused network (RFC 2544) on GKE, a name on AKS."""
        if self.provider == "aks":
            digits = hashlib.sha256("/".join((*self.place, self.resource_group, self.name)).encode()).hexdigest()[:8]
            return f"{self.name}-dns-{digits}.hcp.{self.location}.azmk8s.io"
        if self.provider != "gke":
            return ""
        digest = hashlib.sha256("/".join((*self.place, self.name)).encode()).digest()
        return f"198.18.{digest[0]}.{digest[1]}"

    @property
    def dns_endpoint(self) -> str:
        """The name under which a GKE cluster is reached through Google's front end; empty for others."""
        if self.provider != "gke":
            return ""
        digest = hashlib.sha256("/".join((*self.place, self.name)).encode()).hexdigest()
        return f"gke-{digest[:20]}.{self.location}.gke.goog"

    @property
    def created_by(self) -> str:
        """ARN of the cluster's creator: the operator in its own account, the role that it assumes in any other
        account."""
        who = "user/operator" if self.account == HOME_ACCOUNT else "role/onboarding"
        return f"arn:{partition_of(self.region)}:iam::{self.account}:{who}"


def partition_of(region: str) -> str:
    """The AWS partition that a region is in."""
    return next((name for prefix, name in _PARTITIONS.items() if region.startswith(prefix)), "aws")


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "castai-onboarding"


def world_folder(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise ValueError(f"world name {name!r}: only lower-case letters, digits and inner hyphens")
    return cache_folder() / "worlds" / name
