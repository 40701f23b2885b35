# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All of Azure that one set of credentials can call. PRIVATE to the collection."""

from __future__ import annotations

from . import azure_authorization, azure_container, azure_graph, azure_identities, azure_resources
from .azure_authorization import Authorization
from .azure_container import Container
from .azure_graph import Graph
from .azure_identities import Identities
from .azure_resources import Resources

ARM_CALLS = (
    *azure_container.CALLS,
    *azure_authorization.CALLS,
    *azure_identities.CALLS,
    *azure_resources.CALLS,
)
CALLS = (*ARM_CALLS, *azure_graph.CALLS)
"""Every call except those for tokens."""


class Azure(Container, Authorization, Identities, Resources, Graph):
    """Every call, by service. Threads may share it."""
