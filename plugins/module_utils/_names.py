# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names we give, and their limits; those in a cloud are in its folder. Pure. PRIVATE to the collection.

Here and everywhere, a function whose name ends in _problem returns a sentence, or an empty text if nothing is wrong.
"""

from __future__ import annotations

import re

from ._credentials import is_uuid, quoted
from ._engine import UNKNOWN
from ._variables import named, role_of

NAMESPACE = "castai-agent"
CREDENTIALS_SECRET = "castai-credentials"
CREDENTIALS_KEY = "API_KEY"
MANAGED_BY = {"app.kubernetes.io/managed-by": "castai.onboarding"}

TAG_CLUSTER_ID = "cast:cluster-id"
TAG_CLUSTER = "castai-onboarding:cluster"
"""Tags or marks that show which cluster an object in a cloud belongs to. Never cast:managed-by: CAST AI may delete
objects that have it."""

_OF_KUBERNETES = re.compile(r"default|kube-.*")
"""The namespaces of a new cluster. Kubernetes reserves the prefix ("Namespaces", Working with Namespaces)."""

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_EXACT_VERSION = re.compile(r"v?\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?", re.ASCII)
_DNS_SUBDOMAIN = re.compile(rf"{DNS_LABEL.pattern}(\.{DNS_LABEL.pattern})*")


def helm_release_problem(name: str) -> str:
    """What is wrong with a Helm release name. Helm: a DNS label of at most 53 characters."""
    return _label_problem("Helm release", name, 53, "the name")


def chart_version_problem(version: str, release: str) -> str:
    """What is wrong with the version that the chart of a Helm release is given, which may be empty."""
    if not version or _EXACT_VERSION.fullmatch(version):
        return ""
    option = named("chart_version", role_of(release))
    return f"{option} is {quoted(version)}. Set it to an exact version in quotes, for example '0.161.1'."


def namespace_problem(name: str, present: bool = True) -> str:
    """What is wrong with the name of a namespace. Kubernetes: a DNS label of at most 63 characters.

    present: whether something is to be created in it; removal works in any.
    """
    if present and _OF_KUBERNETES.fullmatch(name):
        return (
            f"{named('namespace')} is {quoted(name)}, one of Kubernetes' own namespaces. Set it to another one, for"
            f" example {NAMESPACE}."
        )
    return _label_problem("Namespace", name, 63, named("namespace"))


def secret_problem(name: str) -> str:
    """What is wrong with the name of the credentials Secret. Kubernetes: a DNS subdomain of 253 characters."""
    if len(name) > 253:
        return (
            f"Secret name {quoted(name)} has {len(name)} characters, but at most 253 are allowed. {_correct_secret()}"
        )
    if not _DNS_SUBDOMAIN.fullmatch(name):
        return (
            f"Secret name {quoted(name)} may only contain lower-case letters, digits, '-' and '.', and must start and"
            f" end with a letter or digit, and so must each part between dots. {_correct_secret()}"
        )
    return ""


def _correct_secret() -> str:
    return f"Correct {named('credentials_secret')}."


def correct_cluster() -> str:
    """What to do about a cluster name that its provider does not allow, and so may be of another provider."""
    return f"Correct {named('cluster_name')} or {named('provider')}."


def cluster_id_problem(cluster_id: str) -> str:
    """What is wrong with the id of a cluster at CAST AI, which is a UUID."""
    if cluster_id == UNKNOWN or is_uuid(cluster_id):
        return ""
    return f"{named('cluster_id')} is {quoted(cluster_id)}. Set it to the UUID of the cluster at CAST AI."


def short_id(cluster_id: str) -> str:
    """The part of the cluster's id that names contain. The marker of an unknown id stays whole, so that it can be
    recognized."""
    return cluster_id if cluster_id == UNKNOWN else cluster_id[:8]


def _label_problem(kind: str, name: str, limit: int, culprit: str) -> str:
    """culprit: what to correct."""
    if len(name) > limit:
        return (
            f"{kind} name {quoted(name)} has {len(name)} characters, but at most {limit} are allowed. Correct"
            f" {culprit}."
        )
    if not DNS_LABEL.fullmatch(name):
        return (
            f"{kind} name {quoted(name)} may only contain lower-case letters, digits and '-', and must start and end"
            f" with a letter or digit. Correct {culprit}."
        )
    return ""
