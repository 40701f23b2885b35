# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a module reaches a cluster: a kubeconfig, an address and token, or the provider if the options give neither.

PRIVATE to the collection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from .._answers import tidy
from .._credentials import quoted
from .._engine import Action, CallFailed, Made, Refused
from .._gateways.files import pem_text
from .._gateways.kubernetes import (
    Kubernetes,
    Object,
    Rejected,
    admission_problem,
    by_kubeconfig,
    by_token,
    path_of,
)
from .._gateways.tls import certificates
from .._given import readable
from .._variables import named
from .facts import ApiServer, ClusterFacts, Named
from .table import PROVIDERS

Parameters = Mapping[str, Any]

ROOT_CA, ROOT_CA_KEY = "kube-root-ca.crt", "ca.crt"
"""The ConfigMap in which Kubernetes publishes the cluster's certificate authority, in each namespace since 1.20."""
ROOT_CA_NAMESPACES = ("kube-system", "default")
ROOT_CA_PATHS = tuple(path_of("v1", "ConfigMap", ROOT_CA, namespace) for namespace in ROOT_CA_NAMESPACES)


_ANOTHER = f"and ConfigMap {ROOT_CA} there differs too"
"""Says that the authorities differ, which proves that it is another cluster."""
_UNPROVEN = f" If the connection certainly leads to this cluster, set {named('wrong_cluster_check')} to false instead."


def named_by(params: Parameters) -> Named:
    """The cluster that the options name."""
    provider = params.get("provider") or ""
    location = PROVIDERS[provider].location_options if provider else ()
    return Named(
        provider,
        params.get("cluster_name") or "",
        {option: params.get(option) or "" for option in location},
        params.get("wrong_cluster_check") is not False or not given(params),
    )


def given(params: Parameters) -> bool:
    """Whether the Kubernetes options lead to a cluster; otherwise its provider is asked."""
    return bool(params.get("kubeconfig") or params.get("host"))


def reach(params: Parameters, api_server: ApiServer | None) -> Kubernetes:
    """Connect by the options, or else as the cluster's provider says. Makes no call.

    Refuses a cluster that its provider reports as unusable, whatever leads to it.
    """
    if api_server and api_server.unreachable_problem:
        raise Refused(api_server.unreachable_problem)
    validate = bool(params.get("kubernetes_validate_certs", True))
    ca_pem = _read(params.get("ca_cert"))
    if params.get("kubeconfig"):
        return _advised(by_kubeconfig(params["kubeconfig"], params.get("context"), ca_pem, validate), api_server)
    if params.get("host"):
        return _advised(by_token(params["host"], params.get("api_key"), ca_pem, validate), api_server)
    if api_server is None:
        provider = PROVIDERS.get(params.get("provider") or "")
        missing = provider.missing_options(params) if provider else {}
        raise Refused(
            missing.get("kubeconfig")
            or f"No connection to the cluster is given. Set {named('kubeconfig')}, or {named('host')} and"
            f" {named('api_key')}, or the options with which its provider finds it, on EKS for example"
            f" {named('provider')}, {named('cluster_name')} and {named('region')}."
        )
    if api_server.entry_problem:
        raise Refused(api_server.entry_problem)
    # A proxy in front of the address may terminate TLS: the user's file has its authority beside the cluster's own.
    own = "" if api_server.publicly_trusted else api_server.ca_pem
    trusted = "\n".join(filter(None, (ca_pem, own)))
    return by_token(
        api_server.endpoint,
        None,
        trusted,
        validate,
        None if api_server.certificate else api_server.sign,
        api_server.advice(),
        api_server.certificate,
        api_server.key,
        api_server.forget,
    )


def _advised(made: Kubernetes, api_server: ApiServer | None) -> Kubernetes:
    """Add the provider's advice for an address that the user gave."""
    if api_server:
        made.advise(api_server.advice_at(made.host))
    return made


@dataclass
class Connection:
    """How one task reaches its cluster, according to the options. Each connection is made once, on first use."""

    params: Parameters
    connected: Any = None
    """The connection to the provider's cloud."""
    kubernetes: Kubernetes | None = None
    facts: ClusterFacts | None = None

    def cloud(self) -> Any:
        """The connection to the provider's cloud."""
        self.connected = self.connected or PROVIDERS[self.params["provider"]].cloud(self.params)
        return self.connected

    def read(self, wanted: Named) -> ClusterFacts:
        """Read the cluster from its provider, in one round."""
        self.facts = PROVIDERS[wanted.provider].read(self, wanted)
        return self.facts

    def cluster(self, api_server: ApiServer | None = None) -> Kubernetes:
        """The connection to the cluster. api_server is needed on the first call if the options do not say how to reach
        one."""
        if self.kubernetes is None:
            self.kubernetes = reach(self.params, api_server)
        return self.kubernetes

    def enter(self, wanted: Named) -> Kubernetes:
        """Connect to the cluster, with the help of its provider if needed. Refuses a cluster that does not exist, and a
        connection to another one."""
        if self.kubernetes is None:
            problem = self._misplaced(wanted)
            if problem:
                raise Refused(problem)
        return self.cluster()

    def _misplaced(self, wanted: Named) -> str:
        """Why the connection does not lead to the named cluster. Empty if it does."""
        if not wanted.name:
            return ""
        if PROVIDERS[wanted.provider].own_name_problem:
            return own_name_problem(self.cluster(), wanted)
        facts = self.read(wanted)
        return " ".join(facts.problems) or other_cluster_problem(self.cluster(facts.api_server), facts, wanted.checked)

    def close(self) -> None:
        if self.kubernetes:
            self.kubernetes.close()


