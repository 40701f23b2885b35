# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""With the published policies everything works; without one of their permissions a run names it, and the next
continues."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._castai import rights
from ansible_collections.castai.onboarding.plugins.module_utils._engine import Stopped
from ansible_collections.castai.onboarding.plugins.module_utils._names import NAMESPACE
from tests.sandbox.client import World
from tests.support.clusters import host_variables
from tests.support.playbook import Run
from tests.support.policies import Policy, actions, for_cluster, only, without
from tests.unit.sandbox.aws_account import sentences
from tests.unit.sandbox.aws_client import HOME
from tests.unit.sandbox.eks_account import CLUSTERS as ACCOUNTS_CLUSTERS
from tests.unit.sandbox.eks_account import World as Account
from tests.unit.sandbox.eks_account import disturb, leave_behind
from tests.unit.sandbox.eks_account import world as account

from .connecting import Operator, changed_nothing, succeeded, writes
from .service_account import WHO, ServiceAccount

__all__ = ["account"]

CLUSTERS = ("prod:eks",)
MODE = "API_AND_CONFIG_MAP"
OPTIONAL = ("iam:GetAccountSummary", "iam:ListPolicies", "iam:ListRolePolicies", "iam:SimulatePrincipalPolicy")
LOOKS = re.compile(":(Describe|Get|List)")
REFUSED = re.compile(r"is not authorized to perform: (\S+) on resource: ")


class Limited:
    """A user without permissions who gets each action of a policy when a run was refused it."""

    def __init__(self, account: Account, policy: Policy) -> None:
        self.account = account
        self.policy = policy
        self.granted: set[str] = set()

    def go_on(self, **options: Any) -> None:
        """Run until it works."""
        refusal = self._run(options)
        while refusal:
            self._grant(refusal)
            refusal = self._run(options)

    def _run(self, options: dict[str, Any]) -> Stopped | None:
        self.account.cloud.put_user_policy(HOME, WHO, only(self.policy, self.granted))
        try:
            self.account.run(MODE, **options)
        except Stopped as stopped:
            return stopped
        return None

    def _grant(self, refusal: Stopped) -> None:
        """A refusal names one action and what was done before, and says that a rerun is safe."""
        message = str(refusal)
        (missing,) = set(REFUSED.findall(message))
        assert missing in actions(self.policy) - self.granted, message
        done = f"Done before that: {'; '.join(refusal.applied)}." if refusal.applied else "Nothing was changed before"
        assert message.startswith("Could not ")
        assert done in message
        assert message.endswith("A rerun is safe and continues from here.")
        self.granted.add(missing)


@pytest.mark.parametrize("identity", ["role", "user"])
def test_each_missing_permission_is_named_and_the_run_goes_on_with_it(account: Account, identity: str) -> None:
    cluster, options = ACCOUNTS_CLUSTERS[MODE].name, {"identity": identity}
    account.act_as(WHO, {"Version": "2012-10-17", "Statement": []})
    onboarding = Limited(account, for_cluster("onboard", identity, cluster))
    onboarding.go_on(**options)
    assert sentences(account.run(MODE, **options)) == []
    disturb(account, MODE, identity)
    onboarding.go_on(**options)
    account.lose(account.run(MODE, **options).view["node_role_arn"])
    onboarding.go_on(**options)
    assert sentences(account.run(MODE, **options)) == []
    assert onboarding.granted == actions(onboarding.policy) - {*OPTIONAL}

    leave_behind(account, MODE, identity)
    back = Limited(account, for_cluster("remove", identity, cluster))
    back.go_on(state="absent", **options)
    assert sentences(account.run(MODE, state="absent", **options)) == []
    assert back.granted == actions(back.policy)


@pytest.mark.parametrize("identity", ["role", "user"])
def test_with_the_published_policies_everything_works(account: Account, identity: str) -> None:
    cluster, options = ACCOUNTS_CLUSTERS[MODE].name, {"identity": identity}
    onboarding = for_cluster("onboard", identity, cluster)
    account.act_as(WHO, onboarding)
    before = account.cloud.state()
    account.run(MODE, **options)
    assert sentences(account.run(MODE, **options)) == []
    account.cloud.put_user_policy(HOME, WHO, for_cluster("remove", identity, cluster))
    account.run(MODE, state="absent", **options)
    account.cloud.put_user_policy(HOME, WHO, onboarding)
    assert account.cloud.state() == before


