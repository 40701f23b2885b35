# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has access before and after each change of aws-auth, judged by the authenticator's own parser and canonical ARNs.

The judge is tests/sandbox/kubernetes/authenticator, which is built if necessary.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._engine import Refused
from ansible_collections.castai.onboarding.plugins.module_utils._k8s import aws_auth
from ansible_collections.castai.onboarding.plugins.module_utils._k8s.aws_auth import Current, Write
from tests.sandbox.build import build
from tests.unit.plugins.module_utils._k8s import test_aws_auth_text as listed

GENERATED = 300
IAM = "arn:aws:iam::111122223333"
OURS = {"mapRoles": f"{IAM}:role/Cast-prod", "mapUsers": f"{IAM}:user/team/Cast"}
OPTIONS = {"mapRoles": "role_arn", "mapUsers": "user_arn"}
NAMES = {"mapRoles": "rolearn", "mapUsers": "userarn"}
NODE_NAME = "system:node:{{EC2PrivateDNSName}}"
NODES = ["system:bootstrappers", "system:nodes"]
ARNS = {
    "mapRoles": [
        f"{IAM}:role/node",
        f"{IAM}:role/team/eks/node",
        f"{IAM}:role/vendors/Cast-prod",
        f"{IAM}:role/a/Cast-prod",
        "arn:aws-cn:iam::111122223333:role/node",
        "arn:aws-us-gov:iam::111122223333:role/node",
        "arn:aws-cn:iam::111122223333:role/Cast-prod",
        "arn:aws:iam::999988887777:role/Cast-prod",
        f"{IAM}:role/AWSReservedSSO_Admin_0123456789abcdef",
        f"{IAM}:role/aws-reserved/sso.amazonaws.com/eu-central-1/AWSReservedSSO_Admin_0123456789abcdef",
        f"{IAM}:user/Cast-prod",
        f"{IAM}:role/NODE",
    ],
    "mapUsers": [
        f"{IAM}:user/Cast",
        f"{IAM}:user/other/Cast",
        f"{IAM}:user/team/Castor",
        "arn:aws-us-gov:iam::111122223333:user/team/Cast",
        f"{IAM}:role/admin",
        f"{IAM}:root",
    ],
}
NAMED = [NODE_NAME, "admin:{{SessionName}}", "{{AccountID}}/x", "a@b.c", "jürgen", "\U0001f600", "it's", 'say "so"', ""]
ODD = [
    *(
        "yes",
        "y",
        "off",
        "null",
        "~",
        "1e3",
        "0x1f",
        "017",
        "08",
        "1_000",
        ".5",
        "1:30",
        "2024-13-45",
        "2024-01-01",
        "=",
    ),
    *("!Sub x", "!Ref Name", "!!str 12", "!!int 12", "!!binary YQ==", "! 12", "<<", "18446744073709551615", "+12"),
    *("[a]", "{a: b}", "[[[]]]", "2001-12-14 21:59:43"),
]
"""Scalars that YAML parsers read differently, and values that are not text."""
GROUPS = [*NODES, "system:masters", "eks:kube-proxy-windows", "a b", "yes", "{{x}}", "#c"]

BEHIND = ("a second YAML document", "expected '<document start>'")
"""Complaints about what follows the first document: the authenticator does not look there."""

Judge = Callable[[Mapping[str, str]], tuple[Counter[tuple[str, ...]], str]]
"""Who has access through a ConfigMap's data: the count of each kind, ARN, user name and groups; and the parser's
complaint."""


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


