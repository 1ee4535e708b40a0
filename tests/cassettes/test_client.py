"""The recording client sees real chunks, real times and how the connection really ended."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import SplitResult, urlsplit

import pytest

from onpaper.cassettes import CassetteError
from onpaper.cassettes.client import Limits, fetch
from onpaper.exchange import Exchange, Request

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
CHUNKED = b"HTTP/1.1 200 Fine\r\nX-Case: Kept\r\nTransfer-Encoding: chunked\r\n\r\n"


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[SplitResult]:
    """A server on the loopback that reads a request's head and leaves the rest to the handler."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await handler(reader, writer)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield urlsplit(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    finally:
        server.close()


def saying(*parts: bytes) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()

    return handler


async def get(handler: Handler, limits: Limits | None = None) -> Exchange:
    async with serving(handler) as url:
        return await fetch(url, Request("GET", "/v1", (("Host", "x"),)), limits or Limits())


async def test_each_chunk_frame_is_a_chunk_also_when_several_arrive_at_once() -> None:
    exchange = await get(saying(CHUNKED + b"3\r\none\r\n5\r\nthree\r\n0\r\n\r\n"))
    assert exchange.reply
    assert [chunk.data for chunk in exchange.reply.chunks] == [b"one", b"three"]
    assert (exchange.reply.status, exchange.reply.reason, exchange.reply.end) == (200, "Fine", "clean")
    assert exchange.reply.headers == (("X-Case", "Kept"), ("Transfer-Encoding", "chunked"))


async def test_times_are_counted_from_the_request() -> None:
    seen = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"3\r\none\r\n")
        await writer.drain()
        asyncio.get_running_loop().call_later(0.05, seen.set)
        await seen.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")

    exchange = await get(handler)
    assert exchange.reply
    first, second = exchange.reply.chunks
    assert 0 <= first.at < second.at and second.at - first.at >= 0.045
    assert exchange.ended and exchange.ended - exchange.started >= second.at


@pytest.mark.parametrize(
    ("said", "end"),
    [
        (CHUNKED + b"3\r\none\r\n", "cut"),
        (CHUNKED + b"9\r\none", "cut"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none", "cut"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none", "clean"),
        (b"HTTP/1.0 200 OK\r\n\r\none", "clean"),
        (
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
            "clean",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nonestray bytes", "clean"),
    ],
)
async def test_the_end_is_told_by_the_framing(said: bytes, end: str) -> None:
    exchange = await get(saying(said))
    assert exchange.reply
    assert (exchange.reply.end, exchange.reply.body, exchange.reply.status) == (end, b"one", 200)
    assert exchange.reply.header("link") is None


async def test_a_reset_is_not_a_cut() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"3\r\none\r\n")
        await writer.drain()
        await reader.readexactly(3)  # the client has written all it will; only its reading is left
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with serving(handler) as url:
        exchange = await fetch(url, Request("POST", "/", (("Content-Length", "3"),), b"abc"), Limits())
    assert exchange.reply and exchange.reply.end == "reset"


async def test_silence_in_a_reply_is_a_timeout_and_what_came_is_kept() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"3\r\none\r\n")
        await reader.read()

    exchange = await get(handler, Limits(silence=0.05))
    assert exchange.reply and (exchange.reply.end, exchange.reply.body) == ("timeout", b"one")


async def test_a_reply_that_never_stops_is_a_timeout_in_the_end() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        end = asyncio.ensure_future(reader.read())
        while not end.done():
            writer.write(b"1\r\nx\r\n")
            await asyncio.wait([end], timeout=0.005)

    exchange = await get(handler, Limits(silence=5, total=0.1))
    assert exchange.reply and exchange.reply.end == "timeout" and exchange.reply.body.startswith(b"xx")


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (b"", r"closes the connection without a reply to GET /v1"),
        (b"HTTP/1.1 200 OK\r\nContent-", r"closes the connection without a reply"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", r"closes the connection without a reply"),
        (b"SSH-2.0-OpenSSH\r\n", r"the server's reply is not HTTP .*SSH-2"),
        (CHUNKED + b"zz\r\none\r\n", r"the server's reply is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + b"x" * 50, r"body is longer than 40 bytes"),
    ],
)
async def test_what_is_no_exchange_is_said_in_one_sentence(said: bytes, sentence: str) -> None:
    with pytest.raises(CassetteError, match=sentence) as caught:
        await get(saying(said), Limits(body=40))
    assert "\n" not in str(caught.value)


async def test_a_server_that_says_nothing_is_named() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    with pytest.raises(CassetteError, match=r"127\.0\.0\.1:\d+ is silent without a reply"):
        await get(handler, Limits(silence=0.05))


async def test_a_port_where_nobody_listens_is_named() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = urlsplit(f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(CassetteError, match=r"cannot be connected to: .*; is the server running\?"):
            await fetch(url, Request("GET", "/"), Limits())


async def test_a_host_that_cannot_be_spelled_is_named() -> None:
    with pytest.raises(CassetteError, match=r"a\.\.b:80 cannot be connected to: "):
        await fetch(urlsplit("http://a..b"), Request("GET", "/"), Limits())
