# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, limits and marks in Google Cloud, and what CAST AI's role may do."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.castai.onboarding.plugins.module_utils._google import names, role
from ansible_collections.castai.onboarding.plugins.module_utils._google.marks import (
    CREDENTIALS_PART,
    KEY_PART,
    NO_ROLE_NOTE,
    OTHERS_PART,
    Mark,
    RoleNote,
    describe,
    hashed_account,
    marked_role,
    parse_mark,
    recorded_projects,
    role_description,
    role_note,
)
from ansible_collections.castai.onboarding.plugins.module_utils._google.options import form_problems

ID = "5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e"
clusters = st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True)


@pytest.mark.parametrize(("cluster", "hashed"), [("shop", "5042d146"), ("my-cluster", "2899bb76")])
def test_the_first_account_is_the_scripts(cluster: str, hashed: str) -> None:
    assert names.accounts(cluster, ID) == (f"castai-gke-{hashed}", f"castai-gke-{hashed}-5b0a1ff3")


@given(clusters)
def test_no_name_exceeds_a_limit(cluster: str) -> None:
    ids = [*names.accounts(cluster, ID), *names.accounts_of_others(cluster)]
    assert all(re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])", one) and 6 <= len(one) <= names.ACCOUNT_ID for one in ids)
    roles = [*names.roles(ID), *names.roles_of_others(cluster)]
    assert all(re.fullmatch(r"[a-zA-Z0-9_.]{3,64}", one) for one in roles)
    assert len(names.display_name(cluster).encode()) <= 100


@pytest.mark.parametrize(
    ("project", "email"),
    [
        ("proj-1", "castai@proj-1.iam.gserviceaccount.com"),
        ("example.com:shop", "castai@shop.example.com.iam.gserviceaccount.com"),
    ],
)
def test_a_project_of_a_domain_is_turned_round_in_addresses(project: str, email: str) -> None:
    assert names.account_email("castai", project) == email
    assert names.project_of(email) == project


@pytest.mark.parametrize("email", ["123-compute@developer.gserviceaccount.com", "a@example.com"])
def test_an_address_without_a_project_names_none(email: str) -> None:
    assert names.project_of(email) == ""


def test_the_longest_mark_leaves_room() -> None:
    whole = describe(Mark(ID, "c" * 40, "0" * 40, ID))
    assert len(whole.encode()) == 213


texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=300)


@given(texts, clusters, st.booleans())
def test_a_mark_is_read_as_it_was_written_and_keeps_what_others_wrote(text: str, cluster: str, noted: bool) -> None:
    note = ("0" * 40, ID) if noted else ("", "")
    held = parse_mark(text)
    written = describe(Mark(ID, cluster, *note, held.text))
    assert len(written.encode()) <= names.DESCRIPTION
    found = parse_mark(written)
    assert (found.cluster_id, found.cluster, found.key, found.credentials) == (ID, cluster, *note)
    assert held.text.startswith(found.text)
    assert describe(found) == written


def test_what_others_wrote_around_a_mark_is_kept() -> None:
    found = parse_mark(f"team a cast:cluster-id={ID} castai-onboarding:cluster=shop key=k credentials=c (ask Eve)")
    assert found == Mark(ID, "shop", "k", "c", "team a (ask Eve)")
    assert parse_mark("key=k credentials=c") == Mark(text="key=k credentials=c")


def test_a_role_says_of_which_cluster_it_is() -> None:
    assert marked_role(role_description(ID)) == ID
    assert marked_role("Role to manage GKE cluster via CAST AI") == ""


@given(st.sets(st.from_regex(r"([a-z]{3,9}\.com:)?[a-z][a-z0-9-]{4,28}[a-z0-9]", fullmatch=True), max_size=9))
def test_a_role_records_the_further_projects_that_fit(projects: set[str]) -> None:
    said = role_description(ID, projects)
    assert len(said.encode()) <= names.ROLE_DESCRIPTION
    assert marked_role(said) == ID
    assert recorded_projects(said) <= projects
    assert recorded_projects(said) == projects or len(said) > names.ROLE_DESCRIPTION - 50


@given(st.integers(0, 10), st.sets(st.from_regex(r"[0-9a-f]{40}", fullmatch=True), min_size=10, max_size=10))
def test_a_role_has_room_for_the_note_of_ten_keys(own: int, ids: set[str]) -> None:
    key, *keys = sorted(ids)
    ours = frozenset(one[:KEY_PART] for one in keys[:own])
    others = frozenset(one[:OTHERS_PART] for one in keys[own:])
    credentials, former = ID[:CREDENTIALS_PART], frozenset({hashed_account("c@d.com")})
    note = RoleNote(hashed_account("a@b.com"), key[:KEY_PART], credentials, ours, 1764318000, others, former)
    said = role_description(ID, ["shop-prod-1234"], note)
    assert len(said.encode()) <= names.ROLE_DESCRIPTION
    assert role_note(said) == note
    assert note.is_about("A@b.com")
    assert note.of_former("C@d.com") == RoleNote(hashed_account("c@d.com"), ours=ours)
    assert role_note(role_description(ID, ["shop-prod-1234"], NO_ROLE_NOTE)) == NO_ROLE_NOTE


@pytest.mark.parametrize(
    ("project", "as_project", "as_extra"),
    [
        ("shop-prod-1234", True, True),
        ("example.com:shop-prod", True, True),
        ("123456789012", True, False),
        ("Shop", False, False),
        ("shop_prod", False, False),
        ("example:shop-prod", False, False),
    ],
)
def test_a_project_is_told_by_one_pattern_and_a_further_one_by_its_id(
    project: str, as_project: bool, as_extra: bool
) -> None:
    assert (names.project_problem(project) == "") == as_project
    params = {"extra_projects": [project], "role_scope": "cluster"}
    found = list(form_problems(params))
    assert (found == []) == as_extra
    assert ("is a project number" in "".join(found)) == project.isdigit()


def test_the_role_has_terraforms_39_permissions_and_add_ons_on_request() -> None:
    assert len(role.DEFAULT) == 39
    assert role.wanted((), ()) == role.DEFAULT
    assert len(role.wanted((), ("target_backend_pools",))) == 43
    assert len(role.wanted((), ("unmanaged_instance_groups",))) == 41
    assert len(role.wanted((), tuple(role.ADD_ONS))) == 44
    assert role.wanted(("compute.zones.get",), ()) == {"compute.zones.get"}
