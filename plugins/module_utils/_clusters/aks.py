# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AKS clusters. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from .._azure import aks
from .._azure.names import (
    MISSING_SUBSCRIPTION,
    aks_cluster_problem,
    group_problem,
    recorded_place,
    subscription_problem,
)
from .._azure.options import AZURE_RULES, IDENTITY_OPTIONS, azure_options, form_problems
from .._engine import CallFailed, Refused, at_once
from .._gateways import azure_session
from .._gateways.azure import Azure
from .._gateways.azure_container import AksCluster, Credential
from .._gateways.azure_credentials import subscription_of
from .._gateways.azure_session import Caller, Rejected
from .._gateways.kubernetes import NO_NAME, REFUSED, TIMED_OUT, Object
from .._variables import named
from .facts import ApiServer, ClusterFacts, Named, Onboarding, Parameters, Provider, Systems
from .on_azure import rights

CLUSTER_ADMIN = "Azure Kubernetes Service RBAC Cluster Admin"
"""The built-in role with the fewest rights that may still create ClusterRoles and webhooks."""
_CLUSTER_ADMIN_ID = "b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b"

_KUBECONFIG = f"set {named('kubeconfig')}, or {named('host')} and {named('api_key')}"


def read(systems: Systems, wanted: Named) -> ClusterFacts:
    """Read the cluster from AKS, in one round if the resource group is known.

    The credentials are read too, because only they contain the cluster's certificate authority.
    """
    azure: Azure = systems.cloud()
    subscription = azure.subscription_id
    missing = missing_options({"subscription_id": subscription})
    if missing:
        raise Refused(" ".join(missing.values()))
    group = wanted.location.get("resource_group", "")
    node_group = wanted.location.get("node_resource_group", "")
    credential = None
    if group:
        # Get the token before the parallel reads, so that a failing login fails only once.
        azure.caller()
        with at_once() as ask:
            asked = ask(azure.get_cluster, subscription, group, wanted.name)
            entered = ask(_entered, azure, subscription, group, wanted.name)
        found, credential = asked.result(), entered.result()
    else:
        found = aks.chosen(azure.list_clusters(subscription), wanted.name, node_group)
    if found is None:
        others = _listed(azure, subscription) if group else ()
        problem = aks.absent_problem(wanted.name, subscription, group, node_group, others)
        where = f"of subscription {subscription}"
        return ClusterFacts(
            KEY, wanted.name, f"AKS cluster {wanted.name}", where, {}, exists=False, problems=(problem,)
        )
    return facts(found, azure, node_group, credential)


def _listed(azure: Azure, subscription: str) -> tuple[AksCluster, ...]:
    try:
        return azure.list_clusters(subscription)
    except CallFailed:
        return ()


def facts(
    found: AksCluster, azure: Azure, node_group: str = "", credential: Credential | CallFailed | None = None
) -> ClusterFacts:
    """credential: what AKS returned for the cluster, or why it returned nothing, if it has been asked."""
    source = f" (from {azure.subscription_source})" if azure.subscription_source else ""
    problem = aks.unusable_problem(found) or aks.node_group_problem(found, node_group)
    return ClusterFacts(
        KEY,
        found.name,
        f"AKS cluster {found.name}",
        f"in resource group {found.group} of subscription {found.subscription_id}{source}",
        {
            "region": found.location,
            "subscriptionId": found.subscription_id,
            "nodeResourceGroup": found.node_group,
        },
        result_fields={
            "subscription_id": found.subscription_id,
            "resource_group": found.group,
            "node_resource_group": found.node_group,
        },
        problems=tuple(filter(None, [problem])),
        api_server=_closed(found, problem) if problem else api_server(found, azure, credential),
        seen_at=f"AKS says that cluster {found.name}",
        caller_hint="" if problem or azure.admin or not found.entra else _grant(found, azure.caller()),
        own=found,
        caseless=True,
    )


def _closed(found: AksCluster, problem: str) -> ApiServer:
    return ApiServer("", "", _hosts(found), str, unreachable_problem=problem)


def _hosts(found: AksCluster) -> frozenset[str]:
    names = filter(None, (found.fqdn, found.private_fqdn))
    return frozenset(f"https://{name}{port}" for name in names for port in ("", ":443"))


def api_server(found: AksCluster, azure: Azure, given: Credential | CallFailed | None = None) -> ApiServer:
    """The API server, with a token for AKS. If the cluster does not use Entra logins, with the certificate that AKS
    returns."""
    credential, problem = _credential(found, azure, given)
    if credential is None:
        address = f"https://{found.fqdn or found.private_fqdn}:443"
        return ApiServer(address, "", _hosts(found), str, entry_problem=problem)
    server, application = credential.server, credential.server_application
    tenant = found.tenant or credential.tenant
    sign = (lambda: azure.cluster_token(tenant, application)) if application else lambda: credential.token
    return ApiServer(
        server.url,
        server.ca_pem,
        _hosts(found) | {server.url},
        sign,
        lambda: _advice(found, azure, bool(application)),
        entry_problem=problem,
        certificate=server.certificate,
        key=server.key,
        forget=azure.forget,
    )


