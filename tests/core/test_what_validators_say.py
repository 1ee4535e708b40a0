"""What is said of a wrong value: plainly, and in the words of the libraries that servers are built on."""

from __future__ import annotations

import pytest

from onpaper import validators
from onpaper.contract import Contract

HELLO = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
LEVELS = "'none', 'minimal', 'low', 'medium', 'high'"


def broken(**more):
    (violation,) = Contract.load("openai").violations({**HELLO, **more})
    return violation


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"temperature": "hot"}, "expected a number, but got a string"),
        ({"max_tokens": 1.5}, "expected an integer, but got a decimal number"),
        ({"stop": 5}, "expected one of a string or an array, but got an integer"),
        ({"temperature": 9}, "expected a value less than or equal to 2"),
        ({"tools": []}, "expected at least 1 item"),
        ({"model": ""}, "expected at least 1 character"),
        ({"verbosity": "loud"}, "expected one of 'low', 'medium', 'high'"),
        ({"messages": "hi"}, "expected an array, but got a string"),
    ],
)
def test_a_violation_is_put_in_words_that_are_no_validators(more, said):
    assert validators.plain(broken(**more)) == said


@pytest.mark.parametrize(
    ("more", "kind", "said"),
    [
        (
            {"temperature": "hot"},
            "float_parsing",
            "Input should be a valid number, unable to parse string as a number",
        ),
        ({"temperature": []}, "float_type", "Input should be a valid number"),
        ({"max_tokens": "x"}, "int_parsing", "Input should be a valid integer, unable to parse string as an integer"),
        ({"messages": "hi"}, "list_type", "Input should be a valid list"),
        ({"temperature": 9}, "less_than_equal", "Input should be less than or equal to 2"),
        ({"reasoning_effort": "x"}, "literal_error", f"Input should be {LEVELS} or 'xhigh'"),
        ({"tools": []}, "too_short", "List should have at least 1 item after validation, not 0"),
    ],
)
def test_pydantic_has_a_kind_and_words(more, kind, said):
    assert validators.pydantic(broken(**more)) == (kind, said)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"temperature": "hot"}, 'invalid type: string "hot", expected f32'),
        ({"messages": "hello"}, 'invalid type: string "hello", expected a sequence'),
        ({"max_tokens": "x"}, 'invalid type: string "x", expected u32'),
        ({"seed": "x"}, 'invalid type: string "x", expected i32'),
        ({"verbosity": "loud"}, "unknown variant `loud`, expected one of `low`, `medium`, `high`"),
        ({"tools": [{"type": "x"}]}, "unknown variant `x`, expected `function` or `custom`"),
    ],
)
def test_serde_names_the_type_of_the_field(more, said):
    assert validators.serde(broken(**more)) == said


def test_the_json_library_for_cpp_has_one_name_for_numbers():
    assert validators.nlohmann(broken(max_tokens="hot")) == "type must be number, but is string"


def test_values_are_listed_in_the_form_of_a_contract():
    form = {"each": "`{value}`", "between": " | ", "last": " or "}
    assert validators.allowed(broken(verbosity="loud"), form) == "`low` | `medium` or `high`"


def test_a_contract_may_name_types_in_its_own_words():
    assert validators.expected(broken(temperature="hot"), {"number": "a decimal"}) == "a decimal"


def test_no_quotation_hides_values_as_a_validator_does():
    for name in ("groq", "cerebras", "xai", "watsonx", "vertex"):
        violation = next(iter(Contract.load(name).violations({**HELLO, "messages": [{"role": "alien"}]})))
        assert "other candidates" not in validators.plain(violation)
