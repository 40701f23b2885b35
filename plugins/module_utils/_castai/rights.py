# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the credentials of a run may do, in the cluster and in AWS: asked, never tried. PRIVATE to the collection."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from .._aws.permissions import Question, only_reads
from .._engine import CallFailed, gather
from .._gateways.aws import Aws, Verdict
from .._gateways.kubernetes import Kubernetes

_WRITE = ("get", "create", "patch", "delete")
OF_CLUSTER = frozenset(
    {
        "namespaces",
        "clusterroles",
        "clusterrolebindings",
        "customresourcedefinitions",
        "mutatingwebhookconfigurations",
    }
)
_RBAC = "rbac.authorization.k8s.io"

Rows = tuple[tuple[str, str, tuple[str, ...]], ...]
"""API group, resource and verbs."""

CREATE_NAMESPACE: Rows = (("", "namespaces", ("create",)),)
"""Where the namespace is absent."""

CONNECT: Rows = (
    ("", "namespaces", ("get",)),
    ("", "secrets", ("get", "list", "create", "update", "patch", "delete")),
    ("", "configmaps", _WRITE),
    ("", "serviceaccounts", _WRITE),
    ("", "resourcequotas", (*_WRITE, "list")),
    ("", "pods", ("list",)),
    ("", "events", ("list",)),
    ("apps", "deployments", _WRITE),
    ("policy", "poddisruptionbudgets", _WRITE),
    (_RBAC, "clusterroles", (*_WRITE, "bind", "escalate")),
    (_RBAC, "clusterrolebindings", _WRITE),
    (_RBAC, "roles", (*_WRITE, "bind", "escalate")),
    (_RBAC, "rolebindings", _WRITE),
)
CONNECT_SYSTEM: Rows = ((_RBAC, "roles", (*_WRITE, "bind", "escalate")), (_RBAC, "rolebindings", _WRITE))
"""In namespace kube-system: the agent reads a ConfigMap there."""

ONBOARD: Rows = (
    *CONNECT,
    ("", "services", _WRITE),
    ("apps", "daemonsets", _WRITE),
    ("batch", "jobs", (*_WRITE, "list", "watch")),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", _WRITE),
)
WORKLOAD_AUTOSCALER: Rows = (("apiextensions.k8s.io", "customresourcedefinitions", _WRITE),)
"""What its chart needs beside that."""

ONBOARD_SYSTEM: Rows = (("", "configmaps", ("get", "create", "patch")),)
"""In namespace kube-system: aws-auth, where the cluster has no access entries."""

SYSTEM = "kube-system"

OF_NODES: Rows = (("", "nodes", ("list",)),)
"""Cluster-wide: what kOps clusters are known by, and on all where pods could run."""


READING = ("get", "list")
"""Verbs that a plan needs; all others are for a run alone, and so is watch, by which Helm waits."""


def planning() -> Rows:
    """What a plan reads of a cluster, whatever it is."""
    rows = (*ONBOARD, *WORKLOAD_AUTOSCALER, *CONNECT_SYSTEM, *ONBOARD_SYSTEM, *OF_NODES)
    return tuple((group, resource, tuple(verb for verb in verbs if verb in READING)) for group, resource, verbs in rows)


def missing_in_cluster(kubernetes: Kubernetes, namespace: str, rows: Rows, of_system: Rows) -> tuple[str, ...]:
    """What the API server does not allow, as "verb resource.group"."""
    places = [(row, "" if row[1] in OF_CLUSTER else namespace) for row in rows]
    reviews = {
        f"{verb} {resource}{'.' + group if group else ''}{' in ' + SYSTEM if place == SYSTEM else ''}": partial(
            kubernetes.can, verb, group, resource, place
        )
        for (group, resource, verbs), place in [*places, *((row, SYSTEM) for row in of_system)]
        for verb in verbs
    }
    return tuple(label for label, allowed in gather(**reviews).items() if not allowed)


@dataclass(frozen=True)
class Lack:
    """An action that AWS would refuse. by: organisation, boundary, or empty for the caller's policies."""

    action: str
    resource: str
    by: str
    needed: bool
    """Whether every run needs it; otherwise it depends on what is there already."""


@dataclass(frozen=True)
class Rights:
    """What a simulation says of the caller. not_checked: what it could not tell, and why, in sentences."""

    caller: str
    lacks: tuple[Lack, ...] = ()
    not_checked: tuple[str, ...] = ()


