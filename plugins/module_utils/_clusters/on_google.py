# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What castai_preflight checks in Google Cloud before a cluster is onboarded. PRIVATE to the collection.

The service account, its role and bindings are checked with the code of castai_gke_sa, so the messages are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, cast

from .._engine import CallFailed, at_once, results
from .._gateways.castai import CastAi, Cluster
from .._gateways.google import Google
from .._gateways.google_container import GkeCluster
from .._gateways.google_session import Rejected
from .._google import gke_sa
from .._google.bindings import NONE, ON_ACCOUNTS
from .._google.names import CREDENTIALS_SERVICE, SERVICES, SHARED_ROLE, project_of
from .._google.observed import Current, Systems, observe
from .._google.options import CLUSTER, ROLE, Desired, desired, form_problems
from .._google.permissions import DNS, KEY, KEYLESS, ONBOARD, PREFLIGHT, REPAIR, SUBNETS, Grant, file_name, needed
from .._record import Recorded, refusals, when_onboarding
from .._variables import named
from .facts import CloudRights, ClusterFacts, Parameters

_NO_KEYS = ("iam.disableServiceAccountKeyCreation", "iam.managed.disableServiceAccountKeyCreation")
_NO_ACCOUNTS = ("iam.disableServiceAccountCreation", "iam.managed.disableServiceAccountCreation")
_MEMBERS = ("iam.allowedPolicyMemberDomains", "iam.managed.allowedPolicyMembers")
"""Organization policies that limit who may be a member in IAM policies."""
_OF_ACCOUNTS = ("iam.serviceAccounts.create", "iam.serviceAccounts.update")
"""Not needed for an existing account."""
_OF_NODES = (
    "compute.requireShieldedVm",
    "compute.vmExternalIpAccess",
    "gcp.resourceLocations",
    "gcp.restrictNonCmekServices",
)
"""Organization policies that may stop CAST AI from creating nodes."""
_RESTRICTED = "gcp.restrictServiceUsage"
_HOURS = "iam.serviceAccountKeyExpiryHours"
_OF_KEYS = ("iam.serviceAccountKeys.create", "iam.serviceAccountKeys.delete", "iam.serviceAccountKeys.list")
_OF_USERS = ("iam.serviceAccounts.getIamPolicy", "iam.serviceAccounts.setIamPolicy")
"""Only needed on CAST AI's service account. If that is an existing one, they are checked there."""
_NOTING = "iam.roles.update"
_IN_EXTRA_PROJECTS = (
    *("iam.roles.create", "iam.roles.get"),
    *("resourcemanager.projects.getIamPolicy", "resourcemanager.projects.setIamPolicy"),
)
"""What a run needs in each of extra_projects."""
_DISABLED = "DISABLED"
"""The stage of a disabled role, which grants nothing."""


def rights(
    google: Google,
    facts: ClusterFacts,
    options: Parameters,
    record: Cluster | None,
    email: str,
    castai: Callable[[], CastAi],
) -> CloudRights | None:
    """Everything Google Cloud knows that would stop the onboarding.

    None if CAST AI already has credentials: such a run may need few permissions.
    """
    if record and record.credentials_id:
        return None
    project, keyless = facts.own.project, options["identity"] == KEYLESS
    services = (*SERVICES, *((CREDENTIALS_SERVICE,) if keyless else ()))
    asked = _needed(facts, options)
    existing = str(options.get("existing_service_account") or "").lower()
    of_account = [one for one in asked if existing and one in _on_existing(options)]
    constraints = (*(_MEMBERS if keyless else (*_NO_KEYS, _HOURS)), *_NO_ACCOUNTS, *_OF_NODES, _RESTRICTED)
    with at_once() as ask:
        may = ask(google.test_permissions, project, asked)
        on_account = ask(_or_refusal, partial(_account_permissions, google, project, existing, of_account))
        on = ask(_or_refusal, partial(google.enabled_services, project, services))
        read = {one: ask(_or_refusal, partial(google.effective_org_policy, project, one)) for one in constraints}
        identity = ask(_identity, google, facts, options, record, castai)
        extra = {
            one: ask(_or_refusal, partial(google.test_permissions, one, _IN_EXTRA_PROJECTS))
            for one in options.get("extra_projects") or ()
        }
    held, enabled, policies = may.result(), on.result(), results(read)
    unneeded = {*held, *(_OF_ACCOUNTS if existing else ())}
    there = on_account.result()
    if not isinstance(there, Rejected):
        unneeded |= {*of_account}
    lacking = {permission: grant for permission, grant in asked.items() if permission not in unneeded}
    sentence = partial(_lacks, email, f"in project {project}")
    of_it = partial(_lacks, email, f"on service account {existing}")
    lacking_there = {} if isinstance(there, Rejected) else {one: asked[one] for one in of_account if one not in there}
    off = [] if isinstance(enabled, Rejected) else [one for one in services if one not in enabled]
    writing = [
        *sentence("onboarding needs", _of(lacking, ONBOARD, reads=False)),
        *of_it("onboarding needs", _of(lacking_there, ONBOARD, reads=False)),
    ]
    if off and not options["enable_services"]:
        writing.append(
            f"These services are not enabled in project {project}: {', '.join(off)}. Enable them, or set"
            f" {named('enable_services', ROLE)} to true."
        )
    forbidden = [one for one, policy in policies.items() if isinstance(policy, Mapping) and _enforced(policy)]
    writing += _forbidden(forbidden, bool(existing))
    writing += _restricted(policies[_RESTRICTED], services)
    for other, has in results(extra).items():
        if not isinstance(has, Rejected):
            writing += _lacks(email, f"in project {other}", "onboarding needs", set(_IN_EXTRA_PROJECTS) - has)
    unread = [f"Organization policy {one}" for one, policy in policies.items() if isinstance(policy, Rejected)]
    unread += [f"Which services of project {project} are enabled"] if isinstance(enabled, Rejected) else []
    unread += [f"The permissions in project {one}" for one, has in results(extra).items() if isinstance(has, Rejected)]
    of_identity = identity.result()
    warnings = [
        *sentence("repairs and explanations need", _of(lacking, REPAIR) + _of(lacking, PREFLIGHT)),
        *of_it("repairs need", _of(lacking_there, REPAIR)),
        *_limiting([one for one, policy in policies.items() if isinstance(policy, Mapping) and _limits(policy)]),
        *_ending(policies.get(_HOURS)),
        *of_identity.warnings,
    ]
    return CloudRights(
        (
            *sentence("even a plan needs", _of(lacking, ONBOARD, reads=True)),
            *of_it("even a plan needs", _of(lacking_there, ONBOARD, reads=True)),
            *of_identity.reading,
        ),
        tuple(writing),
        tuple(warnings),
        (*(f"{one} could not be read." for one in unread), *of_identity.not_checked),
    )


