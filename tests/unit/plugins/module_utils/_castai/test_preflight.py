# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._aws.rights import Lack, Rights
from ansible_collections.castai.onboarding.plugins.module_utils._castai import preflight
from ansible_collections.castai.onboarding.plugins.module_utils._castai.preflight import (
    Chart,
    Current,
    Problem,
    findings_of,
    lacks_of,
    plan,
    view,
)
from ansible_collections.castai.onboarding.plugins.module_utils._clusters import eks
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.facts import CloudRights, ClusterFacts, Named
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.on_aws import judged
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.table import PROVIDERS
from ansible_collections.castai.onboarding.plugins.module_utils._engine import UNKNOWN, Refused, Subject, reconcile
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws_eks import EksCluster
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.castai import Cluster
from ansible_collections.castai.onboarding.plugins.module_utils._helm import record as helm_record
from tests.support.policies import FOLDER
from tests.tree import ROOT

ACCOUNT, REGION = "111122223333", "eu-central-1"
ID, ANOTHER_ID = "5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e", "99999999-5a57-4d4a-8f5d-0a6f5c1f0d7e"
PARAMETERS: dict[str, Any] = {
    "castai_api_key": "CANARY-key",
    "castai_api_url": "https://castai.invalid",
    "castai_validate_certs": True,
    "cluster_name": "shop",
    "provider": "eks",
    "region": REGION,
    "account_id": ACCOUNT,
    "cluster_id": ID,
    "organization_id": "org",
    "namespace": "castai-agent",
    "credentials_secret": "castai-credentials",
    "releases": [{"name": "castai-agent", "chart_ref": "castai-agent"}],
}
THERE = EksCluster(
    "shop",
    f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/shop",
    "https://shop",
    "PEM",
    "ACTIVE",
    "1.36",
    "API",
    "ipv4",
    "vpc-1",
)
AWS: Any = SimpleNamespace(region=REGION, caller_account=lambda: ACCOUNT)


def eks_facts(found: EksCluster | None = THERE, **location: str) -> ClusterFacts:
    return eks.facts(found, Named("eks", "shop", location), AWS)


EKS = eks_facts()
FACTS = {"accountId": ACCOUNT, "region": REGION, "clusterName": "shop"}
RECORD = Cluster(ID, "shop", "eks", "ready", "online", "org", "", "", FACTS)
GOOD = Current(records=(RECORD,), facts=EKS, version=(1, 36))


ONBOARD = {"connecting": False, "identity": "role", "path": "/", "user_access": "cluster_admin"}
ME = f"arn:aws:iam::{ACCOUNT}:role/me"
READY_TO_ONBOARD = replace(GOOD, rights=CloudRights())


def lack(action: str, by: str = "", needed: bool = True) -> Lack:
    return Lack(action, "arn:r", by, needed)


def rights(*lacks: Lack) -> CloudRights:
    return judged(Rights(ME, lacks), "eks-onboard-role.json")


@dataclass(frozen=True)
class Case:
    """One problem: with an option, or with the answer to a read."""

    sentence: str
    options: dict[str, Any] = field(default_factory=dict)
    reads: dict[str, Any] = field(default_factory=dict)


