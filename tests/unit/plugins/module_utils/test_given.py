# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Not given, empty, none and text, for every option and variable."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.parameters import AnsibleFallbackNotFound
from hypothesis import given as cases
from hypothesis import strategies as st

from ansible_collections.castai.onboarding.plugins.module_utils._given import (
    as_data,
    as_path,
    converted,
    from_environment,
    given,
    is_file,
    is_given,
    problem,
)

SPEC: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "aliases": ["called"]},
    "wait": {"type": "bool"},
    "tags": {"type": "dict"},
    "skip": {"type": "list", "elements": "str"},
    "onboard": {"type": "dict", "options": {"identity": {"type": "str"}, "groups": {"type": "list"}}},
    "releases": {"type": "list", "elements": "dict", "options": {"name": {"type": "str"}, "values": {"type": "dict"}}},
}
BLANK = (None, "", " ", "\t\n")


@pytest.mark.parametrize("blank", BLANK, ids=repr)
@pytest.mark.parametrize("name", [*SPEC, "called"])
def test_null_and_blank_text_are_not_given(name: str, blank: Any) -> None:
    assert given(SPEC, {name: blank}) == {}


def test_what_is_not_given_inside_of_options_is_not_given_either() -> None:
    inside = {"onboard": {"identity": "", "groups": None}, "releases": [{"name": "a", "values": " "}]}
    assert given(SPEC, inside) == {"onboard": {}, "releases": [{"name": "a"}]}


def test_an_empty_list_or_dictionary_means_none() -> None:
    assert given(SPEC, {"tags": {}, "skip": [], "releases": "[]", "onboard": "{}"}) == {
        "tags": {},
        "skip": [],
        "releases": [],
        "onboard": {},
    }


def test_false_and_zero_are_given() -> None:
    assert given(SPEC, {"wait": False, "name": 0}) == {"wait": False, "name": 0}


def test_blank_values_of_unknown_options_stay_for_ansible_to_complain_about() -> None:
    assert given(SPEC, {"nmae": ""}) == {"nmae": ""}


def test_what_stands_in_a_free_dictionary_stays_as_it_is() -> None:
    free = {"replicas": None, "image": {"tag": ""}, "text": "{a: b}"}
    assert given(SPEC, {"tags": free})["tags"] == free


DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.dictionaries(st.text(), inner) | st.lists(inner),
)


@cases(st.dictionaries(st.text(min_size=1), DATA, min_size=1))
def test_text_is_the_dictionary_that_it_says_in_json_and_in_yaml(data: dict[str, Any]) -> None:
    texts = (json.dumps(data), yaml.safe_dump(data))
    assert [given(SPEC, {"tags": text})["tags"] for text in texts] == [data, data]


class MarkedBytes(bytes):
    """The encoded form of an inventory text, before ansible-core 2.19."""


class Marked(str):
    """An inventory text in Ansible's own class, with its origin."""

    def encode(self, *arguments: str) -> bytes:
        return MarkedBytes(super().encode(*arguments))


@pytest.mark.parametrize("text", ["{a: [b]}", "a: [b]", "a:\n- b\n", '{"a": ["b"]}'])
def test_text_of_an_inventory_is_the_dictionary_that_it_says(text: str) -> None:
    assert given(SPEC, {"tags": Marked(text)}) == {"tags": {"a": ["b"]}}


def test_dates_stay_text() -> None:
    assert given(SPEC, {"tags": "{since: 2026-11-27}"}) == {"tags": {"since": "2026-11-27"}}


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("[a, b]", ["a", "b"]),
        ('["a", "b"]', ["a", "b"]),
        ("- a\n- b\n", ["a", "b"]),
        ("a,b", ["a", "b"]),
        ("a, b", ["a", "b"]),
        ("a", ["a"]),
        ("[]", []),
    ],
)
def test_text_is_the_list_that_it_says(text: str, items: list[str]) -> None:
    assert converted(SPEC["skip"], text) == items


@pytest.mark.parametrize("text", ["false", "no", "off", "0", "False"])
def test_text_that_says_false_is_false(text: str) -> None:
    assert converted(SPEC["wait"], text) is False


def test_ansibles_own_form_of_a_dictionary_is_still_read() -> None:
    assert converted(SPEC["tags"], "a=1 b=2") == {"a": "1", "b": "2"}


