# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CAST AI's service account for a GKE cluster after the user changes options: bindings of the former ones are removed,
and removal finds everything."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._engine import Stopped
from ansible_collections.castai.onboarding.plugins.module_utils._google.bindings import FORMS
from ansible_collections.castai.onboarding.plugins.module_utils._google.permissions import granted
from tests.sandbox.google.other_ways import leave
from tests.unit.sandbox.aws_account import sentences
from tests.unit.sandbox.gke_project import ACCOUNT, MEMBER, NODE_ACCOUNT, SHOP, USER, World, world
from tests.unit.sandbox.google_client import LOCATION, PROJECT
from tests.unit.sandbox.google_client import SHARED as ELSEWHERE

__all__ = ["world"]

Bound = set[tuple[str, str, str, str]]


def bound(world: World, member: str = MEMBER) -> Bound:
    """All bindings of a member: where, role, member, condition."""
    found: Bound = set()
    for project, state in world.cloud.google.state().items():
        policies = {project: state["policy"], **{one["email"]: one["policy"] for one in state["accounts"]}}
        policies |= state["subnets"]
        for where, policy in policies.items():
            for one in policy.get("bindings", ()):
                text = (one.get("condition") or {}).get("expression", "")
                found |= {(where, one["role"], who, text) for who in one["members"] if member in who}
    return found


def comparable(world: World) -> set[tuple[str, str, str]]:
    """The same bindings without what differs between worlds: the cluster's id, and our account's address."""
    short = world.cluster_id[:8]
    return {(where, role.replace(short, "ID"), text) for where, role, _member, text in bound(world)}


def settled(world: World, **options: Any) -> Bound:
    """The bindings after a run, which do not depend on those before; the plan shows the change, and another run changes
    nothing."""
    planned = world.run(check=True, **options)
    before = bound(world)
    done = world.run(**options)
    assert sentences(done) == sentences(planned)
    after = bound(world)
    for kind, triples in (("added", after - before), ("removed", before - after)):
        shown = {(one["resource"], one["role"], one["member"]) for one in done.view["bindings"][kind]}
        assert shown == {one[:3] for one in triples}
        assert done.view["bindings"] == planned.view["bindings"]
    world.check_access()
    assert world.run(**options).actions == ()
    return after


def nothing_is_left(world: World, before: Any, **options: Any) -> None:
    world.run(state="absent", **options)
    assert bound(world) == set()
    after = world.cloud.google.state()
    assert [state["accounts"] for state in after.values()] == [state["accounts"] for state in before.values()]
    assert [state["policy"] for state in after.values()] == [state["policy"] for state in before.values()]


# Which accounts nodes may use


@pytest.mark.parametrize(("before", "after"), [*itertools.permutations(FORMS, 2)])
def test_another_form_of_service_account_user_replaces_the_former(world: World, before: str, after: str) -> None:
    empty = world.cloud.google.state()
    settled(world, service_account_user=after)
    fresh = comparable(world)
    world.reset()
    settled(world, service_account_user=before)
    settled(world, service_account_user=after)
    assert comparable(world) == fresh
    nothing_is_left(world, empty, service_account_user=after)


@pytest.mark.parametrize("form", FORMS)
def test_removal_finds_the_bindings_of_every_form_also_where_none_is_set_any_more(world: World, form: str) -> None:
    empty = world.cloud.google.state()
    settled(world, service_account_user=form)
    nothing_is_left(world, empty)


def test_a_binding_on_a_node_account_stays_until_a_form_is_chosen(world: World) -> None:
    settled(world, service_account_user="on_accounts")
    done = world.run()
    assert done.view["bindings"]["removed"] == []
    assert any(
        f"may act as {NODE_ACCOUNT} because of existing bindings of {USER}" in one for one in done.view["warnings"]
    )
    assert (NODE_ACCOUNT, USER, MEMBER, "") in bound(world)


