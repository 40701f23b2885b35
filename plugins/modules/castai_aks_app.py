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
  - Creates an app registration or a managed identity for CAST AI, a custom role for this cluster only, and the
    assignments of both on the resource groups that the cluster uses. They are its own group, that of its nodes, those
    of the networks of all agent pools, and that of the kubelet identity.
  - Hands the identity over to CAST AI last, with a secret or without. A secret goes from Microsoft Entra ID to CAST AI
    within this task.
  - The tags of the identity say which cluster it belongs to. The notes of the app, or a tag of the managed identity,
    say what CAST AI has.
  - What the vendor's script or Terraform created for this cluster is taken over under its name. If it belongs to
    another cluster, the cluster gets its own. Secrets and federated credentials of others stay.
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
      - Whether an app registration, managed identity or role with a name that this module or another tool would use is
        taken over if nothing shows which cluster it belongs to. Those of another cluster are never taken over.
    type: bool
    default: false
  credential:
    description:
      - How CAST AI logs in as the app registration. With V(secret), it holds a secret of it.
      - With V(federated), there is no secret. CAST AI logs in with a token of its own account at Google. CAST AI may
        have to enable this for your organization first.
      - A managed identity has no secret, so this does not matter with O(identity=managed_identity).
    type: str
    choices: [secret, federated]
    default: secret
  existing_app_id:
    description:
      - Application (client) ID of an app registration of your own, for CAST AI to use. It is checked, but neither
        edited nor deleted, so its notes do not say what CAST AI has. It is handed over if CAST AI has no credentials
        for the cluster yet.
      - It gets the same role as an app that this module creates.
    type: str
  existing_app_secret:
    description:
      - Secret of the app in O(existing_app_id), which is needed with O(credential=secret).
    type: str
  existing_identity_id:
    description:
      - Resource ID of a managed identity of your own, for CAST AI to use with O(identity=managed_identity). It is
        treated like the app of O(existing_app_id), and must have the federated credential already.
    type: str
  force:
    description:
      - With O(state=absent), whether the identity is removed even if CAST AI has not disconnected the cluster. A
        cluster counts as disconnected if CAST AI has no record of it or no credentials for it, or if its status is
        C(deleted), C(archived) or C(failed).
    type: bool
    default: false
  http_proxy:
    description:
      - HTTP proxy for the nodes that CAST AI creates. V(from_cluster) is the one of the cluster's C(httpProxyConfig),
        if it has one. With V(none), CAST AI is told of none, and keeps one that it has.
      - A dictionary with the keys C(http), C(https) and C(no_proxy) sets another one. It is refused if the cluster has
        a proxy itself. A password in an address is kept out of all output.
    type: raw
    default: from_cluster
  identity:
    description:
      - What CAST AI gets. V(app) is an app registration with a service principal, which the Azure credentials must be
        allowed to create in Microsoft Entra ID.
      - V(managed_identity) is a user-assigned managed identity, which needs no permission in Microsoft Entra ID, and no
        secret.
    type: str
    choices: [app, managed_identity]
    default: app
  identity_location:
    description:
      - Region of a new managed identity. By default, it is that of the cluster. Some regions do not support federated
        credentials; the identity need not be where the cluster is.
    type: str
  managed_clusters_write:
    description:
      - Whether CAST AI's role contains C(Microsoft.ContainerService/managedClusters/write), as that of the vendor's
        script does. It can change anything about the cluster, and CAST AI's Terraform module does not use it.
    type: bool
    default: false
  owners:
    description:
      - Object IDs of further owners of a new app registration and its service principal, beside the identity that runs
        this.
    type: list
    elements: str
    default: []
  provider:
    description: Provider of the cluster.
    type: str
    choices: [aks]
    required: false
    default: aks
  register_providers:
    description:
      - Whether the resource provider C(Microsoft.ManagedIdentity) is registered in the subscription if it is not, with
        O(identity=managed_identity). If V(false) and it is not registered, the task fails and names it.
    type: bool
    default: true
  role_actions:
    description:
      - Your own list of actions for CAST AI's role, instead of the default one.
    type: list
    elements: str
  secret_days:
    description:
      - For how many days a new secret is valid. A run replaces it when less than 30 days, or less than a tenth of its
        life, are left.
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
      description: Scopes of deleted ones.
      type: list
      elements: str
  sample:
    added:
      - /subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/shop-prod
      - /subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/MC_shop-prod_shop_westeurope
    removed: []
castai_client_id:
  description:
    - Application (client) ID of CAST AI's identity. In check mode, that of a new one is C((known after apply)).
  returned: success
  type: str
castai_principal_id:
  description:
    - Object ID of its service principal. In check mode, that of a new one is C((known after apply)).
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
  description: Date on which the secret that CAST AI has expires. Run before it, so that the secret is replaced.
  returned: success, when CAST AI has a secret that this module created
  type: str
subscription_id:
  description: ID of the subscription of the cluster.
  returned: success
  type: str
tenant_id:
  description: ID of the tenant that the subscription is in, and CAST AI's identity.
  returned: success
  type: str
"""

from ansible_collections.castai.onboarding.plugins.module_utils._azure.aks_app import SUBJECT
from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_module


def main() -> None:
    run_module(SUBJECT)


if __name__ == "__main__":
    main()
