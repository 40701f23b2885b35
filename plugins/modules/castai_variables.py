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
  - Checks every variable of the collection's roles that the host has, before anything is called. It fails with one
    sentence for each that has a wrong value, a misspelt name, or a name that the collection does not have any more.
  - A host variable that begins with C(castai_) and resembles none of the collection's is your own, and left alone.
  - The roles begin with it. Text from a survey or the command line is a list, a dictionary, true or false in
    RV(variables), as the variable wants it. Null and blank text are "not given".
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
  - Always runs inside the Ansible controller, which alone knows the variables of a host.
seealso:
  - module: castai.onboarding.castai_preflight
"""

EXAMPLES = r"""
- name: Check the variables of all clusters before a change window
  castai.onboarding.castai_variables:
"""

RETURN = r"""
findings:
  description: What is wrong with the variables, one sentence each.
  returned: failure
  type: list
  elements: str
  sample:
    - castai_reigon is not a variable of castai.onboarding. Use castai_region.
    - "components_autoscaling is 'maybe'. Set it to true or false."
of_provider:
  description: What the roles and playbooks need to know of the cluster's provider.
  returned: success, where the provider is known
  type: dict
  contains:
    component_values:
      description: Chart values that its clusters need, by Helm release.
      returned: always
      type: dict
      sample:
        castai-spot-handler:
          castai:
            provider: aws
    roles_between:
      description: Roles that its clusters need after they are connected and before they are onboarded.
      returned: always
      type: list
      elements: str
      sample:
        - kube_router
variables:
  description:
    - The values in the types that the roles describe, defaults included. The variables that are secrets are left out.
    - Only for a task with C(no_log), as chart values may have secrets in them.
  returned: success, for a task with C(no_log)
  type: dict
"""
