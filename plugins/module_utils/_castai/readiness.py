# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the pods of releases that are to be installed could start, for preflight. PRIVATE to the collection.

The pods are those of the chart with the run's values. Helm only renders the chart if something may keep them from
starting.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from .._clusters.facts import NODES, SOME_NODES, ClusterFacts
from .._engine import CallFailed, Failure, at_once, results
from .._gateways.helm import Chart, Helm
from .._gateways.kubernetes import DENIED, Kubernetes, Object, Rejected, path_of
from .._helm.values import secrets
from .._variables import named
from . import pods

SOME_ID = "00000000-0000-0000-0000-000000000000"
"""The id for charts that need one before it is known."""

METRICS = "/apis/metrics.k8s.io/v1beta1"
"""A path that metrics-server itself serves through the API server, which answers 503 if metrics-server does not
respond."""

QUOTA, LIMITS = "ResourceQuota", "LimitRange"
WORKLOAD_AUTOSCALER = "castai-workload-autoscaler"
_CHOOSY = ("nodeSelector", "affinity", "tolerations")
"""Chart values that choose the nodes of its pods."""

_RESOURCES = "set resources in agent_values or components_values"

Templates = Mapping[str, tuple[pods.Template, ...]]
Counts = Mapping[str, Mapping[str, Decimal]]
"""Both by release. The objects are counted as quotas do."""


@dataclass(frozen=True)
class Planned:
    """A release that is to be installed, with the run's values."""

    release: str
    chart: Chart
    values: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Cluster:
    """The facts about the cluster that decide. limits: the LimitRanges. Both and nodes: None if they may not be listed.

    nodes: also None if there are more than are read at once.
    """

    namespace: str
    level: str = pods.PRIVILEGED
    quotas: tuple[Object, ...] = ()
    limits: tuple[Object, ...] | None = ()
    nodes: tuple[Object, ...] | None = None

    @classmethod
    def of(
        cls,
        name: str,
        namespace: Object | None,
        quotas: Object | None,
        limits: Object | None,
        nodes: tuple[Object, ...] | None,
    ) -> Cluster:
        """From the API server's answers; None for what may not be read. Unreadable quotas are reported elsewhere."""
        labels = ((namespace or {}).get("metadata") or {}).get("labels") or {}
        return cls(
            name,
            labels.get(pods.ENFORCE) or pods.PRIVILEGED,
            tuple((quotas or {}).get("items") or ()),
            None if limits is None else tuple(limits.get("items") or ()),
            nodes,
        )


@dataclass(frozen=True)
class Policed:
    """A cluster that may have policies for pods. exemption: how a namespace is exempted, as a sentence; there: whether
    the namespace exists, without which nothing can be tried."""

    kubernetes: Kubernetes
    exemption: str
    there: bool


@dataclass(frozen=True)
class Verdict:
    """findings: why pods certainly cannot start; not_checked: what could not be checked, and why."""

    findings: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    not_checked: tuple[str, ...] = ()


def nodes(kubernetes: Kubernetes, facts: ClusterFacts | None) -> tuple[Object, ...] | None:
    """The cluster's nodes; None if there are more than are read at once. facts: None if not known."""
    listed = facts.nodes if facts and facts.nodes else kubernetes.get(NODES, limit=SOME_NODES)
    if ((listed or {}).get("metadata") or {}).get("continue"):
        return None
    return tuple((listed or {}).get("items") or ())


def metrics_warning(kubernetes: Kubernetes, releases: Collection[str]) -> str:
    """What works less well without metrics-server; empty if it answers or nothing is known."""
    try:
        if kubernetes.get(METRICS) is not None:
            return ""
        lacking = True
    except Rejected as answer:
        if answer.status != HTTPStatus.SERVICE_UNAVAILABLE:
            return ""
        lacking = False
    except Failure:
        return ""
    state = "has no metrics-server" if lacking else "has a metrics-server that does not answer"
    sizing = WORKLOAD_AUTOSCALER in releases
    blind = "castai-agent cannot see how much CPU and memory pods use"
    hit = f"{WORKLOAD_AUTOSCALER} cannot size workloads" if sizing else blind
    fix = "Install metrics-server" if lacking else "Look at its pods"
    way_out = ", or set components_workload_autoscaler to false" if sizing else ""
    return f"The cluster {state}, so {hit}. {fix}{way_out}."


