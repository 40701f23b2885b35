#!/usr/bin/python
# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: castai_preflight
short_description: Check everything that connecting or onboarding a cluster needs
version_added: 0.1.0
description:
  - Reports all problems at once, each with its fix, before anything is changed. This module only reads.
  - Checks whether the CAST AI API key works and belongs to the right organization, whether the cloud credentials lead
    to the cluster, whether the Kubernetes options point to the same cluster, whether its API server answers, is new
    enough and grants the necessary permissions, whether Helm is installed and new enough, whether each chart can be
    downloaded, whether objects that the install would create already exist, in another Helm release or outside Helm,
    and whether all names are short enough.
  - Helm and the charts are only checked if a release is not deployed or has a different version. A run that needs Helm
    for changed values or deleted objects may still find a problem with them.
  - For releases that are not installed yet, checks whether the namespace's PodSecurity level, a quota, a limit range or
    a lack of nodes is certain to keep their pods from starting. Warns if the cluster has a single node, if a Secret of
    the charts' C(imagePullSecrets) is missing and, with O(onboard), if there is no metrics-server.
  - In check mode, missing write permissions are only warnings, because a plan does not need them.
  - With O(onboard), also checks whether the cluster is connected and its agent online, whether the cluster's token is
    where the components look for it, whether CAST AI can manage the cluster's nodes, and which permissions the AWS
    credentials lack, according to a simulation of their policies. RV(not_checked) lists checks that were not possible,
    for example because the simulation is not allowed.
  - For a GKE cluster that CAST AI has no credentials for, O(onboard) checks the permissions of the Google credentials,
    the services of the project and the organization policies, and reports everything that
    M(castai.onboarding.castai_gke_sa) would refuse, such as an account without room for a key or an IAM policy without
    room for bindings.
  - For an AKS cluster that CAST AI has no credentials for, O(onboard) checks the permissions of the Azure credentials,
    locks, deny assignments and the tenant's policy for secrets, and reports everything that
    M(castai.onboarding.castai_aks_app) would refuse.
