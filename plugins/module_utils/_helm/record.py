# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Helm stores about a release in the cluster: one Secret for each revision. Pure. PRIVATE to the collection.

The format is that of Helm's secrets driver, the same in Helm 3 and 4: labels name, owner, status and version; the key
`release` contains base64 of gzipped JSON (https://github.com/helm/helm/blob/main/pkg/storage/driver/util.go).
"""

from __future__ import annotations

import base64
import contextlib
import functools
import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from .._engine import Refused
from .._gateways.helm import same_version
from .values import paths

with contextlib.suppress(ImportError):
    # Without it the Python package kubernetes is missing too, and that is reported first.
    import yaml

    # Tags are not resolved: what a manifest means by `=` or `on` does not matter here, and may not even parse.
    _LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

Object = Mapping[str, Any]

DEPLOYED = "deployed"
FAILED = "failed"
PENDING_INSTALL = "pending-install"
SUPERSEDED = "superseded"
UNINSTALLED = "uninstalled"
UNINSTALLING = "uninstalling"

HOOK_ANNOTATION = "helm.sh/hook"
KEEP_ANNOTATION = "helm.sh/resource-policy"
OWNER_NAME = "meta.helm.sh/release-name"
OWNER_NAMESPACE = "meta.helm.sh/release-namespace"

BUILT_IN_GROUPS = frozenset(
    {
        "",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "apps",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
    }
)

_KEPT_KINDS = ("CustomResourceDefinition", "Namespace", "PersistentVolume", "PersistentVolumeClaim")

_API_KEY = re.compile(r"(^|\.)apikey$", re.IGNORECASE)
_DOCUMENT = re.compile(r"(?m)^---[ \t]*$\n?")


@dataclass(frozen=True, order=True)
class Reference:
    """An object that a manifest names. namespace: empty for the release's own, and for none."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    @property
    def built_in(self) -> bool:
        """Whether Kubernetes itself defines the kind, so that its path is known without asking."""
        group, _slash, version = self.api_version.rpartition("/")
        return bool(version) and group in BUILT_IN_GROUPS


@dataclass(frozen=True)
class Contents:
    """What a revision was made of. values: the user's, without the chart's defaults."""

    chart: str
    version: str
    app_version: str
    values: Mapping[str, Any] = field(repr=False)
    manifest: str = field(repr=False)
    hook_manifests: tuple[str, ...] = field(default=(), repr=False)

    @functools.cached_property
    def objects(self) -> tuple[Reference, ...]:
        """The manifest's objects, except Jobs that Kubernetes itself removes when they end."""
        return tuple(
            sorted(
                {
                    _reference(item)
                    for text in _documents(self.manifest)
                    for item in _objects(text)
                    if not _passing(item)
                }
            )
        )

    @functools.cached_property
    def hooks(self) -> tuple[Reference, ...]:
        """Objects that its hooks created and an uninstall may leave, except those that hold other data."""
        made = [item for text in self.hook_manifests for item in _objects(text)]
        return tuple(sorted({_reference(item) for item in made if item.get("kind") not in _KEPT_KINDS}))

    def owns_namespace(self, name: str) -> bool:
        """Whether this Namespace is an object of the release, so that Helm would delete it with the release."""
        return Reference("v1", "Namespace", "", name) in self.objects


@dataclass(frozen=True)
class Revision:
    """One revision of a release.

    changed: when its record was last written, in Unix seconds, by the clock of the machine that ran Helm.
    """

    number: int
    status: str
    changed: float
    secret: Object = field(repr=False)

    @classmethod
    def of(cls, secret: Object) -> Revision:
        """Raises Refused, as contents does, if somebody edited the record so that it cannot be read."""
        labels = secret["metadata"].get("labels") or {}
        changed = labels.get("modifiedAt")
        with _reading(secret):
            return cls(
                number=int(labels.get("version") or 0),
                status=labels.get("status") or "unknown",
                changed=float(changed) if changed else _seconds(secret["metadata"].get("creationTimestamp")),
                secret=secret,
            )

    @property
    def unfinished(self) -> bool:
        """Helm is working on it, or was killed while it did."""
        return self.status.startswith("pending-") or self.status == UNINSTALLING

    @functools.cached_property
    def contents(self) -> Contents:
        release = decode(self.secret)
        with _reading(self.secret):
            chart = _of(dict, _of(dict, release, "chart"), "metadata")
            found = Contents(
                chart=_of(str, chart, "name"),
                version=_of(str, chart, "version"),
                app_version=_of(str, chart, "appVersion"),
                values=_of(dict, release, "config"),
                manifest=_of(str, release, "manifest"),
                hook_manifests=tuple(_of(str, hook, "manifest") for hook in _of(list, release, "hooks")),
            )
            # They are cached; a manifest that cannot be read is found out here.
            len(found.objects) + len(found.hooks)
            return found

    @property
    def api_key_paths(self) -> tuple[str, ...]:
        """The paths of API keys in the values, which everybody who may read Secrets can read; none if it is
        unreadable."""
        try:
            return api_keys(self.contents.values)
        except Refused:
            return ()


History = tuple[Revision, ...]


def api_keys(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The dotted paths of the API keys in a chart's values."""
    return tuple(path for path in paths(values) if _API_KEY.search(path))


def secret_name(release: str, revision: int) -> str:
    return f"sh.helm.release.v1.{release}.v{revision}"


def history(secrets: Iterable[Object]) -> History:
    """A release's revisions, oldest first."""
    return tuple(sorted((Revision.of(secret) for secret in secrets), key=lambda revision: revision.number))


def of(secrets: Iterable[Object], release: str) -> History:
    """One release's revisions, from the record Secrets of a namespace."""
    return history(secret for secret in secrets if (secret["metadata"].get("labels") or {}).get("name") == release)


def newest(revisions: History) -> Revision | None:
    """None if the release is not installed (an uninstalled one only keeps its history)."""
    if not revisions or revisions[-1].status == UNINSTALLED:
        return None
    return revisions[-1]


def goal(revisions: History) -> Revision | None:
    """The revision whose manifest should be installed, whatever was started since; None if there is none.

    A killed uninstall is undone. Before an install nothing was installed, even if there is a history of the release.
    """
    last = newest(revisions)
    if last is None or last.status == PENDING_INSTALL:
        return None
    return last if last.status == UNINSTALLING else good(revisions)


def good(revisions: History) -> Revision | None:
    """The newest revision that was once fully deployed, or None.

    If Helm is killed between its last two writes, the old revision is superseded and the new one pending; then it is
    the newest superseded one.
    """
    for status in (DEPLOYED, SUPERSEDED):
        for revision in reversed(revisions):
            if revision.status == status:
                return revision
    return None


def deployed(revisions: History, version: str) -> bool:
    """Whether a release is deployed at this chart version (empty: at any)."""
    if not revisions or revisions[-1].status != DEPLOYED:
        return False
    return not version or same_version(revisions[-1].contents.version, version)


def decode(secret: Object) -> dict[str, Any]:
    """The release in a record Secret as the API server gives it (its data in base64, on top of Helm's own)."""
    with _reading(secret):
        packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
        parsed = json.loads(gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed)
        if not isinstance(parsed, dict):
            raise TypeError("it contains no release")
        return parsed


@contextlib.contextmanager
def _reading(secret: Object) -> Iterator[None]:
    """Report which record cannot be read, whatever the reason. Its contents are not shown, as they may be secret."""
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, OSError, EOFError, zlib.error, RecursionError) as error:
        reason = f"{type(error).__name__}"
    except yaml.YAMLError:
        reason = "its manifest is not YAML"
    else:
        return
    metadata = secret["metadata"]
    name = f"{metadata.get('namespace') or ''}/{metadata.get('name') or ''}"
    raise Refused(
        f"Helm's record Secret {name} cannot be read ({reason}): somebody edited it or restored it wrongly. Restore"
        " it, or delete it to continue from the previous revision."
    )


def _of(kind: type[Any], mapping: Mapping[str, Any], key: str) -> Any:
    """The value under a key of a record, of that type; the type's empty value if there is none."""
    found = mapping.get(key)
    if not found:
        return kind()
    if not isinstance(found, kind):
        raise TypeError(key)
    return found


def encode(secret: Object, release: Mapping[str, Any]) -> dict[str, Any]:
    """The record Secret with a different release in it."""
    packed = gzip.compress(json.dumps(release, separators=(",", ":")).encode(), mtime=0)
    data = base64.b64encode(base64.b64encode(packed)).decode()
    return {**secret, "data": {**secret["data"], "release": data}}


def with_status(secret: Object, status: str) -> dict[str, Any]:
    """The record Secret with a different status of the release."""
    release = decode(secret)
    changed = encode(secret, {**release, "info": {**(release.get("info") or {}), "status": status}})
    metadata = secret["metadata"]
    return {**changed, "metadata": {**metadata, "labels": {**(metadata.get("labels") or {}), "status": status}}}


def without_namespace(release: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The release with a Namespace taken out of its manifest; all other documents keep their bytes."""
    kept = [
        text
        for text in _documents(release.get("manifest") or "")
        if not any(item.kind == "Namespace" and item.name == name for item in map(_reference, _objects(text)))
    ]
    return {**release, "manifest": "".join(f"---\n{text}" for text in kept)}


def references(objects: Iterable[Object]) -> tuple[Reference, ...]:
    """The objects of a rendered chart that a release would own, without its hooks, which Helm creates anew each
    time."""
    return tuple(
        _reference(item) for item in objects if HOOK_ANNOTATION not in (item["metadata"].get("annotations") or {})
    )


def _documents(manifest: str) -> list[str]:
    return [text for text in _DOCUMENT.split(manifest) if text.strip()]


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The objects in a manifest's document: one, none (only comments), or those of a List."""
    document = yaml.load(text, Loader=_LOADER)  # noqa: S506 - the base loader makes only texts, lists and maps
    if document and not isinstance(document, dict):
        raise TypeError("a manifest holds objects")
    found = [document] if not document or document.get("kind") != "List" else document.get("items")
    yield from (item for item in found or () if item and (item.get("metadata") or {}).get("name"))


def _reference(item: Object) -> Reference:
    metadata = item["metadata"]
    return Reference(
        item.get("apiVersion") or "", item.get("kind") or "", metadata.get("namespace") or "", metadata["name"]
    )


def _passing(item: Object) -> bool:
    return item.get("kind") == "Job" and "ttlSecondsAfterFinished" in (item.get("spec") or {})


def _seconds(stamp: str | None) -> float:
    """Unix seconds of a Kubernetes timestamp such as 2026-11-20T10:00:00Z; 0 for none."""
    if not stamp:
        return 0.0
    return datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()
