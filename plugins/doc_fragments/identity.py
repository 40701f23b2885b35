# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """CAST AI's identity for one cluster, in any cloud."""

    DOCUMENTATION = r"""
options:
  cluster_id:
    description: UUID of the cluster at CAST AI, as in RV(castai.onboarding.castai_cluster#module:cluster_id).
    type: str
    required: true
  hand_over:
    description:
      - Whether to hand the identity over to CAST AI. If V(false), everything is prepared, but CAST AI cannot use it
        yet.
    type: bool
    default: true
  prepare:
    description:
      - Whether to create and update the identity. If V(false), the task only hands over. Use this in the last task of a
        play if an earlier task prepared everything with O(hand_over=false).
    type: bool
    default: true
  state:
    description:
      - Whether the identity should exist. V(absent) removes everything that this module created. Objects that are
        shared, your own or also used by others stay, and RV(kept) says why. Disconnect the cluster at CAST AI first;
        otherwise the task fails, unless O(force=true).
    type: str
    choices: [present, absent]
    default: present
"""
