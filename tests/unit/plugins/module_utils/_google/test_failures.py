# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every failure mode of Google that onboarding must survive, by its number, on the local Google Cloud and CAST AI.

Each is judged by the resulting state, by the journal, and by the names in the sentence. A plan writes nothing, and a
refusal comes before any write. Whatever happened, a rerun after the cause is gone ends as an undisturbed run does, with
one live key that CAST AI has, and no binding of others is lost.
"""

from __future__ import annotations

import base64
import json
import os
import random
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._clusters import gke
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.connection import other_cluster_problem, reach
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.facts import ClusterFacts, Named
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.google import Google
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.google_projects import GET_POLICY, policy_in
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.kubernetes import by_token
from ansible_collections.castai.onboarding.plugins.module_utils._google.names import ACCOUNT_USER, TOKEN_CREATOR
from ansible_collections.castai.onboarding.plugins.module_utils._google.permissions import GRANTS
from ansible_collections.castai.onboarding.plugins.module_utils._google.role import DEFAULT
from tests.sandbox.google.tokens import CLOUD, EMAIL
from tests.sandbox.pki import Authority
from tests.sandbox.server import Server
from tests.support.https import reply
from tests.unit.plugins.conftest import Wire
from tests.unit.sandbox import failures
from tests.unit.sandbox.failures import Before, Failure, Way, do, each, ending, met, nothing, rerun, run, take_away
from tests.unit.sandbox.gke_project import ACCOUNT, MEMBER, SISTER, World, world
from tests.unit.sandbox.google_client import LOCATION, NUMBER, OPERATOR, PROJECT, SHARED

__all__ = ["world"]

ACCOUNT_ID = ACCOUNT.partition("@")[0]
SUMMER = {"title": "until summer", "expression": 'request.time < timestamp("2097-07-01T00:00:00Z")'}
VIEWER = "roles/container.viewer"
FOREIGN = f"foreign@{PROJECT}.iam.gserviceaccount.com"


fault = partial(failures.fault, "google")
fails = partial(failures.fails, "google")
SET = r".*\.projects\.setIamPolicy"
CREATE_KEY = r".*\.keys\.create"


def off(*services: str) -> Before:
    return do("set_services", project=PROJECT, off=[f"{one}.googleapis.com" for one in services])


def on(*services: str) -> Before:
    return do("set_services", project=PROJECT, on=[f"{one}.googleapis.com" for one in services])


def acts_without(*permissions: str) -> Before:
    """An operator with all permissions except these."""

    def act(world: World) -> None:
        held = [grant.permission for grant in GRANTS if grant.permission not in permissions]
        world.google = world.gateway(world.cloud.operator_with(*held))

    return act


def acts_as_owner(world: World) -> None:
    world.google = world.gateway()


def reads_below_version_3(world: World) -> None:
    google = world.gateway()
    google.get_policy = lambda project: google.send(GET_POLICY, {}, read=policy_in, project=project)  # type: ignore
    world.google = google


def constraint(name: str, value: Any) -> Before:
    return do("set_constraint", project=PROJECT, constraint=f"constraints/{name}", value=value)


def role_deleted(days: float) -> Before:
    def delete(world: World) -> None:
        role_id = world.role.rpartition("/")[2]
        role = world.cloud.do("add_role", project=PROJECT, role_id=role_id, permissions=["compute.zones.get"])
        world.cloud.do("delete_role", name=role, days_ago=days)

    return delete


def foreign_binding(world: World) -> None:
    world.cloud.do("add_account", project=PROJECT, account_id="foreign", roles=[VIEWER])


def conditions_and_audits(world: World) -> None:
    """Bindings of others, one of them of a deleted account."""
    foreign_binding(world)
    world.cloud.do("grant", project=PROJECT, role=VIEWER, member="user:a@example.com", condition=SUMMER)
    world.cloud.do("delete_account", email=FOREIGN)
    logs = [{"logType": "DATA_READ", "exemptedMembers": ["user:a@example.com"]}]
    bindings = world.cloud.gateway().get_policy(PROJECT)["bindings"]
    audits = [{"service": "allServices", "auditLogConfigs": logs}]
    world.cloud.do("set_policy", project=PROJECT, bindings=bindings, audits=audits)


def principals(count: int, exempted: int) -> Before:
    """This many principals besides the operator, and this many that audit logs exempt."""

    def fill(world: World) -> None:
        many = [f"user:u{number}@example.com" for number in range(count)]
        logs = [{"logType": "DATA_READ", "exemptedMembers": many[:exempted]}]
        audits = [{"service": "allServices", "auditLogConfigs": logs}]
        owner = {"role": "roles/owner", "members": [f"serviceAccount:{OPERATOR}"]}
        bindings = [owner, {"role": "roles/viewer", "members": many}]
        world.cloud.do("set_policy", project=PROJECT, bindings=bindings, audits=audits if exempted else [])

    return fill


def script_made(keys: int, description: str = "") -> Before:
    """An account with this many keys; CAST AI has the first one."""

    def make(world: World) -> None:
        world.cloud.do("add_account", project=PROJECT, account_id=ACCOUNT_ID, description=description)
        world.cloud.do("grant", project=PROJECT, role="roles/editor", member=MEMBER)
        texts = [world.cloud.do("add_key", email=ACCOUNT) for _number in range(keys)]
        world.castai.hand_over(world.cluster_id, {"credentials": texts[0]})
        world.cloud.do("revoke", project=PROJECT, role="roles/editor", member=MEMBER)
        world.cloud.do("add_role", project=PROJECT, role_id="castai.gkeAccess", permissions=sorted(DEFAULT))
        world.cloud.do("grant", project=PROJECT, role=f"projects/{PROJECT}/roles/castai.gkeAccess", member=MEMBER)

    return make


def pools(*emails: str) -> Before:
    return do(
        "set_cluster",
        project=PROJECT,
        location=LOCATION,
        name="shop",
        nodePools=[{"name": f"p{number}", "config": {"serviceAccount": one}} for number, one in enumerate(emails)],
    )


def node_accounts(count: int) -> Before:
    def make(world: World) -> None:
        made = [world.cloud.do("add_account", project=PROJECT, account_id=f"node-{number}") for number in range(count)]
        pools(*made)(world)

    return make


def without_key_marks(world: World) -> list[str]:
    """Lose the record of all keys but the first, and return the keys that are left."""
    for key_id in world.key_ids()[1:]:
        world.cloud.google.store.keys = [one for one in world.cloud.google.store.keys if one.id != key_id]
    return world.key_ids()


def scoped(world: World) -> list[int]:
    """How many accounts each of our conditions names."""
    held = [text for role, member, text in world.bindings if (role, member) == (ACCOUNT_USER, MEMBER)]
    return sorted(text.count("startsWith") for text in held)


def described(world: World) -> str:
    account = world.account()
    assert account
    return str(account["description"])


def noted_key(**state: Any) -> Before:
    def change(world: World) -> None:
        world.run()
        (key,) = world.key_ids()
        world.cloud.do("set_key", key_id=key, **state)

    return change


def deleted_and_made_anew(world: World) -> None:
    world.run()
    world.cloud.do("delete_account", email=ACCOUNT)
    world.cloud.do("add_account", project=PROJECT, account_id=ACCOUNT_ID)


def nodes_deleted_and_made_anew(world: World) -> None:
    foreign_binding(world)
    pools(FOREIGN)(world)
    world.run()
    world.cloud.do("delete_account", email=FOREIGN)
    foreign_binding(world)


def disabled(world: World) -> None:
    world.run()
    url = f"https://iam.googleapis.com/v1/projects/{PROJECT}/serviceAccounts/{ACCOUNT}:disable"
    world.cloud.session().post(url, json={}).raise_for_status()


def changed_role(world: World) -> None:
    world.run()
    world.cloud.do("edit_role", name=world.role, includedPermissions=["container.clusters.get"])


def sister_first(world: World) -> None:
    world.run(SISTER.region)


def second_name(world: World) -> bool:
    short = world.cluster_id[:8]
    first, second = world.account(), world.account(f"{ACCOUNT_ID}-{short}@{PROJECT}.iam.gserviceaccount.com")
    return bool(first and second and world.ids[SISTER.region] in first["description"] and len(first["keys"]) == 1)


def shared_differs(world: World) -> None:
    world.cloud.do("add_role", project=PROJECT, role_id="castai.gkeAccess", permissions=["container.clusters.get"])


def own_pools(world: World) -> None:
    world.run()
    foreign_binding(world)
    pools("default", FOREIGN)(world)


def host_project(world: World) -> None:
    network = {
        "network": f"projects/{SHARED}/global/networks/shared",
        "subnetwork": f"projects/{SHARED}/regions/{LOCATION}/subnetworks/nodes",
    }
    world.cloud.do("add_subnet", project=SHARED, region=LOCATION, name="nodes")
    world.cloud.do("set_cluster", project=PROJECT, location=LOCATION, name="shop", networkConfig=network)


def in_host_project(world: World) -> bool:
    policy = world.cloud.google.state()[SHARED]["policy"]["bindings"]
    role = world.role.replace(PROJECT, SHARED)
    return any(one["role"] == role and MEMBER in one["members"] for one in policy)


def removed(world: World) -> None:
    world.run()
    world.cloud.do("grant", project=PROJECT, role=world.role, member="user:eve@example.com")


def keyless(world: World, enabled: bool) -> None:
    world.api.control("keyless", on=enabled)


def nothing_handed_over(world: World) -> None:
    record = world.castai.get_cluster(world.cluster_id)
    assert record
    assert (record.credentials_id, world.castai.given) == ("", {})


def members_of_account(world: World) -> set[str]:
    account = world.account()
    assert account
    return {one["role"] for one in account["policy"]["bindings"]}


KEYLESS = {"identity": "impersonation"}


def unseen(seconds: float = 20, forbidden: bool | None = None, grants: float = 0, *kinds: str) -> Before:
    return each(
        do("visibility", seconds=seconds, grants=grants, **({"kinds": kinds} if kinds else {})),
        do("behave", unseen_is_forbidden=forbidden),
    )


SEEN = unseen(0)


def account_created(world: World) -> None:
    assert world.run_until(1)


def slow_grants(seconds: float) -> Before:
    """Grants made from now on take effect after this many seconds."""

    def begin(world: World) -> None:
        world.clock.ahead += 2 * seconds
        world.cloud.do("visibility", grants=seconds)
        acts_as_owner(world)

    return begin


def no_nodes(world: World) -> None:
    store = world.cloud.google.store
    store.accounts = [one for one in store.accounts if not one.email.startswith("node-")]
    pools("default")(world)


KEYS_FORBIDDEN = "iam.disableServiceAccountKeyCreation"
KEYS_FORBIDDEN_TOO = "iam.managed.disableServiceAccountKeyCreation"
MEMBERS = "iam.allowedPolicyMemberDomains"

FAILURES = (
    Failure(
        "G1",
        do("set_cluster", project=PROJECT, location=LOCATION, name="shop"),
        (fails(r"container\..*\.clusters\.get", 404, "NOT_FOUND", times=2),),
        said=(f"Project {PROJECT} has no GKE cluster shop in {LOCATION}", "castai_location (option location)"),
        refused=True,
    ),
    Failure(
        "G2",
        acts_without("container.clusters.get"),
        said=("container.clusters.get", f"project {PROJECT}", "Grant"),
        refused=True,
        gone=acts_as_owner,
    ),
    Failure(
        "G3 enabled",
        each(off("iam", "cloudresourcemanager"), unseen(30, None, 0, "services")),
        shown=("enable the services cloudresourcemanager.googleapis.com, iam.googleapis.com",),
    ),
    Failure(
        "G3 left off",
        off("iam"),
        options={"enable_services": False},
        said=("iam.googleapis.com", "gke_onboard_enable_services (option enable_services)"),
        refused=True,
        gone=on("iam"),
    ),
    Failure(
        "G4",
        off("serviceusage"),
        said=("serviceusage.googleapis.com", "gcloud services enable"),
        refused=True,
        gone=on("serviceusage"),
    ),
    Failure(
        "G5",
        off("iam"),
        (fails(".*batchEnable", 400, "", message="Another activation or deactivation is in progress", times=3),),
        shown=("enable the services",),
    ),
    Failure(
        "G6",
        each(off("iam"), do("behave", enabling_fails={"code": 9, "message": "Terms of service were not accepted."})),
        said=("Could not enable services", "Terms of service were not accepted."),
        holds=lambda world: "iam.googleapis.com" in world.project["services"],
    ),
    Failure(
        "G6 transient",
        each(off("iam"), do("behave", enabling_fails={"code": 13, "message": "160009 with failed services [iam]"})),
        shown=("enable the services",),
    ),
    Failure("G7 404", unseen(), gone=SEEN),
    Failure("G7 403", unseen(20, True), gone=SEEN),
    Failure(
        "G7 foreign",
        run,
        (fails(r"iam\.projects\.serviceAccounts\.get", 403, "iam.serviceAccounts.get", times=9),),
        said=("iam.serviceAccounts.get", "Grant"),
        refused=True,
        seconds=5,
    ),
    Failure("G7 404 of a run that ended", each(unseen(60), account_created), gone=SEEN),
    Failure("G8", unseen(60, None, 0, "accounts"), gone=SEEN),
    Failure(
        "G8 forever",
        unseen(10_000, None, 0, "accounts"),
        said=(f"Could not write the IAM policy of {PROJECT} in 120 s", ACCOUNT, "does not exist"),
        gone=SEEN,
    ),
    Failure(
        "G9",
        foreign_binding,
        (fault(SET, "rival", {"verb": "delete_account", "args": {"email": FOREIGN}}),),
        holds=lambda world: any(one[1].startswith(f"deleted:serviceAccount:{FOREIGN}?uid=") for one in world.bindings),
    ),
    Failure("G10", unseen(60, None, 0, "roles"), gone=SEEN),
    Failure(
        "G10 forever",
        unseen(10_000, None, 0, "roles"),
        said=(f"Could not write the IAM policy of {PROJECT} in 120 s", "castai.gkeAccess", "hierarchy"),
        gone=SEEN,
    ),
    Failure(
        "G11",
        faults=tuple(
            fault(
                SET,
                "rival",
                {"verb": "grant", "args": {"project": PROJECT, "role": VIEWER, "member": f"user:r{n}@x.io"}},
                after=n,
            )
            for n in range(7)
        ),
        holds=lambda world: (
            {one[1] for one in world.bindings if one[0] == VIEWER} == {f"user:r{n}@x.io" for n in range(7)}
        ),
        seconds=120,
    ),
    Failure(
        "G11 forever",
        faults=(fails(SET, 409, "ABORTED", times=10_000),),
        said=(f"Could not write the IAM policy of {PROJECT} in 120 s", "concurrent policy changes"),
        seconds=180,
    ),
    Failure("G12 and G13", conditions_and_audits, holds=lambda world: bool(world.project["policy"]["auditConfigs"])),
    Failure(
        "G14",
        principals(1498, 0),
        said=("would have 1,501 principals", "IAM allows 1,500", PROJECT),
        refused=True,
        gone=principals(9, 0),
    ),
    Failure("G14 just fits", principals(1497, 0)),
    Failure("G15 today", role_deleted(0), shown=("restore the deleted role castai.gkeAccess",)),
    Failure("G15 day 6", role_deleted(6), shown=("restore the deleted role castai.gkeAccess",)),
    *(
        Failure(
            f"G16 day {day}",
            role_deleted(day),
            ours=False,
            holds=lambda world: (
                (f"{world.role}.2", MEMBER, "") in world.bindings and world.run().view["role"] == f"{world.role}.2"
            ),
        )
        for day in (8, 36)
    ),
    Failure(
        "G17",
        changed_role,
        (fails(r".*\.roles\.patch", 409, "ABORTED"),),
        shown=("update role castai.gkeAccess",),
    ),
    *(
        Failure(
            number,
            constraint(name, True),
            said=(f"constraints/{name}", "gke_onboard_identity (option identity)", "impersonation"),
            gone=constraint(name, None),
        )
        for number, name in (("G18", KEYS_FORBIDDEN), ("G19", KEYS_FORBIDDEN_TOO))
    ),
    Failure(
        "G18 accounts",
        constraint("iam.disableServiceAccountCreation", True),
        said=("constraints/iam.disableServiceAccountCreation", "existing_service_account"),
        gone=constraint("iam.disableServiceAccountCreation", None),
    ),
    Failure(
        "G20",
        constraint(MEMBERS, {"allowed": ["C0123abcd"]}),
        options=KEYLESS,
        said=(f"constraints/{MEMBERS}", "The exception must cover serviceAccount:cast-gke-"),
        gone=constraint(MEMBERS, None),
        ours=False,
        holds=lambda world: members_of_account(world) == {ACCOUNT_USER, TOKEN_CREATOR},
    ),
    Failure(
        "G21",
        lambda world: keyless(world, False),
        options=KEYLESS,
        said=("gke_onboard_identity (option identity) to key",),
        gone=each(nothing_handed_over, lambda world: keyless(world, True)),
        ours=False,
        holds=lambda world: world.key_ids() == [],
    ),
    Failure(
        "G22",
        script_made(10),
        options={"adopt": True},
        said=(
            re.compile(r"has 10 keys, the most that Google allows.*: [0-9a-f]{40} \(created "),
            "Delete those that nobody uses",
        ),
        refused=True,
        gone=without_key_marks,
    ),
    *(
        Failure(
            f"G22 {status}",
            script_made(1),
            (fails(CREATE_KEY, status, code, message=message, times=9),),
            {"adopt": True},
            said=(message, "iam.serviceAccountKeys.create"),
            seconds=5,
        )
        for status, code, message in (
            (429, "RESOURCE_EXHAUSTED", "Maximum number of keys on account reached."),
            (400, "FAILED_PRECONDITION", "Precondition check failed."),
        )
    ),
    Failure("G23", faults=(fault(CREATE_KEY, "end", "after"),), said=("Ended",)),
    Failure("G24", faults=(fault(CREATE_KEY, "lose", "after"),), said=("iam.serviceAccountKeys.create",)),
    Failure(
        "G25",
        script_made(1, "\u00e9" * 128),
        options={"adopt": True},
        holds=lambda world: (
            described(world).startswith("\u00e9" * 8)
            and f"cast:cluster-id={world.cluster_id}" in described(world)
            and len(described(world).encode()) <= 256
        ),
    ),
    Failure(
        "G26",
        deleted_and_made_anew,
        options={"adopt": True},
        holds=lambda world: not any(one[1].startswith("deleted:") for one in world.bindings),
    ),
    Failure(
        "G26 of the nodes",
        nodes_deleted_and_made_anew,
        shown=("bind roles/iam.serviceAccountUser with a condition",),
        ours=False,
        holds=lambda world: (
            [world.account(FOREIGN)["uniqueId"] in text for *_who, text in world.bindings if text]  # type: ignore[index]
            == [True]
        ),
    ),
    Failure("G27", disabled, shown=(f"enable service account {ACCOUNT}, which is disabled",)),
    Failure("G28", sister_first, ours=False, holds=second_name),
    Failure(
        "G29",
        shared_differs,
        options={"role_scope": "project"},
        shown=("differs from the expected one and was left unchanged",),
        ours=False,
        holds=lambda world: (
            world.project["roles"][f"projects/{PROJECT}/roles/castai.gkeAccess"]["includedPermissions"]
            == ["container.clusters.get"]
        ),
    ),
    Failure(
        "G30",
        own_pools,
        shown=("bind roles/iam.serviceAccountUser with a condition",),
        ours=False,
        holds=lambda world: scoped(world) == [2],
    ),
    Failure("G31", host_project, options={"extra_projects": [SHARED]}, ours=False, holds=in_host_project),
    Failure(
        "G32",
        do("set_cluster", project=PROJECT, location=LOCATION, name="shop", autopilot={"enabled": True}),
        said=("Autopilot", "castctl", "umbrella"),
        refused=True,
        gone=do("set_cluster", project=PROJECT, location=LOCATION, name="shop", autopilot={}),
    ),
    Failure(
        "G34",
        lambda world: setattr(world, "google", world.by_key()),
        (fails(r"iam\..*", 401, "UNAUTHENTICATED", after=3),),
        gone=acts_as_owner,
    ),
    Failure(
        "G34 token",
        faults=(fails(r"iam\..*", 401, "UNAUTHENTICATED", after=4),),
        said=("401", "castai_google_access_token (option access_token) to a new one"),
    ),
    Failure(
        "G36", lambda world: setattr(world, "google", world.by_key("private_key_id", "universe_domain", "client_id"))
    ),
    Failure("G37 in time", slow_grants(360), gone=SEEN, seconds=430),
    Failure(
        "G37",
        slow_grants(5000),
        said=("credentials", "was deleted again"),
        gone=SEEN,
        least=420,
        seconds=480,
    ),
    Failure(
        "G38",
        removed,
        options={"state": "absent"},
        shown=("it is also bound to others",),
        ours=False,
        holds=lambda world: not world.project["roles"][world.role]["deleted"],
    ),
    Failure(
        "G39",
        node_accounts(14),
        ours=False,
        holds=lambda world: (
            scoped(world) == [1, 13] and world.cloud.writes().count("cloudresourcemanager.projects.setIamPolicy") == 1
        ),
    ),
    Failure(
        "G39 too many",
        node_accounts(261),
        said=("261 service accounts", "260", "on_accounts", "project"),
        refused=True,
        gone=no_nodes,
    ),
    *(
        Failure(f"G40 {why}", noted_key(**state), shown=(f"which {why}",))
        for why, state in (
            ("is disabled (exposed", {"disabled": True, "disableReason": "SERVICE_ACCOUNT_KEY_DISABLE_REASON_EXPOSED"}),
            (
                "is disabled (compromise detected",
                {"disabled": True, "disableReason": "SERVICE_ACCOUNT_KEY_DISABLE_REASON_COMPROMISE_DETECTED"},
            ),
            ("expired on", {"ends": -60.0}),
            ("expires on", {"ends": 3600.0, "validAfterTime": "2026-01-01T00:00:00Z"}),
        )
    ),
    Failure(
        "G43",
        principals(1000, 499),
        said=("would have 1,502 principals", "IAM allows 1,500", "exempt"),
        refused=True,
        gone=principals(1000, 0),
    ),
    Failure(
        "G44",
        acts_without("iam.serviceAccounts.update"),
        said=("iam.serviceAccounts.update",),
        gone=acts_as_owner,
    ),
    Failure(
        "G44 lost in between",
        faults=(fails(r".*\.serviceAccounts\.patch", 403, "iam.serviceAccounts.update"),),
        said=(
            "iam.serviceAccounts.update",
            re.compile("CAST AI has the new key [0-9a-f]{40}"),
            "could not be recorded",
        ),
    ),
    Failure(
        "G45",
        each(
            do("grant", project=PROJECT, role=VIEWER, member="user:a@example.com", condition=SUMMER),
            reads_below_version_3,
        ),
        said=("Internal error", "_withcond_"),
        refused=True,
        gone=acts_as_owner,
    ),
)


def theirs(world: World) -> set[tuple[str, str, str]]:
    """The bindings of others in the project's policy, by the current or former address of an account."""
    found = {(role, re.sub(r"^deleted:|\?uid=\d+$", "", member), text) for role, member, text in world.bindings}
    return {one for one in found if "castai-gke-" not in one[1]}


