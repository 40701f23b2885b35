# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The connections to AWS and CAST AI that every module of an identity needs. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._gateways.aws import Aws
from .._gateways.castai import CastAi, by_options


@dataclass(frozen=True)
class Systems:
    castai: CastAi
    aws: Aws

    def close(self) -> None:
        """Nothing is kept open between calls."""


def connect(params: Mapping[str, Any], _wanted: Any) -> Systems:
    return Systems(by_options(params), Aws(params))
