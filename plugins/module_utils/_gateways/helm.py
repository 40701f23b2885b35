# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Helm: the only place that runs the helm program. PRIVATE to the collection.

What Helm needs is in a temporary folder: kubeconfig, values, downloaded chart, cache. Its arguments and environment
contain nothing secret.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from .._answers import tidy
from .._credentials import MASK, SECRET_VARIABLE, quoted
from .._engine import CallFailed, Conflict, Failure, Refused, Throttled, until
from .._given import readable
from .._patience import FEWER, Repeats
from .._temp_folder import TempFolder, leave_dead, left_dead, temp_folder
from .._variables import named, role_of
from . import files, proxies, repositories
from .repositories import Repository

with contextlib.suppress(ImportError):
    # Without it the Python package kubernetes is missing too, and that is reported first.
    import yaml

OLDEST = (3, 14)
TAKES_OWNERSHIP = (3, 17)
SERVER_SIDE = (4, 0)

EVICTOR = "castai-evictor"
HOOK_ADVICE = (
    " Its image comes from Docker Hub: if the nodes cannot pull it from there, set components_evictor_hook_image"
    " to a copy."
)

LOOK = 5.0
"""Seconds between two checks of what Helm waits for."""

SHORT = 120.0
"""Seconds that Helm may take for a chart or for its own version."""

TURN = 120.0
"""Seconds for which one host waits while another fetches the same chart or index: otherwise, a repository that does
not answer would make all hosts wait one after the other."""

_KEPT = ("HELM_CONFIG_HOME", "HELM_REGISTRY_CONFIG")
"""Helm's own variables that lead to the user's registry logins; the others change what Helm does."""

PULL_PATIENCE = 60.0
"""For how many seconds, including tries and pauses, to ask again for a chart that is temporarily unavailable."""

_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?:[-+].*)?")
"""A Helm built without its release's flags has no patch number: v4.3, v3.22+unreleased."""

_PR_SET_PDEATHSIG = 1
_REPOSITORIES = "repositories.yaml"
_CACHE = "cache"
_charts: Path | None = None
"""Where charts are kept for a run."""
_TOKEN = "token"

Watch = Callable[[], str]
"""Returns a sentence once waiting is pointless, and an empty text before that."""

_CONFLICTS = (
    "another operation (install/upgrade/rollback) is in progress",
    "cannot re-use a name that is still in use",
    "release: already exists",
    "release: not found",
    "has no deployed releases",
)
_RECORD_EXISTS = re.compile(r'secrets "sh\.helm\.release\.v1\.[^"]*" already exists')
_PASSING = re.compile(r"(?i)\b(429 too many|50[0234] (internal|bad|service|gateway))|toomanyrequests|connection reset")
"""Messages of Helm about a chart repository that may deliver the chart later. Helm itself only asks once."""
_NO_SUCH_CHART = re.compile("(?i)not found|manifest unknown")
"""Messages of Helm about a chart or version that a repository or registry does not have."""
_LIMITED = re.compile("(?i)too many requests|toomanyrequests")
_ADVICE = (
    (_LIMITED.pattern, f"The server limits how often it may be called. {FEWER}"),
    (
        r'"meta\.helm\.sh/release-name(space)?" must equal "[^"]*": current value is',
        (
            "Another Helm release has an object of the same name: uninstall it, or change the values so that only one"
            " does."
        ),
    ),
    (
        r'namespaces "[^"]*" already exists|Namespace "[^"]*" in namespace "" exists and cannot be imported',
        "The chart creates the namespace itself. Set createNamespace: false in {values}.",
    ),
    (
        "invalid ownership metadata",
        "Objects of the same name already exist. Delete them, or, for an install, set {adopt} to take them over.",
    ),
    (
        "(pre|post)-(install|upgrade).*(timed out waiting|context deadline exceeded|DeadlineExceeded)",
        (
            "A hook of the chart did not finish in time. Look at its Job and pods in the namespace, or raise"
            " {timeout}.{hook}"
        ),
    ),
    (
        "timed out waiting|context deadline exceeded",
        "Look at the pods and events of the namespace, or raise {timeout}.",
    ),
)
"""Messages of Helm, as a regular expression, and what to do about each, with options in braces."""


