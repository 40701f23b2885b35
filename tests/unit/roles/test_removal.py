# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the guides' removal playbooks use an inventory, as far as that can be tested without a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.castai.onboarding.plugins.module_utils._options import castai_options
from tests.support.playbook import Json
from tests.support.recipes import recipe

from .test_charts import trust_as_template, trusted

PLAYS = {guide: recipe(guide, "Removal")[0] for guide in ("onboard_guide", "kops_guide", "gke_guide", "aks_guide")}
GKE, AKS = PLAYS["gke_guide"], PLAYS["aks_guide"]
CASTAI = ("castai_api_url", "castai_api_key", "castai_ca_cert", "castai_validate_certs")
WHERE = "Check that the project and location of the cluster are set"
SUBSCRIPTION = "Check that the subscription of the cluster is set"


def templated(play: Json, expression: str, **given: Any) -> Any:
    """An expression of the playbook, evaluated without any inventory value in the environment."""
    return filled(play, f"{{{{ {expression} }}}}", **given)


def filled(play: Json, text: str, **given: Any) -> Any:
    """A text of the playbook, filled in without any inventory value in the environment."""
    nowhere: dict[str, Any] = {"projects": [], "subscriptions": [], "inventory_hostname": "shop"}
    templar = Templar(DataLoader(), variables={**trusted(play["vars"]), **nowhere, **given})
    return templar.template(trust_as_template(text))


@pytest.mark.parametrize(
    ("play", "check", "given", "complete"),
    [
        (GKE, WHERE, {}, False),
        (GKE, WHERE, {"castai_location": "europe-west3"}, False),
        (GKE, WHERE, {"castai_project": "", "castai_location": "europe-west3"}, False),
        (GKE, WHERE, {"castai_project": "shop-prod-1234"}, False),
        (GKE, WHERE, {"castai_project": "shop-prod-1234", "castai_location": "europe-west3"}, True),
        (AKS, SUBSCRIPTION, {}, False),
        (AKS, SUBSCRIPTION, {"castai_subscription_id": ""}, False),
        (AKS, SUBSCRIPTION, {"castai_subscription_id": "0B1F"}, True),
    ],
)
def test_the_playbook_for_removal_says_which_variable_is_missing(
    play: Json, check: str, given: dict[str, Any], complete: bool
) -> None:
    (task,) = [one for one in play["tasks"] if one["name"] == check]
    asserted = task["ansible.builtin.assert"]
    assert templated(play, asserted["that"], **given) is complete
    needed = {"castai_project", "castai_location"} if play is GKE else {"castai_subscription_id"}
    assert all(name in asserted["fail_msg"] for name in needed)


def test_a_cluster_of_another_subscription_is_not_taken_for_it() -> None:
    clusters = [{"id": "1", "subscription_id": "0b1f"}, {"id": "2", "subscription_id": "0b1f2"}]
    found = {"found": {"clusters": clusters}, "castai_subscription_id": "0B1F"}
    assert [one["id"] for one in templated(AKS, "here", **found)] == ["1"]


DISCONNECT = "Disconnect the cluster, so that CAST AI removes its nodes"


@pytest.mark.parametrize("guide", PLAYS)
def test_the_call_that_disconnects_reaches_cast_ai_as_the_modules_do(guide: str) -> None:
    """By the same variables, and the same of the environment."""
    play = PLAYS[guide]
    for name, option in (("api_keys", "castai_api_key"), ("api_urls", "castai_api_url")):
        environment = ", ".join(map(repr, castai_options()[option]["fallback"][1]))
        assert f"query('ansible.builtin.env', {environment})" in play["vars"][name]
    (call,) = [one["ansible.builtin.uri"] for one in play["tasks"] if one["name"] == DISCONNECT]
    asked = {**{name: call[name] for name in ("url", "ca_path", "validate_certs")}, "key": call["headers"]["X-API-Key"]}
    asked |= {name: play["module_defaults"]["group/castai.onboarding.castai"][name] for name in CASTAI}

    def called(keys: Sequence[str] = (), urls: Sequence[str] = (), **given: Any) -> list[Any]:
        environment = {"api_keys": list(keys), "api_urls": list(urls)}
        variables = {**trusted(play["vars"]), **environment, "cluster_id": "ID", "omit": "", **given}
        found = Templar(DataLoader(), variables=variables).template(trusted(asked))
        assert (found["castai_api_key"], found["castai_validate_certs"]) == (found["key"], found["validate_certs"])
        assert found["castai_ca_cert"] == found["ca_path"]
        assert found["url"].startswith(found["castai_api_url"].rstrip("/") + "/v1/")
        return [found[name] for name in CASTAI]

    assert called() == ["https://api.cast.ai", "", "", True]
    assert called(["env"], ["https://api.eu.cast.ai"]) == ["https://api.eu.cast.ai", "env", "", True]
    given = {"castai_api_url": "https://proxy.example.com/", "castai_api_key": "own"}
    certificates = {"castai_ca_cert": "/ca.pem", "castai_validate_certs": False}
    assert called(["env"], **given, **certificates) == [*given.values(), *certificates.values()]


@pytest.mark.parametrize("guide", PLAYS)
def test_the_playbooks_for_removal_set_only_options_that_exist(guide: str) -> None:
    for name, options in PLAYS[guide]["module_defaults"].items():
        module = import_module(f"ansible_collections.{module_of(name)}")
        assert options.keys() <= module.SUBJECT.options["argument_spec"].keys(), name


def module_of(name: str) -> str:
    """The action plugin of a module, or of a module that has all options of a group."""
    collection, _dot, module = name.removeprefix("group/").rpartition(".")
    return f"{collection}.plugins.action.{'castai_preflight' if name.startswith('group/') else module}"


