# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import itertools
import json
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._castai import cluster
from ansible_collections.castai.onboarding.plugins.module_utils._castai.cluster import (
    CreateNamespace,
    Current,
    Desired,
    Register,
    StoreToken,
    Systems,
    plan,
    reached,
    registration,
    view,
)
from ansible_collections.castai.onboarding.plugins.module_utils._clusters import eks
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.connection import Connection
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.facts import ClusterFacts, Named
from ansible_collections.castai.onboarding.plugins.module_utils._engine import (
    UNKNOWN,
    CallFailed,
    Refused,
    Result,
    reconcile,
)
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws_eks import EksCluster
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.castai import CastAi, Cluster
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.kubernetes import Rejected
from tests.support.https import reply
from tests.unit.plugins.conftest import Wire

ACCOUNT, REGION = "111122223333", "eu-central-1"
ID = "5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e"
PARAMETERS = {
    "cluster_name": "shop",
    "provider": "eks",
    "region": REGION,
    "account_id": None,
    "cluster_id": None,
    "state_store": None,
    "namespace": "castai-agent",
    "credentials_secret": "castai-credentials",
    "manage_token": True,
    "wait_for": "none",
    "wait_timeout": 600,
}
FACTS = {"accountId": ACCOUNT, "region": REGION, "clusterName": "shop"}
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
RECORD = Cluster(ID, "shop", "eks", "ready", "online", "org", "", "", FACTS)
CONNECTED = Current(EKS, RECORD, "", True, "7", True)

REGISTER = "register EKS cluster shop of account 111122223333 in eu-central-1 with CAST AI"
NAMESPACE = "create namespace castai-agent"
STORE = "create the token of cluster {} and store it in Secret castai-agent/castai-credentials"
REPLACE = "create the token of cluster {} and replace it in Secret castai-agent/castai-credentials"


def desired(**changes: Any) -> Desired:
    return cluster.desired({**PARAMETERS, **changes})


def sentences(current: Current, **changes: Any) -> list[str]:
    return [action.sentence for action in plan(current, desired(**changes))]


# Options


def test_what_is_not_given_is_empty() -> None:
    assert (desired().cluster.location["account_id"], desired().cluster_id) == ("", "")
    assert desired(cluster_id=UNKNOWN).cluster_id == UNKNOWN
    assert desired(cluster_id=ID.upper()).cluster_id == ID


BAD_OPTIONS = {
    "credentials_secret": ("Castai_Creds", "Secret name 'Castai_Creds' may only contain lower-case letters"),
    "cluster_name": ("sh op", "EKS cluster name 'sh op' may only contain"),
    "namespace": ("castai_agent", "Namespace name 'castai_agent' may only contain"),
    "region": (None, "castai_region (option region) is not set"),
    "account_id": (
        "11112222333",
        (
            "castai_account_id (option account_id) is '11112222333'. Set it to the 12 digits of the AWS account, in"
            " quotes."
        ),
    ),
    "cluster_id": (
        "shop",
        "castai_cluster_id (option cluster_id) is 'shop'. Set it to the UUID of the cluster at CAST AI.",
    ),
}


@pytest.mark.parametrize("option", BAD_OPTIONS)
def test_each_bad_option_is_refused_with_its_fix(option: str) -> None:
    value, sentence = BAD_OPTIONS[option]
    with pytest.raises(Refused) as caught:
        desired(**{option: value})
    assert str(caught.value).startswith(sentence)
    assert str(caught.value).endswith(".")


def test_all_bad_options_are_told_at_once() -> None:
    with pytest.raises(Refused) as caught:
        desired(**{option: value for option, (value, _sentence) in BAD_OPTIONS.items()})
    assert all(sentence in str(caught.value) for _value, sentence in BAD_OPTIONS.values())


@pytest.mark.parametrize("account", ["111122223333x", "1111222233334", "11112222333a"])
def test_an_account_has_twelve_digits(account: str) -> None:
    with pytest.raises(Refused, match=r"castai_account_id \(option account_id\) is"):
        desired(account_id=account)


# Which registration

