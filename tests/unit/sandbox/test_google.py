# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The world's Google Cloud: who may do what, policies, deletions, delays, organizations and tokens."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timezone
from typing import Any

import pytest
import requests
from google.auth.transport.requests import AuthorizedSession
from google.oauth2 import service_account

from tests.sandbox.google import conditions
from tests.sandbox.google.catalog import kubernetes_permission
from tests.sandbox.google.tokens import CLOUD, EMAIL
from tests.sandbox.spec import ClusterSpec
from tests.sandbox.wire import Request

from .google_client import ADDRESS, NUMBER, OPERATOR, PROJECT, SHARED, Cloud, Ended, cluster

DAY = 24 * 3600
IAM = "https://iam.googleapis.com/v1"
PROJECTS = "https://cloudresourcemanager.googleapis.com/v3/projects"
PARENT = f"projects/{PROJECT}"
ROLE = f"{PARENT}/roles/castai.access"
READER = "roles/container.viewer"
SOMEBODY = "user:somebody@example.com"


def answer(found: requests.Response) -> tuple[int, str]:
    """Status, and Google's message."""
    return found.status_code, found.json().get("error", {}).get("message", "")


def reason(found: requests.Response) -> str:
    """The details: ErrorInfo's reason, or the type of the failed precondition."""
    detail = found.json()["error"]["details"][0]
    return str(detail.get("reason") or detail["violations"][0]["type"])


def policy(cloud: Cloud, version: int = 3, project: str = PROJECT) -> dict[str, Any]:
    body = {"options": {"requestedPolicyVersion": version}}
    found: dict[str, Any] = cloud.session().post(f"{PROJECTS}/{project}:getIamPolicy", json=body).json()
    return found


def write(cloud: Cloud, sent: dict[str, Any], token: str | None = None, **more: Any) -> requests.Response:
    return cloud.session(token).post(f"{PROJECTS}/{PROJECT}:setIamPolicy", json={"policy": sent, **more})


def made(cloud: Cloud, account_id: str = "castai-gke") -> str:
    """An account created by the operator; returns its e-mail."""
    found = cloud.session().post(f"{IAM}/{PARENT}/serviceAccounts", json={"accountId": account_id})
    return str(found.json()["email"])


def role(cloud: Cloud, *permissions: str, role_id: str = "castai.access") -> requests.Response:
    body = {"roleId": role_id, "role": {"title": "t", "includedPermissions": permissions, "stage": "GA"}}
    return cloud.session().post(f"{IAM}/{PARENT}/roles", json=body)


# Who may do what


def test_calls_and_test_iam_permissions_agree(cloud: Cloud) -> None:
    cloud.google.add_cluster(cluster("shop"))
    url = f"https://container.googleapis.com/v1/{PARENT}/locations/europe-west1/clusters/shop"
    for permissions, status in ((("container.clusters.get",), 200), (("container.clusters.list",), 403)):
        session = cloud.session(cloud.operator_with(*permissions))
        asked = {"permissions": ["container.clusters.get"]}
        held = session.post(f"{PROJECTS}/{PROJECT}:testIamPermissions", json=asked).json()
        assert bool(held.get("permissions")) is (status == 200)
        assert session.get(url).status_code == status
    said = answer(session.get(url))[1]
    assert said == f'Required "container.clusters.get" permission(s) for "{url.partition("/v1/")[2]}".'


def test_a_refusal_names_the_permission_as_each_service_does(cloud: Cloud) -> None:
    session = cloud.session(cloud.operator_with("container.clusters.get"))
    found = session.post(f"{IAM}/{PARENT}/serviceAccounts", json={"accountId": "castai-gke"})
    detail = found.json()["error"]["details"][0]
    assert (detail["reason"], detail["metadata"]["permission"]) == (
        "IAM_PERMISSION_DENIED",
        "iam.serviceAccounts.create",
    )
    assert answer(session.post(f"{PROJECTS}/{PROJECT}:getIamPolicy", json={})) == (
        403,
        "The caller does not have permission",
    )
    assert cloud.session().post(f"{PROJECTS}/no-such-project:getIamPolicy", json={}).status_code == 403


