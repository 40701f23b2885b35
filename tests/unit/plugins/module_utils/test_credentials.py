# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One detector of credentials for options, chart values and the output of programs."""

from __future__ import annotations

import time

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._credentials import (
    MASK,
    in_addresses,
    is_uuid,
    masked,
    pasted,
    without,
)
from ansible_collections.castai.onboarding.plugins.module_utils._helm.values import secrets, shown

TEXTS = {
    "get https://me:CANARY-1@h/x?a=b: no": f"get https://{MASK}@h/x?a=b: no",
    "get https://CANARY-2@h/x": f"get https://{MASK}@h/x",
    "https://h/x?token=CANARY-3&b=c": f"https://h/x?token={MASK}&b=c",
    'Get "https://h/x?sp=r&sig=CANARY-4": EOF': f'Get "https://h/x?sp=r&sig={MASK}": EOF',
    "https://h/?X-Amz-Signature=CANARY-5&X-Amz-Security-Token=CANARY-6": (
        f"https://h/?X-Amz-Signature={MASK}&X-Amz-Security-Token={MASK}"
    ),
    "https://me:CANARY-7@h/?X-Goog-Credential=CANARY-8": f"https://{MASK}@h/?X-Goog-Credential={MASK}",
    "https://h/x?version=1&monkey=2, ssh://git@h": "https://h/x?version=1&monkey=2, ssh://git@h",
}


@pytest.mark.parametrize("text", TEXTS)
def test_addresses_in_a_text(text: str) -> None:
    assert without(text) == masked(text) == TEXTS[text]
    assert shown({"url": text}, ("url",)) == {"url": TEXTS[text]}
    hidden = secrets({"url": text})
    assert ("CANARY" in text) is bool(hidden)
    assert all(one.secret in hidden for one in in_addresses(text))


def test_the_password_of_an_address_that_is_no_option_for_addresses_is_hidden() -> None:
    """Such as a proxy's or a download's, where the name of a file belongs."""
    params = {
        "ca_cert": "https://me:CANARY-1@h/ca.pem",
        "files": ["x", "socks5://CANARY-2@h"],
        "helm_path": "/usr/helm",
    }
    assert [*pasted(params)] == ["CANARY-1", "CANARY-2"]


def test_a_long_text_takes_no_long_time() -> None:
    began = time.monotonic()
    for text in ("a://b:" * 10_000, "a://" + "b" * 60_000, "?token=" * 10_000, "@" * 60_000):
        masked(text)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("text", "expected"),
    {
        "0b1f6471-1bf0-4dda-aec3-cb9272f09590": True,
        "0B1F6471-1BF0-4DDA-AEC3-CB9272F09590": True,
        "0b1f6471-1bf0-4dda-aec3-cb9272f09590 ": False,
        "0b1f6471-1bf0-4dda-aec3-cb9272f0959": False,
        "0b1f64711bf04ddaaec3cb9272f09590": False,
        "production": False,
    }.items(),
)
def test_the_form_of_a_uuid(text: str, expected: bool) -> None:
    assert is_uuid(text) is expected
