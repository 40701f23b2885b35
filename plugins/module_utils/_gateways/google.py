# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All of Google Cloud that one set of credentials can call. PRIVATE to the collection."""

from __future__ import annotations

from . import google_compute, google_container, google_iam, google_projects, google_services
from .google_compute import Compute
from .google_container import Container
from .google_iam import Iam
from .google_projects import Projects
from .google_services import Services

CALLS = (
    *google_container.CALLS,
    *google_projects.CALLS,
    *google_services.CALLS,
    *google_iam.CALLS,
    *google_compute.CALLS,
)
"""Every call except those for tokens and for the caller's name."""


class Google(Container, Projects, Services, Iam, Compute):
    """Every call, by service. Threads may share it."""