CASES = {
    "name": Case(
        (
            "EKS cluster name 'sh op' may only contain letters, digits, '-' and '_', and must start with a letter or"
            " digit. Correct castai_cluster_name (option cluster_name) or castai_provider (option provider)."
        ),
        {"cluster_name": "sh op"},
        {"facts": None},
    ),
    "namespace": Case(
        f"Namespace name '{'n' * 64}' has 64 characters, but at most 63 are allowed. Correct castai_namespace (option"
        " namespace).",
        {"namespace": "n" * 64},
    ),
    "credentials_secret": Case(
        f"Secret name '{'s' * 120}...' has 254 characters, but at most 253 are allowed. Correct"
        " castai_credentials_secret (option credentials_secret).",
        {"credentials_secret": "s" * 254},
    ),
    "region": Case(
        "castai_region (option region) is not set. Set it to the AWS region of the cluster, set AWS_REGION, or give the"
        " AWS profile a region.",
        {"region": None},
        {"facts": None},
    ),
    "account_id": Case(
        "castai_account_id (option account_id) is '4711'. Set it to the 12 digits of the AWS account, in quotes.",
        {"account_id": "4711"},
    ),
    "cluster_id": Case(
        "castai_cluster_id (option cluster_id) is 'shop'. Set it to the UUID of the cluster at CAST AI.",
        {"cluster_id": "shop"},
    ),
    "release name": Case(
        f"Helm release name '{'r' * 54}' has 54 characters, but at most 53 are allowed. Correct the name.",
        {"releases": [{"name": "r" * 54, "chart_ref": "castai-agent"}]},
    ),
    "API key": Case(
        "CAST AI does not recognize the API key.", {}, {"records": Problem("CAST AI does not recognize the API key.")}
    ),
    "cluster not found at CAST AI": Case(
        f"This API key cannot see cluster {ANOTHER_ID} at CAST AI: it was deleted, or the key belongs to another"
        " organization. Check castai_cluster_id (option cluster_id) and castai_api_key.",
        {"cluster_id": ANOTHER_ID},
    ),
    "cluster gone at CAST AI": Case(
        f"This API key cannot see cluster {ID} at CAST AI: it was deleted, or the key belongs to another organization."
        " Check castai_cluster_id (option cluster_id) and castai_api_key.",
        {},
        {"records": (replace(RECORD, status="archived"),)},
    ),
    "organization": Case(
        "The API key belongs to organization org, not another-org. Use a key of the organization that the cluster"
        " should belong to, or correct castai_organization_id (option organization_id).",
        {"organization_id": "another-org"},
    ),
    "agent of another organization": Case(
        f"An agent in this cluster already reports to CAST AI as cluster {ANOTHER_ID}, which this API key cannot see."
        " Use a key of that organization, or disconnect the cluster there first. If it was deleted at CAST AI, delete"
        " the agent's ConfigMap castai-agent-metadata, which still names it.",
        {},
        {"records": (RECORD,), "agent_cluster": ANOTHER_ID},
    ),
    "agent of another record of the cluster": Case(
        f"The agent in this cluster reports to CAST AI as cluster {ANOTHER_ID}, but CAST AI also has this cluster as"
        f" {ID}. Delete one of the two in CAST AI's console, or set castai_cluster_id (option cluster_id) to"
        f" {ANOTHER_ID}.",
        {},
        {"facts": EKS, "records": (RECORD, replace(RECORD, id=ANOTHER_ID)), "reporting": ANOTHER_ID},
    ),
    "AWS credentials": Case("No AWS credentials were found.", {}, {"facts": Problem("No AWS credentials were found.")}),
    "no such EKS cluster": Case(
        "EKS has no cluster shop in eu-central-1 of account 111122223333, which the AWS credentials belong to."
        " Check castai_cluster_name (option cluster_name), castai_provider (option provider), castai_region"
        " (option region) and the credentials.",
        {},
        {"facts": eks_facts(None)},
    ),
    "no such EKS cluster, and credentials of another account": Case(
        "castai_account_id (option account_id) is 444455556666, but the AWS credentials belong to account 111122223333."
        " Correct it, or use credentials of account 444455556666.",
        {"account_id": "444455556666"},
        {"facts": eks_facts(None, account_id="444455556666")},
    ),
    "credentials of another account": Case(
        "castai_account_id (option account_id) is 444455556666, but the AWS credentials belong to account 111122223333."
        " Correct it, or use credentials of account 444455556666.",
        {"account_id": "444455556666"},
        {"facts": eks_facts(account_id="444455556666")},
    ),
    "kubeconfig of another cluster": Case("It is another cluster.", {}, {"elsewhere": "It is another cluster."}),
    "API server away": Case("The API server is away.", {}, {"version": Problem("The API server is away.")}),
    "API server too old": Case(
        "The API server runs Kubernetes 1.20, but CAST AI's agent needs 1.21 or newer. Upgrade the cluster first.",
        {},
        {"version": (1, 20)},
    ),
    "namespace that goes": Case("It is being deleted.", {}, {"leaving": "It is being deleted."}),
    "permissions": Case(
        "These Kubernetes permissions are missing in namespace castai-agent or cluster-wide: create secrets, escalate"
        " clusterroles.rbac.authorization.k8s.io. Grant them to the user or role of this run, or run this as a"
        " cluster administrator.",
        {},
        {"missing": ("create secrets", "escalate clusterroles.rbac.authorization.k8s.io")},
    ),
    "permissions of somebody under another name": Case(
        "These Kubernetes permissions are missing in namespace castai-agent or cluster-wide: create secrets. Grant them"
        " to the user or role of this run, or run this as a cluster administrator. It knows the caller by its number"
        " alone.",
        {},
        {
            "missing": ("create secrets",),
            "facts": replace(EKS, caller_hint="It knows the caller by its number alone."),
        },
    ),
    "access reviews": Case("Reviews are off.", {}, {"missing": Problem("Reviews are off.")}),
    "Helm": Case("Helm is missing.", {}, {"helm": ("Helm is missing.",)}),
    "objects of another release": Case("They are another's.", {}, {"taken": ("They are another's.",)}),
}


