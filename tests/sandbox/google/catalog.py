# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The permissions and the predefined roles that contain them.

Only what onboarding uses: the permissions that its calls need, that CAST AI is given, and that Kubernetes asks IAM
about on GKE. The predefined roles divide them as Google's do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_VERBS = ("get", "list", "create", "update", "delete")
_KINDS = (
    *("apiServices", "bindings", "certificateSigningRequests", "clusterRoleBindings", "clusterRoles", "configMaps"),
    *("controllerRevisions", "cronJobs", "csiDrivers", "csiNodes", "customResourceDefinitions", "daemonSets"),
    *("deployments", "endpoints", "endpointSlices", "events", "horizontalPodAutoscalers", "ingresses", "jobs"),
    *("leases", "limitRanges", "mutatingWebhookConfigurations", "namespaces", "networkPolicies", "nodes"),
    *("persistentVolumeClaims", "persistentVolumes", "podDisruptionBudgets", "podTemplates", "pods"),
    *("priorityClasses", "replicaSets", "replicationControllers", "resourceQuotas", "roleBindings", "roles"),
    *("runtimeClasses", "secrets", "serviceAccounts", "services", "statefulSets", "storageClasses"),
    *("thirdPartyObjects", "validatingWebhookConfigurations", "volumeAttachments"),
)
_OWNERS_OF_RBAC = ("clusterRoles", "roles", "clusterRoleBindings", "roleBindings")


