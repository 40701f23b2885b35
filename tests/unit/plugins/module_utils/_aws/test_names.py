# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of objects in AWS: those of CAST AI's script and other tools, and within every limit."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.castai.onboarding.plugins.module_utils._aws import names
from ansible_collections.castai.onboarding.plugins.module_utils._engine import UNKNOWN
from tests.sandbox.aws import other_ways as script_world

from ..test_names import NEAR, Problem, is_label

ID, OTHER = "5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e", "6c1b2004-5a57-4d4a-8f5d-0a6f5c1f0d7e"
clusters = st.from_regex(r"[0-9A-Za-z][-_0-9A-Za-z]{0,99}", fullmatch=True)
BASES = (names.MANAGED_POLICY, names.RESTRICTED_POLICY, names.IPV6_POLICY)


@given(clusters)
def test_every_name_is_one_that_aws_takes(cluster: str) -> None:
    principals = [
        names.eks_role(cluster, ID),
        names.eks_node_role(cluster, ID),
        *names.eks_users(cluster, ID),
        *names.eks_roles_of_others(cluster, ID),
        *names.eks_node_roles_of_others(cluster),
    ]
    policies = [name for base in BASES for name in names.cluster_policies(base, cluster, ID)]
    profiles = [names.eks_node_role(cluster, ID), *names.eks_profiles_of_others(cluster, ID)]
    assert all(re.fullmatch(r"[\w+=,.@-]{1,64}", name) for name in principals)
    assert all(re.fullmatch(r"[\w+=,.@-]{1,128}", name) for name in [*policies, *profiles])
    assert len(names.node_security_group(cluster)) <= 255


@given(clusters, clusters)
def test_what_carries_the_id_is_never_shared(one: str, other: str) -> None:
    def own(cluster: str, cluster_id: str) -> set[str]:
        return {
            names.eks_role(cluster, cluster_id),
            names.eks_node_role(cluster, cluster_id),
            names.eks_users(cluster, cluster_id)[-1],
            *(names.cluster_policies(base, cluster, cluster_id)[-1] for base in BASES),
        }

    assert own(one, ID) & own(other, OTHER) == set()


@given(clusters, clusters)
def test_the_plain_names_of_two_clusters_are_two(one: str, other: str) -> None:
    for base in BASES:
        same = names.cluster_policies(base, one, ID)[0] == names.cluster_policies(base, other, OTHER)[0]
        assert same == (one == other)


@pytest.mark.parametrize("length", [1, 20, 55, 56, 63, 100])
def test_our_names_are_the_newest_scripts(length: int) -> None:
    cluster = "c" * length
    script = script_world.names("newest", cluster, ID)
    assert names.eks_role(cluster, ID) == script.principal
    assert names.eks_node_role(cluster, ID) == script.node_role == script.profile
    assert names.node_security_group(cluster) == script.group
    assert (
        script.policy,
        script.inline,
        script.ipv6_policy,
    ) == (names.MANAGED_POLICY, names.RESTRICTED_POLICY, names.IPV6_POLICY)
    user = script_world.names("user", cluster, ID).principal
    assert (user in names.eks_users(cluster, ID)) == (length <= 55)


@pytest.mark.parametrize("vintage", ["older", "terraform", "pulumi"])
@pytest.mark.parametrize("length", [1, 20, 63, 100])
def test_other_tools_names_are_known_where_they_can_be(vintage: str, length: int) -> None:
    cluster = "c" * length
    theirs = script_world.names(vintage, cluster, ID)
    roles = {names.eks_role(cluster, ID), *names.eks_roles_of_others(cluster, ID)}
    nodes = {names.eks_node_role(cluster, ID), *names.eks_node_roles_of_others(cluster)}
    profiles = {names.eks_node_role(cluster, ID), *names.eks_profiles_of_others(cluster, ID)}
    assert (theirs.principal in roles) == (len(theirs.principal) <= 64)
    assert (theirs.node_role in nodes) == (len(theirs.node_role) <= 64)
    assert theirs.profile in profiles
    if vintage == "terraform":
        assert theirs.policy == names.cluster_policies(names.MANAGED_POLICY, cluster, ID)[0]
        assert theirs.ipv6_policy == names.cluster_policies(names.IPV6_POLICY, cluster, ID)[0]


def test_an_unknown_id_shows_as_such() -> None:
    assert names.eks_role("prod", UNKNOWN) == "cast-eks-prod-cluster-role-(known after apply)"
    assert names.eks_users("prod", UNKNOWN) == ("cast-eks-prod", "cast-eks-prod-(known after apply)")


def test_tags_never_say_that_cast_ai_manages_it() -> None:
    assert names.iam_tags("prod", ID) == {"cast:cluster-id": ID, "castai-onboarding:cluster": "prod"}


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
    assert (names.eks_cluster_problem(name) == "") is right


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
    assert (names.kops_cluster_problem(name) == "") is right


@pytest.mark.parametrize("problem", [names.eks_cluster_problem, names.kops_cluster_problem])
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("", "''"),
        ("a b", "'a b'"),
        ("-", "'-'"),
        ("sh\u043ep", r"'sh\u043ep'"),
        ("shop\u200b", r"'shop\u200b'"),
        ("x" * 5000, f"'{'x' * 120}...' has 5000 characters"),
    ],
)
def test_a_problem_of_a_cluster_name_shows_it_and_says_what_to_correct(problem: Problem, name: str, shown: str) -> None:
    """With letters of other alphabets, and invisible ones, as codes: otherwise a name may look right."""
    text = problem(name)
    assert f" name {shown}" in text
    assert re.search(r"\. Correct [^.]+\.$", text)
    assert "\n" not in text


def test_a_long_cluster_name_is_told_its_limit() -> None:
    assert names.eks_cluster_problem("a" * 101) == (
        f"EKS cluster name {'a' * 101!r} has 101 characters, but EKS allows at most 100. Correct castai_cluster_name"
        " (option cluster_name) or castai_provider (option provider)."
    )
