# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CAST AI as a client of AWS: its principals in its own account, and whether handed-over credentials work.

That a hand-over is tried out at once follows from its answer, 400 "Forbidden" on `credentials` until IAM's changes have
spread (castai/terraform-provider-castai, castai/cluster.go, which retries on it). Which calls are tried is ours: one
that any key may make, and one read that AmazonEC2ReadOnlyAccess allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode
from xml.etree import ElementTree

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from ..spec import CASTAI_ACCOUNT, partition_of
from ..wire import Request, Response

MAY_ASSUME: Mapping[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}],
}
VERSIONS = {"sts": "2011-06-15", "ec2": "2016-11-15"}


class Cloud(Protocol):
    """What CAST AI needs of the world's AWS (aws.Aws)."""

    def handle(self, request: Request) -> Response:
        """A call of the API."""

    def add_user(self, account: str, name: str, policy: Mapping[str, Any] | None) -> tuple[str, str]:
        """Create a user with an inline policy: access key id, secret."""

    def remove_user(self, account: str, name: str) -> None:
        """Delete a user and everything attached to it."""

    def leave_script_world(self, cluster: str, cluster_id: str, vintage: str, principal: str = "") -> dict[str, str]:
        """Create what another way of onboarding leaves behind."""


@dataclass(frozen=True)
class Principal:
    """An IAM user of CAST AI. Each cluster that asks for one gets its own."""

    name: str
    key_id: str
    secret: str

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{CASTAI_ACCOUNT}:user/{self.name}"


class CastAiAtAws:
    """Calls AWS directly: these calls do not appear in the operator's journal."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def make_principal(self, cluster_id: str) -> Principal:
        name = f"cast-crossrole-{cluster_id}"
        return Principal(name, *self._cloud.add_user(CASTAI_ACCOUNT, name, MAY_ASSUME))

    def remove_principal(self, principal: Principal) -> None:
        self._cloud.remove_user(CASTAI_ACCOUNT, principal.name)

    def leave_script_world(self, cluster: str, cluster_id: str, vintage: str, principal: str) -> dict[str, str]:
        return self._cloud.leave_script_world(cluster, cluster_id, vintage, principal)

    def role_works(self, principal: Principal, role: str, external_id: str, region: str) -> bool:
        """Can the principal assume the role with this external id, and the role read instances?"""
        asked = {"RoleArn": role, "RoleSessionName": "castai", "ExternalId": external_id}
        answer = self._call("sts", region, "AssumeRole", asked, Credentials(principal.key_id, principal.secret))
        if answer is None:
            return False
        got = {item.tag.rpartition("}")[2]: item.text for item in ElementTree.fromstring(answer).iter()}
        keys = Credentials(got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"])
        return self._call("ec2", region, "DescribeInstances", {}, keys) is not None

    def key_works(self, key_id: str, secret: str, region: str) -> bool:
        """Does AWS know the key, and may its user read instances?"""
        keys = Credentials(key_id, secret)
        known = self._call("sts", region, "GetCallerIdentity", {}, keys)
        return known is not None and self._call("ec2", region, "DescribeInstances", {}, keys) is not None

    def _call(
        self, service: str, region: str, action: str, parameters: Mapping[str, str], keys: Credentials
    ) -> bytes | None:
        """The body of the answer, None if AWS refused."""
        suffix = "amazonaws.com.cn" if partition_of(region) == "aws-cn" else "amazonaws.com"
        host = f"{service}.{region}.{suffix}"
        body = urlencode({"Action": action, "Version": VERSIONS[service], **parameters})
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8", "Host": host}
        signed = AWSRequest("POST", f"https://{host}/", headers, data=body)
        SigV4Auth(keys, service, region).add_auth(signed)
        sent = {name.lower(): value for name, value in signed.headers.items()}
        answer = self._cloud.handle(Request("POST", host, "/", "", sent, body.encode()))
        return answer.body if answer.status == 200 else None