ELSEWHERE = [
    replace(RECORD, id="other account", facts={**FACTS, "accountId": "444455556666"}),
    replace(RECORD, id="other region", facts={**FACTS, "region": "us-east-1"}),
    replace(RECORD, id="other name", facts={**FACTS, "clusterName": "shop2"}),
    replace(RECORD, id="other provider", provider="kops"),
    replace(RECORD, id="without facts", facts={}),
]


def test_the_registration_is_the_one_with_this_provider_block_whatever_its_name() -> None:
    renamed = replace(RECORD, name="a name given in the console", facts={**FACTS, "dnsClusterIp": "10.100.0.10"})
    assert registration((*ELSEWHERE, renamed), EKS, "") == renamed
    assert registration(tuple(ELSEWHERE), EKS, "") is None


def test_a_registration_by_id_is_the_one_that_was_read() -> None:
    assert registration((RECORD,), EKS, ID) == RECORD
    assert registration((), EKS, ID) is None


# Plans


@pytest.mark.parametrize(
    ("registered", "namespace", "secret", "usable"),
    [
        case
        for case in itertools.product([False, True], repeat=4)
        if not case[3] or (case[0] and case[2])  # a key works only in a Secret and for a registered cluster
        if not case[2] or case[1]  # and a Secret is in a namespace
    ],
)
def test_every_start_gets_exactly_what_it_lacks(registered: bool, namespace: bool, secret: bool, usable: bool) -> None:
    current = Current(EKS, RECORD if registered else None, "", namespace, "7" if secret else "", usable)
    store = (REPLACE if secret else STORE).format(ID if registered else UNKNOWN)
    token = [*([] if namespace else [NAMESPACE]), *([] if usable else [store])]
    register = [] if registered else [REGISTER]
    assert sentences(current) == register + token
    assert sentences(current, manage_token=False) == register


def test_a_connected_cluster_needs_nothing() -> None:
    assert sentences(CONNECTED) == sentences(CONNECTED, account_id=ACCOUNT, cluster_id=ID) == []


def test_what_an_earlier_task_of_a_check_registers_is_not_registered_again() -> None:
    fresh = Current(EKS, None)
    assert sentences(fresh, cluster_id=UNKNOWN) == [NAMESPACE, STORE.format(UNKNOWN)]


def test_the_actions_carry_what_they_write_and_no_secret() -> None:
    register, namespace, store = plan(Current(EKS, None), desired(namespace="ns", credentials_secret="key"))
    assert isinstance(register, Register)
    assert (register.name, register.block) == ("shop", {"eks": FACTS})
    assert (register.target, register.before) == ("castai/cluster/shop", None)
    assert register.after == {"name": "shop", "id": UNKNOWN, "eks": FACTS}
    assert isinstance(namespace, CreateNamespace)
    assert (namespace.name, namespace.target) == ("ns", "kubernetes/namespace/ns")
    assert isinstance(store, StoreToken)
    assert (store.namespace, store.secret, store.version) == ("ns", "key", "")
    assert (store.target, store.before) == ("kubernetes/secret/ns/key", None)
    assert store.after == {"API_KEY": f"the token of cluster {UNKNOWN}"}


def test_castai_is_given_the_organization_with_the_registration() -> None:
    register, *_others = plan(Current(EKS, None), desired(organization_id="ORG"))
    assert isinstance(register, Register)
    assert register.block == {"eks": FACTS, "organizationId": "org"}


def test_a_key_that_is_replaced_is_replaced_only_as_it_was_read() -> None:
    (store,) = plan(replace(CONNECTED, token_usable=False), desired())
    assert isinstance(store, StoreToken)
    assert (store.cluster_id, store.version) == (ID, "7")
    assert store.before == {"API_KEY": "a key that CAST AI does not accept for this cluster"}


