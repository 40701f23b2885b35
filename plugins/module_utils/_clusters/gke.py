# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""GKE clusters. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from .._engine import CallFailed, Refused
from .._gateways import google_session
from .._gateways.google import Google
from .._gateways.google_container import GkeCluster
from .._gateways.google_credentials import project_of
from .._gateways.google_session import Rejected
from .._gateways.kubernetes import Object
from .._google.names import MISSING_PROJECT, gke_cluster_problem, location_problem, project_problem, recorded_place
from .._google.options import GOOGLE_RULES, IDENTITY_OPTIONS, form_problems, google_options
from .._variables import named
from .facts import ApiServer, ClusterFacts, Named, Onboarding, Parameters, Provider, Systems
from .on_google import rights

USABLE = frozenset({"RUNNING", "RECONCILING", "DEGRADED"})
"""The states in which a cluster can be reached and is not about to disappear."""

_NUMBER = (
    "The access scopes of this machine lack userinfo.email, so Kubernetes only sees the number of its service account,"
    " and RoleBindings to its e-mail address have no effect. Add the scope to the machine, or bind the number."
)

AUTO, DNS, PUBLIC, PRIVATE = "auto", "dns", "public", "private"


def read(systems: Systems, wanted: Named) -> ClusterFacts:
    google: Google = systems.cloud()
    location = wanted.location.get("location", "")
    missing = missing_options({"project": google.project, "location": location})
    if missing:
        raise Refused(" ".join(missing.values()))
    try:
        found = google.get_cluster(google.project, location, wanted.name)
    except Rejected as refusal:
        raise refusal.unless_gone(f"correct {named('project')}") from refusal
    elsewhere = _elsewhere(google, wanted.name) if found is None else ""
    return facts(found, wanted, google, elsewhere)


def _elsewhere(google: Google, name: str) -> str:
    """Where else the project has a cluster of this name, as a sentence with a space before it. Empty if nowhere."""
    try:
        places = sorted(one.location for one in google.list_clusters(google.project) if one.name == name)
    except CallFailed:
        return ""
    return f" The project has a cluster of this name in {' and '.join(places)}." if places else ""


def facts(found: GkeCluster | None, wanted: Named, google: Google, elsewhere: str = "") -> ClusterFacts:
    title, location = f"GKE cluster {wanted.name}", wanted.location.get("location", "")
    source = f" (from {google.project_source})" if google.project_source else ""
    if found is None:
        problem = (
            f"GKE has no cluster {wanted.name} in {location} of project {google.project}{source}.{elsewhere} Check"
            f" {named('cluster_name')}, {named('provider')}, {named('location')} and {named('project')}."
        )
        where = f"of project {google.project} in {location}"
        return ClusterFacts(KEY, wanted.name, title, where, {}, exists=False, problems=(problem,))
    problem = unusable_problem(found)
    server = None if problem else api_server(found, google)
    return ClusterFacts(
        KEY,
        found.name,
        title,
        f"of project {found.project}{source} in {found.location}",
        {
            "projectId": found.project,
            "region": region_of(found.location),
            "location": found.location,
            "clusterName": found.name,
        },
        result_fields={"project": found.project, "location": found.location},
        problems=tuple(filter(None, [problem])),
        api_server=server or _closed(found, problem),
        seen_at=f"GKE says that cluster {found.name}",
        caller_hint=_NUMBER if google.lacks_email_scope() else "",
        own=found,
    )


def region_of(location: str) -> str:
    """The region of a zone, or the region itself, as CAST AI wants it."""
    parts = location.split("-")
    return "-".join(parts[:2]) if len(parts) > 2 else location


def unusable_problem(found: GkeCluster) -> str:
    """Why nothing can be done in a cluster now, or will be soon. Empty if there is no reason."""
    if found.autopilot:
        return (
            f"GKE cluster {found.name} is an Autopilot cluster, whose nodes only GKE can manage. This collection does"
            " not support Autopilot. CAST AI's castctl and its umbrella chart offer workload autoscaling there."
        )
    if found.status == "PROVISIONING":
        return f"GKE cluster {found.name} is PROVISIONING. Wait until it is RUNNING."
    if found.status == "STOPPING":
        return (
            f"GKE cluster {found.name} is STOPPING and will soon be gone. Check {named('cluster_name')} and"
            f" {named('location')}, or remove the host from the inventory."
        )
    if found.status not in USABLE:
        return (
            f"GKE cluster {found.name} is {found.status or 'in an unknown state'}. Look at its conditions in GKE, and"
            " repair it or create it again."
        )
    return ""