ONBOARDING_CASES = {
    "not connected": Case(
        f"Cluster shop of account {ACCOUNT} in {REGION} is not connected to CAST AI. Run the playbook"
        " castai.onboarding.connect (connect.yml) first.",
        {"cluster_id": None, "organization_id": None},
        {"records": ()},
    ),
    "agent silent": Case(
        f"The agent of cluster {ID} is non-responding, not online. Run the playbook castai.onboarding.connect"
        " (connect.yml) first, or look at the pods of the agent.",
        {},
        {"records": (replace(RECORD, agent_status="non-responding"),)},
    ),
    "token elsewhere": Case(
        "Secret castai-agent/key is missing or has no API_KEY, and the components cannot start without it. It"
        " was deleted, or another tool connected the cluster. Run the playbook castai.onboarding.connect (connect.yml)"
        " first, which stores a new token in it, or castai.onboarding.site, which does both and shows both in its plan."
        " If the token is in another Secret, set castai_credentials_secret (option credentials_secret) to its name.",
        {},
        {"tokenless": "castai-agent/key"},
    ),
    "no node of its own": Case(
        "The cluster has only Auto Mode and Fargate nodes. CAST AI needs Linux nodes on EC2 that it"
        " can add and remove: add a node group first.",
        {},
        {"nodes": ("Auto Mode", "Fargate")},
    ),
    "AWS permissions": Case(
        f"{ME} lacks these AWS permissions: iam:CreateRole, iam:TagRole on arn:r. Give it the policy"
        " eks-onboard-role.json in docs/examples/policies, or use other credentials.",
        {},
        {"rights": rights(lack("iam:CreateRole"), lack("iam:TagRole"), lack("iam:X", needed=False))},
    ),
    "permissions boundary": Case(
        f"The permissions boundary of {ME} does not allow iam:CreateRole on arn:r. Extend the boundary, or use"
        " other credentials.",
        {},
        {"rights": rights(lack("iam:CreateRole", "boundary"))},
    ),
    "service control policy": Case(
        "A service control policy of the AWS organization does not allow iam:CreateRole on arn:r. Only an"
        " administrator of the organization can change that.",
        {},
        {"rights": rights(lack("iam:CreateRole", "organization"))},
    ),
}


def findings(*cases: Case, onboard: dict[str, Any] | None = None) -> list[str]:
    options = {name: value for case in cases for name, value in case.options.items()}
    reads = {name: value for case in cases for name, value in case.reads.items()}
    wanted = preflight.desired({**PARAMETERS, "onboard": onboard, **options})
    current = replace(READY_TO_ONBOARD if onboard else GOOD, **reads)
    return [*findings_of(current, wanted), *lacks_of(current, wanted)]


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert findings() == []
    assert tuple(plan(GOOD, preflight.desired(PARAMETERS))) == ()


@pytest.mark.parametrize("name", CASES)
def test_each_bad_input_alone_gives_exactly_its_sentence(name: str) -> None:
    assert findings(CASES[name]) == [CASES[name].sentence]


@pytest.mark.parametrize("name", {**CASES, **ONBOARDING_CASES})
def test_onboarding_asks_for_all_that_connecting_does_and_more(name: str) -> None:
    case = {**CASES, **ONBOARDING_CASES}[name]
    assert findings(case, onboard=ONBOARD) == [case.sentence]


@pytest.mark.parametrize("name", ONBOARDING_CASES)
def test_connecting_does_not_mind_what_stands_in_the_way_of_onboarding(name: str) -> None:
    assert findings(ONBOARDING_CASES[name]) == []


def test_all_that_stands_in_the_way_of_onboarding_is_told_at_once() -> None:
    cases = [ONBOARDING_CASES[name] for name in ("agent silent", "no node of its own", "AWS permissions")]
    assert findings(*cases, onboard=ONBOARD) == [case.sentence for case in cases]


