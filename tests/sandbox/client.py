# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A world as tests, demo and benchmarks use it."""

from __future__ import annotations

import base64
import dataclasses
import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import processes
from .build import binaries, build
from .kubernetes.client import Kubernetes
from .locks import locked
from .normal import normalize
from .spec import FAILURE, READY, ClusterSpec, world_folder

_ROOT = Path(__file__).resolve().parents[2]
WORLD_VARIABLE = "CASTAI_SANDBOX_WORLD"
_START_SECONDS = 180.0


class WorldError(Exception):
    """The world did not start, is not running, or refused a request."""


@dataclass(frozen=True)
class Seen:
    """One call of the journal: `gate.Entry`, flat. `status` 0: neither passed on nor answered."""

    mark: int
    at: float
    end: float
    system: str
    operation: str
    resource: str
    write: bool
    who: str
    cluster: str
    status: int
    fault: str


@dataclass(frozen=True)
class ClusterAccess:
    """How to reach a cluster: through the gate as its operator (endpoint, CA, bearer token of a cluster-admin)."""

    name: str
    endpoint: str
    ca_pem: str
    provider: str
    operator_token: str
    operator_kubeconfig: str
    admin_kubeconfig: str  # straight to the API server, seen by no journal
    account: str
    region: str
    resource_group: str = ""  # of an AKS cluster, whose account is its subscription

    def kubeconfig(self, path: Path) -> Path:
        """Write the operator's kubeconfig; its only context has the cluster's name."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": self.name,
                    "cluster": {"server": self.endpoint, "certificate-authority-data": _encode(self.ca_pem)},
                }
            ],
            "users": [{"name": self.name, "user": {"token": self.operator_token}}],
            "contexts": [{"name": self.name, "context": {"cluster": self.name, "user": self.name}}],
            "current-context": self.name,
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(config), encoding="utf-8")
        return path


class World:
    """One world by its name, else that of CASTAI_SANDBOX_WORLD. As a context manager it ends with its block.

    >>> with World("example").up("prod:eks") as world:
    ...     world.kubernetes("prod").items("/api/v1/nodes")
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name or os.environ.get(WORLD_VARIABLE, "default")
        self.folder = world_folder(self.name)

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_error: object) -> None:
        self.down()

    def up(self, *clusters: str | ClusterSpec, progress: Callable[[str], None] = lambda _line: None) -> World:
        """Start a new world with these clusters, `NAME:PROVIDER[:OPTION=VALUE...]`; return when everything answers."""
        specs = [ClusterSpec.parse(item) if isinstance(item, str) else item for item in clusters]
        with self._locked():
            self._clear()
            built = build(progress)
            self.folder.mkdir(mode=0o700)
            self._wait(self._spawn(built, specs))
        return self

    def down(self) -> None:
        """End the world, or what is left of it. It is not an error if nothing is left."""
        with self._locked():
            self._clear()

    def env(self) -> dict[str, str]:
        """Environment variables for a client: proxy, CA, throw-away credentials, Helm on the PATH. Merge them over
        os.environ."""
        found: dict[str, str] = self._call("environment")
        return {**found, "PATH": f"{binaries()}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}

    def clusters(self) -> dict[str, ClusterAccess]:
        return {name: ClusterAccess(name, **access) for name, access in self._call("clusters").items()}

    def kubernetes(self, cluster: str) -> Kubernetes:
        """A client that may do everything in the cluster and does not appear in any journal."""
        return Kubernetes(Path(self.clusters()[cluster].admin_kubeconfig))

    def mark(self) -> int:
        """A point in the journal, for `journal(since=...)`."""
        found: int = self._call("mark")
        return found

    def journal(self, since: int = 0, writes: bool = False) -> list[Seen]:
        """The calls received after a mark, in the order in which they ended. writes: only calls that write."""
        return [Seen(**entry) for entry in self._call("journal", since=since, writes=writes)]

    def state(self, normal: bool = False) -> Any:
        """The state of the whole world; with `normal`, after the published normalization (normal.py)."""
        found = self._call("state")
        return normalize(found) if normal else found

    def fault(self, *schedule: dict[str, Any]) -> None:
        """Replace the schedule of faults (faults.py). An empty one ends all faults."""
        self._call("fault", schedule=schedule)

    def fired(self) -> list[int]:
        """How often each fault of the schedule has taken effect."""
        found: list[int] = self._call("fired")
        return found

    def latency(self, milliseconds: float) -> None:
        """Delay every call from now on by this much."""
        self._call("latency", milliseconds=milliseconds)

    def rounds(self, on: bool = True) -> None:
        """Hold calls until their caller only waits for answers: calls that overlap then do not depend on each other."""
        self._call("rounds", on=on)

    def clock(self, seconds: float) -> float:
        """Advance the world's clock; returns its time, seconds since the epoch."""
        found: float = self._call("clock", seconds=seconds)
        return found

    def reset(self) -> None:
        """Reset to the initial state: content, faults, latency, clock, journal. Marks keep counting."""
        self._call("reset")

    def control(self, system: str, verb: str, **arguments: Any) -> Any:
        """Ask a system to do something behind the caller's back (`control` of its back end)."""
        return self._call(f"control/{system}/{verb}", **arguments)

    def _locked(self) -> AbstractContextManager[None]:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        return locked(self.folder.with_suffix(".lock"))

    def _clear(self) -> None:
        processes.kill_recorded(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _spawn(self, built: Path, specs: Sequence[ClusterSpec]) -> subprocess.Popen[bytes]:
        # A supervisor of the caller's run would be ended with it; what it writes for a moment goes with its folder.
        environment = {name: value for name, value in os.environ.items() if name != processes.RUN_VARIABLE}
        described = json.dumps([dataclasses.asdict(spec) for spec in specs])
        with (self.folder / "world.log").open("ab") as log:
            supervisor = subprocess.Popen(
                [sys.executable, "-m", "tests.sandbox.world", str(self.folder), str(built), described],
                cwd=_ROOT,
                env={**environment, "TMPDIR": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        processes.record(self.folder, supervisor.pid)  # it does so itself, but seconds later
        return supervisor

    def _wait(self, supervisor: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not (self.folder / READY).exists():
            if supervisor.poll() is not None or time.monotonic() > deadline:
                processes.kill_recorded(self.folder)
                log = (self.folder / "world.log").read_text(encoding="utf-8", errors="replace")
                raise WorldError(f"world {self.name} does not come up:\n{log[-6000:]}")
            time.sleep(0.05)

    def _call(self, verb: str, **arguments: Any) -> Any:
        try:
            address = json.loads((self.folder / READY).read_text(encoding="utf-8"))
            connection = http.client.HTTPConnection("127.0.0.1", address["port"], timeout=120)
            headers = {"Authorization": f"Bearer {address['token']}"}
            connection.request("POST", f"/{verb}", json.dumps(arguments), headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
            connection.close()
        except (FileNotFoundError, ConnectionError) as error:
            raise WorldError(self._why_down()) from error
        if response.status != 200:
            raise WorldError(answer["error"])
        return answer

    def _why_down(self) -> str:
        try:
            reason = (self.folder / FAILURE).read_text(encoding="utf-8")
        except FileNotFoundError:
            return f"world {self.name} is not up"
        return f"world {self.name} has ended: {reason}"


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
