# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Allow policies: versions, etags, members and limits, as IAM has them for projects and for service accounts.

Google's documents of Policy and GetPolicyOptions say the rules of versions and etags; below version 3 a conditional
binding shows as a role of another name ("Troubleshooting policies and access problems", withcond).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from . import conditions
from .catalog import PREDEFINED
from .errors import NOT_PERMITTED_CUSTOMER, GoogleError, conflict, constrained, invalid
from .store import DOMAIN, ORGANIZATION, Policy, Project, Store, new_etag, same_etag

PRINCIPALS, GROUPS, CONDITIONAL_TWINS = 1500, 250, 20
_MASKED = {"bindings", "etag", "version", "auditConfigs", "audit_configs"}
_MEMBER = re.compile(
    r"(allUsers|allAuthenticatedUsers|(user|group|serviceAccount):[^@\s]+@[^@\s]+|domain:[^@\s]+"
    r"|serviceAccount:[^@\s]+\.svc\.id\.goog\[[^/\]]+/[^/\]]+\]|principal(Set)?://\S+"
    r"|deleted:(user|group|serviceAccount):[^@\s]+@[^@\s]+\?uid=\d+)"
)
_OF_GOOGLE = re.compile(r"\d+@cloudservices|\d+-compute@developer|service-\d+@|[^@]+@(?!.*\.iam\.)[^@]*gserviceaccount")
_DELETED = re.compile(r"deleted:serviceAccount:(?P<email>[^?]+)\?uid=(?P<uid>\d+)")

Triple = tuple[str, str, str]


def read(store: Store, policy: Policy, version: int) -> dict[str, Any]:
    """The policy in the requested version. Raises GoogleError for a version that does not exist."""
    if version not in (0, 1, 3):
        raise invalid(f"Requested policy version {version} is not valid: it must be 0, 1 or 3.")
    shown = [_shown(store, binding) for binding in policy.bindings]
    conditional = any("condition" in binding for binding in shown)
    if version < 3:
        shown = [_without_condition(binding) for binding in shown]
    found: dict[str, Any] = {"version": 3 if conditional and version == 3 else 1, "etag": policy.etag}
    if shown:
        found["bindings"] = shown
    if policy.audit_configs:
        found["auditConfigs"] = policy.audit_configs
    return found


def _shown(store: Store, binding: Mapping[str, Any]) -> dict[str, Any]:
    return {**binding, "members": [_member_shown(store, member) for member in binding["members"]]}


def _member_shown(store: Store, member: str) -> str:
    email, _mark, unique_id = member.removeprefix("serviceAccount:").partition("?uid=")
    if not unique_id or not member.startswith("serviceAccount:"):
        return member
    alive = store.account(unique_id)
    return f"serviceAccount:{email}" if alive else f"deleted:serviceAccount:{email}?uid={unique_id}"


def _without_condition(binding: Mapping[str, Any]) -> dict[str, Any]:
    if "condition" not in binding:
        return dict(binding)
    digest = hashlib.sha256(json.dumps(binding["condition"], sort_keys=True).encode()).hexdigest()[:20]
    return {"role": f"{binding['role']}_withcond_{digest}", "members": binding["members"]}


def write(store: Store, policy: Policy, project: Project, sent: Mapping[str, Any], mask: str, operation: str) -> None:
    """Replace the policy with the one that was sent. Raises GoogleError if Google would refuse it.

    project: its organization policies apply.
    """
    fields = [one.strip() for one in (mask or "bindings,etag").split(",")]
    if unknown := set(fields) - _MASKED:
        raise invalid(f"Invalid update mask: {', '.join(sorted(unknown))}")
    etag, version = sent.get("etag", ""), sent.get("version", 0)
    if version not in (0, 1, 3):
        raise invalid(f"Policy version {version} is not valid: it must be 0, 1 or 3.")
    before = read(store, policy, 3)
    if etag and not same_etag(etag, policy.etag):
        raise conflict(etag, policy.etag)
    bindings: Sequence[Mapping[str, Any]] = sent.get("bindings", ())
    conditional = any(binding.get("condition") for binding in bindings)
    if version != 3 and (conditional or (etag and before["version"] == 3)):
        raise invalid("Specifying a version 3 policy is required when conditions are present, or the policy has some.")
    known = set(triples(before.get("bindings", ())))
    for binding in bindings:
        _check_binding(store, project, binding, known, operation)
    audits = sent.get("auditConfigs", []) if {"auditConfigs", "audit_configs"} & set(fields) else policy.audit_configs
    _check_size(bindings, audits)
    policy.earlier.append((store.clock(), policy.bindings))
    policy.bindings = [_stored(store, binding) for binding in bindings if binding.get("members")]
    policy.audit_configs = list(audits)
    policy.etag = new_etag()


def triples(bindings: Iterable[Mapping[str, Any]]) -> Iterator[Triple]:
    """The role, condition and member of each grant."""
    for binding in bindings:
        condition = json.dumps(binding.get("condition") or {}, sort_keys=True)
        for member in binding.get("members", ()):
            yield binding["role"], condition, member