@dataclass(frozen=True)
class Tried(Action):
    """A write to the cluster that is tried by a dry run before the first write: a webhook, policy or quota may refuse
    it."""

    def send(self, cluster: Kubernetes, made: Made, dry_run: bool = False) -> Any:
        raise NotImplementedError

    def run(self, gateway: Any, made: Made) -> Mapping[str, Any] | None:
        self.send(gateway.cluster(), made)
        return None


def refuse_unadmitted(cluster: Kubernetes, actions: Iterable[Action]) -> None:
    """Raise Refused if a dry run shows that the cluster would not admit a write."""
    tried = [action for action in actions if isinstance(action, Tried)]
    if not tried or not cluster.has_dry_runs():
        return
    for action in tried:
        why = admission_problem(partial(action.send, cluster, {}, dry_run=True))
        if why:
            raise Refused(f"Could not {action.sentence}, as a dry run shows: {why}")


def own_name_problem(kubernetes: Kubernetes, wanted: Named) -> str:
    """Why the cluster is not the named one, judging by what it says about itself. Empty if it says nothing."""
    judged = wanted.name and wanted.checked
    asked = [one.own_name_problem for one in PROVIDERS.values() if one.own_name_problem] if judged else []
    return next(filter(None, (problem(kubernetes, wanted.name) for problem in asked)), "")


def unchecked_warning(wanted: Named, facts: ClusterFacts | None) -> str:
    """A warning that the connection may lead to another cluster. Empty if that was checked."""
    if wanted.checked or facts is None:
        return ""
    return (
        f"Whether the connection leads to {facts.title} was not checked, because {named('wrong_cluster_check')} is"
        " false."
    )


def other_cluster_problem(kubernetes: Kubernetes, facts: ClusterFacts, checked: bool = True) -> str:
    """Why the connection does not lead to this cluster, judging by what its provider knows about its API server. Empty
    if it does, or if nothing should be checked.

    Reads at most two ConfigMaps. Each such cluster has its own certificate authority, so an equal one proves that it is
    this cluster, even behind a tunnel. A proxy that terminates TLS shows its own authority instead; then the cluster's,
    which Kubernetes publishes in each namespace, is read through the proxy. If certificates are not verified, nothing
    that is read proves anything, so the address must be one of the cluster's.
    """
    server = facts.api_server
    if server is None or not checked:
        return ""
    authority, ours = certificates(kubernetes.ca_pem()), certificates(server.ca_pem)
    same_address = _plain(kubernetes.host) in map(_plain, server.hosts)
    if authority == ours if authority and ours else same_address:
        return ""
    untold = ""
    if not kubernetes.verified:
        differing = " (certificates are not verified, so they could not be compared)"
    elif not ours:
        differing = " (its certificate authority is not known)"
    else:
        untold = _unproven(kubernetes, ours)
        if not untold:
            return ""
        differing = f" with another certificate authority, {untold}"
    return (
        f"The kubeconfig or host points to {kubernetes.host}, but {facts.seen_at} is at {server.endpoint}"
        f"{differing}. Set {named('kubeconfig')} and {named('context')} to this cluster, or leave them out."
        f"{'' if untold == _ANOTHER else _UNPROVEN}"
    )


def _plain(address: str) -> str:
    return address.rstrip("/").lower()


def _unproven(kubernetes: Kubernetes, ours: frozenset[bytes]) -> str:
    """Why the authority that the cluster publishes does not prove that it is this cluster, as a clause. Empty if it
    does."""
    reason = "it does not exist"
    for path in ROOT_CA_PATHS:
        try:
            data = (kubernetes.get(path) or {}).get("data")
        except Rejected as answer:
            reason = str(answer).rstrip(".")
            continue
        except CallFailed as failure:
            reason = str(failure).rstrip(".")
            break
        published = certificates(data.get(ROOT_CA_KEY) if isinstance(data, dict) else None)
        if published:
            return "" if published == ours else _ANOTHER
    return (
        f"and ConfigMap {ROOT_CA} of namespace {' or '.join(ROOT_CA_NAMESPACES)}, which would show whether a proxy"
        f" terminates TLS in between, could not be read ({reason})"
    )


def terminating_problem(namespace: Object | None) -> str:
    """Why nothing can be created in a Namespace. Empty if there is no reason."""
    metadata, status = (namespace or {}).get("metadata") or {}, (namespace or {}).get("status") or {}
    if not metadata.get("deletionTimestamp"):
        return ""
    # A finalizer that is left, or an API that does not answer, may block it forever.
    held = {
        one.get("type"): one.get("message") for one in status.get("conditions") or () if one.get("status") == "True"
    }
    said = tidy(held.get("NamespaceFinalizersRemaining") or next(iter(held.values()), ""), 300).rstrip(".")
    why = f" Kubernetes says what is blocking it: {said}." if said else ""
    return f"Namespace {metadata['name']} is being deleted. Wait until it is gone, then run again.{why}"


def namespace_refusal(namespace: str) -> str:
    """The message if a Namespace does not exist and must not be created."""
    return f"Namespace {namespace} does not exist. Create it, or set {named('create_namespace')} to true."


def _read(path: str | None) -> str:
    if not path:
        return ""
    try:
        return pem_text(readable(Path(path)).read_bytes())
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise Refused(
            f"{named('ca_cert')} is {quoted(path)}, which cannot be read ({said}). Set it to a file with the API"
            " server's CA certificates."
        ) from error
