#!/usr/bin/python
# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: castai_cluster_info
short_description: Read the clusters that CAST AI knows
version_added: 0.1.0
description:
  - Returns one cluster, or all clusters of the API key's organization.
author: castai.onboarding authors (@castai)
extends_documentation_fragment:
  - castai.onboarding.attributes.info
  - castai.onboarding.castai
attributes:
  action_group:
    membership:
      - castai.onboarding.all
      - castai.onboarding.castai
options:
  cluster_id:
    description: UUID of a single cluster to read.
    type: str
  cluster_name:
    description: Only return clusters with this name.
    type: str
  provider:
    description: Only return clusters of this provider.
    type: str
    choices: [eks, kops, gke, aks]
seealso:
  - module: castai.onboarding.castai_cluster
"""

EXAMPLES = r"""
- name: Read all clusters of the organization
  castai.onboarding.castai_cluster_info:
    castai_api_key: "{{ lookup('ansible.builtin.env', 'CASTAI_API_KEY') }}"
  register: known

- name: Show the clusters whose agent does not report
  ansible.builtin.debug:
    msg: "{{ known.clusters | rejectattr('agent_status', 'equalto', 'online') | map(attribute='name') }}"
"""

RETURN = r"""
actions:
  description: Always empty, because this module only reads.
  returned: success
  type: list
  elements: str
changes:
  description: The lists C(created), C(changed) and C(removed), always empty, because this module only reads.
  returned: success
  type: dict
  sample:
    created: []
    changed: []
    removed: []
clusters:
  description: The clusters, each with the keys of RV(castai.onboarding.castai_cluster#module:cluster).
  returned: success
  type: list
  elements: dict
"""

from ansible_collections.castai.onboarding.plugins.module_utils._castai.cluster_info import SUBJECT
from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_module


def main() -> None:
    run_module(SUBJECT)


if __name__ == "__main__":
    main()
