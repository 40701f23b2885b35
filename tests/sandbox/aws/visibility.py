# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The delay of IAM, EC2 and EKS: what has just been made is not seen everywhere at once.

IAM User Guide, "Troubleshoot IAM: Changes that I make are not always immediately visible"; EC2 API Reference, "Eventual
consistency". Off unless a test asks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable


class Visibility:
    """Which new things are hidden from whom. Things are named by ARN, access keys and security groups by
    their id.

    clock: the world's time in seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._made: dict[str, float] = {}
        self._hidden: Counter[tuple[str, str]] = Counter()
        self._uses, self._seconds = 0, 0.0

    def set(self, uses: int = 0, seconds: float = 0.0) -> None:
        """From now on hide new things from the first `uses` calls of each operation, or for so many virtual seconds.

        Each operation counts for itself, so that a test meets every call that may come too early; end it, by neither,
        before the calls of a later run.
        """
        self._uses, self._seconds = uses, seconds
        self._made.clear()
        self._hidden.clear()

    def note(self, name: str) -> None:
        """It has just been made."""
        if self._uses or self._seconds:
            self._made[name] = self._clock()

    def hides(self, name: str, operation: str) -> bool:
        """Whether this call of the operation does not see it yet. Asking is a use."""
        if name not in self._made:
            return False
        self._hidden[name, operation] += 1
        return self._hidden[name, operation] <= self._uses or self._clock() < self._made[name] + self._seconds
