# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds text that looks like a credential: in an address, or after its name. Pure. PRIVATE to the collection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MASK = "********"
SHORTEST = 6
"""Shorter texts are not masked: they would mask half of any sentence."""

SECRET_VARIABLE = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)
"""Names of environment variables that contain secrets."""

# Everything is bounded: a program's output may be a text of several megabytes.
_NAMED = re.compile(
    r"((?:bearer|basic)\s{1,9}|[\w-]{0,60}(?:token|secret|passw(?:or)?d|api.?key|access.?key)[\w-]{0,60}[\"']?\s{0,9}[=:]\s{0,9}[\"']?)"
    r"[^\s\"',;@&*]{6,}|\beyJ[\w-]+\.[\w.-]+|\bk8s-aws-v1\.[\w-]+",
    re.IGNORECASE,
)
"""A credential that follows its name, which is the first group, or one that is recognized by its form."""

_OF_FLAG = re.compile(
    r"(--[\w-]{0,60}(?:token|secret|passw(?:or)?d|api.?key|access.?key)[\w-]{0,60}"
    r"[\"']?(?:\s{0,9},\s{0,9}|\s{1,9}(?:-\s)?)[\"']?)[^\s\"',;@&*-][^\s\"',;@&*]{5,}",
    re.IGNORECASE,
)
"""A credential that follows a program's flag, also as the next item of a list, for texts of a user: programs write such
words into sentences."""

_HOOK = re.compile(
    r"(\bhttps?://[^\s\"'<>?#]{0,200}?hook[\w.:-]{0,60}/(?:[\w.:-]{1,60}/){0,5}?)"
    r"(?=[\w-]{0,60}(?-i:[\dA-Z]))[\w-]{16,}[^\s\"'<>]{0,999}",
    re.IGNORECASE,
)
"""The end of a webhook's address from its first long part that is not a word: whoever knows it can post there."""

_REFERS = re.compile(r"(ref|name|file|path|dir)[\"']?\s*[=:,-]?\s*[\"']?$", re.IGNORECASE)
"""The name of where a credential is: tokenSecretName: x, --token-file=x."""
_ELSEWHERE = ("$", "/", "{", "<", "%")
"""A text that begins like this stands for a value elsewhere: $(API_KEY), /var/run/token, {{ token }}."""

_BY_FORM = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY|\bLS0tLS1CRUdJTi|\beyJ[\w-]{8,}\.[\w-]{4,}|\bk8s-aws-v1\.|\bya29\.[\w-]{20,}"
    r"|[\w~.-]{3}\dQ~[\w~.-]{31,34}|\b(?:eyJ|ewog|ew0K)[\w+/]{40,}"
)
"""Credentials recognized anywhere by their form: a private key, also in base64, a token, a secret of an Entra
application, and a key file or other JSON in base64, which holds nothing else."""

UUID = r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_BESIDE_SECRETS = ("client_id", "existing_app_id")
"""Options for GUIDs that have an option for a secret next to them, which people confuse with them."""
_LEAST_OF_SECRETS = 16
"""Such a secret has at least this many characters."""
_SHOWN = 120
"""How many characters of a wrong value a message shows."""

_USER_INFO = re.compile(
    r"(?P<before>\b[a-z][\w+.-]{0,30}://)"
    r"(?:[^/@:\s]{0,99}:(?P<password>[^/\s]{1,999}|(?!\d+[/?#])\S{1,999})|(?<!ssh://)(?<!git://)(?P<token>[^/@:\s]{1,999}))(?=@)",
    re.IGNORECASE,
)
_BARE_USER_INFO = re.compile(r"(?P<before>)[^/@:\s]+:(?P<password>[^/@\s]+)(?P<token>)(?=@[\w.-]+(:\d+)?$)")
"""User name and password, or a token alone, in an address; without a scheme it is the whole text."""
_PARAMETER = re.compile(
    r"(?P<before>[?&;#](?:[\w.~%-]{0,60}"
    r"(?:token|secret|passw(?:or)?d|credential|signature|api.?key|access.?key|assertion|jwt)[\w.~%-]{0,60}"
    r"|sig|key|auth|pwd)=)(?P<password>[^&;#\s\"'<>]+)(?P<token>)",
    re.IGNORECASE,
)
"""A parameter of an address: ?token=, an Azure SAS's sig=, X-Amz-Signature= of a presigned address."""


