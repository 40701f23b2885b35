# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published normalisation: what two states of a world may differ in and still be the same state.

Left out:   Events, Leases, managedFields, resourceVersion, generation and observedGeneration, of a Helm release all
            records but the newest.
Replaced:   times; key material; Helm's release records, by what they say (name, chart, values, status, manifest);
            the node that the scheduler chose, and what follows from it: zone and address of a pod (kwok counts the
            addresses of each node for itself, so that pods share some by chance).
Renamed:    generated ids, names and addresses. The new name follows from everything that is said about the id in the
            state, so that what referred to the same thing still does, and what referred to another still differs.
Untouched:  everything else: contents, references, counts.
"""

from __future__ import annotations

import base64
import difflib
import gzip
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?")
_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----\n?", re.DOTALL)
_LEFT_OUT_KINDS = ("Event ", "events.k8s.io/Event ", "coordination.k8s.io/Lease ")
_LEFT_OUT_FIELDS = {"managedFields", "resourceVersion", "generation", "observedGeneration"}
_HASH_LABELS = ("pod-template-hash", "controller-revision-hash")
_NODE_LABELS = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone")
_ADDRESS_FIELDS = {"clusterIP", "clusterIPs", "nodePort"}
_HELM_TYPE = "helm.sh/release.v1"
# All secrets of the world begin with the mark; second: base64 of one.
_SECRET_FORMS = re.compile(r"(CANARY[\w-]*)|(Q0FOQVJZ[A-Za-z0-9+/]*=*)")

# Ids whose form alone tells that they are generated.
_ID_FORMS = (
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    r"A(?:KIA|SIA|ROA|IDA|NPA|GPA|IPA)[A-Z0-9]{12,20}",  # IAM User Guide, "Understanding unique ID prefixes"
    r"(?:vpc|subnet|sg|sgr|eni|rtb|igw)-[0-9a-f]{8,17}",
    r"eks-cluster-sg-[a-z0-9-]+-[0-9]+",
    r"key:[0-9a-f]{16}",
    r"1[0-9]{20}",  # unique ids of Google's service accounts
    r"[0-9a-f]{40}",  # and of their keys
    r"kube-api-access-[a-z0-9]{5}",  # the volume that admission adds to a pod
    r"127\.0\.0\.1:[0-9]+",
    r"castai-evictor-crd-upgrade-[0-9]+(?:-[a-z0-9]{5})?",  # the hook's Job and its pods, by Helm's revision number
)
_NEW_NAME = re.compile(r"<id [0-9a-f]{8}>")
_ROUNDS = 3  # how far apart in the state two things may be and still tell ids apart

Rename = Callable[["re.Match[str]"], str]


def normalise(state: Mapping[str, Any]) -> Any:
    """A state as `World.state` gives it, in the form in which states are compared."""
    clusters = {name: _cluster(objects) for name, objects in state.get("kubernetes", {}).items()}
    plain = _map(_masked, {**state, "castai": _castai(state.get("castai", {})), "kubernetes": clusters})
    ids = _id_pattern(state)
    names = _names(plain, ids)
    return _renamed(plain, ids, lambda match: names[match[0]])


def difference(before: Any, after: Any) -> str:
    """A readable difference of two normalised states, empty when they are equal.

    The renamed ids follow from contents, so one difference renames many: shown only when nothing else differs.
    """
    alike = [_renamed(state, _NEW_NAME, lambda _match: "<id>") for state in (before, after)]
    chosen = alike if alike[0] != alike[1] else [before, after]
    first, second = (json.dumps(state, indent=1, sort_keys=True).replace(r"\n", "\n").splitlines() for state in chosen)
    return "\n".join(difflib.unified_diff(first, second, "before", "after", n=6, lineterm=""))


def release(secret: Mapping[str, Any]) -> dict[str, Any]:
    """What Helm's record of a release says. The record: JSON, gzip, base64 (Helm), base64 (Kubernetes)."""
    record = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(secret["data"]["release"]))))
    chart = record["chart"]["metadata"]
    return {
        "name": record["name"],
        "namespace": record["namespace"],
        "chart": f"{chart['name']}-{chart['version']}",
        "config": record.get("config") or {},
        "status": record["info"]["status"],
        "manifest": record["manifest"],
    }


