# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the credentials of a run may do in the cluster, by access reviews. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping

from .._clusters.facts import Rows
from .._clusters.table import PROVIDERS
from .._engine import at_once, results
from .._gateways.kubernetes import Kubernetes

_WRITE = ("get", "create", "patch", "delete")
OF_CLUSTER = frozenset(
    {
        "namespaces",
        "clusterroles",
        "clusterrolebindings",
        "customresourcedefinitions",
        "custommetricsexporterconfigs",
        "mutatingwebhookconfigurations",
        "validatingwebhookconfigurations",
    }
)
_RBAC = "rbac.authorization.k8s.io"


CREATE_NAMESPACE: Rows = (("", "namespaces", ("create",)),)
"""If the namespace does not exist."""

CONNECT: Rows = (
    ("", "namespaces", ("get",)),
    ("", "secrets", ("get", "list", "create", "update", "patch", "delete")),
    ("", "configmaps", _WRITE),
    ("", "serviceaccounts", _WRITE),
    ("", "resourcequotas", (*_WRITE, "list")),
    ("", "pods", ("list",)),
    ("", "events", ("list",)),
    ("apps", "deployments", _WRITE),
    ("policy", "poddisruptionbudgets", _WRITE),
    (_RBAC, "clusterroles", (*_WRITE, "bind", "escalate")),
    (_RBAC, "clusterrolebindings", _WRITE),
    (_RBAC, "roles", (*_WRITE, "bind", "escalate")),
    (_RBAC, "rolebindings", _WRITE),
)
CONNECT_SYSTEM: Rows = ((_RBAC, "roles", (*_WRITE, "bind", "escalate")), (_RBAC, "rolebindings", _WRITE))
"""In namespace kube-system: the agent reads a ConfigMap there."""

ONBOARD: Rows = (
    *CONNECT,
    ("", "services", _WRITE),
    ("apps", "daemonsets", _WRITE),
    ("batch", "jobs", (*_WRITE, "list", "watch")),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", _WRITE),
)
_KINDS: Rows = (("apiextensions.k8s.io", "customresourcedefinitions", _WRITE),)
_EXPORTER = "castai-workload-autoscaler-exporter"

OF_RELEASE: Mapping[str, Rows] = {
    "castai-workload-autoscaler": _KINDS,
    _EXPORTER: (*_KINDS, ("autoscaling.cast.ai", "custommetricsexporterconfigs", _WRITE)),
    "castai-pod-mutator": (*_KINDS, ("admissionregistration.k8s.io", "validatingwebhookconfigurations", _WRITE)),
    "castai-live": _KINDS,
}
"""What the charts of some releases also need."""

_WAITING = ("list", "watch")
_BY_HOOKS: Rows = (
    ("", "serviceaccounts", _WAITING),
    (_RBAC, "clusterroles", _WAITING),
    (_RBAC, "clusterrolebindings", _WAITING),
)
HOOKS: Mapping[str, Rows] = {
    "castai-evictor": (*_BY_HOOKS, ("", "configmaps", _WAITING)),
    _EXPORTER: (*_BY_HOOKS, ("autoscaling.cast.ai", "custommetricsexporterconfigs", _WAITING)),
}
"""What Helm 4 also needs to install a release: it waits for everything that a hook creates, not only for Jobs."""

SYSTEM = "kube-system"

OF_NODES: Rows = (("", "nodes", ("list",)),)
"""Cluster-wide: a kOps cluster is recognized by its nodes, and in any cluster the nodes show where pods could run."""

OF_LIMITS: Rows = (("", "limitranges", ("list",)),)
"""In the namespace: preflight reports what limits would reject."""


READING = ("get", "list")
"""Verbs that a plan needs. Only a run needs the others, including watch, which Helm uses to wait."""


def planning() -> Rows:
    """What a plan reads, whatever kind of cluster it is."""
    possible = {row: None for provider in PROVIDERS.values() for row in provider.onboarding.possible_rows}
    optional = {row: None for rows in OF_RELEASE.values() for row in rows}
    rows = (*ONBOARD, *optional, *CONNECT_SYSTEM, *possible, *OF_NODES, *OF_LIMITS)
    return tuple((group, resource, tuple(verb for verb in verbs if verb in READING)) for group, resource, verbs in rows)


def missing_in_cluster(kubernetes: Kubernetes, namespace: str, rows: Rows, of_system: Rows) -> tuple[str, ...]:
    """What the API server does not allow, as "verb resource.group"."""
    places = [(row, "" if row[1] in OF_CLUSTER else namespace) for row in rows]
    questions = {
        _label(verb, group, resource, place): (verb, group, resource, place)
        for (group, resource, verbs), place in [*places, *((row, SYSTEM) for row in of_system)]
        for verb in verbs
    }
    with at_once() as ask:
        reviews = {label: ask(kubernetes.can, *question) for label, question in questions.items()}
    return tuple(label for label, allowed in results(reviews).items() if not allowed)


def _label(verb: str, group: str, resource: str, place: str = "") -> str:
    return f"{verb} {resource}{'.' + group if group else ''}{' in ' + SYSTEM if place == SYSTEM else ''}"


_OF_HOOKS = frozenset(
    _label(verb, group, resource) for rows in HOOKS.values() for group, resource, verbs in rows for verb in verbs
)


def for_a_plan(label: str) -> bool:
    """Whether a plan needs a permission that missing_in_cluster names like this."""
    return label.partition(" ")[0] in READING and label not in _OF_HOOKS
