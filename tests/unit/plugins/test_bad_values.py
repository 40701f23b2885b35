# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrong values of every option of every module and of every variable of every role, generated from a seed.

Each is refused in one sentence with the option's name, before any call.
"""

from __future__ import annotations

import functools
import importlib
import math
import random
import re
import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.castai.onboarding.plugins.action.castai_variables import KNOWN
from ansible_collections.castai.onboarding.plugins.module_utils._engine import (
    AnySubject,
    Refused,
    Several,
    Subject,
    checked_by_ansible,
    reconcile,
    run_task,
)
from ansible_collections.castai.onboarding.plugins.module_utils._given import given
from tests.support.checked import checked

SEEDS = (20261127, 1, 77)
TURNS = 4
"""Values of each kind for each option."""
CLUSTER = "3f1c1f0e-6a1b-4f5e-9c55-0d3c2f0b8a11"
AWS = {"region": "eu-central-1", "access_key": "AKIAIOSFODNN7EXAMPLE", "secret_key": "s" * 40}
EKS = {"provider": "eks", "cluster_name": "prod", **AWS}
GKE = {"provider": "gke", "cluster_name": "shop", "project": "acme-prod", "location": "europe-west3"}
GKE |= {"access_token": "t" * 40}
AKS = {"provider": "aks", "cluster_name": "shop", "resource_group": "shop-prod", "secret": "s" * 40}
AKS |= dict.fromkeys(("subscription_id", "tenant", "client_id"), "0b1f6471-1bf0-4dda-aec3-cb9272f09590")
KEY = {"castai_api_key": "k" * 40}
BASES: Mapping[str, Mapping[str, Any]] = {
    "castai_aks_app": {**AKS, **KEY, "cluster_id": CLUSTER},
    "castai_aws_auth": {**EKS, "role_arn": "arn:aws:iam::123456789012:role/nodes", "username": "nodes"},
    "castai_cluster": {**EKS, **KEY},
    "castai_cluster_info": KEY,
    "castai_gke_sa": {**GKE, **KEY, "cluster_id": CLUSTER},
    "castai_iam_eks": {**EKS, **KEY, "cluster_id": CLUSTER},
    "castai_iam_kops": {**EKS, **KEY, "provider": "kops", "cluster_name": "shop.example.com", "cluster_id": CLUSTER},
    "castai_kube_router_fix": {"kubeconfig": "/nowhere/config", "context": "prod"},
    "castai_preflight": {**EKS, **KEY},
    "castai_release": {
        **EKS,
        "name": "castai-agent",
        "chart_ref": "castai-agent",
        "chart_repo_url": "https://example.com",
    },
    "castai_releases": {**EKS, "releases": [{"name": "castai-agent", "chart_ref": "castai-agent"}]},
}
"""Valid options of each module."""


def module(name: str) -> AnySubject:
    found = importlib.import_module(f"ansible_collections.castai.onboarding.plugins.modules.{name}").SUBJECT
    assert isinstance(found, (Several, Subject))
    return found


def text(rng: random.Random, alphabet: str, least: int, most: int) -> str:
    return "".join(rng.choice(alphabet) for _turn in range(rng.randint(least, most)))


ODD = "\u00e9\u0661 \t\n\x1b\x00\"'\\"


def names(most: int) -> Callable[[random.Random], str]:
    """Texts of up to this many characters that Kubernetes and AWS do not accept as names."""

    def wrong(rng: random.Random) -> str:
        good = text(rng, string.ascii_lowercase, 1, 8)
        return rng.choice(
            [
                good + text(rng, string.ascii_lowercase, most, most + 40),
                good + rng.choice(ODD) + good,
                f"{good} {good}",
                f"{good}/{good}",
                f"-{good}",
            ]
        )

    return wrong


def kubernetes_names(most: int) -> Callable[[random.Random], str]:
    return lambda rng: rng.choice(
        [names(most)(rng), good_name(rng).upper(), f"{good_name(rng)}_x", f"{good_name(rng)}-"]
    )


def good_name(rng: random.Random) -> str:
    return text(rng, string.ascii_lowercase, 3, 8)


def digits(rng: random.Random) -> str:
    return rng.choice(
        [
            text(rng, string.digits, 1, 11),
            text(rng, string.digits, 13, 20),
            "\u0661" * 12,
            "12345678901x",
            "1234 5678 9012",
        ]
    )


def arns(kind: str) -> Callable[[random.Random], str]:
    def wrong(rng: random.Random) -> str:
        account, name = text(rng, string.digits, 12, 12), good_name(rng)
        return rng.choice(
            [
                name,
                f"arn:aws:iam::{account[1:]}:{kind}/{name}",
                f"arn:aws:s3:::{name}",
                f"arn:aws:iam::{account}:{kind}/",
                f"arn:aws:iam::{account}:{kind}/*",
                f"arn:aws:iam::{account}:{kind}/{name} ",
                f"arn:aws:iam::{account}:{kind}/{rng.choice(ODD)}{name}",
                f"arn:aws:iam::{account}:group/{name}",
            ]
        )

    return wrong


def addresses(rng: random.Random) -> str:
    host = f"{good_name(rng)}.example.com"
    return rng.choice(
        [host, f"ftp://{host}", f"https://me:{good_name(rng)}@{host}", f"https://{host} x", "https://", f"//{host}"]
    )


def tags(rng: random.Random) -> Any:
    return rng.choice(
        [
            {f"{rng.choice(['aws', 'cast', 'castai-onboarding'])}:{good_name(rng)}": "x"},
            {text(rng, "a", 129, 140): "x"},
            {good_name(rng): text(rng, "b", 257, 300)},
            {"": "x"},
            {good_name(rng): None},
            {good_name(rng): ["x"]},
            {"name": "a", "NAME": "b"},
            {f"{good_name(rng)}{number}": "x" for number in range(60)},
            {f"a{rng.choice('!*#%{}')}b": "x"},
        ]
    )


def policies(rng: random.Random) -> Any:
    statement = {"Effect": "Allow", "Action": "ec2:RunInstances", "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return rng.choice(
        [
            {good_name(rng): "b"},
            {**document, "Statement": []},
            {**document, "Version": "2012-10-18"},
            {**document, "Statement": [{**statement, "Effect": "allow"}]},
            {**document, "Statement": [{key: value for key, value in statement.items() if key != "Action"}]},
            {**document, "Statement": "all"},
            {**document, "Statement": [{**statement, "Resource": [f"arn:aws:s3:::{'x' * 60}{n}" for n in range(200)]}]},
        ]
    )


def seconds(rng: random.Random) -> int:
    return rng.choice([-rng.randint(1, 10**6), 10**8 + rng.randint(1, 9), 10**400])


def hosts(rng: random.Random) -> str:
    """Addresses that start with https:// and lead nowhere."""
    host = f"{good_name(rng)}.example.com"
    return "https://" + rng.choice(
        [
            f"{host}:99999",
            f"{host}:0",
            f"{host}:x",
            f"a..{host}",
            f"\u0430{host}",
            f"{host}\\x",
            "[::1",
            "/x",
            f"{host}?a=b",
            f"{host}#a",
            f"*.{host}",
            f"{'a' * 64}.{host}",
        ]
    )


