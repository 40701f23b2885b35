# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._clusters import eks as of_eks
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.connection import (
    Connection,
    given,
    named_by,
    other_cluster_problem,
    own_name_problem,
    reach,
    terminating_problem,
    unchecked_warning,
)
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.facts import ClusterFacts, Named
from ansible_collections.castai.onboarding.plugins.module_utils._engine import CallFailed, Refused
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws_eks import EksCluster
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.kubernetes import by_token
from tests.sandbox.pki import Authority
from tests.sandbox.wire import Response
from tests.support.https import reply
from tests.unit.plugins.conftest import Wire

PATH = "/api/v1/namespaces"


class Signer:
    """The calls to AWS that are needed to reach a cluster."""

    region = "eu-central-1"
    sts_host = "sts.eu-central-1.amazonaws.com"

    def caller_account(self) -> str:
        return ACCOUNT

    def eks_token(self, name: str) -> str:
        return f"CANARY-for-{name}"


def eks(wire: Wire, **changes: Any) -> EksCluster:
    arn = "arn:aws:eks:eu-central-1:111122223333:cluster/shop"
    return replace(EksCluster("shop", arn, wire.url, wire.ca_pem, "ACTIVE", "1.36", "API", "ipv4", "vpc-1"), **changes)


def shown(found: EksCluster, signer: Any = None) -> ClusterFacts:
    """The cluster as EKS shows it."""
    return of_eks.facts(found, Named("eks", found.name), signer or Signer())


def asked(wire: Wire) -> list[tuple[str, str]]:
    return [(request.path, request.headers.get("authorization", "")) for request in wire.script.received]


@pytest.mark.parametrize(
    ("params", "known"),
    [
        ({}, False),
        ({"context": "c"}, False),
        ({"kubeconfig": ""}, False),
        ({"kubeconfig": "k"}, True),
        ({"host": "h"}, True),
    ],
)
def test_whether_a_way_is_given(params: dict[str, str], known: bool) -> None:
    assert given(params) is known


def test_an_eks_cluster_needs_no_options(wire: Wire) -> None:
    wire.script.play(reply(200, {"fine": True}))
    assert reach({}, shown(eks(wire)).api_server).get(PATH) == {"fine": True}
    assert asked(wire) == [(PATH, "Bearer CANARY-for-shop")]


def test_host_and_token_beat_eks(wire: Wire) -> None:
    wire.script.play(reply(200, {"fine": True}))
    params = {"host": wire.url, "api_key": "CANARY-given", "ca_cert": str(wire.ca_file)}
    assert reach(params, None).get(PATH) == {"fine": True}
    assert asked(wire) == [(PATH, "Bearer CANARY-given")]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"status": "CREATING"}, "EKS cluster shop is CREATING. Wait until it is ACTIVE"),
        ({"status": "PENDING"}, "EKS cluster shop is PENDING. Wait until it is ACTIVE"),
        ({"status": "DELETING"}, "EKS cluster shop is DELETING and will soon be gone. Check castai_cluster_name"),
        ({"status": "FAILED"}, "EKS cluster shop is FAILED: EKS could not create it, and it will not become ACTIVE"),
        ({"connector": "GKE"}, "Cluster shop is only registered with EKS, through EKS Connector, and runs elsewhere"),
        ({"connector": "OTHER", "status": "PENDING"}, "Cluster shop is only registered with EKS"),
    ],
)
def test_a_cluster_that_cannot_be_reached(wire: Wire, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused, match=f"^{re.escape(sentence)}") as caught:
        reach({}, shown(eks(wire, **changes)).api_server)
    with pytest.raises(Refused, match=f"^{re.escape(sentence)}"):
        connection_to(wire, Eks(eks(wire, **changes))).enter(SHOP)
    assert wire.script.received == []
    assert ("Wait" in str(caught.value)) == (changes.get("status") in ("CREATING", "PENDING") and len(changes) == 1)


def test_a_cluster_that_is_updated_can_be_reached(wire: Wire) -> None:
    assert connection_to(wire, Eks(eks(wire, status="UPDATING"))).enter(SHOP).host == wire.url


@pytest.mark.parametrize(
    ("host", "public"),
    [
        ("sts.eu-central-1.amazonaws.com", True),
        ("sts.amazonaws.com", True),
        ("sts-fips.us-east-1.amazonaws.com", True),
        ("sts.cn-north-1.amazonaws.com.cn", True),
        ("sts.eu-central-1.api.aws", True),
        ("vpce-0123-abcd.sts.eu-central-1.vpce.amazonaws.com", False),
        ("sts.internal.example.com", False),
    ],
)
def test_why_eks_does_not_know_a_token_of_another_sts_is_told(wire: Wire, host: str, public: bool) -> None:
    wire.script.play(reply(401, {"message": "Unauthorized"}))
    signer = Signer()
    signer.sts_host = host
    with pytest.raises(CallFailed) as caught:
        reach({}, shown(eks(wire), signer).api_server).get(PATH)
    told = f"The token is signed for STS at {host}, but EKS only accepts tokens for STS's public addresses: unset"
    assert (told in str(caught.value)) != public