class Kubernetes(ServiceAccount):
    """A service account with exactly the permissions in the documentation."""

    def __init__(self, world: World) -> None:
        super().__init__(world, "prod")
        self.kubernetes.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})

    def grant(self, name: str, rows: rights.Rows, of_system: rights.Rows) -> None:
        cluster_wide = [row for row in rows if row[1] in rights.OF_CLUSTER]
        self.bind(name, "", [*cluster_wide, ("", "nodes", ("list",))])
        self.bind(name, NAMESPACE, [row for row in rows if row not in cluster_wide])
        self.bind(name, rights.SYSTEM, of_system)

    def withdraw(self, name: str) -> None:
        for namespace in ("", NAMESPACE, rights.SYSTEM):
            self.unbind(name, namespace)


def test_the_playbooks_with_one_permission_after_the_other(world: World, operator: Operator) -> None:
    """As a user with the published permissions except one action, then with all. The first run may not simulate."""
    cluster, kubernetes = world.clusters()["prod"], Kubernetes(world)
    connecting = for_cluster("connect", "role", "prod")
    key_id, secret = world.control("aws", "add_user", account=HOME, name=WHO, policy=connecting)
    authority = operator.folder / "ca.pem"
    authority.write_text(cluster.ca_pem, encoding="ascii")
    variables = {
        **host_variables(cluster),
        "castai_aws_access_key": key_id,
        "castai_aws_secret_key": secret,
        "castai_host": cluster.endpoint,
        "castai_host_token": kubernetes.token(),
        "castai_kubernetes_ca_cert": str(authority),
        "components_workload_autoscaler": True,
    }
    given = {"castai_clusters": {"hosts": {"prod": variables}}}

    def may(policy: Policy) -> None:
        world.control("aws", "put_user_policy", account=HOME, name=WHO, policy=policy)

    def onboard() -> Run:
        return operator.connect(playbook="castai.onboarding.onboard", given=given)

    kubernetes.grant("connect", (*rights.CREATE_NAMESPACE, *rights.CONNECT), rights.CONNECT_SYSTEM)
    succeeded(operator.connect(given=given))
    kubernetes.withdraw("connect")
    sizing = (rights.OF_RELEASE[f"castai-workload-autoscaler{part}"] for part in ("", "-exporter"))
    kubernetes.grant("onboard", (*rights.ONBOARD, *(row for rows in sizing for row in rows)), ())

    everything = for_cluster("onboard", "role", "prod")
    may(without(everything, "iam:CreateInstanceProfile", *OPTIONAL))
    refused = onboard()
    (asked,) = refused.of("castai_preflight")
    assert [sentence.split(":")[0] for sentence in asked["not_checked"]] == ["Could not check AWS permissions"]
    failed = [task.task for task in refused.tasks if task.outcome == "failed"]
    assert failed == ["Prepare the identity"]
    message = refused.failures["prod"]
    assert "Could not create instance profile cast-prod-eks-" in message
    assert f"user/{WHO} is not authorized to perform: iam:CreateInstanceProfile on resource: " in message
    assert "Done before that: create CAST AI's principal" in message
    assert message.endswith("A rerun is safe and continues from here.")

    may(without(everything, "iam:CreateInstanceProfile"))
    mark = world.mark()
    message = onboard().failures["prod"]
    assert f"user/{WHO} lacks these AWS permissions: iam:CreateInstanceProfile on arn:aws:iam::{HOME}:inst" in message
    assert "Give it the policy eks-onboard-role.json in docs/examples/policies" in message
    assert writes(world, mark) == []

    may(without(everything, "iam:DeletePolicyVersion"))
    done = succeeded(onboard())
    (asked,) = done.of("castai_preflight")
    assert asked["not_checked"] == []
    assert "lacks AWS permissions that a run may need: iam:DeletePolicyVersion on arn:aws:iam::" in asked["warnings"][0]
    may(only(everything, {action for action in actions(everything) if LOOKS.search(action)}))
    helm_starts = operator.helm_starts()
    changed_nothing(onboard())
    assert operator.helm_starts() == helm_starts
