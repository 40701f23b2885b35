# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checks of a publishable collection, one function for each gate.

A gate gets its own empty folder, copies the collection there, and raises Failed with its tool's output. It returns
None, or a remark about what it could not check on this machine.
"""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests import tree
from tests.gates import versions
from tests.gates.environments import Environment, Failed, Version, dotted, environment, installed, pythons

Check = Callable[[Path], str | None]


_FINDING = re.compile(r"^(?:ERROR|FATAL): .*", re.MULTILINE)
# ansible-test exits with 0 even if it skipped a test.
_LEFT_OUT = re.compile(r".*Skipping sanity test .* due to .*")


@dataclass(frozen=True)
class Gate:
    """reads: patterns for tree.digest of the files that the result depends on."""

    name: str
    check: Check
    reads: tuple[str, ...] = ("*",)


# The files that users get, except for the pages, and the file that lists the supported versions of Python.
_PRODUCT = ("plugins/*", "roles/*", "playbooks/*", "meta/*", "galaxy.yml", "requirements.txt", "tests/config.yml")
_CODE = (*_PRODUCT, "tests/*", "extensions/*", "changelogs/*", "*.py", "*.toml")
_CONNECTIONS = ("plugins/module_utils/*", versions.TABLE, "tests/gates/*", "tests/sandbox/*", "tests/support/*")
# What the artifact may contain, and what it must contain besides plugins and roles.
_NEEDED = re.compile(
    r"(FILES|MANIFEST)\.json|README\.md|LICENSE|CHANGELOG\.rst|changelogs/changelog\.yaml|requirements\.txt|tests/config\.yml"
    r"|(docs|meta|playbooks|plugins|roles)/.+"
)
_ASKED_FOR = ("README.md", "LICENSE", "CHANGELOG.rst", "requirements.txt", "meta/runtime.yml", "tests/config.yml")
# The sanity tests that also check pages. They take seconds.
_OF_TEXT = ("line-endings", "no-illegal-filenames", "no-smart-quotes", "symlinks")
# The sanity tests whose result depends on ansible-core. On versions between the oldest and the newest, only these run.
_OF_CORE = ("ansible-doc", "compile", "import", "runtime-metadata", "validate-modules")
# Pylint finds it beside ansible_collections. With Python's own thresholds, it spends a fifth of its time in collecting
# garbage, of which it makes little.
_SITE = "import gc\n\ngc.set_threshold(100_000, 20, 100)\n"


def _gates() -> Iterator[Gate]:
    """All gates, the slowest first, so that two at a time finish at about the same time."""
    yield Gate("sanity-2.16", _sanity_on("2.16", (3, 10), (3, 12)), _CODE)
    yield Gate("sanity-2.21", _sanity_on("2.21", (3, 12), (3, 14)), _CODE)
    yield Gate("playbooks", versions.playbooks, (*_PRODUCT, "tests/gates/*", "tests/sandbox/*", "tests/support/*"))
    yield Gate("sanity-2.17", _sanity_on("2.17", (3, 10), (3, 12), _OF_CORE), _PRODUCT)
    yield Gate("sanity-2.18", _sanity_on("2.18", (3, 11), (3, 13), _OF_CORE), _PRODUCT)
    yield Gate("sanity-2.20", _sanity_on("2.20", (3, 12), (3, 14), _OF_CORE), _PRODUCT)
    yield Gate("sanity-installed", lambda folder: _sanity(folder, installed(), (3, 11), (3, 13), _OF_CORE), _PRODUCT)
    yield Gate("lint", _lint, (*_PRODUCT, "*.yml", ".ansible-lint"))
    yield Gate("connections", versions.connections, _CONNECTIONS)
    yield Gate("importer", _importer)
    yield Gate("docs-site", _docs_site, (*_PRODUCT, "docs/*"))
    yield Gate("mypy", _mypy, ("plugins/*", "pyproject.toml"))
    yield Gate("docs-lint", _docs_lint, (*_PRODUCT, "docs/*"))
    yield Gate("text-2.16", _sanity_on("2.16", (3, 10), (3, 12), _OF_TEXT))
    yield Gate("text-2.21", _sanity_on("2.21", (3, 12), (3, 14), _OF_TEXT))
    yield Gate("ruff", _ruff, ("*.py", "pyproject.toml"))
    yield Gate("changelog", _changelog, ("changelogs/*", "CHANGELOG.rst", "galaxy.yml", "plugins/*", "roles/*"))
    yield Gate("tree", _tree)


def _sanity_on(core: str, oldest: Version, newest: Version, tests: Sequence[str] = ()) -> Check:
    """oldest, newest: the versions of Python that this core supports on the controller."""
    return lambda folder: _sanity(folder, environment(f"core-{core}", oldest, newest), oldest, newest, tests)


def _sanity(folder: Path, on: Environment, oldest: Version, newest: Version, tests: Sequence[str] = ()) -> str | None:
    """Run the sanity tests on the oldest and the newest installed Python of that range; `tests` only on the oldest.

    tests: names of the tests to run, empty for all. Their results depend on the core or on Python, and all of them run
    with the oldest and the newest core on the oldest and the newest Python.
    """
    at_hand = [version for version in pythons() if oldest <= version <= newest]
    targets = at_hand[:1] if tests else dict.fromkeys((at_hand[0], at_hand[-1]))
    options = [f"--target-python={dotted(version)}" for version in targets]
    options += [f"--test={name}" for name in tests]
    (folder / "sitecustomize.py").write_text(_SITE, encoding="utf-8")
    try:
        output = _run(on, "ansible-test sanity --color no", *options, cwd=tree.copy(folder))
    except Failed as failed:
        # Everything else is pip's output and a line for each test.
        raise Failed("\n".join(_FINDING.findall(str(failed))) or str(failed)) from None
    left_out = _LEFT_OUT.findall(output)
    if left_out:
        raise Failed("\n".join(left_out))
    missing = [dotted(version) for version in (oldest, newest) if version not in at_hand and not tests]
    return f"without Python {', '.join(missing)}, which this machine does not have" if missing else None


def _importer(folder: Path) -> None:
    """Galaxy's importer accepts the built artifact without warnings, and finds documentation for every module."""
    _run(installed(), "ansible-galaxy collection build --output-path", str(folder), cwd=tree.copy(folder))
    (artifact,) = folder.glob("*.tar.gz")
    on = environment("importer", (3, 11), (3, 13))
    output = _run(on, "python -m galaxy_importer.main", str(artifact), cwd=folder)
    contents = json.loads((folder / "importer_result.json").read_text())["docs_blob"]["contents"]
    documented = {page["content_name"] for page in contents if page["content_type"] == "module" and page["doc_strings"]}
    with tarfile.open(artifact) as packed:
        names = [member.name for member in packed.getmembers() if member.isfile()]
    shipped = {Path(name).stem for name in names if re.fullmatch(r"plugins/modules/\w+\.py", name)}
    complaints = re.findall(r"^(?:WARNING|ERROR|CRITICAL): .*", output, re.MULTILINE)
    complaints += [f"the importer found no documentation of {name}" for name in sorted(shipped - documented)]
    complaints += [f"{name} is in the artifact, but no user needs it" for name in names if not _NEEDED.fullmatch(name)]
    complaints += [f"{name} is not in the artifact" for name in _ASKED_FOR if name not in names]
    if complaints:
        raise Failed("\n".join([output, *complaints]))


