# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Helm is started and how its errors are reported, with a script instead of Helm; tests/world has the real one."""

from __future__ import annotations

import io
import itertools
import json
import os
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from ansible_collections.castai.onboarding.plugins.module_utils import _patience
from ansible_collections.castai.onboarding.plugins.module_utils._engine import (
    CallFailed,
    Conflict,
    Refused,
    Throttled,
    side_by_side,
)
from ansible_collections.castai.onboarding.plugins.module_utils._gateways import helm as gateway
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.helm import Chart, Facts, Helm, Work, facts

TOKEN = "CANARY-token"
KUBECONFIG = json.dumps({"users": [{"name": "castai", "user": {"token": TOKEN}}]})
WORK = Work("https://server", "castai-agent", "agent", 2, wait=True, timeout=60, kubeconfig=KUBECONFIG)

# Records its arguments, and answers as the test wants. `pull` returns the fake's own chart, for which Helm needs the
# index of a known repository.
SCRIPT = """#!{python}
import json, os, pathlib, shutil, sys
notes = pathlib.Path({notes!r})
arguments = sys.argv[1:]
note = {{"arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd()}}
for flag in ("--kubeconfig", "--values"):
    if flag in arguments:
        file = pathlib.Path(arguments[arguments.index(flag) + 1])
        note[flag] = [file.read_text(), oct(file.stat().st_mode & 0o777)]
listed = pathlib.Path(os.environ.get("HELM_REPOSITORY_CONFIG") or "/none")
note["repositories"] = json.loads(listed.read_text())["repositories"] if listed.exists() else []
index = pathlib.Path(os.environ["HELM_CACHE_HOME"], "repository")
with notes.open("a") as stream:
    stream.write(json.dumps(note) + "\\n")
if arguments[0] == "version":
    print({version!r}, end="")
elif arguments[0] == "repo":
    name = arguments[2]
    index.mkdir(parents=True, exist_ok=True)
    (index / f"{{name}}-index.yaml").write_text("entries")
    if arguments[1] == "add":
        listed.write_text(json.dumps({{"repositories": [{{"name": name, "url": arguments[3]}}]}}))
elif arguments[0] == "pull":
    for known in note["repositories"]:
        if (index / f"{{known['name']}}-index.yaml").read_text() != "entries":
            sys.exit("Error: no cached repo found")
    refused = pathlib.Path({refusals!r})
    if refused.exists() and refused.read_text():
        first, _line, rest = refused.read_text().partition("\\n")
        refused.write_text(rest)
        sys.exit(first)
    shutil.copy({archive!r}, arguments[arguments.index("--destination") + 1])
else:
    {behavior}
"""


class Fake:
    """A helm program that records its starts. refusals: its answers to the first pulls, one line each."""

    def __init__(self, folder: Path) -> None:
        self.program = folder / "helm"
        self.archive = folder / "agent-0.2.0.tgz"
        self._notes = folder / "notes"
        self.refusals = folder / "refusals"
        pack(self.archive, "agent/Chart.yaml", "name: agent\nversion: 0.2.0\n")
        self.behave()

    def behave(self, behavior: str = "pass", version: str = "v3.22.0") -> Helm:
        self.program.write_text(
            SCRIPT.format(
                python=sys.executable,
                notes=str(self._notes),
                archive=str(self.archive),
                refusals=str(self.refusals),
                version=version,
                behavior=behavior,
            )
        )
        self.program.chmod(0o755)
        return Helm(str(self.program))

    def fail(self, error: str) -> Helm:
        return self.behave(f"sys.stderr.write({error!r}); sys.exit(1)")

    def notes(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._notes.read_text().splitlines()]


def pack(archive: Path, name: str, text: str) -> None:
    with tarfile.open(archive, "w:gz") as stream:
        member = tarfile.TarInfo(name)
        member.size = len(text)
        stream.addfile(member, io.BytesIO(text.encode()))


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    return Fake(tmp_path)


