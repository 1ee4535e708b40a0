"""The tap's proxy: bytes pass as they come, in both directions, and each exchange is told once."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onpaper.cassettes import passing
from onpaper.cassettes.heads import Body, Head, HeadError
from onpaper.cassettes.proxy import Proxy
from onpaper.exchange import Exchange
from onpaper.gateway.server import CannotListen
from onpaper.gateway.tls import server_context, throwaway_certificate

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
POST = b"POST /v1/chat/completions HTTP/1.1\r\nhOsT: tap\r\nX-oDD:1\r\nContent-Length: 4\r\n\r\nbody"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
SECONDS = 10


@dataclass
class Tapped:
    """A proxy in front of a server, and what it told."""

    proxy: Proxy
    exchanges: asyncio.Queue[Exchange]
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.proxy.port)
        self.writers.append(writer)
        return reader, writer

    async def told(self) -> Exchange:
        return await asyncio.wait_for(self.exchanges.get(), SECONDS)


@asynccontextmanager
async def tapping(
    handler: Handler, tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None, identity: bool = False
) -> AsyncIterator[Tapped]:
    """A proxy in front of a raw server; `tls` is the server's context and the proxy's."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls and tls[0])
    port = server.sockets[0].getsockname()[1]
    queue: asyncio.Queue[Exchange] = asyncio.Queue()
    scheme = "https" if tls else "http"
    upstream = urlsplit(f"{scheme}://127.0.0.1:{port}/v1")
    proxy = Proxy(upstream, queue.put_nowait, identity=identity, tls=tls and tls[1])
    await proxy.start()
    tapped = Tapped(proxy, queue)
    try:
        async with asyncio.timeout(SECONDS):
            yield tapped
    finally:
        await proxy.stop()
        for writer in tapped.writers:
            writer.close()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def a_request(reader: asyncio.StreamReader) -> bytes:
    """The bytes of one request with a Content-Length, or none."""
    head = await reader.readuntil(b"\r\n\r\n")
    found = Head.read(head)
    assert found
    return head + await reader.readexactly(int(found.request.header("content-length") or 0))


async def test_bytes_pass_unchanged_but_for_the_host() -> None:
    seen: list[bytes] = []
    said = b"HTTP/1.1 200 Fine\r\nX-ODD:a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await a_request(reader))
        writer.write(said)
        await reader.read()

    async with tapping(answer) as tapped:
        reader, writer = await tapped.connect()
        writer.write(POST)
        assert await reader.readexactly(len(said)) == said
        exchange = await tapped.told()
    host = tapped.proxy.upstream.netloc.encode()
    assert seen == [POST.replace(b"hOsT: tap", b"hOsT: " + host)]
    assert exchange.request.body == b"body" and exchange.request.header("host") == "tap"
    assert exchange.reply and (exchange.reply.status, exchange.reply.reason) == (200, "Fine")
    assert [chunk.data for chunk in exchange.reply.chunks] == [b"abc"] and exchange.reply.end == "clean"


async def test_each_piece_of_a_reply_passes_before_the_next_is_written() -> None:
    received = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await a_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(5):
            received.clear()
            writer.write(b"4\r\nda%d\n\r\n" % number)
            await received.wait()  # for ever, if the proxy waited for more
        writer.write(b"0\r\n\r\n")
        await reader.read()

    async with tapping(answer) as tapped:
        reader, writer = await tapped.connect()
        writer.write(POST)
        await reader.readuntil(b"\r\n\r\n")
        for number in range(5):
            assert await reader.readexactly(9) == b"4\r\nda%d\n\r\n" % number
            received.set()
        exchange = await tapped.told()
    assert exchange.reply and [chunk.data for chunk in exchange.reply.chunks] == [
        b"da%d\n" % n for n in range(5)
    ]
    times = [chunk.at for chunk in exchange.reply.chunks]
    assert times == sorted(times)


async def test_each_piece_of_a_request_passes_before_the_next_is_written() -> None:
    got = asyncio.Event()
    seen = b""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(3):
            seen += await reader.readexactly(4)
            got.set()
        writer.write(OK)
        await reader.read()

    async with tapping(answer) as tapped:
        reader, writer = await tapped.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n")
        for piece in (b"one ", b"two ", b"end."):
            writer.write(piece)
            await got.wait()
            got.clear()
        assert await reader.readexactly(len(OK)) == OK
        exchange = await tapped.told()
    assert seen == exchange.request.body == b"one two end."


