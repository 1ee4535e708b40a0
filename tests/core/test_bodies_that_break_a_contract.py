"""Each way in which a request body breaks a contract is named by its situation and by the exact place."""

from __future__ import annotations

import pytest

from onpaper.body import Violation
from onpaper.contract import Contract

USER = {"role": "user", "content": "hi"}
CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
GONE = object()


def body(**members) -> dict:
    said = {"model": "m", "messages": [USER], **members}
    return {key: value for key, value in said.items() if value is not GONE}


def assistant(**members) -> dict:
    return {"role": "assistant", "content": None, **members}


def call(**function) -> dict:
    return {**CALL, "function": {**CALL["function"], **function}}


SOUND = {
    "the least": body(),
    "every role": body(
        messages=[
            {"role": "system", "content": "brief"},
            {"role": "developer", "content": [{"type": "text", "text": "brief"}]},
            {"role": "user", "content": [{"type": "text", "text": "hi"}], "name": "u"},
            assistant(tool_calls=[CALL]),
            {"role": "tool", "content": "12", "tool_call_id": "a"},
        ]
    ),
    "bounds": body(temperature=0, top_p=1, presence_penalty=-2, frequency_penalty=2.0, n=128, stop=["a"] * 4),
    "a whole number may have a point": body(max_tokens=512.0),
    "tools and a choice": body(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "f"}}),
    "a stream with counts": body(stream=True, stream_options={"include_usage": True}),
    "an image": body(
        messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]
    ),
}
BROKEN = {
    "no model": (body(model=GONE), "missing_parameter", "/", "model"),
    "no messages": (body(messages=GONE), "missing_parameter", "/", "messages"),
    "an empty model": (body(model=""), "invalid_value", "/model", "model"),
    "no message": (body(messages=[]), "empty_array", "/messages", "messages"),
    "a text for messages": (body(messages="hi"), "invalid_type", "/messages", "messages"),
    "a text for a message": (body(messages=["hi"]), "invalid_type", "/messages/0", "messages[0]"),
    "an unknown key": (body(top_k=1), "unknown_parameter", "/top_k", "top_k"),
    "an unknown key with a slash": (body(**{"a/b~c": 1}), "unknown_parameter", "/a~1b~0c", "a/b~c"),
    "above": (body(temperature=2.1), "above_maximum", "/temperature", "temperature"),
    "below": (body(n=0), "below_minimum", "/n", "n"),
    "text for a number": (body(temperature="1"), "invalid_type", "/temperature", "temperature"),
    "truth for a number": (body(max_tokens=True), "invalid_type", "/max_tokens", "max_tokens"),
    "null": (body(temperature=None), "invalid_type", "/temperature", "temperature"),
    "a fraction": (body(n=1.5), "invalid_type", "/n", "n"),
    "too many stops": (body(stop=["a"] * 5), "invalid_value", "/stop", "stop"),
    "a stop that is no text": (body(stop=["a", 1]), "invalid_type", "/stop/1", "stop[1]"),
    "one of none": (body(service_tier="fast"), "invalid_value", "/service_tier", "service_tier"),
    "a message without content": (
        body(messages=[{"role": "user"}]),
        "missing_parameter",
        "/messages/0",
        "messages[0].content",
    ),
    "an unknown role": (
        body(messages=[USER, {"role": "bot", "content": "x"}]),
        "invalid_value",
        "/messages/1/role",
        "messages[1].role",
    ),
    "an unknown key in a message": (
        body(messages=[{**USER, "nme": "x"}]),
        "unknown_parameter",
        "/messages/0/nme",
        "messages[0].nme",
    ),
    "arguments as an object": (
        body(messages=[USER, assistant(tool_calls=[CALL, call(arguments={"a": 1})])]),
        "invalid_type",
        "/messages/1/tool_calls/1/function/arguments",
        "messages[1].tool_calls[1].function.arguments",
    ),
    "a tool message without its call": (
        body(messages=[{"role": "tool", "content": "x"}]),
        "missing_parameter",
        "/messages/0",
        "messages[0].tool_call_id",
    ),
    "a part without its text": (
        body(messages=[{"role": "user", "content": [{"type": "text"}]}]),
        "missing_parameter",
        "/messages/0/content/0",
        "messages[0].content[0].text",
    ),
    "an unknown kind of part": (
        body(messages=[{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "video"}]}]),
        "invalid_value",
        "/messages/0/content/1/type",
        "messages[0].content[1].type",
    ),
    "no tools in the list": (body(tools=[]), "empty_array", "/tools", "tools"),
    "a tool's name with a blank": (
        body(tools=[{"type": "function", "function": {"name": "a b"}}]),
        "invalid_value",
        "/tools/0/function/name",
        "tools[0].function.name",
    ),
    "a choice of nothing known": (
        body(tools=[TOOL], tool_choice="maybe"),
        "invalid_value",
        "/tool_choice",
        "tool_choice",
    ),
    "options without a stream": (
        body(stream_options={"include_usage": True}),
        "broken_rule",
        "/stream_options",
        "stream_options",
    ),
    "two limits": (body(max_tokens=1, max_completion_tokens=1), "broken_rule", "/max_tokens", "max_tokens"),
    "an unknown option": (
        body(stream=True, stream_options={"x": 1}),
        "unknown_parameter",
        "/stream_options/x",
        "stream_options.x",
    ),
    "a bias out of range": (
        body(logit_bias={"a/b": 200}),
        "above_maximum",
        "/logit_bias/a~1b",
        "logit_bias.a/b",
    ),
    "a list for a body": ([], "invalid_type", "/", ""),
    "null for a body": (None, "invalid_type", "/", ""),
}


@pytest.fixture(scope="module")
def openai() -> Contract:
    return Contract.load("openai")


@pytest.mark.parametrize("sound", SOUND.values(), ids=SOUND)
def test_a_sound_body_breaks_nothing(openai, sound):
    assert openai.violations(sound) == []


@pytest.mark.parametrize(("broken", "situation", "pointer", "param"), BROKEN.values(), ids=BROKEN)
def test_a_broken_body_is_told_where_and_how(openai, broken, situation, pointer, param):
    (violation,) = openai.violations(broken)
    assert (violation.situation, violation.pointer, violation.param) == (situation, pointer, param)
    assert violation.message


def test_every_way_in_which_a_body_is_broken_is_told(openai):
    found = openai.violations(body(top_k=1, temperature=9, messages=[USER, {"role": "bot"}]))
    assert sorted(one.pointer for one in found) == ["/messages/1/role", "/temperature", "/top_k"]


def test_a_violation_carries_the_value_and_the_limit_that_an_error_may_quote(openai):
    (violation,) = openai.violations(body(temperature=9))
    assert (violation.value, violation.limit) == (9, 2)
    assert violation == Violation(
        "above_maximum", "/temperature", "9 is greater than the maximum of 2", "temperature", 9, 2
    )
