# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CAST AI's record of a cluster, and what it lets an identity do. Pure. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ._engine import UNKNOWN, Refused
from ._gateways.castai import CastAi, Cluster
from ._variables import named


@dataclass(frozen=True)
class Wanted:
    """What is wanted of an identity of any cloud.

    prepare: create or repair it; hand_over: give it to CAST AI; present: False to remove it; force: remove it although
    CAST AI still works with it.
    """

    cluster_id: str
    prepare: bool
    hand_over: bool
    present: bool
    force: bool

    @property
    def whole(self) -> bool:
        """Whether the whole identity is compared, not only what a hand-over needs."""
        return self.prepare or not self.present


def check_record(record: Cluster | None, cluster_id: str, present: bool) -> Cluster | None:
    """CAST AI's record of the cluster; None if it no longer has one or, in check mode, does not have one yet.

    Raises Refused if something is to be created for a cluster that CAST AI does not have, or is about to lose.
    """
    if record is None or record.gone:
        if present and cluster_id != UNKNOWN:
            raise Refused(
                f"CAST AI has no cluster {cluster_id} in the organization of this API key. Check"
                f" {named('cluster_id')} and castai_api_key."
            )
        return None
    if present and record.status == "deleting":
        raise Refused(f"CAST AI is disconnecting cluster {record.id}. Wait until it has finished, then run again.")
    return record


def mismatch(record: Cluster, ours: str, provider: str, title: str, place: Callable[[Mapping[str, str]], str]) -> str:
    """That a record is not that of the user's cluster. ours: the user's, in words; place: a block of this provider in
    words, to follow the name."""
    name = record.facts.get("clusterName") or record.name
    if record.provider == provider:
        theirs = f"{title} cluster {name} {place(record.facts)}"
    else:
        theirs = f"{name} of provider {record.provider or 'unknown'}"
    return (
        f"CAST AI's cluster {record.id} is {theirs}, not {ours}. Correct {named('cluster_id')} or"
        f" {named('cluster_name')}."
    )


def check_removable(record: Cluster | None, force: bool) -> None:
    """Raise Refused if CAST AI still works with the identity that is to be removed. force: remove it anyway."""
    if force or record is None or record.disconnected:
        return
    if record.status == "deleting":
        raise Refused(
            f"CAST AI is still disconnecting cluster {record.id}. Wait until it has finished, then run again."
        )
    raise Refused(
        f"CAST AI still manages cluster {record.id} (status {record.status or 'unknown'}) with the identity that"
        " would be removed. Disconnect the cluster at CAST AI first, so that it removes its nodes, or set force to"
        " true."
    )


@dataclass(frozen=True)
class Recorded:
    """Stands in for CAST AI when preflight observes an identity: returns the record that preflight has already read."""

    record: Cluster | None
    connect: Callable[[], CastAi]

    def get_cluster(self, _cluster_id: str) -> Cluster | None:
        return self.record

    def get_google_account(self, provider: str) -> str:
        return self.connect().get_google_account(provider)


def when_onboarding(options: Mapping[str, Any], known: Cluster | None, **place: str) -> dict[str, Any]:
    """The options of an identity's module as onboarding sets them. place: those that name the cluster."""
    return {
        **options,
        "cluster_id": known.id if known else UNKNOWN,
        "force": False,
        "hand_over": True,
        "prepare": True,
        "state": "present",
        **place,
    }


def refusals(plan: Callable[[], Iterable[object]]) -> tuple[str, ...]:
    """Why a plan refuses, if it does."""
    try:
        for _action in plan():
            pass
    except Refused as refusal:
        return (str(refusal),)
    return ()
