# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tools of the gates: real Pythons, and one virtual environment for each set of requirements, kept in the cache."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.sandbox.locks import locked
from tests.sandbox.spec import cache_folder

CACHE = cache_folder() / "gates"
_HERE = Path(__file__).parent

# ansible-test downloads a script to bootstrap pip, and looks here first. ensurepip does the same with files that Python
# ships, without a network.
_GET_PIP = """\
import subprocess
import sys

args = [arg for arg in sys.argv[1:] if arg not in ("--no-setuptools", "--no-wheel")]
subprocess.check_call([sys.executable, "-m", "ensurepip", "--default-pip"], stdout=subprocess.DEVNULL)
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", "-q", *args]))
"""

Version = tuple[int, int]


class Failed(Exception):
    """A gate's tool found a problem; the text is its output."""


class NotInstallable(Exception):
    """No Python on this machine can run the gate."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment with its own home folder, so that no gate reads or writes the user's."""

    python: Path
    home: Path
    identity: str

    def variables(self, **more: str) -> dict[str, str]:
        """The environment of its programs: the user's variables without those that affect Ansible or Python, and
        `more`."""
        steering = ("ANSIBLE_", "MOLECULE_", "PYTHON")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
        path = os.pathsep.join((str(self.python.parent), str(_links()), "/usr/local/bin", "/usr/bin", "/bin"))
        return {**kept, "HOME": str(self.home), "PATH": path, **more}


@functools.cache
def pythons() -> Mapping[Version, Path]:
    """Every Python 3 on the PATH or in the usual managers' folders that starts and can create environments."""
    found: dict[Version, Path] = {}
    for candidate in _candidates():
        probe = "import ensurepip, sys, venv; print(*sys.version_info[:2], sys._base_executable)"
        answer = subprocess.run([candidate, "-c", probe], capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            major, minor, executable = answer.stdout.strip().split(" ", 2)
            found.setdefault((int(major), int(minor)), Path(executable))
    return dict(sorted(found.items()))


def _candidates() -> Iterator[Path]:
    home = Path.home()
    folders = [Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    for manager in (Path(os.environ.get("PYENV_ROOT", home / ".pyenv"), "versions"), home / ".local/share/uv/python"):
        folders.extend(sorted(manager.glob("*/bin")))
    for folder in folders:
        yield from sorted(path for path in folder.glob("python3.*") if re.fullmatch(r"python3\.\d+", path.name))


@functools.cache
def installed() -> Environment:
    """The environment that the gates themselves run in."""
    packages = sorted(f"{found.name}=={found.version}" for found in importlib.metadata.distributions())
    identity = _hash(sys.version, *packages)
    return Environment(Path(sys.executable), _home(CACHE / identity), identity)


def environment(name: str, oldest: Version, newest: Version) -> Environment:
    """The environment with the requirements of `NAME.txt`, on the oldest available Python in the range."""
    return environment_of(_requirements(name), oldest, newest)


def pins(name: str) -> dict[str, str]:
    """The versions that `NAME.txt` names, by package."""
    return dict(re.findall(r"^(\S+)==(\S+)$", _requirements(name), re.MULTILINE))


def _requirements(name: str) -> str:
    return (_HERE / f"{name}.txt").read_text()


def environment_of(requirements: str, oldest: Version, newest: Version) -> Environment:
    """The environment with these requirements, in pip's form, on the oldest available Python in the range."""
    base = next((path for version, path in pythons().items() if oldest <= version <= newest), None)
    if base is None:
        raise NotInstallable(f"it needs Python {dotted(oldest)} to {dotted(newest)}, and none is on this machine")
    identity = _hash(requirements, str(base))
    folder = CACHE / identity
    python = folder / "venv/bin/python"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "lock"):
        if not (folder / "complete").exists():
            shutil.rmtree(folder / "venv", ignore_errors=True)
            _run(str(base), "-m", "venv", str(folder / "venv"))
            (folder / "requirements.txt").write_text(requirements)
            install = (str(python), "-m", "pip", "install", "--quiet", "--no-compile", "--requirement")
            _run(*install, str(folder / "requirements.txt"))
            (folder / "complete").touch()
        return Environment(python, _home(folder), identity)


def _home(folder: Path) -> Path:
    """A home folder with the get-pip stand-ins and pip's settings, because ansible-test does not pass on PIP_
    variables."""
    home = folder / "home"
    scripts = home / ".ansible/test/cache"
    scripts.mkdir(parents=True, exist_ok=True)
    for version in ("20_3_4", "21_3_1", "23_1_2", "24_2", "25_2"):
        (scripts / f"get_pip_{version}.py").write_text(_GET_PIP)
    settings = home / ".config/pip/pip.conf"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.touch(mode=0o600)
    settings.write_text(_pip_settings())
    return home


@functools.cache
def _pip_settings() -> str:
    """Pip's settings from all its files and PIP_ variables as one file."""
    listing = _run(sys.executable, "-m", "pip", "config", "list")
    entries = dict(re.findall(r"^(?:global|install|:env:)\.([\w-]+)='(.*)'$", listing, re.MULTILINE))
    return "\n".join(["[global]", *(f"{name} = {value}" for name, value in entries.items()), ""])


@functools.cache
def _links() -> Path:
    """A folder with the real Pythons: a version manager's shims look like Pythons but fail when run."""
    folder = CACHE / "pythons" / _hash(*map(str, pythons().values()))
    folder.mkdir(parents=True, exist_ok=True)
    for (major, minor), path in pythons().items():
        link = folder / f"python{major}.{minor}"
        if not link.is_symlink():
            link.symlink_to(path)
    return folder


def _run(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def dotted(version: Version) -> str:
    return ".".join(map(str, version))


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
