# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a task reaches Google Cloud and a GKE cluster, and what users can set for CAST AI's service account. PRIVATE to
the collection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .._credentials import quoted
from .._engine import UNKNOWN, Refused
from .._gateways.google_credentials import project_of
from .._names import cluster_id_problem
from .._options import Rules, Spec, castai_options, cluster_options, env
from .._owner import Owner
from .._record import Wanted
from .._variables import named
from . import names, role
from .bindings import FORMS, NODE_ACCOUNTS, NONE
from .permissions import KEY, KEYLESS, SUBNETS

Parameters = Mapping[str, Any]

CLUSTER, PROJECT = "cluster", "project"


def google_options() -> Spec:
    """Options to reach Google Cloud and the cluster.

    The gateway itself reads the environment variables for credentials and project: an option overrides them even if it
    selects another kind of credential, and messages say where the project came from.
    """
    return {
        "access_token": {"type": "str", "no_log": True},
        "auth_kind": {"type": "str", "choices": ["application", "machineaccount", "serviceaccount", "accesstoken"]},
        "endpoint": {"type": "str", "choices": ["auto", "dns", "public", "private"], "default": "auto"},
        "google_ca_cert": {"type": "path", "fallback": env("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")},
        "impersonate_service_account": {"type": "str"},
        "location": {"type": "str"},
        "project": {"type": "str"},
        "quota_project": {"type": "str"},
        "service_account_contents": {"type": "jsonarg", "no_log": True},
        "service_account_email": {"type": "str"},
        "service_account_file": {"type": "path"},
    }


GOOGLE_RULES: Rules = {
    "mutually_exclusive": [],
    "required_together": [],
}
"""How these options depend on each other, for AnsibleModule."""

IDENTITY_OPTIONS: dict[str, Any] = {
    "adopt": {"type": "bool", "default": False},
    "enable_services": {"type": "bool", "default": True},
    "existing_service_account": {"type": "str"},
    "extra_projects": {"type": "list", "elements": "str", "default": []},
    "identity": {"type": "str", "choices": [KEY, KEYLESS], "default": KEY},
    "load_balancers": {"type": "list", "elements": "str", "choices": [*role.ADD_ONS], "default": []},
    "permissions": {"type": "list", "elements": "str"},
    "role_id": {"type": "str"},
    "role_scope": {"type": "str", "choices": [CLUSTER, PROJECT], "default": CLUSTER},
    "service_account_user": {"type": "str", "choices": [*FORMS]},
    "shared_vpc_role": {"type": "str", "choices": [SUBNETS, NONE]},
}
"""What the identity looks like. castai_preflight takes these options too."""