def _cluster(objects: Mapping[str, Any]) -> dict[str, Any]:
    """A cluster's objects without what is left out, with Helm's releases in place of their records."""
    kept: dict[str, Any] = {}
    releases: dict[str, tuple[int, Any]] = {}
    for label, item in objects.items():
        if label.startswith(_LEFT_OUT_KINDS):
            continue
        if item.get("type") == _HELM_TYPE:
            found = release(item)
            name = f"Helm release {found['namespace']}/{found['name']}"
            revision = int(item["metadata"]["labels"]["version"])
            releases[name] = max(releases.get(name, (0, None)), (revision, found), key=lambda pair: pair[0])
        else:
            kept[label] = _READABLE.get(item["kind"], lambda same: same)(item)
    return kept | {name: found for name, (_revision, found) in releases.items()}


def _secret(item: Mapping[str, Any]) -> dict[str, Any]:
    """A Secret with its values readable."""
    values = (item.get("data") or {}).items()
    return {**item, "data": {key: base64.b64decode(value).decode(errors="replace") for key, value in values}}


def _pod(item: Mapping[str, Any]) -> dict[str, Any]:
    """A Pod without the labels that it takes over from its node (Kubernetes 1.35, PodTopologyLabelsAdmission)."""
    metadata = item["metadata"]
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key not in _NODE_LABELS}
    status = {key: _address(value) if key in ("podIP", "podIPs") else value for key, value in _part(item, "status")}
    return {**item, "metadata": {**metadata, "labels": labels}, "status": status}


def _endpoint_slice(item: Mapping[str, Any]) -> dict[str, Any]:
    found = [{**one, "addresses": _address(one["addresses"]), "zone": "<zone>"} for one in item["endpoints"] or ()]
    return {**item, "endpoints": _in_any_order(found)}


def _endpoints(item: Mapping[str, Any]) -> dict[str, Any]:
    subsets = [
        {
            key: _in_any_order([{**one, "ip": _address(one["ip"])} for one in value]) if "ddresses" in key else value
            for key, value in subset.items()
        }
        for subset in item.get("subsets") or ()
    ]
    return {**item, "subsets": subsets}


def _part(item: Mapping[str, Any], name: str) -> Iterable[tuple[str, Any]]:
    return (item.get(name) or {}).items()


def _address(value: Any) -> Any:
    """Addresses of pods, without what they are."""
    if isinstance(value, str):
        return "<address>"
    return [_address(one["ip"] if isinstance(one, dict) else one) for one in value]


def _in_any_order(pods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is behind a Service, which Kubernetes orders by address: by all that is said but who it is and where."""
    said = {id(one): json.dumps({**one, "targetRef": "", "nodeName": ""}, sort_keys=True) for one in pods}
    return sorted(pods, key=lambda one: said[id(one)])


_READABLE = {"Secret": _secret, "Pod": _pod, "EndpointSlice": _endpoint_slice, "Endpoints": _endpoints}


def _hashed(match: re.Match[str]) -> str:
    """Key material by the hash under which the state of CAST AI shows it."""
    secret = match[1].encode() if match[1] else base64.b64decode(match[2])
    return f"key:{hashlib.sha256(secret).hexdigest()[:16]}"


def _castai(state: Mapping[str, Any]) -> dict[str, Any]:
    tokens = {
        cluster: [{**token, "hash": f"key:{token['hash']}"} for token in tokens]
        for cluster, tokens in state.get("tokens", {}).items()
    }
    return {**state, "tokens": tokens}


def _masked(key: str, value: Any) -> Any:
    """A value with what says nothing taken out: times, keys, the scheduler's choice."""
    if isinstance(value, dict):
        return {name: inner for name, inner in value.items() if name not in _LEFT_OUT_FIELDS}
    if key in ("nodeName", "hostIP"):
        return "<node>"
    if isinstance(value, str):
        return _PEM.sub(r"<\1>", _TIME.sub("<time>", _SECRET_FORMS.sub(_hashed, value)))
    return value


def _map(change: Callable[[str, Any], Any], value: Any, key: str = "") -> Any:
    """A copy with each value changed, from the outside in; `key` is the nearest field name."""
    value = change(key, value)
    if isinstance(value, dict):
        return {name: _map(change, inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_map(change, inner, key) for inner in value]
    return value


def _id_pattern(state: Mapping[str, Any]) -> re.Pattern[str]:
    """What counts as a generated id in this state: by its form, or because an object says that it is one."""
    said = {
        name for objects in state.get("kubernetes", {}).values() for item in objects.values() for name in _said(item)
    }
    short = {cluster[:8] for cluster in state.get("castai", {}).get("clusters", {})}
    literal = sorted(map(re.escape, said | short), key=len, reverse=True)
    return re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join((*_ID_FORMS, *literal))})(?![A-Za-z0-9])")


