# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published normalization: the differences that it removes, and that it removes no others."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import random
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sandbox.normal import difference, normalize


def encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def helm_record(name: str, revision: int, status: str, manifest: str = "kind: X\n") -> dict[str, Any]:
    record = {
        "name": name,
        "namespace": "castai-agent",
        "version": revision,
        "chart": {"metadata": {"name": name, "version": "0.161.1"}},
        "config": {"provider": "eks"},
        "info": {"status": status, "last_deployed": f"2026-11-21T0{revision}:00:00.1Z"},
        "manifest": manifest,
    }
    packed = base64.b64encode(gzip.compress(json.dumps(record).encode())).decode()
    return {
        "kind": "Secret",
        "apiVersion": "v1",
        "type": "helm.sh/release.v1",
        "metadata": {
            "name": f"sh.helm.release.v1.{name}.v{revision}",
            "namespace": "castai-agent",
            "uid": str(uuid.uuid4()),
            "labels": {"version": str(revision), "status": status},
        },
        "data": {"release": encode(packed)},
    }


def endpoints(pods: list[tuple[str, str, str]], chance: random.Random) -> dict[str, Any]:
    """A slice with the pods (name, uid, address) in any order, the first one not ready."""
    found = [
        {
            "addresses": [address],
            "conditions": {"ready": number > 0},
            "nodeName": f"ip-10-0-{chance.randrange(3)}-1",
            "zone": f"eu-central-1{'abc'[chance.randrange(3)]}",
            "targetRef": {"kind": "Pod", "name": name, "uid": uid},
        }
        for number, (name, uid, address) in enumerate(pods)
    ]
    chance.shuffle(found)
    return {
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {
            "name": f"castai-agent-{chance.getrandbits(20):05x}",
            "namespace": "castai-agent",
            "generateName": "castai-agent-",
            "uid": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        },
        "endpoints": found,
    }


def world(seed: int) -> dict[str, Any]:
    """A small state; everything generated in it follows from the seed."""
    chance = random.Random(seed)

    def new_id() -> str:
        return str(uuid.UUID(int=chance.getrandbits(128), version=4))

    def letters(count: int) -> str:
        return "".join(chance.choices("bcdfghjklmnpqrstvwxz2456789", k=count))

    cluster, other, deployment, replicas = (new_id() for _id in range(4))
    token = f"CANARY-{letters(30)}"
    stamp, pod_hash = f"2026-11-21T03:{chance.randrange(10, 60)}:00Z", letters(10)
    agent = {
        "Namespace castai-agent": {
            "kind": "Namespace",
            "apiVersion": "v1",
            "metadata": {"name": "castai-agent", "uid": new_id(), "creationTimestamp": stamp},
        },
        "Secret castai-agent/castai-credentials": {
            "kind": "Secret",
            "apiVersion": "v1",
            "metadata": {
                "name": "castai-credentials",
                "namespace": "castai-agent",
                "uid": new_id(),
                "managedFields": [{"time": stamp}],
                "resourceVersion": str(chance.randrange(9999)),
            },
            "data": {"API_KEY": encode(token)},
        },
        "ConfigMap castai-agent/castai-agent-metadata": {
            "kind": "ConfigMap",
            "apiVersion": "v1",
            "metadata": {"name": "castai-agent-metadata", "namespace": "castai-agent", "uid": new_id()},
            "data": {"CLUSTER_ID": cluster},
        },
        f"apps/ReplicaSet castai-agent/castai-agent-{pod_hash}": {
            "kind": "ReplicaSet",
            "apiVersion": "apps/v1",
            "metadata": {
                "name": f"castai-agent-{pod_hash}",
                "namespace": "castai-agent",
                "uid": replicas,
                "labels": {"pod-template-hash": pod_hash},
                "ownerReferences": [{"kind": "Deployment", "uid": deployment}],
            },
        },
        f"Event castai-agent/{letters(5)}": {
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": {"name": letters(5), "uid": new_id()},
        },
    }
    pod = f"castai-agent-{pod_hash}-"
    pods = [(pod + letters(5), new_id(), f"10.0.0.{chance.randrange(2, 4)}") for _pod in range(2)]
    for name, uid, address in pods:
        agent[f"Pod castai-agent/{name}"] = {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {
                "name": name,
                "namespace": "castai-agent",
                "generateName": f"castai-agent-{pod_hash}-",
                "uid": uid,
                "labels": {"pod-template-hash": pod_hash},
                "ownerReferences": [{"kind": "ReplicaSet", "uid": replicas}],
            },
            "spec": {"nodeName": f"ip-10-0-{chance.randrange(3)}-1"},
            "status": {"podIP": address, "podIPs": [{"ip": address}]},
        }
    behind = endpoints(pods, chance)
    agent[f"discovery.k8s.io/EndpointSlice castai-agent/{behind['metadata']['name']}"] = behind
    record = helm_record("castai-agent", chance.randrange(1, 9), "deployed")
    agent[f"Secret castai-agent/{record['metadata']['name']}"] = record
    items = list(agent.items())
    chance.shuffle(items)
    keys = [f"AKIA{''.join(chance.choices('ABCDEFGH234567', k=16))}" for _key in range(2)]
    return {
        "aws": {
            "users": {
                f"user/cast-{name}": {"access_keys": [{"id": key, "status": "Active"}]}
                for name, key in zip(("prod", "dev"), keys, strict=True)
            }
        },
        "castai": {
            "access_keys": dict(zip((cluster, other), keys, strict=True)),
            "clusters": {
                cluster: {"id": cluster, "name": "prod", "clusterNameId": f"prod-{cluster[:8]}", "createdAt": stamp},
                other: {"id": other, "name": "dev", "clusterNameId": f"dev-{other[:8]}"},
            },
            "tokens": {
                cluster: [{"hash": hashlib.sha256(token.encode()).hexdigest()[:16], "live": True, "used": True}],
                other: [{"hash": hashlib.sha256(b"other").hexdigest()[:16], "live": True, "used": False}],
            },
        },
        "kubernetes": {"prod": dict(items)},
    }


