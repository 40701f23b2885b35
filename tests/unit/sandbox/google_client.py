# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients of the world's Google Cloud without a socket: requests, google-auth and google-api-python-client."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import google_auth_httplib2
import httplib2
import requests
from google.auth.transport.requests import AuthorizedSession
from google.oauth2 import service_account
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build
from urllib3 import HTTPResponse

from ansible_collections.castai.onboarding.plugins.module_utils._gateways.google import Google as Gateway
from tests.sandbox.gate import Gate
from tests.sandbox.google.server import Google
from tests.sandbox.google.tokens import CLOUD, EMAIL
from tests.sandbox.wire import Cluster, Request, Response

from .aws_account import Ended
from .aws_client import Clock

PROJECT, NUMBER, SHARED = "acme-prod", "123456789012", "acme-shared"
LOCATION = "europe-west1"
OPERATOR = f"operator@{PROJECT}.iam.gserviceaccount.com"
ADDRESS = ("127.0.0.1", 0)


def cluster(name: str, project: str = PROJECT, location: str = LOCATION, **other: Any) -> Cluster:
    return Cluster(
        **{
            "name": name,
            "provider": "gke",
            "account": project,
            "region": location,
            "mode": "",
            "ip_family": "ipv4",
            "version": "1.36",
            "endpoint": "https://127.0.0.1:6443",
            "ca_pem": "PEM",
            "admin_kubeconfig": Path("unused"),
            "created_by": "",
            "address": "198.18.0.1",
            "dns_endpoint": f"gke-0123456789abcdef-{NUMBER}.{location}.gke.goog",
            **other,
        }
    )


class Cloud:
    """One Google Cloud behind a gate, which applies faults and keeps the journal. An `end` fault raises Ended."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.google = Google(self.clock)
        self.gate = Gate(_end)

    def send(self, request: Request) -> Response | None:
        """None: the connection was closed without an answer."""
        return self.gate.answer(self.google, request, ADDRESS, ADDRESS)

    def do(self, verb: str, **args: Any) -> Any:
        """Behind the caller's back (control.py)."""
        return self.google.control(verb, **args)

    def token(self, email: str = OPERATOR, **args: Any) -> str:
        found: str = self.do("token", member=email if ":" in email else f"serviceAccount:{email}", **args)
        return found

    def operator_with(self, *permissions: str, project: str = PROJECT) -> str:
        """A token of a new account with these permissions, through a new custom role."""
        role_id = f"operator{len(self.google.store.roles)}"
        role = self.do("add_role", project=project, role_id=role_id, permissions=permissions)
        email = self.do("add_account", project=project, account_id=f"operator-{len(self.google.store.accounts)}")
        self.do("grant", project=project, role=role, member=f"serviceAccount:{email}")
        return self.token(email)

    def adapter(self) -> InProcess:
        """For `session.mount("https://", ...)` of requests."""
        return InProcess(self)

    def session(self, token: str | None = None) -> requests.Session:
        """An authorized session, by default the operator's. google-auth requests nothing for it."""
        made: requests.Session = AuthorizedSession(Credentials(token=token or self.token()))
        made.mount("https://", self.adapter())
        return made

    def key_credentials(self, text: str | None = None) -> Any:
        """google-auth's credentials for a key file, by default the operator's; refresh them with `self.request()`."""
        info = json.loads(text or self.google.operator_key())
        return service_account.Credentials.from_service_account_info(info, scopes=[CLOUD, EMAIL])

    def plain_session(self) -> requests.Session:
        """Without credentials: the transport that google-auth itself uses."""
        made = requests.Session()
        made.mount("https://", self.adapter())
        made.mount("http://", self.adapter())
        return made

    def gateway(self, token: str | None = None) -> Gateway:
        """The modules' Google gateway, by default as the operator."""
        made = Gateway({"access_token": token or self.token()})
        made._http.mount("https://", self.adapter())
        return made

    def client(self, service: str, version: str, token: str | None = None) -> Any:
        """google-api-python-client's."""
        http = google_auth_httplib2.AuthorizedHttp(Credentials(token=token or self.token()), http=DirectHttp(self))
        return build(service, version, http=http, static_discovery=True)

    def reset(self) -> None:
        """Reset to the initial state, except for its clusters."""
        self.clock.ahead = 0.0
        self.google.reset()
        self.gate.reset()

    def writes(self) -> list[str]:
        """The writes since it was created, by the name of the call."""
        return [entry.call.operation for entry in self.gate.journal.since(0) if entry.call.write]


def _end(_client: Any, _server: Any) -> None:
    raise Ended


class Sends(Protocol):
    def send(self, request: Request) -> Response | None:
        """None: the connection was closed without an answer."""


class InProcess(requests.adapters.BaseAdapter):
    """Passes requests of the library requests to the stand-in."""

    def __init__(self, cloud: Sends) -> None:
        super().__init__()
        self._cloud = cloud

    def send(self, request: requests.PreparedRequest, *_args: Any, **_more: Any) -> requests.Response:
        answer = self._cloud.send(_received(request.method, request.url, request.headers, request.body))
        if answer is None:
            raise requests.ConnectionError("Connection aborted.", request=request)
        made = requests.Response()
        made.status_code, made.url, made.request = answer.status, request.url or "", request
        made.headers.update(dict(answer.headers))
        made.raw = HTTPResponse(io.BytesIO(answer.body), preload_content=False, status=answer.status)
        made.encoding = "utf-8"
        return made

    def close(self) -> None:
        pass


class DirectHttp(httplib2.Http):  # type: ignore[misc]
    """Passes requests of google-api-python-client to the stand-in."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__()
        self._cloud = cloud

    def request(
        self, uri: str, method: str = "GET", body: Any = None, headers: Any = None, **_more: Any
    ) -> tuple[Any, bytes]:
        answer = self._cloud.send(_received(method, uri, headers or {}, body))
        if answer is None:
            raise ConnectionError("the connection ended")
        return httplib2.Response({"status": answer.status, **dict(answer.headers)}), answer.body


def _received(method: Any, uri: Any, headers: Mapping[str, Any], body: Any) -> Request:
    url = urlsplit(str(uri))
    text = body.encode() if isinstance(body, str) else body or b""
    return Request(
        str(method),
        url.netloc,
        url.path or "/",
        url.query,
        {name.lower(): value.decode() if isinstance(value, bytes) else str(value) for name, value in headers.items()},
        text,
    )