@dataclass(frozen=True)
class Chart:
    """Where a chart comes from.

    ref: name in repo_url, absolute path, address of an archive, oci:// address, or NAME/CHART of a repository that the
    user has added to Helm. version: empty for the newest. role: whose variables set it, empty if unknown.
    """

    ref: str
    version: str = ""
    repo_url: str = ""
    role: str = field(default="", compare=False)

    @property
    def local(self) -> bool:
        return self.ref.startswith("/")

    @property
    def name(self) -> str:
        """The chart's name as far as ref shows it; empty for an archive."""
        if self.ref.endswith((".tgz", ".tar.gz")) or self.ref.startswith(("http://", "https://", "/")):
            return ""
        return self.ref.rstrip("/").rpartition("/")[2].partition(":")[0]


@dataclass(frozen=True)
class Facts:
    """What a chart says about itself; empty if not known."""

    name: str
    version: str


@dataclass(frozen=True)
class Work:
    """What Helm is to work on, and how.

    server: the API server's address. revision: the one whose record is written. timeout: seconds for each thing that
    Helm waits for. kubeconfig: its text. token: returns the current bearer token of credentials that expire, so that
    Helm may work for longer than one is valid; empty for others.
    """

    server: str
    namespace: str
    release: str
    revision: int
    wait: bool = False
    timeout: int = 0
    kubeconfig: str = field(default="", repr=False)
    token: Callable[[], str] = field(default=lambda: "", repr=False, compare=False)

    @property
    def identity(self) -> str:
        return f"{self.server} {self.namespace} {self.release}"