def upgrade(helm: Helm, chart: Chart = Chart("agent", "0.2.0", "https://charts.example"), **options: Any) -> None:  # noqa: B008
    given = {"values": {"apiKey": "CANARY-value"}, "secrets": ("CANARY-value",), "create_namespace": True}
    helm.upgrade(WORK, chart, **{**given, "take_ownership": False, **options})


def test_upgrade(fake: Fake) -> None:
    upgrade(fake.behave(), take_ownership=True)
    version, add, pull, run = fake.notes()
    assert version["arguments"][0] == "version"
    folder = run["folder"]
    assert add["arguments"] == ["repo", "add", "repository", "https://charts.example"]
    assert pull["arguments"] == [
        *("pull", "--destination", f"{folder}/chart", "--version", "0.2.0", "--", "repository/agent")
    ]
    assert run["arguments"] == [
        *("upgrade", "agent", f"{folder}/chart/agent-0.2.0.tgz", "--install", "--reset-values"),
        *("--values", f"{folder}/values.json", "--create-namespace", "--take-ownership"),
        *("--kubeconfig", f"{folder}/kubeconfig", "--namespace", "castai-agent", "--timeout", "60s", "--wait"),
    ]
    assert run["--kubeconfig"] == [KUBECONFIG, "0o600"]
    assert run["--values"] == ['{"apiKey": "CANARY-value"}', "0o600"]
    assert "CANARY" not in json.dumps([run["arguments"], run["environment"]])
    assert not Path(folder).exists()


@pytest.mark.parametrize(
    ("version", "flags"),
    [
        ("v3.14.0", set()),
        ("v3.17.1", {"--take-ownership"}),
        ("v4.1.4", {"--take-ownership", "--server-side=true", "--force-conflicts"}),
    ],
)
def test_what_older_and_newer_helms_are_given(fake: Fake, version: str, flags: set[str]) -> None:
    upgrade(fake.behave(version=version), take_ownership=True)
    given = set(fake.notes()[-1]["arguments"])
    assert given & {"--take-ownership", "--server-side=true", "--force-conflicts"} == flags


def test_rollback_and_uninstall(fake: Fake) -> None:
    helm = fake.behave(version="v4.1.4")
    helm.rollback(WORK, 1)
    helm.uninstall(WORK)
    _version, rollback, uninstall = (note["arguments"] for note in fake.notes())
    assert rollback[:5] == ["rollback", "agent", "1", "--server-side=true", "--force-conflicts"]
    assert uninstall[:3] == ["uninstall", "agent", "--ignore-not-found"]


def test_a_chart_is_rendered_with_values_that_stand_in_no_argument(fake: Fake) -> None:
    text = "---\n# empty\n---\nkind: A\nmetadata: {name: a}\nspec: {hostNetwork: true}\n---\njust text\n"
    chart = Chart("agent", "0.2.0", "https://charts.example")
    found = fake.behave(f"print({text!r})").render(chart, "agent", "n", {"apiKey": "CANARY"}, ("CANARY",))
    assert found == ({"kind": "A", "metadata": {"name": "a"}, "spec": {"hostNetwork": True}},)
    run = fake.notes()[-1]
    assert run["arguments"][:2] == ["template", "agent"]
    assert run["arguments"][-4:-1] == ["--namespace", "n", "--values"]
    assert run["--values"] == ['{"apiKey": "CANARY"}', "0o600"]
    assert "CANARY" not in json.dumps([run["arguments"], run["environment"]])
    with pytest.raises(CallFailed, match=r"Could not render chart agent: Helm said: bad \*+\.") as failed:
        fake.fail("Error: bad CANARY").render(chart, "agent", "n", {"apiKey": "CANARY"}, ("CANARY",))
    assert "CANARY" not in str(failed.value)
    with pytest.raises(CallFailed, match=r"renders to text that is not YAML \(.+\)\.$"):
        fake.behave('print("a: b: c")').render(chart, "agent", "n", {}, ())


