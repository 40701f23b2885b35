# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published custom roles come from one source, and IAM accepts them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import pytest
import yaml

from ansible_collections.castai.onboarding.plugins.module_utils._castai import rights
from ansible_collections.castai.onboarding.plugins.module_utils._clusters import gke
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.connection import Connection
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.facts import Named
from ansible_collections.castai.onboarding.plugins.module_utils._engine import Failure, Result
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.google import CALLS, Google
from ansible_collections.castai.onboarding.plugins.module_utils._google import permissions
from ansible_collections.castai.onboarding.plugins.module_utils._google.bindings import ON_ACCOUNTS
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
    PREFLIGHT,
    REMOVE,
    document,
    file_name,
    granted,
    needed,
)
from tests.sandbox.google.catalog import kubernetes_permission
from tests.support.policies import FOLDER, IN_CLUSTER, in_cluster_name
from tests.tree import ROOT
from tests.unit.sandbox.gke_project import ACCOUNT, SISTER, World, world
from tests.unit.sandbox.google_client import LOCATION, PROJECT

__all__ = ["world"]


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
        "iam.serviceAccountKeys.create",
        "iam.serviceAccounts.update",
    }
    assert {one for one in keyless if one not in key} == {
        f"iam.serviceAccounts.{verb}" for verb in ("getIamPolicy", "setIamPolicy")
    }
    assert set(needed(CONNECT, (DNS,))) - set(needed(CONNECT, ())) == {"container.clusters.connect"}
    assert "iam.serviceAccounts.delete" in needed(REMOVE, (KEY,))
    assert set(needed(CONNECT, ())) == {"container.clusters.get"}


def test_connecting_reads_the_cluster_alone(world: World) -> None:
    act_as(world, needed(CONNECT, ()))
    where = {"project": PROJECT, "location": LOCATION}
    found = gke.read(Connection({}, connected=world.google), Named("gke", "shop", where))
    assert found.registration["projectId"] == PROJECT
    assert found.problems == ()


# The published roles, and what the gateway's calls need


def act_as(world: World, permissions: Iterable[str]) -> None:
    world.google = world.gateway(world.cloud.operator_with(*permissions))


def published(phase: str) -> set[str]:
    return {grant.permission for grant in granted(phase)}


@pytest.mark.parametrize(
    "options",
    [{}, {"identity": "impersonation"}, {"service_account_user": "on_accounts"}],
    ids=["key", "impersonation", "on_accounts"],
)
def test_a_published_role_is_enough_for_its_phase(world: World, options: dict[str, str]) -> None:
    act_as(world, published(PLAN))
    assert world.run(check=True, **options).changed
    act_as(world, published(ONBOARD))
    assert world.run(**options).changed
    act_as(world, published(PLAN))
    assert not world.run(check=True, **options).changed
    act_as(world, published(REMOVE))
    assert world.run(state="absent", **options).changed
    assert world.account() is None


WAYS: Mapping[str, Mapping[str, str]] = {
    KEY: {},
    KEYLESS: {"identity": KEYLESS},
    ON_ACCOUNTS: {"service_account_user": ON_ACCOUNTS},
}


def fails(run: Callable[[], object]) -> str:
    """The sentence with which a run ends, or an empty text."""
    try:
        run()
    except Failure as failure:
        return str(failure)
    return ""


def connect(world: World, _options: Mapping[str, str]) -> str:
    class Systems:
        def cloud(self) -> Google:
            return world.google

        def cluster(self) -> Any:
            raise AssertionError

    return fails(lambda: gke.read(Systems(), Named("gke", "shop", {"project": PROJECT, "location": LOCATION})))


def onboard(world: World, options: Mapping[str, str]) -> str:
    return told(lambda: world.run(hand_over=False, **options)) or told(lambda: world.run(prepare=False, **options))


OWN = f"own@{PROJECT}.iam.gserviceaccount.com"