def _docs_lint(folder: Path) -> None:
    lint = "antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs self ."
    _run(installed(), lint, cwd=tree.copy(folder))


def _docs_site(folder: Path) -> None:
    """The HTML pages build without warnings, except for links to Ansible's own pages, which may be unreachable."""
    collection = tree.copy(folder)
    site = folder / "site"
    site.mkdir(mode=0o755)
    where = {"ANSIBLE_COLLECTIONS_PATH": str(folder)}
    what = f"{'.'.join(collection.parts[-2:])} --use-current --squash-hierarchy --fail-on-error"
    _run(installed(), f"antsibull-docs sphinx-init {what} --dest-dir . --sphinx-theme alabaster", cwd=site, **where)
    (site / "rst").chmod(0o755)
    _run(installed(), f"antsibull-docs collection {what} --dest-dir rst --cleanup everything", cwd=site, **where)
    with (site / "conf.py").open("a") as settings:
        settings.write("intersphinx_timeout = 5\n")
    _run(installed(), "sphinx-build -q -c . -w warnings rst html", cwd=site, **where)
    elsewhere = r"inventor(y|ies)|undefined label: '(?!ansible_collections\.castai\.)"
    warnings = (site / "warnings").read_text().splitlines()
    own = [line for line in warnings if "WARNING" in line and not re.search(elsewhere, line)]
    if own:
        raise Failed("\n".join(own))


