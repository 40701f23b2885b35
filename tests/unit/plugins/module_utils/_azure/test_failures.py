# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every failure mode of Azure that onboarding must survive, by its number, on the local Azure and CAST AI.

Each is judged by the resulting state, by the journal, and by the names in the sentence. A plan writes nothing, and a
refusal comes before any write. Whatever happened, a rerun after the cause is gone ends as an undisturbed run does, with
one live secret that CAST AI has, and no object of others is lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._azure.aks import not_shown
from ansible_collections.castai.onboarding.plugins.module_utils._azure.permissions import GRANTS
from ansible_collections.castai.onboarding.plugins.module_utils._castai import preflight
from ansible_collections.castai.onboarding.plugins.module_utils._clusters import aks, on_azure
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.connection import reach
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.facts import ClusterFacts, Named
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.azure import Azure
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.azure_session import Caller
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.castai import Cluster as Record
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.kubernetes import TIMED_OUT, by_token
from tests.sandbox.azure.control import OPERATOR_ID, OTHER_TENANT
from tests.support.https import reply
from tests.unit.plugins.conftest import Wire
from tests.unit.plugins.module_utils._azure.test_moving_over import leave
from tests.unit.sandbox import failures
from tests.unit.sandbox.aks_subscription import GROUP_ID, NETWORK_ID, NODES_ID, SUBSCRIPTION, World, world
from tests.unit.sandbox.azure_client import SCOPE, TENANT
from tests.unit.sandbox.failures import Before, Failure, Way, do, each, ending, met, rerun, run, take_away

__all__ = ["world"]

MANAGED = {"identity": "managed_identity"}
FEDERATED = {"credential": "federated"}
SCOPES = {one.lower() for one in (GROUP_ID, NODES_ID, NETWORK_ID)}
FEDERATION = {"issuer": "https://accounts.google.com", "audience": "api://AzureADTokenExchange"}
HUB = "/subscriptions/22222222-2222-4222-8222-333333333333"
OTHERS = "5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e"
PASSWORD = "pa55word"
PROXY = {"httpProxy": f"http://user:{PASSWORD}@proxy.example.com:3128", "noProxy": ["10.0.0.0/8"], "enabled": True}


fault = partial(failures.fault, "azure")
fails = partial(failures.fails, "azure")
CREATE_APP = r"applications\.create"
ADD_PASSWORD = r"applications\.addPassword"
ASSIGN = r".*/roleAssignments/write"
READ_CLUSTER = r".*/managedClusters/read"


def hidden(seconds: float, *kinds: str) -> Before:
    return do("visibility", seconds=seconds, kinds=kinds)


SEEN = do("visibility")


def fields(**changes: Any) -> Before:
    return do("set_cluster", cluster="shop", **changes)


def acts_with(*graph: str) -> Before:
    return lambda world: world.act_as(world.cloud.operator_with("*", graph=graph))


def acts_as_owner(world: World) -> None:
    world.act_as({})


def acts_with_a_condition(world: World) -> None:
    """An operator who may only assign another role."""
    operator = world.cloud.do("add_operator", graph=["Application.ReadWrite.OwnedBy"], roles={SCOPE: ["Reader"]})
    actions = ["Microsoft.Authorization/*", "Microsoft.Resources/subscriptions/read"]
    role = world.cloud.do("add_role", name="conditional", actions=actions, scopes=[SCOPE])
    condition = (
        "((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR"
        " (@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId]"
        " ForAnyOfAnyValues:GuidEquals {8e3af657-a8ff-443c-a75c-2fe8c4bcb635}))"
    )
    world.cloud.do("grant", principal=operator["principal_id"], role=role, scope=SCOPE, condition=condition)
    world.act_as({name: operator[name] for name in ("client_id", "tenant", "secret")})


def in_capitals(world: World) -> None:
    world.run()
    for one in world.cloud.azure.store.assignments:
        one.scope = one.scope.replace("/resourceGroups/", "/RESOURCEGROUPS/").upper().replace("SUBSCRIP", "Subscrip")


def of_the_script(world: World) -> None:
    leave(world, "script")


def its_id_is_taken(world: World) -> None:
    """The id of one of our assignments is already taken by another's."""
    principal = world.run().view["castai_principal_id"]
    store = world.cloud.azure.store
    taken = next(one for one in store.assignments if one.said["principalId"] == principal)
    store.assignments.remove(taken)
    world.cloud.do("grant", principal=principal, role="Reader", scope=taken.scope, name=taken.name)