def to_remove(world: World, options: Mapping[str, str]) -> None:
    """Without a key, also one that was left, and with the user's own account, whose policy stays."""
    world.run(**options)
    if options.get("identity") == KEYLESS:
        world.cloud.do("add_key", email=ACCOUNT)
        world.cloud.do("add_account", project=PROJECT, account_id="own")
        world.run(SISTER.region, existing_service_account=OWN, **options)


def remove(world: World, options: Mapping[str, str]) -> str:
    said = told(lambda: world.run(state="absent", **options))
    if said or options.get("identity") != KEYLESS:
        return said
    return fails(lambda: world.run(SISTER.region, state="absent", existing_service_account=OWN, **options))


def told(run: Callable[[], Result]) -> str:
    """The sentence with which a run ends, or what it reports as not done or not checked, or an empty text."""
    done: list[Result] = []
    said = fails(lambda: done.append(run()))
    shown = [text for one in done for text in (*one.view.get("warnings", ()), *one.view.get("kept", ()))]
    return said or " ".join(shown)


SCENARIOS: Mapping[str, Callable[[World, Mapping[str, str]], str]] = {
    CONNECT: connect,
    ONBOARD: onboard,
    REMOVE: remove,
}
PUBLISHED = {grant.permission: grant for phase in PHASES for grant in granted(phase)}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_without_a_permission_exactly_the_scenarios_beside_it_fail_or_say_so(
    world: World, scenario: str, way: str
) -> None:
    """The cluster checks the permission for the DNS endpoint; see tests/world/test_sandbox.py."""
    ways = {way} if way == KEYLESS else {KEY, way}
    explains = needed(PREFLIGHT, ways) if scenario == ONBOARD else {}
    for permission in PUBLISHED:
        world.reset()
        if scenario == REMOVE:
            to_remove(world, WAYS[way])
        act_as(world, set(PUBLISHED) - {permission})
        said = SCENARIOS[scenario](world, WAYS[way])
        if permission in needed(scenario, ways):
            assert permission in said, (permission, said)
        else:
            # What only helps to explain may be reported as not checked.
            assert not said or (permission in explains and "not check" in said), (permission, said)


def switch_off(world: World) -> None:
    world.cloud.do("set_services", project=PROJECT, off=["iam.googleapis.com"])


def change_role(world: World) -> None:
    world.run()
    world.cloud.do("edit_role", name=world.role, includedPermissions=["container.clusters.get"])


def delete_role(world: World) -> None:
    world.run()
    world.cloud.do("delete_role", name=world.role)


def disable(world: World) -> None:
    world.run()
    world.cloud.session().post(
        f"https://iam.googleapis.com/v1/projects/{PROJECT}/serviceAccounts/{ACCOUNT}:disable", json={}
    )


def leave_key(world: World) -> None:
    world.run()
    world.cloud.do("add_key", email=ACCOUNT)


REPAIRS = {
    "iam.serviceAccountKeys.delete": leave_key,
    "iam.roles.undelete": delete_role,
    "iam.roles.update": change_role,
    "iam.serviceAccounts.enable": disable,
    "servicemanagement.services.bind": switch_off,
    "serviceusage.operations.get": switch_off,
    "serviceusage.services.enable": switch_off,
}


def test_each_repair_has_a_test() -> None:
    assert set(REPAIRS) == {grant.permission for grant in GRANTS if permissions.REPAIR in grant.scenarios}


@pytest.mark.parametrize("permission", REPAIRS)
def test_without_a_permission_of_a_repair_that_fails_alone(world: World, permission: str) -> None:
    for left_out in (True, False):
        world.reset()
        REPAIRS[permission](world)
        act_as(world, published(ONBOARD) - ({permission} if left_out else set()))
        said = fails(world.run)
        assert (permission in said) == left_out
        assert left_out or not said


def test_the_gateway_says_the_same_of_its_calls() -> None:
    """Except for what only preflight calls."""
    ours = {grant.permission for grant in GRANTS}
    told = {permission for call in CALLS for permission in call.permissions}
    assert told <= ours | {grant.permission for grant in OF_SUBNETS}
    assert ours - told <= {"container.clusters.connect", "servicemanagement.services.bind"}


# Inside the cluster, where IAM decides what RBAC does not allow


