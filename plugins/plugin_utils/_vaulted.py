# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which texts `!vault` encrypts: a user who encrypts one wants it in no output. PRIVATE to the collection.

Secret options are masked anyway. Chart values have names of others, so nothing else shows that one is a secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.castai.onboarding.plugins.module_utils._credentials import SHORTEST
from ansible_collections.castai.onboarding.plugins.module_utils._variables import VARIABLES

try:
    from ansible.parsing.vault import VaultHelper

    def _is_vaulted(leaf: Any) -> bool:
        return VaultHelper.get_ciphertext(leaf, with_tags=False) is not None

except ImportError:  # ansible-core before 2.19
    from ansible.parsing.yaml.objects import AnsibleVaultEncryptedUnicode

    def _is_vaulted(leaf: Any) -> bool:
        return isinstance(leaf, AnsibleVaultEncryptedUnicode)


def in_variables(variables: Mapping[str, Any]) -> frozenset[str]:
    """The decrypted texts: at any depth in our variables, and others as a whole, because ours may refer to them."""
    return frozenset(text for name, value in variables.items() for text in _texts(value, deep=name in VARIABLES))


def in_chart_values(arguments: Mapping[str, Any], variables: Mapping[str, Any]) -> frozenset[str]:
    """Those that the chart values in a task's arguments contain. Shorter ones would mask half of any sentence."""
    given = [arguments.get("values"), arguments.get("releases")]
    leaves = [leaf for one in given if not isinstance(one, str) for leaf in _leaves(one, deep=True)]
    if not any(isinstance(leaf, str) or _is_vaulted(leaf) for leaf in leaves):
        return frozenset()
    every = in_variables(variables) | frozenset(_texts(given, deep=True))
    return frozenset(
        text for text in every if len(text) >= SHORTEST and any(text in _decrypted(leaf) for leaf in leaves)
    )


def _texts(value: Any, deep: bool) -> Iterator[str]:
    yield from filter(None, (_decrypted(leaf) for leaf in _leaves(value, deep) if _is_vaulted(leaf)))


def _leaves(value: Any, deep: bool) -> Iterator[Any]:
    if deep and isinstance(value, (Mapping, list)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _leaves(item, deep)
    else:
        yield value


def _decrypted(text: Any) -> str:
    """The decrypted text; empty without the vault's password, because then no other value can contain it either."""
    try:
        return str(text)
    except Exception:
        return ""