def test_a_binding_that_the_user_made_on_an_account_of_another_project_stays(world: World) -> None:
    """As the warning about node accounts of other projects recommends."""
    own = world.cloud.do("add_account", project=ELSEWHERE, account_id="nodes")
    pools = [{"name": "a", "config": {"serviceAccount": "default"}}, {"name": "b", "config": {"serviceAccount": own}}]
    world.cloud.do("set_cluster", project=PROJECT, location=LOCATION, name="shop", nodePools=pools)
    world.run(service_account_user="node_accounts")
    world.cloud.do("grant", project=own, role=USER, member=MEMBER)
    assert world.run(service_account_user="node_accounts").actions == ()
    assert (own, USER, MEMBER, "") in bound(world)
    assert (own, USER, MEMBER, "") not in settled(world, service_account_user="none")


def test_an_account_that_no_node_pool_uses_any_more_loses_its_binding(world: World) -> None:
    empty = world.cloud.google.state()
    own = world.cloud.do("add_account", project=PROJECT, account_id="nodes")
    pools = [{"name": "a", "config": {"serviceAccount": own}}]
    world.cloud.do("set_cluster", project=PROJECT, location=LOCATION, name="shop", nodePools=pools)
    assert (own, USER, MEMBER, "") in settled(world, service_account_user="on_accounts")
    pools = [{"name": "a", "config": {"serviceAccount": "default"}}]
    world.cloud.do("set_cluster", project=PROJECT, location=LOCATION, name="shop", nodePools=pools)
    after = settled(world, service_account_user="on_accounts")
    assert {one[0] for one in after if one[1] == USER} == {NODE_ACCOUNT}
    world.cloud.do("delete_account", email=own)
    nothing_is_left(world, empty, service_account_user="on_accounts")


def test_who_may_not_list_accounts_is_told_what_was_not_looked_for(world: World) -> None:
    settled(world, service_account_user="on_accounts")
    held = [*published("onboard"), *published("remove")]
    world.google = world.gateway(world.cloud.operator_with(*(set(held) - {"iam.serviceAccounts.list"})))
    done = world.run(service_account_user="on_accounts")
    assert done.actions == ()
    assert any("Grant iam.serviceAccounts.list" in one for one in done.view["warnings"])
    removed = world.run(state="absent", service_account_user="on_accounts")
    assert any("iam.serviceAccounts.list" in one for one in removed.view["kept"])
    assert bound(world) == set()


def published(phase: str) -> list[str]:
    return [grant.permission for grant in granted(phase)]


# With a key or without


def cast_member(world: World) -> str:
    record = world.castai.get_cluster(world.cluster_id)
    assert record
    return f"serviceAccount:{record.facts['castServiceAccount']}"


@pytest.mark.parametrize("own", [False, True], ids=["made here", "the user's own"])
def test_from_impersonation_to_a_key_cast_ais_account_may_not_act_as_ours_any_more(world: World, own: bool) -> None:
    options = {}
    if own:
        email = world.cloud.do("add_account", project=PROJECT, account_id="castai-central")
        world.cloud.do("add_key", email=email)
        options = {"existing_service_account": email}
    world.run(identity="impersonation", **options)
    cast = cast_member(world)
    assert {one[1] for one in bound(world, cast)} == {USER, "roles/iam.serviceAccountTokenCreator"}
    planned = world.run(check=True, **options)
    done = world.run(**options)
    assert sentences(done) == sentences(planned)
    assert done.view["bindings"] == planned.view["bindings"]
    assert {one["role"] for one in done.view["bindings"]["removed"]} == {USER, "roles/iam.serviceAccountTokenCreator"}
    assert bound(world, cast) == set()
    world.check_access()
    assert world.given_key
    assert world.run(**options).actions == ()


def test_ended_after_any_write_from_impersonation_to_a_key_cast_ai_has_access(world: World) -> None:
    def before() -> None:
        world.run(identity="impersonation")

    assert world.check_access_after_every_write(before) == 4