author: castai.onboarding authors (@castai)
extends_documentation_fragment:
  - castai.onboarding.attributes.info
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
    description: UUID that the cluster must have at CAST AI.
    type: str
  create_namespace:
    description:
      - Whether to create the namespace if it is missing. If V(false), the task fails if it needs a missing namespace.
    type: bool
    default: true
  credentials_secret:
    description: Name of the Secret that contains, or will contain, the cluster's token under the key C(API_KEY).
    type: str
    default: castai-credentials
  helm_path:
    description: Path of the Helm program. By default, C(helm) is looked up on the E(PATH).
    type: path
  namespace:
    description: Namespace of CAST AI's components.
    type: str
    default: castai-agent
  onboard:
    description:
      - The options that M(castai.onboarding.castai_iam_eks), M(castai.onboarding.castai_iam_kops),
        M(castai.onboarding.castai_gke_sa) or M(castai.onboarding.castai_aks_app) will get, if they matter for the
        checks. On kOps the identity is always a user.
      - Without it, only the requirements for connecting are checked.
    type: dict
    suboptions:
      connecting:
        description:
          - Whether the same run connects the cluster first. If so, the cluster does not have to be connected yet in
            check mode.
        type: bool
        default: false
      additional_resource_groups:
        description: Further resource groups in which CAST AI needs its role.
        type: list
        elements: str
        default: []
      adopt:
        description: Whether to take over objects if nothing shows which cluster they belong to.
        type: bool
        default: false
      credential:
        description: On AKS, whether CAST AI gets a secret of its app registration, or logs in without one.
        type: str
        choices: [secret, federated]
        default: secret
      enable_services:
        description: On GKE, whether to enable the Google Cloud services that CAST AI needs.
        type: bool
        default: true
      existing_app_id:
        description: Application (client) ID of your own app registration for CAST AI.
        type: str
      existing_app_secret:
        description: Secret of the app in O(onboard.existing_app_id).
        type: str
      existing_identity_id:
        description: Resource ID of your own managed identity for CAST AI.
        type: str
      existing_service_account:
        description: E-mail address of your own service account for CAST AI.
        type: str
      extra_projects:
        description: Further projects in which CAST AI needs its role.
        type: list
        elements: str
        default: []
      http_proxy:
        description: On AKS, the HTTP proxy for the nodes that CAST AI creates.
        type: raw
        default: from_cluster
      identity:
        description:
          - On EKS, whether CAST AI gets a role that it assumes (the default) or a user with an access key.
          - On GKE, whether it gets a key of its service account (the default) or impersonates the account.
          - On AKS, whether it gets an app registration (the default) or a managed identity.
        type: str
        choices: [role, user, key, impersonation, app, managed_identity]
      identity_location:
        description: Region of a new managed identity for CAST AI.
        type: str
      instance_profile_arn:
        description: ARN of your own instance profile for the nodes.
        type: str
      load_balancers:
        description: Kinds of load balancers whose members CAST AI manages.
        type: list
        elements: str
        choices: [target_backend_pools, unmanaged_instance_groups]
        default: []
      managed_clusters_write:
        description: On AKS, whether CAST AI's role may change the cluster itself.
        type: bool
        default: false
      managed_policy:
        description: Your own policy document, instead of the default one of the managed policy.
        type: dict
      node_policies:
        description: ARNs of additional policies for the node role.
        type: list
        elements: str
        default: []
      node_role_arn:
        description: ARN of your own role for the nodes.
        type: str
      owners:
        description: Object IDs of further owners of a new app registration for CAST AI.
        type: list
        elements: str
        default: []
      path:
        description: IAM path of the created objects.
        type: str
        default: /
      permissions:
        description: Your own list of permissions for CAST AI's role in Google Cloud.
        type: list
        elements: str
      permissions_boundary:
        description: ARN of the permissions boundary for the created roles or user.
        type: str
      policy_scope:
        description: Whether the cluster gets its own managed policy or uses the one that the account shares.
        type: str
        choices: [cluster, account]
        default: cluster
      register_providers:
        description: On AKS, whether to register the resource provider of managed identities if needed.
        type: bool
        default: true
      restricted_policy:
        description: Your own policy document, instead of the default one of the restricted policy.
        type: dict
      role_actions:
        description: Your own list of actions for CAST AI's role in Azure.
        type: list
        elements: str
      role_arn:
        description: ARN of your own role for CAST AI.
        type: str
      role_id:
        description: ID of CAST AI's custom role in Google Cloud.
        type: str
      role_scope:
        description: Whether the cluster gets its own custom role or uses the one that the project shares.
        type: str
        choices: [cluster, project]
        default: cluster
      secret_days:
        description: On AKS, for how many days a new secret is valid.
        type: int
        default: 365
      security_group_id:
        description: ID of your own security group for the nodes.
        type: str
      service_account_user:
        description: Which service accounts CAST AI may use for its nodes.
        type: str
        choices: [node_accounts, on_accounts, project, none]
      shared_vpc_role:
        description: Whether CAST AI gets a role on the subnets of a Shared VPC.
        type: str
        choices: [subnets, none]
      spot_lambda_role:
        description:
          Whether to use the role C(CastLambdaRoleForSpot). This is the default on kOps. On EKS it needs a user.
        type: bool
      tags:
        description: Tags for the created objects.
        type: dict
        default: {}
      user_access:
        description: What the user may do in the cluster, on kOps or with identity V(user).
        type: str
        choices: [cluster_admin, none]
        default: cluster_admin
      vpc_account_id:
        description: AWS account that owns the cluster's VPC.
        type: str
  organization_id:
    description:
      - UUID of the CAST AI organization that the API key must belong to. It is checked against the clusters that the
        key can see.
    type: str
  releases:
    description: Helm releases that the run will install or upgrade.
    type: list
    elements: dict
    default: []
    suboptions:
      adopt:
        description: Whether the release takes over objects that do not belong to any Helm release.
        type: bool
        default: false
      adopt_managed:
        description:
          - Whether the release takes over objects that Argo CD, Flux, CAST AI's operator or CAST AI's umbrella chart
            manages.
        type: bool
        default: false
      chart_ref:
        description: Name, path or address of the chart.
        type: str
        required: true
      chart_repo_url:
        description: Address of the chart's repository.
        type: str
      chart_version:
        description: Version of the chart.
        type: str
      name:
        description: Name of the release.
        type: str
        required: true
      policy:
        description: Whether to check the chart of an existing release. With V(install_only), it is not checked.
        type: str
        choices: [install_only, enforce]
        default: enforce
      values:
        description:
          - Values for the chart. Helm renders the chart with them if a PodSecurity level, a quota or the nodes might
            keep its pods from starting.
        type: dict
        default: {}
  state_store:
    description: State store of the kOps cluster, if the cluster's annotations do not name it.
    type: str
  wait_for_workloads:
    description:
      - Whether the task fails if something is certain to keep the pods of the releases from starting. If V(false), this
        is only a warning.
    type: bool
    default: true