@pytest.mark.parametrize("name", ["not connected", "agent silent", "token elsewhere"])
def test_a_run_that_connects_first_need_not_be_connected_yet(name: str) -> None:
    case = ONBOARDING_CASES[name]
    assert findings(case, onboard={**ONBOARD, "connecting": True}) == []
    unknown = replace(case, options={**case.options, "cluster_id": UNKNOWN})
    assert findings(unknown, onboard=ONBOARD) == []


def test_what_could_not_be_found_out_is_no_finding_but_told() -> None:
    wanted = preflight.desired({**PARAMETERS, "onboard": ONBOARD})
    unread = replace(
        GOOD,
        taken=Problem("Whose?"),
        nodes=Problem("No nodes for you."),
        rights=CloudRights(not_checked=("Nobody may simulate.",)),
    )
    assert list(findings_of(unread, wanted)) == []
    assert view(unread, wanted, {})["not_checked"] == [
        "Could not check who owns the objects of releases: Whose?",
        "Could not check the kinds of nodes: No nodes for you.",
        "Nobody may simulate.",
    ]
    unasked = replace(GOOD, rights=Problem("STS is away."))
    assert view(unasked, wanted, {})["not_checked"] == ["Could not check AWS permissions: STS is away."]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_where_iam_can_grant_what_is_missing_in_the_cluster_its_role_is_named(provider: str) -> None:
    wanted = preflight.desired(PARAMETERS)
    there = replace(wanted, cluster=replace(wanted.cluster, provider=provider))
    (said,) = lacks_of(replace(GOOD, missing=("create secrets",)), there)
    named = re.findall(r"gke-\S+?\.yml", said)
    assert len(named) == (2 if provider == "gke" else 0)
    assert all((ROOT / FOLDER / name).is_file() for name in named)


def test_an_organization_without_clusters_cannot_be_told() -> None:
    fresh = replace(GOOD, records=())
    wanted = preflight.desired({**PARAMETERS, "cluster_id": None})
    (sentence,) = view(fresh, wanted, {})["not_checked"]
    assert sentence.startswith(
        "Could not check which organization the API key belongs to: only its clusters show this, and it has none yet."
    )
    assert view(fresh, replace(wanted, organization_id=""), {})["not_checked"] == []
    unchecked = replace(wanted, organization_id="", cluster=replace(wanted.cluster, checked=False))
    (sentence,) = view(fresh, unchecked, {})["not_checked"]
    assert sentence.startswith("Whether the connection leads to EKS cluster shop was not checked")


def test_what_stands_in_the_way_of_some_runs_only_is_a_warning() -> None:
    wanted = preflight.desired({**PARAMETERS, "onboard": ONBOARD})
    some = replace(GOOD, facts=eks_facts(replace(THERE, auto_mode=True)), rights=rights(lack("iam:X", needed=False)))
    assert list(findings_of(some, wanted)) == []
    permissions, auto_mode = view(some, wanted, {})["warnings"]
    assert permissions.startswith(f"{ME} lacks AWS permissions that a run may need: iam:X on arn:r.")
    assert auto_mode.startswith("EKS Auto Mode is on for cluster shop, so both EKS and CAST AI would add")
    assert "warnings" not in view(READY_TO_ONBOARD, wanted, {})
    assert "warnings" not in view(some, preflight.desired(PARAMETERS), {})


# The options that the sentence of each read depends on: another case with one of them would change or hide it.
LEANS_ON = {
    "facts": {"name", "region", "account_id"},
    "records": {"cluster_id", "organization_id"},
    "missing": {"namespace"},
}


def together(first: Case, second: Case) -> bool:
    """Whether two problems can occur together and be reported as each is alone."""
    if {*first.options, *first.reads} & {*second.options, *second.reads}:
        return False
    leaned_on = (
        (one.options, LEANS_ON.get(read, set()))
        for one, other in ((first, second), (second, first))
        for read in other.reads
    )
    return not any(options.keys() & needed for options, needed in leaned_on)


PAIRS = [pair for pair in itertools.combinations(CASES, 2) if together(CASES[pair[0]], CASES[pair[1]])]


