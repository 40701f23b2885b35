# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs playbooks as a user does: ansible-playbook as a process, with its own environment and home."""

from __future__ import annotations

import functools
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.sandbox import processes
from tests.tree import ROOT

from . import awx

COLLECTION = "castai.onboarding"
PYTHON = Path(sys.executable).parent
SYSTEM_PATH = (Path("/usr/bin"), Path("/bin"))
"""The folder of the shell commands that Ansible's module path runs even on this machine."""

Json = Mapping[str, Any]


@dataclass(frozen=True)
class TaskResult:
    """One task on one host. outcome: ok, failed, ignored, skipped or unreachable. at, end: seconds since the epoch."""

    host: str
    task: str
    action: str
    outcome: str
    result: Json
    at: float
    end: float


@dataclass(frozen=True)
class Run:
    """What a run of ansible-playbook did. status: exit status, negative for a signal. output: both streams, as shown.

    stats: Ansible's counts for each host; empty for a run that was ended.
    """

    status: int
    output: str
    tasks: tuple[TaskResult, ...]
    stats: Mapping[str, Mapping[str, int]]
    seconds: float

    def of(self, module: str, host: str = "") -> list[Json]:
        """The results of a module of the collection, in order."""
        return [
            task.result
            for task in self.tasks
            if task.action == f"{COLLECTION}.{module}" and task.outcome != "skipped" and host in ("", task.host)
        ]

    def actions(self, host: str = "") -> list[str]:
        """The actions of all tasks and loop items, or in check mode their planned actions, in order."""
        return [
            action
            for task in self.tasks
            if host in ("", task.host)
            for result in (task.result, *task.result.get("results", ()))
            for action in result.get("actions", result.get("applied", ()))
        ]

    @property
    def changed(self) -> dict[str, int]:
        """How many tasks changed something, by host."""
        return {host: counts["changed"] for host, counts in self.stats.items()}

    @property
    def failures(self) -> dict[str, str]:
        """The message of the failed task, by host."""
        return {task.host: str(task.result.get("msg")) for task in self.tasks if task.outcome == "failed"}


class Running:
    """A run in progress; `name` is the value of CASTAI_SANDBOX_RUN in the environment of all its processes."""

    def __init__(self, process: subprocess.Popen[bytes], name: str, output: Path, record: Path) -> None:
        self.process = process
        self.name = name
        self._output = output
        self._record = record
        self._started = time.monotonic()

    def wait(self, timeout: float = 300) -> Run:
        """Wait for the result. After this many seconds, the run is killed: subprocess.TimeoutExpired.

        It has its own session, which a Ctrl-C does not reach, so whatever interrupts the wait ends the run too.
        """
        try:
            status = self.process.wait(timeout)
        except BaseException:
            processes.end_run(self.name)
            self.process.wait()
            print(self._output.read_text(encoding="utf-8", errors="replace"))
            raise
        seconds = time.monotonic() - self._started
        lines = [json.loads(line) for line in _whole_lines(self._record)]
        return Run(
            status,
            self._output.read_text(encoding="utf-8", errors="replace"),
            tuple(TaskResult(**line) for line in lines if "task" in line),
            next((line["stats"] for line in lines if "stats" in line), {}),
            seconds,
        )


_starts = 0


def starts() -> int:
    """How many times this process has started ansible-playbook."""
    return _starts


