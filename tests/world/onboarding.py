# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An operator who connects and onboards clusters, and the checks afterwards."""

from __future__ import annotations

import http.client
import json
import signal
import ssl
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws import Aws
from tests.sandbox.client import ClusterAccess, World
from tests.support.awx import Credentials
from tests.support.playbook import Run, Running

from .careful import Watch
from .connecting import Forked, Operator, succeeded

SITE = "castai.onboarding.site"
ONBOARD = "castai.onboarding.onboard"

AWX = "env"
"""The folder in which AWX writes its credential for a job."""

AWS_AUTH = "/api/v1/namespaces/kube-system/configmaps/aws-auth"
WHO_AM_I = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


class Onboarder(Operator):
    """identities: those of CAST AI, by cluster, where the identity is not a role."""

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


class Exposed(NamedTuple):
    """Where a secret of a run at -vvvvv could be seen: its output, processes, and remaining files."""

    output: bytes
    processes: frozenset[bytes]
    folder: Path

    def held(self, forms: Sequence[bytes]) -> list[str]:
        """Where these texts occur, except in AWX's own files, which contain the operator's credentials."""
        texts = {"output": self.output, "processes": b"\0".join(self.processes)}
        files = (path for path in self.folder.rglob("*") if path.is_file() and path.parent.name != AWX)
        found = {**texts, **{str(path): path.read_bytes() for path in files}}
        return [place for place, content in found.items() if any(form in content for form in forms)]


def as_awx(somebody: Onboarder, credentials: Credentials, given: Mapping[str, Any]) -> tuple[Run, Exposed]:
    """A run of site as an AWX job at -vvvvv, and where its secrets could be seen."""
    somebody.environment["ANSIBLE_FORKS"] = "6"
    running = somebody.start("-vvvvv", "--diff", playbook=SITE, given=given, contained=True, credentials=credentials)
    watch = Watch(running.name)
    watch.start()
    run = running.wait()
    watch.end()
    assert watch.seen
    assert "module_args" in run.output, "it shows all that -vvvvv shows"
    return run, Exposed(run.output.encode(), frozenset(watch.texts), somebody.folder)


OTHER_AGENT: Mapping[str, Mapping[str, Any]] = {"castai_release": {"values": {"podAnnotations": {"turn": "second"}}}}
"""The change to a run that makes Helm upgrade the agent."""


def ended_in_helm(forked: Forked, tokens: Callable[[], Sequence[str]]) -> None:
    """Check that a run killed during Helm's upgrade of the agent leaves one file with the operator's token, readable by
    its user only. tokens: all issued ones."""
    record = rf"{forked.host}/castai-agent/sh\.helm\.release\.v1\.castai-agent\.v\d+"
    forked.world.fault({"system": "kubernetes", "operation": "create secrets", "resource": record, "end": "after"})
    ended = forked.connect(**OTHER_AGENT)
    assert (ended.status, forked.world.fired()) == (-signal.SIGKILL, [1]), ended.output
    forked.world.fault()
    files = [path for path in forked.folder.glob("tmp/**/*") if path.is_file()]
    given = [one.encode() for one in tokens()]
    held = [path for path in files if any(one in path.read_bytes() for one in given)]
    assert [(path.name, stat.S_IMODE(path.stat().st_mode)) for path in held] == [("token", 0o600)]


def finished(forked: Forked) -> Run:
    """Check that the next run removes everything that the killed one left in Helm."""
    run = succeeded(forked.connect(**OTHER_AGENT))
    assert list(forked.folder.glob("tmp/castai-onboarding-*/*")) == []
    return run


def node_token(world: World, cluster: ClusterAccess, role: str) -> str:
    """The Kubernetes token that a node with this role would sign."""
    key_id, secret, token = world.control("aws", "instance_session", account=cluster.account, role=role)
    session = {"access_key": key_id, "secret_key": secret, "session_token": token, "region": cluster.region}
    return Aws(session).eks_token(cluster.name)


def who_is(cluster: ClusterAccess, token: str) -> tuple[int, str]:
    """The API server's answer when the bearer of the token asks who they are: HTTP status and user name."""
    address, context = urlsplit(cluster.endpoint), ssl.create_default_context(cadata=cluster.ca_pem)
    connection = http.client.HTTPSConnection(address.hostname or "", address.port, context=context, timeout=30)
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request("POST", WHO_AM_I, json.dumps(body), headers)
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, (answer["status"]["userInfo"]["username"] if response.status == 201 else "")
