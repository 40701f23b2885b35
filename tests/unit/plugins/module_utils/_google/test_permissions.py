# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published custom roles come of one source, and that is one that IAM takes."""

from __future__ import annotations

import re

import pytest
import yaml

from ansible_collections.castai.onboarding.plugins.module_utils._google import permissions
from ansible_collections.castai.onboarding.plugins.module_utils._google.permissions import (
    CONNECT,
    DNS,
    GRANTS,
    KEY,
    KEYLESS,
    OF_SUBNETS,
    ONBOARD,
    PHASES,
    PLAN,
    REMOVE,
    document,
    file_name,
    granted,
    needed,
)
from tests.support.policies import FOLDER
from tests.tree import ROOT


@pytest.mark.parametrize("phase", PHASES)
def test_a_published_role_is_what_gcloud_takes(phase: str) -> None:
    role = yaml.safe_load((ROOT / FOLDER / file_name(phase)).read_text(encoding="utf-8"))
    assert role == document(phase)
    assert set(role) <= {"title", "description", "stage", "includedPermissions"}
    assert all(re.fullmatch(r"[a-z]+\.[A-Za-z]+\.[A-Za-z]+", one) for one in role["includedPermissions"])


def test_each_permission_is_told_once_with_what_needs_it() -> None:
    names = [grant.permission for grant in (*GRANTS, *OF_SUBNETS)]
    assert len(names) == len(set(names))
    assert all(grant.scenarios for grant in GRANTS)
    assert [grant for grant in GRANTS if permissions.REPAIR in grant.scenarios and not grant.why] == []


def test_a_plan_only_reads_and_onboarding_has_all_of_it() -> None:
    plan = {grant.permission for grant in granted(PLAN)}
    onboard = {grant.permission for grant in granted(ONBOARD)}
    assert all(re.search(r"\.(get|list|connect|getIamPolicy)$", one) for one in plan)
    assert plan < onboard
    assert {grant.permission for grant in granted(CONNECT)} < plan


def test_a_way_of_onboarding_asks_for_no_more_than_it_needs() -> None:
    key, keyless = needed(ONBOARD, (KEY,)), needed(ONBOARD, (KEYLESS,))
    assert {one for one in key if one not in keyless} == {
        f"iam.serviceAccountKeys.{verb}" for verb in ("list", "create", "delete")
    }
    assert {one for one in keyless if one not in key} == {
        f"iam.serviceAccounts.{verb}" for verb in ("getIamPolicy", "setIamPolicy")
    }
    assert set(needed(CONNECT, (DNS,))) - set(needed(CONNECT, ())) == {"container.clusters.connect"}
    assert "iam.serviceAccounts.delete" in needed(REMOVE, (KEY,))