def test_no_way_at_all() -> None:
    with pytest.raises(
        Refused, match=r"Set castai_kubeconfig \(option kubeconfig\), or castai_host \(option host\) and"
    ):
        reach({}, None)


def test_a_ca_file_that_is_not_there(tmp_path: Path) -> None:
    params = {"host": "https://h", "api_key": "CANARY", "ca_cert": str(tmp_path / "none")}
    with pytest.raises(Refused, match=r"none', which cannot be read \(No such file or directory\). Set it to a file"):
        reach(params, None)


def test_the_cluster_is_connected_to_once(wire: Wire) -> None:
    connection = Connection({"host": wire.url, "api_key": "CANARY", "ca_cert": str(wire.ca_file)})
    assert connection.cluster() is connection.cluster(shown(eks(wire)).api_server)
    connection.close()


# The named cluster

ACCOUNT, REGION = "111122223333", "eu-central-1"
SHOP = Named("eks", "shop", {"region": REGION, "account_id": ACCOUNT})
KOPS = Named("kops", "shop.example.com")


class Eks(Signer):
    """EKS's answers about its clusters, and how often it was asked."""

    def __init__(self, *clusters: EksCluster) -> None:
        self.clusters = clusters
        self.asked = 0

    def describe_cluster(self, name: str) -> EksCluster | None:
        self.asked += 1
        return next((cluster for cluster in self.clusters if cluster.name == name), None)


def connection_to(wire: Wire, aws: Eks | None = None) -> Connection:
    """By address and token."""
    return Connection({"host": wire.url, "api_key": "CANARY", "ca_cert": str(wire.ca_file)}, aws)


def saying(*channels: str) -> Response:
    """Namespace kube-system with kOps' annotations."""
    notes = {f"addons.k8s.io/{number}": json.dumps({"channel": one}) for number, one in enumerate(channels)}
    return reply(200, {"metadata": {"name": "kube-system", "annotations": notes}})


def test_a_cluster_that_is_not_named_is_entered_unasked(wire: Wire) -> None:
    connection = connection_to(wire, Eks())
    assert connection.enter(Named(location={"region": REGION, "account_id": ACCOUNT})).host == wire.url
    assert (wire.script.received, connection.connected.asked) == ([], 0)


def test_an_eks_cluster_is_entered_when_eks_has_it_in_the_account(wire: Wire) -> None:
    aws = Eks(eks(wire))
    for connection in (Connection({}, aws), connection_to(wire, aws)):
        assert connection.enter(SHOP) is connection.enter(SHOP)
        assert connection.facts is not None
        assert connection.facts.own == eks(wire)
    assert aws.asked == 2
    assert wire.script.received == []


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        (replace(SHOP, name="till"), "EKS has no cluster till in eu-central-1"),
        (
            replace(SHOP, location={"account_id": "444455556666"}),
            "castai_account_id (option account_id) is 444455556666, but the AWS credentials belong to account",
        ),
    ],
)
def test_an_eks_cluster_that_is_not_there_is_refused(wire: Wire, named: Named, sentence: str) -> None:
    with pytest.raises(Refused, match=re.escape(sentence)):
        connection_to(wire, Eks(eks(wire))).enter(named)


def test_a_connection_to_another_cluster_than_eks_has_is_refused(wire: Wire) -> None:
    with pytest.raises(Refused, match="but EKS says that cluster shop is at"):
        connection_to(wire, Eks(eks(wire, ca_pem=THEIRS))).enter(SHOP)


def test_a_connection_need_not_prove_where_it_leads_if_the_user_says_so(wire: Wire) -> None:
    params = {"host": wire.url, "api_key": "CANARY", "provider": "eks", "cluster_name": "shop"}
    assert named_by(params).checked
    assert named_by({**params, "host": "", "wrong_cluster_check": False}).checked, "EKS itself leads there"
    unchecked = named_by({**params, "wrong_cluster_check": False})
    assert not unchecked.checked
    connection = connection_to(wire, Eks(eks(wire, ca_pem=THEIRS)))
    assert connection.enter(unchecked).host == wire.url
    assert unchecked_warning(unchecked, connection.facts) == (
        "Whether the connection leads to EKS cluster shop was not checked, because castai_wrong_cluster_check (option"
        " wrong_cluster_check) is false."
    )
    assert unchecked_warning(SHOP, connection.facts) == ""
    gone = connection_to(wire, Eks(eks(wire, ca_pem=THEIRS, status="DELETING")))
    with pytest.raises(Refused, match="EKS cluster shop is DELETING"):
        gone.enter(unchecked)


