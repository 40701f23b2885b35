# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published tables of variables match their sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.variables import TABLES, in_table, page_table, published, readme_table, variables_of
from tests.tree import ROOT


@pytest.mark.parametrize("path", published(), ids=str)
def test_the_tables_in_a_file_come_of_their_sources(path: Path) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == published()[path], "run python -m tests.support.variables"


def test_every_shared_variable_is_in_one_table_of_the_page() -> None:
    shown = [variable for name in TABLES for variable in in_table(name)]
    assert sorted(shown) == sorted(variables_of("castai"))


def test_a_row_of_the_page_has_option_environment_and_meaning() -> None:
    rows = list(page_table("kubernetes"))
    start = rows.index("   * - ``castai_kubernetes_ca_cert``")
    assert rows[start + 1 : start + 4] == [
        "     - ``ca_cert``",
        "     - ``K8S_AUTH_SSL_CA_CERT``",
        (
            "     - File with CA certificates for the API server: for ``castai_host``, instead of those in the"
            " kubeconfig, or for a proxy that terminates TLS in front of EKS, GKE or AKS."
        ),
    ]


def test_a_row_of_a_readme_has_meaning_choices_and_default() -> None:
    option = {"description": ["What C(it) is.", "Only for P(castai.onboarding.agent#role)."], "choices": ["a", "b"]}
    rows = list(readme_table({"one": {**option, "default": "a"}, "many": {**option, "elements": "str", "default": []}}))
    assert rows[2:] == [
        "| `one` | What `it` is. Only for `agent`. One of `a`, `b`. | `a` |",
        "| `many` | What `it` is. Only for `agent`. Any of `a`, `b`. | `[]` |",
    ]


def test_a_default_that_is_not_given_is_not_shown() -> None:
    options = {"text": {"description": "T.", "default": ""}, "number": {"description": "N."}}
    assert list(readme_table(options))[2:] == ["| `text` | T. |  |", "| `number` | N. |  |"]
