# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the GKE guide's playbook for removal makes of an inventory that does not say where the cluster is."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from tests.support.recipes import recipe

from .test_charts import trust_as_template, trusted

(PLAY,) = recipe("gke_guide", "Removal")


@pytest.mark.parametrize(
    ("given", "complete"),
    [
        ({}, False),
        ({"castai_location": "europe-west3"}, False),
        ({"castai_project": "", "castai_location": "europe-west3"}, False),
        ({"castai_project": "shop-prod-1234"}, False),
        ({"castai_project": "shop-prod-1234", "castai_location": "europe-west3"}, True),
    ],
)
def test_the_playbook_for_removal_says_which_variable_is_missing(given: dict[str, Any], complete: bool) -> None:
    (check,) = [
        one for one in PLAY["tasks"] if one["name"] == "Check that the project and location of the cluster are set"
    ]
    asserted = check["ansible.builtin.assert"]
    # Nothing of it is in the environment either.
    variables = {**trusted(PLAY["vars"]), "projects": [], "inventory_hostname": "shop", **given}
    templar = Templar(DataLoader(), variables=variables)
    assert templar.template(trust_as_template(f"{{{{ {asserted['that']} }}}}")) is complete
    assert "castai_project" in asserted["fail_msg"]
    assert "castai_location" in asserted["fail_msg"]