def test_removal_takes_cast_ais_account_from_one_of_the_users_own(world: World) -> None:
    own = world.cloud.do("add_account", project=PROJECT, account_id="castai-central")
    empty = world.cloud.google.state()
    world.run(identity="impersonation", existing_service_account=own)
    cast = cast_member(world)
    planned = world.run(check=True, identity="impersonation", existing_service_account=own, state="absent")
    done = world.run(identity="impersonation", existing_service_account=own, state="absent")
    assert sentences(done) == sentences(planned)
    assert done.view["bindings"] == planned.view["bindings"]
    assert bound(world, cast) == bound(world, f"serviceAccount:{own}") == set()
    assert [state["policy"] for state in world.cloud.google.state().values()] == [
        state["policy"] for state in empty.values()
    ]


SWITCHES: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = [
    ({"service_account_user": "on_accounts"}, {"service_account_user": "node_accounts"}),
    ({"service_account_user": "project"}, {"service_account_user": "on_accounts"}),
    ({"role_scope": "project"}, {}),
    ({}, {"role_scope": "project"}),
    ({"role_id": "castai.ours", "extra_projects": [ELSEWHERE]}, {"extra_projects": [ELSEWHERE]}),
    ({"extra_projects": [ELSEWHERE]}, {}),
]


@pytest.mark.parametrize(("before", "after"), SWITCHES)
def test_ended_after_any_write_of_a_switch_nothing_is_forgotten(
    world: World, before: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    """The bindings are then the same as without an interruption."""
    world.run(**after)
    plain = comparable(world)
    for last in itertools.count(1):
        world.reset()
        world.run(**before)
        ended = world.run_until(last, **after)
        world.check_access()
        world.run(**after)
        world.check_access()
        assert comparable(world) == plain, last
        assert world.run(**after).actions == ()
        if not ended:
            break
    assert last > 1


# The role


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"role_scope": "project"}),
        ({"role_scope": "project"}, {}),
        ({"role_id": "castai.ours"}, {}),
        ({}, {"role_id": "castai.ours"}),
        ({"role_id": "castai.ours"}, {"role_scope": "project"}),
    ],
)
@pytest.mark.parametrize("projects", [[], [ELSEWHERE]])
def test_another_role_replaces_the_former(
    world: World, before: Mapping[str, Any], after: Mapping[str, Any], projects: list[str]
) -> None:
    empty = world.cloud.google.state()
    settled(world, **before, extra_projects=projects)
    roles = [one for one in settled(world, **after, extra_projects=projects) if "/roles/castai." in one[1]]
    assert {one[0] for one in roles} == {PROJECT, *projects}
    assert len(roles) == 1 + len(projects)
    nothing_is_left(world, empty, **after, extra_projects=projects)
    shared = [f"projects/{one}/roles/castai.gkeAccess" for one in (PROJECT, ELSEWHERE)]
    roles_of = [state["roles"].items() for state in world.cloud.google.state().values()]
    left = {name for roles in roles_of for name, role in roles if "/castai." in name and not role["deleted"]}
    # Bound to nobody, and with an id that is recorded nowhere any more.
    former = {f"projects/{one}/roles/{before.get('role_id')}" for one in (PROJECT, *projects)}
    assert left <= {*shared, *former}


# Further projects


def test_a_project_that_is_taken_off_the_list_loses_its_binding(world: World) -> None:
    empty = world.cloud.google.state()
    with_it = settled(world, extra_projects=[ELSEWHERE])
    assert {one[0] for one in with_it} == {PROJECT, ELSEWHERE}
    assert ELSEWHERE in world.project["roles"][world.role]["description"]
    done = world.run(check=True, extra_projects=[])
    assert any(f"project {ELSEWHERE} is no longer bound to anybody" in one for one in done.view["warnings"])
    assert {one[0] for one in settled(world, extra_projects=[])} == {PROJECT}
    assert ELSEWHERE not in world.project["roles"][world.role]["description"]
    nothing_is_left(world, empty)


