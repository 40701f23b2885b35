# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the annotations of kOps say about a cluster."""

from __future__ import annotations

import json

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._clusters.kops import (
    Channel,
    channels_of,
    nodes_of,
    other_kops_cluster,
)

NAME = "shop.example.com"
OWN = "s3://state/shop.example.com/addons/bootstrap-channel.yaml"


def namespace(**channels: str) -> dict[str, object]:
    notes = {
        f"addons.k8s.io/{addon}": json.dumps({"version": "1.0.0", "channel": channel, "id": "k8s-1.12"})
        for addon, channel in channels.items()
    }
    return {"metadata": {"name": "kube-system", "uid": "u", "annotations": {"mine": "x", **notes}}}


def test_kops_own_channel_comes_before_a_users() -> None:
    found = channels_of(namespace(extra="https://a.example.com/addons.yaml", dns=OWN, core=OWN))
    assert found == (
        Channel("s3://state", (NAME, "addons", "bootstrap-channel.yaml")),
        Channel("https://a.example.com", ("addons.yaml",)),
    )
    assert found[0].cluster == NAME


@pytest.mark.parametrize(
    "note",
    ["", "x", "[]", "3", "{}", '{"channel": null}', '{"channel": ""}', '{"channel": "/a/b"}', '{"channel": "s3://a"}'],
)
def test_what_names_no_channel_is_passed_over(note: str) -> None:
    annotations = {"addons.k8s.io/dns": note, "kops.k8s.io/x": json.dumps({"channel": OWN})}
    assert channels_of({"metadata": {"annotations": annotations}}) == ()


def test_a_namespace_may_have_no_annotation_or_not_be_there() -> None:
    assert channels_of({"metadata": {"name": "kube-system"}}) == channels_of(None) == ()


def test_nodes_are_known_by_their_instances() -> None:
    providers = ["aws:///eu-central-1a/i-1", "aws:///eu-central-1b/i-2", "gce://p/z/i-3", "", None]
    assert nodes_of({"items": [{"spec": {"providerID": one}} for one in providers] + [{"metadata": {}}]}) == {
        "i-1",
        "i-2",
    }
    assert nodes_of(None) == nodes_of({"items": None}) == frozenset()


def test_another_cluster_is_told_and_a_silent_one_is_taken() -> None:
    channels = channels_of(namespace(dns=OWN))
    assert other_kops_cluster(channels, NAME, "https://k") == other_kops_cluster((), NAME, "https://k") == ""
    assert other_kops_cluster(channels, "prod.example.com", "https://k") == (
        "The kubeconfig or host points to https://k, which says that it is kOps cluster shop.example.com of s3://state,"
        " not prod.example.com. Set castai_kubeconfig (option kubeconfig) and castai_context (option"
        " context) to prod.example.com."
    )
    below = channels_of(namespace(dns=OWN.replace("s3://state", "s3://state/team/one")))
    assert other_kops_cluster(below, NAME, "https://k") == ""
