# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The oldest and the newest set of requirements: the playbooks and connections run with each.

Both report the versions that were really imported, and fail if one is not the stated one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests import tree
from tests.gates.environments import CACHE, Environment, Failed, Version, dotted, environment, environment_of, pins
from tests.sandbox.build import NO_DEBUGGING, go_environment
from tests.sandbox.client import ClusterAccess, World
from tests.sandbox.locks import locked
from tests.support.clusters import inventory
from tests.support.playbook import SYSTEM_PATH, Run, run_playbook
from tests.support.survey import DATA, SURVEY
from tests.support.worlds import clear_left

CLUSTERS = ("prod:eks", "shop.example.com:kops", "web:gke", "desk:aks")
PLAYBOOKS = ("castai.onboarding.connect", "castai.onboarding.onboard")
SITE = "castai.onboarding.site"
TABLE = "tests/unit/plugins/module_utils/_gateways/test_connections.py"

_WATCH = Path(__file__).parent / "watch"
_NAMED = ("ansible-core", "Python", "Helm")
"""What only README.md states, or README.md and others."""
_AS_IMPORTED = {
    "ansible-core": "ansible",
    "azure-identity": "azure.identity",
    "google-auth": "google.auth",
    "PyYAML": "yaml",
}
"""Packages that another package imports."""


@dataclass(frozen=True)
class Set:
    """requirements: name of its file; pythons: from, to. helm: its module and version.

    native: values of jinja2_native, an option until core 2.19.
    """

    requirements: str
    pythons: tuple[Version, Version]
    helm: tuple[str, str]
    native: tuple[str, ...]


OLDEST = Set("oldest", ((3, 10), (3, 10)), ("helm.sh/helm/v3", "v3.14.4"), ("false", "true"))
NEWEST = Set("newest", ((3, 13), (3, 14)), ("helm.sh/helm/v4", "v4.3.1"), ("true",))

CLIENTS: tuple[tuple[str, str, Version], ...] = (
    ("24.2.0", "1.26.5", (3, 10)),
    ("28.1.0", "1.26.20", (3, 11)),
    ("31.0.0", "2.0.7", (3, 11)),
    ("34.1.0", "2.3.0", (3, 12)),
    ("37.0.2", "2.8.0", (3, 13)),
)
"""Releases of the kubernetes client with urllib3 and Python: the oldest, the newest, and those between that differ.

28 took urllib3 below 2 alone, 31 to 33 read no proxy from the environment, 34 and 35 no NO_PROXY.
"""


def playbooks(folder: Path) -> str:
    """Each playbook over a cluster of each provider, under the oldest and under the newest set."""
    compare(stated(), lowest(), "the oldest set, against what the collection states")
    clear_left("versions")
    world = World(f"versions-{os.getpid()}")
    sets = [(one, environment(one.requirements, *one.pythons), built_helm(*one.helm)) for one in (OLDEST, NEWEST)]
    try:
        world.up(*CLUSTERS)
        remarks = []
        for number, (one, on, helm) in enumerate(sets):
            if number:
                world.reset()
            remarks.append(_run(world, folder / one.requirements, one, on, helm))
        return "; ".join(remarks)
    finally:
        world.down()


def connections(folder: Path) -> str:
    """The table of connections under each kubernetes client."""
    return "; ".join(_table(folder / client, client, urllib3, python) for client, urllib3, python in CLIENTS)


def _run(world: World, folder: Path, one: Set, on: Environment, helm: Path) -> str:
    folder.mkdir()
    exported = world.env()
    exported.pop("PATH")
    hosts = inventory(world.clusters().values(), {"castai_wait_timeout": 120})
    kops = world.clusters()["shop.example.com"]
    hosts["castai_clusters"]["hosts"][kops.name]["castai_kubeconfig"] = _by_auth_provider(world, kops, folder)
    with imported(folder) as (variables, found):
        _text_means_what_it_says(folder, one, on, helm, hosts, {**exported, **variables})
        for playbook in PLAYBOOKS:
            run = run_playbook(
                folder,
                playbook,
                inventory=hosts,
                environment={**exported, **variables},
                path=(helm.parent, on.python.parent, *SYSTEM_PATH),
                python=on.python,
            )
            _ended_well(run, f"{playbook} under the {one.requirements} set")
    wanted = {**pins(one.requirements), "helm": one.helm[1]}
    return in_words({**found, "helm": _version_of(helm)}, wanted, f"the {one.requirements} set")


def _text_means_what_it_says(
    folder: Path, one: Set, on: Environment, helm: Path, hosts: Mapping[str, Any], environment: Mapping[str, str]
) -> None:
    """The plan of `site` for variables given as data and as text, before core 2.19 with native types and without.

    For one host, because one place decides for all providers what a text means.
    """
    plans = []
    for native, variables in ((one.native[0], DATA), *((native, SURVEY) for native in one.native)):
        run = run_playbook(
            folder,
            SITE,
            "--check",
            "--limit",
            "prod",
            "-e",
            json.dumps(variables),
            inventory=hosts,
            environment={**environment, "ANSIBLE_JINJA2_NATIVE": native},
            path=(helm.parent, on.python.parent, *SYSTEM_PATH),
            python=on.python,
        )
        _ended_well(run, f"{SITE} under the {one.requirements} set with jinja2_native {native}")
        plans.append({host: run.actions(host) for host in run.stats})
    if not any(plans[0].values()) or any(plan != plans[0] for plan in plans):
        raise Failed(f"under the {one.requirements} set, text plans otherwise than data: {json.dumps(plans, indent=1)}")


