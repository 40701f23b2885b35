# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who owns the objects that a release would create or change. PRIVATE to the collection.

An object that its chart names has one owner, a Helm release or nobody. Besides that, another tool may manage it: Argo
CD, Flux, CAST AI's operator. Their marks: https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/,
https://fluxcd.io/flux/components/helm/helmreleases/ and https://fluxcd.io/flux/components/kustomize/kustomizations/.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from .._engine import CallFailed, at_once, results
from .._gateways.helm import TAKES_OWNERSHIP, adopt_option
from .._gateways.kubernetes import Kubernetes, Object, path_of
from .._variables import AGENT_RELEASE, named, role_of
from . import record
from .record import OWNER_NAME, OWNER_NAMESPACE

UMBRELLA = "castai"
"""CAST AI's chart that contains all others."""

_NAMED_BY_CHART: Mapping[str, str] = {
    "cluster-controller": "castai-cluster-controller",
    "castai-kvisor": "castai-kvisor-controller",
    "castai-live": "castai-live-controller",
}
"""Releases whose objects have a different name than the release."""

_DAEMON_SETS: Mapping[str, str] = {
    "castai-kvisor": "castai-kvisor-agent",
    "castai-live": "castai-live-daemon",
    "castai-spot-handler": "castai-spot-handler",
}
"""The DaemonSets of the charts. For other releases none is read, because connecting needs no right to read them."""

_COMPONENTS = "/apis/castware.cast.ai/v1alpha1/namespaces/{}/components"
_ARGO, _FLUX_HELM, _FLUX_KUSTOMIZE = "argocd.argoproj.io/", "helm.toolkit.fluxcd.io/", "kustomize.toolkit.fluxcd.io/"
_FIELD_MANAGERS: Mapping[str, str] = {
    "argocd-application-controller": "Argo CD",
    "argocd-controller": "Argo CD",
    "helm-controller": "Flux",
    "kustomize-controller": "Flux",
}


@dataclass(frozen=True)
class Owner:
    """Who owns an object that a release would create and does not own.

    release: NAMESPACE/RELEASE, empty for an object that no Helm release owns. umbrella: whether that release is CAST
    AI's umbrella chart. manager: who else manages the object, empty for nobody.
    """

    thing: str
    release: str = ""
    umbrella: bool = False
    manager: str = ""
    kept: tuple[str, ...] = ()
    """Settings of its pods that stay if a chart does not set them: "nodeSelector pool", "env HTTPS_PROXY"."""

    def refusal(self, adopt: bool, wanted: str, adopt_managed: bool = False) -> str:
        """Why the wanted release cannot be installed, or an empty text."""
        if self.umbrella and not adopt_managed:
            return f"{self.thing} belongs to Helm release {self.release} of CAST AI's umbrella chart. {_beside(wanted)}"
        if self.release and not self.umbrella:
            return (
                f"{self.thing} belongs to Helm release {self.release}. Use the name of that release, or uninstall it"
                " first."
            )
        if self.manager and not adopt_managed:
            return managed_refusal(self.thing, self.manager, wanted, False)
        if not adopt:
            whose = "no Helm release, so kubectl or another tool created it"
            return (
                f"{self.thing} exists and belongs to {f'Helm release {self.release}' if self.release else whose}. Set"
                f" {adopt_option(wanted)} to true to take over this and similar objects, or delete them."
            )
        return ""

    def helm_refusal(self, version: tuple[int, ...]) -> str:
        """Why this version of Helm cannot take the object over, or an empty text."""
        if version >= TAKES_OWNERSHIP:
            return ""
        return (
            f"Taking over objects outside Helm needs Helm {'.'.join(map(str, TAKES_OWNERSHIP))} or newer, but Helm"
            f" here is {'.'.join(map(str, version))}. Upgrade it, or delete {self.thing} and the objects created with"
            " it."
        )


def managed_refusal(thing: str, manager: str, release: str, exists: bool) -> str:
    """Why an object that another tool manages is not changed. exists: whether it is a Helm release already."""
    if exists:
        way = f"Set {named('policy', role_of(release))} to install_only to leave the release as it is"
    else:
        way = _leave_out(release)
    return (
        f"{thing} is managed by {manager}, which would undo these changes. {way}, or stop managing it there first. In"
        " a task with castai_release, adopt_managed takes it over anyway."
    )


def owner(cluster: Kubernetes, name: str, namespace: str) -> Owner | None:
    """Who owns the objects of a release; None if there are none, or only the release's own that nobody else manages.

    The objects are the workloads, ServiceAccounts and ClusterRoles that its chart names; the last show an installation
    in another namespace. Objects of another release come first, then those that another tool manages.
    """
    paths = _paths(name, namespace)
    with at_once() as ask:
        asked = {thing: ask(cluster.get, path) for thing, path in paths.items()}
    found = results(asked)
    others, foreign = _others(cluster, found, name, namespace)
    kept = tuple(dict.fromkeys(part for item in found.values() if item for part in _kept(item)))
    if foreign:
        return foreign
    # What another tool manages counts even if it is the release's own.
    managers = ((thing, manager_of(item)) for thing, item in found.items() if item)
    managed = next((Owner(thing, manager=manager) for thing, manager in managers if manager), None)
    first = managed or next(iter(others), None)
    return replace(first, kept=kept) if first else None


def owner_of_added(
    cluster: Kubernetes,
    found: Mapping[str, Object | None],
    name: str,
    namespace: str,
    known: Collection[str] = (),
) -> Owner | None:
    """Who owns one of the objects that a release would contain; None if Helm can create or keep all of them.

    found: live objects by what they are called in sentences; None for those that do not exist. known: those in the
    release's last revision, which only count if they belong to another release.
    """
    others, foreign = _others(cluster, found, name, namespace)
    added = [one for one in others if one.thing not in known]
    return foreign or next((one for one in added if one.manager), next(iter(added), None))


