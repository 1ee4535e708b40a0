"""What real servers answered to bodies that they refuse (recorded in November 2026), and what we play.

`...` stands for the server's own words.
"""

from __future__ import annotations

import json

import pytest

HI = [{"role": "user", "content": "hello"}]
HELLO = {"model": "a-model", "messages": HI}
MALFORMED = '{"model": "a-model", "messages": [{"role": "user", "content": "hi"}'
NO_MESSAGES, NO_MODEL = {"model": "a-model"}, {"messages": HI}
HOT, BEYOND = {**HELLO, "temperature": "hot"}, {**HELLO, "temperature": 9.5}
EMPTY, UNKNOWN = {**HELLO, "messages": []}, {**HELLO, "model": "no-such-model"}
NOT_STREAMED = {**HELLO, "stream_options": {"include_usage": True}}

JSON, UTF8, PLAIN = "application/json", "application/json; charset=utf-8", "text/plain; charset=utf-8"
INVALID = {"message": ..., "type": "invalid_request_error"}
LLAMA = {"error": {**INVALID, "code": 400}}
UNPARSED = {"error": {**INVALID, "code": "json_parse_error"}}
BROKEN = "Internal Server Error"


def smg(code: str, param: str | None = None) -> dict:
    return {"error": {**INVALID, "param": param, "code": code}}


def portkey(code: object, param: str | None = None) -> dict:
    return {"error": {**INVALID, "param": param, "code": code}, "provider": "openai"}


def llms(code: str) -> dict:
    return {"error": {"message": ..., "type": "api_error", "code": code}}


CASES = [
    ("llamacpp", "malformed", MALFORMED, 400, UTF8, LLAMA),
    ("llamacpp", "no messages", NO_MESSAGES, 400, UTF8, LLAMA),
    ("llamacpp", "wrong type", HOT, 400, UTF8, LLAMA),
    ("llamacpp", "messages is a text", {**HELLO, "messages": "hello"}, 400, UTF8, LLAMA),
    ("llamacpp", "below its range", {**HELLO, "max_tokens": -5}, 400, UTF8, LLAMA),
    ("smg", "malformed", MALFORMED, 400, JSON, smg("invalid_json")),
    ("smg", "no messages", NO_MESSAGES, 400, JSON, smg("missing_required_parameter", "messages")),
    ("smg", "no model", NO_MODEL, 400, JSON, smg("missing_required_parameter", "model")),
    ("smg", "empty messages", EMPTY, 400, JSON, smg("empty_array", "messages")),
    ("smg", "wrong type", HOT, 400, JSON, smg("invalid_type", "temperature")),
    ("smg", "above its range", BEYOND, 400, JSON, smg("decimal_above_max_value", "temperature")),
    (
        "smg",
        "below its range",
        {**HELLO, "max_tokens": 0},
        400,
        JSON,
        smg("integer_below_min_value", "max_tokens"),
    ),
    ("smg", "a broken rule", NOT_STREAMED, 400, JSON, smg("stream_options_requires_stream")),
    ("smg", "unknown model", UNKNOWN, 404, JSON, smg("model_not_found")),
    ("sglang-router", "malformed", MALFORMED, 400, JSON, UNPARSED),
    ("sglang-router", "no messages", NO_MESSAGES, 400, JSON, UNPARSED),
    ("sglang-router", "wrong type", HOT, 400, JSON, UNPARSED),
    ("sglang-router", "verbosity is a text", {**HELLO, "verbosity": "low"}, 400, JSON, UNPARSED),
    ("sglang-router", "empty messages", EMPTY, 400, JSON, LLAMA),
    ("sglang-router", "above its range", BEYOND, 400, JSON, LLAMA),
    ("sglang-router", "a broken rule", {**HELLO, "tool_choice": "auto"}, 400, JSON, LLAMA),
    ("musistudio-llms", "malformed", MALFORMED, 400, UTF8, llms("FST_ERR_CTP_INVALID_JSON_BODY")),
    ("musistudio-llms", "no messages", NO_MESSAGES, 400, UTF8, llms("provider_response_error")),
    ("musistudio-llms", "no model", NO_MODEL, 400, UTF8, {"error": "Missing model in request body"}),
    ("musistudio-llms", "wrong type", HOT, 400, UTF8, llms("provider_response_error")),
    ("musistudio-llms", "unknown model", UNKNOWN, 404, UTF8, llms("provider_not_found")),
    ("portkey", "malformed", MALFORMED, 500, JSON, {"status": "failure", "message": "Something went wrong"}),
    ("portkey", "no messages", NO_MESSAGES, 400, JSON, portkey("missing_required_parameter", "messages")),
    ("portkey@llamacpp", "no messages", NO_MESSAGES, 400, UTF8, portkey(400)),
    ("portkey@llamacpp", "wrong type", HOT, 400, UTF8, portkey(400)),
    ("mlx-lm", "malformed", MALFORMED, 400, JSON, {"error": ...}),
    ("mlx-lm", "no messages", NO_MESSAGES, 400, JSON, {"error": "Request did not contain messages"}),
    ("mlx-lm", "empty messages", EMPTY, 404, JSON, {"error": ...}),
    ("mlx-lm", "wrong type", HOT, 400, JSON, {"error": ...}),
    (
        "mlx-lm",
        "below its range",
        {**HELLO, "max_tokens": 0},
        400,
        JSON,
        {"error": "max_tokens must be at least 1"},
    ),
    ("mlx-lm", "unknown model", UNKNOWN, 404, JSON, {"error": ...}),
    ("transformers-serve", "unknown model", UNKNOWN, 400, JSON, {"detail": ...}),
]

