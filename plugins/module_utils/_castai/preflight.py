# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands in the way of connecting a cluster: reads only, every reason at once. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Callable

from .._aws.eks import wrong_cluster
from .._aws.gateway import EksCluster
from .._engine import UNKNOWN, Action, Failure, Made, Refused, Subject, gather
from .._helm import record as helm_record
from .._helm.gateway import Helm
from .._k8s.access import Way, given, other_cluster
from .._k8s.gateway import Kubernetes, Object, path_of
from .._names import NAMESPACE, helm_release_problem
from .._options import CONNECTION_RULES, aws_options, castai_options, kubernetes_options
from .cluster import problems
from .gateway import CastAi, Cluster

Parameters = Mapping[str, Any]

OLDEST_KUBERNETES = (1, 21)
"""The charts use policy/v1 without a fallback, which Kubernetes has since 1.21."""

AGENT_METADATA = "castai-agent-metadata"
"""ConfigMap that a reporting agent writes, with the cluster's id as CLUSTER_ID."""

_WRITE = ("get", "create", "patch", "delete")
PERMISSIONS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("", "namespaces", ("get", "create")),
    ("", "secrets", ("get", "list", "create", "update", "patch", "delete")),
    ("", "configmaps", _WRITE),
    ("", "serviceaccounts", _WRITE),
    ("", "resourcequotas", _WRITE),
    ("apps", "deployments", _WRITE),
    ("policy", "poddisruptionbudgets", _WRITE),
    ("rbac.authorization.k8s.io", "clusterroles", (*_WRITE, "bind", "escalate")),
    ("rbac.authorization.k8s.io", "clusterrolebindings", _WRITE),
    ("rbac.authorization.k8s.io", "roles", (*_WRITE, "bind", "escalate")),
    ("rbac.authorization.k8s.io", "rolebindings", _WRITE),
)
"""API group, resource and verbs that registering and the agent's release need."""

_CLUSTER_WIDE = frozenset({"namespaces", "clusterroles", "clusterrolebindings"})
_OTHER_NAMESPACE = {"roles": "kube-system", "rolebindings": "kube-system"}

OPTIONS: dict[str, Any] = {
    "argument_spec": {
        **castai_options(),
        **aws_options(),
        **kubernetes_options(),
        "account_id": {"type": "str"},
        "cluster_id": {"type": "str"},
        "helm_path": {"type": "path"},
        "name": {"type": "str", "required": True},
        "namespace": {"type": "str", "default": NAMESPACE},
        "organization_id": {"type": "str"},
        "provider": {"type": "str", "choices": ["eks"], "default": "eks"},
        "releases": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "chart_ref": {"type": "str", "required": True},
                "chart_repo_url": {"type": "str"},
                "chart_version": {"type": "str"},
                "name": {"type": "str", "required": True},
            },
        },
    },
    **CONNECTION_RULES,
}


@dataclass(frozen=True)
class Chart:
    """A release that the run will want. Empty strings for what is not given."""

    release: str
    ref: str
    repo_url: str
    version: str


@dataclass(frozen=True)
class Desired:
    """What the user says of the cluster. Empty strings for what is not given, or no use."""

    name: str
    provider: str
    region: str
    account_id: str
    cluster_id: str
    organization_id: str
    namespace: str
    charts: tuple[Chart, ...]
    problems: tuple[str, ...]
    """What is wrong with the options themselves, found before any call."""


@dataclass(frozen=True)
class Problem:
    """A read that failed: the sentence stands for the value."""

    sentence: str


@dataclass(frozen=True)
class Current:
    """What the reads gave: a value, a Problem, or None for what could not be asked."""

    records: tuple[Cluster, ...] | Problem = ()
    eks: EksCluster | Problem | None = None
    elsewhere: str = ""
    version: tuple[int, int] | Problem | None = None
    missing: tuple[str, ...] | Problem = ()
    """Kubernetes permissions that are missing, as "verb resource.group"."""
    agent_cluster: str = ""
    """Id of the cluster as which an agent reports that the API key cannot see."""
    helm: tuple[str, ...] = ()
    """Why Helm or a chart cannot be had."""


@dataclass(frozen=True)
class Systems:
    """castai: gives the API, or raises Refused where the options are no use for that, which is one finding of many."""

    params: Parameters
    castai: Callable[[], CastAi]
    way: Way

    def close(self) -> None:
        self.way.close()


