# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which charts and images the roles use, depending on the variables for their location."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from tests.tree import ROOT

try:
    from ansible.template import trust_as_template
except ImportError:  # ansible-core before 2.19 treats every text as a template

    def trust_as_template(value: str) -> str:
        return value


OFFICIAL = "https://castai.github.io/helm-charts"
AGENT = "castai-agent"


OF_EKS = {"castai-kvisor": {"controller": {"extraArgs": {"cloud-provider": "eks"}}}}


def templated(role: str, expression: str, values_of_provider: Mapping[str, Any] | None = None, **given: Any) -> Any:
    """An expression of a role, evaluated with the inventory's variables. values_of_provider: as castai_variables
    returns them."""
    variables: dict[str, Any] = {}
    for one in ("castai", role):
        for kind in ("defaults", "vars"):
            variables |= trusted(yaml.safe_load((ROOT / f"roles/{one}/{kind}/main.yml").read_text(encoding="utf-8")))
    values = {name: value for name, value in variables.items() if not name.startswith("__")} | given
    values = {"castai_provider": "eks", "inventory_hostname": "prod", **values}
    checked = {
        "__castai_given": {
            "only_plans": False,
            "variables": values,
            "connected": {},
            "of_provider": {
                "component_values": values_of_provider or OF_EKS,
                "direct": ["169.254.169.254"],
                "proxied_values": {"podAnnotations": {"by": "name"}},
            },
        }
    }
    return Templar(DataLoader(), variables={**variables, **values, **checked}).template(trust_as_template(expression))


def trusted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: trusted(item) for name, item in value.items()}
    if isinstance(value, list):
        return [trusted(item) for item in value]
    return trust_as_template(value) if isinstance(value, str) else value


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (AGENT, OFFICIAL, "0.161.1")),
        (
            {"castai_chart_mirror": "https://c.example/castai/"},
            (AGENT, "https://c.example/castai", ""),
        ),
        ({"castai_chart_mirror": "http://c.example"}, (AGENT, "http://c.example", "")),
        (
            {"castai_chart_mirror": "oci://r.example/a/b"},
            (f"oci://r.example/a/b/{AGENT}", "", ""),
        ),
        ({"castai_chart_mirror": " ours "}, (f"ours/{AGENT}", "", "")),
        ({"castai_chart_mirror": None}, (AGENT, OFFICIAL, "")),
        (
            {"castai_chart_mirror": "oci://r.example", "agent_chart_ref": "/srv/agent.tgz"},
            ("/srv/agent.tgz", OFFICIAL, ""),
        ),
    ],
)
def test_the_agents_chart(given: dict[str, Any], expected: tuple[str, str, str]) -> None:
    chart = templated("agent", "{{ __agent_chart }}", **given)
    assert (chart["chart_ref"], chart["chart_repo_url"]) == expected[:2]
    assert chart["chart_version"] == (expected[2] or "0.161.1")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("castai-evictor", OFFICIAL, "0.35.143")),
        (
            {"castai_chart_mirror": "https://c.example"},
            ("castai-evictor", "https://c.example", "0.35.143"),
        ),
        ({"castai_chart_mirror": "oci://r.example/c/"}, ("oci://r.example/c/castai-evictor", "", "0.35.143")),
        ({"castai_chart_mirror": "ours"}, ("ours/castai-evictor", "", "0.35.143")),
        (
            {"castai_chart_mirror": "ours", "components_chart_refs": {"castai-evictor": "evictor-hardened"}},
            ("ours/evictor-hardened", "", "0.35.143"),
        ),
        (
            {"castai_chart_mirror": "ours", "components_chart_refs": {"castai-evictor": "oci://r.example/evictor"}},
            ("oci://r.example/evictor", "", "0.35.143"),
        ),
        ({"components_chart_refs": {"castai-evictor": "theirs/evictor"}}, ("theirs/evictor", "", "0.35.143")),
        ({"components_chart_refs": {"castai-evictor": "/srv/evictor-9.tgz"}}, ("/srv/evictor-9.tgz", "", "")),
        ({"components_chart_refs": {"castai-evictor": "evictor-9.tgz"}}, ("evictor-9.tgz", "", "")),
        ({"components_chart_refs": {"castai-evictor": "~/evictor"}}, ("~/evictor", "", "")),
        (
            {
                "components_chart_refs": {"castai-evictor": "./evictor"},
                "components_versions": {"castai-evictor": "9.0.0"},
            },
            ("./evictor", "", "9.0.0"),
        ),
        ({"components_chart_refs": {"castai-kvisor": "theirs/kvisor"}}, ("castai-evictor", OFFICIAL, "0.35.143")),
    ],
)
def test_a_components_chart(given: dict[str, Any], expected: tuple[str, str, str]) -> None:
    charts = {chart["name"]: chart for chart in templated("components", "{{ __components_charts }}", **given)}
    chart = charts["castai-evictor"]
    assert (chart["chart_ref"], chart["chart_repo_url"], chart["chart_version"]) == expected