def _credential(
    found: AksCluster, azure: Azure, given: Credential | CallFailed | None
) -> tuple[Credential | None, str]:
    """The credentials for the cluster, and why they do not work, or an empty text."""
    problem = aks.entry_problem(found, azure.admin)
    if problem:
        return None, problem
    public = found.private and found.public_fqdn and bool(found.fqdn)
    if given is None or public:
        given = _entered(azure, found.subscription_id, found.group, found.name, public)
    if isinstance(given, Rejected):
        return None, f"{given} Or {_KUBECONFIG}."
    if isinstance(given, CallFailed):
        raise given
    return given, aks.credential_problem(found, given)


def _entered(
    azure: Azure, subscription: str, group: str, cluster: str, public: bool = False
) -> Credential | CallFailed:
    """public: return the public name of a private cluster."""
    try:
        return (azure.admin_credential if azure.admin else azure.user_credential)(subscription, group, cluster, public)
    except CallFailed as failure:
        return failure


def _advice(found: AksCluster, azure: Azure, entra: bool) -> Mapping[int, str]:
    """What to do about the API server's answers, by HTTP status, or by cause if there was none. Each text starts with a
    space."""
    advice = {**_unanswered(found)}
    if not entra:
        return advice
    caller = azure.caller()
    advice[401] = (
        f" This cluster only accepts logins of Entra tenant {found.tenant or 'unknown'}: check that {in_words(caller)}"
        " belongs to it."
    )
    advice[403] = f" {_grant(found, caller)}"
    return advice


def _grant(found: AksCluster, caller: Caller) -> str:
    """How the caller gets permissions in a cluster with Entra logins."""
    who = caller.name or caller.object_id
    if found.azure_rbac:
        return (
            f"The cluster uses Azure RBAC: assign the role {CLUSTER_ADMIN} ({_CLUSTER_ADMIN_ID}) to {who} on"
            f" {found.id}. The assignment takes some minutes to take effect."
        )
    return (
        f"Bind {who} as a user to a ClusterRole such as cluster-admin, or add it to an administrator group of the"
        " cluster in Entra."
    )


def _unanswered(found: AksCluster) -> dict[int, str]:
    """What to do if there is no answer, by cause."""
    inside = (
        "run this from a network that reaches the API server, such as an AWX instance group there or a machine behind a"
        f" VPN, or open a tunnel and {_KUBECONFIG} for it"
    )
    if found.private or not found.public_access:
        kind = "is private"
    elif found.vnet_integration:
        kind = "has its API server in a virtual network (API Server VNet Integration)"
    elif found.authorized_ranges:
        kind = "only accepts authorized IP ranges"
    else:
        return {}
    lead = f" AKS cluster {found.name} {kind}:"
    ranges = ""
    if found.authorized_ranges:
        ranges = ", or add this machine's address to the authorized IP ranges"
    return {
        0: f"{lead} {inside}{ranges}.",
        NO_NAME: (
            f"{lead} its name can only be resolved where its private DNS zone is linked: link the zone to this"
            f" machine's network, or {inside}."
        ),
        REFUSED: f"{lead} another machine has its address here, or the cluster is stopped: {inside}.",
        TIMED_OUT: f"{lead} there is no route to it, or a firewall drops the connection: {inside}{ranges}.",
    }


def agent_environment(found: ClusterFacts, cluster_id: str, chosen: bool) -> Mapping[str, str]:
    """Environment variables of the agent for what it would otherwise ask the cloud."""
    return {
        "STATIC_CLUSTER_ID": cluster_id,
        "AKS_SUBSCRIPTION_ID": found.own.subscription_id,
        "AKS_LOCATION": found.own.location,
        "AKS_NODE_RESOURCE_GROUP": found.own.node_group,
    }


def option_problems(params: Parameters) -> Mapping[str, str]:
    # The environment's subscription only counts for AKS clusters, because AWX sets it in every job.
    given = subscription_of(params) if params.get("provider") == KEY else (params.get("subscription_id"), "")
    found = {"subscription_id": subscription_problem(*given) if given[0] else ""}
    for option in ("resource_group", "node_resource_group"):
        found[option] = group_problem(params[option], option) if params.get(option) else ""
    return {option: problem for option, problem in found.items() if problem}


def missing_options(params: Parameters) -> Mapping[str, str]:
    return {} if subscription_of(params)[0] else {"subscription_id": MISSING_SUBSCRIPTION}