class Shape:
    """A text as people, tools and accidents produce it."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.kind = self._one("mapRoles", "mapRoles", "mapUsers")
        self._anchors = 0
        flow = self._often(0.2)
        entries = [self._entry() for _number in range(self._random.randint(0, 5))]
        text = self._in_flow(entries) if flow else self._in_block(entries)
        newline = self._one("\n", "\n", "\n", "\r\n", "\r")
        if self._often(0.2):
            text = text.rstrip("\n")
        self.text = self._one("", "", "", "\ufeff") + text.replace("\n", newline)

    def _one(self, *choices: str) -> str:
        return self._random.choice(choices)

    def _often(self, part: float) -> bool:
        return self._random.random() < part

    def _entry(self) -> list[tuple[str, str]]:
        """Its keys and values, as they are written."""
        arn = self._random.choice([*ARNS[self.kind], OURS[self.kind]])
        if self._often(0.1):
            arn = arn.upper()
        name = self._random.choice(ODD) if self._often(0.25) else self._quoted(self._random.choice(NAMED))
        pairs = [(self._key(NAMES[self.kind]), self._quoted(arn)), (self._key("username"), name)]
        groups = [self._quoted(self._random.choice(GROUPS)) for _number in range(self._random.randint(0, 3))]
        pairs.append((self._key("groups"), f"[{', '.join(groups)}]"))
        if self._often(0.1):
            pairs[2] = (pairs[2][0], self._one("", "null", "[1, a]", "[null]", "text"))
        if self._often(0.1):
            pairs.pop(self._random.randrange(3))
        if self._often(0.15):
            pairs.insert(self._random.randrange(len(pairs) + 1), self._once_more())
        if self._often(0.15):
            pairs.append((self._one("owner", "userid", "x-team"), self._one("team", "12", "{a: [b, {c: d}]}", "")))
        if self._often(0.3):
            self._random.shuffle(pairs)
        return pairs

    def _once_more(self) -> tuple[str, str]:
        name = self._one(NAMES[self.kind], "username", "groups")
        value = {"username": "twice", "groups": "[twice]"}.get(name) or self._random.choice(ARNS[self.kind])
        return self._key(name), value

    def _key(self, name: str) -> str:
        cased = self._one(
            name, name, name, name.upper(), name.title(), name.replace("arn", "ARN"), name[:3] + name[3:].upper()
        )
        return self._one(cased, cased, f'"{cased}"', f"'{cased}'")

    def _quoted(self, text: str) -> str:
        plain = text if text and not set(text) & set("{}#'\"") and ": " not in text else _json(text)
        return self._one(plain, plain, _json(text), "'" + text.replace("'", "''") + "'")

    def _in_flow(self, entries: list[list[tuple[str, str]]]) -> str:
        written = [f"{{{', '.join(f'{key}: {value}' for key, value in pairs)}}}" for pairs in entries]
        if self._often(0.2):
            written.insert(0, self._one("text", "12", "null", "[]"))
        lines = self._one(", ", ",\n  ", ", # and\n    ")
        begin, end = ("[\n  ", "\n]") if "\n" in lines else ("[", "]")
        comma = self._one("", ",") if written else ""
        return f"{begin}{lines.join(written)}{comma}{end}{self._one('', chr(10), ' # all' + chr(10))}"

    def _in_block(self, entries: list[list[tuple[str, str]]]) -> str:
        indent = " " * self._random.choice([0, 0, 2, 4])
        text = self._one("", "", "---\n", "# ours, do not touch\n", "--- # start\n", "\n")
        for pairs in entries:
            text += self._in_lines(pairs, indent)
            text += self._one("", "", "", "\n", f"{indent}# next\n", "# far left\n", "   \n")
        if self._often(0.15):
            text += indent + self._one("- text\n", "- 12\n", "-\n", "- []\n", "- - a\n", "- ~\n", "- {}\n")
        return text + self._one("", "", "", "...\n", "# end\n")

    def _in_lines(self, pairs: list[tuple[str, str]], indent: str) -> str:
        gap = self._one(" ", " ", "   ")
        inner = f"{indent} {' ' * len(gap)}"
        if self._often(0.15):
            return f"{indent}-{gap}{{{', '.join(f'{key}: {value}' for key, value in pairs)}}}\n"
        lines: list[str] = []
        for key, value in pairs:
            comment = self._one("", "", "", " # why")
            if value.startswith("[") and value != "[]" and key.strip("\"'").lower() == "groups" and self._often(0.6):
                deeper = self._one("", "  ")
                lines += [f"{key}:{comment}", *(f"{deeper}- {item}" for item in value[1:-1].split(", "))]
            elif value.startswith("[") and self._often(0.2):
                self._anchors += 1
                lines.append(f"{key}: &a{self._anchors} {value}{comment}")
            elif self._anchors and value.startswith("[") and self._often(0.3):
                lines.append(f"{key}: *a{self._anchors}")
            else:
                lines.append(f"{key}: {value}{comment}")
        return "".join(f"{inner if number else f'{indent}-{gap}'}{line}\n" for number, line in enumerate(lines))


SHAPES = {
    **{f"generated {seed}": (shape.kind, shape.text) for seed in range(GENERATED) for shape in [Shape(seed)]},
    **{f"kept: {name}": ("mapRoles", text) for name, text in listed.KEPT.items()},
    **{f"others: {name}": ("mapRoles", text) for name, text in listed.OTHERS.items()},
    **{f"refused: {name}": ("mapRoles", text) for name, (text, _where) in listed.REFUSED.items()},
    **{
        f"part: {name}": ("mapRoles", entry.replace(listed.CAST, OURS["mapRoles"]))
        for name, (entry, _where) in listed.FAULTS.items()
    },
}


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    command = [str(build(print) / "authenticator")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdin
        assert process.stdout

        def judged(data: Mapping[str, str]) -> tuple[Counter[tuple[str, ...]], str]:
            assert process.stdin
            assert process.stdout
            process.stdin.write(f"{json.dumps(data)}\n")
            process.stdin.flush()
            verdict = json.loads(process.stdout.readline())
            admitted = verdict["admitted"]
            return Counter((one["kind"], one["arn"], one["username"], *one["groups"]) for one in admitted), verdict[
                "error"
            ]

        yield judged
        process.stdin.close()


def changed(data: Mapping[str, str], kind: str, state: str) -> dict[str, str]:
    """The ConfigMap's data after a run."""
    options = {OPTIONS[kind]: OURS[kind], "username": NODE_NAME, "groups": NODES, "state": state, "create": "never"}
    wanted = aws_auth.desired(options)
    after: dict[str, Any] = dict(data)
    for action in aws_auth.plan(Current(data, "7"), wanted):
        assert isinstance(action, Write)
        after[action.kind] = action.after
    return {key: text for key, text in after.items() if text is not None}