FORMS: Mapping[str, Callable[[random.Random], Any]] = {
    "account_id": digits,
    "assume_role_arn": arns("role"),
    "assume_role_external_id": lambda rng: rng.choice(["x", "y" * 1225, "a b", "\u00e9\u00e9", "a;b", "ab\n"]),
    "castai_api_key": lambda rng: f"{good_name(rng)}{rng.choice(ODD[2:4])}{good_name(rng)}\n",
    "castai_api_url": lambda rng: (
        rng.choice([addresses, hosts])(rng) if rng.random() < 0.9 else "https://api.cast.ai/v1/"
    ),
    "chart_repo_url": addresses,
    "chart_version": lambda rng: rng.choice(
        ["latest", ">=1", "1", "1.2", "~1.2.3", "1.2.x", f"1.2.3 {good_name(rng)}"]
    ),
    "cluster_id": lambda rng: rng.choice(
        [good_name(rng), CLUSTER[:-1], CLUSTER + "0", CLUSTER.replace("-", ""), "g" + CLUSTER[1:]]
    ),
    "cluster_name": names(100),
    "credentials_secret": kubernetes_names(253),
    "endpoint_url": lambda rng: rng.choice([addresses, hosts])(rng),
    "host": lambda rng: rng.choice([addresses, hosts])(rng),
    "instance_profile_arn": arns("instance-profile"),
    "managed_policy": policies,
    "name": kubernetes_names(53),
    "namespace": lambda rng: rng.choice([kubernetes_names(63)(rng), f"kube-{good_name(rng)}", "default"]),
    "node_policies": lambda rng: [arns("policy")(rng)],
    "node_role_arn": arns("role"),
    "organization_id": lambda rng: rng.choice(["My company", CLUSTER[:-1], f"{CLUSTER} ", f"{{{CLUSTER}}}", "org-1"]),
    "path": lambda rng: rng.choice(
        [
            good_name(rng),
            f"/{good_name(rng)}",
            f"{good_name(rng)}/",
            f"/{'x' * 512}/",
            "/\u00e9/",
            "/a b/",
            "/aws-service-role/",
        ]
    ),
    "permissions_boundary": arns("policy"),
    "region": lambda rng: rng.choice(
        ["EU-CENTRAL-1", "eu central 1", "eu-central-1\nx", "frankfurt", "eu_central_1", "e\u00fc-west-1"]
    ),
    "restricted_policy": policies,
    "role_arn": arns("role"),
    "security_group_id": lambda rng: rng.choice(
        [good_name(rng), "sg-", "sg-XYZ", "vpc-0123456789abcdef0", f"sg-{'0' * 40}"]
    ),
    "state_store": lambda rng: rng.choice([good_name(rng), "http://bucket", "s3://", "s3:///x", "bucket/x"]),
    "tags": tags,
    "timeout": seconds,
    "user_arn": arns("user"),
    "vpc_account_id": digits,
    "wait_timeout": seconds,
}