class Iam:
    """A cluster's access reviews, decided only by IAM's permissions as the world's Google Cloud spells them."""

    def __init__(self, permissions: Iterable[str]) -> None:
        self.permissions = set(permissions)

    def can(self, verb: str, group: str, resource: str, _namespace: str) -> bool:
        return kubernetes_permission(group, resource, "", verb) in self.permissions


def read_in_cluster(phase: str) -> dict[str, str]:
    """The permissions of a published role, and the comment beside or above each."""
    needed, above = {}, ""
    for line in (ROOT / FOLDER / in_cluster_name(phase)).read_text(encoding="utf-8").splitlines():
        if line.startswith("  - "):
            permission, _mark, beside = line.removeprefix("  - ").partition("  # ")
            needed[permission] = beside or above
        above = line.removeprefix("  # ")
    return needed


def missing(permissions: Iterable[str], run: str) -> list[str]:
    """The permissions that preflight reports as missing for a run."""
    asked: Any = Iam(permissions)
    system = rights.CONNECT_SYSTEM if run == "connect" else ()
    return [*rights.missing_in_cluster(asked, "castai-agent", RUNS[run], system)]


RUNS: dict[str, rights.Rows] = {
    "connect": rights.CONNECT,
    "onboard": rights.ONBOARD,
    "connect if the namespace is absent": rights.CREATE_NAMESPACE,
    **{f"onboard with {one}": rows for one, rows in rights.OF_RELEASE.items()},
    **{f"onboard with {one} and Helm 4": rows for one, rows in rights.HOOKS.items()},
}
"""What each scenario needs; the last ones in addition to what connecting or onboarding needs anyway."""
LOOKS = {"shows where pods could run": rights.OF_NODES, "shows which pods a LimitRange rejects": rights.OF_LIMITS}


@pytest.mark.parametrize("phase", IN_CLUSTER)
def test_iam_takes_a_published_role_for_the_cluster(world: World, phase: str) -> None:
    role = yaml.safe_load((ROOT / FOLDER / in_cluster_name(phase)).read_text(encoding="utf-8"))
    assert set(role) == {"title", "description", "stage", "includedPermissions"}
    assert role["includedPermissions"] == sorted(read_in_cluster(phase))
    assert world.google.create_role(PROJECT, f"in_{phase}", role).permissions == set(role["includedPermissions"])


def test_a_published_role_for_the_cluster_is_enough_for_its_phase() -> None:
    for run in RUNS:
        assert missing(read_in_cluster("onboard"), run) == []
        assert run.startswith("onboard") or missing(read_in_cluster("connect"), run) == []
        assert [one for one in missing(read_in_cluster(PLAN), run) if rights.for_a_plan(one)] == []


def test_a_plan_in_the_cluster_only_reads_and_no_phase_has_what_it_does_not_need() -> None:
    plan, connect, onboard = (set(read_in_cluster(phase)) for phase in (PLAN, "connect", "onboard"))
    assert all(one.endswith((".get", ".list")) for one in plan)
    assert plan | connect < onboard
    assert onboard - connect == {one for one, why in read_in_cluster("onboard").items() if why.startswith("onboard")}


@pytest.mark.parametrize("permission", read_in_cluster("onboard"))
def test_without_a_permission_in_the_cluster_exactly_what_is_beside_it_is_found_missing(permission: str) -> None:
    beside = read_in_cluster("onboard")
    left = set(beside) - {permission}
    failing = [run for run in RUNS if missing(left, run)]
    looks = [why for why, rows in LOOKS.items() if rights.missing_in_cluster(cast(Any, Iam(left)), "", rows, ())]
    always = [run for run in failing if run in ("connect", "onboard")]
    scenario, _mark, when = beside[permission].partition("; only ")
    if looks:
        assert (failing, beside[permission]) == ([], f"preflight: {looks[0]}")
    elif always:
        assert beside[permission] == ", ".join(always)
    else:
        told = {f"{scenario} {one}" for one in when.replace(" or castai", " or with castai").split(" or ")}
        assert told == set(failing)
