# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import string
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.castai.onboarding.plugins.module_utils._names import (
    eks_cluster_problem,
    helm_release_problem,
    kops_cluster_problem,
    namespace_problem,
    secret_problem,
)

Problem = Callable[[str], str]
LOWER = string.ascii_lowercase + string.digits
NEAR = st.text(f"{LOWER}{string.ascii_uppercase}-_. \n\u00e9/", max_size=120)
"""Names that are often right, and otherwise wrong by little."""


def is_label(name: str, limit: int) -> bool:
    """RFC 1123: letters, digits and dashes, none of them at either end."""
    return 0 < len(name) <= limit and not set(name) - set(f"{LOWER}-") and "-" not in (name[0], name[-1])


@pytest.mark.parametrize(("problem", "limit"), [(helm_release_problem, 53), (namespace_problem, 63)])
@settings(deadline=None)
@given(name=NEAR | st.from_regex(r"[a-z0-9]([-a-z0-9]{0,70}[a-z0-9])?", fullmatch=True))
@example(name="")
@example(name="a\n")
@example(name="a" * 53)
@example(name="a" * 54)
@example(name="a" * 63)
@example(name="a" * 64)
def test_labels(problem: Problem, limit: int, name: str) -> None:
    assert (problem(name) == "") is is_label(name, limit)


@settings(deadline=None)
@given(name=NEAR | st.from_regex(r"[a-z0-9]([-a-z0-9]{0,9}[a-z0-9])?(\.[-a-z0-9]{1,9}){0,30}", fullmatch=True))
@example(name="")
@example(name="a\n")
@example(name="a" * 253)
@example(name="a" * 254)
@example(name="Castai_Creds")
def test_secret_names(name: str) -> None:
    right = len(name) <= 253 and all(is_label(part, 253) for part in name.split("."))
    assert (secret_problem(name) == "") is right


@settings(deadline=None)
@given(name=NEAR | st.from_regex(r"[0-9A-Za-z][-_0-9A-Za-z]{0,110}", fullmatch=True))
@example(name="")
@example(name="a\n")
@example(name="_a")
@example(name="a" * 100)
@example(name="a" * 101)
def test_eks_cluster_names(name: str) -> None:
    allowed = set(string.ascii_letters + string.digits)
    right = 0 < len(name) <= 100 and name[0] in allowed and not set(name) - allowed - {"-", "_"}
    assert (eks_cluster_problem(name) == "") is right


@settings(deadline=None)
@given(name=NEAR | st.from_regex(r"[a-z0-9]([-a-z0-9]{0,9}[a-z0-9])?(\.[-a-z0-9]{1,9}){1,30}", fullmatch=True))
@example(name="")
@example(name="shop")
@example(name="shop.\n")
@example(name="shop..example.com")
@example(name=f"{'a' * 241}.example.com")
@example(name=f"{'a' * 242}.example.com")
def test_kops_cluster_names(name: str) -> None:
    labels = name.split(".")
    right = len(labels) > 1 and len(name) <= 253 and all(is_label(label, 253) for label in labels)
    assert (kops_cluster_problem(name) == "") is right


@pytest.mark.parametrize(
    "problem", [helm_release_problem, namespace_problem, eks_cluster_problem, kops_cluster_problem]
)
@pytest.mark.parametrize("name", ["", "a b", "-", "x" * 300])
def test_a_problem_shows_the_name_and_says_what_to_correct(problem: Problem, name: str) -> None:
    text = problem(name)
    assert repr(name) in text
    assert re.search(r"\. Correct [^.]+\.$", text)
    assert "\n" not in text


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (
            eks_cluster_problem,
            (
                "EKS cluster name {!r} has 101 characters, but EKS allows at most 100. Correct castai_cluster_name"
                " (option cluster_name)."
            ),
        ),
        (
            helm_release_problem,
            ("Helm release name {!r} has 101 characters, but at most 53 are allowed. Correct the name."),
        ),
        (
            namespace_problem,
            (
                "Namespace name {!r} has 101 characters, but at most 63 are allowed. Correct castai_namespace (option"
                " namespace)."
            ),
        ),
    ],
)
def test_a_long_name_is_told_its_limit(problem: Problem, text: str) -> None:
    assert problem("a" * 101) == text.format("a" * 101)
