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
      - Path of a kubeconfig file. Defaults to the environment variable E(K8S_AUTH_KUBECONFIG).
      - On EKS, GKE and AKS, leave out all options of this group. The address and certificate then come from the
        provider, and the token comes from the cloud's credentials. No kubeconfig, kubectl, aws, gcloud, az or kubelogin
        command is needed.
    type: path
  context:
    description:
      - Name of the context in O(kubeconfig). It has no effect without a kubeconfig.
      - Defaults to the environment variable E(K8S_AUTH_CONTEXT), or else to the file's current context.
    type: str
  host:
    description:
      - Address of the API server, instead of O(kubeconfig). It must start with C(https://) and must not contain a user
        name or password. Requires O(api_key).
      - Defaults to the environment variable E(K8S_AUTH_HOST).
    type: str
  api_key:
    description:
      - Bearer token for O(host). Defaults to the environment variable E(K8S_AUTH_API_KEY).
    type: str
  ca_cert:
    description:
      - File with the CA certificates for O(host). By default, the system's certificates apply. With O(kubeconfig), it
        replaces the certificate authority in the file. If the address comes from EKS, GKE or AKS, it is used in
        addition to the cluster's own authority, for a proxy that terminates TLS in front of the cluster.
      - Defaults to the environment variable E(K8S_AUTH_SSL_CA_CERT).
    type: path
    aliases: [ssl_ca_cert]
  kubernetes_validate_certs:
    description:
      - Whether this task and Helm verify the TLS certificate of the API server. A kubeconfig can also turn this off.
    type: bool
    default: true
  wrong_cluster_check:
    description:
      - Whether a kubeconfig or O(host) must prove that it leads to the cluster that the other options name, before
        anything is written. On EKS, GKE and AKS the connection is compared with what the provider says about that
        cluster, on kOps with what the cluster says about itself and with its instances in EC2.
      - Set it to V(false) for a connection that leads to the right cluster and cannot prove it, for example a tunnel
        without the cluster's certificate authority. A warning then says that the cluster was not checked.
    type: bool
    default: true
requirements:
  - urllib3 >= 1.26.5
  - PyYAML >= 6.0
  - kubernetes >= 24.2.0, for a kubeconfig with an auth-provider
  - PySocks, for a SOCKS proxy
"""
