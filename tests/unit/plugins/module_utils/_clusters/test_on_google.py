# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight finds out from the stand-in for Google Cloud before a GKE cluster is onboarded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._castai import phase2
from ansible_collections.castai.onboarding.plugins.module_utils._clusters import gke, table
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.facts import CloudRights, ClusterFacts, Named
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.castai import Cluster
from ansible_collections.castai.onboarding.plugins.module_utils._google.permissions import GRANTS, ONBOARD, needed
from tests.unit.sandbox.google_client import LOCATION, NUMBER, PROJECT, SHARED, Cloud, cluster

CLUSTER_ID = "5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e"
BLOCK = {"projectId": PROJECT, "location": LOCATION, "region": LOCATION, "clusterName": "shop"}
RECORD = Cluster(CLUSTER_ID, "shop", "gke", "ready", "online", "org", "", "", BLOCK)
ME = "me@acme-prod.iam.gserviceaccount.com"
EMAIL = f"castai-gke-5042d146@{PROJECT}.iam.gserviceaccount.com"
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


def asked(
    cloud: Cloud, permissions: Any = ALL, record: Cluster | None = RECORD, token: str = "", **options: Any
) -> CloudRights | None:
    google = cloud.gateway(token or cloud.operator_with(*permissions))
    google._chosen = replace(google._chosen, project=PROJECT)

    class Systems:
        def cloud(self) -> Any:
            return google

        def cluster(self) -> Any:
            raise AssertionError

    facts: ClusterFacts = gke.read(Systems(), Named("gke", "shop", {"location": LOCATION}))
    params = phase2.with_defaults({"provider": "gke", "onboard": {"connecting": False, **options}})
    return gke.GKE.onboarding.rights(google, facts, params["onboard"], record, ME, pytest.fail)


def without(*permissions: str) -> list[str]:
    return [one for one in ALL if one not in permissions]


def test_whoever_has_all_permissions_is_told_nothing(cloud: Cloud) -> None:
    assert asked(cloud) == CloudRights()
    assert cloud.writes() == []


def test_of_a_cluster_that_castai_has_credentials_of_nothing_is_asked(cloud: Cloud) -> None:
    assert asked(cloud, ["container.clusters.get"], replace(RECORD, credentials_id="c")) is None


@pytest.mark.parametrize("permission", sorted(needed(ONBOARD, {"key"}).keys() - {"container.clusters.get"}))
def test_each_permission_that_onboarding_needs_is_named(cloud: Cloud, permission: str) -> None:
    """Except for the permission without which nothing is known about the cluster."""
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
    own = f"own@{PROJECT}.iam.gserviceaccount.com"
    (said,) = refusals(asked(cloud, lacking, existing_service_account=own))
    assert said.startswith(f"There is no service account {own}. Correct gke_onboard_existing_service_account")
    cloud.do("add_account", project=PROJECT, account_id="own")
    assert asked(cloud, lacking, existing_service_account=own) == CloudRights()


def test_onboarding_with_an_account_made_beforehand_needs_to_update_the_role(cloud: Cloud) -> None:
    """The key of that account is noted in it."""
    own = cloud.do("add_account", project=PROJECT, account_id="own")
    lacking = without("iam.roles.update")
    noting = asked(cloud, lacking, existing_service_account=own)
    assert noting
    assert "that onboarding needs: iam.roles.update." in noting.writing[0]
    for options in ({}, {"existing_service_account": own, "identity": "impersonation"}):
        other = asked(cloud, lacking, **options)
        assert other
        assert (other.writing, len(other.warnings)) == ((), 1)