def in_words(caller: Caller) -> str:
    if caller.name:
        return f"user {caller.name}"
    return f"application {caller.client_id or 'unknown'} (object ID {caller.object_id or 'unknown'})"


def acting_as(caller: str, found: ClusterFacts | None) -> str:
    subscription = f" in subscription {found.own.subscription_id}" if found and found.own else ""
    return f"{caller or 'unknown Azure identity'}{subscription}"


def foreign_nodes(nodes: Iterable[Object]) -> tuple[str, ...]:
    """The kinds of nodes, if CAST AI cannot use any of them. System nodes only count if there are no others."""
    listed = [*nodes]
    of_users = [node for node in listed if _labels(node).get("kubernetes.azure.com/mode") != "system"]
    kinds = {_kind(node) for node in of_users or listed}
    return () if "" in kinds else tuple(sorted(kinds))


def _labels(node: Object) -> Mapping[str, str]:
    return (node.get("metadata") or {}).get("labels") or {}


def _kind(node: Object) -> str:
    labels = _labels(node)
    if labels.get("kubernetes.io/os") != "linux":
        return "Windows"
    return "auto-provisioned" if "karpenter.sh/nodepool" in labels else ""


def nodes_problem(kinds: tuple[str, ...]) -> str:
    if not kinds:
        return ""
    return f"The cluster has only {' and '.join(kinds)} nodes. CAST AI needs Linux nodes: add a Linux node pool first."


def warnings(found: ClusterFacts, kinds: tuple[str, ...]) -> Iterator[str]:
    cluster: AksCluster = found.own
    off = "or set components_autoscaling to false."
    if cluster.node_provisioning.lower() == "auto":
        yield (
            f"Node auto-provisioning is on for AKS cluster {cluster.name}, so both AKS and CAST AI would add and"
            f" remove nodes. Turn it off, {off}"
        )
    scaled = [pool.name for pool in cluster.pools if pool.autoscaling]
    if scaled:
        yield (
            f"The cluster autoscaler of AKS is on for node pools {', '.join(scaled)}, so both AKS and CAST AI would add"
            f" and remove nodes. Turn it off for these pools, {off}"
        )
    if cluster.pools and all(pool.priority.lower() == "spot" for pool in cluster.pools if pool.mode.lower() == "user"):
        users = [pool.name for pool in cluster.pools if pool.mode.lower() == "user"]
        if users:
            yield (
                f"All user node pools of AKS cluster {cluster.name} are spot ({', '.join(users)}): Azure may remove the"
                " nodes of CAST AI's components at any time. Add a user node pool that is not spot."
            )
    yield from aks.authority_warnings(cluster)
    if cluster.outbound.lower() == "userdefinedrouting":
        yield (
            f"AKS cluster {cluster.name} routes its outbound traffic through your own firewall. Allow the addresses"
            " of CAST AI there: this cannot be checked from outside."
        )
    if cluster.cloud and cluster.cloud != "AzureCloud":
        yield f"AKS cluster {cluster.name} is in {cluster.cloud}. CAST AI does not state that it supports this cloud."


def exemption(found: ClusterFacts) -> str:
    if not found.own.policy_add_on:
        return ""
    return (
        f"The Azure Policy add-on is on for AKS cluster {found.own.name}: add the namespace to the parameter"
        " excludedNamespaces of the policy's assignment."
    )


KEY = "aks"

AKS = Provider(
    key=KEY,
    title="AKS",
    cloud_title="Azure",
    options=azure_options(),
    rules=AZURE_RULES,
    location_options=("subscription_id", "resource_group", "node_resource_group"),
    name_problem=aks_cluster_problem,
    option_problems=option_problems,
    missing_options=missing_options,
    cloud=Azure,
    read_ahead=azure_session.read_ahead,
    caller=lambda azure: in_words(azure.caller()),
    acting_as=acting_as,
    read=read,
    describe_location=recorded_place,
    agent_environment=agent_environment,
    component_values={
        "cluster-controller": {"aks": {"enabled": True}},
        "castai-spot-handler": {"castai": {"provider": "azure"}},
        "castai-kvisor": {"controller": {"extraArgs": {"cloud-provider": "aks"}}},
    },
    # Pods then reach the API server by name, which unlike its address can be listed as an exception of the proxy.
    proxied_values={"podAnnotations": {"kubernetes.azure.com/set-kube-service-host-fqdn": "true"}},
    direct=("169.254.169.254", ".svc", ".azmk8s.io", ".azure.us", ".azk8s.cn"),
    onboarding=Onboarding(
        options=IDENTITY_OPTIONS,
        option_problems=lambda params: form_problems(params["onboard"]),
        rights=rights,
        foreign_nodes=foreign_nodes,
        nodes_problem=nodes_problem,
        warnings=warnings,
        exemption=exemption,
    ),
)
