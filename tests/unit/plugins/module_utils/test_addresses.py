# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._addresses import (
    hidden,
    loopback,
    problem,
    problems,
)
from ansible_collections.castai.onboarding.plugins.module_utils._castai.cluster_info import SUBJECT
from ansible_collections.castai.onboarding.plugins.module_utils._credentials import in_address
from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_task

OPTIONS = ("castai_api_url", "host", "endpoint_url", "chart_repo_url", "chart_ref")
WITH = [
    "https://user:CANARY-1@api.example.com",
    "https://CANARY-2@api.example.com/v1",
    "https://:CANARY-3@api.example.com:8443",
    "https://user:CANARY/4@api.example.com",  # what is not encoded as %XX ends the host in most parsers, but not in all
    "https://user:CANARY?5@api.example.com",
    "https://user:CANARY#6@api.example.com",
    "https://user:CANARY\\7@api.example.com",
    "https://127.0.0.1@api.example.com/CANARY",
    "oci://user:CANARY-8@registry.example.com/charts/agent",
    "http://user:CANARY-9@localhost:8080",
    "user:CANARY-10@api.example.com/charts",
    "https://charts.example.com/agent.tgz?token=CANARY-11",
    "https://a.blob.core.windows.net/c/agent.tgz?sv=2026-01-01&sp=r&sig=CANARY%2F12",
    "https://s3.example.com/agent.tgz?X-Amz-Expires=60&X-Amz-Signature=CANARY-13&X-Amz-Credential=CANARY-13",
    "https://api.example.com/v1?api_key=CANARY-14#x",
    "registry.example.com/agent.tgz?Key=CANARY-15",
]
WITHOUT = [
    "https://api.cast.ai",
    "https://[2001:db8::1]:6443/k8s/clusters/c-1",
    "oci://registry.example.com:5000/charts/agent@sha256:0123",
    "https://charts.example.com/team@shop/",
    "https://charts.example.com/agent.tgz?version=1&monkey=2&expires=3",
    "castai/castai-agent",
    "/home/a@b/chart.tgz",
    "",
]


@pytest.mark.parametrize("url", WITH)
@pytest.mark.parametrize("option", OPTIONS)
def test_credentials_in_an_address_are_refused_and_not_shown(option: str, url: str) -> None:
    assert in_address(url)
    found = problem(option, url)
    assert f"{option} contains a user name, token or password. Set it to the address without them" in found.replace(
        ")", ""
    ).replace("(option ", "")
    assert "CANARY" not in found
    texts = tuple(hidden({"releases": [{"name": "castai-agent", option: url}]}))
    assert url in texts
    assert all(len(text) >= 6 for text in texts)


@pytest.mark.parametrize("url", WITHOUT)
def test_addresses_without_credentials(url: str) -> None:
    assert not in_address(url)
    assert tuple(hidden(dict.fromkeys(OPTIONS, url))) == ()
    assert problem("chart_ref", url) == problem("chart_repo_url", url) == ""


@pytest.mark.parametrize(
    ("params", "advice"),
    [
        ({"castai_api_url": WITH[0]}, "The API key goes into castai_api_key."),
        ({"host": WITH[0]}, "A token goes into castai_host_token (option api_key), a user name and password into"),
        ({"endpoint_url": WITH[0]}, "Credentials go into castai_aws_access_key (option access_key) and"),
        (
            {"name": "castai-agent", "chart_ref": "a", "chart_repo_url": WITH[0]},
            "set agent_chart_ref (option chart_ref) to NAME/CHART",
        ),
        ({"name": "castai-kvisor", "chart_ref": WITH[0]}, "For a registry: helm registry login HOST."),
    ],
)
def test_the_way_to_give_credentials_is_told(params: dict[str, Any], advice: str) -> None:
    (sentence,) = problems(params)
    assert advice in sentence


@dataclass(frozen=True)
class Task:
    """The attributes of Ansible's own task that are read."""

    action: str = "castai.onboarding.castai_cluster_info"
    check_mode: bool = True
    diff: bool = True


@pytest.mark.parametrize("by_environment", [True, False])
def test_a_task_is_refused_before_any_call_and_its_result_shows_no_password(
    monkeypatch: pytest.MonkeyPatch, by_environment: bool
) -> None:
    monkeypatch.setenv("CASTAI_API_URL", "https://user:CANARY-1@api.example.com")
    arguments = {"castai_api_key": "CANARY-key", **({} if by_environment else {"castai_api_url": WITH[1]})}
    result = run_task(SUBJECT, Task(), arguments, lambda line: None)
    assert result["msg"].startswith("castai_api_url contains a user name, token or password.")
    assert result["changed"] is False
    assert "CANARY" not in str(result)


def test_the_role_tells_the_variable() -> None:
    (of_agent,) = problems({"releases": [{"name": "castai-agent", "chart_ref": "a", "chart_repo_url": WITH[0]}]})
    (of_another,) = problems({"releases": [{"name": "castai-kvisor", "chart_ref": "a", "chart_repo_url": WITH[0]}]})
    assert of_agent.startswith("agent_chart_repo_url (option chart_repo_url) contains")
    assert of_another.startswith("components_chart_repo_url (option chart_repo_url) contains")


@pytest.mark.parametrize(
    ("option", "url", "refused"),
    [
        ("castai_api_url", "https://api.eu.cast.ai/", False),
        ("castai_api_url", "http://api.cast.ai", True),
        ("castai_api_url", "http://127.0.0.1:8080", True),
        ("castai_api_url", "https://", True),
        ("castai_api_url", "https://api.cast.ai:x", True),
        ("castai_api_url", "https://api.cast.ai\n", True),
        ("host", "https://10.0.0.1:6443", False),
        ("host", "http://10.0.0.1", True),
        ("host", "10.0.0.1", True),
        ("host", "https:///api", True),
        ("endpoint_url", "https://vpce-1.sts.eu-central-1.vpce.amazonaws.com", False),
        ("endpoint_url", "http://127.0.0.1:4566", False),
        ("endpoint_url", "http://[::1]:4566", False),
        ("endpoint_url", "http://LOCALHOST:4566", False),
        ("endpoint_url", "http://moto:4566", True),
        ("endpoint_url", "HTTP://10.0.0.1", True),
        ("endpoint_url", "http://127.0.0.1.example.com", True),
        ("endpoint_url", "http://localhost.example.com:4566", True),
        ("chart_repo_url", "http://charts.example.com", False),  # no credential goes there
    ],
)
def test_what_would_carry_credentials_in_clear_text_is_refused(option: str, url: str, refused: bool) -> None:
    assert bool(problem(option, url)) == refused


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("localhost", True),
        ("127.3.2.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("example.com", False),
    ],
)
def test_what_is_this_machine(host: str, own: bool) -> None:
    assert loopback(host) == own