CHOICES = {"type": "str", "choices": ["eks", "kops"]}
SOME = {"type": "list", "elements": "str", "choices": ["a", "b"]}
KEYED = {"type": "dict", "options": {"a": {"type": "dict"}}}


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ({"type": "bool"}, "maybe", "v is 'maybe'. Set it to true or false."),
        ({"type": "bool"}, [True], "v is [True]. Set it to true or false."),
        ({"type": "int"}, "soon", "v is 'soon'. Set it to a whole number."),
        ({"type": "int"}, True, "v is True. Set it to a whole number."),
        ({"type": "int"}, 1.5, "v is 1.5. Set it to a whole number."),
        ({"type": "int"}, float("inf"), "v is inf. Set it to a whole number."),
        ({"type": "int"}, -5, "v is -5. Set it to a whole number, 0 or more."),
        ({"type": "int"}, "-1", "v is -1. Set it to a whole number, 0 or more."),
        ({"type": "int"}, datetime.date(2026, 1, 2), "v is '2026-01-02'. Set it to a whole number."),
        ({"type": "str"}, False, "v is False. Set it to text."),
        ({"type": "path"}, True, "v is True. Set it to a path."),
        (SPEC["skip"], [True], "v is [True]. Set it to a list of text."),
        ({"type": "str"}, ["eu"], "v is ['eu']. Set it to text."),
        ({"type": "str"}, {"a": 1}, "v is {'a': 1}. Set it to text."),
        ({"type": "path"}, ["a"], "v is ['a']. Set it to a path."),
        ({"type": "dict"}, "text", "v is 'text'. Set it to a dictionary."),
        ({"type": "dict"}, ["a"], "v is ['a']. Set it to a dictionary."),
        (SPEC["skip"], {"a": 1}, "v is {'a': 1}. Set it to a list of text."),
        (SPEC["skip"], [["a"]], "v is [['a']]. Set it to a list of text."),
        (SPEC["skip"], [None], "v is [None]. Set it to a list of text."),
        (CHOICES, "aks", "v is 'aks'. Set it to one of: eks, kops."),
        (CHOICES, False, "v is False. Set it to one of: eks, kops."),
        (SOME, ["a", "c"], "v has 'c'. Use only: a, b."),
        (KEYED, {"b": {}}, "v contains the unknown key 'b'. Use only: a."),
        (KEYED, {"a": "x"}, "v.a is 'x'. Set it to a dictionary."),
        ({"type": "int"}, "9" * 200 + "x", f"v is '{'9' * 79}.... Set it to a whole number."),
    ],
    ids=str,
)
def test_a_wrong_value_is_one_sentence_with_what_is_right(option: dict[str, Any], value: Any, sentence: str) -> None:
    assert problem("v", option, value) == sentence


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ({"type": "str", "no_log": True}, {"token": "s3cret"}, "v is a dictionary. Set it to text."),
        ({"type": "str", "no_log": True}, ["s3cret"], "v is a list. Set it to text."),
        ({"type": "dict", "no_log": True}, "token s3cret", "v is text. Set it to a dictionary."),
        ({**KEYED, "no_log": True}, {"a": "token s3cret"}, "v.a is text. Set it to a dictionary."),
        ({"type": "bool"}, "a s3cret", "v is 'a ********'. Set it to true or false."),
        ({"type": "int"}, "s3cret" * 14, f"v is '{'*' * 79}.... Set it to a whole number."),
        (CHOICES, "s3cret", "v is 'VALUE_SPECIFIED_IN_NO_LOG_PARAMETER'. Set it to one of: eks, kops."),
        (SOME, ["a s3cret"], "v has 'a ********'. Use only: a, b."),
        (KEYED, {"a s3cret": {}}, "v contains the unknown key 'a ********'. Use only: a."),
    ],
    ids=str,
)
def test_a_sentence_shows_no_secret(option: dict[str, Any], value: Any, sentence: str) -> None:
    assert problem("v", option, value, {"s3cret"}) == sentence


def test_keys_are_those_of_json_as_helm_and_a_module_have_them() -> None:
    """Helm stores on as true: with another key, a release would differ from its values in every run."""
    values = yaml.safe_load("{on: {no: 1}, ~: [{1: a, 1.5: b}], plain: c}")
    assert as_data(values) == json.loads(json.dumps(values))


def test_what_json_has_no_form_for_becomes_data() -> None:
    odd = {"day": datetime.date(2026, 1, 2), "in": [("a",), {"b"}, b"c"]}
    assert as_data(odd) == {"day": "2026-01-02", "in": [["a"], ["b"], "c"]}
    assert converted({"type": "str"}, datetime.date(2026, 1, 2)) == "2026-01-02"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ({"type": "bool"}, "yes"),
        ({"type": "int"}, 0),
        ({"type": "bool"}, False),
        ({"type": "int"}, "600"),
        ({"type": "str"}, 111122223333),
        (SPEC["skip"], "a,b"),
        (CHOICES, "eks"),
        (SOME, "[a]"),
        (KEYED, "{a: {b: 1}}"),
        (SPEC["tags"], '{"a": null}'),
    ],
    ids=str,
)
def test_nothing_is_said_of_a_right_value(option: dict[str, Any], value: Any) -> None:
    assert problem("v", option, value) == ""


@cases(st.sampled_from([*SPEC.values(), CHOICES, SOME, KEYED]), DATA)
def test_any_value_is_either_converted_or_one_sentence(option: dict[str, Any], value: Any) -> None:
    sentence = problem("v", option, value) if is_given(value) else ""
    assert sentence == "" or (sentence.startswith("v") and sentence.endswith(".") and "\n" not in sentence)
    if is_given(value) and not sentence:
        converted(option, value)


def test_environment_variables_that_are_set_but_blank_do_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRST", " ")
    monkeypatch.setenv("SECOND", "value")
    assert from_environment("FIRST", "SECOND") == "value"
    monkeypatch.setenv("SECOND", "")
    with pytest.raises(AnsibleFallbackNotFound):
        from_environment("FIRST", "SECOND", "ABSENT")


def test_a_dictionary_for_json_is_one_text_so_that_masking_it_masks_nothing_else() -> None:
    spec = {"key": {"type": "jsonarg", "no_log": True}}
    assert given(spec, {"key": {"project_id": "shop"}}) == {"key": '{"project_id": "shop"}'}
    assert given(spec, {"key": '{"project_id": "shop"}'}) == {"key": '{"project_id": "shop"}'}
    assert given(spec, {"key": " "}) == {}


def test_a_text_that_is_no_path_is_no_file() -> None:
    for text in ("x" * 5000, "a\0b", "~nobody-of-this-name/x", "/", ""):
        assert not is_file(text)
    assert str(as_path("~nobody-of-this-name/x")) == "~nobody-of-this-name/x"
    assert as_path("~/x") == Path.home() / "x"
