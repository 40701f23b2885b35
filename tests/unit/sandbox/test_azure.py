# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The world's Azure by its own rules: who can log in, who may do what, and what Graph's replicas show."""

from __future__ import annotations

import base64
import datetime

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import (
    CertificateCredential,
    ClientAssertionCredential,
    ClientSecretCredential,
    ManagedIdentityCredential,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from .azure_client import ARM, CLUSTER, GROUP_ID, NODES_ID, OPERATOR, OPERATOR_ID, SCOPE, TENANT, Azures, cluster

SCOPE_OF_ARM = f"{ARM}/.default"

CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"


def test_the_operator_logs_in_and_finds_the_cluster(azures: Azures) -> None:
    azures.azure.add_cluster(cluster("shop"))
    token = azures.credential().get_token("https://management.azure.com/.default").token
    status, found = azures.arm("GET", CLUSTER, version="2026-02-01", bearer=token)
    assert (status, found["properties"]["fqdn"]) == (200, "shop-dns-01234567.hcp.westeurope.azmk8s.io")
    assert [entry.call.who for entry in azures.gate.journal.since(0)][-1] == OPERATOR_ID


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"secret": "wrong"}, "AADSTS7000215"),
        ({"client_id": "99999999-9999-4999-8999-999999999999"}, "AADSTS700016"),
        ({"tenant": "99999999-9999-4999-8999-999999999999"}, "Unable to get authority configuration"),
    ],
)
def test_a_login_that_is_wrong_is_refused(azures: Azures, change: dict[str, str], said: str) -> None:
    with pytest.raises((ClientAuthenticationError, ValueError), match=said):
        azures.credential(**change).get_token("https://management.azure.com/.default")


def test_an_application_of_another_tenant_logs_in_where_it_is_known(azures: Azures) -> None:
    other = azures.do("add_operator", tenant="11111111-1111-4111-8111-222222222222")
    here = {name: other[name] for name in ("client_id", "secret")}
    with pytest.raises(ClientAuthenticationError, match="AADSTS700016"):
        azures.credential(**here, tenant=TENANT).get_token("https://management.azure.com/.default")
    azures.do("add_guest", client_id=other["client_id"], tenant=TENANT)
    assert azures.credential(**here, tenant=TENANT).get_token("https://management.azure.com/.default")
    assert azures.credential(**here, tenant=other["tenant"]).get_token("https://management.azure.com/.default")