def _lint(folder: Path) -> None:
    _run(installed(), "ansible-lint --nocolor", cwd=tree.copy(folder), ANSIBLE_COLLECTIONS_PATH=str(folder))


def _mypy(folder: Path) -> None:
    settings = tree.copy(folder) / "pyproject.toml"
    package = ".".join((*tree.NAME.parts, "plugins"))
    _run(installed(), f"mypy --package {package} --config-file", str(settings), cwd=folder)


def _ruff(folder: Path) -> None:
    _run(installed(), "ruff check --no-cache", cwd=tree.copy(folder))


def _changelog(folder: Path) -> None:
    collection = tree.copy(folder)
    _run(installed(), "antsibull-changelog lint", cwd=collection)
    log = "changelogs/changelog.yaml"
    _run(installed(), "antsibull-changelog lint-changelog-yaml --strict", log, cwd=collection)
    version = yaml.safe_load((collection / "galaxy.yml").read_text())["version"]
    if version not in yaml.safe_load((collection / log).read_text())["releases"]:
        raise Failed(f"galaxy.yml has version {version}, but {log} has no such release")


def _tree(folder: Path) -> None:
    """Rules that none of the tools above check."""
    collection = tree.copy(folder)
    runtime = yaml.safe_load((collection / "meta/runtime.yml").read_text())
    grouped = set(runtime["action_groups"]["all"])
    # A file without main() only documents an action plugin that takes no options.
    modules = {path.stem for path in (collection / "plugins/modules").glob("*.py") if "def main" in path.read_text()}
    complaints = [f"{name}: in action group all or in plugins/modules, but not in both" for name in grouped ^ modules]
    paths = [path.relative_to(collection) for path in collection.rglob("*") if path.is_file()]
    for path in paths:
        if re.fullmatch(r"ignore-[\d.]+\.txt|\.ansible-lint-ignore", path.name):
            complaints.append(f"{path}: ignore files are not allowed, fix the findings instead")
        text = (collection / path).read_text(errors="replace")
        if path.suffix == ".py" and text and "SPDX-License-Identifier: GPL-3.0-or-later" not in text[:500]:
            complaints.append(f"{path}: no license header")
        if str(tree.ROOT) in text or str(Path.home()) in text:
            complaints.append(f"{path}: contains a path of this machine")
    if (collection / "requirements.txt").read_text() != (collection / "meta/ee-requirements.txt").read_text():
        complaints.append("requirements.txt and meta/ee-requirements.txt differ")
    if complaints:
        raise Failed("\n".join(sorted(complaints)))


def _run(on: Environment, command: str, *arguments: str, cwd: Path, **variables: str) -> str:
    """Run a program of the environment and return its output. Raises Failed with it unless the program exits with 0."""
    program, *words = command.split()
    done = subprocess.run(
        [on.python.parent / program, *words, *arguments],
        cwd=cwd,
        env=on.variables(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failed(f"{command} exited with {done.returncode}:\n{done.stdout}")
    return done.stdout


GATES = tuple(_gates())
