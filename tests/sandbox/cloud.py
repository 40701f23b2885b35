# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the clouds whose documents the world reads have in common: Google's and Azure's."""

from __future__ import annotations

import threading
from typing import Any, ClassVar, Protocol

from .wire import Cluster, Request, Response


class Refusal(Exception):
    """A refusal in the cloud's own form. defect: of a request that nothing describes; no test may pass with one."""

    defect: ClassVar[bool] = False

    def answer(self) -> Response:
        raise NotImplementedError


class Verbs(Protocol):
    """A cloud's Control."""

    def add_cluster(self, cluster: Cluster) -> None:
        """One that the cloud knows from now on."""

    def do(self, verb: str, args: dict[str, Any]) -> Any:
        """What a test asks for by this verb."""


class Documented:
    """A back end under one lock. defects: what callers have asked that no document has, each in a sentence."""

    title: ClassVar[str]

    def __init__(self, lock: threading.RLock, verbs: Verbs) -> None:
        self._lock, self._verbs = lock, verbs
        self.defects: list[str] = []

    def add_cluster(self, cluster: Cluster) -> None:
        with self._lock:
            self._verbs.add_cluster(cluster)

    def control(self, verb: str, **args: Any) -> Any:
        with self._lock:
            if verb == "defects":
                return self.take_defects()
            try:
                return self._verbs.do(verb, args)
            except Refusal as refusal:
                raise ValueError(f"{self.title} refuses {verb}: {refusal}") from refusal

    def take_defects(self) -> list[str]:
        """What callers have asked since the last time that the cloud does not have."""
        found, self.defects = self.defects, []
        return found

    def handle(self, request: Request) -> Response:
        with self._lock:
            try:
                return self._handle(request)
            except Refusal as refusal:
                if refusal.defect:
                    self.defects.append(f"{request.method} {request.host}{request.path}: {refusal}")
                return refusal.answer()

    def _handle(self, request: Request) -> Response:
        raise NotImplementedError
