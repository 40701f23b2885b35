# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the published policies and their table from their only source: python -m tests.support.policies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.castai.onboarding.plugins.module_utils._aws.permissions import (
    ASK,
    CHANGE,
    CREATE,
    GRANTS,
    KOPS,
    PHASES,
    PLAN,
    READ,
    REMOVE,
    ROLE,
    USER,
    Grant,
    Scope,
    document,
    file_name,
)
from ansible_collections.castai.onboarding.plugins.module_utils._azure import permissions as azure
from ansible_collections.castai.onboarding.plugins.module_utils._castai import rights
from ansible_collections.castai.onboarding.plugins.module_utils._google import permissions as google
from ansible_collections.castai.onboarding.plugins.module_utils._google.bindings import ON_ACCOUNTS
from tests.tree import ROOT

Policy = dict[str, Any]

WIDTH = 120
FOLDER = Path("docs/examples/policies")
PAGE = Path("docs/docsite/rst/permissions.rst")
IN_CLUSTER = {
    PLAN: "Plan connecting and onboarding, inside GKE clusters",
    "connect": "Connect to CAST AI, inside GKE clusters",
    "onboard": "Connect and onboard to CAST AI, inside GKE clusters",
}
"""Phases that also work in the cluster, and the titles of their custom roles."""
SPELLED_BY_IAM = {
    kind.lower(): kind
    for kind in (
        *("clusterRoleBindings", "clusterRoles", "configMaps", "customResourceDefinitions", "daemonSets"),
        *("deployments", "events", "jobs", "limitRanges", "mutatingWebhookConfigurations", "namespaces", "nodes"),
        *("podDisruptionBudgets", "pods", "resourceQuotas", "roleBindings", "roles", "secrets", "serviceAccounts"),
        *("services", "validatingWebhookConfigurations"),
    )
}
"""Resources of Kubernetes as IAM spells them. It has one name for all custom resources."""
VERBS_OF_IAM = {"watch": "list", "patch": "update"}
"""Kubernetes verbs for which IAM has no name of its own."""
CLUSTER_ROLE = Path("docs/examples/plan-cluster-role.yml")
PLANNER = "castai-onboarding-plan"
LICENSE = """\
# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
---
# Enough to connect, onboard and repair kube-router in check mode. Helm stores its releases in Secrets. To allow reading
# them only in namespaces castai-agent and kube-system, bind the role there with RoleBindings, and use a
# ClusterRoleBinding only for the cluster-wide resources (namespaces, nodes, clusterroles, clusterrolebindings,
# customresourcedefinitions, custommetricsexporterconfigs, mutatingwebhookconfigurations,
# validatingwebhookconfigurations).
"""
BEGIN, END = (f".. {word} of what tests/support/policies.py writes" for word in ("Begin", "End"))
BEGIN_GOOGLE, END_GOOGLE = (
    f".. {word} of what tests/support/policies.py writes of Google Cloud" for word in ("Begin", "End")
)
BEGIN_AZURE, END_AZURE = (f".. {word} of what tests/support/policies.py writes of Azure" for word in ("Begin", "End"))
KINDS = (
    *((PLAN, ROLE), ("connect", ROLE), ("onboard", ROLE), ("onboard", USER), ("remove", ROLE), ("remove", USER)),
    *((phase, KOPS) for phase in PHASES),
)

PURPOSES = {
    READ: "read",
    CREATE: "create missing objects",
    CHANGE: "update existing objects",
    REMOVE: "remove what onboarding created",
    ASK: "check permissions and quotas first",
}