class Helm:
    """The program of that path, or of the PATH."""

    def __init__(self, path: str | None = None) -> None:
        self._path = path
        self._version: tuple[int, ...] = ()
        self._asking = threading.Lock()
        self._pulled: dict[Chart, tuple[str, bytes]] = {}
        """File name and content of the fetched charts: a task may inspect a chart before it installs it."""
        self._indexing = threading.Lock()
        self._indexes: dict[Repository, bytes] = {}

    def check_version(self) -> tuple[int, ...]:
        """Major, minor and patch. Raises Refused if Helm is missing, too old, or does not say."""
        with self._asking:
            return self._checked_version()

    def _checked_version(self) -> tuple[int, ...]:
        if not self._version:
            with temp_folder() as temp:
                arguments = ["version", "--template", "{{.Version}}"]
                text = self._run(temp, arguments, SHORT, "Could not find out Helm's version: ")
            found = _VERSION.fullmatch(text.strip().rpartition("\n")[2].strip())
            if found is None:
                raise Refused(
                    f"{self._program()} reports version {tidy(text, 80)!r}, which is not a version of Helm. Set"
                    f" {named('helm_path')} to Helm {_dotted(OLDEST)} or newer."
                )
            self._version = tuple(int(part or 0) for part in found.groups())
        if self._version < OLDEST:
            raise Refused(
                f"{self._program()} is Helm {_dotted(self._version)}, but {_dotted(OLDEST)} or newer is needed. Upgrade"
                f" Helm, or set {named('helm_path')} to a newer one."
            )
        return self._version

    def show_chart(self, ref: str, version: str, repo_url: str, role: str = "") -> Facts:
        """What a chart says about itself, wherever it comes from."""
        chart = Chart(ref, version, repo_url, role)
        with temp_folder() as temp:
            return facts(self._fetch(temp, chart), chart.role)

    def render(
        self, chart: Chart, release: str, namespace: str, values: Mapping[str, Any], secrets: tuple[str, ...]
    ) -> tuple[dict[str, Any], ...]:
        """The objects that an install would create, hooks included. secrets: texts that an error must not show."""
        self.check_version()
        with temp_folder() as temp:
            archive = self._fetch(temp, chart)
            arguments = ["template", release, str(archive), "--namespace", namespace]
            arguments += ["--values", str(temp.write("values.json", _as_yaml(values)))]
            text = self._run(temp, arguments, SHORT, f"Could not render chart {chart.ref}: ", hidden=secrets)
        try:
            found = list(yaml.safe_load_all(text))
        except yaml.YAMLError as error:
            raise CallFailed(f"Chart {chart.ref} renders to text that is not YAML ({tidy(str(error))}).") from None
        return tuple(item for item in found if isinstance(item, dict) and (item.get("metadata") or {}).get("name"))

    def was_killed(self, work: Work) -> bool:
        """Whether a Helm of this machine was killed during this work, or did not finish it. Starts no process."""
        return left_dead(work.identity, work.revision)

    def has_ended(self, work: Work) -> None:
        """Let was_killed know that the Helm which did this work has ended, so that nobody waits for it."""
        leave_dead(work.identity, work.revision)

    def upgrade(
        self,
        work: Work,
        chart: Chart,
        values: Mapping[str, Any],
        secrets: tuple[str, ...],
        create_namespace: bool,
        take_ownership: bool,
        watch: Watch = lambda: "",
    ) -> None:
        """Install or upgrade. The chart is fetched, and its version compared, before anything is written.

        watch: called from time to time; Helm is stopped if it returns a reason why waiting is pointless.
        """
        version = self.check_version()
        with temp_folder(work.identity, work.revision) as temp:
            archive = self._fetch(temp, chart)
            arguments = ["upgrade", work.release, str(archive), "--install", "--reset-values"]
            arguments += ["--values", str(temp.write("values.json", _as_yaml(values)))]
            arguments += ["--create-namespace"] * create_namespace
            arguments += ["--take-ownership"] * (take_ownership and version >= TAKES_OWNERSHIP)
            arguments += _overwriting(version)
            self._change(temp, work, arguments, secrets, watch)

    def rollback(self, work: Work, to: int) -> None:
        """Apply what a revision's record contains, as a new revision."""
        version = self.check_version()
        with temp_folder(work.identity, work.revision) as temp:
            self._change(temp, work, ["rollback", work.release, str(to), *_overwriting(version)])

    def uninstall(self, work: Work) -> None:
        """Delete the release's objects and its records; success if they are already gone."""
        self.check_version()
        with temp_folder(work.identity, work.revision) as temp:
            self._change(temp, work, ["uninstall", work.release, "--ignore-not-found"])

    def _change(
        self,
        temp: TempFolder,
        work: Work,
        arguments: list[str],
        secrets: tuple[str, ...] = (),
        watch: Watch = lambda: "",
    ) -> None:
        kubeconfig, token = work.kubeconfig, work.token()
        hidden = [*secrets, *_tokens(kubeconfig), token]
        if token:
            kubeconfig = _with_token_file(kubeconfig, temp.replace(_TOKEN, token))

        def look() -> str:
            with contextlib.suppress(Failure):  # the token that Helm has may still be good enough
                token = work.token()
                if token not in hidden:
                    hidden.append(token)
                    temp.replace(_TOKEN, token)
            return watch()

        path = temp.write("kubeconfig", kubeconfig)
        arguments = [*arguments, "--kubeconfig", str(path), "--namespace", work.namespace]
        arguments += ["--timeout", f"{work.timeout}s", *["--wait"] * work.wait]
        # The timeout applies to each hook and each wait. After three of them, Helm counts as hung.
        deadline = 3.0 * work.timeout + SHORT
        self._run(temp, arguments, deadline, hidden=hidden, release=work.release, watch=look)

    def _fetch(self, temp: TempFolder, chart: Chart) -> Path:
        """The chart as a local archive or folder. Raises CallFailed if its version is not the wanted one."""
        path = Path(chart.ref) if chart.local else self._pull(temp, chart)
        found = facts(path, chart.role)
        problem = version_problem(chart, found)
        if problem:
            raise CallFailed(problem)
        return path

    def _pull(self, temp: TempFolder, chart: Chart) -> Path:
        """The chart as an archive. Of the user's repositories, Helm only sees the chart's own one, with its login."""
        into = temp.path / "chart"
        into.mkdir()
        if chart not in self._pulled:
            with _kept(chart.repo_url, chart.ref, chart.version) as folder:
                found = next(folder.glob("*.tgz"), None) if folder else None
                archive = found or self._download(temp, chart, into)
                self._pulled[chart] = archive.name, archive.read_bytes()
                if folder and not found:
                    _keep(archive, folder)
        name, content = self._pulled[chart]
        (into / name).write_bytes(content)
        return into / name

    def _download(self, temp: TempFolder, chart: Chart, into: Path) -> Path:
        origin = f" from {chart.repo_url}" * bool(chart.repo_url)
        purpose = f"Could not get chart {chart.ref} {chart.version}".rstrip() + f"{origin}: "
        repository = repositories.of_chart(chart.ref, chart.repo_url, os.environ)
        ref, hidden = chart.ref, repository.secrets if repository else ()
        if repository:
            self._know(temp, repository, purpose)
            ref = f"{repository.name}/{chart.ref}" if chart.repo_url else chart.ref
        arguments = ["pull", "--destination", str(into)]
        arguments += ["--version", chart.version] * bool(chart.version)
        try:
            self._ask(temp, [*arguments, "--", ref], purpose, hidden)
        except CallFailed as failure:
            if not _NO_SUCH_CHART.search(str(failure)):
                raise
            options = f"{named('chart_version', chart.role)} or {named('chart_ref', chart.role)}"
            raise CallFailed(f"{failure} Correct {options}.") from None
        return next(into.glob("*.tgz"))

    def _know(self, temp: TempFolder, repository: Repository, purpose: str) -> None:
        """Add the repository and its index to Helm. The index is fetched once, because it covers all charts."""
        index = temp.path / _CACHE / "repository" / f"{repository.name}-index.yaml"
        with self._indexing, _kept(repository.name, repository.url) as folder:
            kept = folder / index.name if folder else None
            if repository not in self._indexes and kept and kept.exists():
                self._indexes[repository] = kept.read_bytes()
            if repository in self._indexes:
                temp.write(_REPOSITORIES, repository.text)
                index.parent.mkdir(parents=True, exist_ok=True)
                index.write_bytes(self._indexes[repository])
                return
            if repository.added:
                temp.write(_REPOSITORIES, repository.text)
                self._ask(temp, ["repo", "update", repository.name], purpose, repository.secrets)
            else:
                self._ask(temp, ["repo", "add", repository.name, repository.url], purpose, ())
            if index.exists():  # some versions of Helm do not fail if they could not fetch it
                self._indexes[repository] = index.read_bytes()
                if folder:
                    _keep(index, folder)

    def _ask(self, temp: TempFolder, arguments: list[str], purpose: str, hidden: tuple[str, ...]) -> None:
        """Have Helm ask a chart repository, and repeat that if the failure is temporary."""
        repeats = Repeats(2.0, 20.0)
        while True:
            try:
                self._run(temp, arguments, SHORT, purpose, hidden)
                return
            except CallFailed as failure:
                if not _PASSING.search(str(failure)) or not repeats.wait(PULL_PATIENCE):
                    raise

    def _program(self) -> str:
        program = shutil.which(self._path or "helm")
        if program is None:
            raise Refused(
                f"Helm was not found at {self._path}. Correct {named('helm_path')}."
                if self._path
                else f"Helm was not found on the PATH. Install Helm {_dotted(OLDEST)} or newer, or set"
                f" {named('helm_path')}."
            )
        return program

    def _run(
        self,
        temp: TempFolder,
        arguments: list[str],
        timeout: float,
        purpose: str = "",
        hidden: Sequence[str] = (),
        release: str = "",
        watch: Watch = lambda: "",
    ) -> str:
        """Helm's output. It runs in the folder, where it cannot mistake a file for a chart of that name.

        purpose: how an error's sentence begins. hidden: texts that an error must not show. release: the one that an
        error is about. watch: see upgrade.
        """
        files.check_variables(*files.TRUST, _KEPT[1])
        try:
            # AnsibleModule.run_command does not exist inside the controller, and cannot tie Helm's life to ours.
            process = subprocess.Popen(  # noqa: S603 # pylint: disable=ansible-bad-function
                [self._program(), *arguments],
                cwd=temp.path,
                env=_environment(os.environ, temp.path),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                pass_fds=[temp.lock],
                preexec_fn=_end_with_parent(),
            )
        except OSError as error:
            raise CallFailed(f"{purpose}Helm did not start ({error.strerror}).") from error
        try:
            output, errors = _wait(process, timeout, watch)
        except subprocess.TimeoutExpired:
            raise CallFailed(f"{purpose}Helm did not finish within {timeout:.0f} s and was stopped.") from None
        finally:
            _stop(process)
        if process.returncode == 0:
            return output
        temp.dead = process.returncode == -signal.SIGKILL
        raise _failure(purpose, process.returncode, _scrub(errors, hidden), release)