def test_any_two_bad_inputs_give_both_sentences() -> None:
    for one, other in PAIRS:
        assert sorted(findings(CASES[one], CASES[other])) == sorted([CASES[one].sentence, CASES[other].sentence])
    assert len(PAIRS) > 100


ALL_AT_ONCE = (
    "namespace",
    "release name",
    "cluster not found at CAST AI",
    "organization",
    "credentials of another account",
)


def test_all_findings_are_in_one_refusal_numbered_and_one_by_one() -> None:
    cases = [CASES[name] for name in (*ALL_AT_ONCE, "API server too old", "access reviews", "Helm")]
    options = {name: value for case in cases for name, value in case.options.items()}
    reads = {name: value for case in cases for name, value in case.reads.items()}
    wanted = preflight.desired({**PARAMETERS, **options})
    with pytest.raises(Refused) as caught:
        plan(replace(GOOD, **reads), wanted)
    sentences = [case.sentence for case in cases]
    sentences[-2:] = ["Reviews are off.", "Helm is missing."]
    assert list(caught.value.findings) == sentences
    assert str(caught.value) == " ".join(f"({number}) {sentence}" for number, sentence in enumerate(sentences, 1))


def test_one_finding_is_told_without_a_number_and_the_same_one_once() -> None:
    same = replace(GOOD, version=Problem("It is away."), missing=Problem("It is away."), helm=("It is away.",))
    with pytest.raises(Refused) as caught:
        plan(same, preflight.desired(PARAMETERS))
    assert (str(caught.value), caught.value.findings) == ("It is away.", ("It is away.",))


def test_what_is_not_given_is_not_asked_for() -> None:
    wanted = preflight.desired({**PARAMETERS, "account_id": None, "cluster_id": None, "organization_id": None})
    assert list(findings_of(replace(GOOD, records=()), wanted)) == []


def test_an_id_that_only_a_run_will_know_is_none() -> None:
    wanted = preflight.desired({**PARAMETERS, "cluster_id": UNKNOWN})
    assert (wanted.cluster_id, wanted.problems) == ("", ())


def test_charts_are_what_the_releases_name() -> None:
    release = {"name": "a", "chart_ref": "b", "chart_repo_url": "https://c", "chart_version": "1.2.3", "adopt": True}
    wanted = preflight.desired({**PARAMETERS, "releases": [release, {"name": "d", "chart_ref": "e"}]})
    assert wanted.charts == (Chart("a", "b", "https://c", "1.2.3", adopt=True), Chart("d", "e", "", ""))


def test_options_that_no_gateway_takes_are_findings_beside_the_others(tmp_path: Any) -> None:
    parameters = {
        **PARAMETERS,
        "castai_api_key": "CANARY with blanks",
        "region": None,
        "host": "http://10.0.0.1",
        "api_key": "CANARY-token",
        "helm_path": str(tmp_path / "no-helm"),
    }
    wanted = preflight.desired(parameters)
    systems = preflight.connect(parameters, wanted)
    found = " ".join(findings_of(preflight.observe(systems, wanted), wanted))
    for part in (
        "castai_region (option region) is not set",
        "castai_api_key contains a space",
        "castai_host (option host) is 'http://10.0.0.1'",
        "no-helm",
    ):
        assert part in found
    assert "CANARY" not in found


def test_a_wrong_value_is_not_reported_as_missing_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GCP_PROJECT", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    for wrong in ({"location": "eu-central-1"}, {"project": "Shop Production"}):
        of_gke = {"provider": "gke", "project": "shop-prod-1234", "location": "europe-west3", **wrong}
        wanted = preflight.desired({**PARAMETERS, **of_gke})
        assert len(wanted.problems) == 1
        assert not wanted.findable


def test_the_view_has_what_was_read() -> None:
    wanted = preflight.desired(PARAMETERS)
    assert view(GOOD, wanted, {}) == {
        "findings": [],
        "account_id": ACCOUNT,
        "region": REGION,
        "state_store": "",
        "acting_as": f"unknown AWS identity in AWS account {ACCOUNT}",
        "cluster_id": ID,
        "kubernetes_version": "1.36",
        "not_checked": [],
    }


@pytest.mark.parametrize(
    "records",
    [(), Problem("No answer."), (replace(RECORD, facts={**FACTS, "clusterName": "other"}),)],
    ids=["not connected", "unreadable", "of another cluster"],
)
def test_the_view_only_has_the_id_of_a_record_that_describes_the_cluster(records: Any) -> None:
    wanted = preflight.desired({**PARAMETERS, "cluster_id": ID})
    assert view(replace(GOOD, records=records), wanted, {})["cluster_id"] == ""