def desired(params: Parameters) -> Desired:
    charts = tuple(
        Chart(item["name"], item["chart_ref"], item.get("chart_repo_url") or "", item.get("chart_version") or "")
        for item in params["releases"]
    )
    wrong = problems(params)
    names = filter(None, [helm_release_problem(chart.release) for chart in charts])
    named = {option: params.get(option) or "" for option in ("name", "region", "account_id", "cluster_id")}
    usable = {option: "" if option in wrong or value == UNKNOWN else value for option, value in named.items()}
    return Desired(
        usable["name"],
        params["provider"],
        usable["region"],
        usable["account_id"],
        usable["cluster_id"],
        params.get("organization_id") or "",
        params["namespace"],
        charts,
        (*wrong.values(), *(f"{problem}." for problem in names)),
    )


def connect(params: Parameters, wanted: Desired) -> Systems:
    castai = partial(CastAi, params["castai_api_url"], params["castai_api_key"], params["validate_certs"])
    return Systems(params, castai, Way(params))


def observe(gateway: Systems, wanted: Desired) -> Current:
    """Round 1: CAST AI and EKS. Round 2: the API server. Round 3: single permissions, other organisations, charts."""
    first = gather(
        records=_attempt(lambda: gateway.castai().list_clusters()),
        eks=_attempt(partial(gateway.way.eks, wanted.name)) if wanted.name and wanted.region else _nothing,
    )
    records, eks = first["records"], first["eks"]
    known = eks if isinstance(eks, EksCluster) else None
    if known is None and not given(gateway.params):
        return Current(records, eks, helm=_helm_problems(gateway, wanted.charts))
    kubernetes = _attempt(lambda: gateway.way.cluster(known))()
    if isinstance(kubernetes, Problem):
        return Current(records, eks, version=kubernetes, helm=_helm_problems(gateway, wanted.charts))
    elsewhere = other_cluster(kubernetes, known) if known else ""
    if elsewhere:
        return Current(records, eks, elsewhere=elsewhere, helm=_helm_problems(gateway, wanted.charts))
    second = gather(
        version=_attempt(kubernetes.version),
        everything=_attempt(lambda: kubernetes.can("*", "*", "*")),
        releases=_attempt(
            lambda: kubernetes.get(path_of("v1", "Secret", None, wanted.namespace), labelSelector="owner=helm")
        ),
        metadata=_attempt(lambda: kubernetes.get(path_of("v1", "ConfigMap", AGENT_METADATA, wanted.namespace))),
    )
    if isinstance(second["version"], Problem):
        return Current(records, eks, version=second["version"], helm=_helm_problems(gateway, wanted.charts))
    reporting = _cluster_of(second["metadata"])
    third = gather(
        missing=_nothing if second["everything"] is True else _attempt(lambda: _missing(kubernetes, wanted.namespace)),
        reporting=_attempt(lambda: gateway.castai().get_cluster(reporting))
        if _unknown(reporting, records)
        else _nothing,
        helm=partial(_helm_problems, gateway, _to_install(second["releases"], wanted.charts)),
    )
    return Current(
        records,
        eks,
        "",
        second["version"],
        third["missing"] or (),
        reporting if _unknown(reporting, records) and third["reporting"] is None else "",
        third["helm"],
    )


def plan(current: Current, wanted: Desired) -> Iterable[Action]:
    """No action ever: this module only refuses."""
    findings = tuple(dict.fromkeys(findings_of(current, wanted)))
    if findings:
        listed = findings[0] if len(findings) == 1 else " ".join(f"({n}) {text}" for n, text in enumerate(findings, 1))
        raise Refused(listed, findings)
    return ()


def findings_of(current: Current, wanted: Desired) -> Iterable[str]:
    """Every reason not to go on, each a sentence with the fix."""
    yield from wanted.problems
    yield from _castai_findings(current, wanted)
    yield from _eks_findings(current, wanted)
    if current.elsewhere:
        yield current.elsewhere
    if isinstance(current.version, Problem):
        yield current.version.sentence
    elif current.version and current.version < OLDEST_KUBERNETES:
        yield (
            f"The API server is Kubernetes {'.'.join(map(str, current.version))}, but CAST AI's agent needs"
            f" {'.'.join(map(str, OLDEST_KUBERNETES))} or newer: upgrade the cluster first."
        )
    if isinstance(current.missing, Problem):
        yield current.missing.sentence
    elif current.missing:
        yield (
            f"These Kubernetes permissions are missing in namespace {wanted.namespace} or cluster-wide:"
            f" {', '.join(current.missing)}. Grant them to the user or role that this runs as, or use a cluster"
            " administrator."
        )
    yield from current.helm


