# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What other ways of onboarding a GKE cluster leave behind at Google: names, permissions and grants by vintage.

script: CAST AI's script, whose role all clusters of a project share; terraform, terraform_scoped: module
castai/terraform-castai-gke-iam without and with node accounts; impersonate: castai/terraform-gke-iam-impersonate;
pulumi: castai/pulumi-castai. Written here from what those produce, as published copies and repositories show them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from ..wire import Cluster

VINTAGES = ("script", "terraform", "terraform_scoped", "impersonate", "pulumi")
USER, CREATOR = "roles/iam.serviceAccountUser", "roles/iam.serviceAccountTokenCreator"
ROLE_TEXT = "Role to manage GKE cluster via CAST AI"


def _each(prefix: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{prefix}.{name}" for name in names)


SCRIPT = (
    *_each("container", "clusters.get", "clusters.update", "certificateSigningRequests.approve"),
    *_each("compute.instances", "get", "list", "create", "start", "stop", "delete"),
    *_each("compute.instances", "setLabels", "setServiceAccount", "setMetadata", "setTags"),
    *_each("compute", "instanceGroupManagers.get", "instanceGroupManagers.update", "instanceGroups.get"),
    *_each("compute", "networks.use", "networks.useExternalIp", "addresses.use", "images.useReadOnly"),
    *_each("compute.subnetworks", "get", "use", "useExternalIp"),
    *_each("compute.disks", "use", "create", "setLabels"),
    *_each("compute.instanceTemplates", "get", "list", "create", "delete"),
    *_each("compute.zones", "list", "get"),
    "serviceusage.services.list",
)
TERRAFORM = (
    *SCRIPT,
    *_each("compute", "images.get", "regionOperations.get", "zoneOperations.get", "instances.use"),
    *_each("compute.targetPools", "get", "addInstance", "removeInstance"),
    "resourcemanager.projects.getIamPolicy",
)


def account_id(cluster: str, vintage: str) -> str:
    """Raises ValueError for a vintage that is not in VINTAGES."""
    if vintage not in VINTAGES:
        raise ValueError(f"unknown vintage {vintage}: {', '.join(VINTAGES)}")
    if vintage == "pulumi":
        return f"castai-gke-{cluster}"[:30].rstrip("-")
    return f"castai-gke-{'' if vintage == 'script' else 'tf-'}{_digest(cluster)}"


def _digest(cluster: str) -> str:
    return hashlib.sha1(cluster.encode()).hexdigest()[:8]


def leave(do: Callable[..., Any], cluster: Cluster, vintage: str, node_account: str, own: str = "") -> dict[str, str]:
    """Create it, or repeat it: {service_account, role, key}, the key's file empty if there is none.

    do: the verbs of control.py; node_account: unique id of the nodes' account; own: CAST AI's account, which
    impersonates.
    """
    project = cluster.account
    email, _unique_id = do("own_account", project=project, account_id=account_id(cluster.name, vintage))
    member = f"serviceAccount:{email}"
    if vintage == "pulumi":
        name = re.sub(r"[^a-zA-Z0-9_.]", "_", cluster.name)
        roles = [
            do("add_role", project=project, role_id=f"castai_gke_{name}_{part}", permissions=permissions)
            for part, permissions in (
                ("cluster", [one for one in SCRIPT if one.startswith("container.")]),
                ("compute", [one for one in SCRIPT if not one.startswith("container.")]),
            )
        ]
    elif vintage == "script":
        said = {"title": ROLE_TEXT, "description": ROLE_TEXT, "stage": "ALPHA"}
        roles = [do("add_role", project=project, role_id="castai.gkeAccess", permissions=SCRIPT, **said)]
        do("grant", project=project, role="roles/container.developer", member=member)
    else:
        role_id = f"castai.gkeAccess.{_digest(cluster.name)}.tf"
        said = {"title": ROLE_TEXT, "description": ROLE_TEXT}
        roles = [do("add_role", project=project, role_id=role_id, permissions=TERRAFORM, **said)]
    for role in roles:
        do("grant", project=project, role=role, member=member)
    do("grant", project=project, role=USER, member=member, condition=_scope(vintage, node_account))
    if vintage != "impersonate":
        return {"service_account": email, "role": roles[0], "key": do("add_key", email=email)}
    for role, condition in _OWN.items():
        expression = condition["expression"].format(own)
        grant = {"role": role, "member": f"serviceAccount:{own}", "condition": {**condition, "expression": expression}}
        do("grant", project=email, **grant)
    return {"service_account": email, "role": roles[0], "key": ""}


def _scope(vintage: str, node_account: str) -> Mapping[str, str] | None:
    if vintage != "terraform_scoped":
        return None
    expression = f'resource.name.startsWith("projects/-/serviceAccounts/{node_account}")'
    return {"title": "iam_condition", "description": "IAM condition with limited scope", "expression": expression}


_OWN: Mapping[str, Mapping[str, str]] = {
    CREATOR: {"title": "AlwaysTrueCondition", "expression": "true"},
    USER: {"title": "SpecificServiceAccountCondition", "expression": 'request.auth.claims.email == "{}"'},
}
