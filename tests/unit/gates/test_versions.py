# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import urllib3

from tests.gates import versions
from tests.gates.environments import Failed


def test_what_the_collection_names_is_what_the_oldest_set_has() -> None:
    stated = versions.stated()
    assert {"boto3", "kubernetes", "urllib3", "PyYAML", "ansible-core", "Python in README.md"} < set(stated)
    versions.compare(stated, versions.lowest(), "the oldest set")


@pytest.mark.parametrize("name", ["boto3", "Python in README.md", "Helm in README.md"])
def test_another_version_than_the_named_one_is_told(name: str) -> None:
    with pytest.raises(Failed, match=rf"^x: {name} is 9\.9, not {versions.stated()[name]}$"):
        versions.compare(versions.stated(), {**versions.lowest(), name: "9.9"}, "x")


@pytest.mark.parametrize(
    ("found", "sentence"),
    [({"yaml": {"6.0"}}, "boto3 is none, not 1"), ({"yaml": {"6.0"}, "boto3": {"1", "2"}}, "boto3 is 1/2, not 1")],
)
def test_a_library_that_was_not_imported_or_in_two_versions_is_told(found: dict[str, set[str]], sentence: str) -> None:
    with pytest.raises(Failed, match=sentence):
        versions.in_words(found, {"PyYAML": "6.0", "boto3": "1"}, "x")


def test_what_a_process_and_those_it_starts_import_is_written_down(tmp_path: Path) -> None:
    inner = "import urllib3.util"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}], check=True)"
    with versions.imported(tmp_path) as (variables, found):
        subprocess.run([sys.executable, "-c", outer], env={**os.environ, **variables}, check=True)
    assert found == {"python": {sys.version.split()[0]}, "urllib3": {urllib3.__version__}}