def _each(prefix: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{prefix}.{name}" for name in names)


KUBERNETES = frozenset(
    (
        *(f"container.{kind}.{verb}" for kind in _KINDS for verb in _VERBS),
        *(f"container.{kind}.{verb}" for kind in ("clusterRoles", "roles") for verb in ("bind", "escalate")),
        *_each("container.pods", "attach", "evict", "exec", "getLogs", "getStatus", "portForward", "updateStatus"),
        *(f"container.{kind}.{verb}Scale" for kind in ("deployments", "statefulSets") for verb in ("get", "update")),
        *(f"container.{kind}.{verb}Status" for kind in ("deployments", "jobs", "nodes") for verb in ("get", "update")),
        *_each("container", "serviceAccounts.createToken", "certificateSigningRequests.approve"),
        *_each("container", "selfSubjectAccessReviews.create", "subjectAccessReviews.create", "tokenReviews.create"),
    )
)
CLUSTERS = frozenset(
    _each("container.clusters", *_VERBS, "connect", "getCredentials") + _each("container.operations", "get", "list")
)
ACCOUNTS = frozenset(
    _each("iam.serviceAccounts", *_VERBS, "disable", "enable", "undelete", "getIamPolicy", "setIamPolicy")
)
KEYS = frozenset(_each("iam.serviceAccountKeys", "get", "list", "create", "delete", "disable", "enable"))
ROLES = frozenset(_each("iam.roles", *_VERBS, "undelete"))
TOKENS = frozenset(
    _each(
        "iam.serviceAccounts",
        *("getAccessToken", "getOpenIdToken", "implicitDelegation", "signBlob", "signJwt"),
    )
)
ACT_AS = "iam.serviceAccounts.actAs"
PROJECTS = frozenset(_each("resourcemanager.projects", "get", "getIamPolicy", "setIamPolicy", "list", "update"))
SERVICES = frozenset(
    (
        *_each("serviceusage.services", "get", "list", "enable", "disable", "use"),
        *_each("serviceusage.operations", "get", "list"),
        "servicemanagement.services.bind",
    )
)
COMPUTE = frozenset(
    (
        *_each("compute.instances", "get", "list", "create", "start", "stop", "delete", "use", "detachDisk", "update"),
        *_each("compute.instances", "setLabels", "setServiceAccount", "setMetadata", "setTags", "attachDisk"),
        *_each("compute.instanceGroupManagers", "get", "list", "update"),
        *_each("compute.instanceGroups", "get", "list", "update"),
        *_each("compute.networks", "get", "use", "useExternalIp"),
        *_each("compute.subnetworks", "get", "list", "use", "useExternalIp", "getIamPolicy", "setIamPolicy"),
        *_each("compute.addresses", "get", "use", "useInternal"),
        *_each("compute.disks", "get", "list", "use", "create", "setLabels", "delete"),
        *_each("compute.images", "get", "list", "useReadOnly"),
        *_each("compute.instanceTemplates", "get", "list", "create", "delete"),
        *_each("compute.targetPools", "get", "addInstance", "removeInstance"),
        *_each("compute", "regionOperations.get", "zoneOperations.get", "zones.get", "zones.list"),
        *_each("compute", "regions.get", "regions.list", "machineTypes.get", "machineTypes.list"),
    )
)
ORGANIZATION = frozenset(("orgpolicy.policy.get", "orgpolicy.policy.set"))
TITLES: Mapping[str, str] = {
    "cloudresourcemanager.googleapis.com": "Cloud Resource Manager API",
    "compute.googleapis.com": "Compute Engine API",
    "container.googleapis.com": "Kubernetes Engine API",
    "iam.googleapis.com": "Identity and Access Management (IAM) API",
    "iamcredentials.googleapis.com": "IAM Service Account Credentials API",
    "orgpolicy.googleapis.com": "Organization Policy API",
    "serviceusage.googleapis.com": "Service Usage API",
    "sts.googleapis.com": "Security Token Service API",
}

# Google's permissions that custom roles cannot contain.
UNSUPPORTED = frozenset(("resourcemanager.projects.list", "container.selfSubjectAccessReviews.create"))
PERMISSIONS: frozenset[str] = frozenset().union(
    *(KUBERNETES, CLUSTERS, ACCOUNTS, KEYS, ROLES, TOKENS, {ACT_AS}, PROJECTS, SERVICES, COMPUTE, ORGANIZATION)
)


def _reads(permissions: Iterable[str]) -> frozenset[str]:
    return frozenset(one for one in permissions if one.rpartition(".")[2] in ("get", "list", "getIamPolicy"))


_SECRETS = frozenset(one for one in KUBERNETES if one.startswith("container.secrets."))
_WORKLOADS = frozenset(
    one for one in KUBERNETES if one.split(".")[1] not in _OWNERS_OF_RBAC or one.rpartition(".")[2] in ("get", "list")
)
_ADMISSION = frozenset(one for one in KUBERNETES if "WebhookConfigurations." in one)
_OWNER = PERMISSIONS - TOKENS - {"orgpolicy.policy.set"}
_GRANTING = frozenset(
    one for one in PERMISSIONS if one.endswith(".setIamPolicy") or one.startswith(("iam.roles.", "orgpolicy."))
)
PREDEFINED: Mapping[str, frozenset[str]] = {
    "roles/owner": _OWNER,
    "roles/editor": _OWNER
    - {one for one in _GRANTING if not one.endswith((".get", ".list"))}
    - {one for one in KUBERNETES if one.split(".")[1] in _OWNERS_OF_RBAC and one not in _reads(KUBERNETES)},
    "roles/viewer": _reads(_OWNER) - _SECRETS - {"container.clusters.getCredentials"},
    "roles/compute.networkUser": frozenset(
        one for one in COMPUTE if one.startswith(("compute.networks.", "compute.subnetworks.", "compute.addresses."))
    )
    - {"compute.subnetworks.setIamPolicy"},
    "roles/container.admin": KUBERNETES | CLUSTERS | {"resourcemanager.projects.get"},
    "roles/container.clusterAdmin": CLUSTERS | {"resourcemanager.projects.get"},
    "roles/container.clusterViewer": _reads(CLUSTERS) | {"container.clusters.connect", "resourcemanager.projects.get"},
    "roles/container.developer": (_WORKLOADS - _ADMISSION)
    | _reads(CLUSTERS)
    | {"container.clusters.connect", "resourcemanager.projects.get"},
    "roles/container.viewer": (_reads(KUBERNETES) - _SECRETS)
    | _reads(CLUSTERS)
    | {"container.clusters.connect", "resourcemanager.projects.get"},
    "roles/iam.roleAdmin": ROLES | {"resourcemanager.projects.get", "resourcemanager.projects.getIamPolicy"},
    "roles/iam.serviceAccountAdmin": ACCOUNTS | {"resourcemanager.projects.get"},
    "roles/iam.serviceAccountKeyAdmin": KEYS
    | {"iam.serviceAccounts.get", "iam.serviceAccounts.list", "resourcemanager.projects.get"},
    "roles/iam.serviceAccountTokenCreator": TOKENS | {"iam.serviceAccounts.get", "iam.serviceAccounts.list"},
    "roles/iam.serviceAccountUser": frozenset((ACT_AS, "iam.serviceAccounts.get", "iam.serviceAccounts.list")),
    "roles/iam.workloadIdentityUser": frozenset(
        ("iam.serviceAccounts.get", "iam.serviceAccounts.getAccessToken", "iam.serviceAccounts.list")
    ),
    "roles/orgpolicy.policyViewer": frozenset(("orgpolicy.policy.get",)),
    "roles/resourcemanager.projectIamAdmin": PROJECTS - {"resourcemanager.projects.list"},
    "roles/serviceusage.serviceUsageAdmin": SERVICES,
    "roles/serviceusage.serviceUsageConsumer": SERVICES - {"serviceusage.services.enable"},
}


def kubernetes_permission(group: str, resource: str, subresource: str, verb: str) -> str:
    """The permission that IAM is asked about for a request to a cluster; empty if there is none.

    IAM has get, list, create, update and delete: watch counts as list, patch as update, deletecollection as delete.
    """
    asked = {"watch": "list", "patch": "update", "deletecollection": "delete"}.get(verb, verb)
    kind = next((one for one in _KINDS if one.lower() == resource), "")
    if not kind and "." in group:
        kind = "thirdPartyObjects"
    if subresource:
        asked = _SUBRESOURCES.get(subresource, f"{asked}{subresource.capitalize()}")
    permission = f"container.{kind}.{asked}"
    return permission if permission in KUBERNETES else ""


_SUBRESOURCES = {
    "log": "getLogs",
    "exec": "exec",
    "attach": "attach",
    "eviction": "evict",
    "portforward": "portForward",
    "token": "createToken",
    "approval": "approve",
}