@pytest.mark.parametrize("usable", [None, False])
def test_no_token_is_minted_that_cannot_be_stored(wire: Wire, usable: bool | None) -> None:
    """A quota, a policy or a missing permission may forbid the write."""
    state = replace(CONNECTED, token_usable=False, secret_version="" if usable is None else "7")
    (store,) = plan(state, desired())
    minted: list[str] = []
    castai: Any = SimpleNamespace(create_token=lambda cluster_id: minted.append(cluster_id) or "CANARY-token")
    options = {"host": wire.url, "api_key": "CANARY", "ca_cert": str(wire.ca_file)}
    systems = Systems(castai, Connection(options))
    wire.script.play(reply(403, {"message": 'secrets "castai-credentials" is forbidden: exceeded quota: few'}))
    with pytest.raises(Rejected, match="exceeded quota: few"):
        store.run(systems, {})
    assert minted == []
    wire.script.play(reply(200, {"metadata": {}}), reply(200, {"metadata": {}}))
    store.run(systems, {})
    assert minted == [ID]
    tried, written = wire.script.received
    assert ("dryRun=All" in tried.query, "dryRun" in written.query) == (True, False)
    assert "CANARY" not in str(tried.body)
    assert base64.b64decode(json.loads(written.body)["data"]["API_KEY"]) == b"CANARY-token"


@pytest.mark.parametrize("there", [True, False], ids=["namespace exists", "namespace is new"])
def test_what_the_cluster_would_refuse_is_refused_in_the_plan(wire: Wire, there: bool) -> None:
    """Before CAST AI registers the cluster. In a Namespace that does not exist, only its creation can be tried."""
    state = Current(EKS, None, namespace_exists=there)
    planned = tuple(plan(state, desired()))
    options = {"host": wire.url, "api_key": "CANARY", "ca_cert": str(wire.ca_file)}
    systems = Systems(cast(Any, None), Connection(options))
    version = reply(200, {"major": "1", "minor": "30"})
    wire.script.play(version, reply(403, {"message": 'admission webhook "w" denied the request: no'}))
    tried = planned[-1] if there else planned[1]
    with pytest.raises(
        Refused, match=re.escape(f"Could not {tried.sentence}, as a dry run shows: POST /api/v1/namespaces")
    ):
        cluster.confirm(systems, desired(), state, planned)
    assert "dryRun=All" in wire.script.received[-1].query
    wire.script.play(version, reply(409 if not there else 201, {"metadata": {}}))
    assert cluster.confirm(systems, desired(), state, planned) == planned
    wire.script.play(reply(200, {"major": "1", "minor": "17"}))
    assert cluster.confirm(systems, desired(), state, planned) == planned
    assert len(wire.script.received) == 1


