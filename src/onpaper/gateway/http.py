"""One HTTP/1.1 connection of the fake gateway: takes requests, asks for the answer, plays it.

A bare asyncio protocol, because only this can reset, split inside a chunk frame and lie about lengths.
Requests on one connection are answered one after the other, in order (RFC 9112 §9.3.2). Whatever a client
sends, it gets an answer, a 4xx or a closed connection, and nothing is raised.

A client that closes its sending side has gone away, as far as the gateway is concerned: its reply stops
there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from onpaper.exchange import Request
from onpaper.gateway.answering import ask, refusal
from onpaper.gateway.entry import Entry
from onpaper.gateway.framing import Plan, plan
from onpaper.gateway.journal import Journal
from onpaper.gateway.playing import Playing
from onpaper.gateway.reading import Head, Reader
from onpaper.script import Script

if TYPE_CHECKING:
    from onpaper.gateway.server import Server

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LINGER_SECONDS = 2.0
"""How long a refused client may go on sending before the connection is closed: closing at once would
reset it and destroy the refusal (RFC 9112 §9.6)."""


class Connection(asyncio.Protocol):
    """The protocol of one client connection; `server` holds the answer, the journal and the limits."""

    __slots__ = (
        "_by_client",
        "_entry",
        "_expects",
        "_journal",
        "_journals",
        "_lingers",
        "_loop",
        "_number",
        "_paused",
        "_playing",
        "_queue",
        "_reader",
        "_reading",
        "_refusal",
        "_server",
        "_since",
        "_transport",
    )

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._reader = Reader(server.limits, server.heads, self._arrived, self._expected, self._refuse)
        self._playing: Playing | None = None
        self._entry: Entry | None = None
        self._journal = server.journal
        self._journals: set[Journal] = set()
        self._queue: deque[tuple[Head, bytes, float]] = deque()
        self._paused = self._expects = self._lingers = self._by_client = False
        self._refusal: Script | None = None
        self._reading = True
        self._since = monotonic()

    # What the transport tells it.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._transport.set_write_buffer_limits(0, 0)
        server = self._server
        self._number = server.journal.opened()
        server.connected(self)
        most = server.limits.connections
        if len(server.open) > 2 * most:  # refusing takes time, in which the refused count as well
            transport.abort()  # type: ignore[attr-defined]
        elif len(server.open) > most:
            self._reader.deaf = True
            self._refuse(503, f"more than {most} open connections, the gateway's limit")

    def connection_lost(self, error: Exception | None) -> None:
        if self._playing is not None:
            self._playing.abandon()
            self._playing = None
        if self._entry is not None:
            self._over(self._entry, self._journal, monotonic())
        self._reader.deaf = True
        self._queue.clear()
        self._server.disconnected(self)
        for journal in (self._server.journal, *self._journals):
            journal.closed(self._number, self._by_client or error is not None)

    def eof_received(self) -> bool:
        self._by_client = self._by_client or not self._transport.is_closing()
        return False

    def pause_writing(self) -> None:
        self._paused = True
        self._since = monotonic()

    def resume_writing(self) -> None:
        self._paused = False
        if self._playing is not None:
            self._playing.unblocked()

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        if not reader.in_message:
            self._since = monotonic()
        reader.feed(data)

    # What the reader tells it.

    def _arrived(self, head: Head, body: bytes) -> None:
        now = monotonic()
        self._expects = False
        if self._playing is None and not self._queue:
            self._answer(head, body, now)
            return
        self._queue.append((head, body, now))
        if self._reading and len(self._queue) >= self._server.limits.queued:
            self._reading = False
            self._transport.pause_reading()

    def _expected(self) -> None:
        """The request that comes waits for 100 Continue before it sends its body."""
        if self._playing is None and not self._queue:
            self._transport.write(CONTINUE)
        else:
            self._expects = True

    def _refuse(self, status: int, sentence: str) -> None:
        """Answer with an error after the requests that were whole, and hear nothing more from this client."""
        self._refusal = refusal(status, sentence)
        self._server.journal.refused(sentence)
        if self._playing is None and not self._queue:
            self._send_refusal()

    # What it does.

    def _answer(self, head: Head, body: bytes, at: float) -> None:
        server = self._server
        request = Request(head.method, head.target, head.headers, body)
        answer, journal = server.answer, server.journal
        if server.route is not None:
            answer, journal, request = server.route(request)
            if journal is not server.journal:
                self._journals.add(journal)
        entry = Entry(request, self._number, at)
        journal.begin(entry)
        script, entry.problem = ask(answer, request)
        try:
            planned = self._plan(script, head)
        except ValueError as error:
            entry.problem = f"the script for {request.method} {request.path} cannot be played: {error}"
            planned = self._plan(refusal(500, entry.problem), head)
        entry.plan = planned
        if planned.at_once:
            self._transport.write(planned.sends[0].wire)
            if not self._transport.get_write_buffer_size() and not self._transport.is_closing():
                now = monotonic()
                entry.times.append(now)
                entry.end = "clean"
                self._since = now
                self._over(entry, journal, now)
                if not planned.keep:
                    self._transport.close()
                return
        self._entry, self._journal = entry, journal
        self._playing = Playing(self._loop, self._transport, planned, entry, self._done)
        self._playing.start(sent=1 if planned.at_once else 0)

    def _plan(self, script: Script, head: Head) -> Plan:
        """The plan of a script; that of a script which was played before is remembered."""
        key = (id(script), head.method == "HEAD", head.version, head.keep_alive)
        known = self._server.plans.get(key)
        if known is not None and known[0] is script:
            return known[1]
        planned = plan(script, method=head.method, version=head.version, keep_alive=head.keep_alive)
        self._server.remember(key, script, planned)
        return planned

    def _done(self, keep: bool) -> None:
        """A reply is over."""
        self._playing = None
        entry, self._entry = self._entry, None
        self._since = now = monotonic()
        if entry is not None:
            self._over(entry, self._journal, now)
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
            self._answer(*self._queue.popleft())
            if self._playing is None:
                self._done_at_once()

    def _done_at_once(self) -> None:
        """What `_done` does after a reply, for one that needed no playing."""
        self._done(not self._transport.is_closing())

    def _over(self, entry: Entry, journal: Journal, now: float) -> None:
        """Close the books on an exchange."""
        entry.ended = now
        journal.finish(entry)

    def _send_refusal(self) -> None:
        assert self._refusal is not None
        for send in plan(self._refusal, keep_alive=False).sends:
            self._transport.write(send.wire)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._lingers = True
        self._since = monotonic()

    def sweep(self, now: float) -> None:
        """Close the connection if its client has been too slow; called about once a second."""
        limits = self._server.limits
        waited = now - self._since
        if self._lingers:
            if waited > LINGER_SECONDS:
                self._transport.abort()
        elif self._reader.in_message and self._playing is None:
            if waited > limits.request_seconds and not self._reader.deaf:
                self._reader.deaf = True
                self._refuse(408, f"the request was not complete after {limits.request_seconds:g} s")
        elif (self._playing is None or self._paused) and waited > limits.idle_seconds:
            self._transport.abort()

    def abort(self) -> None:
        """Drop the connection at once."""
        self._transport.abort()