def test_the_environment_of_helm(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = {"CASTAI_API_KEY": "CANARY", "AWS_SECRET_ACCESS_KEY": "CANARY", "AWS_SESSION_TOKEN": "CANARY"}
    foreign = {"KUBECONFIG": "/k", "HELM_KUBETOKEN": "CANARY", "HELM_NAMESPACE": "n", "HELM_DRIVER": "secret"}
    changing = {"HELM_BURST_LIMIT": "0", "HELM_MAX_HISTORY": "1", "HELM_DEBUG": "1", "HELM_KUBEASUSER": "root"}
    kept = {"HTTPS_PROXY": "http://proxy", "SSL_CERT_FILE": "/ca", "HELM_REGISTRY_CONFIG": "/r", "HOME": "/home/me"}
    for name, value in {**secret, **foreign, **changing, **kept}.items():
        monkeypatch.setenv(name, value)
    fake.behave().rollback(WORK, 1)
    note = fake.notes()[-1]
    environment, folder = note["environment"], note["folder"]
    assert "CANARY" not in json.dumps(environment)
    assert kept.items() <= environment.items()
    assert environment["HELM_DRIVER"] == "secret"
    assert "KUBECONFIG" not in environment
    assert not {"HELM_NAMESPACE", *changing} & environment.keys()
    for name in ("HELM_CACHE_HOME", "HELM_DATA_HOME", "HELM_PLUGINS", "HELM_REPOSITORY_CONFIG"):
        assert environment[name].startswith(folder)


LISTED = {"name": "castai-helm", "url": "https://charts.example/a/", "username": "me", "password": "CANARY-listed"}
OTHER = {"name": "other", "url": "https://charts.example/b"}


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_a_log_in_of_a_proxy_is_given_to_helm_as_go_reads_it(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "me:p^w{@x@proxy:3128")
    fake.behave().rollback(WORK, 1)
    assert fake.notes()[-1]["environment"][name] == "http://me:p%5Ew%7B%40x@proxy:3128"
    monkeypatch.setenv(name, "http://me:CAN/ARY@proxy:3128")
    with pytest.raises(Refused, match=f"The environment variable {name} is not the address of a proxy") as caught:
        fake.behave().rollback(WORK, 1)
    assert "CAN" not in str(caught.value)


@pytest.mark.parametrize(
    ("ref", "repo_url", "entry", "source"),
    [
        ("castai-helm/agent", "", LISTED, ["--", "castai-helm/agent"]),
        ("other/agent", "", OTHER, ["--", "other/agent"]),
        ("agent", "https://CHARTS.example/a", LISTED, ["--", "castai-helm/agent"]),
        ("agent", "https://charts.example/ab", None, ["--", "repository/agent"]),
        ("https://charts.example/a/agent-0.2.0.tgz", "", LISTED, ["--", "https://charts.example/a/agent-0.2.0.tgz"]),
        ("oci://charts.example/a/agent", "", None, ["--", "oci://charts.example/a/agent"]),
        ("--help", "https://nowhere.example", None, ["--", "repository/--help"]),
    ],
)
def test_helm_sees_the_charts_repository_alone(
    fake: Fake,
    monkeypatch: pytest.MonkeyPatch,
    ref: str,
    repo_url: str,
    entry: dict[str, str] | None,
    source: list[str],
) -> None:
    config = fake.program.parent / "mine.yaml"
    config.write_text(json.dumps({"repositories": [OTHER, LISTED]}))
    monkeypatch.setenv("HELM_REPOSITORY_CONFIG", str(config))
    fake.behave().show_chart(ref, "", repo_url)
    *before, pull = notes = fake.notes()
    assert pull["arguments"][3:] == source
    asked = [["repo", "update", entry["name"]]] if entry else [["repo", "add", "repository", repo_url]] * bool(repo_url)
    assert [note["arguments"] for note in before] == asked
    known = entry or (repo_url and {"name": "repository", "url": repo_url})
    assert pull["repositories"] == ([known] if known else [])
    assert "CANARY" not in json.dumps([note["arguments"] for note in notes])


@pytest.mark.parametrize("content", ["{", "repositories: 7", "[]", "repositories: [7, {url: x}]", "\0"])
def test_a_broken_list_of_repositories_stops_only_who_needs_it(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    folder = fake.program.parent / "config"
    folder.mkdir()
    (folder / "repositories.yaml").write_text(content)
    monkeypatch.setenv("HELM_CONFIG_HOME", str(folder))
    assert fake.behave().show_chart("agent", "", "https://charts.example") == Facts("agent", "0.2.0")
    with pytest.raises(Refused, match="repositories"):
        fake.behave().show_chart("castai-helm/agent", "", "")


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        ("Error: UPGRADE FAILED: cannot patch: boom\n", CallFailed, "Helm said: cannot patch: boom."),
        (
            'WARNING: readable\nlevel=WARN msg="Error: old"\nError: INSTALLATION FAILED: 1 error:\n  * no.\n',
            CallFailed,
            "Helm said: 1 error: * no.",
        ),
        ("", CallFailed, "Helm said: exit status 1."),
        (
            "Error: another operation (install/upgrade/rollback) is in progress",
            Conflict,
            "Helm said: another operation (install/upgrade/rollback) is in progress.",
        ),
        (
            'Error: create: failed to create: secrets "sh.helm.release.v1.agent.v2" already exists',
            Conflict,
            'Helm said: create: failed to create: secrets "sh.helm.release.v1.agent.v2" already exists.',
        ),
        (
            "Error: the server has received too many requests and has asked us to try again later (get pods)",
            Throttled,
            (
                "Helm said: the server has received too many requests and has asked us to try again later (get pods)."
                " The server limits how often it may be called."
                " Run fewer hosts at a time (ansible-playbook --forks), or run again later."
            ),
        ),
        ('Error: secrets "mine" already exists', CallFailed, 'Helm said: secrets "mine" already exists.'),
        (
            "Error: x: invalid ownership metadata; y",
            CallFailed,
            (
                "Helm said: x: invalid ownership metadata; y. Objects of the same name already exist."
                " Delete them, or, for an install, set adopt to take them over."
            ),
        ),
        (
            (
                'Error: x: invalid ownership metadata; annotation validation error: key "meta.helm.sh/release-name"'
                ' must equal "s2": current value is "s1"'
            ),
            CallFailed,
            (
                'Helm said: x: invalid ownership metadata; annotation validation error: key "meta.helm.sh/release-name"'
                ' must equal "s2": current value is "s1". Another Helm release has an object of the same name:'
                " uninstall it, or change the values so that only one does."
            ),
        ),
        (
            (
                'Error: Unable to continue with install: Namespace "n" in namespace "" exists and cannot be imported'
                ' into the current release: invalid ownership metadata; missing key "app.kubernetes.io/managed-by"'
            ),
            CallFailed,
            (
                'Helm said: Unable to continue with install: Namespace "n" in namespace "" exists and cannot be'
                " imported into the current release: invalid ownership metadata; missing key"
                ' "app.kubernetes.io/managed-by". The chart creates the namespace itself. Set createNamespace: false in'
                " values."
            ),
        ),
        (
            "Error: UPGRADE FAILED: pre-upgrade hooks failed: 1 error occurred: * timed out waiting for the condition",
            CallFailed,
            (
                "Helm said: pre-upgrade hooks failed: 1 error occurred: * timed out waiting for the condition. A hook"
                " of the chart did not finish in time. Look at its Job and pods in the namespace, or raise timeout."
            ),
        ),
        (f"Error: bad value CANARY-value with {TOKEN}", CallFailed, "Helm said: bad value ******** with ********."),
    ],
)
def test_errors(fake: Fake, error: str, kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind) as caught:
        upgrade(fake.fail(error))
    assert str(caught.value) == sentence


