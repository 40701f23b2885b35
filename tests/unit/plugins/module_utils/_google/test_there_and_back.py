# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""castai_gke_sa among others: many clusters and a rival at once, two with the same name, what is read, what removal
leaves."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils import _engine
from ansible_collections.castai.onboarding.plugins.module_utils._engine import UNKNOWN, Refused, Result, Stopped
from tests.sandbox.google.other_ways import leave
from tests.sandbox.wire import Request, Response
from tests.unit.sandbox.aws_account import sentences
from tests.unit.sandbox.gke_project import NODE_ACCOUNT, SHOP, SISTER, USER, World, world
from tests.unit.sandbox.google_client import LOCATION, OPERATOR, PROJECT
from tests.unit.sandbox.google_client import SHARED as ELSEWHERE

__all__ = ["world"]

VIEWER = "roles/container.viewer"
SUMMER = {"title": "until summer", "expression": 'request.time < timestamp("2097-07-01T00:00:00Z")'}
Options = Mapping[str, Any]
Bindings = list[dict[str, Any]]


QUICKER = 20


def crowded(world: World, principals: int) -> None:
    """A policy with this many principals, some of them with conditions, exempt from audit logs, or deleted."""
    gone = world.cloud.do("add_account", project=PROJECT, account_id="gone-account", roles=[VIEWER])
    world.cloud.do("delete_account", email=gone)
    many = [f"user:u{number}@example.com" for number in range(principals - 10)]
    bindings = [
        {"role": "roles/viewer", "members": many},
        *world.project["policy"]["bindings"],
        {"role": VIEWER, "members": many[5::-1], "condition": SUMMER},
        {"role": VIEWER, "members": ["domain:example.com"]},
        {"role": VIEWER, "members": ["group:z@example.com", "group:a@example.com"]},
    ]
    audits = [{"service": "allServices", "auditLogConfigs": [{"logType": "DATA_READ", "exemptedMembers": many[:2]}]}]
    world.cloud.do("set_policy", project=PROJECT, bindings=bindings, audits=audits)


def foreign(bindings: Bindings) -> Bindings:
    """The bindings of others, in order."""
    found = ({**one, "members": [who for who in one["members"] if "castai-gke-" not in who]} for one in bindings)
    return [one for one in found if one["members"]]


class Checked:
    """A gateway that checks that every policy is written back with others' bindings as they were last read, in the same
    order."""

    def __init__(self, world: World) -> None:
        self.google = world.gateway()
        self.sent = 0
        self._read: dict[str, Any] = {}
        self._get, self._set = self.google.get_policy, self.google.set_policy
        self.google.get_policy = self._got  # type: ignore[method-assign]
        self.google.set_policy = self._put  # type: ignore[method-assign]

    def _got(self, project: str) -> Any:
        self._read = self._get(project)
        return self._read

    def _put(self, project: str, policy: Any) -> Any:
        assert foreign(policy["bindings"]) == foreign(self._read["bindings"])
        assert (policy["version"], policy["etag"]) == (3, self._read["etag"])
        self.sent += 1
        return self._set(project, policy)


