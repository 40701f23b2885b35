# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import string
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.castai.onboarding.plugins.module_utils._engine import UNKNOWN
from ansible_collections.castai.onboarding.plugins.module_utils._names import (
    cluster_id_problem,
    helm_release_problem,
    namespace_problem,
    secret_problem,
)

ID = "5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e"

Problem = Callable[[str], str]
LOWER = string.ascii_lowercase + string.digits
NEAR = st.text(f"{LOWER}{string.ascii_uppercase}-_. \n\u00e9/", max_size=120)
"""Names that are often valid, and otherwise almost."""


def is_label(name: str, limit: int) -> bool:
    """RFC 1123: letters, digits and dashes, none of them at either end."""
    return 0 < len(name) <= limit and not set(name) - set(f"{LOWER}-") and "-" not in (name[0], name[-1])


@pytest.mark.parametrize(
    ("problem", "limit"), [(helm_release_problem, 53), (partial(namespace_problem, present=False), 63)]
)
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


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public", "kube-node-lease", "kube-castai"])
def test_kubernetes_own_namespaces_can_only_be_removed_from(name: str) -> None:
    sentence = f"castai_namespace (option namespace) is '{name}', one of Kubernetes' own namespaces. Set it to another"
    assert namespace_problem(name).startswith(sentence)
    assert namespace_problem(name, present=False) == ""


@pytest.mark.parametrize("name", ["castai-agent", "kube", "kubecost", "defaults", "my-default"])
def test_other_namespaces_are_free(name: str) -> None:
    assert namespace_problem(name) == ""


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


@pytest.mark.parametrize("problem", [helm_release_problem, namespace_problem])
@pytest.mark.parametrize("name", ["", "a b", "-", "x" * 300])
def test_a_problem_shows_the_name_and_says_what_to_correct(problem: Problem, name: str) -> None:
    text = problem(name)
    assert repr(name)[:121] in text
    assert re.search(r"\. Correct [^.]+\.$", text)
    assert "\n" not in text


@pytest.mark.parametrize(
    ("problem", "text"),
    [
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


@pytest.mark.parametrize("cluster_id", ["", "prod", f"{ID}\n", ID[:-1]])
def test_what_is_no_id_of_cast_ai(cluster_id: str) -> None:
    assert cluster_id_problem(cluster_id) == (
        f"castai_cluster_id (option cluster_id) is {cluster_id!r}. Set it to the UUID of the cluster at CAST AI."
    )
    assert not cluster_id_problem(ID.upper())
    assert cluster_id_problem(ID) == cluster_id_problem(UNKNOWN) == ""