def test_values_of_any_characters_are_read_as_yaml(fake: Fake) -> None:
    values = {"a": "\u00e4 \U0001f680 \u2028\x7f\x85\ufeff \\ud83d\\ude80 \t\n", "\U0001f680": [1.5, None, True]}
    upgrade(fake.behave(), values=values)
    text = next(note["--values"][0] for note in fake.notes() if "--values" in note)
    assert yaml.safe_load(text) == json.loads(text) == values


def test_a_killed_helm_is_told_and_known_afterwards(fake: Fake) -> None:
    helm = fake.behave("os.kill(os.getpid(), 9)")
    with pytest.raises(CallFailed, match="Helm was stopped by SIGKILL"):
        helm.rollback(WORK, 1)
    assert helm.was_killed(WORK)
    fake.behave().rollback(WORK, 1)
    assert not helm.was_killed(WORK)


def test_a_hanging_helm_is_ended(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "SHORT", 0.5)
    helm = fake.behave("import time; time.sleep(60)")
    helm._version = (3, 22, 0)
    with pytest.raises(CallFailed, match="Helm did not finish within 0 s and was stopped"):
        helm.rollback(Work("https://server", "n", "agent", 2, kubeconfig=KUBECONFIG), 1)


def test_the_wrong_chart_is_noticed_before_anything_is_written(fake: Fake) -> None:
    with pytest.raises(CallFailed, match=r"is agent 0\.2\.0, but chart_version is 0\.3\.0"):
        upgrade(fake.behave(), Chart("https://charts.example/agent-0.3.0.tgz", "0.3.0"))
    assert fake.notes()[-1]["arguments"][0] == "pull"