def test_removal_finds_a_project_that_is_not_on_the_list_any_more(world: World) -> None:
    empty = world.cloud.google.state()
    settled(world, extra_projects=[ELSEWHERE])
    nothing_is_left(world, empty)
    roles = world.cloud.google.state()[ELSEWHERE]["roles"]
    assert [role["deleted"] for name, role in roles.items() if "/castai." in name] == [True]


@pytest.mark.parametrize("form", ["ours", "the user's own"])
@pytest.mark.parametrize("left_out", [{"role_id"}, {"extra_projects"}, {"role_id", "extra_projects"}])
def test_removal_finds_the_roles_of_options_that_are_not_set_any_more(
    world: World, left_out: set[str], form: str
) -> None:
    own = world.cloud.do("add_account", project=PROJECT, account_id="own") if form != "ours" else None
    empty = world.cloud.google.state()
    account = {"existing_service_account": own} if own else {}
    options = {"role_id": "acme.castai", "extra_projects": [ELSEWHERE]}
    world.run(**options, **account)
    removal = {name: value for name, value in options.items() if name not in left_out}
    done = world.run(state="absent", **removal, **account)
    assert [one for one in done.view["kept"] if own is None or own not in one] == []
    for project, state in world.cloud.google.state().items():
        assert state["policy"] == empty[project]["policy"]
        assert [name for name, role in state["roles"].items() if not role["deleted"]] == []


def test_removal_finds_a_former_role_that_others_have_while_ours_has_another(world: World) -> None:
    """It is not left to the next removal."""
    world.run(role_id="acme.castai", extra_projects=[ELSEWHERE])
    other = world.cloud.do("add_account", project=PROJECT, account_id="other")
    role = f"projects/{PROJECT}/roles/acme.castai"
    world.cloud.do("grant", project=PROJECT, role=role, member=f"serviceAccount:{other}")
    options = {"role_scope": "project", "extra_projects": [ELSEWHERE], "adopt": True}
    world.run(**options)
    done = world.run(**options, state="absent")
    assert f"role acme.castai of project {PROJECT}: it is also bound to others" in done.view["kept"]
    assert world.cloud.google.state()[ELSEWHERE]["roles"][role.replace(PROJECT, ELSEWHERE)]["deleted"]
    assert world.run(**options, state="absent").actions == ()


def test_a_role_and_a_project_that_are_both_not_set_any_more_lose_their_bindings(world: World) -> None:
    settled(world, role_id="acme.castai", extra_projects=[ELSEWHERE])
    assert {one[1] for one in settled(world)} == {world.role, USER}


def test_a_recorded_project_without_a_binding_of_ours_is_left_alone(world: World) -> None:
    """Anyone who may edit a role can write such a record."""
    world.run()
    said = world.project["roles"][world.role]["description"]
    forged = said.replace(")", f" castai-onboarding:extra-projects={ELSEWHERE})")
    world.cloud.do("edit_role", name=world.role, description=forged)
    world.cloud.do("grant", project=ELSEWHERE, role="roles/viewer", member=MEMBER)
    world.run()
    assert (ELSEWHERE, "roles/viewer", MEMBER, "") in bound(world)


def test_a_project_that_may_not_be_read_any_more_is_named(world: World) -> None:
    settled(world, extra_projects=[ELSEWHERE])
    world.google = world.gateway(world.cloud.operator_with(*published("onboard")))
    done = world.run()
    assert any(f"may still have its role in project {ELSEWHERE}" in one for one in done.view["warnings"])


# Subnets of a Shared VPC

NETWORK_USER = "roles/compute.networkUser"