def ours(world: World) -> Any:
    """What the cluster has at Google, without generated ids."""
    account = world.account()
    roles = {
        name.replace(world.cluster_id[:8], "ID"): (role["includedPermissions"], role["stage"], role["deleted"])
        for name, role in world.project["roles"].items()
        if ".gkeAccess." in name
    }
    bindings = {
        (role.replace(world.cluster_id[:8], "ID"), text) for role, member, text in world.bindings if ACCOUNT in member
    }
    mine = account and (account.get("disabled", False), len(account["keys"]))
    others = [one["email"] for one in world.project["accounts"] if one["email"].startswith("castai-gke-")]
    return mine, roles, bindings, others


@pytest.fixture(scope="module")
def undisturbed() -> list[Any]:
    """The result of an undisturbed run, cached."""
    return []


@pytest.mark.parametrize("failure", FAILURES, ids=[one.number for one in FAILURES])
def test_a_failure_ends_as_it_should(world: World, undisturbed: list[Any], failure: Failure) -> None:
    if not undisturbed:
        world.run()
        undisturbed.append(ours(world))
        world.reset()
        world.cloud.gate.reset()
    failure.before(world)
    before, old_key, absent = theirs(world), world.given_key, failure.options.get("state") == "absent"
    met(world, failure)
    assert before <= theirs(world), "a foreign binding is lost"
    if old_key and not absent:
        world.check_access()
    take_away(world, failure)
    before = theirs(world)
    rerun(world, failure)
    assert before <= theirs(world), "a foreign binding is lost"
    if failure.ours:
        assert [ours(world)] == undisturbed
        assert world.key_ids() == [world.given_key]
    if not absent:
        world.check_access()


