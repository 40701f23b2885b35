# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages in all sources: an option is named with its inventory variable, and the English is plain."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._variables import VARIABLES
from tests.tree import ROOT

SOURCES = {
    str(path.relative_to(ROOT / "plugins/module_utils")): path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "plugins/module_utils").rglob("*.py"))
}

RENAMED = sorted({option for variable, option in VARIABLES.items() if option not in ("", variable)})
"""Options whose inventory variable has a different name."""

_WORDS = "|".join(option for option in RENAMED if "_" not in option)
_TECHNICAL = re.compile(rf"(?<![\w{{])({'|'.join(option for option in RENAMED if '_' in option)})(?![\w}}])")
_ADVICE = re.compile(r"\b(?:[Ss]et|[Cc]heck|[Cc]orrect|[Rr]aise|[Gg]ive|[Ll]eave out|[Bb]y) ([^.:;]*)")
_ADVISED = re.compile(rf"(?:^|\band |\bor |, )(?:set |by )?(?:the option |option )?({_WORDS})\b")
_WRONG = re.compile(rf"(?:^|\. )({_WORDS}) is \W")
"""Options that are also English words. They only count if a sentence says what is wrong with them, or what to do."""

ALONE = {
    # Files of AWS and kubectl have fields of these names.
    "_gateways/aws_session.py": {"endpoint_url"},
    # Role kops_onboard always sets this, so only users of the module itself read the sentence.
    "_k8s/aws_auth.py": {"create"},
}
"""Options that the messages of a file name without a variable."""

BANNED = re.compile(
    r"(?<!There )(?<!there )\bis no (?!longer\b)[A-Za-z]|\b(?:are|is) none\b|stands? in the way|to be had|\bno use\b"
    r"|the way back"
    r"|\bmend|\bbrought\b|so that it is|\bas where\b|\bby which\b|\b(?:other people|somebody else)'s|what is there\b"
    r"|\bwhere this runs\b|\bin its place\b|\blets? [\w ]+ in\b|\bnobody needs\b|\b(?:is|are) off\b|\bof its own\b"
)


def sentences(source: str) -> Iterator[tuple[int, str]]:
    """The texts of a source with more than one word, with their lines; {} for inserted values. No docstrings."""
    tree = ast.parse(source)
    left_out = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    left_out |= {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        if " " in text.strip():
            yield node.lineno, text


def alone(text: str) -> list[str]:
    """The options that a sentence names without their variables."""
    found = _TECHNICAL.findall(text) + _WRONG.findall(text)
    found += [option for advice in _ADVICE.findall(text) for option in _ADVISED.findall(advice)]
    variables = {option: [one for one, of in VARIABLES.items() if of == option] for option in RENAMED}
    return [option for option in found if not any(one in text for one in variables[option] if one != option)]


@pytest.mark.parametrize("file", SOURCES)
def test_an_option_stands_with_its_variable(file: str) -> None:
    found = {(line, option) for line, text in sentences(SOURCES[file]) for option in alone(text)}
    assert {(line, option) for line, option in found if option not in ALONE.get(file, ())} == set()


def test_only_what_is_needed_is_left_alone() -> None:
    found = {
        file: {option for _line, text in sentences(source) for option in alone(text)}
        for file, source in SOURCES.items()
    }
    assert {file: options for file, options in found.items() if options} == ALONE


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("Give the AWS region of the cluster, by the option region or by AWS_REGION.", "region"),
        ("{} needs a role: set role_arn to one.", "role_arn"),
        ("Check kubeconfig and context.", "kubeconfig"),
        ("Give kubeconfig and context of the cluster.", "context"),
        ("Look at the pods, or raise timeout.", "timeout"),
        ("host is {}: give an address.", "host"),
        ("Set adopt to take it over.", "adopt"),
        ("Correct the option path.", "path"),
        ("Set {} to the AWS region of the cluster.", ""),
        ("Check castai_kubeconfig (option kubeconfig).", ""),
    ],
)
def test_the_rule_sees_options_in_sentences(text: str, option: str) -> None:
    assert (option in alone(text)) if option else alone(text) == []


@pytest.mark.parametrize("file", SOURCES)
def test_messages_are_in_plain_english(file: str) -> None:
    assert [(line, text) for line, text in sentences(SOURCES[file]) if BANNED.search(text)] == []
