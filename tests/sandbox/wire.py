# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the parts of the local world pass to each other: requests, answers, their meaning, clusters, back ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

PEER = "x-peer-certificate"
"""A header of our own, never a client's: the SHA-256 of the certificate with which the client made its TLS
connection."""


@dataclass(frozen=True)
class Request:
    """One HTTP request as a back end sees it. Header names are lower-case; `query` has no question mark."""

    method: str
    host: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Response:
    """One HTTP answer. The server adds Content-Length; hop-by-hop headers are not allowed."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True)
class Call:
    """What a request means, for the journal and for faults.

    system: castai, aws, google, azure, kubernetes or charts
    operation: RegisterCluster, iam:CreateRole, iam.roles.create, applications.create, create secrets, get chart
    resource: cluster id, role name, cluster/namespace/name, path
    write: would it change anything
    who: ARN, Kubernetes user, organization and key name; empty when unknown
    """

    system: str
    operation: str
    resource: str
    write: bool
    who: str


class Backend(Protocol):
    """One system of the world. `handle` and `control` are called from many threads at once."""

    @property
    def system(self) -> str:
        """Its name in the journal."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """fnmatch patterns of the real host names it serves."""

    def classify(self, request: Request) -> Call:
        """What the request means, for journal and faults."""

    def handle(self, request: Request) -> Response:
        """The answer. The request takes effect."""

    def fail(self, request: Request, status: int, code: str, message: str) -> Response:
        """An error in the system's own form. Code NotFound stands for the operation's own code of a missing object."""

    def control(self, verb: str, **args: Any) -> Any:
        """Do something in the system behind the caller's back for a test; JSON in, JSON out. Unknown verbs:
        ValueError."""

    def state(self) -> Any:
        """The whole system as JSON-able values, the same for the same content."""

    def reset(self) -> None:
        """Reset to the initial state of the world."""


@dataclass(frozen=True)
class Cluster:
    """A cluster of the world, as handed to the back ends."""

    name: str
    provider: str
    account: str
    region: str
    mode: str  # EKS: API, API_AND_CONFIG_MAP or CONFIG_MAP; AKS: who decides, kubernetes, azure, or none without Entra
    ip_family: str
    version: str
    endpoint: str  # https://127.0.0.1:PORT of the TLS front, through the gate
    ca_pem: str
    admin_kubeconfig: Path  # straight to the API server, for the world's own use
    created_by: str  # ARN of the creating principal, its administrator
    instances: tuple[str, ...] = ()  # EC2's ids of its nodes
    address: str = (
        ""  # of a GKE cluster: the IP address of its endpoint, of an AKS cluster: its name; the proxy serves it
    )
    dns_endpoint: str = ""  # of a GKE cluster, whose account is a project and whose region a location
    resource_group: str = ""  # of an AKS cluster, whose account is a subscription
    client_certificate: str = ""  # of an AKS cluster: what gets its owner in without Entra, the key and the token too
    client_key: str = ""
    client_token: str = ""

    @property
    def node_group(self) -> str:
        """The resource group of an AKS cluster's nodes, in lower case."""
        return f"mc_{self.resource_group}_{self.name}_{self.region}".lower()
