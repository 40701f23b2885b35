# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """CAST AI's identity for one cluster at AWS."""

    DOCUMENTATION = r"""
options:
  adopt:
    description:
      - Whether an object with a name that this module or another tool would give is taken over if nothing shows which
        cluster it belongs to. An object that belongs to another cluster is never taken over.
    type: bool
    default: false
  cluster_id:
    description: UUID of the cluster at CAST AI, as in RV(castai.onboarding.castai_cluster#module:cluster_id).
    type: str
    required: true
  force:
    description:
      - With O(state=absent), whether the identity is removed although CAST AI has not disconnected the cluster. A
        cluster is disconnected if CAST AI has no record of it or no credentials for it, or its status is C(deleted),
        C(archived) or C(failed).
      - Instances that use an instance profile or security group that would be removed are named, and refuse the
        removal whatever this is.
    type: bool
    default: false
  hand_over:
    description:
      - Whether CAST AI gets the identity. Without it everything is prepared, but CAST AI can do nothing yet.
    type: bool
    default: true
  managed_policy:
    description: Document of your own in place of the managed policy's. At most 6,144 characters without white space.
    type: dict
  path:
    description: IAM path of what is created, with a slash at both ends.
    type: str
    default: /
  permissions_boundary:
    description:
      - ARN of the permissions boundary of the roles or user that are created. An existing role or user keeps its own
        boundary, with a warning if that is another one.
    type: str
  prepare:
    description:
      - Whether everything but the hand-over is done. Without it only the hand-over is left, for the last task of a play
        whose earlier one prepared everything with O(hand_over=false).
    type: bool
    default: true
  restricted_policy:
    description:
      - Document of your own in place of the restricted policy's. At most 6,144 characters without white space, or
        10,240 for a role.
    type: dict
  state:
    description:
      - V(absent) removes everything that this module created. What is shared, your own or also used by others stays,
        and RV(kept) says why. Disconnect the cluster at CAST AI first; otherwise the removal is refused, unless
        O(force=true).
    type: str
    choices: [present, absent]
    default: present
  tags:
    description:
      - Tags of what is created, in addition to the two that name the cluster. Values are text, numbers, V(true) or
        V(false), as written.
      - Every object gets them, so they must suit IAM, EC2 and EKS. At most 46 tags, or 44 for a user; no two keys that
        differ in case alone.
    type: dict
    default: {}
  vpc_account_id:
    description: AWS account that owns the cluster's VPC, if it is shared from another account.
    type: str
"""
