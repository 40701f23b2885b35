# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as a tree of files: what git would commit, copied to where Ansible looks for it.

ansible-test insists on a physical `ansible_collections/castai/onboarding` folder, and a symlink does not do.

    python -m tests.tree DESTINATION    # makes DESTINATION/ansible_collections/castai/onboarding equal to the checkout
"""

from __future__ import annotations

import fnmatch
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.sandbox.locks import locked

ROOT = Path(__file__).resolve().parent.parent
NAME = Path("ansible_collections", "castai", "onboarding")


def files(*patterns: str) -> tuple[Path, ...]:
    """The paths, relative to the root, of every file that is tracked, or new and not ignored.

    With patterns, only the files that match one: * is any text including slashes, so plugins/* is everything below
    plugins.
    """
    command = "git ls-files -z --cached --others --exclude-standard"
    listing = subprocess.run(command.split(), cwd=ROOT, check=True, capture_output=True, text=True).stdout
    named = {name for name in listing.split("\0") if name and (ROOT / name).is_file()}
    return tuple(sorted(Path(name) for name in named if not patterns or matches(name, patterns)))


def matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def digest(*patterns: str) -> str:
    """One digest of names, modes and contents of all files, or of those that match a pattern."""
    whole = hashlib.sha256()
    for path in files(*patterns):
        content = (ROOT / path).read_bytes()
        whole.update(f"{path}\0{(ROOT / path).stat().st_mode & 0o111}\0{len(content)}\0".encode() + content)
    return whole.hexdigest()


def copy(destination: Path) -> Path:
    """Bring the collection under `destination` up to date, without touching what is unchanged; return its folder.

    Several processes may do so at once, and others run what is there: what Python keeps of a file that stays is left.
    """
    target = destination / NAME
    if target.resolve() == ROOT.resolve():
        return target  # a symlink to the checkout: what is not wanted in a copy must not go here
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.with_suffix(".lock")):
        _copy(frozenset(files()), target)
    return target


def _copy(wanted: frozenset[Path], target: Path) -> None:
    for path in sorted(wanted):
        source, copied = ROOT / path, target / path
        if not copied.exists() or _stamp(copied) != _stamp(source):
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copied)
    folders = {folder for path in wanted for folder in path.parents}
    for copied in sorted(path for path in target.rglob("*") if "__pycache__" not in path.parts):
        path = copied.relative_to(target)
        if copied.is_dir() and path not in folders:
            shutil.rmtree(copied)
        elif copied.is_file() and path not in wanted:
            copied.unlink()


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_mode


if __name__ == "__main__":
    copy(Path(sys.argv[1]))
