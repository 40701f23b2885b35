#!/usr/bin/python
# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: castai_gke_sa
short_description: Give CAST AI a service account in Google Cloud for one GKE cluster
version_added: 0.1.0
description:
  - Creates a service account for CAST AI and a custom role for this cluster only, and binds the role to the account in
    the project. The Google Cloud services that they need are enabled.
  - All bindings are written at once. If somebody else changes the IAM policy of the project at the same time, the
    change is repeated on the new policy. The bindings of others are written back as they were read.
  - Hands the account over to CAST AI last, with a key or without. A key goes from Google Cloud to CAST AI within this
    task.
  - The description of the account records which cluster it belongs to and which key CAST AI has.
  - Removal with O(state=absent) leaves the services enabled.
  - An account that CAST AI's script, Terraform or Pulumi created for this cluster is taken over and keeps its name.
    If it belongs to another cluster, this cluster gets its own.
author: castai.onboarding authors (@castai)
extends_documentation_fragment:
  - castai.onboarding.attributes
  - castai.onboarding.cluster
  - castai.onboarding.castai
  - castai.onboarding.google
  - castai.onboarding.identity
attributes:
  action_group:
    membership:
      - castai.onboarding.all
      - castai.onboarding.castai
      - castai.onboarding.cluster
      - castai.onboarding.google
options:
  adopt:
    description:
      - Whether to take over an account or role with a name that this module or another tool would use, even if nothing
        shows which cluster it belongs to. Objects of another cluster are never taken over.
    type: bool
    default: false
  enable_services:
    description:
      - Whether to enable the Google Cloud services that CAST AI needs. They are
        C(serviceusage), C(cloudresourcemanager), C(iam), C(container) and C(compute), and with
        O(identity=impersonation) also C(iamcredentials). If V(false) and one is not enabled, the task fails and names
        it.
    type: bool
    default: true
  existing_service_account:
    description:
      - E-mail address of your own service account for CAST AI. It is checked, but neither edited nor deleted. Which of
        its keys are CAST AI's is recorded in the description of the cluster's role. Your own keys stay.
      - With O(role_scope=project), nothing is recorded. Then a key is only created if CAST AI has no credentials for
        the cluster yet, or if no key of the account is usable, and keys are never deleted.
      - If this module created an account for the cluster earlier, it is deleted once CAST AI has a key of yours.
      - It gets the same bindings as an account that this module creates. Roles that other tools gave it stay.
    type: str
  extra_projects:
    description:
      - IDs of further projects in which CAST AI needs its role, such as the host project of a Shared VPC. Each gets
        its own role with the same permissions.
      - The description of the cluster's role records them. So if you later remove a project from the list, the binding
        there is removed.
    type: list
    elements: str
    default: []
  force:
    description:
      - With O(state=absent), whether to remove the account even if CAST AI has not disconnected the cluster. A cluster
        counts as disconnected if CAST AI has no record of it or no credentials for it, or if its status is C(deleted),
        C(archived) or C(failed).
    type: bool
    default: false
  identity:
    description:
      - How CAST AI logs in as the service account. With V(key), CAST AI gets a key of the account.
      - With V(impersonation), there is no key. CAST AI's own service account impersonates this one. CAST AI has to
        enable this for your organization first, and an organization policy may forbid members of other organizations.
    type: str
    choices: [key, impersonation]
    default: key
  load_balancers:
    description:
      - Kinds of load balancers whose members CAST AI manages, which need further permissions in its role.
    type: list
    elements: str
    choices: [target_backend_pools, unmanaged_instance_groups]
    default: []
  location:
    description: Region of a regional cluster, or zone of a zonal one.
    type: str
    required: true
  permissions:
    description:
      - Your own list of permissions for CAST AI's role, instead of the default one. Custom roles do not support
        wildcards.
    type: list
    elements: str
  provider:
    description: Kubernetes platform of the cluster.
    type: str
    choices: [gke]
    required: false
    default: gke
  role_id:
    description:
      - ID of the custom role. By default, it is C(castai.gkeAccess.) and the first characters of O(cluster_id). The ID
        of a deleted role cannot be used again for weeks; until then a number is added to it.
    type: str
  role_scope:
    description:
      - Whether the cluster gets its own custom role or uses the one that all clusters of the project share.
      - V(project) uses C(castai.gkeAccess) from CAST AI's documentation. Clusters share this role, so it is created
        if it is missing and otherwise left as it is, with a warning if its permissions differ.
    type: str
    choices: [cluster, project]
    default: cluster
  service_account_user:
    description:
      - Which service accounts CAST AI may use for its nodes, with the role C(roles/iam.serviceAccountUser).
      - V(node_accounts), the default, allows the accounts of the cluster's node pools, with conditional bindings on the
        project. The condition has the form that CAST AI recommends, which Google does not document. The bindings can
        name 260 accounts, of this project only.
      - V(on_accounts) allows the same accounts with a binding on each of them, in other projects too.
      - V(project) allows all accounts of the project. V(none) gives CAST AI no such binding.
      - If CAST AI could use more accounts before, those bindings stay, with a warning, until you set this option. Then
        the bindings of the other values are removed.
    type: str
    choices: [node_accounts, on_accounts, project, none]
  shared_vpc_role:
    description:
      - What CAST AI may do with the subnets of the cluster and its node pools if they belong to another project, the
        host project of a Shared VPC. V(subnets) gives it C(roles/compute.networkUser) on these subnets. We could not
        confirm that this is enough for CAST AI. V(none) removes such bindings.
      - If this is omitted, the subnets are neither read nor changed. O(state=absent) removes the bindings in any case.
    type: str
    choices: [subnets, none]
