#!/usr/bin/python
# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: castai_variables
short_description: Check the inventory variables of a host
version_added: 0.1.0
description:
  - Checks the host's values for all variables of the collection's roles before any call is made. It fails with one
    sentence for each wrong value, each misspelled name and each name that the collection no longer uses.
  - Host variables that begin with C(castai_) but resemble none of the collection's are your own and are ignored.
  - It is the first task of each role. In RV(variables), text from a survey or the command line is converted to the type
    of the variable, such as a list, a dictionary or a boolean. Null and blank text count as "not given".
author: castai.onboarding authors (@castai)
options: {}
attributes:
  check_mode:
    description: Reads only, so it does the same in check mode.
    support: full
  diff_mode:
    description: Reads only, so there is never a difference to show.
    support: N/A
  idempotent:
    description: Reads only.
    support: full
notes:
  - Always runs inside the Ansible controller, because only the controller knows the variables of a host.
seealso:
  - module: castai.onboarding.castai_preflight
"""

EXAMPLES = r"""
- name: Check the variables of all clusters before a change window
  castai.onboarding.castai_variables:
"""

RETURN = r"""
connected:
  description: What an earlier play or role of the same run reported about the cluster in C(castai_registered). Empty if
    nothing was reported.
  returned: success
  type: dict
  contains:
    cluster_id:
      description: The cluster's ID at CAST AI. Blank if a plan does not know it yet.
      returned: if an earlier play or role reported it
      type: str
findings:
  description: What is wrong with the variables, one sentence for each.
  returned: failure
  type: list
  elements: str
  sample:
    - castai_reigon is not a variable of castai.onboarding. Use castai_region.
    - "components_autoscaling is 'maybe'. Set it to true or false."
of_provider:
  description: What the roles and playbooks need to know about the cluster's provider.
  returned: success, if the provider is known
  type: dict
  contains:
    component_values:
      description: Chart values that clusters of this provider need, by Helm release.
      returned: always
      type: dict
      sample:
        castai-spot-handler:
          castai:
            provider: aws
    direct:
      description: Hosts that the agent and cluster-controller must reach without a proxy.
      returned: always
      type: list
      elements: str
    proxied_values:
      description: Chart values of the agent and cluster-controller if they use a proxy.
      returned: always
      type: dict
    roles_between:
      description: Roles to run for clusters of this provider after connecting and before onboarding.
      returned: always
      type: list
      elements: str
      sample:
        - kube_router
only_plans:
  description:
    - Whether the task ran in check mode. Unlike the variable C(ansible_check_mode), this also counts C(check_mode) of
      the play, of a block or of the task.
  returned: success
  type: bool
variables:
  description:
    - The values of all variables, defaults included, converted to the types in the roles' argument specs. Variables
      that contain secrets are left out.
    - Only returned for a task with C(no_log), because chart values may contain secrets.
  returned: success, for a task with C(no_log)
  type: dict
"""
