# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The connection to Google Cloud."""

    DOCUMENTATION = r"""
options:
  project:
    description:
      - ID or number of the Google Cloud project of the cluster.
      - Defaults to the environment variable E(GCP_PROJECT) or E(GOOGLE_CLOUD_PROJECT). If the project comes from there,
        the plan says so.
    type: str
  location:
    description: Region of a regional cluster, or zone of a zonal one.
    type: str
  endpoint:
    description:
      - The address to use for the API server of a GKE cluster. V(dns) is its DNS endpoint, V(public) and V(private) are
        its IP endpoints.
      - V(auto) uses the DNS endpoint if the IP endpoints are disabled, and otherwise the public endpoint, unless that
        only accepts authorized networks. In that case it uses the DNS endpoint if this allows external traffic, and
        otherwise the endpoint that GKE shows, which may be private.
      - For the DNS endpoint, the identity also needs the permission C(container.clusters.connect).
    type: str
    choices: [auto, dns, public, private]
    default: auto
  auth_kind:
    description:
      - Kind of Google credentials to use. By default, the first of O(access_token), O(service_account_contents),
        O(service_account_file) and O(service_account_email) that is set decides. If none is set, the kind is
        V(application).
      - V(application) is what Google calls application default credentials. They come from the file in
        E(GOOGLE_APPLICATION_CREDENTIALS), which may be of any type, such as workload identity federation, otherwise
        from the file that gcloud wrote, and otherwise from the machine's metadata server.
      - Defaults to the environment variable E(GCP_AUTH_KIND), unless one of those options is set.
    type: str
    choices: [application, machineaccount, serviceaccount, accesstoken]
  service_account_file:
    description:
      - File with the key of a service account. Defaults to the environment variable E(GCP_SERVICE_ACCOUNT_FILE).
    type: path
  service_account_contents:
    description:
      - Key of a service account, as JSON text or as a dictionary. Defaults to the environment variable
        E(GCP_SERVICE_ACCOUNT_CONTENTS).
    type: jsonarg
  service_account_email:
    description:
      - E-mail address of the service account to use on a Google Cloud machine. The tokens come from the machine's
        metadata server. Defaults to the environment variable E(GCP_SERVICE_ACCOUNT_EMAIL).
    type: str
  access_token:
    description:
      - OAuth access token to use as the Google credentials. It cannot be renewed, so the task fails if it expires
        first. Defaults to the environment variable E(GCP_ACCESS_TOKEN).
    type: str
  impersonate_service_account:
    description:
      - E-mail address of a service account to impersonate. In a comma-separated list, the last one is impersonated, and
        the others are the chain of delegation that leads to it.
      - Defaults to the environment variable E(CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT).
    type: str
  quota_project:
    description:
      - Project whose quota the API calls count toward. User credentials need one. Defaults to the environment variable
        E(GOOGLE_CLOUD_QUOTA_PROJECT), and otherwise to the quota project of the credentials.
    type: str
  google_ca_cert:
    description:
      - File with the CA certificates for Google's addresses, if your company's proxy terminates TLS.
      - Defaults to the environment variable E(REQUESTS_CA_BUNDLE) or E(CURL_CA_BUNDLE).
    type: path
requirements:
  - google-auth >= 2.24.0, for GKE
  - requests >= 2.25.0, for GKE
"""
