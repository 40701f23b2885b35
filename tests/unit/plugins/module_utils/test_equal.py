# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.castai.onboarding.plugins.module_utils._equal import (
    missing_tags,
    plain_policy,
    replaced,
    same_policy,
)

actions = st.sampled_from(["ec2:RunInstances", "ec2:CreateTags", "eks:List*", "iam:PassRole"])
texts = st.sampled_from(["*", "arn:aws:ec2:*:1:instance/*", "arn:aws:iam::1:role/R", "arn:aws:iam::1:role/r", "true"])
statements = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Deny"]),
        "Action": st.lists(actions, min_size=1, unique=True),
        "Resource": st.lists(texts, min_size=1, unique=True),
    },
    optional={
        "Sid": st.sampled_from(["One", "Two"]),
        "Principal": st.fixed_dictionaries({"AWS": st.lists(texts, min_size=1, unique=True)}),
        "Condition": st.dictionaries(
            st.sampled_from(["StringEquals", "StringLike"]),
            st.dictionaries(st.sampled_from(["ec2:Vpc", "aws:RequestTag/x"]), st.lists(texts, min_size=1, unique=True)),
        ),
    },
)
documents = st.fixed_dictionaries(
    {"Version": st.just("2012-10-17"), "Statement": st.lists(statements, min_size=1, max_size=3)}
)


def written_otherwise(value: Any, chance: random.Random, key: str = "") -> Any:
    """The same document written differently: shuffled, single values bare, actions and condition keys in another case,
    no Sid."""
    if isinstance(value, dict):
        items = [(name, item) for name, item in value.items() if name != "Sid"]
        chance.shuffle(items)
        return {
            (name.upper() if key in ("StringEquals", "StringLike") else name): written_otherwise(item, chance, name)
            for name, item in items
        }
    if isinstance(value, list):
        values = [written_otherwise(item, chance, key) for item in value]
        chance.shuffle(values)
        if len(values) == 1 and chance.random() < 0.5:
            return values[0]
        return values + values[:1] if key != "Statement" and chance.random() < 0.3 else values
    return value.swapcase() if key == "Action" else value


@given(documents, st.randoms(use_true_random=False))
def test_a_policy_written_otherwise_is_the_same(document: dict[str, Any], chance: random.Random) -> None:
    other = written_otherwise(document, chance)
    assert same_policy(document, other)
    assert same_policy(other, document)


@given(documents)
def test_what_is_shown_of_a_policy_says_what_it_says(document: dict[str, Any]) -> None:
    assert same_policy(plain_policy(document), document)


def test_only_the_tags_that_are_set_are_shown() -> None:
    assert replaced({"a": "0", "c": "3"}, {"a": "1", "b": "2"}) == {"a": "0"}


@given(documents, st.randoms(use_true_random=False), st.sampled_from(["Effect", "Action", "Resource", "more", "less"]))
def test_a_policy_that_says_something_else_is_not(document: dict[str, Any], chance: random.Random, what: str) -> None:
    new = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::b/*"]}
    changed = [dict(statement) for statement in document["Statement"]]
    if what == "more":
        changed.append(new)
    elif what == "less":
        changed = []
    elif what == "Effect":
        changed = [{**new, "Effect": "Deny"}]
    else:
        one = chance.randrange(len(changed))
        changed[one][what] = [*changed[one][what], *new[what]]
    assert not same_policy(document, {**document, "Statement": changed})


@given(
    st.recursive(
        st.none() | st.text(max_size=3) | st.booleans(),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(["Version", "Statement", "Action", "Principal", "Condition"]), inner, max_size=3
            )
        ),
        max_leaves=6,
    )
)
def test_no_document_is_too_odd_to_compare(document: Any) -> None:
    assert same_policy(document, document)
    plain_policy({"Version": "2012-10-17", "Statement": document})


STATEMENT = {"Effect": "Allow", "Action": "a:B", "Resource": "*"}
DIFFERENT = {
    "version": ({"Version": "2012-10-17"}, {"Version": "2008-10-17"}),
    "resource in another case": (
        {"Statement": {**STATEMENT, "Resource": "x"}},
        {"Statement": {**STATEMENT, "Resource": "X"}},
    ),
    "not the action": (
        {"Statement": STATEMENT},
        {"Statement": {"Effect": "Allow", "NotAction": "a:B", "Resource": "*"}},
    ),
    "operator": (
        {"Statement": {**STATEMENT, "Condition": {"StringEquals": {"k": "v"}}}},
        {"Statement": {**STATEMENT, "Condition": {"StringLike": {"k": "v"}}}},
    ),
    "one key in two cases": (
        {"Statement": {**STATEMENT, "Condition": {"StringEquals": {"K": "v", "k": "w"}}}},
        {"Statement": {**STATEMENT, "Condition": {"StringEquals": {"k": "w"}}}},
    ),
    "absent": (None, {"Statement": STATEMENT}),
}
SAME = {
    "everybody": (
        {"Statement": {**STATEMENT, "Principal": "*"}},
        {"Statement": {**STATEMENT, "Principal": {"AWS": ["*"]}}},
    ),
    "true": (
        {"Statement": {**STATEMENT, "Condition": {"Bool": {"k": True}}}},
        {"Statement": {**STATEMENT, "Condition": {"Bool": {"k": "true"}}}},
    ),
    "no condition": ({"Statement": {**STATEMENT, "Condition": {}}}, {"Statement": STATEMENT}),
    "the oldest version is the default": ({"Version": "2008-10-17", "Statement": STATEMENT}, {"Statement": STATEMENT}),
    "a statement twice": ({"Statement": [STATEMENT, {**STATEMENT, "Sid": "x"}]}, {"Statement": STATEMENT}),
}


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_what_differs(one: Any, other: Any) -> None:
    assert not same_policy(one, other)


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_what_does_not(one: Any, other: Any) -> None:
    assert same_policy(one, other)


@given(
    st.dictionaries(st.text(max_size=3), st.text(max_size=3)), st.dictionaries(st.text(max_size=3), st.text(max_size=3))
)
def test_missing_tags_are_all_that_it_takes(wanted: dict[str, str], held: dict[str, str]) -> None:
    missing = missing_tags(wanted, held)
    assert missing_tags(wanted, {**held, **missing}) == {}
    assert {**held, **missing} == {**held, **wanted}
