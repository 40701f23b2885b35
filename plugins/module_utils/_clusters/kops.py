# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a kOps cluster says of itself, and EC2 of its nodes. Pure. PRIVATE to the collection.

kOps' addon manager notes on namespace kube-system from which channel it applied each addon, as
addons.k8s.io/NAME: {"channel": "s3://STORE/CLUSTER/addons/bootstrap-channel.yaml", ...}. CAST AI's agent takes name and
state store from there too (castai/k8s-agent, internal/services/discovery/kops.go).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .._gateways.aws import Instance
from .._gateways.kubernetes import Object, path_of
from .._names import wrong_account
from .._variables import named

NAMESPACE = "kube-system"
PATH = path_of("v1", "Namespace", NAMESPACE, None)
NODES = path_of("v1", "Node", None, None)
SOME_NODES = "500"
"""How many nodes are read at most: one that EC2 knows tells the cluster."""

_ADDON = "addons.k8s.io/"
_OWN = ("addons", "bootstrap-channel.yaml")
"""Where kOps' own channel lies below the cluster; those of a user's additional addons may lie anywhere."""


@dataclass(frozen=True)
class Channel:
    """Where an addon comes from. store: as s3://bucket; path: what follows, whose first part the agent takes for the
    cluster's name.
    """

    store: str
    path: tuple[str, ...]

    @property
    def cluster(self) -> str:
        return self.path[0]


@dataclass(frozen=True)
class KopsCluster:
    """A cluster as the user named it, as it says of itself, and as EC2 has it.

    host: where the connection leads; uid: of namespace kube-system, as which CAST AI's agent registers; nodes: instance
    ids of its nodes; instances: those that EC2 has for the name in the region.
    """

    name: str
    region: str
    host: str
    uid: str
    channels: tuple[Channel, ...]
    nodes: frozenset[str]
    instances: tuple[Instance, ...]

    @property
    def account_id(self) -> str:
        return self.instances[0].account_id if self.instances else ""

    @property
    def state_store(self) -> str:
        """As the agent finds it, or empty where the cluster does not say."""
        return self.channels[0].store if self.channels else ""


def nodes_of(listed: Object | None) -> frozenset[str]:
    """Instance ids in the providerIDs of nodes, such as aws:///eu-central-1a/i-0123."""
    providers = [str((node.get("spec") or {}).get("providerID") or "") for node in (listed or {}).get("items") or ()]
    return frozenset(provider.rpartition("/")[2] for provider in providers if provider.startswith("aws://"))


def wrong_kops_cluster(found: KopsCluster, account_id: str) -> Iterator[str]:
    """Why what was found is not the cluster that the user named. account_id may be empty."""
    elsewhere = other_kops_cluster(found.channels, found.name, found.host)
    if elsewhere:
        yield elsewhere
    if not found.instances:
        yield (
            f"EC2 has no running instance with tag KubernetesCluster={found.name} in {found.region} of the account that"
            f" these AWS credentials are for. Check {named('cluster_name')}, {named('region')} and the credentials."
        )
        return
    yield from filter(None, [wrong_account(account_id, found.account_id)])
    if not elsewhere and not found.nodes & {instance.id for instance in found.instances}:
        yield (
            f"No node of the cluster at {found.host} is one of the {len(found.instances)} instances that EC2 has for"
            f" kOps cluster {found.name} in {found.region}. Set {named('kubeconfig')} and {named('context')} to this"
            f" cluster, or {named('region')} and the credentials to its account."
        )


def channels_of(namespace: Object | None) -> tuple[Channel, ...]:
    """The channels that namespace kube-system names, kOps' own first, then by address, so that runs agree."""
    annotations: Mapping[str, Any] = ((namespace or {}).get("metadata") or {}).get("annotations") or {}
    found = {_channel(text) for key, text in annotations.items() if key.startswith(_ADDON)}
    return tuple(sorted(filter(None, found), key=lambda one: (one.path[-2:] != _OWN, one.store, one.path)))


def other_kops_cluster(channels: tuple[Channel, ...], name: str, host: str) -> str:
    """Why the cluster at host is not the one of this name, or an empty text, as where it does not say."""
    if not channels or any(name in channel.path for channel in channels):
        return ""
    return (
        f"The kubeconfig or host points to {host}, which says that it is kOps cluster {channels[0].cluster} of"
        f" {channels[0].store}, not {name}. Set {named('kubeconfig')} and {named('context')} to {name}."
    )


def _channel(text: str) -> Channel | None:
    try:
        address = urlsplit(str(json.loads(text)["channel"]))
    except (KeyError, TypeError, ValueError):
        return None
    path = tuple(part for part in address.path.split("/") if part)
    return Channel(f"{address.scheme}://{address.netloc}", path) if address.scheme and address.netloc and path else None