def by_type(rng: random.Random, option: Mapping[str, Any]) -> Any:
    """A value of another type than the option's, or one that is not among its choices."""
    kind, choices = option.get("type", "str"), option.get("choices")
    if choices and kind == "str":
        return rng.choice([rng.choice(choices).upper(), f"{rng.choice(choices)}s", good_name(rng), "no"])
    wrong: Mapping[str, list[Any]] = {
        "str": [["x"], {"x": "y"}],
        "path": [["x"], {"x": "y"}],
        "bool": [good_name(rng), 2, ["x"], {"x": "y"}],
        "int": [good_name(rng), "1.5", ["x"], {"x": 1}],
        "list": [{"x": "y"}] if option.get("elements") != "dict" else [[good_name(rng)], 7],
        "dict": [["x"], good_name(rng)],
        "jsonarg": [["x"], 7],
        "raw": [7, ["x"], good_name(rng)],
    }
    return rng.choice(wrong[kind])


class Reached(Exception):
    """Nothing was refused before the first read."""


def said(name: str, arguments: Mapping[str, Any]) -> str:
    """What the module says about its arguments before any call; empty if nothing is wrong with them.

    castai_preflight collects these sentences, and reports them together with its findings.
    """
    subject = module(name)
    rules = checked_by_ansible(subject)
    spec = rules.pop("argument_spec")
    validated = ArgumentSpecValidator(spec, **rules).validate(given(spec, arguments))
    if validated.error_messages:
        return " ".join(validated.error_messages)
    gathered: list[str] = []

    def observe(_gateway: Any, desired: Any) -> Any:
        gathered.extend(getattr(desired, "problems", ()))
        raise Reached

    try:
        reconcile(replace(subject, observe=observe), validated.validated_parameters, True, print)
    except Refused as refused:
        return str(refused)
    except Reached:
        return " ".join(gathered)
    raise AssertionError("it neither refused nor began to read")


TEXT = ("str", "path", "jsonarg")


