# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a task reaches Azure and an AKS cluster, and what users can set for CAST AI's identity.

PRIVATE to the collection.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._credentials import is_uuid, quoted
from .._engine import Refused
from .._gateways.azure_credentials import subscription_of
from .._names import cluster_id_problem
from .._options import Rules, Spec, castai_options, cluster_options, env
from .._owner import Owner
from .._variables import named
from . import names, role
from .permissions import APP, FEDERATED, MANAGED, SECRET
from .proxy import FROM_CLUSTER, Proxy, proxy_problems

Parameters = Mapping[str, Any]

ROLE = "aks_onboard"
"""The role whose variables set most of these options."""


def azure_options() -> Spec:
    """Options to reach Azure and the cluster.

    The gateway itself reads the environment variables for credentials and subscription: an option overrides them even
    if it selects another kind of credential, and messages say where the subscription ID came from.
    """
    return {
        "admin": {"type": "bool", "default": False},
        "auth_source": {"type": "str", "choices": ["auto", "cli", "env", "msi"]},
        "azure_ca_cert": {"type": "path", "fallback": env("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")},
        "client_id": {"type": "str"},
        "cloud_environment": {"type": "str"},
        "node_resource_group": {"type": "str"},
        "oidc_token": {"type": "str", "no_log": True},
        "oidc_token_file_path": {"type": "path", "no_log": False},
        "resource_group": {"type": "str"},
        "secret": {"type": "str", "no_log": True},
        "subscription_id": {"type": "str"},
        "tenant": {"type": "str"},
        "x509_certificate_path": {"type": "path"},
    }


AZURE_RULES: Rules = {
    "mutually_exclusive": [],
    "required_together": [],
}
"""How these options depend on each other, for AnsibleModule."""

IDENTITY_OPTIONS: Spec = {
    "additional_resource_groups": {"type": "list", "elements": "str", "default": []},
    "adopt": {"type": "bool", "default": False},
    "credential": {"type": "str", "choices": [SECRET, FEDERATED], "default": SECRET, "no_log": False},
    "existing_app_id": {"type": "str"},
    "existing_app_secret": {"type": "str", "no_log": True},
    "existing_identity_id": {"type": "str"},
    "http_proxy": {"type": "raw", "default": FROM_CLUSTER},
    "identity": {"type": "str", "choices": [APP, MANAGED], "default": APP},
    "identity_location": {"type": "str"},
    "managed_clusters_write": {"type": "bool", "default": False},
    "owners": {"type": "list", "elements": "str", "default": []},
    "register_providers": {"type": "bool", "default": True},
    "role_actions": {"type": "list", "elements": "str"},
    "secret_days": {"type": "int", "default": 365, "no_log": False},
}
"""What the identity looks like. castai_preflight takes these options too."""

MOST_OWNERS = 19
"""How many owners can be set. Source: Microsoft Graph accepts 20 for a new application, and one of them is the
caller."""

MOST_DAYS = 36_500
"""A secret for more days than this must be a mistake."""

OWNER_KINDS = ("", "user", "servicePrincipal")
"""What can own an app, as Microsoft Graph names it. Empty if it was not read."""

_ACTION = re.compile(r"(\*|[A-Za-z][\w.]*)(/(\*|[\w.*-]+))+", re.ASCII)
_LOCATION = re.compile(r"[A-Za-z][A-Za-z0-9 ]{1,48}[A-Za-z0-9]")


@dataclass(frozen=True)
class Desired:
    """The desired state. Empty strings stand for what is not set; for subscription, the environment then decides."""

    name: str
    subscription: str
    group: str
    node_group: str
    cluster_id: str
    prepare: bool
    hand_over: bool
    present: bool
    force: bool
    owner: Owner
    managed: bool
    """Whether to use a managed identity instead of an app registration."""
    federated: bool
    existing_app: str
    existing_secret: str = field(repr=False)
    existing_identity: str
    identity_location: str
    actions: frozenset[str]
    additional_groups: tuple[str, ...]
    """Names of resource groups in the cluster's subscription, or IDs."""
    secret_days: int
    owners: tuple[str, ...]
    proxy: Proxy | None
    """The proxy that the user sets. None for no proxy, or for that of the cluster."""
    proxy_of_cluster: bool
    register_providers: bool

    @property
    def secretless(self) -> bool:
        return self.managed or self.federated

    @property
    def existing(self) -> str:
        """The identity that the user created beforehand, which is not edited. Empty for none."""
        return self.existing_identity if self.managed else self.existing_app

    def scopes(self, subscription: str) -> tuple[str, ...]:
        """The scopes of the additional resource groups."""
        return tuple(
            one.rstrip("/") if "/" in one else role.group_scope(subscription, one) for one in self.additional_groups
        )


def desired(params: Parameters) -> Desired:
    found = list(problems(params))
    if found:
        raise Refused(" ".join(found))
    cluster_id = params["cluster_id"].lower()
    managed, proxy = params["identity"] == MANAGED, params["http_proxy"]
    return Desired(
        name=params["cluster_name"],
        subscription=subscription_of(params)[0],
        group=params.get("resource_group") or "",
        node_group=params.get("node_resource_group") or "",
        cluster_id=cluster_id,
        prepare=params["prepare"],
        hand_over=params["hand_over"],
        present=params["state"] == "present",
        force=params["force"],
        owner=Owner(params["cluster_name"], cluster_id, params["adopt"], "no tag"),
        managed=managed,
        federated=not managed and params["credential"] == FEDERATED,
        existing_app=(params.get("existing_app_id") or "").lower(),
        existing_secret=params.get("existing_app_secret") or "",
        existing_identity=(params.get("existing_identity_id") or "").rstrip("/"),
        identity_location=(params.get("identity_location") or "").replace(" ", "").lower(),
        actions=role.wanted(params.get("role_actions") or (), params["managed_clusters_write"]),
        additional_groups=tuple(dict.fromkeys(params["additional_resource_groups"] or ())),
        secret_days=params["secret_days"],
        owners=tuple(dict.fromkeys(one.lower() for one in params["owners"] or ())),
        proxy=Proxy.of(proxy) if isinstance(proxy, Mapping) else None,
        proxy_of_cluster=proxy == FROM_CLUSTER,
        register_providers=params["register_providers"],
    )