def test_the_view_says_who_this_runs_as() -> None:
    caller = f"arn:aws:iam::{ACCOUNT}:user/operator"
    shown = view(replace(GOOD, caller=caller), preflight.desired(PARAMETERS), {})
    assert shown["acting_as"] == f"{caller} in AWS account {ACCOUNT}"


def test_a_clusters_id_is_taken_in_either_case() -> None:
    assert preflight.desired({**PARAMETERS, "cluster_id": ID.upper()}).cluster_id == ID


MAY_NOT_WRITE = replace(
    READY_TO_ONBOARD,
    missing=("create secrets", "watch jobs.batch"),
    rights=rights(lack("iam:CreateRole"), lack("iam:CreateRole", "boundary")),
)


def of_run(current: Current, check: bool) -> Any:
    subject = Subject(
        preflight.OPTIONS,
        preflight.desired,
        lambda params, wanted: SimpleNamespace(close=lambda: None),
        lambda gateway, wanted: current,
        plan,
        view,
    )
    return reconcile(subject, {**PARAMETERS, "onboard": ONBOARD, "organization_id": None}, check, print)


def test_who_may_only_read_can_make_a_plan_that_says_what_a_run_lacks() -> None:
    shown = of_run(MAY_NOT_WRITE, check=True).view
    for sentence, beginning in zip(
        shown["warnings"],
        (
            "These Kubernetes permissions are missing in namespace castai-agent or cluster-wide: create secrets, watch",
            f"{ME} lacks these AWS permissions: iam:CreateRole on arn:r.",
            f"The permissions boundary of {ME} does not allow iam:CreateRole on arn:r.",
        ),
        strict=True,
    ):
        assert sentence.startswith(beginning)
    with pytest.raises(Refused) as refused:
        of_run(MAY_NOT_WRITE, check=False)
    assert list(refused.value.findings) == shown["warnings"]


@pytest.mark.parametrize(
    "lacking",
    [
        {"missing": ("get secrets", "create secrets")},
        {"rights": rights(lack("iam:GetRole"), lack("iam:TagRole"))},
    ],
)
def test_who_may_not_read_is_refused_in_check_mode_too(lacking: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        of_run(replace(READY_TO_ONBOARD, **lacking), check=True)
    (finding,) = refused.value.findings
    assert any(read in finding for read in ("get secrets", "iam:GetRole"))
    assert not any(write in finding for write in ("create", "iam:TagRole"))
    with pytest.raises(Refused) as refused:
        of_run(replace(READY_TO_ONBOARD, **lacking), check=False)
    assert len(refused.value.findings) == 2


def test_helms_driver_is_a_finding_beside_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELM_DRIVER", "configmap")
    gateway: Any = None
    (found,) = preflight._helm_problems(gateway, ())
    assert found.startswith("HELM_DRIVER is 'configmap'")


@pytest.mark.parametrize(
    ("exists", "create", "asked", "finding"),
    [(True, True, False, False), (True, False, False, False), (False, True, True, False), (False, False, False, True)],
)
def test_a_namespace_is_made_only_where_it_is_absent_and_may_be(
    exists: bool, create: bool, asked: bool, finding: bool
) -> None:
    class Closed:
        def can(self, verb: str, group: str, resource: str, namespace: str = "") -> bool:
            return False

    kubernetes: Any = Closed()
    wanted = preflight.desired({**PARAMETERS, "create_namespace": create})
    assert ("create namespaces" in preflight._missing(kubernetes, wanted, EKS, exists)) is asked
    found = list(findings_of(replace(GOOD, namespace_exists=exists), wanted))
    assert any("castai_create_namespace" in one for one in found) is finding


@pytest.mark.parametrize(
    ("version", "names", "asked"),
    [
        ((4, 3, 1), ["castai-evictor"], True),
        ((3, 22, 0), ["castai-evictor"], False),
        ((4, 3, 1), ["castai-kvisor"], False),
        ((4, 3, 1), ["castai-kvisor", "castai-workload-autoscaler-exporter"], True),
    ],
)
def test_helm_4_waits_for_all_that_hooks_make(version: tuple[int, ...], names: list[str], asked: bool) -> None:
    """A plan does not need it, because it runs no hook."""
    helm: Any = SimpleNamespace(check_version=lambda: version)
    releases = [{"name": name, "chart_ref": name} for name in names]
    wanted = preflight.desired({**PARAMETERS, "onboard": ONBOARD, "releases": releases})
    hooks = preflight._waiting_for_hooks(helm, wanted.charts)
    kubernetes: Any = SimpleNamespace(can=lambda *access: access[0] not in ("list", "watch"))
    missing = preflight._missing(kubernetes, wanted, EKS, True, hooks)
    assert ("list serviceaccounts" in missing) is asked
    lacks, findings = (" ".join(one(replace(GOOD, missing=missing), wanted)) for one in (lacks_of, findings_of))
    assert ("watch clusterrolebindings.rbac.authorization.k8s.io" in lacks) is asked
    assert ("list serviceaccounts" in lacks) is asked
    assert "list serviceaccounts" not in findings
    assert "list pods" in findings


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("castai-evictor", set()),
        ("castai-workload-autoscaler", {"customresourcedefinitions"}),
        ("castai-workload-autoscaler-exporter", {"customresourcedefinitions", "custommetricsexporterconfigs"}),
        ("castai-pod-mutator", {"customresourcedefinitions", "validatingwebhookconfigurations"}),
        ("castai-live", {"customresourcedefinitions"}),
    ],
)
def test_an_optional_release_needs_permissions_for_its_kinds(name: str, kinds: set[str]) -> None:
    kubernetes: Any = SimpleNamespace(can=lambda *access: False)
    missing = []
    for names in ((), (name,)):
        releases = [{"name": one, "chart_ref": one} for one in names]
        wanted = preflight.desired({**PARAMETERS, "onboard": ONBOARD, "releases": releases})
        missing.append(set(preflight._missing(kubernetes, wanted, EKS, True)))
    without, with_it = missing
    verbs = ("get", "create", "patch", "delete")
    labels = {label.partition(".")[0] for label in with_it - without}
    assert labels == {f"{verb} {kind}" for verb in verbs for kind in kinds}


