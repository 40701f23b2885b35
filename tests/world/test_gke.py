# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GKE clusters from nothing to phase 2 and back: a regional one by its IP endpoint, whose account gives CAST AI a key,
and a zonal one by its DNS endpoint, whose account CAST AI impersonates.

Every failure, every write after which a run may end and every missing permission: in process, in tests/unit.
"""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
import yaml

from ansible_collections.castai.onboarding.plugins.module_utils._google.permissions import file_name
from tests.sandbox.client import World
from tests.sandbox.google.tokens import CLOUD
from tests.sandbox.spec import HOME_PROJECT
from tests.support import awx
from tests.support.forked import steps
from tests.support.playbook import Run, local_play
from tests.support.policies import FOLDER, in_cluster_name
from tests.support.recipes import recipe
from tests.tree import ROOT

from .careful import forms_of
from .connecting import Forked, changed_nothing, succeeded, with_id, writes
from .onboarding import OTHER_AGENT, Exposed, Onboarder, as_awx, ended_in_helm, finished

HOSTS = {
    "shop": {},
    "till": {"castai_endpoint": "dns", "gke_onboard_identity": "impersonation"},
}
CLUSTERS = ("shop:gke:location=europe-west3:nodes=1", "till:gke:location=europe-west1-b:nodes=1")
REMOVAL = recipe("gke_guide", "Removal")
TOKEN, CLUSTER_READ = "oauth2.token", "container.projects.locations.clusters.get"
CLUSTER_READS = 6
"""The tasks of site that read the cluster: preflight, castai_cluster and the agent's release of connecting; preflight,
castai_gke_sa and castai_releases of onboarding. Waiting needs CAST AI's record alone, which preflight has compared with
the cluster."""
TOO_EARLY = [
    local_play(
        {
            "castai.onboarding.castai_gke_sa": {
                "cluster_name": "{{ inventory_hostname }}",
                "cluster_id": "{{ cluster_id }}",
                "project": "{{ castai_project }}",
                "location": "{{ castai_location }}",
                "identity": "{{ gke_onboard_identity | default('key') }}",
                "state": "absent",
            }
        }
    )
]


class Story(NamedTuple):
    onboarder: Onboarder
    before: Any
    plan: Run
    written_by_plan: list[Any]
    run: Run
    again: Run
    written_again: list[Any]
    asked_again: list[Any]
    exposed: Exposed
    entered: list[tuple[str, str]]

    @property
    def world(self) -> World:
        return self.onboarder.world

    def cluster_id(self, host: str) -> str:
        return str(self.run.of("castai_cluster", host)[0]["cluster_id"])

    def inventory(self) -> dict[str, Any]:
        found = inventory(self.onboarder)
        for host, variables in found["castai_clusters"]["hosts"].items():
            variables["cluster_id"] = self.cluster_id(host)
        return found


def inventory(onboarder: Onboarder) -> dict[str, Any]:
    found = onboarder.inventory(*HOSTS)
    for host, variables in HOSTS.items():
        found["castai_clusters"]["hosts"][host] |= variables
    return found


def let_in_by_dns(world: World, name: str) -> None:
    cluster = world.clusters()[name]
    path = f"projects/{cluster.account}/locations/{cluster.region}/clusters/{name}"
    ways = world.state()["google"][cluster.account]["clusters"][path]["controlPlaneEndpointsConfig"]
    ways["dnsEndpointConfig"]["allowExternalTraffic"] = True
    where = {"project": cluster.account, "location": cluster.region, "name": name}
    world.control("google", "set_cluster", **where, controlPlaneEndpointsConfig=ways)


@pytest.fixture(scope="module")
def story(module_world: World, tmp_path_factory: pytest.TempPathFactory) -> Story:
    onboarder = Onboarder(module_world, tmp_path_factory.mktemp("gke"))
    let_in_by_dns(module_world, "till")
    planner, key = limited(module_world, "plan"), limited(module_world, "onboard")
    given, before = inventory(onboarder), module_world.state()["google"]
    own = onboarder.environment["GOOGLE_APPLICATION_CREDENTIALS"]
    of_plan = onboarder.folder / "plan.json"
    of_plan.write_text(planner, encoding="utf-8")
    onboarder.environment["GOOGLE_APPLICATION_CREDENTIALS"] = str(of_plan)
    plan = succeeded(onboarder.onboard("--check", "--diff", hosts=tuple(HOSTS), given=given))
    onboarder.environment["GOOGLE_APPLICATION_CREDENTIALS"] = own
    written_by_plan = writes(module_world)
    mark = module_world.mark()
    run, exposed = by_awx(module_world, tmp_path_factory.mktemp("awx"), key, given)
    seen = [one for one in module_world.journal(since=mark) if one.system == "kubernetes" and one.who]
    entered = sorted({(one.cluster, one.who) for one in seen})
    mark = module_world.mark()
    again = onboarder.onboard(hosts=tuple(HOSTS), given=given)
    asked_again = module_world.journal(since=mark)
    written_again = writes(module_world, mark)
    return Story(
        onboarder, before, plan, written_by_plan, succeeded(run), again, written_again, asked_again, exposed, entered
    )


def limited(world: World, phase: str) -> str:
    """The key of an account with exactly the permissions of the published roles, in Google Cloud and in its
    clusters."""
    roles = []
    for name in (file_name(phase), in_cluster_name(phase)):
        permissions = yaml.safe_load((ROOT / FOLDER / name).read_text(encoding="utf-8"))["includedPermissions"]
        role_id = name.removesuffix(".yml").replace("-", "_")
        where = {"project": HOME_PROJECT, "role_id": role_id, "permissions": permissions}
        roles.append(world.control("google", "add_role", **where))
    email = world.control("google", "add_account", project=HOME_PROJECT, account_id=f"only-{phase}", roles=roles)
    return str(world.control("google", "add_key", email=email))


def by_awx(world: World, folder: Path, key: str, given: Any) -> tuple[Run, Exposed]:
    """As an AWX job with its credential for Google Cloud, whose project is not that of the hosts."""
    somebody = Onboarder(world, folder)
    del somebody.environment["GOOGLE_APPLICATION_CREDENTIALS"]
    return as_awx(somebody, awx.google(key, "acme-shared"), given)


@pytest.mark.parametrize("host", HOSTS)
def test_the_published_roles_are_enough_for_a_plan_and_for_awxs_job(story: Story, host: str) -> None:
    for phase, run in (("plan", story.plan), ("onboard", story.run)):
        for found in run.of("castai_preflight", host):
            who = f"only-{phase}@{HOME_PROJECT}.iam.gserviceaccount.com"
            assert found["acting_as"] == f"{who} in project {HOME_PROJECT}"
            assert found["not_checked"] == []


def test_the_plan_writes_nothing(story: Story) -> None:
    assert story.written_by_plan == []


@pytest.mark.parametrize("host", HOSTS)
def test_the_run_does_what_the_plan_said(story: Story, host: str) -> None:
    planned, done = (with_id(run.actions(host), story.cluster_id(host)) for run in (story.plan, story.run))
    assert planned == done
    assert any(action.startswith("create service account castai-gke-") for action in done)


def test_a_second_run_changes_nothing(story: Story) -> None:
    changed_nothing(story.again)
    assert (story.again.actions(), story.written_again) == ([], [])


def test_a_second_run_reads_no_object_of_google_cloud_more_than_twice(story: Story) -> None:
    """The cluster may be read more often: every task that needs its address or nodes reads it, because no result
    contains them. Data of the project is read for each host."""
    read = Counter((one.operation, one.resource) for one in story.asked_again if one.system == "google")
    for operation, resource in [one for one in read if one[0] == TOKEN]:
        del read[operation, resource]
    clusters = {one: number for one, number in read.items() if one[0] == CLUSTER_READ}
    assert set(clusters.values()) == {CLUSTER_READS}
    assert len(clusters) == len(HOSTS)
    own = {one: number for one, number in read.items() if "castai" in one[1]}
    shared = {one: number for one, number in read.items() if one not in own and one not in clusters}
    assert own != shared != {}
    assert {one: number for one, number in own.items() if number > 2} == {}
    assert {one: number for one, number in shared.items() if number > 2 * len(HOSTS)} == {}


@pytest.mark.parametrize("host", HOSTS)
def test_cast_ai_works_with_the_cluster(story: Story, host: str) -> None:
    cluster = story.again.of("castai_cluster", host)[-1]["cluster"]
    assert (cluster["status"], cluster["agent_status"], bool(cluster["credentials_id"])) == ("ready", "online", True)


def test_the_clusters_share_nothing_at_google(story: Story) -> None:
    prepared = [story.run.of("castai_gke_sa", host)[0] for host in HOSTS]
    assert len({result["service_account"] for result in prepared}) == len({result["role"] for result in prepared}) == 2
    project = story.world.state()["google"][HOME_PROJECT]
    keys = {one["email"]: len(one["keys"]) for one in project["accounts"] if one["email"].startswith("castai-gke-")}
    assert sorted(keys.values()) == [0, 1], "one key, for the account that is not impersonated"
    assert keys[prepared[0]["service_account"]] == 1


@pytest.mark.parametrize("host", HOSTS)
def test_every_binding_of_the_run_is_in_its_plan(story: Story, host: str) -> None:
    planned, done = (run.of("castai_gke_sa", host)[0]["bindings"] for run in (story.plan, story.run))
    short = story.cluster_id(host)[:8]
    assert [one["role"] for one in done["added"]] != []
    assert done["removed"] == planned["removed"] == []
    assert [one["resource"] for one in done["added"]] == [one["resource"] for one in planned["added"]]
    assert any(re.search(rf"castai\.gkeAccess\.{short}$", one["role"]) for one in done["added"])


def test_no_byte_of_a_key_and_no_token_is_anywhere(story: Story) -> None:
    """With a key and without, at -vvvvv. AWX's own file contains the operator's key."""
    secrets = story.world.control("google", "secrets")
    lines = {line for pem in secrets["keys"] for line in pem.splitlines()[1:-1]}
    assert len(lines) > 50
    assert len(secrets["tokens"]) > 4
    forms = sorted({form for secret in (*lines, *secrets["tokens"]) for form in forms_of(secret)})

    def held_by(content: bytes) -> list[bytes]:
        return [form for form in forms if form in content]

    assert story.exposed.held(forms) == []
    state = story.world.state()
    assert held_by(json.dumps({name: state[name] for name in ("kubernetes", "castai")}).encode()) == []
    for log in story.world.folder.rglob("audit.log"):
        assert held_by(log.read_bytes()) == [], log
    assert held_by(repr(story.world.journal()).encode()) == []


def test_the_audit_log_shows_who_came_in_by_each_way(story: Story) -> None:
    """One cluster was reached by its IP endpoint, the other by its DNS endpoint."""
    operator = f"only-onboard@{HOME_PROJECT}.iam.gserviceaccount.com"
    assert [one for one in story.entered if "@" in one[1]] == [(host, operator) for host in HOSTS]


@pytest.mark.parametrize("way", ["ip", "dns"])
def test_a_binding_to_the_wrong_form_of_a_name_lets_nobody_in(story: Story, way: str) -> None:
    """By either address. Kubernetes knows an account by its e-mail, or by its number if a token lacks that scope."""
    world = story.world
    email = world.control("google", "add_account", project=HOME_PROJECT, account_id=f"reader-{way}")
    member = f"serviceAccount:{email}"
    permissions = ["container.clusters.get", "container.clusters.connect"]
    role = world.control("google", "add_role", project=HOME_PROJECT, role_id=f"enter_{way}", permissions=permissions)
    world.control("google", "grant", project=HOME_PROJECT, role=role, member=member)
    tokens = {
        "email": world.control("google", "token", member=member),
        "number": world.control("google", "token", member=member, scopes=[CLOUD]),
    }
    accounts = world.state()["google"][HOME_PROJECT]["accounts"]
    names = {"email": email, "number": next(one["uniqueId"] for one in accounts if one["email"] == email)}
    for form, name in names.items():
        path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
        world.kubernetes("till").create(path, may_read(name, f"reader-{way}-{form}"))
        answers = {other: secrets_read(world, "till", way, token) for other, token in tokens.items()}
        assert answers == {other: 200 if other == form else 403 for other in names}
        world.kubernetes("till").delete(f"{path}/reader-{way}-{form}")
    world.control("google", "revoke", project=HOME_PROJECT, role=role, member=member)
    world.control("google", "delete_account", email=email)
    world.control("google", "delete_role", name=role)


def may_read(user: str, name: str) -> dict[str, Any]:
    about = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
    return {"metadata": {"name": name}, "roleRef": about, "subjects": [subject]}


def addresses(world: World, host: str) -> dict[str, str]:
    cluster = world.clusters()[host]
    path = f"projects/{cluster.account}/locations/{cluster.region}/clusters/{host}"
    found = world.state()["google"][cluster.account]["clusters"][path]
    return {"ip": found["endpoint"], "dns": found["controlPlaneEndpointsConfig"]["dnsEndpointConfig"]["endpoint"]}


def secrets_read(world: World, host: str, way: str, token: str) -> int:
    """The API server's answer when the bearer of the token lists Pods."""
    environment = world.env()
    ca = world.folder / f"{host}-ca.pem"
    ca.write_text(world.clusters()[host].ca_pem, encoding="utf-8")
    verify = environment["REQUESTS_CA_BUNDLE"] if way == "dns" else str(ca)
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(
            f"https://{addresses(world, host)[way]}/api/v1/pods",
            headers={"Authorization": f"Bearer {token}"},
            proxies={"https": environment["https_proxy"]},
            verify=verify,
            timeout=20,
        )
    return answer.status_code