@pytest.mark.parametrize("kept", [True, False])
def test_a_chart_is_fetched_once_for_all_processes_of_a_run_where_charts_are_kept(
    fake: Fake, tmp_path: Path, kept: bool
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    chart, again = ("agent", "0.2.0", "https://charts.example"), ("agent", "", "https://charts.example")
    gateway.keep_charts(str(folder) if kept else None)
    try:
        of_hosts = [fake.behave() for _host in range(4)]
        shown = side_by_side(16, [partial(helm.show_chart, *chart) for helm in of_hosts])
        shown.append(of_hosts[0].show_chart("agent", "0.2.0", "https://others.example"))
        shown.append(of_hosts[1].show_chart(*again))
    finally:
        gateway.keep_charts(None)
    assert {str(facts) for facts in shown} == {str(gateway.Facts("agent", "0.2.0"))}
    asked = Counter(note["arguments"][0] for note in fake.notes())
    assert asked == ({"pull": 3, "repo": 2} if kept else {"pull": 6, "repo": 5})
    assert len(list(folder.glob("*/*.tgz"))) == (3 if kept else 0)


def test_the_index_of_a_repository_is_asked_for_once_by_threads_of_one_task(fake: Fake) -> None:
    helm = fake.behave()
    versions = ("", "0.2.0", "v0.2.0")
    side_by_side(16, [partial(helm.show_chart, "agent", text, "https://charts.example") for text in versions])
    assert Counter(note["arguments"][0] for note in fake.notes()) == {"pull": 3, "repo": 1}


def test_who_waits_too_long_for_the_fetch_of_another_fetches_alone(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "TURN", 0.3)
    gateway.keep_charts(str(tmp_path))
    try:
        with gateway._kept("https://charts.example", "agent", ""):
            assert fake.behave().show_chart("agent", "", "https://charts.example") == Facts("agent", "0.2.0")
    finally:
        gateway.keep_charts(None)


def test_the_version_is_asked_once_by_threads_of_one_task(fake: Fake) -> None:
    helm = fake.behave()
    assert set(side_by_side(16, [helm.check_version] * 4)) == {(3, 22, 0)}
    assert [note["arguments"][0] for note in fake.notes()] == ["version"]


def test_an_old_or_missing_helm(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match=r"is Helm 3\.13\.3, but 3\.14 or newer is needed"):
        fake.behave(version="v3.13.3").check_version()
    with pytest.raises(Refused, match=r"Correct castai_helm_path \(option helm_path\)"):
        Helm(str(tmp_path / "none")).check_version()
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    with pytest.raises(Refused, match="not found on the PATH"):
        Helm().check_version()


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("v4.3", (4, 3, 0)),
        ("v3.22+unreleased", (3, 22, 0)),
        ("v3.14.0-rc.1+g0a1b2c3.dirty", (3, 14, 0)),
        ("4.1.4", (4, 1, 4)),
        ("wrapper 1.2.3 of tools\nv3.15.1\n", (3, 15, 1)),
    ],
)
def test_forms_of_a_version(fake: Fake, said: str, version: tuple[int, ...]) -> None:
    assert fake.behave(version=said).check_version() == version


