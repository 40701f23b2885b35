# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user in a cluster who may do what was granted, and no more."""

from __future__ import annotations

from collections.abc import Iterable

from tests.sandbox.client import World

WHO = "limited"
ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"


class ServiceAccount:
    """A service account named limited in namespace default, without permissions at first."""

    def __init__(self, world: World, cluster: str) -> None:
        self.kubernetes = world.kubernetes(cluster)
        self.kubernetes.create(ACCOUNTS, {"metadata": {"name": WHO}})

    def token(self) -> str:
        granted = self.kubernetes.create(f"{ACCOUNTS}/{WHO}/token", {"spec": {"expirationSeconds": 3600}})
        return str(granted["status"]["token"])

    def bind(self, name: str, namespace: str, rows: Iterable[tuple[str, str, tuple[str, ...]]]) -> None:
        """Grant verbs on a resource of an API group, in one namespace, or cluster-wide if it is empty."""
        kind = "Role" if namespace else "ClusterRole"
        rules = [
            {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)} for group, resource, verbs in rows
        ]
        metadata = {"name": name}
        self.kubernetes.create(_path(namespace, "Role"), {"metadata": metadata, "rules": rules})
        binding = {
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": WHO, "namespace": "default"}],
        }
        self.kubernetes.create(_path(namespace, "RoleBinding"), binding)

    def unbind(self, name: str, namespace: str) -> None:
        self.kubernetes.delete(f"{_path(namespace, 'Role')}/{name}")


def _path(namespace: str, kind: str) -> str:
    place = f"namespaces/{namespace}/{kind}s" if namespace else f"Cluster{kind}s"
    return f"/apis/rbac.authorization.k8s.io/v1/{place.lower()}"