def on_a_shared_vpc(world: World) -> list[str]:
    """Give the cluster subnets of another project, and return their names."""
    subnets = [world.cloud.do("add_subnet", project=ELSEWHERE, region=LOCATION, name=name) for name in ("a", "b")]
    network = {"network": f"projects/{ELSEWHERE}/global/networks/shared", "subnetwork": subnets[0]}
    pools = [{"name": "b", "config": {"serviceAccount": "default"}, "networkConfig": {"subnetwork": subnets[1]}}]
    where = {"project": PROJECT, "location": LOCATION, "name": "shop"}
    world.cloud.do("set_cluster", **where, networkConfig=network, nodePools=pools)
    return subnets


def test_the_subnets_of_a_shared_vpc_are_bound_where_asked_and_taken_back(world: World) -> None:
    subnets = on_a_shared_vpc(world)
    assert {one[0] for one in settled(world)} == {PROJECT}
    eve = {"role": NETWORK_USER, "members": ["user:eve@example.com"]}
    world.google.set_subnet_policy(subnets[0], {"bindings": [eve]})
    found = settled(world, shared_vpc_role="subnets")
    assert {(one[0], one[1]) for one in found if one[0] != PROJECT} == {(one, NETWORK_USER) for one in subnets}
    assert world.run().actions == ()
    assert {one[0] for one in settled(world, shared_vpc_role="none")} == {PROJECT}
    settled(world, shared_vpc_role="subnets")
    world.run(state="absent")
    assert bound(world) == set()
    assert (subnets[0], NETWORK_USER, "user:eve@example.com", "") in bound(world, "user:eve@example.com")


def test_what_a_former_account_of_the_users_may_use_in_other_projects_is_told(world: World) -> None:
    subnets = on_a_shared_vpc(world)
    own = world.cloud.do("add_account", project=PROJECT, account_id="own")
    options = {"shared_vpc_role": "subnets", "extra_projects": [ELSEWHERE]}
    world.run(**options, existing_service_account=own)
    warned = " ".join(world.run(**options).view["warnings"])
    assert f"Service account {own}, which CAST AI had before" in warned
    role = world.role.rpartition("/")[2]
    for held in (f"{role} on project {ELSEWHERE}", *(f"{NETWORK_USER} on subnet {one}" for one in ("a", "b"))):
        assert held in warned
    assert subnets == [one[0] for one in sorted(bound(world, f"serviceAccount:{own}")) if "/subnetworks/" in one[0]]


def test_our_account_loses_its_role_on_subnets_before_the_users_own_replaces_it(world: World) -> None:
    """Also if the option is not set any more, in which case a binding of the user's own account stays."""
    subnets = on_a_shared_vpc(world)
    own = world.cloud.do("add_account", project=PROJECT, account_id="own")
    theirs = [{"role": NETWORK_USER, "members": [f"serviceAccount:{own}"]}]
    world.google.set_subnet_policy(subnets[0], {"bindings": theirs})
    world.run(shared_vpc_role="subnets")
    world.run(existing_service_account=own)
    assert bound(world, ACCOUNT) == set()
    assert world.cloud.google.state()[ELSEWHERE]["subnets"][subnets[0]]["bindings"] == theirs
    assert world.run(existing_service_account=own).actions == ()


def test_removal_names_the_subnets_that_the_users_account_may_go_on_to_use(world: World) -> None:
    on_a_shared_vpc(world)
    own = world.cloud.do("add_account", project=PROJECT, account_id="own")
    world.run(existing_service_account=own, shared_vpc_role="subnets")
    kept = world.run(existing_service_account=own, state="absent").view["kept"]
    named = f"binding of {NETWORK_USER} to {own} on subnet"
    assert sorted(one.partition(" of project")[0] for one in kept if NETWORK_USER in one) == [
        f"{named} a",
        f"{named} b",
    ]
    world.run(existing_service_account=own, shared_vpc_role="subnets", state="absent")
    assert [one for one in bound(world, f"serviceAccount:{own}") if "/subnetworks/" in one[0]] == []