@pytest.mark.parametrize("said", ["", "unknown", "v4", "Client: v2.17.0", "version.BuildInfo{Version: 1.2.3}"])
def test_what_tells_no_version_is_not_called_an_old_helm(fake: Fake, said: str) -> None:
    with pytest.raises(Refused, match=r"reports version .*, which is not a version of Helm") as caught:
        fake.behave(version=said).check_version()
    assert "0.0.0" not in str(caught.value)


def test_helm_is_found_on_the_path_and_asked_for_its_version_once(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{fake.program.parent}{os.pathsep}{os.environ['PATH']}")
    helm = Helm()
    assert helm.check_version() == helm.check_version() == (3, 22, 0)
    assert len(fake.notes()) == 1


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        ("agent", "agent"),
        ("castai-helm/agent", "agent"),
        ("oci://registry.example/charts/agent", "agent"),
        ("oci://registry.example/charts/agent:0.2.0", "agent"),
        ("https://charts.example/agent-0.2.0.tgz", ""),
        ("/srv/charts/agent", ""),
    ],
)
def test_name_of_a_chart(ref: str, name: str) -> None:
    assert Chart(ref).name == name


def test_facts_of_a_folder_and_an_archive(tmp_path: Path, fake: Fake) -> None:
    folder = tmp_path / "agent"
    folder.mkdir()
    (folder / "Chart.yaml").write_text("name: agent\nversion: 0.2.0\n")
    assert facts(folder) == facts(fake.archive) == Facts("agent", "0.2.0")