def app_deleted(world: World) -> None:
    world.run()
    world.cloud.do("remove_app", client_id=world.app()["appId"])


def name_is_taken(world: World) -> None:
    """In a group of the tenant where the role is not visible."""
    elsewhere = world.cloud.do("add_group", name="elsewhere")
    world.cloud.do("add_role", name=f"CastAKSRole-{world.short}", actions=["*/read"], scopes=[elsewhere])


def in_network(network: str) -> Before:
    def add(world: World) -> None:
        world.cloud.do("add_network", identity=network, subnets=["s"])
        world.cloud.do("add_pool", cluster="shop", name="more", vnetSubnetID=f"{network}/subnets/s")

    return add


def own_kubelets(world: World) -> None:
    own = world.cloud.do("add_identity", name="kubelets", group="identities")["id"]
    world.cloud.do("set_cluster", cluster="shop", identityProfile={"kubeletidentity": {"resourceId": own}})


def role_scopes(world: World) -> set[str]:
    """Where CAST AI has its role."""
    principals = {one["id"] for one in world.state["service_principals"] if one["appId"] == world.given["clientId"]}
    (principal,) = principals
    return world.scopes(principal)


def federation_written(world: World) -> None:
    world.run(hand_over=False, ended_after=2, **MANAGED)
    world.cloud.do("behave", federation_takes=20)
    identity = next(one for one in world.cloud.azure.store.identities.values() if one.id.endswith("castai-identity"))
    identity.written_at = world.clock()


def trusted_under_another_name(world: World) -> None:
    made = world.cloud.do("add_identity", name="shop-castai-identity", group="shop")
    world.cloud.do("add_federated", of=made["id"], name="by-hand", subject=world.subject(), **FEDERATION)


def app_trusts_under_another_name(world: World) -> None:
    made = world.cloud.do("add_app", name=f"CAST.AI shop-{world.short}", owners=[OPERATOR_ID])
    world.cloud.do("add_federated", of=made["client_id"], name="by-hand", subject=world.subject(), **FEDERATION)


def trusts(world: World) -> list[str]:
    """The names of the federated credentials that CAST AI may use."""
    every = [*world.apps, *world.identities.values()]
    return [one["name"] for owner in every for one in owner["federatedIdentityCredentials"]]


def twenty_federations(world: World) -> None:
    made = world.cloud.do("add_identity", name="shop-castai-identity", group="shop")
    for number in range(20):
        named = {"issuer": "https://example.com", "subject": f"s{number}", "audience": "api://x"}
        world.cloud.do("add_federated", of=made["id"], name=f"name-{number}", **named)


def no_federations(world: World) -> None:
    for identity in world.cloud.azure.store.identities.values():
        identity.federated.clear()


def keyless(on: bool) -> Before:
    return lambda world: world.api.control("keyless", on=on)


def ended_before_it_was_listed(world: World) -> None:
    world.cloud.do("visibility", seconds=20, kinds=["applications", "servicePrincipals"])
    assert world.run_until(2)


def locked(level: str) -> Before:
    return do("add_lock", scope=GROUP_ID, level=level)


def unlocked(world: World) -> None:
    for one in [*world.cloud.azure.store.locks]:
        world.cloud.do("remove_lock", identity=one["id"])


def no_policies(world: World) -> None:
    world.cloud.azure.store.policies.clear()


def written(world: World, operation: str) -> int:
    return sum(bool(re.fullmatch(operation, one)) for one in world.cloud.writes())


OF_IDENTITIES = "Microsoft.ManagedIdentity/userAssignedIdentities"
BOTH_WAYS = (("secret", {}), ("managed", MANAGED), ("federated", FEDERATED))