def _on_existing(options: Parameters) -> tuple[str, ...]:
    """Permissions that are needed on CAST AI's service account only."""
    if options["identity"] == KEYLESS and options.get("service_account_user") != ON_ACCOUNTS:
        return (*_OF_KEYS, *_OF_USERS)
    return _OF_KEYS


def _account_permissions(google: Google, project: str, email: str, permissions: Collection[str]) -> frozenset[str]:
    """The permissions that the caller has on an account, which may be in another project. Empty if no account is
    given."""
    if not email:
        return frozenset()
    return google.test_account_permissions(project_of(email) or project, email, permissions)


def _identity(
    google: Google, facts: ClusterFacts, options: Parameters, record: Cluster | None, castai: Callable[[], CastAi]
) -> CloudRights:
    """What castai_gke_sa would refuse or warn about. Not checked if cluster or options are refused anyway."""
    if facts.problems or any(form_problems(options)):
        return CloudRights()
    known = record if record and not record.gone else None
    place = {"cluster_name": facts.name, "location": facts.own.location, "project": facts.own.project}
    wanted = desired(when_onboarding(options, known, **place))
    try:
        current = observe(Systems(cast(CastAi, Recorded(known, castai)), google), wanted)
    except CallFailed as failure:
        said = f"Could not check CAST AI's service account, its keys and role, and the size of IAM policies: {failure}"
        return CloudRights(warnings=tuple(_key_warnings(facts.own, "")), not_checked=(said, *_key_grants(facts.own)))
    # If services are not enabled and must not be, another sentence says so.
    refused = refusals(partial(gke_sa.plan, current, replace(wanted, enable_services=True)))
    warnings = (
        *gke_sa.view(current, wanted, {}).get("warnings", ()),
        *_network_warnings(current, wanted, facts.own),
        *_key_warnings(facts.own, current.project.number),
    )
    not_checked = (*_hidden_role(current, wanted), *_key_grants(facts.own))
    return CloudRights(reading=(*_disabled(current, wanted), *refused), warnings=warnings, not_checked=not_checked)


def _disabled(current: Current, wanted: Desired) -> Iterable[str]:
    """A shared role that is disabled. The cluster's own role would be corrected, but a shared one is not changed."""
    role = current.home.roles.get(SHARED_ROLE)
    if wanted.shared and role and not role.deleted and role.stage == _DISABLED:
        project = current.project.project
        yield (
            f"Role {SHARED_ROLE}, which the clusters of project {project} share, is disabled, so it grants CAST AI"
            f" nothing. Set {named('role_scope', ROLE)} to cluster, or enable it: gcloud iam roles update {SHARED_ROLE}"
            f" --project {project} --stage GA"
        )


def _hidden_role(current: Current, wanted: Desired) -> Iterable[str]:
    """A warning for a role ID that the user chose, because no other ID can be tried instead."""
    (role_id, *others) = wanted.role_ids
    if not others and role_id not in current.home.roles:
        yield (
            f"Could not check whether the ID {role_id} is free for a role of project {current.project.project}: Google"
            f" does not show roles deleted more than 7 days ago, whose IDs stay taken for up to {gke_sa.BLOCKED_DAYS}"
            " days."
        )


