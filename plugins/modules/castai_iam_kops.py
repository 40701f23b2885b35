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
  - Creates the IAM user whose key CAST AI holds, with policies for this cluster alone. The running instances with the
    tag C(KubernetesCluster) show which VPC is the cluster's.
  - Creates the role C(CastLambdaRoleForSpot), which the kOps clusters of an account share, when it is absent. No other
    role is changed, whatever its name.
  - Hands the key over to CAST AI last. Its secret goes from IAM to CAST AI inside this task.
  - What the vendor's script made for this cluster is taken over, however its name is capitalized. An object of another
    cluster is refused, naming that cluster.
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
  policy_scope:
    description:
      - V(cluster) gives the cluster a managed policy of its own. Instances may then be started only in subnets of the
        cluster's VPC, which the restricted policy allows. V(account) uses C(CastKopsPolicyV2) as the vendor's documents
        have it, for any subnet of the account. Clusters share that one, so it is created when absent and otherwise left
        as it is, with a warning if its document differs.
    type: str
    choices: [cluster, account]
    default: cluster
  provider:
    description: Who runs the cluster.
    type: str
    choices: [kops]
    required: false
    default: kops
  spot_lambda_role:
    description:
      - Whether the role C(CastLambdaRoleForSpot) is created, which reports spot interruptions to CAST AI. An existing
        one without the tag C(cast:managed-by) is left as it is, with a warning.
    type: bool
    default: true
  user_access:
    description:
      - What the user may do in the cluster. V(cluster_admin) is full control, as CAST AI asks for.
      - It decides only what is in RV(access).
    type: str
    choices: [cluster_admin, none]
    default: cluster_admin
seealso:
  - module: castai.onboarding.castai_aws_auth
  - module: castai.onboarding.castai_cluster
"""

EXAMPLES = r"""
- name: Give CAST AI a user for the cluster
  castai.onboarding.castai_iam_kops:
    castai_api_key: "{{ castai_api_key }}"
    cluster_id: "{{ shop.cluster_id }}"
    cluster_name: shop.example.com
    region: eu-central-1

- name: Prepare everything without the role for spot interruptions, and hand over later
  castai.onboarding.castai_iam_kops:
    castai_api_key: "{{ castai_api_key }}"
    cluster_id: "{{ shop.cluster_id }}"
    cluster_name: shop.example.com
    region: eu-central-1
    spot_lambda_role: false
    hand_over: false

- name: Remove the identity
  castai.onboarding.castai_iam_kops:
    castai_api_key: "{{ castai_api_key }}"
    cluster_id: "{{ shop.cluster_id }}"
    cluster_name: shop.example.com
    region: eu-central-1
    state: absent
"""

RETURN = r"""
access:
  description: How the cluster lets the user in.
  returned: success
  type: dict
  contains:
    aws_auth:
      description:
        - Entries for M(castai.onboarding.castai_aws_auth), each with its options, for a cluster that reads aws-auth.
          Empty with O(user_access=none). With O(state=absent), the entries to remove, without that of a user that
          stays.
      type: list
      elements: dict
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
    created: [iam/policy/CastKopsPolicyV2-shop.example.com, iam/user/cast-kops-shop.example.com]
    changed: []
    removed: []
identity_arn:
  description: ARN of the user, also when it does not exist.
  returned: success
  type: str
kept:
  description: What was not removed, each with the reason.
  returned: success, when O(state=absent)
  type: list
  elements: str
vpc_id:
  description: VPC of the cluster's instances.
  returned: success, when O(state=present)
  type: str
"""

from ansible_collections.castai.onboarding.plugins.module_utils._aws.kops_iam import SUBJECT
from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_module


def main() -> None:
    run_module(SUBJECT)


if __name__ == "__main__":
    main()