def api_server(found: GkeCluster, google: Google) -> ApiServer:
    """The API server, with the access tokens of the Google credentials."""
    address, by_dns, problem = way_in(found, google.endpoint)
    if not (problem or by_dns or found.ca_pem):
        problem = (
            f"GKE does not show the certificate authority of cluster {found.name}. Grant"
            " container.clusters.getCredentials to the identity that runs this, or set"
            f" {named('endpoint')} to dns."
        )
    return ApiServer(
        address,
        found.ca_pem,
        _hosts(found),
        google.token,
        lambda: _advice(found, google, address, by_dns),
        problem,
        publicly_trusted=by_dns,
        advice_at=lambda host: _advice_at(host, found),
        forget=google.forget,
    )


def _closed(found: GkeCluster, problem: str) -> ApiServer:
    return ApiServer(
        "",
        found.ca_pem,
        _hosts(found),
        str,
        advice_at=lambda host: _advice_at(host, found),
        unreachable_problem=problem,
    )


def _hosts(found: GkeCluster) -> frozenset[str]:
    every = (found.endpoint, found.public_endpoint, found.private_endpoint, found.dns_endpoint)
    return frozenset([*(_url(one) for one in every if one), *_gateways(found.membership)])


def _gateways(membership: str) -> Iterator[str]:
    """The addresses of a fleet member at the Connect gateway, which has a certificate authority of its own.

    membership: //gkehub.googleapis.com/projects/NUMBER/locations/LOCATION/memberships/NAME, empty for none.
    """
    parts = membership.rpartition("//")[2].split("/")
    if len(parts) != 7:
        return
    service, _projects, project, _locations, location, _memberships, name = parts
    universe = service.partition(".")[2]
    for host in (f"connectgateway.{universe}", f"{location}-connectgateway.{universe}"):
        yield f"https://{host}/v1/projects/{project}/locations/{location}/gkeMemberships/{name}"


def _url(host: str) -> str:
    return f"https://[{host}]" if host.count(":") > 1 else f"https://{host}"


def way_in(found: GkeCluster, endpoint: str) -> tuple[str, bool, str]:
    """The address to reach a cluster at, whether that is its DNS name, and a problem or an empty text.

    endpoint: the option. GKE's rules: the DNS endpoint must allow traffic from outside, and IP endpoints must be
    enabled.
    """
    choice = _automatic(found) if endpoint == AUTO else endpoint
    other = f"set {named('endpoint')} to another one."
    if choice == DNS:
        problem = "" if found.dns_endpoint else f"GKE cluster {found.name} has no DNS endpoint: {other}"
        if found.dns_endpoint and not found.dns_from_outside:
            problem = (
                f"The DNS endpoint of GKE cluster {found.name} does not accept traffic from outside Google's network."
                f" Allow it (gcloud container clusters update --enable-dns-access), or {other}"
            )
        return _url(found.dns_endpoint), True, problem
    if not found.by_ip:
        return "", False, f"The IP endpoints of GKE cluster {found.name} are disabled. Set {named('endpoint')} to dns."
    host = found.endpoint
    if choice == PUBLIC:
        host = "" if found.private else found.public_endpoint or found.endpoint
    elif choice == PRIVATE:
        host = found.private_endpoint or (found.endpoint if found.private else "")
    if not host:
        kind = f"{choice} " * (choice != AUTO)
        return "", False, f"GKE cluster {found.name} has no {kind}endpoint: {other}"
    return _url(host), False, ""


def _automatic(found: GkeCluster) -> str:
    """The endpoint most likely to work from anywhere. AUTO stands for the address that GKE lists first."""
    if not found.by_ip:
        return DNS
    if found.endpoint and not (found.private or found.authorized_networks):
        return AUTO
    return DNS if found.dns_endpoint and found.dns_from_outside else AUTO


def _advice(found: GkeCluster, google: Google, address: str, by_dns: bool) -> Mapping[int, str]:
    """What to do about the API server's answers, by HTTP status, 0 for no answer. Each text starts with a space."""
    advice = {}
    if not by_dns:
        private = found.private or address == _url(found.private_endpoint)
        reason = "is private" if private else "may only accept authorized networks"
        dns = f"set {named('endpoint')} to dns"
        if not found.dns_from_outside:
            dns = f"turn on the DNS endpoint (gcloud container clusters update --enable-dns-access) and {dns}"
        public = f" set {named('endpoint')} to public," if private and not found.private else ""
        advice[0] = (
            f" The cluster's endpoint {reason}: run Ansible in a network that may connect,{public} {dns}, or open"
            f" a tunnel and set {named('kubeconfig')}, or {named('host')} and {named('api_key')}, to use it."
        )
    if not google.can_renew:
        advice[401] = (
            " The access token has expired or is not valid, and cannot be renewed: set"
            f" {named('access_token')} to a new one."
        )
    forbidden = ""
    if by_dns:
        forbidden += (
            " At the DNS endpoint, these credentials also need the permission container.clusters.connect in the"
            " project."
        )
    if google.lacks_email_scope():
        forbidden += f" {_NUMBER}"
    return {**advice, **({403: forbidden} if forbidden else {})}


