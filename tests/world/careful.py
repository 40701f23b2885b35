# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks for secrets wherever a run could leave them; all secrets of the world contain the same mark."""

from __future__ import annotations

import base64
import gzip
import json
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.sandbox.client import World
from tests.support.playbook import Run

from .connecting import PLAYBOOK, Forked, Operator

KEYS = ("CASTAI_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
SECRETS = ("CANARY", "k8s-aws-v1.")


def forms_of(secret: str) -> Iterator[bytes]:
    """A secret in plain text, and in base64 at any position of the encoded text."""
    yield secret.encode()
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + secret.encode())
        whole = (offset + len(secret)) * 8 // 6
        yield encoded[(offset * 8 + 5) // 6 : whole]


FORMS = tuple(form for secret in SECRETS for form in forms_of(secret))


def holds_secret(content: bytes) -> bool:
    return any(form in content for form in FORMS)


def release_record(secret: Mapping[str, Any]) -> bytes:
    return gzip.decompress(base64.b64decode(base64.b64decode(secret["data"]["release"])))


def nowhere_in(world: World) -> None:
    """Check that no secret is in any object of its clusters, except the Secret for it, or in a release's record or a
    journal."""
    for objects in world.state()["kubernetes"].values():
        for label, item in objects.items():
            if item.get("type") == "helm.sh/release.v1":
                assert not holds_secret(release_record(item)), label
            elif holds_secret(json.dumps(item).encode()):
                assert label == "Secret castai-agent/castai-credentials"
    logs = list(world.folder.rglob("audit.log"))
    assert logs
    for log in logs:
        assert not holds_secret(log.read_bytes()), log
    assert not holds_secret(repr(world.journal()).encode())


class Watch(threading.Thread):
    """Watches the arguments and environment of a run's processes while it runs."""

    def __init__(self, run: str) -> None:
        super().__init__(daemon=True)
        self._mark = f"CASTAI_SANDBOX_RUN={run}".encode()
        self._over = threading.Event()
        self.seen: set[str] = set()
        self.texts: set[bytes] = set()
        self.leaks: set[str] = set()

    def run(self) -> None:
        foreign: set[str] = set()
        while not self._over.wait(0.05):
            for pid in {path.name for path in Path("/proc").glob("[1-9]*")} - foreign:
                try:
                    arguments, environment = (Path("/proc", pid, name).read_bytes() for name in ("cmdline", "environ"))
                except OSError:
                    continue
                if self._mark not in environment:
                    foreign.add(pid)
                    continue
                program = arguments.replace(b"\0", b" ").decode(errors="replace")
                self.seen.add(program)
                self.texts |= {arguments, environment}
                if holds_secret(arguments) or holds_secret(environment):
                    self.leaks.add(program)

    def end(self) -> None:
        self._over.set()
        self.join()


class Careful:
    """An operator whose keys are only in a vars file, and who checks after each run that they are nowhere else."""

    def __init__(
        self, operator: Operator, hosts: Sequence[str], playbook: str | Sequence[Mapping[str, Any]] = PLAYBOOK
    ) -> None:
        self.operator = operator
        self.hosts = hosts
        self.playbook = playbook
        keys = {name: operator.environment.pop(name) for name in KEYS}
        # Variables of clouds without a host here.
        for name in [name for name, value in operator.environment.items() if holds_secret(value.encode())]:
            del operator.environment[name]
        self.vars_file = operator.folder.parent / f"{operator.folder.name}-keys.yml"
        self.vars_file.touch(mode=0o600)
        named = ("castai_api_key", "castai_aws_access_key", "castai_aws_secret_key")
        self.vars_file.write_text(json.dumps(dict(zip(named, keys.values(), strict=True))), encoding="utf-8")

    def run(self, *arguments: str) -> Run:
        running = self.operator.start(
            "-vvvvv", "--diff", "-e", f"@{self.vars_file}", *arguments, hosts=self.hosts, playbook=self.playbook
        )
        watch = Watch(running.name)
        watch.start()
        run = running.wait()
        watch.end()
        assert any(" playbook " in program for program in watch.seen)
        assert not watch.leaks
        assert not holds_secret(run.output.encode()), "in the output"
        if run.status < 0:
            return run  # a killed run leaves its own folder, which the next run removes
        left = [path for path in self.operator.folder.rglob("*") if path.is_file() and holds_secret(path.read_bytes())]
        assert not left
        return run

    def run_until_each(self, ends: Sequence[dict[str, Any]]) -> None:
        """Several runs in order, each ended by a fault."""
        for end in ends:
            self.operator.world.fault(end)
            _was_ended(end, self.operator.world, self.run())
        self.operator.world.fault()


def ended_by(end: dict[str, Any], forked: Forked, *others: dict[str, Any]) -> None:
    """A run in a fork that a fault ends; its output contains no secret. others: further faults."""
    forked.world.fault(*others, end)
    run = forked.connect()
    _was_ended(end, forked.world, run)
    assert not holds_secret(run.output.encode()), "in the output"
    forked.world.fault()


def _was_ended(end: dict[str, Any], world: World, run: Run) -> None:
    assert (run.status, world.fired()[-1]) == (-signal.SIGKILL, 1), (end, run.output)