FAILURES = (
    Failure("A2", in_capitals),
    Failure(
        "A3",
        fields(powerState={"code": "Stopped"}),
        said=("AKS cluster shop is stopped. Start it", "az aks start --name shop --resource-group shop"),
        refused=True,
        gone=fields(powerState={"code": "Running"}),
    ),
    Failure("A9", hidden(40, "principals"), gone=SEEN),
    Failure(
        "A9 forever",
        hidden(10_000, "principals"),
        said=("PrincipalNotFound", "Microsoft.Authorization/roleAssignments/write"),
        gone=SEEN,
        seconds=330,
    ),
    Failure("A10", of_the_script, shown=("create a secret",)),
    Failure("A11", its_id_is_taken, holds=lambda world: role_scopes(world) == SCOPES, ours=False),
    Failure("A12", app_deleted, shown=("of an identity that CAST AI no longer uses",)),
    Failure(
        "A13",
        name_is_taken,
        ours=False,
        holds=lambda world: (
            role_scopes(world) == SCOPES and bool(world.role(f"CastAKSRole-{world.cluster_id}")["permissions"])
        ),
    ),
    Failure("A14", hidden(40, "roles"), gone=SEEN),
    Failure(
        "A14 forever",
        hidden(10_000, "roles"),
        said=("RoleDefinitionDoesNotExist", "Microsoft.Authorization/roleAssignments/write"),
        gone=SEEN,
        seconds=330,
    ),
    Failure(
        "A15",
        each(run, hidden(5, "role_texts")),
        options={"managed_clusters_write": True},
        ours=False,
        holds=lambda world: written(world, ".*/roleDefinitions/write") == 2,
    ),
    Failure(
        "A16",
        each(run, in_network(f"{SCOPE}/resourceGroups/my.net/providers/Microsoft.Network/virtualNetworks/v")),
        shown=("update role CastAKSRole-", "on resource group my.net"),
        ours=False,
        holds=lambda world: (
            role_scopes(world) == SCOPES | {f"{SCOPE}/resourcegroups/my.net".lower()} and written(world, ASSIGN) == 4
        ),
    ),
    Failure(
        "A17",
        in_network(f"{HUB}/resourceGroups/hub/providers/Microsoft.Network/virtualNetworks/v"),
        said=(f"{HUB}/resourceGroups/hub", "Microsoft.Authorization/roleAssignments/read"),
        refused=True,
        gone=do("grant", principal=OPERATOR_ID, role="Owner", scope=HUB),
        ours=False,
        holds=lambda world: role_scopes(world) == SCOPES | {f"{HUB}/resourcegroups/hub"},
    ),
    Failure(
        "A18",
        own_kubelets,
        ours=False,
        holds=lambda world: role_scopes(world) == SCOPES | {f"{SCOPE}/resourcegroups/identities".lower()},
    ),
    Failure("A19", federation_written, options=MANAGED, least=10, seconds=90),
    *(
        Failure(
            f"A20 {status}",
            each(do("behave", duplicate_is_bad_request=bad), trusted_under_another_name),
            options={**MANAGED, "adopt": True},
            ours=False,
            holds=lambda world: trusts(world) == ["by-hand"],
        )
        for status, bad in ((400, True), (409, None))
    ),
    Failure(
        "A20 of an app",
        app_trusts_under_another_name,
        options=FEDERATED,
        ours=False,
        holds=lambda world: trusts(world) == ["by-hand"],
    ),
    Failure(
        "A21",
        do("behave", regions_without_federation=["westeurope"]),
        options=MANAGED,
        said=("405", "aks_onboard_identity_location (option identity_location) to another region"),
        gone=do("behave", regions_without_federation=None),
    ),
    Failure(
        "A22",
        twenty_federations,
        options={**MANAGED, "adopt": True},
        said=("has 20 federated credentials, the most that Entra allows", "shop-castai-identity"),
        refused=True,
        gone=no_federations,
    ),
    *(
        Failure(f"A23 {name}", hidden(400, "federation"), options=options, gone=SEEN, least=300)
        for name, options in BOTH_WAYS[1:]
    ),
    Failure(
        "A23 forever",
        hidden(30_000, "federation"),
        options=MANAGED,
        said=("hand the credentials over",),
        gone=SEEN,
        least=600,
        seconds=660,
    ),
    Failure(
        "A24",
        keyless(False),
        options=MANAGED,
        said=("aks_onboard_identity (option identity) to app", "aks_onboard_credential (option credential) to secret"),
        refused=True,
        gone=keyless(True),
    ),
    Failure(
        "A24 of an app",
        keyless(False),
        options=FEDERATED,
        said=("aks_onboard_credential (option credential) to secret",),
        gone=keyless(True),
    ),
    Failure(
        "A25",
        acts_with("Application.Read.All"),
        said=("Authorization_RequestDenied", "Application.ReadWrite.OwnedBy"),
        gone=acts_as_owner,
    ),
    Failure("A26", ended_before_it_was_listed, gone=SEEN, holds=lambda world: written(world, CREATE_APP) == 1),
    Failure("A27", faults=(fault(CREATE_APP, "lose", "after"),), holds=lambda world: written(world, CREATE_APP) == 1),
    Failure("A28", hidden(40, "applications"), gone=SEEN, holds=lambda world: len(world.apps) == 1),
    Failure("A28 passwords", hidden(40, "passwords"), gone=SEEN),
    Failure("A29", hidden(40, "applications", "servicePrincipals"), gone=SEEN),
    Failure(
        "A29 of others",
        faults=(fails(r"servicePrincipals\.create", 403, "Authorization_RequestDenied"),),
        said=("Authorization_RequestDenied", "Application.ReadWrite.OwnedBy"),
        seconds=5,
    ),
    Failure(
        "A30",
        do("set_app_policy", max_days=90),
        said=("CredentialInvalidLifetimeAsPerAppPolicy", "aks_onboard_secret_days (option secret_days)"),
        gone=do("set_app_policy"),
    ),
    Failure(
        "A31",
        do("set_app_policy", secrets_forbidden=True),
        said=(
            "aks_onboard_credential (option credential) to federated",
            "aks_onboard_identity (option identity) to managed_identity",
        ),
        gone=do("set_app_policy"),
    ),
    Failure("A32", faults=(fault(ADD_PASSWORD, "end", "after"),), said=("Ended",)),
    Failure("A32 lost", faults=(fault(ADD_PASSWORD, "lose", "after"),), said=("It is not known whether it was done",)),
    Failure(
        "A33",
        lambda world: world.cloud.do("add_app", name=f"CAST.AI shop-{world.short}", tags=[f"cast:cluster-id={OTHERS}"]),
        ours=False,
        holds=lambda world: bool(world.app(f"CAST.AI shop-{world.cluster_id}")) and world.app()["notes"] is None,
    ),
    Failure("A34", app_deleted, shown=("was deleted in the last 30 days",)),
    Failure(
        "A35",
        locked("ReadOnly"),
        said=("ScopeLocked", GROUP_ID, "Remove the lock that Azure names"),
        gone=unlocked,
    ),
    Failure(
        "A35 of removal",
        each(run, locked("CanNotDelete")),
        options={"state": "absent"},
        said=("ScopeLocked", GROUP_ID),
        gone=unlocked,
        ours=False,
        holds=lambda world: (world.apps, world.state["role_definitions"]) == ([], {}),
    ),
    Failure(
        "A36",
        do("add_policy", scope=SCOPE, kind=f"{OF_IDENTITIES}/federatedIdentityCredentials", name="no federation"),
        options=MANAGED,
        said=("An Azure policy forbids it: no federation",),
        gone=no_policies,
    ),
    Failure(
        "A36 demands tags",
        do("add_policy", scope=SCOPE, kind=f"{OF_IDENTITIES}$", name="tagged", tags={"cost": ""}),
        options=MANAGED,
        said=("An Azure policy forbids it: tagged",),
        gone=no_policies,
    ),
    Failure(
        "A36 adds tags",
        do("add_policy", scope=SCOPE, kind=f"{OF_IDENTITIES}$", name="cost", effect="modify", tags={"cost": "42"}),
        options=MANAGED,
        ours=False,
        holds=lambda world: world.identities["shop-castai-identity"]["tags"]["cost"] == "42",
    ),
    Failure(
        "A37",
        fields(sku={"name": "Automatic", "tier": "Standard"}),
        said=("is an AKS Automatic cluster",),
        refused=True,
        gone=fields(sku={"name": "Base", "tier": "Free"}),
    ),
    Failure(
        "A37 lockdown",
        fields(nodeResourceGroupProfile={"restrictionLevel": "ReadOnly"}),
        said=("is locked (ReadOnly)", "--nrg-lockdown-restriction-level Unrestricted"),
        refused=True,
        gone=fields(nodeResourceGroupProfile={"restrictionLevel": "Unrestricted"}),
    ),
    Failure(
        "A38",
        acts_with_a_condition,
        said=("Microsoft.Authorization/roleAssignments/write", "a condition of the assignment"),
        gone=acts_with("Application.ReadWrite.All"),
    ),
    *(
        Failure(
            f"A39 {name}",
            faults=(fault(operation, "throttle", {"retry_after": 30}, times=3),),
            least=90,
            seconds=100,
        )
        for name, operation in (("read", READ_CLUSTER), ("write", ASSIGN), ("Graph", CREATE_APP))
    ),
    Failure(
        "A39 identity",
        faults=(fault(f"{OF_IDENTITIES}/write", "throttle", {"retry_after": 30}),),
        options=MANAGED,
        least=30,
        seconds=40,
    ),
    Failure(
        "A39 forever",
        faults=(fault(ASSIGN, "throttle", {"retry_after": 30}, times=10_000),),
        said=("429", "Azure limits how often these credentials may call"),
        least=90,
        seconds=120,
    ),
    Failure(
        "A42",
        each(run, hidden(60, "assignments")),
        options={"state": "absent"},
        gone=SEEN,
        ours=False,
        holds=lambda world: world.state["role_definitions"] == {},
        seconds=100,
    ),
    Failure(
        "A43",
        each(run, fields(httpProxyConfig=PROXY)),
        shown=("send CAST AI the HTTP proxy of cluster",),
        holds=lambda world: world.castai.get_cluster(world.cluster_id).http_proxy["httpProxy"] == PROXY["httpProxy"],  # type: ignore[union-attr]
    ),
    Failure(
        "A43 two sources",
        fields(httpProxyConfig=PROXY),
        options={"http_proxy": {"http": f"http://u:{PASSWORD}@other:8080"}},
        said=("has its own HTTP proxy", "aks_onboard_http_proxy (option http_proxy)"),
        refused=True,
        gone=fields(httpProxyConfig=None),
    ),
    Failure("A45", faults=(fails(READ_CLUSTER, 401, "insufficient_claims"),)),
    Failure("A45 of Graph", do("behave", challenge="graph")),
    Failure(
        "A45 twice",
        faults=(fails(READ_CLUSTER, 401, "insufficient_claims", times=4),),
        said=("401", "Azure does not accept the credentials"),
        refused=True,
        seconds=5,
    ),
    Failure("A47", do("behave", limits=True), options=MANAGED),
    *(
        Failure(f"A51 {name}", options={"http_proxy": {"https": f"https://u:{PASSWORD}@p:3128"}, **options})
        for name, options in BOTH_WAYS
    ),
)


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, Any]:
    """The results of undisturbed runs, by way of logging in, cached."""
    return {}


