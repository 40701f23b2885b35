# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from textwrap import indent


def _in_list(name: str, options: str) -> str:
    """The same options as suboptions of the list `name`, from the line after their heading."""
    own = options.partition("options:\n")[2]
    return indent(re.sub(r"\bO\(", f"O({name}[].", own), "    ")


class ModuleDocFragment:
    """The options of one Helm release, alone or in a list, and those of the task."""

    DOCUMENTATION = r"""
options:
  adopt:
    description:
      - Whether the install takes over an existing installation that does not belong to a Helm release, such as an agent
        installed with C(kubectl apply). Without it, the task fails if a workload, ServiceAccount or ClusterRole of the
        chart exists outside Helm. A later upgrade takes over existing objects that it would add to the release.
      - Needs Helm 3.17 or newer. Objects of another Helm release are never taken over, except those of CAST AI's
        umbrella chart with O(adopt_managed). The task fails if an object of the chart belongs to another release, even
        if that release is in another namespace. Custom resources are not checked.
    type: bool
    default: false
  adopt_managed:
    description:
      - Whether the task changes or takes over a release that Argo CD, Flux, CAST AI's operator or its umbrella chart
        manages. Without it, the task fails and names the other tool. With it, the two tools keep undoing each other's
        changes until the other tool stops managing the release.
      - Objects that do not belong to the release yet are only taken over if O(adopt) is also set.
    type: bool
    default: false
  chart_ref:
    description:
      - Name, path or address of the chart. This is its name in O(chart_repo_url), an C(oci://) address, the address of
        an archive, the path of an archive or folder that starts with C(/), C(./), C(../) or C(~) or ends in C(.tgz), or
        C(REPOSITORY/CHART) for a repository that the same user has added with C(helm repo add).
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
  delete_superseded_records:
    description:
      - Whether to delete Helm's records of older revisions that contain an API key, once the newest revision contains
        none. Without it, a warning names these records.
    type: bool
    default: false
  name:
    description: Name of the release.
    type: str
    required: true
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
      - Whether to keep an existing release at the chart and values of these options.
      - V(enforce) upgrades the release if the name or version of its chart, or its values, differ from these options.
      - V(install_only) leaves the chart and values of an existing release unchanged. Use it for components that CAST AI
        upgrades and reconfigures itself.
    type: str
    choices: [enforce, install_only]
    default: enforce
  purpose:
    description:
      - What the release does in the cluster, in words that can follow C(which), such as C(adds and removes nodes). A
        plan that installs the release shows it, for readers who do not know the release by name.
    type: str
  state:
    description: Whether the release should be installed.
    type: str
    choices: [present, absent]
    default: present
  timeout:
    description:
      - Maximum number of seconds for each of Helm's waits, for example for hooks or, with O(wait), for the objects.
        With O(wait_for_workloads), the task waits as long again for the workloads.
    type: int
    default: 300
  values:
    description:
      - Values for the chart. They replace all current values of the release except for the chart's defaults.
      - Helm stores them in the cluster, so do not put secrets in them. CAST AI's charts take the name of a Secret
        instead.
      - Results do not show them. A diff only shows values that change, each with its path, and C(********) instead of
        values whose path looks secret. A path looks secret if its last part ends in key, token, password, passphrase,
        secret or credentials, or if an earlier part contains secret, password or credential, unless a part ends in ref
        or name. The name of an environment variable or of a flag before an argument counts as part of the path.
      - Passwords in addresses, the secret part of a webhook's address, and whatever Ansible Vault encrypts are masked
        too. Secret texts of six or more characters are also masked everywhere else in the result.
    type: dict
    default: {}
  wait:
    description: Whether Helm waits until the release's objects are ready. O(wait_for_workloads) checks more.
    type: bool
    default: false
  wait_for_workloads:
    description:
      - Whether the task fails if the release is not running. Every run checks its Deployments, DaemonSets and
        StatefulSets, even if there is nothing to change, and waits at most O(timeout) seconds until all the pods that
        these objects ask for are ready. It does not wait for pods of a DaemonSet on nodes that are not ready
        themselves.
      - If the pods do not become ready, the task fails with the reason given by them or their controller. It fails
        within a minute if waiting cannot help, for example if an image cannot be pulled, a Secret is missing, a quota
        or a PodSecurity level rejects the pod, or no node accepts it and no autoscaler would add one.
      - If V(false), this is only a warning. Check mode never waits, and only warns.
    type: bool
    default: true
"""

    # With a type, as sanity's yamllint takes each plain assignment here for a constant text.
    LISTED: str = f"""
options:
  releases:
    description:
      - The releases, in order. Each takes the options of M(castai.onboarding.castai_release), except for the ones
        above. With an empty list, there is nothing to do.
    type: list
    elements: dict
    required: true
    suboptions:
{_in_list("releases", DOCUMENTATION)}
  unwanted:
    description:
      - Names of releases to look for, without changing them. If one is installed, a warning says how to uninstall it.
      - The role P(castai.onboarding.components#role) lists the components here that the inventory turns off.
    type: list
    elements: str
    default: []
"""

    TASK = r"""
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
"""
