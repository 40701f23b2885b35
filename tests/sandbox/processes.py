# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of the world, started so that none outlives it and found again by pid and start time; callers to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

RUN_VARIABLE = "CASTAI_SANDBOX_RUN"
PIDS = "pids"

# PR_SET_PDEATHSIG ends a child when the *thread* that forked it ends (prctl(2)): one thread, which never does.
_SPAWNER = ThreadPoolExecutor(1)
_LAUNCHER = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


def start(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a child that ends with this process. options: Popen's."""
    wrapped = [sys.executable, "-ISc", _LAUNCHER, str(os.getpid()), *command]
    return _SPAWNER.submit(subprocess.Popen, wrapped, **options).result()


def launch(command: Sequence[str], folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a process of the folder's world, with an empty environment: no variable of the caller, and no proxy."""
    with log.open("ab") as output:
        process = start(
            command,
            env={"PATH": os.defpath, "HOME": str(folder), "GOGC": "400"},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    record(folder, process.pid)
    return process


def record(folder: Path, pid: int) -> None:
    """Note a process in the world's folder for `kill_recorded`."""
    with (folder / PIDS).open("a", encoding="ascii") as pids:
        pids.write(f"{pid} {_start_time(pid)}\n")


def kill_recorded(folder: Path) -> None:
    """KILL the processes that the folder's world left running and wait for their end. Pids that were reused are
    spared."""
    try:
        lines = (folder / PIDS).read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return
    mine = [(int(pid), start) for pid, start in (line.split() for line in lines)]
    for pid, start in mine:
        if _start_time(pid) == start:
            _kill(pid)
    deadline = time.monotonic() + 10
    while any(_start_time(pid) == start for pid, start in mine):
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes of the world in {folder} do not end")
        time.sleep(0.02)


def end_caller(client: tuple[str, int], server: tuple[str, int]) -> None:
    """KILL the process that holds the client side of a loopback connection, and all processes of its run."""
    for pid in _holders(_socket_inode(client, server)):
        end_run(_environment(pid).get(RUN_VARIABLE, fork_run(pid)))


def holder(client: tuple[str, int], server: tuple[str, int]) -> int:
    """The pid that holds the client side of a loopback connection; LookupError if there is none any more."""
    found = _holders(_socket_inode(client, server))
    if not found:
        raise LookupError(f"nobody holds {client} -> {server}")
    return found[0]


def waits(pid: int, but: int = 0) -> bool:
    """Whether at most one thread of the process is running, ready to run, or doing input or output."""
    for thread in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            state = thread.read_text(encoding="utf-8").rpartition(")")[2].split()[0]
            if state in "RD" and thread.parent.name != str(but):
                return False
    return True


def fork_run(pid: int) -> str:
    """The run that a process is by itself: what a fork sets in its environment is seen in its children's alone."""
    return f"fork-{pid}"


def of_run(run: str) -> list[int]:
    """The processes with this CASTAI_SANDBOX_RUN: Ansible's workers have their own sessions, so nothing else identifies
    them."""
    return [pid for pid in _pids() if run in (fork_run(pid), _environment(pid).get(RUN_VARIABLE))]


def end_run(run: str) -> None:
    """KILL the processes of a run, parents first as /proc lists them: one that saw its child end could still tell so.

    One may fork while the list is read: until none is left.
    """
    while pids := of_run(run):
        for pid in pids:
            _kill(pid)
        time.sleep(0.01)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _start_time(pid: int) -> str:
    """Clock ticks since boot; "0": no such process, or only its zombie (proc_pid_stat(5), fields 3 and 22)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "0"
    return "0" if fields[0] in "ZX" else fields[19]


def _pids() -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid() and _start_time(int(entry.name)) != "0":
            yield int(entry.name)


def _environment(pid: int) -> Mapping[str, str]:
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (item.partition("=") for item in raw.decode(errors="replace").split("\0"))
    return {name: value for name, _equals, value in pairs}


def _socket_inode(client: tuple[str, int], server: tuple[str, int]) -> str:
    """The inode of the client's end, from the kernel's table (addresses: hex words in host byte order)."""
    wanted = (_proc_address(client), _proc_address(server))
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if (fields[1], fields[2]) == wanted:
            return fields[9]
    raise LookupError(f"no connection {client} -> {server}")


def _proc_address(address: tuple[str, int]) -> str:
    word = int.from_bytes(bytes(int(part) for part in address[0].split(".")), sys.byteorder)
    return f"{word:08X}:{address[1]:04X}"


def _holders(inode: str) -> Sequence[int]:
    wanted = f"socket:[{inode}]"
    return [pid for pid in _pids() if wanted in _descriptors(pid)]


def _descriptors(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):  # ended meanwhile, or somebody else's
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                found.add(str(descriptor.readlink()))
    return found
