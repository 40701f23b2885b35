# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Helm keeps of a release in the cluster: one Secret for each revision. Pure. PRIVATE to the collection.

The form is Helm's secrets driver's, the same in Helm 3 and 4: labels name, owner, status and version; the key `release`
holds base64 of gzipped JSON (https://github.com/helm/helm/blob/main/pkg/storage/driver/util.go).
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Iterable, Iterator, Mapping

try:
    import yaml

    # No tags are resolved: what a manifest means by `=` or `on` does not matter here, and may not even parse.
    _LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
except ImportError:
    # The Python package kubernetes needs PyYAML, and no release is read without it.
    pass

Object = Mapping[str, Any]

DEPLOYED = "deployed"
FAILED = "failed"
PENDING_INSTALL = "pending-install"
SUPERSEDED = "superseded"
UNINSTALLED = "uninstalled"
UNINSTALLING = "uninstalling"

KEEP_ANNOTATION = "helm.sh/resource-policy"
OWNER_NAME = "meta.helm.sh/release-name"
OWNER_NAMESPACE = "meta.helm.sh/release-namespace"

BUILT_IN_GROUPS = frozenset({
    "", "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "apps", "autoscaling", "batch",
    "certificates.k8s.io", "coordination.k8s.io", "discovery.k8s.io", "flowcontrol.apiserver.k8s.io", "networking.k8s.io",
    "node.k8s.io", "policy", "rbac.authorization.k8s.io", "scheduling.k8s.io", "storage.k8s.io",
})

_DOCUMENT = re.compile(r"(?m)^---[ \t]*$\n?")


@dataclass(frozen=True, order=True)
class Reference:
    """An object that a manifest names. namespace: empty for the release's own, or for none."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    @property
    def built_in(self) -> bool:
        """Whether the kind is Kubernetes' own, so that its path is known without asking."""
        group, _, version = self.api_version.rpartition("/")
        return bool(version) and group in BUILT_IN_GROUPS


@dataclass(frozen=True)
class Contents:
    """What a revision was made of. values: the user's, without the chart's defaults."""

    chart: str
    version: str
    app_version: str
    values: Mapping[str, Any] = field(repr=False)
    manifest: str = field(repr=False)

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The Namespaces that are objects of the release, so that Helm would delete them with it."""
        return tuple(item.name for item in references(self.manifest) if item.kind == "Namespace")


@dataclass(frozen=True)
class Revision:
    """One revision of a release.

    changed: when its record was last written, Unix seconds, by the clock of the machine that Helm ran on.
    """

    number: int
    status: str
    changed: float
    secret: Object = field(repr=False)

    @classmethod
    def of(cls, secret: Object) -> Revision:
        labels = secret["metadata"].get("labels") or {}
        changed = labels.get("modifiedAt")
        return cls(
            number=int(labels.get("version") or 0),
            status=labels.get("status") or "unknown",
            changed=float(changed) if changed else _seconds(secret["metadata"].get("creationTimestamp")),
            secret=secret,
        )

    @property
    def unfinished(self) -> bool:
        """A Helm is at work on it, or was killed in the middle."""
        return self.status.startswith("pending-") or self.status == UNINSTALLING

    @property
    def contents(self) -> Contents:
        release = decode(self.secret)
        chart = (release.get("chart") or {}).get("metadata") or {}
        return Contents(
            chart=chart.get("name") or "",
            version=chart.get("version") or "",
            app_version=chart.get("appVersion") or "",
            values=release.get("config") or {},
            manifest=release.get("manifest") or "",
        )


History = tuple[Revision, ...]


def secret_name(release: str, revision: int) -> str:
    return f"sh.helm.release.v1.{release}.v{revision}"


def history(secrets: Iterable[Object]) -> History:
    """A release's revisions, oldest first."""
    return tuple(sorted((Revision.of(secret) for secret in secrets), key=lambda revision: revision.number))


def good(revisions: History) -> Revision | None:
    """The newest revision that was once deployed whole, or None.

    A Helm killed between its last two writes leaves the old revision superseded and the new one pending: then the
    newest superseded one is it.
    """
    for status in (DEPLOYED, SUPERSEDED):
        for revision in reversed(revisions):
            if revision.status == status:
                return revision
    return None


def decode(secret: Object) -> dict[str, Any]:
    """The release in a record Secret as the API server gives it (its data in base64, on top of Helm's own)."""
    packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
    parsed = json.loads(gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed)
    return parsed if isinstance(parsed, dict) else {}


def encode(secret: Object, release: Mapping[str, Any]) -> dict[str, Any]:
    """The record Secret with another release in it."""
    packed = gzip.compress(json.dumps(release, separators=(",", ":")).encode(), mtime=0)
    data = base64.b64encode(base64.b64encode(packed)).decode()
    return {**secret, "data": {**secret["data"], "release": data}}


def without_namespaces(release: Mapping[str, Any]) -> dict[str, Any]:
    """The release with every Namespace taken out of its manifest; all other documents keep their bytes."""
    kept = [text for text in _documents(release.get("manifest") or "") if _kind(text) != "Namespace"]
    return {**release, "manifest": "".join(f"---\n{text}" for text in kept)}


def references(manifest: str) -> tuple[Reference, ...]:
    """The objects of a manifest that stay in the cluster: without Jobs that Kubernetes itself removes when they end."""
    return tuple(sorted({
        Reference(
            api_version=item.get("apiVersion") or "",
            kind=item.get("kind") or "",
            namespace=item["metadata"].get("namespace") or "",
            name=item["metadata"]["name"],
        )
        for item in _objects(manifest)
        if not (item.get("kind") == "Job" and "ttlSecondsAfterFinished" in (item.get("spec") or {}))
    }))


def _objects(manifest: str) -> Iterator[dict[str, Any]]:
    for text in _documents(manifest):
        document = yaml.load(text, Loader=_LOADER)  # noqa: S506 - the base loader makes only texts, lists and maps
        items = (document or {}).get("items") if _is_list(document) else [document]
        yield from (item for item in items or () if item and (item.get("metadata") or {}).get("name"))


def _is_list(document: Any) -> bool:
    return bool(document) and document.get("kind") == "List"


def _documents(manifest: str) -> list[str]:
    return [text for text in _DOCUMENT.split(manifest) if text.strip()]


def _kind(text: str) -> str:
    document = yaml.load(text, Loader=_LOADER)  # noqa: S506 - as above
    return str((document or {}).get("kind") or "")


def _seconds(stamp: str | None) -> float:
    """Unix seconds of a Kubernetes timestamp such as 2026-11-20T10:00:00Z; 0 for none."""
    if not stamp:
        return 0.0
    return datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()
