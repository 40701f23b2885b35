# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every scenario inside the controller and as a separate module: equal results, errors and masking.

They only use the local world's CAST AI, so none of them writes. tests/world/test_secrets.py compares writing tasks on
the whole world.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

from tests.gates.versions import imported
from tests.sandbox.aws.server import Aws
from tests.sandbox.castai.server import CastAi
from tests.support.https import serve
from tests.support.playbook import TaskResult, local_play, run_playbook

NAMESPACE = "castai.onboarding"
API = {"castai_api_key": "{{ castai_api_key }}", "castai_api_url": "{{ castai_api_url }}"}
MARK = "CANARY-of-nobody"
NOBODY = "00000000-0000-4000-8000-000000000000"


VAULT = VaultLib([("default", VaultSecret(b"open sesame"))])


class Vaulted(str):
    """A text that is encrypted in the playbook or the inventory."""


class Dumper(yaml.SafeDumper):
    """Writes values that YAML can express and JSON cannot."""


def encrypted(dumper: Dumper, text: Vaulted) -> yaml.ScalarNode:
    return dumper.represent_scalar("!vault", VAULT.encrypt(text).decode(), style="|")


Dumper.add_representer(Vaulted, encrypted)


def written(place: Path, content: Any) -> Path:
    place.write_text(yaml.dump(content, Dumper=Dumper), encoding="utf-8")
    return place


@dataclass(frozen=True)
class Scenario:
    """One task. message: how a failure starts, empty for success. clusters: names in the result of success."""

    module: str
    options: Mapping[str, Any]
    message: str = ""
    clusters: tuple[str, ...] | None = None
    keywords: Mapping[str, Any] = field(default_factory=dict)


def info(message: str = "", clusters: tuple[str, ...] | None = None, **options: Any) -> Scenario:
    return Scenario("castai_cluster_info", {**API, **options}, message, clusters)


def cluster(message: str, **options: Any) -> Scenario:
    return Scenario(
        "castai_cluster",
        {**API, "provider": "eks", "cluster_name": "shop", "region": "eu-central-1", **options},
        message,
    )


def release(message: str, **options: Any) -> Scenario:
    return Scenario("castai_release", {"name": "castai-agent", "chart_ref": "castai-agent", **options}, message)


def releases(message: str, **options: Any) -> Scenario:
    right = {"name": "cluster-controller", "chart_ref": "castai-cluster-controller"}
    return Scenario("castai_releases", {"releases": [right, {**right, **options}]}, message)


