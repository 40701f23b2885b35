# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CAST AI's API as far as onboarding needs it: clusters, their tokens, the AWS principal, and the agents that report.

Paths, field names and status values are those of the published API description (types ExternalclusterV1* and
CastaiAuthtokenV1beta1* in castai/terraform-provider-castai, castai/sdk/api.gen.go). What the description leaves open
is marked "ours" below.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from ..wire import Call, Cluster, Request, Response
from .agent import UID, Agent
from .aws import CastAiAtAws, Cloud, Principal
from .azure import FIELDS as AZURE_FIELDS
from .azure import CastAiAtAzure
from .azure import Cloud as AzureCloud
from .google import KEY as GOOGLE_KEY
from .google import CastAiAtGoogle
from .google import Cloud as GoogleCloud

PREFIX = "/v1/kubernetes/external-clusters"
TOKEN_LIFETIME = 4 * 3600  # seconds without a connecting component; "a few hours" in the provider's gitops examples
AGENT_SILENCE = 6.0  # real seconds without a snapshot before the agent counts as non-responding; ours

EKS = {
    "accountId": str,
    "assumeRoleArn": str,
    "clusterName": str,
    "dnsClusterIp": str,
    "instanceProfileArn": str,
    "region": str,
    "securityGroups": list,
    "subnets": list,
    "tags": dict,
}
KOPS = {"cloud": str, "clusterName": str, "region": str, "stateStore": str}
GKE = {"clusterName": str, "location": str, "projectId": str, "region": str}
AKS = {"networkPlugin": str, "nodeResourceGroup": str, "region": str, "subscriptionId": str, "tenantId": str}
PROVIDERS: Mapping[str, Mapping[str, Any]] = {"eks": EKS, "kops": KOPS, "gke": GKE, "aks": AKS}
# What distinguishes clusters: the fields that every registering client sends. This is our choice; nothing public says
# it.
IDENTITY: Mapping[str, tuple[str, ...]] = {
    "eks": ("accountId", "region", "clusterName"),
    "kops": ("cloud", "region", "clusterName", "stateStore"),
    "gke": ("projectId", "location", "clusterName"),
    "aks": ("subscriptionId", "nodeResourceGroup"),
}
REGISTER = {"name": str, "id": str, "organizationId": str, "castwareInstallMethod": str, **PROVIDERS}
UPDATE = {
    "credentials": str,
    "eks": {"assumeRoleArn": str},
    "gke": {"gkeSaImpersonate": str, "projectId": str},
    "aks": {"httpProxyConfig": dict},
}
ON_AWS, AWS_KEY = ("eks", "kops"), ("accessKeyId", "secretAccessKey")
GOOGLE_ACCOUNT = {"gke": {"gkeSaImpersonate": str, "projectId": str}, "aks": {}}
ASKED = {"provider": str}
DISCONNECT = {"deleteProvisionedNodes": bool, "keepKubernetesResources": bool}


@dataclass(frozen=True)
class Key:
    """An API key: an organization's or, with a cluster id, that cluster's token."""

    organization_id: str
    name: str
    readonly: bool = False
    cluster_id: str = ""


@dataclass
class Token:
    """A cluster's token. minted_at: the world's clock, seconds."""

    value: str
    cluster_id: str
    minted_at: float
    revoked: bool = False
    used: bool = False

    def live(self, now: float) -> bool:
        return not self.revoked and (self.used or now <= self.minted_at + TOKEN_LIFETIME)


