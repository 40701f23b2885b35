# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of a policy with several writers: bindings of others are written back as they were read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.castai.onboarding.plugins.module_utils._engine import CallFailed, Refused
from ansible_collections.castai.onboarding.plugins.module_utils._google.bindings import (
    CONDITIONS,
    FORMS,
    NODE_ACCOUNTS,
    ON_ACCOUNTS,
    PRINCIPALS,
    PROJECT,
    TERMS,
    Change,
    Condition,
    Triple,
    account_user,
    changed,
    difference,
    held_by,
    held_by_deleted,
    principals,
    scoped_by_vendor,
    size_problem,
    triples,
)

OURS = "serviceAccount:castai-gke-5042d146@proj-1.iam.gserviceaccount.com"
ROLE = "projects/proj-1/roles/castai.gkeAccess.5b0a1ff3"
USER = "roles/iam.serviceAccountUser"
EXPIRES = {"title": "until summer", "expression": 'request.time < timestamp("2027-07-01T00:00:00Z")'}

members = st.sampled_from(
    (
        OURS,
        OURS.replace("castai", "CastAI"),
        "user:a@example.com",
        "group:ops@example.com",
        "deleted:serviceAccount:gone@proj-1.iam.gserviceaccount.com?uid=1",
        "principalSet://pools/A",
    )
)
conditions = st.sampled_from([None, EXPIRES, {**EXPIRES, "description": "said"}, {"expression": "true", "title": ""}])


@st.composite
def bindings(draw: st.DrawFn) -> dict[str, Any]:
    role = draw(st.sampled_from(["roles/owner", "roles/viewer", USER, ROLE]))
    condition = draw(conditions)
    found = {"role": role, "members": draw(st.lists(members, max_size=4, unique=True))}
    return {**found, "condition": condition} if condition else found


policies = st.fixed_dictionaries(
    {"version": st.sampled_from([1, 3]), "etag": st.just("BwX="), "bindings": st.lists(bindings(), max_size=6)},
    optional={"auditConfigs": st.just([{"service": "allServices", "auditLogConfigs": [{"logType": "DATA_READ"}]}])},
)
wanted_triples = st.lists(
    st.builds(
        Triple,
        st.sampled_from([USER, ROLE, "roles/other"]),
        st.just(OURS),
        st.sampled_from([None, Condition("iam_condition", "true"), Condition(**EXPIRES)]),
    ),
    max_size=3,
)


def foreign(policy: Any) -> list[Any]:
    return [triple for triple in triples(policy) if triple.member.lower() != OURS.lower()]


@given(policies, wanted_triples)
def test_only_what_is_ours_changes(policy: Any, wanted: list[Triple]) -> None:
    held = held_by(policy, OURS)
    change = difference(held, wanted, held)
    after = changed(policy, change)
    assert foreign(after) == foreign(policy)
    assert {(one.role, one.condition) for one in held_by(after, OURS)} == {(one.role, one.condition) for one in wanted}
    assert {key: value for key, value in after.items() if key not in ("version", "bindings")} == {
        key: value for key, value in policy.items() if key not in ("version", "bindings")
    }
    # Bindings without a member of ours, before and after, stay the objects that they were, in their order.
    untouched = [one for one in policy["bindings"] if OURS.lower() not in [name.lower() for name in one["members"]]]
    left = iter(after["bindings"])
    assert all(any(one.items() <= {**found, "members": one["members"]}.items() for found in left) for one in untouched)


@given(policies, wanted_triples)
def test_what_is_as_wanted_is_not_changed_again(policy: Any, wanted: list[Triple]) -> None:
    held = held_by(policy, OURS)
    after = changed(policy, difference(held, wanted, held))
    again = held_by(after, OURS)
    assert not difference(again, wanted, again)


@given(policies)
def test_no_change_sends_the_policy_back_as_it_was_read(policy: Any) -> None:
    after = changed(policy, Change())
    assert after["bindings"] == policy["bindings"]


@given(policies, wanted_triples)
def test_a_condition_before_or_after_needs_version_3(policy: Any, wanted: list[Triple]) -> None:
    held = held_by(policy, OURS)
    after = changed(policy, difference(held, wanted, held))
    conditional = any(one.condition for one in (*triples(policy), *wanted))
    assert after["version"] == (3 if conditional else policy["version"])


