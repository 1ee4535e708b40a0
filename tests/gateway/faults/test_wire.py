"""Every fault of the table, played: it reaches the wire and the journal says so."""

from __future__ import annotations

import contextlib

import httpx
import pytest
import respx

from onpaper.gateway import ended
from onpaper.gateway.faults import apply, known_faults
from onpaper.gateway.respx_face import NeedsSocket, RespxFace
from onpaper.script import Script, Write

EVENTS = (
    b'data: {"choices":[{"delta":{"content":"gr\xc3\xbc"}}]}\r\n\r\n',
    b'data: {"choices":[{"delta":{"content":"\xc3\x9fe"}}]}\r\n\r\n',
    b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\r\n\r\n',
    b"data: [DONE]\r\n\r\n",
)
STREAM = Script(headers=(("content-type", "text/event-stream"),), writes=tuple(map(Write, EVENTS)))
REQUIRED = {"a whole number": 7, "a number from 0 on": 0.001, "a list of whole numbers from 0 on": [5, 60]}

ON_A_SOCKET_ONLY = {
    "bad-chunk-size",
    "bad-status-line",
    "cut-in-chunk-frame",
    "half-close",
    "interim-103",
    "length-too-short",
    "split-in-chunk-frame",
}


def faulty(name: str) -> Script:
    required = {p.name: REQUIRED[p.kind] for p in known_faults()[name].parameters if p.required}
    return apply(STREAM, [{"fault": name, **required}])


def _read_until_fired(client, journal) -> None:
    """Read to the end; where there is none, until the fault has fired."""
    waits = 0
    while waits < 50:
        try:
            if not client.socket.recv(65536):
                return
        except ConnectionError:
            return
        except TimeoutError:
            waits += 1
            if journal[0].fired:
                return


@pytest.mark.parametrize("name", known_faults())
def test_every_fault_fires_on_a_socket(name, serve, connect):
    gateway = serve(faulty(name))
    client = connect(gateway).get()
    client.socket.settimeout(0.2)
    _read_until_fired(client, gateway.journal)
    client.close()
    gateway.journal.wait_for(ended())
    assert gateway.journal[0].fired == [name]
    assert gateway.journal[0].problem == ""


@pytest.mark.parametrize("name", known_faults())
def test_every_fault_fires_without_a_socket_or_says_that_it_needs_one(name):
    with respx.mock() as router, httpx.Client(base_url="http://gateway.test") as client:
        face = RespxFace(router, "http://gateway.test", lambda request: faulty(name))
        if name in ON_A_SOCKET_ONLY:
            with pytest.raises(NeedsSocket, match=rf"\({name}\)"):
                client.get("/")
            return
        with contextlib.suppress(httpx.TransportError), client.stream("GET", "/") as response:
            for _ in response.iter_raw():
                pass
        assert face.journal[0].fired == [name]


def reads(client, end: bytes = b"0\r\n\r\n") -> list[bytes]:
    got: list[bytes] = []
    while not got or got[-1] != end:
        got.append(client.socket.recv(65536))
    return got


def test_a_client_that_keeps_up_reads_exactly_the_pieces_of_a_split(serve, connect):
    gateway = serve(apply(STREAM, [{"fault": "coalesce"}, {"fault": "split", "at": [1, 2, 5, 8, 15]}]))
    pieces = [read.partition(b"\r\n")[2][:-2] for read in reads(connect(gateway).get())[1:-1]]
    assert [len(piece) for piece in pieces[:-1]] == [1, 1, 3, 3, 7]
    assert b"".join(pieces) == STREAM.body


def test_a_client_that_keeps_up_reads_every_byte_alone(serve, connect):
    gateway = serve(apply(STREAM, [{"fault": "bytewise"}]))
    assert reads(connect(gateway).get())[1:-1] == [b"1\r\n%c\r\n" % byte for byte in STREAM.body]


def test_a_torn_frame_arrives_torn(serve, connect):
    gateway = serve(apply(STREAM, [{"fault": "split-in-chunk-frame", "at": 3}]))
    assert reads(connect(gateway).get())[-5:-1] == [b"10\r", b"\ndata: [D", b"ONE]\r\n\r\n\r", b"\n"]


def test_coalesced_events_arrive_in_one_read(serve, connect):
    gateway = serve(apply(STREAM, [{"fault": "coalesce"}]))
    assert len(reads(connect(gateway).get())) == 3


def test_a_cut_in_a_character_reaches_the_client_as_such(serve):
    gateway = serve(apply(STREAM, [{"fault": "cut-in-utf8"}]))
    with (
        pytest.raises(httpx.RemoteProtocolError),
        httpx.stream("GET", gateway.url, trust_env=False) as response,
    ):
        got = b""
        for chunk in response.iter_raw():
            got += chunk
    assert got.endswith(b"gr\xc3")
