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
      - API key of CAST AI, with full access to the organization the cluster belongs to.
      - Needed; read from the environment variable E(CASTAI_API_KEY) or E(CASTAI_API_TOKEN) when not set.
      - It stays in memory; it never enters the cluster, a result or a log.
    type: str
  castai_api_url:
    description:
      - Address of the CAST AI API, for example V(https://api.eu.cast.ai) for an organization of the EU region.
        It starts with C(https://), and has no user name or password in it.
      - Read from the environment variable E(CASTAI_API_URL) when not set.
    type: str
    default: https://api.cast.ai
  castai_ca_cert:
    description:
      - File with the CA certificates that O(castai_api_url) is checked against, if a proxy of your company ends TLS.
        Without it, the system's certificates count.
    type: path
  castai_validate_certs:
    description: Whether the TLS certificate of O(castai_api_url) is checked.
    type: bool
    default: true
"""