def way_of(options: Mapping[str, Any]) -> Mapping[str, Any]:
    return {option: options[option] for option in ("identity", "credential") if option in options}


@pytest.mark.parametrize("failure", FAILURES, ids=[one.number for one in FAILURES])
def test_a_failure_ends_as_it_should(world: World, undisturbed: dict[str, Any], failure: Failure) -> None:
    way = way_of(failure.options)
    if failure.ours and str(way) not in undisturbed:
        world.run(**way)
        undisturbed[str(way)] = world.comparable()
        world.reset()
    failure.before(world)
    given, absent = bool(world.given), failure.options.get("state") == "absent"
    ended = met(world, failure)
    assert PASSWORD not in repr((ended, [one.public(diff=True) for one in ended.done]))
    if given and not absent:
        world.check_access()
    take_away(world, failure)
    rerun(world, failure)
    if failure.ours:
        assert world.comparable() == undisturbed[str(way)]
    if not absent:
        assert world.given
        world.check_access()
        live = [key["keyId"] for app in world.apps for key in app["passwordCredentials"]]
        assert live == ([] if way else [world.live_secret()])


# Ways to log in to a cluster, and what is known about it


def facts(world: World, azure: Azure | None = None, **changes: Any) -> ClusterFacts:
    """What is known about the cluster after these fields were set."""
    if changes:
        world.cloud.do("set_cluster", cluster="shop", **changes)

    class Systems:
        def cloud(self) -> Azure:
            return azure or world.azure

        def cluster(self) -> Any:
            raise AssertionError

    return aks.read(Systems(), Named("aks", "shop", {}))