@dataclass
class Record:
    """A cluster as the API stores it. `pinned`: answers that a test has set, shown instead of the real ones."""

    id: str
    name: str
    organization_id: str
    provider: str
    block: dict[str, Any]
    created_at: str
    status: str = "connecting"
    credentials_id: str = ""
    access_key_id: str = ""  # of the AWS user's key, the Google account's or the Entra application's secret that it has
    controller: bool = False  # the cluster controller runs
    reconciled_at: str | None = None
    kubernetes_version: str | None = None
    snapshot_at: str | None = None
    heard: float | None = None  # time.monotonic() of the last snapshot
    pinned: dict[str, str] = field(default_factory=dict)
    before: list[dict[str, Any]] = field(default_factory=list)  # what the next reads show instead

    @property
    def agent_status(self) -> str:
        if self.status in ("deleting", "deleted"):
            return "disconnecting" if self.status == "deleting" else "disconnected"
        if self.heard is None:
            return "waiting-connection"
        return "online" if time.monotonic() - self.heard < AGENT_SILENCE else "non-responding"

    def shown(self) -> dict[str, Any]:
        region = self.block.get("region") or self.block.get("location") or ""
        return {
            "id": self.id,
            "name": self.name,
            "clusterNameId": f"{self.name}-{self.id[:8]}",
            "organizationId": self.organization_id,
            "providerType": self.provider,
            "providerNamespaceId": self.block.get(IDENTITY[self.provider][0], ""),
            "createdAt": self.created_at,
            "deletedAt": None,
            "status": self.status,
            "agentStatus": self.agent_status,
            "agentSnapshotReceivedAt": self.snapshot_at,
            "credentialsId": self.credentials_id,
            "isPhase2": bool(self.credentials_id) and self.controller,  # ours; nothing public says when it turns
            "kubernetesVersion": self.kubernetes_version,
            "managedBy": "",
            "reconcileError": None,
            "reconciledAt": self.reconciled_at,
            "region": {"name": region, "displayName": region},
            "tags": {},
            self.provider: self.block,
            **self.pinned,
        }


class ApiError(Exception):
    """A refusal. violations: (field, description) pairs."""

    def __init__(self, status: int, message: str, *violations: tuple[str, str]) -> None:
        super().__init__(message)
        self.status = status
        self.violations = violations


@dataclass(frozen=True)
class Route:
    method: str
    path: re.Pattern[str]
    operation: str
    handle: Callable[[CastAi, Key, str, dict[str, Any]], Any]
    schema: Mapping[str, Any]


