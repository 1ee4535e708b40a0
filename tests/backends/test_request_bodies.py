"""What goes out: bodies, paths, sampling parameters, and what is refused before a byte is sent."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest

from onpaper.backends import Backend, LiteLLMBackend, OllamaBackend, VLLMBackend

HELLO = [{"role": "user", "content": "hi"}]
OLLAMA_END = {"message": {"content": ""}, "done": True, "done_reason": "stop"}
WHOLE = {"choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}]}
TOOL = {
    "type": "function",
    "function": {
        "name": "f",
        "parameters": {"$defs": {"a": {"type": ["string", "null"], "enum": ["", None]}}, "type": "object"},
    },
}


@pytest.fixture(params=[VLLMBackend, LiteLLMBackend, OllamaBackend])
def make(
    request: pytest.FixtureRequest, provider: Any, build: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Backend]:
    """Makes the backend under test; its provider answers whatever it is asked."""
    monkeypatch.delenv("VUI_LITELLM_KEY", raising=False)
    provider.replies({**WHOLE, **OLLAMA_END})
    return lambda **settings: build(request.param, **settings)


def options(body: dict[str, Any]) -> dict[str, Any]:
    """The sampling parameters of a body, in either dialect."""
    return body.get("options", body)


async def test_a_stream_of_vllm_sends_exactly_its_keys(provider: Any, build: Any, delta: Any) -> None:
    provider.streams(delta("x", finish="stop"), "[DONE]")
    async for _ in build(VLLMBackend, "m").stream(HELLO):
        pass
    assert provider.asked[0].json == {
        "model": "m",
        "messages": HELLO,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 512,
        "temperature": 1.0,
        "top_p": 0.95,
        "presence_penalty": 1.5,
        "top_k": 20,
        "chat_template_kwargs": {"enable_thinking": False},
    }


async def test_litellm_leaves_out_the_two_keys_that_only_vllm_knows(
    provider: Any, build: Any, delta: Any
) -> None:
    provider.streams(delta("x", finish="stop"), "[DONE]")
    async for _ in build(LiteLLMBackend, "m", api_key="").stream(HELLO, top_k=3):
        pass
    assert set(provider.asked[0].json) == {
        "model", "messages", "stream", "stream_options", "max_tokens", "temperature", "top_p",
        "presence_penalty",
    }  # fmt: skip


async def test_ollama_sends_its_own_shape(provider: Any, build: Any) -> None:
    provider.replies(OLLAMA_END)
    await build(OllamaBackend, "m", think=True, num_ctx=99).complete(HELLO, stop="END", tools=[TOOL])
    assert provider.asked[0].target == "/api/chat"
    assert provider.asked[0].json == {
        "model": "m",
        "messages": HELLO,
        "stream": False,
        "keep_alive": "30m",
        "think": True,
        "tools": [TOOL],
        "options": {
            "num_ctx": 99,
            "num_predict": 1024,
            "temperature": 0.0,
            "top_k": 20,
            "top_p": 0.95,
            "presence_penalty": 1.5,
            "stop": ["END"],
        },
    }


async def test_a_whole_reply_asks_for_no_stream_and_no_stream_options(make: Any, provider: Any) -> None:
    await make().complete(HELLO)
    assert provider.asked[0].json["stream"] is False
    assert "stream_options" not in provider.asked[0].json


async def test_a_call_is_one_post_of_json(make: Any, provider: Any) -> None:
    await make().complete(HELLO)
    assert [(a.method, a.headers["content-type"]) for a in provider.asked] == [("POST", "application/json")]


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/", "/v1//"])
async def test_however_the_base_url_ends_there_is_one_v1(suffix: str, provider: Any, build: Any) -> None:
    provider.replies(WHOLE)
    backend = build(VLLMBackend, base_url=f" {provider.url}{suffix} ")
    await backend.complete(HELLO)
    await backend.list_models()
    assert [asked.target for asked in provider.asked] == ["/v1/chat/completions", "/v1/models"]


async def test_a_path_before_v1_is_kept(provider: Any, build: Any) -> None:
    provider.replies(WHOLE)
    await build(VLLMBackend, base_url=f"{provider.url}/openai/v1").complete(HELLO)
    assert provider.asked[0].target == "/openai/v1/chat/completions"


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "ftp://host", "http://", "http://h/v1?key=1", "http://h#x", None]
)
def test_a_base_url_that_is_none_is_refused(url: Any) -> None:
    with pytest.raises(ValueError, match="base_url must look like"):
        VLLMBackend(base_url=url)


async def test_none_and_empty_arguments_are_left_out(make: Any, provider: Any) -> None:
    await make().complete(HELLO, max_tokens=None, stop=None, tools=None)
    await make().complete(HELLO, max_tokens=None, stop=[], tools=[])
    for asked in provider.asked:
        assert not {"max_tokens", "num_predict", "stop", "tools"} & {*asked.json, *options(asked.json)}
        assert None not in asked.json.values()


async def test_zero_is_a_value(make: Any, provider: Any) -> None:
    await make().complete(HELLO, max_tokens=0, temperature=0, top_p=0.0, presence_penalty=0)
    sent = options(provider.asked[0].json)
    assert (sent["temperature"], sent["top_p"], sent["presence_penalty"]) == (0, 0.0, 0)
    assert sent.get("max_tokens", sent.get("num_predict")) == 0


async def test_stop_goes_out_as_it_came(provider: Any, build: Any) -> None:
    provider.replies(WHOLE)
    for stop in ("END", ["a", "b"], ("a", "b")):
        await build(VLLMBackend).complete(HELLO, stop=stop)
    assert [asked.json["stop"] for asked in provider.asked] == ["END", ["a", "b"], ["a", "b"]]


async def test_tools_go_out_unchanged(make: Any, provider: Any) -> None:
    await make().complete(HELLO, tools=[TOOL])
    assert provider.asked[0].json["tools"] == [TOOL]


async def test_the_callers_messages_and_tools_are_not_touched(make: Any) -> None:
    call = {"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}
    messages = [*HELLO, {"role": "assistant", "content": "", "tool_calls": [call]}]
    tools = [TOOL]
    before = copy.deepcopy((messages, tools))
    await make().complete(messages, tools=tools)
    assert (messages, tools) == before


async def test_history_goes_out_in_the_form_that_each_provider_takes(make: Any, provider: Any) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": {"x": "ü"}}}
    await make().complete([{"role": "assistant", "content": "", "tool_calls": [call]}])
    body = provider.asked[0].json
    wanted = {"x": "ü"} if "options" in body else '{"x": "ü"}'
    assert body["messages"][0]["tool_calls"][0]["function"]["arguments"] == wanted


async def test_history_that_cannot_be_written_is_refused(make: Any, provider: Any) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": {"x": math.nan}}}
    with pytest.raises(ValueError, match="cannot be written as JSON"):
        await make().complete([{"role": "assistant", "content": "", "tool_calls": [call]}])
    assert provider.connections == 0


async def test_any_text_survives(make: Any, provider: Any) -> None:
    odd = 'ü 日本 🦜 \u2028 \x85 \x00 \\ " \r\n'
    await make(model=odd).complete([{"role": "user", "content": odd}])
    body = provider.asked[0].json
    assert (body["model"], body["messages"][0]["content"]) == (odd, odd)


async def test_the_call_wins_over_the_constructor_and_that_over_the_default(make: Any, provider: Any) -> None:
    backend = make(sampling={"temperature": 0.3, "top_p": 0.4, "presence_penalty": None})
    await backend.complete(HELLO, top_p=0.0)
    sent = options(provider.asked[0].json)
    assert (sent["temperature"], sent["top_p"], sent["presence_penalty"]) == (0.3, 0.0, 1.5)


async def test_a_whole_reply_has_temperature_zero_unless_told_otherwise(make: Any, provider: Any) -> None:
    await make().complete(HELLO)
    assert options(provider.asked[0].json)["temperature"] == 0.0


def test_an_unknown_sampling_parameter_is_refused_with_the_known_ones(make: Any) -> None:
    with pytest.raises(ValueError, match=r"'seed'; known: temperature, top_k, top_p, presence_penalty"):
        make(sampling={"seed": 1})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, True, "0.5"])
@pytest.mark.parametrize("name", ["temperature", "top_p", "presence_penalty"])
async def test_what_is_no_finite_number_is_refused_before_a_byte_is_sent(
    make: Any, provider: Any, name: str, value: Any
) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a finite number"):
        await make().complete(HELLO, **{name: value})
    with pytest.raises(ValueError, match=f"{name} must be a finite number"):
        make(sampling={name: value})
    assert provider.connections == 0


@pytest.mark.parametrize("name", ["max_tokens", "top_k"])
@pytest.mark.parametrize("value", [True, 1.5, "7"])
async def test_counts_are_whole_numbers(make: Any, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a whole number"):
        await make().complete(HELLO, **{name: value})


async def test_a_number_larger_than_a_float_goes_out_as_it_is(make: Any, provider: Any) -> None:
    await make().complete(HELLO, presence_penalty=10**400)
    assert options(provider.asked[0].json)["presence_penalty"] == 10**400


@pytest.mark.parametrize("stop", [7, [1], ["a", None]])
async def test_a_stop_that_is_no_text_is_refused(make: Any, stop: Any) -> None:
    with pytest.raises(ValueError, match="stop must be a text"):
        await make().complete(HELLO, stop=stop)


@pytest.mark.parametrize(
    ("content", "problem"),
    [("\ud83e", "half of a surrogate pair"), (math.nan, "JSON"), (b"bytes", "JSON"), ({1, 2}, "JSON")],
)
async def test_what_cannot_be_written_is_refused_before_a_byte_is_sent(
    make: Any, provider: Any, content: Any, problem: str
) -> None:
    messages = [{"role": "user", "content": content}]
    with pytest.raises(ValueError, match=problem):
        await make().complete(messages)
    with pytest.raises(ValueError, match=problem):
        async for _ in make().stream(messages):
            pass
    assert provider.connections == 0


async def test_equal_calls_send_equal_bytes(make: Any, provider: Any) -> None:
    backend = make()
    await backend.complete(HELLO)
    await backend.complete(HELLO)
    assert provider.asked[0].content == provider.asked[1].content


async def test_prefill_is_one_call_for_one_token_of_the_same_messages(provider: Any, build: Any) -> None:
    for backend in (build(VLLMBackend), build(OllamaBackend)):
        provider.asked.clear()
        provider.replies({**WHOLE, **OLLAMA_END})
        await backend.prefill(HELLO)
        await backend.complete(HELLO)
        warm, asked = (each.json for each in provider.asked)
        assert warm["messages"] == asked["messages"]
        assert warm["stream"] is False
        assert options(warm).get("max_tokens", options(warm).get("num_predict")) == 1


async def test_prefill_of_a_metered_provider_asks_nothing(provider: Any, build: Any) -> None:
    await build(LiteLLMBackend).prefill(HELLO)
    assert provider.connections == 0


async def test_a_prefill_that_fails_is_logged_and_does_not_disturb(
    provider: Any, build: Any, caplog: Any
) -> None:
    provider.replies({"error": {"message": "overloaded"}}, status=503)
    await build(VLLMBackend).prefill(HELLO)
    assert "overloaded" in caplog.text


async def test_another_model_is_used_from_the_next_call_on(provider: Any, build: Any, delta: Any) -> None:
    provider.streams(delta("x", finish="stop"))
    backend = build(LiteLLMBackend, "old", api_key="")
    running = backend.stream(HELLO)
    await backend.set_model("new/name:1")
    for stream in (backend.stream(HELLO), running):
        async for _ in stream:
            pass
    assert [asked.json["model"] for asked in provider.asked] == ["new/name:1", "old"]


async def test_a_server_with_one_model_refuses_to_switch() -> None:
    with pytest.raises(NotImplementedError, match="one model"):
        await VLLMBackend().set_model("other")
