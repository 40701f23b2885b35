# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The connection to Azure."""

    DOCUMENTATION = r"""
options:
  subscription_id:
    description:
      - ID of the Azure subscription of the cluster.
      - Defaults to the environment variable E(AZURE_SUBSCRIPTION_ID). If the subscription comes from
        there, the plan says so.
    type: str
  resource_group:
    description:
      - Resource group of the AKS cluster. Not case-sensitive.
      - Without it, the whole subscription is searched for a cluster with this name and, if it is set, this
        O(node_resource_group).
    type: str
  node_resource_group:
    description:
      - Resource group of the nodes of the AKS cluster. The task fails if the cluster has another one.
    type: str
  admin:
    description:
      - Whether to log in to an AKS cluster as its local administrator account. The identity then needs the permission
        C(Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action).
      - If V(false), a token from Entra is used, or, for a cluster without Entra integration, the certificate that AKS
        gives to its users.
    type: bool
    default: false
  auth_source:
    description:
      - Where the Azure credentials come from.
      - V(auto) uses a service principal whose credentials are in the options or else in the environment, and otherwise
        the login of the Azure CLI, if that is installed. V(env) only uses the environment, V(cli) only the Azure CLI,
        and V(msi) the managed identity of the machine that runs Ansible.
      - Only with V(auto) may O(secret), O(x509_certificate_path), O(oidc_token) or O(oidc_token_file_path) be set.
      - Defaults to V(auto) if one of these options is set, or else to the environment variable
        E(ANSIBLE_AZURE_AUTH_SOURCE), or V(auto).
    type: str
    choices: [auto, cli, env, msi]
  tenant:
    description:
      - Entra tenant of the service principal, by its ID or one of its domains. The cluster may belong to another
        tenant.
      - Defaults to the environment variable E(AZURE_TENANT) or E(AZURE_TENANT_ID).
    type: str
  client_id:
    description:
      - Client ID of the service principal or, with O(auth_source=msi), of a user-assigned managed identity.
      - Defaults to the environment variable E(AZURE_CLIENT_ID).
    type: str
  secret:
    description:
      - Secret of the service principal. Defaults to the environment variable E(AZURE_SECRET) or
        E(AZURE_CLIENT_SECRET).
    type: str
  x509_certificate_path:
    description:
      - File with the certificate of the service principal and its private key, as PEM or PKCS12. If it has a password,
        set the environment variable E(AZURE_CLIENT_CERTIFICATE_PASSWORD).
      - Defaults to the environment variable E(AZURE_X509_CERTIFICATE_PATH) or E(AZURE_CLIENT_CERTIFICATE_PATH).
    type: path
  oidc_token:
    description:
      - Token of another identity provider, which the service principal trusts through a federated credential. Defaults
        to the environment variable E(AZURE_FEDERATED_TOKEN).
    type: str
  oidc_token_file_path:
    description:
      - File with a token as in O(oidc_token), which is read again for each login. Defaults to the environment variable
        E(AZURE_FEDERATED_TOKEN_FILE), which is set in a pod with workload identity.
    type: path
  cloud_environment:
    description:
      - Cloud of the subscription, V(AzureCloud), V(AzureUSGovernment) or V(AzureChinaCloud).
      - Defaults to the environment variable E(AZURE_CLOUD_ENVIRONMENT), then to the cloud of the login address in
        E(AZURE_AUTHORITY_HOST), then to V(AzureCloud).
    type: str
  azure_ca_cert:
    description:
      - File with the CA certificates for Azure's addresses, if your company's proxy terminates TLS.
      - Defaults to the environment variable E(REQUESTS_CA_BUNDLE) or E(CURL_CA_BUNDLE).
    type: path
requirements:
  - azure-identity >= 1.17.0, for AKS
  - requests >= 2.25.0, for AKS
"""
