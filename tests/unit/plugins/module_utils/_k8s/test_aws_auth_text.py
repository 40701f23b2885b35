# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes of mapRoles and mapUsers as people and tools write them: edited right, or refused with the line."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.castai.onboarding.plugins.module_utils._engine import Refused
from ansible_collections.castai.onboarding.plugins.module_utils._k8s.aws_auth_text import (
    Entry,
    find,
    put,
    read,
    remove,
    same_principal,
    without_path,
)

NODE = "arn:aws:iam::111122223333:role/node"
CAST = "arn:aws:iam::111122223333:role/cast"
ENTRY = Entry(CAST, "system:node:{{EC2PrivateDNSName}}", ("system:bootstrappers", "system:nodes"))
BLOCK = f"""- rolearn: {NODE}
  username: system:node:{{{{EC2PrivateDNSName}}}}
  groups:
  - system:bootstrappers
  - system:nodes
"""
FLOW = f'[{{"rolearn":"{NODE}","username":"x","groups":["a"]}}]'
WINDOWS = f"""- rolearn: {NODE}
  username: system:node:{{{{EC2PrivateDNSName}}}}
  groups: [eks:kube-proxy-windows, system:bootstrappers, system:nodes]
"""

KEPT = {
    "block list": BLOCK,
    "no line break at the end": BLOCK.rstrip("\n"),
    "comment at the end": BLOCK + "# the end\n",
    "comment on the last line": BLOCK.rstrip("\n") + " # last\n",
    "comment between entries": BLOCK + "# mine\n" + BLOCK.replace("role/node", "role/other") + "\n# x\n",
    "document start": "---\n" + BLOCK,
    "document end": BLOCK + "...\n",
    "indented": "".join(f"    {line}\n" for line in BLOCK.splitlines()),
    "empty": "",
    "blank lines": "\n\n",
    "comments only": "# nothing here yet\n",
    "empty flow list": "[]",
    "empty flow list with line break": "[]\n",
    "flow list, as Terraform writes it": FLOW,
    "flow list with a comma at its end": FLOW.replace("}]", "},]"),
    "pretty JSON": json.dumps([{"rolearn": NODE, "username": "x", "groups": ["a", "b"]}], indent=2) + "\n",
    "CRLF": BLOCK.replace("\n", "\r\n"),
    "keys in double quotes": f'- "rolearn": "{NODE}"\n  "username": \'u\'\n  "groups": ["a"]\n',
    "dash on a line of its own": f"-\n  rolearn: {NODE}\n  username: u\n  groups:\n  - x\n-\n  rolearn: q\n",
    "block scalar at the end": f"- rolearn: {NODE}\n  groups: [a]\n  username: |-\n    u\n# tail\n",
    "anchor and alias in other entries": f"- rolearn: {NODE}\n  groups: &g [x]\n- rolearn: q\n  groups: *g\n",
    "entry as alias": f"- &a\n  rolearn: {NODE}\n  username: u\n- *a\n",
    "merge key": f"- &a\n  rolearn: {NODE}\n  username: u\n- <<: *a\n  username: v\n",
    "groups missing": f"- rolearn: {NODE}\n  username: u\n",
    "groups null": f"- rolearn: {NODE}\n  username: u\n  groups:\n",
    "fields of others": f"- rolearn: {NODE}\n  username: u\n  owner: team\n  groups: []\n",
    "non-ASCII name": f"- rolearn: {NODE}\n  username: jürgen\n",
    "Windows nodes": WINDOWS,
    "path in the ARN": BLOCK.replace("role/node", "role/team/eks/node"),
    "a hundred entries": "".join(BLOCK.replace("role/node", f"role/n{number}") for number in range(100)),
}

