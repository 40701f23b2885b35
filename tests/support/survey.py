# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role variables as data, and the same as a survey or the command line gives them: as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

DATA: Mapping[str, Any] = {
    "castai_tags": {"team": "platform", "cost-center": "4711"},
    "castai_adopt": False,
    "castai_policy_scope": "cluster",
    "castai_iam_path": "/vendors/",
    "castai_wait_for": "agent_online",
    "castai_wait_timeout": 120,
    "castai_aws_validate_certs": True,
    "castai_organization_id": "",
    "agent_policy": "enforce",
    "agent_adopt": True,
    "agent_timeout": 240,
    "agent_values": {"replicaCount": 1, "additionalEnv": {"LOG_LEVEL": "2"}},
    "components_autoscaling": False,
    "components_live": True,
    "components_pod_mutator": True,
    "components_workload_autoscaler": True,
    "components_skip": ["castai-kvisor", "castai-pod-pinner"],
    "components_versions": {"castai-evictor": "0.35.143"},
    "components_values": {"cluster-controller": {"replicas": 2}, "castai-spot-handler": {"useSystemNodes": False}},
    "components_timeout": 500,
    "eks_onboard_identity": "role",
    "eks_onboard_node_policies": ["arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"],
}
"""One variable of every type, for role, shared and component variables, with values other than the defaults."""

SURVEY = {
    **{name: json.dumps(value) if isinstance(value, (dict, list)) else str(value) for name, value in DATA.items()},
    "castai_tags": "team: platform\ncost-center: '4711'\n",
    "components_skip": "[castai-kvisor, castai-pod-pinner]",
    "eks_onboard_node_policies": "- arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
    **dict.fromkeys(("castai_api_url", "castai_context", "castai_helm_path", "castai_host"), ""),
    **dict.fromkeys(("castai_managed_policy", "castai_spot_lambda_role", "castai_credentials_secret"), ""),
    **dict.fromkeys(("agent_chart_ref", "agent_chart_repo_url", "agent_chart_version", "agent_pending"), ""),
    **dict.fromkeys(("components_chart_repo_url", "components_policy", "castai_namespace"), ""),
    **dict.fromkeys(("eks_onboard_role_arn", "eks_onboard_user_access"), ""),
}
"""The same values as a survey returns them: text for all, as JSON or YAML, and blank text for fields left empty."""