class CastAi:
    """The back end. aws, google, azure: the world's, the last two for clusters there.

    clock: the world's time in seconds since the epoch, by which unused tokens expire.
    """

    system = "castai"
    hosts = ("api.cast.ai", "api.eu.cast.ai")

    def __init__(
        self,
        aws: Cloud,
        clock: Callable[[], float] = time.time,
        google: GoogleCloud | None = None,
        azure: AzureCloud | None = None,
    ) -> None:
        self._at_aws = CastAiAtAws(aws)
        self._at_google = CastAiAtGoogle(google) if google else None
        self._at_azure = CastAiAtAzure(azure, google) if azure else None
        self._keyless = True
        self._clock = clock
        self._lock = threading.RLock()
        self._agents: list[Agent] = []
        self._clusters: dict[str, Cluster] = {}
        self.organization_id, self.other_organization_id = str(uuid.uuid4()), str(uuid.uuid4())
        self.full_access_key, self.other_organization_key, self.read_only_key = (_secret() for _time in range(3))
        self._keys = {
            self.full_access_key: Key(self.organization_id, "acme/full-access"),
            self.read_only_key: Key(self.organization_id, "acme/read-only", readonly=True),
            self.other_organization_key: Key(self.other_organization_id, "other/full-access"),
        }
        self._records: dict[str, Record] = {}
        self._tokens: list[Token] = []
        self._principals: dict[str, Principal] = {}
        self._stale = 0

    def env(self) -> dict[str, str]:
        return {"CASTAI_API_KEY": self.full_access_key}

    def add_cluster(self, cluster: Cluster) -> None:
        """Start acting as the agent of this cluster once its Deployment exists."""
        self._clusters[cluster.name] = cluster
        agent = Agent(cluster, self.snapshot)
        self._agents.append(agent)
        agent.start()

    def close(self) -> None:
        for agent in self._agents:
            agent.stop()

    # Requests

    def classify(self, request: Request) -> Call:
        with self._lock:
            key = self._key(request)
        route, cluster_id = _route(request)
        operation = route.operation if route else f"{request.method} {request.path}"
        return Call(
            self.system,
            operation,
            cluster_id or request.path,
            request.method != "GET" and operation != "ImpersonationServiceAccount",
            key.name if key else "",
        )

    def handle(self, request: Request) -> Response:
        try:
            with self._lock:
                key = self._key(request)
                if key is None:
                    raise ApiError(401, "Unauthorized")
                route, cluster_id = _route(request)
                if route is None:
                    raise ApiError(404, "Not Found")
                self._permit(key, route, cluster_id)
                answer = route.handle(self, key, cluster_id, _body(request, route.schema))
        except ApiError as error:
            return _answer(error.status, _refusal(str(error), error.violations))
        return _answer(204, None) if answer is None else _answer(200, answer)

    def fail(self, request: Request, status: int, code: str, message: str) -> Response:
        """The code of a 400 is the name of the wrong field, such as "credentials"."""
        status = 404 if code == "NotFound" else status
        violations = ((code, message),) if status == 400 and code else ()
        return _answer(status, _refusal(message, violations))

    def _key(self, request: Request) -> Key | None:
        return self._resolve(request.headers.get("x-api-key", ""))

    def _resolve(self, value: str) -> Key | None:
        """The owner of a key; None if the key is unknown, revoked or expired."""
        if value in self._keys:
            return self._keys[value]
        for token in self._tokens:
            if secrets.compare_digest(token.value.encode(), value.encode()) and token.live(self._clock()):
                record = self._records.get(token.cluster_id)
                if record:
                    return Key(record.organization_id, f"token of {record.id}", cluster_id=record.id)
        return None

    def _permit(self, key: Key, route: Route, cluster_id: str) -> None:
        """Our rule: a token reads and registers its own cluster, a read-only key reads, a foreign key finds nothing."""
        if key.cluster_id and (route.operation, cluster_id or key.cluster_id) not in (
            ("GetCluster", key.cluster_id),
            ("RegisterCluster", key.cluster_id),
        ):
            raise ApiError(403, "Forbidden")
        if key.readonly and route.method != "GET":
            raise ApiError(403, "Forbidden")
        if cluster_id:
            self._record(key, cluster_id)

    def _record(self, key: Key, cluster_id: str) -> Record:
        record = self._records.get(cluster_id)
        if record is None or record.organization_id != key.organization_id:
            raise ApiError(404, "Cluster not found")
        return record

    def register(self, key: Key, _cluster_id: str, body: dict[str, Any]) -> Any:
        """Idempotent: for a known provider block or id of the same organization, it returns the existing cluster."""
        provider, block = _provider_block(body)
        if not body.get("name") and provider != "aks":  # whose agent knows none
            raise ApiError(400, "Bad Request", ("name", "must not be empty"))
        if body.get("organizationId", key.organization_id) != key.organization_id:
            raise ApiError(403, "Forbidden")
        for record in self._records.values():
            same = record.id == body.get("id") or all(
                record.block.get(name) == block[name] for name in IDENTITY[provider]
            )
            if (record.organization_id, record.provider) == (key.organization_id, provider) and same:
                if key.cluster_id not in ("", record.id):
                    break
                return record.shown()
        if key.cluster_id:
            raise ApiError(403, "Forbidden")
        identity = body.get("id") or str(uuid.uuid4())
        record = Record(identity, body.get("name", ""), key.organization_id, provider, dict(block), _now())
        self._records[record.id] = record
        return record.shown()

    def list(self, key: Key, *_: Any) -> Any:
        ours = [one for one in self._records.values() if one.organization_id == key.organization_id]
        return {"items": [record.shown() for record in ours]}

    def get(self, key: Key, cluster_id: str, *_: Any) -> Any:
        record = self._record(key, cluster_id)
        return record.before.pop() if record.before else record.shown()

    def update(self, key: Key, cluster_id: str, body: dict[str, Any]) -> Any:
        """Try the credentials first. Every update gives them a new id, and the next snapshot reconciles them."""
        record = self._record(key, cluster_id)
        credentials: Any = None
        if "credentials" in body:
            try:
                credentials = json.loads(body["credentials"])
            except ValueError:
                raise ApiError(400, "Bad Request", ("credentials", "is not a JSON document")) from None
        role = body.get("eks", {}).get("assumeRoleArn", "")
        if role:
            self._try_role(record, role)
        elif credentials is not None and record.provider in ON_AWS:
            self._try_key(record, credentials)
        elif credentials is not None and record.provider == "gke" and self._at_google:
            self._try_google(record, credentials)
        elif credentials is not None and record.provider == "aks" and self._at_azure:
            self._try_azure(record, credentials)
        record.before = [record.shown()] * self._stale
        changes = body.get(record.provider, {})
        if record.provider == "gke":
            changes = {"clientServiceAccount": changes["gkeSaImpersonate"]} if "gkeSaImpersonate" in changes else {}
        record.block.update(changes)
        record.credentials_id, record.status, record.reconciled_at = str(uuid.uuid4()), "connecting", None
        return record.shown()

    def _try_role(self, record: Record, role: str) -> None:
        """Check that the role requires the cluster's id as external id."""
        principal = self._principals.get(record.id)
        if principal is None or not self._at_aws.role_works(principal, role, record.id, record.block["region"]):
            raise ApiError(400, "Forbidden", ("credentials", f"cannot assume role {role} and read instances"))
        record.access_key_id = ""

    def _try_key(self, record: Record, credentials: Any) -> None:
        key_id, secret = map(credentials.get, AWS_KEY) if isinstance(credentials, dict) else ("", "")
        if not isinstance(key_id, str) or not isinstance(secret, str) or not key_id or not secret:
            raise ApiError(400, "Bad Request", ("credentials", f"must have the fields {' and '.join(AWS_KEY)}"))
        if not self._at_aws.key_works(key_id, secret, record.block["region"]):
            raise ApiError(400, "Forbidden", ("credentials", f"access key {key_id} cannot read instances"))
        record.access_key_id = key_id

    def _try_google(self, record: Record, credentials: Any) -> None:
        """Check a key, or {} for an account that CAST AI's account impersonates."""
        google, block = self._at_google, record.block
        assert google is not None
        if credentials == {}:
            own, client = block.get("castServiceAccount", ""), block.get("clientServiceAccount", "")
            works = bool(own and client) and google.chain_works(own, client, block)
        else:
            missing = [name for name in GOOGLE_KEY if not isinstance(credentials, dict) or not credentials.get(name)]
            if missing:
                raise ApiError(400, "Bad Request", ("credentials", f"must have the fields {', '.join(missing)}"))
            works = google.key_works(credentials, block)
        if not works:
            raise ApiError(400, "Forbidden", ("credentials", "no access to the cluster with these credentials"))
        record.access_key_id = credentials.get("private_key_id", "")

    def _try_azure(self, record: Record, credentials: Any) -> None:
        """Check a secret, or its absence: CAST AI then logs in with a token of its account at Google."""
        azure = self._at_azure
        assert azure is not None
        given = credentials if isinstance(credentials, dict) else {}
        missing = [name for name in AZURE_FIELDS if not given.get(name)]
        if bool(given.get("clientSecret")) == bool(given.get("federationId")):
            missing.append("exactly one of clientSecret and federationId")
        if missing:
            raise ApiError(400, "Bad Request", ("credentials", f"must have {', '.join(missing)}"))
        group = record.block["nodeResourceGroup"]
        clusters = (one for one in self._clusters.values() if one.provider == "aks" and one.node_group == group.lower())
        own = self._at_google.account(record.organization_id)[0] if self._at_google else ""
        refusal = azure.refusal(given, next(clusters, None), group, own)
        if refusal:
            raise ApiError(400, "Forbidden", ("credentials", refusal))
        record.access_key_id = azure.key_id(given)

    def create_google_account(self, key: Key, cluster_id: str, body: dict[str, Any]) -> Any:
        """gke-create-sa: returns CAST AI's account for the organization, which is to impersonate the client's."""
        return {"serviceAccount": self._google_account(key, cluster_id, body)[0]}

    def create_google_account_anew(self, key: Key, cluster_id: str, body: dict[str, Any]) -> Any:
        """gcp-create-sa, the newer twin."""
        email, unique_id = self._google_account(key, cluster_id, body)
        return {"serviceAccountEmail": email, "serviceAccountId": unique_id}

    def _google_account(self, key: Key, cluster_id: str, body: dict[str, Any]) -> tuple[str, str]:
        """The answer if the organization's flag is off. The real one is not public."""
        record, asked = self._record(key, cluster_id), body.get("gke", {})
        if not self._keyless or self._at_google is None:
            raise ApiError(403, "Feature not enabled for the organization")
        if record.provider == "gke" and not (asked.get("gkeSaImpersonate") and asked.get("projectId")):
            raise ApiError(400, "Bad Request", ("gke.gkeSaImpersonate", "must not be empty"))
        email, unique_id = self._at_google.account(key.organization_id)
        if record.provider == "gke":
            record.block |= {"clientServiceAccount": asked["gkeSaImpersonate"], "castServiceAccount": email}
        return email, unique_id

    def disable_google_account(self, key: Key, cluster_id: str, _body: Any) -> Any:
        for name in ("clientServiceAccount", "castServiceAccount"):
            self._record(key, cluster_id).block.pop(name, None)
        return {}

    def impersonation_account(self, key: Key, _cluster_id: str, body: dict[str, Any]) -> Any:
        if not self._keyless or self._at_google is None:
            raise ApiError(403, "Feature not enabled for the organization")
        email, unique_id = self._at_google.account(key.organization_id)
        return {"id": unique_id, "email": email}

    def create_token(self, key: Key, cluster_id: str, _body: Any) -> Any:
        """Create a new token, which ends the earlier ones. The documentation only hints at this; here it always
        does."""
        for token in self._tokens:
            token.revoked = token.revoked or token.cluster_id == cluster_id
        self._tokens.append(Token(_secret(), cluster_id, self._clock()))
        return {"token": self._tokens[-1].value}

    def get_principal(self, key: Key, cluster_id: str, _body: Any) -> Any:
        principal = self._principals.get(cluster_id)
        return {"arn": principal.arn} if principal else {}

    def create_principal(self, key: Key, cluster_id: str, _body: Any) -> Any:
        """A second POST answers 500, as third parties have reported."""
        if cluster_id in self._principals:
            raise ApiError(500, "Internal Server Error")
        self._principals[cluster_id] = self._at_aws.make_principal(cluster_id)
        return {"arn": self._principals[cluster_id].arn}

    def delete_principal(self, key: Key, cluster_id: str, _body: Any) -> Any:
        self._drop_principal(cluster_id)
        return {}

    def _drop_principal(self, cluster_id: str) -> None:
        principal = self._principals.pop(cluster_id, None)
        if principal:
            self._at_aws.remove_principal(principal)

    def disconnect(self, key: Key, cluster_id: str, _body: Any) -> Any:
        """Has no effect on a cluster without credentials, as the Terraform provider found."""
        record = self._record(key, cluster_id)
        if record.credentials_id and record.status != "deleted":
            record.status = "deleting"
        shown = record.shown()
        if record.status == "deleting":
            record.status = "deleted"  # the answer says deleting, the next read says that it is over
        return shown

    def delete(self, key: Key, cluster_id: str, _body: Any) -> None:
        record = self._record(key, cluster_id)
        if record.credentials_id and record.status not in ("deleted", "failed"):
            raise ApiError(400, "Cluster must be disconnected first")
        del self._records[cluster_id]
        self._drop_principal(cluster_id)
        self._tokens = [token for token in self._tokens if token.cluster_id != cluster_id]

    def list_auth_tokens(self, key: Key, *_: Any) -> Any:
        ours = [one for one in self._keys.values() if one.organization_id == key.organization_id]
        return {
            "items": [
                {
                    "id": str(uuid.uuid5(uuid.NAMESPACE_URL, one.name)),
                    "name": one.name,
                    "active": True,
                    "readonly": one.readonly,
                    "organizationId": one.organization_id,
                    "token": None,
                }
                for one in ours
            ]
        }

    def get_me(self, key: Key, *_: Any) -> Any:
        user = str(uuid.uuid5(uuid.NAMESPACE_URL, key.organization_id))
        return {"id": user, "username": "operator", "name": "Operator", "email": "operator@example.com"}

    # What an agent tells the API

    def snapshot(self, cluster: Cluster, environment: Mapping[str, str], controller: bool = False) -> str | None:
        """A snapshot from the agent that runs in `cluster` with this environment: the cluster's id, None if refused.

        A key counts as connected from here on. Without STATIC_CLUSTER_ID the agent registers its cluster first.
        controller: whether the cluster controller runs there too.
        """
        if not any(environment.get("API_URL", f"https://{self.hosts[0]}") == f"https://{host}" for host in self.hosts):
            return None
        with self._lock:
            value = environment.get("API_KEY", "")
            key = self._resolve(value)
            if key is None or key.readonly:
                return None
            try:
                cluster_id = environment.get("STATIC_CLUSTER_ID") or self._register_agent(key, cluster, environment)
                record = self._record(key, cluster_id)
            except ApiError:
                return None
            if key.cluster_id not in ("", record.id) or record.status in ("deleting", "deleted"):
                return None
            for token in self._tokens:
                token.used = token.used or token.value == value
            record.controller = controller
            self._hear(record, cluster)
            return record.id

    def _register_agent(self, key: Key, cluster: Cluster, environment: Mapping[str, str]) -> str:
        if cluster.provider == "kops":
            names = {"cloud": "CSP", "region": "REGION", "clusterName": "CLUSTER_NAME", "stateStore": "STATE_STORE"}
            told = {field: environment[f"KOPS_{name}"] for field, name in names.items()}
            body = {"id": environment[UID], "name": told["clusterName"], "kops": told}
        elif cluster.provider == "gke":
            names = {
                "projectId": "PROJECT_ID",
                "region": "REGION",
                "location": "LOCATION",
                "clusterName": "CLUSTER_NAME",
            }
            told = {field: environment.get(f"GKE_{name}", "") for field, name in names.items()}
            body = {"name": told["clusterName"], "gke": told}
        elif cluster.provider == "aks":  # it knows no name, and takes the group from the machine's metadata
            group = f"mc_{cluster.resource_group}_{cluster.name}_{cluster.region}".upper()
            told = {
                "subscriptionId": environment.get("AKS_SUBSCRIPTION_ID", cluster.account),
                "region": environment.get("AKS_LOCATION", cluster.region),
                "nodeResourceGroup": environment.get("AKS_NODE_RESOURCE_GROUP", group),
            }
            body = {"aks": told}
        else:
            block = {
                "accountId": environment.get("EKS_ACCOUNT_ID", cluster.account),
                "region": environment.get("EKS_REGION", cluster.region),
                "clusterName": environment.get("EKS_CLUSTER_NAME", cluster.name),
            }
            body = {"name": block["clusterName"], "eks": block}
        return str(self.register(key, "", body)["id"])

    def _hear(self, record: Record, cluster: Cluster) -> None:
        record.heard, record.snapshot_at = time.monotonic(), _now()
        record.kubernetes_version = cluster.version
        if record.status == "connecting":
            record.status = "ready"
            record.reconciled_at = _now() if record.credentials_id else None

    # What tests ask for behind the operator's back

    def control(self, verb: str, **args: Any) -> Any:
        verbs: Mapping[str, Callable[..., Any]] = {
            "keys": self.keys,
            "seed_cluster": self.seed_cluster,
            "set_status": lambda cluster_id, status: self._pin(cluster_id, "status", status),
            "set_agent_status": lambda cluster_id, status: self._pin(cluster_id, "agentStatus", status),
            "disconnect": lambda cluster_id: self.disconnect(self._keys[self.full_access_key], cluster_id, None),
            "revoke_token": self.revoke_token,
            "stale": self.stale,
            "keyless": self.keyless,
            "seed_script_world": self.seed_script_world,
        }
        if verb not in verbs:
            raise ValueError(f"castai has no verb {verb}: {', '.join(verbs)}")
        with self._lock:
            return verbs[verb](**args)

    def keys(self) -> dict[str, str]:
        return {
            "full_access": self.full_access_key,
            "read_only": self.read_only_key,
            "other_organization": self.other_organization_key,
            "organization_id": self.organization_id,
            "other_organization_id": self.other_organization_id,
        }

    def seed_cluster(self, name: str, other_organization: bool = False, **blocks: Mapping[str, Any]) -> dict[str, str]:
        """Register a cluster (eks={...}) and create its token, as another client would: {id, token}."""
        key = self._keys[self.other_organization_key if other_organization else self.full_access_key]
        cluster_id = self.register(key, "", {"name": name, **blocks})["id"]
        return {"id": cluster_id, **self.create_token(key, cluster_id, None)}

    def seed_script_world(self, cluster: str, vintage: str, hand_over: bool = True) -> dict[str, str]:
        """Onboard a cluster of the world as script, Terraform or Pulumi would (VINTAGES of its cloud's other_ways),
        once more if it was so already: what `other_ways.leave` returns but the secret, and the cluster's id.

        The cluster's own objects are left alone: who enters it by aws-auth is the caller's to write.
        """
        described = self._clusters[cluster]
        if described.provider == "gke":
            return self._seed_other_way(described, vintage, hand_over)
        if described.provider == "aks":
            return self._seed_at_azure(described, vintage, hand_over)
        block = {"accountId": described.account, "region": described.region, "clusterName": cluster}
        key = self._keys[self.full_access_key]
        cluster_id = self.register(key, "", {"name": cluster, "eks": block})["id"]
        principal: dict[str, str] = {}
        if vintage != "user":
            principal = self.get_principal(key, cluster_id, None) or self.create_principal(key, cluster_id, None)
        made = self._at_aws.leave_script_world(cluster, cluster_id, vintage, principal.get("arn", ""))
        secret = made.pop("secret_access_key", "")
        if hand_over and secret:
            credentials = json.dumps({"accessKeyId": made["access_key_id"], "secretAccessKey": secret})
            self.update(key, cluster_id, {"credentials": credentials})
        elif hand_over:
            self.update(key, cluster_id, {"eks": {"assumeRoleArn": made["role_arn"]}})
        return {"cluster_id": cluster_id, **made}

    def _seed_other_way(self, cluster: Cluster, vintage: str, hand_over: bool) -> dict[str, str]:
        assert self._at_google is not None
        block = {"projectId": cluster.account, "location": cluster.region, "clusterName": cluster.name}
        block["region"] = "-".join(cluster.region.split("-")[:2])
        key = self._keys[self.full_access_key]
        cluster_id = self.register(key, "", {"name": cluster.name, "gke": block})["id"]
        made, own = self._at_google.leave(cluster, vintage, key.organization_id)
        if own:
            accounts = {"clientServiceAccount": made["service_account"], "castServiceAccount": own}
            self._records[cluster_id].block |= accounts
        credentials = made.pop("key") or "{}"
        if hand_over:
            self.update(key, cluster_id, {"credentials": credentials})
        return {"cluster_id": cluster_id, **made}

    def _seed_at_azure(self, cluster: Cluster, vintage: str, hand_over: bool) -> dict[str, str]:
        assert self._at_azure is not None
        assert self._at_google is not None
        group = f"MC_{cluster.resource_group}_{cluster.name}_{cluster.region}"
        block = {"subscriptionId": cluster.account, "region": cluster.region, "nodeResourceGroup": group}
        key = self._keys[self.full_access_key]
        cluster_id = self.register(key, "", {"name": cluster.name, "aks": block})["id"]
        subject = self._at_google.account(key.organization_id)[1]
        made = self._at_azure.leave(cluster, vintage, cluster_id, subject)
        secret, federation = made.pop("secret"), made.pop("federation_id")
        proof = {"clientSecret": secret} if secret else {"federationId": federation}
        credentials = {"subscriptionId": cluster.account, "tenantId": made.pop("tenant"), "clientId": made["client_id"]}
        if hand_over:
            self.update(key, cluster_id, {"credentials": json.dumps({**credentials, **proof})})
        return {"cluster_id": cluster_id, **made}

    def _pin(self, cluster_id: str, name: str, value: str | None) -> None:
        """Show this value until it is set to None."""
        pinned = self._records[cluster_id].pinned
        pinned.pop(name, None)
        if value is not None:
            pinned[name] = value

    def revoke_token(self, cluster_id: str) -> None:
        """Refuse the cluster's current token from now on."""
        for token in self._tokens:
            token.revoked = token.revoked or token.cluster_id == cluster_id

    def stale(self, reads: int) -> None:
        """After each later update, show the old state for this many reads of the cluster."""
        self._stale = reads

    def keyless(self, on: bool) -> None:
        """Whether the organization may let CAST AI impersonate accounts at Google."""
        self._keyless = on

    # The whole

    def state(self) -> Any:
        """Clusters by id, their tokens but for revoked ones, each only by its hash, and CAST AI's AWS access keys."""
        with self._lock:
            return {
                "clusters": {record.id: record.shown() for record in self._records.values()},
                "tokens": {
                    cluster_id: [
                        {
                            "hash": hashlib.sha256(token.value.encode()).hexdigest()[:16],
                            "live": token.live(self._clock()),
                            "used": token.used,
                        }
                        for token in self._tokens
                        if token.cluster_id == cluster_id and not token.revoked
                    ]
                    for cluster_id in self._records
                },
                "assume_role_principals": {key: principal.arn for key, principal in self._principals.items()},
                "access_keys": {one.id: one.access_key_id for one in self._records.values() if one.access_key_id},
            }

    def reset(self) -> None:
        with self._lock:
            self._records.clear()
            self._tokens.clear()
            self._stale = 0
            self._keyless = True
            for cluster_id in list(self._principals):
                self._drop_principal(cluster_id)