def test_nor_need_a_kops_cluster(wire: Wire) -> None:
    connection = connection_to(wire)
    assert connection.enter(replace(KOPS, checked=False)).host == wire.url
    assert own_name_problem(connection.cluster(), replace(KOPS, checked=False)) == ""
    assert wire.script.received == []


@pytest.mark.parametrize("channels", [["s3://state/shop.example.com/addons/bootstrap-channel.yaml"], []])
def test_a_kops_cluster_is_entered_when_it_says_no_other_name(wire: Wire, channels: list[str]) -> None:
    wire.script.play(saying(*channels))
    aws = Eks()
    connection = connection_to(wire, aws)
    assert connection.enter(KOPS) is connection.enter(KOPS)
    assert [path for path, _authorization in asked(wire)] == ["/api/v1/namespaces/kube-system"]
    assert (aws.asked, connection.facts) == (0, None)


def test_a_kops_cluster_that_says_another_name_is_refused(wire: Wire) -> None:
    wire.script.play(saying("s3://state/till.example.com/addons/bootstrap-channel.yaml"))
    with pytest.raises(Refused, match=r"says that it is kOps cluster till\.example\.com of s3://state, not shop"):
        connection_to(wire).enter(KOPS)


def test_a_kops_cluster_needs_a_connection(wire: Wire) -> None:
    with pytest.raises(Refused, match="No connection to the cluster is given"):
        Connection({}, Eks()).enter(KOPS)
    with pytest.raises(
        Refused, match=r"connection to the kOps .* Set castai_kubeconfig \(option kubeconfig\) and"
    ) as refused:
        Connection({"provider": "kops", "cluster_name": KOPS.name, "region": REGION}, Eks()).enter(KOPS)
    assert "EKS" not in str(refused.value)


# The wrong-cluster guard


OURS, THEIRS = Authority("shop").pem, Authority("till").pem
UNTOLD = " (certificates are not verified, so they could not be compared)"


@pytest.mark.parametrize(
    ("host", "ca_pem", "checked", "problem"),
    [
        ("https://shop.eks", OURS, True, ""),
        ("https://shop.eks/", f" {OURS}\n", True, ""),
        ("https://127.0.0.1:8443", OURS, True, ""),  # a tunnel: the certificate authority belongs to this cluster only
        ("https://127.0.0.1:8443", OURS.replace("\n", "\r\n"), True, ""),
        ("https://127.0.0.1:8443", f"# shop\n{OURS}{OURS}", True, ""),
        ("https://SHOP.eks", "", True, ""),  # nothing to compare but the address
        ("https://SHOP.eks", THEIRS, False, ""),  # one that is not checked proves nothing
        ("https://till.eks", OURS, False, UNTOLD),
    ],
)
def test_another_cluster_is_told_by_its_certificate_authority(
    wire: Wire, host: str, ca_pem: str, checked: bool, problem: str
) -> None:
    shop = shown(eks(wire, endpoint="https://shop.eks", ca_pem=OURS))
    told = other_cluster_problem(by_token(host, "CANARY", ca_pem, checked), shop)
    points = (
        f"The kubeconfig or host points to {host}, but EKS says that cluster shop is at https://shop.eks{problem}. "
    )
    assert told.startswith(points) if problem else told == ""
    assert told.endswith(UNPROVEN) if problem else True
    assert other_cluster_problem(by_token(host, "CANARY", ca_pem, checked), shop, checked=False) == ""


UNPROVEN = (
    " If the connection certainly leads to this cluster, set castai_wrong_cluster_check (option wrong_cluster_check) to"
    " false instead."
)