class Indenting(yaml.SafeDumper):
    """Indents lists below their key, as people write them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def place(identity: str) -> Scope:
    """The contents of the published policies."""
    return Scope("aws", "111122223333", "eu-central-1", "shop.example.com" if identity == KOPS else "shop-prod")


def published() -> dict[Path, str]:
    """Every generated file with its text."""
    files = {FOLDER / file_name(*kind): json.dumps(document(*kind, place(kind[1])), indent=2) + "\n" for kind in KINDS}
    files.update({FOLDER / google.file_name(phase): google_role(phase) for phase in google.PHASES})
    files.update({FOLDER / in_cluster_name(phase): in_cluster_role(phase) for phase in IN_CLUSTER})
    files.update({FOLDER / azure.file_name(*kind): azure_role(*kind) for kind in azure.KINDS})
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    page = _between(page, BEGIN, table(), END)
    page = _between(page, BEGIN_GOOGLE, google_table(), END_GOOGLE)
    page = _between(page, BEGIN_AZURE, azure_table(), END_AZURE)
    files[CLUSTER_ROLE] = LICENSE + yaml.dump(cluster_role(), Dumper=Indenting, sort_keys=False)
    return {**files, PAGE: page}


def _between(page: str, begin: str, lines: Iterator[str], end: str) -> str:
    before, _begin, rest = page.partition(f"{begin}\n")
    return before + "\n".join([begin, *lines, end]) + "\n" + rest.partition(f"{end}\n")[2]


def google_role(phase: str) -> str:
    """A custom role for gcloud iam roles create --file, with the reason for each permission next to it."""
    role = google.document(phase)
    permissions = role.pop("includedPermissions")
    grants = {grant.permission: grant for grant in google.granted(phase)}
    return _role_file(role, {one: _needed_by(grants[one]) for one in permissions})


def _role_file(head: dict[str, Any], permissions: dict[str, str]) -> str:
    """permissions: the reason for each, next to it or, if it is too long, above it."""
    begin = LICENSE.split("---", maxsplit=1)[0] + "---\n" + yaml.dump(head, Dumper=Indenting, sort_keys=False)
    lines = (
        f"  - {one}  # {why}" if len(one) + len(why) < WIDTH else f"  # {why}\n  - {one}"
        for one, why in permissions.items()
    )
    return "\n".join([f"{begin}includedPermissions:", *lines, ""])


def in_cluster_name(phase: str) -> str:
    return f"gke-{phase}-in-cluster.yml"


def in_cluster_role(phase: str) -> str:
    """A custom role for identities that IAM, not RBAC, allows to work in GKE clusters."""
    head = {"title": IN_CLUSTER[phase], "description": "For castai.onboarding", "stage": "GA"}
    return _role_file(head, in_cluster(phase))


Row = tuple[str, str, tuple[str, ...]]
SOURCES: tuple[tuple[tuple[Row, ...], tuple[str, ...], str], ...] = (
    (rights.CREATE_NAMESPACE, ("connect",), "if the namespace is absent"),
    ((*rights.CONNECT, *rights.CONNECT_SYSTEM), ("connect",), ""),
    (rights.ONBOARD, ("onboard",), ""),
    *((rows, ("onboard",), f"with {release}") for release, rows in rights.OF_RELEASE.items()),
    *((rows, ("onboard",), f"with {release} and Helm 4") for release, rows in rights.HOOKS.items()),
    (rights.OF_NODES, ("preflight",), "shows where pods could run"),
    (rights.OF_LIMITS, ("preflight",), "shows which pods a LimitRange rejects"),
)
"""What preflight asks the cluster about, the scenarios that need it, and when."""


def in_cluster(phase: str) -> dict[str, str]:
    """IAM's permissions for a phase, and what fails or is not checked without each."""
    found: dict[str, dict[str, list[str]]] = {}
    scenarios_of = {"connect": ("connect", "preflight")}.get(phase, ("connect", "onboard", "preflight"))
    for rows, scenarios, when in SOURCES:
        for group, resource, verb in ((group, resource, verb) for group, resource, verbs in rows for verb in verbs):
            for_a_run = verb not in rights.READING or rows in rights.HOOKS.values()
            for scenario in scenarios if scenarios[0] in scenarios_of and not (phase == PLAN and for_a_run) else ():
                found.setdefault(iam_permission(group, resource, verb), {}).setdefault(scenario, []).append(when)
    return {permission: _told(found[permission]) for permission in sorted(found)}


def iam_permission(group: str, resource: str, verb: str) -> str:
    """The IAM permission that GKE asks for if RBAC does not allow a request."""
    kind = SPELLED_BY_IAM.get(resource) or ("thirdPartyObjects" if "." in group else "")
    assert kind, resource
    return f"container.{kind}.{VERBS_OF_IAM.get(verb, verb)}"


def _told(needs: dict[str, list[str]]) -> str:
    always = [scenario for scenario, conditions in needs.items() if "" in conditions]
    if always:
        return ", ".join(always)
    conditions = list(dict.fromkeys(one for some in needs.values() for one in some))
    joint = ": " if "preflight" in needs else "; only "
    return f"{', '.join(needs)}{joint}{' or '.join(conditions).replace(' or with ', ' or ')}"


