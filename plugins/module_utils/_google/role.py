# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What CAST AI's custom role for a GKE cluster may do. Pure. PRIVATE to the collection.

Source: castai/policies/gke/iam-policy.json of CAST AI's Terraform provider, and the add-ons of its data source.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

_DEFAULT: Mapping[str, tuple[str, ...]] = {
    "compute.addresses": ("use",),
    "compute.disks": ("create", "setLabels", "use"),
    "compute.images": ("get", "useReadOnly"),
    "compute.instanceGroupManagers": ("get", "update"),
    "compute.instanceGroups": ("get",),
    "compute.instanceTemplates": ("create", "delete", "get", "list"),
    "compute.instances": (
        "create",
        "delete",
        "detachDisk",
        "get",
        "list",
        "setLabels",
        "setMetadata",
        "setServiceAccount",
        "setTags",
        "start",
        "stop",
    ),
    "compute.networks": ("use", "useExternalIp"),
    "compute.regionOperations": ("get",),
    "compute.subnetworks": ("get", "use", "useExternalIp"),
    "compute.zoneOperations": ("get",),
    "compute.zones": ("get", "list"),
    "container.certificateSigningRequests": ("approve",),
    "container.clusters": ("get", "update"),
    "container.operations": ("get",),
    "resourcemanager.projects": ("getIamPolicy",),
    "serviceusage.services": ("list",),
}

DEFAULT = frozenset(f"{resource}.{verb}" for resource, verbs in _DEFAULT.items() for verb in verbs)

ADD_ONS: Mapping[str, frozenset[str]] = {
    "target_backend_pools": frozenset(
        {
            "compute.instances.use",
            "compute.targetPools.addInstance",
            "compute.targetPools.get",
            "compute.targetPools.removeInstance",
        }
    ),
    "unmanaged_instance_groups": frozenset({"compute.instanceGroups.update", "compute.instances.use"}),
}
"""For load balancers that do not reach nodes in GKE's usual way."""


def wanted(own: Collection[str], add_ons: Collection[str]) -> frozenset[str]:
    """own: the list that the user sets instead of the default, empty for the default."""
    return frozenset(own or DEFAULT).union(*(ADD_ONS[name] for name in add_ons))
