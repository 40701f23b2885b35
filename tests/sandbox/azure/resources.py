# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Microsoft.Resources: subscriptions, resource groups and provider registrations; also the subnets of networks."""

from __future__ import annotations

from typing import Any

from . import access
from .arm import GROUP, SUBSCRIPTION, VERSIONS, Asked, Route, route
from .errors import AzureError, no_group, not_found
from .store import NAMESPACES, Store, Subscription, within

TAKES = 5.0  # virtual seconds until a registration is done; ours
_SUBSCRIPTIONS, _GROUPS = "Microsoft.Resources/subscriptions", "Microsoft.Resources/subscriptions/resourceGroups"
_NETWORKS = "Microsoft.Network/virtualNetworks"


def _shown(one: Subscription) -> dict[str, Any]:
    return {
        "id": f"/subscriptions/{one.id}",
        "subscriptionId": one.id,
        "tenantId": one.tenant,
        "displayName": "Acme",
        "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
        "authorizationSource": "RoleBased",
        "managedByTenants": [{"tenantId": tenant} for tenant in one.managed_by],
    }


def list_subscriptions(asked: Asked) -> Any:
    """List the subscriptions in which the caller has a role."""
    found = [one for one in asked.store.subscriptions.values() if _in_it(asked, one)]
    return {"value": [_shown(one) for one in found], "count": {"type": "Total", "value": len(found)}}


def _in_it(asked: Asked, one: Subscription) -> bool:
    if asked.caller.tenant not in (one.tenant, *one.managed_by):
        return False
    return access.any_at_or_below(asked.store, asked.caller, f"/subscriptions/{one.id}")


def get_subscription(asked: Asked) -> Any:
    """Show the subscription to a caller with any role in it."""
    one = asked.subscription()
    if not _in_it(asked, one):
        raise no_subscription(one.id)
    return _shown(one)


def no_subscription(identity: str) -> AzureError:
    return AzureError(404, "SubscriptionNotFound", f"The subscription '{identity}' could not be found.")


def list_tenants(asked: Asked) -> Any:
    tenants = sorted({one.tenant for one in asked.store.subscriptions.values()} | {asked.caller.tenant})
    return {"value": [{"id": f"/tenants/{one}", "tenantId": one, "tenantCategory": "Home"} for one in tenants]}


# Resource groups


def group_exists(asked: Asked) -> dict[str, Any]:
    """The group in the path. Raises AzureError."""
    path = asked.path
    found = asked.store.resource_groups.get(
        f"/subscriptions/{path['subscription']}/resourcegroups/{path['group']}".lower()
    )
    if found is None:
        raise no_group(path["group"])
    return found


def get_group(asked: Asked) -> Any:
    asked.require()
    return group_exists(asked)


def list_groups(asked: Asked) -> Any:
    scope = f"/subscriptions/{asked.path['subscription']}"
    inside = [one["id"] for one in asked.store.resource_groups.values() if within(one["id"], scope)]
    found = access.seen_by(asked.store, asked.caller, asked.action, inside, scope)
    return {"value": [asked.store.resource_groups[one.lower()] for one in found]}


# Providers


def settle(store: Store) -> None:
    """Complete the registrations whose time has passed."""
    for one in store.subscriptions.values():
        for namespace, done in list(one.registering.items()):
            if store.clock() >= done:
                del one.registering[namespace]
                one.registered.add(namespace)


def _provider(asked: Asked) -> dict[str, Any]:
    subscription, name = asked.subscription(), asked.path["namespace"]
    namespace = next((one for one in NAMESPACES if one.lower() == name.lower()), "")
    if not namespace:
        said = f"The resource provider namespace '{name}' is invalid."
        raise AzureError(404, "InvalidResourceNamespace", said)
    state = "NotRegistered"
    if namespace in subscription.registered:
        state = "Registered"
    elif namespace in subscription.registering:
        state = "Registering"
    kinds = {kind.partition("/")[2]: VERSIONS[kind] for kind in VERSIONS if kind.startswith(f"{namespace}/")}
    return {
        "id": f"/subscriptions/{subscription.id}/providers/{namespace}",
        "namespace": namespace,
        "registrationPolicy": "RegistrationRequired",
        "registrationState": state,
        "resourceTypes": [
            {"resourceType": kind, "locations": ["West Europe"], "apiVersions": list(reversed(known))}
            for kind, known in kinds.items()
        ],
    }


def get_provider(asked: Asked) -> Any:
    asked.require(scope=f"/subscriptions/{asked.path['subscription']}")
    return _provider(asked)


def register_provider(asked: Asked) -> Any:
    """Start a registration, which continues after the answer."""
    namespace = str(_provider(asked)["namespace"])
    asked.require(f"{namespace}/register/action", f"/subscriptions/{asked.path['subscription']}")
    one = asked.subscription()
    if namespace not in one.registered:
        one.registering.setdefault(namespace, asked.store.clock() + TAKES)
    return _provider(asked)


# Networks


def get_network(asked: Asked) -> Any:
    asked.require()
    group_exists(asked)
    found = asked.store.networks.get(asked.identity.lower())
    if found is None:
        raise not_found(asked.identity)
    return found


def get_subnet(asked: Asked) -> Any:
    asked.require()
    group_exists(asked)
    network = asked.store.networks.get(asked.identity.rpartition("/subnets/")[0].lower(), {})
    for one in network.get("properties", {}).get("subnets", ()):
        if one["name"].lower() == asked.path["subnet"].lower():
            return one
    raise not_found(asked.identity)


_PROVIDER = rf"{SUBSCRIPTION}/providers/(?P<namespace>[^/]+)"
_NETWORK = rf"{GROUP}/providers/{_NETWORKS}/(?P<name>[^/]+)"
ROUTES: tuple[Route, ...] = (
    route("GET", "/subscriptions", _SUBSCRIPTIONS, "read", list_subscriptions),
    route("GET", "/tenants", _SUBSCRIPTIONS, "read", list_tenants),
    route("GET", SUBSCRIPTION, _SUBSCRIPTIONS, "read", get_subscription),
    route("GET", f"{SUBSCRIPTION}/resourceGroups", _GROUPS, "read", list_groups, "$filter", "$top"),
    route("GET", GROUP, _GROUPS, "read", get_group),
    route("GET", _PROVIDER, "Microsoft.Resources/subscriptions/providers", "read", get_provider, "$expand"),
    route(
        "POST",
        f"{_PROVIDER}/register",
        "Microsoft.Resources/subscriptions/providers",
        "register/action",
        register_provider,
    ),
    route("GET", _NETWORK, _NETWORKS, "read", get_network, "$expand"),
    route("GET", f"{_NETWORK}/subnets/(?P<subnet>[^/]+)", f"{_NETWORKS}/subnets", "read", get_subnet, "$expand"),
)
