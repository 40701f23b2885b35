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
  - Creates the IAM role that CAST AI assumes, or the IAM user whose key it holds, with policies for this cluster alone.
  - Creates what CAST AI's nodes need, a role, an instance profile and a security group, and lets the nodes into the
    cluster by an access entry if its authentication mode has those. If not, RV(access) has what
    M(castai.onboarding.castai_aws_auth) needs.
  - Hands role or key over to CAST AI last. The key's secret goes from IAM to CAST AI inside this task.
  - What the vendor's script, Terraform or Pulumi made for this cluster is taken over under its name. An object that
    belongs to another cluster is refused, naming it.
author: castai.onboarding authors (@castai)
extends_documentation_fragment:
  - castai.onboarding.attributes
  - castai.onboarding.cluster
  - castai.onboarding.castai
  - castai.onboarding.aws
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
      - V(role) creates a role that CAST AI assumes with the cluster's id as external id, without any key.
      - V(user) creates a user with one access key, for partitions in which CAST AI's principal cannot be trusted.
    type: str
    choices: [role, user]
    default: role
  instance_profile_arn:
    description:
      - ARN of an instance profile of your own for the nodes. It is checked and not changed. Nodes run with the role in
        it.
    type: str
  node_policies:
    description: ARNs of further policies for the node role.
    type: list
    elements: str
    default: []
  node_role_arn:
    description: ARN of a role of your own for the nodes. It is checked and not changed.
    type: str
  policy_scope:
    description:
      - V(cluster) gives the cluster a managed policy of its own. V(account) uses C(CastEKSPolicy), as the vendor's
        documents name it, and for IPv6 C(CastEC2AssignIPv6Policy). Clusters share those, so they are created when
        absent and otherwise left as they are, with a warning where the document of the first differs.
    type: str
    choices: [cluster, account]
    default: cluster
  provider:
    description: Who runs the cluster.
    type: str
    choices: [eks]
    required: false
    default: eks
  role_arn:
    description:
      - ARN of a role of your own for CAST AI to assume. It is checked, not changed, and handed over.
      - It must trust RV(principal_arn) with the external id O(cluster_id). If CAST AI has no principal for the cluster
        yet, run with O(hand_over=false) first, which creates it.
    type: str
  security_group_id:
    description: Id of a security group of your own for the nodes, in the cluster's VPC. It is not changed.
    type: str
  spot_lambda_role:
    description:
      - Whether the role C(CastLambdaRoleForSpot) is created, which the users of an account's clusters share, as
        M(castai.onboarding.castai_iam_kops) creates it. With O(identity=user) only.
      - With O(state=absent), whether it is removed when no other cluster uses it.
    type: bool
    default: false
  user_access:
    description:
      - What the user of O(identity=user) may do in the cluster. V(cluster_admin) is full control, as CAST AI asks for.
    type: str
    choices: [cluster_admin, none]
    default: cluster_admin
seealso:
  - module: castai.onboarding.castai_aws_auth
  - module: castai.onboarding.castai_cluster
"""

EXAMPLES = r"""
- name: Give CAST AI a role for the cluster
  castai.onboarding.castai_iam_eks:
    castai_api_key: "{{ castai_api_key }}"
    cluster_id: "{{ shop.cluster_id }}"
    cluster_name: shop-prod
    region: eu-central-1

- name: Prepare everything in a company that asks for a boundary, a path and tags, and hand over later
  castai.onboarding.castai_iam_eks:
    castai_api_key: "{{ castai_api_key }}"
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
    castai_api_key: "{{ castai_api_key }}"
    cluster_id: "{{ shop.cluster_id }}"
    cluster_name: shop-prod
    region: eu-central-1
    state: absent
"""

RETURN = r"""
access:
  description: How the cluster lets principals in.
  returned: success
  type: dict
  contains:
    aws_auth:
      description:
        - Entries for M(castai.onboarding.castai_aws_auth), each with its options; empty when no entry is needed. With
          O(state=absent), the entries to remove, without those of a role or user that stays.
      type: list
      elements: dict
    reason:
      description: Why this way.
      type: str
    way:
      description: V(access_entry) or V(aws_auth).
      type: str
actions:
  description: What was done, or would be done in check mode, in order. Each a sentence in the imperative.
  returned: success
  type: list
  elements: str
adopted:
  description: Objects that existed before, each with the tool that made it, by its name.
  returned: success, when O(state=present)
  type: dict
applied:
  description: What was done before the failure.
  returned: failure
  type: list
  elements: str
changes:
  description: The objects that were C(created), C(changed) and C(removed), or would be in check mode, a list each.
  returned: success
  type: dict
  sample:
    created: [iam/policy/CastEKSPolicy-shop-prod]
    changed: [iam/role/cast-eks-shop-prod-cluster-role-5b0a1ff3]
    removed: []
identity_arn:
  description: ARN of the role or user, also when it does not exist.
  returned: success
  type: str
instance_profile_arn:
  description: ARN of the nodes' instance profile.
  returned: success, when O(state=present)
  type: str
kept:
  description: What was not removed, each with the reason.
  returned: success, when O(state=absent)
  type: list
  elements: str
node_role_arn:
  description: ARN of the nodes' role.
  returned: success, when O(state=present)
  type: str
principal_arn:
  description: ARN of the principal that CAST AI assumes the role with, or C((known after apply)); empty for a user.
  returned: success, when O(state=present)
  type: str
security_group_id:
  description: Id of the nodes' security group, or C((known after apply)).
  returned: success, when O(state=present)
  type: str
"""

from ansible_collections.castai.onboarding.plugins.module_utils._aws.eks_iam import SUBJECT
from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_module


def main() -> None:
    run_module(SUBJECT)


if __name__ == "__main__":
    main()
