# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All providers: the only file that names more than one. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._gateways.castai import Cluster
from .._options import (
    CLUSTER_RULES,
    KUBERNETES_RULES,
    Rules,
    Spec,
    castai_options,
    cluster_options,
    kubernetes_options,
    together,
)
from .._record import mismatch
from .aks import AKS
from .eks import EKS
from .facts import Parameters, Provider
from .gke import GKE
from .kops import KOPS

PROVIDERS: dict[str, Provider] = {provider.key: provider for provider in (EKS, KOPS, GKE, AKS)}

RECORDED = ("eks", "kops", "gke", "aks")
"""Providers of clusters that CAST AI may list, whether or not this collection can connect them."""


def naming_options(required: bool) -> Spec:
    """The options that name the cluster. required: False if a kubeconfig alone is enough."""
    return cluster_options(PROVIDERS, required)


def connection_options(required: bool) -> Spec:
    """The options that name the cluster and those to reach it, for all providers."""
    return {**naming_options(required), **_merged(provider.options for provider in PROVIDERS.values())} | (
        kubernetes_options()
    )


def connection_rules(required: bool) -> Rules:
    """How these options depend on each other, for AnsibleModule."""
    rules = {id(provider.rules): provider.rules for provider in PROVIDERS.values()}
    return together(*(() if required else (CLUSTER_RULES,)), KUBERNETES_RULES, *rules.values())


def registration_options() -> Spec:
    """The location options that only registering a cluster needs."""
    return _merged(provider.registration_options for provider in PROVIDERS.values())


def identity_options() -> Spec:
    """The options of all providers' identities, for preflight.

    An option that differs between providers has all their choices and no default: each provider has its own (phase2).
    """
    merged: dict[str, dict[str, Any]] = {}
    for provider in PROVIDERS.values():
        for option, one in provider.onboarding.options.items():
            merged[option] = _of_both(merged.get(option, one), one)
    return merged


def _of_both(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    if first == second:
        return first
    choices = dict.fromkeys((*first.get("choices", ()), *second.get("choices", ())))
    return {"type": second["type"], **({"choices": [*choices]} if choices else {})}


def all_options() -> Spec:
    """The options of every group."""
    return {**connection_options(required=True), **castai_options()}


def given_problems(params: Parameters) -> tuple[str, ...]:
    """What is wrong with the options that name the cluster, for modules where they may be left out."""
    name, key = params.get("cluster_name") or "", params.get("provider") or ""
    found = [PROVIDERS[key].name_problem(name)] if name and key else []
    found += [problem for provider in PROVIDERS.values() for problem in provider.option_problems(params).values()]
    return tuple(dict.fromkeys(filter(None, found)))


def mismatch_of_any(record: Cluster, ours: str) -> str:
    """The same as mismatch for a record of any provider."""
    provider = PROVIDERS.get(record.provider, EKS)
    return mismatch(record, ours, provider.key, provider.title, provider.describe_location)


def _merged(specs: Iterable[Mapping[str, dict[str, Any]]]) -> Spec:
    return {option: one for spec in specs for option, one in spec.items()}
