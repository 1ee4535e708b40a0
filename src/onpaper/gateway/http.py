"""One HTTP/1.1 connection of the fake gateway: reads requests, asks for the answer, plays it.

A bare asyncio protocol on httptools (llhttp), because only this can reset, split inside a chunk frame and lie
about lengths. Requests on one connection are answered one after the other, in order (RFC 9112 §9.3.2).
Whatever a client sends, it gets an answer, a 4xx or a closed connection, and nothing is raised.

A client that closes its sending side has gone away, as far as the gateway is concerned: its reply stops
there.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

import httptools

from onpaper.exchange import Request
from onpaper.gateway.answering import ask, refusal
from onpaper.gateway.entry import Entry
from onpaper.gateway.framing import Plan, plan
from onpaper.gateway.journal import Journal
from onpaper.gateway.playing import Playing
from onpaper.script import Script

if TYPE_CHECKING:
    from onpaper.gateway.server import Server

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LINGER_SECONDS = 2.0
"""How long a refused client may go on sending before the connection is closed: closing at once would
reset it and destroy the refusal (RFC 9112 §9.6)."""


class Arrived:
    """A complete request that waits for its turn."""

    __slots__ = ("at", "keep_alive", "request", "version")

    def __init__(self, request: Request, version: str, keep_alive: bool, at: float) -> None:
        self.request = request
        self.version = version
        self.keep_alive = keep_alive
        self.at = at


class Connection(asyncio.Protocol):
    """The protocol of one client connection; `server` holds the answer, the journal and the limits."""

    __slots__ = (
        "_body",
        "_entry",
        "_expects",
        "_fed",
        "_headers",
        "_in_head",
        "_in_message",
        "_journal",
        "_journals",
        "_lingers",
        "_loop",
        "_number",
        "_parser",
        "_paused",
        "_playing",
        "_queue",
        "_reading",
        "_refusal",
        "_refused",
        "_server",
        "_target",
        "_transport",
        "_version",
        "by_client",
        "since",
    )

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._playing: Playing | None = None
        self._entry: Entry | None = None
        self._journal = server.journal
        self._journals: set[Journal] = set()
        self._queue: deque[Arrived] = deque()
        self._in_message = self._in_head = False
        self._paused = self._refused = self._expects = self._lingers = False
        self._refusal: Script | None = None
        self._reading = True
        self._fed = 0
        self.by_client = False
        self.since = time.monotonic()

    # What the transport tells it.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._transport.set_write_buffer_limits(0, 0)
        self._parser = httptools.HttpRequestParser(self)
        self._number = self._server.journal.opened()
        self._server.connected(self)
        if len(self._server.open) > self._server.limits.connections:
            self._refuse(
                503, f"more than {self._server.limits.connections} open connections, the gateway's limit"
            )

    def connection_lost(self, error: Exception | None) -> None:
        if self._playing is not None:
            self._playing.abandon()
            self._playing = None
        self._over()
        if error is not None:
            self.by_client = True
        self._queue.clear()
        self._server.disconnected(self)
        for journal in (self._server.journal, *self._journals):
            journal.closed(self._number, self.by_client)

    def eof_received(self) -> bool:
        self.by_client = self.by_client or not self._transport.is_closing()
        return False

    def pause_writing(self) -> None:
        self._paused = True
        self.since = time.monotonic()

    def resume_writing(self) -> None:
        self._paused = False
        if self._playing is not None:
            self._playing.unblocked()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if not self._in_message:
            self.since = time.monotonic()
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            self._refuse(500, f"the gateway failed on this request: {error.__context__!r}")
        except httptools.HttpParserError as error:
            self._refuse(400, f"this is not an HTTP/1.1 request: {error}")
        if self._fed > self._server.limits.header_bytes and self._in_message and not self._refused:
            what = "head" if self._in_head else "trailers or chunk extensions"
            self._refuse(431, f"the request's {what} exceed {self._server.limits.header_bytes} bytes")

    def _ignore_upgrade(self, rest: bytes) -> None:
        """A server may ignore an upgrade (RFC 9110 §7.8): the connection goes on in HTTP/1.1."""
        self._parser = httptools.HttpRequestParser(self)
        if rest:
            self.data_received(rest)

    # What the parser tells it.

    def on_message_begin(self) -> None:
        self._in_message = self._in_head = True
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: bytes | bytearray = b""

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # later ones are trailers; RFC 9110 §6.5.1 lets a recipient ignore them
            self._headers.append((name, value.rstrip(b" \t")))  # RFC 9112 §5.1: no white space around it

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._version = self._parser.get_http_version()
        if self._version not in ("1.1", "1.0"):
            self._refuse(505, f"the gateway speaks HTTP/1.1, found HTTP/{self._version}")
            return
        hosts = 0
        for name, value in self._headers:
            size = len(name)
            if size == 4 and name.lower() == b"host":
                hosts += 1
            elif size == 6 and name.lower() == b"expect":
                self._expects = self._version == "1.1" and value.lower() == b"100-continue"
            elif (
                size == 14
                and name.lower() == b"content-length"
                and int(value) > self._server.limits.body_bytes
            ):
                self._refuse(413, f"the request's body exceeds {self._server.limits.body_bytes} bytes")
                return
        if hosts != 1 and (self._version == "1.1" or hosts):
            self._refuse(
                400, f"an HTTP/1.1 request has exactly one Host header (RFC 9112 §3.2), found {hosts}"
            )
        elif self._expects and self._playing is None and not self._queue:
            self._expects = False
            self._transport.write(CONTINUE)

    def on_body(self, data: bytes) -> None:
        self._fed = 0
        if self._refused:
            return
        if not self._body:
            self._body = data
        elif isinstance(self._body, bytearray):
            self._body += data
        else:
            self._body = bytearray(self._body) + data
        if len(self._body) > self._server.limits.body_bytes:
            self._body = b""
            self._refuse(413, f"the request's body exceeds {self._server.limits.body_bytes} bytes")

    def on_message_complete(self) -> None:
        self._in_message = self._expects = False
        self._fed = 0
        if self._refused:
            return
        request = Request(
            self._parser.get_method().decode("ascii"),
            self._target.decode("latin-1"),
            tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in self._headers),
            bytes(self._body),
        )
        keep_alive = self._parser.should_keep_alive() and request.method != "CONNECT"
        if not keep_alive:
            self._refused = True  # whatever follows on this connection is not ours to read
        arrived = Arrived(request, self._version, keep_alive, time.monotonic())
        if self._playing is None and not self._queue:
            self._answer(arrived)
        else:
            self._queue.append(arrived)
            if self._reading and len(self._queue) >= self._server.limits.queued:
                self._reading = False
                self._transport.pause_reading()

    # What it does.

    def _answer(self, arrived: Arrived) -> None:
        server, request = self._server, arrived.request
        answer, journal = server.answer, server.journal
        if server.route is not None:
            answer, journal, request = server.route(request)
            if journal is not server.journal:
                self._journals.add(journal)
        self._journal = journal
        entry = self._entry = Entry(request, self._number, arrived.at)
        journal.begin(entry)
        entry.script, entry.problem = ask(answer, request)
        try:
            played = self._plan(entry.script, arrived)
        except ValueError as error:
            entry.problem = (
                f"the script for {arrived.request.method} {arrived.request.path} cannot be played: {error}"
            )
            entry.script = refusal(500, entry.problem)
            played = self._plan(entry.script, arrived)
        self._playing = Playing(self._loop, self._transport, played, entry, self._done)
        self._playing.start()

    def _plan(self, script: Script, arrived: Arrived) -> Plan:
        request = arrived.request
        return plan(script, method=request.method, version=arrived.version, keep_alive=arrived.keep_alive)

    def _done(self, keep: bool) -> None:
        """A reply is over."""
        self._playing = None
        self._over()
        self.since = time.monotonic()
        if not keep:
            self._transport.close()
        elif self._queue:
            self._loop.call_soon(self._next)
        elif self._refusal is not None:
            self._send_refusal()
        elif self._expects:
            self._expects = False
            self._transport.write(CONTINUE)

    def _next(self) -> None:
        if self._playing is None and self._queue and not self._transport.is_closing():
            if not self._reading:
                self._reading = True
                self._transport.resume_reading()
            self._answer(self._queue.popleft())

    def _over(self) -> None:
        """Close the books on the running exchange, if there is one."""
        entry, self._entry = self._entry, None
        if entry is not None:
            entry.ended = time.monotonic()
            self._journal.finish(entry)

    def _refuse(self, status: int, sentence: str) -> None:
        """Answer with an error after the requests that were whole, and hear nothing more from this client."""
        if self._refused:
            return
        self._refused = True
        self._refusal = refusal(status, sentence)
        self._server.journal.refused(sentence)
        if self._playing is None and not self._queue:
            self._send_refusal()

    def _send_refusal(self) -> None:
        assert self._refusal is not None
        for send in plan(self._refusal, keep_alive=False).sends:
            self._transport.write(send.wire)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._lingers = True
        self.since = time.monotonic()

    def sweep(self, now: float) -> None:
        """Close the connection if its client has been too slow; called about once a second."""
        limits = self._server.limits
        waited = now - self.since
        if self._lingers:
            if waited > LINGER_SECONDS:
                self._transport.abort()
        elif self._in_message:
            if waited > limits.request_seconds and self._playing is None:
                self._refuse(408, f"the request was not complete after {limits.request_seconds:g} s")
        elif (self._playing is None or self._paused) and waited > limits.idle_seconds:
            self._transport.abort()

    def abort(self) -> None:
        """Drop the connection at once."""
        self._transport.abort()