REFUSALS: dict[str, tuple[Current, dict[str, Any], str]] = {
    "no such EKS cluster": (
        replace(CONNECTED, facts=eks_facts(None)),
        {},
        (
            "EKS has no cluster shop in eu-central-1 of account 111122223333, which the AWS credentials belong to."
            " Check castai_cluster_name (option cluster_name), castai_provider (option provider), castai_region"
            " (option region) and the credentials."
        ),
    ),
    "credentials of another account": (
        replace(CONNECTED, facts=eks_facts(account_id="444455556666")),
        {"account_id": "444455556666"},
        (
            "castai_account_id (option account_id) is 444455556666, but the AWS credentials belong to"
            " account 111122223333."
            " Correct it, or use credentials of account 444455556666."
        ),
    ),
    "kubeconfig of another cluster": (
        replace(CONNECTED, elsewhere="It is another cluster."),
        {},
        "It is another cluster.",
    ),
    "cluster that goes": (
        replace(CONNECTED, facts=eks_facts(replace(THERE, status="DELETING"))),
        {},
        (
            "EKS cluster shop is DELETING and will soon be gone. Check castai_cluster_name (option cluster_name) and"
            " castai_region (option region), or remove the host from the inventory."
        ),
    ),
    "namespace that goes": (
        replace(CONNECTED, leaving="It is being deleted."),
        {},
        "It is being deleted.",
    ),
    "id of no cluster": (
        replace(CONNECTED, record=None),
        {"cluster_id": ID},
        (
            f"CAST AI has no cluster {ID} in the organization of this API key. Check castai_cluster_id (option"
            " cluster_id) and castai_api_key."
        ),
    ),
    "id of another account's": (
        replace(CONNECTED, record=ELSEWHERE[0]),
        {"cluster_id": ID},
        (
            "CAST AI's cluster other account is EKS cluster shop of account 444455556666 in eu-central-1,"
            " not EKS cluster shop of account 111122223333 in eu-central-1. Correct castai_cluster_id (option"
            " cluster_id) or castai_cluster_name (option cluster_name)."
        ),
    ),
    "id of another region's": (
        replace(CONNECTED, record=ELSEWHERE[1]),
        {"cluster_id": ID},
        (
            "CAST AI's cluster other region is EKS cluster shop of account 111122223333 in us-east-1,"
            " not EKS cluster shop of account 111122223333 in eu-central-1. Correct castai_cluster_id (option"
            " cluster_id) or castai_cluster_name (option cluster_name)."
        ),
    ),
    "id of another name's": (
        replace(CONNECTED, record=ELSEWHERE[2]),
        {"cluster_id": ID},
        (
            "CAST AI's cluster other name is EKS cluster shop2 of account 111122223333 in eu-central-1,"
            " not EKS cluster shop of account 111122223333 in eu-central-1. Correct castai_cluster_id (option"
            " cluster_id) or castai_cluster_name (option cluster_name)."
        ),
    ),
    "id of a provider's that nobody connects": (
        replace(CONNECTED, record=replace(ELSEWHERE[0], provider="openshift", facts={"clusterName": "web"})),
        {"cluster_id": ID},
        (
            "CAST AI's cluster other account is web of provider openshift, not EKS cluster shop of account 111122223333"
            " in eu-central-1. Correct castai_cluster_id (option cluster_id) or castai_cluster_name (option"
            " cluster_name)."
        ),
    ),
    "of another organization": (
        CONNECTED,
        {"organization_id": "another-org"},
        (
            "The API key belongs to organization org, not another-org. Use a key of the organization that the cluster"
            " should belong to, or correct castai_organization_id (option organization_id)."
        ),
    ),
    "being disconnected": (
        replace(CONNECTED, record=replace(RECORD, status="deleting")),
        {},
        f"CAST AI is disconnecting cluster {ID}. Wait until it has finished, then run again.",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
@pytest.mark.parametrize("lacking", [False, True])
def test_refusals_come_before_any_action_whatever_is_lacking(case: str, lacking: bool) -> None:
    current, options, sentence = REFUSALS[case]
    if lacking:
        current = replace(current, namespace_exists=False, secret_version="", token_usable=False)
    planned = []
    with pytest.raises(Refused) as caught:
        planned.extend(plan(current, desired(**options)))
    assert (str(caught.value), planned) == (sentence, [])


# Results


def test_a_connection_that_was_not_checked_is_warned_of() -> None:
    assert "warnings" not in view(CONNECTED, desired(), {})
    (said,) = view(CONNECTED, desired(kubeconfig="k", wrong_cluster_check=False), {})["warnings"]
    assert said.startswith("Whether the connection leads to EKS cluster shop was not checked")


def test_the_view_of_a_connected_and_of_a_fresh_cluster() -> None:
    shown = view(CONNECTED, desired(), {})
    assert (shown["cluster_id"], shown["account_id"], shown["region"]) == (ID, ACCOUNT, REGION)
    assert shown["cluster"] == {
        "id": ID,
        "name": "shop",
        "provider": "eks",
        "status": "ready",
        "agent_status": "online",
        "organization_id": "org",
        "credentials_id": "",
        "reconcile_error": "",
        "account_id": ACCOUNT,
        "region": REGION,
        "project": "",
        "location": "",
        "node_resource_group": "",
        "subscription_id": "",
    }
    assert view(Current(EKS, None), desired(), {}) == {
        "account_id": ACCOUNT,
        "agent_environment": {
            "STATIC_CLUSTER_ID": UNKNOWN,
            "EKS_ACCOUNT_ID": ACCOUNT,
            "EKS_REGION": REGION,
            "EKS_CLUSTER_NAME": "shop",
        },
        "cluster_id": UNKNOWN,
        "cluster": None,
        "console_url": "",
        "region": REGION,
        "state_store": "",
    }


@pytest.mark.parametrize(
    ("api_url", "console_url"),
    [
        ("https://api.cast.ai", f"https://console.cast.ai/external-clusters/{ID}/overview"),
        ("https://api.eu.cast.ai/", f"https://console.eu.cast.ai/external-clusters/{ID}/overview"),
        ("https://castai-proxy.example.com", ""),
    ],
)
def test_the_console_is_the_one_of_the_api(api_url: str, console_url: str) -> None:
    assert view(CONNECTED, desired(castai_api_url=api_url), {})["console_url"] == console_url


@pytest.mark.parametrize("status", ["connecting", "ready", "warning", "failed"])
@pytest.mark.parametrize("agent", ["waiting-connection", "online", "non-responding", "disconnected"])
def test_what_counts_as_reached(status: str, agent: str) -> None:
    record = replace(RECORD, status=status, agent_status=agent)
    assert reached(record, "agent_online") is (agent == "online")
    ready = agent == "online" and status == "ready"
    assert (reached(record, "ready"), reached(record, "onboarded")) == (ready, False)
    assert reached(replace(record, credentials_id="c"), "onboarded") is ready


# Waiting


def answer(status: str, agent: str, **more: Any) -> Any:
    return reply(200, {"id": ID, "status": status, "agentStatus": agent, **more})


def wait(wire: Wire, record: Cluster, **options: Any) -> tuple[Cluster | None, list[str]]:
    shown: list[str] = []
    systems = Systems(CastAi(wire.url, "CANARY-key"), Connection({}))
    current = cluster.settle(systems, desired(**options), Current(EKS, None), {"record": record}, shown.append)
    return current.record, shown


SILENT = replace(RECORD, agent_status="waiting-connection")


@pytest.mark.parametrize(("record", "wait_for"), [(SILENT, "none"), (RECORD, "agent_online"), (RECORD, "ready")])
def test_no_call_is_made_where_there_is_nothing_to_wait_for(wire: Wire, record: Cluster, wait_for: str) -> None:
    assert wait(wire, record, wait_for=wait_for) == (record, [])
    assert wire.script.received == []


ONLY_RECORD = {"read_cluster": False, "manage_token": False, "wait_for": "ready"}


def recorded(wire: Wire, cluster_id: str = ID, check: bool = False) -> Result:
    """A run that cannot reach any provider or cluster."""
    subject = replace(
        cluster.SUBJECT,
        connect=lambda params, wanted: Systems(CastAi(wire.url, "CANARY-key"), cast(Any, Unconnected())),
    )
    return reconcile(subject, {**PARAMETERS, **ONLY_RECORD, "cluster_id": cluster_id}, check, lambda line: None)


class Unconnected:
    def close(self) -> None:
        """Nothing was opened."""


def test_a_task_that_only_waits_reads_the_record_alone(wire: Wire) -> None:
    wire.script.play(*(answer(status, "online", providerType="eks") for status in ("connecting", "ready")))
    done = recorded(wire)
    assert (done.view["cluster"]["status"], done.view["agent_environment"], done.actions) == ("ready", {}, ())
    assert {(one.method, one.path.rpartition("/")[2]) for one in wire.script.received} == {("GET", ID)}


def test_a_plan_that_would_only_wait_for_a_cluster_to_be_registered_asks_nothing(wire: Wire) -> None:
    assert recorded(wire, UNKNOWN, True).view["cluster"] is None
    assert wire.script.received == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (reply(404, {"message": "no"}), f"has no cluster {ID}"),
        (answer("ready", "online", providerType="gke"), f"CAST AI's cluster {ID} .* not EKS cluster shop"),
    ],
)
def test_a_record_that_cannot_be_the_clusters_is_refused_without_reading_that(
    wire: Wire, found: Any, said: str
) -> None:
    wire.script.play(found)
    with pytest.raises(Refused, match=said):
        recorded(wire)


