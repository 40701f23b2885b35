# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control planes on loopback as separate processes, one for each cluster, with a shared etcd; kwok makes pods ready.

Facts and flags were tested with Kubernetes 1.36.3, kwok 0.8.0 and etcd 3.6.12.
"""

from __future__ import annotations

import base64
import json
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..build import version
from ..gate import Gate
from ..pki import Authority, new_key
from ..processes import launch
from ..spec import ENTRA_ADMINS, ClusterSpec
from ..wire import Cluster
from . import kops
from .client import Kubernetes
from .etcd import Etcd
from .front import AuditLog, Front
from .webhook import Webhook

ADMIN = "sandbox-admin"
OPERATOR = "sandbox-operator"
_READY_SECONDS = 120.0
_NODES = "/api/v1/nodes"
_CLUSTER_ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
_CLUSTER_ROLE_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
_CONFIG_MAPS = "/api/v1/namespaces/kube-system/configmaps"

# Everybody except the world itself. The group contains controllers too, but they bypass the front, which writes the
# journal.
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "None", "users": [ADMIN]}, {"level": "Metadata"}],
}

_STAGES = Path(__file__).parent / "stages"
"""The stages that kwok does not have itself."""


class ReservedPort:
    """A free port of 127.0.0.1. Only our server, which shares it with SO_REUSEPORT, can use it."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]