def no_chart(path: Path, reason: str) -> None:
    with pytest.raises(Refused) as refusal:
        facts(path, "agent")
    assert str(refusal.value) == (f"{path} is not a Helm chart ({reason}). Correct agent_chart_ref (option chart_ref).")


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b"])
def test_what_is_no_chart(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "agent.tgz"
    file.write_bytes(content)
    no_chart(file, "it is not a complete archive")
    no_chart(tmp_path / "none.tgz", "No such file or directory")


@pytest.mark.parametrize("content", ["", "a list", "name: agent", "name: [", "\x00"])
def test_a_folder_without_a_chart_is_no_chart(tmp_path: Path, content: str) -> None:
    (tmp_path / "Chart.yaml").write_text(content)
    no_chart(tmp_path, "it has no Chart.yaml with a name and a version")


def test_an_archive_without_a_chart_is_no_chart(tmp_path: Path) -> None:
    pack(tmp_path / "agent.tgz", "agent/values.yaml", "")
    no_chart(tmp_path / "agent.tgz", "it has no Chart.yaml with a name and a version")


THROTTLED = "Error: failed to fetch https://charts.example/agent-0.2.0.tgz : 429 Too Many Requests"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The recorded pauses; nothing really sleeps."""
    pauses: list[float] = []
    monkeypatch.setattr(_patience, "time", SimpleNamespace(sleep=pauses.append, monotonic=lambda: 0.0))
    return pauses


@pytest.mark.parametrize(
    "refusal",
    [
        THROTTLED,
        "Error: failed to fetch https://charts.example/agent-0.2.0.tgz : 503 Service Unavailable",
        "Error: toomanyrequests: You have reached your pull rate limit.",
    ],
)
def test_a_repository_that_gives_the_chart_later_is_asked_again(fake: Fake, hasty: list[float], refusal: str) -> None:
    fake.refusals.write_text(f"{refusal}\n" * 3)
    upgrade(fake.behave())
    assert [note["arguments"][0] for note in fake.notes()] == ["version", "repo", *["pull"] * 4, "upgrade"]
    assert len(hasty) == 3


@pytest.mark.parametrize(
    "refusal",
    [
        'Error: chart "agent" matching 0.2.0 not found in repository index: no chart version found for agent-0.2.0',
        "Error: registry.example/agent:0.2.0: not found",
        "Error: manifest unknown: manifest unknown",
    ],
)
def test_a_version_that_does_not_exist_is_to_be_corrected(fake: Fake, refusal: str) -> None:
    fake.refusals.write_text(f"{refusal}\n")
    with pytest.raises(CallFailed, match=r"Correct agent_chart_version .* or agent_chart_ref \(option chart_ref\)\.$"):
        upgrade(fake.behave(), Chart("agent", "0.2.0", "https://charts.example", "agent"))


def test_a_repository_that_never_gives_the_chart_is_given_up(fake: Fake, hasty: list[float]) -> None:
    fake.refusals.write_text("Error: chart not found\n")
    with pytest.raises(CallFailed, match="chart not found"):
        upgrade(fake.behave())
    assert hasty == []
    fake.refusals.write_text(f"{THROTTLED}\n" * 20)
    with pytest.raises(CallFailed, match=r"429 Too Many Requests\. The server limits .* Run fewer hosts at a time"):
        upgrade(fake.behave())
    assert 20 < sum(hasty) <= gateway.PULL_PATIENCE


def test_helm_is_stopped_once_waiting_is_in_vain(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "LOOK", 0.1)
    reasons = iter(["", "", "The image cannot be pulled."])
    helm = fake.behave("import time; time.sleep(60)")
    with pytest.raises(CallFailed, match="The image cannot be pulled"):
        upgrade(helm, watch=lambda: next(reasons))
    assert next(reasons, None) is None


# Shows the tokens that Helm would use, one after another.
AGING = """
    import time
    (user,) = json.loads(pathlib.Path(arguments[arguments.index("--kubeconfig") + 1]).read_text())["users"]
    assert "token" not in user["user"]
    file, seen = pathlib.Path(user["user"]["tokenFile"]), []
    while len(seen) < 3:
        token = file.read_text()
        assert file.stat().st_mode & 0o777 == 0o600
        if token not in seen:
            seen.append(token)
        time.sleep(0.01)
    sys.exit("Error: saw " + " ".join(seen))
"""


def test_a_token_that_ages_while_helm_works_is_renewed(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "LOOK", 0.1)
    tokens = (f"CANARY-{number}-" for number in itertools.count(1))
    helm = fake.behave(AGING.lstrip())
    with pytest.raises(CallFailed, match=r"Helm said: saw \*+ \*+ \*+\.") as caught:
        helm.rollback(replace(WORK, token=lambda: next(tokens)), 1)
    assert "CANARY" not in str(caught.value)


def test_a_token_that_cannot_be_renewed_does_not_stop_helm(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "LOOK", 0.1)
    answers: Iterator[Any] = itertools.chain([TOKEN], itertools.repeat(CallFailed("No credentials.")))

    def token() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    fake.behave("import time; time.sleep(0.5)").rollback(replace(WORK, token=token), 1)


def test_a_failed_hook_of_the_evictor_names_its_variable(fake: Fake) -> None:
    helm = fake.fail("Error: failed pre-install: 1 error occurred: * timed out waiting for the condition")
    with pytest.raises(CallFailed, match="set components_evictor_hook_image to a copy"):
        helm.rollback(Work("https://server", "n", "castai-evictor", 2, kubeconfig=KUBECONFIG), 1)


@pytest.mark.parametrize(
    ("driver", "refused"),
    [
        *((driver, True) for driver in ("configmap", "configmaps", "SQL", "memory", "x")),
        *((driver, False) for driver in ("secret", "Secrets", "", " ")),
    ],
)
def test_only_releases_in_secrets_are_managed(driver: str, refused: bool) -> None:
    assert bool(gateway.driver_problem({"HELM_DRIVER": driver})) is refused
    assert gateway.driver_problem({}) == ""
