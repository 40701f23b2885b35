# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the guides' removal playbooks use an inventory, as far as that can be tested without a cluster."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from tests.support.playbook import Json
from tests.support.recipes import recipe

from .test_charts import trust_as_template, trusted

PLAYS = {guide: recipe(guide, "Removal")[0] for guide in ("onboard_guide", "kops_guide", "gke_guide", "aks_guide")}
GKE, AKS = PLAYS["gke_guide"], PLAYS["aks_guide"]
WHERE = "Check that the project and location of the cluster are set"
SUBSCRIPTION = "Check that the subscription of the cluster is set"


def templated(play: Json, expression: str, **given: Any) -> Any:
    """An expression of the playbook, evaluated without any inventory value in the environment."""
    nowhere: dict[str, Any] = {"projects": [], "subscriptions": [], "inventory_hostname": "shop"}
    templar = Templar(DataLoader(), variables={**trusted(play["vars"]), **nowhere, **given})
    return templar.template(trust_as_template(f"{{{{ {expression} }}}}"))


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


@pytest.mark.parametrize("guide", PLAYS)
def test_the_playbooks_for_removal_set_only_options_that_exist(guide: str) -> None:
    for name, options in PLAYS[guide]["module_defaults"].items():
        module = import_module(f"ansible_collections.{module_of(name)}")
        assert options.keys() <= module.SUBJECT.options["argument_spec"].keys(), name


def module_of(name: str) -> str:
    """The action plugin of a module, or of a module that has all options of a group."""
    collection, _dot, module = name.removeprefix("group/").rpartition(".")
    return f"{collection}.plugins.action.{'castai_preflight' if name.startswith('group/') else module}"
