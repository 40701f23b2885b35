# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module that creates an identity in AWS in this process, with the local AWS and CAST AI but no socket."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._aws.systems import Systems
from ansible_collections.castai.onboarding.plugins.module_utils._engine import (
    Action,
    Kept,
    Result,
    Stopped,
    Subject,
    reconcile,
)
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.castai import CastAi, Rejected
from tests.sandbox.aws.server import READS
from tests.sandbox.aws.server import Aws as Cloud
from tests.sandbox.castai.server import CastAi as Api
from tests.sandbox.normal import normalize
from tests.sandbox.wire import Request

from .aws_client import HOME, Clock, gateway, operator, session

PARAMETERS: Mapping[str, Any] = {
    "adopt": False,
    "hand_over": True,
    "path": "/",
    "policy_scope": "cluster",
    "prepare": True,
    "region": "eu-central-1",
    "state": "present",
    "tags": {},
    "user_access": "cluster_admin",
}


class Ended(BaseException):
    """Takes the place of a signal: nothing in the modules catches it."""


class Direct(CastAi):
    """The API without a socket."""

    def __init__(self, api: Api) -> None:
        super().__init__("https://api.cast.ai", "key", sleep=lambda _seconds: None)
        self._api = api
        self.wrote: Callable[[], None] = lambda: None
        self.refuses = False
        """Whether credentials are refused permanently."""

    def _once(self, method: str, path: str, purpose: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        if self.refuses and body and "credentials" in body:
            raise Rejected(purpose, 403, "Forbidden")
        data = b"" if method == "GET" else json.dumps(body or {}).encode()
        headers = {"x-api-key": self._api.full_access_key}
        answer = self._api.handle(Request(method, "api.cast.ai", path, "", headers, data))
        found: dict[str, Any] = json.loads(answer.body) if answer.body else {}
        if answer.status >= 400:
            objections = found.get("fieldViolations") or [{}]
            raise Rejected(purpose, answer.status, found["message"], objections[0].get("field", ""))
        if method != "GET":
            self.wrote()
        return found


class Account:
    """One account with an administrator as the operator. Subclasses add clusters and the module."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.cloud = Cloud(clock=self.clock)
        self.api = Api(self.cloud, Clock())
        self.castai = Direct(self.api)
        self.administrator = operator(self.cloud)
        self._clients: dict[str, Any] = {}
        self.add_clusters()
        self.register()

    def add_clusters(self) -> None:
        """Add the clusters to AWS and CAST AI; called once."""
        raise NotImplementedError

    def register(self) -> None:
        """Create the clusters at CAST AI. From here on, the module runs as the administrator."""
        self.aws = gateway(self.administrator)

    def run(self, *which: str, **changes: Any) -> Result:
        """Run the module for one of the clusters."""
        raise NotImplementedError

    def reset(self) -> None:
        """Reset to the initial state."""
        self.cloud.reset()
        self.api.reset()
        self.register()

    def act_as(self, name: str, policy: Mapping[str, Any]) -> None:
        """From now on, run as this user of the account, who is created here."""
        self.aws = gateway(session(self.cloud, *self.cloud.add_user(HOME, name, policy)))

    def reconcile(
        self, subject: Subject[Any, Any, Any], check: bool, ended_after: int | None, **parameters: Any
    ) -> Result:
        """ended_after: the number of actions before the run is killed, None for all."""
        here = replace(
            subject,
            connect=lambda params, wanted: Systems(self.castai, self.aws),
            plan=lambda current, wanted: first(subject.plan(current, wanted), ended_after),
        )
        # Most tests of removal check the order and what stays, and leave the cluster connected.
        forced = {"force": parameters.get("state") == "absent"}
        return reconcile(here, {**PARAMETERS, **forced, **parameters}, check, lambda line: None)

    def run_until(self, last: int, *which: str, **changes: Any) -> bool:
        """Run, and kill the run after this many writes; returns whether there were so many."""
        writes = itertools.count(1)

        def wrote(model: Any = None, **_others: Any) -> None:
            if (model is None or READS.match(model.name) is None) and next(writes) == last:
                raise Ended

        self.aws, self.castai.wrote = gateway(self.administrator), wrote
        clients = self.aws._clients.values()
        for client in clients:
            client.meta.events.register("after-call", wrote)
        try:
            self.run(*which, **changes)
        except Ended:
            return True
        finally:
            for client in clients:
                client.meta.events.unregister("after-call", wrote)
            self.aws, self.castai.wrote = gateway(self.administrator), lambda: None
        return False

    def state(self) -> Any:
        """The whole state, after the published normalization."""
        return normalize({"aws": self.cloud.state(), "castai": self.api.state()})

    @property
    def iam(self) -> Any:
        """The administrator's."""
        return self._client("iam")

    @property
    def ec2(self) -> Any:
        """The administrator's."""
        return self._client("ec2")

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self.administrator.client(service)
        return self._clients[service]

    def keys(self, user: str) -> list[str]:
        return [key["AccessKeyId"] for key in self.iam.list_access_keys(UserName=user)["AccessKeyMetadata"]]

    def check_key(self, user: str) -> None:
        """Check that CAST AI's only key is a live one of this user."""
        found = self.iam.list_access_keys(UserName=user)["AccessKeyMetadata"]
        (key,) = self.api.state()["access_keys"].values()
        assert {"AccessKeyId": key, "Status": "Active"} in [
            {name: one[name] for name in ("AccessKeyId", "Status")} for one in found
        ]

    def check_key_after_every_write(self, user: str, before: Callable[[], None], *which: str, **changes: Any) -> None:
        """Check that CAST AI has a live key wherever a run is killed or refused, and after the next one."""
        for last in itertools.count(1):
            self.reset()
            before()
            ended = self.run_until(last, *which, **changes)
            self.check_key(user)
            self.run(*which, **changes)
            self.check_key(user)
            assert len(self.keys(user)) == 1
            if not ended:
                break
        self.reset()
        before()
        had = self.keys(user)
        self.castai.refuses = True
        with pytest.raises(Stopped, match=r"The new access key \w+ was deleted again\."):
            self.run(*which, **changes)
        self.castai.refuses = False
        self.check_key(user)
        assert self.keys(user) in ([had[-1]], had)


def first(planned: Iterable[Action | Kept], actions: int | None) -> Iterator[Action | Kept]:
    """A plan cut off after this many actions; None for all."""
    done = 0
    for one in planned:
        if isinstance(one, Action):
            if done == actions:
                return
            done += 1
        yield one


def sentences(result: Result) -> list[str]:
    return [action.sentence for action in result.actions]
