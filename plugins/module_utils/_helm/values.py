# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A chart's values: what differs, and which of it may be shown. Pure. PRIVATE to the collection."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from .._credentials import MASK, SHORTEST, in_text, without_any

Values = Mapping[str, Any]

_ABSENT = object()
_SECRET_LEAF = re.compile(
    r"(key|tokens?|(?<!by)(?<!com)pass|passw(or)?ds?|pwd|passphrases?|secrets?|credentials?|\wkeys|dockerconfigjson|dockercfg"
    r"|htpasswd|kubeconfig|authorization|connectionstring|dsn|jwt)$"
)
_SECRET_BRANCH = re.compile(r"secret|password|credential|tokens$|\wkeys$|^auths$|dockerconfig")
_DOT = re.compile(r"(?<!\\)\.")
_INDEX = re.compile(r"\d+")
_FLAG = re.compile(r"--?([A-Za-z][\w.-]+)")
_REFERENCE = re.compile(r"(ref|name|pullsecrets)$")
_SELECTORS = frozenset({"tolerations", "matchexpressions", "topologyspreadconstraints"})
"""Something called key below these is the name of a label or taint."""


def differing(before: Values, after: Values) -> tuple[str, ...]:
    """The dotted paths whose leaves differ, sorted; dots in keys are escaped, as in Helm's --set.

    An empty list or map is a leaf. 1 and 1.0 are equal, 1 and true are not. Numbers are compared as Helm keeps them,
    with 53 bits.
    """
    old, new = dict(_leaves(before)), dict(_leaves(after))
    return tuple(
        sorted(path for path in old.keys() | new.keys() if not _same(old.get(path, _ABSENT), new.get(path, _ABSENT)))
    )


def paths(values: Values) -> tuple[str, ...]:
    """The dotted paths of all texts that are not empty."""
    return tuple(path for path, leaf in _leaves(values) if isinstance(leaf, str) and leaf)


def shown(values: Values, paths: tuple[str, ...]) -> dict[str, Any]:
    """The leaves at these paths, by path, masked where path, entry or text looks secret."""
    leaves, names = dict(_leaves(values)), _names(values)
    return {path: _masked(path, leaves[path], names.get(path, "")) for path in paths if path in leaves}


def secret(path: str, name: str = "") -> bool:
    """Whether the leaf at a dotted path looks secret by its name: apiKey, tokens.0, additionalSecretEnv.ANYTHING.

    name: of the entry whose value it is, as in env.0.value. References are not secret: apiKeySecretRef,
    clusterIdSecretKeyRef.key.
    """
    parts = [re.sub(r"[^a-z0-9]", "", part.lower()) for part in (*_DOT.split(path), *([name] if name else ()))]
    branches = [part for part in parts if not _INDEX.fullmatch(part)] or parts
    if any(_REFERENCE.search(branch) for branch in branches) or branches[-1] == "topologykey":
        return False
    if (name or branches[-1] == "key") and not _SELECTORS.isdisjoint(branches):
        return False
    return bool(_SECRET_LEAF.search(branches[-1])) or any(_SECRET_BRANCH.search(branch) for branch in branches[:-1])


def secrets(values: Values) -> tuple[str, ...]:
    """The texts among the values whose path looks secret, and the credentials in others, such as a proxy's password.

    Shorter ones would mask half of any sentence.
    """
    names = _names(values)
    texts = [(path, leaf) for path, leaf in _leaves(values) if isinstance(leaf, str)]
    by_path = [leaf for path, leaf in texts if secret(path, names.get(path, ""))]
    parts = [part for _path, leaf in texts for found in in_text(leaf) for part in (found.whole, found.secret)]
    return tuple(text for text in (*by_path, *parts) if len(text) >= SHORTEST)


def _masked(path: str, leaf: Any, name: str) -> Any:
    if isinstance(leaf, bool):
        return leaf
    if secret(path, name):
        return MASK
    return without_any(leaf) if isinstance(leaf, str) else leaf


def _names(value: Any) -> dict[str, str]:
    """The names of entries that have a name or key and a value, as in env, by the path of the value, and the flags
    before the values in a list of arguments."""
    named: dict[str, str] = {}
    for path, one in _nodes(value):
        if isinstance(one, Mapping):
            name = one.get("name", one.get("key"))
            if isinstance(name, str):
                named |= {inner: name for inner, _leaf in _leaves(one.get("value"), _joined(path, "value"))}
        elif isinstance(one, (list, tuple)):
            for number, (item, following) in enumerate(itertools.pairwise(one), 1):
                flag = _FLAG.fullmatch(item) if isinstance(item, str) else None
                if flag and not (isinstance(following, str) and following.startswith("-")):
                    named[_joined(path, str(number))] = flag[1]
    return named


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    return ((inner, one) for inner, one in _nodes(value, path) if inner and not _items(one))


def _nodes(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The value and everything in it, each with its path. Not by recursion, which ends at some depth."""
    left = [(path, value)]
    while left:
        path, one = left.pop()
        yield path, one
        left += [(_joined(path, key), item) for key, item in reversed(_items(one))]


def _items(value: Any) -> list[tuple[str, Any]]:
    """The items of a map or list, each with its part of the path."""
    if isinstance(value, Mapping):
        return [(str(key).replace(".", "\\."), item) for key, item in value.items()]
    return [(str(index), item) for index, item in enumerate(value)] if isinstance(value, (list, tuple)) else []


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        with contextlib.suppress(OverflowError):
            return float(one) == float(other)
    return bool(one == other)
