#!/usr/bin/python
# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: castai_preflight
short_description: Find out what stands in the way of connecting a cluster
version_added: 0.1.0
description:
  - Only reads, and fails with every reason at once, each with its fix, before anything is changed.
  - Asks whether the CAST AI API key is right and of the right organisation, whether the AWS credentials lead to the
    cluster, whether the Kubernetes options point to that same cluster, whether its API server answers, is new enough
    and lets these credentials do what is needed, whether Helm is there and new enough, whether each chart can be had,
    and whether all names are within their limits.
  - Helm and charts are asked for only when a release has to be installed or upgraded.
author: castai.onboarding authors (@castai)
extends_documentation_fragment:
  - castai.onboarding.attributes.info
  - castai.onboarding.castai
  - castai.onboarding.aws
  - castai.onboarding.kubernetes
options:
  account_id:
    description: The 12 digits of the AWS account that the cluster must be in, in quotes.
    type: str
  cluster_id:
    description: UUID that the cluster must have at CAST AI.
    type: str
  helm_path:
    description: Path of the Helm program; C(helm) of the search path when not set.
    type: path
  name:
    description: Name of the cluster, as its provider has it.
    type: str
    required: true
  namespace:
    description: Namespace of CAST AI's components.
    type: str
    default: castai-agent
  organization_id:
    description: UUID of the CAST AI organisation that the API key must belong to.
    type: str
  provider:
    description: Who runs the cluster.
    type: str
    choices: [eks]
    default: eks
  releases:
    description: Helm releases that the run will want.
    type: list
    elements: dict
    default: []
    suboptions:
      chart_ref:
        description: Name, path or address of the chart.
        type: str
        required: true
      chart_repo_url:
        description: Address of the chart's repository.
        type: str
      chart_version:
        description: Version of the chart.
        type: str
      name:
        description: Name of the release.
        type: str
        required: true
seealso:
  - module: castai.onboarding.castai_cluster
  - module: castai.onboarding.castai_release
"""

EXAMPLES = r"""
- name: Check everything that connecting this cluster needs
  castai.onboarding.castai_preflight:
    castai_api_key: "{{ castai_api_key }}"
    name: shop-prod
    region: eu-central-1
    account_id: "111122223333"
    releases:
      - name: castai-agent
        chart_ref: castai-agent
        chart_repo_url: https://castai.github.io/helm-charts
        chart_version: 0.161.1
"""

RETURN = r"""
account_id:
  description: AWS account that the cluster is in.
  returned: success
  type: str
actions:
  description: Always empty, this module only reads.
  returned: success
  type: list
  elements: str
findings:
  description: What stands in the way, one sentence each; empty on success.
  returned: always
  type: list
  elements: str
  sample:
    - "The API server is Kubernetes 1.20, but CAST AI's agent needs 1.21 or newer: upgrade the cluster first."
kubernetes_version:
  description: Version of the API server, major and minor.
  returned: success
  type: str
  sample: "1.33"
"""

from ansible_collections.castai.onboarding.plugins.module_utils._castai.preflight import SUBJECT
from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_module


def main() -> None:
    run_module(SUBJECT)


if __name__ == "__main__":
    main()