def certificate() -> tuple[bytes, str]:
    """A PEM file with its key, and the certificate in the portal's form."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "operator")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    signed = made.sign(key, hashes.SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + signed.public_bytes(Encoding.PEM), base64.b64encode(signed.public_bytes(Encoding.DER)).decode()


def test_a_certificate_logs_in_once_the_application_has_it(azures: Azures) -> None:
    pem, der = certificate()
    credential = CertificateCredential(TENANT, OPERATOR, certificate_data=pem, **azures.transport())
    with pytest.raises(ClientAuthenticationError, match="AADSTS700027"):
        credential.get_token(SCOPE_OF_ARM)
    azures.do("add_certificate", client_id=OPERATOR, der=der)
    again = CertificateCredential(TENANT, OPERATOR, certificate_data=pem, **azures.transport())
    assert azures.arm("GET", SCOPE, version="2022-12-01", bearer=again.get_token(SCOPE_OF_ARM).token)[0] == 200


def test_a_token_from_outside_logs_in_where_a_federated_credential_trusts_it(azures: Azures) -> None:
    issuer, subject = "https://token.actions.example.com", "repo:acme/shop:ref:main"
    token = azures.do("federated_token", issuer=issuer, subject=subject)

    def credential(host: str = "login.microsoftonline.com") -> ClientAssertionCredential:
        known = {"authority": host, "disable_instance_discovery": True}
        return ClientAssertionCredential(TENANT, OPERATOR, lambda: token, **known, **azures.transport())

    with pytest.raises(ClientAuthenticationError, match="AADSTS70021") as caught:
        credential().get_token(SCOPE_OF_ARM)
    assert subject in str(caught.value)
    trust = {"issuer": issuer, "subject": subject, "audience": "api://AzureADTokenExchange"}
    azures.do("add_federated", of=OPERATOR, name="ci", **trust)
    assert credential().get_token(SCOPE_OF_ARM).token
    token = token[:-1]
    with pytest.raises(ClientAuthenticationError, match="AADSTS700027"):
        credential().get_token(SCOPE_OF_ARM)
    token = azures.do("federated_token", issuer=issuer, subject=subject)
    with pytest.raises(ClientAuthenticationError, match="AADSTS70021"):
        credential("login.microsoftonline.us").get_token("https://management.usgovcloudapi.net/.default")


@pytest.mark.parametrize(
    ("login", "arm"),
    [
        ("login.microsoftonline.us", "management.usgovcloudapi.net"),
        ("login.chinacloudapi.cn", "management.chinacloudapi.cn"),
    ],
)
def test_other_clouds_have_their_own_hosts(azures: Azures, login: str, arm: str) -> None:
    operator = azures.operator()
    given = (operator["tenant"], operator["client_id"], operator["secret"])
    token = ClientSecretCredential(*given, authority=login, **azures.transport()).get_token(f"https://{arm}/.default")
    url = f"https://{arm}{SCOPE}?api-version=2022-12-01"
    assert azures.ask("GET", url, bearer=token.token)[0] == 200


def test_a_machine_logs_in_as_one_of_its_identities(azures: Azures, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IDENTITY_ENDPOINT", "MSI_ENDPOINT", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    made = azures.do("add_identity", name="machine", group="shop")
    azures.do("grant", principal=made["principal_id"], role="Reader", scope=SCOPE)
    azures.do("behave", machine=[made["client_id"]])
    token = ManagedIdentityCredential(**azures.transport()).get_token(SCOPE_OF_ARM).token
    assert azures.arm("GET", SCOPE, version="2022-12-01", bearer=token)[0] == 200
    assert azures.gate.journal.since(0)[-1].call.who == made["principal_id"]


def test_a_subscription_takes_tokens_of_its_tenant_and_of_those_that_manage_it(azures: Azures) -> None:
    theirs, other = "22222222-0000-4000-8000-000000000001", "11111111-1111-4111-8111-222222222222"
    azures.do("add_subscription", subscription=theirs, tenant=other)
    azures.do("grant", principal=OPERATOR_ID, role="Reader", scope=f"/subscriptions/{theirs}")
    path = f"/subscriptions/{theirs}"
    status, told = azures.arm("GET", path, version="2022-12-01")
    assert (status, told["error"]["code"]) == (401, "InvalidAuthenticationTokenTenant")
    azures.do("add_subscription", subscription=theirs, tenant=other, managed_by=[TENANT])
    assert azures.arm("GET", path, version="2022-12-01")[1]["tenantId"] == other


def test_a_field_is_shown_from_its_version_on(azures: Azures) -> None:
    azures.azure.add_cluster(cluster("shop"))
    old = azures.arm("GET", CLUSTER, version="2025-04-01")[1]
    new = azures.arm("GET", CLUSTER, version="2026-02-01")[1]
    missing = set(new["properties"]) - set(old["properties"])
    assert missing == {"nodeProvisioningProfile", "hostedSystemProfile"}
    assert "enableVnetIntegration" in old["properties"]["apiServerAccessProfile"]
    assert "kind" not in old


def test_ids_are_compared_without_case(azures: Azures) -> None:
    azures.azure.add_cluster(cluster("shop"))
    assert azures.arm("GET", CLUSTER.upper(), version="2026-02-01")[1]["name"] == "shop"


def test_without_entra_a_certificate_comes_with_the_kubeconfig(azures: Azures) -> None:
    azures.azure.add_cluster(cluster("shop", mode="none"))
    value = azures.arm("POST", f"{CLUSTER}/listClusterUserCredential?format=exec", version="2026-02-01")[1]
    text = base64.b64decode(value["kubeconfigs"][0]["value"]).decode()
    assert base64.b64encode(b"-----BEGIN CERTIFICATE-----\n").decode() in text
    assert "kubelogin" not in text


def test_roles_decide_what_an_operator_may(azures: Azures) -> None:
    azures.azure.add_cluster(cluster("shop"))
    other = azures.operator_with("Microsoft.ContainerService/managedClusters/read", scope=GROUP_ID)
    bearer = azures.credential(**other).get_token("https://management.azure.com/.default").token
    assert azures.arm("GET", CLUSTER, version="2026-02-01", bearer=bearer)[0] == 200
    clusters = f"{SCOPE}/providers/Microsoft.ContainerService/managedClusters"
    assert len(azures.arm("GET", clusters, version="2026-02-01", bearer=bearer)[1]["value"]) == 1
    status, told = azures.arm("POST", f"{CLUSTER}/listClusterUserCredential", version="2026-02-01", bearer=bearer)
    assert (status, told["error"]["code"]) == (403, "AuthorizationFailed")
    assert "listClusterUserCredential/action" in told["error"]["message"]
    assert azures.arm("GET", NODES_ID, version="2025-04-01", bearer=bearer)[0] == 403


def test_a_condition_limits_which_roles_may_be_assigned(azures: Azures) -> None:
    azures.azure.add_cluster(cluster("shop"))
    reader = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
    condition = (
        "((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR "
        "(@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {"
        f"{reader}}}))"
    )
    other = azures.do("add_operator")
    admin = "Role Based Access Control Administrator"
    azures.do("grant", principal=other["principal_id"], role=admin, scope=SCOPE, condition=condition)
    bearer = azures.do("token", principal_id=other["principal_id"])
    found = {}
    for role in (reader, "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"):
        body = {"roleDefinitionId": f"{SCOPE}/providers/Microsoft.Authorization/roleDefinitions/{role}"}
        path = f"{GROUP_ID}/providers/Microsoft.Authorization/roleAssignments/{role}"
        body |= {"principalId": OPERATOR_ID, "principalType": "ServicePrincipal"}
        found[role] = azures.arm("PUT", path, {"properties": body}, bearer=bearer)[0]
    assert list(found.values()) == [201, 403]


def test_azure_rbac_decides_by_cluster_and_namespace(azures: Azures) -> None:
    made = cluster("shop", mode="azure")
    azures.azure.add_cluster(made)
    other = azures.do("add_operator")["principal_id"]
    reader = "Azure Kubernetes Service RBAC Reader"
    azures.do("grant", principal=other, role=reader, scope=f"{CLUSTER}/namespaces/castai-agent")
    pods = {"resource": "pods", "verb": "list", "namespace": "castai-agent"}
    assert azures.azure.may(made, other, pods)
    assert not azures.azure.may(made, other, {**pods, "namespace": "default"})
    assert not azures.azure.may(made, other, {**pods, "resource": "secrets"})
    roles = {"group": "rbac.authorization.k8s.io", "resource": "clusterroles", "verb": "create"}
    assert azures.azure.may(made, OPERATOR_ID, roles)
    assert not azures.azure.may(made, other, roles)


def test_who_a_token_is_of_in_a_cluster(azures: Azures) -> None:
    aks = "6dae42f8-4368-4678-94ff-3960e28e3630"
    token = azures.credential().get_token(f"{aks}/.default").token
    made = cluster("shop")
    azures.azure.add_cluster(made)
    found = azures.azure.kubernetes_user(token, made)
    assert found is not None
    assert found[0] == OPERATOR_ID
    arm = azures.do("token")
    assert azures.azure.kubernetes_user(arm, made) is None
    azures.do("add_member", group="admins", member=OPERATOR_ID)
    person = azures.do("user_token", user="me@example.com", audience=aks, overage=True)
    assert azures.azure.kubernetes_user(person, made) == ("me@example.com", ())
    azures.clock.ahead += 3601
    assert azures.azure.kubernetes_user(token, made) is None
    none = cluster("bare", mode="none")
    azures.azure.add_cluster(none)
    fresh = azures.credential().get_token(f"{aks}/.default").token
    assert azures.azure.kubernetes_user(fresh, none) is None


def test_a_replica_that_lags_does_not_know_a_new_application(azures: Azures) -> None:
    azures.do("lag", seconds=30)
    owner = {"owners@odata.bind": [f"https://graph.microsoft.com/v1.0/directoryObjects/{OPERATOR_ID}"]}
    made = azures.graph("POST", "/applications", {"displayName": "castai", **owner})[1]
    path = f"/applications/{made['id']}"
    seen = [azures.graph("GET", path)[0] for _time in range(4)]
    assert sorted(seen) == [200, 200, 404, 404]
    listed = "/applications?$filter=displayName eq 'castai'"
    assert sorted(len(azures.graph("GET", listed)[1]["value"]) for _time in range(2)) == [0, 1]
    azures.clock.ahead += 31
    assert [azures.graph("GET", path)[0] for _time in range(2)] == [200, 200]


def test_only_owners_change_an_application(azures: Azures) -> None:
    mine = azures.do("add_app", name="mine", owners=[OPERATOR_ID])
    theirs = azures.do("add_app", name="theirs")
    assert azures.graph("PATCH", f"/applications/{mine['id']}", {"notes": "x"})[0] == 204
    assert azures.graph("PATCH", f"/applications/{theirs['id']}", {"notes": "x"})[0] == 403
    assert azures.graph("DELETE", f"/servicePrincipals/{theirs['principal_id']}")[0] == 403
    owned = azures.graph("GET", f"/applications/{mine['id']}/owners")[1]["value"]
    assert [one["id"] for one in owned] == [OPERATOR_ID]


def test_a_deleted_application_can_be_had_back_for_thirty_days(azures: Azures) -> None:
    made = azures.do("add_app", name="castai", owners=[OPERATOR_ID])
    assert azures.graph("DELETE", f"/applications/{made['id']}")[0] == 204
    assert azures.graph("GET", f"/servicePrincipals(appId='{made['client_id']}')")[0] == 404
    path = "/directory/deletedItems/microsoft.graph.application"
    assert [one["id"] for one in azures.graph("GET", path)[1]["value"]] == [made["id"]]
    assert azures.graph("POST", f"/directory/deletedItems/{made['id']}/restore")[0] == 200
    assert azures.graph("GET", f"/servicePrincipals(appId='{made['client_id']}')")[0] == 200
    azures.do("remove_app", client_id=made["client_id"], days_ago=31)
    assert azures.graph("GET", path)[1]["value"] == []


def test_a_unique_name_makes_what_there_is_not(azures: Azures) -> None:
    url = "https://graph.microsoft.com/v1.0/applications(uniqueName='castai-1')"
    session = azures.session(azures.do("token", audience="https://graph.microsoft.com"))
    ask = {"json": {"displayName": "castai"}, "headers": {"Prefer": "create-if-missing"}}
    assert session.patch(url, json=ask["json"]).status_code == 404
    assert session.patch(url, **ask).status_code == 201
    names = [one["uniqueName"] for one in azures.azure.state()["applications"]]
    assert names == ["castai-1", None]


def test_a_provider_is_registered_after_a_while(azures: Azures) -> None:
    azures.do("set_registered", namespace="Microsoft.ManagedIdentity", on=False)
    path = f"{SCOPE}/providers/Microsoft.ManagedIdentity"
    states = [azures.arm("GET", path, version="2025-04-01")[1]["registrationState"]]
    states.append(azures.arm("POST", f"{path}/register", version="2025-04-01")[1]["registrationState"])
    azures.clock.ahead += 6
    states.append(azures.arm("GET", path, version="2025-04-01")[1]["registrationState"])
    assert states == ["NotRegistered", "Registering", "Registered"]
    assert azures.writes() == ["Microsoft.ManagedIdentity/register/action"]


RECORDED = {
    "PUT": {
        "roleDefinitionId": f"{SCOPE}/providers/Microsoft.Authorization/roleDefinitions/{CONTRIBUTOR}",
        "principalId": OPERATOR_ID,
        "principalType": "ServicePrincipal",
        "scope": GROUP_ID,
        "createdOn": "2018-11-09T23:22:30.7697296Z",
        "updatedOn": "2018-11-09T23:22:30.7697296Z",
        "createdBy": None,
        "updatedBy": OPERATOR_ID,
    },
}
"""A role assignment from the tests of azure-mgmt-authorization 2.0.0, without fields that a newer version adds."""


def test_what_was_recorded_of_azure_is_answered(azures: Azures) -> None:
    azures.do("add_group", name="shop")
    path = f"{GROUP_ID}/providers/Microsoft.Authorization"
    given = {name: RECORDED["PUT"][name] for name in ("roleDefinitionId", "principalId")}
    name = "ddfe2dc0-9858-442f-aca3-ac215947a815"
    status, made = azures.arm("PUT", f"{path}/roleAssignments/{name}", {"properties": given})
    assert (status, sorted(made)) == (201, ["id", "name", "properties", "type"])
    assert made["id"] == f"{path}/roleAssignments/{name}"
    newer = {"condition", "conditionVersion", "delegatedManagedIdentityResourceId", "description"}
    told = {key: value for key, value in made["properties"].items() if key not in newer}
    times = {key: len(value) for key, value in told.items() if key.endswith("On")}
    assert times == {key: len(str(RECORDED["PUT"][key])) for key in times}
    assert {**told, "createdOn": 0, "updatedOn": 0} == {**RECORDED["PUT"], "createdOn": 0, "updatedOn": 0}
    status, gone = azures.arm("DELETE", f"{path}/roleAssignments/{name}")
    assert (status, gone["properties"]["createdBy"]) == (200, OPERATOR_ID)
    unknown = "7b266cd7-0bba-4ae2-8423-90ede5e1e898"
    status, told = azures.arm("GET", f"{SCOPE}/providers/Microsoft.Authorization/roleDefinitions/{unknown}")
    said = f"The specified role definition with ID '{unknown}' does not exist."
    assert (status, told["error"]) == (404, {"code": "RoleDefinitionDoesNotExist", "message": said})


def test_after_a_reset_it_is_as_it_came_up(azures: Azures) -> None:
    azures.azure.add_cluster(cluster("shop"))
    azures.reset()
    before = azures.azure.state()
    secret = azures.operator()["secret"]
    azures.graph("POST", "/applications", {"displayName": "castai"})
    azures.do("set_cluster", cluster="shop", powerState={"code": "Stopped"})
    azures.reset()
    assert {one["displayName"] for one in azures.azure.state()["applications"]} == {"operator"}
    assert azures.azure.state()["clusters"].keys() == before["clusters"].keys()
    assert azures.operator()["secret"] == secret
