#!/usr/bin/python
# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: castai_aks_app
short_description: Give CAST AI an identity in Azure for one AKS cluster
version_added: 0.1.0
description:
  - Creates an app registration or a managed identity for CAST AI and a custom role for this cluster only, and assigns
    the role on the resource groups that the cluster uses. These are the groups of the cluster itself, its nodes, the
    networks of its agent pools, and the kubelet identity.
  - Hands the identity over to CAST AI last, with a secret or without. A secret goes from Microsoft Entra ID to CAST AI
    within this task.
  - The tags of the identity record which cluster it belongs to. The notes of the app, or a tag of the managed identity,
    record which credentials CAST AI has.
  - An identity and role that CAST AI's script or Terraform created for this cluster are taken over and keep their
    names. If they belong to another cluster, they are left alone and this cluster gets its own. Other secrets and
    federated credentials stay.
  - Removal with O(state=absent) leaves resource providers registered. A deleted app registration can be restored for
    30 days.
author: castai.onboarding authors (@castai)
extends_documentation_fragment:
  - castai.onboarding.attributes
  - castai.onboarding.cluster
  - castai.onboarding.castai
  - castai.onboarding.azure
  - castai.onboarding.identity
attributes:
  action_group:
    membership:
      - castai.onboarding.all
      - castai.onboarding.azure
      - castai.onboarding.castai
      - castai.onboarding.cluster
options:
  additional_resource_groups:
    description:
      - Further resource groups in which CAST AI needs its role, by name or, in another subscription, by ID.
    type: list
    elements: str
    default: []
  adopt:
    description:
      - Whether to take over an app registration, managed identity or role with a name that this module or another tool
        would use, even if nothing shows which cluster it belongs to. Objects of another cluster are never taken over.
    type: bool
    default: false
  credential:
    description:
      - How CAST AI logs in as the app registration. With V(secret), CAST AI gets a secret of the app.
      - With V(federated), there is no secret. CAST AI logs in with a token of its own Google account. CAST AI may have
        to enable this for your organization first.
      - This has no effect with O(identity=managed_identity), because a managed identity has no secrets.
    type: str
    choices: [secret, federated]
    default: secret
  existing_app_id:
    description:
      - Application (client) ID of your own app registration for CAST AI. It is checked, but neither edited nor deleted.
        The description of its role assignment on the cluster's resource group records which credentials CAST AI has. If
        another tool created that assignment, the module does not edit it, and only hands the app over if CAST AI has no
        credentials for the cluster yet.
      - It gets the same role as an app that this module creates.
    type: str
  existing_app_secret:
    description:
      - Secret of the app in O(existing_app_id). It is required with O(credential=secret). If you change it, the new one
        is handed over.
    type: str
  existing_identity_id:
    description:
      - Resource ID of your own managed identity for CAST AI, with O(identity=managed_identity). It is treated like the
        app in O(existing_app_id), and must already have the federated credential.
    type: str
  force:
    description:
      - With O(state=absent), whether to remove the identity even if CAST AI has not disconnected the cluster. A
        cluster counts as disconnected if CAST AI has no record of it or no credentials for it, or if its status is
        C(deleted), C(archived) or C(failed).
    type: bool
    default: false
  http_proxy:
    description:
      - HTTP proxy for the nodes that CAST AI creates. With V(from_cluster), it is the proxy in the cluster's
        C(httpProxyConfig), if any. With V(none), no proxy is sent to CAST AI, which keeps the one it has, if any.
      - A dictionary with the keys C(http), C(https) and C(no_proxy) sets a proxy for a cluster that has none. It is
        refused if the cluster has a proxy. A password in an address is kept out of all output.
    type: raw
    default: from_cluster
  identity:
    description:
      - Whether CAST AI gets an app registration or a managed identity. V(app) is an app registration with a service
        principal, which your Azure credentials must be allowed to create in Microsoft Entra ID.
      - V(managed_identity) is a user-assigned managed identity, which needs no permission in Microsoft Entra ID and no
        secret.
    type: str
    choices: [app, managed_identity]
    default: app
  identity_location:
    description:
      - Region of a new managed identity. Defaults to the cluster's region. Set another one if that does not support
        federated credentials.
    type: str
  managed_clusters_write:
    description:
      - Whether CAST AI's role contains C(Microsoft.ContainerService/managedClusters/write), as the role in CAST AI's
        script does. This action allows any change to the cluster, and CAST AI's Terraform module does not grant it.
    type: bool
    default: false
  owners:
    description:
      - Object IDs of further owners of a new app registration and its service principal, in addition to the identity
        that runs the task. They must be users or service principals.
    type: list
    elements: str
    default: []
  provider:
    description: Kubernetes platform of the cluster.
    type: str
    choices: [aks]
    required: false
    default: aks
  register_providers:
    description:
      - With O(identity=managed_identity), whether to register the resource provider C(Microsoft.ManagedIdentity) in the
        subscription if needed. If V(false) and it is not registered, the task fails and names it.
    type: bool
    default: true
  role_actions:
    description:
      - Your own list of actions for CAST AI's role, instead of the default one.
    type: list
    elements: str
  secret_days:
    description:
      - Number of days that a new secret is valid, at most 36500. A run replaces it during its last 30 days, or during
        the last tenth of its lifetime if that is shorter.
    type: int
    default: 365