def way_in(found: ClusterFacts) -> str:
    """Why the cluster cannot be reached, or an empty text."""
    return ending(lambda: reach({}, found.api_server))


def answered(wire: Wire, status: int, found: ClusterFacts) -> str:
    """The message if the API server refuses a login with AKS's credentials."""
    assert found.api_server
    wire.script.play(reply(status, {"message": "Forbidden"}))
    there = reach({}, replace(found.api_server, endpoint=wire.url, ca_pem=wire.ca_pem))
    return ending(lambda: there.get("/api/v1/namespaces"))


def unanswered(host: str) -> Callable[[World, Wire], str]:
    def ask(world: World, _wire: Wire) -> str:
        server = facts(world, apiServerAccessProfile={"enablePrivateCluster": True}).api_server
        assert server
        return ending(lambda: by_token(host, "t", "", False, None, server.advice()).create("/api", {}))

    return ask


def timed_out(world: World, _wire: Wire) -> str:
    server = facts(world, apiServerAccessProfile={"enablePrivateCluster": True}).api_server
    assert server
    return server.advice()[TIMED_OUT]


def of_another_tenant(world: World) -> ClusterFacts:
    return facts(world, aadProfile={"managed": True, "tenantID": OTHER_TENANT})


def signed(found: ClusterFacts) -> str:
    assert found.api_server
    return ending(found.api_server.sign)


