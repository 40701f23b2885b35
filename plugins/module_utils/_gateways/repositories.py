# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The chart repositories that Helm gets: those that the user has added to it, with their logins, and those that are
only an address. PRIVATE to the collection.

Where Helm keeps them: https://helm.sh/docs/helm/helm/, variables HELM_REPOSITORY_CONFIG and HELM_CONFIG_HOME.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._engine import Refused
from .._given import as_path, readable

with contextlib.suppress(ImportError):
    # Without it the Python package kubernetes is missing too, and that is reported first.
    import yaml


_UNADDED = "repository"
"""The name given to Helm for a repository that the user has not added."""


@dataclass(frozen=True)
class Repository:
    """added: whether the user has added it. text: a list for Helm with only this repository. secrets: what no
    message may show."""

    name: str
    url: str
    added: bool
    text: str = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


def of_chart(ref: str, repo_url: str, environment: Mapping[str, str]) -> Repository | None:
    """The repository that a chart comes from: by name (NAME/CHART) if the user has added it, or by address.

    ref, repo_url: as in Chart. None if Helm needs no repository. Raises Refused for a name that the user has not added,
    and if Helm's list cannot be read.
    """
    if ref.startswith("oci://"):
        return None
    if not repo_url and "://" not in ref:
        name, slash, _chart = ref.partition("/")
        if not slash:
            return None
        path = _path(environment)
        found = next((entry for entry in _entries(path) if entry.get("name") == name), None)
        if found is None:
            raise Refused(
                f"Chart {ref} is from repository {name}, which is not in {path}. Add it with helm repo add as the user"
                " that runs Ansible, or correct the chart's name."
            )
        return _repository(found)
    try:
        entries = _entries(_path(environment))
    except Refused:
        # This chart may not need the list.
        entries = iter(())
    fits = _is_at if repo_url else _is_under
    found = next((entry for entry in entries if fits(repo_url or ref, str(entry.get("url") or ""))), None)
    if found is None and repo_url:
        return _repository({"name": _UNADDED, "url": repo_url}, added=False)
    return _repository(found) if found else None


def _repository(entry: Mapping[str, Any], added: bool = True) -> Repository:
    text = json.dumps({"apiVersion": "v1", "repositories": [entry]})
    secrets = (str(entry.get("password") or ""),)
    return Repository(str(entry["name"]), str(entry.get("url") or ""), added, text, secrets)


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    try:
        found = yaml.safe_load(readable(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return iter(())
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise Refused(f"Helm's list of repositories {path} cannot be read ({reason}). Correct it.") from None
    listed = found.get("repositories") if isinstance(found, dict) else None
    entries = listed if isinstance(listed, list) else []
    return (entry for entry in entries if isinstance(entry, dict) and entry.get("name"))


def _path(environment: Mapping[str, str]) -> Path:
    """Where Helm looks for its list of repositories."""
    if environment.get("HELM_REPOSITORY_CONFIG"):
        return Path(environment["HELM_REPOSITORY_CONFIG"])
    if environment.get("HELM_CONFIG_HOME"):
        return Path(environment["HELM_CONFIG_HOME"]) / "repositories.yaml"
    default = "~/Library/Preferences" if sys.platform == "darwin" else "~/.config"
    return as_path(environment.get("XDG_CONFIG_HOME") or default) / "helm" / "repositories.yaml"


def _is_at(wanted: str, known: str) -> bool:
    return bool(known) and _address(wanted) == _address(known)


def _is_under(wanted: str, known: str) -> bool:
    return bool(known) and f"{_address(wanted)}/".startswith(f"{_address(known)}/")


def _address(url: str) -> str:
    """An address as it is compared: the host without case, without a slash at the end."""
    scheme, _separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}://{host.lower()}{slash}{path}".rstrip("/")