def test_a_run_that_is_ended_while_it_renews_a_key_is_finished_by_the_next(story: Story, tmp_path: Path) -> None:
    """The run is killed after CAST AI accepted the new key and before it is recorded, and then in Helm."""
    world, account = story.world, story.run.of("castai_gke_sa", "shop")[0]["service_account"]
    (old,) = key_ids(world, account)
    soon = {"ends": 3600.0, "validAfterTime": "2026-01-01T00:00:00Z"}
    world.control("google", "set_key", key_id=old, **soon)
    world.fault({"system": "castai", "operation": "UpdateCluster", "end": "after"})
    ended = story.onboarder.onboard(hosts=("shop",), given=shop_alone(story))
    assert (ended.status, world.fired()) == (-signal.SIGKILL, [1]), ended.output
    world.fault()
    new = given_key(world, story.cluster_id("shop"))
    assert new != old
    assert new in key_ids(world, account), "CAST AI has a key that lives"
    forked = Forked(world, tmp_path, steps(story.again, "shop"), "shop")
    ended_in_helm(forked, lambda: world.control("google", "secrets")["tokens"])
    rerun = finished(forked)
    assert any(one.startswith("create a key of service account") for one in rerun.actions("shop"))
    assert key_ids(world, account) == [given_key(world, story.cluster_id("shop"))]
    changed_nothing(forked.connect(**OTHER_AGENT))