def problems(params: Parameters) -> Iterator[str]:
    """Problems of all options, including those of the cluster and CAST AI."""
    subscription, source = subscription_of(params)
    groups = ("resource_group", "node_resource_group")
    yield from filter(
        None,
        [
            names.aks_cluster_problem(params["cluster_name"]),
            cluster_id_problem(params["cluster_id"]),
            names.subscription_problem(subscription, source) if subscription else names.MISSING_SUBSCRIPTION,
            *(names.group_problem(params[one], one) for one in groups if params.get(one)),
        ],
    )
    yield from form_problems(params)


def form_problems(params: Parameters) -> Iterator[str]:
    """Problems of the options that only concern the identity. castai_preflight checks these too."""
    yield from _existing_problems(params)
    for group in params["additional_resource_groups"] or ():
        if not (names.is_group(group) or names.is_group_id(group)):
            yield (
                f"{named('additional_resource_groups', ROLE)} contains {quoted(group)}, which is neither the name nor"
                " the ID of a resource group. Correct it or leave it out."
            )
    yield from _action_problems(params.get("role_actions"))
    location = params.get("identity_location")
    if location and not _LOCATION.fullmatch(location):
        yield (
            f"{named('identity_location', ROLE)} is {quoted(location)}. Set it to the name of an Azure region, such as"
            " westeurope."
        )
    days = params["secret_days"]
    if days not in range(1, MOST_DAYS + 1):
        yield f"{named('secret_days', ROLE)} is {days}. Set it to a number of days from 1 to {MOST_DAYS}."
    owners = params["owners"] or ()
    for owner in owners:
        if not is_uuid(owner):
            yield (
                f"{named('owners', ROLE)} contains {quoted(owner)}, which is not an object ID. Correct it or leave it"
                " out."
            )
    if len(owners) > MOST_OWNERS:
        yield f"{named('owners', ROLE)} has {len(owners)} entries, but Microsoft Graph allows {MOST_OWNERS}."
    yield from proxy_problems(params["http_proxy"], named("http_proxy", ROLE))


def _existing_problems(params: Parameters) -> Iterator[str]:
    app, secret = params.get("existing_app_id"), params.get("existing_app_secret")
    identity, managed = params.get("existing_identity_id"), params["identity"] == MANAGED
    app_option, identity_option = named("existing_app_id", ROLE), named("existing_identity_id", ROLE)
    secret_option, which = named("existing_app_secret", ROLE), named("identity", ROLE)
    if app and not is_uuid(app):
        yield (
            f"{app_option} is not an application (client) ID. Set it to that of the app registration, such as"
            " 0b1f6471-1bf0-4dda-aec3-cb9272f09590."
        )
    if identity and not names.is_identity(identity):
        yield (
            f"{identity_option} is {quoted(identity)}. Set it to the ID of the managed identity, such as"
            " /subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.ManagedIdentity/userAssignedIdentities/NAME."
        )
    if app and managed:
        yield f"{app_option} cannot be set when {which} is {MANAGED}. Leave one of them out."
    if identity and not managed:
        yield f"{identity_option} is set, but {which} is not {MANAGED}. Set it to that, or leave {identity_option} out."
    if secret and not app:
        yield f"{secret_option} is set without {app_option}. Set both, or neither."
    if secret and not secret.isprintable():
        yield f"{secret_option} contains a line break or special character. Copy it again."
    if secret and app and not managed and params["credential"] == FEDERATED:
        yield (
            f"{secret_option} cannot be set when {named('credential', ROLE)} is {FEDERATED}, which uses no secret."
            " Leave one of them out."
        )
    if app and not secret and not managed and params["credential"] == SECRET and params.get("state") != "absent":
        yield (
            f"{app_option} is set without {secret_option}, but an existing app is not edited and gets no new secret."
            f" Set {secret_option}, or set {named('credential', ROLE)} to {FEDERATED}."
        )


def _action_problems(actions: list[Any] | None) -> Iterator[str]:
    option = named("role_actions", ROLE)
    if actions is not None and not actions:
        yield f"{option} is empty. List the actions of CAST AI's role, or leave it out for the default ones."
    for one in actions or ():
        if not _ACTION.fullmatch(str(one)):
            yield (
                f"{option} contains {quoted(one)}, which is not an action such as Microsoft.Compute/*/read. Correct it."
            )


OPTIONS: dict[str, Any] = {
    "argument_spec": {
        **cluster_options((), required=True),
        **castai_options(),
        **azure_options(),
        **IDENTITY_OPTIONS,
        "cluster_id": {"type": "str", "required": True},
        "force": {"type": "bool", "default": False},
        "hand_over": {"type": "bool", "default": True},
        "prepare": {"type": "bool", "default": True},
        "provider": {"type": "str", "choices": ["aks"], "default": "aks"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    },
    **AZURE_RULES,
}
