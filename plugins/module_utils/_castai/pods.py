# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether pods that do not exist yet could start. Pure. PRIVATE to the collection.

Checks the PodSecurity level, LimitRanges, ResourceQuotas and nodes. What is not certain counts as no obstacle.

The pods are those of the templates in a chart's manifest. Sources: Kubernetes' "Pod Security Standards", "Limit
Ranges", "Resource Quotas", "Assigning Pods to Nodes" and "Taints and Tolerations".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from .._gateways.kubernetes import Object, path_of
from .._helm.record import HOOK_ANNOTATION

PRIVILEGED, BASELINE, RESTRICTED = "privileged", "baseline", "restricted"
ENFORCE = "pod-security.kubernetes.io/enforce"
"""Label of a Namespace with the PodSecurity level of its pods."""

_TEMPLATES = ("DaemonSet", "Deployment", "Job", "StatefulSet")
_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)
_VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
_LISTS = ("initContainers", "containers")
_PARTS = ("requests", "limits")
_COUNTED = ("configmaps", "persistentvolumeclaims", "secrets", "services")
"""Resources that a quota counts under their plain names too."""
_MUST_BE_NAMED = ("requests.cpu", "requests.memory", "limits.cpu", "limits.memory")
_UNITS = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("0.001"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate(("", "k", "M", "G", "T", "P", "E"))},
    **{unit: Decimal(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}
_QUANTITY = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+|)")


