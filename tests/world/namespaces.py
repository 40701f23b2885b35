# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespaces in which pods cannot start."""

from __future__ import annotations

from tests.sandbox.kubernetes.client import Kubernetes

NAMESPACES = "/api/v1/namespaces"


def restrict(kubernetes: Kubernetes, name: str) -> None:
    """A namespace with PodSecurity level restricted."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    kubernetes.create(NAMESPACES, {"metadata": {"name": name, "labels": labels}})


def limit(kubernetes: Kubernetes, name: str) -> None:
    """A namespace with a quota of one pod."""
    kubernetes.create(NAMESPACES, {"metadata": {"name": name}})
    quota = {"metadata": {"name": "one-pod"}, "spec": {"hard": {"pods": "1"}}}
    kubernetes.create(f"{NAMESPACES}/{name}/resourcequotas", quota)