def test_a_condition_limits_a_grant(cloud: Cloud) -> None:
    first, second = made(cloud, "castai-one"), made(cloud, "castai-two")
    unique_id = cloud.google.store.account(first).unique_id  # type: ignore[union-attr]
    expression = f'resource.name.startsWith("projects/-/serviceAccounts/{unique_id}")'
    condition = {"title": "iam_condition", "expression": expression}
    caller = cloud.do("add_account", project=PROJECT, account_id="castai-caller")
    arguments = {"role": "roles/iam.serviceAccountUser", "member": f"serviceAccount:{caller}", "condition": condition}
    cloud.do("grant", project=PROJECT, **arguments)
    session = cloud.session(cloud.token(caller))
    for email, held in ((first, ["iam.serviceAccounts.actAs"]), (second, [])):
        url = f"{IAM}/{PARENT}/serviceAccounts/{email}:testIamPermissions"
        found = session.post(url, json={"permissions": ["iam.serviceAccounts.actAs"]}).json()
        assert found.get("permissions", []) == held


@pytest.mark.parametrize(
    ("expression", "met"),
    [
        ('resource.name == "x" || resource.type == "iam.googleapis.com/ServiceAccount"', True),
        ('resource.name.endsWith("1") && !(resource.service == "a")', True),
        ('resource.name in ["a", "projects/1"]', True),
        ('request.time < timestamp("2020-01-01T00:00:00Z")', False),
        ('request.auth.claims.email == "a@b"', False),
        ("api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', []).hasOnly(['roles/viewer'])", True),
        ("true", True),
    ],
)
def test_conditions(expression: str, met: bool) -> None:
    resource = {"resource.name": "projects/1", "resource.type": "iam.googleapis.com/ServiceAccount"}
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert conditions.holds(expression, {**resource, "resource.service": "iam", "request.time": now}) is met


@pytest.mark.parametrize(
    "expression", ["resource.nmae == 1", "resource.name.", "(true", 'foo("x")', 'resource.name.frob("x")', "true true"]
)
def test_a_condition_that_cannot_be_read_is_refused(cloud: Cloud, expression: str) -> None:
    binding = {"role": READER, "members": [SOMEBODY], "condition": {"title": "t", "expression": expression}}
    status, said = answer(write(cloud, {"version": 3, "bindings": [binding]}))
    assert (status, said.partition(":")[0]) == (400, "Condition expression compilation failed. Error")


# Policies


def test_below_version_3_a_conditional_binding_shows_under_another_name(cloud: Cloud) -> None:
    condition = {"title": "t", "expression": "true"}
    cloud.do("grant", project=PROJECT, role=READER, member=SOMEBODY, condition=condition)
    old, new = policy(cloud, 1), policy(cloud, 3)
    assert (old["version"], new["version"]) == (1, 3)
    assert old["bindings"][1]["role"].startswith(f"{READER}_withcond_")
    assert new["bindings"][1]["condition"] == condition
    status, said = answer(write(cloud, {**old, "version": 3}))
    assert (status, "is not supported" in said) == (400, True)
    assert answer(write(cloud, {**new, "version": 1}))[0] == 400
    assert write(cloud, new).status_code == 200


