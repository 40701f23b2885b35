# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What names the cluster."""

    DOCUMENTATION = r"""
options:
  provider:
    description: Kubernetes platform of the cluster.
    type: str
    choices: [eks, kops, gke, aks]
    required: true
  cluster_name:
    description: Name of the cluster at its provider.
    type: str
    required: true
"""

    OPTIONAL = r"""
options:
  provider:
    description:
      - Kubernetes platform of the cluster. Requires O(cluster_name).
      - If neither is set, the Kubernetes options alone decide which cluster this is, and no other system is called.
    type: str
    choices: [eks, kops, gke, aks]
  cluster_name:
    description:
      - Name of the cluster at its provider. Requires O(provider).
      - The task fails before any change if the Kubernetes options lead to another cluster. An EKS, GKE or AKS cluster
        is recognized by its certificate authority or address, a kOps cluster by its annotations.
    type: str
"""
