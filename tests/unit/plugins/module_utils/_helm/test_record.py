# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records written by Helm 3 and 4 themselves, of a chart with a Namespace, a List, a passing Job and odd texts."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.castai.onboarding.plugins.module_utils._engine import Refused
from ansible_collections.castai.onboarding.plugins.module_utils._helm import record
from ansible_collections.castai.onboarding.plugins.module_utils._helm.record import Reference, Revision
from ansible_collections.castai.onboarding.plugins.module_utils._helm.values import differing

RECORDS: dict[str, Any] = json.loads((Path(__file__).parent / "records.json").read_text(encoding="utf-8"))
VALUES = {
    "big": 12345678901,
    "createNamespace": True,
    "empty": {},
    "items": [],
    "none": None,
    "ratio": 0.5,
    "replicas": 2,
    "text": "12e3",
}
OBJECTS = (
    Reference("rbac.authorization.k8s.io/v1", "Role", "kube-system", "tiny"),
    Reference("v1", "ConfigMap", "", "tiny"),
    Reference("v1", "Namespace", "", "tiny"),
    Reference("v1", "ServiceAccount", "", "tiny"),
)

real = pytest.mark.parametrize("secret", RECORDS.values(), ids=RECORDS)


def secret_of(release: str, number: int, status: str, chart_version: str = "1.0.0") -> dict[str, Any]:
    empty = {"metadata": {"name": record.secret_name(release, number)}, "data": {}}
    content = {"chart": {"metadata": {"name": "tiny", "version": chart_version}}, "manifest": ""}
    secret = record.encode(empty, content)
    labels = {"name": release, "owner": "helm", "status": status, "version": str(number)}
    return {**secret, "metadata": {**secret["metadata"], "labels": labels}}


@real
def test_revision(secret: dict[str, Any]) -> None:
    revision = Revision.of(secret)
    assert (revision.number, revision.status, revision.unfinished) == (2, "deployed", False)
    assert revision.changed == float(secret["metadata"]["labels"]["modifiedAt"])
    assert record.secret_name("tiny", 2) == secret["metadata"]["name"]
    assert revision.contents.chart == "tiny"
    assert (revision.contents.version, revision.contents.app_version) == ("1.2.3", "v4.5.6")
    assert differing(revision.contents.values, VALUES) == ()


@real
def test_objects_of_the_manifest(secret: dict[str, Any]) -> None:
    contents = Revision.of(secret).contents
    assert contents.objects == OBJECTS
    assert contents.owns_namespace("tiny")
    assert not contents.owns_namespace("other")


@real
def test_a_namespace_is_taken_out_and_nothing_else(secret: dict[str, Any]) -> None:
    release = record.decode(secret)
    without = record.encode(secret, record.without_namespace(release, "tiny"))
    assert {**without, "data": None} == {**secret, "data": None}
    after = Revision.of(without).contents
    assert after.objects == tuple(item for item in OBJECTS if item.kind != "Namespace")
    assert {**record.decode(without), "manifest": None} == {**release, "manifest": None}
    for document in after.manifest.split("---\n"):
        assert document in release["manifest"]
    assert record.without_namespace(release, "other")["manifest"].count("kind: Namespace") == 2


def test_a_record_without_a_time_of_change_counts_from_its_creation() -> None:
    secret = secret_of("tiny", 1, "pending-install")
    secret["metadata"]["creationTimestamp"] = "1970-01-02T00:00:00Z"
    assert Revision.of(secret).changed == 86400


@pytest.mark.parametrize(
    ("statuses", "good"),
    [
        ([], None),
        (["failed"], None),
        (["pending-install"], None),
        (["deployed"], 1),
        (["deployed", "failed"], 1),
        (["superseded", "deployed", "failed"], 2),
        (["superseded", "superseded", "pending-upgrade"], 2),
        (["deployed", "superseded", "pending-rollback"], 1),
    ],
)
def test_good(statuses: list[str], good: int | None) -> None:
    history = record.history(secret_of("tiny", number, status) for number, status in enumerate(statuses, 1))
    found = record.good(history)
    assert (found.number if found else None) == good


def test_history_is_sorted_by_number_not_by_name() -> None:
    secrets = [secret_of("tiny", number, "superseded") for number in (10, 9, 2)]
    assert [revision.number for revision in record.history(secrets)] == [2, 9, 10]


@pytest.mark.parametrize(
    ("release", "version", "deployed"),
    [
        ("a", "", True),
        ("a", "1.0.1", True),
        ("a", "v1.0.1", True),
        ("a", "1.0.0", False),
        ("b", "", False),
        ("c", "", False),
    ],
)
def test_deployed(release: str, version: str, deployed: bool) -> None:
    secrets = [
        secret_of("a", 1, "superseded"),
        secret_of("a", 2, "deployed", "1.0.1"),
        secret_of("b", 1, "deployed"),
        secret_of("b", 2, "failed"),
    ]
    assert record.deployed(record.of(secrets, release), version) is deployed


