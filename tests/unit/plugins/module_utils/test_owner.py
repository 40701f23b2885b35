# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cluster an object belongs to: each action in a cloud is planned after asking, and the few that need no answer
have a reason.

A new kind of action fails here until one of the two tables has a row for it.
"""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._engine import Action
from ansible_collections.castai.onboarding.plugins.module_utils._google.role import DEFAULT
from ansible_collections.castai.onboarding.plugins.module_utils._owner import Owner, Removal, Step
from tests.tree import ROOT
from tests.unit.plugins.module_utils._azure import test_interrupted as azure_stories
from tests.unit.plugins.module_utils._google import test_failures as google_failures
from tests.unit.plugins.module_utils._google import test_interrupted as google_stories
from tests.unit.sandbox import aks_subscription, eks_account, gke_project, kops_account
from tests.unit.sandbox.aks_subscription import world as aks
from tests.unit.sandbox.eks_account import world as eks
from tests.unit.sandbox.gke_project import world as gke
from tests.unit.sandbox.kops_account import world as kops
from tests.unit.test_collection import CLOUDS, PACKAGE

__all__ = ["aks", "eks", "gke", "kops"]

Seen = Mapping[str, set[str]]

ASKED: Mapping[str, tuple[str, ...]] = {
    "Policy": ("_aws.UpdatePolicy", "_aws.DeletePolicy", "_aws.TagPolicy"),
    "Principal": (
        *("_aws.SetTrust", "_aws.TagPrincipal", "_aws.UntagPrincipal", "_aws.DeletePrincipal"),
        *("_aws.Attach", "_aws.Detach", "_aws.PutInline", "_aws.DeleteInline"),
        *("_aws.DeleteKey", "_aws.HandOverKey", "_aws.HandOverRole"),
    ),
    "Profile": ("_aws.TagProfile", "_aws.FillProfile", "_aws.DeleteProfile"),
    "SecurityGroup": ("_aws.TagGroup", "_aws.AllowEgress", "_aws.AllowItself", "_aws.DeleteGroup"),
    "MarkedAccount": (
        *("_google.DescribeAccount", "_google.EnableAccount", "_google.DeleteAccount", "_google.DeleteKey"),
        *("_google.HandOverKey", "_google.HandOverAccount", "_google.CreateCastAccount", "_google.SetPolicy"),
    ),
    "MarkedRole": (
        *("_google.UpdateRole", "_google.UndeleteRole", "_google.DeleteRole"),
        *("_azure.UpdateRole", "_azure.DeleteRole", "_azure.Assign", "_azure.Unassign"),
    ),
    "App": (
        *("_azure.MarkApp", "_azure.DeleteApp", "_azure.CreatePrincipal", "_azure.DeleteSecret"),
        *("_azure.Federate", "_azure.DeleteFederation", "_azure.CreateCastAccount", "_azure.SetProxy"),
        *("_azure.HandOverSecret", "_azure.HandOverGiven", "_azure.HandOverFederation"),
    ),
    "Identity": ("_azure.WriteIdentity", "_azure.DeleteIdentity", "_azure.HandOverFederation"),
}
"""Kinds of objects whose owner is asked, and the actions that need the answer."""

NOT_ASKED: Mapping[str, tuple[str, ...]] = {
    "creates what does not exist": (
        *("_aws.CreatePolicy", "_aws.CreateRole", "_aws.CreateUser", "_aws.CreateProfile", "_aws.CreateGroup"),
        *("_google.CreateAccount", "_google.CreateRole", "_azure.CreateApp", "_azure.CreateRole"),
    ),
    "is on the access entries of the EKS cluster that the user named": (
        *("_aws.CreateAccessEntry", "_aws.TagAccessEntry", "_aws.DeleteAccessEntry", "_aws.AssociatePolicy"),
    ),
    "is on what CAST AI has for this cluster, by its id": (
        *("_aws.CreateCastPrincipal", "_aws.DeleteCastPrincipal"),
        *("_google.DisableCastAccount", "_azure.DisableCastAccount"),
    ),
    "is on a role that the clusters of an account share": ("_aws.Unmark",),
    "is on a whole project or subscription": ("_google.EnableServices", "_azure.RegisterProvider"),
}
"""Why no object is asked, and for which actions."""


def cloud_of(action: type[Action]) -> str:
    return action.__module__.partition(".module_utils.")[2].partition(".")[0]


def below(base: type[Action]) -> Iterator[type[Action]]:
    for one in base.__subclasses__():
        yield from (one, *below(one))


def concrete(cloud: str) -> set[str]:
    """The actions of a cloud without subclasses."""
    for module in (ROOT / "plugins/module_utils" / cloud).glob("*.py"):
        importlib.import_module(f"{PACKAGE}.module_utils.{cloud}.{module.stem}")
    every = {one for one in below(Action) if cloud_of(one) == cloud}
    bases = {base for one in every for base in one.__mro__[1:]}
    return {f"{cloud}.{one.__name__}" for one in every - bases}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """The kinds of objects whose owner was asked before each action."""
    found: dict[str, set[str]] = defaultdict(set)

    def noting(original: Callable[[Any, Owner], Iterator[Any]]) -> Callable[[Any, Owner], Iterator[Any]]:
        def planned(self: Any, owner: Owner) -> Iterator[Any]:
            for one in original(self, owner):
                if isinstance(one, Action):
                    kinds = found[f"{cloud_of(type(one))}.{type(one).__name__}"]
                    kinds |= {type(self.shown.existing).__name__} if self.shown else set()
                yield one

        return planned

    for part in (Step, Removal):
        monkeypatch.setattr(part, "planned", noting(part.planned))
    return found


def names(table: Mapping[str, tuple[str, ...]], cloud: str) -> set[str]:
    return {name for every in table.values() for name in every if name.startswith(cloud)}


def expected(seen: Seen) -> Seen:
    """The entries of the tables for the same actions."""
    return {name: {kind for kind, every in ASKED.items() if name in every} for name in seen}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_action_is_in_one_table(cloud: str) -> None:
    assert names(ASKED, cloud) & names(NOT_ASKED, cloud) == set()
    assert names(ASKED, cloud) | names(NOT_ASKED, cloud) == concrete(cloud)


def test_eks(eks: eks_account.World, seen: Seen) -> None:
    ways: tuple[dict[str, Any], ...] = ({}, {"identity": "user", "user_access": "cluster_admin"})
    for options in ways:
        group = eks.run("API", **options, hand_over=False).view["security_group_id"]
        eks.run("API", **options)
        eks_account.disturb(eks, "API", options.get("identity", "role"))
        rules = eks.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
        eks.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=rules)
        who = eks.run("API", check=True, **options).view["identity_arn"].rpartition("/")[2]
        kind = options.get("identity", "role")
        detach = getattr(eks.iam, f"detach_{kind}_policy")
        detach(**{f"{kind.capitalize()}Name": who}, PolicyArn="arn:aws:iam::aws:policy/IAMReadOnlyAccess")
        eks.run("API", **options)
        eks.run("API", **options, state="absent")
        eks.reset()
    for mode in ("API", "CONFIG_MAP"):
        eks.run(mode, **ways[1], spot_lambda_role=True)
    eks.run("API", **ways[1], spot_lambda_role=True, state="absent")
    assert seen.keys() == concrete("_aws")
    assert seen == expected(seen)


def test_kops(kops: kops_account.World, seen: Seen) -> None:
    kops.run(hand_over=False)
    kops.run()
    kops_account.disturb(kops)
    reader = "arn:aws:iam::aws:policy/IAMReadOnlyAccess"
    kops.iam.detach_user_policy(UserName=kops_account.USER, PolicyArn=reader)
    kops.run()
    kops.run(state="absent")
    assert {"_aws.UpdatePolicy", "_aws.Attach", "_aws.HandOverKey", "_aws.DeletePrincipal"} <= seen.keys()
    assert seen == expected(seen)


def test_google(gke: gke_project.World, seen: Seen) -> None:
    for before, options in google_stories.STORIES.values():
        gke.reset()
        before(gke)
        gke.run(**options)
    gke.reset()
    google_failures.disabled(gke)
    role = gke.role.rpartition("/")[2]
    gke.google.patch_role(gke_project.PROJECT, role, {"includedPermissions": [*DEFAULT][:3]})
    gke.run()
    gke.google.delete_role(gke_project.PROJECT, role)
    gke.run()
    assert seen.keys() == concrete("_google")
    assert seen == expected(seen)


def test_azure(aks: aks_subscription.World, seen: Seen) -> None:
    for before, options in azure_stories.STORIES.values():
        aks.reset()
        aks.run(**{**before(aks), **options})
    aks.reset()
    aks.run(ended_after=2)  # the role and the app, without its service principal
    aks.run()
    aks.run(http_proxy={"http": "http://proxy.example.com:3128"})
    assert seen.keys() == concrete("_azure")
    assert seen == expected(seen)
