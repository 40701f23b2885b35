#!/usr/bin/python
# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: castai_aws_auth
short_description: Give an IAM role or user access to a cluster through the ConfigMap aws-auth
version_added: 0.1.0
description:
  - Adds, corrects or removes one entry of C(mapRoles) or C(mapUsers) in ConfigMap C(kube-system/aws-auth).
  - Entries are read in the same way as the AWS IAM authenticator reads them, so C(roleARN) counts as C(rolearn).
    Everything outside this entry stays exactly as it is, including comments and order.
  - Fails and quotes the line if the authenticator would ignore the whole text, if it is unclear which entry to change,
    or if the entry cannot be changed without touching others. Other entries are left alone, even if they are invalid.
  - The authenticator looks for the ARN of a caller first in C(mapRoles) and then in C(mapUsers), whether it is the ARN
    of a role or a user. So when a user's entry is added to C(mapUsers), an entry for that user in C(mapRoles) is
    removed, because it would take precedence. O(state=absent) removes the entries from both.
  - Check mode finds out by a dry run whether a webhook, policy or quota of the cluster refuses the change, if the
    credentials may write.
  - The write includes the version that was read. If somebody else writes in between, the module plans again from the
    new version.
author: castai.onboarding authors (@castai)
extends_documentation_fragment:
  - castai.onboarding.attributes
  - castai.onboarding.cluster.optional
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
      - castai.onboarding.cluster
      - castai.onboarding.google
      - castai.onboarding.kubernetes
options:
  create:
    description:
      - Whether to create a missing ConfigMap. With O(provider=eks), V(auto) reads the authentication mode of the
        cluster and only creates the ConfigMap if it is C(CONFIG_MAP). If the cluster has access entries, nothing is
        done, and RV(reason) says so. For other clusters the mode is not known, and the task fails if the ConfigMap is
        missing.
    type: str
    choices: [auto, always, never]
    default: auto
  created_before:
    description:
      - Whether an earlier task of the same plan would create a missing ConfigMap. Then check mode shows the entry that
        the run adds to it. Only for check mode.
    type: bool
    default: false
  groups:
    description:
      - Kubernetes groups that the principal is in. An entry that has these groups and others is left unchanged.
    type: list
    elements: str
    default: []
  role_arn:
    description:
      - ARN of the IAM role that gets access. The ConfigMap gets the ARN without its path, because the authenticator
        requires that.
      - An entry that includes the path has no effect, so it does not count as this role's entry and is never changed.
        The action, or RV(reason), mentions it.
    type: str
  state:
    description: Whether the principal should have exactly this entry, or none.
    type: str
    choices: [present, absent]
    default: present
  user_arn:
    description: ARN of the IAM user that gets access.
    type: str
  username:
    description: Kubernetes user name that the principal gets. Required if O(state=present).
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
  description: What was done, or would be done in check mode, in order, as one imperative sentence for each action.
  returned: success
  type: list
  elements: str
applied:
  description: What was done before the failure.
  returned: failure
  type: list
  elements: str
authentication_mode:
  description: Authentication mode of the EKS cluster. Empty without O(provider=eks).
  returned: success
  type: str
changes:
  description: Three lists of the objects that were C(created), C(changed) and C(removed), or would be in check mode.
  returned: success
  type: dict
  sample:
    created: []
    changed: [kubernetes/configmap/kube-system/aws-auth/mapRoles]
    removed: []
reason:
  description:
    - Why nothing was done although the entry is missing. Otherwise empty.
    - With O(state=absent), if the role has no other entry, lists the entries that include its path and were left as
      they are.
  returned: success
  type: str
"""

from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_module
from ansible_collections.castai.onboarding.plugins.module_utils._k8s.aws_auth import SUBJECT


def main() -> None:
    run_module(SUBJECT)


if __name__ == "__main__":
    main()
