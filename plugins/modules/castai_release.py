#!/usr/bin/python
# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: castai_release
short_description: Install, upgrade, repair or uninstall a Helm release
version_added: 0.1.0
description:
  - Installs, upgrades, repairs or uninstalls a single Helm release of CAST AI's components, as needed.
  - The current state is read from the release's own record in the cluster and from the objects in its manifest. Helm
    only runs if there is something to do, so a run that changes nothing starts no process and downloads nothing.
  - A release is repaired, whatever its O(policy), if it failed, if Helm was killed before it had finished, or if some
    of its objects were deleted.
  - The release's Namespace is never deleted, even if an older installation made it part of the release. Before an
    upgrade or rollback it gets the annotation C(helm.sh/resource-policy=keep). Before an uninstall it is removed from
    the release's record.
  - The chart is rendered before an upgrade, in check mode too. The task fails if the upgrade would add an object that
    already exists and does not belong to the release, unless O(adopt) takes it over.
  - An uninstall also deletes objects that the chart's hooks created and Helm leaves behind, except for
    CustomResourceDefinitions and PersistentVolumeClaims.
author: castai.onboarding authors (@castai)
extends_documentation_fragment:
  - castai.onboarding.attributes
  - castai.onboarding.cluster.optional
  - castai.onboarding.aws
  - castai.onboarding.google
  - castai.onboarding.kubernetes
attributes:
  action_group:
    membership:
      - castai.onboarding.all
      - castai.onboarding.aws
      - castai.onboarding.cluster
      - castai.onboarding.google
      - castai.onboarding.kubernetes