def _stored(store: Store, binding: Mapping[str, Any]) -> dict[str, Any]:
    members = dict.fromkeys(_member_stored(store, member) for member in binding["members"])
    condition = {"condition": dict(binding["condition"])} if binding.get("condition") else {}
    return {"role": binding["role"], "members": list(members), **condition}


def _member_stored(store: Store, member: str) -> str:
    found = _DELETED.fullmatch(member)
    if found:
        return f"serviceAccount:{found['email']}?uid={found['uid']}"
    account = store.account(member.removeprefix("serviceAccount:")) if member.startswith("serviceAccount:") else None
    return f"serviceAccount:{account.email}?uid={account.unique_id}" if account else member


def _check_binding(
    store: Store, project: Project, binding: Mapping[str, Any], known: set[Triple], operation: str
) -> None:
    """known: the members already in the policy. They may stay, even if they could not be added now."""
    role, condition = binding.get("role", ""), binding.get("condition")
    if not role:
        raise invalid("Role is required in each binding.")
    if condition:
        _check_condition(role, condition, binding.get("members", ()))
    added = [
        member
        for found, said, member in triples([{"condition": None, **binding}])
        if (found, said, member) not in known
    ]
    if added:
        _check_role(store, role, operation)
    for member in binding.get("members", ()):
        _check_member(store, member, operation)
    for member in added:
        _check_domain(store, project, member)


def _check_condition(role: str, condition: Mapping[str, Any], members: Sequence[str]) -> None:
    if not condition.get("title"):
        raise invalid("A condition needs a title.", ("policy.bindings.condition.title", "must not be empty"))
    try:
        operators = conditions.check(condition.get("expression", ""))
    except conditions.BadCondition as error:
        said = f"Condition expression compilation failed. Error: {error}"
        raise invalid(said, ("policy.bindings.condition.expression", said)) from None
    if operators > conditions.LOGICAL:
        raise invalid(
            f"The condition has {operators} logical operators, more than the maximum of {conditions.LOGICAL}."
        )
    if role in ("roles/owner", "roles/editor", "roles/viewer"):
        raise invalid(f"Conditions can't be set on primitive roles: {role}")
    if set(members) & {"allUsers", "allAuthenticatedUsers"}:
        raise invalid("Conditions can't be set on public principals.")


def _check_role(store: Store, role: str, operation: str) -> None:
    if "_withcond_" in role or (role.startswith("roles/") and role not in PREDEFINED):
        raise invalid(f"Role {role} is not supported for this resource.")
    if role.startswith("roles/"):
        return
    found = store.role(role)
    if found is None or found.deleted_at is not None or store.hides("roles", role, operation):
        raise invalid(f"Role ({role}) does not exist in the resource's hierarchy.")


def _check_member(store: Store, member: str, operation: str) -> None:
    if not _MEMBER.fullmatch(member):
        raise invalid(f"Invalid member: {member}", ("policy.bindings.members", member))
    kind, _colon, email = member.partition(":")
    if kind != "serviceAccount" or "[" in email or _OF_GOOGLE.match(email):
        return
    account = store.account(email)
    if account is None or store.hides("accounts", account.unique_id, operation):
        raise invalid(f"Service account {email} does not exist.")


def _check_domain(store: Store, project: Project, member: str) -> None:
    """Check that the organization allows the member: its own members, and those that its policy names."""
    kind, _colon, email = member.partition(":")
    account = store.account(email) if kind == "serviceAccount" else None
    home = store.projects.get(account.project) if account else None
    ours = email.endswith(f"@{DOMAIN}") if kind != "serviceAccount" else not home or home.organization == ORGANIZATION
    for constraint in ("constraints/iam.allowedPolicyMemberDomains", "constraints/iam.managed.allowedPolicyMembers"):
        limit = project.constraints.get(constraint)
        if limit and not ours and not member.startswith("deleted:") and member not in limit.get("allowed", ()):
            raise constrained(constraint, f"projects/{project.id}", NOT_PERMITTED_CUSTOMER)


def count(bindings: Iterable[Mapping[str, Any]], audits: Iterable[Mapping[str, Any]]) -> int:
    """The number of principals in a policy, counted with repetitions and with members that audit logs exempt."""
    exempted = [log.get("exemptedMembers", ()) for one in audits for log in one.get("auditLogConfigs", ())]
    return sum(len(binding.get("members", ())) for binding in bindings) + sum(map(len, exempted))


def _check_size(bindings: Sequence[Mapping[str, Any]], audits: Sequence[Mapping[str, Any]]) -> None:
    principals = count(bindings, audits)
    groups = sum(member.startswith("group:") for binding in bindings for member in binding.get("members", ()))
    for number, limit, what in ((principals, PRINCIPALS, "members"), (groups, GROUPS, "groups")):
        if number > limit:
            said = f"The number of {what} in the policy ({number:,}) is larger than the maximum allowed size {limit:,}."
            raise GoogleError("INVALID_ARGUMENT", said)
    twins = Counter((role, member) for role, condition, member in triples(bindings) if condition != "{}")
    if twins and max(twins.values()) > CONDITIONAL_TWINS:
        said = f"A principal has more than {CONDITIONAL_TWINS} conditional role bindings for the same role."
        raise GoogleError("INVALID_ARGUMENT", said)
