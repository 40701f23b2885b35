# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of AWS, and those of CAST AI's identity for any cluster there. Pure. PRIVATE to the collection."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .._credentials import quoted
from .._engine import Refused
from .._forms import iam_arn
from .._gateways.aws_iam import Making
from .._gateways.aws_session import NO_REGION, region_of
from .._names import cluster_id_problem
from .._options import Rules, Spec, castai_options, cluster_options, env
from .._variables import named
from . import forms, names
from .keys import TAGS as KEY_TAGS

Parameters = Mapping[str, Any]

ADMIN_GROUPS = ("system:masters",)


def aws_options() -> Spec:
    """The environment variables for credentials are left to botocore, so that a profile beats them as usual."""
    return {
        "access_key": {"type": "str", "aliases": ["aws_access_key_id"], "no_log": False},
        "secret_key": {"type": "str", "aliases": ["aws_secret_access_key"], "no_log": True},
        "session_token": {"type": "str", "aliases": ["aws_session_token"], "no_log": True},
        "profile": {"type": "str", "aliases": ["aws_profile"]},
        "region": {"type": "str", "aliases": ["aws_region"], "fallback": env("AWS_REGION", "AWS_DEFAULT_REGION")},
        "account_id": {"type": "str"},
        "endpoint_url": {"type": "str", "fallback": env("AWS_URL")},
        "aws_ca_bundle": {"type": "path", "fallback": env("AWS_CA_BUNDLE")},
        "assume_role_arn": {"type": "str"},
        "assume_role_external_id": {"type": "str"},
        "aws_validate_certs": {"type": "bool", "default": True},
    }


AWS_RULES: Rules = {
    "mutually_exclusive": [["profile", "access_key"]],
    "required_together": [["access_key", "secret_key"]],
}
"""How they depend on each other, for AnsibleModule."""

OPTIONS: dict[str, Any] = {
    **cluster_options((), required=True),
    **castai_options(),
    **aws_options(),
    "adopt": {"type": "bool", "default": False},
    "cluster_id": {"type": "str", "required": True},
    "force": {"type": "bool", "default": False},
    "hand_over": {"type": "bool", "default": True},
    "managed_policy": {"type": "dict"},
    "path": {"type": "str", "default": "/"},
    "permissions_boundary": {"type": "str"},
    "policy_scope": {"type": "str", "choices": ["cluster", "account"], "default": "cluster"},
    "prepare": {"type": "bool", "default": True},
    "restricted_policy": {"type": "dict"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "tags": {"type": "dict", "default": {}},
    "user_access": {"type": "str", "choices": ["cluster_admin", "none"], "default": "cluster_admin"},
    "vpc_account_id": {"type": "str"},
}


@dataclass(frozen=True)
class Shape:
    """What the value of an option looks like. pattern: for the whole value; kind: in words, for a message; role: the
    one whose variable sets the option."""

    pattern: str
    kind: str
    role: str = "castai"


POLICY_ARN = iam_arn("policy", "aws")
SHAPES = {
    "permissions_boundary": Shape(POLICY_ARN, "IAM policy ARN"),
    "vpc_account_id": Shape(r"[0-9]{12}", "AWS account ID"),
}


def problems(params: Parameters, name_problem: str, shapes: Mapping[str, Shape], inline: bool = False) -> Iterator[str]:
    """Problems of the options that all identities have, and of those with a given shape.

    name_problem: what is wrong with the cluster's name, according to its provider.
    """
    account_id = params.get("account_id")
    yield from filter(
        None,
        [
            name_problem,
            cluster_id_problem(params["cluster_id"]),
            names.account_id_problem(account_id) if account_id else "",
        ],
    )
    if not region_of(params):
        yield NO_REGION
    yield from form_problems(params, shapes, inline)


def form_problems(params: Parameters, shapes: Mapping[str, Shape], inline: bool) -> Iterator[str]:
    """Problems of the options that only an identity has; preflight asks this too.

    inline: whether the restricted policy is a role's inline policy.
    """
    path = forms.path_problem(params["path"])
    if path:
        yield f"{named('path')} {path}"
    own = [*names.iam_tags("", ""), *(() if inline else KEY_TAGS)]
    # A security group also has a Name, and the role for spot interruptions two more tags than the others.
    for problem in forms.tag_problems(params.get("tags") or {}, own, forms.TAGS - max(len(own), 4)):
        yield f"{named('tags')} {problem}"
    for option, size in (
        ("managed_policy", forms.MANAGED_SIZE),
        ("restricted_policy", forms.INLINE_OF_ROLE_SIZE if inline else forms.MANAGED_SIZE),
    ):
        problem = forms.document_problem(params[option], size) if params.get(option) else ""
        if problem:
            yield f"{named(option)} {problem}"
    for option, shape in {**shapes, **SHAPES}.items():
        if params.get(option):
            yield from arn_problems(params, named(option, shape.role), params[option], shape)


def arn_problems(params: Parameters, option: str, value: str, shape: Shape) -> Iterator[str]:
    """What is wrong with an ARN, or with another value that has a shape. option: as a message names it."""
    if not re.fullmatch(shape.pattern, value):
        yield f"{option} is {quoted(value)}, which is not a valid {shape.kind}. Correct it or leave it out."
        return
    region, account_id = region_of(params), params.get("account_id")
    if not value.startswith("arn:"):
        return
    _arn, partition, _service, _region, account, _rest = value.split(":", 5)
    if region and partition != forms.partition_of(region):
        yield (
            f"{option} is {quoted(value)}, which is in partition {partition}, but region {region} is in partition"
            f" {forms.partition_of(region)}. Correct it or leave it out."
        )
    elif account_id and account not in ("aws", account_id):
        yield f"{option} is {quoted(value)}, which is not in account {account_id}. Correct it or leave it out."


def making(params: Parameters) -> Making:
    """What every object is created with."""
    own = names.iam_tags(params["cluster_name"], params["cluster_id"].lower())
    given = {forms.tag_text(key) or "": forms.tag_text(value) or "" for key, value in (params["tags"] or {}).items()}
    tags = {**given, **own}
    return Making(params["path"], params.get("permissions_boundary") or "", tags)


class HasUserAccess(Protocol):
    """What is wanted of CAST AI's user."""

    @property
    def present(self) -> bool:
        """False to remove it."""

    @property
    def user_access(self) -> bool:
        """Whether the user gets full control of the cluster."""


def user_entries(arn: str, name: str, wanted: HasUserAccess, exists: bool) -> list[dict[str, Any]]:
    """What castai_aws_auth does for CAST AI's user. An existing user may have an entry although it must not have
    access."""
    entry = {"user_arn": arn, "username": name, "groups": list(ADMIN_GROUPS)}
    if wanted.user_access or not wanted.present:
        return [entry]
    return [{**entry, "state": "absent"}] if exists else []


def check_policies(absent: Iterable[str], options: Mapping[str, str]) -> None:
    """Raise Refused for policies that do not exist. options: the option that names each, as a message writes it."""
    missing = [f"IAM has no policy {arn}. Correct {options[arn]}." for arn in absent]
    if missing:
        raise Refused(" ".join(missing))
