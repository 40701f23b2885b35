# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.aws.server import Aws

from .aws_client import Clock, world
from .azure_client import Azures
from .google_client import Cloud


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def aws(clock: Clock) -> Aws:
    return world(clock)


@pytest.fixture
def cloud(clock: Clock) -> Iterator[Cloud]:
    """A Google Cloud; the test fails if it sends a request that Google does not support."""
    made = Cloud(clock)
    yield made
    assert made.google.take_defects() == []


@pytest.fixture
def azures(clock: Clock) -> Iterator[Azures]:
    """An Azure; the test fails if it sends a request that Azure does not support."""
    made = Azures(clock)
    yield made
    assert made.azure.take_defects() == []
