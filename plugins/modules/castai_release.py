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
  - Installs one Helm release of CAST AI's components, upgrades it, repairs it or uninstalls it, as needed.
  - The current state is read from the release's own record in the cluster and from the objects that its manifest names.
    Helm runs only when there is something to do, so a run that changes nothing starts no process and downloads nothing.
  - A release is repaired, whatever the O(policy), if it failed, if a killed Helm left it half done, or if some of its
    objects were deleted.
  - The release's Namespace is never deleted, even where an older installation made it part of the release. Before an
    upgrade or a roll-back it gets the annotation C(helm.sh/resource-policy=keep), before an uninstall it is taken out
    of the release's record.
  - Before an upgrade, in check mode too, the chart is rendered. The task fails where the upgrade would add an object
    that exists already and is not the release's, unless O(adopt) takes it over.
  - An uninstall also deletes what the chart's hooks created, which Helm leaves, but for CustomResourceDefinitions and
    claims of volumes.
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
  adopt:
    description:
      - Whether the install of the release takes over an installation that no Helm release owns, such as an agent
        installed by C(kubectl apply). Without it the task fails if a workload, ServiceAccount or ClusterRole that the
        chart names exists outside Helm. A later upgrade takes over what it would add to the release, if that exists.
      - Needs Helm 3.17 or newer. Objects of another Helm release are never taken over, with the exception of
        O(adopt_managed). The task fails if the workload, ServiceAccount or ClusterRole belongs to one, even if that
        release is in another namespace.
    type: bool
    default: false
  adopt_managed:
    description:
      - Whether the task changes or takes over what Argo CD, Flux, CAST AI's operator or its umbrella chart manages.
        Without it the task fails where it would change such a release, naming who manages it. Both then change the
        release, each undoing the other's work, until the other is told to leave it alone.
      - What does not belong to the release yet is only taken over with O(adopt) too.
    type: bool
    default: false
  chart_ref:
    description:
      - The chart. Its name in O(chart_repo_url), an C(oci://) address, the address of an archive, the path of an
        archive or folder that starts with C(/), C(./), C(../) or C(~) or ends in C(.tgz), or C(REPOSITORY/CHART) for a
        repository that the same user has added with C(helm repo add).
      - An address with a user name or password in it is refused, here and in O(chart_repo_url). Log in with
        C(helm registry login) or C(helm repo add) instead.
      - Required when O(state=present).
    type: str
  chart_repo_url:
    description: Address of the chart's repository, when O(chart_ref) is a name in it.
    type: str
  chart_version:
    description:
      - Exact version of the chart, in quotes.
      - Without it an install takes the newest one, and an existing release is not upgraded for a new version alone.
        A chart given by a path has its own version.
    type: str
  create_namespace:
    description:
      - Whether an install creates the namespace when it is absent. Helm is told to only then; Helm 4 needs the verb
        C(patch) on Namespaces for it.
    type: bool
    default: true
  delete_superseded_records:
    description:
      - Whether Helm's records of older revisions are deleted if they hold an API key, once the newest revision holds
        none. Without it a warning names them.
    type: bool
    default: false
  helm_path:
    description: Path of the Helm program, version 3.14 or newer, or 4. It is searched for on the E(PATH) when not set.
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
      - What to do with a release on which a Helm is at work, or was killed at work.
      - V(recover) waits for O(pending_grace), then rolls back to the last complete revision and goes on from there. If
        there is none, it marks the killed install as failed and upgrades from there.
      - V(fail) makes the task fail.
    type: str
    choices: [recover, fail]
    default: recover
  pending_grace:
    description:
      - Seconds after which a Helm that has not finished its work on the release counts as killed. They are counted from
        the last change of the release's record, by the clocks of the two machines.
      - Not waited for in check mode.
    type: int
    default: 300
  policy:
    description:
      - V(enforce) upgrades the release when its chart's name or version, or its values, differ from the wanted ones.
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
      - Seconds that Helm may take for each thing it waits for, such as hooks, or the objects with O(wait), and seconds
        that the workloads may take with O(wait_for_workloads).
      - The token that Helm gets for a cluster that is reached by EKS alone is valid for 15 minutes.
    type: int
    default: 300
  values:
    description:
      - The chart's values. They replace all values that the release has, other than the chart's own defaults.
      - Helm stores them in the cluster. Do not put secrets in; CAST AI's charts take the name of a Secret instead.
      - Results do not show them. A diff shows only those that change, each by its path, and C(********) for those whose
        path looks secret. That is when the last part ends in key, token, password, passphrase, secret or credentials,
        or an earlier part contains secret, password or credential, and no part ends in ref or name. Texts of such
        values, of six characters and more, are masked wherever else they occur in the result.
    type: dict
    default: {}
  wait:
    description: Whether Helm waits until the release's objects are ready. O(wait_for_workloads) does more.
    type: bool
    default: false
  wait_for_workloads:
    description:
      - Whether the release has to run. Every run looks at its Deployments, DaemonSets and StatefulSets, also when
        there is nothing to change, and waits O(timeout) seconds at most until as many pods are ready as the objects in
        the cluster want. Pods of a DaemonSet on nodes that are not ready themselves are not waited for.
      - It fails with what the pods or their controller say. It does so within a minute if waiting cannot help, such as
        for an image that cannot be pulled, a missing Secret, a quota, a PodSecurity level, or a pod that no node takes
        and no autoscaler looks after.
      - If V(false), what does not run is a warning. Check mode never waits, and warns too.
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

- name: Install the cluster controller by a kubeconfig, and leave later upgrades to CAST AI
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
  description: What was done, or would be done in check mode, in order. Each a sentence in the imperative.
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
  description: The objects that were C(created), C(changed) and C(removed), or would be in check mode, a list each.
  returned: success
  type: dict
  sample:
    created: [helm/release/castai-agent/castai-agent]
    changed: []
    removed: []
release:
  description: The release afterwards, in check mode as it is before. Null when it is not installed.
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
      description: Helm's status of that revision, V(deployed) when all is well.
      type: str
"""

from ansible_collections.castai.onboarding.plugins.module_utils._engine import run_module
from ansible_collections.castai.onboarding.plugins.module_utils._helm.release import SUBJECT


def main() -> None:
    run_module(SUBJECT)


if __name__ == "__main__":
    main()
