# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils import _temp_folder as module
from ansible_collections.castai.onboarding.plugins.module_utils._engine import until
from ansible_collections.castai.onboarding.plugins.module_utils._temp_folder import leave_dead, left_dead, temp_folder

RELEASE = "https://server namespace release"
RUN = """
import subprocess, sys
sys.path[:0] = {path}
from {module} import temp_folder
with temp_folder({release!r}, 7) as temp:
    temp.write("kubeconfig", "CANARY")
    helm = subprocess.Popen(["sleep", "60"], pass_fds=[temp.lock])
    print(helm.pid, flush=True)
    helm.wait()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def start() -> subprocess.Popen[bytes]:
    """A run whose Helm is working on revision 7; its first line of output is Helm's process id."""
    code = RUN.format(path=[entry for entry in sys.path if entry], module=module.__name__, release=RELEASE)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)


def test_files_are_the_users_alone_and_gone_afterwards(temporary: Path) -> None:
    with temp_folder(RELEASE, 1) as temp:
        file = temp.write("kubeconfig", "CANARY")
        assert file.read_text() == "CANARY"
        assert (file.stat().st_mode & 0o777, temp.path.stat().st_mode & 0o777) == (0o600, 0o700)
        assert not left_dead(RELEASE, 1)
    assert list(temporary.iterdir()) == []


def test_a_helm_that_has_ended_is_known_by_its_revision_until_the_next(temporary: Path) -> None:
    leave_dead(RELEASE, 3)
    assert (left_dead(RELEASE, 3), left_dead(RELEASE, 4), left_dead("another", 3)) == (True, False, False)
    with temp_folder(RELEASE, 3):
        assert not left_dead(RELEASE, 3)
    assert list(temporary.iterdir()) == []


def test_gone_after_an_error_too(temporary: Path) -> None:
    with pytest.raises(FileExistsError), temp_folder(RELEASE, 1) as temp:
        temp.write("lock", "CANARY")
    assert list(temporary.iterdir()) == []


def test_a_killed_run_is_known_by_the_next_which_removes_what_is_left(temporary: Path) -> None:
    with start() as process:
        assert process.stdout
        helm = int(process.stdout.readline())
        assert not left_dead(RELEASE, 7)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not left_dead(RELEASE, 7), "a Helm that outlives its run holds the lock too"
        os.kill(helm, signal.SIGKILL)
    assert until(lambda: left_dead(RELEASE, 7), timeout=10, first=0.01)
    assert [list(path.iterdir()) for path in temporary.iterdir()] == [[]]
    assert not left_dead(RELEASE, 8)
    assert not left_dead("another", 7)
    with temp_folder("another", 7), temp_folder():
        assert left_dead(RELEASE, 7)
    with temp_folder(RELEASE, 8):
        assert not left_dead(RELEASE, 7)
    assert list(temporary.iterdir()) == []


def test_a_killed_helm_leaves_the_proof_without_its_files(temporary: Path) -> None:
    with temp_folder(RELEASE, 3) as temp:
        temp.write("kubeconfig", "CANARY")
        temp.dead = True
    assert left_dead(RELEASE, 3)
    assert [list(path.iterdir()) for path in temporary.iterdir()] == [[]]


def ours(purpose: str, revision: int, ending: str = "x") -> str:
    return f"{module._prefix(purpose, revision)}{ending}"


ODD: dict[str, Callable[[Path, Path], None]] = {
    "a file": lambda path, _other: path.write_text(""),
    "a link to a folder": lambda path, other: path.symlink_to(other),
    "a link to nothing": lambda path, other: path.symlink_to(other / "none"),
    "a link to itself": lambda path, _other: path.symlink_to(path),
    "a pipe": lambda path, _other: os.mkfifo(path),
    "a folder whose lock is a link": lambda path, other: (path.mkdir(), (path / "lock").symlink_to(other / "lock"))[1],
    "a folder whose lock is a folder": lambda path, _other: (path / "lock").mkdir(parents=True),
    "a folder whose lock is a pipe": lambda path, _other: (path.mkdir(), os.mkfifo(path / "lock"))[1],
}


@pytest.mark.parametrize("purpose", ["", RELEASE])
@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_folder_of_ours_is_left_alone_and_proves_nothing(temporary: Path, kind: str, purpose: str) -> None:
    other = temporary / "other"
    other.mkdir()
    (other / "lock").write_text("")
    odd = temporary / ours(purpose, 7)
    ODD[kind](odd, other)
    assert not left_dead(purpose, 7)
    with temp_folder(purpose, 7) as temp:
        assert temp.path.is_dir()
    assert (other / "lock").exists()
    assert odd.is_symlink() or odd.exists()


@pytest.mark.parametrize("with_lock", [True, False])
def test_a_folder_of_another_user_is_left_alone_and_proves_nothing(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, with_lock: bool
) -> None:
    odd = temporary / ours(RELEASE, 7)
    odd.mkdir()
    if with_lock:
        (odd / "lock").write_text("")
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    assert not left_dead(RELEASE, 7)
    with temp_folder(RELEASE, 7):
        assert odd.exists()


@pytest.mark.parametrize(
    "error", [PermissionError, InterruptedError, OSError(40, "Too many levels"), NotADirectoryError]
)
def test_what_cannot_be_looked_at_is_not_ours(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, error: OSError | type[OSError]
) -> None:
    (temporary / ours(RELEASE, 7)).mkdir()

    def refused(*_arguments: object, **_keywords: object) -> int:
        raise error

    monkeypatch.setattr(os, "open", refused)
    assert not left_dead(RELEASE, 7)


@pytest.mark.parametrize("purpose", ["", RELEASE])
def test_folders_for_nothing_in_particular_are_cleared_by_any_run(temporary: Path, purpose: str) -> None:
    left, others = temporary / ours("", 0), temporary / ours("another", 3)
    for folder in (left, others):
        folder.mkdir()
        (folder / "lock").write_text("")
        (folder / "key.pem").write_text("CANARY")
    with temp_folder() as living, temp_folder(purpose, 1):
        assert living.path.exists()
        assert not left.exists()
    assert list(temporary.iterdir()) == [others]
