# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan in Ansible's default output, without any setting: object, change and risk are all shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from ansible.plugins.callback import CallbackBase

from ansible_collections.castai.onboarding.plugins.module_utils import _diff
from ansible_collections.castai.onboarding.plugins.module_utils._aws import eks_iam, policies
from ansible_collections.castai.onboarding.plugins.module_utils._castai.cluster import StoreToken
from ansible_collections.castai.onboarding.plugins.module_utils._diff import rendered
from ansible_collections.castai.onboarding.plugins.module_utils._engine import Action, Result
from ansible_collections.castai.onboarding.plugins.module_utils._equal import same_policy
from ansible_collections.castai.onboarding.plugins.module_utils._helm import release
from ansible_collections.castai.onboarding.plugins.module_utils._k8s import aws_auth, kube_router
from tests.unit.plugins.module_utils._aws import test_eks_iam as eks
from tests.unit.plugins.module_utils._helm import test_release as helm
from tests.unit.plugins.module_utils._k8s import test_aws_auth as auth

THEIRS = "- rolearn: arn:aws:iam::111122223333:role/nodes\n  username: nodes\n  groups: [system:nodes] # ops, 2024\n"


def output(actions: Iterable[Action]) -> str:
    """The output of the default callback, ignoring the terminal's line breaks, which do not split words."""
    text: str = CallbackBase()._get_diff(Result(tuple(actions), {}).public(diff=True)["diff"])
    return text


def added_and_removed(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("+", "-")) and line[:3] not in ("+++", "---")]


def of_eks(current: eks_iam.Current, **options: Any) -> list[Action]:
    return list(eks_iam.plan(current, eks.desired(**options)))


def let_in(data: str, **options: Any) -> list[Action]:
    return list(aws_auth.plan(auth.held({"mapRoles": data}), auth.desired(**options)))


WIDENED = {
    "Version": "2012-10-17",
    "Statement": [
        {**one, "Action": [*one["Action"], "ec2:TerminateInstances"]}
        if one["Sid"] == "NonResourcePermissions"
        else {**one, "Resource": one["Resource"][0] if len(one["Resource"]) == 1 else one["Resource"][::-1]}
        for one in reversed(policies.eks_managed(eks.HERE)["Statement"])
    ],
}
TEN: dict[str, tuple[list[Action], str, str, list[str]]] = {
    "an entry in aws-auth": (
        let_in(THEIRS, groups=["system:masters"], username="castai"),
        "kubernetes/configmap/kube-system/aws-auth/mapRoles",
        f"add an entry for {auth.BARE} as castai in system:masters (full control of the cluster)",
        [
            '+- rolearn: "arn:aws:iam::111122223333:role/cast"',
            '+  username: "castai"',
            "+  groups:",
            '+  - "system:masters"',
        ],
    ),
    "a policy that somebody widened": (
        of_eks(replace(eks.BY_ROLE, managed=eks.held(eks.MANAGED, WIDENED))),
        f"iam/policy/{eks.MANAGED}",
        f"update policy {eks.MANAGED} (may pass any role to ec2 and eks)",
        ["-  - ec2:TerminateInstances"],
    ),
    "a tag": (
        of_eks(eks.of_nodes(eks.BY_ROLE, group=replace(eks.NODES.group, tags={**eks.TAGS, "Name": "x", "a": "b"}))),  # type: ignore[type-var]
        f"ec2/security-group/{eks.GROUP}/tags",
        f"tag security group {eks.GROUP}",
        ["-Name: x", f"+Name: {eks.GROUP}"],
    ),
    "an administrator among the nodes": (
        of_eks(eks.BY_ROLE, node_policies=["arn:aws:iam::aws:policy/AdministratorAccess"]),
        f"iam/role/{eks.NODE}/arn:aws:iam::aws:policy/AdministratorAccess",
        f"attach AdministratorAccess to role {eks.NODE} (full control of the AWS account)",
        ["+attached"],
    ),
    "an administrator in the cluster": (
        of_eks(eks.of_identity(eks.BY_USER, access_policies=()), identity="user"),
        "AmazonEKSClusterAdminPolicy",
        f"give user {eks.USER} full control of cluster prod (AmazonEKSClusterAdminPolicy)",
        ["+associated"],
    ),
    "an upgrade": (
        list(
            release.plan(
                helm.current(helm.revision(1, "deployed", {"replicas": 1, "note": "a\nb"}, "0.1.0")), helm.wanted()
            )
        ),
        f"helm/release/{helm.NAMESPACE}/{helm.NAME}",
        "upgrade Helm release agent from chart agent 0.1.0 to agent 0.2.0 with changed values note, replicas",
        [
            "-chart: agent 0.1.0",
            "+chart: agent 0.2.0",
            "-  note: |-",
            "-    a",
            "-    b",
            "-  replicas: 1",
            "+  replicas: 2",
        ],
    ),
    "an uninstall": (
        list(release.plan(helm.current(helm.revision(1, "deployed")), helm.wanted(present=False))),
        f"helm/release/{helm.NAMESPACE}/{helm.NAME}",
        "uninstall Helm release agent",
        ["-chart: agent 0.2.0", "-status: deployed", "-values: {}"],
    ),
    "a token": (
        [
            StoreToken(
                "create the token of cluster 1 and store it in Secret a/b",
                "kubernetes/secret/a/b",
                None,
                {"API_KEY": "the token of cluster 1"},
            )
        ],
        "kubernetes/secret/a/b",
        "create the token of cluster 1 and store it in Secret a/b",
        ["+API_KEY: the token of cluster 1"],
    ),
    "a toleration": (
        list(
            kube_router.plan(
                kube_router.Current(
                    kube_router.daemon_set_of(
                        {
                            "metadata": {"resourceVersion": "1", "generation": 1},
                            "spec": {"template": {"spec": {"tolerations": []}}},
                            "status": {"desiredNumberScheduled": 3},
                        },
                        kube_router.PATHS[0],
                    ),
                    "",
                ),
                kube_router.Desired(cluster=kube_router.Named(), present=True, wait=False, wait_timeout=1),
            )
        ),
        "kubernetes/daemonset/kube-system/kube-router",
        "let kube-router tolerate",
        [],
    ),
    "a hand-over": (
        of_eks(replace(eks.BY_ROLE, record=replace(eks.BY_ROLE.record, credentials_id=""))),  # type: ignore[type-var]
        f"castai/cluster/{eks.ID}/role",
        f"give CAST AI role {eks.IAM}:role/{eks.ROLE} for cluster {eks.ID}",
        [f"+{eks.IAM}:role/{eks.ROLE}"],
    ),
}


