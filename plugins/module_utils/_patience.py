# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long a call that is answered with "later" is repeated. PRIVATE to the collection."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from email.utils import parsedate_to_datetime

THROTTLED = 120.0
"""For how many seconds, including tries and pauses, to repeat a throttled call: limits are per minute."""

FEWER = "Run fewer hosts at a time (ansible-playbook --forks), or run again later."
"""What to do about throttled calls."""

_end: ContextVar[float] = ContextVar("end", default=float("inf"))


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let no call in the block sleep for longer than so many seconds from now: the time that a task may wait."""
    token = _end.set(min(_end.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _end.reset(token)


class Repeats:
    """The repeats of one call. first, longest: seconds of a pause that the server does not determine."""

    def __init__(self, first: float, longest: float, sleep: Callable[[float], None] | None = None) -> None:
        self._pause = first
        self._longest = longest
        self._sleep = sleep or time.sleep
        self._spent = 0.0
        self._began = time.monotonic()

    def wait(self, patience: float, asked: float = 0.0) -> bool:
        """Sleep as long as the server asks for or, if it does not say, for a growing time with jitter.

        False, without a pause, if the call would then take longer than patience, or the task longer than its time.
        """
        pause = asked
        if not asked:
            pause = self._pause * random.uniform(0.5, 1.0)
            self._pause = min(self._longest, self._pause * 2)
        now = time.monotonic()
        self._spent += now - self._began + pause
        if self._spent > patience or now + pause > _end.get():
            return False
        self._sleep(pause)
        self._began = time.monotonic()
        return True


def retry_after(value: str | None) -> float:
    """Seconds that the header asks to wait, in either of its forms (RFC 9110, 10.2.3); 0 if it does not say."""
    value = value or ""
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def throttled(who: str, asked: float) -> str:
    """Sentences about a call that stayed throttled, after a blank. who: who limits what, without a full stop."""
    again = f" It asks to wait {asked:.0f} s." if asked > THROTTLED else ""
    return f" {who}.{again} {FEWER}"