def test_a_components_values_are_ours_the_providers_and_the_users() -> None:
    user = {"controller": {"extraArgs": {"image-scan-enabled": False, "mine": 1}}}
    charts = templated("components", "{{ __components_charts }}", components_values={"castai-kvisor": user})
    (kvisor,) = (chart for chart in charts if chart["name"] == "castai-kvisor")
    assert kvisor["values"]["controller"]["extraArgs"] == {
        "kube-linter-enabled": True,
        "image-scan-enabled": False,
        "kube-bench-enabled": True,
        "cloud-provider": "eks",
        "mine": 1,
    }


USUAL = ["cluster-controller", "castai-spot-handler", "castai-evictor", "castai-pod-pinner", "castai-kvisor"]
SIZING = ["castai-workload-autoscaler", "castai-workload-autoscaler-exporter"]


@pytest.mark.parametrize(
    ("given", "more"),
    [
        ({}, []),
        ({"components_workload_autoscaler": True}, SIZING),
        ({"components_workload_autoscaler": True, "components_skip": SIZING[1:]}, SIZING[:1]),
        ({"components_pod_mutator": True}, ["castai-pod-mutator"]),
        ({"components_live": True}, ["castai-live"]),
    ],
)
def test_optional_components_come_only_by_their_variables(given: dict[str, Any], more: list[str]) -> None:
    charts = templated("components", "{{ __components_charts }}", **given)
    assert [chart["name"] for chart in charts] == USUAL + more
    assert not [chart["name"] for chart in charts if not chart["chart_version"]]


def test_optional_components_have_the_clusters_token_id_and_address() -> None:
    given = {"components_workload_autoscaler": True, "components_pod_mutator": True, "components_live": True}
    place = {"castai_api_url": "https://api.eu.cast.ai", "castai_credentials_secret": "token"}
    registration = {"castai_cluster_id": "5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e"}
    charts = templated("components", "{{ __components_charts }}", **given, **place, **registration)
    values = {chart["name"]: chart["values"] for chart in charts}
    by_config_map = {"apiKeySecretRef": "token", "configMapRef": "castai-cluster-controller"}
    assert [values[name]["castai"] for name in SIZING] == [by_config_map, by_config_map]
    direct = {
        "apiKeySecretRef": "token",
        "apiURL": "https://api.eu.cast.ai",
        "clusterID": "5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e",
    }
    assert values["castai-pod-mutator"]["castai"] == {**direct, "apiUrl": "https://api.eu.cast.ai"}
    assert values[SIZING[0]]["autopilot"] == {"autoDetect": False}
    assert values["castai-live"] == {"castai": direct, "castai-aws-vpc-cni": {"enabled": False}}


OWN, PSC, PSC_GRPC = "https://api.cast.ai", "https://api.psc.example.com", "grpc.psc.example.com:443"