def wrong_options(rng: random.Random) -> Iterator[tuple[str, str, Any]]:
    """Module, option and a wrong value.

    A text can only have a wrong form: Ansible converts a list to text before a module sees it, and castai_variables
    refuses that. cluster_name of castai_cluster_info is a search term, which may be anything; castai_preflight reports
    problems of the key when it uses it.
    """
    passed = (("castai_cluster_info", "cluster_name"), ("castai_preflight", "castai_api_key"))
    for name in BASES:
        for option, described in module(name).options["argument_spec"].items():
            makes = [FORMS[option]] if option in FORMS and (name, option) not in passed else []
            if described.get("choices") or described.get("type", "str") not in TEXT:
                makes.append(lambda rng, described=described: by_type(rng, described))
            yield from ((name, option, make(rng)) for make in makes for _turn in range(TURNS))


@pytest.mark.parametrize("name", BASES)
def test_what_is_right_is_not_refused(name: str) -> None:
    assert said(name, BASES[name]) == ""


CONTRADICTIONS: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "two connections": (
        {"kubeconfig": "/nowhere/config", "host": "https://10.0.0.1", "api_key": "t" * 30},
        "castai_kubeconfig (option kubeconfig) and castai_host (option host) are both set. Use only one of them.",
    ),
    "an address alone": (
        {"host": "https://10.0.0.1"},
        "castai_host (option host) is set without castai_host_token (option api_key). Set both, or neither.",
    ),
    "a token alone": (
        {"api_key": "t" * 30},
        "castai_host_token (option api_key) is set without castai_host (option host). Set both, or neither.",
    ),
    "two kinds of AWS credentials": (
        {"profile": "shop"},
        "castai_aws_profile (option profile) and castai_aws_access_key (option access_key) are both set. Use only",
    ),
    "half a key": (
        {"secret_key": None},
        "castai_aws_access_key (option access_key) is set without castai_aws_secret_key (option secret_key). Set both",
    ),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
@pytest.mark.parametrize("name", ["castai_cluster", "castai_preflight", "castai_aws_auth", "castai_release"])
def test_contradictions_are_told_by_the_names_of_the_variables(name: str, case: str) -> None:
    options, sentence = CONTRADICTIONS[case]
    assert said(name, {**BASES[name], **options}).startswith(sentence)


def test_what_the_environment_sets_is_named_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K8S_AUTH_HOST", "https://10.0.0.1")
    monkeypatch.setenv("K8S_AUTH_API_KEY", "t" * 30)
    found = said("castai_cluster", {**BASES["castai_cluster"], "kubeconfig": "/nowhere/config"})
    assert "and K8S_AUTH_HOST in the environment, for castai_host (option host), are both set." in found


@pytest.mark.parametrize("version", ["latest", ">=1", "v1", "1.10", "1" * 300])
def test_a_charts_version_is_refused_before_the_cluster_is_registered(version: str) -> None:
    release = {"name": "castai-agent", "chart_ref": "castai-agent", "chart_version": version}
    found = said("castai_preflight", {**BASES["castai_preflight"], "releases": [release]})
    assert found.startswith("agent_chart_version (option chart_version) is ")
    assert len(found) < 300


@pytest.mark.parametrize("name", ["castai_cluster", "castai_preflight"])
def test_a_kops_cluster_without_a_connection_is_refused_before_any_call(name: str) -> None:
    kops = {**BASES[name], "provider": "kops", "cluster_name": "shop.example.com"}
    assert said(name, {**kops, "kubeconfig": "/nowhere/config"}) == ""
    assert "Set castai_kubeconfig (option kubeconfig) and castai_context" in said(name, kops)


def test_every_region_of_aws_is_one() -> None:
    session = botocore.session.Session()
    partitions = session.get_available_partitions()
    regions = [region for one in partitions for region in session.get_available_regions("ec2", one)]
    assert len(regions) > 30
    assert [region for region in regions if said("castai_cluster", {**BASES["castai_cluster"], "region": region})] == []


