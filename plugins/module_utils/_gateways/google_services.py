# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The APIs that are enabled in a project, for class Google. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Collection

from .._answers import object_in, objects_in, text_in, tidy
from .._engine import CallFailed, until
from .google_session import Answer, Rejected, Session
from .https import Call

BATCH_GET = Call(
    "read which services of project {project} are enabled",
    "GET",
    "serviceusage",
    "/v1/projects/{project}/services:batchGet",
    ("serviceusage.services.get",),
)
BATCH_ENABLE = Call(
    "enable services of project {project}",
    "POST",
    "serviceusage",
    "/v1/projects/{project}/services:batchEnable",
    ("serviceusage.services.enable", "servicemanagement.services.bind"),
    repeats=True,
)
GET_OPERATION = Call(
    "read operation {operation}",
    "GET",
    "serviceusage",
    "/v1/{operation}",
    ("serviceusage.operations.get",),
)
CALLS = (BATCH_GET, BATCH_ENABLE, GET_OPERATION)

OPERATION_SECONDS = 300.0
_FAILED_SERVICES = "160009"
"""Google's code for a failed operation that may succeed when it is started again."""
_IN_PROGRESS = "Another activation or deactivation is in progress"
_TRIES = 3


class Services(Session):
    """Services of a project, such as iam.googleapis.com."""

    def enabled_services(self, project: str, services: Collection[str]) -> frozenset[str]:
        """Those of the given services that are enabled."""
        names = [("names", f"projects/{project}/services/{one}") for one in services]
        found: frozenset[str] = self.send(BATCH_GET, query=names, read=_enabled, project=project)
        return found

    def enable_services(self, project: str, services: Collection[str]) -> None:
        """Enable all of the services or none, and wait until they are enabled."""
        for attempt in range(1, _TRIES + 1):
            error = self._enable(project, services)
            if error is None:
                return
            if _FAILED_SERVICES not in error or attempt == _TRIES:
                raise CallFailed(f"Could not enable services of project {project}: {error}.")

    def _enable(self, project: str, services: Collection[str]) -> str | None:
        """What went wrong according to the operation, or None."""

        def started() -> Answer | None:
            try:
                begun: Answer = self.send(BATCH_ENABLE, {"serviceIds": sorted(services)}, project=project)
            except Rejected as answer:
                if _IN_PROGRESS not in answer.problem.message:
                    raise
                return None
            return begun

        operation = until(started, timeout=OPERATION_SECONDS)
        if operation is None:
            return _IN_PROGRESS
        seen = [operation]

        def done() -> bool:
            if not seen[-1].get("done"):
                seen.append(self.send(GET_OPERATION, operation=text_in(operation, "name")))
            return bool(seen[-1].get("done"))

        if not until(done, timeout=OPERATION_SECONDS):
            raise CallFailed(
                f"Google did not enable services of project {project} within {OPERATION_SECONDS:.0f} s. Run again."
            )
        error = object_in(seen[-1], "error")
        return (
            (tidy(str(error.get("message") or error.get("code"))).rstrip(".") or "no reason given") if error else None
        )


def _enabled(body: Answer) -> frozenset[str]:
    return frozenset(
        text_in(one, "name").rpartition("/")[2] for one in objects_in(body, "services") if one.get("state") == "ENABLED"
    )
