# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The temporary folders of a run, and what is left of them if it was killed. PRIVATE to the collection.

A folder is named after its purpose, and is locked for as long as the run or its Helm lives. If a folder is no
longer locked, the next run of the same user on this machine that needs one for the same purpose removes it; a folder
without a particular purpose is removed by the next run that needs any. Everybody may be able to write to the temporary
folder: a link, a folder of another user and one that cannot be read are not ours, and prove nothing.

Helm's folders are for a release, and their names also contain the revision that Helm works on. One that is no
longer locked shows the next run that the revision's Helm is dead, so there is no need to wait to be sure. That run
removes its contents, and the next one that starts Helm removes the folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_LOCK = "lock"


@dataclass
class TempFolder:
    """path: the folder, readable only by the user. lock: file descriptor for Helm to inherit, so that it holds the
    lock too."""

    path: Path
    lock: int
    dead: bool = False
    """Set if Helm was killed: then the empty folder stays, as proof of it."""

    def write(self, name: str, text: str) -> Path:
        """A new file in the folder, readable only by the user."""
        path = self.path / name
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def replace(self, name: str, text: str) -> Path:
        """The same, replacing an existing one; its readers see either the old or the new text, and nothing else."""
        return self.write(f"{name}.new", text).replace(self.path / name)


@contextlib.contextmanager
def temp_folder(purpose: str = "", revision: int = 0) -> Iterator[TempFolder]:
    """A new folder, removed at the end together with those that killed runs left for the same purpose.

    purpose: any text; for a release, its name and its cluster; empty if it does not matter to other runs. revision: the
    one whose record is written.
    """
    for left in {*_left(purpose), *_left("")}:
        shutil.rmtree(left, ignore_errors=True)
    new = Path(tempfile.mkdtemp(prefix="castai-onboarding-new-"))
    lock = os.open(new / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    # It gets its name only now, so that nobody mistakes it for one without a lock.
    path = new.rename(new.with_name(_prefix(purpose, revision) + new.name.rpartition("-")[2]))
    temp = TempFolder(path, lock)
    try:
        yield temp
    finally:
        os.close(lock)
        shutil.rmtree(path, ignore_errors=True)
        if temp.dead:
            with contextlib.suppress(OSError):
                path.mkdir(mode=0o700)


def leave_dead(release: str, revision: int) -> None:
    """Leave the proof that the Helm which worked on that revision has ended."""
    with contextlib.suppress(OSError):
        Path(tempfile.mkdtemp(prefix=_prefix(release, revision)))


def left_dead(release: str, revision: int) -> bool:
    """Whether a Helm of this machine that worked on that revision was killed, or ended without finishing it.

    Of what killed runs left for the release, only empty folders stay, as proof of it.
    """
    found = _left(release)
    for path in found:
        shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):  # another process may have created one by now
            path.mkdir(mode=0o700, exist_ok=True)
    return any(path.name.startswith(_prefix(release, revision)) for path in found)


def _left(purpose: str) -> list[Path]:
    """The folders of killed runs."""
    try:
        found = list(Path(tempfile.gettempdir()).glob(f"{_prefix(purpose)}*"))
    except OSError:
        return []
    return [path for path in found if _dead(path)]


def _dead(path: Path) -> bool:
    """Whether a folder is one of ours that nobody locks. If that cannot be found out, it counts as not ours."""
    try:
        if not _ours(path.lstat(), stat.S_ISDIR):
            return False
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return path.is_dir() and not path.is_symlink()
    except OSError:
        return False
    try:
        if not _ours(os.fstat(lock), stat.S_ISREG):
            return False
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(lock)
    return True


def _ours(found: os.stat_result, kind: Callable[[int], bool]) -> bool:
    return found.st_uid == os.getuid() and kind(found.st_mode)


def _prefix(purpose: str, revision: int | None = None) -> str:
    digest = hashlib.sha256(purpose.encode()).hexdigest()[:16]
    return f"castai-onboarding-{digest}-" + ("" if revision is None else f"{revision}-")
