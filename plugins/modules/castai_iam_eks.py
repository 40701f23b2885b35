#!/usr/bin/python
# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: castai_iam_eks
short_description: Give CAST AI an identity in AWS that is limited to one EKS cluster
version_added: 0.1.0
description:
  - Creates the IAM role that CAST AI assumes, or an IAM user with an access key, and policies for this cluster only.
  - Creates a role, an instance profile and a security group for CAST AI's nodes. Allows the nodes to join the cluster
    through an access entry, if its authentication mode supports them. Otherwise RV(access) contains the options for
    M(castai.onboarding.castai_aws_auth).
  - Hands the role or the key over to CAST AI last. The key's secret goes from IAM to CAST AI within this task.
  - Objects that CAST AI's script, Terraform or Pulumi created for this cluster are taken over and keep their names.
    If an object belongs to another cluster, the task fails and names that cluster.
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
  identity:
    description:
      - Whether CAST AI gets a role or a user. V(role) creates a role that CAST AI assumes with the cluster's ID as
        external ID. No key is needed.
      - V(user) creates a user with one access key, for partitions where CAST AI's principal cannot be trusted.
    type: str
    choices: [role, user]
    default: role
  instance_profile_arn:
    description:
      - ARN of your own instance profile for the nodes. It is checked but not changed. Nodes run with the role in it.
    type: str
  node_policies:
    description: ARNs of additional policies for the node role.
    type: list
    elements: str
    default: []
  node_role_arn:
    description: ARN of your own role for the nodes. It is checked but not changed.
    type: str
  policy_scope:
    description:
      - Whether the cluster gets its own managed policy or uses the one that all clusters of the account share.
      - V(account) uses C(CastEKSPolicy), the name in CAST AI's documentation, and for IPv6
        C(CastEC2AssignIPv6Policy). Clusters share these policies, so they are created if they are missing and otherwise
        left as they are, with a warning if the document of C(CastEKSPolicy) differs.
    type: str
    choices: [cluster, account]
    default: cluster
  provider:
    description: Kubernetes platform of the cluster.
    type: str
    choices: [eks]
    required: false
    default: eks
  role_arn:
    description:
      - ARN of your own role for CAST AI to assume. It is checked and handed over, but not changed.
      - It must trust RV(principal_arn) with the external ID O(cluster_id). If CAST AI has no principal for the cluster
        yet, run with O(hand_over=false) first, which creates it.
    type: str
  security_group_id:
    description: ID of your own security group for the nodes, in the cluster's VPC. It is not changed.
    type: str
  spot_lambda_role:
    description:
      - Whether to create the role C(CastLambdaRoleForSpot), as M(castai.onboarding.castai_iam_kops) does. All clusters
        of an account share it. Only with O(identity=user).
      - With O(state=absent), whether to remove it if no other cluster uses it.
    type: bool
    default: false
  user_access:
    description:
      - What the user may do in the cluster, with O(identity=user). V(cluster_admin) is full control, which CAST AI asks
        for.
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
    provider: eks
    cluster_name: shop-prod
    region: eu-central-1
  register: shop

- name: Give CAST AI a role for the cluster
  castai.onboarding.castai_iam_eks:
    cluster_id: "{{ shop.cluster_id }}"
    cluster_name: shop-prod
    region: eu-central-1

- name: Prepare everything with a permissions boundary, a path and tags, and hand over later
  castai.onboarding.castai_iam_eks:
    cluster_id: "{{ shop.cluster_id }}"
    cluster_name: shop-prod
    region: eu-central-1
    permissions_boundary: arn:aws:iam::111122223333:policy/boundary
    path: /vendors/
    tags:
      cost-center: "4711"
    hand_over: false

- name: Remove the identity
  castai.onboarding.castai_iam_eks:
    cluster_id: "{{ shop.cluster_id }}"
    cluster_name: shop-prod
    region: eu-central-1
    state: absent
"""

RETURN = r"""
access:
  description: How the principals get access to the cluster.
  returned: success, unless only the hand-over was asked for with O(prepare=false)
  type: dict
  contains:
    aws_auth:
      description:
        - Entries for M(castai.onboarding.castai_aws_auth), each with its options. Empty if no entry is needed. With
          O(user_access=none), the entry of an existing user has C(state), V(absent). With O(state=absent), the entries
          to remove. If a role or user is kept, its entry is not in the list.
      type: list
      elements: dict
    reason:
      description: Why this way was chosen.
      type: str
    way:
      description: How the principals get access, V(access_entry) or V(aws_auth).
      type: str
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
    created: [iam/policy/CastEKSPolicy-shop-prod]
    changed: [iam/role/cast-eks-shop-prod-cluster-role-5b0a1ff3]
    removed: []
identity_arn:
  description: ARN of the role or user, even if it does not exist.
  returned: success
  type: str
instance_profile_arn:
  description: ARN of the nodes' instance profile.
  returned: success, when O(state=present) and O(prepare=true)
  type: str
kept:
  description: Objects that were not removed, each with the reason.
  returned: success, when O(state=absent)
  type: list
  elements: str
node_role_arn:
  description: ARN of the nodes' role.
  returned: success, when O(state=present) and O(prepare=true)
  type: str
principal_arn:
  description: ARN of the principal with which CAST AI assumes the role, or V((known after apply\)). Empty for a user.
  returned: success, when O(state=present)
  type: str
security_group_id:
  description: ID of the nodes' security group, or V((known after apply\)).
  returned: success, when O(state=present) and O(prepare=true)
  type: str
"""

from ansible_collections.castai.onboarding.plugins.module_utils._aws.eks_iam import SUBJECT
from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_module


def main() -> None:
    run_module(SUBJECT)


if __name__ == "__main__":
    main()
