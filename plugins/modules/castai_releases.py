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
  - Does for each release of a list what M(castai.onboarding.castai_release) does for one, in one task. The cluster is
    asked once for what counts for all of them, before anything is changed. If one of the releases must not be changed,
    the task fails with the reason before it changes any.
  - Helm works on the first release of the list alone, then on the others, four at a time. Last, the task waits for the
    workloads of all of them together.
  - A release that fails does not stop the others. In the end the task fails and says for each failed release why. A
    rerun goes on from there.
author: castai.onboarding authors (@castai)
extends_documentation_fragment:
  - castai.onboarding.attributes
  - castai.onboarding.cluster.optional
  - castai.onboarding.aws
  - castai.onboarding.kubernetes
attributes:
  action_group:
    membership:
      - castai.onboarding.all
      - castai.onboarding.aws
      - castai.onboarding.cluster
      - castai.onboarding.kubernetes
options:
  create_namespace:
    description:
      - Whether an install creates the namespace when it is absent. Helm is told to only then; Helm 4 needs the verb
        C(patch) on Namespaces for it.
    type: bool
    default: true
  helm_path:
    description: Path of the Helm program, version 3.14 or newer, or 4. It is searched for on the E(PATH) when not set.
    type: path
  namespace:
    description: Namespace of the releases.
    type: str
    default: castai-agent
  releases:
    description:
      - The releases, the first one first. Each takes what M(castai.onboarding.castai_release) takes for one, beside the
        options above. An empty list is nothing to do.
    type: list
    elements: dict
    required: true
    suboptions:
      adopt:
        description:
          - Whether the install of the release takes over an installation that no Helm release owns, such as an agent
            installed by C(kubectl apply). Without it the task fails if a workload, ServiceAccount or ClusterRole that
            the chart names exists outside Helm. A later upgrade takes over what it would add to the release, if that
            exists.
          - Needs Helm 3.17 or newer. Objects of another Helm release are never taken over, with the exception of
            O(releases[].adopt_managed). The task fails if the workload, ServiceAccount or ClusterRole belongs to one,
            even if that release is in another namespace.
        type: bool
        default: false
      adopt_managed:
        description:
          - Whether the task changes or takes over what Argo CD, Flux, CAST AI's operator or its umbrella chart manages.
            Without it the task fails where it would change such a release, naming who manages it. Both then change the
            release, each undoing the other's work, until the other is told to leave it alone.
          - What does not belong to the release yet is only taken over with O(releases[].adopt) too.
        type: bool
        default: false
      chart_ref:
        description:
          - The chart. Its name in O(releases[].chart_repo_url), an C(oci://) address, the address of an archive, the
            path of an archive or folder that starts with C(/), C(./), C(../) or C(~) or ends in C(.tgz), or
            C(REPOSITORY/CHART) for a repository that the same user has added with C(helm repo add).
          - An address with a user name or password in it is refused, here and in O(releases[].chart_repo_url). Log in
            with C(helm registry login) or C(helm repo add) instead.
          - Required when O(releases[].state=present).
        type: str
      chart_repo_url:
        description: Address of the chart's repository, when O(releases[].chart_ref) is a name in it.
        type: str
      chart_version:
        description:
          - Exact version of the chart, in quotes.
          - Without it an install takes the newest one, and an existing release is not upgraded for a new version alone.
            A chart given by a path has its own version.
        type: str
      delete_superseded_records:
        description:
          - Whether Helm's records of older revisions are deleted if they hold an API key, once the newest revision
            holds none. Without it a warning names them.
        type: bool
        default: false
      name:
        description: Name of the release.
        type: str
        required: true
      pending:
        description:
          - What to do with a release on which a Helm is at work, or was killed at work.
          - V(recover) waits for O(releases[].pending_grace), then rolls back to the last complete revision and goes on
            from there. If there is none, it marks the killed install as failed and upgrades from there.
          - V(fail) makes the task fail.
        type: str
        choices: [recover, fail]
        default: recover
      pending_grace:
        description:
          - Seconds after which a Helm that has not finished its work on the release counts as killed. They are counted
            from the last change of the release's record, by the clocks of the two machines.
          - Not waited for in check mode.
        type: int
        default: 300
      policy:
        description:
          - V(enforce) upgrades the release when its chart's name or version, or its values, differ from the wanted
            ones.
          - V(install_only) does not change chart and values of an existing release. It is for components that CAST AI
            itself upgrades and gives other values.
        type: str
        choices: [enforce, install_only]
        default: enforce
      purpose:
        description:
          - What the release does in the cluster, to follow the word C(which), such as C(adds and removes nodes). A plan
            that installs the release says it, for those who do not know the release by its name.
        type: str
      state:
        description: Whether the release is installed.
        type: str
        choices: [present, absent]
        default: present
      timeout:
        description:
          - Seconds that Helm may take for each thing it waits for, such as hooks, or the objects with
            O(releases[].wait), and seconds that the workloads may take with O(releases[].wait_for_workloads).
          - The token that Helm gets for a cluster that is reached by EKS alone is valid for 15 minutes.
        type: int
        default: 300
      values:
        description:
          - The chart's values. They replace all values that the release has, other than the chart's own defaults.
          - Helm stores them in the cluster. Do not put secrets in; CAST AI's charts take the name of a Secret instead.
          - Results do not show them. A diff shows only those that change, each by its path, and C(********) for those
            whose path looks secret. That is when the last part ends in key, token, password, passphrase, secret or
            credentials, or an earlier part contains secret, password or credential, and no part ends in ref or name.
            Texts of such values, of six characters and more, are masked wherever else they occur in the result.
        type: dict
        default: {}
      wait:
        description:
          - Whether Helm waits until the release's objects are ready. O(releases[].wait_for_workloads) does more.
        type: bool
        default: false
      wait_for_workloads:
        description:
          - Whether the release has to run. Every run looks at its Deployments, DaemonSets and StatefulSets, also when
            there is nothing to change, and waits O(releases[].timeout) seconds at most until as many pods are ready as
            the objects in the cluster want. Pods of a DaemonSet on nodes that are not ready themselves are not waited
            for.
          - It fails with what the pods or their controller say. It does so within a minute if waiting cannot help, such
            as for an image that cannot be pulled, a missing Secret, a quota, a PodSecurity level, or a pod that no node
            takes and no autoscaler looks after.
          - If V(false), what does not run is a warning. Check mode never waits, and warns too.
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
    - What was done, or would be done in check mode, in the order of the list. Each a sentence in the imperative.
  returned: success
  type: list
  elements: str
  sample:
    - >-
      install Helm release cluster-controller, which adds, drains and removes nodes, in namespace castai-agent (chart
      castai-cluster-controller 0.92.14)
applied:
  description: What was done, also after the failure of one release.
  returned: failure
  type: list
  elements: str
changes:
  description: The objects that were C(created), C(changed) and C(removed), or would be in check mode, a list each.
  returned: success
  type: dict
  sample:
    created: [helm/release/castai-agent/cluster-controller]
    changed: []
    removed: []
releases:
  description:
    - The releases by name, each as M(castai.onboarding.castai_release) returns one as
      RV(castai.onboarding.castai_release#module:release). Null for one that is not installed.
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
