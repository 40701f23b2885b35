# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rounds of calls, without a clock: calls are held until their caller only waits for answers.

Calls that are held at the same time do not wait for one another, no matter how long the caller took to make them: it
may be slow, or the machine busy. In the journal, the calls of a round overlap.
"""

from __future__ import annotations

import os
import threading
import time

from . import processes
from .gate import Address

_PAUSE = 0.02  # seconds between two looks
_LOOKS = 4  # in a row at which all was quiet
_BUSY = 0.002  # seconds of this process's own processor time between two looks: it is still reading a call


class Rounds:
    """The callers are processes, identified by their ends of the connections."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, threading.Event] = {}
        self._holders: dict[tuple[Address, Address], int] = {}

    def hold(self, client: Address, server: Address) -> None:
        """Return when the round of this call is complete."""
        pid = self._holder(client, server)
        with self._lock:
            complete = self._open.get(pid)
            first = complete is None
            if complete is None:
                complete = self._open[pid] = threading.Event()
        if not first:
            complete.wait()
            return
        try:
            _until_quiet(pid)
        finally:
            with self._lock:
                del self._open[pid]
            complete.set()

    def _holder(self, client: Address, server: Address) -> int:
        """Looked up once for each connection."""
        connection = (client, server)
        if connection not in self._holders:
            self._holders[connection] = processes.holder(client, server)
        return self._holders[connection]


def _until_quiet(caller: int) -> None:
    """Whether neither the caller makes a call nor this process reads one: all threads are waiting.

    A thread that waits for Python's lock is asleep, and gets the lock while this one sleeps.
    """
    quiet, used = 0, _used_by_others()
    while quiet < _LOOKS:
        time.sleep(_PAUSE)
        before, used = used, _used_by_others()
        reads = used - before >= _BUSY or not processes.waits(os.getpid(), but=threading.get_native_id())
        quiet = 0 if reads or not processes.waits(caller) else quiet + 1


def _used_by_others() -> float:
    """Processor time of this process without the thread that looks."""
    return time.process_time() - time.thread_time()