def keep_charts(folder: str | None) -> None:
    """Keep the charts that are fetched from now on in this folder, for all processes of a run; None: keep none."""
    global _charts
    _charts = Path(folder) if folder else None


@contextlib.contextmanager
def _kept(*key: str) -> Iterator[Path | None]:
    """The folder in which a chart or an index is kept for the rest of the run, locked. None if nothing is kept, or
    if another host holds the lock for too long: then this one fetches alone."""
    if _charts is None or not _charts.is_dir():
        yield None
        return
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    folder = _charts / f"castai-onboarding-chart-{digest[:32]}"
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "lock").open("w", encoding="utf-8") as lock:
        locked = until(lambda: _locked(lock), timeout=TURN, first=0.05, longest=0.2)
        yield folder if locked else None


def _locked(file: IO[str]) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _keep(file: Path, folder: Path) -> None:
    """Written whole, or not at all if the run ends meanwhile."""
    shutil.copyfile(file, folder / "new")
    (folder / "new").rename(folder / file.name)


def same_version(one: str, other: str) -> bool:
    """Whether two chart versions are the same; Helm accepts them with and without a leading v."""
    return one.lstrip("v") == other.lstrip("v")


def older_version(one: str, other: str) -> bool:
    """Whether the first chart version certainly is the older one. Pre-releases are not told apart."""
    numbers = [re.match(r"v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})", version) for version in (one, other)]
    first, second = (tuple(map(int, found.groups())) if found else () for found in numbers)
    return bool(first and second) and first < second