# Ways to log in to a cluster: the messages about Google's own cluster and about an API server's answers


DNS_NAME = f"gke-0123456789abcdef-{NUMBER}.{LOCATION}.gke.goog"


def facts(world: World, google: Google | None = None, location: str = LOCATION, **fields: Any) -> ClusterFacts:
    """What is known about the cluster after these fields were set."""
    if fields:
        world.cloud.do("set_cluster", project=PROJECT, location=LOCATION, name="shop", **fields)

    class Systems:
        def cloud(self) -> Google:
            return google or world.google

        def cluster(self) -> Any:
            raise AssertionError

    return gke.read(Systems(), Named("gke", "shop", {"project": PROJECT, "location": location}))


def unreachable(facts_: ClusterFacts) -> str:
    return ending(lambda: reach({}, facts_.api_server))


def endpoints(by_ip: bool, from_outside: bool, **more: bool) -> dict[str, Any]:
    """The field of a cluster."""
    dns = {"endpoint": DNS_NAME, "allowExternalTraffic": from_outside, **more}
    return {"controlPlaneEndpointsConfig": {"dnsEndpointConfig": dns, "ipEndpointsConfig": {"enabled": by_ip}}}


def answered(wire: Wire, status: int, found: ClusterFacts, user: str = "castai") -> str:
    """The message if the API server refuses a login with the provider's credentials."""
    assert found.api_server
    wire.script.play(reply(status, {"message": f'namespaces is forbidden: User "{user}" cannot list resource'}))
    kubernetes = by_token(wire.url, None, wire.ca_pem, True, lambda: "token", found.api_server.advice())
    return ending(lambda: kubernetes.get("/api/v1/namespaces"))


