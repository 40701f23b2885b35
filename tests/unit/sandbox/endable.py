# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in this process that end after any of their writes, against a cloud and CAST AI, without a socket."""

from __future__ import annotations

import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.castai.onboarding.plugins.module_utils._engine import Result
from tests.sandbox.castai.server import CastAi as Api

from .aws_account import Direct, Ended


class Noting(Direct):
    """CAST AI without a socket; its waits take the clouds' time."""

    def __init__(self, api: Api) -> None:
        super().__init__(api)
        self._sleep = self._pass
        self.given: dict[str, str] = {}
        """The credentials that were taken last, by cluster: a key file, or {} for none."""

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
    """A cloud with a cluster, and an operator whose runs can be ended."""

    castai: Noting

    @abstractmethod
    def reset(self) -> None:
        """As it was when it was made."""

    @abstractmethod
    def gateway(self) -> Any:
        """A new session of the modules with the cloud, as the operator."""

    @abstractmethod
    def use(self, session: Any) -> None:
        """Have runs use a session from now on."""

    @abstractmethod
    def run(self, **changes: Any) -> Result:
        """Run the module; changes: of its options."""

    @abstractmethod
    def check_access(self) -> None:
        """What CAST AI took last for the first cluster, if anything, works."""

    @abstractmethod
    def comparable(self) -> Any:
        """What is there, without generated ids."""

    def run_until(self, last: int, **changes: Any) -> bool:
        """Run, and end the run when so many of its writes have taken effect; whether there were so many."""
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
        """CAST AI has access wherever a run ends, and after the next, whatever was before; how many writes."""
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
