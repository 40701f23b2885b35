#!/usr/bin/python
# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: castai_aws_auth
short_description: Map an IAM role or user into a cluster by its aws-auth ConfigMap
version_added: 0.1.0
description:
  - Adds, corrects or removes one entry of C(mapRoles) or C(mapUsers) in ConfigMap C(kube-system/aws-auth).
  - Entries are read as the AWS IAM authenticator reads them, so C(roleARN) counts as C(rolearn). Every byte that is not
    of this entry stays as it is, comments and order included.
  - Fails, quoting the line, if the authenticator would read nothing of the text, if the entry to change is not clear,
    or if it cannot be changed without touching other entries. Odd entries of others are left alone.
  - The authenticator takes the first of C(mapRoles) and C(mapUsers) that has the ARN of a caller, whatever the ARN is
    of. So a user's entry in C(mapRoles) is removed when the one in C(mapUsers) is made, as it would count before it,
    and O(state=absent) removes the entries of both.
  - The write carries the version that was read. When somebody else writes in between, the change is planned again on
    what they wrote.
author: castai.onboarding authors (@castai)
extends_documentation_fragment:
  - castai.onboarding.attributes
  - castai.onboarding.cluster.optional
  - castai.onboarding.aws
  - castai.onboarding.kubernetes
attributes:
  action_group:
    membership:
      - castai.onboarding.all
      - castai.onboarding.aws
      - castai.onboarding.cluster
      - castai.onboarding.kubernetes
options:
  create:
    description:
      - Whether an absent ConfigMap is created. With O(provider=eks), V(auto) reads the authentication mode of the
        cluster and creates it only if that is C(CONFIG_MAP). With access entries nothing is done, and RV(reason) says
        so. For other clusters the mode is not known, and the task fails if the ConfigMap is absent.
    type: str
    choices: [auto, always, never]
    default: auto
  groups:
    description:
      - Kubernetes groups of the entry. An entry that has these and more is left as it is.
    type: list
    elements: str
    default: []
  role_arn:
    description:
      - ARN of the IAM role. Its path is left out in the ConfigMap, as the authenticator needs it.
      - An entry that keeps a path is in force for nobody, so it does not count as this role's and is never changed. The
        action, or RV(reason), names it.
    type: str
  state:
    description: Whether the principal has exactly this entry, or no entry.
    type: str
    choices: [present, absent]
    default: present
  user_arn:
    description: ARN of the IAM user.
    type: str
  username:
    description: Kubernetes user name of the entry. Needed when O(state=present).
    type: str
"""

EXAMPLES = r"""
- name: Let nodes of this role join the cluster
  castai.onboarding.castai_aws_auth:
    provider: eks
    cluster_name: shop-prod
    region: eu-central-1
    role_arn: arn:aws:iam::111122223333:role/cast-shop-prod-eks-5b0a1ff3
    username: "{% raw %}system:node:{{EC2PrivateDNSName}}{% endraw %}"
    groups: [system:bootstrappers, system:nodes]

- name: Remove the entry of a user
  castai.onboarding.castai_aws_auth:
    kubeconfig: ~/.kube/config
    context: shop-prod
    user_arn: arn:aws:iam::111122223333:user/cast-eks-shop-prod
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in order. Each a sentence in the imperative.
  returned: success
  type: list
  elements: str
applied:
  description: What was done before the failure.
  returned: failure
  type: list
  elements: str
authentication_mode:
  description: Authentication mode of the EKS cluster, empty without O(provider=eks).
  returned: success
  type: str
changes:
  description: The objects that were C(created), C(changed) and C(removed), or would be in check mode, a list each.
  returned: success
  type: dict
  sample:
    created: []
    changed: [kubernetes/configmap/kube-system/aws-auth/mapRoles]
    removed: []
reason:
  description:
    - Why nothing was done although the entry is absent, empty otherwise.
    - With O(state=absent), which entries keep the role's path and are left, if there is nothing else of the role.
  returned: success
  type: str
"""

from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_module
from ansible_collections.castai.onboarding.plugins.module_utils._k8s.aws_auth import SUBJECT


def main() -> None:
    run_module(SUBJECT)


if __name__ == "__main__":
    main()
