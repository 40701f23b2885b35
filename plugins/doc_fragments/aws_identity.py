# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """CAST AI's identity for one cluster at AWS, beside what every identity has."""

    DOCUMENTATION = r"""
options:
  adopt:
    description:
      - Whether to take over objects with a name that this module or another tool would use, even if nothing shows which
        cluster they belong to. Objects of another cluster are never taken over.
    type: bool
    default: false
  force:
    description:
      - With O(state=absent), whether to remove the identity even if CAST AI has not disconnected the cluster. A
        cluster counts as disconnected if CAST AI has no record of it or no credentials for it, or if its status is
        C(deleted), C(archived) or C(failed).
      - If instances still use an instance profile or security group that would be removed, the task fails regardless of
        this option and names them.
    type: bool
    default: false
  managed_policy:
    description:
      - Your own policy document, instead of the default one of the managed policy. At most 6,144 characters without
        white space.
    type: dict
  path:
    description: IAM path of the created objects, with a slash at both ends.
    type: str
    default: /
  permissions_boundary:
    description:
      - ARN of the permissions boundary for the created roles or user. An existing role or user keeps its own boundary,
        with a warning if it differs.
    type: str
  restricted_policy:
    description:
      - Your own policy document, instead of the default one of the restricted policy. At most 6,144 characters without
        white space, or 10,240 for a role.
    type: dict
  tags:
    description:
      - Tags for the created objects, in addition to the two that name the cluster. Values are text, numbers, V(true) or
        V(false), and are used as written.
      - Every object gets them, so they must be valid for IAM, EC2 and EKS. At most 46 tags are allowed, or 44 for a
        user, and no two keys may be the same except for case.
    type: dict
    default: {}
  vpc_account_id:
    description: AWS account that owns the cluster's VPC, if it is shared from another account.
    type: str
"""
