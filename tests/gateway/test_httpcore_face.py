"""The same answers without a socket, for whatever asks through httpcore."""

from __future__ import annotations

import urllib.request
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from onpaper.exchange import Request
from onpaper.gateway import ServerThread
from onpaper.gateway.httpcore_face import answering_in_place
from onpaper.script import Script, Write

STREAM = Script(headers=(("content-type", "text/event-stream"),), writes=(Write(b"one"), Write(b"two"), Write(b"three")))
TORN = Script(writes=(Write(b"one", cuts=(1,)), Write(b"two")))


@pytest.fixture
def server() -> Iterator[ServerThread]:
    thread = ServerThread(lambda request: STREAM).start()
    try:
        yield thread
    finally:
        thread.stop()


@pytest.fixture
async def client(server: ServerThread) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url) as opened:
        yield opened


async def read(client: httpx.AsyncClient) -> list[bytes]:
    async with client.stream("POST", "/v1/chat/completions", json={"a": 1}) as response:
        return [chunk async for chunk in response.aiter_raw()]


async def test_each_write_is_read_by_itself_and_no_connection_is_made(server, client):
    with answering_in_place(server.server):
        assert await read(client) == [b"one", b"two", b"three"]
    assert server.journal.connections == 0
    entry = server.journal[0]
    assert [chunk.data for chunk in entry.reply.chunks] == [b"one", b"two", b"three"]
    assert (entry.reply.end, entry.request.json(), entry.request.target) == ("clean", {"a": 1}, "/v1/chat/completions")


async def test_the_server_is_asked_what_it_would_be_asked_over_a_socket(server, client):
    with answering_in_place(server.server):
        await read(client)
    await read(client)
    without, over = (entry.request for entry in server.journal)
    assert without == over
    assert server.journal.connections == 1


def test_a_sync_client_gets_the_same(server):
    with answering_in_place(server.server), httpx.Client(base_url=server.url) as client:
        with client.stream("GET", "/x?y=1") as response:
            assert list(response.iter_raw()) == [b"one", b"two", b"three"]
            assert response.headers["transfer-encoding"] == "chunked"
    assert (server.journal[0].request.target, server.journal.connections) == ("/x?y=1", 0)


async def test_status_and_headers_arrive(server, client):
    server.answer = lambda request: Script(429, (("retry-after", "3"),), (Write(b"{}"),), transfer="length")
    with answering_in_place(server.server):
        response = await client.get("/")
    assert (response.status_code, response.headers["retry-after"], response.content) == (429, "3", b"{}")


async def test_a_reply_that_is_cut_off_ends_in_the_same_error(server, client):
    server.answer = lambda request: Script(writes=(Write(b"one"),), end="cut")
    with answering_in_place(server.server), pytest.raises(httpx.RemoteProtocolError) as without:
        await read(client)
    with pytest.raises(httpx.RemoteProtocolError) as over:
        await read(client)
    assert str(without.value) == "peer closed connection without sending complete message body"
    assert str(over.value).startswith(str(without.value))  # httpx goes on to say how much is missing


async def test_what_only_a_socket_can_play_goes_over_one_and_is_asked_for_once(server, client):
    asked: list[Request] = []

    def answer(request: Request) -> Script:
        asked.append(request)
        return TORN

    server.answer = answer
    with answering_in_place(server.server):
        assert b"".join(await read(client)) == b"onetwo"
    assert (len(asked), len(server.journal), server.journal.connections) == (1, 1, 1)


async def test_a_reply_that_never_ends_is_waited_for_on_a_connection(server):
    server.answer = lambda request: Script(writes=(Write(b"one"),), end="hang")
    with answering_in_place(server.server):
        async with httpx.AsyncClient(base_url=server.url, timeout=0.05) as impatient:
            with pytest.raises(httpx.ReadTimeout):
                await read(impatient)
    assert server.journal.connections == 1


async def test_other_servers_are_reached_as_usual(server):
    with ServerThread(lambda request: Script(writes=(Write(b"other"),))) as other, answering_in_place(server.server):
        async with httpx.AsyncClient() as client:
            assert (await client.get(other.url)).content == b"other"
        assert (other.journal.connections, len(server.journal)) == (1, 0)


def test_what_does_not_ask_through_httpcore_goes_over_a_socket(server):
    with answering_in_place(server.server), urllib.request.urlopen(server.url) as response:
        assert response.read() == b"onetwothree"
    assert server.journal.connections == 1


async def test_afterwards_a_client_has_to_connect_again(server, client):
    with answering_in_place(server.server):
        await read(client)
    assert b"".join(await read(client)) == b"onetwothree"
    assert server.journal.connections == 1


async def test_two_may_be_left_in_any_order(server, client):
    with ServerThread(lambda request: Script(writes=(Write(b"other"),))) as other:
        first, second = answering_in_place(server.server), answering_in_place(other.server)
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert (await client.get(other.url)).content == b"other"
        second.__exit__(None, None, None)
        assert b"".join(await read(client)) == b"onetwothree"
        assert (other.journal.connections, server.journal.connections) == (0, 1)


async def test_a_server_that_is_closed_answers_nothing_any_more(server, client):
    with answering_in_place(server.server):
        server.stop()
        with pytest.raises(httpx.ConnectError):
            await read(client)