def test_a_network_of_the_clusters_own_project_needs_no_role_on_subnets(world: World) -> None:
    assert {one[0] for one in settled(world, shared_vpc_role="subnets")} == {PROJECT}


@pytest.mark.parametrize("permission", ["compute.subnetworks.getIamPolicy", "compute.subnetworks.setIamPolicy"])
def test_a_permission_on_subnets_that_is_missing_is_named(world: World, permission: str) -> None:
    on_a_shared_vpc(world)
    token = world.cloud.operator_with(*published("onboard"))
    emails = [one["email"] for one in world.project["accounts"]]
    (email,) = [one for one in emails if one.startswith("operator-")]
    held = {"compute.subnetworks.getIamPolicy", "compute.subnetworks.setIamPolicy"} - {permission}
    role = world.cloud.do("add_role", project=ELSEWHERE, role_id="subnets", permissions=sorted(held))
    world.cloud.do("grant", project=ELSEWHERE, role=role, member=f"serviceAccount:{email}")
    world.google = world.gateway(token)
    with pytest.raises(Stopped, match=permission):
        world.run(shared_vpc_role="subnets")


# Other tools


def test_what_pulumi_bound_is_replaced(world: World) -> None:
    left = leave(world.cloud.do, SHOP, "pulumi", world.account(NODE_ACCOUNT)["uniqueId"])  # type: ignore[index]
    email = left["service_account"]
    done = world.run(adopt=True)
    assert done.view["service_account"] == email
    roles = {one[1] for one in bound(world, email)}
    assert roles == {world.role, USER}
    assert {one["role"].rpartition("/")[2] for one in done.view["bindings"]["removed"]} == {
        "castai_gke_shop_cluster",
        "castai_gke_shop_compute",
    }
    assert world.run(adopt=True).actions == ()


@pytest.mark.parametrize("form", ["node_accounts", "on_accounts"])
def test_two_clusters_with_one_account_of_the_users_own_leave_each_other_whole(world: World, form: str) -> None:
    own = world.cloud.do("add_account", project=PROJECT, account_id="castai-central")
    nodes = world.cloud.do("add_account", project=PROJECT, account_id="nodes")
    pools = [{"name": "a", "config": {"serviceAccount": nodes}}]
    world.another_cluster("till")
    world.cloud.do("set_cluster", project=PROJECT, location=LOCATION, name="till", nodePools=pools)
    options = {"existing_service_account": own, "service_account_user": form}
    world.run(**options)
    first = bound(world, own)
    world.run(cluster_name="till", **options)
    assert world.run(**options).actions == ()
    assert world.run(cluster_name="till", **options).actions == ()
    removed = world.run(cluster_name="till", state="absent", **options)
    assert bound(world, own) >= first
    assert any("other clusters may use the account, too" in one for one in removed.view["kept"])
    world.run(**options)
    left = {(nodes, USER, f"serviceAccount:{own}", "")} if form == "on_accounts" else set()
    assert bound(world, own) == first | left


@pytest.mark.parametrize("vintage", ["terraform", "terraform_scoped", "pulumi"])
def test_who_stays_with_another_tool_keeps_its_account_roles_and_bindings(world: World, vintage: str) -> None:
    left = leave(world.cloud.do, SHOP, vintage, world.account(NODE_ACCOUNT)["uniqueId"])  # type: ignore[index]
    email = left["service_account"]
    before = (bound(world, email), {name: dict(role) for name, role in world.project["roles"].items()})
    account = world.account(email)
    done = world.run(existing_service_account=email)
    assert done.view["role"] == world.role
    assert bound(world, email) >= before[0]
    after = world.project["roles"]
    assert {name: role for name, role in after.items() if name != world.role} == before[1]
    assert (world.account(email) or {}).get("description") == (account or {}).get("description")
    assert world.run(existing_service_account=email).actions == ()
    world.run(existing_service_account=email, state="absent", adopt=True)
    assert {one for one in bound(world, email) if one[1] != USER} == {one for one in before[0] if one[1] != USER}
    assert {name for name, role in world.project["roles"].items() if not role["deleted"]} == set(before[1])


