"""The words in which real servers refuse a value, byte for byte where they were recorded."""

from __future__ import annotations

import json

import pytest

from onpaper.answer import Provider
from onpaper.contract import Contract
from onpaper.exchange import Request
from onpaper.mock import Mock, Say

HELLO = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
MOCK = Mock("greeting", "", (Say(text=("Hi",)),))
ALIEN = {"messages": [{"role": "alien", "content": "hi"}]}


def ask(name: str, body):
    """What a strict provider does with a body."""
    contract = Contract.load(name)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    auth = ((contract.auth_header, contract.auth_value("sk-right-key")),)
    return Provider(contract, MOCK, key="sk-right-key")(Request("POST", contract.chat_path, auth, content))


def said(name: str, body) -> str:
    """What a strict provider answers: its message, or all of it where that is in no usual place."""
    script = ask(name, body)
    assert script.status >= 400, script.body
    answer = json.loads(script.body)
    inner = answer.get("error", answer) if isinstance(answer, dict) else answer
    if isinstance(inner, str):
        return inner
    return inner["message"] if isinstance(inner, dict) and isinstance(inner.get("message"), str) else json.dumps(answer)


TOOLS = [{"type": "function", "function": {"name": "look_up"}}]
IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]}]
TWICE = [*HELLO["messages"], *HELLO["messages"]]
BACK = [*HELLO["messages"], {"role": "assistant", "content": "x"}, *HELLO["messages"]]


def history(**more):
    return [*HELLO["messages"], {"role": "assistant", "content": "x", **more}]


SERDE = "Invalid JSON data: Failed to deserialize the JSON body into the target type: "
WORDS = [
    ("llamacpp", {"temperature": "hot"}, "Field 'temperature': [json.exception.type_error.302] type must be number, but is string"),
    (
        "vllm",
        {"temperature": "hot"},
        "1 validation error:\n  {'type': 'float_parsing', 'loc': 'body.temperature', 'msg': 'Input should be a valid"
        " number, unable to parse string as a number', 'input': 'hot'}",
    ),
    (
        "vllm",
        {"messages": "hello"},
        "1 validation error:\n  {'type': 'list_type', 'loc': 'body.messages', 'msg': 'Input should be a valid list',"
        " 'input': 'hello'}",
    ),
    ("vllm", {"temperature": 9.5}, "temperature must be in [0, 2], got 9.5. (parameter=temperature, value=9.5)"),
    (
        "smg",
        ALIEN,
        SERDE + "messages[0].role: unknown variant `alien`, expected one of `system`, `user`, `assistant`, `tool`,"
        " `function`, `developer`, `root` at line 1 column 56",
    ),
    ("smg", {"temperature": "hot"}, SERDE + 'temperature: invalid type: string "hot", expected f32 at line 1 column 117'),
    (
        "smg",
        {"temperature": 9.5},
        'temperature: Validation error: range [{"min": Number(0.0), "max": Number(2.0), "value": Number(9.5)}]',
    ),
    (
        "sglang-router",
        ALIEN,
        SERDE + "messages[0].role: unknown variant `alien`, expected one of `system`, `user`, `assistant`, `tool`,"
        " `function`, `developer` at line 1 column 56",
    ),
    ("mlx-lm", {"temperature": "hot"}, "temperature must be of type ('float', 'int')"),
    ("doubleword", {"temperature": 100}, "Validation: Temperature must be between 0 and 2, got 100"),
    ("openrouter", {"temperature": 5.0}, "Expected temperature to be at most 2, received 5"),
    (
        "deepseek",
        {"messages": IMAGE},
        "Failed to deserialize the JSON body into the target type: messages[0]: unknown variant `image_url`, expected"
        " `text` at line 1 column 2",
    ),
    (
        "deepseek",
        {"thinking": {"type": "enabled"}, "tools": TOOLS, "tool_choice": "required"},
        "Thinking mode does not support this tool_choice",
    ),
    (
        "openai@reasoning",
        {"max_tokens": 5},
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    ),
    ("mistral", {"logprobs": True}, "Logprobs are not enabled for this model"),
    (
        "perplexity",
        {"messages": [*HELLO["messages"], {"role": "tool", "content": "x"}]},
        "At body -> messages -> 1 -> role: Input should be 'system', 'user' or 'assistant'",
    ),
    (
        "perplexity",
        {"messages": TWICE},
        "After the (optional) system message(s), user or tool message(s) should alternate with assistant message(s).",
    ),
    (
        "databricks",
        {"messages": history(thinking_blocks=[])},
        "messages.1.thinking_blocks: Extra inputs are not permitted",
    ),
    (
        "xai",
        {"model": "grok-code-fast-1", "reasoning_effort": "low"},
        "Model grok-code-fast-1 does not support parameter reasoningEffort.",
    ),
    ("tgi", {"top_p": 1}, "Input validation error: `top_p` must be > 0.0 and < 1.0"),
    (
        "lmstudio",
        {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "look_up"}}},
        "Invalid tool_choice type: 'object'. Supported string values: none, auto, required",
    ),
    ("openai", {"max_tokens": 1.5}, "Invalid type for 'max_tokens': expected an integer, but got a decimal number instead."),
    (
        "openai",
        ALIEN,
        "Invalid value: 'alien'. Supported values are: 'system', 'developer', 'user', 'assistant', 'tool', and 'function'.",
    ),
]