SCENARIOS = {
    "all clusters": info(clusters=("shop", "till")),
    "by name and provider": info(cluster_name="till", provider="eks", clusters=("till",)),
    "an id that only the run will know": Scenario(
        "castai_cluster_info",
        {**API, "cluster_id": "(known after apply)"},
        clusters=(),
        keywords={"check_mode": True, "diff": True},
    ),
    "the key as another option": info(cluster_name="{{ castai_api_key }}", clusters=()),
    "no such key": info("Could not list the clusters: GET https://", castai_api_key=MARK),
    "no such key, vaulted in the task": info("Could not list the clusters: GET https://", castai_api_key=Vaulted(MARK)),
    "no key": Scenario("castai_cluster_info", {}, "castai_api_key is not set. Set it, or the environment"),
    "no such option": info(
        "Unsupported parameters for (castai.onboarding.castai_cluster_info) module: color", color="red"
    ),
    "exclusive options": info(
        "castai_cluster_id (option cluster_id) and castai_cluster_name (option cluster_name) are both set. Use",
        cluster_id=NOBODY,
        cluster_name="shop",
    ),
    "an option and its alias": cluster(
        "castai_region (option region) is not set", access_key="a", aws_access_key_id="a", secret_key=MARK, region=""
    ),
    "several refusals": cluster(
        "EKS cluster name 'sh op' may", cluster_name="sh op", account_id="4711", cluster_id="x"
    ),
    "a value that only a check knows": cluster("cluster_id is (known after apply)", cluster_id="(known after apply)"),
    "several findings": Scenario(
        "castai_preflight",
        {
            **API,
            "provider": "eks",
            "cluster_name": "shop",
            "cluster_id": NOBODY,
            "host": "https://127.0.0.1:9",
            "api_key": MARK,
        },
        "(1) castai_region (option region) is not set",
    ),
    "values that are no dictionary": release("argument 'values' is of type", values="of no use"),
    "a secret value beside a wrong option": release("value of policy must be", values={"apiKey": MARK}, policy="none"),
    "a secret value of two lines": release(
        "Helm release name 'Shop'", name="Shop", values={"apiKey": f"{MARK}\nof two lines"}
    ),
    "a release that is there twice": releases("Option releases lists cluster-controller more than once."),
    "a secret value of a release of several": releases(
        "value of policy must be", values={"apiKey": MARK}, policy="none", name="castai-evictor"
    ),
    "a secret value of a release with a bad name": releases(
        "Helm release name 'Shop'", name="Shop", values={"apiKey": f"{MARK}\nof two lines"}
    ),
    "a vaulted value of a chart that nothing else shows to be secret": release(
        "value of policy must be", policy="none", values={"mode": Vaulted(MARK), "pool": "{{ vaulted }}"}
    ),
    "a vaulted value of one of several charts": releases(
        "value of policy must be", policy="none", values={"a": [{"mode": "its {{ vaulted }}"}]}
    ),
    "values that are no JSON": release(
        "value of policy must be", values={"apiKey": Vaulted(MARK), "until": date(2026, 1, 2)}, policy="none"
    ),
}
JOURNAL = """\
from pathlib import Path
def sendv(*fields): raise NotImplementedError
def send(**fields):
    with Path(__file__).with_name("entries").open("a") as entries: entries.write(f"{fields}\\n")
"""
"""Replaces python-systemd's module, which modules use for logging if it is installed."""
REQUEST_ID = re.compile(r"request ID [-0-9a-f]{36}")


@dataclass(frozen=True)
class BothWays:
    """Each scenario's result inside the controller and as a module, by name, and what Ansible showed of it all."""

    inside: Mapping[str, TaskResult]
    module: Mapping[str, TaskResult]
    output: str
    temporary: tuple[Path, ...]
    log: str


@pytest.fixture(scope="module")
def both_ways(tmp_path_factory: pytest.TempPathFactory) -> BothWays:
    castai = CastAi(Aws())
    folder = tmp_path_factory.mktemp("paths")
    for name in ("shop", "till"):
        castai.seed_cluster(name, eks={"accountId": "1", "region": "r", "clusterName": name})
    with serve(castai.handle) as server:
        authority = folder / "ca.pem"
        authority.write_text(server.ca_pem, encoding="utf-8")
        hosts = {"shop": {"castai_api_key": Vaulted(castai.full_access_key), "vaulted": Vaulted(f"{MARK}'s")}}
        password = folder / "password"
        password.write_text("open sesame", encoding="utf-8")
        tasks = [
            {
                "name": name,
                f"{NAMESPACE}.{scenario.module}": scenario.options,
                "ignore_errors": True,
                **scenario.keywords,
            }
            for name, scenario in SCENARIOS.items()
        ]
        systemd = folder / "python" / "systemd"
        systemd.mkdir(parents=True)
        for name, source in {"__init__": "", "daemon": "def booted(): return True", "journal": JOURNAL}.items():
            (systemd / f"{name}.py").write_text(source, encoding="utf-8")
        plays = [
            local_play(*tasks, castai_api_url=server.url),
            local_play(*tasks, in_module=True, castai_api_url=server.url),
        ]
        run = run_playbook(
            folder,
            written(folder / "playbook.yml", plays),
            "-vvvvv",
            "--vault-password-file",
            str(password),
            inventory=written(folder / "inventory.yml", {"all": {"hosts": hosts}}),
            environment={
                "SSL_CERT_FILE": str(authority),
                "NO_PROXY": "127.0.0.1",
                "ANSIBLE_PIPELINING": "1",
                "PYTHONPATH": str(systemd.parent),
            },
        )
    assert run.status == 0, run.output[-3000:]
    results = [(task.task, task) for task in run.tasks]
    temporary = (folder / "home", folder / "tmp")
    log = (systemd / "entries").read_text(encoding="utf-8")
    return BothWays(dict(results[: len(tasks)]), dict(results[len(tasks) :]), run.output, temporary, log)


