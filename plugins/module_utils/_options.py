# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Option groups that every cloud shares: the cluster, CAST AI and Kubernetes, with their environment variables.

PRIVATE to the collection.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ._given import from_environment

Spec = dict[str, dict[str, Any]]
Rules = dict[str, list[list[str]]]


def env(*names: str) -> tuple[Any, list[str]]:
    """The fallback of an option: the first of these environment variables that is set."""
    return (from_environment, list(names))


def cluster_options(providers: Iterable[str], required: bool) -> Spec:
    """The options that name the cluster. required: False if a kubeconfig alone may decide."""
    return {
        "provider": {"type": "str", "choices": [*providers], "required": required},
        "cluster_name": {"type": "str", "required": required},
    }


def castai_options() -> Spec:
    return {
        "castai_api_key": {
            "type": "str",
            "no_log": True,
            "fallback": env("CASTAI_API_KEY", "CASTAI_API_TOKEN"),
        },
        "castai_api_url": {"type": "str", "default": "https://api.cast.ai", "fallback": env("CASTAI_API_URL")},
        "castai_ca_cert": {"type": "path"},
        "castai_validate_certs": {"type": "bool", "default": True},
    }


def kubernetes_options() -> Spec:
    return {
        "kubeconfig": {"type": "path", "fallback": env("K8S_AUTH_KUBECONFIG")},
        "context": {"type": "str", "fallback": env("K8S_AUTH_CONTEXT")},
        "host": {"type": "str", "fallback": env("K8S_AUTH_HOST")},
        "api_key": {"type": "str", "no_log": True, "fallback": env("K8S_AUTH_API_KEY")},
        "ca_cert": {"type": "path", "aliases": ["ssl_ca_cert"], "fallback": env("K8S_AUTH_SSL_CA_CERT")},
        "kubernetes_validate_certs": {"type": "bool", "default": True},
        "wrong_cluster_check": {"type": "bool", "default": True},
    }


CLUSTER_RULES: Rules = {"mutually_exclusive": [], "required_together": [["provider", "cluster_name"]]}
"""How the options of the cluster depend on each other if they are optional, for AnsibleModule."""

KUBERNETES_RULES: Rules = {
    "mutually_exclusive": [["kubeconfig", "host"], ["context", "host"]],
    "required_together": [["host", "api_key"]],
}
"""The same for Kubernetes."""


def together(*groups: Rules) -> Rules:
    """The rules of several groups as those of one."""
    return {rule: [options for group in groups for options in group[rule]] for rule in KUBERNETES_RULES}


def sendable(credential: str) -> bool:
    """Whether an HTTP header can carry it. The errors of Python's own check would show the credential."""
    return credential.isascii() and credential.isprintable() and " " not in credential and credential != ""
