# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interpreting Kubernetes requests, cluster descriptions on the command line, and the lock of a world."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from tests.sandbox.kubernetes.front import AuditLog, Target, is_dry_run, object_name, target
from tests.sandbox.locks import locked
from tests.sandbox.spec import ClusterSpec, world_folder
from tests.sandbox.wire import Request

NAMED = b'{"metadata": {"name": "x"}}'


def request(method: str, url: str, body: bytes = b"") -> Request:
    path, _mark, query = url.partition("?")
    return Request(method, "prod", path, query, {}, body)


@pytest.mark.parametrize(
    ("method", "url", "expected"),
    [
        ("GET", "/version", Target("get", "/version")),
        ("GET", "/api/v1", Target("get", "/api/v1")),
        ("GET", "/apis/apps/v1", Target("get", "/apis/apps/v1")),
        ("GET", "/api/v1/nodes", Target("list", "nodes")),
        ("GET", "/api/v1/nodes/a", Target("get", "nodes", "", "a")),
        ("GET", "/api/v1/secrets?watch=true", Target("watch", "secrets")),
        ("GET", "/api/v1/namespaces/n/secrets?watch=1", Target("watch", "secrets", "n")),
        ("POST", "/api/v1/namespaces/n/secrets", Target("create", "secrets", "n", "x")),
        ("POST", "/api/v1/namespaces", Target("create", "namespaces", "x", "x")),
        ("GET", "/api/v1/namespaces/n", Target("get", "namespaces", "n", "n")),
        ("PUT", "/api/v1/namespaces/n/finalize", Target("update", "namespaces/finalize", "n", "n")),
        ("PATCH", "/apis/apps/v1/namespaces/n/deployments/d/scale", Target("patch", "deployments/scale", "n", "d")),
        ("DELETE", "/api/v1/namespaces/n/pods/p", Target("delete", "pods", "n", "p")),
        ("DELETE", "/api/v1/namespaces/n/pods", Target("deletecollection", "pods", "n")),
        ("POST", "/api/v1/namespaces/n/pods/p/eviction", Target("create", "pods/eviction", "n", "p")),
        ("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/a%3Ab", Target("get", "clusterroles", "", "a:b")),
    ],
)
def test_target(method: str, url: str, expected: Target) -> None:
    assert target(request(method, url, NAMED)) == expected


def test_object_name_of_json_and_protobuf() -> None:
    # k8s\0, typeMeta (1) v1 Secret, raw (2): metadata (1): name (1) "creds", namespace (3) "n"; data (2)
    metadata = b"\x0a\x05creds\x1a\x01n"
    raw = b"\x0a" + bytes([len(metadata)]) + metadata + b"\x12\x00"
    envelope = b"k8s\0\x0a\x0c\x0a\x02v1\x12\x06Secret\x12" + bytes([len(raw)]) + raw
    assert object_name(envelope) == "creds"
    assert object_name(NAMED) == "x"
    assert [object_name(body) for body in (b"", b"[]", b'{"metadata": {}}', b"k8s\0")] == [""] * 4


def test_dry_run_by_query_and_by_body() -> None:
    assert is_dry_run(request("POST", "/api/v1/namespaces?dryRun=All", NAMED))
    assert is_dry_run(request("DELETE", "/api/v1/namespaces/n", b'{"dryRun":["All"]}'))
    assert not is_dry_run(request("POST", "/api/v1/namespaces", NAMED))


def test_a_lock_is_for_one_and_leaves_no_file(tmp_path: Path) -> None:
    path, order = tmp_path / "x.lock", list[str]()

    def hold(name: str) -> None:
        with locked(path, on_wait=lambda: order.append(f"{name} waits")):
            order.append(name)

    with locked(path):
        threads = [threading.Thread(target=hold, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        while len(order) < 2:
            time.sleep(0.01)
        order.append("first")
    for thread in threads:
        thread.join()
    assert sorted(order[:2]) == ["a waits", "b waits"]
    assert order[2] == "first"
    assert {"a", "b"} <= set(order[3:])
    assert not path.exists()


def test_audit_log_is_read_as_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    first, second = (json.dumps({"auditID": audit}) + "\n" for audit in "ab")
    path.write_text(first + second[:5])
    log = AuditLog(path)
    assert set(log.find(["a"])) == {"a"}

    def finish() -> None:
        time.sleep(0.05)
        with path.open("a") as end:
            end.write(second[5:])

    threading.Thread(target=finish).start()
    assert set(log.find(["a", "b"])) == {"a", "b"}


def test_cluster_descriptions() -> None:
    assert ClusterSpec.parse("prod:eks") == ClusterSpec("prod")
    spec = ClusterSpec.parse("far:eks:account=999988887777:region=us-gov-west-1:mode=API:nodes=3:version=1.20")
    assert (spec.account, spec.region, spec.mode, spec.nodes) == ("999988887777", "us-gov-west-1", "API", 3)
    assert spec.created_by == "arn:aws-us-gov:iam::999988887777:role/onboarding"
    assert ClusterSpec("prod").created_by == "arn:aws:iam::111122223333:user/operator"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("prod", "expected NAME:PROVIDER"),
        ("prod:nks", "provider must be one of eks"),
        ("Prod:eks", "only lower-case"),
        ("prod:eks:zone=x", "unknown option 'zone=x'"),
        ("prod:eks:name=x", "unknown option 'name=x'"),
        ("prod:eks:mode=BOTH", "mode must be one of"),
        ("prod:eks:account=12", "12 digits"),
        ("prod:eks:version=v2", "version must look like"),
        ("prod:eks:region=EU-CENTRAL-1", "region must look like"),
    ],
)
def test_a_mistake_in_a_description_is_told(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        ClusterSpec.parse(text)


def test_world_names_stay_in_their_folder() -> None:
    with pytest.raises(ValueError, match="only lower-case"):
        world_folder("../other")