def given_answered(wire: Wire, status: int, found: ClusterFacts) -> str:
    """The message if it refuses the token for a user's host that is the cluster's DNS endpoint."""
    assert found.api_server
    wire.script.play(reply(status, {"message": "Unauthorized"}))
    kubernetes = reach({"host": f"https://{DNS_NAME}", "api_key": "token"}, found.api_server)
    there = by_token(wire.url, "token", wire.ca_pem, True)
    there.advise(kubernetes._advice)
    return ending(lambda: there.get("/api/v1/namespaces"))


def as_machine(world: World, scopes: Sequence[str]) -> Google:
    email = world.cloud.do("add_account", project=PROJECT, account_id="runner", roles=["roles/owner"])
    world.cloud.do("behave", machine={"email": email, "scopes": [*scopes]})
    return world.gateway(service_account_email="default")


def as_sister(world: World, wire: Wire) -> str:
    """A kubeconfig of another cluster."""
    ca = base64.b64encode(Authority("shop").pem.encode()).decode()
    found = facts(world, masterAuth={"clusterCaCertificate": ca})
    wire.script.play(reply(404, {}))
    return other_cluster_problem(by_token(wire.url, "token", wire.ca_pem, True), found)


def old_authority(world: World, _wire: Wire) -> str:
    """A cluster whose authority has no key identifiers, with a Python that requires them, and a rival's certificate."""
    authority = Authority("old", identifiers=False)
    said = []
    for trusted in (authority, Authority("old", identifiers=False)):
        ca = base64.b64encode(trusted.pem.encode()).decode()
        server = Server(
            lambda request, _client, _own: reply(200, {"fine": True}), authority.server_context("shop", ["127.0.0.1"])
        )
        try:
            found = facts(world, masterAuth={"clusterCaCertificate": ca})
            assert found.api_server
            here = replace(found.api_server, endpoint=f"https://127.0.0.1:{server.port}")
            said.append(ending(lambda here=here: reach({}, here).get("/api")))
        finally:
            server.shutdown()
            server.server_close()
    assert said[0] == "", said[0]
    return said[1]


