# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The build of the local world's programs, with a fake Go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tree import ROOT

GO = """#!/bin/sh
[ "$1" = {slow} ] || {{ echo v1.2.3; exit; }}
echo $$ > {pid}.new && mv {pid}.new {pid}
exec sleep 60
"""


@pytest.mark.parametrize("slow", ["list", "build"])
def test_go_ends_with_who_started_it_however_that_ends(tmp_path: Path, slow: str) -> None:
    go, pid = tmp_path / "go", tmp_path / "pid"
    go.write_text(GO.format(slow=slow, pid=pid), encoding="utf-8")
    go.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.defpath}", "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "tests.sandbox", "up", "--world", "cold"]
    with subprocess.Popen(command, cwd=ROOT, env=environment) as up:
        wait_until(pid.exists)
        up.send_signal(signal.SIGKILL)
    wait_until(lambda: not Path("/proc", pid.read_text().strip(), "exe").exists())


def wait_until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)
