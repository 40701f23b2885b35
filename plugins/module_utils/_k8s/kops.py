# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a kOps cluster says of itself: its name and state store. Pure. PRIVATE to the collection.

kOps' addon manager notes on namespace kube-system from which channel it applied each addon, as
addons.k8s.io/NAME: {"channel": "s3://STORE/CLUSTER/addons/bootstrap-channel.yaml", ...}. CAST AI's agent takes name and
state store from there too (castai/k8s-agent, internal/services/discovery/kops.go).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .gateway import Object, path_of

NAMESPACE = "kube-system"
PATH = path_of("v1", "Namespace", NAMESPACE, None)

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
        f" {channels[0].store}, not {name}: give the kubeconfig and context of {name}."
    )


def _channel(text: str) -> Channel | None:
    try:
        address = urlsplit(str(json.loads(text)["channel"]))
    except (KeyError, TypeError, ValueError):
        return None
    path = tuple(part for part in address.path.split("/") if part)
    return Channel(f"{address.scheme}://{address.netloc}", path) if address.scheme and address.netloc and path else None
