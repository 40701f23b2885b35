# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""castai_aks_app in this process, against the world's Azure and the local CAST AI without a socket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils import _keys
from ansible_collections.castai.onboarding.plugins.module_utils._azure import actions, observed
from ansible_collections.castai.onboarding.plugins.module_utils._azure.aks_app import SUBJECT
from ansible_collections.castai.onboarding.plugins.module_utils._azure.observed import Systems
from ansible_collections.castai.onboarding.plugins.module_utils._engine import Result, reconcile, until
from ansible_collections.castai.onboarding.plugins.module_utils._gateways import azure_resources
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.azure import Azure
from tests.sandbox.castai.azure import CastAiAtAzure
from tests.sandbox.castai.server import CastAi as Api
from tests.sandbox.wire import Request

from . import aws_client
from .aws_account import first
from .aws_client import Clock
from .azure_client import GROUP, GROUP_ID, LOCATION, NETWORK_ID, NODES_ID, SUBSCRIPTION, TENANT, Azures, cluster
from .endable import Endable, Noting

SHOP = cluster("shop")
SISTER = cluster("sister", group="sister")

PARAMETERS: Mapping[str, Any] = {
    "additional_resource_groups": [],
    "adopt": False,
    "credential": "secret",
    "force": False,
    "hand_over": True,
    "http_proxy": "from_cluster",
    "identity": "app",
    "managed_clusters_write": False,
    "owners": [],
    "prepare": True,
    "register_providers": True,
    "secret_days": 365,
    "state": "present",
    "subscription_id": SUBSCRIPTION,
}

Shown = Mapping[str, Any]


