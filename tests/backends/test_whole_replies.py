"""What comes out of a reply that is no stream."""

from __future__ import annotations

from typing import Any

import pytest

from onpaper.backends import Backend, BackendError, IncompleteReply, UnusableReply, VLLMBackend

HELLO = [{"role": "user", "content": "hi"}]


@pytest.fixture
def backend(provider: Any, build: Any) -> Backend:
    return build(VLLMBackend, max_model_len=1000)


def reply(content: Any = "hi", finish: Any = "stop", **message: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"content": content, **message}, "finish_reason": finish}]}


async def failed(backend: Backend) -> BackendError:
    with pytest.raises(BackendError) as caught:
        await backend.complete(HELLO)
    return caught.value


async def test_a_reply_has_content_tool_calls_usage_and_a_reason(backend: Backend, provider: Any) -> None:
    stats: dict[str, Any] = {}
    provider.replies({**reply(reasoning="hm"), "usage": {"prompt_tokens": 7, "completion_tokens": 5}})
    assert await backend.complete(HELLO, stats=stats) == {
        "content": "hi",
        "tool_calls": None,
        "usage": {"prompt": 7, "completion": 5, "ctx_used": 12, "ctx_max": 1000},
        "done_reason": "stop",
    }
    assert stats == {
        "prompt_tokens": 7, "completion_tokens": 5, "ctx_used": 12, "ctx_max": 1000,
        "done_reason": "stop", "tool_calls": None, "reasoning": "hm",
    }  # fmt: skip


async def test_unknown_counts_are_none(backend: Backend, provider: Any) -> None:
    provider.replies({**reply(), "usage": {"prompt_tokens": 7, "completion_tokens": None}})
    usage = (await backend.complete(HELLO))["usage"]
    assert usage == {"prompt": 7, "completion": None, "ctx_used": None, "ctx_max": 1000}


@pytest.mark.parametrize("message", [{"content": None}, {}, {"content": ""}, {"content": []}])
async def test_no_content_is_empty_text(backend: Backend, provider: Any, message: Any) -> None:
    provider.replies({"choices": [{"message": message, "finish_reason": None}], "created": None, "id": ""})
    found = await backend.complete(HELLO)
    assert (found["content"], found["done_reason"]) == ("", None)


async def test_the_choice_is_picked_by_its_index(backend: Backend, provider: Any) -> None:
    choices = [{**reply("no")["choices"][0], "index": 1}, reply("yes")["choices"][0]]
    provider.replies({"choices": choices})
    assert (await backend.complete(HELLO))["content"] == "yes"


async def test_a_content_of_parts_gives_its_text(backend: Backend, provider: Any) -> None:
    provider.replies(reply([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}, "b"]))
    assert (await backend.complete(HELLO))["content"] == "ab"


async def test_tool_calls_have_arguments_as_dicts(backend: Backend, provider: Any) -> None:
    calls = [
        {"id": "", "function": {"name": "f", "arguments": '{"x": 1}'}},
        {"id": "", "function": {"name": "f", "arguments": {"x": 2}}, "index": 0},
    ]
    provider.replies(reply(None, "tool_calls", tool_calls=calls))
    first, second = (await backend.complete(HELLO))["tool_calls"]
    assert [c["function"]["arguments"] for c in (first, second)] == [{"x": 1}, {"x": 2}]
    assert first["id"] != second["id"]


@pytest.mark.parametrize("calls", [None, []])
async def test_no_tool_calls_are_none(backend: Backend, provider: Any, calls: Any) -> None:
    provider.replies(reply(tool_calls=calls))
    assert (await backend.complete(HELLO))["tool_calls"] is None


async def test_arguments_that_are_no_object_raise_and_keep_the_text(backend: Backend, provider: Any) -> None:
    provider.replies(reply("so:", tool_calls=[{"id": "a", "function": {"name": "f", "arguments": "{bad"}}]))
    error = await failed(backend)
    assert isinstance(error, UnusableReply)
    assert "{bad" in str(error)
    assert error.partial == "so:"


async def test_a_refusal_raises_with_its_words(backend: Backend, provider: Any) -> None:
    provider.replies(reply(None, refusal="I will not."))
    assert "I will not." in str(await failed(backend))


@pytest.mark.parametrize(
    "body",
    [
        {}, {"choices": None}, {"choices": []}, {"choices": [None]}, {"choices": [{"index": 0}]},
        {"choices": [{"message": None}]}, {"choices": [{"index": 3, "message": {"content": "x"}}]},
        [], None, "text", 7,
    ],
)  # fmt: skip
async def test_a_reply_without_a_choice_raises(backend: Backend, provider: Any, body: Any) -> None:
    provider.replies(body)
    assert isinstance(await failed(backend), UnusableReply)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "no luck", "code": 502}},
        {**reply(), "error": {"message": "no luck", "code": "502"}},
        {"choices": [{"message": {"content": "x"}, "error": {"message": "no luck", "code": 502}}]},
        {"object": "error", "message": "no luck", "code": 502},
    ],
)
async def test_an_error_inside_a_200_raises_and_its_code_is_the_status(
    backend: Backend, provider: Any, body: Any
) -> None:
    provider.replies(body)
    error = await failed(backend)
    assert ("no luck" in str(error), error.status) == (True, 502)


async def test_a_body_that_is_no_json_raises_with_status_type_and_words(
    backend: Backend, provider: Any
) -> None:
    provider.replies(b"<html>Log in</html>", content_type="text/html")
    error = await failed(backend)
    assert isinstance(error, UnusableReply)
    assert "HTTP 200, text/html" in str(error)
    assert error.body == "<html>Log in</html>"


async def test_a_body_that_is_cut_is_incomplete(backend: Backend, provider: Any) -> None:
    async def answer(line: Any) -> None:
        await line.head(framing="content-length: 100")
        await line.send(b'{"choices":')
        raise ConnectionAbortedError

    provider.answer = answer
    assert isinstance(await failed(backend), IncompleteReply)


async def test_a_body_may_begin_with_blank_lines_and_a_bom(backend: Backend, provider: Any) -> None:
    provider.replies(b"\xef\xbb\xbf\n\n\n" + b'{"choices":[{"message":{"content":"hi"}}]}')
    assert (await backend.complete(HELLO))["content"] == "hi"


async def test_a_stream_and_a_whole_reply_of_the_same_content_agree(
    backend: Backend, provider: Any, delta: Any
) -> None:
    counts = {"usage": {"prompt_tokens": 7, "completion_tokens": 5}}
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x":1}'}}
    streamed: dict[str, Any] = {}
    provider.streams(
        delta("h"), delta("i", tool_calls=[call]), {**delta("", finish="stop"), **counts}, "[DONE]"
    )
    text = "".join([piece async for piece in backend.stream(HELLO, stats=streamed)])
    whole: dict[str, Any] = {}
    provider.replies({**reply("hi", tool_calls=[call]), **counts})
    found = await backend.complete(HELLO, stats=whole)
    assert (text, streamed) == (found["content"], whole)
