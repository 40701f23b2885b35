# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What preflight also checks for a cluster that is to be onboarded. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .._clusters.facts import ClusterFacts, Parameters
from .._clusters.table import PROVIDERS, identity_options
from .._credentials import quoted
from .._engine import UNKNOWN
from .._gateways.castai import Cluster
from .._names import CREDENTIALS_KEY
from .._variables import named

OPTIONS: dict[str, Any] = {"connecting": {"type": "bool", "default": False}, **identity_options()}


@dataclass(frozen=True)
class Onboarding:
    """What the user wants. connecting: the same run connects the cluster first; options: those of the identity."""

    connecting: bool
    options: Parameters

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> Onboarding:
        return cls(options["connecting"], options)


def with_defaults(params: Parameters) -> Parameters:
    """Preflight's options with the defaults of the provider's identity."""
    if not params.get("onboard"):
        return params
    options = PROVIDERS[params["provider"]].onboarding.options
    defaults = {option: one["default"] for option, one in options.items() if "default" in one}
    given = {option: value for option, value in params["onboard"].items() if value is not None}
    return {**params, "onboard": {**params["onboard"], **defaults, **given}}


def problems(params: Parameters) -> Iterator[str]:
    """What the identity's module would refuse because of its form. params: all of preflight's, with defaults."""
    if not params.get("onboard"):
        return
    onboarding = PROVIDERS[params["provider"]].onboarding
    wrong = [
        f"{option} of {named('provider')} {params['provider']} is {quoted(params['onboard'][option])}. Set it to"
        f" one of: {', '.join(one['choices'])}."
        for option, one in onboarding.options.items()
        if one.get("choices") and one["type"] != "list" and not _fits(params["onboard"].get(option), one["choices"])
    ]
    yield from wrong or onboarding.option_problems(params)


def _fits(value: Any, choices: Collection[str]) -> bool:
    return value is None or value in choices


def connection_findings(
    record: Cluster | None, facts: ClusterFacts, tokenless: str, wanted: Onboarding
) -> Iterator[str]:
    """Why the cluster is not connected in the way that onboarding needs. tokenless: see preflight's Current."""
    if wanted.connecting:
        return
    if record is None:
        yield (
            f"Cluster {facts.name} {facts.location} is not connected to CAST AI. Run the playbook"
            " castai.onboarding.connect (connect.yml) first."
        )
    elif record.agent_status != "online":
        yield (
            f"The agent of cluster {record.id} is {record.agent_status or UNKNOWN}, not online. Run the playbook"
            " castai.onboarding.connect (connect.yml) first, or look at the pods of the agent."
        )
    elif tokenless:
        yield (
            f"Secret {tokenless} is missing or has no {CREDENTIALS_KEY}, and the components cannot start without it."
            " It was deleted, or another tool connected the cluster. Run the playbook castai.onboarding.connect"
            " (connect.yml) first, which stores a new token in it, or castai.onboarding.site, which does both and"
            " shows both in its plan. If the token is in another Secret, set"
            f" {named('credentials_secret')} to its name."
        )
