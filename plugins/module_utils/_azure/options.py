# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What leads to Azure and to an AKS cluster, as users give it. Pure. PRIVATE to the collection."""

from __future__ import annotations

from .._options import Rules, Spec, env


def azure_options() -> Spec:
    """The environment variables of the credentials and the subscription are the gateway's own business: an option beats
    them also for the kind, and what the subscription comes from is told."""
    return {
        "admin": {"type": "bool", "default": False},
        "auth_source": {"type": "str", "choices": ["auto", "cli", "env", "msi"]},
        "azure_ca_cert": {"type": "path", "fallback": env("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")},
        "client_id": {"type": "str"},
        "cloud_environment": {"type": "str"},
        "node_resource_group": {"type": "str"},
        "oidc_token": {"type": "str", "no_log": True},
        "oidc_token_file_path": {"type": "path", "no_log": False},
        "resource_group": {"type": "str"},
        "secret": {"type": "str", "no_log": True},
        "subscription_id": {"type": "str"},
        "tenant": {"type": "str"},
        "x509_certificate_path": {"type": "path"},
    }


AZURE_RULES: Rules = {
    "mutually_exclusive": [],
    "required_together": [],
}
"""How these options depend on each other, for AnsibleModule."""
