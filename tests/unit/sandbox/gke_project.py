# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs castai_gke_sa in this process, with the world's Google Cloud and the local CAST AI but no socket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils import _keys
from ansible_collections.castai.onboarding.plugins.module_utils._engine import Result, reconcile, until
from ansible_collections.castai.onboarding.plugins.module_utils._gateways import google_services
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.google import Google
from ansible_collections.castai.onboarding.plugins.module_utils._google import actions
from ansible_collections.castai.onboarding.plugins.module_utils._google.gke_sa import SUBJECT
from ansible_collections.castai.onboarding.plugins.module_utils._google.observed import Systems
from tests.sandbox.castai.google import CastAiAtGoogle
from tests.sandbox.castai.server import CastAi as Api
from tests.sandbox.wire import Request

from . import aws_client
from .aws_account import first
from .aws_client import Clock
from .endable import Endable, Noting
from .google_client import LOCATION, NUMBER, PROJECT, Cloud, cluster

SHOP = cluster("shop")
SISTER = cluster("shop", location="europe-west3")
NODE_ACCOUNT = f"{NUMBER}-compute@developer.gserviceaccount.com"
ACCOUNT = f"castai-gke-5042d146@{PROJECT}.iam.gserviceaccount.com"
MEMBER = f"serviceAccount:{ACCOUNT}"
USER = "roles/iam.serviceAccountUser"

PARAMETERS: Mapping[str, Any] = {
    "adopt": False,
    "enable_services": True,
    "extra_projects": [],
    "force": False,
    "hand_over": True,
    "identity": "key",
    "load_balancers": [],
    "prepare": True,
    "project": PROJECT,
    "role_scope": "cluster",
    "state": "present",
}