def _advice_at(host: str, found: GkeCluster) -> Mapping[int, str]:
    """The same for the credentials of a kubeconfig, or of host and api_key."""
    if not found.dns_endpoint or host.rstrip("/").lower() != _url(found.dns_endpoint).lower():
        return {}
    fields = {"enableK8sTokensViaDns": found.tokens_by_dns, "enableK8sCertsViaDns": found.certificates_by_dns}
    off = [name for name, on in fields.items() if not on]
    advice = " The DNS endpoint only accepts Kubernetes' own tokens and client certificates if the cluster says so."
    advice += f" Turn on {' and '.join(off)}, or leave out {named('kubeconfig')} and {named('host')}."
    return {401: advice, 403: advice} if off else {}


def agent_environment(found: ClusterFacts, cluster_id: str, chosen: bool) -> Mapping[str, str]:
    """Environment variables of the agent for what it would otherwise ask the cloud."""
    return {
        "STATIC_CLUSTER_ID": cluster_id,
        "GKE_PROJECT_ID": found.own.project,
        "GKE_REGION": region_of(found.own.location),
        "GKE_LOCATION": found.own.location,
        "GKE_CLUSTER_NAME": found.name,
    }


def option_problems(params: Parameters) -> Mapping[str, str]:
    # The environment's project only counts for GKE clusters, because AWX sets it in every job.
    project, source = project_of(params) if params.get("provider") == KEY else (params.get("project"), "")
    location = params.get("location")
    found = {
        "project": project_problem(project, source) if project else "",
        "location": location_problem(location) if location else "",
    }
    return {option: problem for option, problem in found.items() if problem}


def missing_options(params: Parameters) -> Mapping[str, str]:
    missing = {}
    if not project_of(params)[0]:
        missing["project"] = MISSING_PROJECT
    if not params.get("location"):
        missing["location"] = f"{named('location')} is not set. Set it to the region or zone of the cluster."
    return missing


def caller(google: Google) -> str:
    return google.caller() or "a Google identity without an e-mail"


def acting_as(email: str, found: ClusterFacts | None) -> str:
    project = f" in project {found.own.project}" if found and found.own else ""
    return f"{email or 'unknown Google identity'}{project}"


def foreign_nodes(nodes: Iterable[Object]) -> tuple[str, ...]:
    """The kinds of nodes, if CAST AI cannot use any of them."""
    kinds = {_kind(node) for node in nodes}
    return () if "" in kinds else tuple(sorted(kinds))


def _kind(node: Object) -> str:
    labels = (node.get("metadata") or {}).get("labels") or {}
    return "" if labels.get("kubernetes.io/os") == "linux" else "Windows"


def nodes_problem(kinds: tuple[str, ...]) -> str:
    if not kinds:
        return ""
    return (
        f"The cluster has only {' and '.join(kinds)} nodes. CAST AI needs Linux nodes that it can add and remove: add a"
        " node pool first."
    )


def warnings(found: ClusterFacts, kinds: tuple[str, ...]) -> Iterator[str]:
    cluster: GkeCluster = found.own
    if cluster.auto_provisioning:
        yield (
            f"Node auto-provisioning is on for GKE cluster {cluster.name}, so both GKE and CAST AI would add and remove"
            " nodes. Turn it off, or set components_autoscaling to false."
        )
    scaled = [pool.name for pool in cluster.node_pools if pool.autoscaling]
    if scaled:
        yield (
            f"GKE's cluster autoscaler is on for node pools {', '.join(scaled)}, so both GKE and CAST AI would add and"
            " remove nodes. Turn it off for these pools, or set components_autoscaling to false."
        )
    if cluster.alpha:
        ends = f" and deletes it on {cluster.expires}" if cluster.expires else ""
        yield f"GKE cluster {cluster.name} is an alpha cluster: GKE neither upgrades it nor supports it{ends}."


KEY = "gke"

GKE = Provider(
    key=KEY,
    title="GKE",
    cloud_title="Google Cloud",
    options=google_options(),
    rules=GOOGLE_RULES,
    location_options=("project", "location"),
    name_problem=gke_cluster_problem,
    option_problems=option_problems,
    missing_options=missing_options,
    cloud=Google,
    read_ahead=google_session.read_ahead,
    caller=caller,
    acting_as=acting_as,
    read=read,
    describe_location=recorded_place,
    agent_environment=agent_environment,
    kubernetes_grant=(
        "In IAM, the custom role in docs/examples/policies/gke-onboard-in-cluster.yml grants them. For a plan,"
        " gke-plan-in-cluster.yml is enough."
    ),
    component_values={
        "castai-spot-handler": {"castai": {"provider": "gcp"}},
        "castai-kvisor": {"controller": {"extraArgs": {"cloud-provider": "gke"}}},
    },
    onboarding=Onboarding(
        options=IDENTITY_OPTIONS,
        option_problems=lambda params: form_problems(params["onboard"]),
        rights=rights,
        foreign_nodes=foreign_nodes,
        nodes_problem=nodes_problem,
        warnings=warnings,
    ),
)
