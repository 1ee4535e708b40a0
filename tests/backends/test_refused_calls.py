"""Statuses other than 200: what the exception tells."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from onpaper.backends import Backend, BackendError, OllamaBackend, VLLMBackend, transport

HELLO = [{"role": "user", "content": "hi"}]
Call = Callable[[Backend], Awaitable[BackendError]]


async def streaming(backend: Backend) -> BackendError:
    with pytest.raises(BackendError) as caught:
        async for _ in backend.stream(HELLO):
            raise AssertionError("nothing may be given out before the error")
    return caught.value


async def completing(backend: Backend) -> BackendError:
    with pytest.raises(BackendError) as caught:
        await backend.complete(HELLO)
    return caught.value


@pytest.fixture(params=[streaming, completing])
def call(request: pytest.FixtureRequest) -> Call:
    return request.param


@pytest.mark.parametrize("status", [201, 204, 400, 401, 403, 404, 408, 409, 422, 429, 500, 502, 503, 529])
async def test_a_status_other_than_200_raises_and_is_kept(
    call: Call, provider: Any, build: Any, status: int
) -> None:
    provider.replies(b"" if status == 204 else {"error": {"message": "no luck"}}, status)
    error = await call(build(VLLMBackend))
    assert error.status == status
    assert str(status) in str(error)


async def test_the_providers_words_are_kept(call: Call, provider: Any, build: Any) -> None:
    words = {
        "message": "too long",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    }
    provider.replies({"error": words}, 400, x_request_id="req-1")
    error = await call(build(VLLMBackend))
    assert str(error) == "HTTP 400: too long"
    assert (error.code, error.type, error.param) == (words["code"], words["type"], words["param"])
    assert error.request_id == "req-1"
    assert '"too long"' in error.body


async def test_every_backend_tells_the_same_failure_alike(call: Call, provider: Any, build: Any) -> None:
    provider.replies({"error": "model 'x' not found"}, 404)
    first, second = await call(build(VLLMBackend)), await call(build(OllamaBackend))
    assert (type(first), str(first), first.status) == (type(second), str(second), second.status)


async def test_the_wait_that_is_asked_for_is_told(call: Call, provider: Any, build: Any) -> None:
    provider.replies({"error": {"message": "slow down"}}, 429, retry_after="20")
    assert (await call(build(VLLMBackend))).retry_after == 20


@pytest.mark.parametrize("body", [b"<html>Bad Gateway</html>", b"", b"\xff\xfe", b"[]", b"{"])
async def test_a_body_of_any_kind_is_tolerated(call: Call, provider: Any, build: Any, body: bytes) -> None:
    provider.replies(body, 502, content_type="text/html")
    error = await call(build(VLLMBackend))
    assert (error.status, error.body) == (502, body.decode("utf-8", "replace"))


async def test_an_empty_body_leaves_the_status_line_to_speak(call: Call, provider: Any, build: Any) -> None:
    provider.replies(b"", 503)
    assert str(await call(build(VLLMBackend))) == "HTTP 503: Status"


async def test_an_endless_error_body_is_bounded_in_size(call: Call, provider: Any, build: Any) -> None:
    async def answer(line: Any) -> None:
        await line.head(500)
        while True:
            await line.chunk(b"x" * 8192)

    provider.answer = answer
    async with asyncio.timeout(3):
        error = await call(build(VLLMBackend))
    assert len(error.body) == 65536
    assert len(str(error)) <= 2000


async def test_a_silent_error_body_is_bounded_in_time(
    call: Call, provider: Any, build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "ERROR_SECONDS", 0.05)

    async def answer(line: Any) -> None:
        await line.head(500)
        await line.chunk(b"no luck")
        await line.until_gone()

    provider.answer = answer
    async with asyncio.timeout(5):
        error = await call(build(VLLMBackend))
    assert (error.status, error.body) == (500, "no luck")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(call: Call, provider: Any, build: Any, status: int) -> None:
    provider.replies(b"", status, location=f"{provider.url}/elsewhere")
    error = await call(build(VLLMBackend))
    assert error.status == status
    assert "/elsewhere" in str(error)
    assert len(provider.asked) == 1


async def test_nothing_is_retried(call: Call, provider: Any, build: Any) -> None:
    for status in (408, 409, 429, 500, 503):
        provider.replies({"error": {"message": "again?"}}, status, retry_after="0")
        await call(build(VLLMBackend))
    assert len(provider.asked) == 5