def told(result: Mapping[str, Any]) -> Any:
    """A result without Ansible's own marks, values that differ between calls, and the host at the beginning of a
    warning.

    A module's warnings do not pass through the action plugin, which names the host.
    """
    own = {key: value for key, value in result.items() if not key.startswith("_ansible") and key != "exception"}
    if "warnings" in own:
        own["warnings"] = [warning.removeprefix("shop: ") for warning in own["warnings"]]
    return json.loads(REQUEST_ID.sub("request ID X", json.dumps(own)))


@pytest.mark.parametrize("name", SCENARIOS)
def test_both_ways_tell_the_same(both_ways: BothWays, name: str) -> None:
    assert told(both_ways.inside[name].result) == told(both_ways.module[name].result)
    assert both_ways.inside[name].outcome == both_ways.module[name].outcome


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_told_is_right(both_ways: BothWays, name: str) -> None:
    scenario, task = SCENARIOS[name], both_ways.inside[name]
    if scenario.message:
        assert (task.outcome, task.result["changed"]) == ("ignored", False)
        assert task.result["msg"].startswith(scenario.message)
    else:
        assert [one["name"] for one in task.result["clusters"]] == list(scenario.clusters or ())
        assert (task.outcome, task.result["changed"], task.result["actions"]) == ("ok", False, [])


def test_each_way_was_taken(both_ways: BothWays) -> None:
    """A module runs in its own process, which -vvvvv shows."""
    inside, module = both_ways.output.split("PLAY [all]")[1:]
    assert (inside.count("EXEC /bin/sh"), module.count("EXEC /bin/sh")) == (0, len(SCENARIOS))


def test_another_interpreter_is_a_process_of_its_own_and_only_sdks_of_the_plays_providers_are_imported(
    tmp_path: Path,
) -> None:
    other = tmp_path / "python"
    other.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n', encoding="utf-8")
    other.chmod(0o755)
    expected = {
        "by the environment": ({}, True),
        "this one": ({"vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}}, False),
        "any that is found": ({"vars": {"ansible_python_interpreter": "auto_silent"}}, False),
        "of whom it is delegated to": ({"delegate_to": "till"}, False),
    }
    tasks = [
        {"name": name, f"{NAMESPACE}.castai_cluster_info": {}, "ignore_errors": True, **keywords}
        for name, (keywords, _own) in expected.items()
    ]
    till = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    with imported(tmp_path) as (watched, libraries):
        run = run_playbook(
            tmp_path,
            [{"hosts": "shop", "connection": "local", "gather_facts": False, "tasks": tasks}],
            "-vvv",
            inventory={"all": {"hosts": {"shop": {"castai_provider": "gke"}, "till": till}}},
            environment={"ANSIBLE_PYTHON_INTERPRETER": str(other), **watched},
        )
    shown = {text.partition("]")[0]: "EXEC /bin/sh" in text for text in run.output.split("TASK [")[1:]}
    assert shown == {name: own for name, (_keywords, own) in expected.items()}
    assert libraries.keys() & {"azure.identity", "boto3", "google.auth"} == {"google.auth"}


def test_no_secret_is_shown_or_left(both_ways: BothWays) -> None:
    assert [line for line in both_ways.output.splitlines() if "CANARY" in line] == []
    left = [file for folder in both_ways.temporary for file in folder.rglob("*") if file.is_file()]
    assert [file for file in left if b"CANARY" in file.read_bytes()] == []


def test_no_secret_is_logged(both_ways: BothWays) -> None:
    """Ansible logs a module's arguments, unless its options are wrong."""
    assert "castai_release Invoked with" in both_ways.log
    assert [line for line in both_ways.log.splitlines() if "CANARY" in line] == []
