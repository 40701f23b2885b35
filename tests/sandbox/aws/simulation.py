# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""iam:SimulatePrincipalPolicy and iam:SimulateCustomPolicy, which moto lacks, decided by this world's evaluation.

Shapes and rules: the IAM API Reference, as botocore's model quotes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from moto.core.serialize import QuerySerializer
from moto.core.utils import get_service_model

from ..wire import Response
from .accounts import Accounts, Caller, boundary_document, named_documents
from .auth import Access, allowed
from .permissions import BOUNDARY, IDENTITY, ORGANIZATION, Decision, decide
from .wire import Operation, Refused

OPERATIONS = ("iam:SimulatePrincipalPolicy", "iam:SimulateCustomPolicy")
PAGE = 100
SEVERITY = ("allowed", "implicitDeny", "explicitDeny")
# Names of resources in ARNs of the kinds that this world knows (Service Authorization Reference).
TEMPLATES = {
    "iam": {"role": "RoleName", "user": "UserName", "policy": "PolicyName", "instance-profile": "InstanceProfileName"},
    "ec2": {"security-group": "SecurityGroupId", "vpc": "VpcId", "instance": "InstanceId"},
    "eks": {"cluster": "ClusterName", "access-entry": "ClusterName"},
}


def simulate(accounts: Accounts, operation: Operation, caller: Caller) -> Response:
    """The answer. Raises AwsError for a source that does not exist or that IAM does not simulate."""
    source = operation.text("PolicySourceArn")
    given = [(f"PolicyInputList.{number}", text) for number, text in enumerate(operation.listed("PolicyInputList"), 1)]
    documents = [(name, _parsed(text)) for name, text in given]
    boundaries = [_parsed(text) for text in operation.listed("PermissionsBoundaryPolicyInputList")]
    control = None
    if operation.name == "SimulatePrincipalPolicy":
        if not re.match(r"arn:[\w-]+:iam::\d{12}:(user|role)/", source):
            message = f"Invalid Entity Arn: {source} does not clearly define entity type and name."  # from memory
            raise Refused(400, "InvalidInput", message)
        entity = accounts.entity(source)
        if entity is None or entity.account_id != caller.account:
            raise Refused(404, "NoSuchEntity", f"{source} cannot be found.")
        documents += named_documents(accounts, caller.account, entity)
        own = boundary_document(accounts, caller.account, entity)
        boundaries = boundaries or ([own] if own else [])
        control = accounts.control_policies.get(caller.account)
    layers = {
        ORGANIZATION: None if control is None else [control],
        BOUNDARY: boundaries or None,
        IDENTITY: [document for _name, document in documents],
    }
    scene = _Scene(layers, documents, _context(operation))
    resources = [arn for arn in operation.listed("ResourceArns") if arn != "*"]
    results = [scene.result(action, resources) for action in operation.listed("ActionNames")]
    start, size = int(operation.text("Marker", "0")), int(operation.text("MaxItems", str(PAGE)))
    page = results[start : start + size]
    more = {"Marker": str(start + size)} if start + size < len(results) else {}
    return _answer(operation, {"EvaluationResults": page, "IsTruncated": bool(more), **more})


class _Scene:
    """The policies and context in which actions are simulated."""

    def __init__(
        self,
        layers: dict[str, list[Any] | None],
        documents: list[tuple[str, Any]],
        context: Mapping[str, tuple[str, ...]],
    ) -> None:
        self._layers = layers
        self._documents = documents
        self._context = context
        keys = {key for _name, document in documents for key in _condition_keys(document)}
        self._missing = sorted(key for key in keys if key.lower() not in context)

    def result(self, action: str, resources: list[str]) -> dict[str, Any]:
        """One EvaluationResult: the strictest decision of all resources, and the decision for each."""
        each = [self._one(action, resource) for resource in resources or ["*"]]
        severest = max(each, key=lambda one: SEVERITY.index(one["EvalDecision"]))
        matched = {one["SourcePolicyId"]: one for found in each for one in found["MatchedStatements"]}
        whole = {
            **severest,
            "EvalActionName": action,
            "EvalResourceName": _template(resources),
            "MatchedStatements": list(matched.values()),
            "MissingContextValues": self._missing,
        }
        if not resources:
            return whole
        specific = [
            {
                **{name.replace("EvalDecision", "EvalResourceDecision", 1): value for name, value in one.items()},
                "EvalResourceName": resource,
                "MissingContextValues": self._missing,
                "EvalDecisionDetails": {},
            }
            for one, resource in zip(each, resources, strict=True)
        ]
        # Within one account the details are there and empty; they are for cross-account simulations.
        return {**whole, "EvalDecisionDetails": {}, "ResourceSpecificResults": specific}

    def _one(self, action: str, resource: str) -> dict[str, Any]:
        access = Access(action, resource, self._context)
        decision = decide(self._layers, access)
        found: dict[str, Any] = {"EvalDecision": _word(decision), "MatchedStatements": self._matched(access, decision)}
        for layer, detail in (
            (ORGANIZATION, ("OrganizationsDecisionDetail", "AllowedByOrganizations")),
            (BOUNDARY, ("PermissionsBoundaryDecisionDetail", "AllowedByPermissionsBoundary")),
        ):
            documents = self._layers[layer]
            if documents is not None:
                found[detail[0]] = {detail[1]: allowed(documents, access) is True}
        return found

    def _matched(self, access: Access, decision: Decision) -> list[dict[str, str]]:
        """The identity policies that determine the decision: those that deny if any does, otherwise those that
        allow."""
        wanted = not (decision.explicit and decision.by == IDENTITY)
        return [
            {"SourcePolicyId": name, "SourcePolicyType": "IAM Policy"}
            for name, document in self._documents
            if allowed([document], access) is wanted
        ]


def _word(decision: Decision) -> str:
    if decision.allowed:
        return "allowed"
    return "explicitDeny" if decision.explicit else "implicitDeny"


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise Refused(400, "InvalidInput", "Syntax errors in policy.") from None


def _context(operation: Operation) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, key in operation.parameters.items():
        entry = re.fullmatch(r"(ContextEntries\.member\.\d+)\.ContextKeyName", name)
        if entry:
            found[key.lower()] = tuple(operation.listed(re.escape(entry[1]) + r"\.ContextKeyValues"))
    return found


def _condition_keys(document: Mapping[str, Any]) -> Iterator[str]:
    statements = document["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        for keys in statement.get("Condition", {}).values():
            yield from keys


def _template(resources: list[str]) -> str:
    """The ARN template of the simulated kind of resource; `*` if there is none."""
    if not resources:
        return "*"
    service, kind = resources[0].split(":")[2], re.split("[:/]", resources[0].split(":", 5)[5])[0]
    name = TEMPLATES.get(service, {}).get(kind)
    place = "" if service == "iam" else "${Region}"
    return f"arn:${{Partition}}:{service}:{place}:${{Account}}:{kind}/${{{name}}}" if name else "*"


def _answer(operation: Operation, result: Mapping[str, Any]) -> Response:
    model = get_service_model(operation.service).operation_model(operation.name)
    answer = QuerySerializer(model).serialize(result)
    body = answer["body"]
    return Response(200, (("Content-Type", "text/xml"),), body if isinstance(body, bytes) else body.encode())
