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
  - Makes the IAM role that CAST AI assumes, or the IAM user whose key it holds, with policies for this cluster alone.
  - Makes what CAST AI's nodes need, a role, an instance profile and a security group, and lets them into the cluster by
    an access entry where its authentication mode has those. Elsewhere RV(access) has what
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
options:
  identity:
    description:
      - V(role) makes a role that CAST AI assumes with the cluster's id as external id, without any key.
      - V(user) makes a user with one access key, for partitions in which CAST AI's principal cannot be trusted.
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
      - It has to trust RV(principal_arn) with the external id O(cluster_id). Where CAST AI has no principal for the
        cluster yet, run with O(hand_over=false) first, which makes it.
    type: str
  security_group_id:
    description: Id of a security group of your own for the nodes, in the cluster's VPC. It is not changed.
    type: str
  spot_lambda_role:
    description:
      - Whether the role C(CastLambdaRoleForSpot) is made, which the users of an account's clusters share, as
        M(castai.onboarding.castai_iam_kops) does it. With O(identity=user) only.
      - With O(state=absent), whether it is taken away when no other cluster uses it.
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

- name: Take the identity back
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
        - Entries for M(castai.onboarding.castai_aws_auth), each with its options; empty where none is needed. With
          O(state=absent), those to take away; the entry of a role or user that stays is none of them.
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
  description: Names of objects that were there before, and which tool made them, by their names.
  returned: success, when O(state=present)
  type: dict
applied:
  description: What was done before the failure.
  returned: failure
  type: list
  elements: str
identity_arn:
  description: ARN of the role or user, or the one that it would have where there is none.
  returned: success
  type: str
instance_profile_arn:
  description: ARN of the nodes' instance profile.
  returned: success, when O(state=present)
  type: str
kept:
  description: What was left although it is there, each with the reason.
  returned: success, when O(state=absent)
  type: list
  elements: str
node_role_arn:
  description: ARN of the nodes' role.
  returned: success, when O(state=present)
  type: str
principal_arn:
  description: ARN of the principal by which CAST AI assumes the role, or C((known after apply)); empty for a user.
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
