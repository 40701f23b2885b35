# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy of the collection that Ansible runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests import tree


def test_several_copy_at_once_and_what_python_keeps_of_files_that_stay_is_left(tmp_path: Path) -> None:
    plugins = tree.copy(tmp_path) / "plugins"
    kept = plugins / "modules/__pycache__/castai_cluster.cpython-313.pyc"
    kept.parent.mkdir()
    kept.touch()
    gone = plugins / "gone"
    (gone / "__pycache__").mkdir(parents=True)
    stale = [plugins / f"modules/stale_{number}.py" for number in range(300)]
    for file in (*stale, gone / "__pycache__/any.pyc", gone / "any.py"):
        file.touch()
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(tree.copy, [tmp_path] * 4))
    assert folders == {plugins.parent}
    assert kept.exists()
    assert not any(file.exists() for file in (*stale, gone))
    assert [path.name for path in plugins.parent.parent.iterdir()] == ["onboarding"]