def _ended_well(run: Run, what: str) -> None:
    if run.status:
        raise Failed(f"{what} ended with {run.status}:\n{run.output}")


def _by_auth_provider(world: World, cluster: ClusterAccess, folder: Path) -> str:
    """A kubeconfig that needs the kubernetes client. The token is a service account's."""
    kubernetes, accounts = world.kubernetes(cluster.name), "/api/v1/namespaces/default/serviceaccounts"
    kubernetes.create(accounts, {"metadata": {"name": "versions"}})
    kubernetes.create(
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        {
            "metadata": {"name": "versions"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "versions", "namespace": "default"}],
        },
    )
    granted = kubernetes.create(f"{accounts}/versions/token", {"spec": {"expirationSeconds": 3600}})
    path = cluster.kubeconfig(folder / "kubeconfig")
    config = json.loads(path.read_text(encoding="utf-8"))
    config["users"][0]["user"] = {"auth-provider": {"name": "oidc", "config": {"id-token": granted["status"]["token"]}}}
    path.write_text(json.dumps(config), encoding="utf-8")
    return str(path)


def _table(folder: Path, client: str, urllib3: str, python: Version) -> str:
    folder.mkdir()
    wanted = {"kubernetes": client, "urllib3": urllib3}
    tools = ["ansible-core", "cryptography", "hypothesis", "PySocks", "pytest", "PyYAML"]
    on = environment_of(
        "\n".join([*(f"{name}=={version}" for name, version in wanted.items()), *tools]), python, python
    )
    with imported(folder) as (variables, found):
        done = subprocess.run(
            [on.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", TABLE],
            cwd=tree.ROOT,
            env=on.variables(ANSIBLE_COLLECTIONS_PATH=str(folder / "collections"), **variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    if done.returncode or "skipped" in done.stdout:
        raise Failed(f"the table of connections under kubernetes {client} and urllib3 {urllib3}:\n{done.stdout}")
    return in_words({name: found.get(name, set()) for name in ("python", *wanted)}, wanted, f"kubernetes {client}")


@contextmanager
def imported(folder: Path) -> Iterator[tuple[Mapping[str, str], dict[str, set[str]]]]:
    """Variables that make Python write down what it imports, and, after the block, the versions by name."""
    log, found = folder / "imported", dict[str, set[str]]()
    yield {"PYTHONPATH": str(_WATCH), "CASTAI_IMPORTED": str(log)}, found
    for line in log.read_text(encoding="utf-8").splitlines():
        name, version = line.split(" ")
        found.setdefault(name, set()).add(version)


def in_words(found: Mapping[str, Any], wanted: Mapping[str, str], where: str) -> str:
    """The versions found, in words. Raises Failed if one is not the wanted one."""
    seen = {name: "/".join(sorted(versions)) for name, versions in found.items()}
    compare(wanted, {name: seen.get(_AS_IMPORTED.get(name, name), "none") for name in wanted}, where)
    return ", ".join(f"{name} {version}" for name, version in sorted(seen.items()))


def compare(wanted: Mapping[str, str], found: Mapping[str, str], where: str) -> None:
    other = [f"{name} is {found.get(name)}, not {wanted[name]}" for name in wanted if found.get(name) != wanted[name]]
    if other:
        raise Failed(f"{where}: {'; '.join(other)}")


def stated() -> dict[str, str]:
    """The lowest versions that the collection names: in requirements.txt, meta/runtime.yml and README.md."""
    needed = re.findall(r"^(\S+)>=(\S+)$", (tree.ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    core = yaml.safe_load((tree.ROOT / "meta/runtime.yml").read_text(encoding="utf-8"))["requires_ansible"]
    readme = (tree.ROOT / "README.md").read_text(encoding="utf-8")
    named = {
        name: re.findall(rf"^- .*\b{name}\b[^\n]*? (\d[\d.]*\d) or newer", readme, re.MULTILINE) for name in _NAMED
    }
    return {
        **dict(needed),
        "ansible-core": core.removeprefix(">="),
        **{f"{name} in README.md": "/".join(versions) for name, versions in named.items()},
    }


def lowest() -> dict[str, str]:
    """The contents of the oldest set, by the names of `stated`."""
    pinned = pins(OLDEST.requirements)
    major_minor = {
        "ansible-core": pinned["ansible-core"].rpartition(".")[0],
        "Python": dotted(OLDEST.pythons[0]),
        "Helm": OLDEST.helm[1].removeprefix("v").rpartition(".")[0],
    }
    return {**pinned, **{f"{name} in README.md": version for name, version in major_minor.items()}}


def built_helm(module: str, version: str) -> Path:
    """Helm in that version, built once from its source."""
    folder = CACHE / f"helm-{version}"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "lock"):
        if not (folder / "helm").exists():
            go = shutil.which("go", path=f"{os.environ.get('PATH', os.defpath)}:/usr/local/go/bin")
            if go is None:
                raise Failed("Go is needed to build Helm, and no go is on the PATH")
            stamp = f"-s -w -X {module}/internal/version.version={version}"
            # Compiled as fast as possible, because it only runs a few times.
            flags = ("-trimpath", f"{NO_DEBUGGING} -N -l", "-ldflags", stamp)
            command = [go, "install", *flags, f"{module}/cmd/helm@{version}"]
            where = {**go_environment(), "GOBIN": str(folder)}
            done = subprocess.run(command, env=where, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode:
                raise Failed(f"Helm {version} does not build:\n{done.stderr}")
    return folder / "helm"


def _version_of(helm: Path) -> set[str]:
    command = [helm, "version", "--template", "{{.Version}}"]
    return {subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()}