def test_a_rival_is_not_overwritten_and_audit_configs_survive(cloud: Cloud) -> None:
    audits = [{"service": "allServices", "auditLogConfigs": [{"logType": "DATA_READ"}]}]
    cloud.do("set_policy", project=PROJECT, bindings=policy(cloud)["bindings"], audits=audits)
    read = policy(cloud)
    cloud.do("grant", project=PROJECT, role=READER, member=SOMEBODY)
    status, said = answer(write(cloud, read))
    assert (status, said.startswith("There were concurrent policy changes.")) == (409, True)
    again = policy(cloud)
    again.pop("auditConfigs")
    assert write(cloud, again).json()["auditConfigs"] == audits
    assert (
        "auditConfigs"
        not in write(cloud, policy(cloud) | {"auditConfigs": []}, updateMask="auditConfigs,bindings").json()
    )


def test_etags_may_be_of_either_alphabet(cloud: Cloud) -> None:
    read = policy(cloud)
    cloud.google.store.projects[PROJECT].policy.etag = "a+/b"
    assert write(cloud, {**read, "etag": "a-_b"}).status_code == 200


@pytest.mark.parametrize(
    ("members", "roles", "said"),
    [
        (["nonsense"], [READER], "Invalid member: nonsense"),
        ([f"serviceAccount:nobody@{PROJECT}.iam.gserviceaccount.com"], [READER], "does not exist."),
        ([SOMEBODY], ["roles/nonsense"], "is not supported for this resource."),
        ([SOMEBODY], [ROLE], f"Role ({ROLE}) does not exist in the resource's hierarchy."),
        (
            [f"user:u{n}@example.com" for n in range(1501)],
            [READER],
            "(1,501) is larger than the maximum allowed size 1,500",
        ),
    ],
)
def test_what_a_policy_does_not_take(cloud: Cloud, members: list[str], roles: list[str], said: str) -> None:
    status, told = answer(write(cloud, {"bindings": [{"role": one, "members": members} for one in roles]}))
    assert (status, said in told) == (400, True), told


def test_exempted_members_count(cloud: Cloud) -> None:
    logs = [{"logType": "DATA_READ", "exemptedMembers": [f"user:u{n}@example.com" for n in range(1499)]}]
    audits = [{"service": "allServices", "auditLogConfigs": logs}]
    cloud.do("set_policy", project=PROJECT, bindings=policy(cloud)["bindings"], audits=audits)
    read = policy(cloud)
    read["bindings"].append({"role": READER, "members": [SOMEBODY]})
    assert "(1,501)" in answer(write(cloud, read))[1]


def test_a_condition_has_at_most_twelve_operators(cloud: Cloud) -> None:
    for terms, status in ((13, 200), (14, 400)):
        condition = {"title": "t", "expression": " || ".join(['resource.name.startsWith("x")'] * terms)}
        bindings = [*policy(cloud)["bindings"][:1], {"role": READER, "members": [SOMEBODY], "condition": condition}]
        assert write(cloud, {"version": 3, "bindings": bindings}).status_code == status


def test_a_deleted_accounts_members_are_named_so_and_come_back_with_it(cloud: Cloud) -> None:
    email = made(cloud)
    member = f"serviceAccount:{email}"
    account = cloud.google.store.account(email)
    assert account is not None
    cloud.do("grant", project=PROJECT, role=READER, member=member)
    before = policy(cloud)
    cloud.do("delete_account", email=email)
    deleted = f"deleted:{member}?uid={account.unique_id}"
    assert policy(cloud)["bindings"][1]["members"] == [deleted]
    assert answer(write(cloud, before)) == (400, f"Service account {email} does not exist.")
    assert made(cloud) == email  # anew, of another unique id
    assert policy(cloud)["bindings"][1]["members"] == [deleted]
    assert write(cloud, policy(cloud)).status_code == 200
    cloud.do("delete_account", email=email)
    url = f"{IAM}/{PARENT}/serviceAccounts/{account.unique_id}:undelete"
    assert cloud.session().post(url, json={}).status_code == 200
    assert policy(cloud)["bindings"][1]["members"] == [member]


# Roles


