"""Connections: used again, let go, and never in another call's way."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import httpx
import pytest

from onpaper.backends import (
    Backend,
    BackendError,
    ConnectionFailed,
    IncompleteReply,
    OllamaBackend,
    VLLMBackend,
    transport,
)

HELLO = [{"role": "user", "content": "hi"}]
WHOLE = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}], "data": [{"id": "m"}]}


async def said(backend: Backend, **settings: Any) -> str:
    return "".join([piece async for piece in backend.stream(HELLO, **settings)])


@pytest.fixture
def endless(provider: Any, delta: Any) -> None:
    """The provider gives one token and then keeps the stream open."""

    async def answer(line: Any) -> None:
        await line.head()
        await line.chunk(provider.event(delta("a")))
        await line.until_gone()

    provider.answer = answer


async def test_twenty_streams_use_one_connection(provider: Any, build: Any, delta: Any) -> None:
    backend = build(VLLMBackend)
    provider.streams(delta("a", finish="stop"), "[DONE]")
    assert [await said(backend) for _ in range(20)] == ["a"] * 20
    assert provider.connections == 1


async def test_an_end_that_comes_late_does_not_cost_the_connection(
    provider: Any, build: Any, delta: Any
) -> None:
    drained = asyncio.Event()

    async def answer(line: Any) -> None:
        await line.head()
        await line.chunk(provider.event(delta("a", finish="stop")) + b"data: [DONE]\n\n")
        for _ in range(5):
            await line.chunk(b": still here\n\n")
            await asyncio.sleep(0)
        await line.end()
        drained.set()

    provider.answer = answer
    backend = build(VLLMBackend)
    for _ in range(3):
        await said(backend)
    assert (provider.connections, drained.is_set()) == (1, True)


async def test_every_kind_of_call_leaves_the_connection_to_the_next(provider: Any, build: Any) -> None:
    backend = build(VLLMBackend)
    for reply, status in ((WHOLE, 200), ({"error": {"message": "no"}}, 400), (b"<html>", 200)):
        provider.replies(reply, status)
        for call in (backend.complete(HELLO), said(backend), backend.prefill(HELLO), backend.list_models()):
            try:
                await call
            except BackendError:
                continue
    assert (len(provider.asked), provider.connections) == (12, 1)


async def test_lines_of_json_leave_the_connection_to_the_next(provider: Any, build: Any) -> None:
    backend = build(OllamaBackend)
    provider.sends(b'{"message":{"content":"a"}}\n', b'{"done":true,"done_reason":"stop"}\n')
    assert [await said(backend) for _ in range(3)] == ["a"] * 3
    assert provider.connections == 1


async def test_a_server_that_stays_open_after_the_sentinel_does_not_block(
    provider: Any, build: Any, delta: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "DRAIN_SECONDS", 0.05)

    async def answer(line: Any) -> None:
        await line.head()
        await line.chunk(provider.event(delta("a", finish="stop")) + b"data: [DONE]\n\n")
        await line.until_gone()

    provider.answer = answer
    async with asyncio.timeout(2):
        assert await said(build(VLLMBackend)) == "a"
    await provider.until(lambda: provider.open == 0)


@pytest.mark.usefixtures("endless")
async def test_a_stream_that_is_closed_lets_its_connection_go(provider: Any, build: Any) -> None:
    stream = build(VLLMBackend).stream(HELLO)
    await anext(stream)
    await stream.aclose()
    await provider.until(lambda: provider.open == 0)


@pytest.mark.usefixtures("endless")
async def test_a_stream_that_is_cancelled_lets_its_connection_go(provider: Any, build: Any) -> None:
    task = asyncio.create_task(said(build(VLLMBackend)))
    await provider.until(lambda: len(provider.asked) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await provider.until(lambda: provider.open == 0)


@pytest.mark.usefixtures("endless")
async def test_streams_that_nobody_holds_any_more_let_their_connections_go(provider: Any, build: Any) -> None:
    backend = build(VLLMBackend)
    streams = [backend.stream(HELLO) for _ in range(25)]
    async with asyncio.timeout(5):
        for stream in streams:
            await anext(stream)
    assert provider.open == 25
    streams.clear()
    del stream
    gc.collect()
    await provider.until(lambda: provider.open == 0)


@pytest.mark.usefixtures("endless")
async def test_an_error_in_the_callers_loop_lets_the_connection_go(provider: Any, build: Any) -> None:
    backend = build(VLLMBackend)

    async def consume() -> None:
        async for _ in backend.stream(HELLO):
            raise LookupError

    with pytest.raises(LookupError) as caught:
        await consume()
    caught.value.__traceback__ = None
    del caught
    gc.collect()
    await provider.until(lambda: provider.open == 0)


async def test_a_call_without_an_answer_that_is_cancelled_lets_its_connection_go(
    provider: Any, build: Any
) -> None:
    async def answer(line: Any) -> None:
        await line.until_gone()

    provider.answer = answer
    backend = build(VLLMBackend)
    for call in (backend.complete(HELLO), backend.prefill(HELLO), backend.list_models(), said(backend)):
        asked = len(provider.asked) + 1
        task = asyncio.create_task(call)
        await provider.until(lambda asked=asked: len(provider.asked) == asked)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await provider.until(lambda: provider.open == 0)


@pytest.mark.usefixtures("endless")
async def test_streams_that_are_still_held_do_not_make_the_next_call_wait(provider: Any, build: Any) -> None:
    backend = build(VLLMBackend)
    held = [backend.stream(HELLO) for _ in range(30)]
    async with asyncio.timeout(5):
        assert [await anext(stream) for stream in held] == ["a"] * 30
    for stream in held:
        await stream.aclose()


async def test_many_streams_at_once_do_not_mix(provider: Any, build: Any, delta: Any) -> None:
    async def answer(line: Any) -> None:
        text = line.asked.json["messages"][0]["content"]
        await line.head()
        for piece in text:
            await line.chunk(provider.event(delta(piece)))
            await asyncio.sleep(0)
        counts = {"usage": {"prompt_tokens": int(text), "completion_tokens": len(text)}}
        await line.chunk(provider.event({**delta("", finish="stop"), **counts}))
        await line.end()

    provider.answer = answer
    backend = build(VLLMBackend)

    async def one(number: int) -> tuple[str, int]:
        stats: dict[str, Any] = {}
        messages = [{"role": "user", "content": str(number)}]
        text = "".join([piece async for piece in backend.stream(messages, stats=stats)])
        return text, stats["prompt_tokens"]

    numbers = range(1000, 1040)
    assert await asyncio.gather(*map(one, numbers)) == [(str(number), number) for number in numbers]


async def test_a_connection_that_the_server_closed_while_idle_is_replaced(
    provider: Any, build: Any, delta: Any
) -> None:
    async def answer(line: Any) -> None:
        body = b'{"choices":[{"message":{"content":"hi"}}]}'
        await line.head(framing=f"content-length: {len(body)}")
        await line.send(body)
        raise ConnectionAbortedError

    provider.answer = answer
    backend = build(VLLMBackend)
    for _ in range(3):
        assert (await backend.complete(HELLO))["content"] == "hi"
        await provider.until(lambda: provider.open == 0)
    assert provider.connections == 3


async def test_closing_closes_the_sockets_twice_is_fine_and_a_later_call_works(
    provider: Any, build: Any
) -> None:
    backend = build(VLLMBackend)
    await backend.aclose()
    provider.replies(WHOLE)
    await backend.complete(HELLO)
    assert provider.open == 1
    await backend.aclose()
    await backend.aclose()
    await provider.until(lambda: provider.open == 0)
    assert (await backend.complete(HELLO))["content"] == "hi"


async def test_a_backend_that_nobody_holds_any_more_closes_its_sockets(provider: Any) -> None:
    provider.replies(WHOLE)
    backend = VLLMBackend(base_url=provider.url)
    await backend.complete(HELLO)
    del backend
    await provider.until(lambda: provider.open == 0)


def served_twice(backend_of: Any) -> list[str]:
    """Two runs of `asyncio.run` with one backend, each against a provider of its own on the same port."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
            body = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
            await reader.read()
        finally:
            writer.transport.abort()

    async def once(port: int) -> tuple[str, int]:
        server = await asyncio.start_server(accept, "127.0.0.1", port)
        port = server.sockets[0].getsockname()[1]
        text = await said(backend_of(port))
        server.close()
        return text, port

    first, port = asyncio.run(once(0))
    second, _ = asyncio.run(once(port))
    return [first, second]