REFUSED = {
    "tab": (BLOCK.replace("  username", "\tusername"), "line 2"),
    "key twice": (BLOCK.replace("  groups:", "  username: u\n  groups:"), "username twice, in line 1"),
    "two documents": (BLOCK + "---\n" + BLOCK, "second YAML document starts here, in line 7"),
    "mapping": ("rolearn: x\n", "this is not a list, in line 1"),
    "plain text": ("hello", "this is not a list, in line 1"),
    "entries are texts": ("- a\n- b\n", "this entry is not a mapping, in line 1"),
    "groups are a text": (BLOCK + "- rolearn: q\n  groups: x\n", "the groups of this entry are not a list, in line 6"),
    "flow list and more": ("[]\n" + BLOCK, "line 2"),
    "unclosed": ('[{"rolearn": "x"}', "line 1"),
    "odd indent": (BLOCK + "   - rolearn: q\n", "line"),
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_an_entry_is_added_and_nothing_else_changes(text: str) -> None:
    before = read(text, "mapRoles").values
    new = put(text, "mapRoles", ENTRY)
    assert yaml.safe_load(new) == [*before, ENTRY.as_dict("mapRoles")]
    assert put(new, "mapRoles", ENTRY) == new
    assert remove(new, "mapRoles", CAST) == text


@pytest.mark.parametrize(("text", "where"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, where: str) -> None:
    for change in (lambda: put(text, "mapRoles", ENTRY), lambda: remove(text, "mapRoles", CAST)):
        with pytest.raises(Refused, match="mapRoles cannot be read") as refusal:
            change()
        assert where in str(refusal.value)


def test_an_anchor_that_others_use_is_not_pulled_from_under_them() -> None:
    with pytest.raises(Refused, match="cannot be changed in place"):
        remove(f"- &a\n  rolearn: {CAST}\n  username: u\n- <<: *a\n  rolearn: {NODE}\n", "mapRoles", CAST)


@pytest.mark.parametrize("text", ["null", "~\n", "null # none\n"])
def test_null_becomes_a_list(text: str) -> None:
    assert yaml.safe_load(put(text, "mapRoles", ENTRY)) == [ENTRY.as_dict("mapRoles")]


def test_another_entry_of_the_principal_is_replaced() -> None:
    old = f"- rolearn: {CAST.upper().replace('ARN:AWS:IAM', 'arn:aws:iam')}\n  username: old\n- rolearn: {CAST}\n"
    assert find(put(BLOCK + old, "mapRoles", ENTRY), "mapRoles", CAST) == (ENTRY,)


def test_more_groups_than_wanted_are_enough() -> None:
    entry = Entry(NODE, "system:node:{{EC2PrivateDNSName}}", ("system:bootstrappers", "system:nodes"))
    assert put(WINDOWS, "mapRoles", entry) == WINDOWS


@pytest.mark.parametrize(
    ("arn", "bare"),
    [
        ("arn:aws:iam::111122223333:role/a/b/c", "arn:aws:iam::111122223333:role/c"),
        ("arn:aws-us-gov:iam::111122223333:role/x/u", "arn:aws-us-gov:iam::111122223333:role/u"),
        ("arn:aws:iam::111122223333:user/x/u", "arn:aws:iam::111122223333:user/x/u"),
        (NODE, NODE),
    ],
)
def test_paths_of_roles_are_stripped(arn: str, bare: str) -> None:
    assert without_path(arn) == bare
    assert same_principal(arn, bare.upper())


entries = st.builds(
    lambda name, username, groups: {
        "rolearn": f"arn:aws:iam::111122223333:role/{name}",
        "username": username,
        "groups": groups,
    },
    st.from_regex(r"n[A-Za-z0-9+=,.@_-]{0,20}", fullmatch=True),
    st.text(st.characters(min_codepoint=32, blacklist_categories=("Cs", "Cc", "Zl", "Zp")), max_size=20),
    st.lists(st.sampled_from(["system:nodes", "system:masters", "yes", "1e3", "null", "a: b", "- x", "#c", "{{ x }}"])),
)


@given(
    st.lists(entries, max_size=4),
    st.sampled_from([False, True, None]),
    st.sampled_from([None, "'", '"']),
    st.sampled_from([2, 4]),
)
def test_any_list_in_any_style_comes_back_to_the_byte(
    held: list[dict[str, Any]], flow: bool | None, quotes: str | None, indent: int
) -> None:
    text = yaml.safe_dump(held, default_flow_style=flow, default_style=quotes, indent=indent, allow_unicode=True)
    new = put(text, "mapRoles", ENTRY)
    assert yaml.safe_load(new) == [*held, ENTRY.as_dict("mapRoles")]
    assert remove(new, "mapRoles", CAST) == text