def driver_problem(environment: Mapping[str, str]) -> str:
    """Why releases cannot be managed with Helm as the user has configured it, or an empty text."""
    driver = environment.get("HELM_DRIVER", "").strip().lower()
    if driver in ("", "secret", "secrets"):
        return ""
    return (
        f"HELM_DRIVER is {quoted(driver)} in the environment, but only releases that Helm keeps in Secrets can be"
        " managed here: existing releases would not be found. Unset it for this run if this cluster's releases are in"
        " Secrets."
    )


def version_problem(chart: Chart, found: Facts) -> str:
    """Why a chart does not have the wanted version, or an empty text."""
    if not chart.version or same_version(found.version, chart.version):
        return ""
    return (
        f"Chart {chart.ref} is {found.name} {found.version}, but {named('chart_version', chart.role)} is"
        f" {chart.version}. Correct the version or {named('chart_ref', chart.role)}."
    )


def facts(path: Path, role: str = "") -> Facts:
    """What the Chart.yaml of a chart folder or archive says. role: whose variables set the chart, empty if unknown."""
    try:
        if readable(path).is_dir():
            text = (path / "Chart.yaml").read_bytes()
        else:
            with tarfile.open(path) as archive:
                name = min((n for n in archive.getnames() if n.endswith("/Chart.yaml")), key=lambda n: n.count("/"))
                stream = archive.extractfile(name)
                text = stream.read() if stream else b""
        chart = yaml.safe_load(text) or {}
        return Facts(str(chart["name"]), str(chart["version"]))
    except (
        OSError,
        EOFError,
        zlib.error,
        tarfile.TarError,
        ValueError,
        LookupError,
        TypeError,
        yaml.YAMLError,
    ) as error:
        reason = getattr(error, "strerror", None)
        if not reason:
            broken = isinstance(error, (EOFError, zlib.error, tarfile.TarError))
            reason = "it is not a complete archive" if broken else "it has no Chart.yaml with a name and a version"
        raise Refused(f"{path} is not a Helm chart ({reason}). Correct {named('chart_ref', role)}.") from error


def _wait(process: subprocess.Popen[str], timeout: float, watch: Watch) -> tuple[str, str]:
    """Helm's output, read until it ends. Raises CallFailed if watch returns a reason, and TimeoutExpired."""
    deadline = time.monotonic() + timeout
    while True:
        left = deadline - time.monotonic()
        try:
            return process.communicate(timeout=max(0.0, min(left, LOOK)))
        except subprocess.TimeoutExpired:
            if left <= LOOK:
                raise
        reason = watch()
        if reason:
            raise CallFailed(reason)