seealso:
  - module: castai.onboarding.castai_cluster
  - module: castai.onboarding.castai_preflight
"""

EXAMPLES = r"""
- name: Register the cluster and store its token
  castai.onboarding.castai_cluster:
    provider: gke
    cluster_name: shop
    project: shop-prod-1234
    location: europe-west3
  register: shop

- name: Give CAST AI a service account for the cluster
  castai.onboarding.castai_gke_sa:
    cluster_id: "{{ shop.cluster_id }}"
    cluster_name: shop
    project: shop-prod-1234
    location: europe-west3

- name: Give CAST AI a service account without a key
  castai.onboarding.castai_gke_sa:
    cluster_id: "{{ shop.cluster_id }}"
    cluster_name: shop
    project: shop-prod-1234
    location: europe-west3
    identity: impersonation

- name: Prepare everything, with a binding on each node account, and hand over later
  castai.onboarding.castai_gke_sa:
    cluster_id: "{{ shop.cluster_id }}"
    cluster_name: shop
    project: shop-prod-1234
    location: europe-west3
    service_account_user: on_accounts
    hand_over: false

- name: Remove the service account
  castai.onboarding.castai_gke_sa:
    cluster_id: "{{ shop.cluster_id }}"
    cluster_name: shop
    project: shop-prod-1234
    location: europe-west3
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in order, as one imperative sentence for each action.
  returned: success
  type: list
  elements: str
adopted:
  description: Objects that existed before, each with the tool that created it, judging by its name.
  returned: success, when O(state=present)
  type: dict
applied:
  description: What was done before the failure.
  returned: failure
  type: list
  elements: str
bindings:
  description: Bindings that were added or removed, or would be in check mode.
  returned: success
  type: dict
  contains:
    added:
      description: New bindings, each with its C(resource), C(role), C(member) and, if it has one, C(condition).
      type: list
      elements: dict
    removed:
      description: Removed bindings, in the same form.
      type: list
      elements: dict
  sample:
    added:
      - resource: shop-prod-1234
        role: projects/shop-prod-1234/roles/castai.gkeAccess.5b0a1ff3
        member: serviceAccount:castai-gke-5042d146@shop-prod-1234.iam.gserviceaccount.com
    removed: []
changes:
  description: Three lists of the objects that were C(created), C(changed) and C(removed), or would be in check mode.
  returned: success
  type: dict
  sample:
    created:
      - gcp/service-account/castai-gke-5042d146@shop-prod-1234.iam.gserviceaccount.com
      - gcp/role/projects/shop-prod-1234/roles/castai.gkeAccess.5b0a1ff3
      - gcp/policy/shop-prod-1234
    changed: []
    removed: []
kept:
  description: Objects that were not removed, each with the reason.
  returned: success, when O(state=absent)
  type: list
  elements: str
role:
  description: Full name of the custom role, even if it does not exist.
  returned: success, when O(state=present)
  type: str
service_account:
  description: E-mail address of the service account, even if it does not exist.
  returned: success
  type: str
"""

from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_module
from ansible_collections.castai.onboarding.plugins.module_utils._google.gke_sa import SUBJECT


def main() -> None:
    run_module(SUBJECT)


if __name__ == "__main__":
    main()