@pytest.mark.parametrize(
    ("given", "addresses"),
    [
        ({}, (OWN, None, OWN, "grpc.cast.ai:443")),
        ({"castai_cluster_api_url": PSC, "castai_grpc_url": PSC_GRPC}, (PSC, PSC_GRPC, PSC, PSC_GRPC)),
        ({"castai_grpc_url": PSC_GRPC, "components_grpc_url": "own:1"}, (OWN, PSC_GRPC, OWN, "own:1")),
    ],
)
def test_in_the_cluster_castai_may_have_another_address(
    given: dict[str, str], addresses: tuple[str | None, ...]
) -> None:
    agent = templated("agent", "{{ __agent_values }}", castai_api_url=OWN, **given)
    charts = templated("components", "{{ __components_charts }}", castai_api_url=OWN, **given)
    values = {chart["name"]: chart["values"]["castai"] for chart in charts if "castai" in chart["values"]}
    pinner = values["castai-pod-pinner"]
    assert (agent["apiURL"], agent.get("grpcURL"), pinner["apiURL"], pinner["grpcURL"]) == addresses
    assert values["cluster-controller"]["apiURL"] == addresses[0]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("", None),
        ("r.example/kubectl", {"repository": "r.example/kubectl"}),
        ("r.example:5000/kubectl", {"repository": "r.example:5000/kubectl"}),
        (" r.example:5000/a/kubectl:v1.35 ", {"repository": "r.example:5000/a/kubectl", "tag": "v1.35"}),
        ("kubectl:1@sha256:ab", {"repository": "kubectl", "tag": "1", "digest": "sha256:ab"}),
        ("kubectl@sha256:ab", {"repository": "kubectl", "digest": "sha256:ab"}),
    ],
)
def test_the_image_of_the_evictors_hook(image: str, expected: dict[str, str] | None) -> None:
    releases = templated("components", "{{ __components_releases }}", components_evictor_hook_image=image)
    (evictor,) = (release for release in releases if release["name"] == "castai-evictor")
    assert evictor["values"].get("crdUpgrade") == ({"image": expected} if expected else None)


def test_agent_and_controller_use_the_proxy_that_is_set() -> None:
    assert "podAnnotations" not in templated("agent", "{{ __agent_values }}")
    given = {"http": "http://proxy:3128", "no_proxy": ["10.0.0.0/16"]}
    agent = templated("agent", "{{ __agent_values }}", castai_proxy=given)
    charts = templated("components", "{{ __components_charts }}", castai_proxy=given)
    proxied = {"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "10.0.0.0/16,169.254.169.254"}
    assert (agent["additionalEnv"], agent["podAnnotations"]) == (proxied, {"by": "name"})
    values = {chart["name"]: chart["values"] for chart in charts}
    assert values["cluster-controller"]["additionalEnv"] == proxied
    assert [name for name, one in values.items() if "additionalEnv" in one] == ["cluster-controller"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "from_cluster"),
        ({"castai_proxy": {"http": "a"}}, {"http": "a"}),
        ({"castai_proxy": {"http": "a"}, "aks_onboard_http_proxy": "none"}, "none"),
        ({"castai_proxy": {"http": "a"}, "aks_onboard_http_proxy": {"http": "b"}}, {"http": "b"}),
    ],
)
def test_the_nodes_of_aks_use_the_proxy_that_is_set_for_them(given: dict[str, Any], expected: Any) -> None:
    assert templated("aks_onboard", "{{ __aks_onboard_identity.http_proxy }}", **given) == expected


def test_pull_secrets_are_those_of_every_release() -> None:
    given = {"castai_image_pull_secrets": ["one", "two"]}
    wanted = [{"name": "one"}, {"name": "two"}]
    assert templated("agent", "{{ __agent_values }}", **given)["imagePullSecrets"] == wanted
    assert templated("components", "{{ __castai_pulling }}", **given) == {"imagePullSecrets": wanted}
    (evictor,) = (
        release
        for release in templated("components", "{{ __components_releases }}", **given)
        if release["name"] == "castai-evictor"
    )
    assert evictor["values"]["crdUpgrade"] == {"imagePullSecrets": wanted}
    assert templated("components", "{{ __castai_pulling }}") == {}
    assert "imagePullSecrets" not in templated("agent", "{{ __agent_values }}")