@dataclass(frozen=True)
class Template:
    """Pods that a workload will create. count: how many, 0 for one on each node that accepts it."""

    kind: str
    name: str
    count: int
    pod: Mapping[str, Any]
    """The pod's spec."""
    marks: Mapping[str, Any] = field(default_factory=dict)
    """Its labels and annotations, as in metadata."""

    @property
    def title(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def lasting(self) -> bool:
        return self.kind != "Job"


def templates(objects: Iterable[Object]) -> tuple[Template, ...]:
    """The pod templates among a manifest's objects, without those of workloads that want no pods."""
    found = []
    for item in objects:
        spec = item.get("spec") or {}
        template = (spec.get("template") or {}) if item.get("kind") in _TEMPLATES else {}
        pod, metadata = template.get("spec"), template.get("metadata") or {}
        count = {"DaemonSet": 0, "Job": 1}.get(item.get("kind") or "", spec.get("replicas", 1))
        if isinstance(pod, Mapping) and (count or item["kind"] == "DaemonSet"):
            marks = {key: metadata[key] for key in ("labels", "annotations") if metadata.get(key)}
            found.append(Template(item["kind"], item["metadata"]["name"], int(count or 0), pod, marks))
    return tuple(found)


_OF_OTHERS = ("priorityClassName", "serviceAccount", "serviceAccountName")
"""Fields that name objects which may not exist yet."""


def alone(template: Template, namespace: str) -> Object:
    """One of the pods, for a dry run that creates nothing else."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template.marks, "generateName": f"{template.name}-", "namespace": namespace},
        "spec": {key: value for key, value in template.pod.items() if key not in _OF_OTHERS},
    }


def counted(objects: Iterable[Object], namespace: str) -> dict[str, Decimal]:
    """What a release's objects use of the quotas that count objects, by the names that a quota may use for it.

    Besides them, Helm writes a Secret, and each Deployment creates a ReplicaSet. Hooks are left out: most are deleted
    before the other objects are created.
    """
    found = Counter({"secrets": 1})
    for item in objects:
        metadata = item["metadata"]
        if metadata.get("namespace", namespace) != namespace or HOOK_ANNOTATION in (metadata.get("annotations") or {}):
            continue
        version = str(item.get("apiVersion") or "")
        path = path_of(version, str(item.get("kind") or ""), None, namespace)
        group = version.rpartition("/")[0]
        if "/namespaces/" in path:
            found[".".join(filter(None, (path.rpartition("/")[2], group)))] += 1
    found["replicasets.apps"] += found["deployments.apps"]
    every = {f"count/{resource}": Decimal(number) for resource, number in found.items() if number}
    return {**every, **{kind: every[f"count/{kind}"] for kind in _COUNTED if f"count/{kind}" in every}}


# PodSecurity


def forbidden(pod: Mapping[str, Any], level: str) -> tuple[str, ...]:
    """What this pod has that a PodSecurity level forbids, as a list of nouns."""
    found = list(_against_baseline(pod)) if level in (BASELINE, RESTRICTED) else []
    found += _against_restricted(pod) if level == RESTRICTED else []
    return tuple(dict.fromkeys(found))


def _against_baseline(pod: Mapping[str, Any]) -> Iterator[str]:
    shared = {"hostNetwork": "the host's network", "hostPID": "the host's processes", "hostIPC": "the host's IPC"}
    yield from (noun for key, noun in shared.items() if pod.get(key))
    if any("hostPath" in volume for volume in pod.get("volumes") or ()):
        yield "volumes of type hostPath"
    for container in _containers(pod):
        security = container.get("securityContext") or {}
        if security.get("privileged"):
            yield "privileged containers"
        added = set((security.get("capabilities") or {}).get("add") or ()) - _CAPABILITIES
        if added:
            yield f"capabilities {', '.join(sorted(added))}"
        if any(port.get("hostPort") for port in container.get("ports") or ()):
            yield "ports of the host"
        if security.get("procMount") not in (None, "Default"):
            yield "an unmasked /proc"
    for security in (pod.get("securityContext") or {}, *(one.get("securityContext") or {} for one in _containers(pod))):
        if (security.get("seccompProfile") or {}).get("type") == "Unconfined":
            yield "seccomp profile Unconfined"
        if (security.get("appArmorProfile") or {}).get("type") == "Unconfined":
            yield "AppArmor profile Unconfined"


def _against_restricted(pod: Mapping[str, Any]) -> Iterator[str]:
    own = pod.get("securityContext") or {}
    for volume in pod.get("volumes") or ():
        others = set(volume) - {"name"} - _VOLUMES - {"hostPath"}
        if others:
            yield f"volumes of type {', '.join(sorted(others))}"
    for container in _containers(pod):
        security = container.get("securityContext") or {}
        if security.get("allowPrivilegeEscalation") is not False:
            yield "allowPrivilegeEscalation other than false"
        if security.get("runAsNonRoot", own.get("runAsNonRoot")) is not True:
            yield "runAsNonRoot other than true"
        if security.get("runAsUser", own.get("runAsUser")) == 0:
            yield "user 0"
        capabilities = security.get("capabilities") or {}
        if "ALL" not in (capabilities.get("drop") or ()):
            yield "capabilities that are not dropped"
        if set(capabilities.get("add") or ()) & (_CAPABILITIES - {"NET_BIND_SERVICE"}):
            yield "added capabilities"
        profile = security.get("seccompProfile") or own.get("seccompProfile") or {}
        if profile.get("type") not in ("RuntimeDefault", "Localhost", "Unconfined"):
            yield "no seccomp profile"


def _containers(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for key in _LISTS for one in pod.get(key) or ()]


# Limit ranges


def with_defaults(pod: Mapping[str, Any], ranges: Iterable[Object]) -> dict[str, Any]:
    """The pod's spec as it will be stored: requests default to limits, and LimitRanges fill in what containers leave
    out."""
    defaults = [item for one in ranges for item in _limit_items(one) if item.get("type") == "Container"]
    return {**pod, **{key: [_filled(one, defaults) for one in pod[key]] for key in _LISTS if pod.get(key)}}


def _filled(container: Mapping[str, Any], defaults: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    given = container.get("resources") or {}
    limits = dict(given.get("limits") or {})
    requests = {**limits, **(given.get("requests") or {})}
    for item in defaults:
        limits = {**(item.get("default") or {}), **limits}
        requests = {**(item.get("defaultRequest") or {}), **requests}
    return {**container, "resources": {**given, "limits": limits, "requests": requests}}


def beyond(pod: Mapping[str, Any], ranges: Iterable[Object]) -> tuple[str, ...]:
    """Why LimitRanges reject this pod, as clauses. pod: as with_defaults returns it."""
    found: list[str] = []
    for container in _containers(pod):
        name = f"container {container.get('name')}"
        requests, limits = _amounts(container, "requests"), _amounts(container, "limits")
        found += [
            f"{name} requests {_shown(requests[kind], kind)} of {kind}, more than its limit of {_shown(limit, kind)}"
            for kind, limit in limits.items()
            if requests.get(kind, Decimal(0)) > limit
        ]
        for item in (item for one in ranges for item in _limit_items(one) if item.get("type") == "Container"):
            found += _against_limits(name, requests, limits, item)
    for item in (item for one in ranges for item in _limit_items(one) if item.get("type") == "Pod"):
        found += _against_limits("the pod", _total(pod, "requests"), _total(pod, "limits"), item)
    return tuple(dict.fromkeys(found))


def _against_limits(
    name: str, requests: Mapping[str, Decimal], limits: Mapping[str, Decimal], item: Mapping[str, Any]
) -> Iterator[str]:
    """Why one item of a LimitRange rejects these amounts."""
    for kind, bound in ((kind, quantity(bound)) for kind, bound in (item.get("min") or {}).items()):
        smallest = min(
            [amount for amount in (requests.get(kind), limits.get(kind)) if amount is not None], default=None
        )
        if kind not in requests:
            yield f"{name} requests no {kind}, but the minimum is {_shown(bound, kind)}"
        elif smallest is not None and smallest < bound:
            yield f"{name} has {_shown(smallest, kind)} of {kind}, but the minimum is {_shown(bound, kind)}"
    for kind, bound in ((kind, quantity(bound)) for kind, bound in (item.get("max") or {}).items()):
        largest = max([amount for amount in (requests.get(kind), limits.get(kind)) if amount is not None], default=None)
        if kind not in limits:
            yield f"{name} has no limit of {kind}, but the maximum is {_shown(bound, kind)}"
        elif largest is not None and largest > bound:
            yield f"{name} has {_shown(largest, kind)} of {kind}, but the maximum is {_shown(bound, kind)}"
    for kind, bound in ((kind, quantity(bound)) for kind, bound in (item.get("maxLimitRequestRatio") or {}).items()):
        request, limit = requests.get(kind) or Decimal(0), limits.get(kind) or Decimal(0)
        if not request or not limit:
            lacks = "limit" if request else "request"
            yield f"{name} has no {lacks} of {kind}, and a limit may be at most {bound:f} times the request"
        elif limit / request > bound:
            yield f"{name} has a limit of {kind} above {bound:f} times its request"


def _limit_items(limit_range: Object) -> list[Mapping[str, Any]]:
    return (limit_range.get("spec") or {}).get("limits") or []


def _amounts(container: Mapping[str, Any], part: str) -> dict[str, Decimal]:
    return {kind: quantity(amount) for kind, amount in ((container.get("resources") or {}).get(part) or {}).items()}


def _total(pod: Mapping[str, Any], part: str) -> dict[str, Decimal]:
    """The pod's total requests: its containers and sidecars together, an init container if that requests more, or what
    the pod itself states."""
    total: dict[str, Decimal] = {}
    sidecars: dict[str, Decimal] = {}
    highest: dict[str, Decimal] = {}
    for container in pod.get("containers") or ():
        total = added(total, _amounts(container, part))
    for container in pod.get("initContainers") or ():
        amounts = added(sidecars, _amounts(container, part))
        highest = _highest(highest, amounts)
        if container.get("restartPolicy") == "Always":
            sidecars = amounts
    return {**_highest(added(total, sidecars), highest), **_amounts(pod, part)}


def _highest(one: Mapping[str, Decimal], other: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {kind: max(one.get(kind, Decimal(0)), other.get(kind, Decimal(0))) for kind in {**one, **other}}


def added(one: Mapping[str, Decimal], other: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {kind: one.get(kind, Decimal(0)) + other.get(kind, Decimal(0)) for kind in {**one, **other}}


# Quotas


def needed(wanted: Iterable[tuple[Template, int]]) -> dict[str, Decimal]:
    """What long-running pods use of a quota, by its resources. Each template has the number of pods that it creates."""
    total: dict[str, Decimal] = {}
    for template, count in wanted:
        for resource, one in _asked(template.pod).items():
            total[resource] = total.get(resource, Decimal(0)) + count * one
    return total


def _asked(pod: Mapping[str, Any]) -> dict[str, Decimal]:
    amounts = {f"{part}.{kind}": amount for part in _PARTS for kind, amount in _total(pod, part).items()}
    return {"pods": Decimal(1), **amounts}


def covers(quota: Object, pod: Mapping[str, Any], whole: bool = True) -> bool:
    """Whether a ResourceQuota certainly counts this pod. whole: whether the pod already has all defaults of
    LimitRanges."""
    spec = quota.get("spec") or {}
    scopes = [(scope, "Exists", ()) for scope in spec.get("scopes") or ()]
    scopes += [
        (one.get("scopeName"), one.get("operator"), one.get("values") or ())
        for one in (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    ]
    return all(_in_scope(pod, *scope, whole) for scope in scopes)


def _in_scope(pod: Mapping[str, Any], scope: str, operator: str, values: Collection[str], whole: bool) -> bool:
    """Whether a pod is certainly in a scope. A pod without a priority class may still be given one by default."""
    priority = pod.get("priorityClassName")
    if scope == "PriorityClass":
        matches = {"Exists": True, "In": priority in values, "NotIn": priority not in values}
        return bool(priority) and matches.get(operator, False)
    asking = any(amount for part in _PARTS for kind, amount in _every(pod, part) if kind in ("cpu", "memory"))
    return {
        "Terminating": pod.get("activeDeadlineSeconds") is not None,
        "NotTerminating": pod.get("activeDeadlineSeconds") is None,
        "BestEffort": whole and not asking,
        "NotBestEffort": asking,
        "CrossNamespacePodAffinity": _across_namespaces(pod),
    }.get(scope, False)


def _every(pod: Mapping[str, Any], part: str) -> Iterator[tuple[str, Decimal]]:
    for container in _containers(pod):
        yield from _amounts(container, part).items()


def _across_namespaces(pod: Mapping[str, Any]) -> bool:
    affinity = pod.get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind) or {}
        terms = [
            *(rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ()),
            *(
                one.get("podAffinityTerm") or {}
                for one in rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
            ),
        ]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms):
            return True
    return False


def concerns(quota: Object, asked: Mapping[str, Decimal]) -> bool:
    """Whether a ResourceQuota limits any of this."""
    return any(asked.get(_counted_as(resource)) for resource in _hard(quota))


def short_of(quota: Object, asked: Mapping[str, Decimal]) -> tuple[str, ...]:
    """Where a ResourceQuota leaves less than the pods that it counts request, as clauses."""
    used = (quota.get("status") or {}).get("used") or {}
    found = []
    for resource, hard in _hard(quota).items():
        wanted = asked.get(_counted_as(resource))
        left = max(Decimal(0), quantity(hard) - quantity(used.get(resource)))
        if wanted and wanted > left and _QUANTITY.fullmatch(str(hard)):
            found.append(f"{_shown(left, resource)} of {resource}, {_shown(wanted, resource)} needed")
    return tuple(found)


def unnamed(quota: Object, pod: Mapping[str, Any]) -> tuple[str, ...]:
    """What a container of the pod must set because the ResourceQuota counts it, but does not: "limits.cpu"."""
    must = dict.fromkeys(map(_counted_as, _hard(quota)))
    return tuple(
        resource
        for resource in must
        if resource in _MUST_BE_NAMED
        and not pod.get("resources")
        and any(resource.partition(".")[2] not in _amounts(one, resource.partition(".")[0]) for one in _containers(pod))
    )


def _hard(quota: Object) -> Mapping[str, Any]:
    return (quota.get("spec") or {}).get("hard") or {}


def _counted_as(resource: str) -> str:
    """A quota's resource under the one name used here: cpu is requests.cpu."""
    if resource == "count/pods":
        return "pods"
    plain = resource in ("cpu", "memory", "ephemeral-storage") or resource.startswith("hugepages-")
    return f"requests.{resource}" if plain else resource


def quantity(text: Any) -> Decimal:
    """A Kubernetes quantity as a number; 0 if there is none or it cannot be parsed."""
    found = _QUANTITY.fullmatch(str(text if text is not None else ""))
    if not found:
        return Decimal(0)
    unit = _UNITS.get(found[2])
    return Decimal(found[1]) * (Decimal(f"1{found[2]}") if unit is None else unit)


def _shown(amount: Decimal, resource: str) -> str:
    if resource.endswith("memory"):
        return f"{amount / 1024**2:.0f}Mi"
    return f"{amount.normalize():f}"


# Nodes


def usable(node: Object) -> bool:
    """Whether the scheduler puts pods on the node at all."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    ready = any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)
    return ready and not (node.get("spec") or {}).get("unschedulable") and not node["metadata"].get("deletionTimestamp")


def plain(node: Object) -> bool:
    """Whether an arbitrary Linux pod can be scheduled on it."""
    system = (node["metadata"].get("labels") or {}).get("kubernetes.io/os", "linux")
    return usable(node) and system == "linux" and takes(node, {})


def takes(node: Object, pod: Mapping[str, Any]) -> bool:
    """Whether the node's taints and labels accept the pod. Free capacity is not checked."""
    labels = {**(node["metadata"].get("labels") or {}), "metadata.name": node["metadata"]["name"]}
    taints = [one for one in (node.get("spec") or {}).get("taints") or () if one.get("effect") != "PreferNoSchedule"]
    tolerations = pod.get("tolerations") or ()
    required = ((pod.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    terms = (required or {}).get("nodeSelectorTerms") or ()
    return (
        usable(node)
        and all(any(_tolerates(one, taint) for one in tolerations) for taint in taints)
        and all(labels.get(key) == value for key, value in (pod.get("nodeSelector") or {}).items())
        and (not required or any(_matches(term, labels) for term in terms))
    )


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    exists = toleration.get("operator") == "Exists"
    if not toleration.get("key"):
        return exists
    same = exists or (toleration.get("value") or "") == (taint.get("value") or "")
    return toleration["key"] == taint.get("key") and same


def _matches(term: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    wanted = [*(term.get("matchExpressions") or ()), *(term.get("matchFields") or ())]
    return bool(wanted) and all(_holds(one, labels.get(one.get("key") or "")) for one in wanted)


def _holds(expression: Mapping[str, Any], value: str | None) -> bool:
    operator, values = expression.get("operator"), [str(one) for one in expression.get("values") or ()]
    if operator in ("Gt", "Lt"):
        try:
            one, other = int(value or ""), int(values[0])
        except (ValueError, IndexError):
            return False
        return one > other if operator == "Gt" else one < other
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }.get(str(operator), True)