def test_ten_clusters_at_once_and_a_rival_lose_no_binding(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a policy with 1,400 principals, within 120 s for each run. Pauses are shortened as much as calls are faster
    than Google's, and count in full."""
    crowded(world, 1400)
    before = world.project["policy"]
    names = [world.another_cluster(f"shop-{number}") for number in range(10)]
    paused: Counter[int] = Counter()

    def slept(seconds: float) -> None:
        paused[threading.get_ident()] += seconds  # type: ignore[assignment]
        pause(seconds / QUICKER)

    pause = threading.Event().wait
    monkeypatch.setattr("time.sleep", slept)
    gateways = [Checked(world) for _name in names]
    started = time.monotonic()
    over = threading.Event()
    rivals: list[str] = []

    def rival() -> None:
        while not over.is_set() and len(rivals) < 40:
            rivals.append(f"user:rival{len(rivals)}@example.com")
            world.cloud.do("grant", project=PROJECT, role=VIEWER, member=rivals[-1])
            pause(1 / QUICKER)

    with ThreadPoolExecutor(11) as pool:
        writing = pool.submit(rival)
        runs = [
            pool.submit(world.run, cluster_name=name, google=one.google)
            for name, one in zip(names, gateways, strict=True)
        ]
        done = [run.result() for run in runs]
        over.set()
        writing.result()
    assert time.monotonic() - started + max(paused.values(), default=0) < 120
    assert all(one.sent for one in gateways)
    assert len(rivals) > 5
    accounts = {f"serviceAccount:{one.view['service_account']}" for one in done}
    assert len(accounts) == 10
    for one in done:
        member = f"serviceAccount:{one.view['service_account']}"
        assert (one.view["role"], member, "") in world.bindings
        assert len([role for role, who, _text in world.bindings if (role, who) == (USER, member)]) == 1
    after = world.project["policy"]
    assert set(rivals) <= {who for one in after["bindings"] for who in one["members"]}
    left = [
        {**one, "members": [who for who in one["members"] if who not in rivals]} for one in foreign(after["bindings"])
    ]
    assert [one for one in left if one["members"]] == before["bindings"]
    assert after["auditConfigs"] == before["auditConfigs"]


# Two clusters of one name


@pytest.mark.parametrize("options", [{}, {"identity": "impersonation"}], ids=["key", "impersonation"])
def test_two_clusters_of_one_name_share_nothing_and_removal_of_either_leaves_the_other(
    world: World, options: Options
) -> None:
    locations = (LOCATION, SISTER.region)
    for removed, stays in (locations, locations[::-1]):
        world.reset()
        shown = {location: world.run(location, **options).view for location in locations}
        for field in ("service_account", "role"):
            assert len({one[field] for one in shown.values()}) == 2, field
        assert all(world.run(location, **options).actions == () for location in locations)
        whole = of_account(world, shown[stays]["service_account"], shown[stays]["role"])
        world.run(removed, state="absent", **options)
        assert of_account(world, shown[stays]["service_account"], shown[stays]["role"]) == whole
        assert world.account(shown[removed]["service_account"]) is None
        assert not [one for one in world.bindings if shown[removed]["service_account"] in one[1]]
        assert world.run(stays, **options).actions == ()


def of_account(world: World, email: str, role: str) -> Any:
    """Everything that an account has."""
    held = sorted(one for one in world.bindings if email in one[1])
    return world.account(email), held, world.project["roles"][role], world.castai.given.keys()


# Onboarding and removal

MODES: Mapping[str, Options] = {
    "key": {},
    "impersonation": {"identity": "impersonation"},
    "on accounts": {"service_account_user": "on_accounts"},
    "whole project": {"service_account_user": "project", "load_balancers": ["target_backend_pools"]},
    "more projects": {"extra_projects": [ELSEWHERE]},
    "own role": {"role_id": "own.role", "permissions": ["container.clusters.get"]},
}


def picture(world: World) -> Any:
    """The state of each project: its policy as sets, accounts with their keys and policies, existing roles,
    services."""
    return {
        project: (
            {
                (one["role"], who, repr(one.get("condition")))
                for one in state["policy"]["bindings"]
                for who in one["members"]
            },
            state["policy"].get("auditConfigs"),
            state["accounts"],
            {name for name, role in state["roles"].items() if not role["deleted"]},
            state["services"],
        )
        for project, state in world.cloud.google.state().items()
    }


def as_planned(world: World, result: Result) -> str:
    """The result, with CAST AI's own account as a plan knows it."""
    record = world.castai.get_cluster(world.cluster_id)
    assert record
    own = record.facts.get("castServiceAccount") or UNKNOWN
    return repr(sorted(result.view.items())).replace(own, UNKNOWN)


@pytest.mark.parametrize("vintage", ["", "terraform", "pulumi"])
@pytest.mark.parametrize("purged", [False, True])
def test_what_a_deleted_project_leaves_in_others_is_removed(world: World, vintage: str, purged: bool) -> None:
    """purged: whether the other project's policy already shows the account as deleted."""
    before = picture(world)[ELSEWHERE]
    nodes = world.account(NODE_ACCOUNT)
    assert nodes
    left = leave(world.cloud.do, SHOP, vintage, nodes["uniqueId"]) if vintage else {}
    done = world.run(extra_projects=[ELSEWHERE], adopt=bool(left))
    email = done.view["service_account"]
    assert email == left.get("service_account", email)
    assert picture(world)[ELSEWHERE] != before
    if purged:
        world.cloud.do("delete_account", email=email)
    world.cloud.do("delete_project", project=PROJECT)
    planned = world.run(check=True, state="absent", extra_projects=[ELSEWHERE])
    done = world.run(state="absent", extra_projects=[ELSEWHERE])
    assert sentences(done) == sentences(planned)
    assert picture(world)[ELSEWHERE] == before
    assert world.run(state="absent", extra_projects=[ELSEWHERE]).actions == ()
    assert world.run(state="absent").actions == ()
    with pytest.raises(Refused, match=rf"Project {PROJECT} is being deleted\. Restore it .* correct castai_project"):
        world.run()


GONE = "acme-gone-1"
IF_GONE = "If the project does not exist, or was deleted more than 30 days ago,"


@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"extra_projects": [GONE]}, r"remove it from gke_onboard_extra_projects \(option extra_projects\)\."),
        ({"project": GONE}, r"correct castai_project \(option project\)\."),
    ],
)
def test_a_project_that_is_gone_for_good_looks_like_a_missing_permission_and_both_are_told(
    world: World, state: str, options: Options, advice: str
) -> None:
    world.run()
    needed = r"Grant resourcemanager\.projects\.get(IamPolicy)? to the identity that runs this\."
    with pytest.raises(Stopped, match=f"{GONE}.*{needed} {IF_GONE} {advice}"):
        world.run(state=state, **options)


