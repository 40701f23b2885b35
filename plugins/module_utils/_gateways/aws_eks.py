# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""EKS, for class Aws. PRIVATE to the collection."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from .aws_session import Session, botocore, call, until_visible

TOKEN_PREFIX = "k8s-aws-v1."

TOKEN_URL_SECONDS = 60
"""aws-iam-authenticator accepts a token for 15 minutes from its date, although the URL expires after 60 s."""


@dataclass(frozen=True)
class EksCluster:
    """The answer of DescribeCluster. authentication_mode is CONFIG_MAP if the answer has none, as for old clusters."""

    name: str
    arn: str
    endpoint: str
    ca_pem: str
    status: str
    version: str
    authentication_mode: str
    ip_family: str
    vpc_id: str
    auto_mode: bool = False
    """Whether EKS adds and removes nodes itself (EKS Auto Mode)."""
    connector: str = ""
    """The provider of a cluster that is only registered with EKS (EKS Connector)."""

    @property
    def access_entries(self) -> bool:
        """Whether the cluster supports access entries."""
        return self.authentication_mode != "CONFIG_MAP"

    @property
    def account_id(self) -> str:
        return self.arn.split(":")[4]

    @property
    def region(self) -> str:
        return self.arn.split(":")[3]


@dataclass(frozen=True)
class AccessEntry:
    """An entry that gives an IAM principal access to an EKS cluster. arn: the principal; type: STANDARD, EC2_LINUX,
    ..."""

    arn: str
    type: str
    tags: Mapping[str, str]
    created: datetime | None = None
    own_arn: str = ""

    def outlived(self, created: datetime | None) -> bool:
        """Whether the principal that has the name now was created later, so that EKS does not let it in by this entry.

        IAM only returns whole seconds.
        """
        if self.created is None or created is None:
            return False
        return self.created.replace(microsecond=0) < created.replace(microsecond=0)


class Eks(Session):
    """Clusters and their access entries."""

    @call("read EKS cluster {0} (eks:DescribeCluster)", absent=True)
    def describe_cluster(self, name: str) -> EksCluster | None:
        cluster = self._client("eks").describe_cluster(name=name)["cluster"]
        return EksCluster(
            name=name,
            arn=cluster["arn"],
            endpoint=cluster.get("endpoint") or "",
            ca_pem=base64.b64decode((cluster.get("certificateAuthority") or {}).get("data") or "").decode(),
            status=cluster.get("status") or "",
            version=cluster.get("version") or "",
            authentication_mode=(cluster.get("accessConfig") or {}).get("authenticationMode") or "CONFIG_MAP",
            ip_family=(cluster.get("kubernetesNetworkConfig") or {}).get("ipFamily") or "ipv4",
            vpc_id=(cluster.get("resourcesVpcConfig") or {}).get("vpcId") or "",
            auto_mode=bool((cluster.get("computeConfig") or {}).get("enabled")),
            connector=(cluster["connectorConfig"].get("provider") or "unknown") if "connectorConfig" in cluster else "",
        )

    @property
    def sts_host(self) -> str:
        """The host of STS that is called, and for which tokens are signed."""
        return urlsplit(self._client("sts").meta.endpoint_url).hostname or ""

    @call("sign a Kubernetes token for EKS cluster {0}")
    def eks_token(self, name: str) -> str:
        """A bearer token for the cluster's API server: a presigned sts:GetCallerIdentity, signed here, no call made."""
        client = self._client("sts")
        signer = botocore.signers.RequestSigner(
            client.meta.service_model.service_id,
            self.region,
            "sts",
            "v4",
            self._session.get_credentials(),
            self._session.events,
        )
        url = signer.generate_presigned_url(
            {
                "method": "GET",
                "url": f"{client.meta.endpoint_url}/?Action=GetCallerIdentity&Version=2011-06-15",
                "body": {},
                "headers": {"x-k8s-aws-id": name},
                "context": {},
            },
            region_name=self.region,
            expires_in=TOKEN_URL_SECONDS,
            operation_name="",
        )
        return TOKEN_PREFIX + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")

    @call("read the access entry of {1} in cluster {0} (eks:DescribeAccessEntry)", absent=True)
    def get_access_entry(self, cluster: str, arn: str) -> AccessEntry | None:
        entry = self._client("eks").describe_access_entry(clusterName=cluster, principalArn=arn)["accessEntry"]
        return AccessEntry(
            arn, entry["type"], dict(entry.get("tags") or {}), entry.get("createdAt"), entry["accessEntryArn"]
        )

    @call("list the access policies of {1} in cluster {0} (eks:ListAssociatedAccessPolicies)", absent=True)
    def list_access_policies(self, cluster: str, arn: str) -> tuple[str, ...]:
        """ARNs of the access policies that apply to the whole cluster."""
        pages = self._client("eks").get_paginator("list_associated_access_policies")
        return tuple(
            policy["policyArn"]
            for page in pages.paginate(clusterName=cluster, principalArn=arn)
            for policy in page["associatedAccessPolicies"]
            if policy["accessScope"]["type"] == "cluster"
        )

    @call("create an access entry for {1} in cluster {0} (eks:CreateAccessEntry)")
    def create_access_entry(self, cluster: str, arn: str, kind: str, tags: Mapping[str, str]) -> None:
        until_visible(
            self._client("eks").create_access_entry, clusterName=cluster, principalArn=arn, type=kind, tags=dict(tags)
        )

    @call("tag access entry {0} (eks:TagResource)")
    def tag_access_entry(self, entry: str, tags: Mapping[str, str]) -> None:
        """entry: its own ARN."""
        self._client("eks").tag_resource(resourceArn=entry, tags=dict(tags))

    @call("associate {2} with the access entry of {1} (eks:AssociateAccessPolicy)")
    def associate_access_policy(self, cluster: str, arn: str, policy: str) -> None:
        until_visible(
            self._client("eks").associate_access_policy,
            clusterName=cluster,
            principalArn=arn,
            policyArn=policy,
            accessScope={"type": "cluster"},
        )

    @call("delete the access entry of {1} in cluster {0} (eks:DeleteAccessEntry)", absent=True)
    def delete_access_entry(self, cluster: str, arn: str) -> None:
        self._client("eks").delete_access_entry(clusterName=cluster, principalArn=arn)
