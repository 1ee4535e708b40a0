"""The same scripts without a socket: what an httpx client sees through respx."""

from __future__ import annotations

import asyncio

import httpx
import pytest
import respx

from onpaper.gateway.respx_face import NeedsSocket, RespxFace
from onpaper.script import Script, Write

STREAM = Script(
    headers=(("content-type", "text/event-stream"),), writes=(Write(b"one"), Write(b"two"), Write(b"three"))
)
URL = "http://gateway.test"


@pytest.fixture
def face():
    with respx.mock() as router:
        yield lambda script: RespxFace(router, URL, lambda request: script)


async def read(client: httpx.AsyncClient) -> list[bytes]:
    async with client.stream("POST", "/v1/chat/completions", json={"a": 1}) as response:
        return [chunk async for chunk in response.aiter_raw()]


@pytest.fixture
async def client():
    async with httpx.AsyncClient(base_url=URL) as opened:
        yield opened


async def test_every_write_is_one_chunk(face, client):
    gateway = face(STREAM)
    assert await read(client) == [b"one", b"two", b"three"]
    entry = gateway.journal[0]
    assert [chunk.data for chunk in entry.reply.chunks] == [b"one", b"two", b"three"]
    assert entry.reply.end == "clean"
    assert entry.request.json() == {"a": 1}


def test_a_sync_client_gets_the_same(face):
    gateway = face(STREAM)
    with httpx.Client(base_url=URL) as client, client.stream("GET", "/x?y=1") as response:
        assert list(response.iter_raw()) == [b"one", b"two", b"three"]
        assert response.headers["transfer-encoding"] == "chunked"
    assert gateway.journal[0].request.target == "/x?y=1"


async def test_status_and_headers_arrive(face, client):
    face(Script(429, (("retry-after", "3"),), (Write(b"{}"),), transfer="length"))
    response = await client.get("/")
    assert (response.status_code, response.headers["retry-after"], response.content) == (429, "3", b"{}")


async def test_joined_writes_are_one_chunk(face, client):
    face(Script(writes=STREAM.writes, joined=True))
    assert await read(client) == [b"onetwothree"]


@pytest.mark.parametrize(
    ("end", "error"),
    [("reset", httpx.ReadError), ("cut", httpx.RemoteProtocolError), ("hang", httpx.ReadTimeout)],
)
async def test_an_ending_is_the_exception_of_a_real_connection(face, client, end, error):
    gateway = face(Script(writes=(Write(b"par", fault="half"),), end=end, end_fault=end))
    got = []
    async with client.stream("GET", "/") as response:
        with pytest.raises(error):
            async for chunk in response.aiter_raw():
                got.append(chunk)
    assert got == [b"par"]
    assert gateway.journal[0].fired == ["half", end]
    assert gateway.journal[0].reply.end == end


@pytest.mark.parametrize("end", ["reset", "cut", "hang"])
async def test_no_response_at_all_is_an_exception_before_the_response(face, client, end):
    gateway = face(Script(head=b"", head_fault="mute", end=end))
    with pytest.raises(httpx.TransportError):
        await client.get("/")
    assert gateway.journal[0].fired == ["mute"]
    assert gateway.journal[0].reply is None


async def test_a_cut_body_that_ends_with_the_connection_cannot_be_told_from_a_whole_one(face, client):
    gateway = face(Script(writes=(Write(b"par"),), transfer="close", end="cut", end_fault="cut"))
    assert await read(client) == [b"par"]
    assert gateway.journal[0].fired == ["cut"]


async def test_a_body_shorter_than_announced_is_a_protocol_error(face, client):
    face(Script(writes=(Write(b"par"),), transfer="length", length=9, end="cut"))
    with pytest.raises(httpx.RemoteProtocolError):
        await read(client)


async def test_a_pause_beyond_the_read_timeout_is_a_timeout_at_once(face):
    face(Script(writes=(Write(b"a"), Write(b"b", after=3600))))
    async with httpx.AsyncClient(base_url=URL, timeout=5) as client:
        with pytest.raises(httpx.ReadTimeout):
            await read(client)


async def test_pauses_are_played(face, client):
    gateway = face(Script(writes=(Write(b"a"), Write(b"b", after=0.01))))
    await read(client)
    first, second = gateway.journal[0].reply.chunks
    assert second.at - first.at >= 0.009


async def test_a_client_that_leaves_ends_the_exchange_as_open(face, client):
    gateway = face(STREAM)
    async with client.stream("GET", "/") as response:
        stream = response.aiter_raw()
        assert await anext(stream) == b"one"
        await stream.aclose()
    await asyncio.sleep(0)
    entry = gateway.journal[0]
    assert (entry.reply.end, entry.reply.body, entry.running) == ("open", b"one", False)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (Script(preface=(Write(b"x", fault="interim-103"),)), r"bytes before the head \(interim-103\)"),
        (Script(head=b"HTTP/9\r\n\r\n", head_fault="bad-status-line"), r"given bytes \(bad-status-line\)"),
        (Script(writes=(Write(b"zz", raw=True),)), "raw bytes in the transfer coding"),
        (
            Script(writes=(Write(b"z"),), transfer="length", length=0),
            "a Content-Length that is not the body's",
        ),
        (Script(end="half-close"), "a half-closed connection"),
    ],
)
async def test_what_needs_a_socket_is_refused_by_name(face, client, script, reason):
    gateway = face(script)
    with pytest.raises(NeedsSocket, match=reason):
        await client.get("/")
    assert gateway.journal[0].problem


async def test_other_addresses_are_not_answered(face, client):
    face(STREAM)
    with pytest.raises(respx.models.AllMockedAssertionError):
        await client.get("http://elsewhere.test/")
    await client.get("/")
