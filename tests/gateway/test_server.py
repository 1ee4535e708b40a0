"""Listening, hosting and stopping."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import httpx
import pytest

from onpaper.gateway import CannotListen, Limits, Server, ServerThread
from onpaper.gateway.server import listen
from onpaper.script import Script, Write

HELLO = Script(writes=(Write(b"hello"),), transfer="length", joined=True)
HANG = Script(writes=(Write(b"x"),), end="hang")


async def test_it_runs_on_the_loop_of_the_test():
    async with Server(lambda request: HELLO) as gateway, httpx.AsyncClient() as client:
        assert (await client.get(gateway.v1)).text == "hello"
        assert gateway.journal[0].request.path == "/v1"
        assert gateway.open_connections == 1
    assert gateway.open_connections == 0


async def test_an_async_test_waits_for_what_another_thread_sees():
    with ServerThread(lambda request: HELLO) as gateway:
        async with httpx.AsyncClient() as client:
            await client.get(gateway.url)
        closures = await gateway.journal.async_wait_for(lambda journal: list(journal.closures))
        assert closures[0].by_client


def test_a_port_in_use_says_which_option_to_change():
    with ServerThread(lambda request: HELLO) as gateway, pytest.raises(CannotListen) as caught:
        ServerThread(lambda request: HELLO, port=gateway.port)
    assert str(caught.value).startswith(
        f"port {gateway.port} on 127.0.0.1 is in use; choose another port (--port)"
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1"])
def test_an_address_open_to_the_network_is_refused(host):
    with pytest.raises(CannotListen, match="not a loopback address"):
        listen(host, 0)


def test_an_address_open_to_the_network_is_served_on_request():
    listen("0.0.0.0", 0, allow_remote=True).close()


def test_an_address_that_is_not_ours_is_one_sentence():
    with pytest.raises(CannotListen, match=r"cannot listen on 192\.0\.2\.1 port 0"):
        listen("192.0.2.1", 0, allow_remote=True)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_out_of_range_is_refused(port):
    with pytest.raises(CannotListen, match="between 0 and 65535"):
        listen("127.0.0.1", port)


def test_a_host_that_is_no_host_is_refused():
    with pytest.raises(CannotListen, match="cannot be resolved"):
        listen("no host", 0)


def test_ipv6_loopback_has_brackets_in_its_url():
    try:
        gateway = ServerThread(lambda request: HELLO, "::1")
    except CannotListen as error:
        assert "cannot listen on ::1" in str(error)  # a machine without IPv6
        return
    with gateway:
        assert gateway.url == f"http://[::1]:{gateway.port}"
        assert httpx.get(gateway.url, trust_env=False).text == "hello"


def test_the_answer_can_be_replaced_while_it_runs():
    with ServerThread(lambda request: HELLO) as gateway, httpx.Client(base_url=gateway.url) as client:
        assert client.get("/").status_code == 200
        gateway.answer = lambda request: Script(418, transfer="length")
        assert client.get("/").status_code == 418


def test_it_starts_and_stops_fast_with_a_hanging_stream():
    ServerThread(lambda request: HANG).start().stop()  # the first one imports
    starts, stops = [], []
    for _ in range(5):
        before = time.perf_counter()
        gateway = ServerThread(lambda request: HANG).start()
        starts.append(time.perf_counter() - before)
        with socket.create_connection(("127.0.0.1", gateway.port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            gateway.journal.wait_for(lambda journal: len(journal) and journal[0].reply)
            before = time.perf_counter()
            gateway.stop()
            stops.append(time.perf_counter() - before)
    assert min(starts) < 0.005
    assert min(stops) < 0.05


def test_stopping_ends_what_was_running_and_leaves_no_thread():
    before = threading.active_count()
    with ServerThread(lambda request: HANG) as gateway:
        client = socket.create_connection(("127.0.0.1", gateway.port))
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        gateway.journal.wait_for(lambda journal: len(journal) and journal[0].reply)
    client.close()
    assert threading.active_count() == before
    assert not gateway.journal[0].running
    assert not gateway.journal.closures[0].by_client


def test_stopping_twice_or_without_a_start_is_harmless():
    gateway = ServerThread(lambda request: HELLO)
    gateway.stop()
    other = ServerThread(lambda request: HELLO).start()
    other.stop()
    other.stop()


def test_a_gateway_is_started_once():
    with ServerThread(lambda request: HELLO) as gateway, pytest.raises(RuntimeError, match="started before"):
        gateway.start()


def test_two_gateways_do_not_meet():
    with ServerThread(lambda r: HELLO) as one, ServerThread(lambda r: HELLO) as two:
        httpx.get(one.url, trust_env=False)
        assert (len(one.journal), len(two.journal)) == (1, 0)


def test_what_fired_is_in_the_journal_as_soon_as_the_client_saw_it():
    script = Script(writes=(Write(b"x", fault="late"),), end="cut", end_fault="cut")
    with ServerThread(lambda request: script) as gateway:
        for number in range(200):
            with pytest.raises(httpx.RemoteProtocolError):
                httpx.get(gateway.url, trust_env=False)
            assert gateway.journal[number].fired == ["late", "cut"]


@pytest.mark.parametrize("limit", ["header_bytes", "connections", "idle_seconds"])
def test_a_limit_is_positive(limit):
    with pytest.raises(ValueError, match=f"the limit {limit} must be positive"):
        Limits(**{limit: 0})


async def test_stopping_a_server_that_never_started_frees_its_port():
    server = Server(lambda request: HELLO)
    await server.stop()
    await asyncio.sleep(0)
    listen("127.0.0.1", server.port).close()