async def test_many_requests_share_a_connection_also_when_pipelined() -> None:
    connections: list[list[bytes]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests: list[bytes] = []
        connections.append(requests)
        while True:
            requests.append(await a_request(reader))
            writer.write(OK)

    get = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"
    async with tapping(answer) as tapped:
        reader, writer = await tapped.connect()
        writer.write(get + POST + get)
        for _ in range(3):
            assert await reader.readexactly(len(OK)) == OK
        told = [await tapped.told() for _ in range(3)]
    assert [one.request.method for one in told] == ["GET", "POST", "GET"]
    assert [len(requests) for requests in connections] == [3]


async def test_a_chunked_request_is_read_without_its_frames() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"0\r\n\r\n")
        writer.write(OK)
        await a_request(reader)
        writer.write(OK)

    body = b"2\r\nhi\r\n6;ext=1\r\n there\r\n0\r\n\r\n"
    async with tapping(answer) as tapped:
        reader, writer = await tapped.connect()
        writer.write(b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body + POST)
        await reader.readexactly(2 * len(OK))
        first, second = await tapped.told(), await tapped.told()
    assert first.request.body == b"hi there" and second.request.body == b"body"


async def test_a_reply_to_head_has_no_body_and_an_interim_one_is_passed() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await a_request(reader)
        writer.write(head)
        await a_request(reader)
        writer.write(interim + OK)
        await reader.read()

    async with tapping(answer) as tapped:
        reader, writer = await tapped.connect()
        writer.write(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await reader.readexactly(len(head)) == head
        first = await tapped.told()
        writer.write(POST)
        assert await reader.readexactly(len(interim + OK)) == interim + OK
        second = await tapped.told()
    assert first.reply and (first.reply.body, first.reply.end) == (b"", "clean")
    assert second.reply and (second.reply.status, second.reply.body) == (200, b"{}")


@pytest.mark.parametrize(
    ("head", "end"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nda", "cut"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nda", "cut"),
        (b"HTTP/1.1 200 OK\r\n\r\nda", "clean"),
    ],
)
async def test_a_cut_reply_is_cut_for_the_client_too(head: bytes, end: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await a_request(reader)
        writer.write(head)

    async with tapping(answer) as tapped:
        reader, writer = await tapped.connect()
        writer.write(POST)
        assert await reader.read() == head
        exchange = await tapped.told()
    assert exchange.reply and (exchange.reply.end, exchange.reply.body) == (end, b"da")


async def test_a_reset_resets_the_client_too() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await a_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nda\r\n")
        await writer.drain()
        await passed.wait()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    passed = asyncio.Event()
    async with tapping(answer) as tapped:
        reader, writer = await tapped.connect()
        writer.write(POST)
        await reader.readuntil(b"da\r\n")
        passed.set()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        exchange = await tapped.told()
    assert exchange.reply and (exchange.reply.end, exchange.reply.body) == ("reset", b"da")


async def test_a_client_that_goes_away_is_told_to_the_server_and_the_exchange_is_open() -> None:
    gone = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await a_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nda\r\n")
        try:
            await reader.read()
        finally:
            gone.set()

    async with tapping(answer) as tapped:
        reader, writer = await tapped.connect()
        writer.write(POST)
        await reader.readuntil(b"da\r\n")
        writer.close()
        await gone.wait()
        exchange = await tapped.told()
    assert exchange.reply and (exchange.reply.end, exchange.reply.body) == ("open", b"da")


async def test_a_server_that_is_not_there_is_answered_for_with_its_name() -> None:
    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise AssertionError("nobody was to be asked")

    async with tapping(never) as tapped:
        tapped.proxy.upstream = urlsplit("http://127.0.0.1:1/v1")
        reader, writer = await tapped.connect()
        writer.write(POST)
        said = await reader.read()
        exchange = await tapped.told()
    assert said.startswith(b"HTTP/1.1 502 ") and b"127.0.0.1:1 cannot be connected to: " in said
    assert exchange.reply is None and exchange.problem.startswith("127.0.0.1:1 cannot be connected to: ")


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01 nothing of HTTP\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\nno field\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"A" * 300_000,
    ],
)
async def test_what_is_no_request_is_refused(request_: bytes) -> None:
    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with tapping(never) as tapped:
        reader, writer = await tapped.connect()
        writer.write(request_)
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")


async def test_a_reply_that_is_not_http_passes_and_is_named() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await a_request(reader)
        writer.write(b"nothing of HTTP\r\n\r\n")

    async with tapping(answer) as tapped:
        reader, writer = await tapped.connect()
        writer.write(POST)
        assert await reader.read() == b"nothing of HTTP\r\n\r\n"
        exchange = await tapped.told()
    assert exchange.reply is None and exchange.problem.startswith("the server's reply is not HTTP")


