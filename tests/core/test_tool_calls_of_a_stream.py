"""How tool-call fragments are put together, whatever a server leaves out."""

from __future__ import annotations

import json

import pytest

from onpaper.wire.reading import ToolCall, read_reply, read_stream


def part(index=..., id=..., name=..., arguments=...):
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not ...}
    members = {"index": index, "id": id, "function": function or ...}
    return {key: value for key, value in members.items() if value is not ...}


ASSEMBLED: dict[str, tuple[list[list[dict]], list[tuple]]] = {
    "fragments of one call": (
        [[part(0, "a", "f", "")], [part(0, arguments='{"x"')], [part(0, arguments=":1}")]],
        [("a", "f", '{"x":1}')],
    ),
    "two calls, one after the other": (
        [
            [part(0, "a", "f", "{")],
            [part(0, arguments="}")],
            [part(1, "b", "g", "[")],
            [part(1, arguments="]")],
        ],
        [("a", "f", "{}"), ("b", "g", "[]")],
    ),
    "two calls in turns": (
        [[part(0, "a", "f", "{"), part(1, "b", "g", "[")], [part(1, arguments="]"), part(0, arguments="}")]],
        [("a", "f", "{}"), ("b", "g", "[]")],
    ),
    "an index that begins with 1": ([[part(1, "a", "f", "{")], [part(1, arguments="}")]], [("a", "f", "{}")]),
    "one index for two ids": (
        [[part(0, "a", "f", "{}")], [part(0, "b", "g", "[]")]],
        [("a", "f", "{}"), ("b", "g", "[]")],
    ),
    "one index for two ids, and more of the second": (
        [[part(0, "a", "f", "{}")], [part(0, "b", "g", "[")], [part(0, arguments="]")]],
        [("a", "f", "{}"), ("b", "g", "[]")],
    ),
    "no index, an id each": (
        [[part(id="a", name="f", arguments="{}")], [part(id="b", name="g", arguments="[]")]],
        [("a", "f", "{}"), ("b", "g", "[]")],
    ),
    "no index, the id again": (
        [[part(id="a", name="f", arguments="{")], [part(id="a", arguments="}")]],
        [("a", "f", "{}")],
    ),
    "no index and no id": (
        [[part(name="f", arguments="{")], [part(arguments="}")], [part(name="g", arguments="[]")]],
        [("", "f", "{}"), ("", "g", "[]")],
    ),
    "the id repeated in every fragment": (
        [[part(0, "a", "f", "{")], [part(0, "a", arguments="}")]],
        [("a", "f", "{}")],
    ),
    "nulls and empty text where nothing is said": (
        [[part(0, "a", "f", None)], [part(0, None, None, "{}")], [part(0, "", "", "")]],
        [("a", "f", "{}")],
    ),
    "a name that comes late": (
        [[part(0, "a", arguments="")], [part(0, name="f", arguments="{}")]],
        [("a", "f", "{}")],
    ),
    "a new id without a name is no new call": (
        [[part(0, "a", "f", "{")], [part(0, "b", arguments="}")]],
        [("a", "f", "{}")],
    ),
    "no function at all": ([[part(0, "a")], [part(0, name="f", arguments="{}")]], [("a", "f", "{}")]),
    "arguments as an object": ([[part(0, "a", "f", {"x": 1})]], [("a", "f", {"x": 1})]),
    "what is no fragment": ([[None, 7, "x", part(0, "a", "f", "{}")]], [("a", "f", "{}")]),
}


@pytest.mark.parametrize(("fragments", "calls"), ASSEMBLED.values(), ids=ASSEMBLED)
def test_fragments_become_calls(read, delta, fragments, calls):
    reading = read(*(delta(tool_calls=group) for group in fragments), delta("tool_calls"))
    assert [(call.id, call.name, call.arguments) for call in reading.tool_calls] == calls
    assert reading.finish == "tool_calls" and reading.problems == []


@pytest.mark.parametrize("calls", [None, {}, "x", 7])
def test_what_is_no_list_of_calls_is_none(read, delta, calls):
    assert read(delta(content="a", tool_calls=calls)).tool_calls == []


@pytest.mark.parametrize(
    ("arguments", "value"), [('{"x": 1}', {"x": 1}), ("", {}), ("  ", {}), ({"x": 1}, {"x": 1})]
)
def test_arguments_are_json_text_or_an_object_and_nothing_is_no_arguments(arguments, value):
    assert ToolCall("a", "f", arguments).decoded == value


@pytest.mark.parametrize("arguments", ["{", "[" * 100_000])
def test_arguments_that_are_not_json_are_an_error(arguments):
    with pytest.raises(ValueError):
        _ = ToolCall("a", "f", arguments).decoded


def test_a_reply_in_one_piece_carries_its_calls():
    calls = [
        part(id="a", name="f", arguments="{}"),
        part(id=None, name="g", arguments={"x": 1}),
        {"id": "no function"},
    ]
    body = {"choices": [{"message": {"content": None, "tool_calls": calls}, "finish_reason": "tool_calls"}]}
    reading = read_reply(json.dumps(body).encode())
    assert [(one.id, one.name, one.arguments) for one in reading.tool_calls] == [
        ("a", "f", "{}"),
        ("", "g", {"x": 1}),
    ]


def test_arguments_that_are_text_and_then_an_object_are_a_problem_and_no_crash() -> None:
    calls = [{"index": 0, "function": {"name": "f", "arguments": {"a": 1}}}, {"index": 0, "function": {"arguments": ""}},
             {"index": 0, "function": {"arguments": "{}"}}]
    chunks = [{"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]} for call in calls]
    reading = read_stream([b"".join(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in chunks)])
    assert any("of which some are no text" in problem for problem in reading.problems)