@pytest.mark.parametrize("options", [{"manage_token": True}, {"cluster_id": None}])
def test_who_writes_or_searches_reads_the_cluster(options: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=r"read_cluster is false\. Set castai_cluster_id"):
        cluster.desired({**PARAMETERS, **ONLY_RECORD, "cluster_id": ID, **options})


def test_it_waits_and_tells_what_it_sees(wire: Wire) -> None:
    wire.script.play(answer("connecting", "waiting-connection"), answer("ready", "online"))
    record, shown = wait(wire, SILENT, wait_for="ready")
    assert record is not None
    assert (record.status, record.agent_status) == ("ready", "online")
    assert shown == [
        f"cluster {ID} is connecting, its agent waiting-connection",
        f"cluster {ID} is ready, its agent online",
    ]


def test_what_was_there_before_the_hand_over_is_not_taken_for_its_end(wire: Wire) -> None:
    before, after = answer("ready", "online"), {"credentialsId": "c"}
    wire.script.play(before, before, answer("connecting", "online", **after), answer("ready", "online", **after))
    record, shown = wait(wire, RECORD, wait_for="onboarded")
    assert record is not None
    assert (record.status, record.credentials_id, len(shown)) == ("ready", "c", 3)


def test_it_waits_no_longer_than_it_may(wire: Wire) -> None:
    wire.script.play(answer("ready", "non-responding"))
    with pytest.raises(CallFailed) as caught:
        wait(wire, SILENT, wait_for="agent_online", wait_timeout=0)
    assert str(caught.value) == (
        f"The agent is not online after 0 s: cluster {ID} is ready, its agent non-responding."
        " Look at the pods of namespace castai-agent, or raise castai_wait_timeout (option wait_timeout)."
    )
    wire.script.play(answer("connecting", "online"))
    with pytest.raises(
        CallFailed, match=r"^The cluster is not ready after 0 s: cluster .* is connecting, its agent online\."
    ):
        wait(wire, SILENT, wait_for="ready", wait_timeout=0)