def as_guest(world: World, _wire: Wire) -> str:
    world.cloud.do("add_guest", client_id=world.cloud.operator()["client_id"], tenant=OTHER_TENANT)
    return signed(of_another_tenant(world))


def as_machine(world: World, _wire: Wire) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IDENTITY_ENDPOINT", "https://management.azure.com/msi/token")
        patch.setenv("IDENTITY_HEADER", "x")
        azure = world.cloud.gateway()
        azure._chosen = replace(azure._chosen, machine=True)
        azure.caller()
        of_another_tenant(world)
        return ending(lambda: azure.cluster_token(OTHER_TENANT))


def with_environment(given: Mapping[str, str], **options: Any) -> Callable[[World, Wire], str]:
    """Problems of credentials from the environment."""

    def ask(world: World, _wire: Wire) -> str:
        operator = world.cloud.operator()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in given.items():
                patch.setenv(name, operator.get(value, value))
            nobody = dict.fromkeys(("client_id", "tenant", "secret"), "")
            return ending(lambda: world.cloud.gateway(**{**nobody, **options}).list_clusters(SUBSCRIPTION))

    return ask


BY_AWX = {
    **dict.fromkeys(("AZURE_AD_USER", "AZURE_PASSWORD", "AZURE_CLOUD_ENVIRONMENT"), ""),
    "AZURE_CLIENT_ID": "client_id",
    "AZURE_TENANT": "tenant",
    "AZURE_SECRET": "secret",
    "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
}
USER_OF_AWX = {"AZURE_AD_USER": "me@example.com", "AZURE_PASSWORD": PASSWORD, "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION}
OF_A_POD = {
    "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com/",
    "AZURE_TENANT_ID": "tenant",
    "AZURE_FEDERATED_TOKEN_FILE": "/var/run/token",
}


def other_records(cases: Sequence[str]) -> Callable[[World, Wire], str]:
    """With an agent that reports under the last of this many records of the cluster, which differ in case."""

    def ask(world: World, _wire: Wire) -> str:
        found = facts(world)
        assert aks.agent_environment(found, "the id", False)["STATIC_CLUSTER_ID"] == "the id"
        blank = Record("", "shop", "aks", "ready", "online", "org", "", "", {})
        block = found.registration
        records = tuple(
            replace(blank, id=one, facts={key: getattr(value, case)() for key, value in block.items()})
            for one, case in zip((world.cluster_id, OTHERS), cases, strict=False)
        )
        assert all(found.is_recorded_in(one) for one in records)
        params = {
            "provider": "aks",
            "cluster_name": "shop",
            "cluster_id": world.cluster_id,
            "subscription_id": SUBSCRIPTION,
            "namespace": "castai-agent",
            "credentials_secret": "castai-credentials",
            "releases": [],
        }
        wanted = preflight.desired(params)
        current = preflight.Current(records, found, reporting=records[-1].id)
        return " ".join(preflight._castai_findings(current, wanted))

    return ask


def of_many_groups(world: World, _wire: Wire) -> str:
    caller = Caller.of(world.cloud.do("user_token", user="me@example.com", overage=True))
    assert caller.name == "me@example.com"
    return " ".join(on_azure._graph_hint(caller))


def older_version(world: World, _wire: Wire) -> str:
    kind = "Microsoft.ContainerService/managedClusters"
    world.cloud.do("set_versions", kind=kind, versions=["2024-01-01", "2025-03-01", "2025-06-02-preview"])
    return " ".join(not_shown(facts(world).own))


def without(action: str) -> Callable[[World], Azure]:
    left = [one.permission for one in GRANTS if one.permission != action]
    return lambda world: world.cloud.gateway(**world.cloud.operator_with(*left))


CREDENTIAL = "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action"
BY_AZURE = {"managed": True, "enableAzureRBAC": True, "tenantID": TENANT}
LEGACY = {"serverAppID": "11111111-2222-4333-8444-555555555555", "tenantID": TENANT}


def in_two_groups(world: World, _wire: Wire) -> str:
    world.cloud.do("copy_cluster", cluster="shop", group="other")
    return ending(lambda: facts(world))


WAYS = (
    Way("A1", in_two_groups, ("several clusters shop", "resource groups other, shop", "castai_resource_group")),
    Way(
        "A4",
        lambda world, wire: answered(wire, 403, facts(world)),
        (f"Bind {OPERATOR_ID} as a user to a ClusterRole",),
    ),
    Way(
        "A4 by Azure RBAC",
        lambda world, wire: answered(wire, 403, facts(world, aadProfile=BY_AZURE)),
        ("Azure Kubernetes Service RBAC Cluster Admin (b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b)", OPERATOR_ID),
    ),
    Way(
        "A5",
        lambda world, _wire: way_in(facts(world, world.cloud.gateway(admin=True), disableLocalAccounts=True)),
        ("castai_admin (option admin) is true", "local accounts of AKS cluster shop are disabled"),
    ),
    Way(
        "A6",
        lambda world, _wire: way_in(facts(world, without(CREDENTIAL)(world))),
        ("AuthorizationFailed", CREDENTIAL, "castai_kubeconfig (option kubeconfig)", "castai_host (option host)"),
    ),
    Way("A7 no name", unanswered("https://no-such-name.invalid"), ("is private", "private DNS zone is linked")),
    Way("A7 refused", unanswered("https://127.0.0.1:1"), ("is private", "another machine has its address here")),
    Way("A7 timed out", timed_out, ("is private", "no route to it, or a firewall", "AWX instance group")),
    Way("A8", lambda world, _wire: signed(of_another_tenant(world)), ("AADSTS700016", "castai_azure_tenant")),
    Way("A8 as a guest", as_guest),
    Way("A8 as a machine", as_machine, ("belongs to tenant", OTHER_TENANT, "castai_azure_client_id")),
    Way("A40", with_environment(BY_AWX)),
    Way("A40 user", with_environment(USER_OF_AWX), ("AZURE_AD_USER and AZURE_PASSWORD are set", "In AWX, fill in")),
    Way("A41", other_records(["upper"])),
    Way("A41 two records", other_records(["upper", "lower"]), (OTHERS, "Delete one of the two")),
    Way(
        "A44",
        lambda world, _wire: way_in(facts(world, aadProfile=None, disableLocalAccounts=True)),
        ("has neither local accounts nor Entra integration", "castai_kubeconfig"),
    ),
    Way("A46", older_version, ("whether it is an AKS Automatic cluster", "in this cloud, 2025-03-01")),
    Way(
        "A48",
        with_environment(OF_A_POD, auth_source="msi"),
        ("AZURE_FEDERATED_TOKEN_FILE are set", "castai_azure_oidc_token_file_path (option oidc_token_file_path)"),
    ),
    Way(
        "A49",
        lambda world, _wire: way_in(facts(world, aadProfile=LEGACY)),
        (f"server application {LEGACY['serverAppID']}", "castai_admin (option admin) to true"),
    ),
    Way("A50", of_many_groups),
)


@pytest.mark.parametrize("way", WAYS, ids=[one.number for one in WAYS])
def test_a_way_in_that_fails_is_said(world: World, wire: Wire, monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    for name in ("AZURE_SUBSCRIPTION_ID", "AZURE_TENANT", "AZURE_CLIENT_ID", "AZURE_SECRET"):
        monkeypatch.delenv(name, raising=False)
    said = way.asked(world, wire)
    assert bool(said) == bool(way.said), said
    assert [one for one in way.said if one not in said] == [], said
    assert PASSWORD not in said
    assert world.cloud.writes() == []


def test_no_number_is_missing() -> None:
    told = " ".join(one.number for one in (*FAILURES, *WAYS))
    assert {int(number) for number in re.findall(r"\bA(\d+)", told)} == set(range(1, 52))