options:
  adopt:
    description:
      - Whether the install takes over an existing installation that does not belong to a Helm release, such as an agent
        installed with C(kubectl apply). Without it, the task fails if a workload, ServiceAccount or ClusterRole of the
        chart exists outside Helm. A later upgrade takes over existing objects that it would add to the release.
      - Needs Helm 3.17 or newer. Objects of another Helm release are never taken over, except with O(adopt_managed).
        The task fails if the workload, ServiceAccount or ClusterRole belongs to another release, even if that release
        is in another namespace.
    type: bool
    default: false
  adopt_managed:
    description:
      - Whether the task changes or takes over a release that Argo CD, Flux, CAST AI's operator or its umbrella chart
        manages. Without it, the task fails instead and names the manager. With it, both tools keep undoing each other's
        changes until the other one stops managing the release.
      - Objects that do not belong to the release yet are only taken over if O(adopt) is also set.
    type: bool
    default: false
  chart_ref:
    description:
      - The chart. Its name in O(chart_repo_url), an C(oci://) address, the address of an archive, the path of an
        archive or folder that starts with C(/), C(./), C(../) or C(~) or ends in C(.tgz), or C(REPOSITORY/CHART) for a
        repository that the same user has added with C(helm repo add).
      - Addresses must not contain a user name or password, here and in O(chart_repo_url). Log in with
        C(helm registry login) or C(helm repo add) instead.
      - Required when O(state=present).
    type: str
  chart_repo_url:
    description: Address of the chart's repository, if O(chart_ref) is a name in it.
    type: str
  chart_version:
    description:
      - Exact version of the chart, in quotes.
      - Without it, an install uses the newest version, and an existing release is not upgraded just because there is a
        new version. A chart given as a path has its own version.
    type: str
  create_namespace:
    description:
      - Whether an install creates a missing namespace. Helm gets the corresponding flag only if it is missing. With
        Helm 4 this needs the verb C(patch) on Namespaces.
    type: bool
    default: true
  delete_superseded_records:
    description:
      - Whether Helm's records of older revisions that contain an API key are deleted once the newest revision contains
        none. Without it, a warning names these records.
    type: bool
    default: false
  helm_path:
    description: Path of the Helm program, version 3.14 or newer, or 4. By default, C(helm) is looked up on the E(PATH).
    type: path
  name:
    description: Name of the release.
    type: str
    required: true
  namespace:
    description: Namespace of the release.
    type: str
    default: castai-agent
  pending:
    description:
      - What to do with a release that Helm is still working on, or was working on when it was killed.
      - V(recover) waits for O(pending_grace), then rolls back to the last complete revision and continues from there.
        If there is none, it marks the killed install as failed and upgrades from there.
      - V(fail) makes the task fail.
    type: str
    choices: [recover, fail]
    default: recover
  pending_grace:
    description:
      - Seconds after which a Helm process that has not finished counts as killed. They are counted from the last change
        of the release's record, so they depend on the clocks of both machines.
      - Check mode does not wait.
    type: int
    default: 300
  policy:
    description:
      - V(enforce) upgrades the release if the name or version of its chart, or its values, differ from these options.
      - V(install_only) leaves the chart and values of an existing release unchanged. Use it for components that CAST AI
        upgrades and reconfigures itself.
    type: str
    choices: [enforce, install_only]
    default: enforce
  purpose:
    description:
      - What the release does in the cluster, worded to follow C(which), such as C(adds and removes nodes). A plan that
        installs the release shows it to readers who do not know the release by name.
    type: str
  state:
    description: Whether the release is installed.
    type: str
    choices: [present, absent]
    default: present
  timeout:
    description:
      - Seconds that Helm may take for each wait, such as for hooks or, with O(wait), for the objects. It is also the
        number of seconds that the workloads may take with O(wait_for_workloads).
      - For a cluster that is reached through EKS alone, the token that Helm gets is valid for 15 minutes.
    type: int
    default: 300
  values:
    description:
      - The chart's values. They replace all current values of the release except for the chart's defaults.
      - Helm stores them in the cluster, so do not put secrets in them. CAST AI's charts take the name of a Secret
        instead.
      - Results do not show them. A diff only shows values that change, each with its path, and C(********) instead of
        values whose path looks secret. A path looks secret if its last part ends in key, token, password, passphrase,
        secret or credentials, or if an earlier part contains secret, password or credential, unless a part ends in ref
        or name. Secret texts of six or more characters are also masked everywhere else in the result.
    type: dict
    default: {}
  wait:
    description: Whether Helm waits until the release's objects are ready. O(wait_for_workloads) checks more.
    type: bool
    default: false
  wait_for_workloads:
    description:
      - Whether the release must be running. Every run checks its Deployments, DaemonSets and StatefulSets, even if
        there is nothing to change, and waits at most O(timeout) seconds until as many pods are ready as the objects in
        the cluster ask for. It does not wait for pods of a DaemonSet on nodes that are not ready themselves.
      - If the pods do not become ready, the task fails with the reason that they or their controller give. It fails
        within a minute if waiting cannot help, for example if an image cannot be pulled, a Secret is missing, a quota
        or a PodSecurity level rejects the pod, or no node accepts it and no autoscaler would add one.
      - If V(false), this is only a warning. Check mode never waits, and only warns.
    type: bool
    default: true
requirements:
  - Helm 3.14 or newer
seealso:
  - module: castai.onboarding.castai_cluster
  - module: castai.onboarding.castai_preflight
  - module: castai.onboarding.castai_releases
"""

EXAMPLES = r"""
- name: Install the agent into an EKS cluster, and keep it at this version with these values
  castai.onboarding.castai_release:
    name: castai-agent
    chart_ref: castai-agent
    chart_repo_url: https://castai.github.io/helm-charts
    chart_version: 0.161.1
    values:
      provider: eks
      apiURL: https://api.cast.ai
      apiKeySecretRef: castai-credentials
      createNamespace: false
    adopt: true
    provider: eks
    cluster_name: shop-prod
    region: eu-central-1

- name: Install the cluster controller with a kubeconfig, and leave later upgrades to CAST AI
  castai.onboarding.castai_release:
    name: cluster-controller
    chart_ref: /srv/charts/castai-cluster-controller-0.92.14.tgz
    values:
      castai:
        apiKeySecretRef: castai-credentials
        clusterID: "{{ shop.cluster_id }}"
    policy: install_only
    kubeconfig: ~/.kube/config
    context: shop-prod

- name: Uninstall the agent
  castai.onboarding.castai_release:
    name: castai-agent
    state: absent
    kubeconfig: ~/.kube/config
    context: shop-prod
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in order, as one imperative sentence for each action.
  returned: success
  type: list
  elements: str
  sample:
    - install Helm release castai-agent in namespace castai-agent (chart castai-agent 0.161.1)
applied:
  description: What was done before the failure.
  returned: failure
  type: list
  elements: str
changes:
  description: Three lists of the objects that were C(created), C(changed) and C(removed), or would be in check mode.
  returned: success
  type: dict
  sample:
    created: [helm/release/castai-agent/castai-agent]
    changed: []
    removed: []
release:
  description: The release after the task; in check mode, the current release. Null if it is not installed.
  returned: success
  type: dict
  contains:
    app_version:
      description: Version of the component.
      type: str
    chart:
      description: Name of the chart.
      type: str
    chart_version:
      description: Version of the chart.
      type: str
    name:
      description: Name of the release.
      type: str
    namespace:
      description: Namespace of the release.
      type: str
    revision:
      description: Number of the newest revision.
      type: int
    status:
      description: Helm's status of that revision, V(deployed) if all is well.
      type: str
"""

from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_module
from ansible_collections.castai.onboarding.plugins.module_utils._helm.release import SUBJECT


def main() -> None:
    run_module(SUBJECT)


if __name__ == "__main__":
    main()