def start_playbook(
    folder: Path,
    playbook: str | Path | Sequence[Json],
    *arguments: str,
    inventory: Path | Json,
    environment: Mapping[str, str],
    path: Sequence[Path] = (PYTHON, *SYSTEM_PATH),
    show: bool = False,
    python: Path = Path(sys.executable),
    contained: bool = False,
    credentials: awx.Credentials = MappingProxyType({}),
) -> Running:
    """Start ansible-playbook of this Python with exactly this environment and search path.

    folder: home and temporary files of the run, created, and kept for who wants to look at what is left.
    playbook: a name such as castai.onboarding.connect, a file, or the plays as data. inventory: a file, or data.
    show: its output goes where this process's goes, and is not kept. contained: by ansible-runner, as AWX does in an
    execution environment: as a user that nobody knows, with a home and collections that cannot be written.
    credentials: AWX's, for such a run.
    """
    global _starts
    _starts += 1
    name = uuid.uuid4().hex
    of_run = folder / f"run-{name[:8]}"
    home, temporary = folder / "home", folder / "tmp"
    for part in (of_run, home, temporary):
        part.mkdir(parents=True, exist_ok=True)
    output, record = of_run / "output", of_run / "results"
    collections = os.environ.get("ANSIBLE_COLLECTIONS_PATH", str(ROOT / "build/collections"))
    if contained:
        collections = str(shutil.copytree(collections, folder / "collections", dirs_exist_ok=True))
        command = [*_as_nobody(), str(python), "-m", "ansible_runner", "run", *_project(of_run, playbook, inventory)]
        if arguments:
            command.append(f"--cmdline={shlex.join(arguments)}")
        awx.inject(of_run, credentials)
        _make_unwritable(Path(collections), home)
    else:
        command = [str(python), "-m", "ansible", "playbook", "-i", _file(inventory, of_run / "inventory.yml")]
        command += [_file(playbook, of_run / "playbook.yml"), *arguments]
    with output.open("wb") as stream:
        process = subprocess.Popen(
            command,
            cwd=of_run,
            env={
                "PATH": os.pathsep.join(map(str, path)),
                "HOME": str(home),
                "TMPDIR": str(temporary),
                "LANG": "C.UTF-8",
                "ANSIBLE_CONFIG": str(Path(__file__).with_name("ansible.cfg")),
                "ANSIBLE_COLLECTIONS_PATH": collections,
                "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callback"),
                "ANSIBLE_CALLBACKS_ENABLED": "recorder",
                "ANSIBLE_NOCOLOR": "1",
                "RECORDER_FILE": str(record),
                processes.RUN_VARIABLE: name,
                # Ansible itself needs a writable folder.
                **({"ANSIBLE_HOME": str(temporary / "ansible")} if contained else {}),
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=None if show else stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Running(process, name, output, record)


def run_playbook(
    folder: Path,
    playbook: str | Path | Sequence[Json],
    *arguments: str,
    inventory: Path | Json,
    environment: Mapping[str, str],
    **options: Any,
) -> Run:
    """`start_playbook` to its end."""
    return start_playbook(folder, playbook, *arguments, inventory=inventory, environment=environment, **options).wait()


def local_play(*tasks: Json, in_module: bool = False, **variables: Any) -> Json:
    """A play with these tasks as the playbooks run them: inside the controller, or as modules."""
    return {
        "hosts": "all",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": sys.executable, **variables},
        "tasks": list(tasks),
        **({"environment": {"IN_MODULE": "1"}} if in_module else {}),
    }


def _file(given: str | Path | Sequence[Json] | Json, place: Path) -> str:
    """A file with the data; JSON is YAML."""
    if isinstance(given, (str, Path)):
        return str(given)
    place.write_text(json.dumps(given, indent=1), encoding="utf-8")
    return str(place)


@functools.cache
def _as_nobody() -> tuple[str, ...]:
    """A command prefix that starts a program as a user without a name, in its own user namespace, which does not need
    root; empty on a machine that forbids this."""
    command = ("unshare", "--user", "--map-user=12345", "--map-group=12345")
    program = shutil.which(command[0])
    if program is None or subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        return ()
    return (program, *command[1:])


def _project(folder: Path, playbook: Any, inventory: Any) -> list[str]:
    """The arguments for ansible-runner: a project with one playbook, which imports the wanted one."""
    for part in ("project", "inventory"):
        (folder / part).mkdir()
    _file([{"ansible.builtin.import_playbook": playbook}], folder / "project/site.yml")
    _file(inventory, folder / "inventory/hosts.json")
    return [str(folder), "--playbook", "site.yml"]


def _make_unwritable(*folders: Path) -> None:
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            path.chmod(path.stat().st_mode & 0o555)


def _whole_lines(file: Path) -> list[str]:
    """A run that was killed may leave half a line."""
    if not file.exists():
        return []
    text = file.read_text(encoding="utf-8")
    return text[: text.rfind("\n") + 1].splitlines()
