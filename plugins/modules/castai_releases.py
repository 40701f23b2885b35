#!/usr/bin/python
# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: castai_releases
short_description: Install, upgrade, repair or uninstall several Helm releases
version_added: 0.1.0
description:
  - Does in one task for a list of releases what M(castai.onboarding.castai_release) does for a single one. The state
    that concerns all of them is read once, before anything is changed. If one of the releases must not be changed, the
    task fails with the reason before it changes any.
  - Helm works on the first release of the list alone, then on the others, four at a time. Finally, the task waits for
    the workloads of all of them together.
  - A release that fails does not stop the others. At the end the task fails and gives the reason for each failed
    release. A rerun continues from there.
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
  create_namespace:
    description:
      - Whether an install creates a missing namespace. Helm gets the corresponding flag only if it is missing. With
        Helm 4 this needs the verb C(patch) on Namespaces.
    type: bool
    default: true
  helm_path:
    description: Path of the Helm program, version 3.14 or newer, or 4. By default, C(helm) is looked up on the E(PATH).
    type: path
  namespace:
    description: Namespace of the releases.
    type: str
    default: castai-agent
  releases:
    description:
      - The releases, in order. Each takes the options of M(castai.onboarding.castai_release), except for the ones
        above. With an empty list, there is nothing to do.
    type: list
    elements: dict
    required: true
    suboptions:
      adopt:
        description:
          - Whether the install takes over an existing installation that does not belong to a Helm release, such as an
            agent installed with C(kubectl apply). Without it, the task fails if a workload, ServiceAccount or
            ClusterRole of the chart exists outside Helm. A later upgrade takes over existing objects that it would add
            to the release.
          - Needs Helm 3.17 or newer. Objects of another Helm release are never taken over, except with
            O(releases[].adopt_managed). The task fails if the workload, ServiceAccount or ClusterRole belongs to
            another release, even if that release is in another namespace.
        type: bool
        default: false
      adopt_managed:
        description:
          - Whether the task changes or takes over a release that Argo CD, Flux, CAST AI's operator or its umbrella
            chart manages. Without it, the task fails instead and names the manager. With it, both tools keep undoing
            each other's changes until the other one stops managing the release.
          - Objects that do not belong to the release yet are only taken over if O(releases[].adopt) is also set.
        type: bool
        default: false
      chart_ref:
        description:
          - The chart. Its name in O(releases[].chart_repo_url), an C(oci://) address, the address of an archive, the
            path of an archive or folder that starts with C(/), C(./), C(../) or C(~) or ends in C(.tgz), or
            C(REPOSITORY/CHART) for a repository that the same user has added with C(helm repo add).
          - Addresses must not contain a user name or password, here and in O(releases[].chart_repo_url). Log in with
            C(helm registry login) or C(helm repo add) instead.
          - Required when O(releases[].state=present).
        type: str
      chart_repo_url:
        description: Address of the chart's repository, if O(releases[].chart_ref) is a name in it.
        type: str
      chart_version:
        description:
          - Exact version of the chart, in quotes.
          - Without it, an install uses the newest version, and an existing release is not upgraded just because there
            is a new version. A chart given as a path has its own version.
        type: str
      delete_superseded_records:
        description:
          - Whether Helm's records of older revisions that contain an API key are deleted once the newest revision
            contains none. Without it, a warning names these records.
        type: bool
        default: false
      name:
        description: Name of the release.
        type: str
        required: true
      pending:
        description:
          - What to do with a release that Helm is still working on, or was working on when it was killed.
          - V(recover) waits for O(releases[].pending_grace), then rolls back to the last complete revision and
            continues from there. If there is none, it marks the killed install as failed and upgrades from there.
          - V(fail) makes the task fail.
        type: str
        choices: [recover, fail]
        default: recover
      pending_grace:
        description:
          - Seconds after which a Helm process that has not finished counts as killed. They are counted from the last
            change of the release's record, so they depend on the clocks of both machines.
          - Check mode does not wait.
        type: int
        default: 300
      policy:
        description:
          - V(enforce) upgrades the release if the name or version of its chart, or its values, differ from these
            options.
          - V(install_only) leaves the chart and values of an existing release unchanged. Use it for components that
            CAST AI upgrades and reconfigures itself.
        type: str
        choices: [enforce, install_only]
        default: enforce
      purpose:
        description:
          - What the release does in the cluster, worded to follow C(which), such as C(adds and removes nodes). A plan
            that installs the release shows it to readers who do not know the release by name.
        type: str
      state:
        description: Whether the release is installed.
        type: str
        choices: [present, absent]
        default: present
      timeout:
        description:
          - Seconds that Helm may take for each wait, such as for hooks or, with O(releases[].wait), for the objects. It
            is also the number of seconds that the workloads may take with O(releases[].wait_for_workloads).
          - For a cluster that is reached through EKS alone, the token that Helm gets is valid for 15 minutes.
        type: int
        default: 300
      values:
        description:
          - The chart's values. They replace all current values of the release except for the chart's defaults.
          - Helm stores them in the cluster, so do not put secrets in them. CAST AI's charts take the name of a Secret
            instead.
          - Results do not show them. A diff only shows values that change, each with its path, and C(********) instead
            of values whose path looks secret. A path looks secret if its last part ends in key, token, password,
            passphrase, secret or credentials, or if an earlier part contains secret, password or credential, unless a
            part ends in ref or name. Secret texts of six or more characters are also masked everywhere else in the
            result.
        type: dict
        default: {}
      wait:
        description:
          - Whether Helm waits until the release's objects are ready. O(releases[].wait_for_workloads) checks more.
        type: bool
        default: false
      wait_for_workloads:
        description:
          - Whether the release must be running. Every run checks its Deployments, DaemonSets and StatefulSets, even if
            there is nothing to change, and waits at most O(releases[].timeout) seconds until as many pods are ready as
            the objects in the cluster ask for. It does not wait for pods of a DaemonSet on nodes that are not ready
            themselves.
          - If the pods do not become ready, the task fails with the reason that they or their controller give. It fails
            within a minute if waiting cannot help, for example if an image cannot be pulled, a Secret is missing, a
            quota or a PodSecurity level rejects the pod, or no node accepts it and no autoscaler would add one.
          - If V(false), this is only a warning. Check mode never waits, and only warns.
        type: bool
        default: true
requirements:
  - Helm 3.14 or newer
seealso:
  - module: castai.onboarding.castai_preflight
  - module: castai.onboarding.castai_release
"""

EXAMPLES = r"""
- name: Install two components, and leave later upgrades to CAST AI
  castai.onboarding.castai_releases:
    releases:
      - name: cluster-controller
        chart_ref: castai-cluster-controller
        chart_repo_url: https://castai.github.io/helm-charts
        chart_version: 0.92.14
        policy: install_only
        purpose: adds, drains and removes nodes
        values:
          castai:
            apiKeySecretRef: castai-credentials
            clusterID: "{{ shop.cluster_id }}"
      - name: castai-spot-handler
        chart_ref: castai-spot-handler
        chart_repo_url: https://castai.github.io/helm-charts
        chart_version: 0.35.5
        policy: install_only
        values:
          apiKeySecretRef: castai-credentials
          createNamespace: false
          castai:
            clusterID: "{{ shop.cluster_id }}"
            provider: aws
    provider: eks
    cluster_name: shop-prod
    region: eu-central-1

- name: Uninstall two components
  castai.onboarding.castai_releases:
    releases:
      - name: castai-evictor
        state: absent
      - name: castai-pod-pinner
        state: absent
    kubeconfig: ~/.kube/config
    context: shop-prod
"""

RETURN = r"""
actions:
  description:
    - What was done, or would be done in check mode, in the order of the list, as one imperative sentence for each
      action.
  returned: success
  type: list
  elements: str
  sample:
    - >-
      install Helm release cluster-controller, which adds, drains and removes nodes, in namespace castai-agent (chart
      castai-cluster-controller 0.92.14)
applied:
  description: What was done before the failure and, for the other releases, after it.
  returned: failure
  type: list
  elements: str
changes:
  description: Three lists of the objects that were C(created), C(changed) and C(removed), or would be in check mode.
  returned: success
  type: dict
  sample:
    created: [helm/release/castai-agent/cluster-controller]
    changed: []
    removed: []
releases:
  description:
    - The releases by name, each in the form of RV(castai.onboarding.castai_release#module:release). Null for a release
      that is not installed.
  returned: success
  type: dict
  sample:
    cluster-controller:
      app_version: v0.63.6
      chart: castai-cluster-controller
      chart_version: 0.92.14
      name: cluster-controller
      namespace: castai-agent
      revision: 1
      status: deployed
"""

from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_module
from ansible_collections.castai.onboarding.plugins.module_utils._helm.releases import SUBJECT


def main() -> None:
    run_module(SUBJECT)


if __name__ == "__main__":
    main()
