# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""boto3 for the world's AWS without a socket, and the accounts and clusters that its tests share."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ClientError
from botocore.loaders import create_loader
from botocore.session import get_session

from ansible_collections.castai.onboarding.plugins.module_utils._gateways.aws import Aws as Gateway
from tests.sandbox.aws.server import Aws
from tests.sandbox.wire import Cluster, Request

HOME, OTHER = "111122223333", "444455556666"
OPERATOR = f"arn:aws:iam::{HOME}:user/operator"
ONBOARDING = f"arn:aws:iam::{OTHER}:role/onboarding"

LOADER = create_loader()  # shared, so that each service's model is read once


class NoAgent:
    """There is no Kubernetes from which it could report."""

    def __init__(self, *_arguments: Any) -> None:
        pass

    def start(self) -> None:
        pass


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def cluster(name: str, account: str = HOME, mode: str = "API_AND_CONFIG_MAP", **other: Any) -> Cluster:
    creator = OPERATOR if account == HOME else f"arn:aws:iam::{account}:role/onboarding"
    return Cluster(
        **{
            "name": name,
            "provider": "eks",
            "account": account,
            "region": "eu-central-1",
            "mode": mode,
            "ip_family": "ipv4",
            "version": "1.36",
            "endpoint": "https://127.0.0.1:6443",
            "ca_pem": "PEM",
            "admin_kubeconfig": Path("unused"),
            "created_by": creator,
            **other,
        }
    )


PROD, SHOP, OLD = cluster("prod"), cluster("shop", OTHER, ip_family="ipv6"), cluster("old", mode="CONFIG_MAP")


def world(clock: Clock) -> Aws:
    made = Aws(clock=clock)
    for one in (PROD, SHOP, OLD):
        made.add_cluster(one)
    return made


class Body:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self._data


def session(
    aws: Aws, key_id: str, secret: str, token: str | None = None, region: str = "eu-central-1"
) -> boto3.Session:
    """boto3, with requests that go directly to the back end."""

    def send(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        url = urlsplit(request.url)
        headers = {name.lower(): _text(value) for name, value in request.headers.items()}
        body = request.body or b""
        received = Request(
            request.method,
            url.netloc,
            url.path or "/",
            url.query,
            {"host": url.netloc, **headers},
            body.encode() if isinstance(body, str) else body,
        )
        answer = aws.handle(received)
        return AWSResponse(request.url, answer.status, dict(answer.headers), Body(answer.body))

    core = get_session()
    core.register_component("data_loader", LOADER)
    made = boto3.Session(key_id, secret, token, region_name=region, botocore_session=core)
    made.events.register("before-send", send)
    return made


def gateway(credentials: boto3.Session) -> Gateway:
    """The modules' AWS gateway with these credentials."""
    aws = Gateway({"region": "eu-central-1", "access_key": "x", "secret_key": "x"})
    aws._session = credentials
    aws._clients = {name: _client(credentials, name) for name in ("iam", "ec2", "eks", "sts")}
    return aws


@functools.lru_cache(maxsize=64)
def _client(credentials: boto3.Session, service: str) -> Any:
    """One session for all gateways with these credentials: boto3 creates a class with hundreds of methods for each."""
    return credentials.client(service)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def operator(aws: Aws, region: str = "eu-central-1") -> boto3.Session:
    env = aws.env()
    return session(aws, env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], region=region)


def code(call: Any, **arguments: Any) -> str:
    """The code of the error with which a call fails."""
    return refused(call, **arguments)[0]


def refused(call: Any, **arguments: Any) -> tuple[str, str]:
    """Code and message of the error with which a call fails."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def allow(*actions: str, **more: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*", **more}
    return {"Version": "2012-10-17", "Statement": [statement]}


def trust(*principals: str, **more: Any) -> str:
    """A trust policy as text, for users and roles, or for EC2 if none is given."""
    principal = {"AWS": list(principals)} if principals else {"Service": "ec2.amazonaws.com"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
