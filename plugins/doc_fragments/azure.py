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
      - Defaults to the environment variable E(AZURE_SUBSCRIPTION_ID). A plan names a subscription that came from there.
    type: str
  resource_group:
    description:
      - Resource group of the AKS cluster. Upper and lower case do not matter.
      - Without it, the cluster is looked for in the whole subscription by its name, and by O(node_resource_group) if
        that is set.
    type: str
  node_resource_group:
    description:
      - Resource group of the nodes of the AKS cluster. The task fails if the cluster has another one.
    type: str
  admin:
    description:
      - Whether an AKS cluster is entered by its local account that may do everything. Its permission is
        C(Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action).
      - If V(false), it is entered with a token for AKS from Entra. A cluster without Entra integration is entered with
        the certificate that AKS gives to its users.
    type: bool
    default: false
  auth_source:
    description:
      - Where the Azure credentials come from.
      - With V(auto), they are those of a service principal, from the options or else the environment, then those of the
        Azure CLI if there is one. V(env) only takes the environment. V(cli) asks the Azure CLI. V(msi) is the managed
        identity of the machine where this runs.
      - Defaults to the environment variable E(ANSIBLE_AZURE_AUTH_SOURCE), or V(auto).
    type: str
    choices: [auto, cli, env, msi]
  tenant:
    description:
      - Entra tenant of the service principal. The one of the cluster may be another.
      - Defaults to the environment variable E(AZURE_TENANT) or E(AZURE_TENANT_ID).
    type: str
  client_id:
    description:
      - Client ID of the service principal. With O(auth_source=msi), it is the one of a user-assigned managed identity.
      - Defaults to the environment variable E(AZURE_CLIENT_ID).
    type: str
  secret:
    description:
      - Secret of the service principal. Defaults to the environment variable E(AZURE_SECRET) or
        E(AZURE_CLIENT_SECRET).
    type: str
  x509_certificate_path:
    description:
      - File with the certificate of the service principal and its private key, PEM or PKCS12. The environment variable
        E(AZURE_CLIENT_CERTIFICATE_PASSWORD) is its password.
      - Defaults to the environment variable E(AZURE_X509_CERTIFICATE_PATH) or E(AZURE_CLIENT_CERTIFICATE_PATH).
    type: path
  oidc_token:
    description:
      - Token of another issuer that the service principal trusts by a federated credential. Defaults to the environment
        variable E(AZURE_FEDERATED_TOKEN).
    type: str
  oidc_token_file_path:
    description:
      - File with that token, which is read anew for each log-in. Defaults to the environment variable
        E(AZURE_FEDERATED_TOKEN_FILE), which a pod with workload identity has.
    type: path
  cloud_environment:
    description:
      - Cloud of the subscription, V(AzureCloud), V(AzureUSGovernment) or V(AzureChinaCloud).
      - Defaults to the environment variable E(AZURE_CLOUD_ENVIRONMENT), then to the cloud whose log-in
        E(AZURE_AUTHORITY_HOST) names, then to V(AzureCloud).
    type: str
  azure_ca_cert:
    description:
      - File with the CA certificates for Azure's addresses, if your company's proxy ends TLS.
      - Defaults to the environment variable E(REQUESTS_CA_BUNDLE) or E(CURL_CA_BUNDLE).
    type: path
requirements:
  - azure-identity >= 1.17.0, for AKS
  - requests >= 2.25.0, for AKS
"""
