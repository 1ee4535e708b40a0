"""Time limits: each its own, each named when it runs out."""

from __future__ import annotations

import asyncio
import math
import socket
from typing import Any

import pytest

from onpaper.backends import Backend, BackendError, BackendTimeout, VLLMBackend

HELLO = [{"role": "user", "content": "hi"}]
SHORT = 0.05


async def said(backend: Backend) -> list[str]:
    return [piece async for piece in backend.stream(HELLO)]


async def silent(line: Any) -> None:
    await line.until_gone()


async def timed_out(call: Any, limit: str) -> BackendTimeout:
    with pytest.raises(BackendTimeout, match=f"'{limit}'") as caught:
        async with asyncio.timeout(3):
            await call
    return caught.value


async def test_a_server_that_says_nothing_runs_into_first_byte(provider: Any, build: Any) -> None:
    provider.answer = silent
    backend = build(VLLMBackend, timeouts={"first_byte": SHORT})
    for call in (said(backend), backend.complete(HELLO)):
        assert (await timed_out(call, "first_byte")).status is None
    await provider.until(lambda: provider.open == 0)


async def test_a_stream_that_stalls_runs_into_between_chunks_and_keeps_the_text(
    provider: Any, build: Any, delta: Any
) -> None:
    async def answer(line: Any) -> None:
        await line.head()
        await line.chunk(provider.event(delta("a")))
        await silent(line)

    provider.answer = answer
    error = await timed_out(said(build(VLLMBackend, timeouts={"between_chunks": SHORT})), "between_chunks")
    assert (error.partial, error.status) == ("a", 200)
    await provider.until(lambda: provider.open == 0)


@pytest.mark.parametrize("alive", [b": keep-alive\n\n", b"\n", b"event: ping\n"])
async def test_what_keeps_a_connection_alive_is_no_chunk(
    provider: Any, build: Any, delta: Any, alive: bytes
) -> None:
    async def answer(line: Any) -> None:
        await line.head()
        await line.chunk(provider.event(delta("a")))
        while True:
            await line.chunk(alive)
            await line.until_gone(SHORT / 10)

    provider.answer = answer
    await timed_out(said(build(VLLMBackend, timeouts={"between_chunks": SHORT})), "between_chunks")


async def test_a_whole_reply_that_stalls_runs_into_between_chunks(provider: Any, build: Any) -> None:
    async def answer(line: Any) -> None:
        await line.head()
        await line.chunk(b'{"choices":')
        while True:
            await line.chunk(b"\n")
            await line.until_gone(SHORT / 10)

    provider.answer = answer
    backend = build(VLLMBackend, timeouts={"between_chunks": SHORT})
    await timed_out(backend.complete(HELLO), "between_chunks")


async def test_a_stream_that_never_ends_runs_into_total(provider: Any, build: Any, delta: Any) -> None:
    async def answer(line: Any) -> None:
        await line.head()
        while True:
            await line.chunk(provider.event(delta("a")))
            await line.until_gone(SHORT / 10)

    provider.answer = answer
    await timed_out(said(build(VLLMBackend, timeouts={"total": SHORT})), "total")


async def test_a_server_that_takes_no_connection_runs_into_connect() -> None:
    listener = socket.socket()
    waiting = []
    try:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):  # fill the queue of connections that nobody accepts
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(listener.getsockname())
        backend = VLLMBackend(
            base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeouts={"connect": SHORT}
        )
        await timed_out(backend.complete(HELLO), "connect")
        await backend.aclose()
    finally:
        for each in (listener, *waiting):
            each.close()


async def test_the_callers_own_time_does_not_count(provider: Any, build: Any, delta: Any) -> None:
    ready = asyncio.Event()

    async def answer(line: Any) -> None:
        await line.head()
        await line.chunk(provider.event(delta("a")))
        await ready.wait()
        await line.chunk(provider.event(delta("b", finish="stop")))
        await line.end()

    provider.answer = answer
    stream = build(VLLMBackend, timeouts={"between_chunks": SHORT}).stream(HELLO)
    assert await anext(stream) == "a"
    asyncio.get_running_loop().call_later(SHORT * 2, ready.set)
    await ready.wait()
    assert [piece async for piece in stream] == ["b"]


async def test_the_body_of_an_error_is_waited_for_no_longer_than_a_chunk(provider: Any, build: Any) -> None:
    async def answer(line: Any) -> None:
        await line.head(503)
        await line.chunk(b"no luck")
        await silent(line)

    provider.answer = answer
    with pytest.raises(BackendError, match="no luck") as caught:
        async with asyncio.timeout(3):
            await build(VLLMBackend, timeouts={"between_chunks": SHORT}).complete(HELLO)
    assert caught.value.status == 503


async def test_the_list_of_models_has_a_limit_of_its_own(provider: Any, build: Any) -> None:
    provider.answer = silent
    backend = build(VLLMBackend, "own", timeouts={"models": SHORT})
    assert await backend.list_models() == ["own"]


def test_an_unknown_limit_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'read'; known: connect, first_byte, between_chunks, total, models"):
        VLLMBackend(timeouts={"read": 1})


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, True, "1"])
def test_a_limit_that_is_no_number_of_seconds_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="connect must be a number of seconds above 0"):
        VLLMBackend(timeouts={"connect": value})


async def test_none_is_no_limit(provider: Any, build: Any, delta: Any) -> None:
    provider.streams(delta("a", finish="stop"), "[DONE]")
    nothing = dict.fromkeys(("connect", "first_byte", "between_chunks", "total", "models"))
    assert await said(build(VLLMBackend, timeouts=nothing)) == ["a"]
