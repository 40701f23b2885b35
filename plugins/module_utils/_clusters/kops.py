# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kOps clusters on AWS: what a cluster says about itself, and what EC2 says about its nodes. PRIVATE to the collection.

In annotations of namespace kube-system, addons.k8s.io/NAME, kOps' addon manager records the channel of each addon:
{"channel": "s3://STORE/CLUSTER/addons/bootstrap-channel.yaml", ...}. CAST AI's agent also takes the name and the state
store from there (castai/k8s-agent, internal/services/discovery/kops.go).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .._aws import permissions
from .._aws.names import account_problem, kops_cluster_problem, recorded_kops_place
from .._aws.options import AWS_RULES, aws_options, form_problems
from .._aws.permissions import Question, Scope
from .._engine import at_once
from .._gateways import aws_session
from .._gateways.aws import Aws
from .._gateways.aws_ec2 import Instance
from .._gateways.castai import Cluster
from .._gateways.kubernetes import Kubernetes, Object, path_of
from .._variables import named
from . import on_aws
from .facts import NODES, SOME_NODES, ClusterFacts, Named, Onboarding, Parameters, Provider, Rows, Systems

NAMESPACE = "kube-system"
PATH = path_of("v1", "Namespace", NAMESPACE, None)

NO_CONNECTION = (
    "No connection to the kOps cluster is given, and AWS credentials do not give access to it. Set"
    f" {named('kubeconfig')} and {named('context')}, or {named('host')} and {named('api_key')}."
)

_ADDON = "addons.k8s.io/"
_OWN = ("addons", "bootstrap-channel.yaml")
"""The path of kOps' own channel, after the cluster's name. Channels of additional addons may be anywhere."""


@dataclass(frozen=True)
class Channel:
    """Where an addon comes from. store: such as s3://bucket. path: the rest. The agent takes its first part for the
    cluster's name."""

    store: str
    path: tuple[str, ...]

    @property
    def cluster(self) -> str:
        return self.path[0]


@dataclass(frozen=True)
class KopsCluster:
    """A cluster as the user named it, as it describes itself, and as EC2 shows it.

    host: the address that the connection leads to. uid: that of namespace kube-system, which CAST AI's agent uses as
    cluster ID. nodes: instance IDs of its nodes. instances: those in EC2 that are tagged with the name, in the region.
    """

    name: str
    region: str
    host: str
    uid: str
    channels: tuple[Channel, ...]
    nodes: frozenset[str]
    instances: tuple[Instance, ...]
    listed: Object | None = field(default=None, repr=False)
    """The nodes as the API server listed them."""

    @property
    def account_id(self) -> str:
        return self.instances[0].account_id if self.instances else ""

    @property
    def state_store(self) -> str:
        """The state store as the agent finds it; empty if the cluster does not say."""
        return self.channels[0].store if self.channels else ""


def nodes_of(listed: Object | None) -> frozenset[str]:
    """Instance ids in the providerIDs of nodes, such as aws:///eu-central-1a/i-0123."""
    providers = [str((node.get("spec") or {}).get("providerID") or "") for node in (listed or {}).get("items") or ()]
    return frozenset(provider.rpartition("/")[2] for provider in providers if provider.startswith("aws://"))


def wrong_kops_cluster(found: KopsCluster, account_id: str, checked: bool = True) -> Iterator[str]:
    """Why this is not the cluster that the user named. account_id may be empty. checked: whether to verify where the
    connection leads."""
    elsewhere = other_kops_cluster(found.channels, found.name, found.host) if checked else ""
    if elsewhere:
        yield elsewhere
    if not found.instances:
        yield (
            f"EC2 has no running instance with tag KubernetesCluster={found.name} in {found.region} of the account that"
            f" these AWS credentials are for. Check {named('cluster_name')}, {named('provider')}, {named('region')} and"
            " the credentials."
        )
        return
    yield from filter(None, [account_problem(account_id, found.account_id)])
    if checked and not elsewhere and not found.nodes & {instance.id for instance in found.instances}:
        yield (
            f"No node of the cluster at {found.host} is one of the {len(found.instances)} instances that EC2 has for"
            f" kOps cluster {found.name} in {found.region}. Set {named('kubeconfig')} and {named('context')} to this"
            f" cluster, or {named('region')} and the credentials to its account."
        )


def channels_of(namespace: Object | None) -> tuple[Channel, ...]:
    """The channels on namespace kube-system, kOps' own first, then by address, so that the order is always the same."""
    annotations: Mapping[str, Any] = ((namespace or {}).get("metadata") or {}).get("annotations") or {}
    found = {_channel(text) for key, text in annotations.items() if key.startswith(_ADDON)}
    return tuple(sorted(filter(None, found), key=lambda one: (one.path[-2:] != _OWN, one.store, one.path)))


def other_kops_cluster(channels: tuple[Channel, ...], name: str, host: str) -> str:
    """Why the cluster at host does not have this name. Empty if it does, or if its annotations do not say."""
    if not channels or any(name in channel.path for channel in channels):
        return ""
    return (
        f"The kubeconfig or host points to {host}, which says that it is kOps cluster {channels[0].cluster} of"
        f" {channels[0].store}, not {name}. Set {named('kubeconfig')} and {named('context')} to {name}."
    )