class World(Endable):
    """A subscription with two clusters; the operator is its owner."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.cloud = Azures(self.clock)
        self.api = Api(aws_client.world(self.clock), self.clock, self.cloud.google, self.cloud.azure)
        self.castai = Noting(self.api)
        self.operator: dict[str, str] = {}
        for one in (SHOP, SISTER):
            self.cloud.azure.add_cluster(one)
            self.api.add_cluster(one)
        self.register()

    def register(self) -> None:
        self.ids = {}
        for one in (SHOP, SISTER):
            nodes = f"MC_{one.resource_group}_{one.name}_{one.region}"
            block = {"subscriptionId": SUBSCRIPTION, "region": LOCATION, "nodeResourceGroup": nodes}
            self.ids[one.name] = self.castai.register_cluster(one.name, {"aks": block}).id
        self.castai.given = {}
        self.azure = self.gateway()

    def reset(self) -> None:
        """Reset to the initial state."""
        self.cloud.reset()
        self.cloud.google.reset()
        self.api.reset()
        self.operator = {}
        self.register()

    def gateway(self) -> Azure:
        return self.cloud.gateway(**self.operator)

    def act_as(self, operator: dict[str, str]) -> None:
        """From now on, run as another operator."""
        self.operator = operator
        self.azure = self.gateway()

    @property
    def cluster_id(self) -> str:
        return self.ids["shop"]

    @property
    def short(self) -> str:
        return self.cluster_id[:8]

    def run(self, name: str = "shop", check: bool = False, ended_after: int | None = None, **changes: Any) -> Result:
        """ended_after: the number of actions before the run is killed, None for all."""
        parameters = {
            **PARAMETERS,
            "cluster_name": name,
            "cluster_id": self.ids[name],
            "resource_group": name,
            "force": changes.get("state") == "absent",
            **changes,
        }
        here = replace(
            SUBJECT,
            connect=lambda params, wanted: Systems(self.castai, self.azure),
            plan=lambda current, wanted: first(SUBJECT.plan(current, wanted), ended_after),
        )
        return reconcile(here, parameters, check, lambda line: None)

    def use(self, session: Azure) -> None:
        self.azure = session

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = self.cloud.azure.state()
        return found

    @property
    def apps(self) -> list[Shown]:
        """All but the operators'."""
        return [one for one in self.state["applications"] if not one["displayName"].startswith("operator")]

    def app(self, name: str = "") -> Shown:
        (found,) = [one for one in self.apps if one["displayName"] == (name or f"CAST.AI shop-{self.short}")]
        return found

    @property
    def identities(self) -> dict[str, Shown]:
        """The managed identities by name, except those of the clusters' nodes."""
        every = {key.rpartition("/")[2]: one for key, one in self.state["identities"].items()}
        return {name: one for name, one in every.items() if not name.endswith("-agentpool")}

    def role(self, name: str = "") -> Shown:
        roles = self.state["role_definitions"].values()
        (found,) = [one for one in roles if one["roleName"] == (name or f"CastAKSRole-{self.short}")]
        return found

    @property
    def assignments(self) -> set[tuple[str, str, str]]:
        """Role name or id, principal and scope, in lower case."""
        by_id = {key: one["roleName"] for key, one in self.state["role_definitions"].items()}
        return {
            (by_id.get(guid, guid), one["principalId"], one["scope"].lower())
            for one in self.state["role_assignments"].values()
            for guid in [one["roleDefinitionId"].rpartition("/")[2]]
        }

    def scopes(self, principal: str) -> set[str]:
        """The scopes where a principal has the cluster's role."""
        return {scope for _role, who, scope in self.assignments if who == principal}

    @property
    def given(self) -> dict[str, str]:
        """CAST AI's credentials for the first cluster."""
        found: dict[str, str] = json.loads(self.castai.given.get(self.cluster_id, "{}"))
        return found

    @property
    def credentials_id(self) -> str:
        record = self.castai.get_cluster(self.cluster_id)
        assert record
        return record.credentials_id

    def live_secret(self) -> str:
        """The key id of CAST AI's secret, which must be one of the app's."""
        for one in self.cloud.azure.store.directory.applications:
            for key, text in one.secrets.items():
                if text == self.given.get("clientSecret"):
                    return str(key)
        return ""

    def is_write(self, request: Request) -> bool:
        return self.cloud.azure.classify(request).write

    def check_access(self) -> None:
        """Check that the credentials that CAST AI last accepted for the first cluster, if any, work."""
        if not self.given:
            return
        castai = CastAiAtAzure(self.cloud.azure, self.cloud.google)
        refusal = castai.refusal(self.given, SHOP, NODES_ID.rpartition("/")[2], self.own_account())
        assert not refusal, f"an outage: {refusal}"

    def own_account(self) -> str:
        """CAST AI's account at Google."""
        record = self.api._records[self.cluster_id]
        return str(self.api._at_google.account(record.organization_id)[0])  # type: ignore[union-attr]

    def subject(self) -> str:
        record = self.api._records[self.cluster_id]
        return str(self.api._at_google.account(record.organization_id)[1])  # type: ignore[union-attr]

    def comparable(self) -> Any:
        """The state, without generated ids."""
        principals = {one["id"]: one["displayName"] for one in self.state["service_principals"]}

        def plain(text: str) -> str:
            return text.replace(self.cluster_id, "ID").replace(self.short, "ID")

        apps = [
            (
                plain(one["displayName"]),
                sorted(map(plain, one["tags"])),
                sorted(str(key["displayName"]) for key in one["passwordCredentials"]),
                sorted(
                    (plain(key["name"]), key["subject"] == self.subject())
                    for key in one["federatedIdentityCredentials"]
                ),
            )
            for one in self.apps
        ]
        identities = [
            (name, sorted(one["tags"]), [plain(key["name"]) for key in one["federatedIdentityCredentials"]])
            for name, one in self.identities.items()
        ]
        roles = sorted(
            (plain(one["roleName"]), sorted(one["permissions"][0]["actions"]), sorted(one["assignableScopes"]))
            for one in self.state["role_definitions"].values()
            if "CastAKS" in one["roleName"]
        )
        assigned = sorted(
            (plain(role), plain(principals.get(who, "nobody")), scope)
            for role, who, scope in self.assignments
            if "operator" not in principals.get(who, "")
        )
        return apps, identities, roles, assigned, bool(self.live_secret())


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("tests.sandbox.castai.server.Agent", aws_client.NoAgent)
    made = World()

    # Waits take no time; the clouds' clock advances by their length.
    def slept(seconds: float) -> None:
        made.clock.ahead += seconds

    monkeypatch.setattr("time.sleep", slept)
    for waiting in (actions, observed, _keys, azure_resources):
        monkeypatch.setattr(waiting, "until", partial(until, sleep=slept, clock=made.clock))
    return made


__all__ = ["GROUP", "GROUP_ID", "NETWORK_ID", "NODES_ID", "TENANT", "World", "world"]
