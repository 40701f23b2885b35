# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Misspelled and removed variable names, and names that are the user's own."""

from __future__ import annotations

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._variables import (
    EXPECTED,
    OTHERS,
    RENAMED,
    VARIABLES,
    named,
    right_name,
    role_of,
)


@pytest.mark.parametrize("name", [*VARIABLES, *OTHERS])
def test_a_name_of_ours_is_right(name: str) -> None:
    assert right_name(name, VARIABLES) is None


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("castai_reigon", "castai_region"),
        ("castai_regions", "castai_region"),
        ("castai_acount_id", "castai_account_id"),
        ("castai_kubconfig", "castai_kubeconfig"),
        ("castai_aws_acces_key", "castai_aws_access_key"),
        ("castai_provder", "castai_provider"),
        ("component_skip", "components_skip"),
        ("cast_region", "castai_region"),
        ("eks_onbord_identity", "eks_onboard_identity"),
        ("castai_api_kay", "castai_api_key"),
        ("components_autoscalling", "components_autoscaling"),
        ("eks_onboard_identiy", "eks_onboard_identity"),
        ("agent_value", "agent_values"),
        ("kube_router_states", "kube_router_state"),
        ("castai_tgas", "castai_tags"),
        ("castai_ohst", "castai_host"),
        ("components_ksip", "components_skip"),
        ("kube_router_wati", "kube_router_wait"),
        ("cstai_region", "castai_region"),
        ("astai_tags", "castai_tags"),
        ("acstai_location", "castai_location"),
        ("aent_timeout", "agent_timeout"),
        ("kbe_router_wait", "kube_router_wait"),
        ("omponents_skip", "components_skip"),
        ("es_onboard_user_access", "eks_onboard_user_access"),
        ("ke_onboard_extra_projects", "gke_onboard_extra_projects"),
        ("kge_onboard_role_id", "gke_onboard_role_id"),
    ],
)
def test_a_slip_of_the_keyboard_is_found(name: str, right: str) -> None:
    assert right_name(name, VARIABLES) == right


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("eks_connect_region", "castai_region"),
        ("eks_onboard_tags", "castai_tags"),
        ("kops_connect_state_store", "castai_state_store"),
        ("kops_onboard_account_id", "castai_account_id"),
        ("components_namespace", "castai_namespace"),
        ("castai_identity", "eks_onboard_identity"),
        ("agent_connection", RENAMED["agent_connection"]),
    ],
)
def test_an_earlier_name_leads_to_the_one_of_now(name: str, right: str) -> None:
    assert right_name(name, VARIABLES) == right


@pytest.mark.parametrize("name", ["eks_onboard_color", "eks_connect_wait_for_it_all", "kops_onboard_spelling"])
def test_a_name_that_can_only_be_ours_is_refused_without_a_guess(name: str) -> None:
    assert right_name(name, VARIABLES) == ""


@pytest.mark.parametrize(
    "name",
    [
        *("cast_team", "component_color", "ansible_host", "region", "kube_version", "eks_region"),
        *("castai_owner", "castai_team", "castai_ticket", "castai_clusters", "castai_budget_2026"),
        *(
            "agent_version",
            "agent_port",
            "kube_router_run_firewall",
            "components_color",
            "ansible_user",
            "region",
            "my_castai_region",
        ),
    ],
)
def test_users_own_variables_are_left_alone(name: str) -> None:
    assert right_name(name, VARIABLES) is None


def test_successors_are_variables() -> None:
    for successor in RENAMED.values():
        first = successor.split(",")[0].split(" ")[0]
        assert first in VARIABLES


def test_names_that_users_expect_lead_to_variables() -> None:
    assert {*EXPECTED.values()} < {*VARIABLES}
    assert not {*EXPECTED} & {*VARIABLES, *RENAMED}


@pytest.mark.parametrize(("name", "right"), [("CASTAI_REGION", "castai_region"), ("castai_API_KEY", "castai_api_key")])
def test_a_name_in_other_case_is_found(name: str, right: str) -> None:
    assert right_name(name, VARIABLES) == right


def test_an_option_is_named_with_its_variable_first() -> None:
    assert named("region") == "castai_region (option region)"
    assert named("castai_api_key") == "castai_api_key"
    assert named("releases") == "releases"


@pytest.mark.parametrize(
    ("option", "role", "name"),
    [
        ("adopt", "castai", "castai_adopt (option adopt)"),
        ("adopt", "agent", "agent_adopt (option adopt)"),
        ("adopt", "components", "adopt"),
        ("adopt", "", "adopt"),
        ("role_arn", "castai", "role_arn"),
        ("role_arn", "eks_onboard", "eks_onboard_role_arn (option role_arn)"),
        ("api_key", "castai", "castai_host_token (option api_key)"),
        ("values", "agent", "agent_values (option values)"),
        ("values", "components", "components_values (option values)"),
        ("timeout", "components", "components_timeout (option timeout)"),
        ("timeout", "castai", "timeout"),
    ],
)
def test_only_the_variable_that_sets_the_option_is_named(option: str, role: str, name: str) -> None:
    """Several components_ variables form the option values, and role components has none for adopt."""
    assert named(option, role) == name


def test_the_role_of_a_release_is_known_by_its_name() -> None:
    assert role_of("castai-agent") == "agent"
    assert role_of("castai-evictor") == role_of("cluster-controller") == "components"
    assert role_of("agent") == ""