def _channel(text: str) -> Channel | None:
    try:
        address = urlsplit(str(json.loads(text)["channel"]))
    except (KeyError, TypeError, ValueError):
        return None
    path = tuple(part for part in address.path.split("/") if part)
    return Channel(f"{address.scheme}://{address.netloc}", path) if address.scheme and address.netloc and path else None


def read(systems: Systems, wanted: Named) -> ClusterFacts:
    """Read the cluster's own annotations and nodes, and its instances from EC2."""
    aws: Aws = systems.cloud()
    cluster = systems.cluster()
    with at_once() as ask:
        instances = ask(aws.list_instances, wanted.name)
        asked_namespace = ask(cluster.get, PATH)
        asked_nodes = ask(cluster.get, NODES, limit=SOME_NODES)
    namespace, nodes = asked_namespace.result(), asked_nodes.result()
    return facts(
        KopsCluster(
            wanted.name,
            aws.region,
            cluster.host,
            str(((namespace or {}).get("metadata") or {}).get("uid") or ""),
            channels_of(namespace),
            nodes_of(nodes),
            instances.result(),
            nodes,
        ),
        wanted,
    )


def facts(found: KopsCluster, wanted: Named) -> ClusterFacts:
    given = wanted.location.get("state_store", "").rstrip("/")
    store = given or found.state_store
    problems = [*wrong_kops_cluster(found, wanted.location.get("account_id", ""), wanted.checked)]
    if not store:
        problems.append(
            "The annotations of namespace kube-system do not say where the state store of kOps cluster"
            f" {found.name} is. Set {named('state_store')}, for example to s3://shop-state."
        )
    return ClusterFacts(
        KEY,
        found.name,
        f"kOps cluster {found.name}",
        f"of account {found.account_id} in {found.region}",
        # Spelled as the agent sends it.
        {"cloud": "aws", "region": found.region, "clusterName": found.name, "stateStore": store},
        exists=bool(found.instances),
        own_id=found.uid,
        result_fields={"account_id": found.account_id, "region": found.region, "state_store": store},
        problems=tuple(problems),
        own=found,
        nodes=found.listed,
    )


def own_name_problem(kubernetes: Kubernetes, name: str) -> str:
    return other_kops_cluster(channels_of(kubernetes.get(PATH)), name, kubernetes.host)


def agent_environment(found: ClusterFacts, cluster_id: str, chosen: bool) -> Mapping[str, str]:
    """Environment variables of the agent for what it would otherwise ask the cloud.

    An agent with a given ID does not register itself, and on kOps then never asks EC2 which nodes are spot instances.
    So it only gets an ID that the user chose.
    """
    return {
        "KOPS_CSP": "aws",
        "KOPS_REGION": found.own.region,
        "KOPS_CLUSTER_NAME": found.name,
        "KOPS_STATE_STORE": found.registration["stateStore"],
        **({"STATIC_CLUSTER_ID": cluster_id} if chosen else {}),
    }


def questions(options: Parameters, found: KopsCluster, record: Cluster | None, partition: str) -> tuple[Question, ...]:
    """The questions for AWS about the caller's permissions."""
    no_spot_role = {permissions.SPOT_ROLE} if options.get("spot_lambda_role") is False else set()
    return permissions.questions(
        (permissions.READ, permissions.CREATE),
        permissions.KOPS,
        on_aws.unneeded(options) | no_spot_role,
        Scope(partition, found.account_id, found.region, found.name, options["path"]),
        record.id if record else "0" * 8,
    )


def missing_options(params: Parameters) -> Mapping[str, str]:
    """AWS only gives access to EKS clusters, so a kOps cluster needs its own connection."""
    connected = params.get("kubeconfig") or params.get("host")
    return {**on_aws.missing_options(params), **({} if connected else {"kubeconfig": NO_CONNECTION})}


def _option_problems(params: Parameters) -> Iterator[str]:
    return form_problems(on_aws.identity_options(params), {}, False)


def _system_rows(found: ClusterFacts | None, options: Parameters) -> Rows:
    return () if options["user_access"] == "none" else on_aws.AWS_AUTH_ROWS


KEY = "kops"

KOPS = Provider(
    key=KEY,
    title="kOps",
    cloud_title="AWS",
    options=aws_options(),
    rules=AWS_RULES,
    location_options=(*on_aws.LOCATION_OPTIONS, "state_store"),
    name_problem=kops_cluster_problem,
    option_problems=on_aws.option_problems,
    missing_options=missing_options,
    cloud=Aws,
    read_ahead=aws_session.read_ahead,
    caller=on_aws.caller,
    acting_as=on_aws.acting_as,
    read=read,
    own_name_problem=own_name_problem,
    describe_location=recorded_kops_place,
    agent_environment=agent_environment,
    registration_options={"state_store": {"type": "str"}},
    component_values={"castai-spot-handler": {"castai": {"provider": "aws"}}},
    roles_between=("kube_router",),
    onboarding=Onboarding(
        options=on_aws.IDENTITY_OPTIONS,
        option_problems=_option_problems,
        rights=on_aws.rights(lambda options: permissions.KOPS, questions),
        system_rows=_system_rows,
        possible_rows=on_aws.AWS_AUTH_ROWS,
        foreign_nodes=on_aws.foreign_nodes,
        nodes_problem=on_aws.nodes_problem,
    ),
)
