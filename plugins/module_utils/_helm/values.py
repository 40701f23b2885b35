# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A chart's values: what differs, and what of it may be shown. Pure. PRIVATE to the collection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Values = Mapping[str, Any]

MASK = "********"
SHORTEST = 6

_ABSENT = object()
_SECRET_LEAF = re.compile(r"(key|token|passw(or)?d|passphrase|secret|credentials?)$")
_SECRET_BRANCH = re.compile(r"secret|password|credential")
_DOT = re.compile(r"(?<!\\)\.")
_WITH_PASSWORD = re.compile(r"\w://[^/@:\s]*:(?P<password>[^/\s]+)@")
_REFERENCE = re.compile(r"(ref|name)$")


def differing(before: Values, after: Values) -> tuple[str, ...]:
    """The dotted paths whose leaves differ, sorted; dots in keys are escaped, as in Helm's --set.

    An empty list or map is a leaf. 1 and 1.0 are equal, 1 and true are not.
    """
    old, new = dict(_leaves(before)), dict(_leaves(after))
    return tuple(
        sorted(path for path in old.keys() | new.keys() if not _same(old.get(path, _ABSENT), new.get(path, _ABSENT)))
    )


def paths(values: Values) -> tuple[str, ...]:
    """The dotted paths of all texts that are not empty."""
    return tuple(path for path, leaf in _leaves(values) if isinstance(leaf, str) and leaf)


def shown(values: Values, paths: tuple[str, ...]) -> dict[str, Any]:
    """The leaves at these paths, by path, masked where the path looks secret."""
    leaves = dict(_leaves(values))
    return {
        path: MASK if secret(path) and not isinstance(leaves[path], bool) else leaves[path]
        for path in paths
        if path in leaves
    }


def secret(path: str) -> bool:
    """Whether the leaf at a dotted path looks secret by its name: apiKey, castai.token, additionalSecretEnv.ANYTHING.

    References are not: apiKeySecretRef, clusterIdSecretKeyRef.key.
    """
    branches = [re.sub(r"[^a-z0-9]", "", part.lower()) for part in _DOT.split(path)]
    if any(_REFERENCE.search(branch) for branch in branches):
        return False
    return bool(_SECRET_LEAF.search(branches[-1])) or any(_SECRET_BRANCH.search(branch) for branch in branches[:-1])


def secrets(values: Values) -> tuple[str, ...]:
    """The texts among the values that look secret by their path, and addresses with a password, such as a proxy's.

    Shorter ones would mask half of any sentence.
    """
    texts = [(path, leaf) for path, leaf in _leaves(values) if isinstance(leaf, str)]
    by_path = [leaf for path, leaf in texts if secret(path)]
    with_password = [found for _path, leaf in texts for found in _WITH_PASSWORD.finditer(leaf)]
    passwords = [part for found in with_password for part in (found[0], found["password"])]
    return tuple(text for text in (*by_path, *passwords) if len(text) >= SHORTEST)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    items: list[tuple[str, Any]] = []
    if isinstance(value, Mapping):
        items = [(str(key).replace(".", "\\."), item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)):
        items = [(str(index), item) for index, item in enumerate(value)]
    if not items:
        if path:
            yield path, value
        return
    for key, item in items:
        yield from _leaves(item, f"{path}.{key}" if path else key)


def _same(one: Any, other: Any) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and one == other
