# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose an object in a cloud is: only what is this cluster's is changed. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from ._engine import Action, Kept, Refused
from ._variables import named


class Owned(Protocol):
    """What can be of one cluster, such as a role, an account, an app or a policy."""

    @property
    def cluster_ids(self) -> frozenset[str]:
        """Ids of the clusters that it says it is of, by whatever sign."""

    @property
    def cluster_name(self) -> str:
        """The name of that cluster, empty where it does not say."""


@dataclass(frozen=True)
class Owner:
    """The cluster that objects are made for, and how to tell its own from others'.

    unmarked: what an object has that does not say of which cluster it is, as a message has it.
    """

    cluster: str
    cluster_id: str
    adopt: bool
    unmarked: str = "no tag"

    def others(self, existing: Owned) -> set[str]:
        """Ids of the other clusters that an object says it is of."""
        return set(existing.cluster_ids - {self.cluster_id})

    def objection(self, existing: Owned, evidence: bool) -> str:
        """Why an object is not this cluster's to change, or an empty text.

        evidence: other signs that it is (CAST AI's record, the cluster's id in its name, its attachment to what is).
        """
        others = self.others(existing)
        if others:
            name = f" ({existing.cluster_name})" if existing.cluster_name else ""
            return f"belongs to another cluster, {', '.join(sorted(others))}{name}"
        if not (existing.cluster_ids or evidence or self.adopt):
            return f"has {self.unmarked} that shows which cluster it belongs to"
        return ""

    def kept(self, existing: Owned | None, evidence: bool) -> str:
        """Why removal keeps an object, or an empty text, also if it does not exist. evidence: as above."""
        objection = self.objection(existing, evidence) if existing else ""
        return f"it {objection}" if objection else ""

    def check(self, what: str, existing: Owned, evidence: bool, another: str = "") -> None:
        """Raise Refused for an object that is not this cluster's to change.

        another: the option to use a different one by, as a message names it; empty where there is none.
        """
        objection = self.objection(existing, evidence)
        if not objection:
            return
        advice = f"Set {named('adopt')} to true to take it over, or delete it"
        if self.others(existing):
            advice = f"Set {another} to use a different one, or delete it" if another else "Delete it"
        raise Refused(f"{what} {objection}. {advice} if nothing needs it.")


def choose(found: Mapping[str, Owned | None], makers: Mapping[str, str], owner: Owner) -> str:
    """The name of the object to work with: the first that is there and not another cluster's, else one to create.

    makers: the names to look under, in order, and which other tool uses each. Under those without we create, under the
    last of them whatever is there. Empty where there is no name.
    """
    for name in makers:
        existing = found.get(name)
        if existing and not owner.others(existing):
            return name
    ours = [name for name, maker in makers.items() if not maker]
    return next((name for name in ours if found.get(name) is None), ours[-1] if ours else "")


@dataclass(frozen=True)
class Removal:
    """One object to remove: the actions that remove it, or why it is kept, or both if only its contents are removed."""

    thing: str
    kept: str = ""
    actions: tuple[Action, ...] = ()

    @property
    def planned(self) -> Iterator[Action | Kept]:
        yield from self.actions
        if self.kept:
            yield Kept(self.thing, self.kept)