def pull_warnings(kubernetes: Kubernetes, namespace: str, values: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Which Secrets for pulling images are missing. values: those of the charts, by release.

    Without the Secret a node pulls anonymously, which is enough for public images.
    """
    users: dict[str, list[str]] = {}
    for release, given in values.items():
        listed = given.get("imagePullSecrets")
        for one in listed if isinstance(listed, list) else ():
            name = one.get("name") if isinstance(one, Mapping) else None
            if isinstance(name, str) and name:
                users.setdefault(name, []).append(release)
    with at_once() as ask:
        asked = {name: ask(_is_absent, kubernetes, path_of("v1", "Secret", name, namespace)) for name in users}
    return tuple(
        f"Secret {namespace}/{name} does not exist, but {', '.join(users[name])} would pull images with it. Create it,"
        " or correct castai_image_pull_secrets."
        for name, absent in results(asked).items()
        if absent
    )


def _is_absent(kubernetes: Kubernetes, path: str) -> bool:
    try:
        return kubernetes.get(path) is None
    except Failure:
        return False


def study(helm: Helm, cluster: Cluster, planned: Collection[Planned], policed: Policed | None = None) -> Verdict:
    """What keeps the planned releases from running. Charts are only rendered if the PodSecurity level, quotas, nodes,
    policies or values make it necessary."""
    trying = policed if policed and policed.there else None
    asking = [one for one in planned if trying or _may_be_stopped(cluster, one)]
    with at_once() as ask:
        answers = {one.release: ask(_render, helm, cluster.namespace, one) for one in asking}
    rendered = results(answers)
    unread = tuple(
        f"Could not check whether the pods of {release} can start: {answer}"
        for release, answer in rendered.items()
        if isinstance(answer, str)
    )
    found = {release: answer[0] for release, answer in rendered.items() if not isinstance(answer, str)}
    counts = {release: answer[1] for release, answer in rendered.items() if not isinstance(answer, str)}
    tried = _tried(trying, cluster.namespace, found) if trying else Verdict()
    if policed and planned and not trying:
        absent = f"namespace {cluster.namespace} does not exist yet. {policed.exemption}"
        unread += (f"Could not check whether policies of the cluster refuse pods: {absent}",)
    return Verdict(
        (*findings(cluster, found, counts), *tried.findings),
        tuple(warnings(cluster, bool(planned))),
        (*unread, *tried.not_checked),
    )


def _tried(policed: Policed, namespace: str, templates: Templates) -> Verdict:
    """What the cluster's policies say about the pods, found with a dry run."""
    path = path_of("v1", "Pod", None, namespace)
    with at_once() as ask:
        answers = {
            f"{template.title} of {release}": ask(_refusal, policed.kubernetes, path, pods.alone(template, namespace))
            for release, found in templates.items()
            for template in found
        }
    refusals = {title: said for title, said in results(answers).items() if said}
    denied = {title: said for title, said in refusals.items() if any(one in said for one in DENIED)}
    return Verdict(
        tuple(
            f"A policy of the cluster refuses the pods of {title}: {said} {policed.exemption}"
            for title, said in denied.items()
        ),
        not_checked=tuple(
            f"Could not check whether policies of the cluster refuse the pods of {title}: {said}"
            for title, said in refusals.items()
            if title not in denied
        ),
    )


def _refusal(kubernetes: Kubernetes, path: str, pod: Object) -> str:
    """Why the API server would not create a pod, as a sentence, or an empty text."""
    try:
        kubernetes.create(path, pod, dry_run=True)
    except Rejected as refusal:
        return refusal.message.rstrip(".") + "."
    except Failure as failure:
        return str(failure)
    return ""


def findings(cluster: Cluster, templates: Templates, counts: Counts = MappingProxyType({})) -> Iterator[str]:
    """Why pods certainly cannot start, or objects cannot be created."""
    yield from _by_level(cluster, templates)
    stored = _stored(cluster, templates)
    yield from _by_limits(cluster, stored)
    yield from _by_quota(cluster, stored, counts)
    yield from _by_nodes(cluster, templates)


def warnings(cluster: Cluster, installing: bool) -> Iterator[str]:
    if installing and cluster.nodes is not None and sum(map(pods.plain, cluster.nodes)) == 1:
        yield (
            "Only one node of the cluster accepts pods, so castai-agent and cluster-controller cannot spread their"
            " pods over two nodes, and castai-evictor has no node to move pods to."
        )


def _may_be_stopped(cluster: Cluster, one: Planned) -> bool:
    choosy = any(f'"{key}"' in json.dumps(one.values, default=str) for key in _CHOOSY)
    nodeless = cluster.nodes is not None and (choosy or not any(map(pods.plain, cluster.nodes)))
    return cluster.level != pods.PRIVILEGED or bool(cluster.quotas) or bool(cluster.limits) or nodeless


def _render(helm: Helm, namespace: str, one: Planned) -> tuple[tuple[pods.Template, ...], Mapping[str, Decimal]] | str:
    """The pods that the release would create, and how many objects, or why they are not known."""
    try:
        values = _with_id(one.values)
        objects = helm.render(one.chart, one.release, namespace, values, secrets(values))
        return pods.templates(objects), pods.counted(objects, namespace)
    except CallFailed as failure:
        return str(failure)


def _with_id(values: Mapping[str, Any]) -> dict[str, Any]:
    castai = values.get("castai")
    if isinstance(castai, Mapping) and castai.get("clusterID") == "":
        return {**values, "castai": {**castai, "clusterID": SOME_ID}}
    return dict(values)


def _by_level(cluster: Cluster, templates: Templates) -> Iterator[str]:
    stopped: dict[str, list[str]] = {}
    enough = pods.BASELINE
    for release, found in templates.items():
        nouns = [noun for template in found for noun in pods.forbidden(template.pod, cluster.level)]
        if nouns:
            stopped[release] = list(dict.fromkeys(nouns))
        if any(pods.forbidden(template.pod, pods.BASELINE) for template in found):
            enough = pods.PRIVILEGED
    if stopped:
        listed = "; ".join(f"{release} has {', '.join(nouns)}" for release, nouns in stopped.items())
        yield (
            f"Namespace {cluster.namespace} enforces PodSecurity level {cluster.level}, under which these cannot start:"
            f" {listed}. Set the namespace's label {pods.ENFORCE} to {enough}, or set {named('namespace')} to another"
            " namespace."
        )


def _stored(cluster: Cluster, templates: Templates) -> Templates:
    """The templates with what LimitRanges fill in, as far as they are known."""
    ranges = cluster.limits or ()
    return {
        release: tuple(replace(template, pod=pods.with_defaults(template.pod, ranges)) for template in found)
        for release, found in templates.items()
    }


def _by_limits(cluster: Cluster, templates: Templates) -> Iterator[str]:
    refused = [
        f"{template.title} of {release} ({'; '.join(why)})"
        for release, found in templates.items()
        for template in found
        if (why := pods.beyond(template.pod, cluster.limits or ()))
    ]
    if refused:
        names = ", ".join(one["metadata"]["name"] for one in cluster.limits or ())
        yield (
            f"LimitRange {names} of namespace {cluster.namespace} does not allow the pods of {', '.join(refused)}."
            f" Change it, or {_RESOURCES}."
        )


def _by_quota(cluster: Cluster, templates: Templates, counts: Counts) -> Iterator[str]:
    known = cluster.limits is not None
    for quota in cluster.quotas:
        counted = {
            release: [one for one in found if pods.covers(quota, one.pod, known)]
            for release, found in templates.items()
        }
        asked = {
            release: {**counts.get(release, {}), **pods.needed((one, _how_many(cluster, one)) for one in found)}
            for release, found in counted.items()
        }
        short = pods.short_of(quota, functools.reduce(pods.added, asked.values(), {}))
        name = f"ResourceQuota {quota['metadata']['name']} of namespace {cluster.namespace}"
        if short:
            asking = ", ".join(release for release, one in asked.items() if pods.concerns(quota, one))
            yield f"{name} leaves too little for {asking}: {'; '.join(short)}. Raise the quota."
        unnamed = [
            f"{template.title} of {release} ({', '.join(lacks)})"
            for release, found in counted.items()
            for template in found
            if known and (lacks := pods.unnamed(quota, template.pod))
        ]
        if unnamed:
            yield (
                f"{name} only accepts pods whose containers all set requests and limits, but these do not:"
                f" {', '.join(unnamed)}. Add a LimitRange with defaults, or {_RESOURCES}."
            )


def _how_many(cluster: Cluster, template: pods.Template) -> int:
    """The minimum number of long-running pods that a workload creates."""
    if not template.lasting:
        return 0
    return template.count or sum(pods.takes(node, template.pod) for node in cluster.nodes or ())


def _by_nodes(cluster: Cluster, templates: Templates) -> Iterator[str]:
    if cluster.nodes is None:
        return
    lost = [
        f"{template.title} of {release}"
        for release, found in templates.items()
        for template in found
        if template.kind != "DaemonSet" and not any(pods.takes(node, template.pod) for node in cluster.nodes)
    ]
    if lost:
        yield (
            f"None of the cluster's {len(cluster.nodes)} nodes accepts the pods of {', '.join(lost)}: they are"
            " tainted, cordoned or not ready, or lack the labels that the pods require. Add a node, or set"
            " tolerations and nodeSelector in agent_values or components_values. If an autoscaler will add nodes for"
            f" them, set {named('wait_for_workloads')} to false."
        )