seealso:
  - module: castai.onboarding.castai_cluster
  - module: castai.onboarding.castai_preflight
"""

EXAMPLES = r"""
- name: Register the cluster and store its token
  castai.onboarding.castai_cluster:
    provider: aks
    cluster_name: shop
    subscription_id: 0b1f6471-1bf0-4dda-aec3-cb9272f09590
    resource_group: shop-prod
  register: shop

- name: Give CAST AI an app registration for the cluster
  castai.onboarding.castai_aks_app:
    cluster_id: "{{ shop.cluster_id }}"
    cluster_name: shop
    subscription_id: 0b1f6471-1bf0-4dda-aec3-cb9272f09590
    resource_group: shop-prod

- name: Give CAST AI a managed identity, without a secret and without permissions in Microsoft Entra ID
  castai.onboarding.castai_aks_app:
    cluster_id: "{{ shop.cluster_id }}"
    cluster_name: shop
    subscription_id: 0b1f6471-1bf0-4dda-aec3-cb9272f09590
    resource_group: shop-prod
    identity: managed_identity

- name: Prepare an app registration without a secret, and hand over later
  castai.onboarding.castai_aks_app:
    cluster_id: "{{ shop.cluster_id }}"
    cluster_name: shop
    subscription_id: 0b1f6471-1bf0-4dda-aec3-cb9272f09590
    resource_group: shop-prod
    credential: federated
    hand_over: false

- name: Remove the app registration
  castai.onboarding.castai_aks_app:
    cluster_id: "{{ shop.cluster_id }}"
    cluster_name: shop
    subscription_id: 0b1f6471-1bf0-4dda-aec3-cb9272f09590
    resource_group: shop-prod
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in order, as one imperative sentence for each action.
  returned: success
  type: list
  elements: str
adopted:
  description: Objects that existed before, each with the tool that created it, judging by its name.
  returned: success, when O(state=present)
  type: dict
applied:
  description: What was done before the failure.
  returned: failure
  type: list
  elements: str
assignments:
  description: Resource groups on which the role was assigned, or from which assignments were removed.
  returned: success
  type: dict
  contains:
    added:
      description: Scopes of new assignments.
      type: list
      elements: str
    removed:
      description: Scopes of deleted assignments.
      type: list
      elements: str
  sample:
    added:
      - /subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/shop-prod
      - /subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/MC_shop-prod_shop_westeurope
    removed: []
castai_client_id:
  description:
    - Application (client) ID of CAST AI's identity. In check mode, it is V((known after apply\)) for a new identity.
  returned: success
  type: str
castai_principal_id:
  description:
    - Object ID of its service principal. In check mode, it is V((known after apply\)) for a new identity.
  returned: success
  type: str
changes:
  description: Three lists of the objects that were C(created), C(changed) and C(removed), or would be in check mode.
  returned: success
  type: dict
  sample:
    created:
      - azure/role/CastAKSRole-5b0a1ff3
      - azure/app/CAST.AI shop-5b0a1ff3
    changed: []
    removed: []
identity_name:
  description: Display name of the app registration, or name of the managed identity, even if it does not exist.
  returned: success
  type: str
kept:
  description: Objects that were not removed, each with the reason.
  returned: success, when O(state=absent)
  type: list
  elements: str
role:
  description: Name of the custom role, even if it does not exist.
  returned: success, when O(state=present)
  type: str
secret_expires:
  description: Date on which CAST AI's secret expires. Run the task before this date to replace the secret.
  returned: success, when CAST AI has a secret that this module created
  type: str
subscription_id:
  description: ID of the subscription of the cluster.
  returned: success
  type: str
tenant_id:
  description: ID of the tenant of the subscription and of CAST AI's identity.
  returned: success
  type: str
"""

from ansible_collections.castai.onboarding.plugins.module_utils._azure.aks_app import SUBJECT
from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_module


def main() -> None:
    run_module(SUBJECT)


if __name__ == "__main__":
    main()
