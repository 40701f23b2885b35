#!/usr/bin/python
# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: castai_iam_kops
short_description: Give CAST AI an identity in AWS that is limited to one kOps cluster
version_added: 0.1.0
description:
  - Creates an IAM user with an access key for CAST AI, and policies for this cluster only. The cluster's VPC is found
    through its running instances, which have the tag C(KubernetesCluster).
  - Creates the role C(CastLambdaRoleForSpot), which the kOps clusters of an account share, if it is missing. No other
    role is changed, whatever its name.
  - Hands the key over to CAST AI last. Its secret goes from IAM to CAST AI within this task.
  - Objects that CAST AI's script created for this cluster are taken over, regardless of the case of their names. If
    an object belongs to another cluster, the task fails and names that cluster.
author: castai.onboarding authors (@castai)
extends_documentation_fragment:
  - castai.onboarding.attributes
  - castai.onboarding.cluster
  - castai.onboarding.castai
  - castai.onboarding.aws
  - castai.onboarding.aws_identity
  - castai.onboarding.identity
attributes:
  action_group:
    membership:
      - castai.onboarding.all
      - castai.onboarding.aws
      - castai.onboarding.castai
      - castai.onboarding.cluster
options:
  policy_scope:
    description:
      - Whether the cluster gets its own managed policy or uses the one that all clusters of the account share.
      - With V(cluster), CAST AI can only start instances in subnets of the cluster's VPC. V(account) uses
        C(CastKopsPolicyV2) from CAST AI's documentation, which allows any subnet of the account. Clusters share this
        policy, so it is created if it is missing and otherwise left as it is, with a warning if its document differs.
    type: str
    choices: [cluster, account]
    default: cluster
  provider:
    description: Kubernetes platform of the cluster.
    type: str
    choices: [kops]
    required: false
    default: kops
  spot_lambda_role:
    description:
      - Whether to create the role C(CastLambdaRoleForSpot). The function that reports spot interruptions to CAST AI
        runs with it. An existing role without the tag C(cast:managed-by) is left as it is, with a warning.
    type: bool
    default: true
  user_access:
    description:
      - What the user may do in the cluster. V(cluster_admin) is full control, which CAST AI asks for.
      - This only affects RV(access).
    type: str
    choices: [cluster_admin, none]
    default: cluster_admin
seealso:
  - module: castai.onboarding.castai_aws_auth
  - module: castai.onboarding.castai_cluster
"""

EXAMPLES = r"""
- name: Register the cluster and store its token
  castai.onboarding.castai_cluster:
    provider: kops
    cluster_name: shop.example.com
    region: eu-central-1
    kubeconfig: ~/.kube/config
    context: shop.example.com
  register: shop

- name: Give CAST AI a user for the cluster
  castai.onboarding.castai_iam_kops:
    cluster_id: "{{ shop.cluster_id }}"
    cluster_name: shop.example.com
    region: eu-central-1

- name: Prepare everything without the role for spot interruptions, and hand over later
  castai.onboarding.castai_iam_kops:
    cluster_id: "{{ shop.cluster_id }}"
    cluster_name: shop.example.com
    region: eu-central-1
    spot_lambda_role: false
    hand_over: false

- name: Remove the identity
  castai.onboarding.castai_iam_kops:
    cluster_id: "{{ shop.cluster_id }}"
    cluster_name: shop.example.com
    region: eu-central-1
    state: absent
"""

RETURN = r"""
access:
  description: How the user gets access to the cluster.
  returned: success, unless only the hand-over was asked for with O(prepare=false)
  type: dict
  contains:
    aws_auth:
      description:
        - Entries for M(castai.onboarding.castai_aws_auth), each with its options, for a cluster that reads aws-auth.
          With O(user_access=none), the entry of an existing user has C(state), V(absent). With O(state=absent), the
          entries to remove. If the user is kept, the list is empty.
      type: list
      elements: dict
actions:
  description: What was done, or would be done in check mode, in order, as one imperative sentence for each action.
  returned: success
  type: list
  elements: str
adopted:
  description: Objects that existed before, each with the tool that created it, judging by its name.
  returned: success, when O(state=present) and O(prepare=true)
  type: dict
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
    created: [iam/policy/CastKopsPolicyV2-shop.example.com, iam/user/cast-kops-shop.example.com]
    changed: []
    removed: []
identity_arn:
  description: ARN of the user, even if it does not exist yet.
  returned: success
  type: str
kept:
  description: Objects that were not removed, each with the reason.
  returned: success, when O(state=absent)
  type: list
  elements: str
vpc_id:
  description: VPC of the cluster's instances.
  returned: success, when O(state=present) and O(prepare=true)
  type: str
"""

from ansible_collections.castai.onboarding.plugins.module_utils._aws.kops_iam import SUBJECT
from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_module


def main() -> None:
    run_module(SUBJECT)


if __name__ == "__main__":
    main()