@pytest.mark.parametrize(
    ("api_version", "built_in"),
    [
        ("v1", True),
        ("apps/v1", True),
        ("policy/v1", True),
        ("networking.k8s.io/v1", True),
        ("gateway.networking.k8s.io/v1", False),
        ("autoscaling.cast.ai/v1", False),
        ("", False),
    ],
)
def test_built_in(api_version: str, built_in: bool) -> None:
    assert Reference(api_version, "Thing", "", "x").built_in is built_in


def test_another_status_changes_nothing_else() -> None:
    release = {"name": "agent", "info": {"status": "pending-install", "notes": "n"}, "config": {"a": 1}}
    metadata = {"name": "x", "resourceVersion": "7", "labels": {"status": "pending-install", "version": "1"}}
    before = record.encode({"metadata": metadata, "data": {"other": "o"}}, release)
    after = record.with_status(before, record.FAILED)
    assert record.decode(after) == {**release, "info": {"status": "failed", "notes": "n"}}
    assert after["metadata"] == {**metadata, "labels": {"status": "failed", "version": "1"}}
    assert after["data"]["other"] == "o"
    assert record.Revision.of(after).status == "failed"


def edited(content: Any, pack: bool = True, **labels: str) -> dict[str, Any]:
    """A record Secret whose release was inserted by hand."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    data = base64.b64encode(base64.b64encode(gzip.compress(text)) if pack else text).decode()
    metadata = {"namespace": "n", "name": "edited", "labels": {"version": "1", "status": "deployed", **labels}}
    return {"metadata": metadata, "data": {"release": data}}


WHOLE = {"chart": {"metadata": {"name": "agent"}}, "manifest": "kind: A", "config": {}}


@pytest.mark.parametrize(
    "secret",
    [
        {"metadata": {"namespace": "n", "name": "edited"}},
        {"metadata": {"namespace": "n", "name": "edited"}, "data": None},
        {"metadata": {"namespace": "n", "name": "edited"}, "data": {"other": ""}},
        {"metadata": {"namespace": "n", "name": "edited"}, "data": {"release": "abc"}},
        edited(b"not packed", pack=False),
        edited(base64.b64encode(b"\x1f\x8bnot gzip"), pack=False),
        edited(base64.b64encode(gzip.compress(b"{}")[:-4]), pack=False),
        edited(b"not JSON"),
        edited(b"[" * 100_000),
        edited([]),
        edited(None),
        edited({**WHOLE, "chart": "agent"}),
        edited({**WHOLE, "chart": {"metadata": [1]}}),
        edited({**WHOLE, "chart": {"metadata": {"name": 7}}}),
        edited({**WHOLE, "config": "a: b"}),
        edited({**WHOLE, "manifest": {"kind": "A"}}),
        edited({**WHOLE, "manifest": "{"}),
        edited({**WHOLE, "manifest": "- kind: A"}),
        edited({**WHOLE, "manifest": "metadata: x"}),
        edited({**WHOLE, "manifest": "kind: List\nitems: x"}),
        edited(WHOLE, version="one"),
        edited(WHOLE, modifiedAt="yesterday"),
    ],
)
def test_an_edited_record_is_refused_by_name(secret: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="Helm's record Secret n/edited cannot be read"):
        print(Revision.of(secret).contents)


KEYS = ["chart", "metadata", "config", "manifest", "name", "version", "info"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)


@given(st.one_of(st.binary(max_size=60), JSON), st.booleans(), st.text(max_size=3))
def test_whatever_a_record_holds_it_is_read_or_refused(content: Any, pack: bool, version: str) -> None:
    secret = edited(content, pack=pack, version=version)
    with contextlib.suppress(Refused):
        found = Revision.of(secret)
        assert isinstance(found.contents.objects, tuple)
        assert isinstance(found.api_key_paths, tuple)


def test_what_hooks_made_but_for_what_holds_the_data_of_others() -> None:
    kinds = ("Job", "ConfigMap", "CustomResourceDefinition", "Namespace", "PersistentVolumeClaim")
    hooks = [{"manifest": f"apiVersion: v1\nkind: {kind}\nmetadata:\n  name: crds\n"} for kind in kinds]
    secret = record.encode(secret_of("tiny", 1, "deployed"), {"hooks": [*hooks, {}]})
    assert [item.kind for item in Revision.of(secret).contents.hooks] == ["ConfigMap", "Job"]
