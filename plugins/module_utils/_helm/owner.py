# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose the objects are that the first install of a release would make. PRIVATE to the collection."""

from __future__ import annotations

from dataclasses import dataclass

from .._engine import gather
from .._k8s.gateway import Kubernetes, Object, path_of
from .._variables import named, role_of
from .gateway import TAKES_OWNERSHIP
from .record import OWNER_NAME, OWNER_NAMESPACE


@dataclass(frozen=True)
class Owner:
    """Whose an object is that a release would make and does not own.

    release: NAMESPACE/RELEASE, empty for an object that no Helm release owns.
    """

    thing: str
    release: str = ""

    def refusal(self, adopt: bool, wanted: str) -> str:
        """Why the wanted release cannot be installed, or an empty text."""
        if self.release:
            return f"{self.thing} belongs to Helm release {self.release}. Name that release, or uninstall it first."
        if not adopt:
            return (
                f"{self.thing} exists and belongs to no Helm release, so kubectl or another tool created it. Set"
                f" {named('adopt', role_of(wanted))} to true to take over it and others like it, or delete them."
            )
        return ""

    def helm_refusal(self, version: tuple[int, ...]) -> str:
        """Why Helm of this version cannot take the object over, or an empty text."""
        if version >= TAKES_OWNERSHIP:
            return ""
        return (
            f"Taking over what no Helm release owns needs Helm {'.'.join(map(str, TAKES_OWNERSHIP))} or newer, but Helm"
            f" here is {'.'.join(map(str, version))}. Upgrade it, or delete {self.thing} and what was created with it."
        )


def owner(cluster: Kubernetes, name: str, namespace: str) -> Owner | None:
    """Whose the objects of a release's name are; None where there are none, or only the release's own.

    They are its Deployment and its ClusterRole, which shows an installation in another namespace. What belongs to
    another release comes first.
    """
    found = gather(
        deployment=lambda: cluster.get(path_of("apps/v1", "Deployment", name, namespace)),
        role=lambda: cluster.get(path_of("rbac.authorization.k8s.io/v1", "ClusterRole", name, None)),
    )
    things = {f"Deployment {namespace}/{name}": found["deployment"], f"ClusterRole {name}": found["role"]}
    owners = [Owner(thing, _release(item)) for thing, item in things.items() if item]
    others = [one for one in owners if one.release != f"{namespace}/{name}"]
    return next((one for one in others if one.release), next(iter(others), None))


def _release(item: Object) -> str:
    annotations = item["metadata"].get("annotations") or {}
    name = annotations.get(OWNER_NAME)
    return f"{annotations.get(OWNER_NAMESPACE) or ''}/{name}" if name else ""