BREAKS_TRANSFORMERS = [NO_MESSAGES, EMPTY, HOT, {**HELLO, "max_tokens": 0}, {**HELLO, "messages": "hello"}]


@pytest.mark.parametrize(
    ("name", "body", "status", "kind", "expected"),
    [(name, body, *rest) for name, _, body, *rest in CASES],
    ids=[f"{name}: {case}" for name, case, *_ in CASES],
)
def test_a_body_is_refused_in_the_shape_that_was_recorded(ask, same, name, body, status, kind, expected):
    answer = ask(name, body)
    assert (answer.status, answer.kind) == (status, kind)
    assert same(answer.json, expected), answer.text


@pytest.mark.parametrize("body", BREAKS_TRANSFORMERS, ids=json.dumps)
def test_a_wrong_value_breaks_transformers_serve(ask, body):
    assert ask("transformers-serve", body) == (500, PLAIN, BROKEN)


def test_transformers_serve_names_the_key_that_it_does_not_know(ask):
    answer = ask("transformers-serve", top_k=5)
    assert (answer.status, answer.kind) == (422, JSON)
    assert answer.json == {"detail": "Unexpected fields in the request: {'top_k'}"}


def test_transformers_serve_says_where_a_body_stops_being_json(ask, same):
    answer = ask("transformers-serve", MALFORMED)
    where = {"type": "json_invalid", "loc": ["body", 97], "msg": "JSON decode error", "input": {}}
    assert (answer.status, answer.kind) == (422, JSON)
    assert same(answer.json, {"detail": [{**where, "ctx": {"error": ...}}]})


TAKEN = {
    "llamacpp": [
        *({"temperature": 9.5}, {"max_tokens": 0}, {"frobnicate": 9}, {"model": "no-such-model"}),
        *({"messages": []}, {"tool_choice": "auto"}, {"stream_options": {"include_usage": True}}),
        {"messages": [{"role": "alien", "content": "x"}]},
    ],
    "smg": [{"frobnicate": 9}, {"tool_choice": "auto"}],
    "sglang-router": [{"frobnicate": 9}, {"model": "no-such-model"}],
    "musistudio-llms": [{"frobnicate": 9}, {"max_tokens": 0}, {"messages": []}],
    "portkey": [{"frobnicate": 9}, {"top_k": 5}, {"temperature": 9.5}, {"max_tokens": -5}],
    "mlx-lm": [{"frobnicate": 9}, {"temperature": 9.5}, {"n": 2}, {"tool_choice": "auto"}],
    "transformers-serve": [{"temperature": 9.5}, {"n": 2}, {"logprobs": True}, {"tool_choice": "auto"}],
}


@pytest.mark.parametrize(
    ("name", "more"),
    [
        pytest.param(name, more, id=f"{name}: {json.dumps(more)}")
        for name, all_ in TAKEN.items()
        for more in all_
    ],
)
def test_a_body_that_the_real_server_took_is_taken(ask, name, more):
    assert ask(name, **more).status == 200


@pytest.mark.parametrize(("key", "value"), [("temperature", 0.6), ("temperature", 1.5), ("top_p", 0.9)])
def test_moonshot_takes_one_temperature_and_one_top_p(ask, key, value):
    message = f"invalid {key}: only {'1' if key == 'temperature' else '0.95'} is allowed for this model"
    answer = ask("moonshot", **{key: value})
    assert answer.status == 400
    assert answer.json == {"error": {"message": message, "type": "invalid_request_error"}}


def test_lm_studio_refuses_a_tool_choice_that_is_an_object(ask):
    function = {"type": "function", "function": {"name": "f"}}
    answer = ask("lmstudio", tools=[function], tool_choice=function)
    message = "Invalid tool_choice type: 'object'. Supported string values: none, auto, required"
    assert (answer.status, answer.json) == (400, {"error": message})


def test_venice_names_an_unknown_model_in_an_error_that_is_a_text(ask):
    answer = ask("venice", UNKNOWN)
    assert answer.status == 404
    assert answer.json["error"].startswith("Specified model not found: no-such-model.")


def test_doubleword_refuses_a_range_flatly_and_a_model_as_openai_does(ask, same):
    assert same(ask("doubleword", temperature=100).json, {"code": 400, "message": ..., "type": "Bad Request"})
    assert same(ask("doubleword", UNKNOWN).json, smg("model_not_found"))


def test_sglang_refuses_flatly_with_a_number_for_a_code(ask, same):
    expected = {"object": "error", "message": ..., "type": "Bad Request", "param": None, "code": 400}
    assert same(ask("sglang", HOT).json, expected)


def test_perplexity_has_three_roles(ask, same):
    answer = ask("perplexity", messages=[*HI, {"role": "tool", "tool_call_id": "x", "content": "1"}])
    assert answer.status == 400
    assert same(answer.json, {"error": {"message": ..., "type": "bad_request", "code": 400}})