class Store:
    """The etcd process that the world's API servers share."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._client, self._peer = ReservedPort(), ReservedPort()
        peer = f"http://127.0.0.1:{self._peer.number}"
        self.url = f"http://127.0.0.1:{self._client.number}"
        command = [
            *(str(binaries / "controlplane"), "etcd", "--data-dir", str(folder / "etcd"), "--socket-reuse-port"),
            *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", f"default={peer}", "--unsafe-no-fsync", "--log-level", "warn"),
        ]
        self.process = launch(command, folder, folder / "etcd.log")
        self.client = Etcd(self._client.number)


class ControlPlane:
    """One cluster. Creating it starts its API server; `complete` waits for that and starts the rest."""

    def __init__(
        self, spec: ClusterSpec, binaries: Path, folder: Path, store: Store, gate: Gate, webhook: Webhook
    ) -> None:
        self.spec = spec
        self._binaries = binaries
        self._world = folder
        self._folder = folder / "clusters" / spec.name
        self._folder.mkdir(parents=True)
        self._port = ReservedPort()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        authority = Authority(f"{spec.name} cluster CA")
        admin_token, self.operator_token, token = (f"CANARY-{secrets.token_hex(16)}" for _time in range(3))
        own = authority.issue("masterclient", groups=["system:masters"]) if spec.provider == "aks" else None
        self._write_files(authority, admin_token, webhook.url(spec.name), token if own else "")
        self._start("kube-apiserver", *self._apiserver_flags(store))
        self.admin = Kubernetes(self._folder / "admin.kubeconfig")
        audit = AuditLog(self._folder / "audit.log")
        self.front = Front(
            spec.name, gate, authority, self._port.number, admin_token, store.client, audit, webhook.now, spec.address
        )
        if version(binaries).removeprefix("v").rpartition(".")[0] != spec.version:
            self.front.version = spec.version
        self.cluster = Cluster(
            name=spec.name,
            provider=spec.provider,
            account=spec.place[0],
            region=spec.place[1],
            mode=spec.entra if spec.provider == "aks" else spec.mode,
            ip_family=spec.ip_family,
            version=spec.version,
            endpoint=f"https://127.0.0.1:{self.front.port}",
            ca_pem=authority.pem,
            admin_kubeconfig=self.admin.kubeconfig,
            created_by=spec.created_by,
            instances=spec.instances,
            address=spec.address,
            dns_endpoint=spec.dns_endpoint,
            resource_group=spec.resource_group if spec.provider == "aks" else "",
            client_certificate=own.certificate if own else "",
            client_key=own.key if own else "",
            client_token=token if own else "",
        )
        if own:
            self.front.admit(own)
        webhook.add(self.cluster, self._aws_auth)

    def complete(self) -> None:
        """Returns when the nodes are ready."""
        self._wait("the API server", self.admin.ready)
        self._start("kube-controller-manager", *self._controller_manager_flags())
        self._start("kube-scheduler", *self._client_flags(), "--leader-elect=false", "--secure-port=0")
        self._start("kwok", *self._kwok_flags(), program=self._binaries / "kwok")
        for number in range(self.spec.nodes):
            self.admin.create(_NODES, _node(self.spec, number))
        if self.spec.has_aws_auth:
            self.admin.create(_CONFIG_MAPS, _node_aws_auth(self.spec))
        self._wait("the nodes", lambda: all(_is_ready(node) for node in self.admin.items(_NODES)))
        if self.spec.provider == "kops":
            self._complete_kops()
        if self.spec.provider == "aks" and self.spec.entra != "none":
            self.admin.create(_CLUSTER_ROLE_BINDINGS, _ENTRA_ADMINS)
        self._wait("the controllers", self._has_settled)
        self.front.remember()

    def _complete_kops(self) -> None:
        spec = self.spec
        noted = kops.addon_notes(spec.name, spec.kops, spec.template)
        self.admin.patch(kops.KUBE_SYSTEM, {"metadata": {"annotations": noted}})
        if spec.network == "kube-router":
            kops.apply(self.admin, kops.kube_router(spec.kops, spec.template))
            self._wait("kube-router", self._has_network)

    def _has_network(self) -> bool:
        status = self.admin.get(kops.KUBE_ROUTER).get("status", {})
        return bool(status.get("numberAvailable", 0) == self.spec.nodes and status["observedGeneration"] == 1)

    def _has_settled(self) -> bool:
        """Whether the controllers have created what every new cluster has: accounts, CA bundles, aggregated roles."""
        namespaces = len(self.admin.items("/api/v1/namespaces"))
        accounts = self.admin.items("/api/v1/serviceaccounts?fieldSelector=metadata.name=default")
        bundles = self.admin.items("/api/v1/configmaps?fieldSelector=metadata.name=kube-root-ca.crt")
        roles = [self.admin.get(f"{_CLUSTER_ROLES}/{name}") for name in ("admin", "edit", "view")]
        return len(accounts) == len(bundles) == namespaces and all(role["rules"] for role in roles)

    def _aws_auth(self) -> dict[str, str] | None:
        found = self.admin.get(f"{_CONFIG_MAPS}/aws-auth")
        return dict(found.get("data", {})) if found else None

    def _wait(self, what: str, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not done():
            ended = [name for name, process in self.processes.items() if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise RuntimeError(f"cluster {self.spec.name}: {what} did not get ready\n{self._log_tails(ended)}")
            time.sleep(0.05)

    def _log_tails(self, names: Sequence[str]) -> str:
        logs = {name: (self._folder / f"{name}.log").read_text(errors="replace") for name in names or self.processes}
        return "\n".join(f"{name}: ...{log[-1500:]}" for name, log in logs.items())

    def _start(self, name: str, *flags: str, program: Path | None = None) -> None:
        command = [str(program)] if program else [str(self._binaries / "controlplane"), name]
        self.processes[name] = launch([*command, *flags], self._world, self._folder / f"{name}.log")

    def _write_files(self, authority: Authority, admin_token: str, webhook_url: str, client_token: str) -> None:
        """client_token: of the local account that also has the client certificate, empty if there is none."""
        server = authority.issue("kube-apiserver", hosts=["127.0.0.1", "localhost", "kubernetes.default.svc"])
        admin = authority.issue(ADMIN, groups=["system:masters"])
        user = {"client-certificate-data": _encode(admin.certificate), "client-key-data": _encode(admin.key)}
        address = f"https://127.0.0.1:{self._port.number}"
        users = {ADMIN: admin_token, OPERATOR: self.operator_token, "masterclient": client_token}
        lines = enumerate(((user, token) for user, token in users.items() if token), 1)
        tokens = "".join(f'{token},{user},{number},"system:masters"\n' for number, (user, token) in lines)
        files = {
            "ca.crt": authority.pem,
            "ca.key": authority.key_pem,
            "server.crt": server.certificate,
            "server.key": server.key,
            "accounts.key": new_key(),
            "tokens.csv": tokens,
            "audit-policy.json": json.dumps(_AUDIT_POLICY),
            "audit.log": "",
            "admin.kubeconfig": json.dumps(_kubeconfig({"server": address, **_ca(authority.pem)}, user)),
            "webhook.kubeconfig": json.dumps(_kubeconfig({"server": webhook_url}, {})),
        }
        for name, content in files.items():
            (self._folder / name).write_text(content, encoding="utf-8")

    def _apiserver_flags(self, store: Store) -> Sequence[str]:
        file = self._file
        return (
            # Objects are stored as JSON so that state and reset can read the store.
            *("--etcd-servers", store.url, "--etcd-prefix", f"/{self.spec.name}"),
            *("--storage-media-type", "application/json"),
            *("--bind-address=127.0.0.1", f"--secure-port={self._port.number}", "--permit-port-sharing"),
            # No endpoints of the API server itself: nothing runs in pods, and loopback is not allowed there.
            *("--advertise-address=192.0.2.1", "--endpoint-reconciler-type=none"),
            *("--tls-cert-file", file("server.crt"), "--tls-private-key-file", file("server.key")),
            *("--client-ca-file", file("ca.crt"), "--token-auth-file", file("tokens.csv")),
            *("--authentication-token-webhook-config-file", file("webhook.kubeconfig")),
            *("--authentication-token-webhook-version=v1", "--authentication-token-webhook-cache-ttl=1s"),
            *("--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=172.20.0.0/16"),
            *("--service-account-key-file", file("accounts.key")),
            *("--service-account-signing-key-file", file("accounts.key")),
            *self._authorization_flags(),
            *("--audit-policy-file", file("audit-policy.json"), "--audit-log-path", file("audit.log")),
        )

    def _authorization_flags(self) -> Sequence[str]:
        """On GKE, IAM is asked if RBAC does not allow a request; on some AKS clusters, Azure RBAC is."""
        if self.spec.provider != "gke" and (self.spec.provider, self.spec.entra) != ("aks", "azure"):
            return "--authorization-mode=Node,RBAC", "--allow-privileged"
        seconds = (f"--authorization-webhook-cache-{kind}-ttl=1s" for kind in ("authorized", "unauthorized"))
        return (
            *("--authorization-mode=Node,RBAC,Webhook", "--allow-privileged", "--authorization-webhook-version=v1"),
            *("--authorization-webhook-config-file", self._file("webhook.kubeconfig"), *seconds),
        )

    def _controller_manager_flags(self) -> Sequence[str]:
        file = self._file
        return (
            *self._client_flags(),
            *("--service-account-private-key-file", file("accounts.key"), "--root-ca-file", file("ca.crt")),
            *("--cluster-signing-cert-file", file("ca.crt"), "--cluster-signing-key-file", file("ca.key")),
            *("--use-service-account-credentials", "--leader-elect=false", "--secure-port=0"),
            # With the default of 20 calls a second, its controllers would start seconds later.
            *("--kube-api-qps=500", "--kube-api-burst=1000"),
        )

    def _kwok_flags(self) -> Sequence[str]:
        stages = [flag for stage in sorted(self._stages()) for flag in ("--config", str(stage))]
        return (*self._client_flags(), "--manage-all-nodes=true", "--node-lease-duration-seconds=40", *stages)

    def _stages(self) -> Sequence[Path]:
        return [*(self._binaries / "stages").iterdir(), *_STAGES.iterdir()]

    def _client_flags(self) -> Sequence[str]:
        return "--kubeconfig", self._file("admin.kubeconfig")

    def _file(self, name: str) -> str:
        return str(self._folder / name)


def _node(spec: ClusterSpec, number: int) -> dict[str, Any]:
    """A node as a managed node group of EKS, a node pool of GKE or AKS, or an instance group of kOps creates it."""
    if spec.provider in _NODES_OF:
        return _NODES_OF[spec.provider](spec, number)
    zone = f"{spec.region}{'abc'[number % 3]}"
    name = f"ip-10-0-{number % 3}-{10 + number}.{spec.region}.compute.internal"
    group = {"eks.amazonaws.com/capacityType": "ON_DEMAND", "eks.amazonaws.com/nodegroup": "default"}
    if spec.provider == "kops":
        group = {"kops.k8s.io/instancegroup": "nodes", "kubernetes.io/role": "node", "node-role.kubernetes.io/node": ""}
    labels = {
        **group,
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": "m5.large",
        "topology.kubernetes.io/region": spec.region,
        "topology.kubernetes.io/zone": zone,
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"providerID": f"aws:///{zone}/{spec.instances[number]}"},
    }


def _google_node(spec: ClusterSpec, number: int) -> dict[str, Any]:
    region = spec.location if spec.location.count("-") == 1 else spec.location.rpartition("-")[0]
    zone = f"{region}-{'bcd'[number % 3]}" if spec.location == region else spec.location
    name = f"gke-{spec.name}-default-pool-{spec.dns_endpoint[4:12]}-{number:04d}"
    labels = {
        "cloud.google.com/gke-nodepool": "default-pool",
        "cloud.google.com/gke-os-distribution": "cos",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": "e2-standard-4",
        "topology.kubernetes.io/region": region,
        "topology.kubernetes.io/zone": zone,
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"providerID": f"gce://{spec.project}/{zone}/{name}"},
    }


def _azure_node(spec: ClusterSpec, number: int) -> dict[str, Any]:
    group = f"mc_{spec.resource_group}_{spec.name}_{spec.location}".lower()
    machines = f"aks-nodepool1-{spec.address.partition('-dns-')[2][:8]}-vmss"
    name = f"{machines}{number:06d}"
    labels = {
        "agentpool": "nodepool1",
        "kubernetes.azure.com/agentpool": "nodepool1",
        "kubernetes.azure.com/cluster": group,
        "kubernetes.azure.com/mode": "system",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": "Standard_D4s_v5",
        "topology.kubernetes.io/region": spec.location,
        "topology.kubernetes.io/zone": f"{spec.location}-{number % 3 + 1}",
    }
    machine = f"Microsoft.Compute/virtualMachineScaleSets/{machines}/virtualMachines/{number}"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "providerID": f"azure:///subscriptions/{spec.subscription}/resourceGroups/{group}/providers/{machine}"
        },
    }


_NODES_OF: Mapping[str, Callable[[ClusterSpec, int], dict[str, Any]]] = {"gke": _google_node, "aks": _azure_node}
# What AKS makes for the group that a cluster's adminGroupObjectIDs name.
_ENTRA_ADMINS: Mapping[str, Any] = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "aks-cluster-admin-binding-aad"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": ENTRA_ADMINS}],
}


def _node_aws_auth(spec: ClusterSpec) -> dict[str, Any]:
    """aws-auth as EKS writes it for a managed node group: it only contains the nodes' role."""
    roles = (
        "- groups:\n  - system:bootstrappers\n  - system:nodes\n"
        f"  rolearn: arn:aws:iam::{spec.account}:role/{spec.name}-node\n"
        "  username: system:node:{{EC2PrivateDNSName}}\n"
    )
    metadata = {"name": "aws-auth", "namespace": "kube-system"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"mapRoles": roles}}


def _is_ready(node: dict[str, Any]) -> bool:
    conditions = node.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def operators_kubeconfig(planes: Iterable[ControlPlane]) -> dict[str, Any]:
    """A kubeconfig with one context for each cluster, named like the cluster."""
    found = [
        _kubeconfig(
            {"server": plane.cluster.endpoint, **_ca(plane.cluster.ca_pem)},
            {"token": plane.operator_token},
            plane.cluster.name,
        )
        for plane in planes
    ]
    lists = {kind: [item for one in found for item in one[kind]] for kind in ("clusters", "users", "contexts")}
    return {"apiVersion": "v1", "kind": "Config", **lists}


def _kubeconfig(cluster: dict[str, str], user: dict[str, str], name: str = "local") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def _ca(pem: str) -> dict[str, str]:
    return {"certificate-authority-data": _encode(pem)}


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
