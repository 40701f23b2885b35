# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What other ways of onboarding an AKS cluster leave behind at Azure: names, rights and credentials by vintage.

script, script_federated: CAST AI's script, with a secret and with its own federated credential; terraform,
terraform_identity: module castai/terraform-castai-aks, with an application and with a managed identity. Written here
from what those produce, as published copies and repositories show them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

VINTAGES = ("script", "script_federated", "terraform", "terraform_identity")
ISSUER, AUDIENCE = "https://accounts.google.com", "api://AzureADTokenExchange"
FOREVER = 173 * 365.25  # days: the script's secrets end in 2199


def _each(prefix: str, *names: str) -> tuple[str, ...]:
    return tuple(f"Microsoft.{prefix}/{name}" for name in names)


TERRAFORM = (
    *_each("Compute", "*/read", "virtualMachines/*", "virtualMachineScaleSets/*"),
    *_each("Compute/disks", "write", "delete", "beginGetAccess/action"),
    *_each("Compute/galleries", "write", "delete", "images/write", "images/delete"),
    *_each("Compute", "galleries/images/versions/write", "galleries/images/versions/delete"),
    *_each("Compute/snapshots", "write", "delete"),
    *_each("Network", "*/read", "networkInterfaces/write", "networkInterfaces/delete", "networkInterfaces/join/action"),
    *_each("Network", "networkSecurityGroups/join/action", "virtualNetworks/subnets/join/action"),
    *_each("Network/applicationGateways", "backendhealth/action", "backendAddressPools/join/action"),
    *_each("Network", "applicationSecurityGroups/joinIpConfiguration/action"),
    *_each("Network/loadBalancers/backendAddressPools", "write", "join/action"),
    *_each("ContainerService", "*/read", "managedClusters/agentPools/*"),
    *_each("ContainerService/managedClusters", "start/action", "stop/action", "runCommand/action"),
    *_each("Resources", "*/read", "tags/write"),
    *_each("Authorization", "locks/read", "roleAssignments/read", "roleDefinitions/read"),
    *_each("ManagedIdentity", "userAssignedIdentities/assign/action"),
)
SCRIPT = (*TERRAFORM, "Microsoft.ContainerService/managedClusters/write")


def leave(
    do: Callable[..., Any], cluster: Mapping[str, Any], vintage: str, cluster_id: str, subject: str
) -> dict[str, str]:
    """Create it: client_id, principal_id, role, tenant, secret and federation_id, empty if there is none.

    do: the verbs of control.py; subject: CAST AI's account, which the federated credentials trust.
    """
    if vintage not in VINTAGES:
        raise ValueError(f"unknown vintage {vintage}: {', '.join(VINTAGES)}")
    name, group = cluster["name"], cluster["id"].split("/providers/")[0]
    nodes = f"{group.rpartition('/')[0]}/{cluster['properties']['nodeResourceGroup']}"
    subnet = cluster["properties"]["agentPoolProfiles"][0].get("vnetSubnetID")
    script = vintage.startswith("script")
    network = [subnet.split("/providers/")[0]] if subnet else []
    scopes = list(dict.fromkeys([*(network if script else ()), group, nodes]))
    tenant = cluster["identity"]["tenantId"]
    made = {"secret": "", "federation_id": "", "key_id": "", "tenant": tenant}
    short = group.rpartition("/")[2]
    if vintage == "terraform_identity":
        made |= do("add_identity", name=f"{name}-castai-identity", group=short, subscription=group.split("/")[2])
        made["federation_id"] = made["principal_id"]
        of = made["id"]
        do(
            "add_federated",
            of=of,
            name=f"castai-{name}-{short}"[:64],
            issuer=ISSUER,
            subject=subject,
            audience=AUDIENCE,
        )
    elif script:
        made |= do("add_app", name=f"CAST.AI {name}-{cluster_id[:8]}")
    else:
        made |= do("add_app", name=f"CAST AI {name}-{short}"[:64])
    if vintage == "script_federated":
        called = f"AzureAccessForCASTAI-{cluster_id}"
        trust = {"of": made["client_id"], "name": called, "issuer": ISSUER, "subject": subject, "audience": AUDIENCE}
        made["federation_id"] = do("add_federated", **trust)
    elif vintage != "terraform_identity":
        password = {"name": f"{name}-castai", "days": FOREVER} if script else {"days": 730}
        made |= do("add_secret", client_id=made["client_id"], **password)
    if script:
        said = f"CAST.AI role used to manage {name} AKS cluster"
        made["role"] = do(
            "add_role", name=f"CastAKSRole-{cluster_id[:8]}", actions=SCRIPT, scopes=scopes, description=said
        )
    else:
        said = "Role used by CAST AI"
        made["role"] = do("add_role", name=f"CastAKSRole-{name}-tf", actions=TERRAFORM, scopes=scopes, description=said)
    for number, scope in enumerate(scopes):
        grant = {"principal": made["principal_id"], "role": made["role"], "scope": scope}
        if script:
            grant["name"] = f"{cluster_id[:32]}000{number}"
        else:
            grant["description"] = f"castai role assignment for resource group {scope}"
        do("grant", **grant)
    return made