def test_a_roles_id_is_blocked_for_weeks(cloud: Cloud) -> None:
    assert role(cloud, "compute.zones.get").status_code == 200
    assert role(cloud, "compute.zones.get").status_code == 409
    cloud.do("delete_role", name=ROLE, days_ago=6)
    shown = cloud.session().get(f"{IAM}/{ROLE}").json()
    assert shown["deleted"]
    assert "in a deleted state" in answer(role(cloud, "compute.zones.get"))[1]
    url = f"{IAM}/{ROLE}?updateMask=title"
    assert cloud.session().patch(url, json={"title": "x"}).status_code == 400
    cloud.do("delete_role", name=ROLE, days_ago=8)
    assert cloud.session().get(f"{IAM}/{ROLE}").status_code == 404
    said = answer(role(cloud, "compute.zones.get"))[1]
    assert said == "You can't create a role_id (castai.access) which has been marked for deletion."
    cloud.do("delete_role", name=ROLE, days_ago=38)
    assert role(cloud, "compute.zones.get").status_code == 200


@pytest.mark.parametrize("permission", ["compute.instances.*", "compute.nonsense.get", "resourcemanager.projects.list"])
def test_a_custom_role_takes_known_permissions_only(cloud: Cloud, permission: str) -> None:
    assert answer(role(cloud, permission)) == (400, f"Permission {permission} is not valid.")


def test_a_deleted_role_gives_nothing(cloud: Cloud) -> None:
    session = cloud.session(cloud.operator_with("iam.roles.get"))
    role(cloud, "compute.zones.get")
    assert session.get(f"{IAM}/{ROLE}").status_code == 200
    for one in cloud.google.store.roles[:1]:
        cloud.do("delete_role", name=one.name)
    assert session.get(f"{IAM}/{ROLE}").status_code == 403


# Accounts and keys


def test_what_accounts_take(cloud: Cloud) -> None:
    session, email = cloud.session(), made(cloud)
    url = f"{IAM}/{PARENT}/serviceAccounts"
    assert session.post(url, json={"accountId": "short"}).status_code == 400
    assert session.post(url, json={"accountId": "castai-gke"}).status_code == 409
    long = {"serviceAccount": {"description": "é" * 129}, "updateMask": "description"}
    assert session.patch(f"{url}/{email}", json=long).status_code == 400
    wrong = {"serviceAccount": {"disabled": True}, "updateMask": "disabled"}
    assert session.patch(f"{url}/{email}", json=wrong).status_code == 400
    assert session.get(f"{IAM}/projects/-/serviceAccounts/nobody@x.iam.gserviceaccount.com").status_code == 403


