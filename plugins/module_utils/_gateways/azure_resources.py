# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Subscriptions, resource groups and resource providers, for class Azure. PRIVATE to the collection."""

from __future__ import annotations

from dataclasses import dataclass

from .._answers import text_in
from .._engine import CallFailed, until
from .azure_session import RESOURCES, SUBSCRIPTIONS, Answer, Call, Session

GET_SUBSCRIPTION = Call(
    "read subscription {subscription}",
    "GET",
    SUBSCRIPTIONS,
    "/subscriptions/{subscription}",
    ("Microsoft.Resources/subscriptions/read",),
)
GET_GROUP = Call(
    "read resource group {group}",
    "GET",
    RESOURCES,
    "/subscriptions/{subscription}/resourcegroups/{group}",
    ("Microsoft.Resources/subscriptions/resourceGroups/read",),
)
GET_PROVIDER = Call(
    "read the registration of resource provider {namespace}",
    "GET",
    RESOURCES,
    "/subscriptions/{subscription}/providers/{namespace}",
    ("Microsoft.Resources/subscriptions/providers/read",),
)
REGISTER_PROVIDER = Call(
    "register resource provider {namespace}",
    "POST",
    RESOURCES,
    "/subscriptions/{subscription}/providers/{namespace}/register",
    ("Microsoft.ManagedIdentity/register/action",),
    repeats=True,
)
CALLS = (GET_SUBSCRIPTION, GET_GROUP, GET_PROVIDER, REGISTER_PROVIDER)

REGISTERED = "registered"
REGISTER_SECONDS = 300.0


@dataclass(frozen=True)
class Subscription:
    """tenant: the one that the subscription is in now. state: Enabled, Warned, PastDue, Disabled, Deleted."""

    id: str
    tenant: str
    name: str
    state: str

    @classmethod
    def parse(cls, body: Answer) -> Subscription:
        return cls(
            text_in(body, "subscriptionId"),
            text_in(body, "tenantId"),
            text_in(body, "displayName"),
            text_in(body, "state"),
        )


@dataclass(frozen=True)
class ResourceGroup:
    """managed_by: the ID of the resource that the group belongs to, empty for none."""

    name: str
    location: str
    managed_by: str

    @classmethod
    def parse(cls, body: Answer) -> ResourceGroup:
        return cls(text_in(body, "name"), text_in(body, "location"), text_in(body, "managedBy", 2000))


class Resources(Session):
    """Subscriptions, resource groups and resource providers."""

    def get_subscription(self, subscription: str) -> Subscription | None:
        found: Subscription | None = self.send(
            GET_SUBSCRIPTION, absent=True, read=Subscription.parse, subscription=subscription
        )
        return found

    def get_group(self, subscription: str, group: str) -> ResourceGroup | None:
        found: ResourceGroup | None = self.send(
            GET_GROUP, absent=True, read=ResourceGroup.parse, subscription=subscription, group=group
        )
        return found

    def provider_registered(self, subscription: str, namespace: str) -> bool:
        """namespace: such as Microsoft.ManagedIdentity."""
        return self._registration(subscription, namespace) == REGISTERED

    def _registration(self, subscription: str, namespace: str) -> str:
        state: str = self.send(
            GET_PROVIDER,
            read=lambda body: text_in(body, "registrationState"),
            subscription=subscription,
            namespace=namespace,
        )
        return state.lower()

    def register_provider(self, subscription: str, namespace: str) -> None:
        """Register the provider, and wait until it is registered."""
        self.send(REGISTER_PROVIDER, subscription=subscription, namespace=namespace)
        if not until(lambda: self.provider_registered(subscription, namespace), timeout=REGISTER_SECONDS):
            raise CallFailed(
                f"Azure did not register {namespace} in subscription {subscription} within {REGISTER_SECONDS:.0f} s."
                " Run again."
            )
