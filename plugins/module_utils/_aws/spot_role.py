# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CastLambdaRoleForSpot, which notifies CAST AI of spot interruptions; the clusters of an account share it.

Tags on it show which clusters use it. Removing the last of them removes the role, if this collection created it. Other
roles whose names end in lambda-role are not read or changed. PRIVATE to the collection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from .._engine import Action, Again, Made
from .._gateways.aws_iam import Making, Principal
from .._names import TAG_CLUSTER, TAG_CLUSTER_ID
from .._owner import Owner, Removal
from .identity import Gateways, OnPrincipal, plan_attachments, plan_role, plan_tags, remove_principal
from .names import SPOT_LAMBDA_ROLE
from .policies import OF_SPOT_ROLE, Document, aws_managed, document

DESCRIPTION = "Lambda role used by CAST AI to handle Spot interrupts."
USE = "which CAST AI's functions run with"
SERVICES = ("states", "events", "lambda", "apigateway")
VENDOR: Mapping[str, str] = {"cast:managed-by": "cast.ai"}
"""CAST AI's policies allow it to delete a role with this tag."""

TAG_USED = "castai-onboarding:used-by:"
"""Beginning of a tag key, followed by a cluster's id. The tag's value is the name of a cluster that uses the role."""

TAGS = 50
"""How many tags a role may have. Source: IAM User Guide, "IAM and AWS STS quotas"."""


@dataclass(frozen=True)
class ExistingRole:
    """The role, None for absent, and the policies attached to it."""

    role: Principal | None = None
    attached: tuple[str, ...] = ()
    inline: tuple[str, ...] = ()
    """Names of its inline policies, which others added; only read for removal."""

    @property
    def theirs(self) -> bool:
        """Whether it exists without CAST AI's tag, so it was not created for CAST AI, even if it has the name."""
        return self.role is not None and not VENDOR.items() <= self.role.tags.items()

    @property
    def full(self) -> bool:
        """Whether it has no room for another cluster's tag, so some clusters may use it without one."""
        return self.role is not None and len(self.role.tags) >= TAGS

    def unmarked(self, owner: Owner) -> bool:
        """Whether there is no room for this cluster's tag."""
        return self.role is not None and self.full and f"{TAG_USED}{owner.cluster_id}" not in self.role.tags


@dataclass(frozen=True)
class Unmark(OnPrincipal):
    """before: the tag of the cluster that no longer uses the role."""

    def run(self, gateway: Gateways, made: Made) -> None:
        """If another cluster's removal removed its tag at the same time, neither saw that it was the last one."""
        gateway.aws.untag_principal(self.kind, self.name, self.before)
        role = gateway.aws.get_role(self.name)
        if role and _left_over(role):
            raise Again(f"Role {self.name} is no longer used by any cluster.")


def _users(role: Principal) -> dict[str, str]:
    """The tags of the clusters that use the role."""
    return {key: name for key, name in role.tags.items() if key.startswith(TAG_USED)}


def _left_over(role: Principal) -> bool:
    """Whether this collection created it and no cluster uses it. One with room for a single tag was full before."""
    return TAG_CLUSTER in role.tags and not _users(role) and len(role.tags) < TAGS - 1


def trust() -> Document:
    services = [f"{service}.amazonaws.com" for service in SERVICES]
    return document({"Effect": "Allow", "Principal": {"Service": services}, "Action": "sts:AssumeRole"})


def plan_spot_role(existing: ExistingRole, owner: Owner, making: Making, partition: str) -> Iterator[Action]:
    """Create the role if it is missing, and tag it as used by this cluster. A role that was not created for CAST AI
    stays unchanged."""
    if existing.theirs:
        return
    used = {f"{TAG_USED}{owner.cluster_id}": owner.cluster}
    if existing.role is None:
        tags = {key: value for key, value in making.tags.items() if key != TAG_CLUSTER_ID}
        making = replace(making, tags={**tags, **VENDOR, **used})
        yield from plan_role(None, SPOT_LAMBDA_ROLE, USE, trust(), DESCRIPTION, making)
    elif not existing.unmarked(owner):
        yield from plan_tags(existing.role, used)
    yield from plan_attachments("role", SPOT_LAMBDA_ROLE, existing.attached, aws_managed(partition, OF_SPOT_ROLE))


def remove_spot_role(existing: ExistingRole, owner: Owner, partition: str) -> Iterator[Removal]:
    """Yields nothing if this cluster does not use it but others do."""
    role = existing.role
    own = f"{TAG_USED}{owner.cluster_id}"
    if role is None or not (own in role.tags or _left_over(role)):
        return
    others = sorted(name for key, name in _users(role).items() if key != own)
    kept = f"clusters {', '.join(others)} use it" if others else ""
    kept = kept or ("" if TAG_CLUSTER in role.tags else "it existed before")
    kept = kept or (f"it has {TAGS} tags, so clusters without one may use it" if existing.full else "")
    if not kept:
        ours = aws_managed(partition, OF_SPOT_ROLE)
        yield remove_principal(role, None, existing.attached, ours, dict.fromkeys(existing.inline), "")
        return
    unmark = Unmark(
        f"remove the tag of cluster {owner.cluster} from role {role.name}",
        f"iam/role/{role.name}/tags",
        {own: role.tags[own]},
        None,
        "role",
        role.name,
    )
    yield Removal(f"role {role.name}", None, kept, contents=(unmark,))


def spot_role_warnings(existing: ExistingRole, owner: Owner) -> Iterator[str]:
    if existing.unmarked(owner) and not existing.theirs:
        yield (
            f"Role {SPOT_LAMBDA_ROLE} has {TAGS} tags, which is IAM's limit, so cluster {owner.cluster} uses it"
            " without adding its own."
        )
    if existing.theirs:
        yield (
            f"Role {SPOT_LAMBDA_ROLE} exists without the tag cast:managed-by=cast.ai, so CAST AI did not create it. It"
            " was left unchanged."
        )