def published(pem: Any) -> Response:
    return reply(200, {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": pem}})


NO, GONE = reply(403, {"message": "configmaps is forbidden"}), reply(404, {"message": "not found"})
UNREAD = (
    " with another certificate authority, and ConfigMap kube-root-ca.crt of namespace kube-system or default, which"
)


@pytest.mark.parametrize(
    "answers", [[published(OURS)], [published(f"\n{OURS}\n")], [NO, published(OURS)], [GONE, published(OURS)]]
)
@pytest.mark.parametrize("own", [True, False])
def test_behind_a_proxy_that_ends_tls_the_cluster_is_proven_by_the_authority_it_publishes(
    wire: Wire, answers: list[Response], own: bool
) -> None:
    wire.script.play(*answers)
    shop = shown(eks(wire, endpoint="https://shop.eks", ca_pem=OURS))
    # The proxy's authority is in a file of the user's, or the system trusts it.
    assert other_cluster_problem(by_token(wire.url, "CANARY", wire.ca_pem if own else "", True), shop) == ""
    spaces = ["kube-system", "default"][: len(answers)]
    assert [path for path, _header in asked(wire)] == [
        f"/api/v1/namespaces/{space}/configmaps/kube-root-ca.crt" for space in spaces
    ]


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([published(THEIRS)], " authority, and ConfigMap kube-root-ca.crt there differs too. "),
        ([published(OURS + THEIRS)], " authority, and ConfigMap kube-root-ca.crt there differs too. "),
        ([published(""), published(THEIRS)], " and ConfigMap kube-root-ca.crt there differs too. "),
        ([NO, NO], UNREAD),
        ([NO, NO], "configmaps is forbidden. These credentials are not allowed to do this). Set castai_kubeconfig"),
        ([GONE, GONE], "(it does not exist)"),
        ([published(7), published(["x"])], "(it does not exist)"),
        ([published(OURS.replace("MII", "é")), reply(200, {"data": {}})], "(it does not exist)"),
        (
            [reply(401, {"message": "Unauthorized"})],
            "Unauthorized. The API server does not recognize these credentials)",
        ),
        ([reply(200, b"<html>")], "does not look like a Kubernetes API server"),
    ],
)
def test_a_cluster_behind_a_proxy_that_does_not_prove_itself_is_refused(
    wire: Wire, answers: list[Response], why: str
) -> None:
    wire.script.play(*answers)
    shop = shown(eks(wire, endpoint="https://shop.eks", ca_pem=OURS))
    told = other_cluster_problem(by_token(wire.url, "CANARY", wire.ca_pem, True), shop)
    assert told.startswith(f"The kubeconfig or host points to {wire.url}, but EKS says that cluster shop is at")
    assert why in told
    assert told.endswith(UNPROVEN) == ("there differs too" not in why)


@pytest.mark.parametrize("ca_pem", ["", THEIRS])
def test_what_is_read_without_checking_certificates_proves_no_cluster(wire: Wire, ca_pem: str) -> None:
    wire.script.play(published(OURS))
    shop = shown(eks(wire, endpoint="https://shop.eks", ca_pem=OURS))
    assert UNTOLD in other_cluster_problem(by_token(wire.url, "CANARY", ca_pem, False), shop)
    assert wire.script.received == []


def test_without_an_authority_of_eks_only_the_address_counts(wire: Wire) -> None:
    shop = shown(eks(wire, endpoint="https://shop.eks", ca_pem=""))
    told = other_cluster_problem(by_token(wire.url, "CANARY", wire.ca_pem, True), shop)
    assert "is at https://shop.eks (its certificate authority is not known)." in told


def test_eks_is_reached_through_a_proxy_that_ends_tls_by_the_users_own_file(wire: Wire) -> None:
    wire.script.play(published(OURS))
    shop = shown(eks(wire, ca_pem=OURS))
    for params in ({"ca_cert": str(wire.ca_file)}, {"ca_cert": str(wire.ca_file), "kubernetes_validate_certs": True}):
        assert other_cluster_problem(reach(params, shop.api_server), shop) == ""
    assert {header for _path, header in asked(wire)} == {"Bearer CANARY-for-shop"}


def test_what_holds_a_namespace_that_is_being_deleted_is_told() -> None:
    unanswered = {"type": "NamespaceDeletionDiscoveryFailure", "status": "True", "message": "metrics: no answer"}
    content = {"type": "NamespaceContentRemaining", "status": "True", "message": "configmaps has 1"}
    held = {"type": "NamespaceFinalizersRemaining", "status": "True", "message": "x.example in 1 resource instances"}
    off = {**held, "status": "False"}
    metadata = {"name": "ns", "deletionTimestamp": "2026-11-20T10:00:00Z"}
    for conditions, said in (
        ([unanswered, off], "metrics: no answer"),
        ([content, held], "x.example in 1 resource instances"),
        ([content, off], "configmaps has 1"),
    ):
        problem = terminating_problem({"metadata": metadata, "status": {"conditions": conditions}})
        assert problem.endswith(f"then run again. Kubernetes says what is blocking it: {said}.")


def test_a_namespace_that_is_being_deleted_is_told() -> None:
    assert terminating_problem(None) == terminating_problem({"metadata": {"name": "ns"}}) == ""
    assert terminating_problem({"metadata": {"name": "ns", "deletionTimestamp": "2026-11-20T10:00:00Z"}}) == (
        "Namespace ns is being deleted. Wait until it is gone, then run again."
    )