@pytest.mark.parametrize("guide", PLAYS)
@pytest.mark.parametrize(
    ("status", "credentials_id", "asked"),
    [("ready", "c", True), ("ready", "", False), ("deleting", "c", False), ("deleted", "c", False)],
)
def test_a_cluster_is_disconnected_once(guide: str, status: str, credentials_id: str, asked: bool) -> None:
    """A removal that was interrupted while CAST AI removes its nodes only waits."""
    found = [{"id": "1", "status": status, "credentials_id": credentials_id}]
    assert templated(PLAYS[guide], "connected", here=found, cluster_id="1") is asked


@pytest.mark.parametrize("guide", PLAYS)
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            {"status": 403, "msg": "HTTP Error 403", "json": {"message": "the key may only read"}},
            "the key may only read",
        ),
        ({"status": 502, "msg": "HTTP Error 502: Bad Gateway"}, "HTTP Error 502: Bad Gateway"),
        ({"status": 200, "msg": "OK", "json": {"id": "1"}}, None),
    ],
)
def test_why_cast_ai_does_not_disconnect_is_not_hidden_with_the_key(
    guide: str, answer: Json, reason: str | None
) -> None:
    hidden, check = (task for task in PLAYS[guide]["tasks"] if "isconnect" in task["name"] and "until" not in task)
    assert (hidden["no_log"], hidden["failed_when"], hidden["register"]) == (True, False, "asked")
    asserted = check["ansible.builtin.assert"]
    given = {"asked": answer}
    assert templated(PLAYS[guide], check["when"], **given) is True
    assert templated(PLAYS[guide], asserted["that"], **given) is (reason is None)
    if reason:
        said = filled(PLAYS[guide], asserted["fail_msg"], **given)
        assert said == f"CAST AI does not disconnect the cluster. {reason}"
    assert not templated(PLAYS[guide], check["when"], asked={"skipped": True})


FOUND_THERE: dict[str, dict[str, Any]] = {
    "onboard_guide": {"region": "eu-central-1"},
    "kops_guide": {"region": "eu-central-1"},
    "gke_guide": {"project": "p", "location": "europe-west3"},
    "aks_guide": {"subscription_id": "0b1f"},
}
"""By guide, the fields of a record that say where the cluster is. Their inventory variables begin with castai_."""


@pytest.mark.parametrize("guide", PLAYS)
def test_a_cluster_is_found_by_its_id_whatever_cast_ai_calls_it(guide: str) -> None:
    """Otherwise it would not be disconnected, and the wait for that would last until its end."""
    play = PLAYS[guide]
    there = {f"castai_{name}": value for name, value in FOUND_THERE[guide].items()} | {"regions": []}
    find, check = (
        task for task in play["tasks"] if task["name"].startswith(("Find the cluster at", "Check that exac"))
    )
    record = {"id": "0b1f", "status": "ready", "credentials_id": "c", **FOUND_THERE[guide]}

    def ends(given_id: str | None, *clusters: Json) -> tuple[bool, bool]:
        """Whether the playbook goes on, and whether it disconnects the cluster."""
        known = {**there, "castai_cluster_id": given_id, "found": {"clusters": list(clusters)}}
        goes_on = templated(play, check["ansible.builtin.assert"]["that"], **known)
        return goes_on, goes_on and templated(play, "connected", **known)

    def asked(given_id: str | None) -> list[str]:
        asks = find["castai.onboarding.castai_cluster_info"]
        names = ("cluster_id", "cluster_name", "provider")
        return [filled(play, asks[name], **there, castai_cluster_id=given_id) for name in names]

    provider = guide.removesuffix("_guide").replace("onboard", "eks")
    assert [asked(None), asked("")] == [["", "shop", provider]] * 2
    assert asked("0B1F") == ["0b1f", "", ""]
    assert ends("0B1F", record) == ends(None, record) == (True, True)
    assert ends("0B1F") == (True, False)
    assert ends(None)[0] is ends("0B1F", {**record, **dict.fromkeys(FOUND_THERE[guide], "elsewhere")})[0] is False


@pytest.mark.parametrize("guide", PLAYS)
@pytest.mark.parametrize("plans", [True, False])
def test_whether_it_is_a_plan_does_not_depend_on_the_command_line(guide: str, plans: bool) -> None:
    """A play may set check_mode itself, to true or false. A forced removal would harm a cluster that is connected."""
    play = PLAYS[guide]
    given = {"checked": {"only_plans": plans}, "ansible_check_mode": not plans, "here": [], "cluster_id": "1"}
    (module,) = [name for name, options in play["module_defaults"].items() if "force" in options]
    assert filled(play, play["module_defaults"][module]["force"], **given) is plans
    (checked,) = [place for place, task in enumerate(play["tasks"]) if task.get("register") == "checked"]
    assert "castai.onboarding.castai_variables" in play["tasks"][checked]
    said, waited = (
        task for task in play["tasks"] if task["name"].startswith(("Say what the plan", "Wait until the cluster"))
    )
    assert templated(play, said["when"], **{**given, "connected": True}) is plans
    assert templated(play, waited["when"], **given) is not plans
    assert checked < play["tasks"].index(said)


@pytest.mark.parametrize("guide", PLAYS)
def test_the_defaults_of_modules_can_be_filled_in_before_the_first_task(guide: str) -> None:
    """ansible-core before 2.19 fills in all of them for each task, also before anything is registered."""
    given = {f"castai_{name}": value for name, value in FOUND_THERE[guide].items() if name != "location"}
    for options in PLAYS[guide]["module_defaults"].values():
        for text in options.values():
            filled(PLAYS[guide], text, regions=[], api_keys=[], api_urls=[], omit="", **given)