def _failure(purpose: str, code: int, errors: str, release: str) -> CallFailed | Conflict:
    """Helm's error as one of ours, without lines of its log and without repeating the release."""
    if code < 0:
        return CallFailed(f"{purpose}Helm was stopped by {signal.Signals(-code).name}.")
    reason = errors[errors.rfind("Error: ") :].removeprefix("Error: ").strip() or f"exit status {code}"
    reason = re.sub(r"\s+", " ", re.sub(r"^[A-Z ]+ FAILED: ", "", reason)).rstrip(".")
    reason = reason.replace(". (try 'helm repo update')", "")  # it is already done
    if any(text in reason for text in _CONFLICTS) or _RECORD_EXISTS.search(reason):
        return Conflict(f"{purpose}Helm said: {reason}.")
    role = role_of(release)
    options = {option: named(option, role) for option in ("timeout", "values")}
    options["adopt"] = adopt_option(release)
    options["hook"] = HOOK_ADVICE if release == EVICTOR else ""
    advice = next((f" {advice.format(**options)}" for pattern, advice in _ADVICE if re.search(pattern, reason)), "")
    # This is about the API server, which Helm has asked ten times; a chart repository is asked again by the download.
    failure = Throttled if release and _LIMITED.search(reason) else CallFailed
    return failure(f"{purpose}Helm said: {reason}.{advice}")


def _as_yaml(values: Mapping[str, Any]) -> str:
    """JSON that is YAML too: YAML knows no pairs of escapes for one character, as json writes them for an emoji."""
    text = json.dumps(values, ensure_ascii=False)
    return re.sub("[^ -~\U00010000-\U0010ffff]", lambda one: f"\\u{ord(one[0]):04x}", text)


def adopt_option(release: str) -> str:
    """The option that takes objects over, as a message names it: role components has no variable for it."""
    role = role_of(release)
    return "adopt in a task with castai_release" if role == "components" else named("adopt", role)


def _overwriting(version: tuple[int, ...]) -> list[str]:
    """Make Helm 4 overwrite what others changed in the release's objects, as Helm 3 does, instead of giving up.

    The flags only work together, and switch a release that Helm 3 installed to server-side apply.
    """
    return ["--server-side=true", "--force-conflicts"] if version >= SERVER_SIDE else []


def _scrub(text: str, hidden: Sequence[str]) -> str:
    for secret in sorted(filter(None, hidden), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def _tokens(kubeconfig: str) -> tuple[str, ...]:
    return tuple(
        value for user in json.loads(kubeconfig)["users"] for key, value in user["user"].items() if key == "token"
    )


def _with_token_file(kubeconfig: str, path: Path) -> str:
    """The kubeconfig with a file in place of its user's token, which Helm reads again about once a minute."""
    config = json.loads(kubeconfig)
    for user in config["users"]:
        user["user"].pop("token", None)
        user["user"]["tokenFile"] = str(path)
    return json.dumps(config)


def _environment(given: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The user's environment for Helm: proxies, certificates and registry logins, but none of Helm's other variables.

    Repositories and cache belong together: Helm refuses a list with a repository whose index is not in the cache.
    """
    kept = {
        name: value
        for name, value in given.items()
        if name in _KEPT or not (name == "KUBECONFIG" or name.startswith("HELM_") or SECRET_VARIABLE.search(name))
    }
    return {
        **kept,
        # Go does not parse an address with a ^ in its password, and shows it.
        **{
            name: proxy.secret_url
            for name, proxy in proxies.of_variables(given).items()
            if proxy.secret_url != proxy.url
        },
        "HELM_CACHE_HOME": str(folder / _CACHE),
        "HELM_DATA_HOME": str(folder / "data"),
        "HELM_PLUGINS": str(folder / "plugins"),
        "HELM_REPOSITORY_CONFIG": str(folder / _REPOSITORIES),
        "HELM_DRIVER": "secret",
    }


def _end_with_parent() -> Callable[[], None] | None:
    """Called in the child before it becomes Helm: it then ends when this process does, even by SIGKILL (Linux only)."""
    if not sys.platform.startswith("linux"):
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def in_child() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return in_child


def _stop(process: subprocess.Popen[str]) -> None:
    """End Helm if it still runs. It is asked first, so that it can mark the release as failed."""
    if process.poll() is None:
        process.terminate()
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
