# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What every module of the collection can do."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Changes nothing and predicts what a run would do.
    support: full
  diff_mode:
    description:
      - Shows each object that differs, before and after, under a sentence that says what happens to it. Never shows a
        secret.
    support: full
  idempotent:
    description: A second run with the same options changes nothing.
    support: full
  action_group:
    description:
      - Use C(group/castai.onboarding.all) in C(module_defaults) to set options for all modules at once. The groups
        C(cluster), C(castai), C(aws), C(google), C(azure) and C(kubernetes) set the options that identify the cluster
        and connect to each system.
    support: full
    membership:
      - castai.onboarding.all
notes:
  - Runs inside the Ansible controller, without starting a process, if the connection is V(local), the task does not set
    C(become), C(async) or C(environment), and no other Python interpreter is set. The results are the same either way.
"""

    INFO = r"""
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
  action_group:
    description:
      - Use C(group/castai.onboarding.all) in C(module_defaults) to set options for all modules at once. The groups
        C(cluster), C(castai), C(aws), C(google), C(azure) and C(kubernetes) set the options that identify the cluster
        and connect to each system.
    support: full
    membership:
      - castai.onboarding.all
"""