def _needed_by(grant: google.Grant) -> str:
    only = f"; only with {' or '.join(SPELLED[way] for way in grant.only)}" if grant.only else ""
    why = f": {grant.why}" if grant.why else ""
    return f"{', '.join(grant.scenarios)}{why}{only}"


SPELLED = {
    google.KEY: "a key",
    google.KEYLESS: "impersonation",
    ON_ACCOUNTS: "on_accounts",
    google.SUBNETS: "subnets of a Shared VPC",
    google.DNS: "the DNS endpoint",
}


def google_table() -> Iterator[str]:
    """Every permission, by what fails without it."""
    yield from ("", ".. list-table::", "   :header-rows: 1", "", *_row("permission", "needed to", "only with"))
    for grant in (*google.GRANTS, *google.OF_SUBNETS):
        why = f" ({grant.why})" if grant.why else ""
        only = " or ".join(SPELLED[way] for way in grant.only)
        yield from _row(f"``{grant.permission}``", f"{', '.join(grant.scenarios)}{why}", only)
    yield ""


AZURE_SCOPE = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590"
"""The contents of the published roles."""

SPELLED_OF_AZURE = {
    azure.APP: "an app registration",
    azure.MANAGED: "a managed identity",
    azure.ADMIN: "``castai_admin``",
}


def azure_role(phase: str, way: str) -> str:
    """A custom role for az role definition create --role-definition, which accepts no comments."""
    return json.dumps(azure.document(phase, way, [AZURE_SCOPE]), indent=2) + "\n"


def azure_table() -> Iterator[str]:
    """Every action and application permission, by what fails without it."""
    yield from ("", ".. list-table::", "   :header-rows: 1", "", *_row("permission", "needed to", "only with"))
    for grant in (*azure.GRANTS, *azure.GRAPH):
        why = f" ({grant.why})" if grant.why else ""
        only = " or ".join(SPELLED_OF_AZURE[way] for way in grant.only)
        yield from _row(f"``{grant.permission}``", f"{', '.join(grant.scenarios)}{why}", only)
    yield ""


def cluster_role() -> dict[str, Any]:
    """A ClusterRole for plans: the read permissions of a run."""
    verbs: dict[tuple[str, str], dict[str, None]] = {}
    for group, resource, allowed in rights.planning():
        verbs.setdefault((group, resource), {}).update(dict.fromkeys(allowed))
    by_rule: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), allowed in verbs.items():
        by_rule.setdefault((group, tuple(allowed)), []).append(resource)
    rules = [
        {"apiGroups": [group], "resources": resources, "verbs": list(allowed)}
        for (group, allowed), resources in by_rule.items()
    ]
    metadata = {"name": PLANNER}
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules}


def for_cluster(phase: str, identity: str, cluster: str) -> Policy:
    """A published policy for one cluster, with its name filled in as a user would do it."""
    text = (ROOT / FOLDER / file_name(phase, identity)).read_text(encoding="utf-8")
    found: Policy = json.loads(text.replace(place(identity).cluster, cluster))
    return found


def actions(policy: Policy) -> set[str]:
    return {action for statement in policy["Statement"] for action in _listed(statement["Action"])}


def only(policy: Policy, wanted: set[str]) -> Policy:
    """The policy with these actions alone."""
    left = [
        {**statement, "Action": [action for action in _listed(statement["Action"]) if action in wanted]}
        for statement in policy["Statement"]
    ]
    return {**policy, "Statement": [statement for statement in left if statement["Action"]]}


def without(policy: Policy, *taken: str) -> Policy:
    return only(policy, actions(policy) - set(taken))


def _listed(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def table() -> Iterator[str]:
    """Every grant, by what it is for."""
    yield from ("", ".. list-table::", "   :header-rows: 1", "", *_row("actions", "on", "identity", "to"))
    for grant in GRANTS:
        for purpose, actions in grant.actions.items():
            yield from _row(
                ", ".join(f"``{action}``" for action in sorted(actions)),
                grant.on + _only(grant),
                " and ".join(grant.identities),
                PURPOSES[purpose],
            )
    yield ""


def _only(grant: Grant) -> str:
    keys = [f"``{key}``" for keys in grant.condition.values() for key in keys]
    return f", by {' and '.join(keys)}" if keys else ""


def _row(first: str, *others: str) -> list[str]:
    return [f"   * - {first}", *(f"     - {cell}".rstrip() for cell in others)]


if __name__ == "__main__":
    for path, text in published().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text, encoding="utf-8")