@pytest.mark.parametrize("seed", SEEDS)
def test_a_wrong_option_is_named_before_any_call(seed: int) -> None:
    cases = list(wrong_options(random.Random(seed)))
    assert len(cases) > 500
    silent = [
        (name, option, value)
        for name, option, value in cases
        if option not in said(name, {**BASES[name], option: value})
    ]
    assert silent == []


@pytest.mark.parametrize("seed", SEEDS)
def test_a_wrong_variable_is_one_sentence_with_its_name(seed: int) -> None:
    rng = random.Random(seed)
    # For options that accept several types, the module itself reports the problem.
    known = [(name, option) for name, option in sorted(KNOWN.items()) if option.get("type") != "raw"]
    variables = [(name, by_type(rng, option)) for name, option in known for _turn in range(2 * TURNS)]
    assert len(variables) > 500
    for name, value in variables:
        (sentence,) = checked(**{name: value})["findings"]
        assert re.match(rf"{name}\b.* (Set it to|Use only:) .*\.$", sentence), sentence
        assert len(sentence) < 400


def deep(levels: int) -> Any:
    return functools.reduce(lambda inside, _level: {"a": inside}, range(levels), "x")


BEYOND: Mapping[str, tuple[Any, str]] = {
    "many digits": ({"a.b": [1, {"c": 10**308}]}, "has a number of more than 308 digits at a.b.1.c"),
    "more digits than Python writes": ({"a": ["--x", 10**5000]}, "has a number of more than 308 digits at a.1"),
    "a key of many digits": ({10**5000: "x"}, "has a number of more than 308 digits"),
    "infinite": ({"a": -math.inf}, "has the number -inf at a"),
    "no number": ({"a": {"b": math.nan}}, "has the number nan at a.b"),
    "deep": (deep(101), "is nested more than 100 levels deep"),
    "deep, as text": ('{"a":' * 700 + "1" + "}" * 700, "is nested more than 100 levels deep"),
    "deeper than Python goes": (deep(5000), "is nested more than 100 levels deep"),
    "infinite, as text": ('{"a": 1e999}', "has the number inf at a"),
    "many digits, as text": (f"a: {'9' * 400}", "has a number of more than 308 digits at a"),
}


@pytest.mark.parametrize("check", [True, False], ids=["check mode", "run"])
@pytest.mark.parametrize("case", BEYOND)
def test_what_no_program_can_read_is_one_sentence_before_any_call(case: str, check: bool) -> None:
    value, clause = BEYOND[case]
    task = SimpleNamespace(action="x", check_mode=check, diff=True)
    for name, base in BASES.items():
        spec = module(name).options["argument_spec"]
        options = [option for option, one in spec.items() if one.get("type") == "dict" and not one.get("options")]
        cases = [(option, {**base, option: value}) for option in options]
        if "releases" in spec:
            release = {"name": "castai-agent", "chart_ref": "castai-agent", "values": value}
            cases.append(("agent_values (option values)", {**base, "releases": [release]}))
        for option, arguments in cases:
            subject = replace(module(name), connect=lambda params, wanted: pytest.fail("it was connected"))
            result = run_task(subject, task, arguments, print)
            assert result["failed"]
            assert re.fullmatch(
                rf"(\w+ \(option )?{re.escape(option)}\)? {re.escape(clause)}\. Correct it\.", result["msg"]
            )


@pytest.mark.parametrize("case", BEYOND)
def test_so_is_a_variable_with_it(case: str) -> None:
    """Some of them Ansible itself cannot read."""
    value, clause = BEYOND[case]
    for name in ("agent_values", "components_values", "castai_tags"):
        (found,) = checked(**{name: value})["findings"]
        assert found == f"{name} {clause}. Correct it." or re.match(rf"{name} cannot be read: [^\n]+\.$", found)


def test_a_text_that_python_cannot_parse_is_no_dictionary() -> None:
    task, text = SimpleNamespace(action="x", check_mode=True, diff=True), '{"a":' * 5000 + "1" + "}" * 5000
    result = run_task(module("castai_release"), task, {**BASES["castai_release"], "values": text}, print)
    assert result["msg"].startswith("argument 'values' is of type")
    assert checked(agent_values=text)["findings"] == ["agent_values is text. Set it to a dictionary."]
