# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What other code needs to know about a cluster and its provider: the provider protocol.

A provider is one function that reads and one frozen value that it returns. PRIVATE to the collection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from .._gateways.castai import CastAi, Cluster
from .._gateways.kubernetes import Kubernetes, Object, path_of
from .._options import Rules, Spec

Parameters = Mapping[str, Any]

Rows = tuple[tuple[str, str, tuple[str, ...]], ...]
"""Kubernetes permissions: API group, resource and verbs."""


NODES = path_of("v1", "Node", None, None)
SOME_NODES = "500"
"""Maximum number of nodes to read in one call."""


@dataclass(frozen=True)
class Named:
    """The cluster as the user names it. location: the provider's options that say where it is, empty if not given.
    checked: whether to verify that the connection leads to it.

    Without provider and name, the Kubernetes options alone decide which cluster it is.
    """

    provider: str = ""
    name: str = ""
    location: Mapping[str, str] = field(default_factory=dict)
    checked: bool = True


@dataclass(frozen=True)
class ApiServer:
    """How to get into a cluster without a kubeconfig, and how to recognize it.

    ca_pem: its certificate authorities. hosts: its own addresses. sign: returns a bearer token. advice: returns what to
    do about an answer, by HTTP status, 0 for no answer; each text starts with a space. advice_at: the same for the
    address in a kubeconfig or in host. publicly_trusted: whether a public authority issued the endpoint's certificate,
    not the cluster's own. certificate, key: the client certificate, PEM, if the cluster accepts one. forget: drops a
    token that was refused, so that sign returns another; None if sign always does.
    """

    endpoint: str
    ca_pem: str
    hosts: frozenset[str]
    sign: Callable[[], str] = field(repr=False, compare=False)
    advice: Callable[[], Mapping[int, str]] = field(default=dict, repr=False, compare=False)
    unreachable_problem: str = ""
    """Why the cluster cannot be used at all."""
    advice_at: Callable[[str], Mapping[int, str]] = field(default=lambda _host: {}, repr=False, compare=False)
    publicly_trusted: bool = False
    entry_problem: str = ""
    """Why the cluster can only be reached with a kubeconfig, or with an address and token."""
    certificate: str = ""
    key: str = field(default="", repr=False)
    forget: Callable[[str], None] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class ClusterFacts:
    """A cluster as its provider describes it.

    title: such as "EKS cluster shop". location: such as "of account 111122223333 in eu-central-1". registration: its
    block for CAST AI. own_id: the ID that it already has, empty if CAST AI assigns one. result_fields: what results
    show about it. problems: why it is not the cluster that the user named, or cannot be registered. api_server: None if
    a kubeconfig is needed. seen_at: the source of its address, such as "EKS says that cluster shop". access_mode: how
    it lets principals in, if the provider says so. own: facts that only the provider's own code reads.
    """

    provider: str
    name: str
    title: str
    location: str
    registration: Mapping[str, str]
    exists: bool = True
    own_id: str = ""
    result_fields: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    api_server: ApiServer | None = None
    seen_at: str = ""
    access_mode: str = ""
    caller_hint: str = ""
    """A sentence that says under which name the cluster knows the caller, or who can grant permissions there."""
    own: Any = field(default=None, repr=False)
    nodes: Object | None = field(default=None, repr=False)
    """The nodes as the API server listed them, if the provider has read them."""
    caseless: bool = False
    """Whether the comparison of registrations ignores case."""

    def is_recorded_in(self, record: Cluster) -> bool:
        """Whether CAST AI's record describes this cluster, comparing its registration."""
        if self.caseless:
            ours, theirs = _folded(self.registration), _folded(record.facts)
            return record.provider == self.provider and ours.items() <= theirs.items()
        return record.provider == self.provider and self.registration.items() <= record.facts.items()


def _folded(texts: Mapping[str, str]) -> dict[str, str]:
    return {key: text.casefold() for key, text in texts.items()}


