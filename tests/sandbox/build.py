# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the control plane with etcd, kwok, Helm and the judge of aws-auth from the Go module in kubernetes/.

Each version of the source is built once.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from . import processes
from .locks import locked
from .spec import cache_folder

SOURCE = Path(__file__).parent / "kubernetes"
KUBERNETES = "k8s.io/kubernetes"
_KWOK = "sigs.k8s.io/kwok"
_HELM = "helm.sh/helm/v3"
_PACKAGES = ("./authenticator", "./controlplane", f"{_KWOK}/cmd/kwok", f"{_HELM}/cmd/helm")

# kwok 0.8 ends with "no stages found" unless it is given stages; its own lie in its module's folder.
_STAGES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
)
_REPORT_SECONDS = 60
# Skipping debugging information and C name resolution, which nothing uses, makes compiling a tenth faster.
NO_DEBUGGING = "-gcflags=all=-dwarf=false"

Progress = Callable[[str], None]


def binaries() -> Path:
    """The folder for the binaries of this source: authenticator, controlplane, kwok, helm, stages/, version."""
    content = hashlib.sha256()
    for name in ("go.mod", "go.sum", "authenticator/main.go", "controlplane/main.go"):
        content.update((SOURCE / name).read_bytes())
    return cache_folder() / "kubernetes" / content.hexdigest()[:16]


def build(progress: Progress) -> Path:
    """Build what is missing and return `binaries()`. If several worlds ask at once, one builds and the others wait."""
    target = binaries()
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    waiting = "another world is building Kubernetes and Helm, waiting for it"
    with locked(target.with_suffix(".lock"), lambda: progress(waiting)):
        if not target.exists():
            _clear_killed(target)
            part = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
            try:
                _build_into(part, progress)
                part.rename(target)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    return target


def _clear_killed(target: Path) -> None:
    """Remove what a killed build left. Only the holder of the lock may do this."""
    for left in target.parent.glob(f"{target.name}.*"):
        if left.is_dir():
            shutil.rmtree(left)


def go_environment() -> dict[str, str]:
    """The environment of every `go` in the tests. The use of C decides which packages are compiled, so it must not
    vary."""
    return {**os.environ, "CGO_ENABLED": "0"}


def version(folder: Path) -> str:
    """The Kubernetes version of built binaries, such as v1.36.3."""
    return (folder / "version").read_text(encoding="ascii")


def _build_into(folder: Path, progress: Progress) -> None:
    go = shutil.which("go", path=f"{os.environ.get('PATH', os.defpath)}:/usr/local/go/bin")
    if go is None:
        raise FileNotFoundError("Go 1.26 or newer is needed to build the local Kubernetes, and no go is on the PATH")
    started = time.monotonic()
    progress("building Kubernetes, kwok and Helm from source, once: about 6 minutes on 2 cores; fetching modules")
    versions = {module: _go(go, "list", "-m", "-f", "{{.Version}}", module) for module in (KUBERNETES, _HELM)}
    packages = len(_go(go, "list", "-deps", *_PACKAGES).splitlines())
    flags = ("-trimpath", NO_DEBUGGING, "-ldflags", _stamps(versions))
    command = [go, "build", "-v", *flags, "-o", f"{folder}/", *_PACKAGES]
    log = folder / "build.log"
    where = go_environment()
    with log.open("w") as output, processes.start(command, cwd=SOURCE, stderr=output, env=where) as process:
        while _is_running(process, _REPORT_SECONDS):
            compiled = log.read_text().count("\n")  # the names of packages; what the Go build cache has is not named
            progress(f"{_clock(time.monotonic() - started)}  {compiled} of at most {packages} packages compiled")
    if process.returncode:
        raise RuntimeError(f"the local Kubernetes does not build:\n...{log.read_text()[-3000:]}")
    log.unlink()
    (folder / "stages").mkdir()
    stages = Path(_go(go, "list", "-m", "-f", "{{.Dir}}", _KWOK)) / "kustomize" / "stage"
    for stage in _STAGES:
        shutil.copyfile(stages / stage, folder / "stages" / Path(stage).name)
    (folder / "version").write_text(versions[KUBERNETES], encoding="ascii")
    folder.chmod(0o755)
    progress(f"built in {_clock(time.monotonic() - started)}")


def _is_running(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether the process is still running after this many seconds; returns as soon as it ends."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def _stamps(versions: dict[str, str]) -> str:
    """Linker flags. Without them, /version reports v0.0.0-master and version checks fail."""
    kubernetes = versions[KUBERNETES]
    major, minor, _patch = kubernetes.removeprefix("v").split(".", 2)
    values = {
        "k8s.io/component-base/version.gitVersion": kubernetes,
        "k8s.io/component-base/version.gitMajor": major,
        "k8s.io/component-base/version.gitMinor": minor,
        "k8s.io/client-go/pkg/version.gitVersion": kubernetes,
        f"{_HELM}/internal/version.version": versions[_HELM],
    }
    return " ".join(("-s -w", *(f"-X {name}={value}" for name, value in values.items())))


def _go(go: str, *arguments: str) -> str:
    pipe = subprocess.PIPE
    where = go_environment()
    with processes.start([go, *arguments], cwd=SOURCE, stdout=pipe, stderr=pipe, env=where) as process:
        output, errors = (stream.decode().strip() for stream in process.communicate())
    if process.returncode:
        raise RuntimeError(f"go {' '.join(arguments)} failed:\n{errors}")
    return output


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