@pytest.mark.parametrize("mode", MODES)
def test_removal_leaves_project_and_accounts_as_they_were(world: World, mode: str) -> None:
    crowded(world, 30)
    world.castai.create_service_account(  # CAST AI's own project is not ours
        world.ids[SISTER.region], "gke", {"gkeSaImpersonate": OPERATOR, "projectId": PROJECT}
    )
    before, options = picture(world), MODES[mode]
    planned = world.run(check=True, **options)
    assert picture(world) == before
    done = world.run(**options)
    assert sentences(done) == sentences(planned)
    assert as_planned(world, done) == as_planned(world, planned)
    assert world.run(**options).actions == ()
    for removal in (options, {}) if mode in ("on accounts", "whole project") else (options,):
        world.run(**options)
        going = world.run(check=True, state="absent", **removal)
        gone = world.run(state="absent", **removal)
        assert (sentences(gone), gone.view["kept"]) == (sentences(going), [])
        assert picture(world) == before
        assert world.run(state="absent", **removal).actions == ()


# What is read


@pytest.fixture
def rounds(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[str]]]:
    """The reads of a run, by round: reads made at the same time are one round."""
    found: list[list[str]] = []
    at_once = _engine.side_by_side
    send = world.cloud.send
    within: list[list[str]] = []

    def side_by_side(most: int, calls: Sequence[Callable[[], Any]]) -> Any:
        if within or not calls:
            return at_once(most, calls)
        within.append([])
        try:
            return at_once(most, calls)
        finally:
            found.append(within.pop())

    def sent(request: Request) -> Response | None:
        call = world.cloud.google.classify(request)
        assert not call.write
        asked = f"{call.operation} {call.resource} {request.query}"
        within[-1].append(asked) if within else found.append([asked])
        return send(request)

    def of_run(**options: Any) -> list[list[str]]:
        monkeypatch.setattr(_engine, "side_by_side", side_by_side)
        monkeypatch.setattr(world.cloud, "send", sent)
        found.clear()
        assert world.run(**options).actions == ()
        return [one for one in found if one]

    return of_run


@pytest.mark.parametrize("mode", MODES)
def test_a_run_without_changes_reads_in_three_rounds_and_each_object_once(
    world: World, rounds: Callable[..., list[list[str]]], mode: str
) -> None:
    world.run(**MODES[mode])
    found = rounds(**MODES[mode])
    assert 0 < len(found) <= 3, found
    asked = [one for some in found for one in some]
    assert len(asked) == len(set(asked))
    handing_over = rounds(**MODES[mode], prepare=False)
    assert len(handing_over) <= 3
    twice = Counter([*asked, *(one for some in handing_over for one in some)])
    assert max(twice.values()) <= 2