def test_ten_keys(cloud: Cloud) -> None:
    session, email = cloud.session(), made(cloud)
    url = f"{IAM}/{PARENT}/serviceAccounts/{email}/keys"
    for _time in range(10):
        cloud.do("add_key", email=email)
    found = session.post(url, json={})
    assert (found.status_code, found.json()["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    cloud.do("behave", bare_key_limit=True)
    assert answer(session.post(url, json={})) == (400, "Precondition check failed.")


@pytest.mark.parametrize(
    ("constraint", "told"),
    [
        ("constraints/iam.disableServiceAccountKeyCreation", "constraints/iam.disableServiceAccountKeyCreation"),
        ("constraints/iam.managed.disableServiceAccountKeyCreation", "CUSTOM_ORG_POLICY_VIOLATION"),
    ],
)
def test_an_organization_forbids_keys(cloud: Cloud, constraint: str, told: str) -> None:
    cloud.do("set_constraint", project=PROJECT, constraint=constraint, value=True)
    found = cloud.session().post(f"{IAM}/{PARENT}/serviceAccounts/{made(cloud)}/keys", json={})
    assert (found.status_code, reason(found)) == (400, told)


def test_an_organization_lets_keys_expire(cloud: Cloud) -> None:
    value = {"allowed": ["24h"]}
    cloud.do("set_constraint", project=PROJECT, constraint="constraints/iam.serviceAccountKeyExpiryHours", value=value)
    found = cloud.session().post(f"{IAM}/{PARENT}/serviceAccounts/{made(cloud)}/keys", json={}).json()
    text = base64.b64decode(found["privateKeyData"]).decode()
    assert not found["validBeforeTime"].startswith("9999")
    assert token_of(cloud, text).status_code == 200
    cloud.clock.ahead += DAY + 1
    assert token_of(cloud, text).json()["error"] == "invalid_grant"


def test_an_organization_lets_in_whom_it_names(cloud: Cloud) -> None:
    foreign = cloud.do("add_account", project="prod-cast-identity", account_id="cast-gke-1")
    constraint = "constraints/iam.allowedPolicyMemberDomains"
    cloud.do("set_constraint", project=PROJECT, constraint=constraint, value={"allowed": []})
    read = policy(cloud)
    read["bindings"].append({"role": READER, "members": [f"serviceAccount:{foreign}"]})
    found = write(cloud, read)
    assert (found.status_code, reason(found)) == (400, constraint)
    allowed = {"allowed": [f"serviceAccount:{foreign}"]}
    cloud.do("set_constraint", project=PROJECT, constraint=constraint, value=allowed)
    assert write(cloud, read).status_code == 200


def token_of(cloud: Cloud, text: str) -> requests.Response:
    """The token endpoint's answer to a key file."""
    credentials = cloud.key_credentials(text)
    assertion = credentials._make_authorization_grant_assertion().decode()
    grant = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
    return cloud.plain_session().post("https://oauth2.googleapis.com/token", data=grant)


def test_a_key_of_somebody_else_and_a_disabled_account_get_no_token(cloud: Cloud) -> None:
    email = made(cloud)
    key = json.loads(cloud.do("add_key", email=email))
    assert token_of(cloud, json.dumps(key)).status_code == 200
    forged = {**key, "private_key": json.loads(cloud.google.operator_key())["private_key"]}
    assert token_of(cloud, json.dumps(forged)).json()["error_description"] == "Invalid JWT Signature."
    cloud.session().post(f"{IAM}/{PARENT}/serviceAccounts/{email}:disable", json={})
    assert token_of(cloud, json.dumps(key)).status_code == 401


def test_a_token_ends_with_its_time_and_with_its_account(cloud: Cloud) -> None:
    email = made(cloud)
    token = cloud.token(email, life=60)
    url = "https://www.googleapis.com/oauth2/v3/userinfo"
    assert cloud.session(token).get(url).json()["email"] == email
    cloud.clock.ahead += 61
    assert (
        cloud.google.handle(Request("GET", "www.googleapis.com", "/oauth2/v3/userinfo", "", bearer(token), b"")).status
        == 401
    )
    later = cloud.token(email)
    cloud.do("delete_account", email=email)
    assert (
        cloud.google.handle(Request("GET", "www.googleapis.com", "/oauth2/v3/userinfo", "", bearer(later), b"")).status
        == 401
    )


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


# Delays


def test_what_is_new_is_not_seen_at_once(cloud: Cloud) -> None:
    cloud.do("visibility", uses=1)
    session, email = cloud.session(), made(cloud)
    url = f"{IAM}/{PARENT}/serviceAccounts/{email}"
    assert [session.get(url).status_code for _time in range(2)] == [404, 200]
    read = policy(cloud)
    read["bindings"].append({"role": READER, "members": [f"serviceAccount:{email}"]})
    assert [write(cloud, read).status_code for _time in range(2)] == [400, 200]
    role(cloud, "compute.zones.get")
    read = policy(cloud)
    read["bindings"].append({"role": ROLE, "members": [SOMEBODY]})
    assert "hierarchy" in answer(write(cloud, read))[1]
    assert write(cloud, read).status_code == 200
    body = {"serviceAccount": {"description": "new"}, "updateMask": "description"}
    assert [session.patch(url, json=body).status_code for _time in range(2)] == [404, 200]
    assert [session.get(url).json().get("description") for _time in range(2)] == [None, "new"]
    cloud.do("behave", unseen_is_forbidden=True)
    other = made(cloud, "castai-other")
    found = session.get(f"{IAM}/{PARENT}/serviceAccounts/{other}")
    assert (found.status_code, reason(found)) == (403, "IAM_PERMISSION_DENIED")


def test_a_grant_takes_minutes(cloud: Cloud) -> None:
    caller = cloud.do("add_account", project=PROJECT, account_id="castai-caller")
    cloud.do("visibility", grants=120)
    cloud.do("grant", project=PROJECT, role="roles/iam.serviceAccountAdmin", member=f"serviceAccount:{caller}")
    url = f"{IAM}/{PARENT}/serviceAccounts/{OPERATOR}"
    assert cloud.session(cloud.token(caller)).get(url).status_code == 403
    cloud.clock.ahead += 121
    assert cloud.session(cloud.token(caller)).get(url).status_code == 200


def test_a_service_that_is_off_and_the_first_calls_after_it_is_on(cloud: Cloud) -> None:
    cloud.do("set_services", project=PROJECT, off=["iam.googleapis.com"])
    cloud.do("visibility", uses=1, kinds=["services"])
    url = f"{IAM}/{PARENT}/serviceAccounts/{OPERATOR}"
    found = cloud.session().get(url)
    assert (found.status_code, reason(found)) == (403, "SERVICE_DISABLED")
    assert found.json()["error"]["details"][0]["metadata"]["consumer"] == f"projects/{NUMBER}"
    usage = f"https://serviceusage.googleapis.com/v1/{PARENT}/services:batchEnable"
    cloud.session().post(usage, json={"serviceIds": ["iam.googleapis.com"]})
    cloud.clock.ahead += 1
    assert [cloud.session().get(url).status_code for _time in range(2)] == [403, 200]


def test_enabling_may_fail_inside(cloud: Cloud) -> None:
    cloud.do("set_services", project=PROJECT, off=["compute.googleapis.com"])
    cloud.do("behave", enabling_fails={"code": 9, "message": "with failed services [compute.googleapis.com]"})
    usage = f"https://serviceusage.googleapis.com/v1/{PARENT}/services:batchEnable"
    started = cloud.session().post(usage, json={"serviceIds": ["compute.googleapis.com"]}).json()
    cloud.clock.ahead += 1
    done = cloud.session().get(f"https://serviceusage.googleapis.com/v1/{started['name']}").json()
    assert (done["done"], done["error"]["code"]) == (True, 9)
    assert cloud.google.state()[PROJECT]["services"].count("compute.googleapis.com") == 0


# Logging in with federation, impersonation and machines


def test_a_foreign_token_becomes_googles(cloud: Cloud) -> None:
    cloud.do("behave", subject_tokens={"github-jwt": "repo:acme/infra"})
    pool = f"projects/{NUMBER}/locations/global/workloadIdentityPools/github"
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": f"//iam.googleapis.com/{pool}/providers/actions",
        "subject_token": "github-jwt",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "scope": CLOUD,
    }
    token = cloud.plain_session().post("https://sts.googleapis.com/v1/token", data=form).json()["access_token"]
    member = f"principal://iam.googleapis.com/{pool}/subject/repo:acme/infra"
    url = f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{OPERATOR}:generateAccessToken"
    body = {"scope": [CLOUD]}
    assert cloud.session(token).post(url, json=body).status_code == 403
    cloud.do("grant", project=OPERATOR, role="roles/iam.workloadIdentityUser", member=member)
    assert cloud.session(token).post(url, json=body).status_code == 200


def test_a_machine_has_the_scopes_that_it_was_made_with(cloud: Cloud) -> None:
    def asked(path: str) -> Any:
        url = f"http://metadata.google.internal/computeMetadata/v1/{path}"
        return cloud.plain_session().get(url, headers={"Metadata-Flavor": "Google"})

    assert asked("project/project-id").status_code == 404
    cloud.do("behave", machine={"email": OPERATOR, "scopes": [CLOUD]})
    assert asked("project/project-id").text == PROJECT
    token = asked(f"instance/service-accounts/default/token?scopes={CLOUD},{EMAIL}").json()["access_token"]
    user = cloud.google.kubernetes_user(token)
    assert user is not None
    assert user[0].isdigit()


def test_the_modules_gateway_is_known_by_its_token(cloud: Cloud) -> None:
    assert cloud.gateway().caller() == OPERATOR
    assert cloud.gateway(cloud.token(SOMEBODY)).caller() == SOMEBODY.partition(":")[2]


def test_another_universe_takes_jwts_that_a_key_has_signed(cloud: Cloud) -> None:
    info = {**json.loads(cloud.google.operator_key()), "universe_domain": "universe.example"}
    credentials = service_account.Credentials.from_service_account_info(info, scopes=[CLOUD])
    session = AuthorizedSession(credentials)
    session.mount("https://", cloud.adapter())
    url = f"https://iam.universe.example/v1/{PARENT}/serviceAccounts/{OPERATOR}"
    assert session.get(url).json()["email"] == OPERATOR


@pytest.mark.parametrize(
    ("asked", "permission"),
    [
        (("", "configmaps", "", "watch"), "container.configMaps.list"),
        (("apps", "deployments", "", "patch"), "container.deployments.update"),
        (("apps", "deployments", "scale", "update"), "container.deployments.updateScale"),
        (("", "pods", "log", "get"), "container.pods.getLogs"),
        (("rbac.authorization.k8s.io", "clusterroles", "", "escalate"), "container.clusterRoles.escalate"),
        (("autoscaling.cast.ai", "recommendations", "", "create"), "container.thirdPartyObjects.create"),
        (
            ("autoscaling.k8s.io", "verticalpodautoscalers", "", "deletecollection"),
            "container.thirdPartyObjects.delete",
        ),
        (("", "nonsense", "", "get"), ""),
    ],
)
def test_what_iam_is_asked_for_a_request_to_a_cluster(asked: tuple[str, str, str, str], permission: str) -> None:
    assert kubernetes_permission(*asked) == permission


def test_iam_lets_into_a_cluster_whom_a_policy_names(cloud: Cloud) -> None:
    shop = cluster("shop")
    cloud.google.add_cluster(shop)
    cloud.do("grant", project=PROJECT, role="roles/container.developer", member=SOMEBODY)
    for resource, allowed in (("secrets", True), ("clusterroles", False)):
        asked = {"group": "", "resource": resource, "verb": "create"}
        assert cloud.google.may(shop, "somebody@example.com", asked) is allowed
        assert cloud.google.may(shop, OPERATOR, asked)
        assert not cloud.google.may(shop, "nobody@example.com", asked)


def test_a_project_of_a_domain(cloud: Cloud) -> None:
    cloud.do("add_project", project="example.com:shop-prod")
    cloud.do("grant", project="example.com:shop-prod", role="roles/owner", member=f"serviceAccount:{OPERATOR}")
    found = cloud.session().post(
        f"{IAM}/projects/example.com:shop-prod/serviceAccounts", json={"accountId": "castai-gke"}
    )
    assert found.json()["email"] == "castai-gke@shop-prod.example.com.iam.gserviceaccount.com"
    assert policy(cloud, project="example.com:shop-prod")["version"] == 1
    spec = ClusterSpec.parse("shop:gke:project=example.com:shop-prod:location=europe-west1-b")
    assert spec.place == ("example.com:shop-prod", "europe-west1-b")


# The whole


def test_a_reset_leaves_the_operator_and_its_key(cloud: Cloud) -> None:
    before, key = cloud.google.state(), cloud.google.operator_key()
    made(cloud)
    role(cloud, "compute.zones.get")
    cloud.do("grant", project=SHARED, role=READER, member=SOMEBODY)
    cloud.google.reset()
    assert (cloud.google.state(), cloud.google.operator_key()) == (before, key)
    assert token_of(cloud, key).status_code == 200


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        ({"status": 403, "code": "SERVICE_DISABLED"}, 403, "SERVICE_DISABLED"),
        ({"status": 403, "code": "iam.serviceAccounts.get"}, 403, "IAM_PERMISSION_DENIED"),
        (
            {"status": 400, "code": "constraints/iam.disableServiceAccountCreation", "message": "m"},
            400,
            "constraints/iam",
        ),
        ({"status": 429, "code": "RATE_LIMIT_EXCEEDED"}, 429, "RATE_LIMIT_EXCEEDED"),
        ({"status": 403, "code": "VPC_SERVICE_CONTROLS"}, 403, "VPC_SERVICE_CONTROLS"),
    ],
)
def test_faults_have_googles_bodies(cloud: Cloud, fault: dict[str, Any], status: int, said: str) -> None:
    cloud.gate.faults.load([{"system": "google", "operation": r"iam\..*\.get", "fail": fault}])
    found = cloud.session().get(f"{IAM}/{PARENT}/serviceAccounts/{OPERATOR}")
    assert (found.status_code, said in reason(found)) == (status, True)
    assert cloud.gate.journal.since(0)[-1].fault == "fail"