def living_roles(world: World) -> set[str]:
    roles = world.project["roles"].items()
    return {name for name, role in roles if not role["deleted"]}


@pytest.mark.parametrize("own", [False, True])
def test_removal_finds_the_role_that_terraform_left_and_a_run_took_over(world: World, own: bool) -> None:
    account = {}
    if own:
        account = {"existing_service_account": world.cloud.do("add_account", project=PROJECT, account_id="own")}
    leave(world.cloud.do, SHOP, "terraform", world.account(NODE_ACCOUNT)["uniqueId"])  # type: ignore[index]
    world.run(adopt=True)
    options = account or {"role_id": "acme.castai"}
    world.run(**options)
    world.run(**options, state="absent")
    assert living_roles(world) == set()


def test_what_an_account_that_somebody_deleted_left_goes_with_the_one_that_replaces_it(world: World) -> None:
    empty = world.cloud.google.state()
    world.run(role_id="acme.castai", extra_projects=[ELSEWHERE])
    world.cloud.do("delete_account", email=MEMBER.partition(":")[2])
    leave(world.cloud.do, SHOP, "terraform", world.account(NODE_ACCOUNT)["uniqueId"])  # type: ignore[index]
    planned = world.run(check=True, adopt=True)
    done = world.run(adopt=True)
    assert done.view["bindings"] == planned.view["bindings"]
    assert bound(world, f"deleted:{MEMBER}") == set()
    assert world.run(adopt=True).actions == ()
    world.run(state="absent", adopt=True)
    assert [state["policy"] for state in world.cloud.google.state().values()] == [
        state["policy"] for state in empty.values()
    ]
    assert world.run(state="absent", adopt=True).actions == ()


@pytest.mark.parametrize("state", ["present", "absent"])
def test_of_two_accounts_that_are_marked_as_ours_one_is_left_or_none(world: World, state: str) -> None:
    """As after one was deleted, replaced and restored."""
    world.run()
    mark = f"cast:cluster-id={world.cluster_id} castai-onboarding:cluster=shop"
    second = {"account_id": "castai-gke-tf-5042d146", "description": mark}
    email = world.cloud.do("add_account", project=PROJECT, roles=[world.role], **second)
    world.cloud.do("add_key", email=email)
    parts = [{"hand_over": False}, {"prepare": False}] if state == "present" else [{"state": state}]
    for part in parts:
        world.run(**part)
    assert world.account(email) is None
    assert bound(world, email) == set()
    assert (world.account() is None) == (state == "absent")
    assert [world.run(**part).actions for part in parts] == [()] * len(parts)


def test_an_account_with_our_name_that_is_not_ours_is_left_alone(world: World) -> None:
    world.run()
    left = leave(world.cloud.do, SHOP, "terraform", world.account(NODE_ACCOUNT)["uniqueId"])  # type: ignore[index]
    world.run()
    world.run(state="absent")
    assert world.account(left["service_account"])


@pytest.mark.parametrize(
    ("options", "role_id", "advice"),
    [
        ({"role_id": "acme.castai"}, "acme.castai", r"Set gke_onboard_role_id \(option role_id\) to another ID\."),
        ({"role_scope": "project"}, "castai.gkeAccess", r"Leave out gke_onboard_role_scope \(option role_scope\)\."),
    ],
)
def test_an_id_that_stays_taken_is_refused_with_what_to_do(
    world: World, options: Mapping[str, Any], role_id: str, advice: str
) -> None:
    world.run(**options)
    world.cloud.do("delete_role", name=f"projects/{PROJECT}/roles/{role_id}")
    world.clock.ahead += 8 * 86400
    world.use(world.gateway())
    with pytest.raises(Stopped, match=advice):
        world.run(**options)
