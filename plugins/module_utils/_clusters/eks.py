# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""EKS clusters. PRIVATE to the collection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from .._aws import eks_wanted, permissions
from .._aws.eks import named_cluster_problem, unusable_problem
from .._aws.names import eks_cluster_problem, recorded_eks_place
from .._aws.options import AWS_RULES, aws_options
from .._aws.permissions import Question, Scope
from .._gateways import aws_session
from .._gateways.aws import Aws
from .._gateways.aws_eks import EksCluster
from .._gateways.castai import Cluster
from .._variables import named
from . import on_aws
from .facts import ApiServer, ClusterFacts, Named, Onboarding, Parameters, Provider, Rows, Systems

_STS = re.compile(r"sts(-fips)?(\.[a-z0-9-]+)?\.(amazonaws\.com(\.cn)?|api\.aws)")
"""STS's own host names, global and regional."""


def read(systems: Systems, wanted: Named) -> ClusterFacts:
    aws: Aws = systems.cloud()
    return facts(aws.describe_cluster(wanted.name), wanted, aws)


def facts(found: EksCluster | None, wanted: Named, aws: Aws) -> ClusterFacts:
    caller = "" if found else aws.caller_account()
    problem = named_cluster_problem(found, wanted.name, aws.region, wanted.location.get("account_id", ""), caller)
    title = f"EKS cluster {wanted.name}"
    if found is None:
        return ClusterFacts(KEY, wanted.name, title, f"in {aws.region}", {}, exists=False, problems=(problem,))
    registration = {"accountId": found.account_id, "region": found.region, "clusterName": found.name}
    return ClusterFacts(
        KEY,
        found.name,
        title,
        f"of account {found.account_id} in {found.region}",
        registration,
        result_fields={"account_id": found.account_id, "region": found.region, "state_store": ""},
        problems=tuple(filter(None, [problem or unusable_problem(found)])),
        api_server=api_server(found, aws),
        seen_at=f"EKS says that cluster {found.name}",
        access_mode=found.authentication_mode,
        own=found,
    )


def api_server(found: EksCluster, aws: Aws) -> ApiServer:
    """The API server, with tokens that are signed with the AWS credentials."""
    return ApiServer(
        found.endpoint,
        found.ca_pem,
        frozenset({found.endpoint}),
        lambda: aws.eks_token(found.name),
        lambda: _advice(aws),
        unreachable_problem=unusable_problem(found),
    )


def _advice(aws: Aws) -> Mapping[int, str]:
    """Why EKS may reject a token signed for this STS."""
    host = aws.sts_host
    if not host or _STS.fullmatch(host):
        return {}
    text = (
        f" The token is signed for STS at {host}, but EKS only accepts tokens for STS's public addresses: unset"
        f" AWS_ENDPOINT_URL_STS, {named('endpoint_url')} and the same setting in AWS's configuration file, or set"
        f" {named('kubeconfig')}."
    )
    return {401: text}


def agent_environment(found: ClusterFacts, cluster_id: str, chosen: bool) -> Mapping[str, str]:
    """Environment variables of the agent for what it would otherwise ask the cloud."""
    return {
        "STATIC_CLUSTER_ID": cluster_id,
        "EKS_ACCOUNT_ID": found.own.account_id,
        "EKS_REGION": found.own.region,
        "EKS_CLUSTER_NAME": found.name,
    }


def questions(options: Parameters, found: EksCluster, record: Cluster | None, partition: str) -> tuple[Question, ...]:
    """The questions for AWS about the caller's permissions."""
    no_entries = set() if found.access_entries else {permissions.ACCESS, permissions.USER_ACCESS}
    with_spot_role = options.get("spot_lambda_role") and options["identity"] == permissions.USER
    return permissions.questions(
        (permissions.READ, permissions.CREATE),
        options["identity"],
        on_aws.unneeded(options) | no_entries,
        Scope(partition, found.account_id, found.region, found.name, options["path"]),
        record.id if record else "0" * 8,
        found.vpc_id,
        {permissions.SPOT_ROLE} if with_spot_role else set(),
    )


def _option_problems(params: Parameters) -> Iterator[str]:
    return eks_wanted.form_problems(on_aws.identity_options(params))


def _system_rows(found: ClusterFacts | None, options: Parameters) -> Rows:
    by_api = found.own.access_entries if found else options["user_access"] == "none"
    return () if by_api else on_aws.AWS_AUTH_ROWS


def _warnings(found: ClusterFacts, kinds: tuple[str, ...]) -> Iterator[str]:
    if found.own.auto_mode and not kinds:
        yield (
            f"EKS Auto Mode is on for cluster {found.name}, so both EKS and CAST AI would add and remove nodes."
            " Turn off its node pools, or set components_autoscaling to false."
        )


KEY = "eks"

EKS = Provider(
    key=KEY,
    title="EKS",
    cloud_title="AWS",
    options=aws_options(),
    rules=AWS_RULES,
    location_options=on_aws.LOCATION_OPTIONS,
    name_problem=eks_cluster_problem,
    option_problems=on_aws.option_problems,
    missing_options=on_aws.missing_options,
    cloud=Aws,
    read_ahead=aws_session.read_ahead,
    caller=on_aws.caller,
    acting_as=on_aws.acting_as,
    read=read,
    describe_location=recorded_eks_place,
    agent_environment=agent_environment,
    component_values={
        "castai-spot-handler": {"castai": {"provider": "aws"}},
        "castai-kvisor": {"controller": {"extraArgs": {"cloud-provider": "eks"}}},
    },
    onboarding=Onboarding(
        options=on_aws.IDENTITY_OPTIONS,
        option_problems=_option_problems,
        rights=on_aws.rights(lambda options: str(options["identity"]), questions),
        system_rows=_system_rows,
        possible_rows=on_aws.AWS_AUTH_ROWS,
        foreign_nodes=on_aws.foreign_nodes,
        nodes_problem=on_aws.nodes_problem,
        warnings=_warnings,
    ),
)