@pytest.mark.parametrize("what", TEN)
def test_object_change_and_risk_can_be_named_from_the_output_alone(what: str) -> None:
    actions, target, sentence, lines = TEN[what]
    text = output(actions)
    assert f"--- before: {target}" in text or f"{target}\n" in text.splitlines(True)[0]
    assert f"+++ after: {sentence}" in text
    if lines:
        assert added_and_removed(text) == lines
    assert "\\n" not in text
    assert "&id" not in text


def test_each_object_has_headers_of_its_own() -> None:
    actions = of_eks(eks.NOTHING)
    text = output(actions)
    assert [line for line in text.splitlines() if line.startswith("+++ ")] == [
        f"+++ after: {action.sentence}" for action in actions
    ]
    assert len(set(text.split("\n\n"))) == len(actions) + 1


def test_nothing_to_change_shows_nothing() -> None:
    assert output([]) == ""


SAME: dict[str, Any] = {"a": 1}


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ("a\nb", "a\nc", ["-b", "+c"]),
        ("a", "a\n", ["+# change it"]),
        ("", None, ["+# change it"]),
        (None, True, ["+true"]),
        (3, None, ["-3"]),
        (None, {"x": [SAME, SAME]}, ["+x:", "+- a: 1", "+- a: 1"]),
        ({"x": "no"}, {"x": False}, ["-x: 'no'", "+x: false"]),
        ({"t": "a\tb\nc"}, {"t": "a\tb\nd"}, ["-  c", "+  d"]),
        ({"t": ("a", None)}, {"t": ("a", "ü")}, ["-- null", "+- ü"]),
        (None, "\x1b[31mred\r\nx\u202ey", ["+\\x1b[31mred\\r", "+x\\u202ey"]),
        (None, {"t": "\x1b[31m\nred"}, ["+t: |-", "+  \\x1b[31m", "+  red"]),
        (
            {"long": "word " * 60 + "a"},
            {"long": "word " * 60 + "b"},
            [f"-long: {'word ' * 60}a", f"+long: {'word ' * 60}b"],
        ),
    ],
)
def test_a_value_is_text_that_a_terminal_shows(before: Any, after: Any, lines: list[str]) -> None:
    text: str = CallbackBase()._get_diff([rendered("thing", "change it", before, after)])
    assert added_and_removed(text) == lines
    assert "No newline at end of file" not in text


@pytest.mark.parametrize(
    "document", [policies.eks_managed(eks.HERE), policies.trust_castai("AIDA", "1"), {"Statement": []}]
)
def test_the_form_of_a_policy_makes_no_difference_and_its_content_does(document: Any) -> None:
    one = rendered("p", "s", document, None)["before"]
    statements = [
        {
            key: [value] if isinstance(value, str) and key in ("Action", "Resource") else value
            for key, value in statement.items()
        }
        for statement in document["Statement"][::-1]
    ]
    other = {**document, "Statement": statements}
    assert same_policy(document, other)
    assert rendered("p", "s", other, None)["before"] == one


class Tagged(int):
    """Ansible's type for a number in a playbook."""


class TaggedText(str):
    """Ansible's type for a text in a playbook."""

    __slots__ = ()


def test_values_of_types_of_ansibles_own_are_shown() -> None:
    value = {TaggedText("replicas"): Tagged(0), "share": 0.5, "name": TaggedText("x")}
    assert rendered("thing", "make it", None, value)["after"] == "name: x\nreplicas: 0\nshare: 0.5\n"


def test_without_yaml_json_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_diff, "_HAS_YAML", False)
    assert rendered("thing", "make it", None, {"a": [1]})["after"] == '{\n  "a": [\n    1\n  ]\n}\n'
