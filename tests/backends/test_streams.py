"""What comes out of a stream of chat completion chunks."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from onpaper.backends import (
    Backend,
    BackendError,
    IncompleteReply,
    UnusableReply,
    VLLMBackend,
)

HELLO = [{"role": "user", "content": "hi"}]
DONE = "[DONE]"


async def said(backend: Backend, stats: dict[str, Any] | None = None) -> list[str]:
    return [piece async for piece in backend.stream(HELLO, stats=stats)]


@pytest.fixture
def backend(provider: Any, build: Any) -> Backend:
    return build(VLLMBackend, max_model_len=1000)


async def failed(backend: Backend, stats: dict[str, Any] | None = None) -> BackendError:
    with pytest.raises(BackendError) as caught:
        await said(backend, stats)
    return caught.value


# ---- text ------------------------------------------------------------------------------------------------


async def test_each_delta_is_given_out_as_it_arrives(backend: Backend, provider: Any, delta: Any) -> None:
    async def answer(line: Any) -> None:
        await line.head(content_type="text/event-stream")
        await line.chunk(provider.event(delta("Hel")))
        await line.until_gone()

    provider.answer = answer
    stream = backend.stream(HELLO)
    assert await anext(stream) == "Hel"
    await stream.aclose()


async def test_text_is_whole_and_in_order(backend: Backend, provider: Any, delta: Any) -> None:
    provider.streams(delta("", role="assistant"), delta("Hel"), delta("lo"), delta(None, finish="stop"), DONE)
    assert await said(backend) == ["Hel", "lo"]


async def test_text_in_the_chunk_with_the_finish_reason_counts(
    backend: Backend, provider: Any, delta: Any
) -> None:
    provider.streams(delta("a"), delta("b", finish="stop"), DONE)
    assert await said(backend) == ["a", "b"]


async def test_what_comes_after_the_sentinel_does_not_count(
    backend: Backend, provider: Any, delta: Any
) -> None:
    stats: dict[str, Any] = {}
    late = {**delta("late"), "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    provider.streams(delta("a", finish="stop"), "  [DONE]  ", late)
    assert await said(backend, stats) == ["a"]
    assert "prompt_tokens" not in stats


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": []},
        {"choices": None},
        {"id": "x"},
        {"choices": [{"index": 0, "delta": None}]},
        {"choices": [{"index": 0}]},
        {"choices": [{"index": 0, "delta": {"role": None, "content": None}, "finish_reason": ""}]},
        {
            "choices": [{"delta": {"role": "", "content": ""}, "logprobs": {}, "obfuscation": "xx"}],
            "p": "abc",
        },
        "",
    ],
)
async def test_a_chunk_without_text_yields_nothing(
    backend: Backend, provider: Any, delta: Any, odd: Any
) -> None:
    provider.streams(odd, delta("a"), odd, delta("", finish="stop"), odd, DONE)
    assert await said(backend) == ["a"]


async def test_only_the_choice_with_index_0_is_read(backend: Backend, provider: Any, delta: Any) -> None:
    both = {"choices": [delta("no", index=1)["choices"][0], delta("b")["choices"][0]]}
    provider.streams(
        delta("no", index=1), delta("a"), both, delta("", finish="stop", index=1), delta("c"), DONE
    )
    assert await said(backend) == ["a", "b", "c"]


async def test_the_finish_of_another_choice_is_no_finish(backend: Backend, provider: Any, delta: Any) -> None:
    provider.streams(delta("a"), delta("", finish="stop", index=1))
    assert isinstance(await failed(backend), IncompleteReply)


async def test_a_content_of_parts_gives_its_text(backend: Backend, provider: Any, delta: Any) -> None:
    stats: dict[str, Any] = {}
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    summary = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "m."}]}
    parts = [thinking, summary, {"type": "text", "text": "a"}, "b", {"type": "image_url"}]
    provider.streams(delta(parts), delta("c", finish="stop"), DONE)
    assert await said(backend, stats) == ["ab", "c"]
    assert stats["reasoning"] == "hmm."


async def test_a_content_of_another_type_raises(backend: Backend, provider: Any, delta: Any) -> None:
    provider.streams(delta({"title": "x"}))
    assert "neither text nor a list of parts" in str(await failed(backend))


async def test_reasoning_is_not_text_and_is_not_doubled(backend: Backend, provider: Any, delta: Any) -> None:
    stats: dict[str, Any] = {}
    provider.streams(
        delta(reasoning="h", reasoning_content="h"), delta(reasoning_content="m"), delta(reasoning="."),
        delta("a", finish="stop"), DONE,
    )  # fmt: skip
    assert await said(backend, stats) == ["a"]
    assert stats["reasoning"] == "hm."


async def test_a_reply_of_reasoning_alone_says_how_it_ended(
    backend: Backend, provider: Any, delta: Any
) -> None:
    stats: dict[str, Any] = {}
    provider.streams(delta(reasoning="hm"), delta("", finish="length"), DONE)
    assert await said(backend, stats) == []
    assert (stats["reasoning"], stats["done_reason"]) == ("hm", "length")


async def test_a_character_cut_between_two_tokens_is_whole_again(backend: Backend, provider: Any) -> None:
    halves = (
        r'{"choices":[{"delta":{"content":"a\ud83e"}}]}',
        r'{"choices":[{"delta":{"content":"\udd9cb"}}]}',
    )
    provider.streams(*halves, DONE)
    assert await said(backend) == ["a", "🦜b"]


async def test_half_a_character_alone_becomes_a_replacement_character(
    backend: Backend, provider: Any
) -> None:
    provider.streams(r'{"choices":[{"delta":{"content":"a\udd9cb\ud83e"},"finish_reason":"stop"}]}', DONE)
    assert await said(backend) == ["a\ufffdb", "\ufffd"]


async def test_text_that_looks_like_framing_is_text(backend: Backend, provider: Any, delta: Any) -> None:
    odd = "data: [DONE]\n\nevent: error\n: x \u2028"
    provider.streams(delta(odd), delta("", finish="stop"), DONE)
    assert await said(backend) == [odd]


async def test_a_compressed_stream_is_read(backend: Backend, provider: Any, delta: Any) -> None:
    body = gzip.compress(b"".join(map(provider.event, (delta("a"), delta("b", finish="stop"), DONE))))
    provider.sends(*(body[i : i + 7] for i in range(0, len(body), 7)), content_encoding="gzip")
    assert await said(backend) == ["a", "b"]


async def test_a_broken_compression_raises(backend: Backend, provider: Any) -> None:
    provider.sends(b"this is not gzip", content_encoding="gzip")
    assert "content encoding" in str(await failed(backend))


async def test_a_label_that_is_no_event_stream_does_not_hide_one(
    backend: Backend, provider: Any, delta: Any
) -> None:
    provider.streams(delta("a", finish="stop"), DONE, content_type="text/plain")
    assert await said(backend) == ["a"]


# ---- the end ---------------------------------------------------------------------------------------------


async def test_a_finish_reason_without_the_sentinel_is_an_end(
    backend: Backend, provider: Any, delta: Any
) -> None:
    provider.streams(delta("a"), delta("", finish="stop"))
    assert await said(backend) == ["a"]


async def test_the_sentinel_without_a_finish_reason_is_an_end(
    backend: Backend, provider: Any, delta: Any
) -> None:
    stats: dict[str, Any] = {}
    provider.streams(delta("a"), DONE)
    assert await said(backend, stats) == ["a"]
    assert stats["done_reason"] is None


async def test_neither_of_both_is_no_end_and_keeps_the_text(
    backend: Backend, provider: Any, delta: Any
) -> None:
    provider.streams(delta("a"), delta("b"))
    error = await failed(backend)
    assert isinstance(error, IncompleteReply)
    assert error.partial == "ab"


async def test_a_stream_cut_within_an_event_is_no_end(backend: Backend, provider: Any, delta: Any) -> None:
    provider.sends(provider.event(delta("a")), provider.event(delta("b", finish="stop"))[:30])
    error = await failed(backend)
    assert isinstance(error, IncompleteReply)
    assert error.partial == "a"


async def test_the_sentinel_before_anything_else_is_no_reply(backend: Backend, provider: Any) -> None:
    provider.streams({"choices": []}, DONE)
    assert isinstance(await failed(backend), IncompleteReply)


@pytest.mark.parametrize("reason", ["length", "content_filter", "eos", "brand_new"])
async def test_the_finish_reason_reaches_the_caller(
    backend: Backend, provider: Any, delta: Any, reason: str
) -> None:
    stats: dict[str, Any] = {}
    provider.streams(delta("a"), delta("", finish=reason), delta("", finish=""), DONE)
    await said(backend, stats)
    assert stats["done_reason"] == reason


async def test_a_connection_that_breaks_keeps_the_text(backend: Backend, provider: Any, delta: Any) -> None:
    async def answer(line: Any) -> None:
        await line.head()
        await line.chunk(provider.event(delta("a")))
        raise ConnectionAbortedError

    provider.answer = answer
    error = await failed(backend)
    assert isinstance(error, IncompleteReply)
    assert error.partial == "a"


async def test_a_connection_that_breaks_after_the_finish_reason_loses_nothing(
    backend: Backend, provider: Any, delta: Any
) -> None:
    async def answer(line: Any) -> None:
        await line.head()
        await line.chunk(provider.event(delta("a", finish="stop")))
        raise ConnectionAbortedError

    provider.answer = answer
    assert await said(backend) == ["a"]


# ---- errors inside a 200 ---------------------------------------------------------------------------------

ERRORS = {
    "an object": b'data: {"error": {"message": "no luck", "code": "server_error"}}\n\n',
    "a text": b'data: {"error": "no luck"}\n\n',
    "an event": b'event: error\ndata: {"message": "no luck"}\n\n',
    "an event with plain text": b"event: error\ndata: no luck\n\n",
    "an event of an unknown shape": b'event: error\ndata: {"odd": "no luck"}\n\n',
    "beside choices": b'data: {"choices":[{"delta":{"content":"x"}}],"error":{"message":"no luck"}}\n\n',
    "in a choice": b'data: {"choices":[{"delta":{},"error":{"message":"no luck","code":502}}]}\n\n',
    "flat": b'data: {"object":"error","message":"no luck","code":400}\n\n',
    "a field of its own": b'error: {"code":500,"message":"no luck"}\n\n',
    "in an array": b'data: [{"error":{"message":"no luck"}}]\n\n',
    "not JSON": b'data: {"error": "no luck"\n\n',
    "not an object": b'data: "no luck"\n\n',
}


@pytest.mark.parametrize("shape", ERRORS)
async def test_an_error_in_the_stream_raises_with_its_words_and_the_text_before(
    backend: Backend, provider: Any, delta: Any, shape: str
) -> None:
    provider.sends(provider.event(delta("a")), ERRORS[shape], b"data: [DONE]\n\n")
    error = await failed(backend)
    assert "no luck" in str(error)
    assert "no luck" in error.body
    assert error.partial == "a"


async def test_an_error_as_the_first_event_raises(backend: Backend, provider: Any) -> None:
    provider.sends(ERRORS["an object"])
    error = await failed(backend)
    assert (error.code, error.status) == ("server_error", 200)


async def test_a_numeric_code_inside_the_stream_becomes_the_status(backend: Backend, provider: Any) -> None:
    provider.sends(ERRORS["in a choice"])
    assert (await failed(backend)).status == 502


async def test_a_finish_reason_that_says_error_raises(backend: Backend, provider: Any, delta: Any) -> None:
    provider.streams(delta("a"), delta("", finish="error"), DONE)
    assert "'error'" in str(await failed(backend))


@pytest.mark.parametrize("chunk", ["{bad", "[1]", "7", "null", "hello"])
async def test_a_chunk_that_is_no_object_raises(
    backend: Backend, provider: Any, delta: Any, chunk: str
) -> None:
    provider.streams(delta("a"), chunk, delta("b", finish="stop"), DONE)
    error = await failed(backend)
    assert isinstance(error, UnusableReply)
    assert chunk in str(error)
    assert error.partial == "a"


# ---- a 200 that is no stream -----------------------------------------------------------------------------


async def test_a_whole_reply_where_a_stream_was_asked_for_raises(backend: Backend, provider: Any) -> None:
    provider.replies({"choices": [{"message": {"content": "the words"}}]})
    error = await failed(backend)
    assert isinstance(error, UnusableReply)
    assert "the words" in error.body


async def test_an_error_object_where_a_stream_was_asked_for_keeps_its_words(
    backend: Backend, provider: Any
) -> None:
    provider.replies({"error": {"message": "no luck", "code": 429}})
    error = await failed(backend)
    assert ("no luck" in str(error), error.status) == (True, 429)


async def test_a_page_where_a_stream_was_asked_for_raises(backend: Backend, provider: Any) -> None:
    provider.replies(b"<html>\n<title>Log in</title>", content_type="text/html")
    error = await failed(backend)
    assert isinstance(error, UnusableReply)
    assert "text/html" in str(error)
    assert "Log in" in str(error)


@pytest.mark.parametrize("body", [b"", b": keep-alive\n\n"])
async def test_a_stream_without_an_event_is_incomplete(backend: Backend, provider: Any, body: bytes) -> None:
    provider.replies(body, content_type="text/event-stream")
    assert isinstance(await failed(backend), IncompleteReply)


# ---- tool calls and refusals -----------------------------------------------------------------------------


def call(arguments: str) -> dict[str, Any]:
    return {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}


@pytest.mark.parametrize("reason", ["tool_calls", "stop"])
async def test_tool_calls_are_reported_in_stats(
    backend: Backend, provider: Any, delta: Any, reason: str
) -> None:
    stats: dict[str, Any] = {}
    rest = {"index": 0, "function": {"arguments": "1}"}}
    provider.streams(delta(tool_calls=[call('{"x":')]), delta(tool_calls=[rest], finish=reason), DONE)
    assert await said(backend, stats) == []
    assert stats["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
    ]


async def test_tool_calls_without_stats_to_report_them_in_raise(
    backend: Backend, provider: Any, delta: Any
) -> None:
    provider.streams(delta("a"), delta(tool_calls=[call("{}")], finish="tool_calls"), DONE)
    error = await failed(backend)
    assert isinstance(error, UnusableReply)
    assert "(f)" in str(error)
    assert error.partial == "a"


async def test_tool_calls_that_cannot_be_used_raise(backend: Backend, provider: Any, delta: Any) -> None:
    provider.streams(delta(tool_calls=[call('{"x":')]), delta("", finish="length"), DONE)
    error = await failed(backend, {})
    assert isinstance(error, UnusableReply)
    assert '{"x":' in str(error)


async def test_a_refusal_raises_with_its_words(backend: Backend, provider: Any, delta: Any) -> None:
    stats: dict[str, Any] = {}
    provider.streams(delta(refusal="I will "), delta(refusal="not."), delta("", finish="stop"), DONE)
    error = await failed(backend, stats)
    assert "I will not." in str(error)
    assert (error.code, stats["done_reason"]) == ("refusal", "stop")


# ---- usage -----------------------------------------------------------------------------------------------


def usage(prompt: Any, completion: Any) -> dict[str, Any]:
    return {"usage": {"prompt_tokens": prompt, "completion_tokens": completion}}


async def counted(backend: Backend, provider: Any, *events: Any) -> tuple[Any, ...]:
    stats: dict[str, Any] = {"prompt_tokens": "as it was"}
    provider.streams(*events, DONE)
    await said(backend, stats)
    return tuple(stats.get(name) for name in ("prompt_tokens", "completion_tokens", "ctx_used", "ctx_max"))


@pytest.mark.parametrize("place", ["first", "finish", "last", "choice", "x_groq"])
async def test_usage_is_found_wherever_it_is(backend: Backend, provider: Any, delta: Any, place: str) -> None:
    events = [delta("a"), delta("b"), delta("", finish="stop"), {"choices": []}]
    counts = usage(7, 5)
    if place == "choice":
        events[2]["choices"][0].update(counts)
    elif place == "x_groq":
        events[2]["x_groq"] = counts
    else:
        events[{"first": 0, "finish": 2, "last": 3}[place]].update(counts)
    assert await counted(backend, provider, *events) == (7, 5, 12, 1000)


async def test_usage_on_every_chunk_is_not_summed(backend: Backend, provider: Any, delta: Any) -> None:
    events = [{**delta("a"), **usage(7, n)} for n in (None, 1, 2)]
    assert await counted(backend, provider, *events, {**delta("", finish="stop"), **usage(7, 3)}) == (
        7,
        3,
        10,
        1000,
    )


@pytest.mark.parametrize(
    "nothing", [None, {}, {"prompt_tokens": None, "completion_tokens": None}, "text", []]
)
async def test_a_usage_that_says_nothing_does_not_replace_one_that_did(
    backend: Backend, provider: Any, delta: Any, nothing: Any
) -> None:
    events = {**delta("a"), **usage(7, 5)}, {**delta("", finish="stop"), "usage": nothing}
    assert await counted(backend, provider, *events) == (7, 5, 12, 1000)


async def test_missing_usage_leaves_stats_as_they_were(backend: Backend, provider: Any, delta: Any) -> None:
    assert await counted(backend, provider, delta("a", finish="stop")) == ("as it was", None, None, 1000)


@pytest.mark.parametrize("odd", [-1, "5", 1.5, True, None, [5]])
async def test_a_count_that_is_none_is_unknown(backend: Backend, provider: Any, delta: Any, odd: Any) -> None:
    events = delta("a", finish="stop"), {"choices": [], **usage(7, odd)}
    assert await counted(backend, provider, *events) == (7, None, None, 1000)


async def test_zero_and_a_whole_float_are_counts(backend: Backend, provider: Any, delta: Any) -> None:
    assert await counted(backend, provider, delta("a", finish="stop"), usage(0, 5.0)) == (0, 5, 5, 1000)


async def test_stats_are_not_touched_by_a_call_that_fails(
    backend: Backend, provider: Any, delta: Any
) -> None:
    stats: dict[str, Any] = {}
    provider.streams({**delta("a"), **usage(7, 5)})
    await failed(backend, stats)
    assert stats == {}


async def test_stats_are_not_touched_by_a_call_that_is_given_up(
    backend: Backend, provider: Any, delta: Any
) -> None:
    stats: dict[str, Any] = {}
    provider.streams({**delta("a"), **usage(7, 5)}, delta("b", finish="stop"), DONE)
    stream = backend.stream(HELLO, stats=stats)
    await anext(stream)
    await stream.aclose()
    assert stats == {}


# ---- any split -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
async def test_however_the_bytes_are_cut_the_reply_is_the_same(
    backend: Backend, provider: Any, delta: Any, size: int
) -> None:
    stats: dict[str, Any] = {}
    text = json.dumps(delta("ü 日本 🦜\u2028"), ensure_ascii=False)
    whole = f"\ufeff: x\r\ndata:{text}\r\n\r\n".encode() + provider.event(
        {**delta("", finish="stop"), **usage(1, 2)}
    )
    body = whole + b"data: [DONE]\r\r"
    provider.sends(*(body[i : i + size] for i in range(0, len(body), size)))
    assert await said(backend, stats) == ["ü 日本 🦜\u2028"]
    assert stats["ctx_used"] == 3
