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
      - Whether an object under a name that this module or another tool gives is taken over when nothing tells whose it
        is. An object that is known to be another cluster's never is.
    type: bool
    default: false
  cluster_id:
    description: UUID of the cluster at CAST AI, as RV(castai.onboarding.castai_cluster#module:cluster_id) has it.
    type: str
    required: true
  hand_over:
    description:
      - Whether CAST AI gets the identity. Without it everything is prepared, and CAST AI can do nothing yet.
    type: bool
    default: true
  managed_policy:
    description: Document of your own in place of the managed policy's.
    type: dict
  path:
    description: IAM path of what is created, with a slash at both ends.
    type: str
    default: /
  permissions_boundary:
    description:
      - ARN of the permissions boundary of the roles or user that are created. One that is there keeps its own, with a
        warning where it is another.
    type: str
  prepare:
    description:
      - Whether everything but the hand-over is done. Without it only the hand-over is left, for the last task of a play
        whose earlier one prepared everything with O(hand_over=false).
    type: bool
    default: true
  restricted_policy:
    description: Document of your own in place of the restricted policy's.
    type: dict
  state:
    description:
      - V(absent) takes everything back that this module made. What is shared, given or also used by others stays, and
        RV(kept) says why. Disconnect the cluster at CAST AI first.
    type: str
    choices: [present, absent]
    default: present
  tags:
    description: Tags of what is created, beside the two that tell whose it is.
    type: dict
    default: {}
  vpc_account_id:
    description: Account that owns the cluster's VPC, where it is shared from another one.
    type: str
"""