OPTIONS: dict[str, Any] = {
    "argument_spec": {
        **cluster_options((), required=True),
        **castai_options(),
        **google_options(),
        **IDENTITY_OPTIONS,
        "cluster_id": {"type": "str", "required": True},
        "force": {"type": "bool", "default": False},
        "hand_over": {"type": "bool", "default": True},
        "location": {"type": "str", "required": True},
        "prepare": {"type": "bool", "default": True},
        "provider": {"type": "str", "choices": ["gke"], "default": "gke"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    },
    **GOOGLE_RULES,
}

ROLE = "gke_onboard"
"""The role whose variables set most of these options."""

EXISTING_ACCOUNT = named("existing_service_account", ROLE)
_PERMISSION = re.compile(r"[a-z][-a-zA-Z0-9]*(\.[a-zA-Z0-9]+){2,}")
_ROLE_ID = re.compile(r"[a-zA-Z0-9_.]{3,64}")


@dataclass(frozen=True)
class Desired(Wanted):
    """The desired state. Empty strings stand for what is not set.

    form: the form in which CAST AI gets roles/iam.serviceAccountUser. chosen: whether the user set it, so that other
    forms are removed. network: SUBNETS for a role on the subnets of a Shared VPC, NONE for none.
    """

    name: str
    project: str
    location: str
    owner: Owner
    keyless: bool
    existing_account: str
    enable_services: bool
    permissions: frozenset[str]
    role_id: str
    shared: bool
    """Whether to use the role that the clusters of the project share."""
    form: str
    chosen: bool
    extra_projects: tuple[str, ...]
    network: str

    @property
    def role_ids(self) -> tuple[str, ...]:
        """IDs that the role has or may get, the best one first."""
        if self.role_id:
            return (self.role_id,)
        return (names.SHARED_ROLE,) if self.shared else names.roles(self.cluster_id)

    @property
    def former_role_ids(self) -> tuple[str, ...]:
        """IDs that the cluster's own role may have, or had with other options."""
        return tuple(dict.fromkeys((*self.role_ids, *names.roles(self.cluster_id))))

    @property
    def services(self) -> tuple[str, ...]:
        return (*names.SERVICES, *((names.CREDENTIALS_SERVICE,) if self.keyless else ()))


def desired(params: Parameters) -> Desired:
    found = list(problems(params))
    if found:
        raise Refused(" ".join(found))
    cluster_id = params["cluster_id"].lower()
    return Desired(
        name=params["cluster_name"],
        project=project_of(params)[0],
        location=params["location"],
        cluster_id=cluster_id,
        prepare=params["prepare"],
        hand_over=params["hand_over"],
        present=params["state"] == "present",
        force=params["force"],
        owner=Owner(params["cluster_name"], cluster_id, params["adopt"], "no mark in its description"),
        keyless=params["identity"] == KEYLESS,
        existing_account=(params.get("existing_service_account") or "").lower(),
        enable_services=params["enable_services"],
        permissions=role.wanted(params.get("permissions") or (), params["load_balancers"] or ()),
        role_id=params.get("role_id") or "",
        shared=params["role_scope"] == PROJECT,
        form=params.get("service_account_user") or NODE_ACCOUNTS,
        chosen=bool(params.get("service_account_user")),
        extra_projects=tuple(dict.fromkeys(params["extra_projects"] or ())),
        network=params.get("shared_vpc_role") or "",
    )


def problems(params: Parameters) -> Iterator[str]:
    """Problems of all options, including those of the cluster and CAST AI."""
    project, source = project_of(params)
    yield from filter(
        None,
        [
            names.gke_cluster_problem(params["cluster_name"]),
            cluster_id_problem(params["cluster_id"]),
            names.project_problem(project, source) if project else names.MISSING_PROJECT,
            names.location_problem(params["location"]),
        ],
    )
    yield from form_problems(params)


def form_problems(params: Parameters) -> Iterator[str]:
    """Problems of the options that only concern the identity. castai_preflight checks these too."""
    account = params.get("existing_service_account")
    if account and not names.is_account(account):
        yield (
            f"{EXISTING_ACCOUNT} is {quoted(account)}. Set it to the e-mail address of the service account, such as"
            " castai@shop-prod-1234.iam.gserviceaccount.com."
        )
    role_id = params.get("role_id")
    option = named("role_id", ROLE)
    if role_id and not _ROLE_ID.fullmatch(role_id):
        yield f"{option} is {quoted(role_id)}, but may only have 3 to 64 letters, digits, '_' and '.'. Correct it."
    if role_id == names.SHARED_ROLE and params["role_scope"] != PROJECT:
        yield (
            f"{option} is {quoted(role_id)}, which the clusters of a project share. Set it to another ID, or leave it"
            f" out and set {named('role_scope', ROLE)} to {PROJECT}."
        )
    if role_id and params["role_scope"] == PROJECT:
        yield f"{option} cannot be set when {named('role_scope', ROLE)} is {PROJECT}. Leave one of them out."
    if params.get("permissions") is not None:
        yield from _permission_problems(params["permissions"])
    for project in params["extra_projects"] or ():
        if project != UNKNOWN and not names.is_project_id(str(project)):
            kind = "a project number" if str(project).isdigit() else "not a project ID"
            yield (
                f"{named('extra_projects', ROLE)} contains {quoted(project)}, which is {kind}. Use the ID of the"
                " project, or remove it from the list."
            )
        if project == project_of(params)[0]:
            yield (
                f"{named('extra_projects', ROLE)} contains {quoted(project)}, which is the cluster's own project."
                " Remove it from the list."
            )


def _permission_problems(permissions: list[Any]) -> Iterator[str]:
    option = named("permissions", ROLE)
    if not permissions:
        yield f"{option} is empty. List the permissions of CAST AI's role, or leave it out to use the default ones."
    for one in permissions:
        if not _PERMISSION.fullmatch(str(one)):
            yield (
                f"{option} contains {quoted(one)}, but a custom role takes single permissions only, such as"
                " compute.instances.get. Correct it."
            )