def shop_alone(story: Story) -> dict[str, Any]:
    found = inventory(story.onboarder)
    del found["castai_clusters"]["hosts"]["till"]
    return found


def key_ids(world: World, email: str) -> list[str]:
    accounts = world.state()["google"][HOME_PROJECT]["accounts"]
    (found,) = [one for one in accounts if one["email"] == email]
    return [one["name"].rpartition("/")[2] for one in found["keys"]]


def given_key(world: World, cluster_id: str) -> str:
    return str(world.state()["castai"]["access_keys"][cluster_id])


def test_removal_leaves_the_project_as_it_was(story: Story) -> None:
    """With the guide's playbook. This test runs last, because nothing is left for the others afterwards."""
    world, onboarder = story.world, story.onboarder
    mark = world.mark()
    options: dict[str, Any] = {"hosts": tuple(HOSTS), "given": story.inventory()}
    refused = onboarder.onboard(**options, playbook=TOO_EARLY)
    assert all("Disconnect the cluster" in refused.failures[host] for host in HOSTS)
    assert writes(world, mark) == []
    removal = succeeded(onboarder.onboard("-e", "remove=castai_clusters", **options, playbook=REMOVAL))
    assert all(removal.of("castai_gke_sa", host)[0]["kept"] == [] for host in HOSTS)
    after = world.state()["google"]
    for state in (after, story.before):
        for project in state.values():
            project.pop("deleted_accounts")
            project["roles"] = {name: role for name, role in project["roles"].items() if not role["deleted"]}
    assert after == story.before
