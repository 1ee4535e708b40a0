"""A reply is cut to what the request asked for, wherever the provider honours it."""



from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest

from onpaper import Contract, folders
from onpaper.answer import Provider
from onpaper.mock import Call, Mock, Say
from onpaper.shape import example, shape
from onpaper.truth.plays import request
from onpaper.wire import reading

OPENAI = Contract.load("openai")
TOOLS = [
    {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}}},
    {"type": "function", "function": {"name": "sum", "parameters": {}}},
]  # fmt: skip
SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 3}}, "required": ["name", "age"], "additionalProperties": False},
    {"type": "object", "properties": {"tags": {"type": "array", "minItems": 2, "items": {"enum": ["a", "b"]}}}, "required": ["tags"]},
    {"$defs": {"node": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}, "required": ["next"]}}, "$ref": "#/$defs/node"},
    {"type": "object", "properties": {"when": {"type": "string", "format": "date-time"}, "kind": {"const": "x"}}, "required": ["when", "kind"]},
    {"type": "object", "properties": {"n": {"type": "number", "exclusiveMinimum": 1, "maximum": 2}, "s": {"type": "string", "minLength": 9, "maxLength": 9}}, "required": ["n", "s"]},
    {"allOf": [{"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}, {"type": "object", "properties": {"b": {"type": "null"}}, "required": ["b"]}]},
]  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS)
def test_an_example_is_valid_against_its_schema(schema: dict[str, Any]) -> None:
    jsonschema_rs.validator_for(schema).validate(example(schema))


def honours(name: str, key: str) -> bool:
    """Whether the provider accepts the key, and does something about it."""
    contract = Contract.load(name)
    return key in contract.keys and key not in contract.get("body.ignored", ())


@pytest.mark.parametrize(
    "name", [name for name in folders.names("contracts") if honours(name, "response_format")]
)
def test_structured_output_is_valid_wherever_it_is_honoured(name: str) -> None:
    contract = Contract.load(name)
    asked = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMAS[0]}}
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "response_format": asked}
    provider = Provider(contract, Mock("said", "", (Say(text=("Hello", " there")),)), strict=False)
    for streamed in (False, True):
        raw = provider(request(contract, body | {"stream": streamed})).body
        read = reading.read_stream([raw], contract.usage_paths) if streamed else reading.read_reply(raw)
        jsonschema_rs.validator_for(SCHEMAS[0]).validate(json.loads(read.text))


def test_a_json_object_is_made_of_a_text_that_is_none() -> None:
    say = shape(Say(text=("Hel", "lo")), {"response_format": {"type": "json_object"}}, OPENAI)
    assert json.loads("".join(say.text)) == {"answer": "Hello"}


def test_a_text_that_is_json_is_left_alone() -> None:
    say = Say(text=('{"a"', ": 1}"))
    assert shape(say, {"response_format": {"type": "json_object"}}, OPENAI) == say


def test_max_tokens_cuts_the_pieces_and_says_length() -> None:
    say = shape(Say(text=("a", "b", "c")), {"max_tokens": 2}, OPENAI)
    assert (say.text, say.finish, say.usage) == (("a", "b"), "length", {"prompt": 11, "completion": 2})


def test_max_completion_tokens_is_not_honoured_where_it_is_unknown() -> None:
    say = Say(text=("a", "b", "c"))
    assert shape(say, {"max_completion_tokens": 1}, Contract.load("ollama-v1")) == say
    assert shape(say, {"max_completion_tokens": 1}, OPENAI).text == ("a",)


def test_a_stop_sequence_is_cut_off_across_pieces() -> None:
    say = shape(Say(text=("Hel", "lo, w", "orld")), {"stop": ["o, wo", "zzz"]}, OPENAI)
    assert ("".join(say.text), say.finish) == ("Hell", "stop")


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "add"}}])
def test_a_tool_choice_makes_the_call_with_arguments_that_fit(choice: Any) -> None:
    say = shape(Say(text=("Hello",), finish="length"), {"tools": TOOLS, "tool_choice": choice}, OPENAI)
    assert [(call.name, json.loads("".join(call.arguments))) for call in say.tool_calls] == [
        ("add", {"a": 1})
    ]
    assert (say.text, say.ending) == ((), "tool_calls")


def test_no_tool_is_called_when_none_may_be() -> None:
    say = shape(Say(tool_calls=(Call("add"),)), {"tools": TOOLS, "tool_choice": "none"}, OPENAI)
    assert not say.tool_calls and say.text and say.ending == "stop"


def test_a_named_tool_ends_with_stop_at_openai_and_with_tool_calls_at_groq() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": TOOLS,
            "tool_choice": {"type": "function", "function": {"name": "add"}}}  # fmt: skip
    for name, finish in (("openai", "stop"), ("groq", "tool_calls")):
        contract = Contract.load(name)
        provider = Provider(contract, Mock("said", "", (Say(text=("Hi",)),)))
        assert reading.read_reply(provider(request(contract, body)).body).finish == finish


def test_an_error_is_never_reshaped() -> None:
    say = Say(events=("x",))
    assert shape(say, {"max_tokens": 1}, OPENAI) is say


GREEDY = {
    "a long text": {"type": "string", "minLength": 10**10},
    "many items": {"type": "array", "minItems": 10**10},
    "itself ten times": {"type": "object", "properties": {c: {"$ref": "#"} for c in "abcdefghij"}, "required": list("abcdefghij")},
}


@pytest.mark.parametrize("schema", GREEDY.values(), ids=GREEDY)
def test_a_schema_cannot_ask_for_more_than_a_gateway_has(schema: dict[str, Any]) -> None:
    assert len(json.dumps(example(schema))) < 100_000
