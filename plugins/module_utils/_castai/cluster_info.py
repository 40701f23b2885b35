# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clusters as CAST AI records them: one, or all of the organization. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .._clusters.table import RECORDED
from .._engine import UNKNOWN, Action, Made, Refused, Subject
from .._gateways.castai import CastAi, Cluster, by_options
from .._names import cluster_id_problem
from .._options import castai_options
from .records import public

OPTIONS: dict[str, Any] = {
    "argument_spec": {
        **castai_options(),
        "cluster_id": {"type": "str"},
        "cluster_name": {"type": "str"},
        "provider": {"type": "str", "choices": [*RECORDED]},
    },
    "mutually_exclusive": [["cluster_id", "cluster_name"], ["cluster_id", "provider"]],
}


@dataclass(frozen=True)
class Desired:
    cluster_id: str
    name: str
    provider: str


def desired(params: Mapping[str, Any]) -> Desired:
    cluster_id = params.get("cluster_id") or ""
    problem = cluster_id_problem(cluster_id) if cluster_id else ""
    if problem:
        raise Refused(problem)
    return Desired(cluster_id.lower(), params.get("cluster_name") or "", params.get("provider") or "")


def connect(params: Mapping[str, Any], wanted: Desired) -> CastAi:
    return by_options(params)


def observe(gateway: CastAi, wanted: Desired) -> tuple[Cluster, ...]:
    if wanted.cluster_id == UNKNOWN:
        return ()
    if wanted.cluster_id:
        record = gateway.get_cluster(wanted.cluster_id)
        return (record,) if record else ()
    return tuple(
        record
        for record in gateway.list_clusters()
        if wanted.name in ("", record.name) and wanted.provider in ("", record.provider)
    )


def plan(current: tuple[Cluster, ...], wanted: Desired) -> Iterable[Action]:
    return ()


def view(current: tuple[Cluster, ...], wanted: Desired, made: Made) -> Mapping[str, Any]:
    return {"clusters": [public(record) for record in current]}


SUBJECT = Subject(OPTIONS, desired, connect, observe, plan, view)