def _said(item: Mapping[str, Any]) -> Iterator[str]:
    """Names and addresses that Kubernetes made up for an object."""
    metadata = item["metadata"]
    hashes = [value for label in _HASH_LABELS if (value := (metadata.get("labels") or {}).get(label))]
    yield from hashes
    if metadata.get("generateName") or any(metadata["name"].endswith(f"-{value}") for value in hashes):
        yield metadata["name"]
    for part in (item.get("spec") or {}, item.get("status") or {}):
        for field in _ADDRESS_FIELDS & part.keys():
            yield from _texts(part[field])


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif value not in ("", "None", None):
        yield str(value)


def _names(state: Any, ids: re.Pattern[str]) -> dict[str, str]:
    """A new name for each id, from what is said about it: where it occurs and what stands beside it there.

    As in colour refinement of graphs: at first all ids look alike; in each round an id is told by its surroundings, in
    which the other ids bear the names of the round before. Ids that stay alike are interchangeable.
    """
    names: dict[str, str] = {}
    occurrences = list(_occurrences(state, ids))
    texts: dict[int, str] = {}
    for _round in range(_ROUNDS):
        told: dict[str, list[str]] = {}
        for found, path, beside in occurrences:
            told.setdefault(found, []).append(_seen_from(found, path, beside, ids, names, texts))
        names = {found: f"<id {_digest(sorted(contexts))}>" for found, contexts in told.items()}
    return names


def _seen_from(
    found: str, path: str, beside: Any, ids: re.Pattern[str], names: Mapping[str, str], texts: dict[int, str]
) -> str:
    """texts: kept of what is beside an id, where the order of its keys does not depend on ids."""

    def rename(match: re.Match[str]) -> str:
        return "<self>" if match[0] == found else names.get(match[0], "<id>")

    if _has_id_as_key(beside, ids):
        return ids.sub(rename, path) + json.dumps(_renamed(beside, ids, rename), sort_keys=True)
    if id(beside) not in texts:
        texts[id(beside)] = json.dumps(beside, sort_keys=True)
    return ids.sub(rename, f"{path}\n{texts[id(beside)]}")


def _has_id_as_key(value: Any, ids: re.Pattern[str]) -> bool:
    if isinstance(value, dict):
        return any(ids.search(key) or _has_id_as_key(inner, ids) for key, inner in value.items())
    return isinstance(value, list) and any(_has_id_as_key(inner, ids) for inner in value)


def _occurrences(value: Any, ids: re.Pattern[str], path: str = "", beside: Any = "") -> Iterator[tuple[str, str, Any]]:
    """(id, path to it, the smallest object around it) of every id in the state."""
    if isinstance(value, dict):
        for key, inner in value.items():
            for match in ids.finditer(key):
                yield match[0], f"{path}/{key}", inner
            yield from _occurrences(inner, ids, f"{path}/{key}", value)
    elif isinstance(value, list):
        for inner in value:
            yield from _occurrences(inner, ids, f"{path}/*", beside)
    elif isinstance(value, str):
        for match in ids.finditer(value):
            yield match[0], path, beside


def _renamed(value: Any, ids: re.Pattern[str], rename: Rename) -> Any:
    """The state with its ids renamed. Keys that become alike are numbered: nothing is lost."""
    if isinstance(value, list):
        return [_renamed(inner, ids, rename) for inner in value]
    if isinstance(value, str):
        return ids.sub(rename, value)
    if not isinstance(value, dict):
        return value
    pairs = [(ids.sub(rename, key), _renamed(inner, ids, rename)) for key, inner in value.items()]
    renamed: dict[str, Any] = {}
    for key, inner in sorted(pairs, key=lambda pair: (pair[0], json.dumps(pair[1], sort_keys=True))):
        number = sum(1 for other in renamed if other == key or other.startswith(f"{key} #"))
        renamed[f"{key} #{number + 1}" if number else key] = inner
    return renamed


def _digest(contexts: list[str]) -> str:
    return hashlib.sha256("\0".join(contexts).encode()).hexdigest()[:8]
