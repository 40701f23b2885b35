# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody who connects and onboards clusters, and what they look at afterwards."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws import Aws
from tests.sandbox.client import ClusterAccess, World
from tests.support.playbook import Run, Running

from .connecting import Operator

SITE = "castai.onboarding.site"
ONBOARD = "castai.onboarding.onboard"

AWS_AUTH = "/api/v1/namespaces/kube-system/configmaps/aws-auth"
WHO_AM_I = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


class Onboarder(Operator):
    """identities: CAST AI's, by cluster, for those whose identity is no role."""

    def __init__(self, world: World, folder: Path, **identities: str) -> None:
        super().__init__(world, folder)
        self.identities = identities

    def inventory(self, *names: str, **variables: Any) -> dict[str, Any]:
        found = super().inventory(*names, **variables)
        for name, identity in self.identities.items():
            if name in names:
                found["castai_clusters"]["hosts"][name]["eks_onboard_identity"] = identity
        return found

    def onboard(self, *arguments: str, hosts: Sequence[str], **options: Any) -> Run:
        return self.start_onboarding(*arguments, hosts=hosts, **options).wait()

    def start_onboarding(
        self, *arguments: str, hosts: Sequence[str], playbook: Any = SITE, **variables: Any
    ) -> Running:
        return self.start(*arguments, "--forks", "6", hosts=hosts, playbook=playbook, **variables)


def node_token(world: World, cluster: ClusterAccess, role: str) -> str:
    """The token of the Kubernetes API that a node signs which runs with this role."""
    key_id, secret, token = world.control("aws", "instance_session", account=cluster.account, role=role)
    session = {"access_key": key_id, "secret_key": secret, "session_token": token, "region": cluster.region}
    return Aws(session).eks_token(cluster.name)


def who_is(cluster: ClusterAccess, token: str) -> tuple[int, str]:
    """What the API server says to a bearer of the token who asks who they are: HTTP status and user name."""
    address, context = urlsplit(cluster.endpoint), ssl.create_default_context(cadata=cluster.ca_pem)
    connection = http.client.HTTPSConnection(address.hostname or "", address.port, context=context, timeout=30)
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request("POST", WHO_AM_I, json.dumps(body), headers)
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, (answer["status"]["userInfo"]["username"] if response.status == 201 else "")
