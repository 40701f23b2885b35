# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The temporary folders of a run, and what is left of them when it was killed. PRIVATE to the collection.

A folder is named after what it is for, and holds a lock for as long as the run or its Helm lives. What is left of one
that nobody locks any more, the next run of the same user on this machine that needs a folder for the same removes; one
that is for nothing in particular, the next run that needs any. The temporary folder may be everybody's: what is a link,
or somebody else's, or cannot be looked at, is not ours, and proves nothing.

Helm's folders are for a release, and are named after the revision at work too. One that nobody locks any more tells the
next run that the revision's Helm is dead, so that it need not wait to be sure. That run removes what is in it, and the
next one that starts Helm the folder.
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
    """path: the folder, readable by the user alone. lock: file descriptor for Helm to inherit, so that it locks too."""

    path: Path
    lock: int
    dead: bool = False
    """Set when Helm was killed: then the folder stays, empty, as the proof of it."""

    def write(self, name: str, text: str) -> Path:
        """A new file in the folder, readable by the user alone."""
        path = self.path / name
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def replace(self, name: str, text: str) -> Path:
        """The same in place of one that may be there; its readers see the old text or the new one, and nothing else."""
        return self.write(f"{name}.new", text).replace(self.path / name)


@contextlib.contextmanager
def temp_folder(purpose: str = "", revision: int = 0) -> Iterator[TempFolder]:
    """A new folder, removed at the end together with those that killed runs left for the same purpose.

    purpose: any text, which of a release names it and its cluster; empty for one of no interest to others. revision:
    the one whose record the work writes.
    """
    for left in {*_left(purpose), *_left("")}:
        shutil.rmtree(left, ignore_errors=True)
    new = Path(tempfile.mkdtemp(prefix="castai-onboarding-new-"))
    lock = os.open(new / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    # Under its name only now, so that nobody takes it for one without a lock.
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


def left_dead(release: str, revision: int) -> bool:
    """Whether a run on this machine was killed while its Helm worked on that revision.

    Of what killed runs left for the release, only empty folders stay, as the proof of it.
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
    """Whether a folder is one of ours that nobody locks. What cannot be found out counts as no."""
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
