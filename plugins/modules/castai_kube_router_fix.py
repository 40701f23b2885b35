#!/usr/bin/python
# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: castai_kube_router_fix
short_description: Allow kube-router to run on CAST AI's tainted nodes
version_added: 0.1.0
description:
  - The DaemonSet C(kube-system/kube-router) needs three tolerations, for the taint C(CriticalAddonsOnly), for any
    C(NoSchedule) taint and for any C(NoExecute) taint. This module adds those that are missing, because otherwise nodes
    that CAST AI taints have no network. All other tolerations stay.
  - The decision depends on the DaemonSet's tolerations, not on a version. If the cluster has no kube-router, nothing is
    done.
  - An annotation of the DaemonSet records the added tolerations, so that O(state=absent) removes exactly those, except
    for those that the manifest itself has set since then.
  - kOps restores its own DaemonSet when it applies a changed manifest, for example after C(kops update cluster). The
    next run adds the tolerations again and reports that kOps had removed them.
  - The write includes the version that was read. If somebody else writes in between, the module plans again from the
    new version.
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
      - Name of the cluster at its provider. Requires O(provider).
      - The task fails before any change if the kOps annotations name another cluster. EKS is not asked.
    type: str
  state:
    description: Whether kube-router should have the added tolerations, or only its original ones.
    type: str
    choices: [present, absent]
    default: present
  wait:
    description:
      - Whether to wait until kube-router has restarted on every node. The task does not wait in check mode, or if the
        update strategy of the DaemonSet is C(OnDelete), because then nothing restarts.
      - The task does not wait for nodes on which kube-router was not available before, for example because the node was
        not ready. If there are such nodes at the end, a warning says how many.
    type: bool
    default: false
  wait_timeout:
    description: Maximum number of seconds to wait.
    type: int
    default: 600
seealso:
  - module: castai.onboarding.castai_cluster
"""

EXAMPLES = r"""
- name: Let kube-router run on CAST AI's tainted nodes
  castai.onboarding.castai_kube_router_fix:
    kubeconfig: ~/.kube/config
    context: shop.example.com
    provider: kops
    cluster_name: shop.example.com

- name: Do the same and wait until it has restarted on every node
  castai.onboarding.castai_kube_router_fix:
    kubeconfig: ~/.kube/config
    context: shop.example.com
    provider: kops
    cluster_name: shop.example.com
    wait: true

- name: Remove the added tolerations
  castai.onboarding.castai_kube_router_fix:
    kubeconfig: ~/.kube/config
    context: shop.example.com
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in order, as one imperative sentence for each action.
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
  description: Three lists of the objects that were C(created), C(changed) and C(removed), or would be in check mode.
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
  description: How many nodes kube-router still had to restart on, as seen while waiting.
  returned: when it waited
  type: list
  elements: str
restarts:
  description: Number of nodes on which the change restarts kube-router.
  returned: success
  type: int
reverted:
  description: Whether the tolerations added by an earlier run had been removed in the meantime.
  returned: success
  type: bool
"""

from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_module
from ansible_collections.castai.onboarding.plugins.module_utils._k8s.kube_router import SUBJECT


def main() -> None:
    run_module(SUBJECT)


if __name__ == "__main__":
    main()