async def test_an_upgrade_that_the_server_ignores_costs_no_body() -> None:
    said = OK.replace(b"\r\n\r\n", b"\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await a_request(reader):
            writer.write(said)

    async with tapping(answer) as tapped:
        reader, writer = await tapped.connect()
        for _ in range(2):
            writer.write(POST.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"))
            assert await reader.readexactly(len(said)) == said
            exchange = await tapped.told()
            assert (exchange.request.body, exchange.problem) == (b"body", "")
            assert exchange.reply and (exchange.reply.body, exchange.reply.end) == (b"{}", "clean")


async def test_an_upgraded_connection_is_a_tunnel() -> None:
    switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await a_request(reader)
        writer.write(switch)
        writer.write((await reader.readexactly(4))[::-1])
        await reader.read()

    async with tapping(answer) as tapped:
        reader, writer = await tapped.connect()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
        assert await reader.readexactly(len(switch)) == switch
        writer.write(b"\x00\r\n1")
        assert await reader.readexactly(4) == b"1\n\r\x00"


async def test_a_large_reply_to_a_slow_client_is_not_kept_in_memory() -> None:
    size = 24 * 2**20
    drained = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await a_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 65536):
            writer.write(b"x" * 65536)
            await writer.drain()
        drained.set()
        await reader.read()

    async with tapping(answer) as tapped:
        reader, writer = await tapped.connect()
        writer.write(POST)
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(50):
            await asyncio.sleep(0)
        (client,) = tapped.proxy.clients
        assert not drained.is_set() and client.transport.get_write_buffer_size() < 2**20
        while size:
            size -= len(await reader.read(2**20))
        exchange = await tapped.told()
    assert exchange.reply and len(exchange.reply.body) == 24 * 2**20


async def test_the_server_is_asked_not_to_compress_only_when_that_is_wanted() -> None:
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await a_request(reader))
        writer.write(OK)

    for identity in (False, True):
        async with tapping(answer, identity=identity) as tapped:
            reader, writer = await tapped.connect()
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
            await reader.readexactly(len(OK))
    assert b"Accept-Encoding: gzip" in seen[0] and b"Accept-Encoding: identity" in seen[1]


async def test_an_https_server_is_reached_and_its_certificate_is_checked(tmp_path: Path) -> None:
    certificate, key = throwaway_certificate("127.0.0.1", tmp_path)
    trusting = ssl.create_default_context(cafile=certificate)
    served = server_context(certificate, key)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await a_request(reader)
        writer.write(OK)
        await reader.read()

    async with tapping(answer, (served, trusting)) as tapped:
        reader, writer = await tapped.connect()
        writer.write(POST)
        assert await reader.readexactly(len(OK)) == OK
        assert (await tapped.told()).reply
    async with tapping(answer, (served, ssl.create_default_context())) as tapped:
        reader, writer = await tapped.connect()
        writer.write(POST)
        assert (await reader.read()).startswith(b"HTTP/1.1 502 ")
        assert "certificate" in (await tapped.told()).problem


def test_only_this_machine_can_connect_and_a_taken_port_is_explained() -> None:
    taken = Proxy(urlsplit("http://127.0.0.1:1/v1"), lambda exchange: None)
    assert taken._listening.getsockname()[0] == "127.0.0.1"
    with pytest.raises(CannotListen, match=f"port {taken.port} on 127.0.0.1 is in use"):
        Proxy(urlsplit("http://127.0.0.1:1/v1"), lambda exchange: None, port=taken.port)
    taken._listening.close()


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5), st.binary(max_size=20), st.data())
def test_a_chunked_body_ends_where_it_ends_however_it_is_cut(
    pieces: list[bytes], after: bytes, data: st.DataObject
) -> None:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nTrailer: x\r\n\r\n"
    left, body, taken = framed + after, Body(None), b""
    finished = False
    position = 0
    while not finished:
        step = data.draw(st.integers(1, len(left)))
        size, finished = body.feed(left[:step])
        taken += body.taken()
        position += size
        left = left[size:]
    assert position == len(framed) and taken == b"".join(pieces) and left == after


@pytest.mark.parametrize("frame", [b"x\r\n", b"-1\r\n", b"\r\n", b"1" * 300_000])
def test_a_chunk_without_a_size_is_refused(frame: bytes) -> None:
    with pytest.raises(HeadError):
        Body(None).feed(frame)


async def test_a_host_that_cannot_be_spelled_is_a_502() -> None:
    queue: asyncio.Queue[Exchange] = asyncio.Queue()
    proxy = Proxy(urlsplit("http://a..b/v1"), queue.put_nowait)
    await proxy.start()
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(POST)
            assert (await reader.readline()).startswith(b"HTTP/1.1 502 ")
            writer.close()
    finally:
        await proxy.stop()


async def test_an_exchange_that_is_too_large_passes_and_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passing, "LARGEST", 5)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await a_request(reader)
        writer.write(OK)
        await reader.read()

    async with tapping(answer) as tapped:
        reader, writer = await tapped.connect()
        writer.write(POST)
        assert await reader.readexactly(len(OK)) == OK
        exchange = await tapped.told()
    assert (exchange.reply, exchange.problem) == (None, "more than 5 bytes: passed on, and not judged")
