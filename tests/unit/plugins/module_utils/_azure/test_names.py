# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, limits and marks in Azure, what CAST AI's role may do and where, and proxies."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.castai.onboarding.plugins.module_utils._azure import marks, names, role
from ansible_collections.castai.onboarding.plugins.module_utils._azure.options import IDENTITY_OPTIONS, form_problems
from ansible_collections.castai.onboarding.plugins.module_utils._azure.proxy import Proxy, proxy_problems, secrets
from ansible_collections.castai.onboarding.plugins.module_utils._engine import UNKNOWN
from ansible_collections.castai.onboarding.plugins.module_utils._keys import NO_NOTE, Note

ID = "1a2b3c4d-5e6f-4a1b-8c2d-3e4f5a6b7c8d"
SCOPE = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/shop"
PRINCIPAL = "9f1c1f0e-0000-4000-8000-000000000001"
clusters = st.from_regex(r"[a-zA-Z0-9]([-_a-zA-Z0-9]{0,61}[a-zA-Z0-9])?", fullmatch=True)


def test_ids_are_the_same_in_every_run_and_differ_by_scope_and_principal() -> None:
    guid = names.role_guid(ID)
    assert guid == "ff99fa77-cb89-53e4-8434-04784bc11a65"
    first = names.assignment_guid(ID, SCOPE, guid, PRINCIPAL)
    assert first == "62edd8ee-8523-5478-8742-d46759a36503"
    assert first == names.assignment_guid(ID, SCOPE.upper(), guid.upper(), PRINCIPAL.upper())
    assert first != names.assignment_guid(ID, SCOPE, guid, PRINCIPAL, 1)
    assert names.assignment_guid(UNKNOWN, SCOPE, guid, PRINCIPAL) == UNKNOWN


def test_an_assignment_of_the_script_is_recognized() -> None:
    assert names.script_assignment(ID, f"{ID[:32]}0001")
    assert not names.script_assignment(ID, names.role_guid(ID))


@given(clusters)
def test_no_name_exceeds_a_limit(cluster: str) -> None:
    assert names.aks_cluster_problem(cluster) == ""
    assert all(len(one) <= 256 for one in (*names.apps(cluster, ID), names.secret(cluster)))
    assert len(names.terraform_app(cluster, "g" * 90)) == 64
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{2,127}", one) for one in names.identities(cluster, ID))
    federations = (names.app_federation(ID), names.identity_federation(ID))
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{2,119}", one) for one in federations)
    assert all(len(one) <= 512 for one in (*names.roles(ID), names.terraform_role(cluster)))


texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=1500)


@given(texts, st.booleans())
def test_a_note_is_read_as_it_was_written_and_keeps_what_others_wrote(text: str, noted: bool) -> None:
    before = marks.with_note(text, Note("old", "older")) if noted else text
    written = marks.with_note(before, Note(PRINCIPAL, ID))
    assert len(written) <= marks.NOTES
    assert marks.noted(written) == Note(PRINCIPAL, ID)
    assert written.count("credentials=") <= text.count("credentials=") + 1
    assert marks.with_note(written, Note(PRINCIPAL, ID)) == written


def test_what_others_wrote_around_a_note_is_kept() -> None:
    assert marks.with_note("ask Eve key=a credentials=b (team a)", Note("k", "c")) == (
        "ask Eve (team a) key=k credentials=c"
    )
    assert marks.noted("ask Eve") == NO_NOTE


def test_tags_of_others_stay() -> None:
    tags = marks.marked_tags(["team-a", "cast:cluster-id=other"], ID, "shop")
    assert tags == ("team-a", f"cast:cluster-id={ID}", "castai-onboarding:cluster=shop")
    assert marks.tag_of(tags, "cast:cluster-id") == ID
    assert marks.marked(marks.description(ID)) == ID
    assert marks.marked("Role used by CAST AI") == ""


def test_the_role_has_terraforms_36_actions_and_the_scripts_on_request() -> None:
    assert len(role.DEFAULT) == 36
    assert role.wanted((), False) == role.DEFAULT
    assert role.wanted((), True) - role.DEFAULT == {"Microsoft.ContainerService/managedClusters/write"}
    assert role.wanted(("*/read",), False) == {"*/read"}


def test_scopes_are_found_by_parts_and_compared_without_case() -> None:
    network = f"{SCOPE.replace('resourceGroups/shop', 'resourcegroups/my.rg-net')}/providers/Microsoft.Network/x/y"
    assert role.group_of(network) == SCOPE.replace("shop", "my.rg-net")
    assert role.group_of(network.replace("/", "//")) == role.group_of(network)
    assert role.group_of("") == role.group_of("/subscriptions/x") == ""
    assert role.distinct((SCOPE, SCOPE.upper(), "")) == (SCOPE,)


def options(**changes: Any) -> dict[str, Any]:
    return {**{name: one.get("default") for name, one in IDENTITY_OPTIONS.items()}, **changes}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"existing_app_id": "shop", "existing_app_secret": "s"},
            "aks_onboard_existing_app_id .* is not an application .client. ID",
        ),
        ({"existing_app_id": ID}, "is set without aks_onboard_existing_app_secret .* gets no new secret"),
        ({"existing_app_id": ID, "identity": "managed_identity"}, "cannot be set when .* is managed_identity"),
        ({"existing_app_secret": "s"}, "is set without"),
        ({"existing_identity_id": f"{SCOPE}/x"}, "userAssignedIdentities/NAME"),
        ({"existing_identity_id": SCOPE}, "is not managed_identity"),
        ({"additional_resource_groups": ["a/b"]}, "neither the name nor the ID of a resource group"),
        ({"role_actions": []}, "is empty"),
        ({"role_actions": ["read"]}, "is not an action"),
        ({"secret_days": 0}, "from 1 to 36500"),
        ({"owners": ["me"]}, "is not an object ID"),
        ({"owners": [ID] * 20}, "has 20 entries"),
        ({"http_proxy": "yes"}, "must be from_cluster, none or a dictionary"),
        ({"http_proxy": {"https_proxy": "x"}}, "contains the unknown key 'https_proxy'"),
        ({"http_proxy": {"http": "//"}}, "is not an address"),
    ],
)
def test_wrong_options_are_told_by_their_variables(changes: dict[str, Any], said: str) -> None:
    assert re.search(said, " ".join(form_problems(options(**changes))))


def test_right_options_are_taken() -> None:
    right = {
        "additional_resource_groups": ["images", SCOPE],
        "role_actions": ["Microsoft.Compute/*/read", "*/read"],
        "owners": [ID],
        "http_proxy": {"http": "http://u:p@proxy:3128", "no_proxy": "a,b"},
    }
    assert [*form_problems(options()), *form_problems(options(**right))] == []


def test_a_password_of_a_proxy_is_in_no_text() -> None:
    given = {"http": "http://user:pa55word@proxy.example.com:3128", "no_proxy": "a, b"}
    proxy = Proxy.of(given)
    assert proxy.shown() == {"http": "proxy.example.com:3128", "https": "", "no_proxy": ["a", "b"]}
    assert "pa55word" not in repr(proxy)
    assert proxy.body() == {"httpProxy": given["http"], "noProxy": ["a", "b"]}
    assert set(secrets(given)) == {given["http"], "pa55word"}
    assert "pa55word" not in " ".join(proxy_problems({**given, "http": "http://user:pa55word@"}, "http_proxy"))
    assert Proxy.recorded(proxy.body()).same(proxy)