@pytest.mark.parametrize(("name", "more", "words"), WORDS)
def test_a_value_is_refused_in_the_words_of_the_server(name, more, words):
    assert said(name, {**HELLO, **more}) == words


NO_OBJECT = {
    "llamacpp": "'messages' is required",
    "mlx-lm": "Request should be a JSON dictionary",
    "transformers-serve": '{"detail": [{"type": "dict_type", "loc": ["body"], "msg": "Input should be a valid'
    ' dictionary", "input": []}]}',
    "vllm": "1 validation error:\n  {'type': 'model_attributes_type', 'loc': 'body', 'msg': 'Input should be a valid"
    " dictionary or object to extract fields from', 'input': '<list of 0 items>'}",
    "smg": SERDE + "invalid type: sequence, expected struct ChatCompletionRequest at line 1 column 0",
}
NOTHING = {
    "llamacpp": "[json.exception.parse_error.101] parse error at line 1, column 1: attempting to parse an empty input;"
    " check that your input string or stream contains the expected JSON",
    "mlx-lm": "Invalid JSON in request body: Expecting value: line 1 column 1 (char 0)",
    "transformers-serve": '{"detail": [{"type": "missing", "loc": ["body"], "msg": "Field required", "input": null}]}',
    "vllm": "1 validation error:\n  {'type': 'missing', 'loc': 'body', 'msg': 'Field required', 'input': 'None'}",
}


@pytest.mark.parametrize(("name", "words"), NO_OBJECT.items(), ids=list(NO_OBJECT))
def test_a_list_for_a_body_has_words_of_its_own(name, words):
    assert said(name, []) == words


@pytest.mark.parametrize(("name", "words"), NOTHING.items(), ids=list(NOTHING))
def test_an_empty_body_has_words_of_its_own(name, words):
    assert said(name, b"") == words


def test_an_empty_body_is_no_json_where_the_contract_has_no_words_for_it():
    assert said("openai", b"").startswith("We could not parse the JSON body")


ANSWERED = [
    ("openai", {"tools": [{"type": "function", "function": {"name": "look_up", "external_execution": False}}]}),
    ("openrouter", {"tools": [{"type": "openrouter:web_search"}]}),
    ("openrouter", {"tools": [{"type": "openrouter:advisor"}]}),
    ("cerebras", {"messages": history(reasoning="r")}),
    ("perplexity", {"messages": BACK}),
    ("deepseek", {"thinking": {"type": "enabled"}, "tools": TOOLS, "tool_choice": "auto"}),
    ("zai", {"reasoning_effort": "max"}),
    ("hf-router", {"tools": TOOLS, "tool_choice": {"function": {"name": "look_up"}}}),
    ("xai", {"model": "grok-4", "reasoning_effort": "low"}),
    ("tgi", {"temperature": 5}),
    ("vllm", ALIEN),
    ("mlx-lm", {"response_format": {"type": "xml"}}),
    ("transformers-serve", {"response_format": {"type": "xml"}}),
]


@pytest.mark.parametrize(("name", "more"), ANSWERED)
def test_what_was_answered_is_answered(name, more):
    assert ask(name, {**HELLO, **more}).status == 200


REFUSED = [
    ("mistral", {"messages": [{"role": "user", "content": "hi", "name": "bob"}]}, 422),
    ("cerebras", {"messages": history(reasoning_content="r")}, 400),
    ("anthropic-compat", {"stop": [" "]}, 400),
    ("anthropic-compat", {"stop": "\n\n"}, 400),
    ("vllm", {"messages": [{"role": "user", "content": None}]}, 400),
    ("vllm", {"ignore_eos": None}, 400),
]


@pytest.mark.parametrize(("name", "more", "status"), REFUSED)
def test_what_was_refused_is_refused(name, more, status):
    assert ask(name, {**HELLO, **more}).status == status


NAMELESS = {"messages": HELLO["messages"]}


@pytest.mark.parametrize(
    ("name", "words"),
    [("openai", "you must provide a model parameter"), ("ollama-v1", "model is required")],
)
def test_a_body_without_a_model_has_words_of_its_own(name, words):
    assert said(name, NAMELESS) == words


def test_a_body_without_a_model_is_told_which_models_there_are():
    assert json.loads(ask("hyperbolic", NAMELESS).body)["code"] == 40301


def test_the_words_of_one_provider_about_a_model_are_no_others():
    assert said("groq", NAMELESS) != said("openai", NAMELESS)
