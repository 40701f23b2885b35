# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The delay of IAM, EC2 and EKS: new objects are not visible everywhere at once.

IAM User Guide, "Troubleshoot IAM: Changes that I make are not always immediately visible"; EC2 API Reference, "Eventual
consistency". Off unless a test turns it on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable


class Visibility:
    """Which new objects are hidden from which calls.

    Objects are named by ARN, access keys and security groups by id. clock: the world's time in seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._made: dict[str, float] = {}
        self._hidden: Counter[tuple[str, str]] = Counter()
        self._uses, self._seconds = 0, 0.0

    def set(self, uses: int = 0, seconds: float = 0.0) -> None:
        """Hide objects created from now on from the first `uses` calls of each operation, or for some virtual seconds.

        Operations are counted separately, so that a test meets every call that may come too early. Call it with neither
        before the calls of a later run.
        """
        self._uses, self._seconds = uses, seconds
        self._made.clear()
        self._hidden.clear()

    def note(self, name: str) -> None:
        """Register a new object."""
        if self._uses or self._seconds:
            self._made[name] = self._clock()

    def hides(self, name: str, operation: str) -> bool:
        """Whether the object is still hidden from this call of the operation. Each question counts as a use."""
        if name not in self._made:
            return False
        self._hidden[name, operation] += 1
        return self._hidden[name, operation] <= self._uses or self._clock() < self._made[name] + self._seconds
