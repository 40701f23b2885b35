# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The connection to the cluster."""

    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - Path of a kubeconfig file. Read from the environment variable E(K8S_AUTH_KUBECONFIG) when not set.
      - On EKS leave all options of this group out. Address and certificate then come from EKS, and the token is signed
        with the AWS credentials; no kubeconfig, kubectl or aws command is needed.
    type: path
  context:
    description:
      - Name of the context of O(kubeconfig) to use; the file's current context when not set.
      - Read from the environment variable E(K8S_AUTH_CONTEXT) when not set.
    type: str
  host:
    description:
      - Address of the API server, instead of O(kubeconfig). It starts with C(https://), and has no user name or
        password in it. Needs O(api_key).
      - Read from the environment variable E(K8S_AUTH_HOST) when not set.
    type: str
  api_key:
    description:
      - Bearer token for O(host). Read from the environment variable E(K8S_AUTH_API_KEY) when not set.
    type: str
  ca_cert:
    description:
      - File with the CA certificates that O(host) is checked against; the system's when not set. With O(kubeconfig), it
        replaces the certificate authority of the file. Where EKS gives the address, it counts beside the cluster's own,
        for a proxy that ends TLS in front of it.
      - Read from the environment variable E(K8S_AUTH_SSL_CA_CERT) when not set.
    type: path
    aliases: [ssl_ca_cert]
  kubernetes_validate_certs:
    description:
      - Whether the TLS certificate of the API server is checked, by this task and by Helm. A kubeconfig can also turn
        this off.
    type: bool
    default: true
requirements:
  - urllib3 >= 1.26.5
  - PyYAML >= 6.0
  - kubernetes >= 24.2.0, for a kubeconfig with an auth-provider
  - PySocks, for a SOCKS proxy
"""
