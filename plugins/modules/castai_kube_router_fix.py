#!/usr/bin/python
# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: castai_kube_router_fix
short_description: Let kube-router run on the tainted nodes of CAST AI
version_added: 0.1.0
description:
  - Adds what DaemonSet C(kube-system/kube-router) lacks of three tolerations, for taint C(CriticalAddonsOnly), for any
    C(NoSchedule) and for any C(NoExecute) taint. Without them a node that CAST AI taints has no network. All other
    tolerations stay.
  - Decides by the DaemonSet's own tolerations, not by a version. Does nothing if the cluster has no kube-router.
  - An annotation of the DaemonSet notes what was added, so that O(state=absent) removes just that.
  - kOps puts its own DaemonSet back when it applies a changed manifest, as after C(kops update cluster). The next run
    adds the tolerations again and says that kOps had removed them.
  - The write carries the version that was read. When somebody else writes in between, the change is planned again on
    what they wrote.
author: castai.onboarding authors (@castai)
extends_documentation_fragment:
  - castai.onboarding.attributes
  - castai.onboarding.cluster.optional
  - castai.onboarding.kubernetes
attributes:
  action_group:
    membership:
      - castai.onboarding.all
      - castai.onboarding.cluster
      - castai.onboarding.kubernetes
options:
  cluster_name:
    description:
      - Name of the cluster, as its provider has it. Needs O(provider).
      - The task fails before any change when the kOps annotations name another cluster. EKS is not asked.
    type: str
  state:
    description: Whether kube-router has the tolerations, or is left without those that were added.
    type: str
    choices: [present, absent]
    default: present
  wait:
    description:
      - Whether to wait until kube-router has restarted on every node. Not waited for in check mode, and not where the
        update strategy of the DaemonSet is C(OnDelete), with which nothing restarts.
      - A node on which kube-router was not available before, for example because the node is not ready, is not waited
        for. A warning says on how many nodes it is not available in the end.
    type: bool
    default: false
  wait_timeout:
    description: Seconds to wait at most.
    type: int
    default: 600
seealso:
  - module: castai.onboarding.castai_cluster
"""

EXAMPLES = r"""
- name: Let kube-router run on the nodes of CAST AI
  castai.onboarding.castai_kube_router_fix:
    kubeconfig: ~/.kube/config
    context: shop.example.com
    provider: kops
    cluster_name: shop.example.com

- name: The same, and wait until it has restarted everywhere
  castai.onboarding.castai_kube_router_fix:
    kubeconfig: ~/.kube/config
    context: shop.example.com
    provider: kops
    cluster_name: shop.example.com
    wait: true

- name: Remove what was added
  castai.onboarding.castai_kube_router_fix:
    kubeconfig: ~/.kube/config
    context: shop.example.com
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in order. Each a sentence in the imperative.
  returned: success
  type: list
  elements: str
  sample:
    - let kube-router tolerate any NoSchedule taint and any NoExecute taint, which restarts it on 3 nodes
added:
  description: The tolerations that were added by this run.
  returned: success
  type: list
  elements: dict
  sample:
    - effect: NoExecute
      operator: Exists
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
    created: []
    changed: [kubernetes/daemonset/kube-system/kube-router]
    removed: []
found:
  description: Whether the cluster has kube-router.
  returned: success
  type: bool
progress:
  description: On how many nodes kube-router still had to restart, as seen while waiting.
  returned: when it waited
  type: list
  elements: str
restarts:
  description: Number of nodes on which the change restarts kube-router.
  returned: success
  type: int
reverted:
  description: Whether somebody had removed what an earlier run added.
  returned: success
  type: bool
"""

from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_module
from ansible_collections.castai.onboarding.plugins.module_utils._k8s.kube_router import SUBJECT


def main() -> None:
    run_module(SUBJECT)


if __name__ == "__main__":
    main()