class World(Endable):
    """A project with a cluster, and one with the same name in another location; the operator is its owner."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.cloud = Cloud(self.clock)
        self.api = Api(aws_client.world(self.clock), self.clock, self.cloud.google)
        self.castai = Noting(self.api)
        for one in (SHOP, SISTER):
            self.cloud.google.add_cluster(one)
            self.api.add_cluster(one)
        self.register()

    def register(self) -> None:
        self.ids = {}
        for one in (SHOP, SISTER):
            block = {"projectId": PROJECT, "location": one.region, "region": one.region, "clusterName": one.name}
            self.ids[one.region] = self.castai.register_cluster(one.name, {"gke": block}).id
        self.castai.given = {}
        self.google = self.gateway()
        self.kept: list[tuple[str, str]] = []
        """Keys of users, which no run may delete: account and id."""

    def another_cluster(self, name: str) -> str:
        """Add a registered cluster in the first location, and return its name."""
        made = cluster(name)
        self.cloud.google.add_cluster(made)
        self.api.add_cluster(made)
        block = {"projectId": PROJECT, "location": LOCATION, "region": LOCATION, "clusterName": name}
        self.ids[name] = self.castai.register_cluster(name, {"gke": block}).id
        return name

    def reset(self) -> None:
        """Reset to the initial state."""
        self.cloud.google.reset()
        self.api.reset()
        self.register()

    def gateway(self, token: str = "", **options: Any) -> Google:
        """The modules' Google gateway, as the operator, or with another token or other options."""
        given = options or {"access_token": token or self.cloud.token()}
        google = Google({"project": PROJECT, **given})
        for scheme in ("http://", "https://"):
            google._http.mount(scheme, self.cloud.adapter())
        return google

    def by_key(self, *without: str) -> Google:
        """The same with the operator's key file without these fields."""
        key = json.loads(self.cloud.google.operator_key())
        return self.gateway(service_account_contents=json.dumps({k: v for k, v in key.items() if k not in without}))

    @property
    def cluster_id(self) -> str:
        return self.ids[LOCATION]

    @property
    def role(self) -> str:
        return f"projects/{PROJECT}/roles/castai.gkeAccess.{self.cluster_id[:8]}"

    def run(
        self,
        location: str = LOCATION,
        check: bool = False,
        ended_after: int | None = None,
        google: Google | None = None,
        **changes: Any,
    ) -> Result:
        """ended_after: the number of actions before the run is killed, None for all. google: another session than the
        current one."""
        name = changes.get("cluster_name", "shop")
        parameters = {
            **PARAMETERS,
            "cluster_name": name,
            "cluster_id": self.ids[location if name == "shop" else name],
            "location": location,
            "force": changes.get("state") == "absent",
            **changes,
        }
        here = replace(
            SUBJECT,
            connect=lambda params, wanted: Systems(self.castai, google or self.google),
            plan=lambda current, wanted: first(SUBJECT.plan(current, wanted), ended_after),
        )
        return reconcile(here, parameters, check, lambda line: None)

    def use(self, session: Google) -> None:
        self.google = session

    # What there is

    @property
    def project(self) -> dict[str, Any]:
        found: dict[str, Any] = self.cloud.google.state()[PROJECT]
        return found

    @property
    def bindings(self) -> set[tuple[str, str, str]]:
        """Role, member and the condition's expression."""
        return {
            (one["role"], member, (one.get("condition") or {}).get("expression", ""))
            for one in self.project["policy"]["bindings"]
            for member in one["members"]
        }

    def account(self, email: str = ACCOUNT) -> dict[str, Any] | None:
        return next((one for one in self.project["accounts"] if one["email"] == email), None)

    def key_ids(self, email: str = ACCOUNT) -> list[str]:
        found = self.account(email)
        return [one["name"].rpartition("/")[2] for one in found["keys"]] if found else []

    @property
    def given(self) -> dict[str, str]:
        """CAST AI's credentials for the first cluster: a key file, or nothing if it needs none or has none yet."""
        found: dict[str, str] = json.loads(self.castai.given.get(self.cluster_id, "{}"))
        return found

    @property
    def given_key(self) -> str:
        """The id of CAST AI's key for the first cluster, empty for none."""
        return self.given.get("private_key_id", "")

    def add_users_key(self, email: str) -> str:
        """A key of an account that no run may delete; its id."""
        before = self.key_ids(email)
        self.cloud.do("add_key", email=email)
        (key_id,) = set(self.key_ids(email)) - set(before)
        self.kept.append((email, key_id))
        return key_id

    def is_write(self, request: Request) -> bool:
        return self.cloud.google.classify(request).write

    def check_access(self) -> None:
        """Check that the credentials that CAST AI last accepted for the first cluster, if any, work.

        Users still have their own keys.
        """
        assert [one for one in self.kept if one[1] not in self.key_ids(one[0])] == []
        if self.cluster_id not in self.castai.given:
            return
        castai = CastAiAtGoogle(self.cloud.google)
        block = {"projectId": PROJECT, "location": LOCATION, "clusterName": "shop"}
        record = self.castai.get_cluster(self.cluster_id)
        assert record
        if self.given:
            assert castai.key_works(self.given, block), "an outage"
        else:
            accounts = [record.facts.get(f"{whose}ServiceAccount", "") for whose in ("cast", "client")]
            assert castai.chain_works(accounts[0], accounts[1], block), "an outage"

    def comparable(self) -> Any:
        """The state, without generated ids."""
        accounts = [(one["email"], one.get("displayName"), len(one["keys"])) for one in self.project["accounts"]]
        roles = {name.partition(".gkeAccess")[0]: role for name, role in self.project["roles"].items()}
        roles = {name: {**role, "description": ""} for name, role in roles.items()}
        policy = sorted((role.partition(".gkeAccess")[0], member) for role, member, _text in self.bindings)
        return accounts, roles, policy, self.given_key in self.key_ids()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("tests.sandbox.castai.server.Agent", aws_client.NoAgent)
    made = World()

    # Waits take no time; the clouds' clock advances by their length.
    def slept(seconds: float) -> None:
        made.clock.ahead += seconds

    monkeypatch.setattr("time.sleep", slept)
    for waiting in (actions, _keys, google_services):
        monkeypatch.setattr(waiting, "until", partial(until, sleep=slept, clock=made.clock))
    return made
