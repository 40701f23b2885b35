# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose an object in a cloud is: only this cluster's own objects are changed. PRIVATE to the collection."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from ._engine import Action, Answer, Ask, Kept, Refused, results
from ._variables import named


class Owned(Protocol):
    """What can belong to one cluster, such as a role, an account, an app or a policy."""

    @property
    def cluster_ids(self) -> frozenset[str]:
        """Ids of the clusters that it belongs to, according to whatever sign."""

    @property
    def cluster_name(self) -> str:
        """The name of that cluster, empty if it does not say."""


@dataclass(frozen=True)
class Shown:
    """An existing object, and what shows which cluster it belongs to.

    what: the object as messages name it. evidence: whether other signs show that it belongs to this cluster (CAST AI's
    record, the cluster's id in its name, its attachment to an object of the cluster). another: the option to use a
    different object, as a message names it; empty if there is none.
    """

    what: str
    existing: Owned
    evidence: bool
    another: str = ""


@dataclass(frozen=True)
class Owner:
    """The cluster that objects are created for, and how to tell its own from others'.

    unmarked: what an object without a sign of its cluster has, in the words of a message.
    """

    cluster: str
    cluster_id: str
    adopt: bool
    unmarked: str = "no tag"

    def others(self, existing: Owned) -> set[str]:
        """Ids of the other clusters that an object belongs to, by its own signs."""
        return set(existing.cluster_ids - {self.cluster_id})

    def objection(self, shown: Shown) -> str:
        """Why an object does not belong to this cluster and must not be changed, or an empty text."""
        others, existing = self.others(shown.existing), shown.existing
        if others:
            name = f" ({existing.cluster_name})" if existing.cluster_name else ""
            return f"belongs to another cluster, {', '.join(sorted(others))}{name}"
        if not (existing.cluster_ids or shown.evidence or self.adopt):
            return f"has {self.unmarked} that shows which cluster it belongs to"
        return ""

    def kept(self, shown: Shown | None) -> str:
        """Why removal keeps an object. Empty if it does not, even if the object does not exist."""
        objection = self.objection(shown) if shown else ""
        return f"it {objection}" if objection else ""

    def check(self, shown: Shown | None) -> None:
        """Raise Refused for an object that does not belong to this cluster."""
        objection = self.objection(shown) if shown else ""
        if not (shown and objection):
            return
        advice = f"Set {named('adopt')} to true to take it over, or delete it"
        if self.others(shown.existing):
            advice = f"Set {shown.another} to use a different one, or delete it" if shown.another else "Delete it"
        raise Refused(f"{shown.what} {objection}. {advice} if nothing needs it.")


def choose(found: Mapping[str, Owned | None], makers: Mapping[str, str], owner: Owner) -> str:
    """The name of the object to work with: the first one that exists and does not belong to another cluster, else one
    to create.

    makers: the names to look under, in order, and which other tool uses each. A new object gets the first free
    name that no tool uses; if none is free, the last of these names is returned. Empty if there is no name.
    """
    for name in makers:
        existing = found.get(name)
        if existing and not owner.others(existing):
            return name
    ours = [name for name, maker in makers.items() if not maker]
    return next((name for name in ours if found.get(name) is None), ours[-1] if ours else "")


T = TypeVar("T", bound=Owned)


class Candidates(Generic[T]):
    """Objects of one kind under the names that they may have, of which choose() takes one.

    makers: as choose() takes it; read: the object of a name, None if absent. Reading takes two rounds, of which the
    second is empty in most cases: if the first name decides, the others are not read.
    """

    def __init__(self, makers: Mapping[str, str], read: Callable[[str], T | None], owner: Owner) -> None:
        self.makers = makers
        self._read = read
        self._owner = owner
        self._answers: dict[str, Answer[T | None]] = {}

    def ask(self, ask: Ask) -> None:
        """Ask for what this round needs."""
        if self._answers and self.chosen:
            return
        names = [*self.makers][1:] if self._answers else [*self.makers][:1]
        self._answers |= {name: ask.known(self._read, name) for name in names}

    @property
    def name(self) -> str:
        """The name to work with."""
        return choose(results(self._answers), self.makers, self._owner)

    @property
    def chosen(self) -> T | None:
        """What exists under that name."""
        answer = self._answers.get(self.name)
        return answer.result() if answer else None


@dataclass(frozen=True)
class Step:
    """Actions on one object.

    shown: the object, None if it does not exist yet or cannot be another cluster's. It is asked whose it is even if
    there are no actions.
    """

    shown: Shown | None
    actions: Iterable[Action]

    def planned(self, owner: Owner) -> Iterator[Action | Kept]:
        owner.check(self.shown)
        yield from self.actions


@dataclass(frozen=True)
class Removal:
    """One object to remove.

    shown: as in Step. kept: why it stays although it belongs to this cluster, or an empty text. delete: what removes
    it. contents: what is removed from it before, even if the object itself stays for that reason.
    """

    thing: str
    shown: Shown | None
    kept: str
    delete: Action | None = None
    contents: tuple[Action, ...] = ()

    def why_kept(self, owner: Owner) -> str:
        """Why it stays, or an empty text."""
        return owner.kept(self.shown) or self.kept

    def planned(self, owner: Owner) -> Iterator[Action | Kept]:
        kept = self.why_kept(owner)
        if not owner.kept(self.shown):
            yield from self.contents
        if kept:
            yield Kept(self.thing, kept)
        elif self.delete:
            yield self.delete


class HasOwner(Protocol):
    """What a user wants for one cluster."""

    @property
    def owner(self) -> Owner:
        """The cluster."""


C = TypeVar("C")
W = TypeVar("W", bound=HasOwner)


def asked(plan: Callable[[C, W], Iterable[Step | Removal]]) -> Callable[[C, W], Iterator[Action | Kept]]:
    """The plan with the answer to whose each object is: a change to an object of another cluster is refused, and a
    removal keeps it.

    It is the only way from a Step or a Removal to the engine, so no plan can leave the question out.
    """

    @functools.wraps(plan)
    def planned(current: C, wanted: W) -> Iterator[Action | Kept]:
        for part in plan(current, wanted):
            yield from part.planned(wanted.owner)

    return planned