def objects(state: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [item for item in state["kubernetes"]["prod"].values() if item["kind"] == kind]


@settings(max_examples=50, deadline=None)
@given(st.integers(), st.integers())
def test_generated_values_do_not_count(one: int, other: int) -> None:
    assert normalize(world(one)) == normalize(world(other))


def test_nothing_generated_is_left() -> None:
    state = world(1)
    text = json.dumps(normalize(state))
    for kind in ("Pod", "ReplicaSet", "Secret"):
        for item in objects(state, kind):
            assert item["metadata"]["uid"] not in text
    assert not {"Event", "managedFields", "resourceVersion", "CANARY", "2026"} & set(text.replace('"', " ").split())


def test_no_object_is_lost() -> None:
    normal = normalize(world(1))["kubernetes"]["prod"]
    assert sum(label.startswith("Pod ") for label in normal) == 2
    assert sum(label.startswith("apps/ReplicaSet ") for label in normal) == 1


def dangle(state: dict[str, Any]) -> None:
    objects(state, "Pod")[0]["metadata"]["ownerReferences"][0]["uid"] = str(uuid.uuid4())


def point_elsewhere(state: dict[str, Any]) -> None:
    dev = next(key for key, one in state["castai"]["clusters"].items() if one["name"] == "dev")
    objects(state, "ConfigMap")[0]["data"]["CLUSTER_ID"] = dev


def use_another_key(state: dict[str, Any]) -> None:
    secret = next(item for item in objects(state, "Secret") if "API_KEY" in item["data"])
    secret["data"]["API_KEY"] = encode("CANARY-another")


def use_the_others_key(state: dict[str, Any]) -> None:
    secret = next(item for item in objects(state, "Secret") if "API_KEY" in item["data"])
    secret["data"]["API_KEY"] = encode("CANARY-other")
    for tokens in state["castai"]["tokens"].values():
        if not tokens[0]["used"]:
            tokens[0]["hash"] = hashlib.sha256(b"CANARY-other").hexdigest()[:16]


def add_a_pod(state: dict[str, Any]) -> None:
    pod = json.loads(json.dumps(objects(state, "Pod")[0]).replace(objects(state, "Pod")[0]["metadata"]["name"], "p"))
    state["kubernetes"]["prod"]["Pod castai-agent/p"] = pod


def mint_again(state: dict[str, Any]) -> None:
    tokens = next(iter(state["castai"]["tokens"].values()))
    tokens.append({"hash": "0123456789abcdef", "live": False, "used": False})


def change_a_name(state: dict[str, Any]) -> None:
    next(iter(state["castai"]["clusters"].values()))["name"] = "production"


@pytest.mark.parametrize(
    "change",
    [dangle, point_elsewhere, use_another_key, use_the_others_key, add_a_pod, mint_again, change_a_name],
)
def test_counts_references_and_contents_count(change: Callable[[dict[str, Any]], None]) -> None:
    state = world(1)
    change(state)
    assert normalize(state) != normalize(world(1))
    assert difference(normalize(state), normalize(world(1)))


def test_helm_release_is_its_newest_record() -> None:
    def state(*records: dict[str, Any]) -> dict[str, Any]:
        labeled = {f"Secret castai-agent/{record['metadata']['name']}": record for record in records}
        return normalize({"kubernetes": {"prod": labeled}})["kubernetes"]["prod"]

    first = state(helm_record("castai-agent", 1, "deployed"))
    assert first == state(helm_record("castai-agent", 1, "failed"), helm_record("castai-agent", 12, "deployed"))
    assert first == {
        "Helm release castai-agent/castai-agent": {
            "name": "castai-agent",
            "namespace": "castai-agent",
            "chart": "castai-agent-0.161.1",
            "config": {"provider": "eks"},
            "status": "deployed",
            "manifest": "kind: X\n",
        }
    }
    assert first != state(helm_record("castai-agent", 1, "failed"))
    assert first != state(helm_record("castai-agent", 1, "deployed", "kind: Y\n"))


def test_difference_shows_renamed_ids_only_when_nothing_else_differs() -> None:
    state = world(1)
    change_a_name(state)
    told = difference(normalize(world(1)), normalize(state))
    changed = [line for line in told.splitlines() if line[0] in "+-" and line[:3] not in ("+++", "---")]
    assert len(changed) == 2
    assert difference(normalize(world(1)), normalize(world(2))) == ""


def test_key_material_is_the_same_wherever_it_is() -> None:
    def normal(plain: str, manifest: str) -> Any:
        return normalize({"castai": {"a": {"key": plain}, "b": {"manifest": f'API_KEY: "{encode(manifest)}"'}}})

    one = normal("CANARY-one", "CANARY-one")
    assert one == normal("CANARY-two", "CANARY-two")
    assert one != normal("CANARY-one", "CANARY-two")
    assert "CANARY" not in json.dumps(one)
