# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._engine import at_once
from ansible_collections.castai.onboarding.plugins.module_utils._patience import Repeats, retry_after, within


@pytest.mark.parametrize("header", [None, "", "\u00b2", "-4", "Fri, 99 Foo 99999 99:99:99 GMT", "1e9", "soon"])
def test_a_retry_after_that_is_no_time(header: str | None) -> None:
    assert retry_after(header) == 0.0


def test_a_retry_after_beyond_all_measure_is_not_slept() -> None:
    pauses: list[float] = []
    assert not Repeats(1.0, 20.0, pauses.append).wait(60.0, retry_after("9" * 400))
    assert pauses == []


def test_no_pause_goes_beyond_the_time_of_the_task() -> None:
    """Also for parallel reads, which have their own threads."""

    def waits(asked: float) -> bool:
        return Repeats(1.0, 20.0, pauses.append).wait(60.0, asked)

    pauses: list[float] = []
    with within(10):
        with at_once() as ask:
            soon, late = ask(waits, 9), ask(waits, 11)
        assert (soon.result(), late.result()) == (True, False)
        with within(100):
            assert not waits(11)
        with within(5):
            assert not waits(9)
    assert waits(11)
    assert pauses == [9, 11]