def shut(world: World, wire: Wire) -> str:
    """An address that does not answer."""
    found = facts(world, **endpoints(True, False))
    assert found.api_server
    wire.script.play(None)
    kubernetes = by_token(wire.url, None, wire.ca_pem, True, lambda: "token", found.api_server.advice())
    return ending(lambda: kubernetes.get("/api/v1/namespaces"))


def refused_token(world: World, wire: Wire) -> str:
    """Only the first token."""
    ca = base64.b64encode(wire.ca_pem.encode()).decode()
    found = facts(world, world.by_key(), masterAuth={"clusterCaCertificate": ca})
    assert found.api_server
    wire.script.play(reply(401, {"message": "Unauthorized"}), reply(200, {"fine": True}))
    kubernetes = reach({}, replace(found.api_server, endpoint=wire.url))
    assert kubernetes.get("/api") == {"fine": True}
    assert len({one.headers["authorization"] for one in wire.script.received}) == 2
    return ""


WAYS = (
    Way(
        "G1",
        lambda world, _wire: " ".join(facts(world, location="europe-west4").problems),
        (f"has a cluster of this name in {LOCATION} and {SISTER.region}", "castai_location (option location)"),
    ),
    Way(
        "G32",
        lambda world, _wire: " ".join(facts(world, autopilot={"enabled": True}).problems),
        ("Autopilot", "castctl", "umbrella"),
    ),
    Way(
        "G33",
        lambda world, _wire: unreachable(facts(world, **endpoints(False, False))),
        ("DNS endpoint", "does not accept traffic from outside", "--enable-dns-access"),
    ),
    Way("G33 shut", shut, ("turn on the DNS endpoint", "castai_endpoint (option endpoint) to dns")),
    Way("G34", refused_token),
    Way("G35", as_sister, ("points to", "with another certificate authority", "castai_kubeconfig")),
    Way(
        "G41",
        lambda world, wire: answered(wire, 403, facts(world, as_machine(world, [CLOUD])), user="1" * 21),
        ("userinfo.email", "1" * 21, "access scopes of this machine"),
    ),
    Way(
        "G41 with the scope",
        lambda world, _wire: facts(world, as_machine(world, [CLOUD, EMAIL])).caller_hint,
    ),
    Way(
        "G42",
        lambda world, wire: answered(wire, 403, facts(world, **endpoints(False, True))),
        ("container.clusters.connect",),
    ),
    *(
        Way(
            f"G42 token {status}",
            lambda world, wire, status=status: given_answered(wire, status, facts(world, **endpoints(True, True))),  # type: ignore[misc]
            ("enableK8sTokensViaDns", "enableK8sCertsViaDns", "castai_host (option host)"),
        )
        for status in (401, 403)
    ),
    Way("G46", old_authority, ("TLS certificate",)),
)


