"""Scripts on a real socket: what a client without any HTTP library reads."""

from __future__ import annotations

import asyncio
import socket

import pytest

from onpaper.exchange import Request
from onpaper.gateway import Limits, Unanswerable, closed_by_client, ended
from onpaper.gateway.thread import new_event_loop
from onpaper.script import Script, Write

HELLO = Script(writes=(Write(b"hello"),), transfer="length", joined=True)
STREAM = Script(writes=(Write(b"one"), Write(b"two"), Write(b"three")))

pytestmark = pytest.mark.parametrize(
    "loop", [new_event_loop, asyncio.new_event_loop], ids=["default", "asyncio"]
)


@pytest.fixture
def gateway_of(serve, loop):
    return lambda answer, **options: serve(answer, loop_factory=loop, **options)


def echo(request: Request) -> Script:
    body = f"{request.method} {request.target} {request.body.decode()}".encode()
    return Script(writes=(Write(body),), transfer="length", joined=True)


def test_a_connection_serves_many_requests(gateway_of, connect):
    gateway = gateway_of(HELLO)
    client = connect(gateway)
    for _ in range(3):
        status, headers = client.get().head()
        assert status == "HTTP/1.1 200 OK"
        assert client.read(int(headers["content-length"])) == b"hello"
    assert gateway.journal.connections == 1
    assert len(gateway.journal) == 3


def test_the_request_reaches_the_answer_as_it_was_sent(gateway_of, connect):
    gateway = gateway_of(HELLO)
    client = connect(gateway)
    client.send(b"POST /v1/x?y=%20z HTTP/1.1\r\nHost: h\r\nX-Odd:  a b \r\nx-odd: c\r\n")
    client.send(b"Content-Length: 4\r\n\r\n\xff\x00ab")
    client.head()
    request = gateway.journal[0].request
    assert (request.method, request.target, request.path) == ("POST", "/v1/x?y=%20z", "/v1/x")
    assert request.headers == (("Host", "h"), ("X-Odd", "a b"), ("x-odd", "c"), ("Content-Length", "4"))
    assert request.body == b"\xff\x00ab"


def test_a_request_that_asks_for_http2_is_answered_in_http1_with_its_body(gateway_of, connect):
    client = connect(gateway_of(echo))
    head = b"POST /%d HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    for number in (1, 2):
        client.send(head % number + b"Content-Length: 4\r\n\r\nbo").send(b"dy")
        assert client.head()[0] == "HTTP/1.1 200 OK"
        assert client.read(12) == b"POST /%d body" % number


def test_a_target_in_absolute_form_is_answered_as_its_path(gateway_of, connect):
    gateway = gateway_of(echo)
    client = connect(gateway).send(b"GET http://127.0.0.1/v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    client.head()
    assert client.read(15) == b"GET /v1/models "
    assert gateway.journal[0].request.path == "/v1/models"


def test_pipelined_requests_are_answered_in_order(gateway_of, connect):
    def answer(request: Request) -> Script:
        return Script(writes=(Write(request.target.encode(), after=0.001),), transfer="length")

    client = connect(gateway_of(answer))
    client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(100)))
    for number in range(100):
        _, headers = client.head()
        assert client.read(int(headers["content-length"])) == b"/%d" % number


def test_a_pipeline_longer_than_the_queue_is_read_piece_by_piece(gateway_of, connect):
    def answer(request: Request) -> Script:
        return Script(writes=(Write(b"x", after=0.0001),), transfer="length")

    gateway = gateway_of(answer, limits=Limits(queued=2))
    client = connect(gateway)
    for _ in range(20):
        client.get()
    for _ in range(20):
        client.head()
        assert client.read(1) == b"x"
    assert len(gateway.journal) == 20


def test_a_request_may_come_byte_by_byte(gateway_of, connect):
    client = connect(gateway_of(echo))
    for byte in b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi":
        client.send(bytes([byte]))
    _, headers = client.head()
    assert client.read(int(headers["content-length"])) == b"POST /a hi"


