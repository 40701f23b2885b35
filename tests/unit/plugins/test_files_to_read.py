# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that the user names: a pipe is refused instead of waited for, and a byte order mark is not part of the text."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._clusters import connection
from ansible_collections.castai.onboarding.plugins.module_utils._gateways import (
    azure_credentials,
    google_credentials,
    kubeconfig,
    kubernetes,
)

READERS: dict[str, Callable[[str], Any]] = {
    "the API server's certificates": connection._read,
    "an Azure credential": lambda path: azure_credentials._read(path, "OPTION", "file"),
    "a Google key": lambda path: google_credentials._read(path, "OPTION"),
    "a kubeconfig": lambda path: kubeconfig._parsed(Path(path)),
    "a certificate of a kubeconfig": lambda path: kubeconfig._material({"key": path}, "key"),
    "a token of a kubeconfig": kubernetes._from_file,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_pipe_is_refused(read: Callable[[str], Any], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Exception, match=r"cannot be read \(it is a pipe or device, not a file\)"):
        read(str(tmp_path / "pipe"))


@pytest.mark.parametrize(
    ("reader", "text", "expected"),
    [
        ("the API server's certificates", "PEM", "PEM"),
        ("a Google key", json.dumps({"type": "service_account"}), {"type": "service_account"}),
        ("a kubeconfig", "a: b\r\n", {"a": "b"}),
        ("a certificate of a kubeconfig", "PEM", "PEM"),
        ("a token of a kubeconfig", "token\r\n", "Bearer token"),
    ],
)
def test_a_byte_order_mark_is_left_out(reader: str, text: str, expected: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(text, encoding="utf-8-sig", newline="")
    assert READERS[reader](str(tmp_path / "file")) == expected
