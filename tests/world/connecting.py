# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An operator who connects the clusters of a world, on a machine with only Python, Ansible and Helm."""

from __future__ import annotations

import os
import re
import shlex
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ansible_collections.castai.onboarding.plugins.module_utils._engine import AT_ONCE
from tests.sandbox.build import binaries
from tests.sandbox.client import Seen, World
from tests.sandbox.normal import difference
from tests.support.awx import Credentials
from tests.support.clusters import inventory
from tests.support.forked import Step, changed, run_steps
from tests.support.playbook import PYTHON, SYSTEM_PATH, Run, Running, local_play, start_playbook

PLAYBOOK = "castai.onboarding.connect"
ROLE_IN_MODULES = [
    local_play({"ansible.builtin.include_role": {"name": "castai.onboarding.eks_connect"}}, in_module=True)
]
"""The same tasks as the playbook, but every module in its own process."""

UNKNOWN = "(known after apply)"
WAIT = 60
REST = 90  # seconds in which controllers and the agent settle, even on a busy machine

# What Helm was started with, for the search for secrets: `set` shows all variables of the shell, so the environment.
# Collecting garbage takes a fifth of so short a process.
_HELM = """#!/bin/sh
{{ echo "arguments: $*"; set; echo; }} >> {log}
export GOGC=off
exec {helm} "$@"
"""


class Operator:
    """folder: home and temporary files of all runs. environment: the exported variables, with the keys, unless
    changed."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder
        self.environment = {name: value for name, value in world.env().items() if name != "PATH"}
        self.helm_log = folder / "helm.log"
        helm = folder / "bin" / "helm"
        helm.parent.mkdir(parents=True)
        helm.write_text(
            _HELM.format(log=shlex.quote(str(self.helm_log)), helm=shlex.quote(str(binaries() / "helm"))),
            encoding="utf-8",
        )
        helm.chmod(0o755)
        self.path: tuple[Path, ...] = (PYTHON, helm.parent)

    @property
    def search_path(self) -> str:
        """The PATH of the playbook."""
        return os.pathsep.join(map(str, self.path))

    def inventory(self, *names: str, **variables: Any) -> dict[str, Any]:
        clusters = self.world.clusters()
        return inventory([clusters[name] for name in names], {"castai_wait_timeout": WAIT, **variables})

    def start(
        self,
        *arguments: str,
        hosts: Sequence[str] = ("prod",),
        playbook: str | Sequence[Mapping[str, Any]] = PLAYBOOK,
        given: Mapping[str, Any] | None = None,
        contained: bool = False,
        credentials: Credentials = MappingProxyType({}),
        **variables: Any,
    ) -> Running:
        """Start connecting these clusters. given: the inventory, if it is more than these clusters with these
        variables.

        contained, credentials: see start_playbook.
        """
        path = self.path if playbook == PLAYBOOK else (*self.path, *SYSTEM_PATH)
        return start_playbook(
            self.folder,
            playbook,
            *arguments,
            inventory=given or self.inventory(*hosts, **variables),
            environment=self.environment,
            path=path,
            contained=contained,
            credentials=credentials,
        )

    def connect(self, *arguments: str, **options: Any) -> Run:
        return self.start(*arguments, **options).wait()

    def helm_starts(self) -> list[str]:
        """Helm's arguments at each start."""
        if not self.helm_log.exists():
            return []
        lines = self.helm_log.read_text(encoding="utf-8").splitlines()
        return [line.removeprefix("arguments: ") for line in lines if line.startswith("arguments: ")]


class Forked(Operator):
    """An operator whose runs are forks of this process, with the tasks that a playbook run had for a host."""

    def __init__(self, world: World, folder: Path, recorded: Sequence[Step], host: str = "prod") -> None:
        super().__init__(world, folder)
        self.recorded = recorded
        self.host = host

    def connect(self, *arguments: str, **options: Any) -> Run:
        """options: differences to the recording, by module. Of Ansible's arguments, only --check is supported."""
        assert set(arguments) <= {"--check"}
        wanted = self.recorded
        for module, given in options.items():
            wanted = changed(wanted, module, **given)
        return self.run(wanted, check="--check" in arguments)

    def run(self, wanted: Sequence[Step], check: bool = False) -> Run:
        return run_steps(self.folder, wanted, self.host, self.environment, self.search_path, check)


def succeeded(run: Run) -> Run:
    """The run, after checking that it succeeded."""
    assert run.status == 0, run.output
    return run


def changed_nothing(run: Run) -> Run:
    succeeded(run)
    assert set(run.changed.values()) == {0}, run.actions()
    return run


def writes(world: World, since: int = 0) -> list[Seen]:
    """What the operator's credentials wrote, according to all journals."""
    return world.journal(since=since, writes=True)


def with_id(actions: Iterable[str], cluster_id: str) -> list[str]:
    """The sentences as they would be if the id had been known; names contain its first eight characters.

    The names of federated credentials at Azure contain all of it.
    """
    whole = re.compile(rf"(federated credential [A-Za-z]+-){re.escape(UNKNOWN)}")
    in_names = re.compile(rf"(?<=[-.]){re.escape(UNKNOWN)}")
    actions = [whole.sub(rf"\g<1>{cluster_id}", action) for action in actions]
    return [in_names.sub(cluster_id[:8], action).replace(UNKNOWN, cluster_id) for action in actions]


def at_rest(world: World, cluster: str = "prod") -> Any:
    """The state once the agent has noted its cluster and nothing has changed for longer than the agent's interval."""
    deadline, state = time.monotonic() + REST, None
    while time.monotonic() < deadline:
        before, state = state, world.state(normal=True)
        if state == before and "ConfigMap castai-agent/castai-agent-metadata" in state["kubernetes"][cluster]:
            return state
        time.sleep(1.5)
    raise AssertionError(f"the world does not come to rest: {difference(before, state)}")


def left_pending(world: World, operator: Operator) -> None:
    """A release whose Helm was killed together with its run."""
    world.fault({"operation": "create deployments", "end": "after"})
    assert operator.connect().status == -signal.SIGKILL
    world.fault()


def without_usable_token(world: World, operator: Operator) -> None:
    run = succeeded(operator.connect())
    world.control("castai", "revoke_token", cluster_id=run.of("castai_cluster")[-1]["cluster_id"])


def allowed_rounds(calls: Sequence[Seen], reads: int) -> int:
    """How many rounds a task may take if its reads need this many."""
    # Two more explain why pods are not ready.
    explains = any(call.operation == "list pods" for call in calls)
    # Objects of releases, and permissions where no rules review has them, are more than are read at once.
    many = [call for call in calls if call.operation.startswith(("get ", "create selfsubjectaccessreviews"))]
    return reads + 2 * explains + max(0, len(many) - 1) // AT_ONCE