def test_a_chunked_request_body_is_decoded_and_its_trailers_ignored(gateway_of, connect):
    gateway = gateway_of(echo)
    client = connect(gateway)
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: t\r\n\r\n")
    _, headers = client.head()
    assert client.read(int(headers["content-length"])) == b"POST / abcde"
    assert gateway.journal[0].request.header("x-trailer") is None


def test_a_client_that_expects_100_continue_gets_it_before_the_reply(gateway_of, connect):
    client = connect(gateway_of(echo))
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert client.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"hi")
    assert client.head()[0] == "HTTP/1.1 200 OK"


def test_connection_close_is_honoured(gateway_of, connect):
    client = connect(gateway_of(HELLO)).get(extra="Connection: close\r\n")
    assert b"connection: close\r\n" in (reply := client.read_all())
    assert reply.endswith(b"\r\n\r\nhello")


def test_http_1_0_is_answered_and_closed(gateway_of, connect):
    client = connect(gateway_of(STREAM)).send(b"GET / HTTP/1.0\r\n\r\n")
    assert client.read_all().endswith(b"\r\n\r\nonetwothree")


def test_head_is_answered_without_a_body_and_the_connection_goes_on(gateway_of, connect):
    client = connect(gateway_of(HELLO))
    client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.head()[1]["content-length"] == "5"
    client.get().head()
    assert client.read(5) == b"hello"


