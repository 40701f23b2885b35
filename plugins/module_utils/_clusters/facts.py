# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all other code needs to know about a cluster and its provider: the protocol of providers.

A provider is one function that reads and one frozen value that it returns. PRIVATE to the collection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from .._gateways.castai import Cluster
from .._gateways.kubernetes import Kubernetes, Object, path_of
from .._options import Rules, Spec

Parameters = Mapping[str, Any]

Rows = tuple[tuple[str, str, tuple[str, ...]], ...]
"""Kubernetes permissions: API group, resource and verbs."""


NODES = path_of("v1", "Node", None, None)
SOME_NODES = "500"
"""The most nodes that are read at once."""


@dataclass(frozen=True)
class Named:
    """The cluster as the user names it. location: the provider's options for that, empty if not given. checked: whether
    the connection must prove that it leads there.

    Without provider and name, the Kubernetes options alone decide which cluster it is.
    """

    provider: str = ""
    name: str = ""
    location: Mapping[str, str] = field(default_factory=dict)
    checked: bool = True


@dataclass(frozen=True)
class ApiServer:
    """How to get into a cluster without a kubeconfig, and how to recognise it.

    ca_pem: its certificate authorities; hosts: its own addresses; sign: returns a bearer token; advice: returns what to
    do about its answers, sentences after a blank, by HTTP status, 0 for no answer; advice_at: the same for a kubeconfig
    or host with this address; publicly_trusted: whether the endpoint's own certificate is of a public authority, not of
    the cluster's; certificate, key: the client's, PEM, if that is what lets in.
    """

    endpoint: str
    ca_pem: str
    hosts: frozenset[str]
    sign: Callable[[], str] = field(repr=False, compare=False)
    advice: Callable[[], Mapping[int, str]] = field(default=dict, repr=False, compare=False)
    unreachable_problem: str = ""
    """Why the cluster cannot be used, whatever leads to it."""
    advice_at: Callable[[str], Mapping[int, str]] = field(default=lambda _host: {}, repr=False, compare=False)
    publicly_trusted: bool = False
    entry_problem: str = ""
    """Why only a kubeconfig or an address and token lead into the cluster."""
    certificate: str = ""
    key: str = field(default="", repr=False)


@dataclass(frozen=True)
class ClusterFacts:
    """A cluster as its provider shows it.

    title: "EKS cluster shop"; location: "of account 111122223333 in eu-central-1"; registration: its block for CAST AI;
    own_id: the id that it brings along, empty if CAST AI assigns one; result_fields: what results show about it;
    problems: why it is not the cluster that the user named, or cannot be registered; api_server: None if only a
    kubeconfig leads to it; seen_at: who knows its address, "EKS says that cluster shop"; access_mode: how it lets
    principals in, if the provider says so; own: what only the provider reads.
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
    """Under which name the cluster knows the caller, or who grants it permissions there, as a sentence."""
    own: Any = field(default=None, repr=False)
    nodes: Object | None = field(default=None, repr=False)
    """The nodes as the API server listed them, if the provider has read them."""
    caseless: bool = False
    """Whether the texts of its registration are the same in any case."""

    def is_recorded_in(self, record: Cluster) -> bool:
        """Whether CAST AI's record is of this cluster, by its registration."""
        if self.caseless:
            ours, theirs = _folded(self.registration), _folded(record.facts)
            return record.provider == self.provider and ours.items() <= theirs.items()
        return record.provider == self.provider and self.registration.items() <= record.facts.items()


def _folded(texts: Mapping[str, str]) -> dict[str, str]:
    return {key: text.casefold() for key, text in texts.items()}


class Systems(Protocol):
    """The connections that a provider reads with. Each is made on first use."""

    def cloud(self) -> Any:
        """The provider's cloud, by the options."""

    def cluster(self) -> Kubernetes:
        """The cluster that the Kubernetes options lead to."""


@dataclass(frozen=True)
class CloudRights:
    """What the caller may not do in the cloud, in sentences.

    reading: what a plan needs too; writing: what only a run needs; warnings: what only some runs need.
    """

    reading: tuple[str, ...] = ()
    writing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    not_checked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Onboarding:
    """What preflight checks about a provider's cluster that is to be onboarded.

    options: those of the identity. option_problems: what the identity's module would refuse because of its form;
    params: preflight's. rights: reads, given the identity's options, CAST AI's record and the caller; None if there is
    nothing to ask. system_rows: permissions needed in namespace kube-system; facts: None if not known. possible_rows:
    all that may be needed there. foreign_nodes: the kinds of nodes, if CAST AI cannot use any of them. nodes_problem,
    warnings: about those kinds.
    """

    options: Spec
    option_problems: Callable[[Parameters], Iterator[str]]
    rights: Callable[[Any, ClusterFacts, Parameters, Cluster | None, str], CloudRights | None]
    system_rows: Callable[[ClusterFacts | None, Parameters], Rows] = lambda facts, options: ()
    possible_rows: Rows = ()
    foreign_nodes: Callable[[Iterable[Object]], tuple[str, ...]] = lambda nodes: ()
    nodes_problem: Callable[[tuple[str, ...]], str] = lambda kinds: ""
    warnings: Callable[[ClusterFacts, tuple[str, ...]], Iterator[str]] = lambda facts, kinds: iter(())


@dataclass(frozen=True)
class Provider:
    """Who runs clusters. key: as CAST AI and the option provider spell it; title: as people write it.

    options, rules: its location and credentials, for AnsibleModule. registration_options: what only registering needs.
    name_problem, option_problems, missing_options: pure; what is wrong with values, and which options must be given.
    cloud: connects. caller: reads who the credentials belong to. acting_as: the same in words, also for an empty
    caller. read: one round. own_name_problem: reads why a cluster is not the one with this name, judging by what it
    says about itself; None if only the provider knows. describe_location: a record's block in words. agent_environment:
    from the cluster's id at CAST AI, and whether the user gave it. component_values: by release. proxied_values: of the
    agent and cluster-controller where they use a proxy; direct: hosts that they reach without it. roles_between: the
    roles that a cluster needs after it is connected and before it is onboarded. kubernetes_grant: how the cloud can
    grant Kubernetes permissions that are missing, as a sentence. read_ahead: reads what connecting needs for any
    cluster, such as the SDK; makes no call.
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
