# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""castai_aws_auth on the real API server, while another writer changes the same text."""

from __future__ import annotations

import dataclasses
import re
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from ansible_collections.castai.onboarding.plugins.module_utils._clusters.connection import Connection
from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_task
from ansible_collections.castai.onboarding.plugins.module_utils._k8s.aws_auth import PATH, SUBJECT, Current, Desired
from tests.sandbox.client import World

from .connecting import Operator

CLUSTERS = ("prod:eks",)
TRIES = 200
OURS = "arn:aws:iam::111122223333:role/cast-prod-eks-12345678"
OTHERS = """\
# kept by the platform team
- rolearn: arn:aws:iam::111122223333:role/nodes
  username: system:node:{{EC2PrivateDNSName}}
  groups: [system:bootstrappers, system:nodes]
- {rolearn: "arn:aws:iam::111122223333:role/rival", username: rival-0} # the rival's
"""


class Rival:
    """A writer that gives its own entry another username, whatever else the text contains."""

    def __init__(self, world: World) -> None:
        self._kubernetes = world.kubernetes("prod")
        self._kubernetes.patch(PATH, {"data": {"mapRoles": OTHERS}})
        self.wrote = 0

    def write(self) -> None:
        self._kubernetes.patch(PATH, {"data": {"mapRoles": self.of_others(self.wrote + 1, self.text())}})
        self.wrote += 1

    def text(self) -> str:
        return str(self._kubernetes.get(PATH)["data"]["mapRoles"])

    @staticmethod
    def of_others(wrote: int, text: str = OTHERS) -> str:
        return re.sub(r"rival-\d+", f"rival-{wrote}", text)


def test_a_rival_between_read_and_write_loses_nothing(
    operator: Operator, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in operator.environment.items():
        monkeypatch.setenv(name, value)
    cluster, rival = world.clusters()["prod"], Rival(world)
    authority = operator.folder / "ca.pem"
    authority.write_text(cluster.ca_pem, encoding="ascii")
    options = {"host": cluster.endpoint, "api_key": cluster.operator_token, "ca_cert": str(authority)}
    entry = {"role_arn": OURS, "username": "system:node:{{EC2PrivateDNSName}}", "groups": ["system:nodes"]}

    def observe(connection: Connection, wanted: Desired) -> Current:
        current = SUBJECT.observe(connection, wanted)
        if rival.wrote < tries:
            rival.write()
        return current

    subject: Any = dataclasses.replace(SUBJECT, observe=observe)
    task = SimpleNamespace(check_mode=False, diff=False)
    for tries in range(1, TRIES + 1):
        state = "present" if tries % 2 else "absent"
        result = run_task(subject, task, {**options, **entry, "state": state}, lambda line: None)
        assert "msg" not in result, result["msg"]
        assert len(result["actions"]) == 1
        assert rival.wrote == tries
        text, others = rival.text(), rival.of_others(tries)
        assert text.startswith(others)
        ours = text.removeprefix(others)
        assert [row["rolearn"] for row in yaml.safe_load(ours) or ()] == [OURS] * (tries % 2)
    conflicts = [call for call in world.journal() if call.operation == "patch configmaps" and call.status == 409]
    assert len(conflicts) == TRIES
