#!/usr/bin/python
# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: castai_cluster
short_description: Register a Kubernetes cluster with CAST AI
version_added: 0.1.0
description:
  - Registers the cluster with CAST AI, or finds its registration.
  - Creates the cluster's own token at CAST AI and writes it to a Secret in the cluster, if the Secret contains no key
    that CAST AI accepts. The token goes from CAST AI to the Secret within this task and appears nowhere else. Your API
    key never enters the cluster.
  - Optionally waits until the agent in the cluster reports.
  - A kOps cluster is registered just as its agent would register it, under the UID of namespace C(kube-system), so that
    there is only one record. The name must match the kOps annotations, and at least one node must be an EC2 instance
    tagged with that name.
author: castai.onboarding authors (@castai)
extends_documentation_fragment:
  - castai.onboarding.attributes
  - castai.onboarding.cluster
  - castai.onboarding.castai
  - castai.onboarding.aws
  - castai.onboarding.google
  - castai.onboarding.azure
  - castai.onboarding.kubernetes
attributes:
  action_group:
    membership:
      - castai.onboarding.all
      - castai.onboarding.aws
      - castai.onboarding.azure
      - castai.onboarding.castai
      - castai.onboarding.cluster
      - castai.onboarding.google
      - castai.onboarding.kubernetes