def simulate(aws: Aws, caller: str, questions: Collection[Question]) -> Rights:
    """Round 1: whose the session is. Round 2: every question."""
    source, why = _entity(aws, caller)
    if not source:
        return Rights(caller, not_checked=(why,))
    asked = {str(number): one for number, one in enumerate(questions)}
    answers = gather(**{number: partial(_answer, aws, source, one) for number, one in asked.items()})
    failures = dict.fromkeys(answer for answer in answers.values() if isinstance(answer, str))
    refused = [
        (asked[number], verdict)
        for number, answer in answers.items()
        if not isinstance(answer, str)
        for verdict in answer
        if not verdict.allowed
    ]
    unsure = [verdict for _question, verdict in refused if verdict.unknown]
    return Rights(
        source,
        tuple(_lack(question, verdict) for question, verdict in refused if not verdict.unknown),
        (*(f"Could not check AWS permissions: {failure}" for failure in failures), *_unsure(unsure)),
    )


def _answer(aws: Aws, source: str, question: Question) -> tuple[Verdict, ...] | str:
    """Verdicts, or why there are none."""
    try:
        context = {**question.context, "aws:PrincipalArn": source}
        return aws.simulate(source, question.actions, question.resource, context)
    except CallFailed as failure:
        return str(failure)


def _unsure(verdicts: Collection[Verdict]) -> Iterator[str]:
    if verdicts:
        actions = sorted({verdict.action for verdict in verdicts})
        keys = sorted({key for verdict in verdicts for key in verdict.unknown})
        yield (
            f"Could not check AWS permissions {', '.join(actions)}: they depend on {', '.join(keys)}, which the IAM"
            " simulator cannot evaluate."
        )


def _entity(aws: Aws, caller: str) -> tuple[str, str]:
    """The role or user that a caller is, and else why there is none. A session's ARN has its role's name alone."""
    if ":user/" in caller:
        return caller, ""
    found = re.fullmatch(r"arn:([^:]+):sts::(\d+):assumed-role/([^/]+)/.*", caller)
    if found is None:
        return "", f"{caller} is neither a role nor a user, so its permissions cannot be simulated."
    partition, account, name = found.groups()
    try:
        role = aws.get_role(name)
    except CallFailed:
        role = None  # it may not be read; at the root is where most roles are
    return role.arn if role else f"arn:{partition}:iam::{account}:role/{name}", ""


def _lack(question: Question, verdict: Verdict) -> Lack:
    return Lack(verdict.action, question.resource, verdict.by, verdict.action in question.needed)


def told(lacks: Iterable[Lack]) -> str:
    """Actions by resource, in words."""
    by_resource: dict[str, list[str]] = {}
    for lack in lacks:
        by_resource.setdefault(lack.resource, []).append(lack.action)
    return "; ".join(f"{', '.join(actions)} on {resource}" for resource, actions in by_resource.items())


def refusals(rights: Rights, phase: str, reading: bool) -> Iterator[str]:
    """A message for each kind of policy that does not allow what every run needs. reading: what a plan needs too, or
    what only a run needs."""
    needed = [lack for lack in rights.lacks if lack.needed and only_reads(lack.action) is reading]
    by_layer = {layer: told(lack for lack in needed if lack.by == layer) for layer in ("", "boundary", "organisation")}
    if by_layer[""]:
        yield (
            f"{rights.caller} lacks these AWS permissions: {by_layer['']}. Give it the policy {phase} of"
            " docs/examples/policies, or use other credentials."
        )
    if by_layer["boundary"]:
        yield (
            f"The permissions boundary of {rights.caller} does not allow {by_layer['boundary']}. Have the boundary"
            " widened, or use other credentials."
        )
    if by_layer["organisation"]:
        yield (
            f"A service control policy of the AWS organisation does not allow {by_layer['organisation']}. Only those"
            " who manage the organisation can change that."
        )


def warnings(rights: Rights) -> Iterator[str]:
    """What only some runs need."""
    lacks = [lack for lack in rights.lacks if not lack.needed]
    if lacks:
        yield (
            f"{rights.caller} lacks AWS permissions that a run may need: {told(lacks)}. They are needed when an earlier"
            " run or another tool left something to correct."
        )
