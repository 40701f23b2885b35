# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads and writes the API servers' store directly through etcd's JSON gateway, for snapshots of whole clusters."""

from __future__ import annotations

import base64
import http.client
import json
from typing import Any


class Etcd:
    """A client of one etcd. Keys are text, values bytes."""

    def __init__(self, port: int) -> None:
        self._port = port

    def read(self, prefix: str) -> dict[str, bytes]:
        """All keys below a prefix that ends in a slash, in their order, at one revision."""
        found = self._call("range", key=_encode(prefix), range_end=_encode(prefix[:-1] + "0")).get("kvs", [])
        return {base64.b64decode(pair["key"]).decode(): base64.b64decode(pair.get("value", "")) for pair in found}

    def write(self, key: str, value: bytes) -> None:
        self._call("put", key=_encode(key), value=base64.b64encode(value).decode())

    def delete(self, key: str) -> None:
        self._call("deleterange", key=_encode(key))

    def _call(self, operation: str, **body: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("POST", f"/v3/kv/{operation}", json.dumps(body))
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise RuntimeError(f"etcd {operation}: {response.status} {answer}")
        return answer


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