ONE = rf"{PREFIX}/(?P<cluster_id>[^/]+)"
ROUTES = tuple(
    Route(method, re.compile(path), operation, handle, schema)
    for method, path, operation, handle, schema in (
        ("POST", PREFIX, "RegisterCluster", CastAi.register, REGISTER),
        ("GET", PREFIX, "ListClusters", CastAi.list, {}),
        (
            "POST",
            f"{PREFIX}/impersonation-service-account",
            "ImpersonationServiceAccount",
            CastAi.impersonation_account,
            ASKED,
        ),
        ("GET", ONE, "GetCluster", CastAi.get, {}),
        ("POST", ONE, "UpdateCluster", CastAi.update, UPDATE),
        ("DELETE", ONE, "DeleteCluster", CastAi.delete, {}),
        ("POST", f"{ONE}/token", "CreateClusterToken", CastAi.create_token, {}),
        ("GET", f"{ONE}/assume-role-principal", "GetAssumeRolePrincipal", CastAi.get_principal, {}),
        ("POST", f"{ONE}/assume-role-principal", "CreateAssumeRolePrincipal", CastAi.create_principal, {}),
        ("DELETE", f"{ONE}/assume-role-principal", "DeleteAssumeRolePrincipal", CastAi.delete_principal, {}),
        ("POST", f"{ONE}/gke-create-sa", "GKECreateSA", CastAi.create_google_account, GOOGLE_ACCOUNT),
        ("POST", f"{ONE}/gcp-create-sa", "GCPCreateSA", CastAi.create_google_account_anew, GOOGLE_ACCOUNT),
        ("POST", f"{ONE}/gke-disable-sa", "GKEDisableSA", CastAi.disable_google_account, {}),
        ("POST", f"{ONE}/gcp-disable-sa", "GCPDisableSA", CastAi.disable_google_account, {}),
        ("POST", f"{ONE}/disconnect", "DisconnectCluster", CastAi.disconnect, DISCONNECT),
        ("GET", "/v1/auth/tokens", "ListAuthTokens", CastAi.list_auth_tokens, {}),
        ("GET", "/v1/me", "GetMe", CastAi.get_me, {}),
    )
)


