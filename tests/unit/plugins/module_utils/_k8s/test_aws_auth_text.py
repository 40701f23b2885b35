# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""mapRoles and mapUsers as people and tools write them: edited correctly, or refused with the line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.castai.onboarding.plugins.module_utils._engine import Refused
from ansible_collections.castai.onboarding.plugins.module_utils._k8s.aws_auth_reading import KINDS, Entry, read
from ansible_collections.castai.onboarding.plugins.module_utils._k8s.aws_auth_text import (
    find,
    matches,
    put,
    remove,
    with_path,
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
    "two documents": (BLOCK + "---\n" + BLOCK, "second YAML document starts here, in line 7"),
    "mapping": ("rolearn: x\n", "this is not a list, in line 1"),
    "plain text": ("hello", "this is not a list, in line 1"),
    "flow list and more": ("[]\n" + BLOCK, "line 2"),
    "unclosed": ('[{"rolearn": "x"}', "line 1"),
    "odd indent": (BLOCK + "   - rolearn: q\n", "line"),
    "an anchor in itself": (BLOCK + "- &a [*a]\n", "anchor a contains itself, in line 6"),
    "an anchor in its own entry": (BLOCK + "- &a\n  rolearn: q\n  x: [{y: *a}]\n", "contains itself, in line 8"),
    "no such anchor": (BLOCK + "- *a\n", "anchor a is not defined, in line 6"),
    "a list as a key": (BLOCK + "- rolearn: q\n  more:\n    ? [a]\n    : b\n", "a key is a list, in line 8"),
    "a mapping as a key": (BLOCK + "- {{a: b}: c}\n", "a key is a mapping, in line 6"),
    "null as a key": (BLOCK + "- rolearn: q\n  ~: x\n", "a key is null, in line 6"),
    "a huge number as a key": (BLOCK + "- {9223372036854775808: x}\n", "a key is a number above 2^63, in line 6"),
    "an infinite number": (BLOCK + "- rolearn: q\n  username: -.inf\n", "an infinite number, in line 6"),
    "no number": (BLOCK + "- rolearn: q\n  groups: [.nan]\n", "an infinite number, in line 7"),
    "a tag that is not so": (
        BLOCK + "- rolearn: !!int x\n",
        "a value with the tag !!int is not of that type, in line 6",
    ),
    "no base64": (BLOCK + "- rolearn: !!binary x\n", "a !!binary value is not base64, in line 6"),
    "merged text": (BLOCK + "- <<: x\n", "the value of a << is not a mapping, in line 6"),
    "merged alias of a list": (BLOCK + "- a: &l [{}]\n  <<: *l\n", "the value of a << is not a mapping, in line 6"),
    "another version of YAML": ("%YAML 1.2\n---\n" + BLOCK, "a version of YAML other than 1.1, in line 1"),
    "nested 20,000 deep": (BLOCK + "- x: " + "[" * 20_000 + "]" * 20_000 + "\n", "nested too deep, in line 6"),
    "a million laughs": (
        "- a: &a0 [x]\n" + "".join(f"- a: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(30)) + BLOCK,
        "its aliases expand to too much, in line 1",
    ),
    "a control character": (BLOCK + "- rolearn: \a\n", "the character U+0007 is not allowed, in line 6"),
    "an escape of no character": (
        BLOCK + '- rolearn: "\\UFFFFFFFF"\n',
        "for a character that does not exist, in line 6",
    ),
    "a second byte order mark": ("\ufeff\ufeff" + BLOCK, "a second byte order mark follows the first, in line 1"),
    "half a character": (BLOCK + '- rolearn: "\\ud83d\\ude00"\n', "it escapes only half of a character, in line 6"),
}

OTHERS = {
    "an entry twice": BLOCK + BLOCK,
    "a key twice": BLOCK.replace("  groups:", "  username: u\n  groups:"),
    "a key twice in other case": BLOCK.replace("  groups:", "  userName: u\n  groups:"),
    "entries are texts": "- a\n- b\n",
    "entries are lists": "- - rolearn\n  - x\n",
    "an entry is nothing": f"-\n{BLOCK}- null\n",
    "groups are a text": BLOCK + "- rolearn: q\n  groups: x\n",
    "groups are a mapping": BLOCK + "- rolearn: q\n  groups: {a: b}\n",
    "the ARN is a number": BLOCK + "- rolearn: 111122223333\n  username: 12\n",
    "the ARN is a list of ours": BLOCK + f"- rolearn: [{CAST}]\n",
    "a month that does not exist": BLOCK + "- rolearn: q\n  username: 2024-13-45\n",
    "a time that does not exist": BLOCK + "- rolearn: q\n  username: 2024-01-01 25:61:61\n",
    "equal sign": BLOCK + "- rolearn: q\n  username: =\n",
    "two angle brackets": BLOCK + "- rolearn: q\n  username: <<\n",
    "CloudFormation": BLOCK + "- rolearn: !Sub arn:aws:iam::${AWS::AccountId}:role/x\n  username: !Ref Name\n",
    "CloudFormation's lists": BLOCK + "- rolearn: !GetAtt [Role, Arn]\n  groups: !Split [',', 'a,b']\n",
    "a mapping with a tag": BLOCK + "- !Entry\n  rolearn: q\n",
    "a list with a tag": f"!Entries\n{BLOCK}",
    "a list with an anchor": f"&entries\n{BLOCK}",
    "Python's tag": BLOCK + "- rolearn: !!python/object/apply:os.system [x]\n",
    "an anchor that is given again": "- &a {rolearn: q}\n- *a\n- &a {rolearn: r}\n- *a\n",
    "a base 60 number": BLOCK + "- rolearn: q\n  username: 190:20:30\n",
    "thousands of digits": BLOCK + f"- rolearn: q\n  username: {'7' * 5000}\n",
    "nested 1,500 deep": BLOCK + "- rolearn: q\n  x: " + "[" * 1_500 + "]" * 1_500 + "\n",
    "mappings 1,500 deep": BLOCK + "- rolearn: q\n  x: " + "{a: " * 1_500 + "}" * 1_500 + "\n",
    "a flow list 1,500 deep": f'[{{"rolearn": "{NODE}", "x": {"[" * 1_500}{"]" * 1_500}}}]',
    "an alias in a flow list": "[&a {rolearn: q}, *a]",
    "an empty flow list with tag and anchor": "!!seq &all\n[ # none\n]\n",
    "bare quotes": '""',
    "back quotes": " ``\n",
    "blanks of all kinds": " \t\n\x0b\xa0\n",
    "a byte order mark": f"\ufeff{BLOCK}",
    "a byte order mark before a flow list": f"\ufeff{FLOW}",
    "a byte order mark in a value": BLOCK + "- rolearn: 'a\ufeffb'\n",
    "Macintosh": BLOCK.replace("\n", "\r"),
    "Macintosh without line break at the end": BLOCK.replace("\n", "\r").rstrip("\r"),
    "tabs before comments and at ends of lines": BLOCK.replace("\n", "\t# x\n") + "- rolearn: q \t\n",
    "tabs behind colons": BLOCK.replace(": ", ":\t"),
    "tabs in a flow list": '[\n\t{\t"rolearn":\t"q",\n\t"username": a\tb\t}\t,\n\t{rolearn: r}\n]\n',
    "tabs in plain text": BLOCK + "- rolearn: q\tr\n  username: a\t \tb\n    c\t\n",
    "YAML's other line breaks": BLOCK.replace("\n", "\x85"),
}
"""Odd entries, none of which is ours."""


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_an_entry_is_added_and_nothing_else_changes(text: str) -> None:
    before = yaml.safe_load(text) or []
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


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_odd_entries_of_others_are_left_alone(text: str) -> None:
    assert remove(text, "mapRoles", CAST) == text
    new = put(text, "mapRoles", ENTRY)
    assert find(new, "mapRoles", CAST) == (ENTRY,)
    assert put(new, "mapRoles", ENTRY) == new
    if text.strip().strip('`"'):
        assert remove(new, "mapRoles", CAST) == text


FAULTS = {
    "a key twice": (f"- rolearn: {CAST}\n  username: a\n  username: b\n", "username twice, in line 6"),
    "an ARN twice": (f"- rolearn: {NODE}\n  rolearn: {CAST}\n", "rolearn twice, in line 6"),
    "an ARN twice in other case": (f"- roleARN: {NODE}\n  rolearn: {CAST}\n", "rolearn twice, in line 6"),
    "groups are a text": (f"# x\n- rolearn: {CAST}\n  groups: x\n", "groups of this entry are not a list, in line 7"),
    "a group is a number": (f"- rolearn: {CAST}\n  groups: [a, 1]\n", "a group of this entry is not text, in line 6"),
    "the name is a number": (f"- {{rolearn: {CAST}, username: 0x1F}}\n", "username of this entry is not text"),
    "the name is a truth value": (f"- rolearn: {CAST}\n  username: y\n", "username of this entry is not text"),
}


@pytest.mark.parametrize(("entry", "where"), FAULTS.values(), ids=FAULTS)
def test_an_entry_that_is_read_in_part_is_refused_where_the_change_touches_it(entry: str, where: str) -> None:
    text = BLOCK + entry
    for change in (lambda: put(text, "mapRoles", ENTRY), lambda: remove(text, "mapRoles", CAST)):
        with pytest.raises(Refused, match="mapRoles cannot be read") as refusal:
            change()
        assert where in str(refusal.value)
    other = Entry(f"{CAST}-2", "x", ())
    assert remove(put(text, "mapRoles", other), "mapRoles", other.arn) == text


CASES: list[Callable[[str], str]] = [
    str.upper,
    str.title,
    lambda key: key[:4] + key[4:].upper(),
    lambda key: key.replace("s", "\u017f"),  # Go's encoding/json folds it to s
]


@pytest.mark.parametrize("kind", ["mapRoles", "mapUsers"])
@pytest.mark.parametrize("case", CASES)
def test_keys_match_without_case(kind: str, case: Callable[[str], str]) -> None:
    arn = CAST if kind == "mapRoles" else CAST.replace(":role/", ":user/team/")
    principal, entry = KINDS[kind], Entry(arn, ENTRY.username, ENTRY.groups)
    ours = json.dumps({case(key): value for key, value in entry.as_dict(kind).items()}, ensure_ascii=False)
    theirs = f"- {principal.upper()}: {NODE}\n"
    text = f"{theirs}- {ours}\n"
    assert find(text, kind, arn) == (entry,)
    assert put(text, kind, entry) == text
    assert remove(text, kind, arn) == theirs
    changed = put(text, kind, Entry(arn, "other", ()))
    assert changed.startswith(theirs)
    assert find(changed, kind, arn) == (Entry(arn, "other", ()),)


@pytest.mark.parametrize(
    ("entry", "arn", "username"),
    [
        ("rolearn: a\n  roleARN: b\n", "a", ""),
        ("roleARN: b\n  rolearn: a\n", "a", ""),
        ("ROLEARN: a\n  RoleArn: b\n  roleArn: c\n", "c", ""),
        ("rolearn: a\n  rolearn: b\n", "b", ""),
        ("rolearn: a\n  roleARN: [b]\n  username: u\n  userName: 1\n", "a", "u"),
        ("roleARN: a\n  rolearn: null\n  Username: u\n  username: 5\n", "a", "u"),
        ("rolearn: a\n  <<: {rolearn: b, USERNAME: u}\n", "b", "u"),
        ("<<: {rolearn: b, username: u}\n  rolearn: a\n", "a", "u"),
        ("<<: [{rolearn: a}, {rolearn: b, username: u}]\n", "a", "u"),
        ("rolearn: !!binary YQ==\n  username: !Sub u\n", "a", "u"),
        ("rolearn: !!str 0x1\n  username: !x 2\n", "0x1", "2"),
        ("rolearn: ! yes\n  username: 2001-12-14t21:59:43.10-05:00\n", "yes", "2001-12-14t21:59:43.10-05:00"),
        ("rolearn: y\n  username: 1:30\n", "", "1:30"),
        ("rolearn: 1e3\n  username: 1_000\n", "", ""),
        ("rolearn: 0o17\n  username: 0b12\n", "", "0b12"),
        ("rolearn: 0x\n  username: _1\n", "0x", "_1"),
    ],
)
def test_what_is_in_force_is_what_the_authenticator_takes(entry: str, arn: str, username: str) -> None:
    (item,) = read(f"- {entry}", "mapRoles").items
    assert (item.entry.arn, item.entry.username) == (arn, username)


def test_a_name_of_any_characters_is_written_so_that_the_authenticator_reads_it() -> None:
    for name in ("\U0001f600", "j\u00fcrgen", "a\x7f\x85\u2028\ufeff", 'q"\\\n\t'):
        entry = Entry(CAST, name, (name,))
        for text in ("", BLOCK, FLOW):
            new = put(text, "mapRoles", entry)
            assert find(new, "mapRoles", CAST) == (entry,)
            assert "\\ud83d" not in new


def test_a_long_text_in_one_line_does_not_become_a_long_sentence() -> None:
    with pytest.raises(Refused) as refusal:
        put(f"[{', '.join([FLOW] * 1000)}", "mapRoles", ENTRY)
    assert len(str(refusal.value)) < 400


def test_an_anchor_that_others_use_is_not_pulled_from_under_them() -> None:
    with pytest.raises(Refused, match="cannot be changed in place"):
        remove(f"- &a\n  rolearn: {CAST}\n  username: u\n- <<: *a\n  rolearn: {NODE}\n", "mapRoles", CAST)


@pytest.mark.parametrize("newline", ["\n", "\r", "\r\n"])
def test_an_entry_breaks_its_lines_as_the_text_does(newline: str) -> None:
    new = put(BLOCK.replace("\n", newline), "mapRoles", ENTRY)
    assert new.count(newline) == 10
    assert set(new.replace(newline, "")) & set("\r\n") == set()


@pytest.mark.parametrize("text", ["null", "~\n", "null # none\n"])
def test_null_becomes_a_list(text: str) -> None:
    assert yaml.safe_load(put(text, "mapRoles", ENTRY)) == [ENTRY.as_dict("mapRoles")]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_comment_on_the_next_entry_of_a_flow_list_stays(newline: str) -> None:
    theirs = f"  # theirs, do not touch\n  {FLOW[1:-1]}\n]\n".replace("\n", newline)
    ours = f'  {{"rolearn": "{CAST}"}}, # ours{newline}'
    assert remove(f"[{newline}{ours}{theirs}", "mapRoles", CAST) == f"[{newline}{theirs}"


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
    assert matches(bare.upper(), without_path(arn))
    assert matches(arn, without_path(arn)) is (arn == bare)


def test_an_entry_that_keeps_the_path_of_the_role_is_in_force_for_nobody() -> None:
    dead = [CAST.replace("role/", f"role/{path}/") for path in ("a", "b/c", "team")]
    text = "".join(f"- rolearn: {arn}\n  username: {ENTRY.username}\n  groups: [system:nodes]\n" for arn in dead)
    assert find(text, "mapRoles", CAST) == ()
    assert with_path(text, "mapRoles", CAST) == tuple(dead)
    assert remove(text, "mapRoles", CAST) == text
    new = put(text, "mapRoles", ENTRY)
    assert new.startswith(text)
    assert find(new, "mapRoles", CAST) == (ENTRY,)
    assert remove(new, "mapRoles", CAST) == text


def test_two_users_of_a_name_in_two_paths_are_two() -> None:
    one, other = (f"arn:aws:iam::111122223333:user/{path}/cast" for path in "ab")
    text = f"- userarn: {one}\n  username: a\n- userarn: {other}\n  username: b\n"
    assert find(text, "mapUsers", one) == (Entry(one, "a", ()),)
    assert with_path(text, "mapUsers", one) == ()
    assert remove(text, "mapUsers", one) == f"- userarn: {other}\n  username: b\n"


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
