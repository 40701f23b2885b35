# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the credentials of a run may do in AWS, by simulation and never by trial. PRIVATE to the collection."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from .._engine import CallFailed, at_once
from .._gateways.aws import Aws
from .._gateways.aws_iam import Verdict
from .permissions import Question, only_reads


@dataclass(frozen=True)
class Lack:
    """An action that AWS would deny. by: organization or boundary, or empty for the caller's own policies."""

    action: str
    resource: str
    by: str
    needed: bool
    """Whether every run needs it; otherwise it depends on existing objects."""


@dataclass(frozen=True)
class Rights:
    """The result of a simulation for the caller. not_checked: what it could not evaluate and why, in sentences."""

    caller: str
    lacks: tuple[Lack, ...] = ()
    not_checked: tuple[str, ...] = ()


def simulate(aws: Aws, caller: str, questions: Collection[Question]) -> Rights:
    """Round 1: which role or user the session belongs to. Round 2: every question."""
    source, why = _entity(aws, caller)
    if not source:
        return Rights(caller, not_checked=(why,))
    with at_once() as ask:
        asked = [(one, ask(_answer, aws, source, one)) for one in questions]
    answers = [(one, answer.result()) for one, answer in asked]
    failures = dict.fromkeys(answer for _question, answer in answers if isinstance(answer, str))
    refused = [
        (question, verdict)
        for question, answer in answers
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
    """The caller's role or user, or else why it cannot be found. The ARN of a session only contains the role's name."""
    if ":user/" in caller:
        return caller, ""
    found = re.fullmatch(r"arn:([^:]+):sts::(\d+):assumed-role/([^/]+)/.*", caller)
    if found is None:
        return "", f"{caller} is neither a role nor a user, so its permissions cannot be simulated."
    partition, account, name = found.groups()
    try:
        role = aws.get_role(name)
    except CallFailed:
        role = None  # it may not be readable; most roles are at the root
    return role.arn if role else f"arn:{partition}:iam::{account}:role/{name}", ""


def _lack(question: Question, verdict: Verdict) -> Lack:
    return Lack(verdict.action, question.resource, verdict.by, verdict.action in question.needed)


def in_words(lacks: Iterable[Lack]) -> str:
    """Actions by resource, in words."""
    by_resource: dict[str, list[str]] = {}
    for lack in lacks:
        by_resource.setdefault(lack.resource, []).append(lack.action)
    return "; ".join(f"{', '.join(actions)} on {resource}" for resource, actions in by_resource.items())


def refusals(rights: Rights, policy: str, reading: bool) -> Iterator[str]:
    """A message for each kind of policy that does not allow what every run needs.

    policy: the published one that allows all of it; reading: what a plan needs too, or what only a run needs.
    """
    needed = [lack for lack in rights.lacks if lack.needed and only_reads(lack.action) is reading]
    by_layer = {
        layer: in_words(lack for lack in needed if lack.by == layer) for layer in ("", "boundary", "organization")
    }
    if by_layer[""]:
        yield (
            f"{rights.caller} lacks these AWS permissions: {by_layer['']}. Give it the policy {policy} in"
            " docs/examples/policies, or use other credentials."
        )
    if by_layer["boundary"]:
        yield (
            f"The permissions boundary of {rights.caller} does not allow {by_layer['boundary']}. Extend the"
            " boundary, or use other credentials."
        )
    if by_layer["organization"]:
        yield (
            f"A service control policy of the AWS organization does not allow {by_layer['organization']}. Only an"
            " administrator of the organization can change that."
        )


def warnings(rights: Rights) -> Iterator[str]:
    """What only some runs need."""
    lacks = [lack for lack in rights.lacks if not lack.needed]
    if lacks:
        yield (
            f"{rights.caller} lacks AWS permissions that a run may need: {in_words(lacks)}. They are only needed to"
            " update existing objects."
        )
