# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the summary line says, and for which hosts the playbooks run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from tests.support.checked import checked
from tests.tree import ROOT

from .test_charts import trust_as_template, trusted

ROLE = yaml.safe_load((ROOT / "roles/castai/vars/main.yml").read_text(encoding="utf-8"))
DONE = {"changes": {"created": ["castai/cluster/shop"], "changed": [], "removed": []}}


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_plan_is_one_wherever_check_mode_is_set(check_mode: bool) -> None:
    """If a play sets it, Ansible's own variable says the opposite."""
    given = {"ansible_check_mode": not check_mode, "__castai_results": [DONE]}
    given["__castai_given"] = checked(check_mode=check_mode)
    said = Templar(DataLoader(), variables={**trusted(ROLE), **given}).template(
        trust_as_template("{{ __castai_effects }}")
    )
    assert said.strip() == f"{'would create' if check_mode else 'created'} castai/cluster"


@pytest.mark.parametrize("path", sorted((ROOT / "playbooks").rglob("*.yml")), ids=lambda path: path.stem)
def test_blank_hosts_are_the_group_castai_clusters(path: Path) -> None:
    for expression in re.findall(r"castai_hosts \| default\([^)]*\)", path.read_text(encoding="utf-8")):
        hosts = [
            Templar(DataLoader(), variables=given).template(trust_as_template(f"{{{{ {expression} }}}}"))
            for given in ({}, {"castai_hosts": ""}, {"castai_hosts": "shop"})
        ]
        assert hosts == ["castai_clusters", "castai_clusters", "shop"]


@pytest.mark.parametrize(
    ("given", "pattern"),
    [({}, "castai_clusters"), ({"castai_hosts": ["a", "b"]}, "a,b"), ({"castai_hosts": "a:c"}, "a:c")],
)
def test_the_hosts_may_be_a_list(given: dict[str, Any], pattern: str) -> None:
    (play,) = yaml.safe_load((ROOT / "playbooks/private/look.yml").read_text(encoding="utf-8"))
    variables = {**trusted(play["vars"]), **given}
    assert Templar(DataLoader(), variables=variables).template(trust_as_template("{{ __castai_hosts }}")) == pattern
