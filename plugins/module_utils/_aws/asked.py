# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What users ask for of CAST AI's identity on any cluster at AWS. Pure. PRIVATE to the collection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .. import _names as names
from .._castai.gateway import Cluster
from .._engine import UNKNOWN, Refused
from .._options import aws_options, castai_options, cluster_options
from .._variables import named
from .gateway import NO_REGION, Making, region_of

Parameters = Mapping[str, Any]

OPTIONS: dict[str, Any] = {
    **cluster_options(required=True),
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
    """What the value of an option looks like. pattern: for the whole value; kind: in words, for a message; role: whose
    variable sets the option.
    """

    pattern: str
    kind: str
    role: str = "castai"


SHAPES = {
    "permissions_boundary": Shape(r"arn:[^:]+:iam::(\d{12}|aws):policy/\S+", "IAM policy ARN"),
    "vpc_account_id": Shape(r"\d{12}", "AWS account ID"),
}


def problems(params: Parameters, shapes: Mapping[str, Shape]) -> Iterator[str]:
    """What is wrong with the options that all identities have, and with those of which shapes are given."""
    account_id = params.get("account_id")
    yield from filter(
        None,
        [
            names.cluster_name_problem(params["provider"], params["cluster_name"]),
            names.cluster_id_problem(params["cluster_id"]),
            names.account_id_problem(account_id) if account_id else None,
        ],
    )
    if not region_of(params):
        yield NO_REGION
    if not re.fullmatch(r"/([!-~]+/)?", params["path"]):
        yield f"{named('path')} is {params['path']!r}. Set it to an IAM path that starts and ends with '/'."
    for option, shape in {**shapes, **SHAPES}.items():
        value = params.get(option)
        if value and not re.fullmatch(shape.pattern, value):
            yield (
                f"{named(option, shape.role)} is {value!r}, which is not a valid {shape.kind}. Correct it or leave it"
                " out."
            )


def making(params: Parameters) -> Making:
    """What every object is created with."""
    own = names.iam_tags(params["cluster_name"], params["cluster_id"].lower())
    tags = {**{key: str(value) for key, value in params["tags"].items()}, **own}
    return Making(params["path"], params.get("permissions_boundary") or "", tags)


def check_record(record: Cluster | None, cluster_id: str, present: bool) -> Cluster | None:
    """CAST AI's record of the cluster, None where it has none any more, or not yet in a check.

    Raises Refused where something is to be made for a cluster that CAST AI has not, or not for long.
    """
    if record is None or record.gone:
        if present and cluster_id != UNKNOWN:
            raise Refused(
                f"CAST AI has no cluster {cluster_id} in the organisation of this API key. Check"
                f" {named('cluster_id')} and castai_api_key."
            )
        return None
    if present and record.status == "deleting":
        raise Refused(f"CAST AI is disconnecting cluster {record.id}. Wait until that is over, then run again.")
    return record


def check_removable(record: Cluster | None, force: bool) -> None:
    """Raise Refused where CAST AI still works with the identity that is to be removed. force: the user wants it so."""
    if force or record is None or record.disconnected:
        return
    if record.status == "deleting":
        raise Refused(f"CAST AI is still disconnecting cluster {record.id}. Wait until that is over, then run again.")
    raise Refused(
        f"CAST AI still manages cluster {record.id} (status {record.status or 'unknown'}) with the identity that is to"
        " be removed. Disconnect the cluster at CAST AI first, so that it removes its nodes, or set force to true."
    )