def test_a_cluster_that_castai_gave_up_is_not_waited_for(wire: Wire) -> None:
    wire.script.play(answer("failed", "online", reconcileError="no access"))
    with pytest.raises(CallFailed, match=f"CAST AI reports that cluster {ID} failed: no access"):
        wait(wire, SILENT, wait_for="ready")
    with pytest.raises(CallFailed, match="failed: no access"):
        wait(wire, SILENT, wait_for="onboarded")
    assert wait(wire, SILENT, wait_for="agent_online")[0] is not None


# A cluster that was disconnected


def test_a_record_that_has_ended_is_not_taken_for_the_new_one(wire: Wire) -> None:
    """Otherwise each run would create another token for a cluster that never reports."""
    wire.script.play(answer("deleted", "disconnected"))
    (register, *_others) = plan(Current(EKS, None), desired())
    with pytest.raises(
        CallFailed, match=rf"returned record {ID} .* which is deleted, .* castai-agent-metadata, .* run again\."
    ):
        register.run(Systems(CastAi(wire.url, "CANARY-key"), Connection({})), {})


def test_a_plan_to_register_it_again_says_that_this_may_fail() -> None:
    ended = replace(RECORD, status="deleted")
    (warning,) = view(Current(EKS, None, former=ended), desired(), {})["warnings"]
    assert warning.startswith(f"CAST AI still lists this cluster as {ID}, which is deleted.")
    assert "warnings" not in view(Current(EKS, None, former=ended), desired(cluster_id=UNKNOWN), {})
    assert "warnings" not in view(Current(EKS, RECORD, former=ended), desired(), {})


# The key in the Secret


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        (None, ""),
        ({}, ""),
        ({"data": None}, ""),
        ({"data": {"OTHER": "YQ=="}}, ""),
        ({"data": {"API_KEY": ""}}, ""),
        ({"data": {"API_KEY": "no base64!"}}, ""),
        ({"data": {"API_KEY": "/w=="}}, ""),
        ({"data": {"API_KEY": "Q0FOQVJZ"}}, "CANARY"),
    ],
)
def test_the_key_of_a_secret_is_empty_whatever_is_wrong_with_it(secret: Any, key: str) -> None:
    assert cluster.key_of(secret) == key


@pytest.mark.parametrize(
    ("found", "wanted", "sentence"),
    [
        (
            replace(CONNECTED, token_usable=False, immutable=True),
            desired(),
            "Secret castai-agent/castai-credentials is immutable",
        ),
        (replace(CONNECTED, namespace_exists=False), replace(desired(), create_namespace=False), "does not exist"),
    ],
)
def test_no_token_is_made_that_has_no_place(found: Current, wanted: Desired, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        list(plan(found, wanted))
    list(plan(found, replace(wanted, manage_token=False)))


def test_an_immutable_secret_with_the_right_token_may_stay() -> None:
    assert list(plan(replace(CONNECTED, immutable=True), desired())) == []
