# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in this process that can be killed after any of their writes, with a cloud and CAST AI but no socket."""

from __future__ import annotations

import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.castai.onboarding.plugins.module_utils._engine import CallFailed, Failure, Result
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.castai import _Passing
from tests.sandbox.castai.server import CastAi as Api
from tests.sandbox.wire import Request, Response

from .aws_account import Direct, Ended
from .aws_client import Clock

ENDED, LOST = "ended", "lost"
"""What happens to a run after an effect: it is killed, or it continues without an answer."""


class Noting(Direct):
    """CAST AI without a socket; its waits use the cloud's clock."""

    def __init__(self, api: Api) -> None:
        super().__init__(api)
        self._sleep = self._pass
        self.given: dict[str, str] = {}
        """The last accepted credentials, by cluster: a key file, or {} for none."""

    @staticmethod
    def _pass(seconds: float) -> None:
        time.sleep(seconds)

    def _once(self, method: str, path: str, purpose: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        taken = {path.rpartition("/")[2]: body["credentials"]} if body and "credentials" in body else {}
        try:
            found = super()._once(method, path, purpose, body)
        except Ended:  # after it has taken effect
            self.given.update(taken)
            raise
        self.given.update(taken)
        return found


class Endable(ABC):
    """A cloud with a cluster, and an operator whose runs can be killed."""

    castai: Noting
    clock: Clock
    cloud: Any
    """A client whose send() passes a request to the stand-in."""

    @abstractmethod
    def is_write(self, request: Request) -> bool:
        """Whether the stand-in would change anything."""

    @abstractmethod
    def reset(self) -> None:
        """Reset to the initial state."""

    @abstractmethod
    def gateway(self) -> Any:
        """A new session of the modules with the cloud, as the operator."""

    @abstractmethod
    def use(self, session: Any) -> None:
        """Use a session for all further runs."""

    @abstractmethod
    def run(self, **changes: Any) -> Result:
        """Run the module; changes: to its options."""

    @abstractmethod
    def check_access(self) -> None:
        """Check that the credentials that CAST AI last accepted for the first cluster, if any, work."""

    @abstractmethod
    def comparable(self) -> Any:
        """The state, without generated ids."""

    def run_until(self, last: int, **changes: Any) -> bool:
        """Run, and kill the run after this many writes; returns whether there were so many."""
        writes = itertools.count(1)

        def wrote() -> None:
            if next(writes) == last:
                raise Ended

        session = self.gateway()
        send = session.send

        def sent(call: Any, *arguments: Any, **named: Any) -> Any:
            found = send(call, *arguments, **named)
            if not call.only_reads:
                wrote()
            return found

        session.send = sent
        self.castai.wrote = wrote
        self.use(session)
        try:
            self.run(**changes)
        except Ended:
            return True
        finally:
            self.castai.wrote = lambda: None
            self.use(self.gateway())
        return False

    def check_access_after_every_write(self, before: Callable[[], object], **changes: Any) -> int:
        """Check that CAST AI has access wherever a run is killed, and after the next one; returns the number of
        writes."""
        ends: list[Any] = []
        for last in itertools.count(1):
            self.reset()
            before()
            ended = self.run_until(last, **changes)
            self.check_access()
            self.run(**changes)
            self.check_access()
            assert self.run(**changes).actions == ()
            ends.append(self.comparable())
            assert ends[-1] == ends[0], last
            if not ended:
                return last - 1
        raise AssertionError


class Effects:
    """Counts effects, and lets CAST AI try its access after each.

    last: the effect after which the run is killed, or whose answer is lost; 0 for none.
    """

    def __init__(self, world: Endable, last: int, how: str, tried: bool) -> None:
        self._world, self._last, self._how, self._tried = world, last, how, tried
        self.count = 0
        self._send = world.cloud.send

    def __enter__(self) -> Effects:
        self._world.cloud.send = self._received
        self._world.castai.wrote = self._wrote
        return self

    def __exit__(self, *_error: object) -> None:
        self._world.cloud.send = self._send
        self._world.castai.wrote = _nothing

    def _received(self, request: Request) -> Response | None:
        answer: Response | None = self._send(request)
        done = answer is not None and answer.status < 400
        return None if done and self._world.is_write(request) and self._is_last() else answer

    def _wrote(self) -> None:
        if self._is_last():
            raise _Passing(CallFailed("CAST AI did not answer."), 0, 60, lost=True)

    def _is_last(self) -> bool:
        """Whether the answer of this effect is lost."""
        if self._tried:
            self._world.check_access()
        self.count += 1
        if self.count != self._last:
            return False
        if self._how == ENDED:
            raise Ended
        return True


def _nothing() -> None:
    pass


def attempt(world: Endable, options: Mapping[str, Any], last: int, how: str) -> int:
    """One run. Returns the number of its effects."""
    with Effects(world, last, how, options.get("state") != "absent") as effects:
        try:
            world.run(**options)
        except (Ended, Failure):
            assert 0 < last <= effects.count, "it ended by itself"
    return effects.count


def after_each_effect(
    world: Endable, before: Callable[[], object], options: Mapping[str, Any], how: str, end: Callable[[], Any]
) -> None:
    """Wherever a run is killed, or an answer is lost, the next run ends in the same state. end: that state."""
    before()
    effects = attempt(world, options, 0, how)
    expected = end()
    assert effects >= 2
    for last in itertools.count(1):
        world.reset()
        before()
        if attempt(world, options, last, how) < last:
            break
        attempt(world, options, 0, how)
        assert end() == expected, (last, how)
        assert world.run(**options).actions == (), (last, how)
    assert last > effects
