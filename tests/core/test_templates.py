"""Templates of JSON: placeholders keep the type of their value, and nothing that is absent leaves a trace."""

from __future__ import annotations

import random
import re
import uuid

import pytest

from onpaper.wire.template import ABSENT, fill, make_id, mentions

VALUES = {"text": "a", "n": 3, "list": [1], "none": None, "gone": ABSENT, "table": {"k": 1}}


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{text}", "a"),
        ("{n}", 3),
        ("{list}", [1]),
        ("{table}", {"k": 1}),
        ("{null}", None),
        ("{none}", None),
        ("n is {n}, {text}", "n is 3, a"),
        ("{n}{n}", "33"),
        ("<{none}{gone}>", "<>"),
        ("{unknown}", "{unknown}"),
        ("a {unknown} b", "a {unknown} b"),
        ("{not a name}", "{not a name}"),
        ("", ""),
        (7, 7),
        (True, True),
        (None, None),
        ({"a": "{n}", "b": "{gone}"}, {"a": 3}),
        ({"a": "{none?}", "b": "{n?}"}, {"b": 3}),
        ({"a": {"b": "{gone}"}, "c": 1}, {"c": 1}),
        ({"a": {}}, {"a": {}}),
        (["{gone}", "{n}", {"x": "{gone}"}], [3]),
        ({"{n}": 1}, {"{n}": 1}),
    ],
)
def test_placeholders_become_their_values(template, filled):
    assert fill(template, VALUES) == filled


def test_a_table_of_which_nothing_is_left_is_absent():
    assert fill({"a": "{gone}"}, VALUES) is ABSENT and fill("{gone}", VALUES) is ABSENT


def test_a_value_is_not_filled_again():
    assert fill("{text}", {"text": "{n}", "n": 3}) == "{n}"
    assert fill("x{text}", {"text": "{n}", "n": 3}) == "x{n}"


@pytest.mark.parametrize(
    ("template", "mentioned"),
    [
        ("{text}", True),
        ("a {text}", True),
        ({"a": [{"b": "{text}"}]}, True),
        ("text", False),
        ({"text": "{n}"}, False),
    ],
)
def test_a_template_is_searched_for_a_placeholder(template, mentioned):
    assert mentions(template, "text") is mentioned


@pytest.mark.parametrize(
    ("pattern", "form"),
    [
        ("chatcmpl-{alnum:29}", r"chatcmpl-[A-Za-z0-9]{29}"),
        ("{hex:4}-{digits:3}", r"[0-9a-f]{4}-[0-9]{3}"),
        ("{hex}", r"[0-9a-f]{8}"),
        ("plain", "plain"),
        ("{other:3}", r"\{other:3\}"),
    ],
)
def test_an_id_is_made_from_its_pattern(pattern, form):
    assert re.fullmatch(form, make_id(pattern, random.Random(1)))


def test_a_uuid_is_one_of_version_4():
    assert uuid.UUID(make_id("{uuid}", random.Random(1))).version == 4


def test_the_same_seed_gives_the_same_id():
    assert make_id("{hex:32}", random.Random(1)) == make_id("{hex:32}", random.Random(1))
