#!/usr/bin/python
# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: castai_releases
short_description: Install, upgrade, repair or uninstall several Helm releases
version_added: 0.1.0
description:
  - Does in one task for a list of releases what M(castai.onboarding.castai_release) does for a single one. What they
    have in common is read once, before anything is changed. If one of the releases must not be changed, the
    task fails with the reason before it changes any.
  - Helm works on the first release of the list alone, then on the others, four at a time. Finally, the task waits for
    the workloads of all of them together.
  - A release that fails does not stop the others. At the end the task fails and gives the reason for each failed
    release. A rerun continues from there.
author: castai.onboarding authors (@castai)
extends_documentation_fragment:
  - castai.onboarding.attributes
  - castai.onboarding.cluster.optional
  - castai.onboarding.aws
  - castai.onboarding.google
  - castai.onboarding.azure
  - castai.onboarding.kubernetes
  - castai.onboarding.release.listed
  - castai.onboarding.release.task
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
  namespace:
    description: Namespace of the releases.
    type: str
    default: castai-agent
requirements:
  - Helm 3.14 or newer
seealso:
  - module: castai.onboarding.castai_preflight
  - module: castai.onboarding.castai_release
"""

EXAMPLES = r"""
- name: Register the cluster and store its token
  castai.onboarding.castai_cluster:
    provider: eks
    cluster_name: shop-prod
    region: eu-central-1
  register: shop

- name: Install two components, and leave later upgrades to CAST AI
  castai.onboarding.castai_releases:
    releases:
      - name: cluster-controller
        chart_ref: castai-cluster-controller
        chart_repo_url: https://castai.github.io/helm-charts
        chart_version: 0.92.14
        policy: install_only
        purpose: adds, drains and removes nodes
        values:
          castai:
            apiKeySecretRef: castai-credentials
            clusterID: "{{ shop.cluster_id }}"
      - name: castai-spot-handler
        chart_ref: castai-spot-handler
        chart_repo_url: https://castai.github.io/helm-charts
        chart_version: 0.35.5
        policy: install_only
        values:
          apiKeySecretRef: castai-credentials
          createNamespace: false
          castai:
            clusterID: "{{ shop.cluster_id }}"
            provider: aws
    provider: eks
    cluster_name: shop-prod
    region: eu-central-1

- name: Uninstall two components
  castai.onboarding.castai_releases:
    releases:
      - name: castai-evictor
        state: absent
      - name: castai-pod-pinner
        state: absent
    kubeconfig: ~/.kube/config
    context: shop-prod
"""

RETURN = r"""
actions:
  description:
    - What was done, or would be done in check mode, in the order of the list, as one imperative sentence for each
      action.
  returned: success
  type: list
  elements: str
  sample:
    - >-
      install Helm release cluster-controller, which adds, drains and removes nodes, in namespace castai-agent (chart
      castai-cluster-controller 0.92.14)
applied:
  description: What was done before the failure and, for the other releases, after it.
  returned: failure
  type: list
  elements: str
changes:
  description: Three lists of the objects that were C(created), C(changed) and C(removed), or would be in check mode.
  returned: success
  type: dict
  sample:
    created: [helm/release/castai-agent/cluster-controller]
    changed: []
    removed: []
releases:
  description:
    - The releases by name, each in the form of RV(castai.onboarding.castai_release#module:release). Null for a release
      that is not installed.
  returned: success
  type: dict
  sample:
    cluster-controller:
      app_version: v0.63.6
      chart: castai-cluster-controller
      chart_version: 0.92.14
      name: cluster-controller
      namespace: castai-agent
      revision: 1
      status: deployed
unwanted:
  description: The releases of O(unwanted) that are installed.
  returned: success
  type: list
  elements: str
  sample: [castai-kvisor]
"""

from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_module
from ansible_collections.castai.onboarding.plugins.module_utils._helm.releases import SUBJECT


def main() -> None:
    run_module(SUBJECT)


if __name__ == "__main__":
    main()