seealso:
  - module: castai.onboarding.castai_cluster
  - module: castai.onboarding.castai_iam_eks
  - module: castai.onboarding.castai_release
"""

EXAMPLES = r"""
- name: Check everything that connecting this cluster needs
  castai.onboarding.castai_preflight:
    provider: eks
    cluster_name: shop-prod
    region: eu-central-1
    account_id: "111122223333"
    releases:
      - name: castai-agent
        chart_ref: castai-agent
        chart_repo_url: https://castai.github.io/helm-charts
        chart_version: 0.161.1

- name: Check everything that onboarding it with a user needs
  castai.onboarding.castai_preflight:
    provider: eks
    cluster_name: shop-prod
    region: eu-central-1
    onboard:
      identity: user
"""

RETURN = r"""
account_id:
  description: AWS account that the cluster is in.
  returned: success, for a cluster on AWS
  type: str
acting_as:
  description: The cloud identity that the task uses, with its AWS account or the cluster's project or subscription. It
    is an ARN on AWS, an e-mail address on Google Cloud, and an application on Azure.
  returned: success
  type: str
  sample: arn:aws:iam::111122223333:user/operator in AWS account 111122223333
actions:
  description: Always empty, because this module only reads.
  returned: success
  type: list
  elements: str
changes:
  description: The lists C(created), C(changed) and C(removed), always empty, because this module only reads.
  returned: success
  type: dict
  sample:
    created: []
    changed: []
    removed: []
cluster_id:
  description: CAST AI's ID of the cluster. Empty if CAST AI does not have the cluster, or has another one under
    O(cluster_id).
  returned: success
  type: str
  sample: 3f7f7b1e-9a32-4b21-9a54-6a3f0e2b1c55
findings:
  description: The problems, one sentence for each. Empty on success.
  returned: always
  type: list
  elements: str
  sample:
    - "The API server runs Kubernetes 1.20, but CAST AI's agent needs 1.21 or newer. Upgrade the cluster first."
kubernetes_version:
  description: Version of the API server, major and minor.
  returned: success
  type: str
  sample: "1.33"
location:
  description: Region or zone that the cluster is in.
  returned: success, for a cluster on Google Cloud
  type: str
  sample: europe-west3
not_checked:
  description: What could not be checked and why, one sentence for each.
  returned: success
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
state_store:
  description: State store of the kOps cluster. Empty for an EKS cluster.
  returned: success, for a cluster on AWS
  type: str
"""

from ansible_collections.castai.onboarding.plugins.module_utils._castai.preflight import SUBJECT
from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_module


def main() -> None:
    run_module(SUBJECT)


if __name__ == "__main__":
    main()
