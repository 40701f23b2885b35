#!/usr/bin/python
# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: castai_release
short_description: Install, upgrade, repair or uninstall a Helm release
version_added: 0.1.0
description:
  - Installs, upgrades, repairs or uninstalls a single Helm release of CAST AI's components, as needed.
  - The current state is read from the release's own record in the cluster and from the objects in its manifest. Helm
    only runs if there is something to do, so a run that changes nothing starts no process and downloads nothing.
  - A release is repaired, whatever its O(policy), if it failed, if Helm was killed before it had finished, or if some
    of its objects were deleted.
  - The release's Namespace is never deleted, even if an older installation made it part of the release. Before an
    upgrade or rollback it gets the annotation C(helm.sh/resource-policy=keep). Before an uninstall it is removed from
    the release's record.
  - The chart is rendered before an upgrade, in check mode too. The task fails if the upgrade would add an object that
    already exists and does not belong to the release, unless O(adopt) takes it over. Before an install with O(adopt),
    the chart is rendered too, to find objects of other releases.
  - An uninstall also deletes objects that the chart's hooks created and Helm leaves behind, except for
    CustomResourceDefinitions and PersistentVolumeClaims.
author: castai.onboarding authors (@castai)
extends_documentation_fragment:
  - castai.onboarding.attributes
  - castai.onboarding.cluster.optional
  - castai.onboarding.aws
  - castai.onboarding.google
  - castai.onboarding.azure
  - castai.onboarding.kubernetes
  - castai.onboarding.release
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
    description: Namespace of the release.
    type: str
    default: castai-agent
requirements:
  - Helm 3.14 or newer
seealso:
  - module: castai.onboarding.castai_cluster
  - module: castai.onboarding.castai_preflight
  - module: castai.onboarding.castai_releases
"""

EXAMPLES = r"""
- name: Register the cluster and store its token
  castai.onboarding.castai_cluster:
    provider: eks
    cluster_name: shop-prod
    region: eu-central-1
  register: shop

- name: Install the agent into an EKS cluster, and keep it at this version with these values
  castai.onboarding.castai_release:
    name: castai-agent
    chart_ref: castai-agent
    chart_repo_url: https://castai.github.io/helm-charts
    chart_version: 0.161.1
    values:
      provider: eks
      apiURL: https://api.cast.ai
      apiKeySecretRef: castai-credentials
      createNamespace: false
      additionalEnv: "{{ shop.agent_environment }}"
    adopt: true
    provider: eks
    cluster_name: shop-prod
    region: eu-central-1

- name: Install the cluster controller with a kubeconfig, and leave later upgrades to CAST AI
  castai.onboarding.castai_release:
    name: cluster-controller
    chart_ref: /srv/charts/castai-cluster-controller-0.92.14.tgz
    values:
      castai:
        apiKeySecretRef: castai-credentials
        clusterID: "{{ shop.cluster_id }}"
    policy: install_only
    kubeconfig: ~/.kube/config
    context: shop-prod

- name: Uninstall the agent
  castai.onboarding.castai_release:
    name: castai-agent
    state: absent
    kubeconfig: ~/.kube/config
    context: shop-prod
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in order, as one imperative sentence for each action.
  returned: success
  type: list
  elements: str
  sample:
    - install Helm release castai-agent in namespace castai-agent (chart castai-agent 0.161.1)
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
    created: [helm/release/castai-agent/castai-agent]
    changed: []
    removed: []
release:
  description: The release after the task; in check mode, the current release. Null if it is not installed.
  returned: success
  type: dict
  contains:
    app_version:
      description: Version of the component.
      type: str
    chart:
      description: Name of the chart.
      type: str
    chart_version:
      description: Version of the chart.
      type: str
    name:
      description: Name of the release.
      type: str
    namespace:
      description: Namespace of the release.
      type: str
    revision:
      description: Number of the newest revision.
      type: int
    status:
      description: Helm's status of that revision, V(deployed) if all is well.
      type: str
"""

from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_module
from ansible_collections.castai.onboarding.plugins.module_utils._helm.release import SUBJECT


def main() -> None:
    run_module(SUBJECT)


if __name__ == "__main__":
    main()