@pytest.mark.parametrize(("kind", "text"), SHAPES.values(), ids=SHAPES)
def test_who_gets_in_differs_by_exactly_the_entry(kind: str, text: str, judge: Judge) -> None:
    other = {"mapRoles": "mapUsers", "mapUsers": "mapRoles"}[kind]
    data = {kind: text, other: f"- {NAMES[other].upper()}: {ARNS[other][0]}\n  username: other\n"}
    before, complaint = judge(data)
    arn = OURS[kind].lower()
    ours = [one for one in before if one[:2] == (kind, arn)]
    others = Counter({one: count for one, count in before.items() if one not in ours})
    try:
        added = changed(data, kind, "present")
    except Refused as refusal:
        assert_refused_with_reason(str(refusal), kind, before, complaint, bool(ours))
        with pytest.raises(Refused):
            changed(data, kind, "absent")
        return
    entry = (kind, arn, NODE_NAME, *NODES)
    if added == data:
        assert [one[:3] for one in ours] == [entry[:3]]
        assert set(NODES) <= set(ours[0][3:])
    else:
        assert judge(added)[0] == others + Counter([entry])
    assert changed(added, kind, "present") == added
    removed = changed(added, kind, "absent")
    assert judge(removed)[0] == others
    assert changed(removed, kind, "absent") == removed
    assert removed[other] == data[other]


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("kind", OURS)
def test_an_entry_in_the_list_for_the_other_kind_of_principal(kind: str, beside: bool, judge: Judge) -> None:
    """The authenticator uses the first entry for the caller's ARN in mapRoles and then mapUsers, whether the ARN is a
    role's or a user's."""
    other = {"mapRoles": "mapUsers", "mapUsers": "mapRoles"}[kind]
    arn = OURS[kind].lower()
    stray = f"- {NAMES[other].upper()}: {OURS[kind]}\n  username: stray\n  groups: [system:masters]\n"
    theirs = f"- {NAMES[other]}: {ARNS[other][0]}\n  username: other\n"
    data = {other: stray + theirs}
    if beside:
        data[kind] = changed({}, kind, "present").get(kind, "")

    def of_ours(texts: Mapping[str, str]) -> list[tuple[str, ...]]:
        found = [one for one in judge(texts)[0] if one[1] == arn]
        return [one[2:] for one in sorted(found, key=lambda one: one[0])]

    assert ("stray", "system:masters") in of_ours(data)
    added = changed(data, kind, "present")
    assert of_ours(added)[0] == (NODE_NAME, *NODES)
    assert changed(added, kind, "present") == added
    removed = changed(added, kind, "absent")
    assert of_ours(removed) == of_ours(changed(data, kind, "absent")) == []
    assert removed[other] == theirs


def assert_refused_with_reason(
    sentence: str, kind: str, before: Counter[tuple[str, ...]], complaint: str, held: bool
) -> None:
    if "cannot be read" in sentence and "this entry" not in sentence:
        if not any(found in sentence for found in BEHIND):
            assert complaint
            assert not [one for one in before if one[0] == kind]
    else:
        assert held
        assert complaint or "twice" in sentence or "in place" in sentence


def test_there_are_enough_shapes_and_few_are_refused() -> None:
    refused = 0
    for kind, text in list(SHAPES.values())[:GENERATED]:
        try:
            changed({kind: text}, kind, "present")
        except Refused:
            refused += 1
    assert GENERATED >= 250
    assert refused < GENERATED / 5