@dataclass(frozen=True)
class Credential:
    """A credential in an address within a text. start, end: the part to mask. secret: only the password, token or
    parameter."""

    start: int
    end: int
    secret: str = field(repr=False)
    whole: str = field(repr=False)
    """The credential with the part of the address before it."""


def in_addresses(text: str) -> list[Credential]:
    """The credentials in the addresses of a text, in order."""
    bare = _BARE_USER_INFO.match(text)
    found = [bare] if bare else [*_USER_INFO.finditer(text), *_PARAMETER.finditer(text)]
    every = (Credential(one.end("before"), one.end(), one["password"] or one["token"], one[0]) for one in found)
    return sorted(every, key=lambda one: one.start)


def in_text(text: str) -> list[Credential]:
    """The credentials in a text of a user, such as a program's flags or a file's contents, in order."""
    if holds_credential(text):
        return [Credential(0, len(text), text, text)]
    following = (found for pattern in (_NAMED, _OF_FLAG, _HOOK) for found in pattern.finditer(text))
    named = [
        Credential(start, one.end(), text[start : one.end()], text[start : one.end()])
        for one in following
        for start in [max(one.start(), one.end(1))]
        if not _REFERS.search(one[1] or "") and not text.startswith(_ELSEWHERE, start)
    ]
    return sorted([*in_addresses(text), *named], key=lambda one: one.start)


def in_address(url: str) -> tuple[str, ...]:
    """The secret texts in a text that is one address, with or without a scheme."""
    return tuple(one.secret for one in in_addresses(url if "://" in url else f"any://{url}"))


def pasted(params: Mapping[str, Any]) -> Iterator[str]:
    """The values of options that are credentials where a path, name or ID belongs, both as they are and as messages
    quote them, and the credentials of addresses."""
    for option, value in params.items():
        for one in value if isinstance(value, list) else [value]:
            if not isinstance(one, str):
                continue
            if holds_credential(one) or (option in _BESIDE_SECRETS and _may_be_secret(one)):
                yield from (one, one.strip(), repr(one)[1:-1])
            yield from (found.secret for found in in_addresses(one) if len(found.secret) >= SHORTEST)


def is_uuid(text: str) -> bool:
    """Whether a text has the form of a UUID, in any case: the id of a cluster at CAST AI, or an ID of Azure."""
    return bool(re.fullmatch(UUID, text))


def holds_credential(text: str) -> bool:
    """Whether a text contains something that is a credential by its form."""
    return bool(_BY_FORM.search(text))


def _may_be_secret(text: str) -> bool:
    return len(text) >= _LEAST_OF_SECRETS and not is_uuid(text.strip())


def quoted(value: Any) -> str:
    """A wrong value as a message shows it: cut if it is long, and masked if it contains a credential.

    In ASCII, because a letter of another alphabet or an invisible one may be what is wrong.
    """
    if not isinstance(value, str):
        text = ascii(value)
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    if holds_credential(value):
        return repr(MASK)
    shown = without(value)
    return ascii(shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}...")


def without(text: str) -> str:
    """The text with the credentials removed from its addresses."""
    return "".join(_kept(text, in_addresses(text)))


def without_any(text: str) -> str:
    """A text of a user with all credentials removed."""
    return "".join(_kept(text, in_text(text)))


def _kept(text: str, credentials: list[Credential]) -> Iterator[str]:
    at = 0
    for one in credentials:
        if one.start >= at:
            yield f"{text[at : one.start]}{MASK}"
        at = max(at, one.end)
    yield text[at:]


def masked(text: str) -> str:
    """A program's output with everything masked that looks like a credential."""
    return _NAMED.sub(lambda found: f"{found[1] or ''}{MASK}", without(text))