def _route(request: Request) -> tuple[Route | None, str]:
    """The route and the cluster id in its path; (None, "") if no route matches."""
    for route in ROUTES:
        found = route.path.fullmatch(request.path)
        if found and route.method == request.method:
            return route, found.groupdict().get("cluster_id", "")
    return None, ""


def _secret() -> str:
    return f"CANARY{secrets.token_hex(29)}"


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _body(request: Request, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON body. Unknown fields and wrong types are answered with a 400 that names each."""
    if not request.body or request.method in ("GET", "DELETE"):
        return {}
    try:
        body: dict[str, Any] = json.loads(request.body)
    except ValueError:
        raise ApiError(400, "Bad Request", ("body", "is not JSON")) from None
    violations = tuple(_violations(body, schema, ""))
    if violations:
        raise ApiError(400, "Bad Request", *violations)
    return body


def _violations(value: Any, schema: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(schema, Mapping):
        if not isinstance(value, dict):
            yield path or "body", "must be an object"
            return
        for name, inner in value.items():
            if name in schema:
                yield from _violations(inner, schema[name], f"{path}{name}" if not path else f"{path}.{name}")
            else:
                yield f"{path}.{name}" if path else name, "unknown field"
    elif not isinstance(value, schema):
        yield path, f"must be of type {schema.__name__}"


def _provider_block(body: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    given = [name for name in PROVIDERS if name in body]
    if len(given) != 1:
        raise ApiError(400, "Bad Request", ("provider", "exactly one provider block is needed"))
    missing = [name for name in IDENTITY[given[0]] if not body[given[0]].get(name)]
    if missing:
        raise ApiError(400, "Bad Request", *((f"{given[0]}.{name}", "must not be empty") for name in missing))
    return given[0], body[given[0]]


def _refusal(message: str, violations: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """ErrorResponse of the published description."""
    return {"message": message, "fieldViolations": [{"field": one, "description": two} for one, two in violations]}


def _answer(status: int, body: Any) -> Response:
    headers = (("X-Castai-Request-Id", str(uuid.uuid4())),)
    if body is None:
        return Response(status, headers, b"")
    return Response(status, (("Content-Type", "application/json"), *headers), json.dumps(body).encode())
