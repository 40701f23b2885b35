# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The connection to CAST AI."""

    DOCUMENTATION = r"""
options:
  castai_api_key:
    description:
      - CAST AI API key with full access to the cluster's organization.
      - Required. Defaults to the environment variable E(CASTAI_API_KEY) or E(CASTAI_API_TOKEN).
      - The key stays in memory and never enters the cluster, a result or a log.
    type: str
  castai_api_url:
    description:
      - Address of the CAST AI API, for example V(https://api.eu.cast.ai) for an organization in the EU region. It must
        start with C(https://) and must not contain a user name or password.
      - Defaults to the environment variable E(CASTAI_API_URL).
    type: str
    default: https://api.cast.ai
  castai_ca_cert:
    description:
      - File with the CA certificates for O(castai_api_url), if your company's proxy terminates TLS. By default, the
        system's certificates apply.
    type: path
  castai_validate_certs:
    description: Whether to verify the TLS certificate of O(castai_api_url).
    type: bool
    default: true
"""
