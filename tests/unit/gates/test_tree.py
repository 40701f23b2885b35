# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy of the collection contains exactly what git would commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests import tree


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "checkout"
    (root / "plugins").mkdir(parents=True)
    (root / ".gitignore").write_text("/build/\n")
    (root / "plugins/tracked.py").write_text("one\n")
    subprocess.run(["git", "init", "--quiet", root], check=True)
    subprocess.run(["git", "add", "."], cwd=root, check=True)
    (root / "new.py").write_text("new\n")
    (root / "build").mkdir()
    (root / "build/ignored").write_text("ignored\n")
    monkeypatch.setattr(tree, "ROOT", root)
    return root


def copied(target: Path) -> set[str]:
    return {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}


def test_has_what_is_tracked_or_new_and_nothing_ignored(checkout: Path, tmp_path: Path) -> None:
    target = tree.copy(tmp_path / "collections")
    assert target == tmp_path / "collections/ansible_collections/castai/onboarding"
    assert copied(target) == {".gitignore", "new.py", "plugins/tracked.py"}


def test_follows_changes_and_leaves_the_rest_alone(checkout: Path, tmp_path: Path) -> None:
    target = tree.copy(tmp_path / "collections")
    untouched = (target / "new.py").stat().st_ctime_ns
    (checkout / "plugins/tracked.py").unlink()
    (checkout / ".gitignore").write_text("/build/\n/other/\n")
    (target / "stale").mkdir()
    (target / "stale/file").write_text("stale\n")
    tree.copy(tmp_path / "collections")
    assert copied(target) == {".gitignore", "new.py"}
    assert {path.name for path in target.iterdir()} == {".gitignore", "new.py"}
    assert (target / ".gitignore").read_text() == "/build/\n/other/\n"
    assert (target / "new.py").stat().st_ctime_ns == untouched


def test_leaves_a_symlink_to_the_checkout_alone(checkout: Path, tmp_path: Path) -> None:
    target = tmp_path / "collections" / tree.NAME
    target.parent.mkdir(parents=True)
    target.symlink_to(checkout)
    before = copied(checkout)
    assert tree.copy(tmp_path / "collections") == target
    assert copied(checkout) == before


def test_digest_tells_names_modes_and_contents_apart(checkout: Path) -> None:
    seen = {tree.digest()}
    for change in (
        lambda: (checkout / "new.py").write_text("newer\n"),
        lambda: (checkout / "new.py").chmod(0o755),
        lambda: (checkout / "new.py").rename(checkout / "newer.py"),
    ):
        change()
        seen.add(tree.digest())
    assert len(seen) == 4
    (checkout / "build/ignored").write_text("changed\n")
    assert tree.digest() in seen


def test_digest_of_some_files_follows_these_alone(checkout: Path) -> None:
    plugins, python = tree.digest("plugins/*"), tree.digest("*.py")
    (checkout / "new.py").write_text("newer\n")
    assert tree.digest("plugins/*") == plugins
    assert tree.digest("*.py") != python
    (checkout / "plugins/tracked.py").write_text("two\n")
    assert tree.digest("plugins/*") != plugins
