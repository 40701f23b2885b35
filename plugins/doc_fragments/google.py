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
      - Id or number of the Google Cloud project of the cluster.
      - Defaults to the environment variable E(GCP_PROJECT) or E(GOOGLE_CLOUD_PROJECT). A plan names a project that came
        from there.
    type: str
  location:
    description: Region of a regional cluster, or zone of a zonal one.
    type: str
  endpoint:
    description:
      - By which of its addresses a GKE cluster is reached. V(dns) is its DNS endpoint, V(public) and V(private) are its
        IP endpoints.
      - With V(auto), it is the endpoint of a cluster with a public address and without authorized networks. Otherwise
        it is the DNS endpoint if that takes traffic from outside, and else the address that GKE shows.
      - At the DNS endpoint, the identity also needs the permission C(container.clusters.connect).
    type: str
    choices: [auto, dns, public, private]
    default: auto
  auth_kind:
    description:
      - Kind of the Google credentials. By default, it is the kind of the first one that is set of O(access_token),
        O(service_account_contents), O(service_account_file) and O(service_account_email), and else V(application).
      - V(application) is what Google calls application default credentials. They are the file that
        E(GOOGLE_APPLICATION_CREDENTIALS) names, of any type, such as workload identity federation, then the one that
        gcloud wrote, then the machine's metadata server.
      - Defaults to the environment variable E(GCP_AUTH_KIND), but not if another option of these is set.
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
      - Service account of the machine where this runs, whose metadata server gives the tokens. Defaults to the
        environment variable E(GCP_SERVICE_ACCOUNT_EMAIL).
    type: str
  access_token:
    description:
      - OAuth access token. It cannot be renewed, so a task that takes longer than it lives fails. Defaults to the
        environment variable E(GCP_ACCESS_TOKEN).
    type: str
  impersonate_service_account:
    description:
      - E-mail of a service account to impersonate. If there are several with commas in between, the last one is it, and
        the others are the way to it.
      - Defaults to the environment variable E(CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT).
    type: str
  quota_project:
    description:
      - Project that calls are counted for, which user credentials need. Defaults to the environment variable
        E(GOOGLE_CLOUD_QUOTA_PROJECT), and else to the one of the credentials.
    type: str
  google_ca_cert:
    description:
      - File with the CA certificates for Google's addresses, if your company's proxy ends TLS.
      - Defaults to the environment variable E(REQUESTS_CA_BUNDLE) or E(CURL_CA_BUNDLE).
    type: path
requirements:
  - google-auth >= 2.24.0, for GKE
  - requests >= 2.25.0, for GKE
"""