def _others(
    cluster: Kubernetes, found: Mapping[str, Object | None], name: str, namespace: str
) -> tuple[list[Owner], Owner | None]:
    """The objects that do not belong to the release, and the first one that belongs to another release, if possible
    to one that is not the umbrella chart, which can be taken over."""
    owners = [Owner(thing, _release(item), manager=manager_of(item)) for thing, item in found.items() if item]
    others = [one for one in owners if one.release != f"{namespace}/{name}"]
    umbrellas = {release: _is_umbrella(cluster, release) for release in {one.release for one in others} - {""}}
    foreign = [replace(one, umbrella=umbrellas[one.release]) for one in others if one.release]
    return others, min(foreign, key=lambda one: one.umbrella, default=None)


def operators(cluster: Kubernetes, namespace: str) -> Callable[[str], str]:
    """CAST AI's operator, in words, if it manages a release in the namespace, by the release's name; otherwise an
    empty text."""
    try:
        listed = cluster.get(_COMPONENTS.format(namespace))
    except CallFailed:
        # A user who may not list them can still read the operator itself.
        found = cluster.get(path_of("apps/v1", "Deployment", "castware-operator", namespace))
        return lambda name: "CAST AI's operator (Deployment castware-operator)" if found else ""
    return partial(_operator, (listed or {}).get("items") or ())


def _operator(components: Iterable[Object], name: str) -> str:
    for item in components:
        spec = item.get("spec") or {}
        component = str(spec.get("component") or "")
        if spec.get("enabled", True) and name in (component, f"castai-{component}", spec.get("releaseName")):
            return f"CAST AI's operator (Component {item['metadata']['name']} of castware.cast.ai)"
    return ""


def manager_of(item: Object) -> str:
    """The tool that manages an object, judging by the marks on it, or an empty text."""
    metadata = item.get("metadata") or {}
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    for prefix, kind in ((_FLUX_HELM, "HelmRelease"), (_FLUX_KUSTOMIZE, "Kustomization")):
        if labels.get(f"{prefix}name"):
            return f"Flux ({kind} {labels.get(f'{prefix}namespace') or ''}/{labels[f'{prefix}name']})"
    tracked = str(annotations.get(f"{_ARGO}tracking-id") or "").partition(":")[0]
    application = tracked or labels.get(f"{_ARGO}instance") or annotations.get(f"{_ARGO}instance")
    if application:
        return f"Argo CD (Application {application})"
    if any(key.startswith(_ARGO) for key in (*labels, *annotations)):
        return "Argo CD"
    writers = {entry.get("manager") for entry in metadata.get("managedFields") or ()}
    tool = next((tool for writer, tool in _FIELD_MANAGERS.items() if writer in writers), "")
    instance = labels.get("app.kubernetes.io/instance")
    return f"{tool} (Application {instance})" if tool == "Argo CD" and instance else tool


def manager_among(items: Iterable[Object]) -> str:
    """The first manager of any of these objects, or an empty text."""
    return next(filter(None, map(manager_of, items)), "")


def _kept(workload: Object) -> Iterator[str]:
    pod = ((workload.get("spec") or {}).get("template") or {}).get("spec") or {}
    yield from (f"nodeSelector {key}" for key in pod.get("nodeSelector") or ())
    for container in pod.get("containers") or ():
        yield from (f"env {entry['name']}" for entry in container.get("env") or () if entry.get("name"))


def _paths(name: str, namespace: str) -> dict[str, str]:
    """The REST paths of a release's most significant objects, by what they are called in sentences."""
    of_chart = _NAMED_BY_CHART.get(name, name)
    found: dict[str, Any] = {
        f"Deployment {namespace}/{of_chart}": ("apps/v1", "Deployment", of_chart, namespace),
        f"ClusterRole {of_chart}": ("rbac.authorization.k8s.io/v1", "ClusterRole", of_chart, None),
        f"ServiceAccount {namespace}/{of_chart}": ("v1", "ServiceAccount", of_chart, namespace),
    }
    if name in _DAEMON_SETS:
        found[f"DaemonSet {namespace}/{_DAEMON_SETS[name]}"] = ("apps/v1", "DaemonSet", _DAEMON_SETS[name], namespace)
    return {thing: path_of(*parts) for thing, parts in found.items()}


def _release(item: Object) -> str:
    annotations = item["metadata"].get("annotations") or {}
    name = annotations.get(OWNER_NAME)
    return f"{annotations.get(OWNER_NAMESPACE) or ''}/{name}" if name else ""


def _is_umbrella(cluster: Kubernetes, release: str) -> bool:
    """Whether a release is the umbrella chart, judging by its record or, if that cannot be read, by its usual name."""
    namespace, _slash, name = release.partition("/")
    try:
        listed = cluster.get(path_of("v1", "Secret", None, namespace), labelSelector=f"owner=helm,name={name}")
        last = record.newest(record.history((listed or {}).get("items") or ()))
        return last.contents.chart == UMBRELLA if last else name == UMBRELLA
    except CallFailed:
        return name == UMBRELLA


def _beside(release: str) -> str:
    """What to do if the umbrella chart contains what a release would install."""
    if release == AGENT_RELEASE:
        return (
            "The cluster is already connected: only run castai.onboarding.onboard (onboard.yml). To manage the agent"
            " here, uninstall that release first."
        )
    return f"{_leave_out(release)}, or uninstall that release and run castai.onboarding.connect (connect.yml) first."


def _leave_out(release: str) -> str:
    if release == AGENT_RELEASE:
        return "Only run castai.onboarding.onboard (onboard.yml), which leaves the agent alone"
    return f"Add {release} to components_skip"