def test_ours_goes_into_the_binding_that_there_is_and_a_binding_without_members_goes() -> None:
    policy = {
        "version": 1,
        "etag": "a",
        "bindings": [
            {"role": "roles/viewer", "members": ["user:a@example.com"]},
            {"role": "roles/editor", "members": [OURS.upper()]},
            {"role": ROLE, "members": ["user:b@example.com"]},
        ],
    }
    change = Change((Triple(ROLE, OURS), Triple(USER, OURS)), (Triple("roles/editor", OURS),))
    assert changed(policy, change)["bindings"] == [
        {"role": "roles/viewer", "members": ["user:a@example.com"]},
        {"role": ROLE, "members": ["user:b@example.com", OURS]},
        {"role": USER, "members": [OURS]},
    ]


def test_a_policy_that_was_read_without_its_conditions_is_not_written_back() -> None:
    policy = {"bindings": [{"role": "roles/viewer_withcond_0f1e2d3c4b5a69788796", "members": ["user:a@example.com"]}]}
    with pytest.raises(CallFailed, match=r"Internal error: .*without its conditions"):
        changed(policy, Change((Triple(ROLE, OURS),)))
    with pytest.raises(CallFailed, match="Internal error"):
        held_by(policy, OURS)


def test_what_a_deleted_account_left_is_found_by_its_address() -> None:
    left = f"deleted:{OURS}?uid=123"
    policy = {"bindings": [{"role": ROLE, "members": [left, OURS, "deleted:serviceAccount:x@y?uid=1"]}]}
    assert [triple.member for triple in held_by_deleted(policy, OURS)] == [left]
    assert [triple.member for triple in held_by(policy, OURS)] == [OURS]


def test_members_that_audit_logs_exempt_count() -> None:
    exempt = {"auditLogConfigs": [{"logType": "DATA_READ", "exemptedMembers": ["user:a@example.com"] * 3}]}
    policy = {
        "bindings": [{"role": "roles/viewer", "members": [f"user:{n}@example.com" for n in range(PRINCIPALS - 4)]}],
        "auditConfigs": [exempt],
    }
    one = Change((Triple(ROLE, OURS),))
    two = Change((Triple(ROLE, OURS), Triple(USER, OURS)))
    assert principals(policy) == PRINCIPALS - 1
    assert size_problem(policy, one, "proj-1") == ""
    assert "would have 1,501 principals, but IAM allows 1,500" in size_problem(policy, two, "proj-1")


def test_a_policy_that_was_too_large_before_can_be_made_smaller() -> None:
    policy = {"bindings": [{"role": ROLE, "members": [f"user:{n}@e.com" for n in range(PRINCIPALS + 5)] + [OURS]}]}
    assert size_problem(policy, Change((), (Triple(ROLE, OURS),)), "proj-1") == ""


@pytest.mark.parametrize(("count", "packed"), [(1, [1]), (13, [13]), (14, [13, 1]), (260, [13] * 20)])
def test_so_many_accounts_are_named_in_so_many_conditions(count: int, packed: list[int]) -> None:
    ids = [f"{number:021}" for number in range(count)]
    found = account_user(NODE_ACCOUNTS, OURS, [*reversed(ids), ids[0]])
    expressions = [triple.condition.expression for triple in found if triple.condition]
    assert [text.count("startsWith") for text in expressions] == packed
    assert all(text.count("||") < TERMS for text in expressions)
    assert len(found) <= CONDITIONS
    assert all(scoped_by_vendor(triple) for triple in found)
    assert all(f'"projects/-/serviceAccounts/{one}"' in "".join(expressions) for one in ids)


def test_more_accounts_than_conditions_can_name_are_refused() -> None:
    with pytest.raises(Refused, match="261 service accounts, but conditions can only name 260") as refusal:
        account_user(NODE_ACCOUNTS, OURS, [str(number) for number in range(261)])
    assert ON_ACCOUNTS in str(refusal.value)
    assert f"to {PROJECT}" in str(refusal.value)


def test_the_condition_is_that_of_terraforms_module() -> None:
    (triple,) = account_user(NODE_ACCOUNTS, OURS, ["2", "1"])
    assert triple.shown() == {
        "role": USER,
        "member": OURS,
        "condition": {
            "title": "iam_condition",
            "description": "IAM condition with limited scope",
            "expression": 'resource.name.startsWith("projects/-/serviceAccounts/1")'
            ' || resource.name.startsWith("projects/-/serviceAccounts/2")',
        },
    }


def test_each_form_gives_what_it_says() -> None:
    found = {form: account_user(form, OURS, ["1"]) for form in FORMS}
    assert found[PROJECT] == (Triple(USER, OURS),)
    assert found[ON_ACCOUNTS] == found["none"] == ()
    assert len(found[NODE_ACCOUNTS]) == 1
