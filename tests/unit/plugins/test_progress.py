# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When progress is shown."""

from __future__ import annotations

import pytest

from ansible_collections.castai.onboarding.plugins.plugin_utils import _action


def test_progress_leaves_the_output_to_callbacks(capfd: pytest.CaptureFixture[str]) -> None:
    _action._shown_for({"inventory_hostname": "shop"})("cluster 1 is connecting")
    out, err = capfd.readouterr()
    assert out == ""
    assert "shop: cluster 1 is connecting" in err