def test_faults_that_say_nothing_say_googles_words(cloud: Cloud) -> None:
    fault = {"operation": ".*setIamPolicy", "fail": {"status": 409, "code": "ABORTED"}}
    cloud.gate.faults.load([fault, {"operation": ".*getIamPolicy", "fail": {"status": 502, "code": "HTML"}}])
    status, said = answer(write(cloud, {"bindings": []}))
    assert (status, said.startswith("There were concurrent policy changes.")) == (409, True)
    assert cloud.session().post(f"{PROJECTS}/{PROJECT}:getIamPolicy", json={}).text.startswith("<html>")


def test_a_quota_project_must_be_the_callers_to_use(cloud: Cloud) -> None:
    url = f"{IAM}/{PARENT}/serviceAccounts/{OPERATOR}"
    session = cloud.session(cloud.operator_with("iam.serviceAccounts.get"))
    found = session.get(url, headers={"x-goog-user-project": SHARED})
    assert (found.status_code, reason(found)) == (403, "USER_PROJECT_DENIED")
    assert cloud.session().get(url, headers={"x-goog-user-project": SHARED}).status_code == 200


def test_a_caller_can_be_ended_and_an_answer_lost(cloud: Cloud) -> None:
    cloud.gate.faults.load([{"system": "google", "write": True, "end": "after"}])
    with pytest.raises(Ended):
        made(cloud)
    assert cloud.google.store.account(f"castai-gke@{PROJECT}.iam.gserviceaccount.com")
    cloud.gate.faults.load([{"system": "google", "write": True, "lose": "before"}])
    with pytest.raises(requests.ConnectionError):
        made(cloud, "castai-lost")
    assert not cloud.google.store.account(f"castai-lost@{PROJECT}.iam.gserviceaccount.com")
    rival = {"verb": "grant", "args": {"project": PROJECT, "role": READER, "member": SOMEBODY}}
    cloud.gate.faults.load([{"operation": ".*setIamPolicy", "rival": rival}])
    assert write(cloud, policy(cloud)).status_code == 409
    sent = Request("GET", "iam.googleapis.com", f"/v1/{PARENT}/roles", "", bearer(cloud.token()), b"")
    assert cloud.gate.answer(cloud.google, sent, ADDRESS, ADDRESS).status == 200  # type: ignore[union-attr]
