# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The AWS accounts of a world: moto's IAM and STS in each, who owns an access key, policies as documents."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from moto.ec2.models import ec2_backends
from moto.eks.models import eks_backends
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import (
    AccessKey,
    AWSManagedPolicy,
    IAMBackend,
    InstanceProfile,
    ManagedPolicy,
    Role,
    User,
    iam_backends,
)
from moto.sts.models import STSBackend, sts_backends

from ..spec import CASTAI_ACCOUNT


@dataclass(frozen=True)
class Caller:
    """The owner of an access key. `entity` is moto's user or role; `arn` is the caller's name in STS."""

    account: str
    partition: str
    arn: str
    entity: User | Role
    key: AccessKey
    session_token: str | None


class Accounts:
    """The accounts by number.

    All accounts are in the partition of the world's clusters, except CAST AI's own. control_policies: the service
    control policy of an account whose organization has one.
    """

    def __init__(self, home: str) -> None:
        self.home = home
        self.partition = "aws"
        self._customers = [home]
        self.control_policies: dict[str, Mapping[str, Any]] = {}

    @property
    def customers(self) -> tuple[str, ...]:
        """The operator's account and those of the clusters, in the order in which they were added."""
        return tuple(self._customers)

    def add(self, account: str) -> None:
        if account not in self._customers:
            self._customers.append(account)

    def __contains__(self, account: str) -> bool:
        return account == CASTAI_ACCOUNT or account in self._customers

    def partition_of(self, account: str) -> str:
        return "aws" if account == CASTAI_ACCOUNT else self.partition

    def iam(self, account: str) -> IAMBackend:
        return iam_backends[account][self.partition_of(account)]

    def sts(self, account: str) -> STSBackend:
        return sts_backends[account][self.partition_of(account)]

    def empty(self) -> None:
        """Empty all accounts."""
        for backends in (ec2_backends, eks_backends, iam_backends, sts_backends):
            backends.reset()
        self.control_policies.clear()

    def entity(self, arn: str) -> User | Role | None:
        """The user or role with an ARN, or None."""
        account = arn.split(":")[4] if arn.count(":") >= 5 else ""
        if account not in self:
            return None
        iam = self.iam(account)
        entities: list[User | Role] = [*iam.get_roles(), *iam.users.values()]
        return next((one for one in entities if one.arn == arn), None)

    def named(self, account: str, kind: str, name: str) -> User | Role | InstanceProfile | None:
        """The user, role or instance profile with a name, or None."""
        iam = self.iam(account)
        if kind == "user":
            return iam.users.get(name)
        if kind == "role":
            return next((role for role in iam.get_roles() if role.name == name), None)
        return iam.instance_profiles.get(name)

    def caller(self, access_key_id: str) -> Caller | None:
        """The owner of an access key that works: the key is active, and its user or role exists."""
        for account in (*self._customers, CASTAI_ACCOUNT):
            key = self.iam(account).access_keys.get(access_key_id)
            if key is None:
                continue
            partition = self.partition_of(account)
            if key.user_name is not None:
                user = self.iam(account).users.get(key.user_name) if key.status == "Active" else None
                return Caller(account, partition, user.arn, user, key, None) if user else None
            session = next(one for one in self.sts(account).assumed_roles if one.access_key_id == access_key_id)
            role = self.entity(session.role_arn)
            return Caller(account, partition, session.arn, role, key, session.session_token) if role else None
        return None

    def policy(self, account: str, arn: str) -> ManagedPolicy | None:
        """A managed policy as this account sees it, or None."""
        self.load_managed(account, arn)
        return self.iam(account).managed_policies.get(arn)

    def load_managed(self, account: str, arn: str = "") -> None:
        """Make AWS's own managed policy of this ARN, or all of them, known to moto's IAM of the account.

        moto has their documents and would load all 1,582 into every account at every start, or none.
        """
        iam, prefix = self.iam(account), f"arn:{self.partition_of(account)}:iam::aws:policy"
        known = _managed()
        for path in known if not arn else [arn.removeprefix(prefix)]:
            if path in known and f"{prefix}{path}" not in iam.managed_policies:
                policy = AWSManagedPolicy.from_data(path.rpartition("/")[2], account, iam.region_name, known[path])
                iam.managed_policies[policy.arn] = policy

    def forget(self, arn: str, unique_id: str) -> None:
        """Handle a deleted user or role: trust policies that named its ARN now name its unique id.

        IAM User Guide, "AWS JSON policy elements: Principal": a new one with the same name is a different principal.
        """
        for account in (*self._customers, CASTAI_ACCOUNT):
            for role in self.iam(account).get_roles():
                text = role.assume_role_policy_document
                role.assume_role_policy_document = text.replace(json.dumps(arn), json.dumps(unique_id))


def named_documents(accounts: Accounts, account: str, entity: User | Role) -> Iterator[tuple[str, Any]]:
    """The identity policies of a user (with its groups') or role: (name, document)."""
    owners: list[Any] = [entity]
    if isinstance(entity, User):
        owners += accounts.iam(account).get_groups_for_user(entity.name)
    for owner in owners:
        for name, text in owner.policies.items():
            yield name, json.loads(text)
        for policy in owner.managed_policies.values():
            yield policy.name, default_document(policy)


def default_document(policy: ManagedPolicy) -> Any:
    return next(
        json.loads(version.document) for version in policy.versions if version.version_id == policy.default_version_id
    )


def boundary_document(accounts: Accounts, account: str, entity: User | Role) -> Any:
    """The document of the entity's permissions boundary. If the boundary was deleted, it allows nothing. None: no
    boundary."""
    arn = getattr(entity, "permissions_boundary_arn", None)  # moto's user has none; aws_rules.py sets it
    if not arn:
        return None
    policy = accounts.policy(account, arn)
    return default_document(policy) if policy else {"Statement": []}


@lru_cache(maxsize=1)
def _managed() -> dict[str, dict[str, Any]]:
    """AWS's own managed policies by path and name, such as /service-role/AmazonEBSCSIDriverPolicy."""
    return {data["Path"] + name: data for name, data in json.loads(aws_managed_policies_data).items()}
