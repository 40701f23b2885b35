# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether pods could start that do not exist yet: by PodSecurity level, quota, nodes. Pure. PRIVATE to the collection.

Pods are those of the templates in a chart's manifest. Sources: Kubernetes' "Pod Security Standards", "Resource Quotas",
"Assigning Pods to Nodes" and "Taints and Tolerations".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .gateway import Object

PRIVILEGED, BASELINE, RESTRICTED = "privileged", "baseline", "restricted"
ENFORCE = "pod-security.kubernetes.io/enforce"
"""Label of a Namespace with the level of its pods."""

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
_UNITS = {
    "m": Decimal("0.001"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate(("", "k", "M", "G", "T", "P", "E"))},
    **{unit: Decimal(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}
_QUANTITY = re.compile(r"([0-9]*\.?[0-9]+)(m|[kMGTPE]i?|Ki|)")


@dataclass(frozen=True)
class Template:
    """Pods that a workload will make. count: how many, 0 for one on each node that takes it."""

    kind: str
    name: str
    count: int
    pod: Mapping[str, Any]
    """Its spec."""

    @property
    def title(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def lasting(self) -> bool:
        return self.kind != "Job"


def templates(objects: Iterable[Object]) -> tuple[Template, ...]:
    """Those in the objects of a manifest; workloads that want no pod have none."""
    found = []
    for item in objects:
        spec = item.get("spec") or {}
        pod = (spec.get("template") or {}).get("spec") if item.get("kind") in _TEMPLATES else None
        count = {"DaemonSet": 0, "Job": 1}.get(item.get("kind") or "", spec.get("replicas", 1))
        if isinstance(pod, Mapping) and (count or item["kind"] == "DaemonSet"):
            found.append(Template(item["kind"], item["metadata"]["name"], int(count or 0), pod))
    return tuple(found)


# PodSecurity


def forbidden(pod: Mapping[str, Any], level: str) -> tuple[str, ...]:
    """What a PodSecurity level does not let this pod have, as a list of nouns."""
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
    return [*(pod.get("initContainers") or ()), *(pod.get("containers") or ())]


# Quotas


def needed(wanted: Iterable[Template], nodes: int) -> dict[str, Decimal]:
    """What pods that stay ask of a quota, by its resources. nodes: on how many a DaemonSet's pods run."""
    total: dict[str, Decimal] = {}
    for template in wanted:
        count = (template.count or nodes) if template.lasting else 0
        for resource, one in _asked(template.pod).items():
            total[resource] = total.get(resource, Decimal(0)) + count * one
    return total


def _asked(pod: Mapping[str, Any]) -> dict[str, Decimal]:
    found = {"pods": Decimal(1)}
    for container in pod.get("containers") or ():
        resources = container.get("resources") or {}
        limits = resources.get("limits") or {}
        for kind, amounts in (("requests", {**limits, **(resources.get("requests") or {})}), ("limits", limits)):
            for name in ("cpu", "memory"):
                amount = quantity(amounts.get(name))
                found[f"{kind}.{name}"] = found.get(f"{kind}.{name}", Decimal(0)) + amount
    return found


def short_of(quota: Object, asked: Mapping[str, Decimal]) -> tuple[str, ...]:
    """What a ResourceQuota leaves less of than is asked: clauses. One for only some pods is not looked at."""
    spec, used = quota.get("spec") or {}, (quota.get("status") or {}).get("used") or {}
    if spec.get("scopes") or spec.get("scopeSelector"):
        return ()
    found = []
    for resource, hard in (spec.get("hard") or {}).items():
        wanted = asked.get(
            {"cpu": "requests.cpu", "memory": "requests.memory", "count/pods": "pods"}.get(resource, resource)
        )
        left = max(Decimal(0), quantity(hard) - quantity(used.get(resource)))
        if wanted and wanted > left:
            found.append(f"{_shown(left, resource)} of {resource}, {_shown(wanted, resource)} needed")
    return tuple(found)


def quantity(text: Any) -> Decimal:
    """Kubernetes' quantity as a number; 0 for none and for what is not one."""
    found = _QUANTITY.fullmatch(str(text if text is not None else ""))
    return Decimal(found[1]) * _UNITS[found[2]] if found else Decimal(0)


def _shown(amount: Decimal, resource: str) -> str:
    if resource.endswith("memory"):
        return f"{amount / 1024**2:.0f}Mi"
    return f"{amount.normalize():f}"


# Nodes


def usable(node: Object) -> bool:
    """Whether pods are put on it at all."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    ready = any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)
    return ready and not (node.get("spec") or {}).get("unschedulable") and not node["metadata"].get("deletionTimestamp")


def plain(node: Object) -> bool:
    """Whether any Linux pod may be put on it, of which nothing is known."""
    system = (node["metadata"].get("labels") or {}).get("kubernetes.io/os", "linux")
    return usable(node) and system == "linux" and takes(node, {})


def takes(node: Object, pod: Mapping[str, Any]) -> bool:
    """Whether the node's taints and labels let the pod on it. How much is free is not asked."""
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