options:
  cluster_id:
    description:
      - UUID of the cluster at CAST AI, to select a registration by its ID.
      - In check mode it may be V((known after apply\)), which an earlier task returns if it would register the cluster.
    type: str
  create_namespace:
    description:
      - Whether to create the namespace if it is missing. If V(false), the task fails if it needs a missing namespace.
    type: bool
    default: true
  credentials_secret:
    description: Name of the Secret that contains the cluster's token under the key C(API_KEY).
    type: str
    default: castai-credentials
  manage_token:
    description:
      - Whether to create the namespace and the Secret with the cluster's token, and to replace an invalid token.
    type: bool
    default: true
  namespace:
    description: Namespace of the Secret. It is created if it is missing. CAST AI's components expect V(castai-agent).
    type: str
    default: castai-agent
  organization_id:
    description:
      - UUID of the CAST AI organization that the cluster must belong to. It is sent with the registration, so that CAST
        AI rejects an API key of another organization. The task fails if the cluster is registered in another
        organization.
    type: str
  read_cluster:
    description:
      - Whether to read the cluster from its provider, to check that the registration belongs to it. Set it to V(false)
        in a task that only waits, if an earlier task has made this check. V(false) requires O(cluster_id) and
        O(manage_token=false).
      - If V(false), the result contains only what CAST AI has on record, and RV(agent_environment) is empty.
    type: bool
    default: true
  state_store:
    description:
      - State store of the kOps cluster, such as V(s3://shop-state), if the cluster's annotations do not name it.
      - Only for O(provider=kops).
    type: str
  wait_for:
    description:
      - What to wait for after the changes. V(agent_online) waits until the agent reports, V(ready) until CAST AI also
        reports the cluster as ready, V(onboarded) until it also has credentials for the cluster.
      - Check mode does not wait.
    type: str
    choices: [none, agent_online, ready, onboarded]
    default: none
  wait_timeout:
    description: Maximum number of seconds to wait. Defaults to 900 for O(wait_for=onboarded) and to 600 otherwise.
    type: int
seealso:
  - module: castai.onboarding.castai_cluster_info
  - module: castai.onboarding.castai_preflight
  - module: castai.onboarding.castai_release
"""

EXAMPLES = r"""
- name: Register an EKS cluster and put its token into the cluster
  castai.onboarding.castai_cluster:
    provider: eks
    cluster_name: shop-prod
    region: eu-central-1
  register: shop

- name: Register a cluster in another AWS account
  castai.onboarding.castai_cluster:
    provider: eks
    cluster_name: shop-prod
    region: us-east-1
    account_id: "444455556666"
    assume_role_arn: arn:aws:iam::444455556666:role/onboarding
    assume_role_external_id: onboarding-external-id

- name: Register a GKE cluster with the key of a service account
  castai.onboarding.castai_cluster:
    provider: gke
    cluster_name: shop-prod
    project: shop-prod-1234
    location: europe-west3
    service_account_file: ~/.keys/onboarding.json

- name: Register an AKS cluster with a service principal
  castai.onboarding.castai_cluster:
    provider: aks
    cluster_name: shop-prod
    subscription_id: 0b1f6471-1bf0-4dda-aec3-cb9272f09590
    resource_group: shop
    tenant: 72f988bf-86f1-41af-91ab-2d7cd011db47
    client_id: 4c1d5a0e-7d5c-4c0f-9a67-0b1f9b1d2a11
    secret: "{{ lookup('ansible.builtin.env', 'ONBOARDING_SECRET') }}"

- name: Register a kOps cluster
  castai.onboarding.castai_cluster:
    provider: kops
    cluster_name: shop.example.com
    region: eu-central-1
    kubeconfig: ~/.kube/config
    context: shop.example.com

- name: Wait until the agent reports
  castai.onboarding.castai_cluster:
    provider: eks
    cluster_name: shop-prod
    region: eu-central-1
    wait_for: agent_online
    wait_timeout: 300
"""

RETURN = r"""
account_id:
  description: AWS account that the cluster is in.
  returned: success, for a cluster on AWS
  type: str
actions:
  description: What was done, or would be done in check mode, in order, as one imperative sentence for each action.
  returned: success
  type: list
  elements: str
  sample:
    - register EKS cluster shop-prod of account 111122223333 in eu-central-1 with CAST AI
    - create namespace castai-agent
    - create the token of cluster (known after apply) and store it in Secret castai-agent/castai-credentials
agent_environment:
  description: Environment variables that the agent needs, as text, for its chart's C(additionalEnv).
  returned: success
  type: dict
  sample:
    STATIC_CLUSTER_ID: 5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e
    EKS_ACCOUNT_ID: "111122223333"
    EKS_REGION: eu-central-1
    EKS_CLUSTER_NAME: shop-prod
applied:
  description: What was done before the failure.
  returned: failure
  type: list
  elements: str
changes:
  description: Three lists of the objects that were C(created), C(changed) and C(removed), or would be in check mode.
  returned: success
  type: dict
  sample:
    created:
      - castai/cluster/shop-prod
      - kubernetes/namespace/castai-agent
      - kubernetes/secret/castai-agent/castai-credentials
    changed: []
    removed: []
cluster:
  description: CAST AI's record of the cluster. Null if it is not registered yet (check mode).
  returned: success
  type: dict
  contains:
    account_id:
      description: AWS account of the cluster. Empty for other clouds.
      type: str
    agent_status:
      description: V(waiting-connection), V(online), V(non-responding), V(disconnecting) or V(disconnected).
      type: str
    credentials_id:
      description: ID of the cloud credentials that CAST AI has. Empty for a cluster that is only connected.
      type: str
    id:
      description: UUID of the cluster.
      type: str
    location:
      description: Region or zone of a GKE cluster. Empty for other providers.
      type: str
    name:
      description: Name of the cluster.
      type: str
    node_resource_group:
      description: Resource group of the nodes of an AKS cluster. Empty for other providers.
      type: str
    organization_id:
      description: UUID of the organization.
      type: str
    project:
      description: Google Cloud project of the cluster. Empty for other clouds.
      type: str
    provider:
      description: Provider of the cluster.
      type: str
    reconcile_error:
      description: Why CAST AI cannot work on the cluster. Empty if it can.
      type: str
    region:
      description: Region of the cluster.
      type: str
    subscription_id:
      description: Azure subscription of the cluster. Empty for other clouds.
      type: str
    status:
      description: V(ready), V(connecting), V(warning), V(failed), V(deleting), V(hibernated) and others.
      type: str
cluster_id:
  description: UUID of the cluster, or V((known after apply\)) in check mode if the cluster is not registered yet.
  returned: success
  type: str
  sample: 5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e
console_url:
  description: Address of the cluster in the CAST AI console. Empty if it cannot be derived from O(castai_api_url).
  returned: success
  type: str
  sample: https://console.cast.ai/external-clusters/5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e/overview
location:
  description: Region or zone that the cluster is in.
  returned: success, for a cluster on Google Cloud
  type: str
  sample: europe-west3
node_resource_group:
  description: Resource group of the cluster's nodes.
  returned: success, for a cluster on Azure
  type: str
  sample: MC_shop_shop-prod_westeurope
progress:
  description: The states seen while waiting.
  returned: when it waited
  type: list
  elements: str
project:
  description: Google Cloud project that the cluster is in.
  returned: success, for a cluster on Google Cloud
  type: str
  sample: shop-prod
region:
  description: AWS region that the cluster is in.
  returned: success, for a cluster on AWS
  type: str
resource_group:
  description: Resource group of the cluster.
  returned: success, for a cluster on Azure
  type: str
  sample: shop
state_store:
  description: State store of the kOps cluster. Empty for an EKS cluster.
  returned: success, for a cluster on AWS
  type: str
  sample: s3://shop-state
subscription_id:
  description: Azure subscription that the cluster is in.
  returned: success, for a cluster on Azure
  type: str
  sample: 0b1f6471-1bf0-4dda-aec3-cb9272f09590
"""

from ansible_collections.castai.onboarding.plugins.module_utils._castai.cluster import SUBJECT
from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_module


def main() -> None:
    run_module(SUBJECT)


if __name__ == "__main__":
    main()
