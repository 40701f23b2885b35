#!/usr/bin/python
# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: castai_preflight
short_description: Find out what would stop connecting or onboarding a cluster
version_added: 0.1.0
description:
  - Only reads, and fails with every reason at once, each with its fix, before anything is changed.
  - Checks whether the API key of CAST AI works and is of the right organization, whether the AWS credentials lead to
    the cluster, whether the Kubernetes options point to that same cluster, whether its API server answers, is new
    enough and allows these credentials what is needed, whether Helm is installed and new enough, whether each chart can
    be downloaded, whether objects that the install would create already exist, in another Helm release or outside Helm,
    and whether all names are within their limits.
  - Helm and the charts are checked only when a release is not deployed, or has another version than the wanted one. A
    run that needs Helm for changed values, or for deleted objects, may still find a problem with them.
  - Of releases that are not installed yet, checks whether the PodSecurity level of the namespace, a quota, a limit
    range or the lack of a node certainly keeps their pods from starting. One node alone is a warning, and so is a
    missing Secret of the charts' C(imagePullSecrets), and, with O(onboard), a missing metrics-server.
  - In check mode, permissions that are missing only for writing are warnings, as a plan does not need them.
  - With O(onboard), also checks whether the cluster is connected and its agent online, whether the cluster's token is
    where the components look for it, whether CAST AI can manage the cluster's nodes, and which permissions the AWS
    credentials lack, by a simulation of their policies. What could not be checked, for example because simulating is
    not allowed, is in RV(not_checked).
author: castai.onboarding authors (@castai)
extends_documentation_fragment:
  - castai.onboarding.attributes.info
  - castai.onboarding.cluster
  - castai.onboarding.castai
  - castai.onboarding.aws
  - castai.onboarding.kubernetes
attributes:
  action_group:
    membership:
      - castai.onboarding.all
      - castai.onboarding.aws
      - castai.onboarding.castai
      - castai.onboarding.cluster
      - castai.onboarding.kubernetes
options:
  cluster_id:
    description: UUID that the cluster must have at CAST AI.
    type: str
  create_namespace:
    description: Whether the namespace is created if it is absent. Otherwise the task fails where it is needed.
    type: bool
    default: true
  credentials_secret:
    description: Name of the Secret that holds the cluster's token, or will hold it, under the key C(API_KEY).
    type: str
    default: castai-credentials
  helm_path:
    description: Path of the Helm program; C(helm) of the search path when not set.
    type: path
  namespace:
    description: Namespace of CAST AI's components.
    type: str
    default: castai-agent
  onboard:
    description:
      - The options that M(castai.onboarding.castai_iam_eks) or M(castai.onboarding.castai_iam_kops) will get, as far as
        they matter here. On kOps the identity is always a user.
      - Without it, only what connecting needs is checked.
    type: dict
    suboptions:
      connecting:
        description:
          - Whether the same run connects the cluster first. In check mode the cluster then does not have to be
            connected yet.
        type: bool
        default: false
      adopt:
        description: Whether objects are taken over that nothing shows to be this cluster's.
        type: bool
        default: false
      identity:
        description: Whether CAST AI assumes a role, or holds the key of a user.
        type: str
        choices: [role, user]
        default: role
      instance_profile_arn:
        description: Instance profile of your own.
        type: str
      managed_policy:
        description: Document of your own in place of the managed policy's.
        type: dict
      node_policies:
        description: ARNs of further policies for the node role.
        type: list
        elements: str
        default: []
      node_role_arn:
        description: Role of your own for the nodes.
        type: str
      path:
        description: IAM path of what is created.
        type: str
        default: /
      permissions_boundary:
        description: ARN of the permissions boundary of what is created.
        type: str
      policy_scope:
        description: Whether the managed policy is the cluster's own or the account's.
        type: str
        choices: [cluster, account]
        default: cluster
      restricted_policy:
        description: Document of your own in place of the restricted policy's.
        type: dict
      role_arn:
        description: Role of your own for CAST AI.
        type: str
      security_group_id:
        description: Security group of your own.
        type: str
      spot_lambda_role:
        description: Whether C(CastLambdaRoleForSpot) is wanted, as on kOps by default. On EKS with a user only.
        type: bool
      tags:
        description: Tags of what is created.
        type: dict
        default: {}
      user_access:
        description: What the user may do in the cluster, of identity V(user) or on kOps.
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
    description: Helm releases that the run will want.
    type: list
    elements: dict
    default: []
    suboptions:
      adopt:
        description: Whether the release takes over objects that no Helm release owns.
        type: bool
        default: false
      adopt_managed:
        description:
          - Whether the release takes over what Argo CD, Flux, CAST AI's operator or CAST AI's umbrella chart manages.
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
        description: With V(install_only), the chart is not checked when the release exists at any version.
        type: str
        choices: [install_only, enforce]
        default: enforce
      values:
        description:
          - The chart's values, with which Helm renders the chart where a PodSecurity level, a quota, or the nodes may
            keep its pods from starting.
        type: dict
        default: {}
  state_store:
    description: State store of the kOps cluster, if the cluster's annotations do not name it.
    type: str
  wait_for_workloads:
    description:
      - Whether the releases have to run. What certainly keeps their pods from starting is a finding then, and a warning
        if V(false).
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
    castai_api_key: "{{ castai_api_key }}"
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
    castai_api_key: "{{ castai_api_key }}"
    provider: eks
    cluster_name: shop-prod
    region: eu-central-1
    onboard:
      identity: user
"""

RETURN = r"""
account_id:
  description: AWS account that the cluster is in.
  returned: success
  type: str
acting_as:
  description: ARN of the AWS identity that the task acts as, and its AWS account.
  returned: success
  type: str
  sample: arn:aws:iam::111122223333:user/operator in AWS account 111122223333
actions:
  description: Always empty, this module only reads.
  returned: success
  type: list
  elements: str
changes:
  description: The lists C(created), C(changed) and C(removed), always empty, as this module only reads.
  returned: success
  type: dict
  sample:
    created: []
    changed: []
    removed: []
findings:
  description: The problems, one sentence each; empty on success.
  returned: always
  type: list
  elements: str
  sample:
    - "The API server is Kubernetes 1.20, but CAST AI's agent needs 1.21 or newer. Upgrade the cluster first."
kubernetes_version:
  description: Version of the API server, major and minor.
  returned: success
  type: str
  sample: "1.33"
not_checked:
  description: What could not be checked, and why, one sentence each.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.castai.onboarding.plugins.module_utils._castai.preflight import SUBJECT
from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_module


def main() -> None:
    run_module(SUBJECT)


if __name__ == "__main__":
    main()