@pytest.mark.parametrize("way", WAYS, ids=[one.number for one in WAYS])
def test_a_way_in_that_fails_is_said(world: World, wire: Wire, monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    # google-auth makes this call with its own session.
    monkeypatch.setattr("google.auth.compute_engine._metadata.get_universe_domain", lambda _request: "googleapis.com")
    if way.number == "G46":  # as Python 3.13 does
        made = ssl.SSLContext.__new__
        monkeypatch.setattr(ssl.SSLContext, "__new__", lambda cls, *args, **more: _strict(made(cls, *args, **more)))
    said = way.asked(world, wire)
    assert bool(said) == bool(way.said), said
    assert [one for one in way.said if one not in said] == [], said
    assert world.cloud.writes() == []


def _strict(context: ssl.SSLContext) -> ssl.SSLContext:
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def test_no_number_is_missing() -> None:
    told = " ".join(one.number for one in (*FAILURES, *WAYS))
    assert {int(number) for number in re.findall(r"\bG(\d+)", told)} == set(range(1, 47))


# Two faults at once


SEED = int(os.environ.get("CASTAI_SEED") or random.SystemRandom().randrange(10**6))
EFFECTS: Sequence[Mapping[str, Any]] = (
    {"fail": {"status": 503, "code": "UNAVAILABLE"}},
    {"fail": {"status": 500, "code": "INTERNAL"}},
    {"fail": {"status": 502, "code": "HTML"}},
    {"fail": {"status": 409, "code": "ABORTED"}},
    {"fail": {"status": 403, "code": "RATE_LIMIT_EXCEEDED"}},
    {"fail": {"status": 401, "code": "UNAUTHENTICATED"}},
    {"fail": {"status": 403, "code": "SERVICE_DISABLED"}},
    {"throttle": {"retry_after": 7}},
    {"lose": "before"},
    {"lose": "after"},
    {"end": "before"},
    {"end": "after"},
    {"rival": {"verb": "grant", "args": {"project": PROJECT, "role": VIEWER, "member": "user:rival@example.com"}}},
)
BEFORE: Mapping[str, tuple[Before, Mapping[str, Any]]] = {
    "nothing": (nothing, {}),
    "without a key": (nothing, KEYLESS),
    "services off": (off("iam"), {}),
    "of the script": (script_made(2), {"adopt": True}),
    "a key that expires": (noted_key(ends=3600.0, validAfterTime="2026-01-01T00:00:00Z"), {}),
    "a changed role": (changed_role, {}),
}


def works(world: World) -> bool:
    """Whether CAST AI has access, if it has been given any."""
    try:
        world.check_access()
    except AssertionError:
        return False
    return True


def test_any_two_faults_end_well(world: World) -> None:
    """New ones each time: CASTAI_SEED repeats the printed seed."""
    print(f"CASTAI_SEED={SEED}")
    rng = random.Random(SEED)
    for _turn in range(3):
        name = rng.choice([*BEFORE])
        chosen = [
            {"system": "google", **rng.choice(EFFECTS), "write": write, "after": rng.randrange(5 if write else 12)}
            for write in (True, rng.random() < 0.5)
        ]
        told = f"CASTAI_SEED={SEED}: {name}, {json.dumps(chosen)}"
        world.reset()
        world.cloud.gate.reset()
        before, options = BEFORE[name]
        before(world)
        expected, had = theirs(world), world.given_key
        world.cloud.gate.faults.load(chosen)
        for _run in range(3):
            ending(lambda options=options: world.run(**options))
            if had:
                assert works(world), told
        world.cloud.gate.faults.load([])
        world.google = world.gateway()
        world.run(**options)
        assert world.run(**options).actions == (), told
        assert works(world), told
        assert expected <= theirs(world), told
        assert world.key_ids() == ([] if options == KEYLESS else [world.given_key]), told
