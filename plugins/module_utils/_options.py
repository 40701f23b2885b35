# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Option groups, for the cluster and for each outside system with its usual environment variables.

PRIVATE to the collection.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ._given import from_environment

Spec = dict[str, dict[str, Any]]
Rules = dict[str, list[list[str]]]


def _env(*names: str) -> tuple[Any, list[str]]:
    return (from_environment, list(names))


def cluster_options(providers: Iterable[str], required: bool) -> Spec:
    """What names the cluster. required: False where a kubeconfig alone may decide."""
    return {
        "provider": {"type": "str", "choices": [*providers], "required": required},
        "cluster_name": {"type": "str", "required": required},
    }


def castai_options() -> Spec:
    return {
        "castai_api_key": {
            "type": "str",
            "no_log": True,
            "fallback": _env("CASTAI_API_KEY", "CASTAI_API_TOKEN"),
        },
        "castai_api_url": {"type": "str", "default": "https://api.cast.ai", "fallback": _env("CASTAI_API_URL")},
        "castai_ca_cert": {"type": "path"},
        "castai_validate_certs": {"type": "bool", "default": True},
    }


def aws_options() -> Spec:
    """The credentials' environment variables are botocore's own business, so that a profile beats them as usual."""
    return {
        "access_key": {"type": "str", "aliases": ["aws_access_key_id"], "no_log": False},
        "secret_key": {"type": "str", "aliases": ["aws_secret_access_key"], "no_log": True},
        "session_token": {"type": "str", "aliases": ["aws_session_token"], "no_log": True},
        "profile": {"type": "str", "aliases": ["aws_profile"]},
        "region": {"type": "str", "aliases": ["aws_region"], "fallback": _env("AWS_REGION", "AWS_DEFAULT_REGION")},
        "account_id": {"type": "str"},
        "endpoint_url": {"type": "str", "fallback": _env("AWS_URL")},
        "aws_ca_bundle": {"type": "path", "fallback": _env("AWS_CA_BUNDLE")},
        "assume_role_arn": {"type": "str"},
        "assume_role_external_id": {"type": "str"},
        "aws_validate_certs": {"type": "bool", "default": True},
    }


def google_options() -> Spec:
    """The environment variables of the credentials and the project are the gateway's own business: an option beats
    them also for the kind, and what the project comes from is told."""
    return {
        "access_token": {"type": "str", "no_log": True},
        "auth_kind": {"type": "str", "choices": ["application", "machineaccount", "serviceaccount", "accesstoken"]},
        "endpoint": {"type": "str", "choices": ["auto", "dns", "public", "private"], "default": "auto"},
        "google_ca_cert": {"type": "path", "fallback": _env("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")},
        "impersonate_service_account": {"type": "str"},
        "location": {"type": "str"},
        "project": {"type": "str"},
        "quota_project": {"type": "str"},
        "service_account_contents": {"type": "jsonarg", "no_log": True},
        "service_account_email": {"type": "str"},
        "service_account_file": {"type": "path"},
    }


def kubernetes_options() -> Spec:
    return {
        "kubeconfig": {"type": "path", "fallback": _env("K8S_AUTH_KUBECONFIG")},
        "context": {"type": "str", "fallback": _env("K8S_AUTH_CONTEXT")},
        "host": {"type": "str", "fallback": _env("K8S_AUTH_HOST")},
        "api_key": {"type": "str", "no_log": True, "fallback": _env("K8S_AUTH_API_KEY")},
        "ca_cert": {"type": "path", "aliases": ["ssl_ca_cert"], "fallback": _env("K8S_AUTH_SSL_CA_CERT")},
        "kubernetes_validate_certs": {"type": "bool", "default": True},
    }


CLUSTER_RULES: Rules = {"mutually_exclusive": [], "required_together": [["provider", "cluster_name"]]}
"""How the options of the cluster go together where they are optional, for AnsibleModule."""

AWS_RULES: Rules = {
    "mutually_exclusive": [["profile", "access_key"]],
    "required_together": [["access_key", "secret_key"]],
}
"""The same for AWS."""

GOOGLE_RULES: Rules = {
    "mutually_exclusive": [],
    "required_together": [],
}
"""The same for Google Cloud."""

KUBERNETES_RULES: Rules = {
    "mutually_exclusive": [["kubeconfig", "host"], ["context", "host"]],
    "required_together": [["host", "api_key"]],
}
"""The same for Kubernetes."""


def together(*groups: Rules) -> Rules:
    """The rules of several groups as those of one."""
    return {rule: [options for group in groups for options in group[rule]] for rule in AWS_RULES}


def sendable(credential: str) -> bool:
    """Whether an HTTP header can carry it. The errors of Python's own check show the credential."""
    return credential.isascii() and credential.isprintable() and " " not in credential and credential != ""