def _castai_findings(current: Current, wanted: Desired) -> Iterable[str]:
    if isinstance(current.records, Problem):
        yield current.records.sentence
        return
    if wanted.cluster_id and wanted.cluster_id not in {record.id for record in current.records if not record.gone}:
        yield (
            f"CAST AI shows no cluster {wanted.cluster_id} to this API key: it is gone, or the key is of another"
            " organisation. Check cluster_id and castai_api_key."
        )
    others = {record.organization_id for record in current.records if record.organization_id} - {wanted.organization_id}
    if wanted.organization_id and others:
        yield (
            f"The API key is of organisation {', '.join(sorted(others))}, not {wanted.organization_id}:"
            " use a key of the organisation that the cluster is to belong to."
        )
    if current.agent_cluster:
        yield (
            f"An agent in this cluster already reports to CAST AI as cluster {current.agent_cluster}, which this API"
            " key cannot see: use a key of that organisation, or disconnect the cluster there first."
        )


def _eks_findings(current: Current, wanted: Desired) -> Iterable[str]:
    eks = current.eks
    if isinstance(eks, Problem):
        yield eks.sentence
    elif wanted.name and wanted.region:
        yield from filter(None, [wrong_cluster(eks, wanted.name, wanted.region, wanted.account_id)])


def view(current: Current, wanted: Desired, made: Made) -> Mapping[str, Any]:
    eks = current.eks if isinstance(current.eks, EksCluster) else None
    return {
        "findings": [],
        "account_id": eks.account_id if eks else "",
        "kubernetes_version": ".".join(map(str, current.version)) if isinstance(current.version, tuple) else "",
    }


def _attempt(read: Callable[[], Any]) -> Callable[[], Any]:
    """The read, with a failure as its value."""

    def run() -> Any:
        try:
            return read()
        except Failure as failure:
            return Problem(str(failure))

    return run


def _nothing() -> None:
    return None


def _missing(kubernetes: Kubernetes, namespace: str) -> tuple[str, ...]:
    reviews = {}
    for group, resource, verbs in PERMISSIONS:
        places = {"" if resource in _CLUSTER_WIDE else namespace} | (
            {_OTHER_NAMESPACE[resource]} if resource in _OTHER_NAMESPACE else set()
        )
        for verb in verbs:
            for place in sorted(places):
                label = (
                    f"{verb} {resource}{'.' + group if group else ''}{' in ' + place if place == 'kube-system' else ''}"
                )
                reviews[label] = partial(kubernetes.can, verb, group, resource, place)
    return tuple(label for label, allowed in gather(**reviews).items() if not allowed)


def _cluster_of(metadata: Object | Problem | None) -> str:
    return (
        ""
        if not metadata or isinstance(metadata, Problem)
        else str((metadata.get("data") or {}).get("CLUSTER_ID") or "")
    )


def _unknown(cluster_id: str, records: tuple[Cluster, ...] | Problem) -> bool:
    return bool(cluster_id) and not isinstance(records, Problem) and cluster_id not in {record.id for record in records}


def _to_install(listed: Object | Problem | None, charts: tuple[Chart, ...]) -> tuple[Chart, ...]:
    """The charts that the run has to fetch: those whose release is not deployed at that version."""
    if isinstance(listed, Problem):
        return charts
    secrets = (listed or {}).get("items") or []
    return tuple(chart for chart in charts if not helm_record.deployed(secrets, chart.release, chart.version))


def _helm_problems(gateway: Systems, charts: tuple[Chart, ...]) -> tuple[str, ...]:
    if not charts:
        return ()
    try:
        helm = Helm(gateway.params.get("helm_path"))
        helm.check_version()
    except Failure as failure:
        return (str(failure),)
    shown = gather(
        **{
            chart.release: _attempt(partial(helm.show_chart, chart.ref, chart.version, chart.repo_url))
            for chart in charts
        }
    )
    return tuple(answer.sentence for answer in shown.values() if isinstance(answer, Problem))


SUBJECT = Subject(OPTIONS, desired, connect, observe, plan, view)
