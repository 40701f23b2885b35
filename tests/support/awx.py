# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWX's cloud credentials: the files and environment variables that AWX's own code makes of them for a job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from awx_plugins.credentials import injectors
from awx_plugins.interfaces._temporary_private_container_api import CONTAINER_ROOT
from awx_plugins.interfaces._temporary_private_credential_api import Credential

Credentials = Mapping[str, Mapping[str, str]]
"""The fields that a user fills in in AWX, by the name of AWX's injector, such as aws and gce."""


def inject(folder: Path, credentials: Credentials) -> None:
    """Pass them to the job that ansible-runner runs in this folder."""
    place = folder / "env"
    place.mkdir()
    environment: dict[str, str] = {}
    for kind, fields in credentials.items():
        getattr(injectors, kind)(Credential(dict(fields)), environment, str(folder))
    # In AWX, a container mounts the folder under another name.
    here = {
        name: str(folder / Path(value).relative_to(CONTAINER_ROOT)) if value.startswith(f"{CONTAINER_ROOT}/") else value
        for name, value in environment.items()
    }
    (place / "envvars").write_text(json.dumps(here), encoding="utf-8")


def google(key_file: str, project: str = "") -> Credentials:
    """A credential of type Google Compute Engine, filled in from a key file as AWX's form does."""
    key = json.loads(key_file)
    return {"gce": {"username": key["client_email"], "ssh_key_data": key["private_key"], "project": project}}


def azure(client: str, secret: str, tenant: str, subscription: str) -> Credentials:
    """A credential of type Microsoft Azure Resource Manager, filled in for a service principal."""
    return {"azure_rm": {"client": client, "secret": secret, "tenant": tenant, "subscription": subscription}}


def azure_user(user: str, password: str, subscription: str) -> Credentials:
    """A credential of the same type, filled in for a user."""
    return {"azure_rm": {"username": user, "password": password, "subscription": subscription}}


def aws(key_id: str, secret: str) -> Credentials:
    """A credential of type Amazon Web Services."""
    return {"aws": {"username": key_id, "password": secret}}
