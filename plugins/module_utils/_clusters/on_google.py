# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What preflight asks Google Cloud before a cluster there is onboarded. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import Any

from .._engine import at_once, results
from .._gateways.castai import Cluster
from .._gateways.google import Google
from .._gateways.google_session import Rejected
from .._google.names import CREDENTIALS_SERVICE, SERVICES
from .._google.options import ROLE
from .._google.permissions import DNS, KEYLESS, ONBOARD, PREFLIGHT, REPAIR, Grant, file_name, needed
from .._variables import named
from .facts import CloudRights, ClusterFacts, Parameters

_NO_KEYS = ("iam.disableServiceAccountKeyCreation", "iam.managed.disableServiceAccountKeyCreation")
_NO_ACCOUNTS = ("iam.disableServiceAccountCreation", "iam.managed.disableServiceAccountCreation")
_MEMBERS = ("iam.allowedPolicyMemberDomains", "iam.managed.allowedPolicyMembers")
"""Of the last two, the organization allows who is in its policy."""
_OF_ACCOUNTS = ("iam.serviceAccounts.create", "iam.serviceAccounts.update")
"""Not needed for an account that was made beforehand."""
_OF_NODES = (
    "compute.requireShieldedVm",
    "compute.vmExternalIpAccess",
    "gcp.resourceLocations",
    "gcp.restrictNonCmekServices",
)
"""Organization policies that may keep CAST AI's own nodes from being created."""


def rights(
    google: Google, facts: ClusterFacts, options: Parameters, record: Cluster | None, email: str
) -> CloudRights | None:
    """What stands in the way of onboarding, as far as Google tells; None for a cluster of which CAST AI has
    credentials: a run may need little there."""
    if record and record.credentials_id:
        return None
    project, keyless = facts.own.project, options["identity"] == KEYLESS
    services = (*SERVICES, *((CREDENTIALS_SERVICE,) if keyless else ()))
    asked = _needed(facts, options)
    constraints = (*(_MEMBERS if keyless else _NO_KEYS), *_NO_ACCOUNTS, *_OF_NODES)
    with at_once() as ask:
        may = ask(google.test_permissions, project, asked)
        on = ask(_or_refusal, partial(google.enabled_services, project, services))
        read = {one: ask(_or_refusal, partial(google.effective_org_policy, project, one)) for one in constraints}
    held, enabled, policies = may.result(), on.result(), results(read)
    existing = bool(options.get("existing_service_account"))
    unneeded = {*held, *(_OF_ACCOUNTS if existing else ())}
    lacking = {permission: grant for permission, grant in asked.items() if permission not in unneeded}
    sentence = partial(_lacks, email, project)
    off = [] if isinstance(enabled, Rejected) else [one for one in services if one not in enabled]
    writing = [*sentence("onboarding needs", _of(lacking, ONBOARD, reads=False))]
    if off and not options["enable_services"]:
        writing.append(
            f"These services are off in project {project}: {', '.join(off)}. Enable them, or set"
            f" {named('enable_services', ROLE)} to true."
        )
    forbidden = [one for one, policy in policies.items() if isinstance(policy, Mapping) and _enforced(policy)]
    writing += _forbidden(forbidden, existing)
    unread = [f"Organization policy {one}" for one, policy in policies.items() if isinstance(policy, Rejected)]
    unread += [f"Which services of project {project} are on"] if isinstance(enabled, Rejected) else []
    warnings = [
        *sentence("repairs and explanations need", _of(lacking, REPAIR) + _of(lacking, PREFLIGHT)),
        *_limiting([one for one, policy in policies.items() if isinstance(policy, Mapping) and _limits(policy)]),
    ]
    return CloudRights(
        tuple(sentence("a plan needs too", _of(lacking, ONBOARD, reads=True))),
        tuple(writing),
        tuple(warnings),
        tuple(f"{one} could not be read." for one in unread),
    )


def _needed(facts: ClusterFacts, options: Parameters) -> dict[str, Grant]:
    ways = {options["identity"], options.get("service_account_user") or ""}
    if facts.api_server and facts.api_server.publicly_trusted:
        ways.add(DNS)
    return {**needed(PREFLIGHT, ways), **needed(REPAIR, ways), **needed(ONBOARD, ways)}


def _of(lacking: Mapping[str, Grant], scenario: str, reads: bool | None = None) -> list[str]:
    return [
        permission
        for permission, grant in lacking.items()
        if scenario in grant.scenarios and reads in (None, grant.reads)
    ]


def _lacks(email: str, project: str, purpose: str, permissions: Collection[str]) -> Iterable[str]:
    if permissions:
        yield (
            f"{email} lacks permissions in project {project} that {purpose}: {', '.join(sorted(permissions))}. Grant"
            f" them, for example by the custom role of docs/examples/policies/{file_name('onboard')}."
        )


def _or_refusal(read: Any) -> Any:
    """What a read gives, or Google's refusal."""
    try:
        return read()
    except Rejected as refusal:
        return refusal


def _rules(policy: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    rules = policy.get("rules")
    return [one for one in rules if isinstance(one, Mapping)] if isinstance(rules, list) else []


def _enforced(policy: Mapping[str, Any]) -> bool:
    return any(rule.get("enforce") is True for rule in _rules(policy))


def _limits(policy: Mapping[str, Any]) -> bool:
    return any(rule.get("denyAll") is True or "values" in rule for rule in _rules(policy)) or _enforced(policy)


def _forbidden(constraints: Collection[str], existing: bool) -> Iterable[str]:
    keys = [one for one in constraints if one in _NO_KEYS]
    if keys:
        yield (
            f"An organization policy forbids keys of service accounts: constraints/{', constraints/'.join(keys)}. Set"
            f" {named('identity', ROLE)} to {KEYLESS}, or ask its administrators for an exception."
        )
    accounts = [one for one in constraints if one in _NO_ACCOUNTS]
    if accounts and not existing:
        yield (
            f"An organization policy forbids new service accounts: constraints/{', constraints/'.join(accounts)}. Set"
            f" {named('existing_service_account', ROLE)} to one, or ask its administrators for an exception."
        )


def _limiting(constraints: Collection[str]) -> Iterable[str]:
    members = [one for one in constraints if one in _MEMBERS]
    if members:
        yield (
            f"An organization policy limits who may be in IAM policies: constraints/{', constraints/'.join(members)}."
            " Ask its administrators to allow CAST AI's service account, which is of another organization."
        )
    nodes = [one for one in constraints if one in _OF_NODES]
    if nodes:
        yield (
            f"Organization policies may keep CAST AI's nodes from being created: constraints/"
            f"{', constraints/'.join(nodes)}. Compare them with CAST AI's node configuration."
        )
