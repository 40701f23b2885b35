# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight finds out in Google Cloud, whose stand-in decides, before a GKE cluster is onboarded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._castai import phase2
from ansible_collections.castai.onboarding.plugins.module_utils._clusters import gke, table
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.facts import CloudRights, ClusterFacts, Named
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.castai import Cluster
from ansible_collections.castai.onboarding.plugins.module_utils._google.permissions import GRANTS, ONBOARD, needed
from tests.unit.sandbox.google_client import LOCATION, PROJECT, Cloud, cluster

RECORD = Cluster("id", "shop", "gke", "ready", "online", "org", "", "", {})
ME = "me@acme-prod.iam.gserviceaccount.com"
ALL = [grant.permission for grant in GRANTS]


@pytest.fixture(scope="module")
def shared() -> Cloud:
    made = Cloud()
    made.google.add_cluster(cluster("shop"))
    return made


@pytest.fixture
def cloud(shared: Cloud) -> Cloud:
    shared.reset()
    return shared


def asked(cloud: Cloud, permissions: Any = ALL, record: Cluster | None = RECORD, **options: Any) -> CloudRights | None:
    google = cloud.gateway(cloud.operator_with(*permissions))
    google._chosen = replace(google._chosen, project=PROJECT)

    class Systems:
        def cloud(self) -> Any:
            return google

        def cluster(self) -> Any:
            raise AssertionError

    facts: ClusterFacts = gke.read(Systems(), Named("gke", "shop", {"location": LOCATION}))
    params = phase2.with_defaults({"provider": "gke", "onboard": {"connecting": False, **options}})
    return gke.GKE.onboarding.rights(google, facts, params["onboard"], record, ME)


def without(*permissions: str) -> list[str]:
    return [one for one in ALL if one not in permissions]


def test_whoever_has_all_permissions_is_told_nothing(cloud: Cloud) -> None:
    assert asked(cloud) == CloudRights()
    assert cloud.writes() == []


def test_of_a_cluster_that_castai_has_credentials_of_nothing_is_asked(cloud: Cloud) -> None:
    assert asked(cloud, ["container.clusters.get"], replace(RECORD, credentials_id="c")) is None


@pytest.mark.parametrize("permission", sorted(needed(ONBOARD, {"key"}).keys() - {"container.clusters.get"}))
def test_each_permission_that_onboarding_needs_is_named(cloud: Cloud, permission: str) -> None:
    """But for the one without which nothing is known of the cluster."""
    found = asked(cloud, without(permission))
    assert found
    said = found.reading if needed(ONBOARD, {"key"})[permission].reads else found.writing
    assert len(said) == 1
    assert said[0].startswith(f"{ME} lacks permissions in project {PROJECT} that ")
    assert f": {permission}. Grant them" in said[0]


def test_what_only_repairs_need_is_a_warning(cloud: Cloud) -> None:
    found = asked(cloud, without("iam.roles.undelete", "orgpolicy.policy.get"))
    assert found
    assert (found.reading, found.writing) == ((), ())
    assert "repairs and explanations need: iam.roles.undelete, orgpolicy.policy.get." in found.warnings[0]
    assert "Organization policy iam.disableServiceAccountKeyCreation could not be read." in found.not_checked


def test_an_account_made_beforehand_is_neither_made_nor_edited(cloud: Cloud) -> None:
    lacking = without("iam.serviceAccounts.create", "iam.serviceAccounts.update")
    assert asked(cloud, lacking, existing_service_account="own@acme-prod.iam.gserviceaccount.com") == CloudRights()


def test_services_that_are_off_and_stay_off_are_named(cloud: Cloud) -> None:
    cloud.do("set_services", project=PROJECT, off=["compute.googleapis.com"])
    assert asked(cloud) == CloudRights()
    found = asked(cloud, enable_services=False)
    assert found
    assert (
        "are off in project acme-prod: compute.googleapis.com. Enable them, or set gke_onboard_enable"
        in found.writing[0]
    )


def test_organization_policies_that_stop_a_run_or_nodes_are_named(cloud: Cloud) -> None:
    forbid(cloud, "iam.disableServiceAccountKeyCreation", True)
    found = asked(cloud)
    assert found
    assert "forbids keys of service accounts: constraints/iam.disableServiceAccountKeyCreation." in found.writing[0]
    assert "Set gke_onboard_identity (option identity) to impersonation" in found.writing[0]
    assert asked(cloud, identity="impersonation") == CloudRights()
    forbid(cloud, "iam.allowedPolicyMemberDomains", {"allowed": ["C0123"]})
    forbid(cloud, "gcp.resourceLocations", {"allowed": ["in:eu-locations"]})
    found = asked(cloud, identity="impersonation")
    assert found
    assert found.writing == ()
    assert "may be in IAM policies: constraints/iam.allowedPolicyMemberDomains." in found.warnings[0]
    assert "nodes from being created: constraints/gcp.resourceLocations." in found.warnings[1]


def forbid(cloud: Cloud, constraint: str, value: Any) -> None:
    cloud.do("set_constraint", project=PROJECT, constraint=f"constraints/{constraint}", value=value)


def test_an_identity_of_another_provider_is_refused() -> None:
    params = {"provider": "gke", "onboard": {"connecting": False, "identity": "user"}}
    (problem,) = phase2.problems(phase2.with_defaults(params))
    assert problem.endswith("is 'user'. Set it to one of: key, impersonation.")
    assert list(phase2.problems(phase2.with_defaults({**params, "onboard": {"connecting": False}}))) == []
    every = ["role", "user", "key", "impersonation", "app", "managed_identity"]
    assert table.identity_options()["identity"] == {"type": "str", "choices": every}
