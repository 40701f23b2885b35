# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of a Helm release, and what the user wants by them. Pure. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._clusters.connection import named_by
from .._clusters.facts import Named
from .._clusters.table import connection_options, connection_rules, given_problems
from .._engine import Refused
from .._gateways.helm import Chart
from .._given import as_path
from .._names import NAMESPACE, chart_version_problem, helm_release_problem, namespace_problem
from .._variables import role_of
from .values import secrets

Parameters = Mapping[str, Any]

OPTIONS: dict[str, Any] = {
    "argument_spec": {
        **connection_options(required=False),
        "adopt": {"type": "bool", "default": False},
        "adopt_managed": {"type": "bool", "default": False},
        "chart_ref": {"type": "str"},
        "chart_repo_url": {"type": "str"},
        "chart_version": {"type": "str"},
        "create_namespace": {"type": "bool", "default": True},
        "delete_superseded_records": {"type": "bool", "default": False},
        "helm_path": {"type": "path"},
        "name": {"type": "str", "required": True},
        "namespace": {"type": "str", "default": NAMESPACE},
        "pending": {"type": "str", "choices": ["recover", "fail"], "default": "recover"},
        "pending_grace": {"type": "int", "default": 300},
        "policy": {"type": "str", "choices": ["enforce", "install_only"], "default": "enforce"},
        "purpose": {"type": "str"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "timeout": {"type": "int", "default": 300},
        "values": {"type": "dict", "default": {}},
        "wait": {"type": "bool", "default": False},
        "wait_for_workloads": {"type": "bool", "default": True},
    },
    **connection_rules(required=False),
    "required_if": [["state", "present", ["chart_ref"]]],
}


@dataclass(frozen=True)
class Desired:
    """What the user wants. grace, timeout: seconds."""

    name: str
    namespace: str
    present: bool
    chart: Chart
    values: Mapping[str, Any] = field(repr=False)
    enforce: bool
    adopt: bool
    adopt_managed: bool
    recover: bool
    grace: int
    wait: bool
    timeout: int
    create_namespace: bool
    delete_superseded: bool
    cluster: Named
    wait_for_workloads: bool = True
    """Whether the release must run in the end; otherwise, workloads that do not run are a warning."""
    purpose: str = ""
    """What the release does in the cluster, for the readers of a plan."""
    unwanted: bool = False
    """Whether the release is only looked for, and reported if it is installed."""

    @property
    def title(self) -> str:
        return f"Helm release {self.name}"


def desired(params: Parameters) -> Desired:
    version, name, cluster = params.get("chart_version") or "", params["name"], named_by(params)
    found = (
        helm_release_problem(name),
        namespace_problem(params["namespace"], params["state"] == "present"),
        *given_problems(params),
        chart_version_problem(version, name),
    )
    problems = [problem for problem in found if problem]
    if problems:
        raise Refused(" ".join(problems))
    return Desired(
        name=name,
        namespace=params["namespace"],
        present=params["state"] == "present",
        chart=Chart(
            _absolute(params.get("chart_ref") or ""), version, params.get("chart_repo_url") or "", role_of(name)
        ),
        values=params["values"],
        enforce=params["policy"] == "enforce",
        adopt=params["adopt"],
        adopt_managed=params["adopt_managed"],
        recover=params["pending"] == "recover",
        grace=params["pending_grace"],
        wait=params["wait"],
        timeout=params["timeout"],
        create_namespace=params["create_namespace"],
        delete_superseded=params["delete_superseded_records"],
        cluster=cluster,
        wait_for_workloads=params["wait_for_workloads"],
        purpose=params.get("purpose") or "",
    )


def _absolute(ref: str) -> str:
    """A user's path made absolute; names and addresses of charts stay. Helm runs in a folder of its own."""
    is_path = ref.startswith(("/", "./", "../", "~")) or (ref.endswith((".tgz", ".tar.gz")) and "://" not in ref)
    return str(as_path(ref).absolute()) if is_path else ref


def hidden(params: Parameters) -> tuple[str, ...]:
    values = params.get("values")
    return secrets(values) if isinstance(values, dict) else ()