def test_an_upgrade_is_ignored(gateway_of, connect):
    client = connect(gateway_of(echo))
    client.get("/a", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n")
    _, headers = client.head()
    assert client.read(int(headers["content-length"])) == b"GET /a "
    client.get("/b")
    _, headers = client.head()
    assert client.read(int(headers["content-length"])) == b"GET /b "


def test_connect_is_answered_and_nothing_is_tunnelled(gateway_of, connect):
    client = connect(gateway_of(HELLO)).send(b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n\x16\x03\x01")
    assert client.read_all().endswith(b"hello")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400"),
        (b"FROB / HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        (b"GET / HTTP/1.1\r\n\r\n", "400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n", "400"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400"),
        (b"GET / HTTP/1.1\r\nHost x\r\n\r\n", "400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70_000, "431"),
        (b"GET /" + b"a" * 70_000, "431"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n", "413"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + b"a" * 2000, "413"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""),
    ],
)
def test_a_bad_request_is_refused_and_the_next_client_is_served(gateway_of, connect, request_bytes, status):
    gateway = gateway_of(HELLO, limits=Limits(body_bytes=1000))
    client = connect(gateway).send(request_bytes)
    reply = client.read_all()
    assert reply.startswith(b"HTTP/1.1 " + status.encode())
    assert b"connection: close" in reply
    assert len(gateway.journal.refusals) == 1
    other = connect(gateway).get()
    other.head()
    assert other.read(5) == b"hello"


def test_endless_trailers_are_refused(gateway_of, connect):
    client = connect(gateway_of(HELLO))
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ")
    client.send(b"a" * 70_000)
    assert client.head()[0].startswith("HTTP/1.1 431")


def test_the_requests_before_a_malformed_one_are_answered_first(gateway_of, connect):
    slow = Script(writes=(Write(b"hello", after=0.01),), transfer="length")
    client = connect(gateway_of(slow))
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2 + b"nonsense\r\n\r\n")
    reply = client.read_all()
    assert reply.count(b"hello") == 2
    assert reply.index(b"HTTP/1.1 400") > reply.rindex(b"hello")


def test_a_client_above_the_limit_is_told_and_closed(gateway_of, connect):
    gateway = gateway_of(HELLO, limits=Limits(connections=1))
    connect(gateway).get().head()
    assert connect(gateway).head()[0].startswith("HTTP/1.1 503")


def test_a_flood_of_clients_above_the_limit_is_dropped(gateway_of, connect):
    gateway = gateway_of(HELLO, limits=Limits(connections=1))
    for _ in range(10):
        connect(gateway)
    gateway.journal.wait_for(lambda journal: journal.connections == 10)
    assert gateway.open_connections <= 3


def test_a_request_that_takes_too_long_is_refused(gateway_of, connect):
    gateway = gateway_of(HELLO, limits=Limits(request_seconds=0.01))
    assert connect(gateway).send(b"GET / HT").head()[0].startswith("HTTP/1.1 408")


def test_an_idle_connection_is_closed(gateway_of, connect):
    gateway = gateway_of(HELLO, limits=Limits(idle_seconds=0.01))
    client = connect(gateway).get()
    client.head()
    assert client.read(5) == b"hello"
    with pytest.raises(ConnectionError):
        assert client.read(1) == b""
        raise ConnectionError


def test_a_reset_reaches_the_client_after_the_bytes(gateway_of, connect):
    gateway = gateway_of(Script(writes=(Write(b"par", fault="half"),), end="reset", end_fault="reset"))
    client = connect(gateway).get()
    client.head()
    assert client.read(8) == b"3\r\npar\r\n"
    with pytest.raises(ConnectionResetError):
        client.read(1)
    assert gateway.journal[0].fired == ["half", "reset"]
    assert gateway.journal[0].reply.end == "reset"


def test_a_cut_closes_without_the_last_chunk(gateway_of, connect):
    gateway = gateway_of(Script(writes=(Write(b"par"),), end="cut", end_fault="cut"))
    client = connect(gateway).get()
    client.head()
    assert client.read_all() == b"3\r\npar\r\n"
    assert gateway.journal[0].fired == ["cut"]
    assert gateway.journal[0].reply.end == "cut"


def test_a_half_close_ends_the_reply_and_still_listens(gateway_of, connect):
    gateway = gateway_of(Script(writes=(Write(b"par"),), end="half-close", end_fault="half"))
    client = connect(gateway).get()
    client.head()
    assert client.read_all() == b"3\r\npar\r\n"
    assert gateway.journal[0].reply.end == "half-close"
    assert gateway.open_connections == 1
    client.close()
    gateway.journal.wait_for(ended())
    assert gateway.journal[0].fired == ["half"]


def test_a_hang_keeps_the_connection_until_the_client_leaves(gateway_of, connect):
    gateway = gateway_of(Script(writes=(Write(b"par"),), end="hang", end_fault="hang"))
    client = connect(gateway).get()
    client.head()
    assert client.read(8) == b"3\r\npar\r\n"
    gateway.journal.wait_for(lambda journal: journal[0].fired == ["hang"])
    assert gateway.journal[0].running
    client.close()
    gateway.journal.wait_for(closed_by_client())
    assert gateway.journal[0].reply.end == "hang"
    assert not gateway.journal[0].running


def test_a_client_that_goes_away_leaves_an_open_reply_with_what_was_sent(gateway_of, connect):
    writes = (Write(b"one"), Write(b"never", after=3600, fault="never"))
    gateway = gateway_of(Script(writes=writes, end_fault="end"))
    client = connect(gateway).get()
    client.head()
    client.read(8)
    client.close()
    gateway.journal.wait_for(ended())
    entry = gateway.journal[0]
    assert (entry.reply.end, entry.reply.body, entry.fired) == ("open", b"one", [])


def test_a_fault_has_not_fired_while_the_client_does_not_read(gateway_of, connect):
    large = Write(b"x" * 20_000_000, fault="large")
    gateway = gateway_of(Script(writes=(large, Write(b"y", fault="after"))))
    client = connect(gateway).get()
    client.head()
    assert gateway.journal[0].fired == []
    client.read(20_000_000)
    client.read_until(b"0\r\n\r\n")
    gateway.journal.wait_for(ended())
    assert gateway.journal[0].fired == ["large", "after"]


def test_every_write_is_one_send_in_the_journal(gateway_of, connect):
    gateway = gateway_of(STREAM)
    connect(gateway).get().read_until(b"0\r\n\r\n")
    entry = gateway.journal[0]
    assert [send.size for send in entry.sends[1:]] == [8, 8, 10, 5]
    assert [chunk.data for chunk in entry.reply.chunks] == [b"one", b"two", b"three"]


def test_pauses_do_not_add_up(gateway_of, connect):
    gateway = gateway_of(Script(writes=tuple(Write(b"x", after=0.005) for _ in range(40))))
    connect(gateway).get().read_until(b"0\r\n\r\n")
    times = [chunk.at for chunk in gateway.journal[0].reply.chunks]
    assert times[0] >= 0.004
    assert all(0.005 * (number + 1) - 0.001 <= at for number, at in enumerate(times))


def test_the_head_can_be_late(gateway_of, connect):
    gateway = gateway_of(Script(head_after=0.02, writes=(Write(b"x"),)))
    connect(gateway).get().read_until(b"0\r\n\r\n")
    assert gateway.journal[0].sends[0].at >= 0.019


def test_no_response_at_all(gateway_of, connect):
    gateway = gateway_of(Script(head=b"", head_fault="mute", end="cut"))
    assert connect(gateway).get().read_all() == b""
    assert gateway.journal[0].fired == ["mute"]
    assert gateway.journal[0].reply is None


def test_an_answer_that_fails_becomes_a_500_and_a_problem(gateway_of, connect):
    def answer(request: Request) -> Script:
        raise LookupError("no mock is called 'x'")

    gateway = gateway_of(answer)
    assert connect(gateway).get("/p").head()[0] == "HTTP/1.1 500 Internal Server Error"
    assert gateway.journal.problems == ["the answer to GET /p failed: LookupError: no mock is called 'x'"]


def test_an_answer_that_is_not_a_script_becomes_a_500_and_a_problem(gateway_of, connect):
    gateway = gateway_of(lambda request: None)
    assert connect(gateway).get().head()[0].startswith("HTTP/1.1 500")
    assert gateway.journal[0].problem.endswith("TypeError: it must be a Script, found NoneType")


def test_a_script_that_cannot_be_written_becomes_a_500_and_a_problem(gateway_of, connect):
    gateway = gateway_of(Script(headers=(("a", "b\r\nc: d"),)))
    assert connect(gateway).get().head()[0].startswith("HTTP/1.1 500")
    assert "cannot be played: a reply's head cannot hold a line break" in gateway.journal[0].problem


def test_in_lockstep_a_client_that_keeps_up_sees_exactly_the_sends(gateway_of, connect):
    body = bytes(range(32, 127)) * 2
    gateway = gateway_of(Script(writes=tuple(Write(bytes([byte])) for byte in body), lockstep=True))
    client = connect(gateway).get()
    reads: list[bytes] = []
    while not reads or reads[-1] != b"0\r\n\r\n":
        reads.append(client.socket.recv(65536))
    assert reads[1:-1] == [b"1\r\n%c\r\n" % byte for byte in body]


def test_in_lockstep_a_client_that_does_not_read_is_not_waited_for(gateway_of, connect):
    gateway = gateway_of(Script(writes=tuple(Write(b"x") for _ in range(100)), lockstep=True))
    connect(gateway).get()
    gateway.journal.wait_for(ended())
    assert len(gateway.journal[0].sends) == 102


def test_a_write_torn_inside_its_frame_is_whole_to_a_client(gateway_of, connect):
    torn = Write(b"hello", cuts=(2, 4), fault="torn")
    gateway = gateway_of(Script(writes=(torn,), lockstep=True))
    client = connect(gateway).get()
    reads: list[bytes] = []
    while not reads or reads[-1] != b"0\r\n\r\n":
        reads.append(client.socket.recv(65536))
    assert reads[1:-1] == [b"5\r", b"\nh", b"ello\r\n"]
    entry = gateway.journal[0]
    assert [chunk.data for chunk in entry.reply.chunks] == [b"hello"]
    assert entry.fired == ["torn"]


def test_an_unanswerable_request_gets_its_script_and_a_problem(gateway_of, connect):
    def answer(request: Request) -> Script:
        raise Unanswerable("nothing is scripted any more", Script(418))

    gateway = gateway_of(answer)
    assert connect(gateway).get().head()[0].startswith("HTTP/1.1 418")
    assert gateway.journal[0].problem == "nothing is scripted any more"


def test_a_client_that_resets_does_no_harm(gateway_of, connect):
    gateway = gateway_of(Script(writes=(Write(b"x" * 20_000_000),)))
    client = connect(gateway).get()
    client.head()
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    gateway.journal.wait_for(ended())
    assert gateway.journal[0].reply.end == "open"
    assert gateway.open_connections == 0