def _network_warnings(current: Current, wanted: Desired, cluster: GkeCluster) -> Iterable[str]:
    host, project = cluster.network_project, current.project
    own = {cluster.project, project.project, project.number, *wanted.extra_projects}
    if host and host not in own and not wanted.network:
        yield (
            f"The network of GKE cluster {cluster.name} belongs to project {host} (Shared VPC), where CAST AI's service"
            " account gets no permissions, so CAST AI may not be able to create nodes. Set"
            f" {named('shared_vpc_role', ROLE)} to {SUBNETS}, or add {host} to {named('extra_projects', ROLE)}. If"
            f" {current.account.email} gets permissions there in another way, set {named('shared_vpc_role', ROLE)} to"
            f" {NONE}."
        )


def _disk_keys(cluster: GkeCluster) -> list[str]:
    return sorted({pool.disk_key for pool in cluster.node_pools if pool.disk_key})


def _key_warnings(cluster: GkeCluster, project_number: str) -> Iterable[str]:
    for key in _disk_keys(cluster):
        yield (
            f"Node disks of GKE cluster {cluster.name} are encrypted with {key}. Name the key in CAST AI's node"
            " configuration. The Compute Engine service agent of the project must be allowed to use it: gcloud kms keys"
            f" add-iam-policy-binding {key} --member"
            f" serviceAccount:service-{project_number or 'PROJECT_NUMBER'}@compute-system.iam.gserviceaccount.com"
            " --role roles/cloudkms.cryptoKeyEncrypterDecrypter"
        )


def _key_grants(cluster: GkeCluster) -> Iterable[str]:
    for key in _disk_keys(cluster):
        yield f"Whether the Compute Engine service agent may use {key} was not checked."


def _needed(facts: ClusterFacts, options: Parameters) -> dict[str, Grant]:
    ways = {options["identity"], options.get("service_account_user") or ""}
    if facts.api_server and facts.api_server.publicly_trusted:
        ways.add(DNS)
    found = {**needed(PREFLIGHT, ways), **needed(REPAIR, ways), **needed(ONBOARD, ways)}
    noted = options.get("existing_service_account") and options["identity"] == KEY and options["role_scope"] == CLUSTER
    if noted:
        # Our keys on an existing account are noted in the role.
        found[_NOTING] = replace(found[_NOTING], scenarios=(ONBOARD,))
    return found


def _of(lacking: Mapping[str, Grant], scenario: str, reads: bool | None = None) -> list[str]:
    return [
        permission
        for permission, grant in lacking.items()
        if scenario in grant.scenarios and reads in (None, grant.reads)
    ]


def _lacks(email: str, where: str, purpose: str, permissions: Collection[str]) -> Iterable[str]:
    if permissions:
        yield (
            f"{email} lacks permissions {where} that {purpose}: {', '.join(sorted(permissions))}. Grant"
            f" them, for example with the custom role in docs/examples/policies/{file_name('onboard')}."
        )


def _or_refusal(read: Any) -> Any:
    """The result of a read, or Google's refusal."""
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


def _listed(policy: Any, field: str) -> list[str]:
    """The allowed or denied values of a policy, without the prefix that stands for an exact match."""
    rules = _rules(policy) if isinstance(policy, Mapping) else []
    values = [rule["values"].get(field) for rule in rules if isinstance(rule.get("values"), Mapping)]
    return [str(one).removeprefix("is:") for some in values if isinstance(some, list) for one in some]


def _restricted(policy: Any, services: Collection[str]) -> Iterable[str]:
    allowed, denied = _listed(policy, "allowedValues"), _listed(policy, "deniedValues")
    groups = any(one.startswith("in:") for one in allowed)
    stopped = [one for one in services if one in denied or (allowed and not groups and one not in allowed)]
    if stopped:
        yield (
            f"An organization policy forbids these services: {', '.join(stopped)} (constraints/{_RESTRICTED}). Ask its"
            " administrators for an exception."
        )


def _ending(policy: Any) -> Iterable[str]:
    hours = _listed(policy, "allowedValues")
    if hours:
        yield (
            f"An organization policy makes keys of service accounts expire after {', '.join(hours)}"
            f" (constraints/{_HOURS}). Run this again before that, for example on a schedule: each run replaces a key"
            " that is about to expire."
        )


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
            f" {named('existing_service_account', ROLE)} to an existing one, or ask its administrators for an"
            " exception."
        )


def _limiting(constraints: Collection[str]) -> Iterable[str]:
    members = [one for one in constraints if one in _MEMBERS]
    if members:
        yield (
            f"An organization policy limits the members of IAM policies: constraints/{', constraints/'.join(members)}."
            " Ask its administrators to allow CAST AI's service account, which belongs to another organization."
        )
    nodes = [one for one in constraints if one in _OF_NODES]
    if nodes:
        yield (
            f"Organization policies may keep CAST AI's nodes from being created: constraints/"
            f"{', constraints/'.join(nodes)}. Compare them with CAST AI's node configuration."
        )
