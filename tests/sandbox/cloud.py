# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Google's and Azure's stand-ins share. Both read the cloud's published documents."""

from __future__ import annotations

import threading
from typing import Any, ClassVar, Protocol

from .wire import Cluster, Request, Response


class Refusal(Exception):
    """A refusal in the cloud's own form. defect: the request is not described anywhere; no test may pass with one."""

    defect: ClassVar[bool] = False

    def answer(self) -> Response:
        raise NotImplementedError


class Verbs(Protocol):
    """A cloud's Control."""

    def add_cluster(self, cluster: Cluster) -> None:
        """Add a cluster to the cloud."""

    def do(self, verb: str, args: dict[str, Any]) -> Any:
        """Do what a test asks for with this verb."""


class Documented:
    """A back end under one lock. defects: sentences about requests that no document describes."""

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
        """The undescribed requests since the last call of this method."""
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