class Systems(Protocol):
    """The connections that a provider may use for reading. Each is made on first use."""

    def cloud(self) -> Any:
        """The connection to the provider's cloud."""

    def cluster(self) -> Kubernetes:
        """The connection to the cluster, using the Kubernetes options."""


@dataclass(frozen=True)
class CloudRights:
    """What the caller lacks in the cloud, in sentences.

    reading: needed even for a plan. writing: needed for every run. warnings: needed for some runs only.
    """

    reading: tuple[str, ...] = ()
    writing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    not_checked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Onboarding:
    """What preflight checks before it declares a provider's cluster ready for onboarding.

    options: those of the identity. option_problems: values that the identity's module would refuse; params:
    preflight's. rights: reads, given the identity's options, CAST AI's record, the caller, and what connects to CAST
    AI; returns None if there is nothing to check. system_rows: permissions needed in namespace kube-system; facts: None
    if not known. possible_rows: all permissions that may be needed there. foreign_nodes: the kinds of nodes, if CAST AI
    cannot use any of them. nodes_problem, warnings: messages about those kinds.
    """

    options: Spec
    option_problems: Callable[[Parameters], Iterator[str]]
    rights: Callable[[Any, ClusterFacts, Parameters, Cluster | None, str, Callable[[], CastAi]], CloudRights | None]
    system_rows: Callable[[ClusterFacts | None, Parameters], Rows] = lambda facts, options: ()
    possible_rows: Rows = ()
    foreign_nodes: Callable[[Iterable[Object]], tuple[str, ...]] = lambda nodes: ()
    nodes_problem: Callable[[tuple[str, ...]], str] = lambda kinds: ""
    exemption: Callable[[ClusterFacts], str] = lambda facts: ""
    """How a namespace is exempted from the cluster's policies for pods, as a sentence; empty if it has no such
    policies."""
    warnings: Callable[[ClusterFacts, tuple[str, ...]], Iterator[str]] = lambda facts, kinds: iter(())


@dataclass(frozen=True)
class Provider:
    """A kind of cluster, such as EKS. key: its name for CAST AI and in the option provider. title: its name in
    messages.

    options, rules: its location and credentials, for AnsibleModule. registration_options: needed only to register a
    cluster. name_problem, option_problems, missing_options: pure; which values are wrong and which options are missing.
    cloud: connects. caller: reads who the credentials belong to. acting_as: the caller in words, even if empty. read:
    one round. own_name_problem: reads why a cluster is not the one with this name, judging by what it says about
    itself; None if only the provider knows. describe_location: a record's block in words, to follow the name.
    agent_environment: takes the cluster's ID at CAST AI and whether the user chose it. component_values: chart values
    by release. proxied_values: values of the agent and cluster-controller if they use a proxy; direct: hosts that they
    reach without it. roles_between: the roles that a cluster needs between connecting and onboarding. kubernetes_grant:
    a sentence that says how the cloud can grant missing Kubernetes permissions. read_ahead: reads what connecting to
    any cluster needs, such as the SDK; makes no call.
    """

    key: str
    title: str
    cloud_title: str
    options: Spec
    rules: Rules
    location_options: tuple[str, ...]
    name_problem: Callable[[str], str]
    option_problems: Callable[[Parameters], Mapping[str, str]]
    missing_options: Callable[[Parameters], Mapping[str, str]]
    cloud: Callable[[Parameters], Any]
    caller: Callable[[Any], str]
    acting_as: Callable[[str, ClusterFacts | None], str]
    read: Callable[[Systems, Named], ClusterFacts]
    describe_location: Callable[[Mapping[str, str]], str]
    agent_environment: Callable[[ClusterFacts, str, bool], Mapping[str, str]]
    onboarding: Onboarding
    registration_options: Spec = field(default_factory=dict)
    own_name_problem: Callable[[Kubernetes, str], str] | None = None
    component_values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    proxied_values: Mapping[str, Any] = field(default_factory=dict)
    direct: tuple[str, ...] = ("169.254.169.254", ".svc")
    roles_between: tuple[str, ...] = ()
    kubernetes_grant: str = ""
    read_ahead: Callable[[], None] = lambda: None
