# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contents of the AWS accounts, read from moto's models: without secrets, in an order that only depends on
content."""

from __future__ import annotations

import json
from typing import Any

from moto.ec2.models import ec2_backends
from moto.iam.models import IAMBackend, Role, User

from ..wire import Cluster
from .eks import find_cluster


def account_state(iam: IAMBackend, account: str, clusters: list[Cluster]) -> dict[str, Any]:
    """Users, roles, policies, clusters and security groups of one account, by ARN, name or id."""
    return {
        "iam": _iam_state(iam, account),
        "eks": [_eks_state(one) for one in clusters if (one.account, one.provider) == (account, "eks")],
        "ec2": {
            region: _ec2_state(account, region)
            for region in sorted({cluster.region for cluster in clusters if cluster.account == account})
        },
    }


def _iam_state(iam: IAMBackend, account: str) -> dict[str, Any]:
    customer = [policy for policy in iam.managed_policies.values() if f":{account}:" in policy.arn]
    return {
        "users": {
            user.arn: {
                **_owned(user),
                "tags": {tag["Key"]: tag["Value"] for tag in iam.tagger.list_tags_for_resource(user.arn)["Tags"]},
                "permissions_boundary": getattr(user, "permissions_boundary_arn", None),
                "access_keys": [{"id": key.access_key_id, "status": key.status} for key in user.access_keys],
            }
            for user in sorted(iam.users.values(), key=lambda one: one.arn)
        },
        "roles": {
            role.arn: {
                **_owned(role),
                "description": role.description,
                "max_session_duration": role.max_session_duration,
                "permissions_boundary": role.permissions_boundary_arn,
                "tags": {tag["Key"]: tag["Value"] for tag in role.tags},
                "trust": _document(role.assume_role_policy_document),
            }
            for role in sorted(iam.get_roles(), key=lambda one: one.arn)
        },
        "policies": {
            policy.arn: {
                "description": policy.description,
                "default_version": policy.default_version_id,
                "versions": {version.version_id: _document(version.document) for version in policy.versions},
                "tags": {key: tag["Value"] for key, tag in policy.tags.items()},
            }
            for policy in sorted(customer, key=lambda one: one.arn)
        },
        "instance_profiles": {
            profile.arn: {
                "roles": sorted(role.name for role in profile.roles),
                "tags": {tag["Key"]: tag["Value"] for tag in profile.tags},
            }
            for profile in sorted(iam.instance_profiles.values(), key=lambda one: one.arn)
        },
    }


def _owned(entity: User | Role) -> dict[str, Any]:
    return {
        "inline": {name: _document(text) for name, text in sorted(entity.policies.items())},
        "attached": sorted(entity.managed_policies),
    }


def _document(text: Any) -> Any:
    return json.loads(text) if isinstance(text, str) else text


def _eks_state(cluster: Cluster) -> dict[str, Any]:
    moto = find_cluster(cluster)
    if moto is None:
        return {"name": cluster.name, "status": "deleted"}
    return {
        **{field: getattr(moto, field) for field in ("name", "arn", "status", "version", "endpoint", "tags")},
        "vpc": moto.resources_vpc_config,
        "network": moto.kubernetes_network_config,
        "access": moto.access_config,
        "access_entries": {
            arn: {
                **{field: entry[field] for field in ("username", "kubernetesGroups", "type", "tags")},
                "policies": {name: one["accessScope"] for name, one in sorted(moto.access_policies[arn].items())},
            }
            for arn, entry in sorted(moto.access_entries.items())
        },
    }


def _ec2_state(account: str, region: str) -> dict[str, Any]:
    groups = ec2_backends[account][region].describe_security_groups()
    return {
        "security_groups": {
            group.id: {
                "name": group.name,
                "description": group.description,
                "vpc": group.vpc_id,
                "tags": {tag["key"]: tag["value"] for tag in group.get_tags()},
                "ingress": [_rule(rule) for rule in group.ingress_rules],
                "egress": [_rule(rule) for rule in group.egress_rules],
            }
            for group in sorted(groups, key=lambda one: one.id)
        }
    }


def _rule(rule: Any) -> dict[str, Any]:
    return {
        "protocol": rule.ip_protocol,
        "from": rule.from_port,
        "to": rule.to_port,
        "range": rule.ip_range,
        "group": rule.source_group,
    }