def test_services_that_are_off_and_stay_off_are_named(cloud: Cloud) -> None:
    cloud.do("set_services", project=PROJECT, off=["compute.googleapis.com"])
    assert asked(cloud) == CloudRights()
    found = asked(cloud, enable_services=False)
    assert found
    assert (
        "are not enabled in project acme-prod: compute.googleapis.com. Enable them, or set gke_onboard_enable"
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
    assert "limits the members of IAM policies: constraints/iam.allowedPolicyMemberDomains." in found.warnings[0]
    assert "nodes from being created: constraints/gcp.resourceLocations." in found.warnings[1]


def test_services_that_an_organization_policy_forbids_are_named(cloud: Cloud) -> None:
    forbid(cloud, "gcp.restrictServiceUsage", {"denied": ["compute.googleapis.com", "bigquery.googleapis.com"]})
    found = asked(cloud)
    assert found
    assert found.writing == (
        (
            "An organization policy forbids these services: compute.googleapis.com"
            " (constraints/gcp.restrictServiceUsage). Ask its administrators for an exception."
        ),
    )
    forbid(cloud, "gcp.restrictServiceUsage", {"allowed": ["in:all-services"]})
    assert asked(cloud) == CloudRights()


def test_keys_that_end_are_warned_of_where_there_is_one(cloud: Cloud) -> None:
    forbid(cloud, "iam.serviceAccountKeyExpiryHours", {"allowed": ["24h"]})
    found = asked(cloud)
    assert found
    assert found.warnings[0].startswith("An organization policy makes keys of service accounts expire after 24h")
    assert asked(cloud, identity="impersonation") == CloudRights()


# What castai_gke_sa would refuse and warn about


def refusals(found: CloudRights | None) -> tuple[str, ...]:
    assert found
    assert (found.writing, found.not_checked) == ((), ())
    return found.reading


@pytest.mark.parametrize("record", [RECORD, None], ids=["registered", "not registered"])
def test_a_project_without_anything_of_cast_ai_is_fine(cloud: Cloud, record: Cluster | None) -> None:
    assert asked(cloud, record=record) == CloudRights()


def test_an_account_without_room_for_a_key_is_named(cloud: Cloud) -> None:
    """On our own account, keys that CAST AI does not use are deleted; the user's account is not edited."""
    for account_id in ("own", "castai-gke-5042d146"):
        described = {"description": f"cast:cluster-id={CLUSTER_ID}"}
        email = cloud.do("add_account", project=PROJECT, account_id=account_id, **described)
        for number in range(10):
            cloud.do("add_key", email=email)
            if number == 8:
                assert refusals(asked(cloud, existing_service_account=email)) == ()
    assert refusals(asked(cloud)) == ()
    own = f"own@{PROJECT}.iam.gserviceaccount.com"
    (said,) = refusals(asked(cloud, existing_service_account=own))
    assert said.startswith(f"Service account {own} has 10 keys, the most that Google allows")


def test_a_policy_without_room_for_bindings_is_named(cloud: Cloud) -> None:
    before = cloud.google.state()[PROJECT]["policy"]["bindings"]
    # And the owner, and whoever asks; two bindings are to be added.
    for size in (1496, 1497):
        members = [f"user:u{number}@example.com" for number in range(size)]
        cloud.do("set_policy", project=PROJECT, bindings=[*before, {"role": "roles/viewer", "members": members}])
        said = refusals(asked(cloud))
        assert len(said) == (size == 1497), said
    assert said[0].startswith("The IAM policy of project acme-prod would have 1,501 principals")


def test_a_role_of_another_cluster_is_named(cloud: Cloud) -> None:
    another = "0a6f5c1f-5a57-4d4a-8f5d-5b0a1ff30d7e"
    described = {"description": f"Role to manage GKE cluster via CAST AI (cast:cluster-id={another})"}
    cloud.do("add_role", project=PROJECT, role_id="castai.own", permissions=["compute.zones.get"], **described)
    (said,) = refusals(asked(cloud, role_id="castai.own"))
    assert said.startswith(f"Role castai.own of project acme-prod belongs to another cluster, {another}.")


def test_a_shared_role_that_is_disabled_is_named_and_one_of_the_cluster_is_corrected(cloud: Cloud) -> None:
    for role_id in ("castai.gkeAccess", f"castai.gkeAccess.{CLUSTER_ID[:8]}"):
        described = {"description": f"Role to manage GKE cluster via CAST AI (cast:cluster-id={CLUSTER_ID})"}
        role = {"permissions": ["compute.zones.get"], "stage": "DISABLED", **described}
        cloud.do("add_role", project=PROJECT, role_id=role_id, **role)
    assert refusals(asked(cloud)) == ()
    (said,) = refusals(asked(cloud, role_scope="project"))
    assert said.startswith("Role castai.gkeAccess, which the clusters of project acme-prod share, is disabled")


def test_of_an_id_that_a_deleted_role_may_still_have_it_is_said_that_nobody_shows_it(cloud: Cloud) -> None:
    name = cloud.do("add_role", project=PROJECT, role_id="castai.own", permissions=["compute.zones.get"])
    cloud.do("delete_role", name=name, days_ago=8)
    found = asked(cloud, role_id="castai.own")
    assert found
    assert found.not_checked == (
        (
            "Could not check whether the ID castai.own is free for a role of project acme-prod: Google does not show"
            " roles deleted more than 7 days ago, whose IDs stay taken for up to 37 days."
        ),
    )


def test_what_cannot_be_read_of_the_identity_is_not_checked(cloud: Cloud) -> None:
    found = asked(cloud, without("iam.roles.get"))
    assert found
    (said,) = found.not_checked
    assert said.startswith("Could not check CAST AI's service account, its keys and role, and the size of IAM policies")
    assert "iam.roles.get" in said


KEYS = [f"iam.serviceAccountKeys.{verb}" for verb in ("create", "delete", "list")]


def test_permissions_on_an_existing_account_count_where_that_is(cloud: Cloud) -> None:
    own = cloud.do("add_account", project=SHARED, account_id="castai-central")
    found = asked(cloud, existing_service_account=own)
    assert found
    (said,) = found.writing
    assert said.startswith(f"{ME} lacks permissions on service account {own} that onboarding needs: {KEYS[0]}. Grant")
    assert found.reading[0].startswith(
        f"{ME} lacks permissions on service account {own} that even a plan needs: {KEYS[2]}."
    )
    cloud.reset()
    own = cloud.do("add_account", project=PROJECT, account_id="castai-central")
    role = cloud.do("add_role", project=PROJECT, role_id="keys", permissions=[*KEYS, "iam.serviceAccounts.get"])
    token = cloud.operator_with(*without(*KEYS))
    (operator,) = [one.email for one in cloud.google.store.accounts if one.email.startswith("operator-")]
    cloud.do("grant", project=own, role=role, member=f"serviceAccount:{operator}")
    assert asked(cloud, token=token, existing_service_account=own) == CloudRights()


def change_cluster(cloud: Cloud, **fields: Any) -> None:
    cloud.do("set_cluster", project=PROJECT, location=LOCATION, name="shop", **fields)


def test_a_network_of_another_project_is_warned_of_unless_cast_ai_gets_permissions_there(cloud: Cloud) -> None:
    change_cluster(cloud, networkConfig={"network": f"projects/{SHARED}/global/networks/shared"})
    found = asked(cloud)
    assert found
    (said,) = found.warnings
    assert said.startswith(f"The network of GKE cluster shop belongs to project {SHARED} (Shared VPC)")
    assert "Set gke_onboard_shared_vpc_role (option shared_vpc_role) to subnets, or add" in said
    assert f"If {EMAIL} gets permissions there in another way, set" in said
    assert asked(cloud, shared_vpc_role="none") == CloudRights()
    found = asked(cloud, shared_vpc_role="subnets")
    assert found
    assert not any("Shared VPC" in one for one in found.warnings)
    found = asked(cloud, extra_projects=[SHARED])
    assert found
    assert (found.warnings, found.reading) == ((), ())
    assert found.writing == (
        (
            f"{ME} lacks permissions in project {SHARED} that onboarding needs: iam.roles.create, iam.roles.get,"
            " resourcemanager.projects.getIamPolicy, resourcemanager.projects.setIamPolicy. Grant them, for example"
            " with the custom role in docs/examples/policies/gke-onboard.yml."
        ),
    )


def test_node_accounts_of_another_project_are_warned_of(cloud: Cloud) -> None:
    email = f"nodes@{SHARED}.iam.gserviceaccount.com"
    change_cluster(cloud, nodePools=[{"name": "a", "config": {"serviceAccount": email}}])
    found = asked(cloud)
    assert found
    assert found.warnings[0].startswith(f"The node accounts {email} belong to other projects")


def test_keys_of_node_disks_are_warned_of_with_the_grant_that_they_need(cloud: Cloud) -> None:
    key = "projects/keys/locations/europe-west1/keyRings/r/cryptoKeys/nodes"
    change_cluster(cloud, nodePools=[{"name": "a", "config": {"bootDiskKmsKey": key}}])
    found = asked(cloud)
    assert found
    agent = f"serviceAccount:service-{NUMBER}@compute-system.iam.gserviceaccount.com"
    role = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
    command = f"gcloud kms keys add-iam-policy-binding {key} --member {agent} --role {role}"
    assert found.warnings[0].endswith(command)
    assert found.not_checked == (f"Whether the Compute Engine service agent may use {key} was not checked.",)


def test_an_autopilot_cluster_is_refused_once(cloud: Cloud) -> None:
    change_cluster(cloud, autopilot={"enabled": True})
    assert asked(cloud) == CloudRights()


def forbid(cloud: Cloud, constraint: str, value: Any) -> None:
    cloud.do("set_constraint", project=PROJECT, constraint=f"constraints/{constraint}", value=value)


def test_an_identity_of_another_provider_is_refused() -> None:
    params = {"provider": "gke", "onboard": {"connecting": False, "identity": "user"}}
    (problem,) = phase2.problems(phase2.with_defaults(params))
    assert problem.endswith("is 'user'. Set it to one of: key, impersonation.")
    assert list(phase2.problems(phase2.with_defaults({**params, "onboard": {"connecting": False}}))) == []
    every = ["role", "user", "key", "impersonation", "app", "managed_identity"]
    assert table.identity_options()["identity"] == {"type": "str", "choices": every}
