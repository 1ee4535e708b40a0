"""Ollama's own API: lines of JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from onpaper.backends import BackendError, IncompleteReply, OllamaBackend, UnusableReply

HELLO = [{"role": "user", "content": "hi"}]
END = {
    "message": {"content": ""},
    "done": True,
    "done_reason": "stop",
    "prompt_eval_count": 7,
    "eval_count": 5,
}


def line(value: Any) -> bytes:
    return (value if isinstance(value, str) else json.dumps(value)).encode() + b"\n"


def text(content: Any, **message: Any) -> dict[str, Any]:
    return {"model": "m", "message": {"role": "assistant", "content": content, **message}, "done": False}


@pytest.fixture
def backend(provider: Any, build: Any) -> OllamaBackend:
    return build(OllamaBackend, num_ctx=1000)


async def said(backend: OllamaBackend, stats: dict[str, Any] | None = None) -> list[str]:
    return [piece async for piece in backend.stream(HELLO, stats=stats)]


async def failed(backend: OllamaBackend) -> BackendError:
    with pytest.raises(BackendError) as caught:
        await said(backend)
    return caught.value


async def test_a_stream_gives_text_and_stats(backend: OllamaBackend, provider: Any) -> None:
    stats: dict[str, Any] = {}
    provider.sends(*map(line, (text("Hel"), text(""), text(None), text("lo", thinking="hm"), END)))
    assert await said(backend, stats) == ["Hel", "lo"]
    assert stats == {
        "prompt_tokens": 7, "completion_tokens": 5, "ctx_used": 12, "ctx_max": 1000,
        "done_reason": "stop", "tool_calls": None, "reasoning": "hm",
    }  # fmt: skip


async def test_however_the_bytes_are_cut_the_reply_is_the_same(backend: OllamaBackend, provider: Any) -> None:
    body = b"".join(
        json.dumps(value, ensure_ascii=False).encode() + b"\n"
        for value in (text("ü 🦜\u2028"), text("b"), END)
    )
    provider.sends(*(body[i : i + 1] for i in range(len(body))))
    assert await said(backend) == ["ü 🦜\u2028", "b"]


async def test_a_count_that_is_missing_is_unknown(backend: OllamaBackend, provider: Any) -> None:
    stats: dict[str, Any] = {}
    cached = {name: value for name, value in END.items() if name != "prompt_eval_count"}
    provider.sends(line(text("a")), line(cached))
    await said(backend, stats)
    assert stats["completion_tokens"] == 5
    assert not {"prompt_tokens", "ctx_used"} & set(stats)


async def test_a_stream_without_its_last_line_is_incomplete(backend: OllamaBackend, provider: Any) -> None:
    for cut in (b"", line(END)[:20]):
        provider.sends(line(text("a")), cut) if cut else provider.sends(line(text("a")))
        error = await failed(backend)
        assert isinstance(error, IncompleteReply)
        assert error.partial == "a"


async def test_a_last_line_without_its_end_counts(backend: OllamaBackend, provider: Any) -> None:
    provider.sends(line(text("a")), line(END).rstrip())
    assert await said(backend) == ["a"]


async def test_a_whole_line_that_is_not_the_last_does_not_make_an_end(
    backend: OllamaBackend, provider: Any
) -> None:
    provider.sends(line(text("a")), line(text("b")).rstrip())
    error = await failed(backend)
    assert isinstance(error, IncompleteReply)
    assert error.partial == "ab"


async def test_what_comes_after_the_last_line_does_not_count(backend: OllamaBackend, provider: Any) -> None:
    provider.sends(line(text("a")), line(END), line(text("late")))
    assert await said(backend) == ["a"]


@pytest.mark.parametrize(
    "bad", [{"error": "no luck"}, {"error": {"message": "no luck"}}, '"no luck"', "no luck"]
)
async def test_an_error_in_the_stream_raises_with_its_words_and_the_text_before(
    backend: OllamaBackend, provider: Any, bad: Any
) -> None:
    provider.sends(line(text("a")), line(bad), line(END))
    error = await failed(backend)
    assert "no luck" in str(error)
    assert error.partial == "a"


async def test_a_page_where_a_stream_was_asked_for_raises(backend: OllamaBackend, provider: Any) -> None:
    provider.replies(b"<html>Log in</html>", content_type="text/html")
    assert "Log in" in str(await failed(backend))


async def test_tool_calls_have_the_same_shape_as_everywhere(backend: OllamaBackend, provider: Any) -> None:
    calls = [
        {"id": "a", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}},
        {"function": {"name": "f", "arguments": '{"x": 2}'}},
    ]
    stats: dict[str, Any] = {}
    provider.sends(line(text("", tool_calls=calls[:1])), line(text("", tool_calls=calls[1:])), line(END))
    await said(backend, stats)
    first, second = stats["tool_calls"]
    assert first == {"id": "a", "type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
    assert second["function"]["arguments"] == {"x": 2}
    provider.replies({**END, "message": {"content": "", "tool_calls": calls}})
    found = (await backend.complete(HELLO))["tool_calls"]
    assert [call["function"] for call in found] == [call["function"] for call in (first, second)]


async def test_a_whole_reply_has_the_same_shape_as_everywhere(backend: OllamaBackend, provider: Any) -> None:
    provider.replies({**END, "message": {"content": "hi", "thinking": "hm"}})
    assert await backend.complete(HELLO) == {
        "content": "hi",
        "tool_calls": None,
        "usage": {"prompt": 7, "completion": 5, "ctx_used": 12, "ctx_max": 1000},
        "done_reason": "stop",
    }


@pytest.mark.parametrize("body", [{}, {"done": False, "message": {"content": "x"}}, [], b"<html>", b""])
async def test_a_whole_reply_that_is_none_raises(backend: OllamaBackend, provider: Any, body: Any) -> None:
    provider.replies(body)
    with pytest.raises(UnusableReply):
        await backend.complete(HELLO)