OF_UMBRELLA = {
    "meta.helm.sh/release-name": "castai",
    "meta.helm.sh/release-namespace": "castai-agent",
}
APPS = "/apis/apps/v1/namespaces/castai-agent"
UMBRELLA_HAS = (
    f"{APPS}/deployments/castai-agent",
    f"{APPS}/daemonsets/castai-spot-handler",
    f"{APPS}/daemonsets/castai-kvisor-agent",
    f"{APPS}/deployments/castai-kvisor-controller",
)


class Inside:
    """A cluster with these objects, by path."""

    def __init__(self, **objects: dict[str, Any]) -> None:
        self.objects = objects

    def get(self, path: str, **_query: str) -> dict[str, Any] | None:
        return self.objects.get(path)


class NewHelm:
    def check_version(self) -> tuple[int, ...]:
        return (4, 3, 1)


def taken(cluster: Inside, *names: str, records: tuple[dict[str, Any], ...] = (), **options: Any) -> tuple[str, ...]:
    """What stops these releases, in preflight's words."""
    releases = [{"name": name, "chart_ref": name, "policy": "install_only", **options} for name in names]
    wanted = preflight.desired({**PARAMETERS, "releases": releases})
    gateway: Any = preflight.Systems(PARAMETERS, lambda: None, None, NewHelm())  # type: ignore[arg-type,return-value]
    kubernetes: Any = cluster
    listed = preflight.Releases.of({"items": list(records)}, wanted.charts)
    return preflight._taken(gateway, kubernetes, wanted, listed)


def test_beside_the_umbrella_chart_what_it_has_is_refused_and_the_rest_installed() -> None:
    cluster = Inside(**{path: {"metadata": {"annotations": OF_UMBRELLA}} for path in UMBRELLA_HAS})
    assert taken(cluster, "cluster-controller", "castai-evictor", "castai-pod-pinner") == ()
    refused = taken(cluster, "castai-spot-handler", "castai-kvisor", "castai-agent", "castai-evictor", adopt=True)
    assert len(refused) == 3
    assert all("of CAST AI's umbrella chart" in sentence for sentence in refused)
    assert ["Add castai-spot-handler to components_skip" in sentence for sentence in refused] == [True, False, False]