async def test_a_second_event_loop_works_and_leaves_no_socket_behind() -> None:
    made: list[Backend] = []
    said_there: list[str] = []

    def backend_of(port: int) -> Backend:
        made[:] = made or [VLLMBackend(base_url=f"http://127.0.0.1:{port}")]
        return made[0]

    thread = threading.Thread(target=lambda: said_there.extend(served_twice(backend_of)))
    thread.start()
    await asyncio.to_thread(thread.join)
    made.clear()
    gc.collect()
    assert said_there == ["a", "a"]


async def test_a_provider_that_is_not_there_is_a_failed_connection(provider: Any) -> None:
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    backend = VLLMBackend(base_url=f"http://127.0.0.1:{port}")
    for call in (backend.complete(HELLO), said(backend)):
        with pytest.raises(ConnectionFailed, match=f"127.0.0.1:{port}") as caught:
            await call
        assert caught.value.status is None
    await backend.aclose()


async def test_a_server_that_hangs_up_without_an_answer_is_an_error(provider: Any, build: Any) -> None:
    with pytest.raises(IncompleteReply, match="broke before"):
        await build(VLLMBackend).complete(HELLO)
    assert len(provider.asked) == 1


async def test_all_backends_share_one_tls_context(
    provider: Any, build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    contexts = []
    make = httpx.AsyncHTTPTransport.__init__

    def remember(self: Any, **settings: Any) -> None:
        contexts.append(settings["verify"])
        make(self, **settings)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "__init__", remember)
    provider.replies(WHOLE)
    for kind in (VLLMBackend, VLLMBackend):
        await build(kind).complete(HELLO)
    assert len(contexts) == 2
    assert contexts[0] is contexts[1]


async def test_a_cookie_is_not_kept(provider: Any, build: Any) -> None:
    provider.replies(WHOLE, set_cookie="session=1; Path=/")
    backend = build(VLLMBackend)
    await backend.complete(HELLO)
    await backend.complete(HELLO)
    assert [asked.headers.get("cookie") for asked in provider.asked] == [None, None]
