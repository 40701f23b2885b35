# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Worlds of one process, and what the journal shows about a run."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.sandbox.client import Seen, World, WorldError
from tests.sandbox.spec import world_folder
from tests.support.calls import rounds
from tests.support.worlds import own_world


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def ended_process() -> int:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)
    return pid


def test_what_a_killed_process_left_is_cleared_and_the_worlds_of_others_are_not() -> None:
    ended = ended_process()
    left = [world_folder(name) for name in (f"demo-{ended}", f"demo-{ended}-old")]
    others = [world_folder(name) for name in ("demo-1", "demo-1-old", "demo-of-somebody", f"test-{ended}")]
    for folder in (*left, *others):
        folder.mkdir(parents=True)
    with own_world("demo") as world:
        assert world.name == f"demo-{os.getpid()}"
        assert [folder for folder in (*left, *others) if folder.exists()] == others


def test_a_world_goes_when_its_process_is_asked_to_end() -> None:
    before = signal.getsignal(signal.SIGTERM)
    world = World(f"demo-{os.getpid()}")
    world.folder.mkdir(parents=True)
    with pytest.raises(SystemExit), own_world("demo"):
        signal.raise_signal(signal.SIGTERM)
    assert not world.folder.exists()
    assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(WorldError):
        world.mark()


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([], 0),
        ([(0, 2)], 1),
        ([(0, 2), (1, 3), (1.5, 9)], 1),
        ([(0, 1), (1, 2), (2, 3)], 3),
        ([(0, 9), (0, 1), (1, 2)], 2),
        ([(3, 4), (0, 1)], 2),
    ],
)
def test_calls_are_of_one_round_when_none_waited_for_another(times: list[tuple[float, float]], expected: int) -> None:
    assert rounds([Seen(0, at, end, "", "", "", False, "", "", 200, "") for at, end in times]) == expected


def test_calls_beside_a_log_in_are_no_round() -> None:
    made = [("read", 0, 2), ("token", 1, 3), ("read", 3, 5), ("read", 4, 6), ("token", 6, 7), ("read", 7, 8)]
    calls = [Seen(0, at, end, "", operation, "", False, "", "", 200, "") for operation, at, end in made]
    assert (rounds(calls), rounds(calls, ("token",))) == (4, 2)