def deployed_record(name: str) -> dict[str, Any]:
    labels = {"name": name, "version": "1", "status": "deployed", "modifiedAt": "1"}
    return helm_record.encode({"metadata": {"labels": labels}, "data": {}}, {})


@pytest.mark.parametrize(
    ("policy", "there", "refused"),
    [("enforce", True, True), ("enforce", False, True), ("install_only", True, False), ("install_only", False, True)],
)
def test_beside_cast_ais_operator_existing_releases_are_left_alone(policy: str, there: bool, refused: bool) -> None:
    component = {"metadata": {"name": "castai-agent"}, "spec": {"component": "castai-agent", "enabled": True}}
    path = "/apis/castware.cast.ai/v1alpha1/namespaces/castai-agent/components"
    cluster = Inside(**{path: {"items": [component]}})
    records = (deployed_record("castai-agent"),) if there else ()
    found = taken(cluster, "castai-agent", records=records, policy=policy, adopt=True)
    assert ("CAST AI's operator" in "".join(found)) is refused
    assert taken(cluster, "castai-agent", records=records, policy=policy, adopt=True, adopt_managed=True) == ()


def test_what_flux_deployed_is_left_alone_or_refused() -> None:
    labels = {"helm.toolkit.fluxcd.io/name": "agent", "helm.toolkit.fluxcd.io/namespace": "flux-system"}
    own = {"meta.helm.sh/release-name": "castai-agent", "meta.helm.sh/release-namespace": "castai-agent"}
    cluster = Inside(**{f"{APPS}/deployments/castai-agent": {"metadata": {"labels": labels, "annotations": own}}})
    records = (deployed_record("castai-agent"),)
    (found,) = taken(cluster, "castai-agent", records=records, policy="enforce", adopt=True)
    assert "managed by Flux (HelmRelease flux-system/agent)" in found
    assert "agent_policy (option policy) to install_only" in found
    assert taken(cluster, "castai-agent", records=records) == ()


def test_a_record_that_cannot_be_read_is_a_finding() -> None:
    broken = deployed_record("castai-agent")
    broken["data"]["release"] = "edited"
    broken["metadata"] |= {"namespace": "castai-agent", "name": "one"}
    (found,) = taken(Inside(), "castai-agent", records=(broken,))
    assert "Secret castai-agent/one cannot be read" in found
    charts = preflight.desired(PARAMETERS).charts
    assert preflight._to_install(preflight.Releases.of({"items": [broken]}, charts), charts) == ()


def test_an_older_record_that_cannot_be_read_is_a_finding_beside_others() -> None:
    """A repair would return to it."""
    broken, failed = deployed_record("castai-agent"), deployed_record("castai-agent")
    broken["data"]["release"] = "edited"
    broken["metadata"] |= {"namespace": "castai-agent", "name": "one"}
    failed["metadata"]["labels"] |= {"version": "2", "status": "failed"}
    (found,) = taken(Inside(), "castai-agent", records=(broken, failed))
    assert "Secret castai-agent/one cannot be read" in found


def test_what_is_deployed_is_fetched_too_for_a_cluster_that_castai_no_longer_has() -> None:
    wanted = preflight.desired(PARAMETERS)
    listed = preflight.Releases.of({"items": [deployed_record("castai-agent")]}, wanted.charts)
    charts = tuple(replace(chart, any_version=True) for chart in wanted.charts)
    assert preflight._to_install(listed, charts, preflight._is_unknown(GOOD, wanted)) == ()
    for records in ((), (replace(RECORD, status="deleted"),), (replace(RECORD, id="another", name="till"),)):
        assert (
            preflight._to_install(listed, charts, preflight._is_unknown(replace(GOOD, records=records), wanted))
            == charts
        )
    assert not preflight._is_unknown(replace(GOOD, records=Problem("No answer.")), wanted)


def test_no_chart_is_fetched_for_a_repair_that_needs_none() -> None:
    good, failed = deployed_record("castai-agent"), deployed_record("castai-agent")
    failed["metadata"]["labels"] |= {"version": "2", "status": "failed"}
    (chart,) = preflight.desired(PARAMETERS).charts
    listed = preflight.Releases.of({"items": [good, failed]}, [chart])
    assert preflight._to_install(listed, (replace(chart, any_version=True),)) == ()
    assert preflight._to_install(listed, (chart,)) == (chart,)
